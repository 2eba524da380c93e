//! What else an account says of a payment method and nobody can set.

use std::collections::BTreeMap;

use model::{EffectKind, Origin, RemoteMethod};
use store::{
    Applied, CustomersApplied, EffectOutcome, EffectState, ExportedMethod, Fence, PageKey, What,
};

use crate::store_suite::cases;
use crate::store_suite::journal::{accepted, outcome};
use crate::store_suite::support::{Cx, card, customer, intent, name, remote};

cases![
    attributes_are_kept_and_shown,
    attributes_that_change_are_an_update,
    a_list_without_attributes_takes_them_away,
    an_answer_without_attributes_leaves_them,
    a_row_from_before_attributes_sees_no_change,
];

/// After every answer: the store stamps those by the clock.
const LATER: i64 = 1_000_000_000;

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn saying(id: &str, attributes: &[(&str, &str)]) -> anyhow::Result<RemoteMethod> {
    Ok(RemoteMethod { attributes: pairs(attributes), ..card(id, "4242")? })
}

/// The customer `1` of `alpha` is read with one payment method, `m1`, that has these.
async fn read(
    cx: &Cx,
    fence: &Fence,
    seconds: i64,
    attributes: &[(&str, &str)],
) -> anyhow::Result<CustomersApplied> {
    let mut ada = customer("1", Some("r1"), "Ada")?;
    ada.methods = Some(vec![saying("m1", attributes)?]);
    cx.pull(fence, "alpha", seconds, vec![ada]).await
}

/// The payment method as an export has it.
async fn exported(cx: &Cx, account: Option<&str>) -> anyhow::Result<ExportedMethod> {
    let account = account.map(name).transpose()?;
    let all = cx.store().export_methods(account.as_ref(), &PageKey::default(), 10).await?;
    let [one] = all.as_slice() else { panic!("{all:?}") };
    Ok(one.clone())
}

/// Field, before and after of every change, in order.
async fn changes(cx: &Cx) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT field || ' ' || coalesce(before, '-') || ' ' || coalesce(after, '-') \
               FROM changes WHERE subject = 'method' ORDER BY id";
    Ok(cx.texts(sql).await?.into_iter().flatten().flatten().collect())
}

async fn attributes_are_kept_and_shown(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let all = [("authorization", "active"), ("chain", "O\"Brien — ≠ ASCII")];
    read(cx, &fence, 10, &all).await?;
    let theirs = exported(cx, Some("alpha")).await?;
    assert_eq!(theirs.attributes, pairs(&all));
    let said = theirs.sources.get("attributes.chain").expect("a source");
    assert_eq!(said.account, "alpha");
    // Our record has none of its own.
    let ours = exported(cx, None).await?;
    assert!(ours.attributes.is_empty() && !ours.sources.contains_key("attributes.chain"));
    // Its history says which account shows them, as long as it does.
    let id = ours.method.expect("our id");
    let history = cx.store().method_history(&id).await?.expect("a history");
    let [shown] = history.shown.as_slice() else { panic!("{:?}", history.shown) };
    assert_eq!((shown.account.as_str(), shown.remote.as_str()), ("alpha", "m1"));
    assert_eq!(shown.attributes, pairs(&all));
    cx.execute("UPDATE remote_methods SET state = 'removed', removed_at = 1").await?;
    let history = cx.store().method_history(&id).await?.expect("a history");
    assert!(history.shown.is_empty());
    Ok(())
}

async fn attributes_that_change_are_an_update(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    read(cx, &fence, 10, &[("keep_until", "2030-01"), ("status", "ok")]).await?;
    let same = read(cx, &fence, 20, &[("keep_until", "2030-01"), ("status", "ok")]).await?;
    assert_eq!((same.methods.unchanged, changes(cx).await?.len()), (1, 0));
    let other = read(cx, &fence, 30, &[("keep_until", "2031-01"), ("status", "ok")]).await?;
    assert_eq!((other.methods.updated, other.methods.unchanged), (1, 0));
    assert_eq!(changes(cx).await?, ["attributes.keep_until 2030-01 2031-01"]);
    // It is said in the history, with the account.
    let id = exported(cx, None).await?.method.expect("our id");
    let history = cx.store().method_history(&id).await?.expect("a history");
    let said = history.happened.iter().find_map(|one| match &one.what {
        What::Changed { field, .. } => Some((one.account.as_deref(), field.as_str())),
        _ => None,
    });
    assert_eq!(said, Some((Some("alpha"), "attributes.keep_until")));
    // A read from before says nothing.
    let stale = read(cx, &fence, 25, &[]).await?;
    assert_eq!((stale.stale, changes(cx).await?.len()), (1, 1));
    Ok(())
}

async fn a_list_without_attributes_takes_them_away(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    read(cx, &fence, 10, &[("keep_until", "2030-01")]).await?;
    let none = read(cx, &fence, 20, &[]).await?;
    assert_eq!(none.methods.updated, 1);
    assert_eq!(changes(cx).await?, ["attributes.keep_until 2030-01 -"]);
    assert!(exported(cx, Some("alpha")).await?.attributes.is_empty());
    let kept =
        cx.number("SELECT count(*) FROM remote_methods WHERE attributes IS NOT NULL").await?;
    assert_eq!(kept, 0, "nothing is NULL, and not an empty object");
    Ok(())
}

/// Commits an effect that was answered with the payment method `m1` with these attributes.
async fn answered(cx: &Cx, fence: &Fence, attributes: &[(&str, &str)]) -> anyhow::Result<()> {
    let effect = accepted(cx, fence, intent(EffectKind::AddMethod, "r1/x", Some("r1"))?).await?;
    let method = Box::new(saying("m1", attributes)?);
    let done = EffectOutcome {
        origin: Some(Origin::Answered),
        applied: vec![Applied::Method { customer: remote("1")?, method, link: None }],
        ..outcome(&effect, EffectState::Done)
    };
    cx.store().commit_outcomes(fence, &name("alpha")?, vec![done]).await?;
    Ok(())
}

async fn an_answer_without_attributes_leaves_them(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    read(cx, &fence, 10, &[("keep_until", "2030-01"), ("status", "ok")]).await?;
    answered(cx, &fence, &[]).await?;
    let kept = async || anyhow::Ok(exported(cx, Some("alpha")).await?.attributes);
    assert_eq!(kept().await?, pairs(&[("keep_until", "2030-01"), ("status", "ok")]));
    assert!(changes(cx).await?.is_empty());
    // What it does name is so from now on.
    answered(cx, &fence, &[("status", "renewed")]).await?;
    assert_eq!(kept().await?, pairs(&[("keep_until", "2030-01"), ("status", "renewed")]));
    assert_eq!(changes(cx).await?, ["attributes.status ok renewed"]);
    // The next list shows all there are.
    read(cx, &fence, LATER, &[("status", "renewed")]).await?;
    assert_eq!(kept().await?, pairs(&[("status", "renewed")]));
    Ok(())
}

async fn a_row_from_before_attributes_sees_no_change(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    read(cx, &fence, 10, &[]).await?;
    // What the migration makes of it.
    assert_eq!(cx.execute("UPDATE remote_methods SET attributes = NULL").await?, 1);
    let same = read(cx, &fence, 20, &[]).await?;
    assert_eq!((same.methods.unchanged, same.methods.updated), (1, 0));
    assert!(changes(cx).await?.is_empty());
    let more = read(cx, &fence, 30, &[("keep_until", "2030-01")]).await?;
    assert_eq!(more.methods.updated, 1);
    Ok(())
}
