//! Imports.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::Connection as _;
use tokio::process::Command;

use super::{Bench, Pairs, Row, calls_note, check};
use crate::home::{ACCOUNT, Home, temporary};
use crate::numbers::{Aim, Of, count};
use crate::process::{self, Sample};
use crate::provider::Provider;
use crate::report::Line;
use crate::{bare, files};

/// Rows in one call of the bulk import.
const BATCH: u64 = 100;
/// A provider that nobody calls.
pub(super) const NOBODY: &str = "http://127.0.0.1:9";

fn size(rows: u64) -> String {
    format!("{} rows, {} customers", count(rows), count(files::customers(rows)))
}

/// A dry run of a file, which calls nobody.
pub(super) async fn plan(home: &Home, file: &Path, rows: u64) -> Result<Sample> {
    let file = file.display().to_string();
    let args = ["import", ACCOUNT, &file, "--dry-run", "--json", "--quiet"];
    let sample = home.onfile(&args).await?;
    check(&sample, "/rows/read", rows)?;
    Ok(sample)
}

/// Loads a file into a table with the `sqlite3` program, or our own loop where there is none.
async fn load(bench: &Bench, file: &Path, rows: u64, cli: bool) -> Result<Sample> {
    let folder = temporary(&bench.dir)?;
    let database = folder.path().join("bare.db");
    let sample = if cli {
        let mut command = Command::new("sqlite3");
        command.arg("-bail").arg(&database).arg(bare::schema());
        command.arg(format!(".import --csv --skip 1 '{}' rows", file.display()));
        process::measure(command).await?
    } else {
        let (file, database) = (file.display().to_string(), database.display().to_string());
        process::measure(process::bare(&["table", &file, &database])?).await?
    };
    let url = format!("sqlite://{}", database.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await?;
    let query = sqlx::query_scalar("SELECT count(*) FROM rows");
    let loaded: i64 = query.fetch_one(&mut connection).await?;
    connection.close().await?;
    ensure!(u64::try_from(loaded) == Ok(rows), "{loaded} rows were loaded, not {rows}");
    Ok(sample)
}

pub(super) async fn dry_run(bench: &Bench) -> Result<Line> {
    let rows = bench.sizes.dry_run_rows;
    let folder = temporary(&bench.dir)?;
    let file = folder.path().join("rows.csv");
    files::write(&file, rows)?;
    let cli = Command::new("sqlite3").arg("--version").output().await.is_ok();
    let peer = async || load(bench, &file, rows, cli).await;
    let ours = async || {
        let home = Home::new(&bench.dir, NOBODY, None, bench.in_flight)?;
        plan(&home, &file, rows).await
    };
    let pairs = Pairs::take(Row::ImportDryRun, bench.pairs, peer, ours).await?;
    Ok(pairs.time(Row::ImportDryRun, size(rows)).aim(Aim::at_most(Of::Ratio, 2.0)).note(if cli {
        "the peer is the program sqlite3: .import into a STRICT table without an index"
    } else {
        "the peer is our own loop into a STRICT table without an index: there is no sqlite3 here"
    }))
}

pub(super) async fn whole(bench: &Bench) -> Result<Line> {
    let rows = bench.sizes.import_rows;
    let folder = temporary(&bench.dir)?;
    let file = folder.path().join("rows.csv");
    files::write(&file, rows)?;
    let text = file.display().to_string();
    let mut calls = 0;
    let peer = async || {
        let provider = Provider::start(0, Duration::ZERO).await?;
        let work = ["import", &provider.base_url, &bench.in_flight.to_string(), &text];
        process::measure(process::bare(&work)?).await
    };
    let ours = async || {
        let provider = Provider::start(0, Duration::ZERO).await?;
        let home = Home::new(&bench.dir, &provider.base_url, None, bench.in_flight)?;
        let sample = home.onfile(&["import", ACCOUNT, &text, "--json", "--quiet"]).await?;
        check(&sample, "/rows/created", rows)?;
        calls = provider.calls().await?;
        Ok(sample)
    };
    let pairs = Pairs::take(Row::Import, bench.pairs, peer, ours).await?;
    let unavoidable = files::customers(rows) + rows.div_ceil(BATCH);
    Ok(pairs
        .throughput(Row::Import, size(rows), "rows/s", rows)
        .aim(Aim::at_least(Of::Ratio, 0.7))
        .note(calls_note(calls, unavoidable)))
}
