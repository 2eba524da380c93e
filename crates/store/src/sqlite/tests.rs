//! What concerns SQLite alone: its statements and its file. Behaviour is in the suite.

use std::path::Path;

use model::{AccountName, RemoteCustomerId};

use super::*;
use crate::{AccountRow, LinkMove, LinkRefused, LinkTo, Store as _, WrapKey};

async fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    let options = StoreOptions {
        url: format!("sqlite://{}", folder.join("store.db").display()),
        password: None,
        ca_file: None,
        wrap_keys: vec![WrapKey::new("test", [7; 32])],
        clock: Arc::new(SystemClock),
    };
    SqliteStore::open(&options).await
}

#[tokio::test]
async fn every_statement_prepares_and_uses_its_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await.expect("opened");
    let mut writer = store.writer().await.expect("open");
    let fixed = [
        connect::STATEMENTS,
        accounts::STATEMENTS,
        runs::STATEMENTS,
        cancel::STATEMENTS,
        import::STATEMENTS,
        groups::STATEMENTS,
        shared::STATEMENTS,
        journal::STATEMENTS,
        links::STATEMENTS,
        crate::links::STATEMENTS,
        crate::export::STATEMENTS,
        crate::history::STATEMENTS,
        settling::STATEMENTS,
        mirror::STATEMENTS,
        pull::STATEMENTS,
        crate::changes::STATEMENTS,
        crate::baseline::STATEMENTS,
        crate::due::STATEMENTS,
        crate::recompute::STATEMENTS,
        crate::schedules::STATEMENTS,
        traffic::STATEMENTS,
        &[calls::VERSION, FENCE, HOLD_WRITER],
    ];
    let bulks = [import::BULKS, journal::BULKS, mirror::BULKS, pull::BULKS];
    let all = fixed
        .into_iter()
        .flatten()
        .copied()
        .chain(bulks.into_iter().flatten().map(|bulk| bulk.one()));
    for text in all {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&mut writer.conn)
            .await
            .unwrap_or_else(|error| panic!("{error}: {text}"));
        for (_, _, _, step) in plan {
            let small = SMALL.iter().any(|table| step.starts_with(&format!("SCAN {table}")));
            let walks = step.starts_with("SCAN ")
                || step.ends_with("PRIMARY KEY (account=?)")
                || step.ends_with("PRIMARY KEY (run=?)");
            let meant = WALKS.iter().any(|part| text.contains(part));
            assert!(!walks || small || meant, "{step}: {text}");
        }
    }
}

/// What has few rows: tables of ours, and the rows that a statement itself brings.
const SMALL: &[&str] = &[
    "CONSTANT ROW",
    "json_each",
    "wanted",
    "new",
    "seen",
    "accounts",
    "keys",
    "writers",
    "runs",
    "sqlite_master",
    "_sqlx_migrations",
];

/// What walks over an account or a run on purpose: counts, whether there is anything at all, and what
/// a report reads once.
const WALKS: &[&str] = &[
    "COUNT(*)",
    "COUNT(DISTINCT remote_customer_id)",
    "max(line)",
    "outcome IN ('unresolved'",
    "SELECT stated FROM staged_rows",
    "GROUP BY outcome",
    "GROUP BY token_fp",
    "SELECT EXISTS",
    "ORDER BY as_of DESC",
    "ORDER BY methods_read_at",
    "GROUP BY s.line",
];

#[tokio::test]
async fn two_handles_on_one_file_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = tokio::join!(open(folder.path()), open(folder.path()));
    let stores = [one.expect("opened"), two.expect("opened")];
    assert_eq!(stores[0].incarnation, stores[1].incarnation);
    let account = AccountName::new("a").expect("an id");
    let take = |store: SqliteStore| {
        let account = account.clone();
        async move {
            let mut last = Duration::ZERO;
            for _ in 0..50 {
                last = store.take_permits(&account, 100.0, 1).await.expect("a lease").wait;
            }
            (store, last)
        }
    };
    let [one, two] = stores;
    let (one, two) = tokio::join!(tokio::spawn(take(one)), tokio::spawn(take(two)));
    let waits = [one.expect("ended").1, two.expect("ended").1];
    // A hundred permits at a hundred a second: no lease was given twice.
    let longest = waits.into_iter().max().expect("two");
    assert!(longest > Duration::from_millis(500) && longest < Duration::from_secs(1));
}

#[tokio::test]
async fn a_dry_run_of_links_does_not_wait_for_the_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await.expect("opened");
    let account = AccountName::new("a").expect("a name");
    let row = AccountRow {
        name: account.clone(),
        kind: "proxy_token".into(),
        host: "a.example".into(),
        merchant: String::new(),
        environment: "test".into(),
        namespace: "default".into(),
        match_by_email: false,
        rank: 0,
    };
    store.bind_accounts(&[row]).await.expect("bound");
    let mut writer = store.writer().await.expect("open");
    let _tx = writer.begin().await.expect("begun");
    let remote_customer = RemoteCustomerId::new("1").expect("an id");
    let moves = vec![LinkMove { remote_customer, to: LinkTo::Own, methods: Vec::new() }];
    let dry = store.move_links(&account, moves, true);
    let answers = tokio::time::timeout(Duration::from_secs(10), dry).await;
    let answers = answers.expect("it waits for the writer").expect("read");
    assert!(matches!(answers.as_slice(), [Err(LinkRefused::NoSuchRemote { .. })]), "{answers:?}");
}

#[tokio::test]
async fn a_full_disk_does_not_end_all_writing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await.expect("opened");
    let mut writer = store.writer().await.expect("open");
    sqlx::query("PRAGMA max_page_count = 1").execute(&mut writer.conn).await.expect("set");
    let mut tx = writer.begin().await.expect("begun");
    let insert = "INSERT INTO meta (key, value) VALUES ('large', hex(zeroblob(1000000)))";
    let error: StoreError = sqlx::query(insert).execute(&mut *tx).await.expect_err("full").into();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    drop(tx);
    writer.conn.ping().await.expect("there");
    // Without this the test would prove nothing.
    assert!(writer.conn.is_in_transaction(), "SQLite did not roll back by itself");
    let mut tx = writer.begin().await.expect("begun");
    sqlx::query(insert).execute(&mut *tx).await.expect("there is room now");
    tx.commit().await.expect("committed");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await.expect("opened");
    for name in ["store.db", "store.db-wal"] {
        let kept = std::fs::metadata(folder.path().join(name)).expect("there");
        assert_eq!(kept.permissions().mode() & 0o777, 0o600, "{name}");
    }
    store.close().await;
    assert!(!folder.path().join("store.db-wal").exists());
}
