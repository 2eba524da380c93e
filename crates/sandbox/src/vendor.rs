//! The seam between the shared machinery (connections, faults, counters, admin door) and one
//! vendor style. Execution is synchronous: it answers from memory and never waits.

use crate::accounts::Shown;
use crate::change::{Change, ChangeError, Changed};
use crate::config::Kind;
use crate::fault::Fault;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// The endpoint name of a request that is none of the vendor's.
pub(crate) const UNKNOWN: &str = "unknown";

/// The account that the fault `empty_account` acts on, with whatever it wrote there.
pub(crate) const NOWHERE: &str = "_empty";

/// One request, read whole.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) seq: u64,
    pub(crate) method: Method,
    /// The path as sent, still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// A header's text, if it is there once or more and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path's segments, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        let decode = |s: &str| percent_encoding::percent_decode_str(s).decode_utf8_lossy().into();
        self.path.split('/').filter(|s| !s.is_empty()).map(decode).collect()
    }

    /// The query's pairs in order, decoded; `+` is a space.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        pairs(self.query.as_deref().unwrap_or_default())
    }
}

/// Decodes `a=b&c=d`.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |s: &str| {
        let spaced = s.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What the vendor answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(http::HeaderName, String)>,
    pub(crate) body: Bytes,
    /// Whether a twist that was asked for took effect.
    pub(crate) twisted: bool,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into(),
            twisted: false,
        }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { body: Bytes::new(), content_type: "", ..Self::json(status, &Value::Null) }
    }

    /// A page as a gateway before the vendor would send it.
    pub(crate) fn html(status: StatusCode) -> Self {
        let body = format!("<html><body><h1>{status}</h1><hr>gateway</body></html>\n");
        Self { body: body.into(), content_type: "text/html", ..Self::json(status, &Value::Null) }
    }

    /// The same answer with a `Retry-After` in seconds.
    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        if let Some(seconds) = seconds {
            self.headers.push((http::header::RETRY_AFTER, seconds.to_string()));
        }
        self
    }
}

/// A fault inside the vendor's own logic, as opposed to one on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    MissingIndex,
    RepeatIndex,
    ForeignIndex,
    RepeatPage,
    ShortPage,
    WrongFind,
    CaseFind,
    EmptyAccount,
}

impl Twist {
    /// The twist of a fault, if it is one.
    pub(crate) fn of(fault: &Fault) -> Option<Self> {
        Some(match fault {
            Fault::MissingIndex => Self::MissingIndex,
            Fault::RepeatIndex => Self::RepeatIndex,
            Fault::ForeignIndex => Self::ForeignIndex,
            Fault::RepeatPage => Self::RepeatPage,
            Fault::ShortPage => Self::ShortPage,
            Fault::WrongFind => Self::WrongFind,
            Fault::CaseFind => Self::CaseFind,
            Fault::EmptyAccount => Self::EmptyAccount,
            _ => return None,
        })
    }
}

/// One vendor style.
pub(crate) trait Vendor: Send + Sync {
    /// Which one.
    fn kind(&self) -> Kind;
    /// The endpoint's name, [`UNKNOWN`] if the request is for none.
    fn route(&self, call: &Call) -> &'static str;
    /// Whether calls of this endpoint are outside of the vendor's rate limit.
    fn unmetered(&self, _endpoint: &str) -> bool {
        false
    }
    /// The account that the request names.
    fn account<'c>(&self, call: &'c Call) -> Option<&'c str>;
    /// The references of the customers that the request concerns.
    fn references(&self, endpoint: &str, call: &Call) -> Vec<String>;
    /// A request arrived that will be executed, perhaps much later.
    fn begin(&self, _call: &Call) {}
    /// Executes the request.
    fn execute(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer;
    /// The vendor's own error body.
    fn refusal(&self, call: &Call, status: StatusCode, code: &str, message: &str) -> Answer;
    /// The answer to a request that the rate limit does not let through.
    fn throttled(&self, call: &Call, seconds: Option<u64>) -> Answer {
        let (status, message) = (StatusCode::TOO_MANY_REQUESTS, "too many requests");
        self.refusal(call, status, "rate_limited", message).retry_after(seconds)
    }
    /// Shows its accounts as they are now.
    fn show(&self, to: &mut dyn FnMut(&dyn Shown));
    /// A change from outside.
    fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError>;
    /// Every access token that was given out ends now, where there are any.
    fn revoke_access(&self) {}
    /// Access tokens given out since the start.
    fn tokens_issued(&self) -> u64 {
        0
    }
}

impl dyn Vendor {
    /// What is seen of its accounts.
    pub(crate) fn seen<T: Default>(&self, look: impl Fn(&dyn Shown) -> T) -> T {
        let mut seen = T::default();
        self.show(&mut |accounts| seen = look(accounts));
        seen
    }
}
