//! A model's probabilities made to mean what they say here, its ranking left as it is: a new constant; a new constant and
//! slope; a constant for each group; or the isotonic map.

use std::path::Path;

use anyhow::anyhow;

use super::local::{After, Estimating, Made, Published, Study, nano, version};
use super::validate::People;
use crate::estimate::calibration::{Level, NoLine, in_the_large, isotonic, line};
use crate::estimate::inverse_logit;
use crate::model::revise::{Revision, quoted};
use crate::number::Nano;
use crate::output::disclosure;
use crate::run::{BackCast, Failure, Progress};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Intercept,
    Slope,
    Group(By),
    Isotonic,
}

/// What people are grouped by: what a model file can ask of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Age,
    Sex,
    Deprivation,
}

/// One level of a group: its name, label, and the value and steps that tell who is in it.
struct GroupLevel<'a> {
    name: String,
    label: String,
    value: &'a str,
    steps: String,
    is_in: Box<dyn Fn(&Person) -> bool + 'a>,
}

/// What is known of a person, as groups ask.
struct Person {
    age_years: Option<i32>,
    sex: Option<crate::model::Sex>,
    imd_decile: Option<i32>,
}

/// Fewer people of one class than this get no constant of their own.
const FEWEST: u64 = 8;

/// Recalibrates the model of a back-cast at its day and writes the new model's file.
///
/// # Errors
/// What stops a back-cast; a method that the data does not bear.
pub fn recalibrate(
    back_cast: &BackCast,
    method: Method,
    estimating: &Estimating,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Published, Failure> {
    let study = Study::new(back_cast, estimating, 1, progress)?;
    progress.stage("recalibrate", 0);
    let made = match method {
        Method::Intercept => intercept(&study),
        Method::Slope => slope(&study),
        Method::Group(by) => by_group(&study, by),
        Method::Isotonic => Ok(by_isotonic(&study)),
    };
    let found = made.map_err(|what| Failure::Data(anyhow!("as of {}: {what}", study.day.as_of)))?;
    let words = found.words.clone();
    let after = found.after;
    let sections = format!("{}{}", study.sections(&words, &found.remarks, &after), found.sections);
    let mut card = study.card(&words, &found.remarks, &after);
    card.open_items();
    let model = study.model();
    let revision = Revision {
        id: study.new_id(),
        version: version(&study, &words),
        title: format!("{}; recalibrated: {}", model.title, estimating.name),
        intercept: found.intercept,
        coefficients: found.coefficients,
        sections,
    };
    study.publish(Made { revision, after, figures: Vec::new(), card, files: Vec::new() }, out)
}

struct Found {
    words: String,
    remarks: Vec<String>,
    intercept: Option<Nano>,
    coefficients: Vec<(String, Nano)>,
    sections: String,
    after: After,
}

fn words(why: NoLine) -> String {
    why.words().to_owned()
}

/// The people to test with under a line of their linear predictors.
fn after_line(test: &People, intercept: f64, slope: f64) -> After {
    let lps: Vec<f64> = test.linear_predictors.iter().map(|lp| intercept + slope * lp).collect();
    let probabilities: Vec<f64> = lps.iter().map(|lp| inverse_logit(*lp)).collect();
    // A slope below nothing turns the ranking round.
    let scores: Vec<i64> = lps.iter().map(|lp| nano(*lp).0).collect();
    After::new(test, &scores, &lps, &probabilities)
}

fn intercept(study: &Study) -> Result<Found, String> {
    let shift = in_the_large(&study.train.linear_predictors, &study.train.events).map_err(words)?;
    let (low, high) = shift.interval.unwrap_or((shift.value, shift.value));
    Ok(Found {
        words: "new constant".to_owned(),
        remarks: vec![format!("Added to every linear predictor: {:.6} ({low:.6} to {high:.6}).", shift.value)],
        intercept: Some(nano(study.model().intercept.to_f64() + shift.value)),
        coefficients: Vec::new(),
        sections: String::new(),
        after: after_line(&study.test, shift.value, 1.0),
    })
}

fn slope(study: &Study) -> Result<Found, String> {
    let line = line(&study.train.linear_predictors, &study.train.events).map_err(words)?;
    let model = study.model();
    let scaled = model.terms.iter().map(|term| (term.name.clone(), nano(term.coefficient.to_f64() * line.slope)));
    Ok(Found {
        words: "new constant and slope".to_owned(),
        remarks: vec![
            format!("Every coefficient times {:.6} (standard error {:.6}).", line.slope, line.slope_error),
            format!("Then added: {:.6} (standard error {:.6}).", line.intercept, line.intercept_error),
        ],
        intercept: Some(nano(line.intercept + line.slope * model.intercept.to_f64())),
        coefficients: scaled.collect(),
        sections: String::new(),
        after: after_line(&study.test, line.intercept, line.slope),
    })
}

fn by_group(study: &Study, by: By) -> Result<Found, String> {
    let everybody = in_the_large(&study.train.linear_predictors, &study.train.events).map_err(words)?.value;
    let people: Vec<Person> = study.cast.people.iter().map(|&person| known(study, person)).collect();
    let mut shift_of = vec![everybody; people.len()];
    let mut remarks = vec![format!("Added for whoever is in no group below: {everybody:.6}.")];
    let mut sections = String::new();
    for level in levels(by) {
        let is_in = |row: &&u32| (level.is_in)(&people[**row as usize]);
        let rows: Vec<usize> =
            study.split.train.iter().enumerate().filter(|(_, row)| is_in(row)).map(|(place, _)| place).collect();
        let lps: Vec<f64> = rows.iter().map(|&place| study.train.linear_predictors[place]).collect();
        let events: Vec<bool> = rows.iter().map(|&place| study.train.events[place]).collect();
        let with = events.iter().filter(|event| **event).count() as u64;
        if with < FEWEST || (events.len() as u64) - with < FEWEST {
            remarks.push(format!("{}: too few people for a constant of their own.", level.label));
            continue;
        }
        let shift = in_the_large(&lps, &events).map_err(words)?;
        let beyond = nano(shift.value - everybody);
        let (low, high) = shift.interval.unwrap_or((shift.value, shift.value));
        remarks.push(format!("{}: {:.6} ({low:.6} to {high:.6}).", level.label, shift.value));
        for (shift_of, _) in shift_of.iter_mut().zip(&people).filter(|(_, person)| (level.is_in)(person)) {
            *shift_of = everybody + beyond.to_f64();
        }
        sections.push_str(&format!(
            "\n[[term]]\nname         = {}\nlabel        = {}\nvalue        = {}\n{}when_missing = \"zero\"\ncoefficient  = {beyond}\n",
            quoted(&level.name),
            quoted(&format!("Recalibration: {}", level.label)),
            level.value,
            level.steps,
        ));
    }
    let test = &study.test;
    let lps: Vec<f64> =
        study.split.test.iter().zip(&test.linear_predictors).map(|(row, lp)| lp + shift_of[*row as usize]).collect();
    let probabilities: Vec<f64> = lps.iter().map(|lp| inverse_logit(*lp)).collect();
    let scores: Vec<i64> = lps.iter().map(|lp| nano(*lp).0).collect();
    let what = match by {
        By::Age => "age",
        By::Sex => "sex",
        By::Deprivation => "deprivation fifth",
    };
    remarks.push("People of different groups change places in the ranking.".to_owned());
    Ok(Found {
        words: format!("a constant for each {what}"),
        remarks,
        intercept: Some(nano(study.model().intercept.to_f64() + everybody)),
        coefficients: Vec::new(),
        sections,
        after: After::new(test, &scores, &lps, &probabilities),
    })
}

fn known(study: &Study, person: u32) -> Person {
    let spine = &study.back_cast.loaded.people.spine;
    let place = person as usize;
    Person {
        age_years: spine.births[place].map(|birth| birth.age_years_on(study.day.as_of)),
        sex: spine.sexes[place],
        imd_decile: spine
            .numbers
            .get("imd_decile")
            .map(|column| column[place])
            .filter(|decile| *decile != i32::MIN)
            .map(|decile| decile / 1_000),
    }
}

fn levels(by: By) -> Vec<GroupLevel<'static>> {
    use crate::model::Sex;
    match by {
        By::Sex => [("male", Sex::Male, "{ sex = \"male\" }"), ("female", Sex::Female, "{ sex = \"female\" }")]
            .map(|(word, sex, value)| GroupLevel {
                name: format!("recalibration_{word}"),
                label: format!("sex: {word}"),
                value,
                steps: String::new(),
                is_in: Box::new(move |person| person.sex == Some(sex)),
            })
            .into(),
        By::Age => ranges("age", "age_years", "{ age_years = {} }", &[0, 18, 45, 65, 75, 85], 200, |p| p.age_years),
        By::Deprivation => ranges(
            "deprivation decile",
            "imd_decile",
            "{ attribute = \"imd_decile\" }",
            &[1, 3, 5, 7, 9],
            10,
            |person| person.imd_decile,
        ),
    }
}

fn ranges(
    label: &str,
    name: &str,
    value: &'static str,
    firsts: &'static [i32],
    last: i32,
    of: fn(&Person) -> Option<i32>,
) -> Vec<GroupLevel<'static>> {
    let range = |place: usize| {
        let (first, until) = (firsts[place], firsts.get(place + 1).map_or(last, |next| next - 1));
        GroupLevel {
            name: format!("recalibration_{name}_{first}"),
            label: if until == 200 {
                format!("{label}: {first} and over")
            } else {
                format!("{label}: {first} to {until}")
            },
            value,
            steps: format!("steps        = [{{ between = [{first}, {until}] }}]\n"),
            is_in: Box::new(move |person: &Person| of(person).is_some_and(|number| (first..=until).contains(&number))),
        }
    };
    (0..firsts.len()).map(range).collect()
}

fn by_isotonic(study: &Study) -> Found {
    let levels = enough(&isotonic(&study.train.scores, &study.train.events));
    let steps: Vec<(i64, f64)> = shares(&levels);
    let share = |score: i64| {
        let place = steps.partition_point(|(from, _)| *from <= score);
        steps[place.saturating_sub(1)].1
    };
    let test = &study.test;
    let probabilities: Vec<f64> = test.scores.iter().map(|score| share(*score)).collect();
    // The logit of a share of nobody or everybody has no end; calibration lines are drawn through what is near it.
    let lps: Vec<f64> = probabilities
        .iter()
        .map(|p| {
            let p = p.clamp(1e-6, 1.0 - 1e-6);
            libm::log(p / (1.0 - p))
        })
        .collect();
    let mut sections = "\n[isotonic]\nlevels = [\n".to_owned();
    steps.iter().for_each(|(from, share)| sections.push_str(&format!("  [{}, {share}],\n", Nano(*from))));
    sections.push_str("]\n");
    Found {
        words: "isotonic map from score to probability".to_owned(),
        remarks: vec![
            format!(
                "{} levels, each of 8 people or more with and without the outcome; the ranking stays as it was.",
                steps.len()
            ),
            "AUC after is that of the probabilities, of which those of one level are tied.".to_owned(),
        ],
        intercept: None,
        coefficients: Vec::new(),
        sections,
        after: After::new(test, &probabilities.iter().map(|p| nano(*p).0).collect::<Vec<_>>(), &lps, &probabilities),
    }
}

/// Levels brought together until each has enough people with and without the outcome to be shown.
fn enough(levels: &[Level]) -> Vec<Level> {
    let mut kept: Vec<Level> = Vec::new();
    let is_enough = |level: &Level| level.events >= FEWEST && level.people - level.events >= FEWEST;
    for level in levels {
        match kept.last_mut().filter(|last| !is_enough(last)) {
            Some(last) => join(last, level),
            None => kept.push(*level),
        }
    }
    if let [.., before, last] = &mut kept[..]
        && !is_enough(last)
    {
        let last = *last;
        join(before, &last);
        kept.pop();
    }
    kept
}

fn join(below: &mut Level, above: &Level) {
    below.to_score = above.to_score;
    below.people += above.people;
    below.events += above.events;
}

/// From which score on which share has the outcome, from counts as they may be shown, rising.
fn shares(levels: &[Level]) -> Vec<(i64, f64)> {
    let mut steps: Vec<(i64, f64)> = Vec::new();
    for level in levels {
        let (part, whole) = disclosure::rate(level.events, level.people).expect("levels have people enough");
        let share = (part as f64 / whole as f64 * 1e6).round() / 1e6;
        match steps.last() {
            Some((_, below)) if *below >= share => {}
            _ => steps.push((level.from_score, share)),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(from_score: i64, people: u64, events: u64) -> Level {
        Level { from_score, to_score: from_score, people, events }
    }

    #[test]
    fn levels_of_few_people_are_brought_together() {
        let levels = [level(0, 100, 0), level(1, 50, 5), level(2, 20, 8), level(3, 10, 7), level(4, 3, 3)];
        let kept = enough(&levels);
        let got: Vec<_> = kept.iter().map(|level| (level.from_score, level.people, level.events)).collect();
        // 0 and 1 have 5 with the outcome, with 2 they have 13; 3 and 4 have 3 without it, so they join what is below.
        assert_eq!(got, [(0, 183, 23)]);
        let steps = shares(&[level(0, 200, 20), level(5, 100, 22), level(9, 50, 11), level(12, 40, 30)]);
        assert_eq!(steps, [(0, 0.1), (5, 0.2), (12, 0.75)]);
    }
}
