//! The token bucket that every process shares: the arithmetic on the row of `traffic`, pure.
//!
//! `tat` (theoretical arrival time) is when the next permit may be used: a lease moves it on by
//! what it takes. All times are microseconds of the database's clock; callers get durations.

use std::time::Duration;

use crate::Lease;

const SECOND: i64 = 1_000_000;
/// A `tat` further ahead than this, and than so many permits, with no gate closed, was written by
/// a clock that jumped.
const FAR: i64 = 60 * SECOND;
const FAR_PERMITS: i64 = 256;
/// Of a million: the whole rate, the least that cuts leave of it, what a second without a cut
/// gives back.
const WHOLE: i64 = 1_000_000;
const FLOOR: i64 = 100_000;
const GROWTH: i64 = 10_000;

/// A row of `traffic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub tat: i64,
    pub gate_until: i64,
    pub epoch: i64,
    /// The share of the rate that the last cut left, in millionths.
    pub factor_ppm: i64,
    pub last_cut: i64,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

impl Bucket {
    /// The row of an account that was never called.
    pub(crate) const fn new(now: i64) -> Self {
        Self { tat: now, gate_until: 0, epoch: 1, factor_ppm: WHOLE, last_cut: 0 }
    }

    /// The share of the rate in force: what the last cut left, and what has grown back since.
    fn factor(&self, now: i64) -> i64 {
        let since = now.saturating_sub(self.last_cut).max(0);
        let grown = (since / SECOND).saturating_mul(GROWTH);
        self.factor_ppm.saturating_add(grown).clamp(FLOOR, WHOLE)
    }

    /// Where the clock was set back since the last cut, the pause that came with it begins anew by
    /// the clock that counts now; else it would last until that clock has caught up.
    fn follow_clock(&mut self, now: i64) {
        let back = self.last_cut.saturating_sub(now).max(0);
        self.last_cut -= back;
        self.gate_until -= back;
        self.tat -= back;
    }

    /// Takes permits, at least one.
    pub(crate) fn lease(&mut self, now: i64, per_second: f64, want: u32) -> Lease {
        self.follow_clock(now);
        let share = f64::from(u32::try_from(self.factor(now)).unwrap_or(0)) / 1e6;
        // A rate that is no rate is one permit in a quarter of an hour.
        let rate = if per_second.is_finite() { per_second * share } else { 0.0 }.max(0.001);
        let exact = Duration::try_from_secs_f64(rate.recip()).unwrap_or(Duration::from_secs(1_000));
        // Rounded up: never faster than the rate.
        let spacing = i64::try_from(exact.as_nanos().div_ceil(1_000)).unwrap_or(FAR).max(1);
        let granted = want.max(1);
        let far = spacing.saturating_mul(FAR_PERMITS).max(FAR);
        if self.gate_until <= now && self.tat > now.saturating_add(far) {
            self.tat = now;
        }
        let start = self.tat.max(now).max(self.gate_until);
        self.tat = start.saturating_add(spacing.saturating_mul(i64::from(granted)));
        Lease {
            granted,
            wait: duration(start.saturating_sub(now)),
            spacing: duration(spacing),
            epoch: self.epoch,
        }
    }

    /// Closes the gate, voids the leases, and cuts the rate, once in a second at most.
    pub(crate) fn close_gate(&mut self, now: i64, pause: Duration) {
        self.follow_clock(now);
        let until = now.saturating_add(micros(pause));
        // A second, shorter pause does not open a gate that is closed for longer.
        self.gate_until = self.gate_until.max(until);
        self.tat = self.tat.max(until);
        self.epoch += 1;
        if now.saturating_sub(self.last_cut) >= SECOND {
            self.factor_ppm = (self.factor(now) * 7 / 10).max(FLOOR);
            self.last_cut = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000 * SECOND;

    #[test]
    fn leases_follow_each_other_at_the_rate() {
        let mut bucket = Bucket::new(NOW);
        let first = bucket.lease(NOW, 100.0, 5);
        assert_eq!((first.granted, first.wait, first.epoch), (5, Duration::ZERO, 1));
        assert_eq!(first.spacing, Duration::from_millis(10));
        assert_eq!(bucket.lease(NOW, 100.0, 1).wait, Duration::from_millis(50));
        // Idle time is not saved up.
        assert_eq!(bucket.lease(NOW + SECOND, 100.0, 1).wait, Duration::ZERO);
        assert_eq!(bucket.lease(NOW + SECOND, 100.0, 0).granted, 1);
    }

    #[test]
    fn a_closed_gate_delays_and_cuts_once_a_second() {
        let mut bucket = Bucket::new(NOW);
        bucket.close_gate(NOW, Duration::from_secs(5));
        bucket.close_gate(NOW + SECOND / 2, Duration::from_secs(1));
        assert_eq!(bucket.factor_ppm, 700_000);
        let lease = bucket.lease(NOW + SECOND, 70.0, 1);
        assert_eq!(lease.wait, Duration::from_secs(4));
        assert_eq!(lease.epoch, 3);
        bucket.close_gate(NOW + 2 * SECOND, Duration::from_secs(1));
        assert_eq!(bucket.factor_ppm, 504_000);
        for second in 3..60 {
            bucket.close_gate(NOW + second * SECOND, Duration::ZERO);
        }
        assert_eq!(bucket.factor_ppm, FLOOR);
    }

    #[test]
    fn the_rate_grows_back_to_the_whole() {
        let mut bucket = Bucket::new(NOW);
        bucket.close_gate(NOW, Duration::ZERO);
        assert_eq!(bucket.lease(NOW + 10 * SECOND, 1000.0, 1).spacing, Duration::from_micros(1250));
        assert_eq!(bucket.lease(NOW + 60 * SECOND, 1000.0, 1).spacing, Duration::from_millis(1));
    }

    #[test]
    fn a_clock_that_jumped_does_not_stop_the_account() {
        let mut bucket = Bucket::new(NOW + 3600 * SECOND);
        // Neither does a queue of a slow account count as a jump.
        let mut slow = Bucket::new(NOW + 75 * SECOND);
        assert_eq!(slow.lease(NOW, 1.0 / 3.0, 1).wait, Duration::from_secs(75));
        assert_eq!(bucket.lease(NOW, 10.0, 1).wait, Duration::ZERO);
        // A gate that is closed for an hour is meant.
        let mut bucket = Bucket::new(NOW);
        bucket.close_gate(NOW, Duration::from_secs(3600));
        assert_eq!(bucket.lease(NOW, 10.0, 1).wait, Duration::from_secs(3600));
        // One that a clock closed that is set back since begins anew, and lasts no longer.
        let mut bucket = Bucket::new(NOW + 3600 * SECOND);
        bucket.close_gate(NOW + 3600 * SECOND, Duration::from_secs(5));
        assert_eq!(bucket.lease(NOW, 10.0, 1).wait, Duration::from_secs(5));
        let wait = bucket.lease(NOW + SECOND, 10.0, 1).wait.as_millis();
        assert!((4000..4200).contains(&wait), "{wait}");
        bucket.close_gate(NOW, Duration::from_secs(2));
        let wait = bucket.lease(NOW, 10.0, 1).wait.as_millis();
        assert!((4000..5500).contains(&wait), "{wait}");
    }

    #[test]
    fn a_rate_that_is_none_still_answers() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let lease = Bucket::new(NOW).lease(NOW, rate, 1);
            assert_eq!(lease.granted, 1);
            assert!(lease.spacing >= Duration::from_secs(100));
        }
    }
}
