//! Runs that are stopped: killed at any moment, out of room on the disk, disturbed while they read, or two at once.
//!
//! The program itself is started, as a user starts it. Whatever happens, the last published run is whole, which its own
//! manifest says; the next run clears up, publishes, and says what had happened.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use riskstrat::demo;
use riskstrat::output::publish::Folder;
use riskstrat::population::{Request, generate};
use sha2::{Digest, Sha256};

use crate::bad_input::{Body, GP_EVENTS};
use crate::common::{ended, program, write};

/// Asserts that every file of a published run has the hash that its manifest states.
fn check_whole(run: &Path) {
    let manifest = fs::read(run.join("manifest.json")).unwrap_or_else(|error| panic!("{}: {error}", run.display()));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let outputs = manifest["outputs"].as_object().unwrap();
    assert!(outputs.contains_key("scores.parquet"));
    for (name, expected) in outputs {
        let bytes = fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(*expected, hash.as_str(), "{name}");
    }
}

fn start(settings: &Path) -> Child {
    program().arg("run").arg(settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs to the end: exit code and what was said.
fn run(settings: &Path) -> (Option<i32>, String) {
    ended(&program().arg("run").arg(settings).output().unwrap())
}

/// Waits until it holds, or the program has ended.
fn wait_until(child: &mut Child, holds: impl Fn() -> bool) {
    while !holds() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
}

/// A small county with two as-of dates, and a run of it that is published.
fn county(folder: &Path) -> PathBuf {
    let mut request = Request::new(1_000, 5, folder.join("data"));
    request.rows_per_person = 60;
    generate(&request, &|_, _| ()).unwrap();
    let text = demo::settings("data", "2016-04-01");
    let text = text.replacen("as_of = \"2016-04-01\"", "as_of = [\"2016-03-01\", \"2016-04-01\"]", 1);
    write(&folder.join("riskstrat.toml"), text)
}

#[test]
fn a_run_killed_at_any_moment_leaves_the_last_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let settings = county(folder.path());
    let out = folder.path().join("out");
    let began = Instant::now();
    let (code, said) = run(&settings);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("note: "), "nothing had been stopped: {said}");
    let whole = began.elapsed();
    let both_whole = || ["2016-03-01", "2016-04-01"].map(|day| check_whole(&out.join(day)));
    both_whole();
    // At moments spread over the run's time, and as soon as certain files are there: stages have begun or ended then.
    let mut moments: Vec<Box<dyn Fn(Instant) -> bool>> = Vec::new();
    for eighth in 0..6 {
        moments.push(Box::new(move |began| began.elapsed() >= whole * eighth / 8));
    }
    for name in ["2016-03-01", "2016-03-01/scores.parquet", "2016-03-01/manifest.json", "2016-04-01/timings.json"] {
        let path = out.join(".staging").join(name);
        moments.push(Box::new(move |_| path.exists()));
    }
    let mut killed = 0;
    for moment in moments {
        let began = Instant::now();
        let mut child = start(&settings);
        wait_until(&mut child, || moment(began));
        child.kill().unwrap();
        killed += usize::from(!child.wait_with_output().unwrap().status.success());
        // A run that was killed between two renames has its runs moved aside, and nothing else is missing.
        let moved_aside = out.join(".replaced").exists();
        if !moved_aside {
            both_whole();
        }
    }
    assert!(killed >= 6, "most runs were stopped before their end: {killed}");
    let mut child = start(&settings);
    wait_until(&mut child, || out.join(".staging/2016-03-01/scores.parquet").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, said) = run(&settings);
    assert_eq!(code, Some(0), "{said}");
    let expected = "note: an earlier run was stopped before it published; what it had written was cleared\n";
    assert!(said.starts_with(expected), "{said}");
    both_whole();
    let mut left: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".lock", "2016-03-01", "2016-04-01"]);
}

/// The shell's limit on the size of a file stands for a disk without room: a write fails, or the program is ended.
#[cfg(unix)]
#[test]
fn a_disk_without_room_is_told_and_leaves_the_last_run_whole() {
    use std::process::Command;
    let body = Body::new();
    let settings = body.path("riskstrat.toml");
    assert_eq!(run(&settings).0, Some(0));
    let with_limit = |before: &str| {
        let script = format!("{before} ulimit -f 4; exec \"$0\" run \"$1\"");
        let mut shell = Command::new("sh");
        ended(&shell.args(["-c", &script, env!("CARGO_BIN_EXE_riskstrat")]).arg(&settings).output().unwrap())
    };
    let (code, said) = with_limit("trap '' XFSZ;");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.starts_with("failed to write ") && said.contains(".staging/2016-04-01/"), "{said}");
    check_whole(&body.path("out/2016-04-01"));
    assert!(!body.path("out/.staging").exists(), "what was written is cleared at once");
    let (code, said) = with_limit("");
    assert_eq!(code, None, "the system ended it: {said}");
    check_whole(&body.path("out/2016-04-01"));
    let (code, said) = run(&settings);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("note: an earlier run was stopped before it published"), "{said}");
    check_whole(&body.path("out/2016-04-01"));
}

#[test]
fn a_folder_that_cannot_be_made_is_a_fault_of_the_output() {
    let body = Body::new();
    body.set("out = \"out\"", "out = \"register.csv/out\"");
    let (code, said) = run(&body.path("riskstrat.toml"));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.starts_with("failed to create "), "{said}");
}

#[test]
fn a_file_that_changes_while_it_is_read_stops_the_run() {
    let body = Body::new();
    let settings = body.path("riskstrat.toml");
    assert_eq!(run(&settings).0, Some(0));
    let row = "PSEUDO-A,2015-01-20,2015-01-20,,44054006,G82001\n";
    let rows = GP_EVENTS.to_owned() + &row.repeat(150_000);
    let mut told = 0;
    // The change has to fall between the look at the file and the end of reading it; a busy machine may miss that.
    for _ in 0..10 {
        body.put("gp_events.csv", &rows);
        let mut child = start(&settings);
        wait_until(&mut child, || body.path("out/.staging").exists());
        let mut file = fs::File::options().append(true).open(body.path("gp_events.csv")).unwrap();
        file.write_all(row.as_bytes()).unwrap();
        drop(file);
        let (code, said) = ended(&child.wait_with_output().unwrap());
        check_whole(&body.path("out/2016-04-01"));
        if code == Some(0) {
            continue;
        }
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("gp_events.csv changed while it was read"), "{said}");
        assert!(!said.contains("PSEUDO"), "{said}");
        told += 1;
        if told == 2 {
            break;
        }
    }
    assert!(told > 0, "a change was told");
}

#[test]
fn two_runs_at_once_do_not_write_into_one_folder() {
    let body = Body::new();
    let settings = body.path("riskstrat.toml");
    let held = Folder::open(&body.path("out")).unwrap();
    let (code, said) = run(&settings);
    assert_eq!(code, Some(5), "{said}");
    let expected = format!("another run (process {}) is writing into ", std::process::id());
    assert!(said.starts_with(&expected), "{said}");
    drop(held);
    assert_eq!(run(&settings).0, Some(0));
}
