//! NodeRails.

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use provider_noderails::{NodeRails, NodeRailsConfig};
use transport::{Credentials, Transport};

use super::{OpenProvider, missing, secret};
use crate::config::AccountConfig;

pub(super) fn open(account: &AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError> {
    let settings = &account.settings;
    Ok(Box::new(NodeRailsConfig {
        app_id: settings.str("app_id").ok_or_else(|| missing(account, "app_id"))?.to_owned(),
        api_key: secret(settings.secret("api_key")).ok_or_else(|| missing(account, "api_key"))?,
    }))
}

impl OpenProvider for NodeRailsConfig {
    fn credentials(&self, _: &Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError> {
        Self::credentials(self)
    }

    fn backend(&self, transport: Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError> {
        Ok(Arc::new(NodeRails::new(self, transport)?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::SystemClock;

    use super::*;
    use crate::config::{Config, LoadOptions};

    #[test]
    fn an_account_of_this_kind_opens() {
        let text = r#"[store]
url = "sqlite://onfile.db"
encryption_key = { env = "ONFILE_KEY" }
[accounts.chain]
kind = "noderails"
app_id = "0b54a9b4-52a3-4a5f-8f1b-1f0b2f6a9c11"
api_key = { env = "CHAIN_KEY" }
"#;
        let env = |name: &str| match name {
            "ONFILE_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            _ => Some("nr_live_sk_canary".to_owned()),
        };
        let kinds = super::super::kinds();
        let options = LoadOptions::default();
        let config = Config::parse(text, Path::new("onfile.toml"), &env, &options, &kinds);
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let opened = open(config.account("chain").expect("it is there")).expect("it opens");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let credentials = opened.credentials(&clock).expect("a secret key");
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}
