//! Pulls of a list that shifts while it is read: another client creates and deletes customers
//! between the reads of its pages. In the end the provider's own state is compared with the store.
//!
//! `ONFILE_SHIFT_SEEDS=200 cargo test -p tests -- shift/` runs more seeds.

mod churn;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use engine::{Ended, PullOptions};
use futures::{StreamExt as _, stream};
use libtest_mimic::Trial;
use sandbox::{Handle, Running, Sandbox, SandboxConfig};
use store::Store;

use self::churn::{Churn, Client};
use crate::env::{Database, Databases, Env, TestDb, say, store_for, variable};
use crate::inproc::{self, Setup};
use crate::providers::{self, Method, Provider};
use crate::torture::seed::Rng;

/// Customers on a page, where the provider may show fewer than are asked for.
const PAGE: usize = 20;
/// Customers made, and as many deleted, while the list is read.
const EACH: u64 = 50;
/// Customers at first, and pages that are read before the list ends, whatever is deleted.
const SMALL_PAGES: (u64, u64) = (320, 13);
/// The same where a page has a hundred customers.
const LARGE_PAGES: (u64, u64) = (600, 5);
const AT_ONCE: usize = 2;

/// What the seeds came to.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    deleted: u64,
    created: u64,
    /// Of the deleted ones, those that the pull during the churn found gone already.
    at_once: u64,
    /// Live customers that no page showed.
    missed: u64,
    /// Seeds whose pull was confirmed by a second pass.
    confirmed: u64,
}

struct World {
    of: &'static dyn Provider,
    provider: Running,
    client: Client,
    /// Customers at first.
    customers: u64,
    /// Pages that are read before the list ends.
    pages: u64,
    db: Arc<TestDb>,
    store: Arc<dyn Store>,
    seed: u64,
}

impl World {
    async fn new(db: Arc<TestDb>, of: &'static dyn Provider, seed: u64) -> anyhow::Result<Self> {
        // A quarter of the seeds meet another form of the list.
        let (vendor, small) = of.shifting(PAGE, seed.is_multiple_of(4));
        let (customers, pages) = if small { SMALL_PAGES } else { LARGE_PAGES };
        let config = SandboxConfig {
            seed,
            customers: usize::try_from(customers)?,
            vendor,
            ..Default::default()
        };
        let provider = Sandbox::start(config).await?;
        let kinds = inproc::capabilities(of).await?.method_kinds;
        let kind = *kinds.first().context("a kind of payment method")?;
        let method = Method::numbered(kind, 4242).at_provider();
        let client = Client { provider: Handle::clone(&provider), merchant: of.seeded(), method };
        let store = store_for(&db).await?;
        store.bind_accounts(&[inproc::account_row_at(of, &provider)?]).await?;
        Ok(Self { of, provider, client, customers, pages, db, store, seed })
    }

    /// One pull, while the other client does this, if it does anything.
    async fn pull(&self, churn: Option<&Churn>, naive: bool) -> anyhow::Result<Ended> {
        let setup = Setup {
            owner: "shift".to_owned(),
            timing: inproc::quick(),
            import_batch: 100,
            in_flight: 8,
        };
        let engine = inproc::engine_at(
            self.of,
            &self.provider,
            Arc::clone(&self.store),
            setup,
            |backend, _| match churn {
                None => backend,
                Some(churn) => churn.around(backend, &self.client, naive),
            },
        )?;
        // Every third seed has its list confirmed.
        let confirm = self.seed.is_multiple_of(3) && churn.is_some();
        let options = PullOptions { confirm, cause: "shift".to_owned() };
        Ok(engine::pull(&engine, &options).await?)
    }

    /// The store's customers: their state and their live methods, by id.
    async fn mirrored(&self) -> anyhow::Result<BTreeMap<String, (String, BTreeSet<String>)>> {
        let customers = self.db.look("SELECT remote_id, state FROM remote_customers").await?;
        let mut all = BTreeMap::new();
        for row in customers {
            let [id, state] = row.try_into().ok().context("two columns")?;
            all.insert(id, (state, BTreeSet::new()));
        }
        let methods =
            "SELECT remote_customer_id, remote_id FROM remote_methods WHERE state = 'live'";
        for row in self.db.look(methods).await? {
            let [customer, id] = row.try_into().ok().context("two columns")?;
            all.get_mut(&customer).context("a method of nobody")?.1.insert(id);
        }
        Ok(all)
    }

    /// The provider's, in the same form.
    fn held(&self) -> BTreeMap<String, BTreeSet<String>> {
        let customers = self.provider.customers(self.client.merchant).into_iter();
        let customers = customers.filter(|customer| !customer.deleted);
        customers.map(|c| (c.id, c.methods.into_iter().map(|m| m.id).collect())).collect()
    }

    /// Live customers that are marked as removed.
    async fn wronged(&self) -> anyhow::Result<Vec<String>> {
        let (held, mirrored) = (self.held(), self.mirrored().await?);
        let wronged = mirrored
            .into_iter()
            .filter(|(id, (state, _))| state != "live" && held.contains_key(id));
        Ok(wronged.map(|(id, _)| id).collect())
    }

    /// Whether the store says exactly what the provider holds, each customer and method once.
    async fn is_in_step(&self) -> anyhow::Result<()> {
        let (held, mirrored) = (self.held(), self.mirrored().await?);
        let live: BTreeMap<String, BTreeSet<String>> = mirrored
            .into_iter()
            .filter(|(_, (state, _))| state == "live")
            .map(|(id, (_, methods))| (id, methods))
            .collect();
        let missing: Vec<_> = held.keys().filter(|id| !live.contains_key(*id)).collect();
        let left: Vec<_> = live.keys().filter(|id| !held.contains_key(*id)).collect();
        ensure!(missing.is_empty(), "not in the store: {missing:?}");
        ensure!(left.is_empty(), "gone, and not marked: {left:?}");
        ensure!(held == live, "other payment methods");
        let doubled = "SELECT customer_id FROM remote_customers WHERE state = 'live' \
                       GROUP BY customer_id HAVING COUNT(*) > 1";
        ensure!(self.db.look(doubled).await?.is_empty(), "two customers are one record");
        let records = "SELECT CAST(COUNT(*) AS TEXT) FROM customers WHERE reference IS NOT NULL";
        let ever = self.customers + EACH;
        let records = self.db.look(records).await?.concat();
        ensure!(records == [ever.to_string()], "{records:?} records of {ever} customers");
        Ok(())
    }
}

/// One seed: a quiet pull, one while the list shifts, and another quiet one.
async fn one(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
    seed: u64,
    naive: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let world = World::new(db, of, seed).await?;
    let ended = |ended: Ended| ended.error.map_or(Ok(ended.summary), Err);
    ended(world.pull(None, false).await?)?;
    let mut rng = Rng::new(seed);
    let churn = Churn::draw(&mut rng, &world.client, EACH, world.pages);
    let during = ended(world.pull(Some(&churn), naive).await?)?;
    churn.is_over()?;
    let wronged = world.wronged().await?;
    ensure!(wronged.is_empty(), "{} live customers are marked: {wronged:?}", wronged.len());
    let after = ended(world.pull(None, false).await?)?;
    world.is_in_step().await?;
    let removed = |summary: &model::Summary| summary.customers.map_or(0, |counts| counts.removed);
    let (at_once, later) = (removed(&during), removed(&after));
    ensure!(at_once + later == EACH, "{at_once} and {later} were marked, of {EACH} deleted");
    let coverage = during.coverage.context("a coverage")?;
    let missed = coverage
        .notes
        .iter()
        .find_map(|note| note.strip_suffix(" customers were on no page, and are there"));
    tally.seeds += 1;
    tally.created += EACH;
    tally.deleted += EACH;
    tally.at_once += at_once;
    tally.missed += missed.map(str::parse::<u64>).transpose()?.unwrap_or(0);
    tally.confirmed += u64::from(coverage.confirmed);
    world.store.close().await;
    world.provider.stop().await;
    Ok(())
}

async fn run(
    databases: &Databases,
    of: &'static dyn Provider,
    seed: u64,
    naive: bool,
) -> (u64, anyhow::Result<Tally>) {
    let ran = async {
        let db = Arc::new(databases.create().await?);
        let mut tally = Tally::default();
        let ran = one(Arc::clone(&db), of, seed, naive, &mut tally).await;
        databases.remove(&db).await?;
        ran.map(|()| tally)
    };
    (seed, ran.await)
}

/// Three on each database, other ones on each, unless the environment asks for more.
fn seeds(on: Database) -> anyhow::Result<RangeInclusive<u64>> {
    match variable("ONFILE_SHIFT_SEEDS") {
        Some(seeds) => Ok(1..=seeds.parse().context("ONFILE_SHIFT_SEEDS")?),
        None => Ok(on.share(3)),
    }
}

async fn churn_trial(databases: Databases, of: &'static dyn Provider) -> anyhow::Result<()> {
    let (mut sum, mut failed) = (Tally::default(), Vec::new());
    let mut ran = stream::iter(seeds(databases.on)?)
        .map(|seed| run(&databases, of, seed, false))
        .buffer_unordered(AT_ONCE);
    while let Some((seed, ran)) = ran.next().await {
        match ran {
            Ok(tally) => {
                sum.seeds += tally.seeds;
                sum.created += tally.created;
                sum.deleted += tally.deleted;
                sum.at_once += tally.at_once;
                sum.missed += tally.missed;
                sum.confirmed += tally.confirmed;
            }
            Err(error) => failed.push(format!("seed {seed}: {error:#}")),
        }
    }
    say(&format!("shift/{}/{}: {sum:?}", databases.on.as_str(), of.kind()));
    ensure!(failed.is_empty(), "{} seeds failed\n{}", failed.len(), failed.join("\n"));
    // A list from which nothing slid away would prove nothing.
    ensure!(sum.missed > 0 && sum.at_once > 0, "{sum:?}");
    Ok(())
}

/// One that takes what no page showed for gone is caught.
async fn naive_trial(databases: Databases, of: &'static dyn Provider) -> anyhow::Result<()> {
    for seed in seeds(databases.on)? {
        if let (_, Err(error)) = run(&databases, of, seed, true).await {
            ensure!(format!("{error:#}").contains("live customers are marked"), "{error:#}");
            let (on, of) = (databases.on.as_str(), of.kind());
            say(&format!("shift/{on}/{of}: caught at seed {seed}: {error:#}"));
            return Ok(());
        }
    }
    bail!("what no page showed was taken for gone, and nobody noticed")
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut trials = Vec::new();
    for db in Database::ALL {
        for of in providers::ALL.iter().copied() {
            let case = |name: &str| format!("{}/{name}", of.kind());
            let churn = move |databases| churn_trial(databases, of);
            trials.push(env.trial_with("shift", db, &case("churn"), churn));
            let naive = move |databases| naive_trial(databases, of);
            trials.push(env.trial_with("shift", db, &case("twin_believes_the_list"), naive));
        }
    }
    trials
}
