//! Everything that a run needs, opened and checked before any data is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use rayon::prelude::*;

use super::Failure;
use super::cohorts::{read_cohorts, read_decisions};
use super::recipients::{Recipients, read_recipients};
use crate::code::System;
use crate::cohort::Cohort;
use crate::cohort::decisions::Decision;
use crate::day::Day;
use crate::event::Streams;
use crate::gate::Allowance;
use crate::ingest::dictionary::DictionaryInput;
use crate::ingest::events::Context;
use crate::ingest::files::{self, InputFile};
use crate::ingest::identifiers;
use crate::ingest::layout::{Builds, CsvSettings, LayoutFile};
use crate::ingest::months::Slots;
use crate::ingest::opt_out_codes;
use crate::ingest::parts::PartReader;
use crate::ingest::register::{OptOutReader, PracticeReader, RegisterReader};
use crate::ingest::{self, Input, SourceReader};
use crate::measure::plan::Plan;
use crate::measure::rehospitalisation;
use crate::model::check::{check, nearest, split_reference};
use crate::model::library::{Library, Sensitive, Table, Text};
use crate::model::{Condition, Model, Predicate, Problem, Take};
use crate::output::manifest::{Decides, LibraryFile};
use crate::person::Spine;
use crate::settings::{Purpose, Settings};

/// Everything that a run needs, checked.
pub struct Prepared {
    pub settings: Settings,
    pub library: Library,
    pub streams: Streams,
    pub models: Vec<Model>,
    pub cohorts: Vec<Cohort>,
    /// File and text that each stands in.
    pub(super) cohort_texts: Vec<(String, String)>,
    pub(super) decisions: Vec<Decision>,
    pub(super) recipients: Recipients,
    pub register: Input,
    /// Files that add registrations or deaths to it.
    pub register_parts: Vec<Input>,
    pub opt_outs: Option<Input>,
    pub practices: Option<Input>,
    pub sources: Vec<Input>,
    /// What rows are counted in as they are read.
    pub slots: Slots,
    /// Whether what came after the as-of days is read too, as far as it is the outcome of a model.
    pub(super) follows_up: bool,
    pub(super) decides: Decides,
}

/// Reads settings, models, layouts, cohorts and file headers.
///
/// # Errors
/// Every problem, in one list: nothing is looked at in the data before all of this is in order.
pub fn prepare(settings_path: &Path, models_over: Option<&Path>) -> Result<Prepared, Failure> {
    prepare_changed(settings_path, models_over, |_| ())
}

/// As [`prepare`], with settings changed once they are read: other days or models than the nightly run's.
pub fn prepare_changed(
    settings_path: &Path,
    models_over: Option<&Path>,
    change: impl FnOnce(&mut Settings),
) -> Result<Prepared, Failure> {
    let text = std::fs::read_to_string(settings_path)
        .with_context(|| format!("failed to read {}", settings_path.display()))
        .map_err(|error| Failure::Files(vec![plain(format!("{error:#}"))]))?;
    let mut settings = Settings::parse(settings_path, &text).map_err(Failure::Files)?;
    change(&mut settings);
    prepare_settings(settings, &text, models_over, true)
}

/// As [`prepare`], for a caller who hands batches over in place of files: the settings' `files` may be empty, and none is
/// looked for.
///
/// # Errors
/// Every problem of the settings, models and layouts.
pub fn prepare_for_batches(text: &str, models_over: Option<&Path>) -> Result<Prepared, Failure> {
    let settings = Settings::parse(Path::new("settings"), text).map_err(Failure::Files)?;
    prepare_settings(settings, text, models_over, false)
}

fn prepare_settings(
    settings: Settings,
    text: &str,
    models_over: Option<&Path>,
    has_files: bool,
) -> Result<Prepared, Failure> {
    let mut library = Library::load(models_over)
        .map_err(|error| Failure::Files(vec![plain(format!("{error:#}"))]))?
        .map_err(Failure::Files)?;
    if settings.sensitive.is_some() {
        library.sensitive = Sensitive::default();
    }
    let mut preparing = Preparing {
        settings: &settings,
        library: &library,
        problems: Vec::new(),
        data_problems: Vec::new(),
        layouts: BTreeMap::new(),
        has_files,
    };
    let register = preparing.input(
        "register",
        &settings.register.layout,
        &settings.register.files,
        settings.register.csv.as_ref(),
        &[Builds::Register],
    );
    let parts = [Builds::Registrations, Builds::Deaths];
    let register_parts: Vec<Input> = settings
        .register
        .with
        .iter()
        .filter_map(|part| {
            let name = format!("register, {}", part.layout);
            preparing.input(&name, &part.layout, &part.files, part.csv.as_ref(), &parts)
        })
        .collect();
    preparing.check_parts(register.as_ref(), &register_parts);
    let opt_outs = settings
        .opt_outs
        .layout
        .as_ref()
        .and_then(|layout| preparing.input("opt_outs", layout, &settings.opt_outs.files, None, &[Builds::OptOuts]));
    let practices = settings.practices.as_ref().and_then(|practices| {
        preparing.input("practices", &practices.layout, &practices.files, practices.csv.as_ref(), &[Builds::Practices])
    });
    let events = [Builds::Events, Builds::Intervals, Builds::Spells];
    let sources: Vec<Input> = settings
        .sources
        .iter()
        .filter_map(|source| {
            let input = preparing.input(&source.name, &source.layout, &source.files, source.csv.as_ref(), &events)?;
            Some(preparing.with_dictionaries(input, &source.dictionaries))
        })
        .collect();
    let streams = all_streams(&library, &preparing.layouts);
    let models = preparing.models(&streams);
    let cohorts = read_cohorts(&settings, text, &library, &models);
    let mut problems = std::mem::take(&mut preparing.problems);
    problems.extend(cohorts.problems);
    let recipients = read_recipients(&settings).unwrap_or_else(|faults| {
        problems.extend(faults);
        Recipients::default()
    });
    let inputs: Vec<&Input> =
        register.iter().chain(&register_parts).chain(&opt_outs).chain(&practices).chain(&sources).collect();
    problems.extend(files_read_twice(&inputs));
    let mut data_problems = std::mem::take(&mut preparing.data_problems);
    let decisions = read_decisions(&settings, &cohorts.cohorts);
    data_problems.extend(decisions.problems);
    data_problems.extend(unfinished_folders(&inputs));
    if problems.is_empty() && !data_problems.is_empty() {
        return Err(Failure::Data(anyhow!(data_problems.join("\n"))));
    }
    problems.extend(data_problems.into_iter().map(plain));
    let layouts: BTreeSet<String> = preparing.layouts.keys().cloned().collect();
    let (Some(register), true) = (register, problems.is_empty()) else { return Err(Failure::Files(problems)) };
    let mut decides = decides(&settings, text, &library, &layouts);
    (decides.allowed, _) = settings.standing_allowances();
    decides.allowed.sort();
    decides.allowed.dedup();
    decides.overrides = decisions.files;
    let (cohorts, cohort_texts) = (cohorts.cohorts, cohorts.texts);
    let prepared = Prepared {
        slots: Slots::new(&scored_days(&settings, &cohorts)),
        settings,
        library,
        streams,
        models,
        cohorts,
        cohort_texts,
        decisions: decisions.decisions,
        recipients,
        register,
        register_parts,
        opt_outs,
        practices,
        sources,
        follows_up: false,
        decides,
    };
    prepared.check_headers().map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    prepared.check_cohorts().map_err(Failure::Files)?;
    prepared.check_identifiers().map_err(Failure::Data)?;
    Ok(prepared)
}

/// The as-of days, and those before them that a cohort's history looks at.
fn scored_days(settings: &Settings, cohorts: &[Cohort]) -> Vec<Day> {
    let back = cohorts.iter().filter_map(|cohort| cohort.history.as_ref()).map(|history| history.back).max();
    let before = |as_of: &Day| (0..=back.unwrap_or(0)).map(|months| as_of.months_before(months)).collect::<Vec<_>>();
    let mut days: Vec<Day> = settings.as_of.0.iter().flat_map(before).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// What whoever fills a folder leaves in it until all of it is there, as `riskstrat synth` does.
const INCOMPLETE: &str = "INCOMPLETE";

/// Folders of inputs that say that they are not yet whole.
fn unfinished_folders(inputs: &[&Input]) -> Vec<String> {
    let folders: BTreeSet<&Path> =
        inputs.iter().flat_map(|input| input.files.iter().filter_map(|file| file.path.parent())).collect();
    let unfinished = folders.into_iter().filter(|folder| folder.join(INCOMPLETE).exists());
    let what = |folder: &Path| format!("{} holds a file {INCOMPLETE}: it was not filled to the end", folder.display());
    unfinished.map(what).collect()
}

/// A file that two sources read would count twice, unless each takes other streams from it.
fn files_read_twice(inputs: &[&Input]) -> Vec<Problem> {
    let mut known: BTreeMap<PathBuf, Vec<&Input>> = BTreeMap::new();
    let mut problems = Vec::new();
    for input in inputs {
        for file in &input.files {
            let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            let readers = known.entry(path).or_default();
            if let Some(other) = readers.iter().find(|other| is_counted_twice(other, input)) {
                problems.push(plain(format!(
                    "{} is read by source \"{}\" and by source \"{}\"; its rows would count twice",
                    file.name, other.name, input.name
                )));
            }
            readers.push(input);
        }
    }
    problems
}

/// Whether two inputs make the same kind of thing of a row.
fn is_counted_twice(one: &Input, two: &Input) -> bool {
    let streams = |input: &Input| {
        let mut streams = Streams::default();
        input.layout.add_streams(&mut streams);
        streams.streams.into_keys().collect::<BTreeSet<String>>()
    };
    let (one, two) = (streams(one), streams(two));
    one.is_empty() || two.is_empty() || !one.is_disjoint(&two)
}

fn plain(what: String) -> Problem {
    Problem { file: "riskstrat".to_owned(), line: 0, what }
}

/// The streams of every layout there is: a model may ask about a feed that a run does not have.
pub fn all_streams(library: &Library, used: &BTreeMap<String, LayoutFile>) -> Streams {
    let mut streams = Streams::default();
    for layout in used.values() {
        layout.add_streams(&mut streams);
    }
    for text in library.layouts.values() {
        if let Ok(layout) = LayoutFile::parse(&text.file, &text.text) {
            layout.add_streams(&mut streams);
        }
    }
    streams
}

struct Preparing<'a> {
    settings: &'a Settings,
    library: &'a Library,
    problems: Vec<Problem>,
    /// Of the files that the settings name, not of the settings.
    data_problems: Vec<String>,
    layouts: BTreeMap<String, LayoutFile>,
    /// Whether inputs come as files.
    has_files: bool,
}

impl Preparing<'_> {
    fn problem(&mut self, what: String) {
        self.problems.push(Problem { file: "settings".to_owned(), line: 0, what });
    }

    fn input(
        &mut self,
        name: &str,
        layout: &str,
        patterns: &[String],
        csv: Option<&CsvSettings>,
        allowed: &[Builds],
    ) -> Option<Input> {
        let patterns = if self.has_files { patterns } else { &[] };
        let files = match files::find(&self.settings.base, patterns) {
            Ok(files) => files,
            Err(problems) => {
                self.data_problems.extend(problems.into_iter().map(|what| format!("source \"{name}\": {what}")));
                Vec::new()
            }
        };
        if patterns.is_empty() && self.has_files {
            self.problem(format!("source \"{name}\" has no files"));
        }
        let layout = self.layout(name, layout)?;
        if !allowed.contains(&layout.layout.builds) {
            self.problem(format!(
                "source \"{name}\": layout \"{}\" builds {:?}, which has no place here",
                layout.layout.id, layout.layout.builds
            ));
            return None;
        }
        let dialect = ingest::dialect(csv.unwrap_or(&layout.csv));
        Some(Input { name: name.to_owned(), layout, files, dialect, dictionaries: Vec::new() })
    }

    /// A register whose layout has no registrations gets them from elsewhere, or nobody is registered.
    fn check_parts(&mut self, register: Option<&Input>, parts: &[Input]) {
        let of_its_own = register.and_then(|input| input.layout.register.as_ref());
        let has_registrations = of_its_own.is_none_or(|register| register.registration_start.is_some())
            || parts.iter().any(|part| part.layout.layout.builds == Builds::Registrations);
        if let (Some(register), false) = (register, has_registrations) {
            self.problem(format!(
                "layout \"{}\" has no registrations; name their files under [[register.with]]",
                register.layout.layout.id
            ));
        }
    }

    /// The input with the files of its dictionaries; without those that a run may do without, and their fields.
    fn with_dictionaries(&mut self, mut input: Input, files: &BTreeMap<String, Vec<String>>) -> Input {
        let (id, name) = (input.layout.layout.id.clone(), input.name.clone());
        let tables = std::mem::take(&mut input.layout.dictionaries);
        let known: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        for given in files.keys().filter(|given| !known.contains(&given.as_str())) {
            let near = nearest(given, known.iter().copied());
            self.problem(format!("source \"{name}\": layout \"{id}\" has no dictionary \"{given}\"{near}"));
        }
        for table in &tables {
            match files.get(&table.name) {
                Some(patterns) => match files::find(&self.settings.base, patterns) {
                    Ok(found) => input.dictionaries.push(DictionaryInput::new(table, &input.layout, found)),
                    Err(problems) => {
                        let what = |what| format!("source \"{name}\", dictionary \"{}\": {what}", table.name);
                        self.data_problems.extend(problems.into_iter().map(what));
                    }
                },
                None if table.optional => {
                    input.layout.fields.retain(|field| field.dictionary.as_ref() != Some(&table.name));
                }
                None => self.problem(format!(
                    "source \"{name}\": layout \"{id}\" needs the dictionary \"{0}\" ({1} to {2}); write dictionaries = {{ {0} = [\"FILE\"] }}",
                    table.name, table.key, table.code
                )),
            }
        }
        input.layout.dictionaries = tables;
        input
    }

    fn layout(&mut self, source: &str, id: &str) -> Option<LayoutFile> {
        if let Some(layout) = self.layouts.get(id) {
            return Some(layout.clone());
        }
        let Some(text) = self.library.layouts.get(id) else {
            let known: Vec<&str> = self.library.layouts.keys().map(String::as_str).collect();
            let near = nearest(id, known.iter().copied());
            self.problem(format!("source \"{source}\": no layout \"{id}\"{near}; known are {}", known.join(", ")));
            return None;
        };
        match LayoutFile::parse(&text.file, &text.text) {
            Ok(layout) => {
                self.layouts.insert(id.to_owned(), layout.clone());
                Some(layout)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn models(&mut self, streams: &Streams) -> Vec<Model> {
        let mut models: Vec<Model> = Vec::new();
        for id in &self.settings.models {
            if models.iter().any(|model| &model.id == id) {
                self.problem(format!("model \"{id}\" is listed twice"));
                continue;
            }
            match self.library.models.get(id) {
                None => {
                    let known: Vec<&str> = self.library.models.keys().map(String::as_str).collect();
                    let near = nearest(id, known.iter().copied());
                    self.problem(format!("no model \"{id}\"{near}; known are {}", known.join(", ")));
                }
                Some(text) => match check(&text.file, &text.text, self.library, streams) {
                    Ok(model) => {
                        self.problems.extend(sensitive_codes_asked_for(&model, &text.file, self.library, streams));
                        models.push(model);
                    }
                    Err(problems) => self.problems.extend(problems),
                },
            }
        }
        models
    }
}

/// Where a model names sensitive codes, which no event of its ever has.
fn sensitive_codes_asked_for(model: &Model, file: &str, library: &Library, streams: &Streams) -> Vec<Problem> {
    let plan = Plan::new(std::slice::from_ref(model), &[], streams);
    let conditions = plan.streams.iter().flat_map(|stream| &stream.predicates).flat_map(|of| of.conditions.values());
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for condition in conditions {
        match condition {
            Condition::In(references) => {
                asked.extend(references.iter().map(|of| (format!("code list \"{of}\""), sensitive_on(library, of))));
            }
            Condition::Words(codes) | Condition::Prefix(codes) => {
                let is_sensitive =
                    |code: &&String| System::ALL.iter().any(|s| library.sensitive.has(*s, code.as_bytes()));
                *asked.entry("the model".to_owned()).or_default() += codes.iter().filter(is_sensitive).count();
            }
            // What is left out asks for nothing.
            Condition::Not(_) => {}
        }
    }
    asked.extend(plan.measures.iter().filter_map(|planned| match &planned.measure.take {
        Take::WeightsOnce { list, .. } => Some((format!("code list \"{list}\""), sensitive_on(library, list))),
        _ => None,
    }));
    let problem = |(place, codes): (String, usize)| {
        let what = format!(
            "{place} names {codes} codes of the list of sensitive codes, which reach no event; take them out, or state the legal basis in the settings: [sensitive] legal_basis = \"...\""
        );
        (codes > 0).then(|| Problem { file: file.to_owned(), line: 0, what })
    };
    asked.into_iter().filter_map(problem).collect()
}

/// How many codes of a list, or of one of its categories, are sensitive.
fn sensitive_on(library: &Library, reference: &str) -> usize {
    let (list, category) = split_reference(reference);
    let list = &library.code_lists[list];
    let category = category.and_then(|name| list.category(name));
    list.codes_of(category).filter(|(system, code)| library.sensitive.has(*system, code)).count()
}

fn decides(settings: &Settings, text: &str, library: &Library, layouts: &BTreeSet<String>) -> Decides {
    let mut files: BTreeMap<String, LibraryFile> = BTreeMap::new();
    let mut add = |text: Option<&Text>| {
        if let Some(text) = text {
            files.insert(text.file.clone(), LibraryFile { sha256: text.sha256(), shipped: text.is_shipped });
        }
    };
    settings.models.iter().for_each(|id| add(library.models.get(id)));
    settings.cohorts.iter().for_each(|id| add(library.cohorts.get(id)));
    layouts.iter().for_each(|id| add(library.layouts.get(id)));
    library.data_files.values().for_each(|text| add(Some(text)));
    let settings_text = Text { file: String::new(), text: text.to_owned(), is_shipped: false };
    Decides {
        riskstrat: env!("CARGO_PKG_VERSION").to_owned(),
        binary_sha256: String::new(),
        as_of: String::new(),
        settings_sha256: settings_text.sha256(),
        opt_outs: settings.opt_outs.applied_upstream.clone().unwrap_or_else(|| "applied here".to_owned()),
        library: files,
        inputs: Vec::new(),
        allowed: Vec::new(),
        compared_with: None,
        overrides: BTreeMap::new(),
        last_lists: None,
    }
}

impl Prepared {
    /// Lets gates through, each for its reason: as many reasons as gates, or one for all of them.
    ///
    /// # Errors
    /// Every gate that is not known, with the nearest; a gate without a reason.
    pub fn allow(&mut self, typed: &[String], because: &[String]) -> Result<(), Failure> {
        let reasons: Vec<&String> = match because {
            [one] => typed.iter().map(|_| one).collect(),
            many if many.len() == typed.len() => many.iter().collect(),
            many => {
                return Err(Failure::Command(format!(
                    "{} of --allow and {} of --because: each --allow has its reason after it, or one reason is for all of them",
                    typed.len(),
                    many.len()
                )));
            }
        };
        let (allowed, faults): (Vec<_>, Vec<_>) =
            typed.iter().zip(reasons).map(|(typed, because)| Allowance::parse(typed, because)).partition(Result::is_ok);
        if !faults.is_empty() {
            return Err(Failure::Command(faults.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("\n")));
        }
        self.decides.allowed.extend(allowed.into_iter().flatten());
        self.decides.allowed.sort();
        self.decides.allowed.dedup();
        Ok(())
    }

    /// Whether a model asks for the hospitals' ratios, and no table of the user's gives them.
    pub(super) fn works_out_ratios(&self) -> bool {
        rehospitalisation::is_needed(&self.models) && self.library.table(Table::REHOSPITALISATION).is_none()
    }

    /// What decides the outputs, as far as it is known before the inputs are read.
    pub fn decided(&self) -> &Decides {
        &self.decides
    }

    /// All inputs, the small tables first.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        let register = std::iter::once(&self.register).chain(&self.register_parts);
        register.chain(&self.opt_outs).chain(&self.practices).chain(&self.sources)
    }

    pub(super) fn check_headers(&self) -> Result<(), Vec<String>> {
        let plan = self.plan();
        let mut problems = Vec::new();
        for input in self.inputs() {
            match self.wanted(input, &plan) {
                Ok(wanted) => {
                    problems.extend(input.files.iter().filter_map(|file| header_problem(input, file, &wanted)))
                }
                Err(error) => problems.push(format!("source \"{}\": {error:#}", input.name)),
            }
        }
        for (input, dictionary) in
            self.sources.iter().flat_map(|input| input.dictionaries.iter().map(move |dictionary| (input, dictionary)))
        {
            let table = Input {
                name: format!("{}, dictionary {}", input.name, dictionary.table.name),
                layout: input.layout.clone(),
                files: dictionary.files.clone(),
                dialect: dictionary.dialect,
                dictionaries: Vec::new(),
            };
            let wanted = dictionary.wanted();
            problems.extend(table.files.iter().filter_map(|file| header_problem(&table, file, &wanted)));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The columns of an input that the models need, and whether a file may lack them.
    ///
    /// # Errors
    /// A layout that does not fit its place.
    pub fn wanted(&self, input: &Input, plan: &Plan) -> Result<Vec<(String, bool)>> {
        let of_aggregates = (self.settings.purpose(&input.name) == Purpose::Aggregates).then(|| self.opt_out_plan());
        let plan = of_aggregates.as_ref().unwrap_or(plan);
        let spine = Spine::default();
        let context = Context {
            plan,
            library: &self.library,
            spine: &spine,
            horizon: self.horizon_of(input),
            slots: &self.slots,
            spill: None,
        };
        Ok(match input.layout.layout.builds {
            Builds::Register => RegisterReader::new(&input.layout)?.wanted().to_vec(),
            Builds::Registrations | Builds::Deaths => PartReader::new(&input.layout)?.wanted().to_vec(),
            Builds::OptOuts => OptOutReader::new(&input.layout).wanted().to_vec(),
            Builds::Practices => PracticeReader::new(&input.layout).wanted().to_vec(),
            _ => SourceReader::new(context, &input.layout)?.map_or(Vec::new(), |reader| reader.wanted().to_vec()),
        })
    }

    /// Looks for identifiers in a sample of every column of every file.
    fn check_identifiers(&self) -> Result<()> {
        let files: Vec<(&Input, &InputFile)> =
            self.inputs().flat_map(|input| input.files.iter().map(move |file| (input, file))).collect();
        let looked_at: Vec<Result<Vec<String>>> = files
            .into_par_iter()
            .map(|(input, file)| {
                identifiers::look_at_file(input, file, &self.settings.identifiers)
                    .with_context(|| format!("source \"{}\"", input.name))
            })
            .collect();
        let found: Vec<String> = looked_at.into_iter().collect::<Result<Vec<_>>>()?.concat();
        if found.is_empty() { Ok(()) } else { Err(anyhow!(found.join("\n"))) }
    }

    pub fn plan(&self) -> Plan {
        let mut besides = opt_out_codes::predicates(&self.streams, &self.library);
        if self.works_out_ratios() {
            besides.extend(rehospitalisation::predicates());
        }
        for events in self.outcomes() {
            // Every event of the stream, so that the newest of them shows until when people could be followed.
            besides.extend([events.clone(), Predicate { stream: events.stream.clone(), conditions: BTreeMap::new() }]);
        }
        Plan::new(&self.models, &besides, &self.streams)
    }

    /// The events that are outcomes of the models, where what came after the as-of days is read.
    fn outcomes(&self) -> impl Iterator<Item = &Predicate> {
        let rules = self.models.iter().filter(|_| self.follows_up).filter_map(|model| model.outcome_rule.as_ref());
        rules.filter_map(|rule| rule.events.as_ref())
    }

    /// The stream whose events tell what came of people, by its place in the plan.
    pub(super) fn followed_stream(&self, plan: &Plan) -> Option<usize> {
        self.outcomes().next().and_then(|events| plan.stream(&events.stream))
    }

    /// The first day of which a source's rows are not read: the last as-of day, or none at all where the source tells
    /// what came of people.
    pub(super) fn horizon_of(&self, input: &Input) -> Day {
        match self.outcomes().any(|events| provides(input, &events.stream)) {
            true => Day(i32::MAX),
            false => self.settings.horizon(),
        }
    }

    /// What a source that no score may use is still read for: opt-outs by code.
    pub(super) fn opt_out_plan(&self) -> Plan {
        Plan::new(&[], &opt_out_codes::predicates(&self.streams, &self.library), &self.streams)
    }

    /// The streams that only sources for aggregates send.
    pub(super) fn withheld_streams(&self) -> BTreeSet<String> {
        let streams_of = |purpose: Purpose| {
            let mut streams = Streams::default();
            let of = self.sources.iter().filter(|input| self.settings.purpose(&input.name) == purpose);
            of.for_each(|input| input.layout.add_streams(&mut streams));
            streams.streams.into_keys().collect::<BTreeSet<String>>()
        };
        &streams_of(Purpose::Aggregates) - &streams_of(Purpose::Scores)
    }
}

/// Whether a source's rows become events of a stream.
pub(super) fn provides(input: &Input, stream: &str) -> bool {
    let mut streams = Streams::default();
    input.layout.add_streams(&mut streams);
    streams.streams.contains_key(stream)
}

fn header_problem(input: &Input, file: &InputFile, wanted: &[(String, bool)]) -> Option<String> {
    let header = match files::header(file, &input.dialect) {
        Ok(header) => header,
        Err(error) => return Some(format!("source \"{}\": {error:#}", input.name)),
    };
    let required: Vec<&str> = wanted.iter().filter(|(_, optional)| !optional).map(|(name, _)| name.as_str()).collect();
    let missing = files::missing_columns(&header, &required);
    let delimiter = char::from(input.dialect.delimiter);
    if let ([only], false) = (&header[..], missing.is_empty())
        && let Some(other) =
            [',', ';', '\t', '|'].into_iter().find(|other| *other != delimiter && only.contains(*other))
    {
        let what = "the header is one column; the delimiter may be";
        return Some(format!("source \"{}\": {}: {what} {other:?}, not {delimiter:?}", input.name, file.name));
    }
    (!missing.is_empty())
        .then(|| format!("source \"{}\": {}: {}", input.name, file.name, files::describe_missing(&missing)))
}
