//! The store on SQLite: one file, one connection that writes, a few that read.
//!
//! Every write is `BEGIN IMMEDIATE`: it waits for another process instead of failing half-way.
//! The machine's clock is the database's.

mod accounts;
mod bulk;
mod calls;
mod cancel;
mod connect;
mod decode;
mod groups;
mod import;
mod journal;
mod links;
mod mirror;
mod pull;
mod runs;
mod schedules;
mod settling;
mod shared;
mod traffic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, SystemClock, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::{Fence, Keys, StoreError, StoreOptions};

const BEGIN: &str = "BEGIN IMMEDIATE";
const SYNC_FULL: &str = "PRAGMA synchronous = FULL";
const SYNC_NORMAL: &str = "PRAGMA synchronous = NORMAL";

/// The least that a write holds on to its part, in microseconds.
const HOLD: i64 = 60_000_000;

const FENCE: &str = "UPDATE parts SET lease_until = MAX(lease_until, ?4) \
     WHERE run = ?1 AND no = ?2 AND epoch = ?3";
const HOLD_WRITER: &str = "UPDATE writers SET lease_until = MAX(lease_until, ?2) WHERE run = ?1";

/// The connection that writes, and how durably it is set to.
struct Writer {
    conn: SqliteConnection,
    options: SqliteConnectOptions,
    full: bool,
}

impl Writer {
    const fn new(conn: SqliteConnection, options: SqliteConnectOptions) -> Self {
        Self { conn, options, full: false }
    }

    fn into_inner(self) -> SqliteConnection {
        self.conn
    }

    /// On a full disk SQLite rolls back by itself, and sqlx goes on counting a transaction that
    /// is no more: nothing can begin on that connection again.
    async fn forget_lost_transaction(&mut self) -> Result<(), StoreError> {
        if self.conn.is_in_transaction() {
            // A rollback may be on its way; this waits behind it.
            self.conn.ping().await?;
        }
        if self.conn.is_in_transaction() {
            self.conn = self.options.connect().await?;
            self.full = false;
        }
        Ok(())
    }

    async fn begin_as(&mut self, full: bool) -> Result<Transaction<'_, Sqlite>, StoreError> {
        self.forget_lost_transaction().await?;
        if self.full != full {
            let text = if full { SYNC_FULL } else { SYNC_NORMAL };
            sqlx::query(text).execute(&mut self.conn).await?;
            self.full = full;
        }
        Ok(self.conn.begin_with(BEGIN).await?)
    }

    /// A transaction that a crash of the machine may undo as a whole, with those after it.
    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        self.begin_as(false).await
    }

    /// A transaction that is on the disk, with all before it, when its commit returns.
    async fn begin_durable(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        self.begin_as(true).await
    }
}

/// The store on SQLite.
pub(crate) struct SqliteStore {
    writer: Mutex<Option<Writer>>,
    readers: SqlitePool,
    keys: Keys,
    clock: Arc<dyn Clock>,
    incarnation: String,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// The database's clock: it has none of its own but the machine's. Asked inside a transaction.
fn server_now() -> i64 {
    SystemClock.now().micros()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Whether the part is still the worker's; holds on to it, and to the account if the run writes.
async fn check_fence(conn: &mut SqliteConnection, fence: &Fence) -> Result<(), StoreError> {
    let until = server_now().saturating_add(HOLD);
    let held = sqlx::query(FENCE)
        .bind(fence.run.as_str())
        .bind(i64::from(fence.part))
        .bind(fence.epoch)
        .bind(until)
        .execute(&mut *conn)
        .await?
        .rows_affected();
    if held == 0 {
        return Err(StoreError::Fenced { run: fence.run.clone(), part: fence.part });
    }
    sqlx::query(HOLD_WRITER).bind(fence.run.as_str()).bind(until).execute(conn).await?;
    Ok(())
}

impl SqliteStore {
    pub(crate) async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let opened = connect::open(&options.url, &options.wrap_keys, options.clock.now()).await?;
        Ok(Self {
            writer: Mutex::new(Some(opened.writer)),
            readers: opened.readers,
            keys: opened.keys,
            clock: Arc::clone(&options.clock),
            incarnation: opened.incarnation,
        })
    }

    async fn writer(&self) -> Result<MappedMutexGuard<'_, Writer>, StoreError> {
        MutexGuard::try_map(self.writer.lock().await, Option::as_mut)
            .map_err(|_| StoreError::from(sqlx::Error::PoolClosed))
    }

    /// Many statements, one state of the database.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

crate::changes::reads!(SqliteStore, readers);
crate::due::reads!(SqliteStore, readers);
crate::baseline::reads!(SqliteStore, readers, KNOWN_BEFORE, LISTED);

const KNOWN_BEFORE: &str = "SELECT remote_id FROM remote_customers WHERE account = ?1 \
     AND remote_id IN (SELECT value FROM json_each(?2)) AND first_seen < ?3";
const LISTED: &str = "SELECT remote_id FROM remote_customers WHERE account = ?1 \
     AND remote_id IN (SELECT value FROM json_each(?2)) AND EXISTS (SELECT 1 FROM (SELECT id, started_at FROM scans WHERE account = ?1 \
     AND what IN ('customers', 'top') AND state = 'complete' \
     ORDER BY started_at DESC, id DESC LIMIT 1) AS last \
     WHERE remote_customers.scan = last.id OR first_seen < last.started_at - ?3)";
crate::export::pages!(SqliteStore, readers);
crate::history::reads!(SqliteStore, readers, SqliteConnection);

#[cfg(test)]
mod tests;
