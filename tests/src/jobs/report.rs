//! The report's folder: what it holds, whose it is, and when it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;

use super::World;
use super::canary::run_of;
use super::resume::{execute, expire, killed};
use crate::env::TestDb;

type Result<T = ()> = anyhow::Result<T>;

/// Writes the report of a run, and reads its page.
async fn page(world: &World, run: &str) -> Result<String> {
    world.onfile.run(&["report", run, "--out", "out"]).await?.expect(0)?;
    Ok(fs::read_to_string(folder(world).join("report.html"))?)
}

fn folder(world: &World) -> PathBuf {
    world.db.folder().join("out")
}

pub async fn is_for_its_owner_alone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let run = run_of(&ran)?;
    let shown = page(&world, &run).await?;
    ensure!(shown.contains("All 20 rows are in place at gov."), "{shown}");
    ensure!(shown.contains(&run) && shown.contains("sample.csv"), "{shown}");
    for name in ["report.html", "report.json", "rows.csv"] {
        let mode = fs::metadata(folder(&world).join(name))?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{name} is {mode:o}");
    }
    // There is nothing to show values in.
    let ran = world.onfile.run(&["report", &run, "--with-values"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("--out"), "{ran:?}");
    Ok(())
}

pub async fn says_what_a_run_that_rests_needs(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:2=delay_after_ms(60000)").await?;
    let canary = ["import", "gov", "sample.csv", "--canary", "1", "--json"];
    let run = run_of(&world.onfile.run(&canary).await?.expect(3)?)?;
    let shown = page(&world, &run).await?;
    ensure!(shown.contains(&format!("<code>onfile runs approve {run}</code>")), "{shown}");
    ensure!(shown.contains("The canary went well at gov"), "{shown}");

    // It dies on its way.
    killed(&world, world.onfile.start(&["runs", "approve", &run])?, 2).await?;
    let shown = page(&world, &run).await?;
    ensure!(shown.contains("The import of gov is at work"), "{shown}");
    expire(&world.db).await?;
    let shown = page(&world, &run).await?;
    ensure!(shown.contains("Nobody works at this import of gov any more"), "{shown}");
    ensure!(shown.contains(&format!("<code>onfile runs resume {run}</code>")), "{shown}");
    world.onfile.run(&["runs", "resume", &run]).await?.expect(0)?;
    let shown = page(&world, &run).await?;
    ensure!(shown.contains("All 20 rows are in place at gov."), "{shown}");
    Ok(())
}

pub async fn says_why_a_run_failed_and_what_to_do(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let head = "reference,method,token,token_kind,last4,exp_month,exp_year";
    let rows = "R-1,card,tok_1,processor,4242,13,2030\nR-2,card,tok_2,processor,4242,12,2030";
    world.file("bad.csv", &format!("{head}\n{rows}\n"))?;
    let ran = world.onfile.run(&["import", "gov", "bad.csv", "--json"]).await?.expect(2)?;
    let code = ran.json()?.pointer("/error_code").cloned();
    ensure!(code == Some("too_many_rejected".into()), "{ran:?}");
    let shown = page(&world, &run_of(&ran)?).await?;
    for said in [
        "The import failed, and nothing was sent: 1 of 2 rows are rejected",
        "<code>onfile import gov bad.csv</code>",
        "nothing was sent; mend the rows named by",
    ] {
        ensure!(shown.contains(said), "{said}: {shown}");
    }
    Ok(())
}

pub async fn fails_where_the_ledger_does_not_balance(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let run = run_of(&ran)?;
    let edit = |from: &str, to: &str| {
        let change = format!("UPDATE runs SET summary = replace(summary, '{from}', '{to}')");
        let db = Arc::clone(&world.db);
        async move { execute(&db, &change).await }
    };
    // One row has no outcome: both faces say so, and the page is written all the same.
    edit("\"read\":20", "\"read\":21").await?;
    for args in [&["report", &run][..], &["report", &run, "--out", "out"]] {
        let ran = world.onfile.run(args).await?.expect(1)?;
        ensure!(ran.stderr.contains("error[internal]"), "{ran:?}");
        ensure!(ran.stderr.contains("does not balance"), "{ran:?}");
    }
    let shown = fs::read_to_string(folder(&world).join("report.html"))?;
    ensure!(shown.contains("NOT BALANCED"), "{shown}");
    // It balances by itself, and not with the rows.
    edit("\"created\":20", "\"created\":21").await?;
    world.onfile.run(&["report", &run]).await?.expect(0)?;
    let ran = world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("does not balance"), "{ran:?}");
    Ok(())
}
