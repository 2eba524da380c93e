//! The world of a seed: its provider, its database, its file, and engines made as the binary makes
//! them, with times that are scaled down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend::Timing;
use engine::file::Reading;
use engine::{Engine, Failpoints, ImportOptions, Limit, Policy, Stop};
use model::{Clock as _, SystemClock};
use sandbox::proxy_token::Config;
use sandbox::{FaultPlan, Handle, NewMethod, Running, Sandbox, SandboxConfig, VendorConfig};
use store::Store;

use super::seed::{LATEST, Plan};
use super::twins::Twin;
use crate::env::{TestDb, store_for};
use crate::inproc::{self, MERCHANT, Setup};

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
        world.store.bind_accounts(&[inproc::account_row(&world.provider)?]).await?;
        Ok(world)
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
        let mut store = store_for(&self.db).await?;
        if let Some(twin) = self.twin {
            store = twin.store(store);
        }
        let setup = Setup {
            owner: format!("torture/{no}"),
            timing: self.timing(),
            import_batch: self.plan.import_batch,
            in_flight: self.plan.in_flight,
        };
        let engine =
            inproc::engine(&self.provider, store, setup, |backend, traffic| match self.twin {
                None => backend,
                Some(twin) => twin.backend(backend, traffic),
            })?;
        Ok(Engine { stop, failpoints, ..engine })
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
