use super::*;

fn own(body: &str) -> Option<String> {
    VENDOR.error_of(body.as_bytes()).map(|error| error.code.expect("always"))
}

#[test]
fn only_a_code_word_makes_an_error_the_vendor_s_own() {
    for body in [
        r#"{"error":{"code":"invalid_token","message":"no"}}"#,
        r#"{"code":"invalid_token"}"#,
        r#"{"errors":[{"code":"invalid_token"},{"code":"second"}]}"#,
        r#"{"error":"invalid_token","message":"no"}"#,
    ] {
        assert_eq!(own(body).as_deref(), Some("invalid_token"), "{body}");
    }
    for body in [
        "",
        "<html><h1>404 Not Found</h1></html>",
        "[]",
        "null",
        "{}",
        r#"{"message":"Not Found"}"#,
        r#"{"status":404,"error":"Not Found","path":"/api/customers"}"#,
        r#"{"error":"Forbidden"}"#,
        r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}"#,
        r#"{"error":{"code":"two words"}}"#,
        r#"{"error":{"code":""}}"#,
        r#"{"error":{"message":"Internal error"}}"#,
        r#"{"code":404,"message":"no"}"#,
        r#"{"title":"Not Found","status":404}"#,
        r#"{"error":{"code":"cut off"#,
    ] {
        assert_eq!(own(body), None, "{body}");
    }
}

#[test]
fn lists_come_in_every_envelope_of_the_contract() {
    for (body, names) in [
        (r#"[{"a":1},{"a":2}]"#, CUSTOMERS),
        (r#"{"value":[{"a":1},{"a":2}]}"#, CUSTOMERS),
        (r#"{"data":[{"a":1},{"a":2}],"total":9}"#, CUSTOMERS),
        (r#"{"items":[{"a":1},{"a":2}]}"#, CUSTOMERS),
        (r#"{"payment_methods":[{"a":1},{"a":2}]}"#, METHODS),
        (r#"{"value":[{"a":1},{"a":2}],"@odata.nextLink":null}"#, METHODS),
        (r#"{"data":[{"a":1},{"a":2}]}"#, METHODS),
    ] {
        let Ok(list) = VENDOR.list(body.as_bytes(), names) else { panic!("{body}") };
        assert_eq!((list.rows.len(), next_link(&list)), (2, Ok(None)), "{body}");
    }
    let linked = VENDOR.list(br#"{"value":[],"@odata.nextLink":"/x?$skiptoken=1"}"#, CUSTOMERS);
    let linked = linked.expect("a list");
    assert_eq!(next_link(&linked), Ok(Some("/x?$skiptoken=1")));
    for body in ["", "<html>", "{}", "7", r#"{"value":{}}"#, r#"{"payment_methods":[]}"#] {
        assert!(VENDOR.list(body.as_bytes(), CUSTOMERS).is_err(), "{body}");
    }
    let broken = VENDOR.list(br#"{"value":[],"@odata.nextLink":7}"#, CUSTOMERS).expect("a list");
    assert!(next_link(&broken).is_err());
    let deep = "[".repeat(1_000_000);
    assert!(VENDOR.list(deep.as_bytes(), CUSTOMERS).is_err());
}

#[test]
fn a_card_number_is_dropped_and_only_its_path_is_kept() {
    let body = br#"{"value":[{"uid":"cus_1"},
        {"uid":"cus_2","name":"4111 1111 1111 1111","x":[{"y":4111111111111111}],
         "4111111111111111":"5555555555554444"}]}"#;
    let mut list = VENDOR.list(body, CUSTOMERS).expect("a list");
    list.card_numbers_at.sort();
    assert_eq!(list.card_numbers_at, ["[1].?", "[1].name", "[1].x[0].y"]);
    let left = serde_json::to_string(&list.rows[1]["name"]).expect("JSON");
    assert_eq!(left, "null");
}

#[test]
fn an_id_that_the_vendor_made_is_no_card_number() {
    // Both hold digits that have a network's prefix and a right check digit.
    let body = br#"{"uid":"cus_9014564050715011","saved_payment_method_uid":"SPM_4111111111111111",
        "id":"4111111111111111","name":"cus_4111111111111111"}"#;
    let (row, mut at) = VENDOR.object(body).expect("an object");
    at.sort();
    assert_eq!(at, ["id", "name"]);
    assert_eq!(row["uid"], "cus_9014564050715011");
    assert_eq!(row["saved_payment_method_uid"], "SPM_4111111111111111");
}

#[test]
fn what_was_sent_is_in_no_refusal() {
    let body = br#"{"saved_payment_methods":[{"payment_method":{"credit":{
        "fingerprint":"TOK_canary0123456789","last4":"4242","holder_name":"Al"}}}]}"#;
    let error = VendorError {
        code: Some("TOK_canary0123456789".into()),
        message: Some("TOK_canary0123456789 of Al, 4242".into()),
        field: Some("credit.fingerprint".into()),
    };
    let refusal = VENDOR.echo_of_body(body).refusal(error);
    assert_eq!(refusal.code, None);
    assert_eq!(refusal.field.as_deref(), Some("token"));
    assert_eq!(refusal.message, "[hidden] of [hidden], [hidden]");
}

#[test]
fn a_refusal_names_the_column_of_the_file() {
    for (theirs, column) in [
        ("fingerprint", "token"),
        ("payment_method.ach.account_number_suffix", "last4"),
        ("customer.reference_id", "reference"),
        ("email", "email"),
        ("customer_uid", "customer_uid"),
        ("payment_method.credit", "payment_method.credit"),
    ] {
        let error = VendorError { field: Some(theirs.into()), ..VendorError::default() };
        assert_eq!(VENDOR.echo().refusal(error).field.as_deref(), Some(column));
    }
}
