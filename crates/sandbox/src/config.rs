//! What a sandbox is started with.

use crate::clock::WallClock;
use crate::fault::FaultPlan;
use crate::rate::Rate;
use crate::style::{self, Style, Way};
use crate::vendor::Vendor;
use crate::{ecrypt, noderails, proxy_token, v2};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The styles: for each its name here, and its module.
macro_rules! styles {
    ($($(#[$about:meta])+ $kind:ident($module:ident),)+) => {
        /// The vendor styles that the sandbox simulates.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$about])+ $kind,)+
        }

        impl Kind {
            /// Every style.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The name in onfile's config.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => <$module::Config as Style>::NAME,)+
                }
            }

            /// The bounded set of endpoint names, used in faults, counters and the log. A request
            /// that is none of them is counted as `unknown`.
            #[must_use]
            pub const fn endpoints(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => <$module::Config as Style>::ENDPOINTS,)+
                }
            }

            /// How its seeded account is configured in onfile.
            #[must_use]
            pub const fn way(self) -> Way {
                match self {
                    $(Self::$kind => <$module::Config as Style>::WAY,)+
                }
            }
        }

        /// Which vendor is simulated, with what is special to it. A sandbox is one vendor's host;
        /// start several for several vendors.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum VendorConfig {
            $($(#[$about])+ $kind($module::Config),)+
        }

        impl VendorConfig {
            /// The vendor as its contract reads plainly.
            #[must_use]
            pub fn of(kind: Kind) -> Self {
                match kind {
                    $(Kind::$kind => Self::$kind($module::Config::default()),)+
                }
            }

            /// The style.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)+
                }
            }

            /// Opens it, if its accounts can be told apart.
            pub(crate) fn start(
                self,
                seed: u64,
                customers: usize,
                clock: WallClock,
            ) -> Result<Box<dyn Vendor>, String> {
                match self {
                    $(Self::$kind(style) => style::start(style, seed, customers, clock),)+
                }
            }
        }
    };
}

styles! {
    /// Govifi / Caselle Payments API: `proxy-token` in onfile's config.
    ProxyToken(proxy_token),
    /// Monri WebPay API v2: `v2` in onfile's config.
    V2(v2),
    /// ECRYPT: `ecrypt` in onfile's config.
    Ecrypt(ecrypt),
    /// NodeRails: `noderails` in onfile's config.
    Noderails(noderails),
}

impl Kind {
    /// The style of a name in onfile's config.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// What a sandbox is started with. `SandboxConfig::default()` is an empty proxy-token vendor on a
/// free loopback port, without faults or limits.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where to listen: loopback addresses only, port 0 takes a free one.
    pub listen: SocketAddr,
    /// Decides every id, every seeded person and every order of chance.
    pub seed: u64,
    /// Customers in each account that does not say its own number.
    pub customers: usize,
    /// Faults from the start.
    pub faults: FaultPlan,
    /// The vendor's rate limit; the token endpoint is outside of it.
    pub rate: Option<Rate>,
    /// How long every call takes before it is executed.
    pub latency: Duration,
    /// The time of day, for the life of tokens and `created_at`.
    pub clock: WallClock,
    /// How many requests the log keeps.
    pub log_capacity: usize,
    /// Which vendor.
    pub vendor: VendorConfig,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            customers: 0,
            faults: FaultPlan::default(),
            rate: None,
            latency: Duration::ZERO,
            clock: WallClock::default(),
            log_capacity: 1_000_000,
            vendor: VendorConfig::of(Kind::ProxyToken),
        }
    }
}
