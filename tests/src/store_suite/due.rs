//! What a pull is still to read, what it did not see, and reads that overlap an open effect.

use std::time::Duration;

use model::{
    Clock as _, EffectKind, Expiry, MethodFacts, RemoteCustomerId, RemoteMethod, RemoteStatus,
    SystemClock, Timestamp,
};
use store::{
    CustomersApplied, CustomersWrite, Due, Fence, MethodList, MethodsApplied, MethodsWrite,
    NewScan, Overlap,
};

use crate::store_suite::cases;
use crate::store_suite::support::{
    Cx, at, card, customer, intent, name, reference, remote, remote_method,
};

cases![
    what_a_scan_did_not_see_is_named,
    methods_are_due_by_age,
    what_is_urgent_is_due_whatever_its_age,
    the_oldest_reads_are_found,
    what_no_list_shows_is_named,
    a_customer_goes_with_its_methods,
    reads_that_overlap_an_open_effect_are_dropped,
];

/// So long an effect without an answer is open.
const OPEN: Duration = Duration::from_secs(60);
const ALL: u32 = 100;

fn ids(ids: &[RemoteCustomerId]) -> Vec<&str> {
    ids.iter().map(RemoteCustomerId::as_str).collect()
}

async fn write(
    cx: &Cx,
    fence: &Fence,
    scan: Option<&str>,
    seconds: i64,
    of: &[&str],
    overlap: Overlap,
) -> anyhow::Result<CustomersApplied> {
    let customers = of.iter().map(|id| customer(id, Some(&format!("r{id}")), "Ada"));
    let write = CustomersWrite {
        account: name("alpha")?,
        scan: scan.map(str::to_owned),
        as_of: at(seconds),
        customers: customers.collect::<Result<_, _>>()?,
        overlap,
    };
    Ok(cx.store().apply_customers(fence, write).await?)
}

async fn list(
    cx: &Cx,
    fence: &Fence,
    seconds: i64,
    of: &str,
    methods: Vec<RemoteMethod>,
    overlap: Overlap,
) -> anyhow::Result<MethodsApplied> {
    let lists = vec![MethodList { customer: remote(of)?, as_of: at(seconds), methods }];
    let write = MethodsWrite { account: name("alpha")?, lists, absent: Vec::new(), overlap };
    Ok(cx.store().apply_methods(fence, write).await?)
}

async fn due(cx: &Cx, due: Due) -> anyhow::Result<Vec<String>> {
    let due = cx.store().due_customers(&name("alpha")?, &due, None, ALL).await?;
    Ok(due.into_iter().map(Into::into).collect())
}

/// All that were read before, and were seen; a card that expires long ago would be due.
fn before(seconds: i64) -> anyhow::Result<Due> {
    let expires = (Expiry::new(1, 2000)?, Expiry::new(1, 2000)?);
    Ok(Due { since: at(1000), seen: at(0), before: at(seconds), expires })
}

async fn what_a_scan_did_not_see_is_named(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2", "3", "4", "5"], Overlap::Written).await?;
    let new = NewScan {
        account: name("alpha")?,
        pass: 1,
        page_size: 100,
        top: false,
        config: "now".into(),
    };
    let scan = cx.store().begin_scan(&fence, &new).await?;
    // The suite's reads are long ago; the scan is not.
    cx.execute(&format!("UPDATE scans SET started_at = {}", at(10).micros())).await?;
    write(cx, &fence, Some(&scan), 11, &["2"], Overlap::Written).await?;
    // Somebody else has read this one since.
    write(cx, &fence, None, 12, &["4"], Overlap::Written).await?;
    let unseen = cx.store().unseen_customers(&scan, now(), None, ALL).await?;
    assert_eq!(ids(&unseen), ["1", "3", "5"]);
    let after = cx.store().unseen_customers(&scan, now(), Some(&remote("1")?), 1).await?;
    assert_eq!(ids(&after), ["3"]);
    let gone = cx.store().apply_customers(&fence, gone("3", 13)?).await?;
    assert_eq!((gone.removed, gone.updated), (1, 1));
    assert_eq!(ids(&cx.store().unseen_customers(&scan, now(), None, ALL).await?), ["1", "5"]);
    // What an effect did may not be shown yet.
    let import = cx.begin("alpha", true, 1).await?;
    let import = cx.claim(&import).await?;
    let one = intent(EffectKind::SetDefault, "r5", Some("r5"))?;
    cx.store().commit_intents(&import, &name("alpha")?, vec![one]).await?;
    assert_eq!(ids(&cx.store().unseen_customers(&scan, at(0), None, ALL).await?), ["1"]);
    assert_eq!(cx.store().removed_since(&name("alpha")?, at(0)).await?, (1, 0));
    assert_eq!(cx.store().removed_since(&name("alpha")?, now()).await?, (0, 0));
    Ok(())
}

/// Later than anything that a case does.
fn now() -> Timestamp {
    SystemClock.now().plus(Duration::from_secs(3600))
}

fn gone(id: &str, seconds: i64) -> anyhow::Result<CustomersWrite> {
    let mut gone = customer(id, None, "")?;
    gone.status = RemoteStatus::Deleted;
    Ok(CustomersWrite {
        account: name("alpha")?,
        scan: None,
        as_of: at(seconds),
        customers: vec![gone],
        overlap: Overlap::Written,
    })
}

async fn methods_are_due_by_age(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2", "3", "4"], Overlap::Written).await?;
    for (id, seconds) in [("1", 10), ("2", 20), ("3", 1000)] {
        list(cx, &fence, seconds, id, Vec::new(), Overlap::Written).await?;
    }
    // One that was never read is due anyway; one that was read since is not.
    assert_eq!(due(cx, before(1000)?).await?, ["1", "2", "4"]);
    assert_eq!(due(cx, before(20)?).await?, ["1", "4"]);
    assert_eq!(due(cx, Due { seen: at(2), ..before(1000)? }).await?, [""; 0]);
    let (alpha, first) = (name("alpha")?, remote("1")?);
    let next = cx.store().due_customers(&alpha, &before(1000)?, Some(&first), 1).await?;
    assert_eq!(ids(&next), ["2"]);
    Ok(())
}

async fn what_is_urgent_is_due_whatever_its_age(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2", "3", "4"], Overlap::Written).await?;
    let mut soon = card("m1", "4242")?;
    if let MethodFacts::Card(card) = &mut soon.facts {
        card.expiry = Some(Expiry::new(6, 2026)?);
    }
    list(cx, &fence, 10, "1", vec![soon], Overlap::Written).await?;
    list(cx, &fence, 10, "2", vec![card("m2", "4242")?], Overlap::Written).await?;
    list(cx, &fence, 10, "3", Vec::new(), Overlap::Written).await?;
    list(cx, &fence, 10, "4", Vec::new(), Overlap::Written).await?;
    let within = |from, to| -> anyhow::Result<Due> {
        Ok(Due { expires: (Expiry::new(from, 2026)?, Expiry::new(to, 2026)?), ..before(0)? })
    };
    let urgent = within(5, 6)?;
    assert_eq!(due(cx, urgent).await?, ["1"]);
    assert_eq!(due(cx, within(4, 5)?).await?, [""; 0]);
    assert_eq!(due(cx, within(7, 8)?).await?, [""; 0], "it has expired already");
    // An effect has touched one of them since it was read: effects of this suite are of today.
    let import = cx.begin("alpha", true, 1).await?;
    let import = cx.claim(&import).await?;
    let one = intent(EffectKind::SetDefault, "r3", Some("r3"))?;
    cx.store().commit_intents(&import, &name("alpha")?, vec![one]).await?;
    assert_eq!(due(cx, urgent).await?, ["1", "3"]);
    Ok(())
}

async fn the_oldest_reads_are_found(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2", "3", "4"], Overlap::Written).await?;
    for (id, seconds) in [("3", 10), ("1", 20), ("2", 30)] {
        list(cx, &fence, seconds, id, Vec::new(), Overlap::Written).await?;
    }
    let alpha = name("alpha")?;
    let cut = async |before_it| cx.store().read_longest_ago(&alpha, at(1000), before_it).await;
    assert_eq!([cut(0).await?, cut(1).await?], [Some(at(10)), Some(at(20))]);
    assert_eq!(cut(3).await?, None, "one was never read");
    assert_eq!(cx.store().read_longest_ago(&alpha, at(20), 1).await?, None);
    let unread = cx.store().methods_unread(&alpha, at(20)).await?;
    assert_eq!((unread.customers, unread.never, unread.oldest), (2, 1, Some(at(10))));
    let none = cx.store().methods_unread(&name("beta")?, at(20)).await?;
    assert_eq!((none.customers, none.never, none.oldest), (0, 0, None));
    Ok(())
}

async fn what_no_list_shows_is_named(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2"], Overlap::Written).await?;
    for (id, methods) in [("1", ["m1", "m2", "m3"]), ("2", ["m1", "m4", "m5"])] {
        let methods = methods.into_iter().map(|method| card(method, "4242"));
        list(cx, &fence, 10, id, methods.collect::<Result<_, _>>()?, Overlap::Written).await?;
    }
    let alpha = name("alpha")?;
    let unlisted = async |since| cx.store().unlisted_methods(&alpha, since, now(), None, ALL).await;
    assert!(unlisted(at(0)).await?.is_empty());
    list(cx, &fence, 20, "1", vec![card("m2", "4242")?], Overlap::Written).await?;
    list(cx, &fence, 30, "2", vec![card("m1", "4242")?], Overlap::Written).await?;
    let pair = |customer, method| anyhow::Ok((remote(customer)?, remote_method(method)?));
    let all = [pair("1", "m1")?, pair("1", "m3")?, pair("2", "m4")?, pair("2", "m5")?];
    assert_eq!(unlisted(at(0)).await?, all);
    assert_eq!(unlisted(at(30)).await?, all[2..], "whose list was read since");
    let next = cx.store().unlisted_methods(&alpha, at(0), now(), Some(&all[1]), 1).await?;
    assert_eq!(next, all[2..3]);
    Ok(())
}

async fn a_customer_goes_with_its_methods(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    write(cx, &fence, None, 1, &["1", "2"], Overlap::Written).await?;
    for id in ["1", "2"] {
        let methods = vec![card("m1", "4242")?, card("m2", "1111")?];
        list(cx, &fence, 10, id, methods, Overlap::Written).await?;
    }
    let applied = cx.store().apply_customers(&fence, gone("1", 20)?).await?;
    assert_eq!((applied.removed, applied.methods_removed), (1, 2));
    let live = "SELECT remote_customer_id FROM remote_methods WHERE state = 'live'";
    assert_eq!(cx.texts(live).await?.concat(), [Some("2".to_owned()), Some("2".to_owned())]);
    let told = "SELECT subject, before, after FROM changes WHERE field = 'state' ORDER BY subject";
    let told: Vec<String> = cx.texts(told).await?.into_iter().flatten().flatten().collect();
    let each = |subject| [subject, "live", "removed"];
    assert_eq!(told, [each("customer"), each("method"), each("method")].concat());
    let again = cx.store().apply_customers(&fence, gone("1", 30)?).await?;
    assert_eq!((again.removed, again.methods_removed, again.unchanged), (0, 0, 1));
    Ok(())
}

async fn reads_that_overlap_an_open_effect_are_dropped(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let all = ["1", "2", "3"];
    write(cx, &fence, None, 1, &all, Overlap::Written).await?;
    let import = cx.begin("alpha", true, 1).await?;
    let import = cx.claim(&import).await?;
    let mut set = intent(EffectKind::SetDefault, "r2/m", Some("r2"))?;
    set.remote_customer = Some(remote("2")?);
    // The provider's id of one that is being created is not known yet.
    let create = intent(EffectKind::CreateCustomer, "r3", Some(reference("r3")?.as_str()))?;
    let alpha = name("alpha")?;
    cx.store().commit_intents(&import, &alpha, vec![set, create]).await?;
    let read = write(cx, &fence, None, 2, &all, Overlap::Dropped(OPEN)).await?;
    assert_eq!((read.seen, read.unchanged, read.overlapping), (1, 1, 2));
    let methods = || anyhow::Ok(vec![card("m1", "4242")?]);
    let listed = list(cx, &fence, 2, "2", methods()?, Overlap::Dropped(OPEN)).await?;
    assert_eq!((listed.counts.seen, listed.overlapping), (0, 1));
    assert_eq!(cx.rows_in("remote_methods").await?, 0);
    let known = list(cx, &fence, 2, "2", methods()?, Overlap::Written).await?;
    assert_eq!((known.counts.created, known.overlapping), (1, 0), "its own reads are the import's");
    // Sent so long ago that nothing can come of it any more.
    let late = list(cx, &fence, 3, "2", methods()?, Overlap::Dropped(Duration::ZERO)).await?;
    assert_eq!((late.counts.seen, late.overlapping), (1, 0));
    Ok(())
}
