//! The account's gate: closed while the provider wants to be left alone.

use std::time::Duration;

use backend::Timing;
use tokio::time::Instant;

use crate::retry;

/// A closed gate that is closed longer by less than this is not worth telling others of.
const WORTH_TELLING: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Gate {
    until: Option<Instant>,
    closed: Option<Instant>,
    streak: u32,
}

impl Gate {
    /// When it opens; `None` when it is open.
    pub(super) fn opens(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Closes it because of a call that began then: for as long as was asked, else for a backoff
    /// that grows with each episode. Calls that were under way when it closed belong to the same
    /// episode. The pause, if the other processes are to be told.
    pub(super) fn close(
        &mut self,
        began: Instant,
        asked: Option<Duration>,
        timing: &Timing,
    ) -> Option<Duration> {
        let now = Instant::now();
        let same = self.closed.is_some_and(|closed| began <= closed);
        let pause = match asked {
            Some(pause) => pause,
            None if same => return None,
            None => {
                self.streak += 1;
                retry::backoff(timing, self.streak)
            }
        };
        let until = now + pause;
        let longer = self.until.is_none_or(|before| until >= before + WORTH_TELLING);
        if self.until.is_none_or(|before| before < until) {
            self.until = Some(until);
        }
        if same && !longer {
            return None;
        }
        self.closed = Some(now);
        Some(pause)
    }

    /// A call that began after it closed was answered well.
    pub(super) fn succeeded(&mut self, began: Instant) {
        if self.closed.is_none_or(|closed| began > closed) {
            self.streak = 0;
        }
    }
}
