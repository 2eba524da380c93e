use model::SystemClock;

use super::*;
use crate::testing::{AT, Fixed, KEY, TOKEN, config};

fn signer(key: &str, token: &str) -> Signer {
    let config = V2Config { authenticity_token: token.into(), merchant_key: key.into() };
    Signer::new(&config, Arc::new(SystemClock))
}

/// The vendor's own example (V1).
#[test]
fn the_published_vector_is_signed_alike() {
    let header =
        signer(KEY, TOKEN).header(&AT.to_string(), "/v2/payment/new", "", br#"{"example":"1"}"#);
    assert_eq!(
        header,
        "WP3-v2.1 7db11ea5d4a1af32421b564c79b946d1ead3daf0 1593457122 \
         bd120476c656a8ec3ce5d6a150f17061d03a8e280b0fbba278a73a15066830562f73ce5536882c9222e265f1ff6c2df629173375b549cba5a9275b08686f32ea"
    );
}

/// V2: a timestamp in milliseconds, and a long body.
#[test]
fn an_engineer_s_example_is_signed_alike() {
    let body = r#"{"transaction_type":"purchase","amount":2130,"currency":"BAM","number_of_installments":"","order_number":"nedi1m-placanje","order_info":"Order info","language":"hr","ch_full_name":"John Doe","ch_address":"Elm street 22","ch_city":"Orgrimmar","ch_zip":"q123abc99","ch_country":"US","ch_phone":"123456","ch_email":"john.doe@email.com","comment":"","supported_payment_methods":[]}"#;
    let signer = signer("MerDep012", "c406cfc63b7ef89c63d5bbd9f99ce024709a076d");
    let path = "/v2/terminal-entry/create-or-update";
    let header = signer.header("1597831329378", path, "", body.as_bytes());
    assert_eq!(
        header.rsplit(' ').next(),
        Some(
            "5048fa6b5c244708ea32c6bc1dbede37109e3b3b91da59c321d6299c0158cde2849fbc0a462f6e23406e70b1bba13f4efb5b4a3697620fdbf2d2a1ce68737e3a"
        )
    );
}

/// V5: the query is signed, and a call without a body signs none.
#[test]
fn query_and_body_are_signed_as_they_are_sent() {
    let signer = signer(KEY, TOKEN);
    for (path, query, body, digest) in [
        (
            "/v2/customers",
            "limit=50&offset=0",
            "",
            "272106aca79b8d37967763c5f1bc456c776d7c5385de5acf1731d80b763ee178d9686acd82d7015262af5c93548b7ea18bc5df9e0521bbcc48231bc7e5819554",
        ),
        (
            "/v2/customers/abc",
            "",
            "",
            "50c87efde2f987a7319a9dde6e7bf6e2e2c371f9db60057d4b58aac2cb59657844bd4ea369d160e5841fb7fa7709f78f36c0c7dbb4f582af804581b3657c2338",
        ),
        (
            "/v2/customers",
            "",
            r#"{"email":"email@email.com","name":"name"}"#,
            "d12ffbee45ede271e72b60c244fbb695bd1b205b33273b7703fee14c93689e6f390577e0da838ee8306a033d97e65071d79731f2c886f16a09393c365ea7029a",
        ),
    ] {
        let header = signer.header(&AT.to_string(), path, query, body.as_bytes());
        assert_eq!(header, format!("WP3-v2.1 {TOKEN} {AT} {digest}"), "{path}?{query}");
    }
}

#[test]
fn the_clock_says_when_and_secrets_print_nowhere() {
    let credentials = config().credentials(Arc::new(Fixed)).expect("a right config");
    let request = HttpRequest::new(backend::Verb::Get, "/x", "/v2/customers/abc".into());
    let headers = credentials.headers(&request).expect("always");
    let [(name, value)] = headers.as_slice() else { panic!() };
    assert_eq!(*name, "authorization");
    let value = value.expose_secret();
    let start = format!("WP3-v2.1 {TOKEN} {AT} 50c87efd");
    assert!(value.starts_with(&start), "{value}");
    assert!(!format!("{credentials:?}{headers:?}").contains(KEY));
    assert!(!credentials.rejected());
}
