//! The journal: intents before they are sent, outcomes after. Each commit is durable.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{AccountName, EffectKind, Origin, Reference, RemoteCustomerId, RemoteMethodId, RunId};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{fp, get, id, opt_id, opt_word, signed, unsigned, word};
use super::import::write_links;
use super::mirror::{self, MethodsAtHand};
use super::runs::{Held, Writer, busy, hold};
use super::{Growing, PostgresStore, now_us};
use crate::canonical::{Context, CustomerPlanner, Guard, MethodNews, NewsOfMethod, to_json};
use crate::effects::{Followed, Following, InTheWay, KEY_LIVES, Meant, Open, named};
use crate::{
    CommittedEffect, EffectOutcome, EffectRow, EffectState, Fence, Intent, IntentAnswer, StoreError,
};

/// The columns that [`effect`] reads.
macro_rules! effect_columns {
    () => {
        "SELECT id, run, kind, subject, reference, token_fp, line, state, attempt, origin, \
         remote_customer_id, remote_method_id, code, message FROM effects"
    };
}
pub(super) use effect_columns;

// Intents of one account are committed one after the other: what is in the way of one may be
// what another is about to write.
const HOLD_ACCOUNT: &str = "SELECT name FROM accounts WHERE name = $1 FOR NO KEY UPDATE";
const WRITER: &str = concat!(
    "SELECT run, owner, lease_until FROM writers WHERE account = $1 AND lease_until >= ",
    now_us!(),
    " FOR SHARE"
);
const OPEN: &str = "SELECT id, kind, subject, reference, state, run, part, epoch, attempt, \
     CASE WHEN status IS NULL AND created_at > $5 THEN idempotency_key END, changes FROM effects \
     WHERE account = $1 AND state IN ('planned', 'sending', 'unknown', 'unresolved') \
     AND (reference = ANY($2) OR (kind, subject) IN (SELECT * FROM UNNEST($3::text[], \
     $4::text[]))) ORDER BY created_at, id";
const ADD: &str = concat!(
    "INSERT INTO effects (account, run, part, epoch, state, attempt, sent_at, created_at, \
     updated_at, id, line, kind, subject, reference, token_fp, remote_customer_id, \
     remote_method_id, known_before, changes, idempotency_key) SELECT $1, $2, $3, $4, 'sending', 1, ",
    now_us!(),
    ", $5, $5, u.* FROM UNNEST($6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], \
     $11::bytea[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[]) u"
);
// While it is being sent, its code says whether nothing is known of an attempt before this one.
const SEND_AGAIN: &str = concat!(
    "UPDATE effects e SET run = $2, part = $3, epoch = $4, state = 'sending', \
     attempt = e.attempt + 1, sent_at = ",
    now_us!(),
    ", updated_at = $5, line = u.line, reference = u.reference, token_fp = u.fp, \
     remote_customer_id = u.customer, remote_method_id = u.method, known_before = u.known, \
     changes = u.changes, idempotency_key = u.key, \
     code = CASE WHEN e.state = 'unknown' THEN 'outcome_unknown' END, message = NULL, \
     request_id = NULL, status = NULL \
     FROM UNNEST($6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bytea[], \
     $12::text[], $13::text[], $14::text[], $15::text[], $16::text[]) AS u (id, line, kind, \
     subject, reference, fp, customer, method, known, changes, key) \
     WHERE e.id = u.id AND e.account = $1 AND e.state IN ('planned', 'unknown')"
);
const HOLD_EFFECTS: &str =
    "SELECT id FROM effects WHERE account = $1 AND id = ANY($2) ORDER BY id FOR UPDATE";
// What is final stays as it is. An attempt that reached nobody, or that the provider says it did not
// take, is none; what was unknown before it is said to be so without a code.
const PUT_OUTCOMES: &str = "UPDATE effects e SET state = u.state, origin = u.origin, \
     attempt = e.attempt - CASE WHEN e.state = 'sending' AND (u.state = 'planned' OR \
     (u.state = 'unknown' AND u.code IS NULL AND e.code IS NOT NULL)) THEN 1 ELSE 0 END, \
     code = COALESCE(u.code, CASE WHEN u.state = 'unknown' THEN e.code END), \
     message = u.message, request_id = COALESCE(u.request_id, e.request_id), \
     status = COALESCE(u.status, e.status), \
     remote_customer_id = COALESCE(u.customer, e.remote_customer_id), \
     remote_method_id = COALESCE(u.method, e.remote_method_id), updated_at = $1 \
     FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], \
     $8::bigint[], $9::text[], $10::text[]) AS u (id, state, origin, code, message, request_id, \
     status, customer, method) WHERE e.id = u.id AND e.state NOT IN ('done', 'refused')";
const OF_RUN: &str = concat!(effect_columns!(), " WHERE run = $1 ORDER BY created_at, id LIMIT $2");

fn open(row: &PgRow, fence: &Fence) -> Result<Open, StoreError> {
    let run: &str = get(row, 5)?;
    let (part, epoch): (i64, i64) = (get(row, 6)?, get(row, 7)?);
    Ok(Open {
        id: id(row, 0)?,
        kind: word(row, 1, "an effect's kind", EffectKind::parse)?,
        subject: get(row, 2)?,
        reference: get(row, 3)?,
        state: word(row, 4, "an effect's state", EffectState::parse)?,
        own: run == fence.run.as_str() && part == i64::from(fence.part) && epoch == fence.epoch,
        attempt: get(row, 8)?,
        key: get(row, 9)?,
        changes: get(row, 10)?,
    })
}

fn origin(text: &str) -> Option<Origin> {
    [Origin::Answered, Origin::Found].into_iter().find(|origin| origin.as_str() == text)
}

/// Reads [`effect_columns`].
pub(super) fn effect(row: &PgRow) -> Result<EffectRow, StoreError> {
    Ok(EffectRow {
        id: id(row, 0)?,
        run: id(row, 1)?,
        kind: word(row, 2, "an effect's kind", EffectKind::parse)?,
        subject: get(row, 3)?,
        reference: opt_id(row, 4)?,
        fp: get::<Option<&[u8]>>(row, 5)?.map(fp).transpose()?,
        line: get::<Option<i64>>(row, 6)?.map(unsigned),
        state: word(row, 7, "an effect's state", EffectState::parse)?,
        attempt: get(row, 8)?,
        origin: opt_word(row, 9, "an effect's origin", origin)?,
        remote_customer: opt_id(row, 10)?,
        remote_method: opt_id(row, 11)?,
        code: get(row, 12)?,
        message: get(row, 13)?,
    })
}

/// The run that writes must hold the account (rule 6).
pub(super) async fn check_writer(
    tx: &mut PgConnection,
    held: &Held,
    fence: &Fence,
    account: &AccountName,
) -> Result<(), StoreError> {
    if !held.writing {
        return Ok(());
    }
    let writer: Option<Writer> =
        sqlx::query_as(WRITER).bind(account.as_str()).fetch_optional(tx).await?;
    match writer {
        Some((run, ..)) if run == fence.run.as_str() => Ok(()),
        Some(writer) => Err(busy(account.as_str(), writer)?),
        None => Err(StoreError::Fenced { run: fence.run.clone(), part: fence.part }),
    }
}

/// Runs [`ADD`] or [`SEND_AGAIN`], which take the same values.
async fn send(
    tx: &mut PgConnection,
    sql: &'static str,
    fence: &Fence,
    account: &AccountName,
    now: i64,
    rows: &[Meant<'_>],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&Intent) -> Option<&str>| -> Vec<Option<&str>> {
        rows.iter().map(|(_, intent, _)| of(intent)).collect()
    };
    let fps: Vec<_> =
        rows.iter().map(|(_, i, _)| i.fp.as_ref().map(|fp| fp.as_bytes().as_slice())).collect();
    let changes: Vec<_> = rows.iter().map(|(_, i, _)| i.changes.as_ref().map(to_json)).collect();
    let known: Vec<_> = rows.iter().map(|(_, i, _)| i.known_before.as_ref().map(to_json)).collect();
    sqlx::query(sql)
        .bind(account.as_str())
        .bind(fence.run.as_str())
        .bind(i64::from(fence.part))
        .bind(fence.epoch)
        .bind(now)
        .bind(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, i, _)| i.line.map(signed)).collect::<Vec<_>>())
        .bind(text(|intent| Some(intent.kind.as_str())))
        .bind(text(|intent| Some(&intent.subject)))
        .bind(text(|intent| intent.reference.as_ref().map(Reference::as_str)))
        .bind(fps)
        .bind(text(|intent| intent.remote_customer.as_ref().map(RemoteCustomerId::as_str)))
        .bind(text(|intent| intent.remote_method.as_ref().map(RemoteMethodId::as_str)))
        .bind(known)
        .bind(changes)
        .bind(rows.iter().map(|(.., key)| key.as_deref()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

async fn put_outcomes(
    tx: &mut PgConnection,
    now: i64,
    outcomes: &[EffectOutcome],
) -> Result<(), StoreError> {
    // The last that is said of an effect counts.
    let rows: BTreeMap<&str, &EffectOutcome> =
        outcomes.iter().map(|outcome| (outcome.effect.as_str(), outcome)).collect();
    let text = |of: fn(&EffectOutcome) -> Option<&str>| -> Vec<Option<&str>> {
        rows.values().map(|outcome| of(outcome)).collect()
    };
    sqlx::query(PUT_OUTCOMES)
        .bind(now)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(text(|outcome| Some(outcome.state.as_str())))
        .bind(text(|outcome| outcome.origin.map(Origin::as_str)))
        .bind(text(|outcome| outcome.code.as_deref()))
        .bind(text(|outcome| outcome.message.as_deref()))
        .bind(text(|outcome| outcome.request_id.as_deref()))
        .bind(rows.values().map(|outcome| outcome.status.map(i64::from)).collect::<Vec<_>>())
        .bind(text(|outcome| named(outcome).0.map(RemoteCustomerId::as_str)))
        .bind(text(|outcome| named(outcome).1.map(RemoteMethodId::as_str)))
        .execute(tx)
        .await?;
    Ok(())
}

impl PostgresStore {
    pub(super) async fn intend(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError> {
        let mut tx = self.begin().await?;
        let held = hold(&mut tx, fence).await?;
        check_writer(&mut tx, &held, fence, account).await?;
        sqlx::query(HOLD_ACCOUNT).bind(account.as_str()).execute(&mut *tx).await?;
        let references: Vec<&str> =
            intents.iter().filter_map(|i| i.reference.as_ref()).map(Reference::as_str).collect();
        let rows = sqlx::query(OPEN)
            .bind(account.as_str())
            .bind(references)
            .bind(intents.iter().map(|intent| intent.kind.as_str()).collect::<Vec<_>>())
            .bind(intents.iter().map(|intent| intent.subject.as_str()).collect::<Vec<_>>())
            .bind(self.now().minus(KEY_LIVES).micros())
            .fetch_all(&mut *tx)
            .await?;
        let open: Vec<Open> = rows.iter().map(|row| open(row, fence)).collect::<Result<_, _>>()?;
        let decided = InTheWay::of(open).decide(&intents);
        let now = self.now().micros();
        send(&mut tx, ADD, fence, account, now, &decided.fresh).await?;
        send(&mut tx, SEND_AGAIN, fence, account, now, &decided.again).await?;
        tx.commit().await?;
        self.wrote(Growing::Journal, decided.fresh.len());
        Ok(decided.answers)
    }

    pub(super) async fn settle(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError> {
        if outcomes.iter().any(|outcome| outcome.state == EffectState::Sending) {
            return Err(StoreError::Constraint("effects_outcome".into()));
        }
        let now = self.now();
        let following = Following::of(&outcomes, now);
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        let context = if following.is_empty() {
            None
        } else {
            Some(mirror::context(&mut tx, fence, account, now, Guard::Answer).await?)
        };
        let ids: HashSet<&str> = outcomes.iter().map(|outcome| outcome.effect.as_str()).collect();
        let known = sqlx::query(HOLD_EFFECTS)
            .bind(account.as_str())
            .bind(ids.iter().copied().collect::<Vec<_>>())
            .fetch_all(&mut *tx)
            .await?;
        if known.len() < ids.len() {
            return Err(StoreError::NotFound("effect"));
        }
        put_outcomes(&mut tx, now.micros(), &outcomes).await?;
        let followed = match context {
            Some(context) => self.follow(&mut tx, fence, &context, following).await?,
            None => Followed::default(),
        };
        tx.commit().await?;
        Ok(outcomes.iter().map(|outcome| followed.answer(outcome)).collect())
    }

    /// Writes what follows from effects that took place: customers first, so that their payment
    /// methods find them.
    async fn follow(
        &self,
        tx: &mut PgConnection,
        fence: &Fence,
        context: &Context,
        following: Following,
    ) -> Result<Followed, StoreError> {
        let Following { customers, news: mut later, links } = following;
        let (account, now) = (&context.account, context.now);
        let (planner, inline) = CustomerPlanner::new(customers, now, Guard::Answer);
        let plan = mirror::put_customers(tx, context, planner, now, None).await?;
        let mut news: Vec<_> = inline
            .into_iter()
            .flat_map(|(customer, methods)| {
                methods.into_iter().map(move |method| NewsOfMethod {
                    customer: customer.clone(),
                    as_of: now,
                    what: MethodNews::Seen(Box::new(method)),
                })
            })
            .collect();
        news.append(&mut later);
        write_links(tx, account.as_str(), &fence.run, now.micros(), links).await?;

        let whose: HashSet<_> = news.iter().map(|news| news.customer.clone()).collect();
        let mut at_hand = mirror::links_of(tx, account, &whose).await?;
        let mut methods = HashMap::new();
        if !news.is_empty() {
            let of = whose.iter().map(RemoteCustomerId::as_str).collect();
            let mirror = mirror::mirror_methods(tx, account, of).await?;
            let customers = at_hand.clone();
            let hand = MethodsAtHand { news, customers, fresh: plan.fresh, mirror };
            methods = mirror::put_methods(tx, &self.keys, context, hand).await?.links;
        }
        at_hand.extend(plan.links.into_iter().map(|(id, link)| (id, Some(link))));
        let customers = at_hand.into_iter().filter_map(|(id, link)| Some((id, link?))).collect();
        Ok(Followed { customers, methods })
    }

    pub(super) async fn run_effects(
        &self,
        run: &RunId,
        most: u32,
    ) -> Result<Vec<EffectRow>, StoreError> {
        let rows = sqlx::query(OF_RUN)
            .bind(run.as_str())
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(effect).collect()
    }
}
