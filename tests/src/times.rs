//! How long each trial took: `ONFILE_TRIAL_TIMES=30` says it of the slowest thirty, and of each suite
//! by itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::env::{say, variable};

static TOOK: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Runs a trial, and remembers how long it took.
pub fn measured<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let ran = run();
    let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner);
    took.push((name.to_owned(), began.elapsed()));
    ran
}

/// Says it, if it is asked for.
pub fn report() {
    let Some(most) = variable("ONFILE_TRIAL_TIMES").and_then(|most| most.parse().ok()) else {
        return;
    };
    let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut suites: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
    for (name, took) in took.iter() {
        let suite = name.split('/').take(2).collect::<Vec<_>>().join("/");
        let (trials, sum) = suites.entry(suite).or_default();
        *trials += 1;
        *sum += *took;
    }
    for (suite, (trials, sum)) in suites {
        say(&format!("{:8.1} s {suite}: {trials} trials", sum.as_secs_f64()));
    }
    took.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    for (name, took) in took.iter().take(most) {
        say(&format!("{:8.1} s {name}", took.as_secs_f64()));
    }
}
