//! Which categories of findings can occur at a provider, by what it declares.

use backend::{Capabilities, EventStyle, FindBy};
use model::{FieldName, MethodKind};

/// What `reconcile` calls a difference.
pub(super) struct Category {
    pub(super) name: &'static str,
    /// What has to be known of it there, if anything; else why it cannot occur.
    pub(super) occurs: fn(&Capabilities) -> Result<&'static str, &'static str>,
}

const fn category(
    name: &'static str,
    occurs: fn(&Capabilities) -> Result<&'static str, &'static str>,
) -> Category {
    Category { name, occurs }
}

fn everywhere(_: &Capabilities) -> Result<&'static str, &'static str> {
    Ok("")
}

fn only(can: bool, why_not: &'static str) -> Result<&'static str, &'static str> {
    if can { Ok("") } else { Err(why_not) }
}

fn holds_names(c: &Capabilities) -> bool {
    [FieldName::Name, FieldName::LastName].into_iter().any(|field| c.holds(field))
}

/// What a bank or a card network changed is told of by events that name payment methods.
fn told_of_changes(c: &Capabilities) -> Result<&'static str, &'static str> {
    only(c.events == EventStyle::PaymentMethods, "no event names a payment method")
}

/// In the order of which the first that applies is reported.
pub(super) const ALL: &[Category] = &[
    category("unreadable", everywhere),
    category("in_flight", everywhere),
    category("ambiguous_match", |c| {
        only(c.holds(FieldName::Email) && holds_names(c), "it does not hold name and e-mail")
    }),
    category("duplicate_at_provider", |c| {
        only(c.find != FindBy::UniqueReference, "it keeps the reference unique")
    }),
    category("missing_in_store", everywhere),
    category("missing_at_provider", |c| match c.add_method || c.import_batch.is_some() {
        true => Ok(""),
        false => Ok("of a payment method only the payer can mend it"),
    }),
    category("orphan_method", everywhere),
    category("status_differs", |c| {
        only(c.shows_deleted, "what is deleted is not shown: it is missing_at_provider")
    }),
    category("expired", |c| only(c.method_kinds.contains(&MethodKind::Card), "it holds no cards")),
    category("field_mismatch", |c| match c.update_customer {
        true => Ok(""),
        false => Ok("not mended there: it changes no field"),
    }),
    category("default_differs", |c| {
        only(c.default_readable, "it does not show which is the default")
    }),
    category("reference_changed", everywhere),
    category("unreferenced", everywhere),
    category("stale_elsewhere", |c| {
        let drifts = c.method_kinds.iter().any(|kind| *kind != MethodKind::CryptoWallet);
        only(drifts, "the facts of a wallet never change")
    }),
    category("pan_at_provider", everywhere),
    category("noc_no_effect", told_of_changes),
    category("noc_overdue", |c| {
        told_of_changes(c)?;
        only(c.method_kinds.contains(&MethodKind::BankAccount), "it holds no bank accounts")
    }),
    category("mass_removal", everywhere),
    category("erased_still_at_provider", everywhere),
];
