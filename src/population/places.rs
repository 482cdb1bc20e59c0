//! Where people live and are registered, and which hospitals are theirs.
//!
//! Districts lie on one line in the order of [`DISTRICTS`]. A practice is a stretch of the line, and people come in the order
//! of their practices; the small area that a person lives in is near the same point of the line. So every practice has a
//! neighbourhood, and the areas still add up to their published populations.

use super::draw::{Draw, Subject};
use super::tables::{Msoa, msoas, number, rows, text};

/// A district: its locality, the networks in the locality, and the hospital trust and sites that serve it.
struct District {
    name: &'static str,
    locality: &'static str,
    trust: &'static str,
    sites: &'static [&'static str],
}

const DISTRICTS: [District; 13] = [
    District { name: "Dartford", locality: "Dartford Gravesham and Swanley", trust: "RN7", sites: &["RN707"] },
    District { name: "Gravesham", locality: "Dartford Gravesham and Swanley", trust: "RN7", sites: &["RN707"] },
    District { name: "Sevenoaks", locality: "West Kent", trust: "RWF", sites: &["RWFTW"] },
    District { name: "Tunbridge Wells", locality: "West Kent", trust: "RWF", sites: &["RWFTW"] },
    District { name: "Tonbridge and Malling", locality: "West Kent", trust: "RWF", sites: &["RWFTW", "RWF03"] },
    District { name: "Maidstone", locality: "West Kent", trust: "RWF", sites: &["RWF03"] },
    District { name: "Medway", locality: "Medway", trust: "RPA", sites: &["RPA02"] },
    District { name: "Swale", locality: "Swale", trust: "RPA", sites: &["RPA02"] },
    District { name: "Ashford", locality: "Ashford", trust: "RVV", sites: &["RVV01"] },
    District { name: "Canterbury", locality: "Canterbury and Coastal", trust: "RVV", sites: &["RVV02", "RVV01"] },
    District { name: "Thanet", locality: "Thanet", trust: "RVV", sites: &["RVV09"] },
    District { name: "Dover", locality: "South Kent Coast", trust: "RVV", sites: &["RVV01", "RVV09"] },
    District { name: "Folkestone and Hythe", locality: "South Kent Coast", trust: "RVV", sites: &["RVV01"] },
];

const NETWORKS: [(&str, &[&str]); 8] = [
    ("Dartford Gravesham and Swanley", &["Dartford", "Swanscombe", "Gravesend", "Swanley"]),
    ("West Kent", &["Sevenoaks", "Tunbridge Wells", "Tonbridge", "Weald", "Malling", "Maidstone"]),
    ("Medway", &["Strood", "Rochester", "Chatham", "Gillingham", "Rainham"]),
    ("Swale", &["Sittingbourne", "Sheppey"]),
    ("Ashford", &["Ashford Town", "Ashford Rural", "Tenterden"]),
    ("Canterbury and Coastal", &["Faversham", "Canterbury", "Whitstable", "Herne Bay"]),
    ("Thanet", &["Quex", "Margate", "Broadstairs", "Ramsgate"]),
    ("South Kent Coast", &["Deal", "Dover", "Folkestone", "Romney Marsh"]),
];

/// Trusts outside the county that a few people are treated in.
pub const OTHER_TRUSTS: [(&str, &str); 4] = [("RJ1", "RJ121"), ("RJZ", "RJZ01"), ("RXC", "RXC01"), ("RP4", "RP401")];

const PRACTICE_NAMES: [&str; 40] = [
    "Mill",
    "Harbour",
    "Church Street",
    "Station Road",
    "Orchard",
    "Castle",
    "Oast",
    "Bell Lane",
    "Park",
    "Manor",
    "High Street",
    "Riverside",
    "Hop Garden",
    "Abbey",
    "Cliff",
    "Meadow",
    "Chestnut",
    "Old School",
    "Bridge",
    "Down View",
    "Market",
    "Cedar",
    "Whitecliff",
    "Lighthouse",
    "Priory",
    "Windmill",
    "Sandgate",
    "Elm",
    "Cathedral",
    "Pilgrims",
    "Ferry",
    "Saxon",
    "Beacon",
    "Valley",
    "Kingsway",
    "Marine",
    "Woodland",
    "Stour",
    "Quay",
    "Chalk Pit",
];
const PRACTICE_KINDS: [&str; 5] = ["Surgery", "Medical Centre", "Practice", "Health Centre", "Medical Group"];

pub struct Practice {
    pub code: String,
    pub name: String,
    pub network_code: String,
    pub network: String,
    pub locality: &'static str,
    pub district: &'static str,
    pub shares_gp_data: bool,
    /// End of the stretch of the line that is this practice's, from 0 to 1.
    pub end: f64,
}

pub struct Places {
    pub areas: Vec<Msoa>,
    /// Running share of the population by area.
    area_ends: Vec<f64>,
    /// District of each area, by position in the list of districts.
    area_districts: Vec<usize>,
    pub practices: Vec<Practice>,
}

impl Places {
    pub fn new(seed: u64, people: u32) -> Places {
        let mut areas = msoas();
        let place = |name: &str| DISTRICTS.iter().position(|district| district.name == name).expect("a known district");
        areas.sort_by_key(|area| (place(&area.district), area.code.clone()));
        let area_districts: Vec<usize> = areas.iter().map(|area| place(&area.district)).collect();
        let sizes: Vec<f64> = areas.iter().map(|area| area.people.iter().flatten().sum()).collect();
        let area_ends = running_shares(&sizes);
        let practices = practices(&mut Draw::new(seed, u32::MAX, Subject::Places), people, &area_ends, &area_districts);
        Places { areas, area_ends, area_districts, practices }
    }

    /// The practice whose stretch holds a point of the line.
    pub fn practice_at(&self, point: f64) -> usize {
        self.practices.partition_point(|practice| practice.end <= point).min(self.practices.len() - 1)
    }

    /// The area in which someone lives who is registered at a point of the line.
    pub fn area_near(&self, point: f64, draw: &mut Draw) -> usize {
        let reach = 1.0 / self.practices.len().max(40) as f64;
        let at = (point + draw.normal(0.0, reach)).rem_euclid(1.0);
        self.area_ends.partition_point(|&end| end <= at).min(self.areas.len() - 1)
    }

    /// The trust and site that treat someone from an area.
    pub fn hospital(&self, area: usize, draw: &mut Draw) -> (&'static str, &'static str) {
        if draw.chance(0.035) {
            return OTHER_TRUSTS[(draw.unit() * draw.unit() * OTHER_TRUSTS.len() as f64) as usize];
        }
        let district = if draw.chance(0.05) {
            &DISTRICTS[draw.below(DISTRICTS.len() as u32) as usize]
        } else {
            &DISTRICTS[self.area_districts[area]]
        };
        (district.trust, draw.word(district.sites))
    }

    /// Position of an area's district, in the order of [`Places::district_names`].
    pub fn district(&self, area: usize) -> usize {
        self.area_districts[area]
    }

    pub fn district_names() -> impl Iterator<Item = &'static str> {
        DISTRICTS.iter().map(|district| district.name)
    }

    /// Share of people whose practice shares its records.
    pub fn sharing_share(&self) -> f64 {
        let starts = std::iter::once(0.0).chain(self.practices.iter().map(|practice| practice.end));
        let widths = self.practices.iter().zip(starts);
        widths.filter(|(practice, _)| practice.shares_gp_data).map(|(practice, start)| practice.end - start).sum()
    }

    /// The provider of community services where an area lies: one for Medway and Swale, one for the rest.
    pub fn community_provider(&self, area: usize) -> &'static str {
        match DISTRICTS[self.area_districts[area]].name {
            "Medway" | "Swale" => "NQ7",
            _ => "RYY",
        }
    }

    /// The hospice that serves an area. Their codes are made up.
    pub fn hospice(&self, area: usize) -> &'static str {
        match DISTRICTS[self.area_districts[area]].trust {
            "RN7" => "HSP01",
            "RWF" => "HSP02",
            "RPA" => "HSP03",
            _ => "HSP04",
        }
    }

    /// The council that an area belongs to.
    pub fn council(&self, area: usize) -> &'static str {
        if DISTRICTS[self.area_districts[area]].name == "Medway" { "821" } else { "820" }
    }
}

/// Deprivation score for a small area, in tenths: spread evenly over the scores that its tenth of England has.
///
/// The reference holds tenths only, so the score is made up within the bounds of the 2019 index.
pub fn deprivation_score_tenths(decile: u8, position: usize) -> i64 {
    const BOUNDS: [f64; 11] = [78.0, 45.2, 34.4, 27.4, 22.0, 17.6, 13.9, 10.8, 8.0, 5.2, 0.8];
    let share = (position as f64 * 0.618_033_988_749_895).fract();
    let (high, low) = (BOUNDS[usize::from(decile) - 1], BOUNDS[usize::from(decile)]);
    // Scores of the most deprived tenth thin out towards the top.
    let share = if decile == 1 { share * share } else { share };
    ((low + (high - low) * share) * 10.0).round() as i64
}

fn running_shares(sizes: &[f64]) -> Vec<f64> {
    let total: f64 = sizes.iter().sum();
    let mut sum = 0.0;
    let ends = sizes.iter().map(|size| {
        sum += size / total;
        sum
    });
    ends.collect()
}

/// One practice per 3,000 people in small populations, and the county's 195 per 1.8 million in large ones.
fn practice_count(people: u32) -> usize {
    let small = (people / 3_000).clamp(6, 60);
    let large = (u64::from(people) * 195 / 1_800_000) as u32;
    small.max(large) as usize
}

fn list_size_spread() -> f64 {
    let sizes = rows(include_str!("tables/list_sizes.csv"));
    let spread =
        sizes.iter().find(|row| text(row, "area") == "Kent_G82" && text(row, "statistic") == "lognormal_sigma");
    number(spread.expect("the table has the county's spread"), "value")
}

fn practices(draw: &mut Draw, people: u32, area_ends: &[f64], area_districts: &[usize]) -> Vec<Practice> {
    let count = practice_count(people);
    let spread = list_size_spread();
    let ends = running_shares(&(0..count).map(|_| draw.normal(0.0, spread).exp()).collect::<Vec<_>>());
    let districts: Vec<usize> = (0..count)
        .map(|index| {
            let middle = (ends[index] + if index == 0 { 0.0 } else { ends[index - 1] }) / 2.0;
            area_districts[area_ends.partition_point(|&end| end <= middle).min(area_districts.len() - 1)]
        })
        .collect();
    let sharing = sharing_practices(draw, count);
    (0..count)
        .map(|index| {
            let district = &DISTRICTS[districts[index]];
            let peers: Vec<usize> =
                (0..count).filter(|&other| DISTRICTS[districts[other]].locality == district.locality).collect();
            let rank = peers.iter().position(|&other| other == index).unwrap_or(0);
            let (network_code, network) = network(district.locality, rank, peers.len());
            let name = PRACTICE_NAMES[index % PRACTICE_NAMES.len()];
            let kind = PRACTICE_KINDS[(index / PRACTICE_NAMES.len() + index) % PRACTICE_KINDS.len()];
            Practice {
                code: format!("G89{:03}", index + 1),
                name: format!("{name} {kind}"),
                network_code,
                network,
                locality: district.locality,
                district: district.name,
                shares_gp_data: sharing[index],
                end: ends[index],
            }
        })
        .collect()
}

/// 66 in 100 practices, drawn without regard to size.
fn sharing_practices(draw: &mut Draw, count: usize) -> Vec<bool> {
    let mut order: Vec<(u32, usize)> = (0..count).map(|index| (draw.bits(), index)).collect();
    order.sort_unstable();
    let mut sharing = vec![false; count];
    for &(_, index) in &order[..(count * 66).div_ceil(100)] {
        sharing[index] = true;
    }
    sharing
}

/// Networks take neighbouring practices of a locality, about equally many each.
fn network(locality: &str, rank: usize, peers: usize) -> (String, String) {
    let (place, (_, names)) =
        NETWORKS.iter().enumerate().find(|(_, (name, _))| *name == locality).expect("every locality has networks");
    let index = rank * names.len() / peers.max(1);
    (format!("U89{place}{index:02}"), format!("{} PCN", names[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_practices_follows_the_population() {
        assert_eq!([10, 20_000, 100_000, 1_800_000].map(practice_count), [6, 6, 33, 195]);
    }

    #[test]
    fn two_thirds_of_practices_share_and_the_line_is_covered() {
        let places = Places::new(7, 1_800_000);
        let sharing = places.practices.iter().filter(|practice| practice.shares_gp_data).count();
        assert_eq!((places.practices.len(), sharing), (195, 129));
        assert!((places.practices.last().unwrap().end - 1.0).abs() < 1e-9);
        let localities: std::collections::BTreeSet<_> =
            places.practices.iter().map(|practice| practice.locality).collect();
        assert_eq!(localities.len(), 8);
    }

    #[test]
    fn scores_lie_within_their_tenth() {
        for position in 0..1_000 {
            assert!((452..=780).contains(&deprivation_score_tenths(1, position)));
            assert!((8..=52).contains(&deprivation_score_tenths(10, position)));
        }
    }
}
