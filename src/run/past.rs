//! Scores of earlier months for the cohorts that ask about them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::memory::dates_at_once;
use super::{Dates, Loaded, Prepared, Scored};
use crate::cohort::columns::{NO_NUMBER, PublishedColumn};
use crate::cohort::history::{self, BILLION};
use crate::day::Day;
use crate::model::{Kind, Model};
use crate::person::Standing;
use crate::score::predictor::Predictor;
use crate::score::published;

/// A person's score of one day in billionths, and how many of its terms were unavailable.
type ScoreThen = Option<(i64, u16)>;

/// One model's scores of one day, a person of the spine each.
type ScoresThen = Vec<ScoreThen>;

/// Scores of earlier days, kept as long as a later as-of day of the run may look at them.
pub(super) struct Past<'a> {
    prepared: &'a Prepared,
    loaded: &'a Loaded,
    /// By day and model.
    known: BTreeMap<(Day, usize), ScoresThen>,
}

impl Prepared {
    /// The models whose history some cohort looks at, each with the months that it goes back.
    pub(super) fn histories(&self) -> BTreeMap<usize, usize> {
        let mut histories: BTreeMap<usize, usize> = BTreeMap::new();
        for history in self.cohorts.iter().filter_map(|cohort| cohort.history.as_ref()) {
            if let Some(number) = self.models.iter().position(|model| model.id == history.model) {
                let back = histories.entry(number).or_default();
                *back = (*back).max(history.back as usize);
            }
        }
        histories
    }
}

impl<'a> Past<'a> {
    pub fn new(prepared: &'a Prepared, loaded: &'a Loaded) -> Past<'a> {
        Past { prepared, loaded, known: BTreeMap::new() }
    }

    /// The days before this one that are still to be scored for it.
    pub fn missing(&self, as_of: Day) -> Vec<Day> {
        let is_known = |day: &Day| self.known.keys().any(|(known, _)| known == day);
        self.days(as_of).into_iter().filter(|day| !is_known(day)).collect()
    }

    fn days(&self, as_of: Day) -> Vec<Day> {
        let back = self.prepared.histories().into_values().max().unwrap_or(0);
        (1..=back as u32).map(|months| as_of.months_before(months)).collect()
    }

    /// Takes what a day came to, and scores the days before it that are not known yet; forgets older ones.
    ///
    /// # Errors
    /// Timelines on disk that cannot be read.
    pub fn take(&mut self, scored: &Scored, advance: &(dyn Fn(u64) + Sync)) -> Result<()> {
        let as_of = scored.scores.as_of;
        let days = self.days(as_of);
        let Some(&oldest) = days.last() else { return Ok(()) };
        self.known.retain(|(day, _), _| *day >= oldest);
        self.insert(scored);
        let mut missing = self.missing(as_of);
        missing.sort_unstable();
        if missing.is_empty() {
            return Ok(());
        }
        let at_once = dates_at_once(self.prepared, self.loaded);
        let mut dates = Dates::new(self.prepared, self.loaded, &missing, at_once)?;
        for number in 0..missing.len() {
            let then = dates.score(number, advance)?;
            self.insert(&then);
            dates.take_back(then);
        }
        Ok(())
    }

    fn insert(&mut self, scored: &Scored) {
        for number in self.prepared.histories().into_keys() {
            let model = &self.prepared.models[number];
            let of = &scored.scores.models[number].linear_predictors;
            let score = |(standing, lp): (&Standing, &Predictor)| match (standing, lp.get()) {
                (Standing::Registered { practice, .. }, Ok(lp)) => {
                    Some((billionths(model, lp), scored.availability.unavailable(number, *practice)))
                }
                _ => None,
            };
            let then = scored.scores.standings.iter().zip(of).map(score).collect();
            self.known.insert((scored.scores.as_of, number), then);
        }
    }

    /// The columns about earlier months of everybody who is published.
    ///
    /// # Boundaries
    /// A score that saw more or less than that of the as-of day (other terms were unavailable) is not compared with it:
    /// it is missing, for what a feed brings with it is no change in risk.
    pub fn columns<'c>(&self, as_of: Day) -> Vec<PublishedColumn<'c>> {
        let mut columns = Vec::new();
        for (number, back) in self.prepared.histories() {
            let model = &self.prepared.models[number];
            let now = &self.known[&(as_of, number)];
            let of_day = |day: Day| -> history::Scores {
                let comparable = |(then, now): (&ScoreThen, &ScoreThen)| match (then, now) {
                    (Some((score, of_then)), Some((_, of_now))) if of_then == of_now => *score,
                    _ => NO_NUMBER,
                };
                self.known[&(day, number)].iter().zip(now).map(comparable).collect()
            };
            let mut by_month = vec![of_day(as_of)];
            by_month.extend((1..=back as u32).map(|months| of_day(as_of.months_before(months))));
            columns.extend(history::columns(&model.id, model.kind == Kind::Logistic, by_month));
        }
        columns
    }
}

fn billionths(model: &Model, linear_predictor: crate::number::Nano) -> i64 {
    (published(model, linear_predictor) * BILLION as f64).round() as i64
}
