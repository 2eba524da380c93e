//! How an account proves who it is: one implementation in each provider crate.

use std::fmt;

use async_trait::async_trait;
use backend::BackendError;
use secrecy::SecretString;

use crate::{HttpRequest, Transport};

/// A static header, OAuth, a signature: whatever the provider wants.
#[async_trait]
pub trait Credentials: Send + Sync + fmt::Debug {
    /// Makes sure that they are good for the next five minutes; single flight. Called before
    /// permits are handed out and before each read, so it is quick when there is nothing to do.
    /// Calls through [`Transport::credential_call`] if it must call.
    ///
    /// # Errors
    /// When they cannot be made good; it comes out of the read or of `reserve` as it is.
    async fn ready(&self, transport: &Transport) -> Result<(), BackendError>;

    /// The headers of one request. Pure and quick: nothing is fetched. A signature scheme signs
    /// verb, path, query and body here; they are as they will be on the wire.
    ///
    /// # Errors
    /// When there is nothing to prove it with just now. A read then asks
    /// [`Credentials::ready`] once more; a changing call is not sent.
    fn headers(
        &self,
        request: &HttpRequest,
    ) -> Result<Vec<(&'static str, SecretString)>, BackendError>;

    /// The provider answered 401: what is cached is not to be used again. Whether a fresh one
    /// could help (OAuth: yes; a static header: no).
    fn rejected(&self) -> bool;
}

/// Headers that never change: an API key, a fixed bearer token. `Debug` prints no value.
pub struct StaticHeaders(Vec<(&'static str, SecretString)>);

impl StaticHeaders {
    /// These, with every call.
    #[must_use]
    pub const fn new(headers: Vec<(&'static str, SecretString)>) -> Self {
        Self(headers)
    }
}

impl fmt::Debug for StaticHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name).collect();
        f.debug_tuple("StaticHeaders").field(&names).finish()
    }
}

#[async_trait]
impl Credentials for StaticHeaders {
    async fn ready(&self, _: &Transport) -> Result<(), BackendError> {
        Ok(())
    }

    fn headers(&self, _: &HttpRequest) -> Result<Vec<(&'static str, SecretString)>, BackendError> {
        Ok(self.0.clone())
    }

    fn rejected(&self) -> bool {
        false
    }
}
