//! What the store holds, in pages of a stable order: for exports.

use std::collections::BTreeMap;

use model::{
    AccountName, CustomerId, FieldName, MethodFacts, MethodId, Profile, RemoteCustomerId,
    RemoteMethodId, Timestamp,
};
use serde::Deserialize;

use crate::StoreError;
use crate::canonical::{attributes, from_json, names_of};
use crate::decode::as_id;

/// Where an export goes on; the default is its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageKey(pub(crate) String, pub(crate) String);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSource {
    /// The account, or `file`.
    pub account: String,
    /// As of when it said so.
    pub at: Timestamp,
}

/// A customer: our record, or an account's row.
#[derive(Debug, Clone)]
pub struct ExportedCustomer {
    /// Where to go on after it.
    pub key: PageKey,
    /// Our id.
    pub customer: Option<CustomerId>,
    /// The provider's id, of an account's row.
    pub remote_customer: Option<RemoteCustomerId>,
    /// The merchant's own id.
    pub reference: Option<String>,
    /// What is known of it.
    pub profile: Profile,
    /// Where each field comes from, by its name; metadata as `metadata.KEY`.
    pub sources: BTreeMap<String, FieldSource>,
}

/// A payment method: our record, or an account's row.
#[derive(Debug, Clone)]
pub struct ExportedMethod {
    /// Where to go on after it.
    pub key: PageKey,
    /// Our id.
    pub method: Option<MethodId>,
    /// Our id of its customer.
    pub customer: Option<CustomerId>,
    /// The customer's reference.
    pub reference: Option<String>,
    /// The provider's id of its customer, of an account's row.
    pub remote_customer: Option<RemoteCustomerId>,
    /// The provider's id, of an account's row.
    pub remote_method: Option<RemoteMethodId>,
    /// What is known of it.
    pub facts: MethodFacts,
    /// Whether it is the default there, of an account's row where the provider shows it.
    pub default: Option<bool>,
    /// What else the provider says of it and nobody can set, of an account's row.
    pub attributes: BTreeMap<String, String>,
    /// Where each fact comes from, by its name.
    pub sources: BTreeMap<String, FieldSource>,
}

/// A live customer of an account with the record it is linked to, or one of its payment methods.
#[derive(Debug, Clone)]
pub struct ExportedLink {
    /// Where to go on after it.
    pub key: PageKey,
    /// Our customer.
    pub customer: Option<CustomerId>,
    /// The record's reference.
    pub reference: Option<String>,
    /// The provider's id of the customer.
    pub remote_customer: RemoteCustomerId,
    /// How it came about.
    pub linked_by: Option<String>,
    /// Our payment method.
    pub method: Option<MethodId>,
    /// The provider's id of the payment method; none in the one row of a customer that has none.
    pub remote_method: Option<RemoteMethodId>,
}

// A record that no live row is linked to is left out: what an export holds can be imported, and
// what is gone everywhere is not to come back by it.

pub(crate) const CUSTOMERS: &str = "SELECT c.id, c.reference, c.profile, c.sources \
     FROM customers AS c WHERE c.id > $1 AND c.erased_at IS NULL AND EXISTS \
     (SELECT 1 FROM remote_customers AS r WHERE r.customer_id = c.id AND r.state = 'live') \
     ORDER BY c.id LIMIT $2";
pub(crate) const CUSTOMERS_OF: &str = "SELECT r.remote_id, r.customer_id, r.reference, \
     r.profile, r.as_of FROM remote_customers AS r WHERE r.account = $3 AND r.state = 'live' \
     AND r.remote_id > $1 ORDER BY r.remote_id LIMIT $2";
pub(crate) const METHODS: &str = "SELECT m.customer_id, m.id, c.reference, m.facts, m.sources \
     FROM methods AS m JOIN customers AS c ON c.id = m.customer_id WHERE m.customer_id >= $1 \
     AND (m.customer_id, m.id) > ($1, $3) AND m.erased_at IS NULL AND EXISTS \
     (SELECT 1 FROM remote_methods AS r WHERE r.method_id = m.id AND r.state = 'live') \
     ORDER BY m.customer_id, m.id LIMIT $2";
pub(crate) const METHODS_OF: &str = "SELECT m.remote_customer_id, m.remote_id, m.method_id, \
     c.customer_id, c.reference, m.facts, m.is_default, m.as_of, m.attributes \
     FROM remote_methods AS m JOIN remote_customers AS c ON c.account = m.account \
         AND c.remote_id = m.remote_customer_id \
     WHERE m.account = $4 AND m.remote_customer_id >= $1 \
     AND (m.remote_customer_id, m.remote_id) > ($1, $3) AND m.state = 'live' \
     AND c.state = 'live' ORDER BY m.remote_customer_id, m.remote_id LIMIT $2";
pub(crate) const LINKS_OF: &str = "SELECT r.remote_id, COALESCE(m.remote_id, ''), r.customer_id, \
     c.reference, r.linked_by, m.method_id FROM remote_customers AS r \
     LEFT JOIN customers AS c ON c.id = r.customer_id \
     LEFT JOIN remote_methods AS m ON m.account = r.account \
         AND m.remote_customer_id = r.remote_id AND m.state = 'live' \
     WHERE r.account = $4 AND r.state = 'live' AND r.remote_id >= $1 \
     AND (r.remote_id > $1 OR COALESCE(m.remote_id, '') > $3) \
     ORDER BY r.remote_id, COALESCE(m.remote_id, '') LIMIT $2";

/// The statements, for the test that prepares them.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[CUSTOMERS, CUSTOMERS_OF, METHODS, METHODS_OF, LINKS_OF];

pub(crate) type CustomerCells = (String, Option<String>, String, String);
pub(crate) type CustomerOfCells = (String, Option<String>, Option<String>, String, i64);
pub(crate) type MethodCells = (String, String, Option<String>, String, String);
pub(crate) type MethodOfCells = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<i64>,
    i64,
    Option<String>,
);
pub(crate) type LinkCells =
    (String, String, Option<String>, Option<String>, Option<String>, Option<String>);

#[derive(Deserialize)]
struct Source {
    account: Option<String>,
    at: Option<i64>,
}

/// What `sources` says of each of these fields. What is kept of the file has a key there too, which
/// is none of theirs.
fn sources_of(
    text: &str,
    fields: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, FieldSource>, StoreError> {
    let said: BTreeMap<String, Source> = from_json("the sources of a record", text)?;
    let of = |source: &Source| {
        let at = Timestamp::from_micros(source.at?);
        Some(FieldSource { account: source.account.clone()?, at })
    };
    Ok(fields
        .filter_map(|field| {
            let source = said.get(&field).or_else(|| said.get("*"))?;
            Some((field, of(source)?))
        })
        .collect())
}

fn all_of(
    account: &AccountName,
    at: Timestamp,
    fields: impl Iterator<Item = String>,
) -> BTreeMap<String, FieldSource> {
    fields.map(|field| (field, FieldSource { account: account.to_string(), at })).collect()
}

fn fields_of(profile: &Profile) -> impl Iterator<Item = String> {
    let texts = FieldName::TEXTS.into_iter().filter(|field| profile.get(*field).is_some());
    let keys = profile.metadata.keys().map(|key| format!("metadata.{key}"));
    texts.map(|field| field.as_str().to_owned()).chain(keys)
}

impl ExportedCustomer {
    pub(crate) fn ours(cells: CustomerCells) -> Result<Self, StoreError> {
        let (id, reference, profile, sources) = cells;
        let profile: Profile = from_json("a profile", &profile)?;
        Ok(Self {
            key: PageKey(id.clone(), String::new()),
            customer: Some(as_id(id)?),
            remote_customer: None,
            reference,
            sources: sources_of(&sources, fields_of(&profile))?,
            profile,
        })
    }

    pub(crate) fn theirs(
        account: &AccountName,
        cells: CustomerOfCells,
    ) -> Result<Self, StoreError> {
        let (remote, customer, reference, profile, as_of) = cells;
        let profile: Profile = from_json("a profile", &profile)?;
        Ok(Self {
            key: PageKey(remote.clone(), String::new()),
            customer: customer.map(as_id).transpose()?,
            remote_customer: Some(as_id(remote)?),
            reference,
            sources: all_of(account, Timestamp::from_micros(as_of), fields_of(&profile)),
            profile,
        })
    }
}

impl ExportedMethod {
    pub(crate) fn ours(cells: MethodCells) -> Result<Self, StoreError> {
        let (customer, id, reference, facts, sources) = cells;
        let facts: MethodFacts = from_json("facts", &facts)?;
        Ok(Self {
            key: PageKey(customer.clone(), id.clone()),
            method: Some(as_id(id)?),
            customer: Some(as_id(customer)?),
            reference,
            remote_customer: None,
            remote_method: None,
            default: None,
            attributes: BTreeMap::new(),
            sources: sources_of(&sources, names_of(&facts))?,
            facts,
        })
    }

    pub(crate) fn theirs(account: &AccountName, cells: MethodOfCells) -> Result<Self, StoreError> {
        let (remote_customer, remote, method, customer, reference, facts, default, as_of, shown) =
            cells;
        let facts: MethodFacts = from_json("facts", &facts)?;
        let shown = attributes::parsed(shown.as_deref())?;
        let fields = names_of(&facts).chain(shown.keys().map(|name| attributes::field_of(name)));
        Ok(Self {
            key: PageKey(remote_customer.clone(), remote.clone()),
            method: method.map(as_id).transpose()?,
            customer: customer.map(as_id).transpose()?,
            reference,
            remote_customer: Some(as_id(remote_customer)?),
            remote_method: Some(as_id(remote)?),
            default: default.map(|value| value != 0),
            sources: all_of(account, Timestamp::from_micros(as_of), fields),
            attributes: shown,
            facts,
        })
    }
}

impl ExportedLink {
    pub(crate) fn of(cells: LinkCells) -> Result<Self, StoreError> {
        let (remote_customer, remote, customer, reference, linked_by, method) = cells;
        Ok(Self {
            key: PageKey(remote_customer.clone(), remote.clone()),
            customer: customer.map(as_id).transpose()?,
            reference,
            remote_customer: as_id(remote_customer)?,
            linked_by,
            method: method.map(as_id).transpose()?,
            remote_method: Some(remote).filter(|id| !id.is_empty()).map(as_id).transpose()?,
        })
    }
}

/// The pages of one database: its store, and the pool that it reads from.
macro_rules! pages {
    ($store:ty, $pool:ident) => {
        impl $store {
            pub(super) async fn page_of_customers(
                &self,
                account: Option<&model::AccountName>,
                after: &$crate::PageKey,
                most: u32,
            ) -> Result<Vec<$crate::ExportedCustomer>, $crate::StoreError> {
                use $crate::export::{CUSTOMERS, CUSTOMERS_OF, CustomerCells, CustomerOfCells};
                let page = (after.0.as_str(), i64::from(most));
                let Some(account) = account else {
                    let query = sqlx::query_as(CUSTOMERS).bind(page.0).bind(page.1);
                    let rows: Vec<CustomerCells> = query.fetch_all(&self.$pool).await?;
                    return rows.into_iter().map($crate::ExportedCustomer::ours).collect();
                };
                let query = sqlx::query_as(CUSTOMERS_OF).bind(page.0).bind(page.1);
                let rows: Vec<CustomerOfCells> =
                    query.bind(account.as_str()).fetch_all(&self.$pool).await?;
                rows.into_iter()
                    .map(|cells| $crate::ExportedCustomer::theirs(account, cells))
                    .collect()
            }

            pub(super) async fn page_of_methods(
                &self,
                account: Option<&model::AccountName>,
                after: &$crate::PageKey,
                most: u32,
            ) -> Result<Vec<$crate::ExportedMethod>, $crate::StoreError> {
                use $crate::export::{METHODS, METHODS_OF, MethodCells, MethodOfCells};
                let page = (after.0.as_str(), i64::from(most), after.1.as_str());
                let Some(account) = account else {
                    let query = sqlx::query_as(METHODS).bind(page.0).bind(page.1).bind(page.2);
                    let rows: Vec<MethodCells> = query.fetch_all(&self.$pool).await?;
                    return rows.into_iter().map($crate::ExportedMethod::ours).collect();
                };
                let query = sqlx::query_as(METHODS_OF).bind(page.0).bind(page.1).bind(page.2);
                let rows: Vec<MethodOfCells> =
                    query.bind(account.as_str()).fetch_all(&self.$pool).await?;
                rows.into_iter()
                    .map(|cells| $crate::ExportedMethod::theirs(account, cells))
                    .collect()
            }

            pub(super) async fn page_of_links(
                &self,
                account: &model::AccountName,
                after: &$crate::PageKey,
                most: u32,
            ) -> Result<Vec<$crate::ExportedLink>, $crate::StoreError> {
                let rows: Vec<$crate::export::LinkCells> = sqlx::query_as($crate::export::LINKS_OF)
                    .bind(after.0.as_str())
                    .bind(i64::from(most))
                    .bind(after.1.as_str())
                    .bind(account.as_str())
                    .fetch_all(&self.$pool)
                    .await?;
                rows.into_iter().map($crate::ExportedLink::of).collect()
            }
        }
    };
}
pub(crate) use pages;
