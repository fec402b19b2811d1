//! Formats rows as a text table.

/// Replaces control characters with spaces, because names from outside must not control the terminal.
pub fn replace_control_chars(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Pads each column to its widest cell, with two spaces between columns and none at the end of a line.
pub fn format_table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_replaced() {
        let rows = vec![["A".to_owned(), "B".to_owned()], ["Māori".to_owned(), replace_control_chars("x\u{1b}[2J\ny")]];
        assert_eq!(format_table(rows), "A      B\nMāori  x [2J y\n");
    }
}
