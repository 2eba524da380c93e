//! `onfile accounts`: what the store knows of accounts.

use anyhow::Result;
use serde_json::json;

use super::env;
use crate::cli::{Accounts, Global};
use crate::config::LoadOptions;
use crate::exit::Exit;
use crate::{out, wiring};

pub(crate) async fn run(global: &Global, what: Accounts) -> Result<Exit> {
    let Accounts::Rebind { account } = what;
    let options = LoadOptions::for_accounts(Vec::<String>::new());
    let config = wiring::load(&global.config, &env, &options)?;
    let (before, now) = wiring::rebind(&config, &account).await?;
    let changed = before.changed(&now);
    if global.json {
        let changed = changed
            .iter()
            .map(|(what, before, now)| json!({ "what": what, "before": before, "now": now }));
        out::json(&json!({ "account": account, "changed": changed.collect::<Vec<_>>() }));
        return Ok(Exit::Clean);
    }
    if changed.is_empty() {
        out::line(&format!("account {account} is bound as it is configured; nothing was changed"));
    }
    for (what, before, now) in changed {
        out::line(&format!("account {account}: {what} was {before}, is {now}"));
    }
    Ok(Exit::Clean)
}
