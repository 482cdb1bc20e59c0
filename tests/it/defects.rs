//! What was planted is found: the rejects and counts of a run on a hostile population, held against its `truth/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use riskstrat::day::Month;
use riskstrat::demo;
use riskstrat::population::{Defects, Format, Request, generate};
use serde_json::Value;

use crate::common::{run_settings, write};
use riskstrat::run::{Silent, prepare, run};

const AS_OF: &str = "2016-04-01";

/// A file and a row of it, as readers count: the header is row 1.
type Place = (String, u64);
type Row = BTreeMap<String, String>;

/// A population in `folder/data`, and settings for a run on it with limits that only some gates can breach. Nobody opts
/// out by a code, so that every planted fault is on a row that counts; that such rows do not is shown elsewhere.
fn population(folder: &Path, defects: Defects, people: u32) -> PathBuf {
    write(
        &folder.join("models/codelists/opt_out_codes.csv"),
        "# Source: made for this test\nsystem,code,match,category,label,weight\nsnomed,827241000000103,exact,nobody,Nobody,\n",
    );
    write(
        &folder.join("models/codelists/some.csv"),
        "# Source: made for this test\nsystem,code,match,category,label,weight\nsnomed,44054006,exact,some,Some,\nbnf,0601,prefix,some,Some,\n",
    );
    write(&folder.join("models/scores/everything.toml"), everything());
    let mut request = Request::new(people, 7, folder.join("data"));
    request.rows_per_person = 1;
    request.format = Format::Csv;
    request.defects = defects;
    generate(&request, &|_, _| ()).unwrap();
    let limits = "[limits]\nrejects_share = 1\nnot_on_register_share = 1\nmalformed_codes_share = 1\n\
                  births_that_cannot_be_share = 1\nlook_up_misses_share = 1\ndead_terms_from_people = 1_000_000_000\nmonth_rows_from = 50\n";
    let demo = demo::settings("data", AS_OF);
    let (inputs, _) = demo.split_once("[limits]").unwrap();
    write(&folder.join("riskstrat.toml"), format!("{inputs}{limits}"))
}

/// A model that asks about every row of every feed.
fn everything() -> String {
    let streams = [
        "admission",
        "diagnosis",
        "outpatient",
        "emergency",
        "gp_event",
        "prescription",
        "social_care",
        "community",
        "mental_health",
        "ambulance",
        "hospice",
        "care_plan",
    ];
    let term = |stream: &&str| {
        format!(
            "\n[[term]]\nname = \"{stream}\"\nlabel = \"Rows of {stream}\"\nvalue = {{ count = {{ of = \"{stream}\", days = \"ever\" }} }}\n\
             when_missing = \"zero\"\ncoefficient = 1\n"
        )
    };
    let head = "format = 1\n[model]\nid = \"everything\"\nversion = \"1\"\ntitle = \"Everything\"\nkind = \"points\"\n\
                [source]\ncitation = \"made for this test\"\nlocation = \"here\"\nderived = []\nassumed = []\n";
    // Codes are read where somebody asks about them.
    let coded = ["gp_event", "prescription"].map(|stream| {
        format!(
            "\n[[term]]\nname = \"{stream}_code\"\nlabel = \"Some of {stream}\"\nvalue = {{ count = {{ of = \"{stream}\", \
             where = {{ code = {{ in = [\"some\"] }} }}, days = \"ever\" }} }}\nwhen_missing = \"zero\"\ncoefficient = 1\n"
        )
    });
    format!("{head}{}{}", streams.iter().map(term).collect::<String>(), coded.concat())
}

/// What a run published that months were let through for, whether any are missing or not.
fn run_on(settings: &Path) -> PathBuf {
    let models = settings.parent().unwrap().join("models");
    let mut prepared = prepare(settings, Some(&models)).unwrap_or_else(|failure| panic!("{failure}"));
    prepared.allow(&["month_rows_share".to_owned()], &["planted".to_owned()]).unwrap();
    run(&prepared, &Silent).unwrap_or_else(|failure| panic!("{failure}")).published.remove(0)
}

fn rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap().to_string_lossy().into_owned()
}

/// What was planted, what was found, and the rows themselves.
struct Found {
    /// Kind and column of each fault.
    planted: BTreeMap<Place, Vec<(String, String)>>,
    /// Rule and column of each reject.
    rejects: BTreeMap<Place, (String, String)>,
    /// Rows of each file of the feeds that a run reads.
    files: BTreeMap<String, Vec<Row>>,
    opted_out: BTreeSet<String>,
    registered: BTreeSet<String>,
    quality: BTreeMap<String, Value>,
    gates: Vec<Value>,
}

impl Found {
    fn read(folder: &Path, published: &Path) -> Found {
        let data = folder.join("data");
        let mut found = Found {
            planted: BTreeMap::new(),
            rejects: BTreeMap::new(),
            files: BTreeMap::new(),
            opted_out: rows(&data.join("opt_outs.csv")).into_iter().map(|row| row["person_id"].clone()).collect(),
            registered: BTreeSet::new(),
            quality: BTreeMap::new(),
            gates: Vec::new(),
        };
        let read = [
            "register.csv",
            "hes_",
            "gp_",
            "social_care_cld_",
            "csds_",
            "mhsds_",
            "ambulance_",
            "hospice_",
            "care_plans",
        ];
        for entry in fs::read_dir(&data).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            if read.iter().any(|start| name.starts_with(start)) {
                found.files.insert(name.clone(), rows(&data.join(name)));
            }
        }
        for mut row in rows(&data.join("truth/defect_rows.csv")) {
            if let (true, Ok(place)) = (found.files.contains_key(&row["file"]), row["row"].parse()) {
                let fault = (row.remove("kind").unwrap(), row.remove("column").unwrap());
                found.planted.entry((row.remove("file").unwrap(), place)).or_default().push(fault);
            }
        }
        for entry in fs::read_dir(published.join("rejects")).into_iter().flatten() {
            for row in rows(&entry.unwrap().path()) {
                let place = (file_name(&row["file"]), row["row"].parse().unwrap());
                found.rejects.insert(place, (row["rule"].clone(), row["column"].clone()));
            }
        }
        let all: Value = serde_json::from_slice(&fs::read(published.join("quality.json")).unwrap()).unwrap();
        for source in all["sources"].as_array().unwrap() {
            found.quality.insert(source["source"].as_str().unwrap().to_owned(), source.clone());
        }
        found.gates = all["gates"].as_array().unwrap().clone();
        // Whoever has a row is known, even where the row itself could not be used.
        found.registered = found.places("register.csv").map(|(_, row)| row["person_id"].clone()).collect();
        found
    }

    /// Rows of the files whose names begin so.
    fn places<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (Place, &'a Row)> + 'a {
        let files = self.files.iter().filter(move |(name, _)| name.starts_with(start));
        files.flat_map(|(name, rows)| (2..).zip(rows).map(move |(row, cells)| ((name.clone(), row), cells)))
    }

    fn row(&self, place: &Place) -> &Row {
        &self.files[&place.0][place.1 as usize - 2]
    }

    fn faults(&self, place: &Place) -> &[(String, String)] {
        self.planted.get(place).map_or(&[], Vec::as_slice)
    }

    /// Faults of a row, or of the row before where this one is its copy.
    fn faults_of_copies(&self, place: &Place) -> &[(String, String)] {
        let before = (place.0.clone(), place.1 - 1);
        let is_copy = self.faults(&before).iter().any(|(kind, _)| kind == "duplicate row");
        if is_copy && self.files[&place.0].get(before.1 as usize - 2) == Some(self.row(place)) {
            return self.faults(&before);
        }
        self.faults(place)
    }

    fn dropped(&self, source: &str, rule: &str) -> u64 {
        self.quality[source]["dropped"][rule]["rows"].as_u64().unwrap_or(0)
    }

    fn standing(&self, id: &str) -> Standing {
        match id {
            "" => Standing::Nobody,
            _ if self.opted_out.contains(id) => Standing::OptedOut,
            _ if self.registered.contains(id) => Standing::Registered,
            _ => Standing::Unknown,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Standing {
    Nobody,
    OptedOut,
    Unknown,
    Registered,
}

/// The kinds of fault that a rule may come from.
fn kinds_of(rule: &str) -> &'static [&'static str] {
    match rule {
        "no_person" => &["missing pseudonym"],
        "no_date" => &["null date"],
        "bad_date" => &["invalid date"],
        "unknown_code" => &["unknown code"],
        // A start that is moved into the future lies behind the end, so another column is named.
        "ends_before_it_starts" => &["end before start", "discharge before admission", "future row"],
        other => panic!("no fault of rule {other} is planted"),
    }
}

/// Faults that a run has to find wherever it reads the row: where a file's name begins so, of this kind, in these columns.
const FOUND: [(&str, &str, &[&str]); 38] = [
    ("register", "missing pseudonym", &["person_id"]),
    ("register", "unknown code", &["sex"]),
    ("register", "invalid date", &["registration_start", "death_date"]),
    ("hes_apc", "missing pseudonym", &["ENCRYPTED_HESID"]),
    ("hes_apc", "null date", &["EPISTART"]),
    ("hes_apc", "invalid date", &["EPISTART", "EPIEND", "ADMIDATE", "DISDATE"]),
    ("hes_apc", "unknown code", &["ADMIMETH", "CLASSPAT", "ADMISORC", "DISMETH"]),
    ("hes_apc", "discharge before admission", &["DISDATE"]),
    ("hes_op", "missing pseudonym", &["ENCRYPTED_HESID"]),
    ("hes_op", "null date", &["APPTDATE"]),
    ("hes_op", "invalid date", &["APPTDATE"]),
    ("hes_op", "unknown code", &["ATTENDED", "FIRSTATT", "REFSOURC"]),
    ("hes_ae", "missing pseudonym", &["ENCRYPTED_HESID"]),
    ("hes_ae", "null date", &["ARRIVALDATE"]),
    ("hes_ae", "invalid date", &["ARRIVALDATE"]),
    ("hes_ae", "unknown code", &["AEATTENDDISP", "AEATTENDCAT", "AEARRIVALMODE"]),
    ("gp_", "missing pseudonym", &["person_id"]),
    ("gp_", "null date", &["event_date", "issue_date"]),
    ("gp_", "invalid date", &["event_date", "issue_date"]),
    ("social_care", "missing pseudonym", &["LA Person Unique Identifier"]),
    ("social_care", "null date", &["Event Start Date"]),
    ("social_care", "end before start", &["Event End Date"]),
    ("social_care", "invalid date", &["Event Start Date", "Event End Date"]),
    ("social_care", "unknown code", &["Event Type", "Service Type"]),
    ("csds", "missing pseudonym", &["person_id"]),
    ("csds", "null date", &["contact_date"]),
    ("csds", "invalid date", &["contact_date"]),
    ("csds", "unknown code", &["attendance_status"]),
    ("mhsds", "missing pseudonym", &["person_id"]),
    ("mhsds", "null date", &["contact_date"]),
    ("mhsds", "unknown code", &["attendance_status", "care_programme_approach"]),
    ("ambulance", "missing pseudonym", &["person_id"]),
    ("ambulance", "invalid date", &["call_date"]),
    ("hospice", "missing pseudonym", &["person_id"]),
    ("care_plans", "missing pseudonym", &["person_id"]),
    ("care_plans", "invalid date", &["start_date"]),
    ("care_plans", "null date", &["start_date"]),
    ("care_plans", "unknown code", &["plan_type"]),
];

/// Whether a row is set aside before its faults matter: its person is not in the run, or no model asks about it.
fn is_set_aside(found: &Found, place: &Place, kind: &str) -> bool {
    let row = found.row(place);
    let cell = |column: &str| row.get(column).map(String::as_str).unwrap_or_default();
    let id = ["ENCRYPTED_HESID", "LA Person Unique Identifier", "person_id"].map(cell).concat();
    let is_stranger = matches!(found.standing(&id), Standing::OptedOut | Standing::Unknown);
    let is_measured = ["271649006", "60621009"].contains(&cell("snomed_code"));
    let is_medicine = cell("bnf_code").len() == 15 && cell("bnf_code") < "1600";
    match &place.0[..6] {
        // No sex is no fault.
        "regist" => found.standing(&id) == Standing::OptedOut || kind == "unknown code" && cell("sex").is_empty(),
        // Codes are looked at first in feeds of events, people first in spells.
        "hes_op" | "hes_ae" | "social" | "csds_c" | "mhsds_" | "care_p" if kind == "unknown code" => false,
        "csds_c" => is_stranger || !["5", "6", "3", "7"].contains(&cell("attendance_status")),
        "mhsds_" => {
            is_stranger || !["5", "6"].contains(&cell("attendance_status")) && cell("care_programme_approach") != "Y"
        }
        "ambula" | "hospic" | "care_p" => is_stranger,
        "hes_ap" => is_stranger || cell("EPISTAT") == "1",
        "hes_op" => is_stranger || !["5", "6"].contains(&cell("ATTENDED")),
        "hes_ae" => is_stranger || !["1", "3", "9"].contains(&cell("AEATTENDCAT")),
        "gp_eve" => is_stranger || !is_measured,
        "gp_pre" => is_stranger || !is_medicine,
        _ => is_stranger || cell("Event Type") != "Service" || cell("Event Start Date") >= AS_OF,
    }
}

/// Every reject comes from a planted fault, and every planted fault of these kinds is a reject.
fn check_rows(found: &Found) {
    for (place, (rule, column)) in &found.rejects {
        let kinds = kinds_of(rule);
        let is_cause = |(kind, at): &(String, String)| {
            kinds.contains(&kind.as_str()) && (at == column || rule == "ends_before_it_starts")
        };
        let faults = found.faults_of_copies(place);
        assert!(faults.iter().any(is_cause), "{place:?}: {rule} in {column}, planted: {faults:?}");
    }
    let mut counted: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (place, faults) in &found.planted {
        for (kind, column) in faults {
            let has_to_be_found = FOUND.iter().find(|(file, of, columns)| {
                place.0.starts_with(file) && kind == of && columns.contains(&column.as_str())
            });
            let Some(&(file, of, _)) = has_to_be_found.filter(|_| !is_set_aside(found, place, kind)) else { continue };
            assert!(found.rejects.contains_key(place), "{place:?}: {kind} in {column} is not found");
            *counted.entry((file, of)).or_default() += 1;
        }
    }
    assert_eq!(counted.len(), FOUND.len(), "every kind was met: {counted:?}");
}

/// The listed rejects are all that are counted.
fn check_listed(found: &Found) {
    let mut listed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let source_of = [
        ("register", "register"),
        ("hes_apc", "admissions"),
        ("hes_op", "outpatients"),
        ("hes_ae", "emergency_care"),
        ("gp_events", "gp_events"),
        ("gp_prescriptions", "prescriptions"),
        ("social_care", "social_care"),
        ("csds", "community"),
        ("mhsds", "mental_health"),
        ("ambulance", "ambulance"),
        ("hospice", "hospices"),
        ("care_plans", "care_plans"),
    ];
    for (place, (rule, _)) in &found.rejects {
        let (_, source) = source_of.iter().find(|(file, _)| place.0.starts_with(file)).unwrap();
        *listed.entry((source, rule)).or_default() += 1;
    }
    for (&(source, rule), rows) in &listed {
        assert_eq!(found.dropped(source, rule), *rows, "{source}, {rule}");
    }
    let rejected: u64 = found.quality.values().map(|source| source["rejected"].as_u64().unwrap()).sum();
    assert_eq!(rejected, listed.values().sum::<u64>());
}

/// Admissions: each count that is not a reject, worked out from the files.
fn check_admissions(found: &Found) {
    let mut rows: BTreeMap<Standing, u64> = BTreeMap::new();
    let (mut unfinished, mut later) = (0, 0);
    let mut kept: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, row) in found.places("hes_apc") {
        let standing = found.standing(&row["ENCRYPTED_HESID"]);
        *rows.entry(standing).or_default() += 1;
        if standing != Standing::Registered {
            continue;
        }
        let admitted = if row["ADMIDATE"].as_str() < "1900" { &row["EPISTART"] } else { &row["ADMIDATE"] };
        match () {
            () if row["EPISTAT"] == "1" => unfinished += 1,
            () if found.rejects.contains_key(&place) => {}
            () if admitted.as_str() >= AS_OF => later += 1,
            () => *kept.entry(&row["EPIKEY"]).or_default() += 1,
        }
    }
    let dropped = |rule: &str| found.dropped("admissions", rule);
    assert_eq!(dropped("not_on_register"), rows[&Standing::Unknown]);
    assert_eq!(dropped("opted_out"), rows[&Standing::OptedOut]);
    assert_eq!(dropped("no_person"), rows[&Standing::Nobody]);
    assert_eq!(dropped("unfinished_episode"), unfinished);
    assert_eq!(dropped("after_last_as_of"), later);
    assert_eq!(dropped("duplicate"), kept.values().map(|rows| rows - 1).sum::<u64>());
    assert!(unfinished > 0 && later > 0 && dropped("duplicate") > 50);
}

/// Rows of the register that stand twice, of people who stay.
fn check_register(found: &Found) {
    let is_copied = |place: &Place| found.faults(place).iter().any(|(kind, _)| kind == "duplicate row");
    let copied = found.places("register").filter(|(place, row)| {
        is_copied(place)
            && !found.rejects.contains_key(place)
            && found.standing(&row["person_id"]) == Standing::Registered
    });
    assert_eq!(found.dropped("register", "duplicate"), copied.count() as u64);
}

/// Contacts that stand twice: community and mental health rows that are used, but for their copies.
fn check_contacts(found: &Found) {
    for (start, source) in [("csds", "community"), ("mhsds", "mental_health")] {
        let mut kept: BTreeMap<String, u64> = BTreeMap::new();
        let columns = ["person_id", "contact_date", "service_request_id"];
        for (place, row) in found.places(start) {
            let id = &row["person_id"];
            let is_used = found.standing(id) == Standing::Registered && !found.rejects.contains_key(&place);
            let is_copied = found.faults(&place).iter().any(|(kind, _)| kind == "duplicate row");
            if is_used && !is_set_aside(found, &place, "") && row["contact_date"].as_str() < AS_OF {
                let key = columns.map(|column| row[column].as_str()).join("|");
                assert!(!kept.contains_key(&key) || !is_copied, "{place:?}: a copy stands behind its row");
                *kept.entry(key).or_default() += 1;
            }
        }
        let copies: u64 = kept.values().map(|rows| rows - 1).sum();
        assert!(copies > 20, "{source}: {copies}");
        assert_eq!(found.dropped(source, "duplicate"), copies, "{source}");
    }
}

/// GP codes that have not the form of SNOMED CT: all that were planted, but a code that was cut and has that form still.
fn check_gp_codes(found: &Found) {
    let is_planted = |place: &Place| found.faults(place).iter().any(|(kind, _)| kind == "malformed code");
    let planted = found.places("gp_events").filter(|(place, row)| is_planted(place) && row["snomed_code"] != "7717600");
    assert_eq!(found.quality["gp_events"]["malformed_codes"]["code"], planted.count() as u64);
}

/// Practices whose feed stopped and months that a trust never sent are named by a gate, and nobody else is.
fn check_outages(found: &Found, data: &Path) {
    let (mut stopped, mut missing): (BTreeMap<String, Month>, BTreeSet<String>) = Default::default();
    for row in rows(&data.join("truth/defects.csv")) {
        match (row["kind"].as_str(), row["what"].split_once(' ')) {
            ("practice feed stopped", Some((practice, from))) => {
                let from = from.strip_prefix("from ").unwrap();
                stopped.insert(practice.to_owned(), Month::parse(from.as_bytes()).unwrap());
            }
            ("month missing from a trust", Some((trust, month))) => {
                missing.insert(format!("{trust}/{}", month.strip_prefix("in ").unwrap()));
            }
            _ => {}
        }
    }
    assert!(!stopped.is_empty() && !missing.is_empty(), "both were planted");
    let (mut stopped_named, mut missing_named): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    let named = found.gates.iter().filter(|one| one["gate"] == "month_rows_share" && one["outcome"] == "allowed");
    for scope in named.map(|one| one["scope"].as_str().unwrap()) {
        let (source, what) = scope.split_once('/').unwrap();
        if ["gp_events", "prescriptions"].contains(&source) {
            let (practice, month) = what.split_once('/').unwrap();
            // The month in which the feed stopped may have been enough.
            let late = Month::parse(month.as_bytes()).unwrap().0 - stopped[practice].0;
            assert!((0..=1).contains(&late), "{scope}: stopped in {}", stopped[practice]);
            stopped_named.insert(practice.to_owned());
        } else {
            assert!(missing.contains(what), "{scope} was not planted");
            missing_named.insert(what.to_owned());
        }
    }
    assert_eq!(stopped_named, stopped.into_keys().collect());
    assert_eq!(missing_named, missing);
}

#[test]
fn planted_defects_are_found_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let published = run_on(&population(folder.path(), Defects::Hostile, 3_000));
    let found = Found::read(folder.path(), &published);
    check_rows(&found);
    check_listed(&found);
    check_register(&found);
    check_admissions(&found);
    check_gp_codes(&found);
    check_contacts(&found);
    check_outages(&found, &folder.path().join("data"));
}

/// What a planted fault that is no reject is counted as: where a file's name begins so, this kind, in these columns.
const COUNTED: [(&str, &str, &[&str]); 24] = [
    ("register", "registration floor", &["registration_start"]),
    ("register", "null date", &["registration_end", "death_date"]),
    ("register", "filler", &["practice_code", "lsoa11"]),
    ("register", "wrong century of birth", &["birth_year_month"]),
    ("register", "future row", &["registration_start"]),
    ("register", "duplicate row", &["person_id"]),
    ("hes_", "duplicate row", &["ENCRYPTED_HESID"]),
    ("social_care", "duplicate row", &["LA Person Unique Identifier"]),
    ("csds", "duplicate row", &["person_id"]),
    ("mhsds", "duplicate row", &["person_id"]),
    ("hes_apc", "same episode in two years", &["EPIKEY"]),
    ("hes_apc", "episode split by the year end", &["EPISTAT"]),
    ("hes_apc", "lower case code", &["DIAG_01", "DIAG_02", "DIAG_03"]),
    ("hes_apc", "dotted code", &["DIAG_01", "DIAG_02", "DIAG_03"]),
    ("hes_apc", "dagger or asterisk mark", &["DIAG_01", "DIAG_02", "DIAG_03"]),
    ("hes_apc", "malformed code", &["DIAG_01", "DIAG_02", "DIAG_03"]),
    ("hes_apc", "filler", &["DIAG_01"]),
    ("hes_apc", "null date", &["ADMIDATE"]),
    ("hes_", "future row", &["EPISTART", "ADMIDATE", "APPTDATE", "ARRIVALDATE"]),
    ("gp_", "future row", &["event_date", "issue_date"]),
    ("gp_", "malformed code", &["snomed_code", "bnf_code"]),
    ("gp_events", "late-recorded event", &["recorded_date"]),
    ("social_care", "null date", &["Event End Date"]),
    ("social_care", "filler", &["Event Type", "Service Component"]),
];

/// Columns that no layout reads, so that nothing in them can be wrong for a run.
const NOT_READ: [(&str, &str, &str); 1] = [("hes_apc", "filler", "GPPRAC")];

/// Every planted kind, file and column stands in one of the tables: a new defect needs a figure.
fn check_every_kind_has_a_figure(found: &Found) {
    let mut without: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    let mut met: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (place, faults) in &found.planted {
        for (kind, column) in faults {
            let is = |file: &str, of: &str, columns: &[&str]| {
                place.0.starts_with(file) && kind == of && columns.contains(&column.as_str())
            };
            let rejected = FOUND.iter().any(|(file, of, columns)| is(file, of, columns));
            let counted = COUNTED.iter().find(|(file, of, columns)| is(file, of, columns));
            met.extend(counted.map(|(file, of, _)| (*file, *of)));
            let not_read = NOT_READ.iter().any(|(file, of, at)| is(file, of, &[at]));
            if !rejected && counted.is_none() && !not_read && kind != "orphan: not on the register" {
                without.insert((&place.0, kind, column));
            }
        }
    }
    assert!(without.is_empty(), "planted, and neither rejected nor counted: {without:?}");
    assert_eq!(met.len(), COUNTED.len(), "every kind was met: {met:?}");
}

impl Found {
    fn noted(&self, source: &str, what: &str) -> u64 {
        self.quality[source]["noted"][what].as_u64().unwrap_or(0)
    }

    /// Faults of a kind with their columns, those of copies of their rows too.
    fn planted_with_copies(&self, file: &str, kind: &str) -> Vec<(Place, &str)> {
        let mut all = Vec::new();
        for (place, faults) in self.planted.iter().filter(|(place, _)| place.0.starts_with(file)) {
            let is_twice = faults.iter().any(|(kind, _)| kind == "duplicate row");
            for (_, column) in faults.iter().filter(|(of, _)| of == kind) {
                all.push((place.clone(), column.as_str()));
                if is_twice {
                    all.push(((place.0.clone(), place.1 + 1), column.as_str()));
                }
            }
        }
        all
    }

    /// Rows of people who are in the run, rejects left aside.
    fn usable<'a>(&'a self, start: &'a str, id: &'a str) -> impl Iterator<Item = (Place, &'a Row)> + 'a {
        let places = self.places(start).filter(|(place, _)| !self.rejects.contains_key(place));
        places.filter(move |(_, row)| self.standing(&row[id]) == Standing::Registered)
    }
}

/// The register's figures, worked out from its file.
fn check_register_figures(found: &Found) {
    const FILLERS: [&str; 5] = ["", "V81997", "V81998", "V81999", "&"];
    let noted = |what: &str| found.noted("register", what);
    assert_eq!(noted("dates_that_stand_for_none"), found.planted_with_copies("register", "null date").len() as u64);
    let fillers = found.planted_with_copies("register", "filler");
    let of_practices = fillers.iter().filter(|(_, column)| *column == "practice_code").count() as u64;
    assert_eq!(noted("practices_that_stand_for_none"), of_practices);
    let of_areas = fillers.iter().filter(|(place, _)| found.row(place)["lsoa11"] == "Z99999999").count() as u64;
    assert_eq!(noted("areas_that_stand_for_none"), of_areas);
    let rows: BTreeSet<&Row> = found.usable("register", "person_id").map(|(_, row)| row).collect();
    let without_sex = rows.iter().filter(|row| ["", "0", "9"].contains(&row["sex"].as_str())).count() as u64;
    assert_eq!(noted("without_sex"), without_sex);
    let columns = ["person_id", "registration_start", "registration_end", "practice_code"];
    let mut periods: BTreeMap<&str, BTreeSet<[&str; 4]>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !FILLERS.contains(&row["practice_code"].as_str())) {
        let of_person = periods.entry(&row["person_id"]).or_default();
        let cells = columns.map(|column| row[column].as_str());
        // A date that stands for none is none.
        of_person.insert(cells.map(|cell| if cell.len() == 10 && cell < "1900" { "" } else { cell }));
    }
    let all = || periods.values().flatten();
    let floors = all().filter(|period| ["", "1900-01-01"].contains(&period[1])).count() as u64;
    assert_eq!(noted("registrations_from_1900"), floors);
    assert_eq!(
        noted("registrations_after_the_last_as_of_day"),
        all().filter(|period| period[1] > AS_OF).count() as u64
    );
    let first =
        |person: &str| periods.get(person)?.iter().map(|period| period[1]).filter(|day| *day > "1900-01-01").min();
    let cannot_be = |row: &&&Row| {
        let birth = row["birth_year_month"].as_str();
        let is_after = first(&row["person_id"]).is_some_and(|first| birth > &first[..7]);
        !birth.is_empty() && (birth < "1895-05" || is_after)
    };
    let births: Vec<&&Row> = rows.iter().filter(cannot_be).collect();
    assert_eq!(noted("births_that_cannot_be"), births.len() as u64);
    let figures = [births.len() as u64, floors, of_practices, of_areas, without_sex];
    assert!(figures.iter().all(|figure| *figure > 5), "{figures:?}");
}

/// The figures of admissions, worked out from the files.
fn check_admission_figures(found: &Found) {
    const FILLERS: [&str; 5] = ["", "R69X", "R69X3", "R69X6", "R69X8"];
    let admitted =
        |row: &Row| if row["ADMIDATE"].as_str() < "1900" { row["EPISTART"].clone() } else { row["ADMIDATE"].clone() };
    let rows = found.usable("hes_apc", "ENCRYPTED_HESID").filter(|(_, row)| row["EPISTAT"] != "1");
    let rows: BTreeMap<Place, &Row> = rows.filter(|(_, row)| admitted(row).as_str() < AS_OF).collect();
    for (kind, what) in [
        ("lower case code", "codes_in_small_letters"),
        ("dotted code", "codes_with_a_dot"),
        ("dagger or asterisk mark", "codes_with_a_mark"),
    ] {
        let planted = found.planted_with_copies("hes_apc", kind);
        let read = planted.iter().filter(|(place, _)| rows.contains_key(place)).count() as u64;
        assert!(read > 20, "{kind}: {read}");
        assert_eq!(found.noted("admissions", what), read, "{kind}");
    }
    let malformed: BTreeSet<Place> = found
        .planted_with_copies("hes_apc", "malformed code")
        .into_iter()
        .filter(|(_, column)| *column == "DIAG_01")
        .map(|(place, _)| place)
        .collect();
    let lacks_primary =
        |(place, row): &(&Place, &&Row)| FILLERS.contains(&row["DIAG_01"].as_str()) || malformed.contains(place);
    let without = rows.iter().filter(lacks_primary).count() as u64;
    assert_eq!(found.noted("admissions", "without_a_primary_diagnosis"), without);
    let without_day = rows.values().filter(|row| row["ADMIDATE"].as_str() < "1900").count() as u64;
    assert_eq!(found.noted("admissions", "admission_day_of_the_episode"), without_day);
    assert!(without > 50 && without_day > 5, "{without} {without_day}");
    // A code is counted where it is read: before what stands behind it in the layout can reject the row.
    let is_read = |place: &Place| match found.rejects.get(place).map(|(rule, column)| (rule.as_str(), column.as_str()))
    {
        None | Some(("no_date", "ADMIDATE") | ("ends_before_it_starts", "DISDATE")) => {
            found.standing(&found.row(place)["ENCRYPTED_HESID"]) == Standing::Registered
                && found.row(place)["EPISTAT"] != "1"
        }
        Some(_) => false,
    };
    let planted = found.planted_with_copies("hes_apc", "malformed code");
    let read = planted.iter().filter(|(place, _)| is_read(place)).count() as u64;
    assert_eq!(found.quality["admissions"]["malformed_codes"]["diagnosis"], read);
}

/// Rows of the future, of strangers, and copies, of feeds whose rows are events; every row is asked about.
fn check_event_figures(found: &Found) {
    for (file, source, id, day) in [
        ("hes_op", "outpatients", "ENCRYPTED_HESID", "APPTDATE"),
        ("hes_ae", "emergency_care", "ENCRYPTED_HESID", "ARRIVALDATE"),
        ("gp_events", "gp_events", "person_id", "event_date"),
        ("gp_prescriptions", "prescriptions", "person_id", "issue_date"),
        ("csds", "community", "person_id", "contact_date"),
        ("mhsds", "mental_health", "person_id", "contact_date"),
        ("ambulance", "ambulance", "person_id", "call_date"),
        ("hospice", "hospices", "person_id", "contact_date"),
        ("care_plans", "care_plans", "person_id", "start_date"),
    ] {
        let later = found.usable(file, id).filter(|(_, row)| row[day].as_str() >= AS_OF).count() as u64;
        assert_eq!(found.dropped(source, "after_last_as_of"), later, "{source}");
        let strangers = found
            .places(file)
            .filter(|(place, row)| found.standing(&row[id]) == Standing::Unknown && !found.rejects.contains_key(place));
        assert_eq!(found.dropped(source, "not_on_register"), strangers.count() as u64, "{source}");
    }
    let keys: [(&str, &str, &[&str]); 2] = [
        ("hes_op", "outpatients", &["ENCRYPTED_HESID", "APPTDATE", "PROCODE", "MAINSPEF", "TRETSPEF"]),
        ("hes_ae", "emergency_care", &["ENCRYPTED_HESID", "ARRIVALDATE", "PROCODE", "DIAG_01", "TREAT_01"]),
    ];
    for (file, source, key) in keys {
        let mut by_key: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (_, row) in found.usable(file, "ENCRYPTED_HESID").filter(|(_, row)| row[key[1]].as_str() < AS_OF) {
            let time = row
                .get("ARRIVALTIME")
                .map_or(0, |time| time[..2].parse::<u32>().unwrap() * 60 + time[2..].parse::<u32>().unwrap());
            by_key
                .entry(key.iter().map(|column| row[*column].as_str()).collect::<Vec<_>>().join("|"))
                .or_default()
                .push(time);
        }
        let mut copies = 0;
        for times in by_key.values_mut() {
            times.sort_unstable();
            let mut first = None;
            for &time in times.iter() {
                match first {
                    Some(first) if time - first <= 60 => copies += 1,
                    _ => first = Some(time),
                }
            }
        }
        assert!(copies > 20, "{source}: {copies}");
        assert_eq!(found.dropped(source, "duplicate"), copies, "{source}");
    }
}

/// Entries recorded late, and codes that are none; every row is asked about.
fn check_gp_figures(found: &Found) {
    let day = |text: &str| riskstrat::day::Day::parse(text.as_bytes());
    let used = found.usable("gp_events", "person_id").filter(|(_, row)| row["event_date"].as_str() < AS_OF);
    let late: BTreeSet<Place> = used
        .filter(|(_, row)| match (day(&row["recorded_date"]), day(&row["event_date"])) {
            (Some(recorded), Some(event)) => recorded.0 - event.0 > 90,
            _ => false,
        })
        .map(|(place, _)| place)
        .collect();
    assert_eq!(found.noted("gp_events", "recorded_late"), late.len() as u64);
    let planted = found.planted_with_copies("gp_events", "late-recorded event");
    let is_used = |place: &Place| {
        let row = found.row(place);
        !found.rejects.contains_key(place)
            && found.standing(&row["person_id"]) == Standing::Registered
            && row["event_date"].as_str() < AS_OF
    };
    let planted: BTreeSet<Place> = planted.into_iter().map(|(place, _)| place).filter(is_used).collect();
    assert!(planted.len() > 50 && planted == late, "{} planted, {} late", planted.len(), late.len());
    let planted = found.planted_with_copies("gp_prescriptions", "malformed code");
    // Of the spoilt codes three still have the form of a code: small letters, a paragraph alone, a lost zero in front.
    let has_form =
        |place: &Place| ["0212000b0aaabab", "0212", "2120000B0AAABAB"].contains(&found.row(place)["bnf_code"].as_str());
    let malformed = planted.iter().filter(|(place, _)| !has_form(place)).count() as u64;
    let counted = found.quality["prescriptions"]["malformed_codes"].as_object().unwrap().values();
    assert_eq!(counted.map(|count| count.as_u64().unwrap()).sum::<u64>(), malformed);
}

/// Services that go on, and cells filled with a word for none.
fn check_social_care_figures(found: &Found) {
    let id = "LA Person Unique Identifier";
    let used = found.usable("social_care", id).filter(|(_, row)| row["Event Start Date"].as_str() < AS_OF);
    let is_open = |row: &Row| ["Event End Date", "Date of Death"].iter().all(|column| row[*column].as_str() < "1900");
    let goes_on = used.filter(|(_, row)| is_open(row)).count() as u64;
    assert_eq!(found.noted("social_care", "goes_on"), goes_on);
    let columns = [
        "Event Type",
        "Client Type",
        "Service Type",
        "Service Component",
        "Delivery Mechanism",
        "Cost Frequency (Unit Type)",
    ];
    let cells = found.places("social_care").flat_map(|(_, row)| columns.map(|column| row[column].clone()));
    let filled = cells.filter(|cell| cell == "NULL").count() as u64;
    assert_eq!(found.noted("social_care", "cells_that_stand_for_none"), filled);
    assert_eq!(found.planted_with_copies("social_care", "filler").len() as u64, filled);
    assert!(goes_on > 20 && filled > 5, "{goes_on} {filled}");
}

#[test]
fn every_planted_kind_has_a_figure_that_equals_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = population(folder.path(), Defects::Hostile, 3_000);
    let text = fs::read_to_string(&settings).unwrap();
    let models = text.lines().find(|line| line.starts_with("models = ")).unwrap();
    let cohorts = text.lines().find(|line| line.starts_with("cohorts = ")).unwrap();
    write(&settings, text.replace(models, "models = [\"everything\"]").replace(cohorts, ""));
    let published = run_on(&settings);
    let found = Found::read(folder.path(), &published);
    check_listed(&found);
    check_every_kind_has_a_figure(&found);
    check_register(&found);
    check_register_figures(&found);
    check_admissions(&found);
    check_admission_figures(&found);
    check_event_figures(&found);
    check_gp_codes(&found);
    check_gp_figures(&found);
    check_social_care_figures(&found);
}

#[test]
fn without_defects_there_is_nothing_to_find() {
    let folder = tempfile::tempdir().unwrap();
    let settings = population(folder.path(), Defects::None, 5_000);
    run_settings(&settings, Some(&folder.path().join("models")))
        .unwrap_or_else(|failure| panic!("no gate is breached: {failure}"));
    let published = run_on(&settings);
    let found = Found::read(folder.path(), &published);
    assert!(found.planted.is_empty() && found.rejects.is_empty(), "{:?}", found.rejects);
    for (name, source) in &found.quality {
        assert_eq!(source["rejected"], 0, "{name}");
        assert_eq!(source["malformed_codes"], serde_json::json!({}), "{name}");
        // The council sends what goes on over several years with each year's file.
        assert!(found.dropped(name, "duplicate") == 0 || name == "social_care", "{name}");
    }
    let mut references: BTreeMap<Vec<&str>, BTreeSet<&str>> = BTreeMap::new();
    for (_, row) in found.places("social_care") {
        let columns = ["LA Code", "LA Person Unique Identifier", "Event Type", "Event Start Date"];
        let more = ["Client Type", "Service Type", "Service Component"];
        let key = columns.iter().chain(&more).map(|column| row[*column].as_str()).collect();
        references.entry(key).or_default().insert(&row["Event Reference"]);
    }
    assert!(references.values().all(|references| references.len() == 1), "copies are of one event");
}
