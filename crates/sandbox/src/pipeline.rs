//! The way of one request: read, count, rate limit, fault, execute, answer.

use crate::fault::{Fault, Hit, LivePlan};
use crate::rate::Bucket;
use crate::record::{Arrival, Recorder};
use crate::vendor::{Answer, Call, Twist, UNKNOWN, Vendor};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A request body may be this long.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// What all parts of a running sandbox share.
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) latency: Duration,
    recorder: Mutex<Recorder>,
    faults: Mutex<LivePlan>,
    bucket: Mutex<Bucket>,
    /// True once the sandbox stops: what was to be executed later is not.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// No answer: the connection is to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer, as a fault rule or a stop demands")]
pub(crate) struct Closed;

/// How a request ends.
enum Outcome {
    Answer(Answer),
    Cut(Answer),
    Closed,
}

impl Shared {
    pub(crate) fn new(
        seed: u64,
        vendor: Box<dyn Vendor>,
        latency: Duration,
        recorder: Recorder,
        faults: LivePlan,
        bucket: Bucket,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            seed,
            vendor,
            latency,
            recorder: Mutex::new(recorder),
            faults: Mutex::new(faults),
            bucket: Mutex::new(bucket),
            stopping,
        }
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, LivePlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; false if the sandbox was stopped meanwhile.
    async fn pause(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
        !*self.stopping.borrow()
    }

    fn execute(&self, endpoint: &'static str, call: &Call, hit: Option<&Hit>) -> Answer {
        let twist = hit.and_then(|hit| Twist::of(&hit.fault));
        let answer = self.vendor.execute(endpoint, call, twist);
        self.recorder().executed(call.seq, endpoint);
        if let Some(hit) = hit
            && twist.is_some()
            && !answer.twisted
        {
            self.faults().had_no_effect(hit);
            self.recorder().hit(call.seq, None);
        }
        answer
    }
}

/// Serves one request to the vendor.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    request: Request<Body>,
) -> Result<Response<Body>, Closed> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| Closed)?;
    let mut call = Call {
        seq: 0,
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
    };
    let endpoint = shared.vendor.route(&call);
    call.seq = shared.recorder().arrive(&Arrival {
        endpoint,
        method: method_name(&call.method),
        path: head.uri.path_and_query().map_or("", |p| p.as_str()),
        account: shared.vendor.account(&call),
    });
    let seq = call.seq;
    // A task of its own: the vendor goes on when the client has given up and hyper drops this future.
    let task = tokio::spawn({
        let shared = shared.clone();
        async move {
            let outcome = run(&shared, endpoint, call).await;
            let status = match &outcome {
                Outcome::Answer(answer) | Outcome::Cut(answer) => Some(answer.status.as_u16()),
                Outcome::Closed => None,
            };
            shared.recorder().answered(seq, endpoint, status);
            outcome
        }
    });
    match task.await {
        Ok(Outcome::Answer(answer)) => whole(answer),
        Ok(Outcome::Cut(answer)) => cut(answer),
        Ok(Outcome::Closed) | Err(_) => Err(Closed),
    }
}

fn method_name(method: &http::Method) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("other")
}

async fn run(shared: &Arc<Shared>, endpoint: &'static str, call: Call) -> Outcome {
    if !shared.vendor.unmetered(endpoint)
        && let Err(seconds) = shared.bucket().take()
    {
        return Outcome::Answer(shared.vendor.throttled(&call, Some(seconds)));
    }
    // Not for paths that are none of the vendor's: a rule without an endpoint would be used up.
    let hit = if endpoint == UNKNOWN {
        None
    } else {
        let asked = shared.faults().asks_reference();
        let references = if asked { shared.vendor.references(endpoint, &call) } else { Vec::new() };
        shared.faults().decide(endpoint, call.method.as_str(), &references)
    };
    if let Some(hit) = &hit {
        shared.recorder().hit(call.seq, Some(hit.id.clone()));
    }
    if hit.as_ref().is_none_or(|hit| hit.fault.executes()) {
        shared.vendor.begin(&call);
    }
    if !shared.pause(shared.latency).await {
        return Outcome::Closed;
    }
    let Some(hit) = hit else {
        return Outcome::Answer(shared.execute(endpoint, &call, None));
    };
    let execute = || shared.execute(endpoint, &call, Some(&hit));
    match hit.fault.clone() {
        Fault::DropBefore => Outcome::Closed,
        Fault::DropAfter => {
            execute();
            Outcome::Closed
        }
        Fault::CutBody => Outcome::Cut(execute()),
        Fault::Status { code, retry_after, html } => {
            Outcome::Answer(status(shared, &call, code, html).retry_after(retry_after))
        }
        Fault::StatusAfter { code, retry_after, html } => {
            execute();
            Outcome::Answer(status(shared, &call, code, html).retry_after(retry_after))
        }
        Fault::DelayMs(ms) => {
            if !shared.pause(Duration::from_millis(ms)).await {
                return Outcome::Closed;
            }
            Outcome::Answer(execute())
        }
        Fault::DelayAfterMs(ms) => {
            let answer = execute();
            shared.pause(Duration::from_millis(ms)).await;
            Outcome::Answer(answer)
        }
        Fault::LateExecutionMs(ms) => {
            let shared = shared.clone();
            tokio::spawn(async move {
                if shared.pause(Duration::from_millis(ms)).await {
                    shared.execute(endpoint, &call, Some(&hit));
                }
            });
            Outcome::Closed
        }
        Fault::Throttle { retry_after } => {
            Outcome::Answer(shared.vendor.throttled(&call, retry_after))
        }
        Fault::GarbageBody => {
            let mut answer = execute();
            answer.status = StatusCode::OK;
            answer.content_type = "application/json";
            answer.body = Bytes::from_static(b"{\"uid\":\"cus_\xff\xfe\0<<<");
            Outcome::Answer(answer)
        }
        Fault::EchoRequestInError => Outcome::Answer(echo(shared, &call)),
        Fault::MissingIndex
        | Fault::RepeatIndex
        | Fault::ForeignIndex
        | Fault::RepeatPage
        | Fault::ShortPage
        | Fault::WrongFind
        | Fault::CaseFind
        | Fault::EmptyAccount => Outcome::Answer(execute()),
    }
}

fn status(shared: &Shared, call: &Call, code: u16, html: bool) -> Answer {
    // The plan was checked: codes are 200–599.
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if html {
        return Answer::html(status);
    }
    shared.vendor.refusal(call, status, "simulated", "a simulated answer")
}

/// An error that repeats what was sent, tokens and all, as careless vendors do.
fn echo(shared: &Shared, call: &Call) -> Answer {
    let query = call.query.as_deref().map(|q| format!("?{q}")).unwrap_or_default();
    let body = String::from_utf8_lossy(&call.body);
    let message = format!("cannot process {} {}{query} {body}", call.method, call.path);
    shared.vendor.refusal(call, StatusCode::BAD_REQUEST, "invalid_request", &message)
}

fn head(answer: &Answer) -> http::response::Builder {
    let mut head = Response::builder().status(answer.status);
    if !answer.content_type.is_empty() {
        head = head.header(http::header::CONTENT_TYPE, answer.content_type);
    }
    for (name, value) in &answer.headers {
        head = head.header(name, value);
    }
    head
}

fn whole(answer: Answer) -> Result<Response<Body>, Closed> {
    head(&answer).body(Body::from(answer.body)).map_err(|_| Closed)
}

/// The headers promise the whole body; half of it comes, then the connection is closed. An answer
/// without a body has nothing to cut: it is not sent at all.
fn cut(answer: Answer) -> Result<Response<Body>, Closed> {
    if answer.body.is_empty() {
        return Err(Closed);
    }
    let length = answer.body.len();
    let half = answer.body.slice(..length / 2);
    let body = futures::stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // Time for hyper to flush what it has; it drops its buffer when a body fails.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Err(io::Error::other("cut by a fault rule")), None))
    });
    head(&answer)
        .header(http::header::CONTENT_LENGTH, length)
        .body(Body::from_stream(body))
        .map_err(|_| Closed)
}
