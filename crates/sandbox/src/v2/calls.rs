//! What each call does to a merchant.

use super::config::Config;
use super::merchant::{Customer, Merchant};
use super::refused::Refused;
use super::show;
use super::wire::{self, REFERENCE, Window};
use crate::seeded;
use crate::vendor::{Answer, Call, Twist};
use http::StatusCode;
use serde_json::Value;

/// One call's view of the vendor.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    pub(super) merchant: &'a mut Merchant,
    pub(super) now: i64,
}

impl Desk<'_> {
    pub(super) fn serve(
        &mut self,
        endpoint: &'static str,
        call: &Call,
        twist: Option<Twist>,
    ) -> Result<Answer, Refused> {
        wire::json_headers(call)?;
        if !endpoint.starts_with("list_") {
            wire::no_query(call)?;
        }
        let segments = call.segments();
        let segment = |at: usize| segments.get(at).map(String::as_str).unwrap_or_default();
        match endpoint {
            "create_customer" => self.create(call),
            "find_customer" => self.find(segment(3), twist),
            "get_customer" => {
                let customer = self.shown(self.merchant.book.get(segment(2)))?;
                Ok(show::approved(customer, self.config, StatusCode::OK))
            }
            "update_customer" => self.update(segment(2), call),
            "delete_customer" => self.delete(segment(2)),
            "list_customers" => {
                let window = Window::read(call)?;
                let page = self.merchant.book.list(window.offset, self.rows(&window), twist);
                let rows: Vec<Value> =
                    page.rows.iter().map(|c| show::row(c, self.config)).collect();
                let mut answer = show::list(&rows);
                answer.twisted = page.twisted;
                Ok(answer)
            }
            "list_methods" => self.methods(segment(2), call, twist),
            _ => Err(Refused::new(StatusCode::NOT_FOUND, "nothing stands at this path")),
        }
    }

    /// The customer, if the vendor still shows it.
    fn shown<'c>(&self, found: Option<&'c Customer>) -> Result<&'c Customer, Refused> {
        let shown = |c: &&Customer| c.deleted.is_none() || self.config.deleted.shown;
        found.filter(shown).ok_or_else(Refused::no_customer)
    }

    /// How many rows a page holds at most.
    fn rows(&self, window: &Window) -> usize {
        let most = window.limit.unwrap_or(self.config.default_page).min(self.config.max_page);
        if !self.config.irregular_pages {
            return most;
        }
        let (offset, limit) = (window.offset.to_string(), most.to_string());
        seeded::Rng::new(self.merchant.seed(), &["page", &offset, &limit]).index(most) + 1
    }

    fn taken(&self) -> Refused {
        let duplicate = self.config.duplicate;
        let status = StatusCode::from_u16(duplicate.status).unwrap_or(StatusCode::BAD_REQUEST);
        let message = "a customer with this merchant_customer_id exists";
        Refused::new(status, message).shaped(duplicate.errors)
    }

    fn create(&mut self, call: &Call) -> Result<Answer, Refused> {
        let stated = wire::stated(call)?;
        let taken = self.taken();
        let customer = self.merchant.create(stated, self.now).map_err(|_| taken)?;
        let created = self.config.shape.created_is_201;
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(show::approved(customer, self.config, status))
    }

    fn find(&self, reference: &str, twist: Option<Twist>) -> Result<Answer, Refused> {
        let wrong = self.merchant.book.wrong_find(reference, twist);
        let found = self.merchant.book.by_reference(reference).next();
        let customer = self.shown(wrong.as_ref().or(found))?;
        let mut answer = show::approved(customer, self.config, StatusCode::OK);
        answer.twisted = wrong.is_some();
        Ok(answer)
    }

    fn update(&mut self, uuid: &str, call: &Call) -> Result<Answer, Refused> {
        let stated = wire::stated(call)?;
        let before = self.shown(self.merchant.book.get(uuid))?;
        if before.deleted.is_some() {
            return Err(Refused::invalid("the customer is deleted"));
        }
        let taken = self.taken();
        let updated = self.merchant.update(uuid, stated, self.now).map_err(|_| taken)?;
        let customer = updated.ok_or_else(Refused::no_customer)?;
        Ok(show::approved(customer, self.config, StatusCode::OK))
    }

    fn delete(&mut self, uuid: &str) -> Result<Answer, Refused> {
        let again = self.merchant.book.get(uuid).is_some() && !self.config.deleted.again_not_found;
        if !self.merchant.delete(uuid, self.now) && !again {
            return Err(Refused::no_customer());
        }
        Ok(show::deleted(uuid, self.config))
    }

    fn methods(&self, uuid: &str, call: &Call, twist: Option<Twist>) -> Result<Answer, Refused> {
        let window = Window::read(call)?;
        let customer = self.shown(self.merchant.book.get(uuid))?;
        let rows: Vec<Value> = customer
            .methods
            .iter()
            .map(|method| show::method(method, customer, self.config, self.now))
            .collect();
        let page = crate::book::page(window.offset, self.rows(&window), twist, |skip, top| {
            rows.iter().skip(skip).take(top).cloned().collect()
        });
        let mut answer = show::list(&page.rows);
        answer.twisted = page.twisted;
        Ok(answer)
    }
}

/// The reference of the customer that a call concerns. Reads loosely: a call that will be refused
/// concerns whom it names.
pub(super) fn reference(
    endpoint: &str,
    call: &Call,
    merchant: Option<&Merchant>,
) -> Option<String> {
    let segments = call.segments();
    match endpoint {
        "create_customer" => {
            let body: Value = serde_json::from_slice(&call.body).ok()?;
            body.get(REFERENCE)?.as_str().map(str::to_owned)
        }
        "find_customer" => segments.get(3).cloned(),
        _ => merchant?.book.get(segments.get(2)?)?.reference.clone(),
    }
}
