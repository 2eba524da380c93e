//! How a group is taken in: what is known of it, and what effects did before.

use backend::Capabilities;
use model::{Code, EffectKind, FieldName, Origin, Outcome, RunId};
use store::{EffectRow, EffectState, Group, Verdict};

use super::default::Flag;
use super::{Block, CustomerNow, DUPLICATE, Fate, Presence, Row, Work, reject};

impl Work {
    /// Takes a group in. Effects of this run that took place count as done, so that a resumed run
    /// goes on where it stopped.
    pub(crate) fn new(group: Group, run: &RunId, capabilities: &Capabilities) -> Self {
        let known_profile = group.customers.first().map(|known| known.profile.clone());
        let by_person = group.customers.first().is_some_and(|known| known.by_person);
        let customer = match group.customers.as_slice() {
            [] => CustomerNow::Absent,
            [one] => CustomerNow::Present { id: one.id.clone(), how: Presence::Known },
            [..] => CustomerNow::Failed(reject(
                Code::DuplicateAtProvider,
                "more than one customer of this reference is live at the provider",
                Some("reference"),
            )),
        };
        let mut work = Self {
            reference: group.reference,
            rows: group
                .rows
                .into_iter()
                .map(|mut staged| {
                    let fate = match staged.outcome.take() {
                        None => Fate::Open,
                        Some(outcome) => Fate::Ended(Verdict {
                            outcome,
                            code: staged.code,
                            message: staged.message.clone(),
                            field: staged.field.clone(),
                        }),
                    };
                    Row {
                        staged,
                        fate,
                        done: Vec::new(),
                        also: None,
                        acceptable: false,
                        default: Flag::Silent,
                        default_tried: false,
                        under_way: false,
                        found_later: false,
                        shared: false,
                        shared_with: None,
                        changed_facts: Vec::new(),
                    }
                })
                .collect(),
            customer,
            methods: group.methods,
            methods_read: false,
            links: group.links,
            statements: group.statements,
            blocked: None,
            settled_methods: Vec::new(),
            known_profile,
            by_person,
            known_metadata: None,
            customer_read: false,
            stale: true,
            wishes: Vec::new(),
            differs: Vec::new(),
            kept_again: Vec::new(),
            wish_noted: false,
            made_before: false,
            omitted: Vec::new(),
            update_tried: false,
            unreadable: false,
            lists_methods: false,
            repeats: false,
        };
        // Said on a row that is decided: not on the next row again.
        work.wish_noted = work.rows.iter().any(|row| {
            let wish = [Some(Code::NotUpdatable), Some(Code::ChangedAtProvider)];
            matches!(&row.fate, Fate::Ended(verdict) if wish.contains(&verdict.code))
        });
        let stated_as_known = work.is_as_stated(capabilities);
        for effect in &group.effects {
            match effect.state {
                EffectState::Done if effect.run == *run => {
                    let row = work.rows.iter_mut().find(|row| Some(row.staged.line) == effect.line);
                    if let (EffectKind::AddMethod | EffectKind::ImportMethod, Some(id)) =
                        (effect.kind, &effect.remote_method)
                    {
                        work.settled_methods.push(id.clone());
                    }
                    // What was found is there, and not because of this run; but what it had sent
                    // without hearing of it.
                    let later = effect.code.as_deref() == Some(Code::FoundLater.as_str());
                    let ours =
                        later && (effect.kind != EffectKind::CreateCustomer || stated_as_known);
                    let found = effect.origin == Some(Origin::Found) && !ours;
                    if let Some(row) = row {
                        if !found {
                            row.done.push(effect.kind);
                            row.found_later |= ours;
                        }
                        // What is said of a row stays.
                        if let (EffectKind::AddMethod | EffectKind::ImportMethod, Some(id)) =
                            (effect.kind, &effect.remote_method)
                            && row.fate == Fate::Open
                        {
                            row.fate = if found {
                                Fate::Tied(id.clone(), DUPLICATE)
                            } else {
                                Fate::Saved(id.clone())
                            };
                        }
                    }
                    if effect.kind == EffectKind::CreateCustomer
                        && let CustomerNow::Present { how, .. } = &mut work.customer
                    {
                        // The answer to a repeat may be that to what an earlier file stated.
                        let earlier =
                            capabilities.idempotency_keys && effect.attempt > 1 && !stated_as_known;
                        let there = found || earlier;
                        *how = if there { Presence::Found } else { Presence::Created };
                        work.made_before |= !there;
                    }
                }
                EffectState::Unknown | EffectState::Sending => {
                    work.blocked = work.blocked.or(Some(Block::Waits));
                }
                EffectState::Refused if effect.run == *run => work.was_refused(effect),
                EffectState::Unresolved => {
                    work.blocked = Some(Block::Person);
                    if let Some(row) = work.row_of(effect, run)
                        && let Some(own) = work.rows.get_mut(row)
                    {
                        own.unsettled(effect);
                    }
                }
                _ => {}
            }
        }
        work
    }

    /// Whether what is known of the customer is what the file states of it.
    pub(super) fn is_as_stated(&self, capabilities: &Capabilities) -> bool {
        let Some(known) = &self.known_profile else { return false };
        let stated = capabilities.as_held(&self.profile());
        FieldName::TEXTS.into_iter().all(|name| match (stated.get(name), known.get(name)) {
            (Some(ours), Some(theirs)) => model::alike(name, theirs, ours),
            _ => true,
        })
    }

    /// The row that an effect belongs to which a person must settle: its own line if this run sent
    /// it, else the row of the token or payment method that it was for. What was to become of the
    /// customer belongs to the first row (rule 7).
    fn row_of(&self, effect: &EffectRow, run: &RunId) -> Option<usize> {
        let find = |is: &dyn Fn(&Row) -> bool| self.rows.iter().position(is);
        if effect.run == *run && effect.line.is_some() {
            return find(&|row| effect.line == Some(row.staged.line));
        }
        let open = |row: &Row| row.fate == Fate::Open;
        match effect.kind {
            EffectKind::AddMethod | EffectKind::ImportMethod | EffectKind::RemoveMethod => {
                effect.fp.and_then(|fp| find(&|row| open(row) && row.fp() == Some(fp)))
            }
            EffectKind::SetDefault => {
                let tied = |row: &Row| {
                    self.links.iter().any(|link| {
                        link.reference == self.reference
                            && Some(link.fp) == row.fp()
                            && Some(&link.remote_method) == effect.remote_method.as_ref()
                    })
                };
                find(&|row| open(row) && tied(row))
                    .or_else(|| find(&|row| open(row) && row.wants_default()))
            }
            EffectKind::CreateCustomer
            | EffectKind::UpdateCustomer
            | EffectKind::DeleteCustomer => find(&open),
        }
    }

    /// Takes in an effect of this run that was refused before its row was written.
    fn was_refused(&mut self, effect: &EffectRow) {
        let code = effect.code.as_deref().and_then(Code::parse).unwrap_or(Code::ProviderRefused);
        let message = effect.message.clone().unwrap_or_default();
        let verdict = Verdict::with(Outcome::Refused, code, message);
        if effect.kind == EffectKind::CreateCustomer {
            if self.customer == CustomerNow::Absent {
                self.customer = CustomerNow::Failed(verdict);
            }
            return;
        }
        let Some(row) = self.rows.iter_mut().find(|row| Some(row.staged.line) == effect.line)
        else {
            return;
        };
        match effect.kind {
            EffectKind::AddMethod | EffectKind::ImportMethod if row.fate == Fate::Open => {
                row.fate = Fate::Ended(verdict);
            }
            EffectKind::SetDefault | EffectKind::UpdateCustomer => {
                row.default_tried |= effect.kind == EffectKind::SetDefault;
                self.update_tried |= effect.kind == EffectKind::UpdateCustomer;
                row.note(verdict);
            }
            _ => {}
        }
    }
}

impl Row {
    /// An effect of this row, or of its token, waits for a person: it is the row's own subject,
    /// or beside it.
    fn unsettled(&mut self, effect: &EffectRow) {
        let code = effect.code.as_deref().and_then(Code::parse).unwrap_or(Code::OutcomeUnknown);
        let why = effect.message.as_deref().unwrap_or("its outcome is not known");
        let verdict =
            Verdict::with(Outcome::Unresolved, code, format!("effect {}: {why}", effect.id));
        let own = matches!(
            effect.kind,
            EffectKind::CreateCustomer | EffectKind::AddMethod | EffectKind::ImportMethod
        );
        if own && self.fate == Fate::Open {
            self.fate = Fate::Ended(verdict);
        } else {
            self.note(verdict);
        }
    }
}
