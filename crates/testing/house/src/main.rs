//! Checks how the product's code is laid out, and fails `make verify` when a rule is broken.
//!
//! | rule | why |
//! |---|---|
//! | no circle of files inside a crate | code can be read, and changed, from the bottom up |
//! | no public type name twice | a name means one thing wherever it is read |
//! | at most [`LINE_COUNT_MAX`] lines of product code in a file | a file is about one thing |
//! | a source file that a document names is there | documents are correct |
//!
//! A file uses another if it names what the other defines, by `use` or by a path; names that a
//! parent re-exports with `pub use` count as uses of the file that defines them. Tests are ignored.
//!
//! | piece | what it is |
//! |---|---|
//! | `source` | the files of a crate and their modules |
//! | `uses` | which file uses which |
//! | `circles` | files that use each other in a circle |
//! | `documents` | files that documents name |

#![expect(clippy::print_stdout, reason = "it is a command")]

mod circles;
mod documents;
mod source;
mod uses;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use crate::{circles::circles, source::SourceCrate};

/// As much as a reader can take in at one time. Comments, blank lines and tests do not count.
const LINE_COUNT_MAX: usize = 400;

fn main() -> anyhow::Result<ExitCode> {
    let root = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let mut breaches = breaches(&root.join("crates"))?;
    let mut files = Vec::new();
    for dir in ["crates", "tests"] {
        files.extend(source::rust_files(&root.join(dir))?);
    }
    for documents in [root.clone(), root.join("docs")] {
        breaches.extend(documents::missing_files(&documents, &files)?);
    }
    for breach in &breaches {
        println!("{breach}");
    }
    Ok(match breaches.len() {
        0 => {
            println!("house rules: all hold");
            ExitCode::SUCCESS
        }
        count => {
            println!("house rules: {count} broken");
            ExitCode::FAILURE
        }
    })
}

/// Returns a description of each broken rule below `dir`.
fn breaches(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut breaches = Vec::new();
    let mut types = BTreeMap::<String, Vec<PathBuf>>::new();
    for dir in source::crate_dirs(dir)? {
        let source = SourceCrate::read(&dir).with_context(|| dir.display().to_string())?;
        for circle in circles(&uses::uses(&source)) {
            breaches.push(format!("circle of files: {}", circle.join(" -> ")));
        }
        if source.is_product() {
            for file in source.files() {
                if file.line_count > LINE_COUNT_MAX {
                    let path = file.path.display();
                    let count = file.line_count;
                    breaches.push(format!(
                        "{path}: {count} lines of code; split it by subject"
                    ));
                }
                for name in &file.public_types {
                    types
                        .entry(name.clone())
                        .or_default()
                        .push(file.path.clone());
                }
            }
        }
    }
    for (name, places) in types.iter().filter(|(_, places)| places.len() > 1) {
        let places: Vec<_> = places
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        breaches.push(format!("public type `{name}` in {}", places.join(" and ")));
    }
    Ok(breaches)
}

#[cfg(test)]
#[path = "house_tests.rs"]
mod tests;
