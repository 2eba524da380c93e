//! What a vendor style says of itself, once, beside its configuration.

use crate::clock::WallClock;
use crate::vendor::Vendor;
use std::collections::HashSet;

/// How the seeded account of a style is configured in onfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The account's name in onfile's example configuration.
    pub account: &'static str,
    /// What its section has beside `kind`, `base_url`, `rate` and the secret: lines of TOML.
    pub settings: &'static str,
    /// The key of the secret, and the secret.
    pub secret: (&'static str, &'static str),
}

/// A vendor style, by its configuration.
pub(crate) trait Style: Default {
    /// The kind in onfile's config.
    const NAME: &'static str;
    /// The names of its endpoints.
    const ENDPOINTS: &'static [&'static str];
    /// How its seeded account is configured.
    const WAY: Way;
    /// What tells its accounts apart.
    const APART: &'static str;

    /// The accounts' names in the sandbox.
    fn names(&self) -> Vec<&str>;
    /// A vendor with its seeded accounts.
    fn open(self, seed: u64, customers: usize, clock: WallClock) -> Box<dyn Vendor>;
}

/// Opens a vendor, if its accounts can be told apart.
pub(crate) fn start(
    style: impl Style,
    seed: u64,
    customers: usize,
    clock: WallClock,
) -> Result<Box<dyn Vendor>, String> {
    fn apart<S: Style>(_: &S) -> &'static str {
        S::APART
    }
    let mut seen = HashSet::new();
    if !style.names().into_iter().all(|name| seen.insert(name.to_owned())) {
        return Err(format!("two accounts have the same {}", apart(&style)));
    }
    Ok(style.open(seed, customers, clock))
}
