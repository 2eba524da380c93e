//! One file for each command: what a person asked for, in; what was done, out.

mod accounts;
mod check;
mod demo;
mod effects;
mod export;
mod help;
mod history;
mod init;
pub(crate) mod jobs;
mod keys;
mod link;
pub(crate) mod report;
mod runs;
pub(crate) mod sandbox;
mod schedules;

use anyhow::Result;

use crate::cli::{Cli, Command, Keys, UnlinkOne};
use crate::exit::Exit;
use crate::serve;

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Demo => demo::run(global).await,
        Command::Init { path } => init::run(global, path.as_deref().unwrap_or(&global.config)),
        Command::Report { run, out, with_values } => {
            report::run(global, &run, out.as_deref(), with_values).await
        }
        Command::Check { accounts } => check::run(global, &accounts).await,
        Command::Job(job) => jobs::run(global, job).await,
        Command::Serve => serve::run(global).await,
        Command::Schedules { what } => schedules::run(global, what).await,
        Command::Effects { what } => effects::run(global, what).await,
        Command::Link(args) => link::link(global, args).await,
        Command::Unlink { what: UnlinkOne::Customer { account, remote_customer } } => {
            link::unlink(global, &account, &remote_customer).await
        }
        Command::Export(args) => export::run(global, args).await,
        Command::History { of, id } => history::run(global, of, &id).await,
        Command::Runs { what } => runs::run(global, what).await,
        Command::Accounts { what } => accounts::run(global, what).await,
        Command::Keys { what: Keys::Generate } => {
            keys::generate(global);
            Ok(Exit::Clean)
        }
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Help { what } => help::run(&what),
    }
}

/// A variable of this process's environment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
