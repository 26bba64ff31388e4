//! Carries a whole shipment to the server: every table's rows, dead letters for those that it refuses, and, where an
//! attempt's outcome was unknown, a look at what the server has. Must not know sealed files. Called by the shipper.
use super::cohorts;
use super::deliver::{Delivery, InsertEnd};
use super::doubt::Doubt;
use super::error::ShipError;
use super::load::Loaded;
use super::options::Go;
use super::recount::recount;
use crate::columns::Dialect;
use crate::dead_letter::DeadLetter;
use crate::parquet::{StoredRecord, to_json};
use crate::schema::Target;
use zenei_wire::{Reason, Refusal};

/// The outcome of a shipment's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) taken: u64,
    pub(super) refused: u64,
}

/// Carries everything; `None` if it was stopped. What is in doubt is looked at before the shipment is told to the
/// feed's readers.
pub(super) fn all(
    delivery: &mut Delivery<'_>,
    loaded: &Loaded,
    doubt: &mut Doubt,
) -> Result<Option<Counted>, ShipError> {
    let mut counted = Counted::default();
    let mut letters = Vec::new();
    for part in &loaded.parts {
        let failed = delivery.failed;
        let Some(refused) = delivery.part(part)? else { return Ok(None) };
        if doubt.looks() && (doubt.is_first() || delivery.failed > failed) {
            let Go::On = recount(delivery, part, &refused, doubt)? else { return Ok(None) };
        }
        if matches!(part.target, Target::Record | Target::Operation) {
            counted.refused += refused.len() as u64;
            counted.taken += (part.rows.num_rows() - refused.len()) as u64;
        }
        for (row, why) in refused {
            let stored = loaded.stored(part, row)?;
            letters.extend(stored.map(|stored| letter(&stored, part.target, &why)));
        }
    }
    if !letters.is_empty() {
        let rows = crate::columns::of_dead_letters(&letters, delivery.gateway_id, Dialect::ClickHouse)?;
        let token = format!("{}:refused", delivery.token(Target::DeadLetter));
        match delivery.insert(Target::DeadLetter, delivery.own_shard(), &rows, &token, true)? {
            InsertEnd::Taken | InsertEnd::Refused(_) => {}
            InsertEnd::Stopped => return Ok(None),
        }
    }
    if doubt.looks() {
        if doubt.is_first() || delivery.failed > 0 {
            doubt.add(cohorts::hours_of(loaded));
        }
        let Go::On = cohorts::mend(delivery, doubt) else { return Ok(None) };
    }
    Ok(Some(counted))
}

/// The dead letter of a refused row: its whole record, as it is listed.
fn letter(stored: &StoredRecord, target: Target, why: &str) -> DeadLetter {
    let kind = stored.record.body.kind().as_str();
    let topic = format!("bitlock/v1/{}/{}/{kind}", stored.site.as_str(), stored.device_id.as_str());
    let bytes = serde_json::Value::Object(to_json(stored)).to_string();
    let refusal = Refusal::new(Reason::RefusedByStore, format!("{}: {why}", target.as_str()));
    DeadLetter::new(refusal, &topic, bytes.as_bytes(), stored.heard_at, stored.offset, stored.index)
}
