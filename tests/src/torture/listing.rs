//! A provider whose customer list somebody stands beside: told of each page before it is read, and
//! able to withhold it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::{BackendError, CallCtx, CustomerBackend, Page, PageRequest};
use model::{Clock as _, RemoteCustomer, SystemClock};

use crate::around::Around;

/// Says whether a page is read; if not, it is an empty one.
pub type Bystander = Arc<dyn Fn(&PageRequest) -> bool + Send + Sync>;

pub struct Listing {
    pub inner: Arc<dyn CustomerBackend>,
    pub bystander: Bystander,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Around for Listing {
    fn inner(&self) -> &dyn CustomerBackend {
        &*self.inner
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        if (self.bystander)(page) {
            return self.inner.list_customers(ctx, page).await;
        }
        Ok(Page {
            items: Vec::new(),
            received: 0,
            next: None,
            total: None,
            unreadable: Vec::new(),
            card_numbers_at: Vec::new(),
            as_of: SystemClock.now(),
        })
    }
}
