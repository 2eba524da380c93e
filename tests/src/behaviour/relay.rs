//! A way to the provider on which one text of the answers is broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// An answer is over when nothing more comes for so long.
const QUIET: Duration = Duration::from_millis(100);

/// Takes calls to a provider, and answers with its answers, but that an array stands wherever this
/// text or number does: of the same length, so that nothing else of the answer is touched. Its
/// address.
pub async fn breaking(text: &str, at: SocketAddr) -> anyhow::Result<String> {
    let blank = " ".repeat(text.len() - 2);
    let changes: Vec<(String, String)> = vec![
        (format!("\"{text}\""), format!("[{blank}  ]")),
        (format!(":{text},"), format!(":[{blank}],")),
    ];
    let changes = Arc::new(changes);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((ours, _)) = listener.accept().await {
            let Ok(theirs) = TcpStream::connect(at).await else { return };
            let (mut from_us, to_us) = ours.into_split();
            let (from_them, mut to_them) = theirs.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_us, &mut to_them).await });
            let changes = Arc::clone(&changes);
            tokio::spawn(async move { answer(from_them, to_us, &changes).await });
        }
    });
    Ok(address)
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    changes: &[(String, String)],
) -> std::io::Result<()> {
    let mut answer = Vec::new();
    loop {
        let read = from.read_buf(&mut answer);
        match tokio::time::timeout(QUIET, read).await {
            Ok(Ok(1..)) => continue,
            Ok(_) if answer.is_empty() => return Ok(()),
            Err(_) if answer.is_empty() => continue,
            _ => {}
        }
        for (whole, broken) in changes {
            let mut at = 0;
            let found = |part: &[u8]| part == whole.as_bytes();
            while let Some(further) = answer[at..].windows(whole.len()).position(found) {
                at += further;
                answer[at..at + whole.len()].copy_from_slice(broken.as_bytes());
            }
        }
        to.write_all(&answer).await?;
        answer.clear();
    }
}
