//! What a scan did not see, and what a list of payment methods lacks: read once more, and marked as
//! removed if it is proven gone (rules 1 and 3).

use std::time::Duration;

use futures::{StreamExt, stream};
use model::{RemoteCustomerId, RemoteStatus, Timestamp};
use store::{CustomersApplied, CustomersWrite};
use tokio::time::Instant;

use super::Puller;
use crate::EngineError;
use crate::observe::{self, Reader, is_everybodys};

/// Customers read by their ids before one that is known to be live is asked for: few enough that
/// this takes less than a minute at a call a second.
pub(super) const PROOFS: u32 = 50;
/// Payment methods looked for together.
const METHODS: u32 = 100;
/// Payment methods counted together.
const COUNTED: u32 = 5000;
/// That a customer is not there counts if one that is known to be live answers within this time.
const MINUTE: Duration = Duration::from_secs(60);

/// Customers that are proven gone.
#[derive(Debug)]
pub(super) struct Gone {
    /// Not later than the start of any read that said so.
    as_of: Timestamp,
    ids: Vec<RemoteCustomerId>,
}

impl Gone {
    pub(super) fn many(&self) -> u64 {
        self.ids.len() as u64
    }
}

impl Puller<'_> {
    /// Reads by its id each customer that the scan did not see: it is gone, or the list has shifted
    /// past it.
    pub(super) async fn read_unseen(&mut self, scan: &str) -> Result<(), EngineError> {
        let store = &self.engine.store;
        let settled = self.settled();
        let mut after = None;
        loop {
            self.engine.stop.check()?;
            let ids = store.unseen_customers(scan, settled, after.as_ref(), PROOFS).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = Some(last.clone());
            self.slid += self.prove(scan, ids).await?;
        }
    }

    /// What was written down of effects until then, the provider shows by now.
    fn settled(&self) -> Timestamp {
        self.engine.clock.now().minus(self.engine.account.timing.late)
    }

    /// Reads customers by their ids: those that are there are written, those that are not are kept
    /// until it is known how many they are. How many are there.
    pub(super) async fn prove(
        &mut self,
        scan: &str,
        ids: Vec<RemoteCustomerId>,
    ) -> Result<u64, EngineError> {
        let customers = &mut self.brakes.customers;
        if !customers.admits(self.gone.iter().map(Gone::many).sum()) {
            customers.over += ids.len() as u64;
            self.gap("customers were on no page, and were not asked for", ids.len() as u64);
            return Ok(0);
        }
        let began = Instant::now();
        // Not later than the start of any of the requests.
        let as_of = self.engine.clock.now();
        let (engine, ctx) = (self.engine, &self.ctx);
        let reads: Vec<_> = stream::iter(ids)
            .map(|id| async move { (engine.account.get_customer(ctx, &id).await, id) })
            .buffer_unordered(engine.account.in_flight())
            .collect()
            .await;
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for (read, id) in reads {
            match read {
                Ok(None) => gone.push(id),
                Ok(Some(customer)) if customer.id != id => {
                    let account = engine.account.name.to_string();
                    return Err(EngineError::FindNotHonoured { account });
                }
                Ok(Some(customer)) if customer.status == RemoteStatus::Deleted => gone.push(id),
                Ok(Some(customer)) => there.push(customer),
                Err(error) if is_everybodys(&error) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(
                        account = engine.account.name.as_str(), customer = id.as_str(), %error,
                        "a customer cannot be read"
                    );
                    self.gap("customers that the list did not show could not be read", 1);
                }
            }
        }
        let found = there.len() as u64;
        if !there.is_empty() {
            let Reader { fence, overlap, .. } = self.reader();
            let write = CustomersWrite {
                account: engine.account.name.clone(),
                scan: Some(scan.to_owned()),
                as_of,
                customers: there,
                overlap,
            };
            let applied = engine.store.apply_customers(fence, write).await?;
            self.gap(
                "customers had a call on its way whenever they were read",
                applied.overlapping,
            );
            self.take(&applied);
        }
        if !gone.is_empty() {
            observe::same_account(engine, &self.ctx).await?;
        }
        if began.elapsed() > MINUTE {
            // The next pull asks again.
            self.gap("customers were not proven gone within a minute", gone.len() as u64);
        } else if !gone.is_empty() {
            self.gone.push(Gone { as_of, ids: gone });
        }
        Ok(found)
    }

    /// Marks the customers that are proven gone, if they are not too many at once.
    pub(super) async fn mark_gone(&mut self) -> Result<(), EngineError> {
        let gone = std::mem::take(&mut self.gone);
        let many = gone.iter().map(Gone::many).sum();
        if !self.brakes.customers.admits(many) {
            self.brakes.customers.over += many;
            return Ok(());
        }
        for Gone { as_of, ids } in gone {
            let mut brake = self.brakes.customers;
            let (marked, _) = observe::mark(self.reader(), ids, as_of, &mut brake).await?;
            self.brakes.customers = brake;
            self.take(&CustomersApplied { seen: 0, unchanged: 0, ..marked });
        }
        Ok(())
    }

    /// How many payment methods their customers' lists did not show.
    async fn count_unlisted(&self, settled: Timestamp) -> Result<u64, EngineError> {
        let engine = self.engine;
        let account = &engine.account.name;
        let (mut after, mut many) = (None, 0);
        loop {
            let page = engine
                .store
                .unlisted_methods(account, self.since, settled, after.as_ref(), COUNTED)
                .await?;
            many += page.len() as u64;
            let Some(last) = page.last() else { return Ok(many) };
            after = Some(last.clone());
        }
    }

    /// Lists the customers of payment methods once more that their lists did not show, if they are
    /// not too many at once.
    pub(super) async fn read_unlisted(&mut self) -> Result<(), EngineError> {
        let engine = self.engine;
        let account = &engine.account.name;
        let settled = self.settled();
        let many = self.count_unlisted(settled).await?;
        // The provider may not show yet what was written down of an effect a moment ago.
        let soon = self.count_unlisted(Timestamp::MAX).await?.saturating_sub(many);
        self.gap(
            "payment methods were not listed right after a change of ours: the next pull asks",
            soon,
        );
        if !self.brakes.methods.admits(many) {
            self.brakes.methods.over += many;
            return Ok(());
        }
        let mut after = None;
        let mut unproven = 0;
        loop {
            engine.stop.check()?;
            let missing = engine
                .store
                .unlisted_methods(account, self.since, settled, after.as_ref(), METHODS)
                .await?;
            let Some(last) = missing.last() else { break };
            after = Some(last.clone());
            let candidates = missing.len() as u64;
            let mut brake = self.brakes.methods;
            let removed = observe::prove_removed(self.reader(), missing, &mut brake).await?;
            self.brakes.methods = brake;
            self.methods.removed += removed;
            unproven += candidates.saturating_sub(removed);
        }
        self.gap("payment methods were not listed; their removal is not proven", unproven);
        Ok(())
    }
}
