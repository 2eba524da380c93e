//! The trials that need more than one crate: suites that every implementation passes, and whole
//! runs. One binary; a trial for each (case × database), named `suite/database/case`.
//!
//! - `ONFILE_TEST_PG_URL=postgres://…` uses that server; without it a run starts its own.
//! - `ONFILE_REQUIRE_PG=1` makes a missing PostgreSQL a failure; without it its trials are
//!   ignored, and the reason is said once.
//! - `ONFILE_REQUIRE_CHROMIUM=1` does the same for the trials in a browser, and
//!   `ONFILE_TEST_CHROMIUM` says where it is, if not in the PATH.
//! - `ONFILE_TRIAL_TIMES=30` says in the end how long the slowest thirty took, and each suite.
//!
//! A new suite is a module with `pub fn trials(env: &Env) -> Vec<Trial>` and a line in [`SUITES`].

mod around;
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
mod schedules;
mod serving;
mod shift;
mod store_suite;
mod times;
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
    schedules::trials,
    cli::trials,
    bad_input::trials,
    browser::trials,
    torture::trials,
];

/// Trials at once for each core, unless `--test-threads` says how many: most of them wait for an
/// answer that is late, or for a process of their own.
const EACH_CORE: usize = 4;

fn main() -> ExitCode {
    if binary::is_asked_for() {
        return onfile_cli::run();
    }
    let mut args = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    args.test_threads.get_or_insert(EACH_CORE * cores);
    let env = Env::new();
    let trials = spread(SUITES.iter().map(|suite| suite(&env)).collect());
    env.begin(&args, &trials);
    let conclusion = libtest_mimic::run(&args, trials);
    drop(env);
    times::report();
    conclusion.exit_code()
}

/// Each suite spread over the whole run, in its own order: trials that wait go beside trials that
/// work.
fn spread(suites: Vec<Vec<Trial>>) -> Vec<Trial> {
    let mut all: Vec<(usize, Trial)> = Vec::new();
    for suite in suites {
        let of = suite.len();
        all.extend(suite.into_iter().enumerate().map(|(no, trial)| (1_000_000 * no / of, trial)));
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, trial)| trial).collect()
}
