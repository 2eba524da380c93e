//! The store on PostgreSQL: many processes, on many machines.
//!
//! Locks are rows, taken in one order everywhere: part, writer, accounts (by name), the rest. A
//! write that links customers holds the account rows of its namespace, so that two of them never
//! make two records of one reference; a commit of intents holds its account's row. Pages and
//! batches are one statement for each table, by `UNNEST`. Every time that a lease or a slot is
//! compared with is the server's.

mod accounts;
mod calls;
mod cancel;
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

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Clock, RunId, Timestamp};
use secrecy::ExposeSecret as _;
use sqlx::migrate::{Migrate as _, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Transaction};

use crate::keys::KeyRow;
use crate::{Keys, StoreError, StoreOptions};

/// The server's clock in microseconds.
macro_rules! now_us {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
    };
}
use now_us;

const MIGRATIONS: [(i64, &str, &str); 10] = [
    (1, "first", include_str!("../../../../migrations/postgres/0001_first.sql")),
    (
        2,
        "staged in file order",
        include_str!("../../../../migrations/postgres/0002_staged_in_file_order.sql"),
    ),
    (3, "expiry", include_str!("../../../../migrations/postgres/0003_expiry.sql")),
    (4, "match by email", include_str!("../../../../migrations/postgres/0004_match_by_email.sql")),
    (5, "rebind", include_str!("../../../../migrations/postgres/0005_rebind.sql")),
    (6, "changes by run", include_str!("../../../../migrations/postgres/0006_changes_by_run.sql")),
    (7, "changes sent", include_str!("../../../../migrations/postgres/0007_changes_sent.sql")),
    (8, "attributes", include_str!("../../../../migrations/postgres/0008_attributes.sql")),
    (9, "scans config", include_str!("../../../../migrations/postgres/0009_scans_config.sql")),
    (10, "schedules", include_str!("../../../../migrations/postgres/0010_schedules.sql")),
];

/// sqlx's own table; locked while one process migrates and the others wait.
const MIGRATED: &str = "_sqlx_migrations";
const LOCK_MIGRATIONS: &str = "LOCK TABLE _sqlx_migrations IN EXCLUSIVE MODE";
const HAS_KEYS: &str = "SELECT to_regclass('keys') IS NOT NULL";
const READ_KEYS: &str = "SELECT purpose, wrapped_by, wrapped FROM keys";
const ADD_KEY: &str =
    "INSERT INTO keys (purpose, wrapped_by, wrapped, created_at) VALUES ($1, $2, $3, $4)";
const DRAW_INCARNATION: &str = "INSERT INTO meta (key, value) VALUES ('incarnation', $1) \
     ON CONFLICT (key) DO NOTHING";

/// Tables that grow together, by what makes them grow.
#[derive(Debug, Clone, Copy)]
enum Growing {
    Staging,
    Mirror,
    Journal,
}

impl Growing {
    const fn analyze(self) -> &'static str {
        match self {
            Self::Staging => "ANALYZE (SKIP_LOCKED) staged_rows",
            Self::Mirror => {
                "ANALYZE (SKIP_LOCKED) remote_customers, remote_methods, customers, methods"
            }
            Self::Journal => "ANALYZE (SKIP_LOCKED) effects, token_links, statements",
        }
    }
}

/// Connections of one process. A page of a pull or a batch of an import holds one for milliseconds.
const CONNECTIONS: u32 = 12;
/// How long a call waits for one of them.
const ACQUIRE: Duration = Duration::from_secs(20);
/// How long a fenced write holds on to its part.
pub(super) const HOLD: Duration = Duration::from_secs(60);

/// The store on PostgreSQL.
pub(crate) struct PostgresStore {
    pool: PgPool,
    keys: Keys,
    clock: Arc<dyn Clock>,
    /// Rows written by this process, by [`Growing`].
    written: [AtomicU64; 3],
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

fn connect_options(options: &StoreOptions) -> Result<PgConnectOptions, StoreError> {
    // sqlx's own words may repeat the URL, and that may hold a password.
    let mut connect = PgConnectOptions::from_str(&options.url)
        .map_err(|_| StoreError::Url("it is not postgres://USER@HOST:PORT/DATABASE".into()))?
        .application_name("onfile")
        .disable_statement_logging();
    if let Some(password) = &options.password {
        connect = connect.password(password.expose_secret());
    }
    if let Some(file) = &options.ca_file {
        connect = connect.ssl_root_cert(file);
    }
    Ok(connect)
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let (name, sql) = (Cow::Borrowed(*name), sqlx::SqlStr::from_static(sql));
            Migration::new(*version, name, MigrationType::Simple, sql, false)
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // sqlx would take an advisory lock, which a pooler between us and the server breaks.
    migrator.set_locking(false);
    migrator
}

async fn key_rows(connection: &mut PgConnection) -> Result<Vec<KeyRow>, StoreError> {
    let rows: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as(READ_KEYS).fetch_all(connection).await?;
    let row = |(purpose, wrapped_by, wrapped)| KeyRow { purpose, wrapped_by, wrapped };
    Ok(rows.into_iter().map(row).collect())
}

/// Brings the schema up to date and opens the keys, all in one transaction.
async fn prepare(
    connection: &mut PgConnection,
    options: &StoreOptions,
) -> Result<Keys, StoreError> {
    let has_keys: bool = sqlx::query_scalar(HAS_KEYS).fetch_one(&mut *connection).await?;
    if has_keys {
        // A wrong key touches nothing, not even a schema that is behind.
        Keys::open(&key_rows(connection).await?, &options.wrap_keys)?;
    } else if options.wrap_keys.is_empty() {
        return Err(StoreError::NoKey);
    }
    let mut tx = connection.begin().await?;
    tx.ensure_migrations_table(MIGRATED).await?;
    sqlx::query(LOCK_MIGRATIONS).execute(&mut *tx).await?;
    migrator().run_direct(None, &mut *tx, false).await?;
    let (keys, missing) = Keys::open(&key_rows(&mut tx).await?, &options.wrap_keys)?;
    let now = options.clock.now().micros();
    for row in missing {
        sqlx::query(ADD_KEY)
            .bind(row.purpose)
            .bind(row.wrapped_by)
            .bind(row.wrapped)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(DRAW_INCARNATION).bind(RunId::generate().as_str()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(keys)
}

impl PostgresStore {
    /// Connects, migrates, opens the keys.
    pub(crate) async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let connect = connect_options(options)?;
        // Not the pool's: it would try again for as long as a call may wait.
        let mut connection = connect.connect().await?;
        let mut tries = 0;
        let keys = loop {
            match prepare(&mut connection, options).await {
                // Two that make the first table at once meet in the catalogue.
                Err(StoreError::Constraint(_) | StoreError::Migration(_)) if tries < 5 => {
                    tries += 1;
                }
                other => break other?,
            }
        };
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(connect);
        let clock = Arc::clone(&options.clock);
        Ok(Self { pool, keys, clock, written: Default::default() })
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Many statements, one state of the database.
    async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(self.pool.begin_with(SNAPSHOT).await?)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Rows were written. A planner that knows nothing of a new table reads all of an account for
    /// each page, until the server's own housekeeping comes by, a minute later by default: so the
    /// first thousand rows, ten thousand and so on of a process are looked at right away.
    fn wrote(&self, growing: Growing, rows: usize) {
        let rows = rows as u64;
        let [staging, mirror, journal] = &self.written;
        let written = match growing {
            Growing::Staging => staging,
            Growing::Mirror => mirror,
            Growing::Journal => journal,
        };
        let before = written.fetch_add(rows, Ordering::Relaxed);
        let crosses = |mark: &u64| before < *mark && before + rows >= *mark;
        if [1_000, 10_000, 100_000, 1_000_000].iter().any(crosses) {
            let pool = self.pool.clone();
            tokio::spawn(async move {
                if let Err(error) = sqlx::query(growing.analyze()).execute(&pool).await {
                    tracing::debug!(%error, "the new rows were not analyzed");
                }
            });
        }
    }
}

/// Microseconds of a duration.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

crate::changes::reads!(PostgresStore, pool);
crate::due::reads!(PostgresStore, pool);
crate::baseline::reads!(PostgresStore, pool, KNOWN_BEFORE, LISTED);

const KNOWN_BEFORE: &str = "SELECT remote_id FROM remote_customers WHERE account = $1 \
     AND remote_id IN (SELECT json_array_elements_text($2::json)) AND first_seen < $3";
const LISTED: &str = "SELECT remote_id FROM remote_customers WHERE account = $1 \
     AND remote_id IN (SELECT json_array_elements_text($2::json)) AND EXISTS (SELECT 1 FROM (SELECT id, started_at FROM scans WHERE account = $1 \
     AND what IN ('customers', 'top') AND state = 'complete' \
     ORDER BY started_at DESC, id DESC LIMIT 1) AS last \
     WHERE remote_customers.scan = last.id OR first_seen < last.started_at - $3)";
crate::export::pages!(PostgresStore, pool);
crate::history::reads!(PostgresStore, pool, PgConnection);
