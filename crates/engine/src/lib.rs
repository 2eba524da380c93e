//! Every job of onfile: observe, plan, apply, report; nothing has a second path.
//!
//! - [`import`] brings a CSV file to a provider; [`pull`] brings a provider into the store.
//! - Deciding is pure (`group`): rows, what the store knows and what this run read go in, the next
//!   step comes out. Applying asks for the next step until there is none, so a dry run is the same
//!   code without the steps, and a resume is the same code on the rows that have no outcome.
//! - `send` is the only place from which anything at a provider is changed.
//!
//! Never here: a provider's name, SQL, HTTP, the machine's clock.

mod apply;
mod error;
mod failpoint;
pub mod file;
mod forecast;
mod group;
mod import;
mod links;
mod observe;
mod pull;
mod reading;
mod run;
mod scan;
pub mod schedule;
mod send;
mod settle;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backend::{Account, CallCounter};
use model::{AccountName, Clock, Forecast};
use store::{Owner, Store};
use tokio::sync::watch;

pub use error::{EngineError, FileError};
pub use failpoint::{Failpoint, Failpoints};
pub use group::Policy;
pub use import::{Ended, ImportOptions, Limit, cancel, import, summary_of};
pub use links::{Linked, link_file};
pub use pull::{PullOptions, pull};
pub use run::{approve, resume};
pub use settle::{Resolution, Settled, resolve, settle_account};

/// What every job works with: one account, one store.
#[derive(Clone)]
pub struct Engine {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The account.
    pub account: Account,
    /// Kind, host and merchant of the account, in one text: what token fingerprints are bound to.
    pub identity: String,
    /// [`config_hash`] of what decides the meaning of a run's rows: a run does not go on under
    /// another one (rule 7).
    pub config_hash: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who we are, for leases.
    pub owner: Owner,
    /// Counts our calls.
    pub calls: Arc<dyn CallCounter>,
    /// Leave a customer's fields out that the provider does not take as they are, instead of
    /// rejecting the row.
    pub omit_unfit: bool,
    /// Which payment methods a pull reads.
    pub reads: Reads,
    /// Asks us to stop.
    pub stop: Stop,
    /// Told how far a job is; does not hold it up.
    pub progress: Arc<dyn Progress>,
    /// Lets a run die at a named point; only tests have any.
    pub failpoints: Option<Arc<dyn Failpoints>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("account", &self.account.name).finish_non_exhaustive()
    }
}

/// Which payment methods a pull reads, where each customer's are a call of their own (rule 3).
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    /// Those that were read longer ago than this; 0 for all.
    pub methods_max_age: Duration,
    /// As many as so many calls of one run allow: first those of customers that are new, that an
    /// effect has touched, or of whom a card expires soon, then those that were read the longest ago.
    pub calls_budget: Option<u64>,
}

/// SHA-256, in hex, of named parts of a configuration, in order.
#[must_use]
pub fn config_hash<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for text in parts.into_iter().flat_map(|(name, value)| [name, value]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// Hears how far a job is.
pub trait Progress: Send + Sync {
    /// A phase, how much of it is done, and of how much if that is known.
    fn at(&self, phase: &'static str, done: u64, of: Option<u64>);

    /// What a person should know of, once.
    fn says(&self, text: &str);

    /// What a job is about to call, before anything is sent.
    fn forecast(&self, account: &AccountName, forecast: &Forecast);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn at(&self, _: &'static str, _: u64, _: Option<u64>) {}
    fn says(&self, _: &str) {}
    fn forecast(&self, _: &AccountName, _: &Forecast) {}
}

/// How much somebody wants a job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    GoOn,
    /// Once what is in flight has come home.
    Stop,
    /// Without waiting for that: it is settled later.
    AtOnce,
}

/// A wish to stop, seen by every job between two steps.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Wish>);

/// Speaks the wish of a [`Stop`].
#[derive(Debug)]
pub struct Stopper(watch::Sender<Wish>);

impl Stop {
    /// A wish and its speaker.
    #[must_use]
    pub fn pair() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(Wish::GoOn);
        (Stopper(sender), Self(receiver))
    }

    /// Whether it has been spoken.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() >= Wish::Stop
    }

    /// Ends when it is spoken; never, when its speaker is gone without a word.
    pub(crate) async fn wanted(&mut self) {
        self.reaches(Wish::Stop).await;
    }

    /// Ends when what is in flight is not to be waited for either.
    pub(crate) async fn wanted_at_once(&mut self) {
        self.reaches(Wish::AtOnce).await;
    }

    async fn reaches(&mut self, least: Wish) {
        if self.0.wait_for(|wish| *wish >= least).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if self.is_wanted() { Err(EngineError::Stopped) } else { Ok(()) }
    }
}

impl Stopper {
    /// Speaks it. Spoken once, it stays.
    pub fn stop(&self) {
        self.0.send_if_modified(|wish| {
            let first = *wish == Wish::GoOn;
            *wish = (*wish).max(Wish::Stop);
            first
        });
    }

    /// Calls in flight are given up: what became of them is settled when the run goes on.
    pub fn stop_at_once(&self) {
        self.0.send_replace(Wish::AtOnce);
    }
}
