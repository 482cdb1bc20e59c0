//! `riskstrat validate`.

use std::path::Path;

use riskstrat::appraisal::validate::Options;
use riskstrat::appraisal::{Published, card, validate_all};
use riskstrat::cli::{Figures, Past};
use riskstrat::run::{Failure, Request, back_cast, prepare_back_cast};

use crate::bars::Bars;
use crate::print::out_line;

fn request(past: &Past, models: &[&str]) -> Request {
    Request {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        as_of: past.as_of.clone(),
        horizon_days: past.horizon,
        followed_until: past.followed_until,
    }
}

fn options(figures: &Figures) -> Options {
    Options { list: figures.list, repeats: figures.repeats, seed: figures.seed, admission_cost: figures.admission_cost }
}

pub fn validate(past: &Past, model: &str, figures: &Figures, over: Option<&Path>) -> Result<(), Failure> {
    let request = request(past, &[model]);
    let prepared = prepare_back_cast(&past.settings, over, &request)?;
    let bars = Bars::new();
    let cast = back_cast(&prepared, &request, &bars)?;
    let out = past.out.clone().unwrap_or_else(|| prepared.settings.out_folder().join("validation"));
    let published = validate_all(&cast, &options(figures), &out, &bars)?;
    bars.finish();
    published.iter().for_each(|published| print_figures(model, published));
    Ok(())
}

/// The figures that are looked at first.
fn print_figures(model: &str, published: &Published) {
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
