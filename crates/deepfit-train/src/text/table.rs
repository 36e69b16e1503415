//! Tables with aligned columns.

use super::style::Style;
use super::words;

/// A table; the columns that hold words are aligned to the left, those that hold numbers to the right.
pub struct Table {
    header: Vec<String>,
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns, of which the first `left` hold words.
    pub fn new(left: usize, header: &[&str]) -> Table {
        Table { header: header.iter().map(|h| h.to_string()).collect(), left, rows: Vec::new() }
    }

    /// Appends a row; cells beyond the header's are an oversight of the caller and are shown without a heading.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| words::printable(cell)).collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, each with its end, indented by two spaces.
    pub fn render(&self, style: Style) -> String {
        let widths = self.widths();
        let mut text = String::new();
        text.push_str(&style.dim(&line(&self.header, &widths, self.left)));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&line(row, &widths, self.left));
            text.push('\n');
        }
        text
    }

    /// Characters that each column needs.
    pub fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).chain([self.header.len()]).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in self.rows.iter().chain([&self.header]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    /// One more row in given widths, for output that goes on after [`Table::render`].
    pub fn continued(&self, cells: &[String], widths: &[usize]) -> String {
        let cells: Vec<String> = cells.iter().map(|cell| words::printable(cell)).collect();
        line(&cells, widths, self.left) + "\n"
    }
}

fn line(cells: &[String], widths: &[usize], left: usize) -> String {
    let mut text = String::from("  ");
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            text.push_str("  ");
        }
        let padding = widths.get(i).map_or(0, |width| width.saturating_sub(cell.chars().count()));
        if i < left {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padding));
        } else {
            text.extend(std::iter::repeat_n(' ', padding));
            text.push_str(cell);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(1, &["metric", "test"]);
        table.row(vec!["accuracy".into(), "0.9".into()]);
        table.row(vec!["é".into(), "12.25".into()]);
        assert_eq!(table.render(Style::PLAIN), "  metric     test\n  accuracy    0.9\n  é         12.25\n");
        assert_eq!(table.continued(&["x".into(), "1".into()], &table.widths()), "  x             1\n");
    }
}
