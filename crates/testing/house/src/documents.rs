//! Finds documents that name missing files.

use std::{fs, path::Path};

use anyhow::Context;

/// Returns each missing source file that a document in `dir` names, with the document.
pub(crate) fn missing_files(dir: &Path, files: &[String]) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let document = entry?.path();
        if document.extension().is_some_and(|ending| ending == "md") {
            let text = fs::read_to_string(&document)?;
            let named = text.split('`').filter(|word| is_source_path(word));
            let gone = named.filter(|name| !files.iter().any(|file| ends_with(file, name)));
            let document = document.display();
            missing
                .extend(gone.map(|name| format!("{document} names `{name}`, which is not there")));
        }
    }
    missing.sort();
    Ok(missing)
}

fn is_source_path(word: &str) -> bool {
    word.ends_with(".rs") && word.contains("/src/") && !word.contains(char::is_whitespace)
}

/// Whether `file` is `name`, by complete path segments.
fn ends_with(file: &str, name: &str) -> bool {
    Path::new(file).ends_with(name)
}
