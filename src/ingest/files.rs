//! Input files: finding them, naming what is wrong with them, and reading them as batches of columns.
//!
//! A file is recognised by its name and its first bytes, and is called by the same name in every message and output:
//! its path from the folder that patterns start from. [`read`] hands the wanted columns on in batches, from several
//! threads at once and in no stated order; each batch says which rows it holds. What a column means is not known here.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_buffer::NullBuffer;
use sha2::{Digest, Sha256};

use super::coded::Column;
use super::layout::Encoding;
use super::{csv, parquet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Csv,
    CsvGz,
    CsvZst,
    Parquet,
}

/// One input file, as it was when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    pub path: PathBuf,
    /// The path from the base folder, with `/` on every system: what messages and outputs call the file.
    pub name: String,
    pub format: Format,
    pub bytes: u64,
    pub modified: Option<SystemTime>,
    /// Columns that the names of its folders state, as in `year=2015/practice=A81001/`; `None` is a missing value.
    pub partitions: Vec<(String, Option<String>)>,
}

impl InputFile {
    /// Nothing, where the file is still as it was found.
    pub fn check_unchanged(&self) -> Result<()> {
        let now = fs::metadata(&self.path).with_context(|| format!("failed to look at {}", self.name))?;
        let (name, bytes) = (&self.name, self.bytes);
        ensure!(now.len() == bytes, "{name} changed while it was read: it had {bytes} bytes, and has {}", now.len());
        ensure!(now.modified().ok() == self.modified, "{name} changed while it was read: it has been written since");
        Ok(())
    }
}

/// How CSV files are written; Parquet needs none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvDialect {
    pub delimiter: u8,
    pub encoding: Encoding,
    /// About how many bytes are parsed at a time; the rows are the same for any number.
    pub block_bytes: usize,
}

impl CsvDialect {
    /// From 128 KiB to 2 MiB the speed is the same; this gives batches of 5,000 to 15,000 rows.
    pub const BLOCK_BYTES: usize = 1 << 20;
}

impl Default for CsvDialect {
    fn default() -> Self {
        CsvDialect { delimiter: b',', encoding: Encoding::Utf8, block_bytes: CsvDialect::BLOCK_BYTES }
    }
}

/// A column that the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// A file may lack it.
    pub optional: bool,
}

/// Neighbouring rows of one file.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Index into the files that were asked for.
    pub file: usize,
    /// The number of its first row: in a CSV file as a spreadsheet counts, so the header is row 1; in Parquet from 1.
    pub first_row: u64,
    /// In the order of the wanted columns; `None` is an optional column that this file lacks.
    pub columns: Vec<Option<Column>>,
    pub rows: usize,
}

impl Batch {
    /// A column that every file has.
    pub fn required(&self, place: usize) -> &Column {
        self.columns[place].as_ref().expect("required columns are there")
    }

    /// As [`Batch::required`], worked out in full.
    ///
    /// # Errors
    /// [`Damaged`](super::coded::Damaged) data.
    pub fn array(&self, place: usize) -> Result<&ArrayRef> {
        self.required(place).array()
    }

    /// A column that a file may lack, worked out in full.
    ///
    /// # Errors
    /// [`Damaged`](super::coded::Damaged) data.
    pub fn optional(&self, place: usize) -> Result<Option<&ArrayRef>> {
        self.columns[place].as_ref().map(Column::array).transpose()
    }
}

/// How many rows each file had, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCounts {
    pub rows_per_file: Vec<u64>,
}

impl ReadCounts {
    pub fn rows(&self) -> u64 {
        self.rows_per_file.iter().sum()
    }
}

/// All files of the given paths, globs and folders, each once, in the order of their names.
///
/// Folders are searched at any depth for names that end as CSV or Parquet files do; names that begin with `.` or `_`
/// are left out, as other engines do. A file that is named outright, or by a glob, may be called anything.
///
/// # Errors
/// Every problem: each pattern that matches nothing, and each file that is empty, unreadable or not what its name says.
pub fn find(base: &Path, patterns: &[String]) -> Result<Vec<InputFile>, Vec<String>> {
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    for pattern in patterns {
        match paths_of(base, pattern) {
            Ok(found) if found.is_empty() => problems.push(no_match(base, pattern)),
            Ok(found) => paths.extend(found),
            Err(error) => problems.push(format!("\"{pattern}\": {error:#}")),
        }
    }
    // Of several paths to one file the shortest stays, whichever pattern came first.
    paths.sort_by_cached_key(|path| (path.components().count(), path.clone()));
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    paths.sort_unstable();
    let mut files = Vec::new();
    for path in paths {
        match recognise(base, path) {
            Ok(file) => files.push(file),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn no_match(base: &Path, pattern: &str) -> String {
    let path = base.join(pattern);
    let hidden = fs::metadata(&path).err().filter(|error| error.kind() != ErrorKind::NotFound);
    if let Some(error) = hidden {
        format!("\"{pattern}\": {error}")
    } else if path.is_dir() {
        format!("\"{pattern}\": the folder holds no CSV or Parquet file")
    } else if pattern.contains(['*', '?', '[']) {
        format!("\"{pattern}\": no file matches, looked for from {}", base.display())
    } else {
        format!("\"{pattern}\": no such file, looked for at {}", path.display())
    }
}

fn paths_of(base: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    ensure!(!pattern.is_empty(), "a path is missing between the quotes");
    let path = base.join(pattern);
    let mut files = Vec::new();
    if path.exists() {
        // A name may hold a bracket; what is there is taken as it stands before it is taken for a pattern.
        add_files(path, &mut files)?;
        return Ok(files);
    }
    let absolute = Path::new(pattern).is_absolute();
    let escaped = glob::Pattern::escape(&base.to_string_lossy());
    let full = if absolute { pattern.to_owned() } else { Path::new(&escaped).join(pattern).to_string_lossy().into() };
    for entry in glob::glob(&full).context("not a pattern that can be searched for")? {
        add_files(entry.map_err(|error| anyhow!("{}: {}", error.path().display(), error.error()))?, &mut files)?;
    }
    Ok(files)
}

fn add_files(path: PathBuf, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path);
        return Ok(());
    }
    let context = || format!("failed to list the folder {}", path.display());
    for entry in fs::read_dir(&path).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let data = format_of_name(&name).is_some();
        if !name.starts_with(['.', '_']) && (data || entry.path().is_dir()) {
            add_files(entry.path(), files)?;
        }
    }
    Ok(())
}

/// What the end of a name in lower case promises.
fn format_of_name(name: &str) -> Option<Format> {
    match name.rsplit_once('.')?.1 {
        "csv" | "txt" | "tsv" | "psv" => Some(Format::Csv),
        "gz" => Some(Format::CsvGz),
        "zst" => Some(Format::CsvZst),
        "parquet" | "pq" | "parq" => Some(Format::Parquet),
        _ => None,
    }
}

fn recognise(base: &Path, path: PathBuf) -> Result<InputFile> {
    let name = name_of(base, &path);
    let context = || format!("failed to read {name}");
    let mut first = Vec::new();
    let file = File::open(&path).with_context(context)?;
    let metadata = file.metadata().with_context(context)?;
    ensure!(metadata.is_file(), "{name} is not a regular file");
    file.take(4).read_to_end(&mut first).with_context(context)?;
    ensure!(metadata.len() > 0, "{name} is empty: it has no header and no rows");
    let promised = format_of_name(&path.to_string_lossy().to_lowercase());
    let seen = match first.as_slice() {
        [0x1f, 0x8b, ..] => Format::CsvGz,
        [0x28, 0xb5, 0x2f, 0xfd] => Format::CsvZst,
        b"PAR1" => Format::Parquet,
        _ => Format::Csv,
    };
    match (promised, seen) {
        (Some(Format::Parquet), Format::CsvGz | Format::CsvZst | Format::Csv) => {
            bail!("{name} is not a Parquet file: it does not begin with PAR1")
        }
        (Some(Format::CsvGz), Format::Csv) => bail!("{name} is not a gzip file, as its name says"),
        (Some(Format::CsvZst), Format::Csv) => bail!("{name} is not a zstandard file, as its name says"),
        _ => {}
    }
    let partitions = partitions_of(&name);
    Ok(InputFile { path, name, format: seen, bytes: metadata.len(), modified: metadata.modified().ok(), partitions })
}

fn name_of(base: &Path, path: &Path) -> String {
    let path = path.strip_prefix(base).unwrap_or(path);
    let mut name = String::new();
    for part in path.components() {
        if !name.is_empty() && !name.ends_with('/') {
            name.push('/');
        }
        match part {
            Component::RootDir => name.push('/'),
            Component::CurDir => {}
            part => name.push_str(&part.as_os_str().to_string_lossy()),
        }
    }
    name
}

fn partitions_of(name: &str) -> Vec<(String, Option<String>)> {
    let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
    let stated = folders.split('/').filter_map(|folder| folder.split_once('='));
    let value = |text: &str| (text != "__HIVE_DEFAULT_PARTITION__").then(|| percent_decoded(text));
    stated.map(|(column, text)| (percent_decoded(column), value(text))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = if *first == b'%' { tail.get(..2).and_then(|hex| str::from_utf8(hex).ok()) } else { None };
        let code = code.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The names of a file's columns, without reading its rows; columns that its folders state come last.
pub fn header(file: &InputFile, dialect: &CsvDialect) -> Result<Vec<String>> {
    let mut names = match file.format {
        Format::Parquet => parquet::header(file)?,
        Format::Csv | Format::CsvGz | Format::CsvZst => csv::header(file, dialect)?,
    };
    for (name, _) in &file.partitions {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// The distinct values of one column in a sample of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    pub name: String,
    /// In order, each once; whole numbers and dates as text.
    pub distinct: Vec<Vec<u8>>,
}

/// How many places of a file a sample is taken from: its beginning, and others as far apart as can be.
pub(super) const SAMPLE_PLACES: u64 = 4;

/// A sample of every column of a file, whatever a run reads of it.
///
/// # Boundaries
/// A CSV file: about 256 KiB from each of four places; of a compressed one 1 MiB from each of four places of the first
/// 32 MiB that it unpacks to, since nobody can start in the middle of it. Parquet: 2,000 rows from each of four row groups. What cannot be read is left out: the
/// run itself will say what is wrong with it.
/// # Errors
/// A file that cannot be opened.
pub fn sample(file: &InputFile, dialect: &CsvDialect) -> Result<Vec<Sampled>> {
    let columns = match file.format {
        Format::Parquet => parquet::sample(file)?,
        Format::Csv | Format::CsvGz | Format::CsvZst => csv::sample(file, dialect)?,
    };
    let sampled = columns.into_iter().map(|(name, mut distinct)| {
        distinct.sort_unstable();
        distinct.dedup();
        Sampled { name, distinct }
    });
    Ok(sampled.collect())
}

/// How many rows a file has, or at most has: a row of text is taken to have 24 bytes, a third of that where packed.
pub fn rows_at_most(file: &InputFile) -> Result<u64> {
    match file.format {
        Format::Parquet => parquet::rows(file),
        Format::Csv => Ok(file.bytes / 24),
        Format::CsvGz | Format::CsvZst => Ok(file.bytes / 8),
    }
}

/// The SHA-256 of a file's bytes, in lower-case hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let context = || format!("failed to read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(bytes) => hash.update(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(context),
        }
    }
}

/// Wanted names that the header lacks, each with the name in the header that is most like it, if any is.
pub fn missing_columns(header: &[String], wanted: &[&str]) -> Vec<(String, Option<String>)> {
    let missing = wanted.iter().filter(|name| !header.iter().any(|found| found == *name));
    missing.map(|name| (name.to_string(), nearest(header, name))).collect()
}

fn nearest(header: &[String], name: &str) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '_', '-'], "");
    let name = plain(name);
    let likeness = |found: &String| strsim::jaro_winkler(&plain(found), &name);
    let scored = header.iter().map(|found| (likeness(found), found)).filter(|(score, _)| *score >= 0.8);
    // Of equals the first in the header.
    let best = scored.reduce(|best, next| if next.0.total_cmp(&best.0) == Ordering::Greater { next } else { best });
    best.map(|(_, found)| found.clone())
}

/// Where the values of a wanted column come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The file's column with this index.
    Column(usize),
    /// The names of the file's folders: one value for all rows, or none.
    Folder(ArrayRef),
    Absent,
}

/// One origin for each wanted column.
///
/// # Errors
/// All missing columns at once, each with the nearest name that is there; a wanted column that the header has twice.
pub(super) fn origins(file: &InputFile, header: &[String], wanted: &[Wanted]) -> Result<Vec<Origin>> {
    let name = &file.name;
    let mut all = header.to_vec();
    all.extend(file.partitions.iter().map(|(column, _)| column.clone()));
    let needed: Vec<&str> = wanted.iter().filter(|column| !column.optional).map(|column| column.name).collect();
    let missing = missing_columns(&all, &needed);
    if !missing.is_empty() {
        let hint = if header.len() == 1 { "; the header has one column, so check the delimiter" } else { "" };
        bail!("{name}: {}{hint}", describe_missing(&missing));
    }
    let origin = |column: &Wanted| -> Result<Origin> {
        let mut places = header.iter().enumerate().filter(|(_, found)| *found == column.name);
        if let Some((index, _)) = places.next() {
            let more = places.count();
            ensure!(more == 0, "{name}: the header has column \"{}\" {} times", column.name, more + 1);
            return Ok(Origin::Column(index));
        }
        let stated = file.partitions.iter().find(|(found, _)| found == column.name);
        Ok(stated.map_or(Origin::Absent, |(_, value)| Origin::Folder(Arc::new(StringArray::from(vec![value.clone()])))))
    };
    wanted.iter().map(origin).collect()
}

/// The missing columns of one file in words: `no column "sex"; no column "dob" (the nearest is "dob_month")`.
pub fn describe_missing(missing: &[(String, Option<String>)]) -> String {
    let words = missing.iter().map(|(name, nearest)| match nearest {
        Some(nearest) => format!("no column \"{name}\" (the nearest is \"{nearest}\")"),
        None => format!("no column \"{name}\""),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// The value of a folder's name, once for each row.
pub(super) fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let nulls = value.is_null(0).then(|| NullBuffer::new_null(rows));
    let keys = Int32Array::new(vec![0; rows].into(), nulls);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, value.clone())?))
}

/// Hands every row of the files to the sink, in batches of the wanted columns.
///
/// # Shape
/// CSV columns are text (`Utf8`) in which an empty field without quotes is null. Parquet columns keep their types, but
/// text is `Dictionary(Int32, Utf8)` where the file stores a row group's column with a dictionary, whose values are
/// then the same array in all batches of the row group, and `Utf8` elsewhere. Columns with dictionaries are worked out
/// when somebody asks for the array. A column stated by folders is a
/// dictionary of one value. The sink is called from the threads of the current rayon pool.
/// # Errors
/// The first problem by file and row, whatever the number of threads: a file that cannot be read, ends in the middle
/// of a row or changes while it is read, a missing column, or what the sink returns.
pub fn read(
    files: &[InputFile],
    wanted: &[Wanted],
    dialect: &CsvDialect,
    sink: &(dyn Fn(Batch) -> Result<()> + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<ReadCounts> {
    let rows = files.iter().map(|_| AtomicU64::new(0)).collect();
    let task = Task {
        files,
        wanted,
        dialect,
        sink,
        progress,
        rows,
        failure: Failure::default(),
        waiting: 0.into(),
        spare: Mutex::default(),
    };
    let jobs = Mutex::new(Jobs { next_file: 0, opened: None });
    let lanes = rayon::current_num_threads();
    rayon::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|scope| run_lane(&task, &jobs, scope));
        }
    });
    task.finish()
}

/// As [`read`], for one CSV file that lies in memory.
///
/// # Errors
/// As [`read`]; the file is called `input`.
pub fn read_bytes(
    bytes: &[u8],
    format: Format,
    wanted: &[Wanted],
    dialect: &CsvDialect,
    sink: &(dyn Fn(Batch) -> Result<()> + Sync),
) -> Result<ReadCounts> {
    let files = [in_memory(bytes, format)];
    let rows = vec![AtomicU64::new(0)];
    let task = Task {
        files: &files,
        wanted,
        dialect,
        sink,
        progress: &|_| {},
        rows,
        failure: Failure::default(),
        waiting: 0.into(),
        spare: Mutex::default(),
    };
    rayon::scope(|scope| csv::read_bytes(&task, bytes, scope));
    task.finish()
}

/// As [`header`], for one CSV file that lies in memory.
pub fn header_of(bytes: &[u8], format: Format, dialect: &CsvDialect) -> Result<Vec<String>> {
    csv::header_of(&in_memory(bytes, format), bytes, dialect)
}

fn in_memory(bytes: &[u8], format: Format) -> InputFile {
    let (path, name) = (PathBuf::new(), "input".to_owned());
    InputFile { path, name, format, bytes: bytes.len() as u64, modified: None, partitions: Vec::new() }
}

/// What all threads of one [`read`] share.
pub(super) struct Task<'a> {
    pub files: &'a [InputFile],
    pub wanted: &'a [Wanted<'a>],
    pub dialect: &'a CsvDialect,
    sink: &'a (dyn Fn(Batch) -> Result<()> + Sync),
    pub progress: &'a (dyn Fn(u64) + Sync),
    rows: Vec<AtomicU64>,
    pub failure: Failure,
    /// Blocks of CSV that have been handed to other threads and are not parsed yet.
    pub waiting: AtomicUsize,
    pub spare: Mutex<Vec<Vec<u8>>>,
}

impl Task<'_> {
    /// The rows, or the first failure.
    fn finish(self) -> Result<ReadCounts> {
        match self.failure.first.into_inner() {
            Ok(Some((_, error))) => Err(error),
            Ok(None) => Ok(ReadCounts { rows_per_file: self.rows.into_iter().map(AtomicU64::into_inner).collect() }),
            Err(_) => bail!("a thread stopped while it noted a failure"),
        }
    }

    pub(super) fn deliver(&self, batch: Batch) -> Result<()> {
        self.rows[batch.file].fetch_add(batch.rows as u64, Relaxed);
        (self.sink)(batch)
    }
}

/// A row of a file: earlier places win over later ones.
pub(super) type Place = (usize, u64);

/// The failure at the earliest place so far.
///
/// Work at earlier places goes on after a failure, and work at later ones does not: so the failure that is left at the
/// end is the first in the data, and not the first in time.
#[derive(Default)]
pub(super) struct Failure {
    first: Mutex<Option<(Place, anyhow::Error)>>,
    panicked: AtomicBool,
}

impl Failure {
    pub(super) fn note(&self, place: Place, error: anyhow::Error) {
        let Ok(mut first) = self.first.lock() else { return };
        if first.as_ref().is_none_or(|(earliest, _)| place < *earliest) {
            *first = Some((place, error));
        }
    }

    /// Whether work at this place can no longer matter.
    pub(super) fn is_before(&self, place: Place) -> bool {
        let first = |first: &Option<(Place, anyhow::Error)>| first.as_ref().is_some_and(|(first, _)| *first < place);
        self.panicked.load(Relaxed) || self.first.lock().map_or(true, |guard| first(&guard))
    }

    /// Stops all other work if the thread panics before the guard is dropped; the panic itself is rayon's to carry.
    pub(super) fn guard(&self) -> PanicGuard<'_> {
        PanicGuard(&self.panicked)
    }
}

pub(super) struct PanicGuard<'a>(&'a AtomicBool);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Relaxed);
        }
    }
}

enum Job {
    /// A CSV file, which shares its blocks out by itself.
    Text(usize),
    Part(Arc<parquet::Opened>, parquet::Part),
}

/// Files and parts of row groups in order, each given out once; the footers of at most one file are held for what is to come.
struct Jobs {
    next_file: usize,
    opened: Option<(Arc<parquet::Opened>, usize)>,
}

impl Jobs {
    fn next(&mut self, task: &Task) -> Option<Job> {
        loop {
            if let Some((opened, next)) = &mut self.opened {
                if let Some(&part) = opened.parts.get(*next) {
                    *next += 1;
                    return Some(Job::Part(opened.clone(), part));
                }
                self.opened = None;
            }
            let file = self.next_file;
            self.next_file += 1;
            if file >= task.files.len() || task.failure.is_before((file, 0)) {
                return None;
            }
            if task.files[file].format != Format::Parquet {
                return Some(Job::Text(file));
            }
            match parquet::open(task, file) {
                Ok(opened) => self.opened = Some((Arc::new(opened), 0)),
                Err(error) => task.failure.note((file, 0), error),
            }
        }
    }
}

fn run_lane<'a>(task: &'a Task<'a>, jobs: &Mutex<Jobs>, scope: &rayon::Scope<'a>) {
    let _guard = task.failure.guard();
    loop {
        // A lock that is poisoned means that a thread panicked: nothing is worth starting then.
        let job = jobs.lock().ok().and_then(|mut jobs| jobs.next(task));
        match job {
            Some(Job::Text(file)) => csv::read(task, file, scope),
            Some(Job::Part(opened, part)) => parquet::read_part(task, &opened, part),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use arrow_array::cast::AsArray;

    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn names(base: &Path, patterns: &[&str]) -> Vec<String> {
        let files = find(base, &owned(patterns)).unwrap();
        files.into_iter().map(|file| file.name).collect()
    }

    fn problems(base: &Path, patterns: &[&str]) -> Vec<String> {
        let problems = find(base, &owned(patterns)).unwrap_err();
        problems.iter().map(|problem| problem.replace(&base.display().to_string(), "BASE")).collect()
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    fn read_all(
        files: &[InputFile],
        threads: usize,
        sink: &(dyn Fn(Batch) -> Result<()> + Sync),
    ) -> Result<ReadCounts> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let dialect = CsvDialect { block_bytes: 64, ..CsvDialect::default() };
        let wanted = [Wanted { name: "a", optional: false }];
        pool.install(|| read(files, &wanted, &dialect, sink, &|_| {}))
    }

    #[test]
    fn files_are_found_once_each_and_in_order() {
        let files = [("b.csv", &b"a\n1\n"[..]), ("a.csv", b"a\n1\n"), ("deep/c.txt", b"a\n1\n"), ("deep/_c.csv", b"")];
        let folder = folder_with(&files);
        assert_eq!(names(folder.path(), &["b.csv", "*.csv"]), ["a.csv", "b.csv"]);
        assert_eq!(names(folder.path(), &["*.csv", "./b.csv", "deep/../a.csv"]), ["a.csv", "b.csv"]);
        assert_eq!(names(folder.path(), &["."]), ["a.csv", "b.csv", "deep/c.txt"]);
        assert_eq!(names(folder.path(), &["**/*.txt", "deep"]), ["deep/c.txt"]);
        let absolute = folder.path().join("a.csv").display().to_string();
        assert_eq!(names(folder.path(), &[&absolute]), ["a.csv"]);
    }

    #[test]
    fn a_base_folder_with_brackets_in_its_name_is_not_a_pattern() {
        let folder = folder_with(&[("data [1]/x[2].csv", b"a\n1\n")]);
        let base = folder.path().join("data [1]");
        assert_eq!(names(&base, &["*.csv"]), ["x[2].csv"]);
        assert_eq!(names(&base, &["x[2].csv"]), ["x[2].csv"]);
    }

    #[test]
    fn every_pattern_without_a_match_is_named() {
        let folder = folder_with(&[("a.csv", b"a\n"), ("notes/readme.md", b"hello")]);
        let expected = [
            "\"x.csv\": no such file, looked for at BASE/x.csv",
            "\"apc_*.csv\": no file matches, looked for from BASE",
            "\"notes\": the folder holds no CSV or Parquet file",
            "\"\": a path is missing between the quotes",
        ];
        assert_eq!(problems(folder.path(), &["a.csv", "x.csv", "apc_*.csv", "notes", ""]), expected);
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named_at_once() {
        let files = [("a.csv", &b""[..]), ("b.parquet", b"a,b\n"), ("c.csv.gz", b"a,b\n"), ("d.csv.zst", b"a,b\n")];
        let folder = folder_with(&files);
        let expected = [
            "a.csv is empty: it has no header and no rows",
            "b.parquet is not a Parquet file: it does not begin with PAR1",
            "c.csv.gz is not a gzip file, as its name says",
            "d.csv.zst is not a zstandard file, as its name says",
        ];
        assert_eq!(problems(folder.path(), &["*"]), expected);
    }

    #[test]
    fn the_first_bytes_say_how_a_file_of_any_name_is_read() {
        let files =
            [("a", &b"a,b\n"[..]), ("b.dat", b"\x1f\x8b\x08\0"), ("c.csv", b"\x28\xb5\x2f\xfd"), ("d", b"PAR1")];
        let folder = folder_with(&files);
        let formats: Vec<Format> =
            find(folder.path(), &owned(&["*"])).unwrap().iter().map(|file| file.format).collect();
        assert_eq!(formats, [Format::Csv, Format::CsvGz, Format::CsvZst, Format::Parquet]);
    }

    #[test]
    fn names_of_folders_state_columns() {
        let folder = folder_with(&[
            ("in/practice=A%2F81/year=__HIVE_DEFAULT_PARTITION__/x.csv", b"a,year\n1,2015\n"),
            ("in/practice=A%2F82/year=2014/x.csv", b"a\n1\n"),
        ]);
        let files = find(folder.path(), &owned(&["in"])).unwrap();
        assert_eq!(files[0].partitions, [("practice".to_owned(), Some("A/81".to_owned())), ("year".to_owned(), None)]);
        let dialect = CsvDialect::default();
        assert_eq!(header(&files[0], &dialect).unwrap(), ["a", "year", "practice"]);
        assert_eq!(header(&files[1], &dialect).unwrap(), ["a", "practice", "year"]);
        let wanted = [Wanted { name: "practice", optional: false }];
        let seen = Mutex::new(Vec::new());
        let sink = |batch: Batch| {
            let column = batch.array(0)?.clone();
            let dictionary = column.as_dictionary::<Int32Type>();
            let values = dictionary.downcast_dict::<StringArray>().unwrap();
            seen.lock().unwrap().extend(values.into_iter().map(|value| (batch.file, value.map(str::to_owned))));
            Ok(())
        };
        read(&files, &wanted, &dialect, &sink, &|_| {}).unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, [(0, Some("A/81".to_owned())), (1, Some("A/82".to_owned()))]);
    }

    #[test]
    fn a_missing_column_comes_with_the_nearest_that_is_there() {
        let header = owned(&["Admi Date", "epistart", "PSEUDO_HESID"]);
        let missing = missing_columns(&header, &["ADMIDATE", "epistart", "pseudo-hes-id", "imd04"]);
        let near = |wanted: &str, found: &str| (wanted.to_owned(), Some(found.to_owned()));
        let expected =
            [near("ADMIDATE", "Admi Date"), near("pseudo-hes-id", "PSEUDO_HESID"), ("imd04".to_owned(), None)];
        assert_eq!(missing, expected);
    }

    #[test]
    fn the_hash_is_that_of_the_bytes() {
        let folder = folder_with(&[("x", b"abc")]);
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&folder.path().join("x")).unwrap(), expected);
        assert!(sha256(&folder.path().join("y")).unwrap_err().to_string().starts_with("failed to read "));
    }

    fn lines(rows: usize, bad: Option<usize>) -> Vec<u8> {
        let line = |row: usize| if bad == Some(row) { "1,2,3\n" } else { "1,2\n" };
        let lines: String = (2..rows + 2).map(line).collect();
        format!("a,b\n{lines}").into_bytes()
    }

    #[test]
    fn the_first_failure_in_the_data_wins_on_any_number_of_threads() {
        let files: Vec<(String, Vec<u8>)> =
            (0..9).map(|file| (format!("{file}.csv"), lines(400, (file % 4 == 3).then_some(301)))).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        let folder = folder_with(&files);
        let files = find(folder.path(), &owned(&["*.csv"])).unwrap();
        for _ in 0..20 {
            for threads in [1, 4] {
                let error = read_all(&files, threads, &|_| Ok(())).unwrap_err();
                assert_eq!(format!("{error:#}"), "3.csv, row 301: 3 fields, the header has 2");
                let refuse = |batch: Batch| {
                    ensure!(batch.file < 2 || batch.first_row < 100, "refused {} {}", batch.file, batch.first_row);
                    Ok(())
                };
                let error = read_all(&files, threads, &refuse).unwrap_err();
                assert_eq!(format!("{error:#}"), "refused 2 114");
            }
        }
    }

    #[test]
    fn rows_are_counted_per_file() {
        let folder = folder_with(&[("0.csv", &lines(5, None)), ("1.csv", b"a,b\n"), ("2.csv", &lines(300, None))]);
        let files = find(folder.path(), &owned(&["*.csv"])).unwrap();
        let counts = read_all(&files, 3, &|_| Ok(())).unwrap();
        assert_eq!((counts.rows_per_file.as_slice(), counts.rows()), (&[5, 0, 300][..], 305));
    }

    #[test]
    fn a_panic_in_the_sink_is_carried_to_the_caller() {
        let folder = folder_with(&[("0.csv", &lines(5000, None)), ("1.csv", &lines(5000, None))]);
        let files = find(folder.path(), &owned(&["*.csv"])).unwrap();
        for threads in [1, 4] {
            let sink = |batch: Batch| {
                assert!(batch.first_row < 900, "a planted fault");
                Ok(())
            };
            assert!(catch_unwind(AssertUnwindSafe(|| read_all(&files, threads, &sink))).is_err());
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_named() {
        let folder = folder_with(&[("x.csv", &lines(50, None))]);
        let files = find(folder.path(), &owned(&["x.csv"])).unwrap();
        let append = |_| {
            let mut file = fs::OpenOptions::new().append(true).open(&files[0].path)?;
            Ok(file.write_all(b"1,2\n")?)
        };
        let error = format!("{:#}", read_all(&files, 1, &append).unwrap_err());
        assert!(error.starts_with("x.csv changed while it was read: it had 204 bytes, and has "), "{error}");
        fs::remove_file(&files[0].path).unwrap();
        let error = format!("{:#}", read_all(&files, 1, &|_| Ok(())).unwrap_err());
        assert!(error.starts_with("failed to look at x.csv: "), "{error}");
    }
}
