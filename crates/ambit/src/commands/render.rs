//! Tables for people: columns as wide as their widest cell, nothing else.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [["a".to_owned(), "read".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["tool", "effect"], &rows), "tool    effect\na       read\nlonger\n");
    }
}
