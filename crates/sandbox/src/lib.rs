//! The loopback simulator of payment providers, for onfile's tests, its `demo` and its users.
//!
//! **What it is.** An HTTP server on loopback that behaves as a provider's contract says, with data
//! made from a seed, faults given as data, a rate limit, counters, a request log, and an admin door
//! for what payers do behind onfile's back. Each vendor style is a module of its own behind the one
//! trait in `vendor`; connections, faults, counters and the door are shared.
//!
//! **What it is not.** It shares no type with the adapters it tests and is written from the
//! contracts alone. It never speaks to a real provider, keeps nothing on disk, and moves no money.
//!
//! **Where to start.** [`Sandbox::start`] with a [`SandboxConfig`]; then [`Handle`] for looking and
//! changing. The way of one request is in `pipeline`. Fault names, SPEC grammar and the door's calls
//! are in docs.md.

mod accounts;
mod admin;
mod book;
mod change;
mod clock;
mod config;
pub mod ecrypt;
mod fault;
mod handle;
pub mod noderails;
mod pan;
mod people;
mod pipeline;
pub mod proxy_token;
mod rate;
mod record;
mod seeded;
mod server;
mod style;
pub mod v2;
mod vendor;
mod view;

#[cfg(test)]
mod tests;

/// The crate's docs: what is simulated, fault names, SPEC grammar, calls of the admin door.
pub const DOCS: &str = include_str!("../docs.md");

pub use change::{Change, ChangeError, Changed, NewMethod};
pub use clock::WallClock;
pub use config::{Kind, SandboxConfig, VendorConfig};
pub use fault::{Fault, FaultError, FaultPlan, On, Rule, RuleReport};
pub use handle::Handle;
pub use rate::Rate;
pub use record::{Counters, EndpointCount, LogEntry, WorstSecond};
pub use server::{Running, Sandbox};
pub use style::Way;
pub use view::{AccountView, CustomerView, MethodKind, MethodView, StatePage};
