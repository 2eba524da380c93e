//! The `noderails` style: customers and their wallets, written from
//! `docs/providers/noderails.contract.md`. What the contract leaves open is listed in the crate's
//! docs.md.

mod access;
mod address;
mod app;
mod calls;
mod config;
mod keys;
mod outside;
mod refused;
mod search;
mod seed;
mod show;
mod wire;

pub use config::{
    Account, AddressForm, Chain, Config, Duplicate, EMPTY, IdForm, KEY, MAIN, SearchLag, Shape,
};

use crate::accounts::{Accounts, Shown};
use crate::change::{Change, ChangeError, Changed};
use crate::clock::WallClock;
use crate::config::Kind;
use crate::style::{Style, Way};
use crate::vendor::{Answer, Call, NOWHERE, Twist, UNKNOWN, Vendor};
use app::{App, Moment};
use calls::Desk;
use http::{HeaderName, StatusCode};
use keys::{Admission, Keys};
use refused::Refused;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{Body, Profile, Query};

/// Names a request; without one the vendor makes it up.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The window of the rate limit in seconds, as its headers tell.
const RATE_WINDOW: i64 = 60;

impl Style for Config {
    const NAME: &'static str = "noderails";
    const ENDPOINTS: &'static [&'static str] = &[
        "create_customer",
        "find_customer",
        "get_customer",
        "list_customers",
        "update_customer",
        "add_method",
        "remove_method",
    ];
    const WAY: Way = Way {
        account: "chain",
        settings: "environment = \"test\"\napp_id = \"6d61696e-0000-4000-8000-000000000001\"\n",
        secret: ("api_key", "nr_test_sk_sandbox_key-1"),
    };
    const APART: &'static str = "app id";

    fn names(&self) -> Vec<&str> {
        self.accounts.iter().map(|account| account.app_id.as_str()).collect()
    }

    fn open(self, seed: u64, customers: usize, clock: WallClock) -> Box<dyn Vendor> {
        Box::new(Noderails::new(self, seed, customers, clock))
    }
}

/// The simulated vendor.
#[derive(Debug)]
pub(crate) struct Noderails {
    config: Config,
    clock: WallClock,
    state: Mutex<State>,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    apps: Accounts<App>,
    keys: Keys,
    /// Requests that were executed.
    served: u64,
}

impl Noderails {
    /// A vendor with its seeded apps.
    pub(crate) fn new(config: Config, seed: u64, customers: usize, clock: WallClock) -> Self {
        let accounts = config.accounts.iter().map(|a| (a.app_id.as_str(), a.customers));
        let make = |app_id: &str| App::new(seed, app_id, &config);
        let fill = |app: &mut App, count| seed::fill(app, &config, count);
        let apps = Accounts::seeded(accounts, customers, make, fill);
        let keys = Keys::new(config.key_seconds, config.key_lock_seconds);
        let state = Mutex::new(State { apps, keys, served: 0 });
        Self { config, clock, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks who calls and for which app, then does it.
    fn api(
        &self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
        state: &mut State,
    ) -> Result<Answer, Refused> {
        access::check_version(call, &self.config)?;
        if endpoint == UNKNOWN {
            return Err(Refused::new(StatusCode::NOT_FOUND, "Route not found"));
        }
        let key = access::secret_key(call, &self.config)?;
        let (app_id, request) = self.request(endpoint, call, key, &state.apps)?;
        let acted_on = if twist == Some(Twist::EmptyAccount) { NOWHERE } else { app_id.as_str() };
        let (config, app_id) = (&self.config, app_id.as_str());
        let app = state.apps.get_mut(acted_on).ok_or_else(|| Refused::no("App", app_id))?;
        let moment = Moment { now: self.clock.now(), served: state.served };
        let mut desk = Desk { config, app_id, app, moment };
        match request {
            Request::Create(profile) => desk.create(profile),
            Request::List(query) => Ok(desk.list(&query, twist)),
            Request::Customer(id) => desk.customer(endpoint, &id, call),
        }
    }

    /// Reads which app of the key's merchant the call is for, and what it wants there.
    fn request(
        &self,
        endpoint: &str,
        call: &Call,
        key: &str,
        apps: &Accounts<App>,
    ) -> Result<(String, Request), Refused> {
        let (account, request) = match endpoint {
            "create_customer" => {
                let (app_id, profile) = Body::read(call)?.create(&self.config)?;
                (self.account_of(&app_id)?, Request::Create(profile))
            }
            "list_customers" | "find_customer" => {
                let query = Query::read(call, &self.config)?;
                (self.account_of(&query.app_id)?, Request::List(query))
            }
            _ => {
                let id = customer_id(call);
                let account = self.holder(&id, apps).ok_or_else(|| calls::no_customer(&id))?;
                (account, Request::Customer(id))
            }
        };
        if account.secret_key != key {
            let message = "this belongs to another merchant";
            return Err(Refused::new(StatusCode::FORBIDDEN, message));
        }
        Ok((account.app_id.clone(), request))
    }

    fn account_of(&self, app_id: &str) -> Result<&Account, Refused> {
        let account = self.config.accounts.iter().find(|account| account.app_id == app_id);
        account.ok_or_else(|| Refused::no("App", app_id))
    }

    /// The account that has this customer.
    fn holder(&self, id: &str, apps: &Accounts<App>) -> Option<&Account> {
        let has = |account: &&Account| {
            apps.get(&account.app_id).is_some_and(|app| app.book.get(id).is_some())
        };
        self.config.accounts.iter().find(has)
    }

    /// What the call is answered, its idempotency key heeded.
    fn answer(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer {
        let mut state = self.state();
        state.served += 1;
        let shape = self.config.shape;
        let key = match state.keys.admission(call) {
            Admission::Plain => None,
            Admission::Holds(key) => Some(key),
            Admission::Replay(answer) => return answer,
            Admission::Refused(refused) => return refused.answer(shape),
        };
        let mut answer = self.api(endpoint, call, twist, &mut state).unwrap_or_else(|refused| {
            let mut answer = refused.answer(shape);
            answer.twisted = twist == Some(Twist::EmptyAccount);
            answer
        });
        if let Some(key) = key {
            state.keys.keep(key, &answer, self.clock.now());
        }
        answer.twisted |= twist == Some(Twist::EmptyAccount);
        answer
    }
}

/// What a call wants of an app.
enum Request {
    Create(Profile),
    List(Query),
    /// Something of the customer with this id.
    Customer(String),
}

/// The id in `/customers/{id}/…`.
fn customer_id(call: &Call) -> String {
    call.segments().into_iter().nth(1).unwrap_or_default()
}

impl Vendor for Noderails {
    fn kind(&self) -> Kind {
        Kind::Noderails
    }

    fn route(&self, call: &Call) -> &'static str {
        let segments: Vec<&str> = call.path.split('/').filter(|s| !s.is_empty()).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["customers"]) => "create_customer",
            ("GET", ["customers"]) => {
                let searches =
                    |(name, text): &(String, String)| name == "search" && !text.is_empty();
                if call.pairs().iter().any(searches) { "find_customer" } else { "list_customers" }
            }
            ("GET", ["customers", _]) => "get_customer",
            ("PUT", ["customers", _]) => "update_customer",
            ("POST", ["customers", _, "wallets"]) => "add_method",
            ("DELETE", ["customers", _, "wallets", _]) => "remove_method",
            _ => UNKNOWN,
        }
    }

    fn account<'c>(&self, call: &'c Call) -> Option<&'c str> {
        wire::named_app(call)
    }

    fn references(&self, endpoint: &str, call: &Call) -> Vec<String> {
        let named = match endpoint {
            "create_customer" => {
                let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
                body.get("externalId").and_then(Value::as_str).map(str::to_owned)
            }
            "find_customer" | "list_customers" => {
                call.pairs().into_iter().find(|(name, _)| name == "search").map(|(_, text)| text)
            }
            _ => {
                let (id, state) = (customer_id(call), self.state());
                let held = state.apps.all().find_map(|app| app.book.get(&id));
                held.and_then(|customer| customer.external_id.clone())
            }
        };
        named.into_iter().collect()
    }

    fn begin(&self, call: &Call) {
        self.state().keys.admit(call, self.clock.now());
    }

    fn execute(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer {
        let mut answer = self.answer(endpoint, call, twist);
        let id = call.header(REQUEST_ID.as_str()).map(str::to_owned);
        answer.headers.push((REQUEST_ID, id.unwrap_or_else(|| format!("req_{:08x}", call.seq))));
        if let Some(version) = call.header(access::VERSION.as_str()) {
            answer.headers.push((access::VERSION, version.to_owned()));
        }
        answer
    }

    fn refusal(&self, _call: &Call, status: StatusCode, _code: &str, message: &str) -> Answer {
        Refused::new(status, message).answer(self.config.shape)
    }

    fn throttled(&self, call: &Call, seconds: Option<u64>) -> Answer {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut answer = self.refusal(call, status, "", "Too many requests").retry_after(seconds);
        let wait = seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(RATE_WINDOW);
        let reset = self.clock.now().saturating_add(wait);
        let limit = HeaderName::from_static("x-ratelimit-limit");
        let remaining = HeaderName::from_static("x-ratelimit-remaining");
        answer.headers.extend([
            (limit, "100".to_owned()),
            (remaining, "0".to_owned()),
            (HeaderName::from_static("x-ratelimit-reset"), reset.to_string()),
        ]);
        answer
    }

    fn show(&self, to: &mut dyn FnMut(&dyn Shown)) {
        to(&self.state().apps);
    }

    fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError> {
        let mut state = self.state();
        let moment = Moment { now: self.clock.now(), served: state.served };
        outside::change(state.apps.changed(account)?, &self.config, change, moment)
    }
}
