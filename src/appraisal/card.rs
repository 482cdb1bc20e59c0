//! The model card: what was looked at and what was found, as Markdown, by the items of TRIPOD+AI that a run can fill.
//!
//! # Source
//! Item numbers: Collins GS et al, TRIPOD+AI statement, BMJ 2024;385:e078378. Items that only people can fill are named
//! as open.

use std::fmt::Write;

use crate::model::describe::outcome_in_words;
use crate::model::{Kind, Model};
use crate::output::OutputFile;
use crate::output::figures::{Figure, Value};
use crate::run::{BackCast, PastDay};

pub struct Card {
    text: String,
}

impl Card {
    pub fn new(title: &str) -> Card {
        Card { text: format!("# {title}\n") }
    }

    pub fn section(&mut self, title: &str) {
        self.line(&format!("\n## {title}\n"));
    }

    pub fn line(&mut self, text: &str) {
        writeln!(self.text, "{text}").expect("writing to a string");
    }

    pub fn items(&mut self, items: impl IntoIterator<Item = String>) {
        items.into_iter().for_each(|item| self.line(&format!("- {item}")));
    }

    pub fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(&format!("| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len())));
        rows.into_iter().for_each(|row| self.line(&format!("| {} |", row.join(" | "))));
    }

    /// What every card of a back-cast says of model, data, outcome and people.
    pub fn about(&mut self, back_cast: &BackCast, day: &PastDay, model: &Model) {
        let prepared = back_cast.prepared;
        self.section("What was looked at");
        let kind = match model.kind {
            Kind::Logistic => "a logistic regression",
            _ => "a sum of points: no probability",
        };
        self.items([
            format!(
                "Item 1, model: {} {}, {}; {kind} with {} terms.",
                model.id,
                model.version,
                model.title,
                model.terms.len()
            ),
            format!("Item 3, where it comes from: {}.", model.source.citation.trim_end_matches('.')),
        ]);
        let followed = match &back_cast.followed.source {
            Some(source) => format!("the newest event of source \"{source}\" is of {}", back_cast.followed.until),
            None => format!("followed until {}, as stated by whoever ran this", back_cast.followed.until),
        };
        let sources: Vec<String> = prepared
            .inputs()
            .map(|input| format!("{} (layout {}, {} files)", input.name, input.layout.layout.id, input.files.len()))
            .collect();
        self.items([
            format!("Item 5a, data: {}.", sources.join("; ")),
            format!("Item 5b, dates: scored as of {}; {followed}.", day.as_of),
            "Item 6, people: everybody on the register on the as-of date who has a score; who has none is counted with the reason by `riskstrat run`.".to_owned(),
            format!("Item 8, outcome: {}.", outcome_in_words(&back_cast.rule)),
            format!("Item 9, predictors: `riskstrat models show {}` prints every term with its window and its code lists. Terms see what had happened and been recorded before {}; what came later is read for the outcome alone.", model.id, day.as_of),
            "Item 11, missing data: nothing recorded counts as none, or withholds the score, as each term says; figures by what the practice's feeds cover stand below.".to_owned(),
        ]);
        let bias = "Opted-out people are in no figure.";
        self.items([format!(
            "Item 10, sample: everybody of whom it is known what came; nobody was drawn. {bias} Opt-outs: {}.",
            back_cast.decides.opt_outs
        )]);
    }

    /// Items that no program can fill.
    pub fn open_items(&mut self) {
        self.section("Left to people");
        self.line(
            "Items 2 and 4 (abstract, objectives), 13 (class imbalance), 17 to 19 (ethics, open science, \
             involvement of patients and the public) and 25 to 27 (interpretation, limits, use in care) are for whoever \
             answers for the model's use.",
        );
        self.line(
            "\nCounts of 1 to 7 people are hidden (`*`), other counts are to the nearest 5, and rates are worked out from \
             the counts as shown. Intervals are 95 %.",
        );
    }

    pub fn file(self) -> OutputFile {
        OutputFile::new("model_card.md", self.text.into_bytes())
    }
}

/// A figure as a cell: its value, and its interval in brackets.
pub fn cell(value: &Value) -> String {
    let cells = value.cells();
    match (cells.value.as_str(), value.shown()) {
        ("", _) => cells.note,
        (_, Some(estimate)) => match estimate.interval {
            Some((low, high)) => format!("{} ({} to {})", short(estimate.value), short(low), short(high)),
            None => short(estimate.value),
        },
        (hidden, None) => hidden.to_owned(),
    }
}

/// Three decimals for shares and the like, none for counts.
fn short(number: f64) -> String {
    match number {
        number if number == number.trunc() && number.abs() >= 2.0 => format!("{number:.0}"),
        number if number.abs() >= 100.0 => format!("{number:.0}"),
        number if number.abs() >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.3}"),
    }
}

/// The cell of a figure in a table of figures; empty where there is none.
pub fn find(figures: &[Figure], group: &str, level: &str, table: &str, at: &str, name: &str) -> String {
    let wanted = |figure: &&Figure| {
        figure.group == group
            && figure.level == level
            && figure.table == table
            && figure.at == at
            && figure.name == name
    };
    let found = figures.iter().find(wanted);
    found.map_or(String::new(), |figure| {
        let mark = if figure.is_apart { " !" } else { "" };
        format!("{}{mark}", cell(&figure.value))
    })
}

/// The places of a table in the order of its figures, each once.
pub fn places<'a>(figures: &'a [Figure], table: &str) -> Vec<&'a str> {
    let mut places: Vec<&str> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.table == table && figure.group == "all") {
        if !places.contains(&figure.at.as_str()) {
            places.push(&figure.at);
        }
    }
    places
}

/// Groups and their levels in order, each once.
pub fn levels(figures: &[Figure]) -> Vec<(&str, &str)> {
    let mut levels: Vec<(&str, &str)> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.table == "groups" && figure.group != "all") {
        if levels.last() != Some(&(&*figure.group, &*figure.level)) {
            levels.push((&figure.group, &figure.level));
        }
    }
    levels
}
