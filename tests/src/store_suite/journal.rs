//! Intents: what may be sent, and what stands in its way.

use std::sync::Arc;
use std::time::Duration;

use model::{EffectId, EffectKind, Origin};
use store::{EffectOutcome, EffectState, Fence, Intent, IntentAnswer, KEY_LIVES, SentChange};
use tokio::sync::Barrier;

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, intent, name, reference, remote, remote_method};

cases![
    an_intent_is_committed_as_sending,
    one_open_effect_of_a_subject,
    one_open_effect_within_one_write,
    concurrent_intents_of_a_subject_have_one_winner,
    a_planned_effect_is_taken_up_again,
    an_unknown_effect_is_repeated,
    an_unknown_effect_is_repeated_with_its_key_or_held,
    a_repeat_that_was_not_sent_leaves_it_unknown,
    a_repeat_is_held_by_another_effect_of_its_reference,
    a_key_is_repeated_while_nothing_answered_it,
    a_key_is_not_repeated_when_it_is_old,
    what_an_effect_changes_is_kept_and_replaced,
    a_key_is_repeated_but_for_a_change,
    a_closed_effect_makes_room_for_a_new_one,
    an_unsettled_effect_holds_its_reference,
    sending_under_another_epoch_holds_its_reference,
    sending_under_this_epoch_holds_its_subject_alone,
    effects_of_other_accounts_are_in_nobodys_way,
    effects_of_a_run_come_oldest_first,
];

pub fn outcome(effect: &EffectId, state: EffectState) -> EffectOutcome {
    EffectOutcome {
        effect: effect.clone(),
        state,
        origin: (state == EffectState::Done).then_some(Origin::Answered),
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    }
}

/// Commits one intent at `alpha`.
async fn commit(cx: &Cx, fence: &Fence, intent: Intent) -> anyhow::Result<IntentAnswer> {
    let answers = cx.store().commit_intents(fence, &name("alpha")?, vec![intent]).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers.into_iter().next().expect("one answer for each intent"))
}

/// Commits one intent at `alpha` that nothing is in the way of.
pub async fn accepted(cx: &Cx, fence: &Fence, intent: Intent) -> anyhow::Result<EffectId> {
    match commit(cx, fence, intent).await? {
        IntentAnswer::Accepted { effect, .. } => Ok(effect),
        held @ IntentAnswer::Held { .. } => panic!("{held:?}"),
    }
}

async fn settle(
    cx: &Cx,
    fence: &Fence,
    effect: &EffectId,
    state: EffectState,
) -> anyhow::Result<()> {
    let outcomes = vec![outcome(effect, state)];
    let committed = cx.store().commit_outcomes(fence, &name("alpha")?, outcomes).await?;
    assert_eq!(committed.len(), 1);
    Ok(())
}

async fn an_intent_is_committed_as_sending(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let token = "tok".to_owned().into();
    let fp = cx.store().keys().token_fp("here", model::TokenKind::Gateway, &token);
    let full = Intent {
        kind: EffectKind::AddMethod,
        subject: "r1/abc".into(),
        reference: Some(reference("r1")?),
        fp: Some(fp),
        line: Some(17),
        remote_customer: Some(remote("c1")?),
        remote_method: Some(remote_method("m1")?),
        known_before: Some(vec![remote_method("m2")?, remote_method("m3")?]),
        idempotency_key: Some("key-1".into()),
        changes: None,
        repeats: false,
    };
    let answer = commit(cx, &fence, full).await?;
    let IntentAnswer::Accepted { effect, attempt, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(attempt, 1);
    let effects = cx.store().effects_of_run(&fence.run, 10).await?;
    let [row] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((&row.id, &row.run, row.kind), (&effect, &fence.run, EffectKind::AddMethod));
    assert_eq!((row.subject.as_str(), row.attempt), ("r1/abc", 1));
    assert_eq!((&row.reference, row.fp, row.line), (&Some(reference("r1")?), Some(fp), Some(17)));
    assert_eq!((row.state, row.origin), (EffectState::Sending, None));
    assert_eq!(row.remote_customer, Some(remote("c1")?));
    assert_eq!(row.remote_method, Some(remote_method("m1")?));
    let kept = cx
        .texts(
            "SELECT known_before, idempotency_key, CAST(part AS TEXT), CAST(epoch AS TEXT), account \
             FROM effects WHERE sent_at > 1700000000000000",
        )
        .await?;
    let kept: Vec<String> = kept.into_iter().flatten().flatten().collect();
    assert_eq!(kept.first().map(|known| known.contains("m2") && known.contains("m3")), Some(true));
    assert_eq!(kept.get(1..).unwrap_or_default(), ["key-1", "0", "1", "alpha"]);
    Ok(())
}

async fn one_open_effect_of_a_subject(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let create = || intent(EffectKind::CreateCustomer, "r1", Some("r1"));
    let first = accepted(cx, &fence, create()?).await?;
    for state in [EffectState::Sending, EffectState::Unknown, EffectState::Unresolved] {
        if state != EffectState::Sending {
            settle(cx, &fence, &first, state).await?;
        }
        let answer = commit(cx, &fence, create()?).await?;
        assert_eq!(answer, IntentAnswer::Held { by: first.clone(), state });
    }
    assert_eq!(cx.rows_in("effects").await?, 1);
    Ok(())
}

async fn one_open_effect_within_one_write(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let intents = vec![
        intent(EffectKind::CreateCustomer, "r1", Some("r1"))?,
        intent(EffectKind::CreateCustomer, "r2", Some("r2"))?,
        intent(EffectKind::CreateCustomer, "r1", Some("r1"))?,
        intent(EffectKind::AddMethod, "r1", None)?,
    ];
    let answers = cx.store().commit_intents(&fence, &name("alpha")?, intents).await?;
    let [
        IntentAnswer::Accepted { effect: one, .. },
        IntentAnswer::Accepted { effect: two, .. },
        IntentAnswer::Held { by, state: EffectState::Sending },
        IntentAnswer::Accepted { effect: other, .. },
    ] = answers.as_slice()
    else {
        panic!("{answers:?}")
    };
    assert_eq!(by, one);
    assert!(one != two && two != other && one != other);
    assert_eq!(cx.rows_in("effects").await?, 3);
    assert!(cx.store().commit_intents(&fence, &name("alpha")?, Vec::new()).await?.is_empty());
    Ok(())
}

async fn concurrent_intents_of_a_subject_have_one_winner(cx: &Cx) -> anyhow::Result<()> {
    const WORKERS: usize = 4;
    const SUBJECTS: usize = 120;
    let run = cx.begin("alpha", true, 4).await?;
    let other = cx.another().await?;
    let mut fences = Vec::new();
    for _ in 0..WORKERS {
        fences.push(cx.claim(&run).await?);
    }
    for round in 0..5 {
        // All at once: the longer one commit takes, the more of the others it meets.
        let start = Arc::new(Barrier::new(WORKERS));
        let mut tasks = Vec::new();
        for (n, fence) in fences.iter().cloned().enumerate() {
            let store = Arc::clone(if n % 2 == 0 { &cx.store } else { &other });
            let (alpha, start) = (name("alpha")?, Arc::clone(&start));
            let intents = (0..SUBJECTS)
                .map(|n| format!("r{round}-{n}"))
                .map(|who| intent(EffectKind::CreateCustomer, &who, Some(&who)))
                .collect::<Result<Vec<_>, _>>()?;
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                store.commit_intents(&fence, &alpha, intents).await
            }));
        }
        let mut won = [0; SUBJECTS];
        for task in tasks {
            for (n, answer) in won.iter_mut().zip(task.await??) {
                *n += u32::from(matches!(answer, IntentAnswer::Accepted { .. }));
            }
        }
        assert_eq!(won, [1; SUBJECTS]);
    }
    assert_eq!(cx.rows_in("effects").await?, 600);
    other.close().await;
    Ok(())
}

async fn a_key_is_repeated_but_for_a_change(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    for (kind, subject, expected) in [
        (EffectKind::CreateCustomer, "r1", "first"),
        (EffectKind::AddMethod, "r2/tok", "first"),
        // It may be another change by now.
        (EffectKind::UpdateCustomer, "c3", "second"),
    ] {
        let with = |key: &str| -> anyhow::Result<Intent> {
            let key = Some(key.to_owned());
            Ok(Intent { idempotency_key: key, ..intent(kind, subject, Some(subject))? })
        };
        let effect = accepted(cx, &fence, with("first")?).await?;
        settle(cx, &fence, &effect, EffectState::Unknown).await?;
        settle(cx, &fence, &effect, EffectState::Planned).await?;
        let answer = commit(cx, &fence, with("second")?).await?;
        let key = Some(expected.to_owned());
        assert_eq!(answer, IntentAnswer::Accepted { effect, attempt: 2, key });
    }
    Ok(())
}

async fn a_planned_effect_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let create = || intent(EffectKind::CreateCustomer, "r1", Some("r1"));
    let effect = accepted(cx, &fence, create()?).await?;
    settle(cx, &fence, &effect, EffectState::Planned).await?;
    // Another run of the account takes it up: what it is for is said anew.
    let later = cx.fence("alpha").await?;
    let mut again = create()?;
    again.line = Some(4);
    // What reached nobody was no attempt.
    let answer = commit(cx, &later, again.clone()).await?;
    assert_eq!(answer, IntentAnswer::Accepted { effect: effect.clone(), attempt: 1, key: None });
    // What may have taken effect was one, whatever became of it.
    settle(cx, &later, &effect, EffectState::Unknown).await?;
    settle(cx, &later, &effect, EffectState::Planned).await?;
    let answer = commit(cx, &later, again).await?;
    assert_eq!(answer, IntentAnswer::Accepted { effect: effect.clone(), attempt: 2, key: None });
    let effects = cx.store().effects_of_run(&later.run, 10).await?;
    let [row] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((&row.id, row.state, row.attempt), (&effect, EffectState::Sending, 2));
    assert_eq!((&row.run, row.line), (&later.run, Some(4)));
    assert_eq!((&row.code, &row.message), (&None, &None));
    assert_eq!(cx.rows_in("effects").await?, 1);
    Ok(())
}

/// An intent to create `r1`, though nothing is known of the attempt before.
fn repeat(key: Option<&str>) -> anyhow::Result<Intent> {
    let create = intent(EffectKind::CreateCustomer, "r1", Some("r1"))?;
    Ok(Intent { repeats: true, idempotency_key: key.map(str::to_owned), ..create })
}

/// The state of an effect, and its attempts.
async fn now_of(cx: &Cx, effect: &EffectId) -> anyhow::Result<(EffectState, i64)> {
    let found = cx.store().effect(effect).await?.expect("it is there").record.effect;
    Ok((found.state, found.attempt))
}

/// Nothing is known of what was sent, but for the status of an answer.
async fn unheard(
    cx: &Cx,
    fence: &Fence,
    effect: &EffectId,
    status: Option<u16>,
) -> anyhow::Result<()> {
    let code = Some("outcome_unknown".to_owned());
    let unknown = EffectOutcome { code, status, ..outcome(effect, EffectState::Unknown) };
    cx.store().commit_outcomes(fence, &name("alpha")?, vec![unknown]).await?;
    Ok(())
}

async fn an_unknown_effect_is_repeated(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = accepted(cx, &fence, repeat(None)?).await?;
    // Being sent, waiting for a person: nobody repeats that.
    let held = |state| IntentAnswer::Held { by: effect.clone(), state };
    assert_eq!(commit(cx, &fence, repeat(None)?).await?, held(EffectState::Sending));
    settle(cx, &fence, &effect, EffectState::Unresolved).await?;
    assert_eq!(commit(cx, &fence, repeat(None)?).await?, held(EffectState::Unresolved));
    unheard(cx, &fence, &effect, None).await?;
    let create = intent(EffectKind::CreateCustomer, "r1", Some("r1"))?;
    assert_eq!(commit(cx, &fence, create).await?, held(EffectState::Unknown));
    let later = cx.fence("alpha").await?;
    let answer = commit(cx, &later, repeat(None)?).await?;
    assert_eq!(answer, IntentAnswer::Accepted { effect: effect.clone(), attempt: 2, key: None });
    assert_eq!(now_of(cx, &effect).await?, (EffectState::Sending, 2));
    assert_eq!(cx.rows_in("effects").await?, 1);
    Ok(())
}

async fn an_unknown_effect_is_repeated_with_its_key_or_held(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = accepted(cx, &fence, repeat(Some("k1"))?).await?;
    unheard(cx, &fence, &effect, None).await?;
    let answer = commit(cx, &fence, repeat(Some("k2"))?).await?;
    let key = Some("k1".to_owned());
    assert_eq!(answer, IntentAnswer::Accepted { effect: effect.clone(), attempt: 2, key });
    // A key of another body, that lives no more, or that was answered, is not repeated, nor is another
    // sent.
    unheard(cx, &fence, &effect, None).await?;
    let held = IntentAnswer::Held { by: effect.clone(), state: EffectState::Unknown };
    let after = "hash of another body".to_owned();
    let body = SentChange { field: "customer".into(), before: None, after };
    let other = Intent { changes: Some(vec![body]), ..repeat(Some("k3"))? };
    assert_eq!(commit(cx, &fence, other).await?, held);
    let by = (KEY_LIVES + Duration::from_secs(60)).as_micros();
    cx.execute(&format!("UPDATE effects SET created_at = created_at - {by}")).await?;
    assert_eq!(commit(cx, &fence, repeat(Some("k3"))?).await?, held);
    cx.execute(&format!("UPDATE effects SET created_at = created_at + {by}")).await?;
    unheard(cx, &fence, &effect, Some(500)).await?;
    assert_eq!(commit(cx, &fence, repeat(Some("k4"))?).await?, held);
    assert_eq!(now_of(cx, &effect).await?, (EffectState::Unknown, 2));
    Ok(())
}

async fn a_repeat_that_was_not_sent_leaves_it_unknown(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let effect = accepted(cx, &fence, repeat(None)?).await?;
    unheard(cx, &fence, &effect, None).await?;
    for _ in 0..2 {
        accepted(cx, &fence, repeat(None)?).await?;
        // Said twice, as when the store could not be reached after the first.
        for _ in 0..2 {
            settle(cx, &fence, &effect, EffectState::Unknown).await?;
            assert_eq!(now_of(cx, &effect).await?, (EffectState::Unknown, 1));
        }
    }
    let found = cx.store().effect(&effect).await?.expect("it is there").record.effect;
    assert_eq!(found.code.as_deref(), Some("outcome_unknown"));
    // Read, and proven to have had none: then it is planned, and an attempt that reaches nobody
    // leaves it so.
    settle(cx, &fence, &effect, EffectState::Planned).await?;
    assert_eq!(now_of(cx, &effect).await?, (EffectState::Planned, 1));
    accepted(cx, &fence, intent(EffectKind::CreateCustomer, "r1", Some("r1"))?).await?;
    settle(cx, &fence, &effect, EffectState::Planned).await?;
    assert_eq!(now_of(cx, &effect).await?, (EffectState::Planned, 1));
    Ok(())
}

async fn a_repeat_is_held_by_another_effect_of_its_reference(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let other = intent(EffectKind::AddMethod, "r1/x", Some("r1"))?;
    let both = vec![repeat(None)?, other];
    let answers = cx.store().commit_intents(&fence, &name("alpha")?, both).await?;
    let [IntentAnswer::Accepted { effect: create, .. }, IntentAnswer::Accepted { effect: add, .. }] =
        answers.as_slice()
    else {
        panic!("{answers:?}")
    };
    settle(cx, &fence, create, EffectState::Unknown).await?;
    settle(cx, &fence, add, EffectState::Unresolved).await?;
    let held = IntentAnswer::Held { by: add.clone(), state: EffectState::Unresolved };
    assert_eq!(commit(cx, &fence, repeat(None)?).await?, held);
    settle(cx, &fence, add, EffectState::Refused).await?;
    accepted(cx, &fence, repeat(None)?).await?;
    Ok(())
}

/// Commits an intent of the subject `r1` with a key, and says which key it is sent with.
async fn key_sent(cx: &Cx, fence: &Fence, key: Option<&str>) -> anyhow::Result<Option<String>> {
    let mut create = intent(EffectKind::CreateCustomer, "r1", Some("r1"))?;
    create.idempotency_key = key.map(str::to_owned);
    let answer = commit(cx, fence, create).await?;
    let IntentAnswer::Accepted { effect, key, .. } = answer else { panic!("{answer:?}") };
    let record = cx.store().effect(&effect).await?.map(|found| found.record);
    let kept = record.and_then(|record| record.idempotency_key);
    assert_eq!(kept, key, "what is sent is what is written down");
    Ok(key)
}

/// The effect of `r1` is to be sent again, after an answer with this status or none.
async fn back_to_planned(cx: &Cx, fence: &Fence, status: Option<u16>) -> anyhow::Result<()> {
    let [row] = &*cx.store().effects_of_run(&fence.run, 10).await? else { panic!("one effect") };
    let planned = EffectOutcome { status, ..outcome(&row.id, EffectState::Planned) };
    cx.store().commit_outcomes(fence, &name("alpha")?, vec![planned]).await?;
    Ok(())
}

async fn a_key_is_repeated_while_nothing_answered_it(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    assert_eq!(key_sent(cx, &fence, Some("k1")).await?.as_deref(), Some("k1"));
    for fresh in ["k2", "k3"] {
        back_to_planned(cx, &fence, None).await?;
        assert_eq!(key_sent(cx, &fence, Some(fresh)).await?.as_deref(), Some("k1"));
    }
    // The provider may repeat what it said to a key.
    back_to_planned(cx, &fence, Some(429)).await?;
    assert_eq!(key_sent(cx, &fence, Some("k4")).await?.as_deref(), Some("k4"));
    // The answer was to `k1`: nothing has answered `k4`.
    back_to_planned(cx, &fence, None).await?;
    assert_eq!(key_sent(cx, &fence, Some("k5")).await?.as_deref(), Some("k4"));
    // One that is sent without a key leaves none behind.
    back_to_planned(cx, &fence, None).await?;
    assert_eq!(key_sent(cx, &fence, None).await?, None);
    back_to_planned(cx, &fence, None).await?;
    assert_eq!(key_sent(cx, &fence, Some("k6")).await?.as_deref(), Some("k6"));
    assert_eq!(cx.rows_in("effects").await?, 1);
    Ok(())
}

async fn a_key_is_not_repeated_when_it_is_old(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    key_sent(cx, &fence, Some("k1")).await?;
    // A minute on either side is more than a case takes.
    let minute = Duration::from_secs(60);
    for (older, key, sent) in [(KEY_LIVES - minute, "k2", "k1"), (2 * minute, "k3", "k3")] {
        back_to_planned(cx, &fence, None).await?;
        let by = older.as_micros();
        cx.execute(&format!("UPDATE effects SET created_at = created_at - {by}")).await?;
        assert_eq!(key_sent(cx, &fence, Some(key)).await?.as_deref(), Some(sent));
    }
    Ok(())
}

async fn what_an_effect_changes_is_kept_and_replaced(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let change = |field: &str, before: Option<&str>| SentChange {
        field: field.into(),
        before: before.map(str::to_owned),
        after: format!("hash of {field}"),
    };
    let first = vec![change("email", Some("hash")), change("metadata.tier", None)];
    for changes in [Some(first), Some(vec![change("phone", None)]), None] {
        let mut update = intent(EffectKind::UpdateCustomer, "r1", Some("r1"))?;
        update.changes = changes.clone();
        let effect = accepted(cx, &fence, update).await?;
        let found = cx.store().effect(&effect).await?.map(|found| found.record.changes);
        assert_eq!(found, Some(changes));
        back_to_planned(cx, &fence, None).await?;
    }
    assert_eq!(cx.rows_in("effects").await?, 1);
    Ok(())
}

async fn a_closed_effect_makes_room_for_a_new_one(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let add = || intent(EffectKind::AddMethod, "r1/x", Some("r1"));
    let mut seen = Vec::new();
    for state in [EffectState::Done, EffectState::Refused] {
        let effect = accepted(cx, &fence, add()?).await?;
        settle(cx, &fence, &effect, state).await?;
        assert!(!seen.contains(&effect));
        seen.push(effect);
    }
    accepted(cx, &fence, add()?).await?;
    assert_eq!(cx.rows_in("effects").await?, 3);
    Ok(())
}

async fn an_unsettled_effect_holds_its_reference(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    for state in [EffectState::Unknown, EffectState::Unresolved] {
        let who = state.as_str();
        let create = intent(EffectKind::CreateCustomer, who, Some(who))?;
        let effect = accepted(cx, &fence, create).await?;
        settle(cx, &fence, &effect, state).await?;
        let answer = commit(cx, &fence, intent(EffectKind::AddMethod, "x", Some(who))?).await?;
        assert_eq!(answer, IntentAnswer::Held { by: effect.clone(), state });
        // Nobody else is held, and neither is what belongs to no reference.
        accepted(cx, &fence, intent(EffectKind::AddMethod, &format!("y{who}"), Some("free"))?)
            .await?;
        accepted(cx, &fence, intent(EffectKind::RemoveMethod, &format!("z{who}"), None)?).await?;
        settle(cx, &fence, &effect, EffectState::Done).await?;
        let freed = intent(EffectKind::AddMethod, &format!("x{who}"), Some(who))?;
        accepted(cx, &fence, freed).await?;
    }
    Ok(())
}

async fn sending_under_another_epoch_holds_its_reference(cx: &Cx) -> anyhow::Result<()> {
    let old = cx.fence("alpha").await?;
    let effect = accepted(cx, &old, intent(EffectKind::CreateCustomer, "r1", Some("r1"))?).await?;
    let new = cx.take_over(&old).await?;
    let add = || intent(EffectKind::AddMethod, "r1/x", Some("r1"));
    let held = IntentAnswer::Held { by: effect.clone(), state: EffectState::Sending };
    assert_eq!(commit(cx, &new, add()?).await?, held);
    // Another run holds just as little of what this one knows.
    let other = cx.fence("alpha").await?;
    assert_eq!(commit(cx, &other, add()?).await?, held);
    settle(cx, &new, &effect, EffectState::Refused).await?;
    accepted(cx, &new, add()?).await?;
    Ok(())
}

async fn sending_under_this_epoch_holds_its_subject_alone(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    accepted(cx, &fence, intent(EffectKind::AddMethod, "r1/x", Some("r1"))?).await?;
    accepted(cx, &fence, intent(EffectKind::AddMethod, "r1/y", Some("r1"))?).await?;
    Ok(())
}

async fn effects_of_other_accounts_are_in_nobodys_way(cx: &Cx) -> anyhow::Result<()> {
    let beta = cx.fence("beta").await?;
    let create = || intent(EffectKind::CreateCustomer, "r1", Some("r1"));
    let answers = cx.store().commit_intents(&beta, &name("beta")?, vec![create()?]).await?;
    let [IntentAnswer::Accepted { effect, .. }] = answers.as_slice() else { panic!("held") };
    let unknown = vec![outcome(effect, EffectState::Unknown)];
    cx.store().commit_outcomes(&beta, &name("beta")?, unknown).await?;
    let fence = cx.fence("alpha").await?;
    accepted(cx, &fence, create()?).await?;
    Ok(())
}

async fn effects_of_a_run_come_oldest_first(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ids = Vec::new();
    for n in 0..5 {
        let subject = format!("s{n}");
        ids.push(accepted(cx, &fence, intent(EffectKind::AddMethod, &subject, None)?).await?);
        let sql = format!("UPDATE effects SET created_at = {n} WHERE subject = '{subject}'");
        cx.execute(&sql).await?;
    }
    let found = cx.store().effects_of_run(&fence.run, 3).await?;
    let found: Vec<_> = found.into_iter().map(|effect| effect.id).collect();
    assert_eq!(found, ids.get(..3).unwrap_or_default());
    let other = cx.fence("alpha").await?;
    assert!(cx.store().effects_of_run(&other.run, 3).await?.is_empty());
    Ok(())
}
