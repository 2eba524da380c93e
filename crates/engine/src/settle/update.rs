//! A change of a customer's fields whose answer was lost: it is read back.

use backend::CallCtx;
use model::{Code, Profile};
use store::{Applied, SentChange, Unsettled};

use super::{Said, unread};
use crate::group::value_hash;
use crate::observe::{self, Found};
use crate::{Engine, EngineError};

/// What the fields are now, of those that were sent.
#[derive(Debug, PartialEq, Eq)]
enum Fields {
    /// Ours, every one.
    Ours,
    /// Ours, or as they were before.
    NotAll,
    /// One is neither.
    Another,
}

/// Reads the customer: our values count when they are seen, those from before and somebody else's
/// once the quarantine is over.
pub(super) async fn read_back(
    engine: &Engine,
    ctx: &CallCtx,
    one: &Unsettled,
    due: bool,
) -> Result<Said, EngineError> {
    let effect = &one.record.effect;
    let again = || match due {
        true => Said::Again("what it was to change is read again before anything is sent"),
        false => Said::TooEarly,
    };
    let (Some(customer), Some(reference), Some(changes)) =
        (&effect.remote_customer, &effect.reference, &one.record.changes)
    else {
        return Ok(again());
    };
    let customer = match observe::get(engine, ctx, customer, reference).await {
        Ok(Found::Customer(customer)) => customer,
        // Deciding begins with that.
        Ok(Found::Nobody | Found::Retired | Found::Collision) => return Ok(again()),
        Err(error) => return unread(error, due),
    };
    let hash = |field: &str, value: &str| engine.store.keys().statement_hash(field, value);
    Ok(match fields(changes, &customer.profile, &hash) {
        Fields::Ours => Said::There(Applied::Customer(customer)),
        Fields::NotAll => again(),
        Fields::Another if !due => Said::TooEarly,
        Fields::Another => Said::Person(
            Code::ChangedByOther,
            "somebody changed the customer while ours was on its way".into(),
        ),
    })
}

/// Compares by the keyed hashes that were written down when it was sent.
fn fields(sent: &[SentChange], now: &Profile, hash: &dyn Fn(&str, &str) -> String) -> Fields {
    let mut all = Fields::Ours;
    for change in sent {
        let value = value_hash(now, &change.field, hash);
        if value.as_ref() == Some(&change.after) {
            continue;
        }
        if value != change.before {
            return Fields::Another;
        }
        all = Fields::NotAll;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(field: &str, value: &str) -> String {
        format!("{field}:{value}")
    }

    fn sent(field: &str, before: Option<&str>, after: &str) -> SentChange {
        SentChange {
            field: field.into(),
            before: before.map(|value| hash(field, value)),
            after: hash(field, after),
        }
    }

    #[test]
    fn values_are_ours_those_from_before_or_anothers() {
        let sent = [
            sent("email", Some("old@b.c"), "new@b.c"),
            sent("name", None, "Ada"),
            sent("metadata.tier", Some("silver"), "gold"),
        ];
        let now = |email: &str, name: Option<&str>, tier: &str| Profile {
            email: Some(email.into()),
            name: name.map(str::to_owned),
            metadata: [("tier".to_owned(), tier.to_owned())].into(),
            ..Profile::default()
        };
        let says = |profile: &Profile| fields(&sent, profile, &hash);
        // In the form in which values are compared.
        assert_eq!(says(&now("NEW@b.c", Some(" Ada"), "gold")), Fields::Ours);
        assert_eq!(says(&now("old@b.c", None, "silver")), Fields::NotAll);
        assert_eq!(says(&now("new@b.c", None, "gold")), Fields::NotAll);
        assert_eq!(says(&now("other@b.c", None, "silver")), Fields::Another);
        assert_eq!(says(&now("new@b.c", Some("Eve"), "gold")), Fields::Another);
    }
}
