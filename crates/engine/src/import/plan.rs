//! Planning: what will be done for each staged row, and nothing is sent.

use std::collections::{BTreeMap, BTreeSet};

use model::{Code, FieldName, Outcome, Profile};
use store::{FinishRows, Group, RowPlan, RowTally, StagedRow, Verdict, Which};

use super::GROUPS;
use super::forecast::{Expectations, Expected};
use crate::EngineError;
use crate::apply::Applier;
use crate::group::{CustomerNow, Fate, Rules, Step, Work};

/// Tokens forgotten in one transaction.
const FORGET: usize = 5000;

/// What a plan says of a row whose customer has an effect that is not settled.
pub(super) const BLOCKED: &str = "blocked";

/// What planning counts on its way.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How many customers have fields that only our store can keep, by field.
    fields: BTreeMap<String, i64>,
    /// What applying will do.
    pub(super) expected: Expectations,
}

impl Kept {
    fn add(&mut self, field: String, customers: i64) {
        *self.fields.entry(field).or_default() += customers;
    }

    pub(super) fn counts(&mut self) -> BTreeMap<String, u64> {
        let counts = std::mem::take(&mut self.fields)
            .into_iter()
            .map(|(f, n)| (f, u64::try_from(n).unwrap_or(0)));
        counts.filter(|(_, customers)| *customers > 0).collect()
    }
}

/// Plans rows that were just read, as if the file had no other rows of their references, and adds
/// them to `all`.
pub(super) fn plan_rows(
    applier: &Applier<'_>,
    groups: Vec<Group>,
    all: &mut Vec<StagedRow>,
    kept: &mut Kept,
) {
    all.reserve(groups.iter().map(|group| group.rows.len()).sum());
    applier.with_rules(|rules| {
        for group in groups {
            let Planned { rows, only_ours, expected } = plan_group(applier, rules, group);
            expected.into_iter().for_each(|expected| kept.expected.push(expected));
            for field in only_ours {
                // As if each cluster were a customer: once all rows of a reference are known,
                // they are counted as one.
                let clusters = clusters(rows.iter().map(|(row, plan)| (row, Some(plan))), &field);
                kept.add(field, clusters);
            }
            for (mut row, plan) in rows {
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
}

/// Plans staged references again: those whose rows stand apart in the file, now that all of them
/// are known, or those of a run that goes on; the rows that were decided and are open again.
pub(super) async fn replan(
    applier: &Applier<'_>,
    which: Which,
    kept: &mut Kept,
) -> Result<BTreeSet<u64>, EngineError> {
    let Applier { engine, run, .. } = applier;
    let load =
        |after| engine.store.load_groups(&run.fence, &engine.account.name, after, which, GROUPS);
    let mut opened = BTreeSet::new();
    let mut page = load(0).await?;
    while !page.groups.is_empty() {
        engine.stop.check()?;
        let after = page.upto;
        let again = replan_groups(applier, page.groups, which, kept);
        // The next references are read while these are written.
        let (written, next) = tokio::join!(commit(applier, again.changed), load(after));
        written?;
        page = next?;
        opened.extend(again.opened);
        engine.progress.at("planned again", after, None);
    }
    Ok(opened)
}

async fn commit(applier: &Applier<'_>, plans: Vec<RowPlan>) -> Result<(), EngineError> {
    if !plans.is_empty() {
        applier.engine.store.commit_plan(&applier.run.fence, plans).await?;
    }
    Ok(())
}

/// Plans the references that begin on these lines again, before anything is applied: more is known
/// of their tokens by now.
pub(super) async fn replan_heads(
    applier: &Applier<'_>,
    heads: &BTreeSet<u64>,
    kept: &mut Kept,
) -> Result<BTreeSet<u64>, EngineError> {
    let Applier { engine, run, .. } = applier;
    let heads: Vec<u64> = heads.iter().copied().collect();
    let mut opened = BTreeSet::new();
    for some in heads.chunks(GROUPS as usize) {
        engine.stop.check()?;
        let mut groups = engine.store.load_heads(&run.fence, &engine.account.name, some).await?;
        // Those whose rows stand apart have their turn anyway.
        groups.retain(|group| group.rows.iter().all(|row| some.contains(&row.head)));
        let again = replan_groups(applier, groups, Which::Joined, kept);
        commit(applier, again.changed).await?;
        opened.extend(again.opened);
    }
    Ok(opened)
}

/// What planning again came to.
#[derive(Default)]
struct Again {
    changed: Vec<RowPlan>,
    /// Rows that were decided and are open again.
    opened: Vec<u64>,
}

fn replan_groups(
    applier: &Applier<'_>,
    groups: Vec<Group>,
    which: Which,
    kept: &mut Kept,
) -> Again {
    let mut again = Again::default();
    applier.with_rules(|rules| {
        for mut group in groups {
            let before: Vec<Option<RowPlan>> =
                group.rows.iter_mut().map(|row| take_plan(row, which)).collect();
            let Planned { rows, only_ours, expected } = plan_group(applier, rules, group);
            kept.expected.replace(&rows.iter().map(|(row, _)| row.head).collect(), expected);
            for field in only_ours {
                // Each cluster was counted by itself.
                let before = before.iter().map(Option::as_ref);
                let rows = rows.iter().map(|(row, _)| row).zip(before);
                let clusters = clusters(rows, &field);
                kept.add(field, 1 - clusters);
            }
            for (before, (_, now)) in before.into_iter().zip(rows) {
                let Some(before) = before.filter(|before| *before != now) else { continue };
                if before.verdict.is_some() && now.verdict.is_none() {
                    again.opened.push(now.line);
                }
                again.changed.push(now);
            }
        }
    });
    again
}

/// How many clusters state a field in a row that this plan does not decline.
fn clusters<'a>(
    rows: impl Iterator<Item = (&'a StagedRow, Option<&'a RowPlan>)>,
    field: &str,
) -> i64 {
    // Of these the row's own subject is not declined.
    let beside = [Some(Code::NotUpdatable), Some(Code::ChangedAtProvider)];
    let declined = |plan: &RowPlan| {
        plan.verdict.as_ref().is_some_and(|verdict| !beside.contains(&verdict.code))
    };
    let stating = rows.filter(|(row, plan)| {
        states(&row.profile, field) && !plan.as_ref().is_some_and(|plan| declined(plan))
    });
    let heads: BTreeSet<u64> = stating.map(|(row, _)| row.head).collect();
    i64::try_from(heads.len()).unwrap_or(i64::MAX)
}

/// Whether a profile states a field, by its name as files show it.
fn states(profile: &Profile, field: &str) -> bool {
    match field.strip_prefix("metadata.") {
        Some(key) => profile.metadata.contains_key(key),
        None => FieldName::TEXTS
            .into_iter()
            .any(|name| name.as_str() == field && profile.get(name).is_some()),
    }
}

/// Takes back what was planned for a row; `None` where that stands. As long as nothing was
/// applied, a verdict is part of the plan; in a run that goes on it stands.
pub(super) fn take_plan(row: &mut StagedRow, which: Which) -> Option<RowPlan> {
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
    matches!(code, Code::TokenChanged | Code::FactsNeeded | Code::WalletFull)
}

/// What rows will say although they are imported: the last such word of a plan is the code that
/// the row will have.
pub(super) fn expected_warnings(planned: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let warns = |code: &Code| code.outcomes().contains(&Outcome::Created);
    let mut warnings = BTreeMap::new();
    for (plan, rows) in planned {
        if let Some(code) = plan.rsplit('+').filter_map(Code::parse).find(warns) {
            *warnings.entry(code.as_str().to_owned()).or_default() += rows;
        }
    }
    warnings
}

/// How many rows look like being rejected by what the provider is known to have.
pub(super) fn expected_rejections(tally: &RowTally) -> u64 {
    let expected = |plan: &str| {
        plan.split('+').filter_map(Code::parse).any(|word| {
            depends_on_reading(word) || matches!(word, Code::NotUpdatable | Code::ChangedAtProvider)
        })
    };
    tally.planned.iter().filter(|(plan, _)| expected(plan)).map(|(_, rows)| rows).sum()
}

/// How many rows' plan or verdict rests on what the mirror says of the provider, and not on the
/// file alone.
pub(super) fn unverified(tally: &RowTally) -> u64 {
    tally.planned.values().sum::<u64>() + decided_by_mirror(tally)
}

/// How many rows are decided by what the mirror says of the provider.
pub(super) fn decided_by_mirror(tally: &RowTally) -> u64 {
    let by_mirror = [
        Code::RemovedAtProvider,
        Code::ChangedAtProvider,
        Code::NotUpdatable,
        Code::TokenChanged,
        Code::FactsNeeded,
        Code::DuplicateAtProvider,
    ];
    by_mirror.iter().filter_map(|code| tally.codes.get(code.as_str())).sum()
}

/// A reference that was planned.
pub(super) struct Planned {
    pub(super) rows: Vec<(StagedRow, RowPlan)>,
    /// The fields that only our store can keep; told of a dry run.
    pub(super) only_ours: Vec<String>,
    /// What applying will do; none if every row is decided.
    pub(super) expected: Option<Expected>,
}

/// What will be done for each row of a reference, as far as the mirror tells. Nothing follows a dry
/// run, so what it would look at again is said as it seems now.
fn plan_group(applier: &Applier<'_>, rules: &Rules<'_>, group: Group) -> Planned {
    plan_work(applier, rules, applier.work(group), false)
}

/// The same for a reference that is at work. If it was `looked` at, its rows for which nothing is
/// left to do are decided.
pub(super) fn plan_work(
    applier: &Applier<'_>,
    rules: &Rules<'_>,
    mut work: Work,
    looked: bool,
) -> Planned {
    let mut words: Vec<Vec<&'static str>> = vec![Vec::new(); work.rows.len()];
    let mut note = |row: usize, word: &'static str| {
        if let Some(words) = words.get_mut(row) {
            words.push(word);
        }
    };
    let mut step = work.next(rules, true);
    let mut expected = Expected::new(work.rows.first().map_or(0, |row| row.staged.head));
    if let Step::Create { row } = step {
        expected.creates = true;
        note(row, "create_customer");
        if work.omits() {
            note(row, Code::FieldOmitted.as_str());
        }
        work.customer = CustomerNow::Planned;
        step = work.next(rules, true);
    }
    if let Step::Save(adds) = &step {
        for add in adds {
            expected.add(add, work.rows.get(add.row), rules);
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
    let only_ours = if applier.dry_run { work.only_ours(rules) } else { Vec::new() };
    (expected.gets, expected.lists) = work.reads(rules);
    let looks_again = work.looks_again(rules);
    let says_so = applier.looks && looks_again;
    let again = looks_again || (looked && expected.gets);
    let (dry_run, gives_up) = (applier.dry_run, applier.gives_up);
    let mut ends = if looked { work.results(rules.now) } else { Vec::new() }.into_iter();
    let rows = work
        .rows
        .into_iter()
        .zip(words)
        .map(|(row, mut words)| {
            let end = ends.next().and_then(|end| end.verdict);
            let mut verdict = None;
            let saves = words.iter().any(|word| matches!(*word, "import_method" | "add_method"));
            let omits = words.contains(&Code::FieldOmitted.as_str());
            if row.shared && !words.is_empty() && !matches!(row.fate, Fate::Kept(_)) {
                words.push(Code::TokenShared.as_str());
            } else if saves && !omits && row.card_has_expired(rules.now) {
                words.push(Code::CardExpired.as_str());
            }
            match (&row.fate, &row.also) {
                (Fate::Ended(end), _) if end.outcome == Outcome::Rejected => match end.code {
                    // Where nothing is read any more, it is the last word.
                    Some(code) if depends_on_reading(code) && !dry_run && !gives_up => {
                        words.push(code.as_str());
                    }
                    _ => verdict = Some(end.clone()),
                },
                (Fate::Ended(end), _) => words.push(match end.code {
                    Some(code) if end.outcome == Outcome::Refused => code.as_str(),
                    _ => BLOCKED,
                }),
                // Beside its own subject something is wished that cannot be: if that is all, a dry
                // run has decided the row. Applying keeps what only our store can keep of it.
                (_, Some(also)) if words.is_empty() && dry_run && !says_so => {
                    verdict = Some(also.clone());
                }
                (_, Some(also)) if gives_up && also.outcome == Outcome::Rejected => {
                    verdict = Some(also.clone());
                }
                (_, Some(also)) => words.push(also.code.map_or(BLOCKED, Code::as_str)),
                _ => {}
            }
            // Applying looks before it says what cannot be: until then the row is open.
            let open = verdict.is_none() || (again && row.also == verdict);
            expected.open += u32::from(open);
            if words.is_empty() {
                verdict = verdict.or(end);
            }
            let plan = (!words.is_empty()).then(|| words.join("+"));
            let plan = RowPlan { line: row.staged.line, plan, verdict };
            (row.staged, plan)
        })
        .collect();
    Planned { rows, only_ours, expected: Some(expected).filter(|expected| expected.open > 0) }
}
