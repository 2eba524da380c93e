//! What links are like, and what a person makes of them (rule 8).

use model::{AccountName, Code, CustomerId, MethodId, Reference, RemoteCustomerId, RemoteMethodId};

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::decode::{as_id, unsigned};
use crate::records::words;

words! {
    /// What there is to say of how a customer was matched: a finding of that category.
    MatchCategory {
        /// Its reference, or its e-mail address, fits a record that it may not belong to: it has a
        /// record of its own until a person links it.
        AmbiguousMatch = "ambiguous_match",
        /// Another live customer of the account has its reference.
        DuplicateAtProvider = "duplicate_at_provider",
        /// Its reference at the provider is another than that of the record it is linked to.
        ReferenceChanged = "reference_changed",
        /// It has no reference that could link it.
        Unreferenced = "unreferenced",
    }
}

/// The live customers of an account of which one thing is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchFinding {
    /// What.
    pub category: MatchCategory,
    /// Of how many.
    pub count: u64,
    /// The first of them by the provider's id, each with the record that it is linked to.
    pub examples: Vec<(RemoteCustomerId, Option<CustomerId>)>,
}

/// `$1` is the account, `$2` how many examples there are to be. What a person linked stays as it
/// is, whatever its reference.
pub(crate) const MATCHING: &str = "SELECT category, total, remote_id, customer_id FROM \
     (SELECT category, remote_id, customer_id, COUNT(*) OVER (PARTITION BY category) AS total, \
     ROW_NUMBER() OVER (PARTITION BY category ORDER BY remote_id) AS place FROM \
     (SELECT r.remote_id, r.customer_id, CASE \
         WHEN r.linked_by = 'person' THEN NULL \
         WHEN r.linked_by = 'ambiguous' THEN 'ambiguous_match' \
         WHEN r.linked_by = 'duplicate_reference' AND EXISTS (SELECT 1 FROM remote_customers AS o \
             WHERE o.account = r.account AND o.reference = r.reference AND o.state = 'live' \
             AND o.remote_id <> r.remote_id) THEN 'duplicate_at_provider' \
         WHEN r.linked_by = 'no_reference' \
             AND (r.reference IS NULL OR octet_length(r.reference) > 255) THEN 'unreferenced' \
         WHEN r.linked_by = 'email' AND r.reference IS NULL THEN NULL \
         WHEN r.reference IS DISTINCT FROM c.reference THEN 'reference_changed' END AS category \
     FROM remote_customers AS r LEFT JOIN customers AS c ON c.id = r.customer_id \
     WHERE r.account = $1 AND r.state = 'live') AS found WHERE category IS NOT NULL) AS counted \
     WHERE place <= $2 ORDER BY category, remote_id";

/// A row of [`MATCHING`].
pub(crate) type MatchRow = (String, i64, String, Option<String>);

impl MatchFinding {
    /// Of the rows of [`MATCHING`], with so many examples at most.
    pub(crate) fn of(rows: Vec<MatchRow>, most: u32) -> Result<Vec<Self>, StoreError> {
        let mut findings: Vec<Self> = Vec::new();
        for (word, count, remote, customer) in rows {
            let category = MatchCategory::parse(&word)
                .ok_or_else(|| StoreError::corrupt("a finding", "it is no word of ours"))?;
            if findings.last().is_none_or(|last| last.category != category) {
                findings.push(Self { category, count: unsigned(count), examples: Vec::new() });
            }
            let example = (as_id(remote)?, customer.map(as_id).transpose()?);
            if let Some(last) =
                findings.last_mut().filter(|last| last.examples.len() < most as usize)
            {
                last.examples.push(example);
            }
        }
        Ok(findings)
    }
}

/// Where a person wants a customer to be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTo {
    /// To a record of its own.
    Own,
    /// To this record.
    Customer(CustomerId),
    /// To the record of this reference in the account's namespace.
    Reference(Reference),
}

/// A customer that a person wants to be linked elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMove {
    /// Which, by the provider's id.
    pub remote_customer: RemoteCustomerId,
    /// Where to.
    pub to: LinkTo,
    /// Payment methods of it, each with the record of the customer it is to be linked to. The
    /// others go by their facts.
    pub methods: Vec<(RemoteMethodId, MethodId)>,
}

/// What became of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMoved {
    /// Which, by the provider's id.
    pub remote_customer: RemoteCustomerId,
    /// The record it was linked to.
    pub before: Option<CustomerId>,
    /// The record it is linked to now; the same where it was there already.
    pub after: CustomerId,
    /// That record's reference.
    pub reference: Option<String>,
    /// Its payment methods whose links, or whose records' customers, are others now.
    pub methods: Vec<MethodMoved>,
}

/// What became of the link of a payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodMoved {
    /// Which, by the provider's id.
    pub remote_method: RemoteMethodId,
    /// The record it was linked to.
    pub before: Option<MethodId>,
    /// The record it is linked to now; the same where the record went along with its customer, none
    /// where it is gone at the provider and the record is others' too.
    pub after: Option<MethodId>,
}

/// Why a customer is not linked as a person wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefused {
    /// The mirror does not have the customer.
    #[error("account {account} has no customer {customer}")]
    NoSuchRemote {
        /// The account.
        account: AccountName,
        /// The provider's id.
        customer: RemoteCustomerId,
    },
    /// The customer is gone at the provider.
    #[error("customer {customer} of account {account} is gone at the provider")]
    NotLive {
        /// The account.
        account: AccountName,
        /// The provider's id.
        customer: RemoteCustomerId,
    },
    /// There is no such record.
    #[error("there is no customer {to} in the namespace {namespace}")]
    NoSuchCustomer {
        /// Our id, or the reference.
        to: String,
        /// The account's namespace.
        namespace: String,
    },
    /// The reference is that of another record than the id.
    #[error("customer {customer} has not the reference that stands beside it")]
    OtherReference {
        /// Our id.
        customer: CustomerId,
    },
    /// Another live customer of the account is linked to the record.
    #[error("another customer of account {account} is linked to {customer}: {by}")]
    Taken {
        /// The account.
        account: AccountName,
        /// Our id.
        customer: CustomerId,
        /// Who is there, by the provider's id.
        by: RemoteCustomerId,
    },
    /// The customer has no such payment method at the provider.
    #[error("customer {customer} of account {account} has no live payment method {method}")]
    NoSuchRemoteMethod {
        /// The account.
        account: AccountName,
        /// The provider's id of the customer.
        customer: RemoteCustomerId,
        /// The provider's id of the payment method.
        method: RemoteMethodId,
    },
    /// The record has no such payment method.
    #[error("customer {customer} has no payment method {method}")]
    NoSuchMethod {
        /// Our id of the customer.
        customer: String,
        /// Our id of the payment method.
        method: MethodId,
    },
    /// A card is no bank account.
    #[error("payment method {method} is of another kind")]
    OtherKind {
        /// Our id.
        method: MethodId,
    },
    /// Another live payment method of the account is linked to the record.
    #[error("another payment method of account {account} is linked to {method}: {by}")]
    MethodTaken {
        /// The account.
        account: AccountName,
        /// Our id.
        method: MethodId,
        /// Which one is there, by the provider's id.
        by: String,
    },
}

impl LinkRefused {
    /// Its code in the published list.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoSuchRemote { .. } | Self::NoSuchCustomer { .. } => Code::NoSuchCustomer,
            Self::NoSuchRemoteMethod { .. } | Self::NoSuchMethod { .. } => Code::NoSuchMethod,
            Self::NotLive { .. }
            | Self::OtherReference { .. }
            | Self::Taken { .. }
            | Self::OtherKind { .. }
            | Self::MethodTaken { .. } => Code::LinkRefused,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSuchRemote { account, .. } => format!(
                "`onfile export links --account {account}` lists those that are known; `onfile pull \
                 {account}` reads the others"
            ),
            Self::NotLive { .. } => "only what is live has a link that counts".to_owned(),
            Self::NoSuchCustomer { .. } => {
                "`onfile export customers` lists them; customers of another namespace are others"
                    .to_owned()
            }
            Self::OtherReference { .. } => {
                "leave one of the two out, or write the record's own reference".to_owned()
            }
            Self::Taken { account, by, .. } => format!(
                "one account has one customer for a record: `onfile unlink customer {account} {by}` \
                 takes that one away first"
            ),
            Self::NoSuchRemoteMethod { account, .. } => {
                format!("`onfile export links --account {account}` lists them")
            }
            Self::NoSuchMethod { .. } => {
                "`onfile export methods` lists them with their customers".to_owned()
            }
            Self::OtherKind { .. } => "name a payment method of the same kind".to_owned(),
            Self::MethodTaken { .. } => {
                "one account has one payment method for a record; name another".to_owned()
            }
        }
    }
}
