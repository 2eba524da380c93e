//! Customers from the seed.

use super::merchant::{Card, Merchant};
use super::wire::Stated;
use crate::people::{Person, Saved};
use serde_json::json;

/// Town, its post code and its country.
const TOWNS: &[(&str, &str, &str)] =
    &[("Sarajevo", "71000", "BA"), ("Zagreb", "10000", "HR"), ("Beograd", "11000", "RS")];

/// Fills an empty merchant with customers `C-000001` and on; two cards each on average.
pub(super) fn fill(merchant: &mut Merchant, count: usize) {
    let (seed, account) = (merchant.seed(), merchant.account.clone());
    for number in 1..=count {
        let mut person = Person::new(seed, &account, number);
        let methods = person.methods(false);
        let created = person.created;
        // A seeded reference cannot be taken: the merchant was empty.
        let Ok(customer) = merchant.create(stated(person), created) else { continue };
        let uuid = customer.uuid.clone();
        for method in methods {
            let Saved::Card(card) = method else { continue };
            let card = Card {
                brand: Some(card.brand.to_owned()),
                bin: card.bin.to_owned(),
                last4: card.last4,
                exp_month: card.exp_month,
                exp_year: card.exp_year,
            };
            merchant.save(&uuid, card, None, created);
        }
    }
}

/// Name, e-mail and phone of everybody; an address of three in four, metadata of one in four.
fn stated(mut person: Person) -> Stated {
    let phone = format!("+38761{:06}", person.rng.below(1_000_000));
    let mut texts = vec![("name", person.name()), ("email", person.email), ("phone", phone)];
    let kind = person.rng.below(4);
    let town = TOWNS.get(person.rng.index(TOWNS.len())).filter(|_| kind != 0);
    if let Some((city, zip_code, country)) = town {
        texts.push(("address", format!("Ulica {} {}", person.last, person.rng.below(99) + 1)));
        texts.push(("city", (*city).to_owned()));
        texts.push(("zip_code", (*zip_code).to_owned()));
        texts.push(("country", (*country).to_owned()));
    }
    let segment = (kind == 1).then(|| ("segment".to_owned(), Some(json!("retail"))));
    Stated {
        reference: Some(person.reference),
        texts: texts.into_iter().map(|(name, text)| (name, Some(text))).collect(),
        metadata: segment.into_iter().collect(),
    }
}
