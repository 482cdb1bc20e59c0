//! Which files there are, and the folder that holds them.
//!
//! A folder that is being filled holds a file `INCOMPLETE`; `generation.json`, written last, says what was asked for and what
//! was made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde_json::json;

use super::calendar::Submission;
use super::defects::{Planted, Planter};
use super::gp::UNITS;
use super::layouts;
use super::ledger::Ledger;
use super::report::report;
use super::rows::{Layout, Lists, Rows};
use super::tally::Tally;
use super::targets::targets;
use super::world::World;
use super::write::{Encoded, Encoding, OpenFile, encode};
use super::{CHUNK, Format, Request, Written, make_chunk};

const INCOMPLETE: &str = "INCOMPLETE";
/// The report of a population, in its folder.
pub const REPORT: &str = "synth-report.md";
const MANIFEST: &str = "generation.json";
/// Chunks of people in a GP file, where there are many; small populations have about four files.
const CHUNKS_PER_GP_FILE: u32 = 50;
const FEW_GP_FILES: u32 = 4;
const GP_FILES: [&str; 2] = ["gp_events", "gp_prescriptions"];

/// # Errors
/// Where the folder holds anything, or cannot be made or written.
pub fn prepare_folder(out: &Path) -> Result<()> {
    let shown = out.display();
    if out.exists() {
        ensure!(out.is_dir(), "{shown} is not a folder");
        let mut entries = fs::read_dir(out).with_context(|| format!("failed to read {shown}"))?;
        ensure!(entries.next().is_none(), "{shown} is not empty: name a new or empty folder");
    }
    fs::create_dir_all(out.join("truth")).with_context(|| format!("failed to create {shown}"))?;
    fs::write(out.join(INCOMPLETE), "this folder is being filled, or was left half full\n")
        .with_context(|| format!("failed to write in {shown}"))
}

/// Every file of the folder, open; a chunk brings a part for each.
pub struct Files {
    /// Files that run from the first chunk to the last, in the order of [`encode_chunk`].
    whole: Vec<OpenFile>,
    /// GP events and prescriptions of the current stretch of chunks.
    gp: Option<[OpenFile; 2]>,
    gp_done: Vec<(PathBuf, u64)>,
    practices: Vec<(PathBuf, u64)>,
    next_chunk: u32,
    chunks_per_gp_file: u32,
    folder: PathBuf,
    gp_encoding: Encoding,
    tally: Tally,
    ledger: Ledger,
}

/// What one chunk brings: a part for each whole file, and the two GP parts.
pub struct Parts {
    whole: Vec<Encoded>,
    gp: [Encoded; 2],
    tally: Tally,
    /// What was planted in each whole part, and then in the two GP parts.
    planted: Vec<Vec<Planted>>,
}

/// A whole file: name, layout and native encoding.
fn whole_files(world: &World) -> Vec<(String, Layout, Encoding)> {
    let mut files = vec![
        ("register".to_owned(), layouts::REGISTER, Encoding::Csv),
        ("opt_outs".to_owned(), layouts::OPT_OUTS, Encoding::Csv),
        ("truth/people".to_owned(), layouts::TRUTH_PEOPLE, Encoding::Csv),
    ];
    let years = &world.financial_years;
    files.extend(years.iter().map(|year| (format!("hes_apc_{}", year.short_name), layouts::APC, Encoding::Csv)));
    files.extend(
        years.iter().map(|year| (format!("hes_op_{}", year.short_name), layouts::OUTPATIENTS, Encoding::CsvGz)),
    );
    files.extend(years.iter().map(|year| (format!("hes_ae_{}", year.short_name), layouts::EMERGENCY, Encoding::Csv)));
    let yearly = [
        ("csds_contacts", layouts::COMMUNITY),
        ("mhsds_contacts", layouts::MENTAL_HEALTH),
        ("ambulance_calls", layouts::AMBULANCE),
    ];
    for (name, layout) in yearly {
        files.extend(years.iter().map(|year| (format!("{name}_{}", year.short_name), layout, Encoding::Csv)));
    }
    files.push(("hospice_contacts".to_owned(), layouts::HOSPICE, Encoding::Csv));
    files.push(("care_plans".to_owned(), layouts::CARE_PLANS, Encoding::Csv));
    let name = |submission: &Submission| format!("social_care_cld_{}", submission.name);
    files.extend(world.submissions.iter().map(|one| (name(one), layouts::SOCIAL_CARE, Encoding::Csv)));
    files
}

/// The encoding of a file in the format asked for; the truth is always CSV.
fn encoding(name: &str, native: Encoding, format: Format) -> Encoding {
    match format {
        _ if name.starts_with("truth") => Encoding::Csv,
        Format::Native => native,
        Format::Csv => Encoding::Csv,
        Format::Parquet => Encoding::Parquet,
    }
}

/// Makes a chunk of people and encodes what it brings to each file.
pub fn encode_chunk(world: &World, request: &Request, chunk: u32) -> Result<Parts> {
    let (people, sheets) = make_chunk(world, chunk);
    let tally = sheets.tally;
    let mut tables = vec![sheets.register, sheets.opt_outs, sheets.truth];
    tables.extend(sheets.admissions);
    tables.extend(sheets.outpatients);
    tables.extend(sheets.emergency);
    tables.extend(sheets.community);
    tables.extend(sheets.mental_health);
    tables.extend(sheets.ambulance);
    tables.extend([sheets.hospice, sheets.care_plans]);
    tables.extend(sheets.social_care);
    let files = whole_files(world);
    let mut gp_tables = [sheets.gp_events, sheets.prescriptions];
    let mut planted = Vec::new();
    if world.faulty {
        let mut planter = Planter::new(world, request.defects, chunk, &people);
        let names = files.iter().map(|(name, ..)| name.as_str()).chain(GP_FILES);
        for (name, rows) in names.zip(tables.iter_mut().chain(&mut gp_tables)) {
            let (spoiled, kinds) = planter.spoil(name, rows);
            *rows = spoiled;
            planted.push(kinds);
        }
    }
    let lists = lists(world, people);
    let whole = files
        .iter()
        .zip(tables)
        .map(|((name, _, native), rows)| encode(rows, &lists, encoding(name, *native, request.format)))
        .collect::<Result<Vec<_>>>()?;
    let gp = encoding("gp", Encoding::Parquet, request.format);
    let [events, prescriptions] = gp_tables;
    Ok(Parts { whole, tally, planted, gp: [encode(events, &lists, gp)?, encode(prescriptions, &lists, gp)?] })
}

fn lists(world: &World, people: Vec<String>) -> Lists {
    Lists {
        people: Arc::new(people),
        practices: world.practice_codes.clone(),
        codes: world.codes.list.clone(),
        units: Arc::new(UNITS.map(str::to_owned).to_vec()),
        drugs: world.pharmacy.codes.clone(),
    }
}

impl Files {
    /// # Errors
    /// Where a file cannot be created.
    pub fn create(world: &World, request: &Request) -> Result<Files> {
        let create = |(name, layout, native): &(String, Layout, Encoding)| {
            OpenFile::create(&request.out, name, layout, encoding(name, *native, request.format))
        };
        let chunks = request.people.div_ceil(CHUNK);
        Ok(Files {
            whole: whole_files(world).iter().map(create).collect::<Result<Vec<_>>>()?,
            gp: None,
            gp_done: Vec::new(),
            practices: Vec::new(),
            next_chunk: 0,
            chunks_per_gp_file: chunks.div_ceil(FEW_GP_FILES).clamp(1, CHUNKS_PER_GP_FILE),
            folder: request.out.clone(),
            gp_encoding: encoding("gp", Encoding::Parquet, request.format),
            tally: world.new_tally(),
            ledger: Ledger::create(&request.out, lists(world, Vec::new()))?,
        })
    }

    /// # Errors
    /// Where the disk does not take the rows.
    pub fn write_practices(&mut self, world: &World) -> Result<()> {
        let mut rows = Rows::new(layouts::PRACTICES);
        for practice in &world.places.practices {
            rows.text(&practice.code)
                .text(&practice.name)
                .text(&practice.network_code)
                .text(&practice.network)
                .text(practice.locality)
                .text(practice.district)
                .text(if practice.shares_gp_data { "yes" } else { "no" })
                .end();
        }
        let mut file = OpenFile::create(&self.folder, "practices", layouts::PRACTICES, Encoding::Csv)?;
        file.append(encode(rows, &lists(world, Vec::new()), Encoding::Csv)?)?;
        self.practices.push(file.close()?);
        Ok(())
    }

    /// Appends the parts of the next chunks, in order, and gives back the rows written so far.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn append(&mut self, chunks: Vec<Parts>) -> Result<u64> {
        let mut by_file: Vec<Vec<Encoded>> = self.whole.iter().map(|_| Vec::new()).collect();
        // Rows of parts that stand in line for each file.
        let mut ahead = vec![0; self.whole.len()];
        for parts in chunks {
            self.tally.add(&parts.tally);
            self.note_planted(&parts.planted, &ahead)?;
            for ((file, waiting), part) in by_file.iter_mut().zip(&mut ahead).zip(parts.whole) {
                *waiting += part.rows() as u64;
                file.push(part);
            }
            self.append_gp(parts.gp, parts.planted.get(self.whole.len()..).unwrap_or_default())?;
        }
        // Files are independent, and the compressed ones take their time.
        self.whole
            .par_iter_mut()
            .zip(by_file)
            .try_for_each(|(file, parts)| parts.into_iter().try_for_each(|part| file.append(part)))?;
        Ok(self.rows())
    }

    fn note_planted(&mut self, planted: &[Vec<Planted>], ahead: &[u64]) -> Result<()> {
        let files = self.whole.iter().zip(ahead);
        files.zip(planted).try_for_each(|((file, ahead), planted)| self.ledger.note(file, *ahead, planted))
    }

    fn append_gp(&mut self, [events, prescriptions]: [Encoded; 2], planted: &[Vec<Planted>]) -> Result<()> {
        if self.next_chunk.is_multiple_of(self.chunks_per_gp_file) {
            self.close_gp()?;
            let number = self.next_chunk / self.chunks_per_gp_file + 1;
            let open = |name: &str, layout: Layout| {
                OpenFile::create(&self.folder, &format!("{name}_{number:02}"), layout, self.gp_encoding)
            };
            self.gp = Some([open("gp_events", layouts::GP_EVENTS)?, open("gp_prescriptions", layouts::PRESCRIPTIONS)?]);
        }
        self.next_chunk += 1;
        let [first, second] = self.gp.as_mut().expect("opened for the first chunk");
        for (file, planted) in [&*first, &*second].into_iter().zip(planted) {
            self.ledger.note(file, 0, planted)?;
        }
        first.append(events)?;
        second.append(prescriptions)
    }

    fn close_gp(&mut self) -> Result<()> {
        for file in self.gp.take().into_iter().flatten() {
            self.gp_done.push(file.close()?);
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        let open = self.whole.iter().chain(self.gp.iter().flatten()).map(|file| file.rows);
        open.chain(self.gp_done.iter().chain(&self.practices).map(|(_, rows)| *rows)).sum()
    }
}

/// Closes every file, writes the manifest and takes the mark of the unfinished folder away.
///
/// # Errors
/// Where the disk does not take the rest.
pub fn finish(world: &World, request: &Request, mut files: Files) -> Result<Written> {
    files.close_gp()?;
    let mut done = files.practices;
    done.extend(files.ledger.close(&request.out, &world.outages, &world.places)?);
    for file in files.whole {
        done.push(file.close()?);
    }
    done.extend(files.gp_done);
    done.sort();
    let truth = request.out.join("truth");
    let (truths, records): (Vec<_>, Vec<_>) = done.into_iter().partition(|(path, _)| path.starts_with(&truth));
    let rows: u64 = records.iter().map(|(_, rows)| rows).sum();
    let targets = targets(world, &files.tally);
    let path = request.out.join(REPORT);
    fs::write(&path, report(request, &targets)).with_context(|| format!("failed to write {}", path.display()))?;
    write_manifest(request, &records, &truths, rows)?;
    fs::remove_file(request.out.join(INCOMPLETE)).context("failed to mark the folder as complete")?;
    Ok(Written { files: records, people: request.people, rows, targets })
}

fn write_manifest(request: &Request, records: &[(PathBuf, u64)], truths: &[(PathBuf, u64)], rows: u64) -> Result<()> {
    let counts: serde_json::Map<String, serde_json::Value> = records
        .iter()
        .chain(truths)
        .map(|(path, rows)| {
            let name = path.strip_prefix(&request.out).unwrap_or(path);
            (name.to_string_lossy().replace('\\', "/"), json!(rows))
        })
        .collect();
    let manifest = json!({ "request": request, "rows": rows, "files": counts });
    let path = request.out.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).context("failed to describe the population")?;
    fs::write(&path, text + "\n").with_context(|| format!("failed to write {}", path.display()))
}
