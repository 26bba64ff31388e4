//! The benchmark's files: values with their times, and the windows of the true anomalies. Called by `nab`; the detector
//! receives values and times alone.
use super::score::Worth;
use crate::error::LabError;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Windows of true anomalies by file: first and last time, inclusive.
pub(super) type TrueWindows = BTreeMap<String, Vec<[String; 2]>>;

/// One file.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the list.
    pub name: String,
    /// The times as written in the file.
    pub stamps: Vec<String>,
    /// The times, ms since 1970.
    pub at_ms: Vec<i64>,
    /// The values.
    pub values: Vec<f64>,
    /// What detections in it are worth.
    pub worth: Worth,
}

/// Reads the files of a list.
///
/// # Errors
/// The first that can't be read, with file and line.
pub fn read(data: &Path, labels: &Path, list: &Path) -> Result<Vec<Series>, LabError> {
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| LabError::unread(path, error));
    let windows: TrueWindows = serde_json::from_str(&text(labels)?)
        .map_err(|error| LabError::failed(format!("{} is no list of windows by file", labels.display()), error))?;
    let names = text(list)?;
    let names = names.lines().map(str::trim).filter(|name| !name.is_empty());
    let series = names.map(|name| {
        let Some(windows) = windows.get(name) else {
            let what = format!("{} has no entry {name}, which {} lists", labels.display(), list.display());
            return Err(LabError::Usage(what));
        };
        let path = data.join(name);
        parse(name, &text(&path)?, windows).map_err(|problem| LabError::Usage(format!("{}:{problem}", path.display())))
    });
    series.collect()
}

/// One file from its text; an error names line and problem.
fn parse(name: &str, text: &str, windows: &[[String; 2]]) -> Result<Series, String> {
    let (mut stamps, mut at_ms, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (line, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.trim().is_empty()) {
        let bad = |what: &str| format!("{}: {what}", line + 1);
        let (stamp, value) = row.split_once(',').ok_or_else(|| bad("no comma; `timestamp,value` is wanted"))?;
        let value: f64 = value.trim().parse().map_err(|_| bad(&format!("'{value}' is no number")))?;
        if !value.is_finite() {
            return Err(bad("the value is no finite number"));
        }
        at_ms.push(ms(stamp).ok_or_else(|| bad(&format!("'{stamp}' is no time like 2014-04-01 00:00:00")))?);
        stamps.push(stamp.to_owned());
        values.push(value);
    }
    let row = |[from, to]: &[String; 2]| {
        let (from, to) = ms(from).zip(ms(to)).ok_or("0: a window has no times like 2014-04-01 00:00:00")?;
        let first = at_ms.iter().position(|&at| at >= from);
        let last = at_ms.iter().rposition(|&at| at <= to);
        first.zip(last).filter(|(first, last)| first <= last).ok_or("0: a window has no row of the file")
    };
    let windows: Vec<(usize, usize)> = windows.iter().map(row).collect::<Result<_, &str>>()?;
    let worth = Worth::of(values.len(), &windows);
    Ok(Series { name: name.to_owned(), stamps, at_ms, values, worth })
}

/// A time of the benchmark, taken as UTC.
fn ms(stamp: &str) -> Option<i64> {
    let time: DateTime = stamp.trim().parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "timestamp,value\n2014-04-01 00:00:00,1.5\n2014-04-01 00:05:00,2\n2014-04-01 00:10:00,-3e2\n";

    #[test]
    fn a_file_is_read_with_its_windows_by_row() {
        let window = [["2014-04-01 00:04:00.000000".to_owned(), "2014-04-01 00:10:00.000000".to_owned()]];
        let series = parse("a.csv", TEXT, &window).unwrap();
        assert_eq!(series.values, [1.5, 2.0, -300.0]);
        assert_eq!(series.at_ms[1] - series.at_ms[0], 300_000);
        assert_eq!((series.at_ms[0], series.worth.windows()), (1_396_310_400_000, 1));
        assert_eq!(series.worth, Worth::of(3, &[(1, 2)]));
    }

    #[test]
    fn what_is_no_row_is_told_with_its_line() {
        let told = |text: &str| parse("a.csv", text, &[]).unwrap_err();
        assert_eq!(told("timestamp,value\n2014-04-01 00:00:00;1\n"), "2: no comma; `timestamp,value` is wanted");
        assert_eq!(told(&format!("{TEXT}x,1\n")), "5: 'x' is no time like 2014-04-01 00:00:00");
        assert_eq!(told(&format!("{TEXT}2014-04-01 00:15:00,inf\n")), "5: the value is no finite number");
        let empty = ["2015-01-01 00:00:00".to_owned(), "2015-01-02 00:00:00".to_owned()];
        assert_eq!(parse("a.csv", TEXT, &[empty]).unwrap_err(), "0: a window has no row of the file");
    }
}
