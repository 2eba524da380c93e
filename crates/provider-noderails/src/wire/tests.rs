use serde_json::json;

use super::*;

fn own(error: &Value) -> Option<VendorError> {
    VENDOR.error_of(json!({"success": false, "error": error}).to_string().as_bytes())
}

#[test]
fn the_vendor_s_own_error_has_a_code_or_a_type() {
    let error = own(&json!({"code": "VALIDATION_ERROR", "message": "email: bad",
        "details": [{"path": ["email"]}, {"path": ["name"]}]}));
    let expected = VendorError {
        code: Some("VALIDATION_ERROR".into()),
        message: Some("email: bad".into()),
        field: Some("email".into()),
    };
    assert_eq!(error, Some(expected));
    let code = |error: Value| own(&error).and_then(|error| error.code);
    assert_eq!(code(json!({"type": "idempotency_error"})).as_deref(), Some("idempotency_error"));
    assert_eq!(code(json!({"code": null, "type": "a"})).as_deref(), Some("a"));
    assert_eq!(code(json!({"code": "a", "type": "b"})).as_deref(), Some("a"));
    for error in [json!({}), json!({"message": "x"}), json!({"code": 1}), json!({"code": "a b"})] {
        assert_eq!(own(&error), None, "{error}");
    }
    let route = |message: &str| code(json!({"code": "NOT_FOUND", "message": message}));
    assert_eq!(route("Route not found"), None);
    assert!(route("CustomerWallet with id x not found").is_some());
}

#[test]
fn a_list_says_that_it_is_one_and_where_it_stands() {
    let pagination = json!({"total": 257, "page": 3, "pageSize": 100, "totalPages": 3});
    let body = json!({"success": true, "data": [{"id": "a"}, 7], "pagination": pagination});
    let (list, shown) = super::list(body.to_string().as_bytes()).expect("a list");
    assert_eq!(list.received(), 2);
    assert_eq!(shown, Pagination { total: 257, page: Some(3), size: Some(100) });
    let bare = json!({"success": true, "data": [], "pagination": {"total": "0"}});
    let (_, shown) = super::list(bare.to_string().as_bytes()).expect("a list");
    assert_eq!(shown, Pagination { total: 0, page: None, size: None });
    for (body, why) in [
        (json!([]), "`success`"),
        (json!({"data": [], "pagination": pagination}), "`success`"),
        (json!({"success": false, "data": [], "pagination": pagination}), "`success`"),
        (json!({"success": true, "pagination": pagination}), "no list"),
        (json!({"success": true, "data": {"items": []}, "pagination": pagination}), "no list"),
        (json!({"success": true, "data": []}), "`pagination`"),
        (json!({"success": true, "data": [], "pagination": {"hasMore": true}}), "`total`"),
        (json!({"success": true, "data": [], "pagination": {"total": null}}), "`total`"),
    ] {
        let wrong = super::list(body.to_string().as_bytes()).err().expect("no list");
        assert!(wrong.contains(why), "{body}: {wrong}");
    }
    assert!(super::list(b"<html>").is_err());
}

#[test]
fn metadata_is_kept_as_it_is_written() {
    let texts = [
        r#"{ "a" : 1.0, "a b":1e400, "n":12345678901234567890123 }"#,
        r#"{"x":0.30000000000000004,"u":"\u010d","e":{}}"#,
        "{}",
    ];
    let rows: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| format!(r#"{{"id":"c{n}","metadata":{text},"wallets":[]}}"#))
        .collect();
    let odd = r#"7,{"metadata":{}},{"id":"n","metadata":null},{"id":"m"},{"id":"l","metadata":[]},
        {"id":"p","metadata":{"a":"4111-1111-1111-1111"}},{"id":"q","metadata":{"a":4111111111111111}},
        {"id":"r","metadata":{"a":"\u0034111111111111111"}}"#;
    let body = format!(r#"{{"success":true,"data":[{},{odd}]}}"#, rows.join(","));
    let kept = metadata(body.as_bytes());
    // A number that no reader holds keeps its row alone from being kept.
    let expected = [("c1", texts[1]), ("c2", texts[2])];
    let expected = expected.map(|(id, text)| (id.to_owned(), text.to_owned()));
    assert_eq!(kept, HashMap::from(expected));
    let one = format!(r#"{{"success":true,"data":{}}}"#, rows[1]);
    assert_eq!(metadata(one.as_bytes()).get("c1").map(String::as_str), Some(texts[1]));
    assert_eq!(metadata(b"<html>"), HashMap::new());
}

#[test]
fn an_id_of_the_vendor_s_own_is_no_card_number() {
    let body = json!({"success": true, "data": {
        "id": "cust_4111111111111111", "externalId": "4111111111111111",
        "appId": "00000000-0000-4000-8000-411111111111",
        "wallets": [{"id": "cust_4111-1111-1111-1111"}],
    }});
    let (data, at) = object(body.to_string().as_bytes()).expect("an object");
    assert_eq!(at, ["data.externalId", "data.wallets[0].id"]);
    assert_eq!(data["id"], "cust_4111111111111111");
    assert_eq!(data["appId"], "00000000-0000-4000-8000-411111111111");
}
