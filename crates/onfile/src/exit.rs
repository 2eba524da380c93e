//! Exit codes, and how errors are shown.

use std::fmt::Write as _;
use std::process::ExitCode;

use engine::{Ended, EngineError, FileError};
use model::Code;
use store::StoreError;

use crate::cli::Global;
use crate::config::ConfigErrors;
use crate::out;

/// How the process ends; scripts hold on to these. The worst is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Everything is as it should be.
    Clean,
    /// Differences, or rejected, refused or unresolved rows, over the threshold.
    Differences,
    /// Stopped, resumable.
    Stopped,
    /// An error.
    Error,
    /// The configuration is wrong.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Error => 1,
            Exit::Differences => 2,
            Exit::Stopped => 3,
            Exit::Config => 4,
        })
    }
}

/// The code for a job.
pub(crate) fn of_job(ended: &Ended) -> Exit {
    if let Some(error) = &ended.error {
        return of_engine(error);
    }
    // What a dry run leaves open is planned, not declined.
    let planned = ended.summary.planned.values().sum();
    let declined = ended.summary.rows.map_or(0, |rows| rows.declined(planned));
    if declined > 0 { Exit::Differences } else { Exit::Clean }
}

/// The code for a job that ended with this error.
pub(crate) fn of_engine(error: &EngineError) -> Exit {
    match error {
        EngineError::TooManyRejected { .. } => Exit::Differences,
        EngineError::Store(error) => of_store(error),
        EngineError::ConfigChanged { .. } => Exit::Config,
        EngineError::AwaitingApproval { .. } | EngineError::MassRemoval { .. } => Exit::Stopped,
        error if error.is_pause() => Exit::Stopped,
        _ => Exit::Error,
    }
}

fn of_store(error: &StoreError) -> Exit {
    match error {
        StoreError::AccountChanged { .. }
        | StoreError::WrongKey { .. }
        | StoreError::NoKey
        | StoreError::Url(_) => Exit::Config,
        _ => Exit::Error,
    }
}

/// Shows an error with its causes and its hint, and says how the process ends.
pub(crate) fn report(global: &Global, error: &anyhow::Error) -> Exit {
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        if global.json {
            out::json(&serde_json::json!({ "errors": errors.errors() }));
        }
        out::error_line(&errors.to_string());
        return Exit::Config;
    }
    let (exit, code, hint) = if let Some(error) = error.downcast_ref::<EngineError>() {
        (of_engine(error), error.code(), error.hint(None))
    } else if let Some(error) = error.downcast_ref::<StoreError>() {
        (of_store(error), error.code(), error.hint())
    } else if let Some(error) = error.downcast_ref::<backend::BackendError>() {
        (Exit::Error, error.kind.code(), None)
    } else {
        (Exit::Error, Code::Error, None)
    };
    let mut text = match code {
        Code::Error => format!("error: {error}"),
        code => format!("error[{code}]: {error}"),
    };
    for cause in error.chain().skip(1) {
        let _infallible = write!(text, "\n  because: {cause}");
    }
    if let Some(hint) = &hint {
        let _infallible = write!(text, "\n  hint: {hint}");
    }
    if global.json {
        let message = error.to_string();
        let document = match error.downcast_ref() {
            Some(EngineError::File(FileError { file, line, column, .. })) => serde_json::json!({
                "code": code.as_str(), "message": message, "hint": hint,
                "file": file, "line": line, "column": column,
            }),
            _ => serde_json::json!({ "code": code.as_str(), "message": message, "hint": hint }),
        };
        out::json(&serde_json::json!({ "errors": [document] }));
    }
    out::error_line(&text);
    exit
}
