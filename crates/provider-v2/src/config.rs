//! One account's configuration, as the binary hands it over.

use std::sync::Arc;

use backend::{BackendError, ErrorKind};
use model::Clock;
use secrecy::{ExposeSecret, SecretString};
use transport::Credentials;

use crate::sign::Signer;

/// The vendor's API.
pub const BASE_URL: &str = "https://ipg.monri.com";
/// The vendor's API for tests.
pub const TEST_URL: &str = "https://ipgtest.monri.com";
/// The kind in config.
pub const KIND: &str = "v2";

/// One account of this kind. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct V2Config {
    /// The merchant, sent with every call; the vendor calls it public.
    pub authenticity_token: String,
    /// Signs every call, and the vendor's events.
    pub merchant_key: SecretString,
}

impl V2Config {
    /// What of the configuration makes this account this account, besides its host (rule 1).
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.authenticity_token
    }

    /// Refuses what could not be sent or would verify nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the key, never its value.
    pub fn check(&self) -> Result<(), BackendError> {
        let fault = |why: &str| Err(BackendError::new(ErrorKind::Config, "use the config", why));
        let token = &self.authenticity_token;
        // A blank would make two parts of one in the header.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return fault("`authenticity_token` must be visible ASCII, and not empty");
        }
        if self.merchant_key.expose_secret().is_empty() {
            return fault("`merchant_key` is empty: anybody could sign with it");
        }
        Ok(())
    }

    /// The credentials, for [`transport::Transport::new`]. The clock says when a call is signed.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn credentials(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Credentials>, BackendError> {
        self.check()?;
        Ok(Arc::new(Signer::new(self, clock)))
    }
}
