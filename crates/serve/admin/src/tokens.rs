//! The tokens file, and the lookup of tokens.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use quorate_replica::TokenHash;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::token::{Scope, TokenName, TokenNameError, hash_of, parse_hash};

/// The most tokens in a file, because each request is compared with all of them.
const TOKEN_COUNT_MAX: usize = 1000;
/// The largest tokens file, in bytes: enough for the most tokens with a comment for each.
const FILE_SIZE_MAX: u64 = 256 * 1024;

/// The known tokens, from a file that can be reloaded.
///
/// The file has a line `NAME SCOPE sha256:HEX` for each token. Empty lines and lines that begin
/// with `#` are ignored.
#[derive(Debug)]
pub struct Tokens {
    /// Empty if there is none.
    file: PathBuf,
    known: RwLock<Arc<TokenList>>,
}

impl Tokens {
    /// Reads the tokens in `file`. With an empty path there are none.
    ///
    /// # Errors
    /// The file cannot be read, or has an invalid line.
    pub fn open(file: &Path) -> Result<Self, TokensError> {
        let known = TokenList::read(file)?;
        Ok(Self {
            file: file.to_owned(),
            known: RwLock::new(Arc::new(known)),
        })
    }

    /// Reads the file without using the tokens yet, so that a reload can check everything before it
    /// changes anything.
    ///
    /// # Errors
    /// As [`Tokens::open`].
    pub fn read(&self) -> Result<TokenList, TokensError> {
        TokenList::read(&self.file)
    }

    /// Replaces the known tokens. Returns whether they changed.
    pub fn replace(&self, tokens: TokenList) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let differs = **known != tokens;
        *known = Arc::new(tokens);
        differs
    }

    /// Finds a token. The time that this takes reveals nothing about the known tokens.
    pub(crate) fn find(&self, token: &str) -> Option<KnownToken> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.clone();
        let hash = hash_of(token);
        let mut at = u32::MAX;
        for (index, entry) in (0..).zip(&known.0) {
            at.conditional_assign(&index, entry.hash.0.ct_eq(&hash.0));
        }
        known.0.get(at as usize).cloned()
    }
}

/// The contents of a tokens file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenList(Vec<KnownToken>);

/// A token in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownToken {
    pub(crate) name: TokenName,
    pub(crate) scope: Scope,
    hash: TokenHash,
}

impl TokenList {
    fn read(file: &Path) -> Result<Self, TokensError> {
        if file.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        let unreadable = |source| TokensError::Unreadable {
            file: file.to_owned(),
            source,
        };
        let mut text = String::new();
        let read = File::open(file).map_err(unreadable)?;
        let mut read = read.take(FILE_SIZE_MAX + 1);
        read.read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_SIZE_MAX {
            return Err(TokensError::TooLong(file.to_owned()));
        }
        Self::parse(&text).map_err(|(line, source)| TokensError::Line {
            file: file.to_owned(),
            line,
            source,
        })
    }

    /// Parses the text of a tokens file.
    ///
    /// # Errors
    /// A line is invalid. The error has its number.
    pub fn parse(text: &str) -> Result<Self, (usize, TokenLineError)> {
        let mut known = Vec::new();
        let (mut names, mut hashes) = (BTreeSet::new(), BTreeSet::new());
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = KnownToken::parse(line).map_err(|error| (number, error))?;
            if !names.insert(token.name.clone()) {
                return Err((number, TokenLineError::SameName(token.name)));
            }
            if !hashes.insert(token.hash.0) {
                return Err((number, TokenLineError::SameToken));
            }
            if known.len() == TOKEN_COUNT_MAX {
                return Err((number, TokenLineError::TooMany));
            }
            known.push(token);
        }
        Ok(Self(known))
    }
}

impl KnownToken {
    fn parse(line: &str) -> Result<Self, TokenLineError> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(scope), Some(hash), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(TokenLineError::Format);
        };
        Ok(Self {
            name: name.parse()?,
            scope: scope.parse().map_err(|_| TokenLineError::Scope)?,
            hash: parse_hash(hash).ok_or(TokenLineError::Hash)?,
        })
    }
}

/// Why a tokens file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("the tokens file {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is too long.
    #[error(
        "the tokens file {} is longer than {FILE_SIZE_MAX} bytes: remove tokens that nobody uses",
        .0.display()
    )]
    TooLong(PathBuf),
    /// A line is invalid.
    #[error("line {line} of the tokens file {} is invalid", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// Why it is invalid.
        source: TokenLineError,
    },
}

/// Why a line of a tokens file is invalid. The text does not quote the line, which may be a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenLineError {
    /// It does not have three parts.
    #[error(
        "it must have the form `NAME SCOPE sha256:HEX`, which `quorate admin-token new` writes"
    )]
    Format,
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] TokenNameError),
    /// The scope is unknown.
    #[error("the scope must be metrics, read or operate")]
    Scope,
    /// The hash is malformed.
    #[error("the hash must be `sha256:` and 64 hexadecimal digits in lower case")]
    Hash,
    /// Two tokens have the same name, so the audit log could not distinguish them.
    #[error("an earlier line has the same name `{0}`: give each token its own name")]
    SameName(TokenName),
    /// The same token occurs twice.
    #[error("an earlier line has the same token under another name: remove one of them")]
    SameToken,
    /// The file has too many tokens.
    #[error("the file has more than {TOKEN_COUNT_MAX} tokens: remove those that nobody uses")]
    TooMany,
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
