//! `ecrypt`.

use std::sync::Arc;

use backend::CustomerBackend;
use model::{Clock, TokenKind, contains_card_number};
use provider_ecrypt::{Casing, Ecrypt as Adapter, EcryptConfig, KIND, ReferenceField};
use sandbox::ecrypt::{
    Casing as Case, Config, Expiry, ListName, Mask, Message, Missing, NoErrors, One, RequestCasing,
    Shape, Unset, WalletsName,
};
use sandbox::{Handle, VendorConfig};
use transport::Credentials;

use super::{Method, Opening, Over, Provider, Reading};

/// The key is what selects the account.
const MAIN: &str = "sandbox-private-main";
const EMPTY: &str = "sandbox-private-empty";

#[derive(Debug)]
pub struct Ecrypt;

impl Provider for Ecrypt {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn vendor(&self) -> VendorConfig {
        VendorConfig::Ecrypt(Config::default())
    }

    fn readings(&self) -> Vec<Reading> {
        let camel = Shape {
            casing: Case::Camel,
            customers: ListName::Data,
            wallets: WalletsName::Wallet,
            customer: One::Object,
            wallet: One::Array,
            missing_customer: Missing::Null,
            mask: Mask::Xs,
            expiry: Expiry::MmSlashYy,
            bank_network: None,
            unset: Unset::Null,
            no_errors: NoErrors::Null,
            message: Message::Object,
        };
        let pascal = Shape {
            casing: Case::Pascal,
            wallets: WalletsName::Data,
            mask: Mask::Bin,
            expiry: Expiry::YyyyDashMm,
            bank_network: Some("ACH"),
            no_errors: NoErrors::Empty,
            message: Message::Array,
            ..Shape::default()
        };
        let numbered = Shape {
            expiry: Expiry::MmSlashYyyy,
            message: Message::Number,
            unset: Unset::Null,
            ..Shape::default()
        };
        let silent = Shape { message: Message::Null, ..Shape::default() };
        let all = [
            ("camel", Config { shape: camel, ..Config::default() }),
            ("pascal", Config { shape: pascal, ..Config::default() }),
            (
                "numbered",
                Config { shape: numbered, requests: RequestCasing::Snake, ..Config::default() },
            ),
            ("silent", Config { shape: silent, ..Config::default() }),
        ];
        let all =
            all.into_iter().map(|(word, config)| Reading::new(word, VendorConfig::Ecrypt(config)));
        let refusing = Config { refuse_with_200: true, ..Config::default() };
        all.chain([Reading {
            word: "refuses_with_200",
            vendor: VendorConfig::Ecrypt(refusing),
            // Only a 404 says that something is not there: no word of the vendor's for it is known.
            but: &[
                "a_deleted_customer_is_gone",
                "who_never_was_is_nobody",
                "a_removed_method_is_gone",
            ],
        }])
        .collect()
    }

    /// It takes everything twice, and finds nothing.
    fn tortured(&self, _: bool, _: u64) -> VendorConfig {
        self.vendor()
    }

    fn shifting(&self, _: usize, _: bool) -> (VendorConfig, bool) {
        (self.vendor(), false)
    }

    fn seeded(&self) -> &'static str {
        MAIN
    }

    fn empty(&self) -> &'static str {
        EMPTY
    }

    /// Nothing but the host says whose account it is.
    fn identity(&self, _: &str) -> String {
        String::new()
    }

    fn toml(&self, _: &Handle, _: &str) -> String {
        "api_key = { env = \"ECRYPT_KEY\" }\n".to_owned()
    }

    /// Of the seeded account.
    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[("ECRYPT_KEY", MAIN)]
    }

    fn open(
        &self,
        _: &Handle,
        opening: &Opening,
        _: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<dyn Credentials>, Over)> {
        let config = EcryptConfig {
            api_key: opening.secret.unwrap_or(opening.merchant).into(),
            reference_field: ReferenceField::Metadata("account_id".to_owned()),
            casing: Casing::Snake,
            transliterate: false,
            webhook_header: None,
            webhook_secrets: Vec::new(),
        };
        let credentials = config.credentials()?;
        let over = move |transport| {
            let backend: Arc<dyn CustomerBackend> = Arc::new(Adapter::new(&config, transport)?);
            Ok(backend)
        };
        Ok((credentials, Box::new(over)))
    }

    /// Both kinds say what they stand for.
    fn token(&self, kind: TokenKind, of: &Method, number: u64, _: i64) -> String {
        match (kind, of) {
            (TokenKind::Transaction, Method::Card { last4, month, year }) => {
                transaction('4', number, &format!("{last4}{month:02}{:02}", year % 100))
            }
            (TokenKind::Transaction, Method::Bank { last4 }) => {
                transaction('8', number, &format!("0000{last4}"))
            }
            (_, Method::Card { last4, month, year }) => {
                format!("tok-visa-{last4}-{month:02}{:02}-{number}", year % 100)
            }
            (_, Method::Bank { last4 }) => format!("tok-check-{last4}-{number}"),
            (_, Method::Wallet { .. }) => String::new(),
        }
    }

    fn wrong_secret(&self) -> &'static str {
        "sandbox-private-other"
    }

    fn bad_token(&self, kind: TokenKind) -> Option<&'static str> {
        (kind == TokenKind::Gateway).then_some("bad-token-1")
    }
}

/// Digits that nobody takes for a card number.
fn transaction(network: char, number: u64, facts: &str) -> String {
    let text = |filler| format!("{network}{filler}{number:011}{facts}");
    let fillers = 0..10_u32;
    fillers.map(text).find(|text| !contains_card_number(text)).unwrap_or_default()
}
