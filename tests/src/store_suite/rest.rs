//! Runs that rest: taken up again, or cancelled with what waits in them.

use std::sync::Arc;

use model::{Code, EffectKind, MethodKind, Outcome, RunId};
use store::{
    EffectOutcome, EffectState, Fence, FinishRows, IntentAnswer, RowPlan, RowResult, RunEnd,
    RunState, StoreError, Verdict,
};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, LEASE, intent, name, new_run, owner, staged};

cases![
    a_resting_run_is_taken_up_again,
    a_run_that_stands_elsewhere_is_not_taken_up,
    a_run_is_not_taken_up_while_another_writes,
    one_of_many_takes_a_run_up,
    a_run_whose_worker_is_gone_is_taken_up,
    references_are_loaded_by_their_first_line,
    planned_rows_come_by_line,
    a_cancelled_run_ends_its_rows,
    a_failed_run_stays_failed,
    a_cancelled_row_is_not_called_untried,
    a_run_at_work_is_not_cancelled,
    a_cancelled_run_is_void_for_its_worker,
    a_cancelled_row_says_what_took_place,
];

async fn rest(cx: &Cx, fence: &Fence, state: RunState) -> anyhow::Result<()> {
    let end = RunEnd { state, summary: Some("{\"first\":1}".into()), error: None };
    Ok(cx.store().end_run(fence, &end).await?)
}

async fn state(cx: &Cx, run: &RunId) -> anyhow::Result<RunState> {
    Ok(cx.store().run(run).await?.expect("it was begun").state)
}

async fn take_up(cx: &Cx, run: &RunId, from: &[RunState]) -> Result<Fence, StoreError> {
    let part = cx.store().reopen_run(run, from, "{\"new\":1}", &owner("w2"), LEASE).await?;
    Ok(part.fence)
}

async fn a_resting_run_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    for resting in [RunState::AwaitingApproval, RunState::Paused] {
        let run = cx.begin("alpha", true, 1).await?;
        let first = cx.claim(&run).await?;
        rest(cx, &first, resting).await?;
        let from = [RunState::AwaitingApproval, RunState::Paused];
        let part = cx.store().reopen_run(&run, &from, "{\"n\":2}", &owner("w2"), LEASE).await?;
        assert_eq!((part.fence.epoch, part.deliveries), (first.epoch + 1, 2));
        let record = cx.store().run(&run).await?.expect("it was begun");
        assert_eq!((record.state, record.args.as_str()), (RunState::Running, "{\"n\":2}"));
        assert_eq!(record.config_hash.as_deref(), Some("bb"));
        assert_eq!(record.input_hash.as_deref(), Some("aa"));
        assert_eq!(record.summary.as_deref(), Some("{\"first\":1}"));
        // The account is its own again.
        let second = cx.store().begin_run(&new_run("alpha", true, 1)?, &owner("w3"), LEASE).await;
        match second {
            Err(StoreError::AccountBusy { run: holder, owner, .. }) => {
                assert_eq!((holder, owner.as_str()), (run.clone(), "w2"));
            }
            other => panic!("{other:?}"),
        }
        let late = cx.store().heartbeat(&first, LEASE).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
        cx.store().heartbeat(&part.fence, LEASE).await?;
        rest(cx, &part.fence, RunState::Done).await?;
    }
    Ok(())
}

async fn a_run_that_stands_elsewhere_is_not_taken_up(cx: &Cx) -> anyhow::Result<()> {
    for stands in [RunState::Paused, RunState::Done, RunState::Failed, RunState::Cancelled] {
        let run = cx.begin("alpha", true, 1).await?;
        rest(cx, &cx.claim(&run).await?, stands).await?;
        let before = cx.dump().await?;
        match take_up(cx, &run, &[RunState::AwaitingApproval]).await {
            Err(StoreError::RunState { run: named, state }) => {
                assert_eq!((named, state), (run.clone(), stands));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(cx.dump().await?, before, "{stands:?}");
    }
    let nothing = take_up(cx, &RunId::generate(), &[RunState::Paused]).await;
    assert!(matches!(nothing, Err(StoreError::NotFound(_))), "{nothing:?}");
    Ok(())
}

async fn a_run_is_not_taken_up_while_another_writes(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    rest(cx, &cx.claim(&run).await?, RunState::AwaitingApproval).await?;
    let other = cx.begin("alpha", true, 1).await?;
    let before = cx.dump().await?;
    match take_up(cx, &run, &[RunState::AwaitingApproval]).await {
        Err(StoreError::AccountBusy { run: holder, .. }) => assert_eq!(holder, other),
        other => panic!("{other:?}"),
    }
    assert_eq!(cx.dump().await?, before);
    cx.store()
        .end_run(
            &cx.claim(&other).await?,
            &RunEnd { state: RunState::Done, summary: None, error: None },
        )
        .await?;
    take_up(cx, &run, &[RunState::AwaitingApproval]).await?;
    Ok(())
}

async fn one_of_many_takes_a_run_up(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    rest(cx, &cx.claim(&run).await?, RunState::AwaitingApproval).await?;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let (store, run) = (Arc::clone(&cx.store), run.clone());
        tasks.push(tokio::spawn(async move {
            let from = [RunState::AwaitingApproval];
            store.reopen_run(&run, &from, "{}", &owner(&format!("w{n}")), LEASE).await
        }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await? {
            Ok(part) => {
                won += 1;
                assert_eq!(part.fence.epoch, 2);
            }
            Err(StoreError::RunState { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    assert_eq!(won, 1);
    Ok(())
}

async fn a_run_whose_worker_is_gone_is_taken_up(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let first = cx.claim(&run).await?;
    let from = [RunState::Paused, RunState::Running];
    let held = take_up(cx, &run, &from).await;
    let at_work = RunState::Running;
    assert!(
        matches!(held, Err(StoreError::RunState { state, .. }) if state == at_work),
        "{held:?}"
    );
    cx.expire_leases().await?;
    assert_eq!(take_up(cx, &run, &from).await?.epoch, first.epoch + 1);
    Ok(())
}

async fn references_are_loaded_by_their_first_line(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut elsewhere = staged(5, "r5", None)?;
    elsewhere.part = 7;
    let rows = vec![
        staged(1, "r1", Some("one"))?,
        staged(2, "r2", None)?,
        staged(3, "r3", None)?,
        staged(4, "r1", None)?,
        elsewhere,
    ];
    cx.stage(&fence, rows).await?;
    let found = cx.store().load_heads(&fence, &name("alpha")?, &[1, 3, 5, 9]).await?;
    let mut all = cx.open_groups(&fence).await?;
    all.retain(|group| group.reference.as_str() != "r2");
    assert_eq!(format!("{found:?}"), format!("{all:?}"));
    assert_eq!(found.len(), 2);
    assert_eq!(found.iter().map(|group| group.rows.len()).sum::<usize>(), 3);
    assert!(cx.store().load_heads(&fence, &name("alpha")?, &[]).await?.is_empty());
    Ok(())
}

fn plan(line: u64, words: Option<&str>) -> RowPlan {
    RowPlan { line, plan: words.map(str::to_owned), verdict: None }
}

fn created(line: u64) -> RowResult {
    RowResult {
        line,
        verdict: Some(Verdict::plain(Outcome::Created)),
        customer: None,
        remote_customer: None,
        method: None,
        remote_method: None,
        done: None,
    }
}

async fn planned_rows_come_by_line(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut elsewhere = staged(6, "r6", None)?;
    elsewhere.part = 7;
    let rows = vec![
        staged(5, "r1", None)?,
        staged(2, "r2", Some("two"))?,
        staged(3, "r3", None)?,
        staged(4, "r1", Some("four"))?,
        elsewhere,
    ];
    cx.stage(&fence, rows).await?;
    let plans = vec![
        plan(2, Some("import_method")),
        plan(3, None),
        plan(4, Some("create_customer+import_method")),
        plan(5, Some("create_customer")),
        plan(6, Some("create_customer")),
    ];
    cx.store().commit_plan(&fence, plans).await?;
    // What has become of a row since does not matter.
    let finish = FinishRows { rows: vec![created(4)], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = cx.store().planned_rows(&fence, after, 2).await?;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.line;
        found.extend(page);
    }
    let found: Vec<_> = found.iter().map(|r| (r.line, r.head, r.plan.as_str(), r.method)).collect();
    let card = Some(MethodKind::Card);
    assert_eq!(
        found,
        [
            (2, 2, "import_method", card),
            (4, 4, "create_customer+import_method", card),
            (5, 4, "create_customer", None),
        ]
    );
    Ok(())
}

async fn a_cancelled_run_ends_its_rows(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    let mut rows = Vec::new();
    for line in 1..=5 {
        rows.push(staged(line, &format!("r{line}"), Some(&format!("token-{line}")))?);
    }
    cx.stage(&fence, rows).await?;
    cx.store().commit_plan(&fence, vec![plan(3, Some("import_method"))]).await?;
    let finish = FinishRows { rows: vec![created(2)], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    rest(cx, &fence, RunState::AwaitingApproval).await?;

    let early = cx.store().cancel_rows(&run, 0, 10).await;
    assert!(matches!(early, Err(StoreError::RunState { .. })), "{early:?}");
    cx.store().cancel_run(&run, "{\"last\":1}").await?;
    assert_eq!(cx.store().cancel_rows(&run, 0, 3).await?, Some(3));
    assert_eq!(cx.store().cancel_rows(&run, 3, 3).await?, Some(5));
    assert_eq!(cx.store().cancel_rows(&run, 5, 3).await?, None);
    let before = cx.dump().await?;
    assert_eq!(cx.store().cancel_rows(&run, 0, 9).await?, Some(5));
    assert_eq!(cx.dump().await?, before, "it is done once");

    let record = cx.store().run(&run).await?.expect("it was begun");
    assert_eq!(record.state, RunState::Cancelled);
    assert_eq!(record.summary.as_deref(), Some("{\"last\":1}"));
    assert!(record.ended_at.is_some());
    for row in cx.store().rows(&run, 0, 10).await? {
        if row.line == 2 {
            assert_eq!((row.outcome, row.code.as_deref()), (Some(Outcome::Created), None));
        } else {
            assert_eq!(row.outcome, Some(Outcome::NotAttempted), "{row:?}");
            assert_eq!(row.code.as_deref(), Some(Code::RunCancelled.as_str()));
            assert!(row.message.is_some());
        }
    }
    // The row that was decided before kept its token till then.
    let sealed = "SELECT count(*) FROM staged_rows WHERE token IS NOT NULL";
    assert_eq!(cx.number(sealed).await?, 0);
    assert_eq!(cx.number("SELECT count(*) FROM staged_rows WHERE token_fp IS NULL").await?, 0);
    let ledger = cx.store().tally(&run).await?.ledger;
    assert_eq!((ledger.read, ledger.created, ledger.not_attempted), (5, 1, 4));
    // It is over: nobody takes it up, and it is not cancelled a second time.
    assert!(cx.store().claim_part(&run, &owner("w2"), LEASE).await?.is_none());
    let again = cx.store().cancel_run(&run, "{}").await;
    assert!(matches!(again, Err(StoreError::RunState { .. })), "{again:?}");
    cx.store().sum_up(&run, "{\"sum\":1}").await?;
    let summary = cx.store().run(&run).await?.and_then(|run| run.summary);
    assert_eq!(summary.as_deref(), Some("{\"sum\":1}"));
    Ok(())
}

async fn a_failed_run_stays_failed(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("one"))?, staged(2, "r2", Some("two"))?]).await?;
    let early = cx.store().sum_up(&run, "{}").await;
    assert!(matches!(early, Err(StoreError::RunState { .. })), "{early:?}");
    let end = RunEnd {
        state: RunState::Failed,
        summary: Some("{\"first\":1}".into()),
        error: Some("the canary failed".into()),
    };
    cx.store().end_run(&fence, &end).await?;
    let failed = cx.store().run(&run).await?.expect("it was begun");
    for _ in 0..2 {
        cx.store().cancel_run(&run, "{\"last\":1}").await?;
        assert_eq!(cx.store().cancel_rows(&run, 0, 10).await?, Some(2));
        let record = cx.store().run(&run).await?.expect("it was begun");
        assert_eq!((record.state, record.error), (RunState::Failed, failed.error.clone()));
        assert_eq!(record.ended_at, failed.ended_at);
        assert_eq!(record.summary.as_deref(), Some("{\"last\":1}"));
        let sealed = "SELECT count(*) FROM staged_rows WHERE token IS NOT NULL";
        assert_eq!(cx.number(sealed).await?, 0);
    }
    let code = Some(Code::RunCancelled.as_str());
    assert!(cx.store().rows(&run, 0, 10).await?.iter().all(|row| row.code.as_deref() == code));
    // One that went well has nothing to be ended.
    let done = cx.begin("alpha", true, 1).await?;
    let held = cx.claim(&done).await?;
    rest(cx, &held, RunState::Done).await?;
    let ended = cx.store().cancel_run(&done, "{}").await;
    assert!(matches!(ended, Err(StoreError::RunState { .. })), "{ended:?}");
    let ended = cx.store().cancel_rows(&done, 0, 10).await;
    assert!(matches!(ended, Err(StoreError::RunState { .. })), "{ended:?}");
    Ok(())
}

/// An effect of a row, as its outcome left it; `None` of one that nobody heard of.
async fn effect(
    cx: &Cx,
    fence: &Fence,
    line: u64,
    kind: EffectKind,
    state: Option<EffectState>,
) -> anyhow::Result<()> {
    let who = format!("r{line}");
    let mut one = intent(kind, &format!("{who}/{}", kind.as_str()), Some(&who))?;
    one.line = Some(line);
    let answers = cx.store().commit_intents(fence, &name("alpha")?, vec![one]).await?;
    let [IntentAnswer::Accepted { effect, .. }] = answers.as_slice() else { panic!("held") };
    let Some(state) = state else { return Ok(()) };
    let outcome = EffectOutcome {
        effect: effect.clone(),
        state,
        origin: None,
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    };
    cx.store().commit_outcomes(fence, &name("alpha")?, vec![outcome]).await?;
    Ok(())
}

/// A row's token, its effects, and what it ends with.
type Case<'a> = (&'a str, &'a [(EffectKind, Option<EffectState>)], Outcome);

async fn a_cancelled_row_is_not_called_untried(cx: &Cx) -> anyhow::Result<()> {
    use EffectKind::{AddMethod, CreateCustomer, ImportMethod, SetDefault};
    use EffectState::{Done, Refused, Unknown, Unresolved};
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    let cases: &[Case] = &[
        ("on its way", &[(CreateCustomer, Some(Done)), (ImportMethod, None)], Outcome::Unresolved),
        ("unknown", &[(AddMethod, Some(Unknown))], Outcome::Unresolved),
        ("unresolved", &[(AddMethod, Some(Unresolved))], Outcome::Unresolved),
        ("half", &[(AddMethod, Some(Done)), (SetDefault, None)], Outcome::Unresolved),
        ("saved", &[(CreateCustomer, Some(Done)), (ImportMethod, Some(Done))], Outcome::Created),
        ("added", &[(AddMethod, Some(Done))], Outcome::Created),
        ("its customer", &[(CreateCustomer, Some(Done))], Outcome::NotAttempted),
        ("refused", &[(AddMethod, Some(Refused))], Outcome::NotAttempted),
        ("nothing", &[], Outcome::NotAttempted),
        // Customers alone.
        ("", &[(CreateCustomer, Some(Done))], Outcome::Created),
        ("", &[(CreateCustomer, None)], Outcome::Unresolved),
        ("", &[], Outcome::NotAttempted),
    ];
    let mut rows = Vec::new();
    for (line, (token, _, _)) in (1..).zip(cases) {
        let token = Some(*token).filter(|token| !token.is_empty());
        rows.push(staged(line, &format!("r{line}"), token)?);
    }
    cx.stage(&fence, rows).await?;
    for (line, (_, effects, _)) in (1..).zip(cases) {
        for (kind, state) in *effects {
            effect(cx, &fence, line, *kind, *state).await?;
        }
    }
    // A row that was decided keeps its token as well, as long as its effect is not settled.
    let lost = RowResult {
        verdict: Some(Verdict::with(Outcome::Unresolved, Code::OutcomeUnknown, "no answer")),
        ..created(2)
    };
    let finish = FinishRows { rows: vec![lost], ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    cx.expire_leases().await?;
    cx.store().cancel_run(&run, "{}").await?;
    let mut after = 0;
    while let Some(last) = cx.store().cancel_rows(&run, after, 5).await? {
        after = last;
    }
    let rows = cx.store().rows(&run, 0, 99).await?;
    assert_eq!(rows.len(), cases.len());
    for (row, (_, _, outcome)) in rows.iter().zip(cases) {
        assert_eq!(row.outcome, Some(*outcome), "{row:?}");
        let code = match outcome {
            Outcome::Unresolved => Some(Code::OutcomeUnknown.as_str()),
            Outcome::NotAttempted => Some(Code::RunCancelled.as_str()),
            _ => None,
        };
        assert_eq!(row.code.as_deref(), code, "{row:?}");
        assert!(row.message.is_some(), "{row:?}");
    }
    let kept = "SELECT CAST(line AS TEXT) FROM staged_rows WHERE token IS NOT NULL ORDER BY line";
    let kept: Vec<String> = cx.texts(kept).await?.into_iter().flatten().flatten().collect();
    assert_eq!(kept, ["1", "2", "3", "4"]);
    Ok(())
}

async fn a_run_at_work_is_not_cancelled(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 2).await?;
    cx.claim(&run).await?;
    let before = cx.dump().await?;
    match cx.store().cancel_run(&run, "{}").await {
        Err(StoreError::RunState { state, .. }) => assert_eq!(state, RunState::Running),
        other => panic!("{other:?}"),
    }
    assert_eq!(cx.dump().await?, before);
    assert_eq!(state(cx, &run).await?, RunState::Running);
    let nothing = cx.store().cancel_run(&RunId::generate(), "{}").await;
    assert!(matches!(nothing, Err(StoreError::NotFound(_))), "{nothing:?}");
    Ok(())
}

async fn a_cancelled_run_is_void_for_its_worker(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    cx.expire_leases().await?;
    cx.store().cancel_run(&run, "{}").await?;
    assert_eq!(cx.rows_in("writers").await?, 0);
    // The worker that was thought gone wakes up.
    let late = cx.stage(&fence, vec![staged(1, "r1", None)?]).await;
    assert!(late.is_err(), "it wrote");
    let late = cx.store().heartbeat(&fence, LEASE).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(cx.rows_in("staged_rows").await?, 0);
    Ok(())
}

async fn a_cancelled_row_says_what_took_place(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("one"))?, staged(2, "r2", None)?]).await?;
    let mut outcomes = Vec::new();
    for (kind, state) in [
        (EffectKind::CreateCustomer, EffectState::Done),
        (EffectKind::AddMethod, EffectState::Done),
        (EffectKind::SetDefault, EffectState::Refused),
    ] {
        let mut one = intent(kind, "r1", Some("r1"))?;
        one.line = Some(1);
        let answers = cx.store().commit_intents(&fence, &name("alpha")?, vec![one]).await?;
        let [IntentAnswer::Accepted { effect, .. }] = answers.as_slice() else { panic!("held") };
        outcomes.push(EffectOutcome {
            effect: effect.clone(),
            state,
            origin: None,
            code: None,
            message: None,
            request_id: None,
            status: None,
            applied: Vec::new(),
        });
    }
    cx.store().commit_outcomes(&fence, &name("alpha")?, outcomes).await?;
    rest(cx, &fence, RunState::Paused).await?;
    cx.store().cancel_run(&run, "{}").await?;
    assert_eq!(cx.store().cancel_rows(&run, 0, 10).await?, Some(2));
    let rows = cx.store().rows(&run, 0, 10).await?;
    let [one, two] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(one.outcome, Some(Outcome::Created));
    assert_eq!(one.done.as_deref(), Some("create_customer+add_method"));
    assert_eq!(two.done, None);
    Ok(())
}
