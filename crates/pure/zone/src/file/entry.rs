//! The entries of a zone file, and the tokens of an entry (RFC 1035, section 5.1).

/// What ends an entry too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// A quote that nothing closes.
    #[error("a quote is not closed")]
    Quote,
    /// A parenthesis that nothing closes, or opens.
    #[error("a parenthesis has no counterpart")]
    Parenthesis,
    /// A backslash at the end.
    #[error("a backslash escapes nothing")]
    Escape,
}

/// An entry: a directive, or a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
    /// Whether it begins with a space: then it has the owner of the one before.
    pub(crate) is_indented: bool,
    /// Words: without their quotes, and with their escapes. There is at least one.
    pub(crate) tokens: Vec<String>,
}

/// The entries of `text`, or where and why one ends too early.
pub(crate) fn entries(text: &str) -> Result<Vec<Entry>, (usize, TokenError)> {
    let mut reader = Reader {
        entries: Vec::new(),
        line: 1,
        begun: 1,
        is_indented: false,
        tokens: Vec::new(),
        token: None,
        depth: 0,
    };
    let read = reader.read(text);
    read.map_err(|error| (reader.begun, error))?;
    Ok(reader.entries)
}

struct Reader {
    entries: Vec<Entry>,
    line: usize,
    /// The line on which the entry begins.
    begun: usize,
    is_indented: bool,
    tokens: Vec<String>,
    token: Option<String>,
    /// How many parentheses are open.
    depth: usize,
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<(), TokenError> {
        let mut chars = text.chars().peekable();
        let mut is_line_start = true;
        while let Some(char) = chars.next() {
            if is_line_start && self.depth == 0 {
                self.is_indented = matches!(char, ' ' | '\t');
            }
            is_line_start = char == '\n';
            match char {
                ';' => while chars.next_if(|char| *char != '\n').is_some() {},
                '(' => {
                    self.end_token();
                    self.depth += 1;
                }
                ')' => {
                    self.end_token();
                    self.depth = self.depth.checked_sub(1).ok_or(TokenError::Parenthesis)?;
                }
                '"' => self.read_quoted(&mut chars)?,
                '\n' => self.end_line(),
                char if char.is_ascii_whitespace() => self.end_token(),
                '\\' => {
                    let escaped = chars.next().filter(|char| *char != '\n');
                    let escaped = escaped.ok_or(TokenError::Escape)?;
                    self.token.get_or_insert_default().extend(['\\', escaped]);
                }
                char => self.token.get_or_insert_default().push(char),
            }
        }
        match self.depth {
            0 => self.end_entry(),
            _ => return Err(TokenError::Parenthesis),
        }
        Ok(())
    }

    fn read_quoted(&mut self, chars: &mut impl Iterator<Item = char>) -> Result<(), TokenError> {
        let token = self.token.get_or_insert_default();
        loop {
            match chars.next().ok_or(TokenError::Quote)? {
                '"' => return Ok(()),
                '\n' => return Err(TokenError::Quote),
                '\\' => token.extend(['\\', chars.next().ok_or(TokenError::Escape)?]),
                char => token.push(char),
            }
        }
    }

    fn end_token(&mut self) {
        self.tokens.extend(self.token.take());
    }

    fn end_line(&mut self) {
        self.end_token();
        self.line += 1;
        if self.depth == 0 {
            self.end_entry();
            self.begun = self.line;
        }
    }

    fn end_entry(&mut self) {
        self.end_token();
        let tokens = std::mem::take(&mut self.tokens);
        if !tokens.is_empty() {
            self.entries.push(Entry {
                line: self.begun,
                is_indented: self.is_indented,
                tokens,
            });
        }
    }
}

/// The octets of a token, escapes resolved. `None` if one of them is none.
pub(crate) fn unescape(token: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = token.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = after;
        } else if after.first()?.is_ascii_digit() {
            let (digits, after) = after.split_at_checked(3)?;
            bytes.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
            rest = after;
        } else {
            let (&escaped, after) = after.split_first()?;
            bytes.push(escaped);
            rest = after;
        }
    }
    Some(bytes)
}

/// Octets as a quoted token.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(usize, bool, Vec<String>)> {
        let entries = entries(text).unwrap().into_iter();
        entries
            .map(|entry| (entry.line, entry.is_indented, entry.tokens))
            .collect()
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn entries_are_lines_but_for_parentheses() {
        let text =
            "; comment\n\na 1 ; more\n\tb (2 ; of two\n \"3 ;) 4\"\n ) 5\r\nc d=\"e f\"g \\\"\\;\n";
        let expected = [
            (3, false, owned(&["a", "1"])),
            (4, true, owned(&["b", "2", "3 ;) 4", "5"])),
            (7, false, owned(&["c", "d=e fg", "\\\"\\;"])),
        ];
        assert_eq!(tokens(text), expected);
        assert_eq!(tokens("a \"\""), [(1, false, owned(&["a", ""]))]);
    }

    #[test]
    fn an_entry_that_ends_early_is_named_by_the_line_where_it_begins() {
        for (text, line, error) in [
            ("a\nb \"c\nd\"", 2, TokenError::Quote),
            ("a\nb (\nc\n\n", 2, TokenError::Parenthesis),
            ("a )", 1, TokenError::Parenthesis),
            ("a\nb \\\nc", 2, TokenError::Escape),
        ] {
            assert_eq!(entries(text), Err((line, error)), "{text:?}");
        }
    }

    #[test]
    fn octets_come_back_from_their_token() {
        let bytes: Vec<u8> = (0..=255).collect();
        let quoted = quoted(&bytes);
        let entry = &entries(&quoted).unwrap()[0];
        assert_eq!(unescape(&entry.tokens[0]), Some(bytes));
        assert_eq!(unescape("\\256"), None);
        assert_eq!(unescape("\\25"), None);
    }
}
