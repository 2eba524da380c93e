//! Who may call: OAuth 2.0 client credentials, and a static bearer.

use super::{Config, Refused};
use crate::seeded;
use crate::vendor::{Answer, Call, pairs};
use base64::Engine;
use http::StatusCode;
use serde_json::json;
use std::collections::HashMap;

/// The access tokens given out.
#[derive(Debug)]
pub(super) struct Access {
    seed: u64,
    issued: u64,
    /// Token to the Unix second at which it ends.
    live: HashMap<String, i64>,
}

impl Access {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, issued: 0, live: HashMap::new() }
    }

    /// Ends every token.
    pub(super) fn revoke(&mut self) {
        self.live.clear();
    }

    /// Tokens given out since the start.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// The token endpoint. Its errors are those of OAuth (RFC 6749, 5.2), not the API's.
    pub(super) fn issue(&mut self, call: &Call, config: &Config, now: i64) -> Answer {
        let refuse = |status, error: &str| Answer::json(status, &json!({"error": error}));
        let form = call.header("content-type").unwrap_or_default();
        if !form.starts_with("application/x-www-form-urlencoded") {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        }
        if basic(call).as_ref() != Some(&(config.client_id.clone(), config.client_secret.clone())) {
            let mut answer = refuse(StatusCode::UNAUTHORIZED, "invalid_client");
            answer.headers.push((http::header::WWW_AUTHENTICATE, "Basic".to_owned()));
            return answer;
        }
        let Ok(body) = std::str::from_utf8(&call.body) else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        };
        let fields: HashMap<String, String> = pairs(body).into_iter().collect();
        if fields.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
        }
        if fields.get("scope") != Some(&config.scope) {
            return refuse(StatusCode::BAD_REQUEST, "invalid_scope");
        }
        self.issued += 1;
        let token = format!("at_{}", seeded::id(self.seed, &["access", &self.issued.to_string()]));
        self.live.retain(|_, ends| *ends > now);
        self.live.insert(token.clone(), now.saturating_add(config.access_seconds));
        let body = json!({
            "access_token": token, "expires_in": config.access_seconds, "token_type": "Bearer",
        });
        Answer::json(StatusCode::OK, &body)
    }

    /// Whether the request carries a bearer that is good now.
    pub(super) fn check(&self, call: &Call, config: &Config, now: i64) -> Result<(), Refused> {
        let refused = |message: &str| {
            Refused::new(StatusCode::UNAUTHORIZED, "unauthenticated", message.to_owned())
        };
        let header = call.header("authorization").unwrap_or_default();
        let Some(bearer) = header.strip_prefix("Bearer ") else {
            return Err(refused("a bearer is required"));
        };
        if config.static_bearer.as_deref() == Some(bearer) {
            return Ok(());
        }
        match self.live.get(bearer) {
            Some(&ends) if ends > now => Ok(()),
            Some(_) => Err(refused("the access token has ended")),
            None => Err(refused("the access token is not known")),
        }
    }
}

fn basic(call: &Call) -> Option<(String, String)> {
    let coded = call.header("authorization")?.strip_prefix("Basic ")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(coded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
