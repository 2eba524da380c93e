//! What a sandbox is started with.

use crate::clock::WallClock;
use crate::ecrypt;
use crate::fault::FaultPlan;
use crate::noderails;
use crate::proxy_token;
use crate::rate::Rate;
use crate::v2;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The vendor styles that the sandbox simulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Govifi / Caselle Payments API: `proxy-token` in onfile's config.
    ProxyToken,
    /// Monri WebPay API v2: `v2` in onfile's config.
    V2,
    /// ECRYPT: `ecrypt` in onfile's config.
    Ecrypt,
    /// NodeRails: `noderails` in onfile's config.
    Noderails,
}

impl Kind {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::ProxyToken, Self::V2, Self::Ecrypt, Self::Noderails];

    /// The style of a name in onfile's config.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The name in onfile's config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProxyToken => "proxy-token",
            Self::V2 => "v2",
            Self::Ecrypt => "ecrypt",
            Self::Noderails => "noderails",
        }
    }

    /// The bounded set of endpoint names, used in faults, counters and the log. A request that is
    /// none of them is counted as `unknown`.
    #[must_use]
    pub fn endpoints(self) -> &'static [&'static str] {
        match self {
            Self::ProxyToken => proxy_token::ENDPOINTS,
            Self::V2 => v2::ENDPOINTS,
            Self::Ecrypt => ecrypt::ENDPOINTS,
            Self::Noderails => noderails::ENDPOINTS,
        }
    }
}

/// Which vendor is simulated, with what is special to it. A sandbox is one vendor's host; start
/// several for several vendors.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum VendorConfig {
    /// `proxy-token`.
    ProxyToken(proxy_token::Config),
    /// `v2`.
    V2(v2::Config),
    /// `ecrypt`.
    Ecrypt(ecrypt::Config),
    /// `noderails`.
    Noderails(noderails::Config),
}

impl VendorConfig {
    /// The vendor as its contract reads plainly.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::ProxyToken => Self::ProxyToken(proxy_token::Config::default()),
            Kind::V2 => Self::V2(v2::Config::default()),
            Kind::Ecrypt => Self::Ecrypt(ecrypt::Config::default()),
            Kind::Noderails => Self::Noderails(noderails::Config::default()),
        }
    }

    /// The style.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::ProxyToken(_) => Kind::ProxyToken,
            Self::V2(_) => Kind::V2,
            Self::Ecrypt(_) => Kind::Ecrypt,
            Self::Noderails(_) => Kind::Noderails,
        }
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
