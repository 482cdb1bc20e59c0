//! Any bytes in place of the user's files: no panic, no end that does not come, no answer that depends on chance.
//!
//! The functions of `probes` are run over seeds and over mutations of them, the same ones every time. The same
//! functions are the targets of `fuzz/`, for a fuzzer that sees which code it reaches. `RISKSTRAT_FUZZ=50000` makes so
//! many mutations a target.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use riskstrat::probes;

/// Mutations of one target in an ordinary run of the tests.
fn mutations(ordinary: u64) -> u64 {
    std::env::var("RISKSTRAT_FUZZ").map_or(ordinary, |number| number.parse().expect("a number of mutations"))
}

/// The files of a folder, in order of name.
fn files_of(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn seeds(target: &str, shipped: Option<&str>) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = files_of(&root.join("fuzz/corpus").join(target));
    assert!(!seeds.is_empty(), "{target} has seeds");
    seeds.extend(shipped.iter().flat_map(|folder| files_of(&root.join("models").join(folder))));
    seeds
}

/// Pieces that such files are made of, and such that tend to break readers.
const PIECES: [&[u8]; 36] = [
    b"\"",
    b"\"\"",
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"[",
    b"]",
    b"[[",
    b"{",
    b"}",
    b" = ",
    b".",
    b"-",
    b"nan",
    b"inf",
    b"0",
    b"-1",
    b"1e308",
    b"999999999999999999999",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"0.0000000001",
    b"2147483648",
    b"\"\"\"",
    b"true",
    b"9999-12-31",
    b"0000-01-01",
    b"\xf0\x9f\x92\x89",
    b"#",
    b"\\u0000",
];

/// The seed with some changes: bytes, pieces, parts that are gone, repeated or taken from another seed.
fn mutated(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds.choose(rng).unwrap().clone();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let end = bytes.len().min(at + rng.random_range(0..40));
        match rng.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] = rng.random_range(0..=255),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, PIECES.choose(rng).unwrap().iter().copied())),
            3 => drop(bytes.splice(at..end, PIECES.choose(rng).unwrap().iter().copied())),
            4 => {
                let part = bytes[at..end].to_vec();
                let times = if rng.random_bool(0.02) { 3_000 } else { rng.random_range(1..20) };
                drop(bytes.splice(at..at, part.repeat(times)));
            }
            5 => {
                let other = seeds.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                let to = other.len().min(from + rng.random_range(0..200));
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            6 => bytes.truncate(at),
            _ => number_changed(rng, &mut bytes, at),
        }
    }
    bytes
}

/// Puts another number in the place of the first one from here on.
fn number_changed(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, at: usize) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = match rng.random_range(0..4) {
        0 => "0".to_owned(),
        1 => rng.next_u64().to_string(),
        2 => (1u64 << rng.random_range(0..64)).to_string(),
        _ => rng.random_range(0..400).to_string(),
    };
    drop(bytes.splice(start..start + length, number.into_bytes()));
}

fn fuzz(target: &str, shipped: Option<&str>, ordinary: u64, probe: fn(&[u8])) {
    let seeds = seeds(target, shipped);
    let mut rng = ChaCha8Rng::seed_from_u64(20_160_401);
    let all = seeds.iter().cloned().chain((0..mutations(ordinary)).map(|_| mutated(&mut rng, &seeds)));
    for (number, bytes) in all.enumerate() {
        if catch_unwind(AssertUnwindSafe(|| probe(&bytes))).is_err() {
            let kept = std::env::temp_dir().join(format!("riskstrat-fuzz-{target}-{number}"));
            fs::write(&kept, &bytes).unwrap();
            panic!("{target}: number {number} is a fault; kept as {}", kept.display());
        }
    }
}

#[test]
fn any_bytes_may_stand_in_a_csv_file() {
    fuzz("csv", None, 4_000, probes::csv);
}

#[test]
fn any_bytes_may_stand_in_a_layout() {
    fuzz("layout", Some("layouts"), 1_500, probes::layout);
}

#[test]
fn any_bytes_may_stand_in_a_model() {
    fuzz("model", Some("scores"), 300, probes::model);
}

#[test]
fn any_bytes_may_stand_in_the_settings() {
    fuzz("settings", None, 3_000, probes::settings);
}
