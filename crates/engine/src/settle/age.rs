//! How old unsettled effects are. The database's clock says it once; from then on it is counted
//! by our own monotonic clock, since that one may be set meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::EffectId;
use store::Unsettled;
use tokio::time::Instant;

/// An effect in one of its attempts.
type Attempt = (EffectId, i64);

/// What a process knows of effects that nothing was heard of.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    /// Those that it sent itself, and when.
    sent: BTreeMap<EffectId, Instant>,
    /// When an effect was first looked at, and how old it was then.
    seen: BTreeMap<Attempt, (Instant, Duration)>,
    /// Those that were read for: before the quarantine is over, once is enough.
    read: BTreeSet<Attempt>,
}

fn attempt(one: &Unsettled) -> Attempt {
    (one.record.effect.id.clone(), one.record.effect.attempt)
}

impl Unheard {
    /// Takes in that we sent these, not later than then.
    pub(crate) fn sent(&mut self, effects: impl IntoIterator<Item = EffectId>, at: Instant) {
        self.sent.extend(effects.into_iter().map(|effect| (effect, at)));
    }

    /// Corrects the age of an effect that was loaded just now.
    pub(super) fn correct(&mut self, one: &mut Unsettled, now: Instant) {
        let key = attempt(one);
        if let Some((first, age)) = self.seen.get(&key) {
            one.age = *age + now.duration_since(*first);
            return;
        }
        if let Some(sent) = self.sent.get(&key.0) {
            one.age = now.duration_since(*sent);
        }
        self.seen.insert(key, (now, one.age));
    }

    /// Whether this attempt was read for.
    pub(super) fn was_read(&self, one: &Unsettled) -> bool {
        self.read.contains(&attempt(one))
    }

    /// Takes in that it was.
    pub(super) fn read(&mut self, one: &Unsettled) {
        self.read.insert(attempt(one));
    }
}
