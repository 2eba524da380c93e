//! Reading what a provider holds, and what may be believed of it (rules 1 and 2).

use std::collections::BTreeSet;

use backend::{
    BackendError, CallCtx, Cursor, ErrorKind, Page, PageRequest, RemoteCustomer, RemoteMethod,
};
use futures::{StreamExt, stream};
use model::{Profile, Reference, RemoteCustomerId, RemoteMethodId, RemoteStatus, Timestamp};
use store::{CustomersWrite, Fence, MethodList, MethodsWrite};
use tracing::warn;

use crate::{Engine, EngineError};

/// How many known ids are looked for before anything of an account is believed.
pub(crate) const KNOWN_IDS: u32 = 5;
/// So many customers, and so many payment methods, are marked as removed by one run, or 1 % of those
/// that are live if that is more: beyond, something else is wrong.
const REMOVALS: u64 = 100;
/// A list of one customer's methods longer than this many pages is not one.
const METHOD_PAGES: usize = 1000;

/// Makes sure that this is the account we know: of up to five customers known to be live, one
/// must be there.
///
/// # Errors
/// [`EngineError::WrongAccount`] when none is.
pub(crate) async fn same_account(engine: &Engine, ctx: &CallCtx) -> Result<(), EngineError> {
    let known = engine.store.live_customer_ids(&engine.account.name, KNOWN_IDS).await?;
    if known.is_empty() || !engine.account.capabilities().get_customer {
        return Ok(());
    }
    for id in &known {
        if let Some(customer) = engine.account.get_customer(ctx, id).await?
            && customer.id == *id
        {
            return Ok(());
        }
    }
    Err(EngineError::WrongAccount { account: engine.account.name.to_string(), asked: known.len() })
}

/// What a find by reference says, once it is believed.
#[derive(Debug)]
pub(crate) enum Found {
    /// The customer of exactly this reference, alive.
    Customer(Box<RemoteCustomer>),
    /// Nobody.
    Nobody,
    /// Somebody whose reference differs by case only.
    Collision,
    /// A deleted customer of this reference.
    Retired,
}

/// Finds a customer by reference, and believes the answer only if its reference is equal byte
/// for byte (rule 2).
///
/// # Errors
/// [`EngineError::FindNotHonoured`] when somebody else was answered.
pub(crate) async fn find(
    engine: &Engine,
    ctx: &CallCtx,
    reference: &Reference,
) -> Result<Found, EngineError> {
    believe(engine, engine.account.find_customer(ctx, reference).await?, reference)
}

/// Reads a customer that is known by its id, and believes the answer only if it is the one that
/// was asked for, under our reference (rule 2).
///
/// # Errors
/// [`EngineError::FindNotHonoured`] when somebody else was answered.
pub(crate) async fn get(
    engine: &Engine,
    ctx: &CallCtx,
    id: &RemoteCustomerId,
    reference: &Reference,
) -> Result<Found, EngineError> {
    let customer = engine.account.get_customer(ctx, id).await?;
    if customer.as_ref().is_some_and(|customer| customer.id != *id) {
        return Err(EngineError::FindNotHonoured { account: engine.account.name.to_string() });
    }
    believe(engine, customer, reference)
}

fn believe(
    engine: &Engine,
    answer: Option<RemoteCustomer>,
    reference: &Reference,
) -> Result<Found, EngineError> {
    let Some(customer) = answer else { return Ok(Found::Nobody) };
    match customer.reference.as_deref() {
        Some(theirs) if theirs == reference.as_str() => Ok(match customer.status {
            RemoteStatus::Live => Found::Customer(Box::new(customer)),
            RemoteStatus::Deleted => Found::Retired,
        }),
        Some(theirs) if theirs.to_lowercase() == reference.as_str().to_lowercase() => {
            Ok(Found::Collision)
        }
        _ => Err(EngineError::FindNotHonoured { account: engine.account.name.to_string() }),
    }
}

/// The whole list of a customer's payment methods; `None` when the provider says there is no
/// such customer.
pub(crate) async fn methods_of(
    engine: &Engine,
    ctx: &CallCtx,
    customer: &RemoteCustomerId,
) -> Result<Option<MethodRead>, BackendError> {
    let mut request = PageRequest::first(engine.account.capabilities().methods_page.unwrap_or(100));
    let mut read: Option<MethodRead> = None;
    for _ in 0..METHOD_PAGES {
        let page = match engine.account.list_methods(ctx, customer, &request).await {
            Err(error) if error.kind == ErrorKind::NotFound && read.is_none() => return Ok(None),
            page => page?,
        };
        let next = page.next.clone();
        let whole = read.get_or_insert_with(|| MethodRead::empty(customer.clone(), page.as_of));
        whole.take(page);
        match next {
            Some(cursor) => request.cursor = cursor,
            None => return Ok(read),
        }
    }
    Err(BackendError::new(
        ErrorKind::Malformed,
        "list payment methods",
        "the list of one customer's payment methods does not end",
    ))
}

/// Lists the customers of payment methods that were not listed any more once more: what is not there
/// again is marked as removed (rule 3); how many that are. `before` were removed by this run already:
/// beyond [`REMOVALS`] nothing more is marked (rule 1).
///
/// # Errors
/// When the provider or the store cannot be reached.
pub(crate) async fn prove_removed(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
    missing: &[(RemoteCustomerId, RemoteMethodId)],
    before: u64,
) -> Result<u64, EngineError> {
    if missing.is_empty() {
        return Ok(0);
    }
    let account = &engine.account.name;
    let live = engine.store.mirror_stats(account).await?.methods + before;
    if before + missing.len() as u64 > (live / 100).max(REMOVALS) {
        warn!(
            account = account.as_str(),
            missing = missing.len(),
            "too many payment methods are gone at once; they are not marked as removed"
        );
        return Ok(0);
    }
    let customers: BTreeSet<RemoteCustomerId> = missing.iter().map(|(id, _)| id.clone()).collect();
    let reads: Vec<Result<Option<MethodRead>, BackendError>> = stream::iter(customers)
        .map(|id| async move { methods_of(engine, ctx, &id).await })
        .buffer_unordered(engine.account.in_flight())
        .collect()
        .await;
    let mut lists = Vec::new();
    for read in reads {
        match read {
            // One that could not be read in full may be the one that is missing.
            Ok(read) => lists.extend(read.filter(|r| r.unreadable == 0).map(|r| r.list)),
            Err(error) if error.is_account_fault() || error.kind.read_is_retryable() => {
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    let write = MethodsWrite { account: account.clone(), lists, second: true };
    Ok(engine.store.apply_methods(fence, write).await?.removed)
}

/// Marks customers as removed that the provider said are not there, once one that is known to be live
/// has answered since (rule 1); whether they are marked. `as_of` is not later than the start of any of
/// these reads, `before` customers were marked by this run already.
///
/// # Errors
/// [`EngineError::WrongAccount`] when no other answers; when the provider or the store cannot be
/// reached.
pub(crate) async fn mark_removed(
    engine: &Engine,
    ctx: &CallCtx,
    fence: &Fence,
    gone: Vec<RemoteCustomerId>,
    as_of: Timestamp,
    before: u64,
) -> Result<bool, EngineError> {
    if gone.is_empty() || !engine.account.capabilities().get_customer {
        return Ok(false);
    }
    let account = engine.account.name.clone();
    let live = engine.store.mirror_stats(&account).await?.customers + before;
    if before + gone.len() as u64 > (live / 100).max(REMOVALS) {
        warn!(
            account = account.as_str(),
            gone = gone.len(),
            "too many customers are gone at once; they are not marked as removed"
        );
        return Ok(false);
    }
    same_account(engine, ctx).await?;
    let tombstone = |id| RemoteCustomer {
        id,
        reference: None,
        profile: Profile::default(),
        status: RemoteStatus::Deleted,
        created_at: None,
        methods: None,
    };
    let customers = gone.into_iter().map(tombstone).collect();
    let write = CustomersWrite { account, scan: None, as_of, customers, checkpoint: None };
    engine.store.apply_customers(fence, write).await?;
    Ok(true)
}

/// One customer's payment methods, and what could not be read of them.
#[derive(Debug)]
pub(crate) struct MethodRead {
    pub(crate) list: MethodList,
    pub(crate) unreadable: u64,
    pub(crate) card_numbers: u64,
}

impl MethodRead {
    fn empty(customer: RemoteCustomerId, as_of: Timestamp) -> Self {
        Self {
            list: MethodList { customer, as_of, methods: Vec::new() },
            unreadable: 0,
            card_numbers: 0,
        }
    }

    fn take(&mut self, page: Page<RemoteMethod>) {
        self.unreadable += page.unreadable.len() as u64;
        self.card_numbers += page.card_numbers_at.len() as u64;
        for method in page.items {
            if self.list.methods.iter().all(|known| known.id != method.id) {
                self.list.methods.push(method);
            }
        }
    }
}

/// A page of customers, or the end of the list.
#[derive(Debug)]
pub(crate) struct CustomerPages {
    ahead: usize,
    size: u32,
    next: Option<Cursor>,
    /// Whether the pages are full so far: only then is it worth reading ahead.
    full: bool,
    /// What a page ahead came to, told when the list gets there.
    failed: Option<BackendError>,
    ready: std::collections::VecDeque<Page<RemoteCustomer>>,
}

impl CustomerPages {
    /// Pages of this size, so many of them read at once.
    pub(crate) fn new(size: u32, ahead: usize) -> Self {
        Self {
            ahead: ahead.max(1),
            size,
            next: Some(Cursor::Offset(0)),
            full: false,
            failed: None,
            ready: std::collections::VecDeque::new(),
        }
    }

    /// The next page; `None` once an empty page was the answer.
    ///
    /// Where pages are numbered, several are read at once. One that is shorter than asked for is
    /// not the end: those read behind it began in the wrong place, so they are dropped and the
    /// list goes on from where it stopped.
    pub(crate) async fn next(
        &mut self,
        engine: &Engine,
        ctx: &CallCtx,
    ) -> Result<Option<Page<RemoteCustomer>>, EngineError> {
        if let Some(page) = self.ready.pop_front() {
            return Ok(Some(page));
        }
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let Some(cursor) = self.next.take() else { return Ok(None) };
        let requests: Vec<PageRequest> = match cursor {
            // The first page goes alone: it shows whether the provider links its pages, and
            // whether there is a second.
            Cursor::Offset(start) => (0..if self.full { self.ahead as u64 } else { 1 })
                .map(|i| PageRequest {
                    cursor: Cursor::Offset(start + i * u64::from(self.size)),
                    size: self.size,
                })
                .collect(),
            link @ Cursor::Link(_) => vec![PageRequest { cursor: link, size: self.size }],
        };
        let pages: Vec<Result<Page<RemoteCustomer>, BackendError>> = stream::iter(requests)
            .map(|request| async move { engine.account.list_customers(ctx, &request).await })
            .buffered(self.ahead)
            .collect()
            .await;
        let mut pages = pages.into_iter().peekable();
        while let Some(page) = pages.next() {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    self.next = None;
                    self.failed = Some(error);
                    break;
                }
            };
            let goes_on = page.next.clone();
            let linked = matches!(goes_on, Some(Cursor::Link(_)));
            if page.received == 0 && !linked {
                self.next = None;
                break;
            }
            let short = page.received < u64::from(self.size);
            if short && matches!(pages.peek(), Some(Ok(behind)) if behind.received > 0) {
                warn!(
                    account = engine.account.name.as_str(),
                    asked = self.size,
                    received = page.received,
                    "a page shorter than asked for is not the last"
                );
            }
            self.full = !short;
            self.next = goes_on;
            self.ready.push_back(page);
            if short || linked {
                break;
            }
        }
        match (self.ready.pop_front(), self.failed.take()) {
            (None, Some(error)) => Err(error.into()),
            (page, failed) => {
                self.failed = failed;
                Ok(page)
            }
        }
    }
}
