//! Level 1: processes that die. Each is a thread with a runtime of its own, which is dropped with
//! all that it has in flight; the provider lives in another one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use engine::{Ended, Engine, EngineError, Failpoint, Failpoints, Stop, Stopper};
use futures::future::BoxFuture;
use model::{RunId, Summary, SystemClock};
use sandbox::Handle;
use store::{RunRecord, RunState, Store};
use tokio::sync::{oneshot, watch};

use super::seed::{Begin, End};
use super::target::Target;
use super::world::{World, settle_down};
use crate::jobs::expire;

/// No process of a seed takes longer.
const HUNG: Duration = Duration::from_secs(60);

/// What a process came to.
pub enum Came {
    /// It came to its end.
    Ended,
    /// It stands at its point.
    Stands,
}

/// Waits at one point.
struct Sentry {
    at: Failpoint,
    left: AtomicU64,
    /// Told when the point is reached.
    here: watch::Sender<bool>,
    does: Does,
}

enum Does {
    /// Goes no further.
    Die,
    Stop(Stopper),
    /// Goes on when told.
    Wait(watch::Receiver<bool>),
}

impl Failpoints for Sentry {
    fn reached(&self, point: Failpoint) -> BoxFuture<'_, ()> {
        if point != self.at || self.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return Box::pin(std::future::ready(()));
        }
        self.here.send_replace(true);
        Box::pin(async move {
            match &self.does {
                Does::Die => std::future::pending().await,
                Does::Stop(stopper) => stopper.stop(),
                Does::Wait(go_on) => {
                    let mut go_on = go_on.clone();
                    let _its_world_is_gone = go_on.wait_for(|go_on| *go_on).await;
                }
            }
        })
    }
}

/// A process at work.
pub struct Process {
    ended: oneshot::Receiver<anyhow::Result<Result<Ended, EngineError>>>,
    here: watch::Receiver<bool>,
    /// Dropped, it goes on.
    go_on: watch::Sender<bool>,
    kill: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Process {
    /// Starts one that begins so, and comes to its end or to its point.
    pub fn start(world: &Arc<World>, begin: Begin, end: End) -> Self {
        let (kill, mut killed) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let (there, here) = watch::channel(false);
        let (go_on, wait) = watch::channel(false);
        let (stopper, stop) = Stop::pair();
        let sentry = |at, nth, does| {
            let sentry = Sentry { at, left: AtomicU64::new(nth), here: there, does };
            Some(Arc::new(sentry) as Arc<dyn Failpoints>)
        };
        let failpoints = match end {
            End::Through => None,
            End::Crash { point, nth, .. } => sentry(point, nth, Does::Die),
            End::Stop { point, nth } => sentry(point, nth, Does::Stop(stopper)),
            End::Pause { point, nth, .. } => sentry(point, nth, Does::Wait(wait)),
        };
        let world = Arc::clone(world);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let work = async {
                    let engine = world.engine(stop, failpoints).await?;
                    let ended = work(&world, &engine, begin).await;
                    engine.store.close().await;
                    Ok(ended)
                };
                tokio::select! {
                    ended = work => drop(done.send(ended)),
                    _ = &mut killed => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        Self { ended, here, go_on, kill, thread }
    }

    /// Waits until it ends or stands at its point.
    pub async fn came(&mut self) -> anyhow::Result<Came> {
        let came = async {
            tokio::select! {
                biased;
                ended = &mut self.ended => ended?.map(|_| Came::Ended),
                here = self.here.wait_for(|here| *here) => match here {
                    Ok(_) => Ok(Came::Stands),
                    // It has no point, or will not come to it any more.
                    Err(_) => (&mut self.ended).await?.map(|_| Came::Ended),
                },
            }
        };
        tokio::time::timeout(HUNG, came).await.context("a process hangs")?
    }

    /// Waits for its end.
    pub async fn end(self) -> anyhow::Result<Result<Ended, EngineError>> {
        let ended = tokio::time::timeout(HUNG, self.ended).await.context("a process hangs")??;
        join(self.thread).await?;
        ended
    }

    /// It dies, with all that it has in flight.
    pub async fn kill(self) -> anyhow::Result<()> {
        let _it_may_have_ended = self.kill.send(());
        join(self.thread).await
    }

    /// Goes on from where it stands.
    pub fn go_on(&self) {
        self.go_on.send_replace(true);
    }
}

async fn join(thread: std::thread::JoinHandle<()>) -> anyhow::Result<()> {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
    joined.map_err(|_| anyhow::anyhow!("a process panicked"))
}

/// What a person would do: the file again, or the last run.
async fn work(world: &World, engine: &Engine, begin: Begin) -> Result<Ended, EngineError> {
    // Not the harness's store: a connection that it made here would die with this runtime.
    let run = engine.store.runs(1).await?.pop().map(|run| (run.id, run.state));
    match (begin, run) {
        (Begin::Resume, Some((run, RunState::Running | RunState::Paused))) => {
            match engine::resume(engine, &run).await {
                Err(EngineError::NotResumable { .. }) => again(world, engine, &run).await,
                resumed => resumed,
            }
        }
        (Begin::Cancel, Some((run, RunState::Running | RunState::Paused | RunState::Failed))) => {
            again(world, engine, &run).await
        }
        _ => engine::import(engine, world.options()).await,
    }
}

async fn again(world: &World, engine: &Engine, run: &RunId) -> Result<Ended, EngineError> {
    engine::cancel(&*engine.store, &SystemClock, run).await?;
    engine::import(engine, world.options()).await
}

/// What took place, for the summary.
#[derive(Debug, Default)]
pub struct Seen {
    pub crashes: Vec<Failpoint>,
    pub stops: u64,
    pub pauses: u64,
    /// How often faults fired, by endpoint and kind; 0 of those that were drawn and did not.
    pub faults: BTreeMap<(String, &'static str), u64>,
}

impl Seen {
    /// Before they are cleared.
    pub fn count_faults(&mut self, provider: &Handle) {
        for rule in provider.faults() {
            // A rule's name begins with its endpoint's.
            let endpoint = rule.id.split(['-', '@']).next().unwrap_or_default().to_owned();
            *self.faults.entry((endpoint, rule.fault.name())).or_default() += rule.fired;
        }
    }
}

/// Breaks the work off as the plan says, and takes it up again, faults and all.
pub async fn torture(world: &Arc<World>) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let mut standing = Vec::new();
    for (no, stint) in world.plan.stints.iter().enumerate() {
        if stint.others > 0 && standing.is_empty() {
            // What the last process sent is there by then, or never.
            settle_down(&world.plan).await;
            world.others(no, stint.others).await?;
        }
        let mut process = Process::start(world, stint.begin, stint.end);
        let came = process.came().await?;
        match (came, stint.end) {
            (Came::Ended, _) => process.kill().await?,
            (Came::Stands, End::Crash { point, after_ms, .. }) => {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                process.kill().await?;
                seen.crashes.push(point);
                expire(&world.db).await?;
            }
            (Came::Stands, End::Stop { .. }) => {
                let _it_says_so = process.end().await?;
                seen.stops += 1;
            }
            (Came::Stands, End::Pause { for_ms, .. }) => {
                expire(&world.db).await?;
                seen.pauses += 1;
                standing.push(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(for_ms)).await;
                    process.go_on();
                    process.end().await
                }));
            }
            (Came::Stands, End::Through) => bail!("it stands nowhere"),
        }
    }
    let through = Process::start(world, Begin::Resume, End::Through);
    let _whatever_it_says = through.end().await?;
    for process in standing {
        let _it_was_taken_for_dead = process.await??;
    }
    expire(&world.db).await?;
    seen.count_faults(&world.provider);
    Ok(seen)
}

/// Calls that changed something.
fn changes(provider: &Handle, target: &Target) -> u64 {
    let counters = provider.counters();
    let taken = |endpoint| [200, 201, 204].map(|status| counters.answered(endpoint, status));
    target.writes().into_iter().flat_map(taken).sum()
}

/// The work is taken up again, without faults, until an import has nothing to send; `work` begins a
/// process and says what it did.
pub async fn finish(
    provider: &Handle,
    target: &Target,
    store: &dyn Store,
    work: impl AsyncFn(Begin) -> anyhow::Result<Summary>,
) -> anyhow::Result<()> {
    provider.clear_faults();
    let mut left = None;
    for _ in 0..8 {
        let rests = |run: &RunRecord| matches!(run.state, RunState::Running | RunState::Paused);
        let begin = match store.runs(1).await?.first() {
            Some(run) if rests(run) => Begin::Resume,
            _ => Begin::Import,
        };
        let before = changes(provider, target);
        let summary = work(begin).await.with_context(|| format!("{begin:?} without faults"))?;
        if begin == Begin::Resume {
            continue;
        }
        let rows = summary.rows.unwrap_or_default();
        let open = rows.unresolved + rows.not_attempted + rows.refused + rows.rejected;
        let silent = changes(provider, target) == before;
        // Nothing is left, or nothing moves it.
        if silent && (open == 0 || left == Some(open)) {
            return Ok(());
        }
        left = Some(open);
    }
    bail!("it is not done after eight times");
}

/// A process that comes to its end, and well. One that took the provider for gone, on a machine that
/// answers later than the times allow for, is taken up again some times.
pub async fn through(world: &Arc<World>, begin: Begin) -> anyhow::Result<Summary> {
    let mut tries = 0;
    loop {
        let begin = if tries == 0 { begin } else { Begin::Resume };
        let ended = Process::start(world, begin, End::Through).end().await??;
        tries += 1;
        match ended.error {
            None => return Ok(ended.summary),
            Some(EngineError::ProviderAway { .. }) if tries < 5 => {}
            Some(error) => return Err(error.into()),
        }
    }
}
