//! `onfile runs`: what was done, what came of it, and what becomes of a run that rests.

use anyhow::Result;
use engine::EngineError;
use model::{RunId, SystemClock};
use serde_json::json;
use store::{RunRecord, RunState, Store};

use super::{env, jobs};
use crate::cli::{Global, Runs};
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::wiring::Opened;
use crate::{out, wiring};

const LATEST: u32 = 50;

pub(crate) async fn run(global: &Global, what: Option<Runs>) -> Result<Exit> {
    match what.unwrap_or(Runs::List) {
        Runs::Approve { run } => return jobs::go_on(global, &run, true).await,
        Runs::Resume { run } => return jobs::go_on(global, &run, false).await,
        Runs::List => with_store(global, async |opened| list(global, opened).await).await?,
        Runs::Show { run } => {
            with_store(global, async |opened| show(global, opened, &run).await).await?;
        }
        Runs::Cancel { run } => {
            with_store(global, async |opened| cancel(global, opened, &run).await).await?;
        }
    }
    Ok(Exit::Clean)
}

/// Does something with the store alone: no account's secrets are read.
pub(super) async fn with_store<T>(
    global: &Global,
    work: impl AsyncFnOnce(&Opened) -> Result<T>,
) -> Result<T> {
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let opened = wiring::open(wiring::load(&global.config, &env, &options)?).await?;
    let done = work(&opened).await;
    opened.store.close().await;
    done
}

/// The run of this id.
pub(super) async fn known(store: &dyn Store, run: &str) -> Result<RunRecord> {
    let id = RunId::new(run)?;
    Ok(store.run(&id).await?.ok_or(EngineError::NoSuchRun(id))?)
}

async fn list(global: &Global, opened: &Opened) -> Result<()> {
    let runs = opened.store.runs(LATEST).await?;
    if global.json {
        let runs: Vec<_> = runs.iter().map(listed).collect();
        out::json(&json!({ "runs": runs }));
    } else {
        out::line(report::runs(&runs).trim_end());
    }
    Ok(())
}

async fn show(global: &Global, opened: &Opened, run: &str) -> Result<()> {
    let record = known(&*opened.store, run).await?;
    let summary = engine::summary_of(&*opened.store, &record).await?;
    if global.json {
        out::json(&serde_json::to_value(&summary)?);
    } else {
        out::line(report::summary(&summary).trim_end());
    }
    Ok(())
}

async fn cancel(global: &Global, opened: &Opened, run: &str) -> Result<()> {
    let id = RunId::new(run)?;
    let before = opened.store.run(&id).await?.map(|record| record.state);
    let summary = engine::cancel(&*opened.store, &SystemClock, &id).await?;
    if before == Some(RunState::Cancelled) {
        out::error_line(&format!("run {id} was cancelled already, at {}", summary.ended_at));
    }
    if global.json {
        out::json(&serde_json::to_value(&summary)?);
    } else {
        out::line(report::summary(&summary).trim_end());
    }
    Ok(())
}

fn listed(run: &RunRecord) -> serde_json::Value {
    json!({
        "run": run.id.as_str(),
        "job": run.job,
        "dry_run": report::is_dry(run),
        "account": run.account.as_str(),
        "cause": run.cause,
        "state": run.state.as_str(),
        "input": run.input_name,
        "created_at": run.created_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "error": run.error,
    })
}
