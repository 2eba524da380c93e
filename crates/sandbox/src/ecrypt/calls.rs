//! What each call does to a merchant.

use super::Refused;
use super::config::{Config, ListName, Missing, One, ReferenceField, WalletsName};
use super::merchant::{Customer, Merchant, Method, NewEntry, NotSaved};
use super::person::Person;
use super::token::{self, Source};
use super::{show, wire};
use crate::book::Entry;
use crate::vendor::{Answer, Call, Twist};
use serde_json::Value;
use std::collections::HashSet;

/// One call's view of the vendor.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    pub(super) seed: u64,
    pub(super) merchant: &'a mut Merchant,
    /// Tokens and transactions that were used.
    pub(super) spent: &'a mut HashSet<Source>,
    pub(super) now: i64,
    pub(super) call: &'a Call,
}

fn no_customer() -> Refused {
    Refused::not_found("there is no such customer")
}

fn no_method() -> Refused {
    Refused::not_found("the customer's wallet has no such payment method")
}

impl Desk<'_> {
    pub(super) fn serve(
        &mut self,
        endpoint: &'static str,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        let segments = self.call.segments();
        let id = segments.get(2).map(String::as_str).unwrap_or_default();
        let method = segments.get(4).map(String::as_str).unwrap_or_default();
        for (field, id) in [("Customer", segments.get(2)), ("Wallet", segments.get(4))] {
            if id.is_some_and(|id| !token::is_token(id)) {
                return Err(Refused::invalid(field, "the id has not the form of one"));
            }
        }
        if !matches!(endpoint, "list_customers" | "list_methods") {
            self.no_query()?;
        }
        match endpoint {
            "create_customer" => self.create(),
            "get_customer" => self.get(id),
            "list_customers" => self.list(twist),
            "delete_customer" => {
                let deleted = self.merchant.delete(id);
                deleted.then(|| self.answer(&[])).ok_or_else(no_customer)
            }
            "add_method" => self.add(id),
            "list_methods" => self.wallet(id),
            "get_method" => {
                let (customer, found) = self.method(id, method)?;
                let shown = show::method(found, customer, self.config.shape);
                Ok(self.answer(&[("wallet", show::one(shown, self.config.shape.wallet))]))
            }
            "set_default" => self.set_default(id, method),
            "remove_method" => {
                self.method(id, method)?;
                let removed = self.merchant.remove(id, method);
                removed.then(|| self.answer(&[])).ok_or_else(no_method)
            }
            _ => Err(Refused::not_found("nothing stands at this path")),
        }
    }

    fn answer(&self, fields: &[(&str, Value)]) -> Answer {
        show::answer(self.call, self.config.shape, fields)
    }

    fn customer(&self, id: &str) -> Result<&Customer, Refused> {
        self.merchant.book.get(id).ok_or_else(no_customer)
    }

    fn method(&self, id: &str, method: &str) -> Result<(&Customer, &Method), Refused> {
        let customer = self.customer(id)?;
        Ok((customer, customer.method(method).ok_or_else(no_method)?))
    }

    /// The answer to what changed or made one entry of a wallet.
    fn entry(&self, id: &str, method: &str) -> Result<Answer, Refused> {
        let (customer, found) = self.method(id, method)?;
        Ok(self.answer(&[("wallet", show::method(found, customer, self.config.shape))]))
    }

    fn create(&mut self) -> Result<Answer, Refused> {
        let person: Person = wire::read(self.call, self.config.requests)?;
        person.check()?;
        let made = self.merchant.create(person);
        // No reference is ever taken at this vendor.
        let customer = made.map_err(|_| Refused::failed("CUSTOMER_TAKEN", "it was not made"))?;
        let shown = show::customer(customer, self.config.shape);
        Ok(self.answer(&[("customer", shown)]))
    }

    fn get(&self, id: &str) -> Result<Answer, Refused> {
        let shape = self.config.shape;
        let name = if shape.customer == One::Array { "customers" } else { "customer" };
        match self.merchant.book.get(id) {
            Some(found) => {
                let shown = show::one(show::customer(found, shape), shape.customer);
                Ok(self.answer(&[(name, shown)]))
            }
            None if shape.missing_customer == Missing::Null => {
                Ok(self.answer(&[("customers", Value::Null)]))
            }
            None => Err(no_customer()),
        }
    }

    fn list(&self, twist: Option<Twist>) -> Result<Answer, Refused> {
        let (skip, size) = self.page()?;
        let shape = self.config.shape;
        let listed = self.merchant.book.list(skip, size, twist);
        let rows = listed.rows.iter().map(|c| show::customer(c, shape)).collect();
        let name = match shape.customers {
            ListName::Customers => "customers",
            ListName::Data => "data",
        };
        let mut answer = self.answer(&[(name, Value::Array(rows))]);
        answer.twisted = listed.twisted;
        Ok(answer)
    }

    fn wallet(&self, id: &str) -> Result<Answer, Refused> {
        let (skip, size) = self.page()?;
        let customer = self.customer(id)?;
        let shape = self.config.shape;
        let rows = customer.wallet.iter().skip(skip).take(size);
        let rows = rows.map(|m| show::method(m, customer, shape)).collect();
        let name = match shape.wallets {
            WalletsName::Wallets => "wallets",
            WalletsName::Wallet => "wallet",
            WalletsName::Data => "data",
        };
        Ok(self.answer(&[(name, Value::Array(rows))]))
    }

    fn add(&mut self, id: &str) -> Result<Answer, Refused> {
        let mut new: wire::AddMethod = wire::read(self.call, self.config.requests)?;
        let source = new.source()?;
        self.customer(id)?;
        let facts = source.facts(self.seed)?;
        if self.spent.contains(&source) {
            return Err(match source {
                Source::Token(_) => Refused::failed("TOKEN_USED", "the token was used before"),
                Source::Transaction(_) => {
                    Refused::failed("TRANSACTION_USED", "the transaction was used before")
                }
            });
        }
        let entry = NewEntry {
            facts,
            source: Some(source.text().to_owned()),
            address: new.billing_address,
            default: new.default.unwrap_or_default(),
            created: self.now,
        };
        let saved = self.merchant.save(id, entry).map_err(|why| match why {
            NotSaved::NoCustomer => no_customer(),
            NotSaved::Full => Refused::failed("WALLET_FULL", "the wallet is full"),
        })?;
        let again = matches!(source, Source::Transaction(_)) && self.config.transactions_repeat;
        if !again {
            self.spent.insert(source);
        }
        self.entry(id, &saved)
    }

    fn set_default(&mut self, id: &str, method: &str) -> Result<Answer, Refused> {
        let wanted: wire::SetDefault = wire::read(self.call, self.config.requests)?;
        if !wanted.default {
            return Err(Refused::invalid("default", "only true is expected"));
        }
        self.method(id, method)?;
        self.merchant.set_default(id, Some(method));
        self.entry(id, method)
    }

    /// How many rows `Page` and `Size` skip, and how many they take.
    fn page(&self) -> Result<(usize, usize), Refused> {
        let (mut page, mut size) = (1, self.config.max_page);
        for (name, value) in self.call.pairs() {
            let number = value.parse::<usize>().ok().filter(|number| *number > 0);
            match (name.as_str(), number) {
                ("Page", Some(number)) => page = number,
                ("Size", Some(number)) if number <= self.config.max_page => size = number,
                ("Page" | "Size", _) => {
                    let limit = self.config.max_page;
                    let message = format!("expected Page from 1 and Size from 1 to {limit}");
                    return Err(Refused::invalid(name, message));
                }
                _ => return Err(unknown_option(&name)),
            }
        }
        Ok(((page - 1).saturating_mul(size), size))
    }

    /// Refuses every query option, for the calls that know none.
    fn no_query(&self) -> Result<(), Refused> {
        self.call.pairs().first().map_or(Ok(()), |(name, _)| Err(unknown_option(name)))
    }
}

fn unknown_option(name: &str) -> Refused {
    Refused::invalid(name, format!("unknown query option `{name}`"))
}

/// The references of the customers that a call concerns. Reads loosely: a call that will be refused
/// concerns whom it names.
pub(super) fn references(endpoint: &str, call: &Call, merchant: &Merchant) -> Vec<String> {
    if endpoint == "create_customer" {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let places: &[&str] = match merchant.reference_field() {
            ReferenceField::AccountId => &["/metadata/account_id"],
            ReferenceField::MerchantIdentifier => &["/merchant_identifier", "/merchantIdentifier"],
        };
        let named = places.iter().find_map(|place| body.pointer(place)?.as_str());
        return named.map(str::to_owned).into_iter().collect();
    }
    let segments = call.segments();
    let customer = segments.get(2).and_then(|id| merchant.book.get(id));
    customer.and_then(|c| c.reference().map(str::to_owned)).into_iter().collect()
}
