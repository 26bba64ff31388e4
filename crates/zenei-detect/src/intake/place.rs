//! A record's numbers within one life of its lock, what follows them, and a digest of what stands under them. Must not
//! know which numbers were heard. Called by `intake` and its files.
use crate::batch::Row;
use serde::{Deserialize, Serialize};
use zenei_wire::{Body, EventKind};

/// A `boot` that is farther beyond the newest one than this is absurd (telemetry contract).
const BOOTS_BEYOND: u32 = 1_000;
/// A `seq` that is farther beyond the newest one than this is absurd (telemetry contract).
const SEQS_BEYOND: u32 = 100_000;

/// Records overtake one another by less than this. A guess: two full backlogs (1,000 records each).
const NEAR: u32 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) boot: u32,
    pub(super) seq: u32,
}

impl Place {
    /// The numbers of a row; `None` where it lacks one.
    pub(super) fn of(row: &Row) -> Option<Self> {
        row.boot.zip(row.seq).map(|(boot, seq)| Self { boot, seq })
    }

    /// Whether `next` is the next number of the same boot.
    pub(super) fn is_followed_by(self, next: Self) -> bool {
        self.boot == next.boot && self.seq.checked_add(1) == Some(next.seq)
    }

    /// Whether `next` is the next number of the same boot, or the first one of the next boot.
    pub(super) fn is_continued_by(self, next: Self) -> bool {
        self.is_followed_by(next) || (next.seq == 0 && self.boot.checked_add(1) == Some(next.boot))
    }

    /// Whether a record under the numbers `other` may have been overtaken by this one, or have overtaken it.
    pub(super) fn is_near(self, other: Self) -> bool {
        self.boot == other.boot && self.seq.abs_diff(other.seq) <= NEAR
    }

    /// Whether it is so far beyond the newest numbers that it says nothing about the order.
    pub(super) fn is_far_beyond(self, newest: Self) -> bool {
        self.boot.saturating_sub(newest.boot) > BOOTS_BEYOND || self.seq.saturating_sub(newest.seq) > SEQS_BEYOND
    }
}

/// Whether a row says that a lock, or its board, was installed.
pub(super) fn is_installed(row: &Row) -> bool {
    matches!(&row.body, Body::Event(event) if event.event == EventKind::Installed)
}

/// What makes a record the same as one that was heard before: numbers, kind and the device's time (telemetry contract),
/// and the times by which records are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) place: Place,
    /// The device's clock, ms.
    pub(super) ts: i64,
    /// When the gateway received it, ms.
    pub(super) heard_at: i64,
    /// Of numbers, kind and `ts`: equal for a repetition, and for another record once in 2^64.
    pub(super) content: u64,
}

impl Seen {
    pub(super) fn of(place: Place, row: &Row) -> Self {
        let (ts, heard_at) = (row.ts.ms(), row.heard_at.ms());
        let numbers = u64::from(place.boot) << 32 | u64::from(place.seq);
        let content = scatter(scatter(scatter(numbers) ^ ts as u64) ^ u64::from(row.body.kind().place()));
        Self { place, ts, heard_at, content }
    }

    /// The digest that is stored of records that are likely to come again; never 0.
    pub(super) fn digest(&self) -> u16 {
        ((self.content >> 48) as u16).max(1)
    }
}

/// Spreads a number over all bits, one to one (the finalizer of `SplitMix64`: Steele, Lea, Flood 2014).
fn scatter(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
