//! Errors and warnings of a configuration.

use std::{fmt, path::PathBuf};

use quorate_setting::KeyPath;

/// The layer that set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File {
        /// The path as given.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    Variable(String),
    Flag(String),
}

/// The prefix of our variables.
pub(crate) const PREFIX: &str = "QUORATE_";

/// The variable that sets `key`, or the value that contains it.
pub(crate) fn variable(key: &KeyPath) -> String {
    let name = key.section_and_key().replace('.', "_").to_uppercase();
    format!("{PREFIX}{name}")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One error or warning: its source, key and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) source: Source,
    pub(crate) key: Option<KeyPath>,
    pub(crate) reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// All errors of a configuration, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has an error")?,
            count => write!(f, "the configuration has {count} errors")?,
        }
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
