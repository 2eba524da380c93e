//! Permission to call: lanes, permits, and the account's own times.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use model::{AccountName, Calls, RunId};
use tokio::time::Instant;

/// Whose turn comes first. A lower lane waits, and is never starved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody was told of a change and waits for us to read it.
    Event,
    /// A person waits.
    Interactive,
    /// A schedule.
    Scheduled,
    /// Everything large.
    Bulk,
}

impl Lane {
    /// All lanes, the first in line first.
    pub const ALL: [Self; 4] = [Self::Event, Self::Interactive, Self::Scheduled, Self::Bulk];

    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Interactive => "interactive",
            Self::Scheduled => "scheduled",
            Self::Bulk => "bulk",
        }
    }
}

/// What goes with every call.
#[derive(Debug, Clone)]
pub struct CallCtx {
    /// Its lane.
    pub lane: Lane,
    /// The run it belongs to; none for `check`.
    pub run: Option<RunId>,
    /// No retry begins after this.
    pub deadline: Option<Instant>,
    /// The key to send with a changing call, where the provider takes one.
    pub idempotency_key: Option<String>,
}

impl CallCtx {
    /// A call in a lane, for no run in particular.
    #[must_use]
    pub const fn in_lane(lane: Lane) -> Self {
        Self { lane, run: None, deadline: None, idempotency_key: None }
    }

    /// The same for a run.
    #[must_use]
    pub fn for_run(lane: Lane, run: &RunId) -> Self {
        Self { run: Some(run.clone()), ..Self::in_lane(lane) }
    }
}

/// The place that a permit holds in its account's pacing; given back when dropped.
pub trait Slot: Send + Sync + fmt::Debug {
    /// The number of the permit, counted up for each account and process.
    fn number(&self) -> u64;
}

/// The right to make one changing call until [`Permit::send_by`]. Not `Clone`: whoever sends
/// consumes it.
#[derive(Debug)]
pub struct Permit {
    slot: Box<dyn Slot>,
    send_by: Instant,
}

impl Permit {
    /// Made by [`Traffic::reserve`] alone.
    #[must_use]
    pub fn new(slot: Box<dyn Slot>, send_by: Instant) -> Self {
        Self { slot, send_by }
    }

    /// The number of the permit.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.slot.number()
    }

    /// The last moment at which the first byte may leave.
    #[must_use]
    pub const fn send_by(&self) -> Instant {
        self.send_by
    }
}

/// Why no permit could be had.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The credentials could not be refreshed.
    #[error("the account's credentials could not be refreshed")]
    Credentials(#[source] crate::BackendError),
    /// The row that all processes share could not be reached.
    #[error("the account's rate limit could not be reserved in the store")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hands out permits for one account. Credentials are fresh when it answers, so that nothing
/// stands between a committed intent and its first byte.
#[async_trait]
pub trait Traffic: Send + Sync + fmt::Debug {
    /// Waits until at least one and gives up to `most` permits, no more than can be used within
    /// the send window at the account's rate.
    async fn reserve(&self, lane: Lane, most: usize) -> Result<Vec<Permit>, TrafficError>;

    /// How many calls may be in flight at once: how wide the engine should work.
    fn in_flight(&self) -> usize;

    /// How fast the account may be called, as configured, and how long its calls take lately.
    fn limits(&self) -> Limits;
}

/// How fast an account may be called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Calls a second, above zero.
    pub per_second: f64,
    /// So many calls may go at once after a rest.
    pub burst: u32,
    /// Calls under way at once, at least 1.
    pub in_flight: usize,
    /// How long a call takes lately; `None` before this process has made one.
    pub call_takes: Option<Duration>,
}

/// Counts the calls of a run at an account, for its summary.
pub trait CallCounter: Send + Sync + fmt::Debug {
    /// What was counted so far.
    fn calls(&self, account: &AccountName, run: &RunId) -> Calls;
}

/// The account's times, in one value so that tests can scale them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the commit of an intent to the last moment its call may begin.
    pub send_window: Duration,
    /// One call, from the first byte to the last.
    pub timeout: Duration,
    /// The provider's late execution and the lag of its reads.
    pub late: Duration,
    /// After a lost answer, before "it is not there" is believed.
    pub quarantine: Duration,
    /// The first pause before a read is made again.
    pub backoff: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
}

impl Default for Timing {
    /// 3 s, 30 s, 20 s, 60 s, 0.5 s, 30 s.
    fn default() -> Self {
        Self {
            send_window: Duration::from_secs(3),
            timeout: Duration::from_secs(30),
            late: Duration::from_secs(20),
            quarantine: Duration::from_secs(60),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }
}
