//! Faults: for each, the files that have it and the message that refuses them.
//!
//! `tests/faults/faults.toml` is the list to read: what is wrong, how a body's files that were in order come to be so,
//! the exit code and the whole message. A further fault is a further entry there, and needs no Rust. Breaches of gates
//! have a list of their own, `tests/gates/breaches.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use rayon::prelude::*;
use riskstrat::ingest::identifiers::{passes_check_digit, ten_digits};
use serde::Deserialize;

use crate::bad_input::{Body, check_untouched, told};
use crate::common::{copy_folder, files_under};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    fault: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    what: String,
    edit: Vec<Edit>,
    exit_code: u8,
    /// All of it; of a stopped run without its last line, and where it ends in `...` only what comes before that.
    message: String,
}

/// Something done to a file, in the order of the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    /// The whole text from here on.
    text: Option<String>,
    /// Replaced by `to`, the first time that it stands there; `*` stands for everywhere.
    from: Option<String>,
    #[serde(default)]
    to: String,
    #[serde(default)]
    everywhere: bool,
    /// Put behind the text.
    append: Option<String>,
    /// So many rows behind the text: `{n}` is the number of the row, `{nhs}` a number with a right check digit.
    rows: Option<Rows>,
    /// Another form that the file is brought to: `gz`, `zst`, `parquet`, `parquet with floats`, `utf-16`, `windows-1252`.
    form: Option<String>,
    /// So many bytes are taken away at the end.
    #[serde(default)]
    cut: usize,
    /// Where it is put, if elsewhere.
    becomes: Option<String>,
    /// It is taken away.
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    number: usize,
    each: String,
}

impl Edit {
    fn apply(&self, body: &Body) {
        let path = body.path(&self.file);
        let mut text = match &self.text {
            Some(text) => text.clone(),
            None => fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", self.file)),
        };
        if let Some(from) = &self.from {
            assert!(text.contains(from), "{} has no `{from}`", self.file);
            text = if self.everywhere { text.replace(from, &self.to) } else { text.replacen(from, &self.to, 1) };
        }
        text.push_str(self.append.as_deref().unwrap_or_default());
        if let Some(rows) = &self.rows {
            let numbers = nhs_numbers(rows.number);
            for (n, nhs) in numbers.iter().enumerate() {
                let spaced = format!("{} {} {}", &nhs[..3], &nhs[3..6], &nhs[6..]);
                let two = format!("{:02}", n + 1);
                let row = rows.each.replace("{nn}", &two).replace("{spaced}", &spaced);
                text.push_str(&row.replace("{n}", &n.to_string()).replace("{nhs}", nhs));
                text.push('\n');
            }
        }
        let mut bytes = in_form(&text, self.form.as_deref());
        bytes.truncate(bytes.len() - self.cut);
        if self.removed {
            return body.remove(&self.file);
        }
        body.put(self.becomes.as_ref().unwrap_or(&self.file), bytes);
    }
}

fn nhs_numbers(number: usize) -> Vec<String> {
    let of = |nine: usize| {
        let all = (0..10).map(|digit| format!("4{nine:08}{digit}"));
        all.into_iter().find(|text| passes_check_digit(&ten_digits(text.as_bytes()).unwrap()))
    };
    (0..).filter_map(of).take(number).collect()
}

fn in_form(text: &str, form: Option<&str>) -> Vec<u8> {
    match form {
        None => text.as_bytes().to_vec(),
        Some("gz") => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        }
        Some("zst") => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        Some("utf-16") => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        Some("windows-1252") => text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect(),
        Some("parquet") => parquet_of(text, &[]),
        Some("parquet with floats") => parquet_of(text, &["snomed_code"]),
        Some(other) => panic!("no form {other}"),
    }
}

/// The rows of a CSV as Parquet, these columns as floats, as a spreadsheet has them.
fn parquet_of(text: &str, floats: &[&str]) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let columns = header.iter().enumerate().map(|(place, name)| {
        let cells = rows.iter().map(|row| &row[place]);
        let array: ArrayRef = match floats.contains(&name) {
            true => Arc::new(Float64Array::from_iter(cells.map(|cell| cell.parse::<f64>().ok()))),
            false => Arc::new(StringArray::from_iter_values(cells)),
        };
        (name, array)
    });
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn table() -> Vec<Fault> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/faults.toml");
    let table: Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap_or_else(|fault| panic!("{fault}"));
    table.fault
}

/// What is not as the table says.
fn check(fault: &Fault, published: &Path) -> Option<String> {
    let body = Body::new();
    copy_folder(published, &body.path("out"));
    let before = files_under(published);
    fault.edit.iter().for_each(|edit| edit.apply(&body));
    let Err(failure) = body.run() else { return Some(format!("--- {}: the run goes on", fault.what)) };
    check_untouched(&before, &body.path("out"));
    let (code, message) = told(&failure, &body.path("").to_string_lossy());
    let shown = message.split("\nnothing is published; ").next().unwrap_or_default();
    let is_as_told = match fault.message.trim_end().strip_suffix("...") {
        Some(start) => message.starts_with(start),
        None => shown == fault.message.trim_end(),
    };
    let is_right = code == fault.exit_code && is_as_told;
    (!is_right).then(|| format!("--- {}\n{code}\n{shown}", fault.what))
}

#[test]
fn each_fault_is_refused_with_its_message_and_leaves_the_published_run_as_it_was() {
    let good = Body::new();
    good.run().unwrap_or_else(|failure| panic!("the body is in order: {failure}"));
    let published = good.path("out");
    let faults: Vec<String> = table().par_iter().filter_map(|fault| check(fault, &published)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_list_has_sixty_faults_and_more_each_with_a_message_of_its_own() {
    let table = table();
    let messages: BTreeSet<&str> = table.iter().map(|fault| fault.message.trim()).collect();
    assert_eq!(messages.len(), table.len(), "two faults have one message");
    assert!(messages.len() >= 60 && messages.iter().all(|message| message.len() > 20), "{}", messages.len());
}
