//! Opens the store that a URL names.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use model::Clock;
use secrecy::SecretString;

use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::{Store, StoreError, WrapKey};

/// Which store, and what opens it.
pub struct StoreOptions {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// PostgreSQL's password, where the URL has none.
    pub password: Option<SecretString>,
    /// Certificates that PostgreSQL's own is checked against.
    pub ca_file: Option<PathBuf>,
    /// The keys that wrap the store's own: the first wraps, all unwrap.
    pub wrap_keys: Vec<WrapKey>,
    /// Who says what time it is in records.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for StoreOptions {
    /// The URL may hold a password, so only its scheme is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split_once(':').map_or("", |(scheme, _)| scheme);
        f.debug_struct("StoreOptions")
            .field("scheme", &scheme)
            .field("ca_file", &self.ca_file)
            .field("wrap_keys", &self.wrap_keys)
            .finish_non_exhaustive()
    }
}

/// Opens a store: makes it where there is none, brings its schema up to date, unwraps its keys.
///
/// # Errors
/// When the URL cannot be used, the database cannot be reached, or no configured key opens it.
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    let scheme = options.url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "sqlite" => Ok(Arc::new(SqliteStore::open(options).await?)),
        "postgres" | "postgresql" => Ok(Arc::new(PostgresStore::open(options).await?)),
        "" => Err(StoreError::Url("it has no scheme".into())),
        _ => Err(StoreError::Url("its scheme is neither sqlite nor postgres".into())),
    }
}
