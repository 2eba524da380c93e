//! A server of raw sockets that counts what it reads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend::Timing;
use model::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::fakes::{Calls, Fixed};
use super::*;

/// What it does once it has read a request.
#[derive(Clone)]
pub(super) enum Then {
    /// Writes this and waits for the next request.
    Say(String),
    /// Writes this and closes.
    SayAndClose(String),
    /// Closes without a word.
    Close,
    /// Keeps the connection open and says nothing.
    Hang,
}

pub(super) fn ok(body: &str) -> Then {
    Then::Say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// Half of what it announces.
pub(super) fn half() -> Then {
    Then::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"data\": [".into())
}

pub(super) struct Server {
    pub(super) base: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers by script, then with an empty object.
    pub(super) async fn start(script: impl IntoIterator<Item = Then>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let mut script: Vec<Then> = script.into_iter().collect();
        script.reverse();
        let script = Arc::new(Mutex::new(script));
        let (seen, open) = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *open.lock().expect("connections") += 1;
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&script)));
            }
        });
        Self { base, requests, connections, task }
    }

    /// Every request, as it came.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("requests").clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().expect("connections")
    }

    pub(super) fn transport(&self) -> (Arc<Transport>, Arc<Calls>) {
        transport(&self.base, Timing { backoff: Duration::from_millis(5), ..Timing::default() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn transport(base: &str, timing: Timing) -> (Arc<Transport>, Arc<Calls>) {
    let rate = rate(1000.0, 100, 8);
    let config = TransportConfig { timing, ..config(base, rate) };
    let calls = Arc::new(Calls::default());
    let permits = Arc::new(LocalPermits::new(&rate));
    let log = Arc::clone(&calls) as _;
    let transport = Transport::new(config, Arc::new(Fixed), permits, log, Arc::new(SystemClock));
    (transport.expect("a good config"), calls)
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Vec<Then>>>,
) {
    while let Some(request) = next_request(&mut stream).await {
        seen.lock().expect("requests").push(request);
        let then = script.lock().expect("script").pop().unwrap_or_else(|| ok("{}"));
        let (said, stay) = match then {
            Then::Say(said) => (said, true),
            Then::SayAndClose(said) => (said, false),
            Then::Close => (String::new(), false),
            Then::Hang => std::future::pending().await,
        };
        if stream.write_all(said.as_bytes()).await.is_err() || !stay {
            return;
        }
    }
}

async fn next_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n @ 1..) => read.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}
