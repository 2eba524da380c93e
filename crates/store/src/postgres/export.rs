//! Pages of exports.

use model::AccountName;

use super::PostgresStore;
use crate::export::{
    CUSTOMERS, CUSTOMERS_OF, CustomerCells, CustomerOfCells, LINKS_OF, LinkCells, METHODS,
    METHODS_OF, MethodCells, MethodOfCells,
};
use crate::{ExportedCustomer, ExportedLink, ExportedMethod, PageKey, StoreError};

impl PostgresStore {
    pub(super) async fn page_of_customers(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedCustomer>, StoreError> {
        let page = (after.0.as_str(), i64::from(most));
        let Some(account) = account else {
            let query = sqlx::query_as(CUSTOMERS).bind(page.0).bind(page.1);
            let rows: Vec<CustomerCells> = query.fetch_all(&self.pool).await?;
            return rows.into_iter().map(ExportedCustomer::ours).collect();
        };
        let query = sqlx::query_as(CUSTOMERS_OF).bind(page.0).bind(page.1).bind(account.as_str());
        let rows: Vec<CustomerOfCells> = query.fetch_all(&self.pool).await?;
        rows.into_iter().map(|cells| ExportedCustomer::theirs(account, cells)).collect()
    }

    pub(super) async fn page_of_methods(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedMethod>, StoreError> {
        let page = (after.0.as_str(), i64::from(most), after.1.as_str());
        let Some(account) = account else {
            let query = sqlx::query_as(METHODS).bind(page.0).bind(page.1).bind(page.2);
            let rows: Vec<MethodCells> = query.fetch_all(&self.pool).await?;
            return rows.into_iter().map(ExportedMethod::ours).collect();
        };
        let query = sqlx::query_as(METHODS_OF).bind(page.0).bind(page.1).bind(page.2);
        let rows: Vec<MethodOfCells> = query.bind(account.as_str()).fetch_all(&self.pool).await?;
        rows.into_iter().map(|cells| ExportedMethod::theirs(account, cells)).collect()
    }

    pub(super) async fn page_of_links(
        &self,
        account: &AccountName,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedLink>, StoreError> {
        let rows: Vec<LinkCells> = sqlx::query_as(LINKS_OF)
            .bind(after.0.as_str())
            .bind(i64::from(most))
            .bind(after.1.as_str())
            .bind(account.as_str())
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(ExportedLink::of).collect()
    }
}
