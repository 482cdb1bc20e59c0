//! What several subjects need: runs in a folder of their own, and their outputs as they stand on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use riskstrat::run::{Failure, Report, Silent, prepare, run};

/// The whole job on a settings file, as the command line does it.
pub fn run_settings(settings: &Path, models: Option<&Path>) -> Result<Report, Failure> {
    run(&prepare(settings, models)?, &Silent)
}

/// The program, as a user starts it.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_riskstrat"))
}

/// What a program that has ended said on both streams, and its exit code; none where a signal ended it.
pub fn ended(output: &Output) -> (Option<i32>, String) {
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    (output.status.code(), said)
}

/// Every file under a folder, by its path from there; no folder has no files.
pub fn files_under(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A cell of an analysis file.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Missing,
    Text(String),
    Whole(i64),
    Decimal(f64),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Missing => Ok(()),
            Cell::Text(text) => f.write_str(text),
            Cell::Whole(number) => write!(f, "{number}"),
            Cell::Decimal(number) => write!(f, "{number}"),
        }
    }
}

/// The rows of a Parquet file, each by column name.
pub fn parquet_rows(path: &Path) -> Vec<BTreeMap<String, Cell>> {
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        rows.extend((0..batch.num_rows()).map(|row| row_of(&batch, row)));
    }
    rows
}

fn row_of(batch: &RecordBatch, row: usize) -> BTreeMap<String, Cell> {
    let cell = |array: &dyn Array| match array.data_type() {
        _ if array.is_null(row) => Cell::Missing,
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Cell::Whole(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Decimal(array.as_primitive::<Float64Type>().value(row)),
        other => panic!("no analysis file has a column of type {other}"),
    };
    let names = batch.schema();
    names.fields().iter().zip(batch.columns()).map(|(field, array)| (field.name().clone(), cell(array))).collect()
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    for (name, bytes) in files_under(from) {
        write(&to.join(name), bytes);
    }
}

/// Writes a file and the folders that it stands in.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    path.to_owned()
}
