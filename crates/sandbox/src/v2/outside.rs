//! Changes by payers and other clients, from the admin door.

use super::merchant::{Card, Merchant};
use super::wire::{REFERENCE, Stated, TEXTS};
use crate::change::{Change, ChangeError, Changed, NewMethod};
use crate::people;
use crate::view::MethodKind;
use std::collections::BTreeMap;

pub(super) fn change(
    merchant: &mut Merchant,
    change: Change,
    now: i64,
) -> Result<Changed, ChangeError> {
    let id = match change {
        Change::CreateCustomer { reference, name, email, fields } => {
            let wanted = reference.clone().unwrap_or_default();
            let made = merchant.create(stated(reference, name, email, fields)?, now);
            made.map_err(|_| ChangeError::ReferenceTaken(wanted))?.uuid.clone()
        }
        Change::EditCustomer { customer, reference, name, email, fields } => {
            let wanted = reference.clone().unwrap_or_default();
            let edited = merchant.update(&customer, stated(reference, name, email, fields)?, now);
            let found = edited.map_err(|_| ChangeError::ReferenceTaken(wanted))?;
            found.ok_or_else(|| ChangeError::NoCustomer(customer.clone()))?;
            customer
        }
        Change::DeleteCustomer { customer } => {
            let deleted = merchant.delete(&customer, now);
            deleted.then_some(()).ok_or_else(|| ChangeError::NoCustomer(customer.clone()))?;
            customer
        }
        Change::AddMethod { default: true, .. } | Change::SetDefault { .. } => {
            return Err(ChangeError::Invalid("this vendor has no default method"));
        }
        Change::AddMethod { customer, method, .. } => {
            let token = method.token.clone();
            let saved = merchant.save(&customer, card(method)?, token, now);
            saved.ok_or(ChangeError::NoCustomer(customer))?.id.clone()
        }
        Change::EditMethod { customer, method, last4, exp_month, exp_year } => {
            known(merchant, &customer)?;
            let edited = merchant.edit_method(&customer, &method, now, |card| {
                card.last4 = last4.unwrap_or_else(|| std::mem::take(&mut card.last4));
                card.exp_month = exp_month.unwrap_or(card.exp_month);
                card.exp_year = exp_year.unwrap_or(card.exp_year);
            });
            edited.then_some(()).ok_or_else(|| ChangeError::NoMethod(method.clone()))?;
            method
        }
        Change::RemoveMethod { customer, method } => {
            known(merchant, &customer)?;
            let removed = merchant.remove_method(&customer, &method, now);
            removed.then_some(()).ok_or_else(|| ChangeError::NoMethod(method.clone()))?;
            method
        }
    };
    Ok(Changed { id })
}

fn known(merchant: &mut Merchant, customer: &str) -> Result<(), ChangeError> {
    let found = merchant.live(customer).map(|_| ());
    found.ok_or_else(|| ChangeError::NoCustomer(customer.to_owned()))
}

/// Reads the fields by the vendor's names. An empty text clears a field or takes a key of the
/// metadata away: the vendor's people can.
fn stated(
    reference: Option<String>,
    name: Option<String>,
    email: Option<String>,
    fields: BTreeMap<String, String>,
) -> Result<Stated, ChangeError> {
    const FIELD: ChangeError = ChangeError::Invalid("a field is unknown or cannot be so");
    let mut stated = Stated::default();
    let named = [(REFERENCE, reference), ("name", name), ("email", email)];
    let named = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    for (name, text) in named.chain(fields) {
        if let Some(key) = name.strip_prefix("metadata.") {
            let value = (!text.is_empty()).then(|| text.into());
            stated.metadata.insert(key.to_owned(), value);
        } else if text.is_empty() && name != REFERENCE {
            let known = TEXTS.iter().find(|(known, ..)| *known == name).ok_or(FIELD)?;
            stated.texts.insert(known.0, None);
        } else {
            stated.text(&name, &text).map_err(|_| FIELD)?;
        }
    }
    Ok(stated)
}

fn card(method: NewMethod) -> Result<Card, ChangeError> {
    const CARD: ChangeError =
        ChangeError::Invalid("a card needs `exp_month`, `exp_year`, and `bin` or a known `brand`");
    if method.kind != MethodKind::Card {
        return Err(ChangeError::Invalid("this vendor saves only cards"));
    }
    let bin = method.bin.filter(|bin| bin.len() >= 6 && bin.bytes().all(|b| b.is_ascii_digit()));
    let known = || method.brand.as_deref().and_then(people::bin_of).map(str::to_owned);
    Ok(Card {
        bin: bin.or_else(known).ok_or(CARD)?,
        brand: method.brand,
        last4: method.last4,
        exp_month: method.exp_month.ok_or(CARD)?,
        exp_year: method.exp_year.ok_or(CARD)?,
    })
}
