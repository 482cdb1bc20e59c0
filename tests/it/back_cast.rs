//! Past scores and what came of people: which days are looked at, what is never seen, what is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use riskstrat::appraisal::validate::Options;
use riskstrat::appraisal::validate_all;
use riskstrat::day::Day;
use riskstrat::estimate::decision::Cut;
use riskstrat::ingest::layout::LayoutFile;
use riskstrat::run::{Cast, Failure, Outcome, Request, Silent, back_cast, prepare, prepare_back_cast};

use crate::cases::{columns_of, widened};
use crate::common::{files_under, parquet_rows, write};
use crate::models::library;

const SETTINGS: &str = r#"format = 1
as_of = "2016-04-01"
out = "out"
models = ["risk"]

[register]
layout = "register"
files = ["register.csv"]

[opt_outs]
applied_upstream = "nobody"

[[source]]
name = "admissions"
layout = "hes_apc"
files = ["hes_apc.csv"]
"#;

/// A point for each emergency admission of the last year; the outcome is another one in 30 days.
pub const RISK: &str = r#"format = 1

[model]
id      = "risk"
version = "1"
title   = "Emergency admissions"
kind    = "logistic"

[source]
citation = "Made for this test."
location = "here"
derived  = []
assumed  = []

[outcome]
events       = { of = "admission", where = { method = "emergency" } }
days         = 30
died         = "no_event"
deregistered = "left_out"

[population]
otherwise = "not_scored"

[baseline]
intercept = -2

[[anchor]]
name       = "stay"
label      = "the last stay"
last       = "admission"
ended_days = [0, 30]

[[term]]
name         = "admissions"
label        = "Emergency admissions in the last year"
value        = { count = { of = "admission", where = { method = "emergency" }, days = [0, 365] } }
when_missing = "zero"
coefficient  = 1

[[term]]
name         = "before_the_stay"
label        = "Emergency admissions in the year before the last stay"
value        = { count = { of = "admission", where = { method = "emergency" }, days = [0, 365], before = "stay" } }
when_missing = "zero"
coefficient  = 0
"#;

/// Files of a handful of people.
pub struct Place {
    folder: tempfile::TempDir,
    register: String,
    admissions: String,
    episodes: usize,
}

impl Place {
    pub fn new() -> Place {
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            register: "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,imd_decile\n"
                .to_owned(),
            admissions: "ENCRYPTED_HESID,PROCODE,EPIKEY,EPISTAT,EPIORDER,ADMIMETH,ADMIDATE,EPISTART,EPIEND,DISDATE,DISMETH,DIAG_01\n"
                .to_owned(),
            episodes: 0,
        };
        place.model(RISK);
        write(&place.path("riskstrat.toml"), SETTINGS);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn model(&self, text: &str) {
        let id = text.lines().find_map(|line| line.trim().strip_prefix("id      = \"")).unwrap().trim_end_matches('"');
        write(&self.path(&format!("models/scores/{id}.toml")), text);
    }

    /// Somebody with the day of deregistration and of death, each empty where there is none.
    pub fn person(&mut self, id: &str, deregistered: &str, died: &str) {
        self.register.push_str(&format!("{id},1950-01,1,G82001,2000-01-01,{deregistered},{died},5\n"));
    }

    /// Somebody of the register's sex 1 or 2.
    pub fn man_or_woman(&mut self, id: &str, sex: &str) {
        self.register.push_str(&format!("{id},1950-01,{sex},G82001,2000-01-01,,,5\n"));
    }

    /// A stay of one episode; method 21 is an emergency, 11 is not.
    pub fn stay(&mut self, id: &str, from: &str, to: &str, method: &str) {
        self.episodes += 1;
        let key = self.episodes;
        self.admissions.push_str(&format!("{id},RVV,{key},3,1,{method},{from},{from},{to},{to},1,R104\n"));
    }

    pub fn write(&self) {
        for (name, layout, text) in
            [("register.csv", "register", &self.register), ("hes_apc.csv", "hes_apc", &self.admissions)]
        {
            let layout = LayoutFile::parse(layout, &library().layouts[layout].text).unwrap();
            write(&self.path(name), widened(text.as_bytes(), &columns_of(&layout)));
        }
    }

    pub fn request(&self, models: &[&str], as_of: &str) -> Request {
        Request {
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            as_of: vec![Day::parse(as_of.as_bytes()).unwrap()],
            horizon_days: None,
            followed_until: None,
        }
    }

    /// The cast of the first model, with the pseudonyms of its people.
    pub fn cast(&self, request: &Request) -> Result<(Cast, Vec<String>), Failure> {
        self.write();
        let prepared = prepare_back_cast(&self.path("riskstrat.toml"), Some(&self.path("models")), request)?;
        let past = back_cast(&prepared, request, &Silent)?;
        let cast = past.at(request.as_of[0], &Silent)?.cast(0);
        let ids = cast.people.iter().map(|&person| past.loaded.people.spine.ids[person as usize].0.to_string());
        Ok((cast.clone(), ids.collect()))
    }

    /// By pseudonym: linear predictor in whole points and outcome.
    fn outcomes(&self, request: &Request) -> BTreeMap<String, (i64, Outcome)> {
        let (cast, ids) = self.cast(request).unwrap_or_else(|failure| panic!("{failure}"));
        let of =
            cast.linear_predictors.iter().zip(&cast.outcomes).map(|(lp, outcome)| (lp.0 / 1_000_000_000, *outcome));
        ids.into_iter().zip(of).collect()
    }

    /// Exit code and message of a back-cast that is refused.
    fn refused(&self, request: &Request) -> (u8, String) {
        let failure = self.cast(request).expect_err("it is refused");
        (failure.exit_code(), failure.to_string())
    }

    fn validate(&self, request: &Request) -> Result<String, Failure> {
        self.write();
        let prepared = prepare_back_cast(&self.path("riskstrat.toml"), Some(&self.path("models")), request)?;
        let past = back_cast(&prepared, request, &Silent)?;
        let options = Options { list: Cut::TopShare(50_000), repeats: 20, seed: 1, admission_cost: Some(2_000.0) };
        validate_all(&past, &options, &self.path("validation"), &Silent)?;
        let folder = self.path(&format!("validation/{}/{}", request.models[0], request.as_of[0]));
        Ok(String::from_utf8(std::fs::read(folder.join("figures.csv")).unwrap()).unwrap())
    }
}

const NO_EVENT: Outcome = Outcome { event: false, events: 0, bed_days: 0 };

fn events(events: u16, bed_days: u32) -> Outcome {
    Outcome { event: events > 0, events, bed_days }
}

#[test]
fn an_outcome_is_looked_for_from_the_as_of_day_to_the_last_of_its_days() {
    let mut place = Place::new();
    for (id, admitted, method) in [
        ("day-before", "2015-03-31", "21"),
        ("first-day", "2015-04-01", "21"),
        ("last-day", "2015-04-30", "21"),
        ("day-after", "2015-05-01", "21"),
        ("elective", "2015-04-10", "11"),
    ] {
        place.person(id, "", "");
        place.stay(id, admitted, admitted, method);
    }
    place.person("twice", "", "");
    place.stay("twice", "2015-04-02", "2015-04-05", "21");
    place.stay("twice", "2015-04-20", "2015-05-24", "22");
    place.person("died", "", "2015-04-10");
    place.person("moved", "2015-04-10", "");
    place.person("admitted-then-moved", "2015-04-10", "");
    place.stay("admitted-then-moved", "2015-04-03", "2015-04-04", "21");
    place.person("moved-on-the-last-day", "2015-04-30", "");
    let request = place.request(&["risk"], "2015-04-01");
    let got = place.outcomes(&request);
    let expected = [
        ("day-before", (-1, NO_EVENT)),
        ("first-day", (-2, events(1, 0))),
        ("last-day", (-2, events(1, 0))),
        ("day-after", (-2, NO_EVENT)),
        ("elective", (-2, NO_EVENT)),
        ("twice", (-2, events(2, 3 + 34))),
        ("died", (-2, NO_EVENT)),
        ("admitted-then-moved", (-2, events(1, 1))),
        ("moved-on-the-last-day", (-2, NO_EVENT)),
    ];
    assert_eq!(got, expected.map(|(id, of)| (id.to_owned(), of)).into());
    let (cast, _) = place.cast(&request).unwrap();
    assert_eq!(cast.left_out, BTreeMap::from([("registered nowhere at the end, without the outcome", 1)]));
}

#[test]
fn death_and_deregistration_count_as_the_model_says() {
    let mut place = Place::new();
    place.person("died", "", "2015-04-30");
    place.person("died-the-day-after", "", "2015-05-01");
    place.person("moved", "2015-04-29", "");
    place.person("seen", "", "");
    place.stay("seen", "2015-05-10", "2015-05-10", "21");
    let with = |died: &str, deregistered: &str| {
        let text = RISK.replace("died         = \"no_event\"", &format!("died         = \"{died}\""));
        place.model(&text.replace("deregistered = \"left_out\"", &format!("deregistered = \"{deregistered}\"")));
        let got = place.outcomes(&place.request(&["risk"], "2015-04-01"));
        got.into_iter().map(|(id, (_, outcome))| format!("{id} {}", outcome.event)).collect::<Vec<_>>().join(", ")
    };
    let seen = "seen false";
    assert_eq!(with("event", "no_event"), format!("died true, died-the-day-after false, moved false, {seen}"));
    assert_eq!(with("left_out", "left_out"), format!("died-the-day-after false, {seen}"));
}

#[test]
fn days_after_a_stay_count_from_its_end_even_where_it_went_on() {
    let mut place = Place::new();
    place.model(&RISK.replace("days         = 30", "days         = 30\nafter        = \"stay\""));
    for (id, again) in [("home-20-days", "2015-04-11"), ("home-20-days-late", "2015-04-12"), ("no-stay", "2015-04-05")]
    {
        place.person(id, "", "");
        if id != "no-stay" {
            place.stay(id, "2015-03-01", "2015-03-12", "21");
        }
        place.stay(id, again, again, "21");
    }
    // Still in hospital on the as-of day: two episodes, of which the first had ended, so that the stay is known.
    place.person("inside", "", "");
    place.admissions.push_str("inside,RVV,90,3,1,21,2015-03-20,2015-03-20,2015-03-25,,1,R104\n");
    place.admissions.push_str("inside,RVV,91,3,2,21,2015-03-20,2015-03-25,2015-05-01,2015-05-01,1,R104\n");
    place.stay("inside", "2015-05-31", "2015-06-02", "21");
    place.person("died-inside", "", "2015-05-01");
    place.admissions.push_str("died-inside,RVV,92,3,1,21,2015-03-20,2015-03-20,2015-03-25,,4,R104\n");
    place.admissions.push_str("died-inside,RVV,93,3,2,21,2015-03-20,2015-03-25,2015-05-01,2015-05-01,4,R104\n");
    place.person("too-long", "", "");
    place.admissions.push_str("too-long,RVV,94,3,1,21,2015-03-20,2015-03-20,2015-03-25,,1,R104\n");
    place.admissions.push_str("too-long,RVV,95,3,2,21,2015-03-20,2015-03-25,2015-06-01,2015-06-01,1,R104\n");
    let request = place.request(&["risk"], "2015-04-01");
    let (cast, ids) = place.cast(&request).unwrap_or_else(|failure| panic!("{failure}"));
    let got: Vec<(String, bool)> = ids.into_iter().zip(cast.events()).collect();
    let expected = [("home-20-days", true), ("home-20-days-late", false), ("inside", true)];
    assert_eq!(got, expected.map(|(id, event)| (id.to_owned(), event)));
    let left_out: Vec<(&str, u64)> = cast.left_out.into_iter().collect();
    assert_eq!(
        left_out,
        [
            ("died in the stay that the days count from", 1),
            ("the days end after the newest data", 1),
            ("the stay that the days count from has no end in the data", 1),
        ]
    );
}

#[test]
fn an_event_moved_across_the_line_moves_from_the_terms_to_the_outcome() {
    let at = |day: &str, recorded_until: &str| {
        let mut place = Place::new();
        place.person("moves", "", "");
        place.stay("moves", day, recorded_until, "21");
        place.person("other", "", "");
        place.stay("other", "2015-06-01", "2015-06-01", "21");
        place.outcomes(&place.request(&["risk"], "2015-04-01"))["moves"]
    };
    assert_eq!(at("2015-03-31", "2015-03-31"), (-1, NO_EVENT), "known before the day");
    assert_eq!(at("2015-04-01", "2015-04-01"), (-2, events(1, 0)), "on the day");
    assert_eq!(at("2015-03-31", "2015-04-01"), (-2, NO_EVENT), "before the day, but not yet known on it");
}

#[test]
fn a_past_score_is_the_score_that_a_run_of_that_day_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let mut population = riskstrat::population::Request::new(1_200, 11, folder.path().join("data"));
    population.rows_per_person = 40;
    riskstrat::population::generate(&population, &|_, _| ()).unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), riskstrat::demo::settings("data", "2015-04-01"));
    riskstrat::run::run(&prepare(&settings, None).unwrap(), &Silent).unwrap_or_else(|failure| panic!("{failure}"));
    let as_of = Day::parse(b"2015-04-01").unwrap();
    for model in ["cpm", "parr30"] {
        let request = Request {
            models: vec![model.to_owned()],
            as_of: vec![as_of],
            horizon_days: Some(30),
            followed_until: None,
        };
        let prepared = prepare_back_cast(&settings, None, &request).unwrap_or_else(|failure| panic!("{failure}"));
        let past = back_cast(&prepared, &request, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
        let day = past.at(as_of, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
        let published: BTreeMap<String, String> = parquet_rows(&folder.path().join("out/2015-04-01/scores.parquet"))
            .into_iter()
            .map(|row| (row["person"].to_string(), row[&format!("{model}_linear_predictor")].to_string()))
            .filter(|(_, lp)| !lp.is_empty())
            .collect();
        let scores = day.scored.scores.models[0].linear_predictors.iter().enumerate();
        let cast: BTreeMap<String, String> = scores
            .filter_map(|(person, lp)| {
                Some((past.loaded.people.spine.ids[person].0.to_string(), lp.get().ok()?.0.to_string()))
            })
            .collect();
        assert!(!published.is_empty() && published == cast, "{model}");
    }
}

#[test]
fn a_day_that_cannot_be_followed_is_refused_with_the_last_that_can() {
    let mut place = Place::new();
    place.person("one", "", "");
    place.stay("one", "2015-04-20", "2015-04-20", "21");
    let (code, message) = place.refused(&place.request(&["risk"], "2015-04-01"));
    assert_eq!(code, 4);
    assert_eq!(
        message,
        "as of 2015-04-01 the outcome's 30 days end with 2015-04-30, but the newest of them in source \"admissions\" is of 2015-04-20; the last as-of date that can be followed is 2015-03-22, or take a shorter --horizon; where nothing came after and the data is known to reach further, say --followed-until"
    );
    assert!(place.cast(&place.request(&["risk"], "2015-03-22")).is_ok());
    let shorter = Request { horizon_days: Some(20), ..place.request(&["risk"], "2015-04-01") };
    assert_eq!(place.outcomes(&shorter)["one"].1, events(1, 0), "the 20th of 20 days");
    let until = Day::parse(b"2015-04-30");
    assert!(place.cast(&Request { followed_until: until, ..place.request(&["risk"], "2015-04-01") }).is_ok());
}

#[test]
fn an_elective_admission_shows_that_people_were_followed_too() {
    let mut place = Place::new();
    place.person("one", "", "");
    place.stay("one", "2015-04-30", "2015-04-30", "11");
    assert!(place.cast(&place.request(&["risk"], "2015-04-01")).is_ok());
}

#[test]
fn one_class_alone_is_refused() {
    let mut place = Place::new();
    place.person("PSEUDO-1", "", "");
    place.stay("PSEUDO-1", "2015-05-10", "2015-05-10", "21");
    let failure = place.validate(&place.request(&["risk"], "2015-04-01")).unwrap_err();
    assert_eq!(failure.exit_code(), 4);
    assert_eq!(
        failure.to_string(),
        "as of 2015-04-01 none of the * people with a score of \"risk\" has the outcome; there is nothing to hold it against. Is the feed of the outcome whole after that day?"
    );
    place.stay("PSEUDO-1", "2015-04-10", "2015-04-10", "21");
    let failure = place.validate(&place.request(&["risk"], "2015-04-01")).unwrap_err();
    assert!(failure.to_string().contains("all * people with a score of \"risk\" have the outcome"), "{failure}");
    assert!(files_under(&place.path("validation")).is_empty(), "nothing is published");
}

#[test]
fn models_that_cannot_be_held_against_what_came_are_refused() {
    let mut place = Place::new();
    place.person("one", "", "");
    let (code, message) = place.refused(&place.request(&["hfrs"], "2015-04-01"));
    assert_eq!(code, 3);
    assert_eq!(
        message,
        "scores/hfrs.toml: no [outcome]: the file does not say what the model predicts, so its scores cannot be held against what came; models with one are cpm, lace, parr30, risk"
    );
    let (code, message) = place.refused(&place.request(&["risk", "cpm"], "2015-04-01"));
    assert_eq!(code, 3);
    assert!(message.contains("models \"risk\" and \"cpm\" have different outcomes"), "{message}");
    let (code, message) = place.refused(&place.request(&["rsik"], "2015-04-01"));
    assert_eq!(code, 3);
    assert!(message.contains("no model \"rsik\"; did you mean \"risk\"?"), "{message}");
}

#[test]
fn figures_of_few_people_are_hidden_and_nothing_is_written_of_them() {
    let mut place = Place::new();
    // 40 people: 12 of 20 who were admitted before come back, 4 of the others.
    for number in 0..40 {
        let id = format!("PSEUDO-{number:02}");
        place.person(&id, "", "");
        if number < 20 {
            place.stay(&id, "2015-01-10", "2015-01-11", "21");
        }
        if !(12..36).contains(&number) {
            place.stay(&id, "2015-04-10", "2015-04-14", "21");
        }
    }
    place.stay("PSEUDO-00", "2015-06-01", "2015-06-01", "11");
    // Of the second practice there are 5.
    place.register = place
        .register
        .lines()
        .enumerate()
        .map(|(row, line)| {
            let line = if row >= 36 { line.replace(",1,G82001,", ",2,G82002,") } else { line.to_owned() };
            format!("{line}\n")
        })
        .collect();
    let csv = place.validate(&place.request(&["risk"], "2015-04-01")).unwrap_or_else(|failure| panic!("{failure}"));
    let line = |what: &str| {
        let found = csv.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in\n{csv}"));
        found.strip_prefix("risk,1,2015-04-01,30,").unwrap().to_owned()
    };
    assert_eq!(line(",counts,,people,"), "all,everybody,counts,,people,40,,,");
    assert_eq!(line(",counts,,people with the outcome,"), "all,everybody,counts,,people with the outcome,15,,,");
    // 12 x 16 pairs won, 12 x 8 and 4 x 16 tied, of 16 x 24.
    assert!(line(",discrimination,,AUC,").starts_with("all,everybody,discrimination,,AUC,0.708333,"));
    assert_eq!(line("sex,female,groups,,people,"), "sex,female,groups,,people,*,*,*,1 to 7 people are behind it");
    assert_eq!(line("sex,female,groups,,AUC,"), "sex,female,groups,,AUC,*,*,*,1 to 7 people are behind it");
    // Of the men 12 x 15 pairs won and 12 x 8 tied, of 12 x 23.
    assert!(line("sex,male,groups,,AUC,").starts_with("sex,male,groups,,AUC,0.826087,"));
    assert!(line(",list,top 250,flagged,").ends_with(",,,,fewer people than that have a score"));
    // The 2 at the top share 4 bed days; 20 were admitted before, so who they are goes by pseudonym.
    assert!(line(",list,top 5 %,bed days a flagged person,").contains(",*,*,*,"), "2 people are flagged");
    for (name, bytes) in files_under(&place.path("validation")) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("PSEUDO"), "{name}");
    }
    let card = std::fs::read_to_string(place.path("validation/risk/2015-04-01/model_card.md")).unwrap();
    assert!(card.contains("| sex | female | * |") && card.contains("in the 30 days from the as-of date on"), "{card}");
    // Of two people a twentieth, all hidden, no plot is made.
    assert!(!place.path("validation/risk/2015-04-01/plots/calibration.svg").exists());
    for plot in ["roc", "groups"] {
        let svg = std::fs::read_to_string(place.path(&format!("validation/risk/2015-04-01/plots/{plot}.svg"))).unwrap();
        assert!(svg.starts_with("<svg"), "{plot}");
    }
}
