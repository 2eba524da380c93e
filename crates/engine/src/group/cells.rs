//! The fields of a profile that a file states, as the provider takes them.

use backend::Capabilities;
use model::{FieldName, Profile, normal};

use super::Rules;
use super::stated::{Stated, There};

/// A profile field that the file states.
#[derive(Clone)]
pub(super) struct Cell {
    pub(super) name: FieldName,
    /// As files show it: `email`, `metadata.tier`.
    pub(super) field: String,
    pub(super) value: String,
}

impl Cell {
    /// The keyed hash of its value, in the form in which values are compared.
    pub(super) fn hash(&self, rules: &Rules<'_>) -> String {
        (rules.hash)(&self.field, &normal(self.name, &self.value))
    }

    /// Whether this very value was stated the last time.
    pub(super) fn was_stated(&self, last: Option<Stated<'_>>, rules: &Rules<'_>) -> bool {
        last.is_some_and(|last| last.hash == self.hash(rules))
    }

    /// Whether this very value was stated the last time, and left out.
    pub(super) fn was_left_out(&self, last: Option<Stated<'_>>, rules: &Rules<'_>) -> bool {
        last.is_some_and(|last| last.there == There::LeftOut) && self.was_stated(last, rules)
    }

    /// Writes it into a profile.
    pub(super) fn put(self, profile: &mut Profile) {
        match self.field.strip_prefix("metadata.") {
            Some(key) => drop(profile.metadata.insert(key.to_owned(), self.value)),
            None => profile.set(self.name, Some(self.value)),
        }
    }

    /// The same field in another profile.
    pub(super) fn of(&self, profile: &Profile, capabilities: &Capabilities) -> Option<String> {
        match self.name {
            FieldName::Metadata => {
                let key = self.field.strip_prefix("metadata.").unwrap_or_default();
                profile.metadata.get(key).cloned()
            }
            name => as_sent(profile, name, capabilities),
        }
    }
}

/// The fields of a profile as the provider takes them.
pub(super) fn cells(profile: &Profile, capabilities: &Capabilities) -> Vec<Cell> {
    let texts = FieldName::TEXTS.into_iter().filter_map(|name| {
        let value = as_sent(profile, name, capabilities)?;
        Some(Cell { name, field: name.as_str().to_owned(), value })
    });
    let metadata = profile.metadata.iter().map(|(key, value)| Cell {
        name: FieldName::Metadata,
        field: format!("metadata.{key}"),
        value: value.clone(),
    });
    texts.chain(metadata).collect()
}

/// A field as it is sent: the parts of a name joined, or a whole name split at its last space where
/// the provider holds the parts only (rule 9).
fn as_sent(profile: &Profile, name: FieldName, capabilities: &Capabilities) -> Option<String> {
    let split = || {
        let whole = profile.name.as_deref().filter(|_| !capabilities.holds(FieldName::Name))?;
        Some(whole.trim().rsplit_once(' ').unwrap_or((whole, "")))
    };
    let part = |part: &str| Some(part.trim().to_owned()).filter(|part| !part.is_empty());
    let stated = profile.get(name).map(str::to_owned);
    match name {
        FieldName::Name => profile.full_name(),
        FieldName::FirstName => stated.or_else(|| part(split()?.0)),
        FieldName::LastName => stated.or_else(|| part(split()?.1)),
        _ => stated,
    }
}

/// Whether a field stays in our store because the provider has no place for it. A name is held
/// when its parts are, and the other way round.
pub(super) fn is_only_ours(name: FieldName, capabilities: &Capabilities) -> bool {
    let holds = |field| capabilities.holds(field);
    match name {
        FieldName::Name => {
            !holds(name) && !holds(FieldName::FirstName) && !holds(FieldName::LastName)
        }
        FieldName::FirstName | FieldName::LastName => !holds(name) && !holds(FieldName::Name),
        _ => !holds(name),
    }
}
