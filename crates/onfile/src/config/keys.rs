//! The keys that are the same for every provider, with their defaults: the one place for them.

use store::AlertKind;

use super::spec::{Absent, KeySpec, Type};
use super::values::{is_cron, is_name, is_title};

/// The longest that is taken for one call, in seconds.
const MAX_TIMEOUT: f64 = 600.0;
/// The longest that is taken for waits, in seconds.
const MAX_WAIT: f64 = 86_400.0;
/// From the commit of an effect until it must have been sent (rules.md 5), in seconds.
pub(super) const SEND_WINDOW: u64 = 3;
/// What the default of `quarantine_seconds` adds to the least that is allowed, in seconds.
pub(super) const QUARANTINE_MARGIN: u64 = 7;

const NAME: Type = Type::Form {
    words: "1 to 64 of a-z, 0-9, _ and -, starting with a letter or digit",
    example: "default",
    check: is_name,
};
const TITLE: Type = Type::Form {
    words: "1 to 64 characters on one line",
    example: "nightly pull",
    check: is_title,
};

/// `[store]`.
pub(super) const STORE: &[KeySpec] = &[
    KeySpec::new(
        "url",
        Type::StoreUrl,
        Absent::Required,
        "the database: `sqlite://FILE` (relative to this file's folder) or `postgres://USER@HOST/DB`",
    ),
    KeySpec::new(
        "password",
        Type::Secret("DB_PASSWORD"),
        Absent::Means("none"),
        "the password of the PostgreSQL user",
    ),
    KeySpec::new(
        "ca_file",
        Type::File,
        Absent::Means("the system's"),
        "PEM certificates to check the PostgreSQL server's against",
    ),
    KeySpec::new(
        "encryption_key",
        Type::Key,
        Absent::Means("one of the two must be there"),
        "the key of the store; `onfile keys generate` prints one. It is the same as \
         `encryption_keys` with one key called `default`",
    ),
    KeySpec::new(
        "encryption_keys",
        Type::Keys,
        Absent::Means("`encryption_key`"),
        "several keys, while they rotate: the first encrypts, all decrypt",
    ),
];

/// `[canonical]`.
pub(super) const CANONICAL: &[KeySpec] = &[KeySpec::new(
    "precedence",
    Type::Names,
    Absent::Means("the order of the accounts"),
    "whose value of a customer's field wins, first to last: names of accounts, and `file` for \
     what was last imported",
)
.semantic()];

/// `rate` of an account.
const RATE: &[KeySpec] = &[
    KeySpec::new(
        "per_second",
        Type::Number(10_000.0),
        Absent::Int(5),
        "calls a second, on average",
    ),
    KeySpec::new(
        "burst",
        Type::Int(1, 10_000),
        Absent::Int(1),
        "calls that may start at once; a sliding second holds at most per_second + burst",
    ),
    KeySpec::new(
        "in_flight",
        Type::Int(1, 1000),
        Absent::Int(8),
        "calls that may be under way together",
    ),
];

/// `[accounts.NAME]`, whatever its kind.
pub(super) const ACCOUNT: &[KeySpec] = &[
    // Asked for in account.rs, which can say what the kinds are.
    KeySpec::new("kind", Type::Str, Absent::Means("**required**"), "the provider's style, below"),
    KeySpec::new(
        "base_url",
        Type::Url,
        Absent::Means("the vendor's"),
        "the address of the API; its host is part of the account's identity",
    )
    .identity(),
    KeySpec::new(
        "environment",
        Type::OneOf(&["live", "test"]),
        Absent::Means("not stated"),
        "which of the vendor's environments this is; keys of the other one are refused where \
         they can be told apart",
    )
    .identity(),
    KeySpec::new("rate", Type::Table(RATE), Absent::Table, "how fast the account may be called"),
    KeySpec::new(
        "timeout_seconds",
        Type::Seconds(0.1, MAX_TIMEOUT),
        Absent::Seconds(30),
        "how long one call may take",
    ),
    KeySpec::new(
        "late_seconds",
        Type::Seconds(0.0, MAX_WAIT),
        Absent::Seconds(20),
        "how late the provider may still carry out a call, and how far its reads lag behind; \
         lower it only for a sandbox",
    ),
    KeySpec::new(
        "quarantine_seconds",
        Type::Seconds(0.0, MAX_WAIT),
        Absent::Means("3 + timeout + late + 7"),
        "after a lost answer, how long until \"not there\" is believed; at least \
         3 + `timeout_seconds` + `late_seconds`",
    ),
    KeySpec::new(
        "reference_namespace",
        NAME,
        Absent::Str("default"),
        "accounts that share one numbering of customers share a namespace",
    )
    .semantic(),
    KeySpec::new(
        "match_by_email",
        Type::Bool,
        Absent::Bool(false),
        "whether a customer that no reference links is linked by its e-mail address to the one \
         customer of the namespace that has it",
    )
    .semantic(),
    KeySpec::new(
        "in_step",
        Type::Bool,
        Absent::Means("listed in `precedence`"),
        "whether `reconcile` holds its fields to the canonical value",
    ),
    KeySpec::new(
        "methods_max_age",
        Type::Duration,
        Absent::Seconds(0),
        "how old what is known of a customer's methods may be before a pull reads them again; \
         \"0\": every pull reads all, else the oldest-read first",
    ),
    KeySpec::new(
        "calls_budget",
        Type::Int(1, 100_000_000),
        Absent::Means("no limit"),
        "a pull that has made so many calls reads no more payment methods (the customer list, and what \
         proves that something is gone, are read all the same); what it leaves out is said in its coverage",
    ),
    KeySpec::new(
        "on_unfit_field",
        Type::OneOf(&["reject", "omit"]),
        Absent::Str("reject"),
        "a field that the provider cannot hold rejects its row, or is left out with a warning",
    )
    .semantic(),
    KeySpec::new(
        "proxy",
        Type::Proxy,
        Absent::Means("the system's"),
        "the HTTP proxy to the vendor; as a secret if its address holds a password",
    ),
    KeySpec::new(
        "ca_file",
        Type::File,
        Absent::Means("the system's"),
        "PEM certificates to check the vendor's against",
    ),
    KeySpec::new(
        "webhook_secret",
        Type::Secrets("WEBHOOK"),
        Absent::Means("events are refused"),
        "checks the vendor's events; a list while it changes, all of them valid",
    ),
    KeySpec::new(
        "replay_window",
        Type::Duration,
        Absent::Seconds(4 * 3600),
        "an event older than this is kept as late, a hint only; one from further in the future \
         is refused",
    ),
];

/// `[[schedules]]`.
pub(super) const SCHEDULE: &[KeySpec] = &[
    KeySpec::new("name", TITLE, Absent::Required, "its name, unique"),
    KeySpec::new(
        "job",
        Type::Str,
        Absent::Required,
        "a job as the command line takes it, such as `pull ACCOUNT` or `import ACCOUNT --inbox DIR`; \
         relative paths start at this file's folder",
    ),
    KeySpec::new(
        "cron",
        Type::Form {
            words: "six fields: second minute hour day month weekday",
            example: "0 15 2 * * *",
            check: is_cron,
        },
        Absent::Required,
        "when: second, minute, hour, day of the month, month, day of the week (0 or 7 is Sunday); a \
         day of the month and one of the week are either-or. A fixed time that a change of the clock \
         leaves out is due right after it, one that comes twice the first time",
    ),
    KeySpec::new(
        "timezone",
        Type::Str,
        Absent::Str("UTC"),
        "the IANA time zone of `cron`, such as `America/Denver`",
    ),
    KeySpec::new(
        "catch_up",
        Type::OneOf(&["once", "skip"]),
        Absent::Str("once"),
        "slots that passed while nothing ran are made up by one run, or skipped; what was stopped or \
         killed goes on, or does not",
    ),
    KeySpec::new(
        "jitter_seconds",
        Type::Int(0, 3600),
        Absent::Int(0),
        "each run starts up to this much later, by chance",
    ),
];

/// `[server]`.
pub(super) const SERVER: &[KeySpec] = &[
    KeySpec::new(
        "listen",
        Type::Socket,
        Absent::Str("127.0.0.1:8080"),
        "where `onfile serve` listens; port 0 picks one",
    ),
    KeySpec::new(
        "dashboard_token",
        Type::Secret("DASHBOARD"),
        Absent::Means("no dashboard"),
        "opens the dashboard and its JSON API",
    ),
    KeySpec::new(
        "stop_seconds",
        Type::Int(1, 3600),
        Absent::Int(30),
        "how long jobs may take to come to rest when `onfile serve` is asked to stop; then calls in \
         flight are given up, and settled when it is started again",
    ),
];

/// What an alert may be about.
pub(super) const ALERT_KINDS: [AlertKind; 3] =
    [AlertKind::Failed, AlertKind::Differences, AlertKind::Overdue];

/// `[alerts]`.
pub(super) const ALERTS: &[KeySpec] = &[
    KeySpec::new(
        "on",
        Type::Names,
        Absent::Means("[\"failed\", \"differences\", \"overdue\"]"),
        "what is told: `failed`, a scheduled job that failed or was not finished; `differences`, one \
         with differences or declined rows over its threshold; `overdue`, two slots in a row without \
         a good run",
    ),
    KeySpec::new(
        "command",
        Type::Str,
        Absent::Means("no command"),
        "run for each alert, with the alert as JSON on its standard input; it is run again later if \
         it fails",
    ),
    KeySpec::new(
        "webhook",
        Type::Secret("ALERTS"),
        Absent::Means("no address"),
        "the alert is sent there as JSON, by POST, again later if the answer is not 2xx",
    ),
];

const DAYS: Type = Type::Int(1, 36_500);

/// `[privacy]`.
pub(super) const PRIVACY: &[KeySpec] = &[
    KeySpec::new(
        "removed_days",
        DAYS,
        Absent::Int(90),
        "days until the values of customers and methods that are gone are redacted",
    ),
    KeySpec::new(
        "changes_days",
        DAYS,
        Absent::Int(2555),
        "days until values in the history of changes are redacted",
    ),
    KeySpec::new(
        "events_days",
        DAYS,
        Absent::Int(400),
        "days until the bodies of events are redacted",
    ),
    KeySpec::new(
        "run_rows_days",
        DAYS,
        Absent::Int(90),
        "days until values in the rows of runs are redacted",
    ),
];

/// The sections of the file, for the reader and the reference. `schedules` is a list of these.
pub(super) const SECTIONS: &[(&str, &[KeySpec])] = &[
    ("store", STORE),
    ("canonical", CANONICAL),
    ("accounts", ACCOUNT),
    ("schedules", SCHEDULE),
    ("server", SERVER),
    ("alerts", ALERTS),
    ("privacy", PRIVACY),
];
