//! "Never twice, never lost", tortured: seeds that draw a file, faults, and processes that die at
//! named points; in the end the provider's own state is compared with the file.
//!
//! - `crashes`: processes within this one, as threads whose runtimes are dropped.
//! - `kills`: the binary itself, by `kill -9`.
//! - `twins`: known-bad variants, which must be caught.
//! - what was once found, each by itself.
//!
//! How to run more of them, or one again, stands in `crates/README.md`.

mod crash;
mod faults;
mod kill;
mod listing;
mod oracle;
pub mod seed;
mod singled;
mod target;
mod twins;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use engine::Failpoint;
use futures::{StreamExt as _, stream};
use libtest_mimic::Trial;
use tokio::sync::Semaphore;

use self::crash::Seen;
use self::oracle::Judgement;
use self::seed::Plan;
use self::target::Target;
use self::twins::Twin;
use self::world::World;
use crate::env::{Database, Databases, Env, TestDb, block_on, say, variable};
use crate::providers::{self, Provider};

/// Seeds of a trial at work at once: each mostly waits.
const AT_ONCE: usize = 4;
/// Seeds of all trials at work at once, however many trials there are: more of them would make each
/// other later than their times allow for.
static AT_WORK: Semaphore = Semaphore::const_new(8);
/// Within so many seeds a twin must be caught.
const TWIN_SEEDS: u64 = 300;
/// Those that have caught the ones that are caught seldom: they come first.
const GOOD_SEEDS: [u64; 4] = [13, 11, 2, 5];
/// Seeds that prove nothing if a failpoint was left out.
const MANY_KILLS: usize = 50;
/// In so many seeds every fault that was drawn must have fired.
const MANY_SEEDS: u64 = 100;

/// The seeds to run: these, unless the environment asks for more, or for one.
fn seeds(default: RangeInclusive<u64>, more: &str) -> anyhow::Result<Vec<u64>> {
    if let Some(seed) = variable("ONFILE_TORTURE_SEED") {
        return Ok(vec![seed.parse().context("ONFILE_TORTURE_SEED")?]);
    }
    let more = match variable(more) {
        Some(seeds) => 1..=seeds.parse().context(more.to_owned())?,
        None => default,
    };
    Ok(more.collect())
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
    faults: BTreeMap<(String, &'static str), u64>,
    unresolved: BTreeMap<String, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, effects, doubled, lost, unaccounted, .. } = self;
        let Self { stops, pauses, crashes, unresolved, .. } = self;
        let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, kind), fired) in &self.faults {
            *faults.entry(kind).or_default() += fired;
        }
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
        for (fault, fired) in &seen.faults {
            *self.faults.entry(fault.clone()).or_default() += fired;
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
    target: Target,
    twin: Option<Twin>,
) -> anyhow::Result<(Seen, Judgement)> {
    let plan = Plan::draw(seed, target);
    let plan = twin.map_or(plan.clone(), |twin| twin.plan(plan));
    let world = Arc::new(World::new(db, plan, twin).await?);
    let seen = crash::torture(&world).await?;
    world::settle_down(&world.plan).await;
    let again = async |begin| crash::through(&world, begin).await;
    crash::finish(&world.provider, &target, &*world.store, again).await?;
    let judgement = oracle::judge(&world.plan, &world.provider, &*world.store).await?;
    world.store.close().await;
    Ok((seen, judgement))
}

/// Runs seeds, each on a database of its own, and sums them up.
async fn all<F>(
    databases: &Databases,
    target: &Target,
    case: &str,
    seeds: Vec<u64>,
    one: impl Fn(Arc<TestDb>, u64) -> F,
) -> anyhow::Result<Summary>
where
    F: Future<Output = anyhow::Result<(Seen, Judgement)>>,
{
    let (mut summary, mut failed) = (Summary::default(), Vec::new());
    let run = async |seed| {
        let _turn = AT_WORK.acquire().await?;
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
    let (on, kind) = (databases.on.as_str(), target.provider.kind());
    say(&format!("torture/{on}/{kind}/{case}: {summary}"));
    failed.sort();
    if failed.is_empty() {
        // A fault that never fires would prove less than it says.
        let silent: Vec<_> = summary.faults.iter().filter(|(_, fired)| **fired == 0).collect();
        ensure!(summary.seeds < MANY_SEEDS || silent.is_empty(), "never fired: {silent:?}");
        return Ok(summary);
    }
    let mut said = format!("{} seeds failed", failed.len());
    for (seed, why) in failed {
        let Plan { in_flight, import_batch, stints, .. } = Plan::draw(seed, *target);
        said += &format!(
            "\n\nONFILE_TORTURE_SEED={seed} cargo test -p tests -- torture/{on}/{kind}/{case}\n\
             {in_flight} in flight, batches of {import_batch}, {stints:?}\n{why}"
        );
    }
    bail!(said)
}

async fn crash_trial(databases: Databases, target: Target) -> anyhow::Result<()> {
    let each = if target.capabilities.import_batch.is_some() { 13 } else { 4 };
    let seeds = seeds(databases.on.share(each), "ONFILE_TORTURE_SEEDS")?;
    let one = |db, seed| crashes(db, seed, target, None);
    all(&databases, &target, "crashes", seeds, one).await.map(drop)
}

async fn kill_trial(databases: Databases, target: Target) -> anyhow::Result<()> {
    let each = if target.capabilities.import_batch.is_some() { 3 } else { 1 };
    let seeds = seeds(databases.on.share(each), "ONFILE_TORTURE_KILLS")?;
    let many = seeds.len() >= MANY_KILLS;
    let summary =
        all(&databases, &target, "kills", seeds, |db, seed| kill::run(db, seed, target)).await?;
    let hit = |point: &Failpoint| summary.crashes.get(point.as_str()).copied().unwrap_or(0);
    let left_out = Failpoint::ALL.into_iter().find(|point| hit(point) < 3);
    ensure!(!many || left_out.is_none(), "{left_out:?} was hit less than three times");
    Ok(())
}

/// Looks for the first seed at which a twin is caught.
async fn twin_trial(databases: Databases, target: Target, twin: Twin) -> anyhow::Result<()> {
    let run = async |seed| {
        let _turn = AT_WORK.acquire().await?;
        let db = Arc::new(databases.create().await?);
        let ran = crashes(Arc::clone(&db), seed, target, Some(twin)).await;
        databases.remove(&db).await?;
        ran
    };
    let run = &run;
    let mut seeds = seeds(1..=TWIN_SEEDS, "ONFILE_TORTURE_SEEDS")?;
    seeds.sort_by_key(|seed| !GOOD_SEEDS.contains(seed));
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
                    "torture/{on}/{}/twin_{twin}: caught at seed {seed}: {doubled} doubled, \
                     {lost} lost; {first}",
                    target.provider.kind()
                ));
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => errors.push(format!("seed {seed}: {error:#}")),
        }
    }
    bail!("{} was never caught; {errors:#?}", twin.as_str())
}

async fn single_trial(
    databases: Databases,
    of: &'static dyn Provider,
    run: singled::Run,
) -> anyhow::Result<()> {
    let _turn = AT_WORK.acquire().await?;
    let db = Arc::new(databases.create().await?);
    let ran = run(Arc::clone(&db), of).await;
    databases.remove(&db).await?;
    ran
}

/// Each twin is caught somewhere, and where it cannot be is known.
async fn every_twin_has_a_provider(targets: Vec<Target>) -> anyhow::Result<()> {
    for twin in Twin::ALL {
        let caught = targets.iter().any(|target| twin.is_caught_at(target));
        ensure!(caught, "no provider needs what {} leaves out", twin.as_str());
    }
    for target in targets {
        // Nothing is doubled where a reference is unique and a file brings nothing else.
        let none = !Twin::ALL.into_iter().any(|twin| twin.is_caught_at(&target));
        ensure!(none == (!target.lists() && !target.saves_twice()), "{target:?}");
    }
    Ok(())
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let (mut trials, mut targets) = (Vec::new(), Vec::new());
    for of in providers::ALL.iter().copied() {
        match block_on(Target::of(of)) {
            Ok(target) => targets.push(target),
            Err(error) => {
                let case = format!("{}/is_opened", of.kind());
                trials.push(env.trial("torture", &case, async move || Err(error)));
            }
        }
    }
    for (db, target) in
        Database::ALL.into_iter().flat_map(|db| targets.iter().map(move |target| (db, *target)))
    {
        let of = target.provider;
        let case = |name: &str| format!("{}/{name}", of.kind());
        let run = move |databases| crash_trial(databases, target);
        trials.push(env.trial_with("torture", db, &case("crashes"), run));
        let run = move |databases| kill_trial(databases, target);
        trials.push(env.trial_with("torture", db, &case("kills"), run));
        for singled in singled::CASES.iter().filter(|case| (case.applies)(&target)) {
            let run = move |databases| single_trial(databases, of, singled.run);
            trials.push(env.trial_with("torture", db, &case(singled.name), run));
        }
        for twin in Twin::ALL.into_iter().filter(|twin| twin.is_caught_at(&target)) {
            let run = move |databases| twin_trial(databases, target, twin);
            let case = case(&format!("twin_{}", twin.as_str()));
            trials.push(env.trial_with("torture", db, &case, run));
        }
    }
    let run = async move || every_twin_has_a_provider(targets).await;
    trials.push(env.trial("torture", "every_twin_has_a_provider", run));
    trials
}
