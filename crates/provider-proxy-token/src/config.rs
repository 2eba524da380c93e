//! One account's configuration, as the binary hands it over.

use std::sync::Arc;
use std::time::Duration;

use backend::{BackendError, Endpoint, ErrorKind, Verb};
use secrecy::{ExposeSecret, SecretString};
use transport::Credentials;
use url::Url;

use crate::oauth::{self, OAuth};

/// The vendor's API.
pub const BASE_URL: &str = "https://api.govifi.com";
/// The kind in config.
pub const KIND: &str = "proxy-token";
/// The scope asked for where config names none.
pub const DEFAULT_SCOPE: &str = "com.govineer.payments/admin";
/// Rows in one bulk import where config names no number. The vendor documents none: adopted.
pub const DEFAULT_IMPORT_BATCH: u32 = 100;
/// The vendor's own sample: events older than this are hints only.
pub const DEFAULT_REPLAY_WINDOW: Duration = Duration::from_secs(4 * 60 * 60);

/// How an account proves who it is.
#[derive(Debug, Clone)]
pub enum ProxyTokenCredentials {
    /// A fixed bearer token.
    Bearer(SecretString),
    /// OAuth 2.0 client credentials.
    OAuth {
        /// Where tokens come from; the vendor hands it over with the client.
        token_url: Url,
        /// The client.
        client_id: SecretString,
        /// Its secret.
        client_secret: SecretString,
        /// What is asked for; see [`DEFAULT_SCOPE`].
        scope: String,
    },
}

/// One account of this kind. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct ProxyTokenConfig {
    /// The merchant, sent with every call. **A wrong one acts on another merchant.**
    pub payment_account_uid: String,
    /// How the account proves who it is.
    pub credentials: ProxyTokenCredentials,
    /// Rows in one bulk import, 1 or more.
    pub import_batch: u32,
    /// Whether a repeated row of the bulk import is known to create nothing.
    pub import_dedupes: bool,
    /// The secrets that sign events, all of them valid; none refuses every event.
    pub webhook_secrets: Vec<SecretString>,
    /// How old an event may be, and how far ahead, before it is late or refused.
    pub replay_window: Duration,
}

impl ProxyTokenConfig {
    /// What of the configuration makes this account this account, besides its host (rule 1).
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.payment_account_uid
    }

    /// Refuses what could not be sent or would verify nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the key, never its value.
    pub fn check(&self) -> Result<(), BackendError> {
        let fault = |why: &str| Err(BackendError::new(ErrorKind::Config, "use the config", why));
        if !is_header_value(&self.payment_account_uid) {
            return fault("`payment_account_uid` must be visible ASCII, and not empty");
        }
        if self.import_batch == 0 {
            return fault("`import_batch` must be 1 or more");
        }
        if self.webhook_secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return fault("`webhook_secret` is empty: anybody could sign with it");
        }
        match &self.credentials {
            ProxyTokenCredentials::Bearer(token) if !is_header_value(token.expose_secret()) => {
                fault("`bearer` must be visible ASCII, and not empty")
            }
            ProxyTokenCredentials::OAuth { client_id, client_secret, .. }
                if client_id.expose_secret().is_empty()
                    || client_secret.expose_secret().is_empty() =>
            {
                fault("`client_id` and `client_secret` must not be empty")
            }
            _ => Ok(()),
        }
    }

    /// Where credentials are fetched, if they are.
    pub(crate) const fn credentials_endpoint(&self) -> Option<Endpoint> {
        match self.credentials {
            ProxyTokenCredentials::Bearer(_) => None,
            ProxyTokenCredentials::OAuth { .. } => Some(Endpoint::new(Verb::Post, oauth::ROUTE)),
        }
    }

    /// The credentials, for [`transport::Transport::new`]. One value for each account: it holds
    /// the cached token.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn credentials(&self) -> Result<Arc<dyn Credentials>, BackendError> {
        self.check()?;
        Ok(match &self.credentials {
            ProxyTokenCredentials::Bearer(token) => Arc::new(oauth::static_bearer(token)),
            ProxyTokenCredentials::OAuth { token_url, client_id, client_secret, scope } => {
                Arc::new(OAuth::new(token_url, client_id, client_secret, scope))
            }
        })
    }
}

/// Whether a text can be the value of a header, and is one.
pub(crate) fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
