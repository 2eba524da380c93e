//! What a pull is still to read, and what it did not see: the same texts for both databases.

use model::{Expiry, Timestamp};

use crate::decode::unsigned;
use crate::{Due, MethodsUnread};

/// By the scan, behind an id; not those of whom an effect was written down since `$4`.
pub(crate) const UNSEEN: &str = "SELECT c.remote_id FROM scans AS s \
     JOIN remote_customers AS c ON c.account = s.account \
     WHERE s.id = $1 AND c.remote_id > $2 AND c.state = 'live' \
     AND (c.scan IS NULL OR c.scan <> $1) AND c.as_of < s.started_at \
     AND NOT EXISTS (SELECT 1 FROM effects AS e WHERE e.account = c.account \
         AND e.reference = c.reference AND e.updated_at > $4) \
     ORDER BY c.remote_id LIMIT $3";
/// By account and id; `$3` and `$7` are since when, `$4` the time, `$8` and `$5` the months of [`Due`].
pub(crate) const DUE: &str = "SELECT c.remote_id FROM remote_customers AS c \
     WHERE c.account = $1 AND c.remote_id > $2 AND c.state = 'live' AND c.as_of >= $7 \
     AND (c.methods_read_at IS NULL OR (c.methods_read_at < $3 AND (c.methods_read_at < $4 \
     OR EXISTS (SELECT 1 FROM remote_methods AS m WHERE m.account = c.account \
         AND m.remote_customer_id = c.remote_id AND m.state = 'live' AND m.expires BETWEEN $8 AND $5) \
     OR EXISTS (SELECT 1 FROM effects AS e WHERE e.account = c.account \
         AND e.reference = c.reference AND e.updated_at > c.methods_read_at)))) \
     ORDER BY c.remote_id LIMIT $6";
pub(crate) const LONGEST_AGO: &str = "SELECT methods_read_at FROM remote_customers \
     WHERE account = $1 AND state = 'live' AND methods_read_at < $2 \
     ORDER BY methods_read_at LIMIT 1 OFFSET $3";
/// A listed method was read with its customer's list, so it is not older. Not those of a customer of
/// whom an effect was written down since `$6`.
pub(crate) const UNLISTED: &str = "SELECT m.remote_customer_id, m.remote_id \
     FROM remote_methods AS m JOIN remote_customers AS c \
     ON c.account = m.account AND c.remote_id = m.remote_customer_id \
     WHERE m.account = $1 AND (m.remote_customer_id, m.remote_id) > ($3, $4) \
     AND m.state = 'live' AND c.state = 'live' AND c.methods_read_at >= $2 \
     AND m.as_of < c.methods_read_at \
     AND NOT EXISTS (SELECT 1 FROM effects AS e WHERE e.account = c.account \
         AND e.reference = c.reference AND e.updated_at > $6) \
     ORDER BY m.remote_customer_id, m.remote_id LIMIT $5";
pub(crate) const UNREAD: &str = "SELECT COUNT(*), COUNT(*) - COUNT(methods_read_at), \
     MIN(methods_read_at) FROM remote_customers WHERE account = $1 AND state = 'live' \
     AND (methods_read_at IS NULL OR methods_read_at < $2)";

/// Payment methods that went with their customer are not counted.
pub(crate) const REMOVED: &str = "SELECT (SELECT COUNT(*) FROM remote_customers \
     WHERE account = $1 AND state = 'removed' AND removed_at >= $2), \
     (SELECT COUNT(*) FROM remote_methods AS m JOIN remote_customers AS c \
     ON c.account = m.account AND c.remote_id = m.remote_customer_id \
     WHERE m.account = $1 AND m.state = 'removed' AND m.removed_at >= $2 AND c.state = 'live')";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[UNSEEN, DUE, LONGEST_AGO, UNLISTED, UNREAD, REMOVED];

/// A month as the database compares it.
pub(crate) fn month(expiry: Expiry) -> i64 {
    i64::from(expiry.year()) * 12 + i64::from(expiry.month())
}

impl Due {
    /// Since when, before when and up to which month, as [`DUE`] takes them.
    pub(crate) fn limits(&self) -> [i64; 3] {
        [self.since.micros(), self.before.micros(), month(self.expires.1)]
    }
}

impl MethodsUnread {
    pub(crate) fn of((customers, never, oldest): (i64, i64, Option<i64>)) -> Self {
        Self {
            customers: unsigned(customers),
            never: unsigned(never),
            oldest: oldest.map(Timestamp::from_micros),
        }
    }
}

/// The reads of one database: its store, and the pool that it reads from.
macro_rules! reads {
    ($store:ty, $pool:ident) => {
        impl $store {
            pub(super) async fn read_unseen(
                &self,
                scan: &str,
                settled: model::Timestamp,
                after: Option<&model::RemoteCustomerId>,
                most: u32,
            ) -> Result<Vec<model::RemoteCustomerId>, $crate::StoreError> {
                let ids: Vec<String> = sqlx::query_scalar($crate::due::UNSEEN)
                    .bind(scan)
                    .bind(after.map_or("", model::RemoteCustomerId::as_str))
                    .bind(i64::from(most))
                    .bind(settled.micros())
                    .fetch_all(&self.$pool)
                    .await?;
                ids.into_iter().map($crate::decode::as_id).collect()
            }

            pub(super) async fn read_due(
                &self,
                account: &model::AccountName,
                due: &$crate::Due,
                after: Option<&model::RemoteCustomerId>,
                most: u32,
            ) -> Result<Vec<model::RemoteCustomerId>, $crate::StoreError> {
                let [since, before, expires] = due.limits();
                let ids: Vec<String> = sqlx::query_scalar($crate::due::DUE)
                    .bind(account.as_str())
                    .bind(after.map_or("", model::RemoteCustomerId::as_str))
                    .bind(since)
                    .bind(before)
                    .bind(expires)
                    .bind(i64::from(most))
                    .bind(due.seen.micros())
                    .bind($crate::due::month(due.expires.0))
                    .fetch_all(&self.$pool)
                    .await?;
                ids.into_iter().map($crate::decode::as_id).collect()
            }

            pub(super) async fn find_longest_ago(
                &self,
                account: &model::AccountName,
                since: model::Timestamp,
                before_it: u64,
            ) -> Result<Option<model::Timestamp>, $crate::StoreError> {
                let at: Option<i64> = sqlx::query_scalar($crate::due::LONGEST_AGO)
                    .bind(account.as_str())
                    .bind(since.micros())
                    .bind($crate::decode::signed(before_it))
                    .fetch_optional(&self.$pool)
                    .await?;
                Ok(at.map(model::Timestamp::from_micros))
            }

            pub(super) async fn read_unlisted(
                &self,
                account: &model::AccountName,
                since: model::Timestamp,
                settled: model::Timestamp,
                after: Option<&(model::RemoteCustomerId, model::RemoteMethodId)>,
                most: u32,
            ) -> Result<Vec<(model::RemoteCustomerId, model::RemoteMethodId)>, $crate::StoreError>
            {
                let rows: Vec<(String, String)> = sqlx::query_as($crate::due::UNLISTED)
                    .bind(account.as_str())
                    .bind(since.micros())
                    .bind(after.map_or("", |(customer, _)| customer.as_str()))
                    .bind(after.map_or("", |(_, method)| method.as_str()))
                    .bind(i64::from(most))
                    .bind(settled.micros())
                    .fetch_all(&self.$pool)
                    .await?;
                rows.into_iter()
                    .map(|(customer, method)| {
                        Ok(($crate::decode::as_id(customer)?, $crate::decode::as_id(method)?))
                    })
                    .collect()
            }

            pub(super) async fn count_removed(
                &self,
                account: &model::AccountName,
                since: model::Timestamp,
            ) -> Result<(u64, u64), $crate::StoreError> {
                let (customers, methods): (i64, i64) = sqlx::query_as($crate::due::REMOVED)
                    .bind(account.as_str())
                    .bind(since.micros())
                    .fetch_one(&self.$pool)
                    .await?;
                Ok(($crate::decode::unsigned(customers), $crate::decode::unsigned(methods)))
            }

            pub(super) async fn count_unread(
                &self,
                account: &model::AccountName,
                since: model::Timestamp,
            ) -> Result<$crate::MethodsUnread, $crate::StoreError> {
                let counted = sqlx::query_as($crate::due::UNREAD)
                    .bind(account.as_str())
                    .bind(since.micros())
                    .fetch_one(&self.$pool)
                    .await?;
                Ok($crate::MethodsUnread::of(counted))
            }
        }
    };
}
pub(crate) use reads;
