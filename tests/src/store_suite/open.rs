//! Opening a store.

use std::sync::Arc;

use model::SystemClock;
use store::{StoreError, StoreOptions, WrapKey};

use crate::env::Database;
use crate::store_suite::cases;
use crate::store_suite::support::{Cx, customer, name, staged};

cases![
    a_store_says_what_it_is,
    opening_again_finds_what_was_written,
    two_stores_make_one_together,
    two_stores_work_side_by_side,
    a_url_of_no_database_is_refused,
    #[only(Sqlite)]
    the_file_is_for_its_owner_alone,
    #[only(Sqlite)]
    a_missing_folder_is_said,
    #[only(Sqlite)]
    the_log_is_folded_in_on_close,
    #[only(Postgres)]
    a_server_that_is_not_there_is_unavailable,
    #[only(Postgres)]
    a_database_that_is_not_there_is_said,
];

fn options(url: &str) -> StoreOptions {
    StoreOptions {
        url: url.to_owned(),
        password: None,
        ca_file: None,
        wrap_keys: vec![WrapKey::new("k1", [1; 32])],
        clock: Arc::new(SystemClock),
    }
}

async fn a_store_says_what_it_is(cx: &Cx) -> anyhow::Result<()> {
    let info = cx.store().info().await?;
    let engine = match cx.db.database {
        Database::Sqlite => "SQLite 3.",
        Database::Postgres => "PostgreSQL 1",
    };
    assert!(info.engine.starts_with(engine), "{}", info.engine);
    assert!(info.schema >= 1);
    assert!(!info.incarnation.is_empty());
    let again = cx.another().await?;
    assert_eq!(again.info().await?.incarnation, info.incarnation);
    again.close().await;
    Ok(())
}

async fn opening_again_finds_what_was_written(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("tok"))?]).await?;
    cx.store.close().await;
    let before = cx.dump().await?;
    let again = cx.another().await?;
    assert_eq!(cx.dump().await?, before, "opening wrote something");
    let groups =
        again.load_groups(&fence, &name("alpha")?, 0, store::Which::Open, 10).await?.groups;
    let row = groups.first().and_then(|group| group.rows.first()).expect("it was staged");
    let sealed = row.method.as_ref().and_then(|m| m.sealed.as_ref()).expect("it has a token");
    assert!(again.keys().open_token(&fence.run, 1, sealed).is_ok());
    again.close().await;
    Ok(())
}

async fn two_stores_make_one_together(cx: &Cx) -> anyhow::Result<()> {
    // As if nobody had opened it yet: the store's own tables go, and two open it at once.
    cx.store.close().await;
    match cx.db.database {
        Database::Sqlite => {
            for entry in std::fs::read_dir(cx.db.folder())? {
                std::fs::remove_file(entry?.path())?;
            }
        }
        Database::Postgres => {
            cx.execute("DROP SCHEMA public CASCADE").await?;
            cx.execute("CREATE SCHEMA public").await?;
        }
    }
    let (one, two, three) = tokio::join!(cx.another(), cx.another(), cx.another());
    let stores = [one?, two?, three?];
    let mut hashes = Vec::new();
    for store in &stores {
        let incarnation = store.info().await?.incarnation;
        hashes.push((incarnation, store.keys().statement_hash("field", "value")));
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "they do not share a store");
    assert_eq!(cx.rows_in("keys").await?, 2);
    for store in stores {
        store.close().await;
    }
    Ok(())
}

async fn two_stores_work_side_by_side(cx: &Cx) -> anyhow::Result<()> {
    let other = cx.another().await?;
    let run = cx.begin("alpha", false, 4).await?;
    let mut tasks = Vec::new();
    for n in 0..4_u32 {
        let fence = cx.claim(&run).await?;
        let store = Arc::clone(if n % 2 == 0 { &cx.store } else { &other });
        tasks.push(tokio::spawn(async move {
            for page in 0..8_u32 {
                let mut rows = Vec::new();
                let mut customers = Vec::new();
                for k in 0..50_u32 {
                    let line = u64::from(n * 1_000 + page * 50 + k + 1);
                    let mut row = staged(line, &format!("r{line}"), Some("tok"))?;
                    row.part = fence.part;
                    rows.push(row);
                    // All of them write the same customers, each in an order of its own.
                    let id = if n % 2 == 0 { k } else { 49 - k };
                    customers.push(customer(&format!("c{id}"), Some(&format!("r{id}")), "Ada")?);
                }
                let (rows, joins) = crate::store_suite::support::sealed(
                    store.as_ref(),
                    &fence.run,
                    "identity",
                    rows,
                );
                assert!(joins.is_empty());
                store.stage_rows(&fence, rows).await?;
                let write = store::CustomersWrite {
                    account: name(if n < 2 { "alpha" } else { "beta" })?,
                    scan: None,
                    as_of: crate::store_suite::support::at(i64::from(page)),
                    customers,
                    overlap: store::Overlap::Written,
                };
                store.apply_customers(&fence, write).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    assert_eq!(cx.rows_in("staged_rows").await?, 1_600);
    assert_eq!(cx.rows_in("remote_customers").await?, 100);
    assert_eq!(cx.rows_in("customers").await?, 50);
    assert_eq!(cx.rows_in("changes").await?, 0);
    // What one wrote, the other reads.
    assert_eq!(other.mirror_stats(&name("alpha")?).await?.customers, 50);
    other.close().await;
    Ok(())
}

async fn a_url_of_no_database_is_refused(_cx: &Cx) -> anyhow::Result<()> {
    for url in ["", "store.db", "mysql://localhost/onfile"] {
        let answer = store::open(&options(url)).await;
        assert!(matches!(answer, Err(StoreError::Url(_))), "{url:?}: {answer:?}");
    }
    Ok(())
}

async fn the_file_is_for_its_owner_alone(cx: &Cx) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(cx.db.folder())? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{} has mode {mode:o}", entry.path().display());
    }
    Ok(())
}

async fn a_missing_folder_is_said(cx: &Cx) -> anyhow::Result<()> {
    let url = format!("sqlite://{}/not/there/store.db", cx.db.folder().display());
    match store::open(&options(&url)).await {
        Err(error @ StoreError::Url(_)) => {
            assert!(error.to_string().contains("not/there"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!cx.db.folder().join("not").exists());
    Ok(())
}

async fn the_log_is_folded_in_on_close(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let customers =
        (0..500).map(|n| customer(&format!("c{n}"), None, "Ada")).collect::<Result<_, _>>()?;
    cx.pull(&fence, "alpha", 0, customers).await?;
    cx.store.close().await;
    let mut log = cx.db.file().as_os_str().to_owned();
    log.push("-wal");
    let left = std::fs::metadata(log).map_or(0, |log| log.len());
    assert_eq!(left, 0, "the log was left behind");
    Ok(())
}

async fn a_server_that_is_not_there_is_unavailable(_cx: &Cx) -> anyhow::Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("postgres://onfile@127.0.0.1:{port}/onfile");
    let answer = store::open(&options(&url)).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    Ok(())
}

async fn a_database_that_is_not_there_is_said(cx: &Cx) -> anyhow::Result<()> {
    let url = cx.db.url().replace("onfile_test_", "onfile_none_");
    let error = store::open(&options(&url)).await.expect_err("there is no such database");
    let chain = format!("{:#}", anyhow::Error::from(error));
    assert!(chain.contains("does not exist"), "{chain}");
    Ok(())
}
