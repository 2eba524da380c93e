//! `onfile import`: a file to a provider.
//!
//! The whole file is read, checked, staged and planned before anything is sent, and every row ends
//! with exactly one outcome.

mod apply;
mod plan;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use backend::{CallCtx, Lane};
use model::{RunId, Summary};
use serde_json::json;
use store::{NewRun, RowTally, StoreError};

use crate::apply::Applier;
use crate::file::{Reading, RowReader};
use crate::group::Policy;
use crate::run::{ActiveRun, Findings};
use crate::{Engine, EngineError, observe};

/// References decided on and applied together.
const GROUPS: u32 = 500;
/// How often an account in use is looked at again.
const BUSY: Duration = Duration::from_secs(1);

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
    /// What a person said about reading it.
    pub reading: Reading,
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
    let reader = stage::open(&options).await?;
    let run = RunId::generate();
    let new = NewRun {
        id: run,
        job: "import".into(),
        account: engine.account.name.clone(),
        cause: options.cause.clone(),
        writing: !options.dry_run,
        args: json!({
            "dry_run": options.dry_run,
            "ignore_unknown": options.reading.ignore_unknown,
            "not_pan": options.reading.not_pan,
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
    match run.end(engine, found, error.as_ref()).await {
        Ok(summary) => Ok(Ended { summary, error }),
        // What the run failed of comes first: a full disk takes no end of a run either.
        Err(also) => Err(error.unwrap_or(also)),
    }
}

/// Stages, plans and applies.
async fn work(
    engine: &Engine,
    run: &ActiveRun,
    options: &ImportOptions,
    reader: RowReader,
    found: &mut Findings,
) -> Result<(), EngineError> {
    let totals = stage::stage(engine, run, reader).await?;
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
    let expected = plan::plan(&applier, rows, options.dry_run).await?;
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
    apply::apply(&mut applier, rows, found).await?;
    let left = engine.store.tally(&run.id).await?.planned;
    if left.is_empty() {
        Ok(())
    } else {
        Err(EngineError::Broken("the run ended and left rows without an outcome"))
    }
}
