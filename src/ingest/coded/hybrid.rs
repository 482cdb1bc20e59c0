//! Parquet's hybrid of run lengths and packed bits, which levels and keys are written in.

use bytes::Bytes;

use super::Damaged;

/// Numbers in runs of one, and in packed eights.
#[derive(Debug, Default)]
pub(super) struct Hybrid {
    pub bytes: Bytes,
    /// Bits of a packed number.
    pub width: u32,
    pub runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The place after its last number.
    pub end: u32,
    pub is_packed: bool,
    /// The number that repeats, or the byte where packed ones begin.
    pub at: u32,
}

/// A part of a run.
pub(super) struct Part {
    pub length: u32,
    pub what: What,
}

pub(super) enum What {
    Same(u32),
    /// Packed numbers from a byte on, of which some are passed over.
    Packed {
        byte: u32,
        skip: u32,
    },
}

/// Where in the runs a walk from one number to a later one has come to.
#[derive(Default)]
pub(super) struct Cursor {
    run: usize,
    /// The first number of the run.
    first: u32,
}

impl Hybrid {
    /// So many numbers of one width.
    pub fn new(bytes: Bytes, width: u32, count: u32) -> Result<Hybrid, Damaged> {
        let (mut runs, mut at, mut end) = (Vec::new(), 0, 0);
        if width > u32::BITS || bytes.len() > u32::MAX as usize {
            return Err(Damaged);
        }
        while end < count {
            let header = read_varint(&bytes, &mut at)?;
            let (is_packed, length) = (header & 1 == 1, header >> 1);
            let length = if is_packed { length.saturating_mul(8) } else { length };
            let length = u32::try_from(length.min(u64::from(count - end))).expect("it is less than a 32-bit number");
            if length == 0 {
                return Err(Damaged);
            }
            end += length;
            if is_packed {
                runs.push(Run { end, is_packed, at: at as u32 });
                // The last eights may be cut where no number of the page is.
                let eights = (header >> 1).saturating_mul(u64::from(width));
                let needed = (u64::from(length) * u64::from(width)).div_ceil(8);
                if needed > (bytes.len() - at) as u64 {
                    return Err(Damaged);
                }
                at = (at as u64).saturating_add(eights).min(bytes.len() as u64) as usize;
            } else {
                let mut number = [0; 4];
                let length = width.div_ceil(8) as usize;
                number[..length].copy_from_slice(bytes.get(at..at + length).ok_or(Damaged)?);
                runs.push(Run { end, is_packed, at: u32::from_le_bytes(number) });
                at += length;
            }
        }
        Ok(Hybrid { bytes, width, runs })
    }

    /// The levels of pages as they were written at first: one bit a row, the highest bit of a byte first.
    pub fn of_old_levels(bytes: &[u8], rows: u32) -> Hybrid {
        let bytes = bytes.iter().map(|byte| byte.reverse_bits()).collect();
        Hybrid { bytes, width: 1, runs: vec![Run { end: rows, is_packed: true, at: 0 }] }
    }

    /// The parts of runs from one number up to another.
    pub fn between(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = Part> + '_ {
        let first_run = self.runs.partition_point(|run| run.end <= range.start);
        let starts = first_run.checked_sub(1).map_or(0, |before| self.runs[before].end);
        let runs = self.runs[first_run..].iter().scan(starts, |start, run| {
            let from = std::mem::replace(start, run.end);
            Some((from, run))
        });
        let runs = runs.take_while(move |(from, _)| *from < range.end);
        runs.map(move |(from, run)| {
            let (first, end) = (from.max(range.start), run.end.min(range.end));
            let what = match run.is_packed {
                true => What::Packed { byte: run.at, skip: first - from },
                false => What::Same(run.at),
            };
            Part { length: end - first, what }
        })
    }

    pub fn numbers(&self, range: std::ops::Range<u32>, out: &mut Vec<u32>) {
        out.reserve(range.len());
        for part in self.between(range) {
            let start = out.len();
            match part.what {
                What::Same(number) => out.resize(start + part.length as usize, number),
                What::Packed { byte, skip } => {
                    out.resize(start + part.length as usize, 0);
                    unpack(&self.bytes[byte as usize..], self.width, skip, &mut out[start..]);
                }
            }
        }
    }

    /// The number at a place; a walk goes on from where it has come to.
    #[inline]
    pub fn number(&self, place: u32, cursor: &mut Cursor) -> u32 {
        while self.runs[cursor.run].end <= place {
            cursor.first = self.runs[cursor.run].end;
            cursor.run += 1;
        }
        let run = &self.runs[cursor.run];
        match run.is_packed {
            true => packed_at(&self.bytes[run.at as usize..], self.width, place - cursor.first),
            false => run.at,
        }
    }
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64, Damaged> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Damaged)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

/// The packed number at a place.
#[inline]
fn packed_at(bytes: &[u8], width: u32, place: u32) -> u32 {
    let bit = u64::from(place) * u64::from(width);
    let rest = &bytes[(bit / 8) as usize..];
    let word = match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    (word >> (bit % 8) & ((1 << width) - 1)) as u32
}

/// Unpacks numbers from the one at place `skip` on.
pub(super) fn unpack(bytes: &[u8], width: u32, skip: u32, out: &mut [u32]) {
    let head = out.len().min(skip.next_multiple_of(8) as usize - skip as usize);
    let (head, body) = out.split_at_mut(head);
    head.iter_mut().zip(skip..).for_each(|(number, place)| *number = packed_at(bytes, width, place));
    let next = skip + head.len() as u32;
    let (eights, _) = body.as_chunks_mut::<8>();
    let done = 8 * unpack_eights(bytes.get((next / 8 * width) as usize..).unwrap_or_default(), width, eights);
    let rest = body[done..].iter_mut().zip(next + done as u32..);
    rest.for_each(|(number, place)| *number = packed_at(bytes, width, place));
}

/// Unpacks eights as long as eight more bytes follow each; how many eights were done.
fn unpack_eights(bytes: &[u8], width: u32, out: &mut [[u32; 8]]) -> usize {
    macro_rules! of_width {
        ($($width:literal)*) => {
            match width {
                $($width => eights_of::<$width>(bytes, out),)*
                _ => 0,
            }
        };
    }
    of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
}

#[inline]
fn eights_of<const WIDTH: usize>(bytes: &[u8], out: &mut [[u32; 8]]) -> usize {
    const WORD: usize = size_of::<u64>();
    let mut done = 0;
    for eight in out {
        let Some(window) = bytes.get(done * WIDTH..done * WIDTH + WIDTH + WORD) else { break };
        for (place, number) in eight.iter_mut().enumerate() {
            let bit = place * WIDTH;
            let word = window[bit / 8..].first_chunk().expect("eight more bytes follow");
            *number = (u64::from_le_bytes(*word) >> (bit % 8)) as u32 & ((1 << WIDTH) - 1);
        }
        done += 1;
    }
    done
}
