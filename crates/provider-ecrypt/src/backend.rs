//! The adapter itself: which calls are made, and what is handed up.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, Cursor, CustomerBackend, Effect, ErrorKind, EventStyle,
    FindBy, ListOrder, MethodListing, Page, PageRequest, Permit, Prepared, Probe, Rejection,
    SendOutcome, SettleCreate, TokenRoute, TokenRule, Verb,
};
use model::{
    Address, FieldName, MethodFacts, MethodKind, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, Token, TokenKind,
};
use secrecy::ExposeSecret;
use transport::vendor::{self, List, malformed, path_for, tell_of};
use transport::{HttpRequest, HttpResponse, Transport};

use crate::config::{EcryptConfig, KIND};
use crate::map::{self, Mapping, Sent};
use crate::wire::{self, ECRYPT};

/// A wallet holds no more.
const WALLET: u32 = 4;

const fn spent(kind: TokenKind) -> TokenRule {
    TokenRule {
        kind,
        route: TokenRoute::Add,
        // How long a token lives is documented nowhere.
        max_age: None,
        single_use: true,
        with_default: true,
    }
}

/// Both kinds are spent by being saved.
const TOKENS: &[TokenRule] = &[spent(TokenKind::Gateway), spent(TokenKind::Transaction)];

/// One account at a provider of this style.
pub struct Ecrypt {
    mapping: Mapping,
    transliterated: &'static [FieldName],
    transport: Arc<Transport>,
}

impl fmt::Debug for Ecrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecrypt").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

impl Ecrypt {
    /// An account over a transport that was made with [`EcryptConfig::credentials`].
    ///
    /// # Errors
    /// As [`EcryptConfig::check`].
    pub fn new(config: &EcryptConfig, transport: Arc<Transport>) -> Result<Self, BackendError> {
        config.check()?;
        let mapping =
            Mapping { casing: config.casing, reference_field: config.reference_field.clone() };
        let transliterated = if config.transliterate { map::ASCII_FIELDS } else { &[] };
        Ok(Self { mapping, transliterated, transport })
    }

    /// Reads, and believes only what is neither an error nor holds one.
    async fn get(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        request: HttpRequest,
    ) -> Result<HttpResponse, BackendError> {
        let response = self.transport.read(ctx, doing, request).await?;
        match ECRYPT.expect_success(doing, &response, &ECRYPT.echo()) {
            Ok(()) => Ok(response),
            Err(mut error) => {
                if let Some(id) = wire::request_id(&response.body) {
                    error.request_id = Some(id.into());
                }
                Err(error)
            }
        }
    }

    async fn list(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        request: HttpRequest,
        names: &[&str],
    ) -> Result<(HttpResponse, List), BackendError> {
        let response = self.get(ctx, doing, request).await?;
        let list =
            ECRYPT.list(&response.body, names).map_err(|why| malformed(doing, &response, why))?;
        if ECRYPT.row(&list.envelope).is_ok_and(wire::has_errors) {
            return Err(malformed(doing, &response, wire::STRANGE_ERRORS));
        }
        Ok((response, list))
    }
}

/// How many rows lie before a page. Nobody was handed a link.
fn rows_before(doing: &'static str, cursor: &Cursor) -> Result<u64, BackendError> {
    match cursor {
        Cursor::Offset(rows) => Ok(*rows),
        Cursor::Link(_) => {
            Err(BackendError::new(ErrorKind::Invalid, doing, "the provider links no pages"))
        }
    }
}

#[async_trait]
impl CustomerBackend for Ecrypt {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: KIND,
            create_customer: true,
            get_customer: true,
            update_customer: false,
            delete_customer: true,
            shows_deleted: false,
            find: FindBy::Nothing,
            customers_page: map::MOST_ROWS,
            customers_order: ListOrder::NewestFirst,
            customers_total: false,
            methods: MethodListing::PerCustomer,
            methods_page: None,
            method_kinds: &[MethodKind::Card, MethodKind::BankAccount],
            tokens: TOKENS,
            add_method: true,
            import_batch: None,
            import_dedupes: false,
            set_default: true,
            default_readable: true,
            account_type_readable: false,
            remove_method: true,
            methods_per_customer: Some(WALLET),
            idempotency_keys: false,
            settle_create: SettleCreate::Scan,
            fields: map::FIELDS,
            transliterated: self.transliterated,
            metadata_replaced: false,
            events: EventStyle::Customers,
            endpoints: map::ENDPOINTS,
        }
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        self.mapping.prepare(effect)
    }

    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        _billing: &Address,
    ) -> Result<(), Rejection> {
        map::token(route, facts, token).map(drop)
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let request = HttpRequest::carrying(&prepared);
        let mut stated = None;
        let mut outcome =
            vendor::send(&self.transport, ctx, &prepared, request, permit, |response| {
                stated = wire::request_id(&response.body);
                let body = prepared.body.expose_secret();
                let sent = Sent { mapping: &self.mapping, kind: prepared.kind, body };
                vec![sent.outcome(response.status, &response.body)]
            })
            .await;
        outcome.call.request_id = stated.or(outcome.call.request_id);
        outcome
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        const DOING: &str = "list customers";
        let before = rows_before(DOING, &page.cursor)?;
        let request = HttpRequest {
            query: map::page_query(before, page.size),
            ..HttpRequest::new(Verb::Get, map::CUSTOMERS, map::CUSTOMERS.to_owned())
        };
        let (response, list) = self.list(ctx, DOING, request, wire::CUSTOMERS).await?;
        let received = list.received();
        let next = (received > 0).then(|| Cursor::Offset(before.saturating_add(received)));
        Ok(ECRYPT.page(&response, list, wire::ID, |row| self.mapping.customer(row), next))
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        _page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        const DOING: &str = "list payment methods";
        let path = path_for(DOING, map::METHODS, &[customer.as_str()])?;
        let request = HttpRequest {
            query: map::page_query(0, map::MOST_ROWS),
            ..HttpRequest::new(Verb::Get, map::METHODS, path)
        };
        let (response, list) = self.list(ctx, DOING, request, wire::METHODS).await?;
        Ok(ECRYPT.page(&response, list, wire::ID, map::method, None))
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "get customer";
        let path = path_for(DOING, map::CUSTOMER, &[id.as_str()])?;
        let request = HttpRequest::new(Verb::Get, map::CUSTOMER, path);
        let response = match self.get(ctx, DOING, request).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            response => response?,
        };
        let bad = |why: &str| malformed(DOING, &response, why);
        let (answer, card_numbers_at) = ECRYPT.object(&response.body).map_err(bad)?;
        tell_of(&card_numbers_at, DOING);
        let answer = ECRYPT.row(&answer).map_err(|unfit| bad(&unfit.0))?;
        if wire::has_errors(answer) {
            return Err(bad(wire::STRANGE_ERRORS));
        }
        let Some(shown) = wire::one(answer, "customer", "customers").map_err(bad)? else {
            return Ok(None);
        };
        let customer = self
            .mapping
            .customer(shown)
            .map_err(|unfit| bad(&format!("the customer cannot be read: {}", unfit.0)))?;
        if customer.id != *id {
            return Err(bad("the answer is of another customer"));
        }
        Ok(Some(customer))
    }

    async fn find_customer(
        &self,
        _ctx: &CallCtx,
        _reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let why = "the provider has no search";
        Err(BackendError::new(ErrorKind::Unsupported, "find customer", why))
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        let first = self.list_customers(ctx, &PageRequest::first(1)).await?;
        Ok(Probe { summary: vendor::seen(&first), as_of: first.as_of })
    }
}

#[cfg(test)]
mod tests;
