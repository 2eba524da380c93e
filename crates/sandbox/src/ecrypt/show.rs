//! Answers: customers and wallet entries in the shapes that the config asks for.

use super::Refused;
use super::config::{Casing, Config, Message, NoErrors, One, Shape, Unset};
use super::merchant::{Customer, Method};
use super::token::Facts;
use crate::vendor::{Answer, Call};
use http::StatusCode;
use serde_json::{Map, Value, json};

/// A good answer: these fields, the request's id, and no errors.
pub(super) fn answer(call: &Call, shape: Shape, fields: &[(&str, Value)]) -> Answer {
    let mut body: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    body.insert("request_id".to_owned(), request_id(call).into());
    match shape.no_errors {
        NoErrors::Absent => {}
        NoErrors::Null => drop(body.insert("errors".to_owned(), Value::Null)),
        NoErrors::Empty => drop(body.insert("errors".to_owned(), json!([]))),
    }
    Answer::json(StatusCode::OK, &dressed(Value::Object(body), shape.casing))
}

/// A refusal.
pub(super) fn refusal(call: &Call, config: &Config, refused: &Refused) -> Answer {
    let of_the_key = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&refused.status);
    let inside = config.refuse_with_200 && !of_the_key;
    let status = if inside { StatusCode::OK } else { refused.status };
    error(call, config.shape, status, refused)
}

/// An error body with this status.
pub(super) fn error(call: &Call, shape: Shape, status: StatusCode, refused: &Refused) -> Answer {
    let text = &refused.message;
    let message = match shape.message {
        Message::Text => json!(text),
        Message::Object => json!({"text": text, "field": refused.field}),
        Message::Array => json!([text]),
        Message::Number => json!(refused.status.as_u16()),
        Message::Null => Value::Null,
    };
    let error = json!({"type": refused.kind, "message": message});
    let body = json!({"request_id": request_id(call), "errors": [error]});
    Answer::json(status, &dressed(body, shape.casing))
}

fn request_id(call: &Call) -> String {
    format!("req-{:08x}", call.seq)
}

/// A single thing: under its name, or in an array.
pub(super) fn one(value: Value, one: One) -> Value {
    match one {
        One::Object => value,
        One::Array => Value::Array(vec![value]),
    }
}

/// A customer, without its wallet.
pub(super) fn customer(customer: &Customer, shape: Shape) -> Value {
    // A struct of texts always turns into JSON.
    let mut shown = serde_json::to_value(&customer.person).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("id".to_owned(), customer.id.as_str().into());
    }
    unset(shown, shape.unset)
}

/// An entry of a wallet.
pub(super) fn method(method: &Method, customer: &Customer, shape: Shape) -> Value {
    let network = match &method.facts {
        Facts::Card(card) => card.network.as_deref(),
        Facts::Bank(_) => shape.bank_network,
    };
    let created = jiff::Timestamp::from_second(method.created).ok().map(|at| at.to_string());
    let shown = json!({
        "id": method.id,
        "network": network,
        "account_number": method.facts.masked(shape.mask),
        "expiry": method.facts.expiry(shape.expiry),
        "default": customer.default.as_ref() == Some(&method.id),
        "created": created,
        "address": method.address,
    });
    unset(shown, shape.unset)
}

/// Leaves out what there is not, if the vendor does.
fn unset(value: Value, how: Unset) -> Value {
    match value {
        Value::Object(fields) if how == Unset::Absent => {
            let set = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(name, value)| (name, unset(value, how))).collect())
        }
        other => other,
    }
}

/// The same value with its fields in this casing, but those inside of `metadata`.
fn dressed(value: Value, casing: Casing) -> Value {
    match value {
        Value::Object(fields) => {
            let dress = |(name, value): (String, Value)| {
                let inner = if name == "metadata" { value } else { dressed(value, casing) };
                (cased(&name, casing), inner)
            };
            Value::Object(fields.into_iter().map(dress).collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| dressed(item, casing)).collect())
        }
        other => other,
    }
}

/// A name in snake case, put into this casing.
fn cased(name: &str, casing: Casing) -> String {
    let first = if casing == Casing::Pascal { 0 } else { 1 };
    let word = |(i, word): (usize, &str)| match word.split_at_checked(1) {
        Some((head, rest)) if i >= first => format!("{}{rest}", head.to_ascii_uppercase()),
        _ => word.to_owned(),
    };
    match casing {
        Casing::Snake => name.to_owned(),
        Casing::Camel | Casing::Pascal => name.split('_').enumerate().map(word).collect(),
    }
}
