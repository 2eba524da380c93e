//! Listening, connections, and what a test holds in its hand while the sandbox runs.

use crate::admin;
use crate::config::SandboxConfig;
use crate::fault::LivePlan;
use crate::handle::Handle;
use crate::pipeline::{self, Closed, Shared};
use crate::rate::Bucket;
use crate::record::Recorder;
use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The simulator. [`Sandbox::start`] is the way in.
#[derive(Debug)]
pub struct Sandbox;

/// A sandbox that runs. Dropping it stops it; [`Running::stop`] also waits for the end. Everything
/// else is on [`Handle`], to which it derefs.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Makes the vendor's data from the seed, binds the address and begins to serve.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not loopback, a fault plan or rate that cannot be, or
    /// two accounts of one name; else what binding says.
    pub async fn start(config: SandboxConfig) -> io::Result<Running> {
        if !config.listen.ip().is_loopback() {
            let at = config.listen;
            return Err(invalid(format!("the sandbox listens on loopback only, not on {at}")));
        }
        config.faults.check(config.vendor.kind()).map_err(|e| invalid(e.to_string()))?;
        if config.rate.is_some_and(|rate| !rate.is_valid()) {
            return Err(invalid("expected a rate above 0 and a burst of at least 1".to_owned()));
        }
        let seed = config.seed;
        let vendor = config.vendor.start(seed, config.customers, config.clock).map_err(invalid)?;
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(
            seed,
            vendor,
            config.latency,
            Recorder::new(config.log_capacity),
            LivePlan::new(seed, config.faults),
            Bucket::new(config.rate),
            stopping.clone(),
        ));
        let handle = Handle::new(shared.clone(), addr);
        let door = admin::router(handle.clone());
        let accepting = tokio::spawn(accept(listener, shared, door, stopping));
        Ok(Running { handle, stop, accepting })
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl Running {
    /// A handle that other tasks may hold.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Closes the listener and every connection; what was to be executed later is not.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // It ends by itself; that it was cancelled or panicked changes nothing here.
        let _ = (&mut self.accepting).await;
    }
}

impl Deref for Running {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    door: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // Ends also when `Running` was dropped together with its sender.
            () = stopped(&mut stopping) => break,
            accepted = listener.accept() => accepted,
            _ = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, shared.clone(), door.clone()));
            }
            // One client's accept can fail; the next may not (or only once descriptors are free).
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: stopped as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Serves one connection. A service that answers an error makes hyper close the connection without
/// a byte, which is how a fault drops an answer.
async fn connection(stream: TcpStream, shared: Arc<Shared>, door: Router) {
    // Without it small answers wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let door = TowerToHyperService::new(door);
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, door) = (shared.clone(), door.clone());
        async move {
            if request.uri().path().starts_with("/_sandbox") {
                return door.call(request).await.map_err(|never| match never {});
            }
            let answer: Result<Response<Body>, Closed> =
                pipeline::serve(shared, request.map(Body::new)).await;
            answer
        }
    });
    // A connection that ends in an error is what a fault asked for, or the client's own affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
