//! `v2`: cards that nobody but the payer saves.

use std::sync::Arc;

use backend::CustomerBackend;
use model::{Clock, TokenKind};
use provider_v2::{KIND, V2 as Adapter, V2Config};
use sandbox::v2::{
    Config, Deleted, Duplicate, ErrorShape, IdField, KeepUntil, Mask, MethodId, Shape, Times,
};
use sandbox::{Handle, VendorConfig};
use transport::Credentials;

use super::{Method, Opening, Over, Provider, Reading};

const MAIN: &str = "5a0db0c0000000000000000000000000000a11a1";
const EMPTY: &str = "5a0db0c0000000000000000000000000000e3947";
const SECRET: &str = "sandbox-key-main";

#[derive(Debug)]
pub struct V2;

impl Provider for V2 {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn vendor(&self) -> VendorConfig {
        VendorConfig::V2(Config::default())
    }

    fn readings(&self) -> Vec<Reading> {
        let other = Shape {
            listed_id: IdField::Id,
            deleted_id: IdField::Id,
            method_id: MethodId::Text,
            mask: Mask::FirstFour,
            times: Times::Offset,
            keep_until: KeepUntil::Time,
            nulls: false,
            created_is_201: false,
            errors: ErrorShape::Errors,
        };
        let terse = Shape {
            mask: Mask::LastFour,
            times: Times::Spaced,
            errors: ErrorShape::Bare,
            ..Shape::default()
        };
        let duplicate = |status, errors| Duplicate { status, errors };
        let numbered = Shape { method_id: MethodId::Number, ..Shape::default() };
        let all = [
            ("numbered", Config { shape: numbered, ..Config::default() }),
            ("other", Config { shape: other, ..Config::default() }),
            ("terse", Config { shape: terse, methods_move_updated_at: true, ..Config::default() }),
            ("irregular", Config { irregular_pages: true, max_page: 50, ..Config::default() }),
            (
                "conflict",
                Config { duplicate: duplicate(409, ErrorShape::Errors), ..Config::default() },
            ),
            (
                "invalid",
                Config { duplicate: duplicate(422, ErrorShape::Bare), ..Config::default() },
            ),
            (
                "listed",
                Config {
                    deleted: Deleted { listed: true, ..Deleted::default() },
                    keep_seconds: None,
                    ..Config::default()
                },
            ),
            (
                "gone_twice",
                Config {
                    deleted: Deleted { again_not_found: true, ..Deleted::default() },
                    ..Config::default()
                },
            ),
        ];
        all.into_iter().map(|(word, config)| Reading::new(word, VendorConfig::V2(config))).collect()
    }

    /// Its references are unique, and a file brings nothing else.
    fn tortured(&self, _: bool, _: u64) -> VendorConfig {
        self.vendor()
    }

    /// The other form has pages of any length.
    fn shifting(&self, page: usize, other: bool) -> (VendorConfig, bool) {
        let config = Config { irregular_pages: other, max_page: page, ..Config::default() };
        (VendorConfig::V2(config), true)
    }

    fn seeded(&self) -> &'static str {
        MAIN
    }

    fn empty(&self) -> &'static str {
        EMPTY
    }

    fn identity(&self, merchant: &str) -> String {
        merchant.to_owned()
    }

    fn toml(&self, _: &Handle, merchant: &str) -> String {
        format!("authenticity_token = \"{merchant}\"\nmerchant_key = {{ env = \"EU_KEY\" }}\n")
    }

    /// Of the seeded account.
    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[("EU_KEY", SECRET)]
    }

    fn open(
        &self,
        _: &Handle,
        opening: &Opening,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<dyn Credentials>, Over)> {
        let right = if opening.merchant == EMPTY { "sandbox-key-empty" } else { SECRET };
        let config = V2Config {
            authenticity_token: opening.merchant.to_owned(),
            merchant_key: opening.secret.unwrap_or(right).into(),
        };
        let credentials = config.credentials(Arc::clone(clock))?;
        let over = move |transport| {
            let backend: Arc<dyn CustomerBackend> = Arc::new(Adapter::new(&config, transport)?);
            Ok(backend)
        };
        Ok((credentials, Box::new(over)))
    }

    /// It takes none.
    fn token(&self, _: TokenKind, _: &Method, _: u64, _: i64) -> String {
        String::new()
    }

    fn wrong_secret(&self) -> &'static str {
        "another-key"
    }

    fn bad_token(&self, _: TokenKind) -> Option<&'static str> {
        None
    }
}
