//! The people of the seed: the same for the same seed, account and number, whatever the vendor.

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

/// Somebody whom the seed makes a customer.
#[derive(Debug)]
pub(crate) struct Person {
    /// `C-000001` and on.
    pub(crate) reference: String,
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    pub(crate) email: String,
    /// When the customer was made, in Unix seconds.
    pub(crate) created: i64,
    /// Whether the first method, if there is any, is the default: of three in four.
    pub(crate) has_default: bool,
    /// Draws whatever else a vendor holds of the person.
    pub(crate) rng: Rng,
}

/// A method that a seeded person has saved.
#[derive(Debug)]
pub(crate) enum Saved {
    Card(SavedCard),
    Bank(SavedBank),
}

/// A seeded card.
#[derive(Debug)]
pub(crate) struct SavedCard {
    pub(crate) brand: &'static str,
    /// The first six digits.
    pub(crate) bin: &'static str,
    pub(crate) last4: String,
    pub(crate) exp_month: i64,
    pub(crate) exp_year: i64,
}

/// A seeded bank account.
#[derive(Debug)]
pub(crate) struct SavedBank {
    pub(crate) bank: &'static str,
    pub(crate) routing: &'static str,
    /// `checking` or `savings`.
    pub(crate) account_type: &'static str,
    pub(crate) last4: String,
}

fn pick<T: Copy + Default>(rng: &mut Rng, from: &[T]) -> T {
    from.get(rng.index(from.len())).copied().unwrap_or_default()
}

/// The first six digits of a card of this brand, in any case.
pub(crate) fn bin_of(brand: &str) -> Option<&'static str> {
    CARDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(brand)).map(|&(_, bin)| bin)
}

impl Person {
    /// The person of this number, from 1, in an account.
    pub(crate) fn new(seed: u64, account: &str, number: usize) -> Self {
        let reference = format!("C-{number:06}");
        let mut rng = Rng::new(seed, &["person", account, &reference]);
        let (first, last) = (pick(&mut rng, FIRST), pick(&mut rng, LAST));
        let local: String =
            format!("{first}.{last}").to_lowercase().chars().filter(char::is_ascii).collect();
        let minutes = i64::try_from(number).unwrap_or(i64::MAX).saturating_sub(1);
        Self {
            email: format!("{}.{number}@example.com", local.replace('\'', "")),
            created: EPOCH.saturating_add(minutes.saturating_mul(60)),
            has_default: !number.is_multiple_of(4),
            reference,
            first,
            last,
            rng,
        }
    }

    /// First and last name.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// Draws the saved methods: 0 to 4, 2 on average. With `banks` one in five is a bank account,
    /// else all are cards.
    pub(crate) fn methods(&mut self, banks: bool) -> Vec<Saved> {
        (0..self.rng.below(5)).map(|_| self.method(banks)).collect()
    }

    fn method(&mut self, banks: bool) -> Saved {
        let rng = &mut self.rng;
        let last4 = format!("{:04}", rng.below(10_000));
        if banks && rng.below(5) == 0 {
            let (bank, routing) = pick(rng, BANKS);
            let account_type = if rng.below(3) == 0 { "savings" } else { "checking" };
            return Saved::Bank(SavedBank { bank, routing, account_type, last4 });
        }
        let (brand, bin) = pick(rng, CARDS);
        let exp_month = i64::try_from(rng.below(12)).unwrap_or(0) + 1;
        let exp_year = i64::try_from(rng.below(6)).unwrap_or(0) + 2026;
        Saved::Card(SavedCard { brand, bin, last4, exp_month, exp_year })
    }
}
