//! One request, one answer: the narrow trait below the rings, and HTTP/1.1 by reqwest.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use backend::{BackendError, ErrorKind, Verb};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use model::Clock;
use reqwest::{Client, Method, NoProxy, Proxy, Response, redirect};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::{TransportConfig, address, redact, retry_after, tls};

/// No provider sends more in one answer.
const LARGEST: usize = 32 * 1024 * 1024;
/// How long the body of a 429 is waited for: its status says everything.
const REFUSAL_BODY: Duration = Duration::from_secs(2);
/// Shorter than the keep-alive of any common server, so that a connection is hardly ever used
/// just when the server closes it, which would make a changing call unknown.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(10);
const REQUEST_IDS: [&str; 4] =
    ["x-request-id", "request-id", "x-correlation-id", "x-ms-request-id"];

/// A request with its credentials, ready to leave.
pub(crate) struct Outgoing {
    pub(crate) verb: Verb,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The last moment at which the first byte may leave.
    pub(crate) send_by: Option<Instant>,
}

/// What is known when the headers are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
}

/// Why there is no whole answer. Texts are redacted.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The send window passed: nothing left.
    Late,
    /// No connection: nothing left.
    Connect { why: String, untrusted: bool },
    /// No whole answer in time.
    Timeout,
    /// The connection broke, or the answer is not HTTP.
    Cut(String),
    /// Larger than anybody's answer.
    TooLarge,
}

impl Broken {
    /// The word for the call log.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Connect { .. } => "connect",
            Self::Timeout => "timeout",
            Self::Cut(_) => "broken",
            Self::TooLarge => "too_large",
        }
    }
}

/// Sends one request once. `heard` is told of the headers before the body is read.
#[async_trait]
pub(crate) trait Wire: Send + Sync + fmt::Debug {
    async fn send(
        &self,
        outgoing: Outgoing,
        heard: &(dyn for<'a> Fn(&'a Head) + Send + Sync),
    ) -> Result<(Head, Bytes), Broken>;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct HttpWire {
    client: Client,
    clock: Arc<dyn Clock>,
}

fn fault(message: impl Into<String>) -> BackendError {
    BackendError::new(ErrorKind::Config, "set up the connection", message)
}

impl HttpWire {
    pub(crate) fn new(
        config: &TransportConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackendError> {
        let base = &config.base_url;
        let tls =
            tls::config(config.ca_file.as_deref(), base.scheme() == "https").map_err(fault)?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(config.user_agent.as_str())
            .connect_timeout(CONNECT.min(config.timing.timeout))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.rate.in_flight)
            .tcp_keepalive(Duration::from_secs(30))
            .connector_layer(tower::layer::layer_fn(ConnectBy));
        if address::is_loopback(base) {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &config.proxy {
            let proxy = Proxy::all(proxy.clone())
                .map_err(|_| fault("the proxy's URL cannot be used"))?
                .no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1"));
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| {
            fault(format!("the HTTP client cannot be built: {}", deepest(&error)))
        })?;
        Ok(Self { client, clock })
    }

    fn head(&self, response: &Response) -> Head {
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let retry_after = text(header::RETRY_AFTER.as_str()).and_then(|value| {
            retry_after::parse(value, text(header::DATE.as_str()), self.clock.now())
        });
        Head {
            status: response.status().as_u16(),
            retry_after,
            request_id: REQUEST_IDS.iter().find_map(|name| redact::request_id(text(name)?)),
        }
    }
}

tokio::task_local! {
    /// By when the connection of the request being sent in this task must stand.
    static SEND_BY: Instant;
}

#[async_trait]
impl Wire for HttpWire {
    async fn send(
        &self,
        outgoing: Outgoing,
        heard: &(dyn for<'a> Fn(&'a Head) + Send + Sync),
    ) -> Result<(Head, Bytes), Broken> {
        let method = match outgoing.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        let mut request = reqwest::Request::new(method, outgoing.url);
        *request.headers_mut() = outgoing.headers;
        if !outgoing.body.is_empty() {
            *request.body_mut() = Some(outgoing.body.into());
        }
        let late = || outgoing.send_by.is_some_and(|by| Instant::now() >= by);
        if late() {
            return Err(Broken::Late);
        }
        let sending = self.client.execute(request);
        let sent = match outgoing.send_by {
            Some(by) => SEND_BY.scope(by, sending).await,
            None => sending.await,
        };
        let response = sent.map_err(|error| {
            let broken = broken(error);
            if matches!(broken, Broken::Connect { .. }) && late() { Broken::Late } else { broken }
        })?;
        let head = self.head(&response);
        heard(&head);
        if head.status == 429 {
            let body = timeout(REFUSAL_BODY, read(response)).await;
            return Ok((head, body.ok().and_then(Result::ok).unwrap_or_default()));
        }
        let body = read(response).await?;
        Ok((head, body))
    }
}

async fn read(mut response: Response) -> Result<Bytes, Broken> {
    let stated = response.content_length().and_then(|length| usize::try_from(length).ok());
    if stated.is_some_and(|length| length > LARGEST) {
        return Err(Broken::TooLarge);
    }
    let mut body = BytesMut::with_capacity(stated.unwrap_or(0).min(64 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(Broken::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn broken(error: reqwest::Error) -> Broken {
    let error = error.without_url();
    if error.is_connect() {
        let untrusted = chain(&error).any(is_untrusted);
        let why = if error.is_timeout() { "it took too long".into() } else { deepest(&error) };
        Broken::Connect { why, untrusted }
    } else if error.is_timeout() {
        Broken::Timeout
    } else {
        Broken::Cut(deepest(&error))
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The cause at the bottom. Those of the libraries below name no header, query or body.
fn deepest(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, |error| redact::vendor_text(&error.to_string()))
}

fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        // The source of an I/O error is the source of what it wraps, which itself is skipped.
        return io.get_ref().is_some_and(|inner| is_untrusted(inner));
    }
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}

/// Connects until [`SEND_BY`] and no longer, so that no changing call leaves after its window
/// because name or handshake took their time.
#[derive(Debug, Clone)]
struct ConnectBy<S>(S);

type Boxed = Box<dyn Error + Send + Sync>;

impl<S, R> tower::Service<R> for ConnectBy<S>
where
    S: tower::Service<R, Error = Boxed>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Boxed;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Boxed>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Boxed>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let by = SEND_BY.try_with(|by| *by).ok();
        let connecting = self.0.call(to);
        Box::pin(async move {
            match by {
                Some(by) => timeout_at(by, connecting)
                    .await
                    .unwrap_or_else(|_| Err("the send window passed".into())),
                None => connecting.await,
            }
        })
    }
}
