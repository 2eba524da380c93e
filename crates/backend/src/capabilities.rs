//! What a provider can do, as plain data: the guard and the planner read the same struct.

use std::fmt;
use std::time::Duration;

use model::{FieldName, MethodKind, Profile, TokenKind, ascii};

use crate::Verb;

/// How our reference finds a customer at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindBy {
    /// Not at all: the customer list must be read.
    Nothing,
    /// By a search that may miss or find too much: absence in it proves nothing.
    Search,
    /// By a reference that the provider keeps unique.
    UniqueReference,
}

/// The order of the customer list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// The newest first.
    NewestFirst,
    /// The provider does not say.
    Unspecified,
}

/// Where a customer's payment methods are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodListing {
    /// They come with each customer.
    Inline,
    /// One call (or more) for each customer.
    PerCustomer,
}

/// How a create whose answer was lost is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleCreate {
    /// Repeated: the provider refuses a second one, and the first is found by its reference.
    UniqueReference,
    /// Repeated with the same idempotency key.
    IdempotencyKey,
    /// The list is read down to what was known before.
    Scan,
}

/// The call that carries a kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRoute {
    /// One method in a call.
    Add,
    /// Many methods in a call.
    Bulk,
}

/// A kind of token that the provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRule {
    /// The kind.
    pub kind: TokenKind,
    /// The call that carries it.
    pub route: TokenRoute,
    /// How old it may be when it is sent; `None` where it does not age.
    pub max_age: Option<Duration>,
    /// Whether it can be used once only: its text is forgotten when its effect is final.
    pub single_use: bool,
    /// Whether that call can make the new payment method the default; if not, a default is set by
    /// a call of its own.
    pub with_default: bool,
}

/// A profile field that the provider can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRule {
    /// The field.
    pub field: FieldName,
    /// Least length in characters.
    pub min: usize,
    /// Greatest length in characters; `None` where the provider states none.
    pub max: Option<usize>,
    /// Whether a new customer must have it.
    pub required: bool,
}

/// How the provider tells us of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStyle {
    /// Not at all: only a pull sees them.
    None,
    /// By calls to us, which name customers to read again.
    Customers,
    /// By calls to us, which name payment methods too: those that a bank or a card network changed.
    PaymentMethods,
}

/// One endpoint as calls are counted by it: `POST /api/customers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The path with placeholders: the same text as the route of its calls.
    pub route: &'static str,
    /// The verb.
    pub verb: Verb,
}

impl Endpoint {
    /// An endpoint.
    #[must_use]
    pub const fn new(verb: Verb, route: &'static str) -> Self {
        Self { route, verb }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.as_str(), self.route)
    }
}

/// Where an account's calls go, for a forecast of them: no call is made from it. `None` where
/// there is no such call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// A page of the customer list.
    pub list_customers: Endpoint,
    /// One customer by the provider's id.
    pub get_customer: Option<Endpoint>,
    /// One customer by our reference.
    pub find_customer: Option<Endpoint>,
    /// A page of one customer's payment methods.
    pub list_methods: Option<Endpoint>,
    /// Creates a customer.
    pub create_customer: Option<Endpoint>,
    /// Changes a customer's fields.
    pub update_customer: Option<Endpoint>,
    /// Saves one payment method.
    pub add_method: Option<Endpoint>,
    /// Saves many.
    pub import_methods: Option<Endpoint>,
    /// Makes a payment method the default.
    pub set_default: Option<Endpoint>,
    /// Fetches credentials, once for a process as long as they live.
    pub credentials: Option<Endpoint>,
}

/// What one account can do. `Copy`, so it is handed around as a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capabilities {
    /// The kind in config, such as `proxy-token`.
    pub kind: &'static str,
    /// Creates customers.
    pub create_customer: bool,
    /// Reads a customer by the provider's id.
    pub get_customer: bool,
    /// Changes a customer's fields.
    pub update_customer: bool,
    /// Deletes a customer.
    pub delete_customer: bool,
    /// Whether a customer that is deleted is still shown when it is asked for, and said to be so; if
    /// not, nobody is there.
    pub shows_deleted: bool,
    /// Finds a customer by our reference.
    pub find: FindBy,
    /// The greatest page of the customer list.
    pub customers_page: u32,
    /// The order of the customer list.
    pub customers_order: ListOrder,
    /// Whether the customer list states its total.
    pub customers_total: bool,
    /// Where payment methods are read.
    pub methods: MethodListing,
    /// The greatest page of a customer's payment methods; `None` where they come in one answer.
    pub methods_page: Option<u32>,
    /// The kinds of payment method it can hold.
    pub method_kinds: &'static [MethodKind],
    /// The tokens it takes; none where methods are added without one (wallets) or not at all.
    pub tokens: &'static [TokenRule],
    /// Saves one payment method in a call.
    pub add_method: bool,
    /// Saves at most this many payment methods in a call; `None` where it has no such call.
    pub import_batch: Option<u32>,
    /// Whether saving the same token for the same customer twice is known to make one method.
    pub import_dedupes: bool,
    /// Makes a payment method the default.
    pub set_default: bool,
    /// Whether reading the methods shows which is the default.
    pub default_readable: bool,
    /// Whether reading a bank account shows its type. Where it does not, its facts never say for certain
    /// which one it is (rule 4): beside one that it may be, a row of a new one is `facts_needed`.
    pub account_type_readable: bool,
    /// Removes a payment method.
    pub remove_method: bool,
    /// At most this many payment methods for a customer; `None` where the provider states none.
    pub methods_per_customer: Option<u32>,
    /// Takes idempotency keys.
    pub idempotency_keys: bool,
    /// How a lost create is settled.
    pub settle_create: SettleCreate,
    /// The profile fields it can hold; any other is kept in our store only.
    pub fields: &'static [FieldRule],
    /// The fields that are written in ASCII before they are sent, as the account is configured.
    pub transliterated: &'static [FieldName],
    /// Whether changing one key of the metadata replaces all of it: then the provider's own is read
    /// right before, and goes with the change.
    pub metadata_replaced: bool,
    /// How it tells us of changes.
    pub events: EventStyle,
    /// Where its calls go.
    pub endpoints: Endpoints,
}

impl Capabilities {
    /// Whether the provider can hold a field. One that is not held is never a difference.
    #[must_use]
    pub fn holds(&self, field: FieldName) -> bool {
        self.fields.iter().any(|rule| rule.field == field)
    }

    /// The fields in the form in which the provider holds them, and in which they are sent and
    /// compared: a name joined or split at its last space, two address lines joined, characters
    /// written in ASCII. What it cannot hold is left out, and never a difference.
    #[must_use]
    pub fn as_held(&self, profile: &Profile) -> Profile {
        let mut held = Profile::default();
        for field in FieldName::TEXTS.into_iter().filter(|field| self.holds(*field)) {
            let value = match field {
                FieldName::Name => profile.full_name(),
                FieldName::FirstName if !self.holds(FieldName::Name) => profile.split_name().0,
                FieldName::LastName if !self.holds(FieldName::Name) => profile.split_name().1,
                FieldName::Line1 if !self.holds(FieldName::Line2) => profile.address.street(),
                field => profile.get(field).map(str::to_owned),
            };
            let value = match self.transliterated.contains(&field) {
                true => value.map(|value| ascii(&value)),
                false => value,
            };
            held.set(field, value);
        }
        if self.holds(FieldName::Metadata) {
            held.metadata.clone_from(&profile.metadata);
        }
        held
    }

    /// Whether a field stays in our store because the provider has no place for it, alone or joined
    /// with another.
    #[must_use]
    pub fn is_only_ours(&self, field: FieldName) -> bool {
        let holds = |any: &[FieldName]| any.iter().any(|field| self.holds(*field));
        !match field {
            FieldName::Name => holds(&[FieldName::Name, FieldName::FirstName, FieldName::LastName]),
            FieldName::FirstName | FieldName::LastName => holds(&[field, FieldName::Name]),
            FieldName::Line2 => holds(&[field, FieldName::Line1]),
            field => holds(&[field]),
        }
    }

    /// The rule of a kind of token, if the provider takes it.
    #[must_use]
    pub fn token(&self, kind: TokenKind) -> Option<TokenRule> {
        self.tokens.iter().copied().find(|rule| rule.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rule(field: FieldName) -> FieldRule {
        FieldRule { field, min: 0, max: None, required: false }
    }

    fn holding(fields: &'static [FieldRule], transliterated: &'static [FieldName]) -> Capabilities {
        let nowhere = Endpoint::new(Verb::Get, "/");
        Capabilities {
            kind: "test",
            create_customer: true,
            get_customer: true,
            update_customer: true,
            delete_customer: true,
            shows_deleted: false,
            find: FindBy::Nothing,
            customers_page: 100,
            customers_order: ListOrder::NewestFirst,
            customers_total: false,
            methods: MethodListing::Inline,
            methods_page: None,
            method_kinds: &[],
            tokens: &[],
            add_method: false,
            import_batch: None,
            import_dedupes: false,
            set_default: false,
            default_readable: false,
            account_type_readable: false,
            remove_method: false,
            methods_per_customer: None,
            idempotency_keys: false,
            settle_create: SettleCreate::Scan,
            fields,
            transliterated,
            metadata_replaced: false,
            events: EventStyle::None,
            endpoints: Endpoints {
                list_customers: nowhere,
                get_customer: None,
                find_customer: None,
                list_methods: None,
                create_customer: None,
                update_customer: None,
                add_method: None,
                import_methods: None,
                set_default: None,
                credentials: None,
            },
        }
    }

    fn profile() -> Profile {
        let mut profile = Profile {
            name: Some("Ada Kovač".into()),
            phone: Some("0100".into()),
            metadata: [("tier".to_owned(), "gold".to_owned())].into(),
            ..Profile::default()
        };
        profile.address.line1 = Some("1 Elm".into());
        profile.address.line2 = Some("Apt 2".into());
        profile
    }

    #[test]
    fn names_are_split_and_written_in_ascii() {
        const FIELDS: &[FieldRule] =
            &[rule(FieldName::FirstName), rule(FieldName::LastName), rule(FieldName::Metadata)];
        let split = holding(FIELDS, &[FieldName::LastName]);
        let expected = Profile {
            first_name: Some("Ada".into()),
            last_name: Some("Kovac".into()),
            metadata: profile().metadata,
            ..Profile::default()
        };
        assert_eq!(split.as_held(&profile()), expected);
        assert_eq!(split.as_held(&expected), expected, "what it holds it holds");
        for field in FieldName::TEXTS {
            let name = [FieldName::Name, FieldName::FirstName, FieldName::LastName];
            assert_eq!(split.is_only_ours(field), !name.contains(&field), "{field:?}");
        }
    }

    #[test]
    fn names_and_lines_are_joined() {
        const FIELDS: &[FieldRule] = &[rule(FieldName::Name), rule(FieldName::Line1)];
        let joined = holding(FIELDS, &[]);
        let parts = Profile {
            name: None,
            first_name: Some("Ada".into()),
            last_name: Some("Kovač".into()),
            ..profile()
        };
        for profile in [profile(), parts] {
            let held = joined.as_held(&profile);
            assert_eq!(held.name.as_deref(), Some("Ada Kovač"));
            assert_eq!(held.address.line1.as_deref(), Some("1 Elm, Apt 2"));
            assert_eq!(joined.as_held(&held), held, "what it holds it holds");
        }
        assert!(!joined.is_only_ours(FieldName::Line2));
        assert!(!joined.is_only_ours(FieldName::FirstName));
        assert!(joined.is_only_ours(FieldName::Metadata));
    }
}
