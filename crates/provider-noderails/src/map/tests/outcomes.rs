use backend::Refusal;

use super::*;

fn word(outcome: &ItemOutcome) -> String {
    let refusal = |kind: &str, refusal: &Refusal| {
        format!("{kind} {}", refusal.code.as_deref().unwrap_or("-"))
    };
    match outcome {
        ItemOutcome::Throttled => "throttled".into(),
        ItemOutcome::AccountFault(why) => refusal("account", why),
        ItemOutcome::Done(applied) => match (&applied.customer, &applied.method) {
            (Some(customer), _) => format!("done {}", customer.id),
            (_, Some(method)) => format!("done {}", method.id),
            _ => "done".into(),
        },
        ItemOutcome::Conflict(why) => refusal("conflict", why),
        ItemOutcome::Refused(why) => refusal("refused", why),
        ItemOutcome::InProgress(_) => "in progress".into(),
        ItemOutcome::Unknown(_) => "unknown".into(),
        other => panic!("{other:?}"),
    }
}

fn outcome(prepared: &Prepared, status: u16, answer: &str) -> ItemOutcome {
    let sent =
        Sent { kind: prepared.kind, path: &prepared.path, body: prepared.body.expose_secret() };
    sent.outcome(status, answer.as_bytes())
}

/// Create, update, add, remove.
fn writes() -> [Prepared; 4] {
    let remove = Effect::RemoveMethod { customer: cus("c1"), method: wal("w1") };
    [create(full()), update(full(), Some("{}")), add(facts(8453, EVM)), remove].map(|e| sent(&e))
}

fn words(status: u16, answer: &str) -> [String; 4] {
    writes().map(|prepared| word(&outcome(&prepared, status, answer)))
}

fn own(word: &str, code: &str) -> String {
    json!({"success": false, "error": {word: code, "message": "it is bad"}}).to_string()
}

#[test]
fn not_applied_is_only_what_the_vendor_says_so_of() {
    for status in [400, 402, 404, 413, 422] {
        for word in ["code", "type"] {
            let refused = "refused SOME_ERROR".to_owned();
            let gone = if status == 404 { "done".to_owned() } else { refused.clone() };
            let expected = [refused.clone(), refused.clone(), refused, gone];
            assert_eq!(words(status, &own(word, "SOME_ERROR")), expected, "{status} {word}");
        }
    }
    for (status, answer, expected) in [
        (401, own("code", "AUTHENTICATION_ERROR"), "account AUTHENTICATION_ERROR"),
        (401, String::new(), "account -"),
        (403, own("code", "AUTHORIZATION_ERROR"), "account AUTHORIZATION_ERROR"),
        (403, "<html>".to_owned(), "unknown"),
        (429, own("code", "RATE_LIMIT_EXCEEDED"), "throttled"),
        (429, String::new(), "throttled"),
        // A 500 may be a second of the same reference or wallet, and says nothing of it.
        (500, own("code", "INTERNAL_ERROR"), "unknown"),
        (502, own("code", "BLOCKCHAIN_ERROR"), "unknown"),
        (503, own("code", "X"), "unknown"),
        (504, own("code", "TIMEOUT"), "unknown"),
        (418, own("code", "X"), "unknown"),
        (302, String::new(), "unknown"),
        // Not the vendor's own hand.
        (400, "<html>".to_owned(), "unknown"),
        (400, String::new(), "unknown"),
        (404, r#"{"message":"Not Found"}"#.to_owned(), "unknown"),
        (404, r#"{"success":false,"error":{"message":"no code"}}"#.to_owned(), "unknown"),
        (404, r#"{"error":{"code":"NOT_FOUND"}}"#.to_owned(), "unknown"),
        (404, r#"{"success":true,"error":{"code":"NOT_FOUND"}}"#.to_owned(), "unknown"),
        (404, r#"{"success":false,"error":"NOT_FOUND"}"#.to_owned(), "unknown"),
        // The address is wrong, and the wallet may be there.
        (
            404,
            r#"{"success":false,"error":{"code":"NOT_FOUND","message":"Route not found"}}"#
                .to_owned(),
            "unknown",
        ),
    ] {
        assert_eq!(words(status, &answer), [expected; 4].map(str::to_owned), "{status} {answer}");
    }
}

#[test]
fn a_409_is_read_by_its_word() {
    for name in ["type", "code"] {
        let busy = own(name, "idempotency_error");
        assert_eq!(words(409, &busy), ["in progress"; 4].map(str::to_owned));
    }
    let conflict = ["conflict CONFLICT", "unknown", "unknown", "unknown"].map(str::to_owned);
    assert_eq!(words(409, &own("code", "CONFLICT")), conflict);
    for other in [own("code", "OTHER"), own("type", "other"), String::new(), "<html>".to_owned()] {
        assert_eq!(words(409, &other), ["unknown"; 4].map(str::to_owned), "{other}");
    }
}

#[test]
fn a_2xx_is_success_only_if_it_says_so() {
    let of = |data: &Value| json!({"success": true, "data": data}).to_string();
    let customer = customer_row();
    let id = customer["id"].as_str().expect("a text");
    let wallet_id = "4f5fd1a1-2f0a-4a0e-9a5b-2c9f2a3b4c5d";
    let [create, update, add, remove] = writes();
    for status in [200, 201] {
        for prepared in [&create, &update] {
            assert_eq!(word(&outcome(prepared, status, &of(&customer))), format!("done {id}"));
        }
        let added = word(&outcome(&add, status, &of(&wallet_row())));
        assert_eq!(added, format!("done {wallet_id}"));
    }
    for (status, answer) in [(204, ""), (200, ""), (200, r#"{"success":true}"#)] {
        assert_eq!(word(&outcome(&remove, status, answer)), "done");
    }
    for answer in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"success":true}"#,
        r#"{"success":true,"data":null}"#,
        r#"{"success":true,"data":[]}"#,
        r#"{"success":true,"data":{}}"#,
        r#"{"success":true,"data":{"email":"x"}}"#,
        &json!({"data": customer}).to_string(),
        &json!({"success": "true", "data": customer}).to_string(),
        &json!({"success": false, "data": customer}).to_string(),
        &own("code", "VALIDATION_ERROR"),
        &customer.to_string(),
    ] {
        for prepared in [&create, &update, &add] {
            assert_eq!(word(&outcome(prepared, 200, answer)), "unknown", "{answer}");
        }
    }
    for answer in ["<html>", "{}", r#"{"success":false}"#, &own("code", "X")] {
        assert_eq!(word(&outcome(&remove, 200, answer)), "unknown", "{answer}");
    }
    // The answer to a create is documented to show wallets: it has none anyway.
    let mut bare = customer;
    bare.as_object_mut().expect("an object").remove("wallets");
    let ItemOutcome::Done(applied) = outcome(&create, 201, &of(&bare)) else { panic!("done") };
    assert!(applied.customer.expect("shown").methods.is_none());
}

#[test]
fn the_wallet_of_an_answer_is_the_one_that_was_sent() {
    let [.., add, _] = writes();
    let answer = |name: &str, value: Value| {
        let mut wallet = wallet_row();
        wallet[name] = value;
        json!({"success": true, "data": wallet}).to_string()
    };
    for (name, value) in [
        ("chainId", json!(1)),
        ("walletAddress", json!(SOLANA)),
        ("customerAccountId", json!("c2")),
        ("id", Value::Null),
    ] {
        assert_eq!(word(&outcome(&add, 201, &answer(name, value))), "unknown", "{name}");
    }
    let shown = outcome(&add, 201, &answer("customerAccountId", Value::Null));
    let ItemOutcome::Done(applied) = shown else { panic!("{shown:?}") };
    let method = applied.method.expect("shown");
    assert_eq!(method.facts, facts(8453, EVM_STORED));
    assert_eq!(method.attributes.get("authorization").map(String::as_str), Some("active"));
    assert!(applied.credential.is_none() && method.credential.is_none());
}

#[test]
fn a_refusal_names_the_column_and_repeats_nothing() {
    let [create, _, add, _] = writes();
    for (path, column) in [
        (json!(["externalId"]), Some("reference")),
        (json!(["address"]), Some("line1")),
        (json!(["postalCode"]), Some("postal_code")),
        (json!(["email"]), Some("email")),
        (json!(["metadata", "size"]), Some("metadata.size")),
        (json!([0]), None),
        (json!("email"), None),
    ] {
        let answer = json!({"success": false, "error": {
            "code": "VALIDATION_ERROR",
            "message": "email: ada-canary@example.com of R-CANARY, tier go\"ld, Zagreb 10000",
            "details": [{"code": "invalid", "path": path, "message": "x"}],
        }});
        let refused = outcome(&create, 400, &answer.to_string());
        let ItemOutcome::Refused(refusal) = refused else { panic!("{refused:?}") };
        assert_eq!(refusal.field.as_deref(), column);
        assert_eq!(refusal.code.as_deref(), Some("VALIDATION_ERROR"));
        assert_eq!(
            refusal.message,
            "email: [hidden] of [hidden], tier [hidden], [hidden] [hidden]"
        );
    }
    let echo = json!({"success": false, "error": {
        "code": "R-CANARY", "type": "CONFLICT", "message": "R-CANARY: ada-canary@example.com",
    }});
    for status in [200, 400, 401, 403, 409, 500] {
        let outcome = format!("{:?}", outcome(&create, status, &echo.to_string()));
        assert!(!outcome.to_lowercase().contains("canary"), "{outcome}");
    }
    let answer = json!({"success": false, "error": {
        "code": "VALIDATION_ERROR", "message": format!("{EVM} on chain 8453 is not supported"),
        "details": {"retryAfter": 1},
    }});
    let refused = outcome(&add, 400, &answer.to_string());
    let ItemOutcome::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert!(!refusal.message.contains("52908400"), "{refusal:?}");
}
