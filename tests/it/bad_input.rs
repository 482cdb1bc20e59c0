//! Bad input: one clear message each, the stated exit code, and the last published run as it was.
//!
//! Every test spoils one thing of a body's files after a first good run. No message may hold what a cell says: all
//! pseudonyms begin with `PSEUDO`, and every spoilt cell holds `SECRET`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use riskstrat::run::{Failure, Report, Silent, prepare, run};

use crate::common::{files_under, run_settings, write};

pub const SETTINGS: &str = r#"format = 1
as_of = "2016-04-01"
out = "out"
models = ["cpm", "person_facts"]
cohorts = ["case_management"]

[register]
layout = "register"
files = ["register.csv"]

[opt_outs]
applied_upstream = "the data controller, on 2016-03-31"

[[source]]
name = "emergency_care"
layout = "hes_ae"
files = ["hes_ae_*.csv"]

[[source]]
name = "gp_events"
layout = "gp_events"
files = ["gp_events.csv"]
"#;

pub const REGISTER: &str = "\
person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,lsoa11,ethnic_category,imd_score,imd_decile
PSEUDO-A,1950-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5
PSEUDO-B,1940-01,2,G82001,2000-01-01,,,E01000001,A,20.5,5
";

pub const HES_AE: &str = "\
ENCRYPTED_HESID,ARRIVALDATE,PROCODE,AEATTENDCAT,AEARRIVALMODE,AEATTENDDISP,AEDEPTTYPE,DIAG_01,TREAT_01,ARRIVALTIME
PSEUDO-A,2016-03-20,RVV,1,1,01,01,24,01,0930
PSEUDO-B,2016-02-20,RVV,1,2,03,01,05,01,0930
";

pub const GP_EVENTS: &str = "\
person_id,event_date,recorded_date,value,snomed_code,practice_code
PSEUDO-A,2015-01-20,2015-01-20,,44054006,G82001
PSEUDO-B,2015-03-20,2015-03-20,,195967001,G82001
PSEUDO-B,2016-01-20,2016-01-20,55,1011481000000105,G82001
";

/// A body with small files, all in order.
pub struct Body {
    folder: tempfile::TempDir,
}

impl Body {
    pub fn new() -> Body {
        let body = Body { folder: tempfile::tempdir().unwrap() };
        body.put("riskstrat.toml", SETTINGS);
        body.put("register.csv", REGISTER);
        body.put("hes_ae_2015.csv", HES_AE);
        body.put("gp_events.csv", GP_EVENTS);
        body
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        write(&self.path(name), bytes);
    }

    /// Puts other text in place of some that has to be there.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        self.put(name, text.replacen(from, to, 1));
    }

    pub fn set(&self, from: &str, to: &str) {
        self.change("riskstrat.toml", from, to);
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub fn run(&self) -> Result<Report, Failure> {
        let models = self.path("models");
        run_settings(&self.path("riskstrat.toml"), models.is_dir().then_some(models.as_path()))
    }

    pub fn published(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.path("out/2016-04-01").join(name)).unwrap()).unwrap()
    }
}

/// The exit code and message of a run that a change made impossible; the folder stands for itself as `FOLDER`.
pub fn refused(spoil: impl FnOnce(&Body)) -> (u8, String) {
    refused_from(Body::new(), spoil).expect("the run is refused")
}

/// As [`refused`], of a body that was set up before; `None` where the run is not refused.
pub fn refused_from(body: Body, spoil: impl FnOnce(&Body)) -> Option<(u8, String)> {
    body.run().unwrap_or_else(|failure| panic!("the body is in order: {failure}"));
    let before = files_under(&body.path("out"));
    assert!(before.contains_key("2016-04-01/manifest.json"), "a run is published: {:?}", before.keys());
    spoil(&body);
    let failure = body.run().err()?;
    check_untouched(&before, &body.path("out"));
    Some(told(&failure, &body.folder.path().to_string_lossy()))
}

pub fn check_untouched(before: &BTreeMap<String, Vec<u8>>, out: &Path) {
    let mut after = files_under(out);
    // What a gate leaves for the analyst is no published run.
    after.remove("stopped.json");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "the files of the published run");
    assert!(*before == after, "the published run is the same bytes");
}

pub fn told(failure: &Failure, folder: &str) -> (u8, String) {
    let message = failure.to_string();
    assert!(!message.contains("PSEUDO") && !message.contains("SECRET"), "a cell's value: {message}");
    for line in message.lines() {
        assert!(!line.ends_with('.') && !line.to_lowercase().starts_with("error"), "{line}");
    }
    (failure.exit_code(), message.replace(folder.trim_end_matches('/'), "FOLDER"))
}

fn gz(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

// Files that cannot be read as what they should be: exit code 4.

#[test]
fn all_missing_columns_of_all_files_are_named_with_the_nearest_that_are_there() {
    let (code, message) = refused(|body| {
        body.change("hes_ae_2015.csv", "AEARRIVALMODE,AEATTENDDISP", "ARRIVALMODE,OUTCOME");
        body.change("register.csv", "birth_year_month", "born");
    });
    assert_eq!(code, 4);
    assert_eq!(
        message,
        "source \"register\": register.csv: no column \"birth_year_month\"\n\
         source \"emergency_care\": hes_ae_2015.csv: no column \"AEARRIVALMODE\" (the nearest is \"ARRIVALMODE\"); \
         no column \"AEATTENDDISP\" (the nearest is \"AEATTENDCAT\")"
    );
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_row_is_refused_with_the_row() {
    let (code, message) = refused(|body| body.put("gp_events.csv", &GP_EVENTS[..GP_EVENTS.len() - 30]));
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": gp_events.csv ends in the middle of row 4: 3 fields, the header has 6";
    assert_eq!(message, expected);
    let (code, message) = refused(|body| body.put("gp_events.csv", format!("{GP_EVENTS}\"PSEUDO-A,2015")));
    assert_eq!(code, 4);
    assert_eq!(message, "source \"gp_events\": gp_events.csv ends in the middle of row 5: a quote is still open");
}

#[test]
fn a_compressed_file_that_is_cut_short_is_refused() {
    let (code, message) = refused(|body| {
        let packed = gz(GP_EVENTS);
        body.put("gp_events.csv.gz", &packed[..packed.len() - 12]);
        body.set("gp_events.csv", "gp_events.csv.gz");
    });
    assert_eq!(code, 4);
    let end = " ends in the middle of row 4: the compressed data is cut short";
    assert_eq!(message, format!("source \"gp_events\": gp_events.csv.gz{end}"));
}

#[test]
fn a_row_with_too_few_or_too_many_fields_is_refused_with_the_row() {
    let (code, message) = refused(|body| body.change("gp_events.csv", "PSEUDO-A,2015-01-20,", "PSEUDO-A,"));
    let place = "source \"gp_events\": gp_events.csv, row 2";
    assert_eq!((code, message), (4, format!("{place}: 5 fields, the header has 6")));
    let (code, message) = refused(|body| body.change("gp_events.csv", "PSEUDO-A,", "PSEUDO-A,SECRET,"));
    assert_eq!((code, message), (4, format!("{place}: 7 fields, the header has 6")));
}

#[test]
fn a_file_without_a_header_is_refused() {
    let (code, message) = refused(|body| body.put("gp_events.csv", "\n\n"));
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": gp_events.csv has no header: its first row has to name the columns";
    assert_eq!(message, expected);
}

#[test]
fn a_parquet_file_without_its_end_is_refused() {
    let (code, message) = refused(|body| {
        body.put("gp_events.parquet", "PAR1 and then nothing that is known");
        body.set("gp_events.csv", "gp_events.parquet");
    });
    assert_eq!(code, 4);
    let end = " is cut short: it does not end with the footer of a Parquet file";
    assert_eq!(message, format!("source \"gp_events\": gp_events.parquet{end}"));
}

#[test]
fn text_in_another_encoding_is_refused_with_its_place_and_not_its_value() {
    let (code, message) = refused(|body| {
        let row = b"PSEUDO-A,2015-01-20,,,SECRET\xe9,G82001\n";
        body.put("gp_events.csv", [GP_EVENTS.as_bytes(), row].concat());
    });
    assert_eq!(code, 4);
    let end = "row 5, column \"snomed_code\": not utf-8 text; encoding = \"windows-1252\" would read it";
    assert_eq!(message, format!("source \"gp_events\": gp_events.csv, {end}"));
    let (code, message) = refused(|body| body.put("gp_events.csv", [b"\xff\xfe", GP_EVENTS.as_bytes()].concat()));
    assert_eq!(code, 4);
    assert_eq!(message, "source \"gp_events\": gp_events.csv is utf-16 text: save it as utf-8");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let body = Body::new();
    body.run().unwrap();
    let before = files_under(&body.path("out"));
    let prepared = prepare(&body.path("riskstrat.toml"), None).unwrap();
    body.put("gp_events.csv", format!("{GP_EVENTS}PSEUDO-A,2015-01-21,2015-01-20,,44054006,G82001\n"));
    let failure = run(&prepared, &Silent).expect_err("the run is refused");
    check_untouched(&before, &body.path("out"));
    let (code, message) = told(&failure, &body.folder.path().to_string_lossy());
    assert_eq!(code, 4);
    assert!(message.starts_with("source \"gp_events\": gp_events.csv changed while it was read"), "{message}");
}

// Rows that break a rule: rejects, counted, and too many of them stop the run.

#[test]
fn too_many_dates_that_are_none_stop_the_run() {
    let (code, message) = refused(|body| body.change("gp_events.csv", "2015-01-20", "SECRET"));
    assert_eq!(code, 4);
    let share = "1 of 3 rows break a rule (bad_date 1), a share of 0.3333; limits.rejects_share is 0.01: ";
    assert!(message.starts_with(&format!("source \"gp_events\": {share}")), "{message}");
}

#[test]
fn too_many_values_that_a_coded_column_does_not_know_stop_the_run() {
    let (code, message) = refused(|body| body.change("hes_ae_2015.csv", "RVV,1,1", "RVV,1,SECRET"));
    assert_eq!(code, 4);
    let share = "1 of 2 rows break a rule (unknown_code 1), a share of 0.5000; limits.rejects_share is 0.01: ";
    assert!(message.starts_with(&format!("source \"emergency_care\": {share}")), "{message}");
    let (code, message) = refused(|body| body.change("register.csv", "1950-01,1", "1950-01,SECRET"));
    assert_eq!(code, 4);
    assert!(message.starts_with(&format!("source \"register\": {share}")), "{message}");
}

#[test]
fn too_many_rows_of_strangers_stop_the_run() {
    let (code, message) = refused(|body| body.put("gp_events.csv", GP_EVENTS.replace("PSEUDO-B", "PSEUDO-C")));
    assert_eq!(code, 4);
    let share = "a share of 0.6667 of rows belongs to people who are not on the register; \
                 limits.not_on_register_share is 0.25: ";
    assert!(message.starts_with(&format!("source \"gp_events\": {share}")), "{message}");
}

#[test]
fn a_register_without_people_stops_the_run() {
    let (code, message) = refused(|body| body.put("register.csv", REGISTER.lines().next().unwrap()));
    assert_eq!(code, 4);
    assert!(
        message.lines().any(|line| line.starts_with("the register has no people; limits.people_at_least is 1: ")),
        "{message}"
    );
}

#[test]
fn rejects_are_listed_with_file_row_column_and_rule_and_never_a_value() {
    let body = Body::new();
    body.put("riskstrat.toml", format!("{SETTINGS}\n[limits]\nrejects_share = 0.7\nnot_on_register_share = 0.7\n"));
    body.put("hes_ae_2014.csv", HES_AE.replace("RVV,1,1", "RVV,1,SECRET"));
    body.change("hes_ae_2015.csv", "2016-03-20", "SECRET-03-20");
    body.change("gp_events.csv", "PSEUDO-A,2015-01-20", ",2015-01-20");
    body.change("gp_events.csv", "PSEUDO-B,2015-03-20", "PSEUDO-B,");
    body.put(
        "register.csv",
        format!(
            "{REGISTER}PSEUDO-C,SECRET,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n\
         PSEUDO-D,1950-01,1,G82001,2010-01-01,2009-01-01,,E01000001,A,20.5,5\n"
        ),
    );
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let head = "file,row,column,rule,meaning\r\n";
    let dates = "not a date; written as 2016-04-01, 20160401 or 01/04/2016";
    let bad_date = format!("bad_date,\"{dates}\"\r\n");
    assert_eq!(
        body.published("rejects/emergency_care.csv"),
        format!(
            "{head}hes_ae_2014.csv,2,AEARRIVALMODE,unknown_code,a value that the layout does not know\r\n\
             hes_ae_2015.csv,2,ARRIVALDATE,{bad_date}"
        )
    );
    assert_eq!(
        body.published("rejects/gp_events.csv"),
        format!(
            "{head}gp_events.csv,2,person_id,no_person,no pseudonym\r\n\
             gp_events.csv,3,event_date,no_date,no date\r\n"
        )
    );
    assert_eq!(
        body.published("rejects/register.csv"),
        format!(
            "{head}register.csv,4,birth_year_month,{bad_date}\
             register.csv,5,registration_end,ends_before_it_starts,ends before it starts\r\n"
        )
    );
    for (name, bytes) in files_under(&body.path("out")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("SECRET"), "{name} has a cell's value");
        assert!(!text.contains("PSEUDO") || name.contains("/lists/") || name.ends_with(".parquet"), "{name}");
    }
    let quality: serde_json::Value = serde_json::from_str(&body.published("quality.json")).unwrap();
    for source in quality["sources"].as_array().unwrap() {
        let dropped = source["dropped"].as_object().unwrap().values();
        let dropped: u64 = dropped.map(|rule| rule["rows"].as_u64().unwrap()).sum();
        assert_eq!(source["rows"].as_u64().unwrap(), source["used"].as_u64().unwrap() + dropped, "{source}");
        assert_eq!(source["rejected"].as_u64().unwrap(), 2, "{source}");
    }
}

#[test]
fn an_amount_or_a_code_that_is_none_is_counted_and_the_rest_of_its_row_used() {
    let body = Body::new();
    body.change("gp_events.csv", ",55,", ",SECRET,");
    body.change("gp_events.csv", "44054006", "4.4054E+07");
    body.put("riskstrat.toml", format!("{SETTINGS}\n[limits]\nmalformed_codes_share = 0.5\n"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let quality: serde_json::Value = serde_json::from_str(&body.published("quality.json")).unwrap();
    let sources = quality["sources"].as_array().unwrap();
    let of = sources.iter().find(|counts| counts["source"] == "gp_events").unwrap();
    assert_eq!(of["bad_amounts"], 1);
    assert_eq!(of["malformed_codes"], serde_json::json!({ "code": 1 }));
}

// Settings, models, layouts and cohorts: exit code 3.

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_what_is_allowed() {
    let (code, message) = refused(|body| body.set("as_of =", "as_off ="));
    assert_eq!(code, 3);
    assert!(
        message.starts_with("riskstrat.toml:2: unknown field `as_off`, expected one of `format`, `as_of`"),
        "{message}"
    );
    let limits = format!("{SETTINGS}\n[limits]\nreject_share = 0.5\n");
    let (code, message) = refused(|body| body.put("riskstrat.toml", limits));
    assert_eq!(code, 3);
    let expected =
        "riskstrat.toml:25: unknown field `reject_share`, expected one of `rejects_share`, `not_on_register_share`";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (from, to, expected) in [
        (
            "2016-04-01\"\nout",
            "2016-02-30\"\nout",
            "riskstrat.toml:2: \"2016-02-30\" is not a date; write \"2016-04-01\"",
        ),
        (
            "applied_upstream = \"the data controller, on 2016-03-31\"",
            "",
            "riskstrat.toml: [opt_outs] gives a layout and files, or applied_upstream = \"who applied opt-outs, and when\"",
        ),
        ("name = \"gp_events\"", "name = \"emergency_care\"", "riskstrat.toml: two sources named \"emergency_care\""),
        (
            "[register]",
            "[limits]\nrejects_share = 5\n[register]",
            "riskstrat.toml: limits: rejects_share is a share from 0 to 1",
        ),
        ("\"cpm\", ", "\"cpm\", \"cpm\", ", "settings: model \"cpm\" is listed twice"),
        (
            "\"cpm\", ",
            "",
            "cohorts/case_management.toml:11: cohort \"case_management\": model: \"cpm\" is not among the scored models of this run: none",
        ),
    ] {
        let (code, message) = refused(|body| body.set(from, to));
        assert_eq!((code, message.as_str()), (3, expected));
    }
}

#[test]
fn a_settings_file_that_is_not_there_is_named() {
    let (code, message) = refused(|body| body.remove("riskstrat.toml"));
    assert_eq!(code, 3);
    assert!(message.contains("failed to read FOLDER/riskstrat.toml: "), "{message}");
}

#[test]
fn a_misspelt_model_layout_or_cohort_is_met_with_the_nearest_name() {
    for (from, to, expected) in [
        ("\"cpm\"", "\"cmp\"", "settings: no model \"cmp\"; did you mean \"cpm\"?"),
        (
            "layout = \"gp_events\"",
            "layout = \"gp_event\"",
            "settings: source \"gp_events\": no layout \"gp_event\"; did you mean \"gp_events\"?",
        ),
        (
            "case_management",
            "case_managment",
            "riskstrat.toml: no cohort \"case_managment\"; did you mean \"case_management\"?",
        ),
    ] {
        let (code, message) = refused(|body| body.set(from, to));
        assert_eq!(code, 3);
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("known are "), "{message}");
    }
}

#[test]
fn a_layout_in_a_place_that_is_not_for_it_is_refused() {
    let (code, message) = refused(|body| body.set("layout = \"gp_events\"", "layout = \"register\""));
    assert_eq!(code, 3);
    assert!(message.starts_with("settings: source \"gp_events\": layout \"register\" builds "), "{message}");
}

#[test]
fn a_model_with_a_misspelt_key_stops_the_run_with_file_line_and_word() {
    let shipped = include_str!("../../models/scores/cpm.toml");
    let (code, message) = refused(|body| {
        body.put("models/scores/cpm.toml", shipped.replacen("coefficient  =", "coeficient  =", 1));
    });
    assert_eq!(code, 3);
    let line = shipped.lines().position(|line| line.starts_with("coefficient")).unwrap() + 1;
    let expected = format!("scores/cpm.toml:{line}: unknown field `coeficient`, expected one of `name`, `label`");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn every_fault_of_every_file_is_named_in_one_go() {
    let (code, message) = refused(|body| {
        body.set("\"person_facts\"", "\"person_facts\", \"parr_30\"");
        body.set("layout = \"gp_events\"", "layout = \"gp_event\"");
        body.set("case_management", "case_managment");
    });
    assert_eq!(code, 3);
    assert_eq!(message.lines().count(), 3, "{message}");
}

const COHORT: &str = include_str!("../../models/cohorts/case_management.toml");

fn refused_cohort(from: &str, to: &str) -> (u8, String) {
    assert!(COHORT.contains(from), "the cohort has no `{from}`");
    refused(|body| body.put("models/cohorts/case_management.toml", COHORT.replace(from, to)))
}

#[test]
fn a_cohort_rule_that_cannot_run_is_refused_before_the_data_is_read() {
    for (from, to, expected) in [
        (
            "palliative_register = 1",
            "paliative_register = 1",
            "no published column \"paliative_register\"; did you mean \"palliative_register\"?",
        ),
        ("age_years >= 18", "age_years >= >= 18", "sql parser error: Expected: an expression, found: >="),
        ("age_years >= 18", "sex > 3", "cannot compare string with numeric type"),
        ("age_years >= 18", "years_old(person)", "unsupported function 'years_old'"),
        (
            "-cpm_linear_predictor",
            "-cpm_linear_predicter",
            "no published column \"cpm_linear_predicter\"; did you mean \"cpm_linear_predictor\"?",
        ),
        ("\"care_home\"", "\"carehome\"", "no published column \"carehome\"; did you mean \"care_home\"?"),
    ] {
        let (code, message) = refused_cohort(from, to);
        assert_eq!(code, 3, "{message}");
        assert!(message.starts_with("cohorts/case_management.toml:"), "{message}");
        assert!(message.contains(": cohort \"case_management\": "), "{message}");
        assert!(message.contains(expected), "{expected} not in: {message}");
    }
    let (code, message) = refused_cohort("purpose", "porpoise");
    assert_eq!(code, 3);
    let expected = "cohorts/case_management.toml:6: unknown field `porpoise`, expected one of `id`, `title`, `purpose`";
    assert!(message.starts_with(expected), "{message}");
}

// The output folder: exit code 5.

#[test]
fn an_output_folder_that_is_a_file_is_refused_before_the_data_is_read() {
    let (code, message) = refused(|body| {
        body.set("out = \"out\"", "out = \"taken\"");
        body.put("taken", "a file of somebody's");
    });
    assert_eq!(code, 5);
    assert!(message.starts_with("failed to create FOLDER/taken: "), "{message}");
}
