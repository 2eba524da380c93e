use serde_json::json;

use super::*;

fn own(body: &str) -> Option<VendorError> {
    ECRYPT.error_of(body.as_bytes())
}

#[test]
fn an_error_is_the_vendor_s_own_by_its_request_id_or_its_type() {
    for (body, code, message) in [
        // The vendor's own sample.
        (
            r#"{ "requestId": "abc123", "errors": [ { "type": "VALIDATION", "message": "The amount field is required." } ] }"#,
            Some("VALIDATION"),
            Some("The amount field is required."),
        ),
        (r#"{"request_id":"a","errors":[{"type":"X","message":"m"}]}"#, Some("X"), Some("m")),
        (r#"{"RequestId":"a","Errors":[{"Type":"X","Message":"m"}]}"#, Some("X"), Some("m")),
        (r#"{"errors":[{"type":"X"}]}"#, Some("X"), None),
        (r#"{"request_id":"a","errors":[null,{"message":"m"}]}"#, None, Some("m")),
        (r#"{"request_id":"a","errors":["m","n"]}"#, None, Some("m; n")),
        (r#"{"request_id":"a","errors":[{"type":"two words","message":7}]}"#, None, Some("7")),
        // `message` is documented as of any type.
        (r#"{"errors":[{"type":"X","message":7.5}]}"#, Some("X"), Some("7.5")),
        (r#"{"errors":[{"type":"X","message":false}]}"#, Some("X"), Some("false")),
        (r#"{"errors":[{"type":"X","message":["a","b"]}]}"#, Some("X"), Some(r#"["a","b"]"#)),
        (r#"{"errors":[{"type":"X","message":{"a":1}}]}"#, Some("X"), Some(r#"{"a":1}"#)),
        (r#"{"errors":[{"type":"X","message":null}]}"#, Some("X"), None),
    ] {
        let error = own(body).unwrap_or_else(|| panic!("{body}"));
        assert_eq!((error.code.as_deref(), error.message.as_deref()), (code, message), "{body}");
    }
    for body in [
        "",
        "<html><h1>404 Not Found</h1></html>",
        "[]",
        "null",
        "{}",
        r#"{"request_id":"a"}"#,
        r#"{"request_id":"a","errors":[]}"#,
        r#"{"request_id":"a","errors":null}"#,
        r#"{"request_id":"a","errors":[null]}"#,
        r#"{"request_id":"a","errors":"no"}"#,
        r#"{"message":"Not Found"}"#,
        r#"{"errors":[{"message":"Not Found"}]}"#,
        r#"{"success":false,"errors":[{"code":7003,"message":"Could not route"}]}"#,
        r#"{"errors":[{"status":"404","title":"Not Found"}]}"#,
        r#"{"type":"about:blank","title":"Bad","errors":{"name":["is required"]}}"#,
        r#"{"request_id":"two words","errors":[{"message":"no"}]}"#,
        r#"{"request_id":"a","errors":[{"type":"cut off"#,
    ] {
        assert_eq!(own(body), None, "{body}");
    }
}

#[test]
fn request_ids_come_in_every_casing() {
    for body in [r#"{"requestId":"r-1"}"#, r#"{"request_id":"r-1"}"#, r#"{"RequestId":"r-1"}"#] {
        assert_eq!(request_id(body.as_bytes()).as_deref(), Some("r-1"), "{body}");
    }
    for body in ["", "[]", "{}", r#"{"request_id":"a b"}"#, r#"{"request_id":4111111111111111}"#] {
        assert_eq!(request_id(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn errors_of_any_form_are_no_success() {
    for (body, has) in [
        (json!({}), false),
        (json!({"errors": null}), false),
        (json!({"errors": []}), false),
        (json!({"Errors": [null, null]}), false),
        (json!({"errors": [{}]}), true),
        (json!({"Errors": ["no"]}), true),
        (json!({"errors": "no"}), true),
        (json!({"errors": {"name": "no"}}), true),
    ] {
        assert_eq!(has_errors(ECRYPT.row(&body).expect("an object")), has, "{body}");
    }
}

#[test]
fn lists_come_in_every_envelope_of_the_contract() {
    for (body, names) in [
        (r#"{"customers":[{"id":"1"},{"id":"2"}],"request_id":"r","errors":null}"#, CUSTOMERS),
        (r#"{"Customers":[{"Id":"1"},{"Id":"2"}]}"#, CUSTOMERS),
        (r#"{"data":[{"id":"1"},{"id":"2"}]}"#, CUSTOMERS),
        (r#"{"wallets":[{"id":"1"},{"id":"2"}]}"#, METHODS),
        (r#"{"wallet":[{"id":"1"},{"id":"2"}]}"#, METHODS),
        (r#"{"Wallet":[{"Id":"1"},{"Id":"2"}]}"#, METHODS),
        (r#"{"data":[{"id":"1"},{"id":"2"}]}"#, METHODS),
    ] {
        let Ok(list) = ECRYPT.list(body.as_bytes(), names) else { panic!("{body}") };
        assert_eq!(list.received(), 2, "{body}");
    }
    for body in ["", "<html>", "{}", "7", r#"{"customers":null}"#, r#"{"items":[]}"#] {
        assert!(ECRYPT.list(body.as_bytes(), CUSTOMERS).is_err(), "{body}");
    }
}

#[test]
fn one_is_an_object_or_an_array_of_one() {
    let read = |body: &Value, name: &str, list: &str| {
        let found = one(ECRYPT.row(body).expect("an object"), name, list);
        found.map(|found| found.map(|found| found["id"].as_str().unwrap_or("?").to_owned()))
    };
    let some = Ok(Some("c".to_owned()));
    for (body, expected) in [
        (json!({"customer": {"id": "c"}}), some.clone()),
        (json!({"Customer": {"id": "c"}}), some.clone()),
        (json!({"customers": [{"id": "c"}]}), some.clone()),
        (json!({"customer": null, "Customers": [{"id": "c"}]}), some.clone()),
        (json!({"customers": null}), Ok(None)),
    ] {
        assert_eq!(read(&body, "customer", "customers"), expected, "{body}");
    }
    for body in [
        json!({}),
        json!({"customer": null}),
        json!({"customers": []}),
        json!({"customers": [{"id": "c"}, {"id": "d"}]}),
        json!({"customers": {"id": "c"}}),
        json!({"customer": "c"}),
    ] {
        assert!(read(&body, "customer", "customers").is_err(), "{body}");
    }
    for body in [json!({"wallet": {"id": "c"}}), json!({"wallet": [{"id": "c"}]})] {
        assert_eq!(read(&body, "wallet", "wallet"), some, "{body}");
    }
}

#[test]
fn what_is_sent_has_one_casing_and_no_null() {
    let write = |casing| {
        let address = Object::new(casing).text("postal_code", Some("80202")).text("line2", None);
        let object = Object::new(casing)
            .text("first_name", Some("Ada"))
            .text("last_name", None)
            .flag("default", false)
            .object("shipping_address", address)
            .object("billing_address", Object::new(casing))
            .own("metadata", vec![("account_id", "R_1"), ("Tier_x", "gold")])
            .own("none", Vec::new());
        serde_json::to_string(&object).expect("JSON")
    };
    assert_eq!(
        write(Casing::Snake),
        r#"{"first_name":"Ada","default":false,"shipping_address":{"postal_code":"80202"},"metadata":{"account_id":"R_1","Tier_x":"gold"}}"#
    );
    assert_eq!(
        write(Casing::Camel),
        r#"{"firstName":"Ada","default":false,"shippingAddress":{"postalCode":"80202"},"metadata":{"account_id":"R_1","Tier_x":"gold"}}"#
    );
}

#[test]
fn masks() {
    for (mask, shown) in [
        ("4***********1111", Some("1111")),
        ("4xxxxxxxxxxx1111", Some("1111")),
        ("411111******1111 VISA", Some("1111")),
        ("411111******1111 american express", Some("1111")),
        ("•••• •••• •••• 4242", Some("4242")),
        ("XXXX XXXX XXXX 4242", Some("4242")),
        ("******6789", Some("6789")),
        ("6789", Some("6789")),
        ("4111********", None),
        ("4111 XXXX", None),
        ("VISA", None),
        ("**789", None),
        ("", None),
    ] {
        assert_eq!(last4(mask).as_ref().map(Last4::as_str), shown, "{mask}");
    }
}

#[test]
fn an_id_that_the_vendor_made_is_no_card_number() {
    let body = br#"{"id":"cus-9014564050715011","Id":"4111111111111111a","ID":"4111111111111111",
        "account_number":"4111 1111 1111 1111","x":{"id":"00000000-0000-4000-8000-411111111111"}}"#;
    let (row, mut at) = ECRYPT.object(body).expect("an object");
    at.sort();
    assert_eq!(at, ["ID", "account_number"]);
    assert_eq!(row["id"], "cus-9014564050715011");
    assert_eq!(row["x"]["id"], "00000000-0000-4000-8000-411111111111");
}

#[test]
fn metadata_is_the_merchant_s_own() {
    let body = json!({"Metadata": {
        "account_id": "R-1", "Account_Id": "other", "n": 7, "yes": true, "empty": "",
        "none": null, "deep": {"a": "b"}, "list": ["a"],
    }});
    let mut read: Vec<_> = metadata(ECRYPT.row(&body).expect("an object")).collect();
    read.sort();
    let expected = [("Account_Id", "other"), ("account_id", "R-1"), ("n", "7"), ("yes", "true")];
    assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    for body in [json!({}), json!({"metadata": null}), json!({"metadata": []})] {
        assert_eq!(metadata(ECRYPT.row(&body).expect("an object")).count(), 0, "{body}");
    }
}
