//! The bare pull: pages, a list for each customer, rows into a database. Three rows a customer, two
//! of them payment methods, each with about the bytes of onfile's two: what the provider said and the
//! canonical record.

use anyhow::{Context as _, Result};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Sqlite, SqliteConnection};
use tokio::sync::mpsc;

use super::At;
use super::http::Client;
use super::rows;

/// As onfile reads ahead.
const AHEAD: usize = 4;
const PAGE: usize = 100;
/// Customers in one transaction.
const CHUNK: usize = 500;
/// Rows in one statement of SQLite.
const ROWS: usize = 100;

/// As long as a field's origin is in a canonical record.
const SOURCES: &str = r#"{"*":{"account":"gov","at":1795283907723236}}"#;
/// As long as a scan's id.
const SCAN: &str = "s_01M7ZM533ZBJ2G1ZSQ4ZZKV8M1";
const HASH: [u8; 16] = [7; 16];
const AT: i64 = 1_795_283_907_723_236;

const SCHEMA: [&str; 2] = [
    "CREATE TABLE customers (remote_id TEXT PRIMARY KEY, id TEXT, reference TEXT, email TEXT, \
     profile TEXT, mirror TEXT, sources TEXT, scan TEXT, link TEXT, hash BLOB, mirror_hash BLOB, \
     created_at BIGINT, as_of BIGINT)",
    "CREATE TABLE methods (remote_id TEXT PRIMARY KEY, id TEXT, customer TEXT, kind TEXT, \
     facts TEXT, mirror TEXT, sources TEXT, link TEXT, hash BLOB, mirror_hash BLOB, is_default BIGINT, \
     created_at BIGINT, as_of BIGINT)",
];
const INTO_CUSTOMERS: (&str, &str) =
    ("INSERT INTO customers", "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
const INTO_METHODS: (&str, &str) =
    ("INSERT INTO methods", "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

#[derive(Debug, Deserialize)]
struct Page {
    value: Vec<Customer>,
}

#[derive(Debug, Deserialize)]
struct Customer {
    uid: String,
    reference_id: String,
    name: String,
    email: String,
}

#[derive(Debug, Deserialize)]
struct Methods {
    payment_methods: Vec<Method>,
}

#[derive(Debug, Deserialize)]
struct Method {
    saved_payment_method_uid: String,
    payment_method_type: String,
    credit: Option<Box<RawValue>>,
    ach: Option<Box<RawValue>>,
    is_default: bool,
}

type Pulled = (Customer, Vec<Method>);

/// Says how many customers it has written.
pub(super) async fn run(at: &At, database: &str) -> Result<()> {
    let client = Client::new(at)?;
    let (to_writer, chunks) = mpsc::channel(4);
    let writer = tokio::spawn(write(database.to_owned(), chunks));
    let mut lists = customers(&client)
        .map_ok(|customer| {
            let client = client.clone();
            async move { tokio::spawn(list(client, customer)).await? }
        })
        .try_buffer_unordered(at.in_flight)
        .try_chunks(CHUNK);
    while let Some(chunk) = lists.next().await {
        if to_writer.send(chunk.map_err(|failed| failed.1)?).await.is_err() {
            break;
        }
    }
    drop(to_writer);
    crate::print(&writer.await??.to_string());
    Ok(())
}

/// Every customer, by pages read ahead, to the first empty page.
fn customers(client: &Client) -> impl Stream<Item = Result<Customer>> + use<> {
    let client = client.clone();
    stream::iter((0..).step_by(PAGE))
        .map(move |skip| {
            let client = client.clone();
            let path = format!("/api/customers?%24top={PAGE}&%24skip={skip}");
            async move { tokio::spawn(async move { client.get::<Page>(&path).await }).await? }
        })
        .buffered(AHEAD)
        .try_take_while(|page| std::future::ready(Ok(!page.value.is_empty())))
        .map_ok(|page| stream::iter(page.value.into_iter().map(Ok)))
        .try_flatten()
}

async fn list(client: Client, customer: Customer) -> Result<Pulled> {
    let path = format!("/api/customers/{}/payment-methods", customer.uid);
    let methods: Methods = client.get(&path).await?;
    Ok((customer, methods.payment_methods))
}

async fn write(database: String, mut chunks: mpsc::Receiver<Vec<Pulled>>) -> Result<usize> {
    let mut written = 0;
    if let Some(file) = database.strip_prefix("sqlite://") {
        let mut connection = rows::sqlite(file.as_ref()).await?;
        for table in SCHEMA {
            let table = format!("{table} STRICT").replace("BIGINT", "INTEGER");
            connection.execute(AssertSqlSafe(table)).await?;
        }
        while let Some(chunk) = chunks.recv().await {
            insert(&mut connection, &chunk).await?;
            written += chunk.len();
        }
        connection.close().await?;
        return Ok(written);
    }
    let mut connection = PgConnection::connect(&database).await?;
    for table in SCHEMA {
        connection.execute(AssertSqlSafe(table.replace("BLOB", "BYTEA"))).await?;
    }
    while let Some(chunk) = chunks.recv().await {
        copy(&mut connection, &chunk).await?;
        written += chunk.len();
    }
    connection.close().await?;
    Ok(written)
}

fn profile(customer: &Customer) -> String {
    serde_json::json!({"name": customer.name, "email": customer.email}).to_string()
}

/// As long as one of our ids.
fn id(kind: char, remote: &str) -> String {
    format!("{kind}_{remote:0>26}")
}

fn facts(method: &Method) -> Result<&str> {
    let facts = method.credit.as_ref().or(method.ach.as_ref());
    Ok(facts.context("a payment method without facts")?.get())
}

/// As long as what links a mirror's row to its record, and says where it stands.
fn link(kind: char, remote: &str) -> String {
    format!("gov {remote} {} live reference 1795283907723236 1795283907723236", id(kind, remote))
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind_customer<'q>(query: Bound<'q>, customer: &Customer) -> Bound<'q> {
    let profile = profile(customer);
    query
        .bind(customer.uid.clone())
        .bind(id('c', &customer.uid))
        .bind(customer.reference_id.clone())
        .bind(customer.email.clone())
        .bind(profile.clone())
        .bind(profile)
        .bind(SOURCES)
        .bind(SCAN)
        .bind(link('c', &customer.uid))
        .bind(HASH.to_vec())
        .bind(HASH.to_vec())
        .bind(AT)
        .bind(AT)
}

fn bind_method<'q>(query: Bound<'q>, customer: &Customer, method: &Method) -> Result<Bound<'q>> {
    let facts = facts(method)?.to_owned();
    Ok(query
        .bind(method.saved_payment_method_uid.clone())
        .bind(id('m', &method.saved_payment_method_uid))
        .bind(id('c', &customer.uid))
        .bind(method.payment_method_type.clone())
        .bind(facts.clone())
        .bind(facts)
        .bind(SOURCES)
        .bind(link('m', &method.saved_payment_method_uid))
        .bind(HASH.to_vec())
        .bind(HASH.to_vec())
        .bind(i64::from(method.is_default))
        .bind(AT)
        .bind(AT))
}

async fn insert(connection: &mut SqliteConnection, chunk: &[Pulled]) -> Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    for some in chunk.chunks(ROWS) {
        let text = rows::values(INTO_CUSTOMERS.0, INTO_CUSTOMERS.1, some.len());
        let query = some.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (customer, _)| {
            bind_customer(query, customer)
        });
        query.execute(&mut *tx).await?;
    }
    let methods: Vec<(&Customer, &Method)> =
        chunk.iter().flat_map(|(c, methods)| methods.iter().map(move |m| (c, m))).collect();
    for some in methods.chunks(ROWS) {
        let text = rows::values(INTO_METHODS.0, INTO_METHODS.1, some.len());
        let query = some
            .iter()
            .try_fold(sqlx::query(AssertSqlSafe(text)), |query, (customer, method)| {
                bind_method(query, customer, method)
            })?;
        query.execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// COPY in its text format: only a backslash needs care, and tabs and line ends do not come.
async fn copy(connection: &mut PgConnection, chunk: &[Pulled]) -> Result<()> {
    let hash: String = HASH.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = format!("\\\\x{hash}");
    let (mut customers, mut methods) = (String::new(), String::new());
    for (customer, of_customer) in chunk {
        let (uid, profile) = (&customer.uid, profile(customer).replace('\\', "\\\\"));
        let (own, link) = (id('c', uid), link('c', uid));
        let (reference, email) = (&customer.reference_id, &customer.email);
        customers += &format!(
            "{uid}\t{own}\t{reference}\t{email}\t{profile}\t{profile}\t{SOURCES}\t{SCAN}\t{link}\t\
             {hash}\t{hash}\t{AT}\t{AT}\n"
        );
        for method in of_customer {
            methods += &method_line(&own, method, &hash)?;
        }
    }
    let mut tx = connection.begin().await?;
    for (table, text) in [("customers", customers), ("methods", methods)] {
        let mut into = tx.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
        into.send(text.into_bytes()).await?;
        into.finish().await?;
    }
    Ok(tx.commit().await?)
}

fn method_line(customer: &str, method: &Method, hash: &str) -> Result<String> {
    let remote = &method.saved_payment_method_uid;
    let (own, link) = (id('m', remote), link('m', remote));
    let (kind, default) = (&method.payment_method_type, u8::from(method.is_default));
    let facts = facts(method)?.replace('\\', "\\\\");
    Ok(format!(
        "{remote}\t{own}\t{customer}\t{kind}\t{facts}\t{facts}\t{SOURCES}\t{link}\t{hash}\t{hash}\t\
         {default}\t{AT}\t{AT}\n"
    ))
}
