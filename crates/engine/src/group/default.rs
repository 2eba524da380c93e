//! The default payment method: a customer has one, so what the file states of it is compared over all
//! of a reference's rows (rule 4).

use backend::MethodListing;
use model::{EffectKind, RemoteMethodId};
use store::{Statement, TokenFp};

use super::stated::{Stated, There};
use super::wishes::changed_at_provider;
use super::{CustomerNow, Fate, Presence, Row, Rules, Step, Work};

/// What a row's `default` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    /// Nothing, or what it asked for the last time.
    Silent,
    /// That its method be made the default.
    Wished,
    /// The method was there before its file, and whose choice the default is, nobody has told us:
    /// listed, not sent.
    Listed,
}

impl Work {
    /// What the row's `default` asks for, if its method is there and is not the default. A customer
    /// has one default: what the file stated of it the last time may be another method's.
    pub(super) fn flag(&self, row: &Row, rules: &Rules<'_>) -> Flag {
        if !row.wants_default() {
            return Flag::Silent;
        }
        let truth = (rules.hash)("default", "true");
        let own = row.fp().and_then(|fp| self.before(Some(fp))).and_then(stated_default);
        if let Some(own) = own.filter(|own| own.hash == truth) {
            return match (own.was_not_sent(), rules.policy.update_existing) {
                (false, _) => Flag::Silent,
                (true, false) => Flag::Listed,
                (true, true) => Flag::Wished,
            };
        }
        // A link without a statement is of a run that ended between the two.
        let linked = self.is_linked(row);
        let there_before = matches!(
            self.customer,
            CustomerNow::Present { how: Presence::Known | Presence::Found, .. }
        );
        let stated = || self.stated_defaults(&truth).next().is_some();
        let readable = rules.capabilities.default_readable;
        let first = || readable && self.stated_before() && self.default_now().is_none();
        match linked || !there_before || rules.policy.update_existing || stated() || first() {
            true => Flag::Wished,
            false => Flag::Listed,
        }
    }

    /// Whether the row's token was tied to a payment method before.
    fn is_linked(&self, row: &Row) -> bool {
        self.links.iter().any(|l| Some(l.fp) == row.fp() && l.reference == self.reference)
    }

    /// What the file stated to be the default the last time, and the payment method, if it is known.
    fn stated_defaults<'a>(
        &'a self,
        truth: &'a str,
    ) -> impl Iterator<Item = (Stated<'a>, Option<&'a RemoteMethodId>)> {
        self.statements.iter().filter_map(move |statement| {
            let stated = stated_default(statement).filter(|stated| stated.hash == truth)?;
            let mut own = self.links.iter().filter(|link| link.reference == self.reference);
            let link = own.find(|link| Some(link.fp) == statement.fp);
            Some((stated, link.map(|link| &link.remote_method)))
        })
    }

    /// The customer's default at the provider.
    pub(super) fn default_now(&self) -> Option<&RemoteMethodId> {
        self.methods.iter().find(|method| method.default == Some(true)).map(|method| &method.id)
    }

    /// Whether the customer's methods must be read before this row's default is decided on.
    pub(super) fn wants_default_read(&self, row: &Row, rules: &Rules<'_>) -> bool {
        row.default == Flag::Wished
            && self.blocked.is_none()
            && rules.capabilities.set_default
            && rules.capabilities.default_readable
            && rules.capabilities.methods == MethodListing::PerCustomer
            && self.is_linked(row)
    }

    /// Makes a method the default: one that was there when the file's flag has become true, a new
    /// one when the call that saved it could not say so.
    pub(crate) fn default_step(&mut self, rules: &Rules<'_>) -> Step {
        if !rules.capabilities.set_default || self.blocked.is_some() {
            return Step::Finished;
        }
        for place in 0..self.rows.len() {
            let Some(row) = self.rows.get(place).filter(|row| !row.default_tried) else { continue };
            let Some(method) = self.default_wanted(row, rules).cloned() else { continue };
            let there = matches!(row.fate, Fate::Kept(_) | Fate::Tied(..));
            let moved = there && self.default_moved(&method, rules);
            let Some(row) = self.rows.get_mut(place) else { continue };
            row.default_tried = true;
            if moved {
                row.note(changed_at_provider(&["default"]));
            } else {
                row.under_way = true;
                return Step::SetDefault { row: place, method };
            }
        }
        Step::Finished
    }

    /// The method that the row wants to be the default and that is not yet.
    pub(super) fn default_wanted<'a>(
        &self,
        row: &'a Row,
        rules: &Rules<'_>,
    ) -> Option<&'a RemoteMethodId> {
        if !row.wants_default() || row.done.contains(&EffectKind::SetDefault) {
            return None;
        }
        match &row.fate {
            Fate::Kept(id) | Fate::Tied(id, _)
                if row.default == Flag::Wished && self.default_now() != Some(id) =>
            {
                Some(id)
            }
            Fate::Saved(id) if !row.default_is_carried(rules) => Some(id),
            _ => None,
        }
    }

    /// Whether the row's method is to be the default, and that was not tried.
    pub(super) fn default_waits(&self, row: &Row, rules: &Rules<'_>) -> bool {
        rules.capabilities.set_default
            && self.blocked.is_none()
            && !row.default_tried
            && self.default_wanted(row, rules).is_some()
    }

    /// Whether the row's method is to be the default, is not, and that is listed only.
    pub(super) fn default_differs(&self, row: &Row) -> bool {
        match &row.fate {
            Fate::Kept(id) | Fate::Tied(id, _) => {
                row.default == Flag::Listed && self.default_now() != Some(id)
            }
            Fate::Open | Fate::Saved(_) | Fate::Ended(_) => false,
        }
    }

    /// Whether somebody chose another default since the file last stated one. A customer has one
    /// default, so the three values are: the method that the file wants now, the one that it
    /// stated the last time, and the one that the provider has. Where the file stated none before
    /// there is nothing that could have been changed, and where the provider has none there is no
    /// choice to undo: then the flag is sent.
    fn default_moved(&self, wanted: &RemoteMethodId, rules: &Rules<'_>) -> bool {
        let Some(theirs) = self.default_now().filter(|theirs| *theirs != wanted) else {
            return false;
        };
        let truth = (rules.hash)("default", "true");
        let stated: Vec<_> = self.stated_defaults(&truth).collect();
        let asked = rules.policy.update_existing && stated.iter().all(|(s, _)| s.was_not_sent());
        let is_theirs = |(stated, method): &(Stated<'_>, Option<&RemoteMethodId>)| {
            *method == Some(theirs)
                || matches!(stated.there, There::Other(Some(was))
                    if was == (rules.hash)("default", theirs.as_str()))
        };
        !asked && !stated.is_empty() && !stated.iter().any(is_theirs)
    }

    /// A customer has one default: who states one states that no other is.
    pub(super) fn state_no_other_default(
        &self,
        statements: &mut Vec<Statement>,
        chosen: Option<TokenFp>,
        truth: &str,
        rules: &Rules<'_>,
    ) {
        let is_default = |statement: &Statement| {
            stated_default(statement).is_some_and(|stated| stated.hash == truth)
        };
        for before in &self.statements {
            if statements.iter().all(|now| now.fp != before.fp) {
                statements.extend(is_default(before).then(|| before.clone()));
            }
        }
        for other in statements.iter_mut().filter(|other| other.fp.is_some() && other.fp != chosen)
        {
            if is_default(other) {
                let not = (rules.hash)("default", "false");
                other.fields.insert("default".to_owned(), not);
            }
        }
    }
}

/// What the file stated of a payment method's `default` the last time.
fn stated_default(statement: &Statement) -> Option<Stated<'_>> {
    statement.fields.get("default").map(|text| Stated::parse(text))
}
