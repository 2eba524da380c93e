//! Many payment methods in one call.

use anyhow::{Context as _, ensure};
use backend::{Capabilities, Effect, ItemOutcome, NewMethod, SendOutcome, TokenRoute};
use model::{EffectKind, RemoteCustomerId};

use super::methods::is_of;
use super::mutant::{How, Mutant};
use super::world::{World, done, timing};
use super::{Case, case};
use crate::providers::{Opening, Written};

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            each_row_has_its_own_result,
            imports,
            0,
            &[
                Mutant::new("reversed", How::Outcome(|outcome| outcome.items.reverse())),
                Mutant::new("does_nothing", How::Skips(EffectKind::ImportMethod)),
                Mutant::new("twice", How::Twice),
            ]
        ),
        case!(
            a_bad_row_spoils_no_other,
            imports,
            0,
            &[
                Mutant::new(
                    "spoils_all",
                    How::Outcome(|outcome| {
                        if let Some(bad) =
                            outcome.items.iter().find(|i| matches!(i, ItemOutcome::Refused(_)))
                        {
                            let bad = bad.clone();
                            outcome.items.fill(bad);
                        }
                    })
                ),
                Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
            ]
        ),
        case!(
            a_token_twice_is_what_the_provider_holds,
            imports,
            0,
            &[Mutant::new(
                "one_for_both",
                How::Outcome(|outcome| {
                    if let Some(first) = outcome.items.first().cloned() {
                        outcome.items.fill(first);
                    }
                })
            ),]
        ),
        case!(
            a_result_that_is_missing_is_unknown,
            imports,
            0,
            &[
                Mutant::new("counted_on", How::Outcome(as_another)),
                Mutant::new("said_to_be_refused", How::Outcome(super::unknown_is_refused)),
            ]
        ),
        case!(
            too_many_rows_are_told_so,
            imports,
            0,
            &[
                Mutant::new(
                    "said_to_be_refused",
                    How::Outcome(|outcome| {
                        for item in &mut outcome.items {
                            if matches!(item, ItemOutcome::BatchTooLarge) {
                                *item = ItemOutcome::Refused(backend::Refusal::default());
                            }
                        }
                    })
                ),
                Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
            ]
        ),
    ]
}

fn imports(capabilities: &Capabilities) -> bool {
    capabilities.import_batch.is_some()
}

/// What is not known is taken for what another row came to.
fn as_another(outcome: &mut SendOutcome) {
    let done = outcome.items.iter().find(|item| matches!(item, ItemOutcome::Done(_))).cloned();
    for item in &mut outcome.items {
        if let (ItemOutcome::Unknown(_), Some(done)) = (&*item, &done) {
            *item = done.clone();
        }
    }
}

/// Rows for two customers, of each kind that can be saved so.
struct Batch {
    customers: Vec<RemoteCustomerId>,
    rows: Vec<Written>,
    effect: Effect,
}

fn batch(w: &World, rows: Vec<Written>) -> anyhow::Result<Batch> {
    let customers = vec![w.somebody()?.1, w.somebody()?.1];
    let new: anyhow::Result<Vec<NewMethod>> = rows
        .iter()
        .zip(customers.iter().cycle())
        .map(|(row, customer)| World::new_method(customer, row, false))
        .collect();
    Ok(Batch { customers, rows, effect: Effect::ImportMethods(new?) })
}

fn rows(w: &World) -> Vec<Written> {
    (0..3).flat_map(|_| w.savable(TokenRoute::Bulk)).collect()
}

/// Fails unless a row is done and the provider holds it for its customer.
fn is_saved(w: &World, batch: &Batch, at: usize, outcome: ItemOutcome) -> anyhow::Result<String> {
    let made = done(outcome).with_context(|| format!("row {at}"))?.method;
    let made = made.with_context(|| format!("row {at} names no payment method"))?;
    let customer = &batch.customers[at % batch.customers.len()];
    let held = w.held(customer.as_str()).context("the customer is gone")?;
    let held = held.methods.iter().find(|held| held.id == made.id.as_str());
    let held = held.with_context(|| format!("row {at} is not held for its customer"))?;
    is_of(&made.facts, held)?;
    is_of(&batch.rows[at].method.facts()?, held)?;
    Ok(made.id.as_str().to_owned())
}

fn held(w: &World, batch: &Batch) -> usize {
    let customers = batch.customers.iter().filter_map(|customer| w.held(customer.as_str()));
    customers.map(|customer| customer.methods.len()).sum()
}

async fn each_row_has_its_own_result(w: &World) -> anyhow::Result<()> {
    let batch = batch(w, rows(w))?;
    let outcome = w.send(&batch.effect).await?;
    for (at, item) in outcome.items.into_iter().enumerate() {
        is_saved(w, &batch, at, item)?;
    }
    let (held, sent) = (held(w, &batch), batch.rows.len());
    ensure!(held == sent && sent > 3, "{held} are held of {sent}");
    Ok(())
}

async fn a_bad_row_spoils_no_other(w: &World) -> anyhow::Result<()> {
    let mut rows = rows(w);
    let row = rows.get_mut(2).context("three rows")?;
    if let Some((kind, token)) = &mut row.token {
        *token = w.provider.bad_token(*kind).context("a token of nothing")?.to_owned();
    }
    let batch = batch(w, rows)?;
    for (at, item) in w.send(&batch.effect).await?.items.into_iter().enumerate() {
        if at == 2 {
            ensure!(matches!(item, ItemOutcome::Refused(_)), "{item:?}");
        } else {
            is_saved(w, &batch, at, item)?;
        }
    }
    Ok(())
}

async fn a_token_twice_is_what_the_provider_holds(w: &World) -> anyhow::Result<()> {
    let row = w.savable(TokenRoute::Bulk).pop().context("nothing to save")?;
    // With two customers in turn, the first and the third row are of one.
    let other = w.savable(TokenRoute::Bulk).pop().context("nothing to save")?;
    let batch = batch(w, vec![row.clone(), other, row])?;
    let mut items = w.send(&batch.effect).await?.items.into_iter();
    let first = is_saved(w, &batch, 0, items.next().context("an item")?)?;
    is_saved(w, &batch, 1, items.next().context("an item")?)?;
    match items.next().context("an item")? {
        ItemOutcome::AlreadySaved(id) => {
            ensure!(id.as_str() == first && held(w, &batch) == 2, "{id:?} beside {first}");
        }
        other => {
            let second = is_saved(w, &batch, 2, other)?;
            ensure!(second != first && held(w, &batch) == 3, "{second} beside {first}");
        }
    }
    Ok(())
}

async fn a_result_that_is_missing_is_unknown(w: &World) -> anyhow::Result<()> {
    for fault in ["missing_index", "repeat_index", "foreign_index"] {
        w.faults(&format!("bulk_import:1={fault}"))?;
        let batch = batch(w, rows(w))?;
        let mut unknown = 0;
        for (at, item) in w.send(&batch.effect).await?.items.into_iter().enumerate() {
            if let ItemOutcome::Unknown(_) = item {
                unknown += 1;
            } else {
                is_saved(w, &batch, at, item).with_context(|| fault.to_owned())?;
            }
        }
        ensure!(unknown == 1, "{fault}: {unknown} rows are unknown");
        w.all_fired()?;
    }
    Ok(())
}

async fn too_many_rows_are_told_so(w: &World) -> anyhow::Result<()> {
    // We believe in more than the provider takes.
    let most = w.capabilities.import_batch.context("a limit")?;
    let opening = Opening { import_batch: 2 * most, ..Opening::of(w.account()) };
    let opened = w.open(&opening, timing())?;
    let mut rows = Vec::new();
    while rows.len() <= usize::try_from(most)? {
        rows.extend(w.savable(TokenRoute::Bulk));
    }
    let large = batch(w, rows)?;
    let outcome = w.send_with(&opened, &large.effect, "large").await?;
    let is_too_large = |item: &ItemOutcome| matches!(item, ItemOutcome::BatchTooLarge);
    ensure!(outcome.items.iter().all(is_too_large), "{:?}", outcome.items.first());
    ensure!(held(w, &large) == 0, "{} are held", held(w, &large));
    // And what we know to be too many is not sent.
    let rejected = w.prepare(&large.effect);
    ensure!(rejected.is_err(), "{} rows are prepared", large.rows.len());
    Ok(())
}
