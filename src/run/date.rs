//! Everybody at as-of days: operations, coverage, scores, ranks and bands.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::{Loaded, Prepared};
use crate::day::Day;
use crate::ingest::coverage::Coverage;
use crate::measure::evaluate::Evaluator;
use crate::measure::plan::{Operations, Tables};
use crate::measure::rehospitalisation::{self, Admissions, Provider};
use crate::model::library::{Library, Table};
use crate::number::Micro;
use crate::score::fidelity::Availability;
use crate::score::people::{AsOf, Everybody, Scores};
use crate::strata::{Strata, strata};
use crate::timeline::Picked;

/// The library's tables and those that the run computed.
pub struct RunTables<'a> {
    pub library: &'a Library,
    /// Readmission ratios that the run worked out, by provider.
    pub ratios: BTreeMap<String, Micro>,
}

impl Tables for RunTables<'_> {
    fn value(&self, table: &str, code: &str) -> Option<Micro> {
        match self.library.table(table) {
            Some(table) => table.values.get(code).copied(),
            // A provider without discharges in the period has fewer expected than it takes to say anything but 1.
            None if table == Table::REHOSPITALISATION => Some(self.ratios.get(code).copied().unwrap_or(Micro::ONE)),
            None => None,
        }
    }
}

/// The operations of a run at one as-of day: tables that are computed change with it.
pub fn operations_at(prepared: &Prepared, loaded: &Loaded, as_of: Day) -> (Operations, BTreeMap<String, Provider>) {
    let Loaded { plan, people, linked } = loaded;
    let providers = match prepared.works_out_ratios() {
        true => rehospitalisation::providers(plan, &linked.concepts, &people.spine, &linked.timelines, as_of),
        false => BTreeMap::new(),
    };
    let ratios = providers.iter().map(|(code, provider)| (code.clone(), provider.ratio())).collect();
    let tables = RunTables { library: &prepared.library, ratios };
    (plan.operations(&linked.concepts, &prepared.library, &tables), providers)
}

/// What is known of everybody at one as-of day.
pub struct Scored {
    pub scores: Scores,
    /// One a model.
    pub strata: Vec<Strata>,
    pub availability: Availability,
    pub providers: BTreeMap<String, Provider>,
}

/// Scores everybody at one as-of day and ranks them; only what was known before the day is looked at.
///
/// # Errors
/// Timelines on disk that cannot be read.
pub fn score_at(prepared: &Prepared, loaded: &Loaded, as_of: Day, advance: &(dyn Fn(u64) + Sync)) -> Result<Scored> {
    let days = [as_of];
    Dates::new(prepared, loaded, &days, 1)?.score(0, advance)
}

/// What is worked out once for several as-of days: admissions, what each concept does, and the events that measures
/// count back from. Several days are scored in one pass over people.
pub struct Dates<'a> {
    prepared: &'a Prepared,
    loaded: &'a Loaded,
    days: &'a [Day],
    /// How many days are scored in one pass.
    at_once: usize,
    admissions: Admissions,
    operations: Operations,
    anchors: Picked,
    /// By number: days that were scored and not yet asked for.
    waiting: BTreeMap<usize, Waiting>,
    /// Scores that nobody looks at any more, whose columns are filled again.
    done_with: Vec<Scores>,
}

/// A day that was scored and is still to be ranked.
struct Waiting {
    scores: Scores,
    availability: Availability,
    providers: BTreeMap<String, Provider>,
}

impl<'a> Dates<'a> {
    /// `days` are in order, of which up to `at_once` are scored in one pass.
    ///
    /// # Errors
    /// A day before the first that was read for; timelines on disk that cannot be read.
    pub fn new(prepared: &'a Prepared, loaded: &'a Loaded, days: &'a [Day], at_once: usize) -> Result<Dates<'a>> {
        let Loaded { plan, linked, .. } = loaded;
        let first = prepared.slots.first_as_of();
        ensure!(
            days.iter().all(|day| *day >= first),
            "rows were read as far back as models look from {first}; an earlier day needs a run that names it"
        );
        let mut admissions = match prepared.works_out_ratios() {
            true => Admissions::new(plan, &linked.concepts),
            false => Admissions::default(),
        };
        let tables = RunTables { library: &prepared.library, ratios: BTreeMap::new() };
        let operations = plan.operations(&linked.concepts, &prepared.library, &tables);
        let can_anchor = operations.can_anchor();
        let mut anchors = Picked::default();
        linked.each_timelines(&mut |timelines| {
            admissions.take(timelines);
            anchors.take(timelines, &can_anchor);
            Ok(())
        })?;
        drop(can_anchor);
        let (waiting, done_with) = (BTreeMap::new(), Vec::new());
        Ok(Dates { prepared, loaded, days, at_once, admissions, operations, anchors, waiting, done_with })
    }

    /// Takes scores back that nobody looks at any more.
    pub fn take_back(&mut self, scored: Scored) {
        self.done_with.push(scored.scores);
    }

    /// The events that measures can count back from.
    pub(super) fn anchors(&self) -> &Picked {
        &self.anchors
    }

    /// The days that are scored in one pass for the one with this number; none where it was scored before.
    pub fn to_score(&self, number: usize) -> &'a [Day] {
        match self.waiting.contains_key(&number) {
            true => &[],
            false => &self.days[number..(number + self.at_once.max(1)).min(self.days.len())],
        }
    }

    /// Scores everybody at the as-of day with this number, with those after it where several go at once, and ranks them.
    ///
    /// # Errors
    /// Timelines on disk that cannot be read.
    pub fn score(&mut self, number: usize, advance: &(dyn Fn(u64) + Sync)) -> Result<Scored> {
        let days = self.to_score(number);
        if !days.is_empty() {
            let left = std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.scores);
            self.done_with.extend(left);
            self.waiting = (number..).zip(self.pass(days, advance)?).collect();
        }
        let Waiting { scores, availability, providers } = self.waiting.remove(&number).expect("it was scored above");
        let ranked = self.prepared.models.par_iter().zip(&scores.models);
        let strata = ranked.map(|(model, of)| strata(model, &of.linear_predictors)).collect();
        Ok(Scored { scores, strata, availability, providers })
    }

    /// One pass over everybody, for some days.
    fn pass(&mut self, days: &[Day], advance: &(dyn Fn(u64) + Sync)) -> Result<Vec<Waiting>> {
        let Loaded { plan, people, linked } = self.loaded;
        let evaluator = Evaluator::new(plan, &self.operations);
        let providers: Vec<BTreeMap<String, Provider>> = days.iter().map(|day| self.providers(*day)).collect();
        let as_of = |(number, (day, providers)): (usize, (&Day, &BTreeMap<String, Provider>))| {
            let ratios = providers.iter().map(|(code, provider)| (code.clone(), provider.ratio())).collect();
            let tables = RunTables { library: &self.prepared.library, ratios };
            let sources = self.prepared.sources.iter().map(|input| &input.layout).zip(&linked.sent);
            let coverage = Coverage::new(plan, &self.prepared.slots, sources, &people.spine, *day);
            AsOf {
                moment: evaluator.moment_with(*day, self.operations.looked_up_in(plan, &tables), number),
                availability: Availability::new(plan, &coverage, people.spine.practices.len(), *day),
            }
        };
        let as_of: Vec<AsOf> = days.iter().zip(&providers).enumerate().map(as_of).collect();
        let everybody = Everybody {
            models: &self.prepared.models,
            evaluator: &evaluator,
            spine: &people.spine,
            anchors: Some(&self.anchors),
            days: &as_of,
        };
        let mut parts = everybody.parts(&mut self.done_with);
        linked.each_timelines(&mut |timelines| {
            parts.take(timelines, advance);
            Ok(())
        })?;
        let waiting = |((scores, providers), as_of): ((Scores, BTreeMap<String, Provider>), AsOf)| Waiting {
            scores,
            availability: as_of.availability,
            providers,
        };
        Ok(parts.joined().into_iter().zip(providers).zip(as_of).map(waiting).collect())
    }

    fn providers(&self, as_of: Day) -> BTreeMap<String, Provider> {
        match self.prepared.works_out_ratios() {
            true => self.admissions.providers(&self.loaded.people.spine, as_of),
            false => BTreeMap::new(),
        }
    }
}
