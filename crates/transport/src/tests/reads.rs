//! The retry ring, under paused time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backend::{ErrorKind, Lane, Limits, Timing, Traffic as _};
use tokio::time::Instant;

use super::fakes::{FakeWire, Renewing, Reply};
use super::*;
use crate::wire::Broken;

fn cut() -> Reply {
    Reply::Broken(Broken::Cut("the connection closed".into()))
}

fn connect(untrusted: bool) -> Reply {
    Reply::Broken(Broken::Connect { why: "refused".into(), untrusted })
}

async fn read(bench: &Bench) -> Result<crate::HttpResponse, backend::BackendError> {
    bench.transport.read(&lane(Lane::Bulk), "read", get()).await
}

#[tokio::test(start_paused = true)]
async fn each_attempt_pays_its_own_permit() {
    let script = [cut(), connect(false), Reply::Hang, Reply::Status(502), Reply::Status(200)];
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script(script));
    assert_eq!(read(&bench).await.expect("the fifth").status, 200);
    let calls = bench.calls.all();
    let permits: HashSet<u64> = calls.iter().map(|call| call.permit).collect();
    assert_eq!(permits.len(), 5);
    let attempts: Vec<u32> = calls.iter().map(|call| call.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    let failures: Vec<_> = calls.iter().map(|call| call.failure).collect();
    assert_eq!(failures, [Some("broken"), Some("connect"), Some("timeout"), None, None]);
}

#[tokio::test(start_paused = true)]
async fn it_says_its_limits_and_how_long_a_call_takes() {
    let takes = Duration::from_millis(400);
    let bench = Bench::new(rate(10.0, 3, 4), FakeWire::default().taking(takes));
    let limits = Limits { per_second: 10.0, burst: 3, in_flight: 4, call_takes: None };
    assert_eq!(bench.transport.limits(), limits);
    read(&bench).await.expect("the first");
    assert_eq!(bench.transport.limits(), Limits { call_takes: Some(takes), ..limits });
}

#[tokio::test(start_paused = true)]
async fn after_five_attempts_it_ends() {
    for (script, kind) in [
        (cut as fn() -> Reply, ErrorKind::Unavailable),
        (|| Reply::Hang, ErrorKind::Timeout),
        (|| Reply::Status(500), ErrorKind::Unavailable),
        (|| Reply::Status(429), ErrorKind::RateLimited),
        (|| connect(false), ErrorKind::Unavailable),
    ] {
        let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script((0..9).map(|_| script())));
        assert_eq!(read(&bench).await.expect_err("all failed").kind, kind);
        assert_eq!(bench.wire.began().len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_get_better_is_not_repeated() {
    for (reply, kind) in [
        (connect(true), ErrorKind::Config),
        (Reply::Broken(Broken::TooLarge), ErrorKind::Malformed),
    ] {
        let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([reply]));
        assert_eq!(read(&bench).await.expect_err("broken").kind, kind);
        assert_eq!(bench.wire.began().len(), 1);
    }
    for status in [204, 302, 400, 403, 404, 422] {
        let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([Reply::Status(status)]));
        assert_eq!(read(&bench).await.expect("the adapter's to read").status, status);
        assert_eq!(bench.wire.began().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_json_is_asked_for_again_where_json_is_due() {
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([]));
    let due = || HttpRequest { json_answer: true, ..get() };
    let error = bench.transport.read(&lane(Lane::Bulk), "read", due()).await.expect_err("no JSON");
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert_eq!(bench.wire.began().len(), 5);
    // An error's body is the adapter's to read, whatever it is.
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([Reply::Status(404)]));
    let answer = bench.transport.read(&lane(Lane::Bulk), "read", due()).await.expect("handed up");
    assert_eq!((answer.status, bench.wire.began().len()), (404, 1));
}

/// The rings from the outside: deadline, retry, permit, timeout. Any other order fails here.
#[tokio::test(start_paused = true)]
async fn the_order_of_the_rings() {
    let timing = Timing { timeout: seconds(5), ..Timing::default() };
    let slow = rate(0.1, 1, 4);
    let bench = |script: Vec<Reply>| {
        let permits = Arc::new(LocalPermits::new(&slow));
        Bench::with(slow, timing, FakeWire::script(script), permits, Arc::new(fakes::Fixed))
    };
    // Retry is outside the permit: the second attempt waits for a slot of its own. And the
    // permit is outside the timeout: ten seconds of waiting are no timeout of five.
    let paid = bench(vec![cut()]);
    assert!(read(&paid).await.is_ok());
    let began = paid.wire.began();
    assert!(began[1] - began[0] >= seconds(10));
    assert!(paid.calls.all()[1].waited >= seconds(5) && paid.calls.all()[1].took < seconds(5));
    // The timeout is each attempt's own: five seconds twice, not five in all.
    let hung = bench(vec![Reply::Hang, Reply::Status(200)]);
    assert!(read(&hung).await.is_ok());
    assert_eq!(hung.calls.all()[0].took, seconds(5));
    // The deadline is outside everything: it ends the wait for a slot too, with the last failure.
    let ended = bench(vec![cut()]);
    let deadline = Instant::now() + seconds(8);
    let ctx = CallCtx { deadline: Some(deadline), ..lane(Lane::Bulk) };
    let error = ended.transport.read(&ctx, "read", get()).await.expect_err("too late");
    assert_eq!((error.kind, Instant::now()), (ErrorKind::Unavailable, deadline));
    assert_eq!(ended.wire.began().len(), 1);
    // And an attempt under way.
    let ended = bench(vec![Reply::Hang]);
    let ctx = CallCtx { deadline: Some(Instant::now() + seconds(1)), ..lane(Lane::Bulk) };
    let error = ended.transport.read(&ctx, "read", get()).await.expect_err("too late");
    assert_eq!(error.kind, ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_an_outage() {
    let bench = Bench::new(
        rate(1000.0, 100, 64),
        FakeWire::script((0..10_000).map(|_| Reply::Status(500))),
    );
    for _ in 0..200 {
        assert!(read(&bench).await.is_err());
    }
    // Five hundred tokens at five each are a hundred retries.
    assert_eq!(bench.wire.began().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn pauses_lie_between_the_bounds() {
    let bench = Bench::new(rate(1000.0, 100, 4), FakeWire::script((0..4).map(|_| cut())));
    assert!(read(&bench).await.is_ok());
    let timing = Timing::default();
    for (n, pair) in bench.wire.began().windows(2).enumerate() {
        let most = timing.backoff * 2_u32.pow(u32::try_from(n).expect("few") + 1);
        let pause = pair[1] - pair[0];
        assert!(pause >= timing.backoff && pause <= most + Duration::from_millis(5), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_renews_once() {
    let rate = rate(10.0, 1, 1);
    let bench = |script: Vec<Reply>| {
        let credentials = Arc::new(Renewing::default());
        let permits = Arc::new(LocalPermits::new(&rate));
        let proof = Arc::clone(&credentials) as _;
        let bench = Bench::with(rate, Timing::default(), FakeWire::script(script), permits, proof);
        (bench, credentials)
    };
    let (once, credentials) = bench(vec![Reply::Status(401)]);
    assert_eq!(read(&once).await.expect("renewed").status, 200);
    assert_eq!(credentials.ready.load(Ordering::SeqCst), 2);
    assert_eq!(once.calls.all().len(), 2);

    let (twice, credentials) = bench(vec![Reply::Status(401), Reply::Status(401)]);
    assert_eq!(read(&twice).await.expect("the adapter's to read").status, 401);
    assert_eq!(credentials.rejected.load(Ordering::SeqCst), 2);
    assert_eq!(twice.wire.began().len(), 2);

    // A header that never changes is not tried again.
    let fixed = Bench::new(rate, FakeWire::script([Reply::Status(401)]));
    assert_eq!(read(&fixed).await.expect("the adapter's to read").status, 401);
    assert_eq!(fixed.wire.began().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn links_of_the_provider_and_no_other() {
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::default());
    let link = |path: &str| HttpRequest { path: path.into(), ..get() };
    let ctx = lane(Lane::Bulk);
    let own = link("https://api.test/v1/things?$skip=20");
    assert!(bench.transport.read(&ctx, "read", own).await.is_ok());
    let foreign = link("https://evil.test/v1/things?$skip=20");
    let error = bench.transport.read(&ctx, "read", foreign).await.expect_err("another origin");
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(!error.to_string().contains("evil"));
    assert_eq!(bench.wire.urls(), ["https://api.test/v1/things?$skip=20"]);
}

#[tokio::test(start_paused = true)]
async fn a_credential_call_pays_and_is_told_of() {
    let script = [Reply::Status(500)];
    let bench = Bench::new(rate(10.0, 1, 1), FakeWire::script(script));
    let url = url::Url::parse("https://login.test/token").expect("a URL");
    let token = || HttpRequest { route: "/token", ..post() };
    let answer = bench.transport.credential_call(&url, token()).await;
    assert_eq!(answer.expect("an answer").status, 200);
    assert_eq!(bench.wire.urls(), ["https://login.test/token", "https://login.test/token"]);
    let calls = bench.calls.all();
    assert!(calls.iter().all(|call| call.route == "/token" && call.run.is_none()));
    let plain = url::Url::parse("http://login.test/token").expect("a URL");
    let error = bench.transport.credential_call(&plain, token()).await.expect_err("plain http");
    assert_eq!(error.kind, ErrorKind::Config);
}
