//! The only place from which anything at a provider is changed: permits in hand, then the intent
//! committed, then one attempt, then the outcome committed (rule 5).

mod answer;
mod item;

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use backend::{CallCtx, ItemOutcome, NotSent, Permit, Prepared, SendOutcome, TrafficError};
use model::{Code, EffectId, EffectKind, Outcome};
use store::{EffectOutcome, EffectState, Fence, Intent, IntentAnswer, StoreError, Verdict};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use self::answer::{After, panicked, read_answer};
use self::item::effect_of;
pub(crate) use self::item::{Done, Item, Target, What, rejected};
use crate::settle::Unheard;
use crate::{Engine, EngineError, Failpoint};

/// This many calls in a row that reached nobody end the run: the provider is away, and its rows
/// stay planned.
const UNREACHED: u32 = 8;
/// The pause after the first of them; each next one is twice as long, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a commit is made again while the store cannot be reached, a second apart: what the
/// provider answered is known, and must not be lost for a restart of the database.
const COMMITS: u32 = 30;

/// A call that has come back.
struct Landed {
    outcomes: Vec<(EffectOutcome, After)>,
    /// Whether anything got through to the provider.
    reached: bool,
    /// When its intents had been written, or later.
    sent: Instant,
}

type Reserving = Pin<Box<dyn Future<Output = Result<Vec<Permit>, TrafficError>> + Send>>;

/// Calls on their way.
struct Flight<'a> {
    pending: VecDeque<Vec<Item>>,
    flying: JoinSet<Landed>,
    /// What each task carries, for the one that does not come back.
    carried: HashMap<Id, Vec<(EffectId, Item)>>,
    done: &'a mut Vec<(Target, Done)>,
    /// Set once: nothing is launched any more, what is in flight is brought home.
    failure: Option<EngineError>,
    unreached: u32,
    not_before: Instant,
}

/// Everything a batch of calls needs.
pub(crate) struct Sender<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) fence: &'a Fence,
    pub(crate) ctx: &'a CallCtx,
    /// How many items a bulk call may carry; halved when the provider says it is too many.
    pub(crate) batch: &'a mut usize,
    /// Where is written down when what is not heard of was sent.
    pub(crate) unheard: &'a mut Unheard,
}

impl Sender<'_> {
    /// Sends calls until each of their items is done, refused or unknown.
    ///
    /// Answers are committed as they come, whatever the launching of others waits for; after a
    /// failure or a wish to stop, nothing more is launched and everything in flight is brought
    /// home first.
    ///
    /// # Errors
    /// When the account or the store is at fault. What was committed stays committed; items that
    /// had not been sent are `planned` and can be sent later.
    pub(crate) async fn send(
        &mut self,
        calls: Vec<Vec<Item>>,
        done: &mut Vec<(Target, Done)>,
    ) -> Result<(), EngineError> {
        let mut flight = Flight {
            pending: calls.into(),
            flying: JoinSet::new(),
            carried: HashMap::new(),
            done,
            failure: None,
            unreached: 0,
            not_before: Instant::now(),
        };
        let mut reserving: Option<Reserving> = None;
        let mut stop = self.engine.stop.clone();
        let mut at_once = self.engine.stop.clone();
        let width = self.engine.account.in_flight();
        loop {
            let room = width.saturating_sub(flight.flying.len());
            let launch = flight.failure.is_none() && room > 0 && !flight.pending.is_empty();
            if !launch {
                reserving = None;
                if flight.flying.is_empty() {
                    return flight.failure.map_or(Ok(()), Err);
                }
            } else if reserving.is_none() && Instant::now() >= flight.not_before {
                let (account, lane) = (self.engine.account.clone(), self.ctx.lane);
                let most = room.min(flight.pending.len());
                reserving = Some(Box::pin(async move { account.reserve(lane, most).await }));
            }
            tokio::select! {
                biased;
                Some(landed) = flight.flying.join_next_with_id() => {
                    self.land(&mut flight, landed).await;
                }
                () = stop.wanted(), if flight.failure.is_none() => {
                    flight.failure = Some(EngineError::Stopped);
                }
                // Its calls end with it; in the journal they stay `sending`, until somebody takes
                // them over and settles them.
                () = at_once.wanted_at_once() => return Err(EngineError::Stopped),
                permits = reserved(&mut reserving), if reserving.is_some() => {
                    reserving = None;
                    let launched = match permits {
                        Ok(permits) => self.launch(permits, &mut flight).await,
                        Err(error) => Err(error.into()),
                    };
                    if let Err(error) = launched {
                        flight.failure.get_or_insert(error);
                    }
                }
                () = sleep_until(flight.not_before), if launch && reserving.is_none() => {}
            }
        }
    }

    /// Builds the bodies, commits the intents, and lets the calls go.
    async fn launch(
        &mut self,
        permits: Vec<Permit>,
        flight: &mut Flight<'_>,
    ) -> Result<(), EngineError> {
        let mut ready: Vec<(Permit, Vec<Item>, Prepared)> = Vec::with_capacity(permits.len());
        for permit in permits {
            let Some((items, prepared)) = self.next_prepared(flight)? else { break };
            ready.push((permit, items, prepared));
        }
        let items = ready.iter().flat_map(|(_, items, _)| items);
        let intents: Vec<Intent> = items.map(|item| item.intent(self.engine)).collect();
        if intents.is_empty() {
            return Ok(());
        }
        self.engine.reached(Failpoint::BeforeIntent).await;
        let answers = self
            .engine
            .store
            .commit_intents(self.fence, &self.engine.account.name, intents)
            .await?;
        self.engine.reached(Failpoint::AfterIntent).await;
        let began = Instant::now();
        let mut answers = answers.into_iter();
        for (permit, items, prepared) in ready {
            let whole = items.len();
            let mut sent = Vec::with_capacity(whole);
            let mut ctx = self.ctx.clone();
            for mut item in items {
                match answers.next() {
                    Some(IntentAnswer::Accepted { effect, attempt, key }) => {
                        item.attempt = attempt;
                        ctx.idempotency_key = key;
                        sent.push((effect, item));
                    }
                    Some(IntentAnswer::Held { by, state: EffectState::Unknown }) => {
                        self.unheard.hold(by);
                        flight.done.push((item.target, Done::Unheard));
                    }
                    Some(IntentAnswer::Held { by, state }) => flight.done.push((
                        item.target,
                        Done::Ended(Verdict::with(
                            Outcome::NotAttempted,
                            Code::CustomerBlocked,
                            format!("effect {by} of this customer is {}", state.as_str()),
                        )),
                    )),
                    None => return Err(EngineError::Broken("an intent without an answer")),
                }
            }
            if sent.is_empty() {
                continue;
            }
            let prepared = if sent.len() == whole {
                prepared
            } else {
                let rest: Vec<Item> = sent.iter().map(|(_, item)| item.clone()).collect();
                let effect = effect_of(self.engine, self.fence, &rest)?;
                self.engine
                    .account
                    .prepare(&effect)
                    .map_err(|_| EngineError::Broken("a smaller batch of a good one is good"))?
            };
            let carried = sent.clone();
            let task =
                flight.flying.spawn(fly(self.engine.clone(), ctx, sent, began, prepared, permit));
            flight.carried.insert(task.id(), carried);
        }
        self.engine.reached(Failpoint::InFlight).await;
        Ok(())
    }

    /// The next call whose items can all be sent; those that cannot are rejected by the adapter's
    /// own word, and the rest of their call goes on without them.
    fn next_prepared(
        &mut self,
        flight: &mut Flight<'_>,
    ) -> Result<Option<(Vec<Item>, Prepared)>, EngineError> {
        while let Some(mut items) = flight.pending.pop_front() {
            if items.len() > *self.batch {
                flight.pending.push_front(items.split_off(*self.batch));
            }
            while !items.is_empty() {
                let effect = effect_of(self.engine, self.fence, &items)?;
                match self.engine.account.prepare(&effect) {
                    Ok(prepared) => return Ok(Some((items, prepared))),
                    Err(rejection) => {
                        let at = rejection.item.min(items.len() - 1);
                        let item = items.remove(at);
                        flight.done.push((item.target, Done::Ended(rejected(&rejection))));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes in a call that came back, and every other that has by now.
    async fn land(&mut self, flight: &mut Flight<'_>, first: Result<(Id, Landed), JoinError>) {
        let mut joined = vec![first];
        while let Some(next) = flight.flying.try_join_next_with_id() {
            joined.push(next);
        }
        let mut settled = Vec::new();
        for landed in joined {
            let landed = match landed {
                Ok((id, landed)) => {
                    flight.carried.remove(&id);
                    landed
                }
                Err(error) => {
                    let carried = flight.carried.remove(&error.id()).unwrap_or_default();
                    flight.failure.get_or_insert(EngineError::Broken("a call's task panicked"));
                    let outcomes = carried.into_iter().map(panicked).collect();
                    Landed { outcomes, reached: true, sent: Instant::now() }
                }
            };
            if landed.reached {
                flight.unreached = 0;
            } else {
                flight.unreached += 1;
                let pause = PAUSE * 2_u32.saturating_pow(flight.unreached.min(10) - 1);
                flight.not_before = Instant::now() + pause.min(LONGEST_PAUSE);
            }
            let unheard = landed.outcomes.iter().map(|(outcome, _)| outcome);
            let unheard = unheard.filter(|outcome| outcome.state == EffectState::Unknown);
            self.unheard.sent(unheard.map(|outcome| outcome.effect.clone()), landed.sent);
            settled.extend(landed.outcomes);
        }
        if flight.unreached >= UNREACHED {
            let account = self.engine.account.name.to_string();
            flight.failure.get_or_insert(EngineError::ProviderAway { account });
        }
        let (outcomes, after): (Vec<EffectOutcome>, Vec<After>) = settled.into_iter().unzip();
        self.engine.reached(Failpoint::AfterAnswer).await;
        match self.commit(outcomes).await {
            Ok(()) => {
                self.engine.reached(Failpoint::AfterOutcome).await;
                self.follow(flight, after);
            }
            // They stay `sending` in the journal: never sent again, settled later.
            Err(error) => {
                flight.failure.get_or_insert(error.into());
            }
        }
    }

    async fn commit(&self, outcomes: Vec<EffectOutcome>) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let commit = self.engine.store.commit_outcomes(
                self.fence,
                &self.engine.account.name,
                outcomes.clone(),
            );
            match commit.await {
                Err(StoreError::Unavailable(_)) if tries < COMMITS => {
                    tries += 1;
                    sleep(Duration::from_secs(1)).await;
                }
                result => return result.map(drop),
            }
        }
    }

    /// What follows once outcomes are committed.
    fn follow(&mut self, flight: &mut Flight<'_>, after: Vec<After>) {
        let mut bulk = Vec::new();
        for after in after {
            let item = match after {
                After::Done(target, what) => {
                    flight.done.push((target, what));
                    continue;
                }
                After::Fault(error) => {
                    flight.failure.get_or_insert(error);
                    continue;
                }
                After::Again(item) => item,
                After::Smaller(item, refused) => {
                    let half = (refused / 2).max(1);
                    if half < *self.batch {
                        *self.batch = half;
                        tracing::info!(
                            account = self.engine.account.name.as_str(),
                            batch = half,
                            "the provider takes smaller batches"
                        );
                    }
                    item
                }
            };
            if item.kind() == EffectKind::ImportMethod {
                bulk.push(item);
            } else {
                flight.pending.push_front(vec![item]);
            }
        }
        if !bulk.is_empty() {
            flight.pending.push_front(bulk);
        }
    }
}

/// What a reservation under way comes to; never, when there is none.
async fn reserved(reserving: &mut Option<Reserving>) -> Result<Vec<Permit>, TrafficError> {
    match reserving {
        Some(reserving) => reserving.await,
        None => std::future::pending().await,
    }
}

/// One call: sent once, its answer read for each item.
async fn fly(
    engine: Engine,
    ctx: CallCtx,
    sent: Vec<(EffectId, Item)>,
    began: Instant,
    prepared: Prepared,
    permit: Permit,
) -> Landed {
    let SendOutcome { items, call } = engine.account.execute(&ctx, prepared, permit).await;
    let nobody =
        |item: &ItemOutcome| matches!(item, ItemOutcome::NotSent(NotSent::Connect | NotSent::Late));
    let reached = items.is_empty() || !items.iter().all(nobody);
    let size = sent.len();
    let mut items = items.into_iter();
    let mut outcomes = Vec::with_capacity(size);
    for (effect, item) in sent {
        let outcome = items
            .next()
            .unwrap_or_else(|| ItemOutcome::Unknown("the adapter gave no outcome".into()));
        // No answer to what was sent: its key is still good.
        let answered = !matches!(outcome, ItemOutcome::InProgress(_));
        let (mut row, after) = read_answer(&engine, &ctx, effect, item, outcome, size).await;
        row.request_id.clone_from(&call.request_id);
        row.status = call.status.filter(|_| answered);
        outcomes.push((row, after));
    }
    Landed { outcomes, reached, sent: began }
}
