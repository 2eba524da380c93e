//! The calls without faults.

use super::*;
use crate::noderails::{Account, Duplicate, IdForm};

#[tokio::test]
async fn only_a_secret_key_may_call() {
    let rails = Rails::new().await;
    let path = format!("/customers?appId={MAIN}");
    let list = async |headers: &[(&str, &str)]| {
        send(rails.running.addr(), "GET", &path, headers, "").await.unwrap()
    };
    assert_eq!(list(&[("x-api-key", KEY)]).await.status, 200);
    for headers in [
        vec![],
        vec![("x-api-key", "nr_test_sk_other")],
        vec![("x-api-key", "sandbox")],
        vec![("x-api-key", "nr_test_pk_")],
        vec![("x-api-key", KEY), ("authorization", "Bearer dashboard")],
    ] {
        let refused = list(&headers).await;
        assert_eq!(
            (refused.status, &*refused.code()),
            (401, "AUTHENTICATION_ERROR"),
            "{headers:?}"
        );
    }
    let public = list(&[("x-api-key", "nr_test_pk_sandbox_key-1")]).await;
    assert_eq!((public.status, &*public.code()), (403, "AUTHORIZATION_ERROR"));
}

#[tokio::test]
async fn the_version_is_checked_and_repeated() {
    let rails = Rails::new().await;
    let path = format!("/customers?appId={MAIN}");
    let asked = async |version: &str| {
        let headers = [("noderails-version", version), ("x-request-id", "mine")];
        rails.call("GET", &path, &headers, &Value::Null).await.unwrap()
    };
    let known = asked("2026-03-07").await;
    assert_eq!(known.header("noderails-version").as_deref(), Some("2026-03-07"));
    assert_eq!(known.header("x-request-id").as_deref(), Some("mine"));
    let unknown = asked("2025-01-01").await;
    let error = &unknown.json()["error"];
    assert_eq!((unknown.status, &error["type"]), (400, &json!("invalid_request_error")));
    assert!(error.get("code").is_none());
}

#[tokio::test]
async fn an_app_holds_its_own_customers_and_a_merchant_its_own_apps() {
    let mut config = Config::default();
    let other = "11111111-0000-4000-8000-000000000003";
    config.accounts.push(Account {
        app_id: other.to_owned(),
        secret_key: "nr_test_sk_other".to_owned(),
        customers: Some(2),
    });
    let rails = Rails::with(3, config, "").await;
    assert_eq!(rails.page("").await["pagination"]["total"], 3);
    assert_eq!(rails.get(&format!("/customers?appId={EMPTY}")).await.json()["data"], json!([]));
    assert_eq!(rails.get(&format!("/customers?appId={other}")).await.status, 403);
    let theirs = &rails.running.customers(other)[0].id;
    assert_eq!(rails.get(&format!("/customers/{theirs}")).await.status, 403);
    let missing = rails.get("/customers").await;
    assert_eq!((missing.status, &*message(&missing)), (400, "appId: Required"));
    let unknown = rails.get("/customers?appId=22222222-0000-4000-8000-000000000000").await;
    assert_eq!((unknown.status, &*unknown.code()), (404, "NOT_FOUND"));
    let accounts: Vec<_> = rails.running.log().into_iter().map(|e| e.account).collect();
    assert_eq!((&*accounts[0], &*accounts[3]), (MAIN, ""));
    let mut body = someone("a");
    body["appId"] = EMPTY.into();
    assert_eq!(rails.post("/customers", body).await.status, 201);
    assert!(rails.running.customer_by_reference(EMPTY, "a").is_some() && !rails.has("a"));
}

#[tokio::test]
async fn customers_are_created_got_and_updated_in_part() {
    let rails = Rails::new().await;
    let made = rails.post("/customers", someone("a")).await.json();
    let data = &made["data"];
    assert_eq!(made["success"], true);
    assert_eq!((&data["appId"], &data["country"]), (&json!(MAIN), &Value::Null));
    assert_eq!(
        (&data["wallets"], &data["createdAt"]),
        (&json!([]), &json!("2027-01-15T08:00:00.000Z"))
    );
    let id = data["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    rails.now.fetch_add(60, Ordering::SeqCst);
    let path = format!("/customers/{id}");
    let put = rails.put(&path, json!({"city": "", "metadata": {"new": [1]}, "appId": EMPTY})).await;
    let data = &put.json()["data"];
    assert_eq!(
        (put.status, &data["city"], &data["name"]),
        (200, &json!(""), &json!("Alex Morales"))
    );
    assert_eq!(data["metadata"], json!({"new": [1]}));
    assert_eq!(
        (&data["appId"], &data["updatedAt"]),
        (&json!(MAIN), &json!("2027-01-15T08:01:00.000Z"))
    );
    let put = rails.put(&path, json!({"externalId": "b", "metadata": {}})).await;
    assert_eq!((put.status, &put.json()["data"]["metadata"]), (200, &json!({})));
    assert!(rails.has("b") && !rails.has("a"));
    rails.post(&format!("{path}/wallets"), wallet(102, SOLANA)).await;
    let got = rails.get(&path).await.json()["data"].clone();
    assert_eq!(got["app"]["id"], MAIN);
    assert_eq!(got["wallets"][0]["chain"], json!({"chainId": 102, "name": "Solana Devnet"}));
    let count = &rails.page("").await["data"][0]["_count"];
    let intents = count["paymentIntents"].as_u64().unwrap().min(50);
    assert_eq!(got["paymentIntents"].as_array().unwrap().len() as u64, intents);
    let gone = "/customers/00000000-0000-4000-8000-000000000000";
    assert_eq!((rails.get(gone).await.status, rails.put(gone, json!({})).await.status), (404, 404));
    let delete = rails.call("DELETE", &path, &[], &Value::Null).await.unwrap();
    assert_eq!((delete.status, &*message(&delete)), (404, "Route not found"));
}

#[tokio::test]
async fn fields_are_checked_and_unknown_ones_dropped() {
    let rails = Rails::new().await;
    let refused = async |change: Value| {
        let mut body = someone("a");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = rails.post("/customers", body).await;
        assert_eq!((refused.status, &*refused.code()), (400, "VALIDATION_ERROR"));
        message(&refused)
    };
    let long = "String must contain at most";
    assert_eq!(refused(json!({"name": null})).await, "name: Expected string, received null");
    assert_eq!(refused(json!({"email": ""})).await, "email: Invalid email");
    assert_eq!(refused(json!({"email": "a@b"})).await, "email: Invalid email");
    assert_eq!(refused(json!({"appId": "x"})).await, "appId: Invalid uuid");
    assert_eq!(
        refused(json!({"metadata": [], "city": 5})).await,
        "city: Expected string, received number; metadata: Expected object, received array"
    );
    assert_eq!(
        refused(json!({"postalCode": "9".repeat(51)})).await,
        format!("postalCode: {long} 50 character(s)")
    );
    assert_eq!(
        refused(json!({"externalId": "é".repeat(256)})).await,
        format!("externalId: {long} 255 character(s)")
    );
    assert!(refused(json!({"metadata": {"card": "4242 4242 4242 4242"}})).await.contains("card"));
    assert!(rails.running.customers(MAIN).is_empty());
    let mut body = someone("a");
    body["phone"] = "1".into();
    body["metadata"] = json!({"deep": {"none": null}});
    body["address"] = "é".repeat(500).into();
    let made = rails.post("/customers", body.clone()).await.json();
    assert!(made["data"].get("phone").is_none() && made["data"]["metadata"]["deep"].is_object());
    let path = format!("/customers/{}", made["data"]["id"].as_str().unwrap());
    let null = rails.put(&path, json!({"country": null})).await;
    assert_eq!(message(&null), "country: Expected string, received null");
    assert_eq!(null.json()["error"]["details"][0]["path"], json!(["country"]));
    // Whatever the vendor did not think of is a 500.
    let headers = [("x-api-key", KEY), ("content-type", "application/json")];
    let broken = send(rails.running.addr(), "POST", "/customers", &headers, "{").await.unwrap();
    assert_eq!((broken.status, &*broken.code()), (500, "INTERNAL_ERROR"));
    let vast = json!({"appId": MAIN, "metadata": {"k": "v".repeat(1024 * 1024)}});
    assert_eq!(rails.post("/customers", vast).await.status, 500);
    let untyped = send(rails.running.addr(), "POST", "/customers", &headers[..1], "{").await;
    assert_eq!(message(&untyped.unwrap()), "appId: Required");
    let config = Config {
        unknown_fields_refused: true,
        shape: Shape { error_type: true, error_details: false, ..Shape::default() },
        ..Config::default()
    };
    let strict = Rails::with(0, config, "").await;
    let refused = strict.post("/customers", body).await;
    assert_eq!(message(&refused), "phone: Unrecognized key");
    let error = &refused.json()["error"];
    assert_eq!((&error["type"], error.get("details")), (&json!("VALIDATION_ERROR"), None));
}

#[tokio::test]
async fn wallets_are_kept_in_the_form_of_their_chain() {
    let rails = Rails::new().await;
    let id = rails.customer("a").await;
    let path = format!("/customers/{id}/wallets");
    let made = rails.post(&path, wallet(11_155_111, EVM)).await;
    let data = made.json()["data"].clone();
    assert_eq!((made.status, &data["walletAddress"]), (201, &json!(EVM.to_lowercase())));
    assert_eq!(data["chain"], json!({"chainId": 11_155_111, "name": "Sepolia"}));
    assert_eq!(
        (&data["customerAccountId"], &data["hasActiveAuthorization"]),
        (&json!(id), &json!(false))
    );
    assert_eq!(
        rails.post(&path, wallet(102, SOLANA)).await.json()["data"]["walletAddress"],
        SOLANA
    );
    assert_eq!(
        rails.post(&path, wallet(202, "0xAB")).await.json()["data"]["walletAddress"],
        "0xab"
    );
    let refused = async |body: Value| {
        let refused = rails.post(&path, body).await;
        assert_eq!(refused.status, 400);
        message(&refused)
    };
    assert_eq!(refused(wallet(999, EVM)).await, "Chain 999 is not supported");
    assert_eq!(refused(wallet(1, SOLANA)).await, "walletAddress: Invalid wallet address");
    assert_eq!(
        refused(json!({"chainId": "1"})).await,
        "chainId: Expected number, received string; walletAddress: Required"
    );
    assert!(refused(wallet(0, EVM)).await.starts_with("chainId: "));
    let held = rails.running.customer(MAIN, &id).unwrap().methods;
    let shown: Vec<_> = held.iter().map(|m| (m.chain_id, m.wallet_address.as_deref())).collect();
    let evm = EVM.to_lowercase();
    assert_eq!(
        shown,
        [(Some(11_155_111), Some(&*evm)), (Some(102), Some(SOLANA)), (Some(202), Some("0xab"))]
    );
    let wallet_id = data["id"].as_str().unwrap();
    let one = format!("{path}/{wallet_id}");
    assert_eq!(rails.delete(&one).await, 204);
    assert_eq!(rails.delete(&one).await, 404);
    let again = rails.post(&path, wallet(11_155_111, EVM)).await.json();
    assert_ne!(again["data"]["id"], wallet_id);
    assert_eq!(rails.post("/customers/none/wallets", wallet(102, SOLANA)).await.status, 404);
}

#[tokio::test]
async fn duplicates_are_answered_as_configured() {
    for (answered, status, code) in [
        (Duplicate::ServerError, 500, "INTERNAL_ERROR"),
        (Duplicate::Conflict, 409, "CONFLICT"),
        (Duplicate::Allowed, 201, ""),
    ] {
        let config = Config {
            duplicate_external_id: answered,
            duplicate_wallet: answered,
            ..Config::default()
        };
        let rails = Rails::with(0, config, "").await;
        let (id, other) = (rails.customer("a").await, rails.customer("b").await);
        let again = rails.post("/customers", someone("a")).await;
        assert_eq!((again.status, &*again.code()), (status, code));
        let taken = rails.put(&format!("/customers/{other}"), json!({"externalId": "a"})).await;
        assert_eq!(taken.status, if status == 201 { 200 } else { status });
        assert_eq!(
            rails.put(&format!("/customers/{id}"), json!({"externalId": "a"})).await.status,
            200
        );
        let path = format!("/customers/{id}/wallets");
        assert_eq!(rails.post(&path, wallet(1, EVM)).await.status, 201);
        let again = rails.post(&path, wallet(1, &EVM.to_lowercase())).await;
        assert_eq!((again.status, &*again.code()), (status, code));
        assert_eq!(rails.post(&path, wallet(137, EVM)).await.status, 201, "another chain");
        let elsewhere = format!("/customers/{other}/wallets");
        assert_eq!(rails.post(&elsewhere, wallet(1, EVM)).await.status, 201, "another customer");
        let allowed = answered == Duplicate::Allowed;
        let size = &rails.running.accounts()[0];
        assert_eq!((size.customers, size.methods), if allowed { (3, 4) } else { (2, 3) });
    }
}

#[tokio::test]
async fn shapes_that_an_adapter_may_meet() {
    let shape = Shape {
        ids: IdForm::Prefixed,
        chain_names: false,
        evm_upper_case: true,
        sui_padded: true,
        ..Shape::default()
    };
    let rails = Rails::with(0, Config { shape, ..Config::default() }, "").await;
    let id = rails.customer("a").await;
    assert!(id.starts_with("cust_"), "{id}");
    let path = format!("/customers/{id}/wallets");
    let made = rails.post(&path, wallet(1, EVM)).await.json()["data"].clone();
    assert!(made["id"].as_str().unwrap().starts_with("wal_"));
    assert_eq!(
        (made.get("chain"), made["walletAddress"].as_str().unwrap().get(..6)),
        (None, Some("0xABCD"))
    );
    let made = rails.post(&path, wallet(202, "0xab")).await.json();
    assert_eq!(made["data"]["walletAddress"], format!("0x{}ab", "0".repeat(62)));
    assert_eq!(rails.post(&path, wallet(1, EVM)).await.status, 500, "the same address");
    let listed = &rails.page("").await["data"][0]["wallets"];
    assert_eq!(listed[1]["walletAddress"], made["data"]["walletAddress"]);
    let held = rails.running.customer(MAIN, &id).unwrap().methods;
    assert_eq!(held[0].wallet_address, Some(EVM.to_lowercase()));
}
