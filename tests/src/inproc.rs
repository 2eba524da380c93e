//! An engine in this process, made as the binary makes it, against a simulated provider.

use std::sync::Arc;
use std::time::Duration;

use backend::{Account, CallCounter, CustomerBackend, Timing, Traffic};
use engine::{Engine, Quiet, Reads, Stop};
use model::{AccountName, Calls, RunId, SystemClock};
use sandbox::Handle;
use store::{AccountRow, Owner, Store};
use transport::{CallLog, CallRecord, Rate};

use crate::providers::{self, Opening, Provider, ProxyToken};

/// The account at proxy-token.
pub const MERCHANT: &str = "pa_main";

/// What differs from one engine to the next.
pub struct Setup {
    pub owner: String,
    pub timing: Timing,
    pub import_batch: u32,
    pub in_flight: usize,
}

/// Times for a provider that is as near as it can be.
pub fn quick() -> Timing {
    Timing {
        send_window: Duration::from_millis(150),
        timeout: Duration::from_secs(5),
        late: Duration::from_millis(50),
        quarantine: Duration::from_secs(6),
        backoff: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
    }
}

/// Counts nothing.
#[derive(Debug)]
pub struct Uncounted;

impl CallLog for Uncounted {
    fn record(&self, _: CallRecord) {}
}

impl CallCounter for Uncounted {
    fn calls(&self, _: &AccountName, _: &RunId) -> Calls {
        Calls::default()
    }
}

/// The seeded account at a provider, as the store knows it.
pub fn account_row_at(provider: &dyn Provider, at: &Handle) -> anyhow::Result<AccountRow> {
    Ok(AccountRow {
        name: AccountName::new("gov")?,
        kind: provider.kind().to_owned(),
        host: at.addr().to_string(),
        merchant: provider.identity(provider.seeded()),
        environment: "test".to_owned(),
        namespace: "default".to_owned(),
        match_by_email: false,
        rank: 0,
    })
}

/// The same at proxy-token.
pub fn account_row(provider: &Handle) -> anyhow::Result<AccountRow> {
    account_row_at(&ProxyToken, provider)
}

/// An engine for the account `gov` at proxy-token; to be made in the runtime that it works in.
pub fn engine(
    provider: &Handle,
    store: Arc<dyn Store>,
    setup: Setup,
    wrap: impl FnOnce(Arc<dyn CustomerBackend>, Arc<dyn Traffic>) -> Arc<dyn CustomerBackend>,
) -> anyhow::Result<Engine> {
    engine_at(&ProxyToken, provider, store, setup, wrap)
}

/// The same at any provider: for its seeded account.
pub fn engine_at(
    provider: &dyn Provider,
    at: &Handle,
    store: Arc<dyn Store>,
    setup: Setup,
    wrap: impl FnOnce(Arc<dyn CustomerBackend>, Arc<dyn Traffic>) -> Arc<dyn CustomerBackend>,
) -> anyhow::Result<Engine> {
    let Setup { owner, timing, import_batch, in_flight } = setup;
    let row = account_row_at(provider, at)?;
    let opening = Opening { import_batch, ..Opening::of(provider.seeded()) };
    let rate = Rate { per_second: 5000.0, burst: 50, in_flight };
    let (backend, transport) =
        providers::connect(provider, at, &opening, rate, timing, Arc::new(Uncounted))?;
    let traffic: Arc<dyn Traffic> = transport;
    let backend = wrap(backend, Arc::clone(&traffic));
    Ok(Engine {
        store,
        account: Account::new(row.name.clone(), row.namespace.clone(), timing, backend, traffic),
        identity: row.identity(),
        config_hash: "in this process".to_owned(),
        clock: Arc::new(SystemClock),
        owner: Owner(owner),
        calls: Arc::new(Uncounted),
        omit_unfit: false,
        reads: Reads::default(),
        stop: Stop::pair().1,
        progress: Arc::new(Quiet),
        failpoints: None,
    })
}
