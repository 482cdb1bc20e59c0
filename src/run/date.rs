//! Everybody at one as-of day: operations, coverage, scores, ranks and bands.

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
use crate::score::people::{Everybody, Scores};
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
    Dates::new(prepared, loaded, &days)?.score(0, advance)
}

/// What is worked out once for several as-of days: admissions, what each concept does, and the events that measures
/// count back from.
pub struct Dates<'a> {
    prepared: &'a Prepared,
    loaded: &'a Loaded,
    days: &'a [Day],
    admissions: Admissions,
    operations: Operations,
    anchors: Picked,
    /// Those of a date that is done with, whose columns the next date fills.
    done_with: Option<Scores>,
}

impl<'a> Dates<'a> {
    /// `days` are in order.
    ///
    /// # Errors
    /// A day before the first that was read for; timelines on disk that cannot be read.
    pub fn new(prepared: &'a Prepared, loaded: &'a Loaded, days: &'a [Day]) -> Result<Dates<'a>> {
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
        Ok(Dates { prepared, loaded, days, admissions, operations, anchors, done_with: None })
    }

    /// Takes scores back that nobody looks at any more.
    pub fn take_back(&mut self, scored: Scored) {
        self.done_with = Some(scored.scores);
    }

    /// The events that measures can count back from.
    pub(super) fn anchors(&self) -> &Picked {
        &self.anchors
    }

    /// Scores everybody at the as-of day with this number, and ranks them.
    ///
    /// # Errors
    /// Timelines on disk that cannot be read.
    pub fn score(&mut self, number: usize, advance: &(dyn Fn(u64) + Sync)) -> Result<Scored> {
        let Loaded { plan, people, linked } = self.loaded;
        let (as_of, library) = (self.days[number], &self.prepared.library);
        let providers = match self.prepared.works_out_ratios() {
            true => self.admissions.providers(&people.spine, as_of),
            false => BTreeMap::new(),
        };
        let ratios = providers.iter().map(|(code, provider)| (code.clone(), provider.ratio())).collect();
        self.operations.look_up(plan, &RunTables { library, ratios });
        let evaluator = Evaluator::new(plan, &self.operations);
        let sources = self.prepared.sources.iter().map(|input| &input.layout).zip(&linked.sent);
        let coverage = Coverage::new(plan, &self.prepared.slots, sources, &people.spine, as_of);
        let availability = Availability::new(plan, &coverage, people.spine.practices.len(), as_of);
        let everybody = Everybody {
            models: &self.prepared.models,
            evaluator: &evaluator,
            availability: &availability,
            spine: &people.spine,
            anchors: Some(&self.anchors),
            as_of,
        };
        let mut parts = everybody.parts(self.done_with.take());
        linked.each_timelines(&mut |timelines| {
            parts.take(timelines, advance);
            Ok(())
        })?;
        let scores = parts.joined();
        let ranked = self.prepared.models.par_iter().zip(&scores.models);
        let strata = ranked.map(|(model, of)| strata(model, &of.linear_predictors)).collect();
        Ok(Scored { scores, strata, availability, providers })
    }
}
