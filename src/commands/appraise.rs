//! `riskstrat validate`, `recalibrate`, `fit` and `compare`.

use std::path::{Path, PathBuf};

use riskstrat::appraisal::fit::{Shrink, Silent};
use riskstrat::appraisal::local::{Estimating, Published as Estimated};
use riskstrat::appraisal::recalibrate::{By, Method};
use riskstrat::appraisal::validate::Options;
use riskstrat::appraisal::{self, Published, card, validate_all};
use riskstrat::cli::{EstimatingArgs, Figures, FitPenalty, Past, RecalibrationGroup, RecalibrationMethod, SilentTerms};
use riskstrat::day::Day;
use riskstrat::estimate::decision::Cut;
use riskstrat::estimate::interval::Estimate;
use riskstrat::model::Problem;
use riskstrat::run::{Failure, Prepared, Request, back_cast, prepare_back_cast};

use crate::bars::Bars;
use crate::print::out_line;

fn request(past: &Past, models: &[&str], as_of: &[Day]) -> Request {
    Request {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        as_of: as_of.to_vec(),
        horizon_days: past.horizon,
        followed_until: past.followed_until,
    }
}

fn options(figures: &Figures) -> Options {
    Options { list: figures.list, repeats: figures.repeats, seed: figures.seed, admission_cost: figures.admission_cost }
}

/// Where a command publishes: what was typed, or a folder of its own in that of the runs.
fn out_folder(past: &Past, prepared: &Prepared, name: &str) -> PathBuf {
    past.out.clone().unwrap_or_else(|| prepared.settings.out_folder().join(name))
}

pub fn validate(
    past: &Past,
    as_of: &[Day],
    model: &str,
    figures: &Figures,
    over: Option<&Path>,
) -> Result<(), Failure> {
    let request = request(past, &[model], as_of);
    let prepared = prepare_back_cast(&past.settings, over, &request)?;
    let bars = Bars::new();
    let cast = back_cast(&prepared, &request, &bars)?;
    let published = validate_all(&cast, &options(figures), &out_folder(past, &prepared, "validation"), &bars)?;
    bars.finish();
    published.iter().for_each(|published| print_validation(model, published));
    Ok(())
}

/// The figures that are looked at first.
fn print_validation(model: &str, published: &Published) {
    out_line!("{model} as of {}, held against what came", published.as_of);
    let first = [
        ("counts", "", "people"),
        ("counts", "", "people with the outcome"),
        ("discrimination", "", "AUC"),
        ("calibration", "", "observed / expected"),
        ("calibration", "", "in the large"),
        ("calibration", "", "slope"),
        ("calibration", "", "Brier score"),
        ("list", "top 0.5 %", "PPV"),
        ("list", "top 5 %", "PPV"),
        ("list", "top 5 %", "sensitivity"),
        ("list", "top 5 %", "people to flag for one found"),
    ];
    for (table, at, name) in first {
        let value = card::find(&published.figures, "all", "everybody", table, at, name);
        if !value.is_empty() {
            let what = if at.is_empty() { name.to_owned() } else { format!("{name}, {at}") };
            out_line!("  {what:<40} {value}");
        }
    }
    out_line!("published: {}", published.folder.display());
}

pub fn method(method: RecalibrationMethod, by: Option<RecalibrationGroup>) -> Method {
    match (method, by) {
        (RecalibrationMethod::Intercept, _) => Method::Intercept,
        (RecalibrationMethod::Slope, _) => Method::Slope,
        (RecalibrationMethod::Isotonic, _) => Method::Isotonic,
        (RecalibrationMethod::Group, Some(RecalibrationGroup::Age)) => Method::Group(By::Age),
        (RecalibrationMethod::Group, Some(RecalibrationGroup::Deprivation)) => Method::Group(By::Deprivation),
        (RecalibrationMethod::Group, _) => Method::Group(By::Sex),
    }
}

fn estimating(args: &EstimatingArgs, prepared: &Prepared, over: Option<&Path>) -> Estimating {
    let into = args.into.clone().or_else(|| over.map(Path::to_owned));
    Estimating {
        name: args.name.clone(),
        test_share: args.test_share,
        seed: args.seed,
        into: into.unwrap_or_else(|| prepared.settings.base.join("models")),
    }
}

pub fn recalibrate(
    past: &Past,
    as_of: Day,
    model: &str,
    method: Method,
    args: &EstimatingArgs,
    over: Option<&Path>,
) -> Result<(), Failure> {
    let request = request(past, &[model], &[as_of]);
    let prepared = prepare_back_cast(&past.settings, over, &request)?;
    let bars = Bars::new();
    let cast = back_cast(&prepared, &request, &bars)?;
    let out = out_folder(past, &prepared, "recalibration");
    let published =
        appraisal::recalibrate::recalibrate(&cast, method, &estimating(args, &prepared, over), &out, &bars)?;
    bars.finish();
    print_estimated(&published);
    Ok(())
}

pub fn fit_options(
    penalty: FitPenalty,
    lambda: Option<f64>,
    folds: u8,
    silent: SilentTerms,
) -> appraisal::fit::Options {
    let shrink = match penalty {
        FitPenalty::None => Shrink::None,
        FitPenalty::Ridge => Shrink::Ridge,
        FitPenalty::Lasso => Shrink::Lasso,
    };
    let silent = match silent {
        SilentTerms::Hold => Silent::Hold,
        SilentTerms::Drop => Silent::Drop,
    };
    appraisal::fit::Options { shrink, lambda, folds, silent }
}

pub fn fit(
    past: &Past,
    as_of: Day,
    like: &str,
    options: &appraisal::fit::Options,
    args: &EstimatingArgs,
    over: Option<&Path>,
) -> Result<(), Failure> {
    let request = request(past, &[like], &[as_of]);
    let prepared = prepare_back_cast(&past.settings, over, &request)?;
    let bars = Bars::new();
    let cast = back_cast(&prepared, &request, &bars)?;
    let out = out_folder(past, &prepared, "fits");
    let published = appraisal::fit::fit(&cast, options, &estimating(args, &prepared, over), &out, &bars)?;
    bars.finish();
    print_estimated(&published);
    Ok(())
}

fn print_estimated(published: &Estimated) {
    out_line!("{}, figures of the people held back", published.id);
    let text = |estimate: &Option<Estimate>| match estimate {
        Some(Estimate { value, interval: Some((low, high)) }) => format!("{value:.4} ({low:.4} to {high:.4})"),
        Some(Estimate { value, interval: None }) => format!("{value:.4}"),
        None => String::new(),
    };
    out_line!("  {:<24} {:<30} after", "", "before");
    for (name, before, after) in published.after.pairs() {
        out_line!("  {name:<24} {:<30} {}", text(before), text(after));
    }
    out_line!("model file: {}", published.model_file.display());
    out_line!("published: {}", published.folder.display());
    out_line!("To run it tonight, add \"{}\" to the settings' models and pass --models.", published.id);
}

pub fn compare(past: &Past, as_of: &[Day], pair: &[String], list: Cut, over: Option<&Path>) -> Result<(), Failure> {
    let [first, second] = pair else {
        let what = format!("--pair names {} models; a comparison has two, with a comma between", pair.len());
        return Err(Failure::Files(vec![Problem { file: "compare".to_owned(), line: 0, what }]));
    };
    let request = request(past, &[first, second], as_of);
    let prepared = prepare_back_cast(&past.settings, over, &request)?;
    let bars = Bars::new();
    let cast = back_cast(&prepared, &request, &bars)?;
    let options = Options { list, repeats: 0, seed: 0, admission_cost: None };
    let out = out_folder(past, &prepared, "comparison");
    let published = appraisal::compare::compare(&cast, &options, &out, &bars)?;
    bars.finish();
    for published in published {
        out_line!("{first} and {second} as of {}, on the same people", published.as_of);
        for figure in published.figures.iter().filter(|figure| figure.group == "all" && figure.table == "comparison") {
            out_line!("  {:<40} {}", figure.name, card::cell(&figure.value));
        }
        out_line!("published: {}", published.folder.display());
    }
    Ok(())
}
