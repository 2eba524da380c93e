//! Idempotency keys: the first answer is kept and comes again, whoever asks and whatever for.

use super::refused::Refused;
use crate::vendor::{Answer, Call};
use http::{HeaderName, Method, StatusCode};
use std::collections::HashMap;

/// The header of a key.
const KEY: &str = "idempotency-key";

/// The `error.type` of what is wrong with a key.
const KIND: &str = "idempotency_error";

/// On an answer that comes again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A key may be this long, in UTF-16 units.
const KEY_LIMIT: usize = 255;

/// What is to be done with a call, decided when it arrives.
#[derive(Debug)]
pub(super) enum Admission {
    /// It has no key: execute it.
    Plain,
    /// It holds its key: execute it and keep the answer.
    Holds(String),
    /// It was answered before: this again.
    Replay(Answer),
    /// A call with its key is being executed, or its key cannot be.
    Refused(Refused),
}

/// All keys, of all callers.
#[derive(Debug)]
pub(super) struct Keys {
    /// Life of a kept answer in seconds.
    life: i64,
    /// Life of a lock in seconds.
    lock: i64,
    entries: HashMap<String, Entry>,
    /// What was decided for the calls that have not been executed yet, by their number.
    admitted: HashMap<u64, Admission>,
}

#[derive(Debug)]
struct Entry {
    /// Unix second of the lock, or of the answer.
    since: i64,
    /// None while the call is being executed.
    answer: Option<Answer>,
}

impl Keys {
    pub(super) fn new(life: i64, lock: i64) -> Self {
        Self { life, lock, entries: HashMap::new(), admitted: HashMap::new() }
    }

    /// A call arrived that will be executed, now or later.
    pub(super) fn admit(&mut self, call: &Call, now: i64) {
        let keyed = matches!(call.method, Method::POST | Method::PUT);
        let Some(key) = call.header(KEY).filter(|_| keyed) else { return };
        let admission = if key.is_empty() || key.encode_utf16().count() > KEY_LIMIT {
            let message = "expected an Idempotency-Key of 1 to 255 characters";
            Admission::Refused(Refused::typed(StatusCode::BAD_REQUEST, KIND, message))
        } else {
            self.take(key, now)
        };
        self.admitted.insert(call.seq, admission);
    }

    fn take(&mut self, key: &str, now: i64) -> Admission {
        if let Some(entry) = self.entries.get(key) {
            let age = now.saturating_sub(entry.since);
            match &entry.answer {
                Some(answer) if age < self.life => {
                    let mut answer = answer.clone();
                    answer.headers.push((REPLAYED, "true".to_owned()));
                    return Admission::Replay(answer);
                }
                None if age < self.lock => {
                    let message = "a request with this Idempotency-Key is in progress";
                    let refused = Refused::typed(StatusCode::CONFLICT, KIND, message);
                    return Admission::Refused(refused);
                }
                _ => {}
            }
        }
        self.entries.insert(key.to_owned(), Entry { since: now, answer: None });
        Admission::Holds(key.to_owned())
    }

    /// What was decided for the call when it arrived.
    pub(super) fn admission(&mut self, call: &Call) -> Admission {
        self.admitted.remove(&call.seq).unwrap_or(Admission::Plain)
    }

    /// The call that held the key is over. Errors are kept like any other answer.
    pub(super) fn keep(&mut self, key: String, answer: &Answer, now: i64) {
        self.entries.insert(key, Entry { since: now, answer: Some(answer.clone()) });
    }
}
