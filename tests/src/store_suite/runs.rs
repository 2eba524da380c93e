//! Runs, parts, leases and the fence.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, EffectKind, Outcome, RunId, SystemClock};
use store::{
    CustomersWrite, EffectOutcome, EffectState, Fence, FinishRows, MethodList, MethodsWrite,
    NewScan, Overlap, RowPlan, RunEnd, RunState, ScanState, StoreError, Verdict,
};

use crate::store_suite::cases;
use crate::store_suite::journal::{accepted, outcome};
use crate::store_suite::support::{
    Cx, LEASE, at, card, customer, intent, name, new_run, owner, remote, staged,
};

cases![
    a_run_reads_back,
    runs_come_latest_first,
    runs_are_found_by_where_they_stand,
    one_writing_run_at_a_time,
    concurrent_writing_runs_have_one_winner,
    a_writer_lease_that_ran_out_is_taken,
    a_writer_that_wakes_up_late_writes_no_outcome,
    a_writer_may_begin_after_the_first_ended,
    parts_are_handed_out_once,
    concurrent_claims_have_one_winner_each,
    a_part_that_is_taken_over_goes_on_where_it_was,
    a_heartbeat_holds_part_and_account,
    every_write_is_a_heartbeat,
    a_final_state_never_moves,
    a_paused_run_may_end,
    a_run_that_was_taken_up_is_not_ended_by_its_old_worker,
    fence_refuses_old_epoch,
    fence_refuses_what_never_was,
];

const fn end(state: RunState) -> RunEnd {
    RunEnd { state, summary: None, error: None }
}

async fn a_run_reads_back(cx: &Cx) -> anyhow::Result<()> {
    let new = new_run("alpha", true, 2)?;
    cx.store().begin_run(&new, &owner("w1"), LEASE).await?;
    let run = cx.store().run(&new.id).await?.expect("it was begun");
    assert_eq!((run.id, run.job, run.account), (new.id.clone(), new.job, new.account));
    assert_eq!((run.cause, run.args), (new.cause, new.args));
    assert_eq!((run.input_name, run.input_hash), (new.input_name, new.input_hash));
    assert_eq!(run.config_hash, new.config_hash);
    assert_eq!((run.summary, run.error, run.ended_at), (None, None, None));
    assert_eq!(run.state, RunState::Planned);
    assert!(run.created_at > at(0));
    let fence = cx.claim(&new.id).await?;
    cx.store().input_read(&fence, "ab").await?;
    let read = cx.store().run(&new.id).await?.and_then(|run| run.input_hash);
    assert_eq!(read.as_deref(), Some("ab"));
    cx.store().keep_args(&fence, "{\"kept\":1}").await?;
    let kept = cx.store().run(&new.id).await?.map(|run| run.args);
    assert_eq!(kept.as_deref(), Some("{\"kept\":1}"));
    let state = cx.store().run(&new.id).await?.map(|run| run.state);
    assert_eq!(state, Some(RunState::Running));

    let ended = RunEnd {
        state: RunState::Failed,
        summary: Some("{\"read\":1}".into()),
        error: Some("the account said 401".into()),
    };
    cx.store().end_run(&fence, &ended).await?;
    let run = cx.store().run(&new.id).await?.expect("it was begun");
    assert_eq!((run.state, run.summary, run.error), (ended.state, ended.summary, ended.error));
    assert_eq!(run.input_hash.as_deref(), Some("ab"));
    assert!(run.ended_at.is_some_and(|ended| ended >= run.created_at));
    assert!(cx.store().run(&RunId::generate()).await?.is_none());
    Ok(())
}

async fn runs_come_latest_first(cx: &Cx) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(cx.begin("alpha", false, 1).await?);
    }
    // Ids of one millisecond are in no order; the times they began are.
    for (seconds, id) in ids.iter().enumerate() {
        let sql = format!("UPDATE runs SET created_at = {seconds} WHERE id = '{id}'");
        cx.execute(&sql).await?;
    }
    let found: Vec<RunId> = cx.store().runs(3).await?.into_iter().map(|run| run.id).collect();
    ids.reverse();
    assert_eq!(found, ids.get(..3).unwrap_or_default());
    Ok(())
}

async fn runs_are_found_by_where_they_stand(cx: &Cx) -> anyhow::Result<()> {
    let mut waiting = Vec::new();
    for state in [RunState::AwaitingApproval, RunState::Paused, RunState::AwaitingApproval] {
        let run = cx.begin("alpha", true, 1).await?;
        let end = RunEnd { state, summary: None, error: None };
        cx.store().end_run(&cx.claim(&run).await?, &end).await?;
        if state == RunState::AwaitingApproval {
            waiting.push(run);
        }
    }
    let found = cx.store().runs_in(&name("alpha")?, RunState::AwaitingApproval).await?;
    assert_eq!(found.into_iter().map(|run| run.id).collect::<Vec<_>>(), waiting);
    assert!(cx.store().runs_in(&name("beta")?, RunState::AwaitingApproval).await?.is_empty());
    Ok(())
}

async fn one_writing_run_at_a_time(cx: &Cx) -> anyhow::Result<()> {
    let first = cx.begin("alpha", true, 1).await?;
    let second = new_run("alpha", true, 1)?;
    match cx.store().begin_run(&second, &owner("w2"), LEASE).await {
        Err(StoreError::AccountBusy { account, run, owner, until }) => {
            assert_eq!(account, name("alpha")?);
            assert_eq!(run, first);
            assert_eq!(owner, "w1");
            let left = until.since(SystemClock.now());
            assert!(left > LEASE / 2 && left <= LEASE, "{left:?} are left of {LEASE:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(cx.store().run(&second.id).await?.is_none(), "a refused run left a row");
    assert_eq!(cx.rows_in("parts").await?, 1);
    // Reading runs go beside it, and other accounts are free.
    cx.begin("alpha", false, 1).await?;
    cx.begin("beta", true, 1).await?;
    Ok(())
}

async fn concurrent_writing_runs_have_one_winner(cx: &Cx) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for n in 0..8 {
        let (store, run) = (Arc::clone(&cx.store), new_run("alpha", true, 1)?);
        tasks.push(tokio::spawn(async move {
            store.begin_run(&run, &owner(&format!("w{n}")), LEASE).await
        }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await? {
            Ok(()) => won += 1,
            Err(StoreError::AccountBusy { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(cx.rows_in("runs").await?, 1);
    Ok(())
}

async fn a_writer_lease_that_ran_out_is_taken(cx: &Cx) -> anyhow::Result<()> {
    let first = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&first).await?;
    cx.expire_leases().await?;
    let second = cx.begin("alpha", true, 1).await?;
    let holder = cx.text("SELECT run FROM writers").await?;
    assert_eq!(holder.as_deref(), Some(second.as_str()));
    // The first run cannot take the account back by going on, nor free it by ending: its worker
    // has no part in it any more.
    assert!(matches!(cx.store().heartbeat(&fence, LEASE).await, Err(StoreError::Fenced { .. })));
    let ended = cx.store().end_run(&fence, &end(RunState::Failed)).await;
    assert!(matches!(ended, Err(StoreError::Fenced { .. })), "{ended:?}");
    let holder = cx.text("SELECT run FROM writers").await?;
    assert_eq!(holder.as_deref(), Some(second.as_str()));
    Ok(())
}

/// Whoever was taken for dead cannot write over what became of its effects since.
async fn a_writer_that_wakes_up_late_writes_no_outcome(cx: &Cx) -> anyhow::Result<()> {
    let alpha = name("alpha")?;
    let first = cx.begin("alpha", true, 1).await?;
    let asleep = cx.claim(&first).await?;
    let save = || intent(EffectKind::AddMethod, "r1/x", Some("r1"));
    let effect = accepted(cx, &asleep, save()?).await?;
    cx.expire_leases().await?;
    let second = cx.begin("alpha", true, 1).await?;
    let second = cx.claim(&second).await?;
    assert_eq!(cx.store().take_over(&second, &alpha).await?, 1);
    assert_eq!(cx.store().take_over(&second, &alpha).await?, 0);
    let unsettled = cx.store().unsettled(&alpha, None, 10).await?;
    assert_eq!(unsettled.len(), 1);
    assert_eq!(unsettled[0].record.effect.id, effect);
    // The second one finds it absent, and sends it again.
    let absent = vec![outcome(&effect, EffectState::Planned)];
    cx.store().commit_outcomes(&second, &alpha, absent).await?;
    assert_eq!(accepted(cx, &second, save()?).await?, effect);
    for state in [EffectState::Planned, EffectState::Refused, EffectState::Done] {
        let late = vec![outcome(&effect, state)];
        let late = cx.store().commit_outcomes(&asleep, &alpha, late).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    }
    let found = cx.store().effect(&effect).await?.expect("it is there");
    assert_eq!(found.record.effect.state, EffectState::Sending);
    assert_eq!((found.record.effect.run, found.record.effect.attempt), (second.run, 2));
    Ok(())
}

async fn a_writer_may_begin_after_the_first_ended(cx: &Cx) -> anyhow::Result<()> {
    for state in [RunState::Done, RunState::Paused, RunState::AwaitingApproval] {
        let run = cx.begin("alpha", true, 1).await?;
        cx.store().end_run(&cx.claim(&run).await?, &end(state)).await?;
        assert_eq!(cx.rows_in("writers").await?, 0, "{state:?}");
        let part = cx.text(&format!("SELECT state FROM parts WHERE run = '{run}'")).await?;
        let done = state == RunState::Done;
        assert_eq!(part.as_deref(), Some(if done { "done" } else { "ready" }), "{state:?}");
    }
    Ok(())
}

async fn parts_are_handed_out_once(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", false, 2).await?;
    let store = cx.store();
    let first = store.claim_part(&run, &owner("w1"), LEASE).await?.expect("a free part");
    assert_eq!((first.fence.epoch, first.deliveries, first.cursor), (1, 1, None));
    assert_eq!(first.fence.run, run);
    let second = store.claim_part(&run, &owner("w2"), LEASE).await?.expect("a free part");
    let mut numbers = [first.fence.part, second.fence.part];
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1]);
    assert!(store.claim_part(&run, &owner("w3"), LEASE).await?.is_none(), "both are held");
    store.end_run(&first.fence, &end(RunState::Done)).await?;
    cx.expire_leases().await?;
    assert!(store.claim_part(&run, &owner("w3"), LEASE).await?.is_none(), "the run is done");
    let nothing = store.claim_part(&RunId::generate(), &owner("w3"), LEASE).await;
    assert!(matches!(nothing, Err(StoreError::NotFound(_))), "{nothing:?}");
    Ok(())
}

async fn concurrent_claims_have_one_winner_each(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", false, 3).await?;
    let other = cx.another().await?;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let store = Arc::clone(if n % 2 == 0 { &cx.store } else { &other });
        let run = run.clone();
        tasks.push(tokio::spawn(async move {
            store.claim_part(&run, &owner(&format!("w{n}")), LEASE).await
        }));
    }
    let mut parts = Vec::new();
    for task in tasks {
        parts.extend(task.await??.map(|claimed| (claimed.fence.part, claimed.fence.epoch)));
    }
    // A claim that met others on their way may come back empty-handed, but never doubled.
    while let Some(claimed) = cx.store().claim_part(&run, &owner("w9"), LEASE).await? {
        parts.push((claimed.fence.part, claimed.fence.epoch));
    }
    parts.sort_unstable();
    assert_eq!(parts, [(0, 1), (1, 1), (2, 1)]);
    other.close().await;
    Ok(())
}

async fn a_part_that_is_taken_over_goes_on_where_it_was(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let finish = FinishRows { cursor: Some("here".into()), ..FinishRows::default() };
    cx.store().finish_rows(&fence, &name("alpha")?, finish).await?;
    // A write without a cursor leaves it where it is.
    cx.store().finish_rows(&fence, &name("alpha")?, FinishRows::default()).await?;
    cx.expire_leases().await?;
    let part = cx.store().claim_part(&fence.run, &owner("w2"), LEASE).await?.expect("it ran out");
    assert_eq!((part.fence.epoch, part.deliveries), (2, 2));
    assert_eq!(part.cursor.as_deref(), Some("here"));
    Ok(())
}

async fn a_heartbeat_holds_part_and_account(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    cx.execute("UPDATE parts SET lease_until = 5").await?;
    cx.execute("UPDATE writers SET lease_until = 5").await?;
    cx.store().heartbeat(&fence, LEASE).await?;
    assert!(cx.store().claim_part(&run, &owner("w2"), LEASE).await?.is_none());
    let second = cx.store().begin_run(&new_run("alpha", true, 1)?, &owner("w2"), LEASE).await;
    assert!(matches!(second, Err(StoreError::AccountBusy { .. })), "{second:?}");
    let held = cx.number("SELECT min(lease_until) FROM writers").await?;
    cx.store().heartbeat(&fence, LEASE + Duration::from_secs(60)).await?;
    assert!(cx.number("SELECT min(lease_until) FROM writers").await? > held + 50_000_000);
    assert!(cx.number("SELECT min(lease_until) FROM parts").await? > held + 50_000_000);
    Ok(())
}

async fn every_write_is_a_heartbeat(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.execute("UPDATE parts SET lease_until = 5").await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?]).await?;
    assert!(cx.number("SELECT lease_until FROM parts").await? > 5);
    assert!(cx.store().claim_part(&fence.run, &owner("w2"), LEASE).await?.is_none());
    Ok(())
}

async fn a_final_state_never_moves(cx: &Cx) -> anyhow::Result<()> {
    for state in [RunState::Done, RunState::Failed, RunState::Cancelled] {
        let fence = cx.fence("alpha").await?;
        let first = RunEnd { state, summary: Some("first".into()), error: None };
        cx.store().end_run(&fence, &first).await?;
        let before = cx.dump().await?;
        for other in [RunState::Done, RunState::Failed, RunState::Paused, RunState::Running] {
            let later = RunEnd { state: other, summary: Some("later".into()), error: None };
            cx.store().end_run(&fence, &later).await?;
        }
        assert_eq!(cx.dump().await?, before, "{state:?}");
    }
    Ok(())
}

async fn a_paused_run_may_end(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let fence = cx.claim(&run).await?;
    cx.store().end_run(&fence, &end(RunState::Paused)).await?;
    let state = |run: Option<store::RunRecord>| run.map(|run| (run.state, run.ended_at.is_some()));
    assert_eq!(state(cx.store().run(&run).await?), Some((RunState::Paused, false)));
    cx.store().end_run(&fence, &end(RunState::Cancelled)).await?;
    assert_eq!(state(cx.store().run(&run).await?), Some((RunState::Cancelled, true)));
    Ok(())
}

async fn a_run_that_was_taken_up_is_not_ended_by_its_old_worker(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 1).await?;
    let old = cx.claim(&run).await?;
    cx.expire_leases().await?;
    let from = [RunState::Running];
    let new = cx.store().reopen_run(&run, &from, "{}", &owner("w2"), LEASE).await?.fence;
    for state in [RunState::Failed, RunState::Paused] {
        let before = cx.dump().await?;
        let late = cx.store().end_run(&old, &end(state)).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
        assert_eq!(cx.dump().await?, before, "{state:?}");
    }
    cx.store().heartbeat(&new, LEASE).await?;
    assert_eq!(cx.text("SELECT owner FROM writers").await?.as_deref(), Some("w2"));
    // Ended by the one that has it, it is final for the other as well.
    cx.store().end_run(&new, &end(RunState::Done)).await?;
    let late = cx.store().end_run(&old, &end(RunState::Failed)).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(cx.store().run(&run).await?.map(|run| run.state), Some(RunState::Done));
    assert_eq!(cx.rows_in("writers").await?, 0);
    Ok(())
}

/// Every method that takes a fence, by name. Each is called with something it would write.
async fn every_fenced_write(
    cx: &Cx,
    fence: &Fence,
    effect: &model::EffectId,
) -> anyhow::Result<Vec<(&'static str, StoreError)>> {
    let (store, alpha) = (cx.store(), name("alpha")?);
    let read = CustomersWrite {
        account: alpha.clone(),
        scan: None,
        as_of: at(50),
        customers: vec![customer("1", Some("r1"), "Changed")?],
        overlap: Overlap::Written,
    };
    let lists = MethodsWrite {
        account: alpha.clone(),
        lists: vec![MethodList {
            customer: remote("1")?,
            as_of: at(50),
            methods: vec![card("m9", "9999")?],
        }],
        absent: Vec::new(),
        overlap: Overlap::Written,
    };
    let done = EffectOutcome {
        effect: effect.clone(),
        state: EffectState::Refused,
        origin: None,
        code: Some("x".into()),
        message: None,
        request_id: None,
        status: Some(422),
        applied: Vec::new(),
    };
    let plan = RowPlan {
        line: 1,
        plan: Some("create".into()),
        verdict: Some(Verdict::plain(Outcome::Created)),
    };
    let finish = FinishRows { cursor: Some("x".into()), ..FinishRows::default() };
    let scan = NewScan {
        account: alpha.clone(),
        pass: 1,
        page_size: 100,
        top: false,
        config: "now".into(),
    };
    let create = intent(EffectKind::CreateCustomer, "r2", Some("r2"))?;
    let mut refused = Vec::new();
    macro_rules! refuses {
        ($($method:ident($($argument:expr),*);)+) => {$(
            match store.$method(fence $(, $argument)*).await {
                Ok(_) => panic!("{} went through", stringify!($method)),
                Err(error) => refused.push((stringify!($method), error)),
            }
        )+};
    }
    refuses! {
        heartbeat(LEASE);
        end_run(&end(RunState::Failed));
        input_read("cc");
        keep_args("{\"late\":1}");
        stage_rows(vec![staged(2, "r2", None)?]);
        stage_rows(Vec::new());
        join_rows(vec![store::Join { first: 2, head: 1 }]);
        commit_plan(vec![plan]);
        finish_rows(&alpha, finish);
        commit_intents(&alpha, vec![create]);
        commit_outcomes(&alpha, vec![done]);
        begin_scan(&scan);
        apply_customers(read);
        apply_methods(lists);
        end_scan("none", ScanState::Complete);
    }
    Ok(refused)
}

async fn fence_refuses_old_epoch(cx: &Cx) -> anyhow::Result<()> {
    let old = cx.fence("alpha").await?;
    cx.pull(&old, "alpha", 0, vec![customer("1", Some("r1"), "Ada")?]).await?;
    cx.stage(&old, vec![staged(1, "r1", None)?]).await?;
    let create = intent(EffectKind::CreateCustomer, "r1", Some("r1"))?;
    let answers = cx.store().commit_intents(&old, &name("alpha")?, vec![create]).await?;
    let effect = match answers.as_slice() {
        [store::IntentAnswer::Accepted { effect, .. }] => effect.clone(),
        other => panic!("{other:?}"),
    };
    let new = cx.take_over(&old).await?;
    assert_eq!(new.epoch, old.epoch + 1);

    let before = cx.dump().await?;
    for (method, error) in every_fenced_write(cx, &old, &effect).await? {
        match error {
            StoreError::Fenced { run, part } => assert_eq!((run, part), (old.run.clone(), 0)),
            other => panic!("{method}: {other:?}"),
        }
    }
    assert_eq!(cx.dump().await?, before, "a fenced write left something behind");
    cx.store().heartbeat(&new, LEASE).await?;
    Ok(())
}

async fn fence_refuses_what_never_was(cx: &Cx) -> anyhow::Result<()> {
    let real = cx.fence("alpha").await?;
    for fence in [
        Fence { epoch: real.epoch + 1, ..real.clone() },
        Fence { part: 7, ..real.clone() },
        Fence { run: RunId::generate(), ..real.clone() },
    ] {
        let answer = cx.store().stage_rows(&fence, vec![staged(1, "r1", None)?]).await;
        assert!(matches!(answer, Err(StoreError::Fenced { .. })), "{answer:?}");
    }
    assert_eq!(cx.rows_in("staged_rows").await?, 0);
    Ok(())
}
