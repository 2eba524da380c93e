//! Requests, pure: what cannot be sent is rejected before anything is.

use backend::{BackendError, Effect, ErrorKind, FieldRule, Prepared, Rejection, Verb};
use model::{Code, FieldName, Profile};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretSlice;
use serde::Serialize;

/// Everything but the characters that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const NO_PATH: &str = "the provider's id cannot stand in the path of a request";

/// Percent-encodes one segment of a path or one value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The path of a route with its ids. `None` where an id is `.` or `..`: a URL cannot carry it,
/// however it is encoded, and the request would go elsewhere.
#[must_use]
pub fn path(route: &'static str, ids: &[&str]) -> Option<String> {
    let mut ids = ids.iter();
    let mut path = String::with_capacity(route.len() + 32);
    for segment in route.split('/').skip(1) {
        path.push('/');
        if segment.starts_with('{') {
            let id = ids.next().filter(|id| !matches!(**id, "" | "." | ".."))?;
            path.push_str(&encode(id));
        } else {
            path.push_str(segment);
        }
    }
    Some(path)
}

/// The path of a read.
///
/// # Errors
/// [`ErrorKind::Invalid`] as [`path`].
pub fn path_for(
    doing: &'static str,
    route: &'static str,
    ids: &[&str],
) -> Result<String, BackendError> {
    path(route, ids).ok_or_else(|| BackendError::new(ErrorKind::Invalid, doing, NO_PATH))
}

/// A rejection that names no field.
#[must_use]
pub fn reject(code: Code, item: usize, message: impl Into<String>) -> Rejection {
    Rejection { code, field: None, message: message.into(), item }
}

/// Whether the stated fields of a profile have the lengths that the provider takes. The profile is
/// in the form in which the provider holds it.
///
/// # Errors
/// [`Code::FieldLength`] with the field, its length and the limit.
pub fn check_fields(rules: &[FieldRule], profile: &Profile) -> Result<(), Rejection> {
    for rule in rules.iter().filter(|rule| rule.field != FieldName::Metadata) {
        let Some(value) = profile.get(rule.field) else { continue };
        let (length, name) = (value.chars().count(), rule.field.as_str());
        let limit = match rule.max {
            Some(max) if max == rule.min => format!("exactly {max}"),
            Some(max) => format!("{} to {max}", rule.min),
            None => format!("at least {}", rule.min),
        };
        if length < rule.min || rule.max.is_some_and(|max| length > max) {
            let message = format!("`{name}` has {length} characters; the provider takes {limit}");
            return Err(Rejection {
                field: Some(rule.field),
                ..reject(Code::FieldLength, 0, message)
            });
        }
    }
    Ok(())
}

/// The request of an effect.
///
/// # Errors
/// [`Code::BadValue`] for an id that no path can carry, or a body that cannot be written.
pub fn prepared(
    effect: &Effect,
    verb: Verb,
    route: &'static str,
    ids: &[&str],
    body: Option<&impl Serialize>,
) -> Result<Prepared, Rejection> {
    let path = path(route, ids).ok_or_else(|| reject(Code::BadValue, 0, NO_PATH))?;
    let body = match body {
        None => Vec::new(),
        Some(body) => {
            // Large enough from the start: growing would leave copies of tokens behind.
            let mut text = Vec::with_capacity(512 * effect.items());
            serde_json::to_writer(&mut text, body).map_err(|error| {
                reject(Code::BadValue, 0, format!("the request cannot be written: {error}"))
            })?;
            text
        }
    };
    let body = SecretSlice::from(body);
    Ok(Prepared { kind: effect.kind(), items: effect.items(), verb, route, path, body })
}
