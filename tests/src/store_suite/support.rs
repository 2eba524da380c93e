//! What the cases share: a store at hand, things to write into it, and a look at the rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use model::{
    AccountName, Address, CardFacts, EffectKind, Expiry, Last4, MethodFacts, Profile, Reference,
    RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId, RemoteStatus, RunId, Timestamp,
    Token, TokenKind,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use store::{
    AccountRow, CustomersWrite, Fence, Group, Intent, Join, NewRun, Overlap, Owner, StagedMethod,
    StagedRow, Store, StoreError, Which,
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::env::{Database, TestDb, open_with, store_for};

/// How long leases of the cases are: longer than any case takes.
pub const LEASE: Duration = Duration::from_secs(90);

/// What a case has: a database of its own, and a store opened on it with the accounts `alpha`
/// (rank 0) and `beta` (rank 1) bound.
#[derive(Debug)]
pub struct Cx {
    pub db: Arc<TestDb>,
    pub store: Arc<dyn Store>,
    /// Where the case looks into PostgreSQL itself: a server makes a process for each connection.
    look: Mutex<Option<PgConnection>>,
}

impl Cx {
    pub async fn new(db: Arc<TestDb>) -> anyhow::Result<Self> {
        let store = store_for(&db).await?;
        store.bind_accounts(&[account_row("alpha", 0)?, account_row("beta", 1)?]).await?;
        Ok(Self { db, store, look: Mutex::new(None) })
    }

    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Another store on the same database, with the same key.
    pub async fn another(&self) -> Result<Arc<dyn Store>, StoreError> {
        open_with(&self.db, &[("k1", 1)]).await
    }

    async fn look(&self) -> anyhow::Result<MappedMutexGuard<'_, PgConnection>> {
        let mut look = self.look.lock().await;
        if look.is_none() {
            *look = Some(PgConnection::connect(self.db.url()).await?);
        }
        MutexGuard::try_map(look, Option::as_mut).map_err(|_| anyhow::anyhow!("not connected"))
    }

    /// Runs one statement on the database itself.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<u64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self.db.database {
            Database::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(self.db.url()).await?;
                let done = sqlx::query(sql).execute(&mut connection).await?.rows_affected();
                connection.close().await?;
                done
            }
            Database::Postgres => {
                let mut connection = self.look().await?;
                sqlx::query(sql).execute(&mut *connection).await?.rows_affected()
            }
        })
    }

    /// The rows of a query whose columns are all text.
    pub async fn texts(&self, sql: &str) -> anyhow::Result<Vec<Vec<Option<String>>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        let mut rows = Vec::new();
        match self.db.database {
            Database::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(self.db.url()).await?;
                for row in sqlx::query(sql).fetch_all(&mut connection).await? {
                    rows.push((0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>()?);
                }
                connection.close().await?;
            }
            Database::Postgres => {
                let mut connection = self.look().await?;
                for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
                    rows.push((0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>()?);
                }
            }
        }
        Ok(rows)
    }

    /// The one number a query answers.
    pub async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let rows = self.texts(&format!("SELECT CAST(({sql}) AS TEXT)")).await?;
        let cell = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        Ok(cell.with_context(|| format!("{sql}: no value"))?.parse()?)
    }

    /// The one text a query answers.
    pub async fn text(&self, sql: &str) -> anyhow::Result<Option<String>> {
        let rows = self.texts(sql).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// How many rows a table has.
    pub async fn rows_in(&self, table: &str) -> anyhow::Result<i64> {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Every row of every table, as text: bytes in hex. Sorted, so that two dumps compare.
    pub async fn dump(&self) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        match self.db.database {
            Database::Sqlite => {
                let tables = self
                    .texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
                    .await?;
                for table in tables.into_iter().flatten().flatten() {
                    let columns = self
                        .texts(&format!("SELECT name FROM pragma_table_info('{table}')"))
                        .await?;
                    let columns: Vec<String> = columns
                        .into_iter()
                        .flatten()
                        .flatten()
                        .map(|c| {
                            format!(
                                "iif(typeof(\"{c}\") = 'blob', '\\x' || lower(hex(\"{c}\")), \
                                 coalesce(CAST(\"{c}\" AS TEXT), '-'))"
                            )
                        })
                        .collect();
                    let rows = self
                        .texts(&format!("SELECT {} FROM \"{table}\"", columns.join(" || '|' || ")))
                        .await?;
                    lines.extend(
                        rows.into_iter().flatten().flatten().map(|r| format!("{table}|{r}")),
                    );
                }
            }
            Database::Postgres => {
                let tables = self
                    .texts("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
                    .await?;
                for table in tables.into_iter().flatten().flatten() {
                    let rows = self.texts(&format!("SELECT t::text FROM \"{table}\" t")).await?;
                    lines.extend(
                        rows.into_iter().flatten().flatten().map(|r| format!("{table}|{r}")),
                    );
                }
            }
        }
        lines.sort();
        Ok(lines)
    }

    /// Whether a text stands anywhere at rest, in the clear or in hex: in the rows, and for
    /// SQLite in the bytes of the file and its log too.
    pub async fn is_at_rest(&self, text: &str) -> anyhow::Result<bool> {
        let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        if self.dump().await?.iter().any(|line| line.contains(text) || line.contains(&hex)) {
            return Ok(true);
        }
        if self.db.database == Database::Sqlite {
            for entry in std::fs::read_dir(self.db.folder())? {
                let bytes = std::fs::read(entry?.path())?;
                if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A reading run with one part at an account, and that part.
    pub async fn fence(&self, account: &str) -> anyhow::Result<Fence> {
        let run = self.begin(account, false, 1).await?;
        self.claim(&run).await
    }

    /// A run with parts.
    pub async fn begin(&self, account: &str, writing: bool, parts: u32) -> anyhow::Result<RunId> {
        let run = new_run(account, writing, parts)?;
        self.store.begin_run(&run, &owner("w1"), LEASE).await?;
        Ok(run.id)
    }

    /// A part of a run.
    pub async fn claim(&self, run: &RunId) -> anyhow::Result<Fence> {
        let part = self.store.claim_part(run, &owner("w1"), LEASE).await?;
        Ok(part.context("no part to claim")?.fence)
    }

    /// Lets every lease run out.
    pub async fn expire_leases(&self) -> anyhow::Result<()> {
        self.execute("UPDATE parts SET lease_until = 1 WHERE state = 'running'").await?;
        self.execute("UPDATE writers SET lease_until = 1").await?;
        Ok(())
    }

    /// Takes a part over: its lease runs out, and another worker claims it.
    pub async fn take_over(&self, fence: &Fence) -> anyhow::Result<Fence> {
        self.expire_leases().await?;
        let part = self.store.claim_part(&fence.run, &owner("w2"), LEASE).await?;
        Ok(part.context("no part to take over")?.fence)
    }

    /// Stages rows as of `alpha`, and joins those of one reference that stand apart.
    pub async fn stage(&self, fence: &Fence, rows: Vec<StagedRow>) -> anyhow::Result<()> {
        self.stage_at("alpha", fence, rows).await
    }

    /// Stages rows as of an account.
    pub async fn stage_at(
        &self,
        account: &str,
        fence: &Fence,
        rows: Vec<StagedRow>,
    ) -> anyhow::Result<()> {
        let identity = account_row(account, 0)?.identity();
        let (rows, joins) = sealed(self.store(), &fence.run, &identity, rows);
        self.store.stage_rows(fence, rows).await?;
        Ok(self.store.join_rows(fence, joins).await?)
    }

    /// The open references of a part at `alpha`.
    pub async fn open_groups(&self, fence: &Fence) -> anyhow::Result<Vec<Group>> {
        let page = self.store.load_groups(fence, &name("alpha")?, 0, Which::Open, 10_000).await?;
        Ok(page.groups)
    }

    /// Writes customers of one read.
    pub async fn pull(
        &self,
        fence: &Fence,
        account: &str,
        seconds: i64,
        customers: Vec<RemoteCustomer>,
    ) -> anyhow::Result<store::CustomersApplied> {
        let write = CustomersWrite {
            account: name(account)?,
            scan: None,
            as_of: at(seconds),
            customers,
            overlap: Overlap::Written,
        };
        Ok(self.store.apply_customers(fence, write).await?)
    }
}

pub fn name(account: &str) -> anyhow::Result<AccountName> {
    Ok(AccountName::new(account)?)
}

pub fn reference(text: &str) -> anyhow::Result<Reference> {
    Ok(Reference::new(text)?)
}

pub fn remote(id: &str) -> anyhow::Result<RemoteCustomerId> {
    Ok(RemoteCustomerId::new(id)?)
}

pub fn remote_method(id: &str) -> anyhow::Result<RemoteMethodId> {
    Ok(RemoteMethodId::new(id)?)
}

/// A time in the past, long before the run of any suite.
pub const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

pub fn owner(text: &str) -> Owner {
    Owner(text.to_owned())
}

pub fn account_row(account: &str, rank: u32) -> anyhow::Result<AccountRow> {
    Ok(AccountRow {
        name: name(account)?,
        kind: "proxy_token".into(),
        host: format!("{account}.example"),
        merchant: format!("merchant-{account}"),
        environment: "test".into(),
        namespace: "default".into(),
        match_by_email: false,
        rank,
    })
}

pub fn new_run(account: &str, writing: bool, parts: u32) -> anyhow::Result<NewRun> {
    Ok(NewRun {
        id: RunId::generate(),
        job: if writing { "import" } else { "pull" }.into(),
        account: name(account)?,
        cause: "person".into(),
        writing,
        args: "{}".into(),
        input_name: Some("customers.csv".into()),
        input_hash: Some("aa".into()),
        config_hash: Some("bb".into()),
        parts,
    })
}

/// A customer as a provider shows it, with no methods inline.
pub fn customer(id: &str, reference: Option<&str>, who: &str) -> anyhow::Result<RemoteCustomer> {
    Ok(RemoteCustomer {
        id: remote(id)?,
        reference: reference.map(str::to_owned),
        profile: Profile {
            name: Some(who.to_owned()),
            email: Some(format!("{id}@example.com")),
            ..Profile::default()
        },
        status: RemoteStatus::Live,
        created_at: None,
        metadata: None,
        methods: None,
    })
}

pub fn card_facts(last4: &str) -> anyhow::Result<MethodFacts> {
    Ok(MethodFacts::Card(CardFacts {
        brand: Some("visa".into()),
        last4: Some(Last4::new(last4)?),
        expiry: Some(Expiry::new(12, 2030)?),
        ..CardFacts::default()
    }))
}

pub fn card(id: &str, last4: &str) -> anyhow::Result<RemoteMethod> {
    Ok(RemoteMethod {
        id: remote_method(id)?,
        facts: card_facts(last4)?,
        default: Some(false),
        created_at: None,
        attributes: BTreeMap::new(),
        credential: None,
    })
}

/// Rows as the engine hands them in: tokens sealed, in clusters, with the clusters to be joined.
pub fn sealed(
    store: &dyn Store,
    run: &RunId,
    identity: &str,
    mut rows: Vec<StagedRow>,
) -> (Vec<StagedRow>, Vec<Join>) {
    rows.sort_by_key(|row| row.line);
    for row in &mut rows {
        if let Some(method) = &mut row.method {
            let token = method.token.take();
            method.sealed =
                token.map(|token| store.keys().seal(run, row.line, identity, &token, true));
        }
    }
    let mut firsts: BTreeMap<String, u64> = BTreeMap::new();
    let mut joins = Vec::new();
    for cluster in rows.chunk_by_mut(|a, b| a.reference == b.reference && a.part == b.part) {
        let (Some(first), Some(last)) = (cluster.first(), cluster.last()) else { continue };
        let (head, tail) = (first.line, last.line);
        let Some(reference) = first.reference.as_ref().map(ToString::to_string) else { continue };
        for row in cluster {
            (row.head, row.tail) = (head, tail);
        }
        let first = *firsts.entry(reference).or_insert(head);
        if first != head {
            joins.push(Join { first: head, head: first });
        }
    }
    (rows, joins)
}

/// A staged row: of a customer alone, or with a card that a token stands for.
pub fn staged(line: u64, who: &str, token: Option<&str>) -> anyhow::Result<StagedRow> {
    let method = match token {
        Some(token) => Some(Box::new(StagedMethod {
            facts: card_facts("4242")?,
            billing: Address { city: Some("Riga".into()), ..Address::default() },
            default: Some(true),
            token: Some(Token {
                kind: TokenKind::Processor,
                value: token.to_owned().into(),
                created_at: Some(at(5)),
            }),
            sealed: None,
        })),
        None => None,
    };
    Ok(StagedRow {
        line,
        part: 0,
        head: 0,
        tail: 0,
        row_id: format!("row-{line}"),
        reference: Some(reference(who)?),
        profile: Box::new(Profile { name: Some(format!("Name of {who}")), ..Profile::default() }),
        method,
        unfit: None,
        plan: None,
        outcome: None,
        code: None,
        message: None,
        field: None,
    })
}

/// An intent for a reference.
pub fn intent(kind: EffectKind, subject: &str, who: Option<&str>) -> anyhow::Result<Intent> {
    Ok(Intent {
        kind,
        subject: subject.to_owned(),
        reference: who.map(reference).transpose()?,
        fp: None,
        line: None,
        remote_customer: None,
        remote_method: None,
        known_before: None,
        idempotency_key: None,
        changes: None,
        repeats: false,
    })
}

/// Keyed hashes of what a file stated; the values are no hashes here.
pub fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(field, hash)| ((*field).to_owned(), (*hash).to_owned())).collect()
}
