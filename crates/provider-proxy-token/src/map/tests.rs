use backend::Refusal;
use model::{Address, Reference, Timestamp, WalletFacts};
use serde_json::json;
use transport::vendor::path;

use super::*;

const TOKEN: &str = "tok_CANARY_0123456789abcdef";

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn spm(id: &str) -> RemoteMethodId {
    RemoteMethodId::new(id).expect("an id")
}

fn token(kind: TokenKind) -> Option<Token> {
    Some(Token { kind, value: TOKEN.into(), created_at: None })
}

fn card_facts() -> CardFacts {
    CardFacts {
        brand: Some("VISA".into()),
        bin: Bin::new("41111122").ok(),
        last4: Last4::new("4242").ok(),
        expiry: Expiry::new(12, 27).ok(),
        holder_name: Some("Alex \"A\" Morales".into()),
    }
}

fn bank_facts() -> BankFacts {
    BankFacts {
        bank_name: Some("First".into()),
        account_type: Some(AccountType::Checking),
        routing_number: Some("110000000".into()),
        last4: Last4::new("6789").ok(),
        holder_name: Some("Alex".into()),
    }
}

fn new(kind: TokenKind, facts: MethodFacts) -> NewMethod {
    NewMethod {
        customer: cus("cus_1"),
        facts,
        token: token(kind),
        billing: Address { city: Some("Ub".into()), ..Address::default() },
        default: true,
    }
}

fn body(prepared: &Prepared) -> &str {
    std::str::from_utf8(prepared.body.expose_secret()).expect("UTF-8")
}

fn bulk(items: usize) -> Prepared {
    let one = new(TokenKind::Processor, MethodFacts::Card(card_facts()));
    prepare(&Effect::ImportMethods(vec![one; items]), 100).expect("it can be sent")
}

fn outcomes(prepared: &Prepared, status: u16, answer: &str) -> Vec<String> {
    let sent =
        Sent { kind: prepared.kind, items: prepared.items, body: prepared.body.expose_secret() };
    let outcomes = sent.outcomes(status, answer.as_bytes());
    assert_eq!(outcomes.len(), prepared.items);
    outcomes.iter().map(word).collect()
}

fn word(outcome: &ItemOutcome) -> String {
    let refusal = |kind: &str, refusal: &Refusal| {
        assert!(!refusal.message.contains("CANARY"), "{refusal:?}");
        format!("{kind} {}", refusal.code.as_deref().unwrap_or("-"))
    };
    match outcome {
        ItemOutcome::NotSent(_) => "not sent".into(),
        ItemOutcome::Throttled => "throttled".into(),
        ItemOutcome::AccountFault(why) => refusal("account", why),
        ItemOutcome::BatchTooLarge => "too large".into(),
        ItemOutcome::Done(applied) => match (&applied.customer, &applied.method) {
            (Some(customer), _) => format!("done {}", customer.id),
            (_, Some(method)) => format!("done {}", method.id),
            _ => "done".into(),
        },
        ItemOutcome::AlreadySaved(id) => format!("already {id}"),
        ItemOutcome::Conflict(why) => refusal("conflict", why),
        ItemOutcome::RefusedOrThere(why) => refusal("refused or there", why),
        ItemOutcome::Refused(why) => refusal("refused", why),
        ItemOutcome::InProgress(why) | ItemOutcome::Unknown(why) => {
            assert!(!why.contains("CANARY"), "{why}");
            "unknown".into()
        }
    }
}

fn create(profile: Profile) -> Effect {
    Effect::CreateCustomer { reference: Reference::new("R-1").expect("valid"), profile }
}

fn effects() -> [Effect; 4] {
    let (customer, method) = (cus("cus_1"), spm("spm_1"));
    [
        create(Profile { email: Some("a@example.com".into()), ..Profile::default() }),
        Effect::AddMethod(new(TokenKind::Proxynized, MethodFacts::Card(card_facts()))),
        Effect::SetDefault { customer: customer.clone(), method: method.clone() },
        Effect::RemoveMethod { customer, method },
    ]
}

#[test]
fn requests_are_exact_and_hold_no_null() {
    let profile = Profile {
        first_name: Some("Alex".into()),
        last_name: Some("Morales".into()),
        email: Some("a@example.com".into()),
        phone: Some("1".into()),
        ..Profile::default()
    };
    let bare_card = CardFacts {
        last4: Last4::new("4242").ok(),
        expiry: Expiry::new(1, 2030).ok(),
        ..CardFacts::default()
    };
    let bare_bank = BankFacts {
        last4: Last4::new("6789").ok(),
        account_type: Some(AccountType::Savings),
        ..BankFacts::default()
    };
    let add = |facts| Effect::AddMethod(new(TokenKind::Proxynized, facts));
    let second = NewMethod {
        customer: cus("CUS_2"),
        default: false,
        ..new(TokenKind::Processor, MethodFacts::BankAccount(bare_bank.clone()))
    };
    let import = Effect::ImportMethods(vec![
        new(TokenKind::Processor, MethodFacts::Card(card_facts())),
        second,
    ]);
    let [_, _, set_default, remove] = effects();
    let card_text = format!(
        r#"{{"payment_method_type":"credit","credit":{{"fingerprint":"{TOKEN}","last4":"4242","exp_month":12,"exp_year":2027,"bin":"411111","card_brand":"VISA","holder_name":"Alex \"A\" Morales"}}}}"#
    );
    let bare_card_text = format!(
        r#"{{"payment_method_type":"credit","credit":{{"fingerprint":"{TOKEN}","last4":"4242","exp_month":1,"exp_year":2030}}}}"#
    );
    let bank_text = format!(
        r#"{{"payment_method_type":"ach","ach":{{"fingerprint":"{TOKEN}","routing_number":"110000000","account_number_suffix":"6789","account_type":"checking","bank_name":"First","holder_name":"Alex"}}}}"#
    );
    let bare_bank_text = format!(
        r#"{{"payment_method_type":"ach","ach":{{"fingerprint":"{TOKEN}","account_number_suffix":"6789","account_type":"savings"}}}}"#
    );
    let methods = "POST /api/customers/cus_1/payment-methods";
    for (effect, line, text) in [
        (
            create(profile),
            "POST /api/customers",
            r#"{"reference_id":"R-1","name":"Alex Morales","email":"a@example.com"}"#.to_owned(),
        ),
        (create(Profile::default()), "POST /api/customers", r#"{"reference_id":"R-1"}"#.to_owned()),
        (
            add(MethodFacts::Card(card_facts())),
            methods,
            format!(r#"{{"payment_method":{card_text}}}"#),
        ),
        (
            add(MethodFacts::Card(bare_card)),
            methods,
            format!(r#"{{"payment_method":{bare_card_text}}}"#),
        ),
        (
            add(MethodFacts::BankAccount(bank_facts())),
            methods,
            format!(r#"{{"payment_method":{bank_text}}}"#),
        ),
        (
            import,
            "POST /api/saved-payment-methods/import",
            format!(
                r#"{{"saved_payment_methods":[{{"customer_uid":"cus_1","payment_method":{card_text},"is_default":true}},{{"customer_uid":"CUS_2","payment_method":{bare_bank_text}}}]}}"#
            ),
        ),
        (
            set_default,
            "PUT /api/customers/cus_1/default-payment-method",
            r#"{"saved_payment_method_uid":"spm_1"}"#.to_owned(),
        ),
        (remove, "DELETE /api/customers/cus_1/payment-methods/spm_1", String::new()),
    ] {
        let prepared = prepare(&effect, 100).expect("it can be sent");
        assert_eq!(format!("{} {}", prepared.verb.as_str(), prepared.path), line);
        assert_eq!(body(&prepared), text);
        assert_eq!((prepared.kind, prepared.items), (effect.kind(), effect.items()));
        assert!(!format!("{prepared:?}").contains("CANARY"));
    }
}

#[test]
fn what_cannot_be_sent_is_rejected_with_its_reason() {
    let card = || MethodFacts::Card(card_facts());
    let add = |kind, facts| Effect::AddMethod(new(kind, facts));
    let bulk = |kind, facts| {
        Effect::ImportMethods(vec![new(TokenKind::Processor, card()), new(kind, facts)])
    };
    let (a, b) = (TokenKind::Proxynized, TokenKind::Processor);
    let without_token = NewMethod { token: None, ..new(a, card()) };
    let no_last4 = MethodFacts::Card(CardFacts { last4: None, ..card_facts() });
    let no_expiry = MethodFacts::Card(CardFacts { expiry: None, ..card_facts() });
    let no_suffix = MethodFacts::BankAccount(BankFacts { last4: None, ..bank_facts() });
    let no_type = MethodFacts::BankAccount(BankFacts { account_type: None, ..bank_facts() });
    let wallet = || MethodFacts::CryptoWallet(WalletFacts { chain_id: 1, address: "0xab".into() });
    let changes = Profile { email: Some("x@example.com".into()), ..Profile::default() };
    let dots = |customer: &str, method: &str| Effect::RemoveMethod {
        customer: cus(customer),
        method: spm(method),
    };
    for (effect, code, item, says) in [
        (add(b, card()), Code::TokenKindUnsupported, 0, "`processor`"),
        (add(TokenKind::Gateway, card()), Code::TokenKindUnsupported, 0, "`gateway`"),
        (add(TokenKind::Transaction, card()), Code::TokenKindUnsupported, 0, "`transaction`"),
        (bulk(a, card()), Code::TokenKindUnsupported, 1, "`proxynized`"),
        (Effect::AddMethod(without_token), Code::FieldMissing, 0, "`token`"),
        (add(a, no_last4.clone()), Code::FieldMissing, 0, "`last4`"),
        (bulk(b, no_last4), Code::FieldMissing, 1, "`last4`"),
        (add(a, no_expiry), Code::FieldMissing, 0, "`exp_month`"),
        (add(a, no_suffix), Code::FieldMissing, 0, "`last4`"),
        (bulk(b, no_type), Code::FieldMissing, 1, "`account_type`"),
        (add(a, wallet()), Code::MethodKindUnsupported, 0, "cards"),
        (bulk(b, wallet()), Code::MethodKindUnsupported, 1, "cards"),
        (
            Effect::UpdateCustomer { customer: cus("cus_1"), changes, metadata: None },
            Code::NotUpdatable,
            0,
            "change",
        ),
        (Effect::DeleteCustomer { customer: cus("cus_1") }, Code::NotUpdatable, 0, "delete"),
        (dots("cus_1", ".."), Code::BadValue, 0, "path"),
        (dots(".", "spm_1"), Code::BadValue, 0, "path"),
        (Effect::ImportMethods(Vec::new()), Code::BadValue, 0, "1 to 2"),
        (
            Effect::ImportMethods(vec![new(TokenKind::Processor, card()); 3]),
            Code::BadValue,
            2,
            "1 to 2",
        ),
    ] {
        let rejection = prepare(&effect, 2).expect_err("it cannot be sent");
        assert_eq!((rejection.code, rejection.item), (code, item), "{rejection}");
        assert!(rejection.message.contains(says), "{rejection}");
        assert!(!rejection.message.contains("CANARY"));
        let updates = matches!(effect, Effect::UpdateCustomer { .. });
        assert_eq!(rejection.field, updates.then_some(FieldName::Email));
        // Staging asks without a request, and must hear the same of the row.
        let tried = match &effect {
            Effect::AddMethod(new) => Some((TokenRoute::Add, new)),
            Effect::ImportMethods(all) if all.len() <= 2 => {
                all.last().map(|new| (TokenRoute::Bulk, new))
            }
            _ => None,
        };
        if let Some((route, new)) = tried {
            let accepted = accepts(route, &new.facts, new.token.as_ref());
            assert_eq!(accepted, Err(Rejection { item: 0, ..rejection }));
        }
    }
    for (route, kind) in [(TokenRoute::Add, a), (TokenRoute::Bulk, b)] {
        let new = new(kind, card());
        assert_eq!(accepts(route, &new.facts, new.token.as_ref()), Ok(()));
    }
}

#[test]
fn references_and_ids_are_quoted_for_where_they_stand() {
    for (reference, query) in [
        ("R-1", "$filter=reference_id%20eq%20%27R-1%27&$top=1"),
        ("O'Neil", "$filter=reference_id%20eq%20%27O%27%27Neil%27&$top=1"),
        ("' or 1 eq 1", "$filter=reference_id%20eq%20%27%27%27%20or%201%20eq%201%27&$top=1"),
        ("a&b=c+d%#?/", "$filter=reference_id%20eq%20%27a%26b%3Dc%2Bd%25%23%3F%2F%27&$top=1"),
        ("ü", "$filter=reference_id%20eq%20%27%C3%BC%27&$top=1"),
    ] {
        assert_eq!(find_query(reference), query);
    }
    assert_eq!(
        path(CUSTOMER, &["a/b?c#d %"]).as_deref(),
        Some("/api/customers/a%2Fb%3Fc%23d%20%25")
    );
    assert_eq!(path(CUSTOMER, &["..."]).as_deref(), Some("/api/customers/..."));
    for id in ["", ".", ".."] {
        assert_eq!(path(METHOD, &["cus_1", id]), None);
    }
    assert_eq!(path(METHOD, &["cus_1"]), None);
}

#[test]
fn a_customer_is_read_under_each_name_of_its_id() {
    for id in ["uid", "customer_uid", "id"] {
        let row = json!({ id: "CUS_1", "reference_id": " R-1", "name": "Alex", "email": "",
            "created_at": "2026-01-31T10:00:00Z", "unheard_of": {"a": []} });
        let customer = customer(&row).expect("it can be read");
        assert_eq!(customer.id.as_str(), "CUS_1");
        assert_eq!(customer.reference.as_deref(), Some(" R-1"));
        let profile = Profile { name: Some("Alex".into()), ..Profile::default() };
        assert_eq!(customer.profile, profile);
        assert_eq!(customer.created_at, Timestamp::parse_rfc3339("2026-01-31T10:00:00Z"));
        assert_eq!(customer.status, RemoteStatus::Live);
        assert!(customer.methods.is_none());
    }
    let sparse = customer(&json!({"uid": 7, "customer_uid": "other", "name": null}));
    assert_eq!(sparse.expect("it can be read").id.as_str(), "7");
    for row in [
        json!({}),
        json!("cus_1"),
        json!({"uid": null}),
        json!({"uid": "a\nb"}),
        json!({"uid": {"x": 1}}),
        json!({"uid": "cus_1", "name": ["secret"]}),
        json!({"uid": "x".repeat(256)}),
    ] {
        let unfit = customer(&row).expect_err("it cannot be read");
        assert!(!unfit.0.contains("secret") && !unfit.0.contains("xxx"), "{unfit:?}");
    }
}

#[test]
fn a_payment_method_is_read_in_every_shape() {
    let shown = CardFacts { bin: Bin::new("411111").ok(), ..card_facts() };
    let card = MethodFacts::Card(CardFacts { holder_name: Some("Alex".into()), ..shown });
    let fields = json!({"last4": "4242", "exp_month": 12, "exp_year": 2027, "card_brand": "VISA",
        "bin": "411111", "holder_name": "Alex"});
    let texts = json!({"last4": "************4242", "exp_month": "12", "exp_year": "27",
        "brand": "VISA", "bin": 41111122, "holder_name": "Alex"});
    let mut flat = fields.clone();
    flat["id"] = "spm_1".into();
    flat["type"] = "card".into();
    for row in [
        json!({"saved_payment_method_uid": "spm_1", "payment_method_type": "credit", "credit": fields}),
        json!({"id": "spm_1", "payment_method_type": "CARD", "credit": texts}),
        json!({"id": "spm_1", "credit": fields}),
        json!({"id": "spm_1", "payment_method": {"payment_method_type": "credit", "credit": texts}}),
        flat,
    ] {
        let method = method(&row).expect("it can be read");
        assert_eq!(method.id.as_str(), "spm_1");
        assert_eq!(method.facts, card, "{row}");
        assert_eq!(method.default, None);
        assert!(method.credential.is_none());
    }

    let bank = MethodFacts::BankAccount(BankFacts {
        routing_number: None,
        holder_name: None,
        ..bank_facts()
    });
    let fields =
        json!({"account_number_suffix": "6789", "account_type": "Checking", "bank_name": "First"});
    for row in [
        json!({"saved_payment_method_uid": "SPM_2", "payment_method_type": "ach", "is_default": true, "ach": fields}),
        json!({"id": "SPM_2", "ach": {"last4": 6789, "account_type": "checking", "bank_name": "First"}, "is_default": true}),
        json!({"id": "SPM_2", "type": "ach", "last4": "x6789", "account_type": "checking", "bank_name": "First", "is_default": true}),
    ] {
        let method = method(&row).expect("it can be read");
        assert_eq!((method.id.as_str(), method.default), ("SPM_2", Some(true)));
        assert_eq!(method.facts, bank, "{row}");
    }

    let odd = json!({"id": "spm_3", "type": "card", "last4": 42, "exp_month": 13, "exp_year": 2027, "bin": "41"});
    let MethodFacts::Card(odd) = method(&odd).expect("it can be read").facts else { panic!() };
    assert_eq!(odd, CardFacts { last4: Last4::new("0042").ok(), ..CardFacts::default() });
    for row in [
        json!({"id": "spm_1"}),
        json!({"id": "spm_1", "type": "apple_pay"}),
        json!({"id": "spm_1", "credit": {}, "ach": {}}),
        json!({"type": "card", "last4": "4242"}),
        json!({"id": "spm_1", "type": "card", "last4": ["4242"]}),
        json!(null),
    ] {
        assert!(method(&row).is_err(), "{row}");
    }
}

const OWN: &str =
    r#"{"error":{"code":"some_code","message":"no tok_CANARY_0123456789abcdef for R-1"}}"#;
const HTML: &str = "<html><h1>Bad</h1></html>";
const SAVED: &str = r#"{"saved_payment_method_uid":"spm_9","payment_method":{"credit":{"fingerprint":"perm_CANARY"}}}"#;
const MADE: &str = r#"{"uid":"cus_9","reference_id":"R-1"}"#;

#[test]
fn single_calls_are_classified_by_status_and_body() {
    // status, body, then: create, add, set default, remove
    const U: &str = "unknown";
    const R: &str = "refused some_code";
    const A: &str = "account some_code";
    for (status, answer, expected) in [
        (200, MADE, ["done cus_9", U, "done", "done"]),
        (201, MADE, ["done cus_9", U, "done", "done"]),
        (200, SAVED, [U, "done spm_9", "done", "done"]),
        (200, r#"{"id":"cus_9","type":"card"}"#, ["done cus_9", U, "done", "done"]),
        (200, r#"{"payment_method":{"credit":{}}}"#, [U, U, "done", "done"]),
        (200, r#"{"uid":"cus"#, [U, U, U, "done"]),
        (200, HTML, [U, U, U, "done"]),
        (204, "", [U, U, "done", "done"]),
        (200, "[]", [U, U, "done", "done"]),
        (301, OWN, [U; 4]),
        (400, OWN, [R; 4]),
        (400, HTML, [U; 4]),
        (400, r#"{"message":"Bad Request"}"#, [U; 4]),
        (401, OWN, [A; 4]),
        (401, "", ["account -"; 4]),
        (402, OWN, [R; 4]),
        (403, OWN, [A; 4]),
        (403, HTML, [U; 4]),
        (404, OWN, [R, R, R, "done"]),
        (404, HTML, [U; 4]),
        (404, "", [U; 4]),
        (408, OWN, [U; 4]),
        (409, OWN, ["conflict some_code", U, U, U]),
        (409, "", ["conflict -", U, U, U]),
        (413, OWN, [R; 4]),
        (413, HTML, [U; 4]),
        (422, OWN, [R; 4]),
        (422, "{}", [U; 4]),
        (429, HTML, ["throttled"; 4]),
        (429, OWN, ["throttled"; 4]),
        (500, OWN, [U; 4]),
        (502, HTML, [U; 4]),
        (503, OWN, [U; 4]),
        (504, "", [U; 4]),
        (599, OWN, [U; 4]),
    ] {
        for (effect, expected) in effects().iter().zip(expected) {
            let prepared = prepare(effect, 100).expect("it can be sent");
            let kind = prepared.kind;
            // A vendor can echo only what this request said.
            let echo = if kind == EffectKind::AddMethod { TOKEN } else { "what you sent" };
            let answer = &answer.replace(TOKEN, echo);
            assert_eq!(outcomes(&prepared, status, answer), [expected], "{kind} {status} {answer}");
        }
    }
}

#[test]
fn a_bulk_call_is_classified_as_a_whole_where_it_has_no_results() {
    let too_large = r#"{"code":"batch_too_large","message":"at most 1"}"#;
    for (status, answer, expected) in [
        (413, OWN, "too large"),
        (413, HTML, "unknown"),
        (400, too_large, "too large"),
        (422, too_large, "too large"),
        (500, too_large, "unknown"),
        (400, OWN, "refused some_code"),
        (409, OWN, "unknown"),
        (429, "", "throttled"),
        (401, OWN, "account some_code"),
        (403, OWN, "account some_code"),
        (502, HTML, "unknown"),
        (200, HTML, "unknown"),
        (200, "", "unknown"),
        (200, "{}", "unknown"),
        (200, "[]", "unknown"),
        (200, r#"{"results":{}}"#, "unknown"),
        (200, r#"{"results":[]}"#, "unknown"),
    ] {
        assert_eq!(outcomes(&bulk(2), status, answer), [expected; 2], "{status} {answer}");
    }
    // What holds one row cannot be halved.
    assert_eq!(outcomes(&bulk(1), 413, too_large), ["refused batch_too_large"]);
}

#[test]
fn bulk_results_belong_to_their_index() {
    let all = r#"{"results":[
        {"index":3,"status":"queued","saved_payment_method_uid":"spm_3"},
        {"index":2,"status":"rejected","error":{"code":"invalid_token","message":"tok_CANARY_0123456789abcdef?"}},
        {"index":0,"status":"imported","saved_payment_method_uid":"SPM_0","more":1},
        {"index":1,"status":"duplicate","saved_payment_method_uid":"spm_1"}]}"#;
    let expected = ["done SPM_0", "already spm_1", "refused invalid_token", "unknown"];
    assert_eq!(outcomes(&bulk(4), 200, all), expected);

    for (results, expected) in [
        // Missing.
        (
            r#"{"index":1,"status":"imported","saved_payment_method_uid":"a"}"#,
            ["unknown", "done a"],
        ),
        // Repeated, even alike.
        (
            r#"{"index":0,"status":"imported","saved_payment_method_uid":"a"},
               {"index":0,"status":"imported","saved_payment_method_uid":"a"},
               {"index":1,"status":"imported","saved_payment_method_uid":"b"}"#,
            ["unknown", "done b"],
        ),
        (
            r#"{"index":0,"status":"imported","saved_payment_method_uid":"a"},
               {"index":0,"status":"rejected"},{"index":0,"status":"rejected"}"#,
            ["unknown", "unknown"],
        ),
        // Foreign, or no index at all.
        (
            r#"{"index":2,"status":"rejected"},{"index":-1,"status":"rejected"},{"index":"0"},
               {"status":"imported"},7,
               {"index":1,"status":"imported","saved_payment_method_uid":"b"}"#,
            ["unknown", "done b"],
        ),
        // Success names what it made.
        (
            r#"{"index":0,"status":"imported"},{"index":1,"status":"duplicate","saved_payment_method_uid":""}"#,
            ["unknown", "unknown"],
        ),
        // Words are exact; an error is not needed to be rejected.
        (
            r#"{"index":0,"status":"Imported","saved_payment_method_uid":"a"},{"index":1,"status":"rejected"}"#,
            ["unknown", "refused -"],
        ),
        (r#"{"index":0},{"index":1,"status":null}"#, ["unknown", "unknown"]),
    ] {
        let answer = format!(r#"{{"results":[{results}]}}"#);
        assert_eq!(outcomes(&bulk(2), 200, &answer), expected, "{results}");
    }
}

#[test]
fn what_was_saved_is_what_the_answer_shows_over_what_was_sent() {
    let saved = |answer: &str| {
        let [_, add, ..] = effects();
        let prepared = prepare(&add, 1).expect("it can be sent");
        let body = prepared.body.expose_secret();
        let sent = Sent { kind: prepared.kind, items: 1, body };
        match sent.outcomes(201, answer.as_bytes()).pop() {
            Some(ItemOutcome::Done(applied)) => applied,
            other => panic!("{other:?}"),
        }
    };
    let applied = saved(SAVED);
    assert!(!format!("{applied:?}").contains("CANARY"));
    let credential = applied.credential.expect("the permanent token");
    assert_eq!(
        (credential.kind, credential.value.expose_secret()),
        (TokenKind::Processor, "perm_CANARY")
    );
    let method = applied.method.expect("shown");
    assert_eq!((method.facts, method.default), (MethodFacts::Card(card_facts()), None));

    // The vendor's word stands over ours; the token that was sent is no permanent one.
    let applied = saved(&format!(
        r#"{{"saved_payment_method_uid":"spm_9","is_default":true,"payment_method":{{"payment_method_type":"credit",
            "credit":{{"fingerprint":"{TOKEN}","card_brand":"Visa","exp_month":"1","exp_year":2031}}}}}}"#
    ));
    assert!(applied.credential.is_none());
    let method = applied.method.expect("shown");
    let expected =
        CardFacts { brand: Some("Visa".into()), expiry: Expiry::new(1, 2031).ok(), ..card_facts() };
    assert_eq!((method.facts, method.default), (MethodFacts::Card(expected), Some(true)));

    // A card number in place of a token is dropped, and the outcome stays (rule 13).
    let applied = saved(
        r#"{"saved_payment_method_uid":"spm_9","payment_method":{"credit":{"fingerprint":"4111111111111111"}}}"#,
    );
    assert!(applied.credential.is_none() && applied.method.is_some());
}

#[test]
fn effects_go_where_the_endpoints_say() {
    let (customer, method) = (cus("cus_1"), spm("spm_1"));
    let reference = Reference::new("R-1").expect("valid");
    let card = || MethodFacts::Card(card_facts());
    let effects = [
        (
            ENDPOINTS.create_customer,
            Effect::CreateCustomer { reference, profile: Profile::default() },
        ),
        (ENDPOINTS.add_method, Effect::AddMethod(new(TokenKind::Proxynized, card()))),
        (ENDPOINTS.import_methods, Effect::ImportMethods(vec![new(TokenKind::Processor, card())])),
        (ENDPOINTS.set_default, Effect::SetDefault { customer, method }),
    ];
    for (said, effect) in effects {
        let prepared = prepare(&effect, 100).expect("it can be sent");
        assert_eq!(said, Some(Endpoint::new(prepared.verb, prepared.route)), "{effect:?}");
    }
    // A change of a customer cannot be sent, and has no endpoint.
    assert_eq!(ENDPOINTS.update_customer, None);
}
