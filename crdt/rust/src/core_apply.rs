//! How the Python class applies changes.

use std::sync::PoisonError;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::apply::{self, Begun, Report};
use crate::applying::{drop_elsewhere, Applying};
use crate::chunk::MAX_OPERATIONS;
use crate::core::Core;
use crate::error::{guard, Result};
use crate::incoming;
use crate::job::Job;
use crate::patches;

impl Core {
    /// Apply changes, or begin to.
    pub fn begin_apply(&self, py: Python<'_>, changes: Vec<Vec<u8>>, how: apply::How) -> PyResult<Begun> {
        if changes.len() > apply::HELD_CHANGES {
            return Ok(Begun::Behind(Box::new(Job::of_bytes(changes, how))));
        }
        let changes = py.detach(|| incoming::read(changes, MAX_OPERATIONS))?;
        self.heavy(py, |d| apply::begin(d, changes, how))
    }

    fn complete(&self, mut job: Box<Job>) -> Result<Report> {
        let _turn = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let done = loop {
            match self.round(&mut job).and_then(|()| self.finish(&mut job)) {
                Ok(Some(report)) => break Ok(report),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        match done.is_ok() {
            true => drop_elsewhere(job),
            false => self.give_up(job),
        }
        done
    }

    /// Let a job work without holding the document.
    pub fn round(&self, job: &mut Job) -> Result<()> {
        self.hold(|d| job.look(d))?;
        guard(|| job.run())
    }

    /// Let a job put what it made in the document's place, if it can.
    pub fn finish(&self, job: &mut Job) -> Result<Option<Report>> {
        self.hold(|d| job.finish(d))
    }

    /// Let go of a job that failed, and keep its spare, if nobody holds the document just now.
    pub fn give_up(&self, mut job: Box<Job>) {
        self.if_free(|document| job.give_back(document));
        drop_elsewhere(job);
    }
}

#[pymethods]
impl Core {
    /// Apply changes in any order: their patches, and how many went by replay.
    #[pyo3(signature = (changes, strict, replay))]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        changes: Vec<Bound<'py, PyBytes>>,
        strict: bool,
        replay: bool,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let changes = to_bytes(changes);
        let report = match self.begin_apply(py, changes, apply::How { strict, replay })? {
            Begun::Done(report) => report,
            Begun::Behind(job) => py.detach(|| self.complete(job))?,
        };
        patches::to_py(py, report.seen)
    }

    /// The same in steps.
    #[pyo3(signature = (changes, strict, replay))]
    fn applying(
        slf: &Bound<'_, Self>,
        changes: Vec<Bound<'_, PyBytes>>,
        strict: bool,
        replay: bool,
    ) -> Applying {
        Applying::new(slf.clone().unbind(), to_bytes(changes), apply::How { strict, replay })
    }
}

fn to_bytes(changes: Vec<Bound<'_, PyBytes>>) -> Vec<Vec<u8>> {
    changes.iter().map(|change| change.as_bytes().to_vec()).collect()
}
