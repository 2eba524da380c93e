//! `onfile sandbox`: a simulated provider on this machine.

use std::time::Duration;

use ::sandbox::{FaultPlan, Kind, Rate, Sandbox, SandboxConfig};
use anyhow::{Context, Result};

use crate::cli::SandboxArgs;
use crate::exit::Exit;
use crate::out;

pub(crate) async fn run(args: SandboxArgs) -> Result<Exit> {
    let faults = match args.faults.as_deref() {
        Some("help") => {
            out::line(::sandbox::DOCS.trim_end());
            return Ok(Exit::Clean);
        }
        Some(spec) => {
            const WRONG: &str = "--faults cannot be read; `--faults help` explains the grammar";
            let plan = FaultPlan::parse(spec).context(WRONG)?;
            plan.check(Kind::ProxyToken).context(WRONG)?;
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
        ..SandboxConfig::default()
    })
    .await
    .with_context(|| format!("the sandbox cannot listen on {}", args.listen))?;
    out::error_line(&format!("listening on {}", running.base_url()));
    out::line(&account(running.base_url(), args.rate));
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(Exit::Clean)
}

/// An account of this sandbox, for a configuration; within its rate, if it has one.
fn account(base_url: &str, rate: Option<f64>) -> String {
    let (per_second, burst) = rate.map_or((200.0, 20), |rate| (rate, 1));
    format!(
        "\
# An account of this sandbox: put it in place of [accounts.gov] in onfile.toml, and
# export SANDBOX_BEARER=sandbox-bearer
[accounts.gov]
kind = \"proxy-token\"
base_url = \"{base_url}\"
payment_account_uid = \"pa_main\"
bearer = {{ env = \"SANDBOX_BEARER\" }}
rate = {{ per_second = {per_second}, burst = {burst}, in_flight = 16 }}
# What it holds and was asked: {base_url}/_sandbox (`onfile sandbox --faults help` explains)
"
    )
}
