//! Saved payment methods: what is known of them without ever knowing the number.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What sort of payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A payment card.
    Card,
    /// A bank account (ACH).
    BankAccount,
    /// A crypto wallet.
    CryptoWallet,
}

impl MethodKind {
    /// The word used in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::BankAccount => "bank_account",
            Self::CryptoWallet => "crypto_wallet",
        }
    }

    /// Reads the word used in files.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Card, Self::BankAccount, Self::CryptoWallet].into_iter().find(|k| k.as_str() == text)
    }
}

impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not the fact it should be. Never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct BadFact {
    /// What would have been right.
    pub expected: &'static str,
}

/// The last four digits of a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Last4(String);

impl Last4 {
    /// Exactly four ASCII digits.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn new(text: &str) -> Result<Self, BadFact> {
        if text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadFact { expected: "exactly 4 digits" })
        }
    }

    /// The trailing four digits of a masked number, if it has them.
    #[must_use]
    pub fn of_masked(text: &str) -> Option<Self> {
        let start = text.len().checked_sub(4)?;
        Self::new(text.get(start..)?).ok()
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Last4 {
    type Error = BadFact;
    fn try_from(text: String) -> Result<Self, BadFact> {
        Self::new(&text)
    }
}

impl From<Last4> for String {
    fn from(last4: Last4) -> String {
        last4.0
    }
}

/// The leading digits of a card number that name its issuer: six at most are ever kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bin(String);

impl Bin {
    /// Takes 6 to 8 digits and keeps the first 6.
    ///
    /// # Errors
    /// When the text has another length or another character.
    pub fn new(text: &str) -> Result<Self, BadFact> {
        if (6..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.chars().take(6).collect()))
        } else {
            Err(BadFact { expected: "6 to 8 digits" })
        }
    }

    /// The six digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Bin {
    type Error = BadFact;
    fn try_from(text: String) -> Result<Self, BadFact> {
        Self::new(&text)
    }
}

impl From<Bin> for String {
    fn from(bin: Bin) -> String {
        bin.0
    }
}

/// The month a card expires at the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry {
    year: u16,
    month: u8,
}

impl Expiry {
    /// Month 1 to 12, year 2000 to 2099 (two digits are taken as 20YY).
    ///
    /// # Errors
    /// When month or year is out of range.
    pub fn new(month: u32, year: u32) -> Result<Self, BadFact> {
        let year = if year < 100 { 2000 + year } else { year };
        match (u8::try_from(month), u16::try_from(year)) {
            (Ok(month @ 1..=12), Ok(year @ 2000..=2099)) => Ok(Self { year, month }),
            (Ok(1..=12), _) => Err(BadFact { expected: "a year from 2000 to 2099" }),
            _ => Err(BadFact { expected: "a month from 1 to 12" }),
        }
    }

    /// The month of a point in time, by UTC; of one beyond what an expiry can be, the nearest.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default();
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let year = u16::try_from(date.year()).unwrap_or(2000).clamp(2000, 2099);
        Self { year, month: u8::try_from(date.month()).unwrap_or(1) }
    }

    /// 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// Four digits.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }

    /// Whether the month is over at `now`, by UTC.
    #[must_use]
    pub fn is_past(self, now: Timestamp) -> bool {
        let Ok(now) = jiff::Timestamp::from_microsecond(now.micros()) else { return false };
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        (i32::from(self.year), i32::from(self.month))
            < (i32::from(today.year()), i32::from(today.month()))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}/{}", self.month, self.year)
    }
}

/// What is known of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CardFacts {
    /// Brand, as stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// First six digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin: Option<Bin>,
    /// Last four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last4: Option<Last4>,
    /// Expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// The name on the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
}

/// Checking or savings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountType {
    /// A checking account.
    Checking,
    /// A savings account.
    Savings,
}

impl AccountType {
    /// The word used in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Savings => "savings",
        }
    }

    /// Reads the word in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Checking, Self::Savings].into_iter().find(|t| t.as_str().eq_ignore_ascii_case(text))
    }
}

/// What is known of a bank account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BankFacts {
    /// The bank's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_name: Option<String>,
    /// Checking or savings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_type: Option<AccountType>,
    /// ABA routing number, 9 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_number: Option<String>,
    /// Last four digits of the account number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last4: Option<Last4>,
    /// The account holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
}

/// A crypto wallet: public facts only. Made by [`WalletFacts::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletFacts {
    /// The chain's number, as the provider counts.
    pub chain_id: u64,
    /// The address; those that are hexadecimal (EVM, Sui) are kept in lower case, leading zeros as they
    /// are.
    pub address: String,
}

impl WalletFacts {
    /// An address on a chain. `0x…` is hexadecimal, and the same in any case; others are not.
    #[must_use]
    pub fn new(chain_id: u64, address: &str) -> Self {
        let hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
        let address = match address.get(..2) {
            Some("0x" | "0X") if address.get(2..).is_some_and(hex) => address.to_ascii_lowercase(),
            _ => address.to_owned(),
        };
        Self { chain_id, address }
    }
}

/// What is known of a payment method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MethodFacts {
    /// A card.
    Card(CardFacts),
    /// A bank account.
    BankAccount(BankFacts),
    /// A crypto wallet.
    CryptoWallet(WalletFacts),
}

/// Whether two descriptions can be of the same payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// Every fact that both know is equal, and enough is known to say so: last 4 and expiry of a
    /// card, last 4 and type of a bank account, chain and address of a wallet.
    Agrees,
    /// Nothing contradicts, but too little is known.
    TooLittle,
    /// A fact differs.
    Differs,
}

fn differs<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

/// Brand names as one word each; `discover` covers the networks that ecrypt files under it.
fn brand_key(brand: &str) -> String {
    let word: String =
        brand.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match word.as_str() {
        "americanexpress" => "amex".into(),
        "mc" => "mastercard".into(),
        "discovercard" | "jcb" | "unionpay" | "chinaunionpay" | "diners" | "dinersclub" => {
            "discover".into()
        }
        _ => word,
    }
}

impl MethodFacts {
    /// What sort it is.
    #[must_use]
    pub const fn kind(&self) -> MethodKind {
        match self {
            Self::Card(_) => MethodKind::Card,
            Self::BankAccount(_) => MethodKind::BankAccount,
            Self::CryptoWallet(_) => MethodKind::CryptoWallet,
        }
    }

    /// The last four digits, where they are known.
    #[must_use]
    pub fn last4(&self) -> Option<&Last4> {
        match self {
            Self::Card(card) => card.last4.as_ref(),
            Self::BankAccount(bank) => bank.last4.as_ref(),
            Self::CryptoWallet(_) => None,
        }
    }

    /// Compares what both sides know (rules 4 and 8). Holder and bank names are not compared:
    /// providers print them as they like.
    #[must_use]
    pub fn agreement(&self, other: &Self) -> Agreement {
        let (contradicts, enough) = match (self, other) {
            (Self::Card(a), Self::Card(b)) => (
                differs(a.last4.as_ref(), b.last4.as_ref())
                    || differs(a.expiry.as_ref(), b.expiry.as_ref())
                    || differs(a.bin.as_ref(), b.bin.as_ref())
                    || differs(
                        a.brand.as_deref().map(brand_key).as_ref(),
                        b.brand.as_deref().map(brand_key).as_ref(),
                    ),
                a.last4.is_some() && b.last4.is_some() && a.expiry.is_some() && b.expiry.is_some(),
            ),
            (Self::BankAccount(a), Self::BankAccount(b)) => (
                differs(a.last4.as_ref(), b.last4.as_ref())
                    || differs(a.account_type.as_ref(), b.account_type.as_ref())
                    || differs(a.routing_number.as_ref(), b.routing_number.as_ref()),
                a.last4.is_some()
                    && b.last4.is_some()
                    && a.account_type.is_some()
                    && b.account_type.is_some(),
            ),
            (Self::CryptoWallet(a), Self::CryptoWallet(b)) => (a != b, true),
            _ => (true, true),
        };
        match (contradicts, enough) {
            (true, _) => Agreement::Differs,
            (false, true) => Agreement::Agrees,
            (false, false) => Agreement::TooLittle,
        }
    }
}

/// What sort of credential a token is; decides the way it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The processor's own, permanent.
    Processor,
    /// Made in a browser, alive for minutes.
    Proxynized,
    /// A gateway's single-use token.
    Gateway,
    /// The id of an approved transaction.
    Transaction,
    /// A wallet's own address: no secret, and no word of files.
    Address,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Processor, Self::Proxynized, Self::Gateway, Self::Transaction, Self::Address];

    /// The word used in files, but for [`TokenKind::Address`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Proxynized => "proxynized",
            Self::Gateway => "gateway",
            Self::Transaction => "transaction",
            Self::Address => "address",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// A credential that stands for a payment method. Its value prints nowhere.
#[derive(Debug, Clone)]
pub struct Token {
    /// What sort.
    pub kind: TokenKind,
    /// The credential itself.
    pub value: SecretString,
    /// When it was made, if the file says so.
    pub created_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(brand: Option<&str>, last4: Option<&str>, expiry: Option<(u32, u32)>) -> MethodFacts {
        MethodFacts::Card(CardFacts {
            brand: brand.map(str::to_owned),
            last4: last4.map(|t| Last4::new(t).expect("digits")),
            expiry: expiry.map(|(m, y)| Expiry::new(m, y).expect("in range")),
            ..CardFacts::default()
        })
    }

    #[test]
    fn cards_agree_on_what_both_know() {
        let file = card(Some("VISA"), Some("4242"), Some((12, 27)));
        assert_eq!(
            file.agreement(&card(Some("visa"), Some("4242"), Some((12, 2027)))),
            Agreement::Agrees
        );
        assert_eq!(file.agreement(&card(None, Some("4242"), Some((12, 2027)))), Agreement::Agrees);
        assert_eq!(file.agreement(&card(Some("VISA"), Some("4242"), None)), Agreement::TooLittle);
        assert_eq!(
            file.agreement(&card(Some("VISA"), Some("4243"), Some((12, 2027)))),
            Agreement::Differs
        );
        assert_eq!(
            file.agreement(&card(Some("amex"), Some("4242"), Some((12, 2027)))),
            Agreement::Differs
        );
    }

    #[test]
    fn brands_have_aliases() {
        assert_eq!(brand_key("American Express"), brand_key("AMEX"));
        assert_eq!(brand_key("JCB"), brand_key("discover card"));
        assert_ne!(brand_key("Visa"), brand_key("Mastercard"));
    }

    #[test]
    fn wallets_compare_by_their_chain_s_rules() {
        let wallet = |chain_id, address: &str| {
            MethodFacts::CryptoWallet(WalletFacts::new(chain_id, address))
        };
        assert_eq!(wallet(1, "0xAB").agreement(&wallet(1, "0xab")), Agreement::Agrees);
        assert_eq!(wallet(1, "0XaB").agreement(&wallet(1, "0xab")), Agreement::Agrees);
        assert_eq!(wallet(1, "0x02").agreement(&wallet(1, "0x2")), Agreement::Differs);
        assert_eq!(wallet(1, "So1A").agreement(&wallet(1, "so1A")), Agreement::Differs);
        assert_eq!(wallet(1, "0xab").agreement(&wallet(2, "0xab")), Agreement::Differs);
    }

    #[test]
    fn facts_refuse_what_they_are_not() {
        assert!(Last4::new("424").is_err());
        assert!(Last4::new("42a2").is_err());
        assert_eq!(Bin::new("41111122").expect("digits").as_str(), "411111");
        assert!(Bin::new("4111111").is_ok());
        assert!(Bin::new("411111222").is_err());
        assert!(Expiry::new(13, 2027).is_err());
        assert!(Expiry::new(0, 2027).is_err());
        assert!(Expiry::new(1, 1999).is_err());
    }

    #[test]
    fn a_card_expires_at_the_end_of_its_month() {
        let expiry = Expiry::new(2, 28).expect("in range");
        let at = |t: &str| Timestamp::parse_rfc3339(t).expect("valid");
        assert!(!expiry.is_past(at("2028-02-29T23:59:59Z")));
        assert!(expiry.is_past(at("2028-03-01T00:00:00Z")));
    }
}
