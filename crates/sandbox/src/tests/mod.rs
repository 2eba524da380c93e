//! Tests over raw sockets against a running sandbox.

mod door;
mod ecrypt;
mod faults;
mod noderails;
mod proxy_token;
mod raw;
mod scale;
mod spec;
mod v2;

use crate::proxy_token::Config;
use crate::{FaultPlan, Running, Sandbox, SandboxConfig, VendorConfig, WallClock};
use raw::{Broken, Raw, send};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The time of day in the tests, until a test moves it.
const NOON: i64 = 1_800_000_000;

const MAIN: &str = "pa_main";

/// A sandbox and a client of its merchant.
struct Bench {
    running: Running,
    now: Arc<AtomicI64>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(0, Config::default(), "").await
    }

    async fn with(customers: usize, vendor: Config, faults: &str) -> Self {
        let (running, now) = start(customers, VendorConfig::ProxyToken(vendor), faults).await;
        Self { running, now }
    }

    /// A call with the static bearer, for the main merchant.
    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Raw, Broken> {
        self.call_as(MAIN, method, path, body).await
    }

    async fn call_as(
        &self,
        account: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Raw, Broken> {
        let headers = [
            ("authorization", "Bearer sandbox-bearer"),
            ("x-payment-account-uid", account),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.running.addr(), method, path, &headers, &body).await
    }

    async fn get(&self, path: &str) -> Raw {
        self.call("GET", path, &Value::Null).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Raw {
        self.call("POST", path, &body).await.unwrap()
    }

    /// Creates a customer and answers its uid.
    async fn customer(&self, reference: &str) -> String {
        let made = self.post("/api/customers", person(reference)).await;
        assert_eq!(made.status, 201, "{}", made.json());
        made.json()["uid"].as_str().unwrap().to_owned()
    }

    fn methods(&self, customer: &str) -> Vec<crate::MethodView> {
        self.running.customer(MAIN, customer).unwrap().methods
    }
}

/// A sandbox of any vendor, and its clock.
async fn start(customers: usize, vendor: VendorConfig, faults: &str) -> (Running, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(NOON));
    let clock = WallClock::from_fn({
        let now = now.clone();
        move || now.load(Ordering::SeqCst)
    });
    let faults = FaultPlan::parse(faults).unwrap();
    let rest = SandboxConfig::default();
    let config = SandboxConfig { seed: 7, customers, faults, clock, vendor, ..rest };
    (Sandbox::start(config).await.unwrap(), now)
}

fn person(reference: &str) -> Value {
    json!({"reference_id": reference, "name": "Alex Morales", "email": "alex@example.com"})
}

fn credit(token: &str) -> Value {
    json!({"payment_method_type": "credit", "credit": {
        "fingerprint": token, "last4": "4242", "exp_month": 12, "exp_year": 2027,
        "bin": "411111", "card_brand": "VISA", "holder_name": "Alex Morales"}})
}

fn row(customer: &str, token: &str) -> Value {
    json!({"customer_uid": customer, "payment_method": credit(token)})
}

/// The results of an import in the order of their index.
fn sorted(answer: &Raw) -> Vec<Value> {
    let mut results = answer.json()["results"].as_array().unwrap().clone();
    results.sort_by_key(|r| r["index"].as_u64());
    results
}

/// Percent-encodes a reference for `$filter`.
fn find_path(reference: &str) -> String {
    let doubled = format!("reference_id eq '{}'", reference.replace('\'', "''"));
    let coded = percent_encoding::utf8_percent_encode(&doubled, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/customers?$filter={coded}&$top=1")
}
