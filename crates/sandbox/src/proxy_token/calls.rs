//! What each call does to a merchant.

use super::config::Config;
use super::list::{self, Query};
use super::merchant::{Customer, Merchant};
use super::wire;
use super::{Refused, bulk};
use crate::vendor::{Answer, Call, Twist};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;

/// One call's view of the vendor.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    pub(super) seed: u64,
    pub(super) merchant: &'a mut Merchant,
    pub(super) spent: &'a mut HashSet<String>,
    pub(super) now: i64,
}

pub(super) fn no_customer() -> Refused {
    let message = "there is no such customer";
    Refused::new(StatusCode::NOT_FOUND, "customer_not_found", message)
}

fn no_method() -> Refused {
    let message = "the customer has no such payment method";
    Refused::new(StatusCode::NOT_FOUND, "payment_method_not_found", message)
}

/// A proxynized token: `pxt_<Unix second of its making>_<anything>`.
pub(super) fn proxynized_at(token: &str) -> Option<i64> {
    token.strip_prefix("pxt_")?.split_once('_')?.0.parse().ok()
}

impl Desk<'_> {
    pub(super) fn serve(
        &mut self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        let segments = call.segments();
        let uid = segments.get(2).map(String::as_str).unwrap_or_default();
        match endpoint {
            "create_customer" => self.create(call),
            "find_customer" | "list_customers" => {
                let query = Query::read(call, self.config)?;
                Ok(match &query.reference {
                    Some(wanted) => list::find(self.merchant, self.config, &query, wanted, twist),
                    None => list::page(self.merchant, self.config, &query, call, twist),
                })
            }
            "get_customer" => {
                list::no_query(call)?;
                let body = list::customer(self.customer(uid)?, self.config);
                Ok(Answer::json(StatusCode::OK, &body))
            }
            "list_methods" => {
                list::no_query(call)?;
                Ok(list::methods(self.customer(uid)?, self.config))
            }
            "add_method" => self.add(uid, call),
            "set_default" => self.set_default(uid, call),
            "remove_method" => {
                list::no_query(call)?;
                self.customer(uid)?;
                let method = segments.get(4).map(String::as_str).unwrap_or_default();
                if !self.merchant.remove(uid, method) {
                    return Err(no_method());
                }
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
            "bulk_import" => bulk::import(self, call, twist),
            _ => {
                let message = "nothing stands at this path";
                Err(Refused::new(StatusCode::NOT_FOUND, "route_not_found", message))
            }
        }
    }

    fn customer(&self, uid: &str) -> Result<&Customer, Refused> {
        self.merchant.get(uid).ok_or_else(no_customer)
    }

    fn create(&mut self, call: &Call) -> Result<Answer, Refused> {
        let new: wire::NewCustomer = list::body(call)?;
        let wrong = |field: &str, expected: &str| {
            Refused::new(StatusCode::BAD_REQUEST, "invalid_field", format!("expected {expected}"))
                .at(field)
        };
        if new.reference_id.trim().is_empty() {
            return Err(wrong("reference_id", "a reference"));
        }
        let address = |mail: &str| {
            mail.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
        };
        if new.email.as_deref().is_some_and(|mail| !address(mail)) {
            return Err(wrong("email", "an e-mail address"));
        }
        let created = self.merchant.create(Some(new.reference_id), new.name, new.email, self.now);
        let customer = created.map_err(|_| {
            let message = "a customer with this reference_id exists";
            Refused::new(StatusCode::CONFLICT, "customer_exists", message).at("reference_id")
        })?;
        Ok(Answer::json(StatusCode::CREATED, &list::customer(customer, self.config)))
    }

    fn add(&mut self, uid: &str, call: &Call) -> Result<Answer, Refused> {
        let new: wire::AddMethod = list::body(call)?;
        let (facts, token) = new.payment_method.checked()?;
        self.customer(uid)?;
        self.check_proxynized(&token)?;
        let saved = self.merchant.save(uid, facts, None, false).ok_or_else(no_customer)?;
        self.spent.insert(token);
        Ok(list::saved(&saved))
    }

    /// A proxynized token is good once, for so many seconds.
    fn check_proxynized(&self, token: &str) -> Result<(), Refused> {
        let refused = |code, message: &str| {
            let refused = Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
            Err(refused.at("fingerprint"))
        };
        let Some(made) = proxynized_at(token) else {
            return refused("invalid_token", "the processor does not know this token");
        };
        if self.spent.contains(token) {
            return refused("token_spent", "the token was used before");
        }
        // A clock may be a minute off.
        match self.now.saturating_sub(made) {
            age if age < -60 => refused("invalid_token", "the token is from the future"),
            age if age > self.config.proxynized_seconds => {
                refused("token_expired", "the token has ended")
            }
            _ => Ok(()),
        }
    }

    fn set_default(&mut self, uid: &str, call: &Call) -> Result<Answer, Refused> {
        let wanted: wire::SetDefault = list::body(call)?;
        self.customer(uid)?;
        let method = wanted.saved_payment_method_uid;
        if !self.merchant.set_default(uid, Some(&method)) {
            return Err(no_method());
        }
        let body = json!({"saved_payment_method_uid": method, "is_default": true});
        Ok(Answer::json(StatusCode::OK, &body))
    }
}

/// The references of the customers that a call concerns. Reads loosely: a call that will be refused
/// concerns whom it names.
pub(super) fn references(endpoint: &str, call: &Call, merchant: Option<&Merchant>) -> Vec<String> {
    let of = |uid: &str| merchant?.get(uid)?.reference.clone();
    match endpoint {
        "create_customer" | "bulk_import" => {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            if let Some(reference) = body.get("reference_id").and_then(Value::as_str) {
                return vec![reference.to_owned()];
            }
            let rows = body.get("saved_payment_methods").and_then(Value::as_array);
            let uids = rows.into_iter().flatten().filter_map(|row| row.get("customer_uid"));
            uids.filter_map(Value::as_str).filter_map(of).collect()
        }
        "find_customer" => {
            let pairs = call.pairs();
            let filters = pairs.iter().filter(|(name, _)| name == "$filter");
            filters.filter_map(|(_, text)| list::filter(text)).collect()
        }
        _ => call.segments().get(2).and_then(|uid| of(uid)).into_iter().collect(),
    }
}
