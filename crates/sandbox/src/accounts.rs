//! The accounts of a vendor: what every style keeps them in, and what the admin door sees of them.

use crate::book::{Book, Entry};
use crate::change::ChangeError;
use crate::vendor::NOWHERE;
use crate::view::{AccountView, CustomerView, StatePage};
use std::collections::HashMap;

/// The data of one account.
pub(crate) trait Holder {
    /// One of its customers.
    type Customer: Entry;
    /// Its customers.
    fn book(&self) -> &Book<Self::Customer>;
    /// Saved methods of all customers.
    fn method_count(&self) -> usize;
}

/// Accounts by their names.
#[derive(Debug)]
pub(crate) struct Accounts<A> {
    /// In the config's order.
    names: Vec<String>,
    by_name: HashMap<String, A>,
}

impl<A: Holder> Accounts<A> {
    /// Seeded accounts, each with its own number of customers or with so many, and [`NOWHERE`], which
    /// is empty.
    pub(crate) fn seeded<'a>(
        accounts: impl Iterator<Item = (&'a str, Option<usize>)>,
        customers: usize,
        make: impl Fn(&str) -> A,
        fill: impl Fn(&mut A, usize),
    ) -> Self {
        let mut all = Self { names: Vec::new(), by_name: HashMap::new() };
        for (name, own) in accounts {
            let mut account = make(name);
            fill(&mut account, own.unwrap_or(customers));
            all.names.push(name.to_owned());
            all.by_name.insert(name.to_owned(), account);
        }
        all.by_name.insert(NOWHERE.to_owned(), make(NOWHERE));
        all
    }

    pub(crate) fn get(&self, name: &str) -> Option<&A> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut A> {
        self.by_name.get_mut(name)
    }

    /// The account that is changed from outside.
    pub(crate) fn changed(&mut self, name: &str) -> Result<&mut A, ChangeError> {
        self.get_mut(name).ok_or_else(|| ChangeError::NoAccount(name.to_owned()))
    }

    /// Every account, [`NOWHERE`] too, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &A> {
        self.by_name.values()
    }
}

/// What the admin door sees of a vendor's accounts.
pub(crate) trait Shown {
    /// Their sizes, in the config's order; [`NOWHERE`] once it was written to.
    fn accounts(&self) -> Vec<AccountView>;
    /// Customers after this cursor; none if there is no such account.
    fn page(&self, account: &str, after: Option<&str>, limit: usize) -> Option<StatePage>;
    /// One customer by its id.
    fn customer(&self, account: &str, id: &str) -> Option<CustomerView>;
    /// One customer by its reference, compared byte for byte.
    fn by_reference(&self, account: &str, reference: &str) -> Option<CustomerView>;
}

impl<A: Holder> Shown for Accounts<A> {
    fn accounts(&self) -> Vec<AccountView> {
        let wrote = self.get(NOWHERE).filter(|account| account.book().len() > 0).map(|_| NOWHERE);
        let names = self.names.iter().map(String::as_str).chain(wrote);
        names
            .filter_map(|name| Some((name, self.get(name)?)))
            .map(|(name, account)| AccountView {
                account: name.to_owned(),
                customers: account.book().len(),
                methods: account.method_count(),
            })
            .collect()
    }

    fn page(&self, account: &str, after: Option<&str>, limit: usize) -> Option<StatePage> {
        Some(self.get(account)?.book().state(account, after, limit))
    }

    fn customer(&self, account: &str, id: &str) -> Option<CustomerView> {
        self.get(account)?.book().get(id).map(Entry::view)
    }

    fn by_reference(&self, account: &str, reference: &str) -> Option<CustomerView> {
        self.get(account)?.book().exact(reference).map(Entry::view)
    }
}
