//! `onfile report`: what became of every row of a run.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use model::{RunId, Summary};
use serde_json::json;
use store::Store;

use super::env;
use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

const PAGE: u32 = 1000;

pub(crate) async fn run(global: &Global, run: &str, folder: Option<&Path>) -> Result<Exit> {
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let opened = wiring::open(wiring::load(&global.config, &env, &options)?).await?;
    let id = RunId::new(run)?;
    let record = opened
        .store
        .run(&id)
        .await?
        .with_context(|| format!("there is no run {run}; `onfile runs` lists them"))?;
    let summary: Option<Summary> =
        record.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let rows = write_rows(&*opened.store, &id, &folder.join("rows.csv")).await?;
            let mut file = private(&folder.join("report.json"))?;
            writeln!(file, "{}", serde_json::to_string_pretty(&summary)?)?;
            file.flush()?;
            if global.json {
                out::json(&json!({ "run": run, "rows": rows, "folder": folder }));
            } else {
                out::line(&format!("wrote {rows} rows and the summary to {}", folder.display()));
            }
        }
        None if global.json => out::json(&serde_json::to_value(&summary)?),
        None => {
            if let Some(summary) = &summary {
                out::line(::report::summary(summary).trim_end());
                out::line("");
            }
            each_row(&*opened.store, &id, |row| {
                if let Some(line) = ::report::bad_row(row) {
                    out::line(&line);
                }
                Ok(())
            })
            .await?;
        }
    }
    opened.store.close().await;
    Ok(Exit::Clean)
}

/// The first rows of a run that somebody must look at, and whether there are more.
pub(crate) async fn bad_rows(
    store: &dyn Store,
    run: &RunId,
    most: u32,
) -> Result<(Vec<String>, bool)> {
    let rows = store.bad_rows(run, most + 1).await?;
    let more = rows.len() > most as usize;
    let lines = rows.iter().take(most as usize).filter_map(::report::bad_row);
    Ok((lines.collect(), more))
}

async fn each_row(
    store: &dyn Store,
    run: &RunId,
    mut take: impl FnMut(&store::RowRecord) -> Result<()>,
) -> Result<u64> {
    let mut after = 0;
    let mut count = 0;
    loop {
        let rows = store.rows(run, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(count) };
        after = last.line;
        count += rows.len() as u64;
        for row in &rows {
            take(row)?;
        }
    }
}

/// Report files are for their owner alone.
fn private(path: &Path) -> Result<BufWriter<std::fs::File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    Ok(BufWriter::new(file.with_context(|| format!("cannot write {}", path.display()))?))
}

async fn write_rows(store: &dyn Store, run: &RunId, path: &Path) -> Result<u64> {
    let mut file = private(path)?;
    writeln!(file, "{}", ::report::HEADER)?;
    let count =
        each_row(store, run, |row| Ok(writeln!(file, "{}", ::report::csv_line(row))?)).await?;
    file.flush()?;
    Ok(count)
}
