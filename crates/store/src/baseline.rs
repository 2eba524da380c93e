//! What is known of a customer list as a whole: when it was last read to its end and confirmed, and
//! which customers were known before a moment.

use std::time::Duration;

/// What a reading was of: the whole list, or its top.
pub(crate) const WHOLE: &str = "customers";
/// See [`WHOLE`].
pub(crate) const TOP: &str = "top";
/// The clocks of two processes, and of the database, may differ by so much: what was first seen so long
/// before a moment was there before it.
pub const APART: Duration = Duration::from_secs(60);

/// The newest reading under this configuration.
pub(crate) const LAST_COMPLETE: &str = "SELECT MAX(started_at) FROM scans \
     WHERE account = $1 AND what = 'customers' AND state = 'complete' AND config = $2";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LAST_COMPLETE];

/// The reads of one database: its store, the pool that it reads from, and its texts that name those
/// of the customers `$2` (a JSON list) that were first seen before `$3`, and those that the last
/// complete reading showed or that were known `$3` microseconds before it began.
macro_rules! reads {
    ($store:ty, $pool:ident, $known:expr, $listed:expr) => {
        impl $store {
            pub(super) async fn find_last_complete(
                &self,
                account: &model::AccountName,
                config: &str,
            ) -> Result<Option<model::Timestamp>, $crate::StoreError> {
                let at: Option<i64> = sqlx::query_scalar($crate::baseline::LAST_COMPLETE)
                    .bind(account.as_str())
                    .bind(config)
                    .fetch_one(&self.$pool)
                    .await?;
                Ok(at.map(model::Timestamp::from_micros))
            }

            pub(super) async fn find_known(
                &self,
                account: &model::AccountName,
                ids: &[model::RemoteCustomerId],
                before: model::Timestamp,
            ) -> Result<std::collections::BTreeSet<model::RemoteCustomerId>, $crate::StoreError>
            {
                self.find_ids($known, account, ids, before.micros()).await
            }

            pub(super) async fn find_listed(
                &self,
                account: &model::AccountName,
                ids: &[model::RemoteCustomerId],
            ) -> Result<std::collections::BTreeSet<model::RemoteCustomerId>, $crate::StoreError>
            {
                let apart = i64::try_from($crate::baseline::APART.as_micros()).unwrap_or(i64::MAX);
                self.find_ids($listed, account, ids, apart).await
            }

            async fn find_ids(
                &self,
                sql: &'static str,
                account: &model::AccountName,
                ids: &[model::RemoteCustomerId],
                micros: i64,
            ) -> Result<std::collections::BTreeSet<model::RemoteCustomerId>, $crate::StoreError>
            {
                let ids: Vec<&str> = ids.iter().map(model::RemoteCustomerId::as_str).collect();
                let known: Vec<String> = sqlx::query_scalar(sql)
                    .bind(account.as_str())
                    .bind($crate::canonical::to_json(&ids))
                    .bind(micros)
                    .fetch_all(&self.$pool)
                    .await?;
                known.into_iter().map($crate::decode::as_id).collect()
            }
        }
    };
}
pub(crate) use reads;
