//! An account as the engine holds it: the backend with the guard and the tracing around it.

use std::sync::Arc;

use model::{AccountName, Address, MethodFacts, Reference, RemoteCustomerId, Token};
use tracing::{Instrument, debug_span, field};

use crate::{
    BackendError, CallCtx, Capabilities, CustomerBackend, Effect, ErrorKind, FindBy, Lane, Limits,
    MethodListing, Page, PageRequest, Permit, Prepared, Probe, Rejection, RemoteCustomer,
    RemoteMethod, SendOutcome, Timing, TokenRoute, Traffic, TrafficError,
};

/// One configured account: what the engine calls, and nothing else of a provider.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name in config.
    pub name: AccountName,
    /// Accounts that share one numbering of customers share a namespace.
    pub namespace: String,
    /// Its times.
    pub timing: Timing,
    backend: Arc<dyn CustomerBackend>,
    traffic: Arc<dyn Traffic>,
    capabilities: Capabilities,
}

fn guard(allowed: bool, doing: &'static str, kind: &'static str) -> Result<(), BackendError> {
    if allowed {
        return Ok(());
    }
    Err(BackendError::new(ErrorKind::Unsupported, doing, format!("{kind} has no such operation")))
}

async fn traced<T>(
    account: &AccountName,
    ctx: &CallCtx,
    doing: &'static str,
    call: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let span = debug_span!(
        "read",
        account = account.as_str(),
        run.id = ctx.run.as_ref().map(|run| field::display(run.clone())),
        lane = ctx.lane.as_str(),
        doing
    );
    call.instrument(span).await
}

impl Account {
    /// Puts an account together.
    #[must_use]
    pub fn new(
        name: AccountName,
        namespace: String,
        timing: Timing,
        backend: Arc<dyn CustomerBackend>,
        traffic: Arc<dyn Traffic>,
    ) -> Self {
        let capabilities = backend.capabilities();
        Self { name, namespace, timing, backend, traffic, capabilities }
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How many calls may be in flight at once.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.traffic.in_flight().max(1)
    }

    /// See [`Traffic::limits`].
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.traffic.limits()
    }

    /// See [`Traffic::reserve`].
    ///
    /// # Errors
    /// When credentials cannot be refreshed or the store not reached.
    pub async fn reserve(&self, lane: Lane, most: usize) -> Result<Vec<Permit>, TrafficError> {
        self.traffic.reserve(lane, most).await
    }

    /// See [`CustomerBackend::prepare`].
    ///
    /// # Errors
    /// [`Rejection`] when the effect cannot be sent.
    pub fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        self.backend.prepare(effect)
    }

    /// See [`CustomerBackend::accepts`].
    ///
    /// # Errors
    /// [`Rejection`] when the payment method cannot be saved.
    pub fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        billing: &Address,
    ) -> Result<(), Rejection> {
        self.backend.accepts(route, facts, token, billing)
    }

    /// See [`CustomerBackend::execute`].
    pub async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let span = debug_span!(
            "effect",
            account = self.name.as_str(),
            run.id = ctx.run.as_ref().map(|run| field::display(run.clone())),
            lane = ctx.lane.as_str(),
            kind = prepared.kind.as_str(),
            items = prepared.items,
            permit = permit.number(),
        );
        self.backend.execute(ctx, prepared, permit).instrument(span).await
    }

    /// See [`CustomerBackend::list_customers`].
    ///
    /// # Errors
    /// As the call below.
    pub async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        traced(&self.name, ctx, "list customers", self.backend.list_customers(ctx, page)).await
    }

    /// See [`CustomerBackend::list_methods`]. Refused where methods come inline.
    ///
    /// # Errors
    /// As the call below.
    pub async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        const DOING: &str = "list payment methods";
        guard(
            self.capabilities.methods == MethodListing::PerCustomer,
            DOING,
            self.capabilities.kind,
        )?;
        traced(&self.name, ctx, DOING, self.backend.list_methods(ctx, customer, page)).await
    }

    /// See [`CustomerBackend::get_customer`].
    ///
    /// # Errors
    /// As the call below.
    pub async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "get customer";
        guard(self.capabilities.get_customer, DOING, self.capabilities.kind)?;
        traced(&self.name, ctx, DOING, self.backend.get_customer(ctx, id)).await
    }

    /// See [`CustomerBackend::find_customer`].
    ///
    /// # Errors
    /// As the call below.
    pub async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "find customer";
        guard(self.capabilities.find != FindBy::Nothing, DOING, self.capabilities.kind)?;
        traced(&self.name, ctx, DOING, self.backend.find_customer(ctx, reference)).await
    }

    /// See [`CustomerBackend::probe`].
    ///
    /// # Errors
    /// As the call below.
    pub async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        traced(&self.name, ctx, "probe", self.backend.probe(ctx)).await
    }
}
