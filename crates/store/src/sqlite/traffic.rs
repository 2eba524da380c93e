//! The token bucket that all processes on this file share.

use std::time::Duration;

use model::AccountName;
use sqlx::SqliteConnection;

use super::{SqliteStore, server_now};
use crate::bucket::Bucket;
use crate::{Lease, StoreError};

const BUCKET: &str =
    "SELECT tat, gate_until, epoch, factor_ppm, last_cut FROM traffic WHERE account = ?1";
const PUT_BUCKET: &str = "INSERT INTO traffic \
     (account, tat, gate_until, epoch, factor_ppm, last_cut) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (account) DO UPDATE SET tat = excluded.tat, gate_until = excluded.gate_until, \
     epoch = excluded.epoch, factor_ppm = excluded.factor_ppm, last_cut = excluded.last_cut";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BUCKET, PUT_BUCKET];

async fn read(
    conn: &mut SqliteConnection,
    account: &AccountName,
    now: i64,
) -> Result<Bucket, StoreError> {
    let row: Option<(i64, i64, i64, i64, i64)> =
        sqlx::query_as(BUCKET).bind(account.as_str()).fetch_optional(conn).await?;
    Ok(row.map_or(Bucket::new(now), |(tat, gate_until, epoch, factor_ppm, last_cut)| Bucket {
        tat,
        gate_until,
        epoch,
        factor_ppm,
        last_cut,
    }))
}

async fn put(
    conn: &mut SqliteConnection,
    account: &AccountName,
    bucket: Bucket,
) -> Result<(), StoreError> {
    sqlx::query(PUT_BUCKET)
        .bind(account.as_str())
        .bind(bucket.tat)
        .bind(bucket.gate_until)
        .bind(bucket.epoch)
        .bind(bucket.factor_ppm)
        .bind(bucket.last_cut)
        .execute(conn)
        .await?;
    Ok(())
}

impl SqliteStore {
    pub(super) async fn take_permits(
        &self,
        account: &AccountName,
        per_second: f64,
        want: u32,
    ) -> Result<Lease, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let now = server_now();
        let mut bucket = read(&mut tx, account, now).await?;
        let lease = bucket.lease(now, per_second, want);
        put(&mut tx, account, bucket).await?;
        tx.commit().await?;
        Ok(lease)
    }

    pub(super) async fn shut_gate(
        &self,
        account: &AccountName,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let now = server_now();
        let mut bucket = read(&mut tx, account, now).await?;
        bucket.close_gate(now, pause);
        put(&mut tx, account, bucket).await?;
        tx.commit().await?;
        Ok(())
    }
}
