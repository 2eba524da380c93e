//! What a payer, or another client of the vendor, changes behind onfile's back.

use crate::view::MethodKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One change from outside. Customers and methods are named by the vendor's ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Another client creates a customer.
    CreateCustomer {
        /// Its reference; without one it can only be found by listing.
        #[serde(default)]
        reference: Option<String>,
        /// Its name.
        #[serde(default)]
        name: Option<String>,
        /// Its e-mail.
        #[serde(default)]
        email: Option<String>,
        /// Its other fields, by the names that the state shows them by.
        #[serde(default)]
        fields: BTreeMap<String, String>,
    },
    /// Changes the stated fields of a customer.
    EditCustomer {
        /// Whom.
        customer: String,
        /// The new reference, if stated.
        #[serde(default)]
        reference: Option<String>,
        /// The new name, if stated.
        #[serde(default)]
        name: Option<String>,
        /// The new e-mail, if stated.
        #[serde(default)]
        email: Option<String>,
        /// Other fields with their new values.
        #[serde(default)]
        fields: BTreeMap<String, String>,
    },
    /// Deletes a customer with its methods (the vendor's people can, though the API cannot).
    DeleteCustomer {
        /// Whom.
        customer: String,
    },
    /// The payer saves a method.
    AddMethod {
        /// For whom.
        customer: String,
        /// What.
        method: NewMethod,
        /// Whether it becomes the default.
        #[serde(default)]
        default: bool,
    },
    /// A card is reissued or renewed: changes the stated fields of a method.
    EditMethod {
        /// Whose.
        customer: String,
        /// Which.
        method: String,
        /// New last four digits, if stated.
        #[serde(default)]
        last4: Option<String>,
        /// New month of expiry, if stated; cards only.
        #[serde(default)]
        exp_month: Option<i64>,
        /// New year of expiry, if stated; cards only.
        #[serde(default)]
        exp_year: Option<i64>,
    },
    /// The payer removes a method.
    RemoveMethod {
        /// Whose.
        customer: String,
        /// Which.
        method: String,
    },
    /// The payer chooses a default.
    SetDefault {
        /// Whose.
        customer: String,
        /// Which; none takes the default away.
        #[serde(default)]
        method: Option<String>,
    },
}

/// A method that somebody else saves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMethod {
    /// Card, bank account or wallet.
    pub kind: MethodKind,
    /// Last four digits; none of a wallet.
    #[serde(default)]
    pub last4: String,
    /// Month of expiry; a card needs one.
    #[serde(default)]
    pub exp_month: Option<i64>,
    /// Year of expiry; a card needs one.
    #[serde(default)]
    pub exp_year: Option<i64>,
    /// Card brand.
    #[serde(default)]
    pub brand: Option<String>,
    /// First digits of the card.
    #[serde(default)]
    pub bin: Option<String>,
    /// Name of the holder.
    #[serde(default)]
    pub holder_name: Option<String>,
    /// Routing number.
    #[serde(default)]
    pub routing_number: Option<String>,
    /// `checking` or `savings`.
    #[serde(default)]
    pub account_type: Option<String>,
    /// Name of the bank.
    #[serde(default)]
    pub bank_name: Option<String>,
    /// Number of the chain; a wallet needs one.
    #[serde(default)]
    pub chain_id: Option<i64>,
    /// Address on the chain; a wallet needs one.
    #[serde(default)]
    pub wallet_address: Option<String>,
    /// The token to keep; one is made up if absent.
    #[serde(default)]
    pub token: Option<String>,
}

impl NewMethod {
    /// A card with what a card needs.
    #[must_use]
    pub fn card(brand: &str, last4: &str, exp_month: i64, exp_year: i64) -> Self {
        Self {
            brand: Some(brand.to_owned()),
            exp_month: Some(exp_month),
            exp_year: Some(exp_year),
            ..Self::bare(MethodKind::Card, last4)
        }
    }

    /// A bank account with what it needs.
    #[must_use]
    pub fn ach(account_type: &str, last4: &str) -> Self {
        Self { account_type: Some(account_type.to_owned()), ..Self::bare(MethodKind::Ach, last4) }
    }

    /// A wallet with what it needs.
    #[must_use]
    pub fn wallet(chain_id: i64, address: &str) -> Self {
        Self {
            chain_id: Some(chain_id),
            wallet_address: Some(address.to_owned()),
            ..Self::bare(MethodKind::Wallet, "")
        }
    }

    fn bare(kind: MethodKind, last4: &str) -> Self {
        Self {
            kind,
            last4: last4.to_owned(),
            exp_month: None,
            exp_year: None,
            brand: None,
            bin: None,
            holder_name: None,
            routing_number: None,
            account_type: None,
            bank_name: None,
            chain_id: None,
            wallet_address: None,
            token: None,
        }
    }
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The id of the customer or method that was made or changed.
    pub id: String,
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No such account in this sandbox.
    #[error("no account `{0}` in this sandbox")]
    NoAccount(String),
    /// No such customer in that account.
    #[error("no customer `{0}` in this account")]
    NoCustomer(String),
    /// The customer has no such method.
    #[error("the customer has no method `{0}`")]
    NoMethod(String),
    /// Another customer has this reference.
    #[error("another customer has the reference `{0}`")]
    ReferenceTaken(String),
    /// The change lacks or misuses a field, or the vendor holds no such thing.
    #[error("{0}")]
    Invalid(&'static str),
}
