//! The Python class over a shared document.

use std::sync::Mutex;
use std::time::Duration;

use automerge::{ActorId, Automerge, Change, ObjId, ObjType, Prop, ReadDoc};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::blame;
use crate::convert::{breathe, done_to_py, heads_to_py, known, read_actor, read_heads, Place, PyDone};
use crate::cut::Fork;
use crate::document::{reading, Document, State};
use crate::error::{guard, Error, Result};
use crate::load::load;
use crate::patches;
use crate::save::Limits;
use crate::shared::{Claim, Shared};
use crate::values::{self, Form, Obj, Output, Style, ENCODING};
use crate::version::{self, At};
use crate::versions;

/// So many operations are written with the GIL released: about a millisecond's work.
const MANY: u64 = 1024;

/// A document, usable from several threads.
#[pyclass(frozen, module = "lichen_crdt._native")]
pub struct Core {
    shared: Shared<Document>,
    /// One job at a time: two would overtake each other.
    pub jobs: Mutex<()>,
}

impl Core {
    fn of(doc: Automerge, has_marks: bool) -> Self {
        Core { shared: Shared::new(Document::new(doc, has_marks)), jobs: Mutex::new(()) }
    }

    /// A short call, with the GIL held.
    pub fn quick<T>(&self, py: Python<'_>, f: impl FnOnce(&mut Document) -> Result<T>) -> PyResult<T> {
        let mut claim = self.shared.claim(py)?;
        let document = claim.value();
        Ok(guard(|| f(document))?)
    }

    /// A call that may take long, with the GIL released.
    pub fn heavy<T: Send>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut Document) -> Result<T> + Send,
    ) -> PyResult<T> {
        let mut claim = self.shared.claim(py)?;
        let document = claim.value();
        Ok(py.detach(|| guard(|| f(document)))?)
    }

    /// A call that writes inside a transaction: a panic damages the document. With the GIL released if it writes many
    /// operations, or if nobody can tell how many; else giving it up may take longer than the call.
    pub fn write<T: Send>(
        &self,
        py: Python<'_>,
        operations: Option<u64>,
        f: impl FnOnce(&mut Document) -> Result<T> + Send,
    ) -> PyResult<T> {
        Core::write_in(py, self.shared.claim(py)?, operations, f)
    }

    /// A call that ends the transaction, on whichever thread it was opened.
    fn end<T: Send>(&self, py: Python<'_>, f: impl FnOnce(&mut Document) -> Result<T> + Send) -> PyResult<T> {
        let mut claim = self.shared.claim_to_end(py)?;
        let operations = claim.value().pending();
        Core::write_in(py, claim, Some(operations), f)
    }

    fn write_in<T: Send>(
        py: Python<'_>,
        mut claim: Claim<'_, Document>,
        operations: Option<u64>,
        f: impl FnOnce(&mut Document) -> Result<T> + Send,
    ) -> PyResult<T> {
        let document = claim.value();
        let result = match operations {
            Some(0..MANY) => write_guarded(document, f),
            _ => py.detach(|| write_guarded(document, f)),
        };
        let open = matches!(claim.value().state, State::Open(_));
        claim.set_transaction(open);
        Ok(result?)
    }

    /// A call that is left out where another thread holds the document.
    pub fn if_free(&self, f: impl FnOnce(&mut Document)) {
        if let Some(mut claim) = self.shared.try_claim() {
            f(claim.value());
        }
    }

    /// A call that holds the document, without the GIL.
    pub fn hold<T>(&self, f: impl FnOnce(&mut Document) -> Result<T>) -> Result<T> {
        let mut claim = self.shared.wait(false)?;
        let document = claim.value();
        guard(|| f(document))
    }
}

fn write_guarded<T>(document: &mut Document, f: impl FnOnce(&mut Document) -> Result<T>) -> Result<T> {
    let mut finished = false;
    let result = guard(|| {
        let result = f(document);
        finished = true;
        result
    });
    if !finished {
        document.state = State::Damaged;
    }
    result
}

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (actor=None))]
    fn new(actor: Option<Vec<u8>>) -> Self {
        Core::of(Automerge::new_with_encoding(ENCODING).with_actor(read_actor(actor)), false)
    }

    #[staticmethod]
    #[pyo3(signature = (data, actor, max_bytes, max_operations, partial))]
    fn load(
        py: Python<'_>,
        data: &[u8],
        actor: Option<Vec<u8>>,
        max_bytes: u64,
        max_operations: u64,
        partial: bool,
    ) -> PyResult<Self> {
        let limits = Limits { bytes: max_bytes, operations: max_operations };
        let (doc, has_marks) = py.detach(|| load(data, limits, partial))?;
        Ok(Core::of(doc.with_actor(read_actor(actor)), has_marks))
    }

    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let saved = self.heavy(py, |d| Ok(d.idle()?.save()))?;
        Ok(PyBytes::new(py, &saved))
    }

    fn save_after<'py>(&self, py: Python<'py>, heads: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyBytes>> {
        let heads = read_heads(heads)?;
        let saved = self.heavy(py, |d| {
            let doc = d.idle()?;
            known(doc, &heads)?;
            Ok(doc.save_after(&heads))
        })?;
        Ok(PyBytes::new(py, &saved))
    }

    fn heads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let heads = self.quick(py, |d| match &d.state {
            State::Idle(doc) => Ok(doc.get_heads()),
            State::Open(writing) => Ok(writing.open.tx().get_heads()),
            State::Damaged => Err(crate::document::damaged()),
        })?;
        heads_to_py(py, heads)
    }

    fn actor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let actor = self.quick(py, |d| Ok(d.actor()?.to_bytes().to_vec()))?;
        Ok(PyBytes::new(py, &actor))
    }

    fn set_actor(&self, py: Python<'_>, actor: Vec<u8>) -> PyResult<()> {
        self.quick(py, |d| {
            d.idle()?.set_actor(ActorId::from(actor));
            Ok(())
        })
    }

    fn is_open(&self, py: Python<'_>) -> PyResult<bool> {
        self.quick(py, |d| Ok(matches!(d.state, State::Open(_))))
    }

    #[pyo3(signature = (message, time, patches))]
    fn begin(&self, py: Python<'_>, message: Option<String>, time: i64, patches: bool) -> PyResult<()> {
        self.write(py, Some(0), |d| d.begin(message, time, patches))
    }

    /// End the transaction: its changes as (hash, bytes), and its patches.
    #[pyo3(signature = (most=None))]
    fn commit<'py>(
        &self,
        py: Python<'py>,
        most: Option<usize>,
    ) -> PyResult<(PyDone, Vec<Bound<'py, PyTuple>>)> {
        let (done, seen) = self.end(py, |d| d.commit(most))?;
        Ok((done_to_py(py, done), patches::to_py(py, seen)?))
    }

    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, Document::rollback)
    }

    #[pyo3(signature = (obj, place, at=At::default()))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        place: Place,
        at: At,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.quick(py, |d| {
            reading!(d, doc => {
                let found = at.get(doc, &obj.id, place.0)?;
                Ok(found.map(|(value, id)| Output::view(value, id)))
            })
        })?;
        found.map(|value| values::to_py(py, value, Style::Typed)).transpose()
    }

    /// Every value that concurrent writers left at a place, each with the actor that wrote it.
    #[pyo3(signature = (obj, place, at=At::default()))]
    fn get_all<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        place: Place,
        at: At,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyBytes>)>> {
        let found = self.quick(py, |d| {
            reading!(d, doc => {
                let found = at.get_all(doc, &obj.id, place.0)?;
                Ok(found.into_iter().map(|(v, id)| (Output::view(v, id.clone()), id)).collect::<Vec<_>>())
            })
        })?;
        let to_py = |(value, id)| Ok((values::to_py(py, value, Style::Typed)?, version::actor_of(py, &id)));
        found.into_iter().map(to_py).collect()
    }

    #[pyo3(signature = (obj, at=At::default()))]
    fn keys(&self, py: Python<'_>, obj: &Obj, at: At) -> PyResult<Vec<String>> {
        self.quick(py, |d| reading!(d, doc => Ok(at.keys(doc, &obj.id))))
    }

    #[pyo3(signature = (obj, at=At::default()))]
    fn length(&self, py: Python<'_>, obj: &Obj, at: At) -> PyResult<usize> {
        self.quick(py, |d| reading!(d, doc => Ok(at.length(doc, &obj.id))))
    }

    /// The whole content; `rich`: texts with marks and blocks; `typed`: texts and counters keep their types.
    #[pyo3(signature = (obj, at=At::default(), rich=false, typed=false))]
    fn to_py<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        at: At,
        rich: bool,
        typed: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let form = if rich { Form::Rich } else { Form::Plain };
        let style = if typed { Style::Typed } else { Style::Plain };
        let value = self.heavy(py, |d| reading!(d, doc => values::plain(doc, &obj.id, &at, form)))?;
        values::to_py(py, value, style)
    }

    /// The items of a list in a range, objects as their identities.
    #[pyo3(signature = (obj, start, stop, at=At::default()))]
    fn items<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        start: usize,
        stop: usize,
        at: At,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let items = self.heavy(py, |d| reading!(d, doc => values::items(doc, &obj.id, start..stop, &at)))?;
        items.into_iter().map(|item| values::to_py(py, item, Style::Typed)).collect()
    }

    /// Who wrote the items of a text or list: (start, end, actor, change, time, message) for each run.
    #[pyo3(signature = (obj, start, end, at=At::default()))]
    fn blame<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        start: usize,
        end: usize,
        at: At,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let runs = self.heavy(py, |d| blame::blame(d.idle()?, &obj.id, start..end, &at))?;
        runs.into_iter().map(|run| run.into_py(py)).collect()
    }

    /// The patches that make the content at `after` of that at `before`.
    fn diff<'py>(
        &self,
        py: Python<'py>,
        before: Vec<Vec<u8>>,
        after: Vec<Vec<u8>>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (before, after) = (read_heads(before)?, read_heads(after)?);
        let seen = self.heavy(py, |d| {
            let doc = d.idle()?;
            known(doc, &before)?;
            known(doc, &after)?;
            versions::seen(doc, &before, &after)
        })?;
        patches::to_py(py, seen)
    }

    #[pyo3(signature = (obj, at=At::default()))]
    fn path<'py>(&self, py: Python<'py>, obj: &Obj, at: At) -> PyResult<Bound<'py, PyTuple>> {
        let path = self.quick(py, |d| {
            reading!(d, doc => {
                let mut path: Vec<Prop> = at.parents(doc, &obj.id)?.map(|parent| parent.prop).collect();
                path.reverse();
                Ok(path)
            })
        })?;
        patches::path_to_py(py, path)
    }

    /// The changes that are not in the past of `since`, as uncompressed chunks.
    fn changes<'py>(&self, py: Python<'py>, since: Vec<Vec<u8>>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let since = read_heads(since)?;
        let changes = self.heavy(py, |d| {
            let doc = d.idle()?;
            known(doc, &since)?;
            Ok(doc.get_changes(&since))
        })?;
        let to_py = |change: &Change| {
            breathe(py)?;
            Ok(PyBytes::new(py, change.raw_bytes()))
        };
        changes.iter().map(to_py).collect()
    }

    fn change_by_hash<'py>(&self, py: Python<'py>, digest: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let hash = read_heads(vec![digest.to_vec()])?[0];
        let change = self.quick(py, |d| Ok(d.idle()?.get_change_by_hash(&hash)))?;
        Ok(change.map(|c| PyBytes::new(py, c.raw_bytes())))
    }

    #[pyo3(signature = (actor=None, at=At::default()))]
    fn fork(&self, py: Python<'_>, actor: Option<Vec<u8>>, at: At) -> PyResult<Self> {
        let actor = read_actor(actor);
        let (fork, has_marks) = self.heavy(py, |d| {
            let has_marks = d.has_marks;
            let doc = d.idle()?;
            let fork = match at.heads() {
                None => Fork::Done(Box::new(doc.fork())),
                Some(heads) => {
                    known(doc, heads)?;
                    Fork::begin(doc, heads)?
                }
            };
            Ok((fork, has_marks))
        })?;
        let forked = py.detach(|| guard(|| fork.finish()))?;
        Ok(Core::of(forked.with_actor(actor), has_marks))
    }

    /// The hashes that `changes(since)` would start from: is each of these changes here?
    fn missing<'py>(&self, py: Python<'py>, hashes: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyTuple>> {
        let hashes = read_heads(hashes)?;
        let missing = self.quick(py, |d| Ok(d.idle()?.get_missing_deps(&hashes)))?;
        heads_to_py(py, missing)
    }

    /// How many operations and changes the document has, and replays that made another change,
    /// changes that were replayed, and how often the document was built again.
    fn stats(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, usize, u64)> {
        self.quick(py, |d| {
            reading!(d, doc => {
                let stats = doc.stats();
                Ok((stats.num_ops, stats.num_changes, d.trust.mismatches, d.replayed, d.trust.rebuilds))
            })
        })
    }

    /// How long calls wait for another thread.
    fn set_wait(&self, seconds: f64) -> PyResult<()> {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::Value("a wait is a number of seconds, 0 or more".into()))?;
        self.shared.set_wait(wait);
        Ok(())
    }

    #[classattr]
    fn root() -> Obj {
        Obj::new(ObjId::Root, ObjType::Map)
    }
}
