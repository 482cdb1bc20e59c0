//! Rows that do not fit the memory: one file a shard of people, written while sources are read.
//!
//! A shard is a stretch of neighbouring people. Threads append blocks of rows to its file, each block with the number
//! of the part that wrote it, since parts number their concepts for themselves until all rows are read. The first time
//! a shard is brought back its timelines are sorted and written in place of the rows; from then on it is only read.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result};

use super::{Blocks, Dealt, PEOPLE_IN_RANGE, Range, Row, Timelines};
use crate::event::Event;

/// Where rows go that do not fit the memory.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    /// As many as there are shards.
    files: Vec<Mutex<Option<BufWriter<File>>>>,
    people: usize,
    in_shard: usize,
    /// Bytes of rows that may be held in memory, and that are.
    limit: usize,
    held: AtomicUsize,
    parts: AtomicU32,
    has_written: AtomicBool,
    failure: Mutex<Option<io::Error>>,
    /// People whose rows are not brought back, and how many rows of each part those are.
    out: OnceLock<(Vec<u32>, Vec<usize>)>,
}

/// A thread writes its rows out once it holds this part of what all may hold: so many small writes are avoided.
const WORTH_WRITING: usize = 8;

impl Spill {
    /// A spill into files below a folder, which is made when the first row goes there.
    pub fn new(folder: &Path, people: usize, shards: usize, limit: usize) -> Spill {
        let in_shard = people.div_ceil(shards.max(1)).max(1);
        let files = (0..people.div_ceil(in_shard).max(1)).map(|_| Mutex::default()).collect();
        Spill {
            folder: folder.to_owned(),
            files,
            people,
            in_shard,
            limit,
            held: AtomicUsize::new(0),
            parts: AtomicU32::new(0),
            has_written: AtomicBool::new(false),
            failure: Mutex::default(),
            out: OnceLock::new(),
        }
    }

    pub(super) fn new_part(&self) -> u32 {
        self.parts.fetch_add(1, Relaxed)
    }

    /// Counts bytes that are now held; whether the thread, which holds `own`, is to write them out.
    pub(super) fn is_full_with(&self, more: usize, own: usize) -> bool {
        let held = self.held.fetch_add(more, Relaxed) + more;
        held > self.limit && own > self.limit / WORTH_WRITING
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn write(&self, part: u32, blocks: impl Iterator<Item = Vec<Row>>) {
        self.has_written.store(true, Relaxed);
        for block in blocks {
            for rows in block.chunk_by(|one, two| self.shard(one) == self.shard(two)) {
                if let Err(error) = self.append(self.shard(&rows[0]), part, rows) {
                    // Rows are pushed where nothing can fail; the run stops when all are read.
                    self.failure.lock().expect("no thread panicked").get_or_insert(error);
                }
            }
        }
    }

    /// Takes out the rows of these people, the same for every part; how many of this part they were.
    pub(super) fn remove(&self, part: u32, people: &[u32]) -> usize {
        let count = || {
            let counted =
                (0..self.files.len()).try_fold(vec![0; self.parts.load(Relaxed) as usize], |mut rows, shard| {
                    self.flush(shard)?;
                    if self.path(shard).exists() {
                        each_block(&self.path(shard), |part, block| {
                            let out = block.iter().filter(|row| people.binary_search(&row.person).is_ok());
                            rows[part] += out.count();
                        })?;
                    }
                    Ok(rows)
                });
            let counted = counted.unwrap_or_else(|error| {
                self.failure.lock().expect("no thread panicked").get_or_insert(error);
                vec![0; self.parts.load(Relaxed) as usize]
            });
            (people.to_vec(), counted)
        };
        self.out.get_or_init(count).1[part as usize]
    }

    fn flush(&self, shard: usize) -> io::Result<()> {
        let mut file = self.files[shard].lock().expect("no thread panicked while it wrote rows");
        file.as_mut().map_or(Ok(()), Write::flush)
    }

    fn shard(&self, row: &Row) -> usize {
        row.person as usize / self.in_shard
    }

    fn path(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("{shard:05}.rows"))
    }

    fn append(&self, shard: usize, part: u32, rows: &[Row]) -> io::Result<()> {
        let mut slot = self.files[shard].lock().expect("no thread panicked while it wrote rows");
        if slot.is_none() {
            fs::create_dir_all(&self.folder)?;
            *slot = Some(BufWriter::with_capacity(1 << 16, File::create(self.path(shard))?));
        }
        let file = slot.as_mut().expect("opened above");
        file.write_all(&part.to_le_bytes())?;
        file.write_all(&(rows.len() as u32).to_le_bytes())?;
        rows.iter().try_for_each(|row| {
            file.write_all(&row.person.to_le_bytes())?;
            file.write_all(&event_bytes(&row.event))
        })
    }

    /// The shards, where rows were spilled: then all rows are in them. Else the parts as they are.
    ///
    /// # Errors
    /// A row that could not be written.
    pub fn finish(&self, parts: Vec<(Dealt, Vec<u32>)>) -> Result<Spilled> {
        if !self.has_written.load(Relaxed) {
            return Ok(Spilled::Nothing(parts));
        }
        let mut names = vec![Vec::new(); self.parts.load(Relaxed) as usize];
        for (mut dealt, places) in parts {
            dealt.write_out();
            let spilling = dealt.spilling.as_ref().expect("every part of a run that spills may spill");
            names[spilling.part as usize] = places;
        }
        for shard in 0..self.files.len() {
            if let Err(error) = self.flush(shard) {
                self.failure.lock().expect("no thread panicked").get_or_insert(error);
            }
        }
        if let Some(error) = self.failure.lock().expect("no thread panicked").take() {
            return Err(error).with_context(|| format!("failed to write rows to {}", self.folder.display()));
        }
        Ok(Spilled::Shards(Shards {
            folder: self.folder.clone(),
            people: self.people,
            in_shard: self.in_shard,
            names: names.into_iter().map(Some).collect(),
            out: self.out.get().map_or(Vec::new(), |(people, _)| people.clone()),
            kept: None,
        }))
    }
}

/// What became of the rows of a run that may spill.
pub enum Spilled {
    Nothing(Vec<(Dealt, Vec<u32>)>),
    Shards(Shards),
}

/// Timelines on disk, a shard of people at a time. The folder goes when this is dropped.
#[derive(Debug)]
pub struct Shards {
    folder: PathBuf,
    people: usize,
    in_shard: usize,
    /// For each part: what its concepts are called in the whole.
    names: Vec<Option<Vec<u32>>>,
    /// People whose rows are not brought back.
    out: Vec<u32>,
    /// Where people were taken out: the numbers that the others had.
    kept: Option<Vec<u32>>,
}

impl Shards {
    pub fn count(&self) -> usize {
        self.people.div_ceil(self.in_shard).max(1)
    }

    /// The timelines of a shard's people.
    ///
    /// # Errors
    /// A file that cannot be read, or not be written the first time.
    pub fn open(&self, shard: usize) -> Result<Timelines> {
        let sorted = self.folder.join(format!("{shard:05}.sorted"));
        let first = shard * self.in_shard;
        let people = self.in_shard.min(self.people - first);
        let context = || format!("failed to bring back the rows in {}", self.folder.display());
        if sorted.exists() {
            return read_sorted(&sorted, people).with_context(context).map(|timelines| self.numbered(timelines, first));
        }
        let rows = self.folder.join(format!("{shard:05}.rows"));
        let by_range = match rows.exists() {
            true => read_rows(&rows, first, people, &self.out).with_context(context)?,
            false => (0..people.div_ceil(PEOPLE_IN_RANGE).max(1)).map(|_| Vec::new()).collect(),
        };
        let timelines = Timelines::of_ranges(first, people, PEOPLE_IN_RANGE, by_range, &self.names);
        write_sorted(&sorted, &timelines).with_context(context)?;
        if rows.exists() {
            fs::remove_file(&rows).with_context(context)?;
        }
        Ok(self.numbered(timelines, first))
    }

    /// The same timelines without some people, who have no events: `numbers` are those that the others had, in order.
    pub fn keep(&mut self, numbers: Vec<u32>) {
        self.kept = Some(numbers);
    }

    /// Gives the people of a shard, of whom the first had this number, the numbers that they have now.
    fn numbered(&self, mut timelines: Timelines, first: usize) -> Timelines {
        timelines.first = first as u32;
        if let Some(kept) = &self.kept {
            let place = |number: usize| kept.partition_point(|old| (*old as usize) < number);
            let (from, to) = (place(first), place(first + timelines.people));
            timelines.places = Some(kept[from..to].iter().map(|old| old - first as u32).collect());
            (timelines.first, timelines.people) = (from as u32, to - from);
        }
        timelines
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        // What is left here is cleared by the next run as well.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const EVENT_BYTES: usize = 16;
const ROW_BYTES: usize = 4 + EVENT_BYTES;

fn event_bytes(event: &Event) -> [u8; EVENT_BYTES] {
    let mut bytes = [0; EVENT_BYTES];
    bytes[..4].copy_from_slice(&event.day.to_le_bytes());
    bytes[4..8].copy_from_slice(&event.concept.to_le_bytes());
    bytes[8..12].copy_from_slice(&event.amount.to_le_bytes());
    bytes[12..14].copy_from_slice(&event.days.to_le_bytes());
    bytes[14..].copy_from_slice(&event.known_after.to_le_bytes());
    bytes
}

fn event_of(bytes: &[u8]) -> Event {
    let four = |from: usize| [bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]];
    Event {
        day: i32::from_le_bytes(four(0)),
        concept: u32::from_le_bytes(four(4)),
        amount: i32::from_le_bytes(four(8)),
        days: u16::from_le_bytes([bytes[12], bytes[13]]),
        known_after: u16::from_le_bytes([bytes[14], bytes[15]]),
    }
}

/// Calls `each` with every block of a file and the number of the part that wrote it.
fn each_block(path: &Path, mut each: impl FnMut(usize, Vec<Row>)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let mut left = file.get_ref().metadata()?.len();
    let mut bytes = Vec::new();
    while left > 0 {
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let [p0, p1, p2, p3, r0, r1, r2, r3] = header;
        let (part, rows) = (u32::from_le_bytes([p0, p1, p2, p3]), u32::from_le_bytes([r0, r1, r2, r3]));
        bytes.resize(rows as usize * ROW_BYTES, 0);
        file.read_exact(&mut bytes)?;
        left -= (header.len() + bytes.len()) as u64;
        let row = |bytes: &[u8]| Row {
            person: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            event: event_of(&bytes[4..]),
        };
        each(part as usize, bytes.chunks_exact(ROW_BYTES).map(row).collect());
    }
    Ok(())
}

fn read_rows(path: &Path, first: usize, people: usize, out: &[u32]) -> io::Result<Vec<Blocks>> {
    let mut by_range: Vec<Blocks> = (0..people.div_ceil(PEOPLE_IN_RANGE).max(1)).map(|_| Vec::new()).collect();
    each_block(path, |part, mut block| {
        if !out.is_empty() {
            block.retain(|row| out.binary_search(&row.person).is_err());
        }
        // A block lies in one range of all people, but shards begin anywhere.
        let range = |row: &Row| (row.person as usize - first) / PEOPLE_IN_RANGE;
        for rows in block.chunk_by(|one, two| range(one) == range(two)) {
            by_range[range(&rows[0])].push((rows.to_vec(), part));
        }
    })?;
    Ok(by_range)
}

fn write_sorted(path: &Path, timelines: &Timelines) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
    for range in &timelines.ranges {
        file.write_all(&(range.events.len() as u32).to_le_bytes())?;
        range.starts.iter().try_for_each(|start| file.write_all(&start.to_le_bytes()))?;
        range.events.iter().try_for_each(|event| file.write_all(&event_bytes(event)))?;
    }
    file.flush()
}

fn read_sorted(path: &Path, people: usize) -> io::Result<Timelines> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let mut ranges = Vec::new();
    let mut bytes = Vec::new();
    for range in 0..people.div_ceil(PEOPLE_IN_RANGE).max(1) {
        let people = PEOPLE_IN_RANGE.min(people.saturating_sub(range * PEOPLE_IN_RANGE));
        let mut read = |length: usize| -> io::Result<Vec<u8>> {
            bytes.resize(length, 0);
            file.read_exact(&mut bytes)?;
            Ok(std::mem::take(&mut bytes))
        };
        let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let events = number(&read(4)?) as usize;
        let starts = read(4 * (people + 1))?.chunks_exact(4).map(number).collect();
        let events = read(events * EVENT_BYTES)?.chunks_exact(EVENT_BYTES).map(event_of).collect();
        ranges.push(Range { starts, events });
    }
    Ok(Timelines { first: 0, people, ranges, places: None })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn row(n: u32, people: u32) -> Row {
        let event = Event { day: (n % 37) as i32 - 5, concept: n % 3, amount: n as i32, days: 1, known_after: 2 };
        Row { person: n.wrapping_mul(7_919) % people, event }
    }

    #[test]
    fn shards_hold_the_slices_that_the_memory_would() {
        let people = 9_000;
        let rows: Vec<Row> = (0..60_000).map(|n| row(n, people)).collect();
        let names = vec![2, 0, 1];
        let whole = Timelines::build(9_000, vec![(rows.iter().copied().collect(), Some(names.clone()))]);
        for shards in [1, 7, 64] {
            let folder = tempfile::tempdir().unwrap();
            let below = folder.path().join("shards");
            let spill = Arc::new(Spill::new(&below, 9_000, shards, 20_000));
            let mut parts = vec![Dealt::spilling(Some(&spill)), Dealt::spilling(Some(&spill))];
            rows.iter().enumerate().for_each(|(n, row)| parts[n % 2].push(*row));
            let parts = parts.into_iter().map(|part| (part, names.clone())).collect();
            let Spilled::Shards(spilled) = spill.finish(parts).unwrap() else { panic!("the rows do not fit") };
            assert_eq!(spilled.count(), shards);
            // The second time they come back from what the first time wrote.
            for _ in 0..2 {
                let mut next = 0;
                for shard in 0..spilled.count() {
                    let timelines = spilled.open(shard).unwrap();
                    for person in timelines.numbers() {
                        assert_eq!((person, timelines.of(person)), (next, whole.of(person)));
                        next += 1;
                    }
                }
                assert_eq!(next, people);
            }
            drop(spilled);
            assert!(!below.exists(), "nothing is left behind");
        }
    }

    #[test]
    fn people_who_are_taken_out_take_their_rows_along() {
        let rows: Vec<Row> = (0..20_000).map(|n| row(n, 900)).collect();
        let out: Vec<u32> = (0..900).filter(|person| person % 10 == 3).collect();
        let numbers: Vec<u32> = (0..900).filter(|person| person % 10 != 3).collect();
        let mut dealt: Dealt = rows.iter().copied().collect();
        let removed = dealt.remove(&out);
        let whole = Timelines::build(900, vec![(dealt, None)]).keep(numbers.clone());
        let folder = tempfile::tempdir().unwrap();
        let spill = Arc::new(Spill::new(&folder.path().join("shards"), 900, 7, 20_000));
        let mut dealt = Dealt::spilling(Some(&spill));
        rows.iter().for_each(|row| dealt.push(*row));
        assert_eq!(dealt.remove(&out), removed);
        assert_eq!(dealt.len() as u64, 20_000 - removed);
        let Spilled::Shards(mut spilled) = spill.finish(vec![(dealt, vec![0, 1, 2])]).unwrap() else {
            panic!("it spills")
        };
        spilled.keep(numbers);
        let mut next = 0;
        for timelines in (0..spilled.count()).map(|shard| spilled.open(shard).unwrap()) {
            for person in timelines.numbers() {
                assert_eq!((person, timelines.of(person)), (next, whole.of(person)));
                next += 1;
            }
        }
        assert_eq!(next, 810);
    }

    #[test]
    fn rows_that_fit_stay_in_memory() {
        let spill = Arc::new(Spill::new(Path::new("/nowhere"), 100, 3, 1 << 20));
        let mut dealt = Dealt::spilling(Some(&spill));
        (0..1_000).for_each(|n| dealt.push(row(n, 100)));
        let Spilled::Nothing(parts) = spill.finish(vec![(dealt, Vec::new())]).unwrap() else { panic!("it fits") };
        assert_eq!(parts[0].0.len(), 1_000);
    }

    #[test]
    fn a_folder_that_cannot_be_written_stops_the_run_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        fs::write(&file, "").unwrap();
        let spill = Arc::new(Spill::new(&file, 100, 3, 0));
        let mut dealt = Dealt::spilling(Some(&spill));
        (0..1_000).for_each(|n| dealt.push(row(n, 100)));
        let error = spill.finish(vec![(dealt, Vec::new())]).err().expect("a file is no folder");
        assert!(format!("{error:#}").starts_with(&format!("failed to write rows to {}", file.display())), "{error:#}");
    }
}
