//! What became of each row, and what the file is remembered to have stated.

use model::{Code, FieldName, MethodFacts, Outcome, Profile, Timestamp};
use store::{RowResult, Statement, TokenFp, TokenLink, Verdict};

use super::{CustomerNow, DUPLICATE, Fate, Presence, Row, Rules, Work};

impl Row {
    /// The facts that the row states of its payment method, by column.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let Some(method) = &self.staged.method else { return Vec::new() };
        let mut facts: Vec<(&'static str, Option<String>)> = Vec::new();
        match &method.facts {
            MethodFacts::Card(card) => {
                facts.push(("last4", card.last4.as_ref().map(|l| l.as_str().to_owned())));
                facts.push(("exp_month", card.expiry.map(|e| e.month().to_string())));
                facts.push(("exp_year", card.expiry.map(|e| e.year().to_string())));
                facts.push(("brand", card.brand.as_ref().map(|b| b.to_lowercase())));
                facts.push(("holder_name", card.holder_name.clone()));
            }
            MethodFacts::BankAccount(bank) => {
                facts.push(("last4", bank.last4.as_ref().map(|l| l.as_str().to_owned())));
                facts.push(("account_type", bank.account_type.map(|t| t.as_str().to_owned())));
                facts.push(("routing_number", bank.routing_number.clone()));
                facts.push(("bank_name", bank.bank_name.clone()));
                facts.push(("holder_name", bank.holder_name.clone()));
            }
            MethodFacts::CryptoWallet(wallet) => {
                facts.push(("chain_id", Some(wallet.chain_id.to_string())));
                facts.push(("wallet_address", Some(wallet.address.clone())));
            }
        }
        facts.into_iter().filter_map(|(fact, value)| Some((fact, value?))).collect()
    }
}

impl Work {
    /// Finds what the file states otherwise than the last time: only that is a wish (rule 4).
    /// `hash` is the store's keyed hash of a field and its value.
    pub(crate) fn compare_statements(&mut self, hash: &dyn Fn(&str, &str) -> String) {
        if self.statements.is_empty() {
            // Nothing was stated: hashing is for nothing.
            for row in &mut self.rows {
                row.default_is_new = row.wants_default();
            }
            return;
        }
        let before = |fp: Option<TokenFp>| self.statements.iter().find(|s| s.fp == fp);
        if let Some(before) = before(None) {
            let there = self.known_profile.as_ref();
            self.wishes = as_sent(&self.profile())
                .into_iter()
                .filter(|(field, value)| {
                    before.fields.get(field.as_str()) != Some(&hash(field.as_str(), value))
                        && there.and_then(|known| sent_value(known, *field)).as_ref() != Some(value)
                })
                .map(|(field, _)| field)
                .collect();
        }
        let truth = hash("default", "true");
        let marks: Vec<(bool, Option<&'static str>)> = self
            .rows
            .iter()
            .map(|row| {
                let before = row.fp().and_then(|fp| before(Some(fp)));
                // A link without a statement is of a run that ended between the two.
                let default_is_new = row.wants_default()
                    && before.is_none_or(|before| before.fields.get("default") != Some(&truth));
                let changed = row.facts().into_iter().find(|(fact, value)| {
                    let was = before.and_then(|before| before.fields.get(*fact));
                    was.is_some_and(|was| *was != hash(fact, value))
                });
                (default_is_new, changed.map(|(fact, _)| fact))
            })
            .collect();
        for (row, (default_is_new, changed_fact)) in self.rows.iter_mut().zip(marks) {
            row.default_is_new = default_is_new;
            row.changed_fact = changed_fact;
        }
    }

    /// What the file is remembered to have stated: what it states now over what it stated before,
    /// since an empty cell says nothing. A wish that was not taken is not stated: what was stated
    /// before stays.
    pub(crate) fn stated(
        &self,
        rules: &Rules<'_>,
        hash: &dyn Fn(&str, &str) -> String,
    ) -> Vec<Statement> {
        let CustomerNow::Present { .. } = self.customer else { return Vec::new() };
        let before = |fp: Option<TokenFp>| {
            let before = self.statements.iter().find(|s| s.fp == fp);
            before.map(|s| s.fields.clone()).unwrap_or_default()
        };
        let mut statements = Vec::new();
        if self.open_or_done().next().is_some() {
            let profile = self.profile();
            let mut fields = before(None);
            for (field, value) in as_sent(&profile) {
                // A field that the provider does not hold is kept in our store only.
                if !self.wishes.contains(&field) || !rules.capabilities.holds(field) {
                    fields.insert(field.as_str().to_owned(), hash(field.as_str(), &value));
                }
            }
            for (key, value) in &profile.metadata {
                let field = format!("metadata.{key}");
                let value = hash(&field, value);
                fields.insert(field, value);
            }
            statements.push(Statement { reference: self.reference.clone(), fp: None, fields });
        }
        for row in &self.rows {
            let (Fate::Kept(_) | Fate::Saved(_) | Fate::Tied(..), Some(fp), Some(method)) =
                (&row.fate, row.fp(), &row.staged.method)
            else {
                continue;
            };
            let mut fields = before(Some(fp));
            for (fact, value) in row.facts() {
                if row.changed_fact != Some(fact) {
                    fields.insert(fact.to_owned(), hash(fact, &value));
                }
            }
            if let Some(default) = method.default
                && self.default_wanted(row, rules).is_none()
            {
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

    /// The outcome of every row, when nothing is left to do; every row has one (rule 7). Of a run
    /// that ends before, `finished` is false, and rows that wait for a step of their own have none.
    pub(crate) fn results(&self, now: Timestamp, finished: bool) -> Vec<RowResult> {
        let customer = match &self.customer {
            CustomerNow::Present { id, .. } => Some(id.clone()),
            _ => None,
        };
        self.rows
            .iter()
            .filter(|row| {
                let alone = row.staged.method.is_none() && customer.is_some();
                finished || alone || row.fate != Fate::Open
            })
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

    /// The worst of what became of the row's own subject and of what it wished beside it.
    fn verdict(&self, row: &Row, now: Timestamp) -> Verdict {
        let own = self.own_verdict(row, now);
        match &row.also {
            Some(also) if severity(also.outcome) > severity(own.outcome) => also.clone(),
            _ => own,
        }
    }

    fn own_verdict(&self, row: &Row, now: Timestamp) -> Verdict {
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

/// Which outcome of two a row has: the worse (rule 7).
const fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unresolved => 4,
        Outcome::Refused => 3,
        Outcome::Rejected => 2,
        Outcome::NotAttempted => 1,
        Outcome::Created | Outcome::Linked | Outcome::Updated | Outcome::Unchanged => 0,
    }
}

/// A profile's fields as providers take them: the whole name beside its parts.
fn as_sent(profile: &Profile) -> Vec<(FieldName, String)> {
    FieldName::TEXTS
        .into_iter()
        .filter_map(|field| Some((field, sent_value(profile, field)?)))
        .collect()
}

fn sent_value(profile: &Profile, field: FieldName) -> Option<String> {
    match field {
        FieldName::Name => profile.full_name(),
        _ => profile.get(field).map(str::to_owned),
    }
}

fn already_there() -> Verdict {
    Verdict::with(
        Outcome::Linked,
        Code::AlreadyThere,
        "the customer was at the provider already; the row's fields were not written",
    )
}
