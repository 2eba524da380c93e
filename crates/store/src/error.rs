//! What can go wrong in the store.

use std::error::Error;

use model::{AccountName, Code, RunId, Timestamp};

use crate::RunState;

/// Where an error came from, for the chain that a log prints.
type Source = Box<dyn Error + Send + Sync>;

/// Why the store did not do what it was asked. Nothing was written, whichever it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another worker has taken the part over: what this one holds of it is void.
    #[error("part {part} of run {run} was taken over by another worker")]
    Fenced {
        /// The run.
        run: RunId,
        /// The part.
        part: u32,
    },
    /// Another run that writes to the account is alive.
    #[error(
        "another run, {run}, holds account {account} (worker {owner}); its lease lasts until {until}"
    )]
    AccountBusy {
        /// The account.
        account: AccountName,
        /// The run that holds it.
        run: RunId,
        /// The worker that holds it.
        owner: String,
        /// When its lease ends, unless the worker renews it.
        until: Timestamp,
    },
    /// The configuration names another account than the one the data came from (rule 1).
    #[error("the {what} of account {account} was {before:?} and is now {now:?}")]
    AccountChanged {
        /// The account.
        account: AccountName,
        /// `kind`, `host`, `merchant` or `environment`.
        what: &'static str,
        /// As the store has it.
        before: String,
        /// As the configuration has it.
        now: String,
    },
    /// The run does not stand where it must for what was asked.
    #[error("run {run} is {}", state.as_str())]
    RunState {
        /// The run.
        run: RunId,
        /// Where it stands.
        state: RunState,
    },
    /// None of the configured keys opens the store.
    #[error("none of the configured encryption keys ({}) opens this store", list(configured))]
    WrongKey {
        /// The ids of the configured keys.
        configured: Vec<String>,
    },
    /// No key is configured.
    #[error("no encryption key is configured")]
    NoKey,
    /// A constraint of the schema was violated.
    #[error("the database refused a row: {0}")]
    Constraint(String),
    /// Something that the caller names does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A value in the database cannot be read back.
    #[error("{what} in the database cannot be read: {why}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// What is wrong with it; never the value.
        why: String,
    },
    /// The database did not answer, or was held by somebody else for too long.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// The disk is full, or a limit of it is reached.
    #[error("the database cannot be written: its disk is full, or a quota or a limit is reached")]
    Full(#[source] Source),
    /// The schema could not be brought up to date.
    #[error("the schema of the database could not be brought up to date")]
    Migration(#[source] Source),
    /// The store's URL cannot be used.
    #[error("the store's URL cannot be used: {0}")]
    Url(String),
    /// The database file lies on a network file system, where file locks do not hold.
    #[error("the database file lies on a network file system ({filesystem})")]
    NetworkFilesystem {
        /// Such as `nfs4`.
        filesystem: String,
    },
    /// Anything else that the database said.
    #[error("the database failed")]
    Database(#[source] Source),
}

fn list(ids: &[String]) -> String {
    ids.join(", ")
}

impl StoreError {
    /// Its code in the published list: what it means and what a person can do about it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Fenced { .. } => Code::Fenced,
            Self::AccountBusy { .. } => Code::AccountBusy,
            Self::AccountChanged { .. } => Code::AccountChanged,
            Self::RunState { .. } => Code::RunState,
            Self::WrongKey { .. } => Code::WrongKey,
            Self::NoKey => Code::NoKey,
            Self::Constraint(_) => Code::Constraint,
            Self::NotFound(_) => Code::NotFound,
            Self::Corrupt { .. } => Code::Corrupt,
            Self::Unavailable(_) => Code::StoreUnavailable,
            Self::Full(_) => Code::DiskFull,
            Self::Migration(_) => Code::MigrationFailed,
            Self::Url(_) => Code::BadStoreUrl,
            Self::NetworkFilesystem { .. } => Code::NetworkFilesystem,
            Self::Database(_) => Code::Database,
        }
    }

    /// The run that holds what was asked for.
    #[must_use]
    pub const fn run(&self) -> Option<&RunId> {
        match self {
            Self::Fenced { run, .. } | Self::AccountBusy { run, .. } => Some(run),
            _ => None,
        }
    }

    /// What to do about it; runs are named, so that the line can be copied.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self.run() {
            Some(run) => self.code().hint_in(run.as_str()),
            None => self.code().hint().map(str::to_owned),
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::AccountBusy { .. })
    }

    pub(crate) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, why: why.to_string() }
    }
}

/// What a code of SQLite (its primary code in the low byte) or of PostgreSQL means to us.
enum Meaning {
    Unavailable,
    Full,
    Other,
}

/// SQLite says FULL when the disk is; past a quota or a file's largest size it says only that it
/// could not write or make the file longer: SQLITE_IOERR_WRITE, _TRUNCATE, _SHMSIZE.
fn is_no_room(code: &str) -> bool {
    matches!(code, "778" | "1546" | "4874")
}

fn meaning(code: &str) -> Meaning {
    // PostgreSQL's codes have five characters, SQLite's are numbers below 10000.
    if code.len() == 5 {
        return match code {
            // disk_full
            "53100" => Meaning::Full,
            // serialization_failure, deadlock_detected, lock_not_available, query_canceled
            "40001" | "40P01" | "55P03" | "57014" => Meaning::Unavailable,
            // connection exceptions, insufficient resources, operator intervention
            _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => {
                Meaning::Unavailable
            }
            _ => Meaning::Other,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CANTOPEN
        Ok(5 | 6 | 14) => Meaning::Unavailable,
        // SQLITE_FULL
        Ok(13) => Meaning::Full,
        _ if is_no_room(code) => Meaning::Full,
        _ => Meaning::Other,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        if let sqlx::Error::Database(said) = &error {
            if !matches!(said.kind(), ErrorKind::Other) {
                let name = said.constraint().map_or_else(
                    // SQLite says `UNIQUE constraint failed: runs.id`, a name and no value.
                    || said.message().rsplit(": ").next().unwrap_or_default().to_owned(),
                    str::to_owned,
                );
                return Self::Constraint(name);
            }
            return match said.code().as_deref().map_or(Meaning::Other, meaning) {
                Meaning::Unavailable => Self::Unavailable(Box::new(error)),
                Meaning::Full => Self::Full(Box::new(error)),
                Meaning::Other => Self::Database(Box::new(error)),
            };
        }
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(Box::new(error)),
            other => Self::Database(Box::new(other)),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => match Self::from(error) {
                Self::Database(source) => Self::Migration(source),
                known => known,
            },
            other => Self::Migration(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_told_apart() {
        for busy in ["5", "261", "517", "6", "40001", "08006", "57P01", "53300"] {
            assert!(matches!(meaning(busy), Meaning::Unavailable), "{busy}");
        }
        for full in ["13", "778", "53100"] {
            assert!(matches!(meaning(full), Meaning::Full), "{full}");
        }
        for other in ["1", "11", "42P01", "22001"] {
            assert!(matches!(meaning(other), Meaning::Other), "{other}");
        }
    }

    #[test]
    fn display_shows_itself_and_the_chain_its_source() {
        let error = StoreError::from(sqlx::Error::PoolTimedOut);
        assert_eq!(error.to_string(), "the database is not available");
        assert!(error.source().is_some());
        assert_eq!(error.code(), Code::StoreUnavailable);
    }
}
