//! CSV files to batches of text columns.
//!
//! One thread reads a file, unpacks it and cuts it into blocks at the ends of records; blocks are parsed by whichever
//! thread is free. Cutting has to know whether a line feed lies within quotes, and counts records on the way, so a row
//! has its number before any thread parses it. The thread that reads never waits: when enough blocks lie ready it
//! parses one itself, which bounds the memory and cannot lock up.
//!
//! Quotes are read as the `csv` crate reads them: a field is quoted if its first byte is a quote, a doubled quote is
//! one quote, and a quote elsewhere is text. Rows end with a line feed, with or without a carriage return before it.
//! An empty line is no record, but it counts as a row, as it does in a spreadsheet.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use memchr::{memchr, memchr_iter, memchr2, memrchr};
use rayon::Scope;

use super::files::{Batch, CsvDialect, Format, InputFile, Origin, Place, SAMPLE_PLACES, Task, origins, repeated};
use super::layout::Encoding;

/// A record longer than this is taken for one whose closing quote is missing; it bounds the memory too.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// A header with more columns than this is taken for one with another delimiter or line end; it bounds the memory too.
const COLUMNS_MAX: usize = 20_000;
/// How many bytes are looked at one by one before a vector search.
const NEAR_BYTES: usize = 16;
/// How many rows a batch that follows an empty line has room for at first.
const ROOM_AFTER_EMPTY_LINE: usize = 256;
const BOM: &[u8] = b"\xef\xbb\xbf";

pub(super) fn header(file: &InputFile, dialect: &CsvDialect) -> Result<Vec<String>> {
    Ok(Blocks::open(file, dialect, &|_| {}, &Mutex::default())?.header)
}

/// About how many bytes a sample takes from one place.
const SAMPLE_BYTES: usize = 1 << 18;

/// The places of a compressed file that are sampled, in MiB of what it unpacks to: it can only be read from its start.
const PACKED_PLACES: [usize; 4] = [0, 3, 12, 31];

/// The values of every column in some of a file's records, by column; records of another width are passed over.
pub(super) fn sample(file: &InputFile, dialect: &CsvDialect) -> Result<Vec<(String, Vec<Vec<u8>>)>> {
    let is_plain = file.format == Format::Csv;
    let block_bytes = if is_plain { SAMPLE_BYTES } else { SAMPLE_BYTES * SAMPLE_PLACES as usize };
    let spare = Mutex::default();
    let mut blocks = Blocks::open(file, &CsvDialect { block_bytes, ..*dialect }, &|_| {}, &spare)?;
    let mut columns: Vec<(String, Vec<Vec<u8>>)> =
        blocks.header.iter().map(|name| (name.clone(), Vec::new())).collect();
    let last = if is_plain { 0 } else { PACKED_PLACES[PACKED_PLACES.len() - 1] };
    for number in 0..=last {
        let Ok(Some(block)) = blocks.next() else { break };
        if PACKED_PLACES.contains(&number) {
            take_sample(in_utf8(block.bytes, blocks.encoding), blocks.delimiter, &mut columns);
        }
    }
    if is_plain && file.bytes > SAMPLE_PLACES * SAMPLE_BYTES as u64 {
        let context = || format!("failed to read {}", file.name);
        let mut opened = File::open(&file.path).with_context(context)?;
        for place in 1..SAMPLE_PLACES {
            let mut bytes = Vec::with_capacity(SAMPLE_BYTES);
            opened.seek(SeekFrom::Start(file.bytes / SAMPLE_PLACES * place)).with_context(context)?;
            opened.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut bytes).with_context(context)?;
            // From the first whole line to the last.
            let (first, last) = (memchr(b'\n', &bytes), memrchr(b'\n', &bytes));
            if let (Some(first), Some(last)) = (first, last) {
                take_sample(in_utf8(bytes[first..last].to_vec(), blocks.encoding), blocks.delimiter, &mut columns);
            }
        }
    }
    Ok(columns)
}

fn take_sample(bytes: Vec<u8>, delimiter: u8, columns: &mut [(String, Vec<Vec<u8>>)]) {
    let (mut at, mut record) = (0, Vec::new());
    while at < bytes.len() {
        let mut field = Vec::new();
        let end = copy_field(&bytes, at, delimiter, &mut field);
        record.push(field);
        at = end + 1;
        if bytes.get(end) != Some(&delimiter) {
            if record.len() == columns.len() {
                columns.iter_mut().zip(&mut record).for_each(|((_, values), value)| values.push(std::mem::take(value)));
            }
            record.clear();
        }
    }
}

/// Delivers the rows of one file; blocks are left for other threads through the scope.
pub(super) fn read<'a>(task: &'a Task<'a>, file: usize, scope: &Scope<'a>) {
    let mut row = 0;
    if let Err(error) = share_out(task, file, scope, &mut row) {
        // A file that changed explains whatever else went wrong with it.
        let error = task.files[file].check_unchanged().err().unwrap_or(error);
        task.failure.note((file, row), error);
    }
}

fn share_out<'a>(task: &'a Task<'a>, file: usize, scope: &Scope<'a>, row: &mut u64) -> Result<()> {
    let input = &task.files[file];
    input.check_unchanged()?;
    let blocks = Blocks::open(input, task.dialect, task.progress, &task.spare)?;
    share_out_blocks(task, file, blocks, scope, row)?;
    input.check_unchanged()
}

/// Delivers the rows of one file that lies in memory.
pub(super) fn read_bytes<'a>(task: &'a Task<'a>, bytes: &'a [u8], scope: &Scope<'a>) {
    let mut row = 0;
    let blocks = Blocks::over(&task.files[0], task.dialect, bytes, &task.spare);
    if let Err(error) = blocks.and_then(|blocks| share_out_blocks(task, 0, blocks, scope, &mut row)) {
        task.failure.note((0, row), error);
    }
}

/// The names of the columns of a file that lies in memory.
pub(super) fn header_of(file: &InputFile, bytes: &[u8], dialect: &CsvDialect) -> Result<Vec<String>> {
    Ok(Blocks::over(file, dialect, bytes, &Mutex::default())?.header)
}

fn share_out_blocks<'a>(
    task: &'a Task<'a>,
    file: usize,
    mut blocks: Blocks<'a>,
    scope: &Scope<'a>,
    row: &mut u64,
) -> Result<()> {
    let plan = Arc::new(Plan::new(task, file, &blocks)?);
    let threads = rayon::current_num_threads();
    loop {
        *row = blocks.next_row;
        if task.failure.is_before((file, *row)) {
            return Ok(());
        }
        let Some(block) = blocks.next()? else { return Ok(()) };
        // Where there is one thread, nobody else could take the block, and it would only grow cold.
        if threads == 1 || task.waiting.load(Relaxed) >= 2 * threads {
            parse_and_deliver(task, &plan, block);
        } else {
            task.waiting.fetch_add(1, Relaxed);
            let plan = plan.clone();
            scope.spawn(move |_| {
                task.waiting.fetch_sub(1, Relaxed);
                parse_and_deliver(task, &plan, block);
            });
        }
    }
}

/// Whole records of one file.
struct Block {
    bytes: Vec<u8>,
    first_row: u64,
    /// How many records and empty lines it holds.
    rows: usize,
    /// Its last record has no line end: the file ends there.
    ends_open: bool,
}

/// A file as blocks, in order.
struct Blocks<'a> {
    name: &'a str,
    reader: Box<dyn Read + 'a>,
    delimiter: u8,
    encoding: Encoding,
    block_bytes: usize,
    header: Vec<String>,
    /// The number of the first row in `rest`.
    next_row: u64,
    /// Bytes that have been read and not been handed out; they begin with a record.
    rest: Vec<u8>,
    at_end: bool,
    /// Why it cannot be read on; what was read before is used first.
    failed: Option<io::Error>,
    /// Buffers of blocks that have been parsed.
    spare: &'a Mutex<Vec<Vec<u8>>>,
}

/// How far a buffer has been searched for the ends of records.
#[derive(Default)]
struct Cut {
    searched: usize,
    in_quotes: bool,
    rows: usize,
    /// Where the last whole record ends.
    end: usize,
}

impl<'a> Blocks<'a> {
    fn open(
        file: &'a InputFile,
        dialect: &CsvDialect,
        progress: &'a (dyn Fn(u64) + Sync),
        spare: &'a Mutex<Vec<Vec<u8>>>,
    ) -> Result<Blocks<'a>> {
        let opened = File::open(&file.path).with_context(|| format!("failed to read {}", file.name))?;
        Blocks::over(file, dialect, Counted { file: opened, progress }, spare)
    }

    /// The blocks of a file whose bytes come from a reader.
    fn over(
        file: &'a InputFile,
        dialect: &CsvDialect,
        bytes: impl Read + 'a,
        spare: &'a Mutex<Vec<Vec<u8>>>,
    ) -> Result<Blocks<'a>> {
        let context = || format!("failed to read {}", file.name);
        let reader: Box<dyn Read> = match file.format {
            Format::CsvGz => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 18, bytes))),
            Format::CsvZst => Box::new(zstd::Decoder::new(bytes).with_context(context)?),
            Format::Csv | Format::Parquet => Box::new(bytes),
        };
        let mut blocks = Blocks {
            name: &file.name,
            reader,
            delimiter: dialect.delimiter,
            encoding: dialect.encoding,
            block_bytes: dialect.block_bytes.clamp(1, RECORD_BYTES_MAX),
            header: Vec::new(),
            next_row: 1,
            rest: Vec::new(),
            at_end: false,
            failed: None,
            spare,
        };
        blocks.take_header()?;
        Ok(blocks)
    }

    fn take_header(&mut self) -> Result<()> {
        let mut length = self.block_bytes.clamp(BOM.len(), 1 << 12);
        self.fill(length);
        self.take_mark()?;
        let end = loop {
            self.fill(length);
            while let Some(length) = empty_line(&self.rest, 0).filter(|_| self.at_end || self.rest != b"\r") {
                self.rest.drain(..length);
                self.next_row += 1;
            }
            match (first_record_end(&self.rest, self.delimiter), self.failed.take()) {
                (Some(end), failed) => {
                    self.failed = failed;
                    break end;
                }
                (None, Some(error)) => return Err(self.broken(error)),
                (None, None) if self.at_end => break self.rest.len(),
                (None, None) => length = self.longer(length)?,
            }
        };
        ensure!(end > 0, "{} has no header: its first row has to name the columns", self.name);
        let record: Vec<u8> = self.rest.drain(..end).collect();
        let place = || format!("{}, row {}", self.name, self.next_row);
        self.header = names(record, self.delimiter, self.encoding).with_context(place)?;
        self.next_row += 1;
        Ok(())
    }

    /// Takes away the mark that some systems write before the text to state its encoding.
    fn take_mark(&mut self) -> Result<()> {
        let utf16 = self.rest.starts_with(b"\xff\xfe") || self.rest.starts_with(b"\xfe\xff");
        ensure!(!utf16, "{} is utf-16 text: save it as utf-8", self.name);
        if self.rest.starts_with(BOM) {
            self.rest.drain(..BOM.len());
            self.encoding = Encoding::Utf8;
        }
        Ok(())
    }

    /// The next block, of about the wanted size. A failure is in row `next_row`.
    fn next(&mut self) -> Result<Option<Block>> {
        let mut cut = Cut::default();
        let mut length = self.block_bytes;
        loop {
            self.fill(length);
            cut.search(&self.rest, self.delimiter, self.at_end);
            let whole = self.at_end && !cut.in_quotes;
            if whole && !self.rest.is_empty() {
                let ends_open = cut.end < self.rest.len();
                return Ok(Some(self.hand_out(Vec::new(), cut.rows + usize::from(ends_open), ends_open)));
            }
            if cut.end > 0 {
                let mut rest = self.spare.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
                rest.clear();
                rest.extend_from_slice(&self.rest[cut.end..]);
                self.rest.truncate(cut.end);
                return Ok(Some(self.hand_out(rest, cut.rows, false)));
            }
            // Only now, so that what is wrong with the rows before is found as well.
            match self.failed.take() {
                Some(error) => return Err(self.broken(error)),
                None if whole => return Ok(None),
                None if self.at_end => {
                    bail!("{} ends in the middle of row {}: a quote is still open", self.name, self.next_row)
                }
                None => length = self.longer(length)?,
            }
        }
    }

    fn hand_out(&mut self, rest: Vec<u8>, rows: usize, ends_open: bool) -> Block {
        let first_row = self.next_row;
        self.next_row += rows as u64;
        Block { bytes: std::mem::replace(&mut self.rest, rest), first_row, rows, ends_open }
    }

    /// Reads until so many bytes lie ready, the file ends, or it cannot be read on.
    fn fill(&mut self, length: usize) {
        let more = length.saturating_sub(self.rest.len());
        if more > 0 && !self.at_end && self.failed.is_none() {
            self.rest.reserve_exact(more);
            match self.reader.by_ref().take(more as u64).read_to_end(&mut self.rest) {
                Ok(bytes) => self.at_end = bytes < more,
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn longer(&self, length: usize) -> Result<usize> {
        let (name, row, max) = (self.name, self.next_row, RECORD_BYTES_MAX >> 20);
        ensure!(length < RECORD_BYTES_MAX, "{name}, row {row}: no end within {max} MiB; is a closing quote missing?");
        Ok(2 * length)
    }

    /// What to say of a file that cannot be read or unpacked further.
    fn broken(&self, error: io::Error) -> Error {
        let (name, row) = (self.name, self.next_row);
        if error.kind() == ErrorKind::UnexpectedEof {
            return anyhow!("{name} ends in the middle of row {row}: the compressed data is cut short");
        }
        Error::new(error).context(format!("failed to read {name} at row {row}"))
    }
}

/// A file that says how much of it has been read.
struct Counted<'a> {
    file: File,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.progress)(bytes as u64);
        Ok(bytes)
    }
}

impl Cut {
    /// Goes on to the end of the bytes, or to a quote at the end that may turn out to be half of a doubled one.
    fn search(&mut self, bytes: &[u8], delimiter: u8, at_end: bool) {
        while self.searched < bytes.len() {
            let quote = find(b'"', bytes, self.searched);
            if !self.in_quotes {
                self.count_rows(bytes, quote);
                self.searched = bytes.len().min(quote + 1);
                let opens = quote == 0 || bytes[quote - 1] == delimiter || bytes[quote - 1] == b'\n';
                self.in_quotes = opens && quote < bytes.len();
                continue;
            }
            match bytes.get(quote + 1) {
                Some(b'"') => self.searched = quote + 2,
                None if quote < bytes.len() && !at_end => {
                    self.searched = quote;
                    return;
                }
                _ => {
                    self.in_quotes = quote == bytes.len();
                    self.searched = bytes.len().min(quote + 1);
                }
            }
        }
    }

    fn count_rows(&mut self, bytes: &[u8], to: usize) {
        let part = &bytes[self.searched..to];
        let Some(last) = memrchr(b'\n', part) else { return };
        self.rows += memchr_iter(b'\n', &part[..=last]).count();
        self.end = self.searched + last + 1;
    }
}

/// The length of the empty line at this place, if there is one.
fn empty_line(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at..] {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] => Some(1),
        _ => None,
    }
}

fn first_record_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = skip_field(bytes, at, delimiter);
        match bytes.get(end)? {
            b'\n' => return Some(end + 1),
            _ => at = end + 1,
        }
    }
}

/// The fields of a header.
fn names(record: Vec<u8>, delimiter: u8, encoding: Encoding) -> Result<Vec<String>> {
    let record = in_utf8(record, encoding);
    let (mut names, mut at) = (Vec::new(), 0);
    loop {
        let mut name = Vec::new();
        let end = copy_field(&record, at, delimiter, &mut name);
        let name = String::from_utf8(name).map_err(|_| anyhow!(NOT_UTF8))?;
        ensure!(!name.contains('\r'), "a carriage return within a name: rows have to end with a line feed");
        names.push(name.trim().to_owned());
        ensure!(
            names.len() <= COLUMNS_MAX,
            "more than {COLUMNS_MAX} columns: is it another delimiter, or is the end of the header missing?"
        );
        if record.get(end) != Some(&delimiter) {
            return Ok(names);
        }
        at = end + 1;
    }
}

/// The first place from here on with the byte, or the end.
///
/// Most fields are shorter than the call of a vector search is worth.
#[inline]
fn find(byte: u8, bytes: &[u8], from: usize) -> usize {
    let near = bytes.len().min(from + NEAR_BYTES);
    match bytes[from..near].iter().position(|other| *other == byte) {
        Some(found) => from + found,
        None => memchr(byte, &bytes[near..]).map_or(bytes.len(), |found| near + found),
    }
}

/// The first place from here on where a field without quotes ends.
#[inline]
fn find_end(delimiter: u8, bytes: &[u8], from: usize) -> usize {
    let near = bytes.len().min(from + NEAR_BYTES);
    match bytes[from..near].iter().position(|byte| *byte == delimiter || *byte == b'\n') {
        Some(found) => from + found,
        None => memchr2(delimiter, b'\n', &bytes[near..]).map_or(bytes.len(), |found| near + found),
    }
}

/// The end of the field that begins here: the place of its delimiter or line feed, or the end of the bytes.
fn skip_field(bytes: &[u8], at: usize, delimiter: u8) -> usize {
    let mut at = at;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        loop {
            at = bytes.len().min(find(b'"', bytes, at) + 1);
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
    }
    find_end(delimiter, bytes, at)
}

/// As `skip_field`; adds what the field says to `out`.
fn copy_field(bytes: &[u8], at: usize, delimiter: u8, out: &mut Vec<u8>) -> usize {
    let mut from = at;
    if bytes.get(at) == Some(&b'"') {
        from += 1;
        loop {
            let quote = find(b'"', bytes, from);
            out.extend_from_slice(&bytes[from..quote]);
            from = bytes.len().min(quote + 1);
            if bytes.get(from) != Some(&b'"') {
                break;
            }
            out.push(b'"');
            from += 1;
        }
    }
    let end = find_end(delimiter, bytes, from);
    out.extend_from_slice(&bytes[from..without_return(bytes, from, end, delimiter)]);
    end
}

/// The end of a field's text: before the carriage return that belongs to the end of the row.
fn without_return(bytes: &[u8], from: usize, end: usize, delimiter: u8) -> usize {
    let ends_row = bytes.get(end) != Some(&delimiter);
    end - usize::from(ends_row && end > from && bytes[end - 1] == b'\r')
}

const NOT_UTF8: &str = "not utf-8 text; encoding = \"windows-1252\" would read it";

/// The same text in UTF-8; bytes that are said to be UTF-8 are left as they are.
fn in_utf8(bytes: Vec<u8>, encoding: Encoding) -> Vec<u8> {
    if encoding == Encoding::Utf8 || bytes.is_ascii() {
        return bytes;
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    text.extend(bytes.iter().map(|byte| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    }));
    text.into_bytes()
}

/// What Windows-1252 has in place of the control codes 0x80 to 0x9f; the five that it leaves free stay as they are.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

const UNWANTED: usize = usize::MAX;

/// How the records of one file become columns.
struct Plan {
    file: usize,
    delimiter: u8,
    encoding: Encoding,
    /// For each field of a record the slot that it goes to, or [`UNWANTED`].
    slots: Vec<usize>,
    /// For each slot the name of its column.
    slot_names: Vec<String>,
    origins: Vec<Origin>,
}

impl Plan {
    fn new(task: &Task, file: usize, blocks: &Blocks) -> Result<Plan> {
        let origins = origins(&task.files[file], &blocks.header, task.wanted)?;
        let mut slots = vec![UNWANTED; blocks.header.len()];
        let mut slot_names = Vec::new();
        for origin in &origins {
            if let Origin::Column(index) = origin
                && slots[*index] == UNWANTED
            {
                slots[*index] = slot_names.len();
                slot_names.push(blocks.header[*index].clone());
            }
        }
        Ok(Plan { file, delimiter: blocks.delimiter, encoding: blocks.encoding, slots, slot_names, origins })
    }
}

/// A column that grows by one value a row.
struct Text {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Text {
    fn new(rows: usize) -> Text {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Text { values: Vec::with_capacity(8 * rows), offsets, nulls: NullBufferBuilder::new(rows) }
    }

    /// Ends the value whose bytes have been added; an empty one is null unless it was quoted.
    #[inline]
    fn end_value(&mut self, quoted: bool) {
        let end = self.values.len() as i32;
        let null = !quoted && self.offsets[self.offsets.len() - 1] == end;
        self.offsets.push(end);
        self.nulls.append(!null);
    }

    /// The column, or the index of the first value that is not UTF-8.
    fn finish(mut self) -> Result<ArrayRef, usize> {
        let nulls = self.nulls.finish();
        let (offsets, values) = (ScalarBuffer::from(self.offsets), Buffer::from_vec(self.values));
        let bad = |offsets: &[i32]| {
            let value = |pair: &[i32]| values.slice_with_length(pair[0] as usize, (pair[1] - pair[0]) as usize);
            offsets.windows(2).position(|pair| str::from_utf8(&value(pair)).is_err())
        };
        match StringArray::try_new(OffsetBuffer::new(offsets.clone()), values.clone(), nulls) {
            Ok(column) => Ok(Arc::new(column)),
            Err(_) => Err(bad(&offsets).unwrap_or(0)),
        }
    }
}

/// A failure at a row.
type Failed = (u64, Error);

fn parse_and_deliver(task: &Task, plan: &Plan, block: Block) {
    let _guard = task.failure.guard();
    let place: Place = (plan.file, block.first_row);
    if task.failure.is_before(place) {
        return;
    }
    if let Err((row, error)) = Parser::new(task, plan, &block).run(block) {
        task.failure.note((plan.file, row), error);
    }
}

struct Parser<'a> {
    task: &'a Task<'a>,
    plan: &'a Plan,
    /// The first row of the batch that is being made.
    first_row: u64,
    rows: usize,
    columns: Vec<Text>,
    /// How many rows the block has from the batch's first on.
    rows_ahead: usize,
}

impl<'a> Parser<'a> {
    fn new(task: &'a Task<'a>, plan: &'a Plan, block: &Block) -> Parser<'a> {
        // A record has at least a byte a field, so a block of empty lines makes no room for as many records.
        let rows = block.rows.min(block.bytes.len() / plan.slots.len().max(1) + 1);
        let columns = plan.slot_names.iter().map(|_| Text::new(rows)).collect();
        Parser { task, plan, first_row: block.first_row, rows: 0, columns, rows_ahead: block.rows }
    }

    fn run(mut self, block: Block) -> Result<(), Failed> {
        let bytes = in_utf8(block.bytes, self.plan.encoding);
        let mut at = 0;
        while at < bytes.len() {
            if let Some(length) = empty_line(&bytes, at) {
                self.deliver(1)?;
                at += length;
                continue;
            }
            let (fields, end) = self.record(&bytes, at);
            if fields != self.plan.slots.len() {
                let last = block.ends_open && end >= bytes.len();
                return Err(self.wrong_width(fields, last));
            }
            self.rows += 1;
            at = end + 1;
        }
        if let Ok(mut spare) = self.task.spare.lock() {
            spare.push(bytes);
        }
        self.deliver(0)
    }

    /// Adds one record to the columns: how many fields it has, and where it ends.
    #[inline]
    fn record(&mut self, bytes: &[u8], at: usize) -> (usize, usize) {
        let delimiter = self.plan.delimiter;
        let (mut at, mut fields) = (at, 0);
        loop {
            let slot = self.plan.slots.get(fields).copied().unwrap_or(UNWANTED);
            fields += 1;
            let end = match self.columns.get_mut(slot) {
                Some(column) => {
                    let quoted = bytes.get(at) == Some(&b'"');
                    let end = copy_field(bytes, at, delimiter, &mut column.values);
                    column.end_value(quoted);
                    end
                }
                None => skip_field(bytes, at, delimiter),
            };
            if bytes.get(end) != Some(&delimiter) {
                return (fields, end);
            }
            at = end + 1;
        }
    }

    /// What is wrong with the row after those in the batch, unless an earlier row is not text.
    fn wrong_width(mut self, fields: usize, last: bool) -> Failed {
        let (rows, row, wanted) = (self.rows, self.first_row + self.rows as u64, self.plan.slots.len());
        let name = &self.task.files[self.plan.file].name;
        let has = if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") };
        let error = if last && fields < wanted {
            anyhow!("{name} ends in the middle of row {row}: {has}, the header has {wanted}")
        } else {
            anyhow!("{name}, row {row}: {has}, the header has {wanted}")
        };
        match self.finish_columns() {
            Err((earlier, cause)) if earlier < self.first_row + rows as u64 => (earlier, cause),
            _ => (row, error),
        }
    }

    /// Hands on the rows so far and begins a new batch after so many rows that hold no record.
    fn deliver(&mut self, skipped: usize) -> Result<(), Failed> {
        let (file, first_row, rows) = (self.plan.file, self.first_row, self.rows);
        self.rows_ahead -= rows + skipped;
        if rows > 0 {
            let arrays = self.finish_columns()?;
            let column = |origin: &Origin| match origin {
                Origin::Column(field) => Ok(Some(arrays[self.plan.slots[*field]].clone().into())),
                Origin::Folder(value) => repeated(value, rows).map(|array| Some(array.into())),
                Origin::Absent => Ok(None),
            };
            let columns: Result<Vec<_>> = self.plan.origins.iter().map(column).collect();
            let delivered = columns.and_then(|columns| self.task.deliver(Batch { file, first_row, columns, rows }));
            delivered.map_err(|error| (first_row, error))?;
        }
        self.first_row += (rows + skipped) as u64;
        self.rows = 0;
        Ok(())
    }

    /// The columns so far, leaving empty ones; or the first row that is not text in one of them.
    fn finish_columns(&mut self) -> Result<Vec<ArrayRef>, Failed> {
        // Only an empty line among rows lets more come; where many do, no batch makes room for all that is ahead.
        let room = self.rows_ahead.min(ROOM_AFTER_EMPTY_LINE);
        let next = self.columns.iter().map(|_| Text::new(room)).collect();
        let columns = std::mem::replace(&mut self.columns, next);
        let finished: Vec<Result<ArrayRef, usize>> = columns.into_iter().map(Text::finish).collect();
        let bad = |(slot, column): (usize, &Result<ArrayRef, usize>)| column.as_ref().err().map(|row| (*row, slot));
        if let Some((row, slot)) = finished.iter().enumerate().filter_map(bad).min() {
            let (file, row) = (&self.task.files[self.plan.file].name, self.first_row + row as u64);
            let name = &self.plan.slot_names[slot];
            return Err((row, anyhow!("{file}, row {row}, column \"{name}\": {NOT_UTF8}")));
        }
        Ok(finished.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::Mutex;

    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::super::files::{Wanted, find, read};
    use super::*;

    const TINY: [usize; 6] = [1, 2, 3, 7, 64, 1 << 20];

    type Row = (u64, Vec<Option<String>>);

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn dialect(block_bytes: usize) -> CsvDialect {
        CsvDialect { block_bytes, ..CsvDialect::default() }
    }

    /// The rows of one file in order, or the message.
    fn rows_of(
        name: &str,
        bytes: &[u8],
        wanted: &[&str],
        dialect: CsvDialect,
        threads: usize,
    ) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        let files = find(folder.path(), &[name.to_owned()]).map_err(|problems| problems.join("\n"))?;
        let wanted: Vec<Wanted> = wanted.iter().map(|name| Wanted { name, optional: false }).collect();
        let (rows, consumed) = (Mutex::new(Vec::new()), Mutex::new(0));
        let sink = |batch: Batch| {
            assert!(batch.rows > 0, "a batch holds rows");
            for row in 0..batch.rows {
                let columns = batch.columns.iter().flatten().map(|column| column.array().unwrap().as_string::<i32>());
                let values = columns.map(|text| text.is_valid(row).then(|| text.value(row).to_owned()));
                rows.lock().unwrap().push((batch.first_row + row as u64, values.collect()));
            }
            Ok(())
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let progress = |bytes| *consumed.lock().unwrap() += bytes;
        let counts = pool.install(|| read(&files, &wanted, &dialect, &sink, &progress));
        let counts = counts.map_err(|error| format!("{error:#}"))?;
        let mut rows = rows.into_inner().unwrap();
        rows.sort();
        assert_eq!(counts.rows(), rows.len() as u64);
        assert_eq!(consumed.into_inner().unwrap(), files[0].bytes, "all bytes are reported as read");
        Ok(rows)
    }

    /// The message that reading the text gives, the same for any block size and number of threads.
    fn message_for(name: &str, bytes: &[u8], wanted: &[&str]) -> String {
        let message = |block, threads| rows_of(name, bytes, wanted, dialect(block), threads).unwrap_err();
        let first = message(1 << 20, 1);
        for block in TINY {
            assert_eq!(message(block, 1), first, "block of {block}");
            assert_eq!(message(block, 4), first, "block of {block}");
        }
        first
    }

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some(value.to_string())).collect()
    }

    #[test]
    fn rows_are_numbered_as_in_a_spreadsheet() {
        let rows = rows_of("x.csv", b"a,b\n1,2\n\n3,4\r\n\r\n\n5,6", &["b"], dialect(1 << 20), 1).unwrap();
        assert_eq!(rows, [(2, some(&["2"])), (4, some(&["4"])), (7, some(&["6"]))]);
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_are_wanted() {
        let rows = rows_of("x.csv", b"a,b,c\n1,2,3\n", &["c", "a", "c"], dialect(1 << 20), 1).unwrap();
        assert_eq!(rows, [(2, some(&["3", "1", "3"]))]);
    }

    #[test]
    fn an_empty_field_is_null_unless_it_is_quoted() {
        let rows = rows_of("x.csv", b"a,b\n,\"\"\n1,\n", &["a", "b"], dialect(1 << 20), 1).unwrap();
        assert_eq!(rows, [(2, vec![None, Some(String::new())]), (3, vec![Some("1".to_owned()), None])]);
    }

    #[test]
    fn a_header_alone_is_a_file_of_no_rows() {
        for text in ["a,b", "a,b\n", "a,b\r\n", "\n\na,b\n\n\n"] {
            assert_eq!(rows_of("x.csv", text.as_bytes(), &["a"], dialect(1), 2), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn marks_delimiters_and_encodings_are_read_as_set() {
        let windows = CsvDialect { encoding: Encoding::Windows1252, delimiter: b';', ..CsvDialect::default() };
        let rows = rows_of("x.csv", b"\xa3;b\nCaf\xe9;\x80\n", &["\u{a3}", "b"], windows, 1).unwrap();
        assert_eq!(rows, [(2, some(&["Café", "€"]))]);
        // The mark says more than the setting.
        let rows = rows_of("x.csv", "\u{feff}a;b\nCafé;€\n".as_bytes(), &["a", "b"], windows, 1).unwrap();
        assert_eq!(rows, [(2, some(&["Café", "€"]))]);
        for delimiter in [b'\t', b'|'] {
            let dialect = CsvDialect { delimiter, ..CsvDialect::default() };
            let text = format!("a{0}b\n1,5{0}\"2{0}\"\n", char::from(delimiter));
            let rows = rows_of("x.txt", text.as_bytes(), &["a", "b"], dialect, 1).unwrap();
            assert_eq!(rows, [(2, vec![Some("1,5".to_owned()), Some(format!("2{}", char::from(delimiter)))])]);
        }
    }

    #[test]
    fn compressed_files_of_several_members_are_read_through() {
        let packed = [gz(b"a,b\n1,\"2\n"), gz(b"2\"\n3,4\n")].concat();
        let rows = rows_of("x.csv.gz", &packed, &["a", "b"], dialect(5), 2).unwrap();
        assert_eq!(rows, [(2, some(&["1", "2\n2"])), (3, some(&["3", "4"]))]);
        let packed: Vec<u8> =
            [&b"a,b\n1,"[..], b"2\n"].iter().flat_map(|part| zstd::encode_all(*part, 1).unwrap()).collect();
        let rows = rows_of("x.csv.zst", &packed, &["a", "b"], dialect(5), 2).unwrap();
        assert_eq!(rows, [(2, some(&["1", "2"]))]);
    }

    #[test]
    fn a_row_of_another_width_is_named() {
        let text = b"a,b,c\n1,2,3\n\"x\ny\",2,3\n1,2\n1,2,3\n";
        assert_eq!(message_for("x.csv", text, &["a"]), "x.csv, row 4: 2 fields, the header has 3");
        assert_eq!(message_for("x.csv", b"a,b\n1\n", &["a"]), "x.csv, row 2: 1 field, the header has 2");
        assert_eq!(message_for("x.csv", b"a,b\n1,2,3", &["a"]), "x.csv, row 2: 3 fields, the header has 2");
    }

    #[test]
    fn a_file_that_ends_in_the_middle_of_a_row_is_named() {
        let short = "x.csv ends in the middle of row 3: 1 field, the header has 2";
        assert_eq!(message_for("x.csv", b"a,b\n1,2\n3", &["a"]), short);
        assert_eq!(message_for("x.csv", b"a,b\n1,2\n3,4,5\n6", &["a"]), "x.csv, row 3: 3 fields, the header has 2");
        let open = "x.csv ends in the middle of row 3: a quote is still open";
        assert_eq!(message_for("x.csv", b"a,b\n1,2\n3,\"4\n5,6\n", &["a"]), open);
    }

    #[test]
    fn a_compressed_file_that_is_cut_short_is_named() {
        let text: String = (0..2000).map(|row| format!("{row},{}\n", (row * 7919) % 2003)).collect();
        let text = format!("a,b\n{text}");
        let packed = gz(text.as_bytes());
        let message = message_for("x.csv.gz", &packed[..packed.len() / 2], &["a"]);
        assert!(message.starts_with("x.csv.gz ends in the middle of row "), "{message}");
        assert!(message.ends_with(": the compressed data is cut short"), "{message}");
        let message = message_for("x.csv.gz", &packed[..packed.len() - 4], &["a"]);
        assert_eq!(message, "x.csv.gz ends in the middle of row 2002: the compressed data is cut short");
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let message = message_for("x.csv.zst", &packed[..packed.len() - 9], &["a"]);
        assert!(message.starts_with("x.csv.zst ends in the middle of row "), "{message}");
    }

    #[test]
    fn damaged_compressed_data_is_named() {
        let mut packed = gz(b"a,b\n1,2\n3,4\n");
        let end = packed.len() - 6;
        packed[end] ^= 1;
        let message = message_for("x.csv.gz", &packed, &["a"]);
        assert!(message.starts_with("failed to read x.csv.gz at row "), "{message}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_with_the_setting_that_reads_them() {
        let text = b"a,b\n1,2\n3,Caf\xe9\n5,\xff\n";
        let expected = "x.csv, row 3, column \"b\": not utf-8 text; encoding = \"windows-1252\" would read it";
        assert_eq!(message_for("x.csv", text, &["a", "b"]), expected);
        // Of two problems the earlier row is named, though widths are checked first.
        assert_eq!(message_for("x.csv", b"a,b\n1,2\n3,Caf\xe9\n5\n", &["a", "b"]), expected);
        let expected = "x.csv, row 1: not utf-8 text; encoding = \"windows-1252\" would read it";
        assert_eq!(message_for("x.csv", b"\xa3,b\n1,2\n", &["b"]), expected);
        assert_eq!(message_for("x.csv", b"\xff\xfea\0", &["a"]), "x.csv is utf-16 text: save it as utf-8");
    }

    #[test]
    fn missing_and_doubled_columns_are_named() {
        let text = b"Admi_Date, sex ,dob,dob\n1,2,3,4\n";
        let expected = "x.csv: no column \"ADMIDATE\" (the nearest is \"Admi_Date\"); no column \"postcode\"";
        assert_eq!(message_for("x.csv", text, &["ADMIDATE", "sex", "postcode"]), expected);
        assert_eq!(message_for("x.csv", text, &["sex", "dob"]), "x.csv: the header has column \"dob\" 2 times");
        let expected = "x.csv: no column \"a\"; the header has one column, so check the delimiter";
        assert_eq!(message_for("x.csv", b"id;x\n1;2\n", &["a"]), expected);
        assert_eq!(message_for("x.csv", b"\n\n", &["a"]), "x.csv has no header: its first row has to name the columns");
    }

    #[test]
    fn rows_that_end_with_carriage_returns_alone_are_refused() {
        let expected = "x.csv, row 1: a carriage return within a name: rows have to end with a line feed";
        assert_eq!(message_for("x.csv", b"a,b\r1,2\r", &["a"]), expected);
    }

    #[test]
    fn a_row_without_an_end_is_refused_before_it_fills_the_memory() {
        let mut text = b"a,b\n1,2\n1,\"".to_vec();
        text.resize(text.len() + 2 * RECORD_BYTES_MAX, b'\n');
        let message = rows_of("x.csv", &text, &["a"], dialect(1 << 20), 1).unwrap_err();
        assert_eq!(message, "x.csv, row 3: no end within 16 MiB; is a closing quote missing?");
    }

    /// A linear congruential generator: the same cases in every run.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end
        }

        fn pick<'a>(&mut self, parts: &[&'a str]) -> &'a str {
            parts[self.below(parts.len())]
        }
    }

    fn random_field(draw: &mut Draw) -> String {
        let parts = ["a", "bc", "é", "1", " ", "\"\"", ",", "\n", "\r\n", "\r"];
        let quoted = draw.below(3) == 0;
        let mut text = String::new();
        for _ in 0..draw.below(5) {
            // A bare carriage return ends a row for the other reader, so it only stands within quotes.
            text.push_str(draw.pick(if quoted { &parts } else { &parts[..5] }));
        }
        match quoted {
            true => format!("\"{text}\"{}", draw.pick(&["", "", "", "x", "y\"z"])),
            // A quote in the middle is text.
            false => format!("{text}{}", if text.is_empty() { "" } else { draw.pick(&["", "", "\"", "\"q"]) }),
        }
    }

    fn expected_rows(text: &str) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn any_bytes_are_read_alike_in_blocks_of_any_size() {
        let parts: [&[u8]; 11] = [b"a", b"b", b",", b"\n", b"\r\n", b"\"", b"\r", b"\xff", b"\xc3", b"\xa9", b"\"\""];
        let draw = &mut Draw(11);
        for case in 0..300 {
            let mut bytes = if draw.below(3) > 0 { b"a,b\n".to_vec() } else { Vec::new() };
            (0..1 + draw.below(40)).for_each(|_| bytes.extend_from_slice(parts[draw.below(parts.len())]));
            let first = rows_of("x.csv", &bytes, &["a"], dialect(1 << 20), 1);
            for block in [1, 2, 5, 17] {
                let again = rows_of("x.csv", &bytes, &["a"], dialect(block), 1 + draw.below(4));
                assert_eq!(again, first, "case {case}, block {block}: {}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn random_files_are_read_as_another_reader_reads_them() {
        let draw = &mut Draw(7);
        for case in 0..200 {
            let mut text = "p,q,r".to_owned();
            for _ in 0..draw.below(12) {
                text.push_str(draw.pick(&["\n", "\r\n", "\n\n"]));
                let fields: Vec<String> = (0..3).map(|_| random_field(draw)).collect();
                text.push_str(&fields.join(","));
            }
            text.push_str(draw.pick(&["", "\n", "\r\n"]));
            let expected = expected_rows(&text);
            let first = rows_of("x.csv", text.as_bytes(), &["p", "q", "r"], dialect(1 << 20), 1).unwrap();
            let values = |rows: &[Row]| -> Vec<Vec<String>> {
                rows.iter().map(|row| row.1.iter().map(|value| value.clone().unwrap_or_default()).collect()).collect()
            };
            assert_eq!(values(&first), expected, "case {case}: {text:?}");
            for block in [1 + draw.below(5), 1 + draw.below(40)] {
                let threads = 1 + draw.below(4);
                let again = rows_of("x.csv", text.as_bytes(), &["p", "q", "r"], dialect(block), threads);
                assert_eq!(again.as_ref(), Ok(&first), "case {case}, block {block}, {threads} threads: {text:?}");
            }
        }
    }
}
