//! Why a job did not end well.

use std::fmt;

use backend::{BackendError, TrafficError};
use model::{Code, EffectId, RunId};
use store::{EffectState, LinkRefused, RunState, StoreError};

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

fn canary_failed(line: u64, rows: u64, why: &str) -> String {
    let more = match rows {
        0 | 1 => String::new(),
        rows => format!(" (and {} more)", rows - 1),
    };
    format!("the canary failed: line {line}: {why}{more}")
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
    /// A link that a person asked for.
    #[error(transparent)]
    Link(#[from] LinkRefused),
    /// Nobody is called so.
    #[error("there is no customer {0}")]
    NoSuchCustomer(String),
    /// No payment method is called so.
    #[error("there is no payment method {0}")]
    NoSuchMethod(String),
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
    #[error(
        "account {account}: no call gets through to the provider: it cannot be reached, or says \
         that it is not available"
    )]
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
    /// The canary went well, and the rest waits for a person (rule 7). Not an error of the run.
    #[error("the canary is done and was read back; {waiting} rows wait for approval")]
    AwaitingApproval {
        /// Rows that have something to be sent.
        waiting: u64,
    },
    /// More is gone at the provider than one run may mark as removed (rule 1): a person decides.
    #[error(
        "{customers} customers were on no page of the list, and {methods} payment methods in no list of \
         their customer's, beyond what one run may mark as removed by itself: they stay as they are"
    )]
    MassRemoval {
        /// Customers that the list does not have.
        customers: u64,
        /// Payment methods that their customers' lists do not have.
        methods: u64,
    },
    /// Something of the canary did not take place, or is not there when it is read back.
    #[error("{}", canary_failed(*line, *rows, why))]
    CanaryFailed {
        /// The first line at fault.
        line: u64,
        /// How many rows are.
        rows: u64,
        /// What is wrong with the first; no value of the row.
        why: String,
    },
    /// More rows were refused or are unresolved than allowed. The others stay planned.
    #[error(
        "{failed} of {planned} planned rows were refused or are unresolved, more than \
         --max-failures allows"
    )]
    TooManyFailures {
        /// Refused and unresolved rows.
        failed: u64,
        /// Rows that had something to be sent.
        planned: u64,
    },
    /// What decides the meaning of the run's rows is configured otherwise than when it began.
    #[error(
        "run {run} began under another configuration of account {account}: its identity, \
         reference field, namespace, matching by e-mail, casing, transliteration, what becomes of unfit fields, or the \
         precedence"
    )]
    ConfigChanged {
        /// The run.
        run: RunId,
        /// The account.
        account: String,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// There is no such effect.
    #[error("there is no effect {0}")]
    NoSuchEffect(EffectId),
    /// Only an effect that waits for a person can be resolved by one.
    #[error("effect {effect} is {}, not unresolved", state.as_str())]
    NotUnresolved {
        /// The effect.
        effect: EffectId,
        /// Where it stands.
        state: EffectState,
        /// Whose it is.
        account: String,
    },
    /// A person says that an effect took place, and the provider does not show it.
    #[error("effect {effect} cannot be taken as done: {why}")]
    NotShown {
        /// The effect.
        effect: EffectId,
        /// What was seen.
        why: String,
    },
    /// A person says that an effect had none, and the provider shows what may be it.
    #[error(
        "effect {effect} cannot be taken as absent: the provider shows {shown}, which may be it"
    )]
    StillShown {
        /// The effect.
        effect: EffectId,
        /// The ids of what may be it.
        shown: String,
    },
    /// The run does not stand where it must for what was asked.
    #[error("run {run} is {}, not {wanted}", state.as_str().replace('_', " "))]
    NotResting {
        /// The run.
        run: RunId,
        /// Where it stands.
        state: RunState,
        /// Where it would have to.
        wanted: &'static str,
    },
    /// The run cannot go on from its rows.
    #[error("run {run} cannot go on: {why}")]
    NotResumable {
        /// The run.
        run: RunId,
        /// Why.
        why: &'static str,
    },
    /// A signal or another worker stopped the run; it can be resumed.
    #[error("stopped")]
    Stopped,
    /// A promise of ours that did not hold.
    #[error("internal error: {0}")]
    Broken(&'static str),
}

impl EngineError {
    /// Its code in the published list.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code,
            Self::Store(error) => error.code(),
            Self::Link(refused) => refused.code(),
            Self::NoSuchCustomer(_) => Code::NoSuchCustomer,
            Self::NoSuchMethod(_) => Code::NoSuchMethod,
            Self::Backend(error) => error.kind.code(),
            Self::Traffic(_) => Code::Traffic,
            Self::WrongAccount { .. } => Code::WrongAccount,
            Self::FindNotHonoured { .. } => Code::FindNotHonoured,
            Self::AccountFault { .. } => Code::AccountFault,
            Self::ProviderAway { .. } => Code::ProviderAway,
            Self::TooManyRejected { .. } => Code::TooManyRejected,
            Self::AwaitingApproval { .. } => Code::AwaitingApproval,
            Self::MassRemoval { .. } => Code::MassRemoval,
            Self::CanaryFailed { .. } => Code::CanaryFailed,
            Self::TooManyFailures { .. } => Code::TooManyFailures,
            Self::ConfigChanged { .. } => Code::ConfigChanged,
            Self::NoSuchRun(_) => Code::NoSuchRun,
            Self::NoSuchEffect(_) => Code::NoSuchEffect,
            Self::NotUnresolved { .. } => Code::EffectState,
            Self::NotShown { .. } => Code::NotShown,
            Self::StillShown { .. } => Code::StillShown,
            Self::NotResting { .. } => Code::RunState,
            Self::NotResumable { .. } => Code::NotResumable,
            Self::Stopped => Code::Stopped,
            Self::Broken(_) => Code::Internal,
        }
    }

    /// Whether something is not as it should be: a canary that went well only waits.
    #[must_use]
    pub const fn is_wrong(&self) -> bool {
        !matches!(self, Self::AwaitingApproval { .. })
    }

    /// Whether the run rests rather than fails: nothing is wrong with its rows, and the same
    /// import goes on once the cause is gone.
    #[must_use]
    pub const fn is_pause(&self) -> bool {
        match self {
            Self::Stopped
            | Self::AccountFault { .. }
            | Self::ProviderAway { .. }
            | Self::TooManyFailures { .. } => true,
            Self::Backend(error) => error.is_account_fault() || error.kind.read_is_retryable(),
            Self::Traffic(TrafficError::Credentials(_)) => true,
            Self::File(_)
            | Self::Store(_)
            | Self::Link(_)
            | Self::NoSuchCustomer(_)
            | Self::NoSuchMethod(_)
            | Self::Traffic(TrafficError::Store(_))
            | Self::WrongAccount { .. }
            | Self::FindNotHonoured { .. }
            | Self::TooManyRejected { .. }
            | Self::AwaitingApproval { .. }
            | Self::MassRemoval { .. }
            | Self::CanaryFailed { .. }
            | Self::ConfigChanged { .. }
            | Self::NoSuchRun(_)
            | Self::NoSuchEffect(_)
            | Self::NotUnresolved { .. }
            | Self::NotShown { .. }
            | Self::StillShown { .. }
            | Self::NotResting { .. }
            | Self::NotResumable { .. }
            | Self::Broken(_) => false,
        }
    }

    /// The run that it names.
    const fn run(&self) -> Option<&RunId> {
        match self {
            Self::Store(error) => error.run(),
            Self::ConfigChanged { run, .. } | Self::NotResumable { run, .. } => Some(run),
            _ => None,
        }
    }

    /// What to do about it; `of` is the run that ended so, if one had begun. Runs are named, so
    /// that the line can be copied.
    #[must_use]
    pub fn hint(&self, of: Option<&str>) -> Option<String> {
        match self {
            Self::File(error) => Some(error.hint.clone()),
            Self::Link(refused) => Some(refused.hint()),
            Self::NotUnresolved { state, account, .. } => match state {
                EffectState::Unknown | EffectState::Sending => Some(format!(
                    "`onfile effects settle {account}` asks the provider; so does the next import"
                )),
                EffectState::Planned => Some("the next import sends it again".into()),
                EffectState::Done | EffectState::Refused | EffectState::Unresolved => None,
            },
            Self::NotResting { run, state, .. } => Some(match state {
                RunState::AwaitingApproval => format!("`onfile runs approve {run}` lets it go on"),
                RunState::Paused => format!("`onfile runs resume {run}` goes on"),
                RunState::Planned | RunState::Running => {
                    "a worker holds it: Ctrl-C there leaves it paused; if its process died, its \
                     lease runs out within a minute"
                        .into()
                }
                RunState::Failed => format!(
                    "it has ended; run the same import or pull again: nothing is done twice. \
                     `onfile runs cancel {run}` destroys the tokens it still keeps"
                ),
                RunState::Done | RunState::Cancelled => {
                    "it has ended; run the same import or pull again: nothing is done twice".into()
                }
            }),
            _ => match self.run().map(RunId::as_str).or(of) {
                Some(run) => self.code().hint_in(run),
                None => self.code().hint().map(str::to_owned),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use backend::ErrorKind;

    use super::*;

    #[test]
    fn the_run_that_holds_an_account_is_named_in_the_hint() {
        let run = RunId::generate();
        let busy = StoreError::AccountBusy {
            account: model::AccountName::new("gov").expect("a name"),
            run: run.clone(),
            owner: "w1".into(),
            until: model::Timestamp::from_micros(1),
        };
        let hint = busy.hint();
        assert_eq!(EngineError::from(busy).hint(None), hint);
        let hint = hint.expect("a hint");
        assert!(hint.contains(&format!("`onfile runs resume {run}`")), "{hint}");
    }

    #[test]
    fn a_run_that_rests_is_named_in_its_hint() {
        let account = || "gov".to_owned();
        let call = |kind| EngineError::Backend(BackendError::new(kind, "list customers", "no"));
        for error in [
            EngineError::Stopped,
            EngineError::AccountFault { account: account(), message: "no".into() },
            EngineError::ProviderAway { account: account() },
            EngineError::TooManyFailures { failed: 2, planned: 3 },
            call(ErrorKind::Unauthenticated),
            call(ErrorKind::Forbidden),
            call(ErrorKind::Unavailable),
            call(ErrorKind::Timeout),
        ] {
            assert!(error.is_pause(), "{error}");
            let hint = error.hint(Some("01J")).unwrap_or_default();
            assert!(hint.starts_with("onfile runs resume 01J goes on"), "{error}: {hint}");
        }
        for (error, wanted) in [
            (EngineError::TooManyRejected { rejected: 2, read: 3 }, "`onfile report 01J`"),
            (
                EngineError::CanaryFailed { line: 2, rows: 1, why: String::new() },
                "`onfile report 01J`",
            ),
            (EngineError::AwaitingApproval { waiting: 2 }, "onfile runs cancel 01J"),
        ] {
            let hint = error.hint(Some("01J")).unwrap_or_default();
            assert!(hint.contains(wanted), "{error}: {hint}");
        }
    }
}
