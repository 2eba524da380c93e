use backend::{ErrorKind, FieldRule, ItemOutcome};
use model::{Code, FieldName, Profile};
use serde_json::json;

use super::*;

const VENDOR: Vendor = Vendor {
    any_casing: false,
    ids: OwnIds { names: &["id", "of"], marks: b"-", numbered: &["id"] },
    hidden: &["fingerprint", "last4", "holder_name", "metadata"],
    column: |name| (name == "fingerprint").then_some("token"),
    own_error: |row| {
        let code = row.text("code").ok()??;
        let message = row.text("message").ok()?;
        Some(VendorError { code: Some(code), message, field: row.text("field").ok()? })
    },
    error_in_success: false,
};

#[test]
fn what_was_sent_is_hidden_in_every_form() {
    let body = br#"{"saved_payment_methods":[{"payment_method":{"credit":{
        "fingerprint":"TOK_canary0123456789","last4":"4242","holder_name":"Al"}}}]}"#;
    let echo = VENDOR.echo_of_body(body);
    for (said, shown) in [
        ("no token tok_CANARY0123456789.", "no token [hidden]."),
        ("bad:TOK_canary0123456789TOK_canary0123456789", "bad:[hidden]"),
        ("token canary01... is cut", "token [hidden]... is cut"),
        ("the card of Al ends in 4242", "the card of [hidden] ends in [hidden]"),
        ("an invalid value, 42421", "an invalid value, 42421"),
        ("größer als TOK_canary0123456789ß", "größer als [hidden]ß"),
    ] {
        assert_eq!(echo.hide(said), shown);
    }
    let echo = VENDOR.echo_of_text("Customer-0000123");
    let (said, shown) =
        ("customer customer-0000123: no -0000123", "customer [hidden]: no [hidden]");
    assert_eq!(echo.hide(said), shown);
}

#[test]
fn names_are_found_in_any_casing_where_the_vendor_has_many() {
    let any = Vendor { any_casing: true, ..VENDOR };
    for row in [
        json!({"email_address": "a@b.c", "address": {"postal_code": 7, "line1": "x"}}),
        json!({"emailAddress": "a@b.c", "address": {"postalCode": 7, "line1": "x"}}),
        json!({"EmailAddress": "a@b.c", "Address": {"PostalCode": 7, "Line1": "x"}}),
    ] {
        let row = any.row(&row).expect("an object");
        assert_eq!(row.text("email_address"), Ok(Some("a@b.c".into())));
        let address = row.row("address").expect("an object");
        assert_eq!(address.text("postal_code"), Ok(Some("7".into())));
        assert_eq!(address.first_text(&["zip", "line1"]), Ok(Some("x".into())));
    }
    let exact = json!({"EmailAddress": "a@b.c"});
    assert!(VENDOR.row(&exact).expect("an object").get("email_address").is_none());
    let body = br#"{"Customers":[{"id":1}],"RequestId":"r"}"#;
    let Ok(list) = any.list(body, &["data", "customers"]) else { panic!() };
    assert_eq!((list.received(), &list.envelope), (1, &json!({"RequestId": "r"})));
    assert!(VENDOR.list(body, &["data", "customers"]).is_err());
    let echo = any.echo_of_body(br#"{"HolderName":"Ada Kovac","metadata":{"tier":["gold"]}}"#);
    assert_eq!(echo.text(Some("no Ada Kovac in tier gold")), "no [hidden] in tier [hidden]");
}

#[test]
fn card_numbers_go_and_the_vendor_s_own_ids_stay() {
    const NUMBER: u64 = 4_111_111_111_111_111;
    let body =
        br#"{"id":"a-4111111111111111","of":"4111111111111111-a","x":[{"y":4111111111111111}],
        "z":"4111 1111 1111 1111"}"#;
    let (row, mut at) = VENDOR.object(body).expect("an object");
    at.sort();
    assert_eq!(at, ["x[0].y", "z"]);
    let kept = json!({"id": "a-4111111111111111", "of": "4111111111111111-a",
        "x": [{"y": null}], "z": null});
    assert_eq!(row, kept);
    // One without a letter, with another mark, under another name, in another casing.
    let body =
        json!({"id": "4111111111111111", "of": "a_4111111111111111", "ID": "a-4111111111111111"});
    let (_, mut at) = VENDOR.object(body.to_string().as_bytes()).expect("an object");
    at.sort();
    assert_eq!(at, ["ID", "id", "of"]);
    // A number is the id of a row, where the vendor has such, and of nothing that stands within it.
    let rows = json!([{"id": NUMBER, "of": NUMBER, "metadata": {"id": NUMBER}}, {"id": 4.1e15}]);
    let Ok(mut list) = VENDOR.list(rows.to_string().as_bytes(), &[]) else { panic!() };
    list.card_numbers_at.sort();
    assert_eq!(list.card_numbers_at, ["[0].metadata.id", "[0].of"]);
    assert_eq!(list.rows[0], json!({"id": NUMBER, "of": null, "metadata": {"id": null}}));
}

const OWN: &[u8] = br#"{"code":"bad","message":"no"}"#;

fn response(status: u16, body: &'static [u8]) -> crate::HttpResponse {
    crate::HttpResponse {
        status,
        body: bytes::Bytes::from_static(body),
        request_id: Some("req_1".into()),
        retry_after: None,
        as_of: model::Timestamp::from_seconds(0),
    }
}

#[test]
fn a_read_fails_by_its_status_and_the_vendor_s_own_word() {
    let strict = Vendor { error_in_success: true, ..VENDOR };
    for (status, body, lax, kind) in [
        (200, &b"{}"[..], None, None),
        (200, OWN, None, Some(ErrorKind::Invalid)),
        (204, b"", None, None),
        (301, OWN, Some(ErrorKind::Malformed), Some(ErrorKind::Malformed)),
        (400, OWN, Some(ErrorKind::Invalid), Some(ErrorKind::Invalid)),
        (400, b"<html>", Some(ErrorKind::Malformed), Some(ErrorKind::Malformed)),
        (401, b"", Some(ErrorKind::Unauthenticated), Some(ErrorKind::Unauthenticated)),
        (403, OWN, Some(ErrorKind::Forbidden), Some(ErrorKind::Forbidden)),
        (404, OWN, Some(ErrorKind::NotFound), Some(ErrorKind::NotFound)),
        (404, b"{}", Some(ErrorKind::Malformed), Some(ErrorKind::Malformed)),
        (409, OWN, Some(ErrorKind::Conflict), Some(ErrorKind::Conflict)),
        (500, OWN, Some(ErrorKind::Malformed), Some(ErrorKind::Malformed)),
    ] {
        for (vendor, kind) in [(VENDOR, lax), (strict, kind)] {
            let error =
                vendor.expect_success("read", &response(status, body), &vendor.echo()).err();
            assert_eq!(error.as_ref().map(|error| error.kind), kind, "{status} {body:?}");
            assert!(error.is_none_or(|error| error.request_id.as_deref() == Some("req_1")));
        }
    }
}

#[test]
fn a_write_is_undone_only_where_the_vendor_says_so() {
    for (status, own, foreign) in [
        (400, "refused", "unknown"),
        (401, "account", "account"),
        (402, "refused", "unknown"),
        (403, "account", "unknown"),
        (404, "refused", "unknown"),
        (409, "unknown", "unknown"),
        (413, "refused", "unknown"),
        (422, "refused", "unknown"),
        (429, "throttled", "throttled"),
        (500, "unknown", "unknown"),
        (503, "unknown", "unknown"),
        (301, "unknown", "unknown"),
        (200, "unknown", "unknown"),
    ] {
        for (body, expected) in [(OWN, own), (&b"<html>"[..], foreign)] {
            let outcome = VENDOR.not_done(status, VENDOR.error_of(body), &VENDOR.echo());
            let word = match outcome {
                ItemOutcome::Throttled => "throttled",
                ItemOutcome::AccountFault(_) => "account",
                ItemOutcome::Refused(_) => "refused",
                ItemOutcome::Unknown(_) => "unknown",
                other => panic!("{other:?}"),
            };
            assert_eq!(word, expected, "{status} {body:?}");
        }
    }
}

#[test]
fn a_field_is_measured_in_characters() {
    let rule = |field, min, max| FieldRule { field, min, max, required: false };
    let rules = [
        rule(FieldName::Name, 1, Some(4)),
        rule(FieldName::City, 3, None),
        rule(FieldName::Country, 2, Some(2)),
        rule(FieldName::Metadata, 1, Some(1)),
    ];
    let profile = |field, value: &str| {
        let mut profile = Profile::default();
        profile.set(field, Some(value.to_owned()));
        profile
    };
    for (field, value) in
        [(FieldName::Name, "čččč"), (FieldName::City, "Vis"), (FieldName::Line1, "")]
    {
        assert_eq!(check_fields(&rules, &profile(field, value)), Ok(()));
    }
    for (field, value, says) in [
        (FieldName::Name, "ččččč", "`name` has 5 characters; the provider takes 1 to 4"),
        (FieldName::City, "Ub", "`city` has 2 characters; the provider takes at least 3"),
        (FieldName::Country, "HRV", "`country` has 3 characters; the provider takes exactly 2"),
    ] {
        let rejection = check_fields(&rules, &profile(field, value)).expect_err("it is not taken");
        assert_eq!((rejection.code, rejection.field), (Code::FieldLength, Some(field)));
        assert_eq!(rejection.message, says);
    }
}

#[test]
fn ids_are_encoded_where_they_stand() {
    assert_eq!(path("/a/{id}/b", &["x/y?é"]).as_deref(), Some("/a/x%2Fy%3F%C3%A9/b"));
    for id in ["", ".", ".."] {
        assert_eq!(path("/a/{id}", &[id]), None);
        let error = path_for("read", "/a/{id}", &[id]).expect_err("no path");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
}
