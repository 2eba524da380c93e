//! Rate, lanes and places, under paused time.

use std::sync::Arc;
use std::time::Duration;

use backend::{Lane, Timing};
use tokio::time::Instant;

use super::fakes::{FakeWire, Fixed, Scripted, lease};
use super::*;

/// The most calls that began in any sliding second.
fn worst_second(began: &[Instant]) -> usize {
    let within =
        |from: Instant| began.iter().filter(|at| (from..from + seconds(1)).contains(*at)).count();
    began.iter().map(|from| within(*from)).max().unwrap_or(0)
}

async fn all(reads: Vec<tokio::task::JoinHandle<u16>>) {
    for read in reads {
        assert_eq!(read.await.expect("no panic"), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sliding_second_holds_at_most_rate_and_burst() {
    for (per_second, burst) in [(10.0, 5), (33.3, 1), (100.0, 20), (250.0, 3)] {
        let bench = Bench::new(rate(per_second, burst, 64), FakeWire::default());
        // Idle time is saved up to one bucket and no further.
        tokio::time::sleep(seconds(30)).await;
        all((0..400).map(|_| bench.read(Lane::Bulk)).collect()).await;
        let began = bench.wire.began();
        let most = per_second + f64::from(burst);
        let worst = f64::from(u32::try_from(worst_second(&began)).expect("few"));
        assert!(worst <= most, "{per_second}/{burst}: {worst} in a second");
        // And the rate is used: paused time is coarse by a millisecond a call.
        let took = (began[399] - began[0]).as_secs_f64();
        assert!(400.0 / took >= per_second * 0.75, "{per_second}/{burst}: took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_overtakes_a_backlog() {
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::default());
    let backlog: Vec<_> = (0..40).map(|_| bench.read(Lane::Bulk)).collect();
    // Between two slots.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let before = bench.wire.began().len();
    assert_eq!(bench.read(Lane::Event).await.expect("no panic"), 200);
    assert!(bench.wire.began().len() - before <= 1, "the event waited for the backlog");
    all(backlog).await;
}

#[tokio::test(start_paused = true)]
async fn bulk_is_not_starved() {
    let bench = Bench::new(rate(100.0, 1, 4), FakeWire::default());
    let bulk: Vec<_> = (0..10).map(|_| bench.read(Lane::Bulk)).collect();
    let events: Vec<_> = (0..200).map(|_| bench.read(Lane::Event)).collect();
    all(bulk).await;
    let events_done = events.iter().filter(|read| read.is_finished()).count();
    assert!(events_done < 90, "bulk waited for {events_done} events");
    all(events).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_in_flight_than_places() {
    let wire = FakeWire::default().taking(seconds(1));
    let bench = Bench::new(rate(1000.0, 10, 3), wire);
    let began = Instant::now();
    all((0..30).map(|_| bench.read(Lane::Bulk)).collect()).await;
    assert_eq!(bench.wire.most(), 3);
    assert!(began.elapsed() < Duration::from_millis(10_500), "places stood empty");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_gives_back_place_and_turn() {
    let wire = FakeWire::default().taking(seconds(60));
    let bench = Bench::new(rate(100.0, 1, 1), wire);
    let first = bench.read(Lane::Bulk);
    tokio::time::sleep(seconds(1)).await;
    let waiting = bench.read(Lane::Bulk);
    settle().await;
    waiting.abort();
    first.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let last = bench.read(Lane::Bulk);
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(bench.wire.began().len(), 2);
    // What was cut off may have left, so it is told of.
    assert_eq!(bench.calls.all()[0].failure, Some("cancelled"));
    last.abort();
}

fn scripted(source: &Arc<Scripted>, in_flight: usize) -> Bench {
    let source = Arc::clone(source) as _;
    let rate = rate(100.0, 1, in_flight);
    Bench::with(rate, Timing::default(), FakeWire::default(), source, Arc::new(Fixed))
}

#[tokio::test(start_paused = true)]
async fn permits_are_leased_for_callers_that_exist() {
    let source = Scripted::new((0..40).map(|_| lease(1, 0, 10, 1)));
    let bench = scripted(&source, 64);
    bench.read(Lane::Bulk).await.expect("no panic");
    assert_eq!(*source.wanted.lock().expect("wanted"), [1]);
    all((0..20).map(|_| bench.read(Lane::Bulk)).collect()).await;
    // Fifty milliseconds at this rate, never more.
    assert_eq!(source.wanted.lock().expect("wanted").iter().max(), Some(&5));
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_long_ago_is_dropped() {
    // One more than was wanted: it is there for whoever comes within a second.
    let source = Scripted::new([lease(3, 0, 10, 1), lease(1, 700, 10, 1)]);
    let bench = scripted(&source, 4);
    let start = Instant::now();
    bench.read(Lane::Bulk).await.expect("no panic");
    tokio::time::sleep(seconds(1) / 2).await;
    bench.read(Lane::Bulk).await.expect("no panic");
    assert!(start.elapsed() < seconds(1));
    tokio::time::sleep(seconds(5)).await;
    let asked = Instant::now();
    bench.read(Lane::Bulk).await.expect("no panic");
    assert!(asked.elapsed() >= Duration::from_millis(700), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_newer_epoch_voids_what_was_leased_before() {
    // The second lease is asked for while two slots of the first are left.
    let source = Scripted::new([lease(3, 0, 300, 1), lease(3, 1000, 10, 2)]);
    let bench = scripted(&source, 4);
    let start = Instant::now();
    all((0..4).map(|_| bench.read(Lane::Bulk)).collect()).await;
    let began: Vec<u128> = bench.wire.began().iter().map(|at| (*at - start).as_millis()).collect();
    assert_eq!(began.iter().filter(|at| **at < 1000).count(), 1, "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn this_process_is_the_hard_ceiling() {
    // A source that gives everything at once.
    let source = Scripted::new((0..400).map(|_| lease(5, 0, 0, 1)));
    let bench = scripted(&source, 64);
    all((0..300).map(|_| bench.read(Lane::Bulk)).collect()).await;
    assert!(worst_second(&bench.wire.began()) <= 101);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_said_and_asked_again() {
    let source = Scripted::new([None, None, None, lease(1, 0, 10, 1), lease(1, 0, 10, 1)]);
    let bench = scripted(&source, 4);
    let error = bench.transport.read(&lane(Lane::Bulk), "read", get()).await.expect_err("no store");
    assert_eq!(error.kind, backend::ErrorKind::Unavailable);
    assert!(error.source.is_some());
    // A promise on a failed source is not given.
    let reserved = bench.transport.reserve(Lane::Bulk, 1).await;
    assert!(matches!(reserved, Err(backend::TrafficError::Store(_))));
    assert!(bench.transport.reserve(Lane::Bulk, 1).await.is_err());
    assert_eq!(bench.wire.began().len(), 0);
    let permit = bench.permit().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, crate::Sent::Answered(_)));
}
