//! The life of a run: begun with its lease, held by heartbeats, ended with its summary.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Calls, Counts, Coverage, Forecast, Ledger, MirrorAge, RunId, Summary};
use store::{EffectState, Fence, NewRun, RunEnd, RunRecord, RunState, Store, StoreError, UnderWay};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::import::{self, Ended};
use crate::{Engine, EngineError, Failpoint, pull};

const LEASE: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Where a run must stand for it to be taken up, and the word for it.
#[derive(Debug)]
pub(crate) struct Rest {
    states: &'static [RunState],
    wanted: &'static str,
}

impl Rest {
    /// To be approved.
    pub(crate) const APPROVAL: Self =
        Self { states: &[RunState::AwaitingApproval], wanted: "awaiting approval" };
    /// To be resumed. One that is at work is held by its worker, and the store says so.
    pub(crate) const PAUSE: Self =
        Self { states: &[RunState::Paused, RunState::Running], wanted: "paused" };
}

/// Lets a run that waits for a person go on: an import with the rest behind its canary, a pull with
/// what it found gone beyond the brake.
///
/// # Errors
/// When it does not wait for that, when its account is in use, or when the configuration means
/// something else by now. A run that went on and failed is an [`Ended`] with its error.
pub async fn approve(engine: &Engine, run: &RunId) -> Result<Ended, EngineError> {
    let record = resting(engine, run, &Rest::APPROVAL).await?;
    match record.job.as_str() {
        import::JOB => import::approve(engine, &record).await,
        pull::JOB => pull::approve(engine, &record).await,
        _ => Err(no_way_on(run)),
    }
}

/// Goes on with a run that was stopped, or whose process is gone: an import from its rows, never from
/// the file; a pull with the payment methods that it has not read. What an import sent without
/// hearing of it is not sent again.
///
/// # Errors
/// As [`approve`]; and when an import's file had not been read to its end.
pub async fn resume(engine: &Engine, run: &RunId) -> Result<Ended, EngineError> {
    let record = resting(engine, run, &Rest::PAUSE).await?;
    match record.job.as_str() {
        import::JOB => import::resume(engine, &record).await,
        pull::JOB => pull::resume(engine, &record).await,
        _ => Err(no_way_on(run)),
    }
}

fn no_way_on(run: &RunId) -> EngineError {
    EngineError::NotResumable { run: run.clone(), why: "a job of its kind is run again" }
}

/// One run.
pub(crate) async fn known(store: &dyn Store, run: &RunId) -> Result<RunRecord, EngineError> {
    store.run(run).await?.ok_or_else(|| EngineError::NoSuchRun(run.clone()))
}

async fn resting(engine: &Engine, run: &RunId, rest: &Rest) -> Result<RunRecord, EngineError> {
    let record = known(&*engine.store, run).await?;
    if record.account != engine.account.name {
        return Err(EngineError::Broken("a run goes on at its own account"));
    }
    if !rest.states.contains(&record.state) {
        let (run, state, wanted) = (run.clone(), record.state, rest.wanted);
        return Err(EngineError::NotResting { run, state, wanted });
    }
    Ok(record)
}

/// A run at work on its one part.
#[derive(Debug)]
pub(crate) struct ActiveRun {
    pub(crate) id: RunId,
    pub(crate) fence: Fence,
    job: &'static str,
    started_at: String,
    /// What was said of it when it came to rest, if it was taken up again.
    pub(crate) before: Option<Summary>,
    /// Whether a process that worked on it before died, and its count of calls with it.
    lost: bool,
    heart: JoinHandle<()>,
}

/// What a job found out, for its summary.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) rows: Option<Ledger>,
    pub(crate) codes: BTreeMap<String, u64>,
    pub(crate) planned: BTreeMap<String, u64>,
    pub(crate) findings: BTreeMap<String, u64>,
    pub(crate) kept: BTreeMap<String, u64>,
    pub(crate) customers: Option<Counts>,
    pub(crate) methods: Option<Counts>,
    pub(crate) coverage: Option<Coverage>,
    pub(crate) dry_run: bool,
    pub(crate) forecast: Option<Forecast>,
    pub(crate) mirror: Option<MirrorAge>,
    pub(crate) observed: bool,
    pub(crate) unverified: Option<u64>,
    pub(crate) canary: Option<Vec<u64>>,
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

impl ActiveRun {
    /// Begins a run and claims its part.
    pub(crate) async fn begin(
        engine: &Engine,
        job: &'static str,
        new: NewRun,
    ) -> Result<Self, EngineError> {
        engine.store.begin_run(&new, &engine.owner, LEASE).await?;
        let part = engine
            .store
            .claim_part(&new.id, &engine.owner, LEASE)
            .await?
            .ok_or(EngineError::Broken("a run that was just begun has no part to claim"))?;
        info!(account = engine.account.name.as_str(), run.id = %new.id, job, "run begins");
        engine.reached(Failpoint::AfterBegin).await;
        Ok(Self::at_work(engine, job, part.fence, engine.clock.now().to_string(), None, false))
    }

    /// Takes up a run that rests so, with its account's writer lease.
    pub(crate) async fn take_up(
        engine: &Engine,
        job: &'static str,
        record: &RunRecord,
        rest: &Rest,
        args: &str,
    ) -> Result<Self, EngineError> {
        let run = &record.id;
        let opened = engine.store.reopen_run(run, rest.states, args, &engine.owner, LEASE).await;
        let part = match opened {
            Err(StoreError::RunState { run, state }) => {
                return Err(EngineError::NotResting { run, state, wanted: rest.wanted });
            }
            part => part?,
        };
        info!(account = engine.account.name.as_str(), run.id = %run, job, "run goes on");
        engine.reached(Failpoint::AfterBegin).await;
        let before: Option<Summary> =
            record.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let began = record.created_at.to_string();
        // One that came to rest says so; one that was at work died.
        let lost = record.state == RunState::Running;
        Ok(Self::at_work(engine, job, part.fence, began, before, lost))
    }

    fn at_work(
        engine: &Engine,
        job: &'static str,
        fence: Fence,
        started_at: String,
        before: Option<Summary>,
        lost: bool,
    ) -> Self {
        let (store, held) = (engine.store.clone(), fence.clone());
        let heart = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if let Err(error) = store.heartbeat(&held, LEASE).await {
                    warn!(run.id = %held.run, %error, "heartbeat failed");
                }
            }
        });
        Self { id: fence.run.clone(), fence, job, started_at, before, lost, heart }
    }

    /// Ends the run as its work ended, and says its summary. A job that failed or stopped is
    /// summed up as well: what it did is in the rows. A run that another worker has taken up is
    /// that one's to end.
    pub(crate) async fn end(
        self,
        engine: &Engine,
        found: Findings,
        failed: Option<&EngineError>,
    ) -> Result<Summary, EngineError> {
        if let Some(EngineError::Store(StoreError::Fenced { run, part })) = failed {
            return Err(StoreError::Fenced { run: run.clone(), part: *part }.into());
        }
        let state = match failed {
            None => RunState::Done,
            Some(EngineError::AwaitingApproval { .. } | EngineError::MassRemoval { .. }) => {
                RunState::AwaitingApproval
            }
            Some(error) if error.is_pause() => RunState::Paused,
            Some(_) => RunState::Failed,
        };
        let before = self.before.clone().unwrap_or_default();
        let under_way = engine.store.under_way(&self.id).await?;
        let now = engine.calls.calls(&engine.account.name, &self.id);
        let calls = all_calls(before.calls.clone(), now);
        let error = failed.filter(|error| error.is_wrong());
        let summary = Summary {
            run: self.id.to_string(),
            job: self.job.to_owned(),
            account: engine.account.name.to_string(),
            state: state.as_str().to_owned(),
            dry_run: found.dry_run,
            started_at: self.started_at.clone(),
            ended_at: engine.clock.now().to_string(),
            rows: found.rows,
            codes: found.codes,
            planned: found.planned,
            effects: by_state(&under_way),
            unsettled: unsettled(&under_way),
            lease_seconds: None,
            customers: found.customers.or(before.customers),
            methods: found.methods.or(before.methods),
            calls: Calls { lost: calls.lost || self.lost, ..calls },
            findings: found.findings,
            kept_in_store: sums(before.kept_in_store, found.kept),
            forecast: found.forecast,
            mirror: found.mirror,
            observed: found.observed,
            unverified: found.unverified,
            canary: found.canary,
            coverage: found.coverage,
            error: error.map(ToString::to_string),
            error_code: error.map(|error| error.code().as_str().to_owned()),
        };
        let text = serde_json::to_string(&summary)
            .map_err(|_| EngineError::Broken("a summary is always JSON"))?;
        let end = RunEnd { state, summary: Some(text), error: summary.error.clone() };
        engine.reached(Failpoint::BeforeEndRun).await;
        engine.store.end_run(&self.fence, &end).await?;
        info!(
            account = engine.account.name.as_str(),
            run.id = %self.id,
            job = self.job,
            state = state.as_str(),
            "run ends"
        );
        Ok(summary)
    }
}

/// The effects of a run, by the words of their states.
pub(crate) fn by_state(under_way: &UnderWay) -> BTreeMap<String, u64> {
    let word = |(state, count): (&EffectState, &u64)| (state.as_str().to_owned(), *count);
    under_way.effects.iter().map(word).collect()
}

/// How many of them may have taken place, and nobody knows yet.
pub(crate) fn unsettled(under_way: &UnderWay) -> u64 {
    let open = under_way.effects.iter().filter(|(state, _)| state.is_unsettled());
    open.map(|(_, count)| count).sum()
}

/// Counts by name, of before and of now.
fn sums(mut before: BTreeMap<String, u64>, now: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    for (name, count) in now {
        *before.entry(name).or_default() += count;
    }
    before
}

/// Calls of before and of now.
fn all_calls(before: Calls, now: Calls) -> Calls {
    Calls {
        total: before.total + now.total,
        throttled: before.throttled + now.throttled,
        retried: before.retried + now.retried,
        changing: before.changing + now.changing,
        by_endpoint: sums(before.by_endpoint, now.by_endpoint),
        lost: before.lost || now.lost,
    }
}
