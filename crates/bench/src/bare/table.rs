//! A file into a table, where there is no `sqlite3` to do it: lines split at commas, in one
//! transaction.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Result;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

use super::rows;
use crate::files::COLUMNS;

const ROWS: usize = 500;

/// A STRICT table of the file's columns, all of them text.
pub(crate) fn schema() -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|name| format!("\"{name}\" TEXT")).collect();
    format!("CREATE TABLE rows ({}) STRICT", columns.join(", "))
}

pub(super) async fn run(file: &Path, database: &Path) -> Result<()> {
    let mut connection = rows::sqlite(database).await?;
    connection.execute(AssertSqlSafe(schema())).await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut cells = Vec::with_capacity(ROWS * COLUMNS.len());
    for line in BufReader::new(File::open(file)?).lines().skip(1) {
        cells.extend(line?.split(',').map(str::to_owned));
        if cells.len() == ROWS * COLUMNS.len() {
            insert(&mut tx, std::mem::take(&mut cells)).await?;
        }
    }
    if !cells.is_empty() {
        insert(&mut tx, cells).await?;
    }
    tx.commit().await?;
    Ok(connection.close().await?)
}

async fn insert(connection: &mut SqliteConnection, cells: Vec<String>) -> Result<()> {
    let row = format!("({})", vec!["?"; COLUMNS.len()].join(", "));
    let text = rows::values("INSERT INTO rows", &row, cells.len() / COLUMNS.len());
    let query = cells.into_iter().fold(sqlx::query(AssertSqlSafe(text)), Query::bind);
    query.execute(connection).await?;
    Ok(())
}
