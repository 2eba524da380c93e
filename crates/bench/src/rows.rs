//! The rows of the table.

mod dlt;
mod growth;
mod import;
mod journal;
mod pull;
mod start;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::numbers::{Spread, float};
use crate::process::Sample;
use crate::report::Line;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    Pull,
    PullAgain,
    PullPostgres,
    PullLatency,
    ImportDryRun,
    Import,
    Journal,
    Start,
    Growth,
    Dlt,
}

impl Row {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Pull => "a pull into SQLite, beside a loop of the same calls and as many bytes",
            Self::PullAgain => "a second pull that finds nothing changed, beside the first",
            Self::PullPostgres => "a pull into PostgreSQL, beside such a loop with COPY",
            Self::PullLatency => "a pull from a provider that takes 20 ms a call, beside the limit",
            Self::ImportDryRun => "a dry run of an import, beside sqlite3's .import of the file",
            Self::Import => "an import, beside a loop of the same calls that writes nothing down",
            Self::Journal => "the journal, beside bare commits of the same batches",
            Self::Start => "onfile --version, and onfile runs beside a large run",
            Self::Growth => "time and memory of a dry run and of a pull as the size grows",
            Self::Dlt => "a pull by dlt, beside onfile's: with --peer dlt",
        }
    }

    /// Whether it is measured when no row is asked for.
    pub(crate) fn is_usual(self, bench: &Bench) -> bool {
        self != Self::Dlt || bench.dlt
    }

    pub(crate) async fn measure(self, bench: &Bench) -> Result<Vec<Line>> {
        let one = |line: Result<Line>| Ok(vec![line?]);
        match self {
            Self::Pull => one(pull::sqlite(bench).await),
            Self::PullAgain => one(pull::again(bench).await),
            Self::PullPostgres => one(pull::postgres(bench).await),
            Self::PullLatency => one(pull::latency(bench).await),
            Self::ImportDryRun => one(import::dry_run(bench).await),
            Self::Import => one(import::whole(bench).await),
            Self::Journal => one(journal::measure(bench).await),
            Self::Start => start::measure(bench).await,
            Self::Growth => growth::measure(bench).await,
            Self::Dlt => one(dlt::measure(bench).await),
        }
    }
}

/// What rows are told.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) sizes: Sizes,
    pub(crate) pairs: u32,
    /// Calls under way together, at onfile and at its peers.
    pub(crate) in_flight: u32,
    pub(crate) dir: PathBuf,
    /// Whether dlt is to be measured too.
    pub(crate) dlt: bool,
}

/// How much each row does.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sizes {
    scale: f64,
    pub(crate) pull_customers: u64,
    pub(crate) latency_customers: u64,
    pub(crate) dry_run_rows: u64,
    pub(crate) import_rows: u64,
    pub(crate) effects: u64,
    /// Rows, smallest first.
    pub(crate) growth: Vec<u64>,
}

impl Sizes {
    /// What the aims are about.
    pub(crate) fn full() -> Self {
        Self::of(1.0, &[10_000, 100_000, 1_000_000])
    }

    /// A share of it, without the largest of `growth`.
    pub(crate) fn scaled(scale: f64) -> Self {
        Self::of(scale, &[10_000, 100_000])
    }

    fn of(scale: f64, growth: &[u64]) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are positive, and a million at most"
        )]
        let size = |full: u64| ((float(full) * scale) as u64).max(10);
        Self {
            scale,
            pull_customers: size(50_000),
            latency_customers: size(5_000),
            dry_run_rows: size(1_000_000),
            import_rows: size(100_000),
            effects: size(100_000),
            growth: growth.iter().copied().map(size).collect(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.scale >= 1.0
    }
}

/// Peer and onfile in turn, so that what slows the machine for a minute slows both.
#[derive(Debug, Default)]
struct Pairs {
    peer: Vec<Sample>,
    onfile: Vec<Sample>,
}

impl Pairs {
    async fn take(
        row: Row,
        pairs: u32,
        mut peer: impl AsyncFnMut() -> Result<Sample>,
        mut onfile: impl AsyncFnMut() -> Result<Sample>,
    ) -> Result<Self> {
        let mut all = Self::default();
        for pair in 1..=pairs {
            let (peer, onfile) = (peer().await?, onfile().await?);
            crate::say(&format!(
                "{}: {pair} of {pairs}: peer {:.3} s, onfile {:.3} s",
                row.name(),
                peer.seconds,
                onfile.seconds
            ));
            all.peer.push(peer);
            all.onfile.push(onfile);
        }
        Ok(all)
    }

    /// A line of how many of something in a second.
    fn throughput(self, row: Row, size: String, unit: &'static str, count: u64) -> Line {
        self.line(row, size, unit, |seconds| float(count) / seconds)
    }

    /// A line of times in seconds.
    fn time(self, row: Row, size: String) -> Line {
        self.line(row, size, "s", |seconds| seconds)
    }

    fn line(self, row: Row, size: String, unit: &'static str, value: impl Fn(f64) -> f64) -> Line {
        let values = |of: &[Sample]| of.iter().map(|one| value(one.seconds)).collect::<Vec<f64>>();
        let (peer, onfile) = (values(&self.peer), values(&self.onfile));
        Line {
            row: row.name(),
            size,
            unit,
            ratio: Spread::of_ratios(&onfile, &peer),
            peer: Spread::of(peer),
            onfile: Spread::of(onfile),
            peer_cpu: cpu(&self.peer),
            onfile_cpu: cpu(&self.onfile),
            peer_peak_mb: peak(&self.peer),
            onfile_peak_mb: peak(&self.onfile),
            aims: Vec::new(),
            notes: Vec::new(),
            peer_samples: self.peer,
            onfile_samples: self.onfile,
        }
    }
}

/// The processor time of each of these.
fn cpu(samples: &[Sample]) -> Option<Spread> {
    Spread::of(samples.iter().filter_map(|one| one.cpu_seconds))
}

/// The most memory of any of these.
fn peak(samples: &[Sample]) -> Option<f64> {
    samples.iter().filter_map(|one| one.peak_mb).max_by(f64::total_cmp)
}

/// A count in the document that `onfile --json` printed, by its path, such as `/rows/created`.
fn counted(sample: &Sample, path: &str) -> Result<u64> {
    let document: Value = serde_json::from_str(&sample.stdout)
        .with_context(|| format!("no JSON document: {}", sample.stdout))?;
    let count = document.pointer(path).and_then(Value::as_u64);
    count.with_context(|| format!("no count at {path}: {document}"))
}

/// Fails unless onfile has done the work that its time is taken for.
fn check(sample: &Sample, path: &str, expected: u64) -> Result<()> {
    let found = counted(sample, path)?;
    ensure!(found == expected, "{path} is {found}, not {expected}");
    Ok(())
}

/// What the calls of a run are beside those that it could not do without.
fn calls_note(made: u64, unavoidable: u64) -> String {
    use crate::numbers::count;
    let overhead = (float(made) / float(unavoidable) - 1.0) * 100.0;
    format!(
        "{} calls, of which {} are unavoidable: {overhead:.2} % more",
        count(made),
        count(unavoidable)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_of_every_size() {
        let full = Sizes::full();
        assert_eq!((full.pull_customers, full.growth.len()), (50_000, 3));
        let small = Sizes::scaled(0.02);
        assert_eq!((small.pull_customers, small.dry_run_rows), (1000, 20_000));
        assert_eq!(small.growth, [200, 2000]);
        assert!(full.is_full() && !small.is_full());
        // Never nothing.
        assert_eq!(Sizes::scaled(1e-9).latency_customers, 10);
    }

    fn samples(seconds: &[f64]) -> Vec<Sample> {
        let sample = |(at, seconds): (usize, &f64)| Sample {
            seconds: *seconds,
            peak_mb: (at > 0).then_some(10.0 / seconds),
            ..Sample::default()
        };
        seconds.iter().enumerate().map(sample).collect()
    }

    #[tokio::test]
    async fn peer_and_onfile_take_turns() {
        let turns = std::cell::RefCell::new(String::new());
        let turn = async |who: char| {
            turns.borrow_mut().push(who);
            Ok(Sample::default())
        };
        let (peer, onfile) = (async || turn('p').await, async || turn('o').await);
        let pairs = Pairs::take(Row::Pull, 3, peer, onfile).await.expect("samples");
        assert_eq!(
            (turns.borrow().as_str(), pairs.peer.len(), pairs.onfile.len()),
            ("popopo", 3, 3)
        );
    }

    #[test]
    fn throughput_rises_as_time_falls() {
        let pairs = || Pairs { peer: samples(&[1.0, 2.0, 1.0]), onfile: samples(&[2.0, 4.0, 4.0]) };
        let line = pairs().throughput(Row::Pull, "100".into(), "rows/s", 100);
        assert_eq!(line.peer.map(|peer| peer.median), Some(100.0));
        assert_eq!(line.ratio, Some(Spread { median: 0.5, least: 0.25, most: 0.5 }));
        assert_eq!((line.peer_peak_mb, line.onfile_peak_mb), (Some(10.0), Some(2.5)));
        let line = pairs().time(Row::Pull, "100".into());
        assert_eq!(line.ratio, Some(Spread { median: 2.0, least: 2.0, most: 4.0 }));
    }

    #[test]
    fn onfile_is_held_to_its_work() {
        let sample = Sample { stdout: r#"{"rows":{"read":7}}"#.into(), ..Sample::default() };
        assert!(check(&sample, "/rows/read", 7).is_ok());
        assert!(check(&sample, "/rows/read", 8).is_err());
        assert!(check(&sample, "/rows/created", 7).is_err());
        assert_eq!(
            calls_note(1020, 1000),
            "1,020 calls, of which 1,000 are unavoidable: 2.00 % more"
        );
    }
}
