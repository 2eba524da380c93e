//! Canary secrets go in by every door; none comes out by any other.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use sqlx::Connection as _;

use super::World;
use crate::env::{Database, TestDb};

type Result = anyhow::Result<()>;

/// What is looked for, and where it went in.
const CANARIES: [(&str, &str); 4] = [
    ("a token in a cell", "tok_canary_a81f44c2"),
    ("a card number in a cell", "4111111111111111"),
    ("the client's secret", "sandbox-secret"),
    ("the store's key", super::KEY),
];
/// Harmless, and must be found: a search that finds nothing proves nothing.
const MARKER: &str = "harmless-marker-77";

fn files_under(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) -> Result {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_under(&path, found)?;
        } else if path.extension().is_none_or(|ending| ending != "csv") {
            found.push((path.display().to_string(), std::fs::read(&path)?));
        }
    }
    Ok(())
}

/// Every row of every table, as text.
async fn dump(url: &str) -> anyhow::Result<Vec<u8>> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
    )
    .fetch_all(&mut connection)
    .await?;
    let mut all = Vec::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT row_to_json(t)::text FROM \"{table}\" t"
        )))
        .fetch_all(&mut connection)
        .await?;
        all.extend(rows.join("\n").into_bytes());
    }
    Ok(all)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

pub async fn leave_no_trace(db: Arc<TestDb>) -> Result {
    // The provider echoes the request in its error.
    let faults = "bulk_import:1=echo_request_in_error";
    let world = World::new(db, 0, faults).await?;
    world.file(
        "rows.csv",
        &format!(
            "row_id,reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
             1,S-1,{MARKER},card,tok_canary_a81f44c2,processor,4242,12,2030\n\
             2,S-2,Two,card,4111111111111111,processor,4242,12,2030\n"
        ),
    )?;
    let mut said = Vec::new();
    let args = ["-vv", "import", "gov", "rows.csv", "--max-rejected", "1"];
    for args in [&args[..], &["-vv", "pull", "gov"], &["-vv", "runs"], &["-vv", "check"]] {
        let ran = world.onfile.run(args).await?;
        said.push((format!("stdout of {args:?}"), ran.stdout.into_bytes()));
        said.push((format!("stderr of {args:?}"), ran.stderr.into_bytes()));
    }
    world.all_fired()?;
    match world.db.database {
        Database::Sqlite => files_under(world.db.folder(), &mut said)?,
        Database::Postgres => said.push(("the database".into(), dump(world.db.url()).await?)),
    }
    ensure!(said.iter().any(|(_, bytes)| holds(bytes, MARKER)), "the marker is nowhere");
    for (what, canary) in CANARIES {
        // A database shows bytes as hex.
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (place, bytes) in &said {
            ensure!(!holds(bytes, canary), "{what} stands in {place}");
            ensure!(!holds(bytes, &hex), "{what} stands in {place}, in hex");
        }
    }
    Ok(())
}
