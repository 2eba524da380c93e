//! The trials that need more than one crate: suites that every implementation passes, and whole
//! runs. One binary; a trial for each (case × database), named `suite/database/case`.
//!
//! - `ONFILE_TEST_PG_URL=postgres://…` uses that server; without it a run starts its own.
//! - `ONFILE_REQUIRE_PG=1` makes a missing PostgreSQL a failure; without it its trials are
//!   ignored, and the reason is said once.
//! - `ONFILE_REQUIRE_CHROMIUM=1` does the same for the trials in a browser, and
//!   `ONFILE_TEST_CHROMIUM` says where it is, if not in the PATH.
//!
//! A new suite is a module with `pub fn trials(env: &Env) -> Vec<Trial>` and a line in [`SUITES`].

mod bad_input;
mod behaviour;
mod binary;
mod browser;
mod cli;
mod env;
mod inproc;
mod jobs;
mod pg;
mod providers;
mod shift;
mod store_suite;
mod torture;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::env::Env;

/// Every suite of this binary.
const SUITES: &[fn(&Env) -> Vec<Trial>] = &[
    store_suite::trials,
    behaviour::trials,
    jobs::trials,
    shift::trials,
    cli::trials,
    bad_input::trials,
    browser::trials,
    torture::trials,
];

fn main() -> ExitCode {
    if binary::is_asked_for() {
        return onfile_cli::run();
    }
    let args = Arguments::from_args();
    let env = Env::new();
    let trials: Vec<Trial> = SUITES.iter().flat_map(|suite| suite(&env)).collect();
    env.begin(&args, &trials);
    let conclusion = libtest_mimic::run(&args, trials);
    drop(env);
    conclusion.exit_code()
}
