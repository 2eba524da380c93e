//! The token bucket's row: each transaction holds nothing else, and none is durable.

use std::time::Duration;

use model::AccountName;

use super::{PostgresStore, now_us};
use crate::bucket::Bucket;
use crate::{Lease, StoreError};

const NOT_DURABLE: &str = "SET LOCAL synchronous_commit = off";
const MAKE: &str = "INSERT INTO traffic (account, tat, gate_until, epoch, factor_ppm, last_cut) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account) DO NOTHING";
const NOW: &str = concat!("SELECT ", now_us!());
// The clock is read once the row is ours: a wait for the lock must not count as time gone by.
const TAKE: &str = concat!(
    "SELECT b.tat, b.gate_until, b.epoch, b.factor_ppm, b.last_cut, ",
    now_us!(),
    " FROM (SELECT * FROM traffic WHERE account = $1 FOR UPDATE) b"
);
const PUT: &str = "UPDATE traffic SET tat = $2, gate_until = $3, epoch = $4, factor_ppm = $5, \
     last_cut = $6 WHERE account = $1";

impl PostgresStore {
    pub(super) async fn reserve(
        &self,
        account: &AccountName,
        per_second: f64,
        want: u32,
    ) -> Result<Lease, StoreError> {
        self.with_bucket(account, |bucket, now| bucket.lease(now, per_second, want)).await
    }

    pub(super) async fn shut(
        &self,
        account: &AccountName,
        pause: Duration,
    ) -> Result<(), StoreError> {
        self.with_bucket(account, |bucket, now| bucket.close_gate(now, pause)).await
    }

    async fn with_bucket<T>(
        &self,
        account: &AccountName,
        turn: impl FnOnce(&mut Bucket, i64) -> T,
    ) -> Result<T, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(NOT_DURABLE).execute(&mut *tx).await?;
        let row: Option<(i64, i64, i64, i64, i64, i64)> =
            sqlx::query_as(TAKE).bind(account.as_str()).fetch_optional(&mut *tx).await?;
        let row = match row {
            Some(row) => row,
            None => {
                let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *tx).await?;
                let new = Bucket::new(now);
                sqlx::query(MAKE)
                    .bind(account.as_str())
                    .bind(new.tat)
                    .bind(new.gate_until)
                    .bind(new.epoch)
                    .bind(new.factor_ppm)
                    .bind(new.last_cut)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query_as(TAKE).bind(account.as_str()).fetch_one(&mut *tx).await?
            }
        };
        let (tat, gate_until, epoch, factor_ppm, last_cut, now) = row;
        let mut bucket = Bucket { tat, gate_until, epoch, factor_ppm, last_cut };
        let answer = turn(&mut bucket, now);
        sqlx::query(PUT)
            .bind(account.as_str())
            .bind(bucket.tat)
            .bind(bucket.gate_until)
            .bind(bucket.epoch)
            .bind(bucket.factor_ppm)
            .bind(bucket.last_cut)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(answer)
    }
}
