//! Reads of payment methods: lists, links by facts, what a list lacks.

use model::{CardFacts, Expiry, Last4, MethodFacts, RemoteMethod};
use store::{Fence, MethodList, MethodsApplied, MethodsWrite, Overlap};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, at, card, customer, name, remote, remote_method};

cases![
    the_same_list_twice_is_once,
    a_list_names_what_it_lacks_and_marks_nothing,
    a_stale_list_is_dropped,
    a_list_of_an_unknown_customer_is_stale,
    a_list_says_when_it_was_read,
    facts_tie_methods_of_two_accounts_once,
    two_alike_are_tied_to_neither,
    facts_may_drift_once_tied,
    two_methods_of_one_account_stay_two,
    a_default_belongs_to_its_account,
    ids_are_the_customers_own,
    lists_of_many_customers,
    what_a_second_list_lacks_is_removed,
];

async fn lists(
    cx: &Cx,
    fence: &Fence,
    account: &str,
    seconds: i64,
    of: &str,
    methods: Vec<RemoteMethod>,
) -> anyhow::Result<MethodsApplied> {
    let list = MethodList { customer: remote(of)?, as_of: at(seconds), methods };
    let write = MethodsWrite {
        account: name(account)?,
        lists: vec![list],
        absent: Vec::new(),
        overlap: Overlap::Written,
    };
    Ok(cx.store().apply_methods(fence, write).await?)
}

fn counts(applied: &MethodsApplied) -> [u64; 5] {
    let counts = applied.counts;
    [counts.seen, counts.created, counts.updated, counts.unchanged, counts.stale]
}

/// A fence at an account that has the customer `1` of reference `r1`.
async fn with_ada(cx: &Cx, account: &str) -> anyhow::Result<Fence> {
    let fence = cx.fence(account).await?;
    cx.pull(&fence, account, 0, vec![customer("1", Some("r1"), "Ada")?]).await?;
    Ok(fence)
}

async fn the_same_list_twice_is_once(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    let methods = || anyhow::Ok(vec![card("m1", "4242")?, card("m2", "1111")?]);
    let first = lists(cx, &fence, "alpha", 10, "1", methods()?).await?;
    assert_eq!(counts(&first), [2, 2, 0, 0, 0]);
    assert!(first.missing.is_empty());
    let before =
        cx.texts("SELECT remote_id, facts, CAST(as_of AS TEXT) FROM remote_methods").await?;
    let second = lists(cx, &fence, "alpha", 10, "1", methods()?).await?;
    assert_eq!(counts(&second), [2, 0, 0, 2, 0]);
    let after =
        cx.texts("SELECT remote_id, facts, CAST(as_of AS TEXT) FROM remote_methods").await?;
    assert_eq!(before, after);
    let repeated = vec![card("m1", "4242")?, card("m1", "4242")?];
    let third = lists(cx, &fence, "alpha", 20, "1", repeated).await?;
    assert_eq!(third.counts.seen, 1);
    assert_eq!(cx.rows_in("changes").await?, 0);
    assert_eq!(cx.rows_in("methods").await?, 2);
    Ok(())
}

async fn a_list_names_what_it_lacks_and_marks_nothing(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    let all = vec![card("m1", "4242")?, card("m2", "1111")?, card("m3", "2222")?];
    lists(cx, &fence, "alpha", 10, "1", all).await?;
    let applied = lists(cx, &fence, "alpha", 20, "1", vec![card("m2", "1111")?]).await?;
    let mut missing = applied.missing.clone();
    missing.sort();
    let (ada, m1, m3) = (remote("1")?, remote_method("m1")?, remote_method("m3")?);
    assert_eq!(missing, [(ada.clone(), m1), (ada, m3)]);
    let live = cx.number("SELECT count(*) FROM remote_methods WHERE state = 'live'").await?;
    assert_eq!(live, 3, "a list alone proves no absence");
    let empty = lists(cx, &fence, "alpha", 30, "1", Vec::new()).await?;
    assert_eq!((counts(&empty), empty.missing.len()), ([0; 5], 3));
    Ok(())
}

async fn a_stale_list_is_dropped(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    lists(cx, &fence, "alpha", 20, "1", vec![card("m1", "4242")?, card("m2", "1111")?]).await?;
    let before = cx.texts("SELECT facts FROM remote_methods ORDER BY remote_id").await?;
    let older = lists(cx, &fence, "alpha", 10, "1", vec![card("m1", "9999")?]).await?;
    assert_eq!(counts(&older), [1, 0, 0, 0, 1]);
    assert!(older.missing.is_empty(), "a list from before knows nothing of what came after");
    assert_eq!(cx.texts("SELECT facts FROM remote_methods ORDER BY remote_id").await?, before);
    assert_eq!(cx.rows_in("changes").await?, 0);
    Ok(())
}

async fn a_list_of_an_unknown_customer_is_stale(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    let list = |of: &str, id: &str| -> anyhow::Result<MethodList> {
        Ok(MethodList { customer: remote(of)?, as_of: at(10), methods: vec![card(id, "4242")?] })
    };
    let write = MethodsWrite {
        account: name("alpha")?,
        lists: vec![list("404", "m9")?, list("1", "m1")?],
        absent: Vec::new(),
        overlap: Overlap::Written,
    };
    let applied = cx.store().apply_methods(&fence, write).await?;
    assert_eq!(counts(&applied), [2, 1, 0, 0, 1]);
    assert_eq!(cx.rows_in("remote_methods").await?, 1);
    Ok(())
}

async fn a_list_says_when_it_was_read(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    let read = "SELECT methods_read_at FROM remote_customers";
    lists(cx, &fence, "alpha", 20, "1", Vec::new()).await?;
    assert_eq!(cx.number(read).await?, at(20).micros());
    lists(cx, &fence, "alpha", 10, "1", Vec::new()).await?;
    assert_eq!(cx.number(read).await?, at(20).micros(), "an older list moved it back");
    Ok(())
}

async fn facts_tie_methods_of_two_accounts_once(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (with_ada(cx, "alpha").await?, with_ada(cx, "beta").await?);
    lists(cx, &alpha, "alpha", 10, "1", vec![card("m1", "4242")?, card("m2", "1111")?]).await?;
    lists(cx, &beta, "beta", 10, "1", vec![card("x9", "4242")?, card("x8", "3333")?]).await?;
    assert_eq!(cx.rows_in("methods").await?, 3);
    let tied = "SELECT count(*) FROM remote_methods a JOIN remote_methods b \
                ON a.method_id = b.method_id WHERE a.remote_id = 'm1' AND b.remote_id = 'x9'";
    assert_eq!(cx.number(tied).await?, 1);
    Ok(())
}

async fn two_alike_are_tied_to_neither(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (with_ada(cx, "alpha").await?, with_ada(cx, "beta").await?);
    lists(cx, &alpha, "alpha", 10, "1", vec![card("m1", "4242")?, card("m2", "4242")?]).await?;
    lists(cx, &beta, "beta", 10, "1", vec![card("x9", "4242")?]).await?;
    assert_eq!(cx.rows_in("methods").await?, 3);
    Ok(())
}

async fn facts_may_drift_once_tied(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (with_ada(cx, "alpha").await?, with_ada(cx, "beta").await?);
    lists(cx, &alpha, "alpha", 10, "1", vec![card("m1", "4242")?]).await?;
    lists(cx, &beta, "beta", 10, "1", vec![card("x9", "4242")?]).await?;
    let mut renewed = card("x9", "4242")?;
    renewed.facts = MethodFacts::Card(CardFacts {
        brand: Some("visa".into()),
        last4: Some(Last4::new("5678")?),
        expiry: Some(Expiry::new(1, 2035)?),
        holder_name: Some("A. Byron".into()),
        ..CardFacts::default()
    });
    let applied = lists(cx, &beta, "beta", 20, "1", vec![renewed]).await?;
    assert_eq!(counts(&applied), [1, 0, 1, 0, 0]);
    assert_eq!(cx.rows_in("methods").await?, 1, "an id holds the link");
    // alpha states brand, digits and expiry; only the holder is beta's to say.
    let facts = cx.text("SELECT facts FROM methods").await?.unwrap_or_default();
    assert!(facts.contains("4242") && facts.contains("A. Byron"), "{facts}");
    let fields = cx.texts("SELECT account || ' ' || field FROM changes ORDER BY field").await?;
    let fields: Vec<String> = fields.into_iter().flatten().flatten().collect();
    assert_eq!(fields, ["beta expiry", "beta holder_name", "beta last4"]);
    Ok(())
}

async fn two_methods_of_one_account_stay_two(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    lists(cx, &fence, "alpha", 10, "1", vec![card("m1", "4242")?]).await?;
    lists(cx, &fence, "alpha", 20, "1", vec![card("m1", "4242")?, card("m2", "4242")?]).await?;
    assert_eq!(cx.rows_in("methods").await?, 2);
    Ok(())
}

async fn a_default_belongs_to_its_account(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    lists(cx, &fence, "alpha", 10, "1", vec![card("m1", "4242")?]).await?;
    let mut default = card("m1", "4242")?;
    default.default = Some(true);
    let applied = lists(cx, &fence, "alpha", 20, "1", vec![default.clone()]).await?;
    assert_eq!(counts(&applied), [1, 0, 1, 0, 0]);
    assert_eq!(cx.number("SELECT is_default FROM remote_methods").await?, 1);
    let again = lists(cx, &fence, "alpha", 30, "1", vec![default]).await?;
    assert_eq!(counts(&again), [1, 0, 0, 1, 0]);
    Ok(())
}

async fn ids_are_the_customers_own(cx: &Cx) -> anyhow::Result<()> {
    // noderails counts methods within a customer: the same id under two customers is two methods.
    let fence = with_ada(cx, "alpha").await?;
    cx.pull(&fence, "alpha", 0, vec![customer("2", Some("r2"), "Bo")?]).await?;
    lists(cx, &fence, "alpha", 10, "1", vec![card("m1", "4242")?]).await?;
    lists(cx, &fence, "alpha", 10, "2", vec![card("m1", "1111")?]).await?;
    assert_eq!(cx.rows_in("remote_methods").await?, 2);
    assert_eq!(cx.rows_in("methods").await?, 2);
    Ok(())
}

async fn lists_of_many_customers(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let customers = (0..700)
        .map(|n| customer(&format!("c{n}"), Some(&format!("r{n}")), "Ada"))
        .collect::<Result<Vec<_>, _>>()?;
    cx.pull(&fence, "alpha", 0, customers).await?;
    let mut lists = Vec::new();
    for n in (0..700).rev() {
        let methods = vec![card(&format!("a{n}"), "4242")?, card(&format!("b{n}"), "1111")?];
        lists.push(MethodList { customer: remote(&format!("c{n}"))?, as_of: at(10), methods });
    }
    let write = MethodsWrite {
        account: name("alpha")?,
        lists,
        absent: Vec::new(),
        overlap: Overlap::Written,
    };
    let applied = cx.store().apply_methods(&fence, write.clone()).await?;
    assert_eq!(counts(&applied), [1_400, 1_400, 0, 0, 0]);
    let again = cx.store().apply_methods(&fence, write).await?;
    assert_eq!(counts(&again), [1_400, 0, 0, 1_400, 0]);
    assert_eq!(cx.rows_in("methods").await?, 1_400);
    Ok(())
}

async fn what_a_second_list_lacks_is_removed(cx: &Cx) -> anyhow::Result<()> {
    let fence = with_ada(cx, "alpha").await?;
    let both = vec![card("m1", "4242")?, card("m2", "1881")?];
    lists(cx, &fence, "alpha", 1, "1", both).await?;
    let absent = vec![(remote("1")?, remote_method("m2")?)];
    let without = |seconds: i64, second: bool| -> anyhow::Result<MethodsWrite> {
        let absent = if second { absent.clone() } else { Vec::new() };
        let (customer, methods) = (remote("1")?, vec![card("m1", "4242")?]);
        let lists = vec![MethodList { customer, as_of: at(seconds), methods }];
        Ok(MethodsWrite { account: name("alpha")?, lists, absent, overlap: Overlap::Written })
    };
    let live = || cx.number("SELECT count(*) FROM remote_methods WHERE state = 'live'");
    // One list proves nothing, nor does one that began before the row was read.
    let first = cx.store().apply_methods(&fence, without(2, false)?).await?;
    assert_eq!((first.missing.len(), first.removed, live().await?), (1, 0, 2));
    let old = cx.store().apply_methods(&fence, without(0, true)?).await?;
    assert_eq!((old.missing.len(), old.removed, live().await?), (0, 0, 2));
    let second = cx.store().apply_methods(&fence, without(3, true)?).await?;
    assert_eq!((second.missing.len(), second.removed, live().await?), (1, 1, 1));
    assert_eq!(counts(&second), [1, 0, 0, 1, 0]);
    // What the first list had is not removed by the second alone.
    let none = MethodsWrite {
        lists: vec![MethodList { customer: remote("1")?, as_of: at(4), methods: Vec::new() }],
        ..without(4, true)?
    };
    let third = cx.store().apply_methods(&fence, none).await?;
    assert_eq!((third.missing.len(), third.removed, live().await?), (1, 0, 1));
    // Once is enough; and it lives again when it is listed again.
    let again = cx.store().apply_methods(&fence, without(4, true)?).await?;
    assert_eq!((again.missing.len(), again.removed), (0, 0));
    let both = vec![card("m1", "4242")?, card("m2", "1881")?];
    lists(cx, &fence, "alpha", 5, "1", both).await?;
    assert_eq!(live().await?, 2);
    Ok(())
}
