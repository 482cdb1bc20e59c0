//! The parts of a run, each alone: `cargo bench --bench parts`.
//!
//! On a synthetic population that is made once (20,000 people, about 100 rows each, Parquet) and kept under
//! `target/bench`. Figures are per person or per row, so that they can be held against the cost model in
//! `benches/README.md`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use riskstrat::cohort::columns::published_columns;
use riskstrat::day::Day;
use riskstrat::event::Event;
use riskstrat::measure::OnSpine;
use riskstrat::measure::evaluate::Evaluator;
use riskstrat::output::tables;
use riskstrat::person::key_of;
use riskstrat::population::{self, Format, Request};
use riskstrat::run::{Dates, Loaded, Prepared, load, operations_at, prepare, read_people};
use riskstrat::timeline::{Dealt, Row, Timelines};
use riskstrat::{demo, ingest};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

struct Made {
    prepared: Prepared,
    loaded: Loaded,
    days: Vec<Day>,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let prepared = prepare(&settings(), None).unwrap_or_else(|failure| panic!("{failure}"));
        let loaded = load(&prepared, &mut |_, _| (), &|_| ()).expect("the files are whole");
        let days = prepared.settings.as_of.0.clone();
        Made { prepared, loaded, days }
    })
}

fn settings() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/parts");
    if !folder.join("data/generation.json").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        let mut request = Request::new(20_000, 7, folder.join("data"));
        request.rows_per_person = 100;
        request.format = Format::Parquet;
        population::generate(&request, &|_, _| ()).expect("the folder is writable");
    }
    let settings = folder.join("riskstrat.toml");
    std::fs::write(&settings, demo::settings("data", "2016-04-01")).expect("the folder is writable");
    settings
}

fn people() -> usize {
    made().loaded.people.spine.people()
}

/// The columns that the models need, from the files, and nothing done with them: per row.
#[divan::bench]
fn decode(bencher: Bencher) {
    let Made { prepared, loaded, .. } = made();
    let rows: u64 = loaded.linked.counts.iter().map(|counts| counts.rows).sum();
    bencher.counter(ItemsCount::new(rows)).bench(|| {
        for input in &prepared.sources {
            let wanted = prepared.wanted(input, &loaded.plan).expect("the layouts were checked");
            // Columns are worked out when somebody asks.
            let sink = |batch: &ingest::files::Batch| {
                batch.columns.iter().flatten().try_for_each(|column| {
                    black_box(column.array()?);
                    Ok(())
                })
            };
            ingest::read_all(input, &wanted, &sink, &|_| ()).expect("the files are whole");
        }
    });
}

/// The same, with rows classified, linked, dealt out and sorted into timelines: per row.
#[divan::bench]
fn decode_classify_link_and_sort(bencher: Bencher) {
    let Made { prepared, loaded, .. } = made();
    let rows: u64 = loaded.linked.counts.iter().map(|counts| counts.rows).sum();
    let (plan, spine) = (&loaded.plan, &loaded.people.spine);
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| riskstrat::run::read_events(prepared, plan, spine, &mut |_, _| (), &|_| ()).map(|read| read.counts));
}

/// The register, from file to spine with its table of keys: per person.
#[divan::bench]
fn register(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(people()))
        .bench(|| read_people(&made().prepared, &|_| ()).map(|read| read.opted_out));
}

/// A pseudonym to a person, in an order that misses the cache: per pseudonym.
#[divan::bench]
fn key_look_up(bencher: Bencher) {
    let spine = &made().loaded.people.spine;
    let ids: Vec<&[u8]> = (0..spine.people()).map(|n| spine.ids[n * 7_919 % spine.people()].0.as_bytes()).collect();
    bencher.counter(ItemsCount::new(ids.len())).bench(|| {
        for id in &ids {
            black_box(spine.find(key_of(id)));
        }
    });
}

/// Rows in any order to timelines: per row.
#[divan::bench]
fn sort(bencher: Bencher) {
    const ROWS: u32 = 2_000_000;
    let row = |n: u32| Row {
        person: n.wrapping_mul(2_654_435_761) % 20_000,
        event: Event { day: (n % 2_003) as i32, concept: n % 97, ..Event::default() },
    };
    let rows = || (0..ROWS).map(row).collect::<Dealt>();
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(rows)
        .bench_values(|rows| Timelines::build(20_000, vec![(rows, None)]));
}

/// Every value of every person at one date: per person.
#[divan::bench]
fn evaluate(bencher: Bencher) {
    let Made { prepared, loaded, days } = made();
    let (operations, _) = operations_at(prepared, loaded, days[0]);
    let evaluator = Evaluator::new(&loaded.plan, &operations);
    let spine = &loaded.people.spine;
    bencher.counter(ItemsCount::new(people())).bench(|| {
        let mut scratch = evaluator.scratch();
        for person in 0..spine.people() as u32 {
            let attributes = OnSpine { spine, person };
            evaluator.evaluate(loaded.linked.timelines.of(person), &attributes, days[0], &mut scratch);
        }
        scratch.values.len()
    });
}

/// Everybody's scores, ranks and bands at one date: per person.
#[divan::bench]
fn score(bencher: Bencher) {
    let Made { prepared, loaded, days } = made();
    let mut dates = Dates::new(prepared, loaded, days, 1).expect("the timelines are in memory");
    bencher
        .counter(ItemsCount::new(people()))
        .bench_local(|| dates.score(0, &|_| ()).map(|scored| scored.strata.len()));
}

/// Both analysis files of one date, as bytes: per person.
#[divan::bench]
fn write(bencher: Bencher) {
    let Made { prepared, loaded, days } = made();
    let scored = Dates::new(prepared, loaded, days, 1).and_then(|mut dates| dates.score(0, &|_| ()));
    let scored = scored.expect("the timelines are in memory");
    let (models, spine) = (&prepared.models, &loaded.people.spine);
    let desks = tables::Desks::default();
    bencher.counter(ItemsCount::new(people())).bench(|| {
        let published = published_columns(
            models,
            spine,
            &loaded.people.practices,
            &scored.scores,
            &scored.strata,
            &scored.availability,
        );
        let scores = tables::scores(&published, models, &scored.scores, &desks).map(|file| file.bytes.len());
        (
            scores,
            tables::not_scored(models, spine, &scored.scores, &scored.strata, &desks).map(|(file, _)| file.bytes.len()),
        )
    });
}
