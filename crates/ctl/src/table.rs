//! Text tables with columns as wide as their contents.

use crate::output::printable;

/// The text between two columns.
const GAP: &str = "  ";

/// Formats a table of `N` columns with these titles, without spaces at line ends. An empty cell is `-`, so
/// that every line has `N` words. Control characters are replaced.
pub(crate) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let shown = |cell: String| match cell.is_empty() {
        true => "-".to_owned(),
        false => printable(&cell),
    };
    let rows = rows.into_iter().map(|row| row.map(shown));
    let rows: Vec<_> = std::iter::once(titles.map(str::to_owned))
        .chain(rows)
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let padded = cells.map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join(GAP);
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Formats lines of a name and a value. A line without a name continues the one above.
pub(crate) fn lines(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let line = format!("{name:<width$}{GAP}{}", printable(value));
        line.trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_contents() {
        let rows = [
            ["long".to_owned(), "ü".to_owned(), String::new()],
            ["x".to_owned(), String::new(), "\x1b[2J".to_owned()],
        ];
        assert_eq!(
            table(["A", "BB", "C"], rows),
            "A     BB  C\nlong  ü   -\nx     -   \u{fffd}[2J\n"
        );
    }

    #[test]
    fn a_table_without_rows_has_its_titles() {
        assert_eq!(table(["NODE", "NAME"], []), "NODE  NAME\n");
    }
}
