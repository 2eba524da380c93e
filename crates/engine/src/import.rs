//! `onfile import`: a file to a provider.
//!
//! The whole file is read, checked, staged and planned before anything is sent, and every row ends
//! with exactly one outcome.

use std::path::PathBuf;
use std::time::Duration;

use backend::{CallCtx, Lane};
use model::{Code, Counts, Outcome, RunId, Summary};
use serde_json::json;
use store::{FinishRows, Group, NewRun, RowPlan, RowTally, StoreError};

use crate::apply::{Applier, Tally};
use crate::file::{self, RowReader, Totals};
use crate::group::{CustomerNow, Fate, Policy, Step};
use crate::run::{ActiveRun, Findings};
use crate::{Engine, EngineError, FileError, observe};

/// References decided on and applied together.
const GROUPS: u32 = 500;
/// How often an account in use is looked at again.
const BUSY: Duration = Duration::from_secs(1);
/// Rows staged in one transaction.
const ROWS: usize = 1000;

/// A number of rows, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many rows.
    Rows(u64),
    /// A share of the rows read, in percent, 0 to 100.
    Percent(f64),
}

impl Limit {
    /// Whether `rows` out of `of` are more than it allows.
    #[must_use]
    pub fn is_passed(self, rows: u64, of: u64) -> bool {
        match self {
            Self::Rows(most) => rows > most,
            #[expect(clippy::cast_precision_loss, reason = "compared with a percentage")]
            Self::Percent(most) => rows as f64 * 100.0 > most * of as f64,
        }
    }
}

/// What is imported, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The file.
    pub path: PathBuf,
    /// Leave unknown columns out instead of refusing the file.
    pub ignore_unknown: bool,
    /// Plan, and send nothing.
    pub dry_run: bool,
    /// What a person asked for beyond the file.
    pub policy: Policy,
    /// More rejected rows than this, and nothing is sent.
    pub max_rejected: Limit,
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
    let reader = open(&options).await?;
    let run = RunId::generate();
    let new = NewRun {
        id: run,
        job: "import".into(),
        account: engine.account.name.clone(),
        cause: options.cause.clone(),
        writing: !options.dry_run,
        args: json!({
            "dry_run": options.dry_run,
            "ignore_unknown": options.ignore_unknown,
            "max_rejected": format!("{:?}", options.max_rejected),
        })
        .to_string(),
        input_name: options.path.file_name().map(|name| name.to_string_lossy().into_owned()),
        input_hash: None,
        config_hash: None,
        parts: 1,
    };
    let run = loop {
        match ActiveRun::begin(engine, "import", new.clone()).await {
            Err(EngineError::Store(StoreError::AccountBusy { .. })) if options.wait => {
                engine.stop.check()?;
                tokio::time::sleep(BUSY).await;
            }
            run => break run?,
        }
    };
    let mut found = Findings { dry_run: options.dry_run, ..Findings::default() };
    let worked = work(engine, &run, &options, reader, &mut found).await;
    let RowTally { ledger, codes, planned } = engine.store.tally(&run.id).await?;
    found.rows = Some(ledger);
    found.codes = codes;
    found.planned = planned;
    let error = match worked {
        Ok(()) if !ledger.balances() => {
            Some(EngineError::Broken("the ledger of rows does not balance"))
        }
        worked => worked.err(),
    };
    let summary = run.end(engine, found, error.as_ref()).await?;
    Ok(Ended { summary, error })
}

/// Stages, plans and applies.
async fn work(
    engine: &Engine,
    run: &ActiveRun,
    options: &ImportOptions,
    reader: RowReader,
    found: &mut Findings,
) -> Result<(), EngineError> {
    let totals = stage(engine, run, reader).await?;
    found.input_hash = Some(totals.sha256.clone());
    if !totals.balances() {
        return Err(EngineError::Broken("the ledger of physical lines does not balance"));
    }
    let rows = totals.rows;
    let capabilities = engine.account.capabilities();
    let mut applier = Applier {
        engine,
        run,
        ctx: CallCtx::for_run(Lane::Bulk, &run.id),
        policy: options.policy,
        batch: capabilities.import_batch.unwrap_or(1) as usize,
    };
    let expected = plan(&applier, rows, options.dry_run).await?;
    let ledger = engine.store.tally(&run.id).await?.ledger;
    if ledger.read != rows {
        return Err(EngineError::Broken("not every row of the file was staged; nothing was sent"));
    }
    let rejected = ledger.rejected + expected;
    if options.max_rejected.is_passed(rejected, rows) {
        return Err(EngineError::TooManyRejected { rejected, read: rows });
    }
    if options.dry_run {
        return Ok(());
    }
    observe::same_account(engine, &applier.ctx).await?;
    apply(&mut applier, rows, found).await?;
    let left = engine.store.tally(&run.id).await?.planned;
    if left.is_empty() {
        Ok(())
    } else {
        Err(EngineError::Broken("the run ended and left rows without an outcome"))
    }
}

/// Opens the file and reads its header, away from the runtime's own threads.
async fn open(options: &ImportOptions) -> Result<RowReader, EngineError> {
    let (path, ignore_unknown) = (options.path.clone(), options.ignore_unknown);
    let opened = tokio::task::spawn_blocking(move || file::open(&path, ignore_unknown)).await;
    Ok(opened.map_err(|_| EngineError::Broken("opening the file panicked"))??)
}

/// Reads the file to its end and stages its rows on the way: nothing of it is sent before.
async fn stage(
    engine: &Engine,
    run: &ActiveRun,
    mut reader: RowReader,
) -> Result<Totals, EngineError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    let reading = tokio::task::spawn_blocking(move || -> Result<Totals, FileError> {
        loop {
            let mut batch = Vec::with_capacity(ROWS);
            while batch.len() < ROWS {
                match reader.next_row()? {
                    Some(row) => batch.push(row),
                    None => break,
                }
            }
            let last = batch.len() < ROWS;
            // Nobody listens any more when staging has failed.
            if sender.blocking_send(batch).is_err() || last {
                return Ok(reader.totals());
            }
        }
    });
    let mut staged = 0;
    while let Some(batch) = receiver.recv().await {
        engine.stop.check()?;
        staged += batch.len() as u64;
        engine.store.stage_rows(&run.fence, &engine.identity, batch).await?;
        engine.progress.at("staged", staged, None);
    }
    drop(receiver);
    Ok(reading.await.map_err(|_| EngineError::Broken("reading the file panicked"))??)
}

/// Decides on every row, and writes what is planned; how many rows look like being rejected by what
/// the provider is known to have, which applying looks at again.
async fn plan(applier: &Applier<'_>, rows: u64, dry_run: bool) -> Result<u64, EngineError> {
    let Applier { engine, run, .. } = applier;
    let mut after = None;
    let mut planned = 0;
    let mut expected = 0;
    loop {
        engine.stop.check()?;
        let groups = engine
            .store
            .load_groups(&run.fence, &engine.account.name, after.as_ref(), true, GROUPS)
            .await?;
        let Some(last) = groups.last() else { return Ok(expected) };
        after = Some(last.reference.clone());
        let plans = applier.with_rules(|rules| {
            groups
                .into_iter()
                .flat_map(|group| plan_group(applier, rules, group))
                .collect::<Vec<RowPlan>>()
        })?;
        planned += plans.len() as u64;
        expected += plans.iter().filter(|plan| is_expected_rejection(plan)).count() as u64;
        // A dry run never sends a token, so it keeps none.
        let forget_tokens =
            if dry_run { plans.iter().map(|plan| plan.line).collect() } else { Vec::new() };
        engine.store.commit_plan(&run.fence, plans).await?;
        if dry_run {
            let finish = FinishRows { forget_tokens, ..FinishRows::default() };
            engine.store.finish_rows(&run.fence, &engine.account.name, finish).await?;
        }
        engine.progress.at("planned", planned, Some(rows));
    }
}

/// Whether a rejection rests on what the mirror says of the provider, or on what this run is about
/// to save: it counts, and it is decided when the provider has been looked at.
const fn depends_on_reading(code: Code) -> bool {
    matches!(code, Code::TokenChanged | Code::FactsNeeded)
}

fn is_expected_rejection(plan: &RowPlan) -> bool {
    let word = plan.plan.as_deref().and_then(Code::parse);
    word.is_some_and(depends_on_reading)
}

/// What will be done for each row of a reference, as far as the mirror tells.
fn plan_group(
    applier: &Applier<'_>,
    rules: &crate::group::Rules<'_>,
    group: Group,
) -> Vec<RowPlan> {
    let mut work = applier.work(group);
    let mut words: Vec<Vec<&'static str>> = vec![Vec::new(); work.rows.len()];
    let mut note = |row: usize, word: &'static str| {
        if let Some(words) = words.get_mut(row) {
            words.push(word);
        }
    };
    let mut step = work.next(rules, true);
    if let Step::Create { row } = step {
        note(row, "create_customer");
        work.customer = CustomerNow::Planned;
        step = work.next(rules, true);
    }
    if let Step::Save(adds) = &step {
        for add in adds {
            note(
                add.row,
                match add.route {
                    backend::TokenRoute::Bulk => "import_method",
                    backend::TokenRoute::Add => "add_method",
                },
            );
        }
        step = work.default_step(rules);
    }
    if let Step::SetDefault { row, .. } = step {
        note(row, "set_default");
    }
    work.rows
        .iter()
        .zip(words)
        .filter(|(row, _)| row.staged.outcome.is_none())
        .map(|(row, mut words)| {
            let mut verdict = None;
            match (&row.fate, &row.also) {
                (Fate::Ended(end), _) if end.outcome == Outcome::Rejected => match end.code {
                    Some(code) if depends_on_reading(code) => words.push(code.as_str()),
                    _ => verdict = Some(end.clone()),
                },
                (Fate::Ended(_), _) => words.push("blocked"),
                // Beside its own subject something is wished that cannot be: if that is all, the
                // row is decided.
                (_, Some(also)) if words.is_empty() => verdict = Some(also.clone()),
                (_, Some(_)) => words.push("not_updatable"),
                _ => {}
            }
            let plan = (!words.is_empty()).then(|| words.join("+"));
            RowPlan { line: row.staged.line, plan, verdict }
        })
        .collect()
}

/// Carries the plan out.
async fn apply(
    applier: &mut Applier<'_>,
    rows: u64,
    found: &mut Findings,
) -> Result<(), EngineError> {
    let mut tally = Tally::default();
    let applied = apply_all(applier, rows, &mut tally).await;
    found.customers = Some(Counts {
        seen: tally.customers,
        created: tally.customers_created,
        ..Counts::default()
    });
    found.methods =
        Some(Counts { seen: tally.methods, created: tally.methods_created, ..Counts::default() });
    applied
}

async fn apply_all(
    applier: &mut Applier<'_>,
    rows: u64,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let engine = applier.engine;
    let mut after = None;
    loop {
        engine.stop.check()?;
        let groups = engine
            .store
            .load_groups(&applier.run.fence, &engine.account.name, after.as_ref(), true, GROUPS)
            .await?;
        let Some(last) = groups.last() else { return Ok(()) };
        after = Some(last.reference.clone());
        applier.apply(groups, tally).await?;
        engine.progress.at("applied", tally.rows, Some(rows));
    }
}
