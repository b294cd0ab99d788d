//! Tables as PrettyTable, which Glance's tools print with, draws them. `comfy-table` divides an odd blank otherwise.

/// Where the text of a column stands, headings too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Center,
    Right,
}

/// The table, with a line end after each line.
pub(super) fn render(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let widest = |at: usize| {
        let cells = rows.iter().chain([&heading]).filter_map(|row| row.get(at));
        cells.map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(columns).zip(&widths);
        let cells: String = cells.map(|((cell, (_, align)), width)| justified(cell, *width, *align)).collect();
        format!("{cells}|\n")
    };
    let body: String = rows.iter().map(line).collect();
    format!("{rule}+\n{}{rule}+\n{body}{rule}+\n", line(&heading))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn justified(text: &str, to: usize, align: Align) -> String {
    let blanks = to.saturating_sub(width(text));
    let left = match align {
        Align::Right => blanks,
        // Python's `str.center`: of an odd number of blanks the odd one is on the left where the whole is odd.
        Align::Center => blanks / 2 + (blanks & to & 1),
    };
    format!("| {}{text}{} ", " ".repeat(left), " ".repeat(blanks - left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_as_pretty_table_does() {
        let columns = [("ID", Align::Center), ("Size", Align::Right)];
        let rows = [["abc", "7"], ["a", "12345"]].map(|row| row.map(str::to_owned).to_vec());
        let drawn =
            "+-----+-------+\n|  ID |  Size |\n+-----+-------+\n| abc |     7 |\n|  a  | 12345 |\n+-----+-------+\n";
        assert_eq!(render(&columns, &rows), drawn);
        // The odd blank: right of an even width, left of an odd one.
        assert_eq!(justified("abc", 6, Align::Center), "|  abc   ");
        assert_eq!(justified("ab", 5, Align::Center), "|   ab  ");
    }
}
