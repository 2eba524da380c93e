//! Writes what is new of customers and payment methods: fetches the rows that bear on it, asks
//! the planner, writes what it answers. Used by reads and by effects' answers alike.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    AccountName, CustomerId, MethodFacts, MethodId, MethodKind, Profile, RemoteCustomerId, RunId,
    Timestamp,
};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{get, id, opt_bool, opt_id, signed, time, unsigned, word};
use crate::canonical::{
    CanonicalCustomer, CanonicalMethod, Change, Context, CustomerNeeds, CustomerPlan,
    CustomerPlanner, CustomerRow, Guard, Key, MethodPlan, MethodPlanner, MethodRow, MirrorCustomer,
    MirrorCustomerRow, MirrorMethod, MirrorState, NewsOfMethod, Stated, Vote, from_json, hash_of,
    keep, key_of,
};
use crate::{Fence, KeptFields, Keys, StoreError};

// Whoever links holds every account of the namespace: two at once would each miss what the other
// is about to write, and make two records of one reference.
const CONTEXT: &str = "SELECT a.namespace, a.rank, a.match_by_email, r.job, \
     (SELECT value::bigint FROM meta WHERE key = 'file_rank') FROM accounts a, runs r \
     WHERE a.name = $1 AND r.id = $2";
pub(super) const HOLD_NAMESPACE: &str = "SELECT name FROM accounts WHERE namespace = \
     (SELECT namespace FROM accounts WHERE name = $1) ORDER BY name FOR NO KEY UPDATE";
const MIRROR: &str = "SELECT remote_id, reference, profile, hash, state, as_of, customer_id \
     FROM remote_customers WHERE account = $1 AND remote_id = ANY($2)";
const BY_REFERENCE: &str = "SELECT id, reference, sources, hash, profile, email_key FROM customers \
     WHERE namespace = $1 AND reference = ANY($2)";
/// Of the records with an e-mail address as many as tell whether there is one or more. A record
/// that nobody was ever linked to, or is any more, is nobody's.
const BY_EMAIL: &str = "SELECT c.id, c.reference, c.sources, c.hash, c.profile, c.email_key \
     FROM UNNEST($2::text[]) AS wanted (email) CROSS JOIN LATERAL (SELECT k.* FROM customers k \
     WHERE k.namespace = $1 AND k.email_key = wanted.email AND k.erased_at IS NULL \
     AND EXISTS (SELECT 1 FROM remote_customers r WHERE r.customer_id = k.id) \
     ORDER BY k.id LIMIT 10) c";
const BY_ID: &str =
    "SELECT id, reference, sources, hash, profile, email_key FROM customers WHERE id = ANY($1)";
const VOTES: &str = "SELECT c.customer_id, a.rank, c.account, c.remote_id, c.as_of, c.profile \
     FROM remote_customers c JOIN accounts a ON a.name = c.account \
     WHERE c.customer_id = ANY($1) AND c.state = 'live'";
const LINKS: &str = "SELECT remote_id, customer_id FROM remote_customers \
     WHERE account = $1 AND remote_id = ANY($2)";
const MIRROR_METHODS: &str = "SELECT remote_customer_id, remote_id, kind, facts, is_default, \
     hash, state, as_of, method_id, expires, attributes FROM remote_methods \
     WHERE account = $1 AND remote_customer_id = ANY($2)";
const METHODS: &str = "SELECT id, customer_id, facts, sources, hash FROM methods \
     WHERE customer_id = ANY($1) AND erased_at IS NULL";
const METHOD_VOTES: &str = "SELECT m.method_id, a.rank, m.account, m.remote_customer_id, \
     m.remote_id, m.as_of, m.facts FROM remote_methods m JOIN accounts a ON a.name = m.account \
     WHERE m.method_id = ANY($1) AND m.state = 'live'";
const TOUCH: &str = "UPDATE remote_customers SET as_of = GREATEST(as_of, $3), \
     scan = COALESCE($5, scan), methods_read_at = GREATEST(methods_read_at, $4) \
     WHERE account = $1 AND remote_id = ANY($2) AND (as_of < $3 \
     OR ($5 IS NOT NULL AND scan IS DISTINCT FROM $5) \
     OR ($4 IS NOT NULL AND (methods_read_at IS NULL OR methods_read_at < $4)))";
const PUT_CUSTOMERS: &str = "INSERT INTO customers (id, namespace, reference, email_key, profile, \
     sources, hash, created_at, updated_at) SELECT u.id, $1, u.reference, u.email, u.profile, \
     u.sources, u.hash, $2, $2 FROM UNNEST($3::text[], $4::text[], $5::text[], $6::text[], \
     $7::text[], $8::bytea[]) AS u (id, reference, email, profile, sources, hash) \
     ON CONFLICT (id) DO UPDATE SET \
     reference = COALESCE(customers.reference, EXCLUDED.reference), email_key = EXCLUDED.email_key, profile = EXCLUDED.profile, \
     sources = EXCLUDED.sources, hash = EXCLUDED.hash, updated_at = EXCLUDED.updated_at";
const PUT_MIRROR: &str = "INSERT INTO remote_customers AS r (account, remote_id, reference, \
     profile, hash, state, as_of, scan, methods_read_at, remote_created_at, first_seen, \
     removed_at, customer_id, linked_by, first_run) SELECT $1, u.id, u.reference, u.profile, u.hash, \
     u.state, u.as_of, $2, u.read_at, u.made_at, $3, u.removed_at, u.customer, u.linked_by, $15 \
     FROM UNNEST($4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::bigint[], \
     $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[]) AS u (id, reference, \
     profile, hash, state, as_of, read_at, made_at, removed_at, customer, linked_by) \
     ON CONFLICT (account, remote_id) DO UPDATE SET reference = EXCLUDED.reference, \
     profile = EXCLUDED.profile, hash = EXCLUDED.hash, state = EXCLUDED.state, \
     as_of = EXCLUDED.as_of, scan = COALESCE(EXCLUDED.scan, r.scan), \
     methods_read_at = GREATEST(EXCLUDED.methods_read_at, r.methods_read_at), \
     remote_created_at = COALESCE(EXCLUDED.remote_created_at, r.remote_created_at), \
     removed_at = EXCLUDED.removed_at, customer_id = EXCLUDED.customer_id, \
     linked_by = COALESCE(r.linked_by, EXCLUDED.linked_by)";
const PUT_METHODS: &str = "INSERT INTO methods (id, customer_id, kind, facts, sources, hash, \
     created_at, updated_at) SELECT u.*, $1, $1 FROM UNNEST($2::text[], $3::text[], $4::text[], \
     $5::text[], $6::text[], $7::bytea[]) u ON CONFLICT (id) DO UPDATE SET \
     facts = EXCLUDED.facts, sources = EXCLUDED.sources, hash = EXCLUDED.hash, \
     updated_at = EXCLUDED.updated_at";
const PUT_MIRROR_METHODS: &str = "INSERT INTO remote_methods AS r (account, remote_customer_id, \
     remote_id, kind, facts, is_default, hash, state, as_of, remote_created_at, first_seen, \
     removed_at, credential, method_id, expires, attributes, first_run) SELECT $1, u.customer, u.id, u.kind, \
     u.facts, u.is_default, u.hash, u.state, u.as_of, u.made_at, $2, u.removed_at, u.credential, \
     u.method, u.expires, u.attributes, $17 FROM UNNEST($3::text[], $4::text[], $5::text[], $6::text[], \
     $7::bigint[], $8::bytea[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], \
     $13::bytea[], $14::text[], $15::bigint[], $16::text[]) AS u (customer, id, kind, facts, \
     is_default, hash, state, as_of, made_at, removed_at, credential, method, expires, \
     attributes) \
     ON CONFLICT (account, remote_customer_id, remote_id) DO UPDATE SET \
     kind = EXCLUDED.kind, facts = EXCLUDED.facts, is_default = EXCLUDED.is_default, \
     hash = EXCLUDED.hash, state = EXCLUDED.state, as_of = EXCLUDED.as_of, \
     remote_created_at = COALESCE(EXCLUDED.remote_created_at, r.remote_created_at), \
     removed_at = EXCLUDED.removed_at, credential = COALESCE(EXCLUDED.credential, r.credential), \
     method_id = EXCLUDED.method_id, expires = EXCLUDED.expires, \
     attributes = EXCLUDED.attributes";
const TOUCH_METHODS: &str = "UPDATE remote_methods m SET as_of = u.at \
     FROM UNNEST($2::text[], $3::text[], $4::bigint[]) AS u (customer, id, at) \
     WHERE m.account = $1 AND m.remote_customer_id = u.customer AND m.remote_id = u.id \
     AND m.as_of < u.at";
const ADD_CHANGES: &str = "INSERT INTO changes (account, cause, run, at, subject, subject_id, \
     field, before, after, line) SELECT $1, $2, $3, $4, u.* FROM UNNEST($5::text[], $6::text[], \
     $7::text[], $8::text[], $9::text[], $10::bigint[]) u";

/// A column of rows, for `UNNEST`.
fn column<'a, T, V>(rows: &'a [T], of: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

/// Where news goes, and why. Holds the namespace's accounts from here on.
pub(super) async fn context(
    tx: &mut PgConnection,
    fence: &Fence,
    account: &AccountName,
    now: Timestamp,
    guard: Guard,
) -> Result<Context, StoreError> {
    sqlx::query(HOLD_NAMESPACE).bind(account.as_str()).execute(&mut *tx).await?;
    let row: Option<(String, i64, i64, String, Option<i64>)> = sqlx::query_as(CONTEXT)
        .bind(account.as_str())
        .bind(fence.run.as_str())
        .fetch_optional(tx)
        .await?;
    let (namespace, rank, by_email, cause, file) = row.ok_or(StoreError::NotFound("account"))?;
    let place = |rank| u32::try_from(unsigned(rank)).unwrap_or(u32::MAX);
    let (rank, file_rank) = (place(rank), file.map_or(u32::MAX, place));
    let (account, run, match_by_email) = (account.clone(), Some(fence.run.clone()), by_email != 0);
    Ok(Context { account, namespace, match_by_email, rank, file_rank, cause, run, now, guard })
}

/// Our customer of each of these that the mirror has.
pub(super) async fn links_of<'a>(
    tx: &mut PgConnection,
    account: &AccountName,
    ids: impl IntoIterator<Item = &'a RemoteCustomerId>,
) -> Result<HashMap<RemoteCustomerId, Option<CustomerId>>, StoreError> {
    let ids: Vec<&str> = ids.into_iter().map(RemoteCustomerId::as_str).collect();
    let rows = sqlx::query(LINKS).bind(account.as_str()).bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| Ok((id(row, 0)?, opt_id(row, 1)?))).collect()
}

/// Keeps what only our store can of what the file states.
pub(super) async fn keep_fields(
    tx: &mut PgConnection,
    context: &Context,
    kept: Vec<KeptFields>,
) -> Result<(), StoreError> {
    let links = links_of(tx, &context.account, kept.iter().map(|one| &one.customer)).await?;
    let stated = |one: KeptFields| {
        let customer = links.get(&one.customer)?.clone()?;
        Some(Stated { customer, line: one.line, fields: one.fields })
    };
    let kept: Vec<Stated> = kept.into_iter().filter_map(stated).collect();
    let ids = kept.iter().map(|one| one.customer.clone()).collect();
    let needs = CustomerNeeds { ids, ..CustomerNeeds::default() };
    let canonical = canonical_customers(tx, &context.namespace, &needs).await?;
    let plan = keep(context, canonical, kept)?;
    put_canonical_customers(tx, &context.namespace, context.now, &plan.customers).await?;
    add_changes(tx, context, &plan.changes).await
}

/// The mirror rows of these customers.
pub(super) async fn mirror_of<'a>(
    tx: &mut PgConnection,
    account: &AccountName,
    ids: impl IntoIterator<Item = &'a RemoteCustomerId>,
) -> Result<HashMap<RemoteCustomerId, MirrorCustomer>, StoreError> {
    let ids: Vec<&str> = ids.into_iter().map(RemoteCustomerId::as_str).collect();
    let rows = sqlx::query(MIRROR).bind(account.as_str()).bind(ids).fetch_all(tx).await?;
    let mut mirror = HashMap::with_capacity(rows.len());
    for row in &rows {
        let known = MirrorCustomer {
            reference: get(row, 1)?,
            profile: get(row, 2)?,
            hash: hash_of(get(row, 3)?)?,
            state: word(row, 4, "a mirror row's state", MirrorState::parse)?,
            as_of: time(row, 5)?,
            customer: opt_id(row, 6)?,
        };
        mirror.insert(id(row, 0)?, known);
    }
    Ok(mirror)
}

pub(super) async fn canonical_customers(
    tx: &mut PgConnection,
    namespace: &str,
    needs: &CustomerNeeds,
) -> Result<Vec<CanonicalCustomer>, StoreError> {
    let mut rows: Vec<PgRow> = Vec::new();
    if !needs.references.is_empty() {
        let references: Vec<&str> = needs.references.iter().map(String::as_str).collect();
        let query = sqlx::query(BY_REFERENCE).bind(namespace).bind(references);
        rows.extend(query.fetch_all(&mut *tx).await?);
    }
    if !needs.emails.is_empty() {
        let emails: Vec<&str> = needs.emails.iter().map(String::as_str).collect();
        let query = sqlx::query(BY_EMAIL).bind(namespace).bind(emails);
        rows.extend(query.fetch_all(&mut *tx).await?);
    }
    if !needs.ids.is_empty() {
        let ids: Vec<&str> = needs.ids.iter().map(CustomerId::as_str).collect();
        rows.extend(sqlx::query(BY_ID).bind(ids).fetch_all(&mut *tx).await?);
    }
    let mut found: HashMap<String, CanonicalCustomer> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let customer: CustomerId = id(row, 0)?;
        let record = CanonicalCustomer {
            id: customer.clone(),
            reference: get(row, 1)?,
            sources: get(row, 2)?,
            hash: hash_of(get(row, 3)?)?,
            profile: get(row, 4)?,
            email_key: get(row, 5)?,
            votes: Vec::new(),
        };
        found.insert(customer.into(), record);
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = found.keys().map(String::as_str).collect();
    let votes = sqlx::query(VOTES).bind(ids).fetch_all(tx).await?;
    for row in &votes {
        let vote = Vote {
            rank: u32::try_from(unsigned(get(row, 1)?)).unwrap_or(u32::MAX),
            account: id(row, 2)?,
            customer: id(row, 3)?,
            method: String::new(),
            as_of: time(row, 4)?,
            content: from_json::<Profile>("a profile", get(row, 5)?)?,
        };
        if let Some(record) = found.get_mut(get::<&str>(row, 0)?) {
            record.votes.push(vote);
        }
    }
    Ok(found.into_values().collect())
}

pub(super) async fn put_canonical_customers(
    tx: &mut PgConnection,
    namespace: &str,
    now: Timestamp,
    rows: &[CustomerRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_CUSTOMERS)
        .bind(namespace)
        .bind(now.micros())
        .bind(column(rows, |row| row.id.as_str()))
        .bind(column(rows, |row| row.reference.as_deref()))
        .bind(column(rows, |row| row.email_key.as_deref()))
        .bind(column(rows, |row| row.profile.as_str()))
        .bind(column(rows, |row| row.sources.as_str()))
        .bind(column(rows, |row| row.hash.as_bytes().as_slice()))
        .execute(tx)
        .await?;
    Ok(())
}

async fn put_mirror(
    tx: &mut PgConnection,
    context: &Context,
    scan: Option<&str>,
    rows: &[MirrorCustomerRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let at = |time: Option<Timestamp>| time.map(Timestamp::micros);
    sqlx::query(PUT_MIRROR)
        .bind(context.account.as_str())
        .bind(scan)
        .bind(context.now.micros())
        .bind(column(rows, |row| row.id.as_str()))
        .bind(column(rows, |row| row.reference.as_deref()))
        .bind(column(rows, |row| row.profile.as_str()))
        .bind(column(rows, |row| row.hash.as_bytes().as_slice()))
        .bind(column(rows, |row| row.state.as_str()))
        .bind(column(rows, |row| row.as_of.micros()))
        .bind(column(rows, |row| at(row.methods_read_at)))
        .bind(column(rows, |row| at(row.remote_created_at)))
        .bind(column(rows, |row| at(row.removed_at)))
        .bind(column(rows, |row| row.customer.as_ref().map(CustomerId::as_str)))
        .bind(column(rows, |row| row.linked_by))
        .bind(context.run.as_ref().map(RunId::as_str))
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes customers; hands back the plan that was carried out.
pub(super) async fn put_customers(
    tx: &mut PgConnection,
    context: &Context,
    planner: CustomerPlanner,
    as_of: Timestamp,
    scan: Option<&str>,
) -> Result<CustomerPlan, StoreError> {
    let mirror = mirror_of(tx, &context.account, planner.ids()).await?;
    let needs = planner.needs(context, &mirror);
    let canonical = if needs.is_empty() {
        Vec::new()
    } else {
        canonical_customers(tx, &context.namespace, &needs).await?
    };
    let plan = planner.plan(context, &mirror, canonical)?;
    put_canonical_customers(tx, &context.namespace, context.now, &plan.customers).await?;
    put_mirror(tx, context, scan, &plan.mirrors).await?;
    let account = context.account.as_str();
    for (ids, read_at) in [(&plan.touches, None), (&plan.touches_inline, Some(as_of.micros()))] {
        if !ids.is_empty() {
            sqlx::query(TOUCH)
                .bind(account)
                .bind(column(ids, RemoteCustomerId::as_str))
                .bind(as_of.micros())
                .bind(read_at)
                .bind(scan)
                .execute(&mut *tx)
                .await?;
        }
    }
    add_changes(tx, context, &plan.changes).await?;
    Ok(plan)
}

/// The mirror rows of the payment methods of customers.
pub(super) async fn mirror_methods(
    tx: &mut PgConnection,
    account: &AccountName,
    customers: Vec<&str>,
) -> Result<HashMap<Key, MirrorMethod>, StoreError> {
    let rows =
        sqlx::query(MIRROR_METHODS).bind(account.as_str()).bind(customers).fetch_all(tx).await?;
    let mut mirror = HashMap::with_capacity(rows.len());
    for row in &rows {
        let known = MirrorMethod {
            customer: id(row, 0)?,
            id: id(row, 1)?,
            kind: word(row, 2, "a payment method's kind", MethodKind::parse)?,
            facts: get(row, 3)?,
            default: opt_bool(row, 4)?,
            hash: hash_of(get(row, 5)?)?,
            state: word(row, 6, "a mirror row's state", MirrorState::parse)?,
            as_of: time(row, 7)?,
            remote_created_at: None,
            removed_at: None,
            credential: None,
            method: opt_id(row, 8)?,
            expires: get(row, 9)?,
            attributes: get(row, 10)?,
        };
        mirror.insert(key_of(&known.customer, &known.id), known);
    }
    Ok(mirror)
}

pub(super) async fn canonical_methods(
    tx: &mut PgConnection,
    customers: &BTreeSet<CustomerId>,
) -> Result<Vec<CanonicalMethod>, StoreError> {
    let customers: Vec<&str> = customers.iter().map(CustomerId::as_str).collect();
    let rows = sqlx::query(METHODS).bind(customers).fetch_all(&mut *tx).await?;
    let mut found: HashMap<String, CanonicalMethod> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let method: MethodId = id(row, 0)?;
        let record = CanonicalMethod {
            id: method.clone(),
            customer: id(row, 1)?,
            facts: from_json("facts", get(row, 2)?)?,
            sources: get(row, 3)?,
            hash: hash_of(get(row, 4)?)?,
            votes: Vec::new(),
        };
        found.insert(method.into(), record);
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = found.keys().map(String::as_str).collect();
    let votes = sqlx::query(METHOD_VOTES).bind(ids).fetch_all(tx).await?;
    for row in &votes {
        let vote = Vote {
            rank: u32::try_from(unsigned(get(row, 1)?)).unwrap_or(u32::MAX),
            account: id(row, 2)?,
            customer: id(row, 3)?,
            method: get(row, 4)?,
            as_of: time(row, 5)?,
            content: from_json::<MethodFacts>("facts", get(row, 6)?)?,
        };
        if let Some(record) = found.get_mut(get::<&str>(row, 0)?) {
            record.votes.push(vote);
        }
    }
    Ok(found.into_values().collect())
}

/// What is new of payment methods, and of whom.
pub(super) struct MethodsAtHand {
    pub(super) news: Vec<NewsOfMethod>,
    /// Our customer of each customer that the mirror has.
    pub(super) customers: HashMap<RemoteCustomerId, Option<CustomerId>>,
    /// Canonical customers that this transaction made.
    pub(super) fresh: HashSet<CustomerId>,
    /// The mirror rows of the customers at hand.
    pub(super) mirror: HashMap<Key, MirrorMethod>,
}

pub(super) async fn put_canonical_methods(
    tx: &mut PgConnection,
    now: Timestamp,
    rows: &[MethodRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_METHODS)
        .bind(now.micros())
        .bind(column(rows, |row| row.id.as_str()))
        .bind(column(rows, |row| row.customer.as_str()))
        .bind(column(rows, |row| row.kind.as_str()))
        .bind(column(rows, |row| row.facts.as_str()))
        .bind(column(rows, |row| row.sources.as_str()))
        .bind(column(rows, |row| row.hash.as_bytes().as_slice()))
        .execute(tx)
        .await?;
    Ok(())
}

async fn put_mirror_methods(
    tx: &mut PgConnection,
    keys: &Keys,
    context: &Context,
    rows: &[MirrorMethod],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let account = &context.account;
    let at = |time: Option<Timestamp>| time.map(Timestamp::micros);
    let sealed = column(rows, |row| {
        let token = row.credential.as_ref()?;
        Some(keys.seal_credential(account, &row.customer, &row.id, token))
    });
    sqlx::query(PUT_MIRROR_METHODS)
        .bind(account.as_str())
        .bind(context.now.micros())
        .bind(column(rows, |row| row.customer.as_str()))
        .bind(column(rows, |row| row.id.as_str()))
        .bind(column(rows, |row| row.kind.as_str()))
        .bind(column(rows, |row| row.facts.as_str()))
        .bind(column(rows, |row| row.default.map(i64::from)))
        .bind(column(rows, |row| row.hash.as_bytes().as_slice()))
        .bind(column(rows, |row| row.state.as_str()))
        .bind(column(rows, |row| row.as_of.micros()))
        .bind(column(rows, |row| at(row.remote_created_at)))
        .bind(column(rows, |row| at(row.removed_at)))
        .bind(sealed)
        .bind(column(rows, |row| row.method.as_ref().map(MethodId::as_str)))
        .bind(column(rows, |row| row.expires))
        .bind(column(rows, |row| row.attributes.as_deref()))
        .bind(context.run.as_ref().map(RunId::as_str))
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes payment methods; hands back the plan that was carried out.
pub(super) async fn put_methods(
    tx: &mut PgConnection,
    keys: &Keys,
    context: &Context,
    at_hand: MethodsAtHand,
) -> Result<MethodPlan, StoreError> {
    let MethodsAtHand { news, customers, fresh, mirror } = at_hand;
    let planner = MethodPlanner::new(news, customers, context.guard);
    let needs = planner.needs(&mirror, &fresh)?;
    let canonical =
        if needs.is_empty() { Vec::new() } else { canonical_methods(tx, &needs).await? };
    let plan = planner.plan(context, mirror, canonical)?;
    put_canonical_methods(tx, context.now, &plan.methods).await?;
    put_mirror_methods(tx, keys, context, &plan.mirrors).await?;
    if !plan.touches.is_empty() {
        sqlx::query(TOUCH_METHODS)
            .bind(context.account.as_str())
            .bind(column(&plan.touches, |((customer, _), _)| customer.as_str()))
            .bind(column(&plan.touches, |((_, method), _)| method.as_str()))
            .bind(column(&plan.touches, |(_, at)| at.micros()))
            .execute(&mut *tx)
            .await?;
    }
    add_changes(tx, context, &plan.changes).await?;
    Ok(plan)
}

pub(super) async fn add_changes(
    tx: &mut PgConnection,
    context: &Context,
    changes: &[Change],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query(ADD_CHANGES)
        .bind(context.account.as_str())
        .bind(&context.cause)
        .bind(context.run.as_ref().map(RunId::as_str))
        .bind(context.now.micros())
        .bind(column(changes, |change| change.subject))
        .bind(column(changes, |change| change.subject_id.as_str()))
        .bind(column(changes, |change| change.field.as_str()))
        .bind(column(changes, |change| change.before.as_deref()))
        .bind(column(changes, |change| change.after.as_deref()))
        .bind(column(changes, |change| change.line.map(signed)))
        .execute(tx)
        .await?;
    Ok(())
}
