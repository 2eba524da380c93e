//! The world of a seed: its provider, its database, its file, and engines made as the binary makes
//! them, with times that are scaled down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use backend::{Account, CallCounter, CustomerBackend, Timing, Traffic};
use engine::file::Reading;
use engine::{Engine, Failpoints, ImportOptions, Limit, Policy, Quiet, Stop};
use model::{AccountName, Calls, Clock, RunId, SystemClock};
use provider_proxy_token::{ProxyToken, ProxyTokenConfig, ProxyTokenCredentials};
use sandbox::proxy_token::Config;
use sandbox::{FaultPlan, Handle, NewMethod, Running, Sandbox, SandboxConfig, VendorConfig};
use store::{AccountRow, Owner, Store};
use transport::{CallLog, CallRecord, LocalPermits, Rate, Transport, TransportConfig};

use super::seed::{LATEST, Plan};
use super::twins::Twin;
use crate::env::{TestDb, store_for};

/// The provider's account.
pub const MERCHANT: &str = "pa_main";
const SEND_WINDOW: Duration = Duration::from_millis(150);
const TIMEOUT: Duration = Duration::from_millis(250);
/// What a fault may add, and as much again for a machine that has other things to do.
const LATE: Duration = Duration::from_millis(2 * LATEST);

/// One seed's provider, database and file.
pub struct World {
    pub plan: Plan,
    pub provider: Running,
    pub db: Arc<TestDb>,
    /// The store as it is, for the harness itself.
    pub store: Arc<dyn Store>,
    twin: Option<Twin>,
    processes: AtomicU64,
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

/// A provider with what the plan says was there before, and its faults.
pub async fn provider(plan: &Plan) -> anyhow::Result<Running> {
    // It would save the same token twice: what is sent twice shows.
    let vendor = VendorConfig::ProxyToken(Config { import_dedupes: false, ..Config::default() });
    let seed = plan.seed;
    let provider =
        Sandbox::start(SandboxConfig { seed, vendor, ..SandboxConfig::default() }).await?;
    furnish(&provider, plan)?;
    provider.put_faults(FaultPlan::parse(&plan.faults)?)?;
    Ok(provider)
}

fn furnish(provider: &Handle, plan: &Plan) -> anyhow::Result<()> {
    for there in &plan.present {
        let reference = there.reference.as_str();
        let (name, email) = (format!("Name {reference}"), format!("{reference}@example.com"));
        let customer = provider.create_customer(MERCHANT, Some(reference), &name, &email)?;
        for method in &there.methods {
            let number = |value: u64| i64::try_from(value).unwrap_or_default();
            let (month, year) = (number(method.month), number(method.year));
            let new = match method.bank {
                true => NewMethod::ach("checking", &method.last4),
                false => NewMethod::card("VISA", &method.last4, month, year),
            };
            provider.add_method(MERCHANT, &customer, new, false)?;
        }
    }
    Ok(())
}

/// Seconds since 1970, as tokens have it.
pub fn now() -> i64 {
    SystemClock.now().micros() / 1_000_000
}

impl World {
    pub async fn new(db: Arc<TestDb>, plan: Plan, twin: Option<Twin>) -> anyhow::Result<Self> {
        let provider = provider(&plan).await?;
        std::fs::write(db.folder().join("file.csv"), plan.file(now()))?;
        let store = store_for(&db).await?;
        let world = Self { plan, provider, db, store, twin, processes: AtomicU64::default() };
        world.store.bind_accounts(&[world.account_row()?]).await?;
        Ok(world)
    }

    fn account_row(&self) -> anyhow::Result<AccountRow> {
        Ok(AccountRow {
            name: AccountName::new("gov")?,
            kind: provider_proxy_token::KIND.to_owned(),
            host: self.provider.addr().to_string(),
            merchant: MERCHANT.to_owned(),
            environment: "test".to_owned(),
            namespace: "default".to_owned(),
            match_by_email: false,
            rank: 0,
        })
    }

    fn timing(&self) -> Timing {
        let timing = Timing {
            send_window: SEND_WINDOW,
            timeout: TIMEOUT,
            late: LATE,
            quarantine: SEND_WINDOW + TIMEOUT + LATE,
            backoff: Duration::from_millis(5),
            backoff_max: Duration::from_millis(40),
        };
        self.twin.map_or(timing, |twin| twin.timing(timing))
    }

    /// An engine as a new process would have it; to be made in that process's runtime.
    pub async fn engine(
        &self,
        stop: Stop,
        failpoints: Option<Arc<dyn Failpoints>>,
    ) -> anyhow::Result<Engine> {
        let no = self.processes.fetch_add(1, Ordering::Relaxed);
        let row = self.account_row()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let timing = self.timing();
        let config = ProxyTokenConfig {
            payment_account_uid: MERCHANT.to_owned(),
            credentials: ProxyTokenCredentials::OAuth {
                token_url: self.provider.token_url().parse()?,
                client_id: "sandbox-client".into(),
                client_secret: "sandbox-secret".into(),
                scope: provider_proxy_token::DEFAULT_SCOPE.to_owned(),
            },
            import_batch: self.plan.import_batch,
            import_dedupes: false,
            webhook_secrets: Vec::new(),
            replay_window: provider_proxy_token::DEFAULT_REPLAY_WINDOW,
        };
        let rate = Rate { per_second: 5000.0, burst: 50, in_flight: self.plan.in_flight };
        let base = self.provider.base_url().parse().context("the sandbox's address")?;
        let transport = Transport::new(
            TransportConfig { timing, ..TransportConfig::new(row.name.clone(), base, rate) },
            config.credentials()?,
            Arc::new(LocalPermits::new(&rate)),
            Arc::new(Uncounted),
            Arc::clone(&clock),
        )?;
        let traffic: Arc<dyn Traffic> = Arc::<Transport>::clone(&transport);
        let mut backend: Arc<dyn CustomerBackend> = Arc::new(ProxyToken::new(&config, transport)?);
        let mut store = store_for(&self.db).await?;
        if let Some(twin) = self.twin {
            backend = twin.backend(backend, Arc::clone(&traffic));
            store = twin.store(store);
        }
        let name = row.name.clone();
        Ok(Engine {
            store,
            account: Account::new(name, row.namespace.clone(), timing, backend, traffic),
            identity: row.identity(),
            config_hash: "torture".to_owned(),
            clock,
            owner: Owner(format!("torture/{no}")),
            calls: Arc::new(Uncounted),
            omit_unfit: false,
            stop,
            progress: Arc::new(Quiet),
            failpoints,
        })
    }

    /// The import of the file.
    pub fn options(&self) -> ImportOptions {
        ImportOptions {
            path: self.db.folder().join("file.csv"),
            reading: Reading::default(),
            dry_run: false,
            observe: false,
            policy: Policy::default(),
            max_rejected: Limit::Percent(100.0),
            max_failures: None,
            canary: None,
            wait: false,
            cause: "torture".to_owned(),
        }
    }
}

/// Waits until nothing that was sent can take effect any more.
pub async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(LATEST + 50)).await;
}
