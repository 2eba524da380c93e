//! The customers of one account, with what makes each call quick: ids and references by hash map,
//! pages by a list in the order of creation. Every vendor style keeps its customers in one.

use crate::vendor::Twist;
use crate::view::{CustomerView, StatePage};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

/// A customer as one vendor style holds it.
pub(crate) trait Entry: Clone {
    /// The vendor's id. It never changes.
    fn id(&self) -> &str;
    /// The client's own reference.
    fn reference(&self) -> Option<&str>;
    /// Writes the reference; only the book calls it.
    fn set_reference(&mut self, reference: String);
    /// As the admin door shows it.
    fn view(&self) -> CustomerView;
}

/// How a vendor style keeps its customers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether references that differ only by case are the same.
    pub(crate) ignore_case: bool,
    /// Whether a reference can be one customer's only.
    pub(crate) unique: bool,
    /// What is left of a deleted customer.
    pub(crate) tombstones: Tombstones,
}

/// What is left of a deleted customer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tombstones {
    /// Whether it is kept: found by its id and shown by the admin door. If not, all of it goes.
    pub(crate) kept: bool,
    /// Whether a kept one stays in the list.
    pub(crate) listed: bool,
    /// Whether a kept one still has its reference: it is found by it, and nobody else can take it.
    pub(crate) referenced: bool,
}

impl Tombstones {
    /// Nothing is left.
    pub(crate) const NONE: Self = Self { kept: false, listed: false, referenced: false };
}

/// A reference is taken.
#[derive(Debug)]
pub(crate) struct Taken;

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed<R> {
    pub(crate) rows: Vec<R>,
    /// Whether a twist took effect.
    pub(crate) twisted: bool,
}

/// A page of whatever `rows` gives for a number of rows to skip and one to take.
pub(crate) fn page<R>(
    skip: usize,
    top: usize,
    twist: Option<Twist>,
    rows: impl FnOnce(usize, usize) -> Vec<R>,
) -> Listed<R> {
    let repeat = twist == Some(Twist::RepeatPage);
    let from = if repeat { skip.saturating_sub(top) } else { skip };
    let mut rows = rows(from, top);
    let mut twisted = repeat && from != skip && !rows.is_empty();
    if twist == Some(Twist::ShortPage) {
        let half = rows.len().div_ceil(2);
        twisted = half < rows.len();
        rows.truncate(half);
    }
    Listed { rows, twisted }
}

/// The customers of one account.
#[derive(Debug)]
pub(crate) struct Book<C> {
    rules: Rules,
    slots: Vec<Option<C>>,
    by_id: HashMap<String, usize>,
    /// By the reference's key, oldest first.
    by_reference: HashMap<String, Vec<usize>>,
    /// By reference, then id: the order of the admin door, the same however calls were mixed.
    sorted: BTreeMap<(String, String), usize>,
    /// Listed slots, oldest first. It rises, so that it can be searched.
    order: Vec<usize>,
    /// Ids of customers of whom nothing is left.
    retired: HashSet<String>,
    /// Ids of tombstones.
    buried: HashSet<String>,
}

impl<C: Entry> Book<C> {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            slots: Vec::new(),
            by_id: HashMap::new(),
            by_reference: HashMap::new(),
            sorted: BTreeMap::new(),
            order: Vec::new(),
            retired: HashSet::new(),
            buried: HashSet::new(),
        }
    }

    /// Customers, without tombstones.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len() - self.buried.len()
    }

    fn key(&self, reference: &str) -> String {
        if self.rules.ignore_case { reference.to_lowercase() } else { reference.to_owned() }
    }

    fn at(&self, slot: usize) -> Option<&C> {
        self.slots.get(slot)?.as_ref()
    }

    /// A customer or its tombstone.
    pub(crate) fn get(&self, id: &str) -> Option<&C> {
        self.at(*self.by_id.get(id)?)
    }

    /// The same, to be changed; its reference is changed by [`Book::refer`] alone.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut C> {
        self.slots.get_mut(*self.by_id.get(id)?)?.as_mut()
    }

    /// The customers of a reference as the vendor compares it, oldest first.
    pub(crate) fn by_reference(&self, reference: &str) -> impl Iterator<Item = &C> {
        let slots = self.by_reference.get(&self.key(reference)).map(Vec::as_slice);
        slots.unwrap_or_default().iter().filter_map(|&slot| self.at(slot))
    }

    /// The oldest customer of a reference, compared byte for byte.
    pub(crate) fn exact(&self, reference: &str) -> Option<&C> {
        self.by_reference(reference).find(|c| c.reference() == Some(reference))
    }

    /// An id that no customer has or had: the first of `make(name, 0)`, `make(name, 1)`, …, where the
    /// name is the reference, or made up without one.
    pub(crate) fn fresh_id(
        &self,
        reference: Option<&str>,
        make: impl Fn(&str, u64) -> String,
    ) -> String {
        let unnamed = || format!("#{}", self.slots.len());
        let name = reference.map_or_else(unnamed, str::to_owned);
        (0_u64..)
            .map(|n| make(&name, n))
            .find(|id| !self.by_id.contains_key(id) && !self.retired.contains(id))
            .unwrap_or_default()
    }

    /// Whether a reference cannot be given to the customer in this slot, or to a new one.
    fn taken(&self, reference: &str, slot: Option<usize>) -> bool {
        let owners = self.by_reference.get(&self.key(reference)).map(Vec::as_slice);
        let others = owners.unwrap_or_default().iter().any(|&owner| Some(owner) != slot);
        self.rules.unique && others
    }

    /// Adds the newest customer. Its id is a fresh one.
    pub(crate) fn add(&mut self, customer: C) -> Result<&mut C, Taken> {
        let slot = self.slots.len();
        if customer.reference().is_some_and(|r| self.taken(r, None)) {
            return Err(Taken);
        }
        if let Some(reference) = customer.reference() {
            self.by_reference.entry(self.key(reference)).or_default().push(slot);
        }
        self.by_id.insert(customer.id().to_owned(), slot);
        self.sorted.insert(place(&customer), slot);
        self.order.push(slot);
        self.slots.push(None);
        self.slots.get_mut(slot).map(|empty| empty.insert(customer)).ok_or(Taken)
    }

    /// Gives a customer another reference; false if there is no such customer.
    pub(crate) fn refer(&mut self, id: &str, reference: String) -> Result<bool, Taken> {
        let Some(&slot) = self.by_id.get(id) else { return Ok(false) };
        if self.taken(&reference, Some(slot)) {
            return Err(Taken);
        }
        self.unrefer(slot);
        if let Some(old) = self.at(slot).map(place) {
            self.sorted.remove(&old);
        }
        let owners = self.by_reference.entry(self.key(&reference)).or_default();
        owners.insert(owners.partition_point(|&owner| owner < slot), slot);
        if let Some(customer) = self.slots.get_mut(slot).and_then(Option::as_mut) {
            customer.set_reference(reference);
            self.sorted.insert(place(customer), slot);
        }
        Ok(true)
    }

    /// A customer is no longer found by its reference.
    fn unrefer(&mut self, slot: usize) {
        let Some(key) = self.at(slot).and_then(C::reference).map(|r| self.key(r)) else { return };
        if let Some(owners) = self.by_reference.get_mut(&key) {
            owners.retain(|&owner| owner != slot);
            if owners.is_empty() {
                self.by_reference.remove(&key);
            }
        }
    }

    /// Deletes a customer and answers it as it was; none if there is none, or only a tombstone.
    /// Where tombstones are kept, the vendor marks what is left as one.
    pub(crate) fn delete(&mut self, id: &str) -> Option<C> {
        let slot = *self.by_id.get(id)?;
        if self.buried.contains(id) {
            return None;
        }
        let left = self.rules.tombstones;
        if !(left.kept && left.referenced) {
            self.unrefer(slot);
        }
        if !(left.kept && left.listed)
            && let Ok(at) = self.order.binary_search(&slot)
        {
            self.order.remove(at);
        }
        if left.kept {
            self.buried.insert(id.to_owned());
            return self.at(slot).cloned();
        }
        let customer = self.slots.get_mut(slot)?.take()?;
        self.by_id.remove(id);
        self.sorted.remove(&place(&customer));
        self.retired.insert(id.to_owned());
        Some(customer)
    }

    fn newest(&self, skip: usize) -> impl Iterator<Item = &C> {
        self.order.iter().rev().skip(skip).filter_map(|&slot| self.at(slot))
    }

    /// A page of the vendor's list, newest first.
    pub(crate) fn list(&self, skip: usize, top: usize, twist: Option<Twist>) -> Listed<&C> {
        page(skip, top, twist, |skip, top| self.newest(skip).take(top).collect())
    }

    /// What a find answers wrongly; none if the twist is for no find or could have no effect.
    pub(crate) fn wrong_find(&self, reference: &str, twist: Option<Twist>) -> Option<C> {
        let lower = reference.to_lowercase();
        let alike = |c: &C| c.reference().is_some_and(|r| r.to_lowercase() == lower);
        match twist {
            Some(Twist::WrongFind) => {
                self.newest(0).find(|c| c.reference().is_some() && !alike(c)).cloned()
            }
            Some(Twist::CaseFind) => {
                let other = |c: &&C| alike(c) && c.reference() != Some(reference);
                self.newest(0).find(other).cloned().or_else(|| {
                    let mut shown = self.exact(reference)?.clone();
                    shown.set_reference(other_case(reference));
                    (shown.reference() != Some(reference)).then_some(shown)
                })
            }
            _ => None,
        }
    }

    /// A page for the admin door, tombstones included. The cursor is the last customer's id.
    pub(crate) fn state(&self, account: &str, after: Option<&str>, limit: usize) -> StatePage {
        // A cursor whose customer was deleted begins again at the top.
        let from = after.and_then(|id| self.get(id));
        let from = from.map_or(Bound::Unbounded, |c| Bound::Excluded(place(c)));
        let mut rows = self.sorted.range((from, Bound::Unbounded)).map(|(_, slot)| *slot);
        let shown = rows.by_ref().take(limit).filter_map(|slot| self.at(slot).map(C::view));
        let customers: Vec<CustomerView> = shown.collect();
        let more = rows.next().is_some();
        let next = customers.last().filter(|_| more).map(|c| c.id.clone());
        StatePage { account: account.to_owned(), customers, next }
    }
}

fn place<C: Entry>(customer: &C) -> (String, String) {
    (customer.reference().unwrap_or_default().to_owned(), customer.id().to_owned())
}

fn other_case(text: &str) -> String {
    let flip = |c: char| {
        if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    text.chars().map(flip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone)]
    struct Someone(String, Option<String>);

    impl Entry for Someone {
        fn id(&self) -> &str {
            &self.0
        }
        fn reference(&self) -> Option<&str> {
            self.1.as_deref()
        }
        fn set_reference(&mut self, reference: String) {
            self.1 = Some(reference);
        }
        fn view(&self) -> CustomerView {
            CustomerView {
                id: self.0.clone(),
                reference: self.1.clone(),
                name: None,
                email: None,
                fields: BTreeMap::new(),
                deleted: false,
                default_method: None,
                methods: Vec::new(),
            }
        }
    }

    fn book(unique: bool, tombstones: Tombstones) -> Book<Someone> {
        Book::new(Rules { ignore_case: false, unique, tombstones })
    }

    fn add(book: &mut Book<Someone>, reference: &str) -> Result<String, Taken> {
        let id = book.fresh_id(Some(reference), |name, n| format!("{name}:{n}"));
        book.add(Someone(id.clone(), Some(reference.to_owned()))).map(|_| id)
    }

    fn listed(book: &Book<Someone>) -> Vec<&str> {
        book.list(0, 9, None).rows.iter().map(|c| c.id()).collect()
    }

    #[test]
    fn a_reference_may_be_several_customers() {
        let mut book = book(false, Tombstones::NONE);
        let (a, b) = (add(&mut book, "a").unwrap(), add(&mut book, "b").unwrap());
        let again = add(&mut book, "a").unwrap();
        assert!(book.refer(&b, "a".to_owned()).unwrap());
        let ids: Vec<&str> = book.by_reference("a").map(Entry::id).collect();
        assert_eq!(ids, [&*a, &*b, &*again], "oldest first, however they came by it");
        assert_eq!(book.delete(&a).unwrap().id(), a);
        assert_eq!(book.exact("a").unwrap().id(), b);
        assert!(book.exact("b").is_none());
        assert_eq!(add(&mut book, "a").unwrap(), "a:2", "an id never comes twice");
    }

    #[test]
    fn a_tombstone_keeps_what_it_is_told() {
        let kept = Tombstones { kept: true, listed: false, referenced: true };
        let mut book = book(true, kept);
        let (a, b) = (add(&mut book, "a").unwrap(), add(&mut book, "b").unwrap());
        assert!(book.delete(&a).is_some() && book.delete(&a).is_none());
        assert_eq!((book.len(), listed(&book)), (1, vec![&*b]));
        assert!(book.get(&a).is_some() && book.exact("a").is_some());
        assert!(add(&mut book, "a").is_err() && book.refer(&b, "a".to_owned()).is_err());
        assert_eq!(book.state("x", None, 9).customers.len(), 2);
    }

    #[test]
    fn a_tombstone_may_be_listed_and_give_its_reference_back() {
        let kept = Tombstones { kept: true, listed: true, referenced: false };
        let mut book = book(true, kept);
        let a = add(&mut book, "a").unwrap();
        book.delete(&a).unwrap();
        let again = add(&mut book, "a").unwrap();
        assert_eq!(listed(&book), [&*again, &*a]);
        assert_eq!(book.exact("a").unwrap().id(), again);
    }
}
