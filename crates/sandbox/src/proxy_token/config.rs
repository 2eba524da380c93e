//! What is special to a simulated proxy-token vendor.

/// The vendor's settings. The defaults follow the contract; switches that are off are readings of
/// places where the vendor is silent, for tests of the adapter's tolerance.
#[derive(Debug, Clone)]
pub struct Config {
    /// The merchants. By default `pa_main` (seeded) and `pa_empty`.
    pub accounts: Vec<Account>,
    /// OAuth client id.
    pub client_id: String,
    /// OAuth client secret.
    pub client_secret: String,
    /// The scope that a token must be asked for.
    pub scope: String,
    /// Life of an access token in seconds.
    pub access_seconds: i64,
    /// A bearer that never ends, beside the OAuth ones.
    pub static_bearer: Option<String>,
    /// Rows that one bulk import takes; more are 413 `batch_too_large`.
    pub import_batch: usize,
    /// Life of a proxynized token in seconds.
    pub proxynized_seconds: i64,
    /// Customers on a page at most; `$top` above it is cut down to it.
    pub max_page: usize,
    /// Whether importing a token that this customer already has answers `duplicate`; if not, the
    /// row is saved once more.
    pub import_dedupes: bool,
    /// Whether importing a token that *another* customer has answers `duplicate` with that
    /// customer's method; if not, it is saved as a method of this customer too.
    pub duplicate_across_customers: bool,
    /// Whether two references that differ only by case are the same to the vendor.
    pub references_ignore_case: bool,
    /// Whether the first saved method becomes the default without being asked for.
    pub first_method_is_default: bool,
    /// The shapes of the answers.
    pub shape: Shape,
}

impl Default for Config {
    fn default() -> Self {
        let account = |uid: &str, customers| Account { uid: uid.to_owned(), customers };
        Self {
            accounts: vec![account("pa_main", None), account("pa_empty", Some(0))],
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-secret".to_owned(),
            scope: "com.govineer.payments/admin".to_owned(),
            access_seconds: 3600,
            static_bearer: Some("sandbox-bearer".to_owned()),
            import_batch: 100,
            proxynized_seconds: 900,
            max_page: 100,
            import_dedupes: true,
            duplicate_across_customers: false,
            references_ignore_case: false,
            first_method_is_default: false,
            shape: Shape::default(),
        }
    }
}

/// One merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its `X-Payment-Account-Uid`.
    pub uid: String,
    /// Customers to seed; absent: the sandbox's number.
    pub customers: Option<usize>,
}

/// The shapes of answers that the contract lets an adapter meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Around a list of customers, and around a find's answer.
    pub customers: Envelope,
    /// Around a list of methods.
    pub methods: Envelope,
    /// The name of a customer's id.
    pub id_field: IdField,
    /// A method in a list.
    pub method: MethodShape,
    /// Whether a listed method says if it is the default.
    pub is_default: bool,
    /// Whether a customer has `created_at`.
    pub created_at: bool,
    /// Whether a page of customers links to the next one.
    pub next_link: NextLink,
    /// Whether about half of the method ids begin with `SPM_` in place of `spm_`.
    pub mixed_method_prefix: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            customers: Envelope::Value,
            methods: Envelope::PaymentMethods,
            id_field: IdField::Uid,
            method: MethodShape::Nested,
            is_default: true,
            created_at: true,
            next_link: NextLink::Absent,
            mixed_method_prefix: false,
        }
    }
}

/// What stands around a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing: a bare array.
    Bare,
    /// `{"value": […]}`, as OData has it.
    Value,
    /// `{"data": […]}`.
    Data,
    /// `{"items": […]}`.
    Items,
    /// `{"payment_methods": […]}`; around customers it is `value`.
    PaymentMethods,
}

/// The name of a customer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdField {
    /// `uid`.
    Uid,
    /// `customer_uid`.
    CustomerUid,
    /// `id`.
    Id,
}

impl IdField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::CustomerUid => "customer_uid",
            Self::Id => "id",
        }
    }
}

/// A method in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodShape {
    /// `{saved_payment_method_uid, payment_method_type, credit|ach: {…}}`.
    Nested,
    /// `{id, type: card|ach, brand, last4, …}`.
    Flat,
}

/// Whether a page of customers has an `@odata.nextLink`. A bare array never has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextLink {
    /// None: the end is an empty page.
    Absent,
    /// To the sandbox itself, while there is more.
    SameOrigin,
    /// To another host, which an adapter must not follow with its credentials.
    ForeignOrigin,
}
