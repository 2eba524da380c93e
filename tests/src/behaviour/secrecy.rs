//! What must be shown to nobody: card numbers, tokens, secrets, and what a request said.

use anyhow::{Context as _, ensure};
use backend::{Account, Effect, ErrorKind, ItemOutcome, MethodListing, PageRequest, Refusal};
use model::{AccountName, EffectKind};
use sandbox::Change;
use secrecy::ExposeSecret as _;

use super::mutant::{By, How, Mutant, finds};
use super::world::{World, ctx, endpoint, timing};
use super::{Case, case};

/// Passes for one, and is nobody's.
const CARD_NUMBER: &str = "4111111111111111";

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            a_card_number_is_dropped,
            |_| true,
            2,
            &[
                Mutant::new("listed", How::Customer(By::List, with_card_number)),
                Mutant::only("got", |c| c.get_customer, How::Customer(By::Get, with_card_number)),
                Mutant::only("found", finds, How::Customer(By::Find, with_card_number)),
                Mutant::new("unsaid", How::Page(|_, page| page.card_numbers_at.clear())),
            ]
        ),
        case!(
            what_was_sent_is_not_repeated,
            |c| !super::world::writes(c).is_empty(),
            0,
            &[Mutant::new("repeats_it", How::Blabs),]
        ),
        case!(secrets_are_printed_nowhere, |_| true, 0, &[Mutant::new("prints_one", How::Blabs),]),
    ]
}

fn with_card_number(customer: &mut model::RemoteCustomer) {
    customer.profile.description = Some(CARD_NUMBER.to_owned());
}

async fn a_card_number_is_dropped(w: &World) -> anyhow::Result<()> {
    let (reference, id) = w.somebody()?;
    let edit = Change::EditCustomer {
        customer: id.as_str().to_owned(),
        reference: None,
        name: Some(CARD_NUMBER.to_owned()),
        email: None,
        fields: std::collections::BTreeMap::new(),
    };
    w.at.change(w.account(), edit)?;
    let listed = w.list_customers(&ctx(), &PageRequest::first(100)).await?;
    let shown = format!("{listed:?}");
    ensure!(!shown.contains(CARD_NUMBER), "listed: {shown}");
    ensure!(!listed.card_numbers_at.is_empty(), "nothing says that one was dropped");
    let listed = listed.items.into_iter().find(|customer| customer.id == id);
    let listed = listed.context("the row is not shown at all")?;
    ensure!(listed.profile.email.is_some(), "more than that is dropped: {listed:?}");
    if w.capabilities.get_customer {
        let got = w.get_customer(&ctx(), &id).await?.context("it is not got")?;
        ensure!(!format!("{got:?}").contains(CARD_NUMBER), "got: {got:?}");
    }
    if finds(&w.capabilities) {
        let found = w.find_customer(&ctx(), &reference).await?.context("it is not found")?;
        ensure!(!format!("{found:?}").contains(CARD_NUMBER), "found: {found:?}");
    }
    Ok(())
}

/// The texts of an effect that nobody is to read again.
fn private(effect: &Effect) -> Vec<String> {
    match effect {
        Effect::CreateCustomer { reference, profile } => {
            let mut all = vec![reference.as_str().to_owned()];
            all.extend(profile.email.clone());
            all.extend(profile.name.clone().or_else(|| profile.last_name.clone()));
            all
        }
        Effect::UpdateCustomer { changes, .. } => changes.email.clone().into_iter().collect(),
        Effect::AddMethod(new) => token(new).into_iter().collect(),
        Effect::ImportMethods(all) => all.iter().filter_map(token).collect(),
        Effect::DeleteCustomer { .. } | Effect::SetDefault { .. } | Effect::RemoveMethod { .. } => {
            Vec::new()
        }
    }
}

fn token(new: &backend::NewMethod) -> Option<String> {
    new.token.as_ref().map(|token| token.value.expose_secret().to_owned())
}

/// Fails if a text holds what nobody is to read.
fn is_silent(what: &str, text: &str, private: &[String]) -> anyhow::Result<()> {
    let told = private.iter().find(|private| text.contains(private.as_str()));
    ensure!(told.is_none(), "{what} tells {told:?}: {text}");
    Ok(())
}

async fn what_was_sent_is_not_repeated(w: &World) -> anyhow::Result<()> {
    for kind in w.writes() {
        let effect = w.ready(kind).await?;
        let private = private(&effect);
        ensure!(
            !private.is_empty()
                || !matches!(kind, EffectKind::CreateCustomer | EffectKind::UpdateCustomer),
            "{kind}: nothing to be told"
        );
        w.faults(&format!("{}:1=echo_request_in_error", endpoint(kind)))?;
        for item in w.send(&effect).await?.items {
            let (ItemOutcome::Refused(refusal)
            | ItemOutcome::Conflict(refusal)
            | ItemOutcome::RefusedOrThere(refusal)) = item
            else {
                anyhow::bail!("{kind}: {item:?}");
            };
            let Refusal { message, .. } = &refusal;
            ensure!(!message.is_empty(), "{kind}: nothing is said");
            is_silent(kind.as_str(), &format!("{refusal:?}"), &private)?;
        }
        w.all_fired()?;
    }
    if finds(&w.capabilities) {
        let (reference, _) = w.somebody()?;
        w.faults("find_customer:1=echo_request_in_error")?;
        let error = w.find_customer(&ctx(), &reference).await.err().context("it is found")?;
        ensure!(error.kind == ErrorKind::Invalid, "{error:?}");
        is_silent("find", &format!("{error} {error:?}"), &[reference.as_str().to_owned()])?;
        w.all_fired()?;
    }
    Ok(())
}

async fn secrets_are_printed_nowhere(w: &World) -> anyhow::Result<()> {
    let env = w.provider.env().iter();
    let mut private: Vec<String> =
        env.map(|(_, secret)| (*secret).to_owned()).filter(|s| s != "sandbox-client").collect();
    let (backend, traffic) = (std::sync::Arc::clone(&w.main.backend), w.main.traffic.clone());
    let account =
        Account::new(AccountName::new("gov")?, "default".to_owned(), timing(), backend, traffic);
    is_silent("the account", &format!("{account:?} {account:#?}"), &private)?;
    for kind in w.writes() {
        let effect = w.ready(kind).await?;
        private.extend(
            self::private(&effect)
                .into_iter()
                .filter(|_| matches!(kind, EffectKind::AddMethod | EffectKind::ImportMethod)),
        );
        let prepared = w.prepare(&effect)?;
        is_silent(kind.as_str(), &format!("{prepared:?} {prepared:#?}"), &private)?;
        let outcome = w.send(&effect).await?;
        is_silent(kind.as_str(), &format!("{outcome:?}"), &private)?;
    }
    let (_, customer) = w.somebody()?;
    for spec in ["status(500)", "status(401)", "garbage_body", "drop_before"] {
        w.faults(&format!("list_customers={spec}"))?;
        let error = w.list_customers(&ctx(), &PageRequest::first(10)).await.err();
        let error = error.context("it is answered")?;
        is_silent(spec, &format!("{error} {error:?}"), &private)?;
        w.all_fired()?;
    }
    if w.capabilities.methods == MethodListing::PerCustomer {
        let listed = w.list_methods(&ctx(), &customer, &PageRequest::first(10)).await?;
        is_silent("the list", &format!("{listed:?}"), &private)?;
    }
    Ok(())
}
