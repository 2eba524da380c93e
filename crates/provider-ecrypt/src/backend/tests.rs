use backend::{ItemOutcome, Lane, NewMethod, Traffic as _};
use model::{CardFacts, Profile, RemoteMethodId};
use transport::testing::Server;

use super::*;
use crate::testing::{config, connect};
use crate::{Casing, ReferenceField};

const OWN: &str =
    r#"{"requestId":"body-1","errors":[{"type":"NOT_FOUND","message":"no such thing"}]}"#;

fn ctx() -> CallCtx {
    CallCtx::in_lane(Lane::Interactive)
}

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn create() -> Effect {
    let reference = Reference::new("R-CANARY-0042").expect("valid");
    Effect::CreateCustomer { reference, profile: Profile::default() }
}

async fn send(account: &Ecrypt, transport: &Transport, effect: &Effect) -> SendOutcome {
    let prepared = account.prepare(effect).expect("it can be sent");
    let permit = transport.reserve(Lane::Bulk, 1).await.expect("a permit").remove(0);
    account.execute(&ctx(), prepared, permit).await
}

#[tokio::test]
async fn every_call_carries_the_key_and_nothing_but_the_contract() {
    let server = Server::start(|seen| {
        let body = match seen.line.split_once(' ') {
            Some(("POST", "/v1/customers")) => r#"{"customer":{"id":"c-1"},"request_id":"body-1"}"#,
            Some(("POST", _)) => r#"{"wallet":{"id":"w-1"},"request_id":"body-1"}"#,
            Some(("GET", "/v1/customers/c-1")) => r#"{"customers":[{"id":"c-1"}]}"#,
            Some(("GET", _)) => r#"{"data":[]}"#,
            _ => r#"{"requestId":"body-1","errors":[]}"#,
        };
        (200, body.to_owned())
    })
    .await;
    let (account, transport) = connect(&server, &config());
    let method = RemoteMethodId::new("w-1").expect("an id");
    let add = Effect::AddMethod(NewMethod {
        customer: cus("c-1"),
        facts: MethodFacts::Card(CardFacts::default()),
        token: Some(Token { kind: TokenKind::Gateway, value: "tok".into(), created_at: None }),
        billing: Address::default(),
        default: true,
    });
    for effect in [
        create(),
        add,
        Effect::SetDefault { customer: cus("c-1"), method: method.clone() },
        Effect::RemoveMethod { customer: cus("c-1"), method },
        Effect::DeleteCustomer { customer: cus("c-1") },
    ] {
        let outcome = send(&account, &transport, &effect).await;
        assert_eq!(outcome.call.request_id.as_deref(), Some("body-1"));
        assert!(matches!(outcome.items.as_slice(), [ItemOutcome::Done(_)]), "{outcome:?}");
    }
    assert!(account.get_customer(&ctx(), &cus("c-1")).await.expect("read").is_some());
    let page = PageRequest::first(90);
    assert!(account.list_methods(&ctx(), &cus("c-1"), &page).await.expect("read").next.is_none());
    assert!(account.list_customers(&ctx(), &page).await.expect("read").next.is_none());
    assert_eq!(account.probe(&ctx()).await.expect("read").summary, "it has no customers yet");
    let seen = server.seen("");
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /v1/customers",
            "POST /v1/customers/c-1/wallet",
            "PUT /v1/customers/c-1/wallet/w-1",
            "DELETE /v1/customers/c-1/wallet/w-1",
            "DELETE /v1/customers/c-1",
            "GET /v1/customers/c-1",
            "GET /v1/customers/c-1/wallet?Page=1&Size=100",
            "GET /v1/customers?Page=1&Size=90",
            "GET /v1/customers?Page=1&Size=1",
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("x-api-key"), Some("key_CANARY"), "{}", seen.line);
        assert_eq!(seen.header("authorization"), None);
        let json = (!seen.body.is_empty()).then_some("application/json");
        assert_eq!(seen.header("content-type"), json, "{}", seen.line);
    }
}

/// A vendor that numbers pages, and gives no more than `most` rows of what is asked for.
fn numbered(rows: u64, most: u64) -> impl Fn(&transport::testing::Seen) -> (u16, String) {
    move |seen| {
        let number = |name: &str| -> u64 {
            let (_, rest) = seen.line.split_once(name).expect("stated");
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().expect("a number")
        };
        let (page, size) = (number("Page="), number("Size="));
        let from = (page - 1) * size;
        let to = (from + size.min(most)).min(rows);
        let rows: Vec<_> = (from..to).map(|n| format!(r#"{{"id":"c-{n}"}}"#)).collect();
        (200, format!(r#"{{"customers":[{}]}}"#, rows.join(",")))
    }
}

#[tokio::test]
async fn no_row_is_skipped_or_read_twice_whatever_a_page_gives() {
    for (rows, most, size, calls) in [
        (237, 100, 100, 4),
        (200, 100, 100, 3),
        (181, 100, 90, 4),
        (0, 100, 100, 1),
        // Fewer than asked for, in the middle of the list.
        (237, 60, 100, 5),
        (101, 7, 100, 18),
    ] {
        let server = Server::start(numbered(rows, most)).await;
        let (account, _) = connect(&server, &config());
        let mut request = PageRequest::first(size);
        let mut ids = Vec::new();
        loop {
            let page = account.list_customers(&ctx(), &request).await.expect("a page");
            assert_eq!(page.received, u64::try_from(page.items.len()).expect("few"));
            ids.extend(page.items.into_iter().map(|customer| customer.id.to_string()));
            let Some(next) = page.next else { break };
            request.cursor = next;
        }
        let expected: Vec<_> = (0..rows).map(|n| format!("c-{n}")).collect();
        assert_eq!(ids, expected, "{rows} rows, {most} a page");
        let asked = server.seen("").len();
        assert!(asked <= calls, "{rows} rows, {most} a page: {asked} calls");
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_spoil_no_page() {
    let server = Server::start(|_| {
        let body = r#"{"wallets":[
            {"id":"w-1","network":"visa","account_number":"4111111111111111"},
            {"id":"w-2","network":{"secret":1}},
            {"network":"visa"},
            "secret"]}"#;
        (200, body.to_owned())
    })
    .await;
    let (account, _) = connect(&server, &config());
    let page = account.list_methods(&ctx(), &cus("c-1"), &PageRequest::first(100)).await;
    let page = page.expect("a page");
    let ids: Vec<_> = page.items.iter().map(|method| method.id.as_str()).collect();
    assert_eq!(ids, ["w-1"]);
    assert_eq!(page.card_numbers_at, ["[0].account_number"]);
    assert_eq!((page.received, page.next, page.total), (4, None, None));
    let ids: Vec<_> = page.unreadable.iter().map(|row| row.id.as_deref()).collect();
    assert_eq!(ids, [Some("w-2"), None, None]);
    assert!(page.unreadable.iter().all(|row| !row.why.contains("secret")));
}

#[tokio::test]
async fn only_the_vendor_s_own_word_says_that_a_thing_is_not_there() {
    for (status, body, expected) in [
        (200, r#"{"customer":{"id":"c-1"}}"#, Ok(true)),
        (200, r#"{"Customers":[{"Id":"c-1"}]}"#, Ok(true)),
        (200, r#"{"requestId":"r","customers":null,"errors":null}"#, Ok(false)),
        (404, OWN, Ok(false)),
        (404, "<html>", Err(ErrorKind::Malformed)),
        (404, r#"{"message":"Not Found"}"#, Err(ErrorKind::Malformed)),
        (200, r#"{"customers":[]}"#, Err(ErrorKind::Malformed)),
        (200, r#"{"customer":{"id":"c-2"}}"#, Err(ErrorKind::Malformed)),
        (200, r#"{"customers":null,"errors":["strange"]}"#, Err(ErrorKind::Malformed)),
        // An error within a success proves nothing.
        (200, r#"{"customers":null,"errors":[{"type":"X"}]}"#, Err(ErrorKind::Invalid)),
        (200, OWN, Err(ErrorKind::Invalid)),
        (400, OWN, Err(ErrorKind::Invalid)),
        (401, "", Err(ErrorKind::Unauthenticated)),
        (403, OWN, Err(ErrorKind::Forbidden)),
        (409, OWN, Err(ErrorKind::Conflict)),
    ] {
        let server = Server::start(move |_| (status, body.to_owned())).await;
        let (account, _) = connect(&server, &config());
        let seen = account.get_customer(&ctx(), &cus("c-1")).await;
        let found = seen.as_ref().map(Option::is_some).map_err(|error| error.kind);
        assert_eq!(found, expected, "{status} {body}");
        // Of a list nothing may be missing.
        let page = PageRequest::first(100);
        let methods = account.list_methods(&ctx(), &cus("c-1"), &page).await.expect_err("none");
        let customers = account.list_customers(&ctx(), &page).await.err();
        if body == OWN {
            let kind = if status == 404 { ErrorKind::NotFound } else { expected.expect_err("one") };
            for error in [Some(methods), customers, seen.err()].into_iter().flatten() {
                assert_eq!(error.kind, kind, "{status}: {error}");
                assert_eq!(error.code.as_deref(), Some("NOT_FOUND"));
                assert_eq!(error.request_id.as_deref(), Some("body-1"), "{error}");
                assert!(error.message.contains("no such thing"), "{error}");
            }
        }
    }
    let server = Server::start(|_| (200, r#"{"customers":[],"errors":["strange"]}"#.into())).await;
    let (account, _) = connect(&server, &config());
    let list = account.list_customers(&ctx(), &PageRequest::first(100)).await;
    assert_eq!(list.expect_err("no end").kind, ErrorKind::Malformed);
    let calls = server.seen("").len();
    let error = account.get_customer(&ctx(), &cus("..")).await.expect_err("no such path");
    assert_eq!((error.kind, server.seen("").len()), (ErrorKind::Invalid, calls));
}

#[tokio::test]
async fn a_refusal_keeps_the_request_id_and_not_what_was_sent() {
    let server = Server::start(|seen| {
        let errors = serde_json::json!([{"type": "VALIDATION", "message": seen.body}]);
        (200, serde_json::json!({"requestId": "body-7", "errors": errors}).to_string())
    })
    .await;
    let (account, transport) = connect(&server, &config());
    let outcome = send(&account, &transport, &create()).await;
    let [ItemOutcome::Refused(refusal)] = outcome.items.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(refusal.code.as_deref(), Some("VALIDATION"));
    assert_eq!(outcome.call.request_id.as_deref(), Some("body-7"));
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");
}

#[tokio::test]
async fn what_it_can_do_agrees_with_itself() {
    let server = Server::start(|_| (200, String::new())).await;
    let (account, _) = connect(&server, &config());
    let can = account.capabilities();
    assert_eq!((can.find, can.endpoints.find_customer), (FindBy::Nothing, None));
    let reference = Reference::new("R").expect("valid");
    let error = account.find_customer(&ctx(), &reference).await.expect_err("no search");
    assert_eq!((error.kind, server.seen("").len()), (ErrorKind::Unsupported, 0));
    assert!(can.transliterated.is_empty());
    let ascii = EcryptConfig { transliterate: true, ..config() };
    let (account, _) = connect(&server, &ascii);
    let can = account.capabilities();
    let whole = Profile { name: Some("Zoë Kovač".into()), ..Profile::default() };
    let held = can.as_held(&whole);
    assert_eq!(
        (held.first_name.as_deref(), held.last_name.as_deref()),
        (Some("Zoe"), Some("Kovac"))
    );
    let reference = Reference::new("Kovač").expect("valid");
    let effect = Effect::CreateCustomer { reference, profile: held };
    assert!(account.prepare(&effect).is_ok(), "only names are restricted");
    for rule in can.tokens {
        assert!(rule.single_use && rule.with_default && rule.max_age.is_none());
    }
    assert!(!format!("{account:?}").contains("CANARY"));
}

#[test]
fn a_config_that_cannot_be_used_is_refused_without_its_values() {
    assert!(!format!("{:?}", config()).contains("CANARY"));
    assert!(config().credentials().is_ok());
    type Change = fn(&mut EcryptConfig);
    let wrong: [Change; 5] = [
        |config| config.api_key = "".into(),
        |config| config.api_key = "key_CANARY\n".into(),
        |config| config.webhook_header = Some(String::new()),
        |config| config.webhook_header = Some("CANARY x".into()),
        |config| config.webhook_secrets.push(" ".into()),
    ];
    for change in wrong {
        let mut config = config();
        change(&mut config);
        let error = config.credentials().expect_err("it cannot be used");
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(!format!("{error:?}").contains("CANARY"));
    }
    for (text, field) in [
        ("merchant_identifier", Some(ReferenceField::MerchantIdentifier)),
        ("metadata.account_id", Some(ReferenceField::Metadata("account_id".into()))),
        ("metadata.a.b", Some(ReferenceField::Metadata("a.b".into()))),
        ("metadata.", None),
        ("metadata. ", None),
        ("email", None),
    ] {
        assert_eq!(ReferenceField::parse(text), field, "{text}");
    }
    let casings = ["snake", "camel", "pascal"].map(Casing::parse);
    assert_eq!(casings, [Some(Casing::Snake), Some(Casing::Camel), None]);
}
