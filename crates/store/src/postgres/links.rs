//! What links are like, and what a person makes of them.

use model::AccountName;
use sqlx::PgConnection;

use super::decode::list;
use super::{PostgresStore, mirror};
use crate::links::Answers;
use crate::{LinkMove, StoreError};

const NEAR: &str = "SELECT id FROM customers WHERE namespace = $1 AND erased_at IS NULL \
     AND id = ANY($2)";
const LINKED: &str = "SELECT customer_id, COUNT(*) FROM remote_customers \
     WHERE customer_id = ANY($1) GROUP BY customer_id";
const OWNERS: &str = "SELECT DISTINCT method_id, account, remote_customer_id FROM remote_methods \
     WHERE method_id = ANY($1)";

crate::links::moves!(PostgresStore, pool, PgConnection);

impl PostgresStore {
    /// Holds the namespace's accounts, in a dry run too.
    pub(super) async fn write_links_moved(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Answers, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(mirror::HOLD_NAMESPACE).bind(account.as_str()).execute(&mut *tx).await?;
        let (context, plan, answers) = planned(&mut tx, account, moves, self.now()).await?;
        if dry {
            tx.rollback().await?;
            return Ok(answers);
        }
        put(&mut tx, &context, &plan).await?;
        tx.commit().await?;
        Ok(answers)
    }
}
