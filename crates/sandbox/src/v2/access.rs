//! Who calls: the digest over the merchant's key, the time, and what was sent.

use super::config::{Account, Config};
use super::refused::Refused;
use crate::vendor::Call;
use http::StatusCode;
use sha2::{Digest, Sha512};

const SCHEME: &str = "WP3-v2.1";

/// The digits of a Unix second until the year 5138; a millisecond has more.
const SECOND_DIGITS: usize = 11;

/// What an `Authorization` header says: `WP3-v2.1 {authenticity_token} {timestamp} {digest}`.
#[derive(Debug, PartialEq, Eq)]
struct Signed<'c> {
    token: &'c str,
    timestamp: &'c str,
    digest: &'c str,
}

impl<'c> Signed<'c> {
    fn read(call: &'c Call) -> Option<Self> {
        let mut parts = call.header("authorization")?.split(' ');
        let (scheme, token, timestamp, digest) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (scheme == SCHEME && parts.next().is_none()).then_some(Self { token, timestamp, digest })
    }
}

/// The authenticity token that a request names, unchecked.
pub(super) fn token(call: &Call) -> Option<&str> {
    Signed::read(call).map(|signed| signed.token)
}

/// The merchant that signed the request. The digest is over path and query exactly as sent.
pub(super) fn check<'v>(call: &Call, config: &'v Config, now: i64) -> Result<&'v Account, Refused> {
    let refused = |message: &str| Refused::new(StatusCode::UNAUTHORIZED, message);
    let signed = Signed::read(call).ok_or_else(|| {
        refused("expected Authorization: WP3-v2.1 authenticity_token timestamp digest")
    })?;
    let named = |account: &&Account| account.authenticity_token == signed.token;
    let account = config.accounts.iter().find(named);
    let account = account.ok_or_else(|| refused("the authenticity token is not known"))?;
    let digits = signed.timestamp.bytes().all(|b| b.is_ascii_digit());
    let second = signed.timestamp.parse::<i64>().ok();
    let second = second.filter(|_| digits && signed.timestamp.len() <= SECOND_DIGITS);
    let second = second.ok_or_else(|| refused("the timestamp is no Unix second"))?;
    if config.clock_tolerance.is_some_and(|off| now.saturating_sub(second).abs() > off) {
        return Err(refused("the timestamp is too far off"));
    }
    let query = call.query.as_deref().map(|q| format!("?{q}")).unwrap_or_default();
    let head = [&account.merchant_key, signed.timestamp, signed.token, &call.path, &query].concat();
    let made = Sha512::new().chain_update(head).chain_update(&call.body).finalize();
    if hex::encode(made) != signed.digest {
        return Err(refused("the digest is not the request's"));
    }
    Ok(account)
}
