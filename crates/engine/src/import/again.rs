//! Runs that rest: taken up again by `approve` and `resume`, ended by `cancel`.

use model::{Clock, RunId, Summary, Timestamp};
use store::{RowTally, RunRecord, RunState, Store, StoreError, Which};

use super::args::Args;
use super::{Ended, JOB, applier, begin, carry_out, conclude, plan};
use crate::run::{self, ActiveRun, Findings, Rest, by_state, unsettled};
use crate::{Engine, EngineError};

/// Rows given their outcome in one transaction.
const ROWS: u32 = 2000;

/// Lets an import whose canary went well go on with the rest.
///
/// # Errors
/// When it does not wait for that, when its account is in use, or when the configuration means
/// something else by now. A run that went on and failed is an [`Ended`] with its error.
pub(crate) async fn approve(engine: &Engine, record: &RunRecord) -> Result<Ended, EngineError> {
    let mut args = resting(engine, record)?;
    args.approved_at = Some(engine.clock.now().to_string());
    go_on(engine, record, &args, &Rest::APPROVAL).await
}

/// Goes on with an import that was stopped, or whose process is gone: from its rows, never from
/// the file. What an earlier stint sent without hearing of it is not sent again.
///
/// # Errors
/// As [`approve`]; and when the file had not been read to its end.
pub(crate) async fn resume(engine: &Engine, record: &RunRecord) -> Result<Ended, EngineError> {
    let args = resting(engine, record)?;
    go_on(engine, record, &args, &Rest::PAUSE).await
}

/// The run's options, if it can go on here and now.
fn resting(engine: &Engine, record: &RunRecord) -> Result<Args, EngineError> {
    let run = &record.id;
    let not = |why| EngineError::NotResumable { run: run.clone(), why };
    if record.config_hash.as_ref() != Some(&engine.config_hash) {
        let account = engine.account.name.to_string();
        return Err(EngineError::ConfigChanged { run: run.clone(), account });
    }
    // Written when the file has been read to its end.
    if record.input_hash.is_none() {
        return Err(not("it ended before its file was read to the end, and nothing was sent"));
    }
    Args::parse(&record.args).ok_or_else(|| not("another version began it"))
}

/// Plans what has no outcome once more, and carries it out.
async fn plan_and_apply(
    engine: &Engine,
    run: &ActiveRun,
    args: &Args,
    began: Timestamp,
    rows: u64,
    found: &mut Findings,
) -> Result<Option<RowTally>, EngineError> {
    let mut applier = applier(engine, run, args, Some(began)).await?;
    begin(&mut applier, args).await?;
    let shared = engine.store.shared_tokens(&applier.run.fence).await?;
    applier.shared = shared.into_iter().map(|token| (token.line, token.other)).collect();
    let mut kept = plan::Kept::default();
    plan::replan(&applier, Which::Open, &mut kept).await?;
    carry_out(applier, args, rows, kept.expected, found).await
}

async fn go_on(
    engine: &Engine,
    record: &RunRecord,
    args: &Args,
    rest: &Rest,
) -> Result<Ended, EngineError> {
    let run = ActiveRun::take_up(engine, JOB, record, rest, &args.text()?).await?;
    let mut found = Findings { dry_run: args.dry_run, ..Findings::default() };
    let rows = engine.store.tally(&run.id).await?.ledger.read;
    let worked = plan_and_apply(engine, &run, args, record.created_at, rows, &mut found).await;
    conclude(engine, run, found, worked).await
}

/// The summary that was written when the run last came to rest.
fn kept(record: &RunRecord) -> Option<Summary> {
    serde_json::from_str(record.summary.as_deref()?).ok()
}

fn blank(record: &RunRecord) -> Summary {
    Summary {
        run: record.id.to_string(),
        job: record.job.clone(),
        account: record.account.to_string(),
        state: record.state.as_str().to_owned(),
        dry_run: Args::parse(&record.args).is_some_and(|args| args.dry_run),
        started_at: record.created_at.to_string(),
        ..Summary::default()
    }
}

/// What is known of a run: its summary where it has come to rest, and where it is at work, or its
/// process died, how far it is by the store.
///
/// # Errors
/// When the store cannot be reached.
pub async fn summary_of(store: &dyn Store, record: &RunRecord) -> Result<Summary, EngineError> {
    let kept = kept(record);
    let under_way = store.under_way(&record.id).await?;
    // Settling moves them long after the run has come to rest.
    let (effects, unsettled) = (by_state(&under_way), unsettled(&under_way));
    if record.state != RunState::Running
        && let Some(summary) = kept
    {
        let state = record.state.as_str().to_owned();
        return Ok(Summary { state, effects, unsettled, ..summary });
    }
    let RowTally { ledger, codes, planned } = store.tally(&record.id).await?;
    Ok(Summary {
        rows: (ledger.read > 0).then_some(ledger),
        codes,
        planned,
        effects,
        unsettled,
        lease_seconds: under_way.lease.map(|left| left.as_secs()),
        // What it called is written down when it comes to rest.
        calls: kept.unwrap_or_default().calls,
        ..blank(record)
    })
}

/// Ends a run that rests: its rows without an outcome get one, and its tokens are destroyed. What
/// was sent and not heard of is unresolved, and keeps the token that settling it may need; what
/// this run created says so; the rest is `not_attempted: run_cancelled`. A run that failed stays
/// failed, and what it left is ended all the same. Cancelling a run once more finishes what was
/// left of that.
///
/// # Errors
/// When it has ended otherwise, or a worker holds it.
pub async fn cancel(
    store: &dyn Store,
    clock: &dyn Clock,
    run: &RunId,
) -> Result<Summary, EngineError> {
    let record = run::known(store, run).await?;
    let mut summary = kept(&record).unwrap_or_else(|| blank(&record));
    let text = |summary: &Summary| {
        serde_json::to_string(summary).map_err(|_| EngineError::Broken("a summary is always JSON"))
    };
    if record.state != RunState::Cancelled {
        if record.state != RunState::Failed {
            summary.state = RunState::Cancelled.as_str().to_owned();
            summary.ended_at = clock.now().to_string();
            (summary.error, summary.error_code) = (None, None);
        }
        match store.cancel_run(run, &text(&summary)?).await {
            Err(StoreError::RunState { run, state }) => {
                let wanted = "awaiting approval, paused or failed";
                return Err(EngineError::NotResting { run, state, wanted });
            }
            cancelled => cancelled?,
        }
    }
    let mut after = 0;
    while let Some(last) = store.cancel_rows(run, after, ROWS).await? {
        after = last;
    }
    let tally = store.tally(run).await?;
    if tally.ledger.read > 0 {
        summary.rows = Some(tally.ledger);
        summary.codes = tally.codes;
        summary.planned = tally.planned;
        let under_way = store.under_way(run).await?;
        summary.effects = by_state(&under_way);
        summary.unsettled = unsettled(&under_way);
        store.sum_up(run, &text(&summary)?).await?;
    }
    Ok(summary)
}
