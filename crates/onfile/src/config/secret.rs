//! Secrets: where they come from, and the keys of the store. Nothing here prints one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

/// Looks up an environment variable. The binary passes the real one, tests a map.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where a secret is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable.
    Env(String),
    /// In a file; the newline at its end does not count.
    File(PathBuf),
    /// In the configuration, where that is allowed: a proxy's address without a password.
    Inline,
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) if super::values::may_show_env(name) => write!(f, "env {name}"),
            Self::Env(_) => f.write_str("env …"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Inline => f.write_str("inline"),
        }
    }
}

/// A secret of the configuration. `Debug` shows where it comes from, never what it is.
#[derive(Clone)]
pub struct Secret {
    source: SecretSource,
    value: Option<SecretString>,
}

impl Secret {
    pub(super) fn new(source: SecretSource, value: Option<SecretString>) -> Self {
        Self { source, value }
    }

    /// Where it is kept.
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// The value; `None` if the configuration was loaded without resolving it (`LoadOptions`).
    pub fn value(&self) -> Option<&SecretString> {
        self.value.as_ref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.value.is_some() { "" } else { ", not read" };
        write!(f, "Secret({:?}{state})", self.source)
    }
}

/// One key of the store (rules.md 14): the first wraps, all unwrap.
#[derive(Clone)]
pub struct EncryptionKey {
    /// Its name, kept beside what it wraps. A single `encryption_key` is called `default`.
    pub id: String,
    source: SecretSource,
    bytes: Option<Arc<SecretBox<[u8; 32]>>>,
}

impl EncryptionKey {
    pub(super) fn new(id: String, source: SecretSource, bytes: Option<[u8; 32]>) -> Self {
        let bytes = bytes.map(|mut bytes| {
            let secret = SecretBox::new(Box::new(bytes));
            bytes.zeroize();
            Arc::new(secret)
        });
        Self { id, source, bytes }
    }

    /// Where it is kept.
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// The 32 bytes; `None` if the configuration was loaded without resolving it.
    pub fn bytes(&self) -> Option<&SecretBox<[u8; 32]>> {
        self.bytes.as_deref()
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({:?}, {:?})", self.id, self.source)
    }
}

/// Why a secret could not be had: what to say, and what to do.
pub(super) struct SecretFault {
    pub(super) why: String,
    pub(super) hint: String,
}

/// Reads a secret. The newline at the end of a file, or of a variable, does not count.
pub(super) fn resolve(source: &SecretSource, env: &Env<'_>) -> Result<SecretString, SecretFault> {
    let fault = |why: String, hint: String| SecretFault { why, hint };
    let (mut text, what, hint) = match source {
        SecretSource::Env(name) => {
            let (what, hint) = if super::values::may_show_env(name) {
                (format!("the environment variable {name}"), format!("export {name}=…"))
            } else {
                (
                    "the environment variable named here (not shown: it has small letters)".into(),
                    "`env` takes the name of a variable, not the secret itself".to_owned(),
                )
            };
            let text =
                env(name).ok_or_else(|| fault(format!("{what} is not set"), hint.clone()))?;
            (text, what, hint)
        }
        SecretSource::File(path) => {
            let what = format!("the file {}", path.display());
            let hint = "a relative path starts at the folder of the configuration".to_owned();
            let text = read(path).map_err(|e| fault(format!("{what} {e}"), hint.clone()))?;
            (text, what, hint)
        }
        SecretSource::Inline => (String::new(), "the secret".to_owned(), String::new()),
    };
    let kept = text.trim_end_matches(['\n', '\r']).len();
    let value = text.get(..kept).filter(|kept| !kept.trim().is_empty()).map(SecretString::from);
    text.zeroize();
    value.ok_or_else(|| fault(format!("{what} is empty"), hint))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        std::io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        kind => format!("cannot be read: {kind}"),
    })
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 32 bytes from base64, else what was found instead, without showing it.
pub(super) fn decode_key(secret: &SecretString) -> Result<[u8; 32], String> {
    let mut bytes =
        BASE64.decode(secret.expose_secret().trim()).map_err(|_| "is not base64".to_owned())?;
    let key = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| format!("holds {} bytes, not 32", bytes.len()));
    bytes.zeroize();
    key
}
