use super::*;
use crate::config::ProxyTokenCredentials;

const NOW: i64 = 1_781_200_800;

fn source(secrets: &[&str]) -> ProxyTokenEvents {
    let config = ProxyTokenConfig {
        payment_account_uid: "pa_1".into(),
        credentials: ProxyTokenCredentials::Bearer("b".into()),
        import_batch: 100,
        import_dedupes: false,
        webhook_secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        replay_window: Duration::from_secs(14_400),
    };
    ProxyTokenEvents::new(&config).expect("a right config")
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn verify(
    source: &ProxyTokenEvents,
    signature: Option<&str>,
    body: &[u8],
) -> Result<EventHint, HookError> {
    let headers: Vec<_> = signature
        .map(|value| (SIGNATURE.to_owned(), value.as_bytes().to_vec()))
        .into_iter()
        .collect();
    let request = HookRequest { headers: &headers, body };
    let mut hints = source.verify(request, Timestamp::from_seconds(NOW))?;
    assert_eq!(hints.len(), 1);
    Ok(hints.remove(0))
}

fn noc(timestamp: &str) -> String {
    format!(
        r#"{{"webhook_id":"evt_1","event_type":"provider.noc","timestamp":{timestamp},"data":{{"saved_payment_method_ids":["spm_1","SPM_1","spm_1"],"code":"C01","reason":"account number changed"}}}}"#
    )
}

/// The expected value was computed with openssl, not with this code.
#[test]
fn a_signature_made_elsewhere_is_right() {
    let body = br#"{"webhook_id":"evt_1","event_type":"payment.completed","timestamp":1781200800,"data":{}}"#;
    let made = "e1e4b45ac31171ca8c15c7f770384bc527299b8c9203450e564bb5911ffd9345";
    assert!(verify(&source(&["whsec_test"]), Some(made), body).is_ok());
}

#[test]
fn signatures() {
    enum Is {
        Right,
        Wrong,
    }
    let body = noc("1781200800");
    let body = body.as_bytes();
    let right = sign("old", "1781200800", body);
    let rotated = sign("new", "1781200800", body);
    let short: String = right.chars().take(62).collect();
    let flipped = right.replace(['0', '1', '2', '3', '4', '5', '6', '7'], "8");
    for (signature, is) in [
        (Some(right.clone()), Is::Right),
        (Some(format!("sha256={right}")), Is::Right),
        (Some(format!(" {right} ")), Is::Right),
        (Some(right.to_uppercase()), Is::Right),
        (Some(rotated), Is::Right),
        (Some(sign("other", "1781200800", body)), Is::Wrong),
        (Some(sign("old", "1781200801", body)), Is::Wrong),
        (Some(sign("old", "1781200800", b"{}")), Is::Wrong),
        (Some(flipped), Is::Wrong),
        (Some(short), Is::Wrong),
        (Some(format!("{right}00")), Is::Wrong),
        (Some(format!("sha1={right}")), Is::Wrong),
        (Some("sha256=".into()), Is::Wrong),
        (Some(String::new()), Is::Wrong),
        (Some("z".repeat(64)), Is::Wrong),
        (None, Is::Wrong),
    ] {
        let seen = verify(&source(&["old", "new"]), signature.as_deref(), body);
        match is {
            Is::Right => assert_eq!(seen.expect("signed").key, "evt_1"),
            Is::Wrong => assert_eq!(seen, Err(HookError::Signature), "{signature:?}"),
        }
    }
    // No secret verifies nothing, not even with the empty one.
    let empty = sign("", "1781200800", body);
    assert_eq!(verify(&source(&[]), Some(&empty), body), Err(HookError::Signature));
}

#[test]
fn the_timestamp_is_signed_as_it_is_written() {
    let spaced = noc(" \n 1781200800  ");
    let right = sign("s", "1781200800", spaced.as_bytes());
    assert!(verify(&source(&["s"]), Some(&right), spaced.as_bytes()).is_ok());
    let negative = noc("-0");
    let right = sign("s", "-0", negative.as_bytes());
    assert!(verify(&source(&["s"]), Some(&right), negative.as_bytes()).expect("signed").late);
    for written in
        ["\"1781200800\"", "1781200800.0", "1.7812008e9", "null", "[]", "99999999999999999999"]
    {
        let body = noc(written);
        let right = sign("s", written, body.as_bytes());
        let seen = verify(&source(&["s"]), Some(&right), body.as_bytes());
        assert!(matches!(seen, Err(HookError::Shape(_))), "{written}: {seen:?}");
    }
}

#[test]
fn old_events_are_late_and_coming_ones_are_refused() {
    for (seconds, late) in
        [(0, false), (-14_400, false), (-14_401, true), (-9_000_000, true), (14_400, false)]
    {
        let written = (NOW + seconds).to_string();
        let body = noc(&written);
        let right = sign("s", &written, body.as_bytes());
        let hint = verify(&source(&["s"]), Some(&right), body.as_bytes()).expect("signed");
        assert_eq!(hint.late, late, "{seconds}");
        assert_eq!(hint.occurred_at, Some(Timestamp::from_seconds(NOW + seconds)));
    }
    for ahead in [14_401, i64::MAX - NOW] {
        let written = (NOW + ahead).to_string();
        let body = noc(&written);
        let right = sign("s", &written, body.as_bytes());
        let seen = verify(&source(&["s"]), Some(&right), body.as_bytes());
        assert!(matches!(seen, Err(HookError::Future(_))), "{seen:?}");
        // Who did not sign is told nothing else.
        let seen = verify(&source(&["other"]), Some(&right), body.as_bytes());
        assert_eq!(seen, Err(HookError::Signature));
    }
}

#[test]
fn a_noc_names_what_to_read_again() {
    let signed = |body: &str| {
        verify(&source(&["s"]), Some(&sign("s", "1781200800", body.as_bytes())), body.as_bytes())
    };
    let hint = signed(&noc("1781200800")).expect("signed");
    let ids: Vec<_> = hint.methods.iter().map(RemoteMethodId::as_str).collect();
    assert_eq!(ids, ["spm_1", "SPM_1"]);
    assert_eq!(hint.code.as_deref(), Some("C01"));
    assert_eq!(hint.reason.as_deref(), Some("account number changed"));
    assert_eq!((hint.event_type.as_str(), hint.late), (NOC, false));

    let event = |kind: &str, data: &str| {
        signed(&format!(
            r#"{{"webhook_id":"evt_2","event_type":"{kind}","timestamp":1781200800,"data":{data}}}"#
        ))
    };
    // Another type names nothing, whatever its data holds.
    let hint = event("payment.completed", r#"{"saved_payment_method_ids":["spm_1"]}"#);
    assert!(hint.expect("signed").methods.is_empty());
    // Data of another form is kept as an event that names nothing.
    for data in
        ["null", "7", "{}", r#"{"saved_payment_method_ids":"spm_1"}"#, r#"{"code":{"a":1}}"#]
    {
        let hint = event(NOC, data).expect("signed");
        assert!(hint.methods.is_empty() && hint.code.is_none(), "{data}");
    }
    // What is no id, and what is a card number, is left out.
    let data = r#"{"saved_payment_method_ids":[7,"","4111111111111111","spm_2"],"code":"4111111111111111","reason":"new number 4111111111111111"}"#;
    let hint = event(NOC, data).expect("signed");
    assert_eq!(hint.methods.len(), 1);
    assert_eq!((hint.code, hint.reason), (None, None));
}

#[test]
fn garbage_is_refused_and_depth_overflows_nothing() {
    let shape = |body: &[u8]| {
        let seen = verify(&source(&["s"]), Some(&sign("s", "1781200800", body)), body);
        assert!(matches!(seen, Err(HookError::Shape(_))), "{seen:?}");
    };
    shape(b"");
    shape(b"null");
    shape(b"{");
    shape(b"\xff\xfe");
    shape(b"[1781200800]");
    shape(br#"{"webhook_id":"evt_1","event_type":"x"}"#);
    shape(br#"{"timestamp":1781200800,"timestamp":1781200800,"webhook_id":"a","event_type":"b"}"#);
    shape(br#"{"timestamp":1781200800,"event_type":"b"}"#);
    shape(br#"{"timestamp":1781200800,"webhook_id":"","event_type":"b"}"#);
    shape(br#"{"timestamp":1781200800,"webhook_id":7,"event_type":"b"}"#);
    shape(br#"{"timestamp":1781200800,"webhook_id":"a","webhook_id":"c","event_type":"b"}"#);
    shape("[".repeat(MOST_BYTES).as_bytes());
    shape(" ".repeat(MOST_BYTES + 1).as_bytes());

    let deep = 200_000;
    for kind in ["payment.completed", NOC] {
        let data = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        for data in
            [data.clone(), format!(r#"{{"unheard_of":{data}}}"#), format!(r#"{{"code":{data}}}"#)]
        {
            let body = format!(
                r#"{{"webhook_id":"evt_3","event_type":"{kind}","timestamp":1781200800,"data":{data}}}"#
            );
            let right = sign("s", "1781200800", body.as_bytes());
            let hint = verify(&source(&["s"]), Some(&right), body.as_bytes()).expect("signed");
            assert!(hint.methods.is_empty());
        }
    }
}

#[test]
fn secrets_print_nowhere() {
    assert!(!format!("{:?}", source(&["CANARY"])).contains("CANARY"));
}
