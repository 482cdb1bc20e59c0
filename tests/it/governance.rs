//! What may be used, and for what: opt-outs by code, sensitive codes, sources for aggregates alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};

use crate::bad_input::{Body, GP_EVENTS, REGISTER, SETTINGS, refused};
use crate::common::{Cell, files_under, parquet_rows, run_settings, write};

/// A Type 1 opt-out, as `codelists/opt_out_codes.csv` has it.
const OPT_OUT: &str = "827241000000103";

/// Counts the GP entries of everybody.
const ENTRIES: &str = r#"format = 1
[model]
id      = "entries"
version = "1"
title   = "GP entries"
kind    = "points"
[source]
citation = "Made for this test."
location = "here"
derived  = []
assumed  = []
[[term]]
name         = "entries"
label        = "GP entries"
value        = { count = { of = "gp_event", days = "ever" } }
when_missing = "zero"
coefficient  = 1.5
"#;

fn entry(person: &str, date: &str, code: &str) -> String {
    format!("{person},{date},{date},,{code},G82001\n")
}

/// The files that are about people, as bytes.
fn about_people(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, &[u8]> {
    let about = |name: &str| name.ends_with(".parquet") || name.contains("lists/");
    files.iter().filter(|(name, _)| about(name)).map(|(name, bytes)| (name.as_str(), &bytes[..])).collect()
}

fn quality(body: &Body) -> serde_json::Value {
    serde_json::from_str(&body.published("quality.json")).unwrap()
}

fn dropped(quality: &serde_json::Value, source: &str, rule: &str) -> u64 {
    let sources = quality["sources"].as_array().unwrap();
    let source = sources.iter().find(|line| line["source"] == source).unwrap();
    source["dropped"][rule]["rows"].as_u64().unwrap_or(0)
}

/// The body with a list of opt-outs, and no limit that so few people could breach.
fn with_list(people: &[&str]) -> Body {
    let body = Body::new();
    let list = "layout = \"opt_outs\"\nfiles = [\"opt_outs.csv\"]";
    body.set("applied_upstream = \"the data controller, on 2016-03-31\"", list);
    body.put("opt_outs.csv", format!("person_id\nPSEUDO-X\n{}\n", people.join("\n")));
    let settings = std::fs::read_to_string(body.path("riskstrat.toml")).unwrap();
    body.put("riskstrat.toml", format!("{settings}\n[limits]\nrejects_share = 0.9\n"));
    body
}

#[test]
fn a_person_who_opted_out_by_code_is_in_no_output() {
    for date in ["2015-06-01", "2016-05-01", ""] {
        let by_code = with_list(&[]);
        let events = GP_EVENTS.to_owned() + &entry("PSEUDO-B", date, OPT_OUT);
        by_code.put("gp_events.csv", &events);
        by_code.run().unwrap_or_else(|failure| panic!("{failure}"));
        let by_list = with_list(&["PSEUDO-B"]);
        by_list.put("gp_events.csv", &events);
        by_list.run().unwrap_or_else(|failure| panic!("{failure}"));
        let (one, two) = (files_under(&by_code.path("out")), files_under(&by_list.path("out")));
        assert_eq!(about_people(&one), about_people(&two), "as if the list had the person, entered on {date:?}");
        assert_eq!(parquet_rows(&by_code.path("out/2016-04-01/scores.parquet")).len(), 1);
        for (name, bytes) in &one {
            assert!(!bytes.windows(8).any(|window| window == b"PSEUDO-B"), "a trace in {name}");
        }
        let quality = quality(&by_code);
        assert_eq!(quality["governance"]["opt_outs"]["people_by_code"], 1);
        assert_eq!(quality["governance"]["opt_outs"]["people_by_list"], 0);
        assert_eq!(dropped(&quality, "register", "opted_out_by_code"), 1);
        assert_eq!(dropped(&quality, "emergency_care", "opted_out_by_code"), 1);
        // The two entries and, where it is not of a day that no row counts of, the opt-out itself, dated or not.
        let entries = 2 + u64::from(date != "2016-05-01");
        assert_eq!(dropped(&quality, "gp_events", "opted_out_by_code"), entries, "{date}");
        assert!(by_code.published("manifest.json").contains("after opt-outs by code"));
    }
}

#[test]
fn an_opt_out_that_was_taken_back_does_not_count() {
    let list = include_str!("../../models/codelists/opt_out_codes.csv");
    let withdrawal = "1234561000";
    let people = |entries: [(&str, &str); 2]| {
        let body = Body::new();
        let own = format!("{list}snomed,{withdrawal},exact,type_1_opt_out_withdrawn,made up,\n");
        body.put("models/codelists/opt_out_codes.csv", own);
        let entries = entries.map(|(date, code)| entry("PSEUDO-B", date, code));
        body.put("gp_events.csv", GP_EVENTS.to_owned() + &entries.concat());
        body.run().unwrap_or_else(|failure| panic!("{failure}"));
        parquet_rows(&body.path("out/2016-04-01/scores.parquet")).len()
    };
    assert_eq!(people([("2015-01-01", OPT_OUT), ("2015-02-01", withdrawal)]), 2);
    assert_eq!(people([("2015-02-01", OPT_OUT), ("2015-01-01", withdrawal)]), 1);
    assert_eq!(people([("2015-02-01", OPT_OUT), ("2015-02-01", withdrawal)]), 1);
}

/// A county that has every feed: leaving people out by code is leaving them out by list.
#[test]
fn by_code_and_by_list_are_the_same_bytes_in_a_whole_county() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(1_500, 11, folder.path().join("data"));
    request.rows_per_person = 60;
    request.format = Format::Csv;
    generate(&request, &|_, _| ()).unwrap();
    let mut out = BTreeSet::new();
    for (name, bytes) in files_under(&folder.path().join("data")) {
        if name.starts_with("gp_events") {
            let text = String::from_utf8(bytes).unwrap();
            let rows = text.lines().filter(|line| line.contains(OPT_OUT));
            out.extend(rows.map(|line| line.split(',').next().unwrap().to_owned()));
        }
    }
    assert!(out.len() > 10, "people opted out at their practice: {}", out.len());
    let settings = demo::settings("data", "2016-04-01").replace("out = \"out\"", "out = \"by_code\"");
    let none =
        settings.replace("layout = \"opt_outs\"\nfiles = [\"data/opt_outs.*\"]", "applied_upstream = \"made up\"");
    assert_ne!(none, settings, "the settings have a list");
    run_settings(&write(&folder.path().join("by_code.toml"), none), None).unwrap_or_else(|failure| panic!("{failure}"));
    let listed = settings.replace("data/opt_outs.*", "listed.csv").replace("by_code", "by_list");
    let list: String = out.iter().map(|person| format!("{person}\n")).collect();
    write(&folder.path().join("listed.csv"), format!("person_id\n{list}"));
    run_settings(&write(&folder.path().join("by_list.toml"), listed), None)
        .unwrap_or_else(|failure| panic!("{failure}"));
    let (one, two) = (files_under(&folder.path().join("by_code")), files_under(&folder.path().join("by_list")));
    let (one, two) = (about_people(&one), about_people(&two));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(bytes == &two[name], "{name} differs");
    }
    check_rows_add_up(&folder.path().join("by_code/2016-04-01/quality.json"));
}

fn check_rows_add_up(quality: &Path) {
    let quality: serde_json::Value = serde_json::from_slice(&std::fs::read(quality).unwrap()).unwrap();
    for source in quality["sources"].as_array().unwrap() {
        let dropped: u64 = source["dropped"].as_object().unwrap().values().map(|of| of["rows"].as_u64().unwrap()).sum();
        let (rows, used) = (source["rows"].as_u64().unwrap(), source["used"].as_u64().unwrap());
        assert_eq!(rows, used + dropped, "{}", source["source"]);
    }
    assert!(dropped(&quality, "admissions", "opted_out_by_code") > 0, "episodes are counted as rows");
}

const SENSITIVE: &str = "# Source: made up\nsystem,code,match,category,label,weight\n";

#[test]
fn a_sensitive_code_reaches_no_event() {
    let body = Body::new();
    body.put("models/scores/entries.toml", ENTRIES);
    body.put("riskstrat.toml", SETTINGS.replace("\"person_facts\"]", "\"person_facts\", \"entries\"]"));
    let points = |body: &Body| {
        body.run().unwrap_or_else(|failure| panic!("{failure}"));
        let rows = parquet_rows(&body.path("out/2016-04-01/scores.parquet"));
        rows.iter().map(|row| row["entries"].clone()).collect::<Vec<Cell>>()
    };
    body.put("gp_events.csv", GP_EVENTS.to_owned() + &entry("PSEUDO-B", "2015-05-05", "999000111000000106"));
    let before = points(&body);
    body.put(
        "models/codelists/sensitive.csv",
        format!("{SENSITIVE}snomed,999000111000000106,exact,made_up,Made up,\n"),
    );
    let after = points(&body);
    assert_eq!(
        (before, after),
        (vec![Cell::Decimal(1.5), Cell::Decimal(4.5)], vec![Cell::Decimal(1.5), Cell::Decimal(3.0)],)
    );
    let quality = quality(&body);
    assert_eq!(dropped(&quality, "gp_events", "sensitive"), 1);
    assert_eq!(quality["governance"]["sensitive"]["codes_kept_out"], 1);
}

#[test]
fn a_sensitive_diagnosis_is_taken_out_of_its_admission() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(1_500, 11, folder.path().join("data"));
    request.rows_per_person = 60;
    request.format = Format::Csv;
    generate(&request, &|_, _| ()).unwrap();
    let settings = demo::settings("data", "2016-04-01").replace("\"hfrs\"", "\"hfrs\", \"elixhauser_vw\"");
    let settings = write(&folder.path().join("riskstrat.toml"), settings);
    let run = |models: Option<&Path>| {
        run_settings(&settings, models).unwrap_or_else(|failure| panic!("{failure}"));
        let quality = std::fs::read(folder.path().join("out/2016-04-01/quality.json")).unwrap();
        let quality: serde_json::Value = serde_json::from_slice(&quality).unwrap();
        let admissions = quality["sources"].as_array().unwrap().iter().find(|of| of["source"] == "admissions").unwrap();
        let number = |name: &str| admissions[name].as_u64().unwrap();
        (number("used"), number("sensitive_codes"), number("events"))
    };
    let (used, none, events) = run(None);
    // Every diagnosis of chapter I with a fourth character: no model's list has one of these as its own line.
    let digits: String = (10..=99).map(|code| format!("icd10,I{code},prefix,made_up,Made up,\n")).collect();
    let own = folder.path().join("own");
    write(&own.join("codelists/sensitive.csv"), format!("{SENSITIVE}{digits}"));
    let text = std::fs::read_to_string(&settings).unwrap();
    write(
        &settings,
        text.replace(
            &text[text.find("models = ").unwrap()..text.find("cohorts").unwrap()],
            "models = [\"person_facts\", \"lace\"]\n",
        )
        .replace("cohorts = [\"case_management\"]", ""),
    );
    let failure = run_settings(&settings, Some(&own)).expect_err("LACE asks for heart failure");
    assert_eq!(failure.exit_code(), 3);
    assert!(failure.to_string().contains("names") && failure.to_string().contains("sensitive codes"), "{failure}");
    write(&settings, text);
    let text = std::fs::read_to_string(&settings).unwrap();
    write(&settings, format!("{text}\n[sensitive]\nlegal_basis = \"made up\"\n"));
    assert_eq!(run(Some(&own)), (used, none, events), "a legal basis lets them through");
    let fewer = format!(
        "{SENSITIVE}icd10,I48X,exact,made_up,Made up,\nicd10,I480,exact,made_up,Made up,\nicd10,I489,exact,made_up,Made up,\n"
    );
    write(&own.join("codelists/sensitive.csv"), fewer.replace("icd10,I48X,exact,made_up,Made up,\n", ""));
    write(&settings, text);
    let (used_then, sensitive, events_then) = run(Some(&own));
    assert_eq!((used_then, none), (used, 0), "the episodes are used as before");
    assert!(sensitive > 0 && events_then < events, "{sensitive} codes, {events_then} of {events} events");
}

#[test]
fn a_model_that_asks_for_a_sensitive_code_is_refused_unless_the_legal_basis_is_stated() {
    let list = format!("{SENSITIVE}snomed,195967001,exact,made_up,Made up,\n");
    let (code, message) = refused(|body| body.put("models/codelists/sensitive.csv", &list));
    assert_eq!(code, 3);
    assert!(message.starts_with("scores/cpm.toml: code list \""), "{message}");
    let expected = "names 1 codes of the list of sensitive codes, which reach no event; take them out, or state the \
                    legal basis in the settings: [sensitive] legal_basis = \"...\"";
    assert!(message.contains(expected), "{message}");
    let body = Body::new();
    body.put("models/codelists/sensitive.csv", &list);
    body.put("riskstrat.toml", format!("{SETTINGS}\n[sensitive]\nlegal_basis = \"section 251, made up\"\n"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(quality(&body)["governance"]["sensitive"]["legal_basis"], "section 251, made up");
    assert_eq!(dropped(&quality(&body), "gp_events", "sensitive"), 0);
    let (code, message) =
        refused(|body| body.put("riskstrat.toml", format!("{SETTINGS}\n[sensitive]\nlegal_basis = \"\"\n")));
    assert_eq!(code, 3);
    assert!(message.contains("legal_basis says in words"), "{message}");
}

#[test]
fn a_source_for_aggregates_reaches_no_score_but_its_opt_outs_count() {
    let only = Body::new();
    only.set("layout = \"gp_events\"", "layout = \"gp_events\"\npurpose = \"aggregates\"");
    only.run().unwrap_or_else(|failure| panic!("{failure}"));
    let without = Body::new();
    let settings = SETTINGS.split("[[source]]\nname = \"gp_events\"").next().unwrap();
    without.put("riskstrat.toml", settings);
    without.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (one, two) = (files_under(&only.path("out")), files_under(&without.path("out")));
    assert_eq!(about_people(&one), about_people(&two), "scores, facts and lists are as without the source");
    let quality_of = quality(&only);
    assert_eq!(quality_of["governance"]["purposes"]["gp_events"], "aggregates");
    assert_eq!(quality_of["governance"]["purposes"]["emergency_care"], "scores");
    assert_eq!(dropped(&quality_of, "gp_events", "purpose_of_source"), 3);
    let terms = quality_of["fidelity"]["cpm"]["terms"].as_array().unwrap();
    assert!(terms.iter().any(|term| term["unavailable"] == 2), "terms of the source are unavailable");
    only.put("gp_events.csv", GP_EVENTS.to_owned() + &entry("PSEUDO-B", "2015-06-01", OPT_OUT));
    only.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(quality(&only)["governance"]["opt_outs"]["people_by_code"], 1);
    assert_eq!(parquet_rows(&only.path("out/2016-04-01/scores.parquet")).len(), 1);
}

#[test]
fn a_term_is_not_called_dead_where_no_score_may_use_its_feed() {
    let limits = "\n[limits]\ndead_terms_from_people = 1\n";
    let body = Body::new();
    body.put("models/scores/entries.toml", ENTRIES);
    let settings = SETTINGS
        .replace("[\"cpm\", \"person_facts\"]", "[\"entries\"]")
        .replace("cohorts = [\"case_management\"]\n", "");
    let withheld = settings.replace("layout = \"gp_events\"", "layout = \"gp_events\"\npurpose = \"aggregates\"");
    body.put("riskstrat.toml", format!("{withheld}{limits}"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let late = GP_EVENTS.replace("2015", "2017").replace("2016", "2017");
    body.put("gp_events.csv", late);
    body.put("riskstrat.toml", format!("{settings}{limits}"));
    let failure = body.run().expect_err("a feed that may be used and says nothing is a fault");
    assert!(failure.to_string().contains("the same (0) for all 2 people"), "{failure}");
    assert!(REGISTER.contains("PSEUDO-B"));
}

#[test]
fn rows_of_who_opted_out_by_code_are_counted_as_such_whatever_else_is_wrong_with_them() {
    // PSEUDO-B opted out; of the entries one has a date that is none, as has one of PSEUDO-A.
    let body = Body::new();
    body.put("riskstrat.toml", format!("{SETTINGS}\n[limits]\nrejects_share = 1\nopted_out_share = 1\n"));
    let bad = |person: &str| format!("{person},2015-13-01,2015-01-01,,44054006,G82001\n");
    body.put(
        "gp_events.csv",
        format!("{GP_EVENTS}{}{}{}", entry("PSEUDO-B", "2015-05-01", OPT_OUT), bad("PSEUDO-A"), bad("PSEUDO-B")),
    );
    // A row of the register without a use is PSEUDO-B's too, and one of somebody who stays.
    let unread = |person: &str| format!("{person},1940-13,2,G82001,2000-01-01,,,E01000001,A,20.5,5\n");
    body.put("register.csv", format!("{REGISTER}{}{}", unread("PSEUDO-A"), unread("PSEUDO-B")));
    body.put("deaths.csv", "person_id,death_date\nPSEUDO-A,2016-05-01\nPSEUDO-B,2016-06-01\n");
    let with = "files = [\"register.csv\"]\n[[register.with]]\nlayout = \"deaths\"\nfiles = [\"deaths.csv\"]";
    body.set("files = [\"register.csv\"]", with);
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let quality = quality(&body);
    assert_eq!(dropped(&quality, "gp_events", "bad_date"), 1);
    // Two entries of PSEUDO-B, the opt-out itself, and the one with a date that is none.
    assert_eq!(dropped(&quality, "gp_events", "opted_out_by_code"), 4);
    assert_eq!(dropped(&quality, "register, deaths", "opted_out_by_code"), 1);
    assert_eq!(dropped(&quality, "register", "opted_out_by_code"), 2);
    let rejects = body.published("rejects/register.csv");
    assert!(rejects.contains("register.csv,4,") && !rejects.contains("register.csv,5,"), "{rejects}");
    let rejects = body.published("rejects/gp_events.csv");
    assert!(rejects.contains("gp_events.csv,6,") && !rejects.contains("gp_events.csv,7,"), "{rejects}");
}
