//! What a case works in: a simulated provider, and a backend opened on it as the binary would.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use backend::{
    Applied, BackendError, CallCtx, Capabilities, CustomerBackend, Effect, ItemOutcome, Lane,
    MethodListing, NewMethod, PageRequest, SendOutcome, Timing, TokenRoute, Traffic,
};
use model::{
    Address, Clock as _, EffectKind, FieldName, Profile, Reference, RemoteCustomer,
    RemoteCustomerId, RemoteMethod, RemoteMethodId, RemoteStatus, RunId, SystemClock, TokenKind,
};
use sandbox::{CustomerView, FaultPlan, Handle, Running, VendorConfig};
use transport::Rate;

use super::mutant::Mutant;
use crate::inproc::{Uncounted, quick};
use crate::providers::{self, Method, Opening, Provider, Written};

/// No list has so many pages.
const PAGES: usize = 1000;

/// A backend and what paces it.
pub struct Opened {
    pub backend: Arc<dyn CustomerBackend>,
    pub traffic: Arc<dyn Traffic>,
}

pub struct World {
    pub provider: &'static dyn Provider,
    pub vendor: VendorConfig,
    pub at: Handle,
    running: Mutex<Option<Running>>,
    /// The seeded account.
    pub main: Opened,
    pub capabilities: Capabilities,
    mutant: Option<Mutant>,
    numbers: AtomicU32,
}

impl Deref for World {
    type Target = dyn CustomerBackend;

    fn deref(&self) -> &Self::Target {
        &*self.main.backend
    }
}

/// A person waits.
pub fn ctx() -> CallCtx {
    CallCtx::in_lane(Lane::Interactive)
}

/// Long enough for a machine that has other things to do.
pub fn timing() -> Timing {
    Timing { send_window: Duration::from_secs(10), ..quick() }
}

fn open(
    provider: &dyn Provider,
    at: &Handle,
    opening: &Opening,
    timing: Timing,
    mutant: Option<Mutant>,
) -> anyhow::Result<Opened> {
    let rate = Rate { per_second: 5000.0, burst: 50, in_flight: 8 };
    let (backend, transport) =
        providers::connect(provider, at, opening, rate, timing, Arc::new(Uncounted))?;
    let traffic: Arc<dyn Traffic> = transport;
    let secret = provider.env().last().map_or("", |(_, secret)| secret);
    let backend = match mutant {
        Some(mutant) => mutant.around(backend, Arc::clone(&traffic), secret),
        None => backend,
    };
    Ok(Opened { backend, traffic })
}

impl World {
    pub async fn new(
        provider: &'static dyn Provider,
        vendor: VendorConfig,
        customers: usize,
        mutant: Option<Mutant>,
    ) -> anyhow::Result<Self> {
        let running = providers::start_as(vendor.clone(), 7, customers).await?;
        let at = running.handle();
        let main = open(provider, &at, &Opening::of(provider.seeded()), timing(), mutant)?;
        let capabilities = main.backend.capabilities();
        let running = Mutex::new(Some(running));
        Ok(Self {
            provider,
            vendor,
            at,
            running,
            main,
            capabilities,
            mutant,
            numbers: AtomicU32::new(1),
        })
    }

    /// Stops the provider: what it holds can still be asked for.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Another way in.
    pub fn open(&self, opening: &Opening, timing: Timing) -> anyhow::Result<Opened> {
        open(self.provider, &self.at, opening, timing, self.mutant)
    }

    /// The seeded account's name at the sandbox.
    pub fn account(&self) -> &'static str {
        self.provider.seeded()
    }

    /// What the provider holds of a customer; nothing where it is gone.
    pub fn held(&self, id: &str) -> Option<CustomerView> {
        self.at.customer(self.account(), id).filter(|customer| !customer.deleted)
    }

    /// The customers that the provider holds under a reference.
    pub fn times(&self, reference: &Reference) -> usize {
        let all = self.at.customers(self.account());
        all.iter().filter(|c| c.reference.as_deref() == Some(reference.as_str())).count()
    }

    /// Puts these faults in place of all others.
    pub fn faults(&self, spec: &str) -> anyhow::Result<()> {
        Ok(self.at.put_faults(FaultPlan::parse(spec)?)?)
    }

    /// Fails if a fault never took place, then takes all away.
    pub fn all_fired(&self) -> anyhow::Result<()> {
        let unfired = self.at.faults_unfired();
        ensure!(unfired.is_empty(), "faults that did not fire: {unfired:?}");
        self.at.clear_faults();
        Ok(())
    }

    /// Another number each time.
    pub fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A reference that nobody has.
    pub fn reference(&self) -> anyhow::Result<Reference> {
        Ok(Reference::new(format!("Behave-{}", self.number()))?)
    }

    /// Every field that the provider declares, in the form in which it holds them.
    pub fn profile(&self) -> Profile {
        self.capabilities.as_held(&ada())
    }

    pub async fn send(&self, effect: &Effect) -> anyhow::Result<SendOutcome> {
        let key = format!("key-{}", RunId::generate());
        self.send_with(&self.main, effect, &key).await
    }

    /// Exactly one attempt.
    pub async fn send_with(
        &self,
        opened: &Opened,
        effect: &Effect,
        key: &str,
    ) -> anyhow::Result<SendOutcome> {
        let prepared = opened.backend.prepare(effect)?;
        let permit = opened.traffic.reserve(Lane::Interactive, 1).await?.pop();
        let keys = self.capabilities.idempotency_keys;
        let ctx = CallCtx { idempotency_key: keys.then(|| key.to_owned()), ..ctx() };
        let endpoint = endpoint(effect.kind());
        let before = self.at.counters().calls(endpoint);
        let outcome = opened.backend.execute(&ctx, prepared, permit.context("a permit")?).await;
        let calls = self.at.counters().calls(endpoint) - before;
        ensure!(calls <= 1, "{} is sent {calls} times", effect.kind());
        let (items, wanted) = (outcome.items.len(), effect.items());
        ensure!(items == wanted, "{items} outcomes of {wanted} items: {outcome:?}");
        Ok(outcome)
    }

    /// What became of the one item of an effect.
    pub async fn one(&self, effect: &Effect) -> anyhow::Result<ItemOutcome> {
        self.send(effect).await?.items.pop().context("an item")
    }

    /// Fails unless it is done.
    pub async fn done(&self, effect: &Effect) -> anyhow::Result<Applied> {
        done(self.one(effect).await?)
    }

    /// Creates a customer with every field.
    pub async fn created(&self) -> anyhow::Result<(Reference, RemoteCustomerId)> {
        let reference = self.reference()?;
        let effect =
            Effect::CreateCustomer { reference: reference.clone(), profile: self.profile() };
        let shown = self.done(&effect).await?.customer.context("the answer shows no customer")?;
        Ok((reference, shown.id))
    }

    /// A customer that somebody else made.
    pub fn somebody(&self) -> anyhow::Result<(Reference, RemoteCustomerId)> {
        let reference = self.reference()?;
        let account = self.account();
        let email = format!("{}@example.com", reference.as_str().to_lowercase());
        let id = self.at.create_customer(account, Some(reference.as_str()), "Eve Day", &email)?;
        Ok((reference, RemoteCustomerId::new(id)?))
    }

    /// A payment method that somebody else saves.
    pub fn saved(&self, customer: &RemoteCustomerId) -> anyhow::Result<RemoteMethodId> {
        let kind = *self.capabilities.method_kinds.first().context("a kind of payment method")?;
        let new = Method::numbered(kind, self.number()).at_provider();
        let id = self.at.add_method(self.account(), customer.as_str(), new, false)?;
        Ok(RemoteMethodId::new(id)?)
    }

    /// One payment method for each kind and each token that this route carries.
    pub fn savable(&self, route: TokenRoute) -> Vec<Written> {
        let now = SystemClock.now().micros() / 1_000_000;
        let mut all = Vec::new();
        for kind in self.capabilities.method_kinds {
            let number = self.number();
            let method = Method::numbered(*kind, number);
            for token in method.token_kinds(&self.capabilities) {
                if self.route(token) == Some(route) {
                    let number = u64::from(self.number());
                    all.push(Written::new(self.provider, method.clone(), token, number, now));
                }
            }
        }
        all
    }

    /// The call that carries a kind of token, or none.
    fn route(&self, token: Option<TokenKind>) -> Option<TokenRoute> {
        match token {
            Some(kind) => self.capabilities.token(kind).map(|rule| rule.route),
            None => Some(TokenRoute::Add),
        }
    }

    /// As it is sent for a customer.
    pub fn new_method(
        customer: &RemoteCustomerId,
        written: &Written,
        default: bool,
    ) -> anyhow::Result<NewMethod> {
        Ok(NewMethod {
            customer: customer.clone(),
            facts: written.method.facts()?,
            token: written.credential(),
            billing: Address::default(),
            default,
        })
    }

    /// Every customer of the list, page by page.
    pub async fn list(&self, size: u32) -> anyhow::Result<Vec<RemoteCustomer>> {
        let mut page = PageRequest::first(size);
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let listed = self.list_customers(&ctx(), &page).await?;
            ensure!(listed.unreadable.is_empty(), "unreadable: {:?}", listed.unreadable);
            let shown = u64::try_from(listed.items.len())?;
            ensure!(shown == listed.received, "{shown} of {} are shown", listed.received);
            ensure!(shown <= u64::from(size), "{shown} on a page of {size}");
            let stated = listed.total.is_some();
            ensure!(stated == self.capabilities.customers_total, "a total: {:?}", listed.total);
            all.extend(listed.items);
            match listed.next {
                Some(next) if listed.received > 0 => page.cursor = next,
                _ => return Ok(all),
            }
        }
        bail!("the list does not end")
    }

    /// One customer, by the list if there is no other way.
    pub async fn get(&self, id: &RemoteCustomerId) -> anyhow::Result<Option<RemoteCustomer>> {
        if self.capabilities.get_customer {
            return Ok(self.get_customer(&ctx(), id).await?);
        }
        Ok(self.list(100).await?.into_iter().find(|customer| customer.id == *id))
    }

    /// One customer's payment methods, wherever they are shown.
    pub async fn methods(&self, id: &RemoteCustomerId) -> anyhow::Result<Vec<RemoteMethod>> {
        if self.capabilities.methods == MethodListing::Inline {
            let customer = self.get(id).await?.context("nobody has this id")?;
            return customer.methods.context("its payment methods are not shown");
        }
        let mut page = PageRequest::first(self.capabilities.methods_page.unwrap_or(100));
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let listed = self.list_methods(&ctx(), id, &page).await?;
            ensure!(listed.unreadable.is_empty(), "unreadable: {:?}", listed.unreadable);
            all.extend(listed.items);
            match listed.next {
                Some(next) if listed.received > 0 => page.cursor = next,
                _ => return Ok(all),
            }
        }
        bail!("the list of payment methods does not end")
    }

    /// The effects that can be sent.
    pub fn writes(&self) -> Vec<EffectKind> {
        writes(&self.capabilities)
    }

    /// An effect of a kind that can be carried out now, with all that it needs in place.
    pub async fn ready(&self, kind: EffectKind) -> anyhow::Result<Effect> {
        if kind == EffectKind::CreateCustomer {
            let (reference, profile) = (self.reference()?, self.profile());
            return Ok(Effect::CreateCustomer { reference, profile });
        }
        let (_, customer) = self.somebody()?;
        Ok(match kind {
            EffectKind::CreateCustomer | EffectKind::UpdateCustomer => {
                let mut changes = Profile::default();
                changes.set(FieldName::Email, Some("new@example.com".to_owned()));
                Effect::UpdateCustomer { customer, changes, metadata: None }
            }
            EffectKind::DeleteCustomer => Effect::DeleteCustomer { customer },
            EffectKind::AddMethod => {
                let written = self.savable(TokenRoute::Add).pop().context("nothing to save")?;
                Effect::AddMethod(Self::new_method(&customer, &written, false)?)
            }
            EffectKind::ImportMethod => {
                let written = self.savable(TokenRoute::Bulk);
                let methods = written.iter().map(|one| Self::new_method(&customer, one, false));
                Effect::ImportMethods(methods.collect::<anyhow::Result<_>>()?)
            }
            EffectKind::SetDefault => {
                self.saved(&customer)?;
                let method = self.saved(&customer)?;
                Effect::SetDefault { customer, method }
            }
            EffectKind::RemoveMethod => {
                let method = self.saved(&customer)?;
                Effect::RemoveMethod { customer, method }
            }
        })
    }
}

/// The effects that a provider can carry out.
pub fn writes(capabilities: &Capabilities) -> Vec<EffectKind> {
    let can = [
        (EffectKind::CreateCustomer, capabilities.create_customer),
        (EffectKind::UpdateCustomer, capabilities.update_customer),
        (EffectKind::DeleteCustomer, capabilities.delete_customer),
        (EffectKind::AddMethod, capabilities.add_method),
        (EffectKind::ImportMethod, capabilities.import_batch.is_some()),
        (EffectKind::SetDefault, capabilities.set_default),
        (EffectKind::RemoveMethod, capabilities.remove_method),
    ];
    can.into_iter().filter(|(_, can)| *can).map(|(kind, _)| kind).collect()
}

/// The sandbox's name of the endpoint that carries out an effect.
pub const fn endpoint(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::CreateCustomer => "create_customer",
        EffectKind::UpdateCustomer => "update_customer",
        EffectKind::DeleteCustomer => "delete_customer",
        EffectKind::AddMethod => "add_method",
        EffectKind::ImportMethod => "bulk_import",
        EffectKind::SetDefault => "set_default",
        EffectKind::RemoveMethod => "remove_method",
    }
}

/// Fails unless it is done.
pub fn done(outcome: ItemOutcome) -> anyhow::Result<Applied> {
    match outcome {
        ItemOutcome::Done(applied) => Ok(*applied),
        other => bail!("not done: {other:?}"),
    }
}

/// Whether an id leads to nobody any more.
pub fn is_gone(shown: Option<&RemoteCustomer>) -> bool {
    shown.is_none_or(|customer| customer.status == RemoteStatus::Deleted)
}

/// The kind of a failed read.
pub fn kind_of<T>(read: &Result<T, BackendError>) -> Option<backend::ErrorKind> {
    read.as_ref().err().map(|error| error.kind)
}

/// Somebody with every field that there is, whichever the provider has a place for.
pub fn ada() -> Profile {
    let mut profile = Profile {
        metadata: [("tier", "gold"), ("since", "1843")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Profile::default()
    };
    for field in FieldName::TEXTS {
        profile.set(field, Some(sample(field).to_owned()));
    }
    profile
}

/// A right value of a field.
pub const fn sample(field: FieldName) -> &'static str {
    match field {
        FieldName::Name => "Ada Byron King",
        FieldName::FirstName => "Ada Byron",
        FieldName::LastName => "King",
        FieldName::Company => "Analytical Engines",
        FieldName::Email => "ada.king@example.com",
        FieldName::Phone => "+44 20 555 0100",
        FieldName::Description => "the first one",
        FieldName::Line1 => "12 St James Square",
        FieldName::Line2 => "Flat 3B",
        FieldName::City => "London",
        FieldName::State => "England",
        FieldName::PostalCode => "SW1Y 4JH",
        FieldName::Country => "GB",
        FieldName::Metadata => "",
    }
}

/// Another right value.
pub const fn other(field: FieldName) -> &'static str {
    match field {
        FieldName::Name => "Augusta Noel",
        FieldName::FirstName => "Augusta",
        FieldName::LastName => "Noel",
        FieldName::Company => "Difference Works",
        FieldName::Email => "augusta@example.org",
        FieldName::Phone => "+1 555 0199",
        FieldName::Description => "the second one",
        FieldName::Line1 => "5 Elm Road",
        FieldName::Line2 => "Rear",
        FieldName::City => "Bristol",
        FieldName::State => "Avon",
        FieldName::PostalCode => "BS1 4ND",
        FieldName::Country => "HR",
        FieldName::Metadata => "",
    }
}
