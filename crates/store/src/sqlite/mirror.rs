//! Writes what is new of customers and payment methods: fetches the rows that bear on it, asks
//! the planner, writes what it answers. Used by reads and by effects' answers alike.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    AccountName, CustomerId, MethodFacts, MethodId, MethodKind, Profile, RemoteCustomerId,
    Timestamp,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::bulk::{Bound, Bulk};
use super::decode::{get, id, list, opt_bool, opt_id, signed, time, unsigned, word};
use crate::canonical::{
    CanonicalCustomer, CanonicalMethod, Change, Context, CustomerNeeds, CustomerPlan,
    CustomerPlanner, CustomerRow, Guard, Key, MethodPlan, MethodPlanner, MethodRow, MirrorCustomer,
    MirrorCustomerRow, MirrorMethod, MirrorState, NewsOfMethod, Stated, Vote, from_json, hash_of,
    keep, key_of,
};
use crate::{Fence, KeptFields, Keys, StoreError};

const CONTEXT: &str = "SELECT a.namespace, a.rank, a.match_by_email, r.job, \
     (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'file_rank') \
     FROM accounts AS a, runs AS r WHERE a.name = ?1 AND r.id = ?2";
const MIRROR: &str = "SELECT remote_id, reference, profile, hash, state, as_of, customer_id \
     FROM remote_customers WHERE account = ?1 AND remote_id IN (SELECT value FROM json_each(?2))";
const BY_REFERENCE: &str = "SELECT id, reference, sources, hash, profile, email_key FROM customers \
     WHERE namespace = ?1 AND reference IN (SELECT value FROM json_each(?2))";
/// Of the records with an e-mail address as many as tell whether there is one or more. A record
/// that nobody was ever linked to, or is any more, is nobody's.
const BY_EMAIL: &str = "SELECT c.id, c.reference, c.sources, c.hash, c.profile, c.email_key \
     FROM json_each(?2) AS wanted CROSS JOIN customers AS c ON c.id IN (SELECT k.id \
     FROM customers AS k WHERE k.namespace = ?1 AND k.email_key = wanted.value \
     AND k.erased_at IS NULL AND EXISTS (SELECT 1 FROM remote_customers AS r \
     WHERE r.customer_id = k.id) ORDER BY k.id LIMIT 10)";
const BY_ID: &str = "SELECT id, reference, sources, hash, profile, email_key FROM customers \
     WHERE id IN (SELECT value FROM json_each(?1))";
const VOTES: &str = "SELECT c.customer_id, a.rank, c.account, c.remote_id, c.as_of, c.profile \
     FROM remote_customers AS c JOIN accounts AS a ON a.name = c.account \
     WHERE c.customer_id IN (SELECT value FROM json_each(?1)) AND c.state = 'live'";
const LINKS: &str = "SELECT remote_id, customer_id FROM remote_customers \
     WHERE account = ?1 AND remote_id IN (SELECT value FROM json_each(?2))";
const MIRROR_METHODS: &str = "SELECT remote_customer_id, remote_id, kind, facts, is_default, \
     hash, state, as_of, method_id, expires, attributes FROM remote_methods \
     WHERE account = ?1 AND remote_customer_id IN (SELECT value FROM json_each(?2))";
const METHODS: &str = "SELECT id, customer_id, facts, sources, hash FROM methods \
     WHERE customer_id IN (SELECT value FROM json_each(?1)) AND erased_at IS NULL";
const METHOD_VOTES: &str = "SELECT m.method_id, a.rank, m.account, m.remote_customer_id, \
     m.remote_id, m.as_of, m.facts FROM remote_methods AS m JOIN accounts AS a \
     ON a.name = m.account WHERE m.method_id IN (SELECT value FROM json_each(?1)) \
     AND m.state = 'live'";
/// `?4` is null where the payment methods did not come inline.
const TOUCH: &str = "UPDATE remote_customers SET as_of = MAX(as_of, ?3), \
     scan = COALESCE(?5, scan), methods_read_at = CASE WHEN ?4 IS NULL THEN methods_read_at \
     ELSE MAX(COALESCE(methods_read_at, ?4), ?4) END \
     WHERE account = ?1 AND remote_id IN (SELECT value FROM json_each(?2))";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CONTEXT,
    MIRROR,
    BY_REFERENCE,
    BY_EMAIL,
    BY_ID,
    VOTES,
    LINKS,
    MIRROR_METHODS,
    METHODS,
    METHOD_VOTES,
    TOUCH,
];

#[cfg(test)]
pub(super) const BULKS: &[&Bulk] =
    &[&PUT_CUSTOMERS, &PUT_MIRROR, &PUT_METHODS, &PUT_MIRROR_METHODS, &TOUCH_METHODS, &ADD_CHANGES];

// `OR FAIL` spares the journal that a statement over many rows would keep to undo itself alone:
// an error ends the transaction anyway.
static PUT_CUSTOMERS: Bulk = Bulk::new(
    "INSERT OR FAIL INTO customers (id, namespace, reference, email_key, profile, sources, hash, \
     created_at, updated_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (id) DO UPDATE SET reference = COALESCE(reference, excluded.reference), \
     email_key = excluded.email_key, profile = excluded.profile, \
     sources = excluded.sources, hash = excluded.hash, updated_at = excluded.updated_at",
);
static PUT_MIRROR: Bulk = Bulk::new(
    "INSERT OR FAIL INTO remote_customers (account, remote_id, reference, profile, hash, state, \
     as_of, scan, methods_read_at, remote_created_at, first_seen, removed_at, customer_id, \
     linked_by, first_run) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (account, remote_id) DO UPDATE SET reference = excluded.reference, \
     profile = excluded.profile, hash = excluded.hash, state = excluded.state, \
     as_of = excluded.as_of, scan = COALESCE(excluded.scan, scan), \
     methods_read_at = COALESCE(MAX(excluded.methods_read_at, methods_read_at), \
         excluded.methods_read_at, methods_read_at), \
     remote_created_at = COALESCE(excluded.remote_created_at, remote_created_at), \
     removed_at = excluded.removed_at, customer_id = excluded.customer_id, \
     linked_by = COALESCE(linked_by, excluded.linked_by)",
);
static PUT_METHODS: Bulk = Bulk::new(
    "INSERT OR FAIL INTO methods (id, customer_id, kind, facts, sources, hash, created_at, \
     updated_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (id) DO UPDATE SET facts = excluded.facts, sources = excluded.sources, \
     hash = excluded.hash, updated_at = excluded.updated_at",
);
static PUT_MIRROR_METHODS: Bulk = Bulk::new(
    "INSERT OR FAIL INTO remote_methods (account, remote_customer_id, remote_id, kind, facts, \
     is_default, hash, state, as_of, remote_created_at, first_seen, removed_at, credential, \
     method_id, expires, attributes, first_run) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (account, remote_customer_id, remote_id) DO UPDATE SET kind = excluded.kind, \
     facts = excluded.facts, is_default = excluded.is_default, hash = excluded.hash, \
     state = excluded.state, as_of = excluded.as_of, \
     remote_created_at = COALESCE(excluded.remote_created_at, remote_created_at), \
     removed_at = excluded.removed_at, credential = COALESCE(excluded.credential, credential), \
     method_id = excluded.method_id, expires = excluded.expires, \
     attributes = excluded.attributes",
);
static TOUCH_METHODS: Bulk = Bulk::new(
    "WITH seen (customer, method, at) AS (VALUES ",
    "(?, ?, ?)",
    ") UPDATE remote_methods SET as_of = MAX(as_of, seen.at) FROM seen \
     WHERE account = ? AND remote_customer_id = seen.customer AND remote_id = seen.method",
);
static ADD_CHANGES: Bulk = Bulk::new(
    "INSERT OR FAIL INTO changes (account, cause, run, at, subject, subject_id, field, before, \
     after, line) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);

/// Where news goes, and why.
pub(super) async fn context(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    now: Timestamp,
    guard: Guard,
) -> Result<Context, StoreError> {
    let row: Option<(String, i64, i64, String, Option<i64>)> = sqlx::query_as(CONTEXT)
        .bind(account.as_str())
        .bind(fence.run.as_str())
        .fetch_optional(conn)
        .await?;
    let (namespace, rank, by_email, cause, file) = row.ok_or(StoreError::NotFound("account"))?;
    let place = |rank| u32::try_from(unsigned(rank)).unwrap_or(u32::MAX);
    let (rank, file_rank) = (place(rank), file.map_or(u32::MAX, place));
    let (account, run, match_by_email) = (account.clone(), Some(fence.run.clone()), by_email != 0);
    Ok(Context { account, namespace, match_by_email, rank, file_rank, cause, run, now, guard })
}

fn run_of(context: &Context) -> Option<String> {
    context.run.as_ref().map(ToString::to_string)
}

/// Our customer of each of these that the mirror has.
pub(super) async fn links_of<'a>(
    conn: &mut SqliteConnection,
    account: &AccountName,
    ids: impl IntoIterator<Item = &'a RemoteCustomerId>,
) -> Result<HashMap<RemoteCustomerId, Option<CustomerId>>, StoreError> {
    let rows = sqlx::query(LINKS)
        .bind(account.as_str())
        .bind(list(ids.into_iter().map(RemoteCustomerId::as_str)))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok((id(row, 0)?, opt_id(row, 1)?))).collect()
}

/// Keeps what only our store can of what the file states.
pub(super) async fn keep_fields(
    conn: &mut SqliteConnection,
    context: &Context,
    kept: Vec<KeptFields>,
) -> Result<(), StoreError> {
    let links = links_of(conn, &context.account, kept.iter().map(|one| &one.customer)).await?;
    let stated = |one: KeptFields| {
        let customer = links.get(&one.customer)?.clone()?;
        Some(Stated { customer, line: one.line, fields: one.fields })
    };
    let kept: Vec<Stated> = kept.into_iter().filter_map(stated).collect();
    let ids = kept.iter().map(|one| one.customer.clone()).collect();
    let needs = CustomerNeeds { ids, ..CustomerNeeds::default() };
    let canonical = canonical_customers(conn, &context.namespace, &needs).await?;
    let plan = keep(context, canonical, kept)?;
    put_canonical_customers(conn, &context.namespace, context.now, &plan.customers).await?;
    add_changes(conn, context, &plan.changes).await
}

pub(super) async fn put_canonical_customers(
    conn: &mut SqliteConnection,
    namespace: &str,
    now: Timestamp,
    rows: &[CustomerRow],
) -> Result<(), StoreError> {
    let now = now.micros();
    let bind = |q: Bound, row: &CustomerRow| {
        q.bind(row.id.as_str())
            .bind(namespace)
            .bind(row.reference.as_deref())
            .bind(row.email_key.as_deref())
            .bind(row.profile.as_str())
            .bind(row.sources.as_str())
            .bind(row.hash.as_bytes().as_slice())
            .bind(now)
            .bind(now)
    };
    PUT_CUSTOMERS.run(conn, rows, bind, |q| q).await?;
    Ok(())
}

/// The mirror rows of these customers.
pub(super) async fn mirror_of<'a>(
    conn: &mut SqliteConnection,
    account: &AccountName,
    ids: impl IntoIterator<Item = &'a RemoteCustomerId>,
) -> Result<HashMap<RemoteCustomerId, MirrorCustomer>, StoreError> {
    let rows = sqlx::query(MIRROR)
        .bind(account.as_str())
        .bind(list(ids.into_iter().map(RemoteCustomerId::as_str)))
        .fetch_all(conn)
        .await?;
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
    conn: &mut SqliteConnection,
    namespace: &str,
    needs: &CustomerNeeds,
) -> Result<Vec<CanonicalCustomer>, StoreError> {
    let mut rows: Vec<SqliteRow> = Vec::new();
    if !needs.references.is_empty() {
        let query = sqlx::query(BY_REFERENCE).bind(namespace).bind(list(&needs.references));
        rows.extend(query.fetch_all(&mut *conn).await?);
    }
    if !needs.emails.is_empty() {
        let query = sqlx::query(BY_EMAIL).bind(namespace).bind(list(&needs.emails));
        rows.extend(query.fetch_all(&mut *conn).await?);
    }
    if !needs.ids.is_empty() {
        let ids = list(needs.ids.iter().map(CustomerId::as_str));
        rows.extend(sqlx::query(BY_ID).bind(ids).fetch_all(&mut *conn).await?);
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
    let votes = sqlx::query(VOTES).bind(list(found.keys())).fetch_all(conn).await?;
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

/// Writes customers; hands back the plan that was carried out.
pub(super) async fn put_customers(
    conn: &mut SqliteConnection,
    context: &Context,
    planner: CustomerPlanner,
    as_of: Timestamp,
    scan: Option<&str>,
) -> Result<CustomerPlan, StoreError> {
    let mirror = mirror_of(conn, &context.account, planner.ids()).await?;
    let needs = planner.needs(context, &mirror);
    let canonical = if needs.is_empty() {
        Vec::new()
    } else {
        canonical_customers(conn, &context.namespace, &needs).await?
    };
    let plan = planner.plan(context, &mirror, canonical)?;
    let (account, now) = (context.account.as_str().to_owned(), context.now.micros());
    let run = run_of(context);
    put_canonical_customers(conn, &context.namespace, context.now, &plan.customers).await?;
    let bind = |q: Bound, row: &MirrorCustomerRow| {
        q.bind(account.as_str())
            .bind(row.id.as_str())
            .bind(row.reference.as_deref())
            .bind(row.profile.as_str())
            .bind(row.hash.as_bytes().as_slice())
            .bind(row.state.as_str())
            .bind(row.as_of.micros())
            .bind(scan)
            .bind(row.methods_read_at.map(Timestamp::micros))
            .bind(row.remote_created_at.map(Timestamp::micros))
            .bind(now)
            .bind(row.removed_at.map(Timestamp::micros))
            .bind(row.customer.as_ref().map(CustomerId::as_str))
            .bind(row.linked_by)
            .bind(run.as_deref())
    };
    PUT_MIRROR.run(conn, &plan.mirrors, bind, |q| q).await?;
    for (ids, read_at) in [(&plan.touches, None), (&plan.touches_inline, Some(as_of.micros()))] {
        if !ids.is_empty() {
            sqlx::query(TOUCH)
                .bind(account.as_str())
                .bind(list(ids.iter().map(RemoteCustomerId::as_str)))
                .bind(as_of.micros())
                .bind(read_at)
                .bind(scan)
                .execute(&mut *conn)
                .await?;
        }
    }
    add_changes(conn, context, &plan.changes).await?;
    Ok(plan)
}

/// The mirror rows of the payment methods of customers.
pub(super) async fn mirror_methods(
    conn: &mut SqliteConnection,
    account: &AccountName,
    customers: String,
) -> Result<HashMap<Key, MirrorMethod>, StoreError> {
    let rows =
        sqlx::query(MIRROR_METHODS).bind(account.as_str()).bind(customers).fetch_all(conn).await?;
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
    conn: &mut SqliteConnection,
    customers: &BTreeSet<CustomerId>,
) -> Result<Vec<CanonicalMethod>, StoreError> {
    let rows = sqlx::query(METHODS)
        .bind(list(customers.iter().map(CustomerId::as_str)))
        .fetch_all(&mut *conn)
        .await?;
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
    let votes = sqlx::query(METHOD_VOTES).bind(list(found.keys())).fetch_all(conn).await?;
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
    conn: &mut SqliteConnection,
    now: Timestamp,
    rows: &[MethodRow],
) -> Result<(), StoreError> {
    let now = now.micros();
    let bind = |q: Bound, row: &MethodRow| {
        q.bind(row.id.as_str())
            .bind(row.customer.as_str())
            .bind(row.kind.as_str())
            .bind(row.facts.as_str())
            .bind(row.sources.as_str())
            .bind(row.hash.as_bytes().as_slice())
            .bind(now)
            .bind(now)
    };
    PUT_METHODS.run(conn, rows, bind, |q| q).await?;
    Ok(())
}

/// Writes payment methods; hands back the plan that was carried out.
pub(super) async fn put_methods(
    conn: &mut SqliteConnection,
    keys: &Keys,
    context: &Context,
    at_hand: MethodsAtHand,
) -> Result<MethodPlan, StoreError> {
    let MethodsAtHand { news, customers, fresh, mirror } = at_hand;
    let planner = MethodPlanner::new(news, customers, context.guard);
    let needs = planner.needs(&mirror, &fresh)?;
    let canonical =
        if needs.is_empty() { Vec::new() } else { canonical_methods(conn, &needs).await? };
    let plan = planner.plan(context, mirror, canonical)?;
    put_canonical_methods(conn, context.now, &plan.methods).await?;
    let now = context.now.micros();
    let (account, run) = (&context.account, run_of(context));
    let bind = |q: Bound, row: &MirrorMethod| {
        let seal = |token| keys.seal_credential(account, &row.customer, &row.id, token);
        q.bind(account.as_str())
            .bind(row.customer.as_str())
            .bind(row.id.as_str())
            .bind(row.kind.as_str())
            .bind(row.facts.as_str())
            .bind(row.default.map(i64::from))
            .bind(row.hash.as_bytes().as_slice())
            .bind(row.state.as_str())
            .bind(row.as_of.micros())
            .bind(row.remote_created_at.map(Timestamp::micros))
            .bind(now)
            .bind(row.removed_at.map(Timestamp::micros))
            .bind(row.credential.as_ref().map(seal))
            .bind(row.method.as_ref().map(MethodId::as_str))
            .bind(row.expires)
            .bind(row.attributes.as_deref())
            .bind(run.as_deref())
    };
    PUT_MIRROR_METHODS.run(conn, &plan.mirrors, bind, |q| q).await?;
    let bind = |q: Bound, (key, at): &(Key, Timestamp)| {
        q.bind(key.0.as_str()).bind(key.1.as_str()).bind(at.micros())
    };
    TOUCH_METHODS.run(conn, &plan.touches, bind, |q| q.bind(account.as_str())).await?;
    add_changes(conn, context, &plan.changes).await?;
    Ok(plan)
}

pub(super) async fn add_changes(
    conn: &mut SqliteConnection,
    context: &Context,
    changes: &[Change],
) -> Result<(), StoreError> {
    let run = run_of(context);
    let bind = |q: Bound, change: &Change| {
        q.bind(context.account.as_str())
            .bind(context.cause.as_str())
            .bind(run.as_deref())
            .bind(context.now.micros())
            .bind(change.subject)
            .bind(change.subject_id.as_str())
            .bind(change.field.as_str())
            .bind(change.before.as_deref())
            .bind(change.after.as_deref())
            .bind(change.line.map(signed))
    };
    ADD_CHANGES.run(conn, changes, bind, |q| q).await?;
    Ok(())
}
