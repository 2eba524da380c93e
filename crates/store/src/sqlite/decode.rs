//! SQLite's rows.

use sqlx::Sqlite;
use sqlx::sqlite::SqliteRow;

pub(super) use crate::decode::{as_id, fp, signed, unsigned};

crate::decode::columns!(SqliteRow, Sqlite);

/// Texts as one bound value: `IN (SELECT value FROM json_each(?))`.
pub(super) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut json = String::from("[");
    for text in texts {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&crate::canonical::to_json(&text.as_ref()));
    }
    json.push(']');
    json
}
