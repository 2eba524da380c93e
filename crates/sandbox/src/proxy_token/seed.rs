//! Customers from the seed: the same people for the same seed, whatever their number.

use super::merchant::{Ach, Card, Facts, Merchant};
use crate::seeded::Rng;

const FIRST: &[&str] = &[
    "Alex", "Bea", "Chidi", "Dana", "Emil", "Farah", "Gus", "Hana", "Ivo", "Jules", "Kofi", "Lena",
    "Mateo", "Noor", "Olga", "Priya", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Viktor", "Wanda",
    "Ximena", "Yusuf", "Zoë",
];
const LAST: &[&str] = &[
    "Adler",
    "Brandt",
    "Costa",
    "Duarte",
    "Eriksen",
    "Fontaine",
    "Garcia",
    "Horvat",
    "Ibrahim",
    "Jensen",
    "Kovač",
    "Lindqvist",
    "Morales",
    "Nguyen",
    "O'Brien",
    "Petrov",
    "Quist",
    "Rossi",
    "Singh",
    "Tanaka",
    "Urban",
    "Vogel",
    "Weber",
    "Yilmaz",
    "Zhang",
];
/// Brand and first digits.
const CARDS: &[(&str, &str)] =
    &[("VISA", "411111"), ("MASTERCARD", "555555"), ("AMEX", "378282"), ("DISCOVER", "601111")];
const BANKS: &[(&str, &str)] =
    &[("First Sandbank", "011000015"), ("Bank of Loopback", "021000021")];

/// The first of January 2024; a minute passes from one seeded customer to the next.
const EPOCH: i64 = 1_704_067_200;

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> Option<&'a T> {
    from.get(rng.index(from.len()))
}

/// Fills an empty merchant with customers `C-000001` and on; two methods each on average.
pub(super) fn fill(merchant: &mut Merchant, count: usize) {
    let (seed, account) = merchant.origin();
    let account = account.to_owned();
    let mut created = EPOCH;
    for number in 1..=count {
        let reference = format!("C-{number:06}");
        let mut rng = Rng::new(seed, &["person", &account, &reference]);
        let first = pick(&mut rng, FIRST).copied().unwrap_or_default();
        let last = pick(&mut rng, LAST).copied().unwrap_or_default();
        let holder = format!("{first} {last}");
        let local: String =
            format!("{first}.{last}").to_lowercase().chars().filter(char::is_ascii).collect();
        let email = format!("{}.{number}@example.com", local.replace('\'', ""));
        let saved = merchant.create(Some(reference), Some(holder.clone()), Some(email), created);
        created += 60;
        // A seeded reference cannot be taken: the merchant was empty.
        let Ok(customer) = saved else { continue };
        let uid = customer.uid.clone();
        let methods = rng.below(5);
        for nth in 0..methods {
            let facts = facts(&mut rng, &holder);
            merchant.save(&uid, facts, None, nth == 0 && !number.is_multiple_of(4));
        }
    }
}

fn facts(rng: &mut Rng, holder: &str) -> Facts {
    let last4 = format!("{:04}", rng.below(10_000));
    if rng.below(5) == 0 {
        let (bank, routing) = pick(rng, BANKS).copied().unwrap_or_default();
        let kind = if rng.below(3) == 0 { "savings" } else { "checking" };
        return Facts::Ach(Ach {
            suffix: last4,
            routing: Some(routing.to_owned()),
            account_type: Some(kind.to_owned()),
            bank: Some(bank.to_owned()),
            holder: Some(holder.to_owned()),
        });
    }
    let (brand, bin) = pick(rng, CARDS).copied().unwrap_or_default();
    let month = i64::try_from(rng.below(12)).unwrap_or(0) + 1;
    let year = i64::try_from(rng.below(6)).unwrap_or(0) + 2026;
    Facts::Card(Card {
        last4,
        exp_month: month,
        exp_year: year,
        bin: Some(bin.to_owned()),
        brand: Some(brand.to_owned()),
        holder: Some(holder.to_owned()),
    })
}
