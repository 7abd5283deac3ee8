//! Standard output.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context;

/// Prints to standard output, and is a `Result`: see [`print()`].
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => {
        $crate::print(format_args!($($text)*))
    };
}

/// [`out!`] and the end of the line.
#[macro_export]
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::print(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Prints to standard output.
///
/// # Errors
/// What is printed does not arrive, say on a full disk. A reader that has gone, as `head` does, is no
/// error: what it wanted it has.
pub fn print(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut output = io::stdout();
    check(output.write_fmt(text).and_then(|()| output.flush()))
}

pub(crate) fn check(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// The text of a stranger without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    text.chars().map(shown).collect()
}

/// The same, on one line.
pub(crate) fn in_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_a_stranger_wrote() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
