//! Bounded memory: where events go to disk, nothing else changes; a bound that cannot be kept is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use riskstrat::run::{Failure, Silent, prepare, prepare_changed, run};
use riskstrat::settings::Memory;

use crate::common::{files_under, write};

fn county(folder: &Path) -> PathBuf {
    let mut request = Request::new(1_500, 7, folder.join("data"));
    request.rows_per_person = 30;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let text = demo::settings("data", "2016-04-01");
    let as_of = "as_of = [\"2015-04-01\", \"2016-01-01\", \"2016-04-01\"]";
    write(&folder.join("riskstrat.toml"), text.replace("as_of = \"2016-04-01\"", as_of))
}

/// What a run publishes with its events in so many shards; `None` keeps them in memory.
fn published(settings: &Path, shards: Option<usize>) -> BTreeMap<String, Vec<u8>> {
    let prepared = prepare_changed(settings, None, |settings| settings.shards = shards);
    let prepared = prepared.unwrap_or_else(|failure| panic!("{failure}"));
    run(&prepared, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
    let out = settings.parent().unwrap().join("out");
    let files = files_under(&out);
    fs::remove_dir_all(&out).unwrap();
    files.into_iter().filter(|(name, _)| !name.ends_with("timings.json") && name != ".lock").collect()
}

#[test]
fn one_shard_seven_and_sixty_four_give_the_bytes_that_memory_gives() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path());
    let expected = published(&settings, None);
    assert!(expected.keys().any(|name| name.ends_with("scores.parquet")));
    for shards in [1, 7, 64] {
        let files = published(&settings, Some(shards));
        assert_eq!(files.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &files {
            assert!(*bytes == expected[name], "{name} differs with {shards} shards");
        }
    }
}

#[test]
fn a_bound_below_the_least_is_refused_with_the_least_and_the_least_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path());
    let run_within = |memory: Memory| {
        let mut prepared = prepare(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
        prepared.settings.memory = Some(memory);
        run(&prepared, &Silent)
    };
    let refused = run_within("1MiB".parse().unwrap()).unwrap_err();
    assert!(matches!(refused, Failure::Data(_)), "{refused}");
    let text = refused.to_string();
    let least = text.split("needs at least ").nth(1).and_then(|rest| rest.split(" of memory").next());
    let least: Memory = least.unwrap_or_else(|| panic!("the least is named: {text}")).parse().unwrap();
    let left: Vec<String> = files_under(&folder.path().join("out")).into_keys().collect();
    assert!(left.iter().all(|name| name == ".lock"), "nothing is left behind: {left:?}");
    run_within(least).unwrap_or_else(|failure| panic!("{failure}"));
    let below = Memory(least.0 - (1 << 20));
    assert!(run_within(below).is_err());
}

#[test]
fn what_a_stop_left_in_the_shards_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path());
    let left = write(&folder.path().join("out/.staging/shards/00003.sorted"), "left by a run that was killed");
    let expected = published(&settings, None);
    write(&left, "left by a run that was killed");
    let files = published(&settings, Some(7));
    assert!(!left.exists());
    assert_eq!(files, expected);
}

#[test]
fn memory_is_written_with_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path());
    let text = fs::read_to_string(&settings).unwrap();
    for (written, is_fine) in [("4GiB", true), ("512 MiB", true), ("4", false), ("4GB", false), ("0GiB", false)] {
        fs::write(&settings, text.replace("\nout = ", &format!("\nmemory = \"{written}\"\nout = "))).unwrap();
        let read = prepare(&settings, None).map(|_| ()).map_err(|failure| failure.to_string());
        match read {
            Ok(()) => assert!(is_fine, "{written}"),
            Err(message) => assert!(!is_fine && message.contains("is no amount of memory; write"), "{message}"),
        }
    }
}
