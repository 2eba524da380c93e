//! What the file wishes of what is there already, and what it is remembered to have stated: the
//! three-way comparison of rule 4. Three values decide on a cell: what the file states, what it
//! stated the last time, and what the provider has.

use std::collections::BTreeSet;

use model::{Code, FieldName, Profile, alike};
use store::{KeptFields, SentChange, Statement, TokenFp, Verdict};

use super::cells::{Cell, cells, stated_parts};
use super::decide::blocked;
use super::stated::{Stated, There};
use super::verdict::{facts_of, severity};
use super::{
    Changed, CustomerNow, Differs, Fate, Presence, Row, Rules, Step, Update, Wish, Work, reject,
};

impl Row {
    /// Notes what became of something beside the row's own subject. The worse stays; that somebody
    /// changed a value at the provider is said before that we could not.
    pub(super) fn note(&mut self, verdict: Verdict) {
        let worse = self.also.as_ref().is_none_or(|noted| {
            severity(verdict.outcome) > severity(noted.outcome)
                || (noted.code == Some(Code::NotUpdatable)
                    && verdict.code == Some(Code::ChangedAtProvider))
        });
        if worse {
            self.also = Some(verdict);
        }
    }
}

impl Work {
    pub(super) fn before(&self, fp: Option<TokenFp>) -> Option<&Statement> {
        self.statements.iter().find(|statement| statement.fp == fp)
    }

    /// What the file stated of the customer's field the last time.
    fn last(&self, field: &str) -> Option<Stated<'_>> {
        self.before(None)?.fields.get(field).map(|text| Stated::parse(text))
    }

    /// Finds what the file states otherwise than the last time, and where the provider stands.
    pub(crate) fn compare(&mut self, rules: &Rules<'_>) {
        self.stale = false;
        (self.wishes, self.differs) = self.compare_profile(rules);
        // Created before this run was taken up again: what was left out then is left out still.
        if self.customer.is_created() && self.omitted.is_empty() {
            let fits = (rules.customer_fits)(&self.reference, &self.profile());
            self.omitted = fits.unwrap_or_default();
        }
        let defaults: Vec<_> = self.rows.iter().map(|row| self.flag(row, rules)).collect();
        for (row, default) in self.rows.iter_mut().zip(defaults) {
            row.shared = row.is_shared(&self.links, &self.reference, rules);
            row.shared_with = rules.shared.get(&row.staged.line).copied().flatten();
            row.default = default;
        }
        if self.statements.is_empty() {
            // Nothing was stated before: hashing is for nothing.
            return;
        }
        if self.stated_before() {
            let kept = self.kept_cells(rules).into_iter();
            self.kept_again = kept.map(|cell| cell.field).collect();
        }
        let changed: Vec<Vec<Changed>> = self
            .rows
            .iter()
            .map(|row| {
                let before = row.fp().and_then(|fp| self.before(Some(fp)));
                self.changed_facts(row, before, rules)
            })
            .collect();
        for (row, changed_facts) in self.rows.iter_mut().zip(changed) {
            row.changed_facts = changed_facts;
        }
    }

    /// The facts that the row states otherwise than the last time and otherwise than the provider.
    fn changed_facts(
        &self,
        row: &Row,
        before: Option<&Statement>,
        rules: &Rules<'_>,
    ) -> Vec<Changed> {
        let Some(before) = before else { return Vec::new() };
        let mut links = self.links.iter().filter(|link| link.reference == self.reference);
        let link = links.find(|link| Some(link.fp) == row.fp());
        let saved = link.and_then(|link| {
            let mut methods = self.methods.iter();
            methods.find(|m| m.id == link.remote_method && m.customer == link.remote_customer)
        });
        let theirs = saved.map(|method| facts_of(&method.facts)).unwrap_or_default();
        let changed = row.facts().into_iter().filter_map(|(fact, value)| {
            let was = before.fields.get(fact)?;
            let theirs = theirs.iter().find(|(name, _)| *name == fact).map(|(_, value)| value);
            let agreed = theirs.is_some_and(|theirs| theirs == &value);
            let stated = |value: &String| (rules.hash)(fact, value) == *was;
            (!agreed && !stated(&value))
                .then(|| Changed { fact, moved: theirs.is_some_and(|theirs| !stated(theirs)) })
        });
        changed.collect()
    }

    /// The wishes, and the fields that differ and are not wished.
    fn compare_profile(&self, rules: &Rules<'_>) -> (Vec<Wish>, Vec<Differs>) {
        let (mut wishes, mut differs) = (Vec::new(), Vec::new());
        // What this run creates is sent whole.
        let there = match &self.customer {
            CustomerNow::Present { how: Presence::Known | Presence::Found, .. } => {
                self.known_profile.as_ref()
            }
            _ => None,
        };
        let Some(there) = there else { return (wishes, differs) };
        for cell in cells(&self.profile(), rules.capabilities) {
            // A field that the provider does not hold is kept in our store only.
            if !rules.capabilities.holds(cell.name) {
                continue;
            }
            let last = self.last(&cell.field);
            let not_sent = last.is_none_or(|last| last.was_not_sent());
            let stated = cell.was_stated(last, rules);
            let theirs = cell.of(there);
            if self.is_partial(&cell, theirs.as_deref()) {
                continue;
            }
            if (stated && !not_sent)
                || theirs.as_ref().is_some_and(|theirs| alike(cell.name, theirs, &cell.value))
            {
                continue;
            }
            let theirs = theirs.map(|value| Cell { value, ..cell.clone() }.hash(rules));
            let moved = match last {
                _ if not_sent && rules.policy.update_existing => false,
                Some(last) if !stated => theirs.as_deref() != last.theirs(),
                // The file says it for the first time, of a customer that it stated before and
                // that has no such value yet.
                None if self.stated_before() && theirs.is_none() => false,
                // Whose value that is, nobody has told us.
                _ => {
                    differs.push(Differs { field: cell.field, theirs });
                    continue;
                }
            };
            wishes.push(Wish { name: cell.name, field: cell.field, theirs, moved });
        }
        (wishes, differs)
    }

    /// Whether the file states only a part of a joined value, of which the provider has, or an earlier
    /// file stated, another part as well: what it leaves out it does not clear (rule 4).
    fn is_partial(&self, cell: &Cell, theirs: Option<&str>) -> bool {
        let stated = |part: &FieldName| self.last(part.as_str()).is_some();
        cell.lacks.iter().any(stated) || theirs.is_some_and(|theirs| cell.may_be_part_of(theirs))
    }

    /// Whether the customer must be read before its fields are decided on: what the mirror says of
    /// them may be old.
    pub(super) fn wants_customer_read(&self, rules: &Rules<'_>) -> bool {
        !self.wishes.is_empty()
            && !self.customer_read
            && self.blocked.is_none()
            && rules.capabilities.get_customer
    }

    /// Whether applying reads before it decides on what a plan says of wishes.
    pub(crate) fn looks_again(&self, rules: &Rules<'_>) -> bool {
        self.wants_customer_read(rules)
            || (!self.methods_read && self.rows.iter().any(|r| self.wants_default_read(r, rules)))
    }

    /// What cannot be is noted on the first row; the row's other effects run (rule 7). A value that
    /// somebody changed at the provider since the file last stated it is never written over, nor is
    /// one that the provider cannot change. No provider changes a saved payment method.
    pub(super) fn note_wishes(&mut self, rules: &Rules<'_>) {
        for row in &mut self.rows {
            let named = |moved: bool| -> Vec<&str> {
                let changed = row.changed_facts.iter().filter(|changed| changed.moved == moved);
                changed.map(|changed| changed.fact).collect()
            };
            match (&row.fate, named(true), named(false)) {
                (Fate::Kept(_), moved, _) if !moved.is_empty() => {
                    row.note(changed_at_provider(&moved));
                }
                (Fate::Kept(_), _, facts) if !facts.is_empty() => row.note(not_updatable(&facts)),
                _ => {}
            }
        }
        let named = |moved: bool| -> Vec<&str> {
            let wishes = self.wishes.iter().filter(|wish| wish.moved == moved);
            wishes.map(|wish| wish.field.as_str()).collect()
        };
        let verdict = match (named(true), named(false)) {
            (moved, _) if !moved.is_empty() => changed_at_provider(&moved),
            (_, fields) if !fields.is_empty() && !rules.capabilities.update_customer => {
                not_updatable(&fields)
            }
            _ => return,
        };
        if let Some(row) = self.first_row().filter(|_| !self.wish_noted) {
            self.wish_noted = true;
            if let Some(row) = self.rows.get_mut(row) {
                row.note(verdict);
            }
        }
    }

    /// The row that the customer's own effects belong to.
    fn first_row(&self) -> Option<usize> {
        self.rows.iter().position(|row| !matches!(row.fate, Fate::Ended(_)))
    }

    /// Changes the fields that are wished and that nobody else has changed.
    pub(super) fn update_step(&mut self, rules: &Rules<'_>) -> Option<Step> {
        if !rules.capabilities.update_customer || self.update_tried {
            return None;
        }
        let mut changes = Profile::default();
        let mut hashes = Vec::new();
        for cell in cells(&self.profile(), rules.capabilities) {
            let wished = |wish: &&Wish| wish.field == cell.field && !wish.moved;
            let Some(wish) = self.wishes.iter().find(wished) else { continue };
            hashes.push(SentChange {
                field: cell.field.clone(),
                before: wish.theirs.clone(),
                after: cell.hash(rules),
            });
            cell.put(&mut changes);
        }
        let row = self.first_row().filter(|_| changes != Profile::default())?;
        self.update_tried = true;
        if self.blocked.is_some() {
            if let Some(row) = self.rows.get_mut(row) {
                row.note(blocked());
            }
            return None;
        }
        if let Some(row) = self.rows.get_mut(row) {
            row.under_way = true;
        }
        let metadata = self.known_metadata.clone().filter(|_| !changes.metadata.is_empty());
        Some(Step::Update { row, update: Box::new(Update { changes, metadata, hashes }) })
    }

    /// Takes in that the customer's fields were changed.
    pub(crate) fn updated(&mut self) {
        self.wishes.retain(|wish| wish.moved);
    }

    /// The lines of the rows that something is still to be done or said for beside their own
    /// subject: they are open, whatever became of that.
    pub(crate) fn awaits(&self, rules: &Rules<'_>) -> BTreeSet<u64> {
        let mut customer = self.customer_waits(rules);
        let mut waiting = BTreeSet::new();
        for row in self.rows.iter().filter(|row| !matches!(row.fate, Fate::Ended(_))) {
            // What was not compared may wish anything.
            let waits = self.stale
                || customer
                || row.under_way
                || self.default_waits(row, rules)
                || (matches!(row.fate, Fate::Kept(_))
                    && !row.changed_facts.is_empty()
                    && row.also.is_none());
            // The customer's own wishes belong to the first row that is not declined.
            customer &= row.fate == Fate::Open && row.staged.method.is_some();
            waiting.extend(waits.then_some(row.staged.line));
        }
        waiting
    }

    /// Whether a wish of the customer's fields was neither tried nor said to be impossible.
    fn customer_waits(&self, rules: &Rules<'_>) -> bool {
        let updates = rules.capabilities.update_customer;
        self.wishes.iter().any(|wish| match wish.moved || !updates {
            true => !self.wish_noted,
            false => !self.update_tried,
        })
    }

    /// The fields that the file states and only our store can keep, by name (rule 8).
    pub(crate) fn only_ours(&self, rules: &Rules<'_>) -> Vec<String> {
        let ours = |name: FieldName| rules.capabilities.is_only_ours(name);
        let stated = |row: &Row| {
            let profile = &row.staged.profile;
            FieldName::TEXTS.into_iter().any(|name| ours(name) && profile.get(name).is_some())
                || (ours(FieldName::Metadata) && !profile.metadata.is_empty())
        };
        // Mostly there are none, and this is asked of every customer.
        if self.omitted.is_empty() && self.before(None).is_none() && !self.rows.iter().any(stated) {
            return Vec::new();
        }
        let cells = cells(&self.profile(), rules.capabilities).into_iter();
        let ours = cells.filter(|cell| {
            rules.capabilities.is_only_ours(cell.name)
                || self.omitted.contains(&cell.name)
                || cell.was_left_out(self.last(&cell.field), rules)
        });
        ours.map(|cell| cell.field).collect()
    }

    /// Those of them that the file states otherwise than the last time, with whose they are.
    pub(crate) fn kept(&self, rules: &Rules<'_>) -> Option<KeptFields> {
        let customer = self.customer_id().filter(|_| !self.stale)?;
        let mut fields = Profile::default();
        self.kept_cells(rules).into_iter().for_each(|cell| cell.put(&mut fields));
        (fields != Profile::default()).then(|| {
            let line = self.rows.first().map(|row| row.staged.line);
            KeptFields { customer, line, fields }
        })
    }

    fn kept_cells(&self, rules: &Rules<'_>) -> Vec<Cell> {
        let mut cells = cells(&self.profile(), rules.capabilities);
        cells.retain(|cell| {
            let ours = rules.capabilities.is_only_ours(cell.name);
            let omitted = self.omitted.contains(&cell.name);
            (ours || omitted) && !cell.was_stated(self.last(&cell.field), rules)
        });
        cells
    }

    /// What the file is remembered to have stated: what it states now over what it stated before,
    /// since an empty cell says nothing. A wish that was not taken is not stated: what was stated
    /// before stays. A value that was listed as different is remembered as not sent.
    pub(crate) fn stated(&self, rules: &Rules<'_>) -> Vec<Statement> {
        let CustomerNow::Present { .. } = self.customer else { return Vec::new() };
        // Not compared yet: nothing is decided either.
        if self.stale {
            return Vec::new();
        }
        let before = |fp: Option<TokenFp>| {
            self.before(fp).map(|before| before.fields.clone()).unwrap_or_default()
        };
        let mut statements = Vec::new();
        if self.open_or_done().next().is_some() {
            let (mut fields, profile) = (before(None), self.profile());
            for cell in cells(&profile, rules.capabilities) {
                let theirs = self.known_profile.as_ref().and_then(|there| cell.of(there));
                if self.wishes.iter().any(|wish| wish.field == cell.field)
                    || self.is_partial(&cell, theirs.as_deref())
                {
                    continue;
                }
                let differs = self.differs.iter().find(|differs| differs.field == cell.field);
                let there = match differs {
                    Some(differs) => There::Other(differs.theirs.as_deref()),
                    None if self.omitted.contains(&cell.name) => There::LeftOut,
                    None if cell.was_left_out(self.last(&cell.field), rules) => There::LeftOut,
                    None => There::Same,
                };
                let hash = cell.hash(rules);
                for (part, value) in stated_parts(cell.name, &profile, rules.capabilities) {
                    fields.insert(part.as_str().to_owned(), (rules.hash)(part.as_str(), value));
                }
                fields.insert(cell.field, Stated { hash: &hash, there }.to_string());
            }
            statements.push(Statement { reference: self.reference.clone(), fp: None, fields });
        }
        let truth = (rules.hash)("default", "true");
        let mut chosen = None;
        for row in &self.rows {
            let (Fate::Kept(_) | Fate::Saved(_) | Fate::Tied(..), Some(fp), Some(method)) =
                (&row.fate, row.fp(), &row.staged.method)
            else {
                continue;
            };
            let mut fields = before(Some(fp));
            for (fact, value) in row.facts() {
                if row.changed_facts.iter().all(|changed| changed.fact != fact) {
                    fields.insert(fact.to_owned(), (rules.hash)(fact, &value));
                }
            }
            if let Some(default) = method.default
                && self.default_wanted(row, rules).is_none()
            {
                let hash = (rules.hash)("default", if default { "true" } else { "false" });
                let theirs = self.default_now().map(|id| (rules.hash)("default", id.as_str()));
                let there = match self.default_differs(row) {
                    true => There::Other(theirs.as_deref()),
                    false => There::Same,
                };
                let stated = Stated { hash: &hash, there };
                fields.insert("default".to_owned(), stated.to_string());
                chosen = Some(fp).filter(|_| default).or(chosen);
            }
            statements.push(Statement { reference: self.reference.clone(), fp: Some(fp), fields });
        }
        if chosen.is_some() {
            self.state_no_other_default(&mut statements, chosen, &truth, rules);
        }
        statements
    }
}

fn listed(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
}

fn not_updatable(fields: &[&str]) -> Verdict {
    reject(
        Code::NotUpdatable,
        format!("the file states another {}, and this provider cannot change it", listed(fields)),
        fields.first().copied(),
    )
}

pub(super) fn changed_at_provider(fields: &[&str]) -> Verdict {
    reject(
        Code::ChangedAtProvider,
        format!(
            "the file states another {}, and somebody changed it at the provider since the file \
             last stated it; it was left as it is there",
            listed(fields)
        ),
        fields.first().copied(),
    )
}
