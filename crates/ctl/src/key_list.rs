//! Public keys in a file: one on a line, with comments after `#`.

use std::path::Path;

use anyhow::{Context, ensure};
use quorate_packet::PublicKey;

use crate::input;

/// The most keys that are read: as many as a cluster keeps.
pub(crate) const KEY_COUNT_MAX: usize = 20_000;

/// The most bytes that are read: a key and a short comment on each line.
const SIZE_MAX: usize = 4 << 20;

/// Reads a file, or standard input.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let file = path.display();
    let text = input::read(path, SIZE_MAX, "");
    let text = text.with_context(|| format!("{file} cannot be read"))?;
    parse(&text).with_context(|| format!("{file} is not a list of keys"))
}

fn parse(text: &str) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let key = line.split('#').next().unwrap_or_default().trim();
        if key.is_empty() {
            continue;
        }
        ensure!(
            keys.len() < KEY_COUNT_MAX,
            "line {number}: too many keys: a cluster keeps at most {KEY_COUNT_MAX}"
        );
        keys.push(key.parse().with_context(|| format!("line {number}"))?);
    }
    ensure!(!keys.is_empty(), "it contains no key");
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let [one, two] = [1, 2].map(|byte| PublicKey::from_bytes([byte; 32]));
        let text = format!("# friends\n\n  {one} # alice\r\n{two}");
        assert_eq!(parse(&text).unwrap(), [one, two]);
    }

    #[test]
    fn an_invalid_key_is_reported_with_its_line() {
        let key = PublicKey::from_bytes([1; 32]);
        let error = format!("{:#}", parse(&format!("{key}\nalice\n")).unwrap_err());
        assert!(error.starts_with("line 2: a public key is 52"), "{error}");
        let error = parse("# nobody\n").unwrap_err().to_string();
        assert_eq!(error, "it contains no key");
    }

    #[test]
    fn a_list_that_is_too_long_is_rejected_and_not_cut() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "\n".repeat(SIZE_MAX + 1)).unwrap();
        let error = format!("{:#}", read(file.path()).unwrap_err());
        assert!(error.contains("more than 4194304 bytes"), "{error}");
        let lines = format!("{}\n", PublicKey::from_bytes([1; 32])).repeat(KEY_COUNT_MAX + 1);
        let error = parse(&lines).unwrap_err().to_string();
        assert!(error.starts_with("line 20001: "), "{error}");
    }
}
