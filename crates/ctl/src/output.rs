//! Standard output.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context;

/// Prints formatted text to standard output and returns a `Result`, like [`print()`].
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => {
        $crate::print(format_args!($($text)*))
    };
}

/// [`out!`] with a newline.
#[macro_export]
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::print(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Prints to standard output.
///
/// # Errors
/// The text cannot be written, for example on a full disk. A closed pipe, as `head` leaves it, is not an
/// error.
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

/// Replaces the control characters in a text from a server or a file.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    text.chars().map(shown).collect()
}

/// Replaces control characters, and joins the lines to one.
pub(crate) fn in_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_server_are_replaced() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
