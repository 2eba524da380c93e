//! One account's configuration, as the binary hands it over.

use std::sync::Arc;

use backend::{BackendError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use transport::{Credentials, StaticHeaders};

/// The vendor's API.
pub const BASE_URL: &str = "https://api.ecrypt.com";
/// The kind in config.
pub const KIND: &str = "ecrypt";
/// Carries the private key.
const KEY_HEADER: &str = "x-api-key";

/// How the names of fields are sent. All casings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casing {
    /// `first_name`, as the vendor's guides.
    Snake,
    /// `firstName`, as the vendor's reference.
    Camel,
}

impl Casing {
    /// Reads the word in config.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "snake" => Some(Self::Snake),
            "camel" => Some(Self::Camel),
            _ => None,
        }
    }
}

/// Where our reference is kept at the vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceField {
    /// Under a key of the metadata.
    Metadata(String),
    /// In `merchant_identifier`.
    MerchantIdentifier,
}

impl ReferenceField {
    /// Reads `merchant_identifier` or `metadata.KEY`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("metadata.") {
            Some(key) => (!key.trim().is_empty()).then(|| Self::Metadata(key.to_owned())),
            None => (text == "merchant_identifier").then_some(Self::MerchantIdentifier),
        }
    }
}

/// One account of this kind. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct EcryptConfig {
    /// The merchant's private key.
    pub api_key: SecretString,
    /// Where our reference is kept.
    pub reference_field: ReferenceField,
    /// How the names of fields are sent.
    pub casing: Casing,
    /// Whether names and companies are written in ASCII before they are sent.
    pub transliterate: bool,
    /// The header in which the vendor sends one of `webhook_secrets`; without it every event is
    /// refused.
    pub webhook_header: Option<String>,
    /// What that header may hold, all of them valid; none refuses every event.
    pub webhook_secrets: Vec<SecretString>,
}

impl EcryptConfig {
    /// Refuses what could not be sent or would verify nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the key, never its value.
    pub fn check(&self) -> Result<(), BackendError> {
        let fault = |why: &str| Err(BackendError::new(ErrorKind::Config, "use the config", why));
        if !is_header_value(self.api_key.expose_secret()) {
            return fault("`api_key` must be visible ASCII, and not empty");
        }
        if self.webhook_header.as_ref().is_some_and(|name| !is_header_value(name)) {
            return fault("`webhook_header` must be the name of a header");
        }
        if self.webhook_secrets.iter().any(|secret| secret.expose_secret().trim().is_empty()) {
            return fault("`webhook_secret` is empty: anybody could send it");
        }
        Ok(())
    }

    /// The credentials, for [`transport::Transport::new`].
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn credentials(&self) -> Result<Arc<dyn Credentials>, BackendError> {
        self.check()?;
        Ok(Arc::new(StaticHeaders::new(vec![(KEY_HEADER, self.api_key.clone())])))
    }
}

/// Whether a text can stand in a header, and is one.
fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
