//! Credentials: a fixed bearer, or OAuth 2.0 client credentials with one cached token.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backend::{BackendError, ErrorKind, Verb};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use transport::{Credentials, HttpRequest, HttpResponse, StaticHeaders, Transport};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::config::is_header_value;

const AUTHORIZATION: &str = "authorization";
const DOING: &str = "get an access token";
/// How the token endpoint is called in logs, whatever its address.
pub(crate) const ROUTE: &str = "/oauth2/token";
/// A token is renewed this long before its end, or at the last tenth of a shorter life.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The life of a token whose answer does not state one (RFC 6749 allows that): adopted.
const UNSTATED_LIFE: u64 = 5 * 60;
/// A longer life is not believed.
const LONGEST_LIFE: u64 = 24 * 60 * 60;
/// So long after a token was renewed because of a 401, another 401 may still be the answer to a
/// call that went out with the old one; and if it is not, a third token helps no better.
const RENEWED: Duration = Duration::from_secs(30);
/// What RFC 6749 lets a token endpoint say; any other text of it is not shown.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// A token that never changes.
pub(crate) fn static_bearer(token: &SecretString) -> StaticHeaders {
    StaticHeaders::new(vec![(AUTHORIZATION, bearer(token.expose_secret()))])
}

fn bearer(token: &str) -> SecretString {
    format!("Bearer {token}").into()
}

/// Client credentials, and the one token that they gave.
pub(crate) struct OAuth {
    token_url: Url,
    basic: SecretString,
    scope: String,
    state: Mutex<State>,
    /// Held by the one caller that asks for a token; the others wait for what it gets.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How often the endpoint has been asked, and what the last time failed with.
    asked: u64,
    failed: Option<Failed>,
}

struct Token {
    header: SecretString,
    got: Instant,
    renew_at: Instant,
    /// It was asked for because the one before was rejected.
    renewed: bool,
    rejected: bool,
}

impl Token {
    fn is_good(&self, now: Instant) -> bool {
        !self.rejected && now < self.renew_at
    }
}

/// A failure that all who waited for it share.
struct Failed {
    kind: ErrorKind,
    message: String,
    status: Option<u16>,
    code: Option<Box<str>>,
    retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    token_type: Option<String>,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("host", &self.token_url.host_str()).finish_non_exhaustive()
    }
}

impl OAuth {
    pub fn new(
        token_url: &Url,
        client_id: &SecretString,
        client_secret: &SecretString,
        scope: &str,
    ) -> Self {
        let pair = format!("{}:{}", client_id.expose_secret(), client_secret.expose_secret());
        Self {
            token_url: token_url.clone(),
            basic: format!("Basic {}", STANDARD.encode(pair)).into(),
            scope: scope.to_owned(),
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self) -> HttpRequest {
        let body = Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", &self.scope)
            .finish();
        HttpRequest {
            verb: Verb::Post,
            route: ROUTE,
            path: self.token_url.path().to_owned(),
            query: self.token_url.query().unwrap_or_default().to_owned(),
            body: body.into(),
            content_type: Some("application/x-www-form-urlencoded"),
            headers: vec![(AUTHORIZATION, self.basic.clone())],
            json_answer: true,
        }
    }

    async fn ask(&self, transport: &Transport, renewed: bool) -> Result<Token, BackendError> {
        // Its life is counted from before the question: the vendor's began no earlier.
        let got = Instant::now();
        let response = transport.credential_call(&self.token_url, self.request()).await?;
        let (header, life) = read(&response)?;
        let renew_at = got + life - MARGIN.min(life / 10);
        Ok(Token { header, got, renew_at, renewed, rejected: false })
    }
}

/// Reads the answer of the token endpoint. No text of it is repeated.
fn read(response: &HttpResponse) -> Result<(SecretString, Duration), BackendError> {
    let fault = |kind, why: &str, code: Option<&str>| BackendError {
        status: Some(response.status),
        code: code.map(Into::into),
        request_id: response.request_id.as_deref().map(Into::into),
        ..BackendError::new(kind, DOING, why)
    };
    let malformed = |why| Err(fault(ErrorKind::Malformed, why, None));
    match response.status {
        200..=299 => {}
        400 | 401 | 403 => {
            let said: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let said = said.get("error").and_then(Value::as_str);
            let code = CODES.into_iter().find(|code| said == Some(code));
            let why = "the token endpoint does not take the client, its secret or its scope";
            return Err(fault(ErrorKind::Unauthenticated, why, code));
        }
        _ => return malformed("the token endpoint answered what it should not"),
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
        return malformed("the token endpoint's answer holds no token");
    };
    let token = SecretString::from(answer.access_token);
    if !is_header_value(token.expose_secret()) {
        return malformed("the access token cannot be sent in a header");
    }
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return malformed("the access token is not a bearer token");
    }
    let life = match &answer.expires_in {
        Value::Null => Some(UNSTATED_LIFE),
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        _ => None,
    };
    match life {
        Some(life @ 1..) => {
            Ok((bearer(token.expose_secret()), Duration::from_secs(life.min(LONGEST_LIFE))))
        }
        _ => malformed("`expires_in` is not a number of seconds"),
    }
}

#[async_trait]
impl Credentials for OAuth {
    async fn ready(&self, transport: &Transport) -> Result<(), BackendError> {
        let asked = {
            let state = self.state();
            if state.token.as_ref().is_some_and(|token| token.is_good(Instant::now())) {
                return Ok(());
            }
            state.asked
        };
        let _alone = self.asking.lock().await;
        let renewed = {
            let state = self.state();
            match (&state.token, &state.failed) {
                (Some(token), _) if token.is_good(Instant::now()) => return Ok(()),
                // Who waited while another asked in vain does not ask again.
                (_, Some(failed)) if state.asked != asked => return Err(failed.error()),
                (token, _) => token.as_ref().is_some_and(|token| token.rejected),
            }
        };
        let answer = self.ask(transport, renewed).await;
        let mut state = self.state();
        state.asked += 1;
        match answer {
            Ok(token) => {
                state.token = Some(token);
                state.failed = None;
                Ok(())
            }
            Err(error) => {
                state.failed = Some(Failed::of(&error));
                Err(error)
            }
        }
    }

    fn headers(&self, _: &HttpRequest) -> Result<Vec<(&'static str, SecretString)>, BackendError> {
        let state = self.state();
        let token = state.token.as_ref().filter(|token| !token.rejected).ok_or_else(|| {
            BackendError::new(ErrorKind::Unauthenticated, DOING, "there is no good token just now")
        })?;
        Ok(vec![(AUTHORIZATION, token.header.clone())])
    }

    fn rejected(&self) -> bool {
        let mut state = self.state();
        if let Some(token) = &mut state.token
            && !(token.renewed && token.got.elapsed() < RENEWED)
        {
            token.rejected = true;
        }
        true
    }
}

impl Failed {
    fn of(error: &BackendError) -> Self {
        Self {
            kind: error.kind,
            message: error.message.clone(),
            status: error.status,
            code: error.code.clone(),
            retry_after: error.retry_after,
        }
    }

    fn error(&self) -> BackendError {
        BackendError {
            status: self.status,
            code: self.code.clone(),
            retry_after: self.retry_after,
            ..BackendError::new(self.kind, DOING, self.message.clone())
        }
    }
}

#[cfg(test)]
mod tests;
