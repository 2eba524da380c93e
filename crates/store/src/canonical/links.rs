//! Plans what a person links elsewhere (rule 8): whole customers, their payment methods with them.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    AccountName, Agreement, CustomerId, MethodFacts, MethodId, RemoteCustomerId, RemoteMethodId,
    Timestamp,
};

use super::customers::{CanonicalCustomer, CustomerNeeds, CustomerRow, MirrorCustomer, email_key};
use super::kept::recomputed;
use super::merge::Sources;
use super::methods::{CanonicalMethod, Key, MethodRow, MirrorMethod, recomputed_method};
use super::{Change, Context, FileFields, Guard, MirrorState, Vote, from_json};
use crate::StoreError;
use crate::decode::{as_id, unsigned};
use crate::links::{LinkMove, LinkMoved, LinkRefused, LinkTo, MethodMoved};

/// The rows that bear on it.
#[derive(Debug, Default)]
pub(crate) struct LinkRows {
    /// The mirror rows of the customers to be moved.
    pub mirror: HashMap<RemoteCustomerId, MirrorCustomer>,
    /// The records they are linked to, and those they are to be linked to.
    pub records: Vec<CanonicalCustomer>,
    /// Which of these are of the account's namespace, and not erased.
    pub near: HashSet<CustomerId>,
    /// How many mirror rows, live or not, are linked to each.
    pub linked: HashMap<CustomerId, u64>,
    /// The mirror rows of their payment methods.
    pub methods: HashMap<Key, MirrorMethod>,
    /// The payment methods of the records.
    pub method_records: Vec<CanonicalMethod>,
    /// Whose payment methods, live or not, are linked to each.
    pub method_owners: HashMap<MethodId, HashSet<(AccountName, RemoteCustomerId)>>,
}

/// Namespace, rank, whether e-mail addresses link, and the file's rank.
pub(crate) type PersonCells = (String, i64, i64, Option<i64>);
/// A payment method, and an account and a customer of it that it is linked to.
pub(crate) type OwnerCells = (String, String, String);

impl Context {
    /// Of what a person links at an account.
    pub(crate) fn of_person(account: &AccountName, cells: PersonCells, now: Timestamp) -> Self {
        let (namespace, rank, by_email, file) = cells;
        let place = |rank| u32::try_from(unsigned(rank)).unwrap_or(u32::MAX);
        Self {
            account: account.clone(),
            namespace,
            match_by_email: by_email != 0,
            rank: place(rank),
            file_rank: file.map_or(u32::MAX, place),
            cause: "person".to_owned(),
            run: None,
            now,
            guard: Guard::Answer,
        }
    }
}

impl LinkRows {
    /// The records that the moves are from and to.
    pub(crate) fn needs(
        mirror: &HashMap<RemoteCustomerId, MirrorCustomer>,
        moves: &[LinkMove],
    ) -> CustomerNeeds {
        let mut needs = CustomerNeeds::default();
        needs.ids.extend(mirror.values().filter_map(|row| row.customer.clone()));
        for one in moves {
            match &one.to {
                LinkTo::Own => {}
                LinkTo::Customer(id) => needs.ids.extend([id.clone()]),
                LinkTo::Reference(text) => needs.references.extend([text.to_string()]),
            }
        }
        needs
    }

    /// [`Self::linked`], from its rows.
    pub(crate) fn linked_of(
        rows: Vec<(String, i64)>,
    ) -> Result<HashMap<CustomerId, u64>, StoreError> {
        rows.into_iter().map(|(id, count)| Ok((as_id(id)?, unsigned(count)))).collect()
    }

    /// [`Self::method_owners`], from its rows.
    pub(crate) fn owners_of(
        rows: Vec<OwnerCells>,
    ) -> Result<HashMap<MethodId, HashSet<(AccountName, RemoteCustomerId)>>, StoreError> {
        let mut owners: HashMap<MethodId, HashSet<_>> = HashMap::new();
        for (method, account, customer) in rows {
            let owner = (as_id(account)?, as_id(customer)?);
            owners.entry(as_id(method)?).or_default().insert(owner);
        }
        Ok(owners)
    }
}

/// What is to be written; records go first.
#[derive(Debug, Default)]
pub(crate) struct LinkPlan {
    pub customers: Vec<CustomerRow>,
    pub methods: Vec<MethodRow>,
    /// Records of payment methods that go along to another customer.
    pub along: Vec<(MethodId, CustomerId)>,
    pub links: Vec<(RemoteCustomerId, CustomerId)>,
    pub method_links: Vec<(Key, Option<MethodId>)>,
    pub changes: Vec<Change>,
}

/// What is to be written for these moves, and what became of each. If one is refused nothing is
/// written. Each is judged by the links as they are, so that their order means nothing.
pub(crate) fn link(
    context: &Context,
    rows: LinkRows,
    moves: Vec<LinkMove>,
) -> Result<(LinkPlan, Vec<Result<LinkMoved, LinkRefused>>), StoreError> {
    let mut keys: Vec<Key> = rows.methods.keys().cloned().collect();
    keys.sort_unstable();
    let mut there: HashMap<CustomerId, Vec<RemoteCustomerId>> = HashMap::new();
    for record in &rows.records {
        let ours = record.votes.iter().filter(|vote| vote.account == context.account);
        there.entry(record.id.clone()).or_default().extend(ours.map(|vote| vote.customer.clone()));
    }
    let mut work = Work {
        context,
        there,
        mirror: rows.mirror,
        records: rows.records.into_iter().map(|record| (record.id.clone(), record)).collect(),
        near: rows.near,
        linked: rows.linked,
        keys,
        methods: rows.methods,
        method_records: rows.method_records.into_iter().map(|m| (m.id.clone(), m)).collect(),
        method_owners: rows.method_owners,
        claimed: HashMap::new(),
        dirty: BTreeSet::new(),
        dirty_methods: BTreeSet::new(),
        plan: LinkPlan::default(),
    };
    let mut answers = Vec::with_capacity(moves.len());
    for one in moves {
        answers.push(work.one(one)?);
    }
    if answers.iter().any(Result::is_err) {
        return Ok((LinkPlan::default(), answers));
    }
    work.recompute()?;
    Ok((work.plan, answers))
}

struct Work<'a> {
    context: &'a Context,
    /// The live customers of the account that are linked to each record before any of these moves.
    there: HashMap<CustomerId, Vec<RemoteCustomerId>>,
    mirror: HashMap<RemoteCustomerId, MirrorCustomer>,
    records: HashMap<CustomerId, CanonicalCustomer>,
    near: HashSet<CustomerId>,
    linked: HashMap<CustomerId, u64>,
    /// Of `methods`, sorted.
    keys: Vec<Key>,
    methods: HashMap<Key, MirrorMethod>,
    method_records: HashMap<MethodId, CanonicalMethod>,
    method_owners: HashMap<MethodId, HashSet<(AccountName, RemoteCustomerId)>>,
    /// Who goes where.
    claimed: HashMap<CustomerId, RemoteCustomerId>,
    dirty: BTreeSet<CustomerId>,
    dirty_methods: BTreeSet<MethodId>,
    plan: LinkPlan,
}

impl Work<'_> {
    fn one(&mut self, one: LinkMove) -> Result<Result<LinkMoved, LinkRefused>, StoreError> {
        let LinkMove { remote_customer: remote, to, methods: named } = one;
        let account = &self.context.account;
        let Some(row) = self.mirror.get(&remote).cloned() else {
            let account = account.clone();
            return Ok(Err(LinkRefused::NoSuchRemote { account, customer: remote }));
        };
        if row.state != MirrorState::Live {
            let account = account.clone();
            return Ok(Err(LinkRefused::NotLive { account, customer: remote }));
        }
        let target = match self.target(&row, &to, &remote) {
            Ok(target) => target,
            Err(refused) => return Ok(Err(refused)),
        };
        let before = row.customer.clone();
        let moves = before.as_ref() != target.as_ref();
        let after = match target {
            Some(id) if moves => {
                self.enter(&id, &remote, &row)?;
                id
            }
            Some(id) => id,
            None => self.own_record(&row)?,
        };
        if moves && let Some(before) = &before {
            self.leave(before, &remote);
        }
        let methods = match self.methods(&remote, &after, moves, &named)? {
            Ok(methods) => methods,
            Err(refused) => return Ok(Err(refused)),
        };
        if moves {
            for subject in before.iter().chain([&after]) {
                self.plan.changes.push(Change {
                    subject: "customer",
                    subject_id: subject.to_string(),
                    field: format!("link.{remote}"),
                    before: before.as_ref().map(ToString::to_string),
                    after: Some(after.to_string()),
                    line: None,
                });
            }
        }
        // Who is there already was put there by no person before: now one has said who it is.
        self.plan.links.push((remote.clone(), after.clone()));
        let reference = self.records.get(&after).and_then(|record| record.reference.clone());
        Ok(Ok(LinkMoved { remote_customer: remote, before, after, reference, methods }))
    }

    /// The record that is to be linked to; `None`: one that is still to be made.
    fn target(
        &mut self,
        row: &MirrorCustomer,
        to: &LinkTo,
        remote: &RemoteCustomerId,
    ) -> Result<Option<CustomerId>, LinkRefused> {
        let wanted = |record: &&CanonicalCustomer| match to {
            LinkTo::Own => false,
            LinkTo::Customer(id) => record.id == *id,
            LinkTo::Reference(text) => record.reference.as_deref() == Some(text.as_str()),
        };
        let text = match to {
            // Nobody else is there: it is its own already.
            LinkTo::Own => {
                let alone = |id: &&CustomerId| self.linked.get(*id).is_none_or(|all| *all <= 1);
                return Ok(row.customer.as_ref().filter(alone).cloned());
            }
            LinkTo::Customer(id) => id.to_string(),
            LinkTo::Reference(reference) => reference.to_string(),
        };
        let found =
            self.records.values().filter(|record| self.near.contains(&record.id)).find(wanted);
        let Some(record) = found else {
            let namespace = self.context.namespace.clone();
            return Err(LinkRefused::NoSuchCustomer { to: text, namespace });
        };
        let account = &self.context.account;
        let there = self.there.get(&record.id).map(Vec::as_slice).unwrap_or_default();
        let by = there.iter().find(|id| *id != remote).or_else(|| self.claimed.get(&record.id));
        let by = by.cloned();
        if let Some(by) = by {
            let (account, customer) = (account.clone(), record.id.clone());
            return Err(LinkRefused::Taken { account, customer, by });
        }
        let id = record.id.clone();
        self.claimed.insert(id.clone(), remote.clone());
        Ok(Some(id))
    }

    fn enter(
        &mut self,
        id: &CustomerId,
        remote: &RemoteCustomerId,
        row: &MirrorCustomer,
    ) -> Result<(), StoreError> {
        let vote = Vote {
            rank: self.context.rank,
            account: self.context.account.clone(),
            customer: remote.clone(),
            method: String::new(),
            as_of: row.as_of,
            content: from_json("a profile", &row.profile)?,
        };
        if let Some(record) = self.records.get_mut(id) {
            record.votes.push(vote);
            self.dirty.insert(id.clone());
        }
        Ok(())
    }

    fn leave(&mut self, id: &CustomerId, remote: &RemoteCustomerId) {
        let account = &self.context.account;
        if let Some(record) = self.records.get_mut(id) {
            record.votes.retain(|vote| vote.account != *account || vote.customer != *remote);
            self.dirty.insert(id.clone());
        }
    }

    fn own_record(&mut self, row: &MirrorCustomer) -> Result<CustomerId, StoreError> {
        let id = CustomerId::generate();
        self.plan.customers.push(CustomerRow {
            id: id.clone(),
            reference: None,
            email_key: email_key(&from_json("a profile", &row.profile)?),
            profile: row.profile.clone(),
            sources: Sources::of_one(&self.context.account, row.as_of),
            hash: row.hash,
        });
        Ok(id)
    }

    /// The payment methods of a customer that is now linked to a record: those that a person named
    /// go where they were sent, then, if the customer moved, each of the others.
    fn methods(
        &mut self,
        remote: &RemoteCustomerId,
        customer: &CustomerId,
        moves: bool,
        named: &[(RemoteMethodId, MethodId)],
    ) -> Result<Result<Vec<MethodMoved>, LinkRefused>, StoreError> {
        let mut moved = Vec::new();
        let mut keys: Vec<Key> = self.keys.iter().filter(|key| key.0 == *remote).cloned().collect();
        for (id, to) in named {
            let place = keys.iter().position(|key| key.1 == *id);
            let key = place.map(|place| keys.remove(place));
            match self.named(remote, customer, key, id, to)? {
                Ok(one) => moved.extend(one),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        for key in keys.into_iter().filter(|_| moves) {
            moved.extend(self.unnamed(key, customer)?);
        }
        moved.sort_unstable_by(|a, b| a.remote_method.cmp(&b.remote_method));
        Ok(Ok(moved))
    }

    fn named(
        &mut self,
        remote: &RemoteCustomerId,
        customer: &CustomerId,
        key: Option<Key>,
        id: &RemoteMethodId,
        to: &MethodId,
    ) -> Result<Result<Option<MethodMoved>, LinkRefused>, StoreError> {
        let account = self.context.account.clone();
        let live = key
            .and_then(|key| Some((self.methods.get(&key)?.clone(), key)))
            .filter(|(row, _)| row.state == MirrorState::Live);
        let Some((row, key)) = live else {
            let (customer, method) = (remote.clone(), id.clone());
            return Ok(Err(LinkRefused::NoSuchRemoteMethod { account, customer, method }));
        };
        let record = self.method_records.get(to).filter(|record| record.customer == *customer);
        let method = to.clone();
        let Some(record) = record else {
            let customer = customer.to_string();
            return Ok(Err(LinkRefused::NoSuchMethod { customer, method }));
        };
        if record.facts.kind() != row.kind {
            return Ok(Err(LinkRefused::OtherKind { method }));
        }
        let is_other = |vote: &&Vote<MethodFacts>| {
            vote.account == account && (vote.customer != key.0 || vote.method != key.1.as_str())
        };
        if let Some(vote) = record.votes.iter().find(is_other) {
            let by = vote.method.clone();
            return Ok(Err(LinkRefused::MethodTaken { account, method, by }));
        }
        Ok(Ok(self.relink(&key, &row, Some(to.clone()))?))
    }

    /// A payment method goes to the one record of the customer that agrees by facts and has none of
    /// this account; else the record that it alone is linked to goes along with it; else it gets a
    /// new one. One that is gone tells nothing of anybody else's.
    fn unnamed(
        &mut self,
        key: Key,
        customer: &CustomerId,
    ) -> Result<Option<MethodMoved>, StoreError> {
        let Some(row) = self.methods.get(&key).cloned() else { return Ok(None) };
        let live = row.state == MirrorState::Live;
        if live && let Some(only) = self.agreeing(&row, customer)? {
            return self.relink(&key, &row, Some(only));
        }
        let own = (self.context.account.clone(), key.0.clone());
        let alone = |id: &&MethodId| {
            self.method_owners.get(*id).is_none_or(|owners| owners.iter().all(|o| *o == own))
        };
        if let Some(id) = row.method.as_ref().filter(alone).cloned() {
            let Some(record) = self.method_records.get_mut(&id) else { return Ok(None) };
            if record.customer == *customer {
                return Ok(None);
            }
            self.plan.changes.push(Change {
                subject: "method",
                subject_id: id.to_string(),
                field: "customer".to_owned(),
                before: Some(record.customer.to_string()),
                after: Some(customer.to_string()),
                line: None,
            });
            record.customer = customer.clone();
            self.plan.along.push((id.clone(), customer.clone()));
            let (before, after) = (Some(id.clone()), Some(id));
            return Ok(Some(MethodMoved { remote_method: key.1, before, after }));
        }
        if !live {
            return self.relink(&key, &row, None);
        }
        let id = MethodId::generate();
        self.plan.methods.push(MethodRow {
            id: id.clone(),
            customer: customer.clone(),
            kind: row.kind,
            facts: row.facts.clone(),
            sources: Sources::of_one(&self.context.account, row.as_of),
            hash: row.hash,
        });
        self.relink(&key, &row, Some(id))
    }

    fn agreeing(
        &self,
        row: &MirrorMethod,
        customer: &CustomerId,
    ) -> Result<Option<MethodId>, StoreError> {
        let facts: MethodFacts = from_json("facts", &row.facts)?;
        let mut agreeing = self
            .method_records
            .values()
            .filter(|record| record.customer == *customer)
            .filter(|record| record.facts.agreement(&facts) == Agreement::Agrees)
            .filter(|record| record.votes.iter().all(|v| v.account != self.context.account))
            .map(|record| record.id.clone());
        Ok(agreeing.next().filter(|_| agreeing.next().is_none()))
    }

    /// Links a payment method to another record, or to none.
    fn relink(
        &mut self,
        key: &Key,
        row: &MirrorMethod,
        to: Option<MethodId>,
    ) -> Result<Option<MethodMoved>, StoreError> {
        let before = row.method.clone();
        if before == to {
            return Ok(None);
        }
        let account = &self.context.account;
        if let Some(record) = before.as_ref().and_then(|id| self.method_records.get_mut(id)) {
            record.votes.retain(|vote| {
                vote.account != *account || vote.customer != key.0 || vote.method != key.1.as_str()
            });
            self.dirty_methods.insert(record.id.clone());
        }
        if let Some(record) = to.as_ref().and_then(|id| self.method_records.get_mut(id)) {
            record.votes.push(Vote {
                rank: self.context.rank,
                account: account.clone(),
                customer: key.0.clone(),
                method: key.1.as_str().to_owned(),
                as_of: row.as_of,
                content: from_json("facts", &row.facts)?,
            });
            self.dirty_methods.insert(record.id.clone());
        }
        for subject in before.iter().chain(&to) {
            self.plan.changes.push(Change {
                subject: "method",
                subject_id: subject.to_string(),
                field: format!("link.{}", key.1),
                before: before.as_ref().map(ToString::to_string),
                after: to.as_ref().map(ToString::to_string),
                line: None,
            });
        }
        self.plan.method_links.push((key.clone(), to.clone()));
        Ok(Some(MethodMoved { remote_method: key.1.clone(), before, after: to }))
    }

    /// Recomputes the records whose votes moved. One that nobody votes for any more keeps what was
    /// known.
    fn recompute(&mut self) -> Result<(), StoreError> {
        for id in std::mem::take(&mut self.dirty) {
            let Some(record) = self.records.get(&id).filter(|r| !r.votes.is_empty()) else {
                continue;
            };
            let file = FileFields::of(&record.sources)?;
            self.plan.customers.extend(recomputed(record, file.as_ref(), self.context.file_rank));
        }
        for id in std::mem::take(&mut self.dirty_methods) {
            self.plan.methods.extend(self.method_records.get(&id).and_then(recomputed_method));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
