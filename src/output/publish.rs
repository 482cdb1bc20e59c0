//! The only place that writes: a run's folder appears whole, or not at all.
//!
//! Files are staged beside the published runs and the folder is renamed into place at the end, so that a stop at any
//! moment leaves the last published run as it was. What an earlier stop left behind is cleared first.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::OutputFile;
use crate::day::Day;

const STAGING: &str = ".staging";
const REPLACED: &str = ".replaced";

/// A run's output while it is being written.
pub struct Stage {
    out: PathBuf,
    name: String,
}

impl Stage {
    /// Makes an empty staging folder, so that a path that cannot be written fails before any work is done.
    pub fn open(out: &Path, name: &str) -> Result<Stage> {
        recover(out)?;
        let stage = Stage { out: out.to_owned(), name: name.to_owned() };
        let folder = stage.folder();
        clear(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        Ok(stage)
    }

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
        for file in files {
            let path = self.folder().join(&file.path);
            let parent = path.parent().expect("a staged file is in a folder");
            fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
            fs::write(&path, &file.bytes).with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(())
    }

    /// Takes the staged files away; the last published run stays.
    pub fn abandon(self) {
        let _ = fs::remove_dir_all(self.folder());
        tidy(&self.out);
    }

    fn move_in(&self) -> Result<()> {
        let (published, replaced) = (self.published(), self.replaced());
        if published.exists() {
            fs::create_dir_all(self.out.join(REPLACED)).context("failed to make room for the last published run")?;
            fs::rename(&published, &replaced)
                .with_context(|| format!("failed to move {} aside", published.display()))?;
        }
        fs::rename(self.folder(), &published).with_context(|| format!("failed to publish {}", published.display()))
    }
}

/// Renames the staged folders of all as-of dates into place, or none of them, and returns where they are.
pub fn publish(stages: Vec<Stage>) -> Result<Vec<PathBuf>> {
    let Some(out) = stages.first().map(|stage| stage.out.clone()) else { return Ok(Vec::new()) };
    for (number, stage) in stages.iter().enumerate() {
        if let Err(error) = stage.move_in() {
            for published in &stages[..number] {
                let _ = fs::remove_dir_all(published.published());
            }
            recover(&out)?;
            return Err(error);
        }
    }
    // Once this folder is gone the new runs stand; until then a stop brings the old ones back.
    clear(&out.join(REPLACED))?;
    tidy(&out);
    Ok(stages.iter().map(Stage::published).collect())
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

/// Puts back the runs that a stop in the middle of publishing had moved aside.
fn recover(out: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(out.join(REPLACED)) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context("failed to look at the runs that were moved aside")?;
        let published = out.join(entry.file_name());
        clear(&published)?;
        fs::rename(entry.path(), &published).with_context(|| format!("failed to put {} back", published.display()))?;
    }
    tidy(out);
    Ok(())
}

fn clear(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).with_context(|| format!("failed to clear {}", folder.display())),
        false => Ok(()),
    }
}

/// Removes the working folders where they are empty.
fn tidy(out: &Path) {
    for folder in [STAGING, REPLACED] {
        let _ = fs::remove_dir(out.join(folder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<OutputFile> {
        vec![OutputFile::new("lists/a/b.csv", text.as_bytes().to_vec())]
    }

    #[test]
    fn a_run_that_is_not_published_leaves_the_last_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(folder.path().join("2016-04-01/lists/a/b.csv")).unwrap();
        let stage = Stage::open(folder.path(), "2016-04-01").unwrap();
        stage.write(&files("one")).unwrap();
        publish(vec![stage]).unwrap();
        let stage = Stage::open(folder.path(), "2016-04-01").unwrap();
        stage.write(&files("two")).unwrap();
        assert_eq!(read(), "one");
        drop(stage);
        let stage = Stage::open(folder.path(), "2016-04-01").unwrap();
        stage.write(&files("three")).unwrap();
        publish(vec![stage]).unwrap();
        assert_eq!(read(), "three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the run");
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

    #[test]
    fn a_stop_between_the_two_renames_is_mended_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let aside = folder.path().join(".replaced/2016-04-01");
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("manifest.json"), "last").unwrap();
        Stage::open(folder.path(), "2016-04-01").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("2016-04-01/manifest.json")).unwrap(), "last");
    }
}
