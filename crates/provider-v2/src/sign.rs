//! Signatures: of our calls, and of the vendor's.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backend::BackendError;
use model::Clock;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha512};
use transport::{Credentials, HttpRequest, Transport};

use crate::config::V2Config;

/// The schema of the vendor's that signs path, query and body.
const SCHEMA: &str = "WP3-v2.1";

/// SHA-512 over the parts as they stand, nothing between them.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Signs each call with the time it is sent at.
pub(crate) struct Signer {
    token: String,
    key: SecretString,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub fn new(config: &V2Config, clock: Arc<dyn Clock>) -> Self {
        let (token, key) = (config.authenticity_token.clone(), config.merchant_key.clone());
        Self { token, key, clock }
    }

    /// The header of a call. `timestamp` stands in it as it is signed.
    fn header(&self, timestamp: &str, path: &str, query: &str, body: &[u8]) -> String {
        let (key, token) = (self.key.expose_secret().as_bytes(), self.token.as_bytes());
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        let digest = hex::encode(digest(&[
            key,
            timestamp.as_bytes(),
            token,
            path.as_bytes(),
            mark,
            query.as_bytes(),
            body,
        ]));
        format!("{SCHEMA} {} {timestamp} {digest}", self.token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("token", &self.token).finish_non_exhaustive()
    }
}

#[async_trait]
impl Credentials for Signer {
    async fn ready(&self, _: &Transport) -> Result<(), BackendError> {
        Ok(())
    }

    fn headers(
        &self,
        request: &HttpRequest,
    ) -> Result<Vec<(&'static str, SecretString)>, BackendError> {
        let timestamp = self.clock.now().micros().div_euclid(1_000_000).to_string();
        let header = self.header(&timestamp, &request.path, &request.query, &request.body);
        Ok(vec![("authorization", header.into())])
    }

    fn rejected(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
