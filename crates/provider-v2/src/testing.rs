//! An account at a tiny server, signed at a fixed time.

use std::sync::Arc;

use model::{Clock, Timestamp};
use transport::Transport;
use transport::testing::{Server, transport};

use crate::{V2, V2Config};

/// Of the vendor's own example.
pub(crate) const TOKEN: &str = "7db11ea5d4a1af32421b564c79b946d1ead3daf0";
pub(crate) const KEY: &str = "qwert1234";
pub(crate) const AT: i64 = 1_593_457_122;

#[derive(Debug)]
pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        // The fraction is no part of a signature.
        Timestamp::from_micros(AT * 1_000_000 + 999_999)
    }
}

pub(crate) fn config() -> V2Config {
    V2Config { authenticity_token: TOKEN.into(), merchant_key: KEY.into() }
}

/// An account at a server, wired as the binary wires it.
pub(crate) fn connect(server: &Server) -> (V2, Arc<Transport>) {
    let config = config();
    let credentials = config.credentials(Arc::new(Fixed)).expect("a right config");
    let transport = transport(server, credentials);
    let account = V2::new(&config, Arc::clone(&transport)).expect("a right config");
    (account, transport)
}
