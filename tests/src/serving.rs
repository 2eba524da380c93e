//! `onfile serve` as a process: where it listens, what it says, what it answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::binary::{Onfile, Running};

/// Nothing that is waited for takes longer.
const HUNG: Duration = Duration::from_secs(90);

/// A daemon at work.
#[derive(Debug)]
pub struct Serving {
    running: Running,
    /// Host and port.
    address: String,
    said: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Serving {
    /// Starts it, and waits until it listens.
    pub async fn start(onfile: &Onfile, more: &[&str]) -> anyhow::Result<Self> {
        let mut running = onfile.start(&[&["serve"], more].concat())?;
        let mut lines = tokio::io::BufReader::new(running.take_stderr()?).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let deadline = Instant::now() + HUNG;
        let address = loop {
            let line = tokio::time::timeout_at(deadline, lines.next_line()).await??;
            let Some(line) = line else {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                anyhow::bail!("it ended: {said}");
            };
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.to_owned();
            }
            keep(&said, &line);
        };
        let heard = Arc::clone(&said);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&heard, &line);
            }
        });
        Ok(Self { running, address, said, reader })
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let ask = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
            stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(HUNG, ask).await.context("no answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.with_context(|| format!("no status: {head}"))?, body.to_owned()))
    }

    /// Asks it to stop by this signal, and waits: its exit code, and all that it said.
    pub async fn stop(mut self, signal: &str) -> anyhow::Result<(i32, String)> {
        self.running.signal(signal).await?;
        let code = self.running.end().await?.code;
        timeout(HUNG, self.reader).await.context("its stderr stays open")??;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((code, said))
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(mut self) -> anyhow::Result<String> {
        self.running.kill().await?;
        timeout(HUNG, self.reader).await.context("its stderr stays open")??;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(said)
    }
}

fn keep(said: &Mutex<String>, line: &str) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push_str(line);
    said.push('\n');
}

/// Asks again and again until it answers something; fails after a time that nothing takes.
pub async fn until<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + HUNG;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
