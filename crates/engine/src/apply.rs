//! Carries out what is decided for a batch of references, step by step until nothing is left.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use backend::{CallCtx, Capabilities, Effect, MethodListing, TokenRoute};
use model::{Code, Outcome, Profile, Reference, RemoteCustomerId, RemoteMethod, Timestamp};
use store::{EffectRow, EffectState, FinishRows, Group, KnownMethod, Verdict};

use crate::group::{
    CustomerNow, DUPLICATE, Fate, Policy, Presence, Row, Rules, Step, Update, Work, fit,
};
use crate::observe::Brakes;
use crate::run::ActiveRun;
use crate::send::{Done, Item, Sender, Target, What, rejected};
use crate::settle::Unheard;
use crate::{Engine, EngineError, Failpoint};

/// What applying came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    /// Rows that were refused or are unresolved.
    pub(crate) failed: u64,
    /// Rows that wait until an effect of their customer is settled.
    pub(crate) waiting: u64,
    /// Customers by the fields of theirs that only our store keeps.
    pub(crate) kept: BTreeMap<String, u64>,
}

/// A writing job at work.
pub(crate) struct Applier<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) run: &'a ActiveRun,
    pub(crate) ctx: CallCtx,
    pub(crate) policy: Policy,
    pub(crate) batch: usize,
    /// Since when what was read counts as read by this stint of the run.
    pub(crate) began: Timestamp,
    /// Whether who is not in the mirror is known not to be at the provider, or the provider would
    /// refuse a second customer of a reference.
    pub(crate) may_create: bool,
    /// When the run began, in whatever stint.
    pub(crate) since: Timestamp,
    /// Whether anything may be sent: not beyond a canary that nobody has approved.
    pub(crate) may_send: bool,
    /// Whether nothing is to be sent at all.
    pub(crate) dry_run: bool,
    /// Whether the provider is looked at once everything is planned; if not, what is planned is
    /// the last word.
    pub(crate) looks: bool,
    /// Whether too much is rejected, so that nothing is sent: what looks like being rejected is.
    pub(crate) gives_up: bool,
    /// See [`Rules::shared`].
    pub(crate) shared: BTreeMap<u64, Option<u64>>,
    /// References that wait until an effect of theirs is settled, by their first line, with what is
    /// counted of them.
    pub(crate) parked: BTreeMap<u64, Parked>,
    /// How much of what is gone this run may mark as removed.
    pub(crate) brakes: Brakes,
    /// What was sent and not heard of.
    pub(crate) unheard: Unheard,
}

/// What is counted of a reference that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parked {
    created: Created,
    seen: bool,
}

/// How far a reference is in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    AtWork,
    Waits,
    Finished,
}

impl Applier<'_> {
    /// Hands the rules of deciding to `f`: what the adapter would say of a row, without a call.
    pub(crate) fn with_rules<T>(&self, f: impl FnOnce(&Rules<'_>) -> T) -> T {
        let (capabilities, omit) = (self.engine.account.capabilities(), self.engine.omit_unfit);
        let customer_fits = |reference: &Reference, profile: &Profile| {
            let prepare = |profile: &Profile| {
                let effect = Effect::CreateCustomer {
                    reference: reference.clone(),
                    profile: capabilities.as_held(profile),
                };
                self.engine.account.prepare(&effect).map(drop)
            };
            fit(capabilities, omit, profile, prepare).map_err(|rejection| rejected(&rejection))
        };
        let keys = self.engine.store.keys();
        let hash = |field: &str, value: &str| keys.statement_hash(field, value);
        f(&Rules {
            shared: &self.shared,
            hash: &hash,
            capabilities,
            policy: self.policy,
            now: self.engine.clock.now(),
            customer_fits: &customer_fits,
        })
    }

    /// A group, ready to be decided on. A create that nothing was heard of, and that may be repeated,
    /// is in nobody's way.
    pub(crate) fn work(&self, mut group: Group) -> Work {
        let capabilities = self.engine.account.capabilities();
        // Where payment methods come with their customer, the list has shown them.
        let read = group.customers.first().and_then(|customer| customer.methods_read_at);
        let listed = capabilities.methods == MethodListing::Inline
            && read.is_some_and(|read| read >= self.began);
        let open = group.effects.len();
        group.effects.retain(|effect| !self.repeats(effect));
        let repeats = group.effects.len() < open;
        let mut work = Work::new(group, &self.run.id, capabilities);
        work.repeats = repeats;
        work.methods_read = listed;
        work.settle_conflicts();
        work
    }

    /// Whether an effect is a create that may be repeated though nothing was heard of it.
    fn repeats(&self, effect: &EffectRow) -> bool {
        effect.state == EffectState::Unknown && self.unheard.repeats(effect)
    }

    /// Applies a batch of references and adds to the tally. When it fails, what took place has
    /// been written and tallied, and the rows that wait for a step are open still. `cursor` is
    /// where the part's work goes on after it.
    pub(crate) async fn apply(
        &mut self,
        groups: Vec<Group>,
        cursor: Option<String>,
        tally: &mut Tally,
    ) -> Result<(), EngineError> {
        let settled = settled(&groups);
        // Whose customer is there has nothing to be repeated: what became of the create is read.
        let there = groups.iter().filter(|group| !group.customers.is_empty());
        for effect in there.flat_map(|group| &group.effects) {
            self.unheard.keep(effect);
        }
        let mut works: Vec<Work> = groups.into_iter().map(|group| self.work(group)).collect();
        let mut standing = vec![Standing::AtWork; works.len()];
        // What an earlier stint of this run made was counted by it, with its customer.
        let before: Vec<Parked> = works
            .iter()
            .map(|work| {
                let created = Created::of(work);
                let known = Parked { created, seen: created != Created::default() };
                self.parked.remove(&first_line(work)).unwrap_or(known)
            })
            .collect();
        let ended = loop {
            match self.round(&mut works, &mut standing).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let cursor = cursor.filter(|_| ended.is_ok());
        let finish = self.finish(&works, &standing, &settled, cursor);
        let outcomes = finish.rows.iter().filter_map(|row| Some(row.verdict.as_ref()?.outcome));
        tally.rows += outcomes.clone().count() as u64;
        tally.failed += outcomes.filter(|outcome| is_failure(*outcome)).count() as u64;
        let mut parked = Vec::new();
        self.with_rules(|rules| {
            for ((work, before), standing) in works.iter().zip(before).zip(&standing) {
                let Parked { created, mut seen } = before;
                let now = Created::of(work);
                if !seen && (*standing == Standing::Finished || now != created) {
                    seen = true;
                    for field in work.only_ours(rules) {
                        *tally.kept.entry(field).or_default() += 1;
                    }
                }
                if *standing == Standing::Waits {
                    parked.push((first_line(work), Parked { created: now, seen }));
                    tally.waiting +=
                        work.rows.iter().filter(|row| !matches!(row.fate, Fate::Ended(_))).count()
                            as u64;
                }
            }
        });
        self.parked.extend(parked);
        self.engine.reached(Failpoint::BeforeFinishRows).await;
        self.engine.store.finish_rows(&self.run.fence, &self.engine.account.name, finish).await?;
        self.engine.reached(Failpoint::AfterFinishRows).await;
        ended
    }

    /// One step for every reference that has one; whether there was any.
    async fn round(
        &mut self,
        works: &mut [Work],
        standing: &mut [Standing],
    ) -> Result<bool, EngineError> {
        self.engine.stop.check()?;
        let mut calls: Vec<Vec<Item>> = Vec::new();
        let mut bulk: Vec<Item> = Vec::new();
        let mut reads: Vec<(usize, RemoteCustomerId)> = Vec::new();
        let mut customers: Vec<(usize, RemoteCustomerId)> = Vec::new();
        let mut again = false;
        self.with_rules(|rules| {
            for (place, (work, standing)) in works.iter_mut().zip(standing.iter_mut()).enumerate() {
                if *standing != Standing::AtWork {
                    continue;
                }
                match work.next(rules, false) {
                    Step::Finished => *standing = Standing::Finished,
                    Step::Wait => *standing = Standing::Waits,
                    Step::ReadCustomer => {
                        customers.extend(work.customer_id().map(|id| (place, id)));
                    }
                    Step::ReadMethods => reads.extend(work.customer_id().map(|id| (place, id))),
                    Step::Create { .. } if !self.may_create => {
                        work.customer = CustomerNow::Failed(unlooked());
                        again = true;
                    }
                    Step::Create { row } => {
                        let profile = Box::new(work.sent_profile(rules.capabilities));
                        calls.extend(create(work, place, row, profile).map(|i| vec![i]));
                    }
                    Step::Update { row, update } => {
                        calls.extend(change(work, place, row, update).map(|i| vec![i]));
                    }
                    Step::SetDefault { row, method } => {
                        calls.extend(set_default(work, place, row, method).map(|i| vec![i]));
                    }
                    Step::Save(adds) => {
                        for add in adds {
                            let many = add.route == TokenRoute::Bulk;
                            let Some(item) = save(work, place, add.row, many) else { continue };
                            if many { bulk.push(item) } else { calls.push(vec![item]) }
                        }
                    }
                }
            }
        });
        while !bulk.is_empty() {
            let rest = bulk.split_off(bulk.len().min(self.batch));
            calls.push(std::mem::replace(&mut bulk, rest));
        }
        if calls.is_empty() && reads.is_empty() && customers.is_empty() {
            return Ok(again);
        }
        if !self.may_send && !calls.is_empty() {
            let waiting = calls.iter().flatten().count() as u64;
            return Err(EngineError::AwaitingApproval { waiting });
        }
        self.read_customers(works, customers).await?;
        self.read_methods(works, reads).await?;
        let mut done = Vec::new();
        let mut sender = Sender {
            engine: self.engine,
            fence: &self.run.fence,
            ctx: &self.ctx,
            batch: &mut self.batch,
            unheard: &mut self.unheard,
        };
        let sent = sender.send(calls, &mut done).await;
        let capabilities = self.engine.account.capabilities();
        for (target, what) in done {
            if let Some(work) = works.get_mut(target.work) {
                take(work, target.row, what, capabilities);
            }
        }
        sent.map(|()| true)
    }

    fn finish(
        &self,
        works: &[Work],
        standing: &[Standing],
        settled: &BTreeSet<u64>,
        cursor: Option<String>,
    ) -> FinishRows {
        let mut finish = FinishRows { cursor, ..FinishRows::default() };
        self.with_rules(|rules| {
            for (work, standing) in works.iter().zip(standing) {
                let kept: BTreeSet<u64> = work
                    .rows
                    .iter()
                    .filter(|row| settled.contains(&row.staged.line) && stays(row))
                    .map(|row| row.staged.line)
                    .collect();
                let results = match standing {
                    Standing::Finished => work.results(rules.now),
                    Standing::AtWork | Standing::Waits => work.results_so_far(rules),
                };
                finish.rows.extend(results.into_iter().filter(|row| !kept.contains(&row.line)));
                finish.links.extend(work.ties());
                finish.kept.extend(work.kept(rules));
                finish.statements.extend(work.stated(rules));
                finish.forget_tokens.extend(work.spent_tokens());
            }
        });
        finish
    }
}

fn first_line(work: &Work) -> u64 {
    work.rows.first().map_or(0, |row| row.staged.line)
}

/// What a run has created for a reference so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Created {
    customers: u64,
    methods: u64,
}

impl Created {
    fn of(work: &Work) -> Self {
        let saved = work.rows.iter().filter(|row| matches!(row.fate, Fate::Saved(_)));
        Self {
            customers: u64::from(CustomerNow::is_created(&work.customer)),
            methods: saved.count() as u64,
        }
    }
}

/// The lines that had their outcome before this stint of the run.
fn settled(groups: &[Group]) -> BTreeSet<u64> {
    let rows = groups.iter().flat_map(|group| &group.rows);
    rows.filter(|row| row.outcome.is_some()).map(|row| row.line).collect()
}

/// Whether what an earlier stint wrote of a settled row stays: it carried the row out. One that
/// was declined while it was planned is written with its customer.
fn stays(row: &Row) -> bool {
    let Fate::Ended(verdict) = &row.fate else { return false };
    // Said beside the row's own subject, and by applying only.
    let beside = matches!(verdict.code, Some(Code::NotUpdatable | Code::ChangedAtProvider));
    verdict.outcome != Outcome::Rejected || (row.also.is_none() && (beside || !row.done.is_empty()))
}

/// What `--max-failures` counts.
const fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Unresolved)
}

pub(crate) fn known(customer: &RemoteCustomerId, method: &RemoteMethod) -> KnownMethod {
    KnownMethod {
        customer: customer.clone(),
        id: method.id.clone(),
        method: None,
        facts: method.facts.clone(),
        default: method.default,
        as_of: model::Timestamp::default(),
    }
}

fn create(work: &Work, place: usize, row: usize, profile: Box<Profile>) -> Option<Item> {
    let line = work.rows.get(row)?.staged.line;
    Some(Item {
        target: Target { work: place, row },
        reference: work.reference.clone(),
        attempt: 0,
        repeats: work.repeats,
        what: What::Create { line, profile },
    })
}

fn save(work: &Work, place: usize, row: usize, bulk: bool) -> Option<Item> {
    let staged = work.rows.get(row)?.staged.clone();
    Some(Item {
        target: Target { work: place, row },
        reference: work.reference.clone(),
        attempt: 0,
        repeats: false,
        what: What::Save {
            row: Box::new(staged),
            customer: work.customer_id()?,
            known: work.methods.iter().map(|method| method.id.clone()).collect(),
            bulk,
        },
    })
}

fn change(work: &Work, place: usize, row: usize, update: Box<Update>) -> Option<Item> {
    let line = work.rows.get(row)?.staged.line;
    Some(Item {
        target: Target { work: place, row },
        reference: work.reference.clone(),
        attempt: 0,
        repeats: false,
        what: What::Update { line, customer: work.customer_id()?, update },
    })
}

fn set_default(
    work: &Work,
    place: usize,
    row: usize,
    method: model::RemoteMethodId,
) -> Option<Item> {
    let line = work.rows.get(row)?.staged.line;
    let before = work.methods.iter().find(|known| known.default == Some(true));
    let before = before.map(|known| known.id.clone());
    Some(Item {
        target: Target { work: place, row },
        reference: work.reference.clone(),
        attempt: 0,
        repeats: false,
        what: What::SetDefault { line, customer: work.customer_id()?, method, before },
    })
}

/// What a customer ends as that went away while its file was applied, where nobody has looked whether
/// another of its reference is there.
fn unlooked() -> Verdict {
    Verdict::with(
        Outcome::NotAttempted,
        Code::CustomerBlocked,
        "the customer is gone at the provider, which was not known when this was planned: import the \
         file again",
    )
}

/// Takes in what became of an item.
fn take(work: &mut Work, place: usize, what: Done, capabilities: &Capabilities) {
    let customer = work.customer_id();
    let Some(row) = work.rows.get_mut(place) else { return };
    row.under_way = false;
    match what {
        Done::Created(id) => {
            row.done.push(model::EffectKind::CreateCustomer);
            work.customer = CustomerNow::Present { id, how: Presence::Created };
        }
        Done::Repeated(customer) => {
            row.done.push(model::EffectKind::CreateCustomer);
            work.repeated(*customer, capabilities);
        }
        Done::Found(customer) => work.found(*customer),
        Done::FoundLater(customer) => {
            work.found(*customer);
            work.found_ours(place, capabilities);
        }
        Done::Updated => {
            row.done.push(model::EffectKind::UpdateCustomer);
            work.updated();
        }
        Done::Saved(kind, id) => {
            row.done.push(kind);
            // Later rows of this reference see it as a saved method.
            if let (Some(customer), Some(method)) = (customer, &row.staged.method) {
                let method = KnownMethod {
                    customer,
                    id: id.clone(),
                    method: None,
                    facts: method.facts.clone(),
                    default: None,
                    as_of: model::Timestamp::default(),
                };
                work.methods.push(method);
            }
            row.fate = Fate::Saved(id);
        }
        Done::Duplicate(method) => {
            row.fate = Fate::Tied(method.id.clone(), DUPLICATE);
            if let Some(customer) = customer {
                work.seen(known(&customer, &method));
            }
        }
        Done::Unheard => work.waits(),
        Done::DefaultSet => row.done.push(model::EffectKind::SetDefault),
        Done::Ended(verdict) => match (&work.customer, &row.fate) {
            (CustomerNow::Absent, _) => work.customer = CustomerNow::Failed(verdict),
            (_, Fate::Open) => row.fate = Fate::Ended(verdict),
            _ => row.also = Some(verdict),
        },
    }
}
