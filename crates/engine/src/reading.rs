//! Reads that go on while what they read before is written.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

/// A read that was begun. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Reading<T>(JoinHandle<T>);

impl<T: Send + 'static> Reading<T> {
    /// Begins it.
    pub(crate) fn begin(read: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(read))
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Reading<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(Ok(read)) => Poll::Ready(read),
            Poll::Ready(Err(error)) if error.is_panic() => {
                std::panic::resume_unwind(error.into_panic())
            }
            // The runtime ends, and with it whoever waits.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}
