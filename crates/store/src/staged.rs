//! Staged rows between types and columns, and the references they make up: for both databases.

use std::collections::HashMap;

use model::{Address, Code, MethodFacts, MethodKind, Outcome, Profile, Timestamp, TokenKind};
use serde::{Deserialize, Serialize};

use crate::canonical::{from_json, to_json};
use crate::{Group, SealedToken, StagedMethod, StagedRow, StoreError, TokenFp, Verdict};

/// What a row states, as it goes into the column `stated`.
#[derive(Serialize)]
struct StatedOut<'a> {
    profile: &'a Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<MethodOut<'a>>,
}

#[derive(Serialize)]
struct MethodOut<'a> {
    facts: &'a MethodFacts,
    #[serde(skip_serializing_if = "Address::is_empty")]
    billing: &'a Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_created_at: Option<i64>,
}

/// What a row states, as it comes out of the column `stated`.
#[derive(Deserialize)]
struct StatedIn {
    profile: Box<Profile>,
    method: Option<MethodIn>,
}

#[derive(Deserialize)]
struct MethodIn {
    facts: MethodFacts,
    #[serde(default)]
    billing: Address,
    default: Option<bool>,
    token_created_at: Option<i64>,
}

/// The column `stated` of a row.
pub(crate) fn stated(row: &StagedRow) -> String {
    let method = row.method.as_ref().map(|method| MethodOut {
        facts: &method.facts,
        billing: &method.billing,
        default: method.default,
        token_created_at: method
            .sealed
            .as_ref()
            .and_then(|token| token.created_at)
            .map(Timestamp::micros),
    });
    to_json(&StatedOut { profile: &row.profile, method })
}

/// The kind of payment method in the column `stated`.
pub(crate) fn method_kind(stated: &str) -> Result<Option<MethodKind>, StoreError> {
    let StatedIn { method, .. } = from_json("what a row states", stated)?;
    Ok(method.map(|method| method.facts.kind()))
}

/// What the column `stated` states of a payment method.
pub(crate) fn method_facts(stated: &str) -> Result<Option<MethodFacts>, StoreError> {
    let StatedIn { method, .. } = from_json("what a row states", stated)?;
    Ok(method.map(|method| method.facts))
}

/// What the column `stated` states that tells how to reach somebody: see
/// [`crate::Store::personal_values`].
pub(crate) fn personal(stated: &str) -> Result<impl Iterator<Item = String>, StoreError> {
    let StatedIn { profile, method } = from_json("what a row states", stated)?;
    let Profile { email, phone, address, .. } = *profile;
    let billing = method.map(|method| method.billing).unwrap_or_default();
    let parts = [address, billing].into_iter().flat_map(|address| {
        let Address { line1, line2, city, state, postal_code, country: _ } = address;
        [line1, line2, city, state, postal_code]
    });
    Ok([email, phone].into_iter().chain(parts).flatten())
}

/// The column `unfit` of a row.
pub(crate) fn unfit(row: &StagedRow) -> Option<String> {
    let verdict = row.unfit.as_ref()?;
    Some(to_json(&(verdict.code.map(Code::as_str), &verdict.message, &verdict.field)))
}

fn read_unfit(text: &str) -> Result<Verdict, StoreError> {
    let (code, message, field): (Option<String>, Option<String>, Option<String>) =
        from_json("why a row does not fit", text)?;
    let code = code
        .map(|word| {
            Code::parse(&word).ok_or_else(|| StoreError::corrupt("a code", "it is no word of ours"))
        })
        .transpose()?;
    Ok(Verdict { outcome: Outcome::Rejected, code, message, field })
}

/// The columns that a payment method and its token are read from.
pub(crate) struct Stated<'a> {
    pub(crate) stated: &'a str,
    pub(crate) token_kind: Option<TokenKind>,
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) token_fp: Option<TokenFp>,
    pub(crate) unfit: Option<&'a str>,
}

impl Stated<'_> {
    /// Fills in what the row states.
    pub(crate) fn fill(self, row: &mut StagedRow) -> Result<(), StoreError> {
        let StatedIn { profile, method } = from_json("what a row states", self.stated)?;
        let (token_kind, token, token_fp) = (self.token_kind, self.token, self.token_fp);
        row.profile = profile;
        row.method = method.map(|method| {
            Box::new(StagedMethod {
                facts: method.facts,
                billing: method.billing,
                default: method.default,
                token: None,
                sealed: token_kind.zip(token_fp).map(|(kind, fp)| SealedToken {
                    kind,
                    // A forgotten token is empty: its fingerprint still decides.
                    sealed: token.unwrap_or_default(),
                    fp,
                    created_at: method.token_created_at.map(Timestamp::from_micros),
                }),
            })
        });
        row.unfit = self.unfit.map(read_unfit).transpose()?;
        Ok(())
    }
}

/// References with their rows, found by reference.
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    places: HashMap<String, usize>,
}

impl Groups {
    /// From rows; those without a reference belong to none.
    pub(crate) fn of(rows: Vec<StagedRow>) -> Self {
        let mut groups = Self { all: Vec::new(), places: HashMap::new() };
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            let Some(reference) = row.reference.clone() else { continue };
            // Rows of one reference mostly come together.
            let mut cluster = vec![row];
            while let Some(row) = rows.next_if(|row| row.reference.as_ref() == Some(&reference)) {
                cluster.push(row);
            }
            let new = groups.all.len();
            let place = *groups.places.entry(reference.to_string()).or_insert(new);
            match groups.all.get_mut(place) {
                Some(group) => {
                    group.rows.append(&mut cluster);
                    group.rows.sort_by_key(|row| row.line);
                }
                None => groups.all.push(Group {
                    reference,
                    rows: cluster,
                    customers: Vec::new(),
                    methods: Vec::new(),
                    links: Vec::new(),
                    statements: Vec::new(),
                    effects: Vec::new(),
                }),
            }
        }
        groups
    }

    pub(crate) fn get(&mut self, reference: &str) -> Option<&mut Group> {
        self.place(reference).and_then(|place| self.all.get_mut(place))
    }

    pub(crate) fn place(&self, reference: &str) -> Option<usize> {
        self.places.get(reference).copied()
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|group| group.reference.as_str())
    }

    /// Each token with the groups that have a row with it.
    pub(crate) fn tokens(&self) -> HashMap<TokenFp, Vec<usize>> {
        let mut tokens: HashMap<TokenFp, Vec<usize>> = HashMap::new();
        for (place, group) in self.all.iter().enumerate() {
            for sealed in group.rows.iter().filter_map(|row| row.method.as_ref()?.sealed.as_ref()) {
                let places = tokens.entry(sealed.fp).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        tokens
    }
}

/// What the store knows of an account at all: a table that has nothing of it need not be asked
/// for every reference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knows {
    pub(crate) customers: bool,
    pub(crate) links: bool,
    pub(crate) statements: bool,
    pub(crate) effects: bool,
}

/// Which clusters a page of open rows is about, from (line, tail, head) of each, in file order.
pub(crate) struct OpenPage {
    /// The first line of each reference, each once.
    pub(crate) heads: Vec<u64>,
    /// The last line the page has seen to.
    pub(crate) upto: u64,
}

impl OpenPage {
    pub(crate) fn of(rows: impl IntoIterator<Item = (u64, u64, u64)>, most: usize) -> Self {
        let mut page = Self { heads: Vec::new(), upto: 0 };
        let mut seen = std::collections::HashSet::new();
        for (line, tail, head) in rows {
            if !seen.contains(&head) {
                if page.heads.len() == most {
                    break;
                }
                seen.insert(head);
                page.heads.push(head);
            }
            page.upto = page.upto.max(line).max(tail);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_open_rows_ends_with_a_whole_cluster() {
        // Cluster 2–4 whole, 5–5, 7–9 cut off by the limit on rows, a follower of 2 at 11.
        let rows = [(2, 4, 2), (3, 4, 2), (5, 5, 5), (7, 9, 7)];
        let page = OpenPage::of(rows, 10);
        assert_eq!((page.heads, page.upto), (vec![2, 5, 7], 9));
        let page = OpenPage::of(rows, 2);
        assert_eq!((page.heads, page.upto), (vec![2, 5], 5));
        let page = OpenPage::of([(5, 5, 5), (11, 12, 5)], 1);
        assert_eq!((page.heads, page.upto), (vec![5], 12));
    }
}
