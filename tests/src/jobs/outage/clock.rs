//! The machine's clock is set while an import is at work: SQLite's leases, and the age of what was
//! sent, go by that clock.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use super::{IMPORT, World};
use crate::binary::Ran;
use crate::env::TestDb;
use crate::jobs::canary::text;
use crate::jobs::resume::{called, cards};

type Result = anyhow::Result<()>;

/// Of the account, in seconds.
const QUARANTINE: f64 = 5.0;

/// An import of four cards in one batch, whose answer is lost; while it is awaited, the clock is
/// set by so many seconds. It ends, and the clock was set indeed.
async fn set_by(world: &mut World, seconds: i64) -> anyhow::Result<Ran> {
    world.quarantine(QUARANTINE)?;
    world.file("cards.csv", &cards(4))?;
    world.file("clock", "0")?;
    world.shake("ONFILE_SHIM_CLOCK", "clock")?;
    let child = world.onfile.start(&IMPORT)?;
    called(world, "bulk_import", 1).await?;
    world.file("clock", &seconds.to_string())?;
    if seconds < 0 {
        // Nobody else may have the account meanwhile.
        let other = world.onfile.run(&IMPORT).await?.expect(1)?;
        ensure!(other.stderr.contains("error[account_busy]"), "{other:?}");
    }
    let ran = child.end().await?.expect(0)?;
    world.all_fired()?;
    let at = |path| {
        let at = text(&ran, path)?;
        let at = model::Timestamp::parse_rfc3339(&at).context("no time")?;
        anyhow::Ok(at.micros() / 1_000_000)
    };
    let lasted = at("/ended_at")? - at("/started_at")?;
    ensure!((lasted - seconds).abs() < 60, "the clock was not set: {lasted} s");
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    world.each_once(4)?;
    // The account is free, whatever the clock says.
    let again = world.job(&IMPORT, 0).await?;
    ensure!(again.count("/rows/unchanged")? == 4, "{again:?}");
    Ok(ran)
}

/// It takes effect long after its answer was given up, and must have been waited for.
const LATE: &str = "bulk_import:1=delay_ms(4000)";

async fn late(db: Arc<TestDb>, seconds: i64) -> Result {
    let mut world = World::new(db, 0, LATE).await?;
    let ran = set_by(&mut world, seconds).await?;
    ensure!(ran.count("/codes/found_later")? == 4, "{ran:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    Ok(())
}

pub async fn set_back_waits_for_what_takes_effect_late(db: Arc<TestDb>) -> Result {
    late(db, -3600).await
}

pub async fn set_forward_waits_for_what_takes_effect_late(db: Arc<TestDb>) -> Result {
    late(db, 3600).await
}

/// What never arrived is sent again after the quarantine, neither before nor much later.
async fn absent(db: Arc<TestDb>, seconds: i64) -> Result {
    // Given up by the client, so that there is time to set the clock.
    let mut world = World::new(db, 0, "bulk_import:1=delay_ms(60000)").await?;
    let began = Instant::now();
    set_by(&mut world, seconds).await?;
    let took = began.elapsed();
    ensure!(took > Duration::from_secs_f64(QUARANTINE), "{took:?}");
    ensure!(took < Duration::from_secs(40), "{took:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 2);
    Ok(())
}

pub async fn set_back_sends_again_after_the_quarantine(db: Arc<TestDb>) -> Result {
    absent(db, -3600).await
}

pub async fn set_forward_sends_again_after_the_quarantine(db: Arc<TestDb>) -> Result {
    absent(db, 3600).await
}
