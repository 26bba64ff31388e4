//! Detectors and their parameters in words for people: what a rule looks at, and what each of its numbers means. Knows no number.
//! Read by `zenei rules explain` and by the documentation's tables.
use crate::detect::DetectorKind;

/// What each detector looks at, and when it speaks.
const DETECTORS: &[(&str, &str)] = &[
    (
        "battery_resistance",
        "the sag of the battery's voltage over the peak current of each operation, as a logarithm, against the lock's own past; temperature and the \
         state of charge are taken out by slopes of the model, what the site and the version have in common by medians; the day's residual goes into a \
         cumulative sum",
    ),
    (
        "battery_drain",
        "how far the firmware's own estimate and the voltage at rest have fallen below what a healthy lock may lose, less what like locks of the site \
         have fallen meanwhile",
    ),
    (
        "motor_effort",
        "the charge that each operation takes, as a logarithm, against the lock's own past; temperature and the voltage under load are taken out by \
         slopes of the model, what the site and the version have in common by medians; the day's residual goes into a cumulative sum",
    ),
    (
        "profile_shape",
        "how unlike the motor's current profile is to the lock's own template, once both are divided by their means; then as with the motor's effort",
    ),
    (
        "operation_trouble",
        "how many operations end in a jam, stall or timeout, or take so much longer that a second attempt was needed, against the lock's own share \
         and its model's",
    ),
    (
        "firmware_errors",
        "error codes of locks that were updated to a version, per hour, against like locks (model, board) on other versions at the same time, each \
         lock weighed by what it reported before; a sequential test that may be looked at every hour",
    ),
    ("lock_errors", "how often one lock reports an error code, against its own past and the locks like it"),
    ("reboots", "how often a lock restarts unasked, against its own past and its model"),
    (
        "memory_leak",
        "how far free memory has fallen within one boot, once the start is over, and when it would be used up",
    ),
    (
        "silence",
        "for how long nothing was heard of a lock, against its own longest usual interval and against the silences of the fleet that ended by \
         themselves; a gateway behind which most locks are late at once is the finding, and its locks are not",
    ),
    (
        "clock_error",
        "by how much a lock's clock differs from the gateway's, where the difference is the same in each record and so is no delay",
    ),
    ("record_loss", "holes in a lock's numbers, against the fleet's share, where its gateway's other locks have none"),
    (
        "schema_drift",
        "heartbeats, or fields of them, that always came and come no more or can't be right, while the lock says other things",
    ),
];

/// What each parameter means; those of one detector alone stand with its name first.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("", "baseline_days", "how long a lock is watched before it is judged"),
    ("", "min_operations", "how many operations must be seen before a lock is judged"),
    ("", "slack", "what each day's deviation is forgiven before it adds to the sum"),
    ("", "min_effect", "the least rise that is a finding, as a share of the baseline"),
    ("", "slope_temperature", "what a kelvin changes before the fleet has taught it, as a share"),
    (
        "",
        "slope_supply",
        "what the square of the discharge (of the motor: the logarithm of the speed that the voltage gives) changes before the fleet has taught it",
    ),
    ("", "false_alarm", "the probability that one version and code ever alarms without cause"),
    ("", "min_locks", "how many locks must report the code"),
    ("", "min_ratio", "the least rate that is a finding, as a multiple of what like locks have"),
    ("", "history_days", "how long a lock must be known before its update makes it a witness"),
    ("", "watch_days", "how long after its update a lock is a witness for its version"),
    ("", "percent_per_day", "what a healthy lock may lose a day, by the firmware's estimate"),
    ("", "mv_per_day", "what a healthy lock may lose a day, by the voltage at rest"),
    ("", "percent_min", "the least loss beyond that which is a finding"),
    ("", "mv_min", "how far the voltage must have fallen with it"),
    ("", "mv_alone", "the least fall of the voltage that is a finding where the firmware gives no estimate"),
    ("", "sigmas", "how many standard deviations of its noise a departure must have"),
    ("", "settle_hours", "how long after a start memory is still being taken for use"),
    ("", "share_per_day", "what of the free memory a healthy lock may lose a day"),
    ("", "share_min", "the least loss beyond that which is a finding"),
    ("", "horizon_days", "memory that lasts longer than this at its present rate is no finding"),
    ("", "prior_share", "the share that is normal before the fleet has taught it"),
    ("", "prior_per_day", "the rate that is normal before the fleet has taught it"),
    ("", "longer", "how much longer than usual an operation is that needed a second attempt, as a share"),
    ("", "longer_idle", "the same of an operation that took no more current than usual, as a share"),
    ("", "debounce_minutes", "troubles within so long are one"),
    ("", "usual_per_day", "operations a day beyond which a lock needs more evidence"),
    ("", "count_min", "how many events a finding has at least"),
    ("", "ratio_min", "the least rate that is a finding, as a multiple of what is normal"),
    ("", "silent_hours", "the shortest silence that is a finding"),
    ("", "multiple", "how many times its longest usual interval a lock must be silent"),
    (
        "",
        "ended_per_year",
        "silences of a length that end by themselves more often than this, per lock, are no finding",
    ),
    ("", "gateway_locks", "how many locks behind a gateway must be late for it to be the finding"),
    ("", "gateway_share", "which share of the locks behind a gateway must be late for it to be the finding"),
    ("", "error_minutes", "the least error of a clock that is a finding"),
    ("", "spread_minutes", "how much the differences may vary and still be a clock's, not a delay's"),
    ("", "observed_minutes", "how long the error must have been seen"),
    ("", "missing_min", "in how many heartbeats in a row a field must be missing"),
    ("", "overdue_hours", "for how long no heartbeat could be read"),
    ("", "others_min", "how many other records must have come meanwhile"),
    ("", "refused_min", "or how many that can't be read"),
    ("battery_resistance", "limit", "where the cumulative sum is a finding"),
    ("motor_effort", "limit", "where the cumulative sum is a finding"),
    ("profile_shape", "limit", "where the cumulative sum is a finding"),
    ("operation_trouble", "limit", "how much evidence (the natural logarithm of a likelihood ratio) is a finding"),
    ("lock_errors", "limit", "how much evidence (the natural logarithm of a likelihood ratio) is a finding"),
    ("reboots", "limit", "how much evidence (the natural logarithm of a likelihood ratio) is a finding"),
    ("record_loss", "limit", "how much evidence (the natural logarithm of a likelihood ratio) is a finding"),
];

/// What a detector looks at.
pub fn looks_at(detector: DetectorKind) -> &'static str {
    DETECTORS.iter().find(|(word, _)| *word == detector.as_str()).map_or("", |(_, text)| text)
}

/// What a parameter of a detector means.
pub fn meaning(detector: DetectorKind, parameter: &str) -> &'static str {
    let of = |word: &str| PARAMETERS.iter().find(|(own, name, _)| *own == word && *name == parameter);
    of(detector.as_str()).or_else(|| of("")).map_or("", |(_, _, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_and_parameter_has_its_words() {
        for kind in DetectorKind::ALL {
            assert_ne!(looks_at(kind), "", "add what {} looks at", kind.as_str());
            for spec in kind.parameters() {
                assert_ne!(meaning(kind, spec.name), "", "add what {} of {} means", spec.name, kind.as_str());
            }
        }
    }
}
