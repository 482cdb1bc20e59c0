//! `riskstrat demo`.

use std::path::Path;

use anyhow::{Context, anyhow};
use riskstrat::run::{Failure, prepare};
use riskstrat::{demo, population};

use super::run::run_and_report;
use super::synth::make_population;
use crate::print::out_line;

pub fn run_demo(out: &Path, people: u32, seed: u64, over: Option<&Path>) -> Result<(), Failure> {
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
    run_and_report(&prepare(&settings, over)?, true)?;
    out_line!("\nNext: edit {0}, then `riskstrat check {0}` and `riskstrat run {0}`.", settings.display());
    Ok(())
}
