//! Changes by payers, by other clients, and by the vendor's own people, who can what the API cannot.

use super::merchant::{Merchant, NewEntry, NotSaved};
use super::person::Person;
use super::token::{Card, Facts, Source};
use crate::change::{Change, ChangeError, Changed, NewMethod};
use crate::view::MethodKind;
use std::collections::{BTreeMap, HashSet};

pub(super) fn change(
    merchant: &mut Merchant,
    spent: &mut HashSet<Source>,
    change: Change,
    now: i64,
) -> Result<Changed, ChangeError> {
    let id = match change {
        Change::CreateCustomer { reference, name, email, fields } => {
            let mut person = Person::default();
            write(&mut person, name, email, fields)?;
            if let Some(reference) = reference {
                person.set_reference(merchant.reference_field(), reference);
            }
            let made = merchant.create(person);
            made.map_err(|_| ChangeError::Invalid("the customer was not made"))?.id.clone()
        }
        Change::EditCustomer { customer, reference, name, email, mut fields } => {
            known(merchant, &customer)?;
            let reference = reference.or(fields.remove(merchant.reference_field().path()));
            if let Some(found) = merchant.book.get_mut(&customer) {
                let mut edited = found.person.clone();
                write(&mut edited, name, email, fields)?;
                found.person = edited;
            }
            if let Some(reference) = reference {
                let referred = merchant.book.refer(&customer, reference.clone());
                referred.map_err(|_| ChangeError::ReferenceTaken(reference))?;
            }
            customer
        }
        Change::DeleteCustomer { customer } => {
            known(merchant, &customer)?;
            merchant.delete(&customer);
            customer
        }
        Change::AddMethod { customer, method, default } => {
            let source = method.token.clone();
            let used = source.clone().map(Source::Token);
            if used.as_ref().is_some_and(|used| spent.contains(used)) {
                return Err(ChangeError::Invalid("the token was used before"));
            }
            let facts = facts(method)?;
            let new = NewEntry { facts, source, address: None, default, created: now };
            let saved = merchant.save(&customer, new).map_err(|why| match why {
                NotSaved::NoCustomer => ChangeError::NoCustomer(customer),
                NotSaved::Full => ChangeError::Invalid("the wallet is full"),
            })?;
            spent.extend(used);
            saved
        }
        Change::EditMethod { customer, method, last4, exp_month, exp_year } => {
            known(merchant, &customer)?;
            let facts = merchant.edit_method(&customer, &method);
            match facts.ok_or_else(|| ChangeError::NoMethod(method.clone()))? {
                Facts::Card(card) => {
                    card.last4 = last4.unwrap_or_else(|| std::mem::take(&mut card.last4));
                    card.month = exp_month.unwrap_or(card.month);
                    card.year = exp_year.unwrap_or(card.year);
                }
                Facts::Bank(_) if exp_month.is_some() || exp_year.is_some() => {
                    return Err(ChangeError::Invalid("a bank account has no expiry"));
                }
                Facts::Bank(known) => *known = last4.unwrap_or_else(|| std::mem::take(known)),
            }
            method
        }
        Change::RemoveMethod { customer, method } => {
            known(merchant, &customer)?;
            let removed = merchant.remove(&customer, &method);
            removed.then_some(()).ok_or(ChangeError::NoMethod(method.clone()))?;
            method
        }
        Change::SetDefault { customer, method } => {
            known(merchant, &customer)?;
            let set = merchant.set_default(&customer, method.as_deref());
            set.then_some(()).ok_or_else(|| ChangeError::NoMethod(method.unwrap_or_default()))?;
            customer
        }
    };
    Ok(Changed { id })
}

fn known(merchant: &Merchant, customer: &str) -> Result<(), ChangeError> {
    let found = merchant.book.get(customer).map(|_| ());
    found.ok_or_else(|| ChangeError::NoCustomer(customer.to_owned()))
}

fn write(
    person: &mut Person,
    name: Option<String>,
    email: Option<String>,
    fields: BTreeMap<String, String>,
) -> Result<(), ChangeError> {
    if let Some(name) = name {
        person.set_name(&name);
    }
    person.email_address = email.or(person.email_address.take());
    fields.into_iter().try_for_each(|(field, value)| person.set(&field, value))
}

/// What the wallet holds of a method: no holder, and of a bank account the last digits only.
fn facts(method: NewMethod) -> Result<Facts, ChangeError> {
    const CARD: ChangeError = ChangeError::Invalid("a card needs `exp_month` and `exp_year`");
    Ok(match method.kind {
        MethodKind::Card => Facts::Card(Card {
            network: method.brand,
            bin: method.bin,
            last4: method.last4,
            month: method.exp_month.ok_or(CARD)?,
            year: method.exp_year.ok_or(CARD)?,
        }),
        MethodKind::Ach => Facts::Bank(method.last4),
        MethodKind::Wallet => return Err(ChangeError::Invalid("this vendor saves no wallets")),
    })
}
