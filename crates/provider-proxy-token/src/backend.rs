//! The adapter itself: which calls are made, and what is handed up.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, Cursor, CustomerBackend, Effect, Endpoint, Endpoints,
    ErrorKind, EventStyle, FieldRule, FindBy, ListOrder, MethodListing, Page, PageRequest, Permit,
    Prepared, Probe, Rejection, SendOutcome, SettleCreate, TokenRoute, TokenRule, Verb,
};
use model::{
    Address, FieldName, MethodFacts, MethodKind, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, Token, TokenKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use transport::vendor::{self, Echo, List, malformed, path_for, tell_of};
use transport::{HttpRequest, HttpResponse, Transport};
use url::Url;

use crate::config::{KIND, ProxyTokenConfig};
use crate::map::{self, Sent};
use crate::wire::{self, VENDOR};

/// Every call says for which merchant it is.
const ACCOUNT_HEADER: &str = "x-payment-account-uid";
/// The greatest page of customers that is asked for: adopted.
const CUSTOMERS_PAGE: u32 = 100;
/// Stands in the fragment of a next link, which is never sent: how many rows lie before it.
const ROWS_BEFORE: &str = "#onfile-rows=";

/// Proxynized tokens live 15 minutes and are spent by being saved; the processor's own live on.
const TOKENS: &[TokenRule] = &[
    TokenRule {
        kind: TokenKind::Processor,
        route: TokenRoute::Bulk,
        max_age: None,
        single_use: false,
        with_default: true,
    },
    TokenRule {
        kind: TokenKind::Proxynized,
        route: TokenRoute::Add,
        max_age: Some(std::time::Duration::from_secs(15 * 60)),
        single_use: true,
        with_default: false,
    },
];

/// The vendor states no lengths, and that neither is required: adopted.
const FIELDS: &[FieldRule] = &[
    FieldRule { field: FieldName::Name, min: 1, max: None, required: false },
    FieldRule { field: FieldName::Email, min: 1, max: None, required: false },
];

/// One account at a provider of this style.
pub struct ProxyToken {
    uid: SecretString,
    import_batch: u32,
    import_dedupes: bool,
    credentials: Option<Endpoint>,
    transport: Arc<Transport>,
}

impl fmt::Debug for ProxyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyToken").field("uid", &self.identity()).finish_non_exhaustive()
    }
}

impl ProxyToken {
    /// An account over a transport that was made with [`ProxyTokenConfig::credentials`].
    ///
    /// # Errors
    /// As [`ProxyTokenConfig::check`].
    pub fn new(config: &ProxyTokenConfig, transport: Arc<Transport>) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self {
            uid: config.payment_account_uid.as_str().into(),
            import_batch: config.import_batch,
            import_dedupes: config.import_dedupes,
            credentials: config.credentials_endpoint(),
            transport,
        })
    }

    /// What makes this account this account, besides its host (rule 1).
    #[must_use]
    pub fn identity(&self) -> &str {
        self.uid.expose_secret()
    }

    fn request(&self, request: HttpRequest) -> HttpRequest {
        HttpRequest { headers: vec![(ACCOUNT_HEADER, self.uid.clone())], ..request }
    }

    fn get(&self, route: &'static str, path: String) -> HttpRequest {
        self.request(HttpRequest::new(Verb::Get, route, path))
    }

    /// A read of an address that the vendor gave. Whether it is of the same origin is checked
    /// by the transport.
    fn follow(&self, route: &'static str, link: &str) -> HttpRequest {
        let link = link.split('#').next().unwrap_or_default();
        let (path, query) = match link.split_once('?') {
            Some((path, query)) if link.starts_with('/') => (path, query),
            _ => (link, ""),
        };
        HttpRequest { query: query.to_owned(), ..self.get(route, path.to_owned()) }
    }

    async fn list(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        request: HttpRequest,
        names: &[&str],
        echo: &Echo,
    ) -> Result<(HttpResponse, List), BackendError> {
        let response = self.transport.read(ctx, doing, request).await?;
        VENDOR.expect_success(doing, &response, echo)?;
        let list =
            VENDOR.list(&response.body, names).map_err(|why| malformed(doing, &response, why))?;
        Ok((response, list))
    }

    /// The first row that the vendor names for a reference, whatever it is.
    async fn find(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        reference: &str,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let request = HttpRequest {
            query: map::find_query(reference),
            ..self.get(map::CUSTOMERS, map::CUSTOMERS.to_owned())
        };
        let echo = VENDOR.echo_of_text(reference);
        let (response, list) = self.list(ctx, doing, request, wire::CUSTOMERS, &echo).await?;
        tell_of(&list.card_numbers_at, doing);
        list.rows.first().map(|row| customer(doing, &response, row)).transpose()
    }
}

/// The one customer of an answer.
fn customer(
    doing: &'static str,
    response: &HttpResponse,
    row: &Value,
) -> Result<RemoteCustomer, BackendError> {
    map::customer(row).map_err(|unfit| {
        malformed(doing, response, &format!("the customer cannot be read: {}", unfit.0))
    })
}

/// A next link as the transport takes it: a path where the vendor gave a relative one (OData
/// allows that), else as it is. With the count of the rows before it, where that is known.
fn link(route_path: &str, link: &str, rows_before: Option<u64>) -> Option<String> {
    const NOWHERE: &str = "onfile.invalid";
    let base = Url::parse(&format!("https://{NOWHERE}{route_path}")).ok()?;
    let mut url = base.join(link).ok()?;
    url.set_fragment(None);
    let mut link = if url.host_str() == Some(NOWHERE) {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", url.path())
    } else {
        url.to_string()
    };
    if let Some(rows) = rows_before {
        link.push_str(ROWS_BEFORE);
        link.push_str(&rows.to_string());
    }
    Some(link)
}

/// How many rows lie before a page, where that is known.
fn rows_before(cursor: &Cursor) -> Option<u64> {
    match cursor {
        Cursor::Offset(rows) => Some(*rows),
        Cursor::Link(link) => link.rsplit_once(ROWS_BEFORE)?.1.parse().ok(),
    }
}

/// Where the page after this one begins. A link leads on where there is one. Where there is none,
/// only an empty page is the end: under OData a server that gives fewer rows than `$top` links to
/// the rest of those and no further.
fn next_page(
    doing: &'static str,
    request: &PageRequest,
    path: &str,
    response: &HttpResponse,
    list: &List,
) -> Result<Option<Cursor>, BackendError> {
    let before = rows_before(&request.cursor).map(|rows| rows + list.received());
    let next = wire::next_link(list).map_err(|why| malformed(doing, response, why))?;
    let Some(next) = next else {
        return Ok(before.filter(|_| !list.rows.is_empty()).map(Cursor::Offset));
    };
    let next = link(path, next, before)
        .ok_or_else(|| malformed(doing, response, "`@odata.nextLink` is not an address"))?;
    let address = |link: &str| link.split('#').next().map(str::to_owned);
    match &request.cursor {
        Cursor::Link(this) if address(this) == address(&next) => {
            Err(malformed(doing, response, "the page gives itself as the next"))
        }
        _ => Ok(Some(Cursor::Link(next))),
    }
}

#[async_trait]
impl CustomerBackend for ProxyToken {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: KIND,
            create_customer: true,
            get_customer: true,
            update_customer: false,
            delete_customer: false,
            shows_deleted: false,
            find: FindBy::UniqueReference,
            customers_page: CUSTOMERS_PAGE,
            customers_order: ListOrder::Unspecified,
            customers_total: false,
            methods: MethodListing::PerCustomer,
            methods_page: None,
            method_kinds: &[MethodKind::Card, MethodKind::BankAccount],
            tokens: TOKENS,
            add_method: true,
            import_batch: Some(self.import_batch),
            import_dedupes: self.import_dedupes,
            set_default: true,
            default_readable: true,
            account_type_readable: true,
            remove_method: true,
            methods_per_customer: None,
            idempotency_keys: false,
            settle_create: SettleCreate::UniqueReference,
            fields: FIELDS,
            transliterated: &[],
            metadata_replaced: false,
            events: EventStyle::PaymentMethods,
            endpoints: Endpoints { credentials: self.credentials, ..map::ENDPOINTS },
        }
    }

    fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        map::prepare(effect, self.import_batch)
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
        let request = self.request(HttpRequest::carrying(&prepared));
        vendor::send(&self.transport, ctx, &prepared, request, permit, |response| {
            let body = prepared.body.expose_secret();
            let sent = Sent { kind: prepared.kind, items: prepared.items, body };
            sent.outcomes(response.status, &response.body)
        })
        .await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        const DOING: &str = "list customers";
        let request = match &page.cursor {
            Cursor::Offset(rows) => HttpRequest {
                query: format!("$top={}&$skip={rows}", page.size.clamp(1, CUSTOMERS_PAGE)),
                ..self.get(map::CUSTOMERS, map::CUSTOMERS.to_owned())
            },
            Cursor::Link(link) => self.follow(map::CUSTOMERS, link),
        };
        let (response, list) =
            self.list(ctx, DOING, request, wire::CUSTOMERS, &VENDOR.echo()).await?;
        let next = next_page(DOING, page, map::CUSTOMERS, &response, &list)?;
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
        // One answer holds them all; should the vendor ever link to more, that is followed too.
        let request = match &page.cursor {
            Cursor::Offset(_) => self.get(map::METHODS, path.clone()),
            Cursor::Link(link) => self.follow(map::METHODS, link),
        };
        let (response, list) =
            self.list(ctx, DOING, request, wire::METHODS, &VENDOR.echo()).await?;
        let next = next_page(DOING, page, &path, &response, &list)?;
        let next = next.filter(|next| matches!(next, Cursor::Link(_)));
        Ok(VENDOR.page(&response, list, wire::METHOD_ID, map::method, next))
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        const DOING: &str = "get customer";
        let path = path_for(DOING, map::CUSTOMER, &[id.as_str()])?;
        let request = self.get(map::CUSTOMER, path);
        let response = self.transport.read(ctx, DOING, request).await?;
        match VENDOR.expect_success(DOING, &response, &VENDOR.echo()) {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        let (row, card_numbers_at) =
            VENDOR.object(&response.body).map_err(|why| malformed(DOING, &response, why))?;
        tell_of(&card_numbers_at, DOING);
        let customer = customer(DOING, &response, &row)?;
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
        vendor::probed(&format!("payment account {}", self.identity()), &first, found.is_some())
    }
}

#[cfg(test)]
mod tests;
