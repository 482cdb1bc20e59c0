//! Hand-worked cases: every folder of `tests/cases/` is one, and adding one needs no Rust.
//!
//! - `case.toml` opens with a comment that says what is shown and how the answer was worked out. Below it stand the
//!   first keys of a settings file: `as_of` on one line, `models`, where needed `cohorts` and `[limits]`. The rest of the
//!   settings follows from the files that are there. Of several days each is run alone.
//! - `register.csv`, `opt_outs.csv`, `practices.csv` and sources such as `hes_apc_2015.csv` are named for their layout
//!   and hold only the columns that matter; the runner adds the layout's other columns, empty.
//!   A code dictionary is `dictionary_<name>.csv`.
//! - `models/` is laid over the shipped models. `edits.csv` makes files of shipped ones: `shipped` with `from` replaced by
//!   `to` is `becomes`.
//! - `expected.csv` has `person,column,value`, with `as_of` in front where there are several days. A decimal is compared
//!   to as many places as are typed; `none` is a count that saw nothing: 0, or missing where the feed covers too
//!   little. The column is one of `scores.parquet`, or `not scored: <model>` and the value the
//!   reason, or `in no output`. Without a person the column is `<source>: rows`, `<source>: used` or
//!   `<source>: <rule>`, and the value how many rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use riskstrat::ingest::layout::{Builds, LayoutFile};
use riskstrat::model::library::Library;

use crate::common::{Cell, copy_folder, files_under, parquet_rows, run_settings, write};

#[test]
fn every_case_comes_out_as_it_was_worked_out_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "there are cases");
    let library = Library::load(None).unwrap().unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut faults = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        faults.extend(check_case(&case, &library).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What does not come out as expected.
fn check_case(case: &Path, library: &Library) -> Vec<String> {
    let work = tempfile::tempdir().unwrap();
    let head = fs::read_to_string(case.join("case.toml")).unwrap();
    if !head.starts_with("# ") {
        return vec!["case.toml begins with a comment that says what is shown".to_owned()];
    }
    let models = work.path().join("models");
    fs::create_dir_all(&models).unwrap();
    copy_folder(&case.join("models"), &models);
    edit_shipped(case, &models);
    let mut layouts = library.layouts.clone();
    let own =
        Library::load(Some(&models)).unwrap().unwrap_or_else(|problems| panic!("{}: {problems:?}", case.display()));
    layouts.extend(own.layouts);
    let layouts: BTreeMap<String, LayoutFile> =
        layouts.into_iter().map(|(id, text)| (id, LayoutFile::parse(&text.file, &text.text).unwrap())).collect();
    let settings = lay_out(case, &head, &layouts, work.path());
    for day in settings.lines().find_map(|line| line.strip_prefix("as_of = ")).unwrap_or("").split(", ") {
        let day = day.trim_matches(['[', ']']);
        let of_day = settings.lines().map(|line| match line.starts_with("as_of = ") {
            true => format!("as_of = {day}\n"),
            false => format!("{line}\n"),
        });
        let path = write(&work.path().join("riskstrat.toml"), of_day.collect::<String>());
        if let Err(failure) = run_settings(&path, Some(&models)) {
            return vec![format!("as of {day}: exit code {}: {failure}", failure.exit_code())];
        }
    }
    compare(case, &work.path().join("out"))
}

/// Makes files of shipped ones.
fn edit_shipped(case: &Path, models: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for edit in records(&case.join("edits.csv")) {
        let becomes = models.join(&edit["becomes"]);
        let text = fs::read_to_string(if becomes.exists() { becomes.clone() } else { shipped.join(&edit["shipped"]) });
        let text = text.unwrap();
        assert!(text.contains(&edit["from"]), "{} has no `{}` to replace", edit["shipped"], edit["from"]);
        write(&becomes, text.replace(&edit["from"], &edit["to"]));
    }
}

/// Writes the case's files with all columns of their layouts, and returns the settings that name them.
fn lay_out(case: &Path, head: &str, layouts: &BTreeMap<String, LayoutFile>, work: &Path) -> String {
    let mut inputs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, bytes) in files_under(case) {
        let is_table = name.ends_with(".csv") && !name.contains('/');
        if !is_table || name.starts_with("dictionary_") || ["expected.csv", "edits.csv"].contains(&name.as_str()) {
            continue;
        }
        // The longest id, where one begins with another.
        let layout = layouts.keys().filter(|id| name.starts_with(id.as_str())).max_by_key(|id| id.len());
        let layout = layout.unwrap_or_else(|| panic!("{}: {name} is named for no layout", case.display()));
        let bytes = widened(&bytes, &columns_of(&layouts[layout]));
        write(&work.join(&name), delimited(&bytes, &layouts[layout]));
        inputs.entry(layout).or_default().push(name);
    }
    let mut settings = format!("format = 1\nout = \"out\"\n{head}\n");
    let mut parts = String::new();
    if !inputs.contains_key("opt_outs") {
        settings.push_str("[opt_outs]\napplied_upstream = \"nobody of this case opted out\"\n");
    }
    for (layout, files) in inputs.iter().filter(|(layout, _)| is_part(&layouts[**layout])) {
        parts.push_str(&format!("[[register.with]]\nlayout = \"{layout}\"\nfiles = {files:?}\n"));
    }
    for (layout, files) in inputs.into_iter().filter(|(layout, _)| !is_part(&layouts[*layout])) {
        let table = match layouts[layout].layout.builds {
            Builds::Register => "[register]".to_owned(),
            Builds::OptOuts => "[opt_outs]".to_owned(),
            Builds::Practices => "[practices]".to_owned(),
            _ => format!("[[source]]\nname = \"{layout}\""),
        };
        settings.push_str(&format!("{table}\nlayout = \"{layout}\"\nfiles = {files:?}\n"));
        let mut dictionaries = Vec::new();
        for dictionary in &layouts[layout].dictionaries {
            let file = format!("dictionary_{}.csv", dictionary.name);
            if case.join(&file).exists() {
                let bytes = fs::read(case.join(&file)).unwrap();
                write(&work.join(&file), delimited(&bytes, &layouts[layout]));
                dictionaries.push(format!("{} = [\"{file}\"]", dictionary.name));
            }
        }
        if !dictionaries.is_empty() {
            settings.push_str(&format!("dictionaries = {{ {} }}\n", dictionaries.join(", ")));
        }
    }
    settings + &parts
}

/// Whether a layout's files add to a register.
fn is_part(layout: &LayoutFile) -> bool {
    matches!(layout.layout.builds, Builds::Registrations | Builds::Deaths)
}

/// Every column that a layout names.
pub fn columns_of(layout: &LayoutFile) -> BTreeSet<&str> {
    let mut columns = BTreeSet::from([layout.person.column.as_str()]);
    columns.extend([&layout.day, &layout.recorded, &layout.end].into_iter().flatten().map(|day| day.column.as_str()));
    columns.extend(layout.amount.iter().map(|amount| amount.column.as_str()));
    let weekly = layout.amount.iter().filter_map(|amount| amount.weekly.as_ref());
    columns.extend(weekly.flat_map(|weekly| [weekly.frequency.as_str(), weekly.planned.as_str()]));
    columns.extend(layout.fields.iter().flat_map(|field| field.columns.iter().map(String::as_str)));
    if let Some(duplicates) = &layout.duplicates {
        columns.extend(duplicates.columns.iter().map(String::as_str));
        columns.extend(duplicates.near.iter().map(|near| near.column.as_str()));
        columns.extend(duplicates.newest.iter().map(|day| day.column.as_str()));
    }
    if let Some(registration) = &layout.registration {
        columns.insert(&registration.start.column);
        columns.extend(registration.end.iter().map(|end| end.column.as_str()));
        columns.extend(registration.practice.as_deref());
    }
    if let Some(register) = &layout.register {
        columns.extend([register.sex.as_str(), register.practice.as_str()]);
        let days = [&register.birth_month, &register.registration_start, &register.registration_end, &register.death];
        columns.extend(days.into_iter().flatten().map(|day| day.column.as_str()));
        columns.extend(register.birth.iter().flat_map(|birth| [birth.year.as_str(), birth.month.as_str()]));
        columns.extend(register.area.as_deref());
        columns.extend(register.words.values().chain(register.numbers.values()).map(String::as_str));
    }
    if let Some(episode) = &layout.episode {
        columns.extend([&episode.order, &episode.status, &episode.key].into_iter().flatten().map(String::as_str));
        let days = [&episode.start, &episode.end, &episode.submitted].into_iter().flatten();
        let days = days.chain([&episode.admission, &episode.discharge]);
        columns.extend(days.map(|day| day.column.as_str()));
    }
    columns
}

/// A CSV with the columns that it lacks, empty.
pub fn widened(bytes: &[u8], columns: &BTreeSet<&str>) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(bytes);
    let mut header = reader.headers().unwrap().clone();
    let given: Vec<String> = header.iter().map(str::to_owned).collect();
    let lacking: Vec<&str> = columns.iter().copied().filter(|name| !given.iter().any(|given| given == name)).collect();
    header.extend(&lacking);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header).unwrap();
    for record in reader.records() {
        let mut record = record.unwrap();
        record.extend(lacking.iter().map(|_| ""));
        writer.write_record(&record).unwrap();
    }
    writer.into_inner().unwrap()
}

/// A CSV with the layout's delimiter.
fn delimited(bytes: &[u8], layout: &LayoutFile) -> Vec<u8> {
    let delimiter = layout.csv.delimiter.as_bytes()[0];
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    reader.records().for_each(|record| writer.write_record(&record.unwrap()).unwrap());
    writer.into_inner().unwrap()
}

/// The rows of a CSV by column name; no file has none.
fn records(path: &Path) -> Vec<BTreeMap<String, String>> {
    let Ok(mut reader) = csv::Reader::from_path(path) else { return Vec::new() };
    reader.deserialize().map(|record| record.unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// What one as-of day published, laid out for comparing.
struct Published {
    scores: BTreeMap<String, BTreeMap<String, Cell>>,
    not_scored: BTreeMap<(String, String), String>,
    quality: serde_json::Value,
    /// Every file, Parquet as its text.
    texts: Vec<String>,
}

impl Published {
    fn read(folder: &Path) -> Published {
        let text = |row: &BTreeMap<String, Cell>, column: &str| match &row[column] {
            Cell::Text(text) => text.clone(),
            other => panic!("{column} is {other:?}"),
        };
        let scores = parquet_rows(&folder.join("scores.parquet"));
        let not_scored = parquet_rows(&folder.join("not_scored.parquet"));
        let mut texts = vec![format!("{scores:?}"), format!("{not_scored:?}")];
        texts.extend(files_under(folder).values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        Published {
            scores: scores.into_iter().map(|row| (text(&row, "person"), row)).collect(),
            not_scored: not_scored
                .into_iter()
                .map(|row| ((text(&row, "person"), text(&row, "model")), text(&row, "reason")))
                .collect(),
            quality: serde_json::from_slice(&fs::read(folder.join("quality.json")).unwrap()).unwrap(),
            texts,
        }
    }

    /// What stands where the expected row points; the value is given for its number of decimals.
    fn found(&self, person: &str, column: &str, value: &str) -> String {
        if person.is_empty() {
            return self.rows(column);
        }
        if column == "in no output" {
            let is_there = self.texts.iter().any(|text| text.to_lowercase().contains(&person.to_lowercase()));
            return if is_there { "in an output".to_owned() } else { String::new() };
        }
        if let Some(model) = column.strip_prefix("not scored: ") {
            let reason = self.not_scored.get(&(person.to_owned(), model.to_owned()));
            return reason.cloned().unwrap_or_else(|| "not in not_scored.parquet".to_owned());
        }
        let Some(row) = self.scores.get(person) else { return "not in scores.parquet".to_owned() };
        match row.get(column) {
            None => "no such column".to_owned(),
            Some(Cell::Missing) => String::new(),
            Some(Cell::Text(text)) => text.clone(),
            Some(Cell::Whole(number)) => number.to_string(),
            Some(Cell::Decimal(number)) => {
                let places = value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                format!("{number:.places$}")
            }
        }
    }

    fn rows(&self, column: &str) -> String {
        let Some((source, what)) = column.split_once(": ") else { return "no such count".to_owned() };
        let sources = self.quality["sources"].as_array().unwrap();
        let Some(counts) = sources.iter().find(|counts| counts["source"] == source) else {
            return "no such source".to_owned();
        };
        let count = match what {
            "rows" | "used" | "rejected" => &counts[what],
            "malformed" => return counts["malformed_codes"].to_string(),
            what if what.starts_with("noted ") => &counts["noted"][&what[6..]],
            what if what.starts_with("of_another_system ") => &counts["codes_of_another_system"][&what[18..]],
            what if what.starts_with("not_in_dictionary ") => &counts["codes_not_in_dictionary"][&what[18..]],
            rule => &counts["dropped"][rule]["rows"],
        };
        count.as_u64().unwrap_or(0).to_string()
    }
}

fn compare(case: &Path, out: &Path) -> Vec<String> {
    let days: BTreeMap<String, Published> = fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|folder| (folder.file_name().unwrap().to_string_lossy().into_owned(), Published::read(&folder)))
        .collect();
    let expected = records(&case.join("expected.csv"));
    if expected.is_empty() {
        return vec!["expected.csv expects nothing".to_owned()];
    }
    let mut faults = Vec::new();
    for (number, row) in expected.iter().enumerate() {
        let published = match row.get("as_of") {
            Some(as_of) => days.get(as_of),
            None => days.values().next().filter(|_| days.len() == 1),
        };
        let place = format!("expected.csv:{}", number + 2);
        let Some(published) = published else {
            faults.push(format!("{place}: no such as_of; published are {:?}", days.keys()));
            continue;
        };
        let (person, column, value) = (&row["person"], &row["column"], &row["value"]);
        let found = published.found(person, column, value);
        let saw_nothing = value == "none" && (found.is_empty() || found == "0");
        if &found != value && !saw_nothing {
            faults.push(format!("{place}: {person} {column}: expected {value:?}, found {found:?}"));
        }
    }
    faults
}
