//! What is known of a customer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alike;

/// A postal address. Every part may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// First line: street and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    /// Second line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City, town or village.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State or province, as the merchant writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Address {
    /// First and second line in one, where there is one line only.
    #[must_use]
    pub fn street(&self) -> Option<String> {
        match (&self.line1, &self.line2) {
            (Some(first), Some(second)) => Some(format!("{first}, {second}")),
            (one, None) | (None, one) => one.clone(),
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A customer's profile. `None` means "not stated", never "empty on purpose": onfile clears
/// nothing (rule 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The whole name, where it is not split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number, as the merchant writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Postal address.
    #[serde(skip_serializing_if = "Address::is_empty")]
    pub address: Address,
    /// The merchant's own keys and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A field of a [`Profile`], by name: for limits, differences and messages. All keys of
/// `metadata` are one field here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the field of `Profile` or `Address` of the same name")]
pub enum FieldName {
    Name,
    FirstName,
    LastName,
    Company,
    Email,
    Phone,
    Description,
    Line1,
    Line2,
    City,
    State,
    PostalCode,
    Country,
    Metadata,
}

impl FieldName {
    /// Every field that holds one text; [`FieldName::Metadata`] does not.
    pub const TEXTS: [Self; 13] = [
        Self::Name,
        Self::FirstName,
        Self::LastName,
        Self::Company,
        Self::Email,
        Self::Phone,
        Self::Description,
        Self::Line1,
        Self::Line2,
        Self::City,
        Self::State,
        Self::PostalCode,
        Self::Country,
    ];

    /// The name as files, reports and findings show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Company => "company",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Description => "description",
            Self::Line1 => "line1",
            Self::Line2 => "line2",
            Self::City => "city",
            Self::State => "state",
            Self::PostalCode => "postal_code",
            Self::Country => "country",
            Self::Metadata => "metadata",
        }
    }
}

impl Profile {
    /// The text of a field; `None` where it is not stated, and for metadata.
    #[must_use]
    pub fn get(&self, field: FieldName) -> Option<&str> {
        match field {
            FieldName::Name => self.name.as_deref(),
            FieldName::FirstName => self.first_name.as_deref(),
            FieldName::LastName => self.last_name.as_deref(),
            FieldName::Company => self.company.as_deref(),
            FieldName::Email => self.email.as_deref(),
            FieldName::Phone => self.phone.as_deref(),
            FieldName::Description => self.description.as_deref(),
            FieldName::Line1 => self.address.line1.as_deref(),
            FieldName::Line2 => self.address.line2.as_deref(),
            FieldName::City => self.address.city.as_deref(),
            FieldName::State => self.address.state.as_deref(),
            FieldName::PostalCode => self.address.postal_code.as_deref(),
            FieldName::Country => self.address.country.as_deref(),
            FieldName::Metadata => None,
        }
    }

    /// Writes the text of a field; does nothing for metadata.
    pub fn set(&mut self, field: FieldName, value: Option<String>) {
        let place = match field {
            FieldName::Name => &mut self.name,
            FieldName::FirstName => &mut self.first_name,
            FieldName::LastName => &mut self.last_name,
            FieldName::Company => &mut self.company,
            FieldName::Email => &mut self.email,
            FieldName::Phone => &mut self.phone,
            FieldName::Description => &mut self.description,
            FieldName::Line1 => &mut self.address.line1,
            FieldName::Line2 => &mut self.address.line2,
            FieldName::City => &mut self.address.city,
            FieldName::State => &mut self.address.state,
            FieldName::PostalCode => &mut self.address.postal_code,
            FieldName::Country => &mut self.address.country,
            FieldName::Metadata => return,
        };
        *place = value;
    }

    /// Given and family name: as stated, else the whole name split at its last space. A name of one
    /// word is a given name. Where one of the two is stated the other stays unstated, whatever the
    /// whole name says: two statements of one name are not made to fit.
    #[must_use]
    pub fn split_name(&self) -> (Option<String>, Option<String>) {
        let whole = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        match whole.filter(|_| self.first_name.is_none() && self.last_name.is_none()) {
            None => (self.first_name.clone(), self.last_name.clone()),
            Some(name) => match name.rsplit_once(char::is_whitespace) {
                Some((first, last)) => (Some(first.trim_end().into()), Some(last.into())),
                None => (Some(name.into()), None),
            },
        }
    }

    /// Whether both have a name and an e-mail address, and neither agrees: this is another person,
    /// whatever their reference (rule 8).
    #[must_use]
    pub fn is_somebody_else(&self, other: &Self) -> bool {
        let differs = |field, a: Option<&str>, b: Option<&str>| {
            let (Some(a), Some(b)) = (a, b) else { return false };
            !a.trim().is_empty() && !b.trim().is_empty() && !alike(field, a, b)
        };
        differs(FieldName::Name, self.full_name().as_deref(), other.full_name().as_deref())
            && differs(FieldName::Email, self.email.as_deref(), other.email.as_deref())
    }

    /// The whole name: as stated, else the parts joined by a space.
    #[must_use]
    pub fn full_name(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        match (&self.first_name, &self.last_name) {
            (Some(first), Some(last)) => Some(format!("{first} {last}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, FieldName, Profile};

    #[test]
    fn set_and_get_reach_the_same_place() {
        for field in FieldName::TEXTS {
            let mut profile = Profile::default();
            profile.set(field, Some(field.as_str().to_owned()));
            assert_eq!(profile.get(field), Some(field.as_str()));
            let others = FieldName::TEXTS.iter().filter(|f| profile.get(**f).is_some()).count();
            assert_eq!(others, 1, "{field:?} wrote elsewhere too");
        }
    }

    #[test]
    fn a_whole_name_is_split_at_its_last_space() {
        let split =
            |name: &str| Profile { name: Some(name.into()), ..Profile::default() }.split_name();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split(" Ada Byron  King "), (some("Ada Byron"), some("King")));
        assert_eq!(split("Plato"), (some("Plato"), None));
        assert_eq!(split(" "), (None, None));
        let stated = Profile {
            name: Some("Dr. Ada King".into()),
            last_name: Some("King".into()),
            ..Profile::default()
        };
        assert_eq!(stated.split_name(), (None, some("King")));
        let given = Profile { first_name: some("Ada Byron"), ..Profile::default() };
        assert_eq!(given.split_name(), (some("Ada Byron"), None));
        assert_eq!(given.full_name(), some("Ada Byron"));
    }

    #[test]
    fn lines_are_joined() {
        let street = |line1: Option<&str>, line2: Option<&str>| {
            let own = |line: Option<&str>| line.map(str::to_owned);
            Address { line1: own(line1), line2: own(line2), ..Address::default() }.street()
        };
        assert_eq!(street(Some("1 Elm"), Some("Apt 2")).as_deref(), Some("1 Elm, Apt 2"));
        assert_eq!(street(Some("1 Elm"), None).as_deref(), Some("1 Elm"));
        assert_eq!(street(None, Some("Apt 2")).as_deref(), Some("Apt 2"));
        assert_eq!(street(None, None), None);
    }

    #[test]
    fn a_split_name_is_joined() {
        let profile = Profile {
            first_name: Some("Ada".into()),
            last_name: Some("Byron King".into()),
            ..Profile::default()
        };
        assert_eq!(profile.full_name().as_deref(), Some("Ada Byron King"));
    }
}
