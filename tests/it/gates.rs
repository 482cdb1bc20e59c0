//! Gates: for each, a small feed that breaches it, and the message that stops the run.
//!
//! `tests/gates/breaches.toml` is the table: what is changed in a county that is in order and has published a run, and
//! the whole message but its last line. A further gate is a further entry there, and needs no Rust.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use riskstrat::gate::Gate;
use riskstrat::run::{Failure, Report, Silent, prepare, run};
use serde::Deserialize;
use serde_json::Value;

use crate::bad_input::{Body, refused_from};
use crate::common::{Cell, files_under, parquet_rows};

const SETTINGS: &str = r#"format = 1
as_of = "2016-04-01"
out = "out"
models = ["tiny"]

[register]
layout = "register"
files = ["register.csv"]

[opt_outs]
layout = "opt_outs"
files = ["opt_outs.csv"]

[[source]]
name = "emergency_care"
layout = "hes_ae"
files = ["hes_ae.csv"]
limits = { month_rows_from = 30 }

[[source]]
name = "gp_events"
layout = "gp_events"
files = ["gp_events*.csv"]
limits = { month_rows_from = 30 }
"#;

/// A score of three terms: a look-up, a code list and a count.
const MODEL: &str = r#"format = 1

[model]
id             = "tiny"
version        = "1"
title          = "A score for tests of gates"
kind           = "logistic"
outcome        = "none"
horizon_days   = 365

[source]
citation = "made for these tests"
location = "here"
derived  = []
assumed  = []

[population]
age_years = { at_least = 18 }
otherwise = "not_scored"

[baseline]
intercept = -4.0

[[term]]
name         = "hospital"
label        = "Hospital of a visit"
value        = { look_up = { of = "emergency", days = [0, 730], field = "provider", table = "hospitals", otherwise = 0.5 } }
when_missing = "zero"
coefficient  = 1.0

[[term]]
name         = "diabetes"
label        = "Diabetes"
value        = { any = { of = "gp_event", where = { code = { in = ["tiny/diabetes"] } }, days = "ever" } }
when_missing = "zero"
coefficient  = 0.5

[[term]]
name         = "visits"
label        = "A&E visits"
value        = { count = { of = "emergency", days = [0, 365] } }
when_missing = "zero"
coefficient  = 0.2
"#;

const PEOPLE: usize = 150;
const MONTHS: usize = 24;
/// Rows of each feed in each month, half of them of each practice or hospital.
const ROWS: usize = 64;

fn person(number: usize) -> String {
    format!("PSEUDO-{:04}", number % PEOPLE)
}

/// The day of the n-th row of a month: months are those from April 2014 on, none has more than 28 days here.
fn date(month: usize, row: usize) -> String {
    let since_january = 3 + month;
    format!("{}-{:02}-{:02}", 2014 + since_january / 12, 1 + since_january % 12, 1 + row % 28)
}

/// Half of the people are with each of two practices.
fn register() -> String {
    let mut text =
        "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,lsoa11,\
                    ethnic_category,imd_score,imd_decile\n"
            .to_owned();
    for number in 0..PEOPLE {
        let (year, half) = (1930 + number % 60, 1 + number % 2);
        writeln!(text, "{},{year}-01,{half},G8200{half},2000-01-01,,,E01000001,A,20.5,5", person(number)).unwrap();
    }
    text
}

/// Every entry of one person in four is diabetes; about the others nobody asks.
fn gp_events() -> String {
    let mut text = "person_id,event_date,recorded_date,value,snomed_code,practice_code\n".to_owned();
    for (month, row) in (0..MONTHS).flat_map(|month| (0..ROWS).map(move |row| (month, row))) {
        let (date, number) = (date(month, row), month * ROWS + row);
        let code = if (number % PEOPLE / 2).is_multiple_of(4) { "44054006" } else { "160245001" };
        writeln!(text, "{},{date},{date},1,{code},G8200{}", person(number), 1 + number % 2).unwrap();
    }
    text
}

/// A GP extract with numbers in place of codes, one in five of them 901; read only where a table says so.
fn aurum() -> String {
    let mut text = "patid\tpracid\tobsdate\tenterdate\tmedcodeid\tvalue\n".to_owned();
    for row in 0..40 {
        let (date, number) = (date(row % MONTHS, row), 901 + usize::from(row % 5 > 0));
        writeln!(text, "{}\tG82001\t{date}\t{date}\t{number}\t", person(row)).unwrap();
    }
    text
}

const MEDCODES: &str = "medcodeid\tsnomedctconceptid\n901\t44054006\n902\t160245001\n";

fn hes_ae() -> String {
    let mut text = "ENCRYPTED_HESID,ARRIVALDATE,PROCODE,AEATTENDCAT,AEARRIVALMODE,AEATTENDDISP,AEDEPTTYPE,DIAG_01,\
                    TREAT_01,ARRIVALTIME\n"
        .to_owned();
    for (month, row) in (0..MONTHS).flat_map(|month| (0..ROWS).map(move |row| (month, row))) {
        let (date, number) = (date(month, row), month * ROWS + row);
        let provider = ["RVV", "RWF"][number % 2];
        writeln!(text, "{},{date},{provider},1,{},01,01,24,01,0930", person(number), 1 + row % 2).unwrap();
    }
    text
}

/// A county whose files are in order.
fn county() -> Body {
    let body = Body::new();
    body.put("riskstrat.toml", SETTINGS);
    body.put("register.csv", register());
    body.put("opt_outs.csv", format!("person_id\n{}\n", person(0)));
    body.put("hes_ae.csv", hes_ae());
    body.put("gp_events.csv", gp_events());
    body.put("aurum.txt", aurum());
    body.put("medcodes.txt", MEDCODES);
    body.put("models/scores/tiny.toml", MODEL);
    body.put("models/codelists/tiny.csv", "# Source: made for these tests\nsystem,code,match,category,label,weight\nsnomed,44054006,exact,diabetes,Diabetes,\n");
    body.put(
        "models/tables/hospitals.csv",
        "# Source: made for these tests\ncode,value,label\nRVV,0.1,One\nRWF,0.2,Two\n",
    );
    body
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    breach: Vec<Breach>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Breach {
    gate: String,
    /// Added to the settings from the start.
    #[serde(default)]
    settings: String,
    /// What happens to the files after the good run.
    edit: Vec<Edit>,
    message: String,
}

/// Something done to the rows of a file that hold a text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    #[serde(default)]
    containing: String,
    /// How many of these rows, from the first on; all where absent.
    #[serde(default)]
    first: Option<usize>,
    /// Put in the place of `from`; without it the rows are taken away.
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: Option<String>,
    /// The rows stand this many times more.
    #[serde(default)]
    again: usize,
    /// Nothing is done to the file but that it stands there again, under this name.
    #[serde(default)]
    copy_to: Option<String>,
}

impl Edit {
    fn apply(&self, body: &Body) {
        let text = std::fs::read_to_string(body.path(&self.file)).unwrap();
        if let Some(name) = &self.copy_to {
            return body.put(name, text);
        }
        let (mut left, mut edited) = (self.first.unwrap_or(usize::MAX), String::new());
        for (place, line) in text.lines().enumerate() {
            let is_header = place == 0 && self.file.ends_with(".csv");
            let is_meant = !is_header && left > 0 && line.contains(&self.containing) && line.contains(&self.from);
            left -= usize::from(is_meant);
            match (&self.to, self.again) {
                _ if !is_meant => edited.push_str(&format!("{line}\n")),
                (Some(to), _) => edited.push_str(&format!("{}\n", line.replace(&self.from, to))),
                (None, again) if again > 0 => edited.push_str(&format!("{line}\n").repeat(again + 1)),
                (None, _) => {}
            }
        }
        assert!(edited != text, "{} has nothing to edit that contains {:?}", self.file, self.containing);
        body.put(&self.file, edited);
    }
}

fn table() -> Vec<Breach> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gates/breaches.toml");
    let table: Table =
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|fault| panic!("{fault}"));
    table.breach
}

#[test]
fn each_gate_stops_a_run_with_its_figure_its_limit_and_what_to_do() {
    let mut faults = Vec::new();
    for breach in table() {
        let body = county();
        body.put("riskstrat.toml", format!("{SETTINGS}\n{}", breach.settings));
        night_before(&body);
        let refused = refused_from(body, |body| breach.edit.iter().for_each(|edit| edit.apply(body)));
        let Some((code, message)) = refused else {
            faults.push(format!("--- {}: the run goes on", breach.gate));
            continue;
        };
        let (breaches, how) = message.rsplit_once('\n').unwrap_or((&message, ""));
        let how_starts =
            "nothing is published; to let a gate through, once and for a reason that is written down: --allow ";
        if code != 4 || breaches != breach.message.trim_end() || !how.starts_with(how_starts) {
            faults.push(format!("--- {}: exit code {code}\n{message}\n--- expected\n{}", breach.gate, breach.message));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_gate_has_a_breach_in_the_table() {
    let shown: BTreeSet<String> = table().into_iter().map(|breach| breach.gate).collect();
    let missing: Vec<&str> = Gate::ALL.iter().map(|gate| gate.name()).filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A run of the night before, for the next to be compared with.
fn night_before(body: &Body) {
    body.set("as_of = \"2016-04-01\"", "as_of = \"2016-03-31\"");
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    body.set("as_of = \"2016-03-31\"", "as_of = \"2016-04-01\"");
}

/// A run of a body with some gates let through.
fn run_allowing(body: &Body, allow: &[&str], because: &[&str]) -> Result<Report, Failure> {
    let mut prepared = prepare(&body.path("riskstrat.toml"), Some(&body.path("models")))?;
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    prepared.allow(&owned(allow), &owned(because))?;
    run(&prepared, &Silent)
}

fn json(body: &Body, file: &str) -> Value {
    serde_json::from_str(&body.published(file)).unwrap()
}

/// What `quality.json` says of a gate: figure, limit and outcome.
fn judged(body: &Body, gate: &str, scope: &str) -> (Value, Value, Value) {
    let quality = json(body, "quality.json");
    let gates = quality["gates"].as_array().unwrap();
    let one = gates.iter().find(|one| one["gate"] == gate && one["scope"] == scope);
    let one = one.unwrap_or_else(|| panic!("no {gate} of {scope}: {gates:?}"));
    (one["figure"].clone(), one["limit"].clone(), one["outcome"].clone())
}

fn halve(body: &Body, file: &str) {
    let text = std::fs::read_to_string(body.path(file)).unwrap();
    let half = text.lines().enumerate().filter(|(place, _)| *place == 0 || (place - 1) / 8 % 2 == 0);
    let half = half.map(|(_, line)| format!("{line}\n"));
    body.put(file, half.collect::<String>());
}

#[test]
fn a_gate_that_is_let_through_is_written_down_with_its_reason() {
    let body = county();
    night_before(&body);
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let before = json(&body, "manifest.json");
    halve(&body, "gp_events.csv");
    let failure = body.run().expect_err("half of a feed is missing");
    assert!(failure.to_string().contains("--allow rows_fall_share:gp_events --because"), "{failure}");
    let report = run_allowing(&body, &["rows_fall_share:gp_events"], &["the sender cut old years"]);
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.let_through.len(), 1);
    assert!(report.let_through[0].ends_with("because: the sender cut old years"), "{:?}", report.let_through);
    assert!(report.not_needed.is_empty());
    let manifest = json(&body, "manifest.json");
    let allowed =
        serde_json::json!([{ "gate": "rows_fall_share", "scope": "gp_events", "because": "the sender cut old years" }]);
    assert_eq!(manifest["allowed"], allowed);
    assert_ne!(manifest["run_id"], before["run_id"]);
    assert_eq!(judged(&body, "rows_fall_share", "gp_events"), (0.5.into(), 0.2.into(), "allowed".into()));
    // The next night the feed is what it was yesterday: a standing allowance is not needed, and said to be so.
    body.set("as_of = \"2016-04-01\"", "as_of = \"2016-04-02\"");
    let report = run_allowing(&body, &["rows_fall_share:gp_events"], &["the sender cut old years"]).unwrap();
    assert_eq!((report.let_through.len(), report.not_needed), (0, vec!["rows_fall_share:gp_events".to_owned()]));
}

#[test]
fn an_allowance_of_one_source_lets_no_other_through() {
    let body = county();
    night_before(&body);
    halve(&body, "gp_events.csv");
    halve(&body, "hes_ae.csv");
    let before = files_under(&body.path("out"));
    let failure = run_allowing(&body, &["rows_fall_share:gp_events"], &["known"]).expect_err("A&E is cut too");
    assert!(failure.to_string().starts_with("source \"emergency_care\": "), "{failure}");
    assert!(!failure.to_string().contains("source \"gp_events\""), "{failure}");
    let mut after = files_under(&body.path("out"));
    after.remove("stopped.json");
    assert!(before == after, "nothing was published");
    let everything = ["rows_fall_share", "list_hits_fall_share"];
    run_allowing(&body, &everything, &["both were cut"]).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn an_allowance_that_cannot_be_meant_is_refused_before_anything_is_read() {
    let body = county();
    for (allow, because, expected) in [
        (
            &["rejects_shares"][..],
            &["x"][..],
            "no gate \"rejects_shares\"; did you mean \"rejects_share\"?; known are rejects_share, ",
        ),
        (&["rejects_share"], &[" "], "--allow rejects_share: the reason after --because is empty"),
        (
            &["rejects_share", "dead_terms"],
            &[],
            "2 of --allow and 0 of --because: each --allow has its reason after it",
        ),
        (&["a", "b"], &["x", "y", "z"], "2 of --allow and 3 of --because: "),
    ] {
        let failure = run_allowing(&body, allow, because).expect_err("the allowance is refused");
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().starts_with(expected), "{failure}");
    }
    assert!(!body.path("out").exists(), "nothing was begun");
}

#[test]
fn all_breaches_are_told_at_once_and_every_gate_is_published() {
    let body = county();
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (figure, _, outcome) = judged(&body, "rejects_share", "gp_events");
    assert_eq!((figure, outcome), (0.0.into(), "passed".into()));
    assert_eq!(judged(&body, "rows_fall_share", "gp_events").2, "not_judged", "the first run has nothing to compare");
    night_before(&body);
    body.run().unwrap();
    assert_eq!(judged(&body, "rows_fall_share", "gp_events"), (0.0.into(), 0.2.into(), "passed".into()));
    let quality = json(&body, "quality.json");
    let gates = quality["gates"].as_array().unwrap();
    let published: BTreeSet<&str> = gates.iter().map(|one| one["gate"].as_str().unwrap()).collect();
    // Of codes there is something to judge only where one has not the form of its system, or is not in its dictionary.
    let of_faults = ["malformed_codes_share", "codes_not_in_dictionary_share"];
    let all = Gate::ALL.iter().map(|gate| gate.name()).filter(|name| !of_faults.contains(name));
    assert_eq!(published, all.collect());

    halve(&body, "gp_events.csv");
    halve(&body, "hes_ae.csv");
    body.put("opt_outs.csv", register());
    let message = body.run().expect_err("much is wrong").to_string();
    for expected in [
        "source \"gp_events\": 768 rows, and 1536",
        "source \"emergency_care\": 768 rows",
        "the register has no people",
    ] {
        assert!(message.contains(expected), "{expected} not in: {message}");
    }
}

#[test]
fn what_a_run_is_compared_with_is_part_of_its_id_and_the_same_data_gives_the_same_bytes() {
    let body = county();
    let out = |body: &Body| {
        body.run().unwrap_or_else(|failure| panic!("{failure}"));
        let mut files = files_under(&body.path("out/2016-04-01"));
        files.remove("timings.json").unwrap();
        files
    };
    let first = out(&body);
    assert!(
        first == out(&body),
        "the same night once more: what it takes the place of is not what it is compared with"
    );
    night_before(&body);
    let third = out(&body);
    assert!(first["manifest.json"] != third["manifest.json"], "the first had nothing to compare with");
    assert!(first["scores.parquet"] == third["scores.parquet"]);
    assert_eq!(json(&body, "manifest.json")["compared_with"]["as_of"], "2016-03-31");
}

fn limit_gp_events(body: &Body, limits: &str) {
    let files = "files = [\"gp_events*.csv\"]\nlimits = ";
    body.set(&format!("{files}{{ month_rows_from = 30 }}"), &format!("{files}{limits}"));
}

#[test]
fn a_limit_of_a_source_is_its_own() {
    let body = county();
    limit_gp_events(&body, "{ rejects_share = 0.5 }");
    body.change("gp_events.csv", ",2014-04-01,2014", ",2014-04-99,2014");
    halve(&body, "gp_events.csv");
    body.put(
        "gp_events.csv",
        std::fs::read_to_string(body.path("gp_events.csv")).unwrap().replace(",2014-", ",2014-99"),
    );
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (figure, limit, outcome) = judged(&body, "rejects_share", "gp_events");
    assert!(figure.as_f64().unwrap() > 0.3 && limit == 0.5 && outcome == "passed", "{figure} {limit} {outcome}");
    assert_eq!(judged(&body, "rejects_share", "emergency_care").1, 0.01);
}

#[test]
fn limits_of_a_source_that_make_no_sense_are_refused() {
    for (limits, expected) in [
        ("{ rejects_share = 2 }", "source \"gp_events\": limits: rejects_share is a share from 0 to 1"),
        ("{ rows_at_least = -1 }", "source \"gp_events\": limits: rows_at_least is a number from 0"),
        (
            "{ dead_terms = 3 }",
            "source \"gp_events\": limits: dead_terms is of the whole run; it stands under [limits]",
        ),
        (
            "{ expected_dead_terms = [\"a/b\"] }",
            "source \"gp_events\": limits: what is known of terms and months stands under [limits]",
        ),
        ("{ reject_share = 0.1 }", "unknown field `reject_share`, expected one of `rejects_share`"),
    ] {
        let body = county();
        limit_gp_events(&body, limits);
        let failure = body.run().expect_err("the settings are refused");
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

fn edit(body: &Body, file: &str, containing: &str, from: &str, to: Option<&str>) {
    let to = to.map(str::to_owned);
    let (file, containing, from) = (file.to_owned(), containing.to_owned(), from.to_owned());
    Edit { file, containing, first: None, from, to, again: 0, copy_to: None }.apply(body);
}

#[test]
fn a_month_that_is_known_to_be_missing_stops_nothing_and_stays_on_record() {
    let body = county();
    edit(&body, "gp_events.csv", ",2015-06-", "G82001", None);
    edit(&body, "gp_events.csv", ",2015-07-", "G82001", None);
    let failure = body.run().expect_err("two months are missing");
    assert!(
        failure
            .to_string()
            .contains("\"G82001\" in 2015-06, where 32 are usual, a share of 0.0000, and too few up to 2015-07"),
        "{failure}"
    );
    let known = "\n[limits]\nexpected_month_falls = [\"gp_events/G82001/2015-06\"]\n";
    body.put("riskstrat.toml", format!("{SETTINGS}{known}"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (figure, _, outcome) = judged(&body, "month_rows_share", "gp_events/G82001/2015-06");
    assert_eq!((figure, outcome), (0.0.into(), "allowed".into()));
    let misspelt = "\n[limits]\nexpected_month_falls = [\"2015-06\"]\n";
    body.put("riskstrat.toml", format!("{SETTINGS}{misspelt}"));
    let failure = body.run().expect_err("a month of nobody");
    assert!(failure.to_string().contains("expected_month_falls are written source/sender/2015-03"), "{failure}");
}

#[test]
fn a_practice_that_closed_is_no_feed_that_stopped() {
    let body = county();
    for month in [",2015-1", ",2016-"] {
        edit(&body, "gp_events.csv", month, "G82002", None);
    }
    body.run().expect_err("the practice has its people still");
    edit(&body, "register.csv", "G82002", "2000-01-01,,", Some("2000-01-01,2015-09-30,"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(judged(&body, "month_rows_share", "gp_events").2, "passed");
}

/// The grade of each person's score.
fn grades(body: &Body) -> Vec<Cell> {
    let rows = parquet_rows(&body.path("out/2016-04-01/scores.parquet"));
    rows.iter().map(|row| row["tiny_fidelity"].clone()).collect()
}

#[test]
fn what_a_feed_covers_does_not_depend_on_what_models_ask() {
    let grade = |name: &str| Cell::Text(name.to_owned());
    let body = county();
    // Nobody of a practice has the one code that is asked about, but the practice sends its rows.
    edit(&body, "gp_events.csv", "G82002", "44054006", Some("160245001"));
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(grades(&body).iter().all(|of| *of == grade("A")), "both practices send what they have");
    // Without any rows of it, nothing is known of its people's diabetes: one term in three.
    edit(&body, "gp_events.csv", "", "G82002", None);
    run_allowing(&body, &["rows_fall_share"], &["a test"]).unwrap_or_else(|failure| panic!("{failure}"));
    let found = grades(&body);
    let of = |name: &str| found.iter().filter(|of| **of == grade(name)).count();
    assert_eq!((of("A"), of("C")), (74, 75), "those of the practice that sends, and of the one that does not");
}

#[test]
fn rows_that_do_not_name_their_practice_are_counted_by_the_practice_that_the_person_was_with() {
    let body = county();
    let text = std::fs::read_to_string(body.path("gp_events.csv")).unwrap();
    let without = text.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0));
    body.put("gp_events.csv", without.collect::<String>());
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(grades(&body).iter().all(|of| *of == Cell::Text("A".to_owned())));
    let text = std::fs::read_to_string(body.path("gp_events.csv")).unwrap();
    let stays = |line: &&str| {
        let (person, rest) = line.split_once(',').unwrap();
        !(rest.starts_with("2015-06-") && person.ends_with(['1', '3', '5', '7', '9']))
    };
    body.put("gp_events.csv", text.lines().filter(stays).map(|line| format!("{line}\n")).collect::<String>());
    let failure = body.run().expect_err("a month of a practice is missing").to_string();
    assert!(
        failure.starts_with("source \"gp_events\": 0 rows of \"G82002\" in 2015-06, where 32 are usual"),
        "{failure}"
    );
}

#[test]
fn a_layout_whose_sender_is_no_field_is_refused() {
    let body = county();
    let shipped = include_str!("../../models/layouts/gp_events.toml");
    body.put("models/layouts/gp_events.toml", shipped.replace("sent_by = \"practice\"", "sent_by = \"surgery\""));
    let failure = body.run().expect_err("the layout is refused");
    let expected = "layouts/gp_events.toml: sent_by names field \"surgery\", which the layout does not have";
    assert!(failure.exit_code() == 3 && failure.to_string().starts_with(expected), "{failure}");
}

#[test]
fn a_standing_allowance_holds_until_its_day_and_is_named_when_it_has_ended() {
    let body = county();
    let standing = |until: &str| {
        format!(
            "{SETTINGS}\n[[allow]]\ngate = \"rows_fall_share:gp_events\"\nuntil = \"{until}\"\nbecause = \"the sender cut old years\"\n"
        )
    };
    body.put("riskstrat.toml", standing("2016-04-01"));
    night_before(&body);
    halve(&body, "gp_events.csv");
    // The day itself is the last on which it holds.
    let report = body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.let_through[0].ends_with("because: the sender cut old years"), "{:?}", report.let_through);
    assert!(report.ended.is_empty() && report.not_needed.is_empty());
    let allowed = serde_json::json!([{
        "gate": "rows_fall_share", "scope": "gp_events", "because": "the sender cut old years", "until": "2016-04-01",
    }]);
    assert_eq!(json(&body, "manifest.json")["allowed"], allowed);
    body.put("riskstrat.toml", standing("2016-03-31"));
    let failure = body.run().expect_err("the allowance has ended").to_string();
    let ended = "the settings let rows_fall_share:gp_events through until 2016-03-31, which is over";
    assert!(failure.contains("limits.rows_fall_share is 0.2") && failure.contains(ended), "{failure}");
    // Where nothing is breached, the run goes on and says that it can be taken out.
    body.put("gp_events.csv", gp_events());
    let report = body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.ended, [ended]);
    for (from, to, expected) in [
        ("rows_fall_share:gp", "rows_fal_share:gp", "did you mean \"rows_fall_share\"?"),
        ("the sender cut old years", " ", "allow: \"rows_fall_share:gp_events\": because is empty"),
        ("\"2016-03-31\"", "\"soon\"", "\"soon\" is not a date; write \"2016-04-01\""),
    ] {
        body.put("riskstrat.toml", standing("2016-03-31").replacen(from, to, 1));
        let failure = body.run().expect_err("it says nothing");
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[test]
fn a_run_that_a_gate_stops_leaves_its_figures_beside_the_published_runs() {
    let body = county();
    night_before(&body);
    let before = files_under(&body.path("out"));
    let edit = Edit {
        file: "gp_events.csv".to_owned(),
        containing: "44054006".to_owned(),
        first: Some(8),
        from: "-2".to_owned(),
        to: Some("-9".to_owned()),
        again: 0,
        copy_to: None,
    };
    edit.apply(&body);
    let failure = body.run().expect_err("eight dates are none").to_string();
    assert!(failure.contains("; all figures of the run stand in ") && failure.ends_with("stopped.json"), "{failure}");
    let mut after = files_under(&body.path("out"));
    let stopped = after.remove("stopped.json").expect("the figures are left");
    assert!(before == after, "the published run is the same bytes");
    assert!(!String::from_utf8_lossy(&stopped).contains("PSEUDO"), "nothing of a person");
    let stopped: Value = serde_json::from_slice(&stopped).unwrap();
    assert_eq!(stopped["as_of"], serde_json::json!(["2016-04-01"]));
    let gates = stopped["gates"].as_array().unwrap();
    let breached: Vec<&Value> = gates.iter().filter(|gate| gate["outcome"] == "breached").collect();
    assert_eq!((breached.len(), &breached[0]["gate"]), (1, &Value::from("rejects_share")));
    let place = serde_json::json!({ "file": "gp_events.csv", "row": 26, "column": "event_date", "rule": "bad_date" });
    assert_eq!(
        (stopped["rejects"]["gp_events"].as_array().unwrap().len(), &stopped["rejects"]["gp_events"][0]),
        (8, &place)
    );
    let sources = stopped["sources"].as_array().unwrap();
    assert!(sources.iter().any(|source| source["source"] == "gp_events" && source["rejected"] == 8));
    // The run that is published answers it.
    body.put("gp_events.csv", gp_events());
    body.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!body.path("out/stopped.json").exists());
}
