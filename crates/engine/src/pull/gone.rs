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
/// That a customer is not there counts if one that is known to be live answers within this time.
const MINUTE: Duration = Duration::from_secs(60);

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

    /// Reads customers by their ids: those that are there are written, those that are gone marked.
    /// How many are there.
    pub(super) async fn prove(
        &mut self,
        scan: &str,
        ids: Vec<RemoteCustomerId>,
    ) -> Result<u64, EngineError> {
        if self.brakes.customers.holds() {
            self.brakes.customers.over += ids.len() as u64;
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
        if began.elapsed() > MINUTE {
            // The next pull asks again.
            self.gap("customers were not proven gone within a minute", gone.len() as u64);
            return Ok(found);
        }
        let mut brake = self.brakes.customers;
        let (marked, _) = observe::mark_removed(self.reader(), gone, as_of, &mut brake).await?;
        self.brakes.customers = brake;
        self.take(&CustomersApplied { seen: 0, unchanged: 0, ..marked });
        Ok(found)
    }

    /// Lists the customers of payment methods once more that their lists did not show.
    pub(super) async fn read_unlisted(&mut self) -> Result<(), EngineError> {
        let engine = self.engine;
        let account = &engine.account.name;
        let settled = self.settled();
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
            let (candidates, over) = (missing.len() as u64, self.brakes.methods.over);
            let mut brake = self.brakes.methods;
            let removed = observe::prove_removed(self.reader(), missing, &mut brake).await?;
            self.brakes.methods = brake;
            self.methods.removed += removed;
            unproven += candidates.saturating_sub(brake.over - over).saturating_sub(removed);
        }
        self.gap("payment methods were not listed; their removal is not proven", unproven);
        Ok(())
    }
}
