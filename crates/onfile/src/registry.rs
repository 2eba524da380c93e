//! The providers that this binary has. A new one is one more entry in [`PROVIDERS`].

mod ecrypt;
mod noderails;
#[cfg(test)]
mod page;
mod proxy_token;
mod v2;

use std::sync::Arc;

use backend::{BackendError, CustomerBackend};
use model::Clock;
use secrecy::SecretString;
use transport::{Credentials, Transport};

use crate::config::{AccountConfig, Secret};

/// A provider style: how its part of an account's configuration becomes something that calls.
pub(crate) struct Provider {
    /// The kind in config.
    pub(crate) kind: &'static str,
    /// Reads the settings.
    pub(crate) open: fn(&AccountConfig) -> Result<Box<dyn OpenProvider>, BackendError>,
    /// What `onfile demo` sends to it.
    pub(crate) sample: Sample,
    /// Its limits, its quirks, what was adopted: `onfile help providers KIND`.
    pub(crate) docs: &'static str,
}

/// A file for an account of the demo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) text: &'static str,
    /// Lines of TOML that the account needs for it, beside what its simulator needs.
    pub(crate) settings: &'static str,
}

macro_rules! sample {
    ($name:literal) => {
        sample!($name, "")
    };
    ($name:literal, $settings:literal) => {
        Sample {
            name: $name,
            text: include_str!(concat!("../../../config/", $name)),
            settings: $settings,
        }
    };
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
    Provider {
        kind: provider_ecrypt::KIND,
        open: ecrypt::open,
        sample: sample!("sample-ecrypt.csv", "transliterate = true\n"),
        docs: include_str!("../../provider-ecrypt/docs.md"),
    },
    Provider {
        kind: provider_noderails::KIND,
        open: noderails::open,
        sample: sample!("sample-noderails.csv"),
        docs: include_str!("../../provider-noderails/docs.md"),
    },
    Provider {
        kind: provider_proxy_token::KIND,
        open: proxy_token::open,
        sample: sample!("sample.csv"),
        docs: include_str!("../../provider-proxy-token/docs.md"),
    },
    Provider {
        kind: provider_v2::KIND,
        open: v2::open,
        sample: sample!("sample-v2.csv"),
        docs: include_str!("../../provider-v2/docs.md"),
    },
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
