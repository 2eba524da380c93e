//! Slots of schedules, who takes them, and alerts.

use std::time::Duration;

use model::Timestamp;
use store::{
    Alert, AlertKind, DueSlots, Fire, FireEnd, FireRow, FireState, Left, RunEnd, RunState,
    ScheduleRow, Schedules, SkipReason, Taken,
};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, LEASE, name, new_run, owner};

cases![
    a_new_schedule_begins_now,
    another_line_begins_now,
    a_slot_is_started_once,
    concurrent_daemons_start_a_slot_once,
    missed_slots_are_written_down,
    a_slot_of_a_paused_schedule_is_skipped,
    a_slot_beside_a_run_is_skipped,
    a_dead_run_does_not_hold_up_the_next,
    what_was_left_is_taken_up_again,
    what_was_stopped_is_taken_up_again,
    what_dies_again_and_again_is_lost,
    only_the_last_slot_is_taken_up_again,
    a_process_that_wakes_up_late_says_nothing,
    a_run_by_hand_is_no_slot_of_the_line,
    runs_are_found_by_their_cause,
    an_import_is_found_by_its_file,
    an_alert_is_raised_once,
    an_alert_is_sent_until_it_is_heard,
];

const NIGHT: &str = "nightly pull";

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + minute * 60)
}

fn schedules(cx: &Cx) -> &dyn Schedules {
    cx.store().schedules()
}

/// The schedule, known since minute 0.
async fn known(cx: &Cx) -> anyhow::Result<ScheduleRow> {
    know(cx, "0 * * * * * UTC", minute(0)).await
}

async fn know(cx: &Cx, line: &str, now: Timestamp) -> anyhow::Result<ScheduleRow> {
    let rows = schedules(cx).know_schedules(&[(NIGHT.into(), line.into())], now).await?;
    Ok(rows.into_iter().next().expect("one for each"))
}

fn due(after: i64, missed: &[i64], start: Option<i64>) -> DueSlots {
    DueSlots {
        schedule: NIGHT.into(),
        after: minute(after),
        missed: missed.iter().copied().map(minute).collect(),
        start: start.map(minute),
    }
}

async fn take(cx: &Cx, due: &DueSlots, who: &str) -> anyhow::Result<Taken> {
    Ok(schedules(cx).take_slots(due, &owner(who), LEASE, minute(100)).await?)
}

async fn started(cx: &Cx, due: &DueSlots, who: &str) -> anyhow::Result<Fire> {
    match take(cx, due, who).await? {
        Taken::Started(fire) => Ok(fire),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn fires(cx: &Cx) -> anyhow::Result<Vec<(Timestamp, FireState, Option<String>)>> {
    let rows = schedules(cx).fires(NIGHT, 20).await?;
    Ok(rows.into_iter().map(|row| (row.slot, row.state, row.reason)).collect())
}

async fn last(cx: &Cx) -> anyhow::Result<FireRow> {
    let rows = schedules(cx).fires(NIGHT, 1).await?;
    Ok(rows.into_iter().next().expect("a slot was decided"))
}

fn end(state: FireState) -> FireEnd {
    FireEnd { state, reason: None, message: None, run: None }
}

/// Its process is gone: the lease has run out.
async fn die(cx: &Cx) -> anyhow::Result<()> {
    cx.execute("UPDATE fires SET lease_until = 1 WHERE lease_until > 0").await?;
    Ok(())
}

async fn left(cx: &Cx, who: &str, most: i64) -> anyhow::Result<Left> {
    Ok(schedules(cx).take_up_again(NIGHT, &owner(who), LEASE, most, minute(101)).await?)
}

async fn again(cx: &Cx, who: &str, most: i64) -> anyhow::Result<Option<Fire>> {
    match left(cx, who, most).await? {
        Left::TakenUp(fire) => Ok(Some(fire)),
        Left::Nothing => Ok(None),
        Left::GivenUp(slot) => anyhow::bail!("{slot} is given up"),
    }
}

fn skipped(minute_: i64, reason: SkipReason) -> (Timestamp, FireState, Option<String>) {
    (minute(minute_), FireState::Skipped, Some(reason.as_str().to_owned()))
}

async fn a_new_schedule_begins_now(cx: &Cx) -> anyhow::Result<()> {
    let row = known(cx).await?;
    assert_eq!((row.last_slot, row.paused), (minute(0), false));
    // Known already: what is due stays due.
    let row = know(cx, "0 * * * * * UTC", minute(7)).await?;
    assert_eq!(row.last_slot, minute(0));
    assert_eq!(fires(cx).await?, []);
    Ok(())
}

async fn another_line_begins_now(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let row = know(cx, "0 30 * * * * UTC", minute(7)).await?;
    assert_eq!((row.last_slot, row.line.as_str()), (minute(7), "0 30 * * * * UTC"));
    // A clock that was set back makes no slot due twice.
    let row = know(cx, "0 31 * * * * UTC", minute(3)).await?;
    assert_eq!(row.last_slot, minute(7));
    Ok(())
}

async fn a_slot_is_started_once(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let slot = due(0, &[], Some(1));
    let fire = started(cx, &slot, "one").await?;
    assert_eq!((fire.slot, fire.attempt, fire.by_hand), (minute(1), 1, false));
    assert_eq!(fire.cause(), format!("schedule {NIGHT} {}", minute(1)));
    assert_eq!(take(cx, &slot, "two").await?, Taken::Elsewhere);
    let row = last(cx).await?;
    assert_eq!((row.state, row.alive, row.attempt), (FireState::Running, true, 1));
    assert_eq!(row.owner, Some(owner("one").0));
    let done = FireEnd { reason: None, message: None, run: None, state: FireState::Done };
    assert!(schedules(cx).end_fire(&fire, &done, minute(102)).await?);
    let row = last(cx).await?;
    assert_eq!((row.state, row.alive, row.ended_at), (FireState::Done, false, Some(minute(102))));
    assert_eq!(schedules(cx).last_good(NIGHT).await?.map(|row| row.slot), Some(minute(1)));
    started(cx, &due(1, &[], Some(2)), "one").await?;
    assert_eq!(schedules(cx).first_slot(NIGHT).await?, Some(minute(1)));
    assert_eq!(schedules(cx).first_slot("nobody").await?, None);
    Ok(())
}

async fn concurrent_daemons_start_a_slot_once(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let (other, slot) = (cx.another().await?, due(0, &[], Some(1)));
    let mut tasks = Vec::new();
    for no in 0..8 {
        let store = if no % 2 == 0 { cx.store.clone() } else { other.clone() };
        let (slot, who) = (slot.clone(), owner(&format!("daemon {no}")));
        tasks.push(tokio::spawn(async move {
            store.schedules().take_slots(&slot, &who, LEASE, minute(100)).await
        }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await?? {
            Taken::Started(_) => won += 1,
            taken => assert_eq!(taken, Taken::Elsewhere),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(fires(cx).await?.len(), 1);
    other.close().await;
    Ok(())
}

async fn missed_slots_are_written_down(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let fire = started(cx, &due(0, &[1, 2], Some(3)), "one").await?;
    assert_eq!(fire.slot, minute(3));
    let rows = schedules(cx).fires(NIGHT, 20).await?;
    let instead = format!("the run of {} makes it up", minute(3));
    for row in &rows[1..] {
        assert_eq!(row.state, FireState::Skipped);
        assert!(row.message.as_deref().is_some_and(|text| text.contains(&instead)), "{row:?}");
    }
    schedules(cx).end_fire(&fire, &end(FireState::Done), minute(102)).await?;
    let taken = take(cx, &due(3, &[4, 5], None), "one").await?;
    assert_eq!(taken, Taken::Skipped(SkipReason::Missed));
    let missed = SkipReason::Missed;
    assert_eq!(
        fires(cx).await?,
        [
            skipped(5, missed),
            skipped(4, missed),
            (minute(3), FireState::Done, None),
            skipped(2, missed),
            skipped(1, missed),
        ]
    );
    Ok(())
}

async fn a_slot_of_a_paused_schedule_is_skipped(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    assert!(schedules(cx).pause_schedule(NIGHT, true).await?);
    assert!(!schedules(cx).pause_schedule("nobody", true).await?);
    assert!(known(cx).await?.paused);
    let taken = take(cx, &due(0, &[1], Some(2)), "one").await?;
    assert_eq!(taken, Taken::Skipped(SkipReason::Paused));
    assert_eq!(fires(cx).await?, [skipped(2, SkipReason::Paused), skipped(1, SkipReason::Paused)]);
    assert!(schedules(cx).pause_schedule(NIGHT, false).await?);
    started(cx, &due(2, &[], Some(3)), "one").await?;
    Ok(())
}

async fn a_slot_beside_a_run_is_skipped(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let fire = started(cx, &due(0, &[], Some(1)), "one").await?;
    let taken = take(cx, &due(1, &[], Some(2)), "two").await?;
    assert_eq!(taken, Taken::Skipped(SkipReason::StillRunning));
    assert!(schedules(cx).hold_fire(&fire, LEASE).await?);
    assert!(schedules(cx).end_fire(&fire, &end(FireState::Failed), minute(102)).await?);
    assert_eq!(schedules(cx).last_good(NIGHT).await?, None);
    started(cx, &due(2, &[], Some(3)), "two").await?;
    assert_eq!(fires(cx).await?[1], skipped(2, SkipReason::StillRunning));
    Ok(())
}

async fn a_dead_run_does_not_hold_up_the_next(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let gone = started(cx, &due(0, &[], Some(1)), "one").await?;
    die(cx).await?;
    started(cx, &due(1, &[], Some(2)), "two").await?;
    let states: Vec<_> = fires(cx).await?.into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [FireState::Running, FireState::Lost]);
    assert!(!schedules(cx).hold_fire(&gone, LEASE).await?);
    assert!(!schedules(cx).end_fire(&gone, &end(FireState::Done), minute(102)).await?);
    Ok(())
}

async fn what_was_left_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    assert_eq!(again(cx, "two", 3).await?, None, "nothing was begun");
    started(cx, &due(0, &[], Some(1)), "one").await?;
    assert_eq!(again(cx, "two", 3).await?, None, "its process is alive");
    die(cx).await?;
    let fire = again(cx, "two", 3).await?.expect("its process is gone");
    assert_eq!((fire.slot, fire.attempt), (minute(1), 2));
    assert_eq!(again(cx, "three", 3).await?, None, "somebody has it");
    schedules(cx).end_fire(&fire, &end(FireState::Done), minute(102)).await?;
    assert_eq!(again(cx, "three", 3).await?, None, "it has ended");
    Ok(())
}

async fn what_was_stopped_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let mut fire = started(cx, &due(0, &[], Some(1)), "one").await?;
    // As often as somebody stops it.
    for attempt in 2..6 {
        schedules(cx).end_fire(&fire, &end(FireState::Stopped), minute(102)).await?;
        fire = again(cx, "two", 3).await?.expect("it was stopped");
        assert_eq!(fire.attempt, attempt);
    }
    assert_eq!(last(cx).await?.state, FireState::Running);
    Ok(())
}

async fn what_dies_again_and_again_is_lost(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    started(cx, &due(0, &[], Some(1)), "one").await?;
    for _ in 0..2 {
        die(cx).await?;
        assert!(again(cx, "two", 3).await?.is_some());
    }
    die(cx).await?;
    assert_eq!(left(cx, "two", 3).await?, Left::GivenUp(minute(1)));
    let row = last(cx).await?;
    assert_eq!((row.state, row.attempt), (FireState::Lost, 3));
    assert_eq!(row.message.as_deref(), Some("its process was gone 3 times"));
    assert_eq!(again(cx, "two", 3).await?, None);
    Ok(())
}

async fn only_the_last_slot_is_taken_up_again(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    started(cx, &due(0, &[], Some(1)), "one").await?;
    die(cx).await?;
    let fire = started(cx, &due(1, &[], Some(2)), "two").await?;
    schedules(cx).end_fire(&fire, &end(FireState::Done), minute(102)).await?;
    assert_eq!(again(cx, "two", 3).await?, None, "a later one was good");
    Ok(())
}

async fn a_process_that_wakes_up_late_says_nothing(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let late = started(cx, &due(0, &[], Some(1)), "one").await?;
    die(cx).await?;
    let fire = again(cx, "two", 3).await?.expect("its process is gone");
    assert!(!schedules(cx).hold_fire(&late, LEASE).await?);
    assert!(!schedules(cx).end_fire(&late, &end(FireState::Failed), minute(102)).await?);
    assert!(schedules(cx).hold_fire(&fire, LEASE).await?);
    assert_eq!(last(cx).await?.state, FireState::Running);
    Ok(())
}

async fn a_run_by_hand_is_no_slot_of_the_line(cx: &Cx) -> anyhow::Result<()> {
    known(cx).await?;
    let by_hand = schedules(cx).start_by_hand(NIGHT, &owner("person"), LEASE, minute(5)).await?;
    let by_hand = by_hand.expect("nothing is at work");
    assert!(by_hand.by_hand);
    let beside = schedules(cx).start_by_hand(NIGHT, &owner("other"), LEASE, minute(6)).await?;
    assert_eq!(beside, None);
    let taken = take(cx, &due(0, &[], Some(1)), "one").await?;
    assert_eq!(taken, Taken::Skipped(SkipReason::StillRunning));
    schedules(cx).end_fire(&by_hand, &end(FireState::Stopped), minute(102)).await?;
    assert_eq!(again(cx, "one", 3).await?, None, "a person stopped what a person began");
    assert_eq!(known(cx).await?.last_slot, minute(1));
    Ok(())
}

async fn runs_are_found_by_their_cause(cx: &Cx) -> anyhow::Result<()> {
    let mut new = new_run("alpha", false, 1)?;
    new.cause = "schedule a b".into();
    cx.store().begin_run(&new, &owner("one"), LEASE).await?;
    cx.store().begin_run(&new_run("beta", false, 1)?, &owner("one"), LEASE).await?;
    assert_eq!(schedules(cx).runs_caused_by("schedule a b").await?, [new.id]);
    Ok(())
}

async fn an_import_is_found_by_its_file(cx: &Cx) -> anyhow::Result<()> {
    let (alpha, beta) = (name("alpha")?, name("beta")?);
    let mut new = new_run("alpha", true, 1)?;
    new.job = "import".into();
    cx.store().begin_run(&new, &owner("one"), LEASE).await?;
    let fence = cx.claim(&new.id).await?;
    cx.store().input_read(&fence, "ab").await?;
    let done = RunEnd { state: RunState::Done, summary: None, error: None };
    cx.store().end_run(&fence, &done).await?;
    let mut again = new_run("alpha", true, 1)?;
    again.job = "import".into();
    cx.store().begin_run(&again, &owner("one"), LEASE).await?;
    cx.store().input_read(&cx.claim(&again.id).await?, "ab").await?;
    let mut dry = new_run("alpha", false, 1)?;
    dry.job = "import".into();
    cx.store().begin_run(&dry, &owner("one"), LEASE).await?;
    cx.store().input_read(&cx.claim(&dry.id).await?, "ab").await?;
    assert_eq!(schedules(cx).imports_of(&alpha, "ab", 10).await?, [again.id.clone(), new.id]);
    assert_eq!(schedules(cx).imports_of(&alpha, "ab", 1).await?, [again.id]);
    assert_eq!(schedules(cx).imports_of(&alpha, "cd", 10).await?, []);
    assert_eq!(schedules(cx).imports_of(&beta, "ab", 10).await?, []);
    Ok(())
}

fn an_alert(key: &str, at: i64) -> Alert {
    Alert {
        key: key.into(),
        kind: AlertKind::Failed,
        schedule: NIGHT.into(),
        run: Some("01J".into()),
        message: "it failed".into(),
        raised_at: minute(at),
    }
}

async fn an_alert_is_raised_once(cx: &Cx) -> anyhow::Result<()> {
    let alert = an_alert("failed 1", 1);
    assert!(schedules(cx).raise_alert(&alert).await?);
    assert!(!schedules(cx).raise_alert(&alert).await?);
    let pause = Duration::from_secs(60);
    assert_eq!(schedules(cx).take_alerts(10, pause).await?, std::slice::from_ref(&alert));
    schedules(cx).alert_sent("failed 1", minute(2)).await?;
    assert!(!schedules(cx).raise_alert(&alert).await?, "it was told");
    cx.execute("UPDATE alerts SET next_try_at = 0").await?;
    assert_eq!(schedules(cx).take_alerts(10, pause).await?, []);
    Ok(())
}

async fn an_alert_is_sent_until_it_is_heard(cx: &Cx) -> anyhow::Result<()> {
    for at in 1..4 {
        assert!(schedules(cx).raise_alert(&an_alert(&format!("failed {at}"), at)).await?);
    }
    let pause = Duration::from_secs(60);
    let first = schedules(cx).take_alerts(10, pause).await?;
    assert_eq!(
        first.iter().map(|alert| alert.raised_at).collect::<Vec<_>>(),
        [1, 2, 3].map(minute)
    );
    // Others leave them alone meanwhile.
    assert_eq!(schedules(cx).take_alerts(10, pause).await?, []);
    cx.execute("UPDATE alerts SET next_try_at = 0 WHERE key <> 'failed 2'").await?;
    assert_eq!(schedules(cx).take_alerts(10, pause).await?.len(), 2);
    // Later and later.
    let (soon, late) = (
        cx.number("SELECT next_try_at FROM alerts WHERE key = 'failed 2'").await?,
        cx.number("SELECT next_try_at FROM alerts WHERE key = 'failed 1'").await?,
    );
    assert!(late - soon >= 60_000_000, "{soon} {late}");
    Ok(())
}
