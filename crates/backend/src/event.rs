//! Calls that a provider makes to us.

use std::fmt;
use std::time::Duration;

use model::{RemoteCustomerId, RemoteMethodId, Timestamp};

/// A call as it came in, before anything of it is believed.
#[derive(Debug, Clone, Copy)]
pub struct HookRequest<'a> {
    /// Name (lower case) and value of each header.
    pub headers: &'a [(String, Vec<u8>)],
    /// The exact bytes of the body.
    pub body: &'a [u8],
}

impl<'a> HookRequest<'a> {
    /// The first header of this name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }
}

/// What to read again because of an event. The event's own values are never taken as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHint {
    /// The key by which a repeat is known.
    pub key: String,
    /// The provider's name of the event.
    pub event_type: String,
    /// When the provider says it happened.
    pub occurred_at: Option<Timestamp>,
    /// Older than the replay window: a hint still, and stored as late.
    pub late: bool,
    /// The payment methods it names.
    pub methods: Vec<RemoteMethodId>,
    /// The customers it names.
    pub customers: Vec<RemoteCustomerId>,
    /// A notification-of-change or card-updater code, verbatim.
    pub code: Option<String>,
    /// The provider's words for it, redacted.
    pub reason: Option<String>,
}

/// Why a call is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Not of the vendor's form: 400.
    #[error("not of the vendor's form: {0}")]
    Shape(String),
    /// The signature is absent or wrong: 401.
    #[error("the signature is absent or wrong")]
    Signature,
    /// From the future, beyond the window: 409.
    #[error("the event is from the future, {0:?} ahead")]
    Future(Duration),
}

/// Verifies and reads a provider's events. Pure: time is handed in, nothing is fetched.
pub trait EventSource: Send + Sync + fmt::Debug {
    /// Checks the signature over the raw bytes, in constant time, before anything of the body is
    /// believed; then says what to read again.
    ///
    /// # Errors
    /// [`HookError`] says which answer the sender gets.
    fn verify(&self, request: HookRequest<'_>, now: Timestamp)
    -> Result<Vec<EventHint>, HookError>;
}
