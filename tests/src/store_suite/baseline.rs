//! What is known of a customer list as a whole.

use std::collections::BTreeSet;

use model::Timestamp;
use store::{Fence, NewScan, ScanState};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, at, customer, name, remote};

cases![
    only_a_complete_reading_counts,
    readings_are_of_their_account,
    customers_are_known_since_they_were_first_seen,
];

/// Reads a list that began then, and ends in a state; `None`: it still goes on.
async fn scan(
    cx: &Cx,
    fence: &Fence,
    account: &str,
    seconds: i64,
    state: Option<ScanState>,
) -> anyhow::Result<()> {
    let new = NewScan {
        account: name(account)?,
        pass: 1,
        page_size: 100,
        top: false,
        config: "now".into(),
    };
    let id = cx.store().begin_scan(fence, &new).await?;
    let began = at(seconds).micros();
    cx.execute(&format!("UPDATE scans SET started_at = {began} WHERE id = '{id}'")).await?;
    if let Some(state) = state {
        cx.store().end_scan(fence, &id, state).await?;
    }
    Ok(())
}

async fn last(cx: &Cx, account: &str) -> anyhow::Result<Option<Timestamp>> {
    Ok(cx.store().last_complete_scan(&name(account)?, "now").await?)
}

async fn only_a_complete_reading_counts(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    assert_eq!(last(cx, "alpha").await?, None);
    let others = [None, Some(ScanState::Unconfirmed), Some(ScanState::Incomplete)];
    for (seconds, state) in (10..).zip(others) {
        scan(cx, &fence, "alpha", seconds, state).await?;
        assert_eq!(last(cx, "alpha").await?, None, "{state:?}");
    }
    // The one that began last, in whatever order they ended.
    for (seconds, known) in [(30, 30), (20, 30), (40, 40)] {
        scan(cx, &fence, "alpha", seconds, Some(ScanState::Complete)).await?;
        assert_eq!(last(cx, "alpha").await?, Some(at(known)));
    }
    for (seconds, state) in (50..).zip(others) {
        scan(cx, &fence, "alpha", seconds, state).await?;
        assert_eq!(last(cx, "alpha").await?, Some(at(40)), "{state:?}");
    }
    Ok(())
}

async fn readings_are_of_their_account(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    scan(cx, &alpha, "alpha", 10, Some(ScanState::Complete)).await?;
    assert_eq!(last(cx, "beta").await?, None);
    scan(cx, &beta, "beta", 20, Some(ScanState::Complete)).await?;
    assert_eq!(last(cx, "alpha").await?, Some(at(10)));
    assert_eq!(last(cx, "beta").await?, Some(at(20)));
    // Under another configuration it says nothing of who is there.
    assert_eq!(cx.store().last_complete_scan(&name("beta")?, "another").await?, None);
    Ok(())
}

async fn customers_are_known_since_they_were_first_seen(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let of = |ids: &[&str]| {
        ids.iter().map(|id| customer(id, None, "Ada")).collect::<anyhow::Result<Vec<_>>>()
    };
    cx.pull(&alpha, "alpha", 10, of(&["1", "2", "3", "4"])?).await?;
    cx.pull(&beta, "beta", 10, of(&["5"])?).await?;
    for (id, seconds) in [("1", 100), ("2", 200), ("3", 300), ("4", 50), ("5", 50)] {
        let seen = at(seconds).micros();
        let sql =
            format!("UPDATE remote_customers SET first_seen = {seen} WHERE remote_id = '{id}'");
        cx.execute(&sql).await?;
    }
    cx.execute(
        "UPDATE remote_customers SET state = 'removed', removed_at = 1 WHERE remote_id = '1'",
    )
    .await?;
    let wanted = ["1", "2", "3", "5", "unheard of"].map(remote);
    let wanted: Vec<_> = wanted.into_iter().collect::<Result<_, _>>()?;
    for (before, known) in
        [(100, &[][..]), (200, &["1"]), (201, &["1", "2"]), (900, &["1", "2", "3"])]
    {
        let found = cx.store().known_before(&name("alpha")?, &wanted, at(before)).await?;
        let known: BTreeSet<_> = known.iter().map(|id| remote(id)).collect::<Result<_, _>>()?;
        assert_eq!(found, known, "before {before}");
    }
    let none = cx.store().known_before(&name("alpha")?, &[], at(900)).await?;
    assert!(none.is_empty());
    Ok(())
}
