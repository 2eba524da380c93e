//! One reading of a customer list from its top, as deep as is asked for, while the list shifts.
//!
//! A customer that is made meanwhile pushes rows to the next page: they are met twice, and handed out
//! once. A page that brings nothing new is that, if the head of the list has moved by as many rows; else
//! it is not the one that was asked for, and is asked for again.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use backend::{BackendError, CallCtx, ErrorKind, Page, RemoteCustomer};
use model::{RemoteCustomerId, RemoteStatus, Timestamp};

use super::Pages;
use crate::{Engine, EngineError};

/// So often a page that brings nothing new is asked for again before the list is said to go round
/// in circles.
const AGAIN: u32 = 2;
/// Pages in a row that are not full and bring nothing new, and the list goes round in circles.
const IDLE: u32 = 8;

/// How far a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// To its end.
    End,
    /// Down to a page of customers that were all known before then: the newest come first.
    KnownBefore(Timestamp),
    /// Down to a page that was wholly shown by the last complete reading.
    Listed,
}

/// A page, as far as no page before it had it.
#[derive(Debug)]
pub(crate) struct Shown {
    /// When it was asked for.
    pub(crate) as_of: Timestamp,
    /// Customers that were not shown before.
    pub(crate) customers: Vec<RemoteCustomer>,
    /// How many others it has: the list has shifted.
    pub(crate) slid: u64,
    /// References of customers that the provider shows as deleted.
    pub(crate) retired: Vec<String>,
    pub(crate) unreadable: u64,
    pub(crate) card_numbers: u64,
}

impl Shown {
    /// Of a page that was read before: its rows are counted already. Not so those that cannot be read:
    /// they may be others than before, and rather count twice than not at all.
    fn uncounted(self) -> Self {
        Self { slid: 0, card_numbers: 0, ..self }
    }
}

/// One reading of the customer list.
pub(crate) struct List<'a> {
    engine: &'a Engine,
    ctx: &'a CallCtx,
    depth: Depth,
    pages: Pages<'a>,
    /// Hashes of the customers it has shown, and the pass that showed them last. Two of one hash are one
    /// in 10^19.
    seen: HashMap<u64, u32>,
    pass: u32,
    /// How many customers this pass has shown.
    shown: u64,
    /// The provider's greatest count of this pass, but for the pages that are read now.
    most: Option<u64>,
    /// Whether that count fell meanwhile.
    fell: bool,
    hasher: RandomState,
    /// The first page's customers: what is new above them was made since.
    top: HashSet<RemoteCustomerId>,
    /// Pages that were read to see how far the head has moved.
    aside: Vec<Shown>,
    /// Rows that an earlier page had.
    known: u64,
    /// How often the same page was asked for again.
    tries: u32,
    idle: u32,
    /// It is as deep as was asked for.
    over: bool,
}

impl<'a> List<'a> {
    /// The list from its top, so many rows a page.
    pub(crate) fn new(engine: &'a Engine, ctx: &'a CallCtx, size: u32, depth: Depth) -> Self {
        Self {
            engine,
            ctx,
            depth,
            pages: Pages::new(engine, ctx, size),
            seen: HashMap::new(),
            pass: 1,
            shown: 0,
            most: None,
            fell: false,
            hasher: RandomState::new(),
            top: HashSet::new(),
            aside: Vec::new(),
            known: 0,
            tries: 0,
            idle: 0,
            over: false,
        }
    }

    /// How many customers this pass has shown: who was shown by an earlier one only may be gone, and
    /// does not stand for somebody whom this one missed.
    pub(crate) const fn seen(&self) -> u64 {
        self.shown
    }

    /// How many customers the provider counts, where it does: the greatest count of this pass. Who was
    /// deleted meanwhile was shown and is counted no more, and pulls somebody back to a page that was
    /// read.
    pub(crate) fn total(&self) -> Option<u64> {
        self.most.max(self.pages.total())
    }

    /// Whether the provider's count fell during this pass.
    pub(super) fn fell(&self) -> bool {
        self.fell || self.pages.fell()
    }

    /// Rows a page: as asked for, or as the provider gives again and again.
    pub(crate) const fn size(&self) -> u32 {
        self.pages.size()
    }

    /// Whether the first page had this customer.
    pub(super) fn began_with(&self, customer: &RemoteCustomer) -> bool {
        self.top.contains(&customer.id)
    }

    /// Goes back to the top with another pass; what was shown stays so, and is counted anew.
    pub(super) fn pass_again(&mut self, size: u32) {
        self.restart(size);
        self.pass += 1;
        (self.shown, self.most, self.fell) = (0, None, false);
    }

    /// Goes back to the top, with pages of another size; what was shown stays so.
    pub(super) fn restart(&mut self, size: u32) {
        (self.most, self.fell) = (self.total(), self.fell());
        self.pages = Pages::new(self.engine, self.ctx, size);
    }

    /// The next page as it is: for a pass over what was shown before.
    pub(super) async fn page(&mut self) -> Result<Option<Page<RemoteCustomer>>, EngineError> {
        self.engine.stop.check()?;
        Ok(self.pages.next().await?)
    }

    /// Takes a page in: what of it was not shown before.
    pub(super) fn take(&mut self, page: Page<RemoteCustomer>) -> Shown {
        let deleted = page.items.iter().filter(|one| one.status == RemoteStatus::Deleted);
        let retired = deleted.filter_map(|customer| customer.reference.clone()).collect();
        let rows = page.items.len() as u64;
        let mut customers = page.items;
        customers.retain(|customer| {
            let hash = self.hasher.hash_one(customer.id.as_str());
            let last = self.seen.insert(hash, self.pass);
            self.shown += u64::from(last != Some(self.pass));
            last.is_none()
        });
        Shown {
            as_of: page.as_of,
            slid: rows - customers.len() as u64,
            customers,
            retired,
            unreadable: page.unreadable.len() as u64,
            card_numbers: page.card_numbers_at.len() as u64,
        }
    }

    /// The next page; `None` when the list was read as deep as was asked for, or to its end.
    ///
    /// # Errors
    /// When the provider or the store cannot be reached, on a wish to stop, and when the list goes round
    /// in circles.
    pub(crate) async fn next(&mut self) -> Result<Option<Shown>, EngineError> {
        if let Some(aside) = self.aside.pop() {
            return Ok(Some(aside));
        }
        if self.over {
            return Ok(None);
        }
        let Some(page) = self.page().await? else { return Ok(None) };
        let full = page.received >= u64::from(self.size());
        let rows = page.items.len() as u64;
        if self.top.is_empty() {
            self.top = page.items.iter().map(|customer| customer.id.clone()).collect();
        }
        let is_bottom = self.is_bottom(&page).await?;
        let again = self.tries > 0;
        let shown = self.take(page);
        let shown = if again { shown.uncounted() } else { shown };
        // A page on which nobody can be read says nothing of the list.
        if shown.customers.is_empty() && rows > 0 {
            self.is_known(rows, full).await?;
        } else {
            self.known += shown.slid;
            (self.tries, self.idle) = (0, 0);
        }
        self.over = is_bottom && self.tries == 0;
        Ok(Some(shown))
    }

    /// Whether nobody is looked for below this page.
    async fn is_bottom(&self, page: &Page<RemoteCustomer>) -> Result<bool, EngineError> {
        if self.depth == Depth::End || page.items.is_empty() || !page.unreadable.is_empty() {
            return Ok(false);
        }
        let ids: Vec<RemoteCustomerId> = page.items.iter().map(|one| one.id.clone()).collect();
        let (store, account) = (&self.engine.store, &self.engine.account.name);
        let known = match self.depth {
            Depth::End => return Ok(false),
            Depth::KnownBefore(then) => store.known_before(account, &ids, then).await?,
            Depth::Listed => store.listed(account, &ids).await?,
        };
        Ok(known.len() == ids.len())
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
            self.tries = 0;
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
        let mut pages = Pages::new(self.engine, self.ctx, self.size());
        let mut moved = 0;
        while let Some(page) = pages.next().await? {
            self.engine.stop.check()?;
            let at = page.items.iter().position(|customer| self.began_with(customer));
            moved += at.map_or(page.received, |at| at as u64);
            let shown = self.take(page).uncounted();
            self.aside.push(shown);
            if at.is_some() || moved >= self.known {
                break;
            }
        }
        self.most = self.most.max(pages.total());
        Ok(moved)
    }
}

pub(super) fn circles(why: &str) -> EngineError {
    let message = format!("the list repeats itself: {why}");
    BackendError::new(ErrorKind::Malformed, "list customers", message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_read_counts_on_a_page_that_is_read_again() {
        let shown = Shown {
            as_of: Timestamp::from_micros(0),
            customers: Vec::new(),
            slid: 3,
            retired: Vec::new(),
            unreadable: 1,
            card_numbers: 2,
        };
        let shown = shown.uncounted();
        assert_eq!((shown.slid, shown.unreadable, shown.card_numbers), (0, 1, 0));
    }
}
