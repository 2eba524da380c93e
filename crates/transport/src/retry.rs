//! When a read is made again: how often, after what pause, and out of which budget.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backend::Timing;

/// No read is made more often.
pub(crate) const MOST_ATTEMPTS: u32 = 5;
const BUDGET: u32 = 500;
/// What a retry costs.
pub(crate) const COST: u32 = 5;
/// What a retry after a timeout costs: those are dear to the provider too.
pub(crate) const TIMEOUT_COST: u32 = 10;

/// An account's retries, so that an outage is not multiplied.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<u32>);

impl Budget {
    pub(crate) const fn full() -> Self {
        Self(Mutex::new(BUDGET))
    }

    /// Takes what a retry costs, if it is there.
    pub(crate) fn take(&self, cost: u32) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.checked_sub(cost).map(|rest| *left = rest).is_some()
    }

    /// A success gives back what its last retry cost, or one.
    pub(crate) fn refund(&self, cost: u32) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_add(cost.max(1)).min(BUDGET);
    }
}

/// The pause before retry `n` (from 1), or before the n-th closing of the gate in a row: anywhere
/// between the first backoff and its n-th doubling.
pub(crate) fn backoff(timing: &Timing, n: u32) -> Duration {
    let most = timing.backoff.saturating_mul(1 << n.min(16)).min(timing.backoff_max);
    let least = timing.backoff.min(most);
    least + (most - least).mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let timing = Timing::default();
        for n in 1..40 {
            let pause = backoff(&timing, n);
            let most = timing.backoff.saturating_mul(1 << n.min(16)).min(timing.backoff_max);
            assert!(pause >= timing.backoff && pause <= most, "{n}: {pause:?}");
        }
    }

    #[test]
    fn the_budget_runs_out_and_comes_back() {
        let budget = Budget::full();
        assert_eq!((0..200).filter(|_| budget.take(COST)).count(), 100);
        budget.refund(0);
        assert!(!budget.take(COST));
        budget.refund(COST);
        assert!(budget.take(COST));
        for _ in 0..1000 {
            budget.refund(COST);
        }
        assert_eq!((0..200).filter(|_| budget.take(TIMEOUT_COST)).count(), 50);
    }
}
