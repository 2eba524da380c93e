//! The adapter for payment providers of the style `proxy-token` (Govifi / Caselle Payments API):
//! customers under a unique `reference_id`, payment methods saved by a processor's token, events
//! that say what to read again.
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
//! let config = ProxyTokenConfig { /* from the account's section */ };
//! let credentials = config.credentials()?;
//! let transport = Transport::new(transport_config, credentials, permits, calls, clock)?;
//! let backend = Arc::new(ProxyToken::new(&config, Arc::clone(&transport))?);
//! let account = Account::new(name, namespace, timing, backend, transport);
//! let events: Arc<dyn EventSource> = Arc::new(ProxyTokenEvents::new(&config)?);
//! ```
//!
//! [`ProxyTokenConfig::identity`] goes into the account's identity row (rule 1); [`BASE_URL`] is
//! the host where config names none.
#![deny(clippy::indexing_slicing)]

mod backend;
mod config;
mod events;
mod map;
mod oauth;
#[cfg(test)]
mod testing;
mod wire;

pub use self::backend::ProxyToken;
pub use self::config::{
    BASE_URL, DEFAULT_IMPORT_BATCH, DEFAULT_REPLAY_WINDOW, DEFAULT_SCOPE, KIND, ProxyTokenConfig,
    ProxyTokenCredentials,
};
pub use self::events::ProxyTokenEvents;
