//! Between the vendor's words and ours, pure: an effect becomes a request, a row becomes a
//! customer or a payment method, an answer becomes an outcome (rule 5).

use std::cell::LazyCell;
use std::collections::BTreeMap;

use backend::{
    Applied, Effect, Endpoint, Endpoints, ItemOutcome, NewMethod, Prepared, Rejection, TokenRoute,
    Verb,
};
use model::{
    AccountType, BankFacts, Bin, CardFacts, Code, EffectKind, Expiry, FieldName, Last4,
    MethodFacts, Profile, RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId,
    RemoteStatus, Token, TokenKind,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use transport::vendor::{Echo, Row, Unfit, encode, prepared, reject, tell_of};

use crate::wire::{self, VENDOR};

pub(crate) const CUSTOMERS: &str = "/api/customers";
pub(crate) const CUSTOMER: &str = "/api/customers/{uid}";
pub(crate) const METHODS: &str = "/api/customers/{uid}/payment-methods";
const METHOD: &str = "/api/customers/{uid}/payment-methods/{saved_payment_method_uid}";
const DEFAULT: &str = "/api/customers/{uid}/default-payment-method";
const IMPORT: &str = "/api/saved-payment-methods/import";

/// The query that finds a customer by our reference (adopted: OData, `'` doubled).
pub(crate) fn find_query(reference: &str) -> String {
    let quoted = reference.replace('\'', "''");
    format!("$filter={}&$top=1", encode(&format!("reference_id eq '{quoted}'")))
}

/// Where calls go. What fetches credentials depends on the configuration.
pub(crate) const ENDPOINTS: Endpoints = Endpoints {
    list_customers: Endpoint::new(Verb::Get, CUSTOMERS),
    get_customer: Some(Endpoint::new(Verb::Get, CUSTOMER)),
    find_customer: Some(Endpoint::new(Verb::Get, CUSTOMERS)),
    list_methods: Some(Endpoint::new(Verb::Get, METHODS)),
    create_customer: Some(Endpoint::new(Verb::Post, CUSTOMERS)),
    update_customer: None,
    add_method: Some(Endpoint::new(Verb::Post, METHODS)),
    import_methods: Some(Endpoint::new(Verb::Post, IMPORT)),
    set_default: Some(Endpoint::new(Verb::Put, DEFAULT)),
    credentials: None,
};

/// Builds the request of an effect. See [`backend::CustomerBackend::prepare`].
pub(crate) fn prepare(effect: &Effect, import_batch: u32) -> Result<Prepared, Rejection> {
    match effect {
        Effect::CreateCustomer { reference, profile } => {
            let name = profile.full_name();
            let body = wire::NewCustomer {
                reference_id: reference.as_str(),
                name: name.as_deref(),
                email: profile.email.as_deref(),
            };
            prepared(effect, Verb::Post, CUSTOMERS, &[], Some(&body))
        }
        Effect::AddMethod(new) => {
            let method = method_out(TokenRoute::Add, &new.facts, new.token.as_ref(), 0)?;
            let body = wire::SaveMethod { payment_method: method };
            prepared(effect, Verb::Post, METHODS, &[new.customer.as_str()], Some(&body))
        }
        Effect::ImportMethods(all) => {
            let most = usize::try_from(import_batch).unwrap_or(usize::MAX);
            if all.is_empty() || all.len() > most {
                let message = format!("a bulk import takes 1 to {most} rows, not {}", all.len());
                return Err(reject(Code::BadValue, most.min(all.len()), message));
            }
            let row = |(item, new): (usize, _)| import_row(new, item);
            let rows = all.iter().enumerate().map(row).collect::<Result<_, _>>()?;
            let body = wire::Import { saved_payment_methods: rows };
            prepared(effect, Verb::Post, IMPORT, &[], Some(&body))
        }
        Effect::SetDefault { customer, method } => {
            let body = wire::SetDefault { saved_payment_method_uid: method.as_str() };
            prepared(effect, Verb::Put, DEFAULT, &[customer.as_str()], Some(&body))
        }
        Effect::RemoveMethod { customer, method } => {
            let ids = [customer.as_str(), method.as_str()];
            prepared(effect, Verb::Delete, METHOD, &ids, None::<&()>)
        }
        Effect::UpdateCustomer { changes, .. } => Err(Rejection {
            field: FieldName::TEXTS.into_iter().find(|field| changes.get(*field).is_some()),
            ..reject(Code::NotUpdatable, 0, "the provider offers no way to change a customer")
        }),
        Effect::DeleteCustomer { .. } => {
            Err(reject(Code::NotUpdatable, 0, "the provider offers no way to delete a customer"))
        }
    }
}

/// See [`backend::CustomerBackend::accepts`].
pub(crate) fn accepts(
    route: TokenRoute,
    facts: &MethodFacts,
    token: Option<&Token>,
) -> Result<(), Rejection> {
    method_out(route, facts, token, 0).map(drop)
}

fn import_row(new: &NewMethod, item: usize) -> Result<wire::ImportRow<'_>, Rejection> {
    Ok(wire::ImportRow {
        customer_uid: new.customer.as_str(),
        payment_method: method_out(TokenRoute::Bulk, &new.facts, new.token.as_ref(), item)?,
        is_default: new.default,
    })
}

/// A payment method as it is sent. Needed (adopted) is what identifies it in the vendor's own
/// list: last4 and expiry of a card, last4 and type of a bank account.
fn method_out<'a>(
    route: TokenRoute,
    facts: &'a MethodFacts,
    token: Option<&'a Token>,
    item: usize,
) -> Result<wire::Method<'a>, Rejection> {
    let takes = match route {
        TokenRoute::Add => TokenKind::Proxynized,
        TokenRoute::Bulk => TokenKind::Processor,
    };
    let missing = |column: &str, what: &str| {
        let message = format!("`{column}` is empty, and the provider needs it to save {what}");
        reject(Code::FieldMissing, item, message)
    };
    let fingerprint = |what: &str| {
        let token = token.ok_or_else(|| missing("token", what))?;
        if token.kind != takes {
            let (takes, is) = (takes.as_str(), token.kind.as_str());
            let message = format!("this call takes a `{takes}` token, not a `{is}` one");
            return Err(reject(Code::TokenKindUnsupported, item, message));
        }
        Some(token.value.expose_secret())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| missing("token", what))
    };
    match facts {
        MethodFacts::Card(card) => {
            let what = "a card";
            let fingerprint = fingerprint(what)?;
            let last4 = card.last4.as_ref().ok_or_else(|| missing("last4", what))?;
            let expiry = card.expiry.ok_or_else(|| missing("exp_month", what))?;
            let credit = wire::Credit {
                fingerprint,
                last4: last4.as_str(),
                exp_month: expiry.month(),
                exp_year: expiry.year(),
                bin: card.bin.as_ref().map(Bin::as_str),
                card_brand: card.brand.as_deref(),
                holder_name: card.holder_name.as_deref(),
            };
            Ok(wire::Method { payment_method_type: "credit", credit: Some(credit), ach: None })
        }
        MethodFacts::BankAccount(bank) => {
            let what = "a bank account";
            let fingerprint = fingerprint(what)?;
            let suffix = bank.last4.as_ref().ok_or_else(|| missing("last4", what))?;
            let account_type = bank.account_type.ok_or_else(|| missing("account_type", what))?;
            let ach = wire::Ach {
                fingerprint,
                routing_number: bank.routing_number.as_deref(),
                account_number_suffix: suffix.as_str(),
                account_type: account_type.as_str(),
                bank_name: bank.bank_name.as_deref(),
                holder_name: bank.holder_name.as_deref(),
            };
            Ok(wire::Method { payment_method_type: "ach", credit: None, ach: Some(ach) })
        }
        MethodFacts::CryptoWallet(_) => {
            let message = "the provider saves cards and bank accounts only";
            Err(reject(Code::MethodKindUnsupported, item, message))
        }
    }
}

/// Reads a customer.
pub(crate) fn customer(value: &Value) -> Result<RemoteCustomer, Unfit> {
    let row = VENDOR.row(value)?;
    let id = row.first_text(wire::CUSTOMER_ID)?.ok_or_else(|| Unfit("it has no id".into()))?;
    Ok(RemoteCustomer {
        id: RemoteCustomerId::new(id).map_err(|bad| Unfit(bad.to_string()))?,
        reference: row.text("reference_id")?,
        profile: Profile {
            name: row.text("name")?,
            email: row.text("email")?,
            ..Profile::default()
        },
        status: RemoteStatus::Live,
        created_at: row.time("created_at"),
        metadata: None,
        methods: None,
    })
}

/// Reads a saved payment method of a list.
pub(crate) fn method(value: &Value) -> Result<RemoteMethod, Unfit> {
    let row = VENDOR.row(value)?;
    Ok(RemoteMethod {
        id: method_id(row, wire::METHOD_ID)?,
        facts: facts(row)?,
        default: row.get("is_default").and_then(Value::as_bool),
        created_at: row.time("created_at"),
        attributes: BTreeMap::new(),
        credential: None,
    })
}

fn method_id(row: Row<'_>, names: &[&str]) -> Result<RemoteMethodId, Unfit> {
    let id = row.first_text(names)?.ok_or_else(|| Unfit("it has no id".into()))?;
    RemoteMethodId::new(id).map_err(|bad| Unfit(bad.to_string()))
}

/// Reads what is known of a payment method: nested under `credit` or `ach`, both perhaps under
/// `payment_method`, or flat.
fn facts(row: Row<'_>) -> Result<MethodFacts, Unfit> {
    let row = row.row("payment_method").unwrap_or(row);
    let (credit, ach) = (row.row("credit"), row.row("ach"));
    let stated = row.first_text(&["payment_method_type", "type"])?;
    match stated.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("credit" | "card") => card(credit.unwrap_or(row)),
        Some("ach") => bank(ach.unwrap_or(row)),
        Some(_) => Err(Unfit("its type is not one that the contract knows".into())),
        None => match (credit, ach) {
            (Some(credit), None) => card(credit),
            (None, Some(ach)) => bank(ach),
            _ => Err(Unfit("it has no type".into())),
        },
    }
}

fn card(row: Row<'_>) -> Result<MethodFacts, Unfit> {
    let expiry = row.number("exp_month")?.zip(row.number("exp_year")?);
    Ok(MethodFacts::Card(CardFacts {
        brand: row.first_text(&["card_brand", "brand"])?,
        bin: row.text("bin")?.and_then(|bin| Bin::new(&bin).ok()),
        last4: last4(row, &["last4"])?,
        expiry: expiry.and_then(|(month, year)| Expiry::new(month, year).ok()),
        holder_name: row.text("holder_name")?,
    }))
}

fn bank(row: Row<'_>) -> Result<MethodFacts, Unfit> {
    Ok(MethodFacts::BankAccount(BankFacts {
        bank_name: row.text("bank_name")?,
        account_type: row.text("account_type")?.and_then(|word| AccountType::parse(&word)),
        routing_number: row.text("routing_number")?,
        last4: last4(row, &["account_number_suffix", "last4"])?,
        holder_name: row.text("holder_name")?,
    }))
}

/// The trailing four digits; a number has lost its leading zeros.
fn last4(row: Row<'_>, names: &[&str]) -> Result<Option<Last4>, Unfit> {
    for name in names {
        if let Some(text) = row.text(name)? {
            let is_number = row.get(name).is_some_and(Value::is_number);
            let text = if is_number { format!("{text:0>4}") } else { text };
            return Ok(Last4::of_masked(text.trim()));
        }
    }
    Ok(None)
}

/// What the answer shows, and where it shows nothing, what was sent: the vendor has accepted it.
fn overlay(shown: MethodFacts, sent: MethodFacts) -> MethodFacts {
    match (shown, sent) {
        (MethodFacts::Card(shown), MethodFacts::Card(sent)) => MethodFacts::Card(CardFacts {
            brand: shown.brand.or(sent.brand),
            bin: shown.bin.or(sent.bin),
            last4: shown.last4.or(sent.last4),
            expiry: shown.expiry.or(sent.expiry),
            holder_name: shown.holder_name.or(sent.holder_name),
        }),
        (MethodFacts::BankAccount(shown), MethodFacts::BankAccount(sent)) => {
            MethodFacts::BankAccount(BankFacts {
                bank_name: shown.bank_name.or(sent.bank_name),
                account_type: shown.account_type.or(sent.account_type),
                routing_number: shown.routing_number.or(sent.routing_number),
                last4: shown.last4.or(sent.last4),
                holder_name: shown.holder_name.or(sent.holder_name),
            })
        }
        (shown, _) => shown,
    }
}

/// A request as it was sent: what its answer is read against.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub kind: EffectKind,
    pub items: usize,
    pub body: &'a [u8],
}

impl Sent<'_> {
    /// What became of each item (rule 5). Not applied is only what the vendor itself says so of;
    /// every 5xx and every answer that is not the vendor's own is unknown.
    pub fn outcomes(self, status: u16, body: &[u8]) -> Vec<ItemOutcome> {
        let all = |outcome: ItemOutcome| vec![outcome; self.items];
        if (200..300).contains(&status) {
            return self.answered(body).unwrap_or_else(|why| {
                all(ItemOutcome::Unknown(format!("HTTP {status}, and {why}")))
            });
        }
        let own = VENDOR.error_of(body);
        let echo = VENDOR.echo_of_body(self.body);
        let imports = self.kind == EffectKind::ImportMethod && self.items > 1;
        all(match (status, own) {
            (404, Some(_)) if self.kind == EffectKind::RemoveMethod => done(Applied::default()),
            (409, own) if self.kind == EffectKind::CreateCustomer => {
                ItemOutcome::Conflict(echo.refusal(own.unwrap_or_default()))
            }
            (413, Some(_)) if imports => ItemOutcome::BatchTooLarge,
            (400 | 422, Some(error))
                if imports && error.code.as_deref() == Some("batch_too_large") =>
            {
                ItemOutcome::BatchTooLarge
            }
            (_, own) => VENDOR.not_done(status, own, &echo),
        })
    }

    /// Reads a 2xx. An answer that does not say what took place is no success.
    fn answered(self, body: &[u8]) -> Result<Vec<ItemOutcome>, &'static str> {
        let one = |applied| Ok(vec![done(applied)]);
        match self.kind {
            EffectKind::CreateCustomer => {
                let answer = self.read(body)?;
                let customer = customer(&answer).map_err(|_| "the answer shows no customer")?;
                one(Applied { customer: Some(customer), ..Applied::default() })
            }
            EffectKind::AddMethod => self.saved(&self.read(body)?).and_then(one),
            EffectKind::ImportMethod => self.imported(&self.read(body)?),
            // What a right answer holds is documented nowhere; a proxy's page is not JSON.
            EffectKind::SetDefault => {
                if body.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
                {
                    one(Applied::default())
                } else {
                    Err("the answer is not JSON")
                }
            }
            EffectKind::RemoveMethod => one(Applied::default()),
            EffectKind::UpdateCustomer | EffectKind::DeleteCustomer => {
                Err("the contract has no such call")
            }
        }
    }

    fn read(self, body: &[u8]) -> Result<Value, &'static str> {
        let (answer, card_numbers_at) = VENDOR.object(body)?;
        tell_of(&card_numbers_at, self.kind.as_str());
        Ok(answer)
    }

    /// The payment method of a save answer, with the permanent token that it carries.
    fn saved(self, answer: &Value) -> Result<Applied, &'static str> {
        let row = VENDOR.row(answer).map_err(|_| "the answer is not an object")?;
        let id =
            method_id(row, wire::SAVED_ID).map_err(|_| "the answer shows no payment method")?;
        let request: Value = serde_json::from_slice(self.body).unwrap_or_default();
        let sent = VENDOR.row(&request).ok();
        let facts = match (facts(row), sent.and_then(|sent| facts(sent).ok())) {
            (Ok(shown), Some(sent)) => overlay(shown, sent),
            (Ok(one), None) | (Err(_), Some(one)) => one,
            (Err(_), None) => return Err("the answer does not say what was saved"),
        };
        let permanent = fingerprint(row).filter(|value| {
            !value.is_empty() && sent.and_then(fingerprint).is_none_or(|sent| sent != *value)
        });
        let credential = permanent.map(|value| Token {
            kind: TokenKind::Processor,
            value: value.into(),
            created_at: None,
        });
        let default = row.get("is_default").and_then(Value::as_bool);
        let created_at = row.time("created_at");
        let method = RemoteMethod {
            id,
            facts,
            default,
            created_at,
            attributes: BTreeMap::new(),
            credential: None,
        };
        Ok(Applied { customer: None, method: Some(method), credential })
    }

    /// A bulk answer, matched by `index` in any order. An index that is missing or answered twice
    /// is unknown; one that was never sent is nobody's.
    fn imported(self, answer: &Value) -> Result<Vec<ItemOutcome>, &'static str> {
        let mut slots: Vec<Option<ItemOutcome>> = vec![None; self.items];
        let request: Value = serde_json::from_slice(self.body).unwrap_or_default();
        let sent = request.get("saved_payment_methods").and_then(Value::as_array);
        let echo = LazyCell::new(|| VENDOR.echo_of_body(self.body));
        let mut foreign = 0_usize;
        for result in wire::bulk(answer)? {
            let Some((index, slot)) =
                result.index.and_then(|index| Some((index, slots.get_mut(index)?)))
            else {
                foreign += 1;
                continue;
            };
            let outcome = match slot {
                None => imported(result, sent.and_then(|rows| rows.get(index)), &echo),
                Some(_) => ItemOutcome::Unknown("the answer has this index twice".into()),
            };
            *slot = Some(outcome);
        }
        if foreign > 0 {
            tracing::warn!(foreign, items = self.items, "a bulk answer has indexes never sent");
        }
        let missing = || ItemOutcome::Unknown("the answer does not have this index".into());
        Ok(slots.into_iter().map(|slot| slot.unwrap_or_else(missing)).collect())
    }
}

/// One result of a bulk answer. Success is only what says so and names what it made.
fn imported(
    result: wire::BulkResult,
    sent: Option<&Value>,
    echo: &LazyCell<Echo, impl FnOnce() -> Echo>,
) -> ItemOutcome {
    let unknown = |why: &str| ItemOutcome::Unknown(why.to_owned());
    let id = result.uid.and_then(|uid| RemoteMethodId::new(uid).ok());
    match (result.status.as_deref(), id) {
        (Some("imported"), Some(id)) => {
            let Some(facts) = sent.and_then(|sent| facts(VENDOR.row(sent).ok()?).ok()) else {
                return unknown("the result answers a row that cannot be read back");
            };
            let facts = as_listed(facts);
            let method = RemoteMethod {
                id,
                facts,
                default: None,
                created_at: None,
                attributes: BTreeMap::new(),
                credential: None,
            };
            done(Applied { method: Some(method), ..Applied::default() })
        }
        (Some("duplicate"), Some(id)) => ItemOutcome::AlreadySaved(id),
        (Some("rejected"), _) => ItemOutcome::Refused(echo.refusal(result.error)),
        (Some("imported" | "duplicate"), None) => unknown("the result names no payment method"),
        (Some(_), _) => unknown("the result has a status that the contract does not know"),
        (None, _) => unknown("the result has no status"),
    }
}

/// What the vendor's list will show of what was sent: never a routing number.
fn as_listed(mut facts: MethodFacts) -> MethodFacts {
    if let MethodFacts::BankAccount(bank) = &mut facts {
        bank.routing_number = None;
    }
    facts
}

fn done(applied: Applied) -> ItemOutcome {
    ItemOutcome::Done(Box::new(applied))
}

/// The token in a request or a save answer.
fn fingerprint(row: Row<'_>) -> Option<&str> {
    let row = row.row("payment_method").unwrap_or(row);
    ["credit", "ach"].iter().find_map(|kind| row.row(kind)?.get("fingerprint")?.as_str())
}

#[cfg(test)]
mod tests;
