//! An engine in this process, made as the binary makes it, against a simulated provider.

use std::sync::Arc;
use std::time::Duration;

use backend::{Account, CallCounter, Capabilities, CustomerBackend, Timing, Traffic};
use engine::{Engine, Quiet, Reads, Stop};
use model::{AccountName, Calls, RunId, SystemClock};
use sandbox::Handle;
use store::{AccountRow, Owner, Store};
use transport::{CallLog, CallRecord, Rate};

use crate::providers::{self, Opening, Provider};

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

/// What a provider's adapter says that it can do.
pub async fn capabilities(provider: &dyn Provider) -> anyhow::Result<Capabilities> {
    let at = providers::start(provider, 1, 0).await?;
    let rate = Rate { per_second: 1.0, burst: 1, in_flight: 1 };
    let opening = Opening::of(provider.seeded());
    let (backend, _) =
        providers::connect(provider, &at, &opening, rate, quick(), Arc::new(Uncounted))?;
    at.stop().await;
    Ok(backend.capabilities())
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

/// An engine for the account `gov`, a provider's seeded one; to be made in the runtime that it works
/// in.
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
