//! `onfile import --inbox`: the files that others put into a folder, each imported once.
//!
//! A file goes from the folder to `work/`, and from there to `done/RUN/` or `failed/RUN/`. Which run it
//! belongs to is known by its bytes, so that whoever finds it in `work/` after a process died goes on
//! with that run.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use engine::{Ended, Engine, EngineError};
use model::{Code, RunId, Timestamp};
use sha2::{Digest as _, Sha256};
use store::{RunRecord, RunState};
use tracing::{info, warn};

use crate::cli::Import;
use crate::commands::{jobs, report};
use crate::exit::{self, Exit};

/// Nothing is written to a complete file for so long.
const QUIET: Duration = Duration::from_secs(10);
/// How the names of files end that somebody is still writing.
const PARTIAL: [&str; 4] = [".part", ".partial", ".tmp", ".filepart"];
/// So many runs of the same bytes are looked at.
const RUNS: u32 = 20;

/// What became of a file.
#[derive(Debug)]
pub(crate) struct Filed {
    /// Its name in the inbox.
    pub(crate) file: String,
    /// What.
    pub(crate) what: What,
}

/// See [`Filed`].
#[derive(Debug)]
pub(crate) enum What {
    /// It was imported, or was not: the summary tells. Where it is now, unless its run can go on.
    Imported(Box<Ended>, Option<PathBuf>),
    /// Its bytes were imported before, by this run. Where it is now.
    Repeated(RunId, PathBuf),
    /// Its run waits for approval.
    Waits(RunId),
    /// Another process is at work on its run.
    AtWork(RunId),
    /// It could not be imported at all. Where it is now, unless it can be tried again.
    Wrong(EngineError, Option<PathBuf>),
}

impl Filed {
    /// For `--json`.
    pub(crate) fn as_json(&self) -> serde_json::Value {
        let summary = match &self.what {
            What::Imported(ended, _) => serde_json::to_value(&ended.summary).ok(),
            _ => None,
        };
        serde_json::json!({
            "file": self.file,
            "what": self.what.word(),
            "run": self.what.run(),
            "folder": self.what.at(),
            "code": self.what.error().map(|error| error.code().as_str()),
            "error": self.what.error().map(ToString::to_string),
            "summary": summary,
        })
    }
}

impl fmt::Display for Filed {
    /// A line, and what is wrong under it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<30} {}", self.file, self.what.word())?;
        if let Some(run) = self.what.run() {
            write!(f, "  run {run}")?;
        }
        if let What::Imported(ended, _) = &self.what
            && let Some(rows) = ended.summary.rows
        {
            let planned = ended.summary.planned.values().sum();
            write!(f, "  {} rows, {} declined", rows.read, rows.declined(planned))?;
        }
        match self.what.at() {
            Some(at) => write!(f, "  {}", at.display())?,
            None => write!(f, "  it stays in work/")?,
        }
        if let Some(error) = self.what.error() {
            write!(f, "\n  {}", said(error, self.what.run()).trim_end())?;
        }
        Ok(())
    }
}

/// The folder, and what of it is meant.
struct Inbox<'a> {
    engine: &'a Engine,
    args: &'a Import,
    folder: &'a Path,
    cause: &'a str,
}

/// Imports every complete file of a folder, one after the other; first those that a process left.
/// Ends early where the account cannot be worked with now: the rest of the files stay.
///
/// # Errors
/// When the folder cannot be read or written, when another process works on it, or when the store
/// cannot be reached.
pub(crate) async fn run(
    engine: &Engine,
    args: &Import,
    folder: &Path,
    cause: &str,
) -> Result<Vec<Filed>> {
    let inbox = Inbox { engine, args, folder, cause };
    let work = folder.join("work");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let _lock = lock(&work.join(".lock"))?;
    let mut all = Vec::new();
    for (path, is_new) in inbox.files(&work)? {
        if engine.stop.is_wanted() {
            break;
        }
        let Some(path) = (if is_new { inbox.claim(&path, &work)? } else { Some(path) }) else {
            continue;
        };
        let filed = inbox.take(&path, is_new).await?;
        info!(
            account = engine.account.name.as_str(),
            file = filed.file,
            what = filed.what.word(),
            "inbox"
        );
        let goes_on = filed.what.leaves_the_account_free();
        all.push(filed);
        if !goes_on {
            break;
        }
    }
    Ok(all)
}

impl What {
    /// The word for it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Imported(..) => "imported",
            Self::Repeated(..) => "imported_before",
            Self::Waits(_) => "awaiting_approval",
            Self::AtWork(_) => "at_work",
            Self::Wrong(..) => "failed",
        }
    }

    /// How a process ends that did nothing else.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Imported(ended, _) => exit::of_job(ended),
            Self::Repeated(..) => Exit::Clean,
            Self::Waits(_) | Self::AtWork(_) => Exit::Stopped,
            Self::Wrong(error, _) => exit::of_engine(error),
        }
    }

    /// The run, if there is one.
    pub(crate) fn run(&self) -> Option<&str> {
        match self {
            Self::Imported(ended, _) => Some(&ended.summary.run),
            Self::Repeated(run, _) | Self::Waits(run) | Self::AtWork(run) => Some(run.as_str()),
            Self::Wrong(..) => None,
        }
    }

    /// Where the file is now, if not in `work/`.
    fn at(&self) -> Option<&Path> {
        match self {
            Self::Imported(_, at) | Self::Wrong(_, at) => at.as_deref(),
            Self::Repeated(_, at) => Some(at),
            Self::Waits(_) | Self::AtWork(_) => None,
        }
    }

    /// The job, if it was one.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Imported(ended, _) => Some(&**ended),
            _ => None,
        }
    }

    /// What is wrong, if anything is.
    pub(crate) fn error(&self) -> Option<&EngineError> {
        match self {
            Self::Imported(ended, _) => ended.error.as_ref(),
            Self::Wrong(error, _) => Some(error),
            Self::Repeated(..) | Self::Waits(_) | Self::AtWork(_) => None,
        }
    }

    /// Whether the next file has a chance: what keeps this one waiting is its own.
    fn leaves_the_account_free(&self) -> bool {
        match self {
            Self::Imported(ended, at) => at.is_some() || ended.error.is_none(),
            Self::Wrong(_, at) => at.is_some(),
            Self::Repeated(..) | Self::Waits(_) => true,
            Self::AtWork(_) => false,
        }
    }
}

/// One process at a time; gone with it.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("another process works on this inbox: it holds {}", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

impl Inbox<'_> {
    /// What was left in `work`, then the complete files of the folder, each the oldest first.
    fn files(&self, work: &Path) -> Result<Vec<(PathBuf, bool)>> {
        let left = self.listed(work, None)?.into_iter().map(|path| (path, false));
        let now = self.engine.clock.now();
        let new = self.listed(self.folder, Some(now))?.into_iter().map(|path| (path, true));
        Ok(left.chain(new).collect())
    }

    /// The files of a folder that are meant, the oldest first; with a time, only complete ones.
    fn listed(&self, folder: &Path, complete_at: Option<Timestamp>) -> Result<Vec<PathBuf>> {
        let cannot = || format!("cannot read {}", folder.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let (path, meta) = (entry.path(), entry.metadata().with_context(cannot)?);
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                warn!(file = %path.display(), "its name is not UTF-8: it is left in the inbox");
                continue;
            };
            let partial = name.starts_with('.') || PARTIAL.iter().any(|end| name.ends_with(end));
            if !meta.is_file() || partial || !self.args.pattern.matches(&name) {
                continue;
            }
            let written = meta.modified().with_context(cannot)?;
            let written = written.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let written = Timestamp::from_seconds(0).plus(written);
            if complete_at.is_some_and(|now| now < written.plus(QUIET)) {
                info!(file = name, "it was written to just now: it is left for the next time");
                continue;
            }
            files.push((written, path));
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Moves a file to `work`; not while one of the same name stands there.
    fn claim(&self, path: &Path, work: &Path) -> Result<Option<PathBuf>> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let claimed = work.join(name);
        if claimed.exists() {
            warn!(file = %path.display(), "one of the same name is not done with: it waits");
            return Ok(None);
        }
        match fs::rename(path, &claimed) {
            Ok(()) => Ok(Some(claimed)),
            // Whoever put it there has taken it away again.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot move {}", path.display())),
        }
    }

    /// Imports a file, or goes on with its run, and moves it where it belongs.
    async fn take(&self, path: &Path, is_new: bool) -> Result<Filed> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = match self.run_of(path, is_new).await? {
            Some(record) => match record.state {
                RunState::Done if is_new => {
                    let note = format!(
                        "these bytes were imported by run {}, and nothing was done with this file\n",
                        record.id
                    );
                    let at = self.put(path, "done", RunId::generate().as_str())?;
                    fs::write(at.join("note.txt"), note)?;
                    What::Repeated(record.id, at)
                }
                RunState::Done | RunState::Failed | RunState::Cancelled => {
                    let summary = engine::summary_of(&*self.engine.store, &record).await?;
                    self.finish(path, Ended { summary, error: None }).await?
                }
                RunState::AwaitingApproval => What::Waits(record.id),
                RunState::Paused | RunState::Running | RunState::Planned => {
                    match jobs::take_up(self.engine, &record.id).await {
                        Ok(Some(ended)) => self.finish(path, ended).await?,
                        Ok(None) => What::AtWork(record.id),
                        Err(error) => self.wrong(path, error)?,
                    }
                }
            },
            None => {
                let options = jobs::import_options(self.args, path.to_owned(), self.cause);
                match engine::import(self.engine, options).await {
                    Ok(ended) => self.finish(path, ended).await?,
                    Err(error) => self.wrong(path, error)?,
                }
            }
        };
        Ok(Filed { file, what })
    }

    /// The run that these bytes belong to; of a file that has just come only one that is done or
    /// that can go on: whoever sends a file again after its import failed wants it imported.
    async fn run_of(&self, path: &Path, is_new: bool) -> Result<Option<RunRecord>> {
        let hash = sha256(path.to_owned()).await?;
        let store = &self.engine.store;
        let account = &self.engine.account.name;
        let mut found = None;
        for id in store.schedules().imports_of(account, &hash, RUNS).await? {
            let Some(record) = store.run(&id).await? else { continue };
            match record.state {
                RunState::Done => return Ok(Some(record)),
                RunState::Failed | RunState::Cancelled if is_new => {}
                _ => found = found.or(Some(record)),
            }
        }
        Ok(found)
    }

    /// Moves the file of a run that has ended, with the run's rows; that of one that rests stays.
    async fn finish(&self, path: &Path, ended: Ended) -> Result<What> {
        if ended.error.as_ref().is_some_and(|error| error.code() == Code::FileChanged) {
            // It was not complete after all: the next time it may be.
            return Ok(What::Imported(Box::new(ended), None));
        }
        let store = &*self.engine.store;
        let id = RunId::new(ended.summary.run.clone())?;
        let state = store.run(&id).await?.map(|record| record.state);
        let folder = match state {
            Some(RunState::Done) => "done",
            Some(RunState::Failed | RunState::Cancelled) => "failed",
            _ if matches!(ended.error, Some(EngineError::AwaitingApproval { .. })) => {
                return Ok(What::Waits(id));
            }
            _ => return Ok(What::Imported(Box::new(ended), None)),
        };
        let at = self.folder_for(folder, id.as_str())?;
        report::write_rows(store, &id, &at.join("rows.csv")).await?;
        if let Some(error) = &ended.error {
            fs::write(at.join("error.txt"), said(error, Some(&ended.summary.run)))?;
        }
        self.put(path, folder, id.as_str())?;
        Ok(What::Imported(Box::new(ended), Some(at)))
    }

    /// What could not be imported at all: a file that is wrong goes to `failed`, one that met a
    /// busy account or a store out of reach stays where it is.
    fn wrong(&self, path: &Path, error: EngineError) -> Result<What> {
        if !matches!(error, EngineError::File(_)) {
            return Ok(What::Wrong(error, None));
        }
        let at = self.folder_for("failed", RunId::generate().as_str())?;
        fs::write(at.join("error.txt"), said(&error, None))?;
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, at.join(name))
            .with_context(|| format!("cannot move {}", path.display()))?;
        Ok(What::Wrong(error, Some(at)))
    }

    fn folder_for(&self, folder: &str, name: &str) -> Result<PathBuf> {
        let at = self.folder.join(folder).join(name);
        fs::create_dir_all(&at).with_context(|| format!("cannot make {}", at.display()))?;
        Ok(at)
    }

    fn put(&self, path: &Path, folder: &str, name: &str) -> Result<PathBuf> {
        let at = self.folder_for(folder, name)?;
        let to = at.join(path.file_name().unwrap_or_default());
        fs::rename(path, to).with_context(|| format!("cannot move {}", path.display()))?;
        Ok(at)
    }
}

/// An error with its hint.
fn said(error: &EngineError, run: Option<&str>) -> String {
    let hint = error.hint(run).map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
    format!("error[{}]: {error}\n{hint}", error.code())
}

async fn sha256(path: PathBuf) -> Result<String> {
    tokio::task::spawn_blocking(move || {
        let cannot = || format!("cannot read {}", path.display());
        let mut file = File::open(&path).with_context(cannot)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer).with_context(cannot)? {
                0 => return Ok(hex::encode(hash.finalize())),
                read => hash.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    })
    .await?
}
