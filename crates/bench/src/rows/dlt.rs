//! The pull of a general loader: the Python library dlt.

use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use super::{Bench, Pairs, Row, pull};
use crate::home::{Home, temporary};
use crate::numbers::count;
use crate::process;
use crate::provider::Provider;
use crate::report::Line;

/// Takes the address, the calls in flight and the database's file.
const SCRIPT: &str = include_str!("dlt.py");

pub(super) async fn measure(bench: &Bench) -> Result<Line> {
    let name = Row::Dlt.name();
    let can = Command::new("python3").args(["-c", "import dlt, sqlalchemy"]).output().await;
    if !can.is_ok_and(|output| output.status.success()) {
        let why = "no python3 in the PATH that can import dlt and sqlalchemy: pip install \
                   \"dlt[sqlalchemy]\"";
        return Ok(Line::missing(&name, why));
    }
    let customers = bench.sizes.pull_customers;
    let provider = Provider::start(customers, Duration::ZERO).await?;
    let peer = async || {
        let folder = temporary(&bench.dir)?;
        let mut command = Command::new("python3");
        command
            .args(["-c", SCRIPT, &provider.base_url, &bench.in_flight.to_string()])
            .arg(folder.path())
            .current_dir(folder.path())
            .env("DLT_DATA_DIR", folder.path())
            .env("RUNTIME__DLTHUB_TELEMETRY", "false");
        let sample = process::measure(command).await?;
        pull::says(&sample, customers)?;
        Ok(sample)
    };
    let ours = async || {
        let home = Home::new(&bench.dir, &provider.base_url, None, bench.in_flight)?;
        pull::onfile(&home, customers).await
    };
    let pairs = Pairs::take(Row::Dlt, bench.pairs, peer, ours).await?;
    let size = format!("{} customers", count(customers));
    Ok(pairs
        .throughput(Row::Dlt, size, "customers/s", customers)
        .note("the peer keeps what the provider said, and has no canonical record"))
}
