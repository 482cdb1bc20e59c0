//! `riskstrat synth`.

use std::path::Path;

use riskstrat::cli::{SynthDefects, SynthFormat};
use riskstrat::population;
use riskstrat::run::{Failure, Progress};

use crate::bars::Bars;
use crate::print::out_line;
use crate::report;

pub fn synth(
    people: u32,
    seed: u64,
    rows_per_person: u32,
    format: SynthFormat,
    defects: SynthDefects,
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
    make_population(&request)
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
