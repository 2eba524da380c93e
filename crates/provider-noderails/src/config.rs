//! One account's configuration, as the binary hands it over.

use std::sync::Arc;

use backend::{BackendError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use transport::{Credentials, StaticHeaders};

/// The kind in config.
pub const KIND: &str = "noderails";

/// One account of this kind: one app. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct NodeRailsConfig {
    /// The app, a UUID: in the body of each create and the query of each list.
    pub app_id: String,
    /// The secret key, `nr_live_sk_…` or `nr_test_sk_…`: it alone says whether the account is live.
    pub api_key: SecretString,
}

impl NodeRailsConfig {
    /// What of the configuration makes this account this account, besides its host and whether it
    /// is live (rule 1).
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.app_id
    }

    /// Refuses what could not be sent, and a key that may stand in a browser.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the key, never its value.
    pub fn check(&self) -> Result<(), BackendError> {
        let fault = |why: &str| Err(BackendError::new(ErrorKind::Config, "use the config", why));
        if !is_uuid(&self.app_id) {
            return fault("`app_id` must be a UUID");
        }
        let key = self.api_key.expose_secret();
        // What is behind the third `_` may hold more of them.
        let mut parts = key.splitn(4, '_');
        let prefix = (parts.next(), parts.next(), parts.next());
        match (prefix, parts.next()) {
            ((Some("nr"), Some("live" | "test"), Some("pk")), _) => {
                fault("`api_key` is a publishable key (pk): the secret one is needed")
            }
            ((Some("nr"), Some("live" | "test"), Some("sk")), Some(rest))
                if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Ok(())
            }
            _ => fault("`api_key` must be `nr_live_sk_…` or `nr_test_sk_…`"),
        }
    }

    /// The credentials, for [`transport::Transport::new`].
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn credentials(&self) -> Result<Arc<dyn Credentials>, BackendError> {
        self.check()?;
        // Nothing else: a bearer token beside it would be taken instead.
        Ok(Arc::new(StaticHeaders::new(vec![("x-api-key", self.api_key.clone())])))
    }
}

fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
