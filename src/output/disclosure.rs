//! What may be shown of a count of people: the one place that decides it.
//!
//! Counts from 1 to 7 are hidden, other counts are shown to the nearest 5, and a rate is shown only where no count
//! behind it is hidden. A rate is worked out from the counts as they are shown, so that it does not give them away.
//!
//! # Source
//! The rule for Hospital Episode Statistics: 1 to 7 suppressed, all else rounded to the nearest 5, rates on suppressed
//! counts suppressed.

use std::fmt;

/// What stands in a cell that is hidden.
pub const HIDDEN: &str = "*";

/// The largest count that is hidden; 0 is shown, for it is nobody.
const LARGEST_HIDDEN: u64 = 7;
const ROUNDED_TO: u64 = 5;

/// A count as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    Hidden,
    Count(u64),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Hidden => f.pad(HIDDEN),
            Shown::Count(count) => f.pad(&count.to_string()),
        }
    }
}

/// Whether a count may not be shown, nor anything that gives it away.
pub fn is_hidden(people: u64) -> bool {
    (1..=LARGEST_HIDDEN).contains(&people)
}

/// A count of people as it may be shown.
pub fn count(people: u64) -> Shown {
    if is_hidden(people) { Shown::Hidden } else { Shown::Count(rounded(people)) }
}

/// Part and whole of a rate as they are shown, from which the rate is worked out; `None` where the part, the rest or the
/// whole is hidden.
pub fn rate(part: u64, whole: u64) -> Option<(u64, u64)> {
    let rest = whole.saturating_sub(part);
    let may_be_shown = ![part, rest, whole].into_iter().any(is_hidden);
    // Rounded apart, a part may come out above its whole.
    may_be_shown.then(|| (rounded(part).min(rounded(whole)), rounded(whole)))
}

fn rounded(people: u64) -> u64 {
    (people + ROUNDED_TO / 2) / ROUNDED_TO * ROUNDED_TO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_seven_are_hidden_and_the_rest_goes_to_the_nearest_five() {
        let shown: Vec<String> = [0, 1, 7, 8, 12, 13, 1_002, 1_003].map(|people| count(people).to_string()).into();
        assert_eq!(shown, ["0", "*", "*", "10", "10", "15", "1000", "1005"]);
    }

    #[test]
    fn a_rate_is_hidden_with_any_count_behind_it() {
        assert_eq!(rate(0, 100), Some((0, 100)));
        assert_eq!(rate(77, 250), Some((75, 250)));
        assert_eq!(rate(7, 250), None, "the part");
        assert_eq!(rate(245, 250), None, "the rest");
        assert_eq!(rate(0, 5), None, "the whole");
        assert_eq!(rate(242, 242), Some((240, 240)));
        assert_eq!(rate(13, 22), Some((15, 20)));
        assert_eq!(rate(0, 0), Some((0, 0)));
    }
}
