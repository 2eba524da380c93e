//! What each call does to an app.

use super::app::{App, Moment, NotAdded};
use super::config::{Config, Duplicate};
use super::refused::Refused;
use super::wire::{Body, Profile, Query};
use super::{address, show};
use crate::vendor::{Answer, Call, Twist};
use http::StatusCode;

/// One call's view of an app.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    /// As the answers name it, even when a fault has the call act on another.
    pub(super) app_id: &'a str,
    pub(super) app: &'a mut App,
    pub(super) moment: Moment,
}

pub(super) fn no_customer(id: &str) -> Refused {
    Refused::no("CustomerAccount", id)
}

fn duplicate(answered: Duplicate, what: &str) -> Refused {
    match answered {
        Duplicate::ServerError | Duplicate::Allowed => Refused::internal(),
        Duplicate::Conflict => Refused::new(StatusCode::CONFLICT, format!("{what} already exists")),
    }
}

impl Desk<'_> {
    pub(super) fn create(&mut self, profile: Profile) -> Result<Answer, Refused> {
        let taken = duplicate(self.config.duplicate_external_id, "externalId");
        let made = self.app.create(profile, self.moment, self.config.search_lag);
        let customer = made.map_err(|_| taken)?;
        Ok(show::one(StatusCode::CREATED, show::customer(self.app_id, customer, self.config)))
    }

    /// Answers a list, or a find if there is something to search for.
    pub(super) fn list(&self, query: &Query, twist: Option<Twist>) -> Answer {
        let skip = (query.page - 1).saturating_mul(query.page_size);
        let paged = |total| show::Paged { total, page: query.page, page_size: query.page_size };
        let Some(text) = &query.search else {
            let listed = self.app.book.list(skip, query.page_size, twist);
            let mut answer =
                show::page(self.app_id, &listed.rows, paged(self.app.book.len()), self.config);
            answer.twisted = listed.twisted;
            return answer;
        };
        if let Some(wrong) = self.app.book.wrong_find(text, twist) {
            let mut answer = show::page(self.app_id, &[&wrong], paged(1), self.config);
            answer.twisted = true;
            return answer;
        }
        let found = self.app.search(text, self.moment);
        let rows: Vec<_> = found.iter().skip(skip).take(query.page_size).copied().collect();
        show::page(self.app_id, &rows, paged(found.len()), self.config)
    }

    /// A call that concerns the customer with this id.
    pub(super) fn customer(
        &mut self,
        endpoint: &str,
        id: &str,
        call: &Call,
    ) -> Result<Answer, Refused> {
        match endpoint {
            "update_customer" => {
                let profile = Body::read(call)?.profile(self.config)?;
                let taken = duplicate(self.config.duplicate_external_id, "externalId");
                let edited = self.app.edit(id, profile, self.moment.now).map_err(|_| taken)?;
                let customer = edited.ok_or_else(|| no_customer(id))?;
                Ok(show::one(StatusCode::OK, show::customer(self.app_id, customer, self.config)))
            }
            "add_method" => self.add_wallet(id, call),
            "remove_method" => self.remove_wallet(id, call),
            _ => {
                let customer = self.app.book.get(id).ok_or_else(|| no_customer(id))?;
                let shown = show::heavy(self.app_id, customer, self.config);
                Ok(show::one(StatusCode::OK, shown))
            }
        }
    }

    fn add_wallet(&mut self, id: &str, call: &Call) -> Result<Answer, Refused> {
        let (chain, address) = Body::read(call)?.wallet(self.config)?;
        let known = self.config.chains.iter().find(|known| known.id == chain);
        let known = known.ok_or_else(|| {
            Refused::new(StatusCode::BAD_REQUEST, format!("Chain {chain} is not supported"))
        })?;
        let kept = address::kept(known.form, &address)
            .ok_or_else(|| Refused::at("walletAddress", "Invalid wallet address"))?;
        let added = self.app.add_wallet(id, chain, &kept, self.moment.now);
        let wallet = added.map_err(|e| match e {
            NotAdded::NoCustomer => no_customer(id),
            NotAdded::Duplicate => duplicate(self.config.duplicate_wallet, "wallet"),
        })?;
        let shown = show::wallet_with_chain(id, wallet, self.config);
        Ok(show::one(StatusCode::CREATED, shown))
    }

    fn remove_wallet(&mut self, id: &str, call: &Call) -> Result<Answer, Refused> {
        let segments = call.segments();
        let wallet = segments.get(3).map(String::as_str).unwrap_or_default();
        let customer = self.app.book.get(id).ok_or_else(|| no_customer(id))?;
        let held = customer.wallets.iter().find(|w| w.id == wallet);
        let held = held.ok_or_else(|| Refused::no("CustomerWallet", wallet))?;
        if held.authorization.active && self.config.authorized_wallets_stay {
            let message = "the wallet has an active authorization";
            return Err(Refused::new(StatusCode::CONFLICT, message));
        }
        self.app.remove_wallet(id, wallet);
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }
}
