//! Creates without an answer at providers that make nothing twice of a repeat: who may repeat them, when,
//! and what is believed of those that nobody repeats.

mod lists;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use backend::Timing;
use engine::file::Reading;
use engine::{Ended, Engine, Failpoint, Failpoints, ImportOptions, Limit, Policy, Stop};
use futures::future::{BoxFuture, LocalBoxFuture};
use libtest_mimic::Trial;
use model::{Code, EffectKind, Ledger, SystemClock};
use sandbox::{FaultPlan, Running, Sandbox, SandboxConfig};
use store::{EffectQuery, EffectRecord, EffectState, KEY_LIVES, Store};

use self::lists::{Doubled, Seen, Through};
use super::resume::execute;
use crate::env::{Database, Databases, Env, TestDb, store_for};
use crate::inproc::{self, Setup};
use crate::providers::{ALL, Provider};

type Result = anyhow::Result<()>;

const QUARANTINE: Duration = Duration::from_millis(1200);

/// Asks the run to stop once the provider was read for what nobody has heard of.
struct StopThere(engine::Stopper);

impl Failpoints for StopThere {
    fn reached(&self, point: Failpoint) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if point == Failpoint::SettlingRead {
                self.0.stop();
            }
        })
    }
}

struct World {
    of: &'static dyn Provider,
    provider: Running,
    db: Arc<TestDb>,
    store: Arc<dyn Store>,
    /// What stands before the customer list.
    seen: Option<Seen>,
    doubled: Doubled,
}

impl World {
    async fn new(db: Arc<TestDb>, of: &'static dyn Provider) -> anyhow::Result<Self> {
        let config = SandboxConfig { vendor: of.vendor(), ..SandboxConfig::default() };
        let provider = Sandbox::start(config).await?;
        let store = store_for(&db).await?;
        store.bind_accounts(&[inproc::account_row_at(of, &provider)?]).await?;
        Ok(Self { of, provider, db, store, seen: None, doubled: Arc::new(|| false) })
    }

    fn engine(&self) -> anyhow::Result<Engine> {
        let timing = Timing {
            send_window: Duration::from_millis(150),
            timeout: Duration::from_millis(900),
            late: Duration::from_millis(150),
            quarantine: QUARANTINE,
            backoff: Duration::from_millis(5),
            backoff_max: Duration::from_millis(40),
        };
        let owner = "unheard".to_owned();
        let setup = Setup { owner, timing, import_batch: 1, in_flight: 4 };
        let (seen, doubled) = (self.seen.clone(), Arc::clone(&self.doubled));
        let wrap = |inner, _| match seen {
            Some(seen) => Arc::new(Through { inner, seen, doubled }),
            None => inner,
        };
        inproc::engine_at(self.of, &self.provider, Arc::clone(&self.store), setup, wrap)
    }

    fn faults(&self, faults: &str) -> Result {
        Ok(self.provider.put_faults(FaultPlan::parse(faults)?)?)
    }

    async fn import_at(&self, engine: &Engine, who: &str, name: &str) -> anyhow::Result<Ended> {
        let path = self.db.folder().join("file.csv");
        let text = format!("reference,name,email\n{who},{name},{who}@example.com\n");
        std::fs::write(&path, text)?;
        let options = ImportOptions {
            path,
            reading: Reading::default(),
            dry_run: false,
            observe: false,
            policy: Policy::default(),
            max_rejected: Limit::Percent(100.0),
            max_failures: None,
            canary: None,
            wait: false,
            cause: "unheard".to_owned(),
        };
        Ok(engine::import(engine, options).await?)
    }

    /// Imports one customer.
    async fn import(&self, who: &str, name: &str) -> anyhow::Result<Ledger> {
        let ended = self.import_at(&self.engine()?, who, name).await?;
        if let Some(error) = ended.error {
            return Err(error.into());
        }
        ended.summary.rows.context("rows")
    }

    /// An import of `A` whose create has this fault, and that is stopped when it was first read for.
    async fn lost(db: Arc<TestDb>, of: &'static dyn Provider, fault: &str) -> anyhow::Result<Self> {
        let world = Self::new(db, of).await?;
        world.faults(&format!("create_customer:1={fault}"))?;
        let (stopper, stop) = Stop::pair();
        let failpoints = Some(Arc::new(StopThere(stopper)) as Arc<dyn Failpoints>);
        let engine = Engine { stop, failpoints, ..world.engine()? };
        let ended = world.import_at(&engine, "A", "Ada").await?;
        ensure!(ended.error.is_some(), "{:?}", ended.summary);
        let effect = world.create().await?;
        let now = (effect.effect.state, effect.effect.attempt);
        ensure!(now == (EffectState::Unknown, 1), "{}: {effect:?}", of.kind());
        Ok(world)
    }

    /// The effect that creates `A`.
    async fn create(&self) -> anyhow::Result<EffectRecord> {
        let query =
            EffectQuery { states: EffectState::ALL.to_vec(), most: 100, ..EffectQuery::default() };
        let mut all = self.store.effects(&query).await?.into_iter();
        let is_it = |one: &EffectRecord| {
            let effect = &one.effect;
            effect.kind == EffectKind::CreateCustomer && effect.subject == "A"
        };
        all.rfind(is_it).context("no create")
    }

    /// Another client creates a customer.
    fn stranger(&self, reference: &str) -> anyhow::Result<String> {
        let email = format!("{reference}@example.com");
        Ok(self.provider.create_customer(self.of.seeded(), Some(reference), "Eve", &email)?)
    }

    fn calls(&self) -> u64 {
        self.provider.counters().calls("create_customer")
    }

    /// How many living customers have the reference `A`.
    fn times(&self) -> usize {
        let all = self.provider.customers(self.of.seeded()).into_iter();
        all.filter(|one| !one.deleted && one.reference.as_deref() == Some("A")).count()
    }
}

/// It may be repeated: that says nothing of what it had. A person is told when reading shows it.
async fn is_no_word_of_what_it_had(db: Arc<TestDb>, of: &'static dyn Provider) -> Result {
    let world = World::lost(db, of, "drop_before").await?;
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!((settled.planned, settled.done) == (1, 0), "{settled:?}");
    let waited = world.create().await?;
    let sent = waited.sent_at.context("it was sent")?;
    ensure!(waited.updated_at.since(sent) >= QUARANTINE, "too early: {waited:?}");
    ensure!(world.calls() == 1, "something was sent");
    let rows = world.import("A", "Ada").await?;
    ensure!((rows.created, world.times(), world.calls()) == (1, 1, 2), "{rows:?}");
    Ok(())
}

/// A run that is cancelled does not say that it was not attempted.
async fn is_unresolved_when_its_run_is_cancelled(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let world = World::lost(db, of, "drop_before").await?;
    let run = world.create().await?.effect.run;
    let summary = engine::cancel(&*world.store, &SystemClock, &run).await?;
    let rows = summary.rows.context("rows")?;
    ensure!((rows.unresolved, rows.not_attempted) == (1, 0), "{rows:?}");
    Ok(())
}

/// The run that still wishes it repeats it from where it is, without waiting.
async fn repeated(db: Arc<TestDb>, of: &'static dyn Provider, fault: &str) -> Result {
    let world = World::lost(db, of, fault).await?;
    let rows = world.import("A", "Ada").await?;
    // Where the list is read first, it is in there.
    let shown = of.kind() == "noderails" && fault == "drop_after";
    let expected = if shown { (0, 1, 1, 1) } else { (1, 0, 1, 2) };
    let is = (rows.created, rows.linked, world.times(), world.calls());
    ensure!(is == expected, "{is:?}: {rows:?}");
    let now = world.create().await?;
    ensure!(now.effect.state == EffectState::Done, "{now:?}");
    let sent = now.sent_at.context("it was sent")?;
    ensure!(now.updated_at.since(sent) < QUARANTINE, "it waited: {now:?}");
    Ok(())
}

/// What the next file does not name stays as it is, until it is read for.
async fn that_nobody_wishes_is_left_to_reading(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let world = World::lost(db, of, "drop_before").await?;
    let rows = world.import("B", "Bo").await?;
    ensure!(rows.created == 1, "{rows:?}");
    let now = world.create().await?;
    ensure!(now.effect.state == EffectState::Unknown, "{now:?}");
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!((settled.planned, settled.done) == (1, 0), "{settled:?}");
    ensure!((world.times(), world.calls()) == (0, 2), "sent again");
    Ok(())
}

/// A key that lives no more is not repeated, nor is another sent before the list shows nobody.
async fn old_key(db: Arc<TestDb>, of: &'static dyn Provider, fault: &str, calls: u64) -> Result {
    let world = World::lost(db, of, fault).await?;
    let by = (KEY_LIVES + Duration::from_secs(60)).as_micros();
    execute(&world.db, &format!("UPDATE effects SET created_at = created_at - {by}")).await?;
    let key = world.create().await?.idempotency_key;
    world.import("A", "Ada").await?;
    ensure!((world.times(), world.calls()) == (1, calls), "{} calls", world.calls());
    let now = world.create().await?;
    ensure!((now.idempotency_key == key) == (calls == 1), "{now:?}");
    Ok(())
}

/// A key is not repeated for another body: whoever it made is found, or nobody, and then another key is
/// sent.
async fn another_body(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
    fault: &str,
    calls: u64,
) -> Result {
    let world = World::lost(db, of, fault).await?;
    let key = world.create().await?.idempotency_key;
    let rows = world.import("A", "Bo").await?;
    ensure!((world.times(), world.calls()) == (1, calls), "{} calls: {rows:?}", world.calls());
    let now = world.create().await?;
    ensure!(now.effect.state == EffectState::Done, "{now:?}");
    ensure!((now.idempotency_key == key) == (calls == 1), "{now:?}");
    Ok(())
}

/// A repeat that is declined says nothing of the attempt before: where that takes effect late, it is ours;
/// where it never arrived, it is refused for the provider's reason once that is sure.
async fn declined(db: Arc<TestDb>, of: &'static dyn Provider, late: bool) -> Result {
    let world = World::new(db, of).await?;
    let first = if late { "late_execution_ms(500)" } else { "drop_before" };
    world.faults(&format!("create_customer:1={first},create_customer:2=status(422)"))?;
    let rows = world.import("A", "Ada").await?;
    let now = world.create().await?;
    ensure!((world.times(), world.calls()) == (usize::from(late), 2), "{now:?}");
    let sent = now.sent_at.context("it was sent")?;
    ensure!(late || now.updated_at.since(sent) >= QUARANTINE, "too early: {now:?}");
    let (state, code) = match late {
        true => (EffectState::Done, Code::FoundLater),
        false => (EffectState::Refused, Code::ProviderRefused),
    };
    ensure!((rows.created, rows.refused) == (u64::from(late), u64::from(!late)), "{rows:?}");
    let effect = &now.effect;
    ensure!((effect.state, effect.code.as_deref()) == (state, Some(code.as_str())), "{now:?}");
    let unfired = world.provider.faults_unfired();
    ensure!(unfired.is_empty(), "{unfired:?}");
    Ok(())
}

type Run = fn(Arc<TestDb>, &'static dyn Provider) -> LocalBoxFuture<'static, Result>;

/// Where nothing is made twice of a repeat, and where by a key.
const REPEATING: &[&str] = &["noderails", "proxy-token", "v2"];
const BY_KEY: &[&str] = &["noderails"];
/// Where a list may have to tell.
const BY_LIST: &[&str] = &["ecrypt", "noderails"];

const CASES: &[(&[&str], &str, Run)] = &[
    (REPEATING, "is_no_word_of_what_it_had", |db, of| Box::pin(is_no_word_of_what_it_had(db, of))),
    (REPEATING, "is_unresolved_when_its_run_is_cancelled", |db, of| {
        Box::pin(is_unresolved_when_its_run_is_cancelled(db, of))
    }),
    (REPEATING, "that_arrives_after_a_declined_repeat_is_found", |db, of| {
        Box::pin(declined(db, of, true))
    }),
    (REPEATING, "that_never_arrived_is_refused_with_its_repeat", |db, of| {
        Box::pin(declined(db, of, false))
    }),
    (REPEATING, "that_never_arrived_is_repeated", |db, of| {
        Box::pin(repeated(db, of, "drop_before"))
    }),
    (BY_KEY, "that_took_effect_is_repeated", |db, of| Box::pin(repeated(db, of, "drop_after"))),
    (REPEATING, "that_nobody_wishes_is_left_to_reading", |db, of| {
        Box::pin(that_nobody_wishes_is_left_to_reading(db, of))
    }),
    (BY_LIST, "in_a_list_that_shifts_is_settled", |db, of| {
        Box::pin(lists::in_a_list_that_shifts_is_settled(db, of))
    }),
    (BY_LIST, "is_not_absent_while_a_customer_cannot_be_read", |db, of| {
        Box::pin(lists::is_not_absent_while_a_customer_cannot_be_read(db, of))
    }),
    (BY_KEY, "that_a_deletion_has_hidden_is_found", |db, of| {
        Box::pin(lists::that_a_deletion_has_hidden_is_found(db, of))
    }),
    (BY_LIST, "that_two_others_have_the_reference_of_waits_for_a_person", |db, of| {
        Box::pin(lists::that_two_others_have_the_reference_of_waits_for_a_person(db, of))
    }),
    (BY_KEY, "that_conflicts_with_nobody_known_is_settled", |db, of| {
        Box::pin(lists::that_conflicts_with_nobody_known_is_settled(db, of))
    }),
    (BY_KEY, "behind_the_top_of_the_list_is_found", |db, of| {
        Box::pin(lists::behind_the_top_of_the_list_is_found(db, of))
    }),
    (BY_KEY, "with_an_old_key_is_found", |db, of| Box::pin(old_key(db, of, "drop_after", 1))),
    (BY_KEY, "with_another_body_is_found", |db, of| {
        Box::pin(another_body(db, of, "drop_after", 1))
    }),
    (BY_KEY, "with_another_body_is_sent_anew", |db, of| {
        Box::pin(another_body(db, of, "drop_before", 2))
    }),
    (BY_KEY, "with_an_old_key_is_sent_anew", |db, of| Box::pin(old_key(db, of, "drop_before", 2))),
];

async fn trial(databases: Databases, of: &'static dyn Provider, run: Run) -> Result {
    let db = Arc::new(databases.create().await?);
    let ran = run(Arc::clone(&db), of).await;
    databases.remove(&db).await?;
    ran
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kinds, name, run) in CASES {
        for of in ALL.iter().copied().filter(|of| kinds.contains(&of.kind())) {
            for db in Database::ALL {
                let case = format!("unheard/{}/{name}", of.kind());
                trials.push(
                    env.trial_with("jobs", db, &case, move |databases| trial(databases, of, *run)),
                );
            }
        }
    }
    trials
}
