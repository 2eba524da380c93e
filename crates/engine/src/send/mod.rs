//! The only place from which anything at a provider is changed: permits in hand, then the intent
//! committed, then one attempt, then the outcome committed (rule 5).

mod answer;
mod item;

use std::collections::VecDeque;

use backend::{CallCtx, ItemOutcome, NotSent, Permit, Prepared, SendOutcome};
use model::{Code, EffectId, EffectKind, Outcome};
use store::{EffectOutcome, Fence, Intent, IntentAnswer, Verdict};
use tokio::task::JoinSet;

use self::answer::{After, read_answer};
use self::item::effect_of;
pub(crate) use self::item::{Done, Item, Target, What, new_method, rejected};
use crate::{Engine, EngineError};

/// This many calls in a row that could not connect end the run: the provider is away, and its
/// rows stay planned.
const CONNECT_FAILURES: u32 = 8;

/// A call that has come back.
struct Landed {
    outcomes: Vec<(EffectOutcome, After)>,
    connect_failed: bool,
}

/// Everything a batch of calls needs.
pub(crate) struct Sender<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) fence: &'a Fence,
    pub(crate) ctx: &'a CallCtx,
    /// How many items a bulk call may carry; halved when the provider says it is too many.
    pub(crate) batch: &'a mut usize,
}

impl Sender<'_> {
    /// Sends calls until each of their items is done, refused or unknown.
    ///
    /// # Errors
    /// When the account or the store is at fault. What was committed stays committed; items that
    /// had not been sent are `planned` and can be sent later.
    pub(crate) async fn send(
        &mut self,
        calls: Vec<Vec<Item>>,
        done: &mut Vec<(Target, Done)>,
    ) -> Result<(), EngineError> {
        let mut pending: VecDeque<Vec<Item>> = calls.into();
        let mut flying: JoinSet<Landed> = JoinSet::new();
        let mut failure: Option<EngineError> = None;
        let mut unconnected = 0;
        let width = self.engine.account.in_flight();
        loop {
            let mut landed = Vec::new();
            while let Some(call) = flying.try_join_next() {
                landed.push(call.map_err(|_| EngineError::Broken("a call's task panicked"))?);
            }
            if !landed.is_empty() {
                if landed.iter().all(|call| call.connect_failed) {
                    unconnected += 1;
                } else {
                    unconnected = 0;
                }
                self.commit(landed, &mut pending, done, &mut failure).await?;
                if unconnected >= CONNECT_FAILURES && failure.is_none() {
                    failure = Some(EngineError::ProviderAway {
                        account: self.engine.account.name.to_string(),
                    });
                }
                continue;
            }
            if failure.is_none() && self.engine.stop.is_wanted() {
                failure = Some(EngineError::Stopped);
            }
            let room = width.saturating_sub(flying.len());
            if failure.is_none() && room > 0 && !pending.is_empty() {
                let most = room.min(pending.len());
                match self.engine.account.reserve(self.ctx.lane, most).await {
                    Ok(permits) => self.launch(permits, &mut pending, &mut flying, done).await?,
                    Err(error) => failure = Some(error.into()),
                }
                continue;
            }
            match flying.join_next().await {
                Some(call) => {
                    let call = call.map_err(|_| EngineError::Broken("a call's task panicked"))?;
                    self.commit(vec![call], &mut pending, done, &mut failure).await?;
                }
                None => return failure.map_or(Ok(()), Err),
            }
        }
    }

    /// Builds the bodies, commits the intents, and lets the calls go.
    async fn launch(
        &mut self,
        permits: Vec<Permit>,
        pending: &mut VecDeque<Vec<Item>>,
        flying: &mut JoinSet<Landed>,
        done: &mut Vec<(Target, Done)>,
    ) -> Result<(), EngineError> {
        let mut ready: Vec<(Permit, Vec<Item>, Prepared)> = Vec::with_capacity(permits.len());
        for permit in permits {
            let Some((items, prepared)) = self.next_prepared(pending, done)? else { break };
            ready.push((permit, items, prepared));
        }
        let intents: Vec<Intent> =
            ready.iter().flat_map(|(_, items, _)| items.iter().map(Item::intent)).collect();
        if intents.is_empty() {
            return Ok(());
        }
        let answers = self
            .engine
            .store
            .commit_intents(self.fence, &self.engine.account.name, intents)
            .await?;
        let mut answers = answers.into_iter();
        for (permit, items, prepared) in ready {
            let whole = items.len();
            let mut sent = Vec::with_capacity(whole);
            for item in items {
                match answers.next() {
                    Some(IntentAnswer::Accepted { effect, .. }) => sent.push((effect, item)),
                    Some(IntentAnswer::Held { by, state }) => done.push((
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
            let (engine, ctx) = (self.engine.clone(), self.ctx.clone());
            flying.spawn(async move { fly(engine, ctx, sent, prepared, permit).await });
        }
        Ok(())
    }

    /// The next call whose items can all be sent; those that cannot are rejected by the adapter's
    /// own word, and the rest of their call goes on without them.
    fn next_prepared(
        &mut self,
        pending: &mut VecDeque<Vec<Item>>,
        done: &mut Vec<(Target, Done)>,
    ) -> Result<Option<(Vec<Item>, Prepared)>, EngineError> {
        while let Some(mut items) = pending.pop_front() {
            if items.len() > *self.batch {
                pending.push_front(items.split_off(*self.batch));
            }
            while !items.is_empty() {
                let effect = effect_of(self.engine, self.fence, &items)?;
                match self.engine.account.prepare(&effect) {
                    Ok(prepared) => return Ok(Some((items, prepared))),
                    Err(rejection) => {
                        let at = rejection.item.min(items.len() - 1);
                        let item = items.remove(at);
                        done.push((item.target, Done::Ended(rejected(&rejection))));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn commit(
        &mut self,
        landed: Vec<Landed>,
        pending: &mut VecDeque<Vec<Item>>,
        done: &mut Vec<(Target, Done)>,
        failure: &mut Option<EngineError>,
    ) -> Result<(), EngineError> {
        let (outcomes, after): (Vec<EffectOutcome>, Vec<After>) =
            landed.into_iter().flat_map(|call| call.outcomes).unzip();
        self.engine.store.commit_outcomes(self.fence, &self.engine.account.name, outcomes).await?;
        let mut again = Vec::new();
        let mut smaller = Vec::new();
        for after in after {
            match after {
                After::Done(target, what) => done.push((target, what)),
                After::Again(item) => again.push(item),
                After::Smaller(item) => smaller.push(item),
                After::Fault(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        if !smaller.is_empty() {
            if *self.batch <= 1 {
                for item in smaller.drain(..) {
                    done.push((
                        item.target,
                        Done::Ended(Verdict::with(
                            Outcome::Refused,
                            Code::ProviderRefused,
                            "the provider says that one row is too large a batch",
                        )),
                    ));
                }
            } else {
                *self.batch = (*self.batch / 2).max(1);
                tracing::info!(
                    account = self.engine.account.name.as_str(),
                    batch = *self.batch,
                    "the provider takes smaller batches"
                );
            }
        }
        requeue(again.into_iter().chain(smaller), pending);
        Ok(())
    }
}

/// Puts items back: those that share a bulk call together, others one by one.
fn requeue(items: impl Iterator<Item = Item>, pending: &mut VecDeque<Vec<Item>>) {
    let mut bulk = Vec::new();
    for item in items {
        if item.kind() == EffectKind::ImportMethod {
            bulk.push(item);
        } else {
            pending.push_front(vec![item]);
        }
    }
    if !bulk.is_empty() {
        pending.push_front(bulk);
    }
}

/// One call: sent once, its answer read for each item.
async fn fly(
    engine: Engine,
    ctx: CallCtx,
    sent: Vec<(EffectId, Item)>,
    prepared: Prepared,
    permit: Permit,
) -> Landed {
    let answer = engine.account.execute(&ctx, prepared, permit).await;
    let SendOutcome { items, call } = answer;
    let connect_failed = !items.is_empty()
        && items.iter().all(|item| matches!(item, ItemOutcome::NotSent(NotSent::Connect)));
    let mut items = items.into_iter();
    let mut outcomes = Vec::with_capacity(sent.len());
    for (effect, item) in sent {
        let outcome = items
            .next()
            .unwrap_or_else(|| ItemOutcome::Unknown("the adapter gave no outcome".into()));
        let (mut row, after) = read_answer(&engine, &ctx, effect, item, outcome).await;
        row.request_id.clone_from(&call.request_id);
        row.status = call.status;
        outcomes.push((row, after));
    }
    Landed { outcomes, connect_failed }
}
