//! What is known of a customer list as a whole: when it was last read to its end and confirmed, and
//! which customers were known before a moment.

/// The newest reading that no later one contradicts.
pub(crate) const LAST_COMPLETE: &str = "SELECT MAX(started_at) FROM scans \
     WHERE account = $1 AND what = 'customers' AND state = 'complete'";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LAST_COMPLETE];

/// The reads of one database: its store, the pool that it reads from, and its text that names those
/// of the customers `$2` (a JSON list) that were first seen before `$3`.
macro_rules! reads {
    ($store:ty, $pool:ident, $known:expr) => {
        impl $store {
            pub(super) async fn find_last_complete(
                &self,
                account: &model::AccountName,
            ) -> Result<Option<model::Timestamp>, $crate::StoreError> {
                let at: Option<i64> = sqlx::query_scalar($crate::baseline::LAST_COMPLETE)
                    .bind(account.as_str())
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
                let ids: Vec<&str> = ids.iter().map(model::RemoteCustomerId::as_str).collect();
                let known: Vec<String> = sqlx::query_scalar($known)
                    .bind(account.as_str())
                    .bind($crate::canonical::to_json(&ids))
                    .bind(before.micros())
                    .fetch_all(&self.$pool)
                    .await?;
                known.into_iter().map($crate::decode::as_id).collect()
            }
        }
    };
}
pub(crate) use reads;
