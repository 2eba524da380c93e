//! A canonical record from what the accounts say: for each field the first non-empty value.

use std::collections::BTreeMap;

use model::{AccountName, BankFacts, CardFacts, FieldName, MethodFacts, Profile, Timestamp};
use serde::{Deserialize, Serialize};

use super::{FileFields, Vote, to_json};

/// Where a value came from, and as of when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub account: AccountName,
    pub at: Timestamp,
}

/// Field → source. In the database `{"*": …}` when all fields have the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// The text in the database.
    pub(crate) fn to_json(&self) -> String {
        let mut all = self.0.values();
        match all.next() {
            Some(first) if all.all(|other| other == first) => {
                to_json(&BTreeMap::from([("*", first)]))
            }
            _ => to_json(&self.0),
        }
    }

    /// The same, with what is kept of the file under a key that is no field's name.
    pub(crate) fn to_json_with(&self, file: Option<&FileFields>) -> String {
        #[derive(Serialize)]
        struct WithFile<'a> {
            #[serde(flatten)]
            fields: &'a BTreeMap<String, Source>,
            file: &'a FileFields,
        }
        match file {
            Some(file) => to_json(&WithFile { fields: &self.0, file }),
            None => self.to_json(),
        }
    }

    /// The text in the database for a record that one account alone describes.
    pub(crate) fn of_one(account: &AccountName, at: Timestamp) -> String {
        to_json(&BTreeMap::from([("*", &Source { account: account.clone(), at })]))
    }

    fn note<T>(&mut self, field: &str, vote: &Vote<T>) {
        let source = Source { account: vote.account.clone(), at: vote.as_of };
        self.0.insert(field.to_owned(), source);
    }
}

/// The order in which accounts are asked.
fn in_order<T>(votes: &[Vote<T>]) -> Vec<&Vote<T>> {
    let mut ordered: Vec<_> = votes.iter().collect();
    ordered.sort_by(|a, b| {
        (a.rank, &a.account, &a.customer, &a.method).cmp(&(
            b.rank,
            &b.account,
            &b.customer,
            &b.method,
        ))
    });
    ordered
}

/// For each field the first non-empty value by rank; metadata key by key.
pub(super) fn merge_profiles(votes: &[Vote<Profile>]) -> (Profile, Sources) {
    let mut profile = Profile::default();
    let mut sources = Sources::default();
    let ordered = in_order(votes);
    for field in FieldName::TEXTS {
        let first = ordered.iter().find_map(|vote| {
            let value = vote.content.get(field).filter(|value| !value.is_empty())?;
            Some((vote, value))
        });
        if let Some((vote, value)) = first {
            profile.set(field, Some(value.to_owned()));
            sources.note(field.as_str(), vote);
        }
    }
    for vote in ordered {
        for (key, value) in vote.content.metadata.iter().filter(|(_, value)| !value.is_empty()) {
            if !profile.metadata.contains_key(key) {
                profile.metadata.insert(key.clone(), value.clone());
                sources.note(&format!("metadata.{key}"), vote);
            }
        }
    }
    (profile, sources)
}

/// Takes a fact if it is there and the record does not have it yet.
fn fill<T: Clone, V>(
    place: &mut Option<T>,
    value: Option<&T>,
    field: &str,
    vote: &Vote<V>,
    sources: &mut Sources,
) {
    if let (None, Some(value)) = (&place, value) {
        *place = Some(value.clone());
        sources.note(field, vote);
    }
}

fn text(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.is_empty())
}

/// For each fact the first that is known, by rank. Only votes of the first one's kind count:
/// facts of one kind say nothing of another. `None` without votes.
pub(super) fn merge_facts(votes: &[Vote<MethodFacts>]) -> Option<(MethodFacts, Sources)> {
    let mut s = Sources::default();
    let ordered = in_order(votes);
    let first = *ordered.first()?;
    let facts = match &first.content {
        MethodFacts::Card(_) => {
            let mut card = CardFacts::default();
            for vote in ordered {
                let MethodFacts::Card(own) = &vote.content else { continue };
                fill(&mut card.brand, text(own.brand.as_ref()), "brand", vote, &mut s);
                fill(&mut card.bin, own.bin.as_ref(), "bin", vote, &mut s);
                fill(&mut card.last4, own.last4.as_ref(), "last4", vote, &mut s);
                fill(&mut card.expiry, own.expiry.as_ref(), "expiry", vote, &mut s);
                let holder = text(own.holder_name.as_ref());
                fill(&mut card.holder_name, holder, "holder_name", vote, &mut s);
            }
            MethodFacts::Card(card)
        }
        MethodFacts::BankAccount(_) => {
            let mut bank = BankFacts::default();
            for vote in ordered {
                let MethodFacts::BankAccount(own) = &vote.content else { continue };
                fill(&mut bank.bank_name, text(own.bank_name.as_ref()), "bank_name", vote, &mut s);
                let kind = own.account_type.as_ref();
                fill(&mut bank.account_type, kind, "account_type", vote, &mut s);
                let routing = text(own.routing_number.as_ref());
                fill(&mut bank.routing_number, routing, "routing_number", vote, &mut s);
                fill(&mut bank.last4, own.last4.as_ref(), "last4", vote, &mut s);
                let holder = text(own.holder_name.as_ref());
                fill(&mut bank.holder_name, holder, "holder_name", vote, &mut s);
            }
            MethodFacts::BankAccount(bank)
        }
        MethodFacts::CryptoWallet(wallet) => {
            s.note("address", first);
            s.note("chain_id", first);
            MethodFacts::CryptoWallet(wallet.clone())
        }
    };
    Some((facts, s))
}

/// The fields of a profile that differ, with the values before and after.
pub(super) fn profile_changes(
    before: &Profile,
    after: &Profile,
) -> Vec<(String, Option<String>, Option<String>)> {
    let own = |value: Option<&str>| value.map(str::to_owned);
    let mut changes: Vec<_> = FieldName::TEXTS
        .into_iter()
        .filter(|field| before.get(*field) != after.get(*field))
        .map(|f| (f.as_str().to_owned(), own(before.get(f)), own(after.get(f))))
        .collect();
    let keys: std::collections::BTreeSet<_> =
        before.metadata.keys().chain(after.metadata.keys()).collect();
    for key in keys {
        let (old, new) = (before.metadata.get(key), after.metadata.get(key));
        if old != new {
            changes.push((format!("metadata.{key}"), old.cloned(), new.cloned()));
        }
    }
    changes
}

fn facts_as_text(facts: &MethodFacts) -> BTreeMap<&'static str, String> {
    let mut map = BTreeMap::from([("kind", facts.kind().as_str().to_owned())]);
    let mut put = |name, value: Option<String>| {
        if let Some(value) = value {
            map.insert(name, value);
        }
    };
    match facts {
        MethodFacts::Card(card) => {
            put("brand", card.brand.clone());
            put("bin", card.bin.as_ref().map(|bin| bin.as_str().to_owned()));
            put("last4", card.last4.as_ref().map(|last4| last4.as_str().to_owned()));
            put("expiry", card.expiry.map(|expiry| expiry.to_string()));
            put("holder_name", card.holder_name.clone());
        }
        MethodFacts::BankAccount(bank) => {
            put("bank_name", bank.bank_name.clone());
            put("account_type", bank.account_type.map(|kind| kind.as_str().to_owned()));
            put("routing_number", bank.routing_number.clone());
            put("last4", bank.last4.as_ref().map(|last4| last4.as_str().to_owned()));
            put("holder_name", bank.holder_name.clone());
        }
        MethodFacts::CryptoWallet(wallet) => {
            put("chain_id", Some(wallet.chain_id.to_string()));
            put("address", Some(wallet.address.clone()));
        }
    }
    map
}

/// The names of the facts that are known, as `sources` and `changes` have them.
pub(crate) fn names_of(facts: &MethodFacts) -> impl Iterator<Item = String> {
    facts_as_text(facts).into_keys().filter(|name| *name != "kind").map(str::to_owned)
}

/// The facts that differ, with the values before and after.
pub(super) fn fact_changes(
    before: &MethodFacts,
    after: &MethodFacts,
) -> Vec<(String, Option<String>, Option<String>)> {
    let (before, after) = (facts_as_text(before), facts_as_text(after));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names
        .into_iter()
        .filter(|name| before.get(name) != after.get(name))
        .map(|name| (name.to_owned(), before.get(name).cloned(), after.get(name).cloned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use model::{Expiry, Last4, RemoteCustomerId};

    use super::*;

    fn vote<T>(rank: u32, account: &str, at: i64, content: T) -> Vote<T> {
        Vote {
            rank,
            account: AccountName::new(account).expect("an id"),
            customer: RemoteCustomerId::new("1").expect("an id"),
            method: String::new(),
            as_of: Timestamp::from_seconds(at),
            content,
        }
    }

    #[test]
    fn each_field_comes_from_the_first_account_that_has_it() {
        let mut first = Profile { name: Some(String::new()), ..Profile::default() };
        first.email = Some("a@first".into());
        first.metadata.insert("k".into(), "first".into());
        let mut second = Profile { name: Some("Second".into()), ..Profile::default() };
        second.email = Some("b@second".into());
        second.metadata.insert("k".into(), "second".into());
        second.metadata.insert("l".into(), "second".into());
        let (merged, sources) = merge_profiles(&[vote(1, "b", 2, second), vote(0, "a", 1, first)]);
        assert_eq!(merged.name.as_deref(), Some("Second"));
        assert_eq!(merged.email.as_deref(), Some("a@first"));
        assert_eq!(merged.metadata["k"], "first");
        assert_eq!(merged.metadata["l"], "second");
        assert_eq!(
            sources.to_json(),
            r#"{"email":{"account":"a","at":1000000},"metadata.k":{"account":"a","at":1000000},"metadata.l":{"account":"b","at":2000000},"name":{"account":"b","at":2000000}}"#
        );
    }

    #[test]
    fn one_source_is_written_once() {
        let profile =
            Profile { name: Some("N".into()), email: Some("e".into()), ..Profile::default() };
        let one = vote(0, "a", 1, profile.clone());
        let (merged, sources) = merge_profiles(std::slice::from_ref(&one));
        assert_eq!(merged, profile);
        assert_eq!(sources.to_json(), Sources::of_one(&one.account, one.as_of));
        assert_eq!(sources.to_json(), r#"{"*":{"account":"a","at":1000000}}"#);
        assert_eq!(merge_profiles(&[]).1.to_json(), "{}");
    }

    #[test]
    fn facts_are_filled_up_from_later_accounts_of_the_same_kind() {
        let a =
            MethodFacts::Card(CardFacts { last4: Last4::new("4242").ok(), ..CardFacts::default() });
        let b = MethodFacts::Card(CardFacts {
            last4: Last4::new("1111").ok(),
            expiry: Expiry::new(1, 2030).ok(),
            ..CardFacts::default()
        });
        let bank = MethodFacts::BankAccount(BankFacts::default());
        let votes = [vote(0, "a", 1, a), vote(1, "b", 1, b), vote(2, "c", 1, bank)];
        let (merged, _) = merge_facts(&votes).expect("there are votes");
        let MethodFacts::Card(card) = merged else { panic!("a card") };
        assert_eq!(card.last4, Last4::new("4242").ok());
        assert_eq!(card.expiry, Expiry::new(1, 2030).ok());
    }

    #[test]
    fn changes_name_the_field_and_both_values() {
        let mut before = Profile { name: Some("A".into()), ..Profile::default() };
        before.metadata.insert("k".into(), "v".into());
        let after = Profile { name: Some("B".into()), ..Profile::default() };
        assert_eq!(
            profile_changes(&before, &after),
            [
                ("name".to_owned(), Some("A".to_owned()), Some("B".to_owned())),
                ("metadata.k".to_owned(), Some("v".to_owned()), None),
            ]
        );
        let card = |month| {
            MethodFacts::Card(CardFacts {
                expiry: Expiry::new(month, 2030).ok(),
                ..CardFacts::default()
            })
        };
        assert_eq!(
            fact_changes(&card(1), &card(2)),
            [("expiry".to_owned(), Some("01/2030".to_owned()), Some("02/2030".to_owned()))]
        );
    }
}
