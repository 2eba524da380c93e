use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use backend::{CallCtx, CustomerBackend as _, Lane, PageRequest};
use tokio::task::JoinSet;

use super::*;
use crate::ProxyToken;
use crate::testing::{Server, connect, oauth};

const ISSUED: &str = "POST /oauth2/token";
const LISTED: &str = "GET /api/customers";

/// Issues `token_1`, `token_2` ...; the API takes those that `takes` takes.
async fn vendor(life: u64, takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let issued = AtomicU32::new(0);
    Server::start(move |seen| {
        if seen.line == ISSUED {
            let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
            let body = format!(
                r#"{{"access_token":"token_{number}","expires_in":{life},"token_type":"Bearer"}}"#
            );
            return (200, body);
        }
        match seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if takes(token) => (200, "[]".into()),
            _ => (401, r#"{"message":"Unauthorized"}"#.into()),
        }
    })
    .await
}

async fn read(account: &ProxyToken) -> Result<(), BackendError> {
    let ctx = CallCtx::in_lane(Lane::Interactive);
    account.list_customers(&ctx, &PageRequest::first(1)).await.map(|_| ())
}

#[tokio::test]
async fn many_callers_ask_once() {
    let server = vendor(3600, |token| token == "token_1").await;
    let (account, _) = connect(&server, oauth(&server));
    let account = Arc::new(account);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let account = Arc::clone(&account);
        calls.spawn(async move { read(&account).await });
    }
    while let Some(done) = calls.join_next().await {
        done.expect("no panic").expect("an answer");
    }
    let asked = server.seen(ISSUED);
    assert_eq!((asked.len(), server.seen(LISTED).len()), (1, 8));
    assert_eq!(asked[0].header("authorization"), Some("Basic aWQ6c2VjcmV0X0NBTkFSWQ=="));
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=com.govineer.payments%2Fadmin");
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    for (life, good) in [(7200, 6900), (3600, 3300), (3000, 2700), (600, 540), (10, 9)] {
        let server = vendor(life, |_| true).await;
        let (account, _) = connect(&server, oauth(&server));
        read(&account).await.expect("an answer");
        for (after, asked) in [(good - 1, 1), (2, 2)] {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(after)).await;
            tokio::time::resume();
            read(&account).await.expect("an answer");
            assert_eq!(server.seen(ISSUED).len(), asked, "{life} {after}");
        }
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once() {
    let server = vendor(3600, |token| token == "token_2").await;
    let (account, _) = connect(&server, oauth(&server));
    read(&account).await.expect("an answer to the second token");
    assert_eq!((server.seen(ISSUED).len(), server.seen(LISTED).len()), (2, 2));
    read(&account).await.expect("an answer");
    assert_eq!(server.seen(ISSUED).len(), 2);

    let server = vendor(3600, |_| false).await;
    let (account, _) = connect(&server, oauth(&server));
    for _ in 0..3 {
        let error = read(&account).await.expect_err("nothing is taken");
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
    }
    assert_eq!(server.seen(ISSUED).len(), 2, "a third token would help no better");
}

#[tokio::test]
async fn late_rejections_of_the_old_token_keep_the_new_one() {
    let server = vendor(3600, |token| token == "token_2").await;
    let config = crate::testing::config(oauth(&server));
    let credentials = config.credentials().expect("a right config");
    let transport = crate::testing::transport(&server, Arc::clone(&credentials));
    credentials.ready(&transport).await.expect("a token");
    assert!(credentials.rejected() && credentials.rejected());
    credentials.ready(&transport).await.expect("a token");
    assert!(credentials.rejected(), "the call may go out again");
    credentials.ready(&transport).await.expect("a token");
    assert_eq!(server.seen(ISSUED).len(), 2);
}

#[tokio::test]
async fn callers_share_a_failure_and_see_no_word_of_it() {
    let server = Server::start(|_| {
        (400, r#"{"error":"invalid_client","error_description":"secret_CANARY is wrong"}"#.into())
    })
    .await;
    let (account, transport) = connect(&server, oauth(&server));
    let account = Arc::new(account);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let account = Arc::clone(&account);
        calls.spawn(async move { read(&account).await });
    }
    while let Some(done) = calls.join_next().await {
        let error = done.expect("no panic").expect_err("no token");
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert_eq!(error.code.as_deref(), Some("invalid_client"));
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
    assert_eq!(server.seen(ISSUED).len(), 1);
    // It is not remembered for those who come later.
    read(&account).await.expect_err("no token");
    assert_eq!(server.seen(ISSUED).len(), 2);
    assert!(!format!("{account:?} {transport:?}").contains("CANARY"));
}

#[test]
fn answers_of_the_token_endpoint() {
    let answer = |status, body: &str| {
        let response = HttpResponse {
            status,
            body: body.to_owned().into(),
            request_id: None,
            retry_after: None,
            as_of: model::Timestamp::default(),
        };
        super::read(&response).map(|(header, life)| {
            assert_eq!(header.expose_secret(), "Bearer t");
            life.as_secs()
        })
    };
    for (body, life) in [
        (r#"{"access_token":"t","expires_in":3600,"token_type":"Bearer"}"#, 3600),
        (r#"{"access_token":"t","expires_in":"60","token_type":"bearer","x":{}}"#, 60),
        (r#"{"access_token":"t"}"#, 300),
        (r#"{"access_token":"t","expires_in":99999999999999}"#, 86_400),
    ] {
        assert_eq!(answer(200, body).expect("a token"), life, "{body}");
    }
    for (status, body, kind) in [
        (200, "", ErrorKind::Malformed),
        (200, "<html>", ErrorKind::Malformed),
        (200, r#"{"access_token":""}"#, ErrorKind::Malformed),
        (200, r#"{"access_token":"CANARY\nx"}"#, ErrorKind::Malformed),
        (200, r#"{"access_token":"CANARY","token_type":"mac"}"#, ErrorKind::Malformed),
        (200, r#"{"access_token":"CANARY","expires_in":0}"#, ErrorKind::Malformed),
        (200, r#"{"access_token":"CANARY","expires_in":-5}"#, ErrorKind::Malformed),
        (302, "", ErrorKind::Malformed),
        (404, "", ErrorKind::Malformed),
        (400, r#"{"error":"invalid_scope"}"#, ErrorKind::Unauthenticated),
        (401, r#"{"error":"CANARY"}"#, ErrorKind::Unauthenticated),
    ] {
        let error = answer(status, body).expect_err(body);
        assert_eq!(error.kind, kind, "{body}");
        assert!(!format!("{error:?}").contains("CANARY"));
    }
}

#[test]
fn secrets_print_nowhere() {
    let url = "https://example.com/oauth2/token?x=CANARY".parse().expect("a URL");
    let oauth = OAuth::new(&url, &"CANARY".into(), &"CANARY".into(), "scope");
    let fixed = static_bearer(&"CANARY".into());
    assert!(!format!("{oauth:?} {fixed:?}").contains("CANARY"));
    assert!(!fixed.rejected());
}
