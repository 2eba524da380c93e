//! Reading a provider's customer list while it shifts (rule 3): whoever reads it does it here.
//!
//! [`List`] is one reading from the top, as deep as is asked for; [`Scan`] reads to the end, again where it
//! must, and writes what it reads; [`head`] and [`since`] read the top.
//!
//! A customer that is deleted meanwhile pulls rows back: they may be missed. So what a scan did not see
//! is not gone: `Store::unseen_customers` names it, and each is read by its id.

mod list;
mod pages;

use backend::{BackendError, CallCtx, Capabilities, ErrorKind, ListOrder, Page, RemoteCustomer};
use model::Timestamp;
use store::{APART, CustomersApplied, CustomersWrite, Fence, NewScan, Overlap, ScanState};

use self::list::circles;
pub(crate) use self::list::{Depth, List, Shown};
use self::pages::Pages;
use crate::{Engine, EngineError};

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

/// What a pass asks for so that its pages begin elsewhere than those of the pass before: nine tenths of the
/// rows that the provider gave then, 90 for 100.
pub(crate) fn other_size(given: u32) -> u32 {
    (given * 9 / 10).max(1)
}

/// One reading of the customer list.
pub(crate) struct Scan<'a> {
    engine: &'a Engine,
    fence: &'a Fence,
    /// The store's id of it.
    pub(crate) id: String,
    list: List<'a>,
    phase: Phase,
    /// Whether a second pass is to confirm the first.
    confirm: bool,
    passes: u32,
    /// Whether this pass has met one of the first page's customers: what is new above them was made
    /// since.
    below: bool,
    /// Customers that this pass was the first to see, above them and below.
    above: u64,
    missed: u64,
    /// The rest of a page that was written in two.
    aside: Option<Written>,
    confirmed: bool,
    /// The provider's own count, the greatest of this pass.
    total: Option<u64>,
    /// Rows that could not be read, in the pass that met most of them: they are there all the same.
    unreadable: u64,
    /// Those of this pass.
    unread: u64,
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
            fence,
            id,
            list: List::new(engine, ctx, asked, Depth::End),
            phase: Phase::Down,
            confirm,
            passes: 1,
            below: false,
            above: 0,
            missed: 0,
            aside: None,
            confirmed: false,
            total: None,
            unreadable: 0,
            unread: 0,
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
            if let Some(aside) = self.aside.take() {
                return Ok(Some(aside));
            }
            if self.phase == Phase::Over {
                return Ok(None);
            }
            let written = match self.phase {
                Phase::Down => match self.list.next().await? {
                    Some(shown) => Some(self.write(shown).await?),
                    None => None,
                },
                Phase::Top | Phase::Confirm | Phase::Over => match self.list.page().await? {
                    Some(page) if self.phase == Phase::Confirm => Some(self.compare(page).await?),
                    Some(page) => Some(self.top(page).await?),
                    None => None,
                },
            };
            self.total = self.list.total().or(self.total);
            if written.is_some() {
                return Ok(written);
            }
            self.turn()?;
        }
    }

    /// Takes a page of the top: once one is wholly known, nobody new is above.
    async fn top(&mut self, page: Page<RemoteCustomer>) -> Result<Written, EngineError> {
        let readable = !page.items.is_empty();
        let shown = self.list.take(page);
        let written = self.write(shown).await?;
        if readable && written.fresh == 0 {
            self.turn()?;
        }
        Ok(written)
    }

    /// Takes a page of a confirming pass: what is new above the first page's customers was made
    /// since, what is new below them was missed.
    async fn compare(&mut self, mut page: Page<RemoteCustomer>) -> Result<Written, EngineError> {
        let met = page.items.iter().position(|customer| self.list.began_with(customer));
        if let Some(at) = met.filter(|at| *at > 0 && !self.below) {
            let above = Page { items: page.items.drain(..at).collect(), ..page.clone() };
            let above = self.list.take(above);
            let above = self.write(above).await?;
            self.above += above.fresh;
            page.unreadable.clear();
            page.card_numbers_at.clear();
            self.aside = Some(above);
        }
        self.below |= met.is_some();
        let shown = self.list.take(page);
        let written = self.write(shown).await?;
        *(if self.below { &mut self.missed } else { &mut self.above }) += written.fresh;
        Ok(written)
    }

    /// A pass has come to its end.
    fn turn(&mut self) -> Result<(), EngineError> {
        let size = self.list.size();
        self.unread = 0;
        if !self.below {
            // Nobody of the first page is there any more: where its top was cannot be told.
            self.missed += self.above;
        }
        match self.phase {
            Phase::Down => {
                self.size = size;
                self.list.restart(size);
                self.phase = Phase::Top;
            }
            Phase::Top if self.is_counted() => (self.confirmed, self.phase) = (true, Phase::Over),
            // Where somebody was deleted meanwhile, a pass cannot show as many as it counted.
            Phase::Top if self.confirm || (self.total.is_some() && !self.list.fell()) => {
                self.pass_again(size);
            }
            Phase::Confirm if self.is_counted() => {
                (self.confirmed, self.phase) = (true, Phase::Over);
            }
            // Other page boundaries that bring nobody new say the same as the count.
            Phase::Confirm if self.missed == 0 && self.list.fell() => {
                (self.confirmed, self.phase) = (true, Phase::Over);
            }
            Phase::Confirm if self.total.is_some() && self.passes < PASSES => {
                self.pass_again(size);
            }
            Phase::Confirm if let Some(total) = self.total => {
                let seen = self.list.seen() + self.unreadable;
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

    /// Whether this pass has seen as many customers as the provider counted while it went on: nobody can
    /// have been missed, but for one that is gone and one that is new.
    fn is_counted(&self) -> bool {
        self.total.is_some_and(|total| self.list.seen() + self.unreadable >= total)
    }

    fn pass_again(&mut self, size: u32) {
        self.list.pass_again(other_size(size));
        self.phase = Phase::Confirm;
        self.passes += 1;
        self.below = false;
        (self.above, self.missed) = (0, 0);
    }

    async fn write(&mut self, shown: Shown) -> Result<Written, EngineError> {
        let Shown { as_of, customers, slid, retired, unreadable, card_numbers } = shown;
        // What is read again was counted when it was read first; what no pass before met is not.
        self.unread += unreadable;
        let unreadable = self.unread.saturating_sub(self.unreadable);
        self.unreadable += unreadable;
        let first = self.phase == Phase::Down;
        let (slid, card_numbers) = if first { (slid, card_numbers) } else { (0, 0) };
        let fresh = customers.len() as u64;
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

/// Whether the head of the list says who is there beside those that were known: the newest come first, or
/// the provider counts them.
const fn may_trust_head(capabilities: &Capabilities) -> bool {
    capabilities.customers_total || matches!(capabilities.customers_order, ListOrder::NewestFirst)
}

/// Reads the list from its top into the mirror, until a whole page was shown by the last complete
/// reading. What is only known since, by an answer to a create or by a reading that was broken off,
/// does not end it: somebody unknown may come behind that. Whether everybody is known by then: not
/// where the provider counts more or fewer than are known, or says neither how many nor in which order.
/// Where one is gone and somebody below is new, the count does not tell.
///
/// # Errors
/// When the provider or the store cannot be reached, when a customer cannot be read, and on a wish to
/// stop.
pub(crate) async fn head(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
) -> Result<bool, EngineError> {
    let capabilities = engine.account.capabilities();
    if !may_trust_head(capabilities) {
        return Ok(false);
    }
    let account = engine.account.name.clone();
    let config = engine.config_hash.clone();
    let page_size = capabilities.customers_page;
    let new = NewScan { account, pass: 1, page_size, top: true, config };
    let scan = engine.store.begin_scan(fence, &new).await?;
    let read = top(engine, ctx, fence, Some(&scan), Depth::Listed).await;
    let whole = match &read {
        Ok(Some(total)) => {
            engine.store.mirror_stats(&engine.account.name).await?.customers == *total
        }
        Ok(None) => true,
        Err(_) => false,
    };
    let state = if whole { ScanState::Complete } else { ScanState::Incomplete };
    engine.store.end_scan(fence, &scan, state).await?;
    read.map(|_| whole)
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
    top(engine, ctx, fence, None, Depth::KnownBefore(then.minus(APART))).await.map(drop)
}

/// Reads the list down to there into the mirror; how many customers the provider counts, if it does.
async fn top(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
    scan: Option<&str>,
    depth: Depth,
) -> Result<Option<u64>, EngineError> {
    let size = engine.account.capabilities().customers_page;
    let mut list = List::new(engine, ctx, size, depth);
    while let Some(shown) = list.next().await? {
        if shown.unreadable > 0 {
            let why = "a customer at the top of the list cannot be read";
            return Err(BackendError::new(ErrorKind::Malformed, "list customers", why).into());
        }
        let write = CustomersWrite {
            account: engine.account.name.clone(),
            scan: scan.map(str::to_owned),
            as_of: shown.as_of,
            customers: shown.customers,
            overlap: Overlap::Written,
        };
        engine.store.apply_customers(fence, write).await?;
    }
    Ok(list.total())
}

#[cfg(test)]
mod tests {
    use super::other_size;

    #[test]
    fn another_pass_begins_its_pages_elsewhere() {
        assert_eq!((other_size(100), other_size(20), other_size(1)), (90, 18, 1));
        assert!((2..=1000).all(|given| other_size(given) < given));
    }
}
