//! Requests as this vendor reads them: unknown properties, a wrong casing and card numbers are
//! refused; null is as good as nothing.

use super::Refused;
use super::config::RequestCasing;
use super::person::Address;
use super::token::Source;
use crate::pan;
use crate::vendor::Call;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Adds an entry to a wallet.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AddMethod {
    token: Option<String>,
    transaction_id: Option<String>,
    pub(super) default: Option<bool>,
    pub(super) billing_address: Option<Address>,
}

/// Makes an entry the default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetDefault {
    pub(super) default: bool,
}

impl AddMethod {
    /// The one source that the request names.
    pub(super) fn source(&mut self) -> Result<Source, Refused> {
        match (self.token.take(), self.transaction_id.take()) {
            (Some(token), None) => Source::token(token),
            (None, Some(id)) => Source::transaction(id),
            (Some(_), Some(_)) | (None, None) => {
                let message = "exactly one of token and transaction_id is expected";
                Err(Refused::invalid("token", message))
            }
        }
    }
}

/// Reads a JSON body strictly.
pub(super) fn read<T: DeserializeOwned>(call: &Call, casing: RequestCasing) -> Result<T, Refused> {
    let json = call.header("content-type").is_some_and(|t| t.starts_with("application/json"));
    if !json {
        return Err(Refused::invalid("", "Content-Type: application/json is expected"));
    }
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|_| Refused::invalid("", "the body is no valid JSON"))?;
    if let Some(path) = pan::find(&body) {
        return Err(Refused::invalid(path, "card numbers are not accepted"));
    }
    serde_path_to_error::deserialize(snake(body, casing)?).map_err(|e| {
        let (path, text) = (e.path().to_string(), e.inner().to_string());
        // serde tells its kinds of errors apart only by their text; no value is repeated here.
        let names = text.starts_with("unknown field") || text.starts_with("missing field");
        let message = match text.split(", expected").next() {
            Some(reason) if names => reason.to_owned(),
            _ => format!("the field `{path}` has the wrong type"),
        };
        Refused::invalid(path, message)
    })
}

/// The body with every property in snake case, but those inside of `metadata`.
fn snake(body: Value, casing: RequestCasing) -> Result<Value, Refused> {
    let Value::Object(fields) = body else { return Ok(body) };
    let mut read = Map::new();
    for (name, value) in fields {
        let plain = snake_name(&name);
        let wrong = match casing {
            RequestCasing::Either => false,
            RequestCasing::Snake => plain != name,
            RequestCasing::Camel => name.contains('_'),
        };
        if wrong {
            return Err(Refused::invalid(name.clone(), format!("unknown field `{name}`")));
        }
        let value = if plain == "metadata" { value } else { snake(value, casing)? };
        if read.insert(plain, value).is_some() {
            return Err(Refused::invalid(name, "the field comes twice"));
        }
    }
    Ok(Value::Object(read))
}

/// `firstName` as `first_name`. A name with a capital at the start is none, and stays.
fn snake_name(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return name.to_owned();
    }
    let mut plain = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            plain.push('_');
            plain.push(c.to_ascii_lowercase());
        } else {
            plain.push(c);
        }
    }
    plain
}
