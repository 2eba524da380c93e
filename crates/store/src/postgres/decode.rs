//! PostgreSQL's rows.

use sqlx::Postgres;
use sqlx::postgres::PgRow;

pub(super) use crate::decode::{as_id, fp, signed, unsigned};

crate::decode::columns!(PgRow, Postgres);
