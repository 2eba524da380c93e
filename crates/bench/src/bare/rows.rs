//! Rows into databases in bulk, the quick way.

use std::path::Path;

use anyhow::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};

/// A SQLite file with the settings of onfile's store: WAL, `synchronous=NORMAL`, pages of 8192
/// bytes, deleted content overwritten.
pub(crate) async fn sqlite(file: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .statement_cache_capacity(256)
        .pragma("secure_delete", "ON")
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", "4000")
        .disable_statement_logging();
    Ok(options.connect().await?)
}

/// `head`, then `row` so many times.
pub(crate) fn values(head: &str, row: &str, rows: usize) -> String {
    format!("{head} VALUES {}", vec![row; rows].join(", "))
}
