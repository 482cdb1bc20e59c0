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

fn generated(people: u32, seed: u64, threads: usize) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| generate(&request(people, seed, folder.path()), &|_, _| ())).unwrap();
    bytes_of(folder.path())
}

#[test]
fn one_and_four_threads_give_the_same_bytes() {
    let one = generated(2_300, 7, 1);
    let four = generated(2_300, 7, 4);
    assert!(one.keys().eq(four.keys()));
    for (name, bytes) in &one {
        assert!(four[name] == *bytes, "{name} differs");
    }
    assert!(one.contains_key("generation.json") && !one.contains_key("INCOMPLETE"));
}

#[test]
fn another_seed_gives_other_people() {
    let (one, other) = (generated(50, 1, 1), generated(50, 2, 1));
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
    let dearest = 100.0 * tally.cost_share_of_top(0.05);
    assert!((45.0..=55.0).contains(&dearest), "{dearest}");
}
