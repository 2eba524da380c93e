//! Payment methods, where each customer's are a call of their own: those that are due.

use std::sync::Arc;
use std::time::Duration;

use backend::BackendError;
use futures::{StreamExt, stream};
use model::{Expiry, RemoteCustomerId, Timestamp};
use store::{Due, MethodsWrite};
use tokio::sync::mpsc;

use super::gone::PROOFS;
use super::{CARD_NUMBERS, Puller};
use crate::observe::{self, MethodRead, Reader, is_everybodys};
use crate::reading::Reading;
use crate::{EngineError, Reads};

/// What reading one customer's payment methods came to.
type Listed = (Result<Option<MethodRead>, BackendError>, RemoteCustomerId);

/// Customers asked of the store at once.
const CUSTOMERS: u32 = 5000;
/// Method lists written in one transaction.
const LISTS: usize = 250;
/// So long lists wait for others to be written with them.
const MOMENT: Duration = Duration::from_millis(100);
/// More customers than this whose methods cannot be read, and the pull fails.
const UNREAD_CUSTOMERS: u64 = 100;
/// A card that expires this soon is read whatever its age.
const SOON: Duration = Duration::from_secs(45 * 86_400);

/// Waits for more, up to a whole chunk, for a moment: a commit of a few costs as much as one of many.
async fn gather(from: &mut mpsc::Receiver<Listed>, chunk: &mut Vec<Listed>) {
    let more = async {
        while chunk.len() < LISTS
            && let Some(one) = from.recv().await
        {
            chunk.push(one);
        }
    };
    let _ = tokio::time::timeout(MOMENT, more).await;
}

/// What a round of reading left over.
#[derive(Debug, Default)]
struct Left {
    /// An effect of theirs was open.
    overlapping: u64,
    /// They could not be read.
    unread: u64,
    /// They are not there.
    gone: Vec<RemoteCustomerId>,
}

impl Puller<'_> {
    /// Whether a pull of this account may leave payment methods unread.
    pub(super) fn reads_some(&self) -> bool {
        let Reads { methods_max_age, calls_budget } = self.engine.reads;
        !methods_max_age.is_zero() || calls_budget.is_some()
    }

    /// Calls that are left of the budget.
    fn calls_left(&self) -> u64 {
        let Some(budget) = self.engine.reads.calls_budget else { return u64::MAX };
        let before = self.run.before.as_ref().map_or(0, |before| before.calls.total);
        let made = self.engine.calls.calls(&self.engine.account.name, &self.run.id).total;
        budget.saturating_sub(before + made)
    }

    /// How many lists a pull will read that reads so many pages, at least and at most: all that it
    /// has not read, or those that are old and what is urgent, or as many as the budget allows.
    pub(super) async fn due(&self, pages: u64) -> Result<(u64, u64), EngineError> {
        let account = &self.engine.account.name;
        let budget = self.calls_left().saturating_sub(pages);
        let all = self.engine.store.methods_unread(account, self.since).await?.customers;
        let old = match self.age_limit() {
            None => all,
            Some(before) => self.engine.store.methods_unread(account, before).await?.customers,
        };
        Ok((old.min(budget), all.min(budget)))
    }

    /// Payment methods read before this are due for their age.
    fn age_limit(&self) -> Option<Timestamp> {
        let age = self.engine.reads.methods_max_age;
        (!age.is_zero()).then(|| self.engine.clock.now().minus(age))
    }

    /// Reads what is due of the customers that were seen since `seen`.
    pub(super) async fn read_methods(
        &mut self,
        scan: &str,
        seen: Timestamp,
    ) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        let urgent = Due {
            since: self.since,
            seen,
            before: Timestamp::MIN,
            expires: (Expiry::of(now), Expiry::of(now.plus(SOON))),
        };
        let mut left = Left::default();
        if self.reads_some() {
            self.round(&urgent, &mut left).await?;
        }
        let before = self.age_limit().unwrap_or(self.since);
        let account = &self.engine.account.name;
        let cut = match self.engine.reads.calls_budget {
            None => None,
            Some(_) => {
                let calls = self.calls_left();
                self.engine.store.read_longest_ago(account, self.since, calls).await?
            }
        };
        let aged = Due { before: cut.map_or(before, |cut| cut.min(before)), ..urgent };
        self.round(&aged, &mut left).await?;
        let mut there = 0;
        for gone in std::mem::take(&mut left.gone).chunks(PROOFS as usize) {
            there += self.prove(scan, gone.to_vec()).await?;
        }
        if left.overlapping + there > 0 {
            // Their calls have come home by now; and who is there has a list.
            left = Left::default();
            self.round(&aged, &mut left).await?;
            let what = "customers are there, and their payment methods are said not to be";
            self.gap(what, left.gone.len() as u64);
        }
        self.gap("customers had a call on its way whenever they were listed", left.overlapping);
        self.gap("customers' payment methods could not be read", left.unread);
        Ok(())
    }

    async fn round(&mut self, due: &Due, left: &mut Left) -> Result<(), EngineError> {
        let store = &self.engine.store;
        let mut after = None;
        loop {
            let account = &self.engine.account.name;
            let mut ids = store.due_customers(account, due, after.as_ref(), CUSTOMERS).await?;
            after = ids.last().cloned();
            ids.truncate(usize::try_from(self.calls_left()).unwrap_or(usize::MAX));
            if ids.is_empty() {
                return Ok(());
            }
            self.read_lists(ids, left).await?;
        }
    }

    /// Reads the payment methods of customers, and writes what was read while it reads on.
    async fn read_lists(
        &mut self,
        ids: Vec<RemoteCustomerId>,
        left: &mut Left,
    ) -> Result<(), EngineError> {
        let (engine, ctx) = (Arc::new(self.engine.clone()), self.ctx.clone());
        let most = engine.account.in_flight();
        let (read, mut written) = mpsc::channel(LISTS);
        let reads = async move {
            let mut reads = stream::iter(ids)
                .map(|id| {
                    let (engine, ctx) = (Arc::clone(&engine), ctx.clone());
                    Reading::begin(
                        async move { (observe::methods_of(&engine, &ctx, &id).await, id) },
                    )
                })
                .buffer_unordered(most);
            while let Some(one) = reads.next().await {
                if read.send(one).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let writes = async {
            let mut chunk = Vec::with_capacity(LISTS);
            while written.recv_many(&mut chunk, LISTS).await > 0 {
                gather(&mut written, &mut chunk).await;
                self.engine.stop.check()?;
                self.write_lists(chunk.drain(..), left).await?;
            }
            Ok(())
        };
        tokio::try_join!(reads, writes).map(|_| ())
    }

    async fn write_lists(
        &mut self,
        chunk: impl Iterator<Item = Listed>,
        left: &mut Left,
    ) -> Result<(), EngineError> {
        let engine = self.engine;
        let mut lists = Vec::with_capacity(LISTS);
        let mut failed = None;
        for (read, id) in chunk {
            match read {
                Ok(Some(read)) => {
                    self.gap("payment methods could not be read", read.unreadable);
                    self.gap(CARD_NUMBERS, read.card_numbers);
                    lists.push(read.list);
                }
                // Proven later: reads that wait their turn hold permits.
                Ok(None) => left.gone.push(id),
                // One customer that cannot be read is a gap; a provider that is away is not.
                Err(error) => {
                    tracing::warn!(
                        account = engine.account.name.as_str(), customer = id.as_str(), %error,
                        "payment methods cannot be read"
                    );
                    left.unread += 1;
                    if is_everybodys(&error) || left.unread > UNREAD_CUSTOMERS {
                        failed.get_or_insert(error);
                    }
                }
            }
        }
        let Reader { fence, overlap, .. } = self.reader();
        let account = engine.account.name.clone();
        let write = MethodsWrite { account, lists, absent: Vec::new(), overlap };
        let applied = engine.store.apply_methods(fence, write).await?;
        left.overlapping += applied.overlapping;
        self.add_methods(applied.counts);
        engine.progress.at("payment methods read", self.methods.seen, None);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
