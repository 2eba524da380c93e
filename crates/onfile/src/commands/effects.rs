//! `onfile effects`: what was sent, how what became of it is known, and what a person says of it.

use anyhow::Result;
use engine::{EngineError, Resolution};
use model::{AccountName, EffectId, RemoteMethodId};
use serde_json::{Value, json};
use store::{EffectQuery, EffectRecord, EffectState, Unsettled};

use super::{jobs, runs};
use crate::cli::{Effects, Global, Seen};
use crate::exit::Exit;
use crate::out;
use crate::wiring::Opened;

/// Effects read at once.
const PAGE: u32 = 1000;
/// Effects shown to a person.
const SHOWN: usize = 100;

pub(crate) async fn run(global: &Global, what: Option<Effects>) -> Result<Exit> {
    match what.unwrap_or(Effects::List { account: None, run: None, all: false }) {
        Effects::List { account, run, all } => {
            runs::with_store(global, async |opened| {
                let query = query(opened, account, run, all).await?;
                list(global, opened, query).await
            })
            .await
        }
        Effects::Show { id } => {
            let found = find(global, &id).await?;
            show(global, &found);
            Ok(Exit::Clean)
        }
        Effects::Settle { account } => settle(global, &account).await,
        Effects::Resolve { id, seen, remote_id, force, note } => {
            let remote_id = remote_id.map(RemoteMethodId::new).transpose()?;
            let resolution = match (seen, remote_id, force) {
                (Seen::Done, remote_id, false) => Resolution::Done { remote_id },
                (Seen::Absent, None, force) => Resolution::Absent { force },
                (Seen::Done, _, true) => {
                    let message = "--force goes with --as absent, and nothing was done";
                    return Ok(jobs::misused(global, message, "what was done is always read back"));
                }
                (Seen::Absent, Some(_), _) => {
                    let message = "--remote-id goes with --as done, and nothing was done";
                    let hint = "what is absent has no id at the provider";
                    return Ok(jobs::misused(global, message, hint));
                }
            };
            resolve(global, &id, &resolution, note.as_deref()).await
        }
    }
}

fn states(all: bool) -> Vec<EffectState> {
    let wanted = |state: &EffectState| all || state.is_unsettled();
    EffectState::ALL.into_iter().filter(wanted).collect()
}

/// What is asked for, of an account and a run that there are.
async fn query(
    opened: &Opened,
    account: Option<String>,
    run: Option<String>,
    all: bool,
) -> Result<EffectQuery> {
    if let Some(account) = &account {
        opened.config.account(account)?;
    }
    let run = match run {
        Some(run) => Some(runs::known(&*opened.store, &run).await?.id),
        None => None,
    };
    let account = account.map(AccountName::new).transpose()?;
    Ok(EffectQuery { account, run, states: states(all), after: None, most: PAGE })
}

/// An effect of the store, whatever its account.
async fn find(global: &Global, id: &str) -> Result<Unsettled> {
    let id = EffectId::new(id)?;
    runs::with_store(global, async |opened| {
        let found = opened.store.effect(&id).await?;
        Ok(found.ok_or(EngineError::NoSuchEffect(id))?)
    })
    .await
}

async fn list(global: &Global, opened: &Opened, mut query: EffectQuery) -> Result<Exit> {
    let mut all: Vec<EffectRecord> = Vec::new();
    loop {
        let page = opened.store.effects(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.effect.id.clone());
        all.extend(page);
        // A person reads no more, and how many more there are can be asked for.
        if !global.json && all.len() > SHOWN {
            break;
        }
    }
    if global.json {
        let effects: Vec<Value> = all.iter().map(shown).collect();
        out::json(&json!({ "effects": effects }));
        return Ok(Exit::Clean);
    }
    let more = all.len() > SHOWN;
    all.truncate(SHOWN);
    out::line(report::effects(&all).trim_end());
    if more {
        out::line("… and more: name an account or a run, or read all of them with --json");
    }
    Ok(Exit::Clean)
}

fn shown(record: &EffectRecord) -> Value {
    let effect = &record.effect;
    json!({
        "effect": effect.id.as_str(),
        "account": record.account.as_str(),
        "kind": effect.kind.as_str(),
        "state": effect.state.as_str(),
        "reference": effect.reference.as_ref().map(model::Reference::as_str),
        "run": effect.run.as_str(),
        "line": effect.line,
        "attempt": effect.attempt,
        "origin": effect.origin.map(model::Origin::as_str),
        "code": effect.code,
        "message": effect.message,
        "remote_customer_id": effect.remote_customer.as_ref().map(model::RemoteCustomerId::as_str),
        "remote_method_id": effect.remote_method.as_ref().map(RemoteMethodId::as_str),
        "known_before": record.known_before.as_ref().map(|known| {
            known.iter().map(RemoteMethodId::as_str).collect::<Vec<_>>()
        }),
        "request_id": record.request_id,
        "status": record.status,
        "created_at": record.created_at.to_string(),
        "sent_at": record.sent_at.map(|at| at.to_string()),
        "updated_at": record.updated_at.to_string(),
    })
}

fn show(global: &Global, found: &Unsettled) {
    if global.json {
        out::json(&shown(&found.record));
    } else {
        out::line(report::effect(found).trim_end());
    }
}

async fn settle(global: &Global, account: &str) -> Result<Exit> {
    let (settled, summary) = jobs::at_account(global, account, async |engine| {
        engine::settle_account(engine, "person").await
    })
    .await?;
    if global.json {
        out::json(&json!({
            "run": summary.run,
            "done": settled.done,
            "planned": settled.planned,
            "refused": settled.refused,
            "unresolved": settled.unresolved,
            "waiting": settled.waiting,
            "calls": summary.calls.total,
        }));
    } else {
        out::line(report::settled(&settled_counts(account, settled), &summary).trim_end());
    }
    Ok(if settled.waiting > 0 { Exit::Differences } else { Exit::Clean })
}

fn settled_counts(account: &str, settled: engine::Settled) -> [(String, u64); 4] {
    [
        ("took effect".into(), settled.done),
        ("had none; the next import sends them".into(), settled.planned),
        ("were declined by the provider".into(), settled.refused),
        (format!("wait for a person: onfile effects list {account}"), settled.waiting),
    ]
}

async fn resolve(
    global: &Global,
    id: &str,
    resolution: &Resolution,
    note: Option<&str>,
) -> Result<Exit> {
    let account = find(global, id).await?.record.account;
    let id = EffectId::new(id)?;
    let found = jobs::at_account(global, account.as_str(), async |engine| {
        engine::resolve(engine, &id, resolution, note, "person").await
    })
    .await?;
    show(global, &found);
    Ok(Exit::Clean)
}
