//! Ids as types of their own: private text, a validating constructor, no `Deref`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an id of the wanted kind. Never repeats the text: it may be a secret that
/// stands in the wrong column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {why}")]
pub struct BadId {
    /// The kind of id that was wanted.
    pub what: &'static str,
    /// What is wrong with the text.
    pub why: &'static str,
}

fn check(what: &'static str, text: &str, most: usize) -> Result<(), BadId> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > most {
        "it is too long"
    } else if text.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(BadId { what, why })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $most:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps the text, byte for byte.
            ///
            /// # Errors
            /// When the text is empty, longer than the limit in bytes, or has control characters.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                check($what, &text, $most)?;
                Ok(Self(text))
            }

            /// The text, byte for byte as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// The name of an account in the configuration: `[accounts.NAME]`.
    AccountName,
    "account name",
    64
);
text_id!(
    /// The merchant's own id of a customer, compared byte for byte. At most 255 bytes, trimmed
    /// by whoever reads it.
    Reference,
    "reference",
    255
);
text_id!(
    /// A customer's id at a provider, kept verbatim.
    RemoteCustomerId,
    "provider customer id",
    255
);
text_id!(
    /// A saved payment method's id at a provider, kept verbatim.
    RemoteMethodId,
    "provider payment method id",
    255
);

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        text_id!($(#[$doc])* $name, $what, 40);

        impl $name {
            /// A new id: time-ordered, never used before.
            #[must_use]
            pub fn generate() -> Self {
                Self(format!(concat!($prefix, "{}"), ulid::Ulid::generate()))
            }
        }
    };
}

own_id!(
    /// Our id of a canonical customer: `c_` and a ULID.
    CustomerId, "customer id", "c_"
);
own_id!(
    /// Our id of a canonical payment method: `m_` and a ULID.
    MethodId, "payment method id", "m_"
);
own_id!(
    /// The id of a run: a ULID, so that runs sort by the time they began.
    RunId, "run id", ""
);
own_id!(
    /// The id of an effect in the journal: `e_` and a ULID.
    EffectId, "effect id", "e_"
);
