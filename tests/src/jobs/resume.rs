//! `runs resume`: a run that stopped goes on from its rows, and nothing is sent twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use model::{Clock, SystemClock};
use sandbox::{FaultPlan, NewMethod};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::Instant;

use super::World;
use super::canary::{run_of, text};
use crate::binary::{Ran, Running};
use crate::env::{Database, TestDb};

type Result = anyhow::Result<()>;

/// Waits until the provider has had so many calls of an endpoint.
pub async fn called(world: &World, endpoint: &str, calls: u64) -> Result {
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.provider.counters().calls(endpoint) < calls {
        ensure!(Instant::now() < deadline, "{endpoint} was not called {calls} times");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Stops a job by Ctrl-C; it ends paused.
async fn stopped(mut child: Running) -> anyhow::Result<Ran> {
    child.signal("INT").await?;
    let ran = child.end().await?.expect(3)?;
    ensure!(text(&ran, "/state")? == "paused", "{ran:?}");
    Ok(ran)
}

/// So many customers, each with a card that is its default, by the bulk import.
pub fn cards(customers: usize) -> String {
    let mut rows =
        String::from("reference,name,method,token,token_kind,last4,exp_month,exp_year,default\n");
    for n in 0..customers {
        rows += &format!("R-{n},Name {n},card,tok_{n},processor,4242,12,2030,true\n");
    }
    rows
}

pub async fn a_stopped_import_goes_on(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:40=delay_after_ms(1000)").await?;
    world.configure("import_batch = 20")?;
    world.file("cards.csv", &cards(300))?;
    let args = ["import", "gov", "cards.csv", "--json"];
    let child = world.onfile.start(&args)?;
    called(&world, "create_customer", 40).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    let run = run_of(&ran)?;
    ensure!(ran.stderr.contains("onfile runs resume"), "{ran:?}");
    let (customers, _) = world.sizes();
    ensure!((40..300).contains(&customers), "it was not stopped in the middle: {customers}");
    ensure!(ran.count("/customers/created")? == customers as u64, "{ran:?}");

    // Stopped once more, between two batches of methods.
    world.provider.put_faults(FaultPlan::parse("bulk_import:2=delay_after_ms(1000)")?)?;
    let child = world.onfile.start(&["runs", "resume", &run, "--json"])?;
    called(&world, "bulk_import", 2).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    ensure!(run_of(&ran)? == run, "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? > 0, "{ran:?}");

    let ran = world.runs("resume", &run, 0).await?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(ran.count("/rows/created")? == 300, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 300, "{ran:?}");
    ensure!(ran.count("/customers/seen")? == 300, "{ran:?}");
    ensure!(ran.count("/methods/created")? == 300, "{ran:?}");
    // Each customer once, each card once, though the provider would save a token twice.
    ensure!(world.sizes() == (300, 300));
    ensure!(world.held().iter().all(|held| held.ends_with(" 4242*")), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("create_customer") == 300);
    ensure!(ran.count("/calls/changing")? == world.changing(), "{ran:?}");
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    let whole = |line: &&str| line.contains(",created,") && line.contains("spm_");
    ensure!(rows.lines().skip(1).filter(whole).count() == 300, "{rows}");
    ensure!(rows.matches(",create_customer+import_method,").count() == 300, "{rows}");
    let again = world.job(&args, 0).await?;
    ensure!(again.count("/rows/unchanged")? == 300, "{again:?}");
    Ok(())
}

pub async fn counts_what_is_kept_over_its_stints(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[K-20]:1=delay_after_ms(1000)").await?;
    let mut rows = String::from("reference,name,company\n");
    for n in 0..60 {
        rows += &format!("K-{n},Name {n},Company {n}\n");
    }
    world.file("rows.csv", &rows)?;
    // Eight references first, and then more.
    let args = ["import", "gov", "rows.csv", "--json", "--max-failures", "5"];
    let child = world.onfile.start(&args)?;
    called(&world, "create_customer", 21).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    let (customers, _) = world.sizes();
    ensure!((8..60).contains(&customers), "it was not stopped in the middle: {customers}");
    ensure!(ran.count("/kept_in_store/company")? == customers as u64, "{ran:?}");
    let ran = world.runs("resume", &run_of(&ran)?, 0).await?;
    ensure!(ran.count("/customers/seen")? == 60, "{ran:?}");
    ensure!(ran.count("/kept_in_store/company")? == 60, "{ran:?}");
    Ok(())
}

pub async fn looks_before_it_adds(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:3=delay_after_ms(1000)").await?;
    world.file("cards.csv", &cards(3))?;
    let child = world.onfile.start(&["import", "gov", "cards.csv", "--json"])?;
    called(&world, "create_customer", 3).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    ensure!(world.sizes() == (3, 0), "{:#?}", world.held());
    // What was done is said at once, though no row is finished.
    world.onfile.run(&["report", &run_of(&ran)?, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    for row in rows.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let [.., customer, remote, "", "", "create_customer", _plan] = cells[..] else {
            bail!("{rows}");
        };
        ensure!(row.contains(",not_attempted,"), "{rows}");
        ensure!(!customer.is_empty() && !remote.is_empty(), "{rows}");
    }
    // While it rests, a payer saves one of these cards.
    let held = world.provider.customer_by_reference("pa_main", "R-1").expect("created");
    world.provider.add_method(
        "pa_main",
        &held.id,
        NewMethod::card("VISA", "4242", 12, 2030),
        true,
    )?;
    let ran = world.runs("resume", &run_of(&ran)?, 0).await?;
    // Its row created the customer, and its card is tied to the one that was there.
    ensure!(ran.count("/rows/updated")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    Ok(())
}

pub async fn what_was_written_stays(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[X-1]:1=delay_after_ms(1000)").await?;
    let header = "reference,name,method,token,token_kind,last4,exp_month,exp_year\n";
    let first = "R-1,Ria,card,tok_1,processor,4242,12,2030\n";
    world.file("rows.csv", &format!("{header}{first}"))?;
    world.job(&["import", "gov", "rows.csv", "--json"], 0).await?;
    // One row is what it was; the other of the same customer waits when the run is stopped.
    let more = "R-1,Ria,card,tok_2,processor,1881,1,2031\nX-1,Xenia,,,,,,\n";
    world.file("rows.csv", &format!("{header}{first}{more}"))?;
    let child = world.onfile.start(&["import", "gov", "rows.csv", "--json"])?;
    called(&world, "create_customer", 2).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? == 1, "{ran:?}");
    let run = run_of(&ran)?;
    let ran = world.runs("resume", &run, 0).await?;
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    ensure!(world.held() == ["R-1 Ria <-> 1881 4242", "X-1 Xenia <-> "], "{:#?}", world.held());
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    ensure!(rows.lines().filter(|line| line.contains("spm_")).count() == 2, "{rows}");
    Ok(())
}

pub async fn sets_the_default_that_was_left(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "add_method:1=delay_after_ms(1000)").await?;
    let now = SystemClock.now().micros() / 1_000_000;
    world.file(
        "rows.csv",
        &format!(
            "reference,name,method,token,token_kind,last4,exp_month,exp_year,default\n\
             P-1,Pia,card,pxt_{now}_a,proxynized,4242,12,2030,true\n"
        ),
    )?;
    let child = world.onfile.start(&["import", "gov", "rows.csv", "--json"])?;
    called(&world, "add_method", 1).await?;
    let ran = stopped(child).await?;
    world.all_fired()?;
    // Saved, and not the default yet: the row is not done.
    ensure!(world.held() == ["P-1 Pia <-> 4242"], "{:#?}", world.held());
    ensure!(ran.count("/rows/not_attempted")? == 1, "{ran:?}");
    let ran = world.runs("resume", &run_of(&ran)?, 0).await?;
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    ensure!(world.held() == ["P-1 Pia <-> 4242*"], "{:#?}", world.held());
    ensure!(world.provider.counters().calls("add_method") == 1);
    Ok(())
}

/// One statement on the database itself.
pub async fn execute(db: &TestDb, sql: &str) -> Result {
    let sql = AssertSqlSafe(sql.to_owned());
    match db.database {
        Database::Sqlite => {
            let mut connection = sqlx::SqliteConnection::connect(db.url()).await?;
            sqlx::query(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
        Database::Postgres => {
            let mut connection = sqlx::PgConnection::connect(db.url()).await?;
            sqlx::query(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// Lets every lease run out, as time does.
pub async fn expire(db: &TestDb) -> Result {
    for table in ["parts", "writers"] {
        execute(db, &format!("UPDATE {table} SET lease_until = 1")).await?;
    }
    Ok(())
}

/// How many rows of a run hold a token.
pub async fn tokens(db: &TestDb, run: &str) -> anyhow::Result<i64> {
    let sql = AssertSqlSafe(format!(
        "SELECT count(*) FROM staged_rows WHERE run = '{run}' AND token IS NOT NULL"
    ));
    Ok(match db.database {
        Database::Sqlite => {
            let mut connection = sqlx::SqliteConnection::connect(db.url()).await?;
            let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            connection.close().await?;
            count
        }
        Database::Postgres => {
            let mut connection = sqlx::PgConnection::connect(db.url()).await?;
            let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            connection.close().await?;
            count
        }
    })
}

async fn set_state(db: &TestDb, state: &str) -> Result {
    execute(db, &format!("UPDATE runs SET state = '{state}'")).await
}

/// Kills a job that has a batch on its way: what became of it is not known.
pub async fn killed(world: &World, child: Running, batches: u64) -> Result {
    killed_at(world, child, "bulk_import", batches).await
}

/// Kills a job that has this call on its way.
pub async fn killed_at(world: &World, mut child: Running, endpoint: &str, calls: u64) -> Result {
    called(world, endpoint, calls).await?;
    // A call is counted a moment before its fault is drawn.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !world.provider.faults_unfired().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.signal("KILL").await?;
    child.end().await?.expect(-1)?;
    world.all_fired()
}

pub async fn what_was_lost_is_not_sent_again(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let canary = ["import", "gov", "sample.csv", "--json", "--canary", "1"];
    let run = run_of(&world.job(&canary, 3).await?)?;
    world.provider.put_faults(FaultPlan::parse("bulk_import:1=delay_after_ms(60000)")?)?;
    let child = world.onfile.start(&["runs", "approve", &run, "--json"])?;
    killed(&world, child, 2).await?;
    ensure!(world.sizes() == (16, 18), "{:#?}", world.held());
    let (held, sent) = (world.held(), world.changing());
    // As long as its lease is alive, it counts as at work.
    for what in ["approve", "resume", "cancel"] {
        let ran = world.runs_refused(what, &run, 1).await?;
        ensure!(ran.stderr.contains("is running, not"), "{what}: {ran:?}");
    }
    expire(&world.db).await?;
    let ran = world.runs("resume", &run, 0).await?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == 15, "{ran:?}");
    ensure!(world.changing() == sent, "something was sent again");
    ensure!(world.held() == held, "{:#?}", world.held());
    Ok(())
}

/// An import of 40 cards in batches of 10: the first is answered, the second is on its way when the
/// process is killed.
async fn killed_in_the_second_batch(db: Arc<TestDb>) -> anyhow::Result<World> {
    let world = World::new(db, 0, "bulk_import:2=delay_after_ms(60000)").await?;
    world
        .configure("import_batch = 10\nrate = { per_second = 2000, burst = 50, in_flight = 1 }")?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    let first = "rate = { per_second = 2000, burst = 50, in_flight = 8 }\n";
    world.file("onfile.toml", &config.replace(first, ""))?;
    world.file("cards.csv", &cards(40))?;
    let args = ["import", "gov", "cards.csv", "--json"];
    killed(&world, world.onfile.start(&args)?, 2).await?;
    Ok(world)
}

pub async fn a_killed_import_goes_on(db: Arc<TestDb>) -> Result {
    let world = killed_in_the_second_batch(db).await?;
    ensure!(world.sizes() == (40, 20), "{:#?}", world.sizes());
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    let run = text(&runs, "/runs/0/run")?;
    expire(&world.db).await?;
    let ran = world.runs("resume", &run, 0).await?;
    // The first batch was answered; the second is read back, not sent again; the others go now.
    ensure!(ran.count("/rows/created")? == 40, "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == 10, "{ran:?}");
    ensure!(world.sizes() == (40, 40), "{:#?}", world.held());
    // Counted is what the whole run did; what the dead process called, nobody knows.
    for subjects in ["customers", "methods"] {
        ensure!(ran.count(&format!("/{subjects}/seen"))? == 40, "{ran:?}");
        ensure!(ran.count(&format!("/{subjects}/created"))? == 40, "{ran:?}");
    }
    ensure!(ran.json()?.pointer("/calls/lost") == Some(&true.into()), "{ran:?}");
    ensure!(world.provider.counters().calls("create_customer") == 40);
    ensure!(world.provider.counters().calls("bulk_import") == 4);
    Ok(())
}

pub async fn a_killed_import_is_cancelled(db: Arc<TestDb>) -> Result {
    let world = killed_in_the_second_batch(db).await?;
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    let run = text(&runs, "/runs/0/run")?;
    expire(&world.db).await?;
    let sent = world.changing();
    // The first batch was answered, the second may have been saved, the others were not sent.
    for _ in 0..2 {
        let ran = world.runs("cancel", &run, 0).await?;
        ensure!(text(&ran, "/state")? == "cancelled", "{ran:?}");
        ensure!(ran.count("/rows/created")? == 10, "{ran:?}");
        ensure!(ran.count("/rows/unresolved")? == 10, "{ran:?}");
        ensure!(ran.count("/codes/outcome_unknown")? == 10, "{ran:?}");
        ensure!(ran.count("/rows/not_attempted")? == 20, "{ran:?}");
        ensure!(ran.count("/codes/run_cancelled")? == 20, "{ran:?}");
        ensure!(tokens(&world.db, &run).await? == 10, "those that settling needs");
    }
    ensure!(world.changing() == sent);
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    let whole = |line: &&str| line.contains(",created,") && line.contains("spm_");
    ensure!(rows.lines().filter(whole).count() == 10, "{rows}");
    Ok(())
}

pub async fn a_file_not_read_to_its_end_is_not_resumed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("sample.csv", &format!("{}r21,\"C-1017", super::SAMPLE))?;
    let ran = world.job(&["import", "gov", "sample.csv", "--json"], 1).await?;
    let run = run_of(&ran)?;
    // As if its process had died there.
    expire(&world.db).await?;
    set_state(&world.db, "paused").await?;
    let ran = world.runs_refused("resume", &run, 1).await?;
    ensure!(ran.stderr.contains("error[not_resumable]"), "{ran:?}");
    ensure!(ran.stderr.contains(&format!("onfile runs cancel {run}")), "{ran:?}");
    world.runs("cancel", &run, 0).await?;
    ensure!(world.provider.log().is_empty());
    Ok(())
}

/// Customers alone: one call each.
fn alone(customers: usize) -> String {
    let rows = (0..customers).map(|n| format!("F-{n},Name {n}\n"));
    format!("reference,name\n{}", rows.collect::<String>())
}

/// Lets every change of a staged row fail.
async fn hold_rows(db: &TestDb) -> Result {
    match db.database {
        Database::Sqlite => {
            let trigger = "CREATE TRIGGER held BEFORE UPDATE ON staged_rows \
                           BEGIN SELECT RAISE(ABORT, 'held'); END";
            execute(db, trigger).await
        }
        Database::Postgres => {
            let function = "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS \
                            $$ BEGIN RAISE EXCEPTION 'held'; END $$";
            execute(db, function).await?;
            let trigger = "CREATE TRIGGER held BEFORE UPDATE ON staged_rows \
                           FOR EACH ROW EXECUTE FUNCTION held()";
            execute(db, trigger).await
        }
    }
}

pub async fn what_was_not_wholly_planned_is_not_resumed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("none.csv", "reference,name\n")?;
    world.job(&["import", "gov", "none.csv", "--json"], 0).await?;
    // It ends between its last row and the plan of the references that share a token.
    hold_rows(&world.db).await?;
    let now = SystemClock.now().micros() / 1_000_000;
    world.file(
        "shared.csv",
        &format!(
            "reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
             A-1,Ada,card,pxt_{now}_a,proxynized,4242,12,2030\n\
             B-1,Bea,card,pxt_{now}_a,proxynized,4242,12,2030\n"
        ),
    )?;
    let run = run_of(&world.job(&["import", "gov", "shared.csv", "--json"], 1).await?)?;
    ensure!(world.changing() == 0);
    expire(&world.db).await?;
    execute(&world.db, &format!("UPDATE runs SET state = 'paused' WHERE id = '{run}'")).await?;
    let ran = world.runs_refused("resume", &run, 1).await?;
    ensure!(ran.stderr.contains("error[not_resumable]"), "{ran:?}");
    ensure!(world.changing() == 0);
    Ok(())
}

pub async fn too_many_failures_pause_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    for limit in ["2", "5%"] {
        let name = limit.trim_end_matches('%');
        world.file("rows.csv", &alone(60).replace("F-", &format!("F{name}-")))?;
        world.provider.clear_log();
        world.provider.put_faults(FaultPlan::parse("create_customer=status(422)")?)?;
        let (there, _) = world.sizes();
        let args = ["import", "gov", "rows.csv", "--json", "--max-failures", limit];
        let ran = world.job(&args, 3).await?;
        world.all_fired()?;
        ensure!(text(&ran, "/state")? == "paused", "{ran:?}");
        ensure!(ran.stderr.contains("error[too_many_failures]"), "{ran:?}");
        let run = run_of(&ran)?;
        ensure!(ran.stderr.contains(&format!("onfile runs resume {run}")), "{ran:?}");
        // One batch of references, of as many as are in flight at once.
        ensure!(ran.count("/rows/refused")? == 8, "{ran:?}");
        ensure!(ran.count("/rows/not_attempted")? == 52, "{ran:?}");
        ensure!(world.changing() == 8 && world.sizes().0 == there);

        // As bad as before: another batch, no more.
        let ran = world.runs("resume", &run, 3).await?;
        ensure!(ran.count("/rows/refused")? == 16, "{ran:?}");
        ensure!(world.changing() == 16 && world.sizes().0 == there);
        // Mended: the rest goes through, and what was refused stays so.
        world.provider.clear_faults();
        let ran = world.runs("resume", &run, 2).await?;
        ensure!(text(&ran, "/state")? == "done", "{ran:?}");
        ensure!(ran.count("/rows/refused")? == 16, "{ran:?}");
        ensure!(ran.count("/rows/created")? == 44, "{ran:?}");
        ensure!(world.changing() == 60, "{:?}", world.provider.counters());
        ensure!(world.sizes().0 == there + 44, "{:#?}", world.held());
    }
    Ok(())
}

pub async fn failures_within_the_budget_do_not(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:3..5=status(422)").await?;
    world.file("rows.csv", &alone(60))?;
    let args = ["import", "gov", "rows.csv", "--json", "--max-failures", "5%"];
    let ran = world.job(&args, 2).await?;
    world.all_fired()?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 3, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 57, "{ran:?}");
    Ok(())
}

pub async fn what_does_not_rest_is_refused(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let run = run_of(&world.job(&["import", "gov", "sample.csv", "--json"], 0).await?)?;
    let ran = world.runs_refused("resume", &run, 1).await?;
    ensure!(ran.stderr.contains("is done, not paused"), "{ran:?}");
    let ran = world.runs_refused("cancel", &run, 1).await?;
    ensure!(ran.stderr.contains("is done, not awaiting approval, paused or failed"), "{ran:?}");
    let pull = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let ran = world.runs_refused("resume", &run_of(&pull)?, 1).await?;
    ensure!(ran.stderr.contains("is done, not paused"), "{ran:?}");
    let ran = world.runs_refused("approve", &run_of(&pull)?, 1).await?;
    ensure!(ran.stderr.contains("is done, not awaiting approval"), "{ran:?}");
    Ok(())
}
