//! The output of a command: data to standard output, everything else to standard error.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context;
use serde::Serialize;

use crate::output::{self, printable};

/// The two output streams of a command. A closed pipe, as `head` leaves it, is not an error.
pub(crate) struct Console {
    data: Box<dyn Write>,
    notes: Box<dyn Write>,
    is_json: bool,
}

impl Console {
    /// Standard output and standard error; `is_json` selects JSON for data.
    pub(crate) fn standard(is_json: bool) -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), is_json)
    }

    pub(crate) fn new(data: Box<dyn Write>, notes: Box<dyn Write>, is_json: bool) -> Self {
        Self {
            data,
            notes,
            is_json,
        }
    }

    /// Prints `answer`: as JSON, or as formatted by `text`, which must end its lines.
    pub(crate) fn print<A: Serialize>(
        &mut self,
        answer: &A,
        text: impl FnOnce(&A) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.is_json {
            true => {
                let json = serde_json::to_string_pretty(answer);
                json.context("the answer cannot be encoded as JSON")? + "\n"
            }
            false => text(answer),
        };
        self.write(text.as_bytes())
    }

    /// Prints bytes. Fails if they cannot be written, unless the reader has closed the pipe.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.data.write_all(bytes);
        output::check(written.and_then(|()| self.data.flush()))
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints `answer` if JSON is selected; for people, [`Console::note`] reports what was done.
    pub(crate) fn report<A: Serialize>(&mut self, answer: &A) -> anyhow::Result<()> {
        self.print(answer, |_| String::new())
    }

    /// Prints a line to standard error: a message, not data.
    pub(crate) fn note(&mut self, text: impl fmt::Display) {
        let text = text.to_string();
        let lines: Vec<String> = text.lines().map(printable).collect();
        let _ = writeln!(self.notes, "quorate: {}", lines.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose flush fails.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn printed(kind: io::ErrorKind) -> anyhow::Result<()> {
        let data = Box::new(Failing(kind));
        let mut console = Console::new(data, Box::new(io::sink()), false);
        console.print(&1, |_| "data\n".to_owned())
    }

    /// A script that redirects a token to a file must notice that it was not written.
    #[test]
    fn lost_output_is_a_failure() {
        let error = printed(io::ErrorKind::StorageFull).unwrap_err();
        let text = format!("{error:#}");
        let expected = "standard output cannot be written: ";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        printed(io::ErrorKind::BrokenPipe).unwrap();
    }
}

#[cfg(test)]
pub(crate) mod captured {
    //! A console whose output tests can read.

    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Rc<RefCell<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) struct Captured {
        data: Lines,
        notes: Lines,
    }

    impl Captured {
        /// A console and its captured output.
        pub(crate) fn console(is_json: bool) -> (Console, Self) {
            let captured = Self {
                data: Lines::default(),
                notes: Lines::default(),
            };
            let data = Box::new(captured.data.clone());
            let notes = Box::new(captured.notes.clone());
            (Console::new(data, notes, is_json), captured)
        }

        pub(crate) fn data(&self) -> String {
            String::from_utf8(self.data.0.borrow().clone()).unwrap()
        }

        pub(crate) fn notes(&self) -> String {
            String::from_utf8(self.notes.0.borrow().clone()).unwrap()
        }
    }
}
