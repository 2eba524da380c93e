//! An engine in this process, made as the binary makes it, against the simulated provider.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use backend::{Account, CallCounter, CustomerBackend, Timing, Traffic};
use engine::{Engine, Quiet, Reads, Stop};
use model::{AccountName, Calls, Clock, RunId, SystemClock};
use provider_proxy_token::{ProxyToken, ProxyTokenConfig, ProxyTokenCredentials};
use sandbox::Handle;
use store::{AccountRow, Owner, Store};
use transport::{CallLog, CallRecord, LocalPermits, Rate, Transport, TransportConfig};

/// The provider's account.
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
struct Uncounted;

impl CallLog for Uncounted {
    fn record(&self, _: CallRecord) {}
}

impl CallCounter for Uncounted {
    fn calls(&self, _: &AccountName, _: &RunId) -> Calls {
        Calls::default()
    }
}

/// The account `gov` at a provider.
pub fn account_row(provider: &Handle) -> anyhow::Result<AccountRow> {
    Ok(AccountRow {
        name: AccountName::new("gov")?,
        kind: provider_proxy_token::KIND.to_owned(),
        host: provider.addr().to_string(),
        merchant: MERCHANT.to_owned(),
        environment: "test".to_owned(),
        namespace: "default".to_owned(),
        match_by_email: false,
        rank: 0,
    })
}

/// An engine for the account `gov`; to be made in the runtime that it works in.
pub fn engine(
    provider: &Handle,
    store: Arc<dyn Store>,
    setup: Setup,
    wrap: impl FnOnce(Arc<dyn CustomerBackend>, Arc<dyn Traffic>) -> Arc<dyn CustomerBackend>,
) -> anyhow::Result<Engine> {
    let Setup { owner, timing, import_batch, in_flight } = setup;
    let row = account_row(provider)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = ProxyTokenConfig {
        payment_account_uid: MERCHANT.to_owned(),
        credentials: ProxyTokenCredentials::OAuth {
            token_url: provider.token_url().parse()?,
            client_id: "sandbox-client".into(),
            client_secret: "sandbox-secret".into(),
            scope: provider_proxy_token::DEFAULT_SCOPE.to_owned(),
        },
        import_batch,
        import_dedupes: false,
        webhook_secrets: Vec::new(),
        replay_window: provider_proxy_token::DEFAULT_REPLAY_WINDOW,
    };
    let rate = Rate { per_second: 5000.0, burst: 50, in_flight };
    let base = provider.base_url().parse().context("the sandbox's address")?;
    let transport = Transport::new(
        TransportConfig { timing, ..TransportConfig::new(row.name.clone(), base, rate) },
        config.credentials()?,
        Arc::new(LocalPermits::new(&rate)),
        Arc::new(Uncounted),
        Arc::clone(&clock),
    )?;
    let traffic: Arc<dyn Traffic> = Arc::<Transport>::clone(&transport);
    let backend: Arc<dyn CustomerBackend> = Arc::new(ProxyToken::new(&config, transport)?);
    let backend = wrap(backend, Arc::clone(&traffic));
    Ok(Engine {
        store,
        account: Account::new(row.name.clone(), row.namespace.clone(), timing, backend, traffic),
        identity: row.identity(),
        config_hash: "in this process".to_owned(),
        clock,
        owner: Owner(owner),
        calls: Arc::new(Uncounted),
        omit_unfit: false,
        reads: Reads::default(),
        stop: Stop::pair().1,
        progress: Arc::new(Quiet),
        failpoints: None,
    })
}
