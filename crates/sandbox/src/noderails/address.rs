//! Wallet addresses: which ones a chain takes, and the form in which they are kept.

use super::config::AddressForm;

/// The address as the vendor keeps it; none if this is no address of such a chain.
pub(super) fn kept(form: AddressForm, address: &str) -> Option<String> {
    match form {
        AddressForm::Evm => hex(address, 40..=40),
        AddressForm::Sui => hex(address, 1..=64),
        AddressForm::Solana => {
            let sound = (32..=44).contains(&address.len()) && address.bytes().all(is_base58);
            sound.then(|| address.to_owned())
        }
    }
}

/// `0x` and so many hex digits, in lower case.
fn hex(address: &str, digits: std::ops::RangeInclusive<usize>) -> Option<String> {
    let rest = address.strip_prefix("0x")?;
    let sound = digits.contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| address.to_ascii_lowercase())
}

/// The letters and digits without `0`, `O`, `I` and `l`.
pub(super) const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

fn is_base58(byte: u8) -> bool {
    BASE58.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressForm::{Evm, Solana, Sui};

    #[test]
    fn addresses_are_kept_in_the_form_of_their_chain() {
        let mixed = "0xAbCdEf0123456789aBcDeF0123456789AbCdEf01";
        assert_eq!(kept(Evm, mixed), Some(mixed.to_lowercase()));
        assert_eq!(kept(Sui, "0xA"), Some("0xa".to_owned()));
        assert_eq!(kept(Sui, mixed), Some(mixed.to_lowercase()));
        let base58 = "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK";
        assert_eq!(kept(Solana, base58), Some(base58.to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("0x{}", "a".repeat(65));
        for (form, address) in [
            (Evm, "0xabc"),
            (Evm, "abcdef0123456789abcdef0123456789abcdef0123"),
            (Evm, "0xzbcdef0123456789abcdef0123456789abcdef01"),
            (Sui, "0x"),
            (Sui, &*long),
            (Sui, "a1"),
            (Solana, "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJ0K"),
            (Solana, "7EqQ"),
            (Solana, ""),
        ] {
            assert_eq!(kept(form, address), None, "{address}");
        }
    }
}
