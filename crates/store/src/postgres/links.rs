//! What links are like, and what a person makes of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{AccountName, CustomerId, MethodId, RemoteCustomerId, RemoteMethodId, Timestamp};
use sqlx::PgConnection;

use super::decode::{as_id, unsigned};
use super::{PostgresStore, mirror};
use crate::canonical::{Context, CustomerNeeds, Guard, LinkRows, link};
use crate::links::MATCHING;
use crate::{LinkMove, LinkMoved, LinkRefused, LinkTo, MatchFinding, StoreError};

const PERSON: &str = "SELECT namespace, rank, match_by_email, \
     (SELECT value::bigint FROM meta WHERE key = 'file_rank') \
     FROM accounts WHERE name = $1";
const NEAR: &str = "SELECT id FROM customers WHERE namespace = $1 AND erased_at IS NULL \
     AND id = ANY($2)";
const LINKED: &str = "SELECT customer_id, COUNT(*) FROM remote_customers \
     WHERE customer_id = ANY($1) GROUP BY customer_id";
const OWNERS: &str = "SELECT DISTINCT method_id, account, remote_customer_id FROM remote_methods \
     WHERE method_id = ANY($1)";
const PUT_LINK: &str = "UPDATE remote_customers SET customer_id = $3, linked_by = 'person' \
     WHERE account = $1 AND remote_id = $2";
const PUT_METHOD_LINK: &str = "UPDATE remote_methods SET method_id = $4 \
     WHERE account = $1 AND remote_customer_id = $2 AND remote_id = $3";
const MOVE_METHOD: &str = "UPDATE methods SET customer_id = $2, updated_at = $3 WHERE id = $1";

/// Where a person's links go. Holds the namespace's accounts from here on.
async fn context(
    conn: &mut PgConnection,
    account: &AccountName,
    now: Timestamp,
) -> Result<Context, StoreError> {
    sqlx::query(mirror::HOLD_NAMESPACE).bind(account.as_str()).execute(&mut *conn).await?;
    let row: Option<(String, i64, i64, Option<i64>)> =
        sqlx::query_as(PERSON).bind(account.as_str()).fetch_optional(conn).await?;
    let (namespace, rank, by_email, file) = row.ok_or(StoreError::NotFound("account"))?;
    let place = |rank| u32::try_from(unsigned(rank)).unwrap_or(u32::MAX);
    Ok(Context {
        account: account.clone(),
        namespace,
        match_by_email: by_email != 0,
        rank: place(rank),
        file_rank: file.map_or(u32::MAX, place),
        cause: "person".to_owned(),
        run: None,
        now,
        guard: Guard::Answer,
    })
}

/// The rows that bear on the moves.
async fn rows(
    conn: &mut PgConnection,
    context: &Context,
    moves: &[LinkMove],
) -> Result<LinkRows, StoreError> {
    let account = &context.account;
    let remotes = || moves.iter().map(|one| &one.remote_customer);
    let mirror = mirror::mirror_of(conn, account, remotes()).await?;
    let mut needs = CustomerNeeds::default();
    needs.ids.extend(mirror.values().filter_map(|row| row.customer.clone()));
    for one in moves {
        match &one.to {
            LinkTo::Own => {}
            LinkTo::Customer(id) => needs.ids.extend([id.clone()]),
            LinkTo::Reference(text) => needs.references.extend([text.to_string()]),
        }
    }
    let records = mirror::canonical_customers(conn, &context.namespace, &needs).await?;
    let ids = || records.iter().map(|record| record.id.as_str()).collect::<Vec<_>>();
    let near: Vec<String> = sqlx::query_scalar(NEAR)
        .bind(context.namespace.as_str())
        .bind(ids())
        .fetch_all(&mut *conn)
        .await?;
    let linked: Vec<(String, i64)> =
        sqlx::query_as(LINKED).bind(ids()).fetch_all(&mut *conn).await?;
    let customers = remotes().map(RemoteCustomerId::as_str).collect::<Vec<_>>();
    let methods = mirror::mirror_methods(conn, account, customers).await?;
    let whose: BTreeSet<CustomerId> = records.iter().map(|record| record.id.clone()).collect();
    let method_records = mirror::canonical_methods(conn, &whose).await?;
    let theirs = methods.values().filter_map(|row| row.method.as_ref()).map(MethodId::as_str);
    let theirs = theirs.collect::<Vec<_>>();
    let owners: Vec<(String, String, String)> =
        sqlx::query_as(OWNERS).bind(theirs).fetch_all(conn).await?;
    let mut method_owners: HashMap<MethodId, HashSet<_>> = HashMap::new();
    for (method, account, customer) in owners {
        let owner = (as_id(account)?, as_id(customer)?);
        method_owners.entry(as_id(method)?).or_default().insert(owner);
    }
    Ok(LinkRows {
        mirror,
        records,
        near: near.into_iter().map(as_id).collect::<Result<_, _>>()?,
        linked: linked
            .into_iter()
            .map(|(id, count)| Ok((as_id(id)?, unsigned(count))))
            .collect::<Result<_, StoreError>>()?,
        methods,
        method_records,
        method_owners,
    })
}

impl PostgresStore {
    pub(super) async fn read_matching(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<MatchFinding>, StoreError> {
        let rows = sqlx::query_as(MATCHING)
            .bind(account.as_str())
            // One at least, which has the count with it.
            .bind(i64::from(most.max(1)))
            .fetch_all(&self.pool)
            .await?;
        MatchFinding::of(rows, most)
    }

    pub(super) async fn write_links_moved(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Vec<Result<LinkMoved, LinkRefused>>, StoreError> {
        let mut tx = self.begin().await?;
        let context = context(&mut tx, account, self.now()).await?;
        let rows = rows(&mut tx, &context, &moves).await?;
        let (plan, answers) = link(&context, rows, moves)?;
        if dry {
            tx.rollback().await?;
            return Ok(answers);
        }
        mirror::put_canonical_customers(&mut tx, &context, &plan.customers).await?;
        mirror::put_canonical_methods(&mut tx, context.now, &plan.methods).await?;
        for (method, customer) in &plan.along {
            sqlx::query(MOVE_METHOD)
                .bind(method.as_str())
                .bind(customer.as_str())
                .bind(context.now.micros())
                .execute(&mut *tx)
                .await?;
        }
        for (remote, customer) in &plan.links {
            sqlx::query(PUT_LINK)
                .bind(account.as_str())
                .bind(remote.as_str())
                .bind(customer.as_str())
                .execute(&mut *tx)
                .await?;
        }
        for ((customer, method), to) in &plan.method_links {
            sqlx::query(PUT_METHOD_LINK)
                .bind(account.as_str())
                .bind(RemoteCustomerId::as_str(customer))
                .bind(RemoteMethodId::as_str(method))
                .bind(to.as_ref().map(MethodId::as_str))
                .execute(&mut *tx)
                .await?;
        }
        mirror::add_changes(&mut tx, &context, &plan.changes).await?;
        tx.commit().await?;
        Ok(answers)
    }
}
