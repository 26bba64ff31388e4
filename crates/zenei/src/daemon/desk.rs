//! The desk behind the gateway, and the maker of the pipeline in front of it: connects the gateway and the desk, which
//! must not know each other. Called by `demo`, by `daemon::start` (for `run` and `forget`), by `daemon::tailing` (for
//! `run`) and by `forget`, which makes pipelines to rewrite snapshots.
use std::path::Path;
use std::sync::Arc;
use zenei_desk::{DeskDriver, Incidents, Route, SharedDesk};
use zenei_detect::{Desk, DeskError, Findings, Pipeline, Rules};
use zenei_incident::Policy;
use zenei_incident::places::Places;
use zenei_store::layout::Layout;
use zenei_store::{Control, PipelineMaker};
use zenei_wire::EngineTime;

/// The desk of this process, if it has one.
pub(crate) enum DeskHere {
    /// Findings become incidents.
    On(SharedDesk),
    /// This gateway only stores records; its pipeline has no rules, and finds nothing.
    Off,
}

impl DeskHere {
    /// The desk of a state directory, with the incidents of its log, that tells these targets.
    ///
    /// # Errors
    /// Where the control database can't be opened or its log can't be read.
    pub(crate) fn open(
        state_dir: &Path,
        enabled: bool,
        routes: Vec<Route>,
        policy: Arc<Policy>,
        places: Places,
    ) -> Result<Self, DeskError> {
        if !enabled {
            return Ok(Self::Off);
        }
        let control = Control::open(&Layout::new(state_dir).control())?;
        Ok(Self::On(SharedDesk::new(DeskDriver::open_with(control, routes, policy)?.with_places(places))))
    }

    /// The incidents, for readers; always empty where the desk is off.
    pub(crate) fn incidents(&self) -> Incidents {
        self.shared().map_or_else(Incidents::default, |desk| desk.incidents())
    }

    /// The handle that others write through; `None` where the desk is off.
    pub(crate) fn shared(&self) -> Option<SharedDesk> {
        match self {
            Self::On(desk) => Some(desk.clone()),
            Self::Off => None,
        }
    }
}

impl Desk for DeskHere {
    fn take(&mut self, now: EngineTime, findings: &Findings, pipeline: &Pipeline) -> Result<(), DeskError> {
        match self {
            Self::On(desk) => {
                desk.take(now, findings)?;
                desk.pass(now, |lock| pipeline.heard(lock))?;
                Ok(())
            }
            Self::Off => Ok(()),
        }
    }
}

/// Makes intake and engine with these rules; without rules, intake alone.
pub(crate) fn pipeline_maker(rules: Option<Rules>) -> PipelineMaker {
    Box::new(move |snapshot| match snapshot {
        Some(bytes) => Pipeline::restore(bytes, rules.clone()),
        None => Ok(Pipeline::new(rules.clone())),
    })
}
