//! Another client at work while a list is read: it creates and deletes customers between two reads
//! of ours, at the same reads for the same seed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend::{BackendError, CallCtx, CustomerBackend, Page, PageRequest};
use model::{RemoteCustomer, RemoteCustomerId};
use sandbox::{Handle, NewMethod};

use crate::around::{Around, Wrapped};
use crate::torture::seed::Rng;

/// Where the other client works, and what it saves for whom it creates.
#[derive(Debug, Clone)]
pub struct Client {
    pub provider: Handle,
    pub merchant: &'static str,
    pub method: NewMethod,
}

/// What it does.
#[derive(Debug, Clone)]
pub enum Op {
    Create(String),
    Delete(String),
}

#[derive(Debug, Default)]
struct State {
    /// With the number of the page read before which each is done; the last first.
    due: Vec<(u64, Op)>,
    pages: u64,
    /// Customers on the pages that were read.
    shown: std::collections::HashSet<RemoteCustomerId>,
    failed: Option<String>,
}

/// A provider that shifts while it is read.
#[derive(Debug)]
pub struct Shifting {
    inner: Arc<dyn CustomerBackend>,
    client: Client,
    state: Arc<Mutex<State>>,
    /// Whether what no page showed is said to be gone, as if the list could be believed.
    naive: bool,
}

/// What has become of a [`Shifting`].
#[derive(Debug, Clone, Default)]
pub struct Churn(Arc<Mutex<State>>);

impl Churn {
    /// So many of each, before reads of the first `pages` pages: what is created pushes rows down,
    /// what is deleted pulls them up, and never both before the same read.
    pub fn draw(rng: &mut Rng, client: &Client, each: u64, pages: u64) -> Self {
        let there = client.provider.customers(client.merchant).into_iter();
        let mut there: Vec<String> = there.map(|customer| customer.id).collect();
        let mut due = Vec::new();
        for no in 0..each {
            due.push((2 * rng.between(1, pages / 2), Op::Create(format!("N-{no:03}"))));
            let at = usize::try_from(rng.below(there.len() as u64)).unwrap_or(0);
            due.push((2 * rng.between(1, (pages - 1) / 2) + 1, Op::Delete(there.swap_remove(at))));
        }
        due.sort_by_key(|(page, _)| std::cmp::Reverse(*page));
        Self(Arc::new(Mutex::new(State { due, ..State::default() })))
    }

    pub fn around(
        &self,
        inner: Arc<dyn CustomerBackend>,
        client: &Client,
        naive: bool,
    ) -> Arc<dyn CustomerBackend> {
        let state = Arc::clone(&self.0);
        Arc::new(Wrapped(Shifting { inner, client: client.clone(), state, naive }))
    }

    /// Fails unless everything was done.
    pub fn is_over(&self) -> anyhow::Result<()> {
        let state = self.0.lock().map_err(|_| anyhow::anyhow!("a read panicked"))?;
        anyhow::ensure!(state.failed.is_none(), "the other client failed: {:?}", state.failed);
        anyhow::ensure!(state.due.is_empty(), "not done while it was read: {:?}", state.due);
        Ok(())
    }
}

impl Shifting {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut state)
    }

    /// Does what is due before the next page is read.
    fn act(&self) {
        self.with(|state| {
            state.pages += 1;
            while let Some((_, op)) = state.due.pop_if(|(page, _)| *page <= state.pages) {
                if let Err(error) = self.carry_out(&op) {
                    state.failed = Some(format!("{op:?}: {error:#}"));
                }
            }
        });
    }

    fn carry_out(&self, op: &Op) -> anyhow::Result<()> {
        let Client { provider, merchant, method } = &self.client;
        match op {
            Op::Create(reference) => {
                let email = format!("{reference}@example.com");
                let id = provider.create_customer(merchant, Some(reference), "New", &email)?;
                provider.add_method(merchant, &id, method.clone(), false)?;
            }
            Op::Delete(id) => provider.delete_customer(merchant, id)?,
        }
        Ok(())
    }
}

#[async_trait]
impl Around for Shifting {
    fn inner(&self) -> &dyn CustomerBackend {
        &*self.inner
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> Result<Page<RemoteCustomer>, BackendError> {
        self.act();
        let page = self.inner.list_customers(ctx, page).await?;
        self.with(|state| state.shown.extend(page.items.iter().map(|one| one.id.clone())));
        Ok(page)
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> Result<Option<RemoteCustomer>, BackendError> {
        let listed = self.with(|state| state.pages > 0);
        if self.naive && listed && !self.with(|state| state.shown.contains(id)) {
            return Ok(None);
        }
        self.inner.get_customer(ctx, id).await
    }
}
