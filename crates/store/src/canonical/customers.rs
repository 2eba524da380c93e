//! Plans a write of customers.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    ContentHash, CustomerId, Profile, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod,
    RemoteStatus, Timestamp, digest,
};

use super::kept::{is_news, row_of};
use super::matching::{Known, Place};
use super::merge::{Sources, profile_changes};
use super::{
    Change, Context, FileFields, Guard, MirrorState, OpenEffects, Standing, Vote, from_json,
    standing, to_json,
};
use crate::{CustomersApplied, StoreError};

/// A mirror row as it is.
#[derive(Debug, Clone)]
pub(crate) struct MirrorCustomer {
    pub reference: Option<String>,
    /// JSON.
    pub profile: String,
    pub hash: ContentHash,
    pub state: MirrorState,
    pub as_of: Timestamp,
    pub customer: Option<CustomerId>,
}

/// A mirror row as it is to be: inserted, or over the one with its id. On an update `first_seen`
/// and a `linked_by` that is there stay; `scan`, `remote_created_at` and `methods_read_at` stay
/// where the new value is null.
#[derive(Debug, Clone)]
pub(crate) struct MirrorCustomerRow {
    pub id: RemoteCustomerId,
    pub reference: Option<String>,
    /// JSON.
    pub profile: String,
    pub hash: ContentHash,
    pub state: MirrorState,
    pub as_of: Timestamp,
    pub remote_created_at: Option<Timestamp>,
    /// Set if and only if the state is `removed`.
    pub removed_at: Option<Timestamp>,
    /// When the payment methods came inline; never moves back.
    pub methods_read_at: Option<Timestamp>,
    pub customer: Option<CustomerId>,
    pub linked_by: Option<&'static str>,
}

/// A canonical customer that exists, with the live mirror rows linked to it at any account.
#[derive(Debug, Clone)]
pub(crate) struct CanonicalCustomer {
    pub id: CustomerId,
    pub reference: Option<String>,
    pub email_key: Option<String>,
    /// JSON.
    pub profile: String,
    /// JSON.
    pub sources: String,
    pub hash: ContentHash,
    pub votes: Vec<Vote<Profile>>,
}

/// A canonical customer as it is to be: inserted, or over the one with its id, whose `created_at`
/// stays, and whose `reference` does where it has one or this is `None`.
#[derive(Debug, Clone)]
pub(crate) struct CustomerRow {
    pub id: CustomerId,
    pub reference: Option<String>,
    pub email_key: Option<String>,
    /// JSON.
    pub profile: String,
    /// JSON.
    pub sources: String,
    pub hash: ContentHash,
}

/// The canonical customers that a plan needs to see.
#[derive(Debug, Default)]
pub(crate) struct CustomerNeeds {
    /// By their reference in the account's namespace.
    pub references: BTreeSet<String>,
    /// By their e-mail address in the account's namespace, as `email_key` has it.
    pub emails: BTreeSet<String>,
    /// By their id.
    pub ids: BTreeSet<CustomerId>,
}

impl CustomerNeeds {
    pub(crate) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.emails.is_empty() && self.ids.is_empty()
    }
}

/// What is to be written. Rows are sorted by key; canonical rows go first.
#[derive(Debug, Default)]
pub(crate) struct CustomerPlan {
    /// `methods` is left at zero.
    pub counts: CustomersApplied,
    pub customers: Vec<CustomerRow>,
    pub mirrors: Vec<MirrorCustomerRow>,
    /// Unchanged: `as_of` and `scan` move, never back.
    pub touches: Vec<RemoteCustomerId>,
    /// The same of those whose payment methods came inline: `methods_read_at` moves too.
    pub touches_inline: Vec<RemoteCustomerId>,
    /// Newly removed: their live payment methods go with them.
    pub removed: Vec<RemoteCustomerId>,
    pub changes: Vec<Change>,
    /// Our customer of each live customer at hand.
    pub links: HashMap<RemoteCustomerId, CustomerId>,
    /// New to the mirror.
    pub new: Vec<RemoteCustomerId>,
    /// Canonical customers made by this plan: no payment method of theirs is known.
    pub fresh: HashSet<CustomerId>,
}

pub(super) struct News {
    pub(super) id: RemoteCustomerId,
    /// Trimmed; `None` when empty.
    reference: Option<String>,
    pub(super) profile: Profile,
    json: String,
    hash: ContentHash,
    deleted: bool,
    /// Whether its payment methods came with it.
    inline: bool,
    created_at: Option<Timestamp>,
}

/// Plans a write of customers that were read together.
pub(crate) struct CustomerPlanner {
    news: Vec<News>,
    as_of: Timestamp,
    guard: Guard,
}

fn news_of(customer: RemoteCustomer) -> (News, Option<Vec<RemoteMethod>>) {
    let reference = customer
        .reference
        .as_deref()
        .map(str::trim)
        .filter(|reference| !reference.is_empty())
        .map(str::to_owned);
    let news = News {
        json: to_json(&customer.profile),
        hash: digest(&customer.profile),
        id: customer.id,
        reference,
        profile: customer.profile,
        deleted: customer.status == RemoteStatus::Deleted,
        inline: customer.methods.is_some() && customer.status == RemoteStatus::Live,
        created_at: customer.created_at,
    };
    (news, customer.methods)
}

pub(super) fn email_key(profile: &Profile) -> Option<String> {
    let key = profile.email.as_deref()?.trim().to_lowercase();
    (!key.is_empty()).then_some(key)
}

impl News {
    fn standing(&self, guard: Guard, as_of: Timestamp, row: &MirrorCustomer) -> Standing {
        let same = if self.deleted {
            row.state == MirrorState::Removed
        } else {
            row.state == MirrorState::Live
                && row.customer.is_some()
                && row.hash == self.hash
                && row.reference == self.reference
        };
        standing(guard, row.as_of, as_of, same)
    }

    /// The reference, if it is one that links.
    pub(super) fn linking_reference(&self) -> Option<&String> {
        self.reference.as_ref().filter(|text| Reference::new(text.as_str()).is_ok())
    }
}

impl CustomerPlanner {
    /// Takes the customers in; of repeats the last counts. Hands back the payment methods that
    /// came inline, those of deleted customers left out.
    pub(crate) fn new(
        customers: Vec<RemoteCustomer>,
        as_of: Timestamp,
        guard: Guard,
    ) -> (Self, Vec<(RemoteCustomerId, Vec<RemoteMethod>)>) {
        let mut taken: Vec<(News, Option<Vec<RemoteMethod>>)> = Vec::with_capacity(customers.len());
        let mut places: HashMap<RemoteCustomerId, usize> = HashMap::with_capacity(customers.len());
        for customer in customers {
            let one = news_of(customer);
            match places.get(&one.0.id).and_then(|place| taken.get_mut(*place)) {
                Some(before) => *before = one,
                None => {
                    places.insert(one.0.id.clone(), taken.len());
                    taken.push(one);
                }
            }
        }
        taken.sort_unstable_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let mut inline = Vec::new();
        let mut news = Vec::with_capacity(taken.len());
        for (one, methods) in taken {
            if let Some(methods) = methods.filter(|_| !one.deleted) {
                inline.push((one.id.clone(), methods));
            }
            news.push(one);
        }
        (Self { news, as_of, guard }, inline)
    }

    /// Drops customers that were read while an effect of theirs was open, with what came inline; how
    /// many.
    pub(crate) fn drop_open(
        &mut self,
        open: &OpenEffects,
        inline: &mut Vec<(RemoteCustomerId, Vec<RemoteMethod>)>,
    ) -> u64 {
        let (dropped, kept) = std::mem::take(&mut self.news)
            .into_iter()
            .partition(|news: &News| open.has(&news.id, news.reference.as_deref()));
        self.news = kept;
        let dropped: HashSet<RemoteCustomerId> = dropped.into_iter().map(|news| news.id).collect();
        inline.retain(|(id, _)| !dropped.contains(id));
        dropped.len() as u64
    }

    /// The ids whose mirror rows are needed, sorted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &RemoteCustomerId> {
        self.news.iter().map(|news| &news.id)
    }

    /// The canonical customers that the plan needs.
    pub(crate) fn needs(
        &self,
        context: &Context,
        mirror: &HashMap<RemoteCustomerId, MirrorCustomer>,
    ) -> CustomerNeeds {
        let mut needs = CustomerNeeds::default();
        for news in &self.news {
            let row = mirror.get(&news.id);
            let changed = |row| news.standing(self.guard, self.as_of, row) == Standing::Changed;
            if !row.is_none_or(changed) {
                continue;
            }
            if let Some(customer) = row.and_then(|row| row.customer.as_ref()) {
                needs.ids.insert(customer.clone());
            } else if !news.deleted {
                needs.references.extend(news.linking_reference().cloned());
                let by_email = context.match_by_email.then(|| email_key(&news.profile)).flatten();
                needs.emails.extend(by_email);
            }
        }
        needs
    }

    /// What is to be written, given the mirror rows of [`Self::ids`] and the canonical customers
    /// of [`Self::needs`].
    pub(crate) fn plan(
        self,
        context: &Context,
        mirror: &HashMap<RemoteCustomerId, MirrorCustomer>,
        canonical: Vec<CanonicalCustomer>,
    ) -> Result<CustomerPlan, StoreError> {
        let mut work = Work {
            context,
            single: Sources::of_one(&context.account, self.as_of),
            known: Known::of(&canonical),
            canonical: canonical.into_iter().map(|c| (c.id.clone(), c)).collect(),
            adopted: HashMap::new(),
            dirty: BTreeSet::new(),
            plan: CustomerPlan::default(),
        };
        work.plan.counts.seen = self.news.len() as u64;
        work.plan.mirrors.reserve(self.news.len());
        // A reference freed by a deletion can be taken up by another customer of the same write.
        let (gone, rest): (Vec<_>, Vec<_>) = self.news.into_iter().partition(|news| news.deleted);
        for news in gone.into_iter().chain(rest) {
            work.one(news, self.guard, self.as_of, mirror)?;
        }
        work.recompute()?;
        let mut plan = work.plan;
        plan.mirrors.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        plan.customers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(plan)
    }
}

struct Work<'a> {
    context: &'a Context,
    /// `sources` of a record that this account alone describes.
    single: String,
    known: Known,
    canonical: HashMap<CustomerId, CanonicalCustomer>,
    /// References that existing records take on.
    adopted: HashMap<CustomerId, String>,
    dirty: BTreeSet<CustomerId>,
    plan: CustomerPlan,
}

impl Work<'_> {
    fn one(
        &mut self,
        news: News,
        guard: Guard,
        as_of: Timestamp,
        mirror: &HashMap<RemoteCustomerId, MirrorCustomer>,
    ) -> Result<(), StoreError> {
        let Some(row) = mirror.get(&news.id) else {
            self.plan.counts.created += 1;
            self.plan.new.push(news.id.clone());
            return self.write(news, as_of, None);
        };
        let standing = news.standing(guard, as_of, row);
        if let Some(customer) = row.customer.clone().filter(|_| standing != Standing::Changed) {
            self.plan.links.insert(news.id.clone(), customer);
        }
        match standing {
            Standing::Stale => self.plan.counts.stale += 1,
            Standing::Same => {
                self.plan.counts.unchanged += 1;
                let touches = if news.inline {
                    &mut self.plan.touches_inline
                } else {
                    &mut self.plan.touches
                };
                touches.push(news.id);
            }
            Standing::Changed => {
                self.plan.counts.updated += 1;
                let (id, deleted) = (news.id.clone(), news.deleted);
                let changes = changes(&news, row)?;
                self.write(news, as_of.max(row.as_of), Some(row))?;
                let subject = row.customer.as_ref().or_else(|| self.plan.links.get(&id));
                if let Some(subject) = subject {
                    let subject_id = subject.to_string();
                    self.plan.changes.extend(changes.into_iter().map(|(field, before, after)| {
                        let subject_id = subject_id.clone();
                        Change { subject: "customer", subject_id, field, before, after, line: None }
                    }));
                }
                if deleted {
                    self.plan.counts.removed += 1;
                    self.plan.removed.push(id);
                }
            }
        }
        Ok(())
    }

    /// Plans the mirror row, its link, and what follows for the canonical record.
    fn write(
        &mut self,
        news: News,
        as_of: Timestamp,
        row: Option<&MirrorCustomer>,
    ) -> Result<(), StoreError> {
        let link = row.and_then(|row| row.customer.clone());
        let (customer, linked_by) = match link {
            Some(customer) => {
                self.revote(&customer, &news, as_of);
                (Some(customer), None)
            }
            // Deleted and never linked: it says nothing of anybody (rule 2).
            None if news.deleted => (None, None),
            None => {
                let (customer, by) = self.link(&news, as_of)?;
                (Some(customer), Some(by))
            }
        };
        if let Some(customer) = customer.clone().filter(|_| !news.deleted) {
            self.plan.links.insert(news.id.clone(), customer);
        }
        // A tombstone need not repeat the profile: what was known last stays.
        let kept = row.filter(|_| news.deleted);
        self.plan.mirrors.push(MirrorCustomerRow {
            reference: kept.map_or(news.reference, |row| row.reference.clone()),
            profile: kept.map_or(news.json, |row| row.profile.clone()),
            hash: kept.map_or(news.hash, |row| row.hash),
            state: if news.deleted { MirrorState::Removed } else { MirrorState::Live },
            as_of,
            remote_created_at: news.created_at,
            removed_at: news.deleted.then_some(self.context.now),
            methods_read_at: news.inline.then_some(as_of),
            id: news.id,
            customer,
            linked_by,
        });
        Ok(())
    }

    /// Links a customer that has no link: to the record that [`Known::place`] finds, else to a new
    /// one.
    fn link(
        &mut self,
        news: &News,
        as_of: Timestamp,
    ) -> Result<(CustomerId, &'static str), StoreError> {
        Ok(match self.known.place(self.context, &self.canonical, news)? {
            Place::Record { id, adopts, by } => {
                self.revote(&id, news, as_of);
                if let Some(reference) = adopts {
                    self.known.refer(reference.clone(), id.clone());
                    self.adopted.insert(id.clone(), reference);
                }
                (id, by)
            }
            Place::Own { reference, by } => (self.create(news, reference), by),
        })
    }

    /// A linked customer says something else now.
    fn revote(&mut self, customer: &CustomerId, news: &News, as_of: Timestamp) {
        let account = &self.context.account;
        let vote = self.vote(news, as_of);
        if let Some(record) = self.canonical.get_mut(customer) {
            record.votes.retain(|v| !(v.account == *account && v.customer == news.id));
            record.votes.extend(Some(vote).filter(|_| !news.deleted));
            self.dirty.insert(customer.clone());
        }
    }

    fn vote(&self, news: &News, as_of: Timestamp) -> Vote<Profile> {
        Vote {
            rank: self.context.rank,
            account: self.context.account.clone(),
            customer: news.id.clone(),
            method: String::new(),
            as_of,
            content: news.profile.clone(),
        }
    }

    fn create(&mut self, news: &News, reference: Option<String>) -> CustomerId {
        let id = CustomerId::generate();
        let email_key = email_key(&news.profile);
        self.known.made(reference.clone(), email_key.clone());
        self.plan.customers.push(CustomerRow {
            id: id.clone(),
            reference,
            email_key,
            profile: news.json.clone(),
            sources: self.single.clone(),
            hash: news.hash,
        });
        self.plan.fresh.insert(id.clone());
        id
    }

    /// Recomputes the existing records whose votes moved. One that lost its last live mirror
    /// keeps what was known.
    fn recompute(&mut self) -> Result<(), StoreError> {
        for id in std::mem::take(&mut self.dirty) {
            let Some(record) = self.canonical.get(&id).filter(|r| !r.votes.is_empty()) else {
                continue;
            };
            let file = FileFields::of(&record.sources)?;
            let row = row_of(record, file.as_ref(), self.context.file_rank);
            let reference = self.adopted.remove(&id);
            if reference.is_some() || is_news(record, &row) {
                self.plan.customers.push(CustomerRow { reference, ..row });
            }
        }
        Ok(())
    }
}

type FieldChange = (String, Option<String>, Option<String>);

fn changes(news: &News, row: &MirrorCustomer) -> Result<Vec<FieldChange>, StoreError> {
    let mut changes = Vec::new();
    let state = if news.deleted { MirrorState::Removed } else { MirrorState::Live };
    if state != row.state {
        let [before, after] = [row.state, state].map(|state| Some(state.as_str().to_owned()));
        changes.push(("state".to_owned(), before, after));
    }
    if !news.deleted {
        if news.reference != row.reference {
            let (before, after) = (row.reference.clone(), news.reference.clone());
            changes.push(("reference".to_owned(), before, after));
        }
        if news.hash != row.hash {
            let before: Profile = from_json("a profile", &row.profile)?;
            changes.extend(profile_changes(&before, &news.profile));
        }
    }
    Ok(changes)
}

#[cfg(test)]
#[path = "customers_tests.rs"]
mod tests;
