//! The readings that the contract lets an adapter meet.

use super::*;

#[tokio::test]
async fn answers_come_in_three_casings() {
    let wanted = [
        (
            Casing::Snake,
            ["request_id", "customer", "first_name", "shipping_address", "postal_code"],
        ),
        (Casing::Camel, ["requestId", "customer", "firstName", "shippingAddress", "postalCode"]),
        (Casing::Pascal, ["RequestId", "Customer", "FirstName", "ShippingAddress", "PostalCode"]),
    ];
    for (casing, [request, customer, first, address, code]) in wanted {
        let shape = Shape { casing, no_errors: NoErrors::Null, ..Shape::default() };
        let vault = Vault::shaped(shape).await;
        let made = vault.call("POST", "", alex("a")).await.json();
        assert!(made[request].is_string());
        assert_eq!(made[customer][first], "Alex");
        assert_eq!(made[customer][address][code], "12180");
        // The merchant's own keys stay.
        let metadata = if casing == Casing::Pascal { "Metadata" } else { "metadata" };
        assert_eq!(made[customer][metadata]["account_id"], "a");
        assert_eq!(made[customer][metadata]["accountTier"], "gold");
        let errors = if casing == Casing::Pascal { "Errors" } else { "errors" };
        assert!(made.as_object().unwrap()[errors].is_null());
        let kind = if casing == Casing::Pascal { "Type" } else { "type" };
        assert_eq!(vault.get("/short").await.json()[errors][0][kind], "VALIDATION");
    }
}

#[tokio::test]
async fn requests_may_be_read_in_one_casing_only() {
    let either = (json!({"first_name": "A"}), json!({"firstName": "A"}));
    for (requests, snake, camel) in
        [(RequestCasing::Snake, 200, 400), (RequestCasing::Camel, 400, 200)]
    {
        let vault = Vault::with(0, Config { requests, ..Config::default() }, "").await;
        assert_eq!(vault.call("POST", "", either.0.clone()).await.status, snake);
        assert_eq!(vault.call("POST", "", either.1.clone()).await.status, camel);
        let own = json!({"metadata": {"account_id": "x", "tierName": "y"}});
        assert_eq!(vault.call("POST", "", own).await.status, 200);
    }
}

#[tokio::test]
async fn envelopes_are_switched() {
    let shape = Shape {
        customers: ListName::Data,
        wallets: WalletsName::Data,
        customer: One::Object,
        wallet: One::Array,
        missing_customer: Missing::Null,
        no_errors: NoErrors::Empty,
        ..Shape::default()
    };
    let vault = Vault::shaped(shape).await;
    let id = vault.customer("a").await;
    let entry = vault.add(&id, "tok-check-6789-a").await.json()["wallet"]["id"].clone();
    let got = vault.get(&format!("/{id}")).await.json();
    assert_eq!((&got["customer"]["id"], &got["errors"]), (&json!(id), &json!([])));
    assert_eq!(vault.get("").await.json()["data"][0]["id"], id);
    assert_eq!(vault.get(&format!("/{id}/wallet")).await.json()["data"][0]["id"], entry);
    let path = format!("/{id}/wallet/{}", text(&entry));
    assert_eq!(vault.get(&path).await.json()["wallet"][0]["id"], entry);
    let missing = vault.get("/no-such-customer").await;
    assert_eq!((missing.status, &missing.json()["customers"]), (200, &Value::Null));
    assert!(missing.json().as_object().unwrap().contains_key("customers"));
    let shape = Shape { wallets: WalletsName::Wallet, ..Shape::default() };
    let vault = Vault::shaped(shape).await;
    let id = vault.customer("a").await;
    assert_eq!(vault.get(&format!("/{id}/wallet")).await.json()["wallet"], json!([]));
}

#[tokio::test]
async fn masks_and_expiries_are_switched() {
    let cases = [
        (Mask::Stars, Expiry::Mmyy, "4***********1111", "*****6789", "0231"),
        (Mask::Xs, Expiry::MmSlashYy, "4xxxxxxxxxxx1111", "xxxxx6789", "02/31"),
        (Mask::Bin, Expiry::MmSlashYyyy, "411111******1111", "*****6789", "02/2031"),
        (Mask::Stars, Expiry::YyyyDashMm, "4***********1111", "*****6789", "2031-02"),
    ];
    for (mask, expiry, card, bank, when) in cases {
        let shape = Shape {
            mask,
            expiry,
            unset: Unset::Null,
            bank_network: Some("ach"),
            ..Shape::default()
        };
        let vault = Vault::shaped(shape).await;
        let id = vault.customer("a").await;
        let entry = vault.add(&id, "tok-visa-1111-0231-a").await.json()["wallet"].clone();
        assert_eq!((&entry["account_number"], &entry["expiry"]), (&json!(card), &json!(when)));
        let entry = vault.add(&id, "tok-check-6789-a").await.json()["wallet"].clone();
        assert_eq!((&entry["account_number"], &entry["network"]), (&json!(bank), &json!("ach")));
        assert!(entry.as_object().unwrap()["expiry"].is_null());
        let customer = vault.get(&format!("/{id}")).await.json()["customers"][0].clone();
        assert!(customer.as_object().unwrap()["company"].is_null());
    }
}

#[tokio::test]
async fn refusals_may_come_with_200_and_any_message() {
    for (message, said) in [
        (Message::Text, json!("there is no such customer")),
        (Message::Object, json!({"text": "there is no such customer", "field": null})),
        (Message::Array, json!(["there is no such customer"])),
        (Message::Number, json!(404)),
        (Message::Null, Value::Null),
    ] {
        let shape = Shape { message, ..Shape::default() };
        let config = Config { refuse_with_200: true, shape, ..Config::default() };
        let vault = Vault::with(0, config, "list_customers=status(500)").await;
        let missing = vault.get("/no-such-customer").await;
        assert_eq!(missing.status, 200);
        assert_eq!(missing.json()["errors"], json!([{"type": "NOT_FOUND", "message": said}]));
        // What comes of the key or of a fault keeps its status.
        assert_eq!(vault.call_as("k", "GET", "", &Value::Null).await.status, 500);
        vault.running.clear_faults();
        assert_eq!(vault.call_as("k", "GET", "", &Value::Null).await.status, 401);
    }
}

#[tokio::test]
async fn the_reference_may_be_the_merchant_identifier() {
    let config = Config {
        reference_field: ReferenceField::MerchantIdentifier,
        first_method_is_default: true,
        ..Config::default()
    };
    let vault = Vault::with(2, config, "create_customer=drop_before*1").await;
    vault.running.put_faults(FaultPlan::default()).unwrap();
    assert_eq!(vault.get("").await.json()["customers"][0]["merchant_identifier"], "C-000002");
    let body = json!({"merchantIdentifier": "M-1", "metadata": {"account_id": "x"}});
    let made = vault.call("POST", "", body).await.json();
    assert_eq!(made["customer"]["merchant_identifier"], "M-1");
    let view = vault.running.customer_by_reference(MAIN, "M-1").unwrap();
    assert_eq!(view.fields, BTreeMap::from([("metadata.account_id".into(), "x".into())]));
    assert_eq!(vault.add(&view.id, "tok-visa-1111-1228-a").await.json()["wallet"]["default"], true);
    // A rule that names a reference finds it in the body and behind an id.
    let plan = r#"[{"on": {"reference": "M-2"}, "do": {"status": {"code": 503}}, "times": 1},
                   {"on": {"reference": "M-1"}, "do": {"throttle": {"retry_after": 3}}}]"#;
    vault.running.put_faults(FaultPlan::parse(plan).unwrap()).unwrap();
    let made = vault.call("POST", "", json!({"merchantIdentifier": "M-2"})).await;
    assert_eq!(refused(&made), told(503, "SIMULATED"));
    let slow = vault.get(&format!("/{}", view.id)).await;
    assert_eq!(refused(&slow), told(429, "RATE_LIMITED"));
    assert_eq!(slow.header("retry-after").as_deref(), Some("3"));
}
