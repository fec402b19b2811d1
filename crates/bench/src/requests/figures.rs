//! What was measured, as a table in Markdown: a row for each figure, a column for each database.

use crate::databases::DatabaseKind;

/// What a figure is compared with.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtMost(f64),
    AtLeast(f64),
    Nothing,
}

/// One measured figure.
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    wanted: Wanted,
}

impl Figure {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, wanted: Wanted) -> Self {
        Self { what: what.into(), value, unit, wanted }
    }

    fn is_missed(&self) -> bool {
        match self.wanted {
            Wanted::AtMost(limit) => self.value > limit,
            Wanted::AtLeast(limit) => self.value < limit,
            Wanted::Nothing => false,
        }
    }

    fn cell(&self) -> String {
        let cell = format!("{} {}", rounded(self.value), self.unit);
        if self.is_missed() { format!("**{cell}**") } else { cell }
    }

    fn wanted(&self) -> String {
        match self.wanted {
            Wanted::AtMost(limit) => format!("≤ {limit} {}", self.unit),
            Wanted::AtLeast(limit) => format!("≥ {limit} {}", self.unit),
            Wanted::Nothing => String::new(),
        }
    }
}

/// Prints the table. A value that misses what is wanted is bold. Every column has the same figures.
pub fn print_table(kinds: &[DatabaseKind], columns: &[Vec<Figure>]) {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    println!("| what | {} | wanted |", names.join(" | "));
    println!("|---|{}---|", "--:|".repeat(kinds.len()));
    for (row, first) in columns.first().into_iter().flatten().enumerate() {
        let cells: Vec<String> = columns.iter().filter_map(|column| column.get(row)).map(Figure::cell).collect();
        println!("| {} | {} | {} |", first.what, cells.join(" | "), first.wanted());
    }
}

/// Returns the number with three digits or so.
fn rounded(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
