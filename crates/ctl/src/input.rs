//! Text input of a command.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::ensure;

/// The file name that means standard input.
const STDIN: &str = "-";

/// Reads a file, or standard input. Fails with `advice` if it has more than `size_max` bytes.
pub(crate) fn read(path: &Path, size_max: usize, advice: &str) -> anyhow::Result<String> {
    match path == Path::new(STDIN) {
        true => read_from(io::stdin(), size_max, advice),
        false => read_file(path, size_max, advice),
    }
}

/// Reads a file, also one named `-`.
pub(crate) fn read_file(path: &Path, size_max: usize, advice: &str) -> anyhow::Result<String> {
    read_from(File::open(path)?, size_max, advice)
}

fn read_from(from: impl Read, size_max: usize, advice: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(size_max as u64 + 1).read_to_string(&mut text)?;
    ensure!(
        text.len() <= size_max,
        "it has more than {size_max} bytes{advice}"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_rejected_and_not_cut() {
        let error = read_from(io::repeat(b'\n'), 7, ": split it").unwrap_err();
        assert_eq!(error.to_string(), "it has more than 7 bytes: split it");
        let complete = read_from(&b"1234567"[..], 7, "").unwrap();
        assert_eq!(complete, "1234567");
    }
}
