//! Answers that show customers and methods: OData queries, envelopes, shapes.

use super::config::{Config, Envelope, MethodShape, NextLink};
use super::merchant::{Customer, Facts, Merchant, Method};
use super::{Refused, wire};
use crate::pan;
use crate::vendor::{Answer, Call, Twist};
use http::StatusCode;
use serde_json::{Map, Value, json};

/// `$filter`, `$top` and `$skip` of a request. Any other option is refused.
#[derive(Debug)]
pub(super) struct Query {
    /// The reference in `$filter=reference_id eq '…'`.
    pub(super) reference: Option<String>,
    top: usize,
    skip: usize,
}

fn bad(code: &'static str, message: impl Into<String>, field: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, code, message).at(field)
}

impl Query {
    pub(super) fn read(call: &Call, config: &Config) -> Result<Self, Refused> {
        let mut query = Self { reference: None, top: config.max_page, skip: 0 };
        for (name, value) in call.pairs() {
            let number = || {
                let message = "expected a whole number";
                value.parse::<usize>().map_err(|_| bad("invalid_query", message, &name))
            };
            match name.as_str() {
                "$filter" => {
                    let reference = filter(&value).ok_or_else(|| {
                        bad("invalid_filter", "expected reference_id eq '…'", "$filter")
                    })?;
                    if pan::is_pan(&reference, false) {
                        let message = "card numbers are not accepted";
                        return Err(bad("pan_not_allowed", message, "$filter"));
                    }
                    query.reference = Some(reference);
                }
                "$top" => query.top = number()?.min(config.max_page),
                "$skip" => query.skip = number()?,
                _ => {
                    let message = format!("unknown query option `{name}`");
                    return Err(bad("unknown_query_option", message, &name));
                }
            }
        }
        Ok(query)
    }
}

/// The text of `reference_id eq '…'`, with `''` read as `'`.
pub(super) fn filter(text: &str) -> Option<String> {
    let mut words = text.trim().splitn(3, ' ');
    let (field, operator, quoted) = (words.next()?, words.next()?, words.next()?.trim());
    let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
    // A single quote that is left over would end the text early.
    let sound = !inner.replace("''", "").contains('\'');
    (field == "reference_id" && operator == "eq" && sound).then(|| inner.replace("''", "'"))
}

/// A customer as answered.
pub(super) fn customer(customer: &Customer, config: &Config) -> Value {
    let mut fields = Map::new();
    fields.insert(config.shape.id_field.name().to_owned(), customer.uid.as_str().into());
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("reference_id", customer.reference.as_deref());
    put("name", customer.name.as_deref());
    put("email", customer.email.as_deref());
    if config.shape.created_at {
        let at = jiff::Timestamp::from_second(customer.created).ok().map(|t| t.to_string());
        put("created_at", at.as_deref());
    }
    Value::Object(fields)
}

/// Answers a find.
pub(super) fn find(
    merchant: &Merchant,
    config: &Config,
    query: &Query,
    reference: &str,
    twist: Option<Twist>,
) -> Answer {
    let wrong = merchant.book.wrong_find(reference, twist);
    let twisted = wrong.is_some();
    let shown = wrong.or_else(|| merchant.book.by_reference(reference).next().cloned());
    let rows = shown.iter().skip(query.skip).take(query.top);
    let rows: Vec<Value> = rows.map(|c| customer(c, config)).collect();
    let mut answer =
        Answer::json(StatusCode::OK, &envelope(config.shape.customers, rows, None, true));
    answer.twisted = twisted;
    answer
}

/// Answers a page of customers, newest first.
pub(super) fn page(
    merchant: &Merchant,
    config: &Config,
    query: &Query,
    call: &Call,
    twist: Option<Twist>,
) -> Answer {
    let page = merchant.book.list(query.skip, query.top, twist);
    let rows: Vec<Value> = page.rows.iter().map(|c| customer(c, config)).collect();
    let next = query.skip + rows.len();
    let origin = match config.shape.next_link {
        NextLink::Absent => None,
        NextLink::SameOrigin => call.header("host").map(|host| format!("http://{host}")),
        NextLink::ForeignOrigin => Some("http://elsewhere.invalid".to_owned()),
    };
    let link = origin
        .filter(|_| !rows.is_empty() && next < merchant.book.len())
        .map(|origin| format!("{origin}/api/customers?$top={}&$skip={next}", query.top));
    let body = envelope(config.shape.customers, rows, link, true);
    let mut answer = Answer::json(StatusCode::OK, &body);
    answer.twisted = page.twisted;
    answer
}

fn envelope(shape: Envelope, rows: Vec<Value>, link: Option<String>, customers: bool) -> Value {
    let name = match shape {
        Envelope::Bare => return Value::Array(rows),
        Envelope::PaymentMethods if !customers => "payment_methods",
        Envelope::Value | Envelope::PaymentMethods => "value",
        Envelope::Data => "data",
        Envelope::Items => "items",
    };
    let mut fields = Map::new();
    fields.insert(name.to_owned(), Value::Array(rows));
    if let Some(link) = link {
        fields.insert("@odata.nextLink".to_owned(), link.into());
    }
    Value::Object(fields)
}

/// Answers a customer's methods, sanitized: no token, no routing number.
pub(super) fn methods(customer: &Customer, config: &Config) -> Answer {
    let rows = customer.methods.iter().map(|m| method(m, customer, config)).collect();
    Answer::json(StatusCode::OK, &envelope(config.shape.methods, rows, None, false))
}

fn method(method: &Method, customer: &Customer, config: &Config) -> Value {
    let mut row = match config.shape.method {
        MethodShape::Nested => {
            let (kind, facts) = facts(&method.facts);
            json!({
                "saved_payment_method_uid": method.uid,
                "payment_method_type": kind,
                kind: facts,
            })
        }
        MethodShape::Flat => flat(method),
    };
    if let Some(fields) = row.as_object_mut() {
        if config.shape.is_default {
            let default = customer.default.as_ref() == Some(&method.uid);
            fields.insert("is_default".to_owned(), default.into());
        }
        sparse(fields);
    }
    row
}

/// Leaves out what is not known.
fn sparse(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
}

/// The type's name and the sanitized facts under it.
fn facts(facts: &Facts) -> (&'static str, Value) {
    let (kind, mut shown) = match facts {
        Facts::Card(card) => (
            "credit",
            json!({
                "last4": card.last4,
                "exp_month": card.exp_month,
                "exp_year": card.exp_year,
                "card_brand": card.brand,
                "bin": card.bin,
                "holder_name": card.holder,
            }),
        ),
        Facts::Ach(ach) => (
            "ach",
            json!({
                "account_number_suffix": ach.suffix,
                "account_type": ach.account_type,
                "bank_name": ach.bank,
                "holder_name": ach.holder,
            }),
        ),
    };
    if let Some(fields) = shown.as_object_mut() {
        sparse(fields);
    }
    (kind, shown)
}

fn flat(method: &Method) -> Value {
    match &method.facts {
        Facts::Card(card) => json!({
            "id": method.uid,
            "type": "card",
            "brand": card.brand,
            "last4": card.last4,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "holder_name": card.holder,
        }),
        Facts::Ach(ach) => json!({
            "id": method.uid,
            "type": "ach",
            "last4": ach.suffix,
            "account_type": ach.account_type,
            "bank_name": ach.bank,
            "holder_name": ach.holder,
        }),
    }
}

/// Answers a save: the id, and the permanent token in place of the proxynized one.
pub(super) fn saved(method: &Method) -> Answer {
    let (kind, mut shown) = facts(&method.facts);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("fingerprint".to_owned(), method.token.as_str().into());
    }
    let body = json!({
        "saved_payment_method_uid": method.uid,
        "payment_method": {"payment_method_type": kind, kind: shown},
    });
    Answer::json(StatusCode::CREATED, &body)
}

/// Refuses every query option, for the calls that know none.
pub(super) fn no_query(call: &Call) -> Result<(), Refused> {
    match call.pairs().first() {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("unknown query option `{name}`");
            Err(bad("unknown_query_option", message, name))
        }
    }
}

/// Reads a body that must be there, for a call without query options.
pub(super) fn body<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refused> {
    no_query(call)?;
    wire::read(call)
}
