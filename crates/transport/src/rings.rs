//! The rings around a call, outermost first: deadline, retry, permit, timeout, wire.
//!
//! So a deadline covers everything, each attempt pays its own permit, and waiting for a permit
//! does not eat into the time of the call. A changing call has no retry ring: its permit is
//! consumed once, and once only.

use std::time::Duration;

use backend::{BackendError, CallCtx, ErrorKind, NotSent, Permit, Verb};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::calls::Attempt;
use crate::pacer::NoSlot;
use crate::retry::{COST, MOST_ATTEMPTS, TIMEOUT_COST, backoff};
use crate::wire::{Broken, Head, Outgoing};
use crate::{CallRecord, Credentials, HttpRequest, HttpResponse, Sent, Transport};

/// A request on its way, with all that each attempt needs.
pub(crate) struct Call<'a> {
    pub(crate) ctx: &'a CallCtx,
    pub(crate) doing: &'static str,
    pub(crate) request: HttpRequest,
    pub(crate) url: Url,
    /// None for the calls that fetch credentials.
    pub(crate) credentials: Option<&'a dyn Credentials>,
}

/// Which attempt, and what was paid for it.
struct Paid {
    permit: u64,
    attempt: u32,
    waited: Duration,
    send_by: Option<Instant>,
}

/// Why an attempt came to nothing.
enum Failed {
    /// It cannot be put together: nothing was sent.
    Unbuilt(BackendError),
    /// Nothing more can be said than this.
    Broken(Broken),
}

/// A read: every ring, in their order.
pub(crate) async fn read(t: &Transport, call: &Call<'_>) -> Result<HttpResponse, BackendError> {
    let mut last = None;
    let Some(deadline) = call.ctx.deadline else { return retried(t, call, &mut last).await };
    match timeout_at(deadline, retried(t, call, &mut last)).await {
        Ok(result) => result,
        Err(_) => Err(last.take().unwrap_or_else(|| {
            BackendError::new(
                ErrorKind::Timeout,
                call.doing,
                "the deadline passed before an answer",
            )
        })),
    }
}

async fn retried(
    t: &Transport,
    call: &Call<'_>,
    last: &mut Option<BackendError>,
) -> Result<HttpResponse, BackendError> {
    let mut attempt = 1;
    let mut retries = 0;
    let mut debt = 0;
    let mut renewed = false;
    ready(t, call).await?;
    loop {
        let failure = match permitted(t, call, attempt).await? {
            Ok(response) if response.status == 401 => {
                let fresh = call.credentials.is_some_and(Credentials::rejected);
                if renewed || !fresh {
                    return Ok(response);
                }
                renewed = true;
                attempt += 1;
                ready(t, call).await?;
                continue;
            }
            Ok(response) if response.status == 429 || response.status >= 500 => {
                Failure::of_status(call.doing, &response)
            }
            Ok(response) if call.request.json_answer && !is_json_or_no_success(&response) => {
                Failure::not_json(call.doing, &response)
            }
            Ok(response) => {
                t.budget.refund(debt);
                return Ok(response);
            }
            Err(Failed::Unbuilt(error)) => {
                // Somebody else's 401 took the credentials between `ready` and here.
                if renewed || error.kind != ErrorKind::Unauthenticated {
                    return Err(error);
                }
                renewed = true;
                ready(t, call).await?;
                continue;
            }
            Err(Failed::Broken(broken)) => Failure::of_broken(t, call.doing, &broken),
        };
        retries += 1;
        let pause = failure.pause.map(|least| least.max(backoff(&t.timing, retries)));
        let late = pause
            .zip(call.ctx.deadline)
            .is_some_and(|(pause, deadline)| Instant::now() + pause >= deadline);
        if !failure.again || retries >= MOST_ATTEMPTS || late || !t.budget.take(failure.cost) {
            return Err(failure.error);
        }
        debt = failure.cost;
        attempt += 1;
        *last = Some(failure.error);
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

/// By its first and last byte only: whether it is what the contract says, the adapter sees.
fn is_json_or_no_success(response: &HttpResponse) -> bool {
    let body = response.body.trim_ascii();
    !(200..300).contains(&response.status)
        || matches!(
            (body.first(), body.last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
        )
}

async fn ready(t: &Transport, call: &Call<'_>) -> Result<(), BackendError> {
    match call.credentials {
        Some(credentials) => credentials.ready(t).await,
        None => Ok(()),
    }
}

/// Each attempt pays: a slot of the account's rate and a place in flight.
async fn permitted(
    t: &Transport,
    call: &Call<'_>,
    attempt: u32,
) -> Result<Result<HttpResponse, Failed>, BackendError> {
    let asked = Instant::now();
    let place = t.pacer.acquire(call.ctx.lane).await.map_err(|why| unpaid(call.doing, why))?;
    let paid = Paid { permit: t.pacer.number(), attempt, waited: asked.elapsed(), send_by: None };
    let result = timed(t, call, &paid).await;
    drop(place);
    Ok(result)
}

fn unpaid(doing: &'static str, why: NoSlot) -> BackendError {
    let mut error = BackendError::new(ErrorKind::Unavailable, doing, why.to_string());
    error.source = Some(Box::new(why));
    error
}

/// A changing call: one permit, one attempt.
pub(crate) async fn write(t: &Transport, call: &Call<'_>, permit: Permit) -> Sent {
    const LATE: Sent = Sent::NotSent(NotSent::Late);
    let send_by = permit.send_by();
    let asked = Instant::now();
    if asked >= send_by || t.pacer.gate_opens().is_some_and(|opens| opens >= send_by) {
        return LATE;
    }
    let Ok(Ok(place)) = timeout_at(send_by, t.pacer.acquire(call.ctx.lane)).await else {
        return LATE;
    };
    let number = permit.number();
    drop(permit);
    let paid = Paid { permit: number, attempt: 1, waited: asked.elapsed(), send_by: Some(send_by) };
    let result = timed(t, call, &paid).await;
    drop(place);
    match result {
        Ok(response) => {
            if response.status == 401
                && let Some(credentials) = call.credentials
            {
                credentials.rejected();
            }
            Sent::Answered(response)
        }
        Err(Failed::Unbuilt(error)) if error.kind == ErrorKind::Unauthenticated => LATE,
        Err(Failed::Unbuilt(error)) => unsendable(t, call.request.route, &error.message),
        Err(Failed::Broken(Broken::Late)) => LATE,
        Err(Failed::Broken(Broken::Connect { .. })) => Sent::NotSent(NotSent::Connect),
        Err(Failed::Broken(broken)) => Sent::Unknown(describe(t, &broken)),
    }
}

/// A changing call that cannot be put together is a fault of ours; nothing left.
pub(crate) fn unsendable(t: &Transport, route: &'static str, why: &str) -> Sent {
    tracing::error!(
        target: "onfile::calls",
        account = t.account.as_str(),
        route,
        why,
        "a request cannot be built"
    );
    Sent::NotSent(NotSent::Connect)
}

/// One attempt under its own timeout, told of and counted.
async fn timed(t: &Transport, call: &Call<'_>, paid: &Paid) -> Result<HttpResponse, Failed> {
    let outgoing = outgoing(call, paid.send_by).map_err(Failed::Unbuilt)?;
    let as_of = t.clock.now();
    let began = Instant::now();
    if paid.send_by.is_some_and(|by| began >= by) {
        return Err(Failed::Broken(Broken::Late));
    }
    let told = Attempt::begin(
        &*t.calls,
        CallRecord {
            account: t.account.clone(),
            run: call.ctx.run.clone(),
            lane: call.ctx.lane,
            verb: call.request.verb,
            route: call.request.route,
            permit: paid.permit,
            attempt: paid.attempt,
            status: None,
            failure: None,
            waited: paid.waited,
            took: Duration::ZERO,
        },
    );
    // As soon as the headers are there: whatever becomes of the body, nobody else calls.
    let heard = |head: &Head| {
        if matches!(head.status, 429 | 503) {
            t.pacer.close_gate(began, head.retry_after);
        }
    };
    let answer = timeout(t.timing.timeout, t.wire.send(outgoing, &heard)).await;
    match answer.unwrap_or(Err(Broken::Timeout)) {
        Ok((head, body)) => {
            told.end(Some(head.status), None);
            if head.status != 429 && head.status < 500 {
                t.pacer.succeeded(began);
            }
            Ok(HttpResponse {
                status: head.status,
                body,
                request_id: head.request_id,
                retry_after: head.retry_after,
                as_of,
            })
        }
        Err(broken) => {
            told.end(None, Some(broken.as_str()));
            Err(Failed::Broken(broken))
        }
    }
}

fn outgoing(call: &Call<'_>, send_by: Option<Instant>) -> Result<Outgoing, BackendError> {
    let request = &call.request;
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &SecretString| {
        let fault = || {
            let why = format!("the header {name} cannot be sent");
            BackendError::new(ErrorKind::Config, call.doing, why)
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| fault())?;
        value.set_sensitive(true);
        headers.insert(key, value);
        Ok(())
    };
    for (name, value) in &request.headers {
        put(name, value)?;
    }
    if let Some(credentials) = call.credentials {
        for (name, value) in credentials.headers(request)? {
            put(name, &value)?;
        }
    }
    if let Some(content_type) = request.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    // Some servers want a length even where there is nothing.
    if request.body.is_empty() && matches!(request.verb, Verb::Post | Verb::Put) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(Outgoing {
        verb: request.verb,
        url: call.url.clone(),
        headers,
        body: request.body.clone(),
        send_by,
    })
}

/// What a failed attempt of a read comes to.
struct Failure {
    error: BackendError,
    again: bool,
    cost: u32,
    /// The least pause before the next; none where the gate makes it.
    pause: Option<Duration>,
}

impl Failure {
    fn of_status(doing: &'static str, response: &HttpResponse) -> Self {
        let (kind, message) = match response.status {
            429 => (ErrorKind::RateLimited, "the provider wants fewer calls"),
            503 => (ErrorKind::Unavailable, "the provider is not available"),
            _ => (ErrorKind::Unavailable, "the provider failed"),
        };
        let gate = matches!(response.status, 429 | 503);
        Self {
            error: BackendError {
                status: Some(response.status),
                request_id: response.request_id.as_deref().map(Into::into),
                retry_after: response.retry_after,
                ..BackendError::new(kind, doing, message)
            },
            again: true,
            cost: COST,
            pause: (!gate).then(|| response.retry_after.unwrap_or_default()),
        }
    }

    fn not_json(doing: &'static str, response: &HttpResponse) -> Self {
        let error = BackendError {
            status: Some(response.status),
            request_id: response.request_id.as_deref().map(Into::into),
            ..BackendError::new(ErrorKind::Malformed, doing, "the answer is not JSON")
        };
        Self { error, again: true, cost: COST, pause: Some(Duration::ZERO) }
    }

    fn of_broken(t: &Transport, doing: &'static str, broken: &Broken) -> Self {
        let (kind, again, cost) = match broken {
            Broken::Connect { untrusted: true, .. } => (ErrorKind::Config, false, COST),
            Broken::Connect { .. } | Broken::Cut(_) | Broken::Late => {
                (ErrorKind::Unavailable, true, COST)
            }
            Broken::Timeout => (ErrorKind::Timeout, true, TIMEOUT_COST),
            Broken::TooLarge => (ErrorKind::Malformed, false, COST),
        };
        let error = BackendError::new(kind, doing, describe(t, broken));
        Self { error, again, cost, pause: Some(Duration::ZERO) }
    }
}

fn describe(t: &Transport, broken: &Broken) -> String {
    match broken {
        Broken::Late => "the send window passed".into(),
        Broken::Connect { why, untrusted: true } => {
            format!("the provider's certificate is not trusted: {why}")
        }
        Broken::Connect { why, .. } => format!("no connection to the provider: {why}"),
        Broken::Timeout => format!("no whole answer within {:?}", t.timing.timeout),
        Broken::Cut(why) => format!("the connection broke before the answer was whole: {why}"),
        Broken::TooLarge => "the answer is larger than 32 MiB".into(),
    }
}
