//! What the journal decides, pure: what stands in the way of intents, and what follows from
//! outcomes. Both databases fetch rows, ask here, and write the answer.

use std::collections::HashMap;
use std::time::Duration;

use model::{
    CustomerId, EffectId, EffectKind, MethodId, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethodId, Timestamp,
};

use crate::canonical::{Key, MethodNews, NewsOfMethod, key_of, to_json};
use crate::{
    Applied, CommittedEffect, EffectOutcome, EffectState, Intent, IntentAnswer, TokenFp, TokenLink,
    Unsettled,
};

/// An open effect that may be in the way.
pub(crate) struct Open {
    pub id: EffectId,
    pub kind: EffectKind,
    pub subject: String,
    pub reference: Option<String>,
    pub state: EffectState,
    /// Whether it is of the same run, part and epoch.
    pub own: bool,
    pub attempt: i64,
    /// Its idempotency key, if it may be used once more: see [`KEY_LIVES`].
    pub key: Option<String>,
    /// What it changes, or the hash of its body, as JSON: see [`Intent::changes`].
    pub changes: Option<String>,
}

/// A key is repeated so long after its effect was first meant, and only if nothing answered the
/// attempt that carried it. A provider may forget keys after a day.
pub const KEY_LIVES: Duration = Duration::from_secs(20 * 3600);

/// What is in the way of intents: by subject, and by reference.
#[derive(Default)]
pub(crate) struct InTheWay {
    subjects: HashMap<(EffectKind, String), Before>,
    references: HashMap<String, Vec<(EffectId, EffectState)>>,
}

/// The open effect of a subject.
#[derive(Clone)]
struct Before {
    id: EffectId,
    state: EffectState,
    attempt: i64,
    key: Option<String>,
    changes: Option<String>,
}

/// An intent to be written, with its effect and the key that it is sent with.
pub(crate) type Meant<'a> = (EffectId, &'a Intent, Option<String>);

/// What becomes of intents.
pub(crate) struct Decided<'a> {
    /// One for each, in order.
    pub answers: Vec<IntentAnswer>,
    /// To be inserted.
    pub fresh: Vec<Meant<'a>>,
    /// Planned before, or without an answer, to be sent again.
    pub again: Vec<Meant<'a>>,
}

impl InTheWay {
    /// From every open effect of the subjects and of the references at hand, oldest first.
    pub(crate) fn of(open: impl IntoIterator<Item = Open>) -> Self {
        let mut found = Self::default();
        for one in open {
            let unsettled = match one.state {
                EffectState::Unknown | EffectState::Unresolved => true,
                // What this worker itself has on its way is no reason to wait.
                EffectState::Sending => !one.own,
                EffectState::Planned | EffectState::Done | EffectState::Refused => false,
            };
            if let Some(reference) = one.reference.filter(|_| unsettled) {
                found.references.entry(reference).or_default().push((one.id.clone(), one.state));
            }
            if one.state.is_open() {
                let key = (one.kind, one.subject);
                let Open { id, state, attempt, key: sent_with, changes, .. } = one;
                // The first row of an effect has its key.
                let before = Before { id, state, attempt, key: sent_with, changes };
                found.subjects.entry(key).or_insert(before);
            }
        }
        found
    }

    /// Takes intents in order: a second one of a subject waits for the first.
    pub(crate) fn decide(mut self, intents: &[Intent]) -> Decided<'_> {
        let answers = Vec::with_capacity(intents.len());
        let mut decided = Decided { answers, fresh: Vec::new(), again: Vec::new() };
        for intent in intents {
            let key = (intent.kind, intent.subject.clone());
            let before = self.subjects.get(&key).cloned();
            let in_the_way = before.as_ref().filter(|before| !before.lets_pass(intent));
            let held = in_the_way
                .map(|before| (before.id.clone(), before.state))
                .or_else(|| self.holds(intent, before.as_ref().map(|before| &before.id)));
            if let Some((by, state)) = held {
                decided.answers.push(IntentAnswer::Held { by, state });
                continue;
            }
            let new = intent.idempotency_key.clone();
            let before = match before {
                Some(earlier) => {
                    let same_key = new.is_some() && earlier.is_same(intent);
                    let sent_with = earlier.key.filter(|_| same_key).or(new);
                    decided.again.push((earlier.id.clone(), intent, sent_with.clone()));
                    Before {
                        id: earlier.id,
                        state: EffectState::Sending,
                        attempt: earlier.attempt + 1,
                        key: sent_with,
                        changes: earlier.changes,
                    }
                }
                None => {
                    let id = EffectId::generate();
                    decided.fresh.push((id.clone(), intent, new.clone()));
                    let changes = None;
                    Before { id, state: EffectState::Sending, attempt: 1, key: new, changes }
                }
            };
            let Before { id: effect, attempt, key: sent_with, .. } = before.clone();
            self.subjects.insert(key, before);
            decided.answers.push(IntentAnswer::Accepted { effect, attempt, key: sent_with });
        }
        decided
    }

    /// The effect that holds every other one of this reference, but for the one that is repeated.
    fn holds(
        &self,
        intent: &Intent,
        repeated: Option<&EffectId>,
    ) -> Option<(EffectId, EffectState)> {
        let all = self.references.get(intent.reference.as_ref()?.as_str())?;
        all.iter().find(|(id, _)| Some(id) != repeated).cloned()
    }
}

impl Before {
    /// Whether an intent takes this effect up again: it is proven that it had none, or nothing is known
    /// of it and the provider makes nothing twice of a repeat: with the same key and body, or where it
    /// takes none.
    fn lets_pass(&self, intent: &Intent) -> bool {
        match self.state {
            EffectState::Planned => true,
            EffectState::Unknown if intent.repeats => {
                let same_key = self.key.is_some() && body_of(intent) == self.changes;
                intent.idempotency_key.is_none() || same_key
            }
            _ => false,
        }
    }

    /// Whether an intent may have the key of this effect, which is proven to have had none: its body is
    /// the same, or one that an older version wrote nothing of. Under the key of another it would be
    /// answered with that one's answer, and not be made. A change may be another by now, though it
    /// changes the same.
    fn is_same(&self, intent: &Intent) -> bool {
        intent.kind != EffectKind::UpdateCustomer
            && self.changes.as_ref().is_none_or(|_| body_of(intent) == self.changes)
    }
}

/// What an intent changes, or the hash of its body, as JSON.
fn body_of(intent: &Intent) -> Option<String> {
    intent.changes.as_ref().map(to_json)
}

/// Since an effect was sent; nothing where the clock was set back since.
pub(crate) fn age(sent_at: Option<Timestamp>, now: i64) -> Duration {
    let micros = sent_at.map_or(0, |sent| now.saturating_sub(sent.micros()));
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

impl Unsettled {
    /// Keeps the payment methods that other tokens of its reference became.
    pub(crate) fn keep_ties(&mut self, ties: &HashMap<Reference, Vec<(TokenFp, RemoteMethodId)>>) {
        let effect = &self.record.effect;
        let all = effect.reference.as_ref().and_then(|reference| ties.get(reference));
        let others = all.into_iter().flatten().filter(|(fp, _)| Some(*fp) != effect.fp);
        self.tied = others.map(|(_, method)| method.clone()).collect();
    }
}

/// What follows from outcomes for the mirror, by sort and in order.
#[derive(Default)]
pub(crate) struct Following {
    pub customers: Vec<RemoteCustomer>,
    pub news: Vec<NewsOfMethod>,
    pub links: Vec<TokenLink>,
}

impl Following {
    /// Of outcomes that are known as of `now`.
    pub(crate) fn of(outcomes: &[EffectOutcome], now: Timestamp) -> Self {
        let mut all = Self::default();
        for applied in outcomes.iter().flat_map(|outcome| &outcome.applied) {
            let (customer, what) = match applied {
                Applied::Customer(customer) => {
                    all.customers.push(RemoteCustomer::clone(customer));
                    continue;
                }
                Applied::Method { customer, method, link } => {
                    all.links.extend(link.clone());
                    (customer, MethodNews::Seen(method.clone()))
                }
                Applied::Default { customer, method } => {
                    (customer, MethodNews::MadeDefault(method.clone()))
                }
                Applied::MethodRemoved { customer, method } => {
                    (customer, MethodNews::Removed(method.clone()))
                }
            };
            all.news.push(NewsOfMethod { customer: customer.clone(), as_of: now, what });
        }
        all
    }

    /// Whether nothing follows.
    pub(crate) const fn is_empty(&self) -> bool {
        self.customers.is_empty() && self.news.is_empty() && self.links.is_empty()
    }
}

/// Our ids of what effects did to the mirror.
#[derive(Default)]
pub(crate) struct Followed {
    pub customers: HashMap<RemoteCustomerId, CustomerId>,
    pub methods: HashMap<Key, MethodId>,
}

impl Followed {
    /// The answer to an outcome.
    pub(crate) fn answer(&self, outcome: &EffectOutcome) -> CommittedEffect {
        let (customer, method) = named(outcome);
        let key = customer.zip(method).map(|(customer, method)| key_of(customer, method));
        CommittedEffect {
            customer: customer.and_then(|id| self.customers.get(id).cloned()),
            method: key.and_then(|key| self.methods.get(&key).cloned()),
        }
    }
}

/// The ids at the provider that an outcome names: of the customer, and of its payment method.
pub(crate) fn named(
    outcome: &EffectOutcome,
) -> (Option<&RemoteCustomerId>, Option<&RemoteMethodId>) {
    outcome.applied.iter().fold((None, None), |(_, method), applied| match applied {
        Applied::Customer(one) => (Some(&one.id), method),
        Applied::Method { customer, method, .. } => (Some(customer), Some(&method.id)),
        Applied::Default { customer, method } | Applied::MethodRemoved { customer, method } => {
            (Some(customer), Some(method))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SentChange;

    fn intent(subject: &str, key: Option<&str>) -> Intent {
        Intent {
            kind: EffectKind::CreateCustomer,
            subject: subject.into(),
            reference: None,
            fp: None,
            line: None,
            remote_customer: None,
            remote_method: None,
            known_before: None,
            idempotency_key: key.map(str::to_owned),
            changes: None,
            repeats: false,
        }
    }

    /// The keys that the answers and the rows to be written have for an intent with the key `new`,
    /// after a planned effect with the key `old` or after nothing.
    fn key_sent(old: Option<Option<&str>>, new: Option<&str>) -> Option<String> {
        let before = old.map(|key| Open {
            id: EffectId::generate(),
            kind: EffectKind::CreateCustomer,
            subject: "r1".into(),
            reference: None,
            state: EffectState::Planned,
            own: false,
            attempt: 1,
            key: key.map(str::to_owned),
            changes: None,
        });
        let intents = [intent("r1", new)];
        let decided = InTheWay::of(before).decide(&intents);
        let [IntentAnswer::Accepted { attempt, key, .. }] = decided.answers.as_slice() else {
            panic!("{:?}", decided.answers)
        };
        let (written, none) = match old {
            Some(_) => (&decided.again, &decided.fresh),
            None => (&decided.fresh, &decided.again),
        };
        assert_eq!((*attempt, none.len()), (1 + i64::from(old.is_some()), 0));
        let [(_, _, kept)] = written.as_slice() else { panic!("one row") };
        assert_eq!(key, kept, "what is sent is what is written down");
        key.clone()
    }

    #[test]
    fn a_key_is_repeated_where_it_may_be_and_one_is_wanted() {
        for (old, new, sent) in [
            (None, Some("new"), Some("new")),
            (None, None, None),
            (Some(Some("old")), Some("new"), Some("old")),
            (Some(None), Some("new"), Some("new")),
            (Some(Some("old")), None, None),
            (Some(None), None, None),
        ] {
            assert_eq!(key_sent(old, new).as_deref(), sent, "{old:?} then {new:?}");
        }
    }
    #[test]
    fn a_key_goes_with_its_body() {
        let body = |after: &str| {
            let (field, after) = ("customer".to_owned(), after.to_owned());
            Some(vec![SentChange { field, before: None, after }])
        };
        let says = |state, before: Option<Vec<SentChange>>, now| {
            let open = Open {
                id: EffectId::generate(),
                kind: EffectKind::CreateCustomer,
                subject: "r1".into(),
                reference: None,
                state,
                own: false,
                attempt: 1,
                key: Some("old".into()),
                changes: before.as_ref().map(to_json),
            };
            let intents = [Intent { changes: now, repeats: true, ..intent("r1", Some("new")) }];
            match InTheWay::of([open]).decide(&intents).answers.pop() {
                Some(IntentAnswer::Accepted { key, .. }) => key,
                Some(IntentAnswer::Held { .. }) | None => None,
            }
        };
        use EffectState::{Planned, Unknown};
        for (state, before, now, sent) in [
            (Planned, body("a"), body("a"), Some("old")),
            // Proven to have had none: it is another create.
            (Planned, body("a"), body("b"), Some("new")),
            (Planned, None, body("b"), Some("old")),
            (Unknown, body("a"), body("a"), Some("old")),
            // It is looked for first.
            (Unknown, body("a"), body("b"), None),
            (Unknown, None, body("b"), None),
        ] {
            let told = format!("{state:?} {before:?} then {now:?}");
            assert_eq!(says(state, before, now).as_deref(), sent, "{told}");
        }
    }
}
