//! The OMOP layouts on data that nobody here made: 28 people of the Synthea set of OHDSI.
//!
//! The figures are held against the files themselves, counted here one row at a time. The set is not part of the project;
//! where it is absent the test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Cell, parquet_rows, run_settings, write};

const SET: &str = "shared/data/Synthea27Nj_5.4.zip";
const TABLES: [&str; 10] = [
    "PERSON",
    "OBSERVATION_PERIOD",
    "DEATH",
    "VISIT_OCCURRENCE",
    "CONDITION_OCCURRENCE",
    "MEASUREMENT",
    "OBSERVATION",
    "PROCEDURE_OCCURRENCE",
    "DRUG_EXPOSURE",
    "CONCEPT",
];
const AS_OF: &str = "2021-01-01";
const YEAR_BEFORE: &str = "2020-01-02";

/// A model of counts, so that every layout is asked about.
const COUNTS: &str = r#"
format = 1
[model]
id = "omop_counts"
version = "1"
title = "What the common data model says"
kind = "facts"
[source]
citation = "Made for this test."
location = "here"
derived = []
assumed = []
[[term]]
name = "admissions"
label = "Inpatient visits in a year"
value = { count = { of = "admission", days = [0, 365] } }
when_missing = "zero"
[[term]]
name = "attendances"
label = "Emergency room visits in a year"
value = { count = { of = "emergency", days = [0, 365] } }
when_missing = "zero"
[[term]]
name = "visits"
label = "Outpatient visits in a year"
value = { count = { of = "outpatient", where = { attendance = "attended" }, days = [0, 365] } }
when_missing = "zero"
[[term]]
name = "sinusitis"
label = "Viral sinusitis"
value = { count = { of = "gp_event", where = { code = ["444814009"] }, days = "ever" } }
when_missing = "zero"
[[term]]
name = "procedures"
label = "Medication reconciliations"
value = { count = { of = "gp_event", where = { code = ["430193006"] }, days = "ever" } }
when_missing = "zero"
[[term]]
name = "statins"
label = "Simvastatin"
value = { count = { of = "prescription", where = { code = { prefix = ["0212"] } }, days = "ever" } }
when_missing = "zero"
"#;

type Row = BTreeMap<String, String>;

fn rows(folder: &Path, table: &str) -> Vec<Row> {
    csv::Reader::from_path(folder.join(format!("{table}.csv"))).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

/// The set, beside the project or above it.
fn find_set() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).map(|folder| folder.join(SET)).find(|path| path.exists())
}

fn unpack(set: &Path, folder: &Path) {
    let mut archive = zip::ZipArchive::new(fs::File::open(set).unwrap()).unwrap();
    for table in TABLES {
        let name = format!("{table}.csv");
        let mut file = archive.by_name(&name).unwrap();
        std::io::copy(&mut file, &mut fs::File::create(folder.join(&name)).unwrap()).unwrap();
    }
}

fn settings() -> String {
    let mut text = format!(
        "format = 1\nas_of = \"{AS_OF}\"\nout = \"out\"\nmodels = [\"omop_counts\", \"cpm\", \"charlson\", \"person_facts\"]\n\
         [register]\nlayout = \"omop_person\"\nfiles = [\"PERSON.csv\"]\n\
         [[register.with]]\nlayout = \"omop_observation_period\"\nfiles = [\"OBSERVATION_PERIOD.csv\"]\n\
         [[register.with]]\nlayout = \"omop_death\"\nfiles = [\"DEATH.csv\"]\n\
         [opt_outs]\napplied_upstream = \"invented people\"\n\
         [[identifiers.accept]]\nsource = \"register\"\ncolumn = \"day_of_birth\"\nbecause = \"invented people\"\n\
         [[identifiers.accept]]\nsource = \"register\"\ncolumn = \"birth_datetime\"\nbecause = \"invented people\"\n"
    );
    for kind in ["inpatient", "outpatient", "emergency"] {
        text += &format!(
            "[[source]]\nname = \"{kind}\"\nlayout = \"omop_visit_{kind}\"\nfiles = [\"VISIT_OCCURRENCE.csv\"]\n"
        );
    }
    for (layout, table) in [
        ("condition", "CONDITION_OCCURRENCE"),
        ("measurement", "MEASUREMENT"),
        ("observation", "OBSERVATION"),
        ("procedure", "PROCEDURE_OCCURRENCE"),
        ("drug", "DRUG_EXPOSURE"),
    ] {
        // Its measurements and observations are in LOINC, about which no model asks.
        let is_in_loinc = ["measurement", "observation"].contains(&layout);
        let limits = if is_in_loinc { "limits = { asked_share = 0.0 }\n" } else { "" };
        let dictionary = if layout == "drug" { "bnf = [\"bnf.csv\"]" } else { "concepts = [\"CONCEPT.csv\"]" };
        text += &format!(
            "[[source]]\nname = \"{layout}\"\nlayout = \"omop_{layout}\"\nfiles = [\"{table}.csv\"]\n\
             dictionaries = {{ {dictionary} }}\n{limits}"
        );
    }
    text
}

/// A map of the set's drugs to BNF codes: simvastatin has one, the others are known and have none. Gives its concepts.
fn map_drugs(folder: &Path) -> BTreeSet<String> {
    let (mut map, mut statins) = ("concept_id,bnf_code\n".to_owned(), BTreeSet::new());
    for concept in rows(folder, "CONCEPT").into_iter().filter(|row| row["domain_id"] == "Drug") {
        let is_statin = concept["concept_name"].to_lowercase().contains("simvastatin");
        let code = if is_statin { "0212000Y0AAABAB" } else { "" };
        map += &format!("{},{code}\n", concept["concept_id"]);
        if is_statin {
            statins.insert(concept["concept_id"].clone());
        }
    }
    write(&folder.join("bnf.csv"), map);
    statins
}

/// People who are observed on the as-of day and alive before it.
fn registered(folder: &Path) -> BTreeSet<String> {
    let died: BTreeSet<String> = rows(folder, "DEATH")
        .into_iter()
        .filter(|row| row["death_date"].as_str() < AS_OF)
        .map(|row| row["person_id"].clone())
        .collect();
    let is_observed = |row: &Row| {
        row["observation_period_start_date"].as_str() <= AS_OF && row["observation_period_end_date"].as_str() >= AS_OF
    };
    let observed = rows(folder, "OBSERVATION_PERIOD").into_iter().filter(is_observed);
    observed.map(|row| row["person_id"].clone()).filter(|person| !died.contains(person)).collect()
}

/// How many rows of a table each person has that meet a condition.
fn counted(folder: &Path, table: &str, is_meant: impl Fn(&Row) -> bool) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for row in rows(folder, table).into_iter().filter(is_meant) {
        *counts.entry(row["person_id"].clone()).or_default() += 1;
    }
    counts
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that was skipped says so")]
fn the_synthea_set_runs_from_its_files_to_scores() {
    let Some(set) = find_set() else {
        println!("skipped: {SET} is not there; it is data of OHDSI and no part of the project");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    unpack(&set, folder);
    let statins = map_drugs(folder);
    write(&folder.join("models/scores/omop_counts.toml"), COUNTS.trim_start());
    let settings = write(&folder.join("riskstrat.toml"), settings());
    let report = run_settings(&settings, Some(&folder.join("models"))).unwrap_or_else(|failure| panic!("{failure}"));
    let scores = parquet_rows(&report.published[0].join("scores.parquet"));
    let person = |row: &BTreeMap<String, Cell>| row["person"].to_string();
    let people = registered(folder);
    assert_eq!(scores.iter().map(person).collect::<BTreeSet<_>>(), people);
    assert!(people.len() > 10 && people.len() < 28, "{}", people.len());

    let visit = |concepts: &'static [&'static str]| {
        let is_meant = move |row: &Row| {
            let day = row["visit_start_date"].as_str();
            // A stay is known when it has ended.
            let is_known = concepts != ["9201"] || row["visit_end_date"].as_str() < AS_OF;
            concepts.contains(&row["visit_concept_id"].as_str()) && (YEAR_BEFORE..AS_OF).contains(&day) && is_known
        };
        counted(folder, "VISIT_OCCURRENCE", is_meant)
    };
    let concept = |code: &str| {
        let concepts = rows(folder, "CONCEPT").into_iter();
        let of_code: Vec<Row> =
            concepts.filter(|row| row["concept_code"] == code && row["vocabulary_id"] == "SNOMED").collect();
        assert_eq!(of_code.len(), 1, "{code}");
        of_code[0]["concept_id"].clone()
    };
    let (sinusitis, reconciled) = (concept("444814009"), concept("430193006"));
    let sinusitis = counted(folder, "CONDITION_OCCURRENCE", |row| {
        row["condition_concept_id"] == sinusitis && row["condition_start_date"].as_str() < AS_OF
    });
    let procedures = counted(folder, "PROCEDURE_OCCURRENCE", |row| {
        row["procedure_concept_id"] == reconciled && row["procedure_date"].as_str() < AS_OF
    });
    let statins = counted(folder, "DRUG_EXPOSURE", |row| {
        statins.contains(&row["drug_concept_id"]) && row["drug_exposure_start_date"].as_str() < AS_OF
    });
    let expected = [
        ("admissions", visit(&["9201"])),
        ("attendances", visit(&["9203"])),
        ("visits", visit(&["9202"])),
        ("sinusitis", sinusitis),
        ("procedures", procedures),
        ("statins", statins),
    ];
    for (fact, counts) in &expected {
        for row in &scores {
            // A feed that does not cover the year leaves a fact empty where it saw nothing.
            let found = match &row[*fact] {
                Cell::Missing => 0,
                Cell::Whole(count) => *count,
                Cell::Decimal(count) => *count as i64,
                other => panic!("{fact} is {other:?}"),
            };
            assert_eq!(found, counts.get(&person(row)).copied().unwrap_or(0), "{fact} of {}", person(row));
        }
        let of_registered: i64 =
            counts.iter().filter(|(person, _)| people.contains(*person)).map(|(_, count)| count).sum();
        assert!(of_registered > 0 || *fact == "admissions", "{fact} is tested on nothing");
    }
    check_quality(&report.published[0], folder);
}

/// Every row of every table is used, or counted under its rule; no number is missing in the set's own concept table.
fn check_quality(published: &Path, folder: &Path) {
    let quality: Value = serde_json::from_slice(&fs::read(published.join("quality.json")).unwrap()).unwrap();
    let sources = quality["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 11);
    for (source, table) in
        [("inpatient", "VISIT_OCCURRENCE"), ("measurement", "MEASUREMENT"), ("drug", "DRUG_EXPOSURE")]
    {
        let counts = sources.iter().find(|counts| counts["source"] == source).unwrap();
        assert_eq!(counts["rows"].as_u64().unwrap() as usize, rows(folder, table).len(), "{source}");
    }
    for counts in sources {
        assert_eq!(counts["rejected"], 0, "{counts}");
        assert_eq!(counts["codes_not_in_dictionary"], serde_json::json!({}), "{counts}");
        let dropped: u64 =
            counts["dropped"].as_object().unwrap().values().map(|rule| rule["rows"].as_u64().unwrap()).sum();
        assert_eq!(counts["rows"].as_u64().unwrap(), counts["used"].as_u64().unwrap() + dropped, "{counts}");
    }
}
