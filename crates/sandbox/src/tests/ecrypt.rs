//! The ecrypt vendor's behaviour.

mod beside;
mod shapes;

use super::*;
use crate::ecrypt::{
    Account, Casing, Config, Expiry, ListName, Mask, Message, Missing, NoErrors, One,
    ReferenceField, RequestCasing, Shape, Unset, WalletsName,
};
use crate::{Change, ChangeError, CustomerView, NewMethod};
use std::collections::BTreeMap;

const MAIN: &str = "sandbox-private-main";
const EMPTY: &str = "sandbox-private-empty";

/// A sandbox and a client of its merchant.
struct Vault {
    running: Running,
}

impl Vault {
    async fn new() -> Self {
        Self::with(0, Config::default(), "").await
    }

    async fn with(customers: usize, config: Config, faults: &str) -> Self {
        Self { running: start(customers, VendorConfig::Ecrypt(config), faults).await.0 }
    }

    async fn shaped(shape: Shape) -> Self {
        Self::with(0, Config { shape, ..Config::default() }, "").await
    }

    async fn call_as(&self, key: &str, method: &str, path: &str, body: &Value) -> Raw {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/v1/customers{path}");
        send(self.running.addr(), method, &path, &headers, &body).await.unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Raw {
        self.call_as(MAIN, method, path, &body).await
    }

    async fn get(&self, path: &str) -> Raw {
        self.call("GET", path, Value::Null).await
    }

    /// Creates a customer and answers its id.
    async fn customer(&self, reference: &str) -> String {
        let made = self.call("POST", "", alex(reference)).await;
        assert_eq!(made.status, 200, "{}", made.json());
        made.json()["customer"]["id"].as_str().unwrap().to_owned()
    }

    async fn add(&self, customer: &str, token: &str) -> Raw {
        self.call("POST", &format!("/{customer}/wallet"), json!({"token": token})).await
    }

    fn view(&self, customer: &str) -> CustomerView {
        self.running.customer(MAIN, customer).unwrap()
    }
}

fn alex(reference: &str) -> Value {
    json!({
        "first_name": "Alex", "last_name": "O'Neil", "email_address": "alex@example.com",
        "shipping_address": {"line1": "1 Main St", "city": "Troy", "postal_code": "12180"},
        "metadata": {"account_id": reference, "accountTier": "gold"},
    })
}

/// Status, and type of the first error.
fn refused(raw: &Raw) -> (u16, String) {
    let body = raw.json();
    assert!(body["request_id"].as_str().unwrap().starts_with("req-"));
    (raw.status, body["errors"][0]["type"].as_str().unwrap().to_owned())
}

fn told(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn the_key_selects_the_merchant() {
    let vault = Vault::with(3, Config::default(), "").await;
    let list = async |key: &str| vault.call_as(key, "GET", "", &Value::Null).await;
    assert_eq!(refused(&list("").await), told(401, "AUTHENTICATION"));
    assert_eq!(refused(&list("sandbox-private-other").await), told(401, "AUTHENTICATION"));
    assert_eq!(refused(&list("_empty").await), told(401, "AUTHENTICATION"));
    assert_eq!(refused(&list("sandbox-reporting").await), told(403, "PERMISSION"));
    assert_eq!(list(MAIN).await.json()["customers"].as_array().unwrap().len(), 3);
    assert_eq!(list(EMPTY).await.json()["customers"], json!([]));
    let accounts: Vec<String> = vault.running.accounts().into_iter().map(|a| a.account).collect();
    assert_eq!(accounts, [MAIN, EMPTY]);
    let twice = vec![Account { key: "k".to_owned(), customers: None }; 2];
    let vendor = VendorConfig::Ecrypt(Config { accounts: twice, ..Config::default() });
    let config = SandboxConfig { vendor, ..SandboxConfig::default() };
    assert!(Sandbox::start(config).await.unwrap_err().to_string().contains("same key"));
}

#[tokio::test]
async fn customers_are_created_got_and_deleted() {
    let vault = Vault::new().await;
    let id = vault.customer("R-1").await;
    assert_eq!((id.len(), id.split('-').count()), (36, 5), "a UUID");
    let got = vault.get(&format!("/{id}")).await.json();
    let mut shown = alex("R-1");
    shown["id"] = id.clone().into();
    assert_eq!(got["customers"], json!([shown]));
    // A reference may come again; names may be missing.
    let again = vault.customer("R-1").await;
    assert_ne!(again, id);
    assert_eq!(vault.call("POST", "", json!({"company": null})).await.status, 200);
    assert_eq!(vault.running.customers(MAIN).len(), 3);
    assert_eq!(vault.running.customer_by_reference(MAIN, "R-1").unwrap().id, id);
    let view = vault.view(&id);
    assert_eq!(view.name.as_deref(), Some("Alex O'Neil"));
    assert_eq!(view.email.as_deref(), Some("alex@example.com"));
    assert_eq!(view.fields["shipping_address.postal_code"], "12180");
    assert_eq!(view.fields["metadata.accountTier"], "gold");
    assert!(!view.fields.contains_key("metadata.account_id"));
    vault.add(&id, "tok-visa-1111-1228-a").await;
    let delete = async || vault.call("DELETE", &format!("/{id}"), Value::Null).await;
    let gone = delete().await;
    assert_eq!((gone.status, gone.json().as_object().unwrap().len()), (200, 1));
    assert_eq!(refused(&delete().await), told(404, "NOT_FOUND"));
    assert_eq!(refused(&vault.get(&format!("/{id}")).await), told(404, "NOT_FOUND"));
    assert_eq!(refused(&vault.get(&format!("/{id}/wallet")).await), told(404, "NOT_FOUND"));
    assert_eq!(vault.running.accounts()[0].methods, 0);
    // Its token is not good again.
    let spent = vault.add(&again, "tok-visa-1111-1228-a").await;
    assert_eq!(refused(&spent), told(402, "TOKEN_USED"));
    // No change of a customer.
    let put = vault.call("PUT", &format!("/{again}"), json!({"first_name": "B"})).await;
    assert_eq!(refused(&put), told(405, "METHOD"));
    assert_eq!(refused(&vault.get("/a/b/c").await), told(404, "NOT_FOUND"));
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let vault = Vault::new().await;
    let wrong = async |body: Value, field: &str| {
        let answer = vault.call("POST", "", body).await;
        assert_eq!(refused(&answer), told(400, "VALIDATION"), "{field}");
        let said = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(field), "{said}");
    };
    wrong(json!({"first_name": "Zoë"}), "first_name").await;
    wrong(json!({"last_name": "x".repeat(101)}), "last_name").await;
    wrong(json!({"company": "A \"B\" C"}), "company").await;
    wrong(json!({"nick_name": "A"}), "nick_name").await;
    wrong(json!({"FirstName": "A"}), "FirstName").await;
    wrong(json!({"first_name": "A", "firstName": "B"}), "twice").await;
    wrong(json!({"first_name": 5}), "`first_name` has the wrong type").await;
    wrong(json!({"metadata": {"n": 5}}), "`metadata.n` has the wrong type").await;
    wrong(json!({"shipping_address": {"zip": "1"}}), "zip").await;
    wrong(json!({"phone_number": "4242 4242 4242 4242"}), "card numbers").await;
    let all = json!({
        "firstName": "a_-.,`'()@#!?/\\:;|+=%& 9", "company": "x".repeat(100),
        "shippingAddress": {"postalCode": "1", "name": "N"}, "metadata": {"camelKey": "v"},
    });
    let made = vault.call("POST", "", all).await;
    assert_eq!(made.json()["customer"]["metadata"], json!({"camelKey": "v"}));
    assert_eq!(made.json()["customer"]["shipping_address"]["postal_code"], "1");
    assert_eq!(vault.running.customers(MAIN).len(), 1);
    let headers = [("x-api-key", MAIN)];
    let bare = send(vault.running.addr(), "POST", "/v1/customers", &headers, "{}").await.unwrap();
    assert_eq!(refused(&bare), told(400, "VALIDATION"));
    assert_eq!(refused(&vault.get("/short").await), told(400, "VALIDATION"));
    assert_eq!(refused(&vault.get("/no-such-id?x=1").await), told(400, "VALIDATION"));
}

#[tokio::test]
async fn the_list_is_newest_first_and_ends_with_an_empty_page() {
    let vault = Vault::with(230, Config::default(), "").await;
    let page = async |query: &str| {
        let answer = vault.get(&format!("?{query}")).await.json();
        let rows = answer["customers"].as_array().unwrap().clone();
        rows.iter().map(|r| text(&r["metadata"]["account_id"]).to_owned()).collect::<Vec<_>>()
    };
    let first = page("").await;
    assert_eq!((first.len(), &*first[0], &*first[99]), (100, "C-000230", "C-000131"));
    assert_eq!(page("Page=3&Size=100").await.last().unwrap(), "C-000001");
    assert!(page("Page=4&Size=100").await.is_empty());
    assert_eq!(page("Page=2&Size=90").await[0], "C-000140");
    for query in ["Size=101", "Size=0", "Page=0", "Page=x", "page=1", "merchantIdentifier=C-1"] {
        let answer = vault.get(&format!("?{query}")).await;
        assert_eq!(refused(&answer), told(400, "VALIDATION"), "{query}");
    }
    // What is created or deleted meanwhile shifts the pages.
    let new = vault.customer("new").await;
    assert_eq!(page("Size=1").await, ["new"]);
    vault.running.delete_customer(MAIN, &new).unwrap();
    assert_eq!(page("Size=1").await, ["C-000230"]);
}

#[tokio::test]
async fn tokens_stand_for_what_their_names_say() {
    let vault = Vault::new().await;
    let mut seen = Vec::new();
    let tokens = [
        "tok-visa-1111-1228-a",
        "tok-mastercard-4444-0130-b",
        "tok-discover-0004-0729-c",
        "tok-amex-0005-0199-d",
        "tok-check-6789-e",
        "f3b1c0de-0000-4000-8000-000000000001",
    ];
    for token in tokens {
        let id = vault.customer(token).await;
        let saved = vault.add(&id, token).await;
        assert_eq!(saved.status, 200, "{}", saved.json());
        let entry = saved.json()["wallet"].clone();
        let part = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        seen.push([part("network"), part("account_number"), part("expiry")].join(" "));
    }
    assert_eq!(
        seen[..5],
        [
            "visa 4***********1111 1228",
            "mastercard 5***********4444 0130",
            "discover card 6***********0004 0729",
            "american express 3**********0005 0199",
            "- *****6789 -",
        ]
    );
    assert!(seen[5].len() > 20, "{}", seen[5]);
    let id = vault.customer("a").await;
    for (token, said) in [
        (tokens[0], told(402, "TOKEN_USED")),
        ("bad-token-1", told(402, "TOKEN_INVALID")),
        ("tok-abc", told(400, "VALIDATION")),
        ("tok_visa_1111", told(400, "VALIDATION")),
        (&*"t".repeat(65), told(400, "VALIDATION")),
        ("4242424242424242", told(400, "VALIDATION")),
    ] {
        assert_eq!(refused(&vault.add(&id, token).await), said, "{token}");
    }
    // What was refused was not spent.
    assert_eq!(vault.add("no-such-customer", "tok-visa-2222-1228-x").await.status, 404);
    assert_eq!(vault.add(&id, "tok-visa-2222-1228-x").await.status, 200);
    // The other merchant's token is spent, too.
    let other = vault.call_as(EMPTY, "POST", "", &alex("b")).await.json();
    let path = format!("/{}/wallet", text(&other["customer"]["id"]));
    let again = vault.call_as(EMPTY, "POST", &path, &json!({"token": tokens[0]})).await;
    assert_eq!(refused(&again), told(402, "TOKEN_USED"));
    // A token of another seed's chance is the same card for the same seed.
    let second = Vault::new().await;
    let id = second.customer("z").await;
    let entry = second.add(&id, tokens[5]).await.json()["wallet"].clone();
    assert!(seen[5].contains(text(&entry["account_number"])));
}

#[tokio::test]
async fn transactions_are_saved_once() {
    for repeat in [false, true] {
        let config = Config { transactions_repeat: repeat, ..Config::default() };
        let vault = Vault::with(0, config, "").await;
        let id = vault.customer("a").await;
        let add = async |body: Value| vault.call("POST", &format!("/{id}/wallet"), body).await;
        let saved = add(json!({"transactionId": "4111111228", "token": null})).await.json();
        assert_eq!(saved["wallet"]["account_number"], "4***********1111");
        assert_eq!(saved["wallet"]["expiry"], "1228");
        let bank = add(json!({"transaction_id": "800006789"})).await.json();
        assert_eq!(bank["wallet"]["account_number"], "*****6789");
        let again = add(json!({"transaction_id": "4111111228"})).await;
        if repeat {
            assert_eq!(again.status, 200);
        } else {
            assert_eq!(refused(&again), told(402, "TRANSACTION_USED"));
        }
        // A token of the same digits is another thing.
        assert_eq!(add(json!({"token": "4111111228"})).await.status, 200);
        for body in [
            json!({}),
            json!({"token": "tok-check-1111-a", "transaction_id": "100000000"}),
            json!({"transaction_id": "1234567"}),
            json!({"transaction_id": "12345678a"}),
            json!({"transaction_id": 12_345_678}),
        ] {
            assert_eq!(refused(&add(body).await), told(400, "VALIDATION"));
        }
    }
}

#[tokio::test]
async fn a_wallet_holds_four() {
    let vault = Vault::new().await;
    let id = vault.customer("a").await;
    let path = format!("/{id}/wallet");
    let billing = json!({"line1": "2 Side St", "country": "US"});
    let first = json!({"token": "tok-visa-0001-1228-a", "billing_address": billing});
    let first = vault.call("POST", &path, first).await.json()["wallet"].clone();
    assert_eq!((&first["default"], &first["address"]), (&json!(false), &billing));
    assert_eq!(first["created"], "2027-01-15T08:00:00Z");
    let second = json!({"token": "tok-visa-0002-1228-a", "default": true});
    let second = vault.call("POST", &path, second).await.json()["wallet"].clone();
    assert_eq!(second["default"], true);
    for last4 in ["0003", "0004"] {
        assert_eq!(vault.add(&id, &format!("tok-visa-{last4}-1228-a")).await.status, 200);
    }
    let fifth = vault.add(&id, "tok-visa-0005-1228-a").await;
    assert_eq!(refused(&fifth), told(402, "WALLET_FULL"));
    let full = vault.running.add_method(MAIN, &id, NewMethod::ach("checking", "1"), false);
    assert_eq!(full.unwrap_err(), ChangeError::Invalid("the wallet is full"));
    let listed = vault.get(&format!("{path}?Page=1&Size=100")).await.json();
    assert_eq!(listed["wallets"].as_array().unwrap().len(), 4);
    let second_page = vault.get(&format!("{path}?Page=2&Size=3")).await.json();
    let rest = second_page["wallets"].as_array().unwrap();
    assert_eq!((rest.len(), text(&rest[0]["account_number"])), (1, "4***********0004"));
    let entry = |entry: &Value| format!("{path}/{}", text(&entry["id"]));
    let set = json!({"default": true});
    let put = vault.call("PUT", &entry(&first), set.clone()).await;
    assert_eq!(put.json()["wallet"]["default"], true);
    assert_eq!(vault.get(&entry(&second)).await.json()["wallet"]["default"], false);
    let unset = vault.call("PUT", &entry(&first), json!({"default": false})).await;
    assert_eq!(refused(&unset), told(400, "VALIDATION"));
    let other = vault.customer("b").await;
    let foreign = format!("/{other}/wallet/{}", text(&first["id"]));
    assert_eq!(refused(&vault.call("PUT", &foreign, set).await), told(404, "NOT_FOUND"));
    assert_eq!(refused(&vault.get(&foreign).await), told(404, "NOT_FOUND"));
    // Removing the default leaves none, and room.
    let remove = async || vault.call("DELETE", &entry(&first), Value::Null).await;
    assert_eq!(remove().await.status, 200);
    assert_eq!(refused(&remove().await), told(404, "NOT_FOUND"));
    assert_eq!(vault.view(&id).default_method, None);
    let again = vault.add(&id, "tok-visa-0001-1228-a").await;
    assert_eq!(refused(&again), told(402, "TOKEN_USED"));
    assert_eq!(vault.add(&id, "tok-visa-0005-1228-a").await.status, 200);
    assert_eq!(vault.running.accounts()[0].methods, 4);
}
