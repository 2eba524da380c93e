use super::*;
use crate::testing::{KEY, config};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn signed(body: &[u8]) -> String {
    format!("WP3-callback {}", hex::encode(digest(&[KEY.as_bytes(), body])))
}

fn verify(header: Option<&str>, body: &[u8]) -> Result<EventHint, HookError> {
    let headers: Vec<_> = header
        .map(|value| ("authorization".to_owned(), value.as_bytes().to_vec()))
        .into_iter()
        .collect();
    let events = V2Events::new(&config()).expect("a right config");
    let mut hints = events.verify(HookRequest { headers: &headers, body }, NOW)?;
    assert_eq!(hints.len(), 1);
    Ok(hints.remove(0))
}

/// V5.
#[test]
fn a_callback_is_verified_by_its_raw_body() {
    const BODY: &[u8] = br#"{"order_number":"1","status":"approved"}"#;
    const DIGEST: &str = "bc984f4c43dcd6367f4b2f686014722f091e62359f25238acaa771bf4c698f9b60717b5cb8e9db67733ce74daa68fca9dc2e1c73fb58e0e19d9d0d462382e909";
    for header in [
        format!("WP3-callback {DIGEST}"),
        format!("WP3-callback {}", DIGEST.to_uppercase()),
        format!(" WP3-callback  {DIGEST} "),
    ] {
        let hint = verify(Some(&header), BODY).expect("signed");
        assert_eq!(hint.event_type, "transaction");
        assert_eq!(hint.key, hex::encode(Sha256::digest(BODY)));
        assert!(hint.customers.is_empty() && hint.methods.is_empty() && !hint.late);
    }
    let (cut, wrong) = (&DIGEST[..126], DIGEST.replacen('b', "c", 1));
    for header in [
        None,
        Some(DIGEST.to_owned()),
        Some(format!("WP3-callback{DIGEST}")),
        Some(format!("WP3-callback {cut}")),
        Some(format!("WP3-callback {wrong}")),
        Some(format!("WP3-v2.1 {DIGEST}")),
        Some("WP3-callback".to_owned()),
        Some(String::new()),
    ] {
        assert_eq!(verify(header.as_deref(), BODY), Err(HookError::Signature), "{header:?}");
    }
    let other = [BODY, b" "].concat();
    let header = format!("WP3-callback {DIGEST}");
    assert_eq!(verify(Some(&header), &other), Err(HookError::Signature));
}

#[test]
fn a_saved_card_names_whose_to_read_again() {
    for (body, event_type, customer) in [
        (
            r#"{"event":"payment-method:tokenized","payload":{"customer_uuid":"c-1","pan_token":"x"}}"#,
            TOKENIZED,
            Some("c-1"),
        ),
        (r#"{"event":"payment-method:tokenized","payload":{"id":1}}"#, TOKENIZED, None),
        (
            r#"{"event":"payment-method:tokenized","payload":{"customer_uuid":null}}"#,
            TOKENIZED,
            None,
        ),
        (r#"{"event":"payment-method:tokenized","payload":{"customer_uuid":7}}"#, TOKENIZED, None),
        (
            r#"{"event":"payment-method:tokenized","payload":{"customer_uuid":"4111111111111111"}}"#,
            TOKENIZED,
            None,
        ),
        (r#"{"event":"payment-method:tokenized","payload":[]}"#, TOKENIZED, None),
        (r#"{"event":"payment-method:tokenized"}"#, TOKENIZED, None),
        (
            r#"{"event":"transaction:approved","payload":{"customer_uuid":"c-1"}}"#,
            "transaction:approved",
            None,
        ),
        (r#"{"id":1,"customer_uuid":"c-1","masked_pan":"411111******1111"}"#, TRANSACTION, None),
        (r#"{"event":null,"status":"approved"}"#, TRANSACTION, None),
    ] {
        let hint = verify(Some(&signed(body.as_bytes())), body.as_bytes()).expect(body);
        assert_eq!(hint.event_type, event_type, "{body}");
        let customers: Vec<_> = hint.customers.iter().map(RemoteCustomerId::as_str).collect();
        assert_eq!(customers, Vec::from_iter(customer), "{body}");
    }
}

#[test]
fn garbage_is_refused_after_its_signature() {
    let deep = format!(r#"{{"payload":{}"#, "[".repeat(100_000));
    let word = format!(r#"{{"event":"{}"}}"#, "x".repeat(256));
    let large = vec![b' '; MOST_BYTES + 1];
    for body in [
        &b""[..],
        b"null",
        b"[\"payment-method:tokenized\"]",
        b"status=approved",
        b"\xff{}",
        br#"{"event":7}"#,
        br#"{"event":""}"#,
        br#"{"event":"a\nb"}"#,
        br#"{"event":"4111111111111111"}"#,
        br#"{"event":"a","event":"b"}"#,
        deep.as_bytes(),
        word.as_bytes(),
        &large,
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        let refused = verify(Some(&signed(body)), body);
        assert!(matches!(refused, Err(HookError::Shape(_))), "{shown}: {refused:?}");
    }
    assert!(!format!("{:?}", V2Events::new(&config())).contains(KEY));
}
