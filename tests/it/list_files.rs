//! Lists as files: a workbook holds what the CSV holds, an index says what was written for whom, and what is encrypted
//! can be read by its recipient alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use calamine::{Data, Reader, Xlsx};
use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::{files_under, run_settings, write};

type Files = BTreeMap<String, Vec<u8>>;

/// A small county; `lists` is what its settings say of lists.
fn county(folder: &Path, lists: &str) -> std::path::PathBuf {
    let mut request = Request::new(3_000, 17, folder.join("data"));
    request.rows_per_person = 30;
    request.follow_up_days = 31;
    request.format = Format::Csv;
    generate(&request, &|_, _| ()).unwrap();
    let text = demo::settings("data", "2016-04-01")
        .replace("cohorts = [\"case_management\"]", "cohorts = [\"case_management\", \"find_hypertension\"]");
    write(&folder.join("riskstrat.toml"), text + lists)
}

fn published(settings: &Path) -> Files {
    let report = run_settings(settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    files_under(&report.published[0])
}

fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The lines of an index, each by column name.
fn index(files: &Files) -> Vec<BTreeMap<String, String>> {
    let mut rows = csv_rows(&files["lists/index.csv"]).into_iter();
    let header = rows.next().unwrap();
    rows.map(|row| header.iter().cloned().zip(row).collect()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that a sheet holds the cells of a CSV: texts as they are, numbers as numbers.
fn check_same_cells(sheet: &calamine::Range<Data>, csv: &[Vec<String>], name: &str) {
    assert_eq!(sheet.height(), csv.len(), "{name}");
    for (row, cells) in sheet.rows().zip(csv) {
        for (place, cell) in cells.iter().enumerate() {
            match row.get(place).unwrap_or(&Data::Empty) {
                Data::Empty => assert!(cell.is_empty(), "{name}: {cell}"),
                Data::String(text) => assert_eq!(text, cell, "{name}"),
                Data::Float(number) => assert_eq!(Ok(*number), cell.parse(), "{name}"),
                other => panic!("{name}: a cell is {other:?}"),
            }
        }
    }
}

fn sheet(bytes: &[u8], name: &str) -> calamine::Range<Data> {
    Xlsx::new(Cursor::new(bytes)).unwrap().worksheet_range(name).unwrap()
}

#[test]
fn a_workbook_holds_what_the_csv_holds_and_an_index_says_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let lists = "\n[lists]\nformats = [\"csv\", \"xlsx\"]\nbyte_order_mark = true\nviews = [\"pcn_code\"]\n";
    let settings = county(folder.path(), lists);
    let files = published(&settings);
    let workbooks: Vec<&String> = files.keys().filter(|name| name.ends_with(".xlsx")).collect();
    assert!(workbooks.iter().any(|name| name.contains("/by_pcn_code/")) && workbooks.len() >= 4, "{workbooks:?}");
    let mut rows = 0;
    for name in workbooks {
        let csv = csv_rows(&files[&name.replace(".xlsx", ".csv")]);
        check_same_cells(&sheet(&files[name], "List"), &csv, name);
        rows += csv.len() - 1;
        assert_eq!(
            csv[0].contains(&"practice".to_owned()),
            name.contains("/by_"),
            "a practice's own file needs no column of it"
        );
        let about = sheet(&files[name], "Read me");
        let words: Vec<String> = about.rows().map(|row| format!("{}: {}", row[0], row[1])).collect();
        let said = |start: &str| words.iter().any(|line| line.starts_with(start));
        for start in ["As of: 2016-04-01", "Score: ", "Coverage: ", "Take care: ", "What for: "] {
            assert!(said(start), "{name} says nothing of {start} {words:?}");
        }
    }
    assert!(rows > 100, "{rows}");
    for name in
        files.keys().filter(|name| name.starts_with("lists/") && name.ends_with(".csv") && !name.ends_with("index.csv"))
    {
        assert!(files[name].starts_with("\u{feff}".as_bytes()), "{name} has a byte order mark");
    }
    let index = index(&files);
    let indexed: Vec<&str> = index.iter().map(|line| line["file"].as_str()).collect();
    let written: Vec<&str> = files
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("lists/") && !name.ends_with("index.csv"))
        .collect();
    let mut sorted = indexed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, written, "the index names every file");
    for line in &index {
        assert_eq!(line["sha256"], sha256(&files[&line["file"]]));
        if line["file"].ends_with(".csv") {
            assert_eq!(line["rows"], (csv_rows(&files[&line["file"]]).len() - 1).to_string());
        }
    }
    // A gate compares with what lies in the folder; that is not what this is about.
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    let again = published(&settings);
    let differ: Vec<&String> = files.keys().filter(|name| files[*name] != again[*name]).collect();
    assert_eq!(differ, ["timings.json"], "equal runs give equal bytes, workbooks too");
    read_back_by_libreoffice(folder.path(), &files);
}

/// Where LibreOffice is at hand, what it makes of a workbook is what the CSV says.
#[allow(clippy::print_stderr, reason = "a check that is left out is said to be")]
fn read_back_by_libreoffice(folder: &Path, files: &Files) {
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".xlsx")).unwrap();
    let workbook = write(&folder.join("office/list.xlsx"), bytes);
    let home = format!("-env:UserInstallation=file://{}", folder.join("office/home").display());
    let converted = Command::new("soffice")
        .args([&home, "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false"])
        .arg("--outdir")
        .args([folder.join("office"), workbook])
        .output();
    let Ok(output) = converted else {
        eprintln!("no soffice on this machine: what LibreOffice makes of a workbook is not looked at");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let (office, ours) = (
        csv_rows(&fs::read(folder.join("office/list.csv")).unwrap()),
        csv_rows(&files[&name.replace(".xlsx", ".csv")]),
    );
    assert_eq!(office.len(), ours.len());
    for (one, two) in office.iter().flatten().zip(ours.iter().flatten()) {
        let same_number = one.parse::<f64>().ok().zip(two.parse::<f64>().ok()).is_some_and(|(one, two)| one == two);
        assert!(one == two || same_number, "{one} is not {two}");
    }
}

/// A pair of keys for every practice and network of a county.
fn keys(settings: &Path) -> (String, BTreeMap<String, age::x25519::Identity>) {
    let practices = fs::read(settings.parent().unwrap().join("data/practices.csv")).unwrap();
    let rows = csv_rows(&practices);
    let place = |name: &str| rows[0].iter().position(|found| found == name).unwrap();
    let (mut text, mut identities) = (String::new(), BTreeMap::new());
    for (view, column) in [("practice", place("practice_code")), ("pcn_code", place("pcn_code"))] {
        text.push_str(&format!("\n[lists.recipients.{view}]\n"));
        let mut names: Vec<&str> = rows[1..].iter().map(|row| row[column].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let identity = age::x25519::Identity::generate();
            text.push_str(&format!("\"{name}\" = \"{}\"\n", identity.to_public()));
            identities.insert(name.to_owned(), identity);
        }
    }
    (text, identities)
}

#[test]
fn what_is_encrypted_can_be_read_by_its_recipient_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path(), "\n[lists]\nformats = [\"csv\", \"xlsx\"]\nviews = [\"pcn_code\"]\n");
    let plain = published(&settings);
    let (text, identities) = keys(&settings);
    let before = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, before.clone() + &text).unwrap();
    let files = published(&settings);
    let lists: Vec<&String> = files.keys().filter(|name| name.starts_with("lists/")).collect();
    assert!(lists.iter().all(|name| name.ends_with(".age") || name.ends_with("index.csv")), "{lists:?}");
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert!(manifest["outputs"].as_object().unwrap().keys().all(|name| !name.ends_with(".age")));
    let mut read = 0;
    for line in index(&files) {
        let identity = &identities[&line["name"]];
        assert_eq!(line["encrypted_to"], identity.to_public().to_string());
        let inside = age::decrypt(identity, &files[&line["file"]]).unwrap();
        assert_eq!(line["sha256"], sha256(&inside), "the index has the hash of what is inside");
        assert!(inside == plain[line["file"].trim_end_matches(".age")]);
        let other = identities.iter().find(|(name, _)| **name != line["name"]).unwrap().1;
        assert!(age::decrypt(other, &files[&line["file"]]).is_err(), "nobody else can read it");
        read += 1;
    }
    assert_eq!(read, lists.len() - 1);

    // A practice without a key, and keys that are none, stop the run before a list is made.
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    let refused = |text: &str| {
        fs::write(&settings, text).unwrap();
        let failure = run_settings(&settings, None).unwrap_err();
        let written = files_under(&folder.path().join("out")).into_keys().filter(|name| name != ".lock").count();
        assert_eq!((failure.exit_code(), written), (3, 0));
        failure.to_string()
    };
    let practice = index(&files)[0]["name"].clone();
    let without: String = (before.clone() + &text)
        .lines()
        .filter(|line| !line.starts_with(&format!("\"{practice}\"")))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(refused(&without), format!("riskstrat.toml: lists.recipients.practice: no key for {practice}"));
    let key = identities[&practice].to_public().to_string();
    let bad = (before.clone() + &text).replace(&key, "age1xyz");
    let expected = format!(
        "riskstrat.toml: lists.recipients.practice: \"{practice}\": not a public key of age; one begins with age1"
    );
    assert_eq!(refused(&bad), expected);
    let secret = (before.clone() + &text).replace(&key, "AGE-SECRET-KEY-1QQQQ");
    assert!(refused(&secret).contains("a secret key has no place here") && !refused(&secret).contains("QQQQ"));
    let half = text.split("[lists.recipients.pcn_code]").next().unwrap();
    assert!(refused(&(before.clone() + half)).contains("lists.recipients.pcn_code: has no keys"));
    let view = before.replace("views = [\"pcn_code\"]", "views = [\"pcn\"]");
    assert!(
        refused(&view).contains("lists.views: no column \"pcn\" of the practices; those are practice_name, pcn_code,")
    );
}
