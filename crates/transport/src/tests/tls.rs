//! TLS by ring, in real time: what is trusted and what is not. The certificate in `tls/` is its
//! own issuer, for 127.0.0.1, and its key guards nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use backend::{ErrorKind, Lane, NotSent};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::fakes::{Calls, Fixed};
use super::*;
use crate::Sent;

/// Answers one request on each connection.
fn serve() -> String {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/cert.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("a certificate")], key)
        .expect("a pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("https://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            // Whoever does not trust us ends the handshake.
            if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
                let _gone = stream.write_all(answer).and_then(|()| stream.flush());
            }
        }
    });
    base
}

fn transport(base: &str, ca_file: Option<PathBuf>) -> Arc<Transport> {
    let rate = rate(1000.0, 100, 8);
    let config = TransportConfig { ca_file, ..config(base, rate) };
    let permits = Arc::new(LocalPermits::new(&rate));
    let calls = Arc::new(Calls::default());
    Transport::new(config, Arc::new(Fixed), permits, calls, Arc::new(SystemClock)).expect("good")
}

#[tokio::test]
async fn a_certificate_is_trusted_when_the_ca_file_says_so() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/tls/cert.pem"));
    let transport = transport(&serve(), Some(file));
    let answer = transport.read(&lane(Lane::Bulk), "read", get()).await;
    assert_eq!(answer.expect("trusted").status, 200);
}

#[tokio::test]
async fn an_unknown_certificate_is_a_fault_of_the_configuration() {
    let transport = transport(&serve(), None);
    let error = transport.read(&lane(Lane::Bulk), "read", get()).await.expect_err("untrusted");
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("is not trusted: invalid peer certificate"), "{error}");
    let permits = transport.reserve(Lane::Bulk, 1).await.expect("permits");
    let permit = permits.into_iter().next().expect("at least one");
    let sent = transport.write(&lane(Lane::Bulk), post(), permit).await;
    assert!(matches!(sent, Sent::NotSent(NotSent::Connect)), "{sent:?}");
}
