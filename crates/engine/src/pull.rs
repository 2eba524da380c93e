//! `onfile pull`: a provider into the store.

use std::collections::{BTreeMap, HashSet};

use backend::{BackendError, CallCtx, ErrorKind, Lane, MethodListing, Page, RemoteCustomer};
use futures::{StreamExt, stream};
use model::{Counts, Coverage, RemoteCustomerId, RemoteMethodId, RunId, Timestamp};
use store::{CustomersWrite, MethodCounts, MethodsWrite, NewRun, NewScan, ScanState};

use crate::import::Ended;
use crate::observe::{self, CustomerPages};
use crate::run::{ActiveRun, Findings};
use crate::{Engine, EngineError};

/// Pages read at once.
const AHEAD: usize = 4;
/// Method lists written in one transaction.
const LISTS: usize = 500;
/// This many pages in a row that bring no new customer, and the list goes round in circles.
const KNOWN_PAGES: u32 = 8;
/// More customers than this whose methods cannot be read, and the pull fails.
const UNREAD_CUSTOMERS: u64 = 100;

/// Pulls an account into the store: its customers, then their payment methods.
///
/// # Errors
/// When the run could not be begun. A run that began and failed is an [`Ended`] with its error.
pub async fn pull(engine: &Engine, cause: &str) -> Result<Ended, EngineError> {
    let new = NewRun {
        id: RunId::generate(),
        job: "pull".into(),
        account: engine.account.name.clone(),
        cause: cause.to_owned(),
        writing: false,
        args: "{}".into(),
        input_name: None,
        input_hash: None,
        config_hash: None,
        parts: 1,
    };
    let run = ActiveRun::begin(engine, "pull", new).await?;
    let mut puller = Puller {
        engine,
        run: &run,
        ctx: CallCtx::for_run(Lane::Scheduled, &run.id),
        seen: HashSet::new(),
        customers: Counts::default(),
        methods: Counts::default(),
        coverage: Coverage::default(),
        as_of: None,
        gaps: BTreeMap::new(),
        unread: 0,
    };
    let error = puller.scan().await.err();
    let mut coverage = puller.coverage;
    coverage.gaps.extend(puller.gaps.iter().map(|(what, count)| format!("{count} {what}")));
    coverage.as_of = puller.as_of.map(|at| at.to_string());
    coverage.customers_read = puller.customers.seen;
    coverage.methods_read = puller.methods.seen;
    let found = Findings {
        customers: Some(puller.customers),
        methods: Some(puller.methods),
        coverage: Some(coverage),
        ..Findings::default()
    };
    let summary = run.end(engine, found, error.as_ref()).await?;
    Ok(Ended { summary, error })
}

struct Puller<'a> {
    engine: &'a Engine,
    run: &'a ActiveRun,
    ctx: CallCtx,
    /// Every customer this scan has seen: a row that slid to a later page is dropped.
    seen: HashSet<RemoteCustomerId>,
    customers: Counts,
    methods: Counts,
    coverage: Coverage,
    as_of: Option<Timestamp>,
    gaps: BTreeMap<&'static str, u64>,
    /// Customers whose methods could not be read.
    unread: u64,
}

const CARD_NUMBERS: &str = "values held a card number and were dropped";

impl Puller<'_> {
    async fn scan(&mut self) -> Result<(), EngineError> {
        observe::same_account(self.engine, &self.ctx).await?;
        let size = self.engine.account.capabilities().customers_page;
        let new = NewScan { account: self.engine.account.name.clone(), pass: 1, page_size: size };
        let scan = self.engine.store.begin_scan(&self.run.fence, &new).await?;
        let read = self.read(&scan, size).await;
        let state = match &read {
            Ok(()) => ScanState::Unconfirmed,
            Err(error) => {
                self.coverage
                    .gaps
                    .push(format!("the customer list was not read to its end: {error}"));
                ScanState::Incomplete
            }
        };
        self.coverage.complete = read.is_ok();
        self.engine.store.end_scan(&self.run.fence, &scan, state).await?;
        read
    }

    /// The list to its end; then its top again, until a whole page is known (rule 3).
    async fn read(&mut self, scan: &str, size: u32) -> Result<(), EngineError> {
        let mut pages = CustomerPages::new(size, AHEAD);
        let mut known = 0;
        while let Some(page) = pages.next(self.engine, &self.ctx).await? {
            known = if self.take(scan, page).await? == 0 { known + 1 } else { 0 };
            if known == KNOWN_PAGES {
                return Err(EngineError::Backend(BackendError::new(
                    ErrorKind::Malformed,
                    "list customers",
                    "the list repeats itself: page after page brings no new customer",
                )));
            }
        }
        let mut top = CustomerPages::new(size, 1);
        while let Some(page) = top.next(self.engine, &self.ctx).await? {
            if self.take(scan, page).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Writes a page and reads its customers' methods; how many of its customers were new to
    /// this scan.
    async fn take(&mut self, scan: &str, page: Page<RemoteCustomer>) -> Result<usize, EngineError> {
        self.engine.stop.check()?;
        self.as_of = Some(self.as_of.map_or(page.as_of, |first| first.min(page.as_of)));
        self.gap("customers could not be read", page.unreadable.len() as u64);
        self.gap(CARD_NUMBERS, page.card_numbers_at.len() as u64);
        let fresh: Vec<RemoteCustomer> =
            page.items.into_iter().filter(|c| self.seen.insert(c.id.clone())).collect();
        let new = fresh.len();
        if new == 0 {
            return Ok(0);
        }
        let ids: Vec<RemoteCustomerId> = fresh
            .iter()
            .filter(|c| c.status == model::RemoteStatus::Live)
            .map(|c| c.id.clone())
            .collect();
        let applied = self
            .engine
            .store
            .apply_customers(
                &self.run.fence,
                CustomersWrite {
                    account: self.engine.account.name.clone(),
                    scan: Some(scan.to_owned()),
                    as_of: page.as_of,
                    customers: fresh,
                    checkpoint: page.next.map(|cursor| match cursor {
                        backend::Cursor::Offset(offset) => offset.to_string(),
                        backend::Cursor::Link(_) => "link".to_owned(),
                    }),
                },
            )
            .await?;
        self.customers.seen += applied.seen;
        self.customers.created += applied.created;
        self.customers.updated += applied.updated;
        self.customers.unchanged += applied.unchanged;
        self.add_methods(applied.methods);
        if self.engine.account.capabilities().methods == MethodListing::PerCustomer {
            self.read_methods(ids).await?;
        }
        self.engine.progress.at("customers read", self.customers.seen, None);
        Ok(new)
    }

    async fn read_methods(&mut self, ids: Vec<RemoteCustomerId>) -> Result<(), EngineError> {
        let (engine, ctx) = (self.engine, self.ctx.clone());
        let ctx = &ctx;
        let mut reads = stream::iter(ids)
            .map(|id| async move { (observe::methods_of(engine, ctx, &id).await, id) })
            .buffer_unordered(engine.account.in_flight())
            .ready_chunks(LISTS);
        let mut missing = Vec::new();
        while let Some(chunk) = reads.next().await {
            let mut lists = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for (read, id) in chunk {
                match read {
                    Ok(Some(read)) => {
                        self.gap("payment methods could not be read", read.unreadable);
                        self.gap(CARD_NUMBERS, read.card_numbers);
                        lists.push(read.list);
                    }
                    Ok(None) => self.gap("customers were gone when their methods were read", 1),
                    // One customer that cannot be read is a gap; a provider that is away is not.
                    Err(error) if !error.is_account_fault() && !error.kind.read_is_retryable() => {
                        tracing::warn!(
                            account = engine.account.name.as_str(),
                            customer = id.as_str(),
                            %error,
                            "payment methods cannot be read"
                        );
                        self.gap("customers' payment methods could not be read", 1);
                        self.unread += 1;
                        if self.unread > UNREAD_CUSTOMERS {
                            failed.get_or_insert(error);
                        }
                    }
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            let account = engine.account.name.clone();
            let write = MethodsWrite { account, lists, second: false };
            let applied = engine.store.apply_methods(&self.run.fence, write).await?;
            self.add_methods(applied.counts);
            if let Some(error) = failed {
                return Err(error.into());
            }
            missing.extend(applied.missing);
        }
        drop(reads);
        // Only now: reads that wait their turn hold permits.
        self.prove_removed(&missing).await
    }

    /// Marks what is gone, as far as that is proven; the rest is a gap.
    async fn prove_removed(
        &mut self,
        missing: &[(RemoteCustomerId, RemoteMethodId)],
    ) -> Result<(), EngineError> {
        let before = self.methods.removed;
        let fence = &self.run.fence;
        let removed =
            observe::prove_removed(self.engine, &self.ctx, fence, missing, before).await?;
        self.methods.removed += removed;
        self.gap(
            "payment methods were not listed any more; their removal is not proven",
            (missing.len() as u64).saturating_sub(removed),
        );
        Ok(())
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
}
