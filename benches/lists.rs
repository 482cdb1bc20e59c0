//! The list stage alone, at the size of a whole area: 1.8 million people, 195 practices, six shipped cohorts.
//!
//! Columns are made up, so that no file is read and nothing is scored: what is measured are the rules (Polars), order
//! and capacity, and the files as they are written, CSV and workbook. `cargo bench --bench lists [PEOPLE]` prints a line
//! a cohort; what the stage needs beside this (parts of scores) is in the end-to-end bench.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::borrow::Cow;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use riskstrat::cohort::Cohort;
use riskstrat::cohort::columns::{Published, PublishedColumn, Values};
use riskstrat::cohort::place::{Known, place};
use riskstrat::day::Day;
use riskstrat::model::library::Library;
use riskstrat::output::OutputFile;
use riskstrat::output::lists::{Cells, ListColumn, Shown, Table, file_name, parts};
use riskstrat::output::publish::{Folder, publish};
use riskstrat::output::workbook::workbook;
use riskstrat::person::WordColumn;

const PEOPLE: usize = 1_800_000;
const PRACTICES: usize = 195;
const COHORTS: [&str; 6] = [
    "case_management",
    "top_2_percent",
    "care_home",
    "multiple_conditions",
    "find_hypertension",
    "housebound_or_end_of_life",
];
const REASONS: [&str; 4] = [
    "2 or more emergency admissions, 1 to 3 months ago; COPD; aged 85 and over",
    "Heart failure; 10 or more different medicines in a month; 3 outpatient visits",
    "An A&E visit in the last month; diabetes; depression",
    "Aged 75 to 79; coronary heart disease; a high cost of prescribing",
];

fn main() {
    let people = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(PEOPLE);
    let library = Library::load(None).expect("the shipped files are there").expect("the shipped files are in order");
    let published = made_up(people);
    let folder = tempfile::tempdir().expect("a folder to write to");
    let whole = Instant::now();
    let out = Folder::open(folder.path()).expect("a folder to publish in");
    let stage = out.stage("2016-04-01").expect("a staging folder");
    for id in COHORTS {
        let start = Instant::now();
        let file = &library.cohorts[id];
        let cohort = Cohort::parse(&file.file, &file.text).expect("a shipped cohort is in order");
        let (rows, files) = write(&cohort, &published);
        stage.write(&files).expect("the files are written");
        let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        let seconds = start.elapsed().as_secs_f64();
        println!("{id:<28} {rows:>8} rows {:>5} files {:>6.1} MB {seconds:>6.2} s", files.len(), bytes as f64 / 1e6);
    }
    publish(&out, vec![stage]).expect("the files are published");
    let seconds = whole.elapsed().as_secs_f64();
    println!(
        "{people} people, {PRACTICES} practices, {} cohorts: {seconds:.1} s on {} threads",
        COHORTS.len(),
        rayon::current_num_threads()
    );
}

fn write(cohort: &Cohort, published: &Published) -> (usize, Vec<OutputFile>) {
    let table = published.table(|name| cohort.mentions(name)).expect("the columns are laid out");
    let judged = cohort.judge(&table).expect("the rule runs");
    let placed = place(cohort, published, judged, &Known::default()).expect("everybody has a place");
    let mut columns = vec![ListColumn::new("order", Cells::Order)];
    let shown =
        ["person", "cpm", "cpm_band", "cpm_fidelity"].into_iter().chain(cohort.columns.iter().map(String::as_str));
    columns.extend(
        shown.filter_map(|name| Some(ListColumn::new(name, Cells::Values(published.of_rows(name, &placed.list)?)))),
    );
    let reasons = placed.list.iter().map(|row| Cow::from(REASONS[*row as usize % REASONS.len()])).collect();
    columns.push(ListColumn::new("reasons", Cells::Texts(reasons)));
    let table = Table { columns };
    let as_of = Day::parse(b"2016-04-01").expect("a day");
    let read_me = vec![("List".to_owned(), cohort.title.clone()), ("Source".to_owned(), cohort.source.clone())];
    let files = parts(published, "practice", &placed.list)
        .par_iter()
        .flat_map_iter(|part| {
            let path = |kind: &str| format!("lists/{}/{}.{kind}", cohort.id, file_name(&part.name));
            let csv = table.csv(part, Shown::Practice, false).expect("a list is CSV");
            let book = workbook(&table, part, Shown::Practice, as_of, &read_me).expect("a list is a workbook");
            [OutputFile::new(path("csv"), csv), OutputFile::new(path("xlsx"), book)]
        })
        .collect();
    (placed.list.len(), files)
}

/// Made-up people: a twentieth at high risk, ages and conditions as they may be.
fn made_up(people: usize) -> Published<'static> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut columns = Vec::new();
    let mut add = |name: &str, values: Values| columns.push(PublishedColumn::given(name, values));
    add("person", Values::Text((0..people).map(|person| Some(format!("{person:032x}"))).collect()));
    let practices: Vec<String> = (0..PRACTICES).map(|practice| format!("G82{practice:03}")).collect();
    let of: Vec<usize> = (0..people).map(|_| rng.random_range(0..PRACTICES)).collect();
    add("practice", Values::Words(WordColumn::new(of.iter().map(|&practice| Some(practices[practice].as_str())))));
    let risks: Vec<f64> = (0..people).map(|_| rng.random_range(0.0..1.0f64).powi(6)).collect();
    let band = |risk: &f64| match *risk {
        risk if risk > 0.97 => "very_high",
        risk if risk > 0.73 => "high",
        risk if risk > 0.26 => "moderate",
        _ => "low",
    };
    add("cpm_band", Values::Words(WordColumn::new(risks.iter().map(|risk| Some(band(risk))))));
    add("cpm_fidelity", Values::Words(WordColumn::new((0..people).map(|_| Some("A")))));
    add("sex", Values::Words(WordColumn::new((0..people).map(|person| Some(["female", "male"][person % 2])))));
    add("cpm_linear_predictor", Values::Whole(risks.iter().map(|risk| Some((risk * 1e9) as i64)).collect()));
    add("cpm", Values::Decimal(risks.into_iter().map(Some).collect()));
    for (name, most, share) in [
        ("age_years", 100, 1.0),
        ("cpm_rank", 1_800_000, 1.0),
        ("ltc_count_8", 9, 0.4),
        ("ltc_count_18", 12, 0.15),
        ("emergency_admissions_12m", 5, 0.1),
        ("falls_admissions_12m", 3, 0.02),
        ("care_home", 2, 0.01),
        ("housebound", 2, 0.02),
        ("palliative_register", 2, 0.01),
        ("social_care_service", 2, 0.04),
        ("medicines_3m", 20, 0.5),
        ("outpatient_visits_12m", 12, 0.4),
        ("register_hypertension", 2, 0.3),
        ("latest_systolic", 200, 0.6),
        ("latest_diastolic", 120, 0.6),
    ] {
        let value = |_| Some(if rng.random_bool(share) { rng.random_range(0..most) } else { 0 });
        add(name, Values::Whole((0..people).map(value).collect()));
    }
    Published { people: (0..people as u32).collect(), columns }
}
