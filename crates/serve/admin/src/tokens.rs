//! The tokens that are known.

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

/// How many tokens can be known: each request is compared with all of them.
const TOKEN_COUNT_MAX: usize = 1000;
/// The largest tokens file that is read, in bytes: that of so many tokens, and a comment to each.
const FILE_SIZE_MAX: u64 = 256 * 1024;

/// The tokens that are known, as a file has them, which can be read again.
///
/// The file has a line `NAME SCOPE sha256:HEX` for each; lines that are empty or begin with `#` say
/// nothing.
#[derive(Debug)]
pub struct Tokens {
    /// Empty if there is none.
    file: PathBuf,
    known: RwLock<Arc<TokenList>>,
}

impl Tokens {
    /// Those in `file`; none if its path is empty.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that means nothing.
    pub fn open(file: &Path) -> Result<Self, TokensError> {
        let known = TokenList::read(file)?;
        Ok(Self {
            file: file.to_owned(),
            known: RwLock::new(Arc::new(known)),
        })
    }

    /// Reads the file without using it yet: whoever reloads several things checks all of them
    /// before changing any.
    ///
    /// # Errors
    /// As [`Tokens::open`].
    pub fn read(&self) -> Result<TokenList, TokensError> {
        TokenList::read(&self.file)
    }

    /// Knows these from now on, and no others. Whether that changes anything.
    pub fn replace(&self, tokens: TokenList) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let differs = **known != tokens;
        *known = Arc::new(tokens);
        differs
    }

    /// Whose token this is. How long it takes tells nothing of the tokens that are known.
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

/// What a tokens file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenList(Vec<KnownToken>);

/// What is known of a token.
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

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A line that means nothing, with its number.
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
            return Err(TokenLineError::Form);
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
    /// It cannot be read.
    #[error("the tokens file {} cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too long.
    #[error(
        "the tokens file {} is longer than {FILE_SIZE_MAX} bytes: remove tokens that nobody uses",
        .0.display()
    )]
    TooLong(PathBuf),
    /// A line of it means nothing.
    #[error("line {line} of the tokens file {} is refused", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: TokenLineError,
    },
}

/// Why a line of a tokens file is refused. What stands there is not repeated, for it may be a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenLineError {
    /// It has not the parts it should have.
    #[error(
        "it is not of the form `NAME SCOPE sha256:HEX`, as `quorate admin-token new` writes it"
    )]
    Form,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] TokenNameError),
    /// The scope is none.
    #[error("the scope is neither read nor operate nor metrics")]
    Scope,
    /// The hash is none.
    #[error("the hash is not `sha256:` and 64 hexadecimal digits in lower case")]
    Hash,
    /// Two tokens of one name: the audit log could not tell them apart.
    #[error("there is a token {0} before it: give each its own name")]
    SameName(TokenName),
    /// One token twice.
    #[error("the same token stands before it under another name")]
    SameToken,
    /// More tokens than can be known.
    #[error("there are {TOKEN_COUNT_MAX} tokens before it: remove those that nobody uses")]
    TooMany,
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
