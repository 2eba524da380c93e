//! Between the vendor's words and ours, pure: an effect becomes a request, a row becomes a
//! customer or a wallet, an answer becomes an outcome (rule 5).

use std::collections::{BTreeMap, HashMap};

use backend::{
    Applied, Cursor, Effect, Endpoint, Endpoints, FieldRule, ItemOutcome, Prepared, Rejection,
    TokenRoute, Verb,
};
use model::{
    Agreement, Code, EffectKind, FieldName, MethodFacts, Profile, RemoteCustomer, RemoteCustomerId,
    RemoteMethod, RemoteMethodId, RemoteStatus, Token, WalletFacts, contains_card_number,
};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use transport::vendor::{self, Row, Unfit, check_fields, prepared, reject};

use crate::wire::{self, Pagination, VENDOR};

pub(crate) const CUSTOMERS: &str = "/customers";
pub(crate) const CUSTOMER: &str = "/customers/{id}";
const WALLETS: &str = "/customers/{id}/wallets";
const WALLET: &str = "/customers/{customerId}/wallets/{walletId}";

/// Where calls go.
pub(crate) const ENDPOINTS: Endpoints = Endpoints {
    list_customers: Endpoint::new(Verb::Get, CUSTOMERS),
    get_customer: Some(Endpoint::new(Verb::Get, CUSTOMER)),
    find_customer: Some(Endpoint::new(Verb::Get, CUSTOMERS)),
    list_methods: None,
    create_customer: Some(Endpoint::new(Verb::Post, CUSTOMERS)),
    update_customer: Some(Endpoint::new(Verb::Put, CUSTOMER)),
    add_method: Some(Endpoint::new(Verb::Post, WALLETS)),
    import_methods: None,
    set_default: None,
    credentials: None,
};

const fn at_most(field: FieldName, max: usize) -> FieldRule {
    FieldRule { field, min: 1, max: Some(max), required: false }
}

/// The lengths that the vendor's validators state.
pub(crate) const FIELDS: &[FieldRule] = &[
    at_most(FieldName::Name, 255),
    at_most(FieldName::Email, 255),
    at_most(FieldName::Line1, 500),
    at_most(FieldName::City, 255),
    at_most(FieldName::State, 255),
    at_most(FieldName::PostalCode, 50),
    at_most(FieldName::Country, 255),
    FieldRule { field: FieldName::Metadata, min: 0, max: None, required: false },
];

/// The page of a list that the row at `offset` stands on, as the vendor counts: from 1. Rows before
/// `offset` may stand on it too.
pub(crate) const fn page_at(offset: u64, size: u64) -> u64 {
    offset / size + 1
}

/// Where the page after this one begins, in rows. An empty page is the end, and so is a page that
/// is not full where the vendor's total says so: asked for again by its rows it would come again. An
/// empty page on which rows stand by the total leaves a list that shows fewer rows than the total: it is
/// not whole, and who is not in it is not absent.
pub(crate) fn next_page(
    page: u64,
    asked: u64,
    received: u64,
    shown: &Pagination,
) -> Option<Cursor> {
    let size = shown.size.filter(|size| (1..asked).contains(size)).unwrap_or(asked);
    let end = page * size;
    if received == 0 || (received < size && end >= shown.total) {
        return None;
    }
    // Where the vendor gives fewer rows than asked for, its pages are not those that were asked for.
    Some(Cursor::Offset(if size < asked { end - size + received } else { end }))
}

/// Builds the request of an effect. See [`backend::CustomerBackend::prepare`].
pub(crate) fn prepare(effect: &Effect, app_id: &str) -> Result<Prepared, Rejection> {
    match effect {
        Effect::CreateCustomer { reference, profile } => {
            let metadata = Some(&profile.metadata).filter(|metadata| !metadata.is_empty());
            let metadata =
                metadata.map(|ours| with_ours(wire::Metadata::new(), ours)).transpose()?;
            let body = wire::NewCustomer {
                app_id,
                external_id: reference.as_str(),
                fields: fields(profile, metadata)?,
            };
            prepared(effect, Verb::Post, CUSTOMERS, &[], Some(&body))
        }
        Effect::UpdateCustomer { customer, changes, metadata } => {
            let metadata = match changes.metadata.is_empty() {
                true => None,
                false => Some(with_ours(theirs(metadata.as_deref())?, &changes.metadata)?),
            };
            let body = fields(changes, metadata)?;
            prepared(effect, Verb::Put, CUSTOMER, &[customer.as_str()], Some(&body))
        }
        Effect::AddMethod(new) => {
            let body = wallet_out(&new.facts, new.token.as_ref())?;
            prepared(effect, Verb::Post, WALLETS, &[new.customer.as_str()], Some(&body))
        }
        Effect::RemoveMethod { customer, method } => {
            let ids = [customer.as_str(), method.as_str()];
            prepared(effect, Verb::Delete, WALLET, &ids, None::<&()>)
        }
        Effect::ImportMethods(_) => Err(no_bulk()),
        Effect::SetDefault { .. } => {
            Err(reject(Code::NotUpdatable, 0, "the provider knows no default wallet"))
        }
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
    match route {
        TokenRoute::Add => wallet_out(facts, token).map(drop),
        TokenRoute::Bulk => Err(no_bulk()),
    }
}

fn no_bulk() -> Rejection {
    reject(Code::NotUpdatable, 0, "the provider saves one wallet in a call")
}

fn fields(
    profile: &Profile,
    metadata: Option<wire::Metadata>,
) -> Result<wire::Fields<'_>, Rejection> {
    check_fields(FIELDS, profile)?;
    let texts = FIELDS.iter().filter_map(|rule| Some((rule.field, profile.get(rule.field)?)));
    let keys = profile.metadata.iter().flat_map(|(key, value)| [key, value]);
    let keys = keys.map(|text| (FieldName::Metadata, text.as_str()));
    if let Some((field, _)) = texts.chain(keys).find(|(_, text)| text.contains('\0')) {
        let message = format!("`{}` has a NUL, which the provider cannot store", field.as_str());
        return Err(Rejection { field: Some(field), ..reject(Code::FieldCharset, 0, message) });
    }
    Ok(wire::Fields {
        email: profile.get(FieldName::Email),
        name: profile.get(FieldName::Name),
        address: profile.get(FieldName::Line1),
        city: profile.get(FieldName::City),
        state: profile.get(FieldName::State),
        country: profile.get(FieldName::Country),
        postal_code: profile.get(FieldName::PostalCode),
        metadata,
    })
}

/// The provider's own metadata, which goes back with a change: what is left out would be gone.
fn theirs(metadata: Option<&str>) -> Result<wire::Metadata, Rejection> {
    metadata.and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| Rejection {
        field: Some(FieldName::Metadata),
        ..reject(
            Code::NotUpdatable,
            0,
            "a change of `metadata` replaces all of it, and what the provider has there could not \
             be read, or holds a card number",
        )
    })
}

fn with_ours(
    mut metadata: wire::Metadata,
    ours: &BTreeMap<String, String>,
) -> Result<wire::Metadata, Rejection> {
    for (key, value) in ours {
        let value: Box<RawValue> = to_raw_value(value).map_err(|error| {
            reject(Code::BadValue, 0, format!("the metadata cannot be written: {error}"))
        })?;
        metadata.insert(key.clone(), value);
    }
    Ok(metadata)
}

/// A wallet as it is sent. A chain is known to the vendor alone, so that an address must be of the
/// form of any chain.
fn wallet_out(facts: &MethodFacts, token: Option<&Token>) -> Result<wire::NewWallet, Rejection> {
    let MethodFacts::CryptoWallet(wallet) = facts else {
        let message = "the provider saves crypto wallets only";
        return Err(reject(Code::MethodKindUnsupported, 0, message));
    };
    if token.is_some() {
        let message = "a wallet is saved by its address: the provider takes no token";
        return Err(reject(Code::TokenKindUnsupported, 0, message));
    }
    if wallet.chain_id == 0 {
        return Err(reject(Code::BadValue, 0, "`chain_id` must be 1 or more"));
    }
    let WalletFacts { chain_id, address } = WalletFacts::new(wallet.chain_id, &wallet.address);
    if !is_address(&address) {
        let message = "`wallet_address` must be `0x` and 40 hex digits (EVM), `0x` and 1 to 64 \
                       (Sui), or 32 to 44 characters of base58 (Solana)";
        return Err(reject(Code::BadValue, 0, message));
    }
    Ok(wire::NewWallet { chain_id, wallet_address: address })
}

fn is_address(text: &str) -> bool {
    let is_base58 = |b: u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
    match text.strip_prefix("0x") {
        Some(hex) => (1..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => (32..=44).contains(&text.len()) && text.bytes().all(is_base58),
    }
}

/// Reads a customer, with its metadata as it was written.
fn customer(value: &Value, metadata: &HashMap<String, String>) -> Result<RemoteCustomer, Unfit> {
    let row = VENDOR.row(value)?;
    let id = row.first_text(wire::ID)?.ok_or_else(|| Unfit("it has no id".into()))?;
    let wallets = match row.get("wallets") {
        None | Some(Value::Null) => None,
        Some(Value::Array(wallets)) => Some(wallets.iter().map(wallet).collect::<Result<_, _>>()?),
        Some(_) => return Err(Unfit("`wallets` is not a list".into())),
    };
    let mut profile = Profile { metadata: shown_metadata(row), ..Profile::default() };
    for (field, name) in [
        (FieldName::Email, "email"),
        (FieldName::Name, "name"),
        (FieldName::Line1, "address"),
        (FieldName::City, "city"),
        (FieldName::State, "state"),
        (FieldName::Country, "country"),
        (FieldName::PostalCode, "postalCode"),
    ] {
        profile.set(field, row.text(name)?);
    }
    Ok(RemoteCustomer {
        metadata: metadata.get(&id).cloned(),
        id: RemoteCustomerId::new(id).map_err(|bad| Unfit(bad.to_string()))?,
        reference: row.text("externalId")?,
        profile,
        status: RemoteStatus::Live,
        created_at: row.time("createdAt"),
        methods: wallets,
    })
}

/// Reads a customer with its wallets: one that does not show them would seem to have none.
pub(crate) fn customer_read(
    value: &Value,
    metadata: &HashMap<String, String>,
) -> Result<RemoteCustomer, Unfit> {
    let customer = customer(value, metadata)?;
    match customer.methods {
        Some(_) => Ok(customer),
        None => Err(Unfit("it does not show its wallets".into())),
    }
}

/// Metadata as files state it: texts as they are, everything else as JSON.
fn shown_metadata(row: Row<'_>) -> BTreeMap<String, String> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let metadata = row.get("metadata").and_then(Value::as_object);
    metadata
        .into_iter()
        .flatten()
        .filter(|(key, value)| !value.is_null() && !contains_card_number(key))
        .map(|(key, value)| (key.clone(), shown(value)))
        .collect()
}

/// Reads a wallet. One that cannot be read keeps its customer from being read: it would seem removed.
fn wallet(value: &Value) -> Result<RemoteMethod, Unfit> {
    let row = VENDOR.row(value)?;
    let lacks = |what: &str| Unfit(format!("a wallet has no {what}"));
    let id = row.first_text(wire::ID)?.ok_or_else(|| lacks("id"))?;
    let chain_id = row.text("chainId")?.and_then(|text| text.parse().ok());
    let address = row.text("walletAddress")?.ok_or_else(|| lacks("address"))?;
    let authorization = row.get("hasActiveAuthorization").and_then(Value::as_bool);
    let said = |row: Row<'_>, name| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let attributes = [
        ("authorization", authorization.map(|has| if has { "active" } else { "none" }.to_owned())),
        ("authorization_type", said(row, "authorizationType")),
        ("authorization_tx_hash", said(row, "authorizationTxHash")),
        ("authorized_at", said(row, "authorizedAt")),
    ];
    Ok(RemoteMethod {
        id: RemoteMethodId::new(id).map_err(|bad| Unfit(bad.to_string()))?,
        facts: MethodFacts::CryptoWallet(WalletFacts::new(
            chain_id.ok_or_else(|| lacks("chain"))?,
            &address,
        )),
        default: None,
        created_at: row.time("createdAt"),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        credential: None,
    })
}

/// A request as it was sent: what its answer is read against.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub kind: EffectKind,
    pub path: &'a str,
    pub body: &'a [u8],
}

impl Sent<'_> {
    /// What became of it (rule 5).
    pub fn outcome(self, status: u16, body: &[u8]) -> ItemOutcome {
        if (200..300).contains(&status) {
            return match self.answered(body) {
                Ok(applied) => ItemOutcome::Done(Box::new(applied)),
                Err(why) => ItemOutcome::Unknown(format!("HTTP {status}, and {why}")),
            };
        }
        let echo = VENDOR.echo_of_body(self.body);
        let own = VENDOR.error_of(body);
        let code = own.as_ref().and_then(|error| error.code.as_deref()).unwrap_or_default();
        match (status, self.kind, code) {
            (409, _, "idempotency_error") => {
                ItemOutcome::InProgress("the provider is still at work on it".into())
            }
            (409, EffectKind::CreateCustomer, "CONFLICT") => {
                ItemOutcome::Conflict(echo.refusal(own.unwrap_or_default()))
            }
            (404, EffectKind::RemoveMethod, _) if own.is_some() => {
                ItemOutcome::Done(Box::default())
            }
            _ => VENDOR.not_done(status, own, &echo),
        }
    }

    /// Reads a 2xx. An answer that does not say what took place is no success; a key that was used
    /// before would have another call's answer come again.
    fn answered(self, body: &[u8]) -> Result<Applied, &'static str> {
        match self.kind {
            EffectKind::CreateCustomer | EffectKind::UpdateCustomer => {
                let answer = self.read(body)?;
                let shown = customer(&answer, &wire::metadata(body));
                let customer = shown.map_err(|_| "the answer shows no customer")?;
                Ok(Applied { customer: Some(customer), ..Applied::default() })
            }
            EffectKind::AddMethod => {
                let method = Some(self.saved(&self.read(body)?)?);
                Ok(Applied { method, ..Applied::default() })
            }
            EffectKind::RemoveMethod if body.is_empty() => Ok(Applied::default()),
            EffectKind::RemoveMethod => {
                let (answer, _) = VENDOR.object(body)?;
                wire::says_success(&answer).map(|()| Applied::default())
            }
            EffectKind::DeleteCustomer | EffectKind::ImportMethod | EffectKind::SetDefault => {
                Err("the contract has no such call")
            }
        }
    }

    fn read(self, body: &[u8]) -> Result<Value, &'static str> {
        let (answer, card_numbers_at) = wire::object(body)?;
        vendor::tell_of(&card_numbers_at, "send the change");
        Ok(answer)
    }

    /// The wallet of an answer, if it is the one that was sent.
    fn saved(self, answer: &Value) -> Result<RemoteMethod, &'static str> {
        let shown = wallet(answer).map_err(|_| "the answer shows no wallet")?;
        let owner = VENDOR.row(answer).ok().and_then(|row| row.text("customerAccountId").ok()?);
        if owner.is_some_and(|id| vendor::path(WALLETS, &[&id]).as_deref() != Some(self.path)) {
            return Err("the answer shows a wallet of another customer");
        }
        let sent: wire::NewWallet = serde_json::from_slice(self.body).map_err(|_| "no request")?;
        let sent = WalletFacts::new(sent.chain_id, &sent.wallet_address);
        match shown.facts.agreement(&MethodFacts::CryptoWallet(sent)) {
            Agreement::Agrees => Ok(shown),
            Agreement::TooLittle | Agreement::Differs => Err("the answer shows another wallet"),
        }
    }
}

#[cfg(test)]
mod tests;
