//! Between the vendor's words and ours, pure: an effect becomes a request, a row becomes a
//! customer or a payment method, an answer becomes an outcome (rule 5).

use std::collections::BTreeMap;

use backend::{
    Applied, Effect, Endpoint, Endpoints, FieldRule, ItemOutcome, Prepared, Rejection, Verb,
};
use model::{
    Address, Bin, CardFacts, Code, EffectKind, Expiry, FieldName, Last4, MethodFacts, Profile,
    Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId, RemoteStatus, Token,
    TokenKind, brand_of,
};
use serde_json::Value;
use transport::vendor::{Row, Unfit, check_fields, path, prepared, reject, tell_of};

use crate::wire::{self, VENDOR};

pub(crate) const CUSTOMERS: &str = "/v2/customers";
pub(crate) const CUSTOMER: &str = "/v2/customers/{uuid}";
pub(crate) const BY_REFERENCE: &str = "/v2/merchants/customers/{merchant_customer_id}";
pub(crate) const METHODS: &str = "/v2/customers/{uuid}/payment-methods";

/// The longest `merchant_customer_id`, in characters.
const REFERENCE_MOST: usize = 100;

/// What the vendor documents; all of it is optional.
pub(crate) const FIELDS: &[FieldRule] = &[
    field(FieldName::Name, 1, 50),
    field(FieldName::Email, 1, 200),
    field(FieldName::Phone, 1, 30),
    field(FieldName::Description, 1, 200),
    field(FieldName::Line1, 3, 100),
    field(FieldName::City, 3, 30),
    field(FieldName::PostalCode, 1, 9),
    field(FieldName::Country, 2, 2),
    FieldRule { field: FieldName::Metadata, min: 0, max: None, required: false },
];

const fn field(field: FieldName, min: usize, max: usize) -> FieldRule {
    FieldRule { field, min, max: Some(max), required: false }
}

/// Where calls go.
pub(crate) const ENDPOINTS: Endpoints = Endpoints {
    list_customers: Endpoint::new(Verb::Get, CUSTOMERS),
    get_customer: Some(Endpoint::new(Verb::Get, CUSTOMER)),
    find_customer: Some(Endpoint::new(Verb::Get, BY_REFERENCE)),
    list_methods: Some(Endpoint::new(Verb::Get, METHODS)),
    create_customer: Some(Endpoint::new(Verb::Post, CUSTOMERS)),
    update_customer: Some(Endpoint::new(Verb::Post, CUSTOMER)),
    add_method: None,
    import_methods: None,
    set_default: None,
    credentials: None,
};

/// Builds the request of an effect. See [`backend::CustomerBackend::prepare`].
pub(crate) fn prepare(effect: &Effect) -> Result<Prepared, Rejection> {
    match effect {
        Effect::CreateCustomer { reference, profile } => {
            check_reference(reference)?;
            let body = body(Some(reference.as_str()), profile)?;
            prepared(effect, Verb::Post, CUSTOMERS, &[], Some(&body))
        }
        Effect::UpdateCustomer { customer, changes, .. } => {
            let body = body(None, changes)?;
            prepared(effect, Verb::Post, CUSTOMER, &[customer.as_str()], Some(&body))
        }
        Effect::DeleteCustomer { customer } => {
            prepared(effect, Verb::Delete, CUSTOMER, &[customer.as_str()], None::<&()>)
        }
        Effect::AddMethod(_) | Effect::ImportMethods(_) => Err(not_portable()),
        Effect::SetDefault { .. } => {
            Err(reject(Code::NotUpdatable, 0, "the provider has no default payment method"))
        }
        Effect::RemoveMethod { .. } => {
            let message = "the provider offers no way to remove a payment method";
            Err(reject(Code::NotUpdatable, 0, message))
        }
    }
}

/// Why no payment method can be saved here, whatever it is.
pub(crate) fn not_portable() -> Rejection {
    reject(Code::NotPortable, 0, "needs a payment with tokenisation at v2")
}

/// What can be found again by our reference: a lost create is settled by that.
fn check_reference(reference: &Reference) -> Result<(), Rejection> {
    let length = reference.as_str().chars().count();
    if length > REFERENCE_MOST {
        let message = format!(
            "`reference` has {length} characters; the provider takes 1 to {REFERENCE_MOST}"
        );
        return Err(reject(Code::FieldLength, 0, message));
    }
    path(BY_REFERENCE, &[reference.as_str()]).map(drop).ok_or_else(|| {
        reject(Code::BadValue, 0, "the reference cannot stand in the path of a request")
    })
}

fn body<'a>(
    reference: Option<&'a str>,
    profile: &'a Profile,
) -> Result<wire::Customer<'a>, Rejection> {
    check_fields(FIELDS, profile)?;
    let country = profile.address.country.as_deref();
    if country.is_some_and(|country| !country.bytes().all(|b| b.is_ascii_alphabetic())) {
        return Err(Rejection {
            field: Some(FieldName::Country),
            ..reject(Code::FieldCharset, 0, "`country` must be two letters (ISO 3166-1 alpha-2)")
        });
    }
    Ok(wire::Customer {
        merchant_customer_id: reference,
        description: profile.description.as_deref(),
        email: profile.email.as_deref(),
        name: profile.name.as_deref(),
        phone: profile.phone.as_deref(),
        metadata: &profile.metadata,
        zip_code: profile.address.postal_code.as_deref(),
        city: profile.address.city.as_deref(),
        address: profile.address.line1.as_deref(),
        country,
    })
}

/// Reads a customer, alive or a tombstone.
pub(crate) fn customer(value: &Value) -> Result<RemoteCustomer, Unfit> {
    let row = VENDOR.row(value)?;
    let id = row.first_text(wire::CUSTOMER_ID)?.ok_or_else(|| Unfit("it has no id".into()))?;
    let deleted =
        row.get("deleted") == Some(&Value::Bool(true)) || row.text("deleted_at")?.is_some();
    Ok(RemoteCustomer {
        id: RemoteCustomerId::new(id).map_err(|bad| Unfit(bad.to_string()))?,
        reference: row.text("merchant_customer_id")?,
        profile: Profile {
            name: row.text("name")?,
            email: row.text("email")?,
            phone: row.text("phone")?,
            description: row.text("description")?,
            address: Address {
                line1: row.text("address")?,
                city: row.text("city")?,
                postal_code: row.text("zip_code")?,
                country: row.text("country")?,
                ..Address::default()
            },
            metadata: metadata(row)?,
            ..Profile::default()
        },
        // Merged by key at the provider: nothing of it goes back.
        metadata: None,
        status: if deleted { RemoteStatus::Deleted } else { RemoteStatus::Live },
        created_at: row.time("created_at"),
        methods: None,
    })
}

/// Values that are no texts are taken as they are written; null is a key that is not there.
fn metadata(row: Row<'_>) -> Result<BTreeMap<String, String>, Unfit> {
    let keys = match row.get("metadata") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Array(none)) if none.is_empty() => return Ok(BTreeMap::new()),
        Some(Value::Object(keys)) => keys,
        Some(_) => return Err(Unfit("`metadata` is not an object".into())),
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Ok(keys.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect())
}

/// Reads a saved payment method in the list of a customer.
pub(crate) fn method(value: &Value, customer: &RemoteCustomerId) -> Result<RemoteMethod, Unfit> {
    let row = VENDOR.row(value)?;
    if row.text("customer_uuid")?.is_some_and(|theirs| theirs != customer.as_str()) {
        return Err(Unfit("it is of another customer".into()));
    }
    let id = row.first_text(wire::METHOD_ID)?.ok_or_else(|| Unfit("it has no id".into()))?;
    let token = row.text("token")?.map(|value| Token {
        kind: TokenKind::Processor,
        value: value.into(),
        created_at: None,
    });
    Ok(RemoteMethod {
        id: RemoteMethodId::new(id).map_err(|bad| Unfit(bad.to_string()))?,
        facts: MethodFacts::Card(card(row)?),
        default: None,
        created_at: row.time("created_at"),
        attributes: attributes(row),
        credential: token,
    })
}

fn card(row: Row<'_>) -> Result<CardFacts, Unfit> {
    let masked = row.text("masked_pan")?.unwrap_or_default();
    let masked = masked.trim();
    let leading: String = masked.chars().take(6).collect();
    Ok(CardFacts {
        brand: brand_of(masked).map(str::to_owned),
        bin: Bin::new(&leading).ok(),
        last4: Last4::of_masked(masked),
        expiry: row.text("expiration_date")?.and_then(|date| expiry(&date)),
        holder_name: None,
    })
}

/// The month of `YYYY-MM-DD`, the card's last day. Whether it is a day is not looked at: the month
/// is what counts.
fn expiry(date: &str) -> Option<Expiry> {
    let (year, rest) = date.trim().split_once('-')?;
    let (month, _day) = rest.split_once('-')?;
    let number = |text: &str, length: usize| {
        let is_form = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| is_form)
    };
    Expiry::new(number(month, 2)?, number(year, 4)?).ok()
}

/// What else the vendor says of a card, as it is written.
fn attributes(row: Row<'_>) -> BTreeMap<String, String> {
    let shown = |name: &&str| match row.get(name)? {
        Value::Bool(value) => Some(value.to_string()),
        _ => row.text(name).ok()?,
    };
    ["keep_until", "status", "expired"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), shown(name)?)))
        .collect()
}

/// A request as it was sent: what its answer is read against.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub kind: EffectKind,
    pub body: &'a [u8],
}

impl Sent<'_> {
    /// What became of it (rule 5). Not applied is only what the vendor itself says so of; every 5xx
    /// and every answer that is not the vendor's own is unknown, a 2xx too that does not say
    /// `approved`.
    pub fn outcome(self, status: u16, body: &[u8]) -> ItemOutcome {
        let own = VENDOR.error_of(body);
        let echo = VENDOR.echo_of_body(self.body);
        match (status, own) {
            (200..=299, None) => match self.answered(body) {
                Ok(applied) => ItemOutcome::Done(Box::new(applied)),
                Err(why) => ItemOutcome::Unknown(format!("HTTP {status}, and {why}")),
            },
            // A second customer of the same reference is refused so, and nothing tells it from any
            // other refusal.
            (400 | 402 | 404 | 409 | 422, Some(error))
                if self.kind == EffectKind::CreateCustomer =>
            {
                ItemOutcome::RefusedOrThere(echo.refusal(error))
            }
            (404, Some(_)) if self.kind == EffectKind::DeleteCustomer => {
                ItemOutcome::Done(Box::default())
            }
            (_, own) => VENDOR.not_done(status, own, &echo),
        }
    }

    /// Reads a 2xx. An answer that does not say what took place is no success.
    fn answered(self, body: &[u8]) -> Result<Applied, &'static str> {
        let (answer, card_numbers_at) = VENDOR.object(body)?;
        tell_of(&card_numbers_at, self.kind.as_str());
        wire::approved(&answer)?;
        let customer = match self.kind {
            EffectKind::CreateCustomer => {
                let made = customer(&answer).map_err(|_| "the answer shows no customer")?;
                if made.status == RemoteStatus::Deleted {
                    return Err("the answer shows a deleted customer");
                }
                Some(made)
            }
            EffectKind::UpdateCustomer => customer(&answer).ok(),
            EffectKind::DeleteCustomer if answer.get("deleted") == Some(&Value::Bool(false)) => {
                return Err("the answer says that it is not deleted");
            }
            EffectKind::DeleteCustomer => None,
            EffectKind::AddMethod
            | EffectKind::ImportMethod
            | EffectKind::SetDefault
            | EffectKind::RemoveMethod => return Err("the contract has no such call"),
        };
        Ok(Applied { customer, ..Applied::default() })
    }
}

#[cfg(test)]
mod tests;
