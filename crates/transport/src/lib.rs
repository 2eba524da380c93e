//! The one HTTP client under every provider adapter: lanes, rate limit, permits, read retries,
//! `Retry-After`, deadlines, redaction.
//!
//! It knows no provider and no wire format: an adapter hands it an [`HttpRequest`] and reads the
//! [`HttpResponse`]. What every adapter does with a vendor's JSON and errors is in [`vendor`], the
//! vendor's own ways handed in. It holds no state beyond the process: what processes share comes through
//! [`PermitSource`]. Nothing it says (errors, events, [`CallRecord`]) holds a body, a header's or
//! query's value, or an id.
//!
//! Start at [`Transport`]: reads go through the rings of `rings.rs` (deadline, retry, permit,
//! timeout, in this order from the outside), a changing call through [`Transport::write`] exactly
//! once. Every call of an account takes its slot from the same pacer; there is no other way to
//! the wire.

mod address;
mod calls;
mod config;
mod credentials;
mod message;
mod notify;
mod pacer;
mod permits;
mod redact;
mod retry;
mod retry_after;
mod rings;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod transport;
pub mod vendor;
mod wire;

pub use calls::{CallLog, CallRecord};
pub use config::{Rate, TransportConfig};
pub use credentials::{Credentials, StaticHeaders};
pub use message::{HttpRequest, HttpResponse, Sent};
pub use notify::{NotHeard, notify};
pub use permits::{Lease, LocalPermits, PermitSource, PermitSourceError};
pub use redact::{request_id, vendor_text};
pub use transport::Transport;

#[cfg(test)]
mod tests;
