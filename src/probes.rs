//! What fuzzing calls: each function takes any bytes for one kind of the user's files, and comes back.
//!
//! A fault is a panic, a read without end, memory beyond what the limits allow, or an answer that depends on what it
//! must not. `fuzz/` has a target for each; the tests run the same functions over its seeds and over mutations of them.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::Streams;
use crate::ingest::files::{self, CsvDialect, Format, Wanted};
use crate::ingest::layout::{Encoding, LayoutFile};
use crate::measure::plan::Plan;
use crate::model::check::check;
use crate::model::describe::describe;
use crate::model::library::Library;
use crate::run::all_streams;
use crate::settings::Settings;

/// A CSV file, perhaps compressed. The first byte says how it is to be read; the rest is the file.
///
/// # Panics
/// Where rows, or the message, depend on how many bytes are parsed at a time.
pub fn csv(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let format = [Format::Csv, Format::Csv, Format::CsvGz, Format::CsvZst][usize::from(choice & 3)];
    let dialect = CsvDialect {
        delimiter: b",;\t|"[usize::from(choice >> 2 & 3)],
        encoding: if choice & 16 == 0 { Encoding::Utf8 } else { Encoding::Windows1252 },
        ..CsvDialect::default()
    };
    let whole = rows_of(file, format, dialect);
    let in_parts = rows_of(file, format, CsvDialect { block_bytes: 1 + usize::from(choice >> 5) * 5, ..dialect });
    match (whole, in_parts) {
        // How far damaged data can be unpacked is not the same for every size.
        (Err(_), Err(_)) if format != Format::Csv => {}
        (whole, in_parts) => assert_eq!(whole, in_parts, "the size of a block decides nothing"),
    }
}

/// How many rows a file has and what its cells come to, or what is wrong with it.
fn rows_of(file: &[u8], format: Format, dialect: CsvDialect) -> Result<(u64, u64, u64), String> {
    let header = files::header_of(file, format, &dialect).map_err(|error| format!("{error:#}"))?;
    let mut wanted = vec![Wanted { name: "no such column", optional: true }];
    wanted.extend(header.iter().take(3).map(|name| Wanted { name, optional: false }));
    let (cells, places) = (AtomicU64::new(0), AtomicU64::new(0));
    let sink = |batch: files::Batch| {
        for column in batch.columns.iter().flatten() {
            let column = column.array()?;
            assert_eq!(column.len(), batch.rows, "a column has a cell a row");
            let _ = crate::ingest::column::for_each_text(column, "", |text| {
                let hash = text.map_or(1, xxhash_rust::xxh3::xxh3_64);
                cells.fetch_add(hash, Ordering::Relaxed);
            });
        }
        let last = batch.first_row + batch.rows as u64 - 1;
        // The sum of the numbers of the rows.
        places.fetch_add((batch.first_row + last) * batch.rows as u64 / 2, Ordering::Relaxed);
        Ok(())
    };
    let rows = files::read_bytes(file, format, &wanted, &dialect, &sink).map_err(|error| format!("{error:#}"))?;
    Ok((rows.rows(), cells.into_inner(), places.into_inner()))
}

/// A layout.
pub fn layout(bytes: &[u8]) {
    if let Ok(layout) = LayoutFile::parse("layouts/x.toml", &String::from_utf8_lossy(bytes)) {
        layout.add_streams(&mut Streams::default());
    }
}

/// A model: checked against the shipped library, described, and planned.
pub fn model(bytes: &[u8]) {
    static SHIPPED: OnceLock<(Library, Streams)> = OnceLock::new();
    let (library, streams) = SHIPPED.get_or_init(|| {
        let library = Library::load(None).expect("the shipped files are inside").expect("and in order");
        let streams = all_streams(&library, &Default::default());
        (library, streams)
    });
    if let Ok(model) = check("scores/x.toml", &String::from_utf8_lossy(bytes), library, streams) {
        assert!(!describe(&model, library).is_empty(), "a model has words");
        let _ = Plan::new(&[model], &[], streams);
    }
}

/// A settings file.
pub fn settings(bytes: &[u8]) {
    if let Ok(settings) = Settings::parse(Path::new("riskstrat.toml"), &String::from_utf8_lossy(bytes)) {
        let _ = (settings.horizon(), settings.out_folder());
    }
}
