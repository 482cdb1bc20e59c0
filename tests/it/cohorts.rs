//! Cohorts as a user writes them: what is refused, what is published, and that nobody is lost on the way to a list.

use std::collections::BTreeMap;
use std::fs;

use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use riskstrat::run::{GroupLine, Silent, YieldLine, try_cohort, yields};
use serde_json::Value;

use crate::bad_input::{Body, refused};
use crate::common::{files_under, parquet_rows, run_settings, write};
use crate::models::library;

/// A cohort of the settings; `more` follows its keys.
fn cohort(id: &str, condition: &str, more: &str) -> String {
    format!(
        "\n[[cohort]]\nid = \"{id}\"\ntitle = \"T\"\npurpose = \"P\"\nsource = \"S\"\nmodel = \"cpm\"\n\
         where = \"{condition}\"\norder_by = [\"-cpm_linear_predictor\"]\n{more}\n"
    )
}

fn add(body: &Body, text: &str) {
    let settings = fs::read_to_string(body.path("riskstrat.toml")).unwrap();
    body.put("riskstrat.toml", settings + text);
}

/// The message for settings with these cohorts.
fn fault(cohorts: &str) -> String {
    let (code, message) = refused(|body| add(body, cohorts));
    assert_eq!(code, 3, "{message}");
    message
}

#[test]
fn a_bad_rule_is_refused_with_its_place_and_the_allowed_names() {
    let at = |message: &str, line: &str, rest: &str| {
        let settings = crate::bad_input::SETTINGS.to_owned() + message;
        let number = settings.lines().position(|found| found.starts_with(line)).unwrap() + 1;
        format!("riskstrat.toml:{number}: {rest}")
    };
    let unknown = cohort("a", "age_year >= 65", "");
    let message = fault(&unknown);
    let expected =
        at(&unknown, "where", "cohort \"a\": where: no published column \"age_year\"; did you mean \"age_years\"?");
    assert!(message.starts_with(&expected) && message.contains("known are person, practice"), "{message}");

    let number = cohort("a", "age_years + 1", "");
    let expected = at(&number, "where", "cohort \"a\": where: did not run: the condition is of type ");
    assert!(fault(&number).starts_with(&expected), "{}", fault(&number));
    let text = cohort("a", "sex >= 65", "");
    assert!(fault(&text).starts_with(&at(&text, "where", "cohort \"a\": where: did not run: ")), "{}", fault(&text));
    assert!(fault(&cohort("a", "age_years >=", "")).contains("cohort \"a\": where: did not run: "));

    let order = cohort("a", "true", "").replace("-cpm_linear_predictor", "-cpm_lp");
    let expected = at(&order, "order_by", "cohort \"a\": order_by: no published column \"cpm_lp\"");
    assert!(fault(&order).starts_with(&expected), "{}", fault(&order));

    let itself = cohort("a", "on_a = 1", "");
    let expected = "cohort \"a\": where: no published column \"on_a\": a cohort cannot ask who is on its own list; of those \
                    before it on_case_management";
    assert_eq!(fault(&itself), at(&itself, "where", expected));
    let none = cohort("a", "true", "capacity = { at_most = 0, per = \"practice\" }");
    let expected = "cohort \"a\": capacity: 0 leaves nobody on the list; leave the cohort out instead";
    assert_eq!(fault(&none), at(&none, "capacity", expected));
    let team = cohort("a", "true", "capacity = { at_most = 9, per = \"age_years\" }");
    assert!(fault(&team).contains("\"age_years\" holds no words; those that do are practice,"), "{}", fault(&team));

    let twice = cohort("a", "true", "") + &cohort("a", "false", "");
    assert!(fault(&twice).ends_with("cohort \"a\": id: two cohorts have this name"), "{}", fault(&twice));
    let shipped = cohort("find_ckd", "true", "");
    assert!(fault(&shipped).contains("a shipped cohort has this name"), "{}", fault(&shipped));
    let other_model = cohort("a", "efi_band = 'severe'", "");
    assert!(fault(&other_model).contains("it is a column of model \"efi\", which is not among models"));
    let facts = cohort("a", "true", "").replace("model = \"cpm\"", "model = \"person_facts\"");
    assert!(
        fault(&facts).contains("cohort \"a\": model: \"person_facts\" is not among the scored models of this run: cpm")
    );
    let preset = "\n[[preset]]\nid = \"find_ckd\"\ncapacity = { at_most = 3, per = \"practice\" }\n";
    assert!(
        fault(preset).contains("preset \"find_ckd\": is not among cohorts = [case_management]"),
        "{}",
        fault(preset)
    );
    let key = cohort("a", "true", "capcity = 3");
    assert!(fault(&key).contains("capcity"), "{}", fault(&key));
}

/// The cohorts of a manifest, by name.
fn lines(manifest: &[u8]) -> BTreeMap<String, Value> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let lines = manifest["cohorts"].as_array().unwrap();
    lines.iter().map(|line| (line["id"].as_str().unwrap().to_owned(), line.clone())).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Settings with every shipped cohort and the models that they ask for.
pub fn settings_of_all_cohorts(data: &str) -> String {
    let cohorts: Vec<String> = library().cohorts.keys().map(|id| format!("\"{id}\"")).collect();
    demo::settings(data, "2016-04-01")
        .lines()
        .map(|line| match line {
            _ if line.starts_with("cohorts = ") => format!("cohorts = [{}]\n", cohorts.join(", ")),
            _ if line.starts_with("models = ") => {
                "models = [\"cpm\", \"parr30\", \"efi\", \"person_facts\", \"service_facts\"]\n".to_owned()
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn every_shipped_cohort_names_people_and_everybody_ends_in_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(6_000, 3, folder.path().join("data"));
    request.rows_per_person = 60;
    request.follow_up_days = 31;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let own =
        cohort("of_40", "age_years >= 40", "capacity = { at_most = 5, per = \"practice\" }\ncolumns = [\"half\"]\n")
            + "[cohort.derive]\nhalf = \"CASE WHEN age_years >= 80 THEN 'old' ELSE 'middle' END\"\n\
           [[cohort.exclusion]]\nname = \"listed\"\nreason = \"on another list\"\nwhere = \"on_case_management = 1\"\n";
    let preset = "\n[[preset]]\nid = \"care_home\"\ncapacity = { at_most = 2, per = \"practice\" }\n";
    let text = settings_of_all_cohorts("data") + &own + preset;
    let settings = write(&folder.path().join("riskstrat.toml"), text);
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let out = &report.published[0];
    let files = files_under(out);
    let people = parquet_rows(&out.join("scores.parquet"));
    for (id, line) in lines(&files["manifest.json"]) {
        let excluded: u64 = line["excluded"].as_object().unwrap().values().map(number).sum();
        let parts = ["on_list", "decided_out", "below_capacity", "not_in_cohort"].map(|part| number(&line[part]));
        assert_eq!(number(&line["registered"]), people.len() as u64);
        assert_eq!(parts.iter().sum::<u64>() + excluded, people.len() as u64, "{line}");
        assert!(parts[0] > 0, "nobody is on the list of {id}");
        let mut on_lists = Vec::new();
        let of_cohort = |name: &str| name.starts_with(&format!("lists/{id}/"));
        for (name, bytes) in files.iter().filter(|(name, _)| of_cohort(name)) {
            let practice = name.rsplit('/').next().unwrap().trim_end_matches(".csv");
            let mut reader = csv::Reader::from_reader(&bytes[..]);
            for (order, row) in reader.records().map(Result::unwrap).enumerate() {
                assert_eq!(row[0], (order + 1).to_string(), "{name}");
                on_lists.push((row[1].to_owned(), practice.to_owned()));
            }
        }
        on_lists.sort();
        let standings = parquet_rows(&out.join(format!("cohorts/{id}.parquet")));
        let mut standing: Vec<(String, String)> = standings
            .iter()
            .filter(|row| row["place"].to_string() == "on_list")
            .map(|row| (row["person"].to_string(), row["practice"].to_string()))
            .collect();
        standing.sort();
        assert!(on_lists == standing, "lists and cohorts/{id}.parquet name the same people, each at their practice");
        assert_eq!(on_lists.len() as u64, parts[0]);
    }
    let of_40 = &lines(&files["manifest.json"])["of_40"];
    assert!(number(&of_40["excluded"]["listed"]) > 0, "a cohort may ask who is on a list before it");
    let all: Vec<&String> = files.keys().filter(|name| name.starts_with("lists/of_40/")).collect();
    assert_eq!(number(&of_40["on_list"]), 5 * all.len() as u64, "every practice has five to spare");
    let text = str::from_utf8(&files[all[0]]).unwrap();
    assert!(text.contains(",middle,") || text.contains(",old,"), "a derived column is shown");
    assert!(number(&lines(&files["manifest.json"])["care_home"]["below_capacity"]) > 0, "a preset's capacity cuts");
}

#[test]
fn a_rule_is_tried_before_it_is_published_and_lists_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(3_000, 29, folder.path().join("data"));
    request.rows_per_person = 30;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), demo::settings("data", "2016-04-01"));
    let tried = |rule: &str| try_cohort(&settings, None, rule, &Silent);
    let trial = tried("age_years >= 65 AND (sex = 'female' OR sex = 'male') AND on_case_management = 0").unwrap();
    let conditions: Vec<&str> = trial.steps.iter().map(|step| step.condition.as_str()).collect();
    assert_eq!(conditions, ["age_years >= 65", "(sex = 'female' OR sex = 'male')", "on_case_management = 0"]);
    let left: Vec<u64> = trial.steps.iter().map(|step| step.left).collect();
    assert!(left[0] == trial.steps[0].alone && left.is_sorted_by(|one, two| one >= two) && left[2] > 0, "{left:?}");
    assert!(trial.steps[2].alone > left[2], "a condition alone holds for more people");
    assert_eq!((trial.on_list, trial.below_capacity), (left[2], 0));
    let columns: Vec<&str> = trial.groups.iter().map(|group| group.column.as_str()).collect();
    assert_eq!(columns, ["cpm_band", "deprivation_fifth", "ethnicity"]);
    for group in &trial.groups {
        let sum = |of: fn(&GroupLine) -> u64| group.lines.iter().map(of).sum::<u64>();
        assert_eq!((sum(|line| line.registered), sum(|line| line.on_list)), (trial.registered, trial.on_list));
    }
    // A shipped cohort that the settings do not have, which looks back.
    let shipped = tried("year_of_care").unwrap();
    assert_eq!((shipped.cohort.id.as_str(), shipped.excluded.len()), ("year_of_care", 1));
    let fault = tried("age_year >= 65").unwrap_err().to_string();
    assert!(fault.contains("no published column \"age_year\"; did you mean \"age_years\"?"), "{fault}");
    let fault = tried("yeer_of_care").unwrap_err().to_string();
    assert!(fault.starts_with("riskstrat.toml: no cohort \"yeer_of_care\"; did you mean \"year_of_care\"?"), "{fault}");
    let rising = tried("cpm_rises_6m >= 4").unwrap();
    assert!(rising.on_list > 0 && rising.on_list < rising.registered, "a typed condition may look back");
    assert!(!folder.path().join("out").exists(), "nothing is written");

    let lines = yields(&settings, None, Some("top_2_percent"), "cpm", None, &Silent).unwrap();
    let names: Vec<&str> = lines.iter().map(|line| line.cohort.as_str()).collect();
    assert_eq!(names, ["", "case_management", "top_2_percent"]);
    assert_eq!(lines[0].people, trial.registered);
    let share = |line: &YieldLine| line.events as f64 / line.followed as f64;
    assert!(lines.iter().all(|line| line.events <= line.followed && line.followed <= line.people && line.events > 0));
    assert!(share(&lines[1]) > 2.0 * share(&lines[0]), "a list of high risk finds more than chance: {lines:?}");
}
