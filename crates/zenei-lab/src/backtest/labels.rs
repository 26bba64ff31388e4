//! The known faults of the past: true faults of a simulated fleet, customers' inquiries, or both; and which incidents
//! they confirm. Called by `backtest`.
use crate::error::LabError;
use crate::fleet::matching::Matched;
use crate::opened::Opened;
use firmware_sim::Truth;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use zenei_incident::Inquiries;
use zenei_wire::Id;

const DAY_MS: i64 = 86_400_000;
/// An inquiry is linked with an incident on its lock up to this long after the opening (interface contract).
const LINKED_MS: i64 = 30 * DAY_MS;

/// The known faults and inquiries.
#[derive(Debug, Default)]
pub(crate) struct KnownFaults {
    truth: Vec<Truth>,
    inquiries: Inquiries,
    is_known: bool,
}

/// An incident as judged by the labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The rule that opened it.
    pub(crate) rule: String,
    /// When it was opened.
    pub(crate) at_ms: i64,
    /// Whether a label confirms it; `None` without labels.
    pub(crate) is_confirmed: Option<bool>,
    /// How many days before the first customer it was opened; `None` without a customer.
    pub(crate) lead_d: Option<f64>,
}

/// A label and the incident that found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sought {
    /// The family of a true fault, or `inquiry`.
    pub(crate) what: String,
    /// When its first incident was opened.
    pub(crate) opened_ms: Option<i64>,
    /// When a customer noticed.
    pub(crate) customer_ms: Option<i64>,
}

impl KnownFaults {
    /// Reads the true faults (as `firmware-sim run --truth` writes them) and the inquiries (CSV).
    ///
    /// # Errors
    /// Where a file can't be read; an unreadable row of the inquiries is left out.
    pub(crate) fn read(truth: Option<&Path>, inquiries: Option<&Path>) -> Result<Self, LabError> {
        let text = |path: &Path| fs::read_to_string(path).map_err(|error| LabError::unread(path, error));
        let mut labels = Self { is_known: truth.is_some() || inquiries.is_some(), ..Self::default() };
        if let Some(path) = truth {
            for (line, row) in text(path)?.lines().enumerate() {
                let one = serde_json::from_str(row);
                let what = || format!("{}:{} is no true fault", path.display(), line + 1);
                labels.truth.push(one.map_err(|error| LabError::failed(what(), error))?);
            }
        }
        if let Some(path) = inquiries {
            labels.inquiries = Inquiries::parse(&text(path)?);
        }
        Ok(labels)
    }

    /// Every incident as judged by the labels, and every label with the incident that found it.
    pub(crate) fn judge(&self, opened: &[Opened]) -> (Vec<Judged>, Vec<Sought>) {
        let matched = Matched::of(&self.truth, opened);
        let by_truth: Vec<(Id, Option<i64>)> = matched
            .cases
            .iter()
            .flat_map(|case| case.incidents.iter().map(|incident| (incident.id, case.truth.customer_ms)))
            .collect();
        let confirmed: HashSet<Id> = by_truth.iter().map(|(id, _)| *id).collect();
        let judge = |incident: &Opened| {
            let of_truth = by_truth.iter().find(|(id, _)| *id == incident.id).and_then(|(_, customer_ms)| *customer_ms);
            let of_inquiry = self.inquiries.rows().iter().filter(|inquiry| {
                let is_near = (inquiry.received_ms - incident.at_ms).abs() <= LINKED_MS;
                is_near && inquiry.device_id.as_ref().is_some_and(|device| incident.devices.contains(device))
            });
            let of_inquiry = of_inquiry.map(|inquiry| inquiry.received_ms).min();
            let customer_ms = of_truth.into_iter().chain(of_inquiry).min();
            Judged {
                rule: incident.rule.clone(),
                at_ms: incident.at_ms,
                is_confirmed: self.is_known.then(|| confirmed.contains(&incident.id) || of_inquiry.is_some()),
                lead_d: customer_ms.map(|ms| (ms - incident.at_ms) as f64 / DAY_MS as f64),
            }
        };
        let faults = matched.cases.iter().map(|case| Sought {
            what: case.truth.family.clone(),
            opened_ms: case.opened_ms(),
            customer_ms: case.truth.customer_ms,
        });
        let inquiries = self.inquiries.rows().iter().filter_map(|inquiry| {
            let device = inquiry.device_id.as_ref()?;
            let near = opened.iter().filter(|incident| {
                incident.devices.contains(device) && (inquiry.received_ms - incident.at_ms).abs() <= LINKED_MS
            });
            let opened_ms = near.map(|incident| incident.at_ms).min();
            Some(Sought { what: "inquiry".into(), opened_ms, customer_ms: Some(inquiry.received_ms) })
        });
        let sought = faults.chain(inquiries).collect();
        (opened.iter().map(judge).collect(), sought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::{Component, Domain, Scope, ScopeKind};

    fn opened(id: u128, lock: &str, day: i64) -> Opened {
        Opened {
            id: Id(id),
            at_ms: day * DAY_MS,
            rule: "rule".into(),
            domain: Domain::Hardware,
            component: Component::Gear,
            scope: Scope { kind: ScopeKind::Device, value: lock.into() },
            devices: [lock.to_owned()].into(),
            why: String::new(),
        }
    }

    const TRUTH: &str = r#"{"family":"H1","control":false,"domain":"hardware","component":"gear","scope":{"kind":"device","value":"A"},"devices":["A"],"onset_ms":864000000,"detectable_ms":null,"customer_ms":1728000000,"end_ms":2592000000}"#;

    fn labels(truth: Option<&str>, inquiries: Option<&str>) -> Result<KnownFaults, LabError> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: Option<&str>| {
            text.map(|text| {
                fs::write(folder.path().join(name), text).unwrap();
                folder.path().join(name)
            })
        };
        KnownFaults::read(write("t", truth).as_deref(), write("i", inquiries).as_deref())
    }

    #[test]
    fn a_true_fault_confirms_and_what_is_about_nothing_is_not_confirmed() {
        let (judged, sought) =
            labels(Some(TRUTH), None).unwrap().judge(&[opened(1, "A", 12), opened(2, "B", 12), opened(3, "A", 5)]);
        assert_eq!(
            judged.iter().map(|one| one.is_confirmed).collect::<Vec<_>>(),
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!((judged[0].lead_d, judged[1].lead_d), (Some(8.0), None));
        assert_eq!(
            sought,
            [Sought { what: "H1".into(), opened_ms: Some(12 * DAY_MS), customer_ms: Some(20 * DAY_MS) }]
        );
    }

    #[test]
    fn an_inquiry_confirms_within_thirty_days() {
        let csv = "id,received_at,customer,device_id,urgency,text\nq1,1970-02-01T00:00:00Z,c,A,,x\nq2,1970-02-01T00:00:00Z,c,,,x\n";
        let (judged, sought) =
            labels(None, Some(csv)).unwrap().judge(&[opened(1, "A", 21), opened(2, "A", 62), opened(3, "B", 21)]);
        assert_eq!(
            judged.iter().map(|one| one.is_confirmed).collect::<Vec<_>>(),
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!(judged[0].lead_d, Some(10.0));
        assert_eq!((sought.len(), sought[0].opened_ms), (1, Some(21 * DAY_MS)));
    }

    #[test]
    fn without_labels_nothing_is_right_or_wrong_and_a_bad_line_is_told() {
        let (judged, sought) = labels(None, None).unwrap().judge(&[opened(1, "A", 1)]);
        assert_eq!((judged[0].is_confirmed, sought.len()), (None, 0));
        let told = labels(Some(&format!("{TRUTH}\nx\n")), None).unwrap_err().text();
        assert!(told.contains("t:2 is no true fault"), "{told}");
    }
}
