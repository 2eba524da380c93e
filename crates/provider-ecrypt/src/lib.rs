//! The adapter for payment providers of the style `ecrypt`: customers without a unique reference, a
//! wallet of at most four payment methods each, saved by tokens that are spent by it.
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
//! let config = EcryptConfig { /* from the account's section */ };
//! let credentials = config.credentials()?;
//! let transport = Transport::new(transport_config, credentials, permits, calls, clock)?;
//! let backend = Arc::new(Ecrypt::new(&config, Arc::clone(&transport))?);
//! let account = Account::new(name, namespace, timing, backend, transport);
//! let events: Arc<dyn EventSource> = Arc::new(EcryptEvents::new(&config)?);
//! ```
//!
//! Nothing but its host makes an account this account: the vendor shows no merchant, and a key is
//! one merchant's. [`BASE_URL`] is the host where config names none.
#![deny(clippy::indexing_slicing)]

mod backend;
mod config;
mod events;
mod map;
#[cfg(test)]
mod testing;
mod wire;

pub use self::backend::Ecrypt;
pub use self::config::{BASE_URL, Casing, EcryptConfig, KIND, ReferenceField};
pub use self::events::EcryptEvents;
