//! `onfile demo`: the main job in a temporary folder, against a simulated provider.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::sandbox::{Running, Sandbox, SandboxConfig};
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::file::Reading;
use engine::{Ended, Engine, ImportOptions, Limit, Policy, PullOptions, Quiet, Stop};
use rand::Rng as _;
use store::Store;
use tokio::time::Instant;

use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

const SAMPLE: &str = include_str!("../../../../config/sample.csv");

/// The client that the sandbox knows.
const CLIENT: (&str, &str) = ("sandbox-client", "sandbox-secret");

pub(crate) async fn run(global: &Global) -> Result<Exit> {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("onfile-demo-").tempdir()?.keep();
    let provider = Sandbox::start(SandboxConfig::default())
        .await
        .context("the simulated provider cannot start")?;
    let config = write(&folder, &provider)?;
    let config = wiring::load(&config, &|_| None, &LoadOptions::default())?;
    let opened = wiring::open(config).await?;
    let (_stopper, stop) = Stop::pair();
    let engine = opened.engine("gov", stop, Arc::new(Quiet))?;
    let file = folder.join("sample.csv");

    let imported = import(&engine, &file).await?;
    let pulled =
        engine::pull(&engine, &PullOptions { confirm: true, cause: "demo".into() }).await?;
    let again = import(&engine, &file).await?;
    let page = write_report(&*opened.store, &imported, &folder.join("report")).await?;
    opened.store.close().await;
    let held = provider.customers("pa_main");
    provider.stop().await;

    let jobs = [
        ("1. The sample file goes to a simulated provider, through its bulk import.", &imported),
        ("2. The provider is pulled back into the store.", &pulled),
        ("3. The same file again: nothing is created twice.", &again),
    ];
    if global.json {
        let summaries: Vec<_> = jobs.iter().map(|(_, job)| &job.summary).collect();
        out::json(&serde_json::json!({ "jobs": summaries, "folder": folder, "report": page }));
    } else {
        for (what, job) in jobs {
            out::line(&format!("{what}\n"));
            out::line(&indented(&::report::summary(&job.summary)));
        }
        let methods: usize = held.iter().map(|customer| customer.methods.len()).sum();
        out::line(&format!(
            "The provider holds {} customers with {methods} payment methods. All of this took \
             {:.2} s; the file, the\nconfiguration and the store are in {}\n\nThe report of the \
             import is {}",
            held.len(),
            began.elapsed().as_secs_f64(),
            folder.display(),
            page.display()
        ));
    }
    verify(&imported, &again)?;
    Ok(Exit::Clean)
}

/// Writes the report of a job, and says where its page is.
async fn write_report(store: &dyn Store, job: &Ended, folder: &Path) -> Result<PathBuf> {
    let record = super::runs::known(store, &job.summary.run).await?;
    super::report::write(store, &record, &job.summary, folder, false).await?;
    Ok(folder.join(super::report::PAGE_NAME))
}

/// What the demo shows is what it says, or it fails.
fn verify(imported: &Ended, again: &Ended) -> Result<()> {
    for job in [imported, again] {
        if let Some(error) = &job.error {
            anyhow::bail!("the demo's {} did not end well: {error}", job.summary.job);
        }
    }
    let rows = |job: &Ended| job.summary.rows.unwrap_or_default();
    ensure!(rows(imported).created == rows(imported).read, "not every row was created");
    ensure!(rows(again).unchanged == rows(again).read, "not every row was unchanged");
    ensure!(again.summary.calls.changing == 0, "the second import changed something");
    Ok(())
}

async fn import(engine: &Engine, file: &Path) -> Result<Ended> {
    let options = ImportOptions {
        path: file.to_owned(),
        reading: Reading::default(),
        dry_run: false,
        observe: false,
        policy: Policy::default(),
        max_rejected: Limit::Rows(0),
        max_failures: None,
        canary: None,
        wait: false,
        cause: "demo".into(),
    };
    Ok(engine::import(engine, options).await?)
}

/// Writes the folder: the sample, the secrets, and a configuration that reads them from files.
fn write(folder: &Path, provider: &Running) -> Result<PathBuf> {
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    private(&folder.join("encryption.key"), &BASE64_STANDARD.encode(key))?;
    private(&folder.join("client.id"), CLIENT.0)?;
    private(&folder.join("client.secret"), CLIENT.1)?;
    fs::write(folder.join("sample.csv"), SAMPLE)?;
    let config = format!(
        r#"[store]
url = "sqlite://onfile.db"
encryption_key = {{ file = "encryption.key" }}

[accounts.gov]
kind = "proxy-token"
base_url = "{}"
payment_account_uid = "pa_main"
token_url = "{}"
client_id = {{ file = "client.id" }}
client_secret = {{ file = "client.secret" }}
rate = {{ per_second = 200, burst = 20, in_flight = 8 }}
"#,
        provider.base_url(),
        provider.token_url(),
    );
    let path = folder.join("onfile.toml");
    fs::write(&path, config)?;
    Ok(path)
}

fn private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { String::from("\n") } else { format!("   {line}\n") })
        .collect()
}
