//! The folder as a whole: same bytes, refusals, and what must be found in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

fn request(people: u32, seed: u64, out: &Path) -> Request {
    Request { rows_per_person: 60, ..Request::new(people, seed, out.to_owned()) }
}

fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in [folder.to_owned(), folder.join("truth")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn generated(people: u32, seed: u64, threads: usize, defects: Defects, format: Format) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let request = Request { defects, format, ..request(people, seed, folder.path()) };
    pool.install(|| generate(&request, &|_, _| ())).unwrap();
    bytes_of(folder.path())
}

#[test]
fn one_and_four_threads_give_the_same_bytes() {
    let one = generated(2_300, 7, 1, Defects::Real, Format::Native);
    let four = generated(2_300, 7, 4, Defects::Real, Format::Native);
    assert!(one.keys().eq(four.keys()));
    for (name, bytes) in &one {
        assert!(four[name] == *bytes, "{name} differs");
    }
    assert!(one.contains_key("generation.json") && !one.contains_key("INCOMPLETE"));
}

#[test]
fn another_seed_gives_other_people() {
    let (one, other) =
        (generated(50, 1, 1, Defects::None, Format::Native), generated(50, 2, 1, Defects::None, Format::Native));
    assert_ne!(one["register.csv"], other["register.csv"]);
}

#[test]
fn bad_requests_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = generate(&request(0, 1, folder.path()), &|_, _| ()).unwrap_err();
    assert_eq!(nobody.to_string(), "people must be at least 1");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("mine.csv"), "kept").unwrap();
    let full = generate(&request(10, 1, folder.path()), &|_, _| ()).unwrap_err();
    assert!(full.to_string().ends_with("is not empty: name a new or empty folder"), "{full}");
    let blocked = generate(&request(10, 1, &folder.path().join("mine.csv")), &|_, _| ()).unwrap_err();
    assert!(blocked.to_string().ends_with("is not a folder"), "{blocked}");
}

#[test]
fn counts_are_those_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let written = generate(&request(1_200, 3, folder.path()), &|_, _| ()).unwrap();
    let register = fs::read_to_string(folder.path().join("register.csv")).unwrap();
    let counted = written.files.iter().find(|(path, _)| path.ends_with("register.csv")).unwrap().1;
    assert_eq!(register.lines().count() as u64, counted + 1);
    assert!(counted >= 1_200);
    assert_eq!(written.rows, written.files.iter().map(|(_, rows)| rows).sum::<u64>());
}

/// Cells of a file without quotes or line feeds in them.
fn cells(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn planted_defects_stand_where_the_truth_says() {
    let files = generated(3_000, 5, 2, Defects::Hostile, Format::Csv);
    let tables: BTreeMap<&str, Vec<Vec<String>>> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".csv"))
        .map(|(name, bytes)| (name.as_str(), cells(bytes)))
        .collect();
    let registered: std::collections::BTreeSet<&str> =
        tables["register.csv"][1..].iter().map(|row| row[0].as_str()).collect();
    let mut seen = BTreeMap::new();
    for planted in &tables["defect_rows.csv"][1..] {
        let [kind, file, row, column] = [0, 1, 2, 3].map(|index| planted[index].as_str());
        let table = &tables[file];
        let at = row.parse::<usize>().unwrap() - 1;
        let cell = table[at][table[0].iter().position(|name| name == column).unwrap()].as_str();
        let found = match kind {
            "missing pseudonym" => cell.is_empty(),
            "orphan: not on the register" => !registered.contains(cell),
            "null date" => ["1800-01-01", "1801-01-01", "1600-01-01", "1582-10-15"].contains(&cell),
            "invalid date" => Day::parse(cell.as_bytes()).is_none(),
            "registration floor" => cell == "1900-01-01",
            "lower case code" => cell.bytes().any(|byte| byte.is_ascii_lowercase()),
            "dotted code" => cell.as_bytes()[3] == b'.',
            "duplicate row" => table[at] == table[at + 1],
            "episode split by the year end" => cell == "1",
            _ => true,
        };
        assert!(found, "{kind} in {file}, row {row}: {cell:?}");
        *seen.entry((kind, file)).or_insert(0u64) += 1;
    }
    for counted in tables["defects.csv"][1..].iter().filter(|row| row[3] == "present") {
        assert_eq!(seen[&(counted[0].as_str(), counted[1].as_str())].to_string(), counted[2]);
    }
    let kinds: std::collections::BTreeSet<&str> = seen.keys().map(|(kind, _)| *kind).collect();
    assert!(kinds.len() >= 18, "{kinds:?}");
}

#[test]
fn without_defects_the_ledger_is_empty() {
    let files = generated(400, 5, 1, Defects::None, Format::Parquet);
    assert_eq!(cells(&files["defects.csv"]).len(), 1);
    assert_eq!(cells(&files["defect_rows.csv"]).len(), 1);
    assert!(files.contains_key("csds_contacts_1516.parquet") && files.contains_key("synth-report.md"));
}

/// One population for all published figures: no files, and few rows that mean nothing.
#[test]
fn what_is_made_lies_near_what_is_published() {
    let request = Request { rows_per_person: 1, ..Request::new(100_000, 7, "unused".into()) };
    let world = World::new(&request);
    let chunks = request.people.div_ceil(CHUNK);
    let tallies = (0..chunks).into_par_iter().map(|chunk| make_chunk(&world, chunk).1.tally);
    let tally = tallies.reduce(
        || world.new_tally(),
        |mut sum, part| {
            sum.add(&part);
            sum
        },
    );
    let targets = targets::targets(&world, &tally);
    let promised = targets.iter().filter(|target| target.within.is_some()).count();
    assert!(promised > 130, "{promised} figures are promised");
    let missed: Vec<String> = targets
        .iter()
        .filter(|target| !target.holds())
        .map(|target| format!("{}: {:.4} for {:.4}", target.what, target.made, target.published.unwrap_or(0.0)))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    // The share of cost is the one figure with a range: between 45 and 55 in 100.
    let dearest = 100.0 * tally.costs.share_of_top(0.05);
    assert!((45.0..=55.0).contains(&dearest), "{dearest}");
}
