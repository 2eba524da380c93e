//! `onfile sandbox`: a simulated provider on this machine.

use std::time::Duration;

use ::sandbox::{FaultPlan, Kind, Rate, Sandbox, SandboxConfig, VendorConfig, Way};
use anyhow::{Context, Result};

use crate::cli::SandboxArgs;
use crate::exit::Exit;
use crate::out;

pub(crate) async fn run(args: SandboxArgs) -> Result<Exit> {
    let kind = Kind::parse(&args.provider).context("this build simulates no such provider")?;
    let faults = match args.faults.as_deref() {
        Some("help") => {
            out::line(::sandbox::DOCS.trim_end());
            return Ok(Exit::Clean);
        }
        Some(spec) => {
            const WRONG: &str = "--faults cannot be read; `--faults help` explains the grammar";
            let plan = FaultPlan::parse(spec).context(WRONG)?;
            plan.check(kind).context(WRONG)?;
            plan
        }
        None => FaultPlan::default(),
    };
    let running = Sandbox::start(SandboxConfig {
        listen: args.listen,
        seed: args.seed,
        customers: args.customers,
        faults,
        rate: args.rate.map(|per_second| Rate { per_second, burst: 1.0 }),
        latency: Duration::from_millis(args.latency),
        vendor: VendorConfig::of(kind),
        ..SandboxConfig::default()
    })
    .await
    .with_context(|| format!("the sandbox cannot listen on {}", args.listen))?;
    out::error_line(&format!("listening on {}", running.base_url()));
    out::line(&shown(kind, running.base_url(), args.rate));
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(Exit::Clean)
}

/// The section of the seeded account, whose secret comes from `source`.
pub(crate) fn section(kind: Kind, base_url: &str, source: &str, rate: &str) -> String {
    let Way { account, settings, secret: (key, _) } = kind.way();
    format!(
        "[accounts.{account}]\nkind = \"{}\"\nbase_url = \"{base_url}\"\n{settings}{key} = {source}\n\
         rate = {rate}\n",
        kind.as_str(),
    )
}

/// An account of this sandbox, for a configuration; within its rate, if it has one.
fn shown(kind: Kind, base_url: &str, rate: Option<f64>) -> String {
    let (per_second, burst) = rate.map_or((200.0, 20), |rate| (rate, 1));
    let rate = format!("{{ per_second = {per_second}, burst = {burst}, in_flight = 16 }}");
    let Way { account, secret: (_, secret), .. } = kind.way();
    let env = format!("SANDBOX_{}", account.to_uppercase());
    format!(
        "\
# An account of this sandbox: put it in place of [accounts.{account}] in onfile.toml, and
# export {env}={secret}
{}# What it holds and was asked: {base_url}/_sandbox (`onfile sandbox --faults help` explains)
",
        section(kind, base_url, &format!("{{ env = \"{env}\" }}"), &rate),
    )
}
