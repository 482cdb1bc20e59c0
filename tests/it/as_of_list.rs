//! Several as-of days in one run.

use std::path::Path;

use riskstrat::run::{Dates, Scored, load, prepare, score_at};
use riskstrat::score::people::Reason;

use crate::common::{files_under, run_settings, write};

const REGISTER: &str = "person_id,birth_year_month,sex,practice_code,registration_start,registration_end,death_date,\
                        lsoa11,ethnic_category,imd_score,imd_decile\n\
                        p1,1950-01,1,G82001,2000-01-01,,,E01000001,A,20.5,5\n\
                        p2,1940-01,2,G82001,2000-01-01,,2016-02-10,E01000001,A,20.5,5\n";
const GP_EVENTS: &str = "person_id,event_date,recorded_date,value,snomed_code,practice_code\n\
                         p1,2016-01-20,2016-01-20,,44054006,G82001\n\
                         p1,2016-03-20,2016-03-20,,195967001,G82001\n";

fn settings(folder: &Path, as_of: &str) -> std::path::PathBuf {
    write(&folder.join("register.csv"), REGISTER);
    write(&folder.join("gp_events.csv"), GP_EVENTS);
    let text = format!(
        "format = 1\nas_of = {as_of}\nout = \"out\"\nmodels = [\"cpm\"]\n\
         [register]\nlayout = \"register\"\nfiles = [\"register.csv\"]\n[opt_outs]\napplied_upstream = \"by us\"\n\
         [[source]]\nname = \"gp_events\"\nlayout = \"gp_events\"\nfiles = [\"gp_events.csv\"]\n"
    );
    write(&folder.join("riskstrat.toml"), text)
}

#[test]
fn a_run_over_a_list_of_days_publishes_what_each_day_alone_would() {
    let days = ["2016-01-31", "2016-02-29", "2016-03-31"];
    let together = tempfile::tempdir().unwrap();
    let report = run_settings(&settings(together.path(), &format!("{days:?}")), None);
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.published.len(), days.len());
    for day in days {
        let alone = tempfile::tempdir().unwrap();
        run_settings(&settings(alone.path(), &format!("\"{day}\"")), None).unwrap();
        let (together, alone) =
            (files_under(&together.path().join("out").join(day)), files_under(&alone.path().join("out").join(day)));
        for file in ["scores.parquet", "not_scored.parquet"] {
            assert!(together[file] == alone[file], "{file} of {day}");
        }
    }
    let left: Vec<_> =
        std::fs::read_dir(together.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), days.len() + 1, "nothing but the runs and the lock: {left:?}");
}

#[test]
fn each_date_of_a_list_gets_the_bytes_that_it_gets_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = riskstrat::population::Request::new(1_500, 5, folder.path().join("data"));
    request.rows_per_person = 40;
    request.format = riskstrat::population::Format::Parquet;
    riskstrat::population::generate(&request, &|_, _| ()).unwrap();
    let run = |name: &str, as_of: &str| {
        let text = riskstrat::demo::settings("data", "2016-04-01")
            .replace("as_of = \"2016-04-01\"", &format!("as_of = {as_of}"));
        let text = text.replace("out = \"out\"", &format!("out = \"{name}\""));
        let settings = write(&folder.path().join(format!("{name}.toml")), text);
        run_settings(&settings, None).unwrap_or_else(|failure| panic!("{failure}"));
        files_under(&folder.path().join(name))
    };
    let days = ["2015-10-15", "2016-01-31", "2016-04-01"];
    let together = run("together", "[\"2015-10-15\", \"2016-01-31\", \"2016-04-01\"]");
    let mut compared = 0;
    for day in days {
        for (name, bytes) in run(&format!("alone-{day}"), &format!("\"{day}\"")) {
            // What was read differs: a run for an early date leaves the later rows out.
            let is_scores = name.contains("scores.parquet") || name.contains("not_scored");
            // A list says what changed since the last one: alone, only the first day has none before it.
            let is_about_people = is_scores || day == days[0] && name.contains("/lists/");
            if is_about_people {
                assert!(together[&name] == bytes, "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 7, "scores and not scored of each date, and the lists of the first");
}

/// Of whoever came within a year and a month: who they are moves with the day alone, and nothing else does.
const NEWCOMERS: &str = "format = 1\n[model]\nid = \"newcomers\"\nversion = \"1\"\ntitle = \"Newcomers\"\n\
                         kind = \"points\"\n[source]\ncitation = \"Made for this test.\"\nlocation = \"here\"\n\
                         derived = []\nassumed = []\n[population]\nregistered_days = { at_most = 395 }\n\
                         otherwise = \"not_scored\"\n[[term]]\nname = \"female\"\nlabel = \"Female\"\n\
                         value = { sex = \"female\" }\nwhen_missing = \"zero\"\ncoefficient = 1\n";

/// Several dates in one pass come to what each comes to alone. A date fills the columns that a date before it is done
/// with: nothing of that may be left, of nobody who has since died, left or grown out of a model's population either.
#[test]
fn dates_of_one_pass_and_in_columns_of_other_dates_are_those_that_are_scored_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = riskstrat::population::Request::new(1_200, 5, folder.path().join("data"));
    request.rows_per_person = 40;
    riskstrat::population::generate(&request, &|_, _| ()).unwrap();
    let days = "[\"2014-04-01\", \"2014-05-01\", \"2014-05-20\", \"2014-06-01\", \"2015-03-10\", \"2015-04-01\", \"2016-04-01\"]";
    let text = riskstrat::demo::settings("data", "2016-04-01")
        .replace("as_of = \"2016-04-01\"", &format!("as_of = {days}"))
        .replace("models = [", "models = [\"newcomers\", ");
    let settings = write(&folder.path().join("riskstrat.toml"), text);
    write(&folder.path().join("models/scores/newcomers.toml"), NEWCOMERS);
    let prepared =
        prepare(&settings, Some(&folder.path().join("models"))).unwrap_or_else(|failure| panic!("{failure}"));
    let loaded = load(&prepared, &mut |_, _| (), &|_| ()).unwrap();
    let days = prepared.settings.as_of.0.clone();
    let alone: Vec<_> = days.iter().map(|day| score_at(&prepared, &loaded, *day, &|_| ()).unwrap()).collect();
    let mut lost = 0;
    for at_once in [1, 2, 7] {
        let mut at_dates = Dates::new(&prepared, &loaded, &days, at_once).unwrap();
        // There and back: somebody has a score on one day and none on the next, and the other way round.
        for number in [0, 1, 2, 3, 4, 5, 6, 2, 1, 0] {
            let scored = at_dates.score(number, &|_| ()).unwrap();
            assert!(scored.scores == alone[number].scores, "{} with {at_once} at once", days[number]);
            let results = scored.scores.models.iter().flat_map(|model| &model.linear_predictors);
            lost +=
                results.filter(|result| matches!(result.reason(), Some(Reason::Died | Reason::NotRegistered))).count();
            at_dates.take_back(scored);
        }
    }
    assert!(lost > 100, "people die and leave: {lost}");
    let are_new =
        |scored: &Scored| scored.scores.models[0].linear_predictors.iter().filter(|lp| lp.is_scored()).count();
    assert!(alone.iter().all(|scored| are_new(scored) > 10), "people come and stay");
}
