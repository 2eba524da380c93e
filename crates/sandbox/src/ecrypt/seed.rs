//! Customers from the seed.

use super::merchant::{Merchant, NewEntry};
use super::person::Person;
use super::token::{Card, Facts};
use crate::people::{self, Saved};

/// Fills an empty merchant with customers `C-000001` and on; two wallet entries each on average,
/// in names of the vendor's characters.
pub(super) fn fill(merchant: &mut Merchant, count: usize) {
    let (seed, account) = merchant.origin();
    let account = account.to_owned();
    for number in 1..=count {
        let mut somebody = people::Person::new(seed, &account, number);
        let methods = somebody.methods(true);
        let mut person = Person {
            first_name: Some(plain(somebody.first)),
            last_name: Some(plain(somebody.last)),
            email_address: Some(somebody.email),
            phone_number: Some(format!("555-555-{:04}", somebody.rng.below(10_000))),
            ..Person::default()
        };
        person.set_reference(merchant.reference_field(), somebody.reference);
        // No reference is ever taken at this vendor.
        let Ok(customer) = merchant.create(person) else { continue };
        let id = customer.id.clone();
        for (nth, method) in methods.into_iter().enumerate() {
            let new = NewEntry {
                facts: facts(method),
                source: None,
                address: None,
                default: nth == 0 && somebody.has_default,
                created: somebody.created,
            };
            if merchant.save(&id, new).is_err() {
                break;
            }
        }
    }
}

/// A seeded name without its accents.
fn plain(name: &str) -> String {
    name.replace('ë', "e").replace('č', "c")
}

fn facts(method: Saved) -> Facts {
    match method {
        Saved::Card(card) => {
            Facts::Card(Card::of_bin(card.bin, card.last4, card.exp_month, card.exp_year))
        }
        Saved::Bank(bank) => Facts::Bank(bank.last4),
    }
}
