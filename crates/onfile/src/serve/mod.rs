//! `onfile serve`: does what schedules say when it is due, tells people what went wrong, and answers
//! on HTTP.
//!
//! An alarm rings every second; each time the store is asked what is due ([`engine::schedule`]). A slot
//! that is ours is worked on in a task of its own, which holds its lease and writes what came of it.

mod alerts;
mod watch;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use engine::schedule::{Alarm, Schedule, Scheduler, Ticked};
use engine::{Stop, Stopper};
use model::{RunId, Timestamp};
use server::Metered;
use store::{AlertKind, Fire, FireState, StoreError};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::cli::Global;
use crate::commands::env;
use crate::config::{CatchUp, LoadOptions, ScheduleConfig};
use crate::exit::Exit;
use crate::out;
use crate::signals::Stops;
use crate::wiring::{self, Opened};

/// An alarm that is silent for so long is not waited for.
const SILENT: Duration = Duration::from_secs(15);
/// How often schedules are looked at that have had no good run for long.
const OVERDUE: Duration = Duration::from_secs(60);
/// How long jobs that were stopped at once may take to write down that they were.
const GIVE_UP: Duration = Duration::from_secs(3);

/// What all parts of the daemon share.
pub(crate) struct Daemon {
    opened: Opened,
    /// By their names.
    schedules: BTreeMap<String, (ScheduleConfig, Schedule)>,
    /// The jobs at work, by schedule.
    at_work: Mutex<BTreeMap<String, Arc<Stopper>>>,
    /// When it was last asked what is due.
    asked: Mutex<Instant>,
    stopping: AtomicBool,
    /// Whether something was raised that nobody has been told.
    alerts_due: AtomicBool,
}

/// A schedule as the engine takes it.
pub(crate) fn schedule(config: &ScheduleConfig) -> Schedule {
    Schedule {
        name: config.name.clone(),
        when: config.when.clone(),
        makes_up: config.catch_up == CatchUp::Once,
        jitter: config.jitter,
    }
}

pub(crate) async fn run(global: &Global) -> Result<Exit> {
    let config = wiring::load(&global.config, &env, &LoadOptions::default())?;
    let metered = Metered::install().context("cannot count")?;
    let listen = config.server.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr().context("the socket has no address")?;
    let opened = wiring::open(config).await?;
    let schedules: Vec<(ScheduleConfig, Schedule)> =
        opened.config.schedules.iter().map(|one| (one.clone(), schedule(one))).collect();
    let scheduler = Scheduler::new(
        &*opened.store,
        schedules.iter().map(|(_, schedule)| schedule.clone()).collect(),
        opened.owner.clone(),
        opened.clock.now(),
    )
    .await?;
    let by_name = schedules.into_iter().map(|one| (one.0.name.clone(), one)).collect();
    let daemon = Arc::new(Daemon {
        opened,
        schedules: by_name,
        at_work: Mutex::default(),
        asked: Mutex::new(Instant::now()),
        stopping: AtomicBool::new(false),
        // What an earlier process has raised.
        alerts_due: AtomicBool::new(true),
    });
    watch::build_info();
    let (tell, told) = channel::channel(false);
    let answering = tokio::spawn(server::serve(
        listener,
        Arc::clone(&daemon) as Arc<dyn server::Daemon>,
        metered,
        async move {
            let mut told = told;
            let _the_daemon_is_gone = told.wait_for(|stop| *stop).await;
        },
    ));
    out::error_line(&format!("listening on http://{address}"));
    info!(schedules = daemon.schedules.len(), "serving");
    let mut jobs = JoinSet::new();
    let mut stops = Stops::new()?;
    daemon.ask(scheduler, &mut jobs, &mut stops).await?;
    daemon.stop(&mut jobs, &mut stops).await;
    let _nobody_listens = tell.send(true);
    if tokio::time::timeout(GIVE_UP, answering).await.is_err() {
        warn!("a connection was still open: it is closed");
    }
    daemon.opened.store.close().await;
    info!("stopped");
    Ok(Exit::Clean)
}

impl Daemon {
    /// Asks what is due, each time the alarm rings, until somebody wants us to stop.
    async fn ask(
        self: &Arc<Self>,
        mut scheduler: Scheduler,
        jobs: &mut JoinSet<()>,
        stops: &mut Stops,
    ) -> Result<()> {
        let mut alarm = Alarm::set().await.context("the alarm cannot be set")?;
        let mut looked: Option<Instant> = None;
        let mut away = false;
        loop {
            tokio::select! {
                () = alarm.rings() => {}
                () = tokio::time::sleep(SILENT) => warn!("the alarm is silent: asking all the same"),
                () = stops.wanted() => return Ok(()),
                Some(ended) = jobs.join_next() => {
                    if let Err(error) = ended {
                        // Its lease runs out, and the slot is taken up again.
                        error!(%error, "a job broke");
                    }
                    continue;
                }
            }
            self.set_asked();
            let overdue = looked.is_none_or(|at| at.elapsed() >= OVERDUE);
            match self.turn(&mut scheduler, jobs, overdue).await {
                Ok(()) if away => {
                    away = false;
                    info!("the store is available again");
                }
                Ok(()) => {}
                Err(error) if !away => {
                    away = true;
                    error!(%error, "the store is not available: nothing is started meanwhile");
                }
                Err(_) => {}
            }
            if overdue && !away {
                looked = Some(Instant::now());
            }
        }
    }

    async fn turn(
        self: &Arc<Self>,
        scheduler: &mut Scheduler,
        jobs: &mut JoinSet<()>,
        overdue: bool,
    ) -> Result<(), StoreError> {
        let now = self.opened.clock.now();
        for ticked in scheduler.tick(&*self.opened.store, now).await? {
            match ticked {
                Ticked::Start(fire) => self.start(fire, jobs),
                Ticked::Skipped { schedule, reason } => watch::skipped(&schedule, reason),
                Ticked::Lost { schedule, slot } => {
                    let why = "its process was gone each time it was begun";
                    self.raise(AlertKind::Failed, &schedule, slot, None, why).await?;
                }
            }
        }
        if overdue {
            self.look_for_overdue(now).await?;
        }
        if self.alerts_due.swap(false, Ordering::Relaxed) || overdue {
            self.send_alerts(jobs).await?;
        }
        Ok(())
    }

    /// Begins the work on a slot.
    fn start(self: &Arc<Self>, fire: Fire, jobs: &mut JoinSet<()>) {
        let (stopper, stop) = Stop::pair();
        let stopper = Arc::new(stopper);
        self.working().insert(fire.schedule.clone(), Arc::clone(&stopper));
        if self.stopping.load(Ordering::Relaxed) {
            stopper.stop();
        }
        let daemon = Arc::clone(self);
        // A thread of its own: whatever a job computes, the alarm and the answers are not held up.
        let runtime = Handle::current();
        jobs.spawn_blocking(move || {
            runtime.block_on(daemon.work(&fire, &stopper, stop));
            daemon.working().remove(&fire.schedule);
        });
    }

    async fn work(&self, fire: &Fire, stopper: &Stopper, stop: Stop) {
        let Some((config, schedule)) = self.schedules.get(&fire.schedule) else { return };
        let began = Instant::now();
        let interval = schedule.interval(self.opened.clock.now());
        let progress = Arc::new(work::Logged::new(&config.name, interval));
        let end = work::work(&self.opened, config, fire, stopper, stop, progress).await;
        watch::ended(&fire.schedule, end.state, began.elapsed());
        let (schedule, slot, state) = (&fire.schedule, fire.slot, end.state.as_str());
        let (run, reason) = (end.run.as_ref().map(RunId::as_str), end.reason.as_deref());
        let why = end.message.as_deref().unwrap_or("see its report");
        let kind = match end.state {
            FireState::Failed => {
                error!(schedule, %slot, state, reason, run.id = run, why, "a scheduled job ended");
                AlertKind::Failed
            }
            FireState::Differences => {
                warn!(schedule, %slot, state, reason, run.id = run, why, "a scheduled job ended");
                AlertKind::Differences
            }
            _ => {
                info!(schedule, %slot, state, run.id = run, "a scheduled job ended");
                return;
            }
        };
        if let Err(error) = self.raise(kind, &fire.schedule, fire.slot, run, why).await {
            error!(%error, schedule = fire.schedule, "an alert could not be written down");
        }
    }

    /// Asks the jobs at work to stop, and waits for them: at first so that what is in flight ends.
    async fn stop(&self, jobs: &mut JoinSet<()>, stops: &mut Stops) {
        self.stopping.store(true, Ordering::Relaxed);
        let patience = self.opened.config.server.stop;
        let names: Vec<String> = self.working().keys().cloned().collect();
        if !names.is_empty() {
            let (names, seconds) = (names.join(", "), patience.as_secs());
            info!(schedules = names, seconds, "stopping: jobs come to rest");
        }
        for stopper in self.working().values() {
            stopper.stop();
        }
        let all = async |jobs: &mut JoinSet<()>| while jobs.join_next().await.is_some() {};
        tokio::select! {
            () = all(jobs) => return,
            () = tokio::time::sleep(patience) => {}
            () = stops.wanted() => {}
        }
        warn!("stopping at once: calls in flight are given up, and settled later");
        for stopper in self.working().values() {
            stopper.stop_at_once();
        }
        let _settled_later_as_well = tokio::time::timeout(GIVE_UP, all(jobs)).await;
    }

    fn working(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Stopper>>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago it was last asked what is due.
    fn asked_ago(&self) -> Duration {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    async fn look_for_overdue(&self, now: Timestamp) -> Result<(), StoreError> {
        let (store, schedules) = (&*self.opened.store, self.opened.store.schedules());
        let lines: Vec<(String, String)> = self
            .schedules
            .values()
            .map(|(_, one)| (one.name.clone(), one.when.as_str().to_owned()))
            .collect();
        for row in schedules.know_schedules(&lines, now).await? {
            let Some((_, schedule)) = self.schedules.get(&row.name) else { continue };
            let since = schedule.overdue_since(store, now).await?.filter(|_| !row.paused);
            watch::overdue(&row.name, since.is_some());
            if let Some(since) = since {
                let good = schedules.last_good(&row.name).await?;
                let last = good.map_or_else(|| "never".to_owned(), |good| good.slot.to_string());
                let why = format!("its last good run was due: {last}");
                self.raise(AlertKind::Overdue, &row.name, since, None, &why).await?;
            }
        }
        Ok(())
    }
}
