//! What every provider is to the engine: [`CustomerBackend`], and beside it what it can do
//! ([`Capabilities`]), what it is asked ([`Effect`], [`PageRequest`]) and what it answers
//! ([`SendOutcome`], [`Page`], [`BackendError`]).
//!
//! No HTTP and no provider's name. The engine holds an [`Account`], which puts the guard and the
//! tracing around a backend; permits come from [`Traffic`], which `transport` implements.

mod account;
mod capabilities;
mod effect;
mod error;
mod event;
mod remote;
mod traffic;

use std::fmt;

use async_trait::async_trait;
use model::{Address, MethodFacts, Reference, RemoteCustomerId, Token};

pub use account::Account;
pub use capabilities::{
    Capabilities, Endpoint, Endpoints, EventStyle, FieldRule, FindBy, ListOrder, MethodListing,
    SettleCreate, TokenRoute, TokenRule,
};
pub use effect::{
    Applied, CallFacts, Effect, ItemOutcome, NewMethod, NotSent, Prepared, Refusal, Rejection,
    SendOutcome, Verb,
};
pub use error::{BackendError, ErrorKind};
pub use event::{EventHint, EventSource, HookError, HookRequest};
pub use model::{RemoteCustomer, RemoteMethod, RemoteStatus};
pub use remote::{Cursor, Page, PageRequest, Probe, Unreadable};
pub use traffic::{
    CallCounter, CallCtx, Lane, Limits, Permit, Slot, Timing, Traffic, TrafficError,
};

/// A provider account, spoken to in canonical words only. One implementation for each provider
/// style. No method has a default body: a wrapper that forgot one would silently lose it.
#[async_trait]
pub trait CustomerBackend: Send + Sync + fmt::Debug {
    /// What this account can do: constant for the life of the value.
    fn capabilities(&self) -> Capabilities;

    /// Builds the one request that carries out an effect, or says why it cannot be sent: a field
    /// outside the provider's limits, a token kind it does not take, an operation it lacks. Pure:
    /// planning calls it too, and a rejection here means that nothing was sent.
    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection>;

    /// Whether a payment method could be saved by this route, as [`CustomerBackend::prepare`]
    /// judges it, without writing the request: it is asked for every row of a file.
    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        billing: &Address,
    ) -> Result<(), Rejection>;

    /// Sends a prepared request: exactly one attempt, never split, never repeated. The permit is
    /// consumed right before the first byte; when it is too late by then, every item is
    /// [`ItemOutcome::NotSent`]. One [`ItemOutcome`] for each item of the effect, in its order.
    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome;

    /// One page of the account's customers. An empty page is the end, whatever its size was asked
    /// to be. Reads may be repeated below this.
    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError>;

    /// One page of a customer's payment methods. [`ErrorKind::NotFound`] when the provider says,
    /// by its own error body, that it has no such customer.
    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError>;

    /// One customer by the provider's id; `None` only when the provider's own error body says
    /// that it is not there. Whether that proves removal is the caller's decision (rule 1).
    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError>;

    /// The customer that the provider names for our reference. The answer is handed up as it is:
    /// whether it is believed (equal byte for byte, not deleted) is the caller's decision (rule 2).
    /// [`ErrorKind::Conflict`] where it shows two of exactly this reference: none of them is picked.
    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError>;

    /// One cheap read that shows whether credentials and account are right.
    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError>;
}
