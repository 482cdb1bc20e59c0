//! Capacity: who gets the places of a list that has fewer of them than the rule names people.
//!
//! Places belong to teams and are filled in the list's order. Four things come before plain order, each only where the
//! cohort asks for it: people who are on the list whatever the cut (a clinician's decision, a feed that stopped), places
//! kept for groups, a margin above the cut that newcomers enter by, and one below it that people of the last list stay
//! by. All counts are whole numbers; where a share does not come out even it is rounded as [`slots`] says.

use std::collections::BTreeMap;

use super::spec::{Capacity, Floor};

/// The name of the team that everybody is in.
pub const ALL: &str = "all";

/// Somebody who could be on the list. Candidates come in the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Place among the teams.
    pub team: u32,
    /// The group that places are kept for; `None` where it is not known.
    pub group: Option<u32>,
    pub was_on: bool,
    /// On the list whatever the cut.
    pub always: bool,
}

/// Places of each team; `people` are those of [`Capacity::of`], a count a team.
///
/// # Boundaries
/// A share is rounded up: a team with anybody at all has a place. A total is shared out by largest remainder, ties to
/// the team first in order, so that the places add up to the total.
pub fn slots(capacity: &Capacity, teams: &[String], people: &[u64]) -> Vec<u64> {
    if let Some(most) = capacity.at_most {
        return vec![most.into(); teams.len()];
    }
    if let Some(share) = capacity.share {
        return people.iter().map(|people| (people * millionths(share)).div_ceil(MILLION)).collect();
    }
    let otherwise = u64::from(capacity.otherwise.unwrap_or(0));
    let weight = |team: &String| capacity.weights.get(team).map_or(otherwise, |weight| u64::from(*weight));
    let weights = if capacity.weights.is_empty() { people.to_vec() } else { teams.iter().map(weight).collect() };
    share_out(capacity.total.unwrap_or(0).into(), &weights)
}

const MILLION: u64 = 1_000_000;

/// A share as a whole number, so that products of it are exact.
fn millionths(share: f64) -> u64 {
    (share * MILLION as f64).round() as u64
}

/// A share of so many places, rounded down.
fn part(places: u64, share: f64) -> u64 {
    places * millionths(share) / MILLION
}

/// A total in whole parts by weight: the largest remainders are rounded up.
fn share_out(total: u64, weights: &[u64]) -> Vec<u64> {
    let all: u64 = weights.iter().sum();
    if all == 0 {
        return vec![0; weights.len()];
    }
    let mut parts: Vec<u64> = weights.iter().map(|weight| total * weight / all).collect();
    let left = total - parts.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&team| (std::cmp::Reverse(total * weights[team] % all), team));
    order.into_iter().take(left as usize).for_each(|team| parts[team] += 1);
    parts
}

/// Whether each candidate is on the list.
///
/// # Shape
/// In: candidates in the list's order, places by team. Out: one answer a candidate.
/// # Boundaries
/// Whoever is on the list whatever the cut takes a place too, and may take more than there are. With a margin of m and s
/// places: the first s - ms candidates of a team enter; people of the last list stay up to candidate s + ms; what is
/// left goes by order. Margins and groups' shares of places are rounded down.
pub fn fill(candidates: &[Candidate], slots: &[u64], margin: Option<f64>, floor: Option<&Floor>) -> Vec<bool> {
    let mut by_team: Vec<Vec<usize>> = vec![Vec::new(); slots.len()];
    for (place, candidate) in candidates.iter().enumerate() {
        by_team[candidate.team as usize].push(place);
    }
    let mut is_on = vec![false; candidates.len()];
    for (places, &slots) in by_team.iter().zip(slots) {
        Filling { candidates, places, is_on: &mut is_on, left: slots }.team(slots, margin, floor);
    }
    is_on
}

struct Filling<'a> {
    candidates: &'a [Candidate],
    /// The team's candidates, in order.
    places: &'a [usize],
    is_on: &'a mut [bool],
    left: u64,
}

impl Filling<'_> {
    fn team(&mut self, slots: u64, margin: Option<f64>, floor: Option<&Floor>) {
        for &place in self.places.iter().filter(|&&place| self.candidates[place].always) {
            self.is_on[place] = true;
            self.left = self.left.saturating_sub(1);
        }
        if let Some(floor) = floor {
            self.groups(slots, floor);
        }
        let margin = part(slots, margin.unwrap_or(0.0)) as usize;
        let slots = slots as usize;
        self.take(|number, _| number < slots - margin);
        self.take(|number, candidate| candidate.was_on && number < slots + margin);
        self.take(|_, _| true);
    }

    /// The best of each group, up to what is kept for it; where more is kept than there is, the best of those.
    fn groups(&mut self, slots: u64, floor: &Floor) {
        let kept = floor.at_least.map(u64::from).or(floor.share.map(|share| part(slots, share))).unwrap_or(0);
        let mut taken: BTreeMap<u32, u64> = BTreeMap::new();
        self.take(|_, candidate| {
            let Some(group) = candidate.group else { return false };
            let taken = taken.entry(group).or_default();
            *taken += 1;
            *taken <= kept
        });
    }

    /// Gives places, as far as there are any, to those in order for whom this holds.
    fn take(&mut self, mut holds: impl FnMut(usize, &Candidate) -> bool) {
        for (number, &place) in self.places.iter().enumerate() {
            let wanted = holds(number, &self.candidates[place]);
            if wanted && !self.is_on[place] && self.left > 0 {
                self.is_on[place] = true;
                self.left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(text: &str) -> Capacity {
        toml::from_str(text).unwrap()
    }

    fn of_team(team: u32) -> Candidate {
        Candidate { team, group: None, was_on: false, always: false }
    }

    fn teams(count: usize) -> Vec<String> {
        (0..count).map(|team| format!("t{team}")).collect()
    }

    /// The places, counted from 1, of those who are on the list.
    fn on(candidates: &[Candidate], slots: u64, margin: Option<f64>, floor: Option<&Floor>) -> Vec<usize> {
        let is_on = fill(candidates, &[slots], margin, floor);
        is_on.iter().enumerate().filter(|(_, is_on)| **is_on).map(|(place, _)| place + 1).collect()
    }

    #[test]
    fn a_share_is_rounded_up_and_a_total_is_shared_out_whole() {
        let share = capacity("per = \"practice\"\nshare = 0.02\nof = \"adults\"");
        // 2 % of 50 is 1; of 51 it is 1.02, which is two people; of nobody it is nobody.
        assert_eq!(slots(&share, &teams(4), &[50, 51, 1, 0]), [1, 2, 1, 0]);
        let total = capacity("per = \"practice\"\ntotal = 10\nof = \"registered\"");
        // Thirds of 10: 3.33 each, one is left over and goes to the first.
        assert_eq!(slots(&total, &teams(3), &[7, 7, 7]), [4, 3, 3]);
        // 10 x 1/8 = 1.25, 10 x 5/8 = 6.25, 10 x 2/8 = 2.5: the largest remainder is the last one's.
        assert_eq!(slots(&total, &teams(3), &[100, 500, 200]), [1, 6, 3]);
        let weights = capacity("per = \"x\"\ntotal = 12\nweights = { t1 = 2 }\notherwise = 1");
        assert_eq!(slots(&weights, &teams(3), &[0, 0, 0]), [3, 6, 3]);
        assert_eq!(slots(&capacity("per = \"x\"\nat_most = 4"), &teams(2), &[0, 9]), [4, 4]);
        assert_eq!(slots(&total, &teams(2), &[0, 0]), [0, 0], "nobody to share it out by");
    }

    #[test]
    fn places_go_by_order_within_each_team() {
        let candidates = [0, 1, 0, 0, 1].map(of_team);
        assert_eq!(fill(&candidates, &[2, 1], None, None), [true, true, true, false, false]);
        assert_eq!(fill(&candidates, &[0, 9], None, None), [false, true, false, false, true]);
    }

    #[test]
    fn whoever_is_on_whatever_the_cut_takes_a_place() {
        let mut candidates = [0; 5].map(of_team);
        candidates[4].always = true;
        assert_eq!(on(&candidates, 2, None, None), [1, 5]);
        candidates[3].always = true;
        assert_eq!(on(&candidates, 1, None, None), [4, 5], "both, though there is one place");
    }

    #[test]
    fn with_a_margin_people_of_the_last_list_stay_near_the_line_and_newcomers_enter_above_it() {
        // 10 places, margin 0.2: places 1 to 8 enter; people of the last list stay down to place 12.
        let mut candidates = [0; 14].map(of_team);
        candidates[10].was_on = true;
        candidates[11].was_on = true;
        candidates[12].was_on = true;
        assert_eq!(on(&candidates, 10, Some(0.2), None), [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]);
        candidates[11].was_on = false;
        assert_eq!(on(&candidates, 10, Some(0.2), None), [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
        // A newcomer at place 1 enters even where the whole last list is still near.
        candidates.iter_mut().skip(1).for_each(|candidate| candidate.was_on = true);
        assert_eq!(on(&candidates, 10, Some(0.2), None), (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_kept_for_each_group_and_the_rest_go_by_order() {
        // Groups 1 to 5 are deprivation fifths; the first eight in order are all of group 5.
        let groups = [5, 5, 5, 5, 5, 5, 5, 5, 1, 1, 2, 3];
        let candidates = groups.map(|group| Candidate { group: Some(group), ..of_team(0) });
        let floor: Floor = toml::from_str("by = \"deprivation_fifth\"\nat_least = 1").unwrap();
        // One each of 5, 1, 2, 3 (nobody is of 4), then two more in order.
        assert_eq!(on(&candidates, 6, None, Some(&floor)), [1, 2, 3, 9, 11, 12]);
        assert_eq!(on(&candidates, 6, None, None), [1, 2, 3, 4, 5, 6]);
        let share: Floor = toml::from_str("by = \"deprivation_fifth\"\nshare = 0.2").unwrap();
        // 0.2 of 9 is 1.8, rounded down to 1.
        assert_eq!(on(&candidates, 9, None, Some(&share)), [1, 2, 3, 4, 5, 6, 9, 11, 12]);
        let unknown = groups.map(|_| of_team(0));
        assert_eq!(on(&unknown, 3, None, Some(&floor)), [1, 2, 3], "nothing is kept for a group that is not known");
    }
}
