//! Figures about a score as one tidy table: a line a figure, with what it is of, its value and its interval.
//!
//! Figures hold true counts; what may be shown of them is decided where they become cells, so that nothing is written
//! that the disclosure rule hides.

use anyhow::Result;

use super::OutputFile;
use super::disclosure::{self, HIDDEN};
use crate::estimate::interval::{Estimate, share};

/// What a figure says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of people.
    Count(u64),
    /// Of people, and how many they are of.
    Share { part: u64, whole: u64 },
    /// One over a share: people of the whole for one of the part.
    PerOne { part: u64, whole: u64 },
    /// Observed over expected, where so many had been expected.
    Ratio { observed: u64, people: u64, expected: f64 },
    /// A figure that so many people with and without the outcome are behind.
    Estimate { estimate: Estimate, events: u64, others: u64 },
    /// Of no person: a setting, a number of days.
    Plain(f64),
    /// There is none, and why.
    None(String),
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What people are grouped by; `all` for everybody.
    pub group: String,
    pub level: String,
    /// What kind of figure it is.
    pub table: &'static str,
    /// Where in the table: a cut, a twentieth, a band; empty where there is only one.
    pub at: String,
    pub name: &'static str,
    pub value: Value,
    /// Whether its interval and that of everybody share no value.
    pub is_apart: bool,
}

/// Value, interval and note as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cells {
    pub value: String,
    pub low: String,
    pub high: String,
    pub note: String,
}

impl Cells {
    fn hidden() -> Cells {
        let note = "1 to 7 people are behind it".to_owned();
        Cells { value: HIDDEN.to_owned(), low: HIDDEN.to_owned(), high: HIDDEN.to_owned(), note }
    }

    fn estimate(estimate: &Estimate) -> Cells {
        let (low, high) = estimate.interval.map_or_else(Default::default, |(low, high)| (number(low), number(high)));
        Cells { value: number(estimate.value), low, high, note: String::new() }
    }

    fn none(why: &str) -> Cells {
        Cells { note: why.to_owned(), ..Cells::default() }
    }
}

/// Six significant decimals are more than any figure here is worth.
fn number(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Value {
    pub fn estimate(estimate: Option<Estimate>, events: u64, others: u64, otherwise: &str) -> Value {
        match estimate {
            Some(estimate) => Value::Estimate { estimate, events, others },
            None => Value::None(otherwise.to_owned()),
        }
    }

    /// The figure with its interval, where it may be shown: what plots and cards are drawn from.
    pub fn shown(&self) -> Option<Estimate> {
        match self {
            Value::Count(people) => match disclosure::count(*people) {
                disclosure::Shown::Count(count) => Some(Estimate::alone(count as f64)),
                disclosure::Shown::Hidden => None,
            },
            Value::Share { part, whole } => {
                disclosure::rate(*part, *whole).and_then(|(part, whole)| share(part, whole))
            }
            Value::PerOne { part, whole } => {
                let (part, whole) = disclosure::rate(*part, *whole)?;
                let share = share(part, whole).filter(|share| share.value > 0.0)?;
                let interval = share.interval.map(|(low, high)| (1.0 / high, 1.0 / low));
                Some(Estimate { value: 1.0 / share.value, interval })
            }
            Value::Ratio { observed, people, expected } => {
                let (part, whole) = disclosure::rate(*observed, *people)?;
                let share = share(part, whole).filter(|_| *expected > 0.0)?;
                let scale = *people as f64 / expected;
                let interval = share.interval.map(|(low, high)| (low * scale, high * scale));
                Some(Estimate { value: share.value * scale, interval })
            }
            Value::Estimate { estimate, events, others } => {
                let is_hidden = disclosure::is_hidden(*events) || disclosure::is_hidden(*others);
                (!is_hidden).then_some(*estimate)
            }
            Value::Plain(number) => Some(Estimate::alone(*number)),
            Value::None(_) => None,
        }
    }

    pub fn cells(&self) -> Cells {
        let behind = match self {
            Value::None(why) => return Cells::none(why),
            Value::Count(people) => vec![*people],
            Value::Share { part, whole } | Value::PerOne { part, whole } => vec![*part, whole - part, *whole],
            Value::Ratio { observed, people, .. } => vec![*observed, people - observed, *people],
            Value::Estimate { events, others, .. } => vec![*events, *others],
            Value::Plain(_) => Vec::new(),
        };
        if behind.into_iter().any(disclosure::is_hidden) {
            return Cells::hidden();
        }
        self.shown().map_or_else(|| Cells::none("nobody is behind it"), |estimate| Cells::estimate(&estimate))
    }
}

/// `figures.csv`, RFC 4180.
///
/// # Shape
/// One line a figure, in the order given; every line opens with the cells that all share.
pub fn csv(shared: &[(&str, String)], figures: &[Figure]) -> Result<OutputFile> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let own = ["group", "level", "table", "at", "figure", "value", "low", "high", "note"];
    writer.write_record(shared.iter().map(|(name, _)| *name).chain(own))?;
    for figure in figures {
        let mut cells = figure.value.cells();
        if figure.is_apart {
            cells.note = "apart from everybody".to_owned();
        }
        let own = [&figure.group, &figure.level, figure.table, &figure.at, figure.name];
        let value = [&*cells.value, &cells.low, &cells.high, &cells.note];
        writer.write_record(shared.iter().map(|(_, cell)| cell.as_str()).chain(own).chain(value))?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(OutputFile::new("figures.csv", bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_on_few_people_is_hidden_with_its_interval() {
        let few = Value::Estimate { estimate: Estimate::normal(0.7, 0.1), events: 7, others: 900 };
        assert_eq!((few.cells().value, few.cells().low, few.shown()), ("*".to_owned(), "*".to_owned(), None));
        let enough = Value::Estimate { estimate: Estimate::normal(0.7, 0.1), events: 8, others: 900 };
        assert_eq!(enough.cells().value, "0.7");
        assert_eq!(Value::Count(3).cells().value, "*");
        assert_eq!(Value::PerOne { part: 3, whole: 100 }.cells().value, "*");
        assert_eq!(Value::Ratio { observed: 3, people: 100, expected: 4.0 }.cells().value, "*");
    }

    #[test]
    fn a_rate_is_that_of_the_counts_as_they_are_shown() {
        assert_eq!(Value::Share { part: 77, whole: 250 }.cells().value, "0.3");
        assert_eq!(Value::PerOne { part: 77, whole: 250 }.cells().value, "3.333333");
        assert_eq!(Value::Share { part: 0, whole: 0 }.cells(), Cells::none("nobody is behind it"));
        assert_eq!(Value::None("one class".to_owned()).cells().note, "one class");
    }
}
