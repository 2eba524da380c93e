//! The adapter for NodeRails: customers of an app under our `externalId`, their crypto wallets saved
//! by address, no tokens and no events.
//!
//! It maps and classifies. It does not pace, retry, split, or decide what is believed: that is
//! `transport` below it and the engine above. What the vendor documents, what was adopted and
//! where each adopted reading lives stands in `docs.md`.
//!
//! # Wiring
//!
//! Credentials first, then the transport that carries them, then the adapter over it:
//!
//! ```text
//! let config = NodeRailsConfig { /* from the account's section */ };
//! let credentials = config.credentials()?;
//! let transport = Transport::new(transport_config, credentials, permits, calls, clock)?;
//! let backend = Arc::new(NodeRails::new(&config, Arc::clone(&transport))?);
//! let account = Account::new(name, namespace, timing, backend, transport);
//! ```
//!
//! [`NodeRailsConfig::identity`] goes into the account's identity row (rule 1).
#![deny(clippy::indexing_slicing)]

mod backend;
mod config;
mod map;
mod wire;

pub use self::backend::NodeRails;
pub use self::config::{KIND, NodeRailsConfig};
