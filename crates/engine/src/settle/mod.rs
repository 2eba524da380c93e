//! Settling effects whose outcome is not known (rule 5): the provider is read, and what it shows
//! decides. What was found counts when it is seen; what is absent only after the quarantine.
//!
//! A create that the provider makes nothing twice of may be repeated before that: it stays unknown, and
//! whoever sends and still wishes it sends it again ([`Unheard::repeats`]).

mod age;
mod judge;
mod lists;
mod methods;
mod person;
mod update;

use std::collections::BTreeMap;
use std::time::Duration;

use backend::{CallCtx, ErrorKind, SettleCreate};
use futures::{FutureExt, StreamExt, stream};
use model::{Code, EffectId, EffectKind, Origin, Reference, RemoteCustomerId};
use store::{Applied, EffectOutcome, EffectState, Fence, KEY_LIVES, Unsettled};
use tokio::time::{Instant, sleep};
use tracing::info;

pub(crate) use self::age::Unheard;
pub use self::person::{Resolution, resolve, settle_account};
use crate::observe::{self, Found};
use crate::{Engine, EngineError, Failpoint};

/// Effects read and settled together.
const PAGE: u32 = 500;
/// So many attempts, each proven to have had no effect, and the provider is taken to refuse.
const ATTEMPTS: i64 = 3;

/// How long settling may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Only what can be told at once.
    Now,
    /// Until every effect is settled, the quarantine of the last one included.
    UntilSettled,
}

/// What became of effects whose outcome was not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// They took effect.
    pub done: u64,
    /// They had none, and may be sent again: that is proven.
    pub planned: u64,
    /// The provider has declined them after all.
    pub refused: u64,
    /// Only a person can tell.
    pub unresolved: u64,
    /// Still not known.
    pub left: u64,
    /// Still not known, and may be repeated by the run that settles.
    pub repeatable: u64,
    /// All at the account that wait for a person, those of earlier included; counted where a person
    /// asks.
    pub waiting: u64,
}

impl Settled {
    fn count(&mut self, outcomes: &[EffectOutcome]) {
        for outcome in outcomes {
            match outcome.state {
                EffectState::Done => self.done += 1,
                EffectState::Planned => self.planned += 1,
                EffectState::Refused => self.refused += 1,
                EffectState::Unresolved => self.unresolved += 1,
                EffectState::Sending | EffectState::Unknown => {}
            }
        }
    }
}

/// What reading said of an effect.
enum Said {
    /// It took effect.
    There(Applied),
    /// It had no effect, or may be sent again whatever it had.
    Again(&'static str),
    /// It is not known what it had, and it may be repeated: nothing would be made twice.
    Repeatable,
    /// Only a person can tell.
    Person(Code, String),
    /// A search did not show it, or two of its reference, or a list that was not whole: the whole list is
    /// to be read.
    Unlisted,
    /// Nothing yet.
    TooEarly,
    /// It could not be read now.
    Unread(Option<EngineError>),
}

/// Marks as unknown what workers that are gone left on its way.
///
/// # Errors
/// When the store cannot be reached, or the run does not hold the account.
pub(crate) async fn take_over(engine: &Engine, fence: &Fence) -> Result<(), EngineError> {
    let account = &engine.account.name;
    let mut all = 0;
    loop {
        match engine.store.take_over(fence, account).await? {
            0 => break,
            marked => all += marked,
        }
    }
    if all > 0 {
        info!(account = account.as_str(), effects = all, "nobody heard what became of these");
        let effects = effects(all);
        engine.progress.says(&format!("{effects} of a process that is gone: settled first"));
    }
    Ok(())
}

/// What a writing run begins with: what workers that are gone left on its way is taken over, and what
/// is not known is settled, before anything is decided on it.
///
/// # Errors
/// As [`settle`], and when this is not the account that is known.
pub(crate) async fn begin(
    engine: &Engine,
    fence: &Fence,
    ctx: &CallCtx,
    unheard: &mut Unheard,
    patience: Patience,
) -> Result<(), EngineError> {
    take_over(engine, fence).await?;
    if engine.store.unsettled(&engine.account.name, None, 1).await?.is_empty() {
        return Ok(());
    }
    observe::same_account(engine, ctx).await?;
    settle(engine, fence, ctx, unheard, patience).await.map(drop)
}

/// Settles the effects of the account whose outcome is not known.
///
/// # Errors
/// When the provider or the store cannot be reached, or somebody wants us to stop. What was settled
/// stays settled.
pub(crate) async fn settle(
    engine: &Engine,
    fence: &Fence,
    ctx: &CallCtx,
    unheard: &mut Unheard,
    patience: Patience,
) -> Result<Settled, EngineError> {
    let mut settled = Settled::default();
    let mut told = false;
    loop {
        let due = pass(engine, fence, ctx, unheard, patience, &mut settled).await?;
        let Some(due) = due.filter(|_| patience == Patience::UntilSettled) else {
            return Ok(settled);
        };
        if !told {
            told = true;
            let (seconds, effects) = (due.last.as_secs() + 1, effects(settled.left));
            engine
                .progress
                .says(&format!("waiting {seconds} s to settle {effects} without an answer"));
        }
        let done = settled.done + settled.planned + settled.refused + settled.unresolved;
        engine.progress.at("settled", done, Some(done + settled.left));
        engine.reached(Failpoint::SettlingWait).await;
        let mut stop = engine.stop.clone();
        tokio::select! {
            () = sleep(due.first) => {}
            () = stop.wanted() => return Err(EngineError::Stopped),
        }
    }
}

/// How long it is until the first and the last of the effects that are left can be told.
#[derive(Debug, Clone, Copy)]
struct Due {
    first: Duration,
    last: Duration,
}

impl Due {
    /// With one more effect.
    fn with(due: Option<Self>, one: Duration) -> Self {
        let Self { first, last } = due.unwrap_or(Self { first: one, last: one });
        Self { first: first.min(one), last: last.max(one) }
    }
}

/// So many effects, for a person.
fn effects(count: u64) -> String {
    format!("{count} effect{}", if count == 1 { "" } else { "s" })
}

/// Reads once for every effect that was not read for yet, or whose quarantine is over.
async fn pass(
    engine: &Engine,
    fence: &Fence,
    ctx: &CallCtx,
    unheard: &mut Unheard,
    patience: Patience,
    settled: &mut Settled,
) -> Result<Option<Due>, EngineError> {
    let (account, quarantine) = (&engine.account.name, engine.account.timing.quarantine);
    let mut due: Option<Due> = None;
    let mut after: Option<EffectId> = None;
    settled.left = 0;
    loop {
        engine.stop.check()?;
        let page = engine.store.unsettled(account, after.as_ref(), PAGE).await?;
        let began = Instant::now();
        let Some(last) = page.last() else { return Ok(due) };
        after = Some(last.record.effect.id.clone());
        let (mut wanted, mut waits) = (Vec::new(), Vec::new());
        for mut one in page {
            unheard.correct(&mut one, began);
            // It is for whoever wishes it to send it again.
            if unheard.repeats(&one.record.effect) {
                continue;
            }
            if one.age >= quarantine || !unheard.was_read(&one) {
                wanted.push(one);
            } else {
                waits.push(one.age);
            }
        }
        let mut outcomes = Vec::with_capacity(wanted.len());
        let mut stop = engine.stop.clone();
        let (said, mut failed) = tokio::select! {
            looked = look(engine, ctx, unheard, wanted) => looked,
            // Reads change nothing: they are given up.
            () = stop.wanted() => return Err(EngineError::Stopped),
        };
        for (one, said) in said {
            if let Said::Unread(error) = said {
                waits.push(one.age);
                // At the beginning of a run it blocks its own customer only.
                failed = failed.or(error.filter(|_| patience == Patience::UntilSettled));
                continue;
            }
            if matches!(said, Said::Repeatable) {
                unheard.repeatable(&one);
                settled.repeatable += 1;
                continue;
            }
            unheard.read(&one);
            match outcome(&one, said) {
                Some(outcome) => outcomes.push(outcome),
                None => waits.push(one.age),
            }
        }
        report(engine, &outcomes);
        settled.count(&outcomes);
        engine.reached(Failpoint::SettlingRead).await;
        engine.store.commit_outcomes(fence, account, outcomes).await?;
        engine.reached(Failpoint::SettlingOutcome).await;
        if let Some(error) = failed {
            return Err(error);
        }
        settled.left += waits.len() as u64;
        let since = began.elapsed();
        for age in waits {
            due = Some(Due::with(due, quarantine.saturating_sub(age + since)));
        }
    }
}

fn report(engine: &Engine, outcomes: &[EffectOutcome]) {
    for outcome in outcomes {
        info!(
            account = engine.account.name.as_str(),
            effect = outcome.effect.as_str(),
            state = outcome.state.as_str(),
            why = outcome.message.as_deref(),
            "settled"
        );
    }
}

/// What is written of an effect; nothing while it is too early.
fn outcome(one: &Unsettled, said: Said) -> Option<EffectOutcome> {
    let effect = &one.record.effect;
    let blank = EffectOutcome {
        effect: effect.id.clone(),
        state: EffectState::Planned,
        origin: None,
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    };
    let with = |state, code: Code, message: String| EffectOutcome {
        state,
        code: Some(code.as_str().to_owned()),
        message: Some(message),
        ..blank.clone()
    };
    Some(match said {
        Said::TooEarly | Said::Repeatable | Said::Unlisted | Said::Unread(_) => return None,
        Said::There(applied) => EffectOutcome {
            origin: Some(Origin::Found),
            applied: vec![applied],
            ..with(
                EffectState::Done,
                Code::FoundLater,
                "its answer was lost; it was found by reading".into(),
            )
        },
        Said::Again(_) if is_declined(one) => EffectOutcome {
            state: EffectState::Refused,
            code: effect.code.clone(),
            message: effect.message.clone(),
            ..blank
        },
        Said::Again(_) if effect.attempt >= ATTEMPTS => with(
            EffectState::Refused,
            Code::NeverAnswered,
            judge::never_answered(effect.attempt, one.record.status),
        ),
        Said::Again(why) => EffectOutcome { message: Some(why.to_owned()), ..blank },
        Said::Person(code, message) => with(EffectState::Unresolved, code, message),
    })
}

/// Reads what each effect needs: a customer's list once for all effects of that customer. What was
/// read is said, whatever kept the rest from being read.
async fn look(
    engine: &Engine,
    ctx: &CallCtx,
    unheard: &Unheard,
    wanted: Vec<Unsettled>,
) -> (Vec<(Unsettled, Said)>, Option<EngineError>) {
    let mut of_customers: BTreeMap<RemoteCustomerId, Vec<Unsettled>> = BTreeMap::new();
    let (mut others, mut creates, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let settle_create = engine.account.capabilities().settle_create;
    for one in wanted {
        let repeats = unheard.may_repeat(&one) && !is_declined(&one);
        if repeats && may_repeat_its_key(engine, &one) {
            all.push((one, Said::Repeatable));
            continue;
        }
        let effect = &one.record.effect;
        if effect.kind == EffectKind::CreateCustomer && settle_create == SettleCreate::Scan {
            creates.push(one);
            continue;
        }
        let listed = matches!(
            effect.kind,
            EffectKind::AddMethod
                | EffectKind::ImportMethod
                | EffectKind::SetDefault
                | EffectKind::RemoveMethod
        );
        match effect.remote_customer.clone().filter(|_| listed) {
            Some(customer) => of_customers.entry(customer).or_default().push(one),
            None => others.push((one, repeats)),
        }
    }
    let alone = stream::iter(others).map(|(one, repeats)| {
        async move {
            let said = alone(engine, ctx, &one, repeats).await?;
            Ok(vec![(one, said)])
        }
        .boxed()
    });
    let together = stream::iter(of_customers).map(|(customer, effects)| {
        async move { methods::listed(engine, ctx, &customer, effects).await }.boxed()
    });
    let mut reads = alone.chain(together).buffer_unordered(engine.account.in_flight());
    while let Some(said) = reads.next().await {
        match said {
            Ok(said) => all.extend(said),
            Err(error) => return (all, Some(error)),
        }
    }
    // Who was not found by a search may be there all the same.
    let (searched, said): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, said)| matches!(said, Said::Unlisted));
    all = said;
    creates.extend(searched.into_iter().map(|(one, _)| one));
    if !creates.is_empty() {
        match lists::creates(engine, ctx, creates).await {
            Ok(said) => all.extend(said),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

/// Whether the provider has declined a repeat of it: if no attempt before has taken effect by now, it is
/// refused.
fn is_declined(one: &Unsettled) -> bool {
    let codes = [Code::ProviderRefused, Code::ReferenceCollision, Code::ReferenceRetired];
    codes.iter().any(|code| one.record.effect.code.as_deref() == Some(code.as_str()))
}

/// Whether a create may be sent again with the key that it had, instead of being looked for: nothing
/// has answered it, and that was not tried in vain before. The second time it is given its time: it may
/// be in progress.
fn may_repeat_its_key(engine: &Engine, one: &Unsettled) -> bool {
    let record = &one.record;
    record.effect.kind == EffectKind::CreateCustomer
        && record.idempotency_key.is_some()
        && record.status.is_none()
        && record.effect.attempt < ATTEMPTS
        && engine.clock.now().since(record.created_at) < KEY_LIVES
        && (record.effect.attempt == 1 || is_due(engine, one))
}

/// What an error of reading says of the effects it was read for, if it is no error of the whole
/// account.
fn unread(error: EngineError, due: bool) -> Result<Said, EngineError> {
    match error {
        EngineError::Backend(error) if error.is_account_fault() => Err(error.into()),
        EngineError::Backend(error) if error.kind.read_is_retryable() => {
            Ok(Said::Unread(Some(error.into())))
        }
        EngineError::Backend(error) if due => Ok(Said::Person(
            Code::OutcomeUnknown,
            format!("what became of it could not be read: {error}"),
        )),
        EngineError::Backend(_) => Ok(Said::TooEarly),
        error => Err(error),
    }
}

/// Whether absence may be believed of a request that begins now.
fn is_due(engine: &Engine, one: &Unsettled) -> bool {
    one.age >= engine.account.timing.quarantine
}

/// What is said of an effect by reading for it alone; with `repeats`, it may be sent again once nobody
/// is found whom it would double.
async fn alone(
    engine: &Engine,
    ctx: &CallCtx,
    one: &Unsettled,
    repeats: bool,
) -> Result<Said, EngineError> {
    let effect = &one.record.effect;
    let due = is_due(engine, one);
    match (effect.kind, &effect.reference, engine.account.capabilities().settle_create) {
        (EffectKind::CreateCustomer, Some(reference), SettleCreate::UniqueReference) => {
            let said = find(engine, ctx, reference, due, true).await?;
            Ok(match said {
                // Once at once: the provider refuses a second one. Beyond that there is time.
                Said::Again(_) if !due && repeats && effect.attempt == 1 => Said::Repeatable,
                Said::Again(_) if !due => Said::TooEarly,
                said => said,
            })
        }
        (EffectKind::CreateCustomer, Some(reference), SettleCreate::IdempotencyKey) => {
            find(engine, ctx, reference, due, false).await
        }
        (EffectKind::UpdateCustomer, ..) => update::read_back(engine, ctx, one, due).await,
        _ if due => Ok(Said::Person(
            Code::OutcomeUnknown,
            "its answer was lost, and reading this provider does not tell what became of it".into(),
        )),
        _ => Ok(Said::TooEarly),
    }
}

async fn find(
    engine: &Engine,
    ctx: &CallCtx,
    reference: &Reference,
    due: bool,
    absence_counts: bool,
) -> Result<Said, EngineError> {
    let found = match observe::find(engine, ctx, reference).await {
        Ok(found) => found,
        // Two of this reference: the list names them, and it is known who was there before.
        Err(EngineError::Backend(error)) if error.kind == ErrorKind::Conflict => {
            return Ok(if due { Said::Unlisted } else { Said::TooEarly });
        }
        Err(error) => return unread(error, due),
    };
    let person = |why: &str| match due {
        true => Said::Person(Code::OutcomeUnknown, why.into()),
        false => Said::TooEarly,
    };
    Ok(match found {
        Found::Customer(customer) => Said::There(Applied::Customer(customer)),
        Found::Nobody if absence_counts => Said::Again("nobody of this reference is there"),
        // Sent again, it is refused for that: the reference stays taken.
        Found::Retired if absence_counts => {
            Said::Again("the provider finds a deleted customer of this reference")
        }
        Found::Nobody if due => Said::Unlisted,
        Found::Nobody => Said::TooEarly,
        // Somebody else: it does not tell whether ours was made.
        Found::Collision => person("the provider finds a reference that differs in case only"),
        Found::Retired => person("the provider finds a deleted customer of this reference"),
    })
}
