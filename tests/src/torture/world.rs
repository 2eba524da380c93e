//! The world of a seed: its provider, its database, its file, and engines made as the binary makes
//! them, with times that are scaled down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend::Timing;
use engine::file::Reading;
use engine::{Engine, Failpoints, ImportOptions, Limit, Policy, Stop};
use model::{Clock as _, SystemClock};
use sandbox::{Change, FaultPlan, Handle, Running, Sandbox, SandboxConfig};
use store::Store;

use super::seed::{LATEST, Plan, Present, email, name};
use super::twins::Twin;
use crate::env::{TestDb, store_for};
use crate::inproc::{self, Setup};

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
    let (seed, customers, vendor) = (plan.seed, plan.customers, plan.vendor.clone());
    let config = SandboxConfig { seed, customers, vendor, ..SandboxConfig::default() };
    let provider = Sandbox::start(config).await?;
    for there in &plan.present {
        furnish(&provider, plan, there)?;
    }
    provider.put_faults(FaultPlan::parse(&plan.faults)?)?;
    Ok(provider)
}

fn furnish(provider: &Handle, plan: &Plan, there: &Present) -> anyhow::Result<()> {
    let (merchant, reference) = (plan.target.provider.seeded(), there.reference.as_str());
    for no in 0..there.times {
        // What a file does not say stays; what it says otherwise is written where that is wished.
        let tiers = [("metadata.tier", "silver"), ("metadata.own", "kept")];
        let tiers = tiers.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let held = if plan.target.metadata() { tiers.into() } else { BTreeMap::new() };
        let customer = create(provider, merchant, reference, &old_name(reference), held)?;
        let methods = if no == 0 { there.methods.as_slice() } else { &[] };
        for method in methods {
            provider.add_method(merchant, &customer, method.at_provider(), false)?;
        }
        if there.deleted {
            provider.delete_customer(merchant, &customer)?;
        }
    }
    Ok(())
}

/// The name of a customer that was there before the file.
pub fn old_name(reference: &str) -> String {
    format!("Old {reference}")
}

fn create(
    provider: &Handle,
    merchant: &str,
    reference: &str,
    name: &str,
    fields: BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let change = Change::CreateCustomer {
        reference: Some(reference.to_owned()),
        name: Some(name.to_owned()),
        email: Some(email(reference)),
        fields,
    };
    Ok(provider.change(merchant, change)?.id)
}

/// Times that are scaled down.
pub fn timing() -> Timing {
    Timing {
        send_window: SEND_WINDOW,
        timeout: TIMEOUT,
        late: LATE,
        quarantine: SEND_WINDOW + TIMEOUT + LATE,
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_millis(40),
    }
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
        let row = inproc::account_row_at(world.plan.target.provider, &world.provider)?;
        world.store.bind_accounts(&[row]).await?;
        Ok(world)
    }

    /// Another client creates so many customers, before them one of the file's that nobody has begun
    /// with.
    pub async fn others(&self, stint: usize, many: u64) -> anyhow::Result<()> {
        let merchant = self.plan.target.provider.seeded();
        let mut begun = BTreeSet::new();
        for run in self.store.runs(1000).await? {
            let effects = self.store.effects_of_run(&run.id, 100_000).await?;
            begun.extend(effects.into_iter().filter_map(|effect| effect.reference));
        }
        let begun: BTreeSet<&str> = begun.iter().map(model::Reference::as_str).collect();
        let there = self.provider.customers(merchant).into_iter().filter_map(|one| one.reference);
        let there: BTreeSet<String> = there.collect();
        let free = |reference: &&str| !begun.contains(reference) && !there.contains(*reference);
        let all = self.plan.references().into_iter().filter(free).take(1);
        let all: Vec<String> =
            all.map(str::to_owned).chain((0..many).map(|no| format!("X{stint}-{no}"))).collect();
        for reference in all {
            let tier = self.plan.target.metadata();
            let fields = tier.then(|| ("metadata.tier".to_owned(), "gold".to_owned()));
            let fields = fields.into_iter().collect();
            create(&self.provider, merchant, &reference, &name(&reference), fields)?;
        }
        Ok(())
    }

    fn timing(&self) -> Timing {
        self.twin.map_or(timing(), |twin| twin.timing(timing()))
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
        let engine = inproc::engine_at(
            self.plan.target.provider,
            &self.provider,
            store,
            setup,
            |backend, traffic| match self.twin {
                None => backend,
                Some(twin) => twin.backend(backend, traffic),
            },
        )?;
        Ok(Engine { stop, failpoints, ..engine })
    }

    /// The import of the file.
    pub fn options(&self) -> ImportOptions {
        ImportOptions {
            path: self.db.folder().join("file.csv"),
            reading: Reading::default(),
            dry_run: false,
            observe: false,
            policy: Policy { update_existing: self.plan.updates, ..Policy::default() },
            max_rejected: Limit::Percent(100.0),
            max_failures: None,
            canary: None,
            wait: false,
            cause: "torture".to_owned(),
        }
    }
}

/// Waits until nothing that was sent can take effect any more.
pub async fn settle_down(plan: &Plan) {
    tokio::time::sleep(Duration::from_millis(plan.latest + 50)).await;
}
