//! The cohorts of a run: shipped ones with the run's changes, then those of the settings, checked before any data is read.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Prepared;
use crate::cohort::Cohort;
use crate::cohort::columns::{Published, PublishedColumn, Values, published_columns};
use crate::cohort::decisions::{self, Decision};
use crate::cohort::fill::ALL;
use crate::cohort::history;
use crate::cohort::place::{no_groups, no_teams};
use crate::ingest::files;
use crate::ingest::register::Practices;
use crate::model::check::nearest;
use crate::model::library::{Library, hex};
use crate::model::{Model, Problem};
use crate::person::{Spine, WordColumn};
use crate::score::fidelity::Availability;
use crate::score::people::{ModelScores, Scores};
use crate::settings::Settings;
use crate::strata::Strata;

/// The cohorts of a run, in order, and the text that each stands in.
#[derive(Default)]
pub(super) struct Cohorts {
    pub cohorts: Vec<Cohort>,
    /// File and text, one a cohort.
    pub texts: Vec<(String, String)>,
    pub problems: Vec<Problem>,
}

/// Reads the cohorts that the settings name or hold; `text` is the settings file's own.
pub(super) fn read_cohorts(settings: &Settings, text: &str, library: &Library, models: &[Model]) -> Cohorts {
    let mut read = Cohorts::default();
    for id in &settings.cohorts {
        match library.cohorts.get(id) {
            None => {
                let known: Vec<&str> = library.cohorts.keys().map(String::as_str).collect();
                let near = nearest(id, known.iter().copied());
                read.problem(settings, format!("no cohort \"{id}\"{near}; known are {}", known.join(", ")));
            }
            Some(file) => match Cohort::parse(&file.file, &file.text) {
                Ok(cohort) => {
                    let preset = settings.presets.iter().find(|preset| preset.id == *id);
                    match preset {
                        Some(preset) => read.add(cohort.changed(preset), &settings.file, text),
                        None => read.add(cohort, &file.file, &file.text),
                    }
                }
                Err(problems) => read.problems.extend(problems),
            },
        }
    }
    for preset in &settings.presets {
        if !settings.cohorts.contains(&preset.id) {
            let what = format!("preset \"{}\": is not among cohorts = [{}]", preset.id, settings.cohorts.join(", "));
            read.problem(settings, what);
        }
        if settings.presets.iter().filter(|other| other.id == preset.id).count() > 1 {
            read.problem(settings, format!("preset \"{}\": stands twice", preset.id));
        }
    }
    settings.own_cohorts.iter().for_each(|cohort| read.add(cohort.clone(), &settings.file, text));
    read.check_names(settings, library, models);
    read
}

impl Cohorts {
    fn problem(&mut self, settings: &Settings, what: String) {
        self.problems.push(Problem { file: settings.file.clone(), line: 0, what });
    }

    fn add(&mut self, cohort: Cohort, file: &str, text: &str) {
        let problem = |what: String| Problem { file: file.to_owned(), line: cohort.line_in(text, &what), what };
        self.problems.extend(cohort.problems().into_iter().map(problem));
        self.cohorts.push(cohort);
        self.texts.push((file.to_owned(), text.to_owned()));
    }

    /// Names that stand for two things, and models that are not among the run's.
    fn check_names(&mut self, settings: &Settings, library: &Library, models: &[Model]) {
        let mut problems = Vec::new();
        let mut problem = |cohort: &Cohort, place: usize, key: &str, what: String| {
            let what = format!("cohort \"{}\": {key}: {what}", cohort.id);
            let (file, text): &(String, String) = &self.texts[place];
            problems.push(Problem { file: file.clone(), line: cohort.line_in(text, &what), what });
        };
        for (place, cohort) in self.cohorts.iter().enumerate() {
            if self.cohorts[..place].iter().any(|other| other.id == cohort.id) {
                problem(cohort, place, "id", "two cohorts have this name".to_owned());
            } else if place >= settings.cohorts.len() && library.cohorts.contains_key(&cohort.id) {
                let what = "a shipped cohort has this name; take another, or change the shipped one under [[preset]]";
                problem(cohort, place, "id", what.to_owned());
            }
            let scored: Vec<&str> =
                models.iter().filter(|model| model.is_scored()).map(|model| model.id.as_str()).collect();
            let names = if scored.is_empty() { "none".to_owned() } else { scored.join(", ") };
            if let Some(history) = cohort.history.as_ref().filter(|history| !scored.contains(&history.model.as_str())) {
                let what = format!("\"{}\" is not among the scored models of this run: {}", history.model, names);
                problem(cohort, place, "history", what);
            }
            // A model at fault is told already, and is not among the checked ones.
            let is_listed = settings.models.contains(&cohort.model);
            if !is_listed || models.iter().any(|model| model.id == cohort.model && !model.is_scored()) {
                let what = format!("\"{}\" is not among the scored models of this run: {}", cohort.model, names);
                problem(cohort, place, "model", what);
            }
        }
        self.problems.extend(problems);
    }
}

/// What the files of decisions hold.
#[derive(Default)]
pub(super) struct Decisions {
    pub decisions: Vec<Decision>,
    /// Hashes by file.
    pub files: BTreeMap<String, String>,
    pub problems: Vec<String>,
}

/// Reads the clinicians' decisions about these cohorts.
pub(super) fn read_decisions(settings: &Settings, cohorts: &[Cohort]) -> Decisions {
    let mut read = Decisions::default();
    let Some(overrides) = &settings.overrides else { return read };
    let names: Vec<&str> = cohorts.iter().map(|cohort| cohort.id.as_str()).collect();
    let found = match files::find(&settings.base, &overrides.files) {
        Ok(found) => found,
        Err(problems) => {
            read.problems.extend(problems.into_iter().map(|what| format!("overrides: {what}")));
            return read;
        }
    };
    for file in found {
        let Ok(text) = std::fs::read_to_string(&file.path) else {
            read.problems.push(format!("overrides: {}: cannot be read as UTF-8 text", file.name));
            continue;
        };
        match decisions::read(&file.name, &text, &names) {
            Ok(decisions) => read.decisions.extend(decisions),
            Err(faults) => {
                let more = faults.len().saturating_sub(MOST_FAULTS);
                read.problems.extend(faults.into_iter().take(MOST_FAULTS));
                if more > 0 {
                    read.problems.push(format!("{}: and {more} faults more", file.name));
                }
            }
        }
        read.files.insert(file.name, hex(&Sha256::digest(text.as_bytes())));
    }
    read
}

/// Faults of one file that are told.
const MOST_FAULTS: usize = 20;

impl Prepared {
    /// Runs every cohort rule over the published columns of nobody, so that a wrong rule is found before the data is read.
    pub(super) fn check_cohorts(&self) -> Result<(), Vec<Problem>> {
        let nobody = Nobody::new(self);
        let mut published = nobody.published(self);
        let mut problems = Vec::new();
        let places = self.practice_columns();
        for view in self.settings.lists.views.iter().filter(|view| !places.contains(view)) {
            let near = nearest(view, places.iter().map(String::as_str));
            let what =
                format!("lists.views: no column \"{view}\" of the practices{near}; those are {}", places.join(", "));
            problems.push(Problem { file: self.settings.file.clone(), line: 0, what });
        }
        for (cohort, (file, text)) in self.cohorts.iter().zip(&self.cohort_texts) {
            let mut faults = match published.table(|_| true) {
                Ok(table) => cohort.check(&table, &|name| self.of_another_model(name)).err().unwrap_or_default(),
                Err(error) => vec![format!("{error:#}")],
            };
            faults.extend(wrong_kinds(cohort, &published));
            let problem = |what: String| Problem { file: file.clone(), line: cohort.line_in(text, &what), what };
            problems.extend(faults.into_iter().map(problem));
            published.columns.push(PublishedColumn::given(cohort.on_column(), Values::Whole(Vec::new())));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The shipped model that a column belongs to, where the run does not have it.
    fn of_another_model(&self, column: &str) -> Option<String> {
        let of_history = |model: &Model| {
            let rest = column.strip_prefix(&format!("{}_", model.id))?;
            let months = rest.trim_start_matches("rises_").trim_start_matches("points_").trim_end_matches("_ago");
            months.strip_suffix('m')?.parse::<u32>().ok().map(|months| (model.id.clone(), months))
        };
        if let Some((model, months)) = self.models.iter().find_map(of_history) {
            let what = "it is about earlier months, so the cohort says history";
            return Some(format!("{what} = {{ model = \"{model}\", every = \"month\", back = {months} }}"));
        }
        let is_its = |id: &str, text: &str| {
            let of_score = column.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            of_score || text.contains("\"facts\"") && text.contains(&format!("= \"{column}\""))
        };
        let others = self.library.models.iter().filter(|(id, _)| !self.settings.models.contains(id));
        let model = others.into_iter().find(|(id, text)| is_its(id, &text.text))?.0;
        Some(format!(
            "it is a column of model \"{model}\", which is not among models = [{}]",
            self.settings.models.join(", ")
        ))
    }

    /// The columns that the file of practices gives.
    fn practice_columns(&self) -> Vec<String> {
        let fields = self.practices.iter().flat_map(|input| &input.layout.fields);
        fields.map(|field| field.name.clone()).collect()
    }
}

/// What the published columns of nobody are made from.
struct Nobody {
    spine: Spine,
    practices: Practices,
    scores: Scores,
    strata: Vec<Strata>,
    availability: Availability,
}

impl Nobody {
    fn new(prepared: &Prepared) -> Nobody {
        let mut spine = Spine::default();
        for name in &prepared.streams.words {
            spine.words.insert(name.clone(), WordColumn::default());
        }
        for name in &prepared.streams.numbers {
            spine.numbers.insert(name.clone(), Vec::new());
        }
        let none = |model: &Model| ModelScores { facts: vec![Vec::new(); model.terms.len()], ..Default::default() };
        let models = prepared.models.iter().map(none).collect();
        Nobody {
            spine,
            practices: Practices { columns: prepared.practice_columns(), ..Practices::default() },
            scores: Scores { as_of: prepared.settings.horizon(), standings: Vec::new(), models, look_ups: Vec::new() },
            strata: vec![Strata::default(); prepared.models.len()],
            availability: Availability::default(),
        }
    }

    fn published<'a>(&'a self, prepared: &'a Prepared) -> Published<'a> {
        let Nobody { spine, practices, scores, strata, availability } = self;
        let mut published = published_columns(&prepared.models, spine, practices, scores, strata, availability);
        for (number, back) in prepared.histories() {
            let model = &prepared.models[number];
            published.columns.extend(history::columns(&model.id, true, vec![Vec::new(); back + 1]));
        }
        published
    }
}

/// Columns that are there and hold what they cannot be used for.
fn wrong_kinds(cohort: &Cohort, published: &Published) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, what: String| faults.push(format!("cohort \"{}\": {key}: {what}", cohort.id));
    if let Some(capacity) = cohort.capacity.as_ref().filter(|capacity| capacity.per != ALL)
        && published.column(&capacity.per).is_some_and(|values| !matches!(values, Values::Words(_)))
    {
        fault("capacity", no_teams(&capacity.per, published));
    }
    if let Some(floor) = &cohort.floor
        && published.column(&floor.by).is_some_and(|values| !matches!(values, Values::Words(_) | Values::Whole(_)))
    {
        fault("floor", no_groups(&floor.by));
    }
    faults
}
