//! Tables for people: few lines, amounts to the right with their thousands apart.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
use std::fmt::Display;

/// A table with these headings; those that begin with `>` head a column of figures, those with `~` one of free text. Only free
/// text is ever broken over lines: a figure or an id that is broken cannot be read or copied.
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    // One line below the headings; the rows need none between them.
    let style = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    let heading = |h: &&str| {
        let cell = Cell::new(h.trim_start_matches(['>', '~']));
        if h.starts_with('>') { cell.set_alignment(CellAlignment::Right) } else { cell }
    };
    table.set_header(headings.iter().map(heading));
    for (heading, column) in headings.iter().zip(table.column_iter_mut()) {
        if heading.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if !heading.starts_with('~') {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// `-1234567.89` as `-1,234,567.89`.
pub fn grouped(amount: impl Display) -> String {
    let text = amount.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut out = String::from(sign);
    for (at, c) in digits.char_indices() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (plain, expected) in [
            ("0", "0"),
            ("-0.05", "-0.05"),
            ("123.45", "123.45"),
            ("-123.45", "-123.45"),
            ("1234.567", "1,234.567"),
            ("-1234567.89", "-1,234,567.89"),
            ("9223372036854775807", "9,223,372,036,854,775,807"),
        ] {
            assert_eq!(grouped(plain), expected);
        }
    }
}
