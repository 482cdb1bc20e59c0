//! The stages of a run, in order.
//!
//! [`prepare`] opens settings, models, layouts and file headers and names every problem at once; [`run`] reads, scores
//! and publishes. Nothing is published unless every as-of date's outputs are whole and no limit is breached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rayon::prelude::*;

use crate::cohort::Cohort;
use crate::cohort::columns::{Published, published_columns};
use crate::day::Day;
use crate::event::Streams;
use crate::ingest::counts::{Counts, Reject, Rule};
use crate::ingest::coverage::Coverage;
use crate::ingest::events::Context;
use crate::ingest::files::{self, InputFile};
use crate::ingest::layout::{Builds, LayoutFile};
use crate::ingest::register::{OptOutReader, PracticeReader, Practices, RegisterReader};
use crate::ingest::{self, Input, Linked, SourceReader};
use crate::measure::evaluate::Evaluator;
use crate::measure::plan::{Operations, Plan, Tables};
use crate::measure::rehospitalisation::{self, Provider};
use crate::model::check::{check, nearest};
use crate::model::library::{Library, Table, Text};
use crate::model::{Model, Problem, Take};
use crate::number::Micro;
use crate::output::manifest::{
    CohortLine, Decides, InputLine, LibraryFile, Manifest, ModelLine, SourceQuality, Step, rejects_csv, share,
};
use crate::output::publish::{Stage, publish};
use crate::output::{OutputFile, lists, tables};
use crate::person::{Spine, Standing};
use crate::score::fidelity::{Availability, Grade};
use crate::score::people::{Everybody, Scores};
use crate::settings::Settings;
use crate::strata::{Strata, strata};

/// Why a run stopped, which decides the exit code.
#[derive(Debug)]
pub enum Failure {
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
            Failure::Files(_) => 3,
            Failure::Data(_) => 4,
            Failure::Output(_) => 5,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
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

/// Everything that a run needs, checked.
pub struct Prepared {
    pub settings: Settings,
    pub library: Library,
    pub streams: Streams,
    pub models: Vec<Model>,
    pub cohorts: Vec<Cohort>,
    pub register: Input,
    pub opt_outs: Option<Input>,
    pub practices: Option<Input>,
    pub sources: Vec<Input>,
    decides: Decides,
}

/// Reads settings, models, layouts, cohorts and file headers.
///
/// # Errors
/// Every problem, in one list: nothing is looked at in the data before all of this is in order.
pub fn prepare(settings_path: &Path, models_over: Option<&Path>) -> Result<Prepared, Failure> {
    let text = std::fs::read_to_string(settings_path)
        .with_context(|| format!("failed to read {}", settings_path.display()))
        .map_err(|error| Failure::Files(vec![plain(format!("{error:#}"))]))?;
    let settings = Settings::parse(settings_path, &text).map_err(Failure::Files)?;
    let library = Library::load(models_over)
        .map_err(|error| Failure::Files(vec![plain(format!("{error:#}"))]))?
        .map_err(Failure::Files)?;
    let mut preparing = Preparing {
        settings: &settings,
        library: &library,
        problems: Vec::new(),
        data_problems: Vec::new(),
        layouts: BTreeMap::new(),
    };
    let register = preparing.input(
        "register",
        &settings.register.layout,
        &settings.register.files,
        settings.register.csv.as_ref(),
        &[Builds::Register],
    );
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
        .filter_map(|source| preparing.input(&source.name, &source.layout, &source.files, source.csv.as_ref(), &events))
        .collect();
    let streams = all_streams(&library, &preparing.layouts);
    let models = preparing.models(&streams);
    let cohorts = preparing.cohorts(&models);
    let mut problems = std::mem::take(&mut preparing.problems);
    let inputs: Vec<&Input> = register.iter().chain(&opt_outs).chain(&practices).chain(&sources).collect();
    problems.extend(files_read_twice(&inputs));
    let mut data_problems = std::mem::take(&mut preparing.data_problems);
    data_problems.extend(unfinished_folders(&inputs));
    if problems.is_empty() && !data_problems.is_empty() {
        return Err(Failure::Data(anyhow!(data_problems.join("\n"))));
    }
    problems.extend(data_problems.into_iter().map(plain));
    let layouts: BTreeSet<String> = preparing.layouts.keys().cloned().collect();
    let (Some(register), true) = (register, problems.is_empty()) else { return Err(Failure::Files(problems)) };
    let decides = decides(&settings, &text, &library, &layouts);
    let prepared =
        Prepared { settings, library, streams, models, cohorts, register, opt_outs, practices, sources, decides };
    prepared.check_headers().map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    prepared.check_cohorts().map_err(Failure::Files)?;
    Ok(prepared)
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

/// A file that two sources read would count twice.
fn files_read_twice(inputs: &[&Input]) -> Vec<Problem> {
    let mut known: BTreeMap<PathBuf, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for input in inputs {
        for file in &input.files {
            let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            if let Some(other) = known.insert(path, &input.name) {
                problems.push(plain(format!(
                    "{} is read by source \"{other}\" and by source \"{}\"; its rows would count twice",
                    file.name, input.name
                )));
            }
        }
    }
    problems
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
        csv: Option<&crate::ingest::layout::CsvSettings>,
        allowed: &[Builds],
    ) -> Option<Input> {
        let files = match files::find(&self.settings.base, patterns) {
            Ok(files) => files,
            Err(problems) => {
                self.data_problems.extend(problems.into_iter().map(|what| format!("source \"{name}\": {what}")));
                Vec::new()
            }
        };
        if patterns.is_empty() {
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
        Some(Input { name: name.to_owned(), layout, files, dialect })
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
                    Ok(model) => models.push(model),
                    Err(problems) => self.problems.extend(problems),
                },
            }
        }
        models
    }

    fn cohorts(&mut self, models: &[Model]) -> Vec<Cohort> {
        let mut cohorts: Vec<Cohort> = Vec::new();
        for id in &self.settings.cohorts {
            if cohorts.iter().any(|cohort| &cohort.id == id) {
                self.problem(format!("cohort \"{id}\" is listed twice"));
                continue;
            }
            let Some(text) = self.library.cohorts.get(id) else {
                let known: Vec<&str> = self.library.cohorts.keys().map(String::as_str).collect();
                let near = nearest(id, known.iter().copied());
                self.problem(format!("no cohort \"{id}\"{near}; known are {}", known.join(", ")));
                continue;
            };
            match Cohort::parse(&text.file, &text.text) {
                Ok(cohort) => {
                    let listed = self.settings.models.contains(&cohort.model);
                    if !listed || models.iter().any(|model| model.id == cohort.model && !model.is_scored()) {
                        self.problem(format!("cohort \"{id}\" is built on model \"{}\", which is not among the scored models of this run", cohort.model));
                    }
                    cohorts.push(cohort);
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        cohorts
    }
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
    }
}

impl Prepared {
    /// Whether a model asks for the hospitals' ratios, and no table of the user's gives them.
    fn works_out_ratios(&self) -> bool {
        rehospitalisation::is_needed(&self.models) && self.library.table(Table::REHOSPITALISATION).is_none()
    }

    /// What decides the outputs, as far as it is known before the inputs are read.
    pub fn decided(&self) -> &Decides {
        &self.decides
    }

    /// All inputs, the small tables first.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        std::iter::once(&self.register).chain(&self.opt_outs).chain(&self.practices).chain(&self.sources)
    }

    fn check_headers(&self) -> Result<(), Vec<String>> {
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
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The columns of an input that the models need, and whether a file may lack them.
    ///
    /// # Errors
    /// A layout that does not fit its place.
    pub fn wanted(&self, input: &Input, plan: &Plan) -> Result<Vec<(String, bool)>> {
        let spine = Spine::default();
        let context = Context { plan, library: &self.library, spine: &spine, horizon: self.settings.horizon() };
        Ok(match input.layout.layout.builds {
            Builds::Register => RegisterReader::new(&input.layout)?.wanted().to_vec(),
            Builds::OptOuts => OptOutReader::new(&input.layout).wanted().to_vec(),
            Builds::Practices => PracticeReader::new(&input.layout).wanted().to_vec(),
            _ => SourceReader::new(context, &input.layout)?.map_or(Vec::new(), |reader| reader.wanted().to_vec()),
        })
    }

    /// Runs every cohort rule over the published columns of nobody, so that a wrong rule is found before the data is read.
    fn check_cohorts(&self) -> Result<(), Vec<Problem>> {
        let practices = Practices {
            columns: self
                .practices
                .iter()
                .flat_map(|input| input.layout.fields.iter().map(|field| field.name.clone()))
                .collect(),
            ..Practices::default()
        };
        let mut spine = Spine::default();
        for name in &self.streams.words {
            spine.words.insert(name.clone(), crate::person::WordColumn::default());
        }
        for name in &self.streams.numbers {
            spine.numbers.insert(name.clone(), Vec::new());
        }
        let none: Vec<crate::score::people::ModelScores> = self
            .models
            .iter()
            .map(|model| crate::score::people::ModelScores {
                facts: vec![Vec::new(); model.terms.len()],
                ..Default::default()
            })
            .collect();
        let scores =
            Scores { as_of: self.settings.horizon(), standings: Vec::new(), models: none, look_ups: Vec::new() };
        let strata = vec![Strata::default(); self.models.len()];
        let table = published_columns(&self.models, &spine, &practices, &scores, &strata, &Availability::default())
            .table(|_| true);
        let table = table.map_err(|error| vec![plain(format!("{error:#}"))])?;
        let faults = self.cohorts.iter().filter_map(|cohort| cohort.check(&table).err());
        let problems: Vec<Problem> = faults.map(|what| Problem { file: "cohorts".to_owned(), line: 0, what }).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    pub fn plan(&self) -> Plan {
        let besides = if self.works_out_ratios() { rehospitalisation::predicates().to_vec() } else { Vec::new() };
        Plan::new(&self.models, &besides, &self.streams)
    }
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

/// What a run came to, for the table that is printed at its end.
#[derive(Debug)]
pub struct Report {
    pub published: Vec<PathBuf>,
    pub people: u64,
    pub opted_out: u64,
    pub sources: Vec<SourceQuality>,
    pub dates: Vec<DateReport>,
    pub timings: Vec<(String, Duration)>,
    pub rows: u64,
}

#[derive(Debug)]
pub struct DateReport {
    pub as_of: Day,
    pub models: Vec<ModelLine>,
    pub cohorts: Vec<CohortLine>,
    /// The first list of the first cohort: practice, header and first rows.
    pub first_list: Option<lists::List>,
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

/// The people of a run and the small tables about them.
pub struct People {
    pub spine: Spine,
    pub practices: Practices,
    pub register_counts: Counts,
    pub opt_out_counts: Counts,
    pub practice_counts: Counts,
    pub opted_out: u64,
}

/// Reads register, opt-outs and practices.
pub fn read_people(prepared: &Prepared, advance: &(dyn Fn(u64) + Sync)) -> Result<People> {
    let mut opted_out_keys = Vec::new();
    let (mut opt_out_counts, mut practice_counts) = (Counts::default(), Counts::default());
    if let Some(input) = &prepared.opt_outs {
        let reader = OptOutReader::new(&input.layout);
        ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
        (opted_out_keys, opt_out_counts) = reader.finish();
    }
    let reader = RegisterReader::new(&prepared.register.layout)?;
    ingest::read_all(&prepared.register, reader.wanted(), &|batch| reader.take(batch), advance)?;
    let (spine, register_counts, opted_out) = reader.finish(&opted_out_keys)?;
    let mut practices = Practices::default();
    if let Some(input) = &prepared.practices {
        let reader = PracticeReader::new(&input.layout);
        ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
        (practices, practice_counts) = reader.finish();
    }
    Ok(People { spine, practices, register_counts, opt_out_counts, practice_counts, opted_out })
}

/// Reads every source into timelines.
pub fn read_events(
    prepared: &Prepared,
    plan: &Plan,
    spine: &Spine,
    stage: &mut dyn FnMut(&str, u64),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Linked> {
    let context = Context { plan, library: &prepared.library, spine, horizon: prepared.settings.horizon() };
    stage("read sources", prepared.sources.iter().map(Input::bytes).sum());
    // All sources at once: one file of a small source would leave the other threads waiting.
    let read = |input: &Input| match SourceReader::new(context, &input.layout)? {
        Some(reader) => {
            ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
            Ok(reader.finish())
        }
        None => ingest::count_unasked(input, advance),
    };
    let finished: Vec<Result<_>> = prepared.sources.par_iter().map(read).collect();
    let finished = finished.into_iter().collect::<Result<Vec<_>>>()?;
    stage("build timelines", 0);
    Ok(ingest::link(spine.people(), finished))
}

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
pub fn operations_at(
    prepared: &Prepared,
    plan: &Plan,
    linked: &Linked,
    spine: &Spine,
    as_of: Day,
) -> (Operations, BTreeMap<String, Provider>) {
    let providers = match prepared.works_out_ratios() {
        true => rehospitalisation::providers(plan, &linked.concepts, spine, &linked.timelines, as_of),
        false => BTreeMap::new(),
    };
    let ratios = providers.iter().map(|(code, provider)| (code.clone(), provider.ratio())).collect();
    let tables = RunTables { library: &prepared.library, ratios };
    (plan.operations(&linked.concepts, &prepared.library, &tables), providers)
}

/// Reads, scores and publishes.
///
/// # Errors
/// Whatever stops a run; nothing is published then, and the last published run stays.
pub fn run(prepared: &Prepared, progress: &dyn Progress) -> Result<Report, Failure> {
    let mut clock = Clock { progress, stages: Vec::new() };
    let advance = |units| progress.advance(units);
    let out = prepared.settings.out_folder();
    let stages =
        prepared.settings.as_of.0.iter().map(|day| Stage::open(&out, &day.to_string()).map(|stage| (*day, stage)));
    let stages: Vec<(Day, Stage)> = stages.collect::<Result<_>>().map_err(Failure::Output)?;
    let abandon = |stages: Vec<(Day, Stage)>, failure| {
        stages.into_iter().for_each(|(_, stage)| stage.abandon());
        Err(failure)
    };
    match make(prepared, &mut clock, &advance, &stages) {
        Ok(mut report) => {
            clock.stage("publish", 0);
            let stages = stages.into_iter().map(|(_, stage)| stage).collect();
            report.published = publish(stages).map_err(Failure::Output)?;
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
    clock.stage("hash inputs", prepared.inputs().map(Input::bytes).sum());
    let mut decides = prepared.decides.clone();
    decides.inputs = hash_inputs(prepared, advance).map_err(Failure::Data)?;
    decides.binary_sha256 = binary_sha256();
    clock.stage("read register", prepared.register.bytes());
    let people = read_people(prepared, advance).map_err(Failure::Data)?;
    let plan = prepared.plan();
    let linked = read_events(prepared, &plan, &people.spine, &mut |name, units| clock.stage(name, units), advance)
        .map_err(Failure::Data)?;
    let sources = source_quality(prepared, &people, &linked);
    check_limits(prepared, &people, &linked, &sources).map_err(Failure::Data)?;
    let mut dates = Vec::new();
    for (as_of, stage) in stages {
        clock.stage(&format!("score {as_of}"), people.spine.people() as u64);
        let (operations, providers) = operations_at(prepared, &plan, &linked, &people.spine, *as_of);
        let evaluator = Evaluator::new(&plan, &operations);
        let coverage =
            Coverage::new(&plan, &prepared.streams, &linked.concepts, &people.spine, &linked.timelines, *as_of);
        let availability = Availability::new(&plan, &coverage, people.spine.practices.len(), *as_of);
        let everybody = Everybody {
            models: &prepared.models,
            evaluator: &evaluator,
            availability: &availability,
            spine: &people.spine,
            timelines: &linked.timelines,
            as_of: *as_of,
        };
        let scores = everybody.score(advance);
        check_terms(prepared, &plan, &scores).map_err(Failure::Data)?;
        let strata: Vec<Strata> = prepared
            .models
            .iter()
            .zip(&scores.models)
            .map(|(model, of)| strata(model, &of.linear_predictors))
            .collect();
        clock.stage(&format!("write {as_of}"), 0);
        let at = AtDate {
            availability: &availability,
            prepared,
            people: &people,
            scores: &scores,
            strata: &strata,
            providers: &providers,
        };
        decides.as_of = as_of.to_string();
        let report = at.write(stage, &decides, &sources, &linked)?;
        dates.push(report);
    }
    for (as_of, stage) in stages {
        let timings = timings_json(clock, *as_of);
        stage.write(&[timings]).map_err(Failure::Output)?;
    }
    Ok(Report {
        published: Vec::new(),
        people: people.spine.people() as u64,
        opted_out: people.opted_out,
        rows: sources.iter().map(|source| source.rows).sum(),
        sources,
        dates,
        timings: Vec::new(),
    })
}

fn timings_json(clock: &Clock, as_of: Day) -> OutputFile {
    let stages: Vec<_> = clock
        .timings()
        .iter()
        .map(|(name, time)| serde_json::json!({ "stage": name, "milliseconds": time.as_millis() as u64 }))
        .collect();
    let json =
        serde_json::json!({ "as_of": as_of.to_string(), "threads": rayon::current_num_threads(), "stages": stages });
    OutputFile::new("timings.json", pretty(&json))
}

/// The hash of the program itself, taken once; a program that was replaced while it ran cannot be read.
fn binary_sha256() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = || std::env::current_exe().map_err(anyhow::Error::from).and_then(|path| files::sha256(&path));
    HASH.get_or_init(|| hash().unwrap_or_else(|_| "not readable".to_owned())).clone()
}

fn hash_inputs(prepared: &Prepared, advance: &(dyn Fn(u64) + Sync)) -> Result<Vec<InputLine>> {
    let files: Vec<(&Input, &InputFile)> =
        prepared.inputs().flat_map(|input| input.files.iter().map(move |file| (input, file))).collect();
    files
        .into_par_iter()
        .map(|(input, file)| {
            let sha256 = files::sha256(&file.path)?;
            advance(file.bytes);
            Ok(InputLine {
                source: input.name.clone(),
                layout: input.layout.layout.id.clone(),
                file: file.name.clone(),
                bytes: file.bytes,
                sha256,
            })
        })
        .collect()
}

/// Every input with what became of its rows, the small tables first.
fn counted<'a>(prepared: &'a Prepared, people: &'a People, linked: &'a Linked) -> Vec<(&'a Input, &'a Counts)> {
    let mut counted = vec![(&prepared.register, &people.register_counts)];
    counted.extend(prepared.opt_outs.iter().map(|input| (input, &people.opt_out_counts)));
    counted.extend(prepared.practices.iter().map(|input| (input, &people.practice_counts)));
    counted.extend(prepared.sources.iter().zip(&linked.counts));
    counted
}

fn source_quality(prepared: &Prepared, people: &People, linked: &Linked) -> Vec<SourceQuality> {
    let counted = counted(prepared, people, linked);
    let small = counted.len() - linked.events.len();
    let events = std::iter::repeat_n(0, small).chain(linked.events.iter().copied());
    let quality = |((input, counts), events): ((&Input, &Counts), u64)| {
        SourceQuality::new(&input.name, &input.layout.layout.id, input.files.len(), events, counts)
    };
    counted.into_iter().zip(events).map(quality).collect()
}

/// Stops a run whose data is not fit to make lists of.
fn check_limits(prepared: &Prepared, people: &People, linked: &Linked, sources: &[SourceQuality]) -> Result<()> {
    let limits = &prepared.settings.limits;
    let mut breaches = Vec::new();
    for source in sources {
        if source.rows == 0 {
            breaches.push(format!(
                "source \"{}\": no rows; leave a source that is not there out of the settings",
                source.source
            ));
        }
        for (field, malformed) in &source.malformed_codes {
            let share = share(*malformed, source.rows);
            if share > limits.malformed_codes_share {
                breaches.push(format!(
                    "source \"{}\": a share of {share:.4} of rows has a {field} that is not in the form of its coding system; limits.malformed_codes_share is {}",
                    source.source, limits.malformed_codes_share
                ));
            }
        }
        if source.rejected_share > limits.rejects_share {
            let (rejected, rows, limit) = (source.rejected, source.rows, limits.rejects_share);
            let name = &source.source;
            let rules: Vec<String> =
                source.dropped.iter().map(|(rule, dropped)| format!("{rule} {}", dropped.rows)).collect();
            breaches.push(format!(
                "source \"{name}\": {rejected} of {rows} rows break a rule, a share of {:.4}; limits.rejects_share is {limit} ({}){}",
                source.rejected_share,
                rules.join(", "),
                first_rejects(prepared, people, linked, name)
            ));
        }
    }
    for (input, counts) in prepared.sources.iter().zip(&linked.counts) {
        let strangers = share(counts.of(Rule::NotOnRegister), counts.rows);
        if strangers > limits.not_on_register_share {
            breaches.push(format!(
                "source \"{}\": a share of {strangers:.4} of rows belongs to people who are not on the register; limits.not_on_register_share is {}",
                input.name, limits.not_on_register_share
            ));
        }
    }
    if people.spine.people() == 0 {
        breaches.push("the register has no people".to_owned());
    }
    if breaches.is_empty() { Ok(()) } else { Err(anyhow!(breaches.join("\n"))) }
}

/// Stops a run in which a term says nothing, or a look-up finds nothing: a feed is cut, or a code list does not fit.
fn check_terms(prepared: &Prepared, plan: &Plan, scores: &Scores) -> Result<()> {
    let limits = &prepared.settings.limits;
    let mut breaches = Vec::new();
    for (model, of) in prepared.models.iter().zip(&scores.models).filter(|(model, _)| model.is_scored()) {
        for (term, tally) in model.terms.iter().zip(&of.terms) {
            let is_judged =
                tally.people >= limits.dead_terms_from_people && !limits.expects_dead(&model.id, &term.name);
            if is_judged && tally.is_dead() {
                breaches.push(format!(
                    "model \"{}\", term \"{}\": the same ({}) for all {} people scored; a feed or a code list may be missing. Where it is known to be so, name it under limits.expected_dead_terms",
                    model.id, term.name, tally.lowest, tally.people
                ));
            }
        }
    }
    for (planned, look_ups) in plan.measures.iter().zip(&scores.look_ups) {
        let missed = share(look_ups.missed, look_ups.done);
        if let Take::LookUp { table, field, .. } = &planned.measure.take
            && missed > limits.look_up_misses_share
        {
            breaches.push(format!(
                "table \"{table}\" lacks the {field} of a share of {missed:.4} of the {} look-ups; limits.look_up_misses_share is {}",
                look_ups.done, limits.look_up_misses_share
            ));
        }
    }
    if breaches.is_empty() { Ok(()) } else { Err(anyhow!("as of {}: {}", scores.as_of, breaches.join("\n"))) }
}

/// The first places where a source's rows break a rule, a line each.
fn first_rejects(prepared: &Prepared, people: &People, linked: &Linked, source: &str) -> String {
    let counted = counted(prepared, people, linked);
    let Some((input, counts)) = counted.into_iter().find(|(input, _)| input.name == source) else {
        return String::new();
    };
    let place = |reject: &Reject| {
        let file = &input.files[reject.file].name;
        format!("\n  {file}, row {}, column \"{}\": {}", reject.row, reject.column, reject.rule.meaning())
    };
    counts.rejects.iter().take(3).map(place).collect()
}

/// What is written for one as-of day.
struct AtDate<'a> {
    availability: &'a Availability,
    prepared: &'a Prepared,
    people: &'a People,
    scores: &'a Scores,
    strata: &'a [Strata],
    providers: &'a BTreeMap<String, Provider>,
}

impl AtDate<'_> {
    fn write(
        &self,
        stage: &Stage,
        decides: &Decides,
        sources: &[SourceQuality],
        linked: &Linked,
    ) -> Result<DateReport, Failure> {
        let (files, report) = self.files(decides, sources, linked).map_err(Failure::Unexpected)?;
        stage.write(&files).map_err(Failure::Output)?;
        Ok(report)
    }

    fn files(
        &self,
        decides: &Decides,
        sources: &[SourceQuality],
        linked: &Linked,
    ) -> Result<(Vec<OutputFile>, DateReport)> {
        let models = &self.prepared.models;
        let published = published_columns(
            models,
            &self.people.spine,
            &self.people.practices,
            self.scores,
            self.strata,
            self.availability,
        );
        let mut files = vec![
            tables::scores(&published, models, self.scores)?,
            tables::not_scored(models, &self.people.spine, self.scores)?,
        ];
        let (cohort_lines, first_list) = self.lists(&published, &mut files)?;
        files.push(OutputFile::new(
            "quality.json",
            pretty(&serde_json::json!({
                "sources": sources,
                "fidelity": self.fidelity(),
                "rehospitalisation": self.rehospitalisation(),
            })),
        ));
        for (input, counts) in counted(self.prepared, self.people, linked) {
            if !counts.rejects.is_empty() {
                let names: Vec<String> = input.files.iter().map(|file| file.name.clone()).collect();
                files.push(OutputFile::new(format!("rejects/{}.csv", input.name), rejects_csv(counts, &names)));
            }
        }
        let manifest = Manifest {
            run_id: decides.run_id(),
            decides: decides.clone(),
            attrition: self.attrition(),
            models: self.model_lines(),
            cohorts: cohort_lines.clone(),
            outputs: files.iter().map(|file| (file.path.clone(), sha256_of(&file.bytes))).collect(),
        };
        files.push(OutputFile::new("manifest.json", pretty(&serde_json::to_value(&manifest)?)));
        let report =
            DateReport { as_of: self.scores.as_of, models: manifest.models, cohorts: cohort_lines, first_list };
        Ok((files, report))
    }

    fn lists(
        &self,
        published: &Published,
        files: &mut Vec<OutputFile>,
    ) -> Result<(Vec<CohortLine>, Option<lists::List>)> {
        let mut lines = Vec::new();
        let mut first = None;
        for cohort in &self.prepared.cohorts {
            let table = published.table(|name| cohort.mentions(name))?;
            let members = cohort.members(&table)?;
            let made = lists::lists(cohort, &members, published, &self.prepared.models, self.scores);
            for list in &made {
                files.push(list.csv(&cohort.id)?);
            }
            lines.push(CohortLine { id: cohort.id.clone(), people: members.len() as u64, lists: made.len() as u64 });
            first = first.or_else(|| made.into_iter().next());
        }
        Ok((lines, first))
    }

    /// By scored model: people by grade, and what became of each term.
    fn fidelity(&self) -> serde_json::Value {
        let of_model = |(number, model): (usize, &Model)| {
            let scores = &self.scores.models[number];
            let mut grades: BTreeMap<&str, u64> = Grade::ALL.iter().map(|grade| (grade.name(), 0)).collect();
            for (standing, result) in self.scores.standings.iter().zip(&scores.linear_predictors) {
                if let (Standing::Registered { practice, .. }, Ok(_)) = (standing, result) {
                    let unavailable = self.availability.unavailable(number, *practice).into();
                    *grades.entry(Grade::of(unavailable, model.terms.len()).name()).or_default() += 1;
                }
            }
            let terms = model.terms.iter().zip(&scores.terms).map(|(term, tally)| {
                serde_json::json!({
                    "term": term.name,
                    "observed": tally.observed,
                    "defaulted": tally.people - tally.observed - tally.unavailable,
                    "unavailable": tally.unavailable,
                    "the_same_for_everybody": tally.is_dead(),
                })
            });
            (model.id.clone(), serde_json::json!({ "people_by_grade": grades, "terms": terms.collect::<Vec<_>>() }))
        };
        let scored = self.prepared.models.iter().enumerate().filter(|(_, model)| model.is_scored());
        serde_json::Value::Object(scored.map(of_model).collect())
    }

    fn rehospitalisation(&self) -> serde_json::Value {
        let line = |(code, provider): (&String, &Provider)| {
            let expected = crate::number::Nano(provider.expected as i64);
            let value = serde_json::json!({
                "discharges": provider.discharges,
                "readmissions": provider.readmissions,
                "expected": expected.to_f64(),
                "ratio": provider.ratio().to_f64(),
            });
            (code.clone(), value)
        };
        serde_json::Value::Object(self.providers.iter().map(line).collect())
    }

    fn attrition(&self) -> Vec<Step> {
        let standings = &self.scores.standings;
        let count = |wanted: fn(&Standing) -> bool| standings.iter().filter(|standing| wanted(standing)).count() as u64;
        let all = standings.len() as u64;
        let step = |step: &str, people| Step { step: step.to_owned(), people };
        vec![
            step("on the register", all + self.people.opted_out),
            step("after opt-outs", all),
            step("died before the as-of date", count(|standing| *standing == Standing::Died)),
            step("not yet born on the as-of date", count(|standing| *standing == Standing::NotYetBorn)),
            step("not registered on the as-of date", count(|standing| *standing == Standing::NotRegistered)),
            step("registered on the as-of date", count(|standing| matches!(standing, Standing::Registered { .. }))),
        ]
    }

    fn model_lines(&self) -> Vec<ModelLine> {
        let scored = self.prepared.models.iter().enumerate().filter(|(_, model)| model.is_scored());
        scored.map(|(number, model)| self.model_line(number, model)).collect()
    }

    fn model_line(&self, number: usize, model: &Model) -> ModelLine {
        let mut not_scored: BTreeMap<String, u64> = BTreeMap::new();
        for reason in self.scores.models[number].linear_predictors.iter().filter_map(|result| result.as_ref().err()) {
            *not_scored.entry(reason.words(model)).or_default() += 1;
        }
        let mut counts = vec![0u64; model.bands.names().len()];
        for band in self.strata[number].bands.iter().flatten() {
            counts[usize::from(*band)] += 1;
        }
        let names = model.bands.names().into_iter().map(str::to_owned);
        ModelLine {
            id: model.id.clone(),
            version: model.version.clone(),
            scored: u64::from(self.strata[number].ranked),
            not_scored,
            bands: names.zip(counts).collect(),
        }
    }
}

fn pretty(json: &serde_json::Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(json).expect("plain data has a JSON form");
    bytes.push(b'\n');
    bytes
}

fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    crate::model::library::hex(&sha2::Sha256::digest(bytes))
}
