//! Reading back: whether what a canary did is there when the provider is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use backend::{FindBy, MethodListing};
use futures::{StreamExt, stream};
use model::{
    Agreement, Code, EffectKind, MethodFacts, Outcome, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, RemoteMethodId, RemoteStatus,
};
use store::{EffectState, Group, MethodList, MethodsWrite, Overlap};
use tokio::time::{Instant, sleep};

use super::{GROUPS, effects_in};
use crate::apply::Applier;
use crate::observe;
use crate::scan::{Depth, List};
use crate::{Engine, EngineError};

/// What is wrong with a row of the canary.
#[derive(Debug)]
struct Fault {
    line: u64,
    why: String,
    /// Nothing was sent for the row yet.
    waits: bool,
}

/// A payment method that this run saved, or made the default.
#[derive(Debug)]
struct Saved {
    line: u64,
    id: RemoteMethodId,
    facts: Option<MethodFacts>,
    default: bool,
}

/// What a reference must show when it is read.
#[derive(Debug)]
struct Wanted {
    line: u64,
    customer: RemoteCustomerId,
    saved: Vec<Saved>,
}

/// Makes sure that every effect of these references is done, and there when it is read.
///
/// # Errors
/// [`EngineError::CanaryFailed`] when it is not; what keeps the provider from being read, as it
/// is: the run can be resumed then, and reads again.
pub(super) async fn check(applier: &Applier<'_>, heads: &[u64]) -> Result<(), EngineError> {
    let engine = applier.engine;
    let mut faults = Vec::new();
    for some in heads.chunks(GROUPS as usize) {
        let groups =
            engine.store.load_heads(&applier.run.fence, &engine.account.name, some).await?;
        let mut lists = Vec::new();
        let mut reads = stream::iter(groups)
            .map(|group| async move { look(applier, &group).await })
            .buffer_unordered(engine.account.in_flight());
        while let Some(read) = reads.next().await {
            let (wrong, list) = read?;
            faults.extend(wrong);
            lists.extend(list);
        }
        let account = engine.account.name.clone();
        let write = MethodsWrite { account, lists, absent: Vec::new(), overlap: Overlap::Written };
        engine.store.apply_methods(&applier.run.fence, write).await?;
    }
    let rows = faults.iter().map(|fault| fault.line).collect::<BTreeSet<_>>().len() as u64;
    // What went wrong is named before what was not sent for it.
    match faults.into_iter().min_by_key(|fault| (fault.waits, fault.line)) {
        None => Ok(()),
        Some(Fault { line, why, .. }) => Err(EngineError::CanaryFailed { line, rows, why }),
    }
}

/// What is wrong with a reference, and the methods that were read.
async fn look(
    applier: &Applier<'_>,
    group: &Group,
) -> Result<(Vec<Fault>, Option<MethodList>), EngineError> {
    let engine = applier.engine;
    let mut faults = undone(applier, group);
    let Some(wanted) = wanted(applier, group).filter(|_| faults.is_empty()) else {
        return Ok((faults, None));
    };
    // A provider may show what it took a little later.
    let late = engine.account.timing.late;
    let deadline = Instant::now() + late;
    loop {
        let (why, list) = read(applier, &group.reference, &wanted).await?;
        let Some(why) = why else { return Ok((faults, list)) };
        if Instant::now() >= deadline {
            faults.push(why);
            return Ok((faults, list));
        }
        engine.stop.check()?;
        sleep((late / 10).clamp(Duration::from_millis(20), Duration::from_secs(1))).await;
    }
}

/// What did not end done, by the journal and by the rows.
fn undone(applier: &Applier<'_>, group: &Group) -> Vec<Fault> {
    let first = group.rows.first().map_or(0, |row| row.line);
    let effects = group
        .effects
        .iter()
        .filter(|effect| effect.run == applier.run.id && effect.state != EffectState::Done)
        .map(|effect| {
            let why = effect.message.as_deref().unwrap_or("no answer");
            let (kind, state) = (effect.kind.as_str(), effect.state.as_str());
            Fault {
                line: effect.line.unwrap_or(first),
                why: format!("{kind} is {state}: {why}"),
                waits: false,
            }
        });
    let has_done = |line| {
        group.effects.iter().any(|effect| {
            let here = effect.run == applier.run.id && effect.line == Some(line);
            here && effect.state == EffectState::Done
        })
    };
    let rows = group.rows.iter().filter(|row| {
        let planned = row.plan.as_deref().is_some_and(|plan| effects_in(plan).next().is_some());
        let done = match row.outcome {
            Some(Outcome::Created | Outcome::Linked | Outcome::Updated | Outcome::Unchanged) => {
                true
            }
            // Something else was wished beside it: this provider cannot take that, or somebody
            // changed it there since.
            Some(Outcome::Rejected) => match row.code {
                Some(Code::NotUpdatable) => true,
                Some(Code::ChangedAtProvider) => has_done(row.line),
                _ => false,
            },
            Some(Outcome::Refused | Outcome::Unresolved | Outcome::NotAttempted) | None => false,
        };
        planned && !done
    });
    let rows = rows.map(|row| {
        let outcome = row.outcome.unwrap_or(Outcome::NotAttempted);
        let code = row.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let why = row.message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        Fault { line: row.line, why: format!("{outcome}{code}{why}"), waits: row.outcome.is_none() }
    });
    effects.chain(rows).collect()
}

/// What this run's effects must have left there; `None` where they touched nothing.
fn wanted(applier: &Applier<'_>, group: &Group) -> Option<Wanted> {
    let mut wanted: Option<Wanted> = None;
    for effect in group.effects.iter().filter(|effect| effect.run == applier.run.id) {
        let Some(customer) = &effect.remote_customer else { continue };
        let line = effect.line.unwrap_or_default();
        let whole = wanted.get_or_insert_with(|| Wanted {
            line,
            customer: customer.clone(),
            saved: Vec::new(),
        });
        let Some(id) = &effect.remote_method else { continue };
        let staged = group.rows.iter().find(|row| Some(row.line) == effect.line);
        let method = staged.and_then(|row| row.method.as_ref());
        whole.saved.push(Saved {
            line,
            id: id.clone(),
            facts: method.map(|method| method.facts.clone()),
            default: match effect.kind {
                EffectKind::SetDefault => true,
                EffectKind::ImportMethod => method.is_some_and(|m| m.default == Some(true)),
                EffectKind::AddMethod
                | EffectKind::CreateCustomer
                | EffectKind::UpdateCustomer
                | EffectKind::DeleteCustomer
                | EffectKind::RemoveMethod => false,
            },
        });
    }
    wanted
}

/// Reads a customer and its methods; the first thing that is not as it must be.
async fn read(
    applier: &Applier<'_>,
    reference: &Reference,
    wanted: &Wanted,
) -> Result<(Option<Fault>, Option<MethodList>), EngineError> {
    let wrong = |line, why: &str| Some(Fault { line, why: why.to_owned(), waits: false });
    let Some(customer) = customer(applier, reference, &wanted.customer).await? else {
        return Ok((wrong(wanted.line, "the customer is not there when it is read back"), None));
    };
    // Where a find leads to is believed by the same rule (rule 2).
    if customer.id != wanted.customer || customer.status != RemoteStatus::Live {
        return Ok((wrong(wanted.line, "another or a deleted customer is read back"), None));
    }
    if customer.reference.as_deref() != Some(reference.as_str()) {
        return Ok((wrong(wanted.line, "the customer is read back with another reference"), None));
    }
    let capabilities = applier.engine.account.capabilities();
    let (methods, list) = match (capabilities.methods, customer.methods) {
        (MethodListing::Inline, methods) => (methods.unwrap_or_default(), None),
        (MethodListing::PerCustomer, _) if wanted.saved.is_empty() => (Vec::new(), None),
        (MethodListing::PerCustomer, _) => {
            let read = observe::methods_of(applier.engine, &applier.ctx, &wanted.customer).await;
            match read.map_err(EngineError::from)? {
                None => {
                    let why = "the customer is not there when its methods are read back";
                    return Ok((wrong(wanted.line, why), None));
                }
                Some(read) => (read.list.methods.clone(), Some(read.list)),
            }
        }
    };
    let fault = wanted.saved.iter().find_map(|saved| {
        let why = missing(saved, &methods, capabilities.default_readable)?;
        wrong(saved.line, why)
    });
    Ok((fault, list))
}

/// What of a saved method is not as it must be.
fn missing(
    saved: &Saved,
    methods: &[RemoteMethod],
    default_readable: bool,
) -> Option<&'static str> {
    let Some(method) = methods.iter().find(|method| method.id == saved.id) else {
        return Some("the payment method is not listed when it is read back");
    };
    let facts = saved.facts.as_ref();
    if facts.is_some_and(|facts| method.facts.agreement(facts) == Agreement::Differs) {
        return Some("the payment method is read back with other facts than the row's");
    }
    (saved.default && default_readable && method.default != Some(true))
        .then_some("the payment method is not the default when it is read back")
}

/// The customer as the provider shows it now: by its id, else by its reference, else in the list.
async fn customer(
    applier: &Applier<'_>,
    reference: &Reference,
    id: &RemoteCustomerId,
) -> Result<Option<RemoteCustomer>, EngineError> {
    let (engine, ctx): (&Engine, _) = (applier.engine, &applier.ctx);
    let capabilities = engine.account.capabilities();
    if capabilities.get_customer {
        return Ok(engine.account.get_customer(ctx, id).await?);
    }
    if capabilities.find == FindBy::UniqueReference {
        return Ok(engine.account.find_customer(ctx, reference).await?);
    }
    let mut list = List::new(engine, ctx, capabilities.customers_page, Depth::End);
    while let Some(shown) = list.next().await? {
        if let Some(customer) = shown.customers.into_iter().find(|customer| customer.id == *id) {
            return Ok(Some(customer));
        }
    }
    Ok(None)
}
