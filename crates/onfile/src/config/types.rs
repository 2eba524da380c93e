//! The configuration once it is known to be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::schedule::When;
use secrecy::{ExposeSecret as _, SecretString};
use store::AlertKind;
use url::Url;

use super::kinds::KindSpec;
use super::secret::{EncryptionKey, Secret};
use super::spec::{Role, Setting, Settings};

/// The whole file. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[canonical] precedence`: accounts and `file`, the first wins.
    pub precedence: Vec<String>,
    /// `[accounts.*]`, in the order of the file.
    pub accounts: Vec<AccountConfig>,
    /// `[[schedules]]`, in the order of the file.
    pub schedules: Vec<ScheduleConfig>,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[alerts]`.
    pub alerts: AlertsConfig,
    /// `[privacy]`.
    pub privacy: PrivacyConfig,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A database file; relative paths were taken from the configuration's folder.
    Sqlite(PathBuf),
    /// A PostgreSQL address, without a password.
    Postgres(Url),
}

/// `[store]`.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where it is.
    pub url: StoreUrl,
    /// The password of the PostgreSQL user.
    pub password: Option<Secret>,
    /// Certificates that the PostgreSQL server's is checked against.
    pub ca_file: Option<PathBuf>,
    /// The keys; the first wraps, all unwrap. Never empty.
    pub keys: Vec<EncryptionKey>,
}

impl StoreConfig {
    /// The address with its password and `sslrootcert`, as a database driver takes it.
    pub fn connect_url(&self) -> SecretString {
        let mut url = match &self.url {
            StoreUrl::Sqlite(path) => return format!("sqlite://{}", path.display()).into(),
            StoreUrl::Postgres(url) => url.clone(),
        };
        if let Some(password) = self.password.as_ref().and_then(Secret::value) {
            // Only an address without a host takes no password, and those were refused.
            let _ = url.set_password(Some(password.expose_secret()));
        }
        if let Some(file) = &self.ca_file {
            url.query_pairs_mut().append_pair("sslrootcert", &file.to_string_lossy());
        }
        String::from(url).into()
    }
}

/// `live` or `test`, as the account's owner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Real money.
    Live,
    /// The vendor's sandbox.
    Test,
}

impl Environment {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// What becomes of a field that the provider cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnfit {
    /// The row is rejected.
    Reject,
    /// The field is left out, with a warning in `rows.csv`.
    Omit,
}

impl OnUnfit {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Omit => "omit",
        }
    }
}

/// How fast an account may be called: a sliding second holds at most `per_second + burst` calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls a second, above 0.
    pub per_second: f64,
    /// Calls that may start at once after a pause, at least 1.
    pub burst: u32,
    /// Calls that may be under way together, at least 1.
    pub in_flight: u32,
}

/// `[accounts.NAME]`.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Its name in the file.
    pub name: String,
    /// Its kind; `kind.kind` is the word in the file.
    pub kind: &'static KindSpec,
    /// The vendor's address, by default the kind's own.
    pub base_url: Url,
    /// Live or test, if the file says so.
    pub environment: Option<Environment>,
    /// How fast it may be called.
    pub rate: Rate,
    /// How long one call may take.
    pub timeout: Duration,
    /// The provider's late execution and read lag.
    pub late: Duration,
    /// After a lost answer, how long until "not there" is believed.
    pub quarantine: Duration,
    /// Accounts that share one numbering of customers share a namespace.
    pub reference_namespace: String,
    /// Whether customers that no reference links are linked by their e-mail address.
    pub match_by_email: bool,
    /// Whether its fields are held to the canonical value.
    pub in_step: bool,
    /// How old a customer's methods may be before a pull reads them again; 0: every pull.
    pub methods_max_age: Duration,
    /// The most calls of one pull.
    pub calls_budget: Option<u64>,
    /// What becomes of a field that does not fit.
    pub on_unfit_field: OnUnfit,
    /// The proxy's address; it may hold a password.
    pub proxy: Option<Secret>,
    /// Certificates that the vendor's is checked against, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The secrets of its webhooks, all valid.
    pub webhook_secrets: Vec<Secret>,
    /// How old an event may be and still count as more than a hint.
    pub replay_window: Duration,
    /// What only its kind has, for the provider's constructor.
    pub settings: Settings,
}

impl AccountConfig {
    /// What says whose account this is (rules.md 1), in a fixed order. No secrets.
    pub fn identity(&self) -> Vec<(&'static str, String)> {
        let host = self.base_url.host_str().unwrap_or_default();
        let host = match self.base_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut all = vec![("kind", self.kind.kind.to_owned()), ("host", host)];
        if let Some(environment) = self.environment {
            all.push(("environment", environment.as_str().to_owned()));
        }
        all.extend(self.settings_of(Role::Identity));
        all
    }

    /// What the meaning of a run depends on (rules.md 7), besides the identity and `precedence`.
    pub fn semantic(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("reference_namespace", self.reference_namespace.clone())];
        // Every kind had it once. Where it is no key, it counts as off: runs from then go on.
        let off = self.settings.get("transliterate").is_none();
        all.extend(off.then(|| ("transliterate", "false".to_owned())));
        all.push(("on_unfit_field", self.on_unfit_field.as_str().to_owned()));
        // Said only where it is asked for: runs from before the key was known go on.
        all.extend(self.match_by_email.then(|| ("match_by_email", "true".to_owned())));
        all.extend(self.settings_of(Role::Semantic));
        all
    }

    fn settings_of(&self, role: Role) -> impl Iterator<Item = (&'static str, String)> {
        self.kind.keys.iter().filter(move |key| key.role == role).filter_map(|key| {
            let text = match self.settings.get(key.name)? {
                Setting::Str(text) => text.clone(),
                Setting::Int(number) => number.to_string(),
                Setting::Bool(value) => value.to_string(),
                Setting::Url(url) => url.to_string(),
                _ => return None,
            };
            Some((key.name, text))
        })
    }
}

/// What to do about slots that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Run once, however many were missed.
    Once,
    /// Leave them.
    Skip,
}

/// `[[schedules]]`.
#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    /// Its name, unique.
    pub name: String,
    /// A job line as the CLI takes it.
    pub job: String,
    /// Six fields, seconds first, in a time zone.
    pub when: When,
    /// What to do about missed slots.
    pub catch_up: CatchUp,
    /// Each run starts up to this much later, by chance.
    pub jitter: Duration,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Opens the dashboard; without it there is none.
    pub dashboard_token: Option<Secret>,
    /// How long jobs may take to come to rest.
    pub stop: Duration,
}

/// `[alerts]`.
#[derive(Debug, Clone)]
pub struct AlertsConfig {
    /// What is told.
    pub on: Vec<AlertKind>,
    /// A command and its arguments.
    pub command: Option<Vec<String>>,
    /// The address that alerts are sent to.
    pub webhook: Option<Secret>,
}

/// `[privacy]`: after how many days what is redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivacyConfig {
    /// Values of customers and methods that are gone.
    pub removed_days: u32,
    /// Values in the history of changes.
    pub changes_days: u32,
    /// Bodies of events.
    pub events_days: u32,
    /// Values in the rows of runs.
    pub run_rows_days: u32,
}
