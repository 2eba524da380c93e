//! What a seed has once shown, or seldom can: one course of things each, at one provider.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use backend::{Cursor, SettleCreate};
use engine::file::Reading;
use engine::{Ended, ImportOptions, Limit, Policy};
use futures::future::LocalBoxFuture;
use model::Ledger;
use sandbox::{FaultPlan, Handle, Running, Sandbox, SandboxConfig};
use store::Store;

use super::listing::{Bystander, Listing};
use super::target::Target;
use crate::around::Wrapped;
use crate::env::{TestDb, say, store_for};
use crate::inproc::{self, Setup};
use crate::providers::Provider;

/// A provider without customers, and an account at it.
struct World {
    of: &'static dyn Provider,
    provider: Running,
    db: Arc<TestDb>,
    store: Arc<dyn Store>,
    /// Whoever stands beside the customer list.
    bystander: Option<Bystander>,
}

impl World {
    async fn new(db: Arc<TestDb>, of: &'static dyn Provider) -> anyhow::Result<Self> {
        // What is sent twice shows.
        let vendor = of.tortured(true, 0);
        let provider = Sandbox::start(SandboxConfig { vendor, ..SandboxConfig::default() }).await?;
        let store = store_for(&db).await?;
        store.bind_accounts(&[inproc::account_row_at(of, &provider)?]).await?;
        Ok(Self { of, provider, db, store, bystander: None })
    }

    /// Another client creates a customer.
    fn create(&self, reference: &str) -> anyhow::Result<String> {
        let email = format!("{reference}@example.com");
        Ok(self.provider.create_customer(self.of.seeded(), Some(reference), "Ada", &email)?)
    }

    /// Imports customers of these references and this name.
    async fn import(&self, references: &[&str], name: &str, faults: &str) -> anyhow::Result<Ended> {
        let path = self.db.folder().join("file.csv");
        let rows = references.iter().map(|one| format!("{one},{name},{one}@example.com\n"));
        std::fs::write(&path, format!("reference,name,email\n{}", rows.collect::<String>()))?;
        self.provider.put_faults(FaultPlan::parse(faults)?)?;
        let setup = Setup {
            owner: "singled".to_owned(),
            timing: super::world::timing(),
            import_batch: 1,
            in_flight: 4,
        };
        let store = Arc::clone(&self.store);
        let bystander = self.bystander.clone();
        let wrap = |inner, _| match bystander {
            Some(bystander) => Arc::new(Wrapped(Listing { inner, bystander })),
            None => inner,
        };
        let engine = inproc::engine_at(self.of, &self.provider, store, setup, wrap)?;
        let options = ImportOptions {
            path,
            reading: Reading::default(),
            dry_run: false,
            observe: false,
            policy: Policy { update_existing: true, ..Policy::default() },
            max_rejected: Limit::Percent(100.0),
            max_failures: None,
            canary: None,
            wait: false,
            cause: "torture".to_owned(),
        };
        let ended = engine::import(&engine, options).await?;
        let unfired = self.provider.faults_unfired();
        ensure!(unfired.is_empty(), "{unfired:?}");
        Ok(ended)
    }

    /// How many living customers have this reference.
    fn times(&self, reference: &str) -> usize {
        let all = self.provider.customers(self.of.seeded()).into_iter();
        all.filter(|one| !one.deleted && one.reference.as_deref() == Some(reference)).count()
    }
}

fn rows(ended: Ended) -> anyhow::Result<Ledger> {
    if let Some(error) = ended.error {
        return Err(error.into());
    }
    ended.summary.rows.context("rows")
}

/// A reading of the list's top that was broken off has made its first page known; whoever comes
/// behind that is read for all the same.
async fn a_list_read_in_part_is_read_again(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let world = World::new(db, of).await?;
    rows(world.import(&["A"], "Ada", "").await?)?;
    for reference in std::iter::once("B".to_owned()).chain((0..130).map(|no| format!("X-{no}"))) {
        world.create(&reference)?;
    }
    let broken = world.import(&["B"], "Ada", "list_customers:2..99=status(500)").await?;
    ensure!(broken.error.is_some(), "{:?}", broken.summary);
    let rows = rows(world.import(&["B"], "Ada", "").await?)?;
    ensure!((rows.created, world.times("B")) == (0, 1), "{rows:?}: {}", world.times("B"));
    Ok(())
}

/// A create whose reference is a deleted customer's is refused, whatever became of its answer.
async fn a_deleted_customers_reference_is_refused(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let world = World::new(db, of).await?;
    let customer = world.create("A")?;
    world.provider.delete_customer(of.seeded(), &customer)?;
    let rows = rows(world.import(&["A"], "Ada", "create_customer:1=drop_after").await?)?;
    ensure!((rows.refused, world.times("A")) == (1, 0), "{rows:?}");
    Ok(())
}

/// A change whose answer was lost, and then another: the second one is made, not answered with the
/// first one's answer.
async fn a_change_after_a_lost_one_is_made(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let world = World::new(db, of).await?;
    let customer = world.create("A")?;
    // Its run comes to no end, so that nobody has settled it when the next file comes.
    let lost = "update_customer=drop_after*1,get_customer:2..99=status(500)";
    let broken = world.import(&["A"], "Bo", lost).await?;
    ensure!(broken.error.is_some(), "{:?}", broken.summary);
    rows(world.import(&["A"], "Cy", "").await?)?;
    let now = world.provider.customer(of.seeded(), &customer).context("the customer")?.name;
    ensure!(now.as_deref() == Some("Cy"), "{now:?}");
    Ok(())
}

/// A create that nothing has answered, sent again with its key, and that is not taken: with another
/// key it would be a second customer.
async fn a_repeat_that_is_not_taken_keeps_its_key(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let world = World::new(db, of).await?;
    let lost = "create_customer:1=drop_after,create_customer:2=throttle";
    rows(world.import(&["A"], "Ada", lost).await?)?;
    let refused = "create_customer:1=drop_after,create_customer:2=status(401)";
    let paused = world.import(&["B"], "Ada", refused).await?;
    ensure!(paused.error.is_some(), "{:?}", paused.summary);
    rows(world.import(&["B"], "Ada", "").await?)?;
    let times = (world.times("A"), world.times("B"));
    ensure!(times == (1, 1), "{times:?}");
    Ok(())
}

/// A list that is not whole is read again before a person is asked what became of a create: here
/// half a page is shown of each first one.
async fn a_list_that_is_not_whole_is_read_again(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let world = World::new(db, of).await?;
    for no in 0..130 {
        world.create(&format!("X-{no}"))?;
    }
    // Not by its key: that was answered. The baseline takes three pages, and its top one more.
    let lost = "create_customer:1=status(500),list_customers:6=short_page";
    let rows = rows(world.import(&["A"], "Ada", lost).await?)?;
    ensure!((rows.created, world.times("A")) == (1, 1), "{rows:?}: {}", world.times("A"));
    Ok(())
}

/// Another client that makes one reading of the list, of pages of a hundred, miss the customer of
/// this reference: it creates others until that one stands on the second page, and deletes some of
/// them before that is read. Readings of other pages are left alone, or there is none.
fn shifts(
    provider: Handle,
    merchant: &'static str,
    reference: &'static str,
    second: bool,
) -> Bystander {
    let above: Mutex<Vec<String>> = Mutex::default();
    Arc::new(move |page| {
        if provider.customer_by_reference(merchant, reference).is_none() {
            return true;
        }
        if page.size != 100 {
            return second;
        }
        let mut above = above.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match page.cursor {
            Cursor::Offset(0) => (above.len()..120).try_for_each(|_| {
                above.push(provider.create_customer(
                    merchant,
                    Some("X"),
                    "Eve",
                    "x@example.com",
                )?);
                Ok(())
            }),
            Cursor::Offset(100) => (0..30)
                .filter_map(|_| above.pop())
                .try_for_each(|id| provider.delete_customer(merchant, &id)),
            _ => Ok(()),
        };
        changed.is_ok()
    })
}

async fn settled_while_it_shifts(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
    second: bool,
) -> anyhow::Result<usize> {
    let mut world = World::new(db, of).await?;
    world.bystander = Some(shifts(Handle::clone(&world.provider), of.seeded(), "A", second));
    rows(world.import(&["A"], "Ada", "create_customer:1=drop_after").await?)?;
    Ok(world.times("A"))
}

/// A lost create that one reading of the list misses is found by the second one.
async fn a_list_that_shifts_is_read_twice(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> anyhow::Result<()> {
    let times = settled_while_it_shifts(db, of, true).await?;
    ensure!(times == 1, "{times} customers");
    Ok(())
}

/// The known-bad variant of that: without the second reading the customer is created twice.
async fn twin_one_reading(db: Arc<TestDb>, of: &'static dyn Provider) -> anyhow::Result<()> {
    let times = settled_while_it_shifts(db, of, false).await?;
    ensure!(times == 2, "{times} customers: nobody noticed");
    say(&format!("torture/{}/twin_one_reading: caught: 1 doubled", of.kind()));
    Ok(())
}

/// A case as it is run.
pub type Run =
    fn(Arc<TestDb>, &'static dyn Provider) -> LocalBoxFuture<'static, anyhow::Result<()>>;

/// A case, and what a provider has to be for it.
pub struct Case {
    pub name: &'static str,
    pub applies: fn(&Target) -> bool,
    pub run: Run,
}

/// The cases, each an `async fn(Arc<TestDb>, &'static dyn Provider) -> anyhow::Result<()>`.
macro_rules! cases {
    ($($name:ident if $applies:expr;)+) => {
        /// All of them.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            applies: $applies,
            run: |db, of| Box::pin($name(db, of)),
        },)+];
    };
}

const fn scans(target: &Target) -> bool {
    matches!(target.capabilities.settle_create, SettleCreate::Scan)
}

const fn settles_by_key(target: &Target) -> bool {
    matches!(target.capabilities.settle_create, SettleCreate::IdempotencyKey)
}

cases! {
    a_list_read_in_part_is_read_again if Target::lists;
    a_list_that_shifts_is_read_twice if scans;
    twin_one_reading if scans;
    a_repeat_that_is_not_taken_keeps_its_key if settles_by_key;
    a_list_that_is_not_whole_is_read_again
        if |of| settles_by_key(of) && of.capabilities.customers_total;
    a_deleted_customers_reference_is_refused if Target::keeps_references;
    a_change_after_a_lost_one_is_made
        if |of| of.capabilities.update_customer && of.capabilities.idempotency_keys;
}
