//! Which canonical record a customer belongs to that has no link (rule 8): that of its reference,
//! else, where the account says so, the one that has its e-mail address, else one of its own.

use std::collections::{HashMap, HashSet};

use model::{CustomerId, Profile};

use super::customers::{CanonicalCustomer, News, email_key};
use super::{Context, from_json};
use crate::StoreError;

/// Where a customer goes, and what `linked_by` says of it.
pub(super) enum Place {
    /// To this record, which takes the reference on if one is named.
    Record { id: CustomerId, adopts: Option<String>, by: &'static str },
    /// To a record of its own, with this reference.
    Own { reference: Option<String>, by: &'static str },
}

/// The records that a plan can find, by what they are found by.
pub(super) struct Known {
    by_reference: HashMap<String, CustomerId>,
    by_email: HashMap<String, Vec<CustomerId>>,
    /// References and e-mail addresses of the records that the plan itself makes. They are this
    /// account's, so that no other customer of it goes there.
    made_references: HashSet<String>,
    made_emails: HashSet<String>,
}

/// What an e-mail address comes to.
enum ByEmail {
    Nobody,
    One(CustomerId),
    Several,
}

impl Known {
    pub(super) fn of(records: &[CanonicalCustomer]) -> Self {
        let mut by_email: HashMap<String, Vec<CustomerId>> = HashMap::new();
        for record in records {
            if let Some(email) = &record.email_key {
                by_email.entry(email.clone()).or_default().push(record.id.clone());
            }
        }
        Self {
            by_reference: records
                .iter()
                .filter_map(|record| Some((record.reference.clone()?, record.id.clone())))
                .collect(),
            by_email,
            made_references: HashSet::new(),
            made_emails: HashSet::new(),
        }
    }

    /// The plan makes a record.
    pub(super) fn made(&mut self, reference: Option<String>, email: Option<String>) {
        self.made_references.extend(reference);
        self.made_emails.extend(email);
    }

    /// A record has this reference from now on.
    pub(super) fn refer(&mut self, reference: String, id: CustomerId) {
        self.by_reference.insert(reference, id);
    }

    /// Where a customer goes. One account has at most one live customer for a record that is
    /// found so; a second one of the same reference gets a record of its own, without the reference
    /// (`duplicate_at_provider`), and so does one of whom name and e-mail both say that it is
    /// somebody else (`ambiguous_match`).
    pub(super) fn place(
        &self,
        context: &Context,
        records: &HashMap<CustomerId, CanonicalCustomer>,
        news: &News,
    ) -> Result<Place, StoreError> {
        let own = |by| Ok(Place::Own { reference: None, by });
        let reference = news.linking_reference();
        if let Some(reference) = reference {
            if self.made_references.contains(reference) {
                return own("duplicate_reference");
            }
            let found = self.by_reference.get(reference).and_then(|id| records.get(id));
            if let Some(record) = found {
                if has_other(context, record, news) {
                    return own("duplicate_reference");
                }
                let known: Profile = from_json("a profile", &record.profile)?;
                if known.is_somebody_else(&news.profile) {
                    return own("ambiguous");
                }
                let id = record.id.clone();
                return Ok(Place::Record { id, adopts: None, by: "reference" });
            }
        }
        let reference = reference.cloned();
        let by = match self.by_email(context, records, news) {
            ByEmail::One(id) => return Ok(Place::Record { id, adopts: reference, by: "email" }),
            ByEmail::Several => "ambiguous",
            ByEmail::Nobody if reference.is_some() => "reference",
            ByEmail::Nobody => "no_reference",
        };
        Ok(Place::Own { reference, by })
    }

    /// The one record with the customer's e-mail address, if it can be the customer's: without
    /// another reference, and without another customer of this account. Where several have the
    /// address nobody is linked, and if one of them could be the customer's that is ambiguous.
    fn by_email(
        &self,
        context: &Context,
        records: &HashMap<CustomerId, CanonicalCustomer>,
        news: &News,
    ) -> ByEmail {
        let Some(email) = email_key(&news.profile).filter(|_| context.match_by_email) else {
            return ByEmail::Nobody;
        };
        let found = self.by_email.get(&email).map(Vec::as_slice).unwrap_or_default();
        let fits = |record: &&CanonicalCustomer| {
            // Every reference that a customer comes with is unknown here: one that the record has
            // is another.
            (record.reference.is_none() || news.linking_reference().is_none())
                && !has_other(context, record, news)
        };
        let fitting = found.iter().filter_map(|id| records.get(id)).find(fits);
        match (fitting, found.len() + usize::from(self.made_emails.contains(&email))) {
            (None, _) => ByEmail::Nobody,
            (Some(record), 1) => ByEmail::One(record.id.clone()),
            (Some(_), _) => ByEmail::Several,
        }
    }
}

/// Whether another live customer of the account is linked to the record.
fn has_other(context: &Context, record: &CanonicalCustomer, news: &News) -> bool {
    record.votes.iter().any(|vote| vote.account == context.account && vote.customer != news.id)
}
