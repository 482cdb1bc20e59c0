//! Scores of past days, held against what came: the same files, the same code and the same terms as a nightly run, with
//! the outcome that the model's file names.
//!
//! What came is read beyond the as-of day and looked at by nothing but the outcome: a term sees what was known before
//! the day, as ever.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use rayon::prelude::*;

use super::gates::{check_reading, check_scores};
use super::prepare::{prepare_changed, provides};
use super::read::{binary_sha256, hash_inputs};
use super::{Failure, Loaded, Prepared, Progress, Scored, load, operations_at, score_at};
use crate::day::Day;
use crate::event::Event;
use crate::ingest::Input;
use crate::measure::evaluate::Evaluator;
use crate::measure::plan::has_bit;
use crate::model::check::check;
use crate::model::{OutcomeRule, Problem, WhenLost};
use crate::number::Nano;
use crate::output::manifest::Decides;
use crate::person::Standing;

/// What is to be held against what came.
#[derive(Debug, Clone)]
pub struct Request {
    pub models: Vec<String>,
    pub as_of: Vec<Day>,
    /// In place of the model's own number of days.
    pub horizon_days: Option<u32>,
    /// Until when people were followed, where the newest event does not tell it.
    pub followed_until: Option<Day>,
}

/// As a nightly run prepares, for these models and days, and with what came after.
///
/// # Errors
/// Every problem of a run's; a model without an outcome; models with different outcomes.
pub fn prepare_back_cast(settings: &Path, models_over: Option<&Path>, request: &Request) -> Result<Prepared, Failure> {
    let mut prepared = prepare_changed(settings, models_over, |settings| {
        settings.models = request.models.clone();
        settings.leave_out_lists();
        settings.as_of.0 = request.as_of.clone();
        settings.as_of.0.sort_unstable();
        settings.as_of.0.dedup();
    })?;
    let problems: Vec<Problem> = prepared.models.iter().filter_map(|model| no_outcome(&prepared, &model.id)).collect();
    if !problems.is_empty() {
        return Err(Failure::Files(problems));
    }
    for rule in prepared.models.iter_mut().filter_map(|model| model.outcome_rule.as_mut()) {
        rule.days = request.horizon_days.unwrap_or(rule.days);
    }
    if let Some(other) = prepared.models.iter().find(|model| model.outcome_rule != prepared.models[0].outcome_rule) {
        let what = format!(
            "models \"{}\" and \"{}\" have different outcomes; only scores of one outcome can be held against each other",
            prepared.models[0].id, other.id
        );
        return Err(Failure::Files(vec![Problem { file: "models".to_owned(), line: 0, what }]));
    }
    prepared.follows_up = true;
    if let Some(anchor) = prepared.models[0].outcome_rule.as_ref().and_then(|rule| rule.after.as_ref())
        && !prepared.plan().anchors.iter().any(|planned| &planned.anchor == anchor)
    {
        let what = format!("[outcome]: after = \"{}\", from which no term or requirement counts back", anchor.name);
        let file = format!("scores/{}.toml", prepared.models[0].id);
        return Err(Failure::Files(vec![Problem { file, line: 0, what }]));
    }
    prepared.check_headers().map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    Ok(prepared)
}

fn no_outcome(prepared: &Prepared, id: &str) -> Option<Problem> {
    let model = prepared.models.iter().find(|model| model.id == id)?;
    if model.outcome_rule.is_some() {
        return None;
    }
    let others = prepared.library.models.iter().filter(|(_, text)| {
        check(&text.file, &text.text, &prepared.library, &prepared.streams)
            .is_ok_and(|model| model.outcome_rule.is_some())
    });
    let others: Vec<&str> = others.map(|(id, _)| id.as_str()).collect();
    let what = format!(
        "no [outcome]: the file does not say what the model predicts, so its scores cannot be held against what came; models with one are {}",
        others.join(", ")
    );
    Some(Problem { file: format!("scores/{id}.toml"), line: 0, what })
}

/// What came of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    pub event: bool,
    /// How many events of the outcome's kind there were in its days.
    pub events: u16,
    /// Days of stay of those events, all of them.
    pub bed_days: u32,
}

/// Why it is not known what came of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    NotRegistered,
    Died,
    Deregistered,
    /// The outcome's days begin with the end of a stay, and there is none, or it had not ended in the data.
    NoStay,
    DiedInStay,
    /// The outcome's days end after the last day that is followed.
    NotFollowed,
}

impl Lost {
    pub fn words(self) -> &'static str {
        match self {
            Lost::NotRegistered => "not registered on the as-of date",
            Lost::Died => "died before the end without the outcome",
            Lost::Deregistered => "registered nowhere at the end, without the outcome",
            Lost::NoStay => "the stay that the days count from has no end in the data",
            Lost::DiedInStay => "died in the stay that the days count from",
            Lost::NotFollowed => "the days end after the newest data",
        }
    }
}

/// Until when people could be followed, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    pub until: Day,
    /// The source whose newest event it is; `None` where it was stated.
    pub source: Option<String>,
}

/// Everything that is needed to score people at past days and to tell what came of them.
pub struct BackCast<'a> {
    pub prepared: &'a Prepared,
    pub loaded: Loaded,
    pub rule: OutcomeRule,
    pub followed: Followed,
    pub decides: Decides,
}

/// Everybody at one past day.
pub struct PastDay {
    pub as_of: Day,
    pub scored: Scored,
    /// One a person of the spine.
    pub outcomes: Vec<Result<Outcome, Lost>>,
}

/// One model at one past day: those who have a score and of whom it is known what came, in spine order.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    pub people: Vec<u32>,
    pub linear_predictors: Vec<Nano>,
    pub outcomes: Vec<Outcome>,
    /// People with a score who are left out, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl Cast {
    pub fn events(&self) -> Vec<bool> {
        self.outcomes.iter().map(|outcome| outcome.event).collect()
    }

    /// What orders people: the linear predictor, in units of 1e-9.
    pub fn scores(&self) -> Vec<i64> {
        self.linear_predictors.iter().map(|lp| lp.0).collect()
    }
}

/// Reads everything and checks that every as-of day can be followed to the end of its days.
///
/// # Errors
/// What stops a run; a day whose outcome lies beyond the data, with the day until which it could be followed.
pub fn back_cast<'a>(
    prepared: &'a Prepared,
    request: &Request,
    progress: &dyn Progress,
) -> Result<BackCast<'a>, Failure> {
    let advance = |units| progress.advance(units);
    progress.stage("hash inputs", prepared.inputs().map(Input::bytes).sum());
    let mut decides = prepared.decides.clone();
    decides.inputs = hash_inputs(prepared, &advance).map_err(Failure::Data)?;
    decides.binary_sha256 = binary_sha256();
    let loaded = load(prepared, &mut |name, units| progress.stage(name, units), &advance).map_err(Failure::Data)?;
    check_reading(prepared, &loaded).map_err(Failure::Data)?;
    let rule = prepared.models[0].outcome_rule.clone().expect("models without an outcome were refused");
    let followed = followed(prepared, &loaded, &rule, request.followed_until).map_err(Failure::Data)?;
    for as_of in &prepared.settings.as_of.0 {
        check_followed(*as_of, &rule, &followed).map_err(Failure::Data)?;
    }
    Ok(BackCast { prepared, loaded, rule, followed, decides })
}

/// Until when people could be followed: the newest event of the source whose newest is the oldest.
fn followed(prepared: &Prepared, loaded: &Loaded, rule: &OutcomeRule, stated: Option<Day>) -> Result<Followed> {
    if let Some(until) = stated {
        return Ok(Followed { until, source: None });
    }
    let Some(events) = &rule.events else {
        return Err(anyhow!(
            "the outcome is death alone, and the register does not say until when deaths are in it; say so with --followed-until"
        ));
    };
    let sources = prepared.sources.iter().zip(&loaded.linked.followed_until);
    let mut found = Vec::new();
    for (input, until) in sources.filter(|(input, _)| provides(input, &events.stream)) {
        let Some(until) = until else {
            return Err(anyhow!(
                "source \"{}\" has no {} of anybody on the register, so nobody can be followed in it",
                input.name,
                events.stream
            ));
        };
        found.push((*until, input.name.clone()));
    }
    let first = found.into_iter().min();
    let (until, source) = first
        .ok_or_else(|| anyhow!("no source of the settings tells of {}, which the outcome is made of", events.stream))?;
    Ok(Followed { until, source: Some(source) })
}

/// Refuses a day whose outcome lies beyond the data. Days that count from the end of a stay are looked at person by
/// person; here it has to be possible for a stay that ended before the as-of day.
fn check_followed(as_of: Day, rule: &OutcomeRule, followed: &Followed) -> Result<()> {
    let last = Day(as_of.0 + rule.days as i32 - 1);
    if last <= followed.until {
        return Ok(());
    }
    let known = match &followed.source {
        Some(source) => format!("the newest of them in source \"{source}\" is of {}", followed.until),
        None => format!("followed until {}, as stated", followed.until),
    };
    let latest = followed.until.minus_days(rule.days as i32 - 1);
    Err(anyhow!(
        "as of {as_of} the outcome's {} days end with {last}, but {known}; the last as-of date that can be followed is {latest}, or take a shorter --horizon; where nothing came after and the data is known to reach further, say --followed-until",
        rule.days
    ))
}

impl BackCast<'_> {
    /// Everybody's scores at one past day, and what came of them.
    ///
    /// # Errors
    /// A term that is the same for everybody, as in a run.
    pub fn at(&self, as_of: Day, progress: &dyn Progress) -> Result<PastDay, Failure> {
        progress.stage(&format!("score {as_of}"), self.loaded.people.spine.people() as u64);
        let scored = score_at(self.prepared, &self.loaded, as_of, &|units| progress.advance(units));
        let scored = scored.map_err(Failure::Unexpected)?;
        check_scores(self.prepared, &self.loaded, &scored).map_err(Failure::Data)?;
        let outcomes = self.outcomes(&scored, as_of);
        Ok(PastDay { as_of, scored, outcomes })
    }

    fn outcomes(&self, scored: &Scored, as_of: Day) -> Vec<Result<Outcome, Lost>> {
        let Loaded { plan, linked, .. } = &self.loaded;
        let (operations, _) = operations_at(self.prepared, &self.loaded, as_of);
        let evaluator = Evaluator::new(plan, &operations);
        let anchor = self.rule.after.as_ref().map(|after| {
            let place = plan.anchors.iter().position(|planned| &planned.anchor == after);
            place.expect("whoever is scored after a stay has it as an anchor of a term or a requirement")
        });
        let predicate = self.rule.events.as_ref().map(|events| plan.predicate(events).expect("it was planned for"));
        let is_outcome: Vec<bool> = linked
            .concepts
            .iter()
            .map(|concept| {
                predicate
                    .is_some_and(|(stream, place)| concept.stream as usize == stream && has_bit(&concept.mask, place))
            })
            .collect();
        let of = |person: usize| {
            let Standing::Registered { .. } = scored.scores.standings[person] else { return Err(Lost::NotRegistered) };
            let events = linked.timelines.of(person as u32);
            let (first, last) = match anchor {
                None => (as_of, Day(as_of.0 + self.rule.days as i32 - 1)),
                Some(anchor) => {
                    let stay = evaluator.anchor_event(anchor, events, as_of).and_then(Event::end_day);
                    self.after_stay(person, stay.ok_or(Lost::NoStay)?, as_of)?
                }
            };
            self.outcome(person, events, &is_outcome, first, last)
        };
        (0..self.loaded.people.spine.people()).into_par_iter().with_min_len(1 << 12).map(of).collect()
    }

    /// The days that count from the end of a stay: the day itself, where it is not past, and so many days after it.
    fn after_stay(&self, person: usize, end: i32, as_of: Day) -> Result<(Day, Day), Lost> {
        if self.loaded.people.spine.deaths[person].is_some_and(|death| death.0 <= end) {
            return Err(Lost::DiedInStay);
        }
        Ok((Day(end.max(as_of.0)), Day(end + self.rule.days as i32)))
    }

    fn outcome(
        &self,
        person: usize,
        events: &[Event],
        is_outcome: &[bool],
        first: Day,
        last: Day,
    ) -> Result<Outcome, Lost> {
        if last > self.followed.until && self.rule.after.is_some() {
            return Err(Lost::NotFollowed);
        }
        let start = events.partition_point(|event| event.day < first.0);
        let came = events[start..].iter().take_while(|event| event.day <= last.0);
        let mut outcome = Outcome::default();
        for event in came.filter(|event| is_outcome[event.concept as usize]) {
            outcome.event = true;
            outcome.events = outcome.events.saturating_add(1);
            outcome.bed_days += if event.days == Event::OPEN { 0 } else { u32::from(event.days) };
        }
        let spine = &self.loaded.people.spine;
        let died = spine.deaths[person].is_some_and(|death| death <= last);
        if !outcome.event && died {
            match self.rule.died {
                WhenLost::NoEvent => {}
                WhenLost::LeftOut => return Err(Lost::Died),
                WhenLost::Event => outcome.event = true,
            }
        }
        let is_gone = !died && spine.standing(person as u32, last) == Standing::NotRegistered;
        if !outcome.event && is_gone && self.rule.deregistered == WhenLost::LeftOut {
            return Err(Lost::Deregistered);
        }
        Ok(outcome)
    }
}

impl PastDay {
    /// One model's people of whom it is known what came.
    pub fn cast(&self, model: usize) -> Cast {
        let mut cast = Cast::default();
        let scores = self.scored.scores.models[model].linear_predictors.iter().enumerate();
        for (person, lp) in scores.filter_map(|(person, lp)| Some((person, lp.get().ok()?))) {
            match self.outcomes[person] {
                Ok(outcome) => {
                    cast.people.push(person as u32);
                    cast.linear_predictors.push(lp);
                    cast.outcomes.push(outcome);
                }
                Err(lost) => *cast.left_out.entry(lost.words()).or_default() += 1,
            }
        }
        cast
    }
}
