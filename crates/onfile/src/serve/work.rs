//! The work on one slot: its job, the lease that it is held by meanwhile, and what came of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use engine::schedule::FIRE_LEASE;
use engine::{Ended, Engine, EngineError, Progress, PullOptions, Stop, Stopper};
use model::{AccountName, Forecast, RunId};
use store::{Fire, FireEnd, FireState, RunState};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::cli::Job;
use crate::commands::jobs;
use crate::config::ScheduleConfig;
use crate::exit::{self, Exit};
use crate::inbox::{self, Filed};
use crate::serve::watch;
use crate::wiring::Opened;

/// How often the lease is written anew.
const HOLD: Duration = Duration::from_secs(15);
/// How often the end of a job is written down again if the store is out of reach, and how long.
const AGAIN: Duration = Duration::from_secs(5);
const TRIES: u32 = 12;
/// How often it is said how far a job is.
const SAID: Duration = Duration::from_secs(60);

/// Does the job of a slot, holds the slot meanwhile, and writes down what came of it.
pub(crate) async fn work(
    opened: &Opened,
    schedule: &ScheduleConfig,
    fire: &Fire,
    stopper: &Stopper,
    stop: Stop,
    progress: Arc<dyn Progress>,
) -> FireEnd {
    let store = Arc::clone(&opened.store);
    let hold = async {
        loop {
            tokio::time::sleep(HOLD).await;
            match store.schedules().hold_fire(fire, FIRE_LEASE).await {
                Ok(true) => {}
                Ok(false) => {
                    error!(schedule = fire.schedule, slot = %fire.slot, "the slot was taken over");
                    stopper.stop_at_once();
                    std::future::pending::<()>().await;
                }
                Err(error) => warn!(schedule = fire.schedule, %error, "the lease is not held"),
            }
        }
    };
    let end = tokio::select! {
        end = done(opened, schedule, fire, stop, progress) => end,
        () = hold => stopped(),
    };
    for _ in 0..TRIES {
        match opened.store.schedules().end_fire(fire, &end, opened.clock.now()).await {
            Ok(true) => return end,
            Ok(false) => {
                warn!(schedule = fire.schedule, slot = %fire.slot, "another process has this slot");
                return end;
            }
            Err(error) => warn!(schedule = fire.schedule, %error, "its end is not written down"),
        }
        tokio::time::sleep(AGAIN).await;
    }
    // Its lease runs out, and it is taken up again: nothing is done twice by that.
    error!(schedule = fire.schedule, slot = %fire.slot, "its end could not be written down");
    end
}

fn stopped() -> FireEnd {
    FireEnd { state: FireState::Stopped, reason: None, message: None, run: None }
}

fn failed(code: &str, message: String, run: Option<RunId>) -> FireEnd {
    let (reason, message) = (Some(code.to_owned()), Some(message));
    FireEnd { state: FireState::Failed, reason, message, run }
}

async fn done(
    opened: &Opened,
    schedule: &ScheduleConfig,
    fire: &Fire,
    stop: Stop,
    progress: Arc<dyn Progress>,
) -> FireEnd {
    let job = match Job::parse(&schedule.job) {
        Ok(job) => job,
        Err(why) => return failed("usage", why, None),
    };
    let engine = match opened.engine(job.account(), stop.clone(), progress) {
        Ok(engine) => engine,
        Err(error) => return failed("config", format!("{error:#}"), None),
    };
    let folder = opened.config.file.parent().unwrap_or(Path::new(""));
    match carry_out(&engine, job, folder, fire).await {
        Ok(all) => all.iter().map(|one| one.end(&stop)).reduce(worse).unwrap_or(FireEnd {
            state: FireState::Done,
            reason: None,
            message: Some("there was no complete file in the inbox".to_owned()),
            run: None,
        }),
        Err(_) if stop.is_wanted() => stopped(),
        Err(error) => {
            let code = error.downcast_ref::<EngineError>().map_or("error", |e| e.code().as_str());
            failed(code, format!("{error:#}"), None)
        }
    }
}

/// The end that says more: what failed, then what differs. The run of the later one where it is a tie.
fn worse(one: FireEnd, other: FireEnd) -> FireEnd {
    let rank = |end: &FireEnd| match end.state {
        FireState::Failed => 3,
        FireState::Stopped => 2,
        FireState::Differences => 1,
        _ => 0,
    };
    if rank(&one) > rank(&other) { one } else { other }
}

/// What a job did: one run, or a file for each run.
enum Did {
    Job(Box<Ended>),
    File(Filed),
}

async fn carry_out(engine: &Engine, job: Job, folder: &Path, fire: &Fire) -> Result<Vec<Did>> {
    let cause = fire.cause();
    match job {
        Job::Pull(pull) => {
            let options = PullOptions { confirm: pull.confirm, cause };
            let ended = match left(engine, fire).await? {
                Some(ended) => ended,
                None => engine::pull(engine, &options).await?,
            };
            Ok(vec![Did::Job(Box::new(ended))])
        }
        Job::Import(mut args) => {
            // Beside another import a schedule waits for its turn.
            args.wait = true;
            let at = |path: &PathBuf| folder.join(path);
            if let Some(inbox) = args.inbox.as_ref().map(at) {
                let filed = inbox::run(engine, &args, &inbox, &cause).await?;
                return Ok(filed.into_iter().map(Did::File).collect());
            }
            let file = args.file.as_ref().map(at).unwrap_or_default();
            let ended = match left(engine, fire).await? {
                Some(ended) => ended,
                None => {
                    let options = jobs::import_options(&args, file, &cause);
                    engine::import(engine, options).await?
                }
            };
            Ok(vec![Did::Job(Box::new(ended))])
        }
    }
}

/// Goes on with the run that an earlier attempt at this slot began, if it can go on.
async fn left(engine: &Engine, fire: &Fire) -> Result<Option<Ended>, EngineError> {
    if fire.attempt == 1 {
        return Ok(None);
    }
    let store = &engine.store;
    let Some(run) = store.schedules().runs_caused_by(&fire.cause()).await?.pop() else {
        return Ok(None);
    };
    let state = store.run(&run).await?.map(|record| record.state);
    if !matches!(state, Some(RunState::Paused | RunState::Running)) {
        return Ok(None);
    }
    info!(schedule = fire.schedule, run.id = %run, "an earlier attempt's run goes on");
    match jobs::take_up(engine, &run).await {
        // What it did is in the store; the job finds it there when it is begun anew.
        Err(EngineError::NotResumable { .. } | EngineError::ConfigChanged { .. }) => Ok(None),
        ended => ended,
    }
}

impl Did {
    fn end(&self, stop: &Stop) -> FireEnd {
        let (exit, run, ended, error) = match self {
            Self::Job(ended) => {
                let run = Some(ended.summary.run.as_str());
                (exit::of_job(ended), run, Some(&**ended), ended.error.as_ref())
            }
            Self::File(filed) => {
                let what = &filed.what;
                (what.exit(), what.run(), what.ended(), what.error())
            }
        };
        let run = run.and_then(|run| RunId::new(run).ok());
        let file = match self {
            Self::File(filed) => format!("{}: ", filed.file),
            Self::Job(_) => String::new(),
        };
        let end = |state, reason: Option<&str>, message: String| FireEnd {
            state,
            reason: reason.map(str::to_owned),
            message: (!message.is_empty()).then_some(message),
            run: run.clone(),
        };
        let code = error.map(|error| error.code().as_str());
        let said = error.map(|error| format!("{file}{error}")).unwrap_or_default();
        match exit {
            Exit::Clean => match ended.and_then(|ended| ended.summary.coverage.as_ref()) {
                Some(coverage) if !coverage.complete => {
                    let gaps = coverage.gaps.join("; ");
                    end(FireState::Failed, Some("incomplete"), format!("not all was read: {gaps}"))
                }
                _ => end(FireState::Done, None, String::new()),
            },
            Exit::Differences => {
                let rows = ended.and_then(|ended| ended.summary.rows).unwrap_or_default();
                let message = match said.is_empty() {
                    true => {
                        format!("{file}{} of {} rows were declined", rows.declined(0), rows.read)
                    }
                    false => said,
                };
                end(FireState::Differences, code, message)
            }
            Exit::Stopped if stop.is_wanted() => end(FireState::Stopped, None, String::new()),
            Exit::Stopped | Exit::Error | Exit::Config => match (code, self) {
                (Some(code), _) => end(FireState::Failed, Some(code), said),
                (None, Self::File(filed)) => {
                    let word = filed.what.word();
                    let message = format!("{file}its run is not done: {}", word.replace('_', " "));
                    end(FireState::Failed, Some(word), message)
                }
                (None, Self::Job(_)) => end(FireState::Failed, None, String::new()),
            },
        }
    }
}

/// Says in the log how far a job is, once a minute, and what it is about to call.
pub(crate) struct Logged {
    schedule: String,
    interval: Option<Duration>,
    last: Mutex<Option<Instant>>,
}

impl Logged {
    /// For a schedule, with the time from one slot to the next.
    pub(crate) fn new(schedule: &str, interval: Option<Duration>) -> Self {
        Self { schedule: schedule.to_owned(), interval, last: Mutex::default() }
    }
}

impl Progress for Logged {
    fn at(&self, phase: &'static str, done: u64, of: Option<u64>) {
        let Ok(mut last) = self.last.lock() else { return };
        let now = Instant::now();
        let before = *last.get_or_insert(now);
        if now.duration_since(before) >= SAID {
            *last = Some(now);
            info!(schedule = self.schedule, phase, done, of, "under way");
        }
    }

    fn says(&self, text: &str) {
        info!(schedule = self.schedule, "{text}");
    }

    fn forecast(&self, account: &AccountName, forecast: &Forecast) {
        let (account, seconds) = (account.as_str(), forecast.seconds_at_limit);
        let calls = forecast.calls.total_least;
        watch::forecast(&self.schedule, seconds);
        let interval = self.interval.unwrap_or(Duration::MAX).as_secs();
        if seconds > interval {
            warn!(
                schedule = self.schedule,
                account,
                calls,
                seconds,
                interval_seconds = interval,
                "this takes longer than the time to the next slot: slots will be skipped"
            );
        } else {
            info!(schedule = self.schedule, account, calls, seconds, "what is about to be called");
        }
    }
}
