use backend::ItemOutcome;
use model::{Last4, Timestamp, WalletFacts};
use serde_json::json;

use super::*;
use crate::testing::mapping;

const TOKEN: &str = "tok-CANARY-0123456789abcdef";
const OWN: &str = r#"{"request_id":"r","errors":[{"type":"VALIDATION","message":"no"}]}"#;
/// A reference, metadata and names of fields in the three casings.
const CASINGS: [&str; 3] = [
    r#"{"id":"c-1","first_name":"Ada","last_name":"Lee","company":"Lee & Co","email_address":"a@b.c",
        "phone_number":"555-0100","merchant_identifier":"M-1","shipping_address":{"line1":"1 Elm",
        "line2":"Apt 2","city":"Boise","state":"ID","postal_code":"83702","country":"US"},
        "metadata":{"account_id":"R-1","tier":"gold"}}"#,
    r#"{"id":"c-1","firstName":"Ada","lastName":"Lee","company":"Lee & Co","emailAddress":"a@b.c",
        "phoneNumber":"555-0100","merchantIdentifier":"M-1","shippingAddress":{"line1":"1 Elm",
        "line2":"Apt 2","city":"Boise","state":"ID","postalCode":"83702","country":"US"},
        "metadata":{"account_id":"R-1","tier":"gold"}}"#,
    r#"{"Id":"c-1","FirstName":"Ada","LastName":"Lee","Company":"Lee & Co","EmailAddress":"a@b.c",
        "PhoneNumber":"555-0100","MerchantIdentifier":"M-1","ShippingAddress":{"Line1":"1 Elm",
        "Line2":"Apt 2","City":"Boise","State":"ID","PostalCode":"83702","Country":"US"},
        "Metadata":{"account_id":"R-1","tier":"gold"}}"#,
];

fn cus() -> RemoteCustomerId {
    RemoteCustomerId::new("c-1").expect("an id")
}

fn wal() -> RemoteMethodId {
    RemoteMethodId::new("w/1").expect("an id")
}

fn reference() -> Reference {
    Reference::new("R-1").expect("valid")
}

fn profile() -> Profile {
    Profile {
        first_name: Some("Ada".into()),
        last_name: Some("Lee".into()),
        company: Some("Lee & Co".into()),
        email: Some("a@b.c".into()),
        phone: Some("555-0100".into()),
        address: Address {
            line1: Some("1 Elm".into()),
            line2: Some("Apt 2".into()),
            city: Some("Boise".into()),
            state: Some("ID".into()),
            postal_code: Some("83702".into()),
            country: Some("US".into()),
        },
        metadata: [("tier".to_owned(), "gold".to_owned())].into(),
        ..Profile::default()
    }
}

fn token_of(kind: TokenKind) -> Option<Token> {
    Some(Token { kind, value: TOKEN.into(), created_at: None })
}

fn bank() -> MethodFacts {
    MethodFacts::BankAccount(BankFacts::default())
}

fn new(kind: TokenKind, default: bool, billing: Address) -> Effect {
    let facts = MethodFacts::Card(CardFacts::default());
    let customer = cus();
    Effect::AddMethod(NewMethod { customer, facts, token: token_of(kind), billing, default })
}

fn create(profile: Profile) -> Effect {
    Effect::CreateCustomer { reference: reference(), profile }
}

fn line(prepared: &Prepared) -> (String, String) {
    let body = std::str::from_utf8(prepared.body.expose_secret()).expect("UTF-8").to_owned();
    (format!("{} {}", prepared.verb.as_str(), prepared.path), body)
}

fn effects() -> [Effect; 5] {
    [
        create(Profile::default()),
        new(TokenKind::Gateway, false, Address::default()),
        Effect::SetDefault { customer: cus(), method: wal() },
        Effect::RemoveMethod { customer: cus(), method: wal() },
        Effect::DeleteCustomer { customer: cus() },
    ]
}

#[test]
fn requests_are_exact_in_snake_case() {
    let address = Address { postal_code: Some("83702".into()), ..Address::default() };
    let [bare, gateway, set_default, remove, delete] = effects();
    for (effect, expected, body) in [
        (
            create(profile()),
            "POST /v1/customers",
            r#"{"first_name":"Ada","last_name":"Lee","company":"Lee & Co","email_address":"a@b.c","phone_number":"555-0100","shipping_address":{"line1":"1 Elm","line2":"Apt 2","city":"Boise","state":"ID","postal_code":"83702","country":"US"},"metadata":{"account_id":"R-1","tier":"gold"}}"#.to_owned(),
        ),
        (bare, "POST /v1/customers", r#"{"metadata":{"account_id":"R-1"}}"#.to_owned()),
        (
            gateway,
            "POST /v1/customers/c-1/wallet",
            format!(r#"{{"token":"{TOKEN}","default":false}}"#),
        ),
        (
            new(TokenKind::Transaction, true, address),
            "POST /v1/customers/c-1/wallet",
            format!(
                r#"{{"transaction_id":"{TOKEN}","default":true,"billing_address":{{"postal_code":"83702"}}}}"#
            ),
        ),
        (set_default, "PUT /v1/customers/c-1/wallet/w%2F1", r#"{"default":true}"#.to_owned()),
        (remove, "DELETE /v1/customers/c-1/wallet/w%2F1", String::new()),
        (delete, "DELETE /v1/customers/c-1", String::new()),
    ] {
        let prepared = mapping().prepare(&effect).expect("it can be sent");
        assert_eq!(line(&prepared), (expected.to_owned(), body));
        assert_eq!((prepared.kind, prepared.items), (effect.kind(), 1));
        assert!(!format!("{prepared:?}").contains("CANARY"));
    }
}

#[test]
fn requests_in_camel_case_leave_the_merchant_s_own_keys() {
    let camel = Mapping { casing: Casing::Camel, ..mapping() };
    let (_, body) = line(&camel.prepare(&create(profile())).expect("it can be sent"));
    assert_eq!(
        body,
        r#"{"firstName":"Ada","lastName":"Lee","company":"Lee & Co","emailAddress":"a@b.c","phoneNumber":"555-0100","shippingAddress":{"line1":"1 Elm","line2":"Apt 2","city":"Boise","state":"ID","postalCode":"83702","country":"US"},"metadata":{"account_id":"R-1","tier":"gold"}}"#
    );
    let add = new(TokenKind::Transaction, true, profile().address);
    let (_, body) = line(&camel.prepare(&add).expect("it can be sent"));
    assert!(body.starts_with(&format!(r#"{{"transactionId":"{TOKEN}","default":true,"#)), "{body}");
    assert!(body.contains(r#""billingAddress":{"line1":"1 Elm","#), "{body}");
}

#[test]
fn the_reference_is_written_where_the_account_says_and_read_back_from_there() {
    let merchant = Mapping { reference_field: ReferenceField::MerchantIdentifier, ..mapping() };
    let (_, body) = line(&merchant.prepare(&create(profile())).expect("it can be sent"));
    assert!(body.contains(r#""merchant_identifier":"R-1""#), "{body}");
    assert!(body.contains(r#""metadata":{"tier":"gold"}"#), "{body}");
    for text in CASINGS {
        let row: Value = serde_json::from_str(text).expect("JSON");
        let by_metadata = mapping().customer(&row).expect("a customer");
        assert_eq!(
            (by_metadata.id.as_str(), by_metadata.reference.as_deref()),
            ("c-1", Some("R-1"))
        );
        // The key of the reference is no metadata of the customer's.
        assert_eq!(by_metadata.profile, profile(), "{text}");
        let by_merchant = merchant.customer(&row).expect("a customer");
        assert_eq!(by_merchant.reference.as_deref(), Some("M-1"));
        assert_eq!(by_merchant.profile.metadata.len(), 2);
    }
    let stated = |value: &str| {
        let mut profile = profile();
        profile.metadata.insert("account_id".into(), value.into());
        mapping().prepare(&create(profile))
    };
    assert!(stated("R-1").is_ok());
    let rejection = stated("R-2").expect_err("two values for one key");
    assert_eq!((rejection.code, rejection.field), (Code::BadValue, Some(FieldName::Metadata)));
}

#[test]
fn customers_with_little_in_them_are_read() {
    for text in [
        r#"{"id":"c-1"}"#,
        r#"{"id":"c-1","first_name":null,"email_address":"","metadata":null,"shipping_address":null}"#,
        r#"{"id":"c-1","shipping_address":"somewhere","metadata":[],"unknown":{"a":1}}"#,
    ] {
        let customer = mapping().customer(&serde_json::from_str(text).expect("JSON"));
        let customer = customer.expect("a customer");
        assert_eq!((customer.reference, customer.profile), (None, Profile::default()), "{text}");
        assert_eq!(customer.status, RemoteStatus::Live);
    }
    // The guide's own answer, with a number where the merchant wrote one.
    let guide = json!({"id": "c-1", "first_name": "Ada", "metadata": {"account_id": 1234}});
    let customer = mapping().customer(&guide).expect("a customer");
    assert_eq!(customer.reference.as_deref(), Some("1234"));
    for bad in [json!({}), json!({"id": ""}), json!("c-1"), json!({"id": "c", "first_name": {}})] {
        assert!(mapping().customer(&bad).is_err(), "{bad}");
    }
}

#[test]
fn names_are_refused_by_length_and_characters_before_anything_is_sent() {
    let rejected = |field: FieldName, value: &str| {
        let mut profile = Profile::default();
        profile.set(field, Some(value.to_owned()));
        mapping().prepare(&create(profile)).err()
    };
    let taken = "0129 azAZ _-.,`'()@#!?/\\:;|+=%&";
    for field in ASCII_FIELDS {
        assert_eq!(rejected(*field, taken), None);
        assert_eq!(rejected(*field, &"a".repeat(100)), None);
        for (value, code, word) in [
            ("a".repeat(101), Code::FieldLength, "101 characters; the provider takes 1 to 100"),
            (String::new(), Code::FieldLength, "0 characters"),
            ("Müller".to_owned(), Code::FieldCharset, "has 'ü'"),
            ("say \"hi\"".to_owned(), Code::FieldCharset, "has '\"'"),
            ("5*".to_owned(), Code::FieldCharset, "has '*'"),
            ("$".to_owned(), Code::FieldCharset, "has '$'"),
            ("a\nb".to_owned(), Code::FieldCharset, "has '\\n'"),
            ("山田".to_owned(), Code::FieldCharset, "has '山'"),
        ] {
            let rejection = rejected(*field, &value).expect("it cannot be sent");
            assert_eq!((rejection.code, rejection.field), (code, Some(*field)), "{value}");
            assert!(rejection.message.contains(word), "{}", rejection.message);
        }
    }
    for field in [FieldName::Email, FieldName::Phone, FieldName::Line1, FieldName::City] {
        assert_eq!(rejected(field, &"ü*".repeat(200)), None);
    }
}

#[test]
fn tokens_go_out_by_their_kind_and_others_not_at_all() {
    let code = |route, facts: &MethodFacts, stated: Option<Token>| {
        token(route, facts, stated.as_ref()).map(|(property, _)| property).map_err(|no| no.code)
    };
    let card = MethodFacts::Card(CardFacts::default());
    let wallet = MethodFacts::CryptoWallet(WalletFacts { chain_id: 1, address: "0x".into() });
    let empty = Some(Token { kind: TokenKind::Gateway, value: "".into(), created_at: None });
    let add = TokenRoute::Add;
    for facts in [&card, &bank()] {
        assert_eq!(code(add, facts, token_of(TokenKind::Gateway)), Ok("token"));
        assert_eq!(code(add, facts, token_of(TokenKind::Transaction)), Ok("transaction_id"));
        for kind in [TokenKind::Processor, TokenKind::Proxynized] {
            assert_eq!(code(add, facts, token_of(kind)), Err(Code::TokenKindUnsupported));
        }
        assert_eq!(code(add, facts, None), Err(Code::FieldMissing));
        assert_eq!(code(add, facts, empty.clone()), Err(Code::FieldMissing));
        let bulk = code(TokenRoute::Bulk, facts, token_of(TokenKind::Gateway));
        assert_eq!(bulk, Err(Code::TokenKindUnsupported));
    }
    let unsupported = Err(Code::MethodKindUnsupported);
    assert_eq!(code(add, &wallet, token_of(TokenKind::Gateway)), unsupported);
}

#[test]
fn what_the_vendor_cannot_do_is_refused_before_anything_is_sent() {
    let update = |changes| Effect::UpdateCustomer { customer: cus(), changes, metadata: None };
    let metadata = Profile { metadata: profile().metadata, ..Profile::default() };
    for (effect, code, field) in [
        (update(profile()), Code::NotUpdatable, Some(FieldName::FirstName)),
        (update(metadata), Code::NotUpdatable, Some(FieldName::Metadata)),
        (Effect::ImportMethods(Vec::new()), Code::TokenKindUnsupported, None),
    ] {
        let rejection = mapping().prepare(&effect).expect_err("it cannot be sent");
        assert_eq!((rejection.code, rejection.field), (code, field));
    }
    let nowhere = RemoteCustomerId::new("..").expect("an id");
    let delete = Effect::DeleteCustomer { customer: nowhere };
    assert_eq!(mapping().prepare(&delete).expect_err("no path").code, Code::BadValue);
}

#[test]
fn pages_begin_exactly_where_rows_were_left_off() {
    for (rows, size, query) in [
        (0, 100, "Page=1&Size=100"),
        (100, 100, "Page=2&Size=100"),
        (90, 90, "Page=2&Size=90"),
        (0, 1000, "Page=1&Size=100"),
        (0, 0, "Page=1&Size=1"),
        // A page came short: by 50 rows, at the end of the list, at a prime.
        (50, 100, "Page=2&Size=50"),
        (237, 100, "Page=4&Size=79"),
        (239, 100, "Page=240&Size=1"),
    ] {
        assert_eq!(page_query(rows, size), query);
    }
    for rows in 0..2_000_u64 {
        let query = page_query(rows, 100);
        let (page, size) =
            query.strip_prefix("Page=").and_then(|query| query.split_once("&Size=")).expect("both");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert_eq!((number(page) - 1) * number(size), rows, "neither skipped nor read twice");
        assert!((1..=100).contains(&number(size)));
    }
}

#[test]
fn a_card_is_what_has_a_known_network_or_an_expiry() {
    let read = |row: Value| method(&row).expect("a payment method");
    for (network, known) in [
        (json!("visa"), true),
        (json!("MASTERCARD"), true),
        (json!("discover card"), true),
        (json!("American Express"), true),
        (json!("jcb"), false),
        (json!("ach"), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        let row = json!({"id": "w", "network": network, "account_number": "****1111"});
        let MethodFacts::Card(card) = read(row.clone()).facts else {
            assert!(!known, "{row}");
            let last4 = Last4::new("1111").ok();
            let facts = MethodFacts::BankAccount(BankFacts { last4, ..BankFacts::default() });
            assert_eq!(read(row).facts, facts);
            continue;
        };
        assert!(known, "{row}");
        assert_eq!((card.brand.as_deref(), card.expiry), (network.as_str(), None));
    }
    let dated = read(json!({"id": "w", "network": "jcb", "expiry": "0135"})).facts;
    let expected = CardFacts {
        brand: Some("jcb".into()),
        expiry: Expiry::new(1, 2035).ok(),
        ..CardFacts::default()
    };
    assert_eq!(dated, MethodFacts::Card(expected));
    for none in [json!("0000"), json!("00/00"), json!(""), json!(null), json!("-")] {
        assert_eq!(read(json!({"id": "w", "expiry": none})).facts, bank(), "{none}");
    }
    // Stated, and not to be read: a card all the same.
    let strange = read(json!({"id": "w", "expiry": "13/27"})).facts;
    assert_eq!(strange, MethodFacts::Card(CardFacts::default()));
}

#[test]
fn expiries() {
    for (text, shown) in [
        ("1235", Some((12, 2035))),
        ("0135", Some((1, 2035))),
        ("12/35", Some((12, 2035))),
        ("1/35", Some((1, 2035))),
        ("12/2035", Some((12, 2035))),
        ("2035-12", Some((12, 2035))),
        ("1335", None),
        ("12-35", None),
        ("12/203", None),
        ("12/20355", None),
        ("2035-13", None),
        ("2035/12", None),
        ("+1/35", None),
        ("122035", None),
        ("soon", None),
        ("éé", None),
        ("", None),
    ] {
        let read = expiry(text).map(|expiry| (expiry.month(), expiry.year()));
        assert_eq!(read, shown, "{text}");
    }
}

#[test]
fn payment_methods_are_read_in_every_casing() {
    for text in [
        r#"{"id":"w","network":"visa","account_number":"4***********1111","expiry":"12/27",
            "default":true,"created":"2026-01-02T03:04:05Z","address":{"postal_code":"83702"}}"#,
        r#"{"id":"w","network":"visa","accountNumber":"4xxxxxxxxxxx1111","expiry":"1227",
            "default":true,"created":1767323045,"address":null}"#,
        r#"{"Id":"w","Network":"visa","AccountNumber":"411111******1111 VISA","Expiry":1227,
            "Default":true,"Created":"2026-01-02T03:04:05Z"}"#,
    ] {
        let read = method(&serde_json::from_str(text).expect("JSON")).expect("a payment method");
        let facts = CardFacts {
            brand: Some("visa".into()),
            last4: Last4::new("1111").ok(),
            expiry: Expiry::new(12, 2027).ok(),
            ..CardFacts::default()
        };
        assert_eq!((read.id.as_str(), read.facts), ("w", MethodFacts::Card(facts)), "{text}");
        assert_eq!(read.default, Some(true));
        assert_eq!(read.created_at, Timestamp::parse_rfc3339("2026-01-02T03:04:05Z"));
    }
    // A number has lost its leading zeros.
    let row = json!({"id": "w", "account_number": 42, "expiry": 135, "default": "yes"});
    let read = method(&row).expect("a payment method");
    assert_eq!(read.facts.last4().map(Last4::as_str), Some("0042"));
    let MethodFacts::Card(card) = read.facts else { panic!("a card") };
    assert_eq!((card.expiry, read.default), (Expiry::new(1, 2035).ok(), None));
    for bad in [json!({}), json!({"id": {}}), json!(7)] {
        assert!(method(&bad).is_err(), "{bad}");
    }
}

fn outcome(effect: &Effect, status: u16, answer: &str) -> ItemOutcome {
    let mapping = mapping();
    let prepared = mapping.prepare(effect).expect("it can be sent");
    let body = prepared.body.expose_secret();
    Sent { mapping: &mapping, kind: prepared.kind, body }.outcome(status, answer.as_bytes())
}

fn word(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Done(applied) => match (&applied.customer, &applied.method) {
            (Some(customer), _) => format!("done {}", customer.id),
            (_, Some(method)) => format!("done {}", method.id),
            _ => "done".into(),
        },
        ItemOutcome::Refused(why) => format!("refused {}", why.code.as_deref().unwrap_or("-")),
        ItemOutcome::AccountFault(_) => "account".into(),
        ItemOutcome::Throttled => "throttled".into(),
        ItemOutcome::Unknown(_) => "unknown".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_an_answer_means() {
    let all = effects();
    let [create, add, set_default, remove, delete] = &all;
    let shown = r#"{"request_id":"r","customer":{"id":"c-9","metadata":{"account_id":"R-1"}}}"#;
    let saved = r#"{"requestId":"r","wallet":{"id":"w-9","network":"visa"},"errors":null}"#;
    let nothing = r#"{"requestId":"r","errors":[]}"#;
    for (effect, status, answer, expected) in [
        (create, 200, shown, "done c-9"),
        (create, 200, r#"{"customers":[{"Id":"c-9"}]}"#, "done c-9"),
        (create, 200, nothing, "unknown"),
        (create, 200, r#"{"customers":null}"#, "unknown"),
        (create, 200, "", "unknown"),
        (create, 200, "<html>", "unknown"),
        (create, 200, r#"{"customer":{}}"#, "unknown"),
        (create, 204, "", "unknown"),
        (create, 302, "", "unknown"),
        (add, 200, saved, "done w-9"),
        (add, 200, r#"{"wallet":[{"Id":"w-9"}]}"#, "done w-9"),
        (add, 200, nothing, "unknown"),
        (add, 200, r#"{"wallet":null}"#, "unknown"),
        (set_default, 200, nothing, "done"),
        (set_default, 204, "", "done"),
        (set_default, 200, r#"{"wallet":{"id":"w/1","default":true}}"#, "done"),
        (set_default, 200, r#"{"wallet":[{"id":"w/1","default":false}]}"#, "unknown"),
        (set_default, 200, "<html>", "unknown"),
        (remove, 200, nothing, "done"),
        (remove, 200, "<html>", "unknown"),
        (remove, 404, OWN, "done"),
        (remove, 404, "<html>", "unknown"),
        (remove, 404, r#"{"message":"Not Found"}"#, "unknown"),
        (delete, 200, nothing, "done"),
        (delete, 404, OWN, "done"),
        (delete, 404, "", "unknown"),
        (add, 404, OWN, "refused VALIDATION"),
        (set_default, 404, OWN, "refused VALIDATION"),
    ] {
        let kind = effect.kind();
        assert_eq!(word(&outcome(effect, status, answer)), expected, "{kind} {status} {answer}");
    }
    for effect in &all {
        let removes =
            matches!(effect.kind(), EffectKind::RemoveMethod | EffectKind::DeleteCustomer);
        for (status, own, foreign) in [
            (400, "refused VALIDATION", "unknown"),
            (401, "account", "account"),
            (402, "refused VALIDATION", "unknown"),
            (403, "account", "unknown"),
            (404, if removes { "done" } else { "refused VALIDATION" }, "unknown"),
            (409, "unknown", "unknown"),
            (413, "refused VALIDATION", "unknown"),
            (418, "unknown", "unknown"),
            (422, "refused VALIDATION", "unknown"),
            (429, "throttled", "throttled"),
            (500, "unknown", "unknown"),
            (502, "unknown", "unknown"),
            (503, "unknown", "unknown"),
            (504, "unknown", "unknown"),
            (301, "unknown", "unknown"),
        ] {
            let kind = effect.kind();
            assert_eq!(word(&outcome(effect, status, OWN)), own, "{kind} {status}");
            for body in ["", "<html>", r#"{"message":"Forbidden"}"#, r#"{"requestId":"r"}"#] {
                let said = word(&outcome(effect, status, body));
                assert_eq!(said, foreign, "{kind} {status} {body}");
            }
        }
    }
}

#[test]
fn an_error_within_a_success_is_a_refusal() {
    for effect in &effects() {
        for answer in [
            OWN,
            r#"{"requestId":"r","errors":[{"type":"VALIDATION","message":{"any":["type"]}}]}"#,
            r#"{"RequestId":"r","Errors":[{"Type":"VALIDATION","Message":7}],"Customer":null}"#,
            r#"{"customer":{"id":"c"},"wallet":{"id":"w"},"errors":[{"type":"VALIDATION"}]}"#,
        ] {
            assert_eq!(word(&outcome(effect, 200, answer)), "refused VALIDATION", "{answer}");
        }
        // Not as the contract has them: neither a success nor the vendor's refusal.
        for errors in [r#"{"name":"no"}"#, r#""no""#, r#"[{"message":"no"}]"#] {
            let answer =
                format!(r#"{{"customer":{{"id":"c"}},"wallet":{{"id":"w"}},"errors":{errors}}}"#);
            assert_eq!(word(&outcome(effect, 200, &answer)), "unknown", "{answer}");
        }
    }
}

#[test]
fn no_message_repeats_what_was_sent() {
    let mut canary = profile();
    canary.first_name = Some("Canary".into());
    canary.address.line1 = Some("Canary".into());
    canary.metadata.insert("tier".into(), "canary".into());
    let customer = Effect::CreateCustomer {
        reference: Reference::new("R-CANARY-0042").expect("valid"),
        profile: canary,
    };
    let add = new(TokenKind::Gateway, false, Address::default());
    for effect in [&customer, &add] {
        for status in [200, 400, 500] {
            let sent = mapping().prepare(effect).expect("it can be sent");
            let echoed = String::from_utf8_lossy(sent.body.expose_secret()).into_owned();
            let answer = json!({"request_id": "r", "errors": [
                {"type": "VALIDATION", "message": echoed},
                {"message": serde_json::from_str::<Value>(&echoed).expect("JSON")},
            ]});
            let shown = format!("{:?}", outcome(effect, status, &answer.to_string()));
            assert!(!shown.to_lowercase().contains("canary"), "{status}: {shown}");
        }
    }
}
