//! Refusals with the vendor's own error body.

use super::config::Shape;
use crate::vendor::Answer;
use http::StatusCode;
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    /// Stands under `type`; without one the status's code stands under `code`.
    kind: Option<&'static str>,
    message: String,
    issues: Vec<Issue>,
}

/// What is wrong with one part of a request.
#[derive(Debug)]
pub(super) struct Issue {
    /// Which part: `metadata.tier`.
    pub(super) path: String,
    pub(super) message: String,
}

impl Issue {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, kind: None, message: message.into(), issues: Vec::new() }
    }

    /// One of the few that carry `type` in place of `code`.
    pub(super) fn typed(
        status: StatusCode,
        kind: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind: Some(kind), ..Self::new(status, message) }
    }

    /// 400 for what is wrong with the parts of a request.
    pub(super) fn invalid(issues: Vec<Issue>) -> Self {
        let text = |issue: &Issue| match &*issue.path {
            "" => issue.message.clone(),
            path => format!("{path}: {}", issue.message),
        };
        let message = issues.iter().map(text).collect::<Vec<_>>().join("; ");
        Self { issues, ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// 400 for one part.
    pub(super) fn at(path: &str, message: &str) -> Self {
        Self::invalid(vec![Issue::new(path, message)])
    }

    /// 500, as of whatever the vendor did not think of.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    /// 404 for a thing with an id.
    pub(super) fn no(thing: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{thing} with id {id} not found"))
    }

    pub(super) fn answer(&self, shape: Shape) -> Answer {
        let kind = match self.kind {
            Some(kind) => ("type", kind),
            None => (field(shape), code(self.status)),
        };
        let mut error = json!({kind.0: kind.1, "message": self.message});
        if !self.issues.is_empty() && shape.error_details {
            let issue = |issue: &Issue| {
                let path: Vec<&str> = issue.path.split('.').collect();
                json!({"path": path, "message": issue.message})
            };
            error["details"] = self.issues.iter().map(issue).collect::<Vec<Value>>().into();
        }
        Answer::json(self.status, &json!({"success": false, "error": error}))
    }
}

/// The name under which an error's code stands.
pub(super) fn field(shape: Shape) -> &'static str {
    if shape.error_type { "type" } else { "code" }
}

/// The vendor's code for a status.
pub(super) fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "AUTHENTICATION_ERROR",
        403 => "AUTHORIZATION_ERROR",
        404 => "NOT_FOUND",
        409 => "CONFLICT",
        429 => "RATE_LIMIT_EXCEEDED",
        502 => "BLOCKCHAIN_ERROR",
        504 => "TIMEOUT",
        500..=599 => "INTERNAL_ERROR",
        _ => "VALIDATION_ERROR",
    }
}
