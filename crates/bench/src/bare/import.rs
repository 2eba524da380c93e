//! The bare import: the same creates, the same batches, nothing written down.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::At;
use super::http::Client;

/// Rows in one call of the bulk import.
const BATCH: usize = 100;

#[derive(Debug, Deserialize)]
struct Created {
    uid: String,
}

#[derive(Debug, Deserialize)]
struct Imported {
    results: Vec<ImportedRow>,
}

#[derive(Debug, Deserialize)]
struct ImportedRow {
    status: String,
}

pub(super) async fn run(at: &At, file: &Path) -> Result<()> {
    let client = Client::new(at)?;
    let text = std::fs::read_to_string(file)?;
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let customers: Vec<_> = rows.chunk_by(|a, b| a.first() == b.first()).collect();
    let mut created = stream::iter(customers)
        .map(|rows| {
            let client = client.clone();
            async move {
                let body = customer(rows.first().context("a customer without a row")?)?;
                let call = async move { client.post("/api/customers", &body).await };
                let made: Created = tokio::spawn(call).await??;
                rows.iter().map(|row| method(&made.uid, row)).collect::<Result<Vec<_>>>()
            }
        })
        .buffer_unordered(at.in_flight);
    let mut posts = JoinSet::new();
    let mut waiting = Vec::new();
    while let Some(rows) = created.try_next().await? {
        waiting.extend(rows);
        if waiting.len() >= BATCH {
            let rest = waiting.split_off(BATCH);
            posts.spawn(post(client.clone(), std::mem::replace(&mut waiting, rest)));
        }
    }
    if !waiting.is_empty() {
        posts.spawn(post(client.clone(), waiting));
    }
    while let Some(posted) = posts.join_next().await {
        posted??;
    }
    Ok(())
}

/// A cell of the files that [`crate::files`] writes.
fn cell<'a>(row: &[&'a str], column: &str) -> Result<&'a str> {
    let at = crate::files::COLUMNS.iter().position(|name| *name == column);
    at.and_then(|at| row.get(at).copied()).with_context(|| format!("a row without {column}"))
}

fn customer(row: &[&str]) -> Result<Value> {
    Ok(json!({
        "reference_id": cell(row, "reference")?,
        "name": cell(row, "name")?,
        "email": cell(row, "email")?,
    }))
}

fn method(uid: &str, row: &[&str]) -> Result<Value> {
    let mut method = json!({
        "customer_uid": uid,
        "payment_method": {"payment_method_type": "credit", "credit": {
            "fingerprint": cell(row, "token")?,
            "last4": cell(row, "last4")?,
            "exp_month": cell(row, "exp_month")?.parse::<i64>()?,
            "exp_year": cell(row, "exp_year")?.parse::<i64>()?,
            "card_brand": cell(row, "brand")?,
        }},
    });
    if cell(row, "default")? == "true"
        && let Some(fields) = method.as_object_mut()
    {
        fields.insert("is_default".to_owned(), true.into());
    }
    Ok(method)
}

async fn post(client: Client, rows: Vec<Value>) -> Result<()> {
    let sent = rows.len();
    let body = json!({"saved_payment_methods": rows});
    let answer: Imported = client.post("/api/saved-payment-methods/import", &body).await?;
    let imported = answer.results.iter().filter(|row| row.status == "imported").count();
    ensure!(imported == sent, "{imported} of {sent} rows were imported");
    Ok(())
}
