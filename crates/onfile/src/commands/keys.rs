//! `onfile keys`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;

use crate::cli::Global;
use crate::out;

/// Prints a new key: 32 bytes of the operating system's chance, in base64.
pub(crate) fn generate(global: &Global) {
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    let key = BASE64_STANDARD.encode(key);
    if global.json {
        out::json(&serde_json::json!({ "key": key }));
    } else {
        out::line(&key);
    }
}
