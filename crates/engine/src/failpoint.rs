//! Named points at which a test lets a run die: one on each side of every commit that
//! "never twice, never lost" rests on.

use std::fmt;

use futures::future::BoxFuture;

use crate::Engine;

/// A point in the life of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failpoint {
    /// A run was begun or taken up again, with its lease; nothing was done for it yet.
    AfterBegin,
    /// Rows were staged; the file has not been read to its end.
    WhileStaging,
    /// The whole file is staged and planned, and the run can be resumed.
    AfterInputRead,
    /// Permits are in hand; the intents are not committed.
    BeforeIntent,
    /// The intents are committed; nothing of them is sent.
    AfterIntent,
    /// Calls were let go; they may be anywhere between here and the provider.
    InFlight,
    /// Answers came; their outcomes are not committed.
    AfterAnswer,
    /// Outcomes are committed; the rows they are for do not know.
    AfterOutcome,
    /// The provider was read for effects whose outcome is not known; what it showed is not
    /// committed.
    SettlingRead,
    /// What was settled is committed; the rows that wait for it do not know.
    SettlingOutcome,
    /// A quarantine is waited for.
    SettlingWait,
    /// Every effect of a batch of references has its outcome, or waits to be settled; the rows
    /// have none.
    BeforeFinishRows,
    /// The rows of a batch are finished.
    AfterFinishRows,
    /// The run's work is done, and summed up; the run has not ended.
    BeforeEndRun,
}

impl Failpoint {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 14] = [
        Self::AfterBegin,
        Self::WhileStaging,
        Self::AfterInputRead,
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::InFlight,
        Self::AfterAnswer,
        Self::AfterOutcome,
        Self::SettlingRead,
        Self::SettlingOutcome,
        Self::SettlingWait,
        Self::BeforeFinishRows,
        Self::AfterFinishRows,
        Self::BeforeEndRun,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterBegin => "after_begin",
            Self::WhileStaging => "while_staging",
            Self::AfterInputRead => "after_input_read",
            Self::BeforeIntent => "before_intent",
            Self::AfterIntent => "after_intent",
            Self::InFlight => "in_flight",
            Self::AfterAnswer => "after_answer",
            Self::AfterOutcome => "after_outcome",
            Self::SettlingRead => "settling_read",
            Self::SettlingOutcome => "settling_outcome",
            Self::SettlingWait => "settling_wait",
            Self::BeforeFinishRows => "before_finish_rows",
            Self::AfterFinishRows => "after_finish_rows",
            Self::BeforeEndRun => "before_end_run",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.as_str() == name)
    }
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Told when a run comes to a point.
pub trait Failpoints: Send + Sync {
    /// The job goes on when this ends: never, where it is to die here.
    fn reached(&self, point: Failpoint) -> BoxFuture<'_, ()>;
}

impl Engine {
    pub(crate) async fn reached(&self, point: Failpoint) {
        if let Some(failpoints) = &self.failpoints {
            failpoints.reached(point).await;
        }
    }
}
