//! `proxy-token`, from an account's settings.

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use provider_proxy_token::{ProxyToken, ProxyTokenConfig, ProxyTokenCredentials};
use transport::{Credentials, Transport};

use super::{OpenProvider, missing, secret};
use crate::config::AccountConfig;

pub(super) fn open(account: &AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError> {
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
