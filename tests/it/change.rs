//! What changed since the last published list: nobody leaves without a reason, and a late feed is no falling risk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use serde_json::{Value, json};

use crate::common::{files_under, parquet_rows, run_settings, write};

/// One person of a small register, as of one night.
#[derive(Clone)]
struct Person {
    id: &'static str,
    practice: &'static str,
    born: u32,
    end: &'static str,
    death: &'static str,
    decile: u32,
    /// The last month with a prescription, as months since January 2016; `None` for nobody's business.
    last_medicine: Option<i32>,
}

fn person(id: &'static str, practice: &'static str, born: u32) -> Person {
    Person { id, practice, born, end: "", death: "", decile: 5, last_medicine: Some(9) }
}

/// A list of those with a medicine in the last three months, nine to a practice, the oldest first.
const COHORT: &str = "[[cohort]]\nid = \"medicines\"\ntitle = \"T\"\npurpose = \"P\"\nsource = \"S\"\nmodel = \"cpm\"\n\
                      where = \"medicines_3m >= 1\"\norder_by = [\"-age_years\"]\nhold_days = 40\n\
                      capacity = { at_most = 9, per = \"practice\" }\n\
                      [[cohort.exclusion]]\nname = \"tenth\"\nreason = \"lives in the most deprived tenth\"\n\
                      where = \"imd_decile = 1\"\n";

const DECISIONS: &str = "person,cohort,decision,who,why,from,until\n\
                         wished,medicines,in,Dr A,worried about her,2016-02-01,2016-04-15\n\
                         refused,medicines,out,Dr B,declined the service,2016-03-15,\n\
                         nobody,medicines,in,Dr B,left the area,2016-01-01,\n";

/// Publishes the lists of one night over these people.
fn night(folder: &Path, as_of: &str, people: &[Person], opted_out: &str) -> Value {
    let mut register = "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,\
                        lsoa11,ethnic_category,imd_score,imd_decile\n"
        .to_owned();
    let mut medicines = "person_id,issue_date,cost,bnf_code,practice_code\n".to_owned();
    for Person { id, practice, born, end, death, decile, last_medicine } in people {
        register.push_str(&format!("{id},{born}-01,1,{practice},2000-01-01,{end},{death},E01000001,A,20.5,{decile}\n"));
        for month in last_medicine.map(|last| -24..=last).into_iter().flatten() {
            let (year, month) = (2016 + month.div_euclid(12), month.rem_euclid(12) + 1);
            let day = format!("{year}-{month:02}-05");
            if day.as_str() < as_of {
                medicines.push_str(&format!("{id},{day},1.00,0212000B0AAABAB,{practice}\n"));
            }
        }
    }
    write(&folder.join("register.csv"), register);
    write(&folder.join("medicines.csv"), medicines);
    write(&folder.join("opt_outs.csv"), format!("person_id\n{opted_out}\n"));
    write(&folder.join("decisions/gp.csv"), DECISIONS);
    let text = format!(
        "format = 1\nas_of = \"{as_of}\"\nout = \"out\"\nmodels = [\"cpm\", \"person_facts\"]\n\
         [register]\nlayout = \"register\"\nfiles = [\"register.csv\"]\n\
         [opt_outs]\nlayout = \"opt_outs\"\nfiles = [\"opt_outs.csv\"]\n[overrides]\nfiles = [\"decisions/*.csv\"]\n\
         [[source]]\nname = \"medicines\"\nlayout = \"gp_prescriptions\"\nfiles = [\"medicines.csv\"]\n{COHORT}"
    );
    let settings = write(&folder.join("riskstrat.toml"), text);
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let manifest = fs::read(report.published[0].join("manifest.json")).unwrap();
    serde_json::from_slice::<Value>(&manifest).unwrap()["cohorts"][0].clone()
}

/// The column of a list of one night, by person; a list that is not there has nobody.
fn column(folder: &Path, file: &str, name: &str) -> BTreeMap<String, String> {
    let Ok(bytes) = fs::read(folder.join("out").join(file)) else { return BTreeMap::new() };
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let place = |header: &csv::StringRecord, name: &str| header.iter().position(|found| found == name).unwrap();
    let header = reader.headers().unwrap().clone();
    let (person, column) = (place(&header, "person"), place(&header, name));
    reader.records().map(Result::unwrap).map(|row| (row[person].to_owned(), row[column].to_owned())).collect()
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(person, word)| ((*person).to_owned(), (*word).to_owned())).collect()
}

fn first_night() -> Vec<Person> {
    let ids = ["stays", "dies", "leaves", "moves", "opts_out", "falls", "refused", "excluded", "cut"];
    // The oldest first: the last one is cut as soon as somebody older joins.
    let mut people: Vec<Person> = ids.into_iter().zip(1930..).map(|(id, born)| person(id, "G82001", born)).collect();
    people.push(Person { last_medicine: None, ..person("wished", "G82001", 1990) });
    people.extend(["stopped_1", "stopped_2"].map(|id| person(id, "G82002", 1950)));
    people.push(person("elsewhere", "G82003", 1950));
    people
}

/// As the first night, a month later: every way to leave a list, and two feeds that stopped.
fn second_night() -> Vec<Person> {
    let joined = ["new_1", "new_2", "new_3", "new_4", "new_5", "new_6", "new_7"].map(|id| person(id, "G82001", 1925));
    let changed = first_night().into_iter().filter(|person| person.id != "leaves").map(|mut person| {
        match person.id {
            "dies" => person.death = "2016-03-10",
            "moves" => person.practice = "G82003",
            // The last medicine was more than three months ago.
            "falls" => person.last_medicine = Some(-2),
            "excluded" => person.decile = 1,
            // Nothing has come from this practice since January.
            "stopped_1" | "stopped_2" => person.last_medicine = Some(-1),
            _ => {}
        }
        person
    });
    changed.chain(joined).collect()
}

#[test]
fn everybody_on_the_last_list_is_on_this_one_or_left_it_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let first = night(folder.path(), "2016-03-05", &first_night(), "somebody");
    assert_eq!(first["change"], Value::Null);
    let changes = column(folder.path(), "2016-03-05/lists/medicines/G82001.csv", "change");
    assert_eq!(changes.values().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), ["first list"].into());
    // Nine places, and the one who is there by decision takes one: the youngest of the nine others is below the cut.
    assert_eq!(changes.len(), 9);
    assert!(changes.contains_key("wished") && !changes.contains_key("cut"));
    assert_eq!(first["below_capacity"], 1);

    // Back to nine on the list of the first night, so that each can leave it.
    let mut without = first_night();
    without.retain(|person| person.id != "wished");
    night(folder.path(), "2016-03-05", &without, "somebody");
    let second = night(folder.path(), "2016-04-05", &second_night(), "opts_out");
    let left = column(folder.path(), "2016-04-05/lists/medicines/left/G82001.csv", "reason");
    let expected = named(&[
        ("dies", "died"),
        ("leaves", "moved_away"),
        ("moves", "other_practice"),
        ("opts_out", "opted_out"),
        ("falls", "fell_below"),
        ("refused", "decided_out"),
        ("excluded", "tenth"),
        ("cut", "below_capacity"),
    ]);
    assert_eq!(left, expected);
    let scores = column(folder.path(), "2016-04-05/lists/medicines/left/G82001.csv", "score_then");
    assert!(scores["opts_out"].is_empty() && !scores["dies"].is_empty(), "nothing more of who opted out: {scores:?}");
    let said = column(folder.path(), "2016-04-05/lists/medicines/left/G82001.csv", "decision");
    assert_eq!(said["refused"], "out: declined the service (Dr B, from 2016-03-15)");
    let changes = column(folder.path(), "2016-04-05/lists/medicines/G82001.csv", "change");
    assert_eq!(
        (changes["stays"].as_str(), changes["new_1"].as_str(), changes["wished"].as_str()),
        ("stayed", "joined", "joined")
    );
    let moved = column(folder.path(), "2016-04-05/lists/medicines/G82003.csv", "change");
    assert_eq!(moved, named(&[("elsewhere", "stayed"), ("moves", "joined: was with another practice")]));
    let orders = column(folder.path(), "2016-04-05/lists/medicines/G82001.csv", "order_then");
    assert_eq!((orders["stays"].as_str(), orders["new_1"].as_str()), ("1", ""));
    let decided = column(folder.path(), "2016-04-05/lists/medicines/G82001.csv", "decision");
    assert_eq!(decided["wished"], "in: worried about her (Dr A, from 2016-02-01, until 2016-04-15)");

    // A feed that stopped holds its people where they were.
    let held = column(folder.path(), "2016-04-05/lists/medicines/G82002.csv", "change");
    let words = "stayed: a feed stopped, seen 2016-04-05";
    assert_eq!(held, named(&[("stopped_1", words), ("stopped_2", words)]));
    let change = &second["change"];
    assert_eq!(
        (&change["since"], &change["on_last_list"], &change["stayed"]),
        (&json!("2016-03-05"), &json!(12), &json!(4))
    );
    assert_eq!((&change["joined"], &change["held_by_a_stopped_feed"]), (&json!(9), &json!(2)));
    assert_eq!(change["left"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 8);
    let expected = json!({
        "rows": 3, "applied_in": 1, "applied_out": 1, "not_yet": 0, "expired": 0, "superseded": 0, "not_registered": 1
    });
    assert_eq!(second["decisions"], expected);

    // 40 days after the feed was seen to have stopped they are still held; a day later they leave, for that reason.
    let third = night(folder.path(), "2016-05-15", &second_night(), "opts_out");
    assert_eq!(third["change"]["held_by_a_stopped_feed"], 2);
    assert_eq!(third["decisions"]["expired"], 1);
    let fourth = night(folder.path(), "2016-05-16", &second_night(), "opts_out");
    let left = column(folder.path(), "2016-05-16/lists/medicines/left/G82002.csv", "reason");
    assert_eq!(left, named(&[("stopped_1", "feed_stopped"), ("stopped_2", "feed_stopped")]));
    assert_eq!(fourth["change"]["left"], json!({ "feed_stopped": 2 }));
}

#[test]
fn a_last_run_that_was_tampered_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "2016-03-05", &first_night(), "somebody");
    let file = folder.path().join("out/2016-03-05/cohorts/medicines.parquet");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let settings = folder.path().join("riskstrat.toml");
    let text = fs::read_to_string(&settings).unwrap().replace("2016-03-05", "2016-04-05");
    fs::write(&settings, text).unwrap();
    let failure = run_settings(&settings, None).unwrap_err();
    assert!(failure.to_string().contains("is not the file that its run's manifest names"), "{failure}");
    assert!(!folder.path().join("out/2016-04-05").exists());
}

#[test]
fn faulty_decisions_stop_the_run_before_anything_is_published() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "2016-03-05", &first_night(), "somebody");
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    let rows = DECISIONS.to_owned() + "SECRET,other,in,Dr C,x,2016-01-01,\n";
    write(&folder.path().join("decisions/gp.csv"), rows);
    let failure = run_settings(&folder.path().join("riskstrat.toml"), None).unwrap_err();
    assert_eq!(failure.exit_code(), 4);
    let expected = "gp.csv, row 5, column \"cohort\": not a cohort of this run; those are medicines";
    assert!(failure.to_string().ends_with(expected), "{failure}");
    assert!(!failure.to_string().contains("SECRET"));
}

/// A county with cohorts that look back: at earlier scores and at the last list.
fn county(folder: &Path) -> impl Fn(&str, &str) -> BTreeMap<String, Vec<u8>> {
    let mut request = Request::new(1_500, 5, folder.join("data"));
    request.rows_per_person = 40;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let cohorts = "cohorts = [\"year_of_care\", \"rising_risk\", \"top_2_percent\"]";
    let margin = "\n[[preset]]\nid = \"top_2_percent\"\ncapacity = { share = 0.02, of = \"adults\", per = \"practice\", margin = 0.2 }\n";
    let text = demo::settings("data", "2016-04-01").replace("cohorts = [\"case_management\"]", cohorts) + margin;
    assert!(text.contains(cohorts));
    let folder = folder.to_owned();
    move |out, as_of| {
        let text = text.replace("as_of = \"2016-04-01\"", &format!("as_of = {as_of}"));
        let text = text.replace("out = \"out\"", &format!("out = \"{out}\""));
        let settings = write(&folder.join(format!("{out}.toml")), text);
        run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
        files_under(&folder.join(out))
    }
}

#[test]
fn lists_of_several_days_together_are_those_of_one_night_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let run = county(folder.path());
    let days = ["2016-02-01", "2016-03-01", "2016-04-01"];
    let together = run("together", &format!("{days:?}"));
    for day in days {
        run("nightly", &format!("\"{day}\""));
    }
    let nightly = files_under(&folder.path().join("nightly"));
    let is_about_people =
        |name: &str| ["parquet", "csv"].iter().any(|kind| name.ends_with(kind)) && !name.contains("rejects");
    let mut compared = 0;
    for (name, bytes) in nightly.iter().filter(|(name, _)| is_about_people(name)) {
        assert!(together[name] == *bytes, "{name}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    assert_eq!(together.keys().filter(|name| is_about_people(name)).count(), compared);
    let left = nightly.keys().filter(|name| name.contains("/left/")).count();
    assert!(left > 0, "somebody left a list");
    // The same night once more: the same bytes, for the night before is what it was.
    let again = run("nightly", "\"2016-04-01\"");
    let same = |name: &&String| !is_about_people(name) || again[*name] == nightly[*name];
    assert!(nightly.keys().all(|name| same(&name)));
    // What a list is compared with is part of what decides it.
    let manifest = |files: &BTreeMap<String, Vec<u8>>, day: &str| -> Value {
        serde_json::from_slice(&files[&format!("{day}/manifest.json")]).unwrap()
    };
    let last = manifest(&nightly, "2016-04-01")["last_lists"].clone();
    assert_eq!(last["as_of"], "2016-03-01");
    assert_eq!(manifest(&nightly, "2016-02-01")["last_lists"], Value::Null);
    let scores = parquet_rows(&folder.path().join("nightly/2016-04-01/scores.parquet"));
    let earlier = parquet_rows(&folder.path().join("nightly/2016-03-01/scores.parquet"));
    let by_person = |rows: &[BTreeMap<String, crate::common::Cell>], column: &str| -> BTreeMap<String, String> {
        rows.iter().map(|row| (row["person"].to_string(), row[column].to_string())).collect()
    };
    let then = by_person(&earlier, "cpm");
    let mut seen = 0;
    for (person, score) in by_person(&scores, "cpm_1m_ago").into_iter().filter(|(_, score)| !score.is_empty()) {
        let (one, two): (f64, f64) = (score.parse().unwrap(), then[&person].parse().unwrap());
        assert!((one - two).abs() < 1e-9, "the score of a month ago is what was published then");
        seen += 1;
    }
    assert!(seen * 2 > scores.len(), "{seen} of {}", scores.len());
}

#[test]
fn kents_rule_is_read_off_files_month_by_month() {
    // COPD, substance misuse, a psychotic disorder and an eGFR of 45: each raises the score from its month on, by a term
    // of its own.
    const ENTRIES: [(&str, &str); 4] =
        [("13645005", ""), ("66590003", ""), ("1086471000000103", ""), ("1011481000000105", "45")];
    let in_months = |months: [&'static str; 4]| ENTRIES.into_iter().zip(months);
    let people = [
        ("four", in_months(["2015-11", "2015-12", "2016-01", "2016-02"])),
        ("three", in_months(["2014-05", "2015-12", "2016-01", "2016-02"])),
        ("long_ago", in_months(["2014-05", "2014-06", "2014-07", "2014-08"])),
        // Two of the four in one month: three rises, as above.
        ("twice", in_months(["2015-12", "2015-12", "2016-01", "2016-02"])),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut register = "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,\
                        lsoa11,ethnic_category,imd_score,imd_decile\n"
        .to_owned();
    let mut events = "person_id,event_date,recorded_date,value,snomed_code,practice_code\n".to_owned();
    for (id, entries) in people {
        register.push_str(&format!("{id},1960-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n"));
        // Diabetes and high blood pressure, long known.
        for code in ["44054006", "38341003"] {
            events.push_str(&format!("{id},2014-01-10,2014-01-10,,{code},G82001\n"));
        }
        for ((code, value), month) in entries {
            events.push_str(&format!("{id},{month}-10,{month}-10,{value},{code},G82001\n"));
        }
    }
    // Somebody else has an entry every month, so that the feed covers all of them.
    register.push_str("other,1960-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n");
    for (year, month) in (2010..=2016).flat_map(|year| (1..=12).map(move |month| (year, month))) {
        events.push_str(&format!("other,{year}-{month:02}-20,{year}-{month:02}-20,,44054006,G82001\n"));
    }
    write(&folder.path().join("register.csv"), register);
    write(&folder.path().join("gp_events.csv"), events);
    let text = "format = 1\nas_of = \"2016-04-05\"\nout = \"out\"\nmodels = [\"cpm\", \"person_facts\"]\n\
                cohorts = [\"year_of_care\"]\n[register]\nlayout = \"register\"\nfiles = [\"register.csv\"]\n\
                [opt_outs]\napplied_upstream = \"by us\"\n[[source]]\nname = \"gp_events\"\nlayout = \"gp_events\"\n\
                files = [\"gp_events.csv\"]\n";
    let settings = write(&folder.path().join("riskstrat.toml"), text);
    run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let scores = parquet_rows(&folder.path().join("out/2016-04-05/scores.parquet"));
    let rises: Vec<(String, String)> =
        scores.iter().map(|row| (row["person"].to_string(), row["cpm_rises_6m"].to_string())).collect();
    let expected = [("four", "4"), ("long_ago", "0"), ("other", "0"), ("three", "3"), ("twice", "3")];
    assert_eq!(rises, expected.map(|(person, rises)| (person.to_owned(), rises.to_owned())));
    let bands = column(folder.path(), "2016-04-05/lists/year_of_care/G82001.csv", "year_of_care_band");
    assert_eq!(
        bands,
        named(&[("four", "C")]),
        "diabetes, high blood pressure, COPD and a severe mental illness are four: band C"
    );
}
