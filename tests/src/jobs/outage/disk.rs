//! The database's file cannot be written for a while: the disk is full, or somebody else holds it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use sandbox::FaultPlan;
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::{IMPORT, World};
use crate::binary::Ran;
use crate::env::TestDb;
use crate::jobs::resume::{called, cards, expire};

type Result = anyhow::Result<()>;

pub async fn full_loses_nothing_that_was_in_flight(db: Arc<TestDb>) -> Result {
    let mut world = World::new(db, 0, "create_customer:30=delay_after_ms(500)").await?;
    world.quarantine(4.2)?;
    world.file("cards.csv", &cards(80))?;
    world.shake("ONFILE_SHIM_FULL", "full")?;
    let full = world.db.folder().join("full");

    let child = world.onfile.start(&IMPORT)?;
    called(&world, "create_customer", 30).await?;
    fs::write(&full, "")?;
    let ran = child.end().await?.expect(1)?;
    world.all_fired()?;
    ensure!(ran.stderr.contains("error[disk_full]"), "{ran:?}");
    ensure!(ran.stderr.contains("hint: make room, then"), "{ran:?}");
    // Nothing more is begun while there is no room.
    let sent = world.changing();
    world.onfile.run(&IMPORT).await?.expect(1)?;
    ensure!(world.changing() == sent, "something was sent");

    fs::remove_file(&full)?;
    world.provider.put_faults(FaultPlan::parse("bulk_import:3=delay_after_ms(500)")?)?;
    expire(&world.db).await?;
    let child = world.onfile.start(&IMPORT)?;
    called(&world, "bulk_import", 3).await?;
    fs::write(&full, "")?;
    let ran = child.end().await?.expect(1)?;
    world.all_fired()?;
    ensure!(ran.stderr.contains("error[disk_full]"), "{ran:?}");

    fs::remove_file(&full)?;
    let ran = world.go_on(0).await?;
    ensure!(ran.count("/codes/found_later")? > 0, "{ran:?}");
    ensure!(world.provider.counters().calls("create_customer") == 80);
    ensure!(world.provider.counters().calls("bulk_import") == 20);
    world.each_once(80)
}

/// Another process writes for so long while creates are in flight.
async fn held_for(world: &World, seconds: u64) -> anyhow::Result<Ran> {
    world.file("cards.csv", &cards(80))?;
    let child = world.onfile.start(&IMPORT)?;
    called(world, "create_customer", 30).await?;
    let mut other = SqliteConnection::connect(world.db.url()).await?;
    sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut other).await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await?;
    let began = Instant::now();
    let sent = world.changing();
    sleep(Duration::from_secs(seconds)).await;
    // Beyond what was on its way nothing is sent that could not be written down.
    ensure!(world.changing() < sent + 16, "{} and then {}", sent, world.changing());
    sqlx::query("ROLLBACK").execute(&mut other).await?;
    other.close().await?;
    let ran = child.end().await?;
    world.all_fired()?;
    ensure!(began.elapsed() >= Duration::from_secs(seconds));
    Ok(ran)
}

pub async fn held_for_some_seconds_is_waited_for(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:30=delay_after_ms(500)").await?;
    let ran = held_for(&world, 4).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 80, "{ran:?}");
    ensure!(world.provider.counters().calls("create_customer") == 80);
    world.each_once(80)
}

pub async fn held_for_long_ends_the_run_which_goes_on(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:30=delay_after_ms(500)").await?;
    let ran = held_for(&world, 22).await?;
    // It may have been waited for, or have ended the run.
    ensure!(ran.code == 0 || ran.stderr.contains("error[store_unavailable]"), "{ran:?}");
    expire(&world.db).await?;
    let ran = world.job(&IMPORT, 0).await?;
    ensure!(ran.count("/rows/unresolved")? == 0, "{ran:?}");
    ensure!(world.provider.counters().calls("create_customer") == 80);
    world.each_once(80)
}
