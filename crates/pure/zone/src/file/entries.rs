//! Splits a zone file into its entries.

/// The entries of a text, each with the line it begins on. Parentheses join lines to one entry.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut rest, mut next_line) = (text, 1);
    std::iter::from_fn(move || {
        let (mut size, mut depth, first_line) = (0, 0, next_line);
        for line in rest.split_inclusive('\n') {
            // A quote that is not closed ends the entry: it is an error anyway.
            depth = depth_after(line, depth).unwrap_or(0);
            size += line.len();
            next_line += 1;
            if depth == 0 {
                break;
            }
        }
        let (entry, after) = rest.split_at(size);
        rest = after;
        (!entry.is_empty()).then_some((first_line, entry))
    })
}

/// Checks that quotes and parentheses are closed: the scanner panics on an open parenthesis.
pub(crate) fn check_end(entry: &str) -> Result<(), String> {
    let mut lines = entry.split_inclusive('\n');
    match lines.try_fold(0, |depth, line| depth_after(line, depth)) {
        Some(0) => Ok(()),
        Some(_) => Err("a parenthesis is not closed".to_owned()),
        None => Err("a quote is not closed".to_owned()),
    }
}

/// How many parentheses are open after a line; `None` if a quote is open.
fn depth_after(line: &str, mut depth: usize) -> Option<usize> {
    let (mut is_quoted, mut chars) = (false, line.chars());
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '"' => is_quoted = !is_quoted,
            ';' if !is_quoted => break,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (!is_quoted).then_some(depth)
}
