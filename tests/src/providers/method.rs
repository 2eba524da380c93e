//! A payment method of a trial: as a file says it, as it is sent, as somebody else saves it.

use backend::Capabilities;
use model::{
    AccountType, BankFacts, CardFacts, Expiry, Last4, MethodFacts, MethodKind, Token, TokenKind,
    WalletFacts,
};
use sandbox::NewMethod;

use super::Provider;

/// The columns of a file that [`Written::cells`] fills.
pub const COLUMNS: &str = "method,token,token_kind,last4,exp_month,exp_year,account_type,\
                           routing_number,chain_id,wallet_address";

/// The bank of every bank account.
const ROUTING: &str = "110000000";

/// What is known of a payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    Card {
        last4: String,
        month: u32,
        year: u32,
    },
    /// A checking account.
    Bank {
        last4: String,
    },
    Wallet {
        chain_id: u64,
        address: String,
    },
}

impl Method {
    /// The one of a kind that this number stands for, below 10,000: another number is another one.
    pub fn numbered(kind: MethodKind, number: u32) -> Self {
        let last4 = format!("{:04}", number % 10_000);
        match kind {
            MethodKind::Card => Self::Card { last4, month: 1 + number % 12, year: 2031 },
            MethodKind::BankAccount => Self::Bank { last4 },
            MethodKind::CryptoWallet => {
                Self::Wallet { chain_id: 1, address: format!("0x{number:040x}") }
            }
        }
    }

    pub const fn kind(&self) -> MethodKind {
        match self {
            Self::Card { .. } => MethodKind::Card,
            Self::Bank { .. } => MethodKind::BankAccount,
            Self::Wallet { .. } => MethodKind::CryptoWallet,
        }
    }

    /// As a file's row has it in canonical words.
    pub fn facts(&self) -> anyhow::Result<MethodFacts> {
        Ok(match self {
            Self::Card { last4, month, year } => MethodFacts::Card(CardFacts {
                last4: Some(Last4::new(last4)?),
                expiry: Some(Expiry::new(*month, *year)?),
                ..CardFacts::default()
            }),
            Self::Bank { last4 } => MethodFacts::BankAccount(BankFacts {
                last4: Some(Last4::new(last4)?),
                account_type: Some(AccountType::Checking),
                routing_number: Some(ROUTING.to_owned()),
                ..BankFacts::default()
            }),
            Self::Wallet { chain_id, address } => {
                MethodFacts::CryptoWallet(WalletFacts::new(*chain_id, address))
            }
        })
    }

    /// As somebody else saves it.
    pub fn at_provider(&self) -> NewMethod {
        match self {
            Self::Card { last4, month, year } => {
                NewMethod::card("VISA", last4, i64::from(*month), i64::from(*year))
            }
            Self::Bank { last4 } => NewMethod::ach("checking", last4),
            Self::Wallet { chain_id, address } => {
                NewMethod::wallet(i64::try_from(*chain_id).unwrap_or_default(), address)
            }
        }
    }

    /// The kinds of token by which a provider saves it; `[None]` for a wallet, which is saved without
    /// one, and empty where it cannot be saved.
    pub fn token_kinds(&self, capabilities: &Capabilities) -> Vec<Option<TokenKind>> {
        if !capabilities.method_kinds.contains(&self.kind()) {
            return Vec::new();
        }
        match self.kind() {
            MethodKind::CryptoWallet => {
                capabilities.add_method.then_some(None).into_iter().collect()
            }
            MethodKind::Card | MethodKind::BankAccount => {
                capabilities.tokens.iter().map(|rule| Some(rule.kind)).collect()
            }
        }
    }
}

/// A payment method with the credential that saves it.
#[derive(Debug, Clone)]
pub struct Written {
    pub method: Method,
    /// Kind and text; none of a wallet.
    pub token: Option<(TokenKind, String)>,
}

impl Written {
    /// See [`Provider::token`].
    pub fn new(
        provider: &dyn Provider,
        method: Method,
        kind: Option<TokenKind>,
        number: u64,
        now: i64,
    ) -> Self {
        let token = kind.map(|kind| (kind, provider.token(kind, &method, number, now)));
        Self { method, token }
    }

    /// The credential as an effect has it.
    pub fn credential(&self) -> Option<Token> {
        let (kind, value) = self.token.as_ref()?;
        Some(Token { kind: *kind, value: value.as_str().into(), created_at: None })
    }

    /// Its cells of a row of a file, by [`COLUMNS`].
    pub fn cells(&self) -> String {
        let (kind, token) = match &self.token {
            Some((kind, token)) => (kind.as_str(), token.as_str()),
            None => ("", ""),
        };
        let method = self.method.kind().as_str();
        match &self.method {
            Method::Card { last4, month, year } => {
                format!("{method},{token},{kind},{last4},{month},{year},,,,")
            }
            Method::Bank { last4 } => {
                format!("{method},{token},{kind},{last4},,,checking,{ROUTING},,")
            }
            Method::Wallet { chain_id, address } => {
                format!("{method},{token},{kind},,,,,,{chain_id},{address}")
            }
        }
    }
}
