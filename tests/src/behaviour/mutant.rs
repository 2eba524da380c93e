//! Backends with one fault each: what a case is about must fail on the mutant that breaks it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, CallFacts, Capabilities, Cursor, CustomerBackend, Effect, ErrorKind,
    FindBy, ItemOutcome, Page, PageRequest, Permit, Prepared, Probe, Rejection, SendOutcome,
    TokenRoute, Traffic,
};
use model::{
    Address, Code, EffectKind, MethodFacts, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, RemoteStatus, Timestamp, Token,
};
use secrecy::ExposeSecret as _;

use crate::around::copy;

/// By which read a customer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    List,
    Get,
    Find,
}

/// What a mutant does otherwise.
#[derive(Clone, Copy)]
pub enum How {
    /// Builds the request of another effect.
    Effect(fn(&Capabilities, &mut Effect)),
    /// Rejects effects that could be sent.
    Rejects(fn(&Capabilities, &Effect) -> bool),
    /// Tells something else of what was sent.
    Outcome(fn(&mut SendOutcome)),
    /// The same, of all but the first.
    Again(fn(&mut SendOutcome)),
    /// Says that effects of a kind are done, and sends nothing.
    Skips(EffectKind),
    /// Makes every changing call twice.
    Twice,
    /// Makes a changing call again that has no answer.
    Retries,
    /// Sends no idempotency key.
    Keyless,
    /// Shows another page of customers.
    Page(fn(&PageRequest, &mut Page<RemoteCustomer>)),
    /// Shows other customers.
    Customer(By, fn(&mut RemoteCustomer)),
    /// Shows other payment methods, wherever they are read.
    Methods(fn(&mut Vec<RemoteMethod>)),
    /// Shows something else in place of a customer that was got.
    Got(fn(&RemoteCustomerId, &mut Option<RemoteCustomer>)),
    /// Looks for another reference.
    Reference(fn(&str) -> String),
    /// Finds the first customer of the list that is good enough, where nobody is found.
    FindsBy(fn(&str, &RemoteCustomer) -> bool),
    /// Finds whoever was deleted alive, and anybody in place of nobody.
    FindsAlive,
    /// Takes failures of these kinds for an empty answer.
    Swallows(&'static [ErrorKind]),
    /// Fails where there is nobody.
    FailsOnNobody,
    /// Gives no read the time to be made again.
    Hurries,
    /// Tells everybody what is secret.
    Blabs,
}

/// A known-bad variant of every backend to which it applies.
#[derive(Clone, Copy)]
pub struct Mutant {
    pub name: &'static str,
    pub applies: fn(&Capabilities) -> bool,
    pub how: How,
}

impl Mutant {
    /// One for every provider.
    pub const fn new(name: &'static str, how: How) -> Self {
        Self { name, applies: |_| true, how }
    }

    /// One for some.
    pub const fn only(name: &'static str, applies: fn(&Capabilities) -> bool, how: How) -> Self {
        Self { name, applies, how }
    }

    /// Puts it round a backend.
    pub fn around(
        self,
        inner: Arc<dyn CustomerBackend>,
        traffic: Arc<dyn Traffic>,
        secret: &str,
    ) -> Arc<dyn CustomerBackend> {
        let secret = secret.to_owned();
        Arc::new(Mutated { inner, traffic, how: self.how, secret, sent: AtomicU32::new(0) })
    }
}

struct Mutated {
    inner: Arc<dyn CustomerBackend>,
    traffic: Arc<dyn Traffic>,
    how: How,
    secret: String,
    sent: AtomicU32,
}

impl fmt::Debug for Mutated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Blabs => write!(f, "{:?} with {}", self.inner, self.secret),
            _ => self.inner.fmt(f),
        }
    }
}

fn empty<T>() -> Page<T> {
    Page {
        items: Vec::new(),
        unreadable: Vec::new(),
        card_numbers_at: Vec::new(),
        received: 0,
        next: None,
        total: None,
        as_of: Timestamp::from_seconds(0),
    }
}

impl Mutated {
    fn read_ctx(&self, ctx: &CallCtx) -> CallCtx {
        match self.how {
            How::Hurries => {
                let deadline = Some(tokio::time::Instant::now());
                CallCtx { deadline, ..ctx.clone() }
            }
            _ => ctx.clone(),
        }
    }

    /// What a failed read comes to.
    fn failed<T>(&self, result: Result<T, BackendError>, empty: T) -> Result<T, BackendError> {
        match (result, self.how) {
            (Err(error), How::Swallows(kinds)) if kinds.contains(&error.kind) => Ok(empty),
            (result, _) => result,
        }
    }

    fn shown(&self, by: By, customer: &mut RemoteCustomer) {
        match self.how {
            How::Customer(of, change) if of == by => change(customer),
            How::Methods(change) => {
                if let Some(methods) = &mut customer.methods {
                    change(methods);
                }
            }
            _ => {}
        }
    }

    async fn again(&self, ctx: &CallCtx, prepared: Prepared) -> Option<SendOutcome> {
        let permit = self.traffic.reserve(ctx.lane, 1).await.ok()?.pop()?;
        Some(self.inner.execute(ctx, prepared, permit).await)
    }

    /// The first customer of the list that is good enough.
    async fn somebody(
        &self,
        ctx: &CallCtx,
        reference: &str,
        good: fn(&str, &RemoteCustomer) -> bool,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let mut page = PageRequest::first(100);
        loop {
            let listed = self.inner.list_customers(ctx, &page).await?;
            let received = listed.received;
            if let Some(one) = listed.items.into_iter().find(|one| good(reference, one)) {
                return Ok(Some(one));
            }
            match listed.next {
                Some(next) if received > 0 => page.cursor = next,
                _ => return Ok(None),
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CustomerBackend for Mutated {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        let mut effect = effect.clone();
        match self.how {
            How::Effect(change) => change(&self.capabilities(), &mut effect),
            How::Rejects(wrong) if wrong(&self.capabilities(), &effect) => {
                let message = "a mutant's".to_owned();
                return Err(Rejection { code: Code::BadValue, field: None, message, item: 0 });
            }
            _ => {}
        }
        self.inner.prepare(&effect)
    }

    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        billing: &Address,
    ) -> Result<(), Rejection> {
        self.inner.accepts(route, facts, token, billing)
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let mut ctx = ctx.clone();
        let copied = copy(&prepared);
        match self.how {
            How::Skips(kind) if kind == prepared.kind => {
                let done = ItemOutcome::Done(Box::default());
                return SendOutcome::all(prepared.items, &done, CallFacts::default());
            }
            How::Keyless => ctx.idempotency_key = None,
            _ => {}
        }
        let mut outcome = self.inner.execute(&ctx, prepared, permit).await;
        let unknown = |item: &ItemOutcome| matches!(item, ItemOutcome::Unknown(_));
        match self.how {
            How::Outcome(change) => change(&mut outcome),
            How::Again(change) if self.sent.fetch_add(1, Ordering::Relaxed) > 0 => {
                change(&mut outcome);
            }
            How::Twice => drop(self.again(&ctx, copied).await),
            How::Retries if outcome.items.iter().any(unknown) => {
                outcome = self.again(&ctx, copied).await.unwrap_or(outcome);
            }
            How::Blabs => {
                let body = String::from_utf8_lossy(copied.body.expose_secret()).into_owned();
                for item in &mut outcome.items {
                    if let ItemOutcome::Refused(refusal)
                    | ItemOutcome::RefusedOrThere(refusal)
                    | ItemOutcome::Conflict(refusal) = item
                    {
                        refusal.message += &body;
                    }
                }
            }
            _ => {}
        }
        outcome
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        let ctx = self.read_ctx(ctx);
        let mut listed = self.failed(self.inner.list_customers(&ctx, page).await, empty())?;
        for customer in &mut listed.items {
            self.shown(By::List, customer);
        }
        if let How::Page(change) = self.how {
            change(page, &mut listed);
        }
        Ok(listed)
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        let ctx = self.read_ctx(ctx);
        let listed = self.inner.list_methods(&ctx, customer, page).await;
        let mut listed = self.failed(listed, empty())?;
        if let How::Methods(change) = self.how {
            change(&mut listed.items);
        }
        Ok(listed)
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let ctx = self.read_ctx(ctx);
        let mut got = self.failed(self.inner.get_customer(&ctx, id).await, None)?;
        if let Some(customer) = &mut got {
            self.shown(By::Get, customer);
        }
        match self.how {
            How::Got(change) => change(id, &mut got),
            How::FailsOnNobody if got.is_none() => {
                return Err(BackendError::new(ErrorKind::NotFound, "get customer", "a mutant's"));
            }
            _ => {}
        }
        Ok(got)
    }

    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let ctx = self.read_ctx(ctx);
        let found = match self.how {
            How::Reference(change) => match Reference::new(change(reference.as_str())) {
                Ok(reference) => self.inner.find_customer(&ctx, &reference).await,
                Err(_) => Ok(None),
            },
            _ => self.inner.find_customer(&ctx, reference).await,
        };
        let mut found = self.failed(found, None)?;
        match (&mut found, self.how) {
            (None, How::FindsBy(good)) => {
                found = self.somebody(&ctx, reference.as_str(), good).await?;
            }
            (None, How::FindsAlive) => found = self.somebody(&ctx, "", |_, _| true).await?,
            (Some(customer), How::FindsAlive) => customer.status = RemoteStatus::Live,
            _ => {}
        }
        if let Some(customer) = &mut found {
            self.shown(By::Find, customer);
        }
        Ok(found)
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        let probe = Probe { summary: "a mutant's".to_owned(), as_of: Timestamp::from_seconds(0) };
        self.failed(self.inner.probe(&self.read_ctx(ctx)).await, probe)
    }
}

/// Whether a customer can be found by our reference.
pub fn finds(capabilities: &Capabilities) -> bool {
    capabilities.find != FindBy::Nothing
}

/// The end of the list at the first page.
pub fn ends(_: &PageRequest, page: &mut Page<RemoteCustomer>) {
    page.next = None;
}

/// What a page lacks was not given.
pub fn ends_where_short(asked: &PageRequest, page: &mut Page<RemoteCustomer>) {
    if page.received < u64::from(asked.size) {
        page.next = None;
    }
}

/// The end is not shown.
pub fn never_ends(_: &PageRequest, page: &mut Page<RemoteCustomer>) {
    page.received = page.received.max(1);
    page.next.get_or_insert(Cursor::Offset(0));
}
