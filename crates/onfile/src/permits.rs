//! The account's row in the store, as the transport's source of permits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::AccountName;
use store::Store;
use transport::{Lease, PermitSource, PermitSourceError};

/// Leases permits from the row that all processes of a store share.
#[derive(Debug)]
pub(crate) struct StorePermits {
    store: Arc<dyn Store>,
    per_second: f64,
}

impl StorePermits {
    pub(crate) fn new(store: Arc<dyn Store>, per_second: f64) -> Self {
        Self { store, per_second }
    }
}

#[async_trait]
impl PermitSource for StorePermits {
    async fn lease(&self, account: &AccountName, want: u32) -> Result<Lease, PermitSourceError> {
        let lease = self
            .store
            .lease_permits(account, self.per_second, want)
            .await
            .map_err(PermitSourceError::new)?;
        Ok(Lease {
            granted: lease.granted,
            wait: lease.wait,
            spacing: lease.spacing,
            epoch: lease.epoch,
        })
    }

    async fn close_gate(
        &self,
        account: &AccountName,
        pause: Duration,
    ) -> Result<(), PermitSourceError> {
        self.store.close_gate(account, pause).await.map_err(PermitSourceError::new)
    }
}
