//! The data of one merchant, with what makes each call quick: ids and references by hash map,
//! pages by a list in the order of creation.

use super::Config;
use crate::seeded;
use crate::view::{CustomerView, MethodKind, MethodView, StatePage};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

/// One saved method.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) uid: String,
    /// The permanent token.
    pub(super) token: String,
    pub(super) facts: Facts,
}

/// What is known of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Facts {
    Card(Card),
    Ach(Ach),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) last4: String,
    pub(super) exp_month: i64,
    pub(super) exp_year: i64,
    pub(super) bin: Option<String>,
    pub(super) brand: Option<String>,
    pub(super) holder: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ach {
    pub(super) suffix: String,
    pub(super) routing: Option<String>,
    pub(super) account_type: Option<String>,
    pub(super) bank: Option<String>,
    pub(super) holder: Option<String>,
}

/// One customer.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) uid: String,
    pub(super) reference: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) default: Option<String>,
    pub(super) methods: Vec<Method>,
    /// Methods ever saved, so that an id never comes twice.
    saved: u64,
}

/// A merchant's customers.
#[derive(Debug)]
pub(super) struct Merchant {
    seed: u64,
    account: String,
    ignore_case: bool,
    mixed_prefix: bool,
    first_is_default: bool,
    slots: Vec<Option<Customer>>,
    by_uid: HashMap<String, usize>,
    by_reference: HashMap<String, usize>,
    /// By reference, then id: the order of the admin door, the same however calls were mixed.
    sorted: BTreeMap<(String, String), usize>,
    /// Live slots, oldest first. It rises, so that it can be searched.
    order: Vec<usize>,
    /// Permanent token to the methods that were saved with it: (slot, method's id).
    tokens: HashMap<String, Vec<(usize, String)>>,
    /// Ids of deleted customers.
    retired: HashSet<String>,
    methods: usize,
}

/// A reference is taken.
#[derive(Debug)]
pub(super) struct Taken;

impl Merchant {
    pub(super) fn new(seed: u64, account: &str, config: &Config) -> Self {
        Self {
            seed,
            account: account.to_owned(),
            ignore_case: config.references_ignore_case,
            mixed_prefix: config.shape.mixed_method_prefix,
            first_is_default: config.first_method_is_default,
            slots: Vec::new(),
            by_uid: HashMap::new(),
            by_reference: HashMap::new(),
            sorted: BTreeMap::new(),
            order: Vec::new(),
            tokens: HashMap::new(),
            retired: HashSet::new(),
            methods: 0,
        }
    }

    /// Customers.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Saved methods of all customers.
    pub(super) fn method_count(&self) -> usize {
        self.methods
    }

    /// The seed and the account's name, for whoever fills it.
    pub(super) fn origin(&self) -> (u64, &str) {
        (self.seed, &self.account)
    }

    fn key(&self, reference: &str) -> String {
        if self.ignore_case { reference.to_lowercase() } else { reference.to_owned() }
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Customer> {
        self.slots.get(*self.by_uid.get(uid)?)?.as_ref()
    }

    fn get_mut(&mut self, uid: &str) -> Option<(usize, &mut Customer)> {
        let slot = *self.by_uid.get(uid)?;
        Some((slot, self.slots.get_mut(slot)?.as_mut()?))
    }

    /// As the vendor finds it: perhaps without regard to case.
    pub(super) fn by_reference(&self, reference: &str) -> Option<&Customer> {
        self.slots.get(*self.by_reference.get(&self.key(reference))?)?.as_ref()
    }

    /// Newest first.
    pub(super) fn newest(&self, skip: usize) -> impl Iterator<Item = &Customer> {
        self.order.iter().rev().skip(skip).filter_map(|&slot| self.slots.get(slot)?.as_ref())
    }

    /// Saves a customer. Its id depends on seed, account and reference, not on the order of calls.
    pub(super) fn create(
        &mut self,
        reference: Option<String>,
        name: Option<String>,
        email: Option<String>,
        created: i64,
    ) -> Result<&Customer, Taken> {
        let slot = self.slots.len();
        if reference.as_deref().is_some_and(|r| self.by_reference.contains_key(&self.key(r))) {
            return Err(Taken);
        }
        let named = reference.clone().unwrap_or_else(|| format!("#{slot}"));
        let uid = (0_u64..)
            .map(|n| {
                let parts = ["customer", &self.account, &named, &n.to_string()];
                format!("cus_{}", seeded::id(self.seed, &parts))
            })
            .find(|uid| !self.by_uid.contains_key(uid) && !self.retired.contains(uid))
            .unwrap_or_default();
        self.by_uid.insert(uid.clone(), slot);
        if let Some(reference) = &reference {
            self.by_reference.insert(self.key(reference), slot);
        }
        self.sorted.insert((reference.clone().unwrap_or_default(), uid.clone()), slot);
        self.order.push(slot);
        let customer = Customer {
            uid,
            reference,
            name,
            email,
            created,
            default: None,
            methods: Vec::new(),
            saved: 0,
        };
        self.slots.push(None);
        self.slots.get_mut(slot).map(|place| &*place.insert(customer)).ok_or(Taken)
    }

    /// Changes the stated fields; false if there is no such customer.
    pub(super) fn edit(
        &mut self,
        uid: &str,
        reference: Option<String>,
        name: Option<String>,
        email: Option<String>,
    ) -> Result<bool, Taken> {
        let Some(&slot) = self.by_uid.get(uid) else { return Ok(false) };
        if let Some(reference) = reference {
            let key = self.key(&reference);
            if self.by_reference.get(&key).is_some_and(|&owner| owner != slot) {
                return Err(Taken);
            }
            let old = self.get(uid).and_then(|c| c.reference.clone());
            if let Some(old) = &old {
                self.by_reference.remove(&self.key(old));
            }
            self.sorted.remove(&(old.unwrap_or_default(), uid.to_owned()));
            self.by_reference.insert(key, slot);
            self.sorted.insert((reference.clone(), uid.to_owned()), slot);
            if let Some((_, customer)) = self.get_mut(uid) {
                customer.reference = Some(reference);
            }
        }
        if let Some((_, customer)) = self.get_mut(uid) {
            customer.name = name.or(customer.name.take());
            customer.email = email.or(customer.email.take());
        }
        Ok(true)
    }

    /// Deletes a customer with its methods.
    pub(super) fn delete(&mut self, uid: &str) -> bool {
        let Some(slot) = self.by_uid.remove(uid) else { return false };
        let Some(customer) = self.slots.get_mut(slot).and_then(Option::take) else { return false };
        if let Some(reference) = &customer.reference {
            self.by_reference.remove(&self.key(reference));
        }
        self.sorted.remove(&(customer.reference.unwrap_or_default(), customer.uid.clone()));
        if let Ok(at) = self.order.binary_search(&slot) {
            self.order.remove(at);
        }
        for method in &customer.methods {
            self.forget_token(&method.token, &method.uid);
        }
        self.methods -= customer.methods.len();
        self.retired.insert(customer.uid);
        true
    }

    /// Saves a method; without a token one is made. None if there is no such customer.
    pub(super) fn save(
        &mut self,
        uid: &str,
        facts: Facts,
        token: Option<String>,
        default: bool,
    ) -> Option<Method> {
        let (seed, mixed, first_is_default) = (self.seed, self.mixed_prefix, self.first_is_default);
        let (slot, customer) = self.get_mut(uid)?;
        customer.saved += 1;
        let id = seeded::id(seed, &["method", uid, &customer.saved.to_string()]);
        let upper = mixed && seeded::hash(seed, &["prefix", &id]).is_multiple_of(2);
        let method = Method {
            uid: format!("{}_{id}", if upper { "SPM" } else { "spm" }),
            token: token.unwrap_or_else(|| format!("ptk_{}", seeded::id(seed, &["token", &id]))),
            facts,
        };
        if default || (first_is_default && customer.methods.is_empty()) {
            customer.default = Some(method.uid.clone());
        }
        customer.methods.push(method.clone());
        self.tokens.entry(method.token.clone()).or_default().push((slot, method.uid.clone()));
        self.methods += 1;
        Some(method)
    }

    /// The method that was first saved with this token: under this customer, else under another.
    pub(super) fn saved_with(&self, uid: &str, token: &str) -> (Option<&str>, Option<&str>) {
        let slot = self.by_uid.get(uid);
        let saved = self.tokens.get(token).map(Vec::as_slice).unwrap_or_default();
        let first = |own: bool| {
            saved.iter().find(|(owner, _)| (Some(owner) == slot) == own).map(|(_, m)| m.as_str())
        };
        (first(true), first(false))
    }

    /// Changes one method of a customer; none if either is missing.
    pub(super) fn edit_method(&mut self, uid: &str, method: &str) -> Option<&mut Facts> {
        let (_, customer) = self.get_mut(uid)?;
        customer.methods.iter_mut().find(|m| m.uid == method).map(|m| &mut m.facts)
    }

    /// Sets or takes away the default; false if customer or method is missing.
    pub(super) fn set_default(&mut self, uid: &str, method: Option<&str>) -> bool {
        let Some((_, customer)) = self.get_mut(uid) else { return false };
        if method.is_some_and(|wanted| !customer.methods.iter().any(|m| m.uid == wanted)) {
            return false;
        }
        customer.default = method.map(str::to_owned);
        true
    }

    /// Removes a method; its customer has no default then if it was the default.
    pub(super) fn remove(&mut self, uid: &str, method: &str) -> bool {
        let Some((_, customer)) = self.get_mut(uid) else { return false };
        let Some(at) = customer.methods.iter().position(|m| m.uid == method) else { return false };
        let gone = customer.methods.remove(at);
        customer.default.take_if(|default| *default == gone.uid);
        self.forget_token(&gone.token, &gone.uid);
        self.methods -= 1;
        true
    }

    fn forget_token(&mut self, token: &str, method: &str) {
        if let Some(saved) = self.tokens.get_mut(token) {
            saved.retain(|(_, uid)| uid != method);
            if saved.is_empty() {
                self.tokens.remove(token);
            }
        }
    }

    /// A page for the admin door. The cursor is the last customer's id.
    pub(super) fn page(&self, account: &str, after: Option<&str>, limit: usize) -> StatePage {
        // A cursor whose customer was deleted begins again at the top.
        let from = after.and_then(|uid| self.get(uid)).map_or(Bound::Unbounded, |c| {
            Bound::Excluded((c.reference.clone().unwrap_or_default(), c.uid.clone()))
        });
        let mut rows = self.sorted.range((from, Bound::Unbounded)).map(|(_, slot)| *slot);
        let customers: Vec<CustomerView> = rows
            .by_ref()
            .take(limit)
            .filter_map(|slot| Some(self.slots.get(slot)?.as_ref()?.view()))
            .collect();
        let more = rows.next().is_some();
        let next = customers.last().filter(|_| more).map(|c| c.id.clone());
        StatePage { account: account.to_owned(), customers, next }
    }
}

impl Customer {
    pub(super) fn view(&self) -> CustomerView {
        CustomerView {
            id: self.uid.clone(),
            reference: self.reference.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            fields: BTreeMap::new(),
            deleted: false,
            default_method: self.default.clone(),
            methods: self.methods.iter().map(|m| m.view(self.default.as_ref())).collect(),
        }
    }
}

impl Method {
    fn view(&self, default: Option<&String>) -> MethodView {
        let digest = hex::encode(Sha256::digest(self.token.as_bytes()));
        let mut view = MethodView {
            id: self.uid.clone(),
            kind: MethodKind::Card,
            last4: String::new(),
            exp_month: None,
            exp_year: None,
            brand: None,
            bin: None,
            holder_name: None,
            routing_number: None,
            account_type: None,
            bank_name: None,
            chain_id: None,
            wallet_address: None,
            is_default: default == Some(&self.uid),
            token_sha256: digest.chars().take(12).collect(),
        };
        match self.facts.clone() {
            Facts::Card(card) => {
                view.last4 = card.last4;
                view.exp_month = Some(card.exp_month);
                view.exp_year = Some(card.exp_year);
                view.brand = card.brand;
                view.bin = card.bin;
                view.holder_name = card.holder;
            }
            Facts::Ach(ach) => {
                view.kind = MethodKind::Ach;
                view.last4 = ach.suffix;
                view.routing_number = ach.routing;
                view.account_type = ach.account_type;
                view.bank_name = ach.bank;
                view.holder_name = ach.holder;
            }
        }
        view
    }
}
