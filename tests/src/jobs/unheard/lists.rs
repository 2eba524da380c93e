//! What is believed of a customer list that shifts, that cannot be read in full, or whose order is not
//! the one that was adopted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, Capabilities, Cursor, CustomerBackend, Effect, ErrorKind, Page,
    PageRequest, Permit, Prepared, Probe, Rejection, SendOutcome, TokenRoute, Unreadable,
};
use engine::{EngineError, Resolution};
use model::{
    Address, Code, MethodFacts, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod, Token,
};
use sandbox::Handle;
use store::EffectState;

use super::{Result, World};
use crate::env::TestDb;
use crate::providers::Provider;

/// What becomes of a page of the customer list before anybody sees it.
pub type Seen =
    Arc<dyn Fn(&PageRequest, Page<RemoteCustomer>) -> Page<RemoteCustomer> + Send + Sync>;

/// Whether a search finds two customers of a reference.
pub type Doubled = Arc<dyn Fn() -> bool + Send + Sync>;

/// A provider whose customer list is seen through something, and whose search finds nobody yet, or two.
pub struct Through {
    pub inner: Arc<dyn CustomerBackend>,
    pub seen: Seen,
    pub doubled: Doubled,
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CustomerBackend for Through {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn prepare(&self, effect: &Effect) -> std::result::Result<Prepared, Rejection> {
        self.inner.prepare(effect)
    }

    fn accepts(
        &self,
        route: TokenRoute,
        facts: &MethodFacts,
        token: Option<&Token>,
        billing: &Address,
    ) -> std::result::Result<(), Rejection> {
        self.inner.accepts(route, facts, token, billing)
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        self.inner.execute(ctx, prepared, permit).await
    }

    async fn list_customers(
        &self,
        ctx: &CallCtx,
        page: &PageRequest,
    ) -> std::result::Result<Page<RemoteCustomer>, BackendError> {
        Ok((self.seen)(page, self.inner.list_customers(ctx, page).await?))
    }

    async fn list_methods(
        &self,
        ctx: &CallCtx,
        customer: &RemoteCustomerId,
        page: &PageRequest,
    ) -> std::result::Result<Page<RemoteMethod>, BackendError> {
        self.inner.list_methods(ctx, customer, page).await
    }

    async fn get_customer(
        &self,
        ctx: &CallCtx,
        id: &RemoteCustomerId,
    ) -> std::result::Result<Option<RemoteCustomer>, BackendError> {
        self.inner.get_customer(ctx, id).await
    }

    async fn find_customer(
        &self,
        _ctx: &CallCtx,
        _reference: &Reference,
    ) -> std::result::Result<Option<RemoteCustomer>, BackendError> {
        match (self.doubled)() {
            true => Err(BackendError::new(ErrorKind::Conflict, "find customer", "two are there")),
            false => Ok(None),
        }
    }

    async fn probe(&self, ctx: &CallCtx) -> std::result::Result<Probe, BackendError> {
        self.inner.probe(ctx).await
    }
}

const FIRST: Cursor = Cursor::Offset(0);

/// The list has one full page; behind it comes, alone, the row that somebody who is created meanwhile
/// has pushed there.
pub async fn in_a_list_that_shifts_is_settled(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::lost(db, of, "drop_before").await?;
    for no in 0..100 {
        world.stranger(&format!("X-{no}"))?;
    }
    let (provider, left) = (Handle::clone(&world.provider), Mutex::new(1));
    world.seen = Some(Arc::new(move |request, page| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        if request.cursor == FIRST && *left > 0 {
            *left -= 1;
            let _made = provider.create_customer(of.seeded(), Some("Y"), "Eve", "y@example.com");
        }
        page
    }));
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!((settled.planned, settled.unresolved) == (1, 0), "{settled:?}");
    Ok(())
}

/// Somebody of a page that was read is deleted, and pulls the one that is looked for to that page: as many
/// customers were seen as the provider counts then, and he is not among them.
pub async fn that_a_deletion_has_hidden_is_found(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::lost(db, of, "drop_after").await?;
    for no in 0..99 {
        world.stranger(&format!("X-{no}"))?;
    }
    let deleted = world.stranger("Y")?;
    let (provider, left) = (Handle::clone(&world.provider), Mutex::new(Some(deleted)));
    world.seen = Some(Arc::new(move |request, page| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = left.take_if(|_| request.cursor == FIRST) {
            let _gone = provider.delete_customer(of.seeded(), &id);
        }
        page
    }));
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!((settled.done, settled.planned) == (1, 0), "{settled:?}");
    Ok(())
}

/// Two others of its reference are there since: they are named, and a person tells.
pub async fn that_two_others_have_the_reference_of_waits_for_a_person(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::lost(db, of, "drop_before").await?;
    let two = [world.stranger("A")?, "twin".to_owned()];
    let twin = RemoteCustomerId::new("twin")?;
    world.doubled = Arc::new(|| true);
    world.seen = Some(Arc::new(move |_, mut page| {
        if let Some(one) = page.items.first().cloned() {
            page.items.push(RemoteCustomer { id: twin.clone(), ..one });
            page.received += 1;
        }
        page
    }));
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!(settled.unresolved == 1, "{settled:?}");
    let effect = world.create().await?.effect;
    let code = Some(Code::DuplicateAtProvider.as_str());
    ensure!(effect.code.as_deref() == code, "{effect:?}");
    let why = effect.message.unwrap_or_default();
    ensure!(two.iter().all(|id| why.contains(id)), "{why}");
    Ok(())
}

/// A conflict whose customer cannot be told from another is that create's alone, and is settled by the list.
pub async fn that_conflicts_with_nobody_known_is_settled(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::new(db, of).await?;
    world.faults("create_customer:1=status(409)")?;
    let provider = Handle::clone(&world.provider);
    world.doubled = Arc::new(move || provider.counters().calls("create_customer") == 1);
    world.seen = Some(Arc::new(|_, page| page));
    let rows = world.import("A", "Ada").await?;
    ensure!((rows.created, world.times(), world.calls()) == (1, 1, 2), "{rows:?}");
    Ok(())
}

/// One that cannot be read may be it: neither reading nor a person's word makes it absent.
pub async fn is_not_absent_while_a_customer_cannot_be_read(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::lost(db, of, "drop_before").await?;
    world.stranger("X")?;
    world.seen = Some(Arc::new(|_, mut page| {
        page.items.retain(|customer| customer.reference.as_deref() != Some("X"));
        if page.received > 0 {
            page.unreadable.push(Unreadable { id: None, why: "an odd row".into() });
        }
        page
    }));
    let (settled, _) = engine::settle_account(&world.engine()?, "person").await?;
    ensure!(settled.unresolved == 1, "{settled:?}");
    let id = world.create().await?.effect.id;
    let absent = Resolution::Absent { force: false };
    let said = engine::resolve(&world.engine()?, &id, &absent, None, "person").await;
    ensure!(matches!(said, Err(EngineError::StillShown { .. })), "{said:?}");
    world.seen = None;
    let said = engine::resolve(&world.engine()?, &id, &absent, None, "person").await?;
    ensure!(said.record.effect.state == EffectState::Planned, "{said:?}");
    Ok(())
}

/// The provider counts more customers than are known after the top of the list: the rest is read, and
/// whoever stands below is not created again.
pub async fn behind_the_top_of_the_list_is_found(
    db: Arc<TestDb>,
    of: &'static dyn Provider,
) -> Result {
    let mut world = World::new(db, of).await?;
    for no in 0..130 {
        world.stranger(&format!("X-{no}"))?;
    }
    world.import("B", "Bo").await?;
    world.stranger("A")?;
    let hidden: Mutex<Vec<RemoteCustomer>> = Mutex::default();
    world.seen = Some(Arc::new(move |request, mut page| {
        let mut hidden = hidden.lock().unwrap_or_else(PoisonError::into_inner);
        if request.cursor == FIRST {
            let is_new = |one: &mut RemoteCustomer| one.reference.as_deref() == Some("A");
            *hidden = page.items.extract_if(.., is_new).collect();
        } else {
            page.items.append(&mut hidden);
        }
        page
    }));
    let rows = world.import("A", "Ada").await?;
    ensure!((rows.linked, world.times()) == (1, 1), "{rows:?}: {}", world.times());
    Ok(())
}
