//! Errors of reads and of account-wide calls: a kind to branch on, the vendor's own words beside.

use std::fmt;
use std::time::Duration;

use model::Code;

/// What kind of failure, to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The provider's own error body says that it is not there.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The provider's state forbids it.
    Conflict,
    /// The provider declined what was asked.
    Invalid,
    /// The credentials are not taken. The account's fault, never a row's.
    Unauthenticated,
    /// The credentials do not allow it. The account's fault, never a row's.
    Forbidden,
    /// The provider has no such operation: the guard refused before anything was sent.
    Unsupported,
    /// Too many calls.
    RateLimited,
    /// The provider, or the way to it, is down.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// A changing call may have taken effect. Never repeated blindly.
    OutcomeUnknown,
    /// An answer that is not of the contract's form.
    Malformed,
    /// Our own configuration is at fault (a proxy, a certificate, a URL).
    Config,
}

impl ErrorKind {
    /// Whether a *read* that ended so may be made again.
    #[must_use]
    pub const fn read_is_retryable(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Malformed => true,
            Self::NotFound
            | Self::AlreadyExists
            | Self::Conflict
            | Self::Invalid
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::Unsupported
            | Self::OutcomeUnknown
            | Self::Config => false,
        }
    }

    /// Its code in the published list.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict => Code::Conflict,
            Self::Invalid => Code::Invalid,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::Forbidden,
            Self::Unsupported => Code::Unsupported,
            Self::RateLimited => Code::RateLimited,
            Self::Unavailable => Code::Unavailable,
            Self::Timeout => Code::Timeout,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            Self::Malformed => Code::Malformed,
            Self::Config => Code::Config,
        }
    }

    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.code().as_str()
    }
}

/// A call that did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub struct BackendError {
    /// What kind.
    pub kind: ErrorKind,
    /// What was being done, such as `list customers`.
    pub doing: &'static str,
    /// What is wrong, in one line; redacted by whoever made it.
    pub message: String,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// The provider's own code.
    pub code: Option<Box<str>>,
    /// The provider's id of the request.
    pub request_id: Option<Box<str>>,
    /// When the provider asks to be left alone until.
    pub retry_after: Option<Duration>,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BackendError {
    /// A failure of a kind, with a message.
    #[must_use]
    pub fn new(kind: ErrorKind, doing: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            doing,
            message: message.into(),
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            source: None,
        }
    }

    /// Whether the account as a whole is at fault: the run pauses and no row is called refused.
    #[must_use]
    pub const fn is_account_fault(&self) -> bool {
        matches!(self.kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden | ErrorKind::Config)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.message)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status}")?;
            if let Some(code) = &self.code {
                write!(f, ", code {code}")?;
            }
            if let Some(id) = &self.request_id {
                write!(f, ", request {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
