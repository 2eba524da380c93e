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

    /// The same field as the provider shows it.
    pub(super) fn of(&self, profile: &Profile) -> Option<String> {
        match self.name {
            FieldName::Metadata => {
                let key = self.field.strip_prefix("metadata.").unwrap_or_default();
                profile.metadata.get(key).cloned()
            }
            name => profile.get(name).map(str::to_owned),
        }
    }
}

/// The fields of a profile as the provider takes them, and those that only our store keeps.
pub(super) fn cells(profile: &Profile, capabilities: &Capabilities) -> Vec<Cell> {
    let held = capabilities.as_held(profile);
    let texts = FieldName::TEXTS.into_iter().filter_map(|name| {
        let ours = capabilities.is_only_ours(name).then(|| profile.get(name)).flatten();
        let value = held.get(name).or(ours)?.to_owned();
        Some(Cell { name, field: name.as_str().to_owned(), value })
    });
    let metadata = profile.metadata.iter().map(|(key, value)| Cell {
        name: FieldName::Metadata,
        field: format!("metadata.{key}"),
        value: value.clone(),
    });
    texts.chain(metadata).collect()
}

/// The keyed hash of a field of a profile as the provider shows it, named as files show it; none
/// where it has none.
pub(crate) fn value_hash(
    profile: &Profile,
    field: &str,
    hash: &dyn Fn(&str, &str) -> String,
) -> Option<String> {
    let (name, value) = match field.strip_prefix("metadata.") {
        Some(key) => (FieldName::Metadata, profile.metadata.get(key)?.as_str()),
        None => {
            let name = FieldName::TEXTS.into_iter().find(|name| name.as_str() == field)?;
            (name, profile.get(name)?)
        }
    };
    Some(hash(field, &normal(name, value)))
}
