//! What became of each row.

use model::{Code, MethodFacts, Outcome, Timestamp};
use store::{RowResult, TokenLink, Verdict};

use super::decide::stands_elsewhere;
use super::{CustomerNow, DUPLICATE, Fate, Presence, Row, Rules, Work};

impl Row {
    /// The facts that the row states of its payment method, by column.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        self.staged.method.as_ref().map(|method| facts_of(&method.facts)).unwrap_or_default()
    }

    /// Whether its payment method is a card that has expired.
    pub(crate) fn card_has_expired(&self, now: Timestamp) -> bool {
        matches!(
            self.staged.method.as_ref().map(|method| &method.facts),
            Some(MethodFacts::Card(card)) if card.expiry.is_some_and(|e| e.is_past(now))
        )
    }
}

/// The facts that are known of a payment method, by column.
pub(super) fn facts_of(method: &MethodFacts) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, Option<String>)> = Vec::new();
    match method {
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

impl Work {
    /// Whether the file stated this customer before.
    pub(super) fn stated_before(&self) -> bool {
        self.statements.iter().any(|s| s.fp.is_none())
    }

    /// What is certain though the run ends before this reference is finished: rows that wait for
    /// a step have no outcome, only what this run did for them, and whoever goes on finds them
    /// open.
    pub(crate) fn results_so_far(&self, rules: &Rules<'_>) -> Vec<RowResult> {
        let waiting = self.awaits(rules);
        let (there, ours) = match &self.customer {
            CustomerNow::Present { how, .. } => (true, *how != Presence::Known),
            _ => (false, false),
        };
        let mut results = self.results(rules.now);
        for (row, result) in self.rows.iter().zip(&mut results) {
            let decided = row.fate != Fate::Open || (row.staged.method.is_none() && there);
            if !decided || waiting.contains(&result.line) {
                result.verdict = None;
            }
        }
        results.retain(|result| result.verdict.is_some() || result.done.is_some() || ours);
        results
    }

    /// The outcome of every row, when nothing is left to do; every row has one (rule 7).
    pub(crate) fn results(&self, now: Timestamp) -> Vec<RowResult> {
        // A row that was settled before, and went well, has said it.
        let said = |row: &Row| matches!(&row.fate, Fate::Ended(end) if severity(end.outcome) == 0);
        let first = match self.rows.iter().any(said) {
            true => None,
            false => self.rows.iter().position(|row| !matches!(row.fate, Fate::Ended(_))),
        };
        let customer = match &self.customer {
            CustomerNow::Present { id, .. } => Some(id.clone()),
            _ => None,
        };
        self.rows
            .iter()
            .enumerate()
            .map(|(place, row)| {
                let method = match &row.fate {
                    Fate::Kept(id) | Fate::Saved(id) | Fate::Tied(id, _) => Some(id.clone()),
                    Fate::Open | Fate::Ended(_) => None,
                };
                let first = Some(place) == first;
                RowResult {
                    line: row.staged.line,
                    verdict: Some(self.verdict(row, first, now)),
                    customer: None,
                    remote_customer: customer.clone(),
                    method: None,
                    remote_method: method,
                    done: self.done(row, first),
                }
            })
            .collect()
    }

    /// What took place for a row, at the provider and, of the customer's `first` row, in our store.
    fn done(&self, row: &Row, first: bool) -> Option<String> {
        let kept = (first && self.keeps_again()).then_some(KEPT);
        let words: Vec<&str> = row.done.iter().map(|kind| kind.as_str()).chain(kept).collect();
        (!words.is_empty()).then(|| words.join("+"))
    }

    fn keeps_again(&self) -> bool {
        !self.kept_again.is_empty() && matches!(self.customer, CustomerNow::Present { .. })
    }

    /// The worst of what became of the row's own subject and of what it wished beside it. What is
    /// said of the customer is said on its `first` row.
    fn verdict(&self, row: &Row, first: bool, now: Timestamp) -> Verdict {
        let mut own = self.own_verdict(row, now);
        if row.shared && matches!(row.fate, Fate::Saved(_) | Fate::Tied(..)) {
            let said = own.message.map(|said| format!("; {said}")).unwrap_or_default();
            own.code = Some(Code::TokenShared);
            own.message =
                Some(format!("the same token {}{said}", stands_elsewhere(row.shared_with)));
        }
        if let Some(field) = self.omitted.first().filter(|_| first && self.customer.is_created()) {
            let names: Vec<String> =
                self.omitted.iter().map(|f| format!("`{}`", f.as_str())).collect();
            let said = own.message.map(|said| format!("; {said}")).unwrap_or_default();
            own.code =
                own.code.filter(|code| *code != Code::CardExpired).or(Some(Code::FieldOmitted));
            own.message = Some(format!(
                "left out, since the provider does not take the value: {}{said}",
                names.join(", ")
            ));
            own.field = Some(field.as_str().to_owned());
        }
        let listed = self.differs.iter().filter(|_| first).map(|differs| differs.field.as_str());
        let default = self.default_differs(row).then_some("default");
        let fields: Vec<&str> = listed.chain(default).collect();
        if !fields.is_empty() && severity(own.outcome) == 0 {
            let fields = fields.join(", ");
            let said = own.message.unwrap_or_else(|| NOT_WRITTEN.into());
            own.code = own.code.or(Some(Code::AlreadyThere));
            own.message = Some(format!("{said}; differs: {fields}"));
        }
        if first && self.keeps_again() && severity(own.outcome) == 0 {
            let said = own.message.map(|said| format!("{said}; ")).unwrap_or_default();
            let fields = self.kept_again.join(", ");
            own.message = Some(format!("{said}kept in our store only: {fields}"));
            own.field = own.field.or_else(|| self.kept_again.first().cloned());
        }
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
                CustomerNow::Present { .. } if wrote => Verdict::plain(Outcome::Updated),
                CustomerNow::Present { how: Presence::Found, .. } => already_there(),
                CustomerNow::Present { how: Presence::Known, .. } if !self.stated_before() => {
                    already_there()
                }
                _ => Verdict::plain(Outcome::Unchanged),
            },
        };
        let plainly_created = plain.code.is_none() && plain.outcome == Outcome::Created;
        if plainly_created && row.card_has_expired(now) {
            return Verdict::with(plain.outcome, Code::CardExpired, "the card has expired");
        }
        if row.found_later
            && plain.code.is_none()
            && matches!(plain.outcome, Outcome::Created | Outcome::Updated)
        {
            let message = "the answer was lost; read back, it had taken effect";
            return Verdict::with(plain.outcome, Code::FoundLater, message);
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
pub(super) const fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unresolved => 4,
        Outcome::Refused => 3,
        Outcome::Rejected => 2,
        Outcome::NotAttempted => 1,
        Outcome::Created | Outcome::Linked | Outcome::Updated | Outcome::Unchanged => 0,
    }
}

/// Done for a row whose change only our store can keep.
const KEPT: &str = "kept";
const NOT_WRITTEN: &str =
    "the customer was at the provider already; the row's fields were not written";

fn already_there() -> Verdict {
    Verdict::with(Outcome::Linked, Code::AlreadyThere, NOT_WRITTEN)
}
