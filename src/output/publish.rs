//! The only place that writes: a run's folders appear whole, or not at all.
//!
//! Files are staged beside the published runs, brought to the disk, and the folders renamed into place at the end, so
//! that a stop at any moment, of the program or of the machine, leaves the last published runs as they were. One rename
//! decides: before it a stop is undone by the next run, after it the new runs stand. One run at a time writes into a
//! folder; what an earlier stop left behind is cleared first, and told.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;

use super::OutputFile;
use crate::day::Day;

/// Where a run's files stand while it is being made.
const STAGING: &str = ".staging";
/// Where the runs that are being replaced stand until all of the new ones are in place.
const REPLACED: &str = ".replaced";
/// What [`REPLACED`] is called once the new runs stand, until it is gone.
const DISCARDED: &str = ".discarded";
/// Marks in [`REPLACED`] a run that takes no other's place.
const NEW: &str = ".new";
/// Held by the run that writes here; it stays when the run has ended.
const LOCK: &str = ".lock";
/// In [`STAGING`]: rows that do not fit a run's memory.
const SHARDS: &str = "shards";

/// The folder that runs are published in, held by one run.
pub struct Folder {
    out: PathBuf,
    /// What an earlier stop had left behind, and what was done about it, in words.
    pub recovered: Vec<String>,
    /// The lock is gone with the file, however the program ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is not there, takes hold of it, and mends what an earlier stop left behind.
    ///
    /// # Errors
    /// A folder that cannot be written to, or in which another run is writing.
    pub fn open(out: &Path) -> Result<Folder> {
        fs::create_dir_all(out).with_context(|| format!("failed to create {}", out.display()))?;
        let lock = lock(out)?;
        let recovered = recover(out)?;
        Ok(Folder { out: out.to_owned(), recovered, _lock: lock })
    }

    /// Makes an empty staging folder, so that a path that cannot be written fails before any work is done.
    pub fn stage(&self, name: &str) -> Result<Stage> {
        let stage = Stage { out: self.out.clone(), name: name.to_owned() };
        let folder = stage.folder();
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        Ok(stage)
    }
}

fn lock(out: &Path) -> Result<File> {
    let path = out.join(LOCK);
    let context = || format!("failed to lock {}", out.display());
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(&path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = file.read_to_string(&mut process);
            let out = out.display();
            return Err(anyhow!("another run (process {}) is writing into {out}; wait for its end", process.trim()));
        }
        // Some network folders know no locks; there two runs at once are left to whoever starts them.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .with_context(context)?;
    Ok(file)
}

/// What a run that a gate stopped leaves behind, beside the published runs.
const STOPPED: &str = "stopped.json";

/// Puts down the figures of a run that a gate stopped, whole or not at all; returns where. No published run is touched.
///
/// # Errors
/// A file that cannot be written.
pub fn leave_stopped(out: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let (path, part) = (out.join(STOPPED), out.join(STAGING).join(STOPPED));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(out.join(STAGING))?;
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, &path)
    };
    write().with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

/// Takes away what an earlier run that was stopped left behind: the run that is published now answers it.
///
/// # Errors
/// A file that cannot be removed.
pub fn clear_stopped(out: &Path) -> Result<()> {
    let path = out.join(STOPPED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Where a run keeps rows that do not fit its memory; the next run clears what a stop left there.
pub fn shards_folder(out: &Path) -> PathBuf {
    out.join(STAGING).join(SHARDS)
}

/// A run's output while it is being written.
pub struct Stage {
    out: PathBuf,
    name: String,
}

impl Stage {
    fn folder(&self) -> PathBuf {
        self.out.join(STAGING).join(&self.name)
    }

    fn replaced(&self) -> PathBuf {
        self.out.join(REPLACED).join(&self.name)
    }

    fn published(&self) -> PathBuf {
        self.out.join(&self.name)
    }

    pub fn write(&self, files: &[OutputFile]) -> Result<()> {
        let folder = self.folder();
        let parent =
            |file: &OutputFile| folder.join(&file.path).parent().expect("a staged file is in a folder").to_owned();
        for parent in files.iter().map(parent).collect::<BTreeSet<PathBuf>>() {
            fs::create_dir_all(&parent).with_context(|| format!("failed to create {}", parent.display()))?;
        }
        files.par_iter().try_for_each(|file| {
            let path = folder.join(&file.path);
            fs::write(&path, &file.bytes).with_context(|| format!("failed to write {}", path.display()))
        })
    }

    /// Takes the staged files away; the last published run stays.
    pub fn abandon(self) {
        let _ = fs::remove_dir_all(self.folder());
        let _ = fs::remove_dir(self.out.join(STAGING));
    }
}

/// Renames the staged folders of all as-of dates into place, or none of them, and returns where they are.
pub fn publish(folder: &Folder, stages: Vec<Stage>) -> Result<Vec<PathBuf>> {
    match move_in(&folder.out, &stages, &mut || true) {
        Ok(_) => Ok(stages.iter().map(Stage::published).collect()),
        Err(error) => {
            recover(&folder.out)?;
            Err(error)
        }
    }
}

/// Publishes in steps; `goes_on` is asked before each, and a test that says no sees what a stop there leaves behind.
fn move_in(out: &Path, stages: &[Stage], goes_on: &mut dyn FnMut() -> bool) -> Result<bool> {
    // A power cut behind the renames must not find files that are there and empty.
    stages.par_iter().try_for_each(|stage| sync_all(&stage.folder()))?;
    let replaced = out.join(REPLACED);
    fs::create_dir_all(&replaced).context("failed to make room for the last published runs")?;
    for stage in stages.iter().filter(|stage| !stage.published().exists()) {
        if !goes_on() {
            return Ok(false);
        }
        let mark = replaced.join(format!("{}{NEW}", stage.name));
        fs::write(&mark, b"").with_context(|| format!("failed to write {}", mark.display()))?;
    }
    sync_folder(&replaced);
    for stage in stages {
        let published = stage.published();
        if !goes_on() {
            return Ok(false);
        }
        if published.exists() {
            fs::rename(&published, stage.replaced())
                .with_context(|| format!("failed to move {} aside", published.display()))?;
        }
        if !goes_on() {
            return Ok(false);
        }
        fs::rename(stage.folder(), &published).with_context(|| format!("failed to publish {}", published.display()))?;
    }
    sync_folder(out);
    if !goes_on() {
        return Ok(false);
    }
    // The new runs stand from here on.
    fs::rename(&replaced, out.join(DISCARDED)).context("failed to let go of the runs that were replaced")?;
    sync_folder(out);
    if !goes_on() {
        return Ok(false);
    }
    // What cannot be cleared now is cleared by the next run; it does not undo this one.
    let _ = clear(&out.join(DISCARDED));
    let _ = clear(&out.join(STAGING));
    Ok(true)
}

/// Brings everything under a folder to the disk.
fn sync_all(folder: &Path) -> Result<()> {
    let context = || format!("failed to bring {} to the disk", folder.display());
    let mut inner = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        match path.is_dir() {
            true => sync_all(&path)?,
            false => inner.push(path),
        }
    }
    inner.par_iter().try_for_each(|path| File::open(path).and_then(|file| file.sync_all())).with_context(context)?;
    sync_folder(folder);
    Ok(())
}

/// Brings the names in a folder to the disk. Not every system can; the files themselves are there in any case.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// The newest run that was published for an earlier as-of day, and that day.
pub fn last_before(out: &Path, as_of: Day) -> Option<(Day, PathBuf)> {
    let folders = fs::read_dir(out).ok()?.flatten().filter(|entry| entry.path().join("manifest.json").is_file());
    let of_day = folders.filter_map(|entry| {
        let name = entry.file_name();
        let day = Day::parse(name.to_str()?.as_bytes()).filter(|day| day.to_string() == name.to_str().unwrap_or(""))?;
        (day < as_of).then(|| (day, entry.path()))
    });
    of_day.max()
}

/// Writes a file that is not there yet, whole or not at all, and the folders it stands in.
///
/// # Errors
/// A file of that name is there already: nobody's work is written over.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    anyhow::ensure!(!path.exists(), "{} is there already; choose another --name, or remove it", path.display());
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).with_context(|| format!("failed to write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("failed to write {}", path.display()))
}

/// Undoes what a stop left half done, and clears what it left behind; says so in words.
fn recover(out: &Path) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let discarded = out.join(DISCARDED);
    if discarded.exists() {
        clear(&discarded)?;
        said.push("an earlier run was stopped right after it had published; its runs stand".to_owned());
    }
    let undone = put_back(out)?;
    if said.is_empty() && undone.is_empty() && out.join(STAGING).exists() {
        said.push("an earlier run was stopped before it published; what it had written was cleared".to_owned());
    } else if !undone.is_empty() {
        let names = undone.join(", ");
        said.push(format!("an earlier run was stopped while it published; {names} stands again as it was before"));
    }
    clear(&out.join(STAGING))?;
    Ok(said)
}

/// Puts back the runs that were moved aside, and takes back those that took no other's place: their names.
fn put_back(out: &Path) -> Result<Vec<String>> {
    let replaced = out.join(REPLACED);
    let Ok(entries) = fs::read_dir(&replaced) else { return Ok(Vec::new()) };
    let mut undone = Vec::new();
    for entry in entries {
        let entry = entry.context("failed to look at the runs that were moved aside")?;
        let kept = entry.file_name().to_string_lossy().into_owned();
        let name = kept.strip_suffix(NEW).unwrap_or(&kept);
        let published = out.join(name);
        take_back(out, name)?;
        if kept == name {
            fs::rename(entry.path(), &published)
                .with_context(|| format!("failed to put {} back", published.display()))?;
        } else {
            fs::remove_file(entry.path()).with_context(|| format!("failed to take {} back", published.display()))?;
        }
        undone.push(name.to_owned());
    }
    clear(&replaced)?;
    undone.sort_unstable();
    Ok(undone)
}

/// Moves a published run out of sight by one rename, so that nobody sees a part of it.
fn take_back(out: &Path, name: &str) -> Result<()> {
    let (published, staged) = (out.join(name), out.join(STAGING).join(name));
    if !published.exists() {
        return Ok(());
    }
    let context = || format!("failed to take {} back", published.display());
    fs::create_dir_all(out.join(STAGING)).with_context(context)?;
    clear(&staged)?;
    fs::rename(&published, &staged).with_context(context)
}

fn clear(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).with_context(|| format!("failed to clear {}", folder.display())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<OutputFile> {
        vec![OutputFile::new("lists/a/b.csv", text.as_bytes().to_vec())]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn staged(folder: &Folder, name: &str, text: &str) -> Stage {
        let stage = folder.stage(name).unwrap();
        stage.write(&files(text)).unwrap();
        stage
    }

    #[test]
    fn a_run_that_is_not_published_leaves_the_last_one_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let out = temporary.path().join("out");
        let read = || fs::read_to_string(out.join("2016-04-01/lists/a/b.csv")).unwrap();
        let folder = Folder::open(&out).unwrap();
        publish(&folder, vec![staged(&folder, "2016-04-01", "one")]).unwrap();
        let _ = staged(&folder, "2016-04-01", "two");
        drop(folder);
        assert_eq!(read(), "one");
        let folder = Folder::open(&out).unwrap();
        let expected = "an earlier run was stopped before it published; what it had written was cleared";
        assert_eq!(folder.recovered, [expected]);
        publish(&folder, vec![staged(&folder, "2016-04-01", "three")]).unwrap();
        assert_eq!(read(), "three");
        assert_eq!(names(&out), [".lock", "2016-04-01"], "nothing is left beside the run but the lock");
        staged(&folder, "2016-04-01", "four").abandon();
        assert_eq!((read().as_str(), names(&out).len()), ("three", 2));
        drop(folder);
        assert_eq!(Folder::open(&out).unwrap().recovered, [""; 0]);
    }

    #[test]
    fn one_run_at_a_time_writes_into_a_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(temporary.path()).unwrap();
        let said = format!("{:#}", Folder::open(temporary.path()).err().unwrap());
        let process = std::process::id();
        assert!(said.starts_with(&format!("another run (process {process}) is writing into ")), "{said}");
        drop(folder);
        assert!(Folder::open(temporary.path()).is_ok());
    }

    #[test]
    fn the_last_run_is_the_newest_before_the_day() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["2016-01-01", "2016-03-01", "2016-04-01", "2016-02-30", ".staging", "20160315"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("manifest.json"), "{}").unwrap();
        }
        fs::create_dir_all(folder.path().join("2016-03-15")).unwrap();
        let last = |day: &str| last_before(folder.path(), Day::parse(day.as_bytes()).unwrap());
        let day = |day: &str| Day::parse(day.as_bytes()).unwrap();
        assert_eq!(
            last("2016-04-01"),
            Some((day("2016-03-01"), folder.path().join("2016-03-01"))),
            "not one without a manifest"
        );
        assert_eq!(last("2016-01-01"), None);
        assert_eq!(last_before(&folder.path().join("nowhere"), day("2016-01-01")), None);
    }

    /// A stop before every single step of publishing one run that takes another's place and one that takes none.
    #[test]
    fn a_stop_at_any_step_leaves_all_the_old_runs_or_all_the_new_ones() {
        let (mut as_before, mut as_after) = (0, 0);
        for steps in 0..10 {
            let temporary = tempfile::tempdir().unwrap();
            let out = temporary.path();
            let folder = Folder::open(out).unwrap();
            publish(&folder, vec![staged(&folder, "2016-03-01", "old")]).unwrap();
            let stages = [staged(&folder, "2016-03-01", "new"), staged(&folder, "2016-04-01", "new")];
            let mut left = steps;
            let went_on = move_in(out, &stages, &mut || {
                left -= 1;
                left >= 0
            });
            let stopped = !went_on.unwrap();
            drop(folder);
            let folder = Folder::open(out).unwrap();
            assert_eq!(folder.recovered.len(), usize::from(stopped), "after {steps} steps: {:?}", folder.recovered);
            let text = |name: &str| fs::read_to_string(out.join(name).join("lists/a/b.csv")).ok();
            match (text("2016-03-01").as_deref(), text("2016-04-01").as_deref()) {
                (Some("old"), None) => as_before += 1,
                (Some("new"), Some("new")) => as_after += 1,
                other => panic!("after {steps} steps: {other:?}"),
            }
            let left_behind = names(out).iter().filter(|name| name.starts_with('.')).count();
            assert_eq!(left_behind, 1, "the lock alone: {:?}", names(out));
        }
        assert_eq!((as_before, as_after), (6, 4), "the rename that decides is the sixth step of seven");
    }

    #[test]
    fn a_stop_while_a_stop_is_undone_is_undone_as_well() {
        let temporary = tempfile::tempdir().unwrap();
        let out = temporary.path();
        let aside = out.join(".replaced/2016-04-01");
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("manifest.json"), "last").unwrap();
        // The new run was taken back and half cleared when the second stop came.
        fs::create_dir_all(out.join(".staging/2016-04-01/lists")).unwrap();
        let folder = Folder::open(out).unwrap();
        assert_eq!(fs::read_to_string(out.join("2016-04-01/manifest.json")).unwrap(), "last");
        let expected = "an earlier run was stopped while it published; 2016-04-01 stands again as it was before";
        assert_eq!(folder.recovered, [expected]);
        assert_eq!(names(out), [".lock", "2016-04-01"]);
    }
}
