//! The published columns: one row per registered person, as cohort rules and `scores.parquet` see them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::ingest::register::Practices;
use crate::model::{Model, Sex, Term};
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
    /// Who has a value, and is asked for; `None` where the source says of everybody whether there is one.
    pub present: Option<Arc<Present<'a>>>,
    values: Arc<OnceLock<Values>>,
}

/// Those of the published people who have a score, as all columns of a model hold them.
pub struct Present<'a> {
    strata: &'a Strata,
    /// A bit a row, the lowest of a number first; `None` where everybody has one.
    rows: Option<Vec<u64>>,
}

impl<'a> Present<'a> {
    /// `people` are all who are published.
    pub fn new(strata: &'a Strata, people: &[u32]) -> Present<'a> {
        let rows = (strata.scored.len() < people.len()).then(|| {
            let mut rows = Vec::new();
            put_bits(people, |person| strata.ranks[*person as usize].is_some(), &mut rows);
            rows
        });
        Present { strata, rows }
    }

    /// Who has a value in some rows of all these people, and a bit a row, of which the first begins a number; `None`
    /// where everybody has one.
    pub fn of_rows(&self, people: &[u32], rows: Range<usize>) -> (&'a [u32], Option<&[u64]>) {
        assert!(rows.start.is_multiple_of(BITS) && !rows.is_empty(), "rows begin where a number of bits does");
        let (first, last) = (people[rows.start], people[rows.end - 1]);
        let scored = self.strata.scored_among(first as usize..last as usize + 1);
        let bits = self.rows.as_ref().map(|bits| &bits[rows.start / BITS..rows.end.div_ceil(BITS)]);
        (scored, bits)
    }

    fn has(&self, person: u32) -> bool {
        self.strata.ranks[person as usize].is_some()
    }
}

const BITS: usize = u64::BITS as usize;

/// A bit for each that there is something of, the lowest of a number first.
pub fn put_bits<T>(all: &[T], is_some: impl Fn(&T) -> bool, bits: &mut Vec<u64>) {
    let word = |some: &[T]| some.iter().zip(0..).fold(0, |word, (one, row)| word | u64::from(is_some(one)) << row);
    let (whole, rest) = all.as_chunks::<64>();
    bits.clear();
    bits.extend(whole.iter().map(|some| word(some)));
    if !rest.is_empty() {
        bits.push(word(rest));
    }
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
    /// Things of which there are few, and the place of each person's among them: [`WordColumn::MISSING`] for none.
    Few(Few<'a>, Fill<'a, u32>),
    Whole(Numbers<'a>),
    /// A whole number and the decimal that it stands for.
    Decimal(Numbers<'a>, Box<dyn Fn(i64) -> f64 + Send + Sync + 'a>),
    /// Laid out already.
    Made(Values),
}

/// Things of which there are few, each once.
pub enum Few<'a> {
    Words(Vec<&'a str>),
    Whole(Vec<i64>),
    Decimal(Vec<f64>),
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
    let mut people = Vec::with_capacity(scores.standings.len());
    let registered = (0..).zip(&scores.standings).filter(|(_, standing)| standing.is_registered());
    people.extend(registered.map(|(person, _)| person));
    let making = Making { spine, practices, scores, availability };
    let present =
        |(model, strata): (&Model, &'a Strata)| model.is_scored().then(|| Arc::new(Present::new(strata, &people)));
    let presents: Vec<Option<Arc<Present>>> = models.par_iter().zip(strata).map(present).collect();
    let mut columns = making.about_people();
    for ((number, model), present) in models.iter().enumerate().zip(&presents) {
        match present {
            None => columns.extend(making.facts(number, model)),
            Some(present) => columns.extend(making.scores(number, model, present)),
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
        PublishedColumn { name: name.to_owned(), source: Arc::new(source), present: None, values: Arc::default() }
    }

    /// The column of those who are present alone.
    pub fn of(self, present: &Arc<Present<'a>>) -> PublishedColumn<'a> {
        PublishedColumn { present: Some(present.clone()), ..self }
    }

    /// A column whose values are there.
    pub fn given(name: impl Into<String>, values: Values) -> PublishedColumn<'a> {
        let source = Arc::new(Source::Made(values));
        PublishedColumn { name: name.into(), source, present: None, values: Arc::default() }
    }

    /// The values of these people, who are all that are published; laid out when they are first asked for.
    fn laid_out(&self, people: &[u32]) -> &Values {
        match &*self.source {
            Source::Made(values) => values,
            _ => self.values.get_or_init(|| self.values_of(people)),
        }
    }

    /// The values of these people; of a column that is laid out already they are its rows.
    fn values_of(&self, people: &[u32]) -> Values {
        match &*self.source {
            Source::Made(values) => values.picked(people),
            Source::Text(text) | Source::Ordered(text) => {
                Values::Text(people.iter().map(|&p| text(p).map(str::to_owned)).collect())
            }
            Source::Few(few, fill) => few.values(self.filled(fill, people, WordColumn::MISSING)),
            Source::Whole(numbers) => Values::Whole(self.known(numbers, people, |number| number)),
            Source::Decimal(numbers, decimal) => Values::Decimal(self.known(numbers, people, decimal)),
        }
    }

    fn known<T>(&self, numbers: &Numbers, people: &[u32], value: impl Fn(i64) -> T) -> Vec<Option<T>> {
        match numbers {
            Numbers::Wide(fill) => {
                let known = |number: i64| (number != NO_NUMBER).then(|| value(number));
                self.filled(fill, people, NO_NUMBER).into_iter().map(known).collect()
            }
            Numbers::Narrow(fill) => {
                let known = |number: i32| (number != NO_NARROW).then(|| value(number.into()));
                self.filled(fill, people, NO_NARROW).into_iter().map(known).collect()
            }
        }
    }

    /// What the column holds of these people, and `none` of those who are not present.
    fn filled<T: Copy>(&self, fill: &Fill<T>, people: &[u32], none: T) -> Vec<T> {
        let mut out = Vec::with_capacity(people.len());
        let Some(present) = &self.present else {
            fill(people, &mut out);
            return out;
        };
        let some: Vec<u32> = people.iter().copied().filter(|&person| present.has(person)).collect();
        fill(&some, &mut out);
        let mut filled = out.into_iter();
        let value = |&person: &u32| match present.has(person) {
            true => filled.next().expect("there is something of everybody who is present"),
            false => none,
        };
        people.iter().map(value).collect()
    }
}

impl Few<'_> {
    fn values(&self, places: Vec<u32>) -> Values {
        fn at<T: Copy>(few: &[T], places: &[u32]) -> Vec<Option<T>> {
            places.iter().map(|&place| few.get(place as usize).copied()).collect()
        }
        match self {
            Few::Words(words) => Values::Words(WordColumn::of_places(words, places)),
            Few::Whole(numbers) => Values::Whole(at(numbers, &places)),
            Few::Decimal(numbers) => Values::Decimal(at(numbers, &places)),
        }
    }
}

/// As many places as there are people; [`WordColumn::MISSING`] for none.
pub(crate) fn fill<'a, T: 'a>(value: impl Fn(u32) -> T + Send + Sync + 'a) -> Fill<'a, T> {
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
        PublishedColumn::new(name, Source::Few(Few::Words(words), fill(place)))
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

    fn scores(self, number: usize, model: &'a Model, present: &Arc<Present<'a>>) -> Vec<PublishedColumn<'a>> {
        let (of, strata) = (&self.scores.models[number], present.strata);
        let name = |suffix: &str| format!("{}{suffix}", model.id);
        let [score, linear_predictor] = self.score_and_linear_predictor(number, model, strata);
        let mut columns = vec![
            PublishedColumn::new(&name(""), score),
            PublishedColumn::new(&name("_linear_predictor"), linear_predictor),
            self.whole(&name("_rank"), move |person| {
                strata.ranks[person as usize].map_or(NO_NARROW, |rank| rank.get() as i32)
            }),
        ];
        if !model.bands.names().is_empty() {
            columns.push(self.words(&name("_band"), model.bands.names(), move |person| {
                strata.bands[person as usize].map(u32::from)
            }));
        }
        let practices = 0..self.spine.practices.len() as u32;
        let unavailable: Vec<u32> =
            practices.map(|practice| self.availability.unavailable(number, practice).into()).collect();
        let grade = |unavailable: &u32| Grade::of(*unavailable as usize, model.terms.len()) as u32;
        let grade_of: Vec<u32> = unavailable.iter().map(grade).collect();
        let practice = move |person: u32| Some(self.practice_number(person)? as usize);
        let grades = Grade::ALL.map(Grade::name).to_vec();
        columns.push(self.words(&name("_fidelity"), grades, move |person| Some(grade_of[practice(person)?])));
        let terms = || Few::Whole((0..=model.terms.len() as i64).collect());
        let observed = fill(move |person| of.observed[person as usize].into());
        columns.push(PublishedColumn::new(&name("_terms_observed"), Source::Few(terms(), observed)));
        let unavailable = fill(move |person| practice(person).map_or(WordColumn::MISSING, |of| unavailable[of]));
        columns.push(PublishedColumn::new(&name("_terms_unavailable"), Source::Few(terms(), unavailable)));
        columns.into_iter().map(|column| column.of(present)).collect()
    }

    fn score_and_linear_predictor(self, number: usize, model: &'a Model, strata: &'a Strata) -> [Source<'a>; 2] {
        let published = move |lp| published(model, lp);
        if let Some(steps) = &strata.steps {
            let place = move |person| steps.places[person as usize].into();
            let scores = steps.linear_predictors.iter().copied().map(published).collect();
            let linear_predictors = steps.linear_predictors.iter().map(|lp| lp.0).collect();
            return [
                Source::Few(Few::Decimal(scores), fill(place)),
                Source::Few(Few::Whole(linear_predictors), fill(place)),
            ];
        }
        let of = &self.scores.models[number];
        let lp = move |person: u32| of.linear_predictors[person as usize].get().map_or(NO_NUMBER, |lp| lp.0);
        let decimal = Box::new(move |lp| published(Nano(lp)));
        [Source::Decimal(Numbers::Wide(fill(lp)), decimal), Source::Whole(Numbers::Wide(fill(lp)))]
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
            _ => column.values_of(&rows.iter().map(|&row| self.people[row as usize]).collect::<Vec<u32>>()),
        })
    }

    pub fn named(&self, name: &str) -> Option<&PublishedColumn<'a>> {
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
