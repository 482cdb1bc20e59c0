//! `riskstrat run` and `riskstrat check`.

use std::path::Path;

use riskstrat::day::Day;
use riskstrat::output::last::kept_too_long;
use riskstrat::run::{Failure, Prepared, Report, prepare, run};
use riskstrat::settings::Memory;

use crate::bars::Bars;
use crate::print::{out, out_line};
use crate::report;

pub fn run_settings(
    settings: &Path,
    over: Option<&Path>,
    allow: &[String],
    because: &[String],
    memory: Option<Memory>,
) -> Result<(), Failure> {
    let mut prepared = prepare(settings, over)?;
    prepared.settings.memory = memory.or(prepared.settings.memory);
    if !allow.is_empty() {
        prepared.allow(allow, because)?;
    }
    run_and_report(&prepared, false)
}

pub fn run_and_report(prepared: &Prepared, shows_people: bool) -> Result<(), Failure> {
    let bars = Bars::new();
    let report: Report = run(prepared, &bars)?;
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
    out_line!(
        "  {:<16} {} codes are kept out{}",
        "sensitive",
        prepared.library.sensitive.codes(),
        match &prepared.settings.sensitive {
            Some(sensitive) => format!("; legal basis: {}", sensitive.legal_basis),
            None => String::new(),
        }
    );
    for model in &prepared.models {
        out_line!("  {:<16} version {}, {} terms", model.id, model.version, model.terms.len());
    }
    for cohort in &prepared.cohorts {
        out_line!("  {:<16} {}", cohort.id, cohort.title);
    }
    let (standing, ended) = prepared.settings.standing_allowances();
    for allowance in standing {
        let until = allowance.until.map(|until| until.to_string()).unwrap_or_default();
        out_line!("  {:<16} {} until {until}, because: {}", "let through", allowance.typed(), allowance.because);
    }
    for allowance in ended {
        let until = allowance.until.map(|until| until.to_string()).unwrap_or_default();
        out_line!("  {:<16} {}: it was let through until {until}", "ended", allowance.typed());
    }
    name_old_runs(&prepared);
    Ok(())
}

/// Names published runs that are kept for longer than the settings say; whoever is responsible takes them away.
fn name_old_runs(prepared: &Prepared) {
    let Some(retention) = &prepared.settings.retention else { return };
    let out = prepared.settings.out_folder();
    for (as_of, name) in kept_too_long(&out, today(), retention.runs_days) {
        out_line!(
            "kept too long: {} is of {as_of}, more than retention.runs_days = {} days ago; it is not deleted for you",
            out.join(name).display(),
            retention.runs_days
        );
    }
}

fn today() -> Day {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Day((since_1970.as_secs() / 86_400) as i32)
}
