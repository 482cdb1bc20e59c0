//! What a list of some size, or everybody above some risk, would have caught: the tables of the King's Fund's papers,
//! net benefit, and what a place on the list yields.

use rayon::prelude::*;

use super::interval::{Estimate, share};

/// People in the order of a list: the highest score first, ties by row.
#[derive(Debug, Clone)]
pub struct Ranking {
    pub order: Vec<u32>,
}

impl Ranking {
    pub fn new<S: Ord + Copy + Send + Sync>(scores: &[S]) -> Ranking {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.par_sort_unstable_by_key(|&row| (std::cmp::Reverse(scores[row as usize]), row));
        Ranking { order }
    }

    pub fn people(&self) -> usize {
        self.order.len()
    }

    /// The rows of one of several parts of equal size, the first part holding the highest scores.
    pub fn part(&self, part: usize, parts: usize) -> &[u32] {
        let at = |part: usize| part * self.order.len() / parts;
        &self.order[at(part)..at(part + 1)]
    }
}

/// Who is flagged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// So many people with the highest scores.
    Top(u64),
    /// This share of everybody, in millionths; at least one person.
    TopShare(u32),
    /// Everybody whose probability is at least this many in a hundred.
    Threshold(u8),
}

impl Cut {
    /// The cuts of the King's Fund's tables.
    pub const KINGS_FUND: [Cut; 13] = [
        Cut::Top(250),
        Cut::Top(500),
        Cut::Top(1_000),
        Cut::TopShare(5_000),
        Cut::TopShare(10_000),
        Cut::TopShare(20_000),
        Cut::TopShare(50_000),
        Cut::TopShare(200_000),
        Cut::Threshold(50),
        Cut::Threshold(60),
        Cut::Threshold(70),
        Cut::Threshold(80),
        Cut::Threshold(90),
    ];

    /// How many of a ranking are flagged; `None` where fewer people are ranked than are to be flagged.
    pub fn flagged(self, ranking: &Ranking, probabilities: &[f64]) -> Option<usize> {
        let people = ranking.people();
        match self {
            Cut::Top(number) => (number as usize <= people).then_some(number as usize),
            // As bands have it: the person with `above` people ranked higher is in the share while above / all < share.
            Cut::TopShare(share) => Some((u64::from(share) * people as u64).div_ceil(1_000_000) as usize),
            Cut::Threshold(percent) => {
                let limit = f64::from(percent) / 100.0;
                Some(ranking.order.partition_point(|&row| probabilities[row as usize] >= limit))
            }
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cut::Top(number) => write!(f, "top {number}"),
            Cut::TopShare(share) => write!(f, "top {} %", f64::from(*share) / 10_000.0),
            Cut::Threshold(percent) => write!(f, "risk {percent} or more"),
        }
    }
}

/// People by flag and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    pub people: u64,
    pub events: u64,
    pub flagged: u64,
    /// Flagged, with the outcome.
    pub found: u64,
}

impl Found {
    pub fn of(people: impl Iterator<Item = (bool, bool)>) -> Found {
        people.fold(Found::default(), |sum, (flagged, event)| Found {
            people: sum.people + 1,
            events: sum.events + u64::from(event),
            flagged: sum.flagged + u64::from(flagged),
            found: sum.found + u64::from(flagged && event),
        })
    }

    /// Of the flagged, those with the outcome: the positive predictive value.
    pub fn ppv(&self) -> Option<Estimate> {
        share(self.found, self.flagged)
    }

    /// Of those with the outcome, the flagged.
    pub fn sensitivity(&self) -> Option<Estimate> {
        share(self.found, self.events)
    }

    /// Of those without the outcome, the not flagged.
    pub fn specificity(&self) -> Option<Estimate> {
        let without = self.people - self.events;
        share(without - (self.flagged - self.found), without)
    }

    /// People to flag for one who has the outcome; `None` where none is found.
    pub fn to_flag_for_one(&self) -> Option<Estimate> {
        let ppv = self.ppv().filter(|ppv| ppv.value > 0.0)?;
        Some(Estimate { value: 1.0 / ppv.value, interval: ppv.interval.map(|(low, high)| (1.0 / high, 1.0 / low)) })
    }

    /// Net benefit of flagging at a risk threshold: found, less those flagged in vain weighed by the odds of the
    /// threshold, a person.
    ///
    /// # Source
    /// Vickers AJ and Elkin EB, Med Decis Making 2006;26:565-74.
    pub fn net_benefit(&self, threshold: f64) -> f64 {
        let in_vain = (self.flagged - self.found) as f64;
        (self.found as f64 - in_vain * threshold / (1.0 - threshold)) / self.people as f64
    }
}

/// What a cut of a ranking finds.
pub fn found_at(cut: Cut, ranking: &Ranking, probabilities: &[f64], events: &[bool]) -> Option<Found> {
    let flagged = cut.flagged(ranking, probabilities)?;
    let found = ranking.order[..flagged].iter().filter(|&&row| events[row as usize]).count() as u64;
    let events = events.iter().filter(|event| **event).count() as u64;
    Some(Found { people: ranking.people() as u64, events, flagged: flagged as u64, found })
}

/// Net benefit of flagging everybody, at a threshold.
pub fn net_benefit_of_all(event_share: f64, threshold: f64) -> f64 {
    event_share - (1.0 - event_share) * threshold / (1.0 - threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_finds_what_a_count_by_hand_finds() {
        let scores = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
        let p: Vec<f64> = scores.iter().map(|score| f64::from(*score) / 10.0).collect();
        let events = [true, true, false, true, false, false, false, false, false, true];
        let ranking = Ranking::new(&scores);
        let at = |cut| found_at(cut, &ranking, &p, &events);
        assert_eq!(at(Cut::Top(3)), Some(Found { people: 10, events: 4, flagged: 3, found: 2 }));
        assert_eq!(at(Cut::Top(11)), None);
        assert_eq!(at(Cut::TopShare(200_000)).unwrap().flagged, 2);
        assert_eq!(at(Cut::TopShare(1)).unwrap().flagged, 1, "nobody ranks above the first");
        assert_eq!(at(Cut::Threshold(70)), Some(Found { people: 10, events: 4, flagged: 3, found: 2 }));
        let found = at(Cut::Threshold(70)).unwrap();
        assert_eq!(found.specificity().unwrap().value, 5.0 / 6.0);
        assert_eq!(found.to_flag_for_one().unwrap().value, 1.5);
        assert_eq!(found.net_benefit(0.5), (2.0 - 1.0) / 10.0);
        assert_eq!(net_benefit_of_all(0.4, 0.5), 0.4 - 0.6);
    }

    #[test]
    fn a_share_flags_as_many_as_the_band_of_that_share_holds() {
        let ranking = |people: i32| Ranking::new(&(0..people).collect::<Vec<_>>());
        let flagged = |people| Cut::TopShare(5_000).flagged(&ranking(people), &[]).unwrap();
        assert_eq!([1_000, 100, 201, 1].map(flagged), [5, 1, 2, 1]);
    }

    #[test]
    fn parts_hold_everybody_once() {
        let ranking = Ranking::new(&(0..47).collect::<Vec<i32>>());
        let parts: Vec<u32> = (0..20).flat_map(|part| ranking.part(part, 20).to_vec()).collect();
        assert_eq!(parts, ranking.order);
    }
}
