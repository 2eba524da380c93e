//! Canaries: planted in every part of requests and answers, looked for in everything said.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use backend::{Lane, Timing, Traffic, Verb};
use bytes::Bytes;
use model::RunId;
use secrecy::SecretString;

use super::fakes::CANARY;
use super::server::{Server, Then, transport};
use super::*;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this thread says, which is all of its test: a runtime of `tokio::test` has one thread.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything at every level. For the whole process: what a subscriber of one thread hears
    /// depends on the others.
    fn listen() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(|| Log)
                .init();
        });
        LOG.with_borrow_mut(Vec::clear);
    }

    fn text() -> String {
        LOG.with_borrow(|log| String::from_utf8_lossy(log).into())
    }
}

fn planted(verb: Verb) -> HttpRequest {
    HttpRequest {
        path: format!("/things/{CANARY}"),
        query: format!("$filter={CANARY}"),
        body: Bytes::from(format!("{{\"token\":\"{CANARY}\"}}")),
        headers: vec![("x-secret", SecretString::from(CANARY))],
        ..request(verb)
    }
}

#[tokio::test]
async fn nothing_said_holds_a_canary() {
    Log::listen();
    let mut said = String::new();
    let body = format!("{{\"error\":\"{CANARY}\"}}");
    let answer = |status: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} {CANARY}\r\nx-echo: {CANARY}\r\nlocation: /{CANARY}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    let whole = body.len();
    let script = [
        Then::Say(answer("200", whole)),
        Then::Say(answer("404", whole)),
        Then::Say(answer("302", whole)),
        Then::SayAndClose(answer("200", whole + 9)),
        Then::SayAndClose(format!("HTTP/1.1 {CANARY}\r\n\r\n")),
        Then::SayAndClose(format!("{CANARY}\r\n\r\n")),
        Then::SayAndClose(format!("HTTP/1.1 200 OK\r\n{CANARY} {CANARY}\r\n\r\n")),
        Then::Say(answer("500", whole)),
        Then::Hang,
        Then::Close,
    ];
    for then in script {
        for verb in [Verb::Get, Verb::Post] {
            let server = Server::start((0..9).map(|_| then.clone())).await;
            let timing = Timing {
                timeout: Duration::from_millis(100),
                backoff: Duration::from_millis(1),
                ..Timing::default()
            };
            let (transport, calls) = transport(&server.base, timing);
            let ctx = CallCtx::for_run(Lane::Interactive, &RunId::generate());
            if verb == Verb::Get {
                match transport.read(&ctx, "read", planted(verb)).await {
                    Ok(answer) => said.push_str(&format!("{answer:?}")),
                    Err(error) => said.push_str(&format!("{error} {error:?}")),
                }
            } else {
                let permits = transport.reserve(Lane::Bulk, 1).await.expect("permits");
                let permit = permits.into_iter().next().expect("at least one");
                said.push_str(&format!("{permit:?}"));
                let sent = transport.write(&ctx, planted(verb), permit).await;
                said.push_str(&format!("{sent:?}"));
            }
            said.push_str(&format!("{:?} {transport:?} {:?}", calls.all(), planted(verb)));
            // The canary did travel.
            assert!(server.requests().iter().all(|request| request.matches(CANARY).count() >= 4));
        }
    }
    let log = Log::text();
    assert!(!said.contains("canary") && !said.contains("sk_live"), "{said}");
    assert!(!log.contains("canary") && !log.contains("sk_live"), "{log}");
    assert!(log.contains("onfile::calls"), "{log}");
}

#[tokio::test]
async fn an_attempt_is_one_event_with_fields() {
    Log::listen();
    let server = Server::start([]).await;
    let (transport, _) = server.transport();
    let run = RunId::generate();
    let ctx = CallCtx::for_run(Lane::Scheduled, &run);
    transport.read(&ctx, "read", get()).await.expect("an answer");
    let text = Log::text();
    let events: Vec<&str> = text.lines().filter(|line| line.contains("onfile::calls")).collect();
    assert_eq!(events.len(), 1, "{text}");
    let run = format!("run.id={run}");
    for field in [
        "account=\"acme\"",
        run.as_str(),
        "lane=\"scheduled\"",
        "verb=\"GET\"",
        "route=\"/things/{id}\"",
        "permit=1",
        "attempt=1",
        "status=200",
        "duration_ms=",
        "waited_ms=",
    ] {
        assert!(events[0].contains(field), "{field} in {}", events[0]);
    }
}
