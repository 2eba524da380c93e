//! Counts every call of this process: for summaries, and for `demo` to show.

use std::collections::HashMap;
use std::sync::Mutex;

use backend::{CallCounter, Verb};
use model::{AccountName, Calls, RunId};
use transport::{CallLog, CallRecord};

/// Calls by account and run; calls for credentials belong to no run.
#[derive(Debug, Default)]
pub(crate) struct CallCounts {
    counts: Mutex<HashMap<(AccountName, Option<RunId>), Calls>>,
}

/// How a call ended, for its label.
const fn outcome(call: &CallRecord) -> &'static str {
    match (call.status, call.failure) {
        (Some(429), _) => "throttled",
        (Some(200..=299), None) => "ok",
        (Some(400..=499), None) => "declined",
        (Some(_), None) => "failed",
        (_, Some(why)) => why,
        (None, None) => "unknown",
    }
}

impl CallLog for CallCounts {
    fn record(&self, call: CallRecord) {
        metrics::counter!(
            "onfile_calls_total",
            "account" => call.account.to_string(),
            "verb" => call.verb.as_str(),
            "outcome" => outcome(&call),
        )
        .increment(1);
        let Ok(mut counts) = self.counts.lock() else { return };
        let of_run = call.run.is_some();
        let calls = counts.entry((call.account, call.run)).or_default();
        calls.total += 1;
        calls.throttled += u64::from(matches!(call.status, Some(429 | 503)));
        calls.retried += u64::from(call.attempt > 1);
        calls.changing += u64::from(of_run && call.verb != Verb::Get);
        let endpoint = format!("{} {}", call.verb.as_str(), call.route);
        *calls.by_endpoint.entry(endpoint).or_default() += 1;
    }
}

impl CallCounter for CallCounts {
    /// The run's calls, and those for the account's credentials.
    fn calls(&self, account: &AccountName, run: &RunId) -> Calls {
        let Ok(counts) = self.counts.lock() else { return Calls::default() };
        let mut sum = Calls::default();
        for run in [Some(run.clone()), None] {
            let Some(calls) = counts.get(&(account.clone(), run)) else { continue };
            sum.total += calls.total;
            sum.throttled += calls.throttled;
            sum.retried += calls.retried;
            sum.changing += calls.changing;
            for (endpoint, count) in &calls.by_endpoint {
                *sum.by_endpoint.entry(endpoint.clone()).or_default() += count;
            }
        }
        sum
    }
}
