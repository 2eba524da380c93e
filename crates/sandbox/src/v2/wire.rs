//! Requests as this vendor reads them. What it does not know, nulls outside of `metadata`, and card
//! numbers are refused.

use super::refused::Refused;
use crate::pan;
use crate::vendor::Call;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Our id of a customer: the reference.
pub(super) const REFERENCE: &str = "merchant_customer_id";

/// The text fields of a customer, with the least and the most characters of each.
pub(super) const TEXTS: &[(&str, usize, usize)] = &[
    (REFERENCE, 1, 100),
    ("description", 1, 200),
    ("email", 1, 200),
    ("name", 1, 50),
    ("phone", 1, 30),
    ("zip_code", 1, 9),
    ("city", 3, 30),
    ("address", 3, 100),
    ("country", 2, 2),
];

/// What a call, or somebody at the admin door, states of a customer.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub(super) reference: Option<String>,
    /// Text fields by their names; none clears one, which the API cannot.
    pub(super) texts: BTreeMap<&'static str, Option<String>>,
    /// Keys of the metadata; none removes one.
    pub(super) metadata: BTreeMap<String, Option<Value>>,
}

impl Stated {
    /// States a text, if it is one of the vendor's and can be.
    pub(super) fn text(&mut self, name: &str, text: &str) -> Result<(), Refused> {
        let known = TEXTS.iter().find(|(known, ..)| *known == name);
        let &(name, least, most) =
            known.ok_or_else(|| Refused::invalid(format!("`{name}` is not known")))?;
        let length = text.chars().count();
        if !(least..=most).contains(&length) {
            let message = format!("`{name}` takes {least} to {most} characters, not {length}");
            return Err(Refused::invalid(message));
        }
        if name == "country" && !text.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Refused::invalid("`country` takes two capital letters"));
        }
        if name == REFERENCE {
            self.reference = Some(text.to_owned());
        } else {
            self.texts.insert(name, Some(text.to_owned()));
        }
        Ok(())
    }

    fn meta(&mut self, metadata: &Map<String, Value>) -> Result<(), Refused> {
        for (key, value) in metadata {
            if value.is_array() || value.is_object() {
                return Err(Refused::invalid(format!("`metadata.{key}` takes no list or object")));
            }
            let value = (!value.is_null()).then(|| value.clone());
            self.metadata.insert(key.clone(), value);
        }
        Ok(())
    }
}

/// Reads what a create or an update states.
pub(super) fn stated(call: &Call) -> Result<Stated, Refused> {
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|_| Refused::invalid("the body is no valid JSON"))?;
    if let Some(path) = pan::find(&body) {
        return Err(Refused::invalid(format!("`{path}`: card numbers are not accepted")));
    }
    let fields = body.as_object().ok_or_else(|| Refused::invalid("the body is no object"))?;
    let mut stated = Stated::default();
    for (name, value) in fields {
        match value {
            Value::Object(metadata) if name == "metadata" => stated.meta(metadata)?,
            Value::String(text) => stated.text(name, text)?,
            _ => return Err(Refused::invalid(format!("`{name}` has the wrong type"))),
        }
    }
    Ok(stated)
}

/// `limit` and `offset` of a list.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

impl Window {
    pub(super) fn read(call: &Call) -> Result<Self, Refused> {
        let mut window = Self { limit: None, offset: 0 };
        for (name, value) in call.pairs() {
            let number = value.parse::<usize>();
            let number = number.map_err(|_| Refused::invalid(format!("`{name}` is no number")));
            match name.as_str() {
                "limit" => window.limit = Some(number?),
                "offset" => window.offset = number?,
                _ => return Err(Refused::invalid(format!("unknown option `{name}`"))),
            }
        }
        if window.limit == Some(0) {
            return Err(Refused::invalid("`limit` is at least 1"));
        }
        Ok(window)
    }
}

/// Refuses every query option, for the calls that know none.
pub(super) fn no_query(call: &Call) -> Result<(), Refused> {
    match call.pairs().first() {
        None => Ok(()),
        Some((name, _)) => Err(Refused::invalid(format!("unknown option `{name}`"))),
    }
}

/// Every call says that it sends and takes JSON.
pub(super) fn json_headers(call: &Call) -> Result<(), Refused> {
    for name in ["content-type", "accept"] {
        if !call.header(name).is_some_and(|value| value.starts_with("application/json")) {
            return Err(Refused::invalid(format!("expected the header {name}: application/json")));
        }
    }
    Ok(())
}
