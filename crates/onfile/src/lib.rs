//! The command line of onfile: configuration, the list of providers, wiring.
//!
//! The only place that knows every crate. No job is done here: `commands` reads what a person
//! asked for, `wiring` puts an engine together, `engine` does the job, `report` says what it did.

mod calls;
mod cli;
mod commands;
pub mod config;
mod exit;
mod failpoint;
mod inbox;
mod out;
mod permits;
mod registry;
mod serve;
mod signals;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; wrong usage is not "rows were rejected" (2).
            let _nobody_may_listen = error.print();
            let fine = !error.use_stderr();
            return if fine { exit::Exit::Clean } else { exit::Exit::Error }.into();
        }
    };
    out::start_logging(&cli.global, matches!(cli.command, cli::Command::Serve));
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("another part of this process chose the cryptography already");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::error_line(&format!("error: the runtime cannot start: {error}"));
            return exit::Exit::Error.into();
        }
    };
    let global = cli.global.clone();
    let code = match runtime.block_on(commands::run(cli)) {
        Ok(exit) => exit,
        Err(error) => exit::report(&global, &error),
    };
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code.into()
}
