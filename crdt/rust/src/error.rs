//! Errors, and the guard that turns a panic of the crate into one.

use automerge::AutomergeError;
use pyo3::exceptions::{PyIndexError, PyKeyError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::{PyErr, Python};

mod raised {
    use pyo3::import_exception;
    import_exception!(lichen_crdt.errors, CrdtError);
    import_exception!(lichen_crdt.errors, InvalidChange);
    import_exception!(lichen_crdt.errors, ActorReused);
    import_exception!(lichen_crdt.errors, MissingDependencies);
    import_exception!(lichen_crdt.errors, InvalidDocument);
    import_exception!(lichen_crdt.errors, InvalidCursor);
    import_exception!(lichen_crdt.errors, NoTransaction);
    import_exception!(lichen_crdt.errors, TransactionOpen);
    import_exception!(lichen_crdt.errors, DocumentBusy);
}

/// What can go wrong, one variant for each Python exception.
#[derive(Debug)]
pub enum Error {
    Crdt(String),
    InvalidChange(String),
    ActorReused(String),
    MissingDependencies(Vec<[u8; 32]>),
    InvalidDocument(String),
    InvalidCursor(String),
    NoTransaction,
    TransactionOpen(&'static str),
    Busy(&'static str),
    Index(String),
    Key(String),
    Type(String),
    Overflow(String),
    Value(String),
    Python(PyErr),
}

/// Whether a step can be tried again: a transaction is open, or someone holds the document.
pub fn is_of_transaction(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<raised::TransactionOpen>(py) || error.is_instance_of::<raised::DocumentBusy>(py)
}

pub type Result<T> = std::result::Result<T, Error>;

pub fn invalid<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::InvalidChange(why.into()))
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Self {
        Error::Python(error)
    }
}

impl From<AutomergeError> for Error {
    fn from(error: AutomergeError) -> Self {
        match error {
            AutomergeError::InvalidIndex(i) => Error::Index(format!("index {i} is out of range")),
            AutomergeError::InvalidCursor(_)
            | AutomergeError::InvalidCursorFormat
            | AutomergeError::InvalidCursorOp => Error::InvalidCursor(error.to_string()),
            AutomergeError::MissingCounter => Error::Type("the value is not a counter".into()),
            AutomergeError::InvalidOp(kind) => Error::Type(format!("not possible in a {kind}")),
            other => Error::Crdt(other.to_string()),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Crdt(m) => raised::CrdtError::new_err(m),
            Error::InvalidChange(m) => raised::InvalidChange::new_err(m),
            Error::ActorReused(m) => raised::ActorReused::new_err(m),
            Error::MissingDependencies(hashes) => {
                let hashes: Vec<Vec<u8>> = hashes.into_iter().map(|h| h.to_vec()).collect();
                let text = format!("{} dependencies are not here", hashes.len());
                raised::MissingDependencies::new_err((text, Bytes(hashes)))
            }
            Error::InvalidDocument(m) => raised::InvalidDocument::new_err(m),
            Error::InvalidCursor(m) => raised::InvalidCursor::new_err(m),
            Error::NoTransaction => raised::NoTransaction::new_err(
                "no transaction is open: write inside `with document.change():`",
            ),
            Error::TransactionOpen(m) => raised::TransactionOpen::new_err(m),
            Error::Busy(m) => raised::DocumentBusy::new_err(m),
            Error::Index(m) => PyIndexError::new_err(m),
            Error::Key(m) => PyKeyError::new_err(m),
            Error::Type(m) => PyTypeError::new_err(m),
            Error::Overflow(m) => PyOverflowError::new_err(m),
            Error::Value(m) => PyValueError::new_err(m),
            Error::Python(e) => e,
        }
    }
}

/// Hashes as a tuple of `bytes`.
struct Bytes(Vec<Vec<u8>>);

impl<'py> pyo3::IntoPyObject<'py> for Bytes {
    type Target = pyo3::types::PyTuple;
    type Output = pyo3::Bound<'py, Self::Target>;
    type Error = PyErr;

    fn into_pyobject(self, py: pyo3::Python<'py>) -> std::result::Result<Self::Output, PyErr> {
        let items = self.0.iter().map(|h| pyo3::types::PyBytes::new(py, h));
        pyo3::types::PyTuple::new(py, items.collect::<Vec<_>>())
    }
}

/// Run `f`; a panic inside it becomes an error.
pub fn guard<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(_) => Err(Error::Crdt("the native core failed on this input".into())),
    }
}
