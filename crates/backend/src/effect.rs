//! Changing calls: what is wanted, the request built for it, and what became of it.

use std::fmt;
use std::time::Duration;

use model::{
    Address, Code, EffectKind, FieldName, MethodFacts, Profile, Reference, RemoteCustomerId,
    RemoteMethodId, Token,
};
use secrecy::SecretSlice;

use crate::{RemoteCustomer, RemoteMethod};

/// A payment method to be saved.
#[derive(Debug, Clone)]
pub struct NewMethod {
    /// Whose, at the provider.
    pub customer: RemoteCustomerId,
    /// What is known of it.
    pub facts: MethodFacts,
    /// The credential to save; none for wallets, which are saved by address.
    pub token: Option<Token>,
    /// The billing address, where the provider takes one.
    pub billing: Address,
    /// Whether it becomes the customer's default.
    pub default: bool,
}

/// One changing call. [`Effect::ImportMethods`] carries many items, every other exactly one.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Creates a customer under our reference. Needs `create_customer`.
    CreateCustomer {
        /// Our reference.
        reference: Reference,
        /// The fields.
        profile: Profile,
    },
    /// Changes the stated fields of a customer and no other. Needs `update_customer`.
    UpdateCustomer {
        /// Whose.
        customer: RemoteCustomerId,
        /// Only the fields to be changed.
        changes: Profile,
        /// The provider's own metadata, as [`RemoteCustomer::metadata`] was read right before, where
        /// [`crate::Capabilities::metadata_replaced`]: the keys that stay.
        metadata: Option<String>,
    },
    /// Deletes a customer. Needs `delete_customer`.
    DeleteCustomer {
        /// Whose.
        customer: RemoteCustomerId,
    },
    /// Saves one payment method. Needs `add_method`.
    AddMethod(NewMethod),
    /// Saves many payment methods in one call. Needs `import_batch`.
    ImportMethods(Vec<NewMethod>),
    /// Makes a payment method the default. Needs `set_default`.
    SetDefault {
        /// Whose.
        customer: RemoteCustomerId,
        /// Which.
        method: RemoteMethodId,
    },
    /// Removes a payment method; one that is gone already counts as removed. Needs
    /// `remove_method`.
    RemoveMethod {
        /// Whose.
        customer: RemoteCustomerId,
        /// Which.
        method: RemoteMethodId,
    },
}

impl Effect {
    /// The kind, as the journal has it.
    #[must_use]
    pub const fn kind(&self) -> EffectKind {
        match self {
            Self::CreateCustomer { .. } => EffectKind::CreateCustomer,
            Self::UpdateCustomer { .. } => EffectKind::UpdateCustomer,
            Self::DeleteCustomer { .. } => EffectKind::DeleteCustomer,
            Self::AddMethod(_) => EffectKind::AddMethod,
            Self::ImportMethods(_) => EffectKind::ImportMethod,
            Self::SetDefault { .. } => EffectKind::SetDefault,
            Self::RemoveMethod { .. } => EffectKind::RemoveMethod,
        }
    }

    /// How many journal rows it carries out.
    #[must_use]
    pub fn items(&self) -> usize {
        match self {
            Self::ImportMethods(methods) => methods.len(),
            _ => 1,
        }
    }
}

/// Why an effect cannot be sent at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// From the published list.
    pub code: Code,
    /// The field at fault, if it is one field.
    pub field: Option<FieldName>,
    /// What is wrong, what was expected, never the value of a token. Where the field at fault is a
    /// payment method's (`last4`), one that is missing or of a wrong form begins the message, in
    /// backquotes.
    pub message: String,
    /// For an effect of many items: which one.
    pub item: usize,
}

/// What a request does, in HTTP's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the verbs of HTTP")]
pub enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// In capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request that is ready but for its credentials: built before the intent is committed, sent
/// after.
pub struct Prepared {
    /// The kind of the effect.
    pub kind: EffectKind,
    /// How many items it carries.
    pub items: usize,
    /// The verb.
    pub verb: Verb,
    /// The endpoint's path with placeholders, for logs and counters: bounded, no ids.
    pub route: &'static str,
    /// The path, with ids, percent-encoded.
    pub path: String,
    /// The exact bytes to send; empty where the call has no body.
    pub body: SecretSlice<u8>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("kind", &self.kind)
            .field("items", &self.items)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// Why nothing left this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The send window had passed.
    Late,
    /// No connection: DNS, TCP or TLS failed before the first byte.
    Connect,
    /// We are stopping.
    Cancelled,
}

/// What the provider says it did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The customer as the answer shows it, for effects on a customer.
    pub customer: Option<RemoteCustomer>,
    /// The payment method as the answer shows it.
    pub method: Option<RemoteMethod>,
    /// The permanent credential that the answer carries, if it does: stored encrypted.
    pub credential: Option<Token>,
}

/// Why the provider declined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The provider's own code.
    pub code: Option<String>,
    /// The provider's own text, redacted.
    pub message: String,
    /// The column of a file that it speaks of, or a field by the provider's own name if no column
    /// is behind it.
    pub field: Option<String>,
}

/// What became of one item of an effect.
#[derive(Debug, Clone)]
pub enum ItemOutcome {
    /// Nothing left this machine: plan it again.
    NotSent(NotSent),
    /// The provider wants fewer calls: plan it again, later.
    Throttled,
    /// The credentials are not taken or do not allow it: the run pauses.
    AccountFault(Refusal),
    /// The batch was too large: nothing of it took place, plan it again in smaller ones.
    BatchTooLarge,
    /// It took place.
    Done(Box<Applied>),
    /// The provider says this payment method is saved already, under this id: believed only
    /// when it is listed under this customer.
    AlreadySaved(RemoteMethodId),
    /// The provider says a customer of this reference exists: look, believe it only if equal.
    Conflict(Refusal),
    /// The provider declined it, and does not say whether because a customer of this reference
    /// exists: look; where nobody is, it is refused.
    RefusedOrThere(Refusal),
    /// The provider declined it.
    Refused(Refusal),
    /// The provider is still at work on an earlier request with the same idempotency key: to be asked
    /// again with that key, and with no other, once it had the time. Until then it may have taken
    /// place.
    InProgress(String),
    /// It may have taken place.
    Unknown(String),
}

/// What is known of the call as a whole.
#[derive(Debug, Clone, Default)]
pub struct CallFacts {
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// When the provider asks to be left alone until.
    pub retry_after: Option<Duration>,
}

/// What became of a changing call.
#[derive(Debug)]
pub struct SendOutcome {
    /// One for each item, in the effect's order.
    pub items: Vec<ItemOutcome>,
    /// The call as a whole.
    pub call: CallFacts,
}

impl SendOutcome {
    /// The same for every item.
    #[must_use]
    pub fn all(items: usize, outcome: &ItemOutcome, call: CallFacts) -> Self {
        Self { items: vec![outcome.clone(); items], call }
    }
}
