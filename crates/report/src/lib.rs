//! What a job did, for people: text for the terminal, and a page. Made from summaries and rows
//! alone; it reads no store and prints nothing itself.

mod changes;
mod csv;
mod effects;
mod export;
mod forecast;
mod history;
mod html;
mod links;
mod mask;
mod rows;
mod schedules;
mod verdict;
mod words;

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use model::{Counts, Ledger, Outcome, Summary};
use store::RunRecord;

pub use changes::{CHANGES_HEADER, change_line};
pub use csv::{Cells, csv_cells};
pub use effects::{effect, effects, settled};
pub use export::{Exported, LinkAt};
pub use forecast::forecast;
pub use history::{history, history_json};
pub use html::{MOST_CHANGES, MOST_ROWS, Report, html};
pub use links::{link_moved, link_moved_json};
pub use rows::{HEADER, bad_row, csv_line};
pub use schedules::{Scheduled, fire_json, fires, scheduled_json, schedules};

/// A job's summary: what it was, the ledger with its sum, counts, coverage and calls.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    let Summary { job, account, state, run, .. } = summary;
    let dry = if summary.dry_run { ", DRY RUN: nothing was sent" } else { "" };
    let _ = writeln!(text, "{job} {account}: {state}{dry}   (run {run})");
    if let Some(rows) = &summary.rows {
        text.push('\n');
        ledger(&mut text, rows);
        for (code, rows) in &summary.codes {
            let (meaning, hint) = words::code(code, run);
            let _ = writeln!(text, "    {rows:>10} × {code}: {meaning}");
            if let Some(hint) = hint {
                let _ = writeln!(text, "    {:>10}   hint: {hint}", "");
            }
        }
    }
    for (plan, rows) in &summary.planned {
        let _ = writeln!(text, "    {rows:>10} × planned: {}", rows::plan(plan));
    }
    effects_of(&mut text, summary);
    if summary.customers.is_some() || summary.methods.is_some() {
        text.push('\n');
    }
    for (what, counts) in [("customers", summary.customers), ("methods", summary.methods)] {
        if let Some(counts) = counts {
            count(&mut text, what, counts);
        }
    }
    for (finding, rows) in &summary.findings {
        let _ = writeln!(text, "  finding    {rows} × {finding}");
    }
    if !summary.kept_in_store.is_empty() {
        let kept: Vec<String> =
            summary.kept_in_store.iter().map(|(field, count)| format!("{field} {count}")).collect();
        let _ = writeln!(text, "  kept in store only: {}", kept.join(", "));
    }
    if let Some(mirror) = &summary.mirror {
        text.push('\n');
        let _ = writeln!(text, "  mirror: {}", forecast::mirror(mirror, summary));
    }
    if let Some(lines) = &summary.canary {
        let _ = writeln!(text, "  canary: {}", forecast::canary(lines));
    }
    if let Some(forecast) = summary.forecast.as_ref().filter(|_| summary.dry_run) {
        text.push_str(&forecast::lines("  it would make", forecast));
    }
    if let Some(coverage) = &summary.coverage {
        let end = words::read_how_far(coverage);
        let as_of = coverage.as_of.as_deref().unwrap_or("never");
        let _ = writeln!(text, "  coverage   {end}; as of {as_of}");
        for gap in &coverage.gaps {
            let _ = writeln!(text, "             not read: {gap}");
        }
        if let Some(unread) = &coverage.methods_unread {
            let _ = writeln!(
                text,
                "             not read on purpose: {}",
                words::unread_methods(unread)
            );
        }
        for note in &coverage.notes {
            let _ = writeln!(text, "             note: {note}");
        }
    }
    let calls = &summary.calls;
    if !words::is_at_work(summary) {
        let _ = writeln!(text, "\n  calls      {}", words::calls(calls));
        if calls.lost {
            let _ = writeln!(text, "             {}", words::CALLS_LOST);
        }
    }
    for (endpoint, count) in &calls.by_endpoint {
        let _ = writeln!(text, "    {count:>10} × {endpoint}");
    }
    text
}

/// What is open of a run, and who could go on with it.
fn effects_of(text: &mut String, summary: &Summary) {
    let unsettled = words::unsettled(summary).map(|(open, list)| format!("{open}: {list}"));
    if words::is_at_work(summary) || unsettled.is_some() {
        let states: Vec<String> =
            summary.effects.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = if states.is_empty() { "none sent".to_owned() } else { states.join(", ") };
        let _ = writeln!(text, "\n  effects    {states}");
    }
    for line in unsettled.into_iter().chain(words::held(summary)) {
        let _ = writeln!(text, "  {line}");
    }
}

fn ledger(text: &mut String, rows: &Ledger) {
    let _ = writeln!(text, "  {:<14}{:>10}", "rows read", rows.read);
    for outcome in Outcome::ALL {
        let count = rows.of(outcome);
        if count > 0 {
            let _ = writeln!(text, "  {:<14}{count:>10}", outcome.as_str());
        }
    }
    let _ = writeln!(text, "  {:<14}{:>10}   {}", "sum", rows.accounted(), words::sum(rows));
}

fn count(text: &mut String, what: &str, counts: Counts) {
    let named: Vec<String> = words::changes(counts)
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let named = if named.is_empty() { "none changed".to_owned() } else { named.join(", ") };
    let _ = writeln!(text, "  {what:<10} {} seen: {named}", counts.seen);
}

/// Whether a run only planned, by its options.
#[must_use]
pub fn is_dry(run: &RunRecord) -> bool {
    let args = serde_json::from_str::<serde_json::Value>(&run.args).unwrap_or_default();
    args.get("dry_run").and_then(serde_json::Value::as_bool) == Some(true)
}

/// A list of runs, the latest first.
#[must_use]
pub fn runs(runs: &[RunRecord]) -> String {
    if runs.is_empty() {
        return "no runs yet".into();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["run", "job", "account", "state", "began", "input"]);
    for run in runs {
        table.add_row([
            run.id.to_string(),
            if is_dry(run) { format!("{} (dry run)", run.job) } else { run.job.clone() },
            run.account.to_string(),
            run.state.as_str().to_owned(),
            run.created_at.to_string(),
            run.input_name.clone().unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Calls, Coverage};

    #[test]
    fn a_summary_shows_the_ledger_and_its_sum() {
        let mut rows = Ledger { read: 4, ..Ledger::default() };
        rows.add(Outcome::Created, 2);
        rows.add(Outcome::Rejected, 1);
        rows.add(Outcome::NotAttempted, 1);
        let text = summary(&Summary {
            run: "01R".into(),
            job: "import".into(),
            account: "gov".into(),
            state: "done".into(),
            rows: Some(rows),
            codes: [("bad_value".to_owned(), 1), ("run_stopped".to_owned(), 1)].into(),
            calls: Calls {
                total: 3,
                changing: 2,
                lost: true,
                by_endpoint: [("POST /api/customers".to_owned(), 2)].into(),
                ..Calls::default()
            },
            ..Summary::default()
        });
        insta::assert_snapshot!(text, @r"
        import gov: done   (run 01R)

          rows read              4
          created                2
          rejected               1
          not_attempted          1
          sum                    4   balanced: every row has one outcome
                     1 × bad_value: A cell is not of the form its column takes.
                         hint: write the cell as the message says, or leave it empty
                     1 × run_stopped: The run stopped before this row's turn.
                         hint: `onfile runs resume 01R` goes on, or import the same file again

          calls      3 in all, 2 of them changing something; 0 throttled, 0 reads repeated
                     those of a process of this run that died are not counted
                     2 × POST /api/customers
        ");
    }

    #[test]
    fn a_plan_says_apart_what_is_done_and_what_is_only_said() {
        let planned = ["create_customer+import_method+card_expired", "nothing", "token_changed"];
        let planned = planned.map(|plan| (plan.to_owned(), 2)).into();
        let rows = Some(Ledger { read: 6, not_attempted: 6, ..Ledger::default() });
        let text = summary(&Summary { rows, planned, ..Summary::default() });
        for line in [
            "2 × planned: create_customer, then import_method; card_expired\n",
            "2 × planned: nothing\n",
            "2 × planned: token_changed\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_run_at_work_says_how_far_it_is() {
        let at_work = Summary {
            run: "01R".into(),
            job: "import".into(),
            account: "gov".into(),
            state: "running".into(),
            effects: [("done".to_owned(), 34), ("sending".to_owned(), 18)].into(),
            unsettled: 18,
            lease_seconds: Some(41),
            ..Summary::default()
        };
        insta::assert_snapshot!(summary(&at_work), @r"
        import gov: running   (run 01R)

          effects    34 done, 18 sending
          18 effects are not settled yet: onfile effects list --run 01R
          a worker holds it; if its process died, its lease runs out in 41 s: then `onfile runs resume 01R` goes on, `onfile runs cancel 01R` ends it
        ");
        let died = summary(&Summary { lease_seconds: None, ..at_work.clone() });
        assert!(died.contains("nobody works at it: `onfile runs resume 01R` goes on"), "{died}");
        // Nobody works at one that rests, and what it left open is said all the same.
        let rests = summary(&Summary { state: "paused".into(), unsettled: 1, ..at_work });
        assert!(rests.contains("1 effect is not settled yet"), "{rests}");
        assert!(!rests.contains("works at it") && !rests.contains("holds it"), "{rests}");
    }

    #[test]
    fn a_ledger_that_does_not_balance_says_so() {
        let rows = Ledger { read: 3, created: 2, ..Ledger::default() };
        let text = summary(&Summary { rows: Some(rows), ..Summary::default() });
        assert!(text.contains("NOT BALANCED"), "{text}");
    }

    #[test]
    fn gaps_are_said() {
        let coverage =
            Coverage { complete: false, gaps: vec!["page 3".into()], ..Coverage::default() };
        let text = summary(&Summary { coverage: Some(coverage), ..Summary::default() });
        assert!(text.contains("incomplete") && text.contains("not read: page 3"), "{text}");
    }
}
