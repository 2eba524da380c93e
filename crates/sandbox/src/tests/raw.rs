//! A tiny HTTP client over a raw socket: it sees exactly what came over the wire.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// How an answer can be broken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Closed without a byte.
    Closed,
    /// Closed after the headers and so many bytes of so many.
    Cut(usize, usize),
    /// Nothing came in time.
    Late,
}

impl Raw {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(&self.body)))
    }

    pub(super) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

pub(super) async fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Raw, Broken> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    exchange(addr, &text).await
}

async fn exchange(addr: SocketAddr, text: &str) -> Result<Raw, Broken> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    match tokio::time::timeout(Duration::from_secs(10), read).await {
        Err(_) => return Err(Broken::Late),
        Ok(Err(e)) if bytes.is_empty() => panic!("reset instead of closed: {e}"),
        Ok(_) if bytes.is_empty() => return Err(Broken::Closed),
        Ok(_) => {}
    }
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of the headers");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let body = bytes[end + 4..].to_vec();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let raw = Raw { status, head, body };
    let promised = raw.header("content-length").map_or(raw.body.len(), |l| l.parse().unwrap());
    if raw.body.len() < promised { Err(Broken::Cut(raw.body.len(), promised)) } else { Ok(raw) }
}
