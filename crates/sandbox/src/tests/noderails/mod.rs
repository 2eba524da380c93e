//! The noderails style.

mod calls;
mod door;
mod finds;
mod keys;

use super::*;
use crate::noderails::{Config, EMPTY, KEY, MAIN, Shape};

/// A sandbox and a client of its merchant.
struct Rails {
    running: Running,
    now: Arc<AtomicI64>,
}

impl Rails {
    async fn new() -> Self {
        Self::with(0, Config::default(), "").await
    }

    async fn with(customers: usize, vendor: Config, faults: &str) -> Self {
        let (running, now) = start(customers, VendorConfig::Noderails(vendor), faults).await;
        Self { running, now }
    }

    /// A call with the secret key and these headers.
    async fn call(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Result<Raw, Broken> {
        let mut headers = vec![("x-api-key", KEY), ("content-type", "application/json")];
        headers.extend(more);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.running.addr(), method, path, &headers, &body).await
    }

    async fn get(&self, path: &str) -> Raw {
        self.call("GET", path, &[], &Value::Null).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Raw {
        self.call("POST", path, &[], &body).await.unwrap()
    }

    async fn put(&self, path: &str, body: Value) -> Raw {
        self.call("PUT", path, &[], &body).await.unwrap()
    }

    async fn delete(&self, path: &str) -> u16 {
        self.call("DELETE", path, &[], &Value::Null).await.unwrap().status
    }

    /// Creates a customer and answers its id.
    async fn customer(&self, external_id: &str) -> String {
        let made = self.post("/customers", someone(external_id)).await;
        assert_eq!(made.status, 201, "{}", made.json());
        made.json()["data"]["id"].as_str().unwrap().to_owned()
    }

    /// A page of the list, or of a search.
    async fn page(&self, query: &str) -> Value {
        self.get(&format!("/customers?appId={MAIN}{query}")).await.json()
    }

    /// The external ids of a page.
    async fn listed(&self, query: &str) -> Vec<String> {
        let rows = self.page(query).await["data"].as_array().unwrap().clone();
        rows.iter().map(|r| r["externalId"].as_str().unwrap_or("-").to_owned()).collect()
    }

    fn has(&self, external_id: &str) -> bool {
        self.running.customer_by_reference(MAIN, external_id).is_some()
    }
}

fn someone(external_id: &str) -> Value {
    json!({"appId": MAIN, "externalId": external_id, "name": "Alex Morales",
           "email": "alex@example.com", "city": "Austin", "metadata": {"tier": "gold", "n": 1}})
}

const EVM: &str = "0xAbCdEf0123456789aBcDeF0123456789AbCdEf01";
const SOLANA: &str = "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK";

fn wallet(chain: i64, address: &str) -> Value {
    json!({"chainId": chain, "walletAddress": address})
}

/// What is wrong with which part, as the vendor says it.
fn message(raw: &Raw) -> String {
    raw.json()["error"]["message"].as_str().unwrap().to_owned()
}
