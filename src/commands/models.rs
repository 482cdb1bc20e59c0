//! `riskstrat models` and `riskstrat score`.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use riskstrat::model::check::{check, nearest};
use riskstrat::model::describe::describe;
use riskstrat::model::library::Library;
use riskstrat::model::{Given, Model};
use riskstrat::run::{Failure, RunTables, all_streams};

use crate::print::{out, out_line};
use crate::report;

pub fn library(over: Option<&Path>) -> Result<Library, Failure> {
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

pub fn list_models(over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    for id in library.models.keys() {
        let model = model(&library, id)?;
        out_line!("{:<20} {:<8} {:>3} terms  {}", model.id, model.version, model.terms.len(), model.title);
    }
    Ok(())
}

pub fn show_model(id: &str, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    out!("{}", describe(&model(&library, id)?, &library));
    Ok(())
}

pub fn score_given(id: &str, given: &Path, over: Option<&Path>) -> Result<(), Failure> {
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
