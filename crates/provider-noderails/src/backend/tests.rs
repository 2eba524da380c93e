use backend::{ItemOutcome, Lane, NewMethod, Traffic as _};
use model::{Profile, RemoteMethodId, WalletFacts};
use transport::testing::{Seen, Server, transport};

use super::*;

const APP: &str = "0b54a9b4-52a3-4a5f-8f1b-1f0b2f6a9c11";
const KEY: &str = "nr_test_sk_CANARY-_x";
const OWN: &str =
    r#"{"success":false,"error":{"code":"NOT_FOUND","message":"nothing of R&CANARY here"}}"#;

fn config() -> NodeRailsConfig {
    NodeRailsConfig { app_id: APP.into(), api_key: KEY.into() }
}

fn connect(server: &Server) -> (NodeRails, Arc<Transport>) {
    let transport = transport(server, config().credentials().expect("a right config"));
    let account = NodeRails::new(&config(), Arc::clone(&transport)).expect("a right config");
    (account, transport)
}

fn ctx() -> CallCtx {
    CallCtx::in_lane(Lane::Interactive)
}

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn reference() -> Reference {
    Reference::new("R&CANARY").expect("valid")
}

fn customer_json(id: &str, reference: &str) -> String {
    format!(r#"{{"id":"{id}","appId":"{APP}","externalId":"{reference}","wallets":[]}}"#)
}

fn page_json(rows: &[String], total: usize) -> String {
    let rows = rows.join(",");
    format!(r#"{{"success":true,"data":[{rows}],"pagination":{{"total":{total}}}}}"#)
}

async fn send(account: &NodeRails, transport: &Transport, effect: &Effect) -> SendOutcome {
    let prepared = account.prepare(effect).expect("it can be sent");
    let permit = transport.reserve(Lane::Bulk, 1).await.expect("a permit").remove(0);
    let ctx = CallCtx { idempotency_key: Some("key-1".into()), ..ctx() };
    account.execute(&ctx, prepared, permit).await
}

fn effects() -> [Effect; 4] {
    let (customer, method) = (cus("c1"), RemoteMethodId::new("w1").expect("an id"));
    let facts = WalletFacts { chain_id: 8453, address: format!("0x{}", "A".repeat(40)) };
    let profile = Profile { name: Some("Ada".into()), ..Profile::default() };
    [
        Effect::CreateCustomer { reference: reference(), profile: profile.clone() },
        Effect::UpdateCustomer { customer: customer.clone(), changes: profile, metadata: None },
        Effect::AddMethod(NewMethod {
            customer: customer.clone(),
            facts: MethodFacts::CryptoWallet(facts),
            token: None,
            billing: Address::default(),
            default: false,
        }),
        Effect::RemoveMethod { customer, method },
    ]
}

#[tokio::test]
async fn every_call_proves_who_it_is_and_a_key_goes_where_the_vendor_keeps_it() {
    let server = Server::start(|seen| {
        let one = |data: &str| format!(r#"{{"success":true,"data":{data}}}"#);
        match seen.line.as_str() {
            "POST /customers" => (201, one(&customer_json("c1", "R&CANARY"))),
            "PUT /customers/c1" | "GET /customers/c1" => (200, one(&customer_json("c1", "R"))),
            "POST /customers/c1/wallets" => {
                let wallet = format!(
                    r#"{{"id":"w1","chainId":8453,"walletAddress":"0x{}"}}"#,
                    "a".repeat(40)
                );
                (201, one(&wallet))
            }
            "DELETE /customers/c1/wallets/w1" => (204, String::new()),
            _ => (200, page_json(&[], 0)),
        }
    })
    .await;
    let (account, transport) = connect(&server);
    for effect in effects() {
        let outcome = send(&account, &transport, &effect).await;
        assert!(matches!(outcome.items.as_slice(), [ItemOutcome::Done(_)]), "{outcome:?}");
    }
    assert!(account.get_customer(&ctx(), &cus("c1")).await.expect("read").is_some());
    assert!(account.find_customer(&ctx(), &reference()).await.expect("read").is_none());
    let page = account.list_customers(&ctx(), &PageRequest::first(1000)).await.expect("read");
    assert_eq!((page.received, page.total, page.next), (0, Some(0), None));
    let error = account.list_methods(&ctx(), &cus("c1"), &PageRequest::first(1)).await;
    assert_eq!(error.expect_err("inline").kind, ErrorKind::Unsupported);

    let seen = server.seen("");
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let list = |rest: &str| format!("GET /customers?appId={APP}&page=1&pageSize=100{rest}");
    assert_eq!(
        lines,
        [
            "POST /customers",
            "PUT /customers/c1",
            "POST /customers/c1/wallets",
            "DELETE /customers/c1/wallets/w1",
            "GET /customers/c1",
            &list("&search=R%26CANARY"),
            &list(""),
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("x-api-key"), Some(KEY), "{}", seen.line);
        assert_eq!(seen.header("authorization"), None, "{}", seen.line);
        assert_eq!(seen.header("noderails-version"), Some("2026-03-07"), "{}", seen.line);
        let json = (!seen.body.is_empty()).then_some("application/json");
        assert_eq!(seen.header("content-type"), json, "{}", seen.line);
        let keeps = seen.line.starts_with('P');
        assert_eq!(seen.header("idempotency-key"), keeps.then_some("key-1"), "{}", seen.line);
    }
}

#[tokio::test]
async fn without_a_key_none_is_sent() {
    let server = Server::start(|_| (500, String::new())).await;
    let (account, transport) = connect(&server);
    let [create, ..] = effects();
    let prepared = account.prepare(&create).expect("it can be sent");
    let permit = transport.reserve(Lane::Bulk, 1).await.expect("a permit").remove(0);
    let outcome = account.execute(&ctx(), prepared, permit).await;
    assert!(matches!(outcome.items.as_slice(), [ItemOutcome::Unknown(_)]), "{outcome:?}");
    let seen = server.seen("POST");
    assert_eq!((seen.len(), seen[0].header("idempotency-key")), (1, None));
}

#[tokio::test]
async fn a_call_that_the_vendor_is_still_at_work_on_is_in_progress() {
    let busy = r#"{"success":false,"error":{"type":"idempotency_error","message":"busy"}}"#;
    let server = Server::start(move |_| (409, busy.into())).await;
    let (account, transport) = connect(&server);
    let outcome = send(&account, &transport, &effects()[0]).await;
    assert_eq!(outcome.call.status, Some(409));
    assert!(matches!(outcome.items.as_slice(), [ItemOutcome::InProgress(_)]), "{outcome:?}");
    assert_eq!(server.seen("").len(), 1);
}

/// The value of one parameter of a query.
fn asked(seen: &Seen, name: &str) -> Option<usize> {
    let (_, query) = seen.line.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

/// A vendor with so many customers that gives at most `most` rows a page.
async fn vendor_of(customers: usize, most: usize) -> Server {
    Server::start(move |seen| {
        let (page, size) = (asked(seen, "page").unwrap_or(1), asked(seen, "pageSize").unwrap_or(20));
        let size = size.min(most);
        let rows = ((page - 1) * size..customers).take(size);
        let rows: Vec<_> = rows.map(|n| customer_json(&format!("c{n}"), &format!("R-{n}"))).collect();
        let body = format!(
            r#"{{"success":true,"data":[{}],"pagination":{{"total":{customers},"page":{page},"pageSize":{size},"totalPages":1}}}}"#,
            rows.join(",")
        );
        (200, body)
    })
    .await
}

#[tokio::test]
async fn pages_follow_one_another_to_the_end() {
    let server = vendor_of(257, 100).await;
    let (account, _) = connect(&server);
    let mut request = PageRequest::first(100);
    let mut ids = Vec::new();
    loop {
        let page = account.list_customers(&ctx(), &request).await.expect("a page");
        assert_eq!(page.total, Some(257));
        ids.extend(page.items.iter().map(|customer| customer.id.to_string()));
        let Some(next) = page.next else { break };
        request.cursor = next;
    }
    assert_eq!(ids, (0..257).map(|n| format!("c{n}")).collect::<Vec<_>>());
    assert_eq!(server.seen("").len(), 3);
    // Other pages begin elsewhere: rows come again, and none is left out.
    request = PageRequest { cursor: Cursor::Offset(100), size: 90 };
    let page = account.list_customers(&ctx(), &request).await.expect("a page");
    assert_eq!(page.items.first().map(|customer| customer.id.as_str()), Some("c90"));
    assert_eq!(page.next, Some(Cursor::Offset(180)));
    request.cursor = Cursor::Link("/customers?page=2".into());
    let error = account.list_customers(&ctx(), &request).await.expect_err("no links");
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_search_is_read_on_until_the_reference_is_found_whole() {
    for (most, calls) in [(100, 3), (40, 7)] {
        let server = vendor_of(257, most).await;
        let (account, _) = connect(&server);
        let found = account.find_customer(&ctx(), &Reference::new("R-256").expect("valid")).await;
        assert_eq!(found.expect("read").map(|one| one.id.to_string()).as_deref(), Some("c256"));
        assert_eq!(server.seen("").len(), calls, "at most {most} rows");
        // What only looks like it is not handed up.
        for nobody in ["r-256", "R-0256", "R-257", "R-2561"] {
            let nobody = Reference::new(nobody).expect("valid");
            assert!(account.find_customer(&ctx(), &nobody).await.expect("read").is_none());
        }
    }
}

#[tokio::test]
async fn a_search_that_shows_the_same_page_for_ever_is_given_up() {
    let rows: Vec<_> = (0..100).map(|n| customer_json(&format!("c{n}"), "other")).collect();
    let server = Server::start(move |_| (200, page_json(&rows, 100))).await;
    let (account, _) = connect(&server);
    let error = account.find_customer(&ctx(), &reference()).await.expect_err("no end");
    assert_eq!((error.kind, server.seen("").len()), (ErrorKind::Malformed, 3));
}

/// A vendor with these customers, all of whom every search finds.
async fn vendor_of_rows(rows: Vec<String>) -> Server {
    Server::start(move |seen| {
        let (page, size) =
            (asked(seen, "page").unwrap_or(1), asked(seen, "pageSize").unwrap_or(20));
        let shown: Vec<_> = rows.iter().skip((page - 1) * size).take(size).cloned().collect();
        (200, page_json(&shown, rows.len()))
    })
    .await
}

#[tokio::test]
async fn two_customers_of_one_reference_are_not_one() {
    let ours = |id: &str| customer_json(id, "R&CANARY");
    let others = || (0..150).map(|n| customer_json(&format!("o{n}"), "r&canary"));
    for second in [1, 100, 151] {
        let mut rows: Vec<String> = std::iter::once(ours("c1")).chain(others()).collect();
        rows.insert(second, ours("c2"));
        let server = vendor_of_rows(rows).await;
        let (account, _) = connect(&server);
        let error = account.find_customer(&ctx(), &reference()).await.expect_err("which of them?");
        assert_eq!(error.kind, ErrorKind::Conflict, "the second at {second}: {error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
    }
    // One who is met twice, because the list has moved, is one.
    let server = vendor_of_rows(vec![ours("c1"), ours("c1")]).await;
    let (account, _) = connect(&server);
    let found = account.find_customer(&ctx(), &reference()).await.expect("read");
    assert_eq!(found.map(|one| one.id.to_string()).as_deref(), Some("c1"));
}

#[tokio::test]
async fn an_empty_page_that_should_have_rows_ends_a_list_that_is_not_whole() {
    let server = Server::start(|_| (200, page_json(&[], 500))).await;
    let (account, _) = connect(&server);
    let page = account.list_customers(&ctx(), &PageRequest::first(100)).await.expect("a page");
    assert_eq!((page.received, page.total, page.next), (0, Some(500), None));
    assert!(account.find_customer(&ctx(), &reference()).await.expect("read").is_none());
    let behind = PageRequest { cursor: Cursor::Offset(500), size: 100 };
    let page = account.list_customers(&ctx(), &behind).await.expect("the end");
    assert_eq!((page.received, page.next), (0, None));
}

#[tokio::test]
async fn what_was_found_and_cannot_be_read_is_not_called_absent() {
    let row = customer_json("c1", "R&CANARY").replace("\"wallets\":[]", "\"wallets\":null");
    let server = Server::start(move |_| (200, page_json(std::slice::from_ref(&row), 1))).await;
    let (account, _) = connect(&server);
    let error = account.find_customer(&ctx(), &reference()).await.expect_err("unreadable");
    assert_eq!(error.kind, ErrorKind::Malformed);
    let page = account.list_customers(&ctx(), &PageRequest::first(100)).await.expect("a page");
    assert_eq!((page.items.len(), page.received), (0, 1));
    assert_eq!(page.unreadable.first().and_then(|row| row.id.as_deref()), Some("c1"));
}

#[tokio::test]
async fn rows_that_cannot_be_read_spoil_no_page() {
    let rows = [
        customer_json("c1", "R-1"),
        "\"secret\"".to_owned(),
        r#"{"id":"c2","wallets":[],"name":"4111111111111111","metadata":{"a":1.50}}"#.to_owned(),
    ];
    let server = Server::start(move |_| (200, page_json(&rows, 3))).await;
    let (account, _) = connect(&server);
    let page = account.list_customers(&ctx(), &PageRequest::first(100)).await.expect("a page");
    let read: Vec<_> = page.items.iter().map(|c| (c.id.as_str(), c.reference.as_deref())).collect();
    assert_eq!(read, [("c1", Some("R-1")), ("c2", None)]);
    assert_eq!(page.items[1].metadata.as_deref(), Some(r#"{"a":1.50}"#));
    assert_eq!(page.card_numbers_at, ["[2].name"]);
    assert_eq!((page.received, page.unreadable.len()), (3, 1));
    assert!(page.unreadable.iter().all(|row| !row.why.contains("secret")));
}

#[tokio::test]
async fn only_the_vendor_s_own_word_says_that_a_thing_is_not_there() {
    let route = r#"{"success":false,"error":{"code":"NOT_FOUND","message":"Route not found"}}"#;
    let of = |id: &str| format!(r#"{{"success":true,"data":{}}}"#, customer_json(id, "R"));
    for (status, body, absent, kind) in [
        (404, OWN.to_owned(), true, ErrorKind::NotFound),
        (404, route.to_owned(), false, ErrorKind::Malformed),
        (404, "<html>".to_owned(), false, ErrorKind::Malformed),
        (404, r#"{"message":"Not Found"}"#.to_owned(), false, ErrorKind::Malformed),
        (400, OWN.to_owned(), false, ErrorKind::Invalid),
        (401, String::new(), false, ErrorKind::Unauthenticated),
        (403, OWN.to_owned(), false, ErrorKind::Forbidden),
        (204, String::new(), false, ErrorKind::Malformed),
        (200, OWN.to_owned(), false, ErrorKind::Malformed),
        (200, of("c2"), false, ErrorKind::Malformed),
        (200, of("c1").replace(APP, &APP.replace('0', "1")), false, ErrorKind::Malformed),
    ] {
        let says = body.clone();
        let server = Server::start(move |_| (status, body.clone())).await;
        let (account, _) = connect(&server);
        match account.get_customer(&ctx(), &cus("c1")).await {
            Ok(seen) => assert!(absent && seen.is_none(), "{status} {says}"),
            Err(error) => assert!(!absent && error.kind == kind, "{status} {says}: {error}"),
        }
        let error = account.find_customer(&ctx(), &reference()).await.expect_err("none");
        assert_eq!(error.kind, kind, "{status} {says}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
        let error = account.list_customers(&ctx(), &PageRequest::first(1)).await.expect_err("none");
        assert_eq!(error.kind, kind, "{status} {says}");
    }
    let server = Server::start(|_| (200, page_json(&[], 0))).await;
    let (account, _) = connect(&server);
    let error = account.get_customer(&ctx(), &cus("..")).await.expect_err("no such path");
    assert_eq!((error.kind, server.seen("").len()), (ErrorKind::Invalid, 0));
}

#[tokio::test]
async fn a_list_of_another_app_or_another_page_is_not_believed() {
    let other = customer_json("c1", "R").replace(APP, "ffffffff-52a3-4a5f-8f1b-1f0b2f6a9c11");
    let page = page_json(&[customer_json("c1", "R")], 1);
    for body in [
        page_json(&[customer_json("c2", "R"), other], 2),
        page.replace("\"total\":1", "\"total\":1,\"page\":2"),
    ] {
        let server = Server::start(move |_| (200, body.clone())).await;
        let (account, _) = connect(&server);
        let error = account.list_customers(&ctx(), &PageRequest::first(100)).await;
        assert_eq!(error.expect_err("not ours").kind, ErrorKind::Malformed);
        let error = account.find_customer(&ctx(), &Reference::new("R").expect("valid")).await;
        assert_eq!(error.expect_err("not ours").kind, ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn a_search_that_is_not_honoured_fails_the_probe() {
    let server = vendor_of(3, 100).await;
    let (account, _) = connect(&server);
    let error = account.probe(&ctx()).await.expect_err("it finds anybody");
    assert!(error.message.starts_with("find_not_honoured"), "{error}");

    let server = Server::start(|seen| match asked(seen, "pageSize") {
        _ if seen.line.contains("&search=onfile-check-") => (200, page_json(&[], 0)),
        Some(1) => (200, page_json(&[customer_json("c1", "R")], 7)),
        _ => (500, String::new()),
    })
    .await;
    let (account, _) = connect(&server);
    let probe = account.probe(&ctx()).await.expect("right");
    assert!(probe.summary.contains(APP) && probe.summary.contains("(7)"), "{}", probe.summary);
    assert_eq!(server.seen("").len(), 2);
}

#[test]
fn a_config_that_cannot_be_used_is_refused() {
    let config = config();
    assert_eq!(config.identity(), APP);
    let server_less = format!("{config:?} {:?}", config.credentials().expect("right"));
    assert!(!server_less.contains("CANARY"), "{server_less}");
    for key in ["nr_live_sk_a", "nr_test_sk_a_b-c"] {
        let config = NodeRailsConfig { api_key: key.into(), ..config.clone() };
        assert!(config.check().is_ok(), "{key}");
    }
    let wrong = [
        ("nr_live_pk_CANARY", "publishable"),
        ("nr_test_pk_CANARY", "publishable"),
        ("nr_live_sk_", "`api_key`"),
        ("nr_live_sk", "`api_key`"),
        ("nr_prod_sk_CANARY", "`api_key`"),
        ("sk_live_CANARY", "`api_key`"),
        ("nr_live_sk_CANARY\r\nx: y", "`api_key`"),
        ("", "`api_key`"),
    ];
    for (key, says) in wrong {
        let config = NodeRailsConfig { api_key: key.into(), ..config.clone() };
        let error = config.credentials().expect_err("it cannot be used");
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(says), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"));
    }
    for app in ["", "app_1", "0b54a9b4-52a3-4a5f-8f1b-1f0b2f6a9c1g", "0b54a9b452a34a5f8f1b1f0b2f6a"]
    {
        let config = NodeRailsConfig { app_id: app.into(), ..config.clone() };
        assert!(config.check().expect_err("no UUID").message.contains("`app_id`"), "{app}");
    }
}

#[tokio::test]
async fn what_it_cannot_do_is_declared_absent() {
    let server = Server::start(|_| (500, String::new())).await;
    let (account, _) = connect(&server);
    let can = account.capabilities();
    assert!(!can.delete_customer && !can.set_default && !can.default_readable);
    assert!(can.tokens.is_empty() && can.import_batch.is_none() && can.metadata_replaced);
    assert_eq!((can.find, can.methods), (FindBy::Search, MethodListing::Inline));
    assert_eq!((can.events, can.settle_create), (EventStyle::None, SettleCreate::IdempotencyKey));
    for field in [model::FieldName::Phone, model::FieldName::Company, model::FieldName::Line2] {
        assert!(!can.holds(field), "{field:?}");
    }
    assert!(!format!("{account:?}").contains("CANARY"));
}
