//! `onfile import`: a file to a provider.
//!
//! The whole file is read, checked, staged and planned before anything is sent, and every row ends
//! with exactly one outcome.

mod again;
mod apply;
mod args;
mod baseline;
mod canary;
mod forecast;
mod look;
mod plan;
mod read_back;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use backend::{CallCtx, FindBy, Lane};
use model::{Code, EffectKind, MirrorAge, RunId, Summary, Timestamp};
use store::{NewRun, RowTally, StoreError, Which};

use crate::apply::Applier;
use crate::file::{Reading, RowReader};
use crate::group::Policy;
use crate::observe::Brakes;
use crate::run::{ActiveRun, Findings};
use crate::settle::{self, Patience, Unheard};
use crate::{Engine, EngineError, Failpoint, observe};

pub(crate) use again::{approve, resume};
pub use again::{cancel, summary_of};
use args::Args;
pub use args::Limit;
use forecast::Expectations;

/// The job's name.
pub(crate) const JOB: &str = "import";
/// References decided on and applied together.
const GROUPS: u32 = 500;
/// How often an account in use is looked at again.
const BUSY: Duration = Duration::from_secs(1);

/// What is imported, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The file.
    pub path: PathBuf,
    /// What a person said about reading it.
    pub reading: Reading,
    /// Plan, and send nothing.
    pub dry_run: bool,
    /// In a dry run: read at the provider what applying would read, and plan on that. Without a
    /// dry run it says nothing.
    pub observe: bool,
    /// What a person asked for beyond the file.
    pub policy: Policy,
    /// More rejected rows than this, and nothing is sent.
    pub max_rejected: Limit,
    /// More refused and unresolved rows than this, of those that have something to be sent, and
    /// the run pauses.
    pub max_failures: Option<Limit>,
    /// Send only the first rows, read them back, and wait for approval.
    pub canary: Option<u64>,
    /// Wait for the account's writing run to end, instead of failing.
    pub wait: bool,
    /// Why this runs: `person`, `schedule NAME`.
    pub cause: String,
}

/// A job that has ended: its summary, and why it did not end well, if so.
#[derive(Debug)]
pub struct Ended {
    /// What it did.
    pub summary: Summary,
    /// Why it stopped or failed.
    pub error: Option<EngineError>,
}

/// Imports a file.
///
/// # Errors
/// When the run could not be begun: a file that is wrong as a whole, an account in use, a store
/// out of reach. A run that began and failed is an [`Ended`] with its error.
pub async fn import(engine: &Engine, options: ImportOptions) -> Result<Ended, EngineError> {
    let reader = stage::open(&options).await?;
    let run = RunId::generate();
    let args = Args::of(&options);
    let new = NewRun {
        id: run,
        job: JOB.into(),
        account: engine.account.name.clone(),
        cause: options.cause.clone(),
        writing: !options.dry_run,
        args: args.text()?,
        input_name: options.path.file_name().map(|name| name.to_string_lossy().into_owned()),
        input_hash: None,
        config_hash: Some(engine.config_hash.clone()),
        parts: 1,
    };
    let mut waits_for: Option<RunId> = None;
    let run = loop {
        match ActiveRun::begin(engine, JOB, new.clone()).await {
            Err(EngineError::Store(StoreError::AccountBusy { run, account, .. }))
                if options.wait =>
            {
                engine.stop.check()?;
                if waits_for.as_ref() != Some(&run) {
                    engine
                        .progress
                        .says(&format!("waiting until run {run} is done with account {account}"));
                    waits_for = Some(run);
                }
                tokio::time::sleep(BUSY).await;
            }
            run => break run?,
        }
    };
    let mut found = Findings { dry_run: options.dry_run, ..Findings::default() };
    let worked = work(engine, &run, &args, reader, &mut found).await;
    conclude(engine, run, found, worked).await
}

/// Counts the rows, unless they were counted last thing, and ends the run as its work ended.
async fn conclude(
    engine: &Engine,
    run: ActiveRun,
    mut found: Findings,
    worked: Result<Option<RowTally>, EngineError>,
) -> Result<Ended, EngineError> {
    let (worked, tally) = match worked {
        Ok(tally) => (Ok(()), tally),
        Err(error) => (Err(error), None),
    };
    let RowTally { ledger, codes, planned } = match tally {
        Some(tally) => tally,
        None => engine.store.tally(&run.id).await?,
    };
    let error = match worked {
        Ok(()) if !ledger.balances() => {
            Some(EngineError::Broken("the ledger of rows does not balance"))
        }
        Ok(()) if !found.dry_run && !planned.is_empty() => {
            Some(EngineError::Broken("the run ended and left rows without an outcome"))
        }
        worked => worked.err(),
    };
    found.rows = Some(ledger);
    found.findings.extend(findings(&codes, &planned));
    found.codes = codes;
    if found.dry_run {
        for (code, rows) in plan::expected_warnings(&planned) {
            *found.codes.entry(code).or_default() += rows;
        }
    }
    found.planned = planned;
    match run.end(engine, found, error.as_ref()).await {
        Ok(summary) => Ok(Ended { summary, error }),
        // Whatever it failed of, the run goes on with another worker.
        Err(also @ EngineError::Store(StoreError::Fenced { .. })) => Err(also),
        // What the run failed of comes first: a full disk takes no end of a run either.
        Err(also) => Err(error.unwrap_or(also)),
    }
}

async fn applier<'a>(
    engine: &'a Engine,
    run: &'a ActiveRun,
    args: &Args,
    began: Option<Timestamp>,
) -> Result<Applier<'a>, EngineError> {
    Ok(Applier {
        engine,
        run,
        ctx: CallCtx::for_run(Lane::Bulk, &run.id),
        policy: args.policy(),
        batch: engine.account.capabilities().import_batch.unwrap_or(1) as usize,
        began: engine.clock.now(),
        may_create: engine.account.capabilities().find == FindBy::UniqueReference,
        since: began.unwrap_or_else(|| engine.clock.now()),
        may_send: true,
        dry_run: args.dry_run,
        looks: !args.dry_run || args.observe,
        gives_up: false,
        shared: BTreeMap::new(),
        parked: BTreeMap::new(),
        brakes: Brakes::of(engine, began).await?,
        unheard: Unheard::of_sender(),
    })
}

/// What the rows say that somebody should look at, whatever became of them. A plan says it too.
fn findings(
    codes: &BTreeMap<String, u64>,
    planned: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let word = Code::TokenShared.as_str();
    let said = planned.iter().filter(|(plan, _)| plan.split('+').any(|part| part == word));
    let rows = codes.get(word).copied().unwrap_or(0) + said.map(|(_, rows)| rows).sum::<u64>();
    (rows > 0).then(|| (word.to_owned(), rows)).into_iter().collect()
}

/// What is not known of earlier runs, and of workers that are gone, is settled before anything is
/// planned on it: at once as far as it can be. A canary waits for the rest, since what it is made of
/// is chosen once.
async fn begin(applier: &mut Applier<'_>, args: &Args) -> Result<(), EngineError> {
    if args.dry_run {
        return Ok(());
    }
    let patience = match args.canary() {
        Some(_) => Patience::UntilSettled,
        None => Patience::Now,
    };
    let (engine, fence) = (applier.engine, &applier.run.fence);
    settle::begin(engine, fence, &applier.ctx, &mut applier.unheard, patience).await
}

/// Stages, plans and applies; the rows as they were counted, if nothing moved them since.
async fn work(
    engine: &Engine,
    run: &ActiveRun,
    args: &Args,
    reader: RowReader,
    found: &mut Findings,
) -> Result<Option<RowTally>, EngineError> {
    let mut applier = applier(engine, run, args, None).await?;
    begin(&mut applier, args).await?;
    let mut kept = plan::Kept::default();
    let staged = stage::stage(&applier, reader, &mut kept).await?;
    if !staged.totals.balances() {
        return Err(EngineError::Broken("the ledger of physical lines does not balance"));
    }
    let mut opened = BTreeSet::new();
    if staged.shared {
        let shared = engine.store.shared_tokens(&run.fence).await?;
        let heads: BTreeSet<u64> = shared.iter().map(|token| token.head).collect();
        applier.shared = shared.into_iter().map(|token| (token.line, token.other)).collect();
        opened.extend(plan::replan_heads(&applier, &heads, &mut kept).await?);
    }
    if staged.joined {
        opened.extend(plan::replan(&applier, Which::Joined, &mut kept).await?);
    }
    let mut decided = staged.decided;
    decided.retain(|line| !opened.contains(line));
    plan::forget(&applier, &decided).await?;
    if args.dry_run {
        found.kept = kept.counts();
    }
    // From here on the run can go on from its rows, whatever becomes of this process.
    engine.store.input_read(&run.fence, &staged.totals.sha256).await?;
    engine.reached(Failpoint::AfterInputRead).await;
    carry_out(applier, args, staged.totals.rows, kept.expected, found).await
}

/// Applies the plan of a run, unless that only planned, or too much of it is rejected.
async fn carry_out(
    mut applier: Applier<'_>,
    args: &Args,
    rows: u64,
    mut expected: Expectations,
    found: &mut Findings,
) -> Result<Option<RowTally>, EngineError> {
    let Applier { engine, run, .. } = applier;
    let unread = match args.observe {
        true => {
            let decided = plan::decided_by_mirror(&engine.store.tally(&run.id).await?);
            Some(decided + look::look(&mut applier, &mut expected, found).await?)
        }
        false => None,
    };
    let mut tally = engine.store.tally(&run.id).await?;
    if tally.ledger.read != rows {
        return Err(EngineError::Broken("not every row of the file was staged; nothing was sent"));
    }
    check_rejected(&mut applier, args, &tally).await?;
    let forecast = expected.forecast(engine, &tally, args).await?;
    if args.dry_run {
        found.forecast = Some(forecast);
        found.unverified = Some(unread.unwrap_or_else(|| plan::unverified(&tally)));
        found.mirror = Some(mirror_age(engine).await?);
        if let Some(most) = args.canary() {
            found.canary = Some(canary::choose(&applier, most).await?);
        }
        return Ok(Some(tally));
    }
    engine.progress.forecast(&engine.account.name, &forecast);
    found.forecast = Some(forecast);
    if !tally.planned.is_empty() {
        observe::same_account(engine, &applier.ctx).await?;
    }
    if baseline::is_needed(engine, &tally).await? {
        baseline::read(&applier).await?;
        applier.may_create = true;
        plan::replan(&applier, Which::Open, &mut plan::Kept::default()).await?;
        tally = engine.store.tally(&run.id).await?;
        check_rejected(&mut applier, args, &tally).await?;
    }
    let applied = apply::apply(&mut applier, args, rows, with_effects(&tally.planned), found).await;
    found.findings.extend(applier.brakes.finding());
    applied?;
    found.findings.extend(baseline::sweep(&applier).await?);
    Ok(None)
}

/// Stops a run before its first effect if too much of it is rejected (rule 7).
async fn check_rejected(
    applier: &mut Applier<'_>,
    args: &Args,
    tally: &RowTally,
) -> Result<(), EngineError> {
    let Applier { engine, run, .. } = applier;
    let (read, rejected) =
        (tally.ledger.read, tally.ledger.rejected + plan::expected_rejections(tally));
    let untouched = engine.store.effects_of_run(&run.id, 1).await?.is_empty();
    if !untouched || !args.max_rejected.is_passed(rejected, read) {
        return Ok(());
    }
    if !args.dry_run {
        // Nothing comes behind the plan: its rows say why.
        applier.gives_up = true;
        plan::replan(applier, Which::Open, &mut plan::Kept::default()).await?;
    }
    Err(EngineError::TooManyRejected { rejected, read })
}

/// How much the mirror holds, and how old it is.
async fn mirror_age(engine: &Engine) -> Result<MirrorAge, EngineError> {
    let stats = engine.store.mirror_stats(&engine.account.name).await?;
    Ok(MirrorAge {
        customers: stats.customers,
        methods: stats.methods,
        oldest: stats.oldest.map(|at| at.to_string()),
        newest: stats.newest.map(|at| at.to_string()),
    })
}

/// What a plan in the planner's words will do at the provider.
fn effects_in(plan: &str) -> impl Iterator<Item = EffectKind> {
    plan.split('+').filter_map(EffectKind::parse)
}

/// How many of the planned rows have something to be sent.
fn with_effects(planned: &BTreeMap<String, u64>) -> u64 {
    let sent = planned.iter().filter(|(plan, _)| effects_in(plan).next().is_some());
    sent.map(|(_, rows)| rows).sum()
}
