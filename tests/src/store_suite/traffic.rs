//! The token bucket that all processes share.

use std::sync::Arc;
use std::time::Duration;

use model::AccountName;
use store::{Lease, Store};
use tokio::time::Instant;

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, name};

cases![
    a_lease_says_when_to_call,
    leases_queue_up,
    leases_of_many_workers_keep_the_rate,
    accounts_have_buckets_of_their_own,
    a_lease_grants_at_least_one,
    a_closed_gate_makes_all_wait,
    a_gate_only_ever_closes_longer,
    a_cut_lowers_the_rate_once_a_second,
    a_cut_ends_at_a_tenth,
    the_rate_grows_back,
    a_clock_that_jumped_is_forgotten,
    a_slow_rate_is_kept_too,
    an_idle_bucket_saves_nothing_up,
];

const EPSILON: Duration = Duration::from_millis(3);

async fn lease(cx: &Cx, per_second: f64, want: u32) -> anyhow::Result<Lease> {
    Ok(cx.store().lease_permits(&name("alpha")?, per_second, want).await?)
}

fn near(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= EPSILON
}

async fn a_lease_says_when_to_call(cx: &Cx) -> anyhow::Result<()> {
    let lease = lease(cx, 100.0, 5).await?;
    assert_eq!(lease.granted, 5);
    assert!(near(lease.spacing, Duration::from_millis(10)), "{lease:?}");
    // The start of a process may cost a little (see the reference), but no more.
    assert!(lease.wait <= Duration::from_secs(1) + EPSILON, "{lease:?}");
    Ok(())
}

async fn leases_queue_up(cx: &Cx) -> anyhow::Result<()> {
    let first = lease(cx, 10.0, 5).await?;
    let began = Instant::now();
    let second = lease(cx, 10.0, 5).await?;
    let between = began.elapsed();
    let floor = (first.wait + Duration::from_millis(500)).saturating_sub(between + EPSILON * 10);
    assert!(second.wait >= floor, "{first:?} {second:?} {between:?}");
    assert!(second.wait <= first.wait + Duration::from_millis(500) + EPSILON, "{second:?}");
    assert_eq!(first.epoch, second.epoch);
    Ok(())
}

/// When each permit of a worker may be used, by the durations of its leases alone.
async fn work(
    store: Arc<dyn Store>,
    account: AccountName,
    rate: f64,
    began: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut uses = Vec::new();
    for want in [1, 3, 5, 2, 4, 1, 7, 2] {
        let lease = store.lease_permits(&account, rate, want).await?;
        let answered = began.elapsed();
        for i in 0..lease.granted {
            uses.push(answered + lease.wait + lease.spacing * i);
        }
    }
    Ok(uses)
}

async fn leases_of_many_workers_keep_the_rate(cx: &Cx) -> anyhow::Result<()> {
    const RATE: f64 = 200.0;
    let other = cx.another().await?;
    let mut tasks = Vec::new();
    let began = Instant::now();
    for n in 0..8 {
        let store = Arc::clone(if n % 2 == 0 { &cx.store } else { &other });
        tasks.push(tokio::spawn(work(store, name("alpha")?, RATE, began)));
    }
    let mut uses = Vec::new();
    for task in tasks {
        uses.extend(task.await??);
    }
    uses.sort_unstable();
    assert_eq!(uses.len(), 8 * 25);
    // An answer takes time to arrive, which makes its permits late, never early: so from any
    // permit on, the next n of them take n/RATE, but for the time one answer took.
    let (first, last) = (uses.first().copied(), uses.last().copied());
    let span = last.zip(first).map(|(last, first)| last - first).unwrap_or_default();
    let floor = Duration::from_secs_f64(199.0 / RATE);
    assert!(span + Duration::from_millis(250) >= floor, "200 permits within {span:?}");
    let elapsed = last.unwrap_or_default();
    assert!(elapsed >= floor, "200 permits until {elapsed:?} of a bucket that began empty");
    assert!(elapsed <= floor + Duration::from_secs(3), "the queue is too long: {elapsed:?}");
    other.close().await;
    Ok(())
}

async fn accounts_have_buckets_of_their_own(cx: &Cx) -> anyhow::Result<()> {
    lease(cx, 1.0, 20).await?;
    let beta = name("beta")?;
    let lease = cx.store().lease_permits(&beta, 1.0, 1).await?;
    assert!(lease.wait <= Duration::from_secs(1) + EPSILON, "{lease:?}");
    Ok(())
}

async fn a_lease_grants_at_least_one(cx: &Cx) -> anyhow::Result<()> {
    assert_eq!(lease(cx, 10.0, 0).await?.granted, 1);
    assert!(lease(cx, 0.5, 1).await?.granted >= 1);
    Ok(())
}

async fn a_closed_gate_makes_all_wait(cx: &Cx) -> anyhow::Result<()> {
    let before = lease(cx, 100.0, 1).await?;
    // Counted from before it is asked for: the answer may be late.
    let began = Instant::now();
    cx.store().close_gate(&name("alpha")?, Duration::from_secs(30)).await?;
    let after = lease(cx, 100.0, 1).await?;
    let floor = Duration::from_secs(30).saturating_sub(began.elapsed() + EPSILON * 30);
    assert!(after.wait >= floor, "{after:?}");
    assert!(after.wait <= Duration::from_secs(32), "{after:?}");
    assert_eq!(after.epoch, before.epoch + 1);
    let beta = cx.store().lease_permits(&name("beta")?, 100.0, 1).await?;
    assert!(beta.wait < Duration::from_secs(2), "{beta:?}");
    // Those who wait behind it do not all go at once when it opens.
    let mut last = after;
    for _ in 0..10 {
        last = lease(cx, 100.0, 10).await?;
    }
    let until = last.wait + began.elapsed();
    assert!(until >= after.wait + Duration::from_millis(500), "{after:?} {last:?}");
    Ok(())
}

async fn a_gate_only_ever_closes_longer(cx: &Cx) -> anyhow::Result<()> {
    let alpha = name("alpha")?;
    let before = lease(cx, 100.0, 1).await?;
    cx.store().close_gate(&alpha, Duration::from_secs(40)).await?;
    cx.store().close_gate(&alpha, Duration::from_secs(1)).await?;
    let after = lease(cx, 100.0, 1).await?;
    assert!(after.wait >= Duration::from_secs(35), "a shorter pause opened it: {after:?}");
    assert_eq!(after.epoch, before.epoch + 2);
    Ok(())
}

async fn a_cut_lowers_the_rate_once_a_second(cx: &Cx) -> anyhow::Result<()> {
    let alpha = name("alpha")?;
    lease(cx, 100.0, 1).await?;
    for _ in 0..3 {
        cx.store().close_gate(&alpha, Duration::ZERO).await?;
    }
    let factor = cx.number("SELECT factor_ppm FROM traffic").await?;
    assert_eq!(factor, 700_000);
    let spaced = lease(cx, 100.0, 1).await?.spacing;
    assert!(near(spaced, Duration::from_secs_f64(0.01 / 0.7)), "{spaced:?}");
    cx.execute("UPDATE traffic SET last_cut = last_cut - 1100000").await?;
    cx.store().close_gate(&alpha, Duration::ZERO).await?;
    let factor = cx.number("SELECT factor_ppm FROM traffic").await?;
    assert!((490_000..510_000).contains(&factor), "{factor}");
    Ok(())
}

async fn a_cut_ends_at_a_tenth(cx: &Cx) -> anyhow::Result<()> {
    for _ in 0..12 {
        cx.store().close_gate(&name("alpha")?, Duration::ZERO).await?;
        cx.execute("UPDATE traffic SET last_cut = last_cut - 1000001").await?;
    }
    let factor = cx.number("SELECT factor_ppm FROM traffic").await?;
    assert!((100_000..150_000).contains(&factor), "{factor}");
    Ok(())
}

async fn the_rate_grows_back(cx: &Cx) -> anyhow::Result<()> {
    cx.store().close_gate(&name("alpha")?, Duration::ZERO).await?;
    cx.execute("UPDATE traffic SET last_cut = last_cut - 10000000").await?;
    let spaced = lease(cx, 10.0, 1).await?.spacing;
    let expected = Duration::from_secs_f64(0.1 / 0.8);
    assert!(spaced.abs_diff(expected) < Duration::from_millis(5), "{spaced:?}");
    cx.execute("UPDATE traffic SET last_cut = last_cut - 200000000").await?;
    let spaced = lease(cx, 10.0, 1).await?.spacing;
    assert!(near(spaced, Duration::from_millis(100)), "never above the ceiling: {spaced:?}");
    Ok(())
}

async fn a_clock_that_jumped_is_forgotten(cx: &Cx) -> anyhow::Result<()> {
    lease(cx, 10.0, 1).await?;
    cx.execute("UPDATE traffic SET tat = tat + 3600000000").await?;
    let after = lease(cx, 10.0, 1).await?;
    assert!(after.wait < Duration::from_secs(2), "{after:?}");
    Ok(())
}

async fn a_slow_rate_is_kept_too(cx: &Cx) -> anyhow::Result<()> {
    // Three seconds apart: forty of them wait for two minutes, and no clock jumped.
    let mut last = lease(cx, 1.0 / 3.0, 1).await?;
    for _ in 1..40 {
        last = lease(cx, 1.0 / 3.0, 1).await?;
    }
    assert!(last.wait > Duration::from_secs(100), "{last:?}");
    Ok(())
}

async fn an_idle_bucket_saves_nothing_up(cx: &Cx) -> anyhow::Result<()> {
    lease(cx, 10.0, 1).await?;
    cx.execute("UPDATE traffic SET tat = tat - 3600000000").await?;
    let first = lease(cx, 10.0, 10).await?;
    let second = lease(cx, 10.0, 1).await?;
    assert!(first.wait < Duration::from_millis(100), "{first:?}");
    assert!(second.wait > Duration::from_millis(700), "{second:?}");
    Ok(())
}
