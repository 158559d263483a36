//! What is in a document, as Python values; [`crate::input`] is the way in.

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue, ScalarValueRef, TextEncoding, Value, ValueRef};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyString};
use std::ops::Range;

use crate::convert::breathe;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::spans::{self, Marks, Piece};
use crate::version::At;

pub const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

/// How deep a document nests: this many maps, lists and texts, one in the other, below the root.
pub const MAX_DEPTH: usize = 200;

/// The Python classes and functions that the binding builds values with.
pub struct Types {
    pub text: Py<PyAny>,
    pub counter: Py<PyAny>,
    pub unknown: Py<PyAny>,
    pub datetime: Py<PyAny>,
    pub to_ms: Py<PyAny>,
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

pub fn types(py: Python<'_>) -> PyResult<&'static Types> {
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
    breathe(py)?;
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
        breathe(py)?;
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
