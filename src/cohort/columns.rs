//! The published columns: one row per registered person, as cohort rules and `scores.parquet` see them.

use anyhow::Result;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::ingest::register::Practices;
use crate::model::{Kind, Model, Sex, Term};
use crate::person::{Spine, Standing, WordColumn};
use crate::score::fidelity::{Availability, Grade};
use crate::score::people::Scores;
use crate::score::published;
use crate::strata::Strata;

/// One column of what a run publishes about people.
#[derive(Debug, Clone)]
pub enum Values {
    Text(Vec<Option<String>>),
    /// Words of which there are few: each distinct word once, and each row's place among them.
    Words(WordColumn),
    Whole(Vec<Option<i64>>),
    Decimal(Vec<Option<f64>>),
}

#[derive(Debug, Clone)]
pub struct PublishedColumn {
    pub name: String,
    pub values: Values,
}

/// The people who are published, and their columns.
pub struct Published {
    /// Their numbers on the spine, in order.
    pub people: Vec<u32>,
    pub columns: Vec<PublishedColumn>,
}

/// Columns of everybody who is registered on the as-of day.
pub fn published_columns(
    models: &[Model],
    spine: &Spine,
    practices: &Practices,
    scores: &Scores,
    strata: &[Strata],
    availability: &Availability,
) -> Published {
    let registered = |standing: &Standing| matches!(standing, Standing::Registered { .. });
    let standings = scores.standings.iter().enumerate().filter(|(_, standing)| registered(standing));
    let people: Vec<u32> = standings.map(|(person, _)| person as u32).collect();
    let making = Making { spine, practices, scores, availability, people: &people };
    let mut columns = making.about_people();
    for (number, model) in models.iter().enumerate() {
        match model.kind {
            Kind::Facts => columns.extend(making.facts(number, model)),
            _ => columns.extend(making.scores(number, model, &strata[number])),
        }
    }
    let columns = columns.into_par_iter().map(|(name, make)| PublishedColumn { name, values: make() }).collect();
    Published { people, columns }
}

/// What columns are made from.
#[derive(Clone, Copy)]
struct Making<'a> {
    spine: &'a Spine,
    practices: &'a Practices,
    scores: &'a Scores,
    availability: &'a Availability,
    people: &'a [u32],
}

/// A column's name, and how to make it.
type Column<'a> = (String, Box<dyn Fn() -> Values + Send + Sync + 'a>);

impl<'a> Making<'a> {
    fn text(self, name: &str, value: impl Fn(u32) -> Option<String> + Send + Sync + 'a) -> Column<'a> {
        let make = move || Values::Text(self.people.iter().map(|&person| value(person)).collect());
        (name.to_owned(), Box::new(make))
    }

    fn words(self, name: &str, value: impl Fn(u32) -> Option<&'a str> + Send + Sync + 'a) -> Column<'a> {
        let make = move || Values::Words(WordColumn::new(self.people.iter().map(|&person| value(person))));
        (name.to_owned(), Box::new(make))
    }

    fn whole(self, name: &str, value: impl Fn(u32) -> Option<i64> + Send + Sync + 'a) -> Column<'a> {
        let make = move || Values::Whole(self.people.iter().map(|&person| value(person)).collect());
        (name.to_owned(), Box::new(make))
    }

    fn decimal(self, name: &str, value: impl Fn(u32) -> Option<f64> + Send + Sync + 'a) -> Column<'a> {
        let make = move || Values::Decimal(self.people.iter().map(|&person| value(person)).collect());
        (name.to_owned(), Box::new(make))
    }

    fn practice_number(self, person: u32) -> Option<u32> {
        match self.scores.standings[person as usize] {
            Standing::Registered { practice, .. } => Some(practice),
            _ => None,
        }
    }

    fn practice(self, person: u32) -> Option<&'a str> {
        self.practice_number(person).map(|practice| self.spine.practices[practice as usize].as_str())
    }

    fn about_people(self) -> Vec<Column<'a>> {
        let spine = self.spine;
        let mut columns = vec![
            self.text("person", move |person| Some(spine.ids[person as usize].0.to_string())),
            self.words("practice", move |person| self.practice(person)),
        ];
        for name in &self.practices.columns {
            columns.push(self.words(name, move |person| self.practices.value(self.practice(person)?, name)));
        }
        columns.push(self.words("area", move |person| spine.areas.of(person)));
        columns.push(self.words("sex", move |person| match spine.sexes[person as usize]? {
            Sex::Male => Some("male"),
            Sex::Female => Some("female"),
        }));
        for (name, words) in &spine.words {
            columns.push(self.words(name, move |person| words.of(person)));
        }
        columns.push(self.whole("age_years", move |person| {
            Some(spine.births[person as usize]?.age_years_on(self.scores.as_of).into())
        }));
        for (name, numbers) in &spine.numbers {
            columns.push(self.decimal(name, move |person| thousandths(numbers[person as usize])));
        }
        columns
    }

    fn facts(self, number: usize, model: &'a Model) -> Vec<Column<'a>> {
        let terms = model.terms.iter().zip(&self.scores.models[number].facts).zip(model.whole_terms());
        let column = move |((term, facts), is_whole): ((&'a Term, &'a Vec<i32>), bool)| match is_whole {
            true => self.whole(&term.name, move |person| {
                thousandths(facts[person as usize]).map(|_| i64::from(facts[person as usize] / 1_000))
            }),
            false => self.decimal(&term.name, move |person| thousandths(facts[person as usize])),
        };
        terms.map(column).collect()
    }

    fn scores(self, number: usize, model: &'a Model, strata: &'a Strata) -> Vec<Column<'a>> {
        let of = &self.scores.models[number];
        let lp = move |person: u32| of.linear_predictors[person as usize].ok();
        let name = |suffix: &str| format!("{}{suffix}", model.id);
        let unavailable = move |person: u32| {
            lp(person)?;
            Some(self.availability.unavailable(number, self.practice_number(person)?))
        };
        let bands = model.bands.names();
        let mut columns = vec![
            self.decimal(&name(""), move |person| lp(person).map(|lp| published(model, lp))),
            self.whole(&name("_linear_predictor"), move |person| lp(person).map(|lp| lp.0)),
            self.whole(&name("_rank"), move |person| strata.ranks[person as usize].map(i64::from)),
        ];
        if !bands.is_empty() {
            columns.push(self.words(&name("_band"), move |person| {
                strata.bands[person as usize].map(|band| bands[usize::from(band)])
            }));
        }
        columns.push(self.words(&name("_fidelity"), move |person| {
            unavailable(person).map(|terms| Grade::of(terms.into(), model.terms.len()).name())
        }));
        columns.push(self.whole(&name("_terms_observed"), move |person| {
            unavailable(person).map(|_| of.observed[person as usize].into())
        }));
        columns.push(self.whole(&name("_terms_unavailable"), move |person| unavailable(person).map(i64::from)));
        columns
    }
}

/// A number that is kept in thousandths; `i32::MIN` is missing.
fn thousandths(number: i32) -> Option<f64> {
    (number != i32::MIN).then(|| f64::from(number) / 1e3)
}

impl Published {
    /// A table that SQL runs over: the number of each row, and the columns that `is_asked` for.
    pub fn table(&self, is_asked: impl Fn(&str) -> bool) -> Result<DataFrame> {
        let mut columns: Vec<polars::prelude::Column> = Vec::with_capacity(self.columns.len() + 1);
        columns
            .push(polars::prelude::Column::new(super::ROW.into(), (0..self.people.len() as u32).collect::<Vec<u32>>()));
        for column in self.columns.iter().filter(|column| is_asked(&column.name)) {
            let name = column.name.as_str().into();
            columns.push(match &column.values {
                Values::Words(_) => {
                    let words: Vec<Option<&str>> = (0..self.people.len()).map(|row| column.values.text(row)).collect();
                    polars::prelude::Column::new(name, words)
                }
                Values::Text(values) => polars::prelude::Column::new(
                    name,
                    values.iter().map(Option::as_deref).collect::<Vec<Option<&str>>>(),
                ),
                Values::Whole(values) => polars::prelude::Column::new(name, values),
                Values::Decimal(values) => polars::prelude::Column::new(name, values),
            });
        }
        Ok(DataFrame::new(self.people.len(), columns)?)
    }

    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }
}

impl Values {
    /// The text of a row; `None` where there is none, or the column holds numbers.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Values::Text(values) => values[row].as_deref(),
            Values::Words(words) => words.of(row as u32),
            Values::Whole(_) | Values::Decimal(_) => None,
        }
    }

    /// A cell as it stands in a list.
    pub fn cell(&self, row: usize) -> String {
        match self {
            Values::Text(_) | Values::Words(_) => self.text(row).unwrap_or_default().to_owned(),
            Values::Whole(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
            Values::Decimal(values) => values[row].map(|value| format!("{value:.4}")).unwrap_or_default(),
        }
    }
}
