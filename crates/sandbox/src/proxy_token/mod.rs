//! The `proxy-token` style: Govifi / Caselle Payments API, written from
//! `docs/providers/proxy-token.contract.md`. What the contract leaves open is listed in the
//! crate's docs.md under "adopted".

mod access;
mod bulk;
mod calls;
mod config;
mod list;
mod merchant;
mod outside;
mod seed;
mod wire;

pub use config::{Account, Config, Envelope, IdField, MethodShape, NextLink, Shape};

use crate::accounts::{Accounts, Shown};
use crate::change::{Change, ChangeError, Changed};
use crate::clock::WallClock;
use crate::config::Kind;
use crate::style::{Style, Way};
use crate::vendor::{Answer, Call, NOWHERE, Twist, UNKNOWN, Vendor};
use access::Access;
use http::{Method, StatusCode};
use merchant::Merchant;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The header that selects the merchant.
const ACCOUNT: &str = "x-payment-account-uid";

impl Style for Config {
    const NAME: &'static str = "proxy-token";
    const ENDPOINTS: &'static [&'static str] = &[
        "token",
        "create_customer",
        "find_customer",
        "get_customer",
        "list_customers",
        "add_method",
        "list_methods",
        "set_default",
        "remove_method",
        "bulk_import",
    ];
    const WAY: Way = Way {
        account: "gov",
        settings: "payment_account_uid = \"pa_main\"\n",
        secret: ("bearer", "sandbox-bearer"),
    };
    const APART: &'static str = "uid";

    fn names(&self) -> Vec<&str> {
        self.accounts.iter().map(|account| account.uid.as_str()).collect()
    }

    fn open(self, seed: u64, customers: usize, clock: WallClock) -> Box<dyn Vendor> {
        Box::new(ProxyToken::new(self, seed, customers, clock))
    }
}

/// The simulated vendor.
#[derive(Debug)]
pub(crate) struct ProxyToken {
    config: Config,
    seed: u64,
    clock: WallClock,
    state: Mutex<State>,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    access: Access,
    merchants: Accounts<Merchant>,
    /// Proxynized tokens that were used.
    spent: HashSet<String>,
}

/// A refusal with the vendor's own error body.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The `error` object, as in an answer of its own and in a bulk result.
    fn error(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(field), Some(fields)) = (&self.field, error.as_object_mut()) {
            fields.insert("field".to_owned(), field.as_str().into());
        }
        error
    }

    fn answer(&self, call: &Call) -> Answer {
        let body = json!({"error": self.error(), "request_id": request_id(call)});
        let mut answer = Answer::json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers.push((http::header::WWW_AUTHENTICATE, "Bearer".to_owned()));
        }
        answer
    }
}

fn request_id(call: &Call) -> String {
    format!("req_{:08x}", call.seq)
}

impl ProxyToken {
    /// A vendor with its seeded merchants.
    pub(crate) fn new(config: Config, seed: u64, customers: usize, clock: WallClock) -> Self {
        let accounts = config.accounts.iter().map(|a| (a.uid.as_str(), a.customers));
        let make = |uid: &str| Merchant::new(seed, uid, &config);
        let merchants = Accounts::seeded(accounts, customers, make, seed::fill);
        let access = Access::new(seed);
        let state = Mutex::new(State { access, merchants, spent: HashSet::new() });
        Self { config, seed, clock, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks who calls and for which merchant, then does it.
    fn api(
        &self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        let mut state = self.state();
        let State { access, merchants, spent } = &mut *state;
        access.check(call, &self.config, self.clock.now())?;
        if endpoint == UNKNOWN {
            return Err(unknown_route(call));
        }
        let uid = self.account(call).filter(|uid| !uid.is_empty()).ok_or_else(|| {
            let message = "the header X-Payment-Account-Uid is required";
            Refused::new(StatusCode::BAD_REQUEST, "account_required", message)
        })?;
        if uid == NOWHERE || merchants.get(uid).is_none() {
            let message = "this client has no such payment account";
            return Err(Refused::new(StatusCode::FORBIDDEN, "unknown_account", message));
        }
        let acted_on = if twist == Some(Twist::EmptyAccount) { NOWHERE } else { uid };
        let Some(merchant) = merchants.get_mut(acted_on) else {
            let message = "the payment account is gone";
            return Err(Refused::new(StatusCode::FORBIDDEN, "unknown_account", message));
        };
        let now = self.clock.now();
        let mut desk = calls::Desk { config: &self.config, seed: self.seed, merchant, spent, now };
        let mut answer = desk.serve(endpoint, call, twist)?;
        answer.twisted |= twist == Some(Twist::EmptyAccount);
        Ok(answer)
    }
}

/// Nothing stands at this path, or not for this HTTP method.
fn unknown_route(call: &Call) -> Refused {
    let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE]
        .iter()
        .any(|method| route(method, &call.path, None) != UNKNOWN);
    if known {
        let message = "this path does not take this HTTP method";
        Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    } else {
        Refused::new(StatusCode::NOT_FOUND, "route_not_found", "nothing stands at this path")
    }
}

fn route(method: &Method, path: &str, query: Option<&str>) -> &'static str {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["oauth2", "token"]) => "token",
        ("POST", ["api", "customers"]) => "create_customer",
        ("GET", ["api", "customers"]) => {
            let pairs = crate::vendor::pairs(query.unwrap_or_default());
            let found = pairs.iter().any(|(name, _)| name == "$filter");
            if found { "find_customer" } else { "list_customers" }
        }
        ("GET", ["api", "customers", _]) => "get_customer",
        ("POST", ["api", "customers", _, "payment-methods"]) => "add_method",
        ("GET", ["api", "customers", _, "payment-methods"]) => "list_methods",
        ("PUT", ["api", "customers", _, "default-payment-method"]) => "set_default",
        ("DELETE", ["api", "customers", _, "payment-methods", _]) => "remove_method",
        ("POST", ["api", "saved-payment-methods", "import"]) => "bulk_import",
        _ => UNKNOWN,
    }
}

impl Vendor for ProxyToken {
    fn kind(&self) -> Kind {
        Kind::ProxyToken
    }

    fn route(&self, call: &Call) -> &'static str {
        route(&call.method, &call.path, call.query.as_deref())
    }

    fn unmetered(&self, endpoint: &str) -> bool {
        endpoint == "token"
    }

    fn account<'c>(&self, call: &'c Call) -> Option<&'c str> {
        call.header(ACCOUNT).map(str::trim)
    }

    fn references(&self, endpoint: &str, call: &Call) -> Vec<String> {
        let state = self.state();
        let merchant = self.account(call).and_then(|uid| state.merchants.get(uid));
        calls::references(endpoint, call, merchant)
    }

    fn execute(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer {
        if endpoint == "token" {
            return self.state().access.issue(call, &self.config, self.clock.now());
        }
        self.api(endpoint, call, twist).unwrap_or_else(|refused| {
            let mut answer = refused.answer(call);
            answer.twisted = twist == Some(Twist::EmptyAccount);
            answer
        })
    }

    fn refusal(&self, call: &Call, status: StatusCode, code: &str, message: &str) -> Answer {
        let error = json!({"code": code, "message": message});
        Answer::json(status, &json!({"error": error, "request_id": request_id(call)}))
    }

    fn show(&self, to: &mut dyn FnMut(&dyn Shown)) {
        to(&self.state().merchants);
    }

    fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError> {
        let now = self.clock.now();
        let mut state = self.state();
        outside::change(state.merchants.changed(account)?, change, now)
    }

    fn revoke_access(&self) {
        self.state().access.revoke();
    }

    fn tokens_issued(&self) -> u64 {
        self.state().access.issued()
    }
}
