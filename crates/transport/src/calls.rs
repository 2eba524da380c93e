//! Every attempt is told of: one event, one record.

use std::fmt;
use std::time::Duration;

use backend::{Lane, Verb};
use model::{AccountName, RunId};
use tokio::time::Instant;
use tracing::field;

/// One attempt, without ids or bodies.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// At which account.
    pub account: AccountName,
    /// For which run; none for credentials and `check`.
    pub run: Option<RunId>,
    /// In which lane.
    pub lane: Lane,
    /// The verb.
    pub verb: Verb,
    /// The endpoint, with placeholders.
    pub route: &'static str,
    /// The number of its permit.
    pub permit: u64,
    /// 1 for the first.
    pub attempt: u32,
    /// The status, where one came.
    pub status: Option<u16>,
    /// What went wrong on the way: `late`, `connect`, `timeout`, `broken`, `too_large`, or
    /// `cancelled` where whoever asked went away.
    pub failure: Option<&'static str>,
    /// How long it waited for its turn.
    pub waited: Duration,
    /// How long the call itself took.
    pub took: Duration,
}

/// Told of every attempt, whatever became of it.
pub trait CallLog: Send + Sync + fmt::Debug {
    /// Quick: it stands in the way of the next call.
    fn record(&self, call: CallRecord);
}

/// An attempt under way. One that is dropped before its end is told of as `cancelled`: its
/// request may have left.
pub(crate) struct Attempt<'a> {
    log: &'a dyn CallLog,
    record: Option<CallRecord>,
    began: Instant,
}

impl<'a> Attempt<'a> {
    pub(crate) fn begin(log: &'a dyn CallLog, record: CallRecord) -> Self {
        Self { log, record: Some(record), began: Instant::now() }
    }

    pub(crate) fn end(mut self, status: Option<u16>, failure: Option<&'static str>) {
        self.tell(status, failure);
    }

    fn tell(&mut self, status: Option<u16>, failure: Option<&'static str>) {
        let Some(record) = self.record.take() else { return };
        let call = CallRecord { status, failure, took: self.began.elapsed(), ..record };
        tracing::debug!(
            target: "onfile::calls",
            account = call.account.as_str(),
            run.id = call.run.as_ref().map(field::display),
            lane = call.lane.as_str(),
            verb = call.verb.as_str(),
            route = call.route,
            permit = call.permit,
            attempt = call.attempt,
            status = call.status,
            duration_ms = millis(call.took),
            waited_ms = millis(call.waited),
            failure = call.failure,
        );
        self.log.record(call);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.tell(None, Some("cancelled"));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
