//! The vendor's JSON, both ways, and the one place where what its documentation leaves open is
//! read as *adopted* (see `docs.md`).
//!
//! Out goes what the contract names, in one casing. In comes every casing, and each envelope that
//! the contract lists.

use model::Last4;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use transport::vendor::{OwnIds, Row, Vendor, VendorError, is_word};

use crate::config::Casing;

/// The vendor's ways.
pub(crate) const ECRYPT: Vendor = Vendor {
    any_casing: true,
    // One of digits alone cannot be told from a card number.
    ids: OwnIds { names: ID, marks: b"-", numbered: &[] },
    hidden: HIDDEN,
    column: |_| None,
    own_error,
    error_in_success: true,
};

/// What no message may repeat. Of the metadata nothing: our reference may stand in it.
const HIDDEN: &[&str] = &[
    "token",
    "transaction_id",
    "first_name",
    "last_name",
    "company",
    "email_address",
    "phone_number",
    "merchant_identifier",
    "line1",
    "line2",
    "city",
    "postal_code",
    "metadata",
];

/// The names a list of customers is accepted under (adopted).
pub(crate) const CUSTOMERS: &[&str] = &["customers", "data"];
/// The names a list of payment methods is accepted under (adopted).
pub(crate) const METHODS: &[&str] = &["wallets", "wallet", "data"];
/// The name of every id.
pub(crate) const ID: &[&str] = &["id"];
/// The networks that the vendor documents: what has one of these is a card.
const NETWORKS: [&str; 4] = ["visa", "mastercard", "discover card", "american express"];

/// An object as it is sent: fields by their names in snake case.
pub(crate) struct Object<'a> {
    casing: Casing,
    fields: Vec<(&'static str, Field<'a>)>,
}

enum Field<'a> {
    Text(&'a str),
    Flag(bool),
    Object(Object<'a>),
    /// Keys and values that are the merchant's own: no casing touches them.
    Own(Vec<(&'a str, &'a str)>),
}

impl<'a> Object<'a> {
    pub const fn new(casing: Casing) -> Self {
        Self { casing, fields: Vec::new() }
    }

    /// A text; one that is not stated is not sent.
    pub fn text(mut self, name: &'static str, value: Option<&'a str>) -> Self {
        self.fields.extend(value.map(|value| (name, Field::Text(value))));
        self
    }

    pub fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.fields.push((name, Field::Flag(value)));
        self
    }

    /// An object; an empty one is not sent.
    pub fn object(mut self, name: &'static str, object: Object<'a>) -> Self {
        if !object.fields.is_empty() {
            self.fields.push((name, Field::Object(object)));
        }
        self
    }

    /// Keys and values of the merchant's own; none are not sent.
    pub fn own(mut self, name: &'static str, values: Vec<(&'a str, &'a str)>) -> Self {
        if !values.is_empty() {
            self.fields.push((name, Field::Own(values)));
        }
        self
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, field)| {
            let name = match self.casing {
                Casing::Snake => (*name).to_owned(),
                Casing::Camel => camel(name),
            };
            (name, field)
        }))
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Object(object) => object.serialize(serializer),
            Self::Own(values) => serializer.collect_map(values.iter().copied()),
        }
    }
}

/// `postal_code` as `postalCode`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The one customer or payment method of an answer: an object under its name, or an array of one
/// under `list`. `Ok(None)` where the answer says null there: it is not there.
pub(crate) fn one<'a>(
    answer: Row<'a>,
    name: &str,
    list: &str,
) -> Result<Option<&'a Value>, &'static str> {
    match (answer.get(name), answer.get(list)) {
        (Some(one @ Value::Object(_)), _) => Ok(Some(one)),
        (None | Some(Value::Null), Some(Value::Null)) => Ok(None),
        (_, Some(Value::Array(all))) if all.len() == 1 => Ok(all.first()),
        _ => Err("the answer does not show the one that was asked for"),
    }
}

/// What a 2xx is that has errors, and not as the contract has them.
pub(crate) const STRANGE_ERRORS: &str = "the answer has errors that are not of the provider's form";

/// Whether an answer has something under `errors`, of whatever form.
pub(crate) fn has_errors(answer: Row<'_>) -> bool {
    match answer.get("errors") {
        None | Some(Value::Null) => false,
        Some(Value::Array(all)) => all.iter().any(|error| !error.is_null()),
        Some(_) => true,
    }
}

/// The vendor's id of the request, as its body states it.
pub(crate) fn request_id(body: &[u8]) -> Option<String> {
    let (answer, _) = ECRYPT.object(body).ok()?;
    request_id_of(ECRYPT.row(&answer).ok()?)
}

fn request_id_of(answer: Row<'_>) -> Option<String> {
    transport::request_id(&answer.text("request_id").ok().flatten()?)
}

/// Reads the vendor's own error: something in `errors`, and the id of the request or a word as its
/// `type` beside it. Other people's APIs and gateways have `errors`, too.
fn own_error(answer: Row<'_>) -> Option<VendorError> {
    let errors = answer.get("errors")?.as_array()?;
    let mut errors = errors.iter().filter(|error| !error.is_null()).peekable();
    let first = ECRYPT.row(errors.peek()?).ok();
    let code = first.and_then(|error| error.text("type").ok().flatten());
    let code = code.filter(|code| is_word(code));
    if code.is_none() && request_id_of(answer).is_none() {
        return None;
    }
    let messages: Vec<_> = errors.filter_map(message).collect();
    let message = (!messages.is_empty()).then(|| messages.join("; "));
    Some(VendorError { code, message, field: None })
}

/// The message of one error: documented as of any type.
fn message(error: &Value) -> Option<String> {
    let said = match ECRYPT.row(error) {
        Ok(error) => error.get("message")?,
        Err(_) => error,
    };
    match said {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The merchant's own keys and values. Numbers and truths are taken as written; what has parts of
/// its own is left out.
pub(crate) fn metadata(row: Row<'_>) -> impl Iterator<Item = (String, String)> {
    let stated = row.get("metadata").and_then(Value::as_object);
    stated.into_iter().flat_map(Map::iter).filter_map(|(key, value)| {
        let text = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            _ => return None,
        };
        Some((key.clone(), text))
    })
}

/// Whether a network is one that the vendor documents.
pub(crate) fn is_card_network(network: &str) -> bool {
    NETWORKS.iter().any(|known| known.eq_ignore_ascii_case(network.trim()))
}

/// A number's digits where JSON has it without its leading zeros, else the text.
pub(crate) fn digits(row: Row<'_>, name: &str) -> Option<String> {
    match row.get(name)? {
        Value::Number(number) => Some(format!("{:0>4}", number.to_string())),
        Value::String(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// The trailing four digits of a mask, of which the vendor has several: `4***********1111`,
/// `4xxxxxxxxxxx1111`, `411111******1111 VISA`.
pub(crate) fn last4(mask: &str) -> Option<Last4> {
    let is_name = |word: &&str| {
        word.bytes().all(|b| b.is_ascii_alphabetic()) && !word.bytes().all(|b| b"xX".contains(&b))
    };
    Last4::of_masked(mask.split_whitespace().rev().find(|word| !is_name(word))?)
}

#[cfg(test)]
mod tests;
