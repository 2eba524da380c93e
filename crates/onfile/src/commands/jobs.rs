//! The jobs: `import` and `pull`, as a person asks for them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine::file::Reading;
use engine::{Ended, Engine, EngineError, ImportOptions, Policy, PullOptions, Stop, Stopper};
use model::{Code, RunId};
use store::RunState;
use tokio::time::Instant;

use super::env;
use crate::cli::{Global, Import, Job, OnTokenChange};
use crate::config::{Config, LoadOptions};
use crate::exit::{self, Exit};
use crate::inbox::{self, Filed};
use crate::out::{self, ProgressLine};
use crate::signals::Stops;
use crate::wiring::{self, Opened};

/// The cause of what a person asks for.
const PERSON: &str = "person";
/// How long a job that was stopped at once may take to write down that it was.
const GIVE_UP: Duration = Duration::from_secs(3);

/// How long a run is waited for whose process may be gone: the longest that its lease lasts.
const LEASE: Duration = Duration::from_secs(75);
/// How often it is asked again.
const ASK: Duration = Duration::from_secs(2);

/// Does a job that a person asked for.
pub(crate) async fn run(global: &Global, job: Job) -> Result<Exit> {
    match job {
        Job::Import(args) => match (args.file.clone(), args.inbox.clone()) {
            (Some(file), _) => import(global, args, file).await,
            (None, Some(folder)) => inbox(global, args, &folder).await,
            (None, None) => Ok(misused(global, "there is no file to import", "name one")),
        },
        Job::Pull(args) => {
            let config = load(global, &args.account)?;
            let options = PullOptions { confirm: args.confirm, cause: PERSON.into() };
            let work = async |engine: &Engine| engine::pull(engine, &options).await;
            job_at(global, config, &args.account, work).await
        }
    }
}

/// What an import is to do with a file.
pub(crate) fn import_options(args: &Import, path: PathBuf, cause: &str) -> ImportOptions {
    ImportOptions {
        path,
        reading: Reading { ignore_unknown: args.ignore_unknown, not_pan: args.not_pan.clone() },
        dry_run: args.dry_run,
        observe: args.observe,
        policy: Policy {
            reject_expired: args.reject_expired,
            restore_removed: args.restore_removed,
            update_existing: args.update_existing,
            add_changed_tokens: args.on_token_change == OnTokenChange::Add,
        },
        max_rejected: args.max_rejected,
        max_failures: args.max_failures,
        canary: args.canary,
        wait: args.wait,
        cause: cause.to_owned(),
    }
}

async fn import(global: &Global, args: Import, file: PathBuf) -> Result<Exit> {
    if args.observe && !args.dry_run {
        // Somebody may think that nothing would be sent.
        return Ok(misused(
            global,
            "--observe goes with --dry-run, and nothing was done",
            "add --dry-run to look and change nothing; an import without it looks by itself \
             before it sends anything",
        ));
    }
    let config = load(global, &args.account)?;
    if let Some(account) = file.to_str().filter(|file| config.account(file).is_ok())
        && Path::new(&args.account).is_file()
    {
        let hint = format!("did you mean `onfile import {account} {}`?", args.account);
        return Ok(misused(global, "the account comes first, and nothing was done", &hint));
    }
    let options = import_options(&args, file.clone(), PERSON);
    let is_empty = Cell::new(false);
    let exit = job_at(global, config, &args.account, async |engine: &Engine| {
        if !options.dry_run && !global.quiet {
            name_waiting_runs(engine).await?;
        }
        let ended = engine::import(engine, options).await?;
        let rows = ended.summary.rows.map_or(0, |rows| rows.read);
        is_empty.set(rows == 0 && ended.error.is_none());
        Ok(ended)
    })
    .await?;
    if is_empty.get() && !global.quiet {
        let code = Code::NoRows;
        out::error_line(&format!(
            "warning[{code}]: {}:1: a header and no row, expected one row or more\n  hint: {}",
            file.display(),
            code.hint().unwrap_or_default()
        ));
    }
    Ok(exit)
}

/// Imports the files of a folder, and says of each what became of it.
async fn inbox(global: &Global, args: Import, folder: &Path) -> Result<Exit> {
    let config = load(global, &args.account)?;
    let (opened, filed) = wired(global, config, &args.account, async |engine: &Engine| {
        inbox::run(engine, &args, folder, PERSON).await
    })
    .await?;
    opened.store.close().await;
    let exit = filed.iter().map(|one| one.what.exit()).max().unwrap_or(Exit::Clean);
    if global.json {
        let files: Vec<_> = filed.iter().map(Filed::as_json).collect();
        out::json(&serde_json::json!({ "files": files }));
    } else if filed.is_empty() {
        out::line(&format!("no complete file in {}", folder.display()));
    } else {
        for one in &filed {
            out::line(&one.to_string());
        }
    }
    Ok(exit)
}

/// Goes on with a run that rests, or whose process is gone; `None` if one is at work on it.
///
/// # Errors
/// As [`engine::resume`].
pub(crate) async fn take_up(engine: &Engine, run: &RunId) -> Result<Option<Ended>, EngineError> {
    let began = Instant::now();
    loop {
        match engine::resume(engine, run).await {
            // It may have died; its lease tells.
            Err(EngineError::NotResting { state: RunState::Running, .. }) => {}
            ended => return ended.map(Some),
        }
        if began.elapsed() >= LEASE || engine.stop.is_wanted() {
            return Ok(None);
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Warns of runs at the account that wait for approval: what is imported now goes past them.
async fn name_waiting_runs(engine: &Engine) -> Result<(), EngineError> {
    let code = Code::AwaitingApproval;
    let account = &engine.account.name;
    for run in engine.store.runs_in(account, RunState::AwaitingApproval).await? {
        let (id, input) = (run.id, run.input_name.unwrap_or_default());
        out::error_line(&format!(
            "warning[{code}]: run {id} ({input}) waits for approval at account {account}; this \
             import goes past it\n  hint: {}",
            code.hint_in(id.as_str()).unwrap_or_default()
        ));
    }
    Ok(())
}

/// Arguments that do not go together: nothing is done.
pub(crate) fn misused(global: &Global, message: &str, hint: &str) -> Exit {
    let code = Code::Usage;
    if global.json {
        let error = serde_json::json!({ "code": code.as_str(), "message": message, "hint": hint });
        out::json(&serde_json::json!({ "errors": [error] }));
    }
    out::error_line(&format!("error[{code}]: {message}\n  hint: {hint}"));
    Exit::Error
}

/// Goes on with a run that rests: after its canary, or where it stopped.
pub(crate) async fn go_on(global: &Global, run: &str, approved: bool) -> Result<Exit> {
    let run = RunId::new(run)?;
    // Which account's secrets are needed stands in the run.
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let opened = wiring::open(wiring::load(&global.config, &env, &options)?).await?;
    let record = opened.store.run(&run).await;
    opened.store.close().await;
    let record = record?.ok_or_else(|| EngineError::NoSuchRun(run.clone()))?;
    let account = record.account.as_str();
    job_at(global, load(global, account)?, account, async move |engine: &Engine| {
        if approved {
            engine::approve(engine, &run).await
        } else {
            engine::resume(engine, &run).await
        }
    })
    .await
}

/// Reads the configuration, with the secrets of one account.
fn load(global: &Global, account: &str) -> Result<Config> {
    wiring::load(&global.config, &env, &LoadOptions::for_accounts([account]))
}

/// Wires an account, does a job there, and shows what came of it.
async fn job_at(
    global: &Global,
    config: Config,
    account: &str,
    work: impl AsyncFnOnce(&Engine) -> Result<Ended, EngineError>,
) -> Result<Exit> {
    let (opened, ended) = wired(global, config, account, work).await?;
    let exit = show(global, &ended)?;
    if let Some(rows) = ended.summary.rows.filter(|_| !global.json) {
        let run = RunId::new(ended.summary.run.clone())?;
        let planned = ended.summary.planned.values().sum();
        super::report::show_bad_rows(&*opened.store, &run, &rows, planned).await?;
    }
    opened.store.close().await;
    Ok(exit)
}

/// Wires an account and does something there; the store is open still.
async fn wired<T, E: Into<anyhow::Error>>(
    global: &Global,
    config: Config,
    account: &str,
    work: impl AsyncFnOnce(&Engine) -> Result<T, E>,
) -> Result<(Opened, T)> {
    config.account(account)?;
    let opened = wiring::open(config).await?;
    let progress = Arc::new(ProgressLine::new());
    let (stopper, stop) = Stop::pair();
    stop_on_signals(Arc::new(stopper));
    let shown: Arc<dyn engine::Progress> =
        if global.quiet { Arc::new(engine::Quiet) } else { Arc::<ProgressLine>::clone(&progress) };
    let engine = opened.engine(account, stop, shown)?;
    let done = work(&engine).await;
    progress.clear();
    match done {
        Ok(done) => Ok((opened, done)),
        Err(error) => {
            opened.store.close().await;
            Err(error.into())
        }
    }
}

/// Does something at an account that is no job with rows.
pub(crate) async fn at_account<T>(
    global: &Global,
    account: &str,
    work: impl AsyncFnOnce(&Engine) -> Result<T, EngineError>,
) -> Result<T> {
    let (opened, done) = wired(global, load(global, account)?, account, work).await?;
    opened.store.close().await;
    Ok(done)
}

/// Shows a job's summary, and its error if it has one; says how the process ends.
pub(crate) fn show(global: &Global, ended: &Ended) -> Result<Exit> {
    if global.json {
        out::json(&serde_json::to_value(&ended.summary)?);
    } else {
        out::line(report::summary(&ended.summary).trim_end());
    }
    if let Some(error) = &ended.error {
        match error {
            EngineError::AwaitingApproval { .. } => out::error_line(&error.to_string()),
            error => out::error_line(&format!("error[{}]: {error}", error.code())),
        }
        let mut cause = std::error::Error::source(error);
        while let Some(beneath) = cause {
            out::error_line(&format!("  because: {beneath}"));
            cause = beneath.source();
        }
        if let Some(hint) = error.hint(Some(&ended.summary.run)) {
            out::error_line(&format!("  hint: {hint}"));
        }
    }
    Ok(exit::of_job(ended))
}

/// The first Ctrl-C or SIGTERM asks the job to stop; the second ends the process at once, which
/// is safe too: what was sent is in the journal.
pub(crate) fn stop_on_signals(stopper: Arc<Stopper>) {
    tokio::spawn(async move {
        let Ok(mut stops) = Stops::new() else { return };
        stops.wanted().await;
        out::error_line("\nstopping: what is in flight is finished first");
        stopper.stop();
        stops.wanted().await;
        out::error_line(
            "stopping at once: calls in flight are given up, and what became of them is not \
             known.\nThe run's next stint, or the next import, asks the provider; nothing is sent \
             twice.",
        );
        stopper.stop_at_once();
        // The run is written down as paused; a provider or a store that hangs does not hold us up.
        tokio::select! {
            () = tokio::time::sleep(GIVE_UP) => {}
            () = stops.wanted() => {}
        }
        std::process::exit(3);
    });
}
