//! The `ecrypt` style, written from `docs/providers/ecrypt.contract.md`. What the contract leaves
//! open is listed in the crate's docs.md under "adopted".

mod calls;
mod config;
mod merchant;
mod outside;
mod person;
mod seed;
mod show;
mod token;
mod wire;

pub use config::{
    Account, Casing, Config, Expiry, ListName, Mask, Message, Missing, NoErrors, One,
    ReferenceField, RequestCasing, Shape, Unset, WalletsName,
};

use crate::accounts::{Accounts, Shown};
use crate::change::{Change, ChangeError, Changed};
use crate::clock::WallClock;
use crate::config::Kind;
use crate::style::{Style, Way};
use crate::vendor::{Answer, Call, NOWHERE, Twist, UNKNOWN, Vendor};
use http::{Method, StatusCode};
use merchant::Merchant;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use token::Source;

/// The header with the key, which selects the merchant.
const KEY: &str = "x-api-key";

impl Style for Config {
    const NAME: &'static str = "ecrypt";
    const ENDPOINTS: &'static [&'static str] = &[
        "create_customer",
        "get_customer",
        "list_customers",
        "delete_customer",
        "add_method",
        "list_methods",
        "get_method",
        "set_default",
        "remove_method",
    ];
    const WAY: Way =
        Way { account: "main", settings: "", secret: ("api_key", "sandbox-private-main") };
    const APART: &'static str = "key";

    fn names(&self) -> Vec<&str> {
        self.accounts.iter().map(|account| account.key.as_str()).collect()
    }

    fn open(self, seed: u64, customers: usize, clock: WallClock) -> Box<dyn Vendor> {
        Box::new(Ecrypt::new(self, seed, customers, clock))
    }
}

/// The simulated vendor.
#[derive(Debug)]
pub(crate) struct Ecrypt {
    config: Config,
    seed: u64,
    clock: WallClock,
    state: Mutex<State>,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    merchants: Accounts<Merchant>,
    /// Tokens and transactions that were used, anywhere.
    spent: HashSet<Source>,
}

/// A refusal with the vendor's own error body.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    /// The error's `type`.
    kind: String,
    message: String,
    field: Option<String>,
}

impl Refused {
    fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into(), field: None }
    }

    /// A request that lacks or misuses this field; an empty name is the whole of it.
    fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let refused = Self::new(StatusCode::BAD_REQUEST, "VALIDATION", message);
        Self { field: Some(field.into()).filter(|field| !field.is_empty()), ..refused }
    }

    /// A sound request that cannot be done.
    fn failed(kind: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, kind, message)
    }

    fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }
}

impl Ecrypt {
    /// A vendor with its seeded merchants.
    pub(crate) fn new(config: Config, seed: u64, customers: usize, clock: WallClock) -> Self {
        let accounts = config.accounts.iter().map(|a| (a.key.as_str(), a.customers));
        let make = |key: &str| Merchant::new(seed, key, &config);
        let merchants = Accounts::seeded(accounts, customers, make, seed::fill);
        let state = Mutex::new(State { merchants, spent: HashSet::new() });
        Self { config, seed, clock, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks who calls, then does it.
    fn api(
        &self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        let key = self.account(call).filter(|key| *key != NOWHERE).unwrap_or_default();
        if self.config.weak_keys.iter().any(|weak| weak == key) {
            let message = "the key may not do this";
            return Err(Refused::new(StatusCode::FORBIDDEN, "PERMISSION", message));
        }
        let unknown =
            || Refused::new(StatusCode::UNAUTHORIZED, "AUTHENTICATION", "no valid API key");
        let acted_on = if twist == Some(Twist::EmptyAccount) { NOWHERE } else { key };
        let mut state = self.state();
        let State { merchants, spent } = &mut *state;
        if merchants.get(key).is_none() {
            return Err(unknown());
        }
        if endpoint == UNKNOWN {
            return Err(unknown_route(call));
        }
        let merchant = merchants.get_mut(acted_on).ok_or_else(unknown)?;
        let now = self.clock.now();
        let mut desk =
            calls::Desk { config: &self.config, seed: self.seed, merchant, spent, now, call };
        let mut answer = desk.serve(endpoint, twist)?;
        answer.twisted |= twist == Some(Twist::EmptyAccount);
        Ok(answer)
    }
}

/// Nothing stands at this path, or not for this HTTP method.
fn unknown_route(call: &Call) -> Refused {
    let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE]
        .iter()
        .any(|method| route(method, &call.path) != UNKNOWN);
    if known {
        let message = "this path does not take this HTTP method";
        Refused::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD", message)
    } else {
        Refused::not_found("nothing stands at this path")
    }
}

fn route(method: &Method, path: &str) -> &'static str {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["v1", "customers"]) => "create_customer",
        ("GET", ["v1", "customers"]) => "list_customers",
        ("GET", ["v1", "customers", _]) => "get_customer",
        ("DELETE", ["v1", "customers", _]) => "delete_customer",
        ("POST", ["v1", "customers", _, "wallet"]) => "add_method",
        ("GET", ["v1", "customers", _, "wallet"]) => "list_methods",
        ("GET", ["v1", "customers", _, "wallet", _]) => "get_method",
        ("PUT", ["v1", "customers", _, "wallet", _]) => "set_default",
        ("DELETE", ["v1", "customers", _, "wallet", _]) => "remove_method",
        _ => UNKNOWN,
    }
}

impl Vendor for Ecrypt {
    fn kind(&self) -> Kind {
        Kind::Ecrypt
    }

    fn route(&self, call: &Call) -> &'static str {
        route(&call.method, &call.path)
    }

    fn account<'c>(&self, call: &'c Call) -> Option<&'c str> {
        call.header(KEY)
    }

    fn references(&self, endpoint: &str, call: &Call) -> Vec<String> {
        let state = self.state();
        let merchant = self.account(call).and_then(|key| state.merchants.get(key));
        merchant.map(|merchant| calls::references(endpoint, call, merchant)).unwrap_or_default()
    }

    fn execute(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer {
        self.api(endpoint, call, twist).unwrap_or_else(|refused| {
            let mut answer = show::refusal(call, &self.config, &refused);
            answer.twisted = twist == Some(Twist::EmptyAccount);
            answer
        })
    }

    fn refusal(&self, call: &Call, status: StatusCode, code: &str, message: &str) -> Answer {
        let refused = Refused::new(status, &code.to_uppercase(), message);
        show::error(call, self.config.shape, status, &refused)
    }

    fn show(&self, to: &mut dyn FnMut(&dyn Shown)) {
        to(&self.state().merchants);
    }

    fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError> {
        let now = self.clock.now();
        let mut state = self.state();
        let State { merchants, spent } = &mut *state;
        outside::change(merchants.changed(account)?, spent, change, now)
    }
}
