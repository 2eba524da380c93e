//! What an answer to a changing call means (rule 5): each fault of the way, at each call.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use backend::{Effect, ItemOutcome, Lane, NotSent, SendOutcome};
use model::EffectKind;

use super::mutant::{How, Mutant};
use super::world::{World, ctx, endpoint, timing};
use super::{Case, case};
use crate::providers::Opening;

/// A fault, and what a call that meets it came to.
struct Answer {
    name: &'static str,
    fault: &'static str,
    /// Whether the provider carries it out.
    executed: bool,
    is_right: fn(EffectKind, &ItemOutcome) -> bool,
    mutants: &'static [Mutant],
}

const fn unknown(_: EffectKind, item: &ItemOutcome) -> bool {
    matches!(item, ItemOutcome::Unknown(_))
}

/// Any success says all that there is to say of these.
const fn unknown_or_done(kind: EffectKind, item: &ItemOutcome) -> bool {
    match kind {
        EffectKind::RemoveMethod | EffectKind::SetDefault | EffectKind::DeleteCustomer => {
            matches!(item, ItemOutcome::Unknown(_) | ItemOutcome::Done(_))
        }
        _ => unknown(kind, item),
    }
}

/// A create may be refused because of a customer of the same reference.
const fn refused(kind: EffectKind, item: &ItemOutcome) -> bool {
    match item {
        ItemOutcome::Refused(_) => true,
        ItemOutcome::Conflict(_) | ItemOutcome::RefusedOrThere(_) => {
            matches!(kind, EffectKind::CreateCustomer)
        }
        _ => false,
    }
}

/// What the state forbids is no refusal; a create may have met a customer of the same reference.
const fn unknown_or_there(kind: EffectKind, item: &ItemOutcome) -> bool {
    match item {
        ItemOutcome::Conflict(_) | ItemOutcome::RefusedOrThere(_) => {
            matches!(kind, EffectKind::CreateCustomer)
        }
        _ => unknown(kind, item),
    }
}

/// A batch can be made smaller.
const fn too_large(kind: EffectKind, item: &ItemOutcome) -> bool {
    match kind {
        EffectKind::ImportMethod => matches!(item, ItemOutcome::BatchTooLarge),
        _ => refused(kind, item),
    }
}

/// What is gone is removed.
const fn refused_or_removed(kind: EffectKind, item: &ItemOutcome) -> bool {
    match kind {
        EffectKind::RemoveMethod | EffectKind::DeleteCustomer => {
            matches!(item, ItemOutcome::Done(_) | ItemOutcome::Refused(_))
        }
        _ => refused(kind, item),
    }
}

const fn account_fault(_: EffectKind, item: &ItemOutcome) -> bool {
    matches!(item, ItemOutcome::AccountFault(_))
}

const fn throttled(_: EffectKind, item: &ItemOutcome) -> bool {
    matches!(item, ItemOutcome::Throttled)
}

/// An unknown outcome must be neither believed nor repeated.
const UNKNOWN: &[Mutant] = &[
    Mutant::new("said_to_be_refused", How::Outcome(super::unknown_is_refused)),
    Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
    Mutant::new("made_again", How::Retries),
];
const REFUSED: &[Mutant] = &[
    Mutant::new("said_to_be_unknown", How::Outcome(super::refused_is_unknown)),
    Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
];
const NOT_THE_ROWS: &[Mutant] = &[
    Mutant::new("said_to_be_refused", How::Outcome(super::all_is_refused)),
    Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
];

const fn answer(name: &'static str, fault: &'static str, executed: bool) -> Answer {
    Answer { name, fault, executed, is_right: unknown, mutants: UNKNOWN }
}

/// Every fault of the way.
const ANSWERS: &[Answer] = &[
    answer("500_after_it_took_place", "status_after(500)", true),
    answer("500_before_it_took_place", "status(500)", false),
    answer("503", "status(503)", false),
    answer("503_after_it_took_place", "status_after(503)", true),
    answer("502_of_a_gateway", "status(502,html)", false),
    answer("no_answer_and_not_done", "drop_before", false),
    answer("no_answer_and_done", "drop_after", true),
    answer("half_an_answer", "cut_body", true),
    answer("done_late", "late_execution_ms(30)", true),
    answer("404_of_a_gateway", "status(404,html)", false),
    answer("400_of_a_gateway", "status(400,html)", false),
    answer("403_of_a_gateway", "status(403,html)", false),
    answer("302", "status(302,html)", false),
    Answer {
        is_right: unknown_or_there,
        mutants: &[
            Mutant::new("said_to_be_refused", How::Outcome(super::all_is_refused)),
            Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
        ],
        ..answer("409", "status(409)", false)
    },
    Answer { is_right: too_large, mutants: REFUSED, ..answer("413", "status(413)", false) },
    Answer {
        is_right: account_fault,
        mutants: NOT_THE_ROWS,
        ..answer("401_of_a_gateway", "status(401,html)", false)
    },
    Answer {
        is_right: unknown_or_done,
        mutants: &[
            Mutant::new("said_to_be_refused", How::Outcome(super::unknown_is_refused)),
            Mutant::new("made_again", How::Retries),
        ],
        ..answer("an_answer_that_is_none", "garbage_body", true)
    },
    Answer { is_right: refused, mutants: REFUSED, ..answer("400", "status(400)", false) },
    Answer { is_right: refused, mutants: REFUSED, ..answer("422", "status(422)", false) },
    Answer {
        is_right: refused_or_removed,
        mutants: REFUSED,
        ..answer("404", "status(404)", false)
    },
    Answer {
        is_right: account_fault,
        mutants: NOT_THE_ROWS,
        ..answer("401", "status(401)", false)
    },
    Answer {
        is_right: account_fault,
        mutants: NOT_THE_ROWS,
        ..answer("403", "status(403)", false)
    },
    Answer { is_right: throttled, mutants: NOT_THE_ROWS, ..answer("429", "throttle", false) },
];

fn can_write(capabilities: &backend::Capabilities) -> bool {
    !super::world::writes(capabilities).is_empty()
}

pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = ANSWERS
        .iter()
        .map(|answer| Case {
            name: format!("a_change_answered_{}", answer.name),
            applies: can_write,
            customers: 0,
            run: Arc::new(move |w| Box::pin(a_change_answered(w, answer))),
            mutants: answer.mutants,
        })
        .collect();
    all.push(case!(
        a_change_that_is_late_is_not_sent,
        can_write,
        0,
        &[
            Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
            Mutant::new("said_to_be_unknown", How::Outcome(not_sent_is_unknown)),
        ]
    ));
    all.push(case!(
        a_change_without_a_connection_is_not_sent,
        can_write,
        0,
        &[
            Mutant::new("said_to_be_done", How::Outcome(super::all_is_done)),
            Mutant::new("said_to_be_unknown", How::Outcome(not_sent_is_unknown)),
        ]
    ));
    all.push(case!(
        a_throttled_change_says_how_long,
        can_write,
        0,
        &[Mutant::new("does_not", How::Outcome(|outcome| outcome.call.retry_after = None)),]
    ));
    all
}

fn not_sent_is_unknown(outcome: &mut SendOutcome) {
    for item in &mut outcome.items {
        if matches!(item, ItemOutcome::NotSent(_)) {
            *item = ItemOutcome::Unknown("a mutant's".to_owned());
        }
    }
}

async fn a_change_answered(w: &World, answer: &Answer) -> anyhow::Result<()> {
    for kind in w.writes() {
        let effect = w.ready(kind).await?;
        let endpoint = endpoint(kind);
        w.faults(&format!("{endpoint}:1={}", answer.fault))?;
        let before = w.at.counters();
        let outcome = w.send(&effect).await?;
        for item in &outcome.items {
            ensure!((answer.is_right)(kind, item), "{kind}: {item:?}");
        }
        let calls = w.at.counters().calls(endpoint) - before.calls(endpoint);
        ensure!(calls == 1, "{kind}: {calls} calls");
        if answer.executed {
            executed(w, endpoint, before.executed(endpoint)).await?;
        }
        let executed = w.at.counters().executed(endpoint) - before.executed(endpoint);
        ensure!(executed == u64::from(answer.executed), "{kind}: {executed} took place");
        w.all_fired()?;
    }
    Ok(())
}

/// Waits until one more call took place.
async fn executed(w: &World, endpoint: &str, before: u64) -> anyhow::Result<()> {
    for _ in 0..400 {
        if w.at.counters().executed(endpoint) > before {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("{endpoint}: it never took place")
}

async fn a_throttled_change_says_how_long(w: &World) -> anyhow::Result<()> {
    let kind = *w.writes().first().context("nothing can be changed")?;
    let effect = w.ready(kind).await?;
    w.faults(&format!("{}:1=throttle(3)", endpoint(kind)))?;
    let outcome = w.send(&effect).await?;
    ensure!(outcome.call.retry_after == Some(Duration::from_secs(3)), "{:?}", outcome.call);
    w.all_fired()
}

async fn send_late(w: &World, effect: &Effect) -> anyhow::Result<SendOutcome> {
    let quick = backend::Timing { send_window: Duration::from_millis(20), ..timing() };
    let opened = w.open(&Opening::of(w.account()), quick)?;
    let prepared = opened.backend.prepare(effect)?;
    let permit = opened.traffic.reserve(Lane::Interactive, 1).await?.pop().context("a permit")?;
    tokio::time::sleep_until(permit.send_by()).await;
    Ok(opened.backend.execute(&ctx(), prepared, permit).await)
}

async fn a_change_that_is_late_is_not_sent(w: &World) -> anyhow::Result<()> {
    for kind in w.writes() {
        let effect = w.ready(kind).await?;
        for item in send_late(w, &effect).await?.items {
            let is_late = matches!(item, ItemOutcome::NotSent(NotSent::Late));
            ensure!(is_late, "{kind}: {item:?}");
        }
        let calls = w.at.counters().calls(endpoint(kind));
        ensure!(calls == 0, "{kind}: {calls} calls");
    }
    Ok(())
}

async fn a_change_without_a_connection_is_not_sent(w: &World) -> anyhow::Result<()> {
    let mut effects = Vec::new();
    for kind in w.writes() {
        effects.push(w.ready(kind).await?);
    }
    // Credentials are fetched, and permits given, while it is there.
    let mut permits = Vec::new();
    while permits.len() < effects.len() {
        permits.extend(w.main.traffic.reserve(Lane::Interactive, 1).await?);
    }
    w.stop().await;
    for (effect, permit) in effects.iter().zip(permits) {
        let prepared = w.prepare(effect)?;
        for item in w.execute(&ctx(), prepared, permit).await.items {
            let is_unsent = matches!(item, ItemOutcome::NotSent(NotSent::Connect));
            ensure!(is_unsent, "{}: {item:?}", effect.kind());
        }
    }
    Ok(())
}
