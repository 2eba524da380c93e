//! The gate, under paused time.

use std::sync::Arc;
use std::time::Duration;

use backend::{ErrorKind, Lane, NotSent, Timing};
use tokio::time::Instant;

use super::fakes::{FakeWire, Fixed, Reply, Scripted, lease};
use super::*;
use crate::Sent;

fn bench(replies: impl IntoIterator<Item = Reply>) -> (Bench, Arc<Scripted>) {
    let source = Scripted::new((0..200).map(|_| lease(5, 0, 10, 1)));
    let wire = FakeWire::script(replies).taking(Duration::from_millis(100));
    let permits = Arc::clone(&source) as _;
    let rate = rate(100.0, 1, 16);
    (Bench::with(rate, Timing::default(), wire, permits, Arc::new(Fixed)), source)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_stops_everybody() {
    let (bench, source) = bench([Reply::Throttle(429, 7)]);
    let start = Instant::now();
    let reads: Vec<_> = (0..100).map(|_| bench.read(Lane::Event)).collect();
    for read in reads {
        assert_eq!(read.await.expect("no panic"), 200);
    }
    let heard = start + Duration::from_millis(102);
    let opens = start + Duration::from_millis(7_100);
    let began = bench.wire.began();
    assert!(!began.iter().any(|at| *at > heard && *at < opens), "a call passed a closed gate");
    assert_eq!(began.len(), 101);
    assert_eq!(source.closed(), [seconds(7)]);
    let retried = bench.calls.all().into_iter().filter(|call| call.attempt == 2).count();
    assert_eq!(retried, 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_write_stops_reads_writes_and_tickets() {
    for status in [429, 503] {
        let (bench, _source) = bench([Reply::Throttle(status, 60)]);
        let first = bench.permit().await;
        let second = bench.permit().await;
        let sent = bench.transport.write(&lane(Lane::Bulk), post(), first).await;
        let closed = Instant::now();
        assert!(matches!(sent, Sent::Answered(answer) if answer.retry_after == Some(seconds(60))));
        // It could only be late, so it is told at once.
        let sent = bench.transport.write(&lane(Lane::Bulk), post(), second).await;
        assert!(matches!(sent, Sent::NotSent(NotSent::Late)));
        assert_eq!(closed.elapsed(), Duration::ZERO);
        let permit = bench.permit().await;
        assert!(closed.elapsed() >= seconds(60), "a ticket while the gate is closed");
        assert!(permit.send_by() >= Instant::now() + seconds(2));
        let deadline = Some(Instant::now() + seconds(1));
        let ctx = CallCtx { deadline, ..lane(Lane::Event) };
        assert!(bench.transport.read(&ctx, "read", get()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_belong_to_one_episode() {
    let (bench, source) = bench((0..4).map(|_| Reply::Status(429)));
    let reads: Vec<_> = (0..4).map(|_| bench.read(Lane::Bulk)).collect();
    for read in reads {
        assert_eq!(read.await.expect("no panic"), 200);
    }
    assert_eq!(source.closed().len(), 1, "{:?}", source.closed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_asked_for_before_the_gate_closed_is_void() {
    let leases =
        [lease(1, 0, 10, 1), lease(1, 5000, 10, 1), lease(5, 0, 10, 2), lease(5, 0, 10, 2)];
    let source = Arc::new(Scripted {
        leases: std::sync::Mutex::new(leases.into_iter().collect()),
        slow: Duration::from_millis(200),
        ..Scripted::default()
    });
    let wire = FakeWire::script([Reply::Throttle(429, 5)]).taking(Duration::from_millis(100));
    let permits = Arc::clone(&source) as _;
    let rate = rate(10.0, 1, 16);
    let bench = Bench::with(rate, Timing::default(), wire, permits, Arc::new(Fixed));
    let start = Instant::now();
    let reads = [bench.read(Lane::Bulk), bench.read(Lane::Bulk)];
    for read in reads {
        assert_eq!(read.await.expect("no panic"), 200);
    }
    // Called at 200, answered 300; the second lease came at 400 for 5400. The gate opens at
    // 5300, and a new lease comes at 5500.
    let second = bench.wire.began()[1] - start;
    assert!(second >= Duration::from_millis(5500), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn without_retry_after_the_pause_grows_until_a_success() {
    let replies =
        (0..4).map(|_| Reply::Status(503)).chain([Reply::Status(200), Reply::Status(503)]);
    let (bench, source) = bench(replies);
    assert_eq!(bench.read(Lane::Bulk).await.expect("no panic"), 200);
    assert_eq!(bench.read(Lane::Bulk).await.expect("no panic"), 200);
    let closed = source.closed();
    assert_eq!(closed.len(), 5);
    let timing = Timing::default();
    for (n, pause) in closed.iter().enumerate() {
        let doublings = if n == 4 { 1 } else { u32::try_from(n).expect("few") + 1 };
        let most = timing.backoff * 2_u32.pow(doublings);
        assert!(*pause >= timing.backoff && *pause <= most, "{n}: {pause:?}");
    }
    let began = bench.wire.began();
    for (n, pause) in closed.iter().take(4).enumerate() {
        assert!(began[n + 1] - began[n] >= *pause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_says_until_when() {
    let (bench, _source) = bench((0..9).map(|_| Reply::Throttle(429, 30)));
    let deadline = Some(Instant::now() + seconds(10));
    let ctx = CallCtx { deadline, ..lane(Lane::Bulk) };
    let error = bench.transport.read(&ctx, "list customers", get()).await.expect_err("throttled");
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!((error.status, error.retry_after), (Some(429), Some(seconds(30))));
    assert_eq!(bench.wire.began().len(), 1);
    assert_eq!(
        error.to_string(),
        "cannot list customers: the provider wants fewer calls (HTTP 429)"
    );
}

#[tokio::test(start_paused = true)]
async fn anothers_gate_is_seen_in_the_lease() {
    let source = Scripted::new([lease(1, 30_000, 10, 2), lease(1, 0, 10, 2)]);
    let permits = Arc::clone(&source) as _;
    let rate = rate(100.0, 1, 16);
    let bench = Bench::with(rate, Timing::default(), FakeWire::default(), permits, Arc::new(Fixed));
    let start = Instant::now();
    let permit = bench.permit().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Late)));
    // From now on no ticket is given that could not be used.
    let permit = bench.permit().await;
    assert!(start.elapsed() >= seconds(29), "{:?}", start.elapsed());
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::Answered(_)));
    assert!(start.elapsed() >= seconds(30));
}
