//! What was measured, and the table of it.

/// One line of the table.
#[derive(Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What came out, with its unit.
    pub measured: String,
    /// What it was measured beside, with its unit; empty if nothing.
    pub beside: String,
    /// The budget in words; empty if there is none.
    pub budget: String,
    /// Whether it is within the budget.
    pub within: Option<bool>,
}

impl Figure {
    /// A figure without a budget.
    pub fn new(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            beside: String::new(),
            budget: String::new(),
            within: None,
        }
    }

    /// What it was measured beside.
    #[must_use]
    pub fn beside(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }

    /// Its budget, and whether that is kept.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<String>, within: bool) -> Self {
        self.budget = budget.into();
        self.within = Some(within);
        self
    }
}

/// Prints a table in Markdown.
pub fn print_table(figures: &[Figure]) {
    println!("| what | measured | beside | budget | |");
    println!("|---|---|---|---|---|");
    for figure in figures {
        let verdict = match figure.within {
            Some(true) => "kept",
            Some(false) => "**short**",
            None => "",
        };
        let Figure { what, measured, beside, budget, .. } = figure;
        println!("| {what} | {measured} | {beside} | {budget} | {verdict} |");
    }
}

/// The middle of some numbers.
///
/// # Panics
/// If there are none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The least and the greatest, in words.
pub fn range(numbers: &[f64]) -> String {
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = numbers.iter().copied().fold(0.0, f64::max);
    format!("{least:.2} to {greatest:.2}")
}
