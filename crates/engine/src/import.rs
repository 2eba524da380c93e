//! `onfile import`: a file to a provider.
//!
//! The whole file is read and checked before anything is staged, all of it is staged and planned
//! before anything is sent, and every row ends with exactly one outcome.

use std::path::PathBuf;

use backend::{CallCtx, Lane};
use model::{Counts, Outcome, RunId, Summary};
use serde_json::json;
use store::{Group, NewRun, RowPlan, RowTally};

use crate::apply::{Applier, Tally};
use crate::group::{CustomerNow, Fate, Policy, Step};
use crate::run::{ActiveRun, Findings};
use crate::{Engine, EngineError, FileError, file, observe};

/// References decided on and applied together.
const GROUPS: u32 = 500;
/// Rows staged in one transaction.
const ROWS: usize = 2000;

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
    let checked = check(&options).await?;
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
        input_hash: Some(checked.sha256.clone()),
        config_hash: None,
        parts: 1,
    };
    let run = ActiveRun::begin(engine, "import", new).await?;
    let mut found = Findings::default();
    let worked = work(engine, &run, &options, checked.rows, &mut found).await;
    let RowTally { ledger, codes, planned } = engine.store.tally(&run.id).await?;
    found.rows = Some(ledger);
    found.codes = codes;
    found.planned = planned;
    let error = match worked {
        Ok(()) if ledger.read != checked.rows || !ledger.balances() => {
            Some(EngineError::Broken("the ledger of rows does not balance"))
        }
        Ok(()) => None,
        Err(error) => Some(error),
    };
    let summary = run.end(engine, found, error.as_ref()).await?;
    Ok(Ended { summary, error })
}

struct Checked {
    sha256: String,
    rows: u64,
}

/// Reads the whole file once: its hash, its header, and that every record can be read.
async fn check(options: &ImportOptions) -> Result<Checked, EngineError> {
    let (path, ignore_unknown) = (options.path.clone(), options.ignore_unknown);
    blocking(move || {
        let mut reader = file::open(&path, ignore_unknown)?;
        let mut record = csv::StringRecord::new();
        let mut rows = 0;
        while reader.next_record(&mut record)?.is_some() {
            rows += 1;
        }
        Ok(Checked { sha256: file::sha256(&path)?, rows })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(f)
        .await
        .map_err(|_| EngineError::Broken("reading the file panicked"))?
        .map_err(EngineError::File)
}

async fn work(
    engine: &Engine,
    run: &ActiveRun,
    options: &ImportOptions,
    rows: u64,
    found: &mut Findings,
) -> Result<(), EngineError> {
    stage(engine, run, options, rows).await?;
    let ctx = CallCtx::for_run(Lane::Bulk, &run.id);
    let capabilities = engine.account.capabilities();
    let mut applier = Applier {
        engine,
        run,
        ctx,
        policy: options.policy,
        batch: capabilities.import_batch.unwrap_or(1) as usize,
    };
    plan(&applier, rows).await?;
    let ledger = engine.store.tally(&run.id).await?.ledger;
    if options.max_rejected.is_passed(ledger.rejected, rows) {
        return Err(EngineError::TooManyRejected { rejected: ledger.rejected, read: rows });
    }
    if options.dry_run {
        return Ok(());
    }
    observe::same_account(engine, &applier.ctx).await?;
    apply(&mut applier, rows, found).await
}

/// Reads the file again and stages its rows.
async fn stage(
    engine: &Engine,
    run: &ActiveRun,
    options: &ImportOptions,
    rows: u64,
) -> Result<(), EngineError> {
    let (path, ignore_unknown) = (options.path.clone(), options.ignore_unknown);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    let reading = tokio::task::spawn_blocking(move || -> Result<(), FileError> {
        let mut reader = file::open(&path, ignore_unknown)?;
        let mut record = csv::StringRecord::new();
        let mut batch = Vec::with_capacity(ROWS);
        while let Some(line) = reader.next_record(&mut record)? {
            batch.push(file::stage(reader.columns(), &record, line));
            if batch.len() == ROWS
                && sender
                    .blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(ROWS)))
                    .is_err()
            {
                return Ok(());
            }
        }
        let _nobody_listens = sender.blocking_send(batch).is_err();
        Ok(())
    });
    let mut staged = 0;
    while let Some(batch) = receiver.recv().await {
        engine.stop.check()?;
        staged += batch.len() as u64;
        engine.store.stage_rows(&run.fence, &engine.identity, batch).await?;
        engine.progress.at("staged", staged, Some(rows));
    }
    reading.await.map_err(|_| EngineError::Broken("reading the file panicked"))??;
    Ok(())
}

/// Decides on every row, and writes what is planned.
async fn plan(applier: &Applier<'_>, rows: u64) -> Result<(), EngineError> {
    let Applier { engine, run, .. } = applier;
    let mut after = None;
    let mut planned = 0;
    loop {
        engine.stop.check()?;
        let groups = engine
            .store
            .load_groups(&run.fence, &engine.account.name, after.as_ref(), true, GROUPS)
            .await?;
        let Some(last) = groups.last() else { return Ok(()) };
        after = Some(last.reference.clone());
        let plans = applier.with_rules(|rules| {
            groups
                .into_iter()
                .flat_map(|group| plan_group(applier, rules, group))
                .collect::<Vec<RowPlan>>()
        })?;
        planned += plans.len() as u64;
        engine.store.commit_plan(&run.fence, plans).await?;
        engine.progress.at("planned", planned, Some(rows));
    }
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
        .map(|(row, words)| RowPlan {
            line: row.staged.line,
            plan: (!words.is_empty()).then(|| words.join("+")),
            verdict: match &row.fate {
                Fate::Ended(verdict) if verdict.outcome == Outcome::Rejected => {
                    Some(verdict.clone())
                }
                _ => None,
            },
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
