//! What is tortured: a provider, what it can do, and by which endpoints of its simulator.

use backend::{Capabilities, FindBy, TokenRoute};
use model::{FieldName, MethodKind};
use sandbox::Kind;

use crate::inproc;
use crate::providers::{Method, Provider};

/// Endpoints that an import changes something by.
const WRITES: [&str; 5] =
    ["create_customer", "update_customer", "add_method", "set_default", "bulk_import"];

/// A provider, with what it can do.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub provider: &'static dyn Provider,
    pub capabilities: Capabilities,
    /// Which simulator it is.
    vendor: Kind,
}

impl Target {
    pub async fn of(provider: &'static dyn Provider) -> anyhow::Result<Self> {
        let capabilities = inproc::capabilities(provider).await?;
        Ok(Self { provider, capabilities, vendor: provider.vendor().kind() })
    }

    /// The provider's endpoints that an import changes something by.
    pub fn writes(&self) -> Vec<&'static str> {
        let known = self.vendor.endpoints();
        // Where every token is saved with it, nothing else of these files chooses a default.
        let with_it = self.capabilities.tokens.iter().all(|rule| rule.with_default);
        let reached =
            |endpoint: &&str| known.contains(endpoint) && !(with_it && *endpoint == "set_default");
        WRITES.into_iter().filter(reached).collect()
    }

    /// Those that it reads by.
    pub fn reads(&self) -> Vec<&'static str> {
        let reads = [
            ("token", true),
            ("find_customer", self.capabilities.find != FindBy::Nothing),
            ("get_customer", true),
            ("list_customers", self.lists()),
            ("list_methods", !self.kinds().is_empty()),
        ];
        let known = self.vendor.endpoints();
        let reads = reads.into_iter().filter(|(endpoint, used)| *used && known.contains(endpoint));
        reads.map(|(endpoint, _)| endpoint).collect()
    }

    /// Whether it takes the same reference twice, so that its customer list is read.
    pub fn lists(&self) -> bool {
        self.capabilities.find != FindBy::UniqueReference
    }

    /// Whether a deleted customer keeps its reference: where it is unique, and who had it is shown.
    pub fn keeps_references(&self) -> bool {
        self.capabilities.shows_deleted && !self.lists()
    }

    /// Whether the same payment method, sent twice, is saved twice.
    pub fn saves_twice(&self) -> bool {
        let can = &self.capabilities;
        let dedupes =
            can.import_dedupes && can.tokens.iter().all(|rule| rule.route == TokenRoute::Bulk);
        !self.kinds().is_empty() && !dedupes
    }

    /// The kinds of payment method that a file can bring.
    pub fn kinds(&self) -> Vec<MethodKind> {
        let all = [MethodKind::Card, MethodKind::BankAccount, MethodKind::CryptoWallet];
        let saved = |kind: &MethodKind| {
            !Method::numbered(*kind, 0).token_kinds(&self.capabilities).is_empty()
        };
        all.into_iter().filter(saved).collect()
    }

    /// Whether a file can say which payment method is the default.
    pub fn defaults(&self) -> bool {
        self.capabilities.set_default && !self.kinds().is_empty()
    }

    /// Whether a customer has metadata.
    pub fn metadata(&self) -> bool {
        self.capabilities.holds(FieldName::Metadata)
    }

    /// The most payment methods that a file brings for a customer.
    pub fn most_methods(&self) -> u64 {
        self.capabilities.methods_per_customer.map_or(3, u64::from)
    }
}
