//! What a test asks of a running sandbox, in the sandbox's own types. The admin door says the same
//! over HTTP.

use crate::change::{Change, ChangeError, Changed, NewMethod};
use crate::config::Kind;
use crate::fault::{FaultError, FaultPlan, LivePlan, RuleReport};
use crate::pipeline::Shared;
use crate::rate::Rate;
use crate::record::{Counters, LogEntry, WorstSecond};
use crate::vendor::UNKNOWN;
use crate::view::{AccountView, CustomerView, StatePage};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running sandbox, seen from a test. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    addr: SocketAddr,
    base: Arc<str>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("base_url", &self.base).finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, addr: SocketAddr) -> Self {
        Self { shared, addr, base: format!("http://{addr}").into() }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The OAuth token endpoint's URL.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/oauth2/token", self.base)
    }

    /// Which vendor it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shared.vendor.kind()
    }

    /// What decides its ids.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// The accounts with their sizes. `_empty` appears once the fault `empty_account` wrote to it.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountView> {
        self.shared.vendor.seen(|shown| shown.accounts())
    }

    /// Every customer of an account, by reference, then id. Empty if there is no such account.
    #[must_use]
    pub fn customers(&self, account: &str) -> Vec<CustomerView> {
        self.state_page(account, None, usize::MAX).map(|page| page.customers).unwrap_or_default()
    }

    /// At most `limit` customers behind the cursor; none if there is no such account.
    #[must_use]
    pub fn state_page(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Option<StatePage> {
        self.shared.vendor.seen(|shown| shown.page(account, after, limit))
    }

    /// One customer by the vendor's id.
    #[must_use]
    pub fn customer(&self, account: &str, id: &str) -> Option<CustomerView> {
        self.shared.vendor.seen(|shown| shown.customer(account, id))
    }

    /// One customer by the client's reference, compared byte for byte.
    #[must_use]
    pub fn customer_by_reference(&self, account: &str, reference: &str) -> Option<CustomerView> {
        self.shared.vendor.seen(|shown| shown.by_reference(account, reference))
    }

    /// Calls for each endpoint and status.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.recorder().counters()
    }

    /// Requests to the token endpoint.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.counters().calls("token")
    }

    /// Access tokens given out since the start.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.shared.vendor.tokens_issued()
    }

    /// Ends every access token that was given out; the next call with one is 401.
    pub fn revoke_access_tokens(&self) {
        self.shared.vendor.revoke_access();
    }

    /// The request log, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.log_after(0, usize::MAX, None)
    }

    /// The log's entries with a number above `after`, of one endpoint or all, at most `limit`.
    #[must_use]
    pub fn log_after(&self, after: u64, limit: usize, endpoint: Option<&str>) -> Vec<LogEntry> {
        self.shared.recorder().log(after, limit, endpoint)
    }

    /// Forgets the log and the counters (not the data, not the faults).
    pub fn clear_log(&self) {
        self.shared.recorder().clear();
    }

    /// The most requests within any one second, of one endpoint, or of all that the rate limit
    /// counts. Refused ones count, too. Only what is still in the log is seen.
    #[must_use]
    pub fn worst_second(&self, endpoint: Option<&str>) -> WorstSecond {
        let vendor = &self.shared.vendor;
        self.shared.recorder().worst_second(|name| match endpoint {
            Some(wanted) => wanted == name,
            None => name == UNKNOWN || !vendor.unmetered(name),
        })
    }

    /// Puts these rules in place of all others. Counters begin at 0.
    ///
    /// # Errors
    /// [`FaultError`] if the plan cannot be; the old one stays.
    pub fn put_faults(&self, plan: FaultPlan) -> Result<(), FaultError> {
        plan.check(self.kind())?;
        *self.shared.faults() = LivePlan::new(self.shared.seed, plan);
        Ok(())
    }

    /// Adds rules behind the others, whose counters stay.
    ///
    /// # Errors
    /// [`FaultError`] if they cannot be, alone or beside the others; nothing is added then.
    pub fn add_faults(&self, plan: FaultPlan) -> Result<(), FaultError> {
        let mut live = self.shared.faults();
        let mut all = live.plan();
        all.rules.extend(plan.rules.iter().cloned());
        all.check(self.kind())?;
        live.append(plan);
        Ok(())
    }

    /// Takes every rule away.
    pub fn clear_faults(&self) {
        *self.shared.faults() = LivePlan::new(self.shared.seed, FaultPlan::default());
    }

    /// What each rule has done.
    #[must_use]
    pub fn faults(&self) -> Vec<RuleReport> {
        self.shared.faults().report()
    }

    /// The rules that never fired: a test that has any proves less than it says.
    #[must_use]
    pub fn faults_unfired(&self) -> Vec<RuleReport> {
        let mut rules = self.faults();
        rules.retain(|rule| rule.fired == 0);
        rules
    }

    /// The vendor's rate limit.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.shared.bucket().rate()
    }

    /// Changes or lifts the rate limit; false if the rate cannot be (then the old one stays).
    pub fn set_rate(&self, rate: Option<Rate>) -> bool {
        let valid = rate.is_none_or(|rate| rate.is_valid());
        if valid {
            self.shared.bucket().set(rate);
        }
        valid
    }

    /// Makes a change as a payer or another client would.
    ///
    /// # Errors
    /// [`ChangeError`] naming what is missing or taken.
    pub fn change(&self, account: &str, change: Change) -> Result<Changed, ChangeError> {
        self.shared.vendor.change(account, change)
    }

    /// Another client creates a customer; its id is answered.
    ///
    /// # Errors
    /// As [`Handle::change`].
    pub fn create_customer(
        &self,
        account: &str,
        reference: Option<&str>,
        name: &str,
        email: &str,
    ) -> Result<String, ChangeError> {
        let (name, email) = (Some(name.to_owned()), Some(email.to_owned()));
        let reference = reference.map(str::to_owned);
        let fields = BTreeMap::new();
        let made =
            self.change(account, Change::CreateCustomer { reference, name, email, fields })?;
        Ok(made.id)
    }

    /// Deletes a customer with its methods.
    ///
    /// # Errors
    /// As [`Handle::change`].
    pub fn delete_customer(&self, account: &str, customer: &str) -> Result<(), ChangeError> {
        let customer = customer.to_owned();
        self.change(account, Change::DeleteCustomer { customer }).map(|_| ())
    }

    /// The payer saves a method; its id is answered.
    ///
    /// # Errors
    /// As [`Handle::change`].
    pub fn add_method(
        &self,
        account: &str,
        customer: &str,
        method: NewMethod,
        default: bool,
    ) -> Result<String, ChangeError> {
        let customer = customer.to_owned();
        let made = self.change(account, Change::AddMethod { customer, method, default })?;
        Ok(made.id)
    }

    /// The payer removes a method.
    ///
    /// # Errors
    /// As [`Handle::change`].
    pub fn remove_method(
        &self,
        account: &str,
        customer: &str,
        method: &str,
    ) -> Result<(), ChangeError> {
        let (customer, method) = (customer.to_owned(), method.to_owned());
        self.change(account, Change::RemoveMethod { customer, method }).map(|_| ())
    }

    /// The payer chooses a default, or none.
    ///
    /// # Errors
    /// As [`Handle::change`].
    pub fn set_default(
        &self,
        account: &str,
        customer: &str,
        method: Option<&str>,
    ) -> Result<(), ChangeError> {
        let (customer, method) = (customer.to_owned(), method.map(str::to_owned));
        self.change(account, Change::SetDefault { customer, method }).map(|_| ())
    }
}
