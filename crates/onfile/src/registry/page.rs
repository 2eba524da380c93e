//! The page of what each provider can do, made from the capabilities of the adapters.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ::sandbox::Kind;
use backend::{
    Capabilities, EventStyle, FieldRule, FindBy, ListOrder, MethodListing, SettleCreate,
    TokenRoute, TokenRule,
};
use model::{AccountName, Clock, FieldName, MethodKind, SystemClock, TokenKind};
use transport::{LocalPermits, Rate, Transport, TransportConfig};

use super::{PROVIDERS, kinds};
use crate::calls::CallCounts;
use crate::commands::sandbox::section;
use crate::config::{Config, LoadOptions};

mod findings;

const HEAD: &str = "# What each provider can do

What an account's kind can hold and carry out decides what a run plans for it; what it cannot do is never
emulated. This page is made from what the adapters declare (also `onfile help providers`); limits, quirks and what
was adopted stand on each provider's own page:
";

const FINDINGS: &str = "## What `reconcile` can find

A category that cannot occur at a provider is never reported of it. `reconcile` itself is to come.

";

/// The seeded account of each kind's simulator, in a configuration.
fn config() -> Config {
    let mut text = String::from(
        "[store]\nurl = \"sqlite://onfile.db\"\nencryption_key = { env = \"ONFILE_KEY\" }\n",
    );
    let simulated = |kind| Kind::parse(kind).unwrap_or_else(|| panic!("no simulator of {kind}"));
    let variable = |kind: &Kind| kind.as_str().to_uppercase().replace('-', "_");
    for kind in kinds().into_iter().map(simulated) {
        let source = format!("{{ env = \"{}\" }}", variable(&kind));
        text.push_str(&section(kind, "http://127.0.0.1", &source, "{ per_second = 1 }"));
    }
    let secret = |name: &str| match Kind::ALL.iter().find(|kind| variable(kind) == name) {
        Some(kind) => Some(kind.way().secret.1.to_owned()),
        None => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
    };
    let path = Path::new("onfile.toml");
    let config = Config::parse(&text, path, &secret, &LoadOptions::default(), &kinds());
    config.unwrap_or_else(|errors| panic!("{errors}"))
}

/// What the adapters declare, each at its defaults.
fn declared() -> Vec<Capabilities> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = config();
    let of = |provider: &super::Provider| {
        let account = config.accounts.iter().find(|account| account.kind.kind == provider.kind);
        let account = account.expect("each kind has one");
        let opened = (provider.open)(account).expect("right settings");
        let rate = Rate { per_second: 1.0, burst: 1, in_flight: 1 };
        let name = AccountName::new("example").expect("a name");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let transport = Transport::new(
            TransportConfig::new(name, account.base_url.clone(), rate),
            opened.credentials(&clock).expect("credentials"),
            Arc::new(LocalPermits::new(&rate)),
            Arc::new(CallCounts::default()),
            clock,
        );
        opened.backend(transport.expect("a transport")).expect("a backend").capabilities()
    };
    PROVIDERS.iter().map(of).collect()
}

fn yes(can: bool) -> String {
    if can { "yes" } else { "no" }.to_owned()
}

fn find(find: FindBy) -> &'static str {
    match find {
        FindBy::Nothing => "no: the list is read",
        FindBy::Search => "by a search; not found proves nothing",
        FindBy::UniqueReference => "by the reference, which is unique",
    }
}

fn settled(settle: SettleCreate) -> &'static str {
    match settle {
        SettleCreate::UniqueReference => "repeated, then found by its reference",
        SettleCreate::IdempotencyKey => "repeated with its key",
        SettleCreate::Scan => "the list is read",
    }
}

fn events(events: EventStyle) -> &'static str {
    match events {
        EventStyle::None => "none: only a pull sees changes",
        EventStyle::Customers => "name customers",
        EventStyle::PaymentMethods => "name payment methods",
    }
}

fn words(kinds: &[MethodKind]) -> String {
    let words: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
    words.join(", ")
}

/// A row of the first table: what it says, and of whom.
type Row = (&'static str, fn(&Capabilities) -> String);

const OPERATIONS: &[Row] = &[
    ("creates customers", |c| yes(c.create_customer)),
    ("reads one customer", |c| yes(c.get_customer)),
    ("finds a customer by our reference", |c| find(c.find).to_owned()),
    ("changes a customer's fields", |c| match (c.update_customer, c.metadata_replaced) {
        (true, true) => "yes; metadata is replaced whole, so theirs is sent along".to_owned(),
        (can, _) => yes(can),
    }),
    ("deletes customers", |c| yes(c.delete_customer)),
    ("a deleted customer", |c| match c.shows_deleted {
        true => "is shown as deleted".to_owned(),
        false => "is not there".to_owned(),
    }),
    ("customers on a page, at most", |c| c.customers_page.to_string()),
    ("order of the list", |c| match c.customers_order {
        ListOrder::NewestFirst => "newest first".to_owned(),
        ListOrder::Unspecified => "not stated".to_owned(),
    }),
    ("the list states its total", |c| yes(c.customers_total)),
    ("kinds of payment method", |c| words(c.method_kinds)),
    ("payment methods are read", |c| match (c.methods, c.methods_page) {
        (MethodListing::Inline, _) => "with their customer".to_owned(),
        (MethodListing::PerCustomer, None) => "one call a customer".to_owned(),
        (MethodListing::PerCustomer, Some(page)) => format!("by {page}, for each customer"),
    }),
    ("saves a payment method", |c| yes(c.add_method)),
    ("saves many in one call", |c| match (c.import_batch, c.import_dedupes) {
        (None, _) => yes(false),
        (Some(most), false) => format!("{most} (`import_batch`)"),
        (Some(most), true) => format!("{most} (`import_batch`), a token once a customer"),
    }),
    ("sets the default", |c| yes(c.set_default)),
    ("shows which is the default", |c| yes(c.default_readable)),
    ("tells a bank account by its facts", |c| {
        match (c.method_kinds.contains(&MethodKind::BankAccount), c.account_type_readable) {
            (false, _) => "it holds none".to_owned(),
            (true, true) => "by last 4 and type".to_owned(),
            (true, false) => {
                "no: its type is not shown. A row of a new one is `facts_needed` where \
                              the customer has a bank account that may be it"
                    .to_owned()
            }
        }
    }),
    ("removes a payment method", |c| yes(c.remove_method)),
    ("payment methods of a customer, at most", |c| {
        c.methods_per_customer.map_or_else(|| "not stated".to_owned(), |most| most.to_string())
    }),
    ("idempotency keys", |c| yes(c.idempotency_keys)),
    ("a create whose answer is lost", |c| settled(c.settle_create).to_owned()),
    ("events", |c| events(c.events).to_owned()),
];

fn field(capabilities: &Capabilities, field: FieldName) -> String {
    let Some(rule) = capabilities.fields.iter().find(|rule| rule.field == field) else {
        return match capabilities.is_only_ours(field) {
            true => "kept in our store only",
            false => "with another",
        }
        .to_owned();
    };
    let FieldRule { min, max, required, .. } = rule;
    let length = match max {
        Some(max) if max == min => format!("{max}"),
        Some(max) => format!("{min} to {max}"),
        None => "yes".to_owned(),
    };
    if *required { format!("{length}, required") } else { length }
}

fn token(capabilities: &Capabilities, kind: TokenKind) -> String {
    let Some(rule) = capabilities.token(kind) else { return "no".to_owned() };
    let TokenRule { route, max_age, single_use, with_default, .. } = rule;
    let mut said = vec![match route {
        TokenRoute::Add => "one in a call".to_owned(),
        TokenRoute::Bulk => "many in a call".to_owned(),
    }];
    said.extend(max_age.map(|age| format!("{} minutes old at most", age.as_secs() / 60)));
    said.extend(single_use.then(|| "spent by it".to_owned()));
    said.extend((!with_default).then(|| "a default is a call of its own".to_owned()));
    said.join("; ")
}

/// A row of a table.
fn row(out: &mut String, head: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _infallible = writeln!(out, "| {head} | {} |", cells.join(" | "));
}

fn head(out: &mut String, first: &str, all: &[Capabilities]) {
    row(out, first, all.iter().map(|c| format!("`{}`", c.kind)));
    let _infallible = writeln!(out, "|---|{}", "---|".repeat(all.len()));
}

fn page() -> String {
    let all = declared();
    let mut out = HEAD.to_owned();
    let own = |c: &Capabilities| format!("[`{0}`](../../provider-{0}/docs.md)", c.kind);
    out.push_str(&all.iter().map(own).collect::<Vec<_>>().join(", "));
    out.push_str(".\n\n");
    head(&mut out, "", &all);
    for (what, said) in OPERATIONS {
        row(&mut out, what, all.iter().map(said));
    }
    out.push_str(
        "\n## Fields of a customer\n\nHow many characters each takes. What is held with another is \
         joined with it, or split from it: a name at its\nlast space, two lines of an address by a \
         comma.\n\n",
    );
    head(&mut out, "field", &all);
    for name in FieldName::TEXTS.into_iter().chain([FieldName::Metadata]) {
        let name_of = format!("`{}`", name.as_str());
        row(&mut out, &name_of, all.iter().map(|c| field(c, name)));
    }
    out.push_str("\n## Tokens\n\nWallets are saved by their address, without one.\n\n");
    head(&mut out, "kind", &all);
    for kind in TokenKind::ALL.into_iter().filter(|kind| *kind != TokenKind::Address) {
        row(&mut out, &format!("`{}`", kind.as_str()), all.iter().map(|c| token(c, kind)));
    }
    out.push('\n');
    out.push_str(FINDINGS);
    head(&mut out, "category", &all);
    for category in findings::ALL {
        let cells = all.iter().map(|c| {
            (category.occurs)(c).map_or_else(
                |why| format!("no: {why}"),
                |how| if how.is_empty() { "yes".to_owned() } else { format!("yes: {how}") },
            )
        });
        row(&mut out, &format!("`{}`", category.name), cells);
    }
    out
}

#[test]
fn the_page_is_current() {
    let made = page();
    if made != include_str!("../../docs/providers.md") {
        let file = std::env::temp_dir().join("onfile-providers.md");
        std::fs::write(&file, &made).expect("a temporary file");
        panic!("the page differs: cp {} crates/onfile/docs/providers.md", file.display());
    }
}

/// What a provider can do and where such calls go are declared together.
#[test]
fn what_can_be_done_has_an_endpoint() {
    for c in declared() {
        let to = c.endpoints;
        let pairs = [
            (c.create_customer, to.create_customer.is_some(), "create"),
            (c.get_customer, to.get_customer.is_some(), "get"),
            (c.update_customer, to.update_customer.is_some(), "update"),
            (c.find != FindBy::Nothing, to.find_customer.is_some(), "find"),
            (c.methods == MethodListing::PerCustomer, to.list_methods.is_some(), "list methods"),
            (c.add_method, to.add_method.is_some(), "add"),
            (c.import_batch.is_some(), to.import_methods.is_some(), "import"),
            (c.set_default, to.set_default.is_some(), "set default"),
        ];
        for (can, has, what) in pairs {
            assert_eq!(can, has, "{}: {what}", c.kind);
        }
        let keyed = c.settle_create == SettleCreate::IdempotencyKey;
        assert_eq!(keyed, c.idempotency_keys, "{}: keys", c.kind);
        let unique = c.settle_create == SettleCreate::UniqueReference;
        assert_eq!(unique, c.find == FindBy::UniqueReference, "{}: the reference", c.kind);
        for rule in c.tokens {
            let carried = match rule.route {
                TokenRoute::Add => c.add_method,
                TokenRoute::Bulk => c.import_batch.is_some(),
            };
            assert!(carried, "{}: {:?} has no call", c.kind, rule.kind);
        }
    }
}
