//! What concerns SQLite alone: its statements, its file, its speed. Behaviour is in the suite.

use std::path::Path;

use model::{CardFacts, Expiry, Last4, MethodFacts, Profile, RemoteCustomer, RemoteMethod};
use model::{RemoteMethodId, RemoteStatus};

use super::*;
use crate::WrapKey;

async fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    open_with(folder, [7; 32]).await
}

async fn open_with(folder: &Path, key: [u8; 32]) -> Result<SqliteStore, StoreError> {
    let options = StoreOptions {
        url: format!("sqlite://{}", folder.join("store.db").display()),
        password: None,
        ca_file: None,
        wrap_keys: vec![WrapKey::new("test", key)],
        clock: Arc::new(SystemClock),
    };
    SqliteStore::open(&options).await
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("an id")
}

async fn pulling(store: &SqliteStore) -> Fence {
    let account = AccountRow {
        name: name("a"),
        kind: "k".into(),
        host: "h".into(),
        merchant: String::new(),
        environment: "test".into(),
        namespace: "default".into(),
        rank: 0,
    };
    store.bind_accounts(&[account]).await.expect("bound");
    let run = NewRun {
        id: RunId::generate(),
        job: "pull".into(),
        account: name("a"),
        cause: "person".into(),
        writing: false,
        args: "{}".into(),
        input_name: None,
        input_hash: None,
        config_hash: None,
        parts: 1,
    };
    let (owner, lease) = (Owner("o".into()), Duration::from_secs(60));
    store.begin_run(&run, &owner, lease).await.expect("begun");
    let part = store.claim_part(&run.id, &owner, lease).await.expect("claimed");
    part.expect("a free part").fence
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
        import::STATEMENTS,
        groups::STATEMENTS,
        journal::STATEMENTS,
        mirror::STATEMENTS,
        pull::STATEMENTS,
        traffic::STATEMENTS,
        &[VERSION, FENCE, HOLD_WRITER],
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
            // `keys` has a row or two; `new` and `seen` are the rows of the statement itself.
            let scan = step.starts_with("SCAN ")
                && !["SCAN keys", "SCAN new", "SCAN seen", "SCAN json_each", "SCAN 2", "SCAN 3"]
                    .iter()
                    .any(|fine| step.starts_with(fine))
                && !step.contains("CONSTANT ROW")
                && !step.contains("USING INDEX")
                && !step.contains("VIRTUAL TABLE");
            if scan && !text.contains("sqlite_master") && !text.contains("_sqlx_migrations") {
                println!("SCAN: {step}: {text}");
            }
            println!("   {step}");
        }
    }
}

fn page(from: usize, size: usize) -> Vec<RemoteCustomer> {
    (from..from + size)
        .map(|n| {
            let facts = MethodFacts::Card(CardFacts {
                brand: Some("visa".into()),
                last4: Last4::new(&format!("{:04}", n % 10_000)).ok(),
                expiry: Expiry::new(12, 2030).ok(),
                ..CardFacts::default()
            });
            let method = RemoteMethod {
                id: RemoteMethodId::new(format!("pm-{n:08}")).expect("an id"),
                facts,
                default: Some(true),
                created_at: None,
                credential: None,
            };
            let mut profile = Profile {
                first_name: Some(format!("First{n}")),
                last_name: Some(format!("Last{n}")),
                email: Some(format!("customer{n}@example.com")),
                phone: Some("+1 800 555 0100".into()),
                ..Profile::default()
            };
            profile.address.line1 = Some(format!("{n} Main Street"));
            profile.address.city = Some("Springfield".into());
            profile.address.country = Some("US".into());
            RemoteCustomer {
                id: RemoteCustomerId::new(format!("{n:08}")).expect("an id"),
                reference: Some(format!("ref-{n:08}")),
                profile,
                status: RemoteStatus::Live,
                created_at: None,
                methods: Some(vec![method]),
            }
        })
        .collect()
}

/// Not a test of behaviour: `cargo test --release -p store -- --ignored speed --nocapture`.
#[tokio::test]
async fn speed() {
    let pages: usize = if cfg!(debug_assertions) { 4 } else { 200 };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await.expect("opened");
    let fence = pulling(&store).await;
    let scan = NewScan { account: name("a"), pass: 1, page_size: 500 };
    let scan = store.begin_scan(&fence, &scan).await.expect("a scan");
    for pass in ["first", "same again"] {
        let as_of = SystemClock.now();
        let writes: Vec<_> = (0..pages)
            .map(|n| CustomersWrite {
                account: name("a"),
                scan: Some(scan.clone()),
                as_of,
                customers: page(n * 500, 500),
                checkpoint: Some(n.to_string()),
            })
            .collect();
        let start = tokio::time::Instant::now();
        let mut worst = Duration::ZERO;
        for write in writes {
            let start = tokio::time::Instant::now();
            let done = store.apply_customers(&fence, write).await.expect("applied");
            assert_eq!(done.seen, 500);
            worst = worst.max(start.elapsed());
        }
        let took = start.elapsed();
        println!(
            "{pass}: {:.0} customers/s, worst page {worst:?}",
            (pages * 500) as f64 / took.as_secs_f64()
        );
    }
}
