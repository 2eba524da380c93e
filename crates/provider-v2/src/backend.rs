//! The adapter itself: which calls are made, and what is handed up.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, Cursor, CustomerBackend, Effect, ErrorKind, EventStyle,
    FindBy, ListOrder, MethodListing, Page, PageRequest, Permit, Prepared, Probe, Rejection,
    SendOutcome, SettleCreate, TokenRoute, Verb,
};
use model::{
    Address, MethodFacts, MethodKind, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod,
    Token,
};
use secrecy::ExposeSecret;
use transport::vendor::{self, Echo, List, malformed, path_for, tell_of};
use transport::{HttpRequest, HttpResponse, Transport};

use crate::config::{KIND, V2Config};
use crate::map::{self, Sent};
use crate::wire::{self, VENDOR};

const JSON: &str = "application/json";
/// The greatest page that is asked for: adopted. The server may give fewer rows on any page.
const PAGE: u32 = 100;

/// One account at a provider of this style.
pub struct V2 {
    identity: String,
    transport: Arc<Transport>,
}

impl fmt::Debug for V2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V2").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl V2 {
    /// An account over a transport that was made with [`V2Config::credentials`].
    ///
    /// # Errors
    /// As [`V2Config::check`].
    pub fn new(config: &V2Config, transport: Arc<Transport>) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self { identity: config.identity().to_owned(), transport })
    }

    async fn read(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        request: HttpRequest,
        echo: &Echo,
    ) -> Result<HttpResponse, BackendError> {
        let response = self.transport.read(ctx, doing, typed(request)).await?;
        VENDOR.expect_success(doing, &response, echo)?;
        Ok(response)
    }

    /// One page of a list, and where the next begins: only an empty page is the end.
    async fn list(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        request: HttpRequest,
        page: &PageRequest,
    ) -> Result<(HttpResponse, List, Option<Cursor>), BackendError> {
        let Cursor::Offset(before) = page.cursor else {
            let why = "the provider's pages begin at an offset, not at a link";
            return Err(BackendError::new(ErrorKind::Invalid, doing, why));
        };
        let query = format!("limit={}&offset={before}", page.size.clamp(1, PAGE));
        let request = HttpRequest { query, ..request };
        let response = self.read(ctx, doing, request, &VENDOR.echo()).await?;
        let list = wire::list(&response.body).map_err(|why| malformed(doing, &response, why))?;
        let next = (!list.rows.is_empty()).then(|| Cursor::Offset(before + list.received()));
        Ok((response, list, next))
    }

    /// The one customer at a path; `None` when the vendor says that nobody is there.
    async fn customer_at(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        route: &'static str,
        path: String,
        echo: &Echo,
    ) -> Result<Option<(HttpResponse, RemoteCustomer)>, BackendError> {
        let request = HttpRequest::new(Verb::Get, route, path);
        let response = match self.read(ctx, doing, request, echo).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let unfit = |why: &str| malformed(doing, &response, why);
        let (row, card_numbers_at) = VENDOR.object(&response.body).map_err(unfit)?;
        tell_of(&card_numbers_at, doing);
        wire::approved(&row).map_err(unfit)?;
        let customer = map::customer(&row)
            .map_err(|why| unfit(&format!("the customer cannot be read: {}", why.0)))?;
        Ok(Some((response, customer)))
    }

    async fn find(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        reference: &str,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let path = path_for(doing, map::BY_REFERENCE, &[reference])?;
        let echo = VENDOR.echo_of_text(reference);
        let found = self.customer_at(ctx, doing, map::BY_REFERENCE, path, &echo).await?;
        Ok(found.map(|(_, customer)| customer))
    }
}

/// The vendor wants both headers on every call, with or without a body.
fn typed(request: HttpRequest) -> HttpRequest {
    HttpRequest { content_type: Some(JSON), headers: vec![("accept", JSON.into())], ..request }
}

#[async_trait]
impl CustomerBackend for V2 {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: KIND,
            create_customer: true,
            get_customer: true,
            update_customer: true,
            delete_customer: true,
            shows_deleted: true,
            find: FindBy::UniqueReference,
            customers_page: PAGE,
            customers_order: ListOrder::NewestFirst,
            customers_total: false,
            methods: MethodListing::PerCustomer,
            methods_page: Some(PAGE),
            method_kinds: &[MethodKind::Card],
            tokens: &[],
            add_method: false,
            import_batch: None,
            import_dedupes: false,
            set_default: false,
            default_readable: false,
            account_type_readable: false,
            remove_method: false,
            methods_per_customer: None,
            idempotency_keys: false,
            settle_create: SettleCreate::UniqueReference,
            fields: map::FIELDS,
            transliterated: &[],
            metadata_replaced: false,
            events: EventStyle::Customers,
            endpoints: map::ENDPOINTS,
        }
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        map::prepare(effect)
    }

    fn accepts(
        &self,
        _route: TokenRoute,
        _facts: &MethodFacts,
        _token: Option<&Token>,
        _billing: &Address,
    ) -> Result<(), Rejection> {
        Err(map::not_portable())
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let request = typed(HttpRequest::carrying(&prepared));
        vendor::send(&self.transport, ctx, &prepared, request, permit, |response| {
            let sent = Sent { kind: prepared.kind, body: prepared.body.expose_secret() };
            vec![sent.outcome(response.status, &response.body)]
        })
        .await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        const DOING: &str = "list customers";
        let request = HttpRequest::new(Verb::Get, map::CUSTOMERS, map::CUSTOMERS.to_owned());
        let (response, list, next) = self.list(ctx, DOING, request, page).await?;
        Ok(VENDOR.page(&response, list, wire::CUSTOMER_ID, map::customer, next))
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        const DOING: &str = "list payment methods";
        let path = path_for(DOING, map::METHODS, &[customer.as_str()])?;
        let request = HttpRequest::new(Verb::Get, map::METHODS, path);
        let (response, list, next) = self.list(ctx, DOING, request, page).await?;
        let read = |row: &_| map::method(row, customer);
        Ok(VENDOR.page(&response, list, wire::METHOD_ID, read, next))
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "get customer";
        let path = path_for(DOING, map::CUSTOMER, &[id.as_str()])?;
        let found = self.customer_at(ctx, DOING, map::CUSTOMER, path, &VENDOR.echo()).await?;
        let Some((response, customer)) = found else { return Ok(None) };
        if customer.id != *id {
            return Err(malformed(DOING, &response, "the answer is of another customer"));
        }
        Ok(Some(customer))
    }

    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        self.find(ctx, "find customer", reference.as_str()).await
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        let first = self.list_customers(ctx, &PageRequest::first(1)).await?;
        let found = self.find(ctx, vendor::PROBING, &vendor::nobody()).await?;
        vendor::probed(&format!("merchant {}", self.identity), &first, found.is_some())
    }
}

#[cfg(test)]
mod tests;
