//! Tokens that stand under more than one reference of a run.

use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::decode::{get, unsigned};
use crate::records::{SharedRow, SharedToken};
use crate::{Fence, StoreError};

/// One pass over the run's rows, grouped by fingerprint: nearly always it finds nothing.
const SHARED: &str = "WITH shared AS (SELECT token_fp FROM staged_rows WHERE run = $1 \
         AND token_fp IS NOT NULL GROUP BY token_fp HAVING MIN(reference) <> MAX(reference)) \
     SELECT s.token_fp, s.line, s.reference, COALESCE(j.head, s.head) FROM shared \
     JOIN staged_rows s ON s.token_fp = shared.token_fp \
     LEFT JOIN staged_joins j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = $1 AND s.reference IS NOT NULL ORDER BY s.token_fp, s.line";

fn row(row: &PgRow) -> Result<SharedRow, StoreError> {
    Ok(SharedRow {
        fp: get(row, 0)?,
        line: unsigned(get(row, 1)?),
        reference: get(row, 2)?,
        head: unsigned(get(row, 3)?),
    })
}

impl PostgresStore {
    pub(super) async fn read_shared_tokens(
        &self,
        fence: &Fence,
    ) -> Result<Vec<SharedToken>, StoreError> {
        let rows = sqlx::query(SHARED).bind(fence.run.as_str()).fetch_all(&self.pool).await?;
        Ok(SharedToken::of(rows.iter().map(row).collect::<Result<_, _>>()?))
    }
}
