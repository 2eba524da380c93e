//! Measures onfile beside the bare limits of this machine: `cargo run --release -p bench`.
//!
//! Each row runs onfile as a process of its own beside a peer: a bare loop that does the same work
//! without what onfile is for. README.md says how to read the table. This binary is also onfile
//! (see `process::onfile`) and every peer (`bare`), so that all of them are measured alike.

mod bare;
mod files;
mod home;
mod numbers;
mod postgres;
mod process;
mod provider;
mod report;
mod rows;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::rows::{Bench, Row, Sizes};

/// As in onfile's own `main`: memory is measured, and it is the allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures onfile beside the bare limits of this machine.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100, subcommand_negates_reqs = true)]
struct Cli {
    /// The sizes, as a share of the full ones
    #[arg(long, default_value_t = 0.02, value_parser = share, conflicts_with = "full")]
    scale: f64,
    /// The full sizes: what the aims are about. Takes some 20 minutes
    #[arg(long)]
    full: bool,
    /// This row only; may be given again
    #[arg(long, value_name = "NAME")]
    only: Vec<Row>,
    /// Says which rows there are
    #[arg(long)]
    list: bool,
    /// How often peer and onfile take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// Calls under way together, at onfile and at its peers
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// Writes everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where temporary folders are made: the disk that is measured. Default: the system's
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Another program to measure against, where it is installed
    #[arg(long, value_name = "NAME")]
    peer: Option<Peer>,
    #[command(subcommand)]
    bare: Option<Hidden>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// The Python library dlt, in the `python3` of the PATH
    Dlt,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    /// A peer, as a process of its own
    #[command(hide = true)]
    Bare {
        #[command(subcommand)]
        work: bare::Work,
    },
}

/// A share of the full sizes.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a number above 0 and up to 1".to_owned()),
    }
}

fn main() -> ExitCode {
    if process::is_onfile() {
        return onfile_cli::run();
    }
    let cli = Cli::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        say("another part of this process chose the cryptography already");
    }
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    runtime.block_on(async {
        match cli.bare {
            Some(Hidden::Bare { work }) => bare::run(work).await,
            // What it has started goes with it: processes are killed and folders removed on drop.
            None => tokio::select! {
                done = measure(cli) => done,
                _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped"),
            },
        }
    })
}

async fn measure(cli: Cli) -> Result<()> {
    if cli.list {
        for row in Row::value_variants() {
            print(&format!("{:<16}{}", row.name(), row.what()));
        }
        return Ok(());
    }
    if cfg!(debug_assertions) {
        say("a debug build: its figures mean nothing; use cargo run --release -p bench");
    }
    let bench = Bench {
        sizes: if cli.full { Sizes::full() } else { Sizes::scaled(cli.scale) },
        pairs: cli.pairs,
        in_flight: cli.in_flight,
        dir: cli.dir.unwrap_or_else(std::env::temp_dir),
        dlt: cli.peer == Some(Peer::Dlt),
    };
    let mut lines = Vec::new();
    for row in Row::value_variants() {
        let wanted =
            if cli.only.is_empty() { row.is_usual(&bench) } else { cli.only.contains(row) };
        if wanted {
            let measured = row.measure(&bench).await;
            lines.extend(measured.with_context(|| format!("the row {}", row.name()))?);
        }
    }
    let machine = report::Machine::here().await;
    print(&report::page(&machine, &bench.sizes, &lines));
    if let Some(file) = cli.json {
        let document = report::json(&machine, &bench, &lines);
        std::fs::write(&file, serde_json::to_vec_pretty(&document)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

/// A result.
fn print(text: &str) {
    let _reader_may_be_gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// What is going on.
fn say(text: &str) {
    let _nobody_may_listen = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_scale_is_a_share() {
        assert_eq!(share("0.5"), Ok(0.5));
        assert_eq!(share("1"), Ok(1.0));
        for wrong in ["0", "-1", "1.5", "NaN", "inf", "much"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_are_asked_for_by_name() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["bench"], args].concat());
        let cli = parse(&["--only", "pull", "--only", "import-dry-run"]).expect("two rows");
        assert_eq!(cli.only, [Row::Pull, Row::ImportDryRun]);
        assert!(parse(&["--only", "nonsense"]).is_err());
        assert!(parse(&["--full", "--scale", "0.1"]).is_err());
        assert!(parse(&["--pairs", "0"]).is_err());
    }
}
