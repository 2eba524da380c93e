//! The adapter itself: which calls are made, and what is handed up.

use std::collections::HashMap;
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
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use transport::vendor::{self, List, encode, failure, malformed, path_for, tell_of};
use transport::{HttpRequest, HttpResponse, Transport};

use crate::config::{KIND, NodeRailsConfig};
use crate::map::{self, Sent};
use crate::wire::{self, Pagination, VENDOR};

/// The version that the contract was read for; the vendor refuses one that it does not know.
const VERSION: (&str, &str) = ("noderails-version", "2026-03-07");
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The greatest page that the vendor takes.
const CUSTOMERS_PAGE: u32 = 100;

/// One app of a NodeRails merchant.
pub struct NodeRails {
    app_id: Box<str>,
    transport: Arc<Transport>,
}

impl fmt::Debug for NodeRails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRails").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

/// A page of the customer list as it came.
struct Listed {
    response: HttpResponse,
    list: List,
    pagination: Pagination,
    next: Option<Cursor>,
    metadata: HashMap<String, String>,
}

impl NodeRails {
    /// An account over a transport that was made with [`NodeRailsConfig::credentials`].
    ///
    /// # Errors
    /// As [`NodeRailsConfig::check`].
    pub fn new(config: &NodeRailsConfig, transport: Arc<Transport>) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self { app_id: config.app_id.as_str().into(), transport })
    }

    /// Reads a page of the customers of this app, or of those among them that a search finds.
    async fn list(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        page: &PageRequest,
        search: Option<&str>,
    ) -> Result<Listed, BackendError> {
        let Cursor::Offset(offset) = page.cursor else {
            let why = "the provider's list is numbered, and was asked for by a link";
            return Err(BackendError::new(ErrorKind::Unsupported, doing, why));
        };
        let size = u64::from(page.size.clamp(1, CUSTOMERS_PAGE));
        let number = map::page_at(offset, size);
        let mut query = format!("appId={}&page={number}&pageSize={size}", encode(&self.app_id));
        if let Some(search) = search {
            query.push_str(&format!("&search={}", encode(search)));
        }
        let request = HttpRequest { query, ..get(map::CUSTOMERS, map::CUSTOMERS.to_owned()) };
        let response = self.transport.read(ctx, doing, request).await?;
        let echo = search.map_or_else(|| VENDOR.echo(), |search| VENDOR.echo_of_text(search));
        VENDOR.expect_success(doing, &response, &echo)?;
        let (list, pagination) =
            wire::list(&response.body).map_err(|why| malformed(doing, &response, why))?;
        if pagination.page.is_some_and(|shown| shown != number) {
            return Err(malformed(doing, &response, "the answer is another page"));
        }
        if list.rows.iter().any(|row| !self.is_of_app(row)) {
            return Err(malformed(doing, &response, OTHER_APP));
        }
        let next = map::next_page(number, size, list.received(), &pagination);
        let metadata = wire::metadata(&response.body);
        Ok(Listed { response, list, pagination, next, metadata })
    }

    /// A merchant's apps share a key.
    fn is_of_app(&self, row: &Value) -> bool {
        let app = row.get("appId").and_then(Value::as_str);
        app.is_none_or(|app| app.eq_ignore_ascii_case(&self.app_id))
    }
}

const OTHER_APP: &str = "the answer shows a customer of another app";

fn get(route: &'static str, path: String) -> HttpRequest {
    versioned(HttpRequest::new(Verb::Get, route, path))
}

fn versioned(request: HttpRequest) -> HttpRequest {
    let (name, version) = VERSION;
    HttpRequest { headers: vec![(name, SecretString::from(version))], ..request }
}

/// The one customer of an answer.
fn customer(
    doing: &'static str,
    response: &HttpResponse,
    row: &Value,
    metadata: &HashMap<String, String>,
) -> Result<RemoteCustomer, BackendError> {
    map::customer_read(row, metadata).map_err(|unfit| {
        malformed(doing, response, &format!("the customer cannot be read: {}", unfit.0))
    })
}

#[async_trait]
impl CustomerBackend for NodeRails {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: KIND,
            create_customer: true,
            get_customer: true,
            update_customer: true,
            delete_customer: false,
            shows_deleted: false,
            find: FindBy::Search,
            customers_page: CUSTOMERS_PAGE,
            customers_order: ListOrder::NewestFirst,
            customers_total: true,
            methods: MethodListing::Inline,
            methods_page: None,
            method_kinds: &[MethodKind::CryptoWallet],
            tokens: &[],
            add_method: true,
            import_batch: None,
            import_dedupes: false,
            set_default: false,
            default_readable: false,
            account_type_readable: false,
            remove_method: true,
            methods_per_customer: None,
            idempotency_keys: true,
            settle_create: SettleCreate::IdempotencyKey,
            fields: map::FIELDS,
            transliterated: &[],
            metadata_replaced: true,
            events: EventStyle::None,
            endpoints: map::ENDPOINTS,
        }
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        map::prepare(effect, &self.app_id)
    }

    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        _billing: &Address,
    ) -> Result<(), Rejection> {
        map::accepts(route, facts, token)
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let mut request = versioned(HttpRequest::carrying(&prepared));
        // The vendor keeps keys of POST and PUT only.
        if let Some(key) = ctx.idempotency_key.as_deref().filter(|_| prepared.verb != Verb::Delete)
        {
            request.headers.push((IDEMPOTENCY_KEY, key.into()));
        }
        vendor::send(&self.transport, ctx, &prepared, request, permit, |response| {
            let (kind, path) = (prepared.kind, prepared.path.as_str());
            let sent = Sent { kind, path, body: prepared.body.expose_secret() };
            vec![sent.outcome(response.status, &response.body)]
        })
        .await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        let Listed { response, list, pagination, next, metadata } =
            self.list(ctx, "list customers", page, None).await?;
        let read = |row: &Value| map::customer_read(row, &metadata);
        let page = VENDOR.page(&response, list, wire::ID, read, next);
        Ok(Page { total: Some(pagination.total), ..page })
    }

    async fn list_methods(
        &self,
        _ctx: &CallCtx,
        _customer: &RemoteCustomerId,
        _page: &PageRequest,
    ) -> Result<Page<RemoteMethod>, BackendError> {
        let why = "wallets come with their customer";
        Err(BackendError::new(ErrorKind::Unsupported, "list payment methods", why))
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "get customer";
        let path = path_for(DOING, map::CUSTOMER, &[id.as_str()])?;
        let response = self.transport.read(ctx, DOING, get(map::CUSTOMER, path)).await?;
        match VENDOR.expect_success(DOING, &response, &VENDOR.echo()) {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        let (row, card_numbers_at) =
            wire::object(&response.body).map_err(|why| malformed(DOING, &response, why))?;
        tell_of(&card_numbers_at, DOING);
        let customer = customer(DOING, &response, &row, &wire::metadata(&response.body))?;
        if customer.id != *id {
            return Err(malformed(DOING, &response, "the answer is of another customer"));
        }
        if !self.is_of_app(&row) {
            return Err(malformed(DOING, &response, OTHER_APP));
        }
        Ok(Some(customer))
    }

    /// Reads what the search finds to its end, which may be many: it looks for a piece of the name,
    /// the e-mail address and the reference, and a second customer of the reference may come last.
    async fn find_customer(
        &self,
        ctx: &CallCtx,
        reference: &Reference,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "find customer";
        let mut page = PageRequest::first(CUSTOMERS_PAGE);
        let mut found: Option<RemoteCustomer> = None;
        loop {
            let listed = self.list(ctx, DOING, &page, Some(reference.as_str())).await?;
            tell_of(&listed.list.card_numbers_at, DOING);
            let is_it = |row: &&Value| {
                row.get("externalId").and_then(Value::as_str) == Some(reference.as_str())
            };
            for row in listed.list.rows.iter().filter(is_it) {
                let one = customer(DOING, &listed.response, row, &listed.metadata)?;
                if found.as_ref().is_some_and(|found| found.id != one.id) {
                    let why = "more than one customer of this reference is there";
                    return Err(failure(ErrorKind::Conflict, DOING, &listed.response, why));
                }
                found = Some(one);
            }
            let Some(next) = listed.next else { return Ok(found) };
            let beyond = listed.pagination.total + u64::from(CUSTOMERS_PAGE);
            if matches!(next, Cursor::Offset(rows) if rows > beyond) {
                return Err(malformed(DOING, &listed.response, "the search does not end"));
            }
            // As few rows as the vendor gives: else the same page would be asked for for ever.
            let given = listed.pagination.size.and_then(|size| u32::try_from(size).ok());
            page.size = given.map_or(page.size, |given| given.clamp(1, page.size));
            page.cursor = next;
        }
    }

    async fn probe(&self, ctx: &CallCtx) -> Result<Probe, BackendError> {
        let page = PageRequest::first(1);
        let first = self.list_customers(ctx, &page).await?;
        let found = self.list(ctx, vendor::PROBING, &page, Some(&vendor::nobody())).await?;
        let found = found.list.received() > 0;
        vendor::probed(&format!("app {}", self.app_id), &first, found)
    }
}

#[cfg(test)]
mod tests;
