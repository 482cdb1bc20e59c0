//! Every term of every shipped model says something on the synthetic population: it is there for someone, and not the same
//! for everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use serde_json::Value;

use crate::common::{Cell, parquet_rows, run_settings, write};
use crate::models::{library, model, streams};

const PEOPLE: u32 = 25_000;

/// Settings over a population that run every shipped model and stop for no term.
fn settings_of_all_models() -> String {
    let names: Vec<String> = library().models.keys().map(|id| format!("\"{id}\"")).collect();
    let ours = format!("models = [{}]", names.join(", "));
    let demo = demo::settings("data", "2016-04-01");
    let lines = demo.lines().map(|line| match line {
        _ if line.starts_with("models = ") => ours.as_str(),
        _ if line.starts_with("cohorts = ") => "cohorts = []",
        _ if line.starts_with("expected_dead_terms") => "dead_terms_from_people = 1_000_000_000",
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.contains("dead_terms_from_people") { text } else { text + "\ndead_terms_from_people = 1_000_000_000\n" }
}

/// Terms that quality.json says nothing happened in: the same for everybody, or never observed though feeds cover people.
fn silent_terms(quality: &Value) -> Vec<String> {
    let mut silent = Vec::new();
    for (model, fidelity) in quality["fidelity"].as_object().unwrap() {
        for term in fidelity["terms"].as_array().unwrap() {
            let of_all = |name: &str| term[name].as_u64().unwrap();
            let is_unseen = of_all("observed") == 0 && of_all("defaulted") > 0;
            if is_unseen || term["the_same_for_everybody"].as_bool().unwrap() {
                silent.push(format!("{model}/{}", term["term"].as_str().unwrap()));
            }
        }
    }
    silent
}

/// Facts of a person that are the same for everybody for whom there is one.
fn silent_facts(scores: &Path, id: &str) -> Vec<String> {
    let library = library();
    let facts = model(&library, &streams(&library), id);
    let mut seen: BTreeMap<&str, BTreeSet<String>> =
        facts.terms.iter().map(|term| (term.name.as_str(), BTreeSet::new())).collect();
    for row in parquet_rows(scores) {
        for (fact, values) in &mut seen {
            let cell = row.get(*fact).unwrap_or_else(|| panic!("scores.parquet lacks {fact}"));
            if *cell != Cell::Missing && values.len() < 2 {
                values.insert(format!("{cell:?}"));
            }
        }
    }
    seen.into_iter().filter(|(_, values)| values.len() < 2).map(|(fact, _)| format!("{id}/{fact}")).collect()
}

#[test]
fn every_term_of_every_shipped_model_fires_for_someone_and_not_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(PEOPLE, 7, folder.path().join("data"));
    request.rows_per_person = 1;
    request.follow_up_days = 31;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), settings_of_all_models());
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let published = &report.published[0];
    let quality: Value = serde_json::from_slice(&fs::read(published.join("quality.json")).unwrap()).unwrap();
    let mut silent = silent_terms(&quality);
    for facts in ["person_facts", "service_facts"] {
        silent.extend(silent_facts(&published.join("scores.parquet"), facts));
    }
    assert!(silent.is_empty(), "these say nothing: {}", silent.join(", "));
}
