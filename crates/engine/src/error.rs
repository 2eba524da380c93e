//! Why a job did not end well.

use std::fmt;

use backend::{BackendError, TrafficError};
use store::StoreError;

/// What is wrong with an input file as a whole. Nothing of it was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    /// A stable word.
    pub code: &'static str,
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
            Self::File(error) => error.code,
            Self::Store(error) => error.code(),
            Self::Backend(error) => error.kind.as_str(),
            Self::Traffic(_) => "traffic",
            Self::WrongAccount { .. } => "wrong_account",
            Self::FindNotHonoured { .. } => "find_not_honoured",
            Self::AccountFault { .. } => "account_fault",
            Self::ProviderAway { .. } => "provider_away",
            Self::TooManyRejected { .. } => "too_many_rejected",
            Self::Stopped => "stopped",
            Self::Broken(_) => "internal",
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
        Some(match self {
            Self::File(error) => error.hint.clone(),
            Self::WrongAccount { .. } => "is this the right account? nothing was marked as \
                removed; compare the account's identity in the configuration"
                .into(),
            Self::FindNotHonoured { .. } => {
                "the provider ignores the search by reference; nothing was linked; run \
                 `onfile check` and ask the provider"
                    .into()
            }
            Self::AccountFault { .. } => {
                "run `onfile check`; the rows that were not sent are still planned, import the \
                 same file again once the credentials work"
                    .into()
            }
            Self::ProviderAway { .. } => "the rows that were not sent are still planned; import \
                the same file again once the provider answers"
                .into(),
            Self::TooManyRejected { .. } => {
                "nothing was sent; mend the rows named by `onfile report`, or allow more with \
                 --max-rejected"
                    .into()
            }
            Self::Stopped => "what was in flight was finished and is in the rows; import the same \
                file again to go on"
                .into(),
            _ => return None,
        })
    }
}
