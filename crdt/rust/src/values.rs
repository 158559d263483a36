//! Python values in, Python values out.

use automerge::hydrate;
use automerge::{ObjId, ObjType, ReadDoc, ScalarValue, ScalarValueRef, TextEncoding, Value, ValueRef};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyMemoryView, PySequence,
    PyString, PyTuple,
};
use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::spans::{self, Marks, NewPiece, Piece};
use crate::version::At;

pub const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

/// How deep a document nests: this many maps, lists and texts, one in the other, below the root.
pub const MAX_DEPTH: usize = 200;

/// The Python classes and functions that the binding builds values with.
struct Types {
    text: Py<PyAny>,
    counter: Py<PyAny>,
    unknown: Py<PyAny>,
    datetime: Py<PyAny>,
    to_ms: Py<PyAny>,
    from_ms: Py<PyAny>,
    span: Py<PyAny>,
    block: Py<PyAny>,
    rich: Py<PyAny>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

/// Make the pure-Python classes known: called once by `lichen_crdt`.
#[pyfunction]
#[pyo3(signature = (*, text, counter, unknown, datetime, to_ms, from_ms, span, block, rich))]
#[allow(clippy::too_many_arguments)]
pub fn register(
    py: Python<'_>,
    text: Py<PyAny>,
    counter: Py<PyAny>,
    unknown: Py<PyAny>,
    datetime: Py<PyAny>,
    to_ms: Py<PyAny>,
    from_ms: Py<PyAny>,
    span: Py<PyAny>,
    block: Py<PyAny>,
    rich: Py<PyAny>,
) {
    let types = Types { text, counter, unknown, datetime, to_ms, from_ms, span, block, rich };
    let _ = TYPES.set(py, types);
}

fn types(py: Python<'_>) -> PyResult<&'static Types> {
    // The static lives as long as the process.
    TYPES.get(py).ok_or_else(|| PyTypeError::new_err("import lichen_crdt, not its native module"))
}

/// The identity of one object (map, list or text) in a document.
#[pyclass(frozen, module = "lichen_crdt._native")]
pub struct Obj {
    pub id: ObjId,
    kind: ObjType,
}

impl Obj {
    pub fn new(id: ObjId, kind: ObjType) -> Self {
        Obj { id, kind }
    }
}

#[pymethods]
impl Obj {
    /// "map", "list" or "text".
    #[getter]
    pub fn kind(&self) -> &'static str {
        kind_name(self.kind)
    }

    fn __eq__(&self, other: &Obj) -> bool {
        self.id == other.id
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.id.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("<{} {}>", kind_name(self.kind), self.id)
    }
}

pub fn kind_name(kind: ObjType) -> &'static str {
    match kind {
        ObjType::Map | ObjType::Table => "map",
        ObjType::List => "list",
        ObjType::Text => "text",
    }
}

/// A value on its way into a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Scalar(ScalarValue),
    Text(String),
    Map(Vec<(String, Input)>),
    List(Vec<Input>),
}

impl Input {
    /// How many operations writing this value takes.
    pub fn operations(&self) -> u64 {
        match self {
            Input::Scalar(_) => 1,
            Input::Text(text) => 1 + text.chars().count() as u64,
            Input::Map(items) => 1 + items.iter().map(|(_, v)| v.operations()).sum::<u64>(),
            Input::List(items) => 1 + items.iter().map(Input::operations).sum::<u64>(),
        }
    }

    /// How many objects lie in one another in it.
    pub fn depth(&self) -> usize {
        match self {
            Input::Scalar(_) => 0,
            Input::Text(_) => 1,
            Input::Map(items) => depth(items),
            Input::List(items) => 1 + items.iter().map(Input::depth).max().unwrap_or(0),
        }
    }

    pub fn kind(&self) -> ObjType {
        match self {
            Input::Map(_) | Input::Scalar(_) => ObjType::Map,
            Input::List(_) => ObjType::List,
            Input::Text(_) => ObjType::Text,
        }
    }

    pub fn into_hydrate(self) -> hydrate::Value {
        match self {
            Input::Scalar(scalar) => hydrate::Value::Scalar(scalar),
            Input::Text(text) => hydrate::Value::text(ENCODING, &text),
            Input::Map(items) => {
                let map: HashMap<String, hydrate::Value> =
                    items.into_iter().map(|(k, v)| (k, v.into_hydrate())).collect();
                hydrate::Value::Map(map.into())
            }
            Input::List(items) => {
                let list: Vec<_> = items.into_iter().map(Input::into_hydrate).collect();
                list.into()
            }
        }
    }
}

/// How many objects lie in one another in a map with this content.
pub fn depth(items: &[(String, Input)]) -> usize {
    1 + items.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
}

/// Read a Python value; a type that a document cannot hold is a `TypeError`.
pub fn read(value: &Bound<'_, PyAny>) -> PyResult<Input> {
    read_at(value, 0)
}

fn read_at(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Input> {
    if depth > MAX_DEPTH {
        return Err(PyValueError::new_err("the value is nested too deeply, or contains itself"));
    }
    if let Some(scalar) = read_scalar(value)? {
        return Ok(Input::Scalar(scalar));
    }
    let py = value.py();
    let types = types(py)?;
    if value.is_instance(types.text.bind(py))? {
        return Ok(Input::Text(value.str()?.to_str()?.to_owned()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return read_items(list.iter(), depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return read_items(tuple.iter(), depth);
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        return read_mapping(mapping, depth);
    }
    if value.cast::<PySequence>().is_ok() {
        return read_items(value.try_iter()?.collect::<PyResult<Vec<_>>>()?.into_iter(), depth);
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a document cannot hold a value of type {name}")))
}

/// Read the content of a map.
pub fn read_map(value: &Bound<'_, PyMapping>) -> PyResult<Vec<(String, Input)>> {
    match read_mapping(value, 0)? {
        Input::Map(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// Read the parts of a rich text: (text, marks) for a run, (None, content) for a block.
pub fn read_pieces(pieces: Vec<(Option<String>, Bound<'_, PyMapping>)>) -> PyResult<Vec<NewPiece>> {
    let read = |(text, rest): (Option<String>, Bound<'_, PyMapping>)| match text {
        None => Ok(Piece::Block(read_map(&rest)?)),
        Some(text) => {
            let scalar = |(name, value)| Ok((name, as_mark(value)?));
            let mut marks: Marks = read_map(&rest)?.into_iter().map(scalar).collect::<PyResult<_>>()?;
            marks.retain(|_, value| *value != ScalarValue::Null);
            Ok(Piece::Text(text, marks))
        }
    };
    pieces.into_iter().map(read).collect()
}

/// Read the value of a mark.
pub fn read_mark(value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    as_mark(read(value)?)
}

fn as_mark(value: Input) -> PyResult<ScalarValue> {
    match value {
        Input::Scalar(scalar) if !matches!(scalar, ScalarValue::Counter(_)) => Ok(scalar),
        _ => Err(PyTypeError::new_err("the value of a mark is a scalar, and no counter")),
    }
}

fn read_items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<Input> {
    let items: PyResult<Vec<_>> = items.map(|item| read_at(&item, depth + 1)).collect();
    Ok(Input::List(items?))
}

fn read_mapping(mapping: &Bound<'_, PyMapping>, depth: usize) -> PyResult<Input> {
    let pairs = mapping.items()?;
    let mut items = Vec::with_capacity(pairs.len());
    for pair in pairs.iter() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let Ok(key) = key.cast::<PyString>() else {
            return Err(PyTypeError::new_err("the keys of a map are strings"));
        };
        items.push((key.to_str()?.to_owned(), read_at(&value, depth + 1)?));
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Input::Map(items))
}

/// Read a scalar, or None if the value is not one.
pub fn read_scalar(value: &Bound<'_, PyAny>) -> PyResult<Option<ScalarValue>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Some(ScalarValue::Str(text.to_str()?.into())));
    }
    if value.is_none() {
        return Ok(Some(ScalarValue::Null));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Some(ScalarValue::Boolean(flag.is_true())));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return read_int(number).map(Some);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(ScalarValue::F64(number.extract()?)));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(ScalarValue::Bytes(bytes.as_bytes().to_vec())));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Some(ScalarValue::Bytes(bytes.to_vec())));
    }
    if value.cast::<PyMemoryView>().is_ok() {
        return Ok(Some(ScalarValue::Bytes(value.call_method0("tobytes")?.extract()?)));
    }
    read_registered(value)
}

fn read_int(number: &Bound<'_, PyInt>) -> PyResult<ScalarValue> {
    if let Ok(n) = number.extract::<i64>() {
        return Ok(ScalarValue::Int(n));
    }
    match number.extract::<u64>() {
        Ok(n) => Ok(ScalarValue::Uint(n)),
        Err(_) => Err(PyOverflowError::new_err("an integer must fit 64 bits")),
    }
}

fn read_registered(value: &Bound<'_, PyAny>) -> PyResult<Option<ScalarValue>> {
    let py = value.py();
    let types = types(py)?;
    if value.is_instance(types.counter.bind(py))? {
        let n: i64 = value.getattr("value")?.extract()?;
        return Ok(Some(ScalarValue::counter(n)));
    }
    if value.is_instance(types.datetime.bind(py))? {
        let ms: i64 = types.to_ms.bind(py).call1((value,))?.extract()?;
        return Ok(Some(ScalarValue::Timestamp(ms)));
    }
    if value.is_instance(types.unknown.bind(py))? {
        let type_code: u8 = value.getattr("type_code")?.extract()?;
        let bytes: Vec<u8> = value.getattr("data")?.extract()?;
        return Ok(Some(ScalarValue::Unknown { type_code, bytes }));
    }
    Ok(None)
}

/// A value on its way out of a document, with no borrow of it.
#[derive(Debug)]
pub enum Output {
    Scalar(ScalarValue),
    /// An object by its identity, to be wrapped in a view.
    Object(ObjId, ObjType),
    Text(String),
    /// A text with its marks and blocks.
    Rich(Vec<Piece<Output>>),
    Map(Vec<(String, Output)>),
    List(Vec<Output>),
}

impl Output {
    /// A view of an object, or a scalar; counters keep their type.
    pub fn view(value: Value<'_>, id: ObjId) -> Output {
        match value {
            Value::Object(kind) => Output::Object(id, kind),
            Value::Scalar(scalar) => Output::Scalar(scalar.into_owned()),
        }
    }

    /// A new, empty object or a scalar, as a patch shows it.
    pub fn fresh(value: Value<'_>) -> Output {
        match value {
            Value::Object(ObjType::List) => Output::List(Vec::new()),
            Value::Object(ObjType::Text) => Output::Text(String::new()),
            Value::Object(_) => Output::Map(Vec::new()),
            Value::Scalar(scalar) => Output::Scalar(scalar.into_owned()),
        }
    }

    /// Whether this is what plain data shows of a value.
    pub fn shows(&self, value: &Input) -> bool {
        match (self, value) {
            (Output::Scalar(ScalarValue::Counter(a)), Input::Scalar(ScalarValue::Int(b))) => {
                i64::from(a) == *b
            }
            (Output::Scalar(a), Input::Scalar(b)) => a == b,
            (Output::Text(a), Input::Scalar(ScalarValue::Str(b))) => a == b,
            (Output::Text(a), Input::Text(b)) => a == b,
            (Output::List(a), Input::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.shows(b))
            }
            (_, Input::Map(b)) => self.shows_map(b),
            _ => false,
        }
    }

    /// Whether this is what plain data shows of a map, whose keys are sorted as those here are.
    pub fn shows_map(&self, items: &[(String, Input)]) -> bool {
        let Output::Map(own) = self else {
            return false;
        };
        own.len() == items.len() && own.iter().zip(items).all(|(a, b)| a.0 == b.0 && a.1.shows(&b.1))
    }

    pub fn from_ref(value: ValueRef<'_>, id: impl FnOnce() -> ObjId) -> Output {
        match value {
            ValueRef::Object(kind) => Output::Object(id(), kind),
            ValueRef::Scalar(scalar) => Output::Scalar(owned(scalar)),
        }
    }
}

fn owned(scalar: ScalarValueRef<'_>) -> ScalarValue {
    scalar.into()
}

/// Which form the texts of plain data have.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// Characters alone.
    Plain,
    /// Runs with their marks, and blocks.
    Rich,
}

/// The whole of an object as plain data.
pub fn plain<D: ReadDoc>(doc: &D, id: &ObjId, at: &At, form: Form) -> Result<Output> {
    Below { doc, at, form }.read(id, doc.object_type(id)?, 0)
}

/// The parts of a text, its blocks with their content.
pub fn rich<D: ReadDoc>(doc: &D, id: &ObjId, at: &At) -> Result<Vec<Piece<Output>>> {
    Below { doc, at, form: Form::Plain }.rich(id, 0)
}

struct Below<'a, D> {
    doc: &'a D,
    at: &'a At,
    form: Form,
}

impl<D: ReadDoc> Below<'_, D> {
    fn read(&self, id: &ObjId, kind: ObjType, depth: usize) -> Result<Output> {
        if depth > MAX_DEPTH {
            return Err(Error::Crdt(format!("the document nests deeper than {MAX_DEPTH} levels")));
        }
        let inner = |value: Output| match value {
            Output::Object(id, kind) => self.read(&id, kind, depth + 1),
            other => Ok(other),
        };
        match kind {
            ObjType::Text if self.form == Form::Rich => Ok(Output::Rich(self.rich(id, depth)?)),
            ObjType::Text => Ok(Output::Text(self.at.text(self.doc, id)?)),
            ObjType::List => self
                .at
                .items(self.doc, id)
                .map(|item| inner(Output::from_ref(item.value.clone(), || item.id())))
                .collect::<Result<_>>()
                .map(Output::List),
            ObjType::Map | ObjType::Table => self
                .at
                .entries(self.doc, id)
                .map(|item| {
                    let value = inner(Output::from_ref(item.value.clone(), || item.id()))?;
                    Ok((item.key.into_owned(), value))
                })
                .collect::<Result<_>>()
                .map(Output::Map),
        }
    }

    fn rich(&self, id: &ObjId, depth: usize) -> Result<Vec<Piece<Output>>> {
        let content = |piece| match piece {
            Piece::Text(text, marks) => Ok(Piece::Text(text, marks)),
            Piece::Block(block) => Ok(Piece::Block(self.read(&block, ObjType::Map, depth + 1)?)),
        };
        spans::read(self.doc, id, self.at)?.into_iter().map(content).collect()
    }
}

/// The items of a list in a range, objects as their identities.
pub fn items<D: ReadDoc>(doc: &D, id: &ObjId, range: Range<usize>, at: &At) -> Result<Vec<Output>> {
    match doc.object_type(id)? {
        ObjType::List => {
            let items = at.items_in(doc, id, range);
            Ok(items.map(|item| Output::from_ref(item.value.clone(), || item.id())).collect())
        }
        _ => Err(Error::Type("not a list".into())),
    }
}

/// How counters and texts are shown.
#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    /// A counter is an int, a text is a str.
    Plain,
    /// A counter is a `Counter`, a text is a `Text`.
    Typed,
}

pub fn to_py<'py>(py: Python<'py>, value: Output, style: Style) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Output::Scalar(scalar) => scalar_to_py(py, &scalar, style),
        Output::Object(id, kind) => Ok(Bound::new(py, Obj::new(id, kind))?.into_any()),
        Output::Text(text) if style == Style::Typed => types(py)?.text.bind(py).call1((text,)),
        Output::Text(text) => Ok(PyString::new(py, &text).into_any()),
        Output::Rich(pieces) => rich_to_py(py, pieces, style),
        Output::List(items) => {
            let items: PyResult<Vec<_>> = items.into_iter().map(|item| to_py(py, item, style)).collect();
            Ok(PyList::new(py, items?)?.into_any())
        }
        Output::Map(items) => {
            let dict = PyDict::new(py);
            for (key, item) in items {
                dict.set_item(key, to_py(py, item, style)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

fn rich_to_py(py: Python<'_>, pieces: Vec<Piece<Output>>, style: Style) -> PyResult<Bound<'_, PyAny>> {
    let types = types(py)?;
    let list = PyList::empty(py);
    for piece in pieces {
        list.append(match piece {
            Piece::Text(text, marks) => types.span.bind(py).call1((text, marks_to_py(py, &marks)?))?,
            Piece::Block(content) => types.block.bind(py).call1((to_py(py, content, style)?,))?,
        })?;
    }
    types.rich.bind(py).call1((list,))
}

/// Marks by their names.
pub fn marks_to_py<'py>(py: Python<'py>, marks: &Marks) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in marks {
        dict.set_item(name, scalar_to_py(py, value, Style::Plain)?)?;
    }
    Ok(dict)
}

pub fn scalar_to_py<'py>(py: Python<'py>, scalar: &ScalarValue, style: Style) -> PyResult<Bound<'py, PyAny>> {
    Ok(match scalar {
        ScalarValue::Null => py.None().into_bound(py),
        ScalarValue::Boolean(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        ScalarValue::Int(n) => n.into_pyobject(py)?.into_any(),
        ScalarValue::Uint(n) => n.into_pyobject(py)?.into_any(),
        ScalarValue::F64(n) => n.into_pyobject(py)?.into_any(),
        ScalarValue::Str(text) => PyString::new(py, text).into_any(),
        ScalarValue::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        ScalarValue::Counter(counter) => counter_to_py(py, i64::from(counter), style)?,
        ScalarValue::Timestamp(ms) => types(py)?.from_ms.bind(py).call1((*ms,))?,
        ScalarValue::Unknown { type_code, bytes } => {
            let bytes = PyBytes::new(py, bytes);
            types(py)?.unknown.bind(py).call1((*type_code, bytes))?
        }
    })
}

fn counter_to_py(py: Python<'_>, n: i64, style: Style) -> PyResult<Bound<'_, PyAny>> {
    match style {
        Style::Plain => Ok(n.into_pyobject(py)?.into_any()),
        Style::Typed => types(py)?.counter.bind(py).call1((n,)),
    }
}
