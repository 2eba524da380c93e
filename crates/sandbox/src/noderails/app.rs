//! The data of one app.

use super::config::{Config, Duplicate, IdForm, SearchLag};
use super::search::Search;
use super::wire::{Profile, Texts};
use crate::accounts::Holder;
use crate::book::{Book, Entry, Rules, Taken, Tombstones};
use crate::seeded;
use crate::view::{CustomerView, MethodKind, MethodView};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// When a call is executed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Unix seconds.
    pub(super) now: i64,
    /// Requests that were executed before.
    pub(super) served: u64,
}

/// One customer.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: String,
    /// Its place in the order of creation, from 0.
    number: usize,
    pub(super) external_id: Option<String>,
    pub(super) texts: Texts,
    pub(super) metadata: Map<String, Value>,
    /// Unix seconds.
    pub(super) created: i64,
    /// Unix seconds.
    pub(super) updated: i64,
    /// Oldest first.
    pub(super) wallets: Vec<Wallet>,
    /// Ids of removed wallets, so that an id never comes twice.
    removed: Vec<String>,
    /// Until when search does not know it.
    hidden: Option<Hidden>,
}

/// One wallet.
#[derive(Debug, Clone)]
pub(super) struct Wallet {
    pub(super) id: String,
    pub(super) chain: i64,
    /// In the form in which it is kept.
    pub(super) address: String,
    pub(super) authorization: Authorization,
    /// Unix seconds.
    pub(super) created: i64,
    /// Unix seconds.
    pub(super) updated: i64,
}

/// The right to spend from a wallet. The API only shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorization {
    pub(super) active: bool,
    /// `PERMIT`, `APPROVAL`, …: any word.
    pub(super) kind: Option<String>,
    pub(super) tx_hash: Option<String>,
    /// ISO 8601.
    pub(super) at: Option<String>,
}

/// Until when search does not know a customer.
#[derive(Debug, Clone, Copy)]
enum Hidden {
    Time(Instant),
    Served(u64),
}

impl Hidden {
    fn by(lag: SearchLag, moment: Moment) -> Option<Self> {
        match lag {
            SearchLag::None => None,
            SearchLag::Ms(ms) => Some(Self::Time(Instant::now() + Duration::from_millis(ms))),
            SearchLag::Requests(n) => Some(Self::Served(moment.served.saturating_add(n))),
        }
    }

    fn still(self, moment: Moment) -> bool {
        match self {
            Self::Time(until) => Instant::now() < until,
            // The call that made it is itself one of those that were served.
            Self::Served(until) => moment.served <= until,
        }
    }
}

/// Why a wallet was not added.
#[derive(Debug)]
pub(super) enum NotAdded {
    NoCustomer,
    Duplicate,
}

/// One app.
#[derive(Debug)]
pub(super) struct App {
    seed: u64,
    account: String,
    ids: IdForm,
    search_external_id: bool,
    wallets_repeat: bool,
    pub(super) book: Book<Customer>,
    search: Search,
    /// The ids of all customers that ever were, oldest first.
    numbered: Vec<String>,
    wallets: usize,
}

impl App {
    pub(super) fn new(seed: u64, account: &str, config: &Config) -> Self {
        let unique = config.duplicate_external_id != Duplicate::Allowed;
        let rules = Rules { ignore_case: false, unique, tombstones: Tombstones::NONE };
        Self {
            seed,
            account: account.to_owned(),
            ids: config.shape.ids,
            search_external_id: config.search_external_id,
            wallets_repeat: config.duplicate_wallet == Duplicate::Allowed,
            book: Book::new(rules),
            search: Search::default(),
            numbered: Vec::new(),
            wallets: 0,
        }
    }

    /// The seed and the account's name, for whoever fills it.
    pub(super) fn origin(&self) -> (u64, &str) {
        (self.seed, &self.account)
    }

    fn id(&self, prefix: &str, parts: &[&str]) -> String {
        match self.ids {
            IdForm::Uuid => seeded::uuid(self.seed, parts),
            IdForm::Prefixed => format!("{prefix}_{}", seeded::id(self.seed, parts)),
        }
    }

    /// Saves a customer; search knows it after this lag.
    pub(super) fn create(
        &mut self,
        profile: Profile,
        moment: Moment,
        lag: SearchLag,
    ) -> Result<&mut Customer, Taken> {
        let id = self.book.fresh_id(profile.external_id.as_deref(), |name, n| {
            self.id("cust", &["customer", &self.account, name, &n.to_string()])
        });
        let customer = Customer {
            id: id.clone(),
            number: self.numbered.len(),
            external_id: profile.external_id,
            texts: profile.texts,
            metadata: profile.metadata.unwrap_or_default(),
            created: moment.now,
            updated: moment.now,
            wallets: Vec::new(),
            removed: Vec::new(),
            hidden: Hidden::by(lag, moment),
        };
        let made = self.book.add(customer)?;
        self.numbered.push(id);
        index(&mut self.search, made);
        Ok(made)
    }

    /// Changes what the profile states; none if there is no such customer.
    pub(super) fn edit(
        &mut self,
        id: &str,
        profile: Profile,
        now: i64,
    ) -> Result<Option<&mut Customer>, Taken> {
        if let Some(reference) = profile.external_id {
            self.book.refer(id, reference)?;
        }
        let Some(customer) = self.book.get_mut(id) else { return Ok(None) };
        customer.texts.merge(profile.texts);
        customer.metadata = profile.metadata.unwrap_or(std::mem::take(&mut customer.metadata));
        customer.updated = now;
        index(&mut self.search, customer);
        Ok(Some(customer))
    }

    /// Deletes a customer with its wallets.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let deleted = self.book.delete(id);
        self.wallets -= deleted.as_ref().map_or(0, |customer| customer.wallets.len());
        deleted.is_some()
    }

    /// The customers that search finds, newest first: the text is part of their name, e-mail or
    /// external id, whatever its case.
    pub(super) fn search(&self, text: &str, moment: Moment) -> Vec<&Customer> {
        let part = text.to_lowercase();
        let candidates = self.search.candidates(&part);
        let numbers = candidates.unwrap_or_else(|| (0..self.numbered.len()).rev().collect());
        let customers = numbers
            .iter()
            .filter_map(|&number| self.book.get(self.numbered.get(number)?))
            .filter(|customer| !customer.hidden.is_some_and(|hidden| hidden.still(moment)));
        let external_id = |name: &str| name == "externalId";
        customers
            .filter(|customer| {
                searched(customer)
                    .filter(|(name, _)| self.search_external_id || !external_id(name))
                    .any(|(_, value)| value.to_lowercase().contains(&part))
            })
            .collect()
    }

    /// Saves a wallet, whose address has the form in which it is kept.
    pub(super) fn add_wallet(
        &mut self,
        id: &str,
        chain: i64,
        address: &str,
        now: i64,
    ) -> Result<&mut Wallet, NotAdded> {
        let customer = self.book.get(id).ok_or(NotAdded::NoCustomer)?;
        let same = |wallet: &Wallet| wallet.chain == chain && wallet.address == address;
        if customer.wallets.iter().any(same) && !self.wallets_repeat {
            return Err(NotAdded::Duplicate);
        }
        let used = |id: &String| {
            customer.removed.contains(id) || customer.wallets.iter().any(|w| w.id == *id)
        };
        let wallet_id = (0_u64..)
            .map(|n| self.id("wal", &["wallet", id, &chain.to_string(), address, &n.to_string()]))
            .find(|id| !used(id))
            .unwrap_or_default();
        let wallet = Wallet {
            id: wallet_id,
            chain,
            address: address.to_owned(),
            authorization: Authorization::default(),
            created: now,
            updated: now,
        };
        self.wallets += 1;
        let customer = self.book.get_mut(id).ok_or(NotAdded::NoCustomer)?;
        customer.wallets.push(wallet);
        customer.wallets.last_mut().ok_or(NotAdded::NoCustomer)
    }

    /// Removes a wallet; false if customer or wallet is missing.
    pub(super) fn remove_wallet(&mut self, id: &str, wallet: &str) -> bool {
        let Some(customer) = self.book.get_mut(id) else { return false };
        let Some(at) = customer.wallets.iter().position(|w| w.id == wallet) else { return false };
        customer.removed.push(customer.wallets.remove(at).id);
        self.wallets -= 1;
        true
    }
}

/// What search looks into.
fn searched(customer: &Customer) -> impl Iterator<Item = (&'static str, &str)> {
    let texts = ["name", "email"].map(|name| (name, customer.texts.get(name)));
    let all = texts.into_iter().chain([("externalId", customer.external_id.as_deref())]);
    all.filter_map(|(name, value)| Some((name, value?)))
}

fn index(search: &mut Search, customer: &Customer) {
    for (_, value) in searched(customer) {
        search.add(customer.number, &value.to_lowercase());
    }
}

impl Holder for App {
    type Customer = Customer;

    fn book(&self) -> &Book<Customer> {
        &self.book
    }

    fn method_count(&self) -> usize {
        self.wallets
    }
}

impl Entry for Customer {
    fn id(&self) -> &str {
        &self.id
    }

    fn reference(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    fn set_reference(&mut self, reference: String) {
        self.external_id = Some(reference);
    }

    fn view(&self) -> CustomerView {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.texts.all() {
            if let Some(value) = value.filter(|_| !matches!(name, "name" | "email")) {
                fields.insert(name.to_owned(), value.to_owned());
            }
        }
        for (key, value) in &self.metadata {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.insert(format!("metadata.{key}"), text);
        }
        for wallet in &self.wallets {
            let at = |name: &str| format!("wallets.{}.{name}", wallet.id);
            let granted = &wallet.authorization;
            if granted.active {
                fields.insert(at("hasActiveAuthorization"), "true".to_owned());
            }
            let words = [
                ("authorizationType", &granted.kind),
                ("authorizationTxHash", &granted.tx_hash),
                ("authorizedAt", &granted.at),
            ];
            for (name, value) in words {
                fields.extend(value.clone().map(|value| (at(name), value)));
            }
        }
        CustomerView {
            id: self.id.clone(),
            reference: self.external_id.clone(),
            name: self.texts.get("name").map(str::to_owned),
            email: self.texts.get("email").map(str::to_owned),
            fields,
            deleted: false,
            default_method: None,
            methods: self.wallets.iter().map(Wallet::view).collect(),
        }
    }
}

impl Wallet {
    fn view(&self) -> MethodView {
        MethodView {
            chain_id: Some(self.chain),
            wallet_address: Some(self.address.clone()),
            ..MethodView::bare(&self.id, MethodKind::Wallet)
        }
    }
}
