//! Does a topic filter match a topic? By the MQTT standard; must not know messages. Called by `tap`.

/// Whether the filter matches (OASIS MQTT 3.1.1, section 4.7): `+` stands for one level, `#` for the rest, its parent
/// level included; neither matches a first level that begins with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            Some(_) | None => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_matches_as_the_standard_says() {
        for (filter, topic) in [
            ("bitlock/v1/#", "bitlock/v1/tokyo-01/BL1/state"),
            ("bitlock/+/+/BL1/state", "bitlock/v1/tokyo-01/BL1/state"),
            ("sport/#", "sport"),
            ("sport/+", "sport/"),
            ("a/b", "a/b"),
            ("#", "a"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("sport/+", "sport"),
            ("a/b", "a/b/c"),
            ("a/b/c", "a/b"),
            ("+/x", "a/y"),
            ("#", "$SYS/a"),
            ("+/a", "$SYS/a"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
