//! What an answer means for one item, once what must be verified has been (rule 2).

use backend::{Applied as Answer, CallCtx, ItemOutcome, Refusal};
use model::{
    Code, EffectId, Origin, Outcome, RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId,
};
use store::{Applied, EffectOutcome, EffectState, StagedRow, TokenLink, Verdict};

use super::{Done, Item, Target, What};
use crate::observe::{self, Found};
use crate::{Engine, EngineError};

/// What follows after an outcome was committed.
pub(super) enum After {
    Done(Target, Done),
    Again(Item),
    /// In a smaller batch than this.
    Smaller(Item, usize),
    Fault(EngineError),
}

fn outcome(effect: EffectId, state: EffectState) -> EffectOutcome {
    EffectOutcome {
        effect,
        state,
        origin: None,
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    }
}

/// The provider has declined it. Of a repeat that says nothing of the attempt before, which may still
/// take effect: it is unknown, with the provider's reason, until reading shows nobody (see
/// [`crate::settle`]).
fn refused(effect: EffectId, item: &Item, code: Code, refusal: Refusal) -> (EffectOutcome, After) {
    let message = match &refusal.code {
        Some(theirs) => format!("{theirs}: {}", refusal.message),
        None => refusal.message,
    };
    let state = if item.repeats { EffectState::Unknown } else { EffectState::Refused };
    let row = EffectOutcome {
        code: Some(code.as_str().to_owned()),
        message: Some(message.clone()),
        ..outcome(effect, state)
    };
    if item.repeats {
        return (row, After::Done(item.target, Done::Unheard));
    }
    let verdict =
        Verdict { field: refusal.field, ..Verdict::with(Outcome::Refused, code, message) };
    (row, After::Done(item.target, Done::Ended(verdict)))
}

fn unknown(effect: EffectId, item: &Item, why: String) -> (EffectOutcome, After) {
    let row = EffectOutcome {
        code: Some(Code::OutcomeUnknown.as_str().to_owned()),
        message: Some(why),
        ..outcome(effect, EffectState::Unknown)
    };
    (row, After::Done(item.target, Done::Unheard))
}

fn done(
    effect: EffectId,
    origin: Origin,
    applied: Applied,
    target: Target,
    what: Done,
) -> (EffectOutcome, After) {
    let row = EffectOutcome {
        origin: Some(origin),
        applied: vec![applied],
        ..outcome(effect, EffectState::Done)
    };
    (row, After::Done(target, what))
}

/// What is known of an item whose call's task ended in a panic: it may have been sent.
pub(super) fn panicked((effect, item): (EffectId, Item)) -> (EffectOutcome, After) {
    unknown(effect, &item, "our own call ended in an error of the program".into())
}

/// Whether an attempt before this one may have taken effect, with a key that is good no more once
/// this one is answered: what became of that is read before anything is sent with another.
fn is_repeat(engine: &Engine, item: &Item) -> bool {
    item.attempt > 1 && engine.account.capabilities().idempotency_keys
}

/// An attempt that was not sent, or not taken: it is what it was before, planned, or unknown as the one
/// before it.
fn none(effect: EffectId, item: &Item) -> EffectOutcome {
    outcome(effect, if item.repeats { EffectState::Unknown } else { EffectState::Planned })
}

/// What one item's answer means, once what must be verified has been (rule 2).
pub(super) async fn read_answer(
    engine: &Engine,
    ctx: &CallCtx,
    effect: EffectId,
    item: Item,
    answer: ItemOutcome,
    size: usize,
) -> (EffectOutcome, After) {
    match answer {
        // The key goes with the attempt that nothing has answered; a new one would not be known for it.
        ItemOutcome::Throttled if is_repeat(engine, &item) => {
            unknown(effect, &item, "sent again, the provider wanted fewer calls".into())
        }
        ItemOutcome::NotSent(_) | ItemOutcome::Throttled => {
            (none(effect, &item), After::Again(item))
        }
        ItemOutcome::BatchTooLarge if size > 1 => {
            (outcome(effect, EffectState::Planned), After::Smaller(item, size))
        }
        ItemOutcome::BatchTooLarge => {
            let message = "the provider says that one row is too large a batch".into();
            let refusal = Refusal { message, ..Refusal::default() };
            refused(effect, &item, Code::ProviderRefused, refusal)
        }
        ItemOutcome::AccountFault(refusal) => {
            let row = match is_repeat(engine, &item) {
                true => outcome(effect, EffectState::Unknown),
                false => none(effect, &item),
            };
            let fault = EngineError::AccountFault {
                account: engine.account.name.to_string(),
                message: refusal.message,
            };
            (row, After::Fault(fault))
        }
        ItemOutcome::Refused(refusal) => refused(effect, &item, Code::ProviderRefused, refusal),
        ItemOutcome::InProgress(why) | ItemOutcome::Unknown(why) => unknown(effect, &item, why),
        ItemOutcome::Conflict(refusal) => {
            conflict(engine, ctx, effect, &item, refusal, false).await
        }
        ItemOutcome::RefusedOrThere(refusal) => {
            conflict(engine, ctx, effect, &item, refusal, true).await
        }
        ItemOutcome::AlreadySaved(id) => already_saved(engine, ctx, effect, &item, id).await,
        ItemOutcome::Done(answer) => {
            let keys = engine.account.capabilities().idempotency_keys;
            applied(effect, &item, *answer, keys)
        }
    }
}

/// What took place; with `keys`, a repeat may be given the answer to an earlier attempt.
fn applied(effect: EffectId, item: &Item, answer: Answer, keys: bool) -> (EffectOutcome, After) {
    match &item.what {
        What::Create { .. } => match answer.customer {
            Some(customer)
                if customer.reference.as_ref().is_some_and(|r| r != item.reference.as_str()) =>
            {
                unknown(effect, item, "the answer shows a customer of another reference".into())
            }
            Some(customer) => {
                let customer =
                    RemoteCustomer { reference: Some(item.reference.to_string()), ..customer };
                let what = match item.attempt > 1 && keys {
                    true => Done::Repeated(Box::new(customer.clone())),
                    false => Done::Created(customer.id.clone()),
                };
                let customer = Applied::Customer(Box::new(customer));
                done(effect, Origin::Answered, customer, item.target, what)
            }
            None => unknown(effect, item, "the answer does not show the customer".into()),
        },
        What::Save { row, customer, bulk, .. } => match (answer.method, &row.method) {
            (Some(method), Some(staged)) => {
                let id = method.id.clone();
                let method = RemoteMethod {
                    // A batch says which is the default, and its answer does not.
                    default: method.default.or(bulk.then_some(staged.default == Some(true))),
                    credential: answer.credential,
                    ..method
                };
                let applied = Applied::Method {
                    customer: customer.clone(),
                    link: link(item, row, customer, &id, "created"),
                    method: Box::new(method),
                };
                let kind = item.kind();
                done(effect, Origin::Answered, applied, item.target, Done::Saved(kind, id))
            }
            _ => unknown(effect, item, "the answer does not show the payment method".into()),
        },
        What::Update { customer, .. } => match answer.customer {
            Some(shown) if shown.id != *customer => {
                unknown(effect, item, "the answer shows another customer".into())
            }
            Some(shown) => {
                let reference = Some(item.reference.to_string());
                let applied = Applied::Customer(Box::new(RemoteCustomer { reference, ..shown }));
                done(effect, Origin::Answered, applied, item.target, Done::Updated)
            }
            // The provider says that it is done and shows nothing: the mirror learns of it from
            // the next read.
            None => {
                let row = EffectOutcome {
                    origin: Some(Origin::Answered),
                    ..outcome(effect, EffectState::Done)
                };
                (row, After::Done(item.target, Done::Updated))
            }
        },
        What::SetDefault { customer, method, .. } => done(
            effect,
            Origin::Answered,
            Applied::Default { customer: customer.clone(), method: method.clone() },
            item.target,
            Done::DefaultSet,
        ),
    }
}

fn link(
    item: &Item,
    row: &StagedRow,
    customer: &RemoteCustomerId,
    method: &RemoteMethodId,
    how: &str,
) -> Option<TokenLink> {
    Some(TokenLink {
        reference: item.reference.clone(),
        fp: row.method.as_ref()?.sealed.as_ref()?.fp,
        remote_customer: customer.clone(),
        remote_method: method.clone(),
        how: how.to_owned(),
    })
}

/// A create that was refused because the customer is there, or perhaps so (`perhaps`): looked for,
/// and believed only if it is the one (rule 2).
async fn conflict(
    engine: &Engine,
    ctx: &CallCtx,
    effect: EffectId,
    item: &Item,
    refusal: Refusal,
    perhaps: bool,
) -> (EffectOutcome, After) {
    let What::Create { .. } = &item.what else {
        return refused(effect, item, Code::ProviderRefused, refusal);
    };
    match observe::find(engine, ctx, &item.reference).await {
        Ok(Found::Customer(customer)) => {
            let found = customer.clone();
            let applied = Applied::Customer(customer);
            // An attempt before this one may have made it.
            if item.attempt > 1 {
                let found = Done::FoundLater(found);
                let (row, after) = done(effect, Origin::Found, applied, item.target, found);
                (EffectOutcome { code: Some(Code::FoundLater.as_str().to_owned()), ..row }, after)
            } else {
                let found = Done::Found(found);
                done(effect, Origin::Found, applied, item.target, found)
            }
        }
        Ok(Found::Collision) => refused(effect, item, Code::ReferenceCollision, refusal),
        Ok(Found::Retired) => refused(effect, item, Code::ReferenceRetired, refusal),
        Ok(Found::Nobody) if perhaps => refused(effect, item, Code::ProviderRefused, refusal),
        Ok(Found::Nobody) => unknown(
            effect,
            item,
            "the provider says that the customer exists, and does not find it".into(),
        ),
        // It cannot be told who is there: that is of this customer, not of the account.
        Err(EngineError::Backend(error)) if !observe::is_everybodys(&error) => unknown(
            effect,
            item,
            format!("{}, and who is there could not be read: {error}", refusal.message),
        ),
        // The conflict says that this attempt made nothing.
        Err(error) => {
            let row = none(effect, item);
            let code = (!item.repeats).then(|| error.code().to_string());
            let row = EffectOutcome { code, message: Some(refusal.message), ..row };
            (row, After::Fault(error))
        }
    }
}

/// A payment method that the provider says it has: believed only if it is listed under this
/// customer.
async fn already_saved(
    engine: &Engine,
    ctx: &CallCtx,
    effect: EffectId,
    item: &Item,
    id: RemoteMethodId,
) -> (EffectOutcome, After) {
    let What::Save { row, customer, .. } = &item.what else {
        return unknown(effect, item, "an answer that does not fit the call".into());
    };
    match observe::methods_of(engine, ctx, customer).await {
        Ok(Some(read)) => match read.list.methods.into_iter().find(|method| method.id == id) {
            Some(method) => {
                let method = Box::new(method);
                let applied = Applied::Method {
                    customer: customer.clone(),
                    link: link(item, row, customer, &id, "duplicate"),
                    method: method.clone(),
                };
                done(effect, Origin::Found, applied, item.target, Done::Duplicate(method))
            }
            None if read.unreadable > 0 => unknown(
                effect,
                item,
                "saved already, and a payment method of this customer could not be read".into(),
            ),
            None => refused(
                effect,
                item,
                Code::DuplicateElsewhere,
                Refusal {
                    message: "saved already, but not under this customer".into(),
                    ..Refusal::default()
                },
            ),
        },
        Ok(None) => refused(
            effect,
            item,
            Code::ProviderRefused,
            Refusal { message: "the customer is gone".into(), ..Refusal::default() },
        ),
        // The provider says that this attempt saved nothing new: it is planned again.
        Err(error) => (outcome(effect, EffectState::Planned), After::Fault(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use model::{Profile, Reference};

    use super::*;

    #[test]
    fn whatever_a_repeat_is_declined_for_it_waits_for_reading() {
        for code in [Code::ProviderRefused, Code::ReferenceCollision, Code::ReferenceRetired] {
            for (repeats, state) in [(true, EffectState::Unknown), (false, EffectState::Refused)] {
                let item = Item {
                    target: Target { work: 0, row: 0 },
                    reference: Reference::new("A").expect("valid"),
                    what: What::Create { line: 1, profile: Box::new(Profile::default()) },
                    attempt: 2,
                    repeats,
                };
                let effect = EffectId::new("e1").expect("valid");
                let (row, after) = refused(effect, &item, code, Refusal::default());
                assert_eq!((row.state, row.code.as_deref()), (state, Some(code.as_str())));
                let waits = matches!(after, After::Done(_, Done::Unheard));
                assert_eq!(waits, repeats, "{code}");
            }
        }
    }
}
