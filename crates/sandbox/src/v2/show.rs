//! Customers and methods as this vendor answers them.

use super::config::{Config, KeepUntil, Mask, MethodId, Times};
use super::merchant::{Card, Customer, Method};
use super::wire::{REFERENCE, TEXTS};
use crate::vendor::Answer;
use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

/// A point in time, in Unix seconds.
fn time(second: i64, times: Times) -> Value {
    let Ok(at) = Timestamp::from_second(second) else { return Value::Null };
    match times {
        Times::Zulu => at.to_string(),
        Times::Offset => {
            let zoned = at.to_zoned(Offset::constant(1).to_time_zone());
            zoned.strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string()
        }
        Times::Spaced => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    }
    .into()
}

/// A customer by itself, with the status of the answer.
pub(super) fn approved(customer: &Customer, config: &Config, status: StatusCode) -> Answer {
    let mut fields = fields(customer, "uuid", config);
    fields.insert("status".to_owned(), "approved".into());
    Answer::json(status, &Value::Object(fields))
}

/// A customer in a list.
pub(super) fn row(customer: &Customer, config: &Config) -> Value {
    Value::Object(fields(customer, config.shape.listed_id.name(), config))
}

fn fields(customer: &Customer, id: &str, config: &Config) -> Map<String, Value> {
    let time = |second| time(second, config.shape.times);
    let mut fields = Map::new();
    fields.insert(id.to_owned(), customer.uuid.as_str().into());
    for (name, ..) in TEXTS {
        let text = match *name {
            REFERENCE => customer.reference.as_ref(),
            name => customer.texts.get(name),
        };
        fields.insert((*name).to_owned(), text.map_or(Value::Null, |t| t.as_str().into()));
    }
    fields.insert("metadata".to_owned(), json!(customer.metadata));
    fields.insert("deleted".to_owned(), customer.deleted.is_some().into());
    fields.insert("created_at".to_owned(), time(customer.created));
    fields.insert("updated_at".to_owned(), time(customer.updated));
    fields.insert("deleted_at".to_owned(), customer.deleted.map_or(Value::Null, time));
    if !config.shape.nulls {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}

/// Rows in the envelope of every list.
pub(super) fn list(rows: &[Value]) -> Answer {
    Answer::json(StatusCode::OK, &json!({"status": "approved", "data": rows}))
}

/// A deletion that was done.
pub(super) fn deleted(uuid: &str, config: &Config) -> Answer {
    let mut body = json!({"status": "approved", "deleted": true});
    if let Some(fields) = body.as_object_mut() {
        fields.insert(config.shape.deleted_id.name().to_owned(), uuid.into());
    }
    Answer::json(StatusCode::OK, &body)
}

/// A customer's method in its list. `now` decides whether the card has expired.
pub(super) fn method(method: &Method, customer: &Customer, config: &Config, now: i64) -> Value {
    let id: Value = match (config.shape.method_id, method.id.parse::<u64>()) {
        (MethodId::Number, Ok(number)) => number.into(),
        _ => method.id.as_str().into(),
    };
    let ends = last_day(&method.card);
    let today = Timestamp::from_second(now).ok().map(|at| Offset::UTC.to_datetime(at).date());
    let keep = config.keep_seconds.map(|seconds| method.created.saturating_add(seconds));
    let keep = keep.map_or(Value::Null, |until| match config.shape.keep_until {
        KeepUntil::Time => time(until, config.shape.times),
        KeepUntil::Date => Timestamp::from_second(until)
            .map_or(Value::Null, |at| Offset::UTC.to_datetime(at).date().to_string().into()),
    });
    json!({
        "status": "approved",
        "id": id,
        "masked_pan": masked(&method.card, config.shape.mask),
        "expiration_date": ends.map(|day| day.to_string()),
        "keep_until": keep,
        "created_at": time(method.created, config.shape.times),
        "updated_at": time(method.updated, config.shape.times),
        "customer_uuid": customer.uuid,
        "token": method.token,
        "expired": ends.zip(today).is_some_and(|(ends, today)| today > ends),
    })
}

/// The last day of a card's month of expiry.
fn last_day(card: &Card) -> Option<Date> {
    let (year, month) = (i16::try_from(card.exp_year).ok()?, i8::try_from(card.exp_month).ok()?);
    Date::new(year, month, 1).ok().map(Date::last_of_month)
}

fn masked(card: &Card, mask: Mask) -> String {
    let shown = match mask {
        Mask::FirstSix => 6,
        Mask::FirstFour => 4,
        Mask::LastFour => 0,
    };
    // American Express has 15 digits.
    let amex = card.bin.starts_with("34") || card.bin.starts_with("37");
    let length: usize = if amex { 15 } else { 16 };
    let stars = "*".repeat(length - 4 - shown);
    format!("{}{stars}{}", card.bin.get(..shown).unwrap_or_default(), card.last4)
}
