//! Canonical records made anew when other accounts' values win than did: page by page, so that no
//! write takes long, and from where it stopped if a process dies.

/// In `meta` while it is under way: our id of the last customer that is done.
pub(crate) const ASK: &str = "INSERT INTO meta (key, value) VALUES ('recompute', '') \
     ON CONFLICT (key) DO UPDATE SET value = ''";
pub(crate) const CURSOR: &str = "SELECT value FROM meta WHERE key = 'recompute'";
pub(crate) const MOVE: &str = "UPDATE meta SET value = $1 WHERE key = 'recompute'";
pub(crate) const DONE: &str = "DELETE FROM meta WHERE key = 'recompute'";
pub(crate) const ORDER: &str = "SELECT name FROM accounts ORDER BY rank, name";
pub(crate) const NEXT: &str =
    "SELECT id FROM customers WHERE id > $1 AND erased_at IS NULL ORDER BY id LIMIT $2";
pub(crate) const FILE_RANK: &str = "SELECT value FROM meta WHERE key = 'file_rank'";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[ASK, CURSOR, MOVE, DONE, ORDER, NEXT, FILE_RANK];

/// Whether accounts that were known stand in another order now.
pub(crate) fn is_another(before: &[String], now: &[String]) -> bool {
    before.iter().ne(now.iter().filter(|name| before.contains(*name)))
}

/// One database's page: the connection's type, and the words that begin a write.
macro_rules! page {
    ($connection:ty) => {
        /// Makes the next records anew; how many, and none once all are.
        async fn recompute_page(
            conn: &mut $connection,
            now: model::Timestamp,
            most: u32,
        ) -> Result<Option<u64>, $crate::StoreError> {
            use $crate::recompute::{CURSOR, DONE, FILE_RANK, MOVE, NEXT};
            let after: Option<String> =
                sqlx::query_scalar(CURSOR).fetch_optional(&mut *conn).await?;
            let Some(after) = after else { return Ok(None) };
            let ids: Vec<String> = sqlx::query_scalar(NEXT)
                .bind(after)
                .bind(i64::from(most))
                .fetch_all(&mut *conn)
                .await?;
            let Some(last) = ids.last().cloned() else {
                sqlx::query(DONE).execute(&mut *conn).await?;
                return Ok(None);
            };
            let file: Option<String> =
                sqlx::query_scalar(FILE_RANK).fetch_optional(&mut *conn).await?;
            let file = file.and_then(|rank| rank.parse().ok()).unwrap_or(u32::MAX);
            let many = ids.len() as u64;
            let ids: std::collections::BTreeSet<model::CustomerId> =
                ids.into_iter().map($crate::decode::as_id).collect::<Result<_, _>>()?;
            let methods = super::mirror::canonical_methods(conn, &ids).await?;
            let methods: Vec<_> =
                methods.iter().filter_map($crate::canonical::recomputed_method).collect();
            let needs = $crate::canonical::CustomerNeeds { ids, ..Default::default() };
            let records = super::mirror::canonical_customers(conn, "", &needs).await?;
            let customers = $crate::canonical::recomputed_customers(&records, file)?;
            super::mirror::put_canonical_customers(conn, "", now, &customers).await?;
            super::mirror::put_canonical_methods(conn, now, &methods).await?;
            sqlx::query(MOVE).bind(last).execute(&mut *conn).await?;
            Ok(Some(many))
        }
    };
}
pub(crate) use page;
