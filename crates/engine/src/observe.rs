//! Reading what a provider holds, and what may be believed of it (rules 1 and 2).

use std::collections::{BTreeSet, HashSet};

use backend::{
    BackendError, CallCtx, ErrorKind, MethodListing, Page, PageRequest, RemoteCustomer,
    RemoteMethod,
};
use futures::{StreamExt, stream};
use model::{Profile, Reference, RemoteCustomerId, RemoteMethodId, RemoteStatus, Timestamp};
use store::{CustomersApplied, CustomersWrite, Fence, MethodList, MethodsWrite, Overlap};

use crate::{Engine, EngineError};

/// How many known ids are looked for before anything of an account is believed.
pub(crate) const KNOWN_IDS: u32 = 5;
/// The finding of a brake that held.
const MASS_REMOVAL: &str = "mass_removal";
/// See [`Brake`].
const REMOVALS: u64 = 100;
/// A list of one customer's methods longer than this many pages is not one.
const METHOD_PAGES: usize = 1000;
/// So many pages in a row that bring nothing new, and the list repeats itself. One can be a row that a
/// new method has pushed to the next page.
const REPEATED: u32 = 2;

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
    let began = engine.clock.now();
    if engine.account.capabilities().methods == MethodListing::Inline {
        let customer = engine.account.get_customer(ctx, customer).await?;
        return Ok(customer.and_then(|customer| MethodRead::inline(customer, began)));
    }
    let mut request = PageRequest::first(engine.account.capabilities().methods_page.unwrap_or(100));
    let mut read: Option<MethodRead> = None;
    let mut seen = HashSet::new();
    let mut repeated = 0;
    for _ in 0..METHOD_PAGES {
        let page = match engine.account.list_methods(ctx, customer, &request).await {
            Err(error) if error.kind == ErrorKind::NotFound && read.is_none() => return Ok(None),
            page => page?,
        };
        let next = page.next.clone();
        match page.received > 0 && !is_new(&page, &mut seen) {
            true => repeated += 1,
            false => repeated = 0,
        }
        if repeated == REPEATED {
            return Err(endless("page after page shows the same payment methods of one customer"));
        }
        let whole = read.get_or_insert_with(|| MethodRead::empty(customer.clone(), page.as_of));
        whole.take(page);
        match next {
            Some(cursor) => request.cursor = cursor,
            None => return Ok(read),
        }
    }
    Err(endless("the list of one customer's payment methods does not end"))
}

fn endless(why: &str) -> BackendError {
    BackendError::new(ErrorKind::Malformed, "list payment methods", why)
}

/// Whether a page shows a payment method, readable or not, that no page before it did.
fn is_new(page: &Page<RemoteMethod>, seen: &mut HashSet<String>) -> bool {
    let unreadable = page.unreadable.iter().filter_map(|row| row.id.as_deref());
    let ids = page.items.iter().map(|method| method.id.as_str()).chain(unreadable);
    ids.filter(|id| seen.insert((*id).to_owned())).count() > 0
}

/// How many customers, or how many payment methods, one run may mark as removed: 100, or 1 % of
/// those that are live if that is more. Beyond, something else is wrong, and a person decides
/// (rule 1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brake {
    left: u64,
    /// Those that were not marked for it.
    pub(crate) over: u64,
}

impl Brake {
    /// For a run that began with so many live ones, and has marked so many.
    pub(crate) fn of(live: u64, marked: u64) -> Self {
        Self { left: (live / 100).max(REMOVALS).saturating_sub(marked), over: 0 }
    }

    /// None, since a person has approved of it.
    pub(crate) const fn lifted() -> Self {
        Self { left: u64::MAX, over: 0 }
    }

    /// Whether so many may be marked.
    pub(crate) const fn admits(&self, many: u64) -> bool {
        many <= self.left
    }

    /// Leaves those among them that may be marked.
    pub(crate) fn admit<T>(&mut self, mut candidates: Vec<T>) -> Vec<T> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(candidates.len());
        self.over += (candidates.len() - most) as u64;
        candidates.truncate(most);
        candidates
    }

    const fn took(&mut self, marked: u64) {
        self.left = self.left.saturating_sub(marked);
    }
}

/// The brakes of a run: for customers, and for payment methods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brakes {
    pub(crate) customers: Brake,
    pub(crate) methods: Brake,
}

impl Brakes {
    /// Of a run that begins, or that began then and goes on: what was marked since counts.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn of(engine: &Engine, began: Option<Timestamp>) -> Result<Self, EngineError> {
        let account = &engine.account.name;
        let live = engine.store.mirror_stats(account).await?;
        let (customers, methods) = match began {
            None => (0, 0),
            Some(began) => engine.store.removed_since(account, began).await?,
        };
        Ok(Self {
            customers: Brake::of(live.customers + customers, customers),
            methods: Brake::of(live.methods + methods, methods),
        })
    }

    /// That something was not marked for it.
    pub(crate) fn finding(&self) -> Option<(String, u64)> {
        (self.customers.over + self.methods.over > 0).then(|| (MASS_REMOVAL.to_owned(), 1))
    }
}

/// Who reads, and for which run.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) ctx: &'a CallCtx,
    pub(crate) fence: &'a Fence,
    pub(crate) overlap: Overlap,
}

/// Lists the customers of payment methods that were not listed any more once more: what is not there
/// again is marked as removed (rule 3), as far as the brake admits it; how many that are.
///
/// # Errors
/// When the provider or the store cannot be reached.
pub(crate) async fn prove_removed(
    reader: Reader<'_>,
    missing: Vec<(RemoteCustomerId, RemoteMethodId)>,
    brake: &mut Brake,
) -> Result<u64, EngineError> {
    let Reader { engine, ctx, fence, overlap } = reader;
    let missing = brake.admit(missing);
    if missing.is_empty() {
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
            Err(error) if is_everybodys(&error) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let account = engine.account.name.clone();
    let write = MethodsWrite { account, lists, absent: missing, overlap };
    let removed = engine.store.apply_methods(fence, write).await?.removed;
    brake.took(removed);
    Ok(removed)
}

/// Whether a failed read says something of the account or the provider, not of one customer.
pub(crate) const fn is_everybodys(error: &BackendError) -> bool {
    error.is_account_fault() || error.kind.read_is_retryable()
}

/// Marks customers as removed that the provider said are not there, once one that is known to be live
/// has answered since (rule 1), as far as the brake admits it; what that changed. `as_of` is not later
/// than the start of any of these reads. Names those that are marked.
///
/// # Errors
/// [`EngineError::WrongAccount`] when no other answers; when the provider or the store cannot be
/// reached.
pub(crate) async fn mark_removed(
    reader: Reader<'_>,
    gone: Vec<RemoteCustomerId>,
    as_of: Timestamp,
    brake: &mut Brake,
) -> Result<(CustomersApplied, Vec<RemoteCustomerId>), EngineError> {
    let Reader { engine, ctx, .. } = reader;
    let can_prove = engine.account.capabilities().get_customer;
    let gone = if can_prove { brake.admit(gone) } else { Vec::new() };
    if gone.is_empty() {
        return Ok((CustomersApplied::default(), gone));
    }
    same_account(engine, ctx).await?;
    mark(reader, gone, as_of, brake).await
}

/// The same of customers that are proven to be gone.
pub(crate) async fn mark(
    reader: Reader<'_>,
    gone: Vec<RemoteCustomerId>,
    as_of: Timestamp,
    brake: &mut Brake,
) -> Result<(CustomersApplied, Vec<RemoteCustomerId>), EngineError> {
    let Reader { engine, fence, overlap, .. } = reader;
    let tombstone = |id| RemoteCustomer {
        id,
        reference: None,
        profile: Profile::default(),
        status: RemoteStatus::Deleted,
        created_at: None,
        metadata: None,
        methods: None,
    };
    let customers = gone.iter().cloned().map(tombstone).collect();
    let account = engine.account.name.clone();
    let write = CustomersWrite { account, scan: None, as_of, customers, overlap };
    let applied = engine.store.apply_customers(fence, write).await?;
    brake.took(applied.removed);
    Ok((applied, gone))
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

    /// As they came with their customer; none of one that is gone.
    fn inline(customer: RemoteCustomer, as_of: Timestamp) -> Option<Self> {
        let methods = customer.methods.filter(|_| customer.status == RemoteStatus::Live)?;
        let list = MethodList { customer: customer.id, as_of, methods };
        Some(Self { list, unreadable: 0, card_numbers: 0 })
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

#[cfg(test)]
mod tests {
    use super::Brake;

    #[test]
    fn a_run_marks_a_hundred_or_one_in_a_hundred() {
        for (live, marked, most) in
            [(0, 0, 100), (9_999, 0, 100), (50_000, 0, 500), (50_000, 490, 10)]
        {
            let mut brake = Brake::of(live, marked);
            assert_eq!(brake.admit(vec![(); 1000]).len(), most, "{live} live, {marked} marked");
            assert_eq!(brake.over, 1000 - most as u64);
        }
        let mut brake = Brake::of(0, 0);
        brake.took(100);
        assert!(!brake.admits(1) && brake.admits(0) && brake.admit(vec![1]).is_empty());
        assert!(Brake::lifted().admits(1_000_000));
    }
}
