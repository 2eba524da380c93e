//! The vendor's events: is it really they who call, and what is to be read again.

use std::fmt;

use backend::{BackendError, EventHint, EventSource, HookError, HookRequest};
use model::{RemoteCustomerId, Timestamp, contains_card_number};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::V2Config;
use crate::sign::digest;

/// `WP3-callback {digest}`, the digest in hex, of any case.
const SCHEMA: &[u8] = b"WP3-callback";
/// The greatest body that is looked at; the server refuses larger ones earlier.
const MOST_BYTES: usize = 1024 * 1024;
/// A card was saved.
const TOKENIZED: &str = "payment-method:tokenized";
/// What a bare transaction is called here: it has no name of the vendor's.
const TRANSACTION: &str = "transaction";

/// Verifies the events of one account. `Debug` prints no secret.
pub struct V2Events {
    key: SecretString,
}

impl fmt::Debug for V2Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V2Events").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    event: Option<String>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// The payload of a [`TOKENIZED`] (adopted): all that is looked at.
#[derive(Deserialize)]
struct Tokenized {
    #[serde(default)]
    customer_uuid: Value,
}

impl V2Events {
    /// The events of an account.
    ///
    /// # Errors
    /// As [`V2Config::check`].
    pub fn new(config: &V2Config) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self { key: config.merchant_key.clone() })
    }

    fn is_signed(&self, header: &[u8], body: &[u8]) -> bool {
        let Some(hex) = header.trim_ascii().strip_prefix(SCHEMA) else { return false };
        let mut claimed = [0; 64];
        if !hex.starts_with(b" ") || hex::decode_to_slice(hex.trim_ascii(), &mut claimed).is_err() {
            return false;
        }
        digest(&[self.key.expose_secret().as_bytes(), body]).ct_eq(&claimed).into()
    }
}

fn shape(why: &str) -> HookError {
    HookError::Shape(why.to_owned())
}

impl EventSource for V2Events {
    fn verify(&self, request: HookRequest<'_>, _: Timestamp) -> Result<Vec<EventHint>, HookError> {
        let signature = request.header("authorization").ok_or(HookError::Signature)?;
        if request.body.len() > MOST_BYTES {
            return Err(shape("the body is too large"));
        }
        if !self.is_signed(signature, request.body) {
            return Err(HookError::Signature);
        }
        let no_object = || shape("the body is not an object whose `event` is a text");
        if !request.body.trim_ascii_start().starts_with(b"{") {
            return Err(no_object());
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(request.body).map_err(|_| no_object())?;
        let event_type = envelope.event.unwrap_or_else(|| TRANSACTION.to_owned());
        if !is_word(&event_type) {
            return Err(shape("`event` must be 1 to 255 plain characters"));
        }
        let customers = match envelope.payload {
            Some(payload) if event_type == TOKENIZED => customer(payload).into_iter().collect(),
            _ => Vec::new(),
        };
        Ok(vec![EventHint {
            // The vendor gives no id of the event.
            key: hex::encode(Sha256::digest(request.body)),
            event_type,
            occurred_at: None,
            late: false,
            methods: Vec::new(),
            customers,
            code: None,
            reason: None,
        }])
    }
}

/// Whose card was saved. What is signed is the vendor's own, and its payload is documented nowhere:
/// one of another form is kept as an event that names nothing, not sent back to be sent again.
fn customer(payload: &RawValue) -> Option<RemoteCustomerId> {
    let named: Option<Tokenized> = serde_json::from_str(payload.get()).ok();
    let id = named.and_then(|named| match named.customer_uuid {
        Value::String(id) if !contains_card_number(&id) => RemoteCustomerId::new(id).ok(),
        _ => None,
    });
    if id.is_none() {
        tracing::warn!(event_type = TOKENIZED, "it names no customer");
    }
    id
}

fn is_word(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !text.chars().any(char::is_control)
        && !contains_card_number(text)
}

#[cfg(test)]
mod tests;
