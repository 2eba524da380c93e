//! The real wire against raw sockets, in real time.

use std::sync::Arc;
use std::time::Duration;

use backend::{ErrorKind, Lane, NotSent, Timing, Traffic};
use tokio::time::{Instant, timeout};

use super::server::{Server, Then, half, ok, transport};
use super::*;
use crate::Sent;

async fn permit(transport: &Transport) -> Permit {
    let permits = transport.reserve(Lane::Bulk, 1).await.expect("permits");
    permits.into_iter().next().expect("at least one")
}

async fn write(transport: &Transport) -> Sent {
    let permit = permit(transport).await;
    transport.write(&lane(Lane::Bulk), post(), permit).await
}

async fn read(transport: &Transport) -> Result<crate::HttpResponse, backend::BackendError> {
    transport.read(&lane(Lane::Bulk), "read", get()).await
}

#[tokio::test]
async fn a_request_is_as_it_was_asked() {
    let server = Server::start([ok("{\"a\":1}")]).await;
    let (transport, _) = server.transport();
    let permit = permit(&transport).await;
    let request = HttpRequest { query: "$a=%20b".into(), ..post() };
    let sent = transport.write(&lane(Lane::Bulk), request, permit).await;
    assert!(matches!(sent, Sent::Answered(answer) if &answer.body[..] == b"{\"a\":1}"));
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /things/1?$a=%20b HTTP/1.1\r\n"), "{}", requests[0]);
    for line in ["authorization: canary", "content-type: application/json", "user-agent: onfile/"] {
        assert!(requests[0].contains(line), "{}", requests[0]);
    }
    assert!(requests[0].ends_with("\r\n\r\n{}"));
    let empty = HttpRequest { body: bytes::Bytes::new(), content_type: None, ..post() };
    let permit = self::permit(&transport).await;
    transport.write(&lane(Lane::Bulk), empty, permit).await;
    assert!(server.requests()[1].contains("content-length: 0\r\n"));
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_becomes_of_the_answer() {
    for then in [
        Then::Close,
        half(),
        Then::SayAndClose("HTTP/1.1 2".into()),
        Then::Say("nonsense\r\n\r\n".into()),
    ] {
        let server = Server::start([then]).await;
        let (transport, calls) = server.transport();
        let sent = write(&transport).await;
        assert!(matches!(sent, Sent::Unknown(_)), "{sent:?}");
        assert_eq!(server.requests().len(), 1);
        assert_eq!(calls.all()[0].failure, Some("broken"));
    }
    let server = Server::start([Then::Hang]).await;
    let timing = Timing { timeout: seconds(1), ..Timing::default() };
    let (transport, _) = transport(&server.base, timing);
    let sent = write(&transport).await;
    assert!(matches!(sent, Sent::Unknown(_)), "{sent:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_write_on_a_connection_that_closes_is_sent_once() {
    // The first answer leaves a connection that dies with the second request.
    let server = Server::start([ok("{}"), Then::Close]).await;
    let (transport, _) = server.transport();
    assert!(matches!(write(&transport).await, Sent::Answered(_)));
    // The connection goes back to the pool.
    settle().await;
    let sent = write(&transport).await;
    assert!(matches!(sent, Sent::Unknown(_)), "{sent:?}");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_broken_read_is_made_again() {
    let server = Server::start([half(), Then::Close, ok("{\"done\":true}")]).await;
    let (transport, calls) = server.transport();
    let answer = read(&transport).await.expect("the third");
    assert_eq!(&answer.body[..], b"{\"done\":true}");
    assert_eq!(server.requests().len(), 3);
    let permits: Vec<u64> = calls.all().iter().map(|call| call.permit).collect();
    assert_eq!(permits, [1, 2, 3]);
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_not_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let timing = Timing { backoff: Duration::from_millis(1), ..Timing::default() };
    let (transport, calls) = transport(&base, timing);
    assert!(matches!(write(&transport).await, Sent::NotSent(NotSent::Connect)));
    assert_eq!(calls.all()[0].failure, Some("connect"));
    let error = read(&transport).await.expect_err("nobody there");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("refused"), "{error}");
    assert_eq!(calls.all().len(), 6);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_not_sent() {
    // A server that takes the connection and never answers the handshake.
    let server = Server::start([]).await;
    let base = server.base.replace("http://", "https://");
    let timing = Timing { send_window: Duration::from_millis(300), ..Timing::default() };
    let (transport, _) = transport(&base, timing);
    let permit = permit(&transport).await;
    let by = permit.send_by();
    // The window ends it, long before the ten seconds that a connection may take.
    let ctx = lane(Lane::Bulk);
    let sent = timeout(seconds(6), transport.write(&ctx, post(), permit)).await.expect("in time");
    assert!(matches!(sent, Sent::NotSent(NotSent::Late)), "{sent:?}");
    assert!(Instant::now() >= by);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_late_permit_does_not_even_connect() {
    let server = Server::start([]).await;
    let timing = Timing { send_window: Duration::from_millis(20), ..Timing::default() };
    let (transport, _) = transport(&server.base, timing);
    let permit = permit(&transport).await;
    tokio::time::sleep_until(permit.send_by()).await;
    let sent = transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Late)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start([]).await;
    let location = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n",
        elsewhere.base
    );
    let server = Server::start([Then::Say(location.clone()), Then::Say(location)]).await;
    let (transport, _) = server.transport();
    assert_eq!(read(&transport).await.expect("the adapter's to read").status, 307);
    assert!(matches!(write(&transport).await, Sent::Answered(answer) if answer.status == 307));
    assert_eq!((server.requests().len(), elsewhere.connections()), (2, 0));
}

#[tokio::test]
async fn the_gate_closes_when_the_headers_are_read() {
    // A 429 whose body never comes.
    let throttled =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 120\r\ncontent-length: 9\r\n\r\n";
    let server = Server::start([Then::Say(throttled.into())]).await;
    let (transport, _) = server.transport();
    let writing = {
        let transport = Arc::clone(&transport);
        tokio::spawn(async move { write(&transport).await })
    };
    let closed = async {
        while transport.pacer.gate_opens().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(seconds(30), closed).await.expect("the gate closes");
    assert!(timeout(Duration::from_millis(100), read(&transport)).await.is_err());
    let sent = writing.await.expect("no panic");
    // Its status says all there is to say.
    assert!(matches!(sent, Sent::Answered(answer) if answer.status == 429
        && answer.retry_after == Some(seconds(120)) && answer.body.is_empty()));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n";
    let server = Server::start([Then::Say(huge.into()), Then::Say(huge.into())]).await;
    let (transport, calls) = server.transport();
    assert!(matches!(write(&transport).await, Sent::Unknown(_)));
    assert_eq!(read(&transport).await.expect_err("too large").kind, ErrorKind::Malformed);
    assert_eq!(calls.all()[0].failure, Some("too_large"));
}

#[tokio::test]
async fn bad_configurations_are_refused() {
    let make = |config: TransportConfig| {
        let permits = Arc::new(LocalPermits::new(&config.rate));
        let calls = Arc::new(fakes::Calls::default());
        Transport::new(config, Arc::new(fakes::Fixed), permits, calls, Arc::new(SystemClock))
    };
    let good = rate(5.0, 1, 8);
    assert!(make(config("https://api.test", good)).is_ok());
    let no_ca = Some("/nowhere/ca.pem".into());
    for bad in [
        config("http://api.test", good),
        config("https://user:canary-sk@api.test", good),
        config("https://api.test?key=canary-sk", good),
        config("https://api.test", rate(0.0, 1, 1)),
        config("https://api.test", rate(f64::NAN, 1, 1)),
        config("https://api.test", rate(1.0, 0, 1)),
        config("https://api.test", rate(1.0, 1, 0)),
        TransportConfig { ca_file: no_ca, ..config("https://api.test", good) },
    ] {
        let text = format!("{bad:?}");
        let error = make(bad).expect_err("a fault");
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(!format!("{error} {error:?} {text}").contains("canary"));
    }
}
