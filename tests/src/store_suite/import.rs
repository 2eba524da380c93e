//! What is planned for rows, what became of them, and what bears on a group.

use model::{Code, EffectKind, Outcome};
use store::{
    EffectState, Fence, FinishRows, Group, IntentAnswer, RowPlan, RowResult, Statement, TokenFp,
    TokenLink, Verdict,
};

use crate::store_suite::cases;
use crate::store_suite::support::{
    Cx, card, customer, fields, intent, name, reference, remote, remote_method, staged,
};

cases![
    a_plan_is_written,
    a_finished_row_says_what_became_of_it,
    our_ids_are_filled_in_from_the_links,
    a_statement_replaces_the_one_before,
    a_link_is_kept_once,
    forgotten_tokens_leave_their_fingerprint,
    finishing_again_changes_nothing,
    a_group_has_everything_that_bears_on_it,
    a_group_has_links_of_its_tokens_elsewhere,
    a_group_has_open_effects_and_all_of_its_run,
    a_group_knows_nothing_of_other_accounts,
];

fn fp(cx: &Cx, text: &str) -> TokenFp {
    let token = text.to_owned().into();
    cx.store().keys().token_fp("of these cases", model::TokenKind::Processor, &token)
}

fn link(who: &str, fp: TokenFp, customer: &str, method: &str) -> anyhow::Result<TokenLink> {
    Ok(TokenLink {
        reference: reference(who)?,
        fp,
        remote_customer: remote(customer)?,
        remote_method: remote_method(method)?,
        how: "created".into(),
    })
}

fn result(line: u64, outcome: Outcome) -> RowResult {
    RowResult {
        line,
        verdict: Some(Verdict::plain(outcome)),
        customer: None,
        remote_customer: None,
        method: None,
        remote_method: None,
        done: None,
    }
}

async fn group(cx: &Cx, fence: &Fence, account: &str, who: &str) -> anyhow::Result<Group> {
    let page = cx.store().load_groups(fence, &name(account)?, 0, store::Which::Open, 100).await?;
    let found = page.groups.into_iter().find(|group| group.reference.as_str() == who);
    Ok(found.expect("the reference was staged"))
}

async fn a_plan_is_written(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let rows = (1..=3).map(|n| staged(n, "r1", None)).collect::<Result<_, _>>()?;
    cx.stage(&fence, rows).await?;
    let mut verdict = Verdict::with(Outcome::Rejected, Code::FieldLength, "at most 40 characters");
    verdict.field = Some("city".into());
    let plan = vec![
        RowPlan { line: 1, plan: Some("create_customer".into()), verdict: None },
        RowPlan { line: 2, plan: None, verdict: Some(verdict) },
    ];
    cx.store().commit_plan(&fence, plan.clone()).await?;
    cx.store().commit_plan(&fence, plan).await?;
    let rows = cx.store().rows(&fence.run, 0, 10).await?;
    let [one, two, three] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((one.plan.as_deref(), one.outcome), (Some("create_customer"), None));
    assert_eq!((two.plan.as_deref(), two.outcome), (None, Some(Outcome::Rejected)));
    assert_eq!(two.code.as_deref(), Some("field_length"));
    assert_eq!(two.message.as_deref(), Some("at most 40 characters"));
    assert_eq!(two.field.as_deref(), Some("city"));
    assert_eq!((three.plan.as_deref(), three.outcome), (None, None));
    // A plan made anew takes the place of the one before, its verdict included.
    let plan = vec![RowPlan { line: 2, plan: Some("again".into()), verdict: None }];
    cx.store().commit_plan(&fence, plan).await?;
    let rows = cx.store().rows(&fence.run, 1, 1).await?;
    let two = rows.first().expect("row 2");
    assert_eq!((two.plan.as_deref(), two.outcome), (Some("again"), None));
    assert_eq!((&two.code, &two.message, &two.field), (&None, &None, &None));
    Ok(())
}

async fn a_finished_row_says_what_became_of_it(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?, staged(2, "r1", None)?]).await?;
    let mut one = result(1, Outcome::Created);
    one.verdict = Some(Verdict::with(Outcome::Created, Code::CardExpired, "expired in 01/2020"));
    one.remote_customer = Some(remote("9")?);
    one.remote_method = Some(remote_method("m9")?);
    one.done = Some("create_customer+import_method".into());
    // Of one that is open, what took place so far.
    let two = RowResult {
        verdict: None,
        remote_customer: one.remote_customer.clone(),
        done: Some("update_customer".into()),
        ..result(2, Outcome::Created)
    };
    let rows = vec![one, two];
    let finish = FinishRows { rows, cursor: Some("r1".into()), ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    let rows = cx.store().rows(&fence.run, 0, 10).await?;
    let [one, two] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(one.outcome, Some(Outcome::Created));
    assert_eq!(one.code.as_deref(), Some("card_expired"));
    assert_eq!(one.remote_customer_id.as_deref(), Some("9"));
    assert_eq!(one.remote_method_id.as_deref(), Some("m9"));
    assert_eq!(one.done.as_deref(), Some("create_customer+import_method"));
    assert_eq!((&one.customer_id, &one.method_id), (&None, &None), "the mirror knows neither");
    assert_eq!((two.outcome, &two.code, &two.message), (None, &None, &None));
    assert_eq!(two.remote_customer_id.as_deref(), Some("9"));
    assert_eq!(two.done.as_deref(), Some("update_customer"));
    assert_eq!(cx.store().tally(&fence.run).await?.ledger.not_attempted, 1);
    assert_eq!(cx.text("SELECT CAST(rows_done AS TEXT) FROM parts").await?.as_deref(), Some("1"));
    assert_eq!(cx.text("SELECT cursor FROM parts").await?.as_deref(), Some("r1"));
    Ok(())
}

async fn our_ids_are_filled_in_from_the_links(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ada = customer("9", Some("r1"), "Ada")?;
    ada.methods = Some(vec![card("m9", "4242")?]);
    cx.pull(&fence, "alpha", 0, vec![ada]).await?;
    let rows = (1..=3).map(|n| staged(n, "r1", None)).collect::<Result<_, _>>()?;
    cx.stage(&fence, rows).await?;
    let mut both = result(1, Outcome::Linked);
    both.remote_customer = Some(remote("9")?);
    both.remote_method = Some(remote_method("m9")?);
    let mut alone = result(2, Outcome::Linked);
    alone.remote_customer = Some(remote("9")?);
    let mut given = result(3, Outcome::Linked);
    given.remote_customer = Some(remote("9")?);
    given.customer = Some(model::CustomerId::new("c_given")?);
    let finish = FinishRows { rows: vec![both, alone, given], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    let customer = cx.text("SELECT customer_id FROM remote_customers").await?;
    let method = cx.text("SELECT method_id FROM remote_methods").await?;
    assert!(customer.is_some() && method.is_some());
    let rows = cx.store().rows(&fence.run, 0, 10).await?;
    let ids: Vec<_> =
        rows.iter().map(|row| (row.customer_id.clone(), row.method_id.clone())).collect();
    let expected =
        [(customer.clone(), method), (customer, None), (Some("c_given".to_owned()), None)];
    assert_eq!(ids, expected);
    Ok(())
}

async fn a_statement_replaces_the_one_before(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let token = fp(cx, "tok");
    let say = |fp, pairs: &[(&str, &str)]| -> anyhow::Result<FinishRows> {
        let statement = Statement { reference: reference("r1")?, fp, fields: fields(pairs) };
        Ok(FinishRows { statements: vec![statement], ..FinishRows::default() })
    };
    let alpha = name("alpha")?;
    let all = [("name", "11"), ("email", "22")];
    cx.store().finish_rows(&fence, &alpha, say(None, &all)?).await?;
    cx.store().finish_rows(&fence, &alpha, say(Some(token), &[("default", "33")])?).await?;
    cx.store().finish_rows(&fence, &alpha, say(None, &[("name", "44")])?).await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?]).await?;
    let mut statements = group(cx, &fence, "alpha", "r1").await?.statements;
    statements.sort_by_key(|statement| statement.fp);
    let expected = [
        Statement { reference: reference("r1")?, fp: None, fields: fields(&[("name", "44")]) },
        Statement {
            reference: reference("r1")?,
            fp: Some(token),
            fields: fields(&[("default", "33")]),
        },
    ];
    assert_eq!(statements, expected);
    Ok(())
}

async fn a_link_is_kept_once(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let token = fp(cx, "tok");
    let first = link("r1", token, "9", "m9")?;
    let finish = FinishRows { links: vec![first.clone(), first.clone()], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish.clone()).await?;
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    assert_eq!(cx.rows_in("token_links").await?, 1);
    cx.stage(&fence, vec![staged(1, "r1", None)?]).await?;
    assert_eq!(group(cx, &fence, "alpha", "r1").await?.links, [first]);
    Ok(())
}

async fn forgotten_tokens_leave_their_fingerprint(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let rows = (1..=4).map(|n| staged(n, "r1", Some("tok"))).collect::<Result<_, _>>()?;
    cx.stage(&fence, rows).await?;
    // A row that the plan decides needs its token no more.
    let verdict = Some(Verdict::with(Outcome::Rejected, Code::TokenExpired, "too old"));
    let plan = |line, verdict| RowPlan { line, plan: None, verdict };
    cx.store().commit_plan(&fence, vec![plan(2, None), plan(4, verdict)]).await?;
    let finish = FinishRows { forget_tokens: vec![1, 3], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    let left = cx
        .texts(
            "SELECT CAST(line AS TEXT), CASE WHEN token IS NULL THEN 'gone' ELSE 'kept' END, \
             CASE WHEN token_fp IS NULL THEN 'gone' ELSE 'kept' END FROM staged_rows ORDER BY line",
        )
        .await?;
    let left: Vec<String> = left
        .into_iter()
        .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(left, ["1 gone kept", "2 kept kept", "3 gone kept", "4 gone kept"]);
    // The row still reads, with its fingerprint and nothing to open.
    let found = group(cx, &fence, "alpha", "r1").await?;
    let sealed = found.rows.first().and_then(|row| row.method.as_ref()?.sealed.clone());
    let sealed = sealed.expect("the fingerprint stays");
    assert!(sealed.sealed.is_empty());
    assert!(cx.store().keys().open_token(&fence.run, 1, &sealed).is_err());
    Ok(())
}

async fn finishing_again_changes_nothing(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("tok"))?]).await?;
    let statement =
        Statement { reference: reference("r1")?, fp: None, fields: fields(&[("name", "11")]) };
    let finish = FinishRows {
        kept: Vec::new(),
        rows: vec![result(1, Outcome::Linked)],
        statements: vec![statement],
        links: vec![link("r1", fp(cx, "tok"), "9", "m9")?],
        cursor: Some("r1".into()),
        forget_tokens: vec![1],
    };
    let mut counts = Vec::new();
    for _ in 0..2 {
        cx.store().finish_rows(&fence, &name("alpha")?, finish.clone()).await?;
        let ledger = cx.store().tally(&fence.run).await?.ledger;
        let links = cx.rows_in("token_links").await?;
        counts.push((ledger, links, cx.rows_in("statements").await?));
    }
    assert_eq!(counts.first(), counts.last());
    assert_eq!(counts.first().map(|(ledger, ..)| ledger.linked), Some(1));
    Ok(())
}

async fn a_group_has_everything_that_bears_on_it(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ada = customer("1", Some("r1"), "Ada")?;
    ada.methods = Some(vec![card("m1", "4242")?, card("m2", "1111")?]);
    let mut twin = customer("2", Some("r1"), "Ada too")?;
    twin.methods = Some(Vec::new());
    let mut gone = customer("3", Some("r1"), "Ada gone")?;
    gone.status = model::RemoteStatus::Deleted;
    let mut other = customer("4", Some("R1"), "another")?;
    other.methods = Some(vec![card("m4", "4242")?]);
    cx.pull(&fence, "alpha", 7, vec![ada.clone(), twin, gone, other]).await?;
    cx.pull(&fence, "alpha", 8, vec![customer("5", Some("r2"), "Bo")?]).await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?, staged(2, "r2", None)?]).await?;

    let found = group(cx, &fence, "alpha", "r1").await?;
    let mut customers: Vec<_> = found.customers.iter().map(|c| c.id.as_str()).collect();
    customers.sort_unstable();
    assert_eq!(customers, ["1", "2"], "live customers of this very reference, all of them");
    let one = found.customers.iter().find(|c| c.id.as_str() == "1").expect("it is there");
    assert_eq!(one.profile, ada.profile);
    assert_eq!(one.hash, model::digest(&ada.profile));
    assert_eq!(one.as_of, crate::store_suite::support::at(7));
    assert!(one.customer.is_some() && one.methods_read_at.is_some());
    let mut methods: Vec<_> =
        found.methods.iter().map(|m| (m.customer.as_str(), m.id.as_str())).collect();
    methods.sort_unstable();
    assert_eq!(methods, [("1", "m1"), ("1", "m2")]);
    assert!(found.methods.iter().all(|m| m.method.is_some() && m.default == Some(false)));
    let second = group(cx, &fence, "alpha", "r2").await?;
    assert_eq!(second.customers.len(), 1);
    let never = second.customers.first().map(|c| c.methods_read_at.is_none());
    assert_eq!(never, Some(true), "its methods were never read");
    Ok(())
}

async fn a_group_has_links_of_its_tokens_elsewhere(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let row = staged(1, "r1", Some("tok-one"))?;
    cx.stage(&fence, vec![row, staged(2, "r3", None)?]).await?;
    let before = group(cx, &fence, "alpha", "r1").await?;
    let sealed = before.rows.first().and_then(|row| row.method.as_ref()?.sealed.clone());
    let same = sealed.expect("it has a token").fp;
    let elsewhere = link("r2", same, "9", "m9")?;
    let unrelated = link("r2", fp(cx, "other"), "9", "m8")?;
    let own = link("r1", fp(cx, "older"), "1", "m1")?;
    let links = vec![elsewhere.clone(), unrelated, own.clone()];
    let finish = FinishRows { links, ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    let mut links = group(cx, &fence, "alpha", "r1").await?.links;
    links.sort_by(|a, b| a.reference.cmp(&b.reference));
    assert_eq!(links, [own, elsewhere]);
    assert!(group(cx, &fence, "alpha", "r3").await?.links.is_empty());
    Ok(())
}

async fn a_group_has_open_effects_and_all_of_its_run(cx: &Cx) -> anyhow::Result<()> {
    let alpha = name("alpha")?;
    let earlier = cx.fence("alpha").await?;
    let mut ids = Vec::new();
    for subject in ["open", "closed"] {
        let intents = vec![intent(EffectKind::AddMethod, subject, Some("r1"))?];
        let answers = cx.store().commit_intents(&earlier, &alpha, intents).await?;
        let [IntentAnswer::Accepted { effect, .. }] = answers.as_slice() else { panic!("held") };
        ids.push(effect.clone());
    }
    let [open, closed] = ids.as_slice() else { panic!("two") };
    let end = |effect: &model::EffectId, state| store::EffectOutcome {
        effect: effect.clone(),
        state,
        origin: None,
        code: Some("provider_refused".into()),
        message: Some("no".into()),
        request_id: Some("req-1".into()),
        status: Some(422),
        applied: Vec::new(),
    };
    let outcomes = vec![end(open, EffectState::Planned), end(closed, EffectState::Refused)];
    cx.store().commit_outcomes(&earlier, &alpha, outcomes).await?;

    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?]).await?;
    let found = group(cx, &fence, "alpha", "r1").await?.effects;
    assert_eq!(found.iter().map(|e| &e.id).collect::<Vec<_>>(), [open]);

    let intents = vec![intent(EffectKind::SetDefault, "mine", Some("r1"))?];
    let answers = cx.store().commit_intents(&fence, &alpha, intents).await?;
    let [IntentAnswer::Accepted { effect: mine, .. }] = answers.as_slice() else { panic!("held") };
    cx.store().commit_outcomes(&fence, &alpha, vec![end(mine, EffectState::Refused)]).await?;
    let found = group(cx, &fence, "alpha", "r1").await?.effects;
    let mut subjects: Vec<_> = found.iter().map(|e| (e.subject.as_str(), e.state)).collect();
    subjects.sort_by_key(|(subject, _)| *subject);
    assert_eq!(subjects, [("mine", EffectState::Refused), ("open", EffectState::Planned)]);
    Ok(())
}

async fn a_group_knows_nothing_of_other_accounts(cx: &Cx) -> anyhow::Result<()> {
    let beta = cx.fence("beta").await?;
    let mut ada = customer("1", Some("r1"), "Ada")?;
    ada.methods = Some(vec![card("m1", "4242")?]);
    cx.pull(&beta, "beta", 0, vec![ada]).await?;
    let statement =
        Statement { reference: reference("r1")?, fp: None, fields: fields(&[("name", "1")]) };
    let finish = FinishRows {
        statements: vec![statement],
        links: vec![link("r1", fp(cx, "tok"), "1", "m1")?],
        ..FinishRows::default()
    };
    cx.store().finish_rows(&beta, &name("beta")?, finish).await?;
    let intents = vec![intent(EffectKind::SetDefault, "m1", Some("r1"))?];
    cx.store().commit_intents(&beta, &name("beta")?, intents).await?;

    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?]).await?;
    let found = group(cx, &fence, "alpha", "r1").await?;
    assert_eq!(found.rows.len(), 1);
    assert!(found.customers.is_empty() && found.methods.is_empty());
    assert!(found.links.is_empty() && found.statements.is_empty() && found.effects.is_empty());
    Ok(())
}
