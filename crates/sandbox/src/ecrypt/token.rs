//! Tokens and transactions: their form, and which card or bank account each stands for.

use super::Refused;
use super::config::{Expiry, Mask};
use crate::seeded::Rng;

/// What an entry of a wallet is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Token(String),
    /// An approved transaction, by its id.
    Transaction(String),
}

/// What a wallet's entry stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Facts {
    Card(Card),
    /// A bank account by the last four digits of its number.
    Bank(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    /// The vendor's word for it; another client's card may have none.
    pub(super) network: Option<String>,
    /// The first six digits, if known.
    pub(super) bin: Option<String>,
    pub(super) last4: String,
    /// 1–12.
    pub(super) month: i64,
    /// Four digits.
    pub(super) year: i64,
}

/// A card network of the vendor's list.
struct Network {
    /// Its name in a token.
    short: &'static str,
    /// The vendor's word.
    word: &'static str,
    bin: &'static str,
}

const NETWORKS: [Network; 4] = [
    Network { short: "visa", word: "visa", bin: "411111" },
    Network { short: "mastercard", word: "mastercard", bin: "555555" },
    Network { short: "discover", word: "discover card", bin: "601111" },
    Network { short: "amex", word: "american express", bin: "378282" },
];

/// The first digits of a card that says neither them nor a network of the list.
const OTHER_BIN: &str = "400000";

/// The length of tokens, transactions and ids: 8–64.
fn fits(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether this could be a token, or an id of the vendor's.
pub(super) fn is_token(text: &str) -> bool {
    fits(text, |b| b.is_ascii_alphanumeric() || b == b'-')
}

impl Source {
    pub(super) fn token(text: String) -> Result<Self, Refused> {
        if is_token(&text) {
            return Ok(Self::Token(text));
        }
        Err(Refused::invalid("token", "the token has not the form of one"))
    }

    pub(super) fn transaction(id: String) -> Result<Self, Refused> {
        if fits(&id, |b| b.is_ascii_digit()) {
            return Ok(Self::Transaction(id));
        }
        Err(Refused::invalid("transaction_id", "the transaction_id has not the form of one"))
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Token(text) | Self::Transaction(text) => text,
        }
    }

    /// What it stands for.
    pub(super) fn facts(&self, seed: u64) -> Result<Facts, Refused> {
        match self {
            Self::Token(token) => of_token(seed, token),
            Self::Transaction(id) => Ok(of_transaction(seed, id)),
        }
    }
}

/// What a token of the right form stands for: `tok-visa-1111-1228-…`, `tok-check-6789-…`; any
/// other is a card by chance of the seed. `bad-…` stands for nothing.
fn of_token(seed: u64, token: &str) -> Result<Facts, Refused> {
    if token.starts_with("bad-") {
        return Err(Refused::failed("TOKEN_INVALID", "the token stands for nothing"));
    }
    let parts: Vec<&str> = token.splitn(5, '-').collect();
    let named = match parts.as_slice() {
        ["tok", "check", last4, ..] => digits(last4, 4).map(|last4| Facts::Bank(last4.to_owned())),
        ["tok", network, last4, expiry, ..] => {
            let network = NETWORKS.iter().find(|n| n.short == *network);
            network.and_then(|network| card(network, last4, expiry))
        }
        _ => None,
    };
    Ok(named.unwrap_or_else(|| by_chance(&mut Rng::new(seed, &["token", token]))))
}

/// What an approved transaction was paid with: of nine digits or more the first is the network
/// (3 amex, 4 visa, 5 mastercard, 6 discover) and the last eight are last4 and MMYY; with a first 8
/// the last four are a bank account's. Any other is a card by chance of the seed.
fn of_transaction(seed: u64, id: &str) -> Facts {
    let short = match id.get(..1) {
        Some("3") => "amex",
        Some("4") => "visa",
        Some("5") => "mastercard",
        Some("6") => "discover",
        Some("8") => "check",
        _ => "",
    };
    let named = id.len().checked_sub(8).filter(|&head| head > 0).and_then(|head| {
        let (last4, expiry) = id.get(head..)?.split_at_checked(4)?;
        if short == "check" {
            return Some(Facts::Bank(expiry.to_owned()));
        }
        card(NETWORKS.iter().find(|network| network.short == short)?, last4, expiry)
    });
    named.unwrap_or_else(|| by_chance(&mut Rng::new(seed, &["transaction", id])))
}

fn digits(text: &str, count: usize) -> Option<&str> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// A card of a network; none if the last four or the MMYY are not.
fn card(network: &Network, last4: &str, expiry: &str) -> Option<Facts> {
    let (month, year) = digits(expiry, 4)?.split_at_checked(2)?;
    let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
    let year = 2000 + year.parse::<i64>().ok()?;
    Some(Facts::Card(Card::of_bin(network.bin, digits(last4, 4)?.to_owned(), month, year)))
}

/// A card by chance.
fn by_chance(rng: &mut Rng) -> Facts {
    let bin = NETWORKS.get(rng.index(NETWORKS.len())).map_or(OTHER_BIN, |network| network.bin);
    let last4 = format!("{:04}", rng.below(10_000));
    let month = i64::try_from(rng.below(12)).unwrap_or(0) + 1;
    let year = i64::try_from(rng.below(6)).unwrap_or(0) + 2026;
    Facts::Card(Card::of_bin(bin, last4, month, year))
}

impl Facts {
    /// The masked number.
    pub(super) fn masked(&self, mask: Mask) -> String {
        let star = if mask == Mask::Xs { "x" } else { "*" };
        match self {
            Self::Bank(last4) => format!("{}{last4}", star.repeat(5)),
            Self::Card(card) => {
                let bin = card.bin();
                let shown = if mask == Mask::Bin { bin } else { bin.get(..1).unwrap_or("4") };
                let length = if bin.starts_with('3') { 15_usize } else { 16 };
                let hidden = length.saturating_sub(shown.len() + card.last4.len());
                format!("{shown}{}{}", star.repeat(hidden), card.last4)
            }
        }
    }

    /// The expiry; a bank account has none.
    pub(super) fn expiry(&self, format: Expiry) -> Option<String> {
        let Self::Card(Card { month, year, .. }) = self else { return None };
        let short = year.rem_euclid(100);
        Some(match format {
            Expiry::Mmyy => format!("{month:02}{short:02}"),
            Expiry::MmSlashYy => format!("{month:02}/{short:02}"),
            Expiry::MmSlashYyyy => format!("{month:02}/{year:04}"),
            Expiry::YyyyDashMm => format!("{year:04}-{month:02}"),
        })
    }
}

impl Card {
    /// A card of the network whose numbers begin so.
    pub(super) fn of_bin(bin: &str, last4: String, month: i64, year: i64) -> Self {
        let network = NETWORKS.iter().find(|network| network.bin == bin);
        Self {
            network: network.map(|network| network.word.to_owned()),
            bin: Some(bin.to_owned()),
            last4,
            month,
            year,
        }
    }

    /// The first digits: those known, else those of the network.
    fn bin(&self) -> &str {
        let of_network = || {
            let known = NETWORKS.iter().find(|n| self.network.as_deref() == Some(n.word));
            known.map_or(OTHER_BIN, |network| network.bin)
        };
        self.bin.as_deref().unwrap_or_else(of_network)
    }
}
