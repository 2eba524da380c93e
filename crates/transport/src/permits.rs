//! The rate that all processes of an account share.

use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::AccountName;
use tokio::time::Instant;

/// Why no permits could be had.
#[derive(Debug, thiserror::Error)]
#[error("the account's rate limit could not be reserved in the store")]
pub struct PermitSourceError(#[source] Box<dyn Error + Send + Sync>);

impl PermitSourceError {
    /// With what lies beneath.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Permits taken: number i (from 0) may be used `wait + i × spacing` from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How many were given. None: ask again after `wait`.
    pub granted: u32,
    /// Until the first may be used.
    pub wait: Duration,
    /// Between two.
    pub spacing: Duration,
    /// Counted up whenever the gate is closed: what was leased under another one is void.
    pub epoch: i64,
}

/// The account's row that all processes share. Implemented on the store, wired in the binary.
/// Durations only: no client's clock is trusted.
#[async_trait]
pub trait PermitSource: Send + Sync + fmt::Debug {
    /// Takes `want` permits at the account's rate.
    ///
    /// # Errors
    /// When the row cannot be reached.
    async fn lease(&self, account: &AccountName, want: u32) -> Result<Lease, PermitSourceError>;

    /// The provider wants to be left alone: nobody's lease of an older epoch is valid any more.
    ///
    /// # Errors
    /// When the row cannot be reached.
    async fn close_gate(
        &self,
        account: &AccountName,
        pause: Duration,
    ) -> Result<(), PermitSourceError>;
}

/// Permits of one account in this process's memory: for `check` before a store exists, and for
/// tests. Two processes with one of these each call twice as fast as they may.
#[derive(Debug)]
pub struct LocalPermits {
    spacing: Duration,
    burst: u32,
    row: Mutex<Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// When the next permit is due.
    next: Option<Instant>,
    epoch: i64,
}

impl LocalPermits {
    /// At the rate of one account.
    #[must_use]
    pub fn new(rate: &crate::Rate) -> Self {
        Self { spacing: rate.spacing(), burst: rate.burst.max(1), row: Mutex::default() }
    }

    fn row(&self) -> std::sync::MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PermitSource for LocalPermits {
    async fn lease(&self, _: &AccountName, want: u32) -> Result<Lease, PermitSourceError> {
        let now = Instant::now();
        let want = want.max(1);
        let mut row = self.row();
        // What was not used is saved up, to one bucket.
        let saved = now.checked_sub(self.spacing * (self.burst - 1)).unwrap_or(now);
        let next = row.next.map_or(saved, |next| next.max(saved));
        let due = (0..want).take_while(|i| next + self.spacing * *i <= now).count();
        let due = u32::try_from(due).unwrap_or(want);
        let (granted, spacing) = if due > 1 { (due, Duration::ZERO) } else { (want, self.spacing) };
        row.next = Some(next + self.spacing * granted);
        Ok(Lease { granted, wait: next.saturating_duration_since(now), spacing, epoch: row.epoch })
    }

    async fn close_gate(&self, _: &AccountName, pause: Duration) -> Result<(), PermitSourceError> {
        let until = Instant::now() + pause;
        let mut row = self.row();
        row.next = Some(row.next.map_or(until, |next| next.max(until)));
        row.epoch += 1;
        Ok(())
    }
}
