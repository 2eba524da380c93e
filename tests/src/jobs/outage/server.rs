//! PostgreSQL dies while an import is at work, and comes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::{IMPORT, World};
use crate::env::{Missing, TestDb};
use crate::jobs::resume::{called, cards, expire};
use crate::pg::Server;

type Result = anyhow::Result<()>;

/// The server is killed at this call of an import, and is away for so many seconds: the answer
/// comes meanwhile.
async fn killed_at(endpoint: &str, call: u64, seconds: u64) -> Result {
    if !Server::is_installed() {
        return Err(Missing("no PostgreSQL that can be killed").into());
    }
    let server = Server::start(None).await?;
    let db = Arc::new(TestDb::on(&server).await?);
    let fault = format!("{endpoint}:{call}=delay_after_ms(1000)");
    let world = World::new(db, 0, &fault).await?;
    world.configure("import_batch = 4")?;
    world.file("cards.csv", &cards(80))?;

    let child = world.onfile.start(&IMPORT)?;
    called(&world, endpoint, call).await?;
    server.kill().await?;
    sleep(Duration::from_secs(1)).await;
    let sent = world.changing();
    sleep(Duration::from_secs(seconds)).await;
    ensure!(world.changing() == sent, "something was sent that could not be written down");
    ensure!(sent < 100, "everything had been sent: {sent}");
    server.start_again().await?;
    let ran = child.end().await?;
    world.all_fired()?;
    // Whatever became of the run, what was answered meanwhile is written down.
    let open = world.onfile.run(&["effects"]).await?.expect(0)?;
    ensure!(open.stdout.contains("nothing is open"), "{ran:?} {open:?}");
    if ran.code != 0 {
        ensure!(ran.stderr.contains("error[store_unavailable]"), "{ran:?}");
        expire(&world.db).await?;
        world.job(&IMPORT, 0).await?;
    }
    ensure!(world.provider.counters().calls("create_customer") == 80);
    ensure!(world.provider.counters().calls("bulk_import") == 20);
    world.each_once(80)
}

pub async fn killed_while_creating(_: Arc<TestDb>) -> Result {
    killed_at("create_customer", 30, 2).await
}

pub async fn killed_while_saving(_: Arc<TestDb>) -> Result {
    killed_at("bulk_import", 5, 2).await
}

/// For longer than the store waits for a connection.
pub async fn killed_and_away_for_long(_: Arc<TestDb>) -> Result {
    killed_at("create_customer", 30, 25).await
}
