//! `onfile schedules`: what runs by itself, what became of it, and a hand on it.

use std::sync::Arc;

use anyhow::{Context, Result};
use engine::schedule::FIRE_LEASE;
use engine::{Progress, Quiet, Stop};
use serde_json::json;
use store::{FireRow, FireState, ScheduleRow};

use super::{env, jobs, runs};
use crate::cli::{Global, Job, Schedules};
use crate::config::{Config, LoadOptions, ScheduleConfig, nearest};
use crate::exit::Exit;
use crate::out;
use crate::out::ProgressLine;
use crate::serve::{self, work};
use crate::wiring::{self, Opened};

/// So many of the latest slots are shown.
const SHOWN: u32 = 30;

pub(crate) async fn run(global: &Global, what: Option<Schedules>) -> Result<Exit> {
    match what.unwrap_or(Schedules::List) {
        Schedules::List => {
            runs::with_store(global, async |opened| list(global, opened).await).await
        }
        Schedules::Show { name } => {
            runs::with_store(global, async |opened| show(global, opened, &name).await).await
        }
        Schedules::Pause { name } => pause(global, &name, true).await,
        Schedules::Resume { name } => pause(global, &name, false).await,
        Schedules::Run { name } => now(global, &name).await,
    }
}

/// A schedule of the configuration.
fn known<'a>(config: &'a Config, name: &str) -> Result<&'a ScheduleConfig, Unknown> {
    let found = config.schedules.iter().find(|schedule| schedule.name == name);
    found.ok_or_else(|| {
        let names = config.schedules.iter().map(|schedule| schedule.name.as_str());
        let hint = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the schedules are {}", names.collect::<Vec<_>>().join(", ")),
        };
        Unknown { name: name.to_owned(), hint }
    })
}

/// There is no schedule of this name.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has no schedule {name:?}: {hint}")]
struct Unknown {
    name: String,
    hint: String,
}

/// The schedules as the store knows them; new ones are written down.
async fn rows(opened: &Opened) -> Result<Vec<ScheduleRow>> {
    let all = opened.config.schedules.iter();
    let lines: Vec<(String, String)> =
        all.map(|one| (one.name.clone(), one.when.as_str().to_owned())).collect();
    Ok(opened.store.schedules().know_schedules(&lines, opened.clock.now()).await?)
}

async fn list(global: &Global, opened: &Opened) -> Result<Exit> {
    let (store, now) = (&*opened.store, opened.clock.now());
    let mut all = Vec::new();
    for (config, row) in opened.config.schedules.iter().zip(rows(opened).await?) {
        let schedule = serve::schedule(config);
        let begun = store.schedules().fires(&config.name, SHOWN).await?;
        all.push(report::Scheduled {
            name: config.name.clone(),
            job: config.job.clone(),
            when: config.when.as_str().to_owned(),
            paused: row.paused,
            last: begun.into_iter().find(|fire| fire.state != FireState::Skipped),
            last_good: store.schedules().last_good(&config.name).await?,
            next: schedule.next(store, now.max(row.last_slot)).map(|(_, starts)| starts),
            interval: schedule.interval(now),
            overdue_since: schedule.overdue_since(store, now).await?.filter(|_| !row.paused),
        });
    }
    if global.json {
        let all: Vec<_> = all.iter().map(report::scheduled_json).collect();
        out::json(&json!({ "schedules": all }));
    } else {
        out::line(report::schedules(&all).trim_end());
    }
    Ok(Exit::Clean)
}

async fn show(global: &Global, opened: &Opened, name: &str) -> Result<Exit> {
    let config = known(&opened.config, name)?;
    let fires: Vec<FireRow> = opened.store.schedules().fires(name, SHOWN).await?;
    if global.json {
        let slots: Vec<_> = fires.iter().map(report::fire_json).collect();
        out::json(&json!({ "schedule": name, "job": config.job, "slots": slots }));
    } else {
        out::line(report::fires(&fires, |at| config.when.local(at)).trim_end());
    }
    Ok(Exit::Clean)
}

async fn pause(global: &Global, name: &str, paused: bool) -> Result<Exit> {
    runs::with_store(global, async |opened| {
        known(&opened.config, name)?;
        rows(opened).await?;
        opened.store.schedules().pause_schedule(name, paused).await?;
        if global.json {
            out::json(&json!({ "schedule": name, "paused": paused }));
        } else if paused {
            out::line(&format!("{name} is paused: its slots are skipped until it is resumed"));
        } else {
            out::line(&format!("{name} goes on with its next slot"));
        }
        Ok(Exit::Clean)
    })
    .await
}

/// Does the job of a schedule in this process.
async fn now(global: &Global, name: &str) -> Result<Exit> {
    let look = wiring::load(&global.config, &env, &LoadOptions::without_secrets())?;
    let config = known(&look, name)?.clone();
    let job = Job::parse(&config.job).map_err(anyhow::Error::msg)?;
    let options = LoadOptions::for_accounts([job.account()]);
    let opened = wiring::open(wiring::load(&global.config, &env, &options)?).await?;
    rows(&opened).await?;
    let schedules = opened.store.schedules();
    let begun =
        schedules.start_by_hand(name, &opened.owner, FIRE_LEASE, opened.clock.now()).await?;
    let Some(fire) = begun else {
        let hint = "`onfile schedules show` says since when; `onfile runs list` names its run";
        opened.store.close().await;
        return Ok(jobs::misused(global, &format!("a run of {name} is at work"), hint));
    };
    let line = Arc::new(ProgressLine::new());
    let progress: Arc<dyn Progress> =
        if global.quiet { Arc::new(Quiet) } else { Arc::<ProgressLine>::clone(&line) };
    let (stopper, stop) = Stop::pair();
    let stopper = Arc::new(stopper);
    jobs::stop_on_signals(Arc::clone(&stopper));
    let end = work::work(&opened, &config, &fire, &stopper, stop, progress).await;
    line.clear();
    let row = schedules.fires(name, SHOWN).await?.into_iter().find(|row| row.slot == fire.slot);
    let row = row.context("the run that was begun is not in the store")?;
    if global.json {
        out::json(&report::fire_json(&row));
    } else {
        out::line(report::fires(&[row], |at| config.when.local(at)).trim_end());
    }
    opened.store.close().await;
    Ok(match end.state {
        FireState::Done => Exit::Clean,
        FireState::Differences => Exit::Differences,
        FireState::Stopped => Exit::Stopped,
        _ => Exit::Error,
    })
}
