//! Who is there, where a provider takes the same reference twice: before the first create the customer
//! list is known as a whole (rule 4).

use std::time::Duration;

use backend::{BackendError, ErrorKind, FindBy};
use model::{EffectKind, RunId};
use store::{EffectQuery, EffectState, MatchCategory, RowTally};

use super::effects_in;
use super::plan::BLOCKED;
use crate::apply::Applier;
use crate::forecast::Counted;
use crate::scan::{self, Scan};
use crate::{Engine, EngineError};

/// A complete list that is older than this is read anew.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);
/// So many effects are read at once, where a create is looked for among them.
const EFFECTS: u32 = 1000;

/// Whether a plan creates customers at a provider that would take them twice, or may do so once it is
/// settled what became of an earlier create.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn is_needed(engine: &Engine, tally: &RowTally) -> Result<bool, EngineError> {
    let creates = |plan: &String| effects_in(plan).any(|one| one == EffectKind::CreateCustomer);
    if engine.account.capabilities().find == FindBy::UniqueReference {
        return Ok(false);
    }
    if tally.planned.keys().any(creates) {
        return Ok(true);
    }
    if !tally.planned.keys().any(|plan| plan.split('+').any(|word| word == BLOCKED)) {
        return Ok(false);
    }
    let mut after = None;
    loop {
        let page = engine.store.unsettled(&engine.account.name, after.as_ref(), EFFECTS).await?;
        if page.iter().any(|one| one.record.effect.kind == EffectKind::CreateCustomer) {
            return Ok(true);
        }
        let Some(last) = page.last() else { return Ok(false) };
        after = Some(last.record.effect.id.clone());
    }
}

/// Whether there is a complete list that is good still.
async fn is_there(engine: &Engine) -> Result<bool, EngineError> {
    let last = engine.store.last_complete_scan(&engine.account.name, &engine.config_hash).await?;
    Ok(last.is_some_and(|last| engine.clock.now().since(last) < GOOD_FOR))
}

/// Counts the calls that it takes: a page, and the empty one, twice where the provider does not say
/// how many customers it has; or the top alone; and in the end what `creates` made. How many
/// customers there are is not known before.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn count(
    engine: &Engine,
    creates: u64,
    calls: &mut Counted,
) -> Result<(), EngineError> {
    let capabilities = engine.account.capabilities();
    let page = u64::from(capabilities.customers_page);
    let live = engine.store.mirror_stats(&engine.account.name).await?.customers;
    let once = live.div_ceil(page) + 1;
    let passes = if capabilities.customers_total { 1 } else { 2 };
    let whole = passes * once + 2;
    let (least, most) = match is_there(engine).await? {
        // What earlier imports made since is read down to what a list has shown; at most all of it,
        // and then whole, if it is not who is known.
        true => (1, once + whole),
        false => (whole, whole),
    };
    // In the end what was made is read.
    let made = creates.div_ceil(page) + 1;
    calls.add(Some(capabilities.endpoints.list_customers), least + made, most + made);
    Ok(())
}

/// Whether a run has sent a create, in an earlier stint as well.
async fn has_created(engine: &Engine, run: &RunId) -> Result<bool, EngineError> {
    let mut query = EffectQuery {
        account: Some(engine.account.name.clone()),
        run: Some(run.clone()),
        states: EffectState::ALL.to_vec(),
        after: None,
        most: EFFECTS,
    };
    loop {
        let page = engine.store.effects(&query).await?;
        if page.iter().any(|record| record.effect.kind == EffectKind::CreateCustomer) {
            return Ok(true);
        }
        let Some(last) = page.last() else { return Ok(false) };
        query.after = Some(last.effect.id.clone());
    }
}

/// Reads what was made at the provider since the run began, and counts the references that more than
/// one live customer has: a create that was sent once may have taken effect twice. Nothing is changed.
///
/// # Errors
/// When the list or the store cannot be read.
pub(super) async fn sweep(applier: &Applier<'_>) -> Result<Option<(String, u64)>, EngineError> {
    let Applier { engine, run, ctx, since, .. } = applier;
    let unique = engine.account.capabilities().find == FindBy::UniqueReference;
    if unique || !has_created(engine, &run.id).await? {
        return Ok(None);
    }
    match scan::since(engine, ctx, &run.fence, *since).await {
        // Every row has its outcome by now.
        Err(EngineError::Backend(error)) if !error.is_account_fault() => {
            engine.progress.says("what was made meanwhile could not be read: pull the account");
            tracing::warn!(account = engine.account.name.as_str(), %error, "no look back");
            return Ok(None);
        }
        read => read?,
    }
    let found = engine.store.matching(&engine.account.name, 1).await?;
    let doubled = found.into_iter().find(|one| one.category == MatchCategory::DuplicateAtProvider);
    Ok(doubled.map(|one| (one.category.as_str().to_owned(), one.count)))
}

/// Reads the customer list into the mirror: whole and confirmed, unless that was done within a day;
/// then its top, until a whole page was known.
///
/// # Errors
/// When the list cannot be read to its end, or a customer of it cannot be read: it may be one of the
/// file.
pub(super) async fn read(applier: &Applier<'_>) -> Result<(), EngineError> {
    let Applier { engine, run, ctx, .. } = applier;
    if !is_there(engine).await? || !scan::head(engine, ctx, &run.fence).await? {
        engine
            .progress
            .says("the customer list is read first: the provider takes a reference twice");
        let mut scan = Scan::begin(engine, ctx, &run.fence, true).await?;
        let whole = pages(engine, &mut scan).await;
        scan.end().await?;
        whole?;
        // Who came while it was read.
        if !scan::head(engine, ctx, &run.fence).await? {
            let account = engine.account.name.as_str();
            tracing::warn!(
                account,
                "read whole, the list has more or fewer customers than are known"
            );
        }
    }
    Ok(())
}

async fn pages(engine: &Engine, scan: &mut Scan<'_>) -> Result<(), EngineError> {
    let mut seen = 0;
    while let Some(page) = scan.next().await? {
        seen += page.counts.seen;
        engine.progress.at("customers read", seen, None);
        if page.unreadable > 0 {
            let why = format!(
                "{} customers of the list cannot be read: whether they are in the file cannot be told",
                page.unreadable
            );
            return Err(BackendError::new(ErrorKind::Malformed, "list customers", why).into());
        }
    }
    Ok(())
}
