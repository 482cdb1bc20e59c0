//! The command line: what is printed, and the exit code.

#![allow(clippy::print_stderr, reason = "this is where errors are told")]

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use riskstrat::cli::{Cli, CodelistCommand, Command, ModelsCommand, SynthDefects, SynthFormat};
use riskstrat::code::{CodeList, System};
use riskstrat::demo;
use riskstrat::explain::{self, PublishedRun};
use riskstrat::model::check::{check, nearest};
use riskstrat::model::describe::describe;
use riskstrat::model::import::import;
use riskstrat::model::library::Library;
use riskstrat::model::{Given, Model};
use riskstrat::population;
use riskstrat::run::{Failure, Progress, Report, RunTables, all_streams, prepare, run};

mod report;

/// Prints; whoever reads may have stopped reading, as `head` does, which is no fault.
macro_rules! out {
    ($($text:tt)*) => {{
        let _ = std::io::stdout().write_fmt(format_args!($($text)*));
    }};
}

macro_rules! out_line {
    ($($text:tt)*) => { out!("{}\n", format_args!($($text)*)) };
}

/// Batches and buffers come and go on every thread; the system allocator gives their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(threads) = cli.threads {
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        if let Err(error) = built {
            eprintln!("failed to start {threads} threads: {error}");
            return ExitCode::from(1);
        }
    }
    match command(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn command(cli: &Cli) -> Result<(), Failure> {
    let over = cli.models.as_deref();
    match &cli.command {
        Command::Demo { out, people, seed } => run_demo(out, *people, *seed, over),
        Command::Run { settings } => run_settings(settings, over),
        Command::Check { settings } => check_settings(settings, over),
        Command::Models { command: None | Some(ModelsCommand::List) } => list_models(over),
        Command::Models { command: Some(ModelsCommand::Show { id }) } => show_model(id, over),
        Command::Synth { out, people, seed, rows_per_person, format, defects } => {
            let mut request = population::Request::new(*people, *seed, out.clone());
            request.rows_per_person = *rows_per_person;
            request.format = match format {
                SynthFormat::Native => population::Format::Native,
                SynthFormat::Csv => population::Format::Csv,
                SynthFormat::Parquet => population::Format::Parquet,
            };
            request.defects = match defects {
                SynthDefects::None => population::Defects::None,
                SynthDefects::Real => population::Defects::Real,
                SynthDefects::Hostile => population::Defects::Hostile,
            };
            make_population(&request)
        }
        Command::Explain { run, person, model, why_not, settings, all } => {
            let settings = settings.clone().unwrap_or_else(|| run.join("../../riskstrat.toml"));
            explain_person(&settings, run, person, model.as_deref(), why_not.as_deref(), *all, over)
        }
        Command::Codelist { command } => codelist(command, over),
        Command::Score { model, given } => score_given(model, given, over),
    }
}

fn run_demo(out: &Path, people: u32, seed: u64, over: Option<&Path>) -> Result<(), Failure> {
    if !demo::may_be_replaced(out) {
        let what = anyhow!("{} exists and is not a demo's folder; name another with --out", out.display());
        return Err(Failure::Output(what));
    }
    if out.exists() {
        std::fs::remove_dir_all(out)
            .with_context(|| format!("failed to clear {}", out.display()))
            .map_err(Failure::Output)?;
    }
    let mut request = population::Request::new(people, seed, out.join("data"));
    request.rows_per_person = 120;
    make_population(&request)?;
    let settings = out.join("riskstrat.toml");
    std::fs::write(&settings, demo::settings("data", "2016-04-01"))
        .with_context(|| format!("failed to write {}", settings.display()))
        .map_err(Failure::Output)?;
    run_and_report(&settings, over, true)?;
    out_line!("\nNext: edit {0}, then `riskstrat check {0}` and `riskstrat run {0}`.", settings.display());
    Ok(())
}

fn make_population(request: &population::Request) -> Result<(), Failure> {
    let bars = Bars::new();
    bars.stage("make population", u64::from(request.people) * u64::from(request.rows_per_person.max(1)));
    let written = population::generate(request, &|done, expected| bars.set(done, expected)).map_err(Failure::Output)?;
    bars.finish();
    out_line!(
        "Made {} synthetic people, {} rows in {} files, in {}",
        report::grouped(written.people.into()),
        report::grouped(written.rows),
        written.files.len(),
        request.out.display()
    );
    Ok(())
}

fn run_settings(settings: &Path, over: Option<&Path>) -> Result<(), Failure> {
    run_and_report(settings, over, false)
}

fn run_and_report(settings: &Path, over: Option<&Path>, shows_people: bool) -> Result<(), Failure> {
    let prepared = prepare(settings, over)?;
    let bars = Bars::new();
    let report: Report = run(&prepared, &bars)?;
    bars.finish();
    out!("{}", report::in_words(&report, shows_people));
    Ok(())
}

fn check_settings(settings: &Path, over: Option<&Path>) -> Result<(), Failure> {
    let prepared = prepare(settings, over)?;
    out_line!("{} is in order:", settings.display());
    for input in prepared.inputs() {
        out_line!(
            "  {:<16} layout {:<18} {} files, {} bytes",
            input.name,
            input.layout.layout.id,
            input.files.len(),
            report::grouped(input.bytes())
        );
    }
    for model in &prepared.models {
        out_line!("  {:<16} version {}, {} terms", model.id, model.version, model.terms.len());
    }
    for cohort in &prepared.cohorts {
        out_line!("  {:<16} {}", cohort.id, cohort.title);
    }
    Ok(())
}

fn library(over: Option<&Path>) -> Result<Library, Failure> {
    let files = |error: anyhow::Error| Failure::Unexpected(error);
    Library::load(over).map_err(files)?.map_err(Failure::Files)
}

fn model(library: &Library, id: &str) -> Result<Model, Failure> {
    let Some(text) = library.models.get(id) else {
        let known: Vec<&str> = library.models.keys().map(String::as_str).collect();
        let near = nearest(id, known.iter().copied());
        return Err(Failure::Unexpected(anyhow!("no model \"{id}\"{near}; known are {}", known.join(", "))));
    };
    check(&text.file, &text.text, library, &all_streams(library, &Default::default())).map_err(Failure::Files)
}

fn list_models(over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    for id in library.models.keys() {
        let model = model(&library, id)?;
        out_line!("{:<20} {:<8} {:>3} terms  {}", model.id, model.version, model.terms.len(), model.title);
    }
    Ok(())
}

fn show_model(id: &str, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    out!("{}", describe(&model(&library, id)?, &library));
    Ok(())
}

fn explain_person(
    settings: &Path,
    run: &Path,
    person: &str,
    model: Option<&str>,
    why_not: Option<&str>,
    all: bool,
    over: Option<&Path>,
) -> Result<(), Failure> {
    let prepared = prepare(settings, over)?;
    let published = PublishedRun::open(run, person).map_err(Failure::Data)?;
    if let Some(cohort) = why_not {
        let held = explain::why_not(&prepared, &published, cohort).map_err(Failure::Data)?;
        out!("{}", report::why_not_in_words(cohort, &held));
        return Ok(());
    }
    let answer = explain::explain(&prepared, &published, person, model, &|_| ()).map_err(Failure::Data)?;
    out!("{}", report::explanation_in_words(&answer, all));
    Ok(())
}

fn codelist(command: &CodelistCommand, over: Option<&Path>) -> Result<(), Failure> {
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .with_context(|| format!("failed to read {}", file.display()))
            .map_err(Failure::Data)
    };
    let (text, id) = match command {
        CodelistCommand::Check { file } => (read(file)?, stem(file)),
        CodelistCommand::Import { file, system, category, source, out } => {
            let named = System::named(system).ok_or_else(|| {
                let known = System::ALL.map(System::name).join(", ");
                Failure::Data(anyhow!("unknown code system \"{system}\"; known are {known}"))
            })?;
            let imported = import(&read(file)?, source, named, category)
                .with_context(|| file.display().to_string())
                .map_err(Failure::Data)?;
            out!("{}", report::imported_in_words(&imported));
            std::fs::write(out, &imported.text)
                .with_context(|| format!("failed to write {}", out.display()))
                .map_err(Failure::Output)?;
            out_line!("written: {}", out.display());
            (imported.text, stem(out))
        }
    };
    let list = CodeList::parse(&id, &text).map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    let library = library(over)?;
    out!("{}", report::changes_in_words(&list, library.code_lists.get(&id)));
    Ok(())
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn score_given(id: &str, given: &Path, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    let model = model(&library, id)?;
    let given = read_given(given).map_err(Failure::Data)?;
    let tables = RunTables { library: &library, ratios: Default::default() };
    if let Some(name) = given.keys().find(|name| !riskstrat::score::given::is_known(&model, name)) {
        let near = nearest(name, riskstrat::score::given::names(&model));
        return Err(Failure::Data(anyhow!("model \"{id}\" has no value or term \"{name}\"{near}")));
    }
    let scored =
        riskstrat::score::given::score(&model, &given, &tables).map_err(|what| Failure::Data(anyhow!(what)))?;
    out!("{}", report::given_in_words(&model, &scored));
    Ok(())
}

fn read_given(path: &Path) -> Result<std::collections::BTreeMap<String, Given>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    toml::from_str(&text).map_err(|error| anyhow!("{}: {}", path.display(), error.message()))
}

/// One bar a stage on a terminal; nothing where the output goes to a file.
struct Bars {
    bar: ProgressBar,
}

impl Bars {
    fn new() -> Bars {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.enable_steady_tick(Duration::from_millis(120));
        Bars { bar }
    }

    fn set(&self, done: u64, expected: u64) {
        self.bar.set_length(expected.max(done));
        self.bar.set_position(done);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bars {
    fn stage(&self, name: &str, units: u64) {
        let style = match units {
            0 => "{msg:<22} {spinner}",
            _ => "{msg:<22} [{bar:40}] {percent:>3}%  {eta} left",
        };
        self.bar.reset();
        self.bar.set_length(units.max(1));
        self.bar.set_style(ProgressStyle::with_template(style).expect("the template is fixed"));
        self.bar.set_message(name.to_owned());
    }

    fn advance(&self, units: u64) {
        self.bar.inc(units);
    }
}
