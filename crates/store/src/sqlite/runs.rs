//! Runs, parts and who may write for an account.

use std::time::Duration;

use model::{AccountName, RunId, Timestamp};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::decode::{as_id, get, id, opt_time, time, word};
use super::{SqliteStore, micros, server_now};
use crate::{ClaimedPart, Fence, NewRun, Owner, RunEnd, RunRecord, RunState, StoreError, UnderWay};

const RUN_STATE: &str = "SELECT state FROM runs WHERE id = ?1";
const ADD_RUN: &str = "INSERT INTO runs (id, job, account, cause, writing, state, args, \
     input_name, input_hash, config_hash, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, 'planned', ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING";
const ADD_PART: &str = "INSERT INTO parts \
     (run, no, state, rows_done, epoch, lease_until, deliveries) \
     VALUES (?1, ?2, 'ready', 0, 0, 0, 0) ON CONFLICT (run, no) DO NOTHING";
const WRITER: &str = "SELECT run, owner, lease_until FROM writers WHERE account = ?1";
const PUT_WRITER: &str = "INSERT INTO writers (account, run, owner, lease_until) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account) DO UPDATE SET run = excluded.run, \
     owner = excluded.owner, lease_until = excluded.lease_until";
const RUN_OF_PART: &str = "SELECT account, writing, state FROM runs WHERE id = ?1";
const FREE_PART: &str = "SELECT no FROM parts WHERE run = ?1 AND state IN ('ready', 'running') \
     AND (owner IS NULL OR lease_until < ?2) ORDER BY no LIMIT 1";
const CLAIM: &str = "UPDATE parts SET epoch = epoch + 1, deliveries = deliveries + 1, \
     state = 'running', owner = ?3, lease_until = ?4 WHERE run = ?1 AND no = ?2 \
     RETURNING epoch, cursor, deliveries";
const START: &str = "UPDATE runs SET state = 'running', started_at = COALESCE(started_at, ?2) \
     WHERE id = ?1";
const PUT_INPUT: &str = "UPDATE runs SET input_hash = ?2 WHERE id = ?1";
const PUT_ARGS: &str = "UPDATE runs SET args = ?2 WHERE id = ?1";
const HEARTBEAT: &str =
    "UPDATE parts SET lease_until = ?4 WHERE run = ?1 AND no = ?2 AND epoch = ?3";
const HEARTBEAT_WRITER: &str = "UPDATE writers SET lease_until = ?2 WHERE run = ?1";
const FINISH_PART: &str = "UPDATE parts SET state = 'done', owner = NULL, lease_until = 0 \
     WHERE run = ?1 AND no = ?2 AND epoch = ?3";
const END_RUN: &str = "UPDATE runs SET state = ?2, summary = COALESCE(?3, summary), error = ?4, \
     ended_at = ?5 WHERE id = ?1";
const FREE_PARTS: &str = "UPDATE parts SET state = ?2, owner = NULL, lease_until = 0 \
     WHERE run = ?1 AND state = 'running'";
pub(super) const FREE_WRITER: &str = "DELETE FROM writers WHERE run = ?1";
const RUNS: &str = "SELECT id, job, account, cause, state, args, input_name, input_hash, summary, \
     error, created_at, ended_at, config_hash FROM runs ORDER BY created_at DESC, id DESC LIMIT ?1";
const RUNS_IN: &str = "SELECT id, job, account, cause, state, args, input_name, input_hash, summary, \
     error, created_at, ended_at, config_hash FROM runs WHERE account = ?1 AND state = ?2 \
     ORDER BY created_at, id";
const RUN: &str = "SELECT id, job, account, cause, state, args, input_name, input_hash, summary, \
     error, created_at, ended_at, config_hash FROM runs WHERE id = ?1";
const EFFECTS_BY_STATE: &str = "SELECT state, COUNT(*) FROM effects WHERE run = ?1 GROUP BY state";
const LEASE: &str = "SELECT MAX(lease_until) - ?2 FROM parts WHERE run = ?1 AND owner IS NOT NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    RUN_STATE,
    ADD_RUN,
    ADD_PART,
    WRITER,
    PUT_WRITER,
    RUN_OF_PART,
    FREE_PART,
    CLAIM,
    START,
    PUT_INPUT,
    PUT_ARGS,
    HEARTBEAT,
    HEARTBEAT_WRITER,
    FINISH_PART,
    END_RUN,
    FREE_PARTS,
    FREE_WRITER,
    RUNS,
    RUNS_IN,
    RUN,
    EFFECTS_BY_STATE,
    LEASE,
];

/// The run that writes to an account, with its worker and the end of its lease, if that is alive.
pub(super) async fn alive_writer(
    conn: &mut SqliteConnection,
    account: &AccountName,
    now: i64,
) -> Result<Option<(RunId, String, Timestamp)>, StoreError> {
    let row: Option<(String, String, i64)> =
        sqlx::query_as(WRITER).bind(account.as_str()).fetch_optional(conn).await?;
    row.filter(|(_, _, until)| *until >= now)
        .map(|(run, owner, until)| Ok((as_id(run)?, owner, Timestamp::from_micros(until))))
        .transpose()
}

/// Takes the account for a run: when nobody's lease is alive, or the run's own is.
async fn take_writer(
    conn: &mut SqliteConnection,
    account: &AccountName,
    run: &RunId,
    owner: &Owner,
    lease: Duration,
) -> Result<(), StoreError> {
    let now = server_now();
    if let Some((holder, owner, until)) = alive_writer(conn, account, now).await?
        && holder != *run
    {
        return Err(StoreError::AccountBusy {
            account: account.clone(),
            run: holder,
            owner,
            until,
        });
    }
    sqlx::query(PUT_WRITER)
        .bind(account.as_str())
        .bind(run.as_str())
        .bind(owner.0.as_str())
        .bind(now.saturating_add(micros(lease)))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn state_of(
    conn: &mut SqliteConnection,
    run: &RunId,
) -> Result<Option<RunState>, StoreError> {
    let state: Option<String> =
        sqlx::query_scalar(RUN_STATE).bind(run.as_str()).fetch_optional(conn).await?;
    state
        .map(|text| {
            RunState::parse(&text)
                .ok_or_else(|| StoreError::corrupt("a run's state", "it is no word of ours"))
        })
        .transpose()
}

fn record(row: &SqliteRow) -> Result<RunRecord, StoreError> {
    Ok(RunRecord {
        id: id(row, 0)?,
        job: get(row, 1)?,
        account: id(row, 2)?,
        cause: get(row, 3)?,
        state: word(row, 4, "a run's state", RunState::parse)?,
        args: get(row, 5)?,
        input_name: get(row, 6)?,
        input_hash: get(row, 7)?,
        summary: get(row, 8)?,
        error: get(row, 9)?,
        created_at: time(row, 10)?,
        ended_at: opt_time(row, 11)?,
        config_hash: get(row, 12)?,
    })
}

impl SqliteStore {
    pub(super) async fn make_run(
        &self,
        run: &NewRun,
        owner: &Owner,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        if state_of(&mut tx, &run.id).await?.is_some_and(RunState::is_final) {
            return Err(StoreError::Constraint("runs_final".into()));
        }
        sqlx::query(ADD_RUN)
            .bind(run.id.as_str())
            .bind(run.job.as_str())
            .bind(run.account.as_str())
            .bind(run.cause.as_str())
            .bind(i64::from(run.writing))
            .bind(run.args.as_str())
            .bind(run.input_name.as_deref())
            .bind(run.input_hash.as_deref())
            .bind(run.config_hash.as_deref())
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        for no in 0..run.parts.max(1) {
            sqlx::query(ADD_PART)
                .bind(run.id.as_str())
                .bind(i64::from(no))
                .execute(&mut *tx)
                .await?;
        }
        if run.writing {
            take_writer(&mut tx, &run.account, &run.id, owner, lease).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn take_part(
        &self,
        run: &RunId,
        owner: &Owner,
        lease: Duration,
    ) -> Result<Option<ClaimedPart>, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let found: Option<SqliteRow> =
            sqlx::query(RUN_OF_PART).bind(run.as_str()).fetch_optional(&mut *tx).await?;
        let row = found.ok_or(StoreError::NotFound("run"))?;
        let account: AccountName = id(&row, 0)?;
        let writing: i64 = get(&row, 1)?;
        if word(&row, 2, "a run's state", RunState::parse)?.is_final() {
            return Ok(None);
        }
        let now = server_now();
        let free: Option<i64> = sqlx::query_scalar(FREE_PART)
            .bind(run.as_str())
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(no) = free else { return Ok(None) };
        if writing != 0 {
            take_writer(&mut tx, &account, run, owner, lease).await?;
        }
        let claimed = self.hand_out(&mut tx, run, no, owner, lease).await?;
        tx.commit().await?;
        Ok(Some(claimed))
    }

    /// Hands a free part out: the run is at work.
    async fn hand_out(
        &self,
        tx: &mut SqliteConnection,
        run: &RunId,
        no: i64,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError> {
        let (epoch, cursor, deliveries): (i64, Option<String>, i64) = sqlx::query_as(CLAIM)
            .bind(run.as_str())
            .bind(no)
            .bind(owner.0.as_str())
            .bind(server_now().saturating_add(micros(lease)))
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query(START).bind(run.as_str()).bind(self.now().micros()).execute(tx).await?;
        let part = u32::try_from(no).map_err(|e| StoreError::corrupt("a part's number", e))?;
        Ok(ClaimedPart { fence: Fence { run: run.clone(), part, epoch }, cursor, deliveries })
    }

    pub(super) async fn take_up_run(
        &self,
        run: &RunId,
        from: &[RunState],
        args: &str,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let found: Option<SqliteRow> =
            sqlx::query(RUN_OF_PART).bind(run.as_str()).fetch_optional(&mut *tx).await?;
        let row = found.ok_or(StoreError::NotFound("run"))?;
        let account: AccountName = id(&row, 0)?;
        let writing: i64 = get(&row, 1)?;
        let state = word(&row, 2, "a run's state", RunState::parse)?;
        let free: Option<i64> = sqlx::query_scalar(FREE_PART)
            .bind(run.as_str())
            .bind(server_now())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(no) = free.filter(|_| from.contains(&state)) else {
            return Err(StoreError::RunState { run: run.clone(), state });
        };
        if writing != 0 {
            take_writer(&mut tx, &account, run, owner, lease).await?;
        }
        let claimed = self.hand_out(&mut tx, run, no, owner, lease).await?;
        sqlx::query(PUT_ARGS).bind(run.as_str()).bind(args).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    pub(super) async fn hold_part(&self, fence: &Fence, lease: Duration) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let until = server_now().saturating_add(micros(lease));
        let held = sqlx::query(HEARTBEAT)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .bind(fence.epoch)
            .bind(until)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        if held == 0 {
            return Err(StoreError::Fenced { run: fence.run.clone(), part: fence.part });
        }
        sqlx::query(HEARTBEAT_WRITER)
            .bind(fence.run.as_str())
            .bind(until)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn close_part(&self, fence: &Fence) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        super::check_fence(&mut tx, fence).await?;
        sqlx::query(FINISH_PART)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .bind(fence.epoch)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn put_input(&self, fence: &Fence, sha256: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        super::check_fence(&mut tx, fence).await?;
        sqlx::query(PUT_INPUT).bind(fence.run.as_str()).bind(sha256).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn put_args(&self, fence: &Fence, args: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        super::check_fence(&mut tx, fence).await?;
        sqlx::query(PUT_ARGS).bind(fence.run.as_str()).bind(args).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn close_run(&self, fence: &Fence, end: &RunEnd) -> Result<(), StoreError> {
        let run = &fence.run;
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        super::check_fence(&mut tx, fence).await?;
        let state = state_of(&mut tx, run).await?.ok_or(StoreError::NotFound("run"))?;
        if state.is_final() {
            return Ok(());
        }
        sqlx::query(END_RUN)
            .bind(run.as_str())
            .bind(end.state.as_str())
            .bind(end.summary.as_deref())
            .bind(end.error.as_deref())
            .bind(end.state.is_final().then(|| self.now().micros()))
            .execute(&mut *tx)
            .await?;
        let parts = if end.state == RunState::Done { "done" } else { "ready" };
        sqlx::query(FREE_PARTS).bind(run.as_str()).bind(parts).execute(&mut *tx).await?;
        sqlx::query(FREE_WRITER).bind(run.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn latest_runs(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        let rows = sqlx::query(RUNS).bind(i64::from(most)).fetch_all(&self.readers).await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn runs_standing(
        &self,
        account: &AccountName,
        state: RunState,
    ) -> Result<Vec<RunRecord>, StoreError> {
        let rows = sqlx::query(RUNS_IN)
            .bind(account.as_str())
            .bind(state.as_str())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn one_run(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let row = sqlx::query(RUN).bind(run.as_str()).fetch_optional(&self.readers).await?;
        row.as_ref().map(record).transpose()
    }

    pub(super) async fn read_under_way(&self, run: &RunId) -> Result<UnderWay, StoreError> {
        let states =
            sqlx::query_as(EFFECTS_BY_STATE).bind(run.as_str()).fetch_all(&self.readers).await?;
        let left: Option<i64> = sqlx::query_scalar(LEASE)
            .bind(run.as_str())
            .bind(server_now())
            .fetch_one(&self.readers)
            .await?;
        UnderWay::of(states, left)
    }
}
