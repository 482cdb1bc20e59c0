//! The models' section of a synthetic population's report.

use riskstrat::appraisal::synthetic::{discrimination, section, section_without};
use riskstrat::day::Day;
use riskstrat::demo;
use riskstrat::population::{Format, Request, generate};
use riskstrat::run::Silent;

use crate::common::{parquet_rows, run_settings, write};

#[test]
fn the_top_of_the_ranking_holds_more_of_what_comes_than_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = Request::new(8_000, 5, folder.path().join("data"));
    request.rows_per_person = 1;
    request.format = Format::Parquet;
    generate(&request, &|_, _| ()).unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), demo::settings("data", "2016-04-01"));
    let as_of = Day::parse(b"2016-04-01").unwrap();
    let models = discrimination(&settings, as_of, &Silent).unwrap_or_else(|failure| panic!("{failure}"));
    let cpm = &models[0];
    // Whoever a run scores, but for those who moved away: nobody knows what came of them.
    let report = run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
    let scored = parquet_rows(&report.published[0].join("scores.parquet")).len() as u64;
    assert!(cpm.people <= scored && cpm.people * 10 > scored * 9, "{} of {scored}", cpm.people);
    let flagged: Vec<u64> = cpm.cuts.iter().map(|at| at.flagged).collect();
    assert_eq!(flagged, [5_000, 50_000, 200_000].map(|share: u64| (share * cpm.people).div_ceil(1_000_000)));
    // The smaller the top, the larger its part that is admitted; and all of it more than the whole's.
    let shares: Vec<u64> = cpm.cuts.iter().map(|at| at.found * 1_000_000 / at.flagged).collect();
    assert!(shares.is_sorted_by(|one, two| one > two), "{shares:?}");
    assert!(shares[2] > cpm.with_outcome * 1_000_000 / cpm.people);
    assert!(cpm.cuts.iter().all(|at| at.events >= at.found && at.events <= at.all_events));
    let area = cpm.area.expect("some are admitted and some are not");
    let (low, high) = area.interval.expect("an area has an interval");
    assert!(low > 0.5 && high < 1.0, "{area:?}");
    let text = section(as_of, &models);
    assert!(text.contains("| cpm | at least one emergency admission in 365 days |"), "{text}");
    assert!(text.contains(" | 0.70 | "), "the area that PARR-30's paper prints stands beside ours: {text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("| cpm | top ")).count(), 3);
}

#[test]
fn a_population_that_stops_a_run_says_so_in_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let settings = write(&folder.path().join("riskstrat.toml"), demo::settings("nowhere", "2016-04-01"));
    let as_of = Day::parse(b"2016-04-01").unwrap();
    let failure = discrimination(&settings, as_of, &Silent).unwrap_err();
    let text = section_without(as_of, &failure);
    assert!(text.contains("Not scored as of 2016-04-01") && text.contains("source \"register\""), "{text}");
}
