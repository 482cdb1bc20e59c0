//! A whole run beside its floor, on a synthetic population: `cargo bench --bench end_to_end`.
//!
//! The floor is the time to read and decode the columns that the models need, with all cores, and do nothing with
//! them: Parquet by the `parquet` crate's own reader, since ours decodes what is asked for and no more. Each is run in
//! turn, several times; the medians and their ratio are printed. Settings by environment: `RISKSTRAT_BENCH_PEOPLE`
//! (200,000), `RISKSTRAT_BENCH_ROWS` (rows a person, 120), `RISKSTRAT_BENCH_FORMAT` (`native`, `parquet`, `csv`),
//! `RISKSTRAT_BENCH_RUNS` (5), `RISKSTRAT_BENCH_MODELS` and `RISKSTRAT_BENCH_COHORTS` (comma-separated; cohorts may be
//! none), `RISKSTRAT_BENCH_MONTHS` (as-of dates, a month apart, 1), `RISKSTRAT_BENCH_MEMORY` (such as `512MiB`),
//! `RISKSTRAT_BENCH_DATA` (a folder with rows in another order, as `benches/reorder.py` makes it),
//! `RAYON_NUM_THREADS`. The population is made once and kept under `target/bench`.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Encoding;
use rayon::prelude::*;
use riskstrat::day::Month;
use riskstrat::population::{self, Format, Request};
use riskstrat::run::{Prepared, Silent, prepare, run};
use riskstrat::{demo, ingest};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let people: u32 = setting("RISKSTRAT_BENCH_PEOPLE", "200000").parse().expect("a number of people");
    let rows: u32 = setting("RISKSTRAT_BENCH_ROWS", "120").parse().expect("a number of rows");
    let runs: usize = setting("RISKSTRAT_BENCH_RUNS", "5").parse().expect("a number of runs");
    let format = setting("RISKSTRAT_BENCH_FORMAT", "native");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/bench/{format}-{people}-{rows}"));
    let settings = population_in(&folder, people, rows, &format);
    let mut prepared = prepare(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let memory = std::env::var("RISKSTRAT_BENCH_MEMORY").ok();
    prepared.settings.memory = memory.map(|text| text.parse().expect("an amount of memory, such as 512MiB"));
    let mut floors = Vec::new();
    let mut wholes = Vec::new();
    let mut stages: Vec<(String, Duration)> = Vec::new();
    let mut counted = 0;
    for turn in 0..=runs {
        let start = Instant::now();
        floor(&prepared);
        let floor_time = start.elapsed();
        let start = Instant::now();
        let report = run(&prepared, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
        let whole_time = start.elapsed();
        // The first turn warms the page cache.
        if turn > 0 {
            floors.push(floor_time);
            wholes.push(whole_time);
        }
        counted = report.rows;
        stages = report.timings;
    }
    let (floor, whole) = (median(&mut floors), median(&mut wholes));
    println!("{people} people, {counted} rows, {} threads, median of {runs}", rayon::current_num_threads());
    print_line("floor (decode only)", floor, counted, people);
    print_line("whole run", whole, counted, people);
    println!("ratio {:.2}", whole.as_secs_f64() / floor.as_secs_f64());
    println!("stages of the last run:");
    for (name, time) in stages {
        println!("  {name:<24} {:>8.3} s", time.as_secs_f64());
    }
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn population_in(folder: &Path, people: u32, rows: u32, format: &str) -> PathBuf {
    let data = folder.join("data");
    if !data.join("generation.json").exists() {
        let _ = std::fs::remove_dir_all(folder);
        let mut request = Request::new(people, 7, data);
        request.rows_per_person = rows;
        request.format = match format {
            "parquet" => Format::Parquet,
            "csv" => Format::Csv,
            _ => Format::Native,
        };
        population::generate(&request, &|_, _| ()).expect("the folder is writable");
    }
    let settings = folder.join("riskstrat.toml");
    let data = setting("RISKSTRAT_BENCH_DATA", "data");
    let mut text = demo::settings(&data, "2016-04-01");
    let months: u32 = setting("RISKSTRAT_BENCH_MONTHS", "1").parse().expect("a number of months");
    if months > 1 {
        let first = Month(Month::new(2016, 4).0 - months as i32 + 1).first_day();
        let range = format!("as_of = {{ from = \"{first}\", to = \"2016-04-01\", every = \"month\" }}");
        text = text.replace("as_of = \"2016-04-01\"", &range);
    }
    for (variable, key) in [("RISKSTRAT_BENCH_MODELS", "models"), ("RISKSTRAT_BENCH_COHORTS", "cohorts")] {
        let Ok(ids) = std::env::var(variable) else { continue };
        let listed: Vec<String> = ids.split(',').filter(|id| !id.is_empty()).map(|id| format!("\"{id}\"")).collect();
        let start = format!("{key} = ");
        let line = text.lines().find(|line| line.starts_with(&start)).expect("a line of them").to_owned();
        text = text.replace(&line, &format!("{start}[{}]", listed.join(", ")));
    }
    // A small population may lack a rare condition; what is measured here is speed.
    let dead = text.lines().find(|line| line.starts_with("expected_dead_terms")).expect("a line of terms").to_owned();
    text = text.replace(&dead, "expected_dead_terms = [\"*/*\"]");
    std::fs::write(&settings, text).expect("the folder is writable");
    settings
}

/// Reads and decodes the columns that the models need.
fn floor(prepared: &Prepared) {
    let plan = prepared.plan();
    for input in prepared.inputs() {
        let wanted = prepared.wanted(input, &plan).expect("the layouts were checked");
        if input.files.iter().all(|file| file.format == ingest::files::Format::Parquet) {
            let groups = input.files.iter().flat_map(|file| row_groups(&file.path));
            groups.collect::<Vec<_>>().into_par_iter().for_each(|(path, metadata, group)| {
                decode(&path, &metadata, group, &wanted).expect("the files are whole");
            });
            continue;
        }
        let sink = |batch: &ingest::files::Batch| {
            std::hint::black_box(&batch.columns);
            Ok(())
        };
        ingest::read_all(input, &wanted, &sink, &|_| ()).expect("the files are whole");
    }
}

fn row_groups(path: &Path) -> Vec<(PathBuf, ArrowReaderMetadata, usize)> {
    let file = File::open(path).expect("the file is there");
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("the footer is whole");
    let groups = metadata.metadata().num_row_groups();
    (0..groups).map(|group| (path.to_owned(), metadata.clone(), group)).collect()
}

/// Decodes a row group as fast as the `parquet` crate does: text that is coded keeps its dictionary.
fn decode(path: &Path, metadata: &ArrowReaderMetadata, group: usize, wanted: &[(String, bool)]) -> anyhow::Result<()> {
    let footer = metadata.metadata();
    let is_coded = |encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    let field = |(place, field): (usize, &Arc<Field>)| {
        let chunk = footer.row_group(group).column(place);
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        // Not all writers say which of their pages have keys.
        let has_keys = match chunk.page_encoding_stats_mask() {
            Some(pages) => pages.encodings().all(is_coded),
            None => chunk.encodings().any(is_coded),
        };
        match is_text && has_keys {
            true => Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
            ),
            false => field.clone(),
        }
    };
    let fields: Vec<Arc<Field>> = metadata.schema().fields().iter().enumerate().map(field).collect();
    let is_wanted = |field: &Arc<Field>| wanted.iter().any(|(name, _)| name == field.name());
    let places: Vec<usize> = (0..fields.len()).filter(|place| is_wanted(&fields[*place])).collect();
    let mask = ProjectionMask::roots(footer.file_metadata().schema_descr(), places);
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(footer.clone(), options)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, metadata);
    for batch in reader.with_row_groups(vec![group]).with_projection(mask).with_batch_size(16_384).build()? {
        std::hint::black_box(batch?);
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn print_line(what: &str, time: Duration, rows: u64, people: u32) {
    let seconds = time.as_secs_f64();
    println!(
        "{what:<24} {seconds:>8.3} s {:>8.1} million rows/s {:>10.0} people/s",
        rows as f64 / seconds / 1e6,
        f64::from(people) / seconds
    );
}
