//! The data of one merchant.

use super::config::{Config, MethodId};
use super::wire::Stated;
use crate::accounts::Holder;
use crate::book::{Book, Entry, Rules, Taken, Tombstones};
use crate::seeded;
use crate::view::{self, CustomerView, MethodKind, MethodView};
use serde_json::Value;
use std::collections::BTreeMap;

/// One customer, or its tombstone. Times are Unix seconds.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) uuid: String,
    pub(super) reference: Option<String>,
    /// Text fields by their names.
    pub(super) texts: BTreeMap<&'static str, String>,
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) deleted: Option<i64>,
    /// Oldest first.
    pub(super) methods: Vec<Method>,
    /// Methods ever saved, so that an id never comes twice.
    saved: u64,
}

/// One saved card.
#[derive(Debug, Clone)]
pub(super) struct Method {
    /// Decimal digits where the vendor answers it as a number.
    pub(super) id: String,
    pub(super) token: String,
    pub(super) card: Card,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// What is known of a card.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub(super) brand: Option<String>,
    /// The first digits, six or more.
    pub(super) bin: String,
    pub(super) last4: String,
    pub(super) exp_month: i64,
    pub(super) exp_year: i64,
}

/// A merchant's customers.
#[derive(Debug)]
pub(super) struct Merchant {
    seed: u64,
    pub(super) account: String,
    method_id: MethodId,
    methods_move: bool,
    pub(super) book: Book<Customer>,
    methods: usize,
}

impl Merchant {
    pub(super) fn new(seed: u64, account: &str, config: &Config) -> Self {
        let tombstones = Tombstones {
            kept: true,
            listed: config.deleted.listed,
            referenced: !config.deleted.frees_reference,
        };
        let rules = Rules { ignore_case: config.references_ignore_case, unique: true, tombstones };
        Self {
            seed,
            account: account.to_owned(),
            method_id: config.shape.method_id,
            methods_move: config.methods_move_updated_at,
            book: Book::new(rules),
            methods: 0,
        }
    }

    /// The seed, for whoever fills it.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// A customer that is no tombstone.
    pub(super) fn live(&mut self, uuid: &str) -> Option<&mut Customer> {
        self.book.get_mut(uuid).filter(|c| c.deleted.is_none())
    }

    /// Saves a customer. Its id depends on seed, account and reference, not on the order of calls.
    pub(super) fn create(&mut self, stated: Stated, now: i64) -> Result<&Customer, Taken> {
        let uuid = self.book.fresh_id(stated.reference.as_deref(), |name, n| {
            seeded::uuid(self.seed, &["customer", &self.account, name, &n.to_string()])
        });
        let mut customer = Customer {
            uuid,
            reference: stated.reference.clone(),
            texts: BTreeMap::new(),
            metadata: BTreeMap::new(),
            created: now,
            updated: now,
            deleted: None,
            methods: Vec::new(),
            saved: 0,
        };
        customer.state(stated);
        self.book.add(customer).map(|customer| &*customer)
    }

    /// Changes what is stated and leaves the rest; none if there is no such customer.
    pub(super) fn update(
        &mut self,
        uuid: &str,
        stated: Stated,
        now: i64,
    ) -> Result<Option<&Customer>, Taken> {
        let Some(before) = self.live(uuid).map(|c| c.reference.clone()) else { return Ok(None) };
        let renamed = stated.reference.clone().filter(|to| before.as_ref() != Some(to));
        let moved = renamed.is_some();
        if let Some(reference) = renamed {
            self.book.refer(uuid, reference)?;
        }
        let Some(customer) = self.live(uuid) else { return Ok(None) };
        if customer.state(stated) || moved {
            customer.touch(now);
        }
        Ok(Some(customer))
    }

    /// Makes a customer a tombstone without methods; false if there is none or only a tombstone.
    pub(super) fn delete(&mut self, uuid: &str, now: i64) -> bool {
        let Some(was) = self.book.delete(uuid) else { return false };
        self.methods -= was.methods.len();
        if let Some(left) = self.book.get_mut(uuid) {
            left.methods.clear();
            left.touch(now);
            left.deleted = Some(now);
        }
        true
    }

    /// Saves a card; without a token one is made. None if there is no such customer.
    pub(super) fn save(
        &mut self,
        uuid: &str,
        card: Card,
        token: Option<String>,
        now: i64,
    ) -> Option<&Method> {
        let (seed, shape, moves) = (self.seed, self.method_id, self.methods_move);
        let customer = self.live(uuid)?;
        customer.saved += 1;
        let nth = customer.saved.to_string();
        let id = match shape {
            MethodId::Text => seeded::id(seed, &["method", uuid, &nth]),
            MethodId::Number => (seeded::hash(seed, &["method", uuid, &nth]) >> 11).to_string(),
        };
        let quarter = |part: &str| seeded::id(seed, &["token", uuid, &nth, part]);
        let token = token.unwrap_or_else(|| ["0", "1", "2", "3"].map(quarter).concat());
        customer.methods.push(Method { id, token, card, created: now, updated: now });
        if moves {
            customer.touch(now);
        }
        self.methods += 1;
        self.book.get(uuid)?.methods.last()
    }

    /// Changes one card of a customer; false if it has no such card.
    pub(super) fn edit_method(
        &mut self,
        uuid: &str,
        id: &str,
        now: i64,
        edit: impl FnOnce(&mut Card),
    ) -> bool {
        let moves = self.methods_move;
        let Some(customer) = self.live(uuid) else { return false };
        let Some(method) = customer.methods.iter_mut().find(|m| m.id == id) else { return false };
        edit(&mut method.card);
        method.updated = now.max(method.updated + 1);
        if moves {
            customer.touch(now);
        }
        true
    }

    /// Removes a card; false if the customer has no such card.
    pub(super) fn remove_method(&mut self, uuid: &str, id: &str, now: i64) -> bool {
        let moves = self.methods_move;
        let Some(customer) = self.live(uuid) else { return false };
        let Some(at) = customer.methods.iter().position(|m| m.id == id) else { return false };
        customer.methods.remove(at);
        if moves {
            customer.touch(now);
        }
        self.methods -= 1;
        true
    }
}

impl Customer {
    /// Takes over what is stated, but not the reference; says whether anything changed.
    fn state(&mut self, stated: Stated) -> bool {
        let mut changed = false;
        for (name, text) in stated.texts {
            changed |= put(&mut self.texts, name, text);
        }
        for (key, value) in stated.metadata {
            changed |= put(&mut self.metadata, key, value);
        }
        changed
    }

    /// Moves `updated_at`, also within one second.
    fn touch(&mut self, now: i64) {
        self.updated = now.max(self.updated + 1);
    }
}

fn put<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> bool {
    let changed = map.get(&key) != value.as_ref();
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    changed
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
        &self.uuid
    }

    fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    fn set_reference(&mut self, reference: String) {
        self.reference = Some(reference);
    }

    fn view(&self) -> CustomerView {
        let mut texts = self.texts.clone();
        let (name, email) = (texts.remove("name"), texts.remove("email"));
        let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
        let metadata = self.metadata.iter().map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("metadata.{key}"), text)
        });
        CustomerView {
            id: self.uuid.clone(),
            reference: self.reference.clone(),
            name,
            email,
            fields: texts.chain(metadata).collect(),
            deleted: self.deleted.is_some(),
            default_method: None,
            methods: self.methods.iter().map(Method::view).collect(),
        }
    }
}

impl Method {
    fn view(&self) -> MethodView {
        MethodView {
            last4: self.card.last4.clone(),
            exp_month: Some(self.card.exp_month),
            exp_year: Some(self.card.exp_year),
            brand: self.card.brand.clone(),
            bin: Some(self.card.bin.clone()),
            token_sha256: view::token_sha256(&self.token),
            ..MethodView::bare(&self.id, MethodKind::Card)
        }
    }
}
