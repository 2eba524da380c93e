//! What an answer says is wrong, if anything is.

use backend::{
    BackendError, CallCtx, CallFacts, ErrorKind, ItemOutcome, Permit, Prepared, Refusal,
    SendOutcome,
};
use secrecy::ExposeSecret;

use super::{Echo, Vendor, VendorError};
use crate::{HttpRequest, HttpResponse, Sent, Transport};

/// A failed read, with what the answer said of itself.
#[must_use]
pub fn failure(
    kind: ErrorKind,
    doing: &'static str,
    response: &HttpResponse,
    message: impl Into<String>,
) -> BackendError {
    BackendError {
        status: Some(response.status),
        request_id: response.request_id.as_deref().map(Into::into),
        retry_after: response.retry_after,
        ..BackendError::new(kind, doing, message)
    }
}

/// An answer that is not of the contract's form.
#[must_use]
pub fn malformed(doing: &'static str, response: &HttpResponse, why: &str) -> BackendError {
    failure(ErrorKind::Malformed, doing, response, why)
}

/// Nobody above is handed the paths of one customer's answer.
pub fn tell_of(card_numbers_at: &[String], doing: &'static str) {
    if !card_numbers_at.is_empty() {
        tracing::warn!(doing, paths = ?card_numbers_at, "dropped card numbers from an answer");
    }
}

impl Vendor {
    /// Reads the vendor's own error from a body, if it is one.
    #[must_use]
    pub fn error_of(&self, body: &[u8]) -> Option<VendorError> {
        let (value, _) = self.object(body).ok()?;
        (self.own_error)(self.row(&value).ok()?)
    }

    /// What an answer to a read says is wrong, if anything is. Only the vendor's own error body
    /// proves that something is not there.
    ///
    /// # Errors
    /// By the status and the vendor's own error, if there is one; everything else that is no 2xx is
    /// [`ErrorKind::Malformed`].
    pub fn expect_success(
        &self,
        doing: &'static str,
        response: &HttpResponse,
        echo: &Echo,
    ) -> Result<(), BackendError> {
        let is_success = (200..300).contains(&response.status);
        if is_success && !self.error_in_success {
            return Ok(());
        }
        let own = self.error_of(&response.body);
        let kind = match (response.status, &own) {
            (200..=299, None) => return Ok(()),
            (401, _) => ErrorKind::Unauthenticated,
            (403, _) => ErrorKind::Forbidden,
            (404, Some(_)) => ErrorKind::NotFound,
            (409, Some(_)) => ErrorKind::Conflict,
            (200..=299 | 400..=499, Some(_)) => ErrorKind::Invalid,
            _ => ErrorKind::Malformed,
        };
        let Some(error) = own else {
            return Err(failure(kind, doing, response, "no error body of the provider's own"));
        };
        let refusal = echo.refusal(error);
        let mut error = failure(kind, doing, response, refusal.message);
        error.code = refusal.code.map(Into::into);
        Err(error)
    }

    /// What a status that is no success makes of an item (rule 5), where the vendor gives it no
    /// other meaning. Not applied is only what the vendor itself says so of; every 5xx and every
    /// answer that is not the vendor's own is unknown.
    #[must_use]
    pub fn not_done(&self, status: u16, own: Option<VendorError>, echo: &Echo) -> ItemOutcome {
        match (status, own) {
            (429, _) => ItemOutcome::Throttled,
            // A 401 is answered at the door, and often not by the vendor's own hand (rule 1).
            (401, own) => ItemOutcome::AccountFault(echo.refusal(own.unwrap_or_default())),
            (403, Some(error)) => ItemOutcome::AccountFault(echo.refusal(error)),
            (400 | 402 | 404 | 413 | 422, Some(error)) => ItemOutcome::Refused(echo.refusal(error)),
            (_, Some(error)) => {
                let Refusal { code, message, .. } = echo.refusal(error);
                let code = code.map(|code| format!(", code {code}")).unwrap_or_default();
                ItemOutcome::Unknown(format!("HTTP {status}{code}: {message}"))
            }
            (_, None) => ItemOutcome::Unknown(format!(
                "HTTP {status} without an error body of the provider's own"
            )),
        }
    }
}

/// Sends a prepared request that became `request`, and has `outcomes` read the answer's status and
/// body.
pub async fn send(
    transport: &Transport,
    ctx: &CallCtx,
    prepared: &Prepared,
    request: HttpRequest,
    permit: Permit,
    outcomes: impl FnOnce(&HttpResponse) -> Vec<ItemOutcome>,
) -> SendOutcome {
    let all = |outcome| SendOutcome::all(prepared.items, &outcome, CallFacts::default());
    match transport.write(ctx, request, permit).await {
        Sent::NotSent(why) => all(ItemOutcome::NotSent(why)),
        Sent::Unknown(why) => all(ItemOutcome::Unknown(why)),
        Sent::Answered(response) => SendOutcome {
            items: outcomes(&response),
            call: CallFacts {
                status: Some(response.status),
                request_id: response.request_id,
                retry_after: response.retry_after,
            },
        },
    }
}

impl HttpRequest {
    /// The request that was prepared, in JSON.
    #[must_use]
    pub fn carrying(prepared: &Prepared) -> Self {
        let body = prepared.body.expose_secret();
        Self {
            body: bytes::Bytes::copy_from_slice(body),
            content_type: (!body.is_empty()).then_some("application/json"),
            ..Self::new(prepared.verb, prepared.route, prepared.path.clone())
        }
    }
}
