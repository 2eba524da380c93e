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

/// How a customer was linked that a person has linked.
pub(crate) const BY_PERSON: &str = "person";

/// What all moves of a person at an account have in common. `BIGINT` is an integer to both.
pub(crate) const PERSON: &str = "SELECT namespace, rank, match_by_email, \
     (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'file_rank') \
     FROM accounts WHERE name = $1";
pub(crate) const PUT_LINK: &str = "UPDATE remote_customers \
     SET customer_id = $3, linked_by = 'person' WHERE account = $1 AND remote_id = $2";
pub(crate) const PUT_METHOD_LINK: &str = "UPDATE remote_methods SET method_id = $4 \
     WHERE account = $1 AND remote_customer_id = $2 AND remote_id = $3";
pub(crate) const MOVE_METHOD: &str =
    "UPDATE methods SET customer_id = $2, updated_at = $3 WHERE id = $1";

/// The statements, for the test that prepares them.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[MATCHING, PERSON, PUT_LINK, PUT_METHOD_LINK, MOVE_METHOD];

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

/// What became of each of some moves, in their order.
pub(crate) type Answers = Vec<Result<LinkMoved, LinkRefused>>;

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

/// What one database does with links: its store, the pool that it reads from, and its connection.
/// Beside it are its `mirror`, how it binds a `list`, and the texts that take one: `NEAR` (which ids
/// are of a namespace, and not erased), `LINKED` (how many mirror rows each has) and `OWNERS` (of
/// payment methods).
macro_rules! moves {
    ($store:ty, $pool:ident, $connection:ty) => {
        impl $store {
            pub(super) async fn read_matching(
                &self,
                account: &model::AccountName,
                most: u32,
            ) -> Result<Vec<$crate::MatchFinding>, $crate::StoreError> {
                let rows = sqlx::query_as($crate::links::MATCHING)
                    .bind(account.as_str())
                    // One at least, which has the count with it.
                    .bind(i64::from(most.max(1)))
                    .fetch_all(&self.$pool)
                    .await?;
                $crate::MatchFinding::of(rows, most)
            }
        }

        /// The rows that bear on the moves.
        async fn rows(
            conn: &mut $connection,
            context: &$crate::canonical::Context,
            moves: &[$crate::LinkMove],
        ) -> Result<$crate::canonical::LinkRows, $crate::StoreError> {
            use $crate::canonical::{LinkRows, OwnerCells};
            let account = &context.account;
            let remotes = || moves.iter().map(|one| &one.remote_customer);
            let mirror = mirror::mirror_of(conn, account, remotes()).await?;
            let needs = LinkRows::needs(&mirror, moves);
            let records = mirror::canonical_customers(conn, &context.namespace, &needs).await?;
            let whose = records.iter().map(|record| record.id.clone()).collect();
            let ids = || list(records.iter().map(|record| record.id.as_str()));
            let near: Vec<String> = sqlx::query_scalar(NEAR)
                .bind(context.namespace.as_str())
                .bind(ids())
                .fetch_all(&mut *conn)
                .await?;
            let linked = sqlx::query_as(LINKED).bind(ids()).fetch_all(&mut *conn).await?;
            let customers = list(remotes().map(model::RemoteCustomerId::as_str));
            let methods = mirror::mirror_methods(conn, account, customers).await?;
            let method_records = mirror::canonical_methods(conn, &whose).await?;
            let theirs = methods.values().filter_map(|row| row.method.as_ref());
            let theirs = list(theirs.map(model::MethodId::as_str));
            let owners: Vec<OwnerCells> =
                sqlx::query_as(OWNERS).bind(theirs).fetch_all(conn).await?;
            Ok(LinkRows {
                near: near.into_iter().map($crate::decode::as_id).collect::<Result<_, _>>()?,
                linked: LinkRows::linked_of(linked)?,
                method_owners: LinkRows::owners_of(owners)?,
                mirror,
                records,
                methods,
                method_records,
            })
        }

        /// What is to be written, and what became of each move.
        async fn planned(
            conn: &mut $connection,
            account: &model::AccountName,
            moves: Vec<$crate::LinkMove>,
            now: model::Timestamp,
        ) -> Result<
            ($crate::canonical::Context, $crate::canonical::LinkPlan, $crate::links::Answers),
            $crate::StoreError,
        > {
            let cells: Option<$crate::canonical::PersonCells> =
                sqlx::query_as($crate::links::PERSON)
                    .bind(account.as_str())
                    .fetch_optional(&mut *conn)
                    .await?;
            let cells = cells.ok_or($crate::StoreError::NotFound("account"))?;
            let context = $crate::canonical::Context::of_person(account, cells, now);
            let rows = rows(conn, &context, &moves).await?;
            let (plan, answers) = $crate::canonical::link(&context, rows, moves)?;
            Ok((context, plan, answers))
        }

        async fn put(
            conn: &mut $connection,
            context: &$crate::canonical::Context,
            plan: &$crate::canonical::LinkPlan,
        ) -> Result<(), $crate::StoreError> {
            mirror::put_canonical_customers(conn, &context.namespace, context.now, &plan.customers)
                .await?;
            mirror::put_canonical_methods(conn, context.now, &plan.methods).await?;
            for (method, customer) in &plan.along {
                sqlx::query($crate::links::MOVE_METHOD)
                    .bind(method.as_str())
                    .bind(customer.as_str())
                    .bind(context.now.micros())
                    .execute(&mut *conn)
                    .await?;
            }
            for (remote, customer) in &plan.links {
                sqlx::query($crate::links::PUT_LINK)
                    .bind(context.account.as_str())
                    .bind(remote.as_str())
                    .bind(customer.as_str())
                    .execute(&mut *conn)
                    .await?;
            }
            for ((customer, method), to) in &plan.method_links {
                sqlx::query($crate::links::PUT_METHOD_LINK)
                    .bind(context.account.as_str())
                    .bind(customer.as_str())
                    .bind(method.as_str())
                    .bind(to.as_ref().map(model::MethodId::as_str))
                    .execute(&mut *conn)
                    .await?;
            }
            mirror::add_changes(conn, context, &plan.changes).await
        }
    };
}
pub(crate) use moves;
