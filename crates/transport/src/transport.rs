//! The client itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend::{
    BackendError, CallCtx, ErrorKind, Lane, Limits, Permit, Timing, Traffic, TrafficError,
};
use model::{AccountName, Clock};
use tokio::time::Instant;
use url::Url;

use crate::pacer::Pacer;
use crate::retry::Budget;
use crate::rings::{self, Call};
use crate::wire::{HttpWire, Wire};
use crate::{
    CallLog, Credentials, HttpRequest, HttpResponse, PermitSource, Rate, Sent, TransportConfig,
    address,
};

/// After so long a wait for tickets the credentials are looked at again.
const STALE: Duration = Duration::from_secs(60);

/// One account's HTTP client. Needs a tokio runtime when it is used, not when it is made.
pub struct Transport {
    pub(crate) account: AccountName,
    pub(crate) timing: Timing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) calls: Arc<dyn CallLog>,
    pub(crate) pacer: Arc<Pacer>,
    pub(crate) wire: Box<dyn Wire>,
    pub(crate) budget: Budget,
    base: Url,
    rate: Rate,
    credentials: Arc<dyn Credentials>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("account", &self.account.as_str()).finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes it; nothing is called yet. Reads the system's certificates.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: a base URL that is not https (or http on loopback) or holds a user,
    /// a rate that is none, a `ca_file` that cannot be read, a proxy that cannot be used.
    pub fn new(
        config: TransportConfig,
        credentials: Arc<dyn Credentials>,
        permits: Arc<dyn PermitSource>,
        calls: Arc<dyn CallLog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, BackendError> {
        let wire = Box::new(HttpWire::new(&config, Arc::clone(&clock))?);
        Self::over(wire, config, credentials, permits, calls, clock)
    }

    pub(crate) fn over(
        wire: Box<dyn Wire>,
        config: TransportConfig,
        credentials: Arc<dyn Credentials>,
        permits: Arc<dyn PermitSource>,
        calls: Arc<dyn CallLog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, BackendError> {
        let TransportConfig { account, base_url: base, timing, rate, .. } = config;
        let query = base.query().map(|_| "the URL must not have a query");
        if let Some(why) = rate.fault().or_else(|| address::fault(&base)).or(query) {
            return Err(BackendError::new(ErrorKind::Config, "set up the connection", why));
        }
        Ok(Arc::new(Self {
            pacer: Pacer::new(account.clone(), timing, &rate, permits),
            account,
            timing,
            clock,
            calls,
            wire,
            budget: Budget::full(),
            base,
            rate,
            credentials,
        }))
    }

    /// A read: credentials made ready, then attempts, each with its own permit and timeout,
    /// retried within the retry budget and `ctx.deadline` (429, 5xx, timeouts, connections that
    /// failed, answers that broke; `Retry-After` honoured), at most five in all; and one more
    /// after a 401 when [`Credentials::rejected`] says that it could help.
    ///
    /// Any other answer is `Ok`: what a 404 means, the adapter decides from its body.
    ///
    /// # Errors
    /// The last failure when all attempts failed; [`ErrorKind::Malformed`] for an address that is
    /// not the provider's; what [`Credentials::ready`] said.
    pub async fn read(
        &self,
        ctx: &CallCtx,
        doing: &'static str,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, BackendError> {
        let url = address::resolve(&self.base, &mut request)
            .map_err(|why| BackendError::new(ErrorKind::Malformed, doing, why))?;
        let credentials = Some(&*self.credentials);
        rings::read(self, &Call { ctx, doing, request, url, credentials }).await
    }

    /// A changing call: exactly one attempt. It waits for its slot in `ctx.lane` until
    /// [`Permit::send_by`] and no longer.
    ///
    /// A request that cannot be put together (a path that is not encoded) is told of as an error
    /// event and is [`backend::NotSent::Connect`].
    pub async fn write(&self, ctx: &CallCtx, mut request: HttpRequest, permit: Permit) -> Sent {
        const DOING: &str = "send the change";
        let url = match address::resolve(&self.base, &mut request) {
            Ok(url) => url,
            Err(why) => return rings::unsendable(self, request.route, why),
        };
        let credentials = Some(&*self.credentials);
        rings::write(self, &Call { ctx, doing: DOING, request, url, credentials }, permit).await
    }

    /// A call that fetches credentials, at whatever origin they are had: as a read (permit, retries,
    /// call log) but with any verb, before everything else that waits, and without credentials of
    /// its own. `path` and `query` of the request are taken from `url`.
    ///
    /// # Errors
    /// As [`Transport::read`]; [`ErrorKind::Config`] when `url` is not https (or http on loopback).
    pub async fn credential_call(
        &self,
        url: &Url,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, BackendError> {
        const DOING: &str = "get credentials";
        if let Some(why) = address::fault(url) {
            return Err(BackendError::new(ErrorKind::Config, DOING, why));
        }
        url.path().clone_into(&mut request.path);
        url.query().unwrap_or_default().clone_into(&mut request.query);
        // Everybody who waits, waits for this.
        let ctx = &CallCtx::in_lane(Lane::Event);
        let url = url.clone();
        rings::read(self, &Call { ctx, doing: DOING, request, url, credentials: None }).await
    }
}

#[async_trait]
impl Traffic for Transport {
    async fn reserve(&self, lane: Lane, most: usize) -> Result<Vec<Permit>, TrafficError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        self.credentials.ready(self).await.map_err(TrafficError::Credentials)?;
        let asked = Instant::now();
        let tickets = self.pacer.reserve(lane, most).await;
        let tickets = tickets.map_err(|why| TrafficError::Store(Box::new(why)))?;
        if asked.elapsed() > STALE {
            self.credentials.ready(self).await.map_err(TrafficError::Credentials)?;
        }
        let send_by = Instant::now() + self.timing.send_window;
        Ok(tickets.into_iter().map(|ticket| Permit::new(Box::new(ticket), send_by)).collect())
    }

    fn in_flight(&self) -> usize {
        self.rate.in_flight
    }

    fn limits(&self) -> Limits {
        let Rate { per_second, burst, in_flight } = self.rate;
        Limits { per_second, burst, in_flight, call_takes: self.pacer.call_takes() }
    }
}
