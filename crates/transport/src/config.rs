//! What a transport is made from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use backend::Timing;
use model::AccountName;
use url::Url;

/// How fast an account may be called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls a second, from 0.001 to 10,000.
    pub per_second: f64,
    /// The bucket: a sliding second holds at most `per_second` + `burst` calls. At least 1.
    pub burst: u32,
    /// Calls under way at once, at least 1.
    pub in_flight: usize,
}

impl Rate {
    /// The time between two calls at this rate.
    pub(crate) fn spacing(&self) -> Duration {
        Duration::try_from_secs_f64(self.per_second.recip()).unwrap_or(Duration::from_secs(3600))
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if !(0.001..=10_000.0).contains(&self.per_second) {
            Some("per_second must be from 0.001 to 10000")
        } else if self.burst == 0 {
            Some("burst must be at least 1")
        } else if self.in_flight == 0 {
            Some("in_flight must be at least 1")
        } else {
            None
        }
    }
}

/// One account's connection. `Debug` prints no proxy password.
#[derive(Clone)]
pub struct TransportConfig {
    /// The account's name in config.
    pub account: AccountName,
    /// Where every path begins: https, or http on this machine's loopback; no user, query or
    /// fragment.
    pub base_url: Url,
    /// The account's times.
    pub timing: Timing,
    /// How fast it may be called.
    pub rate: Rate,
    /// The proxy for everything but loopback; the system's own where there is none here.
    pub proxy: Option<Url>,
    /// A PEM file with further certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl TransportConfig {
    /// With the default times, the system's proxy and certificates.
    #[must_use]
    pub fn new(account: AccountName, base_url: Url, rate: Rate) -> Self {
        Self {
            account,
            base_url,
            timing: Timing::default(),
            rate,
            proxy: None,
            ca_file: None,
            user_agent: concat!("onfile/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportConfig")
            .field("account", &self.account.as_str())
            .field("host", &self.base_url.host_str())
            .field("timing", &self.timing)
            .field("rate", &self.rate)
            .field("proxy", &self.proxy.is_some())
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}
