//! The providers as trials use them: how each is simulated, reached, and written for in a file. A
//! file of its own for each; whoever adds a provider adds it here, and a line to [`ALL`].

mod ecrypt;
mod method;
mod noderails;
mod proxy_token;
mod v2;

use std::fmt;
use std::sync::Arc;

use backend::{BackendError, Capabilities, CustomerBackend, Timing};
use model::{AccountName, Clock, SystemClock, TokenKind};
use sandbox::{Handle, Running, Sandbox, SandboxConfig, VendorConfig};
use transport::{CallLog, Credentials, LocalPermits, Rate, Transport, TransportConfig};

use crate::inproc::Uncounted;

pub use self::ecrypt::Ecrypt;
pub use self::method::{COLUMNS, Method, Written};
pub use self::noderails::NodeRails;
pub use self::proxy_token::ProxyToken;
pub use self::v2::V2;

/// Every provider.
pub static ALL: &[&dyn Provider] = &[&Ecrypt, &ProxyToken, &V2, &NodeRails];

/// What a backend is made from over a transport that carries its credentials.
pub type Over =
    Box<dyn FnOnce(Arc<Transport>) -> Result<Arc<dyn CustomerBackend>, BackendError> + Send>;

/// One account as it is opened in this process.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The account's name at the sandbox.
    pub merchant: &'static str,
    /// Rows in one bulk import, where there is one.
    pub import_batch: u32,
    /// In place of the right secret.
    pub secret: Option<&'static str>,
    /// In place of the sandbox's own address.
    pub base_url: Option<String>,
}

impl Opening {
    /// An account, with its right secret and a batch of 100.
    pub const fn of(merchant: &'static str) -> Self {
        Self { merchant, import_batch: 100, secret: None, base_url: None }
    }
}

/// Another form of a simulator.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The word in a trial's name.
    pub word: &'static str,
    pub vendor: VendorConfig,
    /// The cases of the behaviour suite that do not hold there, as the adapter's docs say.
    pub but: &'static [&'static str],
}

impl Reading {
    /// One in which every case holds.
    pub const fn new(word: &'static str, vendor: VendorConfig) -> Self {
        Self { word, vendor, but: &[] }
    }
}

/// A provider for trials. What it can do is not said here but by its backend's capabilities.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The kind in config, and the word in a trial's name.
    fn kind(&self) -> &'static str;

    /// Its simulator, as its contract says and as its adapter is opened here.
    fn vendor(&self) -> VendorConfig;

    /// Readings of what the contract leaves open, in which the adapter has to find its way as well.
    fn readings(&self) -> Vec<Reading>;

    /// Its simulator for torture: such that what is sent twice shows, if `lenient`, as far as the
    /// contract leaves that open; else such that it is refused. Where a search can be behind, it is
    /// so by `lag` milliseconds.
    fn tortured(&self, lenient: bool, lag: u64) -> VendorConfig;

    /// Its simulator for lists that shift, and whether its pages have `page` customers: where it may
    /// show fewer than are asked for. If `other`, the list has its other form, where there is one.
    fn shifting(&self, page: usize, other: bool) -> (VendorConfig, bool);

    /// The name at the sandbox of the account that is seeded.
    fn seeded(&self) -> &'static str;

    /// The name at the sandbox of the account without customers.
    fn empty(&self) -> &'static str;

    /// What of an account's identity says which merchant, as the binary writes it into the store.
    fn identity(&self, merchant: &str) -> String;

    /// The lines of an account's section that only this kind has.
    fn toml(&self, at: &Handle, merchant: &str) -> String;

    /// The environment that [`Provider::toml`] refers to: its values are secrets.
    fn env(&self) -> &'static [(&'static str, &'static str)];

    /// The credentials, and what is made over a transport that carries them.
    fn open(
        &self,
        at: &Handle,
        opening: &Opening,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<dyn Credentials>, Over)>;

    /// A token of a kind that it takes, which stands for this payment method. The same number is the
    /// same token; `now` is in seconds since 1970.
    fn token(&self, kind: TokenKind, of: &Method, number: u64, now: i64) -> String;

    /// A secret of the right form that opens nothing.
    fn wrong_secret(&self) -> &'static str;

    /// A token of that kind which stands for nothing, where there is one that does.
    fn bad_token(&self, kind: TokenKind) -> Option<&'static str>;
}

/// Its simulator, with so many customers made from a seed.
pub async fn start(
    provider: &dyn Provider,
    seed: u64,
    customers: usize,
) -> anyhow::Result<Running> {
    start_as(provider.vendor(), seed, customers).await
}

/// The same in one of its other forms.
pub async fn start_as(
    vendor: VendorConfig,
    seed: u64,
    customers: usize,
) -> anyhow::Result<Running> {
    let config = SandboxConfig { seed, customers, vendor, ..SandboxConfig::default() };
    Ok(Sandbox::start(config).await?)
}

/// A backend and its transport, made as the binary makes them.
pub fn connect(
    provider: &dyn Provider,
    at: &Handle,
    opening: &Opening,
    rate: Rate,
    timing: Timing,
    calls: Arc<dyn CallLog>,
) -> anyhow::Result<(Arc<dyn CustomerBackend>, Arc<Transport>)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (credentials, over) = provider.open(at, opening, &clock)?;
    let account = AccountName::new("gov")?;
    let base = opening.base_url.as_deref().unwrap_or(at.base_url());
    let config = TransportConfig::new(account, base.parse()?, rate);
    let transport = Transport::new(
        TransportConfig { timing, ..config },
        credentials,
        Arc::new(LocalPermits::new(&rate)),
        calls,
        clock,
    )?;
    let backend = over(Arc::clone(&transport))?;
    Ok((backend, transport))
}

/// What the seeded account can do; nothing is asked of it.
pub async fn capabilities(provider: &dyn Provider) -> anyhow::Result<Capabilities> {
    let at = start(provider, 1, 0).await?;
    let rate = Rate { per_second: 1.0, burst: 1, in_flight: 1 };
    let (opening, timing) = (Opening::of(provider.seeded()), Timing::default());
    let calls = Arc::new(Uncounted);
    let (backend, _) = connect(provider, &at, &opening, rate, timing, calls)?;
    at.stop().await;
    Ok(backend.capabilities())
}
