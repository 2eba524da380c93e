//! What whole lists of payment methods say, and which reads say nothing because an effect of their
//! customer is open.

use std::collections::{HashMap, HashSet};

use model::{CustomerId, RemoteCustomerId, Timestamp};

use super::{Key, MethodNews, MirrorMethod, MirrorState, NewsOfMethod, key_of};
use crate::MethodList;

/// Customers with an open effect, by the provider's id or by reference.
#[derive(Debug, Default)]
pub(crate) struct OpenEffects {
    ids: HashSet<String>,
    references: HashSet<String>,
}

impl OpenEffects {
    /// Of the effects' customers and references.
    pub(crate) fn new(rows: Vec<(Option<String>, Option<String>)>) -> Self {
        let (ids, references): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Self {
            ids: ids.into_iter().flatten().collect(),
            references: references.into_iter().flatten().collect(),
        }
    }

    /// Whether one of this customer is.
    pub(crate) fn has(&self, id: &RemoteCustomerId, reference: Option<&str>) -> bool {
        self.ids.contains(id.as_str())
            || reference.is_some_and(|reference| self.references.contains(reference))
    }

    /// Drops lists that were read while an effect of their customer was open; how many.
    pub(crate) fn drop_lists(&self, lists: &mut Vec<MethodList>) -> u64 {
        let before = lists.len();
        lists.retain(|list| !self.has(&list.customer, None));
        (before - lists.len()) as u64
    }
}

/// What lists of payment methods say.
#[derive(Debug)]
pub(crate) struct ListsPlan {
    pub(crate) news: Vec<NewsOfMethod>,
    /// Live in the mirror and absent from the latest list of their customer, sorted.
    pub(crate) missing: Vec<Key>,
    /// How many of them are among the news as removed.
    pub(crate) removed: u64,
    /// Whose list was read, and when, sorted.
    pub(crate) read: Vec<(RemoteCustomerId, Timestamp)>,
}

/// Plans what follows from lists: of customers that the mirror has, and has these rows of. What was
/// `absent` from an earlier list and is from this one too is removed.
pub(crate) fn plan_lists(
    lists: Vec<MethodList>,
    absent: &[Key],
    customers: &HashMap<RemoteCustomerId, Option<CustomerId>>,
    mirror: &HashMap<Key, MirrorMethod>,
) -> ListsPlan {
    // The latest list of a customer says what it lacks.
    let mut latest: HashMap<&RemoteCustomerId, &MethodList> = HashMap::new();
    for list in lists.iter().filter(|list| customers.contains_key(&list.customer)) {
        let kept = latest.entry(&list.customer).or_insert(list);
        if kept.as_of <= list.as_of {
            *kept = list;
        }
    }
    let listed: HashSet<Key> = latest
        .values()
        .flat_map(|list| list.methods.iter().map(|m| key_of(&list.customer, &m.id)))
        .collect();
    let mut missing: Vec<Key> = mirror
        .iter()
        .filter(|(key, row)| {
            row.state == MirrorState::Live
                && !listed.contains(*key)
                // A row that is newer than the list cannot be missed by it.
                && latest.get(&key.0).is_some_and(|list| row.as_of < list.as_of)
        })
        .map(|(key, _)| key.clone())
        .collect();
    missing.sort_unstable();
    let absent: HashSet<&Key> = absent.iter().collect();
    let gone: Vec<NewsOfMethod> = missing
        .iter()
        .filter(|key| absent.contains(key))
        .filter_map(|(customer, method)| {
            let as_of = latest.get(customer)?.as_of;
            let what = MethodNews::Removed(method.clone());
            Some(NewsOfMethod { customer: customer.clone(), as_of, what })
        })
        .collect();
    let removed = gone.len() as u64;
    let mut read: Vec<_> = latest.values().map(|l| (l.customer.clone(), l.as_of)).collect();
    read.sort_unstable();

    let mut ordered = lists;
    ordered.sort_by(|a, b| (&a.customer, a.as_of).cmp(&(&b.customer, b.as_of)));
    let news = ordered
        .into_iter()
        .flat_map(|MethodList { customer, as_of, methods }| {
            methods.into_iter().map(move |method| NewsOfMethod {
                customer: customer.clone(),
                as_of,
                what: MethodNews::Seen(Box::new(method)),
            })
        })
        .chain(gone)
        .collect();
    ListsPlan { news, missing, removed, read }
}

/// The live payment methods of customers that are gone: gone with them.
pub(crate) fn gone_with(
    mirror: &HashMap<Key, MirrorMethod>,
    as_of: Timestamp,
) -> Vec<NewsOfMethod> {
    let mut keys: Vec<&Key> = mirror
        .iter()
        .filter(|(_, row)| row.state == MirrorState::Live)
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    let removed = |(customer, method): &Key| NewsOfMethod {
        customer: customer.clone(),
        as_of,
        what: MethodNews::Removed(method.clone()),
    };
    keys.into_iter().map(removed).collect()
}
