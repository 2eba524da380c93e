//! A provider whose customer list somebody stands beside: told of each page before it is read, and
//! able to withhold it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, CustomerBackend, Effect, Page, PageRequest, Permit,
    Prepared, Probe, Rejection, SendOutcome, TokenRoute,
};
use model::{
    Address, Clock as _, MethodFacts, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod,
    SystemClock, Token,
};

/// Says whether a page is read; if not, it is an empty one.
pub type Bystander = Arc<dyn Fn(&PageRequest) -> bool + Send + Sync>;

pub struct Listing {
    pub inner: Arc<dyn CustomerBackend>,
    pub bystander: Bystander,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CustomerBackend for Listing {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        self.inner.prepare(effect)
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
        self.inner.execute(ctx, prepared, permit).await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        if (self.bystander)(page) {
            return self.inner.list_customers(ctx, page).await;
        }
        Ok(Page {
            items: Vec::new(),
            received: 0,
            next: None,
            total: None,
            unreadable: Vec::new(),
            card_numbers_at: Vec::new(),
            as_of: SystemClock.now(),
        })
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        self.inner.list_methods(ctx, customer, page).await
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.inner.get_customer(ctx, id).await
    }

    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.inner.find_customer(ctx, reference).await
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        self.inner.probe(ctx).await
    }
}
