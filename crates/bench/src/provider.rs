//! The simulated provider: `onfile sandbox` as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::process;

/// What the sandbox lets in.
pub(crate) const BEARER: &str = "sandbox-bearer";

/// How long a sandbox may take to make up its customers.
const START: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct Provider {
    /// Killed when this is dropped.
    _child: Child,
    pub(crate) base_url: String,
    http: reqwest::Client,
}

#[derive(Debug, Deserialize)]
struct Counters {
    endpoints: std::collections::BTreeMap<String, EndpointCount>,
}

#[derive(Debug, Deserialize)]
struct EndpointCount {
    calls: u64,
}

impl Provider {
    /// One with so many customers, that waits so long before each call.
    pub(crate) async fn start(customers: u64, latency: Duration) -> Result<Self> {
        let mut command = process::onfile(Path::new("."))?;
        command
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .args(["--customers", &customers.to_string()])
            .args(["--latency", &latency.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().context("the sandbox cannot start")?;
        let stdout = child.stdout.take().context("the sandbox has no output")?;
        let base_url = tokio::time::timeout(START, address(BufReader::new(stdout)))
            .await
            .context("the sandbox did not start")??;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { _child: child, base_url, http })
    }

    /// Calls since it started.
    pub(crate) async fn calls(&self) -> Result<u64> {
        let url = format!("{}/_sandbox/counters", self.base_url);
        let body = self.http.get(url).send().await?.error_for_status()?.bytes().await?;
        let counters: Counters = serde_json::from_slice(&body)?;
        Ok(counters.endpoints.values().map(|count| count.calls).sum())
    }
}

/// The address in the account that a sandbox prints.
async fn address(output: impl tokio::io::AsyncBufRead + Unpin) -> Result<String> {
    let mut lines = output.lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("base_url = \"").and_then(|l| l.strip_suffix('"')) {
            return Ok(url.to_owned());
        }
    }
    anyhow::bail!("the sandbox ended without an address")
}
