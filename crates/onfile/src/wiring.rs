//! Puts an engine together from a configuration.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use backend::{Account, BackendError, ErrorKind, Timing, Traffic};
use engine::{Engine, Progress, Reads, Stop};
use model::{AccountName, Clock, SystemClock};
use secrecy::ExposeSecret;
use store::{AccountRow, Identity, Owner, Store, StoreOptions, WrapKey};
use transport::{Rate, Transport, TransportConfig};
use url::Url;

use crate::calls::CallCounts;
use crate::config::{AccountConfig, Config, Env, LoadOptions, OnUnfit, StoreUrl};
use crate::permits::StorePermits;
use crate::{failpoint, registry};

/// From a committed intent to the last moment its call may begin (rule 5).
const SEND_WINDOW: Duration = Duration::from_secs(3);

/// How we call ourselves.
pub(crate) const USER_AGENT: &str = concat!("onfile/", env!("CARGO_PKG_VERSION"));

/// A configuration with its store open.
pub(crate) struct Opened {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    /// See [`Store::token_identities`].
    token_identities: BTreeMap<AccountName, String>,
    calls: Arc<CallCounts>,
    pub(crate) clock: Arc<dyn Clock>,
    /// This process, for leases.
    pub(crate) owner: Owner,
    /// The accounts that were wired: all jobs of an account share its connections and its pace.
    accounts: Mutex<HashMap<String, Account>>,
}

/// Reads the configuration.
pub(crate) fn load(path: &Path, env: &Env<'_>, options: &LoadOptions) -> Result<Config> {
    Ok(Config::load(path, env, options, &registry::kinds())?)
}

/// Opens the store and writes down, or checks, whose accounts these are.
pub(crate) async fn open(config: Config) -> Result<Opened> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(&config, &clock).await?;
    let accounts: Vec<AccountRow> =
        config.accounts.iter().map(|account| row(&config, account)).collect::<Result<_>>()?;
    store.bind_accounts(&accounts).await?;
    let file = config.precedence.iter().position(|listed| listed == "file");
    store.rank_file(file.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX)).await?;
    recompute(&*store).await?;
    let token_identities = store.token_identities().await?.into_iter().collect();
    let (calls, accounts) = (Arc::default(), Mutex::default());
    Ok(Opened { config, store, token_identities, calls, clock, owner: owner(), accounts })
}

/// Brings the records in line with the precedence, if that was another one.
async fn recompute(store: &dyn Store) -> Result<()> {
    const RECORDS: u32 = 200;
    let mut done = 0;
    while let Some(more) = store.recompute(RECORDS).await? {
        done += more;
    }
    if done > 0 {
        tracing::info!(records = done, "the precedence has changed: records were made anew");
    }
    Ok(())
}

/// Writes the identity that an account is configured with in place of the one that the store knows;
/// the one before, and the one now.
pub(crate) async fn rebind(config: &Config, account: &str) -> Result<(Identity, Identity)> {
    let account = row(config, config.account(account)?)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_store(config, &clock).await?;
    let before = store.rebind_account(&account).await;
    store.close().await;
    Ok((before?, account.who()))
}

async fn open_store(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
    let wrap_keys = config
        .store
        .keys
        .iter()
        .filter_map(|key| {
            let bytes = key.bytes()?;
            Some(WrapKey::new(key.id.clone(), *bytes.expose_secret()))
        })
        .collect();
    let url = match &config.store.url {
        StoreUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
        StoreUrl::Postgres(url) => url.to_string(),
    };
    let options = StoreOptions {
        url,
        password: config.store.password.as_ref().and_then(|p| p.value().cloned()),
        ca_file: config.store.ca_file.clone(),
        wrap_keys,
        clock: Arc::clone(clock),
    };
    Ok(store::open(&options).await?)
}

fn owner() -> Owner {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    Owner(format!("{host}/{}/{}", std::process::id(), ulid::Ulid::generate()))
}

/// What of the identity says which merchant, in one text.
fn merchant(account: &AccountConfig) -> String {
    let parts: Vec<String> = account
        .identity()
        .into_iter()
        .filter(|(key, _)| !matches!(*key, "kind" | "host" | "environment"))
        .map(|(_, value)| value)
        .collect();
    parts.join("/")
}

fn identity_part(account: &AccountConfig, wanted: &str) -> String {
    account
        .identity()
        .into_iter()
        .find(|(key, _)| *key == wanted)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

fn row(config: &Config, account: &AccountConfig) -> Result<AccountRow> {
    let place = |name: &str| config.precedence.iter().position(|listed| listed == name);
    let order = config.accounts.iter().position(|a| a.name == account.name).unwrap_or_default();
    let rank = place(&account.name).unwrap_or(config.precedence.len() + order);
    Ok(AccountRow {
        name: AccountName::new(account.name.clone())?,
        kind: account.kind.kind.to_owned(),
        host: identity_part(account, "host"),
        merchant: merchant(account),
        environment: identity_part(account, "environment"),
        namespace: account.reference_namespace.clone(),
        match_by_email: account.match_by_email,
        rank: u32::try_from(rank).unwrap_or(u32::MAX),
    })
}

/// The hash of what decides the meaning of a run's rows (rule 7): rates and times are no part.
fn config_hash(config: &Config, account: &AccountConfig) -> String {
    let mut parts = account.identity();
    parts.extend(config.semantic(account));
    engine::config_hash(parts.iter().map(|(name, value)| (*name, value.as_str())))
}

impl Opened {
    /// The engine for one account.
    pub(crate) fn engine(
        &self,
        name: &str,
        stop: Stop,
        progress: Arc<dyn Progress>,
    ) -> Result<Engine> {
        let account = self.config.account(name)?;
        let bound = row(&self.config, account)?;
        let first = self.token_identities.get(&bound.name).cloned();
        Ok(Engine {
            store: Arc::clone(&self.store),
            account: self.account_of(account)?,
            identity: first.unwrap_or_else(|| bound.identity()),
            config_hash: config_hash(&self.config, account),
            clock: Arc::clone(&self.clock),
            owner: self.owner.clone(),
            calls: Arc::<CallCounts>::clone(&self.calls),
            reads: Reads {
                methods_max_age: account.methods_max_age,
                calls_budget: account.calls_budget,
            },
            omit_unfit: account.on_unfit_field == OnUnfit::Omit,
            stop,
            progress,
            failpoints: failpoint::asked(),
        })
    }

    fn account_of(&self, config: &AccountConfig) -> Result<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&config.name) {
            return Ok(account.clone());
        }
        let account = self.wire(config)?;
        accounts.insert(config.name.clone(), account.clone());
        Ok(account)
    }

    fn wire(&self, config: &AccountConfig) -> Result<Account> {
        let provider = registry::PROVIDERS
            .iter()
            .find(|provider| provider.kind == config.kind.kind)
            .with_context(|| format!("this build has no provider {}", config.kind.kind))?;
        let opened = (provider.open)(config)?;
        let name = AccountName::new(config.name.clone())?;
        let timing = Timing {
            send_window: SEND_WINDOW,
            timeout: config.timeout,
            late: config.late,
            quarantine: config.quarantine,
            ..Timing::default()
        };
        let proxy = match config.proxy.as_ref().and_then(|proxy| proxy.value()) {
            None => None,
            Some(proxy) => Some(Url::parse(proxy.expose_secret()).map_err(|_| {
                BackendError::new(ErrorKind::Config, "use the proxy", "its address is not a URL")
            })?),
        };
        let permits = Arc::new(StorePermits::new(Arc::clone(&self.store), config.rate.per_second));
        let transport = Transport::new(
            TransportConfig {
                account: name.clone(),
                base_url: config.base_url.clone(),
                timing,
                rate: Rate {
                    per_second: config.rate.per_second,
                    burst: config.rate.burst,
                    in_flight: config.rate.in_flight as usize,
                },
                proxy,
                ca_file: config.ca_file.clone(),
                user_agent: USER_AGENT.to_owned(),
            },
            opened.credentials(&self.clock)?,
            permits,
            Arc::<CallCounts>::clone(&self.calls),
            Arc::clone(&self.clock),
        )?;
        let backend = opened.backend(Arc::clone(&transport))?;
        let traffic: Arc<dyn Traffic> = transport;
        Ok(Account::new(name, config.reference_namespace.clone(), timing, backend, traffic))
    }
}
