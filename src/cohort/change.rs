//! What changed since the last published list: who joined, who stayed, who left and why, and which terms moved.
//!
//! Everybody on the last list is on this one or among those who left, with a reason. A feed that stopped must not look
//! like falling risk: whoever was on the list and is covered by fewer feeds now stays on it, marked, for as long as the
//! cohort says ([`super::spec::HOLD_DAYS`]); after that the reason is the feed and not the person.

use crate::day::Day;
use crate::model::Model;
use crate::number::Nano;
use crate::person::Standing;

use super::Place;
use super::spec::Cohort;

/// How a person stood with a cohort in the last published run.
#[derive(Debug, Clone, PartialEq)]
pub struct Then {
    pub person: String,
    pub practice: String,
    /// On the list; otherwise below its capacity.
    pub was_on: bool,
    pub order: Option<i64>,
    pub score: Option<f64>,
    pub covered: Covered,
    /// The day from which a stopped feed has kept the person on the list.
    pub held_since: Option<Day>,
    /// The day of the list that the person joined.
    pub joined: Option<Day>,
    /// The terms of the score that were not zero, each with its part, as they stand in the cohort's file.
    pub parts: String,
}

/// How much of what a rule may look at the person's feeds cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covered {
    /// Terms of the cohort's model and of the facts;
    pub asked: i64,
    /// those that no feed could have told.
    pub unavailable: i64,
}

impl Covered {
    /// Whether feeds that covered the person then do so no longer. Runs that asked about other terms say nothing.
    pub fn shrank_since(self, then: Covered) -> bool {
        self.asked == then.asked && self.unavailable > then.unavailable
    }
}

/// Since when a stopped feed has kept somebody on the list; `None` where none does, or for too long.
///
/// # Boundaries
/// Only at the same practice: another practice's feeds say nothing about this one's. The first day counts as day 0.
pub fn held_since(cohort: &Cohort, then: &Then, practice: &str, now: Covered, as_of: Day) -> Option<Day> {
    let is_stopped = then.was_on && then.practice == practice && now.shrank_since(then.covered);
    let since = then.held_since.unwrap_or(as_of);
    (is_stopped && as_of.0 - since.0 <= cohort.hold_days() as i32).then_some(since)
}

/// Why somebody is no longer on a practice's list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    Died,
    OptedOut,
    /// No longer registered with any practice.
    MovedAway,
    OtherPractice,
    DecidedOut,
    /// By this exclusion of the cohort.
    Excluded(u8),
    BelowCapacity,
    FeedStopped,
    FellBelow,
}

/// Where a person of the last list is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    OptedOut,
    NotOnRegister,
    Gone(Standing),
    /// Registered: the place in the cohort, whether the practice is the same, and whether feeds cover less than then.
    Here {
        place: Place,
        same_practice: bool,
        feeds_shrank: bool,
    },
}

/// Why a person left the list; `None` for who is still on it.
pub fn left(now: Now) -> Option<Left> {
    Some(match now {
        Now::OptedOut => Left::OptedOut,
        Now::NotOnRegister => Left::MovedAway,
        Now::Gone(Standing::Died) => Left::Died,
        Now::Gone(_) => Left::MovedAway,
        Now::Here { same_practice: false, .. } => Left::OtherPractice,
        Now::Here { place: Place::OnList, .. } => return None,
        Now::Here { place: Place::DecidedOut, .. } => Left::DecidedOut,
        Now::Here { place: Place::Excluded(number), .. } => Left::Excluded(number),
        Now::Here { place: Place::BelowCapacity | Place::NotInCohort, feeds_shrank: true, .. } => Left::FeedStopped,
        Now::Here { place: Place::BelowCapacity, .. } => Left::BelowCapacity,
        Now::Here { place: Place::NotInCohort, .. } => Left::FellBelow,
    })
}

impl Left {
    /// The reason's name in counts, and in words for a team.
    pub fn told<'c>(&self, cohort: &'c Cohort) -> (&'c str, &'c str) {
        match self {
            Left::Died => ("died", "died"),
            Left::OptedOut => ("opted_out", "opted out of the use of their data"),
            Left::MovedAway => ("moved_away", "no longer registered with a practice of the area"),
            Left::OtherPractice => ("other_practice", "registered with another practice"),
            Left::DecidedOut => ("decided_out", "a clinician decided"),
            Left::Excluded(number) => {
                let exclusion = &cohort.exclusions[usize::from(*number)];
                (&exclusion.name, &exclusion.reason)
            }
            Left::BelowCapacity => ("below_capacity", "others come first, and the list is full"),
            Left::FeedStopped => ("feed_stopped", "a feed stopped, so what the rule asks is no longer known"),
            Left::FellBelow => ("fell_below", "the rule no longer holds"),
        }
    }
}

/// Terms that a list names as having moved.
const MOVED: usize = 3;

/// The terms whose parts moved the most since then, in words, the furthest first; ties in the model's order.
pub fn moved<'t>(model: &Model, then: impl Iterator<Item = (&'t str, Nano)>, now: &[Nano]) -> String {
    let mut parts_then = vec![0; model.terms.len()];
    let mut next = 0;
    for (name, part) in then {
        // They stand in the order of the model's terms, unless another version of it wrote them.
        let mut places = (next..model.terms.len()).chain(0..next);
        if let Some(place) = places.find(|&place| model.terms[place].name == name) {
            (parts_then[place], next) = (part.0, place + 1);
        }
    }
    let moves = model.terms.iter().zip(now).zip(parts_then).map(|((term, part), then)| (term, part.0 - then));
    let mut moves: Vec<_> = moves.filter(|(_, by)| *by != 0).collect();
    moves.sort_by_key(|(_, by)| std::cmp::Reverse(by.unsigned_abs()));
    let words = moves.into_iter().take(MOVED).map(|(term, by)| {
        let way = if by > 0 { "up" } else { "down" };
        format!("{way}: {}", term.reason.as_deref().unwrap_or(&term.label))
    });
    words.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::spec::tests::plain;

    fn then() -> Then {
        Then {
            person: "p".to_owned(),
            practice: "A".to_owned(),
            was_on: true,
            order: Some(1),
            score: Some(0.5),
            covered: Covered { asked: 69, unavailable: 2 },
            held_since: None,
            joined: None,
            parts: String::new(),
        }
    }

    #[test]
    fn a_stopped_feed_holds_for_as_many_days_as_the_cohort_says_and_only_at_the_practice() {
        let cohort = Cohort { hold_days: Some(30), ..plain("a", "true") };
        let fewer = Covered { asked: 69, unavailable: 17 };
        let held = |then: &Then, practice, now, as_of| held_since(&cohort, then, practice, now, Day(as_of));
        assert_eq!(held(&then(), "A", fewer, 100), Some(Day(100)));
        assert_eq!(held(&then(), "B", fewer, 100), None, "another practice");
        assert_eq!(held(&then(), "A", then().covered, 100), None, "as many feeds as then");
        assert_eq!(held(&then(), "A", Covered { asked: 70, unavailable: 17 }, 100), None, "other models");
        let since = Then { held_since: Some(Day(100)), ..then() };
        assert_eq!(held(&since, "A", fewer, 130), Some(Day(100)));
        assert_eq!(held(&since, "A", fewer, 131), None);
        assert_eq!(held(&Then { was_on: false, ..then() }, "A", fewer, 100), None);
    }

    #[test]
    fn whoever_is_not_on_the_list_left_it_for_one_reason() {
        let here = |place, same_practice, feeds_shrank| left(Now::Here { place, same_practice, feeds_shrank });
        assert_eq!(here(Place::OnList, true, true), None);
        assert_eq!(here(Place::OnList, false, false), Some(Left::OtherPractice));
        assert_eq!(here(Place::NotInCohort, false, true), Some(Left::OtherPractice));
        assert_eq!(here(Place::NotInCohort, true, false), Some(Left::FellBelow));
        assert_eq!(here(Place::NotInCohort, true, true), Some(Left::FeedStopped));
        assert_eq!(here(Place::BelowCapacity, true, false), Some(Left::BelowCapacity));
        assert_eq!(here(Place::Excluded(3), true, true), Some(Left::Excluded(3)));
        assert_eq!(here(Place::DecidedOut, true, false), Some(Left::DecidedOut));
        assert_eq!(left(Now::Gone(Standing::Died)), Some(Left::Died));
        assert_eq!(left(Now::Gone(Standing::NotRegistered)), Some(Left::MovedAway));
        assert_eq!((left(Now::OptedOut), left(Now::NotOnRegister)), (Some(Left::OptedOut), Some(Left::MovedAway)));
    }
}
