//! The next step: pure.

use std::collections::{BTreeMap, BTreeSet};

use backend::{Capabilities, TokenRoute, TokenRule};
use model::{
    Agreement, BankFacts, CardFacts, Code, FieldName, MethodFacts, Outcome, Reference,
    RemoteMethodId,
};
use store::{KnownMethod, StagedMethod, TokenLink, Verdict};

use super::{Add, BY_FACTS, Block, CustomerNow, Fate, Presence, Row, Rules, Step, Work, reject};

impl Work {
    /// Declines rows that repeat each other, then those that contradict each other. Done once, at
    /// the start.
    pub(crate) fn settle_conflicts(&mut self) {
        if self.rows.len() < 2 {
            return;
        }
        let mut tokens = BTreeMap::new();
        for row in &mut self.rows {
            if matches!(row.fate, Fate::Ended(_)) {
                continue;
            }
            let Some(fp) = row.fp() else { continue };
            let line = row.staged.line;
            let first = *tokens.entry(fp).or_insert(line);
            if first != line && row.fate == Fate::Open {
                row.fate = Fate::Ended(reject(
                    Code::DuplicateRow,
                    format!("line {first} has the same token, expected each token once"),
                    Some("token"),
                ));
            }
        }
        if let Some((field, message)) = self.conflict() {
            self.end_open(&reject(Code::ConflictingRows, message, Some(&field)));
        }
    }

    /// The column in which rows contradict each other, and how.
    fn conflict(&self) -> Option<(String, String)> {
        let open: Vec<&Row> = self.open_or_done().collect();
        let differ = |field: String, (first, other): (u64, u64)| {
            let message = format!(
                "lines {first} and {other} differ in `{field}`, expected one value for a reference"
            );
            Some((field, message))
        };
        for field in FieldName::TEXTS {
            let values = open
                .iter()
                .filter_map(|row| Some((row.staged.line, row.staged.profile.get(field)?)));
            if let Some(found) = first_two_that_differ(values) {
                return differ(field.as_str().to_owned(), found);
            }
        }
        let keys: BTreeSet<&String> =
            open.iter().flat_map(|row| row.staged.profile.metadata.keys()).collect();
        for key in keys {
            let values = open.iter().filter_map(|row| {
                Some((row.staged.line, row.staged.profile.metadata.get(key)?.as_str()))
            });
            if let Some(found) = first_two_that_differ(values) {
                return differ(format!("metadata.{key}"), found);
            }
        }
        let mut defaults = open.iter().filter(|row| row.wants_default());
        let (first, other) = (defaults.next()?, defaults.next()?);
        let message = format!(
            "lines {} and {} are both the default, expected one at most for a reference",
            first.staged.line, other.staged.line
        );
        Some(("default".to_owned(), message))
    }

    /// The next step. Rows that need none are decided on the way.
    ///
    /// `planning` decides without reading: what this run has not read is taken from the mirror,
    /// and a payment method that would be added counts as added.
    pub(crate) fn next(&mut self, rules: &Rules<'_>, planning: bool) -> Step {
        if self.blocked == Some(Block::Waits) && !planning {
            return Step::Wait;
        }
        if self.stale {
            self.compare(rules);
        }
        if self.is_somebody_else() {
            self.customer = CustomerNow::Failed(reject(
                Code::AmbiguousMatch,
                "the provider's customer of this reference has another name and another e-mail address",
                Some("reference"),
            ));
        }
        if let CustomerNow::Failed(verdict) = &self.customer {
            let mut verdict = verdict.clone();
            for row in &mut self.rows {
                if row.fate == Fate::Open {
                    row.fate = Fate::Ended(verdict);
                    verdict = Verdict::with(
                        Outcome::NotAttempted,
                        Code::CustomerFailed,
                        "the customer of this row could not be created or read",
                    );
                }
            }
            return Step::Finished;
        }
        if self.customer == CustomerNow::Absent
            && let Some(step) = self.create(rules, planning)
        {
            return step;
        }
        if !planning && self.wants_customer_read(rules) {
            return Step::ReadCustomer;
        }
        let step = self.methods_step(rules, planning);
        // What is read decides which row is the first.
        if step == Step::ReadMethods {
            return step;
        }
        self.note_wishes(rules);
        match step {
            Step::Finished => self.after_methods(rules),
            step => step,
        }
    }

    /// Whether the customer that was there before this file is another person than the rows state. One
    /// that the file stated before, or that a person linked, is whom they say.
    fn is_somebody_else(&self) -> bool {
        let CustomerNow::Present { how: Presence::Known | Presence::Found, .. } = self.customer
        else {
            return false;
        };
        let known = self.known_profile.as_ref();
        let ours = self.by_person || self.stated_before() || !self.settled_methods.is_empty();
        !ours && known.is_some_and(|known| known.is_somebody_else(&self.profile()))
    }

    /// The step behind those that save payment methods.
    pub(crate) fn after_methods(&mut self, rules: &Rules<'_>) -> Step {
        self.update_step(rules).unwrap_or_else(|| self.default_step(rules))
    }

    /// The step that creates the customer, if any row is left that wants it.
    fn create(&mut self, rules: &Rules<'_>, planning: bool) -> Option<Step> {
        for row in &mut self.rows {
            if row.fate != Fate::Open {
                continue;
            }
            match row.declined(rules, &self.links, &self.reference) {
                Some(verdict) => row.fate = Fate::Ended(verdict),
                None => row.acceptable = true,
            }
        }
        let first = self.rows.iter().position(|row| row.fate == Fate::Open)?;
        // The mirror never forgets: a customer that the file stated before and that is not live
        // now was removed at the provider.
        if self.stated_before() && !rules.policy.restore_removed {
            self.end_open(&reject(
                Code::RemovedAtProvider,
                "this customer was imported before and is gone at the provider; \
                 --restore-removed creates it again",
                Some("reference"),
            ));
            return Some(Step::Finished);
        }
        if self.blocked.is_some() {
            self.end_open(&blocked());
            return Some(Step::Finished);
        }
        match (rules.customer_fits)(&self.reference, &self.profile()) {
            Ok(omitted) => self.omitted = omitted,
            Err(verdict) => {
                self.customer = CustomerNow::Failed(verdict);
                return Some(self.next(rules, planning));
            }
        }
        Some(Step::Create { row: first })
    }

    fn methods_step(&mut self, rules: &Rules<'_>, planning: bool) -> Step {
        // One that this run made is known to have none but ours.
        let (known, fresh) = match &self.customer {
            CustomerNow::Present { how: Presence::Created, .. } if !self.made_before => {
                (false, true)
            }
            CustomerNow::Present { .. } => (true, self.methods_read || planning),
            _ => (false, true),
        };
        // Whether applying lists the methods first.
        let mut lists = false;
        // What this run will have added by the time a later row is looked at.
        let mut planned: Vec<MethodFacts> = Vec::new();
        let mut adds = Vec::new();
        for index in 0..self.rows.len() {
            let Some(row) = self.rows.get(index) else { break };
            let (Fate::Open, Some(method)) = (&row.fate, &row.staged.method) else { continue };
            if known && self.wants_default_read(row, rules) {
                if !fresh {
                    return Step::ReadMethods;
                }
                lists = true;
            }
            if let Some(fate) = row.kept(&self.links, &self.methods, &self.reference, rules) {
                self.set_fate(index, fate);
                continue;
            }
            if !row.acceptable
                && let Some(verdict) = row.declined(rules, &self.links, &self.reference)
            {
                self.set_fate(index, Fate::Ended(verdict));
                continue;
            }
            if self.blocked.is_some() {
                self.set_fate(index, Fate::Ended(blocked()));
                continue;
            }
            if known {
                if !fresh {
                    return Step::ReadMethods;
                }
                lists = true;
            }
            match self.match_facts(row, method, rules) {
                Matched::Tied(id) => self.set_fate(index, Fate::Tied(id, BY_FACTS)),
                Matched::Declined(verdict) => self.set_fate(index, Fate::Ended(verdict)),
                Matched::Nothing => {
                    let alike = planned.iter().any(|facts| alike(facts, &method.facts));
                    match (alike, planning) {
                        (false, _) => {
                            planned.push(method.facts.clone());
                            adds.push(Add { row: index, route: row.route(rules) });
                        }
                        (true, true) if !rules.policy.add_changed_tokens => {
                            self.set_fate(index, Fate::Ended(token_changed()));
                        }
                        (true, true) => adds.push(Add { row: index, route: row.route(rules) }),
                        // Never two alike in flight: it is looked at again after the first.
                        (true, false) => {}
                    }
                }
            }
        }
        self.lists_methods |= lists;
        self.decline_beyond(&mut adds, rules);
        if adds.is_empty() { Step::Finished } else { Step::Save(adds) }
    }

    /// Leaves as many adds as the provider takes for a customer: the default first, then in the
    /// file's order. The others are declined.
    fn decline_beyond(&mut self, adds: &mut Vec<Add>, rules: &Rules<'_>) {
        let Some(most) = rules.capabilities.methods_per_customer else { return };
        let room = (most as usize).saturating_sub(self.methods.len());
        if adds.len() <= room {
            return;
        }
        let defaults = |add: &&Add| self.rows.get(add.row).is_some_and(Row::wants_default);
        let mut kept: Vec<usize> = adds.iter().filter(defaults).map(|add| add.row).collect();
        kept.extend(adds.iter().filter(|add| !defaults(add)).map(|add| add.row));
        kept.truncate(room);
        for add in adds.extract_if(.., |add| !kept.contains(&add.row)) {
            let message = format!("the customer has the {most} payment methods that it can have");
            self.set_fate(add.row, Fate::Ended(reject(Code::WalletFull, message, Some("method"))));
        }
    }

    fn set_fate(&mut self, index: usize, fate: Fate) {
        if let Some(row) = self.rows.get_mut(index) {
            row.fate = fate;
        }
    }

    /// Looks for a saved payment method that the row's facts describe (rule 4, iii to v).
    fn match_facts(&self, row: &Row, method: &StagedMethod, rules: &Rules<'_>) -> Matched {
        let mut free = Vec::new();
        let mut tied = false;
        let mut vague = self.unreadable;
        for known in &self.methods {
            match known.facts.agreement(&method.facts) {
                Agreement::Differs => {}
                Agreement::TooLittle => vague = true,
                Agreement::Agrees => {
                    let other = self.links.iter().any(|link| {
                        link.remote_customer == known.customer
                            && link.remote_method == known.id
                            && Some(link.fp) != row.fp()
                    }) || self.rows.iter().any(|r| {
                        matches!(&r.fate, Fate::Saved(id) | Fate::Tied(id, _) if *id == known.id)
                    }) || self.settled_methods.contains(&known.id);
                    if other { tied = true } else { free.push(known.id.clone()) }
                }
            }
        }
        match (free.as_slice(), tied) {
            ([one], _) => Matched::Tied(one.clone()),
            ([_, _, ..], _) => Matched::Declined(reject(
                Code::FactsNeeded,
                "more than one saved payment method of this customer fits these facts",
                Some("last4"),
            )),
            ([], true) if !rules.policy.add_changed_tokens => Matched::Declined(token_changed()),
            ([], true) => Matched::Nothing,
            ([], false) if vague => Matched::Declined(reject(
                Code::FactsNeeded,
                too_few(&method.facts, rules.capabilities),
                Some("last4"),
            )),
            ([], false) => Matched::Nothing,
        }
    }
}

/// What is missing to tell a payment method from those that are saved.
fn too_few(facts: &MethodFacts, capabilities: &Capabilities) -> &'static str {
    match facts {
        MethodFacts::BankAccount(_) if !capabilities.account_type_readable => {
            "the customer has bank accounts, and this provider shows no account type: whether this \
             is one of them, nobody can tell by a last4 that agrees or is not stated"
        }
        MethodFacts::BankAccount(_) => {
            "the customer has payment methods, and these facts are too few to tell whether this is \
             one of them; last4 and account_type are needed"
        }
        _ => {
            "the customer has payment methods, and these facts are too few to tell whether this is \
             one of them; last4 and expiry are needed"
        }
    }
}

enum Matched {
    Tied(RemoteMethodId),
    Declined(Verdict),
    Nothing,
}

fn token_changed() -> Verdict {
    reject(
        Code::TokenChanged,
        "a payment method with these facts came from another token, earlier or in this file; \
         --on-token-change add saves this one as well",
        Some("token"),
    )
}

pub(super) fn blocked() -> Verdict {
    Verdict::with(
        Outcome::NotAttempted,
        Code::CustomerBlocked,
        "an earlier effect of this customer is not settled; nothing is sent for it until then",
    )
}

/// The first two lines of which one states another value than the other.
fn first_two_that_differ<'a>(
    mut stated: impl Iterator<Item = (u64, &'a str)>,
) -> Option<(u64, u64)> {
    let (first, value) = stated.next()?;
    let (other, _) = stated.find(|(_, other)| *other != value)?;
    Some((first, other))
}

/// Whether two adds could not be told apart afterwards (rule 5): alike in kind, last 4, expiry
/// and brand as far as they are known, or without a last 4. Other facts do not count: not every
/// provider shows them.
fn alike(a: &MethodFacts, b: &MethodFacts) -> bool {
    let shown = |facts: &MethodFacts| match facts {
        MethodFacts::Card(card) => {
            MethodFacts::Card(CardFacts { bin: None, holder_name: None, ..card.clone() })
        }
        MethodFacts::BankAccount(bank) => MethodFacts::BankAccount(BankFacts {
            routing_number: None,
            bank_name: None,
            holder_name: None,
            ..bank.clone()
        }),
        MethodFacts::CryptoWallet(_) => facts.clone(),
    };
    let told_apart = |facts: &MethodFacts| {
        facts.last4().is_some() || matches!(facts, MethodFacts::CryptoWallet(_))
    };
    match a.kind() == b.kind() {
        false => false,
        true if !told_apart(a) || !told_apart(b) => true,
        true => shown(a).agreement(&shown(b)) != Agreement::Differs,
    }
}

impl Row {
    fn token_rule(&self, rules: &Rules<'_>) -> Option<TokenRule> {
        let token = self.staged.method.as_ref()?.sealed.as_ref()?;
        rules.capabilities.token(token.kind)
    }

    /// The call that carries the row's token; wallets go one by one.
    fn route(&self, rules: &Rules<'_>) -> TokenRoute {
        self.token_rule(rules).map_or(TokenRoute::Add, |rule| rule.route)
    }

    /// Whether the call that saves the row's method also makes it the default.
    pub(crate) fn default_is_carried(&self, rules: &Rules<'_>) -> bool {
        self.token_rule(rules).is_some_and(|rule| rule.with_default)
    }

    /// A row whose token was imported under this reference before: its link decides, and the
    /// token's age is not looked at (rule 4, i).
    fn kept(
        &self,
        links: &[TokenLink],
        methods: &[KnownMethod],
        reference: &Reference,
        rules: &Rules<'_>,
    ) -> Option<Fate> {
        let fp = self.fp()?;
        let link = links.iter().find(|link| link.fp == fp && link.reference == *reference)?;
        let lives = methods
            .iter()
            .any(|m| m.id == link.remote_method && m.customer == link.remote_customer);
        match (lives, rules.policy.restore_removed) {
            (true, _) => Some(Fate::Kept(link.remote_method.clone())),
            (false, true) => None,
            (false, false) => Some(Fate::Ended(reject(
                Code::RemovedAtProvider,
                "this payment method was imported before and is gone at the provider; \
                 --restore-removed adds it again",
                Some("token"),
            ))),
        }
    }

    /// Whether the row's token was imported under another reference, or stands under another one on
    /// an earlier line. The first line with a token keeps it, whatever becomes of that line: what
    /// another reference of this run made of it since is said there.
    pub(super) fn is_shared(
        &self,
        links: &[TokenLink],
        reference: &Reference,
        rules: &Rules<'_>,
    ) -> bool {
        let elsewhere =
            || links.iter().any(|link| Some(link.fp) == self.fp() && link.reference != *reference);
        match (rules.shared.get(&self.staged.line), self.fp().and(self.token_rule(rules))) {
            (Some(Some(_)), _) => true,
            // The later rows of a single-use token are declined: a link is of an earlier import.
            (Some(None), Some(rule)) if !rule.single_use => false,
            _ => elsewhere(),
        }
    }

    /// Why the row is declined whatever the customer has.
    fn declined(
        &self,
        rules: &Rules<'_>,
        links: &[TokenLink],
        reference: &Reference,
    ) -> Option<Verdict> {
        let method = self.staged.method.as_ref()?;
        if let Some(verdict) = &self.staged.unfit {
            let mut verdict = verdict.clone();
            if verdict.code == Some(Code::TokenKindUnsupported) {
                let kinds = rules.capabilities.tokens.iter().map(|rule| rule.kind.as_str());
                let kinds = kinds.collect::<Vec<_>>().join(" or ");
                verdict.message = Some(format!("expected a token of the kind {kinds}"));
            }
            return Some(verdict);
        }
        if rules.policy.reject_expired && self.card_has_expired(rules.now) {
            return Some(reject(
                Code::CardExpired,
                "the card has expired, expected one that has not",
                Some("exp_year"),
            ));
        }
        let token = method.sealed.as_ref()?;
        let rule = rules.capabilities.token(token.kind)?;
        if let (Some(max), Some(made)) = (rule.max_age, token.created_at)
            && rules.now.since(made) > max
        {
            return Some(reject(
                Code::TokenExpired,
                format!(
                    "the token is too old, expected one of the last {} minutes",
                    max.as_secs() / 60
                ),
                Some("token_created_at"),
            ));
        }
        (rule.single_use && self.is_shared(links, reference, rules)).then(|| {
            let why = stands_elsewhere(rules.shared.get(&self.staged.line).copied().flatten());
            let message = format!("this single-use token {why}, expected a new one");
            reject(Code::TokenReused, message, Some("token"))
        })
    }
}

/// Where a token stands under another reference: on an earlier line of the file, or in an earlier
/// import.
pub(super) fn stands_elsewhere(line: Option<u64>) -> String {
    match line {
        Some(line) => format!("stands under another reference on line {line}"),
        None => "was imported under another reference".into(),
    }
}
