//! The vendor's events: is it really they who call, and what is to be read again.

use std::fmt;

use backend::{BackendError, EventHint, EventSource, HookError, HookRequest};
use model::{RemoteCustomerId, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use transport::vendor::{Row, is_word};

use crate::config::EcryptConfig;
use crate::wire::{ECRYPT, ID};

/// The greatest body that is looked at; the server refuses larger ones earlier.
const MOST_BYTES: usize = 1024 * 1024;
/// The only `event` that is about customers.
const CUSTOMER: &str = "customer";

/// Verifies the events of one account. `Debug` prints no secret.
///
/// A secret in a header proves who calls, not what is said: an event is a hint, whatever it holds.
pub struct EcryptEvents {
    /// In lower case.
    header: Option<String>,
    secrets: Vec<SecretString>,
}

impl fmt::Debug for EcryptEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcryptEvents")
            .field("header", &self.header)
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

impl EcryptEvents {
    /// The events of an account.
    ///
    /// # Errors
    /// As [`EcryptConfig::check`].
    pub fn new(config: &EcryptConfig) -> Result<Self, BackendError> {
        config.check()?;
        let header = config.webhook_header.as_ref().map(|name| name.to_ascii_lowercase());
        Ok(Self { header, secrets: config.webhook_secrets.clone() })
    }

    /// Whether the header holds one of the secrets. Every secret is compared in full, by digests, so
    /// that time tells neither their letters nor their length.
    fn is_theirs(&self, request: HookRequest<'_>) -> bool {
        let Some(said) = self.header.as_ref().and_then(|name| request.header(name)) else {
            return false;
        };
        let said = Sha256::digest(said.trim_ascii());
        let mut theirs = Choice::from(0);
        for secret in &self.secrets {
            let secret = Sha256::digest(secret.expose_secret().trim().as_bytes());
            theirs |= said.as_slice().ct_eq(secret.as_slice());
        }
        theirs.into()
    }
}

fn shape(why: &str) -> HookError {
    HookError::Shape(why.to_owned())
}

impl EventSource for EcryptEvents {
    fn verify(&self, request: HookRequest<'_>, _: Timestamp) -> Result<Vec<EventHint>, HookError> {
        if !self.is_theirs(request) {
            return Err(HookError::Signature);
        }
        if request.body.len() > MOST_BYTES {
            return Err(shape("the body is too large"));
        }
        let (body, _) = ECRYPT.object(request.body).map_err(|_| shape("the body is no object"))?;
        let body = ECRYPT.row(&body).map_err(|unfit| shape(&unfit.0))?;
        let word = |name| {
            let text = body.get(name).and_then(Value::as_str).filter(|text| is_word(text));
            text.ok_or_else(|| shape("`event` and `action` must be words"))
        };
        let (event, action) = (word("event")?, word("action")?);
        let customers = match body.row("data") {
            Some(data) if event.eq_ignore_ascii_case(CUSTOMER) => customers(data),
            _ => Vec::new(),
        };
        Ok(vec![EventHint {
            // There is no id: the same bytes are the same event.
            key: hex::encode(Sha256::digest(request.body)),
            event_type: format!("{event}.{action}"),
            occurred_at: None,
            late: false,
            methods: Vec::new(),
            customers,
            code: None,
            reason: None,
        }])
    }
}

/// The customer that an event names. Adopted: what `data` holds is documented nowhere, so the id is
/// looked for where answers and other events have one.
fn customers(data: Row<'_>) -> Vec<RemoteCustomerId> {
    let nested = data.get("customer").into_iter();
    let listed = data.get("customers").and_then(Value::as_array).into_iter().flatten();
    let within = nested.chain(listed).filter_map(|customer| match ECRYPT.row(customer) {
        Ok(customer) => id(customer),
        Err(_) => customer.as_str().map(str::to_owned),
    });
    let mut ids: Vec<_> = within.filter_map(|id| RemoteCustomerId::new(id).ok()).collect();
    if ids.is_empty() {
        ids.extend(id(data).and_then(|id| RemoteCustomerId::new(id).ok()));
    }
    if ids.is_empty() {
        tracing::warn!("an event about a customer does not name it");
    }
    ids
}

fn id(row: Row<'_>) -> Option<String> {
    let by = |names: &[&str]| row.first_text(names).ok().flatten();
    by(&["customer_id"]).or_else(|| by(ID))
}

#[cfg(test)]
mod tests;
