//! Effects, for people.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use model::{EffectKind, MethodFacts, Summary};
use store::{EffectRecord, EffectState, Unsettled};

/// Effects as a table.
#[must_use]
pub fn effects(effects: &[EffectRecord]) -> String {
    if effects.is_empty() {
        return "nothing is open: the outcome of everything that was sent is known".into();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["effect", "account", "kind", "state", "reference", "sent", "run", "line"]);
    for record in effects {
        let effect = &record.effect;
        table.add_row([
            effect.id.to_string(),
            record.account.to_string(),
            effect.kind.as_str().to_owned(),
            effect.state.as_str().to_owned(),
            effect.reference.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.sent_at.map(|at| at.to_string()).unwrap_or_default(),
            effect.run.to_string(),
            effect.line.map(|line| line.to_string()).unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.to_string()
}

/// One effect: what was sent, what is known of it, and what to do.
#[must_use]
pub fn effect(found: &Unsettled) -> String {
    let (record, effect) = (&found.record, &found.record.effect);
    let mut text = format!("effect {}\n", effect.id);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _infallible = writeln!(text, "  {name:<13}{value}");
        }
    };
    let list = |ids: &[model::RemoteMethodId]| match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(model::RemoteMethodId::as_str).collect::<Vec<_>>().join(", "),
    };
    let origin = effect.origin.map(|origin| format!(" ({})", origin.as_str())).unwrap_or_default();
    line("account", Some(record.account.to_string()));
    line("what", Some(format!("{}, attempt {}", effect.kind.as_str(), effect.attempt)));
    line("state", Some(format!("{}{origin}", effect.state.as_str())));
    line("because", effect.message.clone().or_else(|| effect.code.clone()));
    line("reference", effect.reference.as_ref().map(ToString::to_string));
    let is_add = matches!(effect.kind, EffectKind::AddMethod | EffectKind::ImportMethod);
    // The row's payment method; anything else of the row sends none.
    line("sent", found.facts.as_ref().filter(|_| is_add).map(facts));
    line("customer", effect.remote_customer.as_ref().map(ToString::to_string));
    line("method", effect.remote_method.as_ref().map(ToString::to_string));
    line("known before", record.known_before.as_deref().map(list));
    line("sent at", record.sent_at.map(|at| at.to_string()));
    line("changed at", Some(record.updated_at.to_string()));
    line("request", record.request_id.clone());
    line("status", record.status.map(|status| status.to_string()));
    line(
        "run",
        Some(format!(
            "{}{}",
            effect.run,
            effect.line.map(|line| format!(", line {line}")).unwrap_or_default()
        )),
    );
    let hint = match effect.state {
        EffectState::Unresolved => {
            let named = if is_add { "; with done, --remote-id ID says which it made" } else { "" };
            Some(format!(
                "look at the provider, then: onfile effects resolve {} --as done|absent{named}",
                effect.id
            ))
        }
        EffectState::Unknown | EffectState::Sending => Some(format!(
            "onfile effects settle {} asks the provider; so does the next import",
            record.account
        )),
        EffectState::Planned => Some("the next import sends it".into()),
        EffectState::Done | EffectState::Refused => None,
    };
    if let Some(hint) = hint {
        let _infallible = writeln!(text, "  hint: {hint}");
    }
    text
}

/// Brand and last 4: what a person tells payment methods apart by.
fn facts(facts: &MethodFacts) -> String {
    let last4 = facts.last4().map(|last4| format!(" ending in {}", last4.as_str()));
    let (name, more) = match facts {
        MethodFacts::Card(card) => {
            let expiry = card.expiry.map(|e| format!(", expires {:02}/{}", e.month(), e.year()));
            (card.brand.clone().unwrap_or_else(|| "card".into()), expiry)
        }
        MethodFacts::BankAccount(bank) => {
            let kind = bank.account_type.map(|kind| format!(", {}", kind.as_str()));
            (bank.bank_name.clone().unwrap_or_else(|| "bank account".into()), kind)
        }
        MethodFacts::CryptoWallet(wallet) => {
            (format!("wallet {}", wallet.address), Some(format!(", chain {}", wallet.chain_id)))
        }
    };
    format!("{name}{}{}", last4.unwrap_or_default(), more.unwrap_or_default())
}

/// What settling came to.
#[must_use]
pub fn settled(counts: &[(String, u64)], summary: &Summary) -> String {
    let mut text = String::new();
    for (what, count) in counts.iter().filter(|(_, count)| *count > 0) {
        let _infallible = writeln!(text, "{count:>10} {what}");
    }
    if text.is_empty() {
        text.push_str("nothing to settle: the outcome of everything that was sent is known\n");
    }
    let _infallible = writeln!(text, "  calls {} (run {})", summary.calls.total, summary.run);
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{
        AccountName, CardFacts, EffectId, Expiry, Last4, RemoteMethodId, RunId, Timestamp,
    };
    use store::EffectRow;

    use super::*;

    fn unresolved(kind: EffectKind) -> Unsettled {
        let at = Timestamp::from_micros(0);
        Unsettled {
            record: EffectRecord {
                effect: EffectRow {
                    id: EffectId::new("e_1").expect("an id"),
                    run: RunId::new("01R").expect("an id"),
                    kind,
                    subject: "C-1".into(),
                    reference: None,
                    fp: None,
                    line: Some(3),
                    state: EffectState::Unresolved,
                    attempt: 1,
                    origin: None,
                    remote_customer: None,
                    remote_method: None,
                    code: None,
                    message: Some("two may be it: spm_1, spm_2".into()),
                },
                account: AccountName::new("gov").expect("a name"),
                sent_at: Some(at),
                created_at: at,
                updated_at: at,
                known_before: Some(vec![RemoteMethodId::new("spm_0").expect("an id")]),
                request_id: None,
                status: None,
                idempotency_key: None,
                changes: None,
            },
            age: Duration::ZERO,
            facts: Some(MethodFacts::Card(CardFacts {
                brand: Some("VISA".into()),
                last4: Last4::new("3003").ok(),
                expiry: Expiry::new(12, 2030).ok(),
                ..CardFacts::default()
            })),
            tied: Vec::new(),
        }
    }

    #[test]
    fn an_add_says_what_was_sent_and_how_to_name_what_it_made() {
        insta::assert_snapshot!(effect(&unresolved(EffectKind::ImportMethod)), @r"
        effect e_1
          account      gov
          what         import_method, attempt 1
          state        unresolved
          because      two may be it: spm_1, spm_2
          sent         VISA ending in 3003, expires 12/2030
          known before spm_0
          sent at      1970-01-01T00:00:00.000Z
          changed at   1970-01-01T00:00:00.000Z
          run          01R, line 3
          hint: look at the provider, then: onfile effects resolve e_1 --as done|absent; with done, --remote-id ID says which it made
        ");
        // The card of its row is not what creates a customer.
        let create = effect(&unresolved(EffectKind::CreateCustomer));
        assert!(!create.contains("3003") && !create.contains("--remote-id"), "{create}");
    }
}
