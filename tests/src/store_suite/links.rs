//! How customers are matched, what there is to say of it, and what a person makes of it (rule 8).

use model::{CustomerId, RemoteCustomer};
use store::{
    ExportedCustomer, ExportedLink, ExportedMethod, LinkMove, LinkRefused, LinkTo, MatchFinding,
    MethodList, MethodsWrite, Overlap, PageKey,
};

use crate::store_suite::cases;
use crate::store_suite::support::{
    Cx, account_row, at, card, customer, name, reference, remote, remote_method,
};

cases![
    a_reference_of_somebody_else_links_nobody,
    an_email_links_where_the_account_says_so,
    what_matching_left_is_counted,
    a_persons_unlinking_stays,
    a_person_links_back,
    what_is_refused_writes_nothing,
    methods_are_linked_by_name,
    a_first_sight_says_its_run,
    exports_come_in_pages,
];

/// The same as [`customer`], with an address of its own.
fn at_address(
    id: &str,
    who: Option<&str>,
    name: &str,
    email: &str,
) -> anyhow::Result<RemoteCustomer> {
    let mut there = customer(id, who, name)?;
    there.profile.email = Some(email.to_owned());
    Ok(there)
}

/// Our customer of a customer at an account, and how it was linked.
async fn linked(cx: &Cx, account: &str, id: &str) -> anyhow::Result<(CustomerId, String)> {
    let sql = format!(
        "SELECT customer_id, linked_by FROM remote_customers \
         WHERE account = '{account}' AND remote_id = '{id}'"
    );
    let cells: Vec<String> = cx.texts(&sql).await?.into_iter().flatten().flatten().collect();
    let [id, by] = cells.as_slice() else { anyhow::bail!("{account} {id}: {cells:?}") };
    Ok((CustomerId::new(id.as_str())?, by.clone()))
}

async fn lists(
    cx: &Cx,
    account: &str,
    seconds: i64,
    of: &str,
    cards: &[(&str, &str)],
) -> anyhow::Result<()> {
    let fence = cx.fence(account).await?;
    let methods = cards.iter().map(|(id, last4)| card(id, last4)).collect::<Result<_, _>>()?;
    let list = MethodList { customer: remote(of)?, as_of: at(seconds), methods };
    let (account, lists) = (name(account)?, vec![list]);
    let write = MethodsWrite { account, lists, absent: Vec::new(), overlap: Overlap::Written };
    cx.store().apply_methods(&fence, write).await?;
    Ok(())
}

async fn a_reference_of_somebody_else_links_nobody(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let ada = at_address("1", Some("r1"), "Ada", "ada@x")?;
    cx.pull(&alpha, "alpha", 10, vec![ada.clone()]).await?;
    let other = at_address("9", Some("r1"), "Bo", "bo@x")?;
    cx.pull(&beta, "beta", 10, vec![other]).await?;
    let (record, by) = linked(cx, "beta", "9").await?;
    assert_eq!(by, "ambiguous");
    assert_ne!(record, linked(cx, "alpha", "1").await?.0);
    // What agrees later links nobody either: a person does.
    let mut same = ada;
    same.id = remote("9")?;
    cx.pull(&beta, "beta", 20, vec![same]).await?;
    assert_eq!(linked(cx, "beta", "9").await?, (record, "ambiguous".to_owned()));
    Ok(())
}

async fn an_email_links_where_the_account_says_so(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let people = vec![
        at_address("1", Some("r1"), "Ada", "Ada@X")?,
        at_address("2", None, "Bo", "two@x")?,
        at_address("3", None, "Cy", "two@x")?,
        at_address("4", None, "Di", "di@x")?,
    ];
    cx.pull(&alpha, "alpha", 10, people).await?;
    cx.pull(&beta, "beta", 10, vec![at_address("off", None, "Ada", "ada@x")?]).await?;
    assert_eq!(linked(cx, "beta", "off").await?.1, "no_reference");
    // What is linked no more, or never was, is no candidate.
    cx.execute("DELETE FROM remote_customers WHERE remote_id = 'off'").await?;
    let mut row = account_row("beta", 1)?;
    row.match_by_email = true;
    cx.store().bind_accounts(&[row]).await?;
    let people = vec![
        at_address("on", None, "Ada", " ada@x ")?,
        at_address("two", None, "Bo", "two@x")?,
        at_address("new", Some("r4"), "Di", "di@x")?,
    ];
    cx.pull(&beta, "beta", 20, people).await?;
    assert_eq!(
        linked(cx, "beta", "on").await?,
        (linked(cx, "alpha", "1").await?.0, "email".into())
    );
    assert_eq!(linked(cx, "beta", "two").await?.1, "ambiguous");
    // A record without a reference has the customer's from then on.
    assert_eq!(
        linked(cx, "beta", "new").await?,
        (linked(cx, "alpha", "4").await?.0, "email".into())
    );
    let sql = "SELECT c.reference FROM customers c JOIN remote_customers r ON r.customer_id = c.id \
               WHERE r.account = 'alpha' AND r.remote_id = '4'";
    assert_eq!(cx.text(sql).await?.as_deref(), Some("r4"));
    assert!(cx.store().matching(&name("beta")?, 9).await?.iter().all(|f| f.count == 1));
    Ok(())
}

fn found(findings: &[MatchFinding]) -> Vec<(&str, u64, Vec<&str>)> {
    findings
        .iter()
        .map(|finding| {
            let ids = finding.examples.iter().map(|(id, _)| id.as_str()).collect();
            (finding.category.as_str(), finding.count, ids)
        })
        .collect()
}

async fn what_matching_left_is_counted(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let beta_name = name("beta")?;
    assert!(cx.store().matching(&beta_name, 3).await?.is_empty());
    cx.pull(&alpha, "alpha", 10, vec![at_address("1", Some("r1"), "Ada", "ada@x")?]).await?;
    let long = "r".repeat(300);
    let people = vec![
        at_address("a", Some("r1"), "Bo", "bo@x")?,
        at_address("b", Some("r2"), "Cy", "cy@x")?,
        at_address("c", Some("r2"), "Cy", "cy@x")?,
        at_address("d", None, "Di", "di@x")?,
        at_address("e", Some(&long), "Ed", "ed@x")?,
        at_address("f", None, "Flo", "flo@x")?,
        at_address("g", Some("r7"), "Gil", "gil@x")?,
    ];
    cx.pull(&beta, "beta", 10, people).await?;
    let findings = cx.store().matching(&beta_name, 2).await?;
    assert_eq!(
        found(&findings),
        [
            ("ambiguous_match", 1, vec!["a"]),
            ("duplicate_at_provider", 1, vec!["c"]),
            ("unreferenced", 3, vec!["d", "e"]),
        ]
    );
    let ours = findings[0].examples[0].1.clone();
    assert_eq!(ours, Some(linked(cx, "beta", "a").await?.0));
    // References that come, go and change at the provider leave the links as they are.
    let before = linked(cx, "beta", "g").await?;
    let people = vec![
        at_address("b", None, "Cy", "cy@x")?,
        at_address("d", Some("r9"), "Di", "di@x")?,
        at_address("g", Some("r1"), "Gil", "gil@x")?,
    ];
    cx.pull(&beta, "beta", 20, people).await?;
    assert_eq!(linked(cx, "beta", "g").await?, before);
    let findings = cx.store().matching(&beta_name, 9).await?;
    // Nobody else has the reference of `c` any more; its record does not have it either.
    assert_eq!(found(&findings)[1], ("reference_changed", 4, vec!["b", "c", "d", "g"]));
    assert_eq!(found(&findings)[2], ("unreferenced", 2, vec!["e", "f"]));
    // What a person linked, and what is gone, is not counted; nor is another account.
    let own = |id: &str| -> anyhow::Result<LinkMove> {
        Ok(LinkMove { remote_customer: remote(id)?, to: LinkTo::Own, methods: Vec::new() })
    };
    let said =
        cx.store().move_links(&beta_name, vec![own("g")?, own("f")?, own("a")?], false).await?;
    assert!(said.iter().all(Result::is_ok), "{said:?}");
    let mut gone = at_address("d", None, "Di", "di@x")?;
    gone.status = model::RemoteStatus::Deleted;
    cx.pull(&beta, "beta", 30, vec![gone]).await?;
    let findings = cx.store().matching(&beta_name, 0).await?;
    assert_eq!(found(&findings), [("reference_changed", 2, vec![]), ("unreferenced", 1, vec![]),]);
    assert!(cx.store().matching(&name("alpha")?, 9).await?.is_empty());
    Ok(())
}

/// Ada at both accounts, with a card that both have and one that `beta` alone has.
async fn ada(cx: &Cx) -> anyhow::Result<CustomerId> {
    for (account, id, who) in [("alpha", "1", "Ada"), ("beta", "9", "Ada B.")] {
        let fence = cx.fence(account).await?;
        cx.pull(&fence, account, 10, vec![at_address(id, Some("r1"), who, "ada@x")?]).await?;
    }
    lists(cx, "alpha", 11, "1", &[("m1", "4242")]).await?;
    lists(cx, "beta", 11, "9", &[("x1", "4242"), ("x2", "1881")]).await?;
    assert_eq!((cx.rows_in("customers").await?, cx.rows_in("methods").await?), (1, 2));
    Ok(linked(cx, "alpha", "1").await?.0)
}

async fn unlink(cx: &Cx) -> anyhow::Result<CustomerId> {
    let one = LinkMove { remote_customer: remote("9")?, to: LinkTo::Own, methods: Vec::new() };
    let said = cx.store().move_links(&name("beta")?, vec![one], false).await?;
    Ok(said.into_iter().next().ok_or_else(|| anyhow::anyhow!("no answer"))??.after)
}

const METHOD: &str = "SELECT m.id FROM methods m JOIN remote_methods r ON r.method_id = m.id";

async fn a_persons_unlinking_stays(cx: &Cx) -> anyhow::Result<()> {
    let shared = ada(cx).await?;
    let own = unlink(cx).await?;
    assert_eq!(linked(cx, "beta", "9").await?, (own.clone(), "person".to_owned()));
    assert_ne!(own, shared);
    let name_of = |id: &CustomerId| format!("SELECT profile FROM customers WHERE id = '{id}'");
    assert!(cx.text(&name_of(&own)).await?.is_some_and(|text| text.contains("Ada B.")));
    // The shared card stays with the other account, and this one has a record of its own; the card
    // that was its alone went along.
    assert_eq!(cx.rows_in("methods").await?, 3);
    let theirs = format!("SELECT count(*) FROM methods WHERE customer_id = '{own}'");
    assert_eq!(cx.number(&theirs).await?, 2);
    assert_eq!(cx.number("SELECT count(DISTINCT method_id) FROM remote_methods").await?, 3);
    let told = cx
        .texts(
            "SELECT subject, field, account, cause, run FROM changes ORDER BY subject, field, id",
        )
        .await?;
    let told: Vec<String> = told
        .iter()
        .map(|row| row.iter().map(|c| c.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" "))
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "customer link.9 beta person -",
            "customer link.9 beta person -",
            "method customer beta person -",
            "method link.x1 beta person -",
            "method link.x1 beta person -",
        ]
    );
    // What is read later, changed or not, links nobody.
    let fence = cx.fence("beta").await?;
    cx.pull(&fence, "beta", 20, vec![at_address("9", Some("r1"), "Ada", "ada@x")?]).await?;
    lists(cx, "beta", 21, "9", &[("x1", "4242"), ("x2", "1881"), ("x3", "0005")]).await?;
    assert_eq!(linked(cx, "beta", "9").await?.0, own);
    let theirs = cx.number(&theirs).await?;
    assert_eq!((theirs, cx.rows_in("methods").await?), (3, 4));
    Ok(())
}

async fn a_person_links_back(cx: &Cx) -> anyhow::Result<()> {
    let shared = ada(cx).await?;
    let x2 = format!("{METHOD} WHERE r.remote_id = 'x2'");
    let card = cx.text(&x2).await?;
    unlink(cx).await?;
    let beta = name("beta")?;
    let back = LinkMove {
        remote_customer: remote("9")?,
        to: LinkTo::Reference(reference("r1")?),
        methods: Vec::new(),
    };
    // A dry run says the same and writes nothing.
    let before = cx.dump().await?;
    let dry = cx.store().move_links(&beta, vec![back.clone()], true).await?;
    assert_eq!(cx.dump().await?, before);
    let said = cx.store().move_links(&beta, vec![back], false).await?;
    assert_eq!(said, dry);
    let moved = said[0].as_ref().map_err(ToString::to_string);
    let moved = moved.map_err(anyhow::Error::msg)?;
    assert_eq!((&moved.after, moved.reference.as_deref()), (&shared, Some("r1")));
    assert_eq!(linked(cx, "beta", "9").await?, (shared.clone(), "person".to_owned()));
    // The card that facts tell is the shared one again, and the other's record came back.
    let one =
        "SELECT count(DISTINCT method_id) FROM remote_methods WHERE remote_id IN ('m1', 'x1')";
    assert_eq!(cx.number(one).await?, 1);
    assert_eq!(cx.text(&x2).await?, card);
    let there = format!("SELECT count(*) FROM methods WHERE customer_id = '{shared}'");
    assert_eq!(cx.number(&there).await?, 2);
    // The record has both votes again: the first account's value ends, the other's is there.
    let fence = cx.fence("alpha").await?;
    let mut nameless = at_address("1", Some("r1"), "", "ada@x")?;
    nameless.profile.name = None;
    cx.pull(&fence, "alpha", 30, vec![nameless]).await?;
    let profile = cx.text(&format!("SELECT profile FROM customers WHERE id = '{shared}'")).await?;
    assert!(profile.is_some_and(|text| text.contains("Ada B.")));
    Ok(())
}

async fn what_is_refused_writes_nothing(cx: &Cx) -> anyhow::Result<()> {
    let shared = ada(cx).await?;
    let fence = cx.fence("beta").await?;
    cx.pull(&fence, "beta", 20, vec![at_address("8", None, "Bo", "bo@x")?]).await?;
    let mut shop = account_row("shop", 2)?;
    shop.namespace = "shop".into();
    cx.store().bind_accounts(&[shop]).await?;
    let fence = cx.fence("shop").await?;
    cx.pull(&fence, "shop", 20, vec![at_address("s", Some("r1"), "Ada", "ada@x")?]).await?;
    let before = cx.dump().await?;
    let to = |id: &str, to: LinkTo| -> anyhow::Result<LinkMove> {
        Ok(LinkMove { remote_customer: remote(id)?, to, methods: Vec::new() })
    };
    let moves = vec![
        to("9", LinkTo::Own)?,
        to("8", LinkTo::Customer(shared.clone()))?,
        to("8", LinkTo::Customer(linked(cx, "shop", "s").await?.0))?,
        to("8", LinkTo::Reference(reference("r404")?))?,
        to("404", LinkTo::Own)?,
    ];
    let said = cx.store().move_links(&name("beta")?, moves, false).await?;
    assert_eq!(cx.dump().await?, before);
    assert!(said[0].is_ok());
    assert!(matches!(&said[1], Err(LinkRefused::Taken { by, .. }) if by.as_str() == "9"));
    assert!(matches!(said[2], Err(LinkRefused::NoSuchCustomer { .. })), "another namespace");
    assert!(matches!(said[3], Err(LinkRefused::NoSuchCustomer { .. })));
    assert!(matches!(said[4], Err(LinkRefused::NoSuchRemote { .. })));
    for refused in said.iter().filter_map(|said| said.as_ref().err()) {
        assert!(!refused.hint().is_empty() && !refused.to_string().is_empty());
    }
    Ok(())
}

async fn methods_are_linked_by_name(cx: &Cx) -> anyhow::Result<()> {
    let shared = ada(cx).await?;
    // A renewed card: facts do not tell that it is the same.
    let beta = name("beta")?;
    let m1 = cx.text(&format!("{METHOD} WHERE r.remote_id = 'm1'")).await?.unwrap_or_default();
    let m1 = model::MethodId::new(m1)?;
    let to = |remote_id: &str| -> anyhow::Result<LinkMove> {
        Ok(LinkMove {
            remote_customer: remote("9")?,
            to: LinkTo::Customer(shared.clone()),
            methods: vec![(remote_method(remote_id)?, m1.clone())],
        })
    };
    let said = cx.store().move_links(&beta, vec![to("x2")?], false).await?;
    assert!(matches!(&said[0], Err(LinkRefused::MethodTaken { by, .. }) if by == "x1"), "{said:?}");
    cx.execute("UPDATE remote_methods SET state = 'removed' WHERE remote_id = 'x1'").await?;
    let said = cx.store().move_links(&beta, vec![to("x2")?], false).await?;
    let moved = said[0].as_ref().map_err(ToString::to_string).map_err(anyhow::Error::msg)?;
    assert_eq!((moved.before.as_ref(), moved.methods.len()), (Some(&shared), 1));
    let now = cx.text(&format!("{METHOD} WHERE r.remote_id = 'x2'")).await?;
    assert_eq!(now.as_deref(), Some(m1.as_str()));
    Ok(())
}

async fn a_first_sight_says_its_run(cx: &Cx) -> anyhow::Result<()> {
    let first = cx.fence("alpha").await?;
    let mut one = customer("1", Some("r1"), "Ada")?;
    one.methods = Some(vec![card("m1", "4242")?]);
    cx.pull(&first, "alpha", 10, vec![one.clone()]).await?;
    one.profile.name = Some("Ada L.".into());
    one.methods = Some(vec![card("m1", "1881")?]);
    let second = cx.fence("alpha").await?;
    cx.pull(&second, "alpha", 20, vec![one]).await?;
    for table in ["remote_customers", "remote_methods"] {
        let run = cx.text(&format!("SELECT first_run FROM {table}")).await?;
        assert_eq!(run.as_deref(), Some(first.run.as_str()), "{table}");
    }
    Ok(())
}

/// The ids of all pages of so many rows.
macro_rules! paged {
    ($most:expr, $page:expr, $of:expr) => {{
        let (mut after, mut ids) = (PageKey::default(), Vec::new());
        loop {
            let page = $page(after.clone(), $most).await?;
            assert!(page.len() <= $most as usize);
            let Some(last) = page.last() else { break };
            after = last.key.clone();
            ids.extend(page.iter().map($of));
        }
        ids
    }};
}

async fn exports_come_in_pages(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (cx.fence("alpha").await?, cx.fence("beta").await?);
    let mut people = Vec::new();
    for n in 0..7 {
        let mut one =
            at_address(&format!("a{n}"), Some(&format!("r{n}")), "Ada", &format!("{n}@x"))?;
        // None, one, two, three payment methods.
        one.methods =
            Some((0..n % 4).map(|m| card(&format!("m{m}"), "4242")).collect::<Result<_, _>>()?);
        people.push(one);
    }
    let mut other = people.clone();
    cx.pull(&alpha, "alpha", 10, people).await?;
    other.truncate(2);
    cx.pull(&beta, "beta", 10, other).await?;
    // Gone at one account, at its only one, and a payment method alone.
    for (fence, account, id) in [(&beta, "beta", "a0"), (&alpha, "alpha", "a6")] {
        let mut gone = customer(id, None, "Ada")?;
        gone.status = model::RemoteStatus::Deleted;
        cx.pull(fence, account, 20, vec![gone]).await?;
    }
    cx.execute("UPDATE remote_methods SET state = 'removed' WHERE remote_customer_id = 'a5'")
        .await?;
    let (store, alpha) = (cx.store(), name("alpha")?);
    for most in [1_u32, 2, 3, 100] {
        for account in [None, Some(&alpha)] {
            let page =
                |after, most| async move { store.export_customers(account, &after, most).await };
            let references = paged!(most, page, |one: &ExportedCustomer| one
                .reference
                .clone()
                .unwrap_or_default());
            let mut sorted = references.clone();
            sorted.sort();
            assert_eq!(sorted, ["r0", "r1", "r2", "r3", "r4", "r5"], "{most} {account:?}");
            let page =
                |after, most| async move { store.export_methods(account, &after, most).await };
            let methods = paged!(most, page, |one: &ExportedMethod| one
                .reference
                .clone()
                .unwrap_or_default());
            let mut sorted = methods.clone();
            sorted.sort();
            assert_eq!(sorted, ["r1", "r2", "r2", "r3", "r3", "r3"], "{most} {account:?}");
            // Those of one customer stand together.
            let mut groups = methods;
            groups.dedup();
            assert_eq!(groups.len(), 3, "{groups:?}");
        }
        let alpha = &alpha;
        let page = |after, most| async move { store.export_links(alpha, &after, most).await };
        let links = paged!(most, page, |one: &ExportedLink| (
            one.remote_customer.to_string(),
            one.remote_method.is_some()
        ));
        let of = |wanted: &str| links.iter().filter(|(id, _)| id == wanted).count();
        assert_eq!(["a0", "a1", "a2", "a3", "a4", "a5", "a6"].map(of), [1, 1, 2, 3, 1, 1, 0]);
        assert_eq!(links.iter().filter(|(_, method)| *method).count(), 6, "{links:?}");
    }
    Ok(())
}
