//! What a score was in earlier months, and how it moved: columns that rules about change are written over.
//!
//! Earlier scores are worked out anew from the same timelines, as of the earlier day, so that they do not depend on
//! which runs happen to lie on a disk. They are compared as whole numbers (billionths of the published score), so that
//! "more than 15 points" has one meaning.

use std::sync::Arc;

use super::columns::{NO_NUMBER, Numbers, PublishedColumn, Source, fill};

/// Billionths in a published score of 1.
pub const BILLION: i64 = 1_000_000_000;

/// One model's scores of one day in billionths, a person of the spine each; [`NO_NUMBER`] where there is none that can
/// be compared.
pub type Scores = Vec<i64>;

/// How often a score rose from one month to the next, over this many months up to now.
///
/// # Shape
/// In: a person's scores from now back, one a month. Out: a count.
/// # Missing
/// A step with an end that is not known is no rise. `None` where the score of now is not known, or no step is.
/// # Boundaries
/// A score that stays the same did not rise.
pub fn rises(from_now_back: &[i64], months: usize) -> Option<i64> {
    known(*from_now_back.first()?)?;
    let steps = from_now_back.windows(2).take(months).filter_map(|step| Some(known(step[0])? > known(step[1])?));
    let (all, rose) = steps.fold((0, 0), |(all, rose), is_rise| (all + 1, rose + i64::from(is_rise)));
    (all > 0).then_some(rose)
}

/// How far a score moved over this many months, in billionths; `None` where either end is not known.
pub fn moved(from_now_back: &[i64], months: usize) -> Option<i64> {
    Some(known(*from_now_back.first()?)? - known(*from_now_back.get(months)?)?)
}

/// The names of [`columns`], for so many months.
pub fn names(model: &str, months: usize) -> Vec<String> {
    let of_month = |month: usize| {
        [format!("{model}_{month}m_ago"), format!("{model}_rises_{month}m"), format!("{model}_points_{month}m")]
    };
    (1..=months).flat_map(of_month).collect()
}

/// Of each month back: the score then, in how many months it rose since, and by how many points in all.
///
/// # Shape
/// In: scores by month, now first, and then by person of the spine. Out: three columns a month.
/// # Units
/// A point of a probability is a percentage point; of any other score it is 1.
pub fn columns<'a>(model: &str, is_probability: bool, by_month: Vec<Scores>) -> Vec<PublishedColumn<'a>> {
    let months = by_month.len() - 1;
    let point = if is_probability { BILLION / 100 } else { BILLION };
    let by_month = Arc::new(by_month);
    let number = |column: fn(&[i64], usize) -> Option<i64>, month: usize| -> Numbers<'a> {
        let by_month = Arc::clone(&by_month);
        Numbers::Wide(fill(move |person| {
            let mut path = [NO_NUMBER; MOST_MONTHS + 1];
            let path = &mut path[..=month];
            path.iter_mut().zip(by_month.iter()).for_each(|(score, scores)| *score = scores[person as usize]);
            column(path, month).unwrap_or(NO_NUMBER)
        }))
    };
    // One division of whole numbers each, so that a difference of 15 points is 15 and not nearly 15.
    let over = |whole: i64| move |number: i64| number as f64 / whole as f64;
    let of_month = |month: usize| {
        let then = number(|path, month| known(path[month]), month);
        [
            Source::Decimal(then, Box::new(over(BILLION))),
            Source::Whole(number(rises, month)),
            Source::Decimal(number(moved, month), Box::new(over(point))),
        ]
    };
    let named = names(model, months).into_iter().zip((1..=months).flat_map(of_month));
    named.map(|(name, source)| PublishedColumn::new(&name, source)).collect()
}

/// The most months that a history goes back.
pub const MOST_MONTHS: usize = 24;

fn known(score: i64) -> Option<i64> {
    (score != NO_NUMBER).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::Cohort;
    use crate::cohort::columns::{Published, Values};
    use crate::model::library::Library;

    /// Scores in points, now first.
    fn path(points: &[f64]) -> Vec<i64> {
        let score = |points: &f64| if points.is_nan() { NO_NUMBER } else { (points * 1e7).round() as i64 };
        points.iter().map(score).collect()
    }

    const NONE: f64 = f64::NAN;

    #[test]
    fn a_rise_is_a_step_up_between_two_months_that_are_known() {
        let rose = |points: &[f64], months| rises(&path(points), months);
        assert_eq!(rose(&[4.0, 3.0, 2.0, 1.0], 3), Some(3));
        assert_eq!(rose(&[4.0, 3.0, 2.0, 1.0], 2), Some(2));
        assert_eq!(rose(&[4.0, 4.0, 5.0, 1.0], 3), Some(1), "the same is no rise, nor is a fall");
        assert_eq!(rose(&[4.0, NONE, 2.0, 1.0], 3), Some(1), "two steps are not known");
        assert_eq!(rose(&[NONE, 3.0, 2.0, 1.0], 3), None);
        assert_eq!(rose(&[4.0, NONE, NONE, NONE], 3), None);
        assert_eq!(moved(&path(&[4.0, 9.0, NONE]), 1), Some(-50_000_000));
        assert_eq!(moved(&path(&[4.0, 9.0, NONE]), 2), None);
    }

    /// Whether Kent's rule, as shipped, holds for these histories of people with so many conditions.
    fn kent(histories: &[(&[f64; 7], i64)]) -> Vec<bool> {
        let library = Library::load(None).unwrap().unwrap();
        let file = &library.cohorts["year_of_care"];
        let cohort = Cohort::parse(&file.file, &file.text).unwrap();
        let by_month: Vec<Scores> =
            (0..7).map(|month| histories.iter().map(|(points, _)| path(&points[month..=month])[0]).collect()).collect();
        let mut columns = columns("cpm", true, by_month);
        let conditions = histories.iter().map(|(_, conditions)| Some(*conditions)).collect();
        columns.push(PublishedColumn::given("ltc_count_18", Values::Whole(conditions)));
        // What its exclusions ask about.
        columns.push(PublishedColumn::given("palliative_register", Values::Whole(vec![None; histories.len()])));
        let published = Published { people: (0..histories.len() as u32).collect(), columns };
        cohort.judge(&published.table(|_| true).unwrap()).unwrap().holds
    }

    #[test]
    fn kents_rule_holds_from_its_edges_on_and_not_before() {
        // Now first, then 1 to 6 months ago.
        let four_of_six = [14.0, 13.0, 12.0, 12.0, 12.0, 11.0, 10.0];
        let three_of_six = [14.0, 13.0, 12.0, 12.0, 12.0, 12.0, 11.0];
        let early_four = [10.0, 11.0, 12.0, 11.0, 10.0, 9.0, 8.0];
        let exactly_15 = [35.0, 22.0, 21.0, 20.0, 20.0, 20.0, 20.0];
        let over_15 = [35.000_000_1, 22.0, 21.0, 20.0, 20.0, 20.0, 20.0];
        let over_15_in_two = [40.0, 22.0, 20.0, 20.0, 20.0, 20.0, 20.0];
        let over_15_with_a_fall = [60.0, 19.0, 22.0, 20.0, 20.0, 20.0, 20.0];
        let unknown_month = [14.0, 13.0, 12.0, NONE, 12.0, 11.0, 10.0];
        let unknown_before = [50.0, 30.0, 25.0, 20.0, NONE, NONE, NONE];
        let unknown_now = [NONE, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0];
        let histories = [
            (&four_of_six, true),
            (&three_of_six, false),
            (&early_four, true),
            (&exactly_15, false),
            (&over_15, true),
            (&over_15_in_two, false),
            (&over_15_with_a_fall, false),
            (&unknown_month, true),
            (&unknown_before, true),
            (&unknown_now, false),
        ];
        let held = kent(&histories.map(|(history, _)| (history, 2)));
        assert_eq!(held, histories.map(|(_, holds)| holds));
        assert_eq!(kent(&[(&four_of_six, 1), (&four_of_six, 2), (&four_of_six, 18)]), [false, true, true]);
    }

    #[test]
    fn a_difference_of_fifteen_points_is_fifteen() {
        // 0.45 - 0.30 is 0.15000000000000002 in floats.
        let by_month: Vec<Scores> = [45.0, 30.0].map(|points| path(&[points])).into();
        let published = Published { people: vec![0], columns: columns("cpm", true, by_month) };
        let Some(Values::Decimal(points)) = published.column("cpm_points_1m") else { panic!("points are a decimal") };
        assert_eq!(points[0], Some(15.0));
    }
}
