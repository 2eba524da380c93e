//! What waits in a run: rows that something is planned for, and their end when it is cancelled.

use model::{Code, Outcome, RunId};
use sqlx::sqlite::SqliteRow;

use super::decode::{get, signed, unsigned};
use super::runs::{FREE_WRITER, state_of};
use super::{SqliteStore, server_now};
use crate::staged::method_kind;
use crate::{Fence, PlannedRow, RunState, StoreError};

const PLANNED: &str = "SELECT s.line, COALESCE(j.head, s.head), s.plan, s.stated \
     FROM staged_rows AS s LEFT JOIN staged_joins AS j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = ?1 AND s.part = ?2 AND s.line > ?3 AND s.plan IS NOT NULL AND s.head > 0 \
     ORDER BY s.line LIMIT ?4";
const HELD: &str = "SELECT EXISTS (SELECT 1 FROM parts WHERE run = ?1 AND owner IS NOT NULL \
     AND lease_until >= ?2)";
const HALF_DONE: &str = "SELECT s.line, group_concat(e.kind, '+'), max(e.remote_customer_id), \
     max(e.remote_method_id) FROM effects AS e \
     CROSS JOIN staged_rows AS s ON s.run = e.run AND s.line = e.line \
     WHERE e.run = ?1 AND e.state = 'done' AND s.outcome IS NULL GROUP BY s.line";
const KEEP_DONE: &str = "UPDATE staged_rows SET done = ?3, \
     remote_customer_id = COALESCE(?4, remote_customer_id), \
     remote_method_id = COALESCE(?5, remote_method_id) WHERE run = ?1 AND line = ?2";
/// One more epoch: whoever held a part can write no more.
pub(super) const VOID_PARTS: &str = "UPDATE parts SET epoch = epoch + 1, owner = NULL, lease_until = 0, \
     state = CASE WHEN state = 'running' THEN 'ready' ELSE state END WHERE run = ?1";
/// A run that failed stays so: only what it left is ended.
const CANCEL: &str = "UPDATE runs SET summary = ?2, \
     ended_at = CASE state WHEN 'failed' THEN ended_at ELSE ?3 END, \
     error = CASE state WHEN 'failed' THEN error END, \
     state = CASE state WHEN 'failed' THEN state ELSE 'cancelled' END WHERE id = ?1";
const SUM_UP: &str = "UPDATE runs SET summary = ?2 WHERE id = ?1";
const LINES: &str = "SELECT line FROM staged_rows WHERE run = ?1 AND line > ?2 \
     ORDER BY line LIMIT ?3";
macro_rules! unsettled {
    () => {
        "(SELECT line FROM effects WHERE run = ?1 \
         AND state IN ('sending', 'unknown', 'unresolved') AND line IS NOT NULL)"
    };
}
const END_UNKNOWN: &str = concat!(
    "UPDATE staged_rows SET outcome = ?4, code = ?5, message = ?6 \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NULL AND line IN ",
    unsettled!()
);
/// A row's own subject is its method, and the customer of a row without one.
const END_CREATED: &str = "UPDATE staged_rows SET outcome = ?4, message = ?5 \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NULL \
     AND (done LIKE '%add_method%' OR done LIKE '%import_method%' \
     OR (token_kind IS NULL AND done LIKE '%create_customer%'))";
const END_WAITING: &str = "UPDATE staged_rows SET outcome = ?4, code = ?5, message = ?6 \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NULL";
const FORGET: &str = concat!(
    "UPDATE staged_rows SET token = NULL WHERE run = ?1 AND line > ?2 AND line <= ?3 \
     AND token IS NOT NULL AND line NOT IN ",
    unsettled!()
);

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    PLANNED,
    HELD,
    HALF_DONE,
    KEEP_DONE,
    VOID_PARTS,
    CANCEL,
    SUM_UP,
    LINES,
    END_UNKNOWN,
    END_CREATED,
    END_WAITING,
    FORGET,
];

/// What took place for a row: its line, the kinds, and the provider's ids.
type HalfDone = (i64, String, Option<String>, Option<String>);

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
        let half_done: Vec<HalfDone> =
            sqlx::query_as(HALF_DONE).bind(run.as_str()).fetch_all(&self.readers).await?;
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let state = state_of(&mut tx, run).await?.ok_or(StoreError::NotFound("run"))?;
        let held: i64 = sqlx::query_scalar(HELD)
            .bind(run.as_str())
            .bind(server_now())
            .fetch_one(&mut *tx)
            .await?;
        let ended = state.is_final() && state != RunState::Failed;
        if ended || held != 0 {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        for (line, done, customer, method) in &half_done {
            sqlx::query(KEEP_DONE)
                .bind(run.as_str())
                .bind(line)
                .bind(done.as_str())
                .bind(customer.as_deref())
                .bind(method.as_deref())
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
        if !matches!(state, RunState::Cancelled | RunState::Failed) {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        let lines: Vec<i64> = sqlx::query_scalar(LINES)
            .bind(run.as_str())
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_all(&mut *tx)
            .await?;
        let Some(last) = lines.last() else { return Ok(None) };
        let page = |text| sqlx::query(text).bind(run.as_str()).bind(signed(after_line)).bind(last);
        page(END_UNKNOWN)
            .bind(Outcome::Unresolved.as_str())
            .bind(Code::OutcomeUnknown.as_str())
            .bind(crate::writes::UNKNOWN)
            .execute(&mut *tx)
            .await?;
        page(END_CREATED)
            .bind(Outcome::Created.as_str())
            .bind(crate::writes::HALF_WAY)
            .execute(&mut *tx)
            .await?;
        page(END_WAITING)
            .bind(Outcome::NotAttempted.as_str())
            .bind(Code::RunCancelled.as_str())
            .bind(crate::writes::CANCELLED)
            .execute(&mut *tx)
            .await?;
        page(FORGET).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(unsigned(*last)))
    }

    pub(super) async fn write_summary(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let state = state_of(&mut tx, run).await?.ok_or(StoreError::NotFound("run"))?;
        if !matches!(state, RunState::Cancelled | RunState::Failed) {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        sqlx::query(SUM_UP).bind(run.as_str()).bind(summary).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
