use backend::{ItemOutcome, Lane, Traffic as _};
use model::{CardFacts, Expiry, Last4, MethodFacts, Profile, RemoteMethodId, Token};

use super::*;
use crate::testing::{Server, bearer, connect};

const OWN: &str = r#"{"error":{"code":"not_found","message":"nothing of R'CANARY here"}}"#;

fn ctx() -> CallCtx {
    CallCtx::in_lane(Lane::Interactive)
}

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn reference() -> Reference {
    Reference::new("R'CANARY").expect("valid")
}

async fn send(account: &ProxyToken, transport: &Transport, effect: &Effect) -> SendOutcome {
    let prepared = account.prepare(effect).expect("it can be sent");
    let permit = transport.reserve(Lane::Bulk, 1).await.expect("a permit").remove(0);
    account.execute(&ctx(), prepared, permit).await
}

#[tokio::test]
async fn every_call_says_for_which_merchant_it_is() {
    let server = Server::start(|seen| {
        let body = match seen.line.as_str() {
            "POST /api/customers" => r#"{"uid":"cus_1"}"#,
            "GET /api/customers/cus_1" => r#"{"uid":"cus_1"}"#,
            "POST /api/customers/cus_1/payment-methods" => {
                r#"{"saved_payment_method_uid":"spm_1","payment_method":{"credit":{"fingerprint":"perm"}}}"#
            }
            "POST /api/saved-payment-methods/import" => {
                r#"{"results":[{"index":0,"status":"duplicate","saved_payment_method_uid":"spm_1"}]}"#
            }
            line if line.starts_with("GET") => "[]",
            _ => "",
        };
        (200, body.to_owned())
    })
    .await;
    let (account, transport) = connect(&server, bearer());
    let method = |kind| backend::NewMethod {
        customer: cus("cus_1"),
        facts: MethodFacts::Card(CardFacts {
            last4: Last4::new("4242").ok(),
            expiry: Expiry::new(12, 2027).ok(),
            ..CardFacts::default()
        }),
        token: Some(Token { kind, value: "tok_CANARY".into(), created_at: None }),
        billing: model::Address::default(),
        default: false,
    };
    let spm = RemoteMethodId::new("spm_1").expect("an id");
    for effect in [
        Effect::CreateCustomer { reference: reference(), profile: Profile::default() },
        Effect::AddMethod(method(TokenKind::Proxynized)),
        Effect::ImportMethods(vec![method(TokenKind::Processor)]),
        Effect::SetDefault { customer: cus("cus_1"), method: spm.clone() },
        Effect::RemoveMethod { customer: cus("cus_1"), method: spm },
    ] {
        let outcome = send(&account, &transport, &effect).await;
        assert_eq!(outcome.call.status, Some(200));
        let item = outcome.items.first().expect("one");
        let good = matches!(item, ItemOutcome::Done(_) | ItemOutcome::AlreadySaved(_));
        assert!(good && outcome.items.len() == 1, "{item:?}");
    }
    assert!(account.get_customer(&ctx(), &cus("cus_1")).await.expect("read").is_some());
    assert!(account.find_customer(&ctx(), &reference()).await.expect("read").is_none());
    let page = PageRequest::first(1000);
    assert!(account.list_methods(&ctx(), &cus("cus_1"), &page).await.expect("read").next.is_none());
    assert!(account.list_customers(&ctx(), &page).await.expect("read").next.is_none());
    let probe = account.probe(&ctx()).await.expect("read");
    assert!(probe.summary.contains("pa_1"), "{}", probe.summary);

    let seen = server.seen("");
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let (probe_find, lines) = lines.split_last().expect("some");
    assert!(
        probe_find.starts_with("GET /api/customers?$filter=reference_id%20eq%20%27onfile-check-")
    );
    assert_eq!(
        lines,
        [
            "POST /api/customers",
            "POST /api/customers/cus_1/payment-methods",
            "POST /api/saved-payment-methods/import",
            "PUT /api/customers/cus_1/default-payment-method",
            "DELETE /api/customers/cus_1/payment-methods/spm_1",
            "GET /api/customers/cus_1",
            "GET /api/customers?$filter=reference_id%20eq%20%27R%27%27CANARY%27&$top=1",
            "GET /api/customers/cus_1/payment-methods",
            "GET /api/customers?$top=100&$skip=0",
            "GET /api/customers?$top=1&$skip=0",
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("x-payment-account-uid"), Some("pa_1"), "{}", seen.line);
        assert_eq!(seen.header("authorization"), Some("Bearer bearer_CANARY"), "{}", seen.line);
        let json = (!seen.body.is_empty()).then_some("application/json");
        assert_eq!(seen.header("content-type"), json, "{}", seen.line);
    }
}

#[tokio::test]
async fn pages_follow_links_and_end_with_an_empty_one() {
    // The server caps a page at two rows and links to the rest of what `$top` asked for.
    let server = Server::start(|seen| {
        let base = format!("http://{}", seen.header("host").unwrap_or_default());
        let rows = |from: u32, to: u32| {
            let rows: Vec<_> = (from..to).map(|n| format!(r#"{{"uid":"cus_{n}"}}"#)).collect();
            rows.join(",")
        };
        let linked = |rows: String, link: String| {
            format!(r#"{{"value":[{rows}],"@odata.nextLink":"{link}"}}"#)
        };
        let body = match seen.line.trim_start_matches("GET /api/customers") {
            "?$top=4&$skip=0" => linked(rows(0, 2), "?$skiptoken=a%20b".into()),
            "?$skiptoken=a%20b" => {
                linked(rows(2, 3), format!("{base}/api/customers?$skiptoken=c#x"))
            }
            "?$skiptoken=c" => format!("[{}, 7]", rows(3, 4)),
            "?$top=4&$skip=5" => "[]".to_owned(),
            "?$top=4&$skip=7" => linked(rows(0, 1), "/api/customers?$skiptoken=loop".into()),
            "?$skiptoken=loop" => linked(rows(0, 1), "customers?$skiptoken=loop".into()),
            "?$top=4&$skip=9" => linked(rows(0, 1), "https://evil.example/api/customers".into()),
            _ => return (400, String::new()),
        };
        (200, body)
    })
    .await;
    let (account, _) = connect(&server, bearer());
    let mut ids = Vec::new();
    let mut request = PageRequest::first(4);
    loop {
        let page = account.list_customers(&ctx(), &request).await.expect("a page");
        assert_eq!(page.received, count_of(&page));
        ids.extend(page.items.iter().map(|customer| customer.id.to_string()));
        let Some(next) = page.next else { break };
        request.cursor = next;
    }
    assert_eq!(ids, ["cus_0", "cus_1", "cus_2", "cus_3"]);
    assert_eq!(server.seen("").len(), 4);

    for skip in [7, 9] {
        request.cursor = Cursor::Offset(skip);
        let first = account.list_customers(&ctx(), &request).await.expect("a page");
        request.cursor = first.next.expect("a link");
        let error = account.list_customers(&ctx(), &request).await.expect_err("no page");
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
    }
}

fn count_of(page: &Page<RemoteCustomer>) -> u64 {
    u64::try_from(page.items.len() + page.unreadable.len()).expect("few")
}

#[tokio::test]
async fn rows_that_cannot_be_read_spoil_no_page() {
    let server = Server::start(|_| {
        let body = r#"{"payment_methods":[
            {"id":"spm_1","type":"card","last4":"4242"},
            {"id":"spm_2","type":"secret"},
            {"type":"ach"},
            "secret",
            {"id":"spm_3","type":"card","holder_name":"4111111111111111","is_default":true}]}"#;
        (200, body.to_owned())
    })
    .await;
    let (account, _) = connect(&server, bearer());
    let page = account.list_methods(&ctx(), &cus("cus_1"), &PageRequest::first(100)).await;
    let page = page.expect("a page");
    let ids: Vec<_> = page.items.iter().map(|method| method.id.as_str()).collect();
    assert_eq!(ids, ["spm_1", "spm_3"]);
    assert_eq!(page.card_numbers_at, ["[4].holder_name"]);
    assert_eq!((page.received, page.next, page.total), (5, None, None));
    let ids: Vec<_> = page.unreadable.iter().map(|row| row.id.as_deref()).collect();
    assert_eq!(ids, [Some("spm_2"), None, None]);
    assert!(page.unreadable.iter().all(|row| !row.why.contains("secret")));
}

#[tokio::test]
async fn only_the_vendor_s_own_word_says_that_a_thing_is_not_there() {
    for (status, body, absent, kind) in [
        (404, OWN, true, ErrorKind::NotFound),
        (404, "<html>", false, ErrorKind::Malformed),
        (404, r#"{"message":"Not Found"}"#, false, ErrorKind::Malformed),
        (400, OWN, false, ErrorKind::Invalid),
        (401, "", false, ErrorKind::Unauthenticated),
        (403, OWN, false, ErrorKind::Forbidden),
        (204, "", false, ErrorKind::Malformed),
        (200, r#"{"uid":"cus_2"}"#, false, ErrorKind::Malformed),
    ] {
        let server = Server::start(move |_| (status, body.to_owned())).await;
        let (account, _) = connect(&server, bearer());
        match account.get_customer(&ctx(), &cus("cus_1")).await {
            Ok(seen) => assert!(absent && seen.is_none(), "{status} {body}"),
            Err(error) => assert!(!absent && error.kind == kind, "{status} {body}: {error}"),
        }
        let page = PageRequest::first(100);
        let error = account.list_methods(&ctx(), &cus("cus_1"), &page).await.expect_err("none");
        assert_eq!(error.kind, kind, "{status} {body}");
        let error = account.find_customer(&ctx(), &reference()).await.expect_err("none");
        assert_eq!(error.kind, kind, "{status} {body}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
    }
    let server = Server::start(|_| (200, "[]".into())).await;
    let (account, _) = connect(&server, bearer());
    let error = account.get_customer(&ctx(), &cus("..")).await.expect_err("no such path");
    assert_eq!((error.kind, server.seen("").len()), (ErrorKind::Invalid, 0));
}

#[tokio::test]
async fn a_filter_that_is_not_honoured_is_handed_up_and_fails_the_probe() {
    let server =
        Server::start(|_| (200, r#"[{"uid":"cus_7","reference_id":"r'canary"}]"#.into())).await;
    let (account, _) = connect(&server, bearer());
    let found = account.find_customer(&ctx(), &reference()).await.expect("read").expect("a row");
    assert_eq!(found.reference.as_deref(), Some("r'canary"));
    let error = account.probe(&ctx()).await.expect_err("it finds anybody");
    assert!(error.message.starts_with("find_not_honoured"), "{error}");
}

#[tokio::test]
async fn a_vendor_s_echo_reaches_no_refusal() {
    let server = Server::start(|seen| {
        (422, format!(r#"{{"code":"bad","message":{}}}"#, serde_json::json!(seen.body)))
    })
    .await;
    let (account, transport) = connect(&server, bearer());
    let effect = Effect::CreateCustomer { reference: reference(), profile: Profile::default() };
    let outcome = send(&account, &transport, &effect).await;
    let Some(ItemOutcome::Refused(refusal)) = outcome.items.first() else { panic!() };
    assert!(!format!("{refusal:?}").contains("CANARY"), "{refusal:?}");
    assert_eq!(refusal.code.as_deref(), Some("bad"));
}

#[test]
fn what_it_can_do_agrees_with_itself() {
    let config = crate::testing::config(bearer());
    assert_eq!(config.identity(), "pa_1");
    assert!(!format!("{config:?}").contains("CANARY"));
    type Change = fn(&mut ProxyTokenConfig);
    let wrong: [Change; 6] = [
        |config| config.payment_account_uid = String::new(),
        |config| config.payment_account_uid = "pa_1\r\nx: y".into(),
        |config| config.import_batch = 0,
        |config| config.webhook_secrets.push("".into()),
        |config| config.credentials = crate::ProxyTokenCredentials::Bearer("".into()),
        |config| config.credentials = crate::ProxyTokenCredentials::Bearer("CANARY\n".into()),
    ];
    for change in wrong {
        let mut config = config.clone();
        change(&mut config);
        let error = config.credentials().expect_err("it cannot be used");
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(!format!("{error:?}").contains("CANARY"));
    }
}
