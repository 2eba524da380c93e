//! Customers from the seed.

use super::address::BASE58;
use super::app::{App, Authorization, Moment};
use super::config::{AddressForm, Chain, Config, SearchLag};
use super::show;
use super::wire::{Profile, Texts};
use crate::people::Person;
use crate::seeded::Rng;
use serde_json::json;

/// The test chains on which seeded wallets are, as far as the config knows them.
const CHAINS: [i64; 5] = [11_155_111, 101, 102, 201, 202];

/// Town, state, postal code.
const TOWNS: [(&str, &str, &str); 4] = [
    ("Portland", "OR", "97204"),
    ("Austin", "TX", "78701"),
    ("Boulder", "CO", "80302"),
    ("Madison", "WI", "53703"),
];

/// Fills an empty app with customers `C-000001` and on; two wallets each on average, one in five of
/// them with an active authorization.
pub(super) fn fill(app: &mut App, config: &Config, count: usize) {
    let (seed, account) = app.origin();
    let account = account.to_owned();
    let chains: Vec<&Chain> = config.chains.iter().filter(|c| CHAINS.contains(&c.id)).collect();
    for number in 1..=count {
        let mut person = Person::new(seed, &account, number);
        let now = person.created;
        let profile = profile(&mut person, number);
        // A seeded reference cannot be taken: the app was empty.
        let moment = Moment { now, served: 0 };
        let Ok(customer) = app.create(profile, moment, SearchLag::None) else { continue };
        let id = customer.id.clone();
        for _ in 0..person.rng.below(5) {
            let Some(chain) = chains.get(person.rng.index(chains.len())) else { break };
            let address = address(&mut person.rng, chain.form);
            let Ok(wallet) = app.add_wallet(&id, chain.id, &address, now) else { continue };
            if person.rng.below(5) == 0 {
                wallet.authorization = authorization(&mut person.rng, now);
            }
        }
    }
}

fn profile(person: &mut Person, number: usize) -> Profile {
    let mut texts = Texts::default();
    let (city, state, postal) = pick(&mut person.rng, &TOWNS);
    texts.set("email", person.email.clone());
    texts.set("name", person.name());
    texts.set("address", format!("{number} Loopback Street"));
    for (name, value) in
        [("city", city), ("state", state), ("country", "US"), ("postalCode", postal)]
    {
        texts.set(name, value.to_owned());
    }
    let metadata = json!({"source": "sandbox", "visits": person.rng.below(100)});
    let metadata = metadata.as_object().cloned();
    Profile { external_id: Some(person.reference.clone()), texts, metadata }
}

fn pick<T: Copy + Default>(rng: &mut Rng, from: &[T]) -> T {
    from.get(rng.index(from.len())).copied().unwrap_or_default()
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    let words: String = (0..digits.div_ceil(16)).map(|_| format!("{:016x}", rng.next())).collect();
    words.chars().take(digits).collect()
}

fn address(rng: &mut Rng, form: AddressForm) -> String {
    match form {
        AddressForm::Evm => format!("0x{}", hex(rng, 40)),
        AddressForm::Sui => format!("0x{}", hex(rng, 64)),
        AddressForm::Solana => {
            // 43 digits of which the first is not among the lowest four are always 32 bytes.
            let high = BASE58.get(4..).unwrap_or_default();
            let digits = (0..43).map(|n| pick(rng, if n == 0 { high } else { BASE58 }));
            digits.map(char::from).collect()
        }
    }
}

fn authorization(rng: &mut Rng, now: i64) -> Authorization {
    Authorization {
        active: true,
        kind: Some(pick(rng, &["PERMIT", "APPROVAL", "NATIVE"]).to_owned()),
        tx_hash: Some(format!("0x{}", hex(rng, 64))),
        at: Some(show::time(now)),
    }
}
