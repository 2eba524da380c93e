//! What is special to a simulated ecrypt vendor.

/// The vendor's settings. The defaults follow the contract; switches are other readings of places
/// where the vendor is silent or says several things, for tests of an adapter's tolerance.
#[derive(Debug, Clone)]
pub struct Config {
    /// The merchants. By default `sandbox-private-main` (seeded) and `sandbox-private-empty`.
    pub accounts: Vec<Account>,
    /// Keys that the vendor knows but that may not read or write customers: 403.
    pub weak_keys: Vec<String>,
    /// The field that carries the client's reference: seeded customers have it there, and the
    /// views show it as `reference`.
    pub reference_field: ReferenceField,
    /// Which casing of requests is read; fields in another are unknown ones.
    pub requests: RequestCasing,
    /// Customers on a page at most; a `Size` above it is refused.
    pub max_page: usize,
    /// Entries that a wallet holds.
    pub wallet_size: usize,
    /// Whether one approved transaction can be saved to a wallet more than once.
    pub transactions_repeat: bool,
    /// Whether the first entry of a wallet becomes the default without being asked for.
    pub first_method_is_default: bool,
    /// Whether refusals are answered 200 with `errors` inside. Those of the key are not.
    pub refuse_with_200: bool,
    /// The shapes of the answers.
    pub shape: Shape,
}

impl Default for Config {
    fn default() -> Self {
        let account = |key: &str, customers| Account { key: key.to_owned(), customers };
        Self {
            accounts: vec![
                account("sandbox-private-main", None),
                account("sandbox-private-empty", Some(0)),
            ],
            weak_keys: vec!["sandbox-public".to_owned(), "sandbox-reporting".to_owned()],
            reference_field: ReferenceField::AccountId,
            requests: RequestCasing::Either,
            max_page: 100,
            wallet_size: 4,
            transactions_repeat: false,
            first_method_is_default: false,
            refuse_with_200: false,
            shape: Shape::default(),
        }
    }
}

/// One merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its private key, sent as `x-api-key`; the account's name in the sandbox, too.
    pub key: String,
    /// Customers to seed; absent: the sandbox's number.
    pub customers: Option<usize>,
}

/// The field that carries the client's reference. The vendor does not keep it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceField {
    /// `metadata.account_id`.
    AccountId,
    /// `merchant_identifier`.
    MerchantIdentifier,
}

impl ReferenceField {
    /// The field's name, as the views have it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::AccountId => "metadata.account_id",
            Self::MerchantIdentifier => "merchant_identifier",
        }
    }
}

/// Which casing of requests is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestCasing {
    /// `first_name` and `firstName`, each field by itself.
    Either,
    /// `first_name` only.
    Snake,
    /// `firstName` only.
    Camel,
}

/// The shapes of answers that the contract lets an adapter meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The casing of every field.
    pub casing: Casing,
    /// Around a list of customers.
    pub customers: ListName,
    /// Around a list of a wallet's entries.
    pub wallets: WalletsName,
    /// A single customer that is got.
    pub customer: One,
    /// A single wallet entry that is got.
    pub wallet: One,
    /// What a get of a customer that does not exist answers.
    pub missing_customer: Missing,
    /// How card and account numbers are masked.
    pub mask: Mask,
    /// How an expiry is written.
    pub expiry: Expiry,
    /// The `network` of a bank account.
    pub bank_network: Option<&'static str>,
    /// What stands for a value that there is not.
    pub unset: Unset,
    /// The `errors` of an answer without any.
    pub no_errors: NoErrors,
    /// The type of an error's `message`.
    pub message: Message,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            casing: Casing::Snake,
            customers: ListName::Customers,
            wallets: WalletsName::Wallets,
            customer: One::Array,
            wallet: One::Object,
            missing_customer: Missing::NotFound,
            mask: Mask::Stars,
            expiry: Expiry::Mmyy,
            bank_network: None,
            unset: Unset::Absent,
            no_errors: NoErrors::Absent,
            message: Message::Text,
        }
    }
}

/// The casing of every field in an answer, but of the keys inside of `metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casing {
    /// `first_name`, as in the vendor's guides.
    Snake,
    /// `firstName`, as in its reference.
    Camel,
    /// `FirstName`, as in its older webhooks.
    Pascal,
}

/// The name of a list of customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListName {
    /// `customers`.
    Customers,
    /// `data`.
    Data,
}

/// The name of a list of wallet entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalletsName {
    /// `wallets`.
    Wallets,
    /// `wallet`.
    Wallet,
    /// `data`.
    Data,
}

/// A single thing that is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum One {
    /// An object under `customer` or `wallet`.
    Object,
    /// An array of one under `customers` or `wallet`.
    Array,
}

/// A get of a customer that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// 404 with an error.
    NotFound,
    /// 200 with `customers: null`.
    Null,
}

/// How numbers are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// `4***********1111`; a bank account's `*****6789`.
    Stars,
    /// `4xxxxxxxxxxx1111`; a bank account's `xxxxx6789`.
    Xs,
    /// `411111******1111`; a bank account's `*****6789`.
    Bin,
}

/// How an expiry is written; February 2031 as the example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// `0231`.
    Mmyy,
    /// `02/31`.
    MmSlashYy,
    /// `02/2031`.
    MmSlashYyyy,
    /// `2031-02`.
    YyyyDashMm,
}

/// A value that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// The field is left out.
    Absent,
    /// The field is null.
    Null,
}

/// The `errors` of an answer without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoErrors {
    /// Left out.
    Absent,
    /// `null`.
    Null,
    /// `[]`.
    Empty,
}

/// The type of an error's `message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The text.
    Text,
    /// `{"text": …, "field": …}`.
    Object,
    /// `[text]`.
    Array,
    /// A number: the HTTP status that fits.
    Number,
    /// `null`.
    Null,
}
