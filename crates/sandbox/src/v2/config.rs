//! What is special to a simulated v2 vendor.

/// The vendor's settings. The defaults follow the contract; the switches are readings of places
/// where the vendor is silent, for tests of the adapter's tolerance.
#[derive(Debug, Clone)]
pub struct Config {
    /// The merchants. By default one seeded and one empty; docs.md names their credentials.
    pub accounts: Vec<Account>,
    /// Rows of a page if the call has no `limit`.
    pub default_page: usize,
    /// Rows of a page at most; a `limit` above it is cut down to it.
    pub max_page: usize,
    /// Whether pages hold fewer rows than they could, by chance, but at least one while there is
    /// more.
    pub irregular_pages: bool,
    /// Whether two `merchant_customer_id`s that differ only by case are the same to the vendor.
    pub references_ignore_case: bool,
    /// What creating a second customer with one `merchant_customer_id` answers.
    pub duplicate: Duplicate,
    /// What is left of a deleted customer.
    pub deleted: Deleted,
    /// Whether a customer's `updated_at` moves when one of its methods changes.
    pub methods_move_updated_at: bool,
    /// Seconds that a `timestamp` may be off; without it any is good that counts seconds.
    pub clock_tolerance: Option<i64>,
    /// Seconds from a method's making to its `keep_until`; without it that is null.
    pub keep_seconds: Option<i64>,
    /// The shapes of the answers.
    pub shape: Shape,
}

impl Default for Config {
    fn default() -> Self {
        let account = |token: &str, key: &str, customers| Account {
            authenticity_token: token.to_owned(),
            merchant_key: key.to_owned(),
            customers,
        };
        Self {
            accounts: vec![
                account("5a0db0c0000000000000000000000000000a11a1", "sandbox-key-main", None),
                account("5a0db0c0000000000000000000000000000e3947", "sandbox-key-empty", Some(0)),
            ],
            default_page: 50,
            max_page: 100,
            irregular_pages: false,
            references_ignore_case: false,
            duplicate: Duplicate { status: 400, errors: ErrorShape::Message },
            deleted: Deleted::default(),
            methods_move_updated_at: false,
            clock_tolerance: None,
            keep_seconds: Some(5 * 365 * 86_400),
            shape: Shape::default(),
        }
    }
}

/// One merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What selects it: 40 hex digits, not secret. It is also the account's name in the sandbox.
    pub authenticity_token: String,
    /// The secret that signs its calls.
    pub merchant_key: String,
    /// Customers to seed; absent: the sandbox's number.
    pub customers: Option<usize>,
}

/// A refusal of a second customer with one `merchant_customer_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// 400–499.
    pub status: u16,
    /// Its body.
    pub errors: ErrorShape,
}

/// What is left of a deleted customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether it is still got by `uuid` and by our id, with `deleted: true`; if not, 404.
    pub shown: bool,
    /// Whether it stays in the list, with `deleted: true`.
    pub listed: bool,
    /// Whether its `merchant_customer_id` can be another customer's, and is not found meanwhile.
    pub frees_reference: bool,
    /// Whether deleting it once more is 404; if not, it is approved.
    pub again_not_found: bool,
}

impl Default for Deleted {
    fn default() -> Self {
        Self { shown: true, listed: false, frees_reference: false, again_not_found: false }
    }
}

/// The shapes of answers that the contract lets an adapter meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The name of a customer's id in the list.
    pub listed_id: IdField,
    /// The name of a customer's id in the answer to a deletion.
    pub deleted_id: IdField,
    /// A method's id.
    pub method_id: MethodId,
    /// How much of a card number is shown.
    pub mask: Mask,
    /// How points in time are written.
    pub times: Times,
    /// How `keep_until` is written.
    pub keep_until: KeepUntil,
    /// Whether what a customer does not have is null; if not, it is left out.
    pub nulls: bool,
    /// Whether creating answers 201; if not, 200.
    pub created_is_201: bool,
    /// The body of an error.
    pub errors: ErrorShape,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            listed_id: IdField::Uuid,
            deleted_id: IdField::Uuid,
            method_id: MethodId::Text,
            mask: Mask::FirstSix,
            times: Times::Zulu,
            keep_until: KeepUntil::Date,
            nulls: true,
            created_is_201: true,
            errors: ErrorShape::Message,
        }
    }
}

/// The name of a customer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdField {
    /// `uuid`.
    Uuid,
    /// `id`.
    Id,
}

impl IdField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Id => "id",
        }
    }
}

/// A method's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodId {
    /// A string of hex digits.
    Text,
    /// A number of up to 53 bits.
    Number,
}

/// How much of a card number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// `411111******1111`.
    FirstSix,
    /// `4111********1111`.
    FirstFour,
    /// `************1111`, which does not tell the brand.
    LastFour,
}

/// How points in time are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// `2027-01-15T08:00:00Z`.
    Zulu,
    /// `2027-01-15T09:00:00.000+01:00`.
    Offset,
    /// `2027-01-15 08:00:00 UTC`.
    Spaced,
}

/// How `keep_until` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepUntil {
    /// `2032-01-14`.
    Date,
    /// As [`Times`] has it.
    Time,
}

/// The body of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"status": "invalid-request", "message": "…"}`.
    Message,
    /// `{"status": "invalid-request", "errors": ["…"]}`.
    Errors,
    /// `{"status": "invalid-request"}`.
    Bare,
    /// Text that is no JSON.
    Text,
}
