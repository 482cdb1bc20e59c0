//! Models made truer on local data: recalibrated, refitted, compared; their files run as any other.
//!
//! 2,400 people: who was admitted before comes back in half of all cases, others in a tenth, men more often; so that
//! every estimate can be worked out by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use riskstrat::appraisal::compare::compare;
use riskstrat::appraisal::fit::{self, Shrink, Silent, fit};
use riskstrat::appraisal::local::{Estimating, Published};
use riskstrat::appraisal::recalibrate::{By, Method, recalibrate};
use riskstrat::appraisal::validate::Options;
use riskstrat::day::Day;
use riskstrat::estimate::decision::Cut;
use riskstrat::model::check::check;
use riskstrat::model::library::Library;
use riskstrat::run::{Failure, Request, Silent as Unwatched, back_cast, prepare, prepare_back_cast, run};

use crate::back_cast::{Place, RISK};
use crate::common::{files_under, parquet_rows};
use crate::models::streams;

/// People with and without an admission before, and how many of them come back: of men, of women.
const PEOPLE: [(&str, usize, usize, usize, usize); 2] = [("1", 400, 240, 800, 120), ("2", 400, 160, 800, 40)];

fn place() -> Place {
    let mut place = Place::new();
    let mut number = 0;
    for (sex, before, back, others, others_back) in PEOPLE {
        for of in 0..before + others {
            // Numbers that jump, so that pseudonyms do not stand in the order of the classes.
            let id = format!("PSEUDO-{:05}", number * 7_919 % 99_991);
            number += 1;
            place.man_or_woman(&id, sex);
            let was_admitted = of < before;
            if was_admitted {
                place.stay(&id, "2015-01-10", "2015-01-11", "21");
            }
            if (was_admitted && of < back) || (!was_admitted && of - before < others_back) {
                place.stay(&id, "2015-04-10", "2015-04-14", "21");
            }
        }
    }
    place
}

/// Nobody comes in any more after April, so the data does not show that people were followed.
fn request(place: &Place, models: &[&str]) -> Request {
    Request { followed_until: Day::parse(b"2015-06-01"), ..place.request(models, "2015-04-01") }
}

struct Made {
    place: Place,
    published: Published,
}

impl Made {
    /// The new model's file, read and checked.
    fn model(&self) -> riskstrat::model::Model {
        let library = Library::load(Some(&self.place.path("models"))).unwrap().unwrap();
        let text = &library.models[&self.published.id];
        check(&text.file, &text.text, &library, &streams(&library)).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn before(&self, name: &str) -> f64 {
        self.published.after.pairs().find(|(known, _, _)| *known == name).unwrap().1.unwrap().value
    }

    fn after(&self, name: &str) -> f64 {
        self.published.after.pairs().find(|(known, _, _)| *known == name).unwrap().2.unwrap().value
    }

    /// What a nightly run publishes of the new model.
    fn scores(&self) -> BTreeMap<String, f64> {
        let settings = self.place.path("riskstrat.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let text = text.replace("models = [\"risk\"]", &format!("models = [\"risk\", \"{}\"]", self.published.id));
        std::fs::write(&settings, text.replace("2016-04-01", "2015-04-01")).unwrap();
        let prepared =
            prepare(&settings, Some(&self.place.path("models"))).unwrap_or_else(|failure| panic!("{failure}"));
        run(&prepared, &Unwatched).unwrap_or_else(|failure| panic!("{failure}"));
        parquet_rows(&self.place.path("out/2015-04-01/scores.parquet"))
            .into_iter()
            .map(|row| (row["person"].to_string(), row[&self.published.id].to_string().parse().unwrap()))
            .collect()
    }
}

fn estimating(into: PathBuf) -> Estimating {
    Estimating { name: "here-2015".to_owned(), test_share: 0.3, seed: 1, into }
}

fn recalibrated(method: Method) -> Made {
    let place = place();
    place.write();
    let request = request(&place, &["risk"]);
    let prepared = prepare_back_cast(&place.path("riskstrat.toml"), Some(&place.path("models")), &request);
    let prepared = prepared.unwrap_or_else(|failure| panic!("{failure}"));
    let past = back_cast(&prepared, &request, &Unwatched).unwrap();
    let published =
        recalibrate(&past, method, &estimating(place.path("models")), &place.path("recalibration"), &Unwatched);
    let published = published.unwrap_or_else(|failure| panic!("{failure}"));
    Made { place, published }
}

fn fitted(place: Place, options: fit::Options) -> Result<Made, Failure> {
    place.write();
    let request = request(&place, &["risk"]);
    let prepared = prepare_back_cast(&place.path("riskstrat.toml"), Some(&place.path("models")), &request)?;
    let past = back_cast(&prepared, &request, &Unwatched)?;
    let published = fit(&past, &options, &estimating(place.path("models")), &place.path("fits"), &Unwatched)?;
    drop(past);
    Ok(Made { place, published })
}

const PLAIN: fit::Options = fit::Options { shrink: Shrink::None, lambda: None, folds: 5, silent: Silent::Hold };

/// The logit of a share.
fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

#[test]
fn a_new_constant_makes_as_many_outcomes_expected_as_there_were() {
    let made = recalibrated(Method::Intercept);
    assert_eq!(made.published.id, "risk@here-2015");
    let model = made.model();
    assert_eq!(model.terms[0].coefficient.to_f64(), 1.0, "the ranking stays as it was");
    // The model has 0.119 without and 0.269 with an admission before; there came back 560 of 2,400.
    assert!(made.before("observed / expected") > 1.3, "{}", made.before("observed / expected"));
    assert!((made.after("observed / expected") - 1.0).abs() < 0.1, "{}", made.after("observed / expected"));
    assert_eq!(made.before("AUC"), made.after("AUC"));
    let estimated = model.estimated.as_ref().unwrap();
    assert_eq!((estimated.from.as_str(), estimated.horizon_days), ("risk 1", 30));
    assert_eq!(estimated.as_of, ["2015-04-01"]);
    assert!(estimated.people.is_multiple_of(5) && estimated.people + estimated.test_people >= 2_395);
    let scores = made.scores();
    let distinct: std::collections::BTreeSet<u64> = scores.values().map(|score| score.to_bits()).collect();
    assert_eq!((scores.len(), distinct.len()), (2_400, 2), "it runs tonight, beside the old one");
}

#[test]
fn a_new_slope_brings_the_calibration_slope_to_one() {
    let made = recalibrated(Method::Slope);
    let coefficient = made.model().terms[0].coefficient.to_f64();
    // Before: 400 of 800 come back, and 160 of 1,600: logits 0 and -2.197. A sample of 70 % is near it.
    assert!((coefficient - (logit(0.5) - logit(0.1))).abs() < 0.25, "{coefficient}");
    assert!(made.before("slope") > 1.5 && (made.after("slope") - 1.0).abs() < 0.2, "{}", made.after("slope"));
    let score = made.scores();
    assert!(score.values().all(|score| (score - 0.5).abs() < 0.06 || (score - 0.1).abs() < 0.03));
}

#[test]
fn each_group_gets_a_constant_of_its_own() {
    let made = recalibrated(Method::Group(By::Sex));
    let model = made.model();
    let names: Vec<&str> = model.terms.iter().map(|term| term.name.as_str()).collect();
    assert_eq!(names, ["admissions", "before_the_stay", "recalibration_male", "recalibration_female"]);
    assert!(model.terms[2].coefficient.to_f64() > 0.1 && model.terms[3].coefficient.to_f64() < -0.1);
    assert!(made.after("AUC") > made.before("AUC"), "men come back more often");
    let deciles = recalibrated(Method::Group(By::Deprivation));
    let estimated = deciles.model().estimated.unwrap();
    assert!(estimated.remarks.iter().any(|remark| remark.contains("decile: 1 to 2: too few people")), "{estimated:?}");
    assert_eq!(deciles.model().terms.last().unwrap().name, "recalibration_imd_decile_5");
}

#[test]
fn an_isotonic_map_gives_the_shares_and_leaves_the_ranking() {
    let made = recalibrated(Method::Isotonic);
    let model = made.model();
    assert_eq!(model.isotonic.len(), 2);
    let [low, high] = [0, 1].map(|level: usize| model.isotonic[level].1.to_f64());
    assert!((low - 0.1).abs() < 0.03 && (high - 0.5).abs() < 0.06, "{low} {high}");
    assert_eq!(model.isotonic[1].0.to_f64(), -1.0, "from the linear predictor of one admission on");
    let scores = made.scores();
    assert!(scores.values().all(|score| *score == low || *score == high));
    let text = std::fs::read_to_string(&made.published.model_file).unwrap();
    assert!(!text.contains("PSEUDO"));
}

#[test]
fn a_refit_finds_the_coefficients_that_the_outcomes_were_made_with() {
    let made = fitted(place(), PLAIN).unwrap_or_else(|failure| panic!("{failure}"));
    let model = made.model();
    assert!((model.terms[0].coefficient.to_f64() - (logit(0.5) - logit(0.1))).abs() < 0.25);
    assert!((model.intercept.to_f64() - logit(0.1)).abs() < 0.2, "{}", model.intercept);
    let remarks = model.estimated.as_ref().unwrap().remarks.join("; ");
    assert!(remarks.contains("before_the_stay: nobody has it: the published coefficient stays"), "{remarks}");
    assert!(remarks.starts_with("Converged in "), "{remarks}");
    let csv = String::from_utf8(std::fs::read(made.published.folder.join("figures.csv")).unwrap()).unwrap();
    assert!(
        csv.contains(",coefficients,admissions,here,2.") || csv.contains(",coefficients,admissions,here,1.9"),
        "{csv}"
    );
    assert_eq!(made.scores().len(), 2_400);
    for bytes in files_under(&made.published.folder).values() {
        assert!(!String::from_utf8_lossy(bytes).contains("PSEUDO"));
    }
    // Again, and with other threads: the same bytes.
    let again = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = again.install(|| fitted(place(), PLAIN)).unwrap();
    let read = |made: &Made| std::fs::read(&made.published.model_file).unwrap();
    assert!(read(&made).len() > 500);
    let numbers = |made: &Made| {
        let text = String::from_utf8(read(made)).unwrap();
        text.lines()
            .filter(|line| line.starts_with("coefficient") || line.starts_with("intercept"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&made), numbers(&again));
}

#[test]
fn a_lasso_and_a_ridge_say_how_they_were_weighed() {
    for (shrink, word) in [(Shrink::Lasso, "lasso"), (Shrink::Ridge, "ridge")] {
        let made = fitted(place(), fit::Options { shrink, ..PLAIN }).unwrap_or_else(|failure| panic!("{failure}"));
        let model = made.model();
        let method = model.estimated.as_ref().unwrap().method.clone();
        assert!(method.contains(word) && method.contains("by cross-validation over 5 folds of people"), "{method}");
        let coefficient = model.terms[0].coefficient.to_f64();
        assert!(coefficient > 1.5 && coefficient < 2.5, "{coefficient}");
        assert!(made.published.folder.join("path.csv").is_file());
    }
}

#[test]
fn terms_that_separate_are_named_and_nothing_is_written() {
    let mut place = Place::new();
    for number in 0..200 {
        let id = format!("PSEUDO-{number:03}");
        place.person(&id, "", "");
        // One admission before and none after, or two before and one after.
        place.stay(&id, "2015-01-10", "2015-01-11", "21");
        if number % 2 == 0 {
            place.stay(&id, "2015-02-10", "2015-02-11", "21");
            place.stay(&id, "2015-04-10", "2015-04-11", "21");
        }
    }
    let failure = fitted(place, PLAIN).err().unwrap();
    assert_eq!(failure.exit_code(), 4);
    assert_eq!(
        failure.to_string(),
        "as of 2015-04-01: perfect separation: the term admissions tells people with and without the outcome apart without a fault, so that no coefficient is large enough; fit with --penalty ridge, or leave such a term out of the model"
    );
}

#[test]
fn estimates_on_too_few_people_and_of_points_are_refused() {
    let mut few = Place::new();
    for number in 0..40 {
        let id = format!("PSEUDO-{number:03}");
        few.person(&id, "", "");
        if number < 10 {
            few.stay(&id, "2015-04-10", "2015-04-11", "21");
        }
    }
    let message = fitted(few, PLAIN).err().unwrap().to_string();
    assert!(message.contains("8 with and 8 without it are the least that an estimate is made on"), "{message}");
    let points = place();
    points.model(&RISK.replace("\"logistic\"", "\"points\""));
    let failure = fitted(points, PLAIN).err().unwrap();
    assert_eq!(failure.exit_code(), 3);
    assert!(failure.to_string().contains("scores/risk.toml: the model is no logistic regression"), "{failure}");
}

#[test]
fn a_model_file_is_never_written_over() {
    let place = place();
    place.model(&RISK.replace("\"risk\"", "\"risk@here-2015\""));
    let failure = fitted(place, PLAIN).err().unwrap();
    assert_eq!(failure.exit_code(), 5);
    assert!(
        failure.to_string().contains("scores/risk@here-2015.toml is there already; choose another --name"),
        "{failure}"
    );
}

#[test]
fn two_models_are_compared_on_the_same_people() {
    let made = recalibrated(Method::Group(By::Sex));
    let place = &made.place;
    let request = request(place, &["risk", &made.published.id]);
    let prepared = prepare_back_cast(&place.path("riskstrat.toml"), Some(&place.path("models")), &request);
    let prepared = prepared.unwrap_or_else(|failure| panic!("{failure}"));
    let past = back_cast(&prepared, &request, &Unwatched).unwrap();
    let options = Options { list: Cut::Top(300), repeats: 0, seed: 0, admission_cost: None };
    let published = compare(&past, &options, &place.path("comparison"), &Unwatched).unwrap();
    let csv = std::fs::read_to_string(published[0].folder.join("figures.csv")).unwrap();
    let cells = |what: &str| -> Vec<String> {
        let line = csv.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in\n{csv}"));
        line.split(',').map(str::to_owned).collect()
    };
    let number = |what: &str| cells(what)[11].parse::<f64>().unwrap();
    // Of 2,400 people 560 come back. First: 400 of the 800 with an admission, 160 of the others.
    let first = (400.0 * 1_440.0 + (400.0 * 400.0 + 160.0 * 1_440.0) / 2.0) / (560.0 * 1_840.0);
    assert!((number("all,everybody,comparison,,AUC of the first,") - first).abs() < 1e-6);
    // A name with a comma is in quotes, so that its value stands one cell further on.
    assert!(cells("\"AUC, second less first\"")[12].parse::<f64>().unwrap() > 0.0);
    // The first model ties all 800 with an admission; the second puts men first, so its list is men alone.
    assert_eq!(number("sex,female,comparison,,on both lists,"), 0.0);
    assert_eq!(number("sex,female,comparison,,only on the list of the second,"), 0.0);
    assert_eq!(
        number("sex,male,comparison,,only on the list of the second,"),
        number("sex,female,comparison,,only on the list of the first,")
    );
}
