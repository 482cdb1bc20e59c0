//! `riskstrat explain`.

use std::path::Path;

use riskstrat::explain::{self, PublishedRun};
use riskstrat::run::{Failure, prepare};

use crate::print::out;
use crate::report;

pub fn explain_person(
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
