//! Content hashes: what makes "unchanged" cheap.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{Address, MethodFacts, Profile};

/// The first 16 bytes of a SHA-256 over named, length-prefixed parts. Two equal contents have
/// equal hashes on every machine and in every version that keeps the part names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// From the bytes of [`ContentHash::as_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Takes in the parts of a content, in order.
#[derive(Debug, Default)]
pub struct Parts(Sha256);

impl Parts {
    /// One named part. A part that is absent and one that is empty differ.
    pub fn part(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        for text in [name, value] {
            self.0.update((text.len() as u64).to_le_bytes());
            self.0.update(text.as_bytes());
        }
    }
}

/// A content that has a hash.
pub trait Digestible {
    /// Feeds every part that counts as content.
    fn feed(&self, parts: &mut Parts);
}

/// The hash of a content.
#[must_use]
pub fn digest(content: &(impl Digestible + ?Sized)) -> ContentHash {
    let mut parts = Parts::default();
    content.feed(&mut parts);
    let full = parts.0.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(full.get(..16).unwrap_or(&[0; 16]));
    ContentHash(short)
}

impl Digestible for Address {
    fn feed(&self, parts: &mut Parts) {
        parts.part("line1", self.line1.as_deref());
        parts.part("line2", self.line2.as_deref());
        parts.part("city", self.city.as_deref());
        parts.part("state", self.state.as_deref());
        parts.part("postal_code", self.postal_code.as_deref());
        parts.part("country", self.country.as_deref());
    }
}

impl Digestible for Profile {
    fn feed(&self, parts: &mut Parts) {
        parts.part("name", self.name.as_deref());
        parts.part("first_name", self.first_name.as_deref());
        parts.part("last_name", self.last_name.as_deref());
        parts.part("company", self.company.as_deref());
        parts.part("email", self.email.as_deref());
        parts.part("phone", self.phone.as_deref());
        parts.part("description", self.description.as_deref());
        self.address.feed(parts);
        for (key, value) in &self.metadata {
            parts.part("metadata key", Some(key));
            parts.part("metadata value", Some(value));
        }
    }
}

impl Digestible for MethodFacts {
    fn feed(&self, parts: &mut Parts) {
        parts.part("kind", Some(self.kind().as_str()));
        match self {
            Self::Card(card) => {
                parts.part("brand", card.brand.as_deref());
                parts.part("bin", card.bin.as_ref().map(crate::Bin::as_str));
                parts.part("last4", card.last4.as_ref().map(crate::Last4::as_str));
                parts.part("expiry", card.expiry.map(|e| e.to_string()).as_deref());
                parts.part("holder_name", card.holder_name.as_deref());
            }
            Self::BankAccount(bank) => {
                parts.part("bank_name", bank.bank_name.as_deref());
                parts.part("account_type", bank.account_type.map(crate::AccountType::as_str));
                parts.part("routing_number", bank.routing_number.as_deref());
                parts.part("last4", bank.last4.as_ref().map(crate::Last4::as_str));
                parts.part("holder_name", bank.holder_name.as_deref());
            }
            Self::CryptoWallet(wallet) => {
                parts.part("chain_id", Some(&wallet.chain_id.to_string()));
                parts.part("address", Some(&wallet.address));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let a = Profile { name: Some("ab".into()), ..Profile::default() };
        let b =
            Profile { name: Some("a".into()), first_name: Some("b".into()), ..Profile::default() };
        let empty = Profile { name: Some(String::new()), ..Profile::default() };
        assert_ne!(digest(&a), digest(&b));
        assert_ne!(digest(&empty), digest(&Profile::default()));
        assert_eq!(digest(&a), digest(&a.clone()));
    }

    #[test]
    fn every_profile_field_counts() {
        let none = digest(&Profile::default());
        for field in crate::FieldName::TEXTS {
            let mut one = Profile::default();
            one.set(field, Some("x".into()));
            assert_ne!(digest(&one), none, "{field:?}");
        }
        let mut one = Profile::default();
        one.metadata.insert("k".into(), "v".into());
        assert_ne!(digest(&one), none);
    }
}
