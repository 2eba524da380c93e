//! `--dry-run --observe`: reads what applying would read before it decides, writes that to the
//! mirror, and plans on it. Nothing is changed at the provider.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backend::{CallCtx, FindBy, Lane, RemoteCustomer};
use futures::{StreamExt, stream};
use model::{Code, Coverage, Outcome, Reference, RemoteCustomerId, RemoteMethod, Timestamp};
use store::{CustomersWrite, Group, KnownMethod, MethodsWrite, Overlap, RowPlan, Verdict, Which};

use super::GROUPS;
use super::forecast::Expectations;
use super::plan::{self, Planned};
use crate::apply::{Applier, known};
use crate::group::{CustomerNow, Row, Step, Work};
use crate::observe::{self, Found, MethodRead};
use crate::run::Findings;
use crate::scan::Scan;
use crate::{Engine, EngineError};

/// Of more references than this that the mirror does not have, the customer list is read first: a
/// page of it shows many, a find one.
const LIST_FROM: u64 = 100;
/// This many reads in a row that fail, and no more are made.
const AWAY: u32 = 16;

/// Looks at the provider, and plans the open rows anew on what is there; how many of them rest on
/// something that was not read. One that is decided by what was read has its outcome afterwards.
///
/// # Errors
/// When the account or the store is at fault, or on a wish to stop. One read that fails is counted.
pub(super) async fn look(
    applier: &mut Applier<'_>,
    expected: &mut Expectations,
    found: &mut Findings,
) -> Result<u64, EngineError> {
    // A person may be waiting, but not for one call: nobody's own read waits for these.
    applier.ctx = CallCtx::for_run(Lane::Scheduled, &applier.run.id);
    found.observed = true;
    let engine = applier.engine;
    if expected.is_empty() {
        return Ok(0);
    }
    observe::same_account(engine, &applier.ctx).await?;
    let as_of = engine.clock.now();
    let mut look = Look {
        applier,
        began: as_of,
        whole: false,
        retired: HashSet::new(),
        failures: 0,
        gaps: BTreeMap::new(),
        customers: 0,
        methods: 0,
    };
    let capabilities = engine.account.capabilities();
    let listed = match capabilities.find {
        FindBy::Nothing | FindBy::Search => Some(u64::MAX),
        FindBy::UniqueReference => Some(expected.creates()).filter(|absent| *absent > LIST_FROM),
    };
    if let Some(most) = listed {
        look.list(most).await?;
    }
    let looked = look.references(expected).await;
    if listed.is_some() || !look.gaps.is_empty() {
        found.coverage = Some(Coverage {
            complete: look.whole,
            customers_read: look.customers,
            methods_read: look.methods,
            as_of: Some(as_of.to_string()),
            gaps: look.gaps.iter().map(|(what, count)| format!("{count} {what}")).collect(),
            ..Coverage::default()
        });
    }
    looked
}

struct Look<'a, 'b> {
    applier: &'a Applier<'b>,
    began: Timestamp,
    /// Whether the customer list was read to its end, and all of it could be read: who is not in
    /// it is not there, unconfirmed by a second pass.
    whole: bool,
    /// References of deleted customers in the list.
    retired: HashSet<String>,
    /// Reads in a row that failed.
    failures: u32,
    gaps: BTreeMap<&'static str, u64>,
    customers: u64,
    methods: u64,
}

/// A reference that is looked at.
struct Looked {
    work: Work,
    heads: BTreeSet<u64>,
    /// What was planned for each row; none where that stands.
    before: Vec<Option<RowPlan>>,
    /// Nobody has this reference at the provider.
    absent: bool,
    /// The customer is in the list that was read.
    listed: bool,
    /// A read failed, or was not made.
    unread: bool,
}

/// What is read for a reference next.
enum Read {
    Find(Reference),
    Get(RemoteCustomerId, Reference),
    Methods(RemoteCustomerId),
}

/// What was read.
enum Answer {
    Find(Found),
    Get(Found),
    Methods(Option<MethodRead>),
}

impl Read {
    async fn read(self, engine: &Engine, ctx: &CallCtx) -> Result<Answer, EngineError> {
        Ok(match self {
            Self::Find(reference) => Answer::Find(observe::find(engine, ctx, &reference).await?),
            Self::Get(id, reference) => {
                Answer::Get(observe::get(engine, ctx, &id, &reference).await?)
            }
            Self::Methods(id) => Answer::Methods(observe::methods_of(engine, ctx, &id).await?),
        })
    }
}

/// What was read of one page of references.
struct Reads {
    as_of: Timestamp,
    customers: Vec<RemoteCustomer>,
    methods: Vec<store::MethodList>,
}

impl Look<'_, '_> {
    fn gap(&mut self, what: &'static str, how_many: u64) {
        if how_many > 0 {
            *self.gaps.entry(what).or_default() += how_many;
        }
    }

    /// Reads the customer list into the mirror, up to so many pages.
    async fn list(&mut self, most: u64) -> Result<(), EngineError> {
        let (engine, ctx) = (self.applier.engine, self.applier.ctx.clone());
        let mut scan = Scan::begin(engine, &ctx, &self.applier.run.fence, false).await?;
        let read = self.pages(&mut scan, most).await;
        scan.end().await?;
        self.whole = matches!(read, Ok(true));
        match read {
            Err(EngineError::Backend(error)) if !error.is_account_fault() => {
                tracing::warn!(
                    account = engine.account.name.as_str(), run.id = %self.applier.run.id, %error,
                    "the customer list cannot be read to its end"
                );
                self.gap("customer list was not read to its end: a page could not be read", 1);
                Ok(())
            }
            read => read.map(drop),
        }
    }

    /// Whether the list was read to its end, and all of it could be read.
    async fn pages(&mut self, scan: &mut Scan<'_>, most: u64) -> Result<bool, EngineError> {
        let mut unreadable = 0;
        for _ in 0..most {
            let Some(page) = scan.next().await? else {
                self.gap("customers could not be read", unreadable);
                return Ok(unreadable == 0);
            };
            unreadable += page.unreadable + page.counts.overlapping;
            self.customers += page.counts.seen;
            self.retired.extend(page.retired);
            self.applier.engine.progress.at("customers read", self.customers, None);
        }
        self.gap("customer list was not read to its end: finding the rest takes no more calls", 1);
        Ok(false)
    }

    /// Looks at every reference that has an open row; how many rows rest on something that was not
    /// read.
    async fn references(&mut self, expected: &mut Expectations) -> Result<u64, EngineError> {
        let Applier { engine, run, .. } = self.applier;
        let (mut after, mut unverified, mut looked_at) = (0, 0, 0);
        loop {
            engine.stop.check()?;
            let page = engine
                .store
                .load_groups(&run.fence, &engine.account.name, after, Which::Open, GROUPS)
                .await?;
            if page.groups.is_empty() {
                return Ok(unverified);
            }
            after = page.upto;
            looked_at += page.groups.len() as u64;
            let mut all: Vec<Looked> =
                page.groups.into_iter().map(|group| self.looked(group)).collect();
            self.read_all(&mut all).await?;
            unverified += self.plan(all, expected).await?;
            engine.progress.at("references looked at", looked_at, None);
        }
    }

    fn looked(&self, mut group: Group) -> Looked {
        let heads = group.rows.iter().map(|row| row.head).collect();
        let rows = group.rows.iter_mut();
        let before = rows.map(|row| plan::take_plan(row, Which::Open)).collect();
        let seen = group.customers.iter().any(|customer| customer.as_of >= self.began);
        let retired = self.whole && self.retired.contains(group.reference.as_str());
        let mut work = self.applier.work(group);
        if retired && work.customer == CustomerNow::Absent {
            work.customer = retired_reference();
        }
        Looked { work, heads, before, absent: self.whole, listed: seen, unread: false }
    }

    /// Reads what applying would read, for all of them at once, until nothing more is wanted.
    async fn read_all(&mut self, all: &mut [Looked]) -> Result<(), EngineError> {
        let Applier { engine, ctx, .. } = self.applier;
        loop {
            let wanted = self.wanted(all);
            if wanted.is_empty() {
                return Ok(());
            }
            let as_of = engine.clock.now();
            let mut reads = Reads { as_of, customers: Vec::new(), methods: Vec::new() };
            let mut outstanding: BTreeSet<usize> = wanted.iter().map(|(place, _)| *place).collect();
            let mut answers = stream::iter(wanted)
                .map(|(place, read)| async move { (place, read.read(engine, ctx).await) })
                .buffer_unordered(engine.account.in_flight());
            let mut ended = Ok(());
            while ended.is_ok() && self.failures < AWAY {
                let Some((place, answer)) = answers.next().await else { break };
                outstanding.remove(&place);
                let Some(one) = all.get_mut(place) else { continue };
                ended = self.answer(one, answer, &mut reads);
                ended = ended.and_then(|()| engine.stop.check());
            }
            drop(answers);
            self.write(reads).await?;
            ended?;
            for place in outstanding {
                if let Some(one) = all.get_mut(place) {
                    one.unread = true;
                }
            }
        }
    }

    /// What is to be read for each of them next.
    fn wanted(&self, all: &mut [Looked]) -> Vec<(usize, Read)> {
        let find = self.applier.engine.account.capabilities().find;
        // Not being found by a search says nothing.
        let can_find = find == FindBy::UniqueReference;
        let mut wanted = Vec::new();
        self.applier.with_rules(|rules| {
            for (place, one) in all.iter_mut().enumerate().filter(|(_, one)| !one.unread) {
                // A step that is no read is for the plan: what asking for it left behind goes.
                let mut asked = one.work.clone();
                let reference = asked.reference.clone();
                let read = match (asked.next(rules, false), asked.customer_id()) {
                    (Step::Create { .. }, _) if !one.absent => {
                        one.unread = !can_find;
                        can_find.then_some(Read::Find(reference))
                    }
                    (Step::ReadCustomer, Some(id)) => Some(Read::Get(id, reference)),
                    (Step::ReadMethods, Some(id)) => Some(Read::Methods(id)),
                    _ => None,
                };
                if self.failures >= AWAY {
                    one.unread |= read.is_some();
                } else if let Some(read) = read {
                    one.work = asked;
                    wanted.push((place, read));
                }
            }
        });
        wanted
    }

    /// Takes one answer in.
    fn answer(
        &mut self,
        one: &mut Looked,
        answer: Result<Answer, EngineError>,
        reads: &mut Reads,
    ) -> Result<(), EngineError> {
        let answer = match answer {
            Err(EngineError::Backend(error)) if !error.is_account_fault() => {
                tracing::warn!(
                    account = self.applier.engine.account.name.as_str(), %error,
                    "a reference cannot be looked at"
                );
                self.failures += 1;
                self.gap("customers could not be looked at", 1);
                one.unread = true;
                return Ok(());
            }
            answer => answer?,
        };
        self.failures = 0;
        match answer {
            Answer::Find(Found::Customer(customer)) => {
                one.work.found((*customer).clone());
                reads.customers.push(*customer);
            }
            Answer::Get(Found::Customer(customer)) => {
                one.work.read(customer.profile.clone(), customer.metadata.clone());
                reads.customers.push(*customer);
            }
            Answer::Find(Found::Nobody) => one.absent = true,
            Answer::Find(Found::Retired) => one.work.customer = retired_reference(),
            Answer::Find(Found::Collision) => {
                one.work.customer = CustomerNow::Failed(Verdict::with(
                    Outcome::Refused,
                    Code::ReferenceCollision,
                    "the provider has a customer whose reference differs by case only",
                ));
            }
            Answer::Get(Found::Nobody | Found::Retired) | Answer::Methods(None) => {
                one.work.gone();
                one.absent = true;
            }
            Answer::Get(Found::Collision) => {
                let account = self.applier.engine.account.name.to_string();
                return Err(EngineError::FindNotHonoured { account });
            }
            Answer::Methods(Some(read)) => {
                self.gap("payment methods could not be read", read.unreadable);
                self.methods += read.list.methods.len() as u64;
                let seen = |method: &RemoteMethod| known(&read.list.customer, method);
                one.work.unreadable = read.unreadable > 0;
                let methods = read.list.methods.iter().map(seen);
                let as_of = read.list.as_of;
                let methods = methods.map(|method| KnownMethod { as_of, ..method }).collect();
                self.applier.with_rules(|rules| one.work.listed(methods, rules));
                reads.methods.push(read.list);
            }
        }
        Ok(())
    }

    /// Writes what was read to the mirror.
    async fn write(&mut self, reads: Reads) -> Result<(), EngineError> {
        let Applier { engine, run, .. } = self.applier;
        let account = engine.account.name.clone();
        let Reads { as_of, customers, methods } = reads;
        self.customers += customers.len() as u64;
        if !customers.is_empty() {
            let account = account.clone();
            let write =
                CustomersWrite { account, scan: None, as_of, customers, overlap: Overlap::Written };
            engine.store.apply_customers(&run.fence, write).await?;
        }
        if !methods.is_empty() {
            let write = MethodsWrite {
                account,
                lists: methods,
                absent: Vec::new(),
                overlap: Overlap::Written,
            };
            engine.store.apply_methods(&run.fence, write).await?;
        }
        Ok(())
    }

    /// Plans them on what was read; how many rows of them rest on something that was not: it could
    /// not be, or applying would not read it either.
    async fn plan(
        &self,
        all: Vec<Looked>,
        expected: &mut Expectations,
    ) -> Result<u64, EngineError> {
        let Applier { engine, run, .. } = self.applier;
        let mut unverified = 0;
        let mut changed = Vec::new();
        self.applier.with_rules(|rules| {
            for Looked { work, heads, before, listed, unread, .. } in all {
                if unread {
                    unverified += before.iter().flatten().count() as u64;
                    continue;
                }
                let open = work.rows.iter().zip(&before).filter(|(_, before)| before.is_some());
                let unseen = |(row, _): &(&Row, _)| !work.was_read(row, listed);
                unverified += open.filter(unseen).count() as u64;
                let Planned { rows, expected: now, .. } =
                    plan::plan_work(self.applier, rules, work, true);
                expected.replace(&heads, now);
                for (before, (_, now)) in before.into_iter().zip(rows) {
                    changed.extend(before.filter(|before| *before != now).map(|_| now));
                }
            }
        });
        if !changed.is_empty() {
            engine.store.commit_plan(&run.fence, changed).await?;
        }
        Ok(unverified)
    }
}

fn retired_reference() -> CustomerNow {
    CustomerNow::Failed(Verdict::with(
        Outcome::Refused,
        Code::ReferenceRetired,
        "the provider has a deleted customer of this reference",
    ))
}
