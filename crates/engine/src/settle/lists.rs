//! Creates whose answer was lost, where no call finds a customer by its reference: the customer list
//! is read (rule 5).

use std::collections::{BTreeMap, BTreeSet};

use backend::{BackendError, CallCtx, ErrorKind, RemoteCustomer, RemoteStatus, SettleCreate};
use model::{Code, Reference, RemoteCustomerId};
use store::{APART, Applied, Unsettled};

use super::{Said, is_due, unread};
use crate::observe::Found;
use crate::scan::{Depth, List, other_size};
use crate::{Engine, EngineError};

/// So often the list is read, at most, for one that shows as many customers as the provider counts.
const READINGS: u32 = 3;

/// What a reading of the list showed of the references that are looked for.
#[derive(Default)]
struct Listed {
    hits: BTreeMap<Reference, Vec<RemoteCustomer>>,
    /// Customers that could not be read: any of them may be looked for.
    unreadable: u64,
    /// More customers than the provider counts, or as many.
    whole: bool,
}

/// What the customer list says of creates whose answer was lost. A hit counts when it is seen;
/// absence needs two readings with other page boundaries, both begun after the quarantine, or one that
/// shows as many customers as the provider counts.
pub(super) async fn creates(
    engine: &Engine,
    ctx: &CallCtx,
    effects: Vec<Unsettled>,
) -> Result<Vec<(Unsettled, Said)>, EngineError> {
    let depth = depth(engine, &effects);
    let wanted: BTreeSet<Reference> =
        effects.iter().filter_map(|one| one.record.effect.reference.clone()).collect();
    let mut size = engine.account.capabilities().customers_page;
    let first = read(engine, ctx, &wanted, &mut size, depth).await;
    let mut said = by_list(engine, &effects, first).await?;
    for pass in 1..READINGS {
        let one_is_enough = pass > 1 || is_counted(engine, depth);
        let again = |said: &Said| match said {
            Said::Unlisted => true,
            Said::Again(_) => !one_is_enough,
            _ => false,
        };
        if !said.iter().any(again) {
            break;
        }
        let next = read(engine, ctx, &wanted, &mut size, depth).await;
        let next = by_list(engine, &effects, next).await?;
        for (said, next) in said.iter_mut().zip(next) {
            if again(said) {
                *said = next;
            }
        }
    }
    let told = |(one, said): (Unsettled, Said)| {
        let said = match said {
            Said::Unlisted => {
                let why = "the list shows fewer customers than the provider counts";
                person(engine, &one, Code::OutcomeUnknown, why.into())
            }
            said => said,
        };
        (one, said)
    };
    Ok(effects.into_iter().zip(said).map(told).collect())
}

/// How deep the list is read for these creates.
fn depth(engine: &Engine, effects: &[Unsettled]) -> Depth {
    // By our own clock, which also says when customers were first seen; and not later than it was
    // sent.
    let meant = effects.iter().map(|one| one.record.created_at).min();
    match engine.account.capabilities().settle_create {
        SettleCreate::Scan => {
            meant.map_or(Depth::End, |meant| Depth::KnownBefore(meant.minus(APART)))
        }
        SettleCreate::UniqueReference | SettleCreate::IdempotencyKey => Depth::End,
    }
}

/// Whether one reading is enough: it goes to the end, and the provider says how many there are.
fn is_counted(engine: &Engine, depth: Depth) -> bool {
    depth == Depth::End && engine.account.capabilities().customers_total
}

async fn by_list(
    engine: &Engine,
    effects: &[Unsettled],
    listed: Result<Listed, EngineError>,
) -> Result<Vec<Said>, EngineError> {
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            let said = unread(error, true)?;
            return Ok(match said {
                // Said once: it is one error.
                Said::Unread(mut error) => {
                    effects.iter().map(|_| Said::Unread(error.take())).collect()
                }
                Said::Person(code, why) => {
                    effects.iter().map(|one| person(engine, one, code, why.clone())).collect()
                }
                _ => effects.iter().map(|_| Said::TooEarly).collect(),
            });
        }
    };
    let mut said = Vec::with_capacity(effects.len());
    for one in effects {
        said.push(judge(engine, one, &listed).await?);
    }
    Ok(said)
}

/// For a person, once reading has had its time.
fn person(engine: &Engine, one: &Unsettled, code: Code, why: String) -> Said {
    if is_due(engine, one) { Said::Person(code, why) } else { Said::TooEarly }
}

async fn judge(engine: &Engine, one: &Unsettled, listed: &Listed) -> Result<Said, EngineError> {
    let effect = &one.record.effect;
    let hits = effect.reference.as_ref().and_then(|reference| listed.hits.get(reference));
    let hits = hits.map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<RemoteCustomerId> = hits.iter().map(|customer| customer.id.clone()).collect();
    let meant = one.record.created_at.minus(APART);
    let before = match ids.is_empty() {
        true => BTreeSet::new(),
        false => engine.store.known_before(&engine.account.name, &ids, meant).await?,
    };
    let new: Vec<&RemoteCustomer> = hits.iter().filter(|one| !before.contains(&one.id)).collect();
    Ok(match new.as_slice() {
        [one] => Said::There(Applied::Customer(Box::new((*one).clone()))),
        [_, _, ..] => {
            let ids: Vec<&str> = new.iter().map(|customer| customer.id.as_str()).collect();
            let why = format!("two customers of this reference are there: {}", ids.join(", "));
            Said::Person(Code::DuplicateAtProvider, why)
        }
        [] if !hits.is_empty() => {
            let why = "a customer of this reference is there, and was known before this was sent";
            person(engine, one, Code::OutcomeUnknown, why.into())
        }
        [] if listed.unreadable > 0 => {
            let why = "a customer of the list cannot be read: it may be the one that was sent";
            person(engine, one, Code::OutcomeUnknown, why.into())
        }
        [] if !listed.whole => Said::Unlisted,
        [] if is_due(engine, one) => Said::Again("nobody of this reference is in the list"),
        [] => Said::TooEarly,
    })
}

/// Reads the list from its top by so many rows a page and keeps who is looked for; leaves what the next
/// reading asks for, so that its pages begin elsewhere.
async fn read(
    engine: &Engine,
    ctx: &CallCtx,
    wanted: &BTreeSet<Reference>,
    size: &mut u32,
    depth: Depth,
) -> Result<Listed, EngineError> {
    let mut listed = Listed { whole: true, ..Listed::default() };
    let mut list = List::new(engine, ctx, *size, depth);
    while let Some(shown) = list.next().await? {
        listed.unreadable += shown.unreadable;
        for customer in shown.customers {
            let ours = customer.reference.as_deref().and_then(|theirs| Reference::new(theirs).ok());
            if let Some(ours) = ours.filter(|ours| wanted.contains(ours))
                && customer.status == RemoteStatus::Live
            {
                listed.hits.entry(ours).or_default().push(customer);
            }
        }
    }
    *size = other_size(list.size());
    if is_counted(engine, depth) {
        let seen = list.seen() + listed.unreadable;
        listed.whole = list.total().is_some_and(|total| seen >= total);
    }
    Ok(listed)
}

/// Looks for a customer of this reference in the whole list.
///
/// # Errors
/// When the list cannot be read to its end.
pub(super) async fn find(
    engine: &Engine,
    ctx: &CallCtx,
    reference: &Reference,
) -> Result<Found, EngineError> {
    let wanted = BTreeSet::from([reference.clone()]);
    let mut size = engine.account.capabilities().customers_page;
    let mut listed = read(engine, ctx, &wanted, &mut size, Depth::End).await?;
    let hits = listed.hits.remove(reference).unwrap_or_default();
    Ok(match <[RemoteCustomer; 1]>::try_from(hits) {
        Ok([one]) => Found::Customer(Box::new(one)),
        Err(hits) if hits.is_empty() => Found::Nobody,
        Err(_) => {
            let why = "more than one customer of this reference is there";
            return Err(BackendError::new(ErrorKind::Conflict, "find customer", why).into());
        }
    })
}

/// What speaks against a create having had no effect, in the whole list: customers of its reference,
/// what cannot be read, or that the list is not whole. Nothing does once two readings with other page
/// boundaries show nobody, or one that shows as many customers as the provider counts.
///
/// # Errors
/// When the list cannot be read to its end.
pub(super) async fn against(
    engine: &Engine,
    ctx: &CallCtx,
    reference: &Reference,
) -> Result<Vec<String>, EngineError> {
    let wanted = BTreeSet::from([reference.clone()]);
    let one_is_enough = is_counted(engine, Depth::End);
    let mut shown = Vec::new();
    let mut size = engine.account.capabilities().customers_page;
    for pass in 0..READINGS {
        let listed = read(engine, ctx, &wanted, &mut size, Depth::End).await?;
        shown.extend(listed.hits.values().flatten().map(|customer| customer.id.to_string()));
        if listed.unreadable > 0 {
            shown.push(format!("{} customers that cannot be read", listed.unreadable));
        }
        if !shown.is_empty() || (listed.whole && (one_is_enough || pass > 0)) {
            return Ok(shown);
        }
    }
    Ok(vec!["fewer customers than the provider counts".into()])
}
