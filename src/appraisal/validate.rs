//! One model held against what came: discrimination, calibration, what lists of several sizes would have caught, for
//! everybody and for groups of people.

use anyhow::Result;
use rayon::prelude::*;

use super::groups::{Grouping, groupings};
use crate::estimate::calibration::{self, ObservedExpected};
use crate::estimate::decision::{Cut, Found, Ranking, found_at, net_benefit_of_all};
use crate::estimate::discrimination::{RocPoint, auc, roc};
use crate::estimate::interval::Estimate;
use crate::estimate::resample::{GROUPS, Resampled, Sample, resampled};
use crate::model::{Kind, Model};
use crate::output::disclosure;
use crate::output::figures::{Figure, Value};
use crate::run::{BackCast, Cast, PastDay};

/// What is asked of a validation besides the model and the day.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Who is on the list whose error rates are given by group.
    pub list: Cut,
    pub repeats: usize,
    pub seed: u64,
    /// What an outcome's admission costs, in pounds; costs are left out where nobody says.
    pub admission_cost: Option<f64>,
}

/// Risk thresholds of the decision curve.
pub const THRESHOLDS: [f64; 12] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

const NO_PROBABILITY: &str = "the score is no probability";
const ONE_CLASS: &str = "nobody has the outcome, or everybody has it";

/// People of whom it is known what came, as the estimators see them.
#[derive(Debug, Clone)]
pub struct People {
    pub scores: Vec<i64>,
    pub linear_predictors: Vec<f64>,
    /// Empty where the score is no probability.
    pub probabilities: Vec<f64>,
    pub events: Vec<bool>,
    pub days: Vec<u32>,
    /// Events of the outcome's kind, all told.
    pub admissions: Vec<u16>,
}

impl People {
    pub fn new(model: &Model, cast: &Cast) -> People {
        let probability = |lp: &crate::number::Nano| crate::score::published(model, *lp);
        let is_probability = model.kind == Kind::Logistic;
        People {
            scores: cast.scores(),
            linear_predictors: cast.linear_predictors.iter().map(|lp| lp.to_f64()).collect(),
            probabilities: match is_probability {
                true => cast.linear_predictors.par_iter().map(probability).collect(),
                false => Vec::new(),
            },
            events: cast.events(),
            days: cast.outcomes.iter().map(|outcome| outcome.bed_days).collect(),
            admissions: cast.outcomes.iter().map(|outcome| outcome.events).collect(),
        }
    }

    /// Some of them.
    pub fn only(&self, rows: &[u32]) -> People {
        fn of<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|&row| values.get(row as usize).copied()).collect()
        }
        People {
            scores: of(&self.scores, rows),
            linear_predictors: of(&self.linear_predictors, rows),
            probabilities: of(&self.probabilities, rows),
            events: of(&self.events, rows),
            days: of(&self.days, rows),
            admissions: of(&self.admissions, rows),
        }
    }

    pub fn with_outcome(&self) -> u64 {
        self.events.iter().filter(|event| **event).count() as u64
    }

    fn observed_expected(&self, rows: impl Iterator<Item = usize>) -> ObservedExpected {
        ObservedExpected::of(rows.map(|row| (self.probabilities[row], self.events[row])))
    }
}

/// The figures of one model at one day.
#[derive(Debug, Clone)]
pub struct Validation {
    pub figures: Vec<Figure>,
    pub roc: Vec<RocPoint>,
    pub people: u64,
    pub events: u64,
}

/// The figures of a model at one day, for everybody and by group.
pub fn validate(back_cast: &BackCast, day: &PastDay, model: usize, options: &Options) -> Validation {
    let cast = day.cast(model);
    let of = &back_cast.prepared.models[model];
    let people = People::new(of, &cast);
    let ranking = Ranking::new(&people.scores);
    let mut making = Making { figures: Vec::new(), people: &people, ranking: &ranking, options };
    making.counts(&cast);
    making.resampled();
    making.discrimination();
    making.calibration();
    making.by_band(of, day, model, &cast);
    making.cuts();
    let flagged = making.flagged();
    let everybody = whole(&people, &flagged);
    making.figures.extend(lines("all", "everybody", &everybody, None));
    let mut figures = making.figures;
    for grouping in groupings(back_cast, day, model, &cast) {
        figures.extend(by_level(&grouping, &people, &flagged, &everybody));
    }
    let (all, events) = (people.events.len() as u64, people.with_outcome());
    // Few steps where there are few people: each point of the curve is made of many.
    let roc = roc(&people.scores, &people.events, (all / 100).clamp(2, 200) as usize);
    Validation { figures, roc, people: all, events }
}

struct Making<'a> {
    figures: Vec<Figure>,
    people: &'a People,
    ranking: &'a Ranking,
    options: &'a Options,
}

/// A figure that everybody is behind.
pub fn figure(table: &'static str, at: impl Into<String>, name: &'static str, value: Value) -> Figure {
    let (group, level) = ("all".to_owned(), "everybody".to_owned());
    Figure { group, level, table, at: at.into(), name, value, is_apart: false }
}

impl Making<'_> {
    fn push(&mut self, table: &'static str, at: impl Into<String>, name: &'static str, value: Value) {
        self.figures.push(figure(table, at, name, value));
    }

    fn events_and_others(&self) -> (u64, u64) {
        let events = self.people.with_outcome();
        (events, self.people.events.len() as u64 - events)
    }

    /// A figure that everybody is behind.
    fn estimate(&self, estimate: Option<Estimate>, otherwise: &str) -> Value {
        let (events, others) = self.events_and_others();
        Value::estimate(estimate, events, others, otherwise)
    }

    fn is_probability(&self) -> bool {
        !self.people.probabilities.is_empty()
    }

    fn counts(&mut self, cast: &Cast) {
        let (events, others) = self.events_and_others();
        self.push("counts", "", "people", Value::Count(events + others));
        self.push("counts", "", "people with the outcome", Value::Count(events));
        self.push("counts", "", "share with the outcome", Value::Share { part: events, whole: events + others });
        for (reason, people) in &cast.left_out {
            self.push("left out", *reason, "people", Value::Count(*people));
        }
    }

    /// The figures without a closed-form interval.
    fn resampled(&mut self) {
        let (events, others) = self.events_and_others();
        let people = self.people;
        if events == 0 || others == 0 {
            self.push("discrimination", "", "average precision", Value::None(ONE_CLASS.to_owned()));
            return;
        }
        let sample = Sample {
            scores: &people.scores,
            probabilities: &people.probabilities,
            events: &people.events,
            days: &people.days,
        };
        let cuts = self.cuts_that_fit();
        let thresholds: &[f64] = if self.is_probability() { &THRESHOLDS } else { &[] };
        let Options { repeats, seed, .. } = *self.options;
        let got: Resampled = resampled(sample, self.ranking, &cuts, thresholds, repeats, seed);
        self.push("discrimination", "", "average precision", self.estimate(Some(got.average_precision), ""));
        for (name, value) in [
            ("Brier score", got.brier),
            ("scaled Brier score", got.scaled_brier),
            ("expected calibration error", got.calibration_error),
        ] {
            self.push("calibration", "", name, self.estimate(value, NO_PROBABILITY));
        }
        let share = events as f64 / (events + others) as f64;
        for (threshold, net_benefit) in thresholds.iter().zip(got.net_benefit) {
            let at = format!("risk {} %", (threshold * 100.0).round());
            let all = Estimate::alone(net_benefit_of_all(share, *threshold));
            self.push("net benefit", at.clone(), "of the score", self.estimate(Some(net_benefit), ""));
            self.push("net benefit", at, "of flagging everybody", self.estimate(Some(all), ""));
        }
        for (cut, days) in cuts.iter().zip(got.days_per_flagged) {
            let found = found_at(*cut, self.ranking, &people.probabilities, &people.events).expect("the cut fits");
            if found.flagged == 0 {
                continue;
            }
            let value = Value::Estimate { estimate: days, events: found.found, others: found.flagged - found.found };
            self.push("list", cut.to_string(), "bed days a flagged person", value);
            if let Some(cost) = self.options.admission_cost {
                let admissions: u64 = self.ranking.order[..found.flagged as usize]
                    .iter()
                    .map(|&row| u64::from(people.admissions[row as usize]))
                    .sum();
                let pounds = Estimate::alone(admissions as f64 * cost / found.flagged as f64);
                let value =
                    Value::Estimate { estimate: pounds, events: found.found, others: found.flagged - found.found };
                self.push("list", cut.to_string(), "pounds of such admissions a flagged person", value);
            }
        }
    }

    fn cuts_that_fit(&self) -> Vec<Cut> {
        let fits = |cut: &Cut| match cut {
            Cut::Threshold(_) => self.is_probability(),
            _ => cut.flagged(self.ranking, &self.people.probabilities).is_some(),
        };
        Cut::KINGS_FUND.into_iter().filter(fits).collect()
    }

    fn discrimination(&mut self) {
        let auc = auc(&self.people.scores, &self.people.events).map(|auc| auc.estimate);
        self.push("discrimination", "", "AUC", self.estimate(auc, ONE_CLASS));
    }

    fn calibration(&mut self) {
        if !self.is_probability() {
            self.push("calibration", "", "slope", Value::None(NO_PROBABILITY.to_owned()));
            return;
        }
        let people = self.people;
        let all = people.observed_expected(0..people.events.len());
        let mean = Estimate::alone(all.expected / all.people as f64);
        self.push("calibration", "", "mean predicted risk", self.estimate(Some(mean), ""));
        self.push("calibration", "", "observed / expected", ratio(&all));
        match calibration::in_the_large(&people.linear_predictors, &people.events) {
            Ok(shift) => self.push("calibration", "", "in the large", self.estimate(Some(shift), "")),
            Err(why) => self.push("calibration", "", "in the large", Value::None(why.words().to_owned())),
        }
        match calibration::line(&people.linear_predictors, &people.events) {
            Ok(line) => {
                let intercept = Estimate::normal(line.intercept, line.intercept_error);
                let slope = Estimate::normal(line.slope, line.slope_error);
                self.push("calibration", "", "intercept", self.estimate(Some(intercept), ""));
                self.push("calibration", "", "slope", self.estimate(Some(slope), ""));
            }
            Err(why) => self.push("calibration", "", "slope", Value::None(why.words().to_owned())),
        }
        for part in 0..GROUPS {
            let rows = self.ranking.part(part, GROUPS);
            let group = people.observed_expected(rows.iter().map(|&row| row as usize));
            if group.people > 0 {
                self.part("twentieths", (part + 1).to_string(), &group);
            }
        }
    }

    fn part(&mut self, table: &'static str, at: String, group: &ObservedExpected) {
        let mean = Estimate::alone(group.expected / group.people as f64);
        let mean = Value::Estimate { estimate: mean, events: 0, others: group.people };
        let observed = Value::Share { part: group.observed, whole: group.people };
        self.push(table, at.clone(), "people", Value::Count(group.people));
        self.push(table, at.clone(), "people with the outcome", Value::Count(group.observed));
        self.push(table, at.clone(), "mean predicted risk", mean);
        self.push(table, at.clone(), "share with the outcome", observed);
        self.push(table, at, "observed / expected", ratio(group));
    }

    /// Bands as the run gave them, by share of the whole ranking; those left out are in the ranking too.
    fn by_band(&mut self, of: &Model, day: &PastDay, model: usize, cast: &Cast) {
        for (place, name) in of.bands.names().into_iter().enumerate() {
            let in_band = |person: u32| day.scored.strata[model].bands[person as usize] == Some(place as u8);
            let rows: Vec<usize> = (0..cast.people.len()).filter(|&row| in_band(cast.people[row])).collect();
            let observed = rows.iter().filter(|&&row| self.people.events[row]).count() as u64;
            if rows.is_empty() {
                self.push("bands", name, "people", Value::Count(0));
            } else if self.is_probability() {
                let group = self.people.observed_expected(rows.iter().copied());
                self.part("bands", name.to_owned(), &group);
            } else {
                let whole = rows.len() as u64;
                self.push("bands", name, "people", Value::Count(whole));
                self.push("bands", name, "share with the outcome", Value::Share { part: observed, whole });
            }
        }
    }

    /// The King's Fund's tables: what the list of each size, or everybody over each risk, would have caught.
    fn cuts(&mut self) {
        for cut in Cut::KINGS_FUND {
            let at = cut.to_string();
            let found = match cut {
                Cut::Threshold(_) if !self.is_probability() => None,
                _ => found_at(cut, self.ranking, &self.people.probabilities, &self.people.events),
            };
            match (found, cut) {
                (Some(found), _) => self.figures.extend(list_lines("list", &at, &found)),
                (None, Cut::Top(_)) => {
                    self.push("list", at, "flagged", Value::None("fewer people than that have a score".to_owned()));
                }
                (None, _) => self.push("list", at, "flagged", Value::None(NO_PROBABILITY.to_owned())),
            }
        }
    }

    /// Who is on the list whose error rates are given by group.
    fn flagged(&self) -> Vec<bool> {
        let on_list =
            self.options.list.flagged(self.ranking, &self.people.probabilities).unwrap_or(self.ranking.people());
        let mut flagged = vec![false; self.ranking.people()];
        self.ranking.order[..on_list].iter().for_each(|&row| flagged[row as usize] = true);
        flagged
    }
}

fn ratio(group: &ObservedExpected) -> Value {
    Value::Ratio { observed: group.observed, people: group.people, expected: group.expected }
}

fn list_lines(table: &'static str, at: &str, found: &Found) -> Vec<Figure> {
    let without = found.people - found.events;
    let in_vain = found.flagged - found.found;
    [
        ("flagged", Value::Count(found.flagged)),
        ("found", Value::Count(found.found)),
        ("PPV", Value::Share { part: found.found, whole: found.flagged }),
        ("sensitivity", Value::Share { part: found.found, whole: found.events }),
        ("specificity", Value::Share { part: without - in_vain, whole: without }),
        ("people to flag for one found", Value::PerOne { part: found.found, whole: found.flagged }),
    ]
    .map(|(name, value)| figure(table, at, name, value))
    .into()
}

/// The figures that are given for every group, in order.
type Whole = Vec<(&'static str, Value)>;

fn whole(people: &People, flagged: &[bool]) -> Whole {
    let (events, all) = (people.with_outcome(), people.events.len() as u64);
    let others = all - events;
    let of = |estimate: Option<Estimate>, why: &str| Value::estimate(estimate, events, others, why);
    let found = Found::of(flagged.iter().copied().zip(people.events.iter().copied()));
    let in_vain = found.flagged - found.found;
    let mut figures: Whole = vec![
        ("people", Value::Count(all)),
        ("people with the outcome", Value::Count(events)),
        ("share with the outcome", Value::Share { part: events, whole: all }),
        ("AUC", of(auc(&people.scores, &people.events).map(|auc| auc.estimate), ONE_CLASS)),
    ];
    if !people.probabilities.is_empty() {
        let large = calibration::in_the_large(&people.linear_predictors, &people.events);
        let line = calibration::line(&people.linear_predictors, &people.events);
        figures.push(("observed / expected", ratio(&people.observed_expected(0..people.events.len()))));
        figures.push(("in the large", large.map_or_else(|why| of(None, why.words()), |shift| of(Some(shift), ""))));
        let slope = line.map(|line| Estimate::normal(line.slope, line.slope_error));
        figures.push(("slope", slope.map_or_else(|why| of(None, why.words()), |slope| of(Some(slope), ""))));
    }
    figures.extend([
        ("on the list", Value::Count(found.flagged)),
        ("PPV of the list", Value::Share { part: found.found, whole: found.flagged }),
        ("sensitivity of the list", Value::Share { part: found.found, whole: events }),
        ("false negative rate of the list", Value::Share { part: events - found.found, whole: events }),
        ("false positive rate of the list", Value::Share { part: in_vain, whole: others }),
    ]);
    figures
}

fn lines(group: &str, level: &str, figures: &Whole, everybody: Option<&Whole>) -> Vec<Figure> {
    let line = |(number, (name, value)): (usize, &(&'static str, Value))| Figure {
        group: group.to_owned(),
        level: level.to_owned(),
        table: "groups",
        at: String::new(),
        name,
        is_apart: everybody.is_some_and(|everybody| is_apart(value, &everybody[number].1)),
        value: value.clone(),
    };
    figures.iter().enumerate().map(line).collect()
}

/// Whether two figures have intervals, as they are shown, that share no value.
fn is_apart(one: &Value, other: &Value) -> bool {
    match (one.shown(), other.shown()) {
        (Some(one), Some(other)) => one.is_apart_from(&other),
        _ => false,
    }
}

fn by_level(grouping: &Grouping, people: &People, flagged: &[bool], everybody: &Whole) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (place, level) in grouping.levels.iter().enumerate() {
        let rows: Vec<u32> =
            (0..grouping.of.len() as u32).filter(|&row| usize::from(grouping.of[row as usize]) == place).collect();
        let flagged: Vec<bool> = rows.iter().map(|&row| flagged[row as usize]).collect();
        figures.extend(lines(grouping.name, level, &whole(&people.only(&rows), &flagged), Some(everybody)));
    }
    figures
}

/// Why a model at a day cannot be held against what came at all.
///
/// # Errors
/// Nobody scored, nobody with the outcome, everybody with it.
pub fn check_classes(model: &str, day: &PastDay, cast: &Cast) -> Result<()> {
    let (people, events) = (cast.people.len(), cast.outcomes.iter().filter(|outcome| outcome.event).count());
    let as_of = day.as_of;
    let left_out = disclosure::count(cast.left_out.values().sum());
    let shown = disclosure::count(people as u64);
    match events {
        _ if people == 0 => anyhow::bail!(
            "as of {as_of} nobody has both a score of \"{model}\" and a known outcome; {left_out} with a score are left out"
        ),
        0 => anyhow::bail!(
            "as of {as_of} none of the {shown} people with a score of \"{model}\" has the outcome; there is nothing to hold it against. Is the feed of the outcome whole after that day?"
        ),
        _ if events == people => anyhow::bail!(
            "as of {as_of} all {shown} people with a score of \"{model}\" have the outcome; there is nobody to tell them from"
        ),
        _ => Ok(()),
    }
}
