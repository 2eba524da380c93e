//! Which slots are started, by [`Scheduler::tick`] alone: no case waits for a clock.

use std::sync::Arc;
use std::time::Duration;

use engine::schedule::{Schedule, Scheduler, Ticked, When};
use libtest_mimic::Trial;
use model::Timestamp;
use store::{Fire, FireEnd, FireState, Owner, SkipReason, Store};

use crate::env::{Database, Env, TestDb, store_for};

/// The cases, each an `async fn(&Cx) -> anyhow::Result<()>`.
macro_rules! cases {
    ($($name:ident,)+) => {
        pub fn trials(env: &Env) -> Vec<Trial> {
            let mut trials = Vec::new();
            for database in Database::ALL {
                $(trials.push(env.trial_on("schedules", database, stringify!($name), |db| async {
                    let cx = Cx::new(db).await?;
                    let ended = $name(&cx).await;
                    cx.store.close().await;
                    ended
                }));)+
            }
            trials
        }
    };
}

cases![
    a_slot_is_started_when_it_is_due,
    the_hour_that_does_not_exist,
    the_hour_that_comes_twice,
    three_missed_slots_are_made_up_once,
    three_missed_slots_may_be_skipped,
    a_slot_that_is_found_late_is_on_time_for_a_minute,
    two_daemons_start_a_slot_once,
    a_run_that_outlasts_its_interval,
    a_run_that_was_killed_is_taken_up_again,
    a_run_that_was_stopped_is_taken_up_again,
    what_is_not_made_up_is_not_taken_up_again,
    a_newer_slot_is_not_held_up_by_a_dead_one,
    a_paused_schedule_skips,
    a_clock_that_is_set_back_starts_nothing_twice,
    a_slot_starts_later_by_its_jitter,
    what_dies_again_and_again_is_given_up,
    two_slots_without_a_good_run_are_overdue,
];

const NIGHTLY: &str = "nightly pull";

#[derive(Debug)]
struct Cx {
    db: Arc<TestDb>,
    store: Arc<dyn Store>,
}

impl Cx {
    async fn new(db: Arc<TestDb>) -> anyhow::Result<Self> {
        let store = store_for(&db).await?;
        Ok(Self { db, store })
    }

    async fn daemon(&self, schedule: Schedule, now: &str) -> anyhow::Result<Daemon> {
        self.daemon_called("one", schedule, now).await
    }

    async fn daemon_called(
        &self,
        name: &str,
        schedule: Schedule,
        now: &str,
    ) -> anyhow::Result<Daemon> {
        let store = store_for(&self.db).await?;
        let owner = Owner(name.to_owned());
        let scheduler = Scheduler::new(&*store, vec![schedule], owner, at(now)).await?;
        Ok(Daemon { store, scheduler })
    }

    /// Every slot that was decided, the first first.
    async fn decided(&self) -> anyhow::Result<Vec<String>> {
        let mut rows = self.store.schedules().fires(NIGHTLY, 200).await?;
        rows.reverse();
        let said = rows.into_iter().map(|row| {
            let reason = row.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{} {}{reason}", row.slot, row.state.as_str())
        });
        Ok(said.collect())
    }

    /// The process of every run is gone: its lease is over.
    async fn kill(&self) -> anyhow::Result<()> {
        self.db
            .look("UPDATE fires SET lease_until = 1 WHERE lease_until > 0 RETURNING schedule")
            .await?;
        Ok(())
    }
}

struct Daemon {
    store: Arc<dyn Store>,
    scheduler: Scheduler,
}

impl Daemon {
    async fn tick(&mut self, now: &str) -> anyhow::Result<Vec<Ticked>> {
        Ok(self.scheduler.tick(&*self.store, at(now)).await?)
    }

    /// Ticks, and is to start one slot.
    async fn starts(&mut self, now: &str) -> anyhow::Result<Fire> {
        match self.tick(now).await?.as_slice() {
            [Ticked::Start(fire)] => Ok(fire.clone()),
            other => anyhow::bail!("at {now}: {other:?}"),
        }
    }

    async fn idle(&mut self, now: &str) -> anyhow::Result<()> {
        let ticked = self.tick(now).await?;
        anyhow::ensure!(ticked.is_empty(), "at {now}: {ticked:?}");
        Ok(())
    }

    async fn ends(&self, fire: &Fire, state: FireState, now: &str) -> anyhow::Result<()> {
        let end = FireEnd { state, reason: None, message: None, run: None };
        anyhow::ensure!(self.store.schedules().end_fire(fire, &end, at(now)).await?, "not ours");
        Ok(())
    }

    /// Starts a slot, and its job is done at once.
    async fn runs(&mut self, now: &str) -> anyhow::Result<String> {
        let fire = self.starts(now).await?;
        self.ends(&fire, FireState::Done, now).await?;
        Ok(fire.slot.to_string())
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

fn schedule(cron: &str, zone: &str) -> Schedule {
    let when = When::parse(cron, zone).expect("it reads");
    Schedule { name: NIGHTLY.into(), when, makes_up: true, jitter: Duration::ZERO }
}

fn nightly() -> Schedule {
    schedule("0 15 2 * * *", "America/Denver")
}

fn hourly() -> Schedule {
    schedule("0 0 * * * *", "UTC")
}

async fn a_slot_is_started_when_it_is_due(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:00:00Z").await?;
    for idle in ["2026-06-01T10:00:00Z", "2026-06-01T10:00:01Z", "2026-06-01T10:59:59.999999Z"] {
        daemon.idle(idle).await?;
    }
    assert_eq!(daemon.runs("2026-06-01T11:00:00Z").await?, "2026-06-01T11:00:00.000Z");
    daemon.idle("2026-06-01T11:00:00Z").await?;
    daemon.idle("2026-06-01T11:00:01Z").await?;
    assert_eq!(daemon.runs("2026-06-01T12:00:00.7Z").await?, "2026-06-01T12:00:00.000Z");
    Ok(())
}

/// Every minute from one time to another; what was started, and when.
async fn minutes(daemon: &mut Daemon, from: &str, until: &str) -> anyhow::Result<Vec<String>> {
    let (mut now, until) = (at(from), at(until));
    let mut started = Vec::new();
    while now <= until {
        let said = now.to_string();
        for ticked in daemon.tick(&said).await? {
            match ticked {
                Ticked::Start(fire) => {
                    daemon.ends(&fire, FireState::Done, &said).await?;
                    started.push(said.clone());
                }
                other => started.push(format!("{said} {other:?}")),
            }
        }
        now = now.plus(Duration::from_secs(60));
    }
    Ok(started)
}

async fn the_hour_that_does_not_exist(cx: &Cx) -> anyhow::Result<()> {
    // 2027-03-14 in Denver: after 01:59 MST (08:59Z) comes 03:00 MDT (09:00Z).
    let mut daemon = cx.daemon(nightly(), "2027-03-13T08:00:00Z").await?;
    assert_eq!(
        minutes(&mut daemon, "2027-03-13T08:01:00Z", "2027-03-15T09:00:00Z").await?,
        ["2027-03-13T09:15:00.000Z", "2027-03-14T09:00:00.000Z", "2027-03-15T08:15:00.000Z"]
    );
    Ok(())
}

async fn the_hour_that_comes_twice(cx: &Cx) -> anyhow::Result<()> {
    // 2026-11-01 in Denver: after 01:59 MDT (07:59Z) comes 01:00 MST (08:00Z).
    let twice = schedule("0 15 1 * * *", "America/Denver");
    let mut daemon = cx.daemon(twice, "2026-10-31T06:00:00Z").await?;
    assert_eq!(
        minutes(&mut daemon, "2026-10-31T06:01:00Z", "2026-11-02T09:00:00Z").await?,
        ["2026-10-31T07:15:00.000Z", "2026-11-01T07:15:00.000Z", "2026-11-02T08:15:00.000Z"]
    );
    Ok(())
}

async fn three_missed_slots_are_made_up_once(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    daemon.runs("2026-06-01T11:00:00Z").await?;
    drop(daemon);
    let mut daemon = cx.daemon(hourly(), "2026-06-01T14:20:00Z").await?;
    assert_eq!(daemon.runs("2026-06-01T14:20:00Z").await?, "2026-06-01T14:00:00.000Z");
    daemon.idle("2026-06-01T14:20:01Z").await?;
    assert_eq!(
        cx.decided().await?,
        [
            "2026-06-01T11:00:00.000Z done",
            "2026-06-01T12:00:00.000Z skipped missed",
            "2026-06-01T13:00:00.000Z skipped missed",
            "2026-06-01T14:00:00.000Z done",
        ]
    );
    assert_eq!(daemon.runs("2026-06-01T15:00:00Z").await?, "2026-06-01T15:00:00.000Z");
    Ok(())
}

async fn three_missed_slots_may_be_skipped(cx: &Cx) -> anyhow::Result<()> {
    let skips = || Schedule { makes_up: false, ..hourly() };
    let mut daemon = cx.daemon(skips(), "2026-06-01T10:30:00Z").await?;
    daemon.runs("2026-06-01T11:00:00Z").await?;
    let ticked = daemon.tick("2026-06-01T14:20:00Z").await?;
    let skipped = Ticked::Skipped { schedule: NIGHTLY.into(), reason: SkipReason::Missed };
    assert_eq!(ticked, [skipped]);
    assert_eq!(
        cx.decided().await?,
        [
            "2026-06-01T11:00:00.000Z done",
            "2026-06-01T12:00:00.000Z skipped missed",
            "2026-06-01T13:00:00.000Z skipped missed",
            "2026-06-01T14:00:00.000Z skipped missed",
        ]
    );
    daemon.runs("2026-06-01T15:00:00Z").await?;
    Ok(())
}

async fn a_slot_that_is_found_late_is_on_time_for_a_minute(cx: &Cx) -> anyhow::Result<()> {
    let skips = Schedule { makes_up: false, ..hourly() };
    let mut daemon = cx.daemon(skips, "2026-06-01T10:30:00Z").await?;
    daemon.runs("2026-06-01T11:01:00Z").await?;
    let ticked = daemon.tick("2026-06-01T12:01:01Z").await?;
    assert!(matches!(ticked.as_slice(), [Ticked::Skipped { .. }]), "{ticked:?}");
    Ok(())
}

async fn two_daemons_start_a_slot_once(cx: &Cx) -> anyhow::Result<()> {
    let begun = "2026-06-01T10:30:00Z";
    let mut one = cx.daemon_called("one", hourly(), begun).await?;
    let mut two = cx.daemon_called("two", hourly(), begun).await?;
    let mut both = 0;
    for hour in 11..23 {
        let now = format!("2026-06-01T{hour}:00:00Z");
        let (first, second) = tokio::join!(one.tick(&now), two.tick(&now));
        let (first, second) = (first?, second?);
        both += usize::from(!first.is_empty()) & usize::from(!second.is_empty());
        for (daemon, ticked) in [(&one, first), (&two, second)] {
            for ticked in ticked {
                let Ticked::Start(fire) = ticked else { anyhow::bail!("{ticked:?}") };
                daemon.ends(&fire, FireState::Done, &now).await?;
            }
        }
    }
    assert_eq!(both, 0);
    let decided = cx.decided().await?;
    assert_eq!(decided.len(), 12);
    assert!(decided.iter().all(|one| one.ends_with(" done")), "{decided:?}");
    one.store.close().await;
    two.store.close().await;
    Ok(())
}

async fn a_run_that_outlasts_its_interval(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    let fire = daemon.starts("2026-06-01T11:00:00Z").await?;
    let still = Ticked::Skipped { schedule: NIGHTLY.into(), reason: SkipReason::StillRunning };
    assert_eq!(daemon.tick("2026-06-01T12:00:00Z").await?, std::slice::from_ref(&still));
    assert_eq!(daemon.tick("2026-06-01T13:00:00Z").await?, [still]);
    daemon.ends(&fire, FireState::Done, "2026-06-01T13:10:00Z").await?;
    // Nobody waits in a queue: the next slot is the next.
    daemon.idle("2026-06-01T13:10:00Z").await?;
    daemon.runs("2026-06-01T14:00:00Z").await?;
    assert_eq!(
        cx.decided().await?,
        [
            "2026-06-01T11:00:00.000Z done",
            "2026-06-01T12:00:00.000Z skipped still_running",
            "2026-06-01T13:00:00.000Z skipped still_running",
            "2026-06-01T14:00:00.000Z done",
        ]
    );
    Ok(())
}

async fn a_run_that_was_killed_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    let mut one = cx.daemon_called("one", nightly(), "2026-06-01T08:00:00Z").await?;
    let killed = one.starts("2026-06-01T08:15:00Z").await?;
    let mut two = cx.daemon_called("two", nightly(), "2026-06-01T08:16:00Z").await?;
    two.idle("2026-06-01T08:16:00Z").await?;
    cx.kill().await?;
    let fire = two.starts("2026-06-01T08:17:00Z").await?;
    assert_eq!((fire.slot, fire.attempt), (killed.slot, 2));
    assert_eq!(fire.cause(), killed.cause());
    two.ends(&fire, FireState::Done, "2026-06-01T08:20:00Z").await?;
    two.idle("2026-06-01T08:30:00Z").await?;
    one.store.close().await;
    two.store.close().await;
    Ok(())
}

async fn a_run_that_was_stopped_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    let mut one = cx.daemon(nightly(), "2026-06-01T08:00:00Z").await?;
    let fire = one.starts("2026-06-01T08:15:00Z").await?;
    one.ends(&fire, FireState::Stopped, "2026-06-01T08:15:30Z").await?;
    let mut two = cx.daemon(nightly(), "2026-06-01T08:16:00Z").await?;
    let again = two.starts("2026-06-01T08:16:00Z").await?;
    assert_eq!((again.slot, again.attempt), (fire.slot, 2));
    Ok(())
}

async fn what_is_not_made_up_is_not_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    let skips = || Schedule { makes_up: false, ..nightly() };
    let mut one = cx.daemon(skips(), "2026-06-01T08:00:00Z").await?;
    one.starts("2026-06-01T08:15:00Z").await?;
    cx.kill().await?;
    let mut two = cx.daemon(skips(), "2026-06-01T08:16:00Z").await?;
    two.idle("2026-06-01T08:17:00Z").await?;
    two.runs("2026-06-02T08:15:00Z").await?;
    assert_eq!(
        cx.decided().await?,
        ["2026-06-01T08:15:00.000Z lost", "2026-06-02T08:15:00.000Z done"]
    );
    Ok(())
}

async fn a_newer_slot_is_not_held_up_by_a_dead_one(cx: &Cx) -> anyhow::Result<()> {
    let mut one = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    one.starts("2026-06-01T11:00:00Z").await?;
    cx.kill().await?;
    let mut two = cx.daemon(hourly(), "2026-06-01T13:20:00Z").await?;
    let fire = two.starts("2026-06-01T13:20:00Z").await?;
    assert_eq!(fire.slot.to_string(), "2026-06-01T13:00:00.000Z");
    assert_eq!(
        cx.decided().await?,
        [
            "2026-06-01T11:00:00.000Z lost",
            "2026-06-01T12:00:00.000Z skipped missed",
            "2026-06-01T13:00:00.000Z running",
        ]
    );
    Ok(())
}

async fn a_paused_schedule_skips(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    cx.store.schedules().pause_schedule(NIGHTLY, true).await?;
    let paused = Ticked::Skipped { schedule: NIGHTLY.into(), reason: SkipReason::Paused };
    assert_eq!(daemon.tick("2026-06-01T11:00:00Z").await?, [paused]);
    cx.store.schedules().pause_schedule(NIGHTLY, false).await?;
    daemon.runs("2026-06-01T12:00:00Z").await?;
    assert_eq!(
        cx.decided().await?,
        ["2026-06-01T11:00:00.000Z skipped paused", "2026-06-01T12:00:00.000Z done"]
    );
    Ok(())
}

async fn a_clock_that_is_set_back_starts_nothing_twice(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    daemon.runs("2026-06-01T11:00:00Z").await?;
    for back in ["2026-06-01T10:58:00Z", "2026-06-01T11:00:00Z", "2026-06-01T11:59:00Z"] {
        daemon.idle(back).await?;
    }
    daemon.runs("2026-06-01T12:00:00Z").await?;
    Ok(())
}

async fn a_slot_starts_later_by_its_jitter(cx: &Cx) -> anyhow::Result<()> {
    let spread = || Schedule { jitter: Duration::from_secs(1800), ..hourly() };
    let begun = "2026-06-01T00:30:00Z";
    let mut one = cx.daemon_called("one", spread(), begun).await?;
    let mut starts = Vec::new();
    for started in minutes(&mut one, "2026-06-01T00:31:00Z", "2026-06-01T12:30:00Z").await? {
        starts.push(at(&started).micros() / 60_000_000 % 60);
    }
    assert_eq!(starts.len(), 12, "{starts:?}");
    assert!(starts.iter().all(|minute| *minute <= 30), "{starts:?}");
    let distinct: std::collections::BTreeSet<_> = starts.iter().collect();
    assert!(distinct.len() > 4, "{starts:?}");
    Ok(())
}

async fn what_dies_again_and_again_is_given_up(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(nightly(), "2026-06-01T08:00:00Z").await?;
    let fire = daemon.starts("2026-06-01T08:15:00Z").await?;
    for minute in 17..19 {
        cx.kill().await?;
        daemon.starts(&format!("2026-06-01T08:{minute}:00Z")).await?;
    }
    cx.kill().await?;
    let lost = Ticked::Lost { schedule: NIGHTLY.into(), slot: fire.slot };
    assert_eq!(daemon.tick("2026-06-01T08:20:00Z").await?, [lost]);
    daemon.idle("2026-06-01T08:22:00Z").await?;
    Ok(())
}

async fn two_slots_without_a_good_run_are_overdue(cx: &Cx) -> anyhow::Result<()> {
    let mut daemon = cx.daemon(hourly(), "2026-06-01T10:30:00Z").await?;
    let since = async |now: &str| hourly().overdue_since(&*cx.store, at(now)).await;
    assert_eq!(since("2026-06-01T18:00:00Z").await?, None, "it has not begun");
    let fire = daemon.starts("2026-06-01T11:00:00Z").await?;
    daemon.ends(&fire, FireState::Failed, "2026-06-01T11:10:00Z").await?;
    assert_eq!(since("2026-06-01T12:00:59Z").await?, None, "one slot has passed");
    let overdue = Some(at("2026-06-01T12:01:00Z"));
    assert_eq!(since("2026-06-01T12:01:00Z").await?, overdue);
    daemon.runs("2026-06-01T12:05:00Z").await?;
    assert_eq!(since("2026-06-01T14:00:59Z").await?, None);
    assert_eq!(since("2026-06-01T15:00:00Z").await?, Some(at("2026-06-01T14:01:00Z")));
    Ok(())
}
