//! What the sandbox shows of a simulated vendor's data. The same for every vendor style.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One customer as it stands at the vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerView {
    /// The vendor's id.
    pub id: String,
    /// The client's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Name, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What else the vendor holds of it, by the vendor's own names: `phone`, `metadata.account_id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Whether it is a tombstone: deleted, and still shown by the vendor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Id of the default method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_method: Option<String>,
    /// Saved methods, oldest first.
    pub methods: Vec<MethodView>,
}

/// The kind of a saved method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A payment card.
    Card,
    /// A bank account.
    Ach,
    /// A crypto wallet.
    Wallet,
}

/// One saved method as it stands at the vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodView {
    /// The vendor's id.
    pub id: String,
    /// Card, bank account or wallet.
    pub kind: MethodKind,
    /// Last four digits of the card or of the account number; empty for a wallet.
    pub last4: String,
    /// Month of expiry, 1–12; cards only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_month: Option<i64>,
    /// Four-digit year of expiry; cards only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_year: Option<i64>,
    /// Card brand, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// First digits of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
    /// Name of the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
    /// Routing number; bank accounts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_number: Option<String>,
    /// `checking` or `savings`; bank accounts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_type: Option<String>,
    /// Name of the bank; bank accounts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_name: Option<String>,
    /// Number of the chain; wallets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<i64>,
    /// Address on the chain, as the vendor keeps it; wallets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_address: Option<String>,
    /// Whether it is the customer's default.
    pub is_default: bool,
    /// First twelve hex digits of the SHA-256 of the saved token; the token itself is never shown.
    /// Empty for a wallet, which has none.
    pub token_sha256: String,
}

impl MethodView {
    /// A method of which nothing else is known yet.
    pub(crate) fn bare(id: &str, kind: MethodKind) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            last4: String::new(),
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
            is_default: false,
            token_sha256: String::new(),
        }
    }
}

/// What is shown of a token: the first twelve hex digits of its SHA-256.
pub(crate) fn token_sha256(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes())).chars().take(12).collect()
}

/// Size of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// What selects it at the vendor: for proxy-token the `X-Payment-Account-Uid`.
    pub account: String,
    /// Customers in it.
    pub customers: usize,
    /// Saved methods in it.
    pub methods: usize,
}

/// One page of the state, in the order of reference, then id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePage {
    /// The account that was read.
    pub account: String,
    /// The customers of this page.
    pub customers: Vec<CustomerView>,
    /// Give it as `after` to read on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
