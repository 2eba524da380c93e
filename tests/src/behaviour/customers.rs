//! Customers: made, changed, deleted, found.

use anyhow::{Context as _, ensure};
use backend::{Capabilities, Effect, FieldRule};
use model::{Code, EffectKind, FieldName, Profile, Reference, RemoteCustomer, RemoteStatus};
use sandbox::Change;
use secrecy::ExposeSecret as _;

use super::mutant::{By, How, Mutant, finds};
use super::world::{World, ada, ctx, is_gone, other, sample};
use super::{Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            a_new_customer_is_shown_as_it_was_sent,
            |c| c.create_customer,
            3,
            &[
                Mutant::new("sends_less", How::Effect(without_last_field)),
                Mutant::new("lists_less", How::Customer(By::List, |one| one.profile.email = None)),
                Mutant::only("gets_less", |c| c.get_customer, How::Customer(By::Get, less)),
                Mutant::only("finds_less", finds, How::Customer(By::Find, less)),
                Mutant::new("reference_lost", How::Customer(By::List, |one| one.reference = None)),
                Mutant::new("twice", How::Twice),
            ]
        ),
        case!(
            a_field_is_sent_up_to_its_limit,
            has_limits,
            0,
            &[
                Mutant::new("cuts_to_fit", How::Effect(cut_to_fit)),
                Mutant::new("refuses_the_limit", How::Rejects(at_a_limit)),
                Mutant::new("cuts_the_last_character", How::Effect(cut_one_more)),
            ]
        ),
        case!(
            what_it_cannot_hold_is_not_sent,
            has_only_ours,
            0,
            &[Mutant::new("sends_it_elsewhere", How::Effect(elsewhere)),]
        ),
        case!(
            only_what_is_required_is_needed,
            |c| c.create_customer,
            0,
            &[Mutant::new("wants_a_name", How::Rejects(lacks_a_name)),]
        ),
        case!(
            a_change_is_of_its_fields_alone,
            |c| c.update_customer,
            0,
            &[
                Mutant::new("sends_others_too", How::Effect(another_field)),
                Mutant::new("sends_less", How::Effect(without_last_field)),
                Mutant::new("does_nothing", How::Skips(EffectKind::UpdateCustomer)),
            ]
        ),
        case!(
            metadata_of_others_stays,
            changes_metadata,
            0,
            &[
                Mutant::new("forgets_theirs", How::Effect(forget_theirs)),
                Mutant::new("does_nothing", How::Skips(EffectKind::UpdateCustomer)),
            ]
        ),
        case!(
            a_deleted_customer_is_gone,
            |c| c.delete_customer,
            3,
            &[
                Mutant::new("does_nothing", How::Skips(EffectKind::DeleteCustomer)),
                Mutant::new("gets_it_alive", How::Got(alive)),
                Mutant::new("again_is_refused", How::Again(super::all_is_refused)),
            ]
        ),
    ]
}

fn without_last_field(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::CreateCustomer { profile, .. }
    | Effect::UpdateCustomer { changes: profile, .. } = effect
    {
        let fields = capabilities.fields.iter().rev().map(|rule| rule.field);
        let stated = fields.into_iter().find(|field| profile.get(*field).is_some());
        if let Some(last) = stated {
            profile.set(last, None);
        }
    }
}

fn less(customer: &mut RemoteCustomer) {
    customer.profile.email = None;
}

/// Fails unless a customer is shown so.
fn is_shown(
    by: &str,
    shown: Option<&RemoteCustomer>,
    reference: &Reference,
    profile: &Profile,
) -> anyhow::Result<()> {
    let shown = shown.with_context(|| format!("not shown by {by}"))?;
    ensure!(shown.status == RemoteStatus::Live, "not alive by {by}");
    ensure!(shown.reference.as_deref() == Some(reference.as_str()), "{by}: {:?}", shown.reference);
    ensure!(shown.profile == *profile, "by {by} {:?} is shown of {profile:?}", shown.profile);
    Ok(())
}

async fn a_new_customer_is_shown_as_it_was_sent(w: &World) -> anyhow::Result<()> {
    let (reference, profile) = (w.reference()?, w.profile());
    let effect = Effect::CreateCustomer { reference: reference.clone(), profile: profile.clone() };
    let answered = w.done(&effect).await?.customer;
    is_shown("the answer", answered.as_ref(), &reference, &profile)?;
    let id = answered.context("an answer")?.id;
    let declared = w.capabilities.fields.iter().map(|rule| rule.field);
    for field in declared.filter(|field| *field != FieldName::Metadata) {
        ensure!(profile.get(field).is_some(), "{field:?} was not sent");
    }
    if w.capabilities.get_customer {
        let got = w.get_customer(&ctx(), &id).await?;
        is_shown("get", got.as_ref(), &reference, &profile)?;
    }
    if finds(&w.capabilities) {
        let found = w.find_customer(&ctx(), &reference).await?;
        is_shown("find", found.as_ref(), &reference, &profile)?;
    }
    let listed = w.list(100).await?;
    let listed = listed.iter().find(|customer| customer.id == id);
    is_shown("the list", listed, &reference, &profile)?;
    let held = w.held(id.as_str()).context("the provider does not hold it")?;
    ensure!(held.email == profile.email && held.name == profile.full_name(), "held: {held:?}");
    ensure!(w.times(&reference) == 1, "held {} times", w.times(&reference));
    Ok(())
}

fn has_limits(capabilities: &Capabilities) -> bool {
    capabilities.create_customer && capabilities.fields.iter().any(|rule| rule.max.is_some())
}

/// A right value of exactly so many characters.
fn of_length(field: FieldName, length: usize) -> String {
    let rest = "@example.com";
    match field {
        FieldName::Country if length < 4 => "GBR".chars().take(length).collect(),
        FieldName::Email => "e".repeat(length - rest.len()) + rest,
        _ => "x".repeat(length),
    }
}

fn cut_to_fit(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::CreateCustomer { profile, .. } = effect {
        for FieldRule { field, max, .. } in capabilities.fields {
            if let (Some(value), Some(max)) = (profile.get(*field), max) {
                let cut = value.chars().take(*max).collect();
                profile.set(*field, Some(cut));
            }
        }
    }
}

fn cut_one_more(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::CreateCustomer { profile, .. } = effect {
        for FieldRule { field, max, .. } in capabilities.fields {
            if let Some(value) = profile.get(*field)
                && Some(value.chars().count()) == *max
            {
                let cut = value.chars().skip(1).collect();
                profile.set(*field, Some(cut));
            }
        }
    }
}

fn at_a_limit(capabilities: &Capabilities, effect: &Effect) -> bool {
    let Effect::CreateCustomer { profile, .. } = effect else { return false };
    let is_full = |rule: &FieldRule| {
        profile.get(rule.field).is_some_and(|value| Some(value.chars().count()) == rule.max)
    };
    capabilities.fields.iter().any(is_full)
}

async fn a_field_is_sent_up_to_its_limit(w: &World) -> anyhow::Result<()> {
    for FieldRule { field, min, max, .. } in w.capabilities.fields {
        let Some(max) = max else { continue };
        let with = |value: String| {
            let mut profile = w.profile();
            profile.set(*field, Some(value));
            anyhow::Ok(Effect::CreateCustomer { reference: w.reference()?, profile })
        };
        let mut wrong = vec![max + 1];
        if *min > 1 {
            wrong.push(min - 1);
        }
        for length in wrong {
            let rejected = w.prepare(&with(of_length(*field, length))?);
            let rejected = rejected.err().with_context(|| format!("{field:?} takes {length}"))?;
            ensure!(rejected.field == Some(*field), "{field:?} of {length}: {rejected:?}");
            ensure!(rejected.code == Code::FieldLength, "{field:?} of {length}: {rejected:?}");
        }
        let least = (*min > 1).then(|| of_length(*field, *min));
        let most = of_length(*field, *max);
        for value in [Some(most), least].into_iter().flatten() {
            takes(w, *field, &with(value.clone())?, &value).await?;
        }
        // Counted in characters, not bytes, where such characters are taken at all.
        let foreign = format!("x{}", "é".repeat(max - 1));
        let effect = with(foreign.clone())?;
        match w.prepare(&effect) {
            Ok(_) if *field != FieldName::Email => takes(w, *field, &effect, &foreign).await?,
            Ok(_) => {}
            Err(rejected) => {
                ensure!(rejected.field == Some(*field), "{field:?}: {rejected:?}");
                ensure!(rejected.code == Code::FieldCharset, "{field:?}: {rejected:?}");
            }
        }
    }
    Ok(())
}

/// Fails unless the provider takes a value and shows it.
async fn takes(w: &World, field: FieldName, effect: &Effect, value: &str) -> anyhow::Result<()> {
    let made = w.done(effect).await.with_context(|| format!("{field:?}: {value}"))?;
    let id = made.customer.context("the answer shows no customer")?.id;
    let shown = w.get(&id).await?.context("it is not shown")?;
    let shown = shown.profile.get(field);
    ensure!(shown == Some(value), "{field:?} is {shown:?}, not {value}");
    Ok(())
}

fn has_only_ours(capabilities: &Capabilities) -> bool {
    FieldName::TEXTS.into_iter().any(|field| capabilities.is_only_ours(field))
}

/// What the provider has no place for stands in the place of the e-mail address.
fn elsewhere(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::CreateCustomer { profile, .. } = effect {
        let fields = FieldName::TEXTS.into_iter();
        let foreign = fields.filter(|field| capabilities.is_only_ours(*field));
        let value = foreign.filter_map(|field| profile.get(field).map(str::to_owned)).next();
        profile.email = value.or(profile.email.take());
    }
}

async fn what_it_cannot_hold_is_not_sent(w: &World) -> anyhow::Result<()> {
    let mut profile = ada();
    let fields = FieldName::TEXTS.into_iter();
    let ours: Vec<FieldName> = fields.filter(|field| w.capabilities.is_only_ours(*field)).collect();
    for field in &ours {
        profile.set(*field, Some("only-ours".to_owned()));
    }
    let reference = w.reference()?;
    let effect = Effect::CreateCustomer { reference: reference.clone(), profile };
    let body = String::from_utf8(w.prepare(&effect)?.body.expose_secret().to_vec())?;
    ensure!(!body.contains("only-ours"), "{ours:?} are sent");
    w.done(&effect).await?;
    let held = w.at.customer_by_reference(w.account(), reference.as_str());
    let held = format!("{:?}", held.context("it is not there")?);
    ensure!(!held.contains("only-ours"), "held: {held}");
    Ok(())
}

fn lacks_a_name(_: &Capabilities, effect: &Effect) -> bool {
    matches!(effect, Effect::CreateCustomer { profile, .. } if profile.full_name().is_none())
}

async fn only_what_is_required_is_needed(w: &World) -> anyhow::Result<()> {
    let mut profile = Profile::default();
    for rule in w.capabilities.fields.iter().filter(|rule| rule.required) {
        profile.set(rule.field, ada().get(rule.field).map(str::to_owned));
    }
    let reference = w.reference()?;
    w.done(&Effect::CreateCustomer { reference: reference.clone(), profile }).await?;
    ensure!(w.times(&reference) == 1, "held {} times", w.times(&reference));
    Ok(())
}

/// A field that the change says nothing of, with the value that it had at first.
fn another_field(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::UpdateCustomer { changes, .. } = effect {
        let mut fields = capabilities.fields.iter().map(|rule| rule.field);
        let silent =
            |field: &FieldName| *field != FieldName::Metadata && changes.get(*field).is_none();
        if let Some(field) = fields.find(silent) {
            changes.set(field, Some(sample(field).to_owned()));
        }
    }
}

async fn a_change_is_of_its_fields_alone(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.created().await?;
    let mut expected = w.get(&customer).await?.context("it is not shown")?.profile;
    for rule in w.capabilities.fields.iter().filter(|rule| rule.field != FieldName::Metadata) {
        let value = Some(other(rule.field).to_owned());
        let mut changes = Profile::default();
        changes.set(rule.field, value.clone());
        let customer = customer.clone();
        w.done(&Effect::UpdateCustomer { customer, changes, metadata: None }).await?;
        expected.set(rule.field, value);
    }
    // Last of all: what one change undid, another may have written again.
    let shown = w.get(&customer).await?.context("it is not shown")?.profile;
    ensure!(shown == expected, "{shown:?} is shown, not {expected:?}");
    let only = Profile { email: Some("last@example.com".to_owned()), ..Profile::default() };
    let effect =
        Effect::UpdateCustomer { customer: customer.clone(), changes: only, metadata: None };
    w.done(&effect).await?;
    expected.email = Some("last@example.com".to_owned());
    let shown = w.get(&customer).await?.context("it is not shown")?.profile;
    ensure!(shown == expected, "{shown:?} is shown, not {expected:?}");
    Ok(())
}

fn changes_metadata(capabilities: &Capabilities) -> bool {
    capabilities.update_customer && capabilities.holds(FieldName::Metadata)
}

/// As if the provider had nothing there: what replaces all leaves nothing of theirs, what is merged
/// is written over.
fn forget_theirs(capabilities: &Capabilities, effect: &mut Effect) {
    if let Effect::UpdateCustomer { changes, metadata, .. } = effect {
        *metadata = Some("{}".to_owned());
        if !capabilities.metadata_replaced {
            changes.metadata.insert("theirs".to_owned(), "ours".to_owned());
        }
    }
}

async fn metadata_of_others_stays(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.created().await?;
    let edit = Change::EditCustomer {
        customer: customer.as_str().to_owned(),
        reference: None,
        name: None,
        email: None,
        fields: [("metadata.theirs".to_owned(), "kept".to_owned())].into(),
    };
    w.at.change(w.account(), edit)?;
    let before = w.get(&customer).await?.context("it is not shown")?;
    let changes = Profile {
        metadata: [("tier".to_owned(), "silver".to_owned())].into(),
        ..Profile::default()
    };
    let metadata = before.metadata.clone();
    w.done(&Effect::UpdateCustomer { customer: customer.clone(), changes, metadata }).await?;
    let mut expected = before.profile;
    expected.metadata.insert("tier".to_owned(), "silver".to_owned());
    ensure!(expected.metadata.get("theirs").map(String::as_str) == Some("kept"), "{expected:?}");
    let shown = w.get(&customer).await?.context("it is not shown")?.profile;
    ensure!(shown == expected, "{shown:?} is shown, not {expected:?}");
    Ok(())
}

/// Somebody who is nowhere any more.
pub fn alive(id: &model::RemoteCustomerId, got: &mut Option<RemoteCustomer>) {
    let shown = got.get_or_insert_with(|| RemoteCustomer {
        id: id.clone(),
        reference: None,
        profile: Profile::default(),
        metadata: None,
        status: RemoteStatus::Live,
        created_at: None,
        methods: None,
    });
    shown.status = RemoteStatus::Live;
}

async fn a_deleted_customer_is_gone(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.created().await?;
    let (_, stays) = w.somebody()?;
    let effect = Effect::DeleteCustomer { customer: customer.clone() };
    for times in ["once", "twice"] {
        w.done(&effect).await.with_context(|| format!("deleted {times}"))?;
        ensure!(w.held(customer.as_str()).is_none(), "it is there");
        ensure!(is_gone(w.get(&customer).await?.as_ref()), "it is got");
        let listed = w.list(100).await?;
        ensure!(is_gone(listed.iter().find(|one| one.id == customer)), "it is listed");
        ensure!(!is_gone(listed.iter().find(|one| one.id == stays)), "another is gone");
    }
    Ok(())
}
