//! The jobs: `import` and `pull`.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine::file::Reading;
use engine::{Ended, Engine, EngineError, ImportOptions, Policy, PullOptions, Stop, Stopper};
use model::{Code, RunId};
use store::RunState;

use super::env;
use crate::cli::{Global, Import, OnTokenChange};
use crate::config::{Config, LoadOptions};
use crate::exit::{self, Exit};
use crate::out::{self, ProgressLine};
use crate::wiring::{self, Opened};

/// How long a job that was stopped at once may take to write down that it was.
const GIVE_UP: Duration = Duration::from_secs(3);

pub(crate) async fn import(global: &Global, args: Import) -> Result<Exit> {
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
    if let Some(account) = args.file.to_str().filter(|file| config.account(file).is_ok())
        && Path::new(&args.account).is_file()
    {
        let hint = format!("did you mean `onfile import {account} {}`?", args.account);
        return Ok(misused(global, "the account comes first, and nothing was done", &hint));
    }
    let options = ImportOptions {
        path: args.file,
        reading: Reading { ignore_unknown: args.ignore_unknown, not_pan: args.not_pan },
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
        cause: "person".into(),
    };
    let path = options.path.clone();
    let is_empty = Cell::new(false);
    let exit = job(global, config, &args.account, async |engine: &Engine| {
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
            path.display(),
            code.hint().unwrap_or_default()
        ));
    }
    Ok(exit)
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

pub(crate) async fn pull(global: &Global, account: &str, confirm: bool) -> Result<Exit> {
    let config = load(global, account)?;
    let options = PullOptions { confirm, cause: "person".into() };
    job(global, config, account, async |engine: &Engine| engine::pull(engine, &options).await).await
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
    job(global, load(global, account)?, account, async move |engine: &Engine| {
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
async fn job(
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
async fn wired<T>(
    global: &Global,
    config: Config,
    account: &str,
    work: impl AsyncFnOnce(&Engine) -> Result<T, EngineError>,
) -> Result<(Opened, T)> {
    config.account(account)?;
    let opened = wiring::open(config).await?;
    let progress = Arc::new(ProgressLine::new());
    let (stopper, stop) = Stop::pair();
    stop_on_signals(stopper);
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
        return Ok(exit::of_engine(error));
    }
    // What a dry run leaves open is planned, not declined.
    let planned = ended.summary.planned.values().sum();
    let declined = ended.summary.rows.map_or(0, |rows| rows.declined(planned));
    Ok(if declined > 0 { Exit::Differences } else { Exit::Clean })
}

/// The first Ctrl-C or SIGTERM asks the job to stop; the second ends the process at once, which
/// is safe too: what was sent is in the journal.
fn stop_on_signals(stopper: Stopper) {
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        let mut asked = async || {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        asked().await;
        out::error_line("\nstopping: what is in flight is finished first");
        stopper.stop();
        asked().await;
        out::error_line(
            "stopping at once: calls in flight are given up, and what became of them is not \
             known.\nThe run's next stint, or the next import, asks the provider; nothing is sent \
             twice.",
        );
        stopper.stop_at_once();
        // The run is written down as paused; a provider or a store that hangs does not hold us up.
        tokio::select! {
            () = tokio::time::sleep(GIVE_UP) => {}
            () = asked() => {}
        }
        std::process::exit(3);
    });
}
