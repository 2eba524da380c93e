//! How old unsettled effects are. The database's clock says it once; from then on it is counted
//! by our own monotonic clock, since that one may be set meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use model::EffectId;
use store::Unsettled;
use tokio::time::Instant;

/// When effects were sent that nothing was heard of, by the process that sent them.
pub(crate) type SentAt = BTreeMap<EffectId, Instant>;

/// What is known of the ages of effects.
#[derive(Debug)]
pub(super) struct Ages<'a> {
    ours: &'a SentAt,
    /// By effect and attempt: when it was first looked at, and how old it was then.
    seen: BTreeMap<(EffectId, i64), (Instant, Duration)>,
}

impl<'a> Ages<'a> {
    pub(super) fn new(ours: &'a SentAt) -> Self {
        Self { ours, seen: BTreeMap::new() }
    }

    /// Corrects the age of an effect that was read just now; whether it is looked at for the first
    /// time.
    pub(super) fn correct(&mut self, one: &mut Unsettled, now: Instant) -> bool {
        let effect = &one.record.effect;
        let key = (effect.id.clone(), effect.attempt);
        if let Some((first, age)) = self.seen.get(&key) {
            one.age = *age + now.duration_since(*first);
            return false;
        }
        if let Some(sent) = self.ours.get(&effect.id) {
            one.age = now.duration_since(*sent);
        }
        self.seen.insert(key, (now, one.age));
        true
    }
}
