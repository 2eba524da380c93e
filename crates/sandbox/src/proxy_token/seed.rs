//! Customers from the seed.

use super::merchant::{Ach, Card, Facts, Merchant};
use crate::people::{Person, Saved};

/// Fills an empty merchant with customers `C-000001` and on; two methods each on average.
pub(super) fn fill(merchant: &mut Merchant, count: usize) {
    let (seed, account) = merchant.origin();
    let account = account.to_owned();
    for number in 1..=count {
        let mut person = Person::new(seed, &account, number);
        let methods = person.methods(true);
        let (holder, default) = (person.name(), person.has_default);
        let (reference, email) = (Some(person.reference), Some(person.email));
        let made = merchant.create(reference, Some(holder.clone()), email, person.created);
        // A seeded reference cannot be taken: the merchant was empty.
        let Ok(customer) = made else { continue };
        let uid = customer.uid.clone();
        for (nth, method) in methods.into_iter().enumerate() {
            merchant.save(&uid, facts(method, &holder), None, nth == 0 && default);
        }
    }
}

fn facts(method: Saved, holder: &str) -> Facts {
    match method {
        Saved::Card(card) => Facts::Card(Card {
            last4: card.last4,
            exp_month: card.exp_month,
            exp_year: card.exp_year,
            bin: Some(card.bin.to_owned()),
            brand: Some(card.brand.to_owned()),
            holder: Some(holder.to_owned()),
        }),
        Saved::Bank(bank) => Facts::Ach(Ach {
            suffix: bank.last4,
            routing: Some(bank.routing.to_owned()),
            account_type: Some(bank.account_type.to_owned()),
            bank: Some(bank.bank.to_owned()),
            holder: Some(holder.to_owned()),
        }),
    }
}
