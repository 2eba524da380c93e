//! What a provider holds, in canonical words.

use std::collections::BTreeMap;

use crate::{MethodFacts, Profile, RemoteCustomerId, RemoteMethodId, Timestamp, Token};

/// Whether a thing is alive at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteStatus {
    /// Usable.
    Live,
    /// The provider shows it, and says it is deleted.
    Deleted,
}

/// A customer as the provider shows it.
#[derive(Debug, Clone)]
pub struct RemoteCustomer {
    /// The provider's id.
    pub id: RemoteCustomerId,
    /// Our reference as the provider has it, verbatim; it may be absent or somebody else's.
    pub reference: Option<String>,
    /// The fields the provider holds.
    pub profile: Profile,
    /// The provider's metadata verbatim, where a change of it replaces it whole. Goes back with the
    /// next change; it is stored nowhere.
    pub metadata: Option<String>,
    /// Alive or a tombstone.
    pub status: RemoteStatus,
    /// When the provider made it.
    pub created_at: Option<Timestamp>,
    /// Its payment methods, where they come inline; `None` where they must be listed.
    pub methods: Option<Vec<RemoteMethod>>,
}

/// A saved payment method as the provider shows it.
#[derive(Debug, Clone)]
pub struct RemoteMethod {
    /// The provider's id.
    pub id: RemoteMethodId,
    /// What is known of it.
    pub facts: MethodFacts,
    /// Whether it is the customer's default; `None` where the provider does not show it.
    pub default: Option<bool>,
    /// When the provider made it.
    pub created_at: Option<Timestamp>,
    /// What else the provider says of it and nobody can set: `keep_until`, `authorization`. A list
    /// shows all there are; the answer to an effect may leave out some, or all.
    pub attributes: BTreeMap<String, String>,
    /// A credential in the answer, where the provider gives one.
    pub credential: Option<Token>,
}
