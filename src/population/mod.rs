//! A synthetic county: people, organisations and four years of linked records, in the files that NHS bodies hold.
//!
//! Nothing here is a real person. Rates, prevalences and populations are published ones (`tables/`), held together by one
//! latent frailty a person, so that conditions cluster and use of care is as uneven as it is. The engine never uses this
//! module; it makes files, and the engine reads files.
//!
//! [`generate`] is the entry point. The same request gives the same bytes, whatever the number of threads: each person has
//! own streams of random numbers, chunks of people are made in parallel, and files take them in order.

mod ambulance;
mod calendar;
mod calibration;
mod community;
mod conditions;
mod defects;
mod draw;
mod emergency;
mod episodes;
mod files;
mod further;
mod gp;
mod hospice;
mod hospital;
mod layouts;
mod ledger;
mod mental_health;
mod outpatients;
mod people;
mod places;
mod prescriptions;
mod prices;
mod register;
mod report;
mod residence;
mod rows;
mod sheets;
mod size;
mod social_care;
mod spoiled;
mod tables;
mod tally;
mod targets;
mod truth;
mod turnover;
mod world;
mod write;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use rayon::prelude::*;
use serde::Serialize;

pub use self::files::REPORT;
use self::files::{Files, finish, prepare_folder};
use self::people::Person;
use self::sheets::Sheets;
pub use self::targets::Target;
use self::world::World;
use crate::day::Day;

/// People that are made together: the unit of parallel work, and a row group of a GP file.
const CHUNK: u32 = 1_000;
/// Chunks in memory at a time, for each thread.
const CHUNKS_PER_THREAD: usize = 2;
/// People numbers and list positions are 32 bits wide, and the last is kept back.
const MOST_PEOPLE: u32 = u32::MAX - 1;

/// The population that is wanted.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    pub people: u32,
    pub seed: u64,
    #[serde(skip)]
    pub out: PathBuf,
    /// Mean rows a person over all files. Rows without meaning for a model fill the GP record up to it, so small numbers
    /// leave the rest as it is.
    pub rows_per_person: u32,
    pub format: Format,
    pub defects: Defects,
    /// First day of the history.
    #[serde(serialize_with = "day_text")]
    pub first_day: Day,
    /// Last day of the history; the follow-up begins on the day after.
    #[serde(serialize_with = "day_text")]
    pub last_day: Day,
    pub follow_up_days: u32,
    /// Shape of the gamma frailty: the smaller, the more uneven.
    pub frailty_shape: f64,
}

impl Request {
    /// The usual population: four years from April 2012 and one of follow-up, about 500 rows a person.
    pub fn new(people: u32, seed: u64, out: PathBuf) -> Request {
        let april = |year| Day::from_ymd(year, 4, 1).expect("every year has an April");
        Request {
            people,
            seed,
            out,
            rows_per_person: 500,
            format: Format::Native,
            defects: Defects::None,
            first_day: april(2012),
            last_day: Day(april(2016).0 - 1),
            follow_up_days: 365,
            frailty_shape: 0.5,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Each table as its holder would send it: CSV, compressed CSV and Parquet.
    Native,
    Csv,
    Parquet,
}

/// How faulty the files are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Defects {
    None,
    Real,
    Hostile,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Every file of records with its rows.
    pub files: Vec<(PathBuf, u64)>,
    pub people: u32,
    pub rows: u64,
    /// Each published figure beside what was made, as in `synth-report.md`.
    pub targets: Vec<Target>,
}

fn day_text<S: serde::Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// Makes the population and writes its files.
///
/// `progress` is told the rows so far and the rows expected, after each step of the work and from any thread.
///
/// # Errors
/// Before anything is made: a request that makes no sense, or a folder that is not empty or cannot be written. Later: a disk
/// that is full. The folder then holds a file `INCOMPLETE`.
pub fn generate(request: &Request, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Written> {
    check(request)?;
    prepare_folder(&request.out)?;
    let world = World::new(request);
    let mut files = Files::create(&world, request)?;
    files.write_practices(&world)?;
    let expected = world.expected_rows;
    let wave = (rayon::current_num_threads() * CHUNKS_PER_THREAD) as u32;
    let chunks = request.people.div_ceil(CHUNK);
    let mut ready = Vec::new();
    let mut next = 0;
    while next < chunks || !ready.is_empty() {
        let until = (next + wave).min(chunks);
        let (made, written) = rayon::join(
            || {
                (next..until)
                    .into_par_iter()
                    .map(|chunk| files::encode_chunk(&world, request, chunk))
                    .collect::<Result<Vec<_>>>()
            },
            || files.append(std::mem::take(&mut ready)),
        );
        progress(written?, expected);
        ready = made?;
        next = until;
    }
    let written = finish(&world, request, files)?;
    // What was expected was near, and this is how it came out.
    progress(written.rows, written.rows);
    Ok(written)
}

fn check(request: &Request) -> Result<()> {
    ensure!(request.people > 0, "people must be at least 1");
    ensure!(request.people <= MOST_PEOPLE, "people must be at most {MOST_PEOPLE}");
    ensure!(request.first_day <= request.last_day, "the history must end on or after the day on which it begins");
    ensure!(request.frailty_shape.is_finite() && request.frailty_shape > 0.0, "the shape of frailty must be above 0");
    if request.last_day.0 - request.first_day.0 > 366 * 30 {
        bail!("the history must be at most 30 years long");
    }
    Ok(())
}

/// Makes the people of a chunk and all their rows.
fn make_chunk(world: &World, chunk: u32) -> (Vec<String>, Sheets) {
    let mut sheets = Sheets::new(world);
    let first = chunk * CHUNK;
    let last = (first + CHUNK).min(world.people);
    let mut ids = Vec::with_capacity((last - first) as usize);
    for number in first..last {
        let person = Person::make(world, number);
        register::write_registrations(world, &person, &mut sheets);
        let stays = hospital::write_admissions(world, &person, &mut sheets);
        outpatients::write_appointments(world, &person, &mut sheets);
        let conveyed = emergency::write_attendances(world, &person, &stays.arrivals, &mut sheets);
        ambulance::write_calls(world, &person, &conveyed, &mut sheets);
        community::write_contacts(world, &person, &mut sheets);
        mental_health::write_contacts(world, &person, &mut sheets);
        hospice::write_contacts(world, &person, &mut sheets);
        social_care::write_social_care(world, &person, &mut sheets);
        gp::write_record(world, &person, number - first, &stays.discharges, &mut sheets);
        prescriptions::write_prescriptions(world, &person, number - first, &mut sheets);
        sheets.tally.person(world, &person);
        truth::write_truth(world, &person, &mut sheets.truth);
        ids.push(person.id);
    }
    (ids, sheets)
}

#[cfg(test)]
mod tests;
