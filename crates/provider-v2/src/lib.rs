//! The adapter for payment providers of the style `v2` (Monri WebPay API v2): customers under a
//! unique `merchant_customer_id`, cards that the payer saves in a payment and nobody else can, every
//! call signed.
//!
//! It maps and classifies. It does not pace, retry, split, or decide what is believed: that is
//! `transport` below it and the engine above. What the vendor documents, what was adopted and
//! where each adopted reading lives stands in `docs.md`.
//!
//! # Wiring
//!
//! ```text
//! let config = V2Config { /* from the account's section */ };
//! let transport = Transport::new(transport_config, config.credentials(clock)?, permits, calls, clock)?;
//! let backend = Arc::new(V2::new(&config, transport)?);
//! let events: Arc<dyn EventSource> = Arc::new(V2Events::new(&config)?);
//! ```
//!
//! [`V2Config::identity`] goes into the account's identity row (rule 1); [`BASE_URL`] is the host
//! where config names none, [`TEST_URL`] the vendor's own for tests.
#![deny(clippy::indexing_slicing)]

mod backend;
mod config;
mod events;
mod map;
mod sign;
#[cfg(test)]
mod testing;
mod wire;

pub use self::backend::V2;
pub use self::config::{BASE_URL, KIND, TEST_URL, V2Config};
pub use self::events::V2Events;
