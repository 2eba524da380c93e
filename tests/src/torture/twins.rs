//! Known-bad variants.

use std::sync::Arc;

use backend::{CustomerBackend, Timing, Traffic};
use store::Store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {}

impl Twin {
    pub fn timing(self, _: Timing) -> Timing {
        match self {}
    }
    pub fn backend(
        self,
        _: Arc<dyn CustomerBackend>,
        _: Arc<dyn Traffic>,
    ) -> Arc<dyn CustomerBackend> {
        match self {}
    }
    pub fn store(self, _: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {}
    }
}
