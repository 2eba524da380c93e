//! Reading a provider's customer list to its end while it shifts (rule 3).
//!
//! A customer that is made meanwhile pushes rows to the next page: they are seen twice, and written
//! once. One that is deleted pulls rows back: they may be missed. So what
//! a scan did not see is not gone: `Store::unseen_customers` names it, and each is read by its id.

mod pages;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use backend::{BackendError, CallCtx, ErrorKind, Page, RemoteCustomer};
use model::{RemoteCustomerId, RemoteStatus, Timestamp};
use store::{CustomersApplied, CustomersWrite, Fence, NewScan, Overlap, ScanState};

pub(crate) use self::pages::Pages;
use crate::{Engine, EngineError};

/// So often a page that brings nothing new is asked for again before the list is said to go round
/// in circles.
const AGAIN: u32 = 2;
/// Pages in a row that are not full and bring nothing new, and the list goes round in circles.
const IDLE: u32 = 8;
/// A second or third pass asks for this share of the rows of the pass before, so that its pages begin
/// elsewhere: 90 for 100.
const OTHER_SIZE: (u32, u32) = (9, 10);
/// Passes at most; a list that brings customers unseen in the last is incomplete.
const PASSES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// From the top to the end.
    Down,
    /// The top again, until a whole page is known.
    Top,
    /// With other page boundaries, to the end.
    Confirm,
    Over,
}

/// A page that was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) counts: CustomersApplied,
    /// Customers that this scan sees for the first time.
    fresh: u64,
    /// Customers that were on an earlier page as well: the list has shifted.
    pub(crate) slid: u64,
    /// References of customers that the provider shows as deleted.
    pub(crate) retired: Vec<String>,
    pub(crate) unreadable: u64,
    pub(crate) card_numbers: u64,
}

/// One reading of the customer list.
pub(crate) struct Scan<'a> {
    engine: &'a Engine,
    ctx: &'a CallCtx,
    fence: &'a Fence,
    /// The store's id of it.
    pub(crate) id: String,
    pages: Pages<'a>,
    phase: Phase,
    /// Hashes of the customers it has seen. Two of one hash are one in 10^19.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Whether a second pass is to confirm the first.
    confirm: bool,
    passes: u32,
    /// The first page's customers: what is new above them was made since.
    top: HashSet<RemoteCustomerId>,
    /// Whether this pass has met one of them.
    below: bool,
    /// Customers that this pass was the first to see, above them and below.
    above: u64,
    missed: u64,
    /// Pages that were read to see how far the head has moved.
    aside: Vec<Written>,
    confirmed: bool,
    /// The provider's own count, as the last page stated it.
    total: Option<u64>,
    /// Rows that could not be read: they are there all the same.
    unreadable: u64,
    /// Rows of the first pass that an earlier page of it had.
    known: u64,
    /// How often the same page was asked for again.
    tries: u32,
    idle: u32,
    asked: u32,
    /// What a page has.
    size: u32,
}

impl<'a> Scan<'a> {
    /// Begins to read; with `confirm`, until a pass with other page boundaries brings nothing new.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn begin(
        engine: &'a Engine,
        ctx: &'a CallCtx,
        fence: &'a Fence,
        confirm: bool,
    ) -> Result<Self, EngineError> {
        let asked = engine.account.capabilities().customers_page;
        let account = engine.account.name.clone();
        let config = engine.config_hash.clone();
        let new = NewScan { account, pass: 1, page_size: asked, top: false, config };
        let id = engine.store.begin_scan(fence, &new).await?;
        Ok(Self {
            engine,
            ctx,
            fence,
            id,
            pages: Pages::new(engine, ctx, asked),
            phase: Phase::Down,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            confirm,
            passes: 1,
            top: HashSet::new(),
            below: false,
            above: 0,
            missed: 0,
            aside: Vec::new(),
            confirmed: false,
            total: None,
            unreadable: 0,
            known: 0,
            tries: 0,
            idle: 0,
            asked,
            size: asked,
        })
    }

    /// Whether a pass with other page boundaries brought nothing new.
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Rows a page, where the provider gives fewer than were asked for.
    pub(crate) fn fewer(&self) -> Option<(u32, u32)> {
        (self.size < self.asked).then_some((self.size, self.asked))
    }

    /// Reads and writes the next page; `None` when the list was read to its end.
    ///
    /// # Errors
    /// When the provider or the store cannot be reached, on a wish to stop, and when the list goes
    /// round in circles.
    pub(crate) async fn next(&mut self) -> Result<Option<Written>, EngineError> {
        loop {
            if let Some(aside) = self.aside.pop() {
                return Ok(Some(aside));
            }
            if self.phase == Phase::Over {
                return Ok(None);
            }
            self.engine.stop.check()?;
            let page = self.pages.next().await?;
            self.total = self.pages.total().or(self.total);
            let Some(page) = page else {
                self.turn()?;
                continue;
            };
            let (full, readable) =
                (page.received >= u64::from(self.pages.size()), page.items.len());
            if self.phase == Phase::Down && self.top.is_empty() {
                self.top = page.items.iter().map(|customer| customer.id.clone()).collect();
            }
            if self.phase == Phase::Confirm {
                return self.compare(page).await.map(Some);
            }
            let written = self.write(page).await?;
            // A page on which nobody can be read says nothing of the list.
            let known = written.fresh == 0 && readable > 0;
            match self.phase {
                Phase::Down if known => self.is_known(readable as u64, full).await?,
                Phase::Down => {
                    self.known += written.slid;
                    (self.tries, self.idle) = (0, 0);
                }
                Phase::Top if known => self.turn()?,
                Phase::Top | Phase::Confirm | Phase::Over => {}
            }
            return Ok(Some(written));
        }
    }

    /// Takes a page of a confirming pass: what is new above the first page's customers was made
    /// since, what is new below them was missed.
    async fn compare(&mut self, mut page: Page<RemoteCustomer>) -> Result<Written, EngineError> {
        let met = page.items.iter().position(|customer| self.top.contains(&customer.id));
        if let Some(at) = met.filter(|at| *at > 0 && !self.below) {
            let above = Page { items: page.items.drain(..at).collect(), ..page.clone() };
            let above = self.write(above).await?;
            self.above += above.fresh;
            page.unreadable.clear();
            page.card_numbers_at.clear();
            self.aside.push(above);
        }
        self.below |= met.is_some();
        let written = self.write(page).await?;
        *(if self.below { &mut self.missed } else { &mut self.above }) += written.fresh;
        Ok(written)
    }

    /// A pass has come to its end.
    fn turn(&mut self) -> Result<(), EngineError> {
        let size = self.pages.size();
        if !self.below {
            // Nobody of the first page is there any more: where its top was cannot be told.
            self.missed += self.above;
        }
        match self.phase {
            Phase::Down => {
                self.size = size;
                self.pages = Pages::new(self.engine, self.ctx, size);
                self.phase = Phase::Top;
            }
            Phase::Top if self.is_counted() => (self.confirmed, self.phase) = (true, Phase::Over),
            Phase::Top if self.confirm || self.total.is_some() => self.pass_again(size),
            Phase::Confirm if self.is_counted() => {
                (self.confirmed, self.phase) = (true, Phase::Over);
            }
            Phase::Confirm if self.total.is_some() && self.passes < PASSES => {
                self.pass_again(size);
            }
            Phase::Confirm if let Some(total) = self.total => {
                let seen = self.seen.len() as u64 + self.unreadable;
                return Err(circles(&format!("it shows {seen} customers and counts {total}")));
            }
            Phase::Confirm if self.missed > 0 && self.passes < PASSES => self.pass_again(size),
            Phase::Confirm if self.missed > 0 => {
                return Err(circles("page after page brings customers that were not seen before"));
            }
            Phase::Top | Phase::Confirm | Phase::Over => {
                self.confirmed = self.phase == Phase::Confirm;
                self.phase = Phase::Over;
            }
        }
        Ok(())
    }

    /// Whether as many customers were seen as the provider counts: nothing can have been missed.
    fn is_counted(&self) -> bool {
        self.total.is_some_and(|total| self.seen.len() as u64 + self.unreadable >= total)
    }

    fn pass_again(&mut self, size: u32) {
        let other = (size * OTHER_SIZE.0 / OTHER_SIZE.1).max(1);
        self.pages = Pages::new(self.engine, self.ctx, other);
        self.phase = Phase::Confirm;
        self.passes += 1;
        self.below = false;
        (self.above, self.missed) = (0, 0);
    }

    /// A page brought nothing new. Either the head of the list has moved by as many rows as were met
    /// twice, or the page is not the one that was asked for: it is asked for again. One that is not
    /// full may be what was pushed over the end.
    async fn is_known(&mut self, rows: u64, full: bool) -> Result<(), EngineError> {
        self.idle += 1;
        if !full && self.idle < IDLE {
            return Ok(());
        }
        self.known += rows;
        if self.head_moved().await? >= self.known {
            return Ok(());
        }
        if self.tries == AGAIN {
            return Err(circles("page after page brings no new customer"));
        }
        self.tries += 1;
        self.known -= rows;
        self.pages.again();
        Ok(())
    }

    /// By how many rows the head of the list has moved since the first page was read.
    async fn head_moved(&mut self) -> Result<u64, EngineError> {
        let mut pages = Pages::new(self.engine, self.ctx, self.pages.size());
        let mut moved = 0;
        while let Some(page) = pages.next().await? {
            self.engine.stop.check()?;
            let at = page.items.iter().position(|customer| self.top.contains(&customer.id));
            let rows = at.map_or(page.received, |at| at as u64);
            let written = self.write(page).await?;
            let counted = Written { slid: 0, unreadable: 0, card_numbers: 0, ..written };
            self.aside.push(counted);
            moved += rows;
            if at.is_some() || moved >= self.known {
                break;
            }
        }
        Ok(moved)
    }

    async fn write(&mut self, page: Page<RemoteCustomer>) -> Result<Written, EngineError> {
        let deleted = page.items.iter().filter(|one| one.status == RemoteStatus::Deleted);
        let retired = deleted.filter_map(|customer| customer.reference.clone()).collect();
        let as_of = page.as_of;
        // What is read again was counted when it was read first.
        let first = self.phase == Phase::Down && self.tries == 0;
        let count = |rows: usize| if first { rows as u64 } else { 0 };
        let (unreadable, card_numbers) =
            (count(page.unreadable.len()), count(page.card_numbers_at.len()));
        self.unreadable += unreadable;
        let rows = page.items.len();
        let mut customers = page.items;
        customers.retain(|customer| self.seen.insert(self.hasher.hash_one(customer.id.as_str())));
        let fresh = customers.len() as u64;
        let slid = count(rows).saturating_sub(fresh);
        let counts = if customers.is_empty() {
            CustomersApplied::default()
        } else {
            let write = CustomersWrite {
                account: self.engine.account.name.clone(),
                scan: Some(self.id.clone()),
                as_of,
                customers,
                overlap: Overlap::Dropped(self.engine.account.timing.quarantine),
            };
            self.engine.store.apply_customers(self.fence, write).await?
        };
        Ok(Written { counts, fresh, slid, retired, unreadable, card_numbers })
    }

    /// Writes down how the reading ended.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn end(&self) -> Result<(), EngineError> {
        let state = match (self.phase, self.confirmed) {
            (Phase::Over, true) if self.unreadable == 0 => ScanState::Complete,
            (Phase::Over, _) => ScanState::Unconfirmed,
            (Phase::Down | Phase::Top | Phase::Confirm, _) => ScanState::Incomplete,
        };
        Ok(self.engine.store.end_scan(self.fence, &self.id, state).await?)
    }
}

fn circles(why: &str) -> EngineError {
    let message = format!("the list repeats itself: {why}");
    BackendError::new(ErrorKind::Malformed, "list customers", message).into()
}

/// Our clock and the database's may differ by so much: what was first seen so long before a moment
/// was there before it.
pub(crate) const APART: Duration = Duration::from_secs(60);

/// Reads the list from its top into the mirror, until a whole page was shown by the last complete
/// reading. What is only known since, by an answer to a create or by a reading that was broken off,
/// does not end it: somebody unknown may come behind that.
///
/// # Errors
/// When the provider or the store cannot be reached, when a customer cannot be read, and on a wish to
/// stop.
pub(crate) async fn head(engine: &Engine, ctx: &CallCtx, fence: &Fence) -> Result<(), EngineError> {
    let account = engine.account.name.clone();
    let page_size = engine.account.capabilities().customers_page;
    let config = engine.config_hash.clone();
    let new = NewScan { account, pass: 1, page_size, top: true, config };
    let scan = engine.store.begin_scan(fence, &new).await?;
    let read = top(engine, ctx, fence, Some(&scan), Until::Listed).await;
    let state = if read.is_ok() { ScanState::Complete } else { ScanState::Incomplete };
    engine.store.end_scan(fence, &scan, state).await?;
    read
}

/// Reads the list from its top into the mirror, until every customer of a page was known before then.
///
/// # Errors
/// As [`head`].
pub(crate) async fn since(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
    then: Timestamp,
) -> Result<(), EngineError> {
    top(engine, ctx, fence, None, Until::KnownBefore(then.minus(APART))).await
}

/// How far the top of a list is read: down to a page of customers that were all …
#[derive(Debug, Clone, Copy)]
enum Until {
    /// shown by the last complete reading.
    Listed,
    /// known before then.
    KnownBefore(Timestamp),
}

async fn top(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
    scan: Option<&str>,
    until: Until,
) -> Result<(), EngineError> {
    let account = &engine.account.name;
    let mut pages = Pages::new(engine, ctx, engine.account.capabilities().customers_page);
    while let Some(page) = pages.next().await? {
        engine.stop.check()?;
        if !page.unreadable.is_empty() {
            let why = "a customer at the top of the list cannot be read";
            return Err(BackendError::new(ErrorKind::Malformed, "list customers", why).into());
        }
        let ids: Vec<RemoteCustomerId> = page.items.iter().map(|one| one.id.clone()).collect();
        let known = match until {
            Until::Listed => engine.store.listed(account, &ids).await?,
            Until::KnownBefore(then) => engine.store.known_before(account, &ids, then).await?,
        };
        let write = CustomersWrite {
            account: account.clone(),
            scan: scan.map(str::to_owned),
            as_of: page.as_of,
            customers: page.items,
            overlap: Overlap::Written,
        };
        engine.store.apply_customers(fence, write).await?;
        if !ids.is_empty() && known.len() == ids.len() {
            break;
        }
    }
    Ok(())
}
