//! Lists of locks: a filter, an order, a page; the values of a dimension; a search. Must not know buckets. Called by
//! the history.
use super::Local;
use super::db::{Db, LOCK_COLUMNS, lock_of};
use super::read::due_in_days;
use crate::history::due::DAY_MS;
use crate::history::error::HistoryError;
use crate::history::list::{Cursor, page_limit};
use crate::history::types::{Dimension, Hit, HitKind, LockFilter, LockNow, LockPage, LockSort, ROWS_MAX};
use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

/// Up to so many locks are found by a label's index and then sorted; more are found in the order's index and then
/// filtered. A guess between the two costs.
const SORTED_MAX: u64 = 2_000;

impl Local {
    pub(in crate::history) fn locks(&self, filter: &LockFilter) -> Result<LockPage, HistoryError> {
        let after = filter.after.as_deref().map(|text| Cursor::parse(text, filter.sort)).transpose()?;
        self.ask(|db| {
            let up_to_ms = db.place("up_to_ms")?.unwrap_or(0);
            let (total_where, values) = conditions(filter, up_to_ms, "");
            let sql = format!("SELECT count(*) FROM lock WHERE {total_where}");
            let total: i64 = db.ask(|connection| {
                connection.prepare_cached(&sql)?.query_row(params_from_iter(&values), |row| row.get(0))
            })?;
            let total = total.unsigned_abs();
            // A + keeps SQLite from a label's index.
            let (is_meant, values) = conditions(filter, up_to_ms, if total > SORTED_MAX { "+" } else { "" });
            let limit = page_limit(filter.limit);
            let mut locks = page(db, filter.sort, after.as_ref(), limit + 1, (&is_meant, &values), up_to_ms)?;
            let has_more = locks.len() > limit;
            locks.truncate(limit);
            let last = has_more.then(|| locks.last()).flatten();
            let next =
                last.map(|(lock, key)| Cursor { key: *key, device_id: lock.device_id.clone() }.text(filter.sort));
            Ok(LockPage { locks: locks.into_iter().map(|(lock, _)| lock).collect(), total, next })
        })
    }

    pub(in crate::history) fn values(&self, dimension: Dimension) -> Result<Vec<(String, u64)>, HistoryError> {
        let of = column(dimension);
        let is_said = match dimension {
            Dimension::FwHw => "fw <> '' AND hw_rev <> ''".to_owned(),
            Dimension::Site
            | Dimension::Gateway
            | Dimension::Model
            | Dimension::HwRev
            | Dimension::Lot
            | Dimension::Fw
            | Dimension::Service => format!("{of} <> ''"),
        };
        let by = if dimension == Dimension::FwHw { "fw, hw_rev" } else { of };
        let sql = format!(
            "SELECT {of}, count(*) FROM lock WHERE {is_said} GROUP BY {by} ORDER BY count(*) DESC, {by} LIMIT ?1"
        );
        self.ask(|db| {
            db.ask(|connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let rows = statement.query_map(params![ROWS_MAX as i64], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
                })?;
                rows.collect()
            })
        })
    }

    pub(in crate::history) fn search(&self, text: &str, limit: usize) -> Result<Vec<Hit>, HistoryError> {
        let limit = limit.min(ROWS_MAX);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(|db| {
            let sql = "SELECT device_id FROM lock WHERE device_id LIKE ?1 ESCAPE '\\' ORDER BY device_id LIMIT ?2";
            let found: Vec<String> = db.ask(|connection| {
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![containing(text), limit as i64], |row| row.get(0))?;
                rows.collect()
            })?;
            let lock = |value| Hit { kind: HitKind::Lock, value, locks: 1 };
            let mut hits: Vec<Hit> = found.into_iter().map(lock).collect();
            for dimension in Dimension::ALL {
                let room = limit.saturating_sub(hits.len());
                hits.extend(cohorts(db, dimension, text, room)?);
            }
            Ok(hits)
        })
    }
}

/// The cohorts of a dimension whose value contains a text. Its index is stepped through from value to value, and only
/// the locks of the values that are meant are counted: asking each lock of a large fleet took ten times as long.
fn cohorts(db: &Db<'_>, dimension: Dimension, text: &str, limit: usize) -> Result<Vec<Hit>, HistoryError> {
    let of = column(dimension);
    let sql = if dimension == Dimension::FwHw {
        "WITH RECURSIVE
            version (fw) AS (SELECT min(fw) FROM lock UNION ALL
                SELECT (SELECT min(fw) FROM lock WHERE fw > version.fw) FROM version WHERE version.fw IS NOT NULL),
            pair (fw, hw) AS (SELECT fw, (SELECT min(hw_rev) FROM lock WHERE fw = version.fw) FROM version
                WHERE fw IS NOT NULL UNION ALL
                SELECT fw, (SELECT min(hw_rev) FROM lock WHERE fw = pair.fw AND hw_rev > pair.hw) FROM pair
                WHERE hw IS NOT NULL)
         SELECT fw || '+' || hw, (SELECT count(*) FROM lock WHERE fw = pair.fw AND hw_rev = pair.hw) AS locks
         FROM pair WHERE hw IS NOT NULL AND fw || '+' || hw LIKE ?1 ESCAPE '\\' ORDER BY locks DESC, fw, hw LIMIT ?2"
            .to_owned()
    } else {
        format!(
            "WITH RECURSIVE said (value) AS (SELECT min({of}) FROM lock UNION ALL
                SELECT (SELECT min({of}) FROM lock WHERE {of} > said.value) FROM said WHERE said.value IS NOT NULL)
             SELECT value, (SELECT count(*) FROM lock WHERE {of} = said.value) AS locks
             FROM said WHERE value LIKE ?1 ESCAPE '\\' ORDER BY locks DESC, value LIMIT ?2"
        )
    };
    db.ask(|connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![containing(text), limit as i64], |row| {
            let locks = row.get::<_, i64>(1)?.unsigned_abs();
            Ok(Hit { kind: HitKind::Cohort(dimension), value: row.get(0)?, locks })
        })?;
        rows.collect()
    })
}

/// The value of a dimension in a lock's row.
pub(super) const fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Site => "site",
        Dimension::Gateway => "gateway",
        Dimension::Model => "model",
        Dimension::HwRev => "hw_rev",
        Dimension::Lot => "lot",
        Dimension::Fw => "fw",
        Dimension::Service => "service",
        Dimension::FwHw => "fw || '+' || hw_rev",
    }
}

/// The filter as a condition with its values; `plus` goes before each label.
fn conditions(filter: &LockFilter, up_to_ms: i64, plus: &str) -> (String, Vec<Value>) {
    let mut found = vec!["1".to_owned()];
    let mut values = Vec::new();
    let labels = [
        ("site", &filter.site),
        ("gateway", &filter.gateway),
        ("model", &filter.model),
        ("hw_rev", &filter.hw_rev),
        ("lot", &filter.lot),
        ("fw", &filter.fw),
        ("service", &filter.service),
    ];
    for (column, label) in labels {
        if let Some(label) = label {
            found.push(format!("{plus}{column} = ?"));
            values.push(Value::from(label.clone()));
        }
    }
    if let Some(text) = &filter.text {
        found.push("device_id LIKE ? ESCAPE '\\'".to_owned());
        values.push(Value::from(containing(text)));
    }
    if let Some(pct) = filter.battery_below_pct {
        found.push("battery_pct < ?".to_owned());
        values.push(Value::from(i64::from(pct)));
    }
    if let Some(days) = filter.due_within_days {
        found.push("due_likely_ms <= ?".to_owned());
        values.push(Value::from(up_to_ms.saturating_add(i64::from(days) * DAY_MS)));
    }
    (found.join(" AND "), values)
}

/// A text as a pattern that finds it anywhere.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// The locks after a place, each with its key of the order: first those with a value, then those without.
fn page(
    db: &Db<'_>,
    sort: LockSort,
    after: Option<&Cursor>,
    limit: usize,
    meant: (&str, &[Value]),
    up_to_ms: i64,
) -> Result<Vec<(LockNow, Option<i64>)>, HistoryError> {
    let (key, descends) = match sort {
        LockSort::Device => return part(db, limit, meant, up_to_ms, by_id(after)),
        LockSort::Heard => ("heard_ms", false),
        LockSort::Battery => ("battery_pct", false),
        LockSort::Due => ("due_likely_ms", false),
        LockSort::Errors => ("errors_7d", true),
        LockSort::Signal => ("rssi_dbm", false),
    };
    let (has, has_none) = match sort {
        LockSort::Errors => ("errors_7d > 0".to_owned(), "errors_7d = 0".to_owned()),
        LockSort::Device | LockSort::Heard | LockSort::Battery | LockSort::Due | LockSort::Signal => {
            (format!("{key} IS NOT NULL"), format!("{key} IS NULL"))
        }
    };
    let is_past_values = after.is_some_and(|after| after.key.is_none());
    let mut found = Vec::new();
    if !is_past_values {
        let (than, order) = if descends { ("<", "DESC") } else { (">", "ASC") };
        let mut part_of = Part { condition: has, values: Vec::new(), order: format!("{key} {order}, device_id"), key };
        if let Some(Cursor { key: Some(value), device_id }) = after {
            part_of.condition += &format!(" AND {key} {than}= ? AND ({key} {than} ? OR device_id > ?)");
            part_of.values = vec![Value::from(*value), Value::from(*value), Value::from(device_id.clone())];
        }
        found = part(db, limit, meant, up_to_ms, part_of)?;
    }
    if found.len() < limit && sort != LockSort::Heard {
        let mut rest = by_id(after.filter(|_| is_past_values));
        rest.condition = format!("{has_none} AND {}", rest.condition);
        found.extend(part(db, limit - found.len(), meant, up_to_ms, rest)?);
    }
    Ok(found)
}

/// A part of an order.
struct Part {
    condition: String,
    values: Vec<Value>,
    order: String,
    key: &'static str,
}

fn by_id(after: Option<&Cursor>) -> Part {
    let (condition, values) = match after {
        Some(after) => ("device_id > ?".to_owned(), vec![Value::from(after.device_id.clone())]),
        None => ("1".to_owned(), Vec::new()),
    };
    Part { condition, values, order: "device_id".to_owned(), key: "NULL" }
}

fn part(
    db: &Db<'_>,
    limit: usize,
    (is_meant, meant): (&str, &[Value]),
    up_to_ms: i64,
    part: Part,
) -> Result<Vec<(LockNow, Option<i64>)>, HistoryError> {
    let Part { condition, values, order, key } = part;
    let sql =
        format!("SELECT {LOCK_COLUMNS}, {key} FROM lock WHERE {is_meant} AND {condition} ORDER BY {order} LIMIT ?");
    let values = meant.iter().cloned().chain(values).chain([Value::from(limit as i64)]);
    db.ask(|connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            let (_, mut lock, due) = lock_of(row)?;
            lock.battery_due = due.map(|due| due_in_days(due, up_to_ms));
            Ok((lock, row.get(19)?))
        })?;
        rows.collect()
    })
}
