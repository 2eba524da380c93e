//! Who may call: secret API keys; and the version of the API that a call may ask for.

use super::Config;
use super::refused::Refused;
use crate::vendor::Call;
use http::{HeaderName, StatusCode};

const KEY: &str = "x-api-key";

/// The header that asks for a version, and repeats it on the answer.
pub(super) const VERSION: HeaderName = HeaderName::from_static("noderails-version");

/// Refuses a version that there is not.
pub(super) fn check_version(call: &Call, config: &Config) -> Result<(), Refused> {
    match call.header(VERSION.as_str()) {
        Some(asked) if asked != config.version => {
            let message = format!("unknown NodeRails-Version; expected {}", config.version);
            Err(Refused::typed(StatusCode::BAD_REQUEST, "invalid_request_error", message))
        }
        _ => Ok(()),
    }
}

/// The secret key that the call has, if it is one of the sandbox's.
pub(super) fn secret_key<'c>(call: &'c Call, config: &Config) -> Result<&'c str, Refused> {
    let refuse = |message: &str| Err(Refused::new(StatusCode::UNAUTHORIZED, message));
    // The vendor reads it as the token of somebody at the dashboard, and then no key at all.
    if call.header("authorization").is_some() {
        return refuse("Invalid or expired token");
    }
    let Some(key) = call.header(KEY) else { return refuse("Authentication required") };
    // What is behind the third underscore may have underscores of its own.
    let mut parts = key.splitn(4, '_');
    let (vendor, environment, kind) = (parts.next(), parts.next(), parts.next());
    let sound = vendor == Some("nr") && matches!(environment, Some("live" | "test"));
    if !sound || parts.next().is_none_or(str::is_empty) {
        return refuse("Invalid API key");
    }
    if kind == Some("pk") {
        return Err(Refused::new(StatusCode::FORBIDDEN, "A secret key is required"));
    }
    let known = config.accounts.iter().any(|account| account.secret_key == key);
    if known { Ok(key) } else { refuse("Invalid API key") }
}
