//! The published columns: one row per registered person, as cohort rules and `scores.parquet` see them.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use polars::prelude::DataFrame;

use crate::ingest::register::Practices;
use crate::model::{Kind, Model, Sex, Term};
use crate::number::Nano;
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

/// One column: how it is made, and its values once somebody asked for them. Copies are one column.
#[derive(Clone)]
pub struct PublishedColumn<'a> {
    pub name: String,
    pub source: Arc<Source<'a>>,
    values: Arc<OnceLock<Values>>,
}

/// A column that is not published, such as one of a cohort's own.
#[derive(Debug, Clone)]
pub struct Made {
    pub name: String,
    pub values: Values,
}

/// How a column is made of people, so that a file can be written without laying the values out first.
pub enum Source<'a> {
    Text(Text<'a>),
    /// Texts in the order of the people.
    Ordered(Text<'a>),
    /// Words of which there are few, and the place of each person's among them: [`WordColumn::MISSING`] for none.
    Words(Vec<&'a str>, Fill<'a, u32>),
    Whole(Numbers<'a>),
    /// A whole number and the decimal that it stands for.
    Decimal(Numbers<'a>, Box<dyn Fn(i64) -> f64 + Send + Sync + 'a>),
    /// Laid out already.
    Made(Values),
}

/// The text of a person.
pub type Text<'a> = Box<dyn Fn(u32) -> Option<&'a str> + Send + Sync + 'a>;

/// Adds something for each of these people.
pub type Fill<'a, T> = Box<dyn Fn(&[u32], &mut Vec<T>) + Send + Sync + 'a>;

/// Whole numbers, as narrow as they come: most of what is written of people is counts and flags.
pub enum Numbers<'a> {
    /// [`NO_NUMBER`] where there is none.
    Wide(Fill<'a, i64>),
    /// [`NO_NARROW`] where there is none.
    Narrow(Fill<'a, i32>),
}

/// What stands for no number.
pub const NO_NUMBER: i64 = i64::MIN;

/// What stands for no number that is kept in 32 bits.
pub const NO_NARROW: i32 = i32::MIN;

/// The people who are published, and their columns.
#[derive(Clone)]
pub struct Published<'a> {
    /// Their numbers on the spine, in order.
    pub people: Vec<u32>,
    pub columns: Vec<PublishedColumn<'a>>,
}

/// Columns of everybody who is registered on the as-of day.
pub fn published_columns<'a>(
    models: &'a [Model],
    spine: &'a Spine,
    practices: &'a Practices,
    scores: &'a Scores,
    strata: &'a [Strata],
    availability: &'a Availability,
) -> Published<'a> {
    let registered = |standing: &Standing| matches!(standing, Standing::Registered { .. });
    let standings = scores.standings.iter().enumerate().filter(|(_, standing)| registered(standing));
    let people: Vec<u32> = standings.map(|(person, _)| person as u32).collect();
    let making = Making { spine, practices, scores, availability };
    let mut columns = making.about_people();
    for (number, model) in models.iter().enumerate() {
        match model.kind {
            Kind::Facts => columns.extend(making.facts(number, model)),
            _ => columns.extend(making.scores(number, model, &strata[number])),
        }
    }
    Published { people, columns }
}

/// What columns are made from.
#[derive(Clone, Copy)]
struct Making<'a> {
    spine: &'a Spine,
    practices: &'a Practices,
    scores: &'a Scores,
    availability: &'a Availability,
}

impl<'a> PublishedColumn<'a> {
    pub fn new(name: &str, source: Source<'a>) -> PublishedColumn<'a> {
        PublishedColumn { name: name.to_owned(), source: Arc::new(source), values: Arc::default() }
    }

    /// A column whose values are there.
    pub fn given(name: impl Into<String>, values: Values) -> PublishedColumn<'a> {
        PublishedColumn { name: name.into(), source: Arc::new(Source::Made(values)), values: Arc::default() }
    }

    /// The values of these people, who are all that are published; laid out when they are first asked for.
    fn laid_out(&self, people: &[u32]) -> &Values {
        match &*self.source {
            Source::Made(values) => values,
            source => self.values.get_or_init(|| source.values(people)),
        }
    }
}

impl Source<'_> {
    /// The values of these people; of a column that is laid out already they are its rows.
    fn values(&self, people: &[u32]) -> Values {
        match self {
            Source::Made(values) => values.picked(people),
            Source::Text(text) | Source::Ordered(text) => {
                Values::Text(people.iter().map(|&p| text(p).map(str::to_owned)).collect())
            }
            Source::Words(words, fill) => Values::Words(WordColumn::of_places(words, filled(fill, people))),
            Source::Whole(numbers) => Values::Whole(numbers.known(people, |number| number)),
            Source::Decimal(numbers, decimal) => Values::Decimal(numbers.known(people, decimal)),
        }
    }
}

impl Numbers<'_> {
    fn known<T>(&self, people: &[u32], value: impl Fn(i64) -> T) -> Vec<Option<T>> {
        match self {
            Numbers::Wide(fill) => {
                filled(fill, people).into_iter().map(|number| (number != NO_NUMBER).then(|| value(number))).collect()
            }
            Numbers::Narrow(fill) => {
                let known = |number: i32| (number != NO_NARROW).then(|| value(number.into()));
                filled(fill, people).into_iter().map(known).collect()
            }
        }
    }
}

/// What a column holds of these people.
fn filled<T>(fill: &Fill<T>, people: &[u32]) -> Vec<T> {
    let mut out = Vec::with_capacity(people.len());
    fill(people, &mut out);
    out
}

/// As many places as there are people; [`WordColumn::MISSING`] for none.
pub(super) fn fill<'a, T: 'a>(value: impl Fn(u32) -> T + Send + Sync + 'a) -> Fill<'a, T> {
    Box::new(move |people, out| out.extend(people.iter().map(|&person| value(person))))
}

impl<'a> Making<'a> {
    /// `place` is that of a person's word among `words`.
    fn words(
        self,
        name: &str,
        words: Vec<&'a str>,
        place: impl Fn(u32) -> Option<u32> + Send + Sync + 'a,
    ) -> PublishedColumn<'a> {
        let place = move |person| place(person).unwrap_or(WordColumn::MISSING);
        PublishedColumn::new(name, Source::Words(words, fill(place)))
    }

    /// [`NO_NARROW`] where there is none.
    fn whole(self, name: &str, value: impl Fn(u32) -> i32 + Send + Sync + 'a) -> PublishedColumn<'a> {
        PublishedColumn::new(name, Source::Whole(Numbers::Narrow(fill(value))))
    }

    /// Numbers that are kept in thousandths.
    fn thousandths(self, name: &str, value: impl Fn(u32) -> i32 + Send + Sync + 'a) -> PublishedColumn<'a> {
        PublishedColumn::new(name, Source::Decimal(Numbers::Narrow(fill(value)), Box::new(from_thousandths)))
    }

    fn practice_number(self, person: u32) -> Option<u32> {
        match self.scores.standings[person as usize] {
            Standing::Registered { practice, .. } => Some(practice),
            _ => None,
        }
    }

    /// A column of the practices' table, for each person that of the practice.
    fn of_practice(self, name: &'a str) -> PublishedColumn<'a> {
        let of = |practice: &String| self.practices.value(practice, name);
        let column = WordColumn::new(self.spine.practices.iter().map(of));
        let mut words: Vec<&'a str> = self.spine.practices.iter().filter_map(of).collect();
        words.sort_unstable();
        words.dedup();
        self.words(name, words, move |person| Some(column.places[self.practice_number(person)? as usize]))
    }

    fn about_people(self) -> Vec<PublishedColumn<'a>> {
        let spine = self.spine;
        let all = |column: &'a WordColumn| column.words.iter().map(String::as_str).collect();
        let practices = spine.practices.iter().map(String::as_str).collect();
        let mut columns = vec![
            PublishedColumn::new(
                "person",
                Source::Ordered(Box::new(move |person| Some(&*spine.ids[person as usize].0))),
            ),
            self.words("practice", practices, move |person| self.practice_number(person)),
        ];
        columns.extend(self.practices.columns.iter().map(|name| self.of_practice(name)));
        columns.push(self.words("area", all(&spine.areas), move |person| Some(spine.areas.places[person as usize])));
        columns.push(self.words("sex", vec!["female", "male"], move |person| {
            Some(match spine.sexes[person as usize]? {
                Sex::Female => 0,
                Sex::Male => 1,
            })
        }));
        for (name, words) in &spine.words {
            columns.push(self.words(name, all(words), move |person| Some(words.places[person as usize])));
        }
        let month = self.scores.as_of.month();
        columns.push(self.whole("age_years", move |person| {
            spine.births[person as usize].map_or(NO_NARROW, |birth| birth.age_years_in(month))
        }));
        for (name, numbers) in &spine.numbers {
            columns.push(self.thousandths(name, move |person| numbers[person as usize]));
        }
        if let Some(deciles) = spine.numbers.get(DECILE) {
            columns.push(self.whole("deprivation_fifth", move |person| fifth(deciles[person as usize])));
        }
        columns
    }

    fn facts(self, number: usize, model: &'a Model) -> Vec<PublishedColumn<'a>> {
        let terms = model.terms.iter().zip(&self.scores.models[number].facts).zip(model.whole_terms());
        let column = move |((term, facts), is_whole): ((&'a Term, &'a Vec<i32>), bool)| match is_whole {
            true => self.whole(&term.name, move |person| whole(facts[person as usize])),
            false => self.thousandths(&term.name, move |person| facts[person as usize]),
        };
        terms.map(column).collect()
    }

    fn scores(self, number: usize, model: &'a Model, strata: &'a Strata) -> Vec<PublishedColumn<'a>> {
        let of = &self.scores.models[number];
        let lp = move |person: u32| of.linear_predictors[person as usize].map_or(NO_NUMBER, |lp| lp.0);
        let name = |suffix: &str| format!("{}{suffix}", model.id);
        // Whoever has a score has a rank.
        let rank = move |person: u32| strata.ranks[person as usize];
        let practices = 0..self.spine.practices.len() as u32;
        let unavailable: Vec<i32> =
            practices.map(|practice| self.availability.unavailable(number, practice).into()).collect();
        let grade = |unavailable: &i32| Grade::of(*unavailable as usize, model.terms.len()) as u32;
        let grade_of: Vec<u32> = unavailable.iter().map(grade).collect();
        let practice = move |person: u32| Some(self.practice_number(person)? as usize);
        let published = move |lp| published(model, Nano(lp));
        let mut columns = vec![
            PublishedColumn::new(&name(""), Source::Decimal(Numbers::Wide(fill(lp)), Box::new(published))),
            PublishedColumn::new(&name("_linear_predictor"), Source::Whole(Numbers::Wide(fill(lp)))),
            self.whole(&name("_rank"), move |person| rank(person).map_or(NO_NARROW, |rank| rank.get() as i32)),
        ];
        if !model.bands.names().is_empty() {
            columns.push(self.words(&name("_band"), model.bands.names(), move |person| {
                strata.bands[person as usize].map(u32::from)
            }));
        }
        let grades = Grade::ALL.map(Grade::name).to_vec();
        columns.push(self.words(&name("_fidelity"), grades, move |person| {
            rank(person)?;
            Some(grade_of[practice(person)?])
        }));
        columns.push(self.whole(&name("_terms_observed"), move |person| {
            rank(person).map_or(NO_NARROW, |_| of.observed[person as usize].into())
        }));
        columns.push(self.whole(&name("_terms_unavailable"), move |person| {
            let of = rank(person).and_then(|_| Some(unavailable[practice(person)?]));
            of.unwrap_or(NO_NARROW)
        }));
        columns
    }
}

/// The register's number that fifths are made of: 1 is the most deprived tenth of areas.
const DECILE: &str = "imd_decile";

/// The fifth of a tenth, both from the most deprived on; [`NO_NARROW`] for what is no tenth.
fn fifth(thousandths: i32) -> i32 {
    let decile = thousandths / 1_000;
    if thousandths % 1_000 == 0 && (1..=10).contains(&decile) { (decile + 1) / 2 } else { NO_NARROW }
}

/// A whole number that is kept in thousandths.
fn whole(thousandths: i32) -> i32 {
    if thousandths == NO_NARROW { NO_NARROW } else { thousandths / 1_000 }
}

fn from_thousandths(number: i64) -> f64 {
    number as f64 / 1e3
}

impl<'a> Published<'a> {
    /// A table that SQL runs over: the number of each row, and the columns that `is_asked` for.
    pub fn table(&self, is_asked: impl Fn(&str) -> bool) -> Result<DataFrame> {
        let mut columns: Vec<polars::prelude::Column> = Vec::with_capacity(self.columns.len() + 1);
        columns
            .push(polars::prelude::Column::new(super::ROW.into(), (0..self.people.len() as u32).collect::<Vec<u32>>()));
        for column in self.columns.iter().filter(|column| is_asked(&column.name)) {
            let name = column.name.as_str().into();
            let values = column.laid_out(&self.people);
            columns.push(match values {
                Values::Words(_) => {
                    let words: Vec<Option<&str>> = (0..self.people.len()).map(|row| values.text(row)).collect();
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
        self.named(name).map(|column| column.laid_out(&self.people))
    }

    /// The values of some rows alone, in the order of the rows, so that a list costs what its people cost.
    pub fn of_rows(&self, name: &str, rows: &[u32]) -> Option<Values> {
        let column = self.named(name)?;
        Some(match &*column.source {
            Source::Made(values) => values.picked(rows),
            source => source.values(&rows.iter().map(|&row| self.people[row as usize]).collect::<Vec<u32>>()),
        })
    }

    fn named(&self, name: &str) -> Option<&PublishedColumn<'a>> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Values {
    /// The values of some rows, in the order of the rows.
    pub fn picked(&self, rows: &[u32]) -> Values {
        fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize].clone()).collect()
        }
        match self {
            Values::Text(values) => Values::Text(pick(values, rows)),
            Values::Words(words) => Values::Words(words.picked(rows)),
            Values::Whole(values) => Values::Whole(pick(values, rows)),
            Values::Decimal(values) => Values::Decimal(pick(values, rows)),
        }
    }

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
