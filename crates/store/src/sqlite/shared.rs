//! Tokens that stand under more than one reference of a run.

use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::decode::{get, unsigned};
use crate::records::{SharedRow, SharedToken};
use crate::{Fence, StoreError};

/// One pass over the run's rows, sorted by fingerprint: nearly always it finds nothing.
const ANY: &str = "SELECT token_fp FROM staged_rows WHERE run = ?1 AND token_fp IS NOT NULL \
     GROUP BY token_fp HAVING MIN(reference) <> MAX(reference) LIMIT 1";
const SHARED: &str = "SELECT s.token_fp, s.line, s.reference, COALESCE(j.head, s.head) \
     FROM staged_rows AS s LEFT JOIN staged_joins AS j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = ?1 AND s.token_fp IN (SELECT token_fp FROM staged_rows WHERE run = ?1 AND token_fp IS NOT NULL \
         GROUP BY token_fp HAVING MIN(reference) <> MAX(reference)) \
     AND s.reference IS NOT NULL ORDER BY s.token_fp, s.line";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ANY, SHARED];

fn row(row: &SqliteRow) -> Result<SharedRow, StoreError> {
    Ok(SharedRow {
        fp: get(row, 0)?,
        line: unsigned(get(row, 1)?),
        reference: get(row, 2)?,
        head: unsigned(get(row, 3)?),
    })
}

impl SqliteStore {
    pub(super) async fn read_shared_tokens(
        &self,
        fence: &Fence,
    ) -> Result<Vec<SharedToken>, StoreError> {
        let run = fence.run.as_str();
        let mut tx = self.snapshot().await?;
        if sqlx::query(ANY).bind(run).fetch_optional(&mut *tx).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(SHARED).bind(run).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(SharedToken::of(rows.iter().map(row).collect::<Result<_, _>>()?))
    }
}
