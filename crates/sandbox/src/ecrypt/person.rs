//! What the vendor holds of a customer, as its wire names it, with the checks on it.

use super::Refused;
use super::config::ReferenceField;
use crate::change::ChangeError;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Characters of a name or company at most.
const NAME_LIMIT: usize = 100;
/// What a name or company may hold beside ASCII letters, digits and the space.
const NAME_MARKS: &str = "_-.,`'()@#!?/\\:;|+=%&";
/// The key inside of `metadata` that carries the client's reference.
const ACCOUNT_ID: &str = "account_id";

/// A customer's fields, in the order of the contract. All may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Person {
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) company: Option<String>,
    pub(super) email_address: Option<String>,
    pub(super) phone_number: Option<String>,
    pub(super) merchant_identifier: Option<String>,
    pub(super) shipping_address: Option<Address>,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

/// A postal address. The contract names no `name`; the vendor's reference does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Address {
    name: Option<String>,
    line1: Option<String>,
    line2: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Whether the vendor takes this text as a name or company.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == ' ' || NAME_MARKS.contains(c);
    text.chars().count() <= NAME_LIMIT && text.chars().all(allowed)
}

impl Person {
    /// What is sent through the API has names of the vendor's characters only.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let names = [
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("company", &self.company),
        ];
        for (field, text) in names {
            if text.as_deref().is_some_and(|text| !is_name(text)) {
                let message = format!("the {field} has more than 100 or other characters");
                return Err(Refused::invalid(field, message));
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self, field: ReferenceField) -> Option<&str> {
        match field {
            ReferenceField::AccountId => self.metadata.get(ACCOUNT_ID).map(String::as_str),
            ReferenceField::MerchantIdentifier => self.merchant_identifier.as_deref(),
        }
    }

    pub(super) fn set_reference(&mut self, field: ReferenceField, reference: String) {
        match field {
            ReferenceField::AccountId => {
                self.metadata.insert(ACCOUNT_ID.to_owned(), reference);
            }
            ReferenceField::MerchantIdentifier => self.merchant_identifier = Some(reference),
        }
    }

    /// First and last name in one; none if there is neither.
    pub(super) fn name(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// Splits a whole name at its last space.
    pub(super) fn set_name(&mut self, name: &str) {
        let (first, last) = match name.rsplit_once(' ') {
            Some((first, last)) => (Some(first), last),
            None => (None, name),
        };
        self.first_name = first.map(str::to_owned);
        self.last_name = Some(last.to_owned());
    }

    /// Every field but the e-mail and the reference, by its name at the vendor.
    pub(super) fn fields(&self, reference: ReferenceField) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value.clone());
            }
        };
        put("first_name", &self.first_name);
        put("last_name", &self.last_name);
        put("company", &self.company);
        put("phone_number", &self.phone_number);
        if reference != ReferenceField::MerchantIdentifier {
            put("merchant_identifier", &self.merchant_identifier);
        }
        if let Some(address) = &self.shipping_address {
            for (name, value) in address.parts() {
                put(&format!("shipping_address.{name}"), value);
            }
        }
        for (key, value) in &self.metadata {
            if reference != ReferenceField::AccountId || key != ACCOUNT_ID {
                fields.insert(format!("metadata.{key}"), value.clone());
            }
        }
        fields
    }

    /// Sets a field by its name at the vendor. The vendor's own people may write any text.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), ChangeError> {
        let place = match name {
            "first_name" => &mut self.first_name,
            "last_name" => &mut self.last_name,
            "company" => &mut self.company,
            "phone_number" => &mut self.phone_number,
            "merchant_identifier" => &mut self.merchant_identifier,
            _ => match name.split_once('.') {
                Some(("metadata", key)) => {
                    self.metadata.insert(key.to_owned(), value);
                    return Ok(());
                }
                Some(("shipping_address", part)) => self
                    .shipping_address
                    .get_or_insert_default()
                    .part(part)
                    .ok_or(ChangeError::Invalid("an address has no such part"))?,
                _ => return Err(ChangeError::Invalid("a customer has no such field")),
            },
        };
        *place = Some(value);
        Ok(())
    }
}

impl Address {
    fn parts(&self) -> [(&'static str, &Option<String>); 7] {
        [
            ("name", &self.name),
            ("line1", &self.line1),
            ("line2", &self.line2),
            ("city", &self.city),
            ("state", &self.state),
            ("postal_code", &self.postal_code),
            ("country", &self.country),
        ]
    }

    fn part(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "name" => &mut self.name,
            "line1" => &mut self.line1,
            "line2" => &mut self.line2,
            "city" => &mut self.city,
            "state" => &mut self.state,
            "postal_code" => &mut self.postal_code,
            "country" => &mut self.country,
            _ => return None,
        })
    }
}
