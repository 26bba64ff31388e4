//! The locks of a group with what each did, to compare two groups. Must not know intervals. Called by the history.
use super::Local;
use super::db::Db;
use super::list::column;
use crate::history::compare::{LockSums, MEANS, compared};
use crate::history::due::DAY_MS;
use crate::history::error::HistoryError;
use crate::history::packed::{BUCKET_MS, Packed, Quantity, bucket_of};
use crate::history::types::{Compared, Dimension, Measure};
use rusqlite::{ToSql, params};

/// The most locks that are read of a group: a sample by the hash of their numbers. A guess between the width of
/// intervals and a tenth of a second.
pub(in crate::history) const SAMPLE_MAX: usize = 500;

/// The quantity of each measure that is a mean over locks.
const QUANTITIES: [Quantity; MEANS.len()] =
    [Quantity::Resistance, Quantity::PeakMa, Quantity::Effort, Quantity::BatteryMv];

impl Local {
    pub(in crate::history) fn compare(
        &self,
        dimension: Dimension,
        a: &str,
        b: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Compared, HistoryError> {
        self.ask(|db| {
            let read = |value: &str| -> Result<(u64, Vec<LockSums>), HistoryError> {
                let mut locks = candidates(db, dimension, value, from_ms, to_ms)?;
                let count = locks.len() as u64;
                if locks.len() > SAMPLE_MAX {
                    locks.select_nth_unstable_by_key(SAMPLE_MAX, |&number| (mixed(number), number));
                    locks.truncate(SAMPLE_MAX);
                }
                // The sums are of floats: their order is part of the answer. It is that of the buckets in the file.
                locks.sort_unstable();
                let only = firmware(dimension, value).map(|fw| db.known(fw)).transpose()?.flatten();
                let by_firmware = firmware(dimension, value).is_some();
                let mut sums = Vec::with_capacity(locks.len());
                for number in locks {
                    let is_meant = |bucket: &Packed| !by_firmware || only == Some(bucket.fw);
                    sums.extend(sums_of(db, number, from_ms, to_ms, is_meant)?);
                }
                Ok((count, sums))
            };
            let ((locks_a, sums_a), (locks_b, sums_b)) = (read(a)?, read(b)?);
            Ok(compared((a, locks_a, &sums_a), (b, locks_b, &sums_b)))
        })
    }
}

/// The firmware of a group that firmware makes: a lock leaves such a group within the window.
fn firmware(dimension: Dimension, value: &str) -> Option<&str> {
    match dimension {
        Dimension::Fw => Some(value),
        Dimension::FwHw => Some(value.rsplit_once('+').map_or(value, |(fw, _)| fw)),
        Dimension::Site
        | Dimension::Gateway
        | Dimension::Model
        | Dimension::HwRev
        | Dimension::Lot
        | Dimension::Service => None,
    }
}

/// A number whose bits all depend on all bits of the given one: locks that came together do not stay together. The
/// finalizer of `SplitMix64` (Steele, Lea, Flood 2014).
const fn mixed(number: i64) -> u64 {
    let mut x = number.cast_unsigned();
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The numbers of the locks that belong to a group, or did within the window. No order and no text is asked of SQLite:
/// a group may be half of a large fleet.
fn candidates(
    db: &Db<'_>,
    dimension: Dimension,
    value: &str,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<i64>, HistoryError> {
    let found = |sql: &str, values: &[&dyn ToSql]| {
        db.ask(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        })
    };
    let Some(fw) = firmware(dimension, value) else {
        return found(&format!("SELECT number FROM lock WHERE {} = ?1", column(dimension)), &[&value]);
    };
    let board = value.rsplit_once('+').filter(|_| dimension == Dimension::FwHw).map(|(_, board)| board);
    // An index has these whole.
    let now = match board {
        Some(board) => found("SELECT number FROM lock WHERE fw = ?1 AND hw_rev = ?2", &[&fw, &board]),
        None => found("SELECT number FROM lock WHERE fw = ?1", &[&fw]),
    };
    let before = found(
        "SELECT number FROM lock WHERE fw <> ?1 AND (?4 IS NULL OR hw_rev = ?4) AND number IN ( \
         SELECT lock FROM firmware WHERE was = ?1 AND at_ms >= ?2 \
         UNION SELECT lock FROM firmware WHERE became = ?1 AND at_ms < ?3)",
        &[&fw, &from_ms, &to_ms, &board],
    );
    let mut locks = now?;
    locks.append(&mut before?);
    Ok(locks)
}

/// What a lock did in the buckets that are meant; `None` if there is none.
fn sums_of(
    db: &Db<'_>,
    lock: i64,
    from_ms: i64,
    to_ms: i64,
    is_meant: impl Fn(&Packed) -> bool,
) -> Result<Option<LockSums>, HistoryError> {
    let (from, to) = (bucket_of(from_ms), bucket_of(to_ms.saturating_sub(1)) + 1);
    let sql = "SELECT at, body FROM bucket WHERE lock = ?1 AND at >= ?2 AND at < ?3 ORDER BY at";
    let kept: Vec<(i64, Packed)> = db.rows("bucket", sql, params![lock, from, to])?;
    let (mut sums, mut last_day) = (LockSums::default(), None);
    for (at, bucket) in kept.iter().filter(|(_, bucket)| is_meant(bucket)) {
        let day = (at * BUCKET_MS).div_euclid(DAY_MS);
        sums.days += if last_day == Some(day) { 0.0 } else { 1.0 };
        last_day = Some(day);
        sums.operations += bucket.operations;
        sums.failed += bucket.failed;
        sums.errors += bucket.errors.0.iter().map(|&(_, count)| count).sum::<u64>();
        for (slot, quantity) in sums.means.iter_mut().zip(QUANTITIES) {
            if let Some(values) = bucket.values[quantity as usize] {
                slot.0 += values.sum as f64 / quantity.per_unit();
                slot.1 += values.count;
            }
        }
    }
    Ok(last_day.map(|_| sums))
}

// The two lists of measures are in the same order.
const _: () = assert!(matches!(MEANS[0].0, Measure::Resistance) && matches!(MEANS[3].0, Measure::Battery));
