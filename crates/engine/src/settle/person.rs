//! Settling that a person asks for: all effects of an account, or one that only a person can tell.

use backend::{CallCtx, FindBy, Lane};
use model::{
    Agreement, Code, EffectId, EffectKind, MethodFacts, Origin, Reference, RemoteMethod,
    RemoteMethodId, RunId, Summary,
};
use serde_json::json;
use store::{Applied, EffectOutcome, EffectQuery, EffectState, NewRun, Unsettled};

use super::judge::{self, Add};
use super::lists;
use super::methods::link;
use super::{PAGE, Patience, Settled, Unheard, is_due, settle, take_over};
use crate::observe::{self, Found};
use crate::run::{ActiveRun, Findings};
use crate::{Engine, EngineError};

/// What a person saw at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// It took effect; this is the provider's id of the payment method that it made, if several may
    /// be it.
    Done {
        /// Which.
        remote_id: Option<RemoteMethodId>,
    },
    /// It had no effect: the next import may send it again.
    Absent {
        /// Without looking whether the provider shows what it may have made.
        force: bool,
    },
}

async fn begin(
    engine: &Engine,
    job: &'static str,
    args: &serde_json::Value,
    cause: &str,
) -> Result<ActiveRun, EngineError> {
    let new = NewRun {
        id: RunId::generate(),
        job: job.into(),
        account: engine.account.name.clone(),
        cause: cause.into(),
        writing: true,
        args: args.to_string(),
        input_name: None,
        input_hash: None,
        config_hash: Some(engine.config_hash.clone()),
        parts: 1,
    };
    ActiveRun::begin(engine, job, new).await
}

async fn end<T>(
    engine: &Engine,
    run: ActiveRun,
    worked: Result<T, EngineError>,
) -> Result<(T, Summary), EngineError> {
    let ended = run.end(engine, Findings::default(), worked.as_ref().err()).await;
    let worked = worked?;
    Ok((worked, ended?))
}

/// Settles every effect of the account whose outcome is not known, what workers that are gone left
/// on its way included, and waits for the quarantine where it must. Nothing is sent.
///
/// # Errors
/// When the account is in use, or the provider or the store cannot be reached.
pub async fn settle_account(
    engine: &Engine,
    cause: &str,
) -> Result<(Settled, Summary), EngineError> {
    let run = begin(engine, "settle", &json!({}), cause).await?;
    let ctx = CallCtx::for_run(Lane::Interactive, &run.id);
    let worked = async {
        observe::same_account(engine, &ctx).await?;
        take_over(engine, &run.fence).await?;
        let patience = Patience::UntilSettled;
        let settled = settle(engine, &run.fence, &ctx, &mut Unheard::default(), patience).await?;
        Ok(Settled { waiting: count_waiting(engine).await?, ..settled })
    }
    .await;
    end(engine, run, worked).await
}

/// How many effects of the account wait for a person.
async fn count_waiting(engine: &Engine) -> Result<u64, EngineError> {
    let mut query = EffectQuery {
        account: Some(engine.account.name.clone()),
        states: vec![EffectState::Unresolved],
        most: PAGE,
        ..EffectQuery::default()
    };
    let mut count = 0;
    loop {
        let page = engine.store.effects(&query).await?;
        let Some(last) = page.last() else { return Ok(count) };
        query.after = Some(last.effect.id.clone());
        count += page.len() as u64;
    }
}

/// Writes what a person saw of an effect that could not be settled by reading. What took effect is
/// read once more, so that the store knows what it is.
///
/// # Errors
/// When there is no such effect or it does not wait for a person, when the account is in use, or
/// when the provider does not show what the person says, or shows what the person does not.
pub async fn resolve(
    engine: &Engine,
    id: &EffectId,
    resolution: &Resolution,
    note: Option<&str>,
    cause: &str,
) -> Result<Unsettled, EngineError> {
    waiting(engine, id, resolution).await?;
    let args = json!({
        "effect": id.as_str(),
        "as": match resolution {
            Resolution::Done { .. } => "done",
            Resolution::Absent { force: false } => "absent",
            Resolution::Absent { force: true } => "absent, by force",
        },
        "note": note,
    });
    let run = begin(engine, "resolve", &args, cause).await?;
    let worked = write(engine, &run, id, resolution, note).await;
    Ok(end(engine, run, worked).await?.0)
}

async fn known(engine: &Engine, id: &EffectId) -> Result<Unsettled, EngineError> {
    engine.store.effect(id).await?.ok_or_else(|| EngineError::NoSuchEffect(id.clone()))
}

/// The effect, if it waits for a person, or if reading has had its time.
async fn waiting(
    engine: &Engine,
    id: &EffectId,
    resolution: &Resolution,
) -> Result<Unsettled, EngineError> {
    let found = known(engine, id).await?;
    match found.record.effect.state {
        EffectState::Unresolved => Ok(found),
        // Reading may fail for ever.
        EffectState::Unknown if is_due(engine, &found) => Ok(found),
        // Until it is sent again, what was taken to be absent may turn out to be there.
        EffectState::Planned if matches!(resolution, Resolution::Done { .. }) => Ok(found),
        state => Err(EngineError::NotUnresolved {
            effect: id.clone(),
            state,
            account: found.record.account.to_string(),
        }),
    }
}

async fn write(
    engine: &Engine,
    run: &ActiveRun,
    id: &EffectId,
    resolution: &Resolution,
    note: Option<&str>,
) -> Result<Unsettled, EngineError> {
    // Nobody else settles it from here on: the account is ours.
    let sent = waiting(engine, id, resolution).await?;
    let ctx = CallCtx::for_run(Lane::Interactive, &run.id);
    let said = note.map(|note| format!(": {note}")).unwrap_or_default();
    let outcome = EffectOutcome {
        effect: id.clone(),
        state: EffectState::Planned,
        origin: None,
        code: None,
        message: Some(format!("a person saw that it had no effect{said}")),
        request_id: None,
        status: None,
        applied: Vec::new(),
    };
    let outcome = match resolution {
        Resolution::Absent { force } => {
            if !force {
                absent(engine, &ctx, &sent).await?;
            }
            outcome
        }
        Resolution::Done { remote_id } => EffectOutcome {
            state: EffectState::Done,
            origin: Some(Origin::Found),
            code: Some(Code::FoundLater.as_str().to_owned()),
            message: Some(format!("a person saw that it took effect{said}")),
            applied: applied(engine, &ctx, &sent, remote_id.as_ref()).await?,
            ..outcome
        },
    };
    engine.store.commit_outcomes(&run.fence, &engine.account.name, vec![outcome]).await?;
    known(engine, id).await
}

/// Looks for a customer by its reference, in the whole list where the provider does not find for sure.
async fn find(engine: &Engine, ctx: &CallCtx, reference: &Reference) -> Result<Found, EngineError> {
    let by = engine.account.capabilities().find;
    if by != FindBy::Nothing {
        let found = observe::find(engine, ctx, reference).await?;
        if by == FindBy::UniqueReference || !matches!(found, Found::Nobody) {
            return Ok(found);
        }
    }
    lists::find(engine, ctx, reference).await
}

/// Fails while the provider shows what the effect may have made: sent again, it would be there twice.
async fn absent(engine: &Engine, ctx: &CallCtx, sent: &Unsettled) -> Result<(), EngineError> {
    let effect = &sent.record.effect;
    let mut shown = Vec::new();
    match (effect.kind, &effect.reference, &effect.remote_customer) {
        (EffectKind::CreateCustomer, Some(reference), _) => {
            let by = engine.account.capabilities().find;
            if by != FindBy::Nothing
                && let Found::Customer(customer) = observe::find(engine, ctx, reference).await?
            {
                shown.push(customer.id.to_string());
            } else if by != FindBy::UniqueReference {
                shown = lists::against(engine, ctx, reference).await?;
            }
        }
        (EffectKind::AddMethod | EffectKind::ImportMethod, _, Some(customer)) => {
            if let Some(read) = observe::methods_of(engine, ctx, customer).await? {
                let may_be = may_be(sent, &read.list.methods);
                shown.extend(may_be.iter().map(|method| method.id.to_string()));
                if read.unreadable > 0 {
                    shown.push(format!("{} that cannot be read", read.unreadable));
                }
            }
        }
        _ => {}
    }
    if shown.is_empty() {
        return Ok(());
    }
    Err(EngineError::StillShown { effect: effect.id.clone(), shown: shown.join(", ") })
}

/// What the provider shows of an effect that a person says took place.
async fn applied(
    engine: &Engine,
    ctx: &CallCtx,
    sent: &Unsettled,
    remote_id: Option<&RemoteMethodId>,
) -> Result<Vec<Applied>, EngineError> {
    let effect = &sent.record.effect;
    let not_shown = |why: String| EngineError::NotShown { effect: effect.id.clone(), why };
    match (effect.kind, &effect.reference, &effect.remote_customer) {
        (EffectKind::CreateCustomer, Some(reference), _) => {
            match find(engine, ctx, reference).await? {
                Found::Customer(customer) => Ok(vec![Applied::Customer(customer)]),
                Found::Nobody | Found::Collision | Found::Retired => Err(not_shown(
                    "the provider shows no living customer of exactly this reference".into(),
                )),
            }
        }
        (EffectKind::AddMethod | EffectKind::ImportMethod, Some(_), Some(customer)) => {
            let read = observe::methods_of(engine, ctx, customer).await?;
            let listed = read.map(|read| read.list.methods).unwrap_or_default();
            let method = chosen(sent, &listed, remote_id).map_err(not_shown)?;
            Ok(vec![Applied::Method {
                customer: customer.clone(),
                link: link(sent, customer, method),
                method: Box::new(method.clone()),
            }])
        }
        (EffectKind::SetDefault, _, Some(customer)) => {
            let read = observe::methods_of(engine, ctx, customer).await?;
            let listed = read.map(|read| read.list.methods).unwrap_or_default();
            let ours = |method: &&RemoteMethod| Some(&method.id) == effect.remote_method.as_ref();
            match listed.iter().find(ours) {
                Some(method) if method.default != Some(false) => {
                    let (customer, method) = (customer.clone(), method.id.clone());
                    Ok(vec![Applied::Default { customer, method }])
                }
                _ => Err(not_shown("the provider shows another default".into())),
            }
        }
        // The next read brings what they changed.
        _ => Ok(Vec::new()),
    }
}

/// The payment method that an effect made: the one a person named, or the only one it can be.
fn chosen<'a>(
    sent: &'a Unsettled,
    listed: &'a [RemoteMethod],
    named: Option<&RemoteMethodId>,
) -> Result<&'a RemoteMethod, String> {
    if let Some(named) = named {
        let method = listed
            .iter()
            .find(|method| method.id == *named)
            .ok_or_else(|| format!("the customer has no payment method {named}"))?;
        // A person may know more than a list shows, but not that another row's is this one.
        let before = sent.record.known_before.as_deref().unwrap_or_default();
        let differs = |facts: &MethodFacts| method.facts.agreement(facts) == Agreement::Differs;
        return if before.contains(named) {
            Err(format!("payment method {named} was there before this was sent"))
        } else if sent.tied.contains(named) {
            Err(format!("payment method {named} came from another token"))
        } else if sent.facts.as_ref().is_some_and(differs) {
            Err(format!("payment method {named} is another than what was sent"))
        } else {
            Ok(method)
        };
    }
    if sent.facts.is_none() {
        return Err("what was to be saved is not known any more: name it".into());
    }
    match may_be(sent, listed).as_slice() {
        [one] => Ok(one),
        [] => Err("the customer has no new payment method that agrees with what was sent".into()),
        several => {
            let ids: Vec<&str> = several.iter().map(|method| method.id.as_str()).collect();
            Err(format!("several may be it, expected --remote-id with one of {}", ids.join(", ")))
        }
    }
}

/// The payment methods of a customer that may be the one that an effect made: those that agree with
/// what was sent, or any new one where that is not known any more.
fn may_be<'a>(sent: &'a Unsettled, listed: &'a [RemoteMethod]) -> Vec<&'a RemoteMethod> {
    let before = sent.record.known_before.as_deref().unwrap_or_default();
    match &sent.facts {
        Some(facts) => {
            let add = Add { facts, before, tied: &sent.tied };
            judge::candidates(add, listed).map(|(method, _)| method).collect()
        }
        None => judge::new_of(before, &sent.tied, listed).collect(),
    }
}
