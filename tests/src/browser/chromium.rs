//! A Chromium without a window, told what to do by its DevTools protocol: JSON texts that end in a
//! NUL, over two pipes (`--remote-debugging-pipe`: it reads from 3 and writes to 4).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::env::{Missing, variable};

/// No answer takes longer, the first one included.
const HUNG: Duration = Duration::from_secs(60);

/// Its standard input and output become 3 and 4. It ends when its input does, that is with this
/// process at the latest, and then its folder goes, into which it writes to the last.
const SHELL: &str = r#"trap '' INT
folder=$1
shift
"$@" --user-data-dir="$folder" about:blank 3<&0 4>&1 </dev/null >/dev/null
rm -rf -- "$folder"
"#;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Nothing that it does by itself: no call home, no first steps. It shows pages of ours alone, and
/// as root, or in a container, it does not start with its sandbox.
const ARGS: [&str; 10] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-breakpad",
];

/// One page of a browser of its own. The browser ends with it.
#[derive(Debug)]
pub struct Tab {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    /// What it said of itself since it was last asked.
    events: Vec<Value>,
}

/// Where it is: where `ONFILE_TEST_CHROMIUM` says, or in the PATH.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(given) = variable("ONFILE_TEST_CHROMIUM") {
        return Ok(given.into());
    }
    let path = variable("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    match found {
        Some(program) => Ok(program),
        None if variable("ONFILE_REQUIRE_CHROMIUM").is_some_and(|value| value != "0") => {
            bail!("ONFILE_REQUIRE_CHROMIUM is set: no Chromium in the PATH ({})", NAMES.join(", "))
        }
        None => Err(Missing("no Chromium").into()),
    }
}

impl Tab {
    /// Starts a browser with one empty page.
    ///
    /// # Errors
    /// [`Missing`] where there is none, and nobody requires one.
    pub async fn start() -> anyhow::Result<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("onfile-chromium-").tempdir()?.keep();
        let mut process = Command::new("/bin/sh")
            .arg("-c")
            .args([SHELL, "sh"])
            .arg(&folder)
            .arg(&program)
            .args(ARGS)
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let to = process.stdin.take().context("it has no input")?;
        let from = BufReader::new(process.stdout.take().context("it has no output")?);
        let mut tab = Self { to, from, calls: 0, session: None, events: Vec::new() };
        let target = tab.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = target.with_context(|| format!("{} does not start", program.display()))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = tab.call("Target.attachToTarget", attach).await?;
        tab.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Runtime", "Log", "Audits"] {
            tab.call(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(tab)
    }

    /// Calls a method, and answers its result.
    pub async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        let answer = async {
            self.to.write_all(format!("{call}\0").as_bytes()).await?;
            loop {
                let said = self.listen().await?;
                if said["id"] == id {
                    return Ok::<Value, anyhow::Error>(said);
                }
                self.events.push(said);
            }
        };
        let answer = tokio::time::timeout(HUNG, answer).await;
        let mut answer = answer.ok().context("no answer")?.with_context(|| method.to_owned())?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].take())
    }

    async fn listen(&mut self) -> anyhow::Result<Value> {
        let mut said = Vec::new();
        self.from.read_until(0, &mut said).await?;
        let said = said.strip_suffix(b"\0").context("the browser is gone")?;
        Ok(serde_json::from_slice(said)?)
    }

    /// Opens a file, and forgets what was said before.
    pub async fn open(&mut self, file: &Path) -> anyhow::Result<()> {
        self.events.clear();
        let url = format!("file://{}", file.display());
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(error) = opened.get("errorText") {
            bail!("{url}: {error}");
        }
        let loaded = async {
            while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
                let said = self.listen().await?;
                self.events.push(said);
            }
            Ok::<(), anyhow::Error>(())
        };
        tokio::time::timeout(HUNG, loaded).await.context("it does not load")?
    }

    /// What the page has said since it was opened, by these methods.
    pub fn said(&self, methods: &[&str]) -> Vec<&Value> {
        let wanted =
            |event: &&Value| event["method"].as_str().is_some_and(|m| methods.contains(&m));
        self.events.iter().filter(wanted).map(|event| &event["params"]).collect()
    }

    /// The value of an expression in the page.
    pub async fn value(&mut self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if let Some(error) = answer.get("exceptionDetails") {
            bail!("{expression}: {error}");
        }
        Ok(answer["result"]["value"].take())
    }

    /// As people have it who like it light or dark, so many pixels wide.
    pub async fn look(&mut self, scheme: &str, width: u32) -> anyhow::Result<()> {
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).await?;
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }
}
