//! Faults as data: a plan of rules, each saying which call is hit and what happens to it.

mod live;
mod spec;

pub(crate) use live::{Hit, LivePlan};

use crate::config::Kind;
use serde::{Deserialize, Serialize};

/// An ordered list of rules. For one call the first rule that fires decides; the others still count
/// the call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FaultPlan {
    /// The rules, first one first.
    pub rules: Vec<Rule>,
}

/// One rule of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's name in reports; made from what it says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which calls it hits.
    #[serde(default)]
    pub on: On,
    /// How often it fires at most. Absent: once if it has an `nth`, else without end.
    /// With `nth: 2, times: 3` it fires at the calls 2, 3 and 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens.
    #[serde(rename = "do")]
    pub fault: Fault,
}

/// Which calls a rule hits: every stated condition must hold. At most one of `nth`, `every` and
/// `probability`; with none of them, each matching call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The HTTP method, in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The endpoint's name, one of [`Kind::endpoints`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The client's reference of a customer that the call concerns (in a bulk call: of any row).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The n-th matching call, counted from 1 since the rule was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Each n-th matching call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// A share of the matching calls, above 0 up to 1, drawn by the sandbox's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// What can go wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// Closes the connection without executing.
    DropBefore,
    /// Executes, then closes the connection without an answer.
    DropAfter,
    /// Executes, sends the headers and half of the body, then closes the connection.
    CutBody,
    /// Answers this status without executing.
    Status {
        /// 200–599.
        code: u16,
        /// Seconds in a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// A gateway's HTML page in place of the vendor's own error body.
        #[serde(default)]
        html: bool,
    },
    /// Executes, then answers this status in place of the true answer.
    StatusAfter {
        /// 200–599.
        code: u16,
        /// Seconds in a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// A gateway's HTML page in place of the vendor's own error body.
        #[serde(default)]
        html: bool,
    },
    /// Waits so many milliseconds, then executes (also if the client has given up) and answers.
    DelayMs(u64),
    /// Executes, then waits so many milliseconds before it answers.
    DelayAfterMs(u64),
    /// Closes the connection at once and executes so many milliseconds later.
    LateExecutionMs(u64),
    /// Answers 429 without executing.
    Throttle {
        /// Seconds in a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Executes, then answers 200 with a body that is no JSON.
    GarbageBody,
    /// Bulk: one row has no result.
    MissingIndex,
    /// Bulk: one row has two results.
    RepeatIndex,
    /// Bulk: one result names an index that was not sent; its row has none.
    ForeignIndex,
    /// Answers the vendor's 400 with the whole request in its message, without executing.
    EchoRequestInError,
    /// List: the page before is answered again (the first page: itself, so it does nothing there).
    RepeatPage,
    /// List: half of the page is missing although there is more.
    ShortPage,
    /// Find: another customer is answered.
    WrongFind,
    /// Find: a customer whose reference differs only by upper and lower case is answered.
    CaseFind,
    /// The call acts on an account that has nothing in it.
    EmptyAccount,
}

/// What a rule has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule's name.
    pub id: String,
    /// What it does.
    pub fault: Fault,
    /// Calls that matched it.
    pub matched: u64,
    /// How often it fired.
    pub fired: u64,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The JSON text is no plan.
    #[error("the fault plan is no valid JSON plan: {0}")]
    Json(String),
    /// A rule of a SPEC cannot be read.
    #[error("in the fault rule `{rule}`: {reason}")]
    Spec {
        /// The rule as written.
        rule: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A rule says something that cannot be.
    #[error("fault rule `{rule}`: {reason}")]
    Rule {
        /// The rule's name.
        rule: String,
        /// What is wrong and what was expected.
        reason: String,
    },
}

/// A plan in JSON is `{"rules": […]}` or the bare list.
#[derive(Deserialize)]
#[serde(untagged)]
enum PlanText {
    Bare(Vec<serde_json::Value>),
    Named(PlanObject),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanObject {
    rules: Vec<serde_json::Value>,
}

impl FaultPlan {
    /// Reads a plan: JSON if it begins with `{` or `[`, else a SPEC (grammar in docs.md). An empty
    /// text is an empty plan.
    ///
    /// # Errors
    /// [`FaultError`] naming the rule and what was expected.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let text = text.trim();
        if text.starts_with(['{', '[']) { Self::from_json(text) } else { spec::parse(text) }
    }

    /// Reads a plan from JSON: `{"rules": [{"on": {…}, "times": 1, "do": …}]}` or the bare list.
    ///
    /// # Errors
    /// [`FaultError::Json`] with the rule's number.
    pub fn from_json(text: &str) -> Result<Self, FaultError> {
        let json = |e: &dyn std::fmt::Display| FaultError::Json(e.to_string());
        let rules = match serde_json::from_str(text).map_err(|e| json(&e))? {
            PlanText::Bare(rules) | PlanText::Named(PlanObject { rules }) => rules,
        };
        let rules = rules
            .into_iter()
            .enumerate()
            .map(|(i, rule)| {
                serde_json::from_value(rule).map_err(|e| json(&format!("rule {}: {e}", i + 1)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Checks the plan against a vendor style: endpoint names, ranges, faults that this endpoint
    /// cannot have, names used twice.
    ///
    /// # Errors
    /// [`FaultError::Rule`] for the first rule that cannot be.
    pub fn check(&self, kind: Kind) -> Result<(), FaultError> {
        let mut ids = std::collections::HashSet::new();
        for (i, rule) in self.rules.iter().enumerate() {
            let id = rule.label(i);
            let wrong = |reason: String| FaultError::Rule { rule: id.clone(), reason };
            rule.check(kind).map_err(wrong)?;
            if !ids.insert(id.clone()) {
                return Err(wrong("another rule has the same id".to_owned()));
            }
        }
        Ok(())
    }
}

impl Rule {
    /// A rule that hits the n-th call of an endpoint, once.
    #[must_use]
    pub fn nth(endpoint: &str, nth: u64, fault: Fault) -> Self {
        let on = On { endpoint: Some(endpoint.to_owned()), nth: Some(nth), ..On::default() };
        Self { id: None, on, times: None, fault }
    }

    /// A rule that hits each call of an endpoint.
    #[must_use]
    pub fn each(endpoint: &str, fault: Fault) -> Self {
        let on = On { endpoint: Some(endpoint.to_owned()), ..On::default() };
        Self { id: None, on, times: None, fault }
    }

    /// The same rule with this name.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    fn label(&self, position: usize) -> String {
        self.id.clone().unwrap_or_else(|| {
            let target = self.on.endpoint.as_deref().or(self.on.method.as_deref());
            format!("{}:{}={}", position + 1, target.unwrap_or("any"), self.fault.name())
        })
    }

    fn check(&self, kind: Kind) -> Result<(), String> {
        let on = &self.on;
        if let Some(name) = &on.endpoint {
            let known = kind.endpoints();
            if !known.contains(&name.as_str()) {
                return Err(format!(
                    "unknown endpoint `{name}`; expected one of {}",
                    known.join(", ")
                ));
            }
            if let Some(only) = self.fault.only_on()
                && !only.contains(&name.as_str())
            {
                let fault = self.fault.name();
                return Err(format!(
                    "`{fault}` cannot happen to `{name}`; expected {}",
                    only.join(" or ")
                ));
            }
        }
        let chosen = [on.nth.is_some(), on.every.is_some(), on.probability.is_some()];
        if chosen.iter().filter(|&&c| c).count() > 1 {
            return Err("expected at most one of `nth`, `every` and `probability`".to_owned());
        }
        if on.nth == Some(0) || on.every == Some(0) || self.times == Some(0) {
            return Err("`nth`, `every` and `times` are counted from 1".to_owned());
        }
        if on.probability.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return Err("expected a `probability` above 0 and up to 1".to_owned());
        }
        if on.method.as_deref().is_some_and(|m| !METHODS.contains(&m)) {
            return Err(format!("expected a `method` out of {}", METHODS.join(", ")));
        }
        match self.fault {
            Fault::Status { code, .. } | Fault::StatusAfter { code, .. }
                if !(200..=599).contains(&code) =>
            {
                Err(format!("expected a status code from 200 to 599, found {code}"))
            }
            _ => Ok(()),
        }
    }
}

/// HTTP methods that a rule may name.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Fault {
    /// The names of all faults, as in SPEC and JSON.
    pub const NAMES: &'static [&'static str] = &[
        "drop_before",
        "drop_after",
        "cut_body",
        "status",
        "status_after",
        "delay_ms",
        "delay_after_ms",
        "late_execution_ms",
        "throttle",
        "garbage_body",
        "missing_index",
        "repeat_index",
        "foreign_index",
        "echo_request_in_error",
        "repeat_page",
        "short_page",
        "wrong_find",
        "case_find",
        "empty_account",
    ];

    /// This fault's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropBefore => "drop_before",
            Self::DropAfter => "drop_after",
            Self::CutBody => "cut_body",
            Self::Status { .. } => "status",
            Self::StatusAfter { .. } => "status_after",
            Self::DelayMs(_) => "delay_ms",
            Self::DelayAfterMs(_) => "delay_after_ms",
            Self::LateExecutionMs(_) => "late_execution_ms",
            Self::Throttle { .. } => "throttle",
            Self::GarbageBody => "garbage_body",
            Self::MissingIndex => "missing_index",
            Self::RepeatIndex => "repeat_index",
            Self::ForeignIndex => "foreign_index",
            Self::EchoRequestInError => "echo_request_in_error",
            Self::RepeatPage => "repeat_page",
            Self::ShortPage => "short_page",
            Self::WrongFind => "wrong_find",
            Self::CaseFind => "case_find",
            Self::EmptyAccount => "empty_account",
        }
    }

    /// Whether the call is executed, now or later.
    pub(crate) fn executes(&self) -> bool {
        !matches!(
            self,
            Self::DropBefore
                | Self::Status { .. }
                | Self::Throttle { .. }
                | Self::EchoRequestInError
        )
    }

    /// The only endpoints to which this fault can happen; none: to all.
    fn only_on(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::MissingIndex | Self::RepeatIndex | Self::ForeignIndex => Some(&["bulk_import"]),
            Self::RepeatPage | Self::ShortPage => Some(&["list_customers", "list_methods"]),
            Self::WrongFind | Self::CaseFind => Some(&["find_customer"]),
            Self::EmptyAccount => Some(&[
                "create_customer",
                "find_customer",
                "get_customer",
                "list_customers",
                "delete_customer",
                "update_customer",
                "add_method",
                "list_methods",
                "get_method",
                "set_default",
                "remove_method",
                "bulk_import",
            ]),
            _ => None,
        }
    }
}
