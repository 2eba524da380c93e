//! What is special to a simulated noderails vendor.

/// The vendor's settings. The defaults follow the contract; switches that are off are readings of
/// places where the vendor is silent, for tests of the adapter's tolerance.
#[derive(Debug, Clone)]
pub struct Config {
    /// The apps. By default [`MAIN`] (seeded) and [`EMPTY`], both reached with [`KEY`].
    pub accounts: Vec<Account>,
    /// The chains that wallets can be on; any other is refused.
    pub chains: Vec<Chain>,
    /// The version that the header `NodeRails-Version` may name; any other is refused.
    pub version: String,
    /// Customers on a page when the call does not say.
    pub default_page: usize,
    /// What another customer's `externalId` is answered.
    pub duplicate_external_id: Duplicate,
    /// What a wallet that the customer has already is answered.
    pub duplicate_wallet: Duplicate,
    /// Whether `search` looks into `externalId` too.
    pub search_external_id: bool,
    /// How long `search` does not know a new customer. Seeded ones it knows at once.
    pub search_lag: SearchLag,
    /// Whether a request with fields that the vendor does not know is refused; if not, they are
    /// dropped without a word.
    pub unknown_fields_refused: bool,
    /// Whether a wallet with an active authorization cannot be removed (409).
    pub authorized_wallets_stay: bool,
    /// Life of the answer that is kept for an idempotency key, in seconds.
    pub key_seconds: i64,
    /// How long at most a call holds its idempotency key while it is executed, in seconds. A call
    /// that comes later with the same key is executed beside it.
    pub key_lock_seconds: i64,
    /// The shapes of the answers.
    pub shape: Shape,
}

/// The secret key of the default apps.
pub const KEY: &str = "nr_test_sk_sandbox_key-1";

/// The seeded default app.
pub const MAIN: &str = "6d61696e-0000-4000-8000-000000000001";

/// The default app without customers.
pub const EMPTY: &str = "656d7074-7900-4000-8000-000000000002";

impl Default for Config {
    fn default() -> Self {
        let account = |app_id: &str, customers| Account {
            app_id: app_id.to_owned(),
            secret_key: KEY.to_owned(),
            customers,
        };
        Self {
            accounts: vec![account(MAIN, None), account(EMPTY, Some(0))],
            chains: chains(),
            version: "2026-03-07".to_owned(),
            default_page: 20,
            duplicate_external_id: Duplicate::ServerError,
            duplicate_wallet: Duplicate::ServerError,
            search_external_id: true,
            search_lag: SearchLag::None,
            unknown_fields_refused: false,
            authorized_wallets_stay: false,
            key_seconds: 86_400,
            key_lock_seconds: 60,
            shape: Shape::default(),
        }
    }
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its UUID.
    pub app_id: String,
    /// The key of the merchant whose app it is: `nr_{live|test}_sk_…`. Apps with the same key are of
    /// the same merchant; another merchant's customers are 403.
    pub secret_key: String,
    /// Customers to seed; absent: the sandbox's number.
    pub customers: Option<usize>,
}

/// A chain that wallets can be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its number at the vendor.
    pub id: i64,
    /// Its name, as the vendor shows it.
    pub name: String,
    /// What its addresses look like.
    pub form: AddressForm,
}

/// What the addresses of a chain look like, and how they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressForm {
    /// `0x` and 40 hex digits; kept in lower case.
    Evm,
    /// Base58, 32–44 characters; kept as sent.
    Solana,
    /// `0x` and 1–64 hex digits; kept in lower case.
    Sui,
}

fn chains() -> Vec<Chain> {
    use AddressForm::{Evm, Solana, Sui};
    [
        (1, "Ethereum", Evm),
        (10, "Optimism", Evm),
        (137, "Polygon", Evm),
        (8453, "Base", Evm),
        (42161, "Arbitrum One", Evm),
        (11_155_111, "Sepolia", Evm),
        (101, "Solana Testnet", Solana),
        (102, "Solana Devnet", Solana),
        (103, "Solana", Solana),
        (201, "Sui Devnet", Sui),
        (202, "Sui Testnet", Sui),
        (203, "Sui", Sui),
    ]
    .into_iter()
    .map(|(id, name, form)| Chain { id, name: name.to_owned(), form })
    .collect()
}

/// What a duplicate is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// 500 `INTERNAL_ERROR`, as of any failure.
    ServerError,
    /// 409 `CONFLICT`.
    Conflict,
    /// Nothing special: it is saved once more.
    Allowed,
}

/// How long `search` does not know a new customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchLag {
    /// Not at all: it knows it at once.
    None,
    /// For so many milliseconds.
    Ms(u64),
    /// For the next so many requests of whatever kind that are executed.
    Requests(u64),
}

/// The shapes of answers that the contract lets an adapter meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The ids of customers and wallets.
    pub ids: IdForm,
    /// Whether errors carry `type` in place of `code` (those of idempotency and version always do).
    pub error_type: bool,
    /// Whether errors with issues list them under `details`.
    pub error_details: bool,
    /// Whether an add's answer and a get name the wallet's chain.
    pub chain_names: bool,
    /// Whether EVM addresses are answered with capital hex digits; they are kept in lower case.
    pub evm_upper_case: bool,
    /// Whether Sui addresses are answered with zeroes in front, up to 64 hex digits.
    pub sui_padded: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            ids: IdForm::Uuid,
            error_type: false,
            error_details: true,
            chain_names: true,
            evm_upper_case: false,
            sui_padded: false,
        }
    }
}

/// The ids of customers and wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdForm {
    /// UUIDs.
    Uuid,
    /// `cust_…` and `wal_…`, as in some examples of the vendor.
    Prefixed,
}
