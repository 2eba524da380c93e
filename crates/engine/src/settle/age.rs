//! What a process knows of effects that nothing was heard of: how old they are, and which of them it may
//! send again. The database's clock says an age once; from then on it is counted by our own monotonic
//! clock, since that one may be set meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::EffectId;
use store::{EffectRow, Unsettled};
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
    /// Whether it sends: what may be repeated is left to it, as far as its file wishes it.
    sends: bool,
    /// Those that may be repeated.
    repeatable: BTreeSet<Attempt>,
    /// Those that this process does not repeat, though they might be: they are read for.
    kept: BTreeSet<EffectId>,
}

fn attempt(one: &Unsettled) -> Attempt {
    (one.record.effect.id.clone(), one.record.effect.attempt)
}

impl Unheard {
    /// Of a process that sends.
    pub(crate) fn of_sender() -> Self {
        Self { sends: true, ..Self::default() }
    }

    /// Takes in that we sent these, not later than then.
    pub(crate) fn sent(&mut self, effects: impl IntoIterator<Item = EffectId>, at: Instant) {
        self.sent.extend(effects.into_iter().map(|effect| (effect, at)));
    }

    /// Whether an effect without an answer may be sent once more, instead of being waited for: the
    /// provider makes nothing twice of it.
    pub(crate) fn repeats(&self, effect: &EffectRow) -> bool {
        self.repeatable.contains(&(effect.id.clone(), effect.attempt))
            && !self.kept.contains(&effect.id)
    }

    /// Takes in that this effect is not repeated: it is not what the file wishes now, or what it made is
    /// there.
    pub(crate) fn keep(&mut self, effect: &EffectRow) {
        if self.repeats(effect) {
            self.kept.insert(effect.id.clone());
        }
    }

    /// Takes in that the store lets nothing pass by this effect: it is read for.
    pub(crate) fn hold(&mut self, effect: EffectId) {
        self.kept.insert(effect);
    }

    /// Whether this process may repeat an effect, where the provider makes nothing twice of it.
    pub(super) fn may_repeat(&self, one: &Unsettled) -> bool {
        self.sends && !self.kept.contains(&one.record.effect.id)
    }

    /// Takes in that this attempt may be repeated.
    pub(super) fn repeatable(&mut self, one: &Unsettled) {
        self.repeatable.insert(attempt(one));
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
