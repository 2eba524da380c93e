//! Stand-ins for what a transport is given.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backend::{BackendError, ErrorKind};
use bytes::Bytes;
use model::AccountName;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use crate::wire::{Broken, Head, Outgoing, Wire};
use crate::{
    CallLog, CallRecord, Credentials, HttpRequest, Lease, PermitSource, PermitSourceError,
    Transport,
};

pub(super) const CANARY: &str = "canary-sk_live_Zq81xW07bT55";

/// A header that never changes.
#[derive(Debug)]
pub(super) struct Fixed;

#[async_trait]
impl Credentials for Fixed {
    async fn ready(&self, _: &Transport) -> Result<(), BackendError> {
        Ok(())
    }

    fn headers(&self, _: &HttpRequest) -> Result<Vec<(&'static str, SecretString)>, BackendError> {
        Ok(vec![("authorization", SecretString::from(CANARY))])
    }

    fn rejected(&self) -> bool {
        false
    }
}

/// A token that a 401 renews, or one that cannot be had.
#[derive(Debug, Default)]
pub(super) struct Renewing {
    pub(super) ready: AtomicU32,
    pub(super) rejected: AtomicU32,
    pub(super) broken: bool,
}

#[async_trait]
impl Credentials for Renewing {
    async fn ready(&self, _: &Transport) -> Result<(), BackendError> {
        self.ready.fetch_add(1, Ordering::SeqCst);
        if self.broken {
            return Err(BackendError::new(ErrorKind::Unauthenticated, "get a token", "no"));
        }
        Ok(())
    }

    fn headers(&self, _: &HttpRequest) -> Result<Vec<(&'static str, SecretString)>, BackendError> {
        Ok(Vec::new())
    }

    fn rejected(&self) -> bool {
        self.rejected.fetch_add(1, Ordering::SeqCst);
        true
    }
}

/// Keeps every record.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Vec<CallRecord>>);

impl Calls {
    pub(super) fn all(&self) -> Vec<CallRecord> {
        self.0.lock().expect("calls").clone()
    }
}

impl CallLog for Calls {
    fn record(&self, call: CallRecord) {
        self.0.lock().expect("calls").push(call);
    }
}

/// What the wire does with one request.
pub(super) enum Reply {
    Status(u16),
    Throttle(u16, u64),
    Broken(Broken),
    Hang,
}

/// Answers by script, then 200. Each answer takes `takes`.
#[derive(Default)]
pub(super) struct FakeWire {
    script: Mutex<VecDeque<Reply>>,
    takes: Duration,
    began: Mutex<Vec<(Instant, String)>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl std::fmt::Debug for FakeWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeWire")
    }
}

impl FakeWire {
    pub(super) fn script(script: impl IntoIterator<Item = Reply>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() }
    }

    pub(super) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    /// When each request left.
    pub(super) fn began(&self) -> Vec<Instant> {
        self.began.lock().expect("began").iter().map(|(at, _)| *at).collect()
    }

    /// Where each request went.
    pub(super) fn urls(&self) -> Vec<String> {
        self.began.lock().expect("began").iter().map(|(_, url)| url.clone()).collect()
    }

    /// The most requests under way at once.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Wire for Arc<FakeWire> {
    async fn send(
        &self,
        outgoing: Outgoing,
        heard: &(dyn for<'a> Fn(&'a Head) + Send + Sync),
    ) -> Result<(Head, Bytes), Broken> {
        self.began.lock().expect("began").push((Instant::now(), outgoing.url.to_string()));
        let reply = self.script.lock().expect("script").pop_front();
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sleep(self.takes).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        let (status, pause) = match reply.unwrap_or(Reply::Status(200)) {
            Reply::Status(status) => (status, None),
            Reply::Throttle(status, pause) => (status, Some(Duration::from_secs(pause))),
            Reply::Broken(broken) => return Err(broken),
            Reply::Hang => std::future::pending().await,
        };
        let head = Head { status, retry_after: pause, request_id: None };
        heard(&head);
        Ok((head, Bytes::new()))
    }
}

/// Leases by script; then fails. Remembers what it was asked.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    pub(super) leases: Mutex<VecDeque<Option<Lease>>>,
    pub(super) wanted: Mutex<Vec<u32>>,
    pub(super) closed: Mutex<Vec<Duration>>,
    /// How long a lease takes.
    pub(super) slow: Duration,
}

impl Scripted {
    pub(super) fn new(leases: impl IntoIterator<Item = Option<Lease>>) -> Arc<Self> {
        let leases = Mutex::new(leases.into_iter().collect());
        Arc::new(Self { leases, ..Self::default() })
    }

    pub(super) fn closed(&self) -> Vec<Duration> {
        self.closed.lock().expect("closed").clone()
    }
}

pub(super) fn lease(granted: u32, wait_ms: u64, spacing_ms: u64, epoch: i64) -> Option<Lease> {
    let ms = Duration::from_millis;
    Some(Lease { granted, wait: ms(wait_ms), spacing: ms(spacing_ms), epoch })
}

#[async_trait]
impl PermitSource for Scripted {
    async fn lease(&self, _: &AccountName, want: u32) -> Result<Lease, PermitSourceError> {
        self.wanted.lock().expect("wanted").push(want);
        sleep(self.slow).await;
        let next = self.leases.lock().expect("leases").pop_front().flatten();
        next.ok_or_else(|| PermitSourceError::new("the disk is full"))
    }

    async fn close_gate(&self, _: &AccountName, pause: Duration) -> Result<(), PermitSourceError> {
        self.closed.lock().expect("closed").push(pause);
        Ok(())
    }
}
