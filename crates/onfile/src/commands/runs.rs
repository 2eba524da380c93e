//! `onfile runs`: what was done, and what came of it.

use anyhow::{Context, Result};
use model::{RunId, Summary};
use serde_json::json;

use super::env;
use crate::cli::{Global, Runs};
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

const LATEST: u32 = 50;

pub(crate) async fn run(global: &Global, what: Option<Runs>) -> Result<Exit> {
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let config = wiring::load(&global.config, &env, &options)?;
    let opened = wiring::open(config).await?;
    match what.unwrap_or(Runs::List) {
        Runs::List => {
            let runs = opened.store.runs(LATEST).await?;
            if global.json {
                let runs: Vec<_> = runs.iter().map(listed).collect();
                out::json(&json!({ "runs": runs }));
            } else {
                out::line(report::runs(&runs).trim_end());
            }
        }
        Runs::Show { run } => {
            let id = RunId::new(run.clone())?;
            let record = opened
                .store
                .run(&id)
                .await?
                .with_context(|| format!("there is no run {run}; `onfile runs` lists them"))?;
            let summary: Option<Summary> =
                record.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
            match (global.json, summary) {
                (true, Some(summary)) => out::json(&serde_json::to_value(&summary)?),
                (true, None) => out::json(&listed(&record)),
                (false, Some(summary)) => out::line(report::summary(&summary).trim_end()),
                (false, None) => out::line(report::runs(&[record]).trim_end()),
            }
        }
    }
    opened.store.close().await;
    Ok(Exit::Clean)
}

fn listed(run: &store::RunRecord) -> serde_json::Value {
    json!({
        "run": run.id.as_str(),
        "job": run.job,
        "account": run.account.as_str(),
        "cause": run.cause,
        "state": run.state.as_str(),
        "input": run.input_name,
        "created_at": run.created_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "error": run.error,
    })
}
