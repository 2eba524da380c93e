//! Who is found by which reference, and how often one reference can be.

use anyhow::{Context as _, ensure};
use backend::{Capabilities, Effect, ItemOutcome, SettleCreate};
use model::{EffectKind, Reference};

use super::customers::alive;
use super::mutant::{How, Mutant, finds};
use super::world::{World, ctx, is_gone};
use super::{Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            who_was_deleted_is_found_as_such,
            |c| finds(c) && c.get_customer,
            3,
            &[Mutant::new("finds_it_alive", How::FindsAlive),]
        ),
        case!(
            who_never_was_is_nobody,
            |c| c.get_customer,
            3,
            &[
                Mutant::new("fails", How::FailsOnNobody),
                Mutant::new("gets_it_alive", How::Got(alive)),
            ]
        ),
        case!(
            a_find_is_exact,
            finds,
            30,
            &[
                Mutant::new("finds_the_first", How::FindsBy(|_, _| true)),
                Mutant::new(
                    "ignores_case",
                    How::FindsBy(|wanted, one| {
                        one.reference.as_deref().is_some_and(|has| has.eq_ignore_ascii_case(wanted))
                    })
                ),
                Mutant::new(
                    "finds_a_part",
                    How::FindsBy(|wanted, one| {
                        one.reference.as_deref().is_some_and(|has| has.contains(wanted))
                    })
                ),
                Mutant::new("quotes_badly", How::Reference(|text| text.replace(['\'', '/'], ""))),
            ]
        ),
        case!(
            a_second_customer_of_a_reference,
            |c| c.create_customer,
            0,
            &[
                Mutant::only("said_to_be_done", is_unique, How::Outcome(super::all_is_done)),
                Mutant::only("said_to_be_refused", is_unique, How::Outcome(super::all_is_refused)),
                Mutant::only("refused", |c| !is_unique(c), How::Outcome(super::all_is_refused)),
            ]
        ),
        case!(
            the_same_key_is_the_same_effect,
            |c| c.idempotency_keys,
            0,
            &[Mutant::new("no_key", How::Keyless),]
        ),
    ]
}

async fn who_was_deleted_is_found_as_such(w: &World) -> anyhow::Result<()> {
    let (reference, customer) = w.somebody()?;
    ensure!(w.find_customer(&ctx(), &reference).await?.is_some(), "it is not found");
    w.at.delete_customer(w.account(), customer.as_str())?;
    let found = w.find_customer(&ctx(), &reference).await?;
    let got = w.get_customer(&ctx(), &customer).await?;
    for shown in [&found, &got] {
        ensure!(is_gone(shown.as_ref()), "shown: {shown:?}");
        ensure!(shown.is_some() == w.capabilities.shows_deleted, "shown: {shown:?}");
    }
    // Whoever is found alive has to be there: nobody else is taken for it.
    let (_, stays) = w.somebody()?;
    let got = w.get(&stays).await?.context("it is not shown")?;
    let has = Reference::new(got.reference.context("its reference is not shown")?)?;
    let found = w.find_customer(&ctx(), &has).await?.context("it is not found")?;
    ensure!(found.id == stays && !is_gone(Some(&found)), "found: {found:?}");
    Ok(())
}

async fn who_never_was_is_nobody(w: &World) -> anyhow::Result<()> {
    // An id of the right form.
    let other = World::new(w.provider, w.vendor.clone(), 0, None).await?;
    for _ in 0..=w.number() {
        other.number();
    }
    let (_, stranger) = other.somebody()?;
    other.stop().await;
    ensure!(w.held(stranger.as_str()).is_none(), "it is there");
    let got = w.get_customer(&ctx(), &stranger).await?;
    ensure!(got.is_none(), "got: {got:?}");
    Ok(())
}

async fn a_find_is_exact(w: &World) -> anyhow::Result<()> {
    let there = ["Q-10", "O'Neil & Söhne/7 #1?", "a%20b+c", "100%", "x y"];
    for reference in there {
        w.at.create_customer(w.account(), Some(reference), "Eve Day", "eve@example.com")?;
    }
    for reference in there.into_iter().chain(["C-000007"]) {
        let found = w.find_customer(&ctx(), &Reference::new(reference)?).await;
        let found = found?.with_context(|| format!("{reference} is not found"))?;
        ensure!(found.reference.as_deref() == Some(reference), "{reference}: {found:?}");
    }
    for reference in ["Q-1", "q-10", "Q-100", "C-00000", "c-000007", "nobody", "a b+c", "x+y", "%"]
    {
        let found = w.find_customer(&ctx(), &Reference::new(reference)?).await?;
        ensure!(found.is_none(), "{reference}: {found:?}");
    }
    Ok(())
}

/// Whether a second customer of a reference cannot be.
fn is_unique(capabilities: &Capabilities) -> bool {
    capabilities.settle_create != SettleCreate::Scan
}

async fn a_second_customer_of_a_reference(w: &World) -> anyhow::Result<()> {
    let (reference, _) = w.somebody()?;
    let effect = Effect::CreateCustomer { reference: reference.clone(), profile: w.profile() };
    let outcome = w.one(&effect).await?;
    let is_right = match (w.capabilities.settle_create, &outcome) {
        // It is found then.
        (SettleCreate::UniqueReference, outcome) => {
            matches!(outcome, ItemOutcome::Conflict(_) | ItemOutcome::RefusedOrThere(_))
        }
        (SettleCreate::IdempotencyKey, outcome) => {
            matches!(outcome, ItemOutcome::Conflict(_) | ItemOutcome::Unknown(_))
        }
        (SettleCreate::Scan, outcome) => matches!(outcome, ItemOutcome::Done(_)),
    };
    ensure!(is_right, "{outcome:?}");
    let expected = if is_unique(&w.capabilities) { 1 } else { 2 };
    ensure!(w.times(&reference) == expected, "held {} times", w.times(&reference));
    Ok(())
}

async fn the_same_key_is_the_same_effect(w: &World) -> anyhow::Result<()> {
    for kind in w.writes() {
        // What is done twice is there twice for these only.
        if !matches!(kind, EffectKind::CreateCustomer | EffectKind::AddMethod) {
            continue;
        }
        let effect = w.ready(kind).await?;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut outcome = w.send_with(&w.main, &effect, kind.as_str()).await?;
            let applied = super::world::done(outcome.items.pop().context("an item")?)?;
            let customer = applied.customer.map(|customer| customer.id.as_str().to_owned());
            ids.push(customer.or(applied.method.map(|method| method.id.as_str().to_owned())));
        }
        let [Some(first), Some(second)] = ids.as_slice() else { anyhow::bail!("{kind}: {ids:?}") };
        ensure!(first == second, "{kind}: {ids:?}");
    }
    Ok(())
}
