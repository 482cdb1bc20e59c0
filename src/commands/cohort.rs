//! `riskstrat cohort`.

use std::path::Path;

use anyhow::anyhow;
use riskstrat::cli::{CohortCommand, TryArgs};
use riskstrat::cohort::Cohort;
use riskstrat::day::Day;
use riskstrat::model::check::nearest;
use riskstrat::run::{Failure, try_cohort, yields};

use super::models::library;
use crate::bars::Bars;
use crate::print::{out, out_line};
use crate::report;

pub fn cohort(command: &CohortCommand, over: Option<&Path>) -> Result<(), Failure> {
    match command {
        CohortCommand::List => list(over),
        CohortCommand::Show { id } => show(id, over),
        CohortCommand::Try(args) => try_rule(args, over),
    }
}

fn list(over: Option<&Path>) -> Result<(), Failure> {
    for file in library(over)?.cohorts.values() {
        let cohort = Cohort::parse(&file.file, &file.text).map_err(Failure::Files)?;
        out_line!("{:<26} {:<8} {}", cohort.id, cohort.model, cohort.title);
    }
    Ok(())
}

fn show(id: &str, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    let Some(file) = library.cohorts.get(id) else {
        let known: Vec<&str> = library.cohorts.keys().map(String::as_str).collect();
        let near = nearest(id, known.iter().copied());
        return Err(Failure::Unexpected(anyhow!("no cohort \"{id}\"{near}; known are {}", known.join(", "))));
    };
    let cohort = Cohort::parse(&file.file, &file.text).map_err(Failure::Files)?;
    out!("{}", report::cohort_said(&cohort));
    Ok(())
}

fn try_rule(args: &TryArgs, over: Option<&Path>) -> Result<(), Failure> {
    let TryArgs { rule, settings, follows, model, as_of } = args;
    let bars = Bars::new();
    if *follows {
        let day = as_of.as_ref().map(|text| {
            let day = Day::parse(text.as_bytes());
            day.ok_or_else(|| Failure::Data(anyhow!("--as-of \"{text}\" is not a date; write 2016-04-01")))
        });
        let lines = yields(settings, over, rule.as_deref(), model, day.transpose()?, &bars)?;
        bars.finish();
        out!("{}", report::yields_in_words(&lines));
        return Ok(());
    }
    let Some(rule) = rule else {
        return Err(Failure::Data(anyhow!("name a rule: a cohort, a file of one, or a SQL condition in quotes")));
    };
    let trial = try_cohort(settings, over, rule, &bars)?;
    bars.finish();
    out!("{}", report::trial_in_words(&trial));
    Ok(())
}
