//! What goes down to the wire and what comes back.

use std::fmt;
use std::time::Duration;

use backend::{NotSent, Verb};
use bytes::Bytes;
use model::Timestamp;
use secrecy::SecretString;

/// One HTTP request below an adapter. `Debug` prints verb and route only.
pub struct HttpRequest {
    /// The verb.
    pub verb: Verb,
    /// The endpoint with placeholders, for logs and counters: bounded, no ids.
    pub route: &'static str,
    /// Percent-encoded, begins with `/`, and is put behind the path of the base URL. Or, for a
    /// provider's own next link, an absolute URL of the same origin; any other is
    /// [`backend::ErrorKind::Malformed`].
    ///
    /// [`Credentials::headers`](crate::Credentials::headers) sees the path as it is on the wire.
    pub path: String,
    /// Exactly as sent, percent-encoded, without `?`; may be empty. Empty where `path` is an
    /// absolute URL that has a query of its own.
    pub query: String,
    /// The exact bytes; may be empty.
    pub body: Bytes,
    /// The type of the body.
    pub content_type: Option<&'static str>,
    /// The adapter's own headers, without credentials.
    pub headers: Vec<(&'static str, SecretString)>,
    /// A read's 2xx answer must be JSON: one that does not begin and end as JSON (a proxy's page,
    /// a body that was cut without a word) counts as broken, and the read is made again.
    pub json_answer: bool,
}

impl HttpRequest {
    /// A request without query, body or headers, whose answer is JSON.
    #[must_use]
    pub const fn new(verb: Verb, route: &'static str, path: String) -> Self {
        Self {
            verb,
            route,
            path,
            query: String::new(),
            body: Bytes::new(),
            content_type: None,
            headers: Vec::new(),
            json_answer: true,
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("verb", &self.verb)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status. `Debug` prints no body.
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The whole body. Empty where only the status of a 429 could be read.
    pub body: Bytes,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// How long the provider wants to be left alone, at most an hour.
    pub retry_after: Option<Duration>,
    /// When the request began: what the answer says is true of no earlier time (rule 2).
    pub as_of: Timestamp,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// What became of a changing call.
#[derive(Debug)]
pub enum Sent {
    /// The provider answered, with any status. A 429 or 503 has closed the gate already, a 401
    /// has called [`Credentials::rejected`](crate::Credentials::rejected).
    Answered(HttpResponse),
    /// Nothing left this machine.
    NotSent(NotSent),
    /// It may have taken place: a timeout, a broken or cut answer, a reset. One redacted line.
    Unknown(String),
}
