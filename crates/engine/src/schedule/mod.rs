//! Schedules: which slots are due, and which of them this process starts.
//!
//! An alarm only makes us ask ([`Scheduler::tick`]); what is due follows from the cron line and from
//! what the store has decided so far, and the store lets one process alone start a slot. So it does
//! not matter how often anybody asks, or how many processes do.

mod alarm;
mod when;

use std::time::Duration;

use model::Timestamp;
use sha2::{Digest as _, Sha256};
use store::{
    DueSlots, Fire, FireState, Left, Owner, ScheduleRow, SkipReason, Store, StoreError, Taken,
};
use tracing::{info, warn};

pub use alarm::Alarm;
pub use when::{BadWhen, When};

/// How long a process may be silent before its work on a slot is somebody else's.
pub const FIRE_LEASE: Duration = Duration::from_secs(60);
/// How late a slot may be found that is not made up if it was missed.
const ON_TIME: Duration = Duration::from_secs(60);
/// How often it is looked whether a process left something unfinished.
const LOOK: Duration = Duration::from_secs(10);
/// A job whose process dies as often as this with it is not begun again for the same slot.
const ATTEMPTS: i64 = 3;

/// A schedule of the configuration.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When it is due.
    pub when: When,
    /// Whether what was missed is made up, once.
    pub makes_up: bool,
    /// Each slot starts up to this much later.
    pub jitter: Duration,
}

impl Schedule {
    /// When a slot starts: the same in every process of a store.
    fn starts(&self, store: &dyn Store, slot: Timestamp) -> Timestamp {
        let micros = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        if micros == 0 {
            return slot;
        }
        let mut hash = Sha256::new();
        hash.update(store.keys().statement_hash("jitter", &self.name));
        hash.update(slot.micros().to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        let drawn = u64::from_le_bytes([a, b, c, d, e, f, g, h]) % micros;
        slot.plus(Duration::from_micros(drawn))
    }

    /// Since when a schedule is overdue, if it is: two slots in a row have passed without a good run.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn overdue_since(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let first = match store.schedules().last_good(&self.name).await? {
            Some(good) => self.when.next(good.slot),
            None => store.schedules().first_slot(&self.name).await?,
        };
        let Some(second) = first.and_then(|first| self.when.next(first)) else { return Ok(None) };
        let since = self.starts(store, second).plus(ON_TIME);
        Ok((since <= now).then_some(since))
    }

    /// The first slot after a time, and when it starts.
    #[must_use]
    pub fn next(&self, store: &dyn Store, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.when.next(after).map(|slot| (slot, self.starts(store, slot)))
    }

    /// How long it is from the slot that comes next to the one behind it.
    #[must_use]
    pub fn interval(&self, now: Timestamp) -> Option<Duration> {
        let next = self.when.next(now)?;
        Some(self.when.next(next)?.since(next))
    }

    /// What is due now, behind the last slot that was decided; and when to ask again.
    fn due(
        &self,
        store: &dyn Store,
        last: Timestamp,
        now: Timestamp,
    ) -> (Option<DueSlots>, Option<Timestamp>) {
        let mut slots = self.when.between(last, now);
        while slots.last().is_some_and(|slot| self.starts(store, *slot) > now) {
            slots.pop();
        }
        let Some(latest) = slots.last().copied() else {
            let next = self.when.next(last).map(|slot| self.starts(store, slot));
            return (None, next);
        };
        let start =
            (self.makes_up || now.since(self.starts(store, latest)) <= ON_TIME).then(|| {
                slots.pop();
                latest
            });
        let schedule = self.name.clone();
        (Some(DueSlots { schedule, after: last, missed: slots, start }), None)
    }
}

/// A schedule, and what of it is known without asking the store.
#[derive(Debug)]
struct Known {
    schedule: Schedule,
    /// The last slot that was decided.
    last: Timestamp,
    /// Nothing is due before this.
    next: Option<Timestamp>,
}

/// What a tick found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticked {
    /// This slot is ours to work on, from now on.
    Start(Fire),
    /// A slot was not started.
    Skipped {
        /// The schedule.
        schedule: String,
        /// Why.
        reason: SkipReason,
    },
    /// A slot whose process was gone again and again is not begun any more.
    Lost {
        /// The schedule.
        schedule: String,
        /// The slot.
        slot: Timestamp,
    },
}

/// Asks which slots are due, and takes them.
#[derive(Debug)]
pub struct Scheduler {
    known: Vec<Known>,
    owner: Owner,
    looked: Option<Timestamp>,
}

impl Scheduler {
    /// Writes the schedules down in the store, and begins where it stands.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn new(
        store: &dyn Store,
        schedules: Vec<Schedule>,
        owner: Owner,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let rows = know(store, schedules.iter(), now).await?;
        let known = schedules.into_iter().zip(rows).map(|(schedule, row)| Known {
            schedule,
            last: row.last_slot,
            next: None,
        });
        Ok(Self { known: known.collect(), owner, looked: None })
    }

    /// Takes what is due at this time.
    ///
    /// # Errors
    /// When the store cannot be reached. What was taken before that is in the store, and is taken up
    /// again by a later tick once its lease is over.
    pub async fn tick(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Vec<Ticked>, StoreError> {
        let mut ticked = Vec::new();
        // A clock that was set back does not keep us from looking.
        let looks = self.looked.is_none_or(|at| now < at || now.since(at) >= LOOK);
        for known in &mut self.known {
            if let Some(due) = known.due(store, now) {
                ticked.extend(known.take(store, &due, &self.owner, now).await?);
            } else if looks {
                ticked.extend(known.left(store, &self.owner, now).await?);
            }
        }
        if looks {
            self.looked = Some(now);
        }
        Ok(ticked)
    }
}

impl Known {
    fn due(&mut self, store: &dyn Store, now: Timestamp) -> Option<DueSlots> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let (due, next) = self.schedule.due(store, self.last, now);
        self.next = next;
        due
    }

    async fn take(
        &mut self,
        store: &dyn Store,
        due: &DueSlots,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Option<Ticked>, StoreError> {
        let name = &self.schedule.name;
        let taken = store.schedules().take_slots(due, owner, FIRE_LEASE, now).await?;
        self.next = None;
        if let Taken::Elsewhere = taken {
            let rows = know(store, std::iter::once(&self.schedule), now).await?;
            if let Some(row) = rows.into_iter().next() {
                self.last = row.last_slot;
            }
            return Ok(None);
        }
        self.last = due.missed.iter().copied().chain(due.start).max().unwrap_or(self.last);
        if !due.missed.is_empty() {
            warn!(schedule = name, slots = due.missed.len(), "nothing ran when these were due");
        }
        Ok(Some(match taken {
            Taken::Started(fire) => {
                let late = now.since(fire.slot).as_secs();
                info!(schedule = name, slot = %fire.slot, late_seconds = late, "a slot is due");
                Ticked::Start(fire)
            }
            Taken::Skipped(reason) => {
                let slot = self.last;
                warn!(schedule = name, %slot, reason = reason.as_str(), "a slot is skipped");
                Ticked::Skipped { schedule: name.clone(), reason }
            }
            Taken::Elsewhere => return Ok(None),
        }))
    }

    /// What a process that is gone, or was asked to stop, has left of the last slot.
    async fn left(
        &self,
        store: &dyn Store,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Option<Ticked>, StoreError> {
        let (name, schedules) = (&self.schedule.name, store.schedules());
        let unfinished = schedules.fires(name, NEAR).await?.into_iter().any(|row| {
            row.state == FireState::Stopped || (row.state == FireState::Running && !row.alive)
        });
        if !unfinished || !self.schedule.makes_up {
            return Ok(None);
        }
        Ok(match schedules.take_up_again(name, owner, FIRE_LEASE, ATTEMPTS, now).await? {
            Left::Nothing => None,
            Left::TakenUp(fire) => {
                let (slot, attempt) = (fire.slot, fire.attempt);
                info!(schedule = name, %slot, attempt, "an unfinished slot is taken up again");
                Some(Ticked::Start(fire))
            }
            Left::GivenUp(slot) => {
                warn!(schedule = name, %slot, "a slot is lost: its process was gone each time");
                Some(Ticked::Lost { schedule: name.clone(), slot })
            }
        })
    }
}

/// Where the slot may be that was begun last, behind some that were skipped.
const NEAR: u32 = 20;

async fn know(
    store: &dyn Store,
    schedules: impl Iterator<Item = &Schedule> + Send,
    now: Timestamp,
) -> Result<Vec<ScheduleRow>, StoreError> {
    let lines: Vec<(String, String)> = schedules
        .map(|schedule| (schedule.name.clone(), schedule.when.as_str().to_owned()))
        .collect();
    store.schedules().know_schedules(&lines, now).await
}
