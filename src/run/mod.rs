//! The stages of a run, in order.
//!
//! [`prepare`] opens settings, models, layouts and file headers and names every problem at once; [`run`] reads, scores
//! and publishes. Nothing is published unless every as-of date's outputs are whole and no gate is breached.

mod back_cast;
mod batches;
mod cohorts;
mod date;
mod design;
mod gates;
mod last;
mod lists;
mod memory;
mod parts;
mod past;
mod prepare;
mod read;
mod recipients;
mod trial;
mod write;

pub use back_cast::{BackCast, Cast, Followed, Lost, Outcome, PastDay, Request, back_cast, prepare_back_cast};
pub use batches::{load_batches, scores_batch};
pub use date::{Dates, RunTables, Scored, operations_at, score_at};
pub use prepare::{Prepared, all_streams, prepare, prepare_changed, prepare_for_batches};
pub use read::{Loaded, People, load, read_events, read_people};
pub use trial::{Group, GroupLine, Step, Trial, YieldLine, try_cohort, yields};

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::day::Day;
use crate::gate::{Allowance, Judged};
use crate::model::Problem;
use crate::output::last::LastRun;
use crate::output::lists::Glimpse;
use crate::output::manifest::{CohortLine, ModelLine, SourceQuality};
use crate::output::publish::{Folder, Stage, clear_stopped, publish, shards_folder};
use crate::output::tables::Desks;
use gates::{Gatekeeper, breaches_in_words, count, ended_in_words, let_through, let_through_in_words, not_needed};
use last::LastLists;
use memory::{Bounds, dates_at_once};
use parts::ScoreParts;
use past::Past;
use read::{binary_sha256, hash_inputs, load_within, source_quality};
use recipients::check_recipients;
use write::{AtDate, Stopped, timings_json};

/// Why a run stopped, which decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// What was typed. Exit code 2.
    Command(String),
    /// Settings, models, layouts, cohorts: the user's files. Exit code 3.
    Files(Vec<Problem>),
    /// The input data. Exit code 4.
    Data(anyhow::Error),
    /// The output folder. Exit code 5.
    Output(anyhow::Error),
    /// Ours. Exit code 1.
    Unexpected(anyhow::Error),
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Unexpected(_) => 1,
            Failure::Command(_) => 2,
            Failure::Files(_) => 3,
            Failure::Data(_) => 4,
            Failure::Output(_) => 5,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Command(what) => f.write_str(what),
            Failure::Files(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Failure::Data(error) | Failure::Output(error) | Failure::Unexpected(error) => write!(f, "{error:#}"),
        }
    }
}

/// How far a run has come, for whoever waits for it.
pub trait Progress: Sync {
    /// A new stage of so many units; 0 where the amount is not known.
    fn stage(&self, name: &str, units: u64);
    fn advance(&self, units: u64);
}

/// Nobody waits.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}
/// What a run came to, for the table that is printed at its end.
#[derive(Debug)]
pub struct Report {
    pub published: Vec<PathBuf>,
    /// What an earlier run that was stopped had left behind, and what was done about it.
    pub recovered: Vec<String>,
    pub people: u64,
    pub opted_out: u64,
    pub opted_out_by_code: u64,
    pub sources: Vec<SourceQuality>,
    pub dates: Vec<DateReport>,
    /// Breaches that were let through, each with the gate, the figure and the limit, and why.
    pub let_through: Vec<String>,
    /// Allowances that nothing needed, as they were typed.
    pub not_needed: Vec<String>,
    /// Allowances of the settings that have ended, in words.
    pub ended: Vec<String>,
    pub timings: Vec<(String, Duration)>,
    pub rows: u64,
}

#[derive(Debug)]
pub struct DateReport {
    pub as_of: Day,
    pub models: Vec<ModelLine>,
    pub cohorts: Vec<CohortLine>,
    /// The first list of the first cohort: practice, header and first rows.
    pub first_list: Option<Glimpse>,
}

/// Names stages and times them.
struct Clock<'a> {
    progress: &'a dyn Progress,
    stages: Vec<(String, Instant)>,
}

impl Clock<'_> {
    fn stage(&mut self, name: &str, units: u64) {
        self.progress.stage(name, units);
        self.stages.push((name.to_owned(), Instant::now()));
    }

    fn timings(&self) -> Vec<(String, Duration)> {
        let ends = self.stages.iter().skip(1).map(|(_, start)| *start).chain(std::iter::once(Instant::now()));
        self.stages.iter().zip(ends).map(|((name, start), end)| (name.clone(), end - *start)).collect()
    }
}

/// Reads, scores and publishes.
///
/// # Errors
/// Whatever stops a run; nothing is published then, and the last published run stays.
pub fn run(prepared: &Prepared, progress: &dyn Progress) -> Result<Report, Failure> {
    let mut clock = Clock { progress, stages: Vec::new() };
    let advance = |units| progress.advance(units);
    let out = prepared.settings.out_folder();
    let folder = Folder::open(&out).map_err(Failure::Output)?;
    let days = prepared.settings.as_of.0.iter();
    let stages = days.map(|day| folder.stage(&day.to_string()).map(|stage| (*day, stage)));
    let stages: Vec<(Day, Stage)> = stages.collect::<Result<_>>().map_err(Failure::Output)?;
    let abandon = |stages: Vec<(Day, Stage)>, failure| {
        stages.into_iter().for_each(|(_, stage)| stage.abandon());
        Err(failure)
    };
    match make(prepared, &mut clock, &advance, &stages) {
        Ok(mut report) => {
            clock.stage("publish", 0);
            let stages = stages.into_iter().map(|(_, stage)| stage).collect();
            report.published = publish(&folder, stages).map_err(Failure::Output)?;
            clear_stopped(&out).map_err(Failure::Output)?;
            report.recovered = folder.recovered;
            report.timings = clock.timings();
            Ok(report)
        }
        Err(failure) => abandon(stages, failure),
    }
}

fn make(
    prepared: &Prepared,
    clock: &mut Clock,
    advance: &(dyn Fn(u64) + Sync),
    stages: &[(Day, Stage)],
) -> Result<Report, Failure> {
    let mut decides = prepared.decides.clone();
    // Hashes are taken beside the reading, where a thread would have nothing to do otherwise.
    let hash = || rayon::join(|| hash_inputs(prepared, &|_| ()), binary_sha256);
    let folder = shards_folder(&prepared.settings.out_folder());
    let bounds = Bounds::of(prepared, &folder).map_err(Failure::Data)?.map(|bounds| (bounds, &*folder));
    let read = || load_within(prepared, bounds, &mut |name, units| clock.stage(name, units), advance);
    let (loaded, (inputs, binary)) = rayon::join(read, hash);
    (decides.inputs, decides.binary_sha256) = (inputs.map_err(Failure::Data)?, binary);
    let loaded = loaded.map_err(Failure::Data)?;
    let sources = source_quality(prepared, &loaded);
    check_recipients(prepared, &loaded).map_err(Failure::Files)?;
    let counted = count(prepared, &loaded, &sources).map_err(Failure::Output)?;
    let files = &decides.inputs.clone();
    let gatekeeper = Gatekeeper { prepared, loaded: &loaded, sources: &sources, counted: &counted, files };
    let (_, ended) = prepared.settings.standing_allowances();
    let last = LastRun::find(&prepared.settings.out_folder(), prepared.settings.as_of.0[0]);
    let mut judged = gatekeeper.of_reading(last.as_ref());
    let_through(&mut judged, &decides.allowed);
    let mut judged_at: Vec<(String, Vec<Judged>)> = Vec::new();
    let mut dates = Vec::new();
    let mut past = Past::new(prepared, &loaded);
    let mut before: Option<LastLists> = None;
    clock.stage("look over all dates", 0);
    let days: Vec<Day> = stages.iter().map(|(as_of, _)| *as_of).collect();
    let mut at_dates =
        Dates::new(prepared, &loaded, &days, dates_at_once(prepared, &loaded)).map_err(Failure::Output)?;
    let mut parts = ScoreParts::new(prepared, &loaded);
    let desks = Desks::default();
    for (number, (as_of, stage)) in stages.iter().enumerate() {
        let (stage_name, of_days) = match at_dates.to_score(number) {
            [] => (format!("rank {as_of}"), 0),
            [_] => (format!("score {as_of}"), 1),
            [.., last] => (format!("score {as_of} to {last}"), at_dates.to_score(number).len()),
        };
        clock.stage(&stage_name, (loaded.people.spine.people() * of_days) as u64);
        let scored = at_dates.score(number, advance).map_err(Failure::Output)?;
        let mut of_date = gatekeeper.of_date(&scored, last.as_ref());
        let_through(&mut of_date, &decides.allowed);
        judged_at.push((as_of.to_string(), of_date));
        // A run that is to stop goes on judging, so that all its breaches are named, and writes nothing more.
        if breaches_in_words(&judged, &judged_at, &ended).is_empty() {
            decides.as_of = as_of.to_string();
            decides.compared_with = last.clone();
            let earlier = past.missing(*as_of);
            if !earlier.is_empty() {
                clock.stage(&format!("score {} earlier days", earlier.len()), 0);
            }
            past.take(&scored, advance).map_err(Failure::Output)?;
            clock.stage(&format!("write {as_of}"), 0);
            let lists_then = prepared.last_lists(*as_of, before.take()).map_err(Failure::Output)?;
            decides.last_lists = lists_then.as_ref().map(|last| last.line.clone());
            parts.look_up(&scored.tables(prepared));
            let gates: Vec<&Judged> = judged.iter().chain(&judged_at[judged_at.len() - 1].1).collect();
            let at = AtDate {
                prepared,
                loaded: &loaded,
                scored: &scored,
                counted: &counted,
                gates: &gates,
                past: &past,
                parts: &parts,
                anchors: at_dates.anchors(),
                desks: &desks,
                last: lists_then.as_ref(),
            };
            let (report, written) = at.write(stage, &decides, &sources)?;
            dates.push(report);
            before = Some(written);
        }
        at_dates.take_back(scored);
    }
    let breaches = breaches_in_words(&judged, &judged_at, &ended);
    if !breaches.is_empty() {
        let stopped = Stopped { prepared, loaded: &loaded, sources: &sources, counted: &counted };
        let written = stopped.write(&breaches, &judged, &judged_at).map_err(Failure::Output)?;
        return Err(Failure::Data(anyhow!("{breaches}; all figures of the run stand in {}", written.display())));
    }
    judged.extend(judged_at.into_iter().flat_map(|(_, of_date)| of_date));
    for (as_of, stage) in stages {
        let timings = timings_json(clock, *as_of);
        stage.write(&[timings]).map_err(Failure::Output)?;
    }
    Ok(Report {
        published: Vec::new(),
        recovered: Vec::new(),
        people: loaded.people.spine.people() as u64,
        opted_out: loaded.people.opted_out,
        opted_out_by_code: loaded.people.opted_out_by_code,
        rows: sources.iter().map(|source| source.rows).sum(),
        sources,
        dates,
        let_through: let_through_in_words(&judged, &decides.allowed),
        not_needed: not_needed(&decides.allowed, &judged).into_iter().map(Allowance::typed).collect(),
        ended: ended.iter().map(ended_in_words).collect(),
        timings: Vec::new(),
    })
}
