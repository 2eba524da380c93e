//! What else an account says of a payment method: on its mirror row, and no part of our record.

use std::collections::{BTreeMap, BTreeSet};

use model::RemoteMethod;

use super::methods::{FieldChange, MirrorMethod};
use super::{Guard, from_json, to_json};
use crate::StoreError;

/// The attributes of a row from now on, as JSON. A read shows all there are. An answer shows what
/// bears on its effect: what it does not name is as it was.
pub(super) fn after(
    guard: Guard,
    row: Option<&MirrorMethod>,
    method: &RemoteMethod,
) -> Result<Option<String>, StoreError> {
    let shown = &method.attributes;
    let before = row.filter(|_| guard == Guard::Answer).and_then(|row| row.attributes.as_deref());
    Ok(match before {
        Some(before) if shown.is_empty() => Some(before.to_owned()),
        Some(before) => {
            let mut all = parsed(Some(before))?;
            all.extend(shown.clone());
            Some(to_json(&all))
        }
        None => (!shown.is_empty()).then(|| to_json(shown)),
    })
}

/// From the JSON of a row.
pub(crate) fn parsed(json: Option<&str>) -> Result<BTreeMap<String, String>, StoreError> {
    json.map_or_else(|| Ok(BTreeMap::new()), |json| from_json("attributes", json))
}

/// The name of one in `changes` and `sources`.
pub(crate) fn field_of(name: &str) -> String {
    format!("attributes.{name}")
}

/// Those that differ, with the values before and after.
pub(super) fn changes(
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Vec<FieldChange>, StoreError> {
    let (before, after) = (parsed(before)?, parsed(after)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (field_of(name), before.get(name).cloned(), after.get(name).cloned()))
        .collect())
}
