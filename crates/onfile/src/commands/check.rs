//! `onfile check`: everything that is wrong with the configuration at once, then a read at each
//! account.

use std::sync::Arc;

use anyhow::Result;
use backend::{BackendError, CallCtx, Lane};
use engine::{Quiet, Stop};
use serde_json::json;

use super::env;
use crate::cli::Global;
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

pub(crate) async fn run(global: &Global, accounts: &[String]) -> Result<Exit> {
    let options = if accounts.is_empty() {
        LoadOptions::default()
    } else {
        LoadOptions { server: true, ..LoadOptions::for_accounts(accounts.iter().cloned()) }
    };
    let config = wiring::load(&global.config, &env, &options)?;
    let names: Vec<String> = if accounts.is_empty() {
        config.accounts.iter().map(|account| account.name.clone()).collect()
    } else {
        for name in accounts {
            config.account(name)?;
        }
        accounts.to_vec()
    };
    let opened = wiring::open(config).await?;
    let info = opened.store.info().await?;
    let mut found = Vec::new();
    let mut exit = Exit::Clean;
    for name in &names {
        let (_stopper, stop) = Stop::pair();
        let probed: Result<_, BackendError> = match opened.engine(name, stop, Arc::new(Quiet)) {
            Ok(engine) => engine.account.probe(&CallCtx::in_lane(Lane::Interactive)).await,
            Err(error) => match error.downcast::<BackendError>() {
                Ok(error) => Err(error),
                Err(error) => return Err(error),
            },
        };
        found.push(match probed {
            Ok(probe) => json!({ "account": name, "ok": true, "says": probe.summary }),
            Err(error) => {
                exit = Exit::Error;
                json!({
                    "account": name,
                    "ok": false,
                    "code": error.kind.as_str(),
                    "says": error.to_string(),
                })
            }
        });
    }
    opened.store.close().await;
    if global.json {
        out::json(&json!({
            "store": { "engine": info.engine, "schema": info.schema },
            "accounts": found,
        }));
        return Ok(exit);
    }
    out::line(&format!("configuration  {}: fine", global.config.display()));
    out::line(&format!("store          {}, schema {}: fine", info.engine, info.schema));
    for account in &found {
        let text = |key: &str| account.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
        let says = text("says");
        match account.get("ok").and_then(serde_json::Value::as_bool) {
            Some(true) => out::line(&format!("account        {}: {says}", text("account"))),
            _ => out::line(&format!(
                "account        {}: error[{}]: {says}",
                text("account"),
                text("code")
            )),
        }
    }
    Ok(exit)
}
