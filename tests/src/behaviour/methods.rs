//! Payment methods: read, saved, chosen, removed.

use anyhow::{Context as _, ensure};
use backend::{
    Capabilities, Effect, ErrorKind, ItemOutcome, MethodListing, NewMethod, PageRequest, TokenRoute,
};
use model::{Agreement, EffectKind, MethodFacts, RemoteCustomerId, RemoteMethod, Token, TokenKind};
use sandbox::{MethodKind, MethodView};

use super::mutant::{How, Mutant};
use super::world::{World, ctx, done};
use super::{Case, case};
use crate::providers::{Method, Written};

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            payment_methods_are_shown_as_they_are,
            |_| true,
            24,
            &[
                Mutant::new("drops_one", How::Methods(|methods| drop(methods.pop()))),
                Mutant::new("misreads_facts", How::Methods(|methods| other_facts(methods))),
                Mutant::new(
                    "misreads_the_default",
                    How::Methods(|methods| {
                        for method in methods {
                            method.default = Some(method.default != Some(true));
                        }
                    })
                ),
            ]
        ),
        case!(
            nobody_has_no_payment_methods,
            lists_methods,
            2,
            &[Mutant::new("an_empty_wallet", How::Swallows(&[ErrorKind::NotFound])),]
        ),
        case!(
            a_saved_method_comes_back,
            adds,
            0,
            &[
                Mutant::new("does_nothing", How::Skips(EffectKind::AddMethod)),
                Mutant::new("twice", How::Twice),
                Mutant::new(
                    "answers_other_facts",
                    How::Outcome(|outcome| {
                        for item in &mut outcome.items {
                            if let ItemOutcome::Done(applied) = item
                                && let Some(method) = &mut applied.method
                            {
                                other_facts(std::slice::from_mut(method));
                            }
                        }
                    })
                ),
            ]
        ),
        case!(
            a_method_is_saved_as_the_default,
            saves_defaults,
            0,
            &[Mutant::new(
                "forgets_it",
                How::Effect(|_, effect| match effect {
                    Effect::AddMethod(new) => new.default = false,
                    Effect::ImportMethods(all) =>
                        all.iter_mut().for_each(|new| new.default = false),
                    _ => {}
                })
            ),]
        ),
        case!(
            another_kind_of_token_is_rejected,
            |_| true,
            0,
            &[Mutant::only("takes_it_for_its_own", saves, How::Effect(own_token)),]
        ),
        case!(
            a_token_of_nothing_is_refused,
            takes_tokens,
            0,
            &[
                Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
                Mutant::new("said_to_be_unknown", How::Outcome(super::refused_is_unknown)),
            ]
        ),
        case!(
            a_single_use_token_is_spent,
            has_single_use,
            0,
            &[Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),]
        ),
        case!(
            a_full_wallet_takes_no_more,
            |c| c.methods_per_customer.is_some(),
            0,
            &[
                Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
                Mutant::new("said_to_be_unknown", How::Outcome(super::refused_is_unknown)),
            ]
        ),
        case!(
            a_default_is_set,
            |c| c.set_default,
            0,
            &[
                Mutant::new("does_nothing", How::Skips(EffectKind::SetDefault)),
                Mutant::only(
                    "shows_none",
                    |c| c.default_readable,
                    How::Methods(|methods| {
                        methods.iter_mut().for_each(|method| method.default = Some(false));
                    })
                ),
            ]
        ),
        case!(
            a_removed_method_is_gone,
            |c| c.remove_method,
            0,
            &[
                Mutant::new("does_nothing", How::Skips(EffectKind::RemoveMethod)),
                Mutant::new("again_is_refused", How::Again(super::all_is_refused)),
            ]
        ),
    ]
}

fn lists_methods(capabilities: &Capabilities) -> bool {
    capabilities.methods == MethodListing::PerCustomer
}

fn takes_tokens(capabilities: &Capabilities) -> bool {
    !capabilities.tokens.is_empty()
}

fn saves(capabilities: &Capabilities) -> bool {
    capabilities.add_method || capabilities.import_batch.is_some()
}

fn adds(capabilities: &Capabilities) -> bool {
    capabilities.add_method
}

fn saves_defaults(capabilities: &Capabilities) -> bool {
    capabilities.tokens.iter().any(|rule| rule.with_default)
}

fn has_single_use(capabilities: &Capabilities) -> bool {
    capabilities.tokens.iter().any(|rule| rule.single_use)
}

fn other_facts(methods: &mut [RemoteMethod]) {
    for method in methods {
        match &mut method.facts {
            MethodFacts::Card(card) => card.expiry = None,
            MethodFacts::BankAccount(bank) => bank.last4 = None,
            MethodFacts::CryptoWallet(wallet) => wallet.chain_id += 1,
        }
    }
}

/// Fails unless the facts are those that the provider holds.
pub fn is_of(facts: &MethodFacts, held: &MethodView) -> anyhow::Result<()> {
    let is_right = match (facts, held.kind) {
        (MethodFacts::Card(card), MethodKind::Card) => {
            let expiry = card.expiry.map(|e| (i64::from(e.month()), i64::from(e.year())));
            card.last4.as_ref().is_some_and(|last4| last4.as_str() == held.last4)
                && expiry == held.exp_month.zip(held.exp_year)
        }
        (MethodFacts::BankAccount(bank), MethodKind::Ach) => {
            bank.last4.as_ref().is_some_and(|last4| last4.as_str() == held.last4)
        }
        (MethodFacts::CryptoWallet(wallet), MethodKind::Wallet) => {
            i64::try_from(wallet.chain_id).ok() == held.chain_id
                && held.wallet_address.as_ref() == Some(&wallet.address)
        }
        _ => false,
    };
    ensure!(is_right, "{facts:?} of {held:?}");
    Ok(())
}

async fn payment_methods_are_shown_as_they_are(w: &World) -> anyhow::Result<()> {
    let held = w.at.customers(w.account());
    let mut seen = 0;
    for customer in &held {
        let id = RemoteCustomerId::new(customer.id.as_str())?;
        let shown = w.methods(&id).await?;
        ensure!(shown.len() == customer.methods.len(), "{shown:?} of {:?}", customer.methods);
        for method in &shown {
            let held = customer.methods.iter().find(|held| held.id == method.id.as_str());
            let held = held.context("nothing has this id")?;
            is_of(&method.facts, held)?;
            let default = w.capabilities.default_readable.then_some(held.is_default);
            ensure!(method.default == default, "{method:?} of {held:?}");
            seen += 1;
        }
    }
    ensure!(seen > 10, "{seen} payment methods are too few to see anything");
    if w.capabilities.methods == MethodListing::Inline {
        for customer in w.list(100).await? {
            let held = held.iter().find(|held| held.id == customer.id.as_str());
            let held = held.context("nobody has this id")?.methods.len();
            let shown = customer.methods.context("they are not shown in the list")?.len();
            ensure!(shown == held, "{shown} are shown of {held}");
        }
    }
    Ok(())
}

async fn nobody_has_no_payment_methods(w: &World) -> anyhow::Result<()> {
    let (_, stays) = w.somebody()?;
    ensure!(w.methods(&stays).await?.is_empty(), "somebody new has payment methods");
    // As a customer that is gone without a trace is answered.
    w.faults("list_methods:1=status(404)")?;
    let listed = w.list_methods(&ctx(), &stays, &PageRequest::first(100)).await;
    let kind = super::world::kind_of(&listed);
    ensure!(kind == Some(ErrorKind::NotFound), "{listed:?}");
    w.all_fired()
}

/// What was saved for a new customer by each of these, one customer for each.
async fn save(w: &World, written: &Written, default: bool) -> anyhow::Result<RemoteCustomerId> {
    let (_, customer) = w.somebody()?;
    let new = World::new_method(&customer, written, default)?;
    let applied = w.done(&Effect::AddMethod(new)).await?;
    let what = format!("{:?} by {:?}", written.method, written.token);
    let facts = written.method.facts()?;
    let held = w.held(customer.as_str()).context("the customer is gone")?.methods;
    let [held] = held.as_slice() else { anyhow::bail!("{what}: {} are held", held.len()) };
    let answered = applied.method.with_context(|| format!("{what}: the answer shows none"))?;
    let shown = w.methods(&customer).await?;
    let [shown] = shown.as_slice() else { anyhow::bail!("{what}: {} are shown", shown.len()) };
    for method in [&answered, shown] {
        ensure!(method.id.as_str() == held.id, "{what}: {method:?} of {held:?}");
        is_of(&method.facts, held).with_context(|| what.clone())?;
        ensure!(method.facts.agreement(&facts) != Agreement::Differs, "{what}: {method:?}");
    }
    if w.capabilities.default_readable {
        ensure!(shown.default == Some(default), "{what}: {shown:?}");
    }
    ensure!(held.is_default == default, "{what}: {held:?}");
    Ok(customer)
}

async fn a_saved_method_comes_back(w: &World) -> anyhow::Result<()> {
    let savable = w.savable(TokenRoute::Add);
    ensure!(!savable.is_empty(), "nothing can be saved");
    for written in &savable {
        save(w, written, false).await?;
    }
    Ok(())
}

async fn a_method_is_saved_as_the_default(w: &World) -> anyhow::Result<()> {
    for route in [TokenRoute::Add, TokenRoute::Bulk] {
        for written in w.savable(route) {
            let kind = written.token.as_ref().map(|(kind, _)| *kind);
            let rule = kind.and_then(|kind| w.capabilities.token(kind));
            if !rule.is_some_and(|rule| rule.with_default) {
                continue;
            }
            if route == TokenRoute::Add {
                save(w, &written, true).await?;
                continue;
            }
            let (_, customer) = w.somebody()?;
            let new = World::new_method(&customer, &written, true)?;
            w.done(&Effect::ImportMethods(vec![new])).await?;
            let held = w.held(customer.as_str()).context("the customer is gone")?;
            ensure!(held.default_method.is_some(), "{held:?}");
        }
    }
    Ok(())
}

/// A token that it takes in place of one that it does not.
fn own_token(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::AddMethod(new) = effect {
        new.token = capabilities
            .tokens
            .iter()
            .find(|rule| rule.route == TokenRoute::Add)
            .map(|rule| Token { kind: rule.kind, value: "tok-1".into(), created_at: None });
    }
}

async fn another_kind_of_token_is_rejected(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.somebody()?;
    let kind = *w.capabilities.method_kinds.first().context("a kind")?;
    let facts = Method::numbered(kind, 1).facts()?;
    for token in TokenKind::ALL {
        // An address is what a file calls the token of a wallet.
        if w.capabilities.token(token).is_some_and(|rule| rule.route == TokenRoute::Add) {
            continue;
        }
        let new = NewMethod {
            customer: customer.clone(),
            facts: facts.clone(),
            token: Some(Token { kind: token, value: "tok-1".into(), created_at: None }),
            billing: model::Address::default(),
            default: false,
        };
        let accepted = w.accepts(TokenRoute::Add, &facts, new.token.as_ref(), &new.billing);
        ensure!(accepted.is_err(), "{token:?} is accepted");
        let prepared = w.prepare(&Effect::AddMethod(new));
        ensure!(prepared.is_err(), "{token:?} is prepared");
    }
    Ok(())
}

async fn a_token_of_nothing_is_refused(w: &World) -> anyhow::Result<()> {
    for rule in w.capabilities.tokens {
        let Some(bad) = w.provider.bad_token(rule.kind) else { continue };
        let (_, customer) = w.somebody()?;
        let method = Method::numbered(*w.capabilities.method_kinds.first().context("a kind")?, 7);
        let written = Written { method, token: Some((rule.kind, bad.to_owned())) };
        let new = World::new_method(&customer, &written, false)?;
        let effect = match rule.route {
            TokenRoute::Add => Effect::AddMethod(new),
            TokenRoute::Bulk => Effect::ImportMethods(vec![new]),
        };
        let outcome = w.one(&effect).await?;
        ensure!(matches!(outcome, ItemOutcome::Refused(_)), "{:?}: {outcome:?}", rule.kind);
        let held = w.held(customer.as_str()).context("the customer is gone")?.methods;
        ensure!(held.is_empty(), "held: {held:?}");
    }
    Ok(())
}

async fn a_single_use_token_is_spent(w: &World) -> anyhow::Result<()> {
    for written in w.savable(TokenRoute::Add) {
        let kind = written.token.as_ref().map(|(kind, _)| *kind);
        if !kind.and_then(|kind| w.capabilities.token(kind)).is_some_and(|rule| rule.single_use) {
            continue;
        }
        let customer = save(w, &written, false).await?;
        let new = World::new_method(&customer, &written, false)?;
        let outcome = w.one(&Effect::AddMethod(new)).await?;
        ensure!(matches!(outcome, ItemOutcome::Refused(_)), "{:?}: {outcome:?}", written.token);
    }
    Ok(())
}

async fn a_full_wallet_takes_no_more(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.somebody()?;
    let most = w.capabilities.methods_per_customer.context("a limit")?;
    for _ in 0..most {
        w.saved(&customer)?;
    }
    let written = w.savable(TokenRoute::Add).pop().context("nothing to save")?;
    let outcome = w.one(&Effect::AddMethod(World::new_method(&customer, &written, false)?)).await?;
    ensure!(matches!(outcome, ItemOutcome::Refused(_)), "{outcome:?}");
    let shown = w.methods(&customer).await?.len();
    ensure!(shown == usize::try_from(most)?, "{shown} are shown");
    // The token is good for a customer with room.
    let (_, other) = w.somebody()?;
    done(w.one(&Effect::AddMethod(World::new_method(&other, &written, false)?)).await?)?;
    Ok(())
}

async fn a_default_is_set(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.somebody()?;
    let methods = [w.saved(&customer)?, w.saved(&customer)?];
    for method in &methods {
        let effect = Effect::SetDefault { customer: customer.clone(), method: method.clone() };
        w.done(&effect).await?;
        let held = w.held(customer.as_str()).context("the customer is gone")?;
        ensure!(held.default_method.as_deref() == Some(method.as_str()), "{held:?}");
        for shown in w.methods(&customer).await? {
            let expected = w.capabilities.default_readable.then_some(shown.id == *method);
            ensure!(shown.default == expected, "{shown:?}");
        }
    }
    Ok(())
}

async fn a_removed_method_is_gone(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.somebody()?;
    let (goes, stays) = (w.saved(&customer)?, w.saved(&customer)?);
    let effect = Effect::RemoveMethod { customer: customer.clone(), method: goes };
    for times in ["once", "twice"] {
        w.done(&effect).await.with_context(|| format!("removed {times}"))?;
        let shown = w.methods(&customer).await?;
        let [shown] = shown.as_slice() else { anyhow::bail!("{times}: {shown:?}") };
        ensure!(shown.id == stays, "{times}: {shown:?}");
        let held = w.held(customer.as_str()).context("the customer is gone")?.methods.len();
        ensure!(held == 1, "{times}: {held} are held");
    }
    Ok(())
}
