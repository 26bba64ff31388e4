//! The selects by which the views fill the table of hourly cohorts, read from the migrations' own texts: who recounts
//! or rebuilds an hour must count as the views do. Must not know servers. Called by the shipper.
use super::{Form, MIGRATIONS};

/// How a view's definition begins; a later migration may give a view another select.
const CREATES: &str = "CREATE MATERIALIZED VIEW IF NOT EXISTS {local:";
const CHANGES: &str = "ALTER TABLE {local:";

/// The select of one view, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CohortView {
    /// The view's name.
    pub(crate) name: String,
    /// The columns that it gives, in order.
    pub(crate) columns: Vec<String>,
    selected: String,
    from: String,
    dimensions: String,
    wanted: String,
    grouped: String,
}

impl CohortView {
    /// Its select over the rows for which `condition` also holds; columns of the view may stand in it.
    pub(crate) fn within(&self, condition: &str) -> String {
        self.over(&self.dimensions, condition)
    }

    /// As [`CohortView::within`], for the fleet alone, for which each row counts once.
    pub(crate) fn fleet_within(&self, condition: &str) -> String {
        self.over("[('fleet', 'all')]", condition)
    }

    fn over(&self, dimensions: &str, condition: &str) -> String {
        let Self { selected, from, wanted, grouped, .. } = self;
        format!(
            "SELECT\n{selected}\nFROM {from}\nARRAY JOIN {dimensions} AS cohort\nWHERE {wanted} AND ({condition})\n\
             GROUP BY {grouped}"
        )
    }

    fn read(name: &str, select: &str) -> Option<Self> {
        let (selected, rest) = select.trim().strip_prefix("SELECT\n")?.split_once("\nFROM ")?;
        let (from, rest) = rest.split_once("\nARRAY JOIN ")?;
        let (dimensions, rest) = rest.split_once(" AS cohort\nWHERE ")?;
        let (wanted, grouped) = rest.split_once("\nGROUP BY ")?;
        let columns = selected.lines().map(|line| Some(line.trim_end_matches(',').rsplit_once(" AS ")?.1.to_owned()));
        Some(Self {
            name: name.to_owned(),
            columns: columns.collect::<Option<_>>()?,
            selected: selected.to_owned(),
            from: from.to_owned(),
            dimensions: dimensions.to_owned(),
            wanted: wanted.to_owned(),
            grouped: grouped.to_owned(),
        })
    }
}

impl Form {
    /// The views on the tables of records, each as the newest migration defines it.
    pub(crate) fn cohort_views(&self) -> Vec<CohortView> {
        let mut views: Vec<CohortView> = Vec::new();
        for migration in &MIGRATIONS {
            let text = migration.text();
            for statement in text.split(";\n") {
                let Some((name, select)) = defined(statement) else { continue };
                views.retain(|view| view.name != name);
                views.extend(CohortView::read(name, &self.text(select)));
            }
        }
        views
    }
}

/// The view that a statement defines, and its select with placeholders.
fn defined(statement: &str) -> Option<(&str, &str)> {
    if let Some(at) = statement.find(CREATES) {
        let (name, rest) = statement[at + CREATES.len()..].split_once('}')?;
        return Some((name, rest.split_once("TO {local:cohort_hour} AS\n")?.1));
    }
    let at = statement.find(CHANGES)?;
    let (name, rest) = statement[at + CHANGES.len()..].split_once('}')?;
    Some((name, rest.split_once("MODIFY QUERY\n")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Retention, print};

    #[test]
    fn every_view_on_the_hourly_cohorts_is_read_as_the_newest_migration_has_it() {
        let form = Form::new("zenei", None, Retention::default()).unwrap();
        let views = form.cohort_views();
        let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["cohort_of_operation", "cohort_of_record"]);
        let script = print(&form);
        assert_eq!(script.matches("TO zenei.cohort_hour AS").count(), views.len(), "each one is read");
        for view in &views {
            assert_eq!(view.columns[..4], ["dimension", "value", "hour", "records"], "{}", view.name);
            let whole = view.within("1").replace(" AND (1)", "");
            assert_eq!(script.matches(&whole).count(), 1, "{whole}");
            assert!(script.rfind(&whole) > script.rfind(&format!("zenei.{}", view.name)), "the last one counts");
        }
        assert!(views[1].within("1").contains("kind NOT IN ('gateway', 'adv')"));
        assert!(views[1].fleet_within("1").contains("ARRAY JOIN [('fleet', 'all')] AS cohort"));
    }
}
