//! What an import will call, counted while it is planned: no row is looked at again for it.
//!
//! The least is what the plan says if the mirror is true; the most is what follows if every
//! customer that is to be created is there already.

use std::collections::{BTreeMap, BTreeSet};

use backend::{Endpoints, FindBy, TokenRoute};
use model::{EffectKind, Forecast, Span};
use store::RowTally;

use super::args::Args;
use super::{GROUPS, baseline, effects_in};
use crate::forecast::Counted;
use crate::group::{Add, Row, Rules};
use crate::observe::KNOWN_IDS;
use crate::{Engine, EngineError};

/// A canary has one of each kind beside the rows that were asked for: no more than so many.
const KINDS: u64 = 8;

/// What applying does for one reference, as far as it decides on the number of calls. 24 bytes for
/// each reference that is not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// The line of its first row.
    pub(super) head: u64,
    /// Rows that have no outcome before applying.
    pub(super) open: u32,
    /// Payment methods that go in bulk calls.
    pub(super) bulk: u32,
    /// Creates the customer.
    pub(super) creates: bool,
    /// Saves payment methods, in whatever call.
    pub(super) saves: bool,
    /// Reads the customer.
    pub(super) gets: bool,
    /// Lists the customer's payment methods.
    pub(super) lists: bool,
    /// Sets a default once the payment method is saved: the call that saves it cannot.
    pub(super) defaults: bool,
}

impl Expected {
    pub(super) const fn new(head: u64) -> Self {
        Self {
            head,
            open: 0,
            bulk: 0,
            creates: false,
            saves: false,
            gets: false,
            lists: false,
            defaults: false,
        }
    }

    /// A payment method of this row will be saved.
    pub(super) fn add(&mut self, add: &Add, row: Option<&Row>, rules: &Rules<'_>) {
        self.saves = true;
        self.bulk += u32::from(add.route == TokenRoute::Bulk);
        self.defaults |= rules.capabilities.set_default
            && row.is_some_and(|row| row.wants_default() && !row.default_is_carried(rules));
    }
}

/// What planning expects of all references.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    /// As they were planned, cluster by cluster, in the file's order.
    planned: Vec<Expected>,
    /// What was planned again since, by first line; none where a cluster is part of another
    /// reference by now, or decided.
    again: BTreeMap<u64, Option<Expected>>,
    /// Whether rows of one reference stand apart: which go together is not known to the call then.
    apart: bool,
}

impl Expectations {
    pub(super) fn push(&mut self, expected: Expected) {
        self.planned.push(expected);
    }

    /// A reference whose clusters begin on these lines was planned again.
    pub(super) fn replace(&mut self, heads: &BTreeSet<u64>, expected: Option<Expected>) {
        self.apart |= heads.len() > 1;
        self.again.extend(heads.iter().map(|head| (*head, None)));
        if let Some(expected) = expected {
            self.again.insert(expected.head, Some(expected));
        }
    }

    fn all(&self) -> impl Iterator<Item = &Expected> {
        let stand = self.planned.iter().filter(|planned| !self.again.contains_key(&planned.head));
        stand.chain(self.again.values().flatten())
    }

    /// Whether every row is decided.
    pub(super) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// References whose customer is to be created.
    pub(super) fn creates(&self) -> u64 {
        self.all().filter(|expected| expected.creates).count() as u64
    }

    /// The forecast for the rows that are planned by this tally.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn forecast(
        &self,
        engine: &Engine,
        tally: &RowTally,
        args: &Args,
    ) -> Result<Forecast, EngineError> {
        let capabilities = engine.account.capabilities();
        let known = engine.store.live_customer_ids(&engine.account.name, KNOWN_IDS).await?;
        let asks = capabilities.get_customer && !self.is_empty();
        let asked = if asks { known.len() as u64 } else { 0 };
        let batch = u64::from(capabilities.import_batch.unwrap_or(1)).max(1);
        let first = args.first_page(engine.account.in_flight());
        let exact = args.canary().is_none();
        let unique = capabilities.find == FindBy::UniqueReference;
        let calls = (batch, first, exact);
        let mut counted = self.count(&capabilities.endpoints, tally, calls, unique);
        // Of the customers that are known to be live, one must be there (rule 1).
        counted.add(capabilities.endpoints.get_customer, asked.min(1), asked);
        if baseline::is_needed(engine, tally).await? {
            baseline::count(engine, self.creates(), &mut counted).await?;
        }
        if let Some(rows) = args.canary() {
            // They are read back.
            let most = rows.min(tally.planned.values().sum()) + KINDS;
            counted.add(capabilities.endpoints.get_customer, 0, most);
            counted.add(capabilities.endpoints.list_methods, 0, most);
        }
        Ok(counted.forecast(&capabilities.endpoints, engine.account.limits()))
    }

    fn count(
        &self,
        endpoints: &Endpoints,
        tally: &RowTally,
        (batch, first, exact): (u64, u32, bool),
        unique: bool,
    ) -> Counted {
        let rows = |kind: EffectKind| -> u64 {
            let planned = tally.planned.iter();
            planned
                .filter(|(plan, _)| effects_in(plan).any(|effect| effect == kind))
                .map(|(_, rows)| rows)
                .sum()
        };
        let sum = |which: fn(&Expected) -> bool| self.all().filter(|e| which(e)).count() as u64;
        let creates = rows(EffectKind::CreateCustomer);
        let lists = sum(|expected| expected.lists);
        let mut counted = Counted::default();
        let mut same = |endpoint, calls| counted.add(endpoint, calls, calls);
        same(endpoints.create_customer, creates);
        same(endpoints.update_customer, rows(EffectKind::UpdateCustomer));
        same(endpoints.add_method, rows(EffectKind::AddMethod));
        same(
            endpoints.set_default,
            rows(EffectKind::SetDefault) + sum(|expected| expected.defaults),
        );
        same(endpoints.get_customer, sum(|expected| expected.gets));
        let bulk = self.bulk_calls(batch, first, exact && !self.apart);
        counted.add(endpoints.import_methods, bulk.least, bulk.most);
        if unique {
            counted.add(endpoints.find_customer, 0, creates);
        }
        let found = sum(|expected| expected.creates && expected.saves);
        counted.add(endpoints.list_methods, lists, lists + found);
        counted
    }

    /// How many bulk calls it takes. References are applied page by page, and those of a page step
    /// by step, so a page ends with calls that are not full.
    fn bulk_calls(&self, batch: u64, first: u32, exact: bool) -> Span {
        let mut in_order: Vec<&Expected> = self.all().collect();
        in_order.sort_unstable_by_key(|expected| expected.head);
        let mut size = first;
        let mut pages = 0;
        let mut page = Page::default();
        let mut calls = Span::default();
        let total: u64 = in_order.iter().map(|expected| u64::from(expected.bulk)).sum();
        for expected in in_order {
            page.take(expected);
            if page.is_full(size) {
                page.end(batch, &mut calls);
                pages += 1;
                size = size.saturating_mul(2).min(GROUPS);
            }
        }
        page.end(batch, &mut calls);
        pages += 1;
        if !exact {
            let least = total.div_ceil(batch);
            calls = Span { least, most: (least + 2 * pages + 2).min(total) };
        }
        calls
    }
}

/// References that are applied together.
#[derive(Debug, Default)]
struct Page {
    references: u32,
    rows: u64,
    /// Items that are sent in the second step: behind a create, or a list of methods.
    second: u64,
    /// Items that are sent in the third: behind a read of the customer and a list.
    third: u64,
    creates: bool,
}

impl Page {
    fn take(&mut self, expected: &Expected) {
        self.references += 1;
        self.rows += u64::from(expected.open);
        let late = expected.gets && expected.lists;
        *(if late { &mut self.third } else { &mut self.second }) += u64::from(expected.bulk);
        self.creates |= expected.creates && expected.bulk > 0;
    }

    /// The store ends a page after so many references, or twice as many rows.
    fn is_full(&self, size: u32) -> bool {
        self.references >= size || self.rows >= 2 * u64::from(size)
    }

    fn end(&mut self, batch: u64, calls: &mut Span) {
        let least = self.second.div_ceil(batch) + self.third.div_ceil(batch);
        // A customer that is found instead of created has its turn one step later.
        let split = u64::from(self.creates && self.second > 1 && self.third == 0);
        let joins = u64::from(self.creates && self.third > 0);
        calls.least += least;
        calls.most += least + split.max(joins);
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(head: u64, bulk: u32) -> Expected {
        let saves = bulk > 0;
        Expected { open: bulk.max(1), bulk, creates: true, saves, ..Expected::new(head) }
    }

    fn all(references: impl IntoIterator<Item = Expected>) -> Expectations {
        let mut all = Expectations::default();
        references.into_iter().for_each(|one| all.push(one));
        all
    }

    #[test]
    fn each_page_ends_with_a_call_that_is_not_full() {
        // 500 references a page: 500 and 100 rows, in calls of 60.
        let fresh = all((1..=600).map(|line| expected(line, 1)));
        assert_eq!(fresh.bulk_calls(60, GROUPS, true), Span { least: 9 + 2, most: 13 });
        // Three rows each: the page ends at 1,000 rows, behind the reference that has them.
        let wide = all((1..=600).map(|line| expected(line * 3, 3)));
        assert_eq!(wide.bulk_calls(100, GROUPS, true).least, 11 + 8);
        // A budget begins with a small page.
        assert_eq!(fresh.bulk_calls(60, 8, true).least, 1 + 1 + 1 + 2 + 3 + 5 + 2);
        // Not known which go together: as few as can be, and no fewer than that.
        let loose = fresh.bulk_calls(60, GROUPS, false);
        assert!(loose.least == 10 && loose.most >= 11, "{loose:?}");
    }

    #[test]
    fn what_is_read_first_is_sent_later() {
        let known = Expected { creates: false, gets: true, lists: true, ..expected(2, 1) };
        let both = all([expected(1, 1), known]);
        assert_eq!(both.bulk_calls(100, GROUPS, true).least, 2);
    }

    #[test]
    fn a_reference_whose_clusters_are_joined_counts_once() {
        let mut apart = all([expected(2, 1), expected(3, 1), expected(9, 1)]);
        apart.replace(&BTreeSet::from([2, 9]), Some(expected(2, 2)));
        assert_eq!(apart.creates(), 2);
        assert_eq!(apart.bulk_calls(100, GROUPS, true).least, 1);
        apart.replace(&BTreeSet::from([3]), None);
        assert_eq!(apart.creates(), 1);
    }
}
