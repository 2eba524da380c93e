//! A large vendor stays quick, and what cannot be is refused at the start.

use super::*;
use crate::Rule;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_hundred_thousand_customers() {
    let bench = Bench::with(100_000, Config::default(), "").await;
    let size = bench.running.accounts();
    assert_eq!(size[0].customers, 100_000);
    assert!((195_000..205_000).contains(&size[0].methods), "{size:?}");
    let start = Instant::now();
    for page in 0..50 {
        let path = format!("/api/customers?$top=100&$skip={}", page * 2_000);
        assert_eq!(bench.get(&path).await.json()["value"].as_array().unwrap().len(), 100);
        assert_eq!(bench.get(&find_path(&format!("C-{:06}", page + 1))).await.status, 200);
    }
    // A debug build on a busy machine: still far below what copying the list would take.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(bench.running.customers(MAIN).len(), 100_000);
}

#[tokio::test]
async fn the_log_keeps_the_last_requests() {
    let config = SandboxConfig { log_capacity: 3, ..SandboxConfig::default() };
    let running = Sandbox::start(config).await.unwrap();
    for _ in 0..5 {
        send(running.addr(), "GET", "/api/customers", &[], "").await.unwrap();
    }
    let log = running.log();
    let seen: Vec<_> = log.iter().map(|e| (e.seq, e.status)).collect();
    assert_eq!(seen, [(3, Some(401)), (4, Some(401)), (5, Some(401))]);
    assert_eq!(running.counters().calls("list_customers"), 5);
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let config = SandboxConfig { listen, ..SandboxConfig::default() };
    assert_eq!(Sandbox::start(config).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let faults = FaultPlan { rules: vec![Rule::each("nope", crate::Fault::DropBefore)] };
    let config = SandboxConfig { faults, ..SandboxConfig::default() };
    assert!(Sandbox::start(config).await.unwrap_err().to_string().contains("unknown endpoint"));
    let mut rails = crate::noderails::Config::default();
    rails.accounts.extend(rails.accounts.clone());
    let config =
        SandboxConfig { vendor: VendorConfig::Noderails(rails), ..SandboxConfig::default() };
    assert!(Sandbox::start(config).await.unwrap_err().to_string().contains("same app id"));
}

#[tokio::test]
async fn dropping_it_closes_it() {
    let running = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let addr = running.addr();
    drop(running);
    let deadline = Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        tokio::task::yield_now().await;
    }
}
