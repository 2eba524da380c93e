//! What trials run in: a runtime of their own, and a database of their own.

use std::future::Future;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use model::SystemClock;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use store::{Store, StoreError, StoreOptions, WrapKey};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::pg::Server;
use crate::times;

/// A trial cannot take place here, and why: it is ignored.
#[derive(Debug)]
pub struct Missing(pub &'static str);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Missing {}

/// The databases that a suite may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// One file, embedded.
    Sqlite,
    /// A server.
    Postgres,
}

impl Database {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The word in a trial's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Seeds that are this database's, where each has so many: no two have the same.
    pub fn share(self, each: u64) -> RangeInclusive<u64> {
        let before = match self {
            Self::Sqlite => 0,
            Self::Postgres => each,
        };
        before + 1..=before + each
    }
}

/// What all trials share.
#[derive(Debug, Default)]
pub struct Env {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Set before the first trial runs, when one of them needs it.
    postgres: OnceLock<Result<Server, String>>,
    /// Whether a missing PostgreSQL fails its trials.
    required: OnceLock<bool>,
}

#[expect(clippy::disallowed_methods, reason = "the harness has no configuration but these")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// What has to be known before the trials are.
pub fn block_on<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(run)
}

impl Env {
    pub fn new() -> Self {
        // Whoever talks TLS in a trial finds a provider; a second call finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self::default()
    }

    /// Starts what the wanted trials need, and says which databases the run uses.
    pub fn begin(&self, args: &Arguments, trials: &[Trial]) {
        let wanted = |database: Database| {
            let part = format!("/{}/", database.as_str());
            !args.list
                && trials.iter().any(|t| t.name().contains(&part) && !args.is_filtered_out(t))
        };
        let _ = self.shared.required.set(variable("ONFILE_REQUIRE_PG").is_some_and(|v| v != "0"));
        let mut said = Vec::new();
        if wanted(Database::Sqlite) {
            said.push(runtime().and_then(|runtime| runtime.block_on(sqlite())).map_or_else(
                |error| format!("SQLite: {error:#}"),
                |version| format!("SQLite {version} (embedded)"),
            ));
        }
        if wanted(Database::Postgres) {
            let url = variable("ONFILE_TEST_PG_URL");
            let server = runtime()
                .and_then(|runtime| runtime.block_on(Server::start(url.as_deref())))
                .map_err(|error| format!("{error:#}"));
            said.push(match &server {
                Ok(server) => server.said().to_owned(),
                Err(why) => format!("no PostgreSQL ({why})"),
            });
            let _ = self.shared.postgres.set(server);
        }
        if !said.is_empty() {
            say(&format!("databases: {}", said.join(", ")));
        }
    }

    /// A trial on a database of its own. The name is `suite/database/case`.
    pub fn trial_on<F, Fut>(&self, suite: &str, on: Database, case: &str, run: F) -> Trial
    where
        F: FnOnce(Arc<TestDb>) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.trial_with(suite, on, case, async move |databases: Databases| {
            let db = Arc::new(databases.create().await?);
            let ended = tokio::spawn(run(Arc::clone(&db))).await;
            databases.remove(&db).await?;
            ended.unwrap_or_else(|join| std::panic::resume_unwind(join.into_panic()))
        })
    }

    /// A trial without a database. The name is `suite/case`.
    pub fn trial<F, Fut>(&self, suite: &str, case: &str, run: F) -> Trial
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let name = format!("{suite}/{case}");
        Trial::test(name.clone(), move || {
            times::measured(&name, || block_on(run())).map_err(failed)
        })
    }

    /// A trial that makes its databases itself.
    pub fn trial_with<F, Fut>(&self, suite: &str, on: Database, case: &str, run: F) -> Trial
    where
        F: FnOnce(Databases) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let shared = Arc::clone(&self.shared);
        let name = format!("{suite}/{}/{case}", on.as_str());
        Trial::ignorable_test(name.clone(), move || {
            if on == Database::Postgres
                && let Some(Err(why)) = shared.postgres.get()
            {
                return if shared.required.get() == Some(&true) {
                    Err(Failed::from(format!("ONFILE_REQUIRE_PG is set: {why}")))
                } else {
                    Ok(Completion::ignored_with("no PostgreSQL"))
                };
            }
            let runtime = runtime().map_err(failed)?;
            let ran = run(Databases { on, shared });
            match times::measured(&name, || runtime.block_on(ran)) {
                Ok(()) => Ok(Completion::Completed),
                Err(error) => match error.downcast::<Missing>() {
                    Ok(missing) => Ok(Completion::ignored_with(missing.0)),
                    Err(error) => Err(failed(error)),
                },
            }
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the function that map_err takes")]
fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:?}"))
}

#[expect(clippy::print_stderr, reason = "the harness speaks to the person who runs it")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

async fn sqlite() -> anyhow::Result<String> {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await?;
    Ok(sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await?)
}

/// Where a trial's databases come from.
#[derive(Debug)]
pub struct Databases {
    /// Which.
    pub on: Database,
    shared: Arc<Shared>,
}

impl Databases {
    /// An empty one.
    pub async fn create(&self) -> anyhow::Result<TestDb> {
        TestDb::create(self.on, &self.shared).await
    }

    /// It is not needed any more.
    pub async fn remove(&self, db: &TestDb) -> anyhow::Result<()> {
        db.remove(&self.shared).await
    }
}

/// A database of one trial.
#[derive(Debug)]
pub struct TestDb {
    /// Which.
    pub database: Database,
    url: String,
    /// SQLite's file.
    file: PathBuf,
    /// PostgreSQL's database.
    name: Option<String>,
    folder: TempDir,
}

impl TestDb {
    /// The rows of a query whose columns are all text and have values.
    pub async fn look(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        let mut rows = Vec::new();
        match self.database {
            Database::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(&self.url).await?;
                for row in sqlx::query(sql).fetch_all(&mut connection).await? {
                    rows.push((0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>()?);
                }
                connection.close().await?;
            }
            Database::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&self.url).await?;
                for row in sqlx::query(sql).fetch_all(&mut connection).await? {
                    rows.push((0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>()?);
                }
                connection.close().await?;
            }
        }
        Ok(rows)
    }

    async fn create(database: Database, shared: &Shared) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("onfile-test-").tempdir()?;
        let file = folder.path().join("store.db");
        let (url, name) = match database {
            Database::Sqlite => (format!("sqlite://{}", file.display()), None),
            Database::Postgres => {
                let server = shared.postgres.get().and_then(|server| server.as_ref().ok());
                let (name, url) =
                    server.context("no PostgreSQL was started")?.create_database().await?;
                (url, Some(name))
            }
        };
        Ok(Self { database, url, file, name, folder })
    }

    /// A database on a server that goes with the trial.
    pub async fn on(server: &Server) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("onfile-test-").tempdir()?;
        let (_, url) = server.create_database().await?;
        let file = folder.path().join("store.db");
        Ok(Self { database: Database::Postgres, url, file, name: None, folder })
    }

    async fn remove(&self, shared: &Shared) -> anyhow::Result<()> {
        match (&self.name, shared.postgres.get()) {
            (Some(name), Some(Ok(server))) => server.drop_database(name).await,
            _ => Ok(()),
        }
    }

    /// Where it is, as the configuration would say it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// SQLite's file.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// A folder of the trial's own.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// A store on a trial's database, opened with these keys: an id and the byte that fills it.
pub async fn open_with(db: &TestDb, keys: &[(&str, u8)]) -> Result<Arc<dyn Store>, StoreError> {
    let wrap_keys = keys.iter().map(|(id, byte)| WrapKey::new(*id, [*byte; 32])).collect();
    store::open(&StoreOptions {
        url: db.url().to_owned(),
        password: None,
        ca_file: None,
        wrap_keys,
        clock: Arc::new(SystemClock),
    })
    .await
}

/// The store of a trial's database.
pub async fn store_for(db: &TestDb) -> anyhow::Result<Arc<dyn Store>> {
    Ok(open_with(db, &[("k1", 1)]).await?)
}
