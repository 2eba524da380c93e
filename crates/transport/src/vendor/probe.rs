//! What a probe asks for, and what it says of an account.

use backend::{BackendError, ErrorKind, Page, Probe};
use model::RunId;

/// What a probe is doing.
pub const PROBING: &str = "check the account";

/// A reference that nobody has. A find that is not honoured would find somebody for it, and so for
/// every reference (rule 2).
#[must_use]
pub fn nobody() -> String {
    format!("onfile-check-{}", RunId::generate())
}

/// What the first page of the customers says of the account.
#[must_use]
pub fn seen<T>(first: &Page<T>) -> String {
    match (first.total.unwrap_or(first.received), first.total) {
        (0, _) => "it has no customers yet".to_owned(),
        (_, None) => "it shows its customers".to_owned(),
        (_, Some(total)) => format!("it shows its customers ({total})"),
    }
}

/// What a probe of `who` saw that read the first page of the customers and looked for [`nobody`].
///
/// # Errors
/// [`ErrorKind::Malformed`] when somebody was found.
pub fn probed<T>(who: &str, first: &Page<T>, found: bool) -> Result<Probe, BackendError> {
    if found {
        let why = "find_not_honoured: it found a customer for a reference that nobody has";
        return Err(BackendError::new(ErrorKind::Malformed, PROBING, why));
    }
    let summary = format!("{who}: {}, and finds nobody for an unknown reference", seen(first));
    Ok(Probe { summary, as_of: first.as_of })
}
