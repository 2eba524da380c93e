//! Between rows and types. A value that does not read back is [`StoreError::Corrupt`].

use model::{BadId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};

use crate::{StoreError, TokenFp};

pub(super) fn get<'r, T>(row: &'r SqliteRow, column: usize) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    Ok(row.try_get(column)?)
}

/// An id from a column.
pub(super) fn id<T>(row: &SqliteRow, column: usize) -> Result<T, StoreError>
where
    T: TryFrom<String, Error = BadId>,
{
    as_id(get(row, column)?)
}

pub(super) fn opt_id<T>(row: &SqliteRow, column: usize) -> Result<Option<T>, StoreError>
where
    T: TryFrom<String, Error = BadId>,
{
    get::<Option<String>>(row, column)?.map(as_id).transpose()
}

pub(super) fn as_id<T>(text: String) -> Result<T, StoreError>
where
    T: TryFrom<String, Error = BadId>,
{
    T::try_from(text).map_err(|error| StoreError::corrupt("an id", error))
}

/// A word of ours from a column.
pub(super) fn word<T>(
    row: &SqliteRow,
    column: usize,
    what: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(get(row, column)?).ok_or_else(|| StoreError::corrupt(what, "it is no word of ours"))
}

pub(super) fn opt_word<T>(
    row: &SqliteRow,
    column: usize,
    what: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?
        .map(|text| parse(text).ok_or_else(|| StoreError::corrupt(what, "it is no word of ours")))
        .transpose()
}

pub(super) fn time(row: &SqliteRow, column: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(get(row, column)?))
}

pub(super) fn opt_time(row: &SqliteRow, column: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

pub(super) fn opt_bool(row: &SqliteRow, column: usize) -> Result<Option<bool>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(|value| value != 0))
}

pub(super) fn fp(bytes: &[u8]) -> Result<TokenFp, StoreError> {
    TokenFp::from_bytes(bytes)
        .ok_or_else(|| StoreError::corrupt("a token's fingerprint", "it is not 32 bytes"))
}

/// A count or a line number from the database.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count or a line number for the database.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

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
