//! The command line as a person runs it: a process of its own, its arguments, its exit code and
//! both of its outputs. This test binary is also that process, so that there is one to link.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};

const ASKED: &str = "ONFILE_TEST_AS_BINARY";
/// No process takes longer.
const HUNG: Duration = Duration::from_secs(120);

/// Whether this process is to be onfile instead of the tests.
pub fn is_asked_for() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// How a process ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its results.
    pub stdout: String,
    /// Everything else it said.
    pub stderr: String,
}

impl Ran {
    /// The document of `--json`.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not one document: {self:?}"))
    }

    /// A count in the document, by its path, such as `/rows/created`.
    pub fn count(&self, path: &str) -> anyhow::Result<u64> {
        self.json()?
            .pointer(path)
            .and_then(Value::as_u64)
            .with_context(|| format!("no count at {path}: {self:?}"))
    }

    /// The run that the document is of.
    pub fn run_id(&self) -> anyhow::Result<String> {
        let run = self.json()?.pointer("/run").and_then(Value::as_str).map(str::to_owned);
        run.with_context(|| format!("no run: {self:?}"))
    }

    /// Fails unless it ended with this code.
    pub fn expect(self, code: i32) -> anyhow::Result<Self> {
        anyhow::ensure!(self.code == code, "expected exit {code}: {self:#?}");
        Ok(self)
    }
}

/// onfile in a folder, with an environment of its own.
#[derive(Debug, Clone)]
pub struct Onfile {
    folder: PathBuf,
    env: Vec<(String, String)>,
}

impl Onfile {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), env: Vec::new() }
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it to its end.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<Ran> {
        self.start(args)?.end().await.with_context(|| format!("onfile {args:?}"))
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Runs it to its end where no file may grow beyond so many blocks of 512 bytes: for SQLite
    /// that is a full disk. The signal that comes with it is ignored, as a full disk sends none.
    pub async fn run_with_largest_file(&self, blocks: u32, args: &[&str]) -> anyhow::Result<Ran> {
        let mut command = tokio::process::Command::new("/bin/sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(std::env::current_exe()?);
        self.spawn(command, args)?.end().await.with_context(|| format!("onfile {args:?}"))
    }

    /// Starts it.
    pub fn start(&self, args: &[&str]) -> anyhow::Result<Running> {
        self.spawn(tokio::process::Command::new(std::env::current_exe()?), args)
    }

    fn spawn(
        &self,
        mut command: tokio::process::Command,
        args: &[&str],
    ) -> anyhow::Result<Running> {
        let child = command
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .env(ASKED, "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Running(child))
    }
}

/// A process at work.
#[derive(Debug)]
pub struct Running(tokio::process::Child);

impl Running {
    /// Sends it a signal, such as `INT`.
    pub async fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        let id = self.0.id().context("it has ended")?.to_string();
        let sent = tokio::process::Command::new("kill").args(["-s", name, &id]).status().await?;
        anyhow::ensure!(sent.success(), "the signal was not sent");
        Ok(())
    }

    /// Its stderr, for whoever reads it while it works.
    pub fn take_stderr(&mut self) -> anyhow::Result<tokio::process::ChildStderr> {
        self.0.stderr.take().context("its stderr was taken before")
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.0.start_kill()?;
        self.0.wait().await?;
        Ok(())
    }

    /// Waits until it says that it stands at its failpoint, and so long after, and kills it as
    /// `kill -9` does. How it ended, where it came to its end instead.
    pub async fn killed(mut self, after: Duration) -> anyhow::Result<Option<Ran>> {
        let mut lines = tokio::io::BufReader::new(self.take_stderr()?).lines();
        let mut said = String::new();
        let deadline = tokio::time::Instant::now() + HUNG;
        loop {
            let next = tokio::time::timeout_at(deadline, lines.next_line());
            let Some(line) = next.await.context("it did not end")?? else { break };
            if line.starts_with("failpoint ") {
                tokio::time::sleep(after).await;
                self.kill().await?;
                return Ok(None);
            }
            said += &line;
            said.push('\n');
        }
        Ok(Some(Ran { stderr: said, ..self.end().await? }))
    }

    /// Waits until it has said this on its stderr; all that it said until then, which its end does
    /// not say again.
    pub async fn says(&mut self, text: &str) -> anyhow::Result<String> {
        let stderr = self.0.stderr.as_mut().context("its stderr was taken before")?;
        let deadline = tokio::time::Instant::now() + HUNG;
        let mut said = String::new();
        while !said.contains(text) {
            let next = tokio::time::timeout_at(deadline, stderr.read_u8()).await;
            said.push(char::from(next.context("it did not say so")??));
        }
        Ok(said)
    }

    /// Waits for its end.
    pub async fn end(self) -> anyhow::Result<Ran> {
        let output = self.0.wait_with_output();
        let output = tokio::time::timeout(HUNG, output).await.context("it did not end")??;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}
