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
use super::target::Target;
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
        Stint { begin, end: End::Crash { point, nth, after_ms: rng.below(20) }, others: 0 }
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
        let at = plan.target.provider;
        let batch = plan.target.capabilities.import_batch.map(|_| plan.import_batch);
        let batch = batch.map_or_else(String::new, |batch| format!("import_batch = {batch}\n"));
        let config = format!(
            r#"[store]
url = "{}"
encryption_key = {{ env = "ONFILE_KEY" }}

[accounts.gov]
kind = "{}"
base_url = "{}"
{}{batch}rate = {{ per_second = 5000, burst = 50, in_flight = {} }}
timeout_seconds = 0.5
late_seconds = 0.4
quarantine_seconds = 3.9
"#,
            db.url(),
            at.kind(),
            provider.base_url(),
            at.toml(&provider, at.seeded()),
            plan.in_flight,
        );
        std::fs::write(db.folder().join("onfile.toml"), config)?;
        std::fs::write(db.folder().join("file.csv"), plan.file(now()))?;
        let onfile = Onfile::new(db.folder()).with_env("ONFILE_KEY", KEY);
        let onfile =
            at.env().iter().fold(onfile, |onfile, (name, value)| onfile.with_env(name, value));
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
            None => {
                // What cannot be told apart is rejected; nothing else stops for that.
                let mut args =
                    vec!["import", "gov", "file.csv", "--json", "--max-rejected", "100%"];
                args.extend(self.plan.updates.then_some("--update-existing"));
                onfile.start(&args)
            }
        }
    }

    async fn through(&self, begin: Begin) -> anyhow::Result<Summary> {
        let ran = self.start(&self.onfile, begin).await?.end().await?;
        ensure!([0, 2].contains(&ran.code), "{ran:?}");
        serde_json::from_value(ran.json()?).with_context(|| format!("{ran:?}"))
    }
}

/// The seed's plan, with something to be settled where a process is to die at that: a customer that
/// was not there and is not created twice.
fn plan(seed: u64, target: Target, stints: &[Stint]) -> Plan {
    let mut plan = Plan::draw(seed, target);
    let settles = |stint: &Stint| matches!(stint.end, End::Crash { point, .. } if point == Failpoint::SettlingWait);
    let lost = plan.references().into_iter().find(|reference| plan.there(reference).is_none());
    if let Some(reference) = lost.filter(|_| stints.iter().any(settles)) {
        let lost = format!("lost@create_customer[{reference}]=drop_before*2");
        plan.faults = format!("{lost},{}", plan.faults);
    }
    plan
}

/// One seed.
pub async fn run(db: Arc<TestDb>, seed: u64, target: Target) -> anyhow::Result<(Seen, Judgement)> {
    let stints = stints(seed);
    let world = World::new(&db, plan(seed, target, &stints)).await?;
    let mut seen = Seen::default();
    for Stint { begin, end, .. } in stints {
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
    settle_down(&world.plan).await;
    let again = async |begin| world.through(begin).await;
    crash::finish(&world.provider, &target, &*world.store, again).await?;
    let judgement = judge(&world.plan, &world.provider, &*world.store).await?;
    world.store.close().await;
    Ok((seen, judgement))
}
