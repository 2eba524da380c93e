//! What happened to a record.

use model::{CustomerId, MethodId};
use sqlx::PgConnection;

use super::PostgresStore;
use crate::export::{CustomerCells, MethodCells};
use crate::history::{
    CHANGES, CUSTOMER, CUSTOMER_EFFECTS, CUSTOMER_SEEN, FIND_CUSTOMERS, FIND_METHODS, Happened,
    METHOD, METHOD_EFFECTS, METHOD_SEEN, customers, happened, methods,
};
use crate::{
    CustomerHistory, ExportedCustomer, ExportedMethod, History, MethodHistory, StoreError,
};

/// What happened to a record, by the statements of its kind.
async fn happened_to(
    conn: &mut PgConnection,
    id: &str,
    seen: &'static str,
    effects: &'static str,
) -> Result<Vec<Happened>, StoreError> {
    let seen = sqlx::query_as(seen).bind(id).fetch_all(&mut *conn).await?;
    let changes = sqlx::query_as(CHANGES).bind(id).fetch_all(&mut *conn).await?;
    let effects = sqlx::query_as(effects).bind(id).fetch_all(conn).await?;
    Ok(happened(seen, changes, effects))
}

impl PostgresStore {
    pub(super) async fn customers_called(&self, id: &str) -> Result<Vec<CustomerId>, StoreError> {
        let found = sqlx::query_scalar(FIND_CUSTOMERS).bind(id).fetch_all(&self.pool).await?;
        customers(found)
    }

    pub(super) async fn methods_called(&self, id: &str) -> Result<Vec<MethodId>, StoreError> {
        methods(sqlx::query_scalar(FIND_METHODS).bind(id).fetch_all(&self.pool).await?)
    }

    pub(super) async fn history_of_customer(
        &self,
        id: &CustomerId,
    ) -> Result<Option<CustomerHistory>, StoreError> {
        let mut tx = self.snapshot().await?;
        let now: Option<CustomerCells> =
            sqlx::query_as(CUSTOMER).bind(id.as_str()).fetch_optional(&mut *tx).await?;
        let Some(now) = now else { return Ok(None) };
        let happened = happened_to(&mut tx, id.as_str(), CUSTOMER_SEEN, CUSTOMER_EFFECTS).await?;
        Ok(Some(History { now: ExportedCustomer::ours(now)?, happened }))
    }

    pub(super) async fn history_of_method(
        &self,
        id: &MethodId,
    ) -> Result<Option<MethodHistory>, StoreError> {
        let mut tx = self.snapshot().await?;
        let now: Option<MethodCells> =
            sqlx::query_as(METHOD).bind(id.as_str()).fetch_optional(&mut *tx).await?;
        let Some(now) = now else { return Ok(None) };
        let happened = happened_to(&mut tx, id.as_str(), METHOD_SEEN, METHOD_EFFECTS).await?;
        Ok(Some(History { now: ExportedMethod::ours(now)?, happened }))
    }
}
