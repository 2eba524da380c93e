//! Level 2: the binary in processes of its own, killed as `kill -9` does while they stand at a
//! failpoint.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use engine::Failpoint;
use model::Summary;
use sandbox::Running;
use store::Store;

use super::crash::{self, Seen};
use super::oracle::{Judgement, judge};
use super::seed::{Begin, End, Plan, Rng, Stint, is_of_every_call};
use super::world::{now, provider, settle_down};
use crate::binary::{self, Onfile};
use crate::env::{TestDb, open_with};
use crate::jobs::{KEY, expire};

/// Every point comes first in its turn, and again as a second one behind every other.
fn stints(seed: u64) -> [Stint; 2] {
    let mut rng = Rng::new(seed);
    let points = Failpoint::ALL.len() as u64;
    let mut crash = |begin, at: u64| {
        let point = Failpoint::ALL[usize::try_from(at % points).unwrap_or(0)];
        let nth = if is_of_every_call(point) { 1 + rng.below(5) } else { 1 };
        Stint { begin, end: End::Crash { point, nth, after_ms: rng.below(20) } }
    };
    let first = crash(Begin::Import, seed);
    let again = if seed.is_multiple_of(3) { Begin::Import } else { Begin::Resume };
    [first, crash(again, seed + seed / points + 1)]
}

struct World {
    plan: Plan,
    provider: Running,
    onfile: Onfile,
    store: Arc<dyn Store>,
}

impl World {
    async fn new(db: &TestDb, plan: Plan) -> anyhow::Result<Self> {
        let provider = provider(&plan).await?;
        let config = format!(
            r#"[store]
url = "{}"
encryption_key = {{ env = "ONFILE_KEY" }}

[accounts.gov]
kind = "proxy-token"
base_url = "{}"
payment_account_uid = "pa_main"
token_url = "{}"
client_id = {{ env = "GOV_ID" }}
client_secret = {{ env = "GOV_SECRET" }}
rate = {{ per_second = 5000, burst = 50, in_flight = {} }}
import_batch = {}
timeout_seconds = 0.5
late_seconds = 0.4
quarantine_seconds = 3.9
"#,
            db.url(),
            provider.base_url(),
            provider.token_url(),
            plan.in_flight,
            plan.import_batch,
        );
        std::fs::write(db.folder().join("onfile.toml"), config)?;
        std::fs::write(db.folder().join("file.csv"), plan.file(now()))?;
        let onfile = Onfile::new(db.folder())
            .with_env("ONFILE_KEY", KEY)
            .with_env("GOV_ID", "sandbox-client")
            .with_env("GOV_SECRET", "sandbox-secret");
        Ok(Self { plan, provider, onfile, store: open_with(db, &[("default", 1)]).await? })
    }

    /// The last run, if it can be resumed and is to be.
    async fn resumed(&self, begin: Begin) -> anyhow::Result<Option<String>> {
        let run = self.store.runs(1).await?.pop().filter(|_| begin == Begin::Resume);
        Ok(run.filter(|run| run.input_hash.is_some() && !run.state.is_final()).map(|r| r.id.into()))
    }

    async fn start(&self, onfile: &Onfile, begin: Begin) -> anyhow::Result<binary::Running> {
        match self.resumed(begin).await? {
            Some(run) => onfile.start(&["runs", "resume", &run, "--json"]),
            None => onfile.start(&["import", "gov", "file.csv", "--json"]),
        }
    }

    async fn through(&self, begin: Begin) -> anyhow::Result<Summary> {
        let ran = self.start(&self.onfile, begin).await?.end().await?;
        ensure!([0, 2].contains(&ran.code), "{ran:?}");
        serde_json::from_value(ran.json()?).with_context(|| format!("{ran:?}"))
    }
}

/// The seed's plan, with something to be settled where a process is to die at that.
fn plan(seed: u64, stints: &[Stint]) -> Plan {
    let mut plan = Plan::draw(seed);
    let settles = |stint: &Stint| matches!(stint.end, End::Crash { point, .. } if point == Failpoint::SettlingWait);
    if stints.iter().any(settles) {
        let lost = "lost@bulk_import:every2=late_execution_ms(100)*2";
        plan.faults = format!("{lost},{}", plan.faults);
    }
    plan
}

/// One seed.
pub async fn run(db: Arc<TestDb>, seed: u64) -> anyhow::Result<(Seen, Judgement)> {
    let stints = stints(seed);
    let world = World::new(&db, plan(seed, &stints)).await?;
    let mut seen = Seen::default();
    for Stint { begin, end } in stints {
        let End::Crash { point, nth, after_ms } = end else { continue };
        let onfile = world.onfile.clone().with_env("ONFILE_FAILPOINT", &format!("{point}:{nth}"));
        let process = world.start(&onfile, begin).await?;
        if process.killed(Duration::from_millis(after_ms)).await?.is_none() {
            seen.crashes.push(point);
            expire(&db).await?;
        }
    }
    world.start(&world.onfile, Begin::Resume).await?.end().await?;
    seen.count_faults(&world.provider);
    settle_down().await;
    crash::finish(&world.provider, &*world.store, async |begin| world.through(begin).await).await?;
    let judgement = judge(&world.plan, &world.provider, &*world.store).await?;
    world.store.close().await;
    Ok((seen, judgement))
}
