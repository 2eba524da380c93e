//! A folder that onfile is at home in: its configuration, and its store if that is a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{self, Sample};

/// What the configuration names: neither opens anything but a sandbox and a temporary store.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    ("BENCH_BEARER", crate::provider::BEARER),
    ("BENCH_KEY", "YmVuY2ggYmVuY2ggYmVuY2ggYmVuY2ggYmVuY2gga2U="),
];

/// The name of the one account.
pub(crate) const ACCOUNT: &str = "gov";

#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// One whose account is this provider, with so many calls in flight. The store is a file in it,
    /// or what `store` names. The rate is the highest that onfile takes.
    pub(crate) fn new(
        dir: &Path,
        provider: &str,
        store: Option<&str>,
        in_flight: u32,
    ) -> Result<Self> {
        let folder = temporary(dir)?;
        let url = store.unwrap_or("sqlite://onfile.db");
        let config = format!(
            "[store]\n\
             url = \"{url}\"\n\
             encryption_key = {{ env = \"BENCH_KEY\" }}\n\n\
             [accounts.{ACCOUNT}]\n\
             kind = \"proxy-token\"\n\
             base_url = \"{provider}\"\n\
             payment_account_uid = \"pa_main\"\n\
             bearer = {{ env = \"BENCH_BEARER\" }}\n\
             rate = {{ per_second = 10000, burst = 10000, in_flight = {in_flight} }}\n"
        );
        std::fs::write(folder.path().join("onfile.toml"), config)?;
        Ok(Self { folder })
    }

    /// Runs onfile here.
    pub(crate) async fn onfile(&self, args: &[&str]) -> Result<Sample> {
        let mut command = process::onfile(self.folder.path())?;
        command.args(args);
        process::measure(command).await
    }

    /// The store's file.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("onfile.db")
    }
}

/// A temporary folder of ours.
pub(crate) fn temporary(dir: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("onfile-bench-")
        .tempdir_in(dir)
        .with_context(|| format!("{} cannot hold temporary folders", dir.display()))
}

/// The size of a database's files.
pub(crate) fn megabytes(file: &Path) -> f64 {
    let wal = PathBuf::from(format!("{}-wal", file.display()));
    let sizes = [file, &wal].map(|file| std::fs::metadata(file).map_or(0, |data| data.len()));
    crate::numbers::float(sizes.iter().sum()) / 1e6
}
