//! For the body that sends an extract: identifiers out, pseudonyms in, before anything leaves.
//!
//! A CSV file is read row by row, chosen columns are replaced by one pseudonym, and the rest is written as it was. The
//! pseudonym is a keyed digest, the same for the same person and key in every file, so that feeds of several bodies
//! link where they share the key. The key is in no output, message or log, and nothing here, or elsewhere in this
//! program, turns a pseudonym back into a person. Whoever holds the key could try all NHS numbers one by one: so the
//! key stays with the senders, and never comes to those who analyse.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::ByteRecord;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::ingest::files::{self, CsvDialect, Format, InputFile, Sampled};
use crate::ingest::identifiers::{self, About, Rules, passes_check_digit, ten_digits};
use crate::model::library::hex;

/// A key has at least this many bytes: as many as its digest.
pub const KEY_BYTES_MIN: usize = 32;

/// How a pseudonym is made of a person's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// SHA-256 of the values, in the order of the fields' names and without blanks, and the key (there called the salt)
    /// behind them: the digest of OpenPseudonymiser.
    OpenPseudonymiser,
    /// HMAC-SHA-256 under the key of the same values, with the byte 31 between two of them.
    HmacSha256,
}

/// What becomes of a row whose NHS number is no NHS number, or that lacks a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Nothing is written.
    Stop,
    /// The row is left out.
    Drop,
    /// The row is kept with an empty pseudonym, which a run then counts as a row without a person.
    Blank,
}

/// A column that goes into the pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub column: String,
    /// The name that decides its place among the others; all senders have to use the same.
    pub name: String,
    /// Ten digits with a check digit, spaced or not.
    pub is_nhs_number: bool,
}

impl Field {
    /// From `COLUMN` or `COLUMN=NAME`.
    pub fn parse(text: &str, is_nhs_number: bool) -> Field {
        let (column, name) = text.split_once('=').unwrap_or((text, text));
        Field { column: column.to_owned(), name: name.to_owned(), is_nhs_number }
    }
}

pub struct Request {
    pub file: PathBuf,
    pub out: PathBuf,
    pub fields: Vec<Field>,
    /// Columns that are left out besides.
    pub drop: Vec<String>,
    /// Columns that look like identifiers and are sent all the same.
    pub keep: Vec<String>,
    /// The name of the new column.
    pub into: String,
    pub method: Method,
    pub key: Key,
    pub invalid: Invalid,
    pub delimiter: u8,
}

/// A secret: it has no `Debug`, and nothing prints it.
pub struct Key(Vec<u8>);

impl Key {
    /// Reads a key file; one line end behind the key does not count.
    ///
    /// # Errors
    /// A file that others than its owner may read, or a key of fewer than [`KEY_BYTES_MIN`] bytes.
    pub fn read(path: &Path) -> Result<Key> {
        let context = || format!("failed to read the key file {}", path.display());
        let mut file = File::open(path).with_context(context)?;
        check_private(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(context)?;
        for end in [b"\n", b"\r"] {
            if bytes.ends_with(end) {
                bytes.pop();
            }
        }
        ensure!(
            bytes.len() >= KEY_BYTES_MIN,
            "the key file {} holds fewer than {KEY_BYTES_MIN} bytes; `openssl rand -hex 32` makes a key that is long enough",
            path.display()
        );
        Ok(Key(bytes))
    }

    /// A key of these bytes, of any length.
    pub fn new(bytes: &[u8]) -> Key {
        Key(bytes.to_vec())
    }
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().with_context(|| format!("failed to look at {}", path.display()))?.permissions().mode();
    ensure!(
        mode & 0o077 == 0,
        "the key file {} may be read or written by others than its owner (mode {:03o}); `chmod 600` takes that away",
        path.display(),
        mode & 0o777
    );
    Ok(())
}

/// Systems whose permissions are not those of Unix are left to their administrators.
#[cfg(not(unix))]
fn check_private(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// The pseudonym of values that stand in the order of their fields' names, as 64 hexadecimal digits.
///
/// # Source
/// OpenPseudonymiser: openpseudonymiser.org, frequently asked questions; its test vectors are tests here. HMAC: RFC 2104.
pub fn digest(method: Method, values: &[&[u8]], key: &Key) -> String {
    match method {
        Method::OpenPseudonymiser => {
            let mut hash = Sha256::new();
            values.iter().for_each(|value| hash.update(value));
            hash.update(&key.0);
            hex(&hash.finalize())
        }
        Method::HmacSha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    mac.update(&[31]);
                }
                mac.update(value);
            }
            hex(&mac.finalize().into_bytes())
        }
    }
}

/// A value as it is digested: without spaces; an NHS number as its ten digits. `None` where there is none.
fn normalised(value: &[u8], is_nhs_number: bool) -> Result<Vec<u8>, Lack> {
    let trimmed = value.trim_ascii();
    if trimmed.is_empty() {
        return Err(Lack::Missing);
    }
    if !is_nhs_number {
        return Ok(trimmed.iter().copied().filter(|byte| *byte != b' ').collect());
    }
    let digits = ten_digits(trimmed).filter(passes_check_digit).ok_or(Lack::Invalid)?;
    Ok(digits.iter().map(|digit| digit + b'0').collect())
}

/// Why a row has no pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Missing,
    Invalid,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub rows: u64,
    pub pseudonymised: u64,
    /// Rows that lack a field.
    pub missing: u64,
    /// Rows whose NHS number has not ten digits, or the wrong check digit.
    pub invalid: u64,
    /// The first rows without a pseudonym; the header is row 1.
    pub first_lacking: Vec<u64>,
}

/// Whose fault it is that nothing was written.
#[derive(Debug)]
pub enum Fault {
    Input(anyhow::Error),
    Output(anyhow::Error),
}

/// Writes the file anew with a pseudonym in the place of the fields; it appears whole, or not at all.
///
/// # Errors
/// A file that is no CSV or that ends early, a column that is not there, an output that exists; columns that would
/// leave and look like identifiers; with [`Invalid::Stop`], rows without a valid NHS number.
pub fn pseudonymise(request: &Request, progress: &dyn Fn(u64)) -> Result<Summary, Fault> {
    let file = input_file(&request.file).map_err(Fault::Input)?;
    let places = Places::new(request, &file).map_err(Fault::Input)?;
    if request.out.exists() {
        let what = anyhow!("{} exists; name a file that is not there yet", request.out.display());
        return Err(Fault::Output(what));
    }
    let part = part_of(&request.out);
    let done = write_part(request, &file, &places, &part, progress)
        .and_then(|summary| stop_where_asked(request, summary).map_err(Fault::Input))
        .and_then(|summary| {
            fs::rename(&part, &request.out).map(|()| summary).map_err(|error| failed(&request.out, error))
        });
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

fn failed(path: &Path, error: impl Into<anyhow::Error>) -> Fault {
    Fault::Output(error.into().context(format!("failed to write {}", path.display())))
}

fn input_file(path: &Path) -> Result<InputFile> {
    let found = files::find(Path::new(""), &[path.to_string_lossy().into_owned()]);
    let mut found = found.map_err(|problems| anyhow!(problems.join("\n")))?;
    ensure!(found.len() == 1, "{} is not one file", path.display());
    let file = found.remove(0);
    ensure!(file.format != Format::Parquet, "{} is Parquet; export it as CSV first", file.name);
    Ok(file)
}

/// The file beside the output that is written first.
fn part_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    out.with_file_name(name)
}

/// Which columns are digested, and which are written.
struct Places {
    /// In the order of the fields' names: column, and whether it is an NHS number.
    fields: Vec<(usize, bool)>,
    /// The column whose place the pseudonym takes.
    first: usize,
    kept: Vec<usize>,
    header: Vec<String>,
}

impl Places {
    fn new(request: &Request, file: &InputFile) -> Result<Places> {
        let dialect = CsvDialect { delimiter: request.delimiter, ..CsvDialect::default() };
        let sampled = files::sample(file, &dialect)?;
        let header: Vec<String> = sampled.iter().map(|column| column.name.clone()).collect();
        let mut all: Vec<&str> = request.fields.iter().map(|field| field.column.as_str()).collect();
        ensure!(!all.is_empty(), "no column is named; --nhs-number or --column says what the pseudonym is made of");
        all.extend(request.drop.iter().chain(&request.keep).map(String::as_str));
        let missing = files::missing_columns(&header, &all);
        ensure!(missing.is_empty(), "{}: {}", file.name, files::describe_missing(&missing));
        let place = |column: &str| header.iter().position(|name| name == column).expect("looked for above");
        let mut fields = request.fields.clone();
        fields.sort_by(|one, two| one.name.cmp(&two.name));
        for pair in fields.windows(2) {
            ensure!(
                pair[0].name != pair[1].name,
                "two fields are named \"{}\"; names decide their order",
                pair[0].name
            );
        }
        let fields: Vec<(usize, bool)> =
            fields.iter().map(|field| (place(&field.column), field.is_nhs_number)).collect();
        let first = fields.iter().map(|(place, _)| *place).min().expect("there is a field");
        let is_gone =
            |place: &usize| fields.iter().any(|(field, _)| field == place) || request.drop.contains(&header[*place]);
        let kept: Vec<usize> = (0..header.len()).filter(|place| !is_gone(place)).collect();
        ensure!(
            kept.iter().all(|place| header[*place] != request.into),
            "{}: a column \"{}\" is there already; --into names the new column otherwise",
            file.name,
            request.into
        );
        check_what_leaves(request, file, kept.iter().map(|place| &sampled[*place]))?;
        Ok(Places { fields, first, kept, header })
    }

    /// The columns of an output row in order; `None` is the pseudonym.
    fn columns(&self) -> impl Iterator<Item = Option<usize>> {
        let before = self.kept.iter().copied().filter(|place| *place < self.first).map(Some);
        let behind = self.kept.iter().copied().filter(|place| *place > self.first).map(Some);
        before.chain([None]).chain(behind)
    }
}

/// Refuses to send columns that look like identifiers.
fn check_what_leaves<'s>(request: &Request, file: &InputFile, kept: impl Iterator<Item = &'s Sampled>) -> Result<()> {
    let found = kept.filter(|column| !request.keep.contains(&column.name)).filter_map(|column| {
        let about = About { header: &column.name, ..About::default() };
        let finding = identifiers::judge(about, column.distinct.iter().map(|value| &value[..]), &Rules::default())?;
        Some(format!("{}: column \"{}\": {}", file.name, column.name, finding.describe()))
    });
    let found: Vec<String> = found.collect();
    ensure!(
        found.is_empty(),
        "{}\nsuch a column would leave with the file; --drop COLUMN leaves it out, --keep COLUMN sends it all the same",
        found.join("\n")
    );
    Ok(())
}

fn write_part(
    request: &Request,
    file: &InputFile,
    places: &Places,
    part: &Path,
    progress: &dyn Fn(u64),
) -> Result<Summary, Fault> {
    let mut reader = reader(request, file, progress).map_err(Fault::Input)?;
    let created = File::create(part).map_err(|error| failed(part, error))?;
    let mut writer =
        csv::WriterBuilder::new().delimiter(request.delimiter).from_writer(BufWriter::with_capacity(1 << 20, created));
    let names = places.columns().map(|place| place.map_or(request.into.as_str(), |place| &places.header[place]));
    writer.write_record(names).map_err(|error| failed(part, error))?;
    let mut summary = Summary::default();
    let mut record = ByteRecord::new();
    let broken = |error: csv::Error| Fault::Input(anyhow!(error).context(format!("failed to read {}", file.name)));
    while reader.read_byte_record(&mut record).map_err(broken)? {
        let pseudonym = pseudonym(request, places, &record, &mut summary);
        if let Some(pseudonym) = pseudonym {
            let cells = places.columns().map(|place| place.map_or(pseudonym.as_bytes(), |place| &record[place]));
            writer.write_record(cells).map_err(|error| failed(part, error))?;
        }
    }
    let mut buffer = writer.into_inner().map_err(|error| failed(part, anyhow!("{}", error.error())))?;
    buffer.flush().and_then(|()| buffer.get_ref().sync_all()).map_err(|error| failed(part, error))?;
    file.check_unchanged().map_err(Fault::Input)?;
    Ok(summary)
}

fn reader<'a>(
    request: &Request,
    file: &'a InputFile,
    progress: &'a dyn Fn(u64),
) -> Result<csv::Reader<Box<dyn Read + 'a>>> {
    let context = || format!("failed to read {}", file.name);
    let opened = Counted { file: File::open(&file.path).with_context(context)?, progress };
    let bytes: Box<dyn Read> = match file.format {
        Format::CsvGz => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 18, opened))),
        Format::CsvZst => Box::new(zstd::Decoder::new(opened).with_context(context)?),
        Format::Csv => Box::new(opened),
        Format::Parquet => bail!("{} is Parquet", file.name),
    };
    Ok(csv::ReaderBuilder::new().delimiter(request.delimiter).buffer_capacity(1 << 18).from_reader(bytes))
}

/// A file that says how much of it has been read.
struct Counted<'a> {
    file: File,
    progress: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.progress)(bytes as u64);
        Ok(bytes)
    }
}

/// The pseudonym of a row; empty or none where it lacks one, as was asked for.
fn pseudonym(request: &Request, places: &Places, record: &ByteRecord, summary: &mut Summary) -> Option<String> {
    summary.rows += 1;
    let values = places.fields.iter().map(|(place, is_nhs_number)| normalised(&record[*place], *is_nhs_number));
    match values.collect::<Result<Vec<_>, Lack>>() {
        Ok(values) => {
            summary.pseudonymised += 1;
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            Some(digest(request.method, &values, &request.key))
        }
        Err(lack) => {
            match lack {
                Lack::Missing => summary.missing += 1,
                Lack::Invalid => summary.invalid += 1,
            }
            if summary.first_lacking.len() < 5 {
                summary.first_lacking.push(summary.rows + 1);
            }
            (request.invalid == Invalid::Blank).then(String::new)
        }
    }
}

fn stop_where_asked(request: &Request, summary: Summary) -> Result<Summary> {
    let lacking = summary.missing + summary.invalid;
    if request.invalid == Invalid::Stop && lacking > 0 {
        let rows: Vec<String> = summary.first_lacking.iter().map(u64::to_string).collect();
        bail!(
            "{lacking} of {} rows have no pseudonym: {} lack a value, {} have no valid NHS number (first at row {}); nothing was written. --invalid drop leaves such rows out, --invalid blank keeps them without a pseudonym",
            summary.rows,
            summary.missing,
            summary.invalid,
            rows.join(", ")
        );
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields as a sender types them, and the key; the digest that they give.
    fn open_pseudonymiser(fields: &[(&str, &str)], key: &str) -> String {
        let mut fields = fields.to_vec();
        fields.sort();
        let values: Vec<Vec<u8>> =
            fields.iter().map(|(_, value)| normalised(value.as_bytes(), false).unwrap()).collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        digest(Method::OpenPseudonymiser, &values, &Key::new(key.as_bytes()))
    }

    #[test]
    fn the_digest_is_that_of_open_pseudonymiser() {
        // The first two: openpseudonymiser.org, frequently asked questions. The third: drcjar/OpenPseudonymiser
        // at 2e03ee5, CryptoTest.java.
        for (fields, salt, digest) in [
            (&[("NHSNumber", "123456789")][..], "", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
            (
                &[("NHSNumber", "123456789")],
                "hello",
                "a4455e6581b78d69e569895c2b615dfa90a6cd56938e40ca91edd26e44deedfe",
            ),
            (
                &[("NHSNumber", "943 476 5919"), ("DOB", "29.11.1973")],
                "mackerel",
                "ed72f814b7905f3d3958749fa90fe657c101ec657402783db68cbe3513e76087",
            ),
        ] {
            assert_eq!(open_pseudonymiser(fields, salt), digest);
        }
    }

    #[test]
    fn the_keyed_digest_is_that_of_the_published_test_case() {
        // RFC 4231, test case 2.
        let key = Key::new(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(digest(Method::HmacSha256, &[b"what do ya want for nothing?"], &key), expected);
        assert_ne!(digest(Method::HmacSha256, &[b"ab", b"c"], &key), digest(Method::HmacSha256, &[b"a", b"bc"], &key));
    }

    #[test]
    fn an_nhs_number_is_its_ten_digits_however_it_is_written() {
        for text in ["9434765919", " 943 476 5919 ", "943-476-5919"] {
            assert_eq!(normalised(text.as_bytes(), true), Ok(b"9434765919".to_vec()), "{text}");
        }
        assert_eq!(normalised(b"9434765918", true), Err(Lack::Invalid));
        assert_eq!(normalised(b"  ", true), Err(Lack::Missing));
        assert_eq!(normalised(b" 29 11 1973 ", false), Ok(b"29111973".to_vec()));
    }
}
