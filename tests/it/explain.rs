//! A score taken apart adds up to what was published, and what a score did not see is said.

use std::fs;
use std::path::{Path, PathBuf};

use riskstrat::demo;
use riskstrat::explain::{Answer, PublishedRun, explain, why_not};
use riskstrat::ingest::layout::LayoutFile;
use riskstrat::model::Kind;
use riskstrat::model::library::Library;
use riskstrat::population::{Format, Request, generate};
use riskstrat::run::{Prepared, prepare};

use crate::cases::{columns_of, widened};
use crate::common::{parquet_rows, run_settings, write};

/// A small county, run once; and everything that the run needed.
fn county() -> (tempfile::TempDir, Prepared, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(3_000, 11, folder.path().join("data"));
    request.rows_per_person = 60;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), demo::settings("data", "2016-04-01"));
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let prepared = prepare(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    (folder, prepared, report.published[0].clone())
}

fn quality(run: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(run.join("quality.json")).unwrap()).unwrap()
}

#[test]
fn every_part_of_a_score_adds_up_to_what_was_published() {
    let (_folder, prepared, run) = county();
    let cpm = prepared.models.iter().find(|model| model.id == "cpm").unwrap();
    assert_eq!(cpm.kind, Kind::Logistic);
    let rows = parquet_rows(&run.join("scores.parquet"));
    // The person with the highest risk, one in the middle, and one with none of the events.
    for place in [0, rows.len() / 2, rows.len() - 1] {
        let person = rows[place]["person"].to_string();
        let published = PublishedRun::open(&run, &person).unwrap();
        let Answer::Scored(explanations) = explain(&prepared, &published, &person, None, &|_| ()).unwrap() else {
            panic!("everybody in scores.parquet has a score")
        };
        for explanation in &explanations {
            let parts: i64 = explanation.terms.iter().map(|term| term.points.0).sum();
            let floor = explanation.raised_to_floor.0;
            assert_eq!(
                explanation.intercept.0 + parts + floor,
                explanation.linear_predictor.0,
                "{}",
                explanation.model
            );
            assert_eq!(
                rows[place][&format!("{}_linear_predictor", explanation.model)].to_string(),
                explanation.linear_predictor.0.to_string()
            );
            for event in explanation.terms.iter().flat_map(|term| &term.events) {
                assert!(event.day < published.as_of, "nothing on the as-of day or later is behind a score");
            }
        }
        let of_cpm = explanations.iter().find(|explanation| explanation.model == "cpm").unwrap();
        assert_eq!(of_cpm.terms.len(), 69);
        let fired = of_cpm.terms.iter().filter(|term| term.points.0 != 0 && term.how.contains("events"));
        assert!(fired.clone().all(|term| !term.events.is_empty()), "a term made of events shows them");
    }
}

#[test]
fn what_a_floor_adds_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    // Diabetes with complications is -1 in the SHMI weights, and a total below 0 counts as 0.
    let row = "p,RVV,1,3,1,21,1,2015-06-01,2015-06-01,2015-06-03,2015-06-03,1,E112\n";
    let header = "ENCRYPTED_HESID,PROCODE,EPIKEY,EPISTAT,EPIORDER,ADMIMETH,CLASSPAT,ADMIDATE,EPISTART,EPIEND,DISDATE,DISMETH,DIAG_01";
    let text = &Library::load(None).unwrap().unwrap_or_else(|problems| panic!("{problems:?}")).layouts["hes_apc"];
    let layout = LayoutFile::parse(&text.file, &text.text).unwrap();
    let rows = widened(format!("{header}\n{row}").as_bytes(), &columns_of(&layout));
    write(&folder.path().join("hes_apc.csv"), rows);
    let register = "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,lsoa11,\
                    ethnic_category,imd_score,imd_decile\np,1940-01,1,G82001,2000-01-01,,,,,,\n";
    write(&folder.path().join("register.csv"), register);
    let settings = write(
        &folder.path().join("riskstrat.toml"),
        "format = 1\nas_of = \"2016-04-01\"\nout = \"out\"\nmodels = [\"charlson_shmi\"]\n[register]\nlayout = \"register\"\n\
         files = [\"register.csv\"]\n[opt_outs]\napplied_upstream = \"nobody opted out\"\n[[source]]\nname = \"apc\"\n\
         layout = \"hes_apc\"\nfiles = [\"hes_apc.csv\"]\n",
    );
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let prepared = prepare(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let published = PublishedRun::open(&report.published[0], "p").unwrap();
    let Answer::Scored(explanations) = explain(&prepared, &published, "p", None, &|_| ()).unwrap() else {
        panic!("the person has a score")
    };
    let one = 1_000_000_000;
    let of = &explanations[0];
    let parts: i64 = of.terms.iter().map(|term| term.points.0).sum();
    assert_eq!((parts, of.raised_to_floor.0, of.linear_predictor.0), (-one, one, 0));
}

#[test]
fn the_rule_of_a_cohort_is_told_condition_by_condition() {
    let (_folder, prepared, run) = county();
    let rows = parquet_rows(&run.join("scores.parquet"));
    let low = rows.iter().find(|row| row["cpm_band"].to_string() == "low").unwrap();
    let person = low["person"].to_string();
    let published = PublishedRun::open(&run, &person).unwrap();
    let held = why_not(&prepared, &published, "case_management").unwrap();
    assert_eq!(held.len(), 3);
    assert!(!held[0].holds && held[0].condition.starts_with("cpm_band IN"));
    assert_eq!(held[0].values, [("cpm_band".to_owned(), "low".to_owned())]);
    let fault = why_not(&prepared, &published, "nobody").unwrap_err().to_string();
    assert_eq!(fault, "the settings have no cohort \"nobody\"; they have case_management");
    let fault = PublishedRun::open(&run, "not-a-person").map(|_| ()).unwrap_err().to_string();
    assert!(fault.contains("nobody with that pseudonym") && !fault.contains("not-a-person"), "{fault}");
}

#[test]
fn an_explanation_of_another_run_is_refused() {
    let (folder, _, run) = county();
    let settings = folder.path().join("riskstrat.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("rejects_share = 0.01", "rejects_share = 0.02")).unwrap();
    let changed = prepare(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let person = parquet_rows(&run.join("scores.parquet"))[0]["person"].to_string();
    let published = PublishedRun::open(&run, &person).unwrap();
    let fault = explain(&changed, &published, &person, None, &|_| ()).unwrap_err().to_string();
    assert_eq!(fault, "the settings file is not the one that the run was made with");
}

#[test]
fn what_practices_do_not_share_is_unavailable_and_not_zero() {
    let (folder, _, run) = county();
    let practices = fs::read_to_string(folder.path().join("data/practices.csv"));
    let sharing: Vec<String> = match practices {
        Ok(text) => text
            .lines()
            .filter(|line| line.ends_with(",yes"))
            .map(|line| line.split(',').next().unwrap().to_owned())
            .collect(),
        Err(_) => parquet_rows(&folder.path().join("data/practices.parquet"))
            .iter()
            .filter(|row| row["shares_gp_data"].to_string() == "yes")
            .map(|row| row["practice_code"].to_string())
            .collect(),
    };
    let mut grades = std::collections::BTreeMap::new();
    for row in parquet_rows(&run.join("scores.parquet")) {
        let shares = sharing.contains(&row["practice"].to_string());
        *grades.entry((shares, row["cpm_fidelity"].to_string())).or_insert(0u64) += 1;
        let unavailable: u64 = row["cpm_terms_unavailable"].to_string().parse().unwrap();
        // 15 terms of GP data, and the two interactions with a condition of the GP record.
        assert_eq!(unavailable, if shares { 0 } else { 17 });
        assert_eq!(row["register_copd"].to_string().is_empty(), !shares, "what is not known is not 0");
    }
    assert_eq!(
        grades.keys().map(|(shares, grade)| (*shares, grade.as_str())).collect::<Vec<_>>(),
        [(false, "C"), (true, "A")]
    );
    let table = &quality(&run)["fidelity"]["cpm"];
    assert_eq!(table["people_by_grade"]["C"], grades[&(false, "C".to_owned())]);
    for term in table["terms"].as_array().unwrap() {
        let sum = ["observed", "defaulted", "unavailable"].iter().map(|part| term[part].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum, grades.values().sum::<u64>(), "everybody is in one of three: {term}");
    }
}
