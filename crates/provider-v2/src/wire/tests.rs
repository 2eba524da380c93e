use super::*;

fn own(body: &str) -> Option<(Option<String>, Option<String>)> {
    VENDOR.error_of(body.as_bytes()).map(|error| (error.code, error.message))
}

#[test]
fn the_vendor_s_own_errors_come_with_any_text_or_none() {
    for (body, code, message) in [
        (r#"{"status":"invalid-request"}"#, Some("invalid-request"), None),
        (r#"{"status":"error","message":"no","errors":["a"]}"#, Some("error"), Some("no")),
        (
            r#"{"status":"invalid-request","errors":["Name is too long","City too"]}"#,
            Some("invalid-request"),
            Some("Name is too long; City too"),
        ),
        (r#"{"status":"error","message":"","errors":[7,{}]}"#, Some("error"), None),
        (r#"{"status":"error","message":7}"#, Some("error"), None),
        (r#"{"errors":["Pan can't be blank"]}"#, None, Some("Pan can't be blank")),
        (r#"{"status":null,"errors":["no"]}"#, None, Some("no")),
    ] {
        let (code, message) = (code.map(str::to_owned), message.map(str::to_owned));
        assert_eq!(own(body), Some((code, message)), "{body}");
    }
    for body in [
        "",
        "<html><h1>404 Not Found</h1></html>",
        "Unauthorized",
        "null",
        "[]",
        "{}",
        r#"{"message":"Not Found"}"#,
        r#"{"status":404,"error":"Not Found"}"#,
        r#"{"status":404,"errors":["no"]}"#,
        r#"{"status":"not found","message":"no"}"#,
        r#"{"status":"approved","errors":["no"]}"#,
        r#"{"errors":[]}"#,
        r#"{"errors":[{"code":"x"}]}"#,
        r#"{"errors":"no"}"#,
        r#"{"status":"invalid-re"#,
    ] {
        assert_eq!(own(body), None, "{body}");
    }
}

#[test]
fn a_list_says_of_itself_that_it_is_one() {
    let rows = |body: &str| list(body.as_bytes()).map(|list| list.rows.len());
    assert_eq!(rows(r#"{"status":"approved","data":[{"id":"a"},{"id":"b"}],"more":1}"#), Ok(2));
    assert_eq!(rows(r#"{"status":"approved","data":[]}"#), Ok(0));
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"data":[]}"#,
        r#"{"status":"Approved","data":[]}"#,
        r#"{"status":"approved"}"#,
        r#"{"status":"approved","data":null}"#,
        r#"{"status":"approved","data":{}}"#,
        r#"{"status":"approved","customers":[]}"#,
        r#"{"status":"approved","data":[{"id""#,
    ] {
        assert!(rows(body).is_err(), "{body}");
    }
}

#[test]
fn card_numbers_go_and_ids_stay() {
    let body = br#"{"status":"approved","data":[
        {"id":"a4111111111111111","customer_uuid":"4-4111111111111111-x",
         "masked_pan":"4111111111111111","token":"5555555555554444"},
        {"id":"4111111111111111","uuid":4111111111111111,"masked_pan":"411111******1111"},
        {"id":4111111111111111,"metadata":{"id":4111111111111111}}]}"#;
    let Ok(mut list) = list(body) else { panic!() };
    list.card_numbers_at.sort();
    assert_eq!(
        list.card_numbers_at,
        ["[0].masked_pan", "[0].token", "[1].id", "[1].uuid", "[2].metadata.id"]
    );
    assert_eq!(
        list.rows[2]["id"], 4_111_111_111_111_111_u64,
        "a number is an id, a text of digits is not"
    );
    assert_eq!(list.rows[0]["id"], "a4111111111111111");
    assert_eq!(list.rows[0]["customer_uuid"], "4-4111111111111111-x");
    assert_eq!(list.rows[1]["masked_pan"], "411111******1111");
}
