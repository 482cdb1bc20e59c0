//! `riskstrat synth`.

use std::path::Path;

use anyhow::Context;
use riskstrat::appraisal::synthetic;
use riskstrat::cli::{SynthDefects, SynthFormat};
use riskstrat::day::Day;
use riskstrat::run::{Failure, Progress};
use riskstrat::{demo, population};

use crate::bars::Bars;
use crate::print::{out, out_line};
use crate::report;

pub fn synth(
    people: u32,
    seed: u64,
    rows_per_person: u32,
    format: SynthFormat,
    defects: SynthDefects,
    no_scores: bool,
    out: &Path,
) -> Result<(), Failure> {
    let mut request = population::Request::new(people, seed, out.to_owned());
    request.rows_per_person = rows_per_person;
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
    make_population(&request)?;
    let as_of = Day(request.last_day.0 + 1);
    let settings = out.join("riskstrat.toml");
    write(&settings, &demo::settings(".", &as_of.to_string()))?;
    out_line!("Settings to run it with: {}", settings.display());
    if !no_scores {
        add_scores(&settings, as_of, &out.join(population::REPORT))?;
    }
    Ok(())
}

/// Adds to the population's report, and prints, how the King's Fund's models do on it.
fn add_scores(settings: &Path, as_of: Day, report: &Path) -> Result<(), Failure> {
    let bars = Bars::new();
    let found = synthetic::discrimination(settings, as_of, &bars);
    bars.finish();
    let section = match &found {
        Ok(models) => synthetic::section(as_of, models),
        // A spoilt population is there to stop a run.
        Err(failure) => synthetic::section_without(as_of, failure),
    };
    let before = std::fs::read_to_string(report)
        .with_context(|| format!("failed to read {}", report.display()))
        .map_err(Failure::Output)?;
    write(report, &(before + &section))?;
    out!("{section}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display())).map_err(Failure::Output)
}

pub fn make_population(request: &population::Request) -> Result<(), Failure> {
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
