//! Planning: what will be done for each staged row, and nothing is sent.

use std::collections::BTreeSet;

use model::{Code, Outcome};
use store::{FinishRows, Group, RowPlan, RowTally, StagedRow, Verdict, Which};

use super::GROUPS;
use crate::EngineError;
use crate::apply::Applier;
use crate::group::{CustomerNow, Fate, Rules, Step};

/// Tokens forgotten in one transaction.
const FORGET: usize = 5000;

/// Plans rows that were just read, as if the file had no other rows of their references, and adds
/// them to `all`.
pub(super) async fn plan_rows(
    applier: &Applier<'_>,
    rows: Vec<StagedRow>,
    all: &mut Vec<StagedRow>,
) -> Result<(), EngineError> {
    let Applier { engine, run, .. } = applier;
    all.reserve(rows.len());
    let groups = engine.store.know(&run.fence, &engine.account.name, rows).await?;
    applier.with_rules(|rules| {
        for group in groups {
            for (mut row, plan) in plan_group(applier, rules, group) {
                row.plan = plan.plan;
                if let Some(verdict) = plan.verdict {
                    row.outcome = Some(verdict.outcome);
                    row.code = verdict.code;
                    row.message = verdict.message;
                    row.field = verdict.field;
                }
                all.push(row);
            }
        }
    });
    Ok(())
}

/// Plans staged references again: those whose rows stand apart in the file, now that all of them
/// are known, or those of a run that goes on; the rows that were decided and are open again.
pub(super) async fn replan(
    applier: &Applier<'_>,
    which: Which,
) -> Result<BTreeSet<u64>, EngineError> {
    let Applier { engine, run, .. } = applier;
    let mut after = 0;
    let mut planned = 0;
    let mut opened = BTreeSet::new();
    loop {
        engine.stop.check()?;
        let page = engine
            .store
            .load_groups(&run.fence, &engine.account.name, after, which, GROUPS)
            .await?;
        if page.groups.is_empty() {
            return Ok(opened);
        }
        after = page.upto;
        let plans = applier.with_rules(|rules| {
            let mut changed = Vec::new();
            for mut group in page.groups {
                let before: Vec<Option<RowPlan>> =
                    group.rows.iter_mut().map(|row| take_plan(row, which)).collect();
                planned += before.len() as u64;
                let now = plan_group(applier, rules, group).into_iter().map(|(_, plan)| plan);
                for (before, now) in before.into_iter().zip(now) {
                    let Some(before) = before.filter(|before| *before != now) else { continue };
                    if before.verdict.is_some() && now.verdict.is_none() {
                        opened.insert(now.line);
                    }
                    changed.push(now);
                }
            }
            changed
        });
        if !plans.is_empty() {
            engine.store.commit_plan(&run.fence, plans).await?;
        }
        engine.progress.at("planned again", planned, None);
    }
}

/// Takes back what was planned for a row; `None` where that stands. As long as nothing was
/// applied, a verdict is part of the plan; in a run that goes on it stands.
fn take_plan(row: &mut StagedRow, which: Which) -> Option<RowPlan> {
    let verdict = match (which, row.outcome) {
        (Which::Open, Some(_)) => return None,
        (Which::Open, None) | (Which::Joined, None) => None,
        (Which::Joined, Some(outcome)) => {
            row.outcome = None;
            let (code, message, field) = (row.code.take(), row.message.take(), row.field.take());
            Some(Verdict { outcome, code, message, field })
        }
    };
    Some(RowPlan { line: row.line, plan: row.plan.take(), verdict })
}

/// Destroys the tokens of rows that were decided while they were staged.
pub(super) async fn forget(applier: &Applier<'_>, lines: &[u64]) -> Result<(), EngineError> {
    let Applier { engine, run, .. } = applier;
    for lines in lines.chunks(FORGET) {
        let finish = FinishRows { forget_tokens: lines.to_vec(), ..FinishRows::default() };
        engine.store.finish_rows(&run.fence, &engine.account.name, finish).await?;
    }
    Ok(())
}

/// Whether a rejection rests on what the mirror says of the provider, or on what this run is about
/// to save: it counts, and it is decided when the provider has been looked at.
const fn depends_on_reading(code: Code) -> bool {
    matches!(code, Code::TokenChanged | Code::FactsNeeded)
}

/// How many rows look like being rejected by what the provider is known to have.
pub(super) fn expected_rejections(tally: &RowTally) -> u64 {
    let expected = |plan: &str| Code::parse(plan).is_some_and(depends_on_reading);
    tally.planned.iter().filter(|(plan, _)| expected(plan)).map(|(_, rows)| rows).sum()
}

/// What will be done for each row of a reference, as far as the mirror tells.
fn plan_group(applier: &Applier<'_>, rules: &Rules<'_>, group: Group) -> Vec<(StagedRow, RowPlan)> {
    let mut work = applier.work(group);
    let mut words: Vec<Vec<&'static str>> = vec![Vec::new(); work.rows.len()];
    let mut note = |row: usize, word: &'static str| {
        if let Some(words) = words.get_mut(row) {
            words.push(word);
        }
    };
    let mut step = work.next(rules, true);
    if let Step::Create { row } = step {
        note(row, "create_customer");
        work.customer = CustomerNow::Planned;
        step = work.next(rules, true);
    }
    if let Step::Save(adds) = &step {
        for add in adds {
            note(
                add.row,
                match add.route {
                    backend::TokenRoute::Bulk => "import_method",
                    backend::TokenRoute::Add => "add_method",
                },
            );
        }
        step = work.default_step(rules);
    }
    if let Step::SetDefault { row, .. } = step {
        note(row, "set_default");
    }
    work.rows
        .into_iter()
        .zip(words)
        .map(|(row, mut words)| {
            let mut verdict = None;
            match (&row.fate, &row.also) {
                (Fate::Ended(end), _) if end.outcome == Outcome::Rejected => match end.code {
                    Some(code) if depends_on_reading(code) => words.push(code.as_str()),
                    _ => verdict = Some(end.clone()),
                },
                (Fate::Ended(_), _) => words.push("blocked"),
                // Beside its own subject something is wished that cannot be: if that is all, the
                // row is decided.
                (_, Some(also)) if words.is_empty() => verdict = Some(also.clone()),
                (_, Some(_)) => words.push("not_updatable"),
                _ => {}
            }
            let plan = (!words.is_empty()).then(|| words.join("+"));
            let plan = RowPlan { line: row.staged.line, plan, verdict };
            (row.staged, plan)
        })
        .collect()
}
