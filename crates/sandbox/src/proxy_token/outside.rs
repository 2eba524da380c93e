//! Changes by payers and other clients, from the admin door.

use super::merchant::{Ach, Card, Facts, Merchant};
use crate::change::{Change, ChangeError, Changed, NewMethod};
use crate::view::MethodKind;

pub(super) fn change(
    merchant: &mut Merchant,
    change: Change,
    now: i64,
) -> Result<Changed, ChangeError> {
    let id = match change {
        Change::CreateCustomer { fields, .. } | Change::EditCustomer { fields, .. }
            if !fields.is_empty() =>
        {
            return Err(ChangeError::Invalid("a customer of this vendor has no other fields"));
        }
        Change::CreateCustomer { reference, name, email, .. } => {
            let wanted = reference.clone().unwrap_or_default();
            let made = merchant.create(reference, name, email, now);
            made.map_err(|_| ChangeError::ReferenceTaken(wanted))?.uid.clone()
        }
        Change::EditCustomer { customer, reference, name, email, .. } => {
            let wanted = reference.clone().unwrap_or_default();
            let edited = merchant.edit(&customer, reference, name, email);
            let found = edited.map_err(|_| ChangeError::ReferenceTaken(wanted))?;
            found.then_some(()).ok_or(ChangeError::NoCustomer(customer.clone()))?;
            customer
        }
        Change::DeleteCustomer { customer } => {
            let deleted = merchant.delete(&customer);
            deleted.then_some(()).ok_or(ChangeError::NoCustomer(customer.clone()))?;
            customer
        }
        Change::AddMethod { customer, method, default } => {
            let token = method.token.clone();
            let facts = facts(method)?;
            let saved = merchant.save(&customer, facts, token, default);
            saved.ok_or(ChangeError::NoCustomer(customer))?.uid
        }
        Change::EditMethod { customer, method, last4, exp_month, exp_year } => {
            known(merchant, &customer)?;
            let facts = merchant.edit_method(&customer, &method);
            match facts.ok_or_else(|| ChangeError::NoMethod(method.clone()))? {
                Facts::Card(card) => {
                    card.last4 = last4.unwrap_or_else(|| std::mem::take(&mut card.last4));
                    card.exp_month = exp_month.unwrap_or(card.exp_month);
                    card.exp_year = exp_year.unwrap_or(card.exp_year);
                }
                Facts::Ach(_) if exp_month.is_some() || exp_year.is_some() => {
                    return Err(ChangeError::Invalid("a bank account has no expiry"));
                }
                Facts::Ach(ach) => {
                    ach.suffix = last4.unwrap_or_else(|| std::mem::take(&mut ach.suffix));
                }
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
    let found = merchant.get(customer).map(|_| ());
    found.ok_or_else(|| ChangeError::NoCustomer(customer.to_owned()))
}

fn facts(method: NewMethod) -> Result<Facts, ChangeError> {
    const CARD: ChangeError = ChangeError::Invalid("a card needs `exp_month` and `exp_year`");
    Ok(match method.kind {
        MethodKind::Card => Facts::Card(Card {
            last4: method.last4,
            exp_month: method.exp_month.ok_or(CARD)?,
            exp_year: method.exp_year.ok_or(CARD)?,
            bin: method.bin,
            brand: method.brand,
            holder: method.holder_name,
        }),
        MethodKind::Wallet => return Err(ChangeError::Invalid("this vendor saves no wallets")),
        MethodKind::Ach => Facts::Ach(Ach {
            suffix: method.last4,
            routing: method.routing_number,
            account_type: method.account_type,
            bank: method.bank_name,
            holder: method.holder_name,
        }),
    })
}
