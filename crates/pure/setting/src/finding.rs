//! What checks find in settings that can be read.

use std::{fmt, ops::RangeInclusive};

use crate::KeyPath;

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which setting.
    pub key: KeyPath,
    /// The other, where two do not go together: whoever set that one alone has to look there.
    pub related: Option<KeyPath>,
    /// What is wrong with it, and why.
    pub reason: String,
}

/// What checks found, each at its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What keeps a program from starting.
    pub errors: Vec<Finding>,
    /// What is allowed but doubtful.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Notes an error.
    pub fn error(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.errors.push(Finding::new(key, reason));
    }

    /// Notes that the setting at `key` does not go with the one at `related`.
    pub fn error_between(&mut self, [key, related]: [&str; 2], reason: impl Into<String>) {
        self.errors.push(Finding {
            related: Some(related.into()),
            ..Finding::new(key, reason)
        });
    }

    /// Notes what is doubtful.
    pub fn warning(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.warnings.push(Finding::new(key, reason));
    }

    /// Notes an error if `value` is out of `bounds`, which are there because of `why`.
    pub fn bound<T: PartialOrd + fmt::Display>(
        &mut self,
        key: KeyPath,
        value: &T,
        bounds: &RangeInclusive<T>,
        why: &str,
    ) {
        if !bounds.contains(value) {
            let (min, max) = (bounds.start(), bounds.end());
            self.error(key, format!("{value} is not from {min} to {max}: {why}"));
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
