//! Tickets and what a changing call does with one, under paused time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backend::{Lane, NotSent, Timing, Traffic, TrafficError};

use super::fakes::{FakeWire, Renewing, Reply};
use super::*;
use crate::Sent;

#[tokio::test(start_paused = true)]
async fn no_more_tickets_than_the_window_can_use() {
    let bench = Bench::new(rate(10.0, 1, 100), FakeWire::default());
    let permits = bench.transport.reserve(Lane::Bulk, 1000).await.expect("permits");
    assert_eq!(permits.len(), 20);
    let numbers: Vec<u64> = permits.iter().map(backend::Permit::number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    // All are out: the next waits until one is given back.
    let again = bench.transport.reserve(Lane::Bulk, 1000);
    assert!(tokio::time::timeout(seconds(60), again).await.is_err());
    drop(permits);
    assert_eq!(bench.transport.reserve(Lane::Bulk, 7).await.expect("permits").len(), 7);
    assert_eq!(bench.transport.reserve(Lane::Bulk, 0).await.expect("none asked").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_tickets_given_are_used_in_time() {
    let bench = Bench::new(rate(50.0, 1, 8), FakeWire::default().taking(seconds(1) / 2));
    let mut late = 0;
    for _ in 0..10 {
        let permits = bench.transport.reserve(Lane::Bulk, 1000).await.expect("permits");
        let sending: Vec<_> = permits
            .into_iter()
            .map(|permit| {
                let transport = Arc::clone(&bench.transport);
                tokio::spawn(
                    async move { transport.write(&lane(Lane::Bulk), post(), permit).await },
                )
            })
            .collect();
        for sent in sending {
            late += u32::from(matches!(sent.await.expect("no panic"), Sent::NotSent(_)));
        }
    }
    // Eight places and half a second a call are 16 a second, of which the first batch knows
    // nothing.
    let sent = u32::try_from(bench.wire.began().len()).expect("few");
    assert!(late * 10 < sent, "{late} late, {sent} sent");
}

#[tokio::test(start_paused = true)]
async fn a_late_permit_sends_nothing() {
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::default());
    let permit = bench.permit().await;
    tokio::time::sleep(seconds(4)).await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Late)));
    assert!(bench.wire.began().is_empty() && bench.calls.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_waits_too_long_for_its_place_sends_nothing() {
    let bench = Bench::new(rate(10.0, 1, 1), FakeWire::default().taking(seconds(20)));
    let permit = bench.permit().await;
    let read = bench.read(Lane::Event);
    settle().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Late)));
    assert_eq!(bench.wire.began().len(), 1);
    read.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_event_read_overtakes_permits_in_hand() {
    let bench = Bench::new(rate(10.0, 1, 8), FakeWire::default());
    let permits = bench.transport.reserve(Lane::Bulk, 20).await.expect("permits");
    let sending: Vec<_> = permits
        .into_iter()
        .map(|permit| {
            let transport = Arc::clone(&bench.transport);
            tokio::spawn(async move { transport.write(&lane(Lane::Bulk), post(), permit).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(350)).await;
    let before = bench.wire.began().len();
    bench.read(Lane::Event).await.expect("no panic");
    assert_eq!(bench.wire.began().len(), before + 1);
    for sent in sending {
        assert!(matches!(sent.await.expect("no panic"), Sent::Answered(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_permits_number_is_the_calls() {
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::default());
    let permit = bench.permit().await;
    let number = permit.number();
    bench.read(Lane::Bulk).await.expect("no panic");
    bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    let permits: Vec<u64> = bench.calls.all().iter().map(|call| call.permit).collect();
    assert_eq!((permits[1], permits.len()), (number, 2));
    assert_ne!(permits[0], number);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_ready_before_permits_and_rejected_by_a_401() {
    let rate = rate(10.0, 1, 4);
    let local = || Arc::new(LocalPermits::new(&rate));
    let broken = Arc::new(Renewing { broken: true, ..Renewing::default() });
    let wire = FakeWire::default();
    let bench = Bench::with(rate, Timing::default(), wire, local(), Arc::clone(&broken) as _);
    let reserved = bench.transport.reserve(Lane::Bulk, 1).await;
    assert!(matches!(reserved, Err(TrafficError::Credentials(_))));
    assert_eq!(broken.ready.load(Ordering::SeqCst), 1);

    let fresh = Arc::new(Renewing::default());
    let wire = FakeWire::script([Reply::Status(401)]);
    let bench = Bench::with(rate, Timing::default(), wire, local(), Arc::clone(&fresh) as _);
    let permit = bench.permit().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::Answered(answer) if answer.status == 401));
    assert_eq!(fresh.rejected.load(Ordering::SeqCst), 1);
    assert_eq!(bench.wire.began().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_has_one_attempt_whatever_becomes_of_it() {
    for status in [400, 409, 413, 429, 500, 502, 503] {
        let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([Reply::Status(status)]));
        let permit = bench.permit().await;
        let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
        assert!(matches!(sent, Sent::Answered(answer) if answer.status == status));
        assert_eq!(bench.wire.began().len(), 1);
    }
    let bench = Bench::new(rate(10.0, 1, 4), FakeWire::script([Reply::Hang]));
    let permit = bench.permit().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(&sent, Sent::Unknown(why) if why == "no whole answer within 30s"), "{sent:?}");
    assert_eq!(bench.calls.all()[0].failure, Some("timeout"));
    let bad = HttpRequest { path: "/a b".into(), ..post() };
    let permit = bench.permit().await;
    let sent = bench.transport.write(&lane(Lane::Bulk), bad, permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Connect)));
    assert_eq!(bench.wire.began().len(), 1);
}
