//! What checks find wrong with settings that could be read.

use std::{fmt, ops::RangeInclusive};

use crate::KeyPath;

/// One problem that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting.
    pub key: KeyPath,
    /// The other setting if two contradict each other: an operator who set only that one has to
    /// look there.
    pub related: Option<KeyPath>,
    /// What is wrong with it, and why.
    pub reason: String,
}

/// All problems that checks found, each with the key of its setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Problems that prevent the program from starting.
    pub errors: Vec<Finding>,
    /// Settings that are allowed but probably a mistake.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Adds an error.
    pub fn error(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.errors.push(Finding::new(key, reason));
    }

    /// Adds an error: the setting at `key` contradicts the one at `related`.
    pub fn error_between(&mut self, [key, related]: [&str; 2], reason: impl Into<String>) {
        self.errors.push(Finding {
            related: Some(related.into()),
            ..Finding::new(key, reason)
        });
    }

    /// Adds a warning.
    pub fn warning(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.warnings.push(Finding::new(key, reason));
    }

    /// Adds an error if `value` is out of `bounds`. `why` is the reason for the bounds.
    pub fn bound<T: PartialOrd + fmt::Display>(
        &mut self,
        key: KeyPath,
        value: &T,
        bounds: &RangeInclusive<T>,
        why: &str,
    ) {
        if !bounds.contains(value) {
            let (min, max) = (bounds.start(), bounds.end());
            self.error(
                key,
                format!("{value} is not between {min} and {max}: {why}"),
            );
        }
    }
}

impl Finding {
    fn new(key: impl Into<KeyPath>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            related: None,
            reason: reason.into(),
        }
    }
}
