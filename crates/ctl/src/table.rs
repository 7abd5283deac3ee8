//! Tables for the eye: columns as wide as what they hold.

use crate::output::printable;

/// What stands between two columns.
const GAP: &str = "  ";

/// A table of `N` columns, the first line being their titles.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(titles: [&str; N]) -> Self {
        let rows = vec![titles.map(str::to_owned)];
        Self { rows }
    }

    /// Adds a row. An empty cell shows as `-`, so that every line has `N` words; what would move the
    /// cursor is replaced.
    pub(crate) fn push(&mut self, cells: [String; N]) {
        let shown = |cell: String| match cell.is_empty() {
            true => "-".to_owned(),
            false => printable(&cell),
        };
        self.rows.push(cells.map(shown));
    }

    /// The lines, each with its end and without blanks before it.
    pub(crate) fn text(&self) -> String {
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        });
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(widths);
            let padded: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            text.push_str(padded.join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

/// Lines of a name and what has it. A line without a name goes on with the one above.
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
    fn columns_are_as_wide_as_what_they_hold() {
        let mut table = Table::new(["A", "BB", "C"]);
        table.push(["long".to_owned(), "ü".to_owned(), String::new()]);
        table.push(["x".to_owned(), String::new(), "\x1b[2J".to_owned()]);
        assert_eq!(
            table.text(),
            "A     BB  C\nlong  ü   -\nx     -   \u{fffd}[2J\n"
        );
    }

    #[test]
    fn a_table_without_rows_has_its_titles() {
        assert_eq!(Table::new(["NODE", "NAME"]).text(), "NODE  NAME\n");
    }
}
