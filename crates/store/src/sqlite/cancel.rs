//! What waits in a run: rows that something is planned for, and their end when it is cancelled.

use std::collections::BTreeMap;

use model::{Code, Outcome, RunId};
use sqlx::sqlite::SqliteRow;

use super::decode::{get, signed, unsigned};
use super::runs::{FREE_WRITER, state_of};
use super::{SqliteStore, server_now};
use crate::canonical::to_json;
use crate::staged::method_kind;
use crate::{Fence, PlannedRow, RunState, StoreError};

const PLANNED: &str = "SELECT s.line, COALESCE(j.head, s.head), s.plan, s.stated \
     FROM staged_rows AS s LEFT JOIN staged_joins AS j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = ?1 AND s.part = ?2 AND s.line > ?3 AND s.plan IS NOT NULL AND s.head > 0 \
     ORDER BY s.line LIMIT ?4";
const HELD: &str = "SELECT EXISTS (SELECT 1 FROM parts WHERE run = ?1 AND owner IS NOT NULL \
     AND lease_until >= ?2)";
const HALF_DONE: &str = "SELECT s.line, group_concat(e.kind, '+') FROM effects AS e \
     CROSS JOIN staged_rows AS s ON s.run = e.run AND s.line = e.line \
     WHERE e.run = ?1 AND e.state = 'done' AND s.outcome IS NULL GROUP BY s.line";
const KEEP_DONE: &str = "UPDATE staged_rows SET done = ?3 WHERE run = ?1 AND line = ?2";
/// One more epoch: whoever held a part can write no more.
const VOID_PARTS: &str = "UPDATE parts SET epoch = epoch + 1, owner = NULL, lease_until = 0, \
     state = CASE WHEN state = 'running' THEN 'ready' ELSE state END WHERE run = ?1";
const CANCEL: &str = "UPDATE runs SET state = 'cancelled', summary = ?2, error = NULL, \
     ended_at = ?3 WHERE id = ?1";
const OPEN_LINES: &str = "SELECT line FROM staged_rows WHERE run = ?1 AND line > ?2 \
     AND outcome IS NULL ORDER BY line LIMIT ?3";
const CANCEL_ROWS: &str = "UPDATE staged_rows SET outcome = ?3, code = ?4, message = ?5, \
     token = NULL WHERE run = ?1 AND outcome IS NULL \
     AND line IN (SELECT value FROM json_each(?2))";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[PLANNED, HELD, HALF_DONE, KEEP_DONE, VOID_PARTS, CANCEL, OPEN_LINES, CANCEL_ROWS];

fn planned(row: &SqliteRow) -> Result<PlannedRow, StoreError> {
    Ok(PlannedRow {
        line: unsigned(get(row, 0)?),
        head: unsigned(get(row, 1)?),
        plan: get(row, 2)?,
        method: method_kind(get(row, 3)?)?,
    })
}

impl SqliteStore {
    pub(super) async fn read_planned(
        &self,
        fence: &Fence,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<PlannedRow>, StoreError> {
        let rows = sqlx::query(PLANNED)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(planned).collect()
    }

    pub(super) async fn write_cancelled(
        &self,
        run: &RunId,
        summary: &str,
    ) -> Result<(), StoreError> {
        // Looked for before anybody is kept waiting: it walks over what the run has done.
        let half_done: Vec<(i64, String)> =
            sqlx::query_as(HALF_DONE).bind(run.as_str()).fetch_all(&self.readers).await?;
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let state = state_of(&mut tx, run).await?.ok_or(StoreError::NotFound("run"))?;
        let held: i64 = sqlx::query_scalar(HELD)
            .bind(run.as_str())
            .bind(server_now())
            .fetch_one(&mut *tx)
            .await?;
        if state.is_final() || held != 0 {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        let half_done: BTreeMap<i64, String> = half_done.into_iter().collect();
        for (line, done) in &half_done {
            sqlx::query(KEEP_DONE)
                .bind(run.as_str())
                .bind(line)
                .bind(done.as_str())
                .execute(&mut *tx)
                .await?;
        }
        for text in [VOID_PARTS, FREE_WRITER] {
            sqlx::query(text).bind(run.as_str()).execute(&mut *tx).await?;
        }
        sqlx::query(CANCEL)
            .bind(run.as_str())
            .bind(summary)
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_cancelled_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Option<u64>, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let state = state_of(&mut tx, run).await?.ok_or(StoreError::NotFound("run"))?;
        if state != RunState::Cancelled {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        let lines: Vec<i64> = sqlx::query_scalar(OPEN_LINES)
            .bind(run.as_str())
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_all(&mut *tx)
            .await?;
        let Some(last) = lines.last() else { return Ok(None) };
        sqlx::query(CANCEL_ROWS)
            .bind(run.as_str())
            .bind(to_json(&lines))
            .bind(Outcome::NotAttempted.as_str())
            .bind(Code::RunCancelled.as_str())
            .bind(crate::writes::CANCELLED)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(unsigned(*last)))
    }
}
