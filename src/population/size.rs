//! How many rows there will be, and how many of them have to be fillers.

use super::Request;
use super::people::DAYS_PER_YEAR;
use super::places::Places;

/// Rows a person and year over all files but those of GPs, and of GP rows of someone whose practice shares its records, without
/// fillers; GP visits of such a person. Counted in large populations, people who come, go and die among them.
const ROWS: f64 = 3.22;
const SHARED_ROWS: f64 = 23.3;
const VISITS: f64 = 2.86;

pub struct Size {
    pub rows: u64,
    pub fillers_per_visit: f64,
}

impl Size {
    pub fn of(request: &Request, places: &Places) -> Size {
        let days = f64::from(request.last_day.0 - request.first_day.0 + 1) + f64::from(request.follow_up_days);
        let years = days / DAYS_PER_YEAR;
        let sharing = places.sharing_share();
        let least = years * (ROWS + sharing * SHARED_ROWS);
        let wanted = f64::from(request.rows_per_person).max(least);
        let fillers_per_visit = (wanted - least) / (years * sharing * VISITS).max(1e-9);
        Size { rows: (wanted * f64::from(request.people)).round() as u64, fillers_per_visit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_make_up_what_is_wanted_and_never_less_than_none() {
        let places = Places::new(1, 20_000);
        let size = |rows: u32| {
            let request = Request { rows_per_person: rows, ..Request::new(1_000, 1, "unused".into()) };
            Size::of(&request, &places)
        };
        assert_eq!(size(500).rows, 500_000);
        assert_eq!(size(1).fillers_per_visit, 0.0);
        assert!(size(1).rows > 50_000);
    }
}
