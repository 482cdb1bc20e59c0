//! A shard of people scored from Arrow batches, with no file on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray};
use riskstrat::run::{Dates, Prepared, load_batches, prepare_for_batches, scores_batch};

const SETTINGS: &str = r#"
format = 1
as_of = "2016-04-01"
out = "nowhere"
models = ["charlson"]

[register]
layout = "register"
files = []

[opt_outs]
applied_upstream = "the caller, before the shard was made"

[[source]]
name = "admissions"
layout = "hes_apc"
files = []
"#;

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(values.iter().map(|value| (!value.is_empty()).then_some(*value)).collect::<StringArray>())
}

fn days(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<Date32Array>())
}

fn register() -> RecordBatch {
    let none = days(&[None, None]);
    RecordBatch::try_from_iter(vec![
        ("person_id", texts(&["9f02d4a17c", "1b77aa0e35"])),
        ("birth_year_month", texts(&["1950-04", "1940-01"])),
        ("sex", texts(&["1", "2"])),
        ("practice_code", texts(&["G82001", "G82001"])),
        ("registration_start", days(&[Some(10_000), Some(10_000)])),
        ("registration_end", none.clone()),
        ("death_date", none),
        ("lsoa11", texts(&["E01024178", "E01024178"])),
        ("ethnic_category", texts(&["A", "A"])),
        ("imd_decile", texts(&["4", "4"])),
        ("imd_score", Arc::new(Float64Array::from(vec![20.0, 20.0]))),
    ])
    .unwrap()
}

/// One spell of the first person: heart failure (I50, weight 1 in the original index) and dementia (F00, weight 1).
fn admissions(prepared: &Prepared, columns: &[(&str, &str)], without: &str) -> RecordBatch {
    let day = Some(16_800);
    let mut of = BTreeMap::from([
        ("ADMIDATE", days(&[day])),
        ("EPISTART", days(&[day])),
        ("EPIEND", days(&[day])),
        ("DISDATE", days(&[day])),
        ("SUBDATE", days(&[day])),
    ]);
    of.extend(columns.iter().map(|(name, value)| (*name, texts(&[value]))));
    let wanted = prepared.wanted(&prepared.sources[0], &prepared.plan()).unwrap();
    for (name, _) in &wanted {
        of.entry(name).or_insert_with(|| texts(&[""]));
    }
    of.remove(without);
    RecordBatch::try_from_iter_with_nullable(of.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

const EPISODE: [(&str, &str); 13] = [
    ("ENCRYPTED_HESID", "9f02d4a17c"),
    ("EPIORDER", "1"),
    ("EPISTAT", "3"),
    ("EPIKEY", "77"),
    ("DISMETH", "1"),
    ("DISDEST", "19"),
    ("ADMIMETH", "21"),
    ("ADMISORC", "19"),
    ("CLASSPAT", "1"),
    ("PROCODE", "RVV"),
    ("DIAG_01", "I500"),
    ("DIAG_02", "F009"),
    ("MAINSPEF", "300"),
];

#[test]
fn a_shard_is_scored_from_batches_and_comes_back_as_arrow() {
    let prepared = prepare_for_batches(SETTINGS, None).unwrap_or_else(|failure| panic!("{failure}"));
    let sources = BTreeMap::from([("admissions".to_owned(), vec![admissions(&prepared, &EPISODE, "")])]);
    let loaded = load_batches(&prepared, &[register()], &sources).unwrap();
    assert_eq!(loaded.linked.counts[0].used, 1);
    let scored = Dates::new(&prepared, &loaded, &prepared.settings.as_of.0, 1).unwrap().score(0, &|_| ()).unwrap();
    let batch = scores_batch(&prepared, &loaded, &scored).unwrap();
    let people = batch.column_by_name("person").unwrap().as_string::<i32>();
    assert_eq!((people.value(0), people.value(1)), ("1b77aa0e35", "9f02d4a17c"));
    let points = batch.column_by_name("charlson_linear_predictor").unwrap().as_primitive::<Int64Type>();
    let whole = |row: usize| points.value(row) / 1_000_000_000;
    // Quan 2005, original weights: heart failure 1 and dementia 1; nothing of the other person.
    assert_eq!((whole(0), whole(1)), (0, 2));
    let ranks = batch.column_by_name("charlson_rank").unwrap().as_primitive::<Int64Type>();
    assert_eq!((ranks.value(0), ranks.value(1)), (2, 1));
}

#[test]
fn a_batch_that_lacks_a_column_and_a_source_that_nobody_knows_are_named() {
    let prepared = prepare_for_batches(SETTINGS, None).unwrap_or_else(|failure| panic!("{failure}"));
    let sources = BTreeMap::from([("admissions".to_owned(), vec![admissions(&prepared, &EPISODE, "ENCRYPTED_HESID")])]);
    let error = load_batches(&prepared, &[register()], &sources).err().expect("a column is missing");
    assert_eq!(error.to_string(), "source \"admissions\": a batch has no column \"ENCRYPTED_HESID\"");
    let sources = BTreeMap::from([("admission".to_owned(), Vec::new())]);
    let error = load_batches(&prepared, &[register()], &sources).err().expect("the source is not known");
    assert_eq!(error.to_string(), "no source \"admission\" in the settings; they have admissions");
}
