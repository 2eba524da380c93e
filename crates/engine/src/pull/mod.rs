//! `onfile pull`: a provider into the store.
//!
//! Four steps, each of which leaves in the store what the next one asks for, so that a pull that was
//! stopped goes on with what it has not read: the customer list (`scan`); the customers that it did
//! not show, each by its id (`gone`); payment methods (`methods`); those that their customer's list
//! did not show, by a second list (`gone`).

mod gone;
mod methods;

use self::gone::Gone;

use std::collections::BTreeMap;

use backend::{CallCtx, Lane, ListOrder, MethodListing};
use model::{Counts, Coverage, RunId, Timestamp, Unread};
use serde::{Deserialize, Serialize};
use store::{CustomersApplied, MethodCounts, NewRun, Overlap, RunRecord};

use crate::forecast::Counted;
use crate::import::Ended;
use crate::observe::{self, Brake, Brakes, Reader};
use crate::run::{ActiveRun, Findings, Rest};
use crate::scan::Scan;
use crate::{Engine, EngineError};

pub(crate) const JOB: &str = "pull";
const CARD_NUMBERS: &str = "values held a card number and were dropped";

/// How a pull is made.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// Whether the customer list is read a second time, with other page boundaries, to confirm that
    /// nothing was missed.
    pub confirm: bool,
    /// Why: `person`, `schedule NAME`.
    pub cause: String,
}

/// The options as the run keeps them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Args {
    confirm: bool,
    /// Whether a person has approved that what is gone is marked, however much it is.
    approved: bool,
}

impl Args {
    fn text(&self) -> Result<String, EngineError> {
        serde_json::to_string(self).map_err(|_| EngineError::Broken("options are always JSON"))
    }
}

/// Pulls an account into the store: its customers, then their payment methods.
///
/// # Errors
/// When the run could not be begun. A run that began and failed is an [`Ended`] with its error.
pub async fn pull(engine: &Engine, options: &PullOptions) -> Result<Ended, EngineError> {
    let args = Args { confirm: options.confirm, approved: false };
    let new = NewRun {
        id: RunId::generate(),
        job: JOB.into(),
        account: engine.account.name.clone(),
        cause: options.cause.clone(),
        writing: false,
        args: args.text()?,
        input_name: None,
        input_hash: None,
        config_hash: None,
        parts: 1,
    };
    let since = engine.clock.now();
    let run = ActiveRun::begin(engine, JOB, new).await?;
    carry_out(engine, run, &args, since, false).await
}

/// Goes on where it stopped: the list is read anew, and the payment methods that were read are not.
pub(crate) async fn resume(engine: &Engine, record: &RunRecord) -> Result<Ended, EngineError> {
    again(engine, record, &args_of(record), &Rest::PAUSE).await
}

/// Goes on without the brake. Each customer and payment method is proven gone once more.
pub(crate) async fn approve(engine: &Engine, record: &RunRecord) -> Result<Ended, EngineError> {
    let args = Args { approved: true, ..args_of(record) };
    again(engine, record, &args, &Rest::APPROVAL).await
}

fn args_of(record: &RunRecord) -> Args {
    serde_json::from_str(&record.args).unwrap_or_default()
}

async fn again(
    engine: &Engine,
    record: &RunRecord,
    args: &Args,
    rest: &Rest,
) -> Result<Ended, EngineError> {
    let run = ActiveRun::take_up(engine, JOB, record, rest, &args.text()?).await?;
    carry_out(engine, run, args, record.created_at, true).await
}

async fn carry_out(
    engine: &Engine,
    run: ActiveRun,
    args: &Args,
    since: Timestamp,
    goes_on: bool,
) -> Result<Ended, EngineError> {
    let before = run.before.clone().unwrap_or_default();
    let (customers, methods) =
        (before.customers.unwrap_or_default(), before.methods.unwrap_or_default());
    let brakes = match args.approved {
        true => Brakes { customers: Brake::lifted(), methods: Brake::lifted() },
        false => Brakes::of(engine, goes_on.then_some(since)).await?,
    };
    let mut puller = Puller {
        engine,
        run: &run,
        ctx: CallCtx::for_run(Lane::Scheduled, &run.id),
        since,
        // What is seen again was counted as seen already.
        customers: Counts { seen: 0, unchanged: 0, ..customers },
        methods,
        coverage: Coverage::default(),
        // Payment methods that were read since it began are not read again, by whatever run.
        as_of: goes_on.then_some(since),
        gaps: BTreeMap::new(),
        moved: 0,
        slid: 0,
        gone: Vec::new(),
        brakes,
    };
    let mut error = puller.work(args.confirm).await.err();
    if let Some(error) = error.as_ref().filter(|_| puller.coverage.complete) {
        puller.coverage.complete = false;
        puller.coverage.gaps.push(format!("what was left when it ended: {error}"));
    }
    if before.customers.is_some() {
        // Seen again, what this run has made or changed is not what was there before.
        let counts = &mut puller.customers;
        counts.unchanged = counts.seen.saturating_sub(counts.created + counts.updated);
    }
    let brakes = puller.brakes;
    if error.is_none() && brakes.finding().is_some() {
        let (customers, methods) = (brakes.customers.over, brakes.methods.over);
        error = Some(EngineError::MassRemoval { customers, methods });
    }
    let mut findings: BTreeMap<String, u64> = brakes.finding().into_iter().collect();
    if puller.coverage.complete {
        let matching = engine.store.matching(&engine.account.name, 1).await?;
        findings
            .extend(matching.into_iter().map(|one| (one.category.as_str().to_owned(), one.count)));
    }
    let found = Findings {
        customers: Some(puller.customers),
        methods: Some(puller.methods),
        coverage: Some(puller.covered().await?),
        findings,
        ..Findings::default()
    };
    let summary = run.end(engine, found, error.as_ref()).await?;
    Ok(Ended { summary, error })
}

struct Puller<'a> {
    engine: &'a Engine,
    run: &'a ActiveRun,
    ctx: CallCtx,
    /// When the run began: what was read since is read.
    since: Timestamp,
    customers: Counts,
    methods: Counts,
    coverage: Coverage,
    as_of: Option<Timestamp>,
    gaps: BTreeMap<&'static str, u64>,
    /// Customers that were met on a second page.
    moved: u64,
    /// Customers that were on no page, and are there.
    slid: u64,
    /// Proven gone, and not marked yet.
    gone: Vec<Gone>,
    brakes: Brakes,
}

impl Puller<'_> {
    fn reader(&self) -> Reader<'_> {
        Reader {
            engine: self.engine,
            ctx: &self.ctx,
            fence: &self.run.fence,
            overlap: Overlap::Dropped(self.engine.account.timing.quarantine),
        }
    }

    async fn work(&mut self, confirm: bool) -> Result<(), EngineError> {
        observe::same_account(self.engine, &self.ctx).await?;
        self.forecast(confirm).await?;
        let began = self.engine.clock.now();
        let scan = self.read_list(confirm).await?;
        self.read_unseen(&scan).await?;
        if self.engine.account.capabilities().methods == MethodListing::PerCustomer {
            self.read_methods(&scan, began).await?;
        }
        self.ends_early();
        self.mark_gone().await?;
        self.read_unlisted().await
    }

    /// One who is deleted while a list is read pulls one other back, past a page: a list that did not
    /// show many more has ended early, and may lack new customers as well.
    fn ends_early(&mut self) {
        let gone: u64 = self.gone.iter().map(Gone::many).sum();
        let page = u64::from(self.engine.account.capabilities().customers_page);
        if self.slid > gone + page {
            self.coverage.complete = false;
            self.gap(
                "customers are there that the list did not show: new ones may be missing",
                self.slid,
            );
        }
    }

    /// Says what the mirror lets expect.
    async fn forecast(&self, confirm: bool) -> Result<(), EngineError> {
        let account = &self.engine.account;
        let capabilities = account.capabilities();
        let live = self.engine.store.mirror_stats(&account.name).await?.customers;
        if live == 0 {
            return Ok(());
        }
        // An empty page ends the list, and its top is read again.
        let passes = if confirm { 2 } else { 1 };
        let pages = passes * (live.div_ceil(u64::from(capabilities.customers_page)) + 1) + 1;
        let mut calls = Counted::default();
        let endpoints = &capabilities.endpoints;
        calls.add(Some(endpoints.list_customers), pages, pages);
        calls.add(endpoints.get_customer, 1, 1);
        let (least, most) = self.due(pages).await?;
        // Where they come in pages, one that holds any is not the last.
        let most = if capabilities.methods_page.is_some() { 2 * most } else { most };
        calls.add(endpoints.list_methods, least, most);
        let forecast = calls.forecast(endpoints, account.limits());
        self.engine.progress.forecast(&account.name, &forecast);
        Ok(())
    }

    /// Reads the customer list; the store's id of the scan.
    async fn read_list(&mut self, confirm: bool) -> Result<String, EngineError> {
        let (engine, run, ctx) = (self.engine, self.run, self.ctx.clone());
        self.as_of.get_or_insert(engine.clock.now());
        let mut scan = Scan::begin(engine, &ctx, &run.fence, confirm).await?;
        let read = self.read_pages(&mut scan).await;
        scan.end().await?;
        self.coverage.complete = read.is_ok();
        self.coverage.confirmed = scan.is_confirmed();
        if let Some((gives, asked)) = scan.fewer() {
            self.coverage.notes.push(format!(
                "the provider gives {gives} customers a page where {asked} are asked for"
            ));
        }
        if let Err(error) = &read {
            let why = format!("the customer list was not read to its end: {error}");
            self.coverage.gaps.push(why);
        }
        read.map(|()| scan.id)
    }

    async fn read_pages(&mut self, scan: &mut Scan<'_>) -> Result<(), EngineError> {
        while let Some(page) = scan.next().await? {
            self.gap("customers could not be read", page.unreadable);
            self.gap(CARD_NUMBERS, page.card_numbers);
            self.moved += page.slid;
            self.take(&page.counts);
            self.engine.progress.at("customers read", self.customers.seen, None);
        }
        Ok(())
    }

    /// Counts customers that were written.
    fn take(&mut self, applied: &CustomersApplied) {
        self.customers.seen += applied.seen;
        self.customers.created += applied.created;
        self.customers.updated += applied.updated - applied.removed;
        self.customers.unchanged += applied.unchanged;
        self.customers.removed += applied.removed;
        self.methods.removed += applied.methods_removed;
        self.add_methods(applied.methods);
    }

    fn add_methods(&mut self, counts: MethodCounts) {
        self.methods.seen += counts.seen;
        self.methods.created += counts.created;
        self.methods.updated += counts.updated;
        self.methods.unchanged += counts.unchanged;
    }

    fn gap(&mut self, what: &'static str, how_many: u64) {
        if how_many > 0 {
            *self.gaps.entry(what).or_default() += how_many;
        }
    }

    /// What was read, and what was not.
    async fn covered(&self) -> Result<Coverage, EngineError> {
        let mut coverage = self.coverage.clone();
        coverage.gaps.extend(self.gaps.iter().map(|(what, count)| format!("{count} {what}")));
        coverage.as_of = self.as_of.map(|at| at.to_string());
        coverage.customers_read = self.customers.seen;
        coverage.methods_read = self.methods.seen;
        let account = &self.engine.account;
        if account.capabilities().customers_order == ListOrder::Unspecified {
            let note = "the provider does not state the order of its customer list";
            coverage.notes.push(note.into());
        }
        if self.moved > 0 {
            let moved = self.moved;
            coverage.notes.push(format!(
                "the list shifted while it was read: {moved} customers were met on a second page"
            ));
        }
        if self.slid > 0 {
            coverage.notes.push(format!("{} customers were on no page, and are there", self.slid));
        }
        if self.reads_some() && coverage.complete {
            let unread = self.engine.store.methods_unread(&account.name, self.since).await?;
            coverage.methods_unread = Some(Unread {
                customers: unread.customers,
                of: self.engine.store.mirror_stats(&account.name).await?.customers,
                oldest: unread.oldest.filter(|_| unread.never == 0).map(|at| at.to_string()),
            })
            .filter(|unread| unread.customers > 0);
        }
        Ok(coverage)
    }
}
