//! What became of effects, and what follows from it.

use model::{EffectId, EffectKind, Origin, RemoteStatus};
use store::{Applied, CommittedEffect, EffectOutcome, EffectState, Fence, StoreError, TokenLink};

use crate::store_suite::cases;
use crate::store_suite::journal::{accepted, outcome};
use crate::store_suite::support::{
    Cx, at, card, customer, intent, name, reference, remote, remote_method,
};

cases![
    an_outcome_says_why,
    a_created_customer_is_mirrored_and_linked,
    a_created_customer_ties_to_the_record_of_its_reference,
    an_added_method_is_mirrored_with_its_link,
    a_default_moves,
    a_removed_method_is_gone,
    an_answer_is_newer_than_a_read_that_began_before,
    outcomes_are_answered_in_order,
    an_effect_of_an_old_epoch_is_settled_by_the_new,
    an_outcome_of_nothing_is_refused_whole,
    a_closed_effect_stays_as_it_is,
];

async fn commit(
    cx: &Cx,
    fence: &Fence,
    outcomes: Vec<EffectOutcome>,
) -> anyhow::Result<Vec<CommittedEffect>> {
    Ok(cx.store().commit_outcomes(fence, &name("alpha")?, outcomes).await?)
}

fn done(effect: &EffectId, applied: Vec<Applied>) -> EffectOutcome {
    EffectOutcome { applied, ..outcome(effect, EffectState::Done) }
}

async fn create(cx: &Cx, fence: &Fence, who: &str) -> anyhow::Result<EffectId> {
    accepted(cx, fence, intent(EffectKind::CreateCustomer, who, Some(who))?).await
}

async fn an_outcome_says_why(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = create(cx, &fence, "r1").await?;
    let refused = EffectOutcome {
        code: Some("provider_refused".into()),
        message: Some("card declined".into()),
        request_id: Some("req-7".into()),
        status: Some(422),
        ..outcome(&effect, EffectState::Refused)
    };
    let answers = commit(cx, &fence, vec![refused]).await?;
    assert_eq!(answers, [CommittedEffect::default()]);
    let effects = cx.store().effects_of_run(&fence.run, 10).await?;
    let row = effects.first().expect("it was committed");
    assert_eq!((row.state, row.origin), (EffectState::Refused, None));
    assert_eq!(row.code.as_deref(), Some("provider_refused"));
    assert_eq!(row.message.as_deref(), Some("card declined"));
    let kept = cx.texts("SELECT request_id, CAST(status AS TEXT) FROM effects").await?;
    assert_eq!(kept, [[Some("req-7".to_owned()), Some("422".to_owned())]]);
    assert_eq!(cx.rows_in("remote_customers").await?, 0);
    assert!(commit(cx, &fence, Vec::new()).await?.is_empty());
    Ok(())
}

async fn a_created_customer_is_mirrored_and_linked(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = create(cx, &fence, "r1").await?;
    let ada = customer("9", Some("r1"), "Ada")?;
    let outcome = done(&effect, vec![Applied::Customer(Box::new(ada.clone()))]);
    let answers = commit(cx, &fence, vec![outcome]).await?;
    let linked = cx.text("SELECT customer_id FROM remote_customers WHERE remote_id = '9'").await?;
    assert!(linked.is_some());
    assert_eq!(answers.first().and_then(|a| a.customer.clone()).map(String::from), linked);
    let canonical = cx.text("SELECT id FROM customers WHERE reference = 'r1'").await?;
    assert_eq!(canonical, linked);
    let effects = cx.store().effects_of_run(&fence.run, 10).await?;
    let row = effects.first().expect("it was committed");
    assert_eq!((row.state, row.origin), (EffectState::Done, Some(Origin::Answered)));
    assert_eq!(row.remote_customer, Some(remote("9")?));
    assert_eq!(cx.rows_in("changes").await?, 0, "first sight wrote a change");
    Ok(())
}

async fn a_created_customer_ties_to_the_record_of_its_reference(cx: &Cx) -> anyhow::Result<()> {
    let beta = cx.fence("beta").await?;
    cx.pull(&beta, "beta", 0, vec![customer("1", Some("r1"), "Ada")?]).await?;
    let fence = cx.fence("alpha").await?;
    let effect = create(cx, &fence, "r1").await?;
    let ada = customer("9", Some("r1"), "Ada")?;
    commit(cx, &fence, vec![done(&effect, vec![Applied::Customer(Box::new(ada))])]).await?;
    assert_eq!(cx.rows_in("customers").await?, 1);
    Ok(())
}

async fn an_added_method_is_mirrored_with_its_link(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 0, vec![customer("9", Some("r1"), "Ada")?]).await?;
    let effect = accepted(cx, &fence, intent(EffectKind::AddMethod, "r1/t", Some("r1"))?).await?;
    let fp = cx.store().keys().token_fp("x", model::TokenKind::Processor, &"t".to_owned().into());
    let link = TokenLink {
        reference: reference("r1")?,
        fp,
        remote_customer: remote("9")?,
        remote_method: remote_method("m1")?,
        how: "created".into(),
    };
    let applied = Applied::Method {
        customer: remote("9")?,
        method: Box::new(card("m1", "4242")?),
        link: Some(link),
    };
    let answers = commit(cx, &fence, vec![done(&effect, vec![applied])]).await?;
    let ids = "SELECT c.customer_id, m.method_id FROM remote_methods m JOIN remote_customers c \
               ON c.account = m.account AND c.remote_id = m.remote_customer_id";
    let ids: Vec<String> = cx.texts(ids).await?.into_iter().flatten().flatten().collect();
    let answer = answers.first().cloned().unwrap_or_default();
    let answered = [answer.customer.map(String::from), answer.method.map(String::from)];
    assert_eq!(answered.into_iter().flatten().collect::<Vec<_>>(), ids);
    assert_eq!(ids.len(), 2);
    let links = cx.texts("SELECT reference, remote_method_id, how, run FROM token_links").await?;
    let links: Vec<String> = links.into_iter().flatten().flatten().collect();
    assert_eq!(links, ["r1", "m1", "created", fence.run.as_str()]);
    let effects = cx.store().effects_of_run(&fence.run, 10).await?;
    let ids = effects.first().map(|e| (e.remote_customer.clone(), e.remote_method.clone()));
    assert_eq!(ids, Some((Some(remote("9")?), Some(remote_method("m1")?))));
    // One method that was added says nothing of the whole list.
    let read = "SELECT count(*) FROM remote_customers WHERE methods_read_at IS NOT NULL";
    assert_eq!(cx.number(read).await?, 0);
    Ok(())
}

async fn a_default_moves(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ada = customer("9", Some("r1"), "Ada")?;
    let mut first = card("m1", "4242")?;
    first.default = Some(true);
    let mut silent = card("m3", "3333")?;
    silent.default = None;
    ada.methods = Some(vec![first, card("m2", "1111")?, silent]);
    let mut bo = customer("8", Some("r2"), "Bo")?;
    let mut theirs = card("m2", "1111")?;
    theirs.default = Some(false);
    bo.methods = Some(vec![theirs]);
    cx.pull(&fence, "alpha", 0, vec![ada, bo]).await?;
    let effect = accepted(cx, &fence, intent(EffectKind::SetDefault, "m2", Some("r1"))?).await?;
    let applied = Applied::Default { customer: remote("9")?, method: remote_method("m2")? };
    commit(cx, &fence, vec![done(&effect, vec![applied])]).await?;
    let now = cx
        .texts(
            "SELECT remote_id, CAST(is_default AS TEXT) FROM remote_methods \
             WHERE remote_customer_id = '9' ORDER BY remote_id",
        )
        .await?;
    let now: Vec<String> = now
        .into_iter()
        .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(now.get(..2).unwrap_or_default(), ["m1 0", "m2 1"]);
    let theirs = "SELECT is_default FROM remote_methods WHERE remote_customer_id = '8'";
    assert_eq!(cx.number(theirs).await?, 0);
    Ok(())
}

async fn a_removed_method_is_gone(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ada = customer("9", Some("r1"), "Ada")?;
    ada.methods = Some(vec![card("m1", "4242")?, card("m2", "1111")?]);
    cx.pull(&fence, "alpha", 0, vec![ada]).await?;
    let effect = accepted(cx, &fence, intent(EffectKind::RemoveMethod, "m1", Some("r1"))?).await?;
    let applied = Applied::MethodRemoved { customer: remote("9")?, method: remote_method("m1")? };
    commit(cx, &fence, vec![done(&effect, vec![applied])]).await?;
    let gone = cx.texts("SELECT remote_id FROM remote_methods WHERE state = 'removed'").await?;
    assert_eq!(gone, [[Some("m1".to_owned())]]);
    assert_eq!(cx.store().mirror_stats(&name("alpha")?).await?.methods, 1);
    assert_eq!(cx.rows_in("methods").await?, 2, "our record stays");
    Ok(())
}

async fn an_answer_is_newer_than_a_read_that_began_before(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let before = model::Clock::now(&model::SystemClock);
    let effect = create(cx, &fence, "r1").await?;
    let ada = customer("9", Some("r1"), "Ada")?;
    commit(cx, &fence, vec![done(&effect, vec![Applied::Customer(Box::new(ada))])]).await?;
    let mut older = customer("9", Some("r1"), "as it was")?;
    older.status = RemoteStatus::Deleted;
    let write = store::CustomersWrite {
        account: name("alpha")?,
        scan: None,
        as_of: before,
        customers: vec![older],
        overlap: store::Overlap::Written,
    };
    let applied = cx.store().apply_customers(&fence, write).await?;
    assert_eq!((applied.stale, applied.updated), (1, 0));
    let as_of = cx.number("SELECT as_of FROM remote_customers").await?;
    assert!(as_of > before.micros() && as_of > at(0).micros());
    Ok(())
}

async fn outcomes_are_answered_in_order(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut outcomes = Vec::new();
    for n in (0..60).rev() {
        let who = format!("r{n}");
        let effect = create(cx, &fence, &who).await?;
        let made = Applied::Customer(Box::new(customer(&format!("c{n}"), Some(&who), "Ada")?));
        let state = if n % 3 == 0 { EffectState::Unknown } else { EffectState::Done };
        let applied = if n % 3 == 0 { Vec::new() } else { vec![made] };
        outcomes.push(EffectOutcome { applied, ..outcome(&effect, state) });
    }
    let answers = commit(cx, &fence, outcomes.clone()).await?;
    assert_eq!(answers.len(), outcomes.len());
    for (answer, (n, asked)) in answers.iter().zip((0..60).rev().zip(&outcomes)) {
        let sql = format!("SELECT customer_id FROM remote_customers WHERE remote_id = 'c{n}'");
        let linked = cx.text(&sql).await?;
        assert_eq!(answer.customer.clone().map(String::from), linked);
        assert_eq!(linked.is_some(), asked.state == EffectState::Done);
    }
    Ok(())
}

async fn an_effect_of_an_old_epoch_is_settled_by_the_new(cx: &Cx) -> anyhow::Result<()> {
    let old = cx.fence("alpha").await?;
    let effect = create(cx, &old, "r1").await?;
    let new = cx.take_over(&old).await?;
    let found = customer("9", Some("r1"), "Ada")?;
    let settled = EffectOutcome {
        origin: Some(Origin::Found),
        ..done(&effect, vec![Applied::Customer(Box::new(found))])
    };
    commit(cx, &new, vec![settled]).await?;
    let effects = cx.store().effects_of_run(&new.run, 10).await?;
    let row = effects.first().map(|row| (row.state, row.origin));
    assert_eq!(row, Some((EffectState::Done, Some(Origin::Found))));
    // So is one that another run left.
    let left = create(cx, &new, "r2").await?;
    commit(cx, &new, vec![outcome(&left, EffectState::Unknown)]).await?;
    let later = cx.fence("alpha").await?;
    commit(cx, &later, vec![outcome(&left, EffectState::Unresolved)]).await?;
    let state = cx.text(&format!("SELECT state FROM effects WHERE id = '{left}'")).await?;
    assert_eq!(state.as_deref(), Some("unresolved"));
    Ok(())
}

async fn an_outcome_of_nothing_is_refused_whole(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = create(cx, &fence, "r1").await?;
    let outcomes = vec![
        done(&effect, vec![Applied::Customer(Box::new(customer("9", Some("r1"), "Ada")?))]),
        outcome(&EffectId::generate(), EffectState::Refused),
    ];
    let answer = cx.store().commit_outcomes(&fence, &name("alpha")?, outcomes).await;
    assert!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
    assert_eq!(cx.rows_in("remote_customers").await?, 0);
    let state = cx.text("SELECT state FROM effects").await?;
    assert_eq!(state.as_deref(), Some("sending"));
    Ok(())
}

async fn a_closed_effect_stays_as_it_is(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = create(cx, &fence, "r1").await?;
    let made = || anyhow::Ok(Applied::Customer(Box::new(customer("9", Some("r1"), "Ada")?)));
    let first = commit(cx, &fence, vec![done(&effect, vec![made()?])]).await?;
    // The same outcome again (its answer was lost) is answered alike.
    let again = commit(cx, &fence, vec![done(&effect, vec![made()?])]).await?;
    assert_eq!(first, again);
    let _ = commit(cx, &fence, vec![outcome(&effect, EffectState::Unknown)]).await;
    let state = cx.text("SELECT state FROM effects").await?;
    assert_eq!(state.as_deref(), Some("done"), "a closed effect was opened again");
    Ok(())
}
