//! An account at a tiny server.

use std::sync::Arc;

use transport::Transport;
use transport::testing::{Server, transport};

use crate::map::Mapping;
use crate::{Casing, Ecrypt, EcryptConfig, ReferenceField};

/// With our reference in the metadata, and names of fields in snake case.
pub(crate) fn config() -> EcryptConfig {
    EcryptConfig {
        api_key: "key_CANARY".into(),
        reference_field: ReferenceField::Metadata("account_id".into()),
        casing: Casing::Snake,
        transliterate: false,
        webhook_header: Some("X-Webhook-Key".into()),
        webhook_secrets: vec!["whsec_CANARY".into()],
    }
}

pub(crate) fn mapping() -> Mapping {
    let EcryptConfig { casing, reference_field, .. } = config();
    Mapping { casing, reference_field }
}

/// An account at a server, wired as the binary wires it.
pub(crate) fn connect(server: &Server, config: &EcryptConfig) -> (Ecrypt, Arc<Transport>) {
    let transport = transport(server, config.credentials().expect("a right config"));
    let account = Ecrypt::new(config, Arc::clone(&transport)).expect("a right config");
    (account, transport)
}
