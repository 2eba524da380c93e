//! The one limiter of an account, which no call goes around.
//!
//! Slots are leased from the [`PermitSource`] in small batches, for callers that exist, and each
//! is used when it is due: by the caller of the highest lane, when a place in flight is free and
//! governor (the hard ceiling of this process) agrees. Tickets are promises of slots for changing
//! calls: no more are out than can be used within the send window.
//!
//! A task drives it while somebody waits and ends when nobody does.

mod gate;
mod lanes;
mod state;

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backend::{Lane, Slot, Timing};
use model::AccountName;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use self::state::{Reserver, State};
use crate::{Lease, PermitSource, PermitSourceError, Rate};

/// Why there is no slot: the source failed. Shared, because it fails everybody who waits.
pub(crate) type NoSlot = Arc<PermitSourceError>;

#[derive(Debug)]
pub(crate) struct Pacer {
    account: AccountName,
    timing: Timing,
    source: Arc<dyn PermitSource>,
    state: Mutex<State>,
    changed: Notify,
    numbers: AtomicU64,
}

/// A place among the calls in flight, with a slot used up for it. Given back when dropped.
pub(crate) struct Place {
    pacer: Arc<Pacer>,
    since: Instant,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pacer.lock().done(self.since.elapsed());
        self.pacer.changed.notify_one();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// The promise of a slot. Given back when dropped.
pub(crate) struct Ticket {
    pacer: Arc<Pacer>,
    number: u64,
}

impl Slot for Ticket {
    fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pacer.lock().tickets -= 1;
        self.pacer.changed.notify_one();
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({})", self.number)
    }
}

impl Pacer {
    pub(crate) fn new(
        account: AccountName,
        timing: Timing,
        rate: &Rate,
        source: Arc<dyn PermitSource>,
    ) -> Arc<Self> {
        Arc::new(Self {
            account,
            timing,
            source,
            state: Mutex::new(State::new(rate, &timing)),
            changed: Notify::new(),
            numbers: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a call takes lately; `None` before the first has ended.
    pub(crate) fn call_takes(&self) -> Option<Duration> {
        self.lock().observed()
    }

    /// The number of a permit: each is given once.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// When the gate opens; `None` when it is open.
    pub(crate) fn gate_opens(&self) -> Option<Instant> {
        self.lock().gate.opens(Instant::now())
    }

    /// Waits for a slot and a place.
    pub(crate) async fn acquire(self: &Arc<Self>, lane: Lane) -> Result<Place, NoSlot> {
        loop {
            let (tell, told) = oneshot::channel();
            self.enqueue(|state| state.callers.push(lane, tell));
            let place = told.await.unwrap_or_else(|_| Err(stopped()))?;
            // The gate may have closed between the driver's word and this task's turn.
            if self.gate_opens().is_none() {
                return Ok(place);
            }
        }
    }

    /// Waits for at least one ticket.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        lane: Lane,
        most: usize,
    ) -> Result<Vec<Ticket>, NoSlot> {
        let failed = {
            let state = self.lock();
            state.source_failed.then_some(state.generation)
        };
        if let Some(generation) = failed {
            // A promise on a source that failed is worth nothing: it must give one first.
            let lease = self.source.lease(&self.account, 1).await.map_err(Arc::new)?;
            self.lock().leased(lease, generation);
        }
        let (tell, told) = oneshot::channel();
        self.enqueue(|state| state.reservers.push(lane, Reserver { most, tell }));
        told.await.map_err(|_| stopped())
    }

    /// The provider answered a call that began then with 429 or 503. Everybody waits from now on.
    pub(crate) fn close_gate(self: &Arc<Self>, began: Instant, asked: Option<Duration>) {
        let tell = {
            let mut state = self.lock();
            state.void();
            state.gate.close(began, asked, &self.timing)
        };
        self.changed.notify_one();
        let Some(pause) = tell else { return };
        let pacer = Arc::clone(self);
        // Not in the way of the answer, and not lost when whoever called goes away.
        tokio::spawn(async move {
            if let Err(error) = pacer.source.close_gate(&pacer.account, pause).await {
                tracing::warn!(
                    target: "onfile::calls",
                    account = pacer.account.as_str(),
                    %error,
                    "cannot tell the other processes to pause"
                );
            }
        });
    }

    /// A call that began then was answered, and not with 429 or a 5xx.
    pub(crate) fn succeeded(&self, began: Instant) {
        self.lock().gate.succeeded(began);
    }

    fn enqueue(self: &Arc<Self>, push: impl FnOnce(&mut State)) {
        let start = {
            let mut state = self.lock();
            push(&mut state);
            !std::mem::replace(&mut state.driving, true)
        };
        if start {
            let driving = Driving(Arc::clone(self));
            tokio::spawn(async move { driving.0.drive().await });
        } else {
            self.changed.notify_one();
        }
    }

    async fn drive(self: &Arc<Self>) {
        let mut asking = None;
        loop {
            let step = {
                let mut state = self.lock();
                let step = state.step(asking.is_some());
                if step.idle && asking.is_none() {
                    state.driving = false;
                }
                if step.want > 0 {
                    let lease = self.source.lease(&self.account, step.want);
                    asking = Some((state.generation, lease));
                }
                step
            };
            // Outside the lock: who does not listen any more gives back at once.
            for caller in step.callers {
                let place = Place { pacer: Arc::clone(self), since: Instant::now() };
                let _gone = caller.send(Ok(place));
            }
            for (reserver, given) in step.reservers {
                let ticket = || Ticket { pacer: Arc::clone(self), number: self.number() };
                let _gone = reserver.tell.send((0..given).map(|_| ticket()).collect());
            }
            if step.idle && asking.is_none() {
                return;
            }
            tokio::select! {
                biased;
                lease = answer(&mut asking) => {
                    let generation = asking.take().map_or(0, |(generation, _)| generation);
                    self.answered(generation, lease);
                }
                () = self.changed.notified() => {}
                () = wake(step.wake) => {}
            }
        }
    }

    fn answered(&self, generation: u64, lease: Result<Lease, PermitSourceError>) {
        let failed = match lease {
            Ok(lease) => {
                self.lock().leased(lease, generation);
                return;
            }
            Err(error) => Arc::new(error),
        };
        let callers = {
            let mut state = self.lock();
            state.source_failed = true;
            state.callers.drain()
        };
        for caller in callers {
            let _gone = caller.send(Err(Arc::clone(&failed)));
        }
    }
}

/// A driving task that panics (in a source, say) leaves nobody waiting for ever.
struct Driving(Arc<Pacer>);

impl Drop for Driving {
    fn drop(&mut self) {
        // A task that ended by itself has said so already, and another may drive by now.
        if !std::thread::panicking() {
            return;
        }
        let waiting = {
            let mut state = self.0.lock();
            state.driving = false;
            (state.callers.drain(), state.reservers.drain())
        };
        drop(waiting);
    }
}

fn stopped() -> NoSlot {
    Arc::new(PermitSourceError::new("the process is stopping"))
}

async fn answer<F>(asking: &mut Option<(u64, F)>) -> Result<Lease, PermitSourceError>
where
    F: Future<Output = Result<Lease, PermitSourceError>> + Unpin,
{
    match asking {
        Some((_, lease)) => lease.await,
        None => pending().await,
    }
}

/// Sleeps until there is something to do. tokio's timer is late by up to a millisecond, which a
/// bucket of one never forgives; so where it matters the last of it is spent yielding.
async fn wake(at: Option<(Instant, bool)>) {
    let Some((at, exact)) = at else { return pending().await };
    if exact && let Some(early) = at.checked_sub(Duration::from_millis(1)) {
        sleep_until(early).await;
        let mut last = Instant::now();
        let mut stood = 0;
        // Under paused time yielding goes nowhere: then it sleeps after all.
        while last < at && stood < 100 {
            yield_now().await;
            let now = Instant::now();
            stood = if now == last { stood + 1 } else { 0 };
            last = now;
        }
        // A sleep of nothing is still a tick.
        if last >= at {
            return;
        }
    }
    sleep_until(at).await;
}
