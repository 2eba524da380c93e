//! Single values: forms of text, lengths of time, addresses.

use std::fmt::Write as _;
use std::time::Duration;

use url::{Host, Url};

use super::types::StoreUrl;

/// `"0"`, or numbers each with a unit: `s m h d w`, at most ten years in all.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit: u64 = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    let whole = number.is_empty() && !text.is_empty();
    (whole && total <= 3650 * 86_400).then(|| Duration::from_secs(total))
}

/// The shortest text that `parse_duration` reads back.
pub(super) fn show_duration(mut seconds: u64) -> String {
    if seconds == 0 {
        return "0".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)] {
        if seconds >= size {
            // Writing into a String cannot fail.
            let _ = write!(out, "{}{unit}", seconds / size);
            seconds %= size;
        }
    }
    out
}

/// What the template writes where a value of one's own belongs, and what people write there.
pub(super) fn is_placeholder(text: &str) -> bool {
    let nil_uuid = text.len() == 36 && text.chars().all(|c| c == '0' || c == '-');
    let brackets = text.starts_with('<') && text.ends_with('>');
    let plain = text.to_ascii_uppercase().replace('-', "_");
    nil_uuid || brackets || plain.contains("REPLACE_ME")
}

/// `[a-z0-9][a-z0-9_-]{0,63}`, the names of accounts.
pub(super) fn is_name(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    text.len() <= 64 && text.chars().all(ok) && !text.starts_with(['_', '-']) && !text.is_empty()
}

/// A name for people: 1 to 64 characters on one line, no blank at either end.
pub(super) fn is_title(text: &str) -> bool {
    let length = text.chars().count();
    (1..=64).contains(&length) && text.trim() == text && !text.chars().any(char::is_control)
}

/// The name of an environment variable.
pub(super) fn is_env_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a variable's name may be printed. One with small letters may be a secret that was
/// pasted where the name belongs.
pub(super) fn may_show_env(text: &str) -> bool {
    is_env_name(text) && text.len() <= 64 && !text.chars().any(|c| c.is_ascii_lowercase())
}

/// 8-4-4-4-12 hexadecimal digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The name of an HTTP header (RFC 9110 token).
pub(super) fn is_header_name(text: &str) -> bool {
    let mark = |c: char| "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || mark(c))
}

/// Six fields of cron characters, seconds first; whether they make sense is the scheduler's to say.
pub(super) fn is_cron(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || "*,-/?#".contains(c);
    text.split_whitespace().count() == 6
        && text.split_whitespace().all(|field| field.chars().all(ok))
}

/// Why an address cannot be used. The text never repeats it.
pub(super) struct UrlFault {
    pub(super) why: String,
    pub(super) hint: String,
}

fn fault(why: impl Into<String>, hint: impl Into<String>) -> UrlFault {
    UrlFault { why: why.into(), hint: hint.into() }
}

/// Whether an address, as text, may hold a password and must not be shown.
pub(super) fn may_hold_password(text: &str) -> bool {
    let user = match text.split_once("://") {
        Some((_, rest)) => match rest.split_once('@') {
            Some((user, _)) => user.contains(':'),
            None => rest.split(['/', '?', '#']).next().is_some_and(odd_port),
        },
        None => text.contains('@') && text.contains(':'),
    };
    user || text.to_ascii_lowercase().contains("password")
}

/// Whether a text may hold a secret and must not be shown: the address of an API takes neither a
/// user nor a query, so whoever wrote one there may have put a key into it.
pub(super) fn may_hold_secret(text: &str) -> bool {
    let more = match text.split_once("://") {
        None => false,
        Some((scheme, rest)) => match scheme.trim().to_ascii_lowercase().as_str() {
            // A user there is no secret.
            "postgres" | "postgresql" => false,
            "http" | "https" => rest.contains(['@', '?', '#']),
            _ => rest.contains('@'),
        },
    };
    more || may_hold_password(text)
}

/// What stands after a host's `:` and is no port: perhaps a password whose host was forgotten.
fn odd_port(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    !authority.ends_with(']') && port.is_some_and(|port| !port.chars().all(|c| c.is_ascii_digit()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The address of an API: https, or http on this machine.
pub(super) fn parse_url(text: &str) -> Result<Url, UrlFault> {
    let url = Url::parse(text)
        .map_err(|e| fault(format!("is not an address ({e})"), "write it as https://HOST/PATH"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault(
            "holds a user or a password",
            "take them out; a provider's credentials have keys of their own",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("has a `?` or `#` part", "write it as https://HOST/PATH"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(fault(
            "would send secrets in clear: http is only for localhost, 127.0.0.0/8 and ::1",
            "use https://",
        )),
        other => Err(fault(format!("has the scheme {other}"), "use https://")),
    }
}

/// A proxy's address.
pub(super) fn parse_proxy(text: &str) -> Result<Url, UrlFault> {
    let write = "write it as http://HOST:PORT";
    let url = Url::parse(text).map_err(|e| fault(format!("is not an address ({e})"), write))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(fault(format!("has the scheme {other}, not http or https"), write)),
    }
}

/// Where the store is. The password must be out of it already.
pub(super) fn parse_store_url(text: &str, folder: &std::path::Path) -> Result<StoreUrl, UrlFault> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let memory = path.is_empty() || path.contains(":memory:");
        return if memory {
            Err(fault(
                "names no file: what onfile did must outlive the process",
                "write `url = \"sqlite://onfile.db\"`",
            ))
        } else if path.contains(['?', '#']) {
            Err(fault("has options; onfile sets its own", "write `url = \"sqlite://onfile.db\"`"))
        } else {
            Ok(StoreUrl::Sqlite(folder.join(path)))
        };
    }
    let forms = "write \"sqlite://onfile.db\" or \"postgres://user@host/database\"";
    let url = Url::parse(text).map_err(|e| fault(format!("is not an address ({e})"), forms))?;
    match url.scheme() {
        "postgres" | "postgresql" if url.has_host() => Ok(StoreUrl::Postgres(url)),
        "postgres" | "postgresql" => Err(fault("names no host", forms)),
        other => Err(fault(format!("has the scheme {other}; no store of that sort"), forms)),
    }
}
