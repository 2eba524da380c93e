//! What became of each row, and what the file is remembered to have stated.

use std::collections::BTreeMap;

use model::{Code, FieldName, MethodFacts, Outcome, Timestamp};
use store::{RowResult, Statement, TokenFp, TokenLink, Verdict};

use super::{CustomerNow, DUPLICATE, Fate, Presence, Row, Work};

impl Work {
    /// Finds what the file states otherwise than the last time: only that is a wish (rule 4).
    /// `hash` is the store's keyed hash of a field and its value.
    pub(crate) fn compare_statements(&mut self, hash: &dyn Fn(&str, &str) -> String) {
        let before = |fp: Option<TokenFp>| self.statements.iter().find(|s| s.fp == fp);
        if let Some(before) = before(None) {
            let profile = self.profile();
            self.wish = FieldName::TEXTS.into_iter().find(|field| {
                profile.get(*field).is_some_and(|value| {
                    before.fields.get(field.as_str()) != Some(&hash(field.as_str(), value))
                })
            });
        }
        let truth = hash("default", "true");
        let new: Vec<bool> = self
            .rows
            .iter()
            .map(|row| {
                row.wants_default()
                    && before(row.fp()).is_some_and(|s| s.fields.get("default") != Some(&truth))
            })
            .collect();
        for (row, new) in self.rows.iter_mut().zip(new) {
            row.default_is_new = new;
        }
    }

    /// What the file states now, to be kept for the next time: for rows that ended well.
    pub(crate) fn stated(&self, hash: &dyn Fn(&str, &str) -> String) -> Vec<Statement> {
        let CustomerNow::Present { .. } = self.customer else { return Vec::new() };
        let mut statements = Vec::new();
        if self.open_or_done().next().is_some() {
            let profile = self.profile();
            let mut fields: BTreeMap<String, String> = FieldName::TEXTS
                .into_iter()
                .filter_map(|f| Some((f.as_str(), profile.get(f)?)))
                .map(|(field, value)| (field.to_owned(), hash(field, value)))
                .collect();
            for (key, value) in &profile.metadata {
                let field = format!("metadata.{key}");
                fields.insert(field.clone(), hash(&field, value));
            }
            // A wish that was not taken is not stated: it stays a wish.
            for row in &self.rows {
                if let Some(field) = row.also.as_ref().and_then(|v| v.field.as_ref()) {
                    fields.remove(field);
                }
            }
            statements.push(Statement { reference: self.reference.clone(), fp: None, fields });
        }
        for row in self.open_or_done() {
            let (Some(fp), Some(method)) = (row.fp(), &row.staged.method) else { continue };
            let mut fields = BTreeMap::new();
            if let Some(default) = method.default {
                let value = if default { "true" } else { "false" };
                fields.insert("default".to_owned(), hash("default", value));
            }
            statements.push(Statement { reference: self.reference.clone(), fp: Some(fp), fields });
        }
        statements
    }

    /// Whether the file stated this customer before.
    pub(super) fn stated_before(&self) -> bool {
        self.statements.iter().any(|s| s.fp.is_none())
    }

    /// The outcome of every row; every row has one (rule 7).
    pub(crate) fn results(&self, now: Timestamp) -> Vec<RowResult> {
        let customer = match &self.customer {
            CustomerNow::Present { id, .. } => Some(id.clone()),
            _ => None,
        };
        self.rows
            .iter()
            .map(|row| {
                let method = match &row.fate {
                    Fate::Kept(id) | Fate::Saved(id) | Fate::Tied(id, _) => Some(id.clone()),
                    Fate::Open | Fate::Ended(_) => None,
                };
                RowResult {
                    line: row.staged.line,
                    verdict: self.verdict(row, now),
                    customer: None,
                    remote_customer: customer.clone(),
                    method: None,
                    remote_method: method,
                    done: (!row.done.is_empty())
                        .then(|| row.done.iter().map(|k| k.as_str()).collect::<Vec<_>>().join("+")),
                }
            })
            .collect()
    }

    fn verdict(&self, row: &Row, now: Timestamp) -> Verdict {
        if let Some(worse) = &row.also {
            return worse.clone();
        }
        let wrote = !row.done.is_empty();
        let plain = match &row.fate {
            Fate::Ended(verdict) => return verdict.clone(),
            Fate::Saved(_) => Verdict::plain(Outcome::Created),
            Fate::Kept(_) | Fate::Tied(..) if wrote => Verdict::plain(Outcome::Updated),
            Fate::Tied(_, DUPLICATE) => Verdict::with(
                Outcome::Linked,
                Code::AlreadyThere,
                "the provider had this token saved under this customer already",
            ),
            Fate::Tied(..) => Verdict::with(
                Outcome::Linked,
                Code::MatchedByFacts,
                "tied to a saved payment method that agrees in every fact",
            ),
            Fate::Kept(_) => Verdict::plain(Outcome::Unchanged),
            Fate::Open if row.staged.method.is_some() => Verdict::with(
                Outcome::NotAttempted,
                Code::RunStopped,
                "the run ended before this row's turn",
            ),
            Fate::Open => match self.customer {
                CustomerNow::Present { how: Presence::Created, .. } if wrote => {
                    Verdict::plain(Outcome::Created)
                }
                CustomerNow::Present { how: Presence::Found, .. } => already_there(),
                CustomerNow::Present { how: Presence::Known, .. } if !self.stated_before() => {
                    already_there()
                }
                _ => Verdict::plain(Outcome::Unchanged),
            },
        };
        let expired = matches!(
            row.staged.method.as_ref().map(|m| &m.facts),
            Some(MethodFacts::Card(card)) if card.expiry.is_some_and(|e| e.is_past(now))
        );
        if expired && plain.code.is_none() && plain.outcome == Outcome::Created {
            return Verdict::with(plain.outcome, Code::CardExpired, "the card has expired");
        }
        plain
    }

    /// Token links that need no effect.
    pub(crate) fn ties(&self) -> Vec<TokenLink> {
        let CustomerNow::Present { id: customer, .. } = &self.customer else { return Vec::new() };
        self.rows
            .iter()
            .filter_map(|row| {
                let (Fate::Tied(method, how), Some(fp)) = (&row.fate, row.fp()) else {
                    return None;
                };
                Some(TokenLink {
                    reference: self.reference.clone(),
                    fp,
                    remote_customer: customer.clone(),
                    remote_method: method.clone(),
                    how: (*how).to_owned(),
                })
            })
            .collect()
    }
}

fn already_there() -> Verdict {
    Verdict::with(
        Outcome::Linked,
        Code::AlreadyThere,
        "the customer was at the provider already; the row's fields were not written",
    )
}
