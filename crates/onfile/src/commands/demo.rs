//! `onfile demo`: the main job in a temporary folder, against four simulated providers.

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

use super::sandbox::{Way, section, way};
use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

/// The accounts of the demo: their kinds, and the file that goes to each.
const SAMPLES: [(Kind, &str, &str); 4] = [
    (Kind::ProxyToken, "sample.csv", include_str!("../../../../config/sample.csv")),
    (Kind::Ecrypt, "sample-ecrypt.csv", include_str!("../../../../config/sample-ecrypt.csv")),
    (Kind::V2, "sample-v2.csv", include_str!("../../../../config/sample-v2.csv")),
    (
        Kind::Noderails,
        "sample-noderails.csv",
        include_str!("../../../../config/sample-noderails.csv"),
    ),
];
/// A customer whom all four have.
const EVERYWHERE: &str = "C-1001";

const RATE: &str = "{ per_second = 200, burst = 20, in_flight = 8 }";
/// The client that the sandbox knows.
const CLIENT: (&str, &str) = ("sandbox-client", "sandbox-secret");

pub(crate) async fn run(global: &Global) -> Result<Exit> {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("onfile-demo-").tempdir()?.keep();
    let mut providers = Vec::with_capacity(SAMPLES.len());
    for (kind, ..) in SAMPLES {
        let config = SandboxConfig { vendor: VendorConfig::of(kind), ..SandboxConfig::default() };
        let provider = Sandbox::start(config).await;
        providers.push(provider.context("a simulated provider cannot start")?);
    }
    let config = write(&folder, &providers)?;
    let config = wiring::load(&config, &|_| None, &LoadOptions::default())?;
    let opened = wiring::open(config).await?;
    let (_stopper, stop) = Stop::pair();
    let engine = |account: &str| opened.engine(account, stop.clone(), Arc::new(Quiet));

    let gov = engine("gov")?;
    let file = folder.join("sample.csv");
    let imported = import(&gov, &file).await?;
    let pulled = engine::pull(&gov, &PullOptions { confirm: true, cause: "demo".into() }).await?;
    let again = import(&gov, &file).await?;
    let mut others = Vec::new();
    for (kind, name, _) in SAMPLES.into_iter().skip(1) {
        let engine = engine(way(kind).account)?;
        others.push((kind, import(&engine, &folder.join(name)).await?));
    }
    let everywhere = everywhere(&*opened.store).await?;
    let page = write_report(&*opened.store, &imported, &folder.join("report")).await?;
    opened.store.close().await;
    for provider in providers {
        provider.stop().await;
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
            "4. Some of the customers go to three other providers, by what each of them takes.\n\n\
             {}\n5. {EVERYWHERE} is at all four, and one record: each field says whose value it is.\n\n\
             {everywhere}",
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
fn write(folder: &Path, providers: &[Running]) -> Result<PathBuf> {
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    private(&folder.join("encryption.key"), &BASE64_STANDARD.encode(key))?;
    private(&folder.join("client.id"), CLIENT.0)?;
    private(&folder.join("client.secret"), CLIENT.1)?;
    let mut config = String::from(
        "[store]\nurl = \"sqlite://onfile.db\"\nencryption_key = { file = \"encryption.key\" }\n\n\
         [canonical]\nprecedence = [\"gov\", \"main\", \"eu\", \"chain\"]\n",
    );
    for ((kind, name, sample), provider) in SAMPLES.into_iter().zip(providers) {
        fs::write(folder.join(name), sample)?;
        config.push('\n');
        config.push_str(&match kind {
            // The only one that signs in.
            Kind::ProxyToken => oauth(provider),
            kind => {
                let Way { account, secret: (_, secret), .. } = way(kind);
                let file = format!("{account}.secret");
                private(&folder.join(&file), secret)?;
                let source = format!("{{ file = \"{file}\" }}");
                section(kind, provider.base_url(), &source, RATE)
            }
        });
        if kind == Kind::Ecrypt {
            config.push_str("transliterate = true\n");
        }
    }
    let path = folder.join("onfile.toml");
    fs::write(&path, config)?;
    Ok(path)
}

/// The account that proves who it is by OAuth.
fn oauth(provider: &Running) -> String {
    format!(
        r#"[accounts.gov]
kind = "proxy-token"
base_url = "{}"
payment_account_uid = "pa_main"
token_url = "{}"
client_id = {{ file = "client.id" }}
client_secret = {{ file = "client.secret" }}
rate = {RATE}
"#,
        provider.base_url(),
        provider.token_url(),
    )
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
