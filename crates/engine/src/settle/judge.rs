//! What a customer's payment methods, read again, say of an effect. Pure (rule 5).

use model::{Agreement, MethodFacts, MethodKind, RemoteMethod, RemoteMethodId};

/// What was sent, and what was known before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Add<'a> {
    pub(super) facts: &'a MethodFacts,
    /// The payment methods that the customer had before it was sent.
    pub(super) before: &'a [RemoteMethodId],
    /// Those that came from other tokens.
    pub(super) tied: &'a [RemoteMethodId],
}

/// What a list says.
#[derive(Debug)]
pub(super) enum Shown<'a> {
    /// It took effect: this is what it made.
    There(&'a RemoteMethod),
    /// Nothing new is there.
    Absent,
    /// It cannot be told.
    Unclear(String),
}

/// The payment methods of a list that were not there before, and came from no other token.
pub(super) fn new_of<'a>(
    before: &'a [RemoteMethodId],
    tied: &'a [RemoteMethodId],
    listed: &'a [RemoteMethod],
) -> impl Iterator<Item = &'a RemoteMethod> {
    listed.iter().filter(|method| !before.contains(&method.id) && !tied.contains(&method.id))
}

/// The new payment methods of a list that may be the one that was sent.
pub(super) fn candidates<'a>(
    sent: Add<'a>,
    listed: &'a [RemoteMethod],
) -> impl Iterator<Item = (&'a RemoteMethod, Agreement)> {
    new_of(sent.before, sent.tied, listed)
        .map(move |method| (method, method.facts.agreement(sent.facts)))
        .filter(|(_, agreement)| *agreement != Agreement::Differs)
}

/// Exactly one new payment method that agrees in every known fact is the one that was sent.
pub(super) fn add<'a>(sent: Add<'a>, listed: &'a [RemoteMethod], unreadable: u64) -> Shown<'a> {
    let (mut agreeing, mut vague) = (Vec::new(), unreadable > 0);
    for (method, agreement) in candidates(sent, listed) {
        match agreement {
            Agreement::Agrees => agreeing.push(method),
            // Some providers show no more than that of a bank account.
            Agreement::TooLittle if is_bank_of_these_digits(&method.facts, sent.facts) => {
                agreeing.push(method);
            }
            Agreement::TooLittle | Agreement::Differs => vague = true,
        }
    }
    match (agreeing.as_slice(), vague) {
        ([one], false) => Shown::There(one),
        ([], false) => Shown::Absent,
        (several, false) => {
            let ids: Vec<&str> = several.iter().map(|method| method.id.as_str()).collect();
            Shown::Unclear(format!(
                "{} new payment methods of this customer agree with what was sent: {}",
                several.len(),
                ids.join(", ")
            ))
        }
        (_, true) => Shown::Unclear(
            "a new payment method of this customer shows too little to tell whether it is the one \
             that was sent"
                .into(),
        ),
    }
}

/// Whether both are bank accounts whose last four digits are known, and equal.
fn is_bank_of_these_digits(listed: &MethodFacts, sent: &MethodFacts) -> bool {
    listed.kind() == MethodKind::BankAccount
        && sent.kind() == MethodKind::BankAccount
        && listed.last4().is_some()
        && listed.last4() == sent.last4()
}

/// What is said of an effect that was sent so often and is taken as refused; `status` is that of the
/// last answer, if there was one.
pub(super) fn never_answered(attempts: i64, status: Option<i64>) -> String {
    let answer = match status {
        Some(status) => {
            format!("last answered with HTTP {status}, which does not say what became of it")
        }
        None => "the last time not answered".into(),
    };
    format!("sent {attempts} times, {answer}, and never there")
}

/// What the default is now says of a default that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DefaultNow {
    /// Ours.
    Ours,
    /// As it was, or it cannot be read: ours may be sent again.
    AsBefore,
    /// A third one: somebody else chose it since.
    Another,
}

/// `before` is the default that was known when ours was sent, if one was.
pub(super) fn default(
    ours: &RemoteMethodId,
    before: &[RemoteMethodId],
    listed: &[RemoteMethod],
) -> DefaultNow {
    match listed.iter().find(|method| method.default == Some(true)) {
        Some(now) if now.id == *ours => DefaultNow::Ours,
        Some(now) if !before.is_empty() && !before.contains(&now.id) => DefaultNow::Another,
        _ => DefaultNow::AsBefore,
    }
}

#[cfg(test)]
mod tests {
    use model::{AccountType, BankFacts, CardFacts, Expiry, Last4};

    use super::*;

    fn id(text: &str) -> RemoteMethodId {
        RemoteMethodId::new(text).expect("valid")
    }

    fn card(last4: &str, year: Option<u32>) -> MethodFacts {
        MethodFacts::Card(CardFacts {
            last4: Last4::new(last4).ok(),
            expiry: year.and_then(|year| Expiry::new(12, year).ok()),
            ..CardFacts::default()
        })
    }

    fn method(name: &str, facts: MethodFacts, default: bool) -> RemoteMethod {
        RemoteMethod {
            id: id(name),
            facts,
            default: Some(default),
            created_at: None,
            attributes: std::collections::BTreeMap::new(),
            credential: None,
        }
    }

    #[test]
    fn one_new_payment_method_that_agrees_is_the_one() {
        let facts = card("4242", Some(2030));
        let listed = [
            method("old", card("4242", Some(2030)), false),
            method("other", card("1881", Some(2030)), false),
            method("tied", card("4242", Some(2030)), false),
            method("new", card("4242", Some(2030)), false),
        ];
        let (before, tied) = ([id("old")], [id("tied")]);
        let sent = Add { facts: &facts, before: &before, tied: &tied };
        assert!(matches!(add(sent, &listed, 0), Shown::There(one) if one.id == id("new")));
        assert!(matches!(add(sent, &listed[..3], 0), Shown::Absent));
        assert!(matches!(add(sent, &[], 0), Shown::Absent));
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_to_a_person() {
        let facts = card("4242", Some(2030));
        let sent = Add { facts: &facts, before: &[], tied: &[] };
        let twice =
            [method("a", card("4242", Some(2030)), false), method("b", facts.clone(), false)];
        // Which they are is said: a person must name one.
        assert!(matches!(add(sent, &twice, 0), Shown::Unclear(why) if why.ends_with(": a, b")));
        // One that shows no expiry may be ours as well.
        let vague = [method("a", card("4242", None), false), method("b", facts.clone(), false)];
        assert!(matches!(add(sent, &vague, 0), Shown::Unclear(_)));
        assert!(matches!(add(sent, &vague[..1], 0), Shown::Unclear(_)));
        // So may one that could not be read at all.
        assert!(matches!(add(sent, &[], 1), Shown::Unclear(_)));
    }

    #[test]
    fn a_new_bank_account_of_these_digits_is_the_one() {
        let bank = |last4: &str, account_type| {
            MethodFacts::BankAccount(BankFacts {
                last4: Last4::new(last4).ok(),
                account_type,
                ..BankFacts::default()
            })
        };
        let facts = bank("6789", Some(AccountType::Checking));
        let sent = Add { facts: &facts, before: &[], tied: &[] };
        let listed =
            [method("a", bank("6789", None), false), method("b", bank("1357", None), false)];
        assert!(matches!(add(sent, &listed[..1], 0), Shown::There(one) if one.id == id("a")));
        assert!(matches!(add(sent, &listed[1..], 0), Shown::Absent));
        let savings = [method("a", bank("6789", Some(AccountType::Savings)), false)];
        assert!(matches!(add(sent, &savings, 0), Shown::Absent));
        let twice =
            [method("a", bank("6789", None), false), method("c", bank("6789", None), false)];
        assert!(matches!(add(sent, &twice, 0), Shown::Unclear(_)));
    }

    #[test]
    fn what_is_taken_as_refused_says_how_it_was_answered() {
        assert_eq!(
            never_answered(3, Some(500)),
            "sent 3 times, last answered with HTTP 500, which does not say what became of it, and \
             never there"
        );
        assert_eq!(
            never_answered(3, None),
            "sent 3 times, the last time not answered, and never there"
        );
    }

    #[test]
    fn a_default_is_ours_as_before_or_anothers() {
        let listed = |default: &str| {
            ["a", "b", "c"].map(|name| method(name, card("4242", None), name == default))
        };
        let (ours, before) = (id("a"), [id("b")]);
        assert_eq!(default(&ours, &before, &listed("a")), DefaultNow::Ours);
        assert_eq!(default(&ours, &before, &listed("b")), DefaultNow::AsBefore);
        assert_eq!(default(&ours, &before, &listed("none")), DefaultNow::AsBefore);
        assert_eq!(default(&ours, &before, &listed("c")), DefaultNow::Another);
        // Where none was known before, there is no choice that could be undone.
        assert_eq!(default(&ours, &[], &listed("c")), DefaultNow::AsBefore);
    }
}
