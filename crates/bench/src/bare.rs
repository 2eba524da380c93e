//! Peers: the same work without what onfile is for. No journal, no lease, no comparing with what
//! was known, no canonical record, no rate limit; an error ends them.

mod http;
mod import;
mod journal;
mod pull;
mod rows;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use sqlx::Connection as _;

pub(crate) use table::schema;

#[derive(Debug, Subcommand)]
pub(crate) enum Work {
    /// Ends at once: what a process costs
    Nothing,
    /// Opens a SQLite file and reads the latest runs
    Runs { file: PathBuf },
    /// Reads every customer and its payment methods, and inserts them into a database
    Pull {
        #[command(flatten)]
        at: At,
        /// `sqlite://FILE` or `postgres://…`
        database: String,
    },
    /// Creates a file's customers and posts its payment methods in batches
    Import {
        #[command(flatten)]
        at: At,
        file: PathBuf,
    },
    /// Inserts a file into a STRICT table of SQLite
    Table { file: PathBuf, database: PathBuf },
    /// Commits batches of intents and outcomes to a table
    Journal { database: PathBuf, effects: u64 },
    /// Commits the same to onfile's store, through its own code
    StoreJournal { database: PathBuf, effects: u64 },
}

/// A provider.
#[derive(Debug, Args)]
pub(crate) struct At {
    base_url: String,
    /// Calls under way together
    in_flight: usize,
}

/// Does it.
pub(crate) async fn run(work: Work) -> Result<()> {
    match work {
        Work::Nothing => Ok(()),
        Work::Runs { file } => runs(&file).await,
        Work::Pull { at, database } => pull::run(&at, &database).await,
        Work::Import { at, file } => import::run(&at, &file).await,
        Work::Table { file, database } => table::run(&file, &database).await,
        Work::Journal { database, effects } => journal::bare(&database, effects).await,
        Work::StoreJournal { database, effects } => journal::store(&database, effects).await,
    }
}

async fn runs(file: &Path) -> Result<()> {
    let mut connection = rows::sqlite(file).await?;
    let latest =
        "SELECT id, job, account, state, summary FROM runs ORDER BY created_at DESC LIMIT 50";
    let found = sqlx::query(latest).fetch_all(&mut connection).await?;
    anyhow::ensure!(!found.is_empty(), "the store has no run");
    Ok(connection.close().await?)
}
