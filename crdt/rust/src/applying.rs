//! An apply in steps, for programs that show their documents on an event loop.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::apply::{Begun, How, HELD_CHANGES};
use crate::core::Core;
use crate::error::{is_of_transaction, Error, Result};
use crate::job::Job;
use crate::patches;

/// Changes on their way into a document.
#[pyclass(frozen, module = "lichen_crdt._native")]
pub struct Applying {
    core: Py<Core>,
    /// Nothing while a call runs, after it failed, and when the patches have been given away.
    stage: Mutex<Option<Stage>>,
}

enum Stage {
    New(Vec<Vec<u8>>, How),
    Behind(Box<Job>),
}

const TAKEN: &str = "this apply is running, or has ended";

impl Applying {
    pub fn new(core: Py<Core>, changes: Vec<Vec<u8>>, how: How) -> Self {
        Applying { core, stage: Mutex::new(Some(Stage::New(changes, how))) }
    }

    fn take(&self) -> Result<Stage> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.take().ok_or_else(|| Error::Crdt(TAKEN.into()))
    }

    fn put(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
    }

    /// After a step: keep a job that goes on, and end one that does not.
    fn keep<T>(&self, core: &Core, job: Box<Job>, step: Result<Option<T>>) -> Result<Option<T>> {
        match &step {
            Ok(None) | Err(Error::TransactionOpen(_) | Error::Busy(_)) => self.put(Stage::Behind(job)),
            Ok(Some(_)) => drop_elsewhere(job),
            Err(_) => core.give_up(job),
        }
        step
    }
}

#[pymethods]
impl Applying {
    /// Work on a copy, with the GIL released and the document free for others.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.core.get();
        let mut job = match self.take()? {
            Stage::New(changes, how) => Box::new(Job::of_bytes(changes, how)),
            Stage::Behind(job) => job,
        };
        py.detach(|| {
            let ran = core.round(&mut job).map(|()| None::<()>);
            self.keep(core, job, ran)
        })?;
        Ok(())
    }

    /// The patches; None if `run` is due (again).
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyTuple>>>> {
        let core = self.core.get();
        let report = match self.take()? {
            Stage::New(changes, how) if changes.len() > HELD_CHANGES => {
                self.put(Stage::Behind(Box::new(Job::of_bytes(changes, how))));
                None
            }
            Stage::New(changes, how) => match core.begin_apply(py, changes.clone(), how) {
                Ok(Begun::Done(report)) => Some(report),
                Ok(Begun::Behind(job)) => {
                    self.put(Stage::Behind(job));
                    None
                }
                Err(error) => {
                    if is_of_transaction(py, &error) {
                        self.put(Stage::New(changes, how));
                    }
                    return Err(error);
                }
            },
            Stage::Behind(mut job) => py.detach(|| {
                let done = core.finish(&mut job);
                self.keep(core, job, done)
            })?,
        };
        report.map(|report| patches::to_py(py, report.seen)).transpose()
    }
}

/// Dropping a large document takes a while, which nobody has to wait for.
pub fn drop_elsewhere(job: Box<Job>) {
    // Where no thread can be had, the closure is dropped here, and the job with it.
    let _ = std::thread::Builder::new().spawn(move || drop(job));
}
