//! The words of onfile: customers, payment methods, ids, facts without card numbers, outcomes.
//!
//! No I/O, no SQL and nobody's JSON: a provider's wire format becomes these types in that
//! provider's crate, a database row in `store`. Start at [`Profile`], [`MethodFacts`] and
//! [`Outcome`].

mod clock;
mod code;
mod forecast;
mod hash;
mod ids;
mod method;
mod normal;
mod outcome;
mod pan;
mod profile;
mod remote;
mod summary;

pub use clock::{Clock, SystemClock, Timestamp};
pub use code::{Code, Scope};
pub use forecast::{Forecast, ForecastCalls, MirrorAge, Span};
pub use hash::{ContentHash, Digestible, Parts, digest};
pub use ids::{
    AccountName, BadId, CustomerId, EffectId, MethodId, Reference, RemoteCustomerId,
    RemoteMethodId, RunId,
};
pub use method::{
    AccountType, Agreement, BadFact, BankFacts, Bin, CardFacts, Expiry, Last4, MethodFacts,
    MethodKind, Token, TokenKind, WalletFacts,
};
pub use normal::{alike, ascii, normal};
pub use outcome::{EffectKind, Ledger, Origin, Outcome};
pub use pan::{brand_of, contains_card_number, without_card_number};
pub use profile::{Address, FieldName, Profile};
pub use remote::{RemoteCustomer, RemoteMethod, RemoteStatus};
pub use summary::{Calls, Counts, Coverage, Summary, Unread};
