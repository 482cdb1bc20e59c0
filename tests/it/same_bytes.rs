//! Same inputs, same bytes: threads, the order of rows and the order of files decide nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};

use crate::common::{copy_folder, files_under, run_settings, write};

type Files = BTreeMap<String, Vec<u8>>;

/// A small county as CSV files, and settings that run the whole job on it.
fn county(folder: &Path) -> PathBuf {
    let mut request = Request::new(1_500, 7, folder.join("data"));
    request.rows_per_person = 30;
    request.format = Format::Csv;
    generate(&request, &|_, _| ()).unwrap();
    write(&folder.join("riskstrat.toml"), demo::settings("data", "2016-04-01"))
}

/// Runs on so many threads and returns what was published.
fn published(settings: &Path, threads: usize) -> Files {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let report = pool.install(|| run_settings(settings, None)).unwrap_or_else(|failure| panic!("{failure}"));
    let files = files_under(&report.published[0]);
    assert!(files.keys().any(|name| name.starts_with("lists/")), "there are lists: {:?}", files.keys());
    // What was published before is an input too: the gates compare with it, and the manifest says so.
    fs::remove_dir_all(&report.published[0]).unwrap();
    files
}

/// Asserts that two runs published the same bytes, but for timings.
///
/// Where the inputs have their rows in other places, the manifest may differ in the inputs' hashes and the id that
/// follows from them, and the listing of rejects in the places that it names.
fn check_same(one: &Files, two: &Files, same_inputs: bool) {
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in one.iter().filter(|(name, _)| *name != "timings.json") {
        if same_inputs {
            assert!(*bytes == two[name], "{name} differs");
        } else if name == "manifest.json" {
            assert!(*bytes != two[name], "inputs with other bytes have other hashes");
            check_same_manifest(bytes, &two[name]);
        } else if name.starts_with("rejects/") {
            assert_eq!(without_places(bytes), without_places(&two[name]), "{name}");
        } else {
            assert!(*bytes == two[name], "{name} differs");
        }
    }
}

fn check_same_manifest(one: &[u8], two: &[u8]) {
    let (one, two) = (without_inputs(one), without_inputs(two));
    for (key, value) in &one {
        assert!(two.get(key) == Some(value), "{key} of the manifest differs");
    }
    assert_eq!(one.len(), two.len());
}

/// A manifest without what follows from the places of rows.
fn without_inputs(manifest: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    let mut manifest: serde_json::Map<_, _> = serde_json::from_slice(manifest).unwrap();
    manifest.remove("run_id").unwrap();
    for input in manifest["inputs"].as_array_mut().unwrap() {
        let input = input.as_object_mut().unwrap();
        input.remove("sha256").unwrap();
        input.remove("bytes").unwrap();
    }
    manifest["outputs"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("rejects/"));
    manifest
}

/// The column and rule of every reject, in order.
fn without_places(rejects: &[u8]) -> Vec<String> {
    let text = str::from_utf8(rejects).unwrap();
    let mut rules: Vec<String> = text.lines().map(|line| line.splitn(3, ',').skip(2).collect()).collect();
    rules.sort();
    rules
}

/// Puts the rows of every CSV below its header into another order.
fn shuffle_rows(folder: &Path, rng: &mut ChaCha8Rng) {
    for (name, bytes) in files_under(folder).into_iter().filter(|(name, _)| name.ends_with(".csv")) {
        let text = String::from_utf8(bytes).unwrap();
        let is_whole = |row: &str| row.matches('"').count().is_multiple_of(2);
        assert!(text.lines().all(is_whole), "no cell of {name} holds a line end");
        let (header, body) = text.split_once('\n').unwrap();
        let mut rows: Vec<&str> = body.lines().collect();
        rows.shuffle(rng);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(folder.join(&name), format!("{header}\n{lines}")).unwrap();
    }
}

/// Lets the files of each feed that has several change names, so that they are read in the opposite order.
fn swap_files(folder: &Path) -> usize {
    let mut feeds: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for (name, bytes) in files_under(folder).into_iter().filter(|(name, _)| name.ends_with(".csv")) {
        let feed = name.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic() || letter == '.');
        let feed = feed.trim_end_matches(".csv").trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
        feeds.entry(feed.to_owned()).or_default().push((name, bytes));
    }
    let several = feeds.values().filter(|files| files.len() > 1);
    for files in several.clone() {
        for ((name, _), (_, bytes)) in files.iter().zip(files.iter().rev()) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    several.count()
}

#[test]
fn threads_row_order_and_file_order_decide_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    let settings = county(&first);
    let data = first.join("data");
    let shuffled = folder.path().join("shuffled");
    copy_folder(&data, &shuffled.join("data"));
    let other = write(&shuffled.join("riskstrat.toml"), fs::read(&settings).unwrap());

    let expected = published(&settings, 1);
    check_same(&expected, &published(&settings, 4), true);
    let mut rng = ChaCha8Rng::seed_from_u64(20160401);
    shuffle_rows(&shuffled.join("data"), &mut rng);
    check_same(&expected, &published(&other, 1), false);
    check_same(&expected, &published(&other, 4), false);
    assert!(swap_files(&shuffled.join("data")) >= 3, "several feeds have several files");
    check_same(&expected, &published(&other, 4), false);
}
