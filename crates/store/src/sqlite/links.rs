//! What links are like, and what a person makes of them.

use model::AccountName;
use sqlx::SqliteConnection;

use super::decode::list;
use super::{SqliteStore, mirror};
use crate::links::Answers;
use crate::{LinkMove, StoreError};

const NEAR: &str = "SELECT id FROM customers WHERE namespace = ?1 AND erased_at IS NULL \
     AND id IN (SELECT value FROM json_each(?2))";
const LINKED: &str = "SELECT customer_id, COUNT(*) FROM remote_customers \
     WHERE customer_id IN (SELECT value FROM json_each(?1)) GROUP BY customer_id";
const OWNERS: &str = "SELECT DISTINCT method_id, account, remote_customer_id FROM remote_methods \
     WHERE method_id IN (SELECT value FROM json_each(?1))";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[NEAR, LINKED, OWNERS];

crate::links::moves!(SqliteStore, readers, SqliteConnection);

impl SqliteStore {
    /// A dry run waits for nobody who writes.
    pub(super) async fn write_links_moved(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Answers, StoreError> {
        if dry {
            let mut tx = self.snapshot().await?;
            return Ok(planned(&mut tx, account, moves, self.now()).await?.2);
        }
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let (context, plan, answers) = planned(&mut tx, account, moves, self.now()).await?;
        put(&mut tx, &context, &plan).await?;
        tx.commit().await?;
        Ok(answers)
    }
}
