//! Runs that are refused, or go on and say so: whose fault it is, where, and what to do.

use crate::bad_input::{Body, GP_EVENTS, SETTINGS, refused};

#[test]
fn a_file_that_is_not_there_is_a_fault_of_the_input() {
    let (code, message) = refused(|body| body.remove("gp_events.csv"));
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": \"gp_events.csv\": no such file, looked for at FOLDER/gp_events.csv";
    assert_eq!(message, expected);
    let (code, message) = refused(|body| body.remove("hes_ae_2015.csv"));
    assert_eq!(code, 4);
    let expected = "source \"emergency_care\": \"hes_ae_*.csv\": no file matches, looked for from FOLDER";
    assert_eq!(message, expected);
}

#[test]
fn a_file_that_is_empty_is_a_fault_of_the_input() {
    let (code, message) = refused(|body| body.put("gp_events.csv", ""));
    assert_eq!(code, 4);
    assert_eq!(message, "source \"gp_events\": gp_events.csv is empty: it has no header and no rows");
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_a_fault_of_the_input() {
    let (code, message) = refused(|body| {
        body.put("gp_events.parquet", GP_EVENTS);
        body.set("gp_events.csv", "gp_events.parquet");
    });
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": gp_events.parquet is not a Parquet file: it does not begin with PAR1";
    assert_eq!(message, expected);
    let (code, message) = refused(|body| {
        body.put("gp_events.csv.gz", GP_EVENTS);
        body.set("gp_events.csv", "gp_events.csv.gz");
    });
    assert_eq!(code, 4);
    assert_eq!(message, "source \"gp_events\": gp_events.csv.gz is not a gzip file, as its name says");
}

#[test]
fn a_source_of_headers_alone_stops_the_run() {
    let (code, message) = refused(|body| body.put("gp_events.csv", GP_EVENTS.lines().next().unwrap()));
    assert_eq!(code, 4);
    let expected = "source \"gp_events\": no rows; limits.rows_at_least is 1: \
                    leave a source that is not there out of the settings\n";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_run_with_too_many_rejects_says_where_the_first_of_them_are() {
    let (code, message) = refused(|body| body.change("gp_events.csv", "2015-01-20", "SECRET"));
    assert_eq!(code, 4);
    let expected =
        "gp_events.csv, row 2, column \"event_date\": not a date; written as 2016-04-01, 20160401 or 01/04/2016";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_header_that_is_one_column_raises_the_question_of_the_delimiter() {
    let (code, message) = refused(|body| body.put("gp_events.csv", GP_EVENTS.replace(',', ";")));
    assert_eq!(code, 4);
    assert!(message.contains("the header is one column; the delimiter may be ';', not ','"), "{message}");
}

#[test]
fn a_delimiter_of_two_characters_is_refused() {
    let csv = "files = [\"gp_events.csv\"]\ncsv = { delimiter = \",;\" }";
    let (code, message) = refused(|body| body.set("files = [\"gp_events.csv\"]", csv));
    assert_eq!(code, 3);
    assert!(message.contains("delimiter is one character"), "{message}");
}

#[test]
fn a_file_that_two_sources_read_is_refused() {
    let again = "[[source]]\nname = \"again\"\nlayout = \"gp_events\"\nfiles = [\"gp_events.csv\"]\n";
    let (code, message) = refused(|body| body.put("riskstrat.toml", format!("{SETTINGS}\n{again}")));
    assert_eq!(code, 3);
    assert!(message.contains("gp_events.csv") && message.contains("again"), "{message}");
}

#[test]
fn a_wrong_cohort_rule_is_told_in_one_line_with_the_nearest_column() {
    let cohort = include_str!("../../models/cohorts/case_management.toml");
    let rule = cohort.replace("palliative_register = 1", "paliative_register = 1");
    let (code, message) = refused(|body| body.put("models/cohorts/case_management.toml", rule));
    assert_eq!(code, 3);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("\"paliative_register\"; did you mean \"palliative_register\"?"), "{message}");
    assert_eq!(message.matches("acsc_emergency_admissions_12m").count(), 1, "known columns once: {message}");
}

#[test]
fn an_opt_out_without_a_pseudonym_is_counted_and_listed() {
    let body = Body::new();
    body.set(
        "applied_upstream = \"the data controller, on 2016-03-31\"",
        "layout = \"opt_outs\"\nfiles = [\"opt_outs.csv\"]",
    );
    body.put("opt_outs.csv", "person_id,since\nPSEUDO-Z,2015-01-01\n,2015-01-02\n");
    let limits = std::fs::read_to_string(body.path("riskstrat.toml")).unwrap() + "\n[limits]\nrejects_share = 0.7\n";
    body.put("riskstrat.toml", limits);
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(body.published("quality.json").contains("\"source\": \"opt_outs\""));
    assert!(body.published("rejects/opt_outs.csv").contains("opt_outs.csv,3,person_id,no_person"));
}

#[test]
fn a_table_of_the_users_own_takes_the_place_of_the_computed_one() {
    let body = Body::new();
    let table = "# Source: somebody's own\ncode,value,label\nRVV,1.01,Hospital\n";
    body.put("models/tables/rehospitalisation_ratio.csv", table);
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(body.published("manifest.json").contains("tables/rehospitalisation_ratio.csv"));
    assert!(body.published("quality.json").contains("\"rehospitalisation\": {}"), "nothing was worked out");
}
