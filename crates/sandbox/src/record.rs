//! What happened: counters for each endpoint and status, and the request log.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One request as the vendor saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Counted from 1 in the order of arrival.
    pub seq: u64,
    /// Milliseconds since the sandbox started, by a monotonic clock, when the request was read.
    pub t_ms: u64,
    /// The endpoint's name, `unknown` if it is none.
    pub endpoint: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// The account it named, empty if none.
    pub account: String,
    /// The status answered; 0 if the connection was closed without one; absent while under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether the vendor executed the call (a refusal by its own checks is executed, too).
    pub executed: bool,
    /// The fault rule that hit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Counters of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCount {
    /// Requests that arrived.
    pub calls: u64,
    /// Requests that the vendor executed.
    pub executed: u64,
    /// Answers by status; `closed` counts connections closed without one.
    pub by_status: BTreeMap<String, u64>,
}

/// Counters of every endpoint that was called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// By the endpoint's name.
    pub endpoints: BTreeMap<String, EndpointCount>,
}

impl Counters {
    /// Requests of one endpoint; 0 if it was never called.
    #[must_use]
    pub fn calls(&self, endpoint: &str) -> u64 {
        self.endpoints.get(endpoint).map_or(0, |c| c.calls)
    }

    /// Executed requests of one endpoint.
    #[must_use]
    pub fn executed(&self, endpoint: &str) -> u64 {
        self.endpoints.get(endpoint).map_or(0, |c| c.executed)
    }

    /// Answers of one endpoint with this status.
    #[must_use]
    pub fn answered(&self, endpoint: &str, status: u16) -> u64 {
        let count = self.endpoints.get(endpoint);
        count.and_then(|c| c.by_status.get(&status.to_string())).copied().unwrap_or(0)
    }
}

/// The most requests that arrived within any one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstSecond {
    /// How many.
    pub requests: usize,
    /// When that second began, in the log's milliseconds.
    pub from_ms: u64,
}

/// A log entry in its compact form.
#[derive(Debug)]
struct Entry {
    t: Duration,
    endpoint: &'static str,
    method: &'static str,
    status: Option<u16>,
    executed: bool,
    fault: Option<Arc<str>>,
    account: Option<Arc<str>>,
    path: Box<str>,
}

/// Counters and the ring of the last requests.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Instant,
    capacity: usize,
    next_seq: u64,
    ring: VecDeque<Entry>,
    counters: BTreeMap<&'static str, EndpointCount>,
    /// Account names seen, shared between the entries.
    accounts: Vec<Arc<str>>,
}

/// What is known of a request on arrival.
pub(crate) struct Arrival<'a> {
    pub(crate) endpoint: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) account: Option<&'a str>,
}

impl Recorder {
    /// An empty record that begins now.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            start: Instant::now(),
            capacity: capacity.max(1),
            next_seq: 1,
            ring: VecDeque::new(),
            counters: BTreeMap::new(),
            accounts: Vec::new(),
        }
    }

    /// A request was read; its number is answered.
    pub(crate) fn arrive(&mut self, arrival: &Arrival<'_>) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        if self.ring.len() >= self.capacity {
            self.ring.pop_front();
        }
        let account = arrival.account.map(|name| self.account(name));
        self.ring.push_back(Entry {
            t: self.start.elapsed(),
            endpoint: arrival.endpoint,
            method: arrival.method,
            status: None,
            executed: false,
            fault: None,
            account,
            path: arrival.path.into(),
        });
        self.counters.entry(arrival.endpoint).or_default().calls += 1;
        seq
    }

    /// Shares the text of an account's name. Only so many are kept: a client may send anything.
    fn account(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.accounts.iter().find(|known| &***known == name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if self.accounts.len() < 64 {
            self.accounts.push(new.clone());
        }
        new
    }

    fn entry(&mut self, seq: u64) -> Option<&mut Entry> {
        let newest_first = usize::try_from(self.next_seq.checked_sub(seq)?).ok()?;
        let index = self.ring.len().checked_sub(newest_first)?;
        self.ring.get_mut(index)
    }

    /// A fault rule hit the request.
    pub(crate) fn hit(&mut self, seq: u64, rule: Option<Arc<str>>) {
        if let Some(entry) = self.entry(seq) {
            entry.fault = rule;
        }
    }

    /// The vendor executed the request.
    pub(crate) fn executed(&mut self, seq: u64, endpoint: &'static str) {
        if let Some(entry) = self.entry(seq) {
            entry.executed = true;
        }
        self.counters.entry(endpoint).or_default().executed += 1;
    }

    /// The request is over: a status, or none if the connection was closed.
    pub(crate) fn answered(&mut self, seq: u64, endpoint: &'static str, status: Option<u16>) {
        if let Some(entry) = self.entry(seq) {
            entry.status = Some(status.unwrap_or(0));
        }
        let key = status.map_or_else(|| "closed".to_owned(), |s| s.to_string());
        *self.counters.entry(endpoint).or_default().by_status.entry(key).or_default() += 1;
    }

    /// Forgets the log and the counters; numbers and time go on.
    pub(crate) fn clear(&mut self) {
        self.ring.clear();
        self.counters.clear();
    }

    /// The counters so far.
    pub(crate) fn counters(&self) -> Counters {
        let endpoints = self.counters.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Counters { endpoints }
    }

    /// Entries with a number above `after`, oldest first, at most `limit`.
    pub(crate) fn log(&self, after: u64, limit: usize, endpoint: Option<&str>) -> Vec<LogEntry> {
        let length = u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        let first = self.next_seq.saturating_sub(length);
        let skip = usize::try_from((after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        (first..)
            .zip(&self.ring)
            .skip(skip)
            .filter(|(_, e)| endpoint.is_none_or(|name| name == e.endpoint))
            .take(limit)
            .map(|(seq, e)| LogEntry {
                seq,
                t_ms: millis(e.t),
                endpoint: e.endpoint.to_owned(),
                method: e.method.to_owned(),
                path: e.path.to_string(),
                account: e.account.as_deref().unwrap_or_default().to_owned(),
                status: e.status,
                executed: e.executed,
                fault: e.fault.as_deref().map(str::to_owned),
            })
            .collect()
    }

    /// The most requests in any second, of those that `counts` takes.
    pub(crate) fn worst_second(&self, counts: impl Fn(&'static str) -> bool) -> WorstSecond {
        let mut window: VecDeque<Duration> = VecDeque::new();
        let mut worst = WorstSecond::default();
        for entry in self.ring.iter().filter(|e| counts(e.endpoint)) {
            while window.front().is_some_and(|&t| entry.t.saturating_sub(t).as_secs() >= 1) {
                window.pop_front();
            }
            window.push_back(entry.t);
            if window.len() > worst.requests {
                let from_ms = window.front().map_or(0, |&t| millis(t));
                worst = WorstSecond { requests: window.len(), from_ms };
            }
        }
        worst
    }
}

fn millis(t: Duration) -> u64 {
    u64::try_from(t.as_millis()).unwrap_or(u64::MAX)
}
