//! The admin door: `/_sandbox/…`, JSON. It is not counted, not limited, and no fault hits it.

use crate::change::{Change, ChangeError};
use crate::config::Kind;
use crate::fault::{Fault, FaultError, FaultPlan};
use crate::handle::Handle;
use crate::rate::Rate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// Entries of a page if the request does not say.
const PAGE: usize = 1_000;

pub(crate) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/_sandbox", get(info))
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/counters", get(counters))
        .route("/_sandbox/log", get(log).delete(clear_log))
        .route("/_sandbox/worst-second", get(worst_second))
        .route("/_sandbox/faults", get(faults).put(put).post(add).delete(clear_faults))
        .route("/_sandbox/faults/unfired", get(unfired))
        .route("/_sandbox/rate", get(rate).put(set_rate).delete(lift_rate))
        .route("/_sandbox/changes", post(change))
        .route("/_sandbox/access-tokens/revoke", post(revoke))
        .fallback(nothing)
        .with_state(handle)
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}

async fn nothing() -> Response {
    error(StatusCode::NOT_FOUND, "the admin door has nothing at this path; see docs.md")
}

async fn info(State(handle): State<Handle>) -> Json<Value> {
    let kind: Kind = handle.kind();
    Json(json!({
        "kind": kind.as_str(),
        "base_url": handle.base_url(),
        "token_url": handle.token_url(),
        "seed": handle.seed(),
        "accounts": handle.accounts(),
        "endpoints": kind.endpoints(),
        "faults": Fault::NAMES,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    account: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// The account that was named, else the first.
fn account(handle: &Handle, named: Option<String>) -> String {
    let first = || handle.accounts().into_iter().next().map(|a| a.account);
    named.or_else(first).unwrap_or_default()
}

async fn state(State(handle): State<Handle>, Query(query): Query<StateQuery>) -> Response {
    let account = account(&handle, query.account);
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 10 * PAGE);
    match handle.state_page(&account, query.after.as_deref(), limit) {
        Some(page) => Json(page).into_response(),
        None => error(StatusCode::NOT_FOUND, &ChangeError::NoAccount(account).to_string()),
    }
}

async fn counters(State(handle): State<Handle>) -> Response {
    Json(handle.counters()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    after: Option<u64>,
    limit: Option<usize>,
    endpoint: Option<String>,
}

async fn log(State(handle): State<Handle>, Query(query): Query<LogQuery>) -> Response {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 100 * PAGE);
    let entries = handle.log_after(query.after.unwrap_or(0), limit, query.endpoint.as_deref());
    let next = entries.last().map(|entry| entry.seq).filter(|_| entries.len() == limit);
    Json(json!({"entries": entries, "next": next})).into_response()
}

async fn clear_log(State(handle): State<Handle>) -> StatusCode {
    handle.clear_log();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointQuery {
    endpoint: Option<String>,
}

async fn worst_second(
    State(handle): State<Handle>,
    Query(query): Query<EndpointQuery>,
) -> Response {
    Json(handle.worst_second(query.endpoint.as_deref())).into_response()
}

async fn faults(State(handle): State<Handle>) -> Response {
    Json(json!({"rules": handle.faults()})).into_response()
}

async fn unfired(State(handle): State<Handle>) -> Response {
    Json(json!({"rules": handle.faults_unfired()})).into_response()
}

fn planned(
    handle: &Handle,
    text: &str,
    put: impl FnOnce(FaultPlan) -> Result<(), FaultError>,
) -> Response {
    match FaultPlan::parse(text).and_then(put) {
        Ok(()) => Json(json!({"rules": handle.faults()})).into_response(),
        Err(e) => error(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}

async fn put(State(handle): State<Handle>, text: String) -> Response {
    planned(&handle, &text, |plan| handle.put_faults(plan))
}

async fn add(State(handle): State<Handle>, text: String) -> Response {
    planned(&handle, &text, |plan| handle.add_faults(plan))
}

async fn clear_faults(State(handle): State<Handle>) -> StatusCode {
    handle.clear_faults();
    StatusCode::NO_CONTENT
}

async fn rate(State(handle): State<Handle>) -> Response {
    Json(json!({"rate": handle.rate()})).into_response()
}

async fn set_rate(State(handle): State<Handle>, Json(rate): Json<Rate>) -> Response {
    if handle.set_rate(Some(rate)) {
        Json(json!({"rate": rate})).into_response()
    } else {
        let expected = "expected `per_second` above 0 and `burst` of at least 1";
        error(StatusCode::BAD_REQUEST, expected)
    }
}

async fn lift_rate(State(handle): State<Handle>) -> StatusCode {
    handle.set_rate(None);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountQuery {
    account: Option<String>,
}

async fn change(
    State(handle): State<Handle>,
    Query(query): Query<AccountQuery>,
    Json(change): Json<Change>,
) -> Response {
    let account = account(&handle, query.account);
    match handle.change(&account, change) {
        Ok(changed) => Json(changed).into_response(),
        Err(e) => {
            let status = match &e {
                ChangeError::NoAccount(_)
                | ChangeError::NoCustomer(_)
                | ChangeError::NoMethod(_) => StatusCode::NOT_FOUND,
                ChangeError::ReferenceTaken(_) => StatusCode::CONFLICT,
                ChangeError::Invalid(_) => StatusCode::BAD_REQUEST,
            };
            error(status, &e.to_string())
        }
    }
}

async fn revoke(State(handle): State<Handle>) -> StatusCode {
    handle.revoke_access_tokens();
    StatusCode::NO_CONTENT
}
