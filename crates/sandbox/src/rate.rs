//! The vendor's rate limit: a token bucket that can be changed while the sandbox runs.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// A token bucket: a sliding second lets at most `per_second + burst` calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls that become possible in each second; above 0.
    pub per_second: f64,
    /// Calls that can be saved up; at least 1.
    #[serde(default = "one")]
    pub burst: f64,
}

fn one() -> f64 {
    1.0
}

impl Rate {
    /// Whether the two numbers make a bucket that can ever let a call through.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.per_second.is_finite()
            && self.per_second > 0.0
            && self.burst.is_finite()
            && self.burst >= 1.0
    }
}

/// The bucket itself.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Option<Rate>,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket, or no limit at all.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, tokens: rate.map_or(0.0, |r| r.burst), at: Instant::now() }
    }

    /// The limit in force.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Changes the limit. What was saved up stays, cut to the new burst.
    pub(crate) fn set(&mut self, rate: Option<Rate>) {
        self.fill();
        self.tokens = match (self.rate, rate) {
            (Some(_), Some(new)) => self.tokens.min(new.burst),
            (_, new) => new.map_or(0.0, |r| r.burst),
        };
        self.rate = rate;
    }

    fn fill(&mut self) {
        let now = Instant::now();
        if let Some(rate) = self.rate {
            let gone = now.duration_since(self.at).as_secs_f64();
            self.tokens = (self.tokens + gone * rate.per_second).min(rate.burst);
        }
        self.at = now;
    }

    /// Takes one token, or says after how many whole seconds there will be one.
    pub(crate) fn take(&mut self) -> Result<(), u64> {
        self.fill();
        let Some(rate) = self.rate else { return Ok(()) };
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64((1.0 - self.tokens) / rate.per_second)
            .unwrap_or(Duration::MAX);
        Err(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}
