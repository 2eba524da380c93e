//! Between rows and types, for both databases. A value that does not read back is
//! [`StoreError::Corrupt`].

use model::BadId;

use crate::{StoreError, TokenFp};

/// Readers of one column, for the rows of one database.
macro_rules! columns {
    ($row:ty, $database:ty) => {
        pub(super) fn get<'r, T>(row: &'r $row, column: usize) -> Result<T, $crate::StoreError>
        where
            T: sqlx::Decode<'r, $database> + sqlx::Type<$database>,
        {
            Ok(sqlx::Row::try_get(row, column)?)
        }

        /// An id from a column.
        pub(super) fn id<T>(row: &$row, column: usize) -> Result<T, $crate::StoreError>
        where
            T: TryFrom<String, Error = model::BadId>,
        {
            $crate::decode::as_id(get(row, column)?)
        }

        pub(super) fn opt_id<T>(row: &$row, column: usize) -> Result<Option<T>, $crate::StoreError>
        where
            T: TryFrom<String, Error = model::BadId>,
        {
            get::<Option<String>>(row, column)?.map($crate::decode::as_id).transpose()
        }

        /// A word of ours from a column.
        pub(super) fn word<T>(
            row: &$row,
            column: usize,
            what: &'static str,
            parse: impl Fn(&str) -> Option<T>,
        ) -> Result<T, $crate::StoreError> {
            parse(get(row, column)?)
                .ok_or_else(|| $crate::StoreError::corrupt(what, "it is no word of ours"))
        }

        pub(super) fn opt_word<T>(
            row: &$row,
            column: usize,
            what: &'static str,
            parse: impl Fn(&str) -> Option<T>,
        ) -> Result<Option<T>, $crate::StoreError> {
            get::<Option<&str>>(row, column)?
                .map(|text| {
                    parse(text)
                        .ok_or_else(|| $crate::StoreError::corrupt(what, "it is no word of ours"))
                })
                .transpose()
        }

        pub(super) fn time(
            row: &$row,
            column: usize,
        ) -> Result<model::Timestamp, $crate::StoreError> {
            Ok(model::Timestamp::from_micros(get(row, column)?))
        }

        pub(super) fn opt_time(
            row: &$row,
            column: usize,
        ) -> Result<Option<model::Timestamp>, $crate::StoreError> {
            Ok(get::<Option<i64>>(row, column)?.map(model::Timestamp::from_micros))
        }

        pub(super) fn opt_bool(
            row: &$row,
            column: usize,
        ) -> Result<Option<bool>, $crate::StoreError> {
            Ok(get::<Option<i64>>(row, column)?.map(|value| value != 0))
        }
    };
}
pub(crate) use columns;

pub(crate) fn as_id<T>(text: String) -> Result<T, StoreError>
where
    T: TryFrom<String, Error = BadId>,
{
    T::try_from(text).map_err(|error| StoreError::corrupt("an id", error))
}

pub(crate) fn fp(bytes: &[u8]) -> Result<TokenFp, StoreError> {
    TokenFp::from_bytes(bytes)
        .ok_or_else(|| StoreError::corrupt("a token's fingerprint", "it is not 32 bytes"))
}

/// A count or a line number from the database.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count or a line number for the database.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
