//! "Never twice, never lost", tortured: seeds that draw a file, faults, and processes that die at
//! named points; in the end the provider's own state is compared with the file.
//!
//! - `cargo test -p tests -- torture` runs 25 seeds on each database.
//! - `ONFILE_TORTURE_SEEDS=500` runs so many, `ONFILE_TORTURE_SEED=17` that one alone.

mod crash;
mod oracle;
mod seed;
mod twins;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use libtest_mimic::Trial;

use self::crash::Seen;
use self::oracle::Judgement;
use self::seed::Plan;
use self::twins::Twin;
use self::world::World;
use crate::env::{Database, Databases, Env, say, variable};

/// Seeds at work at once: each mostly waits.
const AT_ONCE: usize = 4;

/// Which seeds are asked for; so many, where nothing is said.
fn seeds(default: u64) -> anyhow::Result<Vec<u64>> {
    if let Some(seed) = variable("ONFILE_TORTURE_SEED") {
        return Ok(vec![seed.parse().context("ONFILE_TORTURE_SEED")?]);
    }
    let seeds = variable("ONFILE_TORTURE_SEEDS").map(|seeds| seeds.parse());
    Ok((1..=seeds.transpose().context("ONFILE_TORTURE_SEEDS")?.unwrap_or(default)).collect())
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Summary {
    seeds: u64,
    effects: u64,
    stops: u64,
    pauses: u64,
    crashes: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    unresolved: BTreeMap<String, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, effects, stops, pauses, crashes, faults, unresolved } = self;
        write!(f, "{seeds} seeds, {effects} effects, {stops} stops, {pauses} pauses; ")?;
        write!(f, "crashes {crashes:?}; faults {faults:?}; unresolved {unresolved:?}")
    }
}

impl Summary {
    fn add(&mut self, seen: &Seen, judgement: &Judgement) {
        self.seeds += 1;
        self.effects += judgement.effects;
        self.stops += seen.stops;
        self.pauses += seen.pauses;
        for point in &seen.crashes {
            *self.crashes.entry(point.as_str()).or_default() += 1;
        }
        for (kind, fired) in &seen.faults {
            *self.faults.entry(kind).or_default() += fired;
        }
        for (code, rows) in &judgement.unresolved {
            *self.unresolved.entry(code.clone()).or_default() += rows;
        }
    }
}

/// One seed from its beginning to its judgement.
async fn run(world: &Arc<World>) -> anyhow::Result<(Seen, Judgement)> {
    let seen = crash::torture(world).await?;
    world.settle_down().await;
    crash::finish(world).await?;
    let judgement = oracle::judge(&world.plan, &world.provider, &*world.store).await?;
    Ok((seen, judgement))
}

/// A seed with a database of its own.
async fn seed(
    databases: &Databases,
    seed: u64,
    twin: Option<Twin>,
) -> anyhow::Result<(Seen, Judgement)> {
    let db = databases.create().await?;
    let world = Arc::new(World::new(db, Plan::draw(seed), twin).await?);
    let ran = run(&world).await;
    world.store.close().await;
    databases.remove(&world.db).await?;
    ran
}

async fn torture(databases: Databases) -> anyhow::Result<()> {
    let mut summary = Summary::default();
    let mut failed = Vec::new();
    let databases = &databases;
    let seeds = seeds(25)?;
    let ran_seeds = seeds.len();
    let mut ran = stream::iter(seeds)
        .map(|no| async move { (no, seed(databases, no, None).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((seed, ran)) = ran.next().await {
        match ran {
            Ok((seen, judgement)) => {
                summary.add(&seen, &judgement);
                if !judgement.is_clean() {
                    let Plan { in_flight, import_batch, stints, .. } = Plan::draw(seed);
                    failed.push(format!(
                        "seed {seed}: {in_flight} in flight, batches of {import_batch}, \
                         {stints:#?}\n{judgement:#?}"
                    ));
                }
            }
            Err(error) => failed.push(format!("seed {seed}: {error:#}")),
        }
    }
    let on = databases.on.as_str();
    say(&format!("torture on {on}: {summary}"));
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} seeds failed on {on}; again: ONFILE_TORTURE_SEED=N cargo test -p tests -- \
         torture/{on}/crashes\n{}",
        failed.len(),
        ran_seeds,
        failed.join("\n")
    )
}

pub fn trials(env: &Env) -> Vec<Trial> {
    Database::ALL.into_iter().map(|db| env.trial_with("torture", db, "crashes", torture)).collect()
}
