//! The vendor's events: is it really they who call, when was it, and what is to be read again.

use std::fmt;
use std::time::Duration;

use backend::{BackendError, EventHint, EventSource, HookError, HookRequest};
use hmac::{Hmac, KeyInit, Mac};
use model::{RemoteMethodId, Timestamp, contains_card_number};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use transport::vendor_text;

use crate::config::ProxyTokenConfig;

/// Hex HMAC-SHA256 of `{timestamp}.{raw body}`, perhaps after `sha256=`.
const SIGNATURE: &str = "x-webhook-signature";
/// The greatest body that is looked at; the server refuses larger ones earlier.
const MOST_BYTES: usize = 1024 * 1024;
/// Saved payment methods that the card networks or a bank changed.
const NOC: &str = "provider.noc";

/// Verifies the events of one account. `Debug` prints no secret.
pub struct ProxyTokenEvents {
    secrets: Vec<SecretString>,
    window: Duration,
}

impl fmt::Debug for ProxyTokenEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyTokenEvents")
            .field("secrets", &self.secrets.len())
            .field("window", &self.window)
            .finish()
    }
}

/// All that is looked at before the signature is checked. What else stands in the body is skipped
/// without recursion, however deep it is nested.
#[derive(Deserialize)]
struct Stamp<'a> {
    #[serde(borrow)]
    timestamp: &'a RawValue,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    webhook_id: String,
    event_type: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// `data` of a `provider.noc` (adopted).
#[derive(Deserialize, Default)]
struct Noc {
    #[serde(default)]
    saved_payment_method_ids: Vec<Value>,
    #[serde(default)]
    code: Value,
    #[serde(default)]
    reason: Value,
}

impl ProxyTokenEvents {
    /// The events of an account.
    ///
    /// # Errors
    /// As [`ProxyTokenConfig::check`].
    pub fn new(config: &ProxyTokenConfig) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self { secrets: config.webhook_secrets.clone(), window: config.replay_window })
    }

    /// Whether one of the secrets signed it. Every secret is tried in full, so that time tells
    /// nothing.
    fn is_signed(&self, signature: &[u8], timestamp: &str, body: &[u8]) -> bool {
        let Some(claimed) = claimed(signature) else { return false };
        let mut signed = Choice::from(0);
        for secret in &self.secrets {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            else {
                continue;
            };
            mac.update(timestamp.as_bytes());
            mac.update(b".");
            mac.update(body);
            signed |= mac.finalize().into_bytes().as_slice().ct_eq(&claimed);
        }
        signed.into()
    }
}

fn claimed(header: &[u8]) -> Option<[u8; 32]> {
    let header = header.trim_ascii();
    let mut claimed = [0; 32];
    hex::decode_to_slice(header.strip_prefix(b"sha256=").unwrap_or(header), &mut claimed).ok()?;
    Some(claimed)
}

fn shape(why: &str) -> HookError {
    HookError::Shape(why.to_owned())
}

impl EventSource for ProxyTokenEvents {
    fn verify(
        &self,
        request: HookRequest<'_>,
        now: Timestamp,
    ) -> Result<Vec<EventHint>, HookError> {
        let signature = request.header(SIGNATURE).ok_or(HookError::Signature)?;
        if request.body.len() > MOST_BYTES {
            return Err(shape("the body is too large"));
        }
        // The timestamp is signed as it is written, and it is written inside the body.
        let stamp: Stamp<'_> = serde_json::from_slice(request.body)
            .map_err(|_| shape("the body is not an object with one `timestamp`"))?;
        let timestamp = stamp.timestamp.get();
        let seconds: i64 =
            timestamp.parse().map_err(|_| shape("`timestamp` is not a whole number"))?;
        if !self.is_signed(signature, timestamp, request.body) {
            return Err(HookError::Signature);
        }
        let occurred_at = Timestamp::from_seconds(seconds);
        if occurred_at.since(now) > self.window {
            return Err(HookError::Future(occurred_at.since(now)));
        }
        let event: Envelope<'_> = serde_json::from_slice(request.body)
            .map_err(|_| shape("`webhook_id` and `event_type` must be texts"))?;
        if !is_word(&event.webhook_id) || !is_word(&event.event_type) {
            return Err(shape("`webhook_id` and `event_type` must be 1 to 255 plain characters"));
        }
        let noc = match event.data {
            Some(data) if event.event_type == NOC => noc(data),
            _ => Noc::default(),
        };
        Ok(vec![EventHint {
            key: event.webhook_id,
            event_type: event.event_type,
            occurred_at: Some(occurred_at),
            late: now.since(occurred_at) > self.window,
            methods: methods(&noc.saved_payment_method_ids),
            customers: Vec::new(),
            code: text(&noc.code)
                .filter(|code| is_word(code) && code.len() <= 64)
                .map(str::to_owned),
            reason: text(&noc.reason).map(vendor_text),
        }])
    }
}

/// What is signed is the vendor's own, and its `data` is documented nowhere: one of another form
/// is kept as an event that names nothing, not sent back to be sent again.
fn noc(data: &RawValue) -> Noc {
    serde_json::from_str(data.get()).unwrap_or_else(|_| {
        tracing::warn!(event_type = NOC, "its data is not of the adopted form");
        Noc::default()
    })
}

fn methods(values: &[Value]) -> Vec<RemoteMethodId> {
    let mut ids = Vec::with_capacity(values.len());
    for value in values {
        match text(value).and_then(|id| RemoteMethodId::new(id).ok()) {
            Some(id) => ids.push(id),
            None => tracing::warn!(event_type = NOC, "it names something that is no id"),
        }
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

/// A text that holds no card number (rule 13).
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && !contains_card_number(text))
}

fn is_word(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !text.chars().any(char::is_control)
        && !contains_card_number(text)
}

#[cfg(test)]
mod tests;
