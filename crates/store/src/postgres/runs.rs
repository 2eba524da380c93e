//! Runs, parts, the writer of an account, and the fence.

use std::time::Duration;

use model::{AccountName, RunId, Timestamp};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{as_id, get, id, opt_time, time, word};
use super::{HOLD, PostgresStore, micros, now_us};
use crate::{ClaimedPart, Fence, NewRun, Owner, RunEnd, RunRecord, RunState, StoreError, UnderWay};

// The fence and the heartbeat in one. The writer's row is shared by all parts of a run, so that a
// write touches it only when half of its time is over.
const HOLD_PART: &str = concat!(
    "WITH clock AS (SELECT ",
    now_us!(),
    " AS now), held AS (UPDATE parts SET lease_until = GREATEST(lease_until, clock.now + $4) \
     FROM clock WHERE run = $1 AND no = $2 AND epoch = $3 RETURNING run), \
     writer AS (UPDATE writers w SET lease_until = GREATEST(w.lease_until, clock.now + $4) \
     FROM held, clock WHERE w.run = held.run AND w.lease_until < clock.now + $5) \
     SELECT r.writing FROM held JOIN runs r ON r.id = held.run"
);
const INSERT_RUN: &str = "INSERT INTO runs (id, job, account, cause, writing, state, args, \
     input_name, input_hash, config_hash, created_at) \
     VALUES ($1, $2, $3, $4, $5, 'planned', $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING";
const INSERT_PARTS: &str = "INSERT INTO parts (run, no, state, rows_done, epoch, lease_until, \
     deliveries) SELECT $1, no, 'ready', 0, 0, 0, 0 FROM generate_series(0, $2 - 1) AS no \
     ON CONFLICT (run, no) DO NOTHING";
pub(super) const RUN_STATE: &str = "SELECT state FROM runs WHERE id = $1";
const TAKE_ACCOUNT: &str = concat!(
    "INSERT INTO writers (account, run, owner, lease_until) VALUES ($1, $2, $3, ",
    now_us!(),
    " + $4) ON CONFLICT (account) DO UPDATE SET run = EXCLUDED.run, owner = EXCLUDED.owner, \
     lease_until = EXCLUDED.lease_until \
     WHERE writers.run = EXCLUDED.run OR writers.lease_until < ",
    now_us!()
);
const WRITER: &str = "SELECT run, owner, lease_until FROM writers WHERE account = $1";
const TAKE_PART: &str = concat!(
    "UPDATE parts SET epoch = epoch + 1, owner = $2, deliveries = deliveries + 1, \
     state = 'running', lease_until = ",
    now_us!(),
    " + $3 WHERE run = $1 AND no = (SELECT p.no FROM parts p JOIN runs r ON r.id = p.run \
     WHERE p.run = $1 AND p.state IN ('ready', 'running') \
     AND (p.owner IS NULL OR p.lease_until < ",
    now_us!(),
    ") AND r.state NOT IN ('done', 'failed', 'cancelled') \
     ORDER BY p.no LIMIT 1 FOR UPDATE OF p SKIP LOCKED) RETURNING no, epoch, cursor, deliveries"
);
const RUN_OF_PART: &str = "SELECT account, writing FROM runs WHERE id = $1";
const RUN_AT_WORK: &str = "UPDATE runs SET state = 'running', \
     started_at = COALESCE(started_at, $2) WHERE id = $1 AND (state <> 'running' \
     OR started_at IS NULL) AND state NOT IN ('done', 'failed', 'cancelled')";
const PUT_INPUT: &str = "UPDATE runs SET input_hash = $2 WHERE id = $1";
const PUT_ARGS: &str = "UPDATE runs SET args = $2 WHERE id = $1";
const REOPEN: &str = "UPDATE runs SET state = 'running', args = $3, \
     started_at = COALESCE(started_at, $4) WHERE id = $1 AND state = ANY($2)";
const PART_DONE: &str = "UPDATE parts SET state = 'done', owner = NULL, lease_until = 0 \
     WHERE run = $1 AND no = $2";
const FREE_PARTS: &str = "UPDATE parts SET state = $2, owner = NULL, lease_until = 0 \
     WHERE run = $1 AND state = 'running'";
pub(super) const FREE_ACCOUNT: &str = "DELETE FROM writers WHERE run = $1";
const END_RUN: &str = "UPDATE runs SET state = $2, summary = COALESCE($3, summary), error = $4, ended_at = $5 \
     WHERE id = $1 AND state NOT IN ('done', 'failed', 'cancelled')";

macro_rules! run_columns {
    () => {
        "SELECT id, job, account, cause, state, args, input_name, input_hash, summary, error, \
         created_at, ended_at, config_hash FROM runs"
    };
}
const RUNS: &str = concat!(run_columns!(), " ORDER BY created_at DESC, id DESC LIMIT $1");
const RUNS_IN: &str =
    concat!(run_columns!(), " WHERE account = $1 AND state = $2 ORDER BY created_at, id");
const RUN: &str = concat!(run_columns!(), " WHERE id = $1");
const EFFECTS_BY_STATE: &str = "SELECT state, COUNT(*) FROM effects WHERE run = $1 GROUP BY state";
const LEASE: &str = concat!(
    "SELECT MAX(lease_until) - ",
    now_us!(),
    " FROM parts WHERE run = $1 AND owner IS NOT NULL"
);

/// What a fence holds, for those who write on.
pub(super) struct Held {
    /// Whether its run changes anything at a provider.
    pub writing: bool,
}

/// Checks the fence and holds on to its part: the first statement of every write of a run.
pub(super) async fn hold(tx: &mut PgConnection, fence: &Fence) -> Result<Held, StoreError> {
    hold_for(tx, fence, HOLD, HOLD / 2).await
}

async fn hold_for(
    tx: &mut PgConnection,
    fence: &Fence,
    lease: Duration,
    renew: Duration,
) -> Result<Held, StoreError> {
    let writing: Option<i64> = sqlx::query_scalar(HOLD_PART)
        .bind(fence.run.as_str())
        .bind(i64::from(fence.part))
        .bind(fence.epoch)
        .bind(micros(lease))
        .bind(micros(renew))
        .fetch_optional(tx)
        .await?;
    writing
        .map(|writing| Held { writing: writing != 0 })
        .ok_or_else(|| StoreError::Fenced { run: fence.run.clone(), part: fence.part })
}

/// Who writes to an account: run, worker, end of the lease.
pub(super) type Writer = (String, String, i64);

pub(super) fn busy(account: &str, (run, owner, until): Writer) -> Result<StoreError, StoreError> {
    let until = Timestamp::from_micros(until);
    let (account, run) = (as_id(account.to_owned())?, as_id(run)?);
    Ok(StoreError::AccountBusy { account, run, owner, until })
}

/// Takes the account for a run, or says who has it.
async fn take_account(
    tx: &mut PgConnection,
    account: &str,
    run: &RunId,
    owner: &Owner,
    lease: Duration,
) -> Result<(), StoreError> {
    for _ in 0..3 {
        let taken = sqlx::query(TAKE_ACCOUNT)
            .bind(account)
            .bind(run.as_str())
            .bind(&owner.0)
            .bind(micros(lease))
            .execute(&mut *tx)
            .await?;
        if taken.rows_affected() == 1 {
            return Ok(());
        }
        let writer: Option<Writer> =
            sqlx::query_as(WRITER).bind(account).fetch_optional(&mut *tx).await?;
        if let Some(writer) = writer {
            return Err(busy(account, writer)?);
        }
        // It was given back in between.
    }
    Err(StoreError::Unavailable("the account's writer changes too fast".into()))
}

impl PostgresStore {
    pub(super) async fn make_run(
        &self,
        run: &NewRun,
        owner: &Owner,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let made = sqlx::query(INSERT_RUN)
            .bind(run.id.as_str())
            .bind(&run.job)
            .bind(run.account.as_str())
            .bind(&run.cause)
            .bind(i64::from(run.writing))
            .bind(&run.args)
            .bind(&run.input_name)
            .bind(&run.input_hash)
            .bind(&run.config_hash)
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        if made.rows_affected() == 0 {
            let state: String =
                sqlx::query_scalar(RUN_STATE).bind(run.id.as_str()).fetch_one(&mut *tx).await?;
            if RunState::parse(&state).is_none_or(RunState::is_final) {
                return Err(StoreError::Constraint("runs_final".into()));
            }
        }
        sqlx::query(INSERT_PARTS)
            .bind(run.id.as_str())
            .bind(i64::from(run.parts.max(1)))
            .execute(&mut *tx)
            .await?;
        if run.writing {
            take_account(&mut tx, run.account.as_str(), &run.id, owner, lease).await?;
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
        let mut tx = self.begin().await?;
        let part: Option<(i64, i64, Option<String>, i64)> = sqlx::query_as(TAKE_PART)
            .bind(run.as_str())
            .bind(&owner.0)
            .bind(micros(lease))
            .fetch_optional(&mut *tx)
            .await?;
        let of: Option<(String, i64)> =
            sqlx::query_as(RUN_OF_PART).bind(run.as_str()).fetch_optional(&mut *tx).await?;
        let (account, writing) = of.ok_or(StoreError::NotFound("run"))?;
        let Some((no, epoch, cursor, deliveries)) = part else { return Ok(None) };
        if writing != 0 {
            take_account(&mut tx, &account, run, owner, lease).await?;
        }
        sqlx::query(RUN_AT_WORK)
            .bind(run.as_str())
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let part = u32::try_from(no).map_err(|e| StoreError::corrupt("a part's number", e))?;
        Ok(Some(ClaimedPart { fence: Fence { run: run.clone(), part, epoch }, cursor, deliveries }))
    }

    pub(super) async fn take_up_run(
        &self,
        run: &RunId,
        from: &[RunState],
        args: &str,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError> {
        let mut tx = self.begin().await?;
        let part: Option<(i64, i64, Option<String>, i64)> = sqlx::query_as(TAKE_PART)
            .bind(run.as_str())
            .bind(&owner.0)
            .bind(micros(lease))
            .fetch_optional(&mut *tx)
            .await?;
        let of: Option<(String, i64)> =
            sqlx::query_as(RUN_OF_PART).bind(run.as_str()).fetch_optional(&mut *tx).await?;
        let (account, writing) = of.ok_or(StoreError::NotFound("run"))?;
        let state: String =
            sqlx::query_scalar(RUN_STATE).bind(run.as_str()).fetch_one(&mut *tx).await?;
        let state = RunState::parse(&state)
            .ok_or_else(|| StoreError::corrupt("a run's state", "it is no word of ours"))?;
        let elsewhere = || StoreError::RunState { run: run.clone(), state };
        let (no, epoch, cursor, deliveries) =
            part.filter(|_| from.contains(&state)).ok_or_else(elsewhere)?;
        if writing != 0 {
            take_account(&mut tx, &account, run, owner, lease).await?;
        }
        let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
        let reopened = sqlx::query(REOPEN)
            .bind(run.as_str())
            .bind(from)
            .bind(args)
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        // Somebody else moved it in between.
        if reopened.rows_affected() == 0 {
            return Err(elsewhere());
        }
        tx.commit().await?;
        let part = u32::try_from(no).map_err(|e| StoreError::corrupt("a part's number", e))?;
        Ok(ClaimedPart { fence: Fence { run: run.clone(), part, epoch }, cursor, deliveries })
    }

    pub(super) async fn hold_on(&self, fence: &Fence, lease: Duration) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        hold_for(&mut connection, fence, lease, lease).await.map(|_| ())
    }

    pub(super) async fn part_done(&self, fence: &Fence) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        sqlx::query(PART_DONE)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn put_input(&self, fence: &Fence, sha256: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        sqlx::query(PUT_INPUT).bind(fence.run.as_str()).bind(sha256).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn put_args(&self, fence: &Fence, args: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        sqlx::query(PUT_ARGS).bind(fence.run.as_str()).bind(args).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_end(&self, fence: &Fence, end: &RunEnd) -> Result<(), StoreError> {
        let run = &fence.run;
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        let state: Option<String> =
            sqlx::query_scalar(RUN_STATE).bind(run.as_str()).fetch_optional(&mut *tx).await?;
        let state = state.ok_or(StoreError::NotFound("run"))?;
        if RunState::parse(&state).is_none_or(RunState::is_final) {
            return Ok(());
        }
        // Parts and writer first: the order in which every write takes its rows.
        let parts = if end.state == RunState::Done { "done" } else { "ready" };
        sqlx::query(FREE_PARTS).bind(run.as_str()).bind(parts).execute(&mut *tx).await?;
        sqlx::query(FREE_ACCOUNT).bind(run.as_str()).execute(&mut *tx).await?;
        let ended = end.state.is_final().then(|| self.now().micros());
        let moved = sqlx::query(END_RUN)
            .bind(run.as_str())
            .bind(end.state.as_str())
            .bind(&end.summary)
            .bind(&end.error)
            .bind(ended)
            .execute(&mut *tx)
            .await?;
        // Somebody else ended it in between: it stays as that one left it.
        if moved.rows_affected() == 1 {
            tx.commit().await?;
        }
        Ok(())
    }

    pub(super) async fn latest_runs(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        let rows = sqlx::query(RUNS).bind(i64::from(most)).fetch_all(&self.pool).await?;
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
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn one_run(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let row = sqlx::query(RUN).bind(run.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(record).transpose()
    }

    pub(super) async fn read_under_way(&self, run: &RunId) -> Result<UnderWay, StoreError> {
        let states =
            sqlx::query_as(EFFECTS_BY_STATE).bind(run.as_str()).fetch_all(&self.pool).await?;
        let left: Option<i64> =
            sqlx::query_scalar(LEASE).bind(run.as_str()).fetch_one(&self.pool).await?;
        UnderWay::of(states, left)
    }
}

fn record(row: &PgRow) -> Result<RunRecord, StoreError> {
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
