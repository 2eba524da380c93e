//! The life of a run: begun with its lease, held by heartbeats, ended with its summary.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Counts, Coverage, Ledger, RunId, Summary, Timestamp};
use store::{Fence, NewRun, RunEnd, RunState};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::{Engine, EngineError};

const LEASE: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A run at work on its one part.
#[derive(Debug)]
pub(crate) struct ActiveRun {
    pub(crate) id: RunId,
    pub(crate) fence: Fence,
    job: &'static str,
    started_at: Timestamp,
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
    pub(crate) input_hash: Option<String>,
    pub(crate) dry_run: bool,
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
        let (store, fence) = (engine.store.clone(), part.fence.clone());
        let heart = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if let Err(error) = store.heartbeat(&fence, LEASE).await {
                    warn!(run.id = %fence.run, %error, "heartbeat failed");
                }
            }
        });
        Ok(Self { id: new.id, fence: part.fence, job, started_at: engine.clock.now(), heart })
    }

    /// Ends the run as its work ended, and says its summary. A job that failed or stopped is
    /// summed up as well: what it did is in the rows.
    pub(crate) async fn end(
        self,
        engine: &Engine,
        found: Findings,
        failed: Option<&EngineError>,
    ) -> Result<Summary, EngineError> {
        let state = match failed {
            None => RunState::Done,
            Some(error) if error.is_pause() => RunState::Paused,
            Some(_) => RunState::Failed,
        };
        let summary = Summary {
            run: self.id.to_string(),
            job: self.job.to_owned(),
            account: engine.account.name.to_string(),
            state: state.as_str().to_owned(),
            dry_run: found.dry_run,
            started_at: self.started_at.to_string(),
            ended_at: engine.clock.now().to_string(),
            rows: found.rows,
            codes: found.codes,
            planned: found.planned,
            customers: found.customers,
            methods: found.methods,
            calls: engine.calls.calls(&engine.account.name, &self.id),
            findings: found.findings,
            kept_in_store: found.kept,
            coverage: found.coverage,
            error: failed.map(ToString::to_string),
        };
        let text = serde_json::to_string(&summary)
            .map_err(|_| EngineError::Broken("a summary is always JSON"))?;
        if failed.is_none() {
            engine.store.finish_part(&self.fence).await?;
        }
        let end = RunEnd {
            state,
            summary: Some(text),
            error: summary.error.clone(),
            input_hash: found.input_hash,
        };
        engine.store.end_run(&self.id, &end).await?;
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
