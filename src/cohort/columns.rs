//! The published columns: one row per registered person, as cohort rules and `scores.parquet` see them.

use anyhow::Result;
use polars::prelude::{Column, DataFrame};

use crate::ingest::register::Practices;
use crate::model::{Kind, Model, Sex};
use crate::person::{Spine, Standing};
use crate::score::fidelity::{Availability, Grade};
use crate::score::people::Scores;
use crate::score::published;
use crate::strata::Strata;

/// One column of what a run publishes about people.
#[derive(Debug, Clone)]
pub enum Values {
    Text(Vec<Option<String>>),
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
    let people: Vec<u32> = scores
        .standings
        .iter()
        .enumerate()
        .filter(|(_, standing)| registered(standing))
        .map(|(person, _)| person as u32)
        .collect();
    let mut columns = Vec::new();
    let mut text = |name: &str, value: &dyn Fn(u32) -> Option<String>| {
        columns.push(PublishedColumn {
            name: name.to_owned(),
            values: Values::Text(people.iter().map(|&person| value(person)).collect()),
        });
    };
    let practice = |person: u32| match scores.standings[person as usize] {
        Standing::Registered { practice, .. } => Some(spine.practices[practice as usize].as_str()),
        _ => None,
    };
    text("person", &|person| Some(spine.ids[person as usize].0.to_string()));
    text("practice", &|person| practice(person).map(str::to_owned));
    for name in &practices.columns {
        text(name, &|person| practices.value(practice(person)?, name).map(str::to_owned));
    }
    text("area", &|person| spine.areas.of(person).map(str::to_owned));
    text("sex", &|person| {
        spine.sexes[person as usize].map(|sex| if sex == Sex::Male { "male".to_owned() } else { "female".to_owned() })
    });
    for (name, words) in &spine.words {
        text(name, &|person| words.of(person).map(str::to_owned));
    }
    let age = |person: u32| spine.births[person as usize].map(|birth| i64::from(birth.age_years_on(scores.as_of)));
    columns.push(PublishedColumn {
        name: "age_years".to_owned(),
        values: Values::Whole(people.iter().map(|&person| age(person)).collect()),
    });
    for (name, numbers) in &spine.numbers {
        columns.push(PublishedColumn {
            name: name.clone(),
            values: thousandths(people.iter().map(|&person| numbers[person as usize])),
        });
    }
    for (number, model) in models.iter().enumerate() {
        model_columns(model, scores, number, &strata[number], availability, &people, &mut columns);
    }
    Published { people, columns }
}

/// Whole numbers where all of them are whole, else decimals.
fn thousandths(numbers: impl Iterator<Item = i32> + Clone) -> Values {
    let known = |number: i32| (number != i32::MIN).then_some(number);
    if numbers.clone().filter_map(known).all(|number| number % 1_000 == 0) {
        return Values::Whole(numbers.map(|number| known(number).map(|number| i64::from(number / 1_000))).collect());
    }
    Values::Decimal(numbers.map(|number| known(number).map(|number| f64::from(number) / 1e3)).collect())
}

fn model_columns(
    model: &Model,
    scores: &Scores,
    number: usize,
    strata: &Strata,
    availability: &Availability,
    people: &[u32],
    columns: &mut Vec<PublishedColumn>,
) {
    let of = &scores.models[number];
    if model.kind == Kind::Facts {
        for (term, facts) in model.terms.iter().zip(&of.facts) {
            let values = thousandths(people.iter().map(|&person| facts[person as usize]));
            columns.push(PublishedColumn { name: term.name.clone(), values });
        }
        return;
    }
    let lp = |person: u32| of.linear_predictors[person as usize].ok();
    let bands = model.bands.names();
    let score = people.iter().map(|&person| lp(person).map(|lp| published(model, lp))).collect();
    let predictor = people.iter().map(|&person| lp(person).map(|lp| lp.0)).collect();
    let rank = people.iter().map(|&person| strata.ranks[person as usize].map(i64::from)).collect();
    let band = people
        .iter()
        .map(|&person| strata.bands[person as usize].map(|band| bands[usize::from(band)].to_owned()))
        .collect();
    let mut push =
        |suffix: &str, values| columns.push(PublishedColumn { name: format!("{}{suffix}", model.id), values });
    push("", Values::Decimal(score));
    push("_linear_predictor", Values::Whole(predictor));
    push("_rank", Values::Whole(rank));
    if !bands.is_empty() {
        push("_band", Values::Text(band));
    }
    let unavailable = |person: u32| match scores.standings[person as usize] {
        Standing::Registered { practice, .. } if lp(person).is_some() => {
            Some(availability.unavailable(number, practice))
        }
        _ => None,
    };
    let grade = |person: u32| Some(Grade::of(unavailable(person)?.into(), model.terms.len()).name().to_owned());
    let observed = |person: u32| unavailable(person).map(|_| i64::from(of.observed[person as usize]));
    push("_fidelity", Values::Text(people.iter().map(|&person| grade(person)).collect()));
    push("_terms_observed", Values::Whole(people.iter().map(|&person| observed(person)).collect()));
    push(
        "_terms_unavailable",
        Values::Whole(people.iter().map(|&person| unavailable(person).map(i64::from)).collect()),
    );
}

impl Published {
    /// A table that SQL runs over: the number of each row, and the columns that `is_asked` for.
    pub fn table(&self, is_asked: impl Fn(&str) -> bool) -> Result<DataFrame> {
        let mut columns: Vec<Column> = Vec::with_capacity(self.columns.len() + 1);
        columns.push(Column::new(super::ROW.into(), (0..self.people.len() as u32).collect::<Vec<u32>>()));
        for column in self.columns.iter().filter(|column| is_asked(&column.name)) {
            let name = column.name.as_str().into();
            columns.push(match &column.values {
                Values::Text(values) => {
                    Column::new(name, values.iter().map(Option::as_deref).collect::<Vec<Option<&str>>>())
                }
                Values::Whole(values) => Column::new(name, values),
                Values::Decimal(values) => Column::new(name, values),
            });
        }
        Ok(DataFrame::new(self.people.len(), columns)?)
    }

    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }
}

impl Values {
    /// A cell as it stands in a list.
    pub fn cell(&self, row: usize) -> String {
        match self {
            Values::Text(values) => values[row].clone().unwrap_or_default(),
            Values::Whole(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
            Values::Decimal(values) => values[row].map(|value| format!("{value:.4}")).unwrap_or_default(),
        }
    }
}
