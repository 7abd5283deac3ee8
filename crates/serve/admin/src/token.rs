//! The tokens of operators, their names and scopes.

use std::{fmt, str::FromStr};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use quorate_replica::TokenHash;
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr, VariantNames};

/// The prefix of every token, so that scanners for leaked secrets recognize it.
const PREFIX: &str = "quorate-admin-";
/// How many random bytes a token has: too many to guess, so an unsalted hash of it is safe to
/// store.
const SECRET_SIZE: usize = 32;
/// The longest name of a token, in characters. It is in every line of the audit log.
const NAME_LEN_MAX: usize = 64;
/// The caller's name in the audit log for requests on the Unix socket.
pub(crate) const SOCKET: &str = "socket";
/// The caller's name for requests from this machine over TCP without a token.
pub(crate) const LOOPBACK: &str = "loopback";
/// The caller's name in the audit log for requests without a known token.
pub(crate) const NOBODY: &str = "nobody";

/// The secret that authorizes an operator's program. It is shown once, when it is created, and only
/// its hash is stored.
pub struct Token(String);

impl Token {
    /// Creates a random token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random(PREFIX).map(Self)
    }

    /// The line of the tokens file for this token, without a line feed.
    pub fn line(&self, name: &TokenName, scope: Scope) -> String {
        let hash = HEXLOWER.encode(&hash_of(&self.0).0);
        format!("{name} {scope} sha256:{hash}")
    }
}

/// A random secret with this prefix.
pub(crate) fn random(prefix: &str) -> Result<String, getrandom::Error> {
    let mut secret = [0; SECRET_SIZE];
    getrandom::fill(&mut secret)?;
    Ok(prefix.to_owned() + &BASE64URL_NOPAD.encode(&secret))
}

/// The token itself: it belongs on standard output or in a file of its owner, never in a log.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a token permits. Each scope includes all before it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::Display,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Scope {
    /// `/metrics`.
    Metrics,
    /// All requests that change nothing.
    Read,
    /// Everything.
    Operate,
}

/// The name of a token in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenName(String);

/// A text is not a valid name of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a valid name of a token: use 1 to {NAME_LEN_MAX} letters, digits, hyphens, \
     underscores and dots, but not {SOCKET:?}, {LOOPBACK:?} or {NOBODY:?}"
)]
pub struct TokenNameError(String);

impl FromStr for TokenName {
    type Err = TokenNameError;

    fn from_str(name: &str) -> Result<Self, TokenNameError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        match (1..=NAME_LEN_MAX).contains(&name.len())
            && name.chars().all(is_allowed)
            && ![SOCKET, LOOPBACK, NOBODY].contains(&name)
        {
            true => Ok(Self(name.to_owned())),
            false => Err(TokenNameError(name.to_owned())),
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of a token, which is stored instead of it.
pub(crate) fn hash_of(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

/// Parses `sha256:HEX`.
pub(crate) fn parse_hash(text: &str) -> Option<TokenHash> {
    let hex = text.strip_prefix("sha256:")?;
    let hash = HEXLOWER.decode(hex.as_bytes()).ok()?;
    hash.try_into().ok().map(TokenHash)
}
