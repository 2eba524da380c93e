//! What applying reads before it decides, and what becomes of customers that are not there.

use futures::{StreamExt, stream};
use model::{Code, Outcome, Reference, RemoteCustomerId, Timestamp};
use store::{CustomersWrite, KnownMethod, MethodsWrite, Overlap, Verdict};

use super::{Applier, known};
use crate::EngineError;
use crate::group::{CustomerNow, Work};
use crate::observe::{self, Found, MethodRead, Reader};

impl Applier<'_> {
    /// Reads customers whose fields the file wishes otherwise, and writes what was read: a mirror
    /// may be old, and what somebody changed since is not written over.
    pub(super) async fn read_customers(
        &mut self,
        works: &mut [Work],
        reads: Vec<(usize, RemoteCustomerId)>,
    ) -> Result<(), EngineError> {
        if reads.is_empty() {
            return Ok(());
        }
        // Not later than the start of any of the requests.
        let as_of = self.engine.clock.now();
        let references: Vec<(usize, RemoteCustomerId, Reference)> = reads
            .into_iter()
            .filter_map(|(place, id)| Some((place, id, works.get(place)?.reference.clone())))
            .collect();
        let (engine, ctx) = (self.engine, &self.ctx);
        let read: Vec<(usize, Result<Found, EngineError>)> = stream::iter(references)
            .map(|(place, id, reference)| async move {
                (place, observe::get(engine, ctx, &id, &reference).await)
            })
            .buffer_unordered(self.engine.account.in_flight())
            .collect()
            .await;
        let (mut customers, mut gone) = (Vec::new(), Vec::new());
        for (place, read) in read {
            let Some(work) = works.get_mut(place) else { continue };
            match read {
                Ok(Found::Customer(customer)) => {
                    work.read(customer.profile.clone(), customer.metadata.clone());
                    customers.push(*customer);
                }
                Ok(Found::Nobody | Found::Retired) => gone.push(place),
                Err(EngineError::Backend(error))
                    if !error.is_account_fault() && !error.kind.read_is_retryable() =>
                {
                    work.customer = CustomerNow::Failed(Verdict::with(
                        Outcome::NotAttempted,
                        Code::CustomerBlocked,
                        format!("the customer could not be read: {error}"),
                    ));
                }
                Ok(Found::Collision) => {
                    let account = self.engine.account.name.to_string();
                    return Err(EngineError::FindNotHonoured { account });
                }
                Err(error) => return Err(error),
            }
        }
        let account = self.engine.account.name.clone();
        let write =
            CustomersWrite { account, scan: None, as_of, customers, overlap: Overlap::Written };
        self.engine.store.apply_customers(&self.run.fence, write).await?;
        self.gone(works, &gone, as_of).await
    }

    /// Reads the methods of customers that were there before this run, and writes what was read.
    pub(super) async fn read_methods(
        &mut self,
        works: &mut [Work],
        reads: Vec<(usize, RemoteCustomerId)>,
    ) -> Result<(), EngineError> {
        if reads.is_empty() {
            return Ok(());
        }
        // Not later than the start of any of the requests.
        let as_of = self.engine.clock.now();
        let (engine, ctx) = (self.engine, &self.ctx);
        let read: Vec<(usize, Result<Option<MethodRead>, _>)> = stream::iter(reads)
            .map(|(place, id)| async move { (place, observe::methods_of(engine, ctx, &id).await) })
            .buffer_unordered(self.engine.account.in_flight())
            .collect()
            .await;
        let (mut lists, mut gone) = (Vec::new(), Vec::new());
        for (place, read) in read {
            let Some(work) = works.get_mut(place) else { continue };
            match read {
                Err(error) if observe::is_everybodys(&error) => return Err(error.into()),
                Err(error) => {
                    work.customer = CustomerNow::Failed(Verdict::with(
                        Outcome::NotAttempted,
                        Code::CustomerBlocked,
                        format!("its payment methods could not be read: {error}"),
                    ));
                }
                Ok(Some(read)) => {
                    work.unreadable = read.unreadable > 0;
                    let mut methods: Vec<KnownMethod> =
                        read.list.methods.iter().map(|m| known(&read.list.customer, m)).collect();
                    for method in &mut methods {
                        method.as_of = read.list.as_of;
                    }
                    self.with_rules(|rules| work.listed(methods, rules));
                    lists.push(read.list);
                }
                Ok(None) => gone.push(place),
            }
        }
        let account = self.engine.account.name.clone();
        let write = MethodsWrite { account, lists, absent: Vec::new(), overlap: Overlap::Written };
        let fence = &self.run.fence;
        let missing = self.engine.store.apply_methods(fence, write).await?.missing;
        let reader = Reader { engine, ctx, fence, overlap: Overlap::Written };
        observe::prove_removed(reader, missing, &mut self.brakes.methods).await?;
        self.gone(works, &gone, as_of).await
    }

    /// Takes in that these customers were not there when they were read: marked as removed, they are
    /// decided on like any other that was.
    async fn gone(
        &mut self,
        works: &mut [Work],
        places: &[usize],
        as_of: Timestamp,
    ) -> Result<(), EngineError> {
        let ids: Vec<RemoteCustomerId> =
            places.iter().filter_map(|place| works.get(*place)?.customer_id()).collect();
        let (engine, ctx, fence) = (self.engine, &self.ctx, &self.run.fence);
        let reader = Reader { engine, ctx, fence, overlap: Overlap::Written };
        let brake = &mut self.brakes.customers;
        let (_, marked) = observe::mark_removed(reader, ids, as_of, brake).await?;
        for place in places {
            let Some(work) = works.get_mut(*place) else { continue };
            if work.customer_id().is_some_and(|id| marked.contains(&id)) {
                work.gone();
            } else {
                work.customer = CustomerNow::Failed(Verdict::with(
                    Outcome::Rejected,
                    Code::RemovedAtProvider,
                    "the customer is gone at the provider; it was not marked as removed: there is \
                     no call to prove it, or too many are gone at once",
                ));
            }
        }
        Ok(())
    }
}
