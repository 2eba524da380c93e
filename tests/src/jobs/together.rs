//! Processes beside each other on one store and one account (rule 6).

use std::sync::Arc;

use anyhow::ensure;

use super::World;
use super::canary::run_of;
use super::resume::called;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const IMPORT: [&str; 4] = ["import", "gov", "sample.csv", "--json"];

pub async fn a_second_import_touches_nothing_of_the_first(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(2500)").await?;
    world.patient()?;
    let mut first = world.onfile.start(&IMPORT)?;
    called(&world, "bulk_import", 1).await?;
    // It stands still with that on its way, however long the others take.
    first.signal("STOP").await?;
    // What the first one has on its way is not another's to settle, or to send.
    for args in [&IMPORT[..], &["effects", "settle", "gov", "--json"]] {
        let ran = world.onfile.run(args).await?.expect(1)?;
        ensure!(ran.stderr.contains("error[account_busy]"), "{ran:?}");
        ensure!(!ran.stderr.contains("RUN"), "a run that is not named: {ran:?}");
    }
    // Reading is nobody's business.
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let dry = [&IMPORT[..], &["--dry-run"]].concat();
    world.onfile.run(&dry).await?.expect(0)?;
    let effects = world.onfile.run(&["effects", "--json"]).await?.expect(0)?;
    ensure!(effects.stdout.matches("\"sending\"").count() == 18, "{effects:?}");
    // One that waits has its turn after the first, and finds everything done.
    let waits = [&IMPORT[..], &["--wait"]].concat();
    let mut second = world.onfile.start(&waits)?;
    let waiting = second.says("waiting until run").await?;
    first.signal("CONT").await?;
    let first = first.end().await?.expect(0)?;
    world.all_fired()?;
    ensure!(first.count("/rows/created")? == 20, "{first:?}");
    ensure!(!first.stdout.contains("found_later"), "somebody else settled it: {first:?}");
    let second = second.end().await?.expect(0)?;
    let said = format!("waiting until run {} is done with account gov", run_of(&first)?);
    let all = waiting + &second.stderr;
    ensure!(all.matches(&said).count() == 1, "{all}");
    ensure!(second.count("/rows/unchanged")? == 20, "{second:?}");
    ensure!(second.count("/calls/changing")? == 0, "{second:?}");
    ensure!(world.sizes() == (16, 18), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    Ok(())
}

pub async fn two_processes_share_one_rate(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 300, "").await?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    let fast = "rate = { per_second = 2000, burst = 50, in_flight = 8 }";
    let slow = "rate = { per_second = 60, burst = 5, in_flight = 8 }";
    ensure!(config.contains(fast));
    world.file("onfile.toml", &config.replace(fast, slow))?;
    let mut rows = String::from("reference,name\n");
    for n in 0..200 {
        rows += &format!("N-{n},Name {n}\n");
    }
    world.file("sample.csv", &rows)?;
    // One reads all the time, as a daemon does; the other writes.
    let reader = world.onfile.start(&["pull", "gov", "--json"])?;
    let writer = world.onfile.start(&IMPORT)?;
    let writer = writer.end().await?.expect(0)?;
    ensure!(writer.count("/rows/created")? == 200, "{writer:?}");
    let reader = reader.end().await?.expect(0)?;
    ensure!(writer.count("/calls/total")? + reader.count("/calls/total")? > 500, "{reader:?}");
    // One rate over the whole of it, its burst, and what each had in flight. Two rates would have
    // made these calls in half the time; a machine that has other things to do takes longer.
    let arrived = world.provider.log().into_iter().map(|call| call.t_ms);
    let arrived: Vec<u64> = arrived.collect();
    let took =
        arrived.iter().max().zip(arrived.iter().min()).map_or(0, |(last, first)| last - first);
    let allowed = 60 * took / 1000 + 5 + 2 * 8;
    let calls = u64::try_from(arrived.len())?;
    ensure!(calls <= allowed, "more than one rate: {calls} calls in {took} ms");
    Ok(())
}
