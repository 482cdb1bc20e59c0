//! Where everybody ends: on the list, left out with a reason, below the cut, or not in the cohort.
//!
//! Every registered person is in exactly one of these, so that the counts of a cohort add up to the register. What
//! comes first: a clinician's decision, then the exclusions, then the rule, then the cut.

use std::cmp::Ordering;

use anyhow::{Context, Result, bail};

use super::columns::{Made, Published, Values};
use super::fill::{ALL, Candidate, fill, slots};
use super::rule::Judged;
use super::spec::{Cohort, Of};
use crate::person::WordColumn;

/// Where somebody ends in a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    OnList,
    /// The rule holds and this exclusion applies.
    Excluded(u8),
    /// A clinician decided that the person is not to be on the list.
    DecidedOut,
    BelowCapacity,
    NotInCohort,
}

impl Place {
    /// The word for it in files.
    pub fn name(self) -> &'static str {
        match self {
            Place::OnList => "on_list",
            Place::Excluded(_) => "excluded",
            Place::DecidedOut => "decided_out",
            Place::BelowCapacity => "below_capacity",
            Place::NotInCohort => "not_in_cohort",
        }
    }
}

/// What is known from elsewhere, a row a person; empty where there is nothing.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// On the last published list.
    pub was_on: Vec<bool>,
    /// On the last published list, and fewer feeds cover the person now than then.
    pub feed_stopped: Vec<bool>,
    /// A clinician's decision: on the list, or off it.
    pub decided: Vec<Option<bool>>,
}

fn at<T: Copy + Default>(values: &[T], row: usize) -> T {
    values.get(row).copied().unwrap_or_default()
}

/// Everybody's place in one cohort.
#[derive(Debug, Default)]
pub struct Placed {
    /// A row a person.
    pub places: Vec<Place>,
    /// Rows on the list, in the list's order.
    pub list: Vec<u32>,
    /// Rows below the cut, in the list's order.
    pub below: Vec<u32>,
    pub teams: Vec<Team>,
    pub derived: Vec<Made>,
}

/// One team's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Empty for people whose team is not known.
    pub name: String,
    pub places: u64,
    pub on_list: u64,
    pub below: u64,
}

/// Puts everybody in their place.
///
/// # Boundaries
/// Ties of the order go by pseudonym; what is missing comes last. People whose team is not known are a team of their own.
/// # Errors
/// A team's column that does not hold words.
pub fn place(cohort: &Cohort, published: &Published, judged: Judged, known: &Known) -> Result<Placed> {
    let rows = published.people.len();
    let is_in_cohort =
        |row: usize| judged.holds[row] || at(&known.was_on, row) && judged.stays[row] || at(&known.feed_stopped, row);
    let candidate = |row: usize| match at(&known.decided, row) {
        Some(is_in) => is_in,
        None => is_in_cohort(row) && judged.excluded[row].is_none(),
    };
    let mut order: Vec<u32> = (0..rows as u32).filter(|&row| candidate(row as usize)).collect();
    sort(cohort, published, &judged.derived, &mut order)?;
    let Cut { is_on, mut teams } = cut(cohort, published, known, &order)?;
    let mut places: Vec<Place> = (0..rows)
        .map(|row| match (at(&known.decided, row), judged.excluded[row]) {
            (Some(false), _) if is_in_cohort(row) => Place::DecidedOut,
            (None, Some(number)) if is_in_cohort(row) => Place::Excluded(number),
            _ => Place::NotInCohort,
        })
        .collect();
    let (mut list, mut below) = (Vec::new(), Vec::new());
    for (&row, (is_on, team)) in order.iter().zip(&is_on) {
        places[row as usize] = if *is_on { Place::OnList } else { Place::BelowCapacity };
        if *is_on { &mut list } else { &mut below }.push(row);
        if let Some(team) = teams.get_mut(*team as usize) {
            team.on_list += u64::from(*is_on);
            team.below += u64::from(!*is_on);
        }
    }
    Ok(Placed { places, list, below, teams, derived: judged.derived })
}

/// Who is on the list.
struct Cut {
    /// Whether each candidate in order is on it, and the place of the team.
    is_on: Vec<(bool, u32)>,
    teams: Vec<Team>,
}

fn cut(cohort: &Cohort, published: &Published, known: &Known, order: &[u32]) -> Result<Cut> {
    let Some(capacity) = &cohort.capacity else {
        return Ok(Cut { is_on: vec![(true, 0); order.len()], teams: Vec::new() });
    };
    let (names, team_of) = teams(published, &capacity.per)?;
    let mut people = vec![0u64; names.len()];
    let mut count = |row: u32| people[team_of[row as usize] as usize] += 1;
    match capacity.of {
        None => {}
        Some(Of::Cohort) => order.iter().for_each(|&row| count(row)),
        Some(Of::Registered) => (0..team_of.len() as u32).for_each(count),
        Some(Of::Adults) => {
            let Some(Values::Whole(ages)) = published.column("age_years") else { bail!("there are no ages") };
            let adults = ages.iter().zip(0u32..).filter(|(age, _)| age.is_some_and(|age| age >= ADULT_YEARS));
            adults.for_each(|(_, row)| count(row));
        }
    }
    let slots = slots(capacity, &names, &people);
    let groups = match &cohort.floor {
        Some(floor) => groups(published, &floor.by)?,
        None => Vec::new(),
    };
    let candidate = |&row: &u32| {
        let row = row as usize;
        Candidate {
            team: team_of[row],
            group: at(&groups, row),
            was_on: at(&known.was_on, row),
            always: at(&known.feed_stopped, row) || at(&known.decided, row) == Some(true),
        }
    };
    let candidates: Vec<Candidate> = order.iter().map(candidate).collect();
    let is_on = fill(&candidates, &slots, capacity.margin, cohort.floor.as_ref());
    let teams = names.into_iter().zip(slots).map(|(name, places)| Team { name, places, on_list: 0, below: 0 });
    let of_team = is_on.into_iter().zip(candidates.iter().map(|candidate| candidate.team));
    Ok(Cut { is_on: of_team.collect(), teams: teams.collect() })
}

const ADULT_YEARS: i64 = 18;

/// The teams in order, the one of people without a team last; and everybody's.
fn teams(published: &Published, per: &str) -> Result<(Vec<String>, Vec<u32>)> {
    if per == ALL {
        return Ok((vec![ALL.to_owned()], vec![0; published.people.len()]));
    }
    let Some(Values::Words(words)) = published.column(per) else { bail!(no_teams(per, published)) };
    let mut names = words.words.clone();
    let unknown = names.len() as u32;
    if words.places.contains(&WordColumn::MISSING) {
        names.push(String::new());
    }
    let team = |&place: &u32| if place == WordColumn::MISSING { unknown } else { place };
    Ok((names, words.places.iter().map(team).collect()))
}

/// What is wrong with a capacity per this column.
pub fn no_teams(per: &str, published: &Published) -> String {
    let names = published.columns.iter().map(|column| column.name.as_str());
    let words: Vec<&str> =
        names.filter(|name| published.column(name).is_some_and(|values| matches!(values, Values::Words(_)))).collect();
    format!(
        "teams are the words of a column, or {ALL}; \"{per}\" holds no words; those that do are {}",
        words.join(", ")
    )
}

/// What is wrong with a floor by this column.
pub fn no_groups(by: &str) -> String {
    format!("groups are words or whole numbers, such as those of deprivation_fifth; \"{by}\" holds neither")
}

fn groups(published: &Published, by: &str) -> Result<Vec<Option<u32>>> {
    Ok(match published.column(by).with_context(|| format!("no published column \"{by}\""))? {
        Values::Words(words) => {
            words.places.iter().map(|&word| (word != WordColumn::MISSING).then_some(word)).collect()
        }
        Values::Whole(values) => values.iter().map(|value| u32::try_from((*value)?).ok()).collect(),
        Values::Decimal(_) | Values::Text(_) => {
            bail!(no_groups(by))
        }
    })
}

/// One column that a list is ordered by, as numbers that sort as its values do.
struct Key {
    /// By place in the list to be sorted; what is missing is largest.
    values: Vec<(bool, i64)>,
}

fn sort(cohort: &Cohort, published: &Published, derived: &[Made], rows: &mut Vec<u32>) -> Result<()> {
    let key = |name: &String| -> Result<Key> {
        let (name, is_descending) = match name.strip_prefix('-') {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let own = derived.iter().find(|column| column.name == name).map(|column| &column.values);
        let values = own.or_else(|| published.column(name));
        let values = values.with_context(|| format!("no published column \"{name}\""))?;
        let number = |&row: &u32| match sortable(values, row as usize) {
            None => (true, 0),
            Some(number) => (false, if is_descending { !number } else { number }),
        };
        Ok(Key { values: rows.iter().map(number).collect() })
    };
    let keys: Vec<Key> = cohort.order_by.iter().map(key).collect::<Result<_>>()?;
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by(|&one, &two| {
        let by_keys = keys.iter().map(|key| key.values[one as usize].cmp(&key.values[two as usize]));
        // Rows stand in order of pseudonym.
        by_keys.fold(Ordering::Equal, Ordering::then).then(rows[one as usize].cmp(&rows[two as usize]))
    });
    *rows = order.into_iter().map(|place| rows[place as usize]).collect();
    Ok(())
}

/// A value as a number that sorts as it does; `None` where there is none.
fn sortable(values: &Values, row: usize) -> Option<i64> {
    match values {
        Values::Whole(values) => values[row],
        Values::Words(words) => Some(words.places[row]).filter(|&word| word != WordColumn::MISSING).map(i64::from),
        Values::Decimal(values) => {
            let bits = values[row]?.to_bits() as i64;
            // The order of f64::total_cmp.
            Some(bits ^ (((bits >> 63) as u64) >> 1) as i64)
        }
        // The only column of texts is the pseudonym, and rows stand in its order.
        Values::Text(texts) => texts[row].as_ref().map(|_| row as i64),
    }
}

impl Placed {
    /// How many people are in each place.
    pub fn counts(&self, exclusions: usize) -> Counts {
        let mut counts = Counts { excluded: vec![0; exclusions], ..Counts::default() };
        for place in &self.places {
            match place {
                Place::OnList => counts.on_list += 1,
                Place::Excluded(number) => counts.excluded[usize::from(*number)] += 1,
                Place::DecidedOut => counts.decided_out += 1,
                Place::BelowCapacity => counts.below_capacity += 1,
                Place::NotInCohort => counts.not_in_cohort += 1,
            }
        }
        counts
    }
}

/// People by place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub on_list: u64,
    /// By exclusion, in the cohort's order.
    pub excluded: Vec<u64>,
    pub decided_out: u64,
    pub below_capacity: u64,
    pub not_in_cohort: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::columns::PublishedColumn;
    use crate::cohort::spec::tests::plain;
    use crate::cohort::spec::{Capacity, Exclusion};
    use rand::{RngExt, SeedableRng};

    /// Made-up people: practice, age, score and a flag, any of them missing at times.
    fn people(count: usize, seed: u64) -> Published<'static> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut column = |name: &str, most: i64| {
            let value = |_| (!rng.random_bool(0.1)).then(|| rng.random_range(0..most));
            PublishedColumn::given(name, Values::Whole((0..count).map(value).collect()))
        };
        let mut columns = vec![column("age_years", 40), column("cpm_linear_predictor", 9), column("flag", 2)];
        columns.push(column("deprivation_fifth", 6));
        let practice = |_| (!rng.random_bool(0.1)).then(|| ["A", "B", "C"][rng.random_range(0..3)]);
        let practices: Vec<Option<&str>> = (0..count).map(practice).collect();
        let words = WordColumn::new(practices.into_iter());
        columns.push(PublishedColumn::given("practice", Values::Words(words)));
        Published { people: (0..count as u32).collect(), columns }
    }

    fn exclusion(name: &str, condition: &str) -> Exclusion {
        Exclusion { name: name.to_owned(), reason: name.to_owned(), condition: condition.to_owned() }
    }

    fn placed(cohort: &Cohort, published: &Published, known: &Known) -> Placed {
        let judged = cohort.judge(&published.table(|_| true).unwrap()).unwrap();
        place(cohort, published, judged, known).unwrap()
    }

    fn capacity(text: &str) -> Option<Capacity> {
        Some(toml::from_str(text).unwrap())
    }

    #[test]
    fn everybody_ends_in_one_place_and_the_counts_add_up_on_random_people() {
        let capacities = [
            "per = \"practice\"\nat_most = 3",
            "per = \"all\"\nat_most = 10\nmargin = 0.2",
            "per = \"practice\"\nshare = 0.1\nof = \"adults\"",
            "per = \"practice\"\ntotal = 7\nof = \"cohort\"",
        ];
        for seed in 0..40 {
            let count = 20 + 5 * seed as usize;
            let published = people(count, seed);
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed + 1_000);
            let mut cohort = plain("a", "age_years >= 18");
            cohort.stay = (seed % 2 == 0).then(|| "age_years >= 15".to_owned());
            cohort.exclusions = vec![exclusion("flagged", "flag = 1"), exclusion("old", "age_years > 35")];
            cohort.capacity = capacities.get(seed as usize % 5).and_then(|text| capacity(text));
            let mut flags = |share: f64| (0..count).map(|_| rng.random_bool(share)).collect::<Vec<bool>>();
            let (was_on, stopped, decided) = (flags(0.2), flags(0.5), flags(0.1));
            let feed_stopped = was_on.iter().zip(&stopped).map(|(was_on, stopped)| *was_on && *stopped).collect();
            let decided = decided.iter().zip(&stopped).map(|(is_decided, way)| is_decided.then_some(*way)).collect();
            let known = Known { was_on, feed_stopped, decided };
            let placed = placed(&cohort, &published, &known);
            let counts = placed.counts(2);
            let excluded: u64 = counts.excluded.iter().sum();
            let parts = counts.on_list + excluded + counts.decided_out + counts.below_capacity + counts.not_in_cohort;
            assert_eq!(parts, count as u64, "seed {seed}");
            assert_eq!((placed.list.len() as u64, placed.below.len() as u64), (counts.on_list, counts.below_capacity));
            for team in &placed.teams {
                assert!(team.below == 0 || team.on_list >= team.places, "no place is left over: {team:?}");
            }
            if cohort.capacity.is_some() {
                assert_eq!(placed.teams.iter().map(|team| team.on_list).sum::<u64>(), counts.on_list);
            }
            for (row, decided) in known.decided.iter().enumerate() {
                match decided {
                    Some(true) => assert_eq!(placed.places[row], Place::OnList, "a decision stands above all else"),
                    Some(false) => assert_ne!(placed.places[row], Place::OnList),
                    None => {}
                }
            }
        }
    }

    fn table(columns: &[(&str, &[Option<i64>])]) -> Published<'static> {
        let column =
            |(name, values): &(&str, &[Option<i64>])| PublishedColumn::given(*name, Values::Whole(values.to_vec()));
        Published { people: (0..columns[0].1.len() as u32).collect(), columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn ties_go_by_pseudonym_and_what_is_missing_comes_last() {
        let scores = [Some(5), None, Some(7), Some(5), Some(7)];
        let published = table(&[("cpm_linear_predictor", &scores), ("age_years", &[Some(50); 5])]);
        let mut cohort = plain("a", "age_years > 1");
        assert_eq!(placed(&cohort, &published, &Known::default()).list, [2, 4, 0, 3, 1]);
        cohort.order_by = vec!["cpm_linear_predictor".to_owned()];
        assert_eq!(placed(&cohort, &published, &Known::default()).list, [0, 3, 2, 4, 1]);
    }

    #[test]
    fn the_first_exclusion_is_the_reason_and_nothing_excludes_from_a_cohort_that_one_is_not_in() {
        let ages = [Some(10), Some(20), Some(30), Some(40), None];
        let published = table(&[("age_years", &ages), ("cpm_linear_predictor", &[Some(1); 5])]);
        let mut cohort = plain("a", "age_years >= 20");
        cohort.exclusions = vec![exclusion("over_35", "age_years > 35"), exclusion("not_20", "age_years <> 20")];
        let places = placed(&cohort, &published, &Known::default()).places;
        use Place::*;
        assert_eq!(places, [NotInCohort, OnList, Excluded(1), Excluded(0), NotInCohort]);
    }

    #[test]
    fn a_lower_threshold_holds_for_people_of_the_last_list_alone() {
        let scores = [Some(10), Some(8), Some(8), Some(5)];
        let published = table(&[("cpm_linear_predictor", &scores), ("age_years", &[None; 4])]);
        let mut cohort = plain("a", "cpm_linear_predictor >= 9");
        cohort.stay = Some("cpm_linear_predictor >= 7".to_owned());
        let known = Known { was_on: vec![false, true, false, true], ..Known::default() };
        assert_eq!(placed(&cohort, &published, &known).list, [0, 1]);
    }

    #[test]
    fn a_stopped_feed_keeps_somebody_on_the_list_and_an_exclusion_does_not_give_way() {
        let scores = [Some(10), Some(1), Some(1)];
        let flags = [Some(0), Some(0), Some(1)];
        let published = table(&[("cpm_linear_predictor", &scores), ("flag", &flags)]);
        let mut cohort = plain("a", "cpm_linear_predictor >= 9");
        cohort.exclusions = vec![exclusion("flagged", "flag = 1")];
        let on = vec![false, true, true];
        let known = Known { was_on: on.clone(), feed_stopped: on, ..Known::default() };
        assert_eq!(placed(&cohort, &published, &known).list, [0, 1]);
    }
}
