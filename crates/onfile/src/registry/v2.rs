//! Accounts of the kind `v2`.

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use provider_v2::{V2, V2Config};
use transport::{Credentials, Transport};

use super::{OpenProvider, missing, secret};
use crate::config::AccountConfig;

/// Reads the settings.
pub(super) fn open(account: &AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError> {
    let settings = &account.settings;
    let missing = |key: &str| missing(account, key);
    Ok(Box::new(V2Config {
        authenticity_token: settings
            .str("authenticity_token")
            .ok_or_else(|| missing("authenticity_token"))?
            .to_owned(),
        merchant_key: secret(settings.secret("merchant_key"))
            .ok_or_else(|| missing("merchant_key"))?,
    }))
}

impl OpenProvider for V2Config {
    fn credentials(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError> {
        Self::credentials(self, Arc::clone(clock))
    }

    fn backend(&self, transport: Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError> {
        Ok(Arc::new(V2::new(self, transport)?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use backend::Verb;
    use model::Timestamp;
    use secrecy::ExposeSecret as _;
    use transport::HttpRequest;

    use super::*;
    use crate::config::{Config, LoadOptions};

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_593_457_122)
        }
    }

    #[test]
    fn the_account_s_keys_sign_by_the_clock_that_is_handed_over() {
        let text = r#"
[store]
url = "sqlite://onfile.db"
encryption_key = { env = "ONFILE_KEY" }

[accounts.eu]
kind = "v2"
authenticity_token = "7db11ea5d4a1af32421b564c79b946d1ead3daf0"
merchant_key = { env = "EU_KEY" }
"#;
        let env = |name: &str| match name {
            "ONFILE_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            "EU_KEY" => Some("qwert1234".to_owned()),
            _ => None,
        };
        let options = LoadOptions::default();
        let kinds = super::super::kinds();
        let config = Config::parse(text, Path::new("onfile.toml"), &env, &options, &kinds);
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let account = config.accounts.first().expect("one");
        let opened = open(account).expect("its keys have values");
        let clock: Arc<dyn Clock> = Arc::new(Fixed);
        let credentials = opened.credentials(&clock).expect("a right config");
        let request = HttpRequest::new(Verb::Get, "/x", "/v2/customers/abc".into());
        let headers = credentials.headers(&request).expect("always");
        let value = headers.first().expect("one").1.expose_secret();
        let expected = "WP3-v2.1 7db11ea5d4a1af32421b564c79b946d1ead3daf0 1593457122 \
                        50c87efde2f987a7319a9dde6e7bf6e2e2c371f9";
        assert!(value.starts_with(expected), "{value}");
    }
}
