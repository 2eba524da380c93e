//! The journal: intents before they are sent, outcomes after.

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{
    AccountName, EffectKind, Origin, Reference, RemoteCustomerId, RemoteMethodId, Timestamp,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::bulk::{Bound, Bulk};
use super::decode::{get, id, list, signed, word};
use super::import::put_token_links;
use super::mirror::{self, MethodsAtHand};
use super::runs::alive_writer;
use super::{SqliteStore, check_fence, server_now};
use crate::canonical::{Context, CustomerPlanner, Guard, MethodNews, NewsOfMethod, to_json};
use crate::effects::{Followed, Following, InTheWay, KEY_LIVES, Meant, Open, named};
use crate::{CommittedEffect, EffectOutcome, EffectState, Fence, Intent, IntentAnswer, StoreError};

const IS_WRITING: &str = "SELECT writing FROM runs WHERE id = ?1";
const OPEN_OF_SUBJECTS: &str = "SELECT id, kind, subject, reference, state, run, part, epoch, \
     attempt, CASE WHEN status IS NULL AND created_at > ?3 THEN idempotency_key END, changes \
     FROM effects \
     WHERE account = ?1 AND (kind, subject) IN \
     (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2)) \
     AND state IN ('planned', 'sending', 'unknown', 'unresolved') ORDER BY created_at, id";
const UNSETTLED_OF_REFERENCES: &str = "SELECT id, kind, subject, reference, state, run, part, \
     epoch, attempt, NULL, NULL FROM effects WHERE account = ?1 \
     AND reference IN (SELECT value FROM json_each(?2)) \
     AND state IN ('sending', 'unknown', 'unresolved') ORDER BY created_at, id";
const KNOWN_EFFECTS: &str = "SELECT e.id FROM json_each(?2) AS wanted CROSS JOIN effects AS e \
     ON e.id = wanted.value WHERE e.account = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[IS_WRITING, OPEN_OF_SUBJECTS, UNSETTLED_OF_REFERENCES, KNOWN_EFFECTS];

#[cfg(test)]
pub(super) const BULKS: &[&Bulk] = &[&ADD_EFFECTS, &SEND_AGAIN, &PUT_OUTCOMES];

static ADD_EFFECTS: Bulk = Bulk::new(
    "INSERT INTO effects (account, run, part, epoch, state, attempt, sent_at, created_at, \
     updated_at, id, line, kind, subject, reference, token_fp, remote_customer_id, \
     remote_method_id, known_before, changes, idempotency_key) VALUES ",
    "(?, ?, ?, ?, 'sending', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);
/// While it is being sent, its code says whether nothing is known of an attempt before this one.
static SEND_AGAIN: Bulk = Bulk::new(
    "WITH new (id, line, reference, token_fp, remote_customer, remote_method, known_before, \
     changes, idempotency_key) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ") UPDATE effects SET run = ?, part = ?, epoch = ?, state = 'sending', \
     attempt = attempt + 1, sent_at = ?, updated_at = ?, line = new.line, \
     reference = new.reference, token_fp = new.token_fp, \
     remote_customer_id = new.remote_customer, remote_method_id = new.remote_method, \
     known_before = new.known_before, changes = new.changes, \
     idempotency_key = new.idempotency_key, \
     code = CASE WHEN effects.state = 'unknown' THEN 'outcome_unknown' END, message = NULL, \
     request_id = NULL, status = NULL FROM new WHERE effects.id = new.id AND effects.account = ? \
     AND effects.state IN ('planned', 'unknown')",
);
/// What is final stays as it is. An attempt that reached nobody, or that the provider says it did not
/// take, is none; what was unknown before it is said to be so without a code.
static PUT_OUTCOMES: Bulk = Bulk::new(
    "WITH new (id, state, origin, code, message, request_id, status, remote_customer, \
     remote_method) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ") UPDATE effects SET state = new.state, origin = new.origin, \
     code = COALESCE(new.code, CASE WHEN new.state = 'unknown' THEN effects.code END), \
     message = new.message, request_id = COALESCE(new.request_id, effects.request_id), \
     attempt = effects.attempt - (effects.state = 'sending' AND (new.state = 'planned' OR \
     (new.state = 'unknown' AND new.code IS NULL AND effects.code IS NOT NULL))), \
     status = COALESCE(new.status, effects.status), \
     remote_customer_id = COALESCE(new.remote_customer, effects.remote_customer_id), \
     remote_method_id = COALESCE(new.remote_method, effects.remote_method_id), updated_at = ? \
     FROM new WHERE effects.id = new.id AND effects.state NOT IN ('done', 'refused')",
);

fn open(row: &SqliteRow, fence: &Fence) -> Result<Open, StoreError> {
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

/// What is in the way of intents.
async fn in_the_way(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    intents: &[Intent],
    now: Timestamp,
) -> Result<InTheWay, StoreError> {
    let pairs: Vec<_> = intents.iter().map(|i| (i.kind.as_str(), i.subject.as_str())).collect();
    let mut rows = sqlx::query(OPEN_OF_SUBJECTS)
        .bind(account.as_str())
        .bind(to_json(&pairs))
        .bind(now.minus(KEY_LIVES).micros())
        .fetch_all(&mut *conn)
        .await?;
    let references: BTreeSet<_> =
        intents.iter().filter_map(|i| i.reference.as_ref()).map(Reference::as_str).collect();
    let more = sqlx::query(UNSETTLED_OF_REFERENCES)
        .bind(account.as_str())
        .bind(list(references))
        .fetch_all(conn)
        .await?;
    rows.extend(more);
    let open: Result<Vec<Open>, _> = rows.iter().map(|row| open(row, fence)).collect();
    Ok(InTheWay::of(open?))
}

/// The run that writes must hold the account (rule 6).
pub(super) async fn check_writer(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
) -> Result<(), StoreError> {
    let writing: Option<i64> =
        sqlx::query_scalar(IS_WRITING).bind(fence.run.as_str()).fetch_optional(&mut *conn).await?;
    if writing.is_none_or(|writing| writing == 0) {
        return Ok(());
    }
    match alive_writer(conn, account, server_now()).await? {
        Some((run, ..)) if run == fence.run => Ok(()),
        Some((run, owner, until)) => {
            Err(StoreError::AccountBusy { account: account.clone(), run, owner, until })
        }
        None => Err(StoreError::Fenced { run: fence.run.clone(), part: fence.part }),
    }
}

fn bind_intent(q: Bound, intent: &Intent, key: Option<&String>) -> Bound {
    q.bind(intent.reference.as_ref().map(Reference::as_str))
        .bind(intent.fp.as_ref().map(|fp| fp.as_bytes().as_slice()))
        .bind(intent.remote_customer.as_ref().map(RemoteCustomerId::as_str))
        .bind(intent.remote_method.as_ref().map(RemoteMethodId::as_str))
        .bind(intent.known_before.as_ref().map(to_json))
        .bind(intent.changes.as_ref().map(to_json))
        .bind(key)
}

impl SqliteStore {
    pub(super) async fn write_intents(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin_durable().await?;
        check_fence(&mut tx, fence).await?;
        check_writer(&mut tx, fence, account).await?;
        let now = self.now();
        let decided = in_the_way(&mut tx, fence, account, &intents, now).await?.decide(&intents);
        let (sent_at, now) = (server_now(), now.micros());
        let stamp = |q: Bound| {
            q.bind(fence.run.as_str())
                .bind(i64::from(fence.part))
                .bind(fence.epoch)
                .bind(sent_at)
                .bind(now)
        };
        let bind = |q: Bound, (id, intent, key): &Meant<'_>| {
            let q = stamp(q.bind(account.as_str())).bind(now);
            let q = q.bind(id.as_str()).bind(intent.line.map(signed));
            let q = q.bind(intent.kind.as_str()).bind(intent.subject.as_str());
            bind_intent(q, intent, key.as_ref())
        };
        ADD_EFFECTS.run(&mut tx, &decided.fresh, bind, |q| q).await?;
        let bind = |q: Bound, (id, intent, key): &Meant<'_>| {
            bind_intent(q.bind(id.as_str()).bind(intent.line.map(signed)), intent, key.as_ref())
        };
        SEND_AGAIN.run(&mut tx, &decided.again, bind, |q| stamp(q).bind(account.as_str())).await?;
        tx.commit().await?;
        Ok(decided.answers)
    }

    pub(super) async fn write_outcomes(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError> {
        if outcomes.iter().any(|outcome| outcome.state == EffectState::Sending) {
            return Err(StoreError::Constraint("effects_outcome".into()));
        }
        let now = self.now();
        let mut writer = self.writer().await?;
        let mut tx = writer.begin_durable().await?;
        check_fence(&mut tx, fence).await?;
        let ids: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.effect.as_str()).collect();
        let known = sqlx::query(KNOWN_EFFECTS)
            .bind(account.as_str())
            .bind(list(&ids))
            .fetch_all(&mut *tx)
            .await?;
        if known.len() < ids.len() {
            return Err(StoreError::NotFound("effect"));
        }
        let bind = |q: Bound, outcome: &EffectOutcome| {
            let (customer, method) = named(outcome);
            q.bind(outcome.effect.as_str())
                .bind(outcome.state.as_str())
                .bind(outcome.origin.map(Origin::as_str))
                .bind(outcome.code.as_deref())
                .bind(outcome.message.as_deref())
                .bind(outcome.request_id.as_deref())
                .bind(outcome.status.map(i64::from))
                .bind(customer.map(RemoteCustomerId::as_str))
                .bind(method.map(RemoteMethodId::as_str))
        };
        PUT_OUTCOMES.run(&mut tx, &outcomes, bind, |q| q.bind(now.micros())).await?;
        let following = Following::of(&outcomes, now);
        let followed = if following.is_empty() {
            Followed::default()
        } else {
            let context = mirror::context(&mut tx, fence, account, now, Guard::Answer).await?;
            self.follow(&mut tx, fence, &context, following).await?
        };
        tx.commit().await?;
        Ok(outcomes.iter().map(|outcome| followed.answer(outcome)).collect())
    }

    /// Writes what follows from effects that took place: customers first, so that their payment
    /// methods find them.
    async fn follow(
        &self,
        conn: &mut SqliteConnection,
        fence: &Fence,
        context: &Context,
        following: Following,
    ) -> Result<Followed, StoreError> {
        let Following { customers, news: mut later, links } = following;
        let account = &context.account;
        let (planner, inline) = CustomerPlanner::new(customers, context.now, Guard::Answer);
        let plan = mirror::put_customers(conn, context, planner, context.now, None).await?;
        let mut news: Vec<_> = inline
            .into_iter()
            .flat_map(|(customer, methods)| {
                methods.into_iter().map(move |method| NewsOfMethod {
                    customer: customer.clone(),
                    as_of: context.now,
                    what: MethodNews::Seen(Box::new(method)),
                })
            })
            .collect();
        news.append(&mut later);
        put_token_links(conn, fence, account, context.now, &links).await?;

        let whose: HashSet<_> = news.iter().map(|news| news.customer.clone()).collect();
        let mut at_hand = mirror::links_of(conn, account, &whose).await?;
        let mut methods = HashMap::new();
        if !news.is_empty() {
            let of = list(whose.iter().map(RemoteCustomerId::as_str));
            let mirror = mirror::mirror_methods(conn, account, of).await?;
            let hand =
                MethodsAtHand { news, customers: at_hand.clone(), fresh: plan.fresh, mirror };
            methods = mirror::put_methods(conn, &self.keys, context, hand).await?.links;
        }
        at_hand.extend(plan.links.into_iter().map(|(id, link)| (id, Some(link))));
        let customers = at_hand.into_iter().filter_map(|(id, link)| Some((id, link?))).collect();
        Ok(Followed { customers, methods })
    }
}
