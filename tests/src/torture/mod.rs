//! "Never twice, never lost", tortured: seeds that draw a file, faults, and processes that die at
//! named points; in the end the provider's own state is compared with the file.
//!
//! - `crashes`: processes within this one, as threads whose runtimes are dropped.
//! - `kills`: the binary itself, by `kill -9`.
//! - `twins`: known-bad variants, which must be caught.
//!
//! How to run more of them, or one again, stands in `crates/README.md`.

mod crash;
mod kill;
mod oracle;
pub mod seed;
mod twins;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use engine::Failpoint;
use futures::{StreamExt as _, stream};
use libtest_mimic::Trial;

use self::crash::Seen;
use self::oracle::Judgement;
use self::seed::Plan;
use self::twins::Twin;
use self::world::World;
use crate::env::{Database, Databases, Env, TestDb, say, variable};

/// Seeds at work at once: each mostly waits.
const AT_ONCE: usize = 4;
/// Within so many seeds a twin must be caught.
const TWIN_SEEDS: u64 = 300;
/// Seeds that prove nothing if a failpoint was left out.
const MANY_KILLS: usize = 50;

/// The seeds to run: so many, unless the environment asks for more, or for one.
fn seeds(default: u64, more: &str) -> anyhow::Result<Vec<u64>> {
    if let Some(seed) = variable("ONFILE_TORTURE_SEED") {
        return Ok(vec![seed.parse().context("ONFILE_TORTURE_SEED")?]);
    }
    let seeds = variable(more).map(|seeds| seeds.parse()).transpose().context(more.to_owned())?;
    Ok((1..=seeds.unwrap_or(default)).collect())
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Summary {
    seeds: u64,
    effects: u64,
    doubled: usize,
    lost: usize,
    unaccounted: usize,
    stops: u64,
    pauses: u64,
    crashes: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    unresolved: BTreeMap<String, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, effects, doubled, lost, unaccounted, .. } = self;
        let Self { stops, pauses, crashes, faults, unresolved, .. } = self;
        write!(f, "{seeds} seeds, {effects} effects: ")?;
        write!(f, "{doubled} doubled, {lost} lost, {unaccounted} unaccounted; ")?;
        write!(f, "{stops} stops, {pauses} pauses; ")?;
        write!(f, "crashes {crashes:?}; faults {faults:?}; unresolved {unresolved:?}")
    }
}

impl Summary {
    fn add(&mut self, seen: &Seen, judgement: &Judgement) {
        self.seeds += 1;
        self.effects += judgement.effects;
        self.doubled += judgement.doubled.len();
        self.lost += judgement.lost.len();
        self.unaccounted += judgement.unaccounted.len();
        self.stops += seen.stops;
        self.pauses += seen.pauses;
        for point in &seen.crashes {
            *self.crashes.entry(point.as_str()).or_default() += 1;
        }
        for (kind, fired) in seen.faults.iter().filter(|(_, fired)| **fired > 0) {
            *self.faults.entry(kind).or_default() += fired;
        }
        for (code, rows) in &judgement.unresolved {
            *self.unresolved.entry(code.clone()).or_default() += rows;
        }
    }
}

/// One seed from its beginning to its judgement.
async fn crashes(
    db: Arc<TestDb>,
    seed: u64,
    twin: Option<Twin>,
) -> anyhow::Result<(Seen, Judgement)> {
    let world = Arc::new(World::new(db, Plan::draw(seed), twin).await?);
    let seen = crash::torture(&world).await?;
    world::settle_down().await;
    let again = async |begin| crash::through(&world, begin).await;
    crash::finish(&world.provider, &*world.store, again).await?;
    let judgement = oracle::judge(&world.plan, &world.provider, &*world.store).await?;
    world.store.close().await;
    Ok((seen, judgement))
}

/// Runs seeds, each on a database of its own, and sums them up.
async fn all<F>(
    databases: &Databases,
    case: &str,
    seeds: Vec<u64>,
    one: impl Fn(Arc<TestDb>, u64) -> F,
) -> anyhow::Result<Summary>
where
    F: Future<Output = anyhow::Result<(Seen, Judgement)>>,
{
    let (mut summary, mut failed) = (Summary::default(), Vec::new());
    let run = async |seed| {
        let db = Arc::new(databases.create().await?);
        let ran = one(Arc::clone(&db), seed).await;
        databases.remove(&db).await?;
        ran
    };
    let run = &run;
    let mut ran = stream::iter(seeds)
        .map(|seed| async move { (seed, run(seed).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((seed, ran)) = ran.next().await {
        match ran {
            Ok((seen, judgement)) => {
                summary.add(&seen, &judgement);
                if !judgement.is_clean() {
                    failed.push((seed, format!("{judgement:#?}")));
                }
            }
            Err(error) => failed.push((seed, format!("{error:#}"))),
        }
    }
    let on = databases.on.as_str();
    say(&format!("torture/{on}/{case}: {summary}"));
    failed.sort();
    if failed.is_empty() {
        return Ok(summary);
    }
    let mut said = format!("{} seeds failed", failed.len());
    for (seed, why) in failed {
        let Plan { in_flight, import_batch, stints, .. } = Plan::draw(seed);
        said += &format!(
            "\n\nONFILE_TORTURE_SEED={seed} cargo test -p tests -- torture/{on}/{case}\n\
             {in_flight} in flight, batches of {import_batch}, {stints:?}\n{why}"
        );
    }
    bail!(said)
}

async fn crash_trial(databases: Databases) -> anyhow::Result<()> {
    let seeds = seeds(25, "ONFILE_TORTURE_SEEDS")?;
    all(&databases, "crashes", seeds, |db, seed| crashes(db, seed, None)).await.map(drop)
}

async fn kill_trial(databases: Databases) -> anyhow::Result<()> {
    let seeds = seeds(6, "ONFILE_TORTURE_KILLS")?;
    let many = seeds.len() >= MANY_KILLS;
    let summary = all(&databases, "kills", seeds, kill::run).await?;
    let hit = |point: &Failpoint| summary.crashes.get(point.as_str()).copied().unwrap_or(0);
    let left_out = Failpoint::ALL.into_iter().find(|point| hit(point) < 3);
    ensure!(!many || left_out.is_none(), "{left_out:?} was hit less than three times");
    Ok(())
}

/// Looks for the first seed at which a twin is caught.
async fn twin_trial(databases: Databases, twin: Twin) -> anyhow::Result<()> {
    let run = async |seed| {
        let db = Arc::new(databases.create().await?);
        let ran = crashes(Arc::clone(&db), seed, Some(twin)).await;
        databases.remove(&db).await?;
        ran
    };
    let run = &run;
    let seeds = seeds(TWIN_SEEDS, "ONFILE_TORTURE_SEEDS")?;
    let mut ran =
        stream::iter(seeds).map(|seed| async move { (seed, run(seed).await) }).buffered(AT_ONCE);
    let mut errors = Vec::new();
    while let Some((seed, ran)) = ran.next().await {
        match ran {
            Ok((_, Judgement { doubled, lost, .. })) if doubled.len() + lost.len() > 0 => {
                let (on, twin) = (databases.on.as_str(), twin.as_str());
                let first = doubled.first().or(lost.first()).map_or("", String::as_str);
                let (doubled, lost) = (doubled.len(), lost.len());
                say(&format!(
                    "torture/{on}/twin_{twin}: caught at seed {seed}: {doubled} doubled, \
                     {lost} lost; {first}"
                ));
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => errors.push(format!("seed {seed}: {error:#}")),
        }
    }
    bail!("{} was never caught; {errors:#?}", twin.as_str())
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut trials = Vec::new();
    for db in Database::ALL {
        trials.push(env.trial_with("torture", db, "crashes", crash_trial));
        trials.push(env.trial_with("torture", db, "kills", kill_trial));
        for twin in Twin::ALL {
            let case = format!("twin_{}", twin.as_str());
            let run = move |databases| twin_trial(databases, twin);
            trials.push(env.trial_with("torture", db, &case, run));
        }
    }
    trials
}
