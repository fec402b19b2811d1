//! How a command shows rows to a person.

/// Names are other people's: none of them moves a terminal's cursor.
pub fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Columns as wide as their widest cell, two spaces between; the last one runs free.
pub fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
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
    fn columns_stand_below_each_other_and_names_stay_on_their_line() {
        let rows = vec![["A".to_owned(), "B".to_owned()], ["Māori".to_owned(), on_one_line("x\u{1b}[2J\ny")]];
        assert_eq!(table(rows), "A      B\nMāori  x [2J y\n");
    }
}
