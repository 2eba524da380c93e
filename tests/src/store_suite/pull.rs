//! Reads of customers: mirror, links, canonical records, changes, scans.

use std::sync::Arc;

use anyhow::ensure;
use model::{Profile, RemoteCustomer, RemoteCustomerId, RemoteStatus};
use store::{CustomersApplied, CustomersWrite, NewScan, Overlap, ScanState};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, account_row, at, card, customer, name};

cases![
    the_same_page_twice_is_once,
    a_change_is_written_with_before_and_after,
    a_stale_read_is_dropped,
    a_newer_read_of_the_same_moves_as_of,
    repeats_within_a_write_count_once,
    two_accounts_share_a_record_by_reference,
    precedence_is_by_rank,
    a_value_that_ends_gives_way_to_the_next,
    two_customers_of_one_reference_stay_two,
    no_reference_means_a_record_of_its_own,
    references_compare_byte_for_byte,
    namespaces_do_not_meet,
    a_changed_reference_keeps_its_link,
    deleted_customers_leave_the_living,
    a_customer_may_come_back,
    inline_methods_are_written_too,
    concurrent_pages_of_two_accounts_agree,
    a_scan_knows_what_it_saw,
    what_a_complete_reading_showed_is_listed,
    a_page_of_many,
    credentials_are_sealed_at_rest,
];

fn counts(applied: &CustomersApplied) -> [u64; 5] {
    [applied.seen, applied.created, applied.updated, applied.unchanged, applied.stale]
}

fn page() -> anyhow::Result<Vec<RemoteCustomer>> {
    let mut ada = customer("1", Some("r1"), "Ada")?;
    ada.methods = Some(vec![card("m1", "4242")?, card("m2", "1111")?]);
    Ok(vec![ada, customer("2", Some("r2"), "Bo")?, customer("3", None, "Cy")?])
}

/// Every row but those of `parts`, which each write touches.
async fn rows_but_parts(cx: &Cx) -> anyhow::Result<Vec<String>> {
    let mut dump = cx.dump().await?;
    dump.retain(|line| !line.starts_with("parts|"));
    Ok(dump)
}

async fn the_same_page_twice_is_once(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let first = cx.pull(&fence, "alpha", 10, page()?).await?;
    assert_eq!(counts(&first), [3, 3, 0, 0, 0]);
    assert_eq!((first.methods.seen, first.methods.created), (2, 2));
    let before = rows_but_parts(cx).await?;
    let second = cx.pull(&fence, "alpha", 10, page()?).await?;
    assert_eq!(counts(&second), [3, 0, 0, 3, 0]);
    assert_eq!((second.methods.created, second.methods.unchanged), (0, 2));
    assert_eq!(rows_but_parts(cx).await?, before, "the same read again wrote something");
    assert_eq!(cx.rows_in("changes").await?, 0, "first sight wrote a change");
    assert_eq!(cx.rows_in("customers").await?, 3);
    assert_eq!(cx.rows_in("methods").await?, 2);
    Ok(())
}

async fn a_change_is_written_with_before_and_after(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let mut changed = page()?;
    if let Some(ada) = changed.first_mut() {
        ada.profile.phone = Some("+371 1".into());
        ada.profile.email = None;
        ada.profile.metadata.insert("tier".into(), "gold".into());
    }
    let applied = cx.pull(&fence, "alpha", 20, changed).await?;
    assert_eq!(counts(&applied), [3, 0, 1, 2, 0]);
    let written = cx
        .texts(
            "SELECT c.field, c.before, c.after, c.cause, c.run, c.account, c.subject \
             FROM changes c JOIN customers k ON k.id = c.subject_id \
             WHERE k.reference = 'r1' ORDER BY c.field",
        )
        .await?;
    let written: Vec<Vec<&str>> = written
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect())
        .collect();
    let run = fence.run.as_str();
    let expected = [
        ["email", "1@example.com", "-", "pull", run, "alpha", "customer"],
        ["metadata.tier", "-", "gold", "pull", run, "alpha", "customer"],
        ["phone", "-", "+371 1", "pull", run, "alpha", "customer"],
    ];
    assert_eq!(written, expected);
    assert_eq!(cx.rows_in("changes").await?, 3);
    let canonical = cx.text("SELECT profile FROM customers WHERE reference = 'r1'").await?;
    let canonical: Profile = serde_json::from_str(&canonical.unwrap_or_default())?;
    assert_eq!((canonical.phone.as_deref(), canonical.email), (Some("+371 1"), None));
    let email = cx.text("SELECT email_key FROM customers WHERE reference = 'r1'").await?;
    assert_eq!(email, None);
    Ok(())
}

async fn a_stale_read_is_dropped(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let mirror = "SELECT profile || as_of || state FROM remote_customers ORDER BY remote_id";
    let before = cx.texts(mirror).await?;
    let mut older = page()?;
    for customer in &mut older {
        customer.profile.name = Some("Older".into());
        customer.status = RemoteStatus::Deleted;
    }
    for seconds in [9, 10] {
        let applied = cx.pull(&fence, "alpha", seconds, older.clone()).await?;
        assert_eq!(counts(&applied), [3, 0, 0, 0, 3], "read at {seconds}");
        assert_eq!(cx.texts(mirror).await?, before);
    }
    assert_eq!(cx.rows_in("changes").await?, 0);
    let live = cx.number("SELECT count(*) FROM remote_methods WHERE state = 'live'").await?;
    assert_eq!(live, 2);
    Ok(())
}

async fn a_newer_read_of_the_same_moves_as_of(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let applied = cx.pull(&fence, "alpha", 30, page()?).await?;
    assert_eq!(counts(&applied), [3, 0, 0, 3, 0]);
    let as_of = cx.number("SELECT min(as_of) FROM remote_customers").await?;
    assert_eq!(as_of, at(30).micros());
    let read = cx.number("SELECT max(methods_read_at) FROM remote_customers").await?;
    assert_eq!(read, at(30).micros());
    assert_eq!(cx.rows_in("changes").await?, 0);
    Ok(())
}

async fn repeats_within_a_write_count_once(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let one = customer("1", Some("r1"), "Ada")?;
    let mut with = one.clone();
    with.methods = Some(vec![card("m1", "4242")?, card("m1", "4242")?]);
    let applied = cx.pull(&fence, "alpha", 10, vec![one, with.clone(), with]).await?;
    assert_eq!(counts(&applied), [1, 1, 0, 0, 0]);
    assert_eq!((applied.methods.seen, applied.methods.created), (1, 1));
    assert_eq!(cx.rows_in("customers").await?, 1);
    Ok(())
}

/// The canonical record of a reference: id, profile, sources.
async fn canonical(cx: &Cx, who: &str) -> anyhow::Result<(String, Profile, String)> {
    let sql = format!("SELECT id, profile, sources FROM customers WHERE reference = '{who}'");
    let rows = cx.texts(&sql).await?;
    let cells: Vec<String> = rows.into_iter().flatten().flatten().collect();
    let [id, profile, sources] = cells.as_slice() else { panic!("{who}: {cells:?}") };
    Ok((id.clone(), serde_json::from_str(profile)?, sources.clone()))
}

async fn two_accounts_share_a_record_by_reference(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    cx.pull(&alpha, "alpha", 10, vec![customer("1", Some("r1"), "Ada")?]).await?;
    cx.pull(&beta, "beta", 10, vec![customer("77", Some(" r1 "), "Ada")?]).await?;
    assert_eq!(cx.rows_in("customers").await?, 1);
    let ids = cx.number("SELECT count(DISTINCT customer_id) FROM remote_customers").await?;
    assert_eq!(ids, 1);
    let how = cx.texts("SELECT DISTINCT linked_by FROM remote_customers").await?;
    assert!(how.iter().flatten().all(Option::is_some), "{how:?}");
    Ok(())
}

async fn precedence_is_by_rank(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    // The lower one speaks first, and has a field that the higher one lacks.
    let mut low = customer("77", Some("r1"), "Low")?;
    low.profile.phone = Some("1".into());
    low.profile.email = Some("1@example.com".into());
    cx.pull(&beta, "beta", 10, vec![low.clone()]).await?;
    let (id, profile, sources) = canonical(cx, "r1").await?;
    assert_eq!(profile.name.as_deref(), Some("Low"));
    assert!(sources.contains("\"*\""), "{sources}");

    cx.pull(&alpha, "alpha", 20, vec![customer("1", Some("r1"), "High")?]).await?;
    let (same, profile, sources) = canonical(cx, "r1").await?;
    assert_eq!(same, id);
    assert_eq!(profile.name.as_deref(), Some("High"));
    assert_eq!(profile.phone.as_deref(), Some("1"));
    assert!(sources.contains("alpha") && sources.contains("beta"), "{sources}");
    assert_eq!(cx.rows_in("changes").await?, 0, "first sight wrote a change");

    // What the lower one says of a field that the higher one states changes nothing there, however
    // new; history has it all the same, with the account that said so.
    low.profile.name = Some("Lower still".into());
    let applied = cx.pull(&beta, "beta", 30, vec![low]).await?;
    assert_eq!(counts(&applied), [1, 0, 1, 0, 0]);
    assert_eq!(canonical(cx, "r1").await?.1.name.as_deref(), Some("High"));
    let changed = cx.texts("SELECT account, field, before, after FROM changes").await?;
    let changed: Vec<String> = changed.into_iter().flatten().flatten().collect();
    assert_eq!(changed, ["beta", "name", "Low", "Lower still"]);
    Ok(())
}

async fn a_value_that_ends_gives_way_to_the_next(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let mut high = customer("1", Some("r1"), "High")?;
    high.profile.email = None;
    cx.pull(&alpha, "alpha", 10, vec![high.clone()]).await?;
    cx.pull(&beta, "beta", 10, vec![customer("77", Some("r1"), "Low")?]).await?;
    assert_eq!(cx.rows_in("changes").await?, 0);
    high.profile.name = None;
    cx.pull(&alpha, "alpha", 20, vec![high]).await?;
    assert_eq!(canonical(cx, "r1").await?.1.name.as_deref(), Some("Low"));
    let mut gone = customer("1", Some("r1"), "High")?;
    gone.status = RemoteStatus::Deleted;
    cx.pull(&alpha, "alpha", 30, vec![gone]).await?;
    let (_, profile, sources) = canonical(cx, "r1").await?;
    assert_eq!(profile.email.as_deref(), Some("77@example.com"));
    assert!(!sources.contains("alpha"), "{sources}");
    Ok(())
}

async fn two_customers_of_one_reference_stay_two(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let twins = vec![customer("1", Some("r1"), "Ada")?, customer("2", Some("r1"), "Ada too")?];
    let applied = cx.pull(&fence, "alpha", 10, twins.clone()).await?;
    assert_eq!(counts(&applied), [2, 2, 0, 0, 0]);
    assert_eq!(cx.rows_in("customers").await?, 2);
    assert_eq!(canonical(cx, "r1").await?.1.name.as_deref(), Some("Ada"));
    assert_eq!(cx.number("SELECT count(*) FROM customers WHERE reference IS NULL").await?, 1);
    // Another page later, and the same again: nobody is tied to anybody else.
    cx.pull(&fence, "alpha", 20, vec![customer("3", Some("r1"), "Ada three")?]).await?;
    cx.pull(&fence, "alpha", 30, twins).await?;
    let links = cx.number("SELECT count(DISTINCT customer_id) FROM remote_customers").await?;
    assert_eq!(links, 3);
    assert_eq!(canonical(cx, "r1").await?.1.name.as_deref(), Some("Ada"));
    Ok(())
}

async fn no_reference_means_a_record_of_its_own(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let blank = vec![
        customer("1", None, "Ada")?,
        customer("2", Some(""), "Ada")?,
        customer("3", Some("  "), "Ada")?,
    ];
    cx.pull(&fence, "alpha", 10, blank).await?;
    assert_eq!(cx.rows_in("customers").await?, 3);
    assert_eq!(cx.number("SELECT count(*) FROM customers WHERE reference IS NOT NULL").await?, 0);
    Ok(())
}

async fn references_compare_byte_for_byte(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let beta = cx.fence("beta").await?;
    let texts = ["r1", "R1", "r\u{e9}", "re\u{301}", "r%", "r_", "r'1", "\u{1f600}"];
    let mut customers = Vec::new();
    for (n, text) in texts.into_iter().enumerate() {
        customers.push(customer(&format!("c{n}"), Some(text), text)?);
    }
    cx.pull(&fence, "alpha", 10, customers.clone()).await?;
    assert_eq!(cx.rows_in("customers").await?, 8);
    cx.pull(&beta, "beta", 10, customers).await?;
    assert_eq!(cx.rows_in("customers").await?, 8);
    Ok(())
}

async fn namespaces_do_not_meet(cx: &Cx) -> anyhow::Result<()> {
    let mut shop = account_row("shop", 2)?;
    shop.namespace = "shop".into();
    cx.store().bind_accounts(&[shop]).await?;
    let (alpha, shop) = (cx.fence("alpha").await?, cx.fence("shop").await?);
    cx.pull(&alpha, "alpha", 10, vec![customer("1", Some("r1"), "Ada")?]).await?;
    cx.pull(&shop, "shop", 10, vec![customer("1", Some("r1"), "Bo")?]).await?;
    assert_eq!(cx.rows_in("customers").await?, 2);
    let spaces = cx.number("SELECT count(DISTINCT namespace) FROM customers").await?;
    assert_eq!(spaces, 2);
    Ok(())
}

async fn a_changed_reference_keeps_its_link(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let people = vec![customer("1", Some("r1"), "Ada")?, customer("2", Some("r2"), "Bo")?];
    cx.pull(&fence, "alpha", 10, people).await?;
    let links = "SELECT customer_id FROM remote_customers ORDER BY remote_id";
    let before = cx.texts(links).await?;
    let applied = cx.pull(&fence, "alpha", 20, vec![customer("1", Some("r2"), "Ada")?]).await?;
    assert_eq!(counts(&applied), [1, 0, 1, 0, 0]);
    assert_eq!(cx.texts(links).await?, before, "the link moved with the reference");
    let now = cx.text("SELECT reference FROM remote_customers WHERE remote_id = '1'").await?;
    assert_eq!(now.as_deref(), Some("r2"));
    assert_eq!(canonical(cx, "r1").await?.1.name.as_deref(), Some("Ada"));
    Ok(())
}

async fn deleted_customers_leave_the_living(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let mut gone = customer("1", Some("r1"), "Ada")?;
    gone.status = RemoteStatus::Deleted;
    let applied = cx.pull(&fence, "alpha", 20, vec![gone]).await?;
    assert_eq!(counts(&applied), [1, 0, 1, 0, 0]);
    let sql = "SELECT state FROM remote_customers WHERE remote_id = '1' AND removed_at IS NOT NULL";
    assert_eq!(cx.text(sql).await?.as_deref(), Some("removed"));
    let stats = cx.store().mirror_stats(&name("alpha")?).await?;
    assert_eq!((stats.customers, stats.methods), (2, 0));
    assert_eq!(cx.rows_in("customers").await?, 3, "our record stays");
    // A first sight of a tombstone makes no record.
    let mut never = customer("9", Some("r9"), "Never")?;
    never.status = RemoteStatus::Deleted;
    cx.pull(&fence, "alpha", 20, vec![never]).await?;
    assert_eq!(cx.rows_in("customers").await?, 3);
    Ok(())
}

async fn a_customer_may_come_back(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let link = "SELECT customer_id FROM remote_customers WHERE remote_id = '1'";
    let before = cx.text(link).await?;
    let mut gone = customer("1", Some("r1"), "Ada")?;
    gone.status = RemoteStatus::Deleted;
    cx.pull(&fence, "alpha", 20, vec![gone]).await?;
    cx.pull(&fence, "alpha", 30, page()?).await?;
    assert_eq!(cx.text(link).await?, before);
    let state = "SELECT state FROM remote_customers WHERE remote_id = '1' AND removed_at IS NULL";
    assert_eq!(cx.text(state).await?.as_deref(), Some("live"));
    let stats = cx.store().mirror_stats(&name("alpha")?).await?;
    assert_eq!((stats.customers, stats.methods), (3, 2));
    Ok(())
}

async fn inline_methods_are_written_too(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, page()?).await?;
    let read = "SELECT CAST(methods_read_at AS TEXT) FROM remote_customers ORDER BY remote_id";
    let read: Vec<Option<String>> = cx.texts(read).await?.into_iter().flatten().collect();
    assert_eq!(read, [Some(at(10).micros().to_string()), None, None]);
    let mut fewer = customer("1", Some("r1"), "Ada")?;
    fewer.methods = Some(vec![card("m2", "2222")?, card("m3", "3333")?]);
    let applied = cx.pull(&fence, "alpha", 20, vec![fewer]).await?;
    let methods = applied.methods;
    assert_eq!([methods.seen, methods.created, methods.updated], [2, 1, 1]);
    // A method that an inline list lacks is not marked: absence is proven elsewhere.
    let live = cx.number("SELECT count(*) FROM remote_methods WHERE state = 'live'").await?;
    assert_eq!(live, 3);
    let changes = cx.texts("SELECT field, before, after, subject FROM changes").await?;
    let changes: Vec<String> = changes.into_iter().flatten().flatten().collect();
    assert_eq!(changes, ["last4", "1111", "2222", "method"]);
    Ok(())
}

async fn concurrent_pages_of_two_accounts_agree(cx: &Cx) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for account in ["alpha", "beta", "alpha", "beta"] {
        let fence = cx.fence(account).await?;
        let store = Arc::clone(&cx.store);
        let mut customers = Vec::new();
        for n in 0..200 {
            customers.push(customer(&format!("c{n}"), Some(&format!("r{n}")), account)?);
        }
        let write = CustomersWrite {
            account: name(account)?,
            scan: None,
            as_of: at(10),
            customers,
            overlap: Overlap::Written,
        };
        tasks.push(tokio::spawn(async move { store.apply_customers(&fence, write).await }));
    }
    let mut created = 0;
    for task in tasks {
        created += task.await??.created;
    }
    assert_eq!(created, 400);
    assert_eq!(cx.rows_in("remote_customers").await?, 400);
    assert_eq!(cx.rows_in("customers").await?, 200, "a reference has two records");
    assert_eq!(canonical(cx, "r7").await?.1.name.as_deref(), Some("alpha"));
    Ok(())
}

async fn a_scan_knows_what_it_saw(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let new = NewScan {
        account: name("alpha")?,
        pass: 1,
        page_size: 100,
        top: false,
        config: "now".into(),
    };
    let scan = cx.store().begin_scan(&fence, &new).await?;
    let other = cx.store().begin_scan(&fence, &NewScan { pass: 2, ..new }).await?;
    assert_ne!(scan, other);
    for n in [1, 2] {
        let write = CustomersWrite {
            account: name("alpha")?,
            scan: Some(scan.clone()),
            as_of: at(n),
            customers: vec![customer(&n.to_string(), None, "Ada")?],
            overlap: Overlap::Written,
        };
        cx.store().apply_customers(&fence, write).await?;
    }
    let marked = format!("SELECT count(*) FROM remote_customers WHERE scan = '{scan}'");
    assert_eq!(cx.number(&marked).await?, 2);
    let sql = format!(
        "SELECT state, CAST(rows_seen AS TEXT), CAST(pass AS TEXT) FROM scans WHERE id = '{scan}'"
    );
    let row: Vec<String> = cx.texts(&sql).await?.into_iter().flatten().flatten().collect();
    assert_eq!(row, ["running", "2", "1"]);
    cx.store().end_scan(&fence, &scan, ScanState::Complete).await?;
    let ended = cx.number("SELECT count(*) FROM scans WHERE ended_at IS NOT NULL").await?;
    assert_eq!(ended, 1);
    let state = cx.text(&format!("SELECT state FROM scans WHERE id = '{scan}'")).await?;
    assert_eq!(state.as_deref(), Some("complete"));
    Ok(())
}

async fn what_a_complete_reading_showed_is_listed(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let alpha = name("alpha")?;
    let new = NewScan {
        account: alpha.clone(),
        pass: 1,
        page_size: 100,
        top: false,
        config: "now".into(),
    };
    let read = async |scan: &NewScan, id: &str, ended: ScanState| -> anyhow::Result<()> {
        let scan = cx.store().begin_scan(&fence, scan).await?;
        let write = CustomersWrite {
            account: alpha.clone(),
            scan: Some(scan.clone()),
            as_of: at(1),
            customers: vec![customer(id, None, "Ada")?],
            overlap: Overlap::Written,
        };
        cx.store().apply_customers(&fence, write).await?;
        Ok(cx.store().end_scan(&fence, &scan, ended).await?)
    };
    let ids = ["whole", "broken", "ours", "top"].map(|id| RemoteCustomerId::new(id).expect("one"));
    let listed = async || -> anyhow::Result<Vec<String>> {
        let listed = cx.store().listed(&alpha, &ids).await?;
        Ok(listed.iter().map(ToString::to_string).collect())
    };
    ensure!(listed().await?.is_empty());
    read(&new, "whole", ScanState::Complete).await?;
    // What a reading that was broken off showed is known, and somebody unknown may come behind it.
    let top = NewScan { top: true, ..new.clone() };
    read(&top, "broken", ScanState::Incomplete).await?;
    // So it is with what our own creates made.
    cx.pull(&fence, "alpha", 1, vec![customer("ours", None, "Ada")?]).await?;
    ensure!(listed().await? == ["whole"], "{:?}", listed().await?);
    read(&top, "top", ScanState::Complete).await?;
    ensure!(listed().await? == ["top"], "{:?}", listed().await?);
    // The top is no reading of the whole.
    let whole = cx.store().last_complete_scan(&alpha, "now").await?;
    let began = cx.number("SELECT started_at FROM scans WHERE what = 'customers'").await?;
    ensure!(whole.map(model::Timestamp::micros) == Some(began), "{whole:?}");
    // Long after, whoever was known when it began is listed too.
    cx.execute("UPDATE remote_customers SET first_seen = first_seen - 3600000000").await?;
    ensure!(listed().await?.len() == 4, "{:?}", listed().await?);
    Ok(())
}

async fn a_page_of_many(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut customers = Vec::new();
    for n in 0..1_203 {
        let mut one = customer(&format!("c{n}"), Some(&format!("r{n}")), "Ada")?;
        one.methods = Some(vec![card(&format!("m{n}"), "4242")?]);
        customers.push(one);
    }
    let applied = cx.pull(&fence, "alpha", 10, customers.clone()).await?;
    assert_eq!(counts(&applied), [1_203, 1_203, 0, 0, 0]);
    assert_eq!(applied.methods.created, 1_203);
    for customer in customers.iter_mut().step_by(2) {
        customer.profile.name = Some("Bo".into());
    }
    let applied = cx.pull(&fence, "alpha", 20, customers).await?;
    assert_eq!(counts(&applied), [1_203, 0, 602, 601, 0]);
    assert_eq!(cx.rows_in("changes").await?, 602);
    Ok(())
}

async fn credentials_are_sealed_at_rest(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let canary = "cred-CANARY-77b0aa";
    let mut ada = customer("1", Some("r1"), "Ada")?;
    let mut method = card("m1", "4242")?;
    method.credential = Some(model::Token {
        kind: model::TokenKind::Processor,
        value: canary.to_owned().into(),
        created_at: None,
    });
    ada.methods = Some(vec![method]);
    cx.pull(&fence, "alpha", 10, vec![ada.clone()]).await?;
    let kept = "SELECT count(*) FROM remote_methods WHERE credential IS NOT NULL";
    assert_eq!(cx.number(kept).await?, 1);
    assert!(!cx.is_at_rest(canary).await?);
    // A seal is new each time, and no news.
    let again = cx.pull(&fence, "alpha", 20, vec![ada]).await?;
    assert_eq!(again.methods.unchanged, 1);
    Ok(())
}
