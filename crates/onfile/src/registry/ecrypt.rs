//! `ecrypt`, from an account's settings.

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use provider_ecrypt::{Casing, Ecrypt, EcryptConfig, ReferenceField};
use transport::{Credentials, Transport};

use super::{OpenProvider, missing, secret};
use crate::config::AccountConfig;

pub(super) fn open(account: &AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError> {
    let settings = &account.settings;
    let missing = |key: &str| missing(account, key);
    let reference_field = settings.str("reference_field").and_then(ReferenceField::parse);
    let casing = settings.str("casing").and_then(Casing::parse);
    let webhook_secrets = account.webhook_secrets.iter();
    Ok(Box::new(EcryptConfig {
        api_key: secret(settings.secret("api_key")).ok_or_else(|| missing("api_key"))?,
        reference_field: reference_field.ok_or_else(|| missing("reference_field"))?,
        casing: casing.ok_or_else(|| missing("casing"))?,
        transliterate: settings.bool("transliterate").unwrap_or(false),
        webhook_header: settings.str("webhook_header").map(str::to_owned),
        webhook_secrets: webhook_secrets.filter_map(|secret| secret.value().cloned()).collect(),
    }))
}

impl OpenProvider for EcryptConfig {
    fn credentials(&self, _: &Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError> {
        Self::credentials(self)
    }

    fn backend(&self, transport: Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError> {
        Ok(Arc::new(Ecrypt::new(self, transport)?))
    }
}
