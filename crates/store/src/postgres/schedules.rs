//! Schedules and their slots.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{get, opt_id, opt_time, time, word};
use super::{PostgresStore, micros, now_us};
use crate::StoreError;

const NOW: &str = concat!("SELECT ", now_us!());

/// The server's clock, read when the rows that a lease is about are ours.
async fn clock(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(NOW).fetch_one(conn).await?)
}

macro_rules! durable {
    ($store:ident, |$tx:ident| $work:expr) => {{
        let mut $tx = $store.begin().await?;
        let answer = $work;
        $tx.commit().await?;
        Ok(answer)
    }};
}

crate::schedules::table!(PostgresStore, pool, PgConnection, PgRow);
