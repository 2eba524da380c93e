//! `onfile demo`: the main job in a temporary folder, against a simulated provider of each kind.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::sandbox::{Kind, Running, Sandbox, SandboxConfig, VendorConfig};
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::file::Reading;
use engine::{Ended, Engine, ImportOptions, Limit, Policy, PullOptions, Quiet, Stop};
use model::{FieldName, Last4, MethodFacts};
use rand::Rng as _;
use store::{PageKey, Store};
use tokio::time::Instant;

use super::sandbox::section;
use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::registry::{PROVIDERS, Provider, Sample};
use crate::{out, wiring};

/// The sample that is imported first, pulled, and imported again.
const FIRST: &str = "sample.csv";
/// A customer whom all have.
const EVERYWHERE: &str = "C-1001";

const RATE: &str = "{ per_second = 200, burst = 20, in_flight = 8 }";

/// An account of the demo, at a simulated provider.
struct At {
    kind: Kind,
    sample: Sample,
    provider: Running,
}

impl At {
    fn account(&self) -> &'static str {
        self.kind.way().account
    }
}

/// An account for each kind that this binary has, that of the first sample before the others.
async fn accounts() -> Result<Vec<At>> {
    let mut all = Vec::with_capacity(PROVIDERS.len());
    for Provider { kind, sample, .. } in PROVIDERS {
        let kind = Kind::parse(kind).with_context(|| format!("nothing simulates {kind}"))?;
        let config = SandboxConfig { vendor: VendorConfig::of(kind), ..SandboxConfig::default() };
        let provider = Sandbox::start(config).await;
        let provider = provider.context("a simulated provider cannot start")?;
        all.push(At { kind, sample: *sample, provider });
    }
    all.sort_by_key(|at| at.sample.name != FIRST);
    Ok(all)
}

pub(crate) async fn run(global: &Global) -> Result<Exit> {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("onfile-demo-").tempdir()?.keep();
    let accounts = accounts().await?;
    let config = write(&folder, &accounts)?;
    let config = wiring::load(&config, &|_| None, &LoadOptions::default())?;
    let opened = wiring::open(config).await?;
    let (_stopper, stop) = Stop::pair();
    let engine = |account: &str| opened.engine(account, stop.clone(), Arc::new(Quiet));

    let (first, rest) = accounts.split_first().context("this build has no provider")?;
    let main = engine(first.account())?;
    let file = folder.join(first.sample.name);
    let imported = import(&main, &file).await?;
    let pulled = engine::pull(&main, &PullOptions { confirm: true, cause: "demo".into() }).await?;
    let again = import(&main, &file).await?;
    let mut others = Vec::new();
    for at in rest {
        let engine = engine(at.account())?;
        others.push((at.kind, import(&engine, &folder.join(at.sample.name)).await?));
    }
    let everywhere = everywhere(&*opened.store).await?;
    let page = write_report(&*opened.store, &imported, &folder.join("report")).await?;
    opened.store.close().await;
    for at in accounts {
        at.provider.stop().await;
    }

    let jobs = [
        ("1. The sample file goes to a simulated provider, through its bulk import.", &imported),
        ("2. The provider is pulled back into the store.", &pulled),
        ("3. The same file again: nothing is created twice.", &again),
    ];
    if global.json {
        let jobs = jobs.iter().map(|(_, job)| *job).chain(others.iter().map(|(_, job)| job));
        let summaries: Vec<_> = jobs.map(|job| &job.summary).collect();
        out::json(&serde_json::json!({ "jobs": summaries, "folder": folder, "report": page }));
    } else {
        for (what, job) in jobs {
            out::line(&format!("{what}\n"));
            out::line(&indented(&::report::summary(&job.summary)));
        }
        out::line(&format!(
            "4. Some of the customers go to {} other providers, by what each of them takes.\n\n\
             {}\n5. {EVERYWHERE} is at all of them, and one record: each field says whose value it is.\n\n\
             {everywhere}",
            others.len(),
            table(&others)
        ));
        out::line(&format!(
            "All of this took {:.2} s; the files, the configuration and the store are in {}\n\n\
             The report of the first import is {}",
            began.elapsed().as_secs_f64(),
            folder.display(),
            page.display()
        ));
    }
    verify(&imported, &again, &others)?;
    Ok(Exit::Clean)
}

/// A line for each import.
fn table(imports: &[(Kind, Ended)]) -> String {
    let mut text = String::new();
    for (kind, job) in imports {
        let summary = &job.summary;
        let rows = summary.rows.unwrap_or_default();
        let methods = summary.methods.unwrap_or_default().created;
        let customers = summary.customers.unwrap_or_default().created;
        text.push_str(&format!(
            "   {:<6} {:<10} {} of {} rows created: {customers} customers, {methods} payment methods; \
             {} calls\n",
            summary.account,
            kind.as_str(),
            rows.created,
            rows.read,
            summary.calls.total
        ));
    }
    text
}

/// The fields of the customer whom all have, with the account that each comes from.
async fn everywhere(store: &dyn Store) -> Result<String> {
    let customers = store.export_customers(None, &PageKey::default(), 1000).await?;
    let of = |reference: &Option<String>| reference.as_deref() == Some(EVERYWHERE);
    let customer = customers.into_iter().find(|customer| of(&customer.reference));
    let customer = customer.context("the customer whom all have is not in the store")?;
    let mut text = String::new();
    for field in FieldName::TEXTS {
        let Some(value) = customer.profile.get(field) else { continue };
        let from = customer.sources.get(field.as_str()).map_or("", |source| &source.account);
        text.push_str(&format!("   {:<14} {value:<26} from {from}\n", field.as_str()));
    }
    let methods = store.export_methods(None, &PageKey::default(), 1000).await?;
    for method in methods.into_iter().filter(|method| of(&method.reference)) {
        let from = method.sources.values().next().map_or("", |source| &source.account);
        let what = match &method.facts {
            MethodFacts::CryptoWallet(wallet) => {
                format!("{}…", wallet.address.get(..10).unwrap_or(""))
            }
            facts => {
                let last4 = facts.last4().map_or("????", Last4::as_str);
                format!("…{last4}")
            }
        };
        text.push_str(&format!("   {:<14} {what:<26} from {from}\n", method.facts.kind().as_str()));
    }
    Ok(text)
}

/// Writes the report of a job, and says where its page is.
async fn write_report(store: &dyn Store, job: &Ended, folder: &Path) -> Result<PathBuf> {
    let record = super::runs::known(store, &job.summary.run).await?;
    super::report::write(store, &record, &job.summary, folder, false).await?;
    Ok(folder.join(super::report::PAGE_NAME))
}

/// What the demo shows is what it says, or it fails.
fn verify(imported: &Ended, again: &Ended, others: &[(Kind, Ended)]) -> Result<()> {
    let others: Vec<&Ended> = others.iter().map(|(_, job)| job).collect();
    for job in others.iter().copied().chain([imported, again]) {
        if let Some(error) = &job.error {
            anyhow::bail!("the demo's {} did not end well: {error}", job.summary.job);
        }
    }
    let rows = |job: &Ended| job.summary.rows.unwrap_or_default();
    for job in others.into_iter().chain([imported]) {
        ensure!(rows(job).created == rows(job).read, "not every row was created");
    }
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

/// Writes the folder: the samples, the secrets, and a configuration that reads them from files.
fn write(folder: &Path, accounts: &[At]) -> Result<PathBuf> {
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    private(&folder.join("encryption.key"), &BASE64_STANDARD.encode(key))?;
    let names: Vec<String> = accounts.iter().map(|at| format!("\"{}\"", at.account())).collect();
    let mut config = format!(
        "[store]\nurl = \"sqlite://onfile.db\"\nencryption_key = {{ file = \"encryption.key\" }}\n\n\
         [canonical]\nprecedence = [{}]\n",
        names.join(", ")
    );
    for at in accounts {
        fs::write(folder.join(at.sample.name), at.sample.text)?;
        let file = format!("{}.secret", at.account());
        private(&folder.join(&file), at.kind.way().secret.1)?;
        let source = format!("{{ file = \"{file}\" }}");
        config.push('\n');
        config.push_str(&section(at.kind, at.provider.base_url(), &source, RATE));
        config.push_str(at.sample.settings);
    }
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
