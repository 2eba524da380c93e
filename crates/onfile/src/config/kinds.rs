//! The kinds of account, as data. This is the only file of the configuration that names providers:
//! a new one is one more `KindSpec` here.

use std::fmt;

use secrecy::ExposeSecret as _;

use super::error::Code;
use super::parse::KindCheck;
use super::spec::{Absent, KeySpec, Type};
use super::types::Environment;
use super::values::{is_header_name, is_uuid};

/// One kind of account: its own keys, and what must hold between them.
pub struct KindSpec {
    /// The word in the file.
    pub kind: &'static str,
    /// Who it is, for people.
    pub vendor: &'static str,
    /// The vendor's address.
    pub base_url: &'static str,
    /// The vendor's address for `environment = "test"`, where it is another.
    pub test_url: Option<&'static str>,
    /// The keys that only this kind has.
    pub keys: &'static [KeySpec],
    /// Common keys that mean nothing for it, each with the reason.
    pub without: &'static [(&'static str, &'static str)],
    /// What no single key can say.
    pub check: fn(&mut KindCheck<'_, '_>),
}

impl fmt::Debug for KindSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KindSpec({})", self.kind)
    }
}

/// Every kind that onfile knows, built into this binary or not.
pub static KINDS: &[KindSpec] = &[ECRYPT, PROXY_TOKEN, V2, NODERAILS];

/// The spec of a kind.
pub fn find(kind: &str) -> Option<&'static KindSpec> {
    KINDS.iter().find(|spec| spec.kind == kind)
}

const ECRYPT: KindSpec = KindSpec {
    kind: "ecrypt",
    vendor: "ECRYPT",
    base_url: "https://api.ecrypt.com",
    test_url: None,
    keys: &[
        KeySpec::new("api_key", Type::Secret("KEY"), Absent::Required, "the private API key"),
        KeySpec::new(
            "reference_field",
            Type::Form {
                words: "metadata.KEY or merchant_identifier",
                example: "metadata.account_id",
                check: is_reference_field,
            },
            Absent::Str("metadata.account_id"),
            "where your own customer id is kept",
        )
        .semantic(),
        KeySpec::new(
            "casing",
            Type::OneOf(&["snake", "camel"]),
            Absent::Str("snake"),
            "how the names of fields are sent; all are read",
        )
        .semantic(),
        KeySpec::new(
            "transliterate",
            Type::Bool,
            Absent::Bool(false),
            "write letters of names and companies that the vendor does not take with others (ü as u)",
        )
        .semantic(),
        KeySpec::new(
            "webhook_header",
            Type::Form {
                words: "the name of an HTTP header",
                example: "X-Webhook-Key",
                check: is_header_name,
            },
            Absent::Means("events are refused"),
            "the header in which the vendor sends `webhook_secret`",
        ),
    ],
    without: &[("replay_window", "its events carry no time")],
    check: |check| {
        if check.has("webhook_secret") && !check.has("webhook_header") {
            check.missing("webhook_header", "it says where `webhook_secret` is sent");
        }
        if check.has("webhook_header") && !check.has("webhook_secret") {
            check.missing("webhook_secret", "it is what `webhook_header` must hold");
        }
    },
};

fn is_reference_field(text: &str) -> bool {
    text == "merchant_identifier"
        || text.strip_prefix("metadata.").is_some_and(|key| !key.trim().is_empty())
}

const PROXY_TOKEN: KindSpec = KindSpec {
    kind: "proxy-token",
    vendor: "Govifi / Caselle Payments API",
    base_url: "https://api.govifi.com",
    test_url: None,
    keys: &[
        KeySpec::new(
            "payment_account_uid",
            Type::Str,
            Absent::Required,
            "the merchant, sent with every call; a wrong one acts on another merchant",
        )
        .identity(),
        KeySpec::new(
            "token_url",
            Type::Url,
            Absent::Means("needed unless `bearer`"),
            "where OAuth tokens come from",
        ),
        KeySpec::new(
            "client_id",
            Type::Secret("ID"),
            Absent::Means("needed unless `bearer`"),
            "the OAuth client",
        ),
        KeySpec::new(
            "client_secret",
            Type::Secret("SECRET"),
            Absent::Means("needed unless `bearer`"),
            "the OAuth client's secret",
        ),
        KeySpec::new(
            "scope",
            Type::Str,
            Absent::Str("com.govineer.payments/admin"),
            "the OAuth scope",
        ),
        KeySpec::new(
            "bearer",
            Type::Secret("BEARER"),
            Absent::Means("`token_url` is asked"),
            "a fixed token, instead of `token_url`, `client_id`, `client_secret`",
        ),
        KeySpec::new(
            "import_batch",
            Type::Int(1, 1000),
            Absent::Int(100),
            "rows in one call of the bulk import",
        ),
        KeySpec::new(
            "import_dedupes",
            Type::Bool,
            Absent::Bool(false),
            "whether a repeated row of the bulk import is known to create nothing",
        ),
    ],
    without: &[],
    check: |check| {
        let oauth = ["token_url", "client_id", "client_secret"];
        let given = oauth.iter().filter(|key| check.has(key)).count();
        if check.has("bearer") {
            for key in oauth.iter().chain(&["scope"]) {
                if check.has(key) {
                    let message = "and bearer exclude each other";
                    check.fail(Code::Conflict, key, message, "keep one way to sign in");
                }
            }
        } else if given == 0 {
            check.missing("token_url", "or `bearer` instead of the three OAuth keys");
            check.missing("client_id", "or `bearer` instead of the three OAuth keys");
            check.missing("client_secret", "or `bearer` instead of the three OAuth keys");
        } else {
            for key in oauth {
                if !check.has(key) {
                    check.missing(key, "the three OAuth keys belong together");
                }
            }
        }
    },
};

const V2: KindSpec = KindSpec {
    kind: "v2",
    vendor: "Monri WebPay API v2",
    base_url: "https://ipg.monri.com",
    test_url: Some("https://ipgtest.monri.com"),
    keys: &[
        KeySpec::new(
            "authenticity_token",
            Type::Str,
            Absent::Required,
            "the merchant, sent with every call; no secret",
        )
        .identity(),
        KeySpec::new(
            "merchant_key",
            Type::Secret("KEY"),
            Absent::Required,
            "signs every call, and checks the vendor's events",
        ),
    ],
    without: &[
        ("webhook_secret", "its events are signed with merchant_key"),
        ("replay_window", "its events carry no time"),
    ],
    check: |_| {},
};

const NODERAILS: KindSpec = KindSpec {
    kind: "noderails",
    vendor: "NodeRails",
    base_url: "https://api.noderails.com",
    test_url: None,
    keys: &[
        KeySpec::new(
            "app_id",
            Type::Form {
                words: "a UUID",
                example: "00000000-0000-0000-0000-000000000000",
                check: is_uuid,
            },
            Absent::Required,
            "the application",
        )
        .identity(),
        KeySpec::new(
            "api_key",
            Type::Secret("KEY"),
            Absent::Required,
            "the secret key, `nr_live_sk_…` or `nr_test_sk_…`; it must fit `environment`",
        ),
    ],
    without: &[
        ("webhook_secret", "it sends no events about customers"),
        ("replay_window", "it sends no events about customers"),
    ],
    check: |check| {
        let Some(key) = check.secret("api_key") else { return };
        let key = key.expose_secret();
        let found = if key.starts_with("nr_live_sk_") {
            Environment::Live
        } else if key.starts_with("nr_test_sk_") {
            Environment::Test
        } else if key.starts_with("nr_live_pk_") || key.starts_with("nr_test_pk_") {
            let hint = "use the secret key, which starts with nr_live_sk_ or nr_test_sk_";
            return check.fail(Code::SecretBad, "api_key", "is a publishable key (pk)", hint);
        } else {
            let hint = "copy the secret key again";
            let message = "does not start with nr_live_sk_ or nr_test_sk_";
            return check.fail(Code::SecretBad, "api_key", message, hint);
        };
        if let Some(stated) = check.environment().filter(|stated| *stated != found) {
            let message =
                format!("is a {} key, environment is {}", found.as_str(), stated.as_str());
            let hint = format!("use a {} key, or change `environment`", stated.as_str());
            check.fail(Code::Conflict, "api_key", &message, &hint);
        }
    },
};
