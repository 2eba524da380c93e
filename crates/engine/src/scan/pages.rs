//! The pages of a customer list, in order, several read at once.

use backend::{BackendError, CallCtx, Cursor, Page, PageRequest, RemoteCustomer};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tracing::warn;

use crate::Engine;
use crate::reading::Reading;

/// So many pages are read ahead at most; at first fewer, so that a short list costs few calls for
/// pages that it does not have.
const AHEAD: u64 = 16;

/// A page of fewer rows is the end of a list, not what a provider gives.
const FEWEST: u64 = 10;

type Read = Result<Page<RemoteCustomer>, BackendError>;

/// A customer list, page by page.
pub(crate) struct Pages<'a> {
    engine: &'a Engine,
    ctx: CallCtx,
    /// Rows asked for.
    size: u32,
    /// What the last page that was shorter than asked for had, if it was the one before.
    short: Option<u64>,
    /// The provider's own count of the list, the greatest that a page stated, the empty one included.
    total: Option<u64>,
    /// Whether a page counted fewer than one before it: somebody was deleted while it was read.
    fell: bool,
    /// Where the list goes on; none at its end.
    next: Option<Cursor>,
    /// Where the page begins that was handed out last.
    at: Option<Cursor>,
    /// Whether pages are full, and numbered: only then is it worth reading ahead.
    full: bool,
    handed_out: u64,
    /// Asked for, in order.
    flight: FuturesOrdered<Reading<(Cursor, Read)>>,
    /// Where the page behind those begins.
    behind: u64,
}

impl<'a> Pages<'a> {
    /// The list from its top, so many rows a page.
    pub(crate) fn new(engine: &'a Engine, ctx: &CallCtx, size: u32) -> Self {
        Self {
            engine,
            ctx: ctx.clone(),
            size: size.max(1),
            short: None,
            total: None,
            fell: false,
            next: Some(Cursor::Offset(0)),
            at: None,
            full: false,
            handed_out: 0,
            flight: FuturesOrdered::new(),
            behind: 0,
        }
    }

    /// Rows a page: as asked for, or as the provider gives again and again.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// How many customers the provider counts, where it does.
    pub(crate) const fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether somebody was deleted while it was read, by that count.
    pub(crate) const fn fell(&self) -> bool {
        self.fell
    }

    fn ask(&mut self, cursor: Cursor) {
        let (account, ctx) = (self.engine.account.clone(), self.ctx.clone());
        let request = PageRequest { cursor: cursor.clone(), size: self.size };
        self.flight.push_back(Reading::begin(async move {
            (cursor, account.list_customers(&ctx, &request).await)
        }));
    }

    /// Asks for the next pages: the first alone, which shows whether the provider links its pages
    /// and whether there is a second.
    fn fill(&mut self) {
        if self.flight.is_empty() {
            let Some(cursor) = self.next.clone() else { return };
            if let Cursor::Offset(start) = cursor {
                self.behind = start + u64::from(self.size);
            }
            self.ask(cursor);
        }
        let most = AHEAD.min(self.engine.account.in_flight() as u64).min(self.handed_out / 2);
        while self.full && (self.flight.len() as u64) < most {
            self.ask(Cursor::Offset(self.behind));
            self.behind += u64::from(self.size);
        }
    }

    /// What was asked for behind the last page begins in the wrong place.
    fn forget(&mut self) {
        self.flight = FuturesOrdered::new();
        self.full = false;
    }

    /// The next page; `None` once an empty page was the answer.
    ///
    /// A page that is shorter than asked for is not the end: those read behind it are dropped, and
    /// the list goes on from where it stopped.
    pub(crate) async fn next(&mut self) -> Result<Option<Page<RemoteCustomer>>, BackendError> {
        self.fill();
        let Some((at, read)) = self.flight.next().await else { return Ok(None) };
        let page = read?;
        self.fell |= page.total.is_some_and(|total| self.total.is_some_and(|most| total < most));
        self.total = self.total.max(page.total);
        let linked = matches!(page.next, Some(Cursor::Link(_)));
        if page.received == 0 && !linked {
            self.forget();
            self.next = None;
            return Ok(None);
        }
        if page.received < u64::from(self.size) {
            self.forget();
            self.is_short(page.received);
        } else {
            self.short = None;
            self.full = !linked;
        }
        self.next.clone_from(&page.next);
        self.at = Some(at);
        self.handed_out += 1;
        Ok(Some(page))
    }

    /// Twice the same, and that is what the provider gives.
    fn is_short(&mut self, received: u64) {
        if self.short == Some(received)
            && received >= FEWEST
            && let Ok(size) = u32::try_from(received)
        {
            warn!(
                account = self.engine.account.name.as_str(),
                asked = self.size,
                received,
                "the provider gives fewer rows a page than asked for"
            );
            self.size = size.max(1);
            self.full = true;
        }
        self.short = Some(received);
    }

    /// Goes on with the page that was handed out last, once more.
    pub(crate) fn again(&mut self) {
        self.forget();
        self.next.clone_from(&self.at);
    }
}
