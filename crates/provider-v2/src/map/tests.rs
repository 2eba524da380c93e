use backend::{NewMethod, Refusal};
use model::{MethodKind, Timestamp};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn pm(id: &str) -> RemoteMethodId {
    RemoteMethodId::new(id).expect("an id")
}

fn reference(text: &str) -> Reference {
    Reference::new(text).expect("valid")
}

fn create(profile: Profile) -> Effect {
    Effect::CreateCustomer { reference: reference("R-1"), profile }
}

fn update(changes: Profile) -> Effect {
    Effect::UpdateCustomer { customer: cus("c-1"), changes, metadata: None }
}

fn delete(id: &str) -> Effect {
    Effect::DeleteCustomer { customer: cus(id) }
}

fn with(field: FieldName, value: impl Into<String>) -> Profile {
    let mut profile = Profile::default();
    profile.set(field, Some(value.into()));
    profile
}

fn full() -> Profile {
    Profile {
        name: Some("Džemal \"D\" Bijedić".into()),
        email: Some("d@example.com".into()),
        phone: Some("00387000111".into()),
        description: Some("VIP".into()),
        address: Address {
            line1: Some("Džemala Bijedića 2".into()),
            city: Some("Sarajevo".into()),
            postal_code: Some("71000".into()),
            country: Some("BA".into()),
            ..Address::default()
        },
        metadata: [("tier".to_owned(), "gold".to_owned()), ("a".into(), String::new())].into(),
        ..Profile::default()
    }
}

#[test]
fn requests_are_exact_and_hold_no_null() {
    let metadata = Profile {
        metadata: [("tier".to_owned(), "silver".to_owned())].into(),
        ..Profile::default()
    };
    for (effect, line, text) in [
        (
            create(full()),
            "POST /v2/customers",
            r#"{"merchant_customer_id":"R-1","description":"VIP","email":"d@example.com","name":"Džemal \"D\" Bijedić","phone":"00387000111","metadata":{"a":"","tier":"gold"},"zip_code":"71000","city":"Sarajevo","address":"Džemala Bijedića 2","country":"BA"}"#,
        ),
        (create(Profile::default()), "POST /v2/customers", r#"{"merchant_customer_id":"R-1"}"#),
        (
            update(with(FieldName::Email, "x@example.com")),
            "POST /v2/customers/c-1",
            r#"{"email":"x@example.com"}"#,
        ),
        // Merged by key: the others are not said.
        (update(metadata), "POST /v2/customers/c-1", r#"{"metadata":{"tier":"silver"}}"#),
        (delete("c/1 é"), "DELETE /v2/customers/c%2F1%20%C3%A9", ""),
    ] {
        let prepared = prepare(&effect).expect("it can be sent");
        assert_eq!(format!("{} {}", prepared.verb.as_str(), prepared.path), line);
        assert_eq!(std::str::from_utf8(prepared.body.expose_secret()), Ok(text));
        assert_eq!((prepared.kind, prepared.items), (effect.kind(), 1));
    }
}

#[test]
fn lengths_are_counted_in_characters_before_anything_is_sent() {
    use FieldName as F;
    for (field, min, max) in [
        (F::Name, 1, 50),
        (F::Email, 1, 200),
        (F::Phone, 1, 30),
        (F::Description, 1, 200),
        (F::Line1, 3, 100),
        (F::City, 3, 30),
        (F::PostalCode, 1, 9),
        (F::Country, 2, 2),
    ] {
        let letter = if field == F::Country { "x" } else { "č" };
        for effect in [create, update] {
            for length in [min, max] {
                let profile = with(field, letter.repeat(length));
                assert!(prepare(&effect(profile)).is_ok(), "{field:?} {length}");
            }
            for length in [min - 1, max + 1] {
                let profile = with(field, letter.repeat(length));
                let rejection = prepare(&effect(profile)).expect_err("it cannot be sent");
                assert_eq!((rejection.code, rejection.field), (Code::FieldLength, Some(field)));
                let says = rejection.message;
                assert!(says.contains(&format!("has {length} characters")), "{says}");
                assert!(says.contains(&max.to_string()), "{says}");
            }
        }
    }
    let rejection = prepare(&create(with(F::Country, "1ć"))).expect_err("no country");
    assert_eq!((rejection.code, rejection.field), (Code::FieldCharset, Some(F::Country)));

    let long = |length| Effect::CreateCustomer {
        reference: reference(&"č".repeat(length)),
        profile: Profile::default(),
    };
    assert!(prepare(&long(100)).is_ok());
    let rejection = prepare(&long(101)).expect_err("too long");
    assert_eq!((rejection.code, rejection.field), (Code::FieldLength, None));
    assert_eq!(rejection.message, "`reference` has 101 characters; the provider takes 1 to 100");
}

#[test]
fn what_cannot_be_sent_is_rejected_with_its_reason() {
    let method = || NewMethod {
        customer: cus("c-1"),
        facts: MethodFacts::Card(CardFacts::default()),
        token: Some(Token { kind: TokenKind::Processor, value: "CANARY".into(), created_at: None }),
        billing: Address::default(),
        default: false,
    };
    let (customer, spm) = (cus("c-1"), pm("1"));
    let dots = |text: &str| Effect::CreateCustomer {
        reference: reference(text),
        profile: Profile::default(),
    };
    for (effect, code, says) in [
        (Effect::AddMethod(method()), Code::NotPortable, "needs a payment with tokenisation"),
        (Effect::ImportMethods(vec![method(); 2]), Code::NotPortable, "needs a payment"),
        (
            Effect::SetDefault { customer: customer.clone(), method: spm.clone() },
            Code::NotUpdatable,
            "default",
        ),
        (Effect::RemoveMethod { customer, method: spm }, Code::NotUpdatable, "remove"),
        // It could never be found again.
        (dots("."), Code::BadValue, "reference"),
        (dots(".."), Code::BadValue, "reference"),
        (delete(".."), Code::BadValue, "path"),
    ] {
        let rejection = prepare(&effect).expect_err("it cannot be sent");
        assert_eq!((rejection.code, rejection.item), (code, 0), "{rejection}");
        assert!(rejection.message.contains(says), "{rejection}");
    }
}

#[test]
fn a_customer_is_read_under_each_name_of_its_id() {
    let row = |id: &str| {
        json!({ id: "c-1", "status": "approved", "merchant_customer_id": " R-1",
            "name": "Džemal \"D\" Bijedić", "email": "d@example.com", "phone": "00387000111",
            "description": "VIP", "zip_code": "71000", "city": "Sarajevo",
            "address": "Džemala Bijedića 2", "country": "BA",
            "metadata": {"tier": "gold", "a": "", "gone": null}, "deleted": false,
            "created_at": "2026-01-31T10:00:00Z", "updated_at": "2026-01-31T10:00:00Z",
            "deleted_at": null, "unheard_of": {"a": []} })
    };
    for id in ["uuid", "id"] {
        let customer = customer(&row(id)).expect("it can be read");
        assert_eq!(customer.id.as_str(), "c-1");
        assert_eq!(customer.reference.as_deref(), Some(" R-1"));
        assert_eq!(customer.profile, full());
        assert_eq!(customer.status, RemoteStatus::Live);
        assert_eq!(customer.created_at, Timestamp::parse_rfc3339("2026-01-31T10:00:00Z"));
        assert!(customer.methods.is_none() && customer.metadata.is_none());
    }
    let both = customer(&json!({"uuid": 7, "id": "other"})).expect("it can be read");
    assert_eq!((both.id.as_str(), both.reference), ("7", None));

    let nulls = json!({"uuid": "c-2", "merchant_customer_id": null, "name": null, "email": "",
        "phone": null, "metadata": null, "deleted": null, "city": null});
    let sparse = customer(&nulls).expect("it can be read");
    assert_eq!((sparse.profile, sparse.reference), (Profile::default(), None));
    for row in [
        json!({}),
        json!("c-1"),
        json!({"uuid": null, "id": ""}),
        json!({"uuid": "a\nb"}),
        json!({"uuid": {"x": "secret"}}),
        json!({"uuid": "c-1", "name": ["secret"]}),
        json!({"uuid": "c-1", "metadata": "secret"}),
        json!({"uuid": "x".repeat(256)}),
    ] {
        let unfit = customer(&row).expect_err("it cannot be read");
        assert!(!unfit.0.contains("secret") && !unfit.0.contains("xxx"), "{unfit:?}");
    }
}

#[test]
fn a_deleted_customer_is_a_tombstone() {
    for (row, status) in [
        (json!({"id": "c", "deleted": true}), RemoteStatus::Deleted),
        (json!({"id": "c", "deleted_at": "2026-01-31T10:00:00Z"}), RemoteStatus::Deleted),
        (json!({"id": "c", "deleted": false, "deleted_at": null}), RemoteStatus::Live),
        (json!({"id": "c"}), RemoteStatus::Live),
    ] {
        assert_eq!(customer(&row).expect("it can be read").status, status, "{row}");
    }
}

#[test]
fn metadata_values_are_taken_as_they_are_written() {
    let row = json!({"id": "c", "metadata": {"n": 1.50, "b": true, "o": {"x": [1]}, "z": null}});
    let read = customer(&row).expect("it can be read").profile.metadata;
    let read: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(read, [("b", "true"), ("n", "1.5"), ("o", r#"{"x":[1]}"#)]);
    let none = customer(&json!({"id": "c", "metadata": []})).expect("it can be read");
    assert!(none.profile.metadata.is_empty());
}

fn facts(row: &Value) -> CardFacts {
    match method(row, &cus("c-1")).expect("it can be read").facts {
        MethodFacts::Card(card) => card,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_saved_card_is_read_whole() {
    let row = json!({"status": "approved", "id": 17, "masked_pan": "411111******1111",
        "expiration_date": "2034-12-31", "keep_until": "2035-01-31", "expired": false,
        "created_at": "2026-01-31T10:00:00Z", "updated_at": "2026-01-31T10:00:00Z",
        "customer_uuid": "c-1", "token": "3cfb7f1dCANARY"});
    let read = method(&row, &cus("c-1")).expect("it can be read");
    assert!(!format!("{read:?}").contains("CANARY"));
    assert_eq!((read.id.as_str(), read.default), ("17", None));
    assert_eq!(read.created_at, Timestamp::parse_rfc3339("2026-01-31T10:00:00Z"));
    assert_eq!(read.facts.kind(), MethodKind::Card);
    let expected = CardFacts {
        brand: Some("visa".into()),
        bin: Bin::new("411111").ok(),
        last4: Last4::new("1111").ok(),
        expiry: Expiry::new(12, 2034).ok(),
        holder_name: None,
    };
    assert_eq!(read.facts, MethodFacts::Card(expected));
    let attributes: Vec<_> =
        read.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [("expired", "false"), ("keep_until", "2035-01-31"), ("status", "approved")];
    assert_eq!(attributes, expected);
    let token = read.credential.expect("a token");
    assert_eq!((token.kind, token.value.expose_secret()), (TokenKind::Processor, "3cfb7f1dCANARY"));
}

#[test]
fn a_sparse_card_is_read_as_far_as_it_goes() {
    let read = method(&json!({"id": "x", "token": null, "keep_until": null}), &cus("c-1"));
    let read = read.expect("it can be read");
    assert_eq!(read.facts, MethodFacts::Card(CardFacts::default()));
    assert!(read.credential.is_none() && read.attributes.is_empty());
    for (masked, brand, bin, last4) in [
        ("411111******1111", Some("visa"), Some("411111"), Some("1111")),
        ("41111111****1111", Some("visa"), Some("411111"), Some("1111")),
        ("5555-55**-****-4444", Some("mastercard"), None, Some("4444")),
        ("378282*****0005", Some("amex"), Some("378282"), Some("0005")),
        ("4***1111", Some("visa"), None, Some("1111")),
        ("************1111", None, None, Some("1111")),
        (" 676300xxxxxx0000 ", Some("maestro"), Some("676300"), Some("0000")),
        ("989100******0000", None, Some("989100"), Some("0000")),
        ("1111", None, None, Some("1111")),
        ("411111******", Some("visa"), Some("411111"), None),
    ] {
        let card = facts(&json!({"id": "x", "masked_pan": masked}));
        let (brand, bin) = (brand.map(str::to_owned), bin.and_then(|bin| Bin::new(bin).ok()));
        let last4 = last4.and_then(|last4| Last4::new(last4).ok());
        assert_eq!((card.brand, card.bin, card.last4), (brand, bin, last4), "{masked}");
    }
    for (date, expiry) in [
        ("2034-12-31", Some((12, 2034))),
        ("2024-02-29", Some((2, 2024))),
        ("2034-12-31T00:00:00Z", Some((12, 2034))),
        ("12/27", None),
        ("2034-13-31", None),
        ("2034-12", None),
        ("34-12-31", None),
        ("31-12-2034", None),
        ("+034-12-31", None),
        ("", None),
    ] {
        let card = facts(&json!({"id": "x", "expiration_date": date}));
        assert_eq!(card.expiry, expiry.and_then(|(m, y)| Expiry::new(m, y).ok()), "{date}");
    }
    for row in [
        json!({"masked_pan": "411111******1111"}),
        json!({"id": "x", "customer_uuid": "c-2"}),
        json!({"id": "x", "masked_pan": ["secret"]}),
        json!({"id": "x", "token": {"secret": 1}}),
        json!({"id": ["secret"]}),
        json!(null),
    ] {
        let unfit = method(&row, &cus("c-1")).expect_err("it cannot be read");
        assert!(!unfit.0.contains("secret"), "{unfit:?}");
    }
}

fn outcome(effect: &Effect, status: u16, answer: &str) -> String {
    let prepared = prepare(effect).expect("it can be sent");
    let sent = Sent { kind: prepared.kind, body: prepared.body.expose_secret() };
    let refusal = |kind: &str, refusal: &Refusal| {
        assert!(!refusal.message.contains("CANARY"), "{refusal:?}");
        format!("{kind} {}", refusal.code.as_deref().unwrap_or("-"))
    };
    match sent.outcome(status, answer.as_bytes()) {
        ItemOutcome::Throttled => "throttled".into(),
        ItemOutcome::AccountFault(why) => refusal("account", &why),
        ItemOutcome::Done(applied) => match applied.customer {
            Some(customer) => format!("done {}", customer.id),
            None => "done".into(),
        },
        ItemOutcome::RefusedOrThere(why) => refusal("conflict", &why),
        ItemOutcome::Refused(why) => refusal("refused", &why),
        ItemOutcome::Unknown(why) => {
            assert!(!why.contains("CANARY"), "{why}");
            "unknown".into()
        }
        other => panic!("{other:?}"),
    }
}

const OWN: &str = r#"{"status":"invalid-request","message":"no CANARY@example.com or R-1"}"#;
const BARE: &str = r#"{"status":"error"}"#;
const HTML: &str = "<html><h1>Bad</h1></html>";
const MADE: &str = r#"{"status":"approved","uuid":"c-9","merchant_customer_id":"R-1"}"#;
const GONE: &str = r#"{"status":"approved","id":"c-1","deleted":true}"#;

#[test]
fn answers_are_classified_by_status_and_body() {
    // status, body, then: create, update, delete
    const U: &str = "unknown";
    const R: &str = "refused invalid-request";
    const A: &str = "account invalid-request";
    const C: &str = "conflict invalid-request";
    let email = || with(FieldName::Email, "CANARY@example.com");
    for (status, answer, expected) in [
        (200, MADE, ["done c-9", "done c-9", "done"]),
        (201, MADE, ["done c-9", "done c-9", "done"]),
        (200, GONE, [U, "done c-1", "done"]),
        (200, r#"{"status":"approved"}"#, [U, "done", "done"]),
        (200, r#"{"status":"approved","uuid":"c-1","deleted":false}"#, ["done c-1", "done c-1", U]),
        (200, r#"{"status":"pending","uuid":"c-1"}"#, [U; 3]),
        (200, r#"{"uuid":"c-1","deleted":true}"#, [U; 3]),
        (200, OWN, [U; 3]),
        (200, BARE, [U; 3]),
        (200, r#"{"status":"approved","uuid":"c"#, [U; 3]),
        (200, HTML, [U; 3]),
        (204, "", [U; 3]),
        (301, MADE, [U; 3]),
        (400, OWN, [C, R, R]),
        (400, BARE, ["conflict error", "refused error", "refused error"]),
        (400, r#"{"errors":["no"]}"#, ["conflict -", "refused -", "refused -"]),
        (400, r#"{"message":"no"}"#, [U; 3]),
        (400, HTML, [U; 3]),
        (401, OWN, [A; 3]),
        (401, "", ["account -"; 3]),
        (402, OWN, [C, R, R]),
        (403, OWN, [A; 3]),
        (403, HTML, [U; 3]),
        (404, OWN, [C, R, "done"]),
        (404, HTML, [U; 3]),
        (408, OWN, [U; 3]),
        (409, OWN, [C, U, U]),
        (409, "", [U; 3]),
        (413, OWN, [R; 3]),
        (422, OWN, [C, R, R]),
        (422, MADE, [U; 3]),
        (429, HTML, ["throttled"; 3]),
        (429, OWN, ["throttled"; 3]),
        (500, OWN, [U; 3]),
        (502, HTML, [U; 3]),
        (503, OWN, [U; 3]),
    ] {
        let effects = [create(email()), update(email()), delete("c-1")];
        for (effect, expected) in effects.iter().zip(expected) {
            // A vendor can echo only what this request said.
            let answer = match effect {
                Effect::DeleteCustomer { .. } => answer.replace("CANARY@example.com", "that"),
                _ => answer.to_owned(),
            };
            assert_eq!(outcome(effect, status, &answer), expected, "{effect:?} {status} {answer}");
        }
    }
}

#[test]
fn effects_go_where_the_endpoints_say() {
    for (said, effect) in [
        (ENDPOINTS.create_customer, create(Profile::default())),
        (ENDPOINTS.update_customer, update(Profile::default())),
    ] {
        let prepared = prepare(&effect).expect("it can be sent");
        assert_eq!(said, Some(Endpoint::new(prepared.verb, prepared.route)), "{effect:?}");
    }
    // No payment method can be saved, and there is no endpoint for it.
    let none = (ENDPOINTS.add_method, ENDPOINTS.import_methods, ENDPOINTS.set_default);
    assert_eq!(none, (None, None, None));
}
