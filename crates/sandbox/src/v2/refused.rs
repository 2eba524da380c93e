//! Refusals, in the vendor's error bodies.

use super::config::ErrorShape;
use crate::vendor::Answer;
use http::StatusCode;
use serde_json::json;

/// A call that is not approved.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
    /// Its own body, where it is not the one of every error.
    shape: Option<ErrorShape>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), shape: None }
    }

    /// What was sent cannot be.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn no_customer() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such customer")
    }

    /// The same, in this shape whatever the others have.
    pub(super) fn shaped(self, shape: ErrorShape) -> Self {
        Self { shape: Some(shape), ..self }
    }

    pub(super) fn answer(&self, every: ErrorShape) -> Answer {
        let word = match self.status.as_u16() {
            400 | 402..=499 => "invalid-request",
            _ => "error",
        };
        let body = match self.shape.unwrap_or(every) {
            ErrorShape::Message => json!({"status": word, "message": self.message}),
            ErrorShape::Errors => json!({"status": word, "errors": [self.message]}),
            ErrorShape::Bare => json!({"status": word}),
            ErrorShape::Text => {
                let mut answer = Answer::empty(self.status);
                answer.content_type = "text/plain";
                answer.body = format!("{}\n", self.message).into();
                return answer;
            }
        };
        Answer::json(self.status, &body)
    }
}
