//! An account at a tiny server.

use std::sync::Arc;

use transport::Transport;
pub(crate) use transport::testing::{Server, transport};

use crate::{ProxyToken, ProxyTokenConfig, ProxyTokenCredentials};

pub(crate) fn config(credentials: ProxyTokenCredentials) -> ProxyTokenConfig {
    ProxyTokenConfig {
        payment_account_uid: "pa_1".into(),
        credentials,
        import_batch: 100,
        import_dedupes: false,
        webhook_secrets: vec!["whsec_CANARY".into()],
        replay_window: crate::DEFAULT_REPLAY_WINDOW,
    }
}

pub(crate) fn bearer() -> ProxyTokenCredentials {
    ProxyTokenCredentials::Bearer("bearer_CANARY".into())
}

pub(crate) fn oauth(server: &Server) -> ProxyTokenCredentials {
    ProxyTokenCredentials::OAuth {
        token_url: server.url.join("oauth2/token").expect("a URL"),
        client_id: "id".into(),
        client_secret: "secret_CANARY".into(),
        scope: crate::DEFAULT_SCOPE.into(),
    }
}

/// An account at a server, wired as the binary wires it.
pub(crate) fn connect(
    server: &Server,
    credentials: ProxyTokenCredentials,
) -> (ProxyToken, Arc<Transport>) {
    let config = config(credentials);
    let transport = transport(server, config.credentials().expect("a right config"));
    let account = ProxyToken::new(&config, Arc::clone(&transport)).expect("a right config");
    (account, transport)
}
