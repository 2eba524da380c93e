//! What became of a customer's payment methods, and of its default: all its effects by the same lists.

use std::time::Duration;

use backend::CallCtx;
use model::{Code, EffectKind, RemoteCustomerId, RemoteMethod, RemoteMethodId};
use store::{Applied, TokenLink, Unsettled};

use super::judge::{self, Add, DefaultNow, Shown};
use super::{Said, is_due, unread};
use crate::observe::{self, MethodRead};
use crate::{Engine, EngineError};

/// After this time a default that cannot be read back is not sent again by itself.
const STALE: Duration = Duration::from_secs(3600);

/// What a customer's list of payment methods says of its effects. Absence needs two lists, both
/// begun after the quarantine.
pub(super) async fn listed(
    engine: &Engine,
    ctx: &CallCtx,
    customer: &RemoteCustomerId,
    effects: Vec<Unsettled>,
) -> Result<Vec<(Unsettled, Said)>, EngineError> {
    let first = methods(engine, ctx, customer).await;
    let mut said = by_lists(engine, &effects, first)?;
    if said.iter().any(|said| matches!(said, Said::Again(_))) {
        let second = by_lists(engine, &effects, methods(engine, ctx, customer).await)?;
        for (said, second) in said.iter_mut().zip(second) {
            if matches!(said, Said::Again(_)) {
                *said = second;
            }
        }
    }
    Ok(effects.into_iter().zip(said).collect())
}

/// What a list says of each of these effects of one customer. What two of them would claim belongs to
/// neither.
fn by_lists(
    engine: &Engine,
    effects: &[Unsettled],
    read: Result<Listed, EngineError>,
) -> Result<Vec<Said>, EngineError> {
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            return Ok(match unread(error, true)? {
                // Said once: it is one error.
                Said::Unread(mut error) => {
                    effects.iter().map(|_| Said::Unread(error.take())).collect()
                }
                Said::Person(code, why) => {
                    let person = |one| match is_due(engine, one) {
                        true => Said::Person(code, why.clone()),
                        false => Said::TooEarly,
                    };
                    effects.iter().map(person).collect()
                }
                _ => effects.iter().map(|_| Said::TooEarly).collect(),
            });
        }
    };
    let mut said: Vec<Said> = effects.iter().map(|one| by_list(engine, one, &read)).collect();
    let claimed = |said: &Said| match said {
        Said::There(Applied::Method { method, .. }) => Some(method.id.clone()),
        _ => None,
    };
    let claims: Vec<Option<RemoteMethodId>> = said.iter().map(claimed).collect();
    for ((one, said), claim) in effects.iter().zip(&mut said).zip(&claims) {
        if claim.is_some() && claims.iter().filter(|other| *other == claim).count() > 1 {
            *said = match is_due(engine, one) {
                true => Said::Person(
                    Code::OutcomeUnknown,
                    "one payment method of this customer fits two effects that were sent".into(),
                ),
                false => Said::TooEarly,
            };
        }
    }
    Ok(said)
}

/// A customer's payment methods as they were read: none of a customer that is gone, and what it
/// had with it.
struct Listed {
    methods: Vec<RemoteMethod>,
    unreadable: u64,
}

/// Lists a customer's payment methods.
async fn methods(
    engine: &Engine,
    ctx: &CallCtx,
    customer: &RemoteCustomerId,
) -> Result<Listed, EngineError> {
    Ok(match observe::methods_of(engine, ctx, customer).await? {
        Some(MethodRead { list, unreadable, .. }) => Listed { methods: list.methods, unreadable },
        None => Listed { methods: Vec::new(), unreadable: 0 },
    })
}

fn by_list(engine: &Engine, one: &Unsettled, read: &Listed) -> Said {
    let effect = &one.record.effect;
    let due = is_due(engine, one);
    let Listed { methods, unreadable } = read;
    let before = one.record.known_before.as_deref().unwrap_or_default();
    let said = match (effect.kind, &effect.remote_customer, &effect.remote_method) {
        (EffectKind::SetDefault, Some(customer), Some(ours)) => {
            match judge::default(ours, before, methods) {
                DefaultNow::Ours => {
                    let (customer, method) = (customer.clone(), ours.clone());
                    return Said::There(Applied::Default { customer, method });
                }
                DefaultNow::Another => Said::Person(
                    Code::ChangedByOther,
                    "somebody chose another default while ours was on its way".into(),
                ),
                DefaultNow::AsBefore if one.age < STALE => {
                    Said::Again("the default is what it was before")
                }
                DefaultNow::AsBefore => Said::Person(
                    Code::OutcomeUnknown,
                    "it was sent more than an hour ago, and the default is not ours".into(),
                ),
            }
        }
        (EffectKind::RemoveMethod, Some(customer), Some(ours)) => {
            let there = methods.iter().any(|method| method.id == *ours);
            match (there, *unreadable) {
                (true, _) => Said::Again("the payment method is there"),
                (false, 0) => {
                    let (customer, method) = (customer.clone(), ours.clone());
                    return Said::There(Applied::MethodRemoved { customer, method });
                }
                (false, _) => Said::Person(
                    Code::OutcomeUnknown,
                    "a payment method of this customer cannot be read: it may be this one".into(),
                ),
            }
        }
        (EffectKind::AddMethod | EffectKind::ImportMethod, Some(customer), _) => {
            let Some(facts) = &one.facts else {
                let message = "what was to be saved is not known any more".into();
                return Said::Person(Code::OutcomeUnknown, message);
            };
            match judge::add(Add { facts, before, tied: &one.tied }, methods, *unreadable) {
                Shown::There(method) => {
                    return Said::There(Applied::Method {
                        customer: customer.clone(),
                        link: link(one, customer, method),
                        method: Box::new(method.clone()),
                    });
                }
                Shown::Absent => Said::Again("it is in neither of two lists of the customer"),
                Shown::Unclear(why) => Said::Person(Code::OutcomeUnknown, why),
            }
        }
        _ => Said::Person(Code::OutcomeUnknown, "its customer is not known".into()),
    };
    if due { said } else { Said::TooEarly }
}

pub(super) fn link(
    one: &Unsettled,
    customer: &RemoteCustomerId,
    method: &RemoteMethod,
) -> Option<TokenLink> {
    Some(TokenLink {
        reference: one.record.effect.reference.clone()?,
        fp: one.record.effect.fp?,
        remote_customer: customer.clone(),
        remote_method: method.id.clone(),
        how: "found".into(),
    })
}
