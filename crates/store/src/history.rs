//! What happened to a record: who saw it when, what changed, what we did to it.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::canonical::attributes;
use crate::decode::unsigned;
use crate::{ExportedCustomer, ExportedMethod, StoreError};

/// The whole history of a record.
#[derive(Debug, Clone)]
pub struct History<T> {
    /// As it is now.
    pub now: T,
    /// What accounts say of it that is nothing of the record's, by account.
    pub shown: Vec<Shown>,
    /// What happened, in the order of time.
    pub happened: Vec<Happened>,
}

/// What an account says of a payment method that nobody can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which account.
    pub account: String,
    /// The provider's id.
    pub remote: String,
    /// By name; at least one.
    pub attributes: BTreeMap<String, String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When it was written down.
    pub at: Timestamp,
    /// At which account.
    pub account: Option<String>,
    /// By which run.
    pub run: Option<String>,
    /// The run's job.
    pub job: Option<String>,
    /// The run's file.
    pub file: Option<String>,
    /// The line of that file.
    pub line: Option<u64>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something of ours was sent.
    Effect {
        /// The effect.
        id: String,
        /// What it does.
        kind: String,
        /// Where it stands.
        state: String,
        /// How it is known to have taken place.
        origin: Option<String>,
        /// Why it ended so.
        code: Option<String>,
    },
    /// An account showed it for the first time.
    FirstSeen {
        /// The provider's id.
        remote: String,
    },
    /// An account, a file or a person said something else of it.
    Changed {
        /// Of which field; `link.ID` where a person linked the provider's ID elsewhere.
        field: String,
        /// What was there.
        before: Option<String>,
        /// What is there.
        after: Option<String>,
        /// Why: a run's job, or `person`.
        cause: String,
        /// By which event.
        event: Option<String>,
    },
    /// It was found to be gone at an account.
    Removed {
        /// The provider's id.
        remote: String,
    },
}

impl What {
    /// What is written down at one time is told in this order.
    const fn order(&self) -> u8 {
        match self {
            Self::Effect { .. } => 0,
            Self::FirstSeen { .. } => 1,
            Self::Changed { .. } => 2,
            Self::Removed { .. } => 3,
        }
    }
}

/// `$1` is an id of ours or a provider's, or a reference.
pub(crate) const FIND_CUSTOMERS: &str = "SELECT id FROM customers WHERE id = $1 \
     UNION SELECT id FROM customers WHERE reference = $1 \
         AND namespace IN (SELECT namespace FROM accounts) \
     UNION SELECT r.customer_id FROM accounts AS a JOIN remote_customers AS r \
         ON r.account = a.name AND r.remote_id = $1 WHERE r.customer_id IS NOT NULL ORDER BY 1";
/// `$1` is an id of ours or a provider's.
pub(crate) const FIND_METHODS: &str = "SELECT id FROM methods WHERE id = $1 \
     UNION SELECT r.method_id FROM accounts AS a JOIN remote_methods AS r \
         ON r.account = a.name AND r.remote_id = $1 WHERE r.method_id IS NOT NULL ORDER BY 1";
pub(crate) const CUSTOMER: &str =
    "SELECT id, reference, profile, sources FROM customers WHERE id = $1";
pub(crate) const METHOD: &str = "SELECT m.customer_id, m.id, c.reference, m.facts, m.sources \
     FROM methods AS m JOIN customers AS c ON c.id = m.customer_id WHERE m.id = $1";
pub(crate) const CUSTOMER_SEEN: &str = "SELECT r.account, r.remote_id, r.first_seen, r.first_run, \
     q.job, q.input_name, CASE WHEN r.state = 'removed' THEN r.removed_at END, \
     CAST(NULL AS TEXT) FROM remote_customers AS r LEFT JOIN runs AS q ON q.id = r.first_run \
     WHERE r.customer_id = $1";
pub(crate) const METHOD_SEEN: &str = "SELECT r.account, r.remote_id, r.first_seen, r.first_run, \
     q.job, q.input_name, CASE WHEN r.state = 'removed' THEN r.removed_at END, r.attributes \
     FROM remote_methods AS r LEFT JOIN runs AS q ON q.id = r.first_run WHERE r.method_id = $1";
pub(crate) const CHANGES: &str = "SELECT h.account, h.field, h.before, h.after, h.cause, h.run, \
     h.line, h.event, h.at, q.job, q.input_name FROM changes AS h \
     LEFT JOIN runs AS q ON q.id = h.run WHERE h.subject_id = $1 ORDER BY h.id";
/// What was sent under the record's reference, or under the one that an account shows. What is not
/// settled has no id of the provider's yet.
pub(crate) const CUSTOMER_EFFECTS: &str = "SELECT DISTINCT e.id, e.account, e.kind, e.state, \
     e.origin, e.code, e.run, e.line, e.updated_at, q.job, q.input_name \
     FROM remote_customers AS r JOIN customers AS c ON c.id = r.customer_id \
     JOIN effects AS e ON e.account = r.account AND e.reference IN (r.reference, c.reference) \
         AND (e.remote_customer_id = r.remote_id OR e.remote_customer_id IS NULL) \
     LEFT JOIN runs AS q ON q.id = e.run WHERE r.customer_id = $1 \
     AND e.kind IN ('create_customer', 'update_customer', 'delete_customer')";
pub(crate) const METHOD_EFFECTS: &str = "SELECT DISTINCT e.id, e.account, e.kind, e.state, \
     e.origin, e.code, e.run, e.line, e.updated_at, q.job, q.input_name \
     FROM remote_methods AS m JOIN remote_customers AS r ON r.account = m.account \
         AND r.remote_id = m.remote_customer_id LEFT JOIN customers AS c ON c.id = r.customer_id \
     JOIN effects AS e ON e.account = m.account AND e.reference IN (r.reference, c.reference) \
         AND e.remote_customer_id = m.remote_customer_id AND e.remote_method_id = m.remote_id \
     LEFT JOIN runs AS q ON q.id = e.run WHERE m.method_id = $1";

/// The statements, for the test that prepares them.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[
    FIND_CUSTOMERS,
    FIND_METHODS,
    CUSTOMER,
    METHOD,
    CUSTOMER_SEEN,
    METHOD_SEEN,
    CHANGES,
    CUSTOMER_EFFECTS,
    METHOD_EFFECTS,
];

type Text = Option<String>;
/// Account, id, first seen, run, job, file, removed at, attributes.
pub(crate) type SeenCells = (String, String, i64, Text, Text, Text, Option<i64>, Text);
/// Account, field, before, after, cause, run, line, event, at, job, file.
pub(crate) type ChangeCells =
    (Text, String, Text, Text, String, Text, Option<i64>, Text, i64, Text, Text);
/// Id, account, kind, state, origin, code, run, line, at, job, file.
pub(crate) type EffectCells =
    (String, String, String, String, Text, Text, String, Option<i64>, i64, Text, Text);

/// What accounts show today, by account and id.
pub(crate) fn shown(seen: &[SeenCells]) -> Result<Vec<Shown>, StoreError> {
    let mut all = Vec::new();
    for (account, remote, .., removed, json) in seen {
        if let (None, Some(json)) = (removed, json) {
            let attributes = attributes::parsed(Some(json))?;
            all.push(Shown { account: account.clone(), remote: remote.clone(), attributes });
        }
    }
    all.sort_by(|a, b| (&a.account, &a.remote).cmp(&(&b.account, &b.remote)));
    Ok(all)
}

/// Everything that happened, in the order of time.
pub(crate) fn happened(
    seen: Vec<SeenCells>,
    changes: Vec<ChangeCells>,
    effects: Vec<EffectCells>,
) -> Vec<Happened> {
    let mut all = Vec::with_capacity(seen.len() + changes.len() + effects.len());
    for (id, account, kind, state, origin, code, run, line, at, job, file) in effects {
        all.push(Happened {
            at: Timestamp::from_micros(at),
            account: Some(account),
            run: Some(run),
            job,
            file,
            line: line.map(unsigned),
            what: What::Effect { id, kind, state, origin, code },
        });
    }
    for (account, remote, first, run, job, file, removed, _) in seen {
        // Where a change says so already, with its run, it is said once.
        let told = changes.iter().any(|change| {
            change.0.as_ref() == Some(&account)
                && change.1 == "state"
                && change.3.as_deref() == Some("removed")
                && removed.is_some_and(|removed| removed == change.8)
        });
        if let Some(at) = removed.filter(|_| !told) {
            all.push(Happened {
                at: Timestamp::from_micros(at),
                account: Some(account.clone()),
                run: None,
                job: None,
                file: None,
                line: None,
                what: What::Removed { remote: remote.clone() },
            });
        }
        all.push(Happened {
            at: Timestamp::from_micros(first),
            account: Some(account),
            run,
            job,
            file,
            line: None,
            what: What::FirstSeen { remote },
        });
    }
    for (account, field, before, after, cause, run, line, event, at, job, file) in changes {
        all.push(Happened {
            at: Timestamp::from_micros(at),
            account,
            run,
            job,
            file,
            line: line.map(unsigned),
            what: What::Changed { field, before, after, cause, event },
        });
    }
    // What a table holds in order stays in it.
    all.sort_by_key(|one| (one.at, one.what.order()));
    all
}

/// A customer's.
pub type CustomerHistory = History<ExportedCustomer>;
/// A payment method's.
pub type MethodHistory = History<ExportedMethod>;

/// The reads of one database: its store, the pool that it reads from, and its connection. The store
/// has a `snapshot` in which a whole history is of one time.
macro_rules! reads {
    ($store:ty, $pool:ident, $connection:ty) => {
        impl $store {
            pub(super) async fn customers_called(
                &self,
                id: &str,
            ) -> Result<Vec<model::CustomerId>, $crate::StoreError> {
                let found: Vec<String> = sqlx::query_scalar($crate::history::FIND_CUSTOMERS)
                    .bind(id)
                    .fetch_all(&self.$pool)
                    .await?;
                found.into_iter().map($crate::decode::as_id).collect()
            }

            pub(super) async fn methods_called(
                &self,
                id: &str,
            ) -> Result<Vec<model::MethodId>, $crate::StoreError> {
                let found: Vec<String> = sqlx::query_scalar($crate::history::FIND_METHODS)
                    .bind(id)
                    .fetch_all(&self.$pool)
                    .await?;
                found.into_iter().map($crate::decode::as_id).collect()
            }

            /// What happened to a record, by the statements of its kind.
            async fn happened_to(
                conn: &mut $connection,
                id: &str,
                seen: &'static str,
                effects: &'static str,
            ) -> Result<(Vec<$crate::Shown>, Vec<$crate::Happened>), $crate::StoreError> {
                let seen: Vec<$crate::history::SeenCells> =
                    sqlx::query_as(seen).bind(id).fetch_all(&mut *conn).await?;
                let changes =
                    sqlx::query_as($crate::history::CHANGES).bind(id).fetch_all(&mut *conn).await?;
                let effects = sqlx::query_as(effects).bind(id).fetch_all(conn).await?;
                let shown = $crate::history::shown(&seen)?;
                Ok((shown, $crate::history::happened(seen, changes, effects)))
            }

            pub(super) async fn history_of_customer(
                &self,
                id: &model::CustomerId,
            ) -> Result<Option<$crate::CustomerHistory>, $crate::StoreError> {
                use $crate::history::{CUSTOMER, CUSTOMER_EFFECTS, CUSTOMER_SEEN};
                let mut tx = self.snapshot().await?;
                let now =
                    sqlx::query_as(CUSTOMER).bind(id.as_str()).fetch_optional(&mut *tx).await?;
                let Some(now) = now else { return Ok(None) };
                let now = $crate::ExportedCustomer::ours(now)?;
                let (shown, happened) =
                    Self::happened_to(&mut tx, id.as_str(), CUSTOMER_SEEN, CUSTOMER_EFFECTS)
                        .await?;
                Ok(Some($crate::History { now, shown, happened }))
            }

            pub(super) async fn history_of_method(
                &self,
                id: &model::MethodId,
            ) -> Result<Option<$crate::MethodHistory>, $crate::StoreError> {
                use $crate::history::{METHOD, METHOD_EFFECTS, METHOD_SEEN};
                let mut tx = self.snapshot().await?;
                let now = sqlx::query_as(METHOD).bind(id.as_str()).fetch_optional(&mut *tx).await?;
                let Some(now) = now else { return Ok(None) };
                let now = $crate::ExportedMethod::ours(now)?;
                let (shown, happened) =
                    Self::happened_to(&mut tx, id.as_str(), METHOD_SEEN, METHOD_EFFECTS).await?;
                Ok(Some($crate::History { now, shown, happened }))
            }
        }
    };
}
pub(crate) use reads;
