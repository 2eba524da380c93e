//! The providers that this binary has. A new one is one more line in [`PROVIDERS`].

mod ecrypt;
mod noderails;
#[cfg(test)]
mod page;
mod v2;

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use provider_proxy_token::{ProxyToken, ProxyTokenConfig, ProxyTokenCredentials};
use secrecy::SecretString;
use transport::{Credentials, Transport};

use crate::config::{AccountConfig, Secret};

/// A provider style: how its part of an account's configuration becomes something that calls.
pub(crate) struct Provider {
    /// The kind in config.
    pub(crate) kind: &'static str,
    /// Reads the settings.
    pub(crate) open: fn(&AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError>,
}

/// A provider whose settings are read: its parts, in the order in which they are needed.
pub(crate) trait OpenProvider: Send + Sync {
    /// How it proves who it is; the clock is for signatures that carry the time.
    fn credentials(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError>;
    /// What calls.
    fn backend(&self, transport: Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError>;
}

/// Every provider.
pub(crate) static PROVIDERS: &[Provider] = &[
    Provider { kind: provider_ecrypt::KIND, open: ecrypt::open },
    Provider { kind: provider_noderails::KIND, open: noderails::open },
    Provider { kind: provider_proxy_token::KIND, open: proxy_token },
    Provider { kind: provider_v2::KIND, open: v2::open },
];

/// The kinds this binary has.
pub(crate) fn kinds() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.kind).collect()
}

fn secret(secret: Option<&Secret>) -> Option<SecretString> {
    secret.and_then(Secret::value).cloned()
}

fn missing(account: &AccountConfig, key: &str) -> BackendError {
    BackendError::new(
        backend::ErrorKind::Config,
        "use the config",
        format!("`{key}` of account {} has no value", account.name),
    )
}

fn proxy_token(account: &AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError> {
    let settings = &account.settings;
    let missing = |key: &str| missing(account, key);
    let credentials = match secret(settings.secret("bearer")) {
        Some(bearer) => ProxyTokenCredentials::Bearer(bearer),
        None => ProxyTokenCredentials::OAuth {
            token_url: settings.url("token_url").cloned().ok_or_else(|| missing("token_url"))?,
            client_id: secret(settings.secret("client_id")).ok_or_else(|| missing("client_id"))?,
            client_secret: secret(settings.secret("client_secret"))
                .ok_or_else(|| missing("client_secret"))?,
            scope: settings.str("scope").unwrap_or(provider_proxy_token::DEFAULT_SCOPE).to_owned(),
        },
    };
    let import_batch = settings
        .int("import_batch")
        .and_then(|batch| u32::try_from(batch).ok())
        .unwrap_or(provider_proxy_token::DEFAULT_IMPORT_BATCH);
    Ok(Box::new(ProxyTokenConfig {
        payment_account_uid: settings
            .str("payment_account_uid")
            .ok_or_else(|| missing("payment_account_uid"))?
            .to_owned(),
        credentials,
        import_batch,
        import_dedupes: settings.bool("import_dedupes").unwrap_or(false),
        webhook_secrets: account
            .webhook_secrets
            .iter()
            .filter_map(|s| s.value().cloned())
            .collect(),
        replay_window: account.replay_window,
    }))
}

impl OpenProvider for ProxyTokenConfig {
    fn credentials(&self, _: &Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError> {
        Self::credentials(self)
    }

    fn backend(&self, transport: Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError> {
        Ok(Arc::new(ProxyToken::new(self, transport)?))
    }
}
