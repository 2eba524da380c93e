//! What a run changed: the same text for both databases.

use model::Timestamp;

/// A row of `changes`, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its place in the order of all changes.
    pub id: i64,
    /// `customer` or `method`.
    pub subject: String,
    /// Our id of the subject.
    pub subject_id: String,
    /// Our customer.
    pub customer_id: String,
    /// The customer's reference, where it has one.
    pub reference: Option<String>,
    /// What.
    pub field: String,
    /// As it was.
    pub before: Option<String>,
    /// As it is since.
    pub after: Option<String>,
    /// When.
    pub at: Timestamp,
}

pub(crate) const OF_RUN: &str = "SELECT ch.id, ch.subject, ch.subject_id, \
     COALESCE(m.customer_id, ch.subject_id), c.reference, ch.field, ch.before, ch.after, ch.at \
     FROM changes AS ch LEFT JOIN methods AS m ON m.id = ch.subject_id \
     LEFT JOIN customers AS c ON c.id = COALESCE(m.customer_id, ch.subject_id) \
     WHERE ch.run = $1 AND ch.id > $2 ORDER BY ch.id LIMIT $3";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[OF_RUN];

/// A row of [`OF_RUN`].
pub(crate) type ChangedRow =
    (i64, String, String, String, Option<String>, String, Option<String>, Option<String>, i64);

impl Changed {
    pub(crate) fn of(row: ChangedRow) -> Self {
        let (id, subject, subject_id, customer_id, reference, field, before, after, at) = row;
        let at = Timestamp::from_micros(at);
        Self { id, subject, subject_id, customer_id, reference, field, before, after, at }
    }
}

/// The read of one database: its store, and the pool that it reads from.
macro_rules! reads {
    ($store:ty, $pool:ident) => {
        impl $store {
            pub(super) async fn read_changes(
                &self,
                run: &model::RunId,
                after: i64,
                most: u32,
            ) -> Result<Vec<$crate::Changed>, $crate::StoreError> {
                let rows: Vec<$crate::changes::ChangedRow> =
                    sqlx::query_as($crate::changes::OF_RUN)
                        .bind(run.as_str())
                        .bind(after)
                        .bind(i64::from(most))
                        .fetch_all(&self.$pool)
                        .await?;
                Ok(rows.into_iter().map($crate::Changed::of).collect())
            }
        }
    };
}
pub(crate) use reads;
