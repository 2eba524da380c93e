//! `noderails`: wallets, which are saved without a token.

use std::sync::Arc;

use backend::CustomerBackend;
use model::{Clock, TokenKind};
use provider_noderails::{KIND, NodeRails as Adapter, NodeRailsConfig};
use sandbox::noderails::{Config, Duplicate, EMPTY, IdForm, KEY, MAIN, SearchLag, Shape};
use sandbox::{Handle, VendorConfig};
use transport::Credentials;

use super::{Method, Opening, Over, Provider, Reading};

#[derive(Debug)]
pub struct NodeRails;

impl Provider for NodeRails {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn vendor(&self) -> VendorConfig {
        VendorConfig::Noderails(Config::default())
    }

    fn readings(&self) -> Vec<Reading> {
        let other = Shape {
            ids: IdForm::Prefixed,
            error_type: true,
            error_details: false,
            chain_names: false,
            evm_upper_case: true,
            ..Shape::default()
        };
        let all = [
            ("other", Config { shape: other, ..Config::default() }),
            (
                "conflict",
                Config {
                    duplicate_external_id: Duplicate::Conflict,
                    duplicate_wallet: Duplicate::Conflict,
                    ..Config::default()
                },
            ),
            ("strict", Config { unknown_fields_refused: true, ..Config::default() }),
        ];
        all.into_iter()
            .map(|(word, config)| Reading::new(word, VendorConfig::Noderails(config)))
            .collect()
    }

    fn tortured(&self, lenient: bool, lag: u64) -> VendorConfig {
        let duplicate = if lenient { Duplicate::Allowed } else { Duplicate::ServerError };
        VendorConfig::Noderails(Config {
            duplicate_external_id: duplicate,
            duplicate_wallet: duplicate,
            search_lag: if lag == 0 { SearchLag::None } else { SearchLag::Ms(lag) },
            ..Config::default()
        })
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

    fn identity(&self, merchant: &str) -> String {
        merchant.to_owned()
    }

    fn toml(&self, _: &Handle, merchant: &str) -> String {
        format!("app_id = \"{merchant}\"\napi_key = {{ env = \"CHAIN_KEY\" }}\n")
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[("CHAIN_KEY", KEY)]
    }

    fn open(
        &self,
        _: &Handle,
        opening: &Opening,
        _: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<dyn Credentials>, Over)> {
        let config = NodeRailsConfig {
            app_id: opening.merchant.to_owned(),
            api_key: opening.secret.unwrap_or(KEY).into(),
        };
        let credentials = config.credentials()?;
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
        "nr_test_sk_another_key-2"
    }

    fn bad_token(&self, _: TokenKind) -> Option<&'static str> {
        None
    }
}
