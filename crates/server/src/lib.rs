//! What `onfile serve` answers on HTTP: whether it lives, whether it is ready, and its metrics.
//!
//! It knows nothing of jobs: whoever runs them is a [`Daemon`]. Start at [`serve`].

mod metered;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

pub use metered::{Metered, MetricsError};

/// Who does the work.
#[async_trait]
pub trait Daemon: Send + Sync + 'static {
    /// Why it should be started anew: its work stands still. `None` while it goes on.
    fn stuck(&self) -> Option<String>;

    /// What keeps it from doing its work now; nothing, when it is ready.
    async fn not_ready(&self) -> Vec<String>;

    /// Brings the figures up to date that are read, not counted.
    async fn measure(&self);
}

/// What every answer is made from.
#[derive(Clone)]
struct Shared {
    daemon: Arc<dyn Daemon>,
    metered: Metered,
}

/// Answers until it is told to stop; what is under way then is answered still.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    daemon: Arc<dyn Daemon>,
    metered: Metered,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(daemon, metered)).with_graceful_shutdown(stop).await
}

fn router(daemon: Arc<dyn Daemon>, metered: Metered) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared { daemon, metered })
}

/// 503 when the process should be started anew.
async fn healthz(State(shared): State<Shared>) -> Response {
    match shared.daemon.stuck() {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(why) => not_ok("stuck", &[why]),
    }
}

/// 503 while it cannot do its work, or is stopping.
async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.daemon.not_ready().await.as_slice() {
        [] => Json(json!({ "status": "ready" })).into_response(),
        why => not_ok("not_ready", why),
    }
}

fn not_ok(status: &str, because: &[String]) -> Response {
    let body = json!({ "status": status, "because": because });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// Prometheus' text format.
async fn metrics(State(shared): State<Shared>) -> Response {
    shared.daemon.measure().await;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.metered.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Default)]
    struct Fake {
        stuck: AtomicBool,
        away: AtomicBool,
    }

    #[async_trait]
    impl Daemon for Fake {
        fn stuck(&self) -> Option<String> {
            self.stuck.load(Ordering::Relaxed).then(|| "nothing moves".to_owned())
        }

        async fn not_ready(&self) -> Vec<String> {
            match self.away.load(Ordering::Relaxed) {
                true => vec!["the store is not available".to_owned()],
                false => Vec::new(),
            }
        }

        async fn measure(&self) {
            metrics::gauge!("onfile_measured").set(1);
        }
    }

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("it answers");
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn health_readiness_and_metrics() {
        let fake = Arc::new(Fake::default());
        let metered = Metered::install().expect("the first in this process");
        let router = router(Arc::clone(&fake) as Arc<dyn Daemon>, metered);
        assert_eq!(ask(&router, "/healthz").await, (StatusCode::OK, r#"{"status":"ok"}"#.into()));
        assert_eq!(ask(&router, "/readyz").await, (StatusCode::OK, r#"{"status":"ready"}"#.into()));
        fake.away.store(true, Ordering::Relaxed);
        fake.stuck.store(true, Ordering::Relaxed);
        let (status, body) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, r#"{"because":["the store is not available"],"status":"not_ready"}"#);
        assert_eq!(ask(&router, "/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask(&router, "/elsewhere").await.0, StatusCode::NOT_FOUND);
        metrics::counter!("onfile_counted_total", "account" => "gov").increment(2);
        let (status, body) = ask(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        for line in ["onfile_counted_total{account=\"gov\"} 2", "onfile_measured 1"] {
            assert!(body.lines().any(|said| said == line), "{line}: {body}");
        }
        assert!(body.contains("process_resident_memory_bytes"), "{body}");
    }
}
