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

/// A population in `folder/data`, and settings for a run on it with limits that only some gates can breach.
fn population(folder: &Path, defects: Defects, people: u32) -> PathBuf {
    let mut request = Request::new(people, 7, folder.join("data"));
    request.rows_per_person = 1;
    request.format = Format::Csv;
    request.defects = defects;
    generate(&request, &|_, _| ()).unwrap();
    let limits = "[limits]\nrejects_share = 1\nnot_on_register_share = 1\nmalformed_codes_share = 1\n\
                  look_up_misses_share = 1\ndead_terms_from_people = 1_000_000_000\nmonth_rows_from = 50\n";
    let demo = demo::settings("data", AS_OF);
    let (inputs, _) = demo.split_once("[limits]").unwrap();
    write(&folder.join("riskstrat.toml"), format!("{inputs}{limits}"))
}

/// What a run published that months were let through for, whether any are missing or not.
fn run_on(settings: &Path) -> PathBuf {
    let mut prepared = prepare(settings, None).unwrap_or_else(|failure| panic!("{failure}"));
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
        let read = ["register.csv", "hes_", "gp_", "social_care_cld_", "csds_", "mhsds_", "ambulance_", "hospice_"];
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
const FOUND: [(&str, &str, &[&str]); 32] = [
    ("register", "missing pseudonym", &["person_id"]),
    ("register", "invalid date", &["registration_start", "death_date"]),
    ("hes_apc", "missing pseudonym", &["ENCRYPTED_HESID"]),
    ("hes_apc", "null date", &["EPISTART"]),
    ("hes_apc", "invalid date", &["EPISTART", "EPIEND", "ADMIDATE", "DISDATE"]),
    ("hes_apc", "unknown code", &["ADMIMETH", "CLASSPAT", "ADMISORC", "DISMETH"]),
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
    ("mhsds", "unknown code", &["attendance_status"]),
    ("ambulance", "missing pseudonym", &["person_id"]),
    ("ambulance", "invalid date", &["call_date"]),
    ("hospice", "missing pseudonym", &["person_id"]),
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
        "regist" => false,
        // Codes are looked at first in feeds of events, people first in spells.
        "hes_op" | "hes_ae" | "social" | "csds_c" | "mhsds_" if kind == "unknown code" => false,
        "csds_c" => is_stranger || !["5", "6", "3", "7"].contains(&cell("attendance_status")),
        "mhsds_" => {
            is_stranger || !["5", "6"].contains(&cell("attendance_status")) && cell("care_programme_approach") != "Y"
        }
        "ambula" | "hospic" => is_stranger,
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

#[test]
fn without_defects_there_is_nothing_to_find() {
    let folder = tempfile::tempdir().unwrap();
    let settings = population(folder.path(), Defects::None, 5_000);
    run_settings(&settings, None).unwrap_or_else(|failure| panic!("no gate is breached: {failure}"));
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
