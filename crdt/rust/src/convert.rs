//! Small things between Python and the crate: places, hashes, actors, bytes of changes.

use std::cell::Cell;

use automerge::{ActorId, Automerge, ChangeHash, Prop, ReadDoc};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::document::Done;
use crate::error::{Error, Result};

/// So many values are made or read before another thread of Python may compute: less than a tenth of a millisecond.
const BREATH: u32 = 64;

thread_local! {
    static HANDLED: Cell<u32> = const { Cell::new(0) };
}

static PAUSE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Let other threads of Python compute now and then, if any has waited for long. To be called for each of very many
/// values, with nothing claimed; raises what a handler of a signal raises.
///
/// It is a call of Python, which gives up the GIL as all others do. To release it and take it again would keep those
/// who wait from it: they are woken too late, and begin to wait anew.
pub fn breathe(py: Python<'_>) -> PyResult<()> {
    let handled = HANDLED.get() + 1;
    HANDLED.set(handled % BREATH);
    if handled == BREATH {
        let pause = PAUSE.get_or_try_init(py, || py.eval(c"lambda: None", None, None).map(Bound::unbind))?;
        pause.call0(py)?;
    }
    Ok(())
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
