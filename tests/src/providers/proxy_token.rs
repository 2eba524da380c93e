//! `proxy-token`.

use std::sync::Arc;

use backend::CustomerBackend;
use model::{Clock, TokenKind};
use provider_proxy_token::{
    DEFAULT_REPLAY_WINDOW, DEFAULT_SCOPE, KIND, ProxyToken as Adapter, ProxyTokenConfig,
    ProxyTokenCredentials,
};
use sandbox::proxy_token::{Config, Envelope, IdField, MethodShape, NextLink, Shape};
use sandbox::{Handle, VendorConfig};
use transport::Credentials;

use super::{Method, Opening, Over, Provider, Reading};

const SECRET: &str = "sandbox-secret";

#[derive(Debug)]
pub struct ProxyToken;

impl Provider for ProxyToken {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// It would save the same token twice: what is sent twice shows.
    fn vendor(&self) -> VendorConfig {
        VendorConfig::ProxyToken(Config { import_dedupes: false, ..Config::default() })
    }

    fn readings(&self) -> Vec<Reading> {
        let plain = || Config { import_dedupes: false, ..Config::default() };
        let shaped = |max_page, shape| Config { max_page, shape, ..plain() };
        let bare = Shape {
            customers: Envelope::Bare,
            methods: Envelope::Bare,
            id_field: IdField::CustomerUid,
            method: MethodShape::Flat,
            created_at: false,
            ..Shape::default()
        };
        let items = Shape {
            customers: Envelope::Items,
            methods: Envelope::Items,
            id_field: IdField::Id,
            next_link: NextLink::SameOrigin,
            mixed_method_prefix: true,
            ..Shape::default()
        };
        let data = Shape {
            customers: Envelope::Data,
            methods: Envelope::Value,
            method: MethodShape::Flat,
            ..Shape::default()
        };
        let dedupes = Config { import_dedupes: true, duplicate_across_customers: true, ..plain() };
        let all =
            [("bare", shaped(100, bare)), ("items", shaped(40, items)), ("data", shaped(50, data))];
        let all = all.into_iter().chain([("dedupes", dedupes)]);
        all.map(|(word, config)| Reading::new(word, VendorConfig::ProxyToken(config))).collect()
    }

    /// Its references are unique, and each import saves the token again.
    fn tortured(&self, _: bool, _: u64) -> VendorConfig {
        self.vendor()
    }

    /// The other form has links to the next page, in place of rows that are counted.
    fn shifting(&self, page: usize, other: bool) -> (VendorConfig, bool) {
        let next_link = if other { NextLink::SameOrigin } else { NextLink::Absent };
        let shape = Shape { next_link, ..Shape::default() };
        let config = Config { import_dedupes: false, max_page: page, shape, ..Config::default() };
        (VendorConfig::ProxyToken(config), true)
    }

    fn seeded(&self) -> &'static str {
        "pa_main"
    }

    fn empty(&self) -> &'static str {
        "pa_empty"
    }

    fn identity(&self, merchant: &str) -> String {
        merchant.to_owned()
    }

    fn toml(&self, at: &Handle, merchant: &str) -> String {
        format!(
            "payment_account_uid = \"{merchant}\"\ntoken_url = \"{}\"\n\
             client_id = {{ env = \"GOV_ID\" }}\nclient_secret = {{ env = \"GOV_SECRET\" }}\n",
            at.token_url()
        )
    }

    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[("GOV_ID", "sandbox-client"), ("GOV_SECRET", SECRET)]
    }

    fn open(
        &self,
        at: &Handle,
        opening: &Opening,
        _: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<dyn Credentials>, Over)> {
        let config = ProxyTokenConfig {
            payment_account_uid: opening.merchant.to_owned(),
            credentials: ProxyTokenCredentials::OAuth {
                token_url: at.token_url().parse()?,
                client_id: "sandbox-client".into(),
                client_secret: opening.secret.unwrap_or(SECRET).into(),
                scope: DEFAULT_SCOPE.to_owned(),
            },
            import_batch: opening.import_batch,
            import_dedupes: false,
            webhook_secrets: Vec::new(),
            replay_window: DEFAULT_REPLAY_WINDOW,
        };
        let credentials = config.credentials()?;
        let over = move |transport| {
            let backend: Arc<dyn CustomerBackend> = Arc::new(Adapter::new(&config, transport)?);
            Ok(backend)
        };
        Ok((credentials, Box::new(over)))
    }

    /// A proxynized one says when it was made; nothing else of a token says what it stands for.
    fn token(&self, kind: TokenKind, _: &Method, number: u64, now: i64) -> String {
        match kind {
            TokenKind::Proxynized => format!("pxt_{now}_{number}"),
            _ => format!("tok_{number}"),
        }
    }

    fn wrong_secret(&self) -> &'static str {
        "another-secret"
    }

    fn bad_token(&self, _: TokenKind) -> Option<&'static str> {
        Some("bad_token")
    }
}
