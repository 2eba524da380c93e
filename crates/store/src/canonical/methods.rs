//! Plans a write of payment methods.

use std::collections::{BTreeSet, HashMap};

use model::{
    Agreement, ContentHash, CustomerId, MethodFacts, MethodId, MethodKind, RemoteCustomerId,
    RemoteMethod, RemoteMethodId, Timestamp, Token, digest,
};

use super::merge::{Sources, fact_changes, merge_facts};
use super::{
    Change, Context, Guard, MirrorState, Standing, Vote, attributes, from_json, standing, to_json,
};
use crate::due::month;
use crate::{MethodCounts, StoreError};

/// Customer and payment method at the provider: the key of a mirror row within an account.
pub(crate) type Key = (RemoteCustomerId, RemoteMethodId);

/// Makes a [`Key`].
pub(crate) fn key_of(customer: &RemoteCustomerId, method: &RemoteMethodId) -> Key {
    (customer.clone(), method.clone())
}

/// A mirror row: as it is, or as it is to be. On an update `first_seen` stays, and
/// `remote_created_at` and `credential` stay where the new value is null.
#[derive(Debug, Clone)]
pub(crate) struct MirrorMethod {
    pub customer: RemoteCustomerId,
    pub id: RemoteMethodId,
    pub kind: MethodKind,
    /// JSON.
    pub facts: String,
    pub default: Option<bool>,
    /// Of the facts.
    pub hash: ContentHash,
    pub state: MirrorState,
    pub as_of: Timestamp,
    /// Only on the way in.
    pub remote_created_at: Option<Timestamp>,
    /// Set if and only if the state is `removed`.
    pub removed_at: Option<Timestamp>,
    /// To be sealed; only on the way in.
    pub credential: Option<Token>,
    pub method: Option<MethodId>,
    /// The month in which a card expires, as [`month`] has it.
    pub expires: Option<i64>,
    /// What else the provider says of it: JSON, or nothing.
    pub attributes: Option<String>,
}

/// A canonical payment method that exists, with the live mirror rows linked to it at any account.
#[derive(Debug, Clone)]
pub(crate) struct CanonicalMethod {
    pub id: MethodId,
    pub customer: CustomerId,
    pub facts: MethodFacts,
    /// JSON.
    pub sources: String,
    pub hash: ContentHash,
    pub votes: Vec<Vote<MethodFacts>>,
}

/// A canonical payment method as it is to be: inserted, or over the one with its id, whose
/// `customer_id`, `kind` and `created_at` stay.
#[derive(Debug, Clone)]
pub(crate) struct MethodRow {
    pub id: MethodId,
    pub customer: CustomerId,
    pub kind: MethodKind,
    /// JSON.
    pub facts: String,
    /// JSON.
    pub sources: String,
    pub hash: ContentHash,
}

/// What is new of a payment method.
#[derive(Debug, Clone)]
pub(crate) enum MethodNews {
    /// The provider shows it.
    Seen(Box<RemoteMethod>),
    /// It is now the customer's default.
    MadeDefault(RemoteMethodId),
    /// It is gone.
    Removed(RemoteMethodId),
}

/// What is new of a payment method, of whom, as of when.
#[derive(Debug, Clone)]
pub(crate) struct NewsOfMethod {
    pub customer: RemoteCustomerId,
    pub as_of: Timestamp,
    pub what: MethodNews,
}

impl NewsOfMethod {
    fn id(&self) -> &RemoteMethodId {
        match &self.what {
            MethodNews::Seen(method) => &method.id,
            MethodNews::MadeDefault(id) | MethodNews::Removed(id) => id,
        }
    }
}

/// What is to be written. Rows are sorted by key; canonical rows go first.
#[derive(Debug, Default)]
pub(crate) struct MethodPlan {
    pub counts: MethodCounts,
    pub methods: Vec<MethodRow>,
    pub mirrors: Vec<MirrorMethod>,
    /// Unchanged: `as_of` moves, never back.
    pub touches: Vec<(Key, Timestamp)>,
    pub changes: Vec<Change>,
    /// Our payment method of each at hand.
    pub links: HashMap<Key, MethodId>,
}

/// Plans a write of payment methods.
pub(crate) struct MethodPlanner {
    news: Vec<NewsOfMethod>,
    /// Our customer of each customer that the mirror has; `None` where it has no link.
    customers: HashMap<RemoteCustomerId, Option<CustomerId>>,
    counts: MethodCounts,
    guard: Guard,
}

impl MethodPlanner {
    /// Takes the news in. News of customers that are not among `customers` is stale. Of repeats in
    /// reads the last counts; answers are applied one after the other.
    pub(crate) fn new(
        news: Vec<NewsOfMethod>,
        customers: HashMap<RemoteCustomerId, Option<CustomerId>>,
        guard: Guard,
    ) -> Self {
        let mut kept: Vec<NewsOfMethod> = Vec::with_capacity(news.len());
        let mut places: HashMap<Key, usize> = HashMap::with_capacity(news.len());
        let mut counts = MethodCounts::default();
        for one in news {
            if guard == Guard::Read {
                let key = key_of(&one.customer, one.id());
                if let Some(before) = places.get(&key).and_then(|place| kept.get_mut(*place)) {
                    *before = one;
                    continue;
                }
                counts.seen += 1;
                if !customers.contains_key(&one.customer) {
                    counts.stale += 1;
                    continue;
                }
                places.insert(key, kept.len());
            } else {
                counts.seen += 1;
                if !customers.contains_key(&one.customer) {
                    counts.stale += 1;
                    continue;
                }
            }
            kept.push(one);
        }
        Self { news: kept, customers, counts, guard }
    }

    /// The canonical customers whose payment methods the plan needs: those of customers with
    /// anything new or changed, but for customers that have just been made.
    pub(crate) fn needs(
        &self,
        mirror: &HashMap<Key, MirrorMethod>,
        fresh: &std::collections::HashSet<CustomerId>,
    ) -> Result<BTreeSet<CustomerId>, StoreError> {
        let mut needs = BTreeSet::new();
        for news in &self.news {
            let Some(Some(customer)) = self.customers.get(&news.customer) else { continue };
            if fresh.contains(customer) {
                continue;
            }
            let same = match (&news.what, mirror.get(&key_of(&news.customer, news.id()))) {
                (MethodNews::Seen(method), Some(row)) => {
                    let attributes = attributes::after(self.guard, Some(row), method)?;
                    is_same(row, method, digest(&method.facts), attributes.as_deref())
                }
                _ => false,
            };
            if !same {
                needs.insert(customer.clone());
            }
        }
        Ok(needs)
    }

    /// What is to be written, given the mirror rows of the customers at hand and the canonical
    /// payment methods of [`Self::needs`].
    pub(crate) fn plan(
        self,
        context: &Context,
        mirror: HashMap<Key, MirrorMethod>,
        canonical: Vec<CanonicalMethod>,
    ) -> Result<MethodPlan, StoreError> {
        let mut of_customer: HashMap<CustomerId, Vec<MethodId>> = HashMap::new();
        for method in &canonical {
            of_customer.entry(method.customer.clone()).or_default().push(method.id.clone());
        }
        let mut work = Work {
            context,
            guard: self.guard,
            customers: self.customers,
            mirror,
            of_customer,
            canonical: canonical.into_iter().map(|m| (m.id.clone(), m)).collect(),
            dirty: BTreeSet::new(),
            written: HashMap::with_capacity(self.news.len()),
            single: None,
            plan: MethodPlan { counts: self.counts, ..MethodPlan::default() },
        };
        for news in self.news {
            work.one(news)?;
        }
        work.recompute();
        let mut plan = work.plan;
        plan.mirrors = work.written.into_values().collect();
        plan.mirrors.sort_unstable_by(|a, b| (&a.customer, &a.id).cmp(&(&b.customer, &b.id)));
        plan.methods.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(plan)
    }
}

fn is_same(
    row: &MirrorMethod,
    method: &RemoteMethod,
    hash: ContentHash,
    attributes: Option<&str>,
) -> bool {
    row.state == MirrorState::Live
        && row.method.is_some()
        && row.hash == hash
        && row.attributes.as_deref() == attributes
        // A provider that does not show the default says nothing of it.
        && (method.default.is_none() || row.default == method.default)
}

struct Work<'a> {
    context: &'a Context,
    guard: Guard,
    customers: HashMap<RemoteCustomerId, Option<CustomerId>>,
    /// As it is in the database.
    mirror: HashMap<Key, MirrorMethod>,
    /// As it is to be, where that differs.
    written: HashMap<Key, MirrorMethod>,
    canonical: HashMap<MethodId, CanonicalMethod>,
    of_customer: HashMap<CustomerId, Vec<MethodId>>,
    dirty: BTreeSet<MethodId>,
    /// `sources` of a record that this account alone describes, as of when.
    single: Option<(Timestamp, String)>,
    plan: MethodPlan,
}

impl Work<'_> {
    fn current(&self, key: &Key) -> Option<&MirrorMethod> {
        self.written.get(key).or_else(|| self.mirror.get(key))
    }

    fn one(&mut self, news: NewsOfMethod) -> Result<(), StoreError> {
        let key = key_of(&news.customer, news.id());
        match news.what {
            MethodNews::Seen(method) => self.seen(key, *method, news.as_of)?,
            MethodNews::MadeDefault(_) => {
                if let Some(row) = self.current(&key).cloned() {
                    self.set_default(&key, row, true, news.as_of);
                    self.plan.counts.updated += 1;
                    self.only_default(&key, news.as_of);
                } else {
                    self.plan.counts.stale += 1;
                }
            }
            MethodNews::Removed(_) => self.removed(&key, news.as_of),
        }
        Ok(())
    }

    fn seen(&mut self, key: Key, method: RemoteMethod, as_of: Timestamp) -> Result<(), StoreError> {
        let hash = digest(&method.facts);
        let is_default = method.default == Some(true);
        let row = self.current(&key).cloned();
        let attributes = attributes::after(self.guard, row.as_ref(), &method)?;
        let Some(row) = row else {
            self.plan.counts.created += 1;
            self.write(key.clone(), method, hash, attributes, as_of, None);
            if is_default && self.guard == Guard::Answer {
                self.only_default(&key, as_of);
            }
            return Ok(());
        };
        let same = is_same(&row, &method, hash, attributes.as_deref());
        let standing = standing(self.guard, row.as_of, as_of, same);
        if standing != Standing::Changed {
            self.plan.links.extend(row.method.clone().map(|link| (key.clone(), link)));
        }
        match standing {
            Standing::Stale => self.plan.counts.stale += 1,
            Standing::Same => {
                self.plan.counts.unchanged += 1;
                self.plan.touches.push((key, as_of));
            }
            Standing::Changed => {
                self.plan.counts.updated += 1;
                let changes = changes(&row, &method, hash, attributes.as_deref())?;
                let as_of_row = as_of.max(row.as_of);
                self.write(key.clone(), method, hash, attributes, as_of_row, Some(&row));
                let subject = self.plan.links.get(&key).cloned();
                self.note(subject.as_ref(), changes);
                if is_default && self.guard == Guard::Answer {
                    self.only_default(&key, as_of);
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, subject: Option<&MethodId>, changes: Vec<FieldChange>) {
        let Some(subject) = subject else { return };
        self.plan.changes.extend(changes.into_iter().map(|(field, before, after)| Change {
            subject: "method",
            subject_id: subject.to_string(),
            field,
            before,
            after,
            line: None,
        }));
    }

    /// Plans the mirror row, its link, and what follows for the canonical record.
    fn write(
        &mut self,
        key: Key,
        method: RemoteMethod,
        hash: ContentHash,
        attributes: Option<String>,
        as_of: Timestamp,
        row: Option<&MirrorMethod>,
    ) {
        let json = to_json(&method.facts);
        let expires = match &method.facts {
            MethodFacts::Card(card) => card.expiry.map(month),
            MethodFacts::BankAccount(_) | MethodFacts::CryptoWallet(_) => None,
        };
        let link = match row.and_then(|row| row.method.clone()) {
            Some(link) => {
                self.revote(&link, &key, as_of, Some(method.facts.clone()));
                Some(link)
            }
            None => self.link(&key, &method.facts, &json, hash, as_of),
        };
        self.plan.links.extend(link.clone().map(|link| (key.clone(), link)));
        let written = MirrorMethod {
            customer: key.0.clone(),
            id: key.1.clone(),
            kind: method.facts.kind(),
            facts: json,
            default: method.default.or_else(|| row.and_then(|row| row.default)),
            hash,
            state: MirrorState::Live,
            as_of,
            remote_created_at: method.created_at,
            removed_at: None,
            credential: method.credential,
            method: link,
            expires,
            attributes,
        };
        self.written.insert(key, written);
    }

    /// What one mirror row says of its canonical record from now on; `None`: nothing any more.
    fn revote(&mut self, link: &MethodId, key: &Key, as_of: Timestamp, facts: Option<MethodFacts>) {
        let context = self.context;
        let Some(record) = self.canonical.get_mut(link) else { return };
        record.votes.retain(|vote| {
            vote.account != context.account
                || vote.customer != key.0
                || vote.method != key.1.as_str()
        });
        record.votes.extend(facts.map(|content| Vote {
            rank: context.rank,
            account: context.account.clone(),
            customer: key.0.clone(),
            method: key.1.as_str().to_owned(),
            as_of,
            content,
        }));
        self.dirty.insert(link.clone());
    }

    /// Links a payment method that has no link: to the one record of its customer that agrees by
    /// facts and has no live payment method at this account, else to a new one.
    fn link(
        &mut self,
        key: &Key,
        facts: &MethodFacts,
        json: &str,
        hash: ContentHash,
        as_of: Timestamp,
    ) -> Option<MethodId> {
        let customer = self.customers.get(&key.0)?.clone()?;
        let account = &self.context.account;
        let mut agreeing = self
            .of_customer
            .get(&customer)
            .into_iter()
            .flatten()
            .filter_map(|id| self.canonical.get(id))
            .filter(|record| record.facts.agreement(facts) == Agreement::Agrees)
            .filter(|record| record.votes.iter().all(|vote| vote.account != *account))
            .map(|record| record.id.clone());
        if let (Some(only), None) = (agreeing.next(), agreeing.next()) {
            self.revote(&only, key, as_of, Some(facts.clone()));
            return Some(only);
        }
        let id = MethodId::generate();
        if self.single.as_ref().is_none_or(|(at, _)| *at != as_of) {
            self.single = Some((as_of, Sources::of_one(account, as_of)));
        }
        self.plan.methods.push(MethodRow {
            id: id.clone(),
            customer,
            kind: facts.kind(),
            facts: json.to_owned(),
            sources: self.single.as_ref().map(|(_, text)| text.clone()).unwrap_or_default(),
            hash,
        });
        Some(id)
    }

    fn set_default(&mut self, key: &Key, row: MirrorMethod, to: bool, as_of: Timestamp) {
        if row.default != Some(to) {
            let text = |value: Option<bool>| value.map(|value| value.to_string());
            let change = ("default".to_owned(), text(row.default), text(Some(to)));
            self.note(row.method.as_ref(), vec![change]);
        }
        let link = row.method.clone();
        self.plan.links.extend(link.map(|link| (key.clone(), link)));
        let as_of = as_of.max(row.as_of);
        self.written.insert(key.clone(), MirrorMethod { default: Some(to), as_of, ..row });
    }

    /// A customer has one default: the others are not it any more.
    fn only_default(&mut self, key: &Key, as_of: Timestamp) {
        let mut others: Vec<Key> = self
            .mirror
            .keys()
            .chain(self.written.keys())
            .filter(|other| other.0 == key.0 && *other != key)
            .cloned()
            .collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            let row = self.current(&other).filter(|row| row.default == Some(true)).cloned();
            if let Some(row) = row {
                self.set_default(&other, row, false, as_of);
            }
        }
    }

    fn removed(&mut self, key: &Key, as_of: Timestamp) {
        let Some(row) = self.current(key).cloned() else {
            self.plan.counts.stale += 1;
            return;
        };
        if let Some(link) = &row.method {
            self.plan.links.insert(key.clone(), link.clone());
            self.revote(link, key, as_of, None);
        }
        if row.state == MirrorState::Removed {
            self.plan.counts.unchanged += 1;
            return;
        }
        self.plan.counts.updated += 1;
        let text = |state: MirrorState| Some(state.as_str().to_owned());
        let change = ("state".to_owned(), text(row.state), text(MirrorState::Removed));
        self.note(row.method.as_ref(), vec![change]);
        let written = MirrorMethod {
            state: MirrorState::Removed,
            removed_at: Some(self.context.now),
            as_of: as_of.max(row.as_of),
            default: row.default.map(|_| false),
            ..row
        };
        self.written.insert(key.clone(), written);
    }

    /// Recomputes the existing records whose votes moved. One that lost its last live mirror
    /// keeps what was known.
    fn recompute(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            self.plan.methods.extend(self.canonical.get(&id).and_then(recomputed_method));
        }
    }
}

/// The record as it is by its accounts' votes, where that is anything else than it was. One without
/// votes keeps what was known.
pub(crate) fn recomputed_method(record: &CanonicalMethod) -> Option<MethodRow> {
    let (facts, sources) = merge_facts(&record.votes)?;
    let (hash, sources) = (digest(&facts), sources.to_json());
    (hash != record.hash || sources != record.sources).then(|| MethodRow {
        id: record.id.clone(),
        customer: record.customer.clone(),
        kind: facts.kind(),
        facts: to_json(&facts),
        sources,
        hash,
    })
}

pub(super) type FieldChange = (String, Option<String>, Option<String>);

fn changes(
    row: &MirrorMethod,
    method: &RemoteMethod,
    hash: ContentHash,
    attributes: Option<&str>,
) -> Result<Vec<FieldChange>, StoreError> {
    let mut changes = Vec::new();
    if row.state != MirrorState::Live {
        let [before, after] =
            [row.state, MirrorState::Live].map(|state| Some(state.as_str().to_owned()));
        changes.push(("state".to_owned(), before, after));
    }
    if method.default.is_some() && method.default != row.default {
        let [before, after] = [row.default, method.default].map(|d| d.map(|d| d.to_string()));
        changes.push(("default".to_owned(), before, after));
    }
    if row.hash != hash {
        let before: MethodFacts = from_json("facts", &row.facts)?;
        changes.extend(fact_changes(&before, &method.facts));
    }
    if row.attributes.as_deref() != attributes {
        changes.extend(attributes::changes(row.attributes.as_deref(), attributes)?);
    }
    Ok(changes)
}

#[cfg(test)]
#[path = "methods_tests.rs"]
mod tests;
