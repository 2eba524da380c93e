//! Settling effects whose outcome is not known (rule 5): the provider is read, and what it shows
//! decides. What was found counts when it is seen; what is absent only after the quarantine.

mod judge;
mod person;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backend::{CallCtx, SettleCreate};
use futures::{StreamExt, stream};
use model::{Code, EffectId, EffectKind, Origin, Reference, RemoteCustomerId, RemoteMethod};
use store::{Applied, EffectOutcome, EffectState, Fence, TokenLink, Unsettled};
use tokio::time::{Instant, sleep};
use tracing::info;

use self::judge::{Add, DefaultNow, Shown};
pub use self::person::{Resolution, resolve, settle_account};
use crate::observe::{self, Found, MethodRead};
use crate::{Engine, EngineError, Failpoint};

/// Effects read and settled together.
const PAGE: u32 = 500;
/// So many attempts, each proven to have had no effect, and the provider is taken to refuse.
const ATTEMPTS: i64 = 3;
/// After this time a default that cannot be read back is not sent again by itself.
const STALE: Duration = Duration::from_secs(3600);

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
    /// They had none, and may be sent again.
    pub planned: u64,
    /// The provider has declined them after all.
    pub refused: u64,
    /// Only a person can tell.
    pub unresolved: u64,
    /// Still not known.
    pub left: u64,
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
    /// The provider has declined it after all.
    Refused(Code, String),
    /// Only a person can tell.
    Person(Code, String),
    /// Nothing yet.
    TooEarly,
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

/// Settles the effects of the account whose outcome is not known.
///
/// # Errors
/// When the provider or the store cannot be reached, or somebody wants us to stop. What was settled
/// stays settled.
pub(crate) async fn settle(
    engine: &Engine,
    fence: &Fence,
    ctx: &CallCtx,
    patience: Patience,
) -> Result<Settled, EngineError> {
    let mut read: BTreeSet<(EffectId, i64)> = BTreeSet::new();
    let mut settled = Settled::default();
    let mut told = false;
    loop {
        let due = pass(engine, fence, ctx, &mut read, &mut settled).await?;
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
    read: &mut BTreeSet<(EffectId, i64)>,
    settled: &mut Settled,
) -> Result<Option<Due>, EngineError> {
    let (account, quarantine) = (&engine.account.name, engine.account.timing.quarantine);
    let mut due: Option<Due> = None;
    let mut after: Option<EffectId> = None;
    settled.left = 0;
    loop {
        engine.stop.check()?;
        let began = Instant::now();
        let page = engine.store.unsettled(account, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(due) };
        after = Some(last.record.effect.id.clone());
        let key = |one: &Unsettled| (one.record.effect.id.clone(), one.record.effect.attempt);
        let (wanted, later): (Vec<Unsettled>, Vec<Unsettled>) =
            page.into_iter().partition(|one| one.age >= quarantine || !read.contains(&key(one)));
        let mut waits: Vec<Duration> = later.iter().map(|one| one.age).collect();
        read.extend(wanted.iter().map(key));
        let mut outcomes = Vec::with_capacity(wanted.len());
        for (one, said) in look(engine, ctx, wanted).await? {
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
        Said::TooEarly => return None,
        Said::There(applied) => EffectOutcome {
            origin: Some(Origin::Found),
            applied: vec![applied],
            ..with(
                EffectState::Done,
                Code::FoundLater,
                "its answer was lost; it was found by reading".into(),
            )
        },
        Said::Again(_) if effect.attempt >= ATTEMPTS => with(
            EffectState::Refused,
            Code::NeverAnswered,
            format!("sent {} times, never answered, and never there", effect.attempt),
        ),
        Said::Again(why) => EffectOutcome { message: Some(why.to_owned()), ..blank },
        Said::Refused(code, message) => with(EffectState::Refused, code, message),
        Said::Person(code, message) => with(EffectState::Unresolved, code, message),
    })
}

/// Reads what each effect needs: a customer's list once for all effects of that customer.
async fn look(
    engine: &Engine,
    ctx: &CallCtx,
    wanted: Vec<Unsettled>,
) -> Result<Vec<(Unsettled, Said)>, EngineError> {
    let mut of_customers: BTreeMap<RemoteCustomerId, Vec<Unsettled>> = BTreeMap::new();
    let mut others = Vec::new();
    for one in wanted {
        let effect = &one.record.effect;
        let listed = matches!(
            effect.kind,
            EffectKind::AddMethod | EffectKind::ImportMethod | EffectKind::SetDefault
        );
        match effect.remote_customer.clone().filter(|_| listed) {
            Some(customer) => of_customers.entry(customer).or_default().push(one),
            None => others.push(one),
        }
    }
    let mut all = Vec::new();
    let mut alone = stream::iter(others)
        .map(|one| async move {
            let said = alone(engine, ctx, &one).await;
            said.map(|said| (one, said))
        })
        .buffer_unordered(engine.account.in_flight());
    while let Some(said) = alone.next().await {
        all.push(said?);
    }
    let mut together = stream::iter(of_customers)
        .map(|(customer, effects)| async move { listed(engine, ctx, &customer, effects).await })
        .buffer_unordered(engine.account.in_flight());
    while let Some(said) = together.next().await {
        all.extend(said?);
    }
    Ok(all)
}

/// Whether absence may be believed of a request that begins now.
fn is_due(engine: &Engine, one: &Unsettled) -> bool {
    one.age >= engine.account.timing.quarantine
}

/// What is said of an effect by reading for it alone.
async fn alone(engine: &Engine, ctx: &CallCtx, one: &Unsettled) -> Result<Said, EngineError> {
    let effect = &one.record.effect;
    let due = is_due(engine, one);
    match (effect.kind, &effect.reference, engine.account.capabilities().settle_create) {
        (EffectKind::CreateCustomer, Some(reference), SettleCreate::UniqueReference) => {
            // Repeated at once: the provider refuses a second one. Beyond that there is time.
            find(engine, ctx, reference, due || effect.attempt == 1).await
        }
        // Deciding begins with reading them: what took effect is no wish any more.
        (EffectKind::UpdateCustomer | EffectKind::RemoveMethod, ..) if due => {
            Ok(Said::Again("what it was to change is read again before anything is sent"))
        }
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
    absence_counts: bool,
) -> Result<Said, EngineError> {
    Ok(match observe::find(engine, ctx, reference).await? {
        Found::Customer(customer) => Said::There(Applied::Customer(customer)),
        Found::Nobody if absence_counts => Said::Again("nobody of this reference is there"),
        Found::Nobody => Said::TooEarly,
        Found::Collision => Said::Refused(
            Code::ReferenceCollision,
            "the reference exists at the provider in another case".into(),
        ),
        Found::Retired => Said::Refused(
            Code::ReferenceRetired,
            "the provider holds a deleted customer of this reference".into(),
        ),
    })
}

/// What a customer's list of payment methods says of its effects. Absence needs two lists, both
/// begun after the quarantine.
async fn listed(
    engine: &Engine,
    ctx: &CallCtx,
    customer: &RemoteCustomerId,
    effects: Vec<Unsettled>,
) -> Result<Vec<(Unsettled, Said)>, EngineError> {
    let first = methods(engine, ctx, customer).await?;
    let mut said: Vec<Said> = effects.iter().map(|one| by_list(engine, one, &first)).collect();
    if said.iter().any(|said| matches!(said, Said::Again(_))) {
        let second = methods(engine, ctx, customer).await?;
        for (one, said) in effects.iter().zip(&mut said) {
            if matches!(said, Said::Again(_)) {
                *said = by_list(engine, one, &second);
            }
        }
    }
    Ok(effects.into_iter().zip(said).collect())
}

/// A customer's payment methods as they were read: none of a customer that is gone, and what it
/// had with it.
struct Listed {
    methods: Vec<RemoteMethod>,
    unreadable: u64,
}

/// Lists a customer's payment methods; why that cannot be, where it is this customer's own fault.
async fn methods(
    engine: &Engine,
    ctx: &CallCtx,
    customer: &RemoteCustomerId,
) -> Result<Result<Listed, String>, EngineError> {
    match observe::methods_of(engine, ctx, customer).await {
        Ok(Some(MethodRead { list, unreadable, .. })) => {
            Ok(Ok(Listed { methods: list.methods, unreadable }))
        }
        Ok(None) => Ok(Ok(Listed { methods: Vec::new(), unreadable: 0 })),
        Err(error) if error.is_account_fault() || error.kind.read_is_retryable() => {
            Err(error.into())
        }
        Err(error) => Ok(Err(format!("the customer's payment methods could not be read: {error}"))),
    }
}

fn by_list(engine: &Engine, one: &Unsettled, read: &Result<Listed, String>) -> Said {
    let effect = &one.record.effect;
    let due = is_due(engine, one);
    let Listed { methods, unreadable } = match read {
        Ok(listed) => listed,
        Err(why) if due => return Said::Person(Code::OutcomeUnknown, why.clone()),
        Err(_) => return Said::TooEarly,
    };
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

fn link(one: &Unsettled, customer: &RemoteCustomerId, method: &RemoteMethod) -> Option<TokenLink> {
    Some(TokenLink {
        reference: one.record.effect.reference.clone()?,
        fp: one.record.effect.fp?,
        remote_customer: customer.clone(),
        remote_method: method.id.clone(),
        how: "created".into(),
    })
}
