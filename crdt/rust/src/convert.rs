//! Small things between Python and the crate: places, hashes, actors, bytes of changes.

use std::cell::Cell;

use automerge::{ActorId, Automerge, ChangeHash, Prop, ReadDoc};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::document::Done;
use crate::error::{Error, Result};

/// So many values are made or read while no other thread of Python computes: some tenths of a millisecond.
const BREATH: u32 = 256;

thread_local! {
    static HANDLED: Cell<u32> = const { Cell::new(0) };
}

/// Let other threads of Python compute now and then. To be called for each of very many values, with nothing claimed.
pub fn breathe(py: Python<'_>) {
    let handled = HANDLED.get() + 1;
    HANDLED.set(handled % BREATH);
    if handled == BREATH {
        py.detach(|| {});
    }
}

/// A key of a map or an index of a list or text.
pub struct Place(pub Prop);

impl<'py> FromPyObject<'_, 'py> for Place {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(Place(Prop::Map(value.extract::<String>()?)));
        }
        Ok(Place(Prop::Seq(value.extract::<usize>()?)))
    }
}

pub type PyDone = Vec<(Py<PyBytes>, Py<PyBytes>)>;

pub fn done_to_py(py: Python<'_>, done: Vec<Done>) -> PyDone {
    let bytes = |b: &[u8]| PyBytes::new(py, b).unbind();
    done.iter().map(|(hash, change)| (bytes(hash), bytes(change))).collect()
}

pub fn heads_to_py(py: Python<'_>, heads: Vec<ChangeHash>) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, heads.iter().map(|h| PyBytes::new(py, &h.0)))
}

pub fn read_heads(heads: Vec<Vec<u8>>) -> PyResult<Vec<ChangeHash>> {
    let read = |h: Vec<u8>| {
        ChangeHash::try_from(&h[..]).map_err(|_| Error::Value("a hash has 32 bytes".into()).into())
    };
    heads.into_iter().map(read).collect()
}

pub fn read_actor(actor: Option<Vec<u8>>) -> ActorId {
    actor.map_or_else(ActorId::random, ActorId::from)
}

pub fn known(doc: &Automerge, heads: &[ChangeHash]) -> Result<()> {
    let missing = doc.get_missing_deps(heads);
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::MissingDependencies(missing.iter().map(|h| h.0).collect())),
    }
}
