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
    /// The parts of it that the file does not state, of a value that is held joined: a name from
    /// given and family name, an address from two lines.
    pub(super) lacks: Vec<FieldName>,
}

/// The parts that a joined value is made from, as far as the profile states it by parts.
fn parts(name: FieldName, profile: &Profile, capabilities: &Capabilities) -> &'static [FieldName] {
    match name {
        FieldName::Name if profile.name.is_none() => &[FieldName::FirstName, FieldName::LastName],
        FieldName::Line1 if !capabilities.holds(FieldName::Line2) => {
            &[FieldName::Line1, FieldName::Line2]
        }
        _ => &[],
    }
}

impl Cell {
    /// The keyed hash of its value, in the form in which values are compared.
    pub(super) fn hash(&self, rules: &Rules<'_>) -> String {
        (rules.hash)(&self.field, &normal(self.name, &self.value))
    }

    /// Whether it may be a part of what the provider has: then it says nothing of the rest.
    pub(super) fn may_be_part_of(&self, theirs: &str) -> bool {
        let (ours, theirs) = (normal(self.name, &self.value), normal(self.name, theirs));
        self.lacks.iter().any(|part| match part {
            FieldName::FirstName => theirs.strip_suffix(&*ours).is_some_and(|r| r.ends_with(' ')),
            FieldName::LastName => theirs.strip_prefix(&*ours).is_some_and(|r| r.starts_with(' ')),
            FieldName::Line2 => theirs.strip_prefix(&*ours).is_some_and(|r| r.starts_with(',')),
            // A second line is no address by itself.
            _ => true,
        })
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
        let lacks = parts(name, profile, capabilities).iter().copied();
        let lacks = lacks.filter(|part| profile.get(*part).is_none()).collect();
        Some(Cell { name, field: name.as_str().to_owned(), value, lacks })
    });
    let metadata = profile.metadata.iter().map(|(key, value)| Cell {
        name: FieldName::Metadata,
        field: format!("metadata.{key}"),
        value: value.clone(),
        lacks: Vec::new(),
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

/// The parts of a joined value that are stated, beside a first line: they are remembered, so that a
/// later file that leaves one out is not taken to clear it.
pub(super) fn stated_parts<'a>(
    name: FieldName,
    profile: &'a Profile,
    capabilities: &Capabilities,
) -> impl Iterator<Item = (FieldName, &'a str)> {
    let parts = parts(name, profile, capabilities).iter().filter(move |part| **part != name);
    parts.filter_map(|part| Some((*part, profile.get(*part)?)))
}
