//! What is to be done for one reference of a file. Pure: everything known goes in, the next step
//! comes out, and when there is none, every row has its outcome (rules 4 and 7).

mod cells;
mod decide;
mod default;
mod fit;
mod stated;
mod taken;
#[cfg(test)]
mod tests;
mod verdict;
mod wishes;

use std::collections::BTreeMap;

pub(crate) use self::cells::value_hash;
use self::default::Flag;
pub(crate) use self::fit::fit;
use backend::{Capabilities, TokenRoute};
use model::{
    Code, EffectKind, FieldName, Outcome, Profile, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethodId, Timestamp,
};
use store::{KnownMethod, SentChange, StagedRow, Statement, TokenFp, TokenLink, Verdict};

/// What a person asked for beyond the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// Decline expired cards instead of importing them.
    pub reject_expired: bool,
    /// Import again what was removed at the provider.
    pub restore_removed: bool,
    /// Save a new token for a payment method that came from another one.
    pub add_changed_tokens: bool,
    /// Where a customer was there before its file was first imported: wish what the file states
    /// otherwise than the provider, instead of listing it.
    pub update_existing: bool,
}

/// The customer of a group, as far as it is known by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CustomerNow {
    /// Not in the mirror.
    Absent,
    /// A plan will create it.
    Planned,
    /// There.
    Present { id: RemoteCustomerId, how: Presence },
    /// Its create failed; this became of the row it belonged to.
    Failed(Verdict),
}

impl CustomerNow {
    /// Whether this run created it.
    pub(crate) const fn is_created(&self) -> bool {
        matches!(self, Self::Present { how: Presence::Created, .. })
    }
}

/// How it is known that a customer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The mirror had it before this run.
    Known,
    /// This run created it and has the answer.
    Created,
    /// This run's create was refused because it was there; then it was found.
    Found,
}

/// Why nothing more is sent for a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    /// The outcome of an effect is not known: it is settled before the run ends.
    Waits,
    /// Only a person can settle an effect.
    Person,
}

/// How a token was tied: a saved payment method agrees in every fact.
pub(crate) const BY_FACTS: &str = "matched_by_facts";
/// How a token was tied: the provider says it has it, and lists it under this customer.
pub(crate) const DUPLICATE: &str = "duplicate";

/// What became of a row's own payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not decided.
    Open,
    /// It was tied to this token before.
    Kept(RemoteMethodId),
    /// Saved by this run.
    Saved(RemoteMethodId),
    /// It was there and is tied to this token now.
    Tied(RemoteMethodId, &'static str),
    /// Declined, refused, unresolved or not tried.
    Ended(Verdict),
}

/// One row at work.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) staged: StagedRow,
    pub(crate) fate: Fate,
    /// What took place for it, in order.
    pub(crate) done: Vec<EffectKind>,
    /// A wish that the provider cannot take, or that was refused, beside the row's own subject.
    pub(crate) also: Option<Verdict>,
    /// Whether the row was looked at by itself and nothing speaks against it.
    acceptable: bool,
    default: Flag,
    /// Making its method the default was tried: it is not tried again by this run.
    default_tried: bool,
    /// A step beside its own subject was handed out for it, and nothing is known of that yet.
    pub(crate) under_way: bool,
    /// The answer to an effect of it was lost, and what it did was found by reading.
    found_later: bool,
    /// Its token stands, or was imported, under another reference: of a token that can be used
    /// many times that is a finding, and no more.
    pub(crate) shared: bool,
    /// The earlier line of this file that has its token, under another reference.
    shared_with: Option<u64>,
    /// Facts of the saved payment method that the file states otherwise than the last time, and
    /// otherwise than the provider has them.
    changed_facts: Vec<Changed>,
}

/// One reference at work.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) reference: Reference,
    pub(crate) rows: Vec<Row>,
    pub(crate) customer: CustomerNow,
    pub(crate) methods: Vec<KnownMethod>,
    /// Whether this run has read the customer's methods (or made the customer itself).
    pub(crate) methods_read: bool,
    links: Vec<TokenLink>,
    statements: Vec<Statement>,
    blocked: Option<Block>,
    /// Payment methods that this run saved or found before it was taken up again: whose rows are
    /// settled, they are still theirs.
    settled_methods: Vec<RemoteMethodId>,
    /// What is known of the customer's fields: from the mirror, or as this run has read them.
    known_profile: Option<Profile>,
    /// A person said that this customer is the reference's.
    by_person: bool,
    /// The provider's own metadata, as this run has read it.
    known_metadata: Option<String>,
    /// Whether this run has read the customer itself.
    customer_read: bool,
    /// Whether the file is to be compared with what is known (again).
    stale: bool,
    wishes: Vec<Wish>,
    /// Fields that no file settled before and that the provider has otherwise: listed, not written.
    differs: Vec<Differs>,
    /// Fields that only our store keeps and that the file states otherwise than the last time.
    kept_again: Vec<String>,
    wish_noted: bool,
    /// The customer was created before this stint of the run: it is looked at like any other.
    made_before: bool,
    /// Fields that the provider does not take as they are: left out of the create.
    omitted: Vec<FieldName>,
    /// Changing the customer's fields was tried: it is not tried again by this run.
    update_tried: bool,
    /// A payment method of this customer could not be read: nothing can be told from the others.
    pub(crate) unreadable: bool,
    /// Applying lists the customer's methods before it decides: told by planning.
    lists_methods: bool,
    /// A create of this reference was sent and not heard of, and may be repeated.
    pub(crate) repeats: bool,
}

/// A profile field that the file states otherwise than the last time, and otherwise than the
/// provider has it (rule 4).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    name: FieldName,
    /// As files show it: `email`, `metadata.tier`.
    field: String,
    /// The keyed hash of the provider's value, if it has one.
    theirs: Option<String>,
    /// The provider's value is not what the file stated the last time: somebody changed it there.
    moved: bool,
}

/// A profile field that the provider has otherwise than the file, and that is not wished.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Differs {
    /// As files show it.
    field: String,
    /// The keyed hash of the provider's value, if it has one.
    theirs: Option<String>,
}

/// A fact of a saved payment method, as the file wishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Changed {
    fact: &'static str,
    /// The provider's value is not what the file stated the last time: it was changed there.
    moved: bool,
}

/// A payment method to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Add {
    pub(crate) row: usize,
    pub(crate) route: TokenRoute,
}

/// What is to be changed of a customer's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) changes: Profile,
    /// The provider's own metadata, where it is replaced whole.
    pub(crate) metadata: Option<String>,
    /// What it changes, by keyed hashes.
    pub(crate) hashes: Vec<SentChange>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Create the customer, for this row.
    Create { row: usize },
    /// Read the customer: the file wishes something of its fields, and what they are decides.
    ReadCustomer,
    /// Read the customer's methods: nothing is added to a customer we have not looked at.
    ReadMethods,
    /// Save these payment methods, in any order.
    Save(Vec<Add>),
    /// Change fields of the customer, for this row.
    Update { row: usize, update: Box<Update> },
    /// Make a method the default, for this row.
    SetDefault { row: usize, method: RemoteMethodId },
    /// Nothing is done before an effect of this customer is settled.
    Wait,
    /// Nothing is left.
    Finished,
}

/// Whether an adapter takes a customer, and without which fields.
pub(crate) type CustomerFits<'a> =
    dyn Fn(&Reference, &Profile) -> Result<Vec<FieldName>, Verdict> + 'a;

/// What decides beside the group itself.
pub(crate) struct Rules<'a> {
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    /// Lines whose token stands under another reference of this run as well, with the first line
    /// that has it; none where theirs is that reference.
    pub(crate) shared: &'a BTreeMap<u64, Option<u64>>,
    /// The store's keyed hash of a field and its value, in hex.
    pub(crate) hash: &'a dyn Fn(&str, &str) -> String,
    /// The adapter's own check of the customer: the fields that must be left out for it.
    pub(crate) customer_fits: &'a CustomerFits<'a>,
}

fn reject(code: Code, message: impl Into<String>, field: Option<&str>) -> Verdict {
    Verdict { field: field.map(str::to_owned), ..Verdict::with(Outcome::Rejected, code, message) }
}

impl Work {
    /// Takes in that an effect of this customer was sent and not heard of.
    pub(crate) fn waits(&mut self) {
        self.blocked = self.blocked.or(Some(Block::Waits));
        // Everything is looked at again once that is settled.
        self.stale = true;
    }

    /// The first stated value of each profile field over all rows.
    pub(crate) fn profile(&self) -> Profile {
        let mut whole = Profile::default();
        for row in self.open_or_done() {
            let stated = &row.staged.profile;
            for field in FieldName::TEXTS {
                if whole.get(field).is_none() {
                    whole.set(field, stated.get(field).map(str::to_owned));
                }
            }
            for (key, value) in &stated.metadata {
                whole.metadata.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        whole
    }

    /// The profile as the create sends it.
    pub(crate) fn sent_profile(&self, capabilities: &Capabilities) -> Profile {
        let whole = capabilities.as_held(&self.profile());
        self.omitted.iter().fold(whole, |rest, field| fit::without(&rest, *field, capabilities))
    }

    /// Whether fields are left out of the create.
    pub(crate) fn omits(&self) -> bool {
        !self.omitted.is_empty()
    }

    /// Takes in that this run's create was refused because the customer was there, and what was
    /// found then.
    pub(crate) fn found(&mut self, customer: RemoteCustomer) {
        self.customer = CustomerNow::Present { id: customer.id, how: Presence::Found };
        self.read(customer.profile, customer.metadata);
    }

    /// Takes in the answer to a create that was sent before with the same key, perhaps with other
    /// fields: where it shows others, they are compared like anybody's.
    pub(crate) fn repeated(&mut self, customer: RemoteCustomer, capabilities: &Capabilities) {
        let id = customer.id.clone();
        self.found(customer);
        if self.is_as_stated(capabilities) {
            self.customer = CustomerNow::Present { id, how: Presence::Created };
        }
    }

    /// Takes in that the customer that was found may be of our own earlier attempt, made for this
    /// row: it is, if it is as the file states it.
    pub(crate) fn found_ours(&mut self, row: usize, capabilities: &Capabilities) {
        if !self.is_as_stated(capabilities) {
            return;
        }
        if let CustomerNow::Present { how, .. } = &mut self.customer {
            *how = Presence::Created;
            // Its payment methods are listed like anybody's.
            self.made_before = true;
        }
        if let Some(row) = self.rows.get_mut(row) {
            row.done.push(EffectKind::CreateCustomer);
            row.found_later = true;
        }
    }

    /// Takes in the customer's fields as this run has read them, and the provider's own metadata.
    pub(crate) fn read(&mut self, profile: Profile, metadata: Option<String>) {
        self.known_profile = Some(profile);
        self.known_metadata = metadata;
        self.customer_read = true;
        self.stale = true;
    }

    /// Takes in the customer's methods as this run has read them. A row whose method is not among
    /// them is decided again: the mirror had it still.
    pub(crate) fn listed(&mut self, methods: Vec<KnownMethod>, rules: &Rules<'_>) {
        for row in &mut self.rows {
            let Fate::Kept(id) = &row.fate else { continue };
            if methods.iter().all(|method| method.id != *id) {
                row.fate = Fate::Open;
            }
        }
        self.methods = methods;
        self.methods_read = true;
        self.compare(rules);
    }

    /// Takes in that the customer is not there any more, nor are its methods.
    pub(crate) fn gone(&mut self) {
        self.customer = CustomerNow::Absent;
        (self.known_profile, self.known_metadata, self.customer_read) = (None, None, false);
        (self.methods, self.methods_read) = (Vec::new(), false);
        for row in &mut self.rows {
            if matches!(row.fate, Fate::Kept(_) | Fate::Tied(..)) {
                row.fate = Fate::Open;
            }
        }
        self.stale = true;
    }

    /// Takes in one of the customer's methods as it is now.
    pub(crate) fn seen(&mut self, method: KnownMethod) {
        self.methods.retain(|known| known.id != method.id);
        if method.default == Some(true) {
            self.methods.iter_mut().for_each(|known| known.default = Some(false));
        }
        self.methods.push(method);
    }

    /// What applying reads before it decides, as far as the plan shows: the customer, and its
    /// methods. Once a plan was made.
    pub(crate) fn reads(&self, rules: &Rules<'_>) -> (bool, bool) {
        let customer =
            !self.wishes.is_empty() && self.blocked.is_none() && rules.capabilities.get_customer;
        (customer, self.lists_methods)
    }

    /// Whether this run has read what is said of a row: the customer, and its methods if the row
    /// has one. `listed` says that it has read the customer in a list.
    pub(crate) fn was_read(&self, row: &Row, listed: bool) -> bool {
        match self.customer {
            CustomerNow::Present { .. } if row.staged.method.is_some() => self.methods_read,
            CustomerNow::Present { .. } => listed || self.customer_read || self.methods_read,
            CustomerNow::Absent | CustomerNow::Planned | CustomerNow::Failed(_) => true,
        }
    }

    /// The customer's id at the provider, where it is there.
    pub(crate) fn customer_id(&self) -> Option<RemoteCustomerId> {
        match &self.customer {
            CustomerNow::Present { id, .. } => Some(id.clone()),
            CustomerNow::Absent | CustomerNow::Planned | CustomerNow::Failed(_) => None,
        }
    }

    /// Rows whose token has done what it can: saved, tied, or never to be sent.
    pub(crate) fn spent_tokens(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter(|row| row.fp().is_some()).filter_map(|row| match &row.fate {
            Fate::Kept(_) | Fate::Saved(_) | Fate::Tied(..) => Some(row.staged.line),
            Fate::Ended(verdict) if verdict.outcome != Outcome::Unresolved => Some(row.staged.line),
            Fate::Ended(_) | Fate::Open => None,
        })
    }

    fn open_or_done(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !matches!(row.fate, Fate::Ended(_)))
    }

    /// Ends every row that is still open.
    fn end_open(&mut self, verdict: &Verdict) {
        for row in &mut self.rows {
            if matches!(row.fate, Fate::Open) {
                row.fate = Fate::Ended(verdict.clone());
            }
        }
    }
}

impl Row {
    /// The fingerprint of the row's token.
    pub(crate) fn fp(&self) -> Option<TokenFp> {
        self.staged.method.as_ref()?.sealed.as_ref().map(|token| token.fp)
    }

    /// Whether the file wants this row's method to be the default.
    pub(crate) fn wants_default(&self) -> bool {
        self.staged.method.as_ref().is_some_and(|method| method.default == Some(true))
    }
}
