//! A first layout for a file that no layout knows: a proposal for whoever knows the file to finish.
//!
//! Columns are judged by how near their names are to those of a known layout, and by the shape of what they hold: dates,
//! codes of a coding system, numbers. What is proposed is text with remarks; no value of the file is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;

use anyhow::{Context, Error, Result, anyhow};

use super::column::{for_each_text, parse_day, plain};
use super::files::{self, Batch, CsvDialect, Format, InputFile, Wanted};
use super::layout::{Encoding, Field, FieldSystem, LayoutFile};
use crate::code::{Normalised, System};
use crate::model::library::Library;

/// About how many rows are looked at.
const SAMPLE_ROWS: usize = 5_000;
/// The share of a column's values that have its shape.
const SHARE: f64 = 0.9;
/// Names from this likeness on are taken for one.
const LIKENESS: f64 = 0.93;
/// Of a known layout, the share of its parts that a file has to have for it to be proposed.
const FITS: f64 = 0.5;
/// Numbers of eight digits are dates from 1800 to 2100 only: most concepts of SNOMED CT are none.
const DAYS: std::ops::Range<i32> = -62_091..47_847;
/// Distinct values are counted up to here.
const DISTINCT_MAX: usize = 1_000;

/// What the values of a column look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Empty,
    Day,
    Icd10,
    Opcs4,
    /// SNOMED CT concepts, or products of dm+d: they look alike.
    Snomed,
    Bnf,
    Whole,
    Decimal,
    Text,
}

impl Shape {
    /// From the most particular to the least: what is a date is a whole number too.
    const TRIED: [Shape; 7] =
        [Shape::Day, Shape::Icd10, Shape::Opcs4, Shape::Snomed, Shape::Whole, Shape::Decimal, Shape::Bnf];

    fn words(self) -> &'static str {
        match self {
            Shape::Empty => "nothing",
            Shape::Day => "dates",
            Shape::Icd10 => "codes that look like ICD-10",
            Shape::Opcs4 => "codes that look like OPCS-4",
            Shape::Snomed => "codes that look like SNOMED CT",
            Shape::Bnf => "codes that look like BNF",
            Shape::Whole => "whole numbers",
            Shape::Decimal => "numbers",
            Shape::Text => "text",
        }
    }

    fn fits(self, value: &[u8], buffer: &mut Vec<u8>) -> bool {
        let is_code = |system: System, buffer: &mut Vec<u8>| system.normalise(value, buffer) == Normalised::Code;
        let is_written_as = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        match self {
            Shape::Empty => false,
            Shape::Day => value.len() >= 8 && DAYS.contains(&parse_day(value)),
            Shape::Icd10 => value.len() >= 3 && is_code(System::Icd10, buffer),
            Shape::Opcs4 => value.len() >= 3 && is_code(System::Opcs4, buffer),
            Shape::Snomed => is_code(System::Snomed, buffer) && has_check_digit(value),
            Shape::Bnf => value.len() >= 9 && value[..2].iter().all(u8::is_ascii_digit) && is_code(System::Bnf, buffer),
            Shape::Whole => value.iter().all(u8::is_ascii_digit),
            Shape::Decimal => value.iter().copied().all(is_written_as) && value.iter().any(u8::is_ascii_digit),
            Shape::Text => true,
        }
    }
}

/// Whether a number ends with the check digit of SNOMED CT identifiers (Verhoeff), which one number in ten does.
fn has_check_digit(digits: &[u8]) -> bool {
    const PERMUTE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    // Multiplication in the group of symmetries of a pentagon.
    let times = |one: u8, two: u8| match (one < 5, two < 5) {
        (true, true) => (one + two) % 5,
        (true, false) => (one + two) % 5 + 5,
        (false, true) => (one + 5 - two) % 5 + 5,
        (false, false) => (one + 5 - two) % 5,
    };
    let permuted = |digit: u8, place: usize| (0..place % 8).fold(digit, |digit, _| PERMUTE[usize::from(digit)]);
    let digits = digits.iter().rev().map(|digit| digit.wrapping_sub(b'0'));
    digits.enumerate().fold(0, |sum, (place, digit)| times(sum, permuted(digit % 10, place))) == 0
}

/// A column of the file, as its sample shows it.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    shape: Shape,
    /// Distinct values of the sample, up to a limit.
    distinct: usize,
}

/// Proposes a layout for a file, as the text of a layout file with remarks.
///
/// # Errors
/// A file that cannot be read.
pub fn draft(file: &InputFile, library: &Library) -> Result<String> {
    let (dialect, delimiter) = dialect_of(file)?;
    let columns = sample(file, &dialect)?;
    let known = library.layouts.values().filter_map(|text| {
        let layout = LayoutFile::parse(&text.file, &text.text).ok()?;
        let found = matched(&layout, &columns);
        Some((share_found(&layout, &found), layout, &text.text, found))
    });
    // Of equals the first by name.
    let best = known.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let id = id_of(file);
    Ok(match best {
        Some((share, layout, text, found)) if share >= FITS => {
            after_a_known_layout(&id, &layout, text, &found, &columns, (&dialect, delimiter))
        }
        _ => from_shapes(&id, &columns, (&dialect, delimiter)),
    })
}

fn id_of(file: &InputFile) -> String {
    let stem = file.path.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default().to_lowercase();
    let id: String = stem.chars().map(|mark| if mark.is_ascii_alphanumeric() { mark } else { '_' }).collect();
    id.trim_matches(|mark: char| mark == '_' || mark.is_ascii_digit()).to_owned()
}

/// The delimiter that cuts the header into most columns, and an encoding in which the file can be read.
fn dialect_of(file: &InputFile) -> Result<(CsvDialect, Option<&'static str>)> {
    if file.format == Format::Parquet {
        return Ok((CsvDialect::default(), None));
    }
    let mut best = (0, CsvDialect::default(), ",");
    for delimiter in [",", "\t", ";", "|"] {
        for encoding in [Encoding::Utf8, Encoding::Windows1252] {
            let dialect = CsvDialect { delimiter: delimiter.as_bytes()[0], encoding, ..CsvDialect::default() };
            let Ok(header) = files::header(file, &dialect) else { continue };
            if header.len() > best.0 {
                best = (header.len(), dialect, delimiter);
            }
        }
    }
    anyhow::ensure!(best.0 > 0, "{}: no header can be read; is it a CSV or Parquet file?", file.name);
    let mut dialect = best.1;
    if sample(file, &dialect).is_err() && dialect.encoding == Encoding::Utf8 {
        let other = CsvDialect { encoding: Encoding::Windows1252, ..dialect };
        if sample(file, &other).is_ok() {
            dialect = other;
        }
    }
    Ok((dialect, Some(best.2)))
}

/// Stops the reading once enough was seen.
#[derive(Debug)]
struct Enough;

impl std::fmt::Display for Enough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("enough rows were seen")
    }
}

impl std::error::Error for Enough {}

/// What a column holds, as far as it was seen.
#[derive(Default, Clone)]
struct Tally {
    filled: usize,
    fits: [usize; Shape::TRIED.len()],
    distinct: BTreeSet<u64>,
}

fn sample(file: &InputFile, dialect: &CsvDialect) -> Result<Vec<Seen>> {
    let names = files::header(file, dialect)?;
    let wanted: Vec<Wanted> = names.iter().map(|name| Wanted { name, optional: false }).collect();
    let tallies = Mutex::new((0, vec![Tally::default(); names.len()]));
    let small = CsvDialect { block_bytes: 1 << 16, ..*dialect };
    let take = |batch: Batch| {
        let mut held = tallies.lock().expect("no thread panicked while it held the tallies");
        let (rows, tallies) = &mut *held;
        if *rows >= SAMPLE_ROWS {
            return Err(Error::new(Enough));
        }
        *rows += batch.rows;
        for ((column, name), tally) in batch.columns.iter().zip(&names).zip(tallies) {
            if let Some(column) = column {
                tally_column(column.array()?, name, tally)?;
            }
        }
        Ok(())
    };
    match files::read(std::slice::from_ref(file), &wanted, &small, &take, &|_| {}) {
        Err(error) if !error.is::<Enough>() => {
            return Err(error).with_context(|| format!("failed to look at {}", file.name));
        }
        _ => {}
    }
    let (_, tallies) = tallies.into_inner().map_err(|_| anyhow!("a thread stopped while it looked at the file"))?;
    let seen = |(name, tally): (String, Tally)| Seen { name, shape: shape_of(&tally), distinct: tally.distinct.len() };
    Ok(names.into_iter().zip(tallies).map(seen).collect())
}

fn tally_column(array: &arrow_array::ArrayRef, name: &str, tally: &mut Tally) -> Result<()> {
    use arrow_schema::DataType;
    let as_a_type = match array.data_type() {
        kind if kind.is_temporal() => Some(Shape::Day),
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => Some(Shape::Decimal),
        _ => None,
    };
    if let Some(shape) = as_a_type {
        let filled = array.len() - array.null_count();
        tally.filled += filled;
        let place = Shape::TRIED.iter().position(|tried| *tried == shape).expect("it is among them");
        tally.fits[place] += filled;
        return Ok(());
    }
    let mut buffer = Vec::new();
    for_each_text(&plain(array)?, name, |text| {
        let Some(value) = text.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) else { return };
        tally.filled += 1;
        for (shape, fits) in Shape::TRIED.into_iter().zip(&mut tally.fits) {
            *fits += usize::from(shape.fits(value, &mut buffer));
        }
        if tally.distinct.len() < DISTINCT_MAX {
            tally.distinct.insert(xxhash_rust::xxh3::xxh3_64(value));
        }
    })
}

fn shape_of(tally: &Tally) -> Shape {
    if tally.filled == 0 {
        return Shape::Empty;
    }
    let needed = (tally.filled as f64 * SHARE).ceil() as usize;
    let fitting = Shape::TRIED.into_iter().zip(tally.fits).find(|(_, fits)| *fits >= needed);
    fitting.map_or(Shape::Text, |(shape, _)| shape)
}

/// What a layout wants of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// What it is for; columns of one part are alternatives.
    what: String,
    shape: Option<Shape>,
    columns: Vec<String>,
}

fn parts(layout: &LayoutFile) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |what: &str, shape: Option<Shape>, columns: &[&String]| {
        let columns = columns.iter().map(|column| column.to_string()).collect();
        parts.push(Part { what: what.to_owned(), shape, columns });
    };
    add("the person", None, &[&layout.person.column]);
    let day = Some(Shape::Day);
    layout.day.iter().for_each(|of| add("the day", day, &[&of.column]));
    layout.recorded.iter().for_each(|of| add("the day of recording", day, &[&of.column]));
    layout.end.iter().for_each(|of| add("the last day", day, &[&of.column]));
    layout.ended_by.iter().for_each(|of| add("a day that ends it", day, &[&of.column]));
    layout.amount.iter().for_each(|of| add("the amount", Some(Shape::Decimal), &[&of.column]));
    for weekly in layout.amount.iter().filter_map(|amount| amount.weekly.as_ref()) {
        add("the frequency of the price", None, &[&weekly.frequency]);
        add("the planned units a week", Some(Shape::Decimal), &[&weekly.planned]);
    }
    if let Some(episode) = &layout.episode {
        add("the day of admission", day, &[&episode.admission.column]);
        add("the day of discharge", day, &[&episode.discharge.column]);
        episode.start.iter().for_each(|of| add("the first day of the episode", day, &[&of.column]));
        episode.end.iter().for_each(|of| add("the last day of the episode", day, &[&of.column]));
        episode.submitted.iter().for_each(|of| add("the day of submission", day, &[&of.column]));
        episode.order.iter().for_each(|of| add("the order of episodes", None, &[of]));
        episode.status.iter().for_each(|of| add("the status of the episode", None, &[of]));
        episode.key.iter().for_each(|of| add("the key of the episode", None, &[of]));
    }
    if let Some(of) = &layout.registration {
        add("the first day of registration", day, &[&of.start.column]);
        of.end.iter().for_each(|end| add("the last day of registration", day, &[&end.column]));
        of.practice.iter().for_each(|practice| add("the practice", None, &[practice]));
    }
    if let Some(register) = &layout.register {
        register.birth_month.iter().for_each(|of| add("the month of birth", None, &[&of.column]));
        register.birth.iter().for_each(|of| add("the year of birth", None, &[&of.year]));
        register.birth.iter().for_each(|of| add("the month of birth", None, &[&of.month]));
        add("sex", None, &[&register.sex]);
        add("the practice", None, &[&register.practice]);
        register.registration_start.iter().for_each(|of| add("the first day of registration", day, &[&of.column]));
        register.registration_end.iter().for_each(|of| add("the last day of registration", day, &[&of.column]));
        register.death.iter().for_each(|of| add("the day of death", day, &[&of.column]));
        register.area.iter().for_each(|of| add("the area", None, &[of]));
        register.words.iter().for_each(|(name, of)| add(name, None, &[of]));
        register.numbers.iter().for_each(|(name, of)| add(name, Some(Shape::Decimal), &[of]));
    }
    let shape = |field: &Field| match field.system {
        _ if field.dictionary.is_some() || field.list => None,
        FieldSystem::Icd10 => Some(Shape::Icd10),
        FieldSystem::Opcs4 => Some(Shape::Opcs4),
        FieldSystem::Snomed | FieldSystem::Dmd => Some(Shape::Snomed),
        FieldSystem::Bnf => Some(Shape::Bnf),
        _ => None,
    };
    for field in &layout.fields {
        add(&format!("field {}", field.name), shape(field), &field.columns.iter().collect::<Vec<_>>());
    }
    let duplicates = layout.duplicates.iter().flat_map(|duplicates| &duplicates.columns);
    let newest = layout.duplicates.iter().filter_map(|duplicates| duplicates.newest.as_ref()).map(|day| &day.column);
    let near = layout.duplicates.iter().filter_map(|duplicates| duplicates.near.as_ref()).map(|near| &near.column);
    for column in duplicates.chain(newest).chain(near) {
        if !parts.iter().any(|part: &Part| part.columns.contains(column)) {
            parts.push(Part { what: "telling copies apart".to_owned(), shape: None, columns: vec![column.clone()] });
        }
    }
    parts
}

fn plain_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

fn shapes_agree(wanted: Option<Shape>, seen: Shape) -> bool {
    match wanted {
        None => true,
        Some(_) if seen == Shape::Empty => true,
        Some(Shape::Decimal) => matches!(seen, Shape::Decimal | Shape::Whole),
        // A short code fits both systems, and the column's name has to decide.
        Some(Shape::Opcs4) => matches!(seen, Shape::Opcs4 | Shape::Icd10),
        Some(wanted) => wanted == seen,
    }
}

/// The file's column for each column of a layout that has one: the same name, else a near one of the same shape.
fn matched(layout: &LayoutFile, columns: &[Seen]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let wanted: Vec<(String, Option<Shape>)> = parts(layout)
        .into_iter()
        .flat_map(|part| part.columns.into_iter().map(move |column| (column, part.shape)))
        .collect();
    for (name, _) in &wanted {
        if let Some(same) = columns.iter().find(|seen| plain_name(&seen.name) == plain_name(name)) {
            taken.insert(&same.name);
            found.insert(name.clone(), same.name.clone());
        }
    }
    for (name, shape) in &wanted {
        if found.contains_key(name) {
            continue;
        }
        let near = columns
            .iter()
            .filter(|seen| !taken.contains(seen.name.as_str()) && shapes_agree(*shape, seen.shape))
            .map(|seen| (strsim::jaro_winkler(&plain_name(&seen.name), &plain_name(name)), seen))
            .filter(|(likeness, seen)| *likeness >= LIKENESS && numbers_in(&seen.name) == numbers_in(name));
        if let Some((_, seen)) = near.reduce(|best, next| if next.0 > best.0 { next } else { best }) {
            taken.insert(&seen.name);
            found.insert(name.clone(), seen.name.clone());
        }
    }
    found
}

/// `DIAG_01` and `DIAG_02` are near each other, and not the same.
fn numbers_in(name: &str) -> Vec<u64> {
    name.split(|mark: char| !mark.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn share_found(layout: &LayoutFile, found: &BTreeMap<String, String>) -> f64 {
    let parts = parts(layout);
    // A list of people fits every file that has its one column.
    if parts.len() < 2 {
        return 0.0;
    }
    let is_found = |part: &&Part| part.columns.iter().any(|column| found.contains_key(column));
    parts.iter().filter(is_found).count() as f64 / parts.len() as f64
}

fn remark(out: &mut String, text: &str) {
    writeln!(out, "# {text}").expect("writing to a string");
}

/// A name in TOML's quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn after_a_known_layout(
    id: &str,
    layout: &LayoutFile,
    text: &str,
    found: &BTreeMap<String, String>,
    columns: &[Seen],
    dialect: (&CsvDialect, Option<&str>),
) -> String {
    let mut out = String::new();
    let of = &layout.layout.id;
    remark(
        &mut out,
        &format!("A draft after the layout \"{of}\", which fits this file best. Hold it against the file,"),
    );
    remark(&mut out, "mend what is not so, and take the remarks away.");
    let renamed = found.iter().filter(|(ours, theirs)| ours != theirs);
    for (ours, theirs) in renamed.clone() {
        remark(&mut out, &format!("taken for {ours}: {theirs}"));
    }
    let mut missing = Vec::new();
    for part in parts(layout) {
        let lacking: Vec<&String> = part.columns.iter().filter(|column| !found.contains_key(*column)).collect();
        match lacking[..] {
            [] => {}
            [only] if part.columns.len() == 1 => missing.push(format!("{} ({only})", part.what)),
            _ => missing.push(format!("{} ({} of {} columns)", part.what, lacking.len(), part.columns.len())),
        }
    }
    if !missing.is_empty() {
        remark(&mut out, "not found in the file; write its name, or take the part out:");
        missing.iter().for_each(|what| remark(&mut out, &format!("  {what}")));
    }
    unused(&mut out, columns, &found.values().map(String::as_str).collect());
    out.push('\n');
    let mut proposed = text.to_owned();
    // All at once: a column's new name may be another's old one.
    for (place, (ours, _)) in renamed.clone().enumerate() {
        proposed = proposed.replace(&quoted(ours), &format!("\u{1}{place}\u{1}"));
    }
    for (place, (_, theirs)) in renamed.enumerate() {
        proposed = proposed.replace(&format!("\u{1}{place}\u{1}"), &quoted(theirs));
    }
    let proposed: Vec<String> = proposed
        .lines()
        .map(|line| if line.starts_with("id ") { format!("id      = {}", quoted(id)) } else { line.to_owned() })
        .collect();
    out.push_str(&with_csv(&(proposed.join("\n") + "\n"), dialect));
    out
}

/// The text with the file's own delimiter and encoding.
fn with_csv(text: &str, (dialect, delimiter): (&CsvDialect, Option<&str>)) -> String {
    let is_plain = dialect.delimiter == b',' && dialect.encoding == Encoding::Utf8;
    let mut kept: Vec<&str> = Vec::new();
    let mut in_csv = false;
    for line in text.lines() {
        in_csv = if line.starts_with('[') { line == "[csv]" } else { in_csv };
        if !in_csv {
            kept.push(line);
        }
    }
    let text = kept.join("\n") + "\n";
    let Some(delimiter) = delimiter.filter(|_| !is_plain) else { return text };
    let delimiter = if delimiter == "\t" { "\\t" } else { delimiter };
    let encoding = if dialect.encoding == Encoding::Utf8 { "utf-8" } else { "windows-1252" };
    text.replacen("[person]", &format!("[csv]\ndelimiter = \"{delimiter}\"\nencoding  = \"{encoding}\"\n\n[person]"), 1)
}

fn unused(out: &mut String, columns: &[Seen], used: &BTreeSet<&str>) {
    let unused: Vec<&Seen> = columns.iter().filter(|seen| !used.contains(seen.name.as_str())).collect();
    if unused.is_empty() {
        return;
    }
    remark(out, "columns of the file that are not used, and what they hold:");
    for seen in unused {
        let distinct = match seen.distinct {
            0 => String::new(),
            DISTINCT_MAX.. => format!(", {DISTINCT_MAX} different ones or more"),
            count => format!(", {count} different"),
        };
        remark(out, &format!("  {}: {}{distinct}", seen.name, seen.shape.words()));
    }
}

/// Parts of names that say that a column holds a pseudonym.
const PERSON_NAMES: [&str; 8] = ["person", "patient", "patid", "pseudo", "hesid", "nhs", "subject", "individual"];

fn from_shapes(id: &str, columns: &[Seen], dialect: (&CsvDialect, Option<&str>)) -> String {
    let mut out = String::new();
    remark(&mut out, "A draft by the shapes of the columns: no known layout has half of its parts in this file.");
    remark(&mut out, "Hold it against the file: is it the right person, the right day, the right coding system?");
    let named = |seen: &&Seen| PERSON_NAMES.iter().any(|part| plain_name(&seen.name).contains(part));
    let person = columns.iter().find(named).or_else(|| columns.iter().max_by_key(|seen| seen.distinct));
    let day = columns.iter().find(|seen| seen.shape == Shape::Day);
    let mut used: BTreeSet<&str> = [person, day].into_iter().flatten().map(|seen| seen.name.as_str()).collect();
    let amount = columns.iter().find(|seen| seen.shape == Shape::Decimal && !used.contains(seen.name.as_str()));
    let mut body = String::new();
    let name_of = |seen: Option<&Seen>| quoted(seen.map_or("WHICH COLUMN", |seen| seen.name.as_str()));
    write!(
        body,
        "format = 1\n\n[layout]\nid      = {}\ntitle   = \"WHAT IT IS\"\nsource  = \"WHO SENDS IT, BY WHICH SPECIFICATION\"\n\
         builds  = \"events\"\nstream  = \"gp_event\"\none_row = \"WHAT ONE ROW IS\"\n\n[person]\ncolumn = {}\n\n[day]\ncolumn = {}\n",
        quoted(id),
        name_of(person),
        name_of(day)
    )
    .expect("writing to a string");
    if let Some(amount) = amount {
        used.insert(&amount.name);
        write!(body, "\n[amount]\ncolumn = {}\nunit   = \"measured\"\n", quoted(&amount.name)).expect("writing");
    }
    let coded = [(Shape::Icd10, "icd10"), (Shape::Opcs4, "opcs4"), (Shape::Snomed, "snomed"), (Shape::Bnf, "bnf")];
    for seen in columns {
        if let Some((_, system)) =
            coded.iter().find(|(shape, _)| *shape == seen.shape && !used.contains(seen.name.as_str()))
        {
            used.insert(&seen.name);
            let field = plain_name(&seen.name);
            write!(
                body,
                "\n[[field]]\nname    = \"{field}\"\ncolumns = [{}]\nsystem  = \"{system}\"\n",
                quoted(&seen.name)
            )
            .expect("writing to a string");
        }
    }
    unused(&mut out, columns, &used);
    out.push('\n');
    out + &with_csv(&body, dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft_of(name: &str, text: &str) -> (String, LayoutFile) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let files = files::find(folder.path(), &[name.to_owned()]).unwrap();
        let library = Library::load(None).unwrap().unwrap();
        let text = draft(&files[0], &library).unwrap();
        let layout = LayoutFile::parse("draft", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        (text, layout)
    }

    #[test]
    fn a_file_like_a_known_one_gets_its_layout_with_the_names_of_the_file() {
        let text = "Encrypted HES ID;Appt Date;ATTENDED;FIRSTATT;REFSOURC;MAINSPEF;TRETSPEF;PROCODE;Clinic Note\n\
                    ab12cd;01/02/2015;5;1;03;300;300;RVV;secret words\n";
        let (text, layout) = draft_of("outpatients_2015.csv", text);
        assert_eq!(layout.layout.id, "outpatients");
        assert_eq!(layout.person.column, "Encrypted HES ID");
        assert_eq!(layout.day.unwrap().column, "Appt Date");
        assert_eq!(layout.csv.delimiter, ";");
        assert_eq!(layout.duplicates.unwrap().columns[..2], ["Encrypted HES ID", "Appt Date"]);
        for expected in
            ["after the layout \"hes_op\"", "taken for APPTDATE: Appt Date", "  Clinic Note: text, 1 different"]
        {
            assert!(text.contains(expected), "no {expected} in:\n{text}");
        }
    }

    #[test]
    fn a_file_like_no_other_is_judged_by_its_shapes_and_no_value_is_shown() {
        let rows: String = (10..60)
            .map(|n| format!("subj{n},2015-03-{:02},73211009,E119,0212000B0AAABAB,1{n}.5,room {n}\n", n % 28 + 1))
            .collect();
        let header = "Subject,When,Finding,Dx,Drug,Level,Where\n";
        let (text, layout) = draft_of("study.csv", &(header.to_owned() + &rows));
        assert_eq!((layout.person.column.as_str(), layout.day.unwrap().column.as_str()), ("Subject", "When"));
        assert_eq!(layout.amount.unwrap().column, "Level");
        let systems: Vec<_> = layout.fields.iter().map(|field| (field.columns[0].as_str(), field.system)).collect();
        let expected = [("Finding", FieldSystem::Snomed), ("Dx", FieldSystem::Icd10), ("Drug", FieldSystem::Bnf)];
        assert_eq!(systems, expected);
        assert!(text.contains("  Where: text, 50 different"), "{text}");
        for value in ["subj", "room", "73211009", "E119", "0212000B0", "2015-03"] {
            assert!(!text.contains(value), "{value} is a value of the file:\n{text}");
        }
    }

    #[test]
    fn a_column_of_another_shape_is_not_taken_for_a_near_name() {
        let text = "person_id,practice_code,event_dates,snomed_code,value\n\
                    a,G1,many,73211009,1\nb,G1,few,73211009,2\n";
        let (text, _) = draft_of("gp.csv", text);
        assert!(text.contains("  the day (event_date)"), "{text}");
    }

    #[test]
    fn text_that_is_not_utf8_is_read_in_the_other_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let bytes =
            b"person_id\tpractice_code\tissue_date\tbnf_code\tcost\na\tG\xe9\t2015-03-01\t0212000B0AAABAB\t\xa31.20\n";
        std::fs::write(folder.path().join("x.txt"), bytes).unwrap();
        let files = files::find(folder.path(), &["x.txt".to_owned()]).unwrap();
        let text = draft(&files[0], &Library::load(None).unwrap().unwrap()).unwrap();
        let layout = LayoutFile::parse("draft", &text).unwrap();
        assert_eq!((layout.csv.delimiter.as_str(), layout.csv.encoding), ("\t", Encoding::Windows1252));
        assert!(text.contains("\"gp_prescriptions\""), "{text}");
    }

    #[test]
    fn a_concept_has_its_check_digit_and_a_running_number_has_not() {
        for concept in ["73211009", "22298006", "1011481000000105", "39211711000001108"] {
            assert!(has_check_digit(concept.as_bytes()), "{concept}");
        }
        let numbers = (5_000_000..5_001_000).filter(|number: &u32| has_check_digit(number.to_string().as_bytes()));
        assert_eq!(numbers.count(), 100);
    }
}
