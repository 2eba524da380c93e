//! The store's keys (rule 14): what seals tokens, and what makes fingerprints.
//!
//! A store draws two random keys when it is made. Neither is ever written in the clear: each
//! stands in the database once for each configured key, wrapped by it. The data key seals
//! (XChaCha20-Poly1305: random nonces are safe at any volume; the associated data ties a value to
//! its row). The index key makes keyed hashes (HMAC-SHA-256), which last as long as the store.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use model::{AccountName, RemoteCustomerId, RemoteMethodId, RunId, Token, TokenKind};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{SealedToken, StoreError};

const KEY: usize = 32;
const NONCE: usize = 24;
const KEY_ID: usize = 4;

type Key = SecretBox<[u8; KEY]>;

/// A configured key: it wraps the store's own keys and touches nothing else.
#[derive(Debug)]
pub struct WrapKey {
    /// Its name in the configuration; written beside what it wraps.
    pub id: String,
    /// The key.
    pub key: SecretBox<[u8; KEY]>,
}

impl WrapKey {
    /// A key under a name.
    #[must_use]
    pub fn new(id: impl Into<String>, mut key: [u8; KEY]) -> Self {
        let boxed = SecretBox::new(Box::new(key));
        key.zeroize();
        Self { id: id.into(), key: boxed }
    }
}

/// A token's fingerprint: an HMAC under the store's index key. Equal for equal tokens of one
/// account, and of no use outside the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenFp([u8; KEY]);

impl TokenFp {
    /// From the bytes of [`TokenFp::as_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Its first 8 bytes: enough to see which ones may be equal.
    #[must_use]
    pub fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The 32 bytes in hex.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for TokenFp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.to_hex();
        write!(f, "{}…", hex.get(..8).unwrap_or_default())
    }
}

/// One row of the table `keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub purpose: String,
    pub wrapped_by: String,
    pub wrapped: Vec<u8>,
}

/// The store's keys, open.
pub struct Keys {
    data: Key,
    data_id: [u8; KEY_ID],
    /// With the index key taken in: that is half of the work for a short text.
    index: Hmac<Sha256>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn seal_with(key: &Key, aad: &str, clear: &[u8]) -> Vec<u8> {
    let nonce = random::<NONCE>();
    let sealed = XChaCha20Poly1305::new(key.expose_secret().into())
        .encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: aad.as_bytes() })
        .expect("the cipher refuses nothing shorter than 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

fn open_with(key: &Key, aad: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    XChaCha20Poly1305::new(key.expose_secret().into())
        .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: aad.as_bytes() })
        .ok()
        .map(Zeroizing::new)
}

fn wrap_aad(purpose: &str, wrap: &str) -> String {
    format!("keys/{purpose}/{wrap}")
}

/// The key of one purpose: unwrapped by the first configured key that can, or drawn if the store
/// has none; with the rows that are to be added.
fn unwrap(
    purpose: &'static str,
    rows: &[KeyRow],
    wraps: &[WrapKey],
) -> Result<(Key, Vec<KeyRow>), StoreError> {
    let rows: Vec<_> = rows.iter().filter(|row| row.purpose == purpose).collect();
    let row_of = |wrap: &WrapKey| rows.iter().find(|row| row.wrapped_by == wrap.id);
    let key = if rows.is_empty() {
        Key::init_with(random)
    } else {
        wraps
            .iter()
            .filter_map(|wrap| {
                let clear =
                    open_with(&wrap.key, &wrap_aad(purpose, &wrap.id), &row_of(wrap)?.wrapped)?;
                let mut bytes: [u8; KEY] = clear.as_slice().try_into().ok()?;
                let key = Key::new(Box::new(bytes));
                bytes.zeroize();
                Some(key)
            })
            .next()
            .ok_or_else(|| StoreError::WrongKey {
                configured: wraps.iter().map(|wrap| wrap.id.clone()).collect(),
            })?
    };
    let missing = wraps
        .iter()
        .filter(|wrap| row_of(wrap).is_none())
        .map(|wrap| KeyRow {
            purpose: purpose.to_owned(),
            wrapped_by: wrap.id.clone(),
            wrapped: seal_with(&wrap.key, &wrap_aad(purpose, &wrap.id), key.expose_secret()),
        })
        .collect();
    Ok((key, missing))
}

impl Keys {
    /// Unwraps the keys of a store from its rows, or draws them for a store that has none. The
    /// rows in the answer are to be added, in the transaction that read the others.
    pub(crate) fn open(
        rows: &[KeyRow],
        wraps: &[WrapKey],
    ) -> Result<(Self, Vec<KeyRow>), StoreError> {
        if wraps.is_empty() {
            return Err(StoreError::NoKey);
        }
        let (data, mut missing) = unwrap("data", rows, wraps)?;
        let (index, more) = unwrap("index", rows, wraps)?;
        missing.extend(more);
        // Not a secret: it says which data key sealed a value, once there is more than one.
        let digest = Sha256::new().chain_update(b"data key id").chain_update(data.expose_secret());
        let mut data_id = [0; KEY_ID];
        data_id.copy_from_slice(digest.finalize().get(..KEY_ID).unwrap_or(&[0; KEY_ID]));
        let index =
            Hmac::new_from_slice(index.expose_secret()).expect("HMAC takes a key of any length");
        Ok((Self { data, data_id, index }, missing))
    }

    fn seal_value(&self, aad: &str, clear: &[u8]) -> Vec<u8> {
        [self.data_id.as_slice(), &seal_with(&self.data, aad, clear)].concat()
    }

    fn unseal(
        &self,
        what: &'static str,
        aad: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, StoreError> {
        let opened = sealed
            .strip_prefix(self.data_id.as_slice())
            .ok_or_else(|| StoreError::corrupt(what, "it was sealed with another data key"))
            .and_then(|rest| {
                open_with(&self.data, aad, rest)
                    .ok_or_else(|| StoreError::corrupt(what, "its seal is broken"))
            })?;
        std::str::from_utf8(&opened)
            .map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| StoreError::corrupt(what, "it is not text"))
    }

    /// The token of a staged row as the store has it; `identity` is
    /// [`crate::AccountRow::identity`]. Where it is not to be kept, only its fingerprint is made.
    #[must_use]
    pub fn seal(
        &self,
        run: &RunId,
        line: u64,
        identity: &str,
        token: &Token,
        keep: bool,
    ) -> SealedToken {
        SealedToken {
            kind: token.kind,
            sealed: if keep {
                self.seal_value(&token_aad(run, line), token.value.expose_secret().as_bytes())
            } else {
                Vec::new()
            },
            fp: self.token_fp(identity, token.kind, &token.value),
            created_at: token.created_at,
        }
    }

    /// Opens the token of a staged row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it was not sealed for this row by this store.
    pub fn open_token(
        &self,
        run: &RunId,
        line: u64,
        token: &SealedToken,
    ) -> Result<Token, StoreError> {
        let value = self.unseal("a token", &token_aad(run, line), &token.sealed)?;
        Ok(Token {
            kind: token.kind,
            value: SecretString::from(value.as_str()),
            created_at: token.created_at,
        })
    }

    /// Seals the credential that a provider gave with a payment method.
    #[must_use]
    pub fn seal_credential(
        &self,
        account: &AccountName,
        customer: &RemoteCustomerId,
        method: &RemoteMethodId,
        token: &Token,
    ) -> Vec<u8> {
        let clear =
            Zeroizing::new(format!("{}\n{}", token.kind.as_str(), token.value.expose_secret()));
        self.seal_value(&credential_aad(account, customer, method), clear.as_bytes())
    }

    /// Opens the credential of a payment method.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it was not sealed for this payment method by this store.
    pub fn open_credential(
        &self,
        account: &AccountName,
        customer: &RemoteCustomerId,
        method: &RemoteMethodId,
        sealed: &[u8],
    ) -> Result<Token, StoreError> {
        const WHAT: &str = "a credential";
        let clear = self.unseal(WHAT, &credential_aad(account, customer, method), sealed)?;
        clear
            .split_once('\n')
            .and_then(|(kind, value)| {
                let kind = TokenKind::parse(kind)?;
                Some(Token { kind, value: SecretString::from(value), created_at: None })
            })
            .ok_or_else(|| StoreError::corrupt(WHAT, "it has no kind"))
    }

    /// HMAC-SHA-256 under the index key over length-prefixed parts; the first says what for.
    fn keyed<'a>(&self, purpose: &'static str, parts: impl Iterator<Item = &'a [u8]>) -> [u8; KEY] {
        let mut mac = self.index.clone();
        for part in std::iter::once(purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The fingerprint of a token at an account; `identity` is [`crate::AccountRow::identity`].
    #[must_use]
    pub fn token_fp(&self, identity: &str, kind: TokenKind, token: &SecretString) -> TokenFp {
        let parts = [identity, kind.as_str(), token.expose_secret()];
        TokenFp(self.keyed("token", parts.iter().map(|part| part.as_bytes())))
    }

    /// The keyed hash of a value that a file stated: 16 bytes in hex.
    #[must_use]
    pub fn statement_hash(&self, field: &str, value: &str) -> String {
        let full = self.keyed("statement", [field.as_bytes(), value.as_bytes()].into_iter());
        hex::encode(full.get(..16).unwrap_or_default())
    }

    /// The id of a finding: the same difference has the same id in every report (rule 9).
    #[must_use]
    pub fn finding_id(&self, parts: &[&str]) -> String {
        let full = self.keyed("finding", parts.iter().map(|part| part.as_bytes()));
        format!("f_{}", hex::encode(full.get(..16).unwrap_or_default()))
    }
}

fn token_aad(run: &RunId, line: u64) -> String {
    format!("staged_rows/token/{run}/{line}")
}

fn credential_aad(
    account: &AccountName,
    customer: &RemoteCustomerId,
    method: &RemoteMethodId,
) -> String {
    format!("remote_methods/credential/{account}/{customer}/{method}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(value: &str) -> Token {
        Token { kind: TokenKind::Processor, value: value.into(), created_at: None }
    }

    fn sealed(keys: &Keys, run: &RunId, line: u64, value: &str) -> SealedToken {
        keys.seal(run, line, "a", &token(value), true)
    }

    fn fresh(wraps: &[WrapKey]) -> (Keys, Vec<KeyRow>) {
        Keys::open(&[], wraps).expect("a fresh store opens")
    }

    #[test]
    fn a_store_is_opened_by_any_of_its_keys_and_by_no_other() {
        let (made, rows) = fresh(&[WrapKey::new("one", [1; 32])]);
        assert_eq!(rows.len(), 2);
        let both = [WrapKey::new("two", [2; 32]), WrapKey::new("one", [1; 32])];
        let (again, added) = Keys::open(&rows, &both).expect("the second key opens it");
        assert!(added.iter().all(|row| row.wrapped_by == "two"));
        assert_eq!(added.len(), 2);
        assert_eq!(made.statement_hash("f", "v"), again.statement_hash("f", "v"));

        let all = [rows, added].concat();
        let (third, none) =
            Keys::open(&all, &[WrapKey::new("two", [2; 32])]).expect("the added key opens it");
        assert!(none.is_empty());
        assert_eq!(made.statement_hash("f", "v"), third.statement_hash("f", "v"));

        for wrong in [WrapKey::new("one", [9; 32]), WrapKey::new("other", [1; 32])] {
            let error = Keys::open(&all, &[wrong]).expect_err("the wrong key");
            assert!(matches!(error, StoreError::WrongKey { configured } if configured.len() == 1));
        }
        assert!(matches!(Keys::open(&all, &[]), Err(StoreError::NoKey)));
    }

    #[test]
    fn a_token_opens_on_its_own_row_alone() {
        let (keys, _) = fresh(&[WrapKey::new("one", [1; 32])]);
        let run = RunId::generate();
        let at_rest = sealed(&keys, &run, 7, "tok_secret");
        assert!(!String::from_utf8_lossy(&at_rest.sealed).contains("secret"));
        let open = keys.open_token(&run, 7, &at_rest).expect("its own row");
        assert_eq!(open.value.expose_secret(), "tok_secret");
        assert!(keys.open_token(&run, 8, &at_rest).is_err());
        assert!(keys.open_token(&RunId::generate(), 7, &at_rest).is_err());

        let (others, _) = fresh(&[WrapKey::new("one", [1; 32])]);
        assert!(others.open_token(&run, 7, &at_rest).is_err());
        let mut broken = at_rest;
        broken.sealed.truncate(10);
        assert!(keys.open_token(&run, 7, &broken).is_err());
    }

    #[test]
    fn a_credential_opens_on_its_own_payment_method_alone() {
        let (keys, _) = fresh(&[WrapKey::new("one", [1; 32])]);
        let account = AccountName::new("a").expect("an id");
        let customer = RemoteCustomerId::new("1").expect("an id");
        let [m1, m2] = ["1", "2"].map(|id| RemoteMethodId::new(id).expect("an id"));
        let at_rest = keys.seal_credential(&account, &customer, &m1, &token("x\ny"));
        let open = keys.open_credential(&account, &customer, &m1, &at_rest).expect("its own");
        assert_eq!(open.value.expose_secret(), "x\ny");
        assert_eq!(open.kind, TokenKind::Processor);
        assert!(keys.open_credential(&account, &customer, &m2, &at_rest).is_err());
    }

    #[test]
    fn fingerprints_tell_accounts_kinds_and_tokens_apart() {
        let (keys, _) = fresh(&[WrapKey::new("one", [1; 32])]);
        let fp = |identity, kind, value: &str| keys.token_fp(identity, kind, &value.into());
        let one = fp("a", TokenKind::Processor, "t");
        assert_eq!(one, fp("a", TokenKind::Processor, "t"));
        assert_ne!(one, fp("b", TokenKind::Processor, "t"));
        assert_ne!(one, fp("a", TokenKind::Gateway, "t"));
        assert_ne!(one, fp("a", TokenKind::Processor, "u"));
        assert_eq!(TokenFp::from_bytes(one.as_bytes()), Some(one));
        assert_eq!(format!("{one:?}").chars().count(), 9);
        assert_ne!(keys.finding_id(&["ab", "c"]), keys.finding_id(&["a", "bc"]));
        assert_eq!(format!("{keys:?}"), "Keys");
    }
}
