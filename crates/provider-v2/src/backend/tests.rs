use backend::{ItemOutcome, Lane, Traffic as _};
use model::{CardFacts, Code, FieldName, Profile, RemoteStatus, TokenKind};
use transport::testing::{Seen, Server};

use super::*;
use crate::sign::digest;
use crate::testing::{AT, KEY, TOKEN, config, connect};

const OWN: &str = r#"{"status":"invalid-request","message":"nothing of R/CANARY here"}"#;
const C1: &str = r#"{"status":"approved","uuid":"c-1","merchant_customer_id":"R/CANARY"}"#;

fn ctx() -> CallCtx {
    CallCtx::in_lane(Lane::Interactive)
}

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn reference() -> Reference {
    Reference::new("R/CANARY").expect("valid")
}

async fn send(account: &V2, transport: &Transport, effect: &Effect) -> SendOutcome {
    let prepared = account.prepare(effect).expect("it can be sent");
    let permit = transport.reserve(Lane::Bulk, 1).await.expect("a permit").remove(0);
    account.execute(&ctx(), prepared, permit).await
}

/// Made anew from what came over the socket.
fn signature(seen: &Seen) -> String {
    let path = seen.line.split_once(' ').expect("a verb").1;
    let at = AT.to_string();
    let parts = [KEY, &at, TOKEN, path, &seen.body].map(str::as_bytes);
    format!("WP3-v2.1 {TOKEN} {AT} {}", hex::encode(digest(&parts)))
}

#[tokio::test]
async fn every_call_is_signed_as_it_is_on_the_wire() {
    let server = Server::start(|seen| {
        let body = match seen.line.as_str() {
            line if line.contains("onfile-check-") => return (404, OWN.to_owned()),
            line if line.contains("?limit=") => r#"{"status":"approved","data":[]}"#,
            _ => C1,
        };
        (200, body.to_owned())
    })
    .await;
    let (account, transport) = connect(&server);
    let mut changes = Profile::default();
    changes.set(FieldName::Name, Some("Džemal".into()));
    for effect in [
        Effect::CreateCustomer { reference: reference(), profile: Profile::default() },
        Effect::UpdateCustomer { customer: cus("c-1"), changes, metadata: None },
        Effect::DeleteCustomer { customer: cus("c-1") },
    ] {
        let outcome = send(&account, &transport, &effect).await;
        assert_eq!(outcome.call.status, Some(200));
        assert!(matches!(outcome.items.as_slice(), [ItemOutcome::Done(_)]), "{outcome:?}");
    }
    assert!(account.get_customer(&ctx(), &cus("c-1")).await.expect("read").is_some());
    assert!(account.find_customer(&ctx(), &reference()).await.expect("read").is_some());
    let page = PageRequest::first(1000);
    assert!(account.list_methods(&ctx(), &cus("c-1"), &page).await.expect("read").next.is_none());
    assert!(account.list_customers(&ctx(), &page).await.expect("read").next.is_none());
    let probe = account.probe(&ctx()).await.expect("read");
    assert!(probe.summary.contains(TOKEN), "{}", probe.summary);

    let seen = server.seen("");
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let (probe_find, lines) = lines.split_last().expect("some");
    assert!(probe_find.starts_with("GET /v2/merchants/customers/onfile-check-"));
    assert_eq!(
        lines,
        [
            "POST /v2/customers",
            "POST /v2/customers/c-1",
            "DELETE /v2/customers/c-1",
            "GET /v2/customers/c-1",
            "GET /v2/merchants/customers/R%2FCANARY",
            "GET /v2/customers/c-1/payment-methods?limit=100&offset=0",
            "GET /v2/customers?limit=100&offset=0",
            "GET /v2/customers?limit=1&offset=0",
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("authorization"), Some(signature(seen).as_str()), "{}", seen.line);
        for name in ["accept", "content-type"] {
            assert_eq!(seen.header(name), Some("application/json"), "{name} {}", seen.line);
        }
    }
}

#[tokio::test]
async fn pages_advance_by_what_came_and_end_with_an_empty_one() {
    // The server gives at most two rows, whatever is asked for.
    let server = Server::start(|seen| {
        let offset: usize =
            seen.line.rsplit_once("offset=").expect("an offset").1.parse().expect("n");
        let rows: Vec<_> = (offset..5)
            .take(2)
            .map(|n| match seen.line.contains("payment-methods") {
                true => format!(r#"{{"id":{n},"customer_uuid":"c-1"}}"#),
                false => format!(r#"{{"id":"c-{n}","deleted":{}}}"#, n == 1),
            })
            .collect();
        (200, format!(r#"{{"status":"approved","data":[{}]}}"#, rows.join(",")))
    })
    .await;
    let (account, _) = connect(&server);
    let mut request = PageRequest::first(90);
    let mut deleted = Vec::new();
    loop {
        let page = account.list_customers(&ctx(), &request).await.expect("a page");
        deleted.extend(page.items.iter().map(|c| c.status == RemoteStatus::Deleted));
        let Some(next) = page.next else { break };
        request.cursor = next;
    }
    assert_eq!(deleted, [false, true, false, false, false]);
    request = PageRequest::first(100);
    let mut methods = 0;
    loop {
        let page = account.list_methods(&ctx(), &cus("c-1"), &request).await.expect("a page");
        methods += page.items.len();
        let Some(next) = page.next else { break };
        request.cursor = next;
    }
    assert_eq!(methods, 5);
    let asked: Vec<_> = server.seen("").into_iter().map(|seen| seen.line).collect();
    let offsets = |from: &str| asked.iter().filter(|line| line.starts_with(from)).count();
    assert_eq!(offsets("GET /v2/customers?limit=90&offset="), 4);
    assert_eq!(offsets("GET /v2/customers/c-1/payment-methods?limit=100&offset="), 4);

    request.cursor = Cursor::Link("/v2/customers?offset=2".into());
    let error = account.list_customers(&ctx(), &request).await.expect_err("no page");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(server.seen("").len(), 8);
}

#[tokio::test]
async fn rows_that_cannot_be_read_spoil_no_page() {
    let server = Server::start(|_| {
        let body = r#"{"status":"approved","data":[
            {"id":1,"masked_pan":"411111******1111","customer_uuid":"c-1"},
            {"id":2,"customer_uuid":"c-2"},
            {"masked_pan":"411111******1111"},
            "secret",
            {"id":"3","masked_pan":"4111111111111111","token":"x"}]}"#;
        (200, body.to_owned())
    })
    .await;
    let (account, _) = connect(&server);
    let page = account.list_methods(&ctx(), &cus("c-1"), &PageRequest::first(100)).await;
    let page = page.expect("a page");
    let ids: Vec<_> = page.items.iter().map(|method| method.id.as_str()).collect();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(page.card_numbers_at, ["[4].masked_pan"]);
    assert_eq!((page.received, page.next, page.total), (5, Some(Cursor::Offset(5)), None));
    let ids: Vec<_> = page.unreadable.iter().map(|row| row.id.as_deref()).collect();
    assert_eq!(ids, [Some("2"), None, None]);
    assert!(page.unreadable.iter().all(|row| !row.why.contains("secret")));
}

#[tokio::test]
async fn only_the_vendor_s_own_word_says_that_a_thing_is_not_there() {
    for (status, body, absent, kind) in [
        (404, OWN, true, ErrorKind::NotFound),
        (404, r#"{"status":"error"}"#, true, ErrorKind::NotFound),
        (404, "<html>", false, ErrorKind::Malformed),
        (404, "", false, ErrorKind::Malformed),
        (404, r#"{"message":"Not Found"}"#, false, ErrorKind::Malformed),
        (400, OWN, false, ErrorKind::Invalid),
        (401, "", false, ErrorKind::Unauthenticated),
        (401, OWN, false, ErrorKind::Unauthenticated),
        (403, OWN, false, ErrorKind::Forbidden),
        (204, "", false, ErrorKind::Malformed),
        (200, OWN, false, ErrorKind::Invalid),
        (200, r#"{"status":"pending","uuid":"c-1","data":[]}"#, false, ErrorKind::Malformed),
        (200, r#"{"uuid":"c-1","data":[]}"#, false, ErrorKind::Malformed),
        (200, r#"{"status":"approved"}"#, false, ErrorKind::Malformed),
    ] {
        let server = Server::start(move |_| (status, body.to_owned())).await;
        let (account, _) = connect(&server);
        let got = account.get_customer(&ctx(), &cus("c-1")).await;
        let found = account.find_customer(&ctx(), &reference()).await;
        assert!(!format!("{found:?}").contains("CANARY"), "{found:?}");
        for answer in [got, found] {
            match answer {
                Ok(seen) => assert!(absent && seen.is_none(), "{status} {body}"),
                Err(error) => assert!(!absent && error.kind == kind, "{status} {body}: {error}"),
            }
        }
        let page = PageRequest::first(100);
        for error in [
            account.list_methods(&ctx(), &cus("c-1"), &page).await.expect_err("none"),
            account.list_customers(&ctx(), &page).await.expect_err("none"),
        ] {
            assert_eq!(error.kind, kind, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn what_is_answered_is_of_whom_was_asked_for() {
    let server = Server::start(|_| (200, C1.replace("c-1", "c-2"))).await;
    let (account, _) = connect(&server);
    let error = account.get_customer(&ctx(), &cus("c-1")).await.expect_err("another");
    assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
    // Whether it is believed is the caller's decision.
    let other = Reference::new("r/canary").expect("valid");
    let found = account.find_customer(&ctx(), &other).await.expect("read").expect("somebody");
    assert_eq!(found.reference.as_deref(), Some("R/CANARY"));
    let error = account.probe(&ctx()).await.expect_err("no list");
    assert_eq!(error.kind, ErrorKind::Malformed);
    let calls = server.seen("").len();
    for id in [".", ".."] {
        let error = account.get_customer(&ctx(), &cus(id)).await.expect_err("no such path");
        assert_eq!(error.kind, ErrorKind::Invalid);
        let reference = Reference::new(id).expect("valid");
        let error = account.find_customer(&ctx(), &reference).await.expect_err("no such path");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    assert_eq!(server.seen("").len(), calls, "nothing was sent");
}

#[tokio::test]
async fn a_deleted_customer_is_handed_up_as_one() {
    let server = Server::start(|_| {
        let body = r#"{"status":"approved","uuid":"c-1","merchant_customer_id":"R/CANARY","deleted":true}"#;
        (200, body.to_owned())
    })
    .await;
    let (account, _) = connect(&server);
    for seen in [
        account.find_customer(&ctx(), &reference()).await,
        account.get_customer(&ctx(), &cus("c-1")).await,
    ] {
        assert_eq!(seen.expect("read").expect("shown").status, RemoteStatus::Deleted);
    }
}

#[tokio::test]
async fn a_find_that_finds_anybody_fails_the_probe() {
    let server = Server::start(|seen| {
        let list = r#"{"status":"approved","data":[]}"#;
        (200, if seen.line.contains("?limit=") { list.to_owned() } else { C1.to_owned() })
    })
    .await;
    let (account, _) = connect(&server);
    let error = account.probe(&ctx()).await.expect_err("it finds anybody");
    assert!(error.message.starts_with("find_not_honoured"), "{error}");
}

#[tokio::test]
async fn a_vendor_s_echo_reaches_nobody() {
    let server = Server::start(|seen| {
        let said = format!("{} {}", seen.line, seen.body).replace("%2F", "/");
        (422, serde_json::json!({"status": "invalid-request", "errors": [said]}).to_string())
    })
    .await;
    let (account, transport) = connect(&server);
    let profile = Profile {
        name: Some("Ada CANARY".into()),
        metadata: [("key".to_owned(), "gold-CANARY".to_owned())].into(),
        ..Profile::default()
    };
    let effect = Effect::CreateCustomer { reference: reference(), profile };
    let outcome = send(&account, &transport, &effect).await;
    let Some(ItemOutcome::RefusedOrThere(refusal)) = outcome.items.first() else { panic!() };
    assert!(!format!("{refusal:?}").contains("CANARY"), "{refusal:?}");
    assert_eq!(refusal.code.as_deref(), Some("invalid-request"));
    let error = account.find_customer(&ctx(), &reference()).await.expect_err("declined");
    assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
    assert_eq!(error.code.as_deref(), Some("invalid-request"));
}

#[tokio::test]
async fn what_it_can_do_agrees_with_itself() {
    let config = config();
    assert_eq!(config.identity(), TOKEN);
    assert!(!format!("{config:?}").contains(KEY));
    type Change = fn(&mut V2Config);
    let wrong: [Change; 3] = [
        |config| config.authenticity_token = String::new(),
        |config| config.authenticity_token = "two parts".into(),
        |config| config.merchant_key = "".into(),
    ];
    for change in wrong {
        let mut config = config.clone();
        change(&mut config);
        let error = config.check().expect_err("it cannot be used");
        assert_eq!(error.kind, ErrorKind::Config);
    }
    let server = Server::start(|_| (500, String::new())).await;
    let (account, _) = connect(&server);
    let can = account.capabilities();
    assert!(!can.add_method && can.import_batch.is_none() && can.tokens.is_empty());
    assert!(!can.set_default && !can.remove_method && !can.default_readable);
    // Whatever the row of a file says, its payment method cannot be moved here.
    let card = MethodFacts::Card(CardFacts::default());
    let token = Token { kind: TokenKind::Processor, value: "CANARY".into(), created_at: None };
    for route in [TokenRoute::Add, TokenRoute::Bulk] {
        for token in [None, Some(&token)] {
            let rejection = account.accepts(route, &card, token, &Address::default());
            assert_eq!(rejection.expect_err("never").code, Code::NotPortable);
        }
    }
}
