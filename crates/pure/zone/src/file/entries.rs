//! Where the entries of a zone file begin and end.

/// The entries of a text, and on which lines they begin: parentheses hold lines together.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut rest, mut next_line) = (text, 1);
    std::iter::from_fn(move || {
        let (mut size, mut depth, begun) = (0, 0, next_line);
        for line in rest.split_inclusive('\n') {
            // Behind a quote that is not closed there is nothing more to read.
            depth = depth_behind(line, depth).unwrap_or(0);
            size += line.len();
            next_line += 1;
            if depth == 0 {
                break;
            }
        }
        let (entry, after) = rest.split_at(size);
        rest = after;
        (!entry.is_empty()).then_some((begun, entry))
    })
}

/// Checks that an entry ends: the scanner panics where a parenthesis is open at the end.
pub(crate) fn check_end(entry: &str) -> Result<(), String> {
    let mut lines = entry.split_inclusive('\n');
    match lines.try_fold(0, |depth, line| depth_behind(line, depth)) {
        Some(0) => Ok(()),
        Some(_) => Err("a parenthesis is not closed".to_owned()),
        None => Err("a quote is not closed".to_owned()),
    }
}

/// How many parentheses are open behind a line; `None` if a quote is, which must not go on in the next.
fn depth_behind(line: &str, mut depth: usize) -> Option<usize> {
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
