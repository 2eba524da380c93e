//! A message to somebody who is no provider: no permits, no retries, and nothing of its address in what
//! is said when it fails.

use std::time::Duration;

use reqwest::{Client, redirect};
use url::Url;

use crate::{address, tls};

/// Why a message was not heard. It never repeats the address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// It is no http or https address, or plain http to another machine.
    #[error("the address is not https (http only for a loopback host)")]
    Address,
    /// The machine's certificates cannot be used.
    #[error("a TLS connection cannot be set up: {0}")]
    Setup(String),
    /// There was no answer in time.
    #[error("there was no answer")]
    NoAnswer,
    /// It was answered, and not with 2xx.
    #[error("it was answered with status {0}")]
    Refused(u16),
}

/// Sends JSON by POST, once.
///
/// # Errors
/// When no answer says that it was heard.
pub async fn notify(
    url: &str,
    body: String,
    timeout: Duration,
    user_agent: &str,
) -> Result<(), NotHeard> {
    let url = Url::parse(url).map_err(|_| NotHeard::Address)?;
    let loopback = address::is_loopback(&url);
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(NotHeard::Address);
    }
    let setup = |error: &dyn std::fmt::Display| NotHeard::Setup(error.to_string());
    let tls = tls::config(None, url.scheme() == "https").map_err(|error| setup(&error))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(user_agent)
        .timeout(timeout);
    if loopback {
        builder = builder.no_proxy();
    }
    let client = builder.build().map_err(|error| setup(&error.without_url()))?;
    let sent = client.post(url).header("content-type", "application/json").body(body).send().await;
    let status = sent.map_err(|_| NotHeard::NoAnswer)?.status();
    if status.is_success() { Ok(()) } else { Err(NotHeard::Refused(status.as_u16())) }
}
