//! `onfile link` and `onfile unlink`: what a person says of who is who. Nothing is called.

use std::path::Path;

use anyhow::Result;
use engine::{EngineError, FileError, Linked};
use model::{AccountName, CustomerId, Reference, RemoteCustomerId};
use serde_json::{Value, json};
use store::{LinkMove, LinkMoved, LinkTo};

use super::{jobs, runs};
use crate::cli::{Global, Link, LinkOne};
use crate::exit::Exit;
use crate::out;

/// So many of a file are shown to a person.
const SHOWN: usize = 20;

pub(crate) async fn link(global: &Global, args: Link) -> Result<Exit> {
    match (args.what, args.account, args.file) {
        (Some(LinkOne::Customer { account, remote_customer, to, reference, dry_run }), ..) => {
            let to = match (to, reference) {
                (Some(id), None) => LinkTo::Customer(CustomerId::new(id)?),
                (None, Some(reference)) => LinkTo::Reference(Reference::new(reference.trim())?),
                _ => {
                    let message = "the customer that is to be linked to is not named";
                    let hint = "write our id of it, or --reference with yours";
                    return Ok(jobs::misused(global, message, hint));
                }
            };
            one(global, &account, &remote_customer, to, dry_run).await
        }
        (None, Some(account), Some(path)) => file(global, &account, &path, args.dry_run).await,
        _ => {
            let hint = "onfile link ACCOUNT FILE, or onfile link customer ACCOUNT ID TO";
            Ok(jobs::misused(global, "it is not said what is to be linked", hint))
        }
    }
}

pub(crate) async fn unlink(global: &Global, account: &str, remote: &str) -> Result<Exit> {
    let moved = move_one(global, account, remote, LinkTo::Own, false).await?;
    match moved.as_slice() {
        [one] if !global.json && one.before.as_ref() == Some(&one.after) => {
            out::line(&format!("{remote} has a record of its own already: {}", one.after));
        }
        moved => show(global, account, moved, false),
    }
    Ok(Exit::Clean)
}

async fn one(global: &Global, account: &str, remote: &str, to: LinkTo, dry: bool) -> Result<Exit> {
    let moved = move_one(global, account, remote, to, dry).await?;
    show(global, account, &moved, dry);
    Ok(Exit::Clean)
}

async fn move_one(
    global: &Global,
    account: &str,
    remote: &str,
    to: LinkTo,
    dry: bool,
) -> Result<Vec<LinkMoved>> {
    let remote_customer = RemoteCustomerId::new(remote)?;
    runs::with_store(global, async |opened| {
        let account = AccountName::new(opened.config.account(account)?.name.clone())?;
        let moves = vec![LinkMove { remote_customer, to, methods: Vec::new() }];
        let answers = opened.store.move_links(&account, moves, dry).await?;
        let answers: Result<Vec<LinkMoved>, _> = answers.into_iter().collect();
        Ok(answers.map_err(EngineError::Link)?)
    })
    .await
}

async fn file(global: &Global, account: &str, path: &Path, dry: bool) -> Result<Exit> {
    let linked = runs::with_store(global, async |opened| {
        let account = AccountName::new(opened.config.account(account)?.name.clone())?;
        Ok(engine::link_file(&*opened.store, &account, path, dry).await?)
    })
    .await?;
    match linked {
        Linked::Done(moved) => {
            show(global, account, &moved, dry);
            Ok(Exit::Clean)
        }
        Linked::Wrong(wrong) => {
            refuse(global, &wrong);
            Ok(Exit::Error)
        }
    }
}

fn show(global: &Global, account: &str, moved: &[LinkMoved], dry: bool) {
    let is_moved = |one: &&LinkMoved| one.before.as_ref() != Some(&one.after);
    let customers = moved.iter().filter(is_moved).count();
    let methods: usize = moved.iter().map(|one| one.methods.len()).sum();
    if global.json {
        let links: Vec<Value> = moved.iter().map(report::link_moved_json).collect();
        out::json(&json!({
            "account": account,
            "dry_run": dry,
            "customers": { "moved": customers, "unchanged": moved.len() - customers },
            "methods": { "moved": methods },
            "links": links,
        }));
        return;
    }
    for one in moved.iter().take(SHOWN) {
        out::line(&report::link_moved(one, dry));
    }
    if moved.len() > SHOWN {
        out::line(&format!("… and {} more: --json lists all", moved.len() - SHOWN));
    }
    if moved.len() != 1 {
        let would = if dry { "would be moved" } else { "moved" };
        let there = moved.len() - customers;
        out::line(&format!(
            "{customers} customers {would}, {there} were there already; {methods} payment methods \
             {would}"
        ));
    }
}

fn refuse(global: &Global, wrong: &[FileError]) {
    if global.json {
        let errors: Vec<Value> = wrong
            .iter()
            .map(|error| {
                json!({
                    "code": error.code.as_str(), "message": error.message, "hint": error.hint,
                    "file": error.file, "line": error.line, "column": error.column,
                })
            })
            .collect();
        out::json(&json!({ "errors": errors }));
    }
    for error in wrong {
        out::error_line(&format!("error[{}]: {error}\n  hint: {}", error.code, error.hint));
    }
    let lines = if wrong.len() == 1 { "1 line is" } else { &format!("{} lines are", wrong.len()) };
    out::error_line(&format!("{lines} wrong: nothing was linked"));
}
