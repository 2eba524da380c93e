//! `onfile report`: what became of every row of a run.

use std::fs::{OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ::report::Report;
use anyhow::{Context, Result};
use model::{Clock as _, Code, Ledger, RunId, Summary, SystemClock};
use serde_json::json;
use store::{RunRecord, RunState, Store};

use super::{env, runs};
use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

const PAGE: u32 = 1000;
/// The page of a report, for people.
pub(crate) const PAGE_NAME: &str = "report.html";
/// So many rows that need somebody are shown.
const SHOWN_ROWS: u32 = 10;

pub(crate) async fn run(
    global: &Global,
    run: &str,
    folder: Option<&Path>,
    with_values: bool,
) -> Result<Exit> {
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let opened = wiring::open(wiring::load(&global.config, &env, &options)?).await?;
    let store = &*opened.store;
    let record = runs::known(store, run).await?;
    let summary = engine::summary_of(store, &record).await?;
    let at_work = record.state == RunState::Running;
    let mut balances = summary.rows.is_none_or(|rows| rows.balances());
    match folder {
        Some(folder) => {
            let rows = write(store, &record, &summary, folder, with_values).await?;
            balances &= at_work || rows == summary.rows.map_or(0, |ledger| ledger.read);
            if global.json {
                out::json(&json!({ "run": run, "rows": rows, "folder": folder }));
            } else {
                let page = folder.join(PAGE_NAME);
                out::line(&format!(
                    "wrote the report, {}, with {rows} rows and the summary beside it",
                    page.display()
                ));
                if at_work {
                    out::line(
                        "the run has not come to rest: rows that have no outcome yet are \
                         `not_attempted` there",
                    );
                }
            }
        }
        None if global.json => out::json(&serde_json::to_value(&summary)?),
        None => {
            out::line(::report::summary(&summary).trim_end());
            if let Some(error) = &summary.error {
                out::line(&format!("\n  {error}"));
                let code = summary.error_code.as_deref().and_then(Code::parse);
                if let Some(hint) = code.and_then(|code| code.hint_in(run)) {
                    out::line(&format!("  hint: {hint}"));
                }
            }
            let tally = store.tally(&record.id).await?;
            let planned = tally.planned.values().sum();
            show_bad_rows(store, &record.id, &tally.ledger, planned).await?;
        }
    }
    opened.store.close().await;
    if balances {
        return Ok(Exit::Clean);
    }
    let code = Code::Internal;
    out::error_line(&format!(
        "error[{code}]: the ledger of run {run} does not balance: not every row has one outcome\n  \
         hint: {}",
        code.hint_in(run).unwrap_or_default()
    ));
    Ok(Exit::Error)
}

/// Writes the report of a run into a folder, and says how many rows it has. People's values are
/// masked on its page, or not.
pub(crate) async fn write(
    store: &dyn Store,
    record: &RunRecord,
    summary: &Summary,
    folder: &Path,
    with_values: bool,
) -> Result<u64> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let rows = write_rows(store, &record.id, &folder.join("rows.csv")).await?;
    let mut file = private(&folder.join("report.json"))?;
    writeln!(file, "{}", serde_json::to_string_pretty(summary)?)?;
    file.flush()?;
    let bad = store.bad_rows(&record.id, ::report::MOST_ROWS).await?;
    let hidden = if with_values {
        None
    } else {
        let references = bad.iter().filter_map(|row| row.reference.clone()).collect();
        Some(store.personal_values(&record.id, &references).await?)
    };
    let mut changes =
        store.changes_of_run(&record.id, 0, ::report::MOST_CHANGES.saturating_add(1)).await?;
    let more_changes = changes.len() > ::report::MOST_CHANGES as usize;
    changes.truncate(::report::MOST_CHANGES as usize);
    if !changes.is_empty() {
        write_changes(store, &record.id, &folder.join("changes.csv")).await?;
    }
    let report = Report {
        summary,
        record,
        rows: &bad,
        changes: &changes,
        more_changes,
        hidden: hidden.as_ref(),
        now: SystemClock.now(),
    };
    let mut file = private(&folder.join(PAGE_NAME))?;
    file.write_all(::report::html(&report)?.as_bytes())?;
    file.flush()?;
    Ok(rows)
}

/// Writes every change of a run, a page at a time.
async fn write_changes(store: &dyn Store, run: &RunId, path: &Path) -> Result<()> {
    let mut file = private(path)?;
    writeln!(file, "{}", ::report::CHANGES_HEADER)?;
    let mut after = 0;
    loop {
        let changes = store.changes_of_run(run, after, PAGE).await?;
        let Some(last) = changes.last() else { break };
        after = last.id;
        for change in &changes {
            writeln!(file, "{}", ::report::change_line(change))?;
        }
    }
    Ok(file.flush()?)
}

/// Shows the first rows of a run that somebody must act on, where there are more, and what to do
/// about those that are not settled. `planned` rows of the ledger have no outcome yet.
pub(crate) async fn show_bad_rows(
    store: &dyn Store,
    run: &RunId,
    rows: &Ledger,
    planned: u64,
) -> Result<()> {
    let bad = rows.declined(planned);
    if bad == 0 {
        return Ok(());
    }
    out::line("");
    let shown = store.bad_rows(run, SHOWN_ROWS).await?;
    for line in shown.iter().filter_map(::report::bad_row) {
        out::line(&format!("  {line}"));
    }
    match bad.saturating_sub(shown.len() as u64) {
        0 => out::line(&format!("\n  all rows: onfile report {run} --out DIR")),
        more => out::line(&format!("  … and {more} more: onfile report {run} --out DIR")),
    }
    if rows.unresolved > 0 {
        out::line(
            "  unresolved rows may have taken effect, and reading the provider does not tell. Nothing is \
             sent for these\n  customers until you say what you saw: onfile effects list",
        );
    }
    Ok(())
}

/// Report files and exports are for their owner alone, also where they were somebody else's before.
pub(super) fn private(path: &Path) -> Result<BufWriter<std::fs::File>> {
    let open = || {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok::<_, std::io::Error>(file)
    };
    Ok(BufWriter::new(open().with_context(|| format!("cannot write {}", path.display()))?))
}

/// Writes every row, a page at a time, and says how many.
pub(crate) async fn write_rows(store: &dyn Store, run: &RunId, path: &Path) -> Result<u64> {
    let mut file = private(path)?;
    writeln!(file, "{}", ::report::HEADER)?;
    let (mut after, mut count) = (0, 0);
    loop {
        let rows = store.rows(run, after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.line;
        count += rows.len() as u64;
        for row in &rows {
            writeln!(file, "{}", ::report::csv_line(row))?;
        }
    }
    file.flush()?;
    Ok(count)
}
