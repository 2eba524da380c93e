//! `ONFILE_FAILPOINT=NAME:N`, in debug builds alone: the N-th time that this process comes to the
//! point it says so on stderr and goes no further, until a test kills it. A build for people does
//! not read the variable.

use std::sync::Arc;

use engine::Failpoints;

#[cfg(not(debug_assertions))]
pub(crate) fn asked() -> Option<Arc<dyn Failpoints>> {
    None
}

#[cfg(debug_assertions)]
pub(crate) use debug::asked;

#[cfg(debug_assertions)]
mod debug {
    use std::future;
    use std::sync::atomic::{AtomicU64, Ordering};

    use engine::Failpoint;
    use futures::future::BoxFuture;

    use super::{Arc, Failpoints};
    use crate::{commands, out};

    struct Stand {
        at: Failpoint,
        left: AtomicU64,
    }

    pub(crate) fn asked() -> Option<Arc<dyn Failpoints>> {
        let asked = commands::env("ONFILE_FAILPOINT")?;
        let (name, nth) = asked.split_once(':')?;
        let (at, nth) = (Failpoint::parse(name)?, nth.parse().ok()?);
        Some(Arc::new(Stand { at, left: AtomicU64::new(nth) }))
    }

    impl Failpoints for Stand {
        fn reached(&self, point: Failpoint) -> BoxFuture<'_, ()> {
            if point != self.at || self.left.fetch_sub(1, Ordering::Relaxed) != 1 {
                return Box::pin(future::ready(()));
            }
            out::error_line(&format!("failpoint {point}"));
            Box::pin(future::pending())
        }
    }
}
