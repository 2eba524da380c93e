//! The data of one merchant: its book of customers with their wallets.

use super::Config;
use super::config::ReferenceField;
use super::person::{Address, Person};
use super::token::Facts;
use crate::accounts::Holder;
use crate::book::{Book, Entry, Rules, Taken, Tombstones};
use crate::seeded;
use crate::view::{CustomerView, MethodKind, MethodView, token_sha256};

/// One entry of a wallet.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) id: String,
    /// The token or the transaction that it was made from.
    source: String,
    pub(super) facts: Facts,
    pub(super) address: Option<Address>,
    /// Unix seconds.
    pub(super) created: i64,
}

/// A new entry of a wallet.
pub(super) struct NewEntry {
    pub(super) facts: Facts,
    /// The token or the transaction; one is made up if absent.
    pub(super) source: Option<String>,
    pub(super) address: Option<Address>,
    pub(super) default: bool,
    /// Unix seconds.
    pub(super) created: i64,
}

/// One customer.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) person: Person,
    reference_field: ReferenceField,
    pub(super) default: Option<String>,
    /// Oldest first.
    pub(super) wallet: Vec<Method>,
    /// Entries ever saved, so that an id never comes twice.
    saved: u64,
}

/// A merchant's customers.
#[derive(Debug)]
pub(super) struct Merchant {
    seed: u64,
    account: String,
    reference_field: ReferenceField,
    wallet_size: usize,
    first_is_default: bool,
    pub(super) book: Book<Customer>,
    methods: usize,
}

/// Why nothing was saved.
#[derive(Debug)]
pub(super) enum NotSaved {
    NoCustomer,
    Full,
}

impl Merchant {
    pub(super) fn new(seed: u64, account: &str, config: &Config) -> Self {
        let rules = Rules { ignore_case: false, unique: false, tombstones: Tombstones::NONE };
        Self {
            seed,
            account: account.to_owned(),
            reference_field: config.reference_field,
            wallet_size: config.wallet_size,
            first_is_default: config.first_method_is_default,
            book: Book::new(rules),
            methods: 0,
        }
    }

    /// The seed and the account's name, for whoever fills it.
    pub(super) fn origin(&self) -> (u64, &str) {
        (self.seed, &self.account)
    }

    /// The field that carries the client's reference.
    pub(super) fn reference_field(&self) -> ReferenceField {
        self.reference_field
    }

    /// Saves a customer; a reference may come again. The id depends on seed, account, reference and
    /// how often that came, not on the order of calls.
    pub(super) fn create(&mut self, person: Person) -> Result<&Customer, Taken> {
        let id = self.book.fresh_id(person.reference(self.reference_field), |named, n| {
            seeded::uuid(self.seed, &["customer", &self.account, named, &n.to_string()])
        });
        let customer = Customer {
            id,
            person,
            reference_field: self.reference_field,
            default: None,
            wallet: Vec::new(),
            saved: 0,
        };
        self.book.add(customer).map(|customer| &*customer)
    }

    /// Deletes a customer with its wallet.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let Some(customer) = self.book.delete(id) else { return false };
        self.methods -= customer.wallet.len();
        true
    }

    /// Saves an entry and answers its id.
    pub(super) fn save(&mut self, id: &str, new: NewEntry) -> Result<String, NotSaved> {
        let customer = self.book.get_mut(id).ok_or(NotSaved::NoCustomer)?;
        if customer.wallet.len() >= self.wallet_size {
            return Err(NotSaved::Full);
        }
        customer.saved += 1;
        let entry = seeded::uuid(self.seed, &["wallet", id, &customer.saved.to_string()]);
        if new.default || (self.first_is_default && customer.wallet.is_empty()) {
            customer.default = Some(entry.clone());
        }
        customer.wallet.push(Method {
            source: new.source.unwrap_or_else(|| seeded::uuid(self.seed, &["token", &entry])),
            id: entry.clone(),
            facts: new.facts,
            address: new.address,
            created: new.created,
        });
        self.methods += 1;
        Ok(entry)
    }

    /// Changes one entry of a wallet; none if customer or entry is missing.
    pub(super) fn edit_method(&mut self, id: &str, method: &str) -> Option<&mut Facts> {
        let customer = self.book.get_mut(id)?;
        customer.wallet.iter_mut().find(|m| m.id == method).map(|m| &mut m.facts)
    }

    /// Sets or takes away the default; false if customer or entry is missing.
    pub(super) fn set_default(&mut self, id: &str, method: Option<&str>) -> bool {
        let Some(customer) = self.book.get_mut(id) else { return false };
        if method.is_some_and(|wanted| customer.method(wanted).is_none()) {
            return false;
        }
        customer.default = method.map(str::to_owned);
        true
    }

    /// Removes an entry; its customer has no default then if it was the default.
    pub(super) fn remove(&mut self, id: &str, method: &str) -> bool {
        let Some(customer) = self.book.get_mut(id) else { return false };
        let Some(at) = customer.wallet.iter().position(|m| m.id == method) else { return false };
        customer.wallet.remove(at);
        customer.default.take_if(|default| default == method);
        self.methods -= 1;
        true
    }
}

impl Customer {
    /// An entry of the wallet.
    pub(super) fn method(&self, id: &str) -> Option<&Method> {
        self.wallet.iter().find(|m| m.id == id)
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
        &self.id
    }

    fn reference(&self) -> Option<&str> {
        self.person.reference(self.reference_field)
    }

    fn set_reference(&mut self, reference: String) {
        self.person.set_reference(self.reference_field, reference);
    }

    fn view(&self) -> CustomerView {
        CustomerView {
            id: self.id.clone(),
            reference: self.reference().map(str::to_owned),
            name: self.person.name(),
            email: self.person.email_address.clone(),
            fields: self.person.fields(self.reference_field),
            deleted: false,
            default_method: self.default.clone(),
            methods: self.wallet.iter().map(|m| m.view(self.default.as_ref())).collect(),
        }
    }
}

impl Method {
    fn view(&self, default: Option<&String>) -> MethodView {
        let mut view = match &self.facts {
            Facts::Card(card) => MethodView {
                last4: card.last4.clone(),
                exp_month: Some(card.month),
                exp_year: Some(card.year),
                brand: card.network.clone(),
                bin: card.bin.clone(),
                ..MethodView::bare(&self.id, MethodKind::Card)
            },
            Facts::Bank(last4) => {
                MethodView { last4: last4.clone(), ..MethodView::bare(&self.id, MethodKind::Ach) }
            }
        };
        view.is_default = default == Some(&self.id);
        view.token_sha256 = token_sha256(&self.source);
        view
    }
}
