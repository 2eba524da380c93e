//! Planning: what will be done for each staged row, and nothing is sent.

use std::collections::BTreeMap;

use model::{Code, Outcome};
use store::{FinishRows, Group, RowPlan};

use super::GROUPS;
use crate::EngineError;
use crate::apply::Applier;
use crate::group::{CustomerNow, Fate, Rules, Step};

/// Decides on every row, and writes what is planned; how many rows look like being rejected by what
/// the provider is known to have, which applying looks at again; and how many customers have fields
/// that only our store can keep, by field.
pub(super) async fn plan(
    applier: &Applier<'_>,
    rows: u64,
    dry_run: bool,
) -> Result<(u64, BTreeMap<String, u64>), EngineError> {
    let Applier { engine, run, .. } = applier;
    let mut after = None;
    let mut planned = 0;
    let mut expected = 0;
    let mut kept = BTreeMap::new();
    loop {
        engine.stop.check()?;
        let groups = engine
            .store
            .load_groups(&run.fence, &engine.account.name, after.as_ref(), true, GROUPS)
            .await?;
        let Some(last) = groups.last() else { return Ok((expected, kept)) };
        after = Some(last.reference.clone());
        let plans = applier.with_rules(|rules| {
            groups
                .into_iter()
                .flat_map(|group| plan_group(applier, rules, group, dry_run, &mut kept))
                .collect::<Vec<RowPlan>>()
        })?;
        planned += plans.len() as u64;
        expected += plans.iter().filter(|plan| is_expected_rejection(plan)).count() as u64;
        // A dry run never sends a token, so it keeps none.
        let forget_tokens =
            if dry_run { plans.iter().map(|plan| plan.line).collect() } else { Vec::new() };
        engine.store.commit_plan(&run.fence, plans).await?;
        if dry_run {
            let finish = FinishRows { forget_tokens, ..FinishRows::default() };
            engine.store.finish_rows(&run.fence, &engine.account.name, finish).await?;
        }
        engine.progress.at("planned", planned, Some(rows));
    }
}

/// Whether a rejection rests on what the mirror says of the provider, or on what this run is about
/// to save: it counts, and it is decided when the provider has been looked at.
const fn depends_on_reading(code: Code) -> bool {
    matches!(code, Code::TokenChanged | Code::FactsNeeded)
}

fn is_expected_rejection(plan: &RowPlan) -> bool {
    let mut words = plan.plan.iter().flat_map(|plan| plan.split('+')).filter_map(Code::parse);
    words.any(|word| {
        depends_on_reading(word) || matches!(word, Code::NotUpdatable | Code::ChangedAtProvider)
    })
}

/// What will be done for each row of a reference, as far as the mirror tells. Nothing follows a dry
/// run, so what it would look at again is said as it seems now.
fn plan_group(
    applier: &Applier<'_>,
    rules: &Rules<'_>,
    group: Group,
    dry_run: bool,
    kept: &mut BTreeMap<String, u64>,
) -> Vec<RowPlan> {
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
        if work.omits() {
            note(row, Code::FieldOmitted.as_str());
        }
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
        step = work.after_methods(rules);
    }
    if let Step::Update { row, .. } = step {
        note(row, "update_customer");
        step = work.default_step(rules);
    }
    if let Step::SetDefault { row, .. } = step {
        note(row, "set_default");
    }
    for field in work.only_ours(rules) {
        *kept.entry(field).or_default() += 1;
    }
    let looks_again = !dry_run && work.looks_again(rules);
    work.rows
        .iter()
        .zip(words)
        .filter(|(row, _)| row.staged.outcome.is_none())
        .map(|(row, mut words)| {
            let mut verdict = None;
            if row.shared && !words.is_empty() && !matches!(row.fate, Fate::Kept(_)) {
                words.push(Code::TokenShared.as_str());
            }
            match (&row.fate, &row.also) {
                (Fate::Ended(end), _) if end.outcome == Outcome::Rejected => match end.code {
                    Some(code) if depends_on_reading(code) => words.push(code.as_str()),
                    _ => verdict = Some(end.clone()),
                },
                (Fate::Ended(_), _) => words.push("blocked"),
                // Beside its own subject something is wished that cannot be: if that is all, the
                // row is decided.
                (_, Some(also)) if words.is_empty() && !looks_again => {
                    verdict = Some(also.clone());
                }
                (_, Some(also)) => words.push(also.code.map_or("blocked", Code::as_str)),
                _ => {}
            }
            let plan = (!words.is_empty()).then(|| words.join("+"));
            RowPlan { line: row.staged.line, plan, verdict }
        })
        .collect()
}
