//! `riskstrat layouts`.

use std::path::Path;

use anyhow::anyhow;
use riskstrat::ingest::describe::{describe, summary};
use riskstrat::ingest::draft::draft;
use riskstrat::ingest::files::find;
use riskstrat::ingest::layout::LayoutFile;
use riskstrat::model::check::nearest;
use riskstrat::model::library::Library;
use riskstrat::run::Failure;

use super::models::library;
use crate::print::{out, out_line};

fn layout(library: &Library, id: &str) -> Result<LayoutFile, Failure> {
    let Some(text) = library.layouts.get(id) else {
        let known: Vec<&str> = library.layouts.keys().map(String::as_str).collect();
        let near = nearest(id, known.iter().copied());
        return Err(Failure::Unexpected(anyhow!("no layout \"{id}\"{near}; known are {}", known.join(", "))));
    };
    LayoutFile::parse(&text.file, &text.text).map_err(Failure::Files)
}

pub fn list_layouts(over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    for id in library.layouts.keys() {
        out_line!("{}", summary(&layout(&library, id)?));
    }
    Ok(())
}

pub fn show_layout(id: &str, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    out!("{}", describe(&layout(&library, id)?));
    Ok(())
}

pub fn draft_layout(file: &Path, over: Option<&Path>) -> Result<(), Failure> {
    let library = library(over)?;
    let name = file.to_string_lossy().into_owned();
    let found = find(Path::new(""), &[name]).map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    let Some(first) = found.first() else { return Ok(()) };
    out!("{}", draft(first, &library).map_err(Failure::Data)?);
    Ok(())
}
