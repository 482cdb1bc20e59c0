//! `riskstrat run` and `riskstrat check`.

use std::path::Path;

use riskstrat::run::{Failure, Report, prepare, run};

use crate::bars::Bars;
use crate::print::{out, out_line};
use crate::report;

pub fn run_settings(settings: &Path, over: Option<&Path>) -> Result<(), Failure> {
    run_and_report(settings, over, false)
}

pub fn run_and_report(settings: &Path, over: Option<&Path>, shows_people: bool) -> Result<(), Failure> {
    let prepared = prepare(settings, over)?;
    let bars = Bars::new();
    let report: Report = run(&prepared, &bars)?;
    bars.finish();
    out!("{}", report::in_words(&report, shows_people));
    Ok(())
}

pub fn check_settings(settings: &Path, over: Option<&Path>) -> Result<(), Failure> {
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
