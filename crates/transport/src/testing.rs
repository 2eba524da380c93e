//! For the tests of adapters: a tiny server on a loopback socket, and a transport to it.

use std::sync::{Arc, Mutex};

use model::{AccountName, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::{CallLog, CallRecord, Credentials, LocalPermits, Rate, Transport, TransportConfig};

/// A request as it came over the socket.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /path?query`.
    pub line: String,
    headers: String,
    /// As text.
    pub body: String,
}

impl Seen {
    /// The value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Answers every request by what the test says, and remembers it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers every request by what `answer` makes of it.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move { talk(socket, &*answer, &log).await });
            }
        });
        Self { url: format!("http://{address}/").parse().expect("a URL"), seen }
    }

    /// The requests so far whose line begins so.
    ///
    /// # Panics
    /// When a test panicked while it was asked.
    #[must_use]
    pub fn seen(&self, line: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("not poisoned");
        seen.iter().filter(|seen| seen.line.starts_with(line)).cloned().collect()
    }
}

async fn talk(
    mut socket: TcpStream,
    answer: &(impl Fn(&Seen) -> (u16, String) + Sync),
    log: &Mutex<Vec<Seen>>,
) {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let Ok(read @ 1..) = socket.read(&mut chunk).await else { return };
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let seen = Seen {
            line: line.trim_end_matches(" HTTP/1.1").to_owned(),
            headers: headers.to_owned(),
            body: body.to_owned(),
        };
        let length = seen.header("content-length").map_or(0, |n| n.parse().expect("a number"));
        if body.len() < length {
            continue;
        }
        log.lock().expect("not poisoned").push(seen.clone());
        let (status, body) = answer(&seen);
        let text = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = socket.write_all(text.as_bytes()).await;
        return;
    }
}

#[derive(Debug)]
struct Unheard;

impl CallLog for Unheard {
    fn record(&self, _: CallRecord) {}
}

/// A transport to a server: fast, without a log of calls.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn transport(server: &Server, credentials: Arc<dyn Credentials>) -> Arc<Transport> {
    let rate = Rate { per_second: 1000.0, burst: 100, in_flight: 16 };
    let account = AccountName::new("test").expect("a name");
    let mut config = TransportConfig::new(account, server.url.clone(), rate);
    config.timing.backoff = std::time::Duration::from_millis(1);
    config.timing.backoff_max = std::time::Duration::from_millis(2);
    let permits = Arc::new(LocalPermits::new(&rate));
    Transport::new(config, credentials, permits, Arc::new(Unheard), Arc::new(SystemClock))
        .expect("a right config")
}
