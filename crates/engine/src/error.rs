//! Why a job did not end well.

use std::fmt;

use backend::{BackendError, TrafficError};
use model::Code;
use store::StoreError;

/// What is wrong with an input file as a whole. Nothing of it was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    /// Why.
    pub code: Code,
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The column's name or number.
    pub column: Option<String>,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ": column {column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a job did not end well.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The input file as a whole.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Permits or credentials.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// None of the customers we know exists there: another merchant's account (rule 1).
    #[error("account {account}: none of {asked} customers that are known to be live was found")]
    WrongAccount {
        /// The account.
        account: String,
        /// How many were looked for.
        asked: usize,
    },
    /// A find answered with somebody else: finding by reference cannot be trusted (rule 2).
    #[error("account {account}: a find by reference answered with another customer")]
    FindNotHonoured {
        /// The account.
        account: String,
    },
    /// The credentials are not taken, or do not allow it. Rows stay planned.
    #[error("account {account}: the provider does not accept the credentials: {message}")]
    AccountFault {
        /// The account.
        account: String,
        /// The provider's words, redacted.
        message: String,
    },
    /// No call gets through. Rows stay planned.
    #[error("account {account}: the provider cannot be reached")]
    ProviderAway {
        /// The account.
        account: String,
    },
    /// Too many rows were rejected; nothing was sent.
    #[error("{rejected} of {read} rows are rejected, more than --max-rejected allows")]
    TooManyRejected {
        /// Rejected rows.
        rejected: u64,
        /// Rows read.
        read: u64,
    },
    /// A signal or another worker stopped the run; it can be resumed.
    #[error("stopped")]
    Stopped,
    /// A promise of ours that did not hold.
    #[error("internal error: {0}")]
    Broken(&'static str),
}

impl EngineError {
    /// The stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code.as_str(),
            Self::Store(error) => error.code(),
            Self::Backend(error) => error.kind.as_str(),
            Self::Traffic(_) => Code::Traffic.as_str(),
            Self::WrongAccount { .. } => Code::WrongAccount.as_str(),
            Self::FindNotHonoured { .. } => Code::FindNotHonoured.as_str(),
            Self::AccountFault { .. } => Code::AccountFault.as_str(),
            Self::ProviderAway { .. } => Code::ProviderAway.as_str(),
            Self::TooManyRejected { .. } => Code::TooManyRejected.as_str(),
            Self::Stopped => Code::Stopped.as_str(),
            Self::Broken(_) => Code::Internal.as_str(),
        }
    }

    /// Whether the run rests rather than fails: nothing is wrong with its rows, and the same
    /// import goes on once the cause is gone.
    #[must_use]
    pub const fn is_pause(&self) -> bool {
        match self {
            Self::Stopped | Self::AccountFault { .. } | Self::ProviderAway { .. } => true,
            Self::Backend(error) => error.is_account_fault() || error.kind.read_is_retryable(),
            Self::Traffic(TrafficError::Credentials(_)) => true,
            Self::File(_)
            | Self::Store(_)
            | Self::Traffic(TrafficError::Store(_))
            | Self::WrongAccount { .. }
            | Self::FindNotHonoured { .. }
            | Self::TooManyRejected { .. }
            | Self::Broken(_) => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => Some(error.hint.clone()),
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::Backend(_) => None,
            _ => Code::parse(self.code()).and_then(Code::hint).map(str::to_owned),
        }
    }
}
