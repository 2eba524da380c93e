//! PostgreSQL's rows.

use sqlx::Postgres;
use sqlx::postgres::PgRow;

pub(super) use crate::decode::{as_id, fp, signed, unsigned};

crate::decode::columns!(PgRow, Postgres);

/// Texts as one bound value: `= ANY($1)`.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    texts.into_iter().collect()
}
