//! Backends that do something else than the one they stand around, in one method or two.

use std::fmt;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, CustomerBackend, Effect, Page, PageRequest, Permit,
    Prepared, Probe, Rejection, SendOutcome, TokenRoute,
};
use model::{
    Address, MethodFacts, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod, Token,
};
use secrecy::{ExposeSecret as _, SecretSlice};

/// Stands around a backend: what it does not do itself is handed on.
#[async_trait]
pub trait Around: fmt::Debug + Send + Sync {
    /// What it stands around.
    fn inner(&self) -> &dyn CustomerBackend;

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        self.inner().execute(ctx, prepared, permit).await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        self.inner().list_customers(ctx, page).await
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.inner().get_customer(ctx, id).await
    }
}

/// What stands around a backend, as a backend.
#[derive(Debug)]
pub struct Wrapped<A>(pub A);

/// The same request once more.
pub fn copy(prepared: &Prepared) -> Prepared {
    Prepared {
        path: prepared.path.clone(),
        body: SecretSlice::from(prepared.body.expose_secret().to_vec()),
        ..*prepared
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Around> CustomerBackend for Wrapped<A> {
    fn capabilities(&self) -> Capabilities {
        self.0.inner().capabilities()
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        self.0.inner().prepare(effect)
    }

    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        billing: &Address,
    ) -> Result<(), Rejection> {
        self.0.inner().accepts(route, facts, token, billing)
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        self.0.execute(ctx, prepared, permit).await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        self.0.list_customers(ctx, page).await
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        self.0.inner().list_methods(ctx, customer, page).await
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.0.get_customer(ctx, id).await
    }

    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.0.inner().find_customer(ctx, reference).await
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        self.0.inner().probe(ctx).await
    }
}
