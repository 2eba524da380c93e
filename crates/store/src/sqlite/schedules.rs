//! Schedules and their slots.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::decode::{get, opt_id, opt_time, time, word};
use super::{SqliteStore, micros, server_now};
use crate::StoreError;

/// The machine's clock, asked inside a transaction.
#[expect(clippy::unused_async, reason = "the other database has to be asked")]
async fn clock(_: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(server_now())
}

macro_rules! durable {
    ($store:ident, |$tx:ident| $work:expr) => {{
        let mut writer = $store.writer().await?;
        let mut $tx = writer.begin_durable().await?;
        let answer = $work;
        $tx.commit().await?;
        Ok(answer)
    }};
}

crate::schedules::table!(SqliteStore, readers, SqliteConnection, SqliteRow);
