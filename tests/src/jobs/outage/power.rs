//! The power goes: the database is what its last fsync left of it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use sandbox::FaultPlan;
use tokio::time::{Instant, sleep};

use super::{IMPORT, World};
use crate::binary::{Ran, Running};
use crate::env::TestDb;
use crate::jobs::canary::text;
use crate::jobs::resume::{called, cards, expire};

type Result = anyhow::Result<()>;

/// The database's files, each with the copy of it that is on the disk.
fn files(world: &World) -> [(PathBuf, PathBuf); 2] {
    let name = world.db.file().display();
    [format!("{name}"), format!("{name}-wal")]
        .map(|file| (PathBuf::from(&file), PathBuf::from(file + ".synced")))
}

/// Everything is on the disk, and what is not from here on goes with the power.
fn synced(world: &World) -> Result {
    for (file, synced) in files(world) {
        if file.exists() {
            fs::copy(&file, &synced)?;
        } else if synced.exists() {
            fs::remove_file(&synced)?;
        }
    }
    Ok(())
}

/// The power goes and comes back.
async fn lost(world: &World, mut child: Running) -> Result {
    child.signal("KILL").await?;
    child.end().await?.expect(-1)?;
    for (file, synced) in files(world) {
        if synced.exists() {
            fs::copy(&synced, &file)?;
        } else {
            fs::remove_file(&file)?;
        }
    }
    fs::remove_file(format!("{}-shm", world.db.file().display()))?;
    world.all_fired()
}

/// Waits until the provider has answered so many calls.
async fn answered(world: &World, endpoint: &str, status: u16, calls: u64) -> Result {
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.provider.counters().answered(endpoint, status) < calls {
        ensure!(Instant::now() < deadline, "{endpoint} was not answered {calls} times");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// An import that is about to begin, on an empty store.
async fn world(db: Arc<TestDb>, customers: usize, quarantine: f64) -> anyhow::Result<World> {
    let world = World::new(db, 0, "").await?;
    world.quarantine(quarantine)?;
    world.file("cards.csv", &cards(customers))?;
    world.onfile.run(&["runs"]).await?.expect(0)?;
    Ok(world)
}

/// Starts the import, or goes on with it once nobody holds it any more.
async fn start(world: &World, run: Option<&str>) -> anyhow::Result<Running> {
    expire(&world.db).await?;
    synced(world)?;
    match run {
        Some(run) => world.onfile.start(&["runs", "resume", run, "--json"]),
        None => world.onfile.start(&IMPORT),
    }
}

pub async fn lost_at_any_moment_loses_nothing(db: Arc<TestDb>) -> Result {
    const ALL: u16 = 200;
    let mut world = world(db, usize::from(ALL), 4.2).await?;
    world.shake("ONFILE_SHIM_SYNCED", "yes")?;
    let mut run: Option<String> = None;
    // At which call of each stint, and what becomes of that one; if nothing, right after its answer.
    let moments = [
        ("create_customer", 20, "delay_after_ms(60000)"),
        ("create_customer", 20, "delay_ms(1500)"),
        ("create_customer", 10, ""),
        ("create_customer", 15, ""),
        ("create_customer", 20, ""),
        ("bulk_import", 1, "delay_after_ms(60000)"),
        ("bulk_import", 3, "delay_ms(1500)"),
        ("bulk_import", 1, ""),
        ("bulk_import", 2, ""),
    ];
    for (endpoint, call, fault) in moments {
        let rule = format!("{endpoint}:{call}={fault}");
        let plan = if fault.is_empty() { FaultPlan::default() } else { FaultPlan::parse(&rule)? };
        world.provider.put_faults(plan)?;
        let status = if endpoint == "bulk_import" { 200 } else { 201 };
        let before = world.provider.counters();
        let child = start(&world, run.as_deref()).await?;
        if fault.is_empty() {
            answered(&world, endpoint, status, before.answered(endpoint, status) + call).await?;
        } else {
            called(&world, endpoint, before.calls(endpoint) + call).await?;
        }
        lost(&world, child).await?;
        if run.is_none() {
            let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
            run = Some(text(&runs, "/runs/0/run")?);
        }
    }
    let ran = world.go_on(0).await?;
    ensure!(ran.count("/rows/created")? == u64::from(ALL), "{ran:?}");
    ensure!(ran.count("/codes/found_later")? > 0, "{ran:?}");
    let counters = world.provider.counters();
    // The one that took effect late may be repeated at once: its reference is unique there.
    ensure!(counters.calls("create_customer") <= u64::from(ALL) + 1, "{counters:?}");
    ensure!(counters.calls("bulk_import") == u64::from(ALL) / 4, "{counters:?}");
    world.each_once(usize::from(ALL))
}

/// The power goes while a batch is on its way that takes effect three seconds later; the same
/// import begins at once when it is back.
async fn with_a_batch_on_its_way(world: &World) -> anyhow::Result<Ran> {
    world.provider.put_faults(FaultPlan::parse("bulk_import:1=delay_ms(3000)")?)?;
    let child = start(world, None).await?;
    called(world, "bulk_import", 1).await?;
    lost(world, child).await?;
    expire(&world.db).await?;
    let ran = world.job(&IMPORT, 0).await?;
    let calls = world.provider.counters().calls("bulk_import");
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.provider.counters().executed("bulk_import") < calls {
        ensure!(Instant::now() < deadline, "the batch was not executed");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(ran)
}

pub async fn lost_with_a_batch_on_its_way(db: Arc<TestDb>) -> Result {
    let mut world = world(db, 4, 6.0).await?;
    world.shake("ONFILE_SHIM_SYNCED", "yes")?;
    let ran = with_a_batch_on_its_way(&world).await?;
    ensure!(ran.count("/rows/unchanged")? == 4, "{ran:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    world.each_once(4)
}

/// The twin: nothing that is written becomes durable, and the test sees what is sent twice.
pub async fn lost_without_a_durable_journal_sends_twice(db: Arc<TestDb>) -> Result {
    let world = world(db, 4, 6.0).await?;
    with_a_batch_on_its_way(&world).await?;
    ensure!(world.provider.counters().calls("bulk_import") == 2);
    ensure!(world.sizes() == (4, 8), "{:#?}", world.held());
    Ok(())
}
