//! Tokens of operators, and what is kept of them.

use std::{fmt, str::FromStr};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use quorate_replica::TokenHash;
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr, VariantNames};

/// What every token begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "quorate-admin-";
/// How many random bytes a token has: too many to be guessed, so that its plain hash can be kept.
const SECRET_SIZE: usize = 32;
/// The longest name of a token, in characters: it stands in every line of the audit log.
const NAME_LEN_MAX: usize = 64;
/// Stands in the audit log for whoever asks from this machine without a token.
pub(crate) const LOOPBACK: &str = "loopback";
/// Stands in the audit log for whoever has no token that is known.
pub(crate) const NOBODY: &str = "nobody";

/// What lets an operator's program in. It is told once, when it is made, and kept as a hash.
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random(PREFIX).map(Self)
    }

    /// The line of the tokens file that makes it known, without a line feed.
    pub fn line(&self, name: &TokenName, scope: Scope) -> String {
        let hash = HEXLOWER.encode(&hash_of(&self.0).0);
        format!("{name} {scope} sha256:{hash}")
    }
}

/// A text that nobody guesses, behind what tells what it is.
pub(crate) fn random(prefix: &str) -> Result<String, getrandom::Error> {
    let mut secret = [0; SECRET_SIZE];
    getrandom::fill(&mut secret)?;
    Ok(prefix.to_owned() + &BASE64URL_NOPAD.encode(&secret))
}

/// The token itself: it belongs on standard output or into a file of its owner, and into no log.
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

/// What a token is good for; each is good for all before it too.
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
    /// All that changes nothing.
    Read,
    /// Everything.
    Operate,
}

/// What a token is called in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenName(String);

/// Why a text names no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no token: take 1 to {NAME_LEN_MAX} letters, digits, hyphens, underscores and dots, \
     and neither {LOOPBACK:?} nor {NOBODY:?}"
)]
pub struct TokenNameError(String);

impl FromStr for TokenName {
    type Err = TokenNameError;

    fn from_str(name: &str) -> Result<Self, TokenNameError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        match (1..=NAME_LEN_MAX).contains(&name.len())
            && name.chars().all(fits)
            && ![LOOPBACK, NOBODY].contains(&name)
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

/// What is kept of a token.
pub(crate) fn hash_of(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

/// Reads `sha256:HEX`.
pub(crate) fn parse_hash(text: &str) -> Option<TokenHash> {
    let hex = text.strip_prefix("sha256:")?;
    let hash = HEXLOWER.decode(hex.as_bytes()).ok()?;
    hash.try_into().ok().map(TokenHash)
}
