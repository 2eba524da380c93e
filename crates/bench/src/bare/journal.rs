//! The journal: batches of intents, then of their outcomes, each batch one durable commit.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{AccountName, EffectId, EffectKind, Origin, Reference, RunId, SystemClock};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::{
    AccountRow, EffectOutcome, EffectState, Intent, IntentAnswer, NewRun, Owner, StoreOptions,
    WrapKey,
};

use super::rows;

const BATCH: u64 = 50;
const LEASE: Duration = Duration::from_secs(3600);

/// The columns of onfile's journal that an effect fills, and its primary key.
const SCHEMA: &str = "CREATE TABLE effects (id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, \
     run TEXT NOT NULL, part INTEGER NOT NULL, epoch INTEGER NOT NULL, line INTEGER, \
     kind TEXT NOT NULL, subject TEXT NOT NULL, reference TEXT, state TEXT NOT NULL, \
     attempt INTEGER NOT NULL, sent_at INTEGER, origin TEXT, created_at INTEGER NOT NULL, \
     updated_at INTEGER NOT NULL) STRICT";
const INTENTS: (&str, &str) = (
    "INSERT INTO effects (id, account, run, part, epoch, line, kind, subject, reference, state, \
     attempt, sent_at, created_at, updated_at)",
    "(?, 'gov', '01M7ZM4X4759GTQYE617Q5247D', 0, 1, ?, 'create_customer', ?, ?, 'sending', 1, \
     1795283907723236, 1795283907723236, 1795283907723236)",
);
const OUTCOMES: &str = "UPDATE effects SET state = 'done', origin = 'answered', \
     updated_at = 1795283907723237 WHERE id IN (SELECT value FROM json_each(?))";

/// Batches of the numbers of effects.
fn batches(effects: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..effects)
        .step_by(usize::try_from(BATCH).unwrap_or(1))
        .map(move |from| from..(from + BATCH).min(effects))
}

pub(super) async fn bare(database: &Path, effects: u64) -> Result<()> {
    let mut connection = rows::sqlite(database).await?;
    connection.execute("PRAGMA synchronous = FULL").await?;
    connection.execute(SCHEMA).await?;
    for batch in batches(effects) {
        let ids: Vec<String> = batch.clone().map(|no| format!("e_{no:026}")).collect();
        let text = rows::values(INTENTS.0, INTENTS.1, ids.len());
        let mut insert = sqlx::query(AssertSqlSafe(text));
        for (no, id) in batch.zip(&ids) {
            let reference = format!("C-{no:07}");
            let line = i64::try_from(no)?;
            insert = insert.bind(id.clone()).bind(line).bind(reference.clone()).bind(reference);
        }
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        insert.execute(&mut *tx).await?;
        tx.commit().await?;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(OUTCOMES).bind(serde_json::to_string(&ids)?).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(connection.close().await?)
}

pub(super) async fn store(database: &Path, effects: u64) -> Result<()> {
    let store = store::open(&StoreOptions {
        url: format!("sqlite://{}", database.display()),
        password: None,
        ca_file: None,
        wrap_keys: vec![WrapKey::new("bench", [7; 32])],
        clock: Arc::new(SystemClock),
    })
    .await?;
    let account = AccountName::new("gov")?;
    store.bind_accounts(&[account_row(&account)]).await?;
    let (run, owner) = (new_run(&account), Owner("bench".to_owned()));
    store.begin_run(&run, &owner, LEASE).await?;
    let part = store.claim_part(&run.id, &owner, LEASE).await?;
    let fence = part.context("there is no part to claim")?.fence;
    for batch in batches(effects) {
        let intents = batch.map(intent).collect::<Result<_>>()?;
        let answers = store.commit_intents(&fence, &account, intents).await?;
        let outcomes = answers.iter().map(done).collect::<Result<_>>()?;
        store.commit_outcomes(&fence, &account, outcomes).await?;
    }
    store.close().await;
    Ok(())
}

fn account_row(name: &AccountName) -> AccountRow {
    AccountRow {
        name: name.clone(),
        kind: "proxy-token".into(),
        host: "127.0.0.1".into(),
        merchant: "pa_main".into(),
        environment: "test".into(),
        namespace: "default".into(),
        match_by_email: false,
        rank: 0,
    }
}

fn new_run(account: &AccountName) -> NewRun {
    NewRun {
        id: RunId::generate(),
        job: "import".into(),
        account: account.clone(),
        cause: "person".into(),
        writing: true,
        args: "{}".into(),
        input_name: None,
        input_hash: None,
        config_hash: None,
        parts: 1,
    }
}

fn intent(no: u64) -> Result<Intent> {
    let reference = format!("C-{no:07}");
    Ok(Intent {
        kind: EffectKind::CreateCustomer,
        subject: reference.clone(),
        reference: Some(Reference::new(reference)?),
        fp: None,
        line: Some(no),
        remote_customer: None,
        remote_method: None,
        known_before: None,
        idempotency_key: None,
        changes: None,
        repeats: false,
    })
}

fn done(answer: &IntentAnswer) -> Result<EffectOutcome> {
    let IntentAnswer::Accepted { effect, .. } = answer else {
        anyhow::bail!("an effect is in the way of another");
    };
    let effect: EffectId = effect.clone();
    Ok(EffectOutcome {
        effect,
        state: EffectState::Done,
        origin: Some(Origin::Answered),
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    })
}
