//! What the file states of a customer and its target cannot hold: kept in our store only (rule 8).
//!
//! It stands in `sources` of the canonical record, whole, so that no recompute loses it, whoever
//! else has a value of the field for a while. It has a vote like an account, named `file`, which
//! no account may be called.

use std::collections::HashMap;

use model::{
    AccountName, CustomerId, FieldName, Profile, RemoteCustomerId, RunId, Timestamp, digest,
};
use serde::{Deserialize, Serialize};

use super::customers::{CanonicalCustomer, CustomerRow, email_key};
use super::merge::{merge_profiles, profile_changes};
use super::{Change, Context, Vote, from_json, to_json};
use crate::StoreError;

/// The name under which the file votes.
const FILE: &str = "file";

/// What the file last stated and only our store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFields {
    /// The run that brought the latest of it.
    pub run: Option<RunId>,
    pub at: Timestamp,
    pub profile: Profile,
}

#[derive(Deserialize)]
struct InSources {
    #[serde(default)]
    file: Option<FileFields>,
}

impl FileFields {
    /// What a record's `sources` hold of the file.
    pub(crate) fn of(sources: &str) -> Result<Option<Self>, StoreError> {
        if !sources.contains("\"file\":{") {
            return Ok(None);
        }
        Ok(from_json::<InSources>("the sources of a customer", sources)?.file)
    }

    /// Its vote, at the place that the configuration gives the file.
    pub(crate) fn vote(&self, rank: u32) -> Vote<Profile> {
        Vote {
            rank,
            account: AccountName::new(FILE).expect("a plain word is a name"),
            customer: RemoteCustomerId::new(FILE).expect("a plain word is an id"),
            method: String::new(),
            as_of: self.at,
            content: self.profile.clone(),
        }
    }
}

/// The record as it is by its accounts' votes and what is kept of the file.
pub(super) fn row_of(
    record: &CanonicalCustomer,
    file: Option<&FileFields>,
    file_rank: u32,
) -> CustomerRow {
    let mut votes = record.votes.clone();
    votes.extend(file.map(|file| file.vote(file_rank)));
    let (profile, sources) = merge_profiles(&votes);
    CustomerRow {
        id: record.id.clone(),
        reference: None,
        email_key: email_key(&profile),
        profile: to_json(&profile),
        sources: sources.to_json_with(file),
        hash: digest(&profile),
    }
}

/// Whether the row says anything else than the record.
pub(super) fn is_news(record: &CanonicalCustomer, row: &CustomerRow) -> bool {
    row.hash != record.hash || row.sources != record.sources
}

/// [`row_of`], where it says anything else than the record.
pub(super) fn recomputed(
    record: &CanonicalCustomer,
    file: Option<&FileFields>,
    file_rank: u32,
) -> Option<CustomerRow> {
    Some(row_of(record, file, file_rank)).filter(|row| is_news(record, row))
}

/// The records that another order of accounts makes others. One that lost its last live mirror keeps
/// what was known.
pub(crate) fn recomputed_customers(
    records: &[CanonicalCustomer],
    file_rank: u32,
) -> Result<Vec<CustomerRow>, StoreError> {
    let mut rows = Vec::new();
    for record in records.iter().filter(|record| !record.votes.is_empty()) {
        let file = FileFields::of(&record.sources)?;
        rows.extend(recomputed(record, file.as_ref(), file_rank));
    }
    Ok(rows)
}

/// What the file states of a record.
#[derive(Debug)]
pub(crate) struct Stated {
    pub customer: CustomerId,
    /// The line that does.
    pub line: Option<u64>,
    pub fields: Profile,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct KeptPlan {
    pub customers: Vec<CustomerRow>,
    pub changes: Vec<Change>,
}

/// Plans what an import keeps: its fields over those that an earlier one stated, since an empty
/// cell says nothing. A first value writes no change, another one does.
pub(crate) fn keep(
    context: &Context,
    canonical: Vec<CanonicalCustomer>,
    kept: Vec<Stated>,
) -> Result<KeptPlan, StoreError> {
    let mut records: HashMap<CustomerId, CanonicalCustomer> =
        canonical.into_iter().map(|record| (record.id.clone(), record)).collect();
    let mut plan = KeptPlan::default();
    for Stated { customer: id, line, fields: stated } in kept {
        let Some(record) = records.get_mut(&id) else { continue };
        let before = FileFields::of(&record.sources)?.map(|file| file.profile).unwrap_or_default();
        let mut profile = before.clone();
        for field in FieldName::TEXTS {
            if let Some(value) = stated.get(field) {
                profile.set(field, Some(value.to_owned()));
            }
        }
        profile.metadata.extend(stated.metadata);
        if profile == before {
            continue;
        }
        plan.changes.extend(
            profile_changes(&before, &profile).into_iter().filter(|(_, was, _)| was.is_some()).map(
                |(field, before, after)| Change {
                    subject: "customer",
                    subject_id: id.to_string(),
                    field,
                    before,
                    after,
                    line,
                },
            ),
        );
        let file = FileFields { run: context.run.clone(), at: context.now, profile };
        if let Some(row) = recomputed(record, Some(&file), context.file_rank) {
            record.sources.clone_from(&row.sources);
            record.hash = row.hash;
            plan.customers.retain(|planned| planned.id != row.id);
            plan.customers.push(row);
        }
    }
    plan.customers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Guard;

    fn context(file_rank: u32) -> Context {
        Context {
            account: AccountName::new("main").expect("a name"),
            namespace: "default".into(),
            match_by_email: false,
            rank: 1,
            file_rank,
            cause: "import".into(),
            run: RunId::new("run").ok(),
            now: Timestamp::from_seconds(9),
            guard: Guard::Answer,
        }
    }

    fn record(theirs: Profile) -> CanonicalCustomer {
        let vote = Vote {
            rank: 1,
            account: AccountName::new("main").expect("a name"),
            customer: RemoteCustomerId::new("cus_1").expect("an id"),
            method: String::new(),
            as_of: Timestamp::from_seconds(1),
            content: theirs,
        };
        let (profile, sources) = merge_profiles(std::slice::from_ref(&vote));
        CanonicalCustomer {
            id: CustomerId::generate(),
            reference: None,
            email_key: None,
            profile: to_json(&profile),
            sources: sources.to_json(),
            hash: digest(&profile),
            votes: vec![vote],
        }
    }

    fn named(name: &str, company: Option<&str>) -> Profile {
        Profile {
            name: Some(name.into()),
            company: company.map(str::to_owned),
            ..Profile::default()
        }
    }

    fn company(company: &str) -> Profile {
        Profile { company: Some(company.into()), ..Profile::default() }
    }

    /// Keeps a company, and reads the record back.
    fn kept(
        record: &mut CanonicalCustomer,
        rank: u32,
        stated: &str,
    ) -> (Option<Profile>, KeptPlan) {
        let (customer, fields) = (record.id.clone(), company(stated));
        let stated = vec![Stated { customer, line: Some(7), fields }];
        let plan = keep(&context(rank), vec![record.clone()], stated).expect("planned");
        let row = plan.customers.first().cloned();
        if let Some(row) = &row {
            record.sources.clone_from(&row.sources);
            record.hash = row.hash;
        }
        (row.map(|row| from_json("a profile", &row.profile).expect("a profile")), plan)
    }

    #[test]
    fn a_field_that_nobody_else_has_is_the_files() {
        let mut record = record(named("Ada", None));
        let (profile, plan) = kept(&mut record, u32::MAX, "Analytical");
        assert_eq!(profile, Some(named("Ada", Some("Analytical"))));
        assert!(plan.changes.is_empty(), "first sight is no change");
        assert_eq!(
            record.sources,
            r#"{"company":{"account":"file","at":9000000},"name":{"account":"main","at":1000000},"file":{"run":"run","at":9000000,"profile":{"company":"Analytical"}}}"#
        );
        // The same again writes nothing.
        assert!(kept(&mut record, u32::MAX, "Analytical").0.is_none());
        // Another value is a change.
        let (profile, plan) = kept(&mut record, u32::MAX, "Engines");
        assert_eq!(profile, Some(named("Ada", Some("Engines"))));
        assert_eq!(plan.changes.len(), 1);
        assert_eq!(plan.changes[0].before.as_deref(), Some("Analytical"));
        assert_eq!(plan.changes[0].line, Some(7));
    }

    #[test]
    fn an_account_outranks_the_file_unless_precedence_says_otherwise() {
        for (rank, wins) in [(u32::MAX, "Theirs"), (2, "Theirs"), (0, "Ours")] {
            let mut record = record(named("Ada", Some("Theirs")));
            let (profile, _) = kept(&mut record, rank, "Ours");
            assert_eq!(profile, Some(named("Ada", Some(wins))), "{rank}");
            // Whoever wins, nothing is lost: their value goes, ours is there.
            let file = FileFields::of(&record.sources).expect("read");
            record.votes[0].content.company = None;
            match recomputed(&record, file.as_ref(), rank) {
                Some(row) => {
                    let profile: Profile = from_json("a profile", &row.profile).expect("a profile");
                    assert_eq!(profile, named("Ada", Some("Ours")), "{rank}");
                }
                None => assert_eq!(wins, "Ours", "it was the file's before"),
            }
        }
    }

    #[test]
    fn sources_without_a_file_are_read_as_such() {
        assert_eq!(FileFields::of("{}").expect("read"), None);
        let one = r#"{"*":{"account":"a","at":1000000}}"#;
        assert_eq!(FileFields::of(one).expect("read"), None);
    }
}
