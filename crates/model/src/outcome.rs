//! What became of a row, and the ledger that must balance.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of one input row: exactly one of eight (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The row's own subject was created at the provider by this run.
    Created,
    /// It was there already, and is now tied to this row.
    Linked,
    /// Something of it was written.
    Updated,
    /// There was nothing to do.
    Unchanged,
    /// onfile declined it before anything was sent.
    Rejected,
    /// The provider declined it.
    Refused,
    /// It is not known whether it took effect; a person decides.
    Unresolved,
    /// Nothing was tried.
    NotAttempted,
}

impl Outcome {
    /// All eight, in the order in which ledgers print them.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Linked,
        Self::Updated,
        Self::Unchanged,
        Self::Rejected,
        Self::Refused,
        Self::Unresolved,
        Self::NotAttempted,
    ];

    /// The word used in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Linked => "linked",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Unresolved => "unresolved",
            Self::NotAttempted => "not_attempted",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many rows came in and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the count of rows with the outcome of the same name")]
pub struct Ledger {
    /// Rows read from the input.
    pub read: u64,
    pub created: u64,
    pub linked: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
    pub refused: u64,
    pub unresolved: u64,
    pub not_attempted: u64,
}

impl Ledger {
    /// Adds rows of one outcome; does not touch `read`.
    pub fn add(&mut self, outcome: Outcome, rows: u64) {
        let place = match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Linked => &mut self.linked,
            Outcome::Updated => &mut self.updated,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Rejected => &mut self.rejected,
            Outcome::Refused => &mut self.refused,
            Outcome::Unresolved => &mut self.unresolved,
            Outcome::NotAttempted => &mut self.not_attempted,
        };
        *place += rows;
    }

    /// The count of one outcome.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Created => self.created,
            Outcome::Linked => self.linked,
            Outcome::Updated => self.updated,
            Outcome::Unchanged => self.unchanged,
            Outcome::Rejected => self.rejected,
            Outcome::Refused => self.refused,
            Outcome::Unresolved => self.unresolved,
            Outcome::NotAttempted => self.not_attempted,
        }
    }

    /// The sum of the eight outcomes.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        Outcome::ALL.iter().map(|o| self.of(*o)).sum()
    }

    /// Whether every row read has exactly one outcome.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.accounted() == self.read
    }

    /// Rows that did not go well. `planned` of those not attempted have no outcome yet: they are
    /// open, not declined.
    #[must_use]
    pub const fn declined(&self, planned: u64) -> u64 {
        let all = self.rejected + self.refused + self.unresolved + self.not_attempted;
        all.saturating_sub(planned)
    }
}

/// What an effect does at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Creates a customer.
    CreateCustomer,
    /// Changes a customer's fields.
    UpdateCustomer,
    /// Deletes a customer.
    DeleteCustomer,
    /// Saves a payment method, one in a call.
    AddMethod,
    /// Saves a payment method, many in a call.
    ImportMethod,
    /// Makes a payment method the customer's default.
    SetDefault,
    /// Removes a payment method.
    RemoveMethod,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::CreateCustomer,
        Self::UpdateCustomer,
        Self::DeleteCustomer,
        Self::AddMethod,
        Self::ImportMethod,
        Self::SetDefault,
        Self::RemoveMethod,
    ];

    /// The word used in the journal and in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateCustomer => "create_customer",
            Self::UpdateCustomer => "update_customer",
            Self::DeleteCustomer => "delete_customer",
            Self::AddMethod => "add_method",
            Self::ImportMethod => "import_method",
            Self::SetDefault => "set_default",
            Self::RemoveMethod => "remove_method",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it is known that an effect took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The provider's own answer to this attempt.
    Answered,
    /// It was found there afterwards.
    Found,
}

impl Origin {
    /// The word used in the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Found => "found",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Outcome};

    #[test]
    fn the_ledger_counts_each_outcome_in_its_own_place() {
        for outcome in Outcome::ALL {
            let mut ledger = Ledger { read: 3, ..Ledger::default() };
            assert!(!ledger.balances());
            ledger.add(outcome, 3);
            assert_eq!(ledger.of(outcome), 3);
            assert!(ledger.balances());
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
    }

    #[test]
    fn what_is_planned_is_not_declined() {
        let rows = Ledger { created: 9, refused: 1, not_attempted: 4, ..Ledger::default() };
        assert_eq!((rows.declined(0), rows.declined(4)), (5, 1));
    }
}
