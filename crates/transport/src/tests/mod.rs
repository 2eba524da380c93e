//! What the tests share: credentials, a call log, a scripted wire under paused time, a server of
//! raw sockets under real time.

mod fakes;
mod gate;
mod pacing;
mod reads;
mod secrets;
mod server;
mod socket;
mod tickets;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use backend::{CallCtx, Lane, Permit, Timing, Traffic, Verb};
use bytes::Bytes;
use model::{AccountName, SystemClock};
use secrecy::SecretString;
use url::Url;

use self::fakes::{Calls, FakeWire, Fixed};
use crate::{
    Credentials, HttpRequest, LocalPermits, PermitSource, Rate, Transport, TransportConfig,
};

const ROUTE: &str = "/things/{id}";

fn config(base: &str, rate: Rate) -> TransportConfig {
    let account = AccountName::new("acme").expect("a name");
    TransportConfig::new(account, Url::parse(base).expect("a URL"), rate)
}

fn rate(per_second: f64, burst: u32, in_flight: usize) -> Rate {
    Rate { per_second, burst, in_flight }
}

fn request(verb: Verb) -> HttpRequest {
    HttpRequest {
        verb,
        route: ROUTE,
        path: "/things/1".into(),
        query: String::new(),
        body: if verb == Verb::Get { Bytes::new() } else { Bytes::from_static(b"{}") },
        content_type: (verb != Verb::Get).then_some("application/json"),
        headers: vec![("accept", SecretString::from("application/json"))],
        json_answer: false,
    }
}

fn get() -> HttpRequest {
    request(Verb::Get)
}

fn post() -> HttpRequest {
    request(Verb::Post)
}

fn lane(lane: Lane) -> CallCtx {
    CallCtx::in_lane(lane)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A transport over a scripted wire.
struct Bench {
    transport: Arc<Transport>,
    calls: Arc<Calls>,
    wire: Arc<FakeWire>,
}

impl Bench {
    fn new(rate: Rate, wire: FakeWire) -> Self {
        let permits = Arc::new(LocalPermits::new(&rate));
        Self::with(rate, Timing::default(), wire, permits, Arc::new(Fixed))
    }

    fn with(
        rate: Rate,
        timing: Timing,
        wire: FakeWire,
        permits: Arc<dyn PermitSource>,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        let config = TransportConfig { timing, ..config("https://api.test/v1", rate) };
        let (calls, wire) = (Arc::new(Calls::default()), Arc::new(wire));
        let transport = Transport::over(
            Box::new(Arc::clone(&wire)),
            config,
            credentials,
            permits,
            Arc::clone(&calls) as _,
            Arc::new(SystemClock),
        );
        Self { transport: transport.expect("a good config"), calls, wire }
    }

    /// A read in a task of its own.
    fn read(&self, in_lane: Lane) -> tokio::task::JoinHandle<u16> {
        let transport = Arc::clone(&self.transport);
        tokio::spawn(async move {
            let answer = transport.read(&lane(in_lane), "read", get()).await;
            answer.map_or(0, |answer| answer.status)
        })
    }

    async fn permit(&self) -> Permit {
        let permits = self.transport.reserve(Lane::Bulk, 1).await.expect("permits");
        permits.into_iter().next().expect("at least one")
    }
}

/// Lets everything that can run do so, without time passing.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
