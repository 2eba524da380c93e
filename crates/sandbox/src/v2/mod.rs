//! The `v2` style: Monri WebPay API v2, written from `docs/providers/v2.contract.md`. What the
//! contract leaves open is listed in the crate's docs.md under "adopted".

mod access;
mod calls;
mod config;
mod merchant;
mod outside;
mod refused;
mod seed;
mod show;
mod wire;

pub use config::{
    Account, Config, Deleted, Duplicate, ErrorShape, IdField, KeepUntil, Mask, MethodId, Shape,
    Times,
};

use crate::accounts::{Accounts, Shown};
use crate::change::{Change, ChangeError, Changed};
use crate::clock::WallClock;
use crate::config::Kind;
use crate::style::{Style, Way};
use crate::vendor::{Answer, Call, NOWHERE, Twist, UNKNOWN, Vendor};
use http::{Method, StatusCode};
use merchant::Merchant;
use refused::Refused;
use std::sync::{Mutex, MutexGuard, PoisonError};

impl Style for Config {
    const NAME: &'static str = "v2";
    const ENDPOINTS: &'static [&'static str] = &[
        "create_customer",
        "find_customer",
        "get_customer",
        "list_customers",
        "update_customer",
        "delete_customer",
        "list_methods",
    ];
    const WAY: Way = Way {
        account: "eu",
        settings: "authenticity_token = \"5a0db0c0000000000000000000000000000a11a1\"\n",
        secret: ("merchant_key", "sandbox-key-main"),
    };
    const APART: &'static str = "authenticity token";

    fn names(&self) -> Vec<&str> {
        self.accounts.iter().map(|account| account.authenticity_token.as_str()).collect()
    }

    fn open(self, seed: u64, customers: usize, clock: WallClock) -> Box<dyn Vendor> {
        Box::new(V2::new(self, seed, customers, clock))
    }
}

/// The simulated vendor.
#[derive(Debug)]
pub(crate) struct V2 {
    config: Config,
    clock: WallClock,
    /// By authenticity token.
    merchants: Mutex<Accounts<Merchant>>,
}

impl V2 {
    /// A vendor with its seeded merchants.
    pub(crate) fn new(config: Config, seed: u64, customers: usize, clock: WallClock) -> Self {
        let accounts = config.accounts.iter().map(|a| (a.authenticity_token.as_str(), a.customers));
        let make = |token: &str| Merchant::new(seed, token, &config);
        let merchants = Accounts::seeded(accounts, customers, make, seed::fill);
        Self { config, clock, merchants: Mutex::new(merchants) }
    }

    fn merchants(&self) -> MutexGuard<'_, Accounts<Merchant>> {
        self.merchants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks who calls, then does it.
    fn api(
        &self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        let now = self.clock.now();
        let account = access::check(call, &self.config, now)?;
        let empty = twist == Some(Twist::EmptyAccount);
        let acted_on = if empty { NOWHERE } else { &account.authenticity_token };
        let mut merchants = self.merchants();
        let merchant = merchants.get_mut(acted_on).ok_or_else(Refused::no_customer)?;
        calls::Desk { config: &self.config, merchant, now }.serve(endpoint, call, twist)
    }
}

fn route(method: &Method, path: &str) -> &'static str {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["v2", "customers"]) => "create_customer",
        ("GET", ["v2", "customers"]) => "list_customers",
        ("GET", ["v2", "merchants", "customers", _]) => "find_customer",
        ("GET", ["v2", "customers", _]) => "get_customer",
        ("POST", ["v2", "customers", _]) => "update_customer",
        ("DELETE", ["v2", "customers", _]) => "delete_customer",
        ("GET", ["v2", "customers", _, "payment-methods"]) => "list_methods",
        _ => UNKNOWN,
    }
}

impl Vendor for V2 {
    fn kind(&self) -> Kind {
        Kind::V2
    }

    fn route(&self, call: &Call) -> &'static str {
        route(&call.method, &call.path)
    }

    fn account<'c>(&self, call: &'c Call) -> Option<&'c str> {
        access::token(call)
    }

    fn references(&self, endpoint: &str, call: &Call) -> Vec<String> {
        let merchants = self.merchants();
        let merchant = access::token(call).and_then(|token| merchants.get(token));
        calls::reference(endpoint, call, merchant).into_iter().collect()
    }

    fn execute(&self, endpoint: &'static str, call: &Call, twist: Option<Twist>) -> Answer {
        let answer = self.api(endpoint, call, twist);
        let mut answer = answer.unwrap_or_else(|refused| refused.answer(self.config.shape.errors));
        answer.twisted |= twist == Some(Twist::EmptyAccount);
        answer
    }

    fn refusal(&self, _call: &Call, status: StatusCode, _code: &str, message: &str) -> Answer {
        Refused::new(status, message).answer(self.config.shape.errors)
    }

    fn show(&self, to: &mut dyn FnMut(&dyn Shown)) {
        to(&*self.merchants());
    }

    fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError> {
        let now = self.clock.now();
        let mut merchants = self.merchants();
        outside::change(merchants.changed(account)?, change, now)
    }
}
