//! Between the vendor's words and ours, pure: an effect becomes a request, a row becomes a
//! customer or a payment method, an answer becomes an outcome (rule 5).

use std::collections::BTreeMap;

use backend::{
    Applied, Effect, Endpoint, Endpoints, FieldRule, ItemOutcome, NewMethod, Prepared, Rejection,
    TokenRoute, Verb,
};
use model::{
    Address, BankFacts, CardFacts, Code, EffectKind, Expiry, FieldName, MethodFacts, Profile,
    Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId, RemoteStatus, Token,
    TokenKind,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use transport::vendor::{Row, Unfit, check_fields, prepared, reject};

use crate::config::{Casing, ReferenceField};
use crate::wire::{self, ECRYPT, Object};

pub(crate) const CUSTOMERS: &str = "/v1/customers";
pub(crate) const CUSTOMER: &str = "/v1/customers/{id}";
pub(crate) const METHODS: &str = "/v1/customers/{id}/wallet";
const METHOD: &str = "/v1/customers/{id}/wallet/{walletId}";

/// The greatest page that the vendor gives.
pub(crate) const MOST_ROWS: u32 = 100;

/// Where calls go.
pub(crate) const ENDPOINTS: Endpoints = Endpoints {
    list_customers: Endpoint::new(Verb::Get, CUSTOMERS),
    get_customer: Some(Endpoint::new(Verb::Get, CUSTOMER)),
    find_customer: None,
    list_methods: Some(Endpoint::new(Verb::Get, METHODS)),
    create_customer: Some(Endpoint::new(Verb::Post, CUSTOMERS)),
    update_customer: None,
    add_method: Some(Endpoint::new(Verb::Post, METHODS)),
    import_methods: None,
    set_default: Some(Endpoint::new(Verb::Put, METHOD)),
    credentials: None,
};

/// The fields whose characters the vendor restricts.
pub(crate) const ASCII_FIELDS: &[FieldName] =
    &[FieldName::FirstName, FieldName::LastName, FieldName::Company];

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

const fn rule(field: FieldName, max: Option<usize>) -> FieldRule {
    FieldRule { field, min: 1, max, required: false }
}

/// The vendor states no other limits.
pub(crate) const FIELDS: &[FieldRule] = &[
    rule(FieldName::FirstName, Some(LONGEST_NAME)),
    rule(FieldName::LastName, Some(LONGEST_NAME)),
    rule(FieldName::Company, Some(LONGEST_NAME)),
    rule(FieldName::Email, None),
    rule(FieldName::Phone, None),
    rule(FieldName::Line1, None),
    rule(FieldName::Line2, None),
    rule(FieldName::City, None),
    rule(FieldName::State, None),
    rule(FieldName::PostalCode, None),
    rule(FieldName::Country, None),
    rule(FieldName::Metadata, None),
];

/// The query of the page that begins after `rows` rows, with at most `size`.
///
/// The vendor numbers pages, so a page begins at a multiple of its size. Where `rows` is none of
/// `size`, because a page before came short, the greatest smaller size is taken of which it is one:
/// nothing is skipped or read twice, and only the vendor's own empty page is the end.
pub(crate) fn page_query(rows: u64, size: u32) -> String {
    let most = u64::from(size.clamp(1, MOST_ROWS));
    let size = (1..=most).rev().find(|size| rows.is_multiple_of(*size)).unwrap_or(1);
    format!("Page={}&Size={size}", rows / size + 1)
}

/// What of an account decides how its customers are written and read.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub casing: Casing,
    pub reference_field: ReferenceField,
}

impl Mapping {
    /// Builds the request of an effect. See [`backend::CustomerBackend::prepare`].
    pub fn prepare(&self, effect: &Effect) -> Result<Prepared, Rejection> {
        match effect {
            Effect::CreateCustomer { reference, profile } => {
                check_fields(FIELDS, profile)?;
                check_characters(profile)?;
                let body = self.new_customer(reference, profile)?;
                prepared(effect, Verb::Post, CUSTOMERS, &[], Some(&body))
            }
            Effect::AddMethod(new) => {
                let body = self.new_method(new)?;
                prepared(effect, Verb::Post, METHODS, &[new.customer.as_str()], Some(&body))
            }
            Effect::ImportMethods(_) => Err(no_bulk()),
            Effect::SetDefault { customer, method } => {
                let ids = [customer.as_str(), method.as_str()];
                let body = Object::new(self.casing).flag("default", true);
                prepared(effect, Verb::Put, METHOD, &ids, Some(&body))
            }
            Effect::RemoveMethod { customer, method } => {
                let ids = [customer.as_str(), method.as_str()];
                prepared(effect, Verb::Delete, METHOD, &ids, None::<&()>)
            }
            Effect::DeleteCustomer { customer } => {
                prepared(effect, Verb::Delete, CUSTOMER, &[customer.as_str()], None::<&()>)
            }
            Effect::UpdateCustomer { changes, .. } => {
                let text = FieldName::TEXTS.into_iter().find(|field| changes.get(*field).is_some());
                let metadata = (!changes.metadata.is_empty()).then_some(FieldName::Metadata);
                let message = "the provider offers no way to change a customer";
                let rejection = reject(Code::NotUpdatable, 0, message);
                Err(Rejection { field: text.or(metadata), ..rejection })
            }
        }
    }

    fn new_customer<'a>(
        &'a self,
        reference: &'a Reference,
        profile: &'a Profile,
    ) -> Result<Object<'a>, Rejection> {
        let mut metadata: BTreeMap<&str, &str> =
            profile.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let identifier = match &self.reference_field {
            ReferenceField::MerchantIdentifier => Some(reference.as_str()),
            ReferenceField::Metadata(key) => {
                let stated = metadata.insert(key, reference.as_str());
                if stated.is_some_and(|stated| stated != reference.as_str()) {
                    let message = format!(
                        "`metadata.{key}` is where the reference is kept, and holds something else"
                    );
                    let rejection = reject(Code::BadValue, 0, message);
                    return Err(Rejection { field: Some(FieldName::Metadata), ..rejection });
                }
                None
            }
        };
        Ok(Object::new(self.casing)
            .text("first_name", profile.first_name.as_deref())
            .text("last_name", profile.last_name.as_deref())
            .text("company", profile.company.as_deref())
            .text("email_address", profile.email.as_deref())
            .text("phone_number", profile.phone.as_deref())
            .text("merchant_identifier", identifier)
            .object("shipping_address", self.address(&profile.address))
            .own("metadata", metadata.into_iter().collect()))
    }

    fn address<'a>(&self, address: &'a Address) -> Object<'a> {
        Object::new(self.casing)
            .text("line1", address.line1.as_deref())
            .text("line2", address.line2.as_deref())
            .text("city", address.city.as_deref())
            .text("state", address.state.as_deref())
            .text("postal_code", address.postal_code.as_deref())
            .text("country", address.country.as_deref())
    }

    fn new_method<'a>(&self, new: &'a NewMethod) -> Result<Object<'a>, Rejection> {
        let (property, token) = token(TokenRoute::Add, &new.facts, new.token.as_ref())?;
        Ok(Object::new(self.casing)
            .text(property, Some(token))
            .flag("default", new.default)
            .object("billing_address", self.address(&new.billing)))
    }

    /// Reads a customer.
    pub fn customer(&self, value: &Value) -> Result<RemoteCustomer, Unfit> {
        let row = ECRYPT.row(value)?;
        let id = RemoteCustomerId::new(id(row)?).map_err(|bad| Unfit(bad.to_string()))?;
        let mut metadata: BTreeMap<String, String> = wire::metadata(row).collect();
        let reference = match &self.reference_field {
            ReferenceField::MerchantIdentifier => row.text("merchant_identifier")?,
            ReferenceField::Metadata(key) => metadata.remove(key),
        };
        let address = match row.row("shipping_address") {
            Some(row) => Address {
                line1: row.text("line1")?,
                line2: row.text("line2")?,
                city: row.text("city")?,
                state: row.text("state")?,
                postal_code: row.text("postal_code")?,
                country: row.text("country")?,
            },
            None => Address::default(),
        };
        let profile = Profile {
            first_name: row.text("first_name")?,
            last_name: row.text("last_name")?,
            company: row.text("company")?,
            email: row.text("email_address")?,
            phone: row.text("phone_number")?,
            address,
            metadata,
            ..Profile::default()
        };
        Ok(RemoteCustomer {
            id,
            reference,
            profile,
            status: RemoteStatus::Live,
            created_at: row.time("created"),
            metadata: None,
            methods: None,
        })
    }
}

fn no_bulk() -> Rejection {
    reject(Code::TokenKindUnsupported, 0, "the provider saves one payment method in a call")
}

/// Names and companies: `^[0-9A-Za-z _\-\.,`'()@#!?\/\\:;|+=@%&]*$`.
fn is_taken(c: char) -> bool {
    c.is_ascii_alphanumeric() || r" _-.,`'()@#!?/\:;|+=%&".contains(c)
}

fn check_characters(profile: &Profile) -> Result<(), Rejection> {
    for field in ASCII_FIELDS {
        let Some(other) = profile.get(*field).and_then(|text| text.chars().find(|c| !is_taken(*c)))
        else {
            continue;
        };
        let message = format!(
            "`{}` has {other:?}; the provider takes letters from A to Z, digits, spaces and \
             _-.,`'()@#!?/\\:;|+=%&",
            field.as_str()
        );
        let rejection = reject(Code::FieldCharset, 0, message);
        return Err(Rejection { field: Some(*field), ..rejection });
    }
    Ok(())
}

/// The property and the value of a token that can be sent. See
/// [`backend::CustomerBackend::accepts`].
pub(crate) fn token<'a>(
    route: TokenRoute,
    facts: &MethodFacts,
    token: Option<&'a Token>,
) -> Result<(&'static str, &'a str), Rejection> {
    if matches!(facts, MethodFacts::CryptoWallet(_)) {
        let message = "the provider saves cards and bank accounts only";
        return Err(reject(Code::MethodKindUnsupported, 0, message));
    }
    if route == TokenRoute::Bulk {
        return Err(no_bulk());
    }
    let stated = token.map(|token| (token.kind, token.value.expose_secret()));
    let Some((kind, value)) = stated.filter(|(_, value)| !value.is_empty()) else {
        let message = "`token` is empty, and the provider needs it to save a payment method";
        return Err(reject(Code::FieldMissing, 0, message));
    };
    match kind {
        TokenKind::Gateway => Ok(("token", value)),
        TokenKind::Transaction => Ok(("transaction_id", value)),
        TokenKind::Processor | TokenKind::Proxynized | TokenKind::Address => {
            let kind = kind.as_str();
            let message = format!(
                "the provider takes a `gateway` or `transaction` token, not a `{kind}` one"
            );
            Err(reject(Code::TokenKindUnsupported, 0, message))
        }
    }
}

fn id(row: Row<'_>) -> Result<String, Unfit> {
    row.first_text(wire::ID)?.ok_or_else(|| Unfit("it has no id".into()))
}

/// Reads a payment method of a wallet.
pub(crate) fn method(value: &Value) -> Result<RemoteMethod, Unfit> {
    let row = ECRYPT.row(value)?;
    Ok(RemoteMethod {
        id: RemoteMethodId::new(id(row)?).map_err(|bad| Unfit(bad.to_string()))?,
        facts: facts(row)?,
        default: row.get("default").and_then(Value::as_bool),
        created_at: row.time("created"),
        attributes: BTreeMap::new(),
        credential: None,
    })
}

/// Nothing says whether it is a card. Adopted: what has a network that the vendor documents, or an
/// expiry, is one; all else is a bank account.
fn facts(row: Row<'_>) -> Result<MethodFacts, Unfit> {
    let brand = row.text("network")?;
    let last4 = wire::digits(row, "account_number").as_deref().and_then(wire::last4);
    // Zeros are what some systems write where there is none.
    let stated = wire::digits(row, "expiry")
        .filter(|text| text.bytes().any(|b| b.is_ascii_digit() && b != b'0'));
    if stated.is_none() && !brand.as_deref().is_some_and(wire::is_card_network) {
        return Ok(MethodFacts::BankAccount(BankFacts { last4, ..BankFacts::default() }));
    }
    let expiry = stated.as_deref().and_then(expiry);
    Ok(MethodFacts::Card(CardFacts { brand, last4, expiry, ..CardFacts::default() }))
}

/// `MMYY`, `MM/YY`, `MM/YYYY`, `YYYY-MM`; anything else is not known.
fn expiry(text: &str) -> Option<Expiry> {
    let (month, year) = match (text.split_once('/'), text.split_once('-')) {
        (Some((month, year)), None) if matches!(year.len(), 2 | 4) => (month, year),
        (None, Some((year, month))) if year.len() == 4 => (month, year),
        (None, None) if text.len() == 4 => text.split_at_checked(2)?,
        _ => return None,
    };
    let number = |text: &str| {
        let digits = matches!(text.len(), 1..=4) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Expiry::new(number(month)?, number(year)?).ok()
}

/// A request as it was sent: what its answer is read against.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub mapping: &'a Mapping,
    pub kind: EffectKind,
    pub body: &'a [u8],
}

impl Sent<'_> {
    /// What became of it (rule 5).
    pub fn outcome(self, status: u16, body: &[u8]) -> ItemOutcome {
        let own = ECRYPT.error_of(body);
        let echo = || ECRYPT.echo_of_body(self.body);
        let removes = matches!(self.kind, EffectKind::RemoveMethod | EffectKind::DeleteCustomer);
        match (status, own) {
            (200..=299, Some(error)) => ItemOutcome::Refused(echo().refusal(error)),
            (200..=299, None) => match self.answered(body) {
                Ok(applied) => ItemOutcome::Done(Box::new(applied)),
                Err(why) => ItemOutcome::Unknown(format!("HTTP {status}, and {why}")),
            },
            (404, Some(_)) if removes => ItemOutcome::Done(Box::default()),
            (status, own) => ECRYPT.not_done(status, own, &echo()),
        }
    }

    /// Reads a 2xx. An answer that does not say what took place is no success.
    fn answered(self, body: &[u8]) -> Result<Applied, &'static str> {
        let shows = matches!(self.kind, EffectKind::CreateCustomer | EffectKind::AddMethod);
        if body.is_empty() && !shows {
            return Ok(Applied::default());
        }
        let (answer, card_numbers_at) = ECRYPT.object(body)?;
        if !card_numbers_at.is_empty() {
            tracing::warn!(kind = %self.kind, paths = ?card_numbers_at, "dropped card numbers");
        }
        let answer = ECRYPT.row(&answer).map_err(|_| "the answer is not an object")?;
        if wire::has_errors(answer) {
            return Err(wire::STRANGE_ERRORS);
        }
        match self.kind {
            EffectKind::CreateCustomer => {
                let customer = wire::one(answer, "customer", "customers")?
                    .and_then(|shown| self.mapping.customer(shown).ok());
                let customer = Some(customer.ok_or("the answer shows no customer")?);
                Ok(Applied { customer, ..Applied::default() })
            }
            EffectKind::AddMethod => {
                let method =
                    wire::one(answer, "wallet", "wallet")?.and_then(|shown| method(shown).ok());
                let method = Some(method.ok_or("the answer shows no payment method")?);
                Ok(Applied { method, ..Applied::default() })
            }
            EffectKind::SetDefault => match wire::one(answer, "wallet", "wallet") {
                Ok(Some(shown))
                    if method(shown).is_ok_and(|shown| shown.default == Some(false)) =>
                {
                    Err("the answer shows that it is not the default")
                }
                _ => Ok(Applied::default()),
            },
            EffectKind::RemoveMethod | EffectKind::DeleteCustomer => Ok(Applied::default()),
            EffectKind::UpdateCustomer | EffectKind::ImportMethod => {
                Err("the contract has no such call")
            }
        }
    }
}

#[cfg(test)]
mod tests;
