//! The pacer's state and its one step, without any waiting.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use backend::Timing;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::gate::Gate;
use super::lanes::Lanes;
use crate::{Lease, PermitSourceError, Rate};

/// A slot that is later than this (a pause of the process, no free place) is dropped, not caught
/// up.
const TOO_LATE: Duration = Duration::from_secs(1);
/// Permits are leased for so long a time.
const LEASE: Duration = Duration::from_millis(50);
/// Until a source that gave nothing is asked again, at least.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// What a first call is thought to take, for the number of tickets.
const GUESSED_CALL: Duration = Duration::from_millis(250);

/// governor's clock, on tokio's time: tests can pause it.
#[derive(Debug, Clone)]
pub(super) struct PacerClock(Instant);

impl Clock for PacerClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Ceiling = RateLimiter<NotKeyed, InMemoryState, PacerClock, NoOpMiddleware<Duration>>;

/// Told that its slot is there: a place in flight is taken for it already.
pub(super) type Caller = oneshot::Sender<Result<super::Place, Arc<PermitSourceError>>>;

/// Waits for tickets, at most so many.
#[derive(Debug)]
pub(super) struct Reserver {
    pub(super) most: usize,
    pub(super) tell: oneshot::Sender<Vec<super::Ticket>>,
}

/// What is to be done outside the lock.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) callers: Vec<Caller>,
    pub(super) reservers: Vec<(Reserver, usize)>,
    /// How many permits to lease now.
    pub(super) want: u32,
    /// When there is something to do next, and whether a millisecond matters.
    pub(super) wake: Option<(Instant, bool)>,
    /// Nobody waits.
    pub(super) idle: bool,
}

#[derive(Debug)]
pub(super) struct State {
    in_flight_most: usize,
    nominal: Duration,
    horizon: Duration,
    batch: usize,
    /// Whether the bucket gives no room for a late timer.
    strict: bool,
    ceiling: Ceiling,
    clock: PacerClock,
    pub(super) gate: Gate,
    /// Until then no ticket could be used: another process closed the gate, or the rate is slow.
    away: Option<Instant>,
    slots: VecDeque<Instant>,
    epoch: Option<i64>,
    /// Counted up when the gate closes: a lease asked for before is void.
    pub(super) generation: u64,
    spacing: Duration,
    ask_again: Option<Instant>,
    pub(super) source_failed: bool,
    pub(super) callers: Lanes<Caller>,
    pub(super) reservers: Lanes<Reserver>,
    pub(super) in_flight: usize,
    pub(super) tickets: usize,
    pub(super) driving: bool,
    last_grant: Option<Instant>,
    /// The time between two calls as it is lately when calls queue.
    interval: Duration,
    /// How long a call takes lately; a guess before the first has ended.
    call_takes: Duration,
    /// The same without the guess.
    observed: Option<Duration>,
}

impl State {
    pub(super) fn new(rate: &Rate, timing: &Timing) -> Self {
        let nominal = rate.spacing().max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        // The period is above zero, so the quota exists.
        let quota = Quota::with_period(nominal)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = PacerClock(Instant::now());
        Self {
            in_flight_most: rate.in_flight.max(1),
            nominal,
            // Two of the three seconds; the third is for the commit and for others.
            horizon: timing.send_window.mul_f64(2.0 / 3.0),
            batch: usize::try_from(LEASE.as_nanos().div_ceil(nominal.as_nanos())).unwrap_or(1),
            strict: nominal * (rate.burst.max(1) - 1) < Duration::from_millis(2),
            ceiling: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            gate: Gate::default(),
            away: None,
            slots: VecDeque::new(),
            epoch: None,
            generation: 0,
            spacing: nominal,
            ask_again: None,
            source_failed: false,
            callers: Lanes::default(),
            reservers: Lanes::default(),
            in_flight: 0,
            tickets: 0,
            driving: false,
            last_grant: None,
            interval: nominal,
            call_takes: GUESSED_CALL,
            observed: None,
        }
    }

    /// Everything that can be done now, and when to come back. `asking` says that a lease is
    /// under way.
    pub(super) fn step(&mut self, asking: bool) -> Step {
        let now = Instant::now();
        let mut step = Step::default();
        self.callers.retain(|caller| !caller.is_closed());
        self.reservers.retain(|reserver| !reserver.tell.is_closed());
        if let Some(at) = self.gate.opens(now) {
            step.wake = Some((at, false));
        } else {
            self.give_tickets(now, &mut step);
            self.give_slots(now, &mut step);
            if !asking {
                self.lease(now, &mut step);
            }
        }
        step.idle = self.callers.is_empty() && self.reservers.is_empty();
        step
    }

    fn give_tickets(&mut self, now: Instant, step: &mut Step) {
        if let Some(at) = self.away.filter(|at| *at > now) {
            if !self.reservers.is_empty() {
                step.come_back(at, false);
            }
            return;
        }
        let places = u32::try_from(self.in_flight_most).unwrap_or(u32::MAX);
        let each = self.spacing.max(self.interval).max(self.call_takes / places);
        let usable = self.horizon.as_nanos() / each.as_nanos().max(1);
        let most = usize::try_from(usable).unwrap_or(usize::MAX).max(1);
        while self.tickets < most
            && let Some(reserver) = self.reservers.pick()
        {
            let given = reserver.most.min(most - self.tickets);
            self.tickets += given;
            step.reservers.push((reserver, given));
        }
    }

    fn give_slots(&mut self, now: Instant, step: &mut Step) {
        while self.slots.front().is_some_and(|due| *due + TOO_LATE < now) {
            self.slots.pop_front();
        }
        while self.in_flight < self.in_flight_most && !self.callers.is_empty() {
            let Some(due) = self.slots.front() else { break };
            if *due > now {
                step.come_back(*due, self.strict);
                break;
            }
            if let Err(until) = self.ceiling.check() {
                let wait = until.wait_time_from(self.clock.now());
                step.come_back(now + wait, self.strict);
                break;
            }
            let Some(caller) = self.callers.pick() else { break };
            self.slots.pop_front();
            self.in_flight += 1;
            self.measure(now);
            step.callers.push(caller);
        }
    }

    fn lease(&mut self, now: Instant, step: &mut Step) {
        let wanted =
            self.callers.len().min(self.in_flight_most - self.in_flight.min(self.in_flight_most));
        if wanted <= self.slots.len() || self.slots.len() > self.batch / 2 {
            return;
        }
        if let Some(at) = self.ask_again.filter(|at| *at > now) {
            step.come_back(at, false);
            return;
        }
        // Who takes all there is and queues for more takes as much again: one lease instead of many.
        let steady = self.slots.is_empty() && self.last_grant.is_some();
        let most = self.batch.max(1);
        let want = if steady { most } else { (wanted - self.slots.len()).min(most) };
        step.want = u32::try_from(want).unwrap_or(1);
    }

    /// A lease came.
    pub(super) fn leased(&mut self, lease: Lease, generation: u64) {
        self.source_failed = false;
        if generation != self.generation {
            return;
        }
        let now = Instant::now();
        if self.epoch != Some(lease.epoch) {
            self.slots.clear();
            self.epoch = Some(lease.epoch);
        }
        let wait = lease.wait.min(crate::retry_after::LONGEST);
        self.away = (wait > self.horizon).then(|| now + wait - self.horizon / 2);
        if lease.granted == 0 {
            self.ask_again = Some(now + wait.max(ASK_AGAIN));
            return;
        }
        let spacing = lease.spacing.min(crate::retry_after::LONGEST);
        if !spacing.is_zero() {
            self.spacing = spacing;
        }
        let slots = (0..lease.granted.min(1000)).map(|i| now + wait + spacing * i);
        self.slots.extend(slots);
    }

    /// The gate closed: nothing leased before is valid.
    pub(super) fn void(&mut self) {
        self.generation += 1;
        self.slots.clear();
        self.last_grant = None;
    }

    fn measure(&mut self, now: Instant) {
        // The caller who got this slot is not counted any more: whoever else waits queues.
        let queued = !self.callers.is_empty();
        let sample = match self.last_grant {
            Some(last) => (now - last).min(self.horizon),
            None => self.nominal,
        };
        self.last_grant = queued.then_some(now);
        if self.spacing > self.horizon {
            self.away = Some(now + self.spacing - self.horizon / 2);
        }
        self.interval = lately(self.interval, sample);
    }

    /// A call is over: its place is free.
    pub(super) fn done(&mut self, took: Duration) {
        self.in_flight -= 1;
        self.call_takes = lately(self.call_takes, took);
        self.observed = Some(self.observed.map_or(took, |before| lately(before, took)));
    }

    /// How long a call takes lately; `None` before the first has ended.
    pub(super) const fn observed(&self) -> Option<Duration> {
        self.observed
    }
}

fn lately(before: Duration, sample: Duration) -> Duration {
    before.mul_f64(0.8) + sample.mul_f64(0.2)
}

impl Step {
    fn come_back(&mut self, at: Instant, strict: bool) {
        if self.wake.is_none_or(|(before, _)| at < before) {
            self.wake = Some((at, strict));
        }
    }
}
