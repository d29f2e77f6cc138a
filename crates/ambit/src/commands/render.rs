//! Text for people: tables with columns as wide as their widest cell, and counted things.

/// Puts rows under headings. The last column is not padded.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    line(&mut text, &headings.map(ToOwned::to_owned), &widths);
    for row in rows {
        line(&mut text, row, &widths);
    }
    text
}

fn line<const N: usize>(text: &mut String, cells: &[String; N], widths: &[usize; N]) {
    let start = text.len();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(cell);
        let gap = width.saturating_sub(cell.chars().count()) + 2;
        text.extend(std::iter::repeat_n(' ', gap));
    }
    let end = text.trim_end().len().max(start);
    text.truncate(end);
    text.push('\n');
}

/// `1 tool`, `2 tools`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "tool")), ["0 tools", "1 tool", "2 tools"]);
    }

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [["a".to_owned(), "read".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["tool", "effect"], &rows), "tool    effect\na       read\nlonger\n");
    }
}
