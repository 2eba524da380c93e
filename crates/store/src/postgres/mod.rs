//! The store on PostgreSQL: many processes, on many machines.
//!
//! Locks are rows, taken in one order everywhere: part, writer, accounts (by name), the rest. A
//! write that links customers holds the account rows of its namespace, so that two of them never
//! make two records of one reference; a commit of intents holds its account's row. Pages and
//! batches are one statement for each table, by `UNNEST`. Every time that a lease or a slot is
//! compared with is the server's.

mod accounts;
mod cancel;
mod decode;
mod groups;
mod import;
mod journal;
mod links;
mod mirror;
mod pull;
mod runs;
mod settling;
mod shared;
mod traffic;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::{
    AccountName, Clock, CustomerId, EffectId, MethodId, RemoteCustomerId, RemoteMethodId, RunId,
    Timestamp,
};
use secrecy::ExposeSecret as _;
use sqlx::migrate::{Migrate as _, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Transaction};

use crate::keys::KeyRow;
use crate::{
    AccountRow, Changed, ClaimedPart, CommittedEffect, CustomerHistory, CustomersApplied,
    CustomersWrite, Due, EffectOutcome, EffectQuery, EffectRecord, EffectRow, ExportedCustomer,
    ExportedLink, ExportedMethod, Fence, FinishRows, Group, GroupPage, Identity, Intent,
    IntentAnswer, Join, Keys, Lease, LinkMove, LinkMoved, LinkRefused, MatchFinding, MethodHistory,
    MethodsApplied, MethodsUnread, MethodsWrite, MirrorStats, NewRun, NewScan, Owner, PageKey,
    PlannedRow, RowPlan, RowRecord, RowTally, RunEnd, RunRecord, RunState, ScanState, SharedToken,
    StagedRow, Store, StoreError, StoreInfo, StoreOptions, Subjects, UnderWay, Unsettled, Which,
};

/// The server's clock in microseconds.
macro_rules! now_us {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
    };
}
use now_us;

const MIGRATIONS: [(i64, &str, &str); 9] = [
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
const INFO: &str = "SELECT current_setting('server_version'), \
     (SELECT max(version) FROM _sqlx_migrations), \
     (SELECT value FROM meta WHERE key = 'incarnation')";

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

#[async_trait]
impl Store for PostgresStore {
    fn keys(&self) -> &Keys {
        &self.keys
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let (version, schema, incarnation): (String, Option<i64>, Option<String>) =
            sqlx::query_as(INFO).fetch_one(&self.pool).await?;
        let version = version.split(' ').next().unwrap_or_default();
        Ok(StoreInfo {
            engine: format!("PostgreSQL {version}"),
            schema: schema.unwrap_or_default(),
            incarnation: incarnation.unwrap_or_default(),
        })
    }

    async fn bind_accounts(&self, accounts: &[AccountRow]) -> Result<(), StoreError> {
        self.bind_all(accounts).await
    }

    async fn rebind_account(&self, account: &AccountRow) -> Result<Identity, StoreError> {
        self.rebind(account).await
    }

    async fn token_identities(&self) -> Result<Vec<(AccountName, String)>, StoreError> {
        self.read_token_identities().await
    }

    async fn recompute(&self, most: u32) -> Result<Option<u64>, StoreError> {
        self.recompute_next(most).await
    }

    async fn rank_file(&self, rank: u32) -> Result<(), StoreError> {
        self.write_file_rank(rank).await
    }

    async fn mirror_stats(&self, account: &AccountName) -> Result<MirrorStats, StoreError> {
        self.stats_of(account).await
    }

    async fn live_customer_ids(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.live_ids(account, most).await
    }

    async fn begin_run(
        &self,
        run: &NewRun,
        owner: &Owner,
        lease: Duration,
    ) -> Result<(), StoreError> {
        self.make_run(run, owner, lease).await
    }

    async fn claim_part(
        &self,
        run: &RunId,
        owner: &Owner,
        lease: Duration,
    ) -> Result<Option<ClaimedPart>, StoreError> {
        self.take_part(run, owner, lease).await
    }

    async fn heartbeat(&self, fence: &Fence, lease: Duration) -> Result<(), StoreError> {
        self.hold_on(fence, lease).await
    }

    async fn end_run(&self, fence: &Fence, end: &RunEnd) -> Result<(), StoreError> {
        self.write_end(fence, end).await
    }

    async fn input_read(&self, fence: &Fence, sha256: &str) -> Result<(), StoreError> {
        self.put_input(fence, sha256).await
    }

    async fn keep_args(&self, fence: &Fence, args: &str) -> Result<(), StoreError> {
        self.put_args(fence, args).await
    }

    async fn reopen_run(
        &self,
        run: &RunId,
        from: &[RunState],
        args: &str,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError> {
        self.take_up_run(run, from, args, owner, lease).await
    }

    async fn cancel_run(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        self.write_cancelled(run, summary).await
    }

    async fn cancel_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Option<u64>, StoreError> {
        self.write_cancelled_rows(run, after_line, most).await
    }

    async fn sum_up(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        self.write_summary(run, summary).await
    }

    async fn load_heads(
        &self,
        fence: &Fence,
        account: &AccountName,
        heads: &[u64],
    ) -> Result<Vec<Group>, StoreError> {
        self.groups_of(fence, account, heads).await
    }

    async fn planned_rows(
        &self,
        fence: &Fence,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<PlannedRow>, StoreError> {
        self.read_planned(fence, after_line, most).await
    }

    async fn runs(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.latest_runs(most).await
    }

    async fn runs_in(
        &self,
        account: &AccountName,
        state: RunState,
    ) -> Result<Vec<RunRecord>, StoreError> {
        self.runs_standing(account, state).await
    }

    async fn under_way(&self, run: &RunId) -> Result<UnderWay, StoreError> {
        self.read_under_way(run).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        self.one_run(run).await
    }

    async fn stage_rows(&self, fence: &Fence, rows: Vec<StagedRow>) -> Result<(), StoreError> {
        self.stage(fence, rows).await
    }

    async fn join_rows(&self, fence: &Fence, joins: Vec<Join>) -> Result<(), StoreError> {
        self.join(fence, joins).await
    }

    async fn know(
        &self,
        fence: &Fence,
        account: &AccountName,
        rows: Vec<StagedRow>,
    ) -> Result<Vec<Group>, StoreError> {
        self.known_groups(fence, account, rows).await
    }

    async fn load_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: u64,
        which: Which,
        most: u32,
    ) -> Result<GroupPage, StoreError> {
        self.groups(fence, account, after, which, most).await
    }

    async fn shared_tokens(&self, fence: &Fence) -> Result<Vec<SharedToken>, StoreError> {
        self.read_shared_tokens(fence).await
    }

    async fn commit_plan(&self, fence: &Fence, rows: Vec<RowPlan>) -> Result<(), StoreError> {
        self.write_plan(fence, rows).await
    }

    async fn finish_rows(
        &self,
        fence: &Fence,
        account: &AccountName,
        finish: FinishRows,
    ) -> Result<(), StoreError> {
        self.finish(fence, account, finish).await
    }

    async fn tally(&self, run: &RunId) -> Result<RowTally, StoreError> {
        self.count_rows(run).await
    }

    async fn subjects(&self, run: &RunId) -> Result<Subjects, StoreError> {
        self.count_subjects(run).await
    }

    async fn rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        self.row_records(run, after_line, most).await
    }

    async fn bad_rows(&self, run: &RunId, most: u32) -> Result<Vec<RowRecord>, StoreError> {
        self.bad_row_records(run, most).await
    }

    async fn personal_values(
        &self,
        run: &RunId,
        references: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        self.stated_personally(run, references).await
    }

    async fn commit_intents(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError> {
        self.intend(fence, account, intents).await
    }

    async fn commit_outcomes(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError> {
        self.settle(fence, account, outcomes).await
    }

    async fn take_over(&self, fence: &Fence, account: &AccountName) -> Result<u64, StoreError> {
        self.mark_unknown(fence, account).await
    }

    async fn unsettled(
        &self,
        account: &AccountName,
        after: Option<&EffectId>,
        most: u32,
    ) -> Result<Vec<Unsettled>, StoreError> {
        self.read_unsettled(account, after, most).await
    }

    async fn effects(&self, query: &EffectQuery) -> Result<Vec<EffectRecord>, StoreError> {
        self.list_effects(query).await
    }

    async fn effect(&self, id: &EffectId) -> Result<Option<Unsettled>, StoreError> {
        self.read_effect(id).await
    }

    async fn effects_of_run(&self, run: &RunId, most: u32) -> Result<Vec<EffectRow>, StoreError> {
        self.run_effects(run, most).await
    }

    async fn begin_scan(&self, fence: &Fence, scan: &NewScan) -> Result<String, StoreError> {
        self.make_scan(fence, scan).await
    }

    async fn apply_customers(
        &self,
        fence: &Fence,
        write: CustomersWrite,
    ) -> Result<CustomersApplied, StoreError> {
        self.write_customers(fence, write).await
    }

    async fn apply_methods(
        &self,
        fence: &Fence,
        write: MethodsWrite,
    ) -> Result<MethodsApplied, StoreError> {
        self.write_methods(fence, write).await
    }

    async fn end_scan(
        &self,
        fence: &Fence,
        scan: &str,
        state: ScanState,
    ) -> Result<(), StoreError> {
        self.write_scan_end(fence, scan, state).await
    }

    async fn unseen_customers(
        &self,
        scan: &str,
        settled: Timestamp,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.read_unseen(scan, settled, after, most).await
    }

    async fn last_complete_scan(
        &self,
        account: &AccountName,
        config: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.find_last_complete(account, config).await
    }

    async fn listed(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError> {
        self.find_listed(account, ids).await
    }

    async fn known_before(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
        before: Timestamp,
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError> {
        self.find_known(account, ids, before).await
    }

    async fn due_customers(
        &self,
        account: &AccountName,
        due: &Due,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.read_due(account, due, after, most).await
    }

    async fn read_longest_ago(
        &self,
        account: &AccountName,
        since: Timestamp,
        before_it: u64,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.find_longest_ago(account, since, before_it).await
    }

    async fn unlisted_methods(
        &self,
        account: &AccountName,
        since: Timestamp,
        settled: Timestamp,
        after: Option<&(RemoteCustomerId, RemoteMethodId)>,
        most: u32,
    ) -> Result<Vec<(RemoteCustomerId, RemoteMethodId)>, StoreError> {
        self.read_unlisted(account, since, settled, after, most).await
    }

    async fn removed_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        self.count_removed(account, since).await
    }

    async fn methods_unread(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<MethodsUnread, StoreError> {
        self.count_unread(account, since).await
    }

    async fn matching(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<MatchFinding>, StoreError> {
        self.read_matching(account, most).await
    }

    async fn move_links(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Vec<Result<LinkMoved, LinkRefused>>, StoreError> {
        self.write_links_moved(account, moves, dry).await
    }

    async fn export_customers(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedCustomer>, StoreError> {
        self.page_of_customers(account, after, most).await
    }

    async fn export_methods(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedMethod>, StoreError> {
        self.page_of_methods(account, after, most).await
    }

    async fn export_links(
        &self,
        account: &AccountName,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedLink>, StoreError> {
        self.page_of_links(account, after, most).await
    }

    async fn find_customers(&self, id: &str) -> Result<Vec<CustomerId>, StoreError> {
        self.customers_called(id).await
    }

    async fn find_methods(&self, id: &str) -> Result<Vec<MethodId>, StoreError> {
        self.methods_called(id).await
    }

    async fn customer_history(
        &self,
        id: &CustomerId,
    ) -> Result<Option<CustomerHistory>, StoreError> {
        self.history_of_customer(id).await
    }

    async fn method_history(&self, id: &MethodId) -> Result<Option<MethodHistory>, StoreError> {
        self.history_of_method(id).await
    }

    async fn changes_of_run(
        &self,
        run: &RunId,
        after: i64,
        most: u32,
    ) -> Result<Vec<Changed>, StoreError> {
        self.read_changes(run, after, most).await
    }

    async fn lease_permits(
        &self,
        account: &AccountName,
        per_second: f64,
        want: u32,
    ) -> Result<Lease, StoreError> {
        self.reserve(account, per_second, want).await
    }

    async fn close_gate(&self, account: &AccountName, pause: Duration) -> Result<(), StoreError> {
        self.shut(account, pause).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
