//! Pulls.

use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Bench, Pairs, Row, calls_note, check};
use crate::home::{ACCOUNT, Home, megabytes, temporary};
use crate::numbers::{Aim, Of, Spread, count, float, shown};
use crate::postgres::Server;
use crate::process::{self, Sample};
use crate::provider::Provider;
use crate::report::Line;

/// Customers on a page.
const PAGE: u64 = 100;
const LATENCY: Duration = Duration::from_millis(20);
const MANY_IN_FLIGHT: u32 = 100;

/// The calls that no pull of so many customers does without: the pages, and a list for each
/// customer.
fn unavoidable(customers: u64) -> u64 {
    customers.div_ceil(PAGE) + customers
}

fn size(customers: u64) -> String {
    format!("{} customers", count(customers))
}

/// Pulls with onfile; it must have read every customer.
pub(super) async fn onfile(home: &Home, customers: u64) -> Result<Sample> {
    let sample = home.onfile(&["pull", ACCOUNT, "--json", "--quiet"]).await?;
    check(&sample, "/customers/seen", customers)?;
    Ok(sample)
}

/// Pulls with the bare loop; it must have written every customer.
async fn bare(provider: &Provider, of: u64, in_flight: u32, database: &str) -> Result<Sample> {
    let in_flight = in_flight.to_string();
    let work = ["pull", &provider.base_url, &in_flight, database];
    let sample = process::measure(process::bare(&work)?).await?;
    says(&sample, of)?;
    Ok(sample)
}

/// Fails unless the last line that a peer said is how many customers it has written.
pub(super) fn says(sample: &Sample, customers: u64) -> Result<()> {
    let said = sample.stdout.lines().last().unwrap_or_default();
    ensure!(said.parse() == Ok(customers), "the peer wrote {said} customers, not {customers}");
    Ok(())
}

/// A database of a peer, in a folder that goes with it.
fn database(bench: &Bench) -> Result<(TempDir, String)> {
    let folder = temporary(&bench.dir)?;
    let url = format!("sqlite://{}", folder.path().join("bare.db").display());
    Ok((folder, url))
}

pub(super) async fn sqlite(bench: &Bench) -> Result<Line> {
    let customers = bench.sizes.pull_customers;
    let provider = Provider::start(customers, Duration::ZERO).await?;
    let (mut calls, mut bare_mb, mut onfile_mb) = (0, 0.0, 0.0);
    let peer = async || {
        let (folder, url) = database(bench)?;
        let sample = bare(&provider, customers, bench.in_flight, &url).await?;
        bare_mb = megabytes(&folder.path().join("bare.db"));
        Ok(sample)
    };
    let ours = async || {
        let home = Home::new(&bench.dir, &provider.base_url, None, bench.in_flight)?;
        let before = provider.calls().await?;
        let sample = onfile(&home, customers).await?;
        calls = provider.calls().await? - before;
        onfile_mb = megabytes(&home.store());
        Ok(sample)
    };
    let pairs = Pairs::take(Row::Pull, bench.pairs, peer, ours).await?;
    Ok(pairs
        .throughput(Row::Pull, size(customers), "customers/s", customers)
        .aim(Aim::at_least(Of::Ratio, 0.5))
        .aim(Aim::at_most(Of::PeakMb, 60.0))
        .note(calls_note(calls, unavoidable(customers)))
        .note(format!(
            "the peer's file has {} MB, onfile's {} MB with its indexes",
            shown(bare_mb),
            shown(onfile_mb)
        )))
}

pub(super) async fn again(bench: &Bench) -> Result<Line> {
    let customers = bench.sizes.pull_customers;
    let provider = Provider::start(customers, Duration::ZERO).await?;
    let mut homes = Vec::new();
    for _ in 0..bench.pairs {
        homes.push(Home::new(&bench.dir, &provider.base_url, None, bench.in_flight)?);
    }
    let (mut firsts, mut seconds) = (homes.iter(), homes.iter());
    let pull = async |home: Option<&Home>| match home {
        Some(home) => onfile(home, customers).await,
        None => anyhow::bail!("there is a folder for each pair"),
    };
    let second = async || {
        let sample = pull(seconds.next()).await?;
        check(&sample, "/customers/unchanged", customers)?;
        Ok(sample)
    };
    let first = async || pull(firsts.next()).await;
    let pairs = Pairs::take(Row::PullAgain, bench.pairs, first, second).await?;
    Ok(pairs
        .time(Row::PullAgain, size(customers))
        .aim(Aim::at_most(Of::Ratio, 0.5))
        .note("the peer is onfile's own first pull; it makes the same calls"))
}

pub(super) async fn postgres(bench: &Bench) -> Result<Line> {
    let server = match Server::start(&bench.dir).await {
        Ok(server) => server,
        Err(why) => return Ok(Line::missing(&Row::PullPostgres.name(), &format!("{why:#}"))),
    };
    let customers = bench.sizes.pull_customers;
    let provider = Provider::start(customers, Duration::ZERO).await?;
    let peer = async || {
        let database = server.fresh("bare").await?;
        bare(&provider, customers, bench.in_flight, &database).await
    };
    let ours = async || {
        let store = server.fresh("onfile").await?;
        let home = Home::new(&bench.dir, &provider.base_url, Some(&store), bench.in_flight)?;
        onfile(&home, customers).await
    };
    let pairs = Pairs::take(Row::PullPostgres, bench.pairs, peer, ours).await?;
    let (bare_mb, onfile_mb) = (server.megabytes("bare").await?, server.megabytes("onfile").await?);
    server.stop().await?;
    Ok(pairs
        .throughput(Row::PullPostgres, size(customers), "customers/s", customers)
        .note("the server's memory is not counted, and it shares the cores")
        .note(format!(
            "the peer's database has {} MB, onfile's {} MB with its indexes",
            shown(bare_mb),
            shown(onfile_mb)
        )))
}

pub(super) async fn latency(bench: &Bench) -> Result<Line> {
    let customers = bench.sizes.latency_customers;
    let provider = Provider::start(customers, LATENCY).await?;
    let peer = async || {
        let (_folder, url) = database(bench)?;
        bare(&provider, customers, MANY_IN_FLIGHT, &url).await
    };
    let ours = async || {
        let home = Home::new(&bench.dir, &provider.base_url, None, MANY_IN_FLIGHT)?;
        onfile(&home, customers).await
    };
    let pairs = Pairs::take(Row::PullLatency, bench.pairs, peer, ours).await?;
    let calls = unavoidable(customers);
    let mut line = pairs.throughput(Row::PullLatency, size(customers), "calls/s", calls);
    let limit = f64::from(MANY_IN_FLIGHT) / LATENCY.as_secs_f64();
    let of_limit = |spread: Option<Spread>| {
        let share = |value| value / limit;
        spread.map(|s| Spread {
            median: share(s.median),
            least: share(s.least),
            most: share(s.most),
        })
    };
    let loops = of_limit(line.peer);
    line.ratio = of_limit(line.onfile);
    line.peer = Spread::of([limit]);
    let line = line.aim(Aim::at_least(Of::Ratio, 0.9)).note(format!(
        "the peer is arithmetic, {MANY_IN_FLIGHT} in flight by 20 ms: {} s for {} calls; peak \
         memory is the bare loop's",
        shown(float(calls) / limit),
        count(calls)
    ));
    Ok(match loops {
        Some(loops) => line.note(format!("the bare loop reaches {} of it", shown(loops.median))),
        None => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_every_list_is_unavoidable() {
        assert_eq!((unavoidable(0), unavoidable(100), unavoidable(101)), (0, 101, 103));
    }

    #[test]
    fn a_peer_is_held_to_its_work() {
        let said = |text: &str| Sample { stdout: text.to_owned(), ..Sample::default() };
        assert!(says(&said("a warning\n7\n"), 7).is_ok());
        assert!(says(&said("6\n"), 7).is_err() && says(&said(""), 0).is_err());
    }
}
