//! The data of one merchant: its book of customers, and what was saved with which token.

use super::Config;
use crate::accounts::Holder;
use crate::book::{Book, Entry, Rules, Taken, Tombstones};
use crate::seeded;
use crate::view::{self, CustomerView, MethodKind, MethodView};
use std::collections::{BTreeMap, HashMap};

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
    mixed_prefix: bool,
    first_is_default: bool,
    pub(super) book: Book<Customer>,
    /// Permanent token to the methods that were saved with it: (customer's id, method's id).
    tokens: HashMap<String, Vec<(String, String)>>,
    methods: usize,
}

impl Merchant {
    pub(super) fn new(seed: u64, account: &str, config: &Config) -> Self {
        let rules = Rules {
            ignore_case: config.references_ignore_case,
            unique: true,
            tombstones: Tombstones::NONE,
        };
        Self {
            seed,
            account: account.to_owned(),
            mixed_prefix: config.shape.mixed_method_prefix,
            first_is_default: config.first_method_is_default,
            book: Book::new(rules),
            tokens: HashMap::new(),
            methods: 0,
        }
    }

    /// The seed and the account's name, for whoever fills it.
    pub(super) fn origin(&self) -> (u64, &str) {
        (self.seed, &self.account)
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Customer> {
        self.book.get(uid)
    }

    /// Saves a customer. Its id depends on seed, account and reference, not on the order of calls.
    pub(super) fn create(
        &mut self,
        reference: Option<String>,
        name: Option<String>,
        email: Option<String>,
        created: i64,
    ) -> Result<&Customer, Taken> {
        let uid = self.book.fresh_id(reference.as_deref(), |named, n| {
            let parts = ["customer", &self.account, named, &n.to_string()];
            format!("cus_{}", seeded::id(self.seed, &parts))
        });
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
        self.book.add(customer).map(|customer| &*customer)
    }

    /// Changes the stated fields; false if there is no such customer.
    pub(super) fn edit(
        &mut self,
        uid: &str,
        reference: Option<String>,
        name: Option<String>,
        email: Option<String>,
    ) -> Result<bool, Taken> {
        if let Some(reference) = reference {
            self.book.refer(uid, reference)?;
        }
        let Some(customer) = self.book.get_mut(uid) else { return Ok(false) };
        customer.name = name.or(customer.name.take());
        customer.email = email.or(customer.email.take());
        Ok(true)
    }

    /// Deletes a customer with its methods.
    pub(super) fn delete(&mut self, uid: &str) -> bool {
        let Some(customer) = self.book.delete(uid) else { return false };
        for method in &customer.methods {
            self.forget_token(&method.token, &method.uid);
        }
        self.methods -= customer.methods.len();
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
        let customer = self.book.get_mut(uid)?;
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
        let saved = self.tokens.entry(method.token.clone()).or_default();
        saved.push((uid.to_owned(), method.uid.clone()));
        self.methods += 1;
        Some(method)
    }

    /// The method that was first saved with this token: under this customer, else under another.
    pub(super) fn saved_with(&self, uid: &str, token: &str) -> (Option<&str>, Option<&str>) {
        let saved = self.tokens.get(token).map(Vec::as_slice).unwrap_or_default();
        let first = |own: bool| {
            saved.iter().find(|(owner, _)| (owner == uid) == own).map(|(_, m)| m.as_str())
        };
        (first(true), first(false))
    }

    /// Changes one method of a customer; none if either is missing.
    pub(super) fn edit_method(&mut self, uid: &str, method: &str) -> Option<&mut Facts> {
        let customer = self.book.get_mut(uid)?;
        customer.methods.iter_mut().find(|m| m.uid == method).map(|m| &mut m.facts)
    }

    /// Sets or takes away the default; false if customer or method is missing.
    pub(super) fn set_default(&mut self, uid: &str, method: Option<&str>) -> bool {
        let Some(customer) = self.book.get_mut(uid) else { return false };
        if method.is_some_and(|wanted| !customer.methods.iter().any(|m| m.uid == wanted)) {
            return false;
        }
        customer.default = method.map(str::to_owned);
        true
    }

    /// Removes a method; its customer has no default then if it was the default.
    pub(super) fn remove(&mut self, uid: &str, method: &str) -> bool {
        let Some(customer) = self.book.get_mut(uid) else { return false };
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
}

impl Holder for Merchant {
    type Customer = Customer;

    fn book(&self) -> &Book<Customer> {
        &self.book
    }

    fn method_count(&self) -> usize {
        self.methods
    }
}

impl Entry for Customer {
    fn id(&self) -> &str {
        &self.uid
    }

    fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    fn set_reference(&mut self, reference: String) {
        self.reference = Some(reference);
    }

    fn view(&self) -> CustomerView {
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
        let mut view = MethodView {
            is_default: default == Some(&self.uid),
            token_sha256: view::token_sha256(&self.token),
            ..MethodView::bare(&self.uid, MethodKind::Card)
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
