//! What waits in a run: rows that something is planned for, and their end when it is cancelled.

use model::{Code, Outcome, RunId};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{get, signed, unsigned};
use super::runs::{FREE_ACCOUNT, RUN_STATE};
use super::{PostgresStore, now_us};
use crate::staged::method_kind;
use crate::{Fence, PlannedRow, RunState, StoreError};

const PLANNED: &str = "SELECT s.line, COALESCE(j.head, s.head), s.plan, s.stated \
     FROM staged_rows s LEFT JOIN staged_joins j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = $1 AND s.part = $2 AND s.line > $3 AND s.plan IS NOT NULL AND s.head > 0 \
     ORDER BY s.line LIMIT $4";
// One more epoch: whoever held a part can write no more. None is taken that somebody holds.
const VOID_PARTS: &str = concat!(
    "UPDATE parts SET epoch = epoch + 1, owner = NULL, lease_until = 0, \
     state = CASE WHEN state = 'running' THEN 'ready' ELSE state END \
     WHERE run = $1 AND (owner IS NULL OR lease_until < ",
    now_us!(),
    ")"
);
const PARTS: &str = "SELECT count(*) FROM parts WHERE run = $1";
const KEEP_DONE: &str = "UPDATE staged_rows s SET done = e.kinds, \
     remote_customer_id = COALESCE(e.customer, s.remote_customer_id), \
     remote_method_id = COALESCE(e.method, s.remote_method_id) FROM (SELECT line, \
     string_agg(kind, '+' ORDER BY created_at, id) AS kinds, \
     max(remote_customer_id) AS customer, max(remote_method_id) AS method FROM effects \
     WHERE run = $1 AND state = 'done' GROUP BY line) AS e \
     WHERE s.run = $1 AND s.line = e.line AND s.outcome IS NULL";
// A run that failed stays so: only what it left is ended.
const CANCEL: &str = "UPDATE runs SET summary = $2, \
     ended_at = CASE state WHEN 'failed' THEN ended_at ELSE $3 END, \
     error = CASE state WHEN 'failed' THEN error END, \
     state = CASE state WHEN 'failed' THEN state ELSE 'cancelled' END \
     WHERE id = $1 AND state NOT IN ('done', 'cancelled')";
const SUM_UP: &str =
    "UPDATE runs SET summary = $2 WHERE id = $1 AND state IN ('cancelled', 'failed')";
const LAST_LINE: &str = "SELECT max(line) FROM (SELECT line FROM staged_rows WHERE run = $1 \
     AND line > $2 ORDER BY line LIMIT $3) AS page";
macro_rules! unsettled {
    () => {
        "(SELECT line FROM effects WHERE run = $1 \
         AND state IN ('sending', 'unknown', 'unresolved') AND line IS NOT NULL)"
    };
}
const END_UNKNOWN: &str = concat!(
    "UPDATE staged_rows SET outcome = $4, code = $5, message = $6 \
     WHERE run = $1 AND line > $2 AND line <= $3 AND outcome IS NULL AND line IN ",
    unsettled!()
);
// A row's own subject is its method, and the customer of a row without one.
const END_CREATED: &str = "UPDATE staged_rows SET outcome = $4, message = $5 \
     WHERE run = $1 AND line > $2 AND line <= $3 AND outcome IS NULL \
     AND (done LIKE '%add_method%' OR done LIKE '%import_method%' \
     OR (token_kind IS NULL AND done LIKE '%create_customer%'))";
const END_WAITING: &str = "UPDATE staged_rows SET outcome = $4, code = $5, message = $6 \
     WHERE run = $1 AND line > $2 AND line <= $3 AND outcome IS NULL";
const FORGET: &str = concat!(
    "UPDATE staged_rows SET token = NULL WHERE run = $1 AND line > $2 AND line <= $3 \
     AND token IS NOT NULL AND line NOT IN ",
    unsettled!()
);

fn planned(row: &PgRow) -> Result<PlannedRow, StoreError> {
    Ok(PlannedRow {
        line: unsigned(get(row, 0)?),
        head: unsigned(get(row, 1)?),
        plan: get(row, 2)?,
        method: method_kind(get(row, 3)?)?,
    })
}

async fn state_of(tx: &mut PgConnection, run: &RunId) -> Result<RunState, StoreError> {
    let state: Option<String> =
        sqlx::query_scalar(RUN_STATE).bind(run.as_str()).fetch_optional(tx).await?;
    RunState::parse(&state.ok_or(StoreError::NotFound("run"))?)
        .ok_or_else(|| StoreError::corrupt("a run's state", "it is no word of ours"))
}

impl PostgresStore {
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
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(planned).collect()
    }

    pub(super) async fn write_cancelled(
        &self,
        run: &RunId,
        summary: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // Parts and writer first: the order in which every write takes its rows.
        let voided = sqlx::query(VOID_PARTS).bind(run.as_str()).execute(&mut *tx).await?;
        let parts: i64 = sqlx::query_scalar(PARTS).bind(run.as_str()).fetch_one(&mut *tx).await?;
        let state = state_of(&mut tx, run).await?;
        if unsigned(parts) != voided.rows_affected() {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        sqlx::query(FREE_ACCOUNT).bind(run.as_str()).execute(&mut *tx).await?;
        let cancelled = sqlx::query(CANCEL)
            .bind(run.as_str())
            .bind(summary)
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        if cancelled.rows_affected() == 0 {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        sqlx::query(KEEP_DONE).bind(run.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_cancelled_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Option<u64>, StoreError> {
        let mut tx = self.begin().await?;
        let state = state_of(&mut tx, run).await?;
        if !matches!(state, RunState::Cancelled | RunState::Failed) {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        let last: Option<i64> = sqlx::query_scalar(LAST_LINE)
            .bind(run.as_str())
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_one(&mut *tx)
            .await?;
        let Some(last) = last else { return Ok(None) };
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
        Ok(Some(unsigned(last)))
    }

    pub(super) async fn write_summary(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let state = state_of(&mut tx, run).await?;
        let written =
            sqlx::query(SUM_UP).bind(run.as_str()).bind(summary).execute(&mut *tx).await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::RunState { run: run.clone(), state });
        }
        tx.commit().await?;
        Ok(())
    }
}
