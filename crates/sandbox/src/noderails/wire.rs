//! Requests as this vendor reads them: every field is optional but none may be null, and what it
//! does not know it drops.

use super::Config;
use super::refused::{Issue, Refused};
use crate::pan;
use crate::vendor::Call;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A request body may be this long.
const BODY_LIMIT: usize = 1024 * 1024;

/// Customers on a page at most.
const PAGE_LIMIT: usize = 100;

/// A search text and an external id may be this long.
const TEXT_LIMIT: usize = 255;

/// A customer's texts beside its external id, with how long they may be, in UTF-16 units.
const TEXTS: [(&str, usize); 7] = [
    ("email", 255),
    ("name", 255),
    ("address", 500),
    ("city", 255),
    ("state", 255),
    ("country", 255),
    ("postalCode", 50),
];

/// A customer's texts by the vendor's names.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts([Option<String>; TEXTS.len()]);

impl Texts {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all().find(|(known, _)| *known == name)?.1
    }

    /// False if there is no text of this name.
    pub(super) fn set(&mut self, name: &str, value: String) -> bool {
        let at = TEXTS.iter().position(|(known, _)| *known == name);
        let place = at.and_then(|at| self.0.get_mut(at));
        place.map(|place| *place = Some(value)).is_some()
    }

    /// Takes over what the other has.
    pub(super) fn merge(&mut self, other: Self) {
        for (mine, new) in self.0.iter_mut().zip(other.0) {
            *mine = new.or(mine.take());
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        TEXTS.iter().zip(&self.0).map(|((name, _), value)| (*name, value.as_deref()))
    }
}

/// What a create or an update states.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) external_id: Option<String>,
    pub(super) texts: Texts,
    pub(super) metadata: Option<Map<String, Value>>,
}

/// A request body, read field by field.
pub(super) struct Body {
    fields: Map<String, Value>,
    issues: Vec<Issue>,
}

/// The name of a JSON type, as the vendor's messages have it.
fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

impl Body {
    /// Reads a JSON body. One without the content type of JSON is not looked at.
    pub(super) fn read(call: &Call) -> Result<Self, Refused> {
        if call.body.len() > BODY_LIMIT {
            return Err(Refused::internal());
        }
        let json = call.header("content-type").is_some_and(|t| t.starts_with("application/json"));
        let body = if json && !call.body.is_empty() {
            serde_json::from_slice(&call.body).map_err(|_| Refused::internal())?
        } else {
            Value::Object(Map::new())
        };
        if let Some(path) = pan::find(&body) {
            return Err(Refused::at(&path, "card numbers are not accepted"));
        }
        match body {
            Value::Object(fields) => Ok(Self { fields, issues: Vec::new() }),
            other => Err(Refused::at("", &format!("Expected object, received {}", name(&other)))),
        }
    }

    fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.issues.push(Issue::new(field, message));
    }

    fn text(&mut self, field: &str, limit: usize) -> Option<String> {
        match self.fields.remove(field)? {
            Value::String(text) if units(&text) <= limit => return Some(text),
            Value::String(_) => {
                self.wrong(field, format!("String must contain at most {limit} character(s)"));
            }
            other => self.wrong(field, format!("Expected string, received {}", name(&other))),
        }
        None
    }

    fn required(&mut self, field: &str) -> Option<String> {
        if !self.fields.contains_key(field) {
            self.wrong(field, "Required");
        }
        self.text(field, TEXT_LIMIT)
    }

    /// The app and the customer of a create.
    pub(super) fn create(mut self, config: &Config) -> Result<(String, Profile), Refused> {
        let app_id = self.required("appId");
        if app_id.as_deref().is_some_and(|app_id| !is_uuid(app_id)) {
            self.wrong("appId", "Invalid uuid");
        }
        let profile = self.profile(config)?;
        Ok((app_id.unwrap_or_default(), profile))
    }

    /// What an update states.
    pub(super) fn profile(mut self, config: &Config) -> Result<Profile, Refused> {
        let mut profile =
            Profile { external_id: self.text("externalId", TEXT_LIMIT), ..Profile::default() };
        for (field, limit) in TEXTS {
            if let Some(text) = self.text(field, limit) {
                if field == "email" && !is_email(&text) {
                    self.wrong(field, "Invalid email");
                }
                profile.texts.set(field, text);
            }
        }
        match self.fields.remove("metadata") {
            None => {}
            Some(Value::Object(metadata)) => profile.metadata = Some(metadata),
            Some(other) => {
                self.wrong("metadata", format!("Expected object, received {}", name(&other)));
            }
        }
        self.done(config)?;
        Ok(profile)
    }

    /// The chain and the address of a wallet, as sent.
    pub(super) fn wallet(mut self, config: &Config) -> Result<(i64, String), Refused> {
        let chain = match self.fields.remove("chainId") {
            None => Err("Required".to_owned()),
            Some(Value::Number(number)) => number
                .as_i64()
                .filter(|number| *number > 0)
                .ok_or_else(|| "Expected a whole number greater than 0".to_owned()),
            Some(other) => Err(format!("Expected number, received {}", name(&other))),
        };
        let chain = chain.map_err(|message| self.wrong("chainId", message)).unwrap_or_default();
        let address = self.required("walletAddress");
        self.done(config)?;
        Ok((chain, address.unwrap_or_default()))
    }

    /// Refuses what was wrong, and what was not read if that is the vendor's way.
    fn done(mut self, config: &Config) -> Result<(), Refused> {
        if config.unknown_fields_refused {
            for field in std::mem::take(&mut self.fields).keys() {
                self.wrong(field, "Unrecognized key");
            }
        }
        if self.issues.is_empty() { Ok(()) } else { Err(Refused::invalid(self.issues)) }
    }
}

/// The query of a list.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) app_id: String,
    /// None if it is empty, too.
    pub(super) search: Option<String>,
    /// From 1.
    pub(super) page: usize,
    pub(super) page_size: usize,
}

impl Query {
    pub(super) fn read(call: &Call, config: &Config) -> Result<Self, Refused> {
        let mut issues = Vec::new();
        let (mut app_id, mut search) = (None, None);
        let (mut page, mut page_size) = (1, config.default_page);
        for (field, value) in call.pairs() {
            let mut number = |limit: usize| {
                let number = value.parse().ok().filter(|n| (1..=limit).contains(n));
                if number.is_none() {
                    issues
                        .push(Issue::new(&*field, format!("Expected a number from 1 to {limit}")));
                }
                number.unwrap_or(1)
            };
            match field.as_str() {
                "page" => page = number(usize::MAX / PAGE_LIMIT),
                "pageSize" => page_size = number(PAGE_LIMIT),
                "appId" => {
                    if !is_uuid(&value) {
                        issues.push(Issue::new("appId", "Invalid uuid"));
                    }
                    app_id = Some(value);
                }
                "search" if units(&value) > TEXT_LIMIT => {
                    issues
                        .push(Issue::new("search", "String must contain at most 255 character(s)"));
                }
                "search" if pan::is_pan(&value, false) => {
                    issues.push(Issue::new("search", "card numbers are not accepted"));
                }
                "search" => search = Some(value).filter(|text| !text.is_empty()),
                _ => {}
            }
        }
        match app_id {
            Some(app_id) if issues.is_empty() => Ok(Self { app_id, search, page, page_size }),
            Some(_) => Err(Refused::invalid(issues)),
            None => {
                issues.push(Issue::new("appId", "Required"));
                Err(Refused::invalid(issues))
            }
        }
    }
}

/// The app that a create or a list names, read loosely: for the log.
pub(super) fn named_app(call: &Call) -> Option<&str> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "appId")]
        app_id: &'a str,
    }
    let pairs = call.query.as_deref().unwrap_or_default().split('&');
    let queried = pairs.filter_map(|pair| pair.strip_prefix("appId=")).next();
    queried.or_else(|| Some(serde_json::from_slice::<Named<'_>>(&call.body).ok()?.app_id))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let labels = host.split('.').collect::<Vec<_>>();
    let bare = |text: &str| !text.contains(|c: char| c.is_whitespace() || c == '@');
    !local.is_empty()
        && bare(local)
        && bare(host)
        && labels.len() > 1
        && labels.iter().all(|label| !label.is_empty())
}
