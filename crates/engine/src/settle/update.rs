//! A change of a customer's fields whose answer was lost: it is read back.

use backend::CallCtx;
use model::{Code, FieldName, Profile, normal};
use store::{Applied, SentChange, Unsettled};

use super::{Said, unread};
use crate::group::value_hash;
use crate::observe::{self, Found};
use crate::{Engine, EngineError};

/// A national number has more digits than this.
const LEAST_NATIONAL: usize = 6;

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

/// The forms in which a phone number is alike to one of these digits, as [`model::alike`] has it: without
/// its country's code, or with any.
fn alike_phones(digits: &str) -> impl Iterator<Item = String> {
    let national = digits.trim_start_matches('0').to_owned();
    let is_long = national.len() > LEAST_NATIONAL;
    let longer = (1..=3_u32)
        .flat_map(|width| (0..10_u32.pow(width)).map(move |code| (code, width as usize)))
        .map(move |(code, width)| format!("{code:0width$}{national}"));
    let shorter = (1..=3).filter_map(|code| digits.get(code..));
    let shorter = shorter.filter(|rest| {
        let national = rest.trim_start_matches('0').len();
        national > LEAST_NATIONAL && digits.len() <= national + 3
    });
    let shorter: Vec<String> =
        shorter.flat_map(|rest| [rest.to_owned(), format!("0{rest}")]).collect();
    shorter.into_iter().chain(longer.filter(move |_| is_long))
}

/// Compares by the keyed hashes that were written down when it was sent: exactly first, since what was
/// there before may be alike to ours.
fn fields(sent: &[SentChange], now: &Profile, hash: &dyn Fn(&str, &str) -> String) -> Fields {
    let mut all = Fields::Ours;
    for change in sent {
        let value = value_hash(now, &change.field, hash);
        let phone = now.get(FieldName::Phone).filter(|_| change.field == FieldName::Phone.as_str());
        let phone = phone.map(|phone| normal(FieldName::Phone, phone));
        let alike = |sent: &str| {
            phone.as_deref().is_some_and(|phone| {
                alike_phones(phone).any(|form| hash(&change.field, &form) == sent)
            })
        };
        let is_ours = value.as_ref() == Some(&change.after);
        let is_before = value == change.before;
        if is_ours || (!is_before && alike(&change.after)) {
            continue;
        }
        if !is_before && !change.before.as_deref().is_some_and(alike) {
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
    fn a_phone_number_is_ours_with_and_without_its_countrys_code() {
        let sent = [sent("phone", Some("44207946000"), "15550100200")];
        let says = |phone: &str| {
            let now = Profile { phone: Some(phone.into()), ..Profile::default() };
            fields(&sent, &now, &hash)
        };
        for ours in ["+1 555 010 0200", "5550100200", "05550100200", "0015550100200"] {
            assert_eq!(says(ours), Fields::Ours, "{ours}");
        }
        for before in ["+44 207 946000", "0207946000"] {
            assert_eq!(says(before), Fields::NotAll, "{before}");
        }
        for other in ["15550100201", "100200", "555"] {
            assert_eq!(says(other), Fields::Another, "{other}");
        }
        // What was there before is alike to ours, and ours never arrived.
        let sent = [self::sent("phone", Some("5550100200"), "15550100200")];
        let says = |phone: &str| {
            let now = Profile { phone: Some(phone.into()), ..Profile::default() };
            fields(&sent, &now, &hash)
        };
        assert_eq!(says("555 010 0200"), Fields::NotAll);
        for ours in ["+1 555 010 0200", "0555 010 0200"] {
            assert_eq!(says(ours), Fields::Ours, "{ours}");
        }
        // Whatever is alike has one of these forms.
        for (now, sent) in [
            ("15550100200", "5550100200"),
            ("5550100200", "0385550100200"),
            ("15550100200", "05550100200"),
            ("05550100200", "15550100200"),
        ] {
            let mut forms = alike_phones(now);
            assert!(model::alike(FieldName::Phone, now, sent) && forms.any(|form| form == sent));
        }
        let other = |form: &String| !model::alike(FieldName::Phone, "15550100200", form);
        assert_eq!(alike_phones("15550100200").find(other), None);
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
