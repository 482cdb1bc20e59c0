//! What a cohort would come to, before anyone publishes it; and what came of the people that lists would have named.
//!
//! Both go the way of a nightly run, from files to places on a list, and write nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::back_cast::{Request, back_cast};
use super::past::Past;
use super::prepare::prepare_changed;
use super::{Failure, Loaded, Prepared, Progress, Scored, load, score_at};
use crate::cohort::columns::{Published, PublishedColumn, Values};
use crate::cohort::place::{Known, place};
use crate::cohort::rule::parts;
use crate::cohort::spec::{Every, History};
use crate::cohort::{Cohort, Place, Placed};
use crate::day::Day;
use crate::model::Problem;
use crate::model::check::nearest;
use crate::model::library::Library;
use crate::person::WordColumn;
use crate::settings::{Lists, Settings};

/// What a rule comes to on one day.
#[derive(Debug)]
pub struct Trial {
    pub cohort: Cohort,
    pub as_of: Day,
    pub registered: u64,
    pub steps: Vec<Step>,
    /// People left out, by reason.
    pub excluded: Vec<(String, u64)>,
    pub below_capacity: u64,
    pub on_list: u64,
    pub groups: Vec<Group>,
}

/// One of the conditions that all have to hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub condition: String,
    /// People for whom it holds, whatever the others say;
    pub alone: u64,
    /// people for whom it holds and those before it do.
    pub left: u64,
}

/// People by the words of a column.
#[derive(Debug)]
pub struct Group {
    pub column: String,
    pub lines: Vec<GroupLine>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// Empty where it is not known.
    pub word: String,
    pub registered: u64,
    pub on_list: u64,
    pub below_capacity: u64,
}

/// What came of the people on one list.
#[derive(Debug)]
pub struct YieldLine {
    /// Empty for everybody registered.
    pub cohort: String,
    pub people: u64,
    /// Of whom it is known what came;
    pub followed: u64,
    /// and who had the outcome.
    pub events: u64,
}

/// The rule that was typed: the name of a cohort, a file, or a SQL condition.
///
/// # Errors
/// A file that is no cohort.
fn typed(rule: &str, library: &Library, settings: &Settings) -> Result<Option<Cohort>, Failure> {
    let is_named = library.cohorts.contains_key(rule) || settings.own_cohorts.iter().any(|cohort| cohort.id == rule);
    if is_named {
        return Ok(None);
    }
    if rule.ends_with(".toml") {
        let text = std::fs::read_to_string(rule).with_context(|| format!("failed to read {rule}"));
        let text = text.map_err(|error| {
            Failure::Files(vec![Problem { file: rule.to_owned(), line: 0, what: format!("{error:#}") }])
        })?;
        let mut cohort = Cohort::parse(rule, &text).map_err(Failure::Files)?;
        cohort.id = TRIED.to_owned();
        return Ok(Some(cohort));
    }
    let is_word = rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_word && rule != "true" && rule != "false" {
        let own = settings.own_cohorts.iter().map(|cohort| cohort.id.as_str());
        let known: Vec<&str> = library.cohorts.keys().map(String::as_str).chain(own).collect();
        let what =
            format!("no cohort \"{rule}\"{}; known are {}", nearest(rule, known.iter().copied()), known.join(", "));
        return Err(Failure::Files(vec![Problem { file: settings.file.clone(), line: 0, what }]));
    }
    let model = settings.models.first().map_or("", String::as_str);
    let mut cohort = Cohort::of_condition(TRIED, model, rule);
    if ["_ago", "_rises_", "_points_"].iter().any(|about| rule.contains(about)) {
        cohort.history = Some(History { model: model.to_owned(), every: Every::Month, back: TRIED_MONTHS });
    }
    Ok(Some(cohort))
}

/// Months that a typed condition about earlier scores may look back.
const TRIED_MONTHS: u32 = 6;

/// The name of a rule that has none.
const TRIED: &str = "tried";

/// As the settings say, with the rule among the cohorts, for one day.
fn prepare_trial(
    settings: &Path,
    over: Option<&Path>,
    rule: Option<&str>,
    as_of: Option<Day>,
    first: Option<&str>,
) -> Result<(Prepared, String), Failure> {
    let library = Library::load(over).map_err(Failure::Unexpected)?.map_err(Failure::Files)?;
    let text = std::fs::read_to_string(settings).with_context(|| format!("failed to read {}", settings.display()));
    let text = text.map_err(|error| {
        Failure::Files(vec![Problem { file: "riskstrat".to_owned(), line: 0, what: format!("{error:#}") }])
    })?;
    let plain = Settings::parse(settings, &text).map_err(Failure::Files)?;
    let cohort = rule.map(|rule| typed(rule, &library, &plain)).transpose()?.flatten();
    let name = cohort.as_ref().map_or(rule.unwrap_or_default(), |cohort| &cohort.id).to_owned();
    let change = |settings: &mut Settings| {
        settings.as_of.0 = vec![as_of.unwrap_or(settings.horizon())];
        settings.overrides = None;
        settings.lists = Lists::default();
        if let Some(cohort) = cohort {
            settings.own_cohorts.push(cohort);
        } else if library.cohorts.contains_key(&name) && !settings.cohorts.contains(&name) {
            settings.cohorts.push(name.clone());
        }
        if let Some(first) = first {
            settings.models.retain(|model| model != first);
            settings.models.insert(0, first.to_owned());
        }
    };
    Ok((prepare_changed(settings, over, change)?, name))
}

/// Everybody's place in every cohort on one day, and the published columns.
struct Tried<'a> {
    published: Published<'a>,
    placed: Vec<Placed>,
}

fn place_all<'a>(prepared: &'a Prepared, loaded: &'a Loaded, scored: &'a Scored, past: &Past) -> Result<Tried<'a>> {
    let mut published = scored.published(prepared, &loaded.people);
    published.columns.extend(past.columns(scored.scores.as_of));
    let mut placed = Vec::new();
    for cohort in &prepared.cohorts {
        let table = published.table(|name| cohort.mentions(name))?;
        let here = place(cohort, &published, cohort.judge(&table)?, &Known::default())?;
        let on_list = here.places.iter().map(|place| Some(i64::from(*place == Place::OnList))).collect();
        published.columns.push(PublishedColumn::given(cohort.on_column(), Values::Whole(on_list)));
        placed.push(here);
    }
    Ok(Tried { published, placed })
}

/// Columns that a trial tells people apart by, beside the band.
const GROUPS: [&str; 2] = ["deprivation_fifth", "ethnicity"];

/// Counts what a rule comes to: a cohort of the settings or a shipped one by name, a file, or a SQL condition.
///
/// # Errors
/// What stops a run; a rule that cannot run.
pub fn try_cohort(settings: &Path, over: Option<&Path>, rule: &str, progress: &dyn Progress) -> Result<Trial, Failure> {
    let (prepared, name) = prepare_trial(settings, over, Some(rule), None, None)?;
    let advance = |units| progress.advance(units);
    let loaded = load(&prepared, &mut |name, units| progress.stage(name, units), &advance).map_err(Failure::Data)?;
    let as_of = prepared.settings.horizon();
    progress.stage(&format!("score {as_of}"), loaded.people.spine.people() as u64);
    let scored = score_at(&prepared, &loaded, as_of, &advance).map_err(Failure::Unexpected)?;
    let mut past = Past::new(&prepared, &loaded);
    past.take(&scored, &advance).map_err(Failure::Unexpected)?;
    let tried = place_all(&prepared, &loaded, &scored, &past).map_err(Failure::Unexpected)?;
    let number = prepared.cohorts.iter().position(|cohort| cohort.id == name).expect("it is among the cohorts");
    trial(&prepared, number, &tried, as_of).map_err(Failure::Unexpected)
}

fn trial(prepared: &Prepared, number: usize, tried: &Tried, as_of: Day) -> Result<Trial> {
    let (cohort, placed, published) = (&prepared.cohorts[number], &tried.placed[number], &tried.published);
    let table = published.table(|name| cohort.mentions(name))?;
    let mut all_hold = vec![true; published.people.len()];
    let mut steps = Vec::new();
    for condition in parts(&cohort.condition)? {
        let holds = cohort.holds(&table, &condition)?;
        all_hold.iter_mut().zip(&holds).for_each(|(all, holds)| *all &= holds);
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count() as u64;
        steps.push(Step { condition, alone: count(&holds), left: count(&all_hold) });
    }
    let counts = placed.counts(cohort.exclusions.len());
    let reasons = cohort.exclusions.iter().map(|exclusion| exclusion.reason.clone());
    let band = format!("{}_band", cohort.model);
    let groups = std::iter::once(band.as_str()).chain(GROUPS);
    Ok(Trial {
        cohort: cohort.clone(),
        as_of,
        registered: placed.places.len() as u64,
        steps,
        excluded: reasons.zip(counts.excluded).collect(),
        below_capacity: counts.below_capacity,
        on_list: counts.on_list,
        groups: groups.filter_map(|column| group(column, published, placed)).collect(),
    })
}

/// People by the words of a column, in order; `None` where there is no such column.
fn group(column: &str, published: &Published, placed: &Placed) -> Option<Group> {
    let values = published.column(column)?;
    let word = |row: usize| match values {
        Values::Whole(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
        Values::Words(words) if words.places[row] == WordColumn::MISSING => String::new(),
        values => values.text(row).unwrap_or_default().to_owned(),
    };
    let mut lines: BTreeMap<String, GroupLine> = BTreeMap::new();
    for (row, place) in placed.places.iter().enumerate() {
        let word = word(row);
        let line =
            lines.entry(word.clone()).or_insert(GroupLine { word, registered: 0, on_list: 0, below_capacity: 0 });
        line.registered += 1;
        line.on_list += u64::from(*place == Place::OnList);
        line.below_capacity += u64::from(*place == Place::BelowCapacity);
    }
    Some(Group { column: column.to_owned(), lines: lines.into_values().collect() })
}

/// What came of the people whom each cohort of the settings would have named on a past day, by a model's outcome.
///
/// # Errors
/// What stops a validation: a model without an outcome, a day whose outcome lies beyond the data.
pub fn yields(
    settings: &Path,
    over: Option<&Path>,
    rule: Option<&str>,
    model: &str,
    as_of: Option<Day>,
    progress: &dyn Progress,
) -> Result<Vec<YieldLine>, Failure> {
    let (mut prepared, _) = prepare_trial(settings, over, rule, as_of, Some(model))?;
    if prepared.models[0].outcome_rule.is_none() {
        let what = "no [outcome]: the file does not say what the model predicts, so nobody can be followed".to_owned();
        return Err(Failure::Files(vec![Problem { file: format!("scores/{model}.toml"), line: 0, what }]));
    }
    prepared.follows_up = true;
    let as_of = prepared.settings.horizon();
    let request =
        Request { models: vec![model.to_owned()], as_of: vec![as_of], horizon_days: None, followed_until: None };
    let cast = back_cast(&prepared, &request, progress)?;
    let day = cast.at(as_of, progress)?;
    let mut past = Past::new(&prepared, &cast.loaded);
    past.take(&day.scored, &|units| progress.advance(units)).map_err(Failure::Unexpected)?;
    let tried = place_all(&prepared, &cast.loaded, &day.scored, &past).map_err(Failure::Unexpected)?;
    let line = |cohort: &str, people: &[u32]| {
        let known = people.iter().filter_map(|&person| day.outcomes[person as usize].ok());
        let known: Vec<bool> = known.map(|outcome| outcome.event).collect();
        YieldLine {
            cohort: cohort.to_owned(),
            people: people.len() as u64,
            followed: known.len() as u64,
            events: known.iter().filter(|event| **event).count() as u64,
        }
    };
    let mut lines = vec![line("", &tried.published.people)];
    for (cohort, placed) in prepared.cohorts.iter().zip(&tried.placed) {
        let people: Vec<u32> = placed.list.iter().map(|&row| tried.published.people[row as usize]).collect();
        lines.push(line(&cohort.id, &people));
    }
    Ok(lines)
}
