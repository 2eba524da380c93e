//! Changes by payers, the vendor's people and other clients, from the admin door.

use super::address;
use super::app::{App, Authorization, Customer, Moment, NotAdded, Wallet};
use super::config::Config;
use super::wire::{Profile, Texts};
use crate::change::{Change, ChangeError, Changed, NewMethod};
use crate::view::MethodKind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) fn change(
    app: &mut App,
    config: &Config,
    change: Change,
    moment: Moment,
) -> Result<Changed, ChangeError> {
    let id = match change {
        Change::CreateCustomer { reference, name, email, fields } => {
            let wanted = reference.clone().unwrap_or_default();
            let mut profile = profile(reference, name, email);
            state(&mut profile, fields, Map::new(), &mut [])?;
            let made = app.create(profile, moment, config.search_lag);
            made.map_err(|_| ChangeError::ReferenceTaken(wanted))?.id.clone()
        }
        Change::EditCustomer { customer, reference, name, email, fields } => {
            let wanted = reference.clone().unwrap_or_default();
            let before = known(app, &customer)?;
            let (mut profile, mut wallets) =
                (profile(reference, name, email), before.wallets.clone());
            state(&mut profile, fields, before.metadata.clone(), &mut wallets)?;
            let edited = app.edit(&customer, profile, moment.now);
            let edited = edited.map_err(|_| ChangeError::ReferenceTaken(wanted))?;
            edited.ok_or(ChangeError::NoCustomer(customer.clone()))?.wallets = wallets;
            customer
        }
        Change::DeleteCustomer { customer } => {
            let deleted = app.delete(&customer);
            deleted.then_some(()).ok_or(ChangeError::NoCustomer(customer.clone()))?;
            customer
        }
        Change::AddMethod { default: true, .. } | Change::SetDefault { .. } => {
            return Err(ChangeError::Invalid("a customer of this vendor has no default"));
        }
        Change::AddMethod { customer, method, default: false } => {
            let (chain, address) = wallet(config, method)?;
            let added = app.add_wallet(&customer, chain, &address, moment.now);
            let wallet = added.map_err(|e| match e {
                NotAdded::NoCustomer => ChangeError::NoCustomer(customer),
                NotAdded::Duplicate => ChangeError::Invalid("the customer has this wallet"),
            })?;
            wallet.id.clone()
        }
        Change::EditMethod { .. } => {
            return Err(ChangeError::Invalid("a wallet of this vendor cannot be changed"));
        }
        Change::RemoveMethod { customer, method } => {
            known(app, &customer)?;
            let removed = app.remove_wallet(&customer, &method);
            removed.then_some(()).ok_or(ChangeError::NoMethod(method.clone()))?;
            method
        }
    };
    Ok(Changed { id })
}

fn known<'a>(app: &'a App, customer: &str) -> Result<&'a Customer, ChangeError> {
    app.book.get(customer).ok_or_else(|| ChangeError::NoCustomer(customer.to_owned()))
}

fn profile(external_id: Option<String>, name: Option<String>, email: Option<String>) -> Profile {
    let mut texts = Texts::default();
    for (field, value) in [("name", name), ("email", email)] {
        if let Some(value) = value {
            texts.set(field, value);
        }
    }
    Profile { external_id, texts, metadata: None }
}

fn wallet(config: &Config, method: NewMethod) -> Result<(i64, String), ChangeError> {
    if method.kind != MethodKind::Wallet {
        return Err(ChangeError::Invalid("this vendor saves wallets only"));
    }
    let chain = config.chains.iter().find(|chain| Some(chain.id) == method.chain_id);
    let chain = chain.ok_or(ChangeError::Invalid("a wallet needs a `chain_id` that is known"))?;
    let address = address::kept(chain.form, &method.wallet_address.unwrap_or_default());
    let address =
        address.ok_or(ChangeError::Invalid("a wallet needs a `wallet_address` of its chain"))?;
    Ok((chain.id, address))
}

/// Where a field of a change stands, by the name that the state shows it by.
enum Place<'n> {
    Text(&'n str),
    Metadata(&'n str),
    /// A wallet's id, and a part of its authorization.
    Wallet(&'n str, &'n str),
}

fn place(name: &str) -> Place<'_> {
    if let Some(key) = name.strip_prefix("metadata.") {
        return Place::Metadata(key);
    }
    let wallet = name.strip_prefix("wallets.").and_then(|rest| rest.rsplit_once('.'));
    wallet.map_or(Place::Text(name), |(id, part)| Place::Wallet(id, part))
}

/// Writes the fields into a profile and into what the customer has.
fn state(
    profile: &mut Profile,
    fields: BTreeMap<String, String>,
    mut metadata: Map<String, Value>,
    wallets: &mut [Wallet],
) -> Result<(), ChangeError> {
    for (name, value) in fields {
        let known = match place(&name) {
            Place::Text(name) => profile.texts.set(name, value),
            Place::Metadata(key) => {
                metadata.insert(key.to_owned(), value.into());
                true
            }
            Place::Wallet(id, part) => {
                let wallet = wallets.iter_mut().find(|w| w.id == id);
                wallet.is_some_and(|w| authorize(&mut w.authorization, part, value))
            }
        };
        if !known {
            return Err(ChangeError::Invalid(
                "expected fields of this customer, like `city`, `metadata.KEY` or \
                 `wallets.ID.authorizationType`",
            ));
        }
    }
    profile.metadata = Some(metadata);
    Ok(())
}

/// Changes a part of an authorization; false if there is no such part, or it cannot be so.
fn authorize(granted: &mut Authorization, part: &str, value: String) -> bool {
    match (part, value.as_str()) {
        ("hasActiveAuthorization", "true") => granted.active = true,
        ("hasActiveAuthorization", "false") => granted.active = false,
        ("authorizationType", _) => granted.kind = Some(value),
        ("authorizationTxHash", _) => granted.tx_hash = Some(value),
        ("authorizedAt", _) => granted.at = Some(value),
        _ => return false,
    }
    true
}
