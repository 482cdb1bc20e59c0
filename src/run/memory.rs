//! How much memory a run may take, and what it does with that.
//!
//! People, their scores at one as-of date and the buffers of reading are held in memory whatever the bound; events are
//! what grows, and events are what goes to disk. The needs are worked out from the row counts of the files before any
//! row is read, so that a bound that cannot be kept is refused at once.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Loaded, Prepared};
use crate::event::Event;
use crate::ingest::files;
use crate::ingest::layout::Builds;
use crate::model::{Kind, Model};
use crate::settings::Memory;
use crate::timeline::Spill;

const MIB: u64 = 1 << 20;
/// The program, its models, and what each thread reads into: a row group's pages and batches of them.
const BASE: u64 = 64 * MIB;
const PER_THREAD: u64 = 32 * MIB;
/// A person on the spine: pseudonym, key, dates, registrations, words.
const PER_PERSON: u64 = 220;
/// A person's score of one model at one date, with rank and band.
const PER_SCORE: u64 = 48;
/// A fact, as it is scored and as it is written.
const PER_FACT: u64 = 8;
/// The same two while they wait to be written.
const PER_SCORED: u64 = 16;
const PER_FACT_SCORED: u64 = 4;
/// What several dates may take however small the timelines are.
const ROOM_FOR_DATES: u64 = 128 * MIB;
/// An episode, or a row that may have copies, until all of them are read.
const PER_KEPT_ROW: u64 = 96;
/// The least that is left for events.
const EVENTS_MIN: u64 = 32 * MIB;
/// An event while it is dealt out, and the row and the event while it is sorted.
const PER_EVENT: u64 = 20;

/// What a run needs of memory and disk.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    people: u64,
    /// Of every source together.
    rows: u64,
    /// Whatever the bound.
    held: u64,
}

impl Needs {
    /// From the row counts of the files.
    ///
    /// # Errors
    /// A file that cannot be looked at.
    pub fn of(prepared: &Prepared) -> Result<Needs> {
        let count = |input: &crate::ingest::Input| -> Result<u64> { input.files.iter().map(files::rows_at_most).sum() };
        let people = count(&prepared.register)?;
        let (mut rows, mut kept) = (0, 0);
        for source in &prepared.sources {
            let of_source = count(source)?;
            rows += of_source;
            let is_kept = source.layout.layout.builds == Builds::Spells || source.layout.duplicates.is_some();
            kept += if is_kept { of_source } else { 0 };
        }
        let scores = prepared.models.iter().map(|model| match model.kind {
            Kind::Facts => PER_FACT * model.terms.len() as u64,
            _ => PER_SCORE,
        });
        let per_person = PER_PERSON + scores.sum::<u64>();
        let held = BASE + PER_THREAD * rayon::current_num_threads() as u64 + people * per_person + kept * PER_KEPT_ROW;
        Ok(Needs { people, rows, held })
    }

    pub fn minimum(&self) -> Memory {
        Memory((self.held + EVENTS_MIN).div_ceil(MIB) * MIB)
    }

    /// Bytes on disk, should every row be an event.
    fn on_disk(&self) -> u64 {
        self.rows * (PER_EVENT + 1)
    }
}

/// How the events of a run are to be held.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of rows that are held in memory before they go to disk.
    held_rows: usize,
    shards: usize,
}

impl Bounds {
    /// The bounds that keep a run within its memory; `None` where it has no bound.
    ///
    /// # Errors
    /// A bound below the least that the run needs; no room on disk for what may go there.
    pub fn of(prepared: &Prepared, folder: &Path) -> Result<Option<Bounds>> {
        let settings = &prepared.settings;
        if let Some(shards) = settings.shards {
            return Ok(Some(Bounds { held_rows: 0, shards }));
        }
        let Some(memory) = settings.memory else { return Ok(None) };
        let needs = Needs::of(prepared)?;
        let minimum = needs.minimum();
        ensure!(
            memory >= minimum,
            "a run on these files needs at least {minimum} of memory, and memory is {memory}: {} register rows are held whatever the bound",
            needs.people
        );
        let events = memory.0 - needs.held;
        // Rows are held twice for a moment when a shard is sorted, and once more as events.
        let held_rows = (events / 3) as usize;
        let shards = (needs.on_disk() * 2).div_ceil(events.max(1)).clamp(1, 1 << 12) as usize;
        if needs.on_disk() > held_rows as u64 {
            check_room(folder, needs.on_disk() - held_rows as u64)?;
        }
        Ok(Some(Bounds { held_rows, shards }))
    }

    pub fn spill(&self, folder: &Path, people: usize) -> Spill {
        Spill::new(folder, people, self.shards, self.held_rows)
    }
}

/// How many as-of dates are scored in one pass: as many as have room where the timelines have theirs. A run that may
/// take so much memory and no more scores one date after another.
pub fn dates_at_once(prepared: &Prepared, loaded: &Loaded) -> usize {
    if prepared.settings.memory.is_some() {
        return 1;
    }
    let of_model = |model: &Model| match model.kind {
        Kind::Facts => PER_FACT_SCORED * model.terms.len() as u64,
        _ => PER_SCORED,
    };
    let per_date = loaded.people.spine.people() as u64 * prepared.models.iter().map(of_model).sum::<u64>();
    let room = (loaded.linked.timelines.events() as u64 * size_of::<Event>() as u64).max(ROOM_FOR_DATES);
    (room / per_date.max(1)).max(1) as usize
}

/// # Errors
/// Less room than this on the folder's disk.
fn check_room(folder: &Path, bytes: u64) -> Result<()> {
    let Some(known) = folder.ancestors().find(|folder| folder.exists()) else { return Ok(()) };
    // A system that does not say how much room there is finds out while it writes.
    let Ok(disk) = rustix::fs::statvfs(known) else { return Ok(()) };
    let room = disk.f_bavail.saturating_mul(disk.f_frsize);
    ensure!(
        room >= bytes,
        "rows that do not fit the memory may take {} on the disk of {}, which has room for {}; give the run more memory, or another `out`",
        Memory(bytes),
        folder.display(),
        Memory(room)
    );
    Ok(())
}

/// The most memory that the process has held so far, in bytes; `None` where the system does not say.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_refused_before_work_starts() {
        let folder = tempfile::tempdir().unwrap();
        let shards = folder.path().join("not/yet/there");
        check_room(&shards, 1).unwrap();
        let told = check_room(&shards, 1 << 60).unwrap_err().to_string();
        let expected = format!("may take {} on the disk of {}, which has room for ", Memory(1 << 60), shards.display());
        assert!(told.contains(&expected) && told.ends_with("give the run more memory, or another `out`"), "{told}");
        assert!(!shards.exists());
    }
}
