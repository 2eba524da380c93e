//! One journal row to be: what it does, its intent, the request it becomes.

use backend::{Effect, NewMethod, Rejection};
use model::{
    Code, EffectKind, FieldName, Outcome, Profile, Reference, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, RemoteMethodId, TokenKind,
};
use store::{Fence, Intent, SentChange, StagedMethod, StagedRow, TokenFp, Verdict};
use uuid::Uuid;

use crate::group::Update;
use crate::{Engine, EngineError};

/// Whose row an item is: the place of its work and of its row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) work: usize,
    pub(crate) row: usize,
}

/// One journal row to be.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) target: Target,
    pub(crate) reference: Reference,
    pub(crate) what: What,
    /// Which attempt is on its way, once its intent is committed: one before it may have taken effect.
    pub(crate) attempt: i64,
    /// Whether nothing is known of an attempt before this one, and it is sent all the same: it may still
    /// take effect, whatever becomes of this one.
    pub(crate) repeats: bool,
}

/// What an item does.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Create {
        line: u64,
        profile: Box<Profile>,
    },
    Save {
        row: Box<StagedRow>,
        customer: RemoteCustomerId,
        known: Vec<RemoteMethodId>,
        bulk: bool,
    },
    Update {
        line: u64,
        customer: RemoteCustomerId,
        update: Box<Update>,
    },
    SetDefault {
        line: u64,
        customer: RemoteCustomerId,
        method: RemoteMethodId,
        /// The default that is known by now.
        before: Option<RemoteMethodId>,
    },
}

/// What became of an item.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    Created(RemoteCustomerId),
    /// It was sent before with the same key, and this may be the answer of then.
    Repeated(Box<RemoteCustomer>),
    /// It was there, as it is.
    Found(Box<RemoteCustomer>),
    /// It was there, and an earlier attempt of ours was not answered.
    FoundLater(Box<RemoteCustomer>),
    Updated,
    Saved(EffectKind, RemoteMethodId),
    /// It was saved under this customer already, as it is now.
    Duplicate(Box<RemoteMethod>),
    DefaultSet,
    /// It was sent, and nothing is known of it yet.
    Unheard,
    Ended(Verdict),
}

impl Item {
    pub(super) fn kind(&self) -> EffectKind {
        match &self.what {
            What::Create { .. } => EffectKind::CreateCustomer,
            What::Save { bulk: true, .. } => EffectKind::ImportMethod,
            What::Save { bulk: false, .. } => EffectKind::AddMethod,
            What::Update { .. } => EffectKind::UpdateCustomer,
            What::SetDefault { .. } => EffectKind::SetDefault,
        }
    }

    /// As the journal has it before it is sent. Where the provider takes keys, it is made a new one;
    /// the store says whether an earlier one is still good.
    pub(super) fn intent(&self, engine: &Engine) -> Intent {
        let capabilities = engine.account.capabilities();
        let key = capabilities.idempotency_keys.then(|| Uuid::new_v4().to_string());
        let blank = Intent {
            kind: self.kind(),
            subject: self.reference.to_string(),
            reference: Some(self.reference.clone()),
            fp: None,
            line: None,
            remote_customer: None,
            remote_method: None,
            known_before: None,
            idempotency_key: key,
            changes: None,
            repeats: self.repeats,
        };
        match &self.what {
            What::Create { line, profile } => {
                let changes = blank.idempotency_key.is_some().then(|| vec![body(engine, profile)]);
                Intent { line: Some(*line), changes, ..blank }
            }
            What::Save { row, customer, known, .. } => {
                let fp = row.method.as_ref().and_then(|m| m.sealed.as_ref()).map(|t| t.fp);
                let key = fp.map_or_else(|| row.line.to_string(), TokenFp::to_hex);
                Intent {
                    subject: format!("{}/{key}", self.reference),
                    fp,
                    line: Some(row.line),
                    remote_customer: Some(customer.clone()),
                    known_before: Some(known.clone()),
                    ..blank
                }
            }
            What::Update { line, customer, update } => Intent {
                changes: Some(update.hashes.clone()),
                subject: customer.to_string(),
                line: Some(*line),
                remote_customer: Some(customer.clone()),
                ..blank
            },
            What::SetDefault { line, customer, method, before } => Intent {
                known_before: Some(before.iter().cloned().collect()),
                subject: customer.to_string(),
                line: Some(*line),
                remote_customer: Some(customer.clone()),
                remote_method: Some(method.clone()),
                ..blank
            },
        }
    }
}

/// What a create sends, as a keyed hash of all of it.
fn body(engine: &Engine, profile: &Profile) -> SentChange {
    let whole = serde_json::to_string(profile).unwrap_or_default();
    let after = engine.store.keys().statement_hash("customer", &whole);
    SentChange { field: "customer".into(), before: None, after }
}

/// The payment method of a staged row, with its token in the clear: only right before a request
/// is built.
fn new_method(
    engine: &Engine,
    fence: &Fence,
    row: &StagedRow,
    customer: RemoteCustomerId,
) -> Result<NewMethod, EngineError> {
    let Some(StagedMethod { facts, billing, default, sealed, .. }) = row.method.as_deref() else {
        return Err(EngineError::Broken("a row without a payment method is to be saved"));
    };
    let token = match sealed {
        Some(sealed) if sealed.kind != TokenKind::Address => {
            Some(engine.store.keys().open_token(&fence.run, row.line, sealed)?)
        }
        _ => None,
    };
    Ok(NewMethod {
        customer,
        facts: facts.clone(),
        token,
        billing: billing.clone(),
        default: *default == Some(true),
    })
}

/// The call that carries out these items: one, or many that go in one bulk call.
pub(super) fn effect_of(
    engine: &Engine,
    fence: &Fence,
    items: &[Item],
) -> Result<Effect, EngineError> {
    let first = items.first().ok_or(EngineError::Broken("a call without items"))?;
    Ok(match &first.what {
        What::Create { profile, .. } => Effect::CreateCustomer {
            reference: first.reference.clone(),
            profile: (**profile).clone(),
        },
        What::Update { customer, update, .. } => Effect::UpdateCustomer {
            customer: customer.clone(),
            changes: update.changes.clone(),
            metadata: update.metadata.clone(),
        },
        What::SetDefault { customer, method, .. } => {
            Effect::SetDefault { customer: customer.clone(), method: method.clone() }
        }
        What::Save { row, customer, bulk: false, .. } => {
            Effect::AddMethod(new_method(engine, fence, row, customer.clone())?)
        }
        What::Save { bulk: true, .. } => {
            let mut methods = Vec::with_capacity(items.len());
            for item in items {
                if let What::Save { row, customer, .. } = &item.what {
                    methods.push(new_method(engine, fence, row, customer.clone())?);
                }
            }
            Effect::ImportMethods(methods)
        }
    })
}

/// A verdict for a rejection by the adapter. The column is the field's, or the one that the code
/// or the beginning of the message names.
pub(crate) fn rejected(rejection: &Rejection) -> Verdict {
    let named = || match rejection.code {
        Code::MethodKindUnsupported => Some("method"),
        Code::TokenKindUnsupported => Some("token_kind"),
        Code::FieldMissing | Code::BadValue => {
            rejection.message.strip_prefix('`')?.split('`').next()
        }
        _ => None,
    };
    let field = rejection.field.map(FieldName::as_str).or_else(named);
    Verdict {
        field: field.map(str::to_owned),
        ..Verdict::with(Outcome::Rejected, rejection.code, rejection.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_its_column() {
        let column = |code, field, message: &str| {
            rejected(&Rejection { code, field, message: message.into(), item: 0 }).field
        };
        let email = Some(FieldName::Email);
        for (code, field, message, expected) in [
            (Code::FieldLength, email, "`name` is long", Some("email")),
            (Code::MethodKindUnsupported, None, "cards only", Some("method")),
            (Code::TokenKindUnsupported, None, "no token", Some("token_kind")),
            (Code::FieldMissing, None, "`last4` is empty", Some("last4")),
            (Code::BadValue, None, "`wallet_address` is none", Some("wallet_address")),
            (Code::BadValue, None, "an id with a `.`", None),
            (Code::NotUpdatable, None, "`default` cannot be", None),
        ] {
            assert_eq!(column(code, field, message).as_deref(), expected, "{code} {message}");
        }
    }
}
