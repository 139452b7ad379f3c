//! Tables for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, presets};

use super::tame;

/// A table: a head and rows, without lines, as wide as the terminal at most.
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(columns.map(|column| Cell::new(column.to_uppercase())));
        Self(table)
    }

    /// A table of names and values, without a head.
    pub fn facts() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        Self(table)
    }

    /// Numbers stand at the right.
    pub fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.map(|cell| tame(&cell)));
    }

    /// The table as text.
    pub fn render(&self, colour: bool) -> String {
        let mut table = self.0.clone();
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.to_string();
        let mut lines = text.lines().map(str::trim_end);
        match (colour && self.0.header().is_some(), lines.next()) {
            (true, Some(head)) => {
                let rest: Vec<&str> = lines.collect();
                format!("\x1b[1m{head}\x1b[0m\n{}", rest.join("\n"))
            }
            (_, Some(head)) => {
                let rest: Vec<&str> = lines.collect();
                if rest.is_empty() {
                    head.to_owned()
                } else {
                    format!("{head}\n{}", rest.join("\n"))
                }
            }
            (_, None) => String::new(),
        }
    }
}
