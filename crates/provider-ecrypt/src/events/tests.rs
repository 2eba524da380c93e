use super::*;
use crate::testing::config;

const SECRET: &str = "whsec_CANARY";
const HEADER: &str = "x-webhook-key";

fn source(secrets: &[&str]) -> EcryptEvents {
    let webhook_secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    EcryptEvents::new(&EcryptConfig { webhook_secrets, ..config() }).expect("a right config")
}

fn verify(
    source: &EcryptEvents,
    header: Option<(&str, &str)>,
    body: &str,
) -> Result<EventHint, HookError> {
    let headers: Vec<_> = header
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into_iter()
        .collect();
    let request = HookRequest { headers: &headers, body: body.as_bytes() };
    let mut hints = source.verify(request, Timestamp::from_seconds(0))?;
    assert_eq!(hints.len(), 1);
    Ok(hints.remove(0))
}

fn right(body: &str) -> EventHint {
    verify(&source(&[SECRET]), Some((HEADER, SECRET)), body)
        .unwrap_or_else(|e| panic!("{body}: {e}"))
}

#[test]
fn only_the_secret_in_its_header_proves_who_calls() {
    let body = r#"{"event":"customer","action":"created","data":{"id":"c-1"}}"#;
    let both = source(&["old", "Bearer new"]);
    for value in ["old", " old ", "Bearer new"] {
        assert!(verify(&both, Some((HEADER, value)), body).is_ok(), "{value}");
    }
    for header in [
        None,
        Some((HEADER, "")),
        Some((HEADER, "ol")),
        Some((HEADER, "older")),
        Some((HEADER, "OLD")),
        Some((HEADER, "new")),
        Some(("authorization", "old")),
    ] {
        assert_eq!(verify(&both, header, body), Err(HookError::Signature), "{header:?}");
        // Nothing of the body is looked at before.
        assert_eq!(verify(&both, header, "7"), Err(HookError::Signature), "{header:?}");
    }
    assert_eq!(verify(&source(&[]), Some((HEADER, "")), body), Err(HookError::Signature));
    let nowhere = EcryptConfig { webhook_header: None, ..config() };
    let nowhere = EcryptEvents::new(&nowhere).expect("a right config");
    assert_eq!(verify(&nowhere, Some((HEADER, SECRET)), body), Err(HookError::Signature));
    assert!(!format!("{:?}", source(&[SECRET])).contains("CANARY"));
}

#[test]
fn a_customer_is_named_in_any_casing_and_place() {
    for body in [
        r#"{"event":"customer","action":"created","data":{"id":"c-1"}}"#,
        r#"{"event":"Customer","action":"Created","data":{"Id":"c-1"}}"#,
        r#"{"Event":"customer","Action":"Created","Data":{"Customer":{"Id":"c-1"}}}"#,
        r#"{"event":"customer","action":"created","data":{"customer":{"id":"c-1"},"id":"e-7"}}"#,
        r#"{"event":"customer","action":"created","data":{"customers":[{"id":"c-1"}]}}"#,
        r#"{"event":"customer","action":"created","data":{"customer":"c-1"}}"#,
        r#"{"event":"customer","action":"created","data":{"customerId":"c-1","id":"e-7"}}"#,
        r#"{"event":"customer","action":"created","data":{"CustomerId":"c-1"}}"#,
    ] {
        let hint = right(body);
        assert_eq!(hint.event_type.to_lowercase(), "customer.created");
        let ids: Vec<_> = hint.customers.iter().map(RemoteCustomerId::as_str).collect();
        assert_eq!(ids, ["c-1"], "{body}");
        assert_eq!((hint.methods.len(), hint.occurred_at, hint.late), (0, None, false));
    }
}

#[test]
fn an_event_that_names_nobody_is_kept() {
    for body in [
        r#"{"event":"customer","action":"created"}"#,
        r#"{"event":"customer","action":"created","data":null}"#,
        r#"{"event":"customer","action":"created","data":{"id":{},"customer":[]}}"#,
        r#"{"event":"customer","action":"created","data":{"id":"4111111111111111"}}"#,
        r#"{"event":"transaction","action":"approved","data":{"Transaction":{"TransactionId":"1"},"id":"1"}}"#,
        r#"{"event":"subscription","action":"created","data":{"customer":{"id":"c-1"}}}"#,
    ] {
        assert_eq!(right(body).customers, [], "{body}");
    }
}

#[test]
fn the_same_bytes_are_the_same_event() {
    let body = r#"{"event":"customer","action":"created","data":{"id":"c-1"}}"#;
    // Computed with sha256sum, not with this code.
    assert_eq!(right(body).key, "d79f8725e4825d0a38713dcedcfbb9cd50d17e003407d8211dafe707240f354c");
    assert_eq!(right(body).key, right(body).key);
    assert_ne!(right(body).key, right(&body.replace("c-1", "c-2")).key);
}

#[test]
fn what_is_not_of_the_vendor_s_form_is_no_event() {
    let deep = format!(r#"{{"event":"customer","action":"created","data":{}"#, "[".repeat(100_000));
    let large =
        format!(r#"{{"event":"customer","action":"created","data":"{}"}}"#, "a".repeat(MOST_BYTES));
    for body in [
        "",
        "[]",
        "7",
        r#"{"event":"customer"}"#,
        r#"{"event":7,"action":"created"}"#,
        r#"{"event":"customer","action":"two words"}"#,
        r#"{"event":"customer","action":""}"#,
        &deep,
        &large,
    ] {
        let said = verify(&source(&[SECRET]), Some((HEADER, SECRET)), body);
        assert!(matches!(said, Err(HookError::Shape(_))), "{}", body.len());
    }
}
